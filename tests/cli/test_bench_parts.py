"""`seawall bench` measures each part in a process of its own, and a part that ends otherwise is no clean result."""

import json

import pytest
from typer.testing import CliRunner

from seawall.cli import bench
from seawall.cli.bench_rows import at_most
from seawall.cli.main import app

ROW = at_most("time", 2.0, "s", 1, "a yardstick")


def parts_that(monkeypatch, ends):
    """Parts whose process prints a document with ROW and the words it was called with, and ends so."""
    document = {"rows": [ROW._asdict()]}
    code = f"import json, sys; print(json.dumps({document!r} | {{'argv': sys.argv}})); sys.exit({ends})"
    monkeypatch.setattr(bench, "START", code if ends < 2 else f"import sys; sys.exit({ends})")


def test_rows_of_several_parts_are_put_together(monkeypatch):
    parts_that(monkeypatch, 1)
    done = CliRunner().invoke(app, ["bench", "engine", "replay", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["rows"] == [ROW._asdict()] * 2


def test_one_part_is_measured_here(monkeypatch):
    parts_that(monkeypatch, 3)
    monkeypatch.setitem(bench.PARTS, "replay", lambda: [ROW])
    done = CliRunner().invoke(app, ["bench", "replay", "--json"])
    assert json.loads(done.stdout)["rows"] == [ROW._asdict()]


def test_a_part_that_breaks_is_told_of(monkeypatch):
    parts_that(monkeypatch, 3)
    with pytest.raises(RuntimeError, match="engine ended with 3"):
        bench._apart("engine")
