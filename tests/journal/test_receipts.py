"""Receipts, checked by the example script, which knows nothing of Seawall: a real one holds, an altered one never."""

import ast
import importlib.util
import json
import os
import runpy
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from journal_world import PAGE, commit

from seawall.journal import Journal, folders_of
from seawall.journal.checkpoint import SigningKey, make_checkpoint
from seawall.journal.receipts import encode_receipt, make_receipt
from seawall.vocabulary.errors import CheckpointMismatch, InputError, TilesDamaged
from seawall.vocabulary.records import COMMAND, Kind

SCRIPT = Path(__file__).parents[2] / "examples" / "verify_receipt.py"
NAME = "venue.example/journal"
SEQ = 333
ATTACHED = 302  # the first command of the frame with 100


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A journal with two checkpoints, a key, and the notes."""
    data = tmp_path_factory.mktemp("receipts")
    key = SigningKey.of(NAME, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    notes = []
    with Journal.create(folders_of(data), segment_bytes=8 * PAGE) as journal:
        for sizes in ((1, 100, 100, 100, 100, 1), (150, 150, 1)):
            for size in sizes:
                commit(journal, size, b"attached" if size == 100 else b"")
            notes.append(make_checkpoint(folders_of(data), data / "tiles", key).note)
    (data / "key.pub").write_text(key.public.vkey + "\n")
    return data, key, notes


def receipt_of(world, seq=SEQ, note=-1, **given):
    data, _, notes = world
    return make_receipt(folders_of(data), data / "tiles", notes[note], seq, **given)


@pytest.fixture
def shown(world, tmp_path, monkeypatch, capsys):
    """Runs the script in this process on a receipt: exit status and output."""

    def show(receipt, vkey=world[1].public.vkey):
        (tmp_path / "receipt.json").write_bytes(encode_receipt(receipt))
        (tmp_path / "key.pub").write_text(vkey)
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "receipt.json"), str(tmp_path / "key.pub")])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            assert str(end.code).startswith("REFUSED"), end.code
            assert "OK" not in capsys.readouterr().out
            return 1, str(end.code)
        return 0, capsys.readouterr().out

    return show


def test_the_example_is_short_and_knows_nothing_of_seawall():
    text = SCRIPT.read_text()
    assert len(text.splitlines()) < 60
    roots = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            roots.add(node.module.partition(".")[0])
        assert not isinstance(node, ast.Assert), "python -O would leave it out"
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_example_reads_records_as_they_are(shown, world):
    receipt = receipt_of(world)
    shown(receipt)
    spec = importlib.util.spec_from_file_location("verify_receipt", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    record = np.zeros(1, COMMAND)
    for at, name in enumerate(COMMAND.names):
        record[name] = -1 if COMMAND[name].kind == "i" and at % 2 else at + 1
    values = dict(zip(module.FIELDS.split(), module.RECORD.unpack(record.tobytes()), strict=True))
    assert list(values) == list(COMMAND.names)
    assert values == {name: record[name][0] for name in COMMAND.names}
    assert {kind.value: kind.name for kind in Kind} == module.KIND


@pytest.mark.parametrize("seq", [1, 2, SEQ, ATTACHED])
@pytest.mark.parametrize("note", [0, 1])
def test_a_stranger_checks_a_receipt_with_the_public_key(world, tmp_path, seq, note):
    data, key, _ = world
    receipt = receipt_of(world, seq, note, public=key.public)
    (tmp_path / "receipt.json").write_bytes(encode_receipt(receipt))
    script = shutil.copy(SCRIPT, tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-O", "-P", script, "receipt.json", str(data / "key.pub")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    says, ok = ended.stdout.splitlines()
    assert ok == "OK" and f"seq {seq}, " in says and "kind ORDER" in says and f"price {seq * 7919 % 100_003}" in says
    expected = sha256(b"attached").hexdigest() if seq in (2, ATTACHED) else None
    assert receipt["attachment_sha256"] == expected
    receipt["index"] += 1
    (tmp_path / "receipt.json").write_bytes(encode_receipt(receipt))
    ended = subprocess.run([sys.executable, script, "receipt.json", data / "key.pub"], cwd=tmp_path, check=False,
                           env=environment, capture_output=True, text=True)  # fmt: skip
    assert ended.returncode == 1 and "REFUSED" in ended.stderr and ended.stdout == ""


def flipped(text, at):
    raw = bytearray(bytes.fromhex(text))
    raw[at] ^= 1 << at % 8
    return raw.hex()


@pytest.mark.parametrize("seq", [SEQ, ATTACHED])
def test_every_flipped_byte_is_refused(world, shown, seq):
    """Of record, attachment's hash, path and the whole checkpoint: origin, size, root, extensions, signature."""
    receipt = receipt_of(world, seq)
    assert shown(receipt)[0] == 0
    for at in range(128):
        assert shown(receipt | {"record": flipped(receipt["record"], at)})[0] == 1, at
    for at in range(32 if receipt["attachment_sha256"] else 0):
        assert shown(receipt | {"attachment_sha256": flipped(receipt["attachment_sha256"], at)})[0] == 1, at
    for number, one in enumerate(receipt["proof"]):
        for at in range(32):
            path = [*receipt["proof"][:number], flipped(one, at), *receipt["proof"][number + 1 :]]
            assert shown(receipt | {"proof": path})[0] == 1, (number, at)
    note = receipt["checkpoint"]
    for at in range(len(note)):
        other = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        assert shown(receipt | {"checkpoint": other})[0] == 1, (at, note[at])


