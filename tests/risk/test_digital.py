"""European binaries against Haug's examples, their identities and their limits."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest
from exotic_terms import PRINTED, cases, diffusions, kind, market, ratios, signs
from hypothesis import given, settings

from seawall.risk import black76
from seawall.risk.exotics import CALL, PUT, Diffusion, digital
from seawall.vocabulary.errors import InputError


def european(case):
    """The price that we give a European golden case; None where the case is of another kind."""
    terms = case["input"]
    if case["type"] == "cash_or_nothing_european":
        return digital.cash_or_nothing(market(terms), terms["strike"], kind(terms["option"]), terms["cash"])
    if case["type"] == "asset_or_nothing_european":
        return digital.asset_or_nothing(market(terms), terms["strike"], kind(terms["option"]))
    if case["type"] == "gap_european":
        return digital.gap(market(terms), terms["strike"], terms["payoff_strike"], kind(terms["option"]))
    return None


def test_golden_vectors():
    priced = [(case, european(case)) for case in cases("digital_options.json")]
    priced = [(case, price) for case, price in priced if price is not None]
    assert len(priced) >= 3
    for case, price in priced:
        assert float(price) == pytest.approx(case["expected"]["price"], abs=PRINTED), case["id"]


def test_haugs_examples():
    # E. G. Haug, Option Pricing Formulas, 1998, pages 88 to 90
    cash = digital.cash_or_nothing(Diffusion(100.0, 0.35, 0.75, 0.06, 0.0), 80, PUT, 10)
    asset = digital.asset_or_nothing(Diffusion(70.0, 0.27, 0.5, 0.07, 0.02), 65, PUT)
    gap = digital.gap(Diffusion(50.0, 0.20, 0.5, 0.09, 0.09), 50, 57, CALL)
    assert [round(float(price), 4) for price in (cash, asset, gap)] == [2.6710, 20.2069, -0.0053]


@settings(deadline=None)
@given(diffusions, ratios)
def test_call_and_put_together_pay_always(diffusion, ratio):
    strike, both = float(diffusion.spot) * ratio, np.array([CALL, PUT])
    cash, asset = digital.cash_or_nothing(diffusion, strike, both), digital.asset_or_nothing(diffusion, strike, both)
    assert cash.sum() == pytest.approx(float(diffusion.discount), rel=1e-14)
    assert asset.sum() == pytest.approx(float(diffusion.discounted_forward), rel=1e-14)
    assert (cash >= 0).all()
    assert (asset >= 0).all()


@settings(deadline=None)
@given(diffusions, ratios, signs)
def test_a_gap_without_a_gap_is_the_plain_option(diffusion, ratio, option_type):
    strike = float(diffusion.spot) * ratio
    forward = float(diffusion.discounted_forward / diffusion.discount)
    plain = black76.price(forward, strike, diffusion.volatility, diffusion.years, option_type) * diffusion.discount
    gap = digital.gap(diffusion, strike, strike, option_type)
    assert float(gap) == pytest.approx(float(plain), abs=1e-14 * max(forward, strike))


@settings(deadline=None)
@given(diffusions, ratios, signs)
def test_a_digital_is_the_slope_of_the_option_in_its_strike(diffusion, ratio, option_type):
    strike = float(diffusion.spot) * ratio
    step = 1e-4 * strike * float(np.sqrt(diffusion.variance))
    low, high = (digital.gap(diffusion, strike + side * step, strike + side * step, option_type) for side in (-1, 1))
    slope = -option_type * (high - low) / (2 * step)
    assert float(digital.cash_or_nothing(diffusion, strike, option_type)) == pytest.approx(float(slope), abs=1e-6)


def test_a_strike_next_to_spot_keeps_its_digits():
    # Seconds before expiry, a total volatility of 1e-5; the values in 40 digits. log(spot / strike) would lose five.
    diffusion = Diffusion(np.array([100.001, 100.00001]), 0.01, 1e-6)
    cash, asset = digital.cash_or_nothing(diffusion, 100, CALL), digital.asset_or_nothing(diffusion, 100, CALL)
    assert cash == pytest.approx([0.8413423263584203056, 0.5039873615047178866], rel=3e-16)
    assert asset == pytest.approx([84.13531595252247588, 50.39914011271908395], rel=3e-16)


def test_arrays_broadcast_to_what_scalars_give():
    spots, strikes = np.array([[90.0], [100.0], [110.0]]), np.array([95.0, 105.0])
    table = digital.cash_or_nothing(Diffusion(spots, 0.5, 0.25, 0.01, 0.02), strikes, CALL, 10)
    assert table.shape == (3, 2)
    single = digital.cash_or_nothing(Diffusion(110.0, 0.5, 0.25, 0.01, 0.02), 105.0, CALL, 10)
    assert table[2, 1] == pytest.approx(float(single), rel=1e-15)


BAD = [
    ("spot", {"spot": math.nan}),
    ("spot", {"spot": 0.0}),
    ("spot", {"spot": 1e13}),
    ("spot", {"spot": None}),
    ("spot", {"spot": "100"}),
    ("volatility", {"volatility": -0.5}),
    ("volatility", {"volatility": 0.0}),
    ("volatility", {"volatility": math.inf}),
    ("volatility", {"volatility": np.array([0.5, math.nan])}),
    ("volatility", {"spot": np.full(2, 100.0), "volatility": np.full(3, 0.5)}),
    ("strike", {"spot": np.full(2, 100.0), "strike": np.full(3, 100.0)}),
    ("years", {"years": 0.0}),
    ("years", {"years": -1.0}),
    ("rate", {"rate": 11.0}),
    ("carry", {"carry": math.nan}),
    ("strike", {"strike": 0.0}),
    ("strike", {"strike": -5.0}),
    ("strike", {"strike": 1e10}),
    ("strike", {"strike": math.nan}),
    ("strike", {"strike": 100 + 1j}),
    ("option_type", {"option_type": 0.0}),
    ("option_type", {"option_type": 2.0}),
    ("cash", {"cash": -1.0}),
    ("cash", {"cash": math.inf}),
]


@pytest.mark.parametrize(("field", "wrong"), BAD, ids=[f"{field}-{number}" for number, (field, _) in enumerate(BAD)])
def test_bad_inputs_are_refused_by_name(field, wrong):
    market_terms = {"spot": 100.0, "volatility": 0.5, "years": 0.5, "rate": 0.01, "carry": 0.02}
    terms = {"strike": 100.0, "option_type": CALL, "cash": 1.0}
    with pytest.raises(InputError) as refused:
        digital.cash_or_nothing(
            Diffusion(**{key: wrong.get(key, value) for key, value in market_terms.items()}),
            **{key: wrong.get(key, value) for key, value in terms.items()},
        )
    assert refused.value.field == field
    assert refused.value.rule


def test_the_page_prints_what_it_says():
    page = Path(__file__).parents[2] / "docs" / "exotics.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 20
    assert found.failed == 0
