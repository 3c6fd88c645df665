"""Shocks: what they do at the money and off it, that they create no arbitrage, and that too large ones are refused."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_chains import made_chain

from seawall.risk.surfaces import SHOCKS, Surface, calibrate, check, largest_shock, shock
from seawall.risk.surfaces.arbitrage import deviation
from seawall.risk.surfaces.shocks import HIGHEST, LOWEST
from seawall.risk.surfaces.svi import RawSvi
from seawall.vocabulary.errors import InputError

CHAINS = {seed: calibrate(made_chain(seed, expiries=4), "svi2").surface for seed in range(4)}
SURFACE = CHAINS[0]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(CHAINS)), st.sampled_from(sorted(SHOCKS)), st.floats(LOWEST, HIGHEST))
def test_a_shocked_surface_has_no_arbitrage_or_there_is_none(seed, kind, size):
    surface = CHAINS[seed]
    try:
        shocked = shock(surface, kind, size)
    except InputError as refused:
        assert refused.field == "size" and "beyond" in refused.rule
        largest = largest_shock(surface, kind, up=size > 0)
        assert abs(largest) < abs(size)
        assert check(shock(surface, kind, largest).smiles).free
        return
    found = check(shocked.smiles)
    assert found.free and found.violations == 0
    middle = 0.5 * (surface.years[0] + surface.years[1])
    assert check([shocked.smile(middle)]).violations == 0


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(CHAINS)), st.floats(LOWEST, 0.0))
def test_a_parallel_fall_is_always_free_of_arbitrage(seed, size):
    shocked = shock(CHAINS[seed], "parallel", size)
    for years in CHAINS[seed].years:
        k = np.linspace(-0.3, 0.3, 7)
        assert shocked.volatility(k, years) == pytest.approx((1 + size) * CHAINS[seed].volatility(k, years), rel=1e-12)


def test_skew_lifts_one_wing_and_keeps_the_money():
    for size in (-0.3, -0.1, 0.1, 0.3):
        shocked = shock(SURFACE, "skew", size)
        for before, after in zip(SURFACE.smiles, shocked.smiles, strict=True):
            root = deviation(before)
            old, new = (smile.variance(np.array([-root, 0.0, root])) for smile in (before, after))
            assert new.value[1] == pytest.approx(old.value[1], rel=1e-12)
            up, down = (2, 0) if size > 0 else (0, 2)
            assert new.value[up] > old.value[up] and new.value[down] < old.value[down]
            steeper = root * (new.slope[1] - old.slope[1] / (1 + abs(size)))
            assert steeper == pytest.approx(size / (1 + abs(size)) * root**2, rel=1e-9)


def test_term_moves_the_front_most():
    for size in (-0.3, 0.2):
        shocked = shock(SURFACE, "term", size)
        moved = [float(shocked.volatility(0.0, years) / SURFACE.volatility(0.0, years)) - 1 for years in SURFACE.years]
        assert all(abs(later) < abs(sooner) for sooner, later in itertools.pairwise(moved))
        assert all(math.copysign(1, of) == math.copysign(1, size) for of in moved)
        first = SURFACE.years[0]
        assert moved[0] == pytest.approx(size / math.sqrt(1 + 0.5 * first / (30 / 365)), rel=1e-9)


def test_nothing_is_the_smallest_shock():
    k = np.linspace(-0.2, 0.2, 5)
    for kind in SHOCKS:
        same = shock(SURFACE, kind, 0.0)
        for before, after in zip(SURFACE.smiles, same.smiles, strict=True):
            assert after.variance(k).value == pytest.approx(before.variance(k).value, rel=1e-13)


def test_bad_shocks_are_refused():
    for kind, size in (("sideways", 0.1), ("skew", math.nan), ("skew", math.inf), ("term", -1.0), ("parallel", 5.0)):
        with pytest.raises(InputError):
            shock(SURFACE, kind, size)
    steep = Surface((0.1,), (100.0,), (RawSvi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153),))
    with pytest.raises(InputError, match="before"):
        shock(steep, "parallel", -0.1)


def test_a_surface_at_its_limit_says_how_far_it_can_go():
    """w near 2|k| far out: any parallel rise is too steep, and the refusal names the largest that is not."""
    edge = Surface((0.5,), (100.0,), (RawSvi(0.1, 0.9, 0.0, 0.0, 1.2),))
    largest = largest_shock(edge, "parallel", up=True)
    assert 0 < largest < math.sqrt(2 / 0.9) - 1 + 1e-6
    with pytest.raises(InputError, match=f"beyond {largest:.6g}"):
        shock(edge, "parallel", largest + 0.01)
