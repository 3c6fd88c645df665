"""`seawall import`: a journal that replays alike on both engines, or a refusal that leaves nothing behind."""

import json

import pytest
import typer
from recorded import Tape
from typer.testing import CliRunner

from seawall.cli.import_ import import_command
from seawall.journal import folders_of, frames, verify
from seawall.node import replay
from seawall.sim.recording import record_synthetic
from seawall.vocabulary.records import BUY, Kind

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command("import")(import_command)
ASKED = {"commands", "trades_recorded", "trades_reproduced", "book_checks", "book_differences"}
ASKED |= {"causes", "trades_with_complete_depth", "share_reproduced", "seconds"}


def run(*arguments):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


@pytest.fixture
def made(tmp_path):
    file = tmp_path / "made.jsonl.gz"
    record_synthetic(file, 11, steps=500, every=4)
    return file


def test_a_recording_becomes_a_journal_both_engines_fold_alike(made, tmp_path):
    done = run(made, "--data", tmp_path / "venue", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document.keys() >= ASKED and document["ok"] and document["book_differences"] == 0
    folders = folders_of(tmp_path / "venue")
    checked = verify(folders)
    assert checked.ok and checked.commands == document["commands"] + 3  # OPENED, RULES and CLOSED are the node's
    fast, reference = replay(folders, "fast"), replay(folders, "reference")
    assert fast.digest == reference.digest and fast.checked == fast.frames - 1
    assert fast.conserved and reference.conserved


def test_commands_bear_the_exchange_s_time(made, tmp_path):
    assert run(made, "--data", tmp_path / "venue").exit_code == 0
    times = [int(time) for frame in frames(folders_of(tmp_path / "venue")) for time in frame.commands["time"]]
    assert times == sorted(times)
    assert 1_772_431_200 <= times[0] // 10**9 <= times[-1] // 10**9 <= 1_772_431_300


def test_a_limit_imports_the_lines_asked_for(made, tmp_path):
    document = json.loads(run(made, "--data", tmp_path / "venue", "--limit", 300, "--json").stdout)
    assert document["lines"] == 300


def test_the_reference_engine_finds_the_same(made, tmp_path):
    found = [
        json.loads(run(made, "--data", tmp_path / name, "--engine", name, "--json").stdout)
        for name in ("fast", "reference")
    ]
    for name in ASKED - {"seconds"}:
        assert found[0][name] == found[1][name]


def test_the_table_says_what_was_reproduced_and_why_not_the_rest(made, tmp_path):
    shown = run(made, "--data", tmp_path / "venue").stdout
    for words in ("trades recorded", "reproduced at price and size", "before the first depth", "book differences"):
        assert words in shown


def test_a_dry_run_finds_the_same_and_writes_nothing(made, tmp_path):
    dry = json.loads(run(made, "--data", tmp_path / "venue", "--dry-run", "--json").stdout)
    assert not (tmp_path / "venue").exists()
    real = json.loads(run(made, "--data", tmp_path / "venue", "--json").stdout)
    for name in ASKED - {"seconds"}:
        assert dry[name] == real[name]


def test_bad_input_ends_with_two_names_the_line_and_writes_nothing(made, tmp_path):
    data = made.read_bytes()
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(data[: len(data) * 2 // 3])
    nowhere = tmp_path / "nowhere.jsonl.gz"
    strange = Tape().depth(1).depth(2)
    strange.rows[1] = strange.rows[1].replace("depth", "kline")
    for file, words in ((torn, "gzip"), (nowhere, "readable"), (strange.write(tmp_path, "strange.jsonl.gz"), ":2 =")):
        done = run(file, "--data", tmp_path / "venue")
        assert done.exit_code == 2 and str(file) in done.stderr and words in done.stderr
        assert "Traceback" not in done.output and not (tmp_path / "venue").exists()


def test_a_level_beyond_all_is_refused_before_there_is_a_journal(tmp_path):
    file = Tape().snapshot(1, [(6000, 10**18)], [(6001, 1)]).depth(2).write(tmp_path)
    for more in ((), ("--dry-run",)):
        done = run(file, "--data", tmp_path / "venue", *more)
        assert done.exit_code == 2 and "made.jsonl.gz:1 = " in done.stderr and "largest orders" in done.stderr
        assert not (tmp_path / "venue").exists()


def test_a_folder_that_holds_a_journal_is_left_alone(made, tmp_path):
    assert run(made, "--data", tmp_path / "venue", "--limit", 300).exit_code == 0
    before = verify(folders_of(tmp_path / "venue")).head_hash
    done = run(made, "--data", tmp_path / "venue")
    assert done.exit_code == 2 and "must not hold a journal" in done.stderr
    assert verify(folders_of(tmp_path / "venue")).head_hash == before


def test_an_unknown_engine_is_refused(made, tmp_path):
    assert run(made, "--data", tmp_path / "venue", "--engine", "other").exit_code == 2


def test_a_refused_aggressor_makes_the_answer_no(tmp_path):
    file = Tape().snapshot(100, [(6000, 5)], [(6001, 4)]).depth(110, ms=1).trade(BUY, 6001 * 5, 1, ms=2).write(tmp_path)
    done = run(file, "--data", tmp_path / "venue", "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1 and not document["ok"] and document["refused"] == 1
    assert "beyond the band" in document["first_refusal"]


def test_a_failure_on_the_way_leaves_an_unclosed_journal(made, tmp_path, monkeypatch):
    from seawall.prices import Importer

    def hear(self, events):
        raise OSError("gone")

    monkeypatch.setattr(Importer, "hear", hear)
    done = run(made, "--data", tmp_path / "venue")
    assert isinstance(done.exception, OSError)
    kinds = [int(kind) for frame in frames(folders_of(tmp_path / "venue")) for kind in frame.commands["kind"]]
    assert kinds[0] == Kind.OPENED and Kind.CLOSED not in kinds
