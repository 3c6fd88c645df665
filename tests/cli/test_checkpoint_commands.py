"""`seawall key`, `checkpoint`, `verify --checkpoint` and `receipt`, as an operator and an auditor run them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import flip, run

from seawall.cli.checkpoint import SLICE_S, hash_all
from seawall.node import Configuration, Node
from seawall.vocabulary.records import Kind, VenueState, command

SCRIPT = Path(__file__).parents[2] / "examples" / "verify_receipt.py"
NAME = "venue.example/journal"


def trade(data, rounds):
    node = Node.start(Configuration.of({"data": str(data), "engine": "reference"}), lambda: 10**18)
    for _ in range(rounds):
        node.submit(command(Kind.STATE, state=VenueState.REDUCE_ONLY))
    node.stop()


def asked(*arguments, status=0):
    ended = run(*arguments, "--json")
    assert ended.returncode == status, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def venue(tmp_path):
    """A journal of 6 commands and more, a key, and the checkpoint held elsewhere."""
    trade(tmp_path / "data", 4)
    asked("key", NAME, "--out", tmp_path / "key")
    asked("checkpoint", tmp_path / "data", "--key", tmp_path / "key", "--hold", tmp_path / "held")
    return tmp_path


def test_a_tree_is_built_in_short_turns(monkeypatch):
    """However far behind the builder is, it takes a core for a moment only, then rests for its share's sake."""
    clock, worked, rested = [0.0], [], []

    class Builder:
        def __init__(self):
            self.frames = 1000

        def take(self):
            self.frames -= 1
            clock[0] += SLICE_S / 5
            return int(self.frames >= 0)

    def rest(seconds):
        worked.append(clock[0] - sum(worked) - sum(rested))
        rested.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("time.sleep", rest)
    hash_all(Builder(), 0.1)
    assert len(worked) == pytest.approx(1000 / 5, rel=0.2)
    assert max(worked) < 1.5 * SLICE_S
    assert sum(worked) / (sum(worked) + sum(rested)) == pytest.approx(0.1)


def checkpoint(venue, *more, status=0):
    return asked("checkpoint", venue / "data", "--key", venue / "key", "--hold", venue / "held", *more, status=status)


def verify(venue, *more, status=0, held="held/checkpoint"):
    return asked("verify", venue / "data", "--checkpoint", venue / held, "--public-key", venue / "key.pub", *more,
                 status=status)  # fmt: skip


def test_key(tmp_path):
    assert asked("key", NAME, "--out", tmp_path / "key", "--dry-run")["dry_run"]
    assert not list(tmp_path.iterdir())
    (tmp_path / "secret").write_text("correct horse\n")
    made = asked("key", NAME, "--out", tmp_path / "key", "--passphrase", tmp_path / "secret")
    assert made["encrypted"] and made["public_key"] == (tmp_path / "key.pub").read_text().strip()
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    (tmp_path / "empty").write_text("")
    for arguments in (
        ["key", NAME, "--out", tmp_path / "key"],
        ["key", NAME, "--out", tmp_path / "key", "--dry-run"],
        ["key", "two words", "--out", tmp_path / "other"],
        ["key", NAME, "--out", tmp_path / "none" / "key"],
        ["key", NAME, "--out", tmp_path / "other", "--passphrase", tmp_path / "empty"],
        ["checkpoint", tmp_path, "--key", tmp_path / "key"],
        ["checkpoint", tmp_path],
        ["checkpoint", tmp_path, "--key", tmp_path / "key", "--passphrase", tmp_path / "secret"],
    ):
        ended = run(*arguments)
        assert (ended.returncode, ended.stdout) == (2, "") and "Traceback" not in ended.stderr, arguments


def test_a_checkpoint_is_held_and_continued(venue):
    held = venue / "held" / "checkpoint"
    first = held.read_text()
    trade(venue / "data", 3)
    planned = checkpoint(venue, "--dry-run")
    assert held.read_text() == first and planned["dry_run"] and planned["hashed"] > 0
    made = checkpoint(venue, "--out", venue / "copy")
    assert made["checkpoint"] == held.read_text() == (venue / "copy").read_text() == planned["checkpoint"]
    assert made["held_before"]["commands"] < made["commands"] and made["origin"] == NAME
    assert (venue / "data/tiles/checkpoint").read_text() == made["checkpoint"]
    for note in ("held/checkpoint", "data/tiles/checkpoint"):
        found = verify(venue, held=note)["checkpoint"]
        assert found["ok"] and found["signature"] == "holds" and found["commands"] == made["commands"]
    shown = run("checkpoint", venue / "data", "--key", venue / "key", "--hold", venue / "held")
    assert shown.returncode == 0 and shown.stdout.startswith(made["checkpoint"]) and "continues" in shown.stdout


