"""SVI against its golden vectors, its three parameterisations against each other, and Gatheral's g against prices."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seawall.risk import black76
from seawall.risk.surfaces.smile import Combined, butterfly, density
from seawall.risk.surfaces.svi import Hyperbola, Hyperbolas, JumpWings, NaturalSvi, RawSvi
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "svi_ssvi.json"
VOGT = RawSvi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)
"""Gatheral & Jacquier (arXiv:1204.0646), example 3.1, by Axel Vogt: a smile with butterfly arbitrage."""
GRID = np.arange(-4000, 4001) / 1000


@st.composite
def raw_smiles(draw):
    b, sigma = draw(st.floats(0.01, 0.8)), draw(st.floats(0.02, 1.0))
    rho = draw(st.floats(-0.95, 0.95))
    least = draw(st.floats(1e-4, 0.3))
    return RawSvi(least - b * sigma * math.sqrt(1 - rho * rho), b, rho, draw(st.floats(-0.5, 0.5)), sigma)


def test_golden_slices():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["type"] == "svi_slice"]
    assert len(cases) > 30
    for case in cases:
        raw = RawSvi(**{name: float(value) for name, value in case["input"]["raw"].items()})
        check_slice(raw, case["input"]["T"], case["expected"])


def check_slice(raw, years, expected):
    for smile in (raw, raw.hyperbolas()):
        for k, w in expected["w"].items():
            assert float(smile.variance(float(k)).value) == pytest.approx(float(w), rel=5e-15)
        for k, g in expected["g"].items():
            assert float(butterfly(float(k), smile.variance(float(k)))) == pytest.approx(float(g), rel=1e-12, abs=1e-13)
        g = butterfly(GRID, smile.variance(GRID))
        assert g.min() == pytest.approx(expected["min_g"], abs=1e-10)
        assert GRID[g.argmin()] == pytest.approx(expected["argmin_k"], abs=1e-12)
        negative = GRID[g < 0]
        span = [negative[0], negative[-1]] if negative.size else None
        assert (
            span == pytest.approx(expected["negative_g_interval"]) if span else expected["negative_g_interval"] is None
        )
        steepest = max(smile.wings())
        assert steepest == pytest.approx(expected["lee_wing_slope"], rel=1e-14)
        assert (steepest <= 2) == expected["lee_ok"]
        assert (g.min() < 0 or steepest > 2) == expected["butterfly_arbitrage"]
    wings = JumpWings.of(raw, years)
    for name, value in expected["jw"].items():
        assert getattr(wings, name) == pytest.approx(float(value), rel=1e-13)
    for name, value in expected.get("published_jw", {}).items():
        assert getattr(wings, name) == pytest.approx(value, abs=0.6 * 10 ** -len(repr(value).partition(".")[2]))
    for name in ("c", "vt"):
        if f"published_{name}" in expected:
            assert getattr(wings, name) == pytest.approx(expected[f"published_{name}"], rel=1e-6)


def test_vogts_smile_as_published():
    wings = JumpWings.of(VOGT, 1.0)
    published = JumpWings(0.01742625, -0.1752111, 0.6997381, 1.316798, 0.0116249, 1.0)
    for name in ("v", "psi", "p", "c", "vt"):
        assert getattr(wings, name) == pytest.approx(getattr(published, name), rel=1e-6)
    g = butterfly(GRID, VOGT.variance(GRID))
    assert g.min() == pytest.approx(-0.0328635439, abs=1e-9) and GRID[g.argmin()] == 0.879
    # Section 5.1: the call wing and least variance that SSVI would have make it free of arbitrage.
    call = wings.p + 2 * wings.psi
    fixed = JumpWings(
        wings.v, wings.psi, wings.p, call, wings.v * 4 * wings.p * call / (wings.p + call) ** 2, 1.0
    ).raw()
    assert fixed.sigma == pytest.approx(0.11860780291327241, rel=1e-9)
    assert butterfly(GRID, fixed.variance(GRID)).min() > 0.25


@settings(deadline=None)
@given(raw_smiles(), st.floats(0.01, 3.0))
def test_parameterisations_lead_back(raw, years):
    k = np.linspace(-2, 2, 41)
    wanted = raw.variance(k)
    natural = NaturalSvi.of(raw)
    for smile in (natural.raw(), RawSvi.of(raw.hyperbolas())):
        assert smile.variance(k).value == pytest.approx(wanted.value, rel=1e-9, abs=1e-12)
    zeta, away = natural.zeta, k - natural.mu
    root = np.sqrt((zeta * away + natural.rho) ** 2 + 1 - natural.rho**2)
    own = natural.delta + 0.5 * natural.omega * (1 + zeta * natural.rho * away + root)
    assert own == pytest.approx(wanted.value, rel=1e-9, abs=1e-12)
    wings = JumpWings.of(raw, years)
    assume(abs(wings.psi) > 1e-2 and wings.v - wings.vt > 1e-3 * wings.v)
    back = wings.raw()
    assert back.variance(k).value == pytest.approx(wanted.value, rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(raw_smiles(), st.floats(-2, 2))
def test_derivatives_are_slopes(raw, k):
    step = 1e-4
    scale = raw.b / min(1.0, raw.sigma) ** 3
    for smile in (raw, raw.hyperbolas()):
        below, here, above = (smile.variance(k + at * step) for at in (-1, 0, 1))
        assert float(here.slope) == pytest.approx(
            float(above.value - below.value) / (2 * step), abs=1e-6 * scale + 1e-9
        )
        assert float(here.curvature) == pytest.approx(
            float(above.slope - below.slope) / (2 * step), abs=1e-5 * scale / raw.sigma + 1e-9
        )
    assert raw.hyperbolas().wings() == pytest.approx(raw.wings(), abs=1e-15)


@pytest.mark.parametrize("raw", [RawSvi(0.02, 0.2, -0.4, 0.05, 0.2), VOGT])
def test_g_is_the_density_of_the_prices(raw):
    k = np.linspace(-1.5, 1.5, 31)
    step = 1e-3
    strikes = np.exp(k)[:, None] * np.exp(np.array([-step, 0, step]))
    w = raw.variance(np.log(strikes)).value
    calls = black76.price(1.0, strikes, np.sqrt(w), 1.0, 1.0)
    up, down = strikes[:, 2] - strikes[:, 1], strikes[:, 1] - strikes[:, 0]
    bent = 2 * ((calls[:, 2] - calls[:, 1]) / up - (calls[:, 1] - calls[:, 0]) / down) / (up + down)
    # The density of ln(settlement / forward) is strike x the second derivative of the call in strike.
    assert strikes[:, 1] * bent == pytest.approx(density(k, raw.variance(k)), abs=2e-4)


def test_a_density_without_arbitrage_integrates_to_one_and_to_the_forward():
    k = np.linspace(-12, 12, 24001)
    raw = RawSvi(0.02, 0.2, -0.4, 0.05, 0.2)
    of = density(k, raw.variance(k))
    assert of.min() >= 0
    assert np.trapezoid(of, k) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(of * np.exp(k), k) == pytest.approx(1, abs=1e-5)


def test_combined_smiles_are_sums():
    first, second = RawSvi(0.02, 0.2, -0.4, 0.05, 0.2), RawSvi(0.03, 0.1, 0.2, -0.05, 0.3)
    k = np.linspace(-1, 1, 11)
    both = Combined(((0.25, first), (0.75, second)), level=0.01, tilt=0.02)
    a, b, found = first.variance(k), second.variance(k), both.variance(k)
    assert found.value == pytest.approx(0.25 * a.value + 0.75 * b.value + 0.01 + 0.02 * k)
    assert found.slope == pytest.approx(0.25 * a.slope + 0.75 * b.slope + 0.02)
    assert found.curvature == pytest.approx(0.25 * a.curvature + 0.75 * b.curvature)
    left, right = both.wings()
    far = 1e7
    assert left == pytest.approx(float(both.variance(-far).value) / far, rel=1e-5)
    assert right == pytest.approx(float(both.variance(far).value) / far, rel=1e-5)


@pytest.mark.parametrize(("change", "field"), [
    ({"a": math.nan}, "a"), ({"a": -1.0}, "a"), ({"b": -0.1}, "b"), ({"b": math.inf}, "b"), ({"rho": 1.0}, "rho"),
    ({"rho": -1.5}, "rho"), ({"m": math.nan}, "m"), ({"sigma": 0.0}, "sigma"), ({"sigma": -0.1}, "sigma"),
])  # fmt: skip
def test_bad_raw_parameters_are_refused(change, field):
    good = {"a": 0.02, "b": 0.1, "rho": 0.1, "m": 0.0, "sigma": 0.2}
    RawSvi(**good)
    with pytest.raises(InputError) as refused:
        RawSvi(**{**good, **change})
    assert refused.value.field == field


def test_other_bad_parameters_are_refused():
    for wrong in (
        lambda: Hyperbolas(0.1, 0.0, (Hyperbola(-0.1, 0.0, 0.1),)),
        lambda: Hyperbolas(0.1, math.inf, ()),
        lambda: Hyperbolas(0.1, 0.0, (Hyperbola(0.1, 0.0, 0.0),)),
        lambda: RawSvi.of(Hyperbolas(0.1, 0.0, ())),
        lambda: RawSvi.of(Hyperbolas(0.1, 0.0, (Hyperbola(0.0, 0.0, 0.1),))),
        lambda: NaturalSvi(0.0, 0.0, 0.0, -1.0, 1.0).raw(),
        lambda: NaturalSvi(0.0, 0.0, 1.0, 1.0, 1.0).raw(),
        lambda: JumpWings.of(VOGT, 0.0),
        lambda: JumpWings(0.04, 0.0, 0.5, 0.5, 0.03, 1.0).raw(),  # sigma stays open
        lambda: JumpWings(0.04, 5.0, 0.5, 0.5, 0.03, 1.0).raw(),  # steeper than its wings
        lambda: JumpWings(0.04, -0.1, 0.5, 0.5, 0.05, 1.0).raw(),  # least variance above that at the money
        lambda: JumpWings(0.04, -0.1, 0.0, 0.5, 0.03, 1.0).raw(),
        lambda: VOGT.variance(math.nan),
        lambda: butterfly(0.0, Hyperbolas(-0.1, 0.0, ()).variance(0.0)),
    ):
        with pytest.raises(InputError):
            wrong()
