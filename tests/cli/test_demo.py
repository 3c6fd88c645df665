"""The demo tells the truth: it holds on a seed never seen before, without plotly, and fails when a check fails."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from test_cli import run

from seawall.cli.demonstration.report import report
from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.venue import Venue
from seawall.cli.demonstration.writer import FRAME
from seawall.cli.output import answer
from seawall.journal import folders_of, verify
from seawall.node import Configuration, replay

CONTROL = re.compile(r"C\d\d")
NO_PLOTLY = "import sys; sys.modules['plotly'] = None\n"


class Outside(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "href") and value]


def test_the_demo_holds_and_can_be_run_again(tmp_path):
    ended = run("demo", "--out", tmp_path / "d", "--seed", 11, "--json", before=NO_PLOTLY)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    document = json.loads(ended.stdout)
    assert document["ok"] and all(check["ok"] for check in document["checks"]) and len(document["checks"]) >= 35
    assert {"MARGIN", "BELOW_PRICE", "BELOW_REQUIREMENT", "WITHDRAWAL_MARGIN"} <= {
        refusal["outcome"].removeprefix("refused, ") for refusal in document["refusals"]
    }
    shown = {word for check in document["checks"] for word in check["claim"].split() if CONTROL.fullmatch(word)}
    assert len(shown) >= 20, shown
    data = Path(document["journal"])
    found = verify(folders_of(data))
    assert found.ok and found.head_hash.hex() == document["facts"]["head"]
    assert replay(folders_of(data), "fast").digest == document["facts"]["digest"]
    page = Outside()
    text = Path(document["report"]).read_text()
    page.feed(text)
    assert not page.fetched and "script" not in page.tags and "seawall[report]" in text
    assert Configuration.read(tmp_path / "d" / "seawall.toml").folders == tuple(
        folder.absolute() for folder in folders_of(data)
    )

    again = run("demo", "--out", tmp_path / "d", "--seed", 11)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{document['facts']['trading digest'][:16]}…" in again.stdout, "the same seed traded otherwise"
    assert "Traceback" not in again.stderr


def test_the_demo_leaves_a_strangers_folder_alone(tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "mine").write_text("precious")
    ended = run("demo", "--out", tmp_path)
    assert ended.returncode == 2 and "--out" in ended.stderr
    assert (tmp_path / "journal" / "mine").read_text() == "precious"


def test_a_failed_check_is_a_failed_demo(tmp_path, capsys):
    story = Story(tmp_path, as_json=True)
    story.check("the sky is blue", True)
    story.check("the sea is dry", False)
    with pytest.raises(typer.Exit) as ended:
        answer(True, story.end)
    assert ended.value.exit_code == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["ok"] and [check["ok"] for check in document["checks"]] == [True, False]


def test_the_writer_acknowledges_what_the_journal_holds(tmp_path):
    """The child of act 4, killed by this test: every whole line it wrote is a frame with that digest."""
    settings = tmp_path / "seawall.toml"
    configuration = Configuration.of({"data": str(tmp_path / "journal"), "engine": "reference"})
    settings.write_text(configuration.toml())
    writer = subprocess.Popen(
        [sys.executable, "-m", "seawall.cli.demonstration.writer", str(settings)], stdout=subprocess.PIPE, text=True
    )
    lines = [writer.stdout.readline().split() for _ in range(40)]
    writer.kill()
    lines += [line.split() for line in writer.stdout if line.endswith("\n")]
    writer.stdout.close()
    writer.wait()
    digests, ends = {}, {}
    venue = None

    def see(frame, events):
        ends[frame.number] = frame.first_seq + len(frame.commands) - 1
        if frame.digest_frame:
            digests[frame.digest_frame] = frame.digest.hex()

    venue = Venue.start(configuration, life=1, witness=see)
    venue.close(Story(tmp_path, as_json=True))
    for number, seq, digest in lines:
        assert ends[int(number)] == int(seq)
        assert digests.get(int(number), digest) == digest
    assert len(lines) >= 40 and max(len(line) for line in lines) == 3 and FRAME < 64
    assert venue.node.replayed.checked >= 38


def test_the_report_has_plots_where_plotly_is_and_fetches_nothing(tmp_path):
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    story = Story(tmp_path, as_json=True)
    series = story.series
    series.minutes, series.index = [1.0, 2.0], {"BTC": [60_000.0, 61_000.0]}
    series.trades, series.margins = [(1.5, 60_500.0)], {"Ann <b>": [(1.0, 2.0), (3.0, 4.0)]}
    series.refusals, series.latencies_us = {"MARGIN": 3}, [900.0, 1_100.0]
    report(story, Configuration())
    text = (tmp_path / "report.html").read_text()
    page = Outside()
    page.feed(text)
    assert not page.fetched and text.count("Plotly.newPlot") >= 4
    assert "Ann &lt;b&gt;" in text and "<b>" not in text.partition("<h2>Index prices")[2]
    assert all(check.ok for check in story.checks)
