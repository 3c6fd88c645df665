"""Hagan's SABR against its golden vectors and its own limits."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.risk.surfaces.arbitrage import check
from seawall.risk.surfaces.sabr import Sabr, SabrSmile
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "sabr_hagan.json"
GOOD = Sabr(0.1, 0.5, 0.1, 0.3)


def test_golden_vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = json.loads(VECTORS.read_text())["cases"]
    assert len(cases) > 40
    for case in cases:
        given = case["input"]
        found = Sabr(*(given[name] for name in ("alpha", "beta", "rho", "nu"))).volatility(
            given["f"], given["K"], given["T"]
        )
        tolerance = case["expected"].get("tolerance_abs", 2e-15)
        assert float(found) == pytest.approx(float(case["expected"]["vol"]), rel=1e-15, abs=tolerance), case["id"]


def test_a_published_value():
    """ynouri/pysabr, tests/hagan_2002_lognormal_sabr, full precision case."""
    model = Sabr(0.0252982247897366, 0.5, -0.246333975445481, 0.290846563252973)
    assert float(model.volatility(0.0552715567337258, 0.0602715567337258, 10)) == pytest.approx(
        0.108917434151064, abs=1e-14
    )


def test_at_the_money_is_the_limit():
    model = Sabr(0.8, 0.7, -0.4, 1.3)
    strikes = 100 * np.exp(np.array([-1e-3, -1e-6, -1e-9, 0.0, 1e-9, 1e-6, 1e-3]))
    found = model.volatility(100.0, strikes, 0.5)
    assert np.ptp(found[1:-1]) < 1e-5 * found[3] and np.ptp(found) < 1e-2 * found[3]
    assert max(abs(found[2] - found[3]), abs(found[4] - found[3])) < 1e-8 * found[3]


@settings(deadline=None)
@given(st.floats(0.05, 2.0), st.floats(-0.95, 0.95), st.floats(0.0, 3.0), st.floats(0.01, 0.5), st.floats(-1.0, 1.0))
def test_the_smile_is_the_lognormal_formula_with_its_slopes(alpha, rho, nu, years, k):
    model = Sabr(alpha, 1.0, rho, nu)
    try:
        smile = SabrSmile(alpha, rho, nu, years)
    except InputError:
        with pytest.raises(InputError):
            model.volatility(1.0, math.exp(k), years)
        return
    here = smile.variance(k)
    assert float(here.value) == pytest.approx(float(model.volatility(1.0, math.exp(k), years)) ** 2 * years, rel=1e-12)
    step = 1e-4
    below, above = smile.variance(k - step), smile.variance(k + step)
    scale = float(here.value) * (1 + nu / alpha) ** 2
    assert float(here.slope) == pytest.approx(float(above.value - below.value) / (2 * step), abs=1e-4 * scale)
    assert float(here.curvature) == pytest.approx(
        float(above.slope - below.slope) / (2 * step), abs=1e-2 * scale + 1e-9
    )


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.6])
def test_series_and_formula_meet(rho):
    smile = SabrSmile(0.5, rho, 0.5, 0.1)
    edge = 1e-3
    for side in (-1, 1):
        inside, outside = smile.variance(side * edge * 0.9999), smile.variance(side * edge * 1.0001)
        for near, far in zip(inside, outside, strict=True):
            assert float(near) == pytest.approx(float(far), rel=1e-5, abs=1e-7)


def test_without_volatility_of_volatility_the_smile_is_flat():
    smile = SabrSmile(0.6, 0.3, 0.0, 0.25)
    assert smile.variance(np.linspace(-1, 1, 5)).value == pytest.approx(0.36 * 0.25, rel=1e-15)
    assert check([smile]).free


def test_its_arbitrage_is_measured():
    found = check([SabrSmile(0.6, -0.3, 4.0, 0.25)])
    assert not found.free and found.butterflies[0].left is None


@pytest.mark.parametrize("wrong", [
    lambda: Sabr(0.0, 0.5, 0.1, 0.3), lambda: Sabr(-0.1, 0.5, 0.1, 0.3), lambda: Sabr(0.1, 1.5, 0.1, 0.3),
    lambda: Sabr(0.1, -0.5, 0.1, 0.3), lambda: Sabr(0.1, 0.5, 1.0, 0.3), lambda: Sabr(0.1, 0.5, 0.1, -0.3),
    lambda: Sabr(math.nan, 0.5, 0.1, 0.3), lambda: Sabr(0.1, 0.5, 0.1, math.inf),
    lambda: GOOD.volatility(0.0, 1.0, 1.0), lambda: GOOD.volatility(1.0, -1.0, 1.0),
    lambda: GOOD.volatility(1.0, math.nan, 1.0), lambda: GOOD.volatility(1.0, 1.0, 0.0),
    lambda: Sabr(0.1, 0.5, -0.9, 3.0).volatility(1.0, 1.0, 30.0),  # the expansion turns negative
    lambda: SabrSmile(0.1, 0.5, 0.3, 0.0), lambda: SabrSmile(0.1, -0.95, 3.0, 30.0),
])  # fmt: skip
def test_bad_parameters_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