def test_both_folders_rolled_back_are_found_by_numbers(venue):
    shutil.copytree(venue / "data", venue / "backup")
    trade(venue / "data", 30)
    held = checkpoint(venue)
    shutil.rmtree(venue / "data")
    (venue / "backup").rename(venue / "data")
    assert asked("verify", venue / "data")["ok"]  # by itself it looks sound
    found = verify(venue, status=1)
    part = found["checkpoint"]
    assert not found["ok"] and (part["commands"], part["frame"]) == (held["commands"], held["frame"])
    assert part["found"]["commands"] == found["commands"] < held["commands"]
    for number in (held["commands"], held["frame"], held["frame_hash"], found["commands"], found["frames"]):
        assert str(number) in part["what"]
    refused = checkpoint(venue, status=1)
    assert refused["error"] == "CheckpointMismatch" and "rolled back" in refused["message"]
    assert str(venue / "held/checkpoint") in refused["message"] and str(venue / "data/a") in refused["message"]
    shown = run("verify", venue / "data", "--checkpoint", venue / "held/checkpoint")
    assert shown.returncode == 1 and "rolled back" in shown.stdout and "not checked" in shown.stdout


def test_a_forged_checkpoint_is_refused(venue):
    held = venue / "held" / "checkpoint"
    note = held.read_text()
    asked("key", NAME, "--out", venue / "stranger")
    held.write_text(note.replace("\nframe ", "\nframe 1"))
    part = verify(venue, status=1)["checkpoint"]
    assert part["signature"] == "does not hold" and not part["ok"]
    held.write_text(note)
    arguments = ["verify", venue / "data", "--checkpoint", held]
    assert (
        asked(*arguments, "--public-key", venue / "stranger.pub", status=1)["checkpoint"]["signature"]
        == "does not hold"
    )
    assert asked(*arguments, "--public-key", (venue / "key.pub").read_text().strip())["ok"]
    held.write_text("nonsense")
    for wrong in (arguments, ["verify", venue / "data", "--public-key", venue / "key.pub"]):
        ended = run(*wrong)
        assert (ended.returncode, ended.stdout) == (2, "") and "Traceback" not in ended.stderr


def test_damage_and_checkpoint_are_both_told(venue):
    flip(venue / "data", 2)
    found = verify(venue, status=1)
    assert found["damage"] and found["repairable"] and found["checkpoint"]["ok"] and not found["ok"]
    flip(venue / "data", 2, "a")
    found = verify(venue, status=1)
    assert found["corrupt"] and not found["checkpoint"]["ok"] and "frame 2" in found["checkpoint"]["what"]


def test_a_receipt_for_a_stranger(venue):
    out = venue / "receipt.json"
    planned = asked("receipt", venue / "data", 3, "--out", out, "--dry-run")
    assert not out.exists() and planned["dry_run"]
    made = asked("receipt", venue / "data", 3, "--out", out, "--checkpoint", venue / "held/checkpoint",
                 "--public-key", venue / "key.pub")  # fmt: skip
    assert json.loads(out.read_text()) == made["receipt"] == planned["receipt"] and made["signature"] == "checked"
    checked = subprocess.run(
        [sys.executable, SCRIPT, out, venue / "key.pub"], capture_output=True, text=True, check=True
    )
    assert "seq 3, time 1000000000000000000, kind STATE" in checked.stdout and checked.stdout.endswith("OK\n")
    shown = run("receipt", venue / "data", 3, "--out", out)
    assert shown.returncode == 0 and "not checked" in shown.stdout
    for wrong in (0, 10**6, "x"):
        assert run("receipt", venue / "data", wrong, "--out", out).returncode == 2
    assert run("receipt", venue / "none", 2, "--out", out).returncode == 2
