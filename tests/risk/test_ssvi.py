"""SSVI against its golden vectors, its theorems against the measures of arbitrage."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.risk.surfaces.arbitrage import check
from seawall.risk.surfaces.smile import butterfly
from seawall.risk.surfaces.ssvi import HestonLike, PowerLaw, Ssvi
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "svi_ssvi.json"
GRID = np.arange(-4000, 4001) / 1000

correlations = st.floats(-0.9, 0.9)
thetas = st.floats(1e-4, 2.0)


def surface_of(given):
    if given["family"] == "heston":
        return Ssvi(given["rho"], HestonLike(given["lambda"]))
    return Ssvi(given["rho"], PowerLaw(given["eta"], given["gamma"]))


def test_golden_slices():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["type"] == "ssvi_slice"]
    assert len(cases) > 10
    for case in cases:
        theta, expected = case["input"]["theta"], case["expected"]
        surface = surface_of(case["input"])
        assert surface.curvature.phi(theta) == pytest.approx(expected["phi"], rel=1e-14)
        smile, found = surface.smile(theta), surface.conditions(theta)
        for k, w in expected["w"].items():
            assert float(smile.variance(float(k)).value) == pytest.approx(float(w), rel=1e-14)
        assert found.butterfly_slope == pytest.approx(expected["cond1_theta_phi"], rel=1e-14)
        assert found.butterfly_curvature == pytest.approx(expected["cond2_theta_phi2"], rel=1e-14)
        assert found.no_butterfly == expected["sufficient_no_butterfly"]
        least = butterfly(GRID, smile.variance(GRID)).min()
        assert least == pytest.approx(expected["min_g"], abs=1e-9)
        assert (least < 0 or max(smile.wings()) > 2) == expected["butterfly_arbitrage_numeric"]


def test_a_slice_by_the_formula_itself():
    theta, rho, phi = 0.2, -0.4, HestonLike(2.0).phi(0.2)
    k = np.linspace(-1, 1, 21)
    wanted = 0.5 * theta * (1 + rho * phi * k + np.sqrt((phi * k + rho) ** 2 + 1 - rho**2))
    assert Ssvi(rho, HestonLike(2.0)).smile(theta).variance(k).value == pytest.approx(wanted, rel=1e-13)
    assert phi == pytest.approx((1 - (1 - math.exp(-0.4)) / 0.4) / 0.4, rel=1e-14)


def test_conditions_by_hand():
    """phi, theta phi (1 + |rho|) and theta phi^2 (1 + |rho|) of two surfaces, worked out with 40 digits."""
    for surface, theta, phi, slope, curvature in (
        (Ssvi(-0.365, HestonLike(2.155)), 0.199, 0.4355756789919737, 0.11831759956298478, 0.051536268766347544),
        (Ssvi(0.327, PowerLaw(1.293, 0.28)), 0.3408, 1.4151307232925279, 0.63998098251097, 0.9056567506742117),
    ):
        found = surface.conditions(theta)
        assert surface.curvature.phi(theta) == pytest.approx(phi, rel=1e-14)
        assert found.butterfly_slope == pytest.approx(slope, rel=1e-14)
        assert found.butterfly_curvature == pytest.approx(curvature, rel=1e-14)
        bound = (1 + math.sqrt(1 - surface.rho**2)) / surface.rho**2
        assert found.calendar == pytest.approx(surface.curvature.growth(theta) / bound, rel=1e-12)
        assert found.no_butterfly and found.no_calendar


@settings(deadline=None)
@given(st.floats(0.05, 20.0), st.floats(1e-8, 5.0))
def test_the_heston_like_curve_falls_smoothly(rate, theta):
    curve = HestonLike(rate)
    near, far = curve.phi(theta), curve.phi(theta * (1 + 1e-9))
    assert near * (1 + 1e-14) >= far >= near * (1 - 1e-8) and 0 < near <= 0.5
    assert 0 <= curve.growth(theta) <= 1 + 1e-14


def test_series_and_closed_form_of_the_heston_like_curve_meet():
    for of in (HestonLike(1.0).phi, HestonLike(1.0).growth):
        assert of(0.1 * (1 - 1e-15)) == pytest.approx(of(0.1), rel=1e-14)


@settings(deadline=None)
@given(st.floats(0.05, 20.0), st.floats(0.2, 1.8), st.floats(0.05, 0.95), thetas)
def test_growth_is_the_slope_of_theta_phi(rate, eta, gamma, theta):
    for curve in (HestonLike(rate), PowerLaw(eta, gamma)):
        step = 1e-5 * theta
        slope = ((theta + step) * curve.phi(theta + step) - (theta - step) * curve.phi(theta - step)) / (2 * step)
        assert curve.growth(theta) * curve.phi(theta) == pytest.approx(slope, rel=1e-5, abs=1e-7)


@settings(deadline=None, max_examples=60)
@given(correlations, st.floats(0.1, 3.0), st.floats(0.05, 0.95), st.lists(thetas, min_size=2, max_size=3, unique=True))
def test_what_the_theorems_allow_has_no_arbitrage(rho, eta, gamma, levels):
    surface, levels = Ssvi(rho, PowerLaw(eta, gamma)), sorted(levels)
    found = check([surface.smile(theta) for theta in levels])
    conditions = [surface.conditions(theta) for theta in levels]
    if all(condition.no_butterfly for condition in conditions):
        assert min(row.least_g for row in found.butterflies) > -1e-9
        if all(surface.conditions(theta).no_calendar for theta in np.linspace(levels[0], levels[-1], 50)):
            assert min(row.least_rise for row in found.calendars) > -1e-12


def test_a_surface_outside_the_theorems_is_found_out():
    steep = Ssvi(-0.7, PowerLaw(6.0, 0.4))
    assert not steep.conditions(0.02).no_butterfly
    assert not check([steep.smile(0.02)]).free
    falling = Ssvi(0.3, PowerLaw(1.0, 0.4))
    assert check([falling.smile(0.04), falling.smile(0.02)]).violations > 0


@pytest.mark.parametrize("wrong", [
    lambda: Ssvi(1.0, PowerLaw(1.0, 0.4)), lambda: Ssvi(math.nan, PowerLaw(1.0, 0.4)), lambda: PowerLaw(0.0, 0.4),
    lambda: PowerLaw(1.0, 1.0), lambda: PowerLaw(math.inf, 0.4), lambda: HestonLike(-1.0), lambda: HestonLike(math.nan),
    lambda: Ssvi(0.1, PowerLaw(1.0, 0.4)).smile(0.0), lambda: Ssvi(0.1, PowerLaw(1.0, 0.4)).conditions(-0.1),
])  # fmt: skip
def test_bad_parameters_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
