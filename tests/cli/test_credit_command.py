"""`seawall credit`: the page shows what it prints, --json gives one document, bad files are refused by name."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seawall.cli.credit import METHODS
from seawall.cli.main import app

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def shown():
    """(arguments, printed lines) of each command in the page."""
    found, lines = [], (ROOT / "docs" / "credit.md").read_text().splitlines()
    for line in lines:
        if line.startswith("    $ seawall "):
            found.append((line.removeprefix("    $ seawall ").split(), []))
            continue
        if found and line and not line.startswith("    "):
            found.append(([], []))  # the page goes on; what is indented later belongs to a later command
        if found:
            found[-1][1].append(line.removeprefix("    "))
    return [(words, "\n".join(printed).strip("\n")) for words, printed in found if words]


def run(monkeypatch, *words):
    monkeypatch.chdir(ROOT)
    return CliRunner().invoke(app, list(words))


def test_every_method_is_shown():
    assert [words[1] for words, _ in shown()] == list(METHODS)


@pytest.mark.parametrize(("words", "printed"), shown(), ids=[words[1] for words, _ in shown()])
def test_the_page_shows_what_is_printed(monkeypatch, words, printed):
    done = run(monkeypatch, *words)
    assert done.exit_code == 0, done.output
    said = done.stdout.strip("\n")
    assert NUMBER.sub("#", re.sub(" +", " ", said)) == NUMBER.sub("#", re.sub(" +", " ", printed))
    for ours, page in zip(NUMBER.findall(said), NUMBER.findall(printed), strict=True):
        # Standard errors, the smallest figures shown, may differ in the last digit on another machine.
        assert float(ours.replace(",", "")) == pytest.approx(float(page.replace(",", "")), rel=1e-6, abs=0.11)


@pytest.mark.parametrize("words", [words for words, _ in shown()], ids=[words[1] for words, _ in shown()])
def test_json_is_one_document(monkeypatch, words):
    done = run(monkeypatch, *words, "--json")
    document = json.loads(done.stdout)
    assert document["ok"] and done.exit_code == 0


def test_another_seed_gives_other_paths(monkeypatch):
    words = ["credit", "exposure", "examples/credit/counterparty.json", "--json", "--points", "256"]
    first, again, other = (run(monkeypatch, *words, "--seed", seed).stdout for seed in ("1", "1", "2"))
    assert first == again != other


NETTING_SET = json.loads((ROOT / "examples" / "credit" / "netting-set.json").read_text())


@pytest.mark.parametrize(("said", "change"), [
    ("trades[0].notional", {"trades": [{**NETTING_SET["trades"][0], "notional": -1}]}),
    ("trades[0]", {"trades": [{**NETTING_SET["trades"][0], "notonal": 1}]}),
    ("trades[0].end", {"trades": [{**NETTING_SET["trades"][0], "end": "soon"}]}),
    ("trades", {"trades": []}),
    ("collateral", {"collateral": 1e30}),
])  # fmt: skip
def test_bad_files_are_refused_by_name(monkeypatch, tmp_path, said, change):
    file = tmp_path / "set.json"
    file.write_text(json.dumps({**NETTING_SET, **change}))
    done = run(monkeypatch, "credit", "sa-ccr", str(file))
    assert done.exit_code == 2 and not done.stdout
    assert f"Error: {said} = " in done.stderr


@pytest.mark.parametrize(("said", "end"), [
    ("collateral = 1000000.0: must appear once", ', "collateral": 1e6}'),
    ("FILE = 'NaN': must hold finite numbers", ', "more": NaN}'),
])  # fmt: skip
def test_a_member_given_twice_is_refused(monkeypatch, tmp_path, said, end):
    """The last of two would count: here a million of collateral."""
    file = tmp_path / "set.json"
    file.write_text(json.dumps({**NETTING_SET, "collateral": 0.0})[:-1] + end)
    done = run(monkeypatch, "credit", "sa-ccr", str(file))
    assert done.exit_code == 2 and not done.stdout
    assert f"Error: {said}" in done.stderr


@pytest.mark.parametrize(("said", "words"), [
    ("METHOD", ["credit", "cva", "none.json"]),
    ("FILE", ["credit", "sa-ccr", "none.json"]),
    ("parameters", ["credit", "simm", "examples/credit/crif.json"]),
    ("parameters", ["credit", "sa-ccr", "examples/credit/netting-set.json", "--parameters", "none.json"]),
    ("parameters", ["credit", "simm", "examples/credit/crif.json", "--parameters", "none.json"]),
    ("FILE", ["credit", "sa-ccr", "docs/credit.md"]),
])  # fmt: skip
def test_wrong_use_is_refused_by_name(monkeypatch, said, words):
    done = run(monkeypatch, *words)
    assert done.exit_code == 2 and not done.stdout
    assert f"Error: {said} = " in done.stderr