def test_what_does_not_belong_together_is_refused(world, shown):
    receipt, attached = receipt_of(world), receipt_of(world, ATTACHED)
    stranger = SigningKey.of(NAME, Ed25519PrivateKey.generate())
    renamed = SigningKey.of("other.example", world[1].private)
    assert shown(receipt, stranger.public.vkey)[0] == 1
    assert shown(receipt, renamed.public.vkey)[0] == 1
    assert shown(receipt | {"checkpoint": stranger.sign(receipt["checkpoint"].partition("\n\n")[0] + "\n")})[0] == 1
    text = receipt["checkpoint"].partition("\n\n")[0] + "\n"
    assert shown(receipt | {"checkpoint": renamed.sign(text)}, renamed.public.vkey)[0] == 1  # the origin is another
    for index in (SEQ - 2, SEQ, -1, 10**9, "332", None):
        assert shown(receipt | {"index": index})[0] == 1
    for proof in (receipt["proof"][1:], receipt["proof"][:-1], [*receipt["proof"], "00" * 32], [], ["zz"], 7):
        assert shown(receipt | {"proof": proof})[0] == 1
    assert shown(attached | {"attachment_sha256": None})[0] == 1
    assert shown(receipt | {"attachment_sha256": "00" * 32})[0] == 1
    assert shown(receipt | {"checkpoint": receipt_of(world, note=0)["checkpoint"]})[0] == 1
    for name in receipt:
        assert name == "format" or shown({key: value for key, value in receipt.items() if key != name})[0] == 1
    assert shown([])[0] == 1


def test_another_witness_on_the_checkpoint_does_no_harm(world, shown):
    receipt = receipt_of(world)
    witness = SigningKey.of("witness.example", Ed25519PrivateKey.generate())
    line = witness.sign("x\n").rpartition("\n\n")[2]
    assert shown(receipt | {"checkpoint": receipt["checkpoint"] + line})[0] == 0


def test_what_a_receipt_is_not_made_of(world, tmp_path):
    _, key, notes = world
    for seq in (0, -1, 10**9):
        with pytest.raises(InputError, match="SEQ"):
            receipt_of(world, seq)
    stranger = SigningKey.of(NAME, Ed25519PrivateKey.generate())
    with pytest.raises(CheckpointMismatch):
        receipt_of(world, public=stranger.public)
    with Journal.create(folders_of(tmp_path), segment_bytes=8 * PAGE) as journal:
        commit(journal, 100)
        commit(journal, 1)
        make_checkpoint(folders_of(tmp_path), tmp_path / "tiles", key)
        with pytest.raises(TilesDamaged, match="run seawall checkpoint"):  # tiles that do not reach so far
            make_receipt(folders_of(tmp_path), tmp_path / "tiles", notes[0], 5)
        for _ in range(4):
            commit(journal, 100)
        make_checkpoint(folders_of(tmp_path), tmp_path / "tiles", key)
    with pytest.raises(CheckpointMismatch, match="not under the checkpoint"):
        make_receipt(folders_of(tmp_path), tmp_path / "tiles", notes[0], 5)


def test_damaged_tiles_are_named_and_can_be_made_anew(world, tmp_path):
    data, key, notes = world
    shutil.copytree(data, tmp_path / "copy")
    copy, tile = folders_of(tmp_path / "copy"), tmp_path / "copy/tiles/tile/0/000"
    good = make_receipt(copy, tmp_path / "copy/tiles", notes[1], 5)
    raw = bytearray(tile.read_bytes())
    raw[0] ^= 1
    tile.write_bytes(raw)
    with pytest.raises(CheckpointMismatch, match="remove"):
        make_receipt(copy, tmp_path / "copy/tiles", notes[1], 5)
    tile.unlink()
    with pytest.raises(TilesDamaged):
        make_receipt(copy, tmp_path / "copy/tiles", notes[1], 5)
    shutil.rmtree(tmp_path / "copy/tiles")
    make_checkpoint(copy, tmp_path / "copy/tiles", key)
    assert make_receipt(copy, tmp_path / "copy/tiles", notes[1], 5) == good
    assert json.loads(encode_receipt(good)) == good
