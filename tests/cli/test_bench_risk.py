"""`seawall bench risk` in small: a row for each figure, and one that says so for what this machine cannot run."""

import importlib.metadata
import sys

import pytest

from seawall.cli import bench, bench_revaluation, bench_risk, bench_surface


@pytest.fixture
def small(monkeypatch, tmp_path):
    fitted = bench_surface.surface_rows  # of a recorded chain, which has a test of its own
    monkeypatch.setattr(bench_surface, "surface_rows", lambda: fitted(tmp_path))
    for name, size in (("OPTIONS", 2_000), ("PRICES", 2_000), ("SCALAR", 20), ("ROUNDS", 1), ("SAMPLE", 2)):
        monkeypatch.setattr(bench_risk, name, size)
    for name, size in (("ACCOUNTS", 20), ("INSTRUMENTS", 60), ("REMARKED", 20), ("SAMPLE", 20), ("ROUNDS", 1)):
        monkeypatch.setattr(bench_revaluation, name, size)


def test_without_compiler_and_oracles_their_rows_are_not_run(small, monkeypatch):
    monkeypatch.setattr(bench_risk.shutil, "which", lambda name: None)
    for name in ("mpmath", "QuantLib", "py_lets_be_rational"):
        monkeypatch.setitem(sys.modules, name, None)
    rows = bench_risk.rows()
    missed = [row for row in rows if row.holds is None]
    assert len(rows) == 16 and len(missed) == 13
    assert all(row.against.startswith("NOT RUN: ") and row.value is None for row in missed)
    shown = bench._table({"machine": "a machine", "commit": "one"}, missed)
    assert shown.count("not run\n") == 13 and "holds" not in shown and "FALLS" not in shown
    assert "no C compiler" in missed[0].against and "QuantLib is not installed" in missed[1].against


def test_errors_hold_and_versions_are_told(small):
    for name in ("mpmath", "QuantLib", "py_lets_be_rational"):
        pytest.importorskip(name, reason=f"{name}, of the extra test, is what is compared with")
    rows = {row.name: row for row in bench_risk.rows()}
    assert len(rows) == 16
    against = rows["price + delta + vega: QuantLib's time / ours"].against
    assert importlib.metadata.version("QuantLib") in against
    exact = [row for row in rows.values() if row.against.startswith("mpmath")]
    assert len(exact) == 5 and all(row.holds for row in exact)
    assert all(row.value > 0 for row in rows.values() if row.holds is not None)
