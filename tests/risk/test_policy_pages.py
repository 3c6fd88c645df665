"""docs/policy.md and docs/margin-study.md show what the commands print; `python tests/risk/test_policy_pages.py` writes
their outputs anew. The commands name files of the data folder beside the checkout, and are run there."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seawall.cli.main import app
from seawall.risk.margin import models

DOCS = Path(__file__).parents[2] / "docs"
DATA = Path(__file__).parents[3] / "shared" / "data"
PAGES = ("policy.md", "margin-study.md")
PROMPT = "    $ seawall "
SLOW = "--portfolios 1000"
NUMBER = re.compile(r"([+-]?\d[\d,]*)(?:\.(\d+))?(%?)")


def parts(page):
    """(command or None, lines) of a page, in order: each command with its output, else text."""
    found = [(None, [])]
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith(PROMPT):
            found.append((line.removeprefix(PROMPT), []))
        elif found[-1][0] is not None and line and not line.startswith("    "):
            found.append((None, [line]))
        else:
            found[-1][1].append(line)
    return found


def printed(command, monkeypatch=None):
    os.chdir(DATA) if monkeypatch is None else monkeypatch.chdir(DATA)
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code in (0, 1), done.output
    return done.stdout.rstrip("\n")


COMMANDS = [(page, command, lines) for page in PAGES for command, lines in parts(page) if command is not None]
QUICK = [item for item in COMMANDS if SLOW not in item[1]]


def units(number):
    """A number as whole units of its last digit."""
    return int(number[1].replace(",", "") + (number[2] or ""))


def slack(number):
    """What is rounded may differ by one unit of its last digit on another machine; what is counted may not."""
    return 1 if number[2] or number[3] else 0


def check(command, lines, monkeypatch):
    if "prices/" in command and not DATA.is_dir():
        pytest.skip("the price histories are not beside this checkout")
    said = printed(command, monkeypatch) if DATA.is_dir() else CliRunner().invoke(app, command.split()).stdout.rstrip()
    shown = "\n".join(line.removeprefix("    ") for line in lines).strip("\n")
    assert NUMBER.sub("#", re.sub(" +", " ", said)) == NUMBER.sub("#", re.sub(" +", " ", shown))
    for ours, page in zip(NUMBER.finditer(said), NUMBER.finditer(shown), strict=True):
        assert units(ours) == pytest.approx(units(page), rel=0, abs=slack(page)), (ours[0], page[0])


@pytest.mark.parametrize(("page", "command", "lines"), QUICK, ids=[item[1][:60] for item in QUICK])
def test_the_page_shows_what_is_printed(page, command, lines, monkeypatch):
    check(command, lines, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("command", [command for _, command, _ in COMMANDS if SLOW in command])
def test_the_whole_study_is_what_the_page_shows(command, monkeypatch):
    check(command, next(lines for _, other, lines in COMMANDS if other == command), monkeypatch)


def test_what_the_page_says_of_the_maintenance_requirement(monkeypatch):
    if not DATA.is_dir():
        pytest.skip("the price histories are not beside this checkout")
    command = next(command for _, command, _ in COMMANDS if "backtest" in command).split(" --model")[0]
    names = " --model ".join(("", "seawall", "deribit-portfolio", "paradex"))
    found = json.loads(printed(f"{command}{names} --level maintenance --json", monkeypatch))["results"]
    days = {
        model: {row["account"]: row["test"]["exceedances"] for row in found if row["model"] == model}
        for model in ("seawall", "deribit-portfolio", "paradex")
    }
    assert (max(days["seawall"].values()), max(days["deribit-portfolio"].values())) == (2, 6)
    failed = [(row["model"], row["account"]) for row in found if not row["accepted"]]
    assert failed == [("paradex", "short"), ("paradex", "coin collateral")]
    assert (days["paradex"]["short"], days["paradex"]["coin collateral"]) == (39, 28)


def test_every_command_of_the_group_is_shown():
    assert {command.split()[1] for _, command, _ in COMMANDS} == {"calibrate", "backtest", "study"}
    assert any(SLOW in command for _, command, _ in COMMANDS)


def varied():
    """(options, row) of the page's table of assumptions."""
    lines = (DOCS / "margin-study.md").read_text().splitlines()
    return [(line.split("`")[1], line) for line in lines if line.startswith("| `--")]


def row_of(options):
    """The row as the command makes it: shortfall of each model at equal margin on simulated days, and the frontier."""
    done = CliRunner().invoke(app, ["policy", "study", "--portfolios", "1000", *options.split(), "--json"])
    found = json.loads(done.stdout)["comparisons"]["simulated"]
    cells = [f"{row['shortfall']['value']:.2%}" for row in found["equal"]]
    return f"| `{options}` | {' | '.join(cells)} | {', '.join(found['frontier'])} |"


@pytest.mark.soak
@pytest.mark.parametrize(("options", "row"), varied(), ids=[options for options, _ in varied()])
def test_the_table_of_assumptions_stands(options, row):
    assert row_of(options) == row


def test_the_table_of_assumptions_names_every_model():
    head = next(line for line in (DOCS / "margin-study.md").read_text().splitlines() if line.startswith("| | seawall"))
    assert [cell.strip() for cell in head.split("|")[2:-2]] == list(models.OURS)


def write(page):
    """The page with every output made anew."""
    written = []
    for command, lines in parts(page):
        if command is not None:
            print(command, file=sys.stderr)
            lines = [("    " + line).rstrip() for line in printed(command).splitlines()] + [""]
            written.append(PROMPT + command)
        written += [row_of(line.split("`")[1]) if line.startswith("| `--") else line for line in lines]
    (DOCS / page).write_text("\n".join(written).rstrip("\n") + "\n")


if __name__ == "__main__":
    for page in PAGES:
        write(page)
