"""The command line's conventions: instant help, one document with --json, and what the exit status says."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

import seawall
from seawall.cli.main import COMMANDS
from seawall.cli.output import told
from seawall.journal import Journal, folders_of
from seawall.node import Configuration, Node
from seawall.vocabulary.errors import OutcomeUnknown
from seawall.vocabulary.records import Kind, VenueState, command

SOURCE = Path(seawall.__file__).parents[1]
CODE = "from seawall.cli.main import main; main()"


def run(*arguments, before="", **environment):
    return subprocess.run(
        [sys.executable, "-c", before + CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        timeout=120,
    )


@pytest.fixture
def data(tmp_path):
    """A small clean journal."""
    node = Node.start(Configuration.of({"data": str(tmp_path / "journal"), "engine": "reference"}), lambda: 10**18)
    for state in (VenueState.REDUCE_ONLY, VenueState.HALTED):
        node.submit(command(Kind.STATE, state=state))
    node.stop()
    return tmp_path / "journal"


def flip(data, page, copy="b"):
    with (data / copy / "00000000.seg").open("r+b") as file:
        file.seek(page * 4096 + 2000)
        (value,) = file.read(1)
        file.seek(page * 4096 + 2000)
        file.write(bytes([value ^ 1]))


def test_help_loads_nothing_that_computes_and_lists_every_command():
    """So it is there at once: what computes takes a second or ten to load."""
    told = "lambda: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    shown = run("--help", before=f"import atexit, sys; atexit.register({told});")
    public = {name for name in shown.stderr.split() if name[0] != "_"} - sys.stdlib_module_names
    assert shown.returncode == 0 and public <= {"annotated_doc", "seawall", "shellingham", "typer"}
    for name, _ in COMMANDS:
        assert f"  {name} " in shown.stdout


def called_as(name, made):
    """The words of a command; of a group, of each in it."""
    return [[name, one.name] for one in made.registered_commands] if isinstance(made, typer.Typer) else [[name]]


@pytest.mark.parametrize("called", [words for row in COMMANDS for words in called_as(*row)], ids=" ".join)
def test_every_command_has_help_and_json(called):
    shown = run(*called, "--help")
    assert shown.returncode == 0 and "--json" in shown.stdout


def test_version():
    assert run("--version").stdout.strip() == seawall.__version__


def test_wrong_usage_is_status_2(tmp_path):
    for arguments in (
        ["nonsense"],
        ["replay"],
        ["replay", tmp_path, "--config", tmp_path / "x.toml"],
        ["verify", "--config", tmp_path / "x.toml"],
        ["replay", tmp_path / "none"],
        ["verify", tmp_path / "none"],
        ["replay", tmp_path, "--engine", "guess"],
        ["demo", "--seed", "-1"],
        ["demo", "--out", tmp_path / "x", "--engine", "guess"],
    ):
        ended = run(*arguments)
        assert (ended.returncode, ended.stdout) == (2, ""), arguments
        assert ended.stderr and "Traceback" not in ended.stderr, arguments


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_replay_says_what_the_fold_gave(data, engine):
    document = json.loads(run("replay", data, "--engine", engine, "--json").stdout)
    assert document["ok"] and document["commands"] == 5 and document["events"] == 3 and document["checked"] == 3
    assert len(document["digest"]) == 64 and document["commands_per_s"] > 0
    assert document["snapshots_differ"] == []
    shown = run("replay", data, "--engine", engine)
    assert shown.returncode == 0 and document["digest"] in shown.stdout


def test_replay_by_configuration_file_and_mirror_elsewhere(data, tmp_path):
    (tmp_path / "other").mkdir()
    (data / "b").rename(tmp_path / "other" / "b")
    settings = tmp_path / "seawall.toml"
    settings.write_text('data = "journal"\nmirror = "other"\n')
    for arguments in (["--config", settings], [data, "--mirror", tmp_path / "other"]):
        assert run("verify", *arguments).returncode == 0
        assert run("replay", *arguments, "--engine", "reference").returncode == 0
    assert run("verify", data).returncode == 1


def test_replay_of_a_journal_that_lies_is_status_1(tmp_path):
    journal = Journal.create(folders_of(tmp_path), segment_bytes=1 << 18)
    record = command(Kind.STATE, state=VenueState.HALTED, seq=1)
    journal.commit(record)
    record["seq"] = 2
    journal.commit(record, digest=(1, hashlib.sha256(b"other events").digest()))
    journal.close()
    ended = run("replay", tmp_path, "--engine", "reference", "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1 and document["error"] == "ReplayMismatch" and document["frame"] == 1
    assert document["found"] != document["expected"] == hashlib.sha256(b"other events").hexdigest()


def test_verify_names_the_damage(data):
    sound = run("verify", data, "--json")
    document = json.loads(sound.stdout)
    assert sound.returncode == 0 and document["ok"] and document["commands"] == 5 and not document["damage"]
    flip(data, 2)
    ended = run("verify", data, "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1 and document["repairable"] and document["first_bad_frame"] == 2
    (damage,) = document["damage"]
    assert (damage["folder"], damage["segment"], damage["page"], damage["frame"]) == (str(data / "b"), 0, 2, 2)
    shown = run("verify", data)
    assert shown.returncode == 1 and f"{data / 'b'}: segment 0, page 2, frame 2" in shown.stdout


def test_damage_in_both_copies_is_refused_by_name(data):
    flip(data, 2)
    flip(data, 2, "a")
    ended = run("verify", data, "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1 and not document["repairable"] and document["corrupt"]
    ended = run("replay", data, "--engine", "reference", "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1 and document["error"] == "JournalCorrupt" and document["frame"] == 2


def test_words_exist_for_every_refusal():
    from seawall.cli.demonstration.wording import words
    from seawall.vocabulary.reasons import Reason
    from seawall.vocabulary.records import EVENT, EventKind

    for reason in Reason:
        for instrument in (0, 9, 99):
            event = np.zeros(1, EVENT)[0]
            event["kind"], event["reason"], event["instrument"] = EventKind.REFUSED, reason, instrument
            event["a"], event["b"], event["price"] = (1, 2, 3)
            assert words(event)


def test_a_full_disk_is_told_with_where_the_way_out_is_written():
    full = OutcomeUnknown("opening a and b: [Errno 28]")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "disk_time" in told(full) and "disk_time" not in told(OutcomeUnknown("a sync failed"))
    assert "is full" in (SOURCE.parent / "docs" / "runbook.md").read_text().partition("## `disk_time`")[2]


@pytest.mark.parametrize("arguments", [
    ("status", "--url", "http://[::1"),
    ("status", "--url", "http://127.0.0.1:99999"),
    ("status", "--url", "http://ann:hunter2@127.0.0.1:1"),
    ("serve", "--dev", "--log-level", "loud", "--data", "nowhere"),
    ("halt", "venue", "--lift", "--reason", "x", "--until", "0001-01-01T00:00+23:00", "--url", "http://127.0.0.1:1"),
    ("demo", "--out", __file__),
    ("demo", "--out", f"{__file__}/x"),
    ("receipt", "nowhere", "1", "--out", "."),
])  # fmt: skip
def test_wrong_input_is_named_and_no_traceback(arguments):
    done = run(*arguments, SEAWALL_OPS_TOKEN="x")
    assert done.returncode == 2 and "must be" in done.stderr and "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_desk_needs_no_settings_file(tmp_path):
    """The first command of docs/desk.md: it was answered "give either --dev or --config FILE"."""
    keys = tmp_path / "keys.toml"
    keys.touch(0o600)
    keys.write_text('[main]\nkey = "k"\nsecret = "s"\n')
    behind = ("--upstream", "http://127.0.0.1:1", "--observe", "--upstream-keys", keys)
    done = run("serve", *behind, "--data", tmp_path / "desk", "--port", "0", "--ops-port", "0")
    assert done.returncode == 1 and "127.0.0.1:1" in done.stderr and (tmp_path / "desk" / "a").is_dir()


@pytest.mark.parametrize(("given", "named"), [
    (("serve", "--config", "{file}", "--data", "restored"), "--data"),
    (("serve", "--config", "{file}", "--dev", "--upstream", "http://127.0.0.1:1", "--observe", "--rate-limits"),
     "--rate-limits"),
    (("serve", "--upstream", "http://127.0.0.1:1", "--observe", "--rate-limits"), "--rate-limits"),
    (("serve", "--dev", "--port", "0", "--data", "{file}/x", "--upstream-keys", "{file}"), "--upstream-keys"),
    (("verify", "--config", "{file}", "--mirror", "other"), "--mirror"),
])  # fmt: skip
def test_an_option_that_would_be_passed_over_is_refused(tmp_path, given, named):
    file = tmp_path / "seawall.toml"
    file.write_text('margin.model = "none"\n')  # so that nothing starts where an option is passed over
    done = run(*(one.format(file=file) for one in given))
    assert done.returncode == 2 and done.stderr.startswith(f"Error: {named} = "), done.stderr
