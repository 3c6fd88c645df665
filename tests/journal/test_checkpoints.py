"""Keys and notes against published vectors; what a checkpoint finds: rollback, rewriting, a fork, another journal."""

import os
import shutil
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from journal_world import PAGE, batch, commit

from seawall.journal import Journal, folders_of, frames, verify
from seawall.journal import checkpoint as room
from seawall.journal.checkpoint import (
    Checkpoint,
    PublicKey,
    Signer,
    SigningKey,
    compare,
    leaf_data,
    leaf_hashes,
    make_checkpoint,
)
from seawall.journal.files import write_base
from seawall.journal.layout import segment_name
from seawall.journal.merkle import Tree, leaf_hash
from seawall.journal.reading import read_header
from seawall.journal.receipts import make_receipt
from seawall.vocabulary.errors import CheckpointMismatch, InputError, JournalBusy, JournalCorrupt

NAME = "venue.example/journal"
SIZES = (1, 30, 31, 100, 5, 180, 2, 1, 300)


@pytest.fixture
def key():
    return SigningKey.of(NAME, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture
def folders(tmp_path):
    return folders_of(tmp_path)


@pytest.fixture
def make(tmp_path, folders, key):
    """Makes a checkpoint of the journal at hand, held in `held`."""

    def made(**changed):
        given = {"hold": tmp_path / "held", **changed}
        return make_checkpoint(folders, tmp_path / "tiles", given.pop("key", key), **given)

    return made


def write(folders, sizes=SIZES, mark=b"x"):
    """A journal with frames of these sizes; frames of more than one command have an attachment."""
    with Journal.create(folders, segment_bytes=32 * PAGE) as journal:
        go_on(journal, sizes, mark)


def go_on(journal, sizes, mark=b"x"):
    for size in sizes:
        commit(journal, size, mark * size if size > 1 else b"")


def append(folders, sizes, mark=b"x"):
    with Journal.open(folders) as journal:
        go_on(journal, sizes, mark)


def written_over(folders, monkeypatch, sizes=SIZES, mark=b"x"):
    """Another history under the same id, every hash right: what somebody with both disks can do."""
    identity = room.Mirror(folders, room.OsDisk()).identity.journal
    for folder in folders:
        shutil.rmtree(folder)
    with monkeypatch.context() as patched:
        patched.setattr("seawall.journal.writing.os.urandom", lambda count: identity[:count])
        write(folders, sizes, mark)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ed25519_as_published():
    """RFC 8032, section 7.1, test 2."""
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = SigningKey.of(NAME, Ed25519PrivateKey.from_private_bytes(secret))
    assert key.public.key.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.private.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_note_as_published():
    """The example of c2sp.org/signed-note."""
    public = PublicKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    signed = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    note = f"This is an example message.\n\n— example.com/foo {signed}\n"
    assert public.open(note) == "This is an example message.\n"
    assert public.vkey.endswith("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    for other in (note.replace("an", "no"), note[:-1], note.replace("\n\n", "\n"), note.replace("/foo", "/bar")):
        with pytest.raises(CheckpointMismatch):
            public.open(other)


def test_a_note_may_carry_signatures_of_others(key):
    other = SigningKey.of("witness.example", Ed25519PrivateKey.generate())
    text = "a\n\nb\n"  # a text may have empty lines of its own
    mine, theirs = key.sign(text), other.sign(text).rpartition("\n\n")[2]
    assert key.public.open(mine + theirs) == text == other.public.open(mine + theirs)
    bad = theirs.replace("— witness.example", f"— {NAME}")  # our name, another's key: unknown, so ignored
    assert key.public.open(mine + bad) == text
    stranger = PublicKey(NAME, other.public.key)
    for note in (mine, mine + "no signature\n", mine + "\n", mine.replace("— ", "- "), mine.replace("a\n", "a\x01\n")):
        with pytest.raises(CheckpointMismatch):
            stranger.open(note)


def test_every_altered_byte_of_a_note_is_refused(key):
    note = key.sign("some\ntext\n")
    for at in range(len(note)):
        for flip in (1, 2, 4, 32):
            with pytest.raises(CheckpointMismatch):
                key.public.open(note[:at] + chr(ord(note[at]) ^ flip) + note[at + 1 :])


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_key_files(tmp_path, passphrase):
    path = tmp_path / "key"
    made = SigningKey.create(NAME, path, passphrase)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)
    read = SigningKey.read(path, passphrase)
    assert read.public == made.public == PublicKey.read(str(tmp_path / "key.pub")) == PublicKey.read(made.public.vkey)
    assert made.public.open(read.sign("text\n")) == "text\n"
    for wrong in (None, b"wrong") if passphrase else (b"not asked for",):
        with pytest.raises(InputError):
            SigningKey.read(path, wrong)
    before = files(tmp_path)
    with pytest.raises(InputError):
        SigningKey.create(NAME, path)
    assert files(tmp_path) == before
    for mode in (0o640, 0o620, 0o610, 0o604, 0o602, 0o601):
        path.chmod(mode)
        with pytest.raises(InputError, match="chmod 600"):
            SigningKey.read(path, passphrase)


def test_a_key_needs_its_own_public_half(tmp_path):
    for name in ("one", "two"):
        SigningKey.create(name, tmp_path / name)
    shutil.copy(tmp_path / "two.pub", tmp_path / "one.pub")
    with pytest.raises(InputError, match="public half"):
        SigningKey.read(tmp_path / "one")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\x00", "a\u2003b"])
def test_names_that_no_note_can_carry(tmp_path, name):
    with pytest.raises(InputError):
        SigningKey.create(name, tmp_path / "key")
    assert not files(tmp_path)


def test_verifier_keys_that_are_none(key):
    good = key.public.vkey
    name, key_id, raw = good.split("+", 2)
    for bad in (
        "",
        name,
        f"{name}+{key_id}",
        f"{name}+00000000+{raw}",
        f"{name}+{key_id}+{raw[:-4]}",
        f"other+{key_id}+{raw}",
    ):
        with pytest.raises(InputError):
            PublicKey.parse(bad)
    assert PublicKey.parse(f"{good}\n") == key.public


def test_checkpoint_text():
    made = Checkpoint("origin", 7, bytes(range(32)), bytes(16), 3, bytes(range(32, 64)))
    assert made.text == (
        "origin\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        f"journal {bytes(16).hex()}\nframe 3 {bytes(range(32, 64)).hex()}\n"
    )
    assert Checkpoint.parse(made.text) == made
    for old, new in [
        ("7", "07"), ("7", "-7"), ("7", "0"), ("AAEC", "AAE"), ("journal ", "journal  "), ("frame 3", "frame x"),
        ("frame 3", "frame 0"), ("journal 00", "journal "), ("origin\n", ""), ("7\n", "7\nmore\n"), ("20", "2"),
        ("journal", "diary"),
    ]:  # fmt: skip
        with pytest.raises(InputError):
            Checkpoint.parse(made.text.replace(old, new, 1))


def test_leaves_are_records_with_the_hash_of_what_is_attached(folders):
    write(folders)
    tree, again = Tree(), Tree()
    for frame in frames(folders):
        tree.append(leaf_hashes(frame))
        record = frame.commands[0].tobytes()
        first = leaf_hash(leaf_data(record, frame.attachments))
        rest = b"".join(leaf_hash(one.tobytes()) for one in frame.commands[1:])
        again.append(first + rest)
    assert tree.root() == again.root() and tree.size == sum(SIZES)
    assert len(leaf_data(bytes(128), b"")) == 128 and len(leaf_data(bytes(128), b"x" * 999)) == 160


def test_several_attachments_of_a_frame(folders):
    with Journal.create(folders, segment_bytes=32 * PAGE) as journal:
        records = batch(1, 5)
        records["attachment"] = (0, 3, 0, 5, 1)
        journal.commit(records, b"abcdefghi")
    frame = next(frames(folders))
    given = [b"", b"abc", b"", b"defgh", b"i"]
    expected = [leaf_hash(leaf_data(one.tobytes(), data)) for one, data in zip(records, given, strict=True)]
    assert leaf_hashes(frame) == b"".join(expected)


def forget_horizon(folders):
    """Then only a later frame proves one durable."""
    for folder in folders:
        (folder / "horizon").unlink(missing_ok=True)


def test_only_what_is_durable_is_signed(folders, make, key):
    write(folders, (3,))
    forget_horizon(folders)
    with pytest.raises(InputError, match="durable"):
        make()
    append(folders, (4, 5))
    forget_horizon(folders)
    made = make()
    assert (made.checkpoint.size, made.checkpoint.frame, made.added) == (7, 2, 7)
    assert Checkpoint.parse(key.public.open(made.note)) == made.checkpoint and made.checkpoint.origin == NAME
    assert compare(folders, made.checkpoint).ok
    with Journal.open(folders) as journal:
        pending = journal.start_commit(batch(journal.next_seq, 6))
        assert make().checkpoint.size == 12  # written perhaps, but nobody was told
        pending.wait()
        assert make().checkpoint.size == 18


def test_what_is_held_nowhere_replaces_nothing(folders, tmp_path, key):
    write(folders)
    with Signer(folders, tmp_path / "tiles", key) as signer:
        while signer.take():
            pass
        assert [signer.sign().replaced for _ in range(2)] == [None, None]


def test_a_journal_that_grows(folders, make, tmp_path, key):
    """Each checkpoint hashes what is new, continues the one held, and replaces it; all of them hold at the end."""
    write(folders)
    all_made = [make()]
    for more in ((1,), (), (200, 56), (255, 1), (1, 1)):
        append(folders, more)
        made = make()
        assert made.replaced == all_made[-1].checkpoint
        assert made.added == made.checkpoint.size - all_made[-1].checkpoint.size
        all_made.append(made)
    for made in all_made:
        assert compare(folders, made.checkpoint).ok
    assert (tmp_path / "held" / "checkpoint").read_text() == all_made[-1].note
    afresh = make_checkpoint(folders, tmp_path / "others", key)
    assert afresh.checkpoint == all_made[-1].checkpoint and afresh.added == afresh.checkpoint.size


def test_dry_run_writes_nothing(folders, make, tmp_path):
    write(folders)
    before = files(tmp_path)
    made = make(write=False)
    assert files(tmp_path) == before and not (tmp_path / "tiles").exists() and not (tmp_path / "held").exists()
    assert make().checkpoint == made.checkpoint
    append(folders, (400, 1))
    before = files(tmp_path)
    assert make(write=False).replaced == made.checkpoint
    assert files(tmp_path) == before


def refused(make, tmp_path, *, says):
    held = (tmp_path / "held" / "checkpoint").read_bytes()
    with pytest.raises(CheckpointMismatch) as error:
        make()
    assert (tmp_path / "held" / "checkpoint").read_bytes() == held
    for part in says:
        assert part in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("tiles", ["kept", "gone", "rolled back"])
def test_a_rollback_of_both_copies_is_found(folders, make, tmp_path, tiles):
    write(folders, SIZES[:5])
    make(hold=None)
    for folder in (*folders, tmp_path / "tiles"):
        shutil.copytree(folder, tmp_path / "backup" / folder.name)
    append(folders, (*SIZES[5:], 50, 50))
    held = make().checkpoint
    for name in ("a", "b", *(["tiles"] if tiles == "rolled back" else [])):
        shutil.rmtree(tmp_path / name)
        shutil.copytree(tmp_path / "backup" / name, tmp_path / name)
    if tiles == "gone":
        shutil.rmtree(tmp_path / "tiles")
    compared = compare(folders, held)
    assert not compared.ok and compared.hash == b"" and (compared.commands, compared.frames) == (sum(SIZES[:5]), 5)
    numbers = (f"{held.size} commands up to frame {held.frame} with hash {held.frame_hash.hex()}",
               f"rolled back: the journal has {sum(SIZES[:5])} commands in 5 frames")  # fmt: skip
    message = refused(make, tmp_path, says=numbers)
    assert str(tmp_path / ("tiles" if tiles == "kept" else "held")) in message and str(folders[0]) in message


@pytest.mark.parametrize("sizes", [SIZES, (*SIZES, 50, 1)])
@pytest.mark.parametrize("tiles", ["kept", "gone"])
def test_a_rewritten_history_is_found(folders, make, tmp_path, monkeypatch, sizes, tiles):
    """The attachment of one command is another, all hashes are right, and the journal is as long or longer."""
    write(folders)
    held = make().checkpoint
    written_over(folders, monkeypatch, sizes, mark=b"y")
    if tiles == "gone":
        shutil.rmtree(tmp_path / "tiles")
    compared = compare(folders, held)
    assert not compared.ok and compared.journal == held.journal and compared.hash not in (b"", held.frame_hash)
    refused(make, tmp_path, says=("rewritten", held.frame_hash.hex(), compared.hash.hex()))


def test_frames_cut_otherwise_are_a_rewriting(folders, make, tmp_path, monkeypatch):
    """The same commands in other frames: the tree is the same, the chain is not."""
    with Journal.create(folders, segment_bytes=32 * PAGE) as journal:
        go_on(journal, (1, 1, 1, 1))
    held = make().checkpoint
    identity = held.journal
    for folder in folders:
        shutil.rmtree(folder)
    monkeypatch.setattr("seawall.journal.writing.os.urandom", lambda count: identity[:count])
    with Journal.create(folders, segment_bytes=32 * PAGE) as journal:
        records = batch(1, 3)
        journal.commit(records[:2])
        go_on(journal, (1, 1, 1))
    compared = compare(folders, held)
    assert not compared.ok and "rewritten" in compared.what
    refused(make, tmp_path, says=("rewritten",))


def test_a_checkpoint_with_another_root_is_found(folders, make):
    write(folders)
    made = make().checkpoint
    compared = compare(folders, replace(made, root=bytes(32)))
    assert not compared.ok and made.root.hex() in compared.what


def test_another_journal_is_found(folders, make, tmp_path):
    write(folders)
    held = make().checkpoint
    for folder in folders:
        shutil.rmtree(folder)
    write(folders)
    compared = compare(folders, held)
    assert not compared.ok and held.journal.hex() in compared.what and compared.journal.hex() in compared.what
    refused(make, tmp_path, says=("it is of journal",))


def test_cut_back_to_the_checkpoint_is_not_a_rollback(folders, make, tmp_path):
    """What was covered stands, so the same checkpoint stands; what comes after may differ."""
    write(folders, SIZES[:5])
    for folder in folders:
        shutil.copytree(folder, tmp_path / "backup" / folder.name)
    append(folders, (1,))
    forget_horizon(folders)
    made = make()
    assert made.checkpoint.frame == 5
    for folder in folders:
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "backup" / folder.name, folder)
    forget_horizon(folders)
    assert make().checkpoint == made.checkpoint
    append(folders, (7, 8), mark=b"z")
    assert make().replaced == made.checkpoint


