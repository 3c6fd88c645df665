"""The published margin cases and the portfolios they convert to; skips where the folder of vectors is not beside us."""

import importlib.util
import json
from pathlib import Path

import pytest

from seawall.risk.margin import convert, model

ROOT = Path(__file__).parents[2]
VECTORS = ROOT.parent / "shared" / "vectors"
SCRIPT = ROOT / "examples" / "portfolios_from_vectors.py"


SIXTH = 5.1e-7
"""Half the sixth decimal, and what two ways of summing doubles may differ by where it is a half exactly."""


def script():
    """The converter, as a module."""
    spec = importlib.util.spec_from_file_location("portfolios_from_vectors", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(file):
    """(case, report) of every case of a file that is a portfolio, by the model the converter names."""
    path = VECTORS / file
    if not path.exists():
        pytest.skip(f"golden vectors absent: {file}")
    vectors = json.loads(path.read_text())
    cases = {case["id"]: case for case in vectors["cases"]}
    found = []
    for name, model_name, document in script().convert(vectors):
        report = model(model_name).evaluate(convert(document))
        check_sums(report)
        found.append((cases[name], report))
    assert found
    return found


def check_sums(report):
    """Contributions add up to the requirement, and blocks do."""
    for row in ("initial", "maintenance"):
        asked = getattr(report, row)
        near = pytest.approx(asked, rel=1e-9, abs=1e-9 * max(1.0, abs(report.equity)))
        if len({item.block for item in report.contributions}) <= 1:
            assert sum(getattr(item, row) for item in report.contributions) == near, row
            assert sum(getattr(block, row) for block in report.blocks) == near, row
