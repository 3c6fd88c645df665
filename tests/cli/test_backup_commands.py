"""Snapshot, archive, retire, restore through the command line: both disks are lost, and the digest is the same."""

import json
import shutil

import pytest
from test_cli import run

from seawall.journal import first_frame, read_snapshot
from seawall.journal.disk import OsDisk
from seawall.journal.reading import segments_in
from seawall.node import Configuration, Node
from seawall.vocabulary.records import Kind, commands


def told(*arguments, status=0):
    ended = run(*arguments, "--json")
    assert ended.returncode == status, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def venue(tmp_path):
    """A closed journal of several segments, and its digest as `seawall replay` gives it."""
    data = tmp_path / "venue"
    node = Node.start(settings(data), lambda: 10**18)
    batch = commands(60)
    batch["kind"] = Kind.DEPOSIT
    for _ in range(120):
        node.submit(batch)
    node.stop()
    return data, told("replay", data)["digest"]


def settings(data):
    return Configuration.of({"data": str(data), "segment_bytes": 1 << 18})


def held(data):
    return [sorted(segments_in(data / copy, OsDisk())) for copy in ("a", "b")]


def test_both_disks_are_lost_and_a_backup_gives_the_same_digest(venue, tmp_path):
    data, digest = venue
    backup = tmp_path / "backup"
    shutil.copytree(data / "a", backup)
    shutil.rmtree(data)
    dry = told("restore", data, "--from", backup, "--dry-run")
    assert dry["digest"] == digest and not data.exists()
    found = told("restore", data, "--from", backup)
    assert found["ok"] and found["digest"] == digest == told("replay", data, "--engine", "reference")["digest"]
    assert found["seconds"] >= found["restore_s"] > 0 and found["frames"] == found["last_frame"]
    assert run("verify", data).returncode == 0
    Node.start(settings(data), lambda: 10**18).stop()
    again = run("restore", data, "--from", backup)
    assert again.returncode == 2 and "empty" in again.stderr


def test_a_restore_that_was_refused_is_in_the_way_of_no_other(venue, tmp_path):
    data, digest = venue
    assert run("restore", tmp_path / "new", "--from", tmp_path / "mistyped").returncode == 2
    assert told("restore", tmp_path / "new", "--from", data / "a", "--dry-run")["digest"] == digest
    assert told("restore", tmp_path / "new", "--from", data / "a")["digest"] == digest


def test_a_source_that_gives_nothing_is_named_and_nothing_is_restored(venue, tmp_path):
    data, digest = venue
    backup, new = tmp_path / "backup", tmp_path / "new"
    told("archive", data, "--to", backup)
    (backup / "open").mkdir()
    for segment in segments_in(data / "a", OsDisk()) - segments_in(backup, OsDisk()):  # as POST /backup does
        shutil.copy(data / "a" / f"{segment:08}.seg", backup / "open")
    (tmp_path / "unmounted").mkdir()
    for given, name in (
        (["--archive", backup, "--from", backup / "opne"], "opne"),
        (["--archive", backup], str(backup / "open")),
        (["--archive", tmp_path / "unmounted", "--from", data / "a"], "unmounted"),
        (["--archive", tmp_path / "mistyped", "--from", data / "a"], "mistyped"),
        (["--from", data / "a", "--from", tmp_path / "unmounted"], "unmounted"),
    ):
        for dry in ([], ["--dry-run"]):
            ended = run("restore", new, *given, *dry)
            assert (ended.returncode, name in ended.stderr, new.exists()) == (2, True, False), given
    assert told("restore", new, "--archive", backup, "--from", backup / "open")["digest"] == digest
    retired = run("retire", data, "--archive", tmp_path / "mistyped")
    assert retired.returncode == 2 and "mistyped" in retired.stderr


def test_one_folder_is_not_both_copies(venue):
    data, _ = venue
    shutil.rmtree(data / "b")
    (data / "b").symlink_to("a")
    ended = run("verify", data)
    assert ended.returncode == 2 and "must be two" in ended.stderr


def test_what_was_restored_is_said_with_the_time_it_took(venue, tmp_path):
    data, digest = venue
    shown = run("restore", tmp_path / "other", "--from", data / "b")
    assert shown.returncode == 0 and digest in shown.stdout and "in all " in shown.stdout
    dry = run("restore", tmp_path / "none", "--from", data / "b", "--dry-run")
    assert "NOT to halted" in shown.stdout and "halted" not in dry.stdout


def test_archive_retire_lose_everything_else_and_restore(venue, tmp_path):
    data, digest = venue
    target, backup = tmp_path / "archive", tmp_path / "backup"
    before = held(data)
    dry = told("archive", data, "--to", target, "--dry-run")
    assert dry["segments"] and not target.exists()
    assert told("archive", data, "--to", target)["segments"] == dry["segments"]
    old = dry["segments"]
    assert old == before[0][: len(old)] and len(old) >= len(before[0]) - 2  # the last in use, perhaps one made ready
    assert told("archive", data, "--to", target)["segments"] == []
    dry = told("retire", data, "--archive", target, "--dry-run")
    assert dry["segments"] == old and held(data) == before
    assert told("retire", data, "--archive", target)["segments"] == dry["segments"]
    assert held(data) == [before[0][len(old) :]] * 2
    assert run("replay", data).returncode == 2
    assert told("replay", data, "--archive", target)["digest"] == digest
    shutil.copytree(data / "b", backup)
    shutil.rmtree(data)
    found = told("restore", data, "--from", backup, "--archive", target)
    assert found["digest"] == digest and held(data)[0][: len(old) + 1] == before[0][: len(old) + 1]
    shutil.rmtree(data)
    found = told("restore", data, "--from", backup)  # the archive is lost, too: from the snapshot on
    assert found["digest"] == digest and held(data) == [[len(old)]] * 2 and found["folded"] == 0
    node = Node.start(settings(data), lambda: 10**18)
    assert node.snapshot_frame == found["last_frame"]
    node.stop()


def test_a_snapshot_of_a_venue_that_does_not_run(venue, tmp_path):
    data, digest = venue
    folders = settings(data).folders
    last = read_snapshot(folders).frame
    for folder in folders:
        for file in folder.glob("*.snapshot"):
            file.unlink()
    refused = run("retire", data, "--archive", tmp_path / "archive")
    assert refused.returncode == 2 and "snapshot" in refused.stderr
    dry = told("snapshot", data, "--dry-run")
    assert (dry["frame"], dry["digest"]) == (last, digest) and read_snapshot(folders) is None
    assert told("snapshot", data)["frame"] == last == read_snapshot(folders).frame
    assert told("snapshot", data)["folded"] == 0, "it went on from the one before"
    assert first_frame(folders) == 1 and told("replay", data)["digest"] == digest


def test_wrong_usage_is_status_2(venue, tmp_path):
    data, _ = venue
    for arguments in (
        ["archive", data],
        ["archive", tmp_path / "none", "--to", tmp_path / "x"],
        ["retire", data],
        ["restore", tmp_path / "new"],
        ["restore", tmp_path / "new", "--from", tmp_path / "none"],
        ["restore", data, "--from", data / "a", "--dry-run"],
        ["snapshot", tmp_path / "none"],
    ):
        ended = run(*arguments)
        assert (ended.returncode, ended.stdout) == (2, ""), arguments
        assert ended.stderr and "Traceback" not in ended.stderr, arguments