def rot(path):
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", ["edge", "short edge", "no edge", "checkpoint", "signer"])
def test_tiles_that_do_not_hash_to_what_was_signed_are_made_anew(folders, make, tmp_path, spoil):
    write(folders, (*SIZES, 1))
    made = make()
    (edge,) = (tmp_path / "tiles/tile/0/002.p").iterdir()
    if spoil == "edge":
        rot(edge)
    elif spoil == "short edge":
        edge.write_bytes(edge.read_bytes()[:-1])
    elif spoil == "no edge":
        edge.unlink()
    elif spoil == "signer":
        stranger = SigningKey.of(NAME, Ed25519PrivateKey.generate())
        (tmp_path / "tiles" / "checkpoint").write_text(stranger.sign(made.checkpoint.text))
    else:
        (tmp_path / "tiles" / "checkpoint").write_text("nonsense")
    append(folders, (300, 1))
    again = make()
    assert again.replaced == made.checkpoint and again.added == again.checkpoint.size
    assert compare(folders, again.checkpoint).ok


def test_nobody_is_accused_for_a_rotten_tile(folders, make, tmp_path):
    """An old checkpoint is held; the proof from there needs a tile that going on does not."""
    write(folders, SIZES[:4])
    made = make()
    append(folders, SIZES)
    assert make(hold=None).added < make(hold=None).checkpoint.size
    rot(tmp_path / "tiles/tile/0/000")
    again = make()
    assert again.replaced == made.checkpoint and again.added == again.checkpoint.size
    assert make().added == 0


def test_a_held_checkpoint_of_another_key_is_not_replaced(folders, make, tmp_path):
    write(folders)
    make()
    held = (tmp_path / "held" / "checkpoint").read_bytes()
    for bad in (
        SigningKey.of(NAME, Ed25519PrivateKey.generate()),
        SigningKey.of("other", Ed25519PrivateKey.generate()),
    ):
        with pytest.raises(CheckpointMismatch, match="held"):
            make(key=bad)
    assert (tmp_path / "held" / "checkpoint").read_bytes() == held
    (tmp_path / "held" / "checkpoint").write_text("nonsense")
    with pytest.raises(CheckpointMismatch, match="not a signed note"):
        make()


def test_one_at_a_time(folders, make, tmp_path):
    write(folders)
    make()
    lock = room.OsDisk().lock(tmp_path / "held" / "lock")
    with pytest.raises(JournalBusy):
        make()
    os.close(lock)
    make()
    with pytest.raises(InputError, match="another folder"):
        make(hold=tmp_path / "tiles")


def test_beside_a_writer(folders, make):
    """The writer holds its locks and goes on; what is signed is always there, and always less than all."""
    with Journal.create(folders, segment_bytes=8 * PAGE) as journal:
        commit(journal, 1)
        for _ in range(12):
            commit(journal, 70)
            made = make()
            assert made.checkpoint.frame >= journal.next_frame - 2
        go_on(journal, (1,))
    assert compare(folders, made.checkpoint).ok


def test_retired_segments_are_read_from_the_archive(folders, make, tmp_path):
    """Going on needs none."""
    write(folders, (100,) * 30)
    first = make().checkpoint
    disk, archive = room.OsDisk(), tmp_path / "archive"
    archive.mkdir()
    identity, base = read_header(folders[0], 2, disk)
    for folder in folders:
        write_base(disk, folder, identity, base)
        for segment in (0, 1):
            shutil.copy(folder / segment_name(segment), archive)
            (folder / segment_name(segment)).unlink()
    append(folders, (7,))
    made = make()
    assert made.added == 7 and made.replaced == first
    with pytest.raises(InputError, match="retired"):
        compare(folders, made.checkpoint)
    assert compare(folders, made.checkpoint, archive).ok
    shutil.rmtree(tmp_path / "tiles")
    with pytest.raises(InputError, match="retired"):
        make()
    again = make(archive=archive)
    assert again.checkpoint == made.checkpoint and again.added == made.checkpoint.size
    with pytest.raises(InputError, match="retired"):
        make_receipt(folders, tmp_path / "tiles", again.note, 5)
    assert make_receipt(folders, tmp_path / "tiles", again.note, 5, archive=archive)["index"] == 4
    assert make_receipt(folders, tmp_path / "tiles", again.note, made.checkpoint.size)


def archived(folders, archive):
    """All segments, copied elsewhere."""
    archive.mkdir()
    for path in folders[0].glob("*.seg"):
        shutil.copy(path, archive)
    return archive


def cut_behind(folders, segment):
    """Both copies rolled back to the end of that segment."""
    for folder in folders:
        (folder / "horizon").unlink(missing_ok=True)
        for path in folder.glob("*.seg"):
            if int(path.stem) > segment:
                path.unlink()


def begin_at(folders, segment):
    """The folders say that what lies before that segment is retired, and have it no more."""
    disk = room.OsDisk()
    identity, base = read_header(folders[0], segment, disk)
    for folder in folders:
        write_base(disk, folder, identity, base)
        for earlier in range(segment):
            (folder / segment_name(earlier)).unlink()


def test_an_archive_does_not_hide_that_the_folders_were_rolled_back(folders, make, tmp_path):
    write(folders, (100,) * 30)
    held, archive = make().checkpoint, archived(folders, tmp_path / "archive")
    assert compare(folders, held, archive).ok
    cut_behind(folders, 1)
    assert verify(folders).ok
    found = compare(folders, held, archive)
    assert not found.ok and "rolled back" in found.what and found.commands < held.size
    with pytest.raises(CheckpointMismatch, match="rolled back"):
        make(archive=archive)
    append(folders, (60,) * 40)
    assert not compare(folders, held, archive).ok
    with pytest.raises(CheckpointMismatch, match="rewritten"):
        make(archive=archive)


def test_an_archive_does_not_hide_another_history_behind_what_is_retired(folders, make, tmp_path, monkeypatch):
    """The folders sound in themselves from the marker on, the archive the true one: they must follow each other."""
    write(folders, (100,) * 30)
    held, archive = make().checkpoint, archived(folders, tmp_path / "archive")
    written_over(folders, monkeypatch, (100,) * 30, b"y")
    begin_at(folders, 2)
    assert verify(folders).ok
    with pytest.raises(JournalCorrupt, match="begins behind hash"):
        compare(folders, held, archive)
    shutil.rmtree(tmp_path / "tiles")
    with pytest.raises((CheckpointMismatch, JournalCorrupt)):
        make(archive=archive)
    shutil.rmtree(tmp_path / "held")
    with pytest.raises(JournalCorrupt, match="begins behind hash"):
        make(archive=archive)
