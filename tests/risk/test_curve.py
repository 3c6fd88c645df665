"""Futures curves and perpetuals: what was quoted comes back, what lies between does, and what cannot be is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from seawall.risk.exotics import curve
from seawall.risk.exotics.curve import FundingRule, FuturesCurve
from seawall.vocabulary.errors import InputError

EXPIRIES, PRICES = np.array([0.1, 0.35, 0.6, 1.1]), np.array([60_500.0, 61_900.0, 61_700.0, 64_000.0])
LISTED = FuturesCurve(60_000.0, EXPIRIES, PRICES)


def test_the_curve_gives_back_its_quotes():
    assert LISTED.forward(EXPIRIES) == pytest.approx(PRICES, rel=1e-15)
    assert float(LISTED.forward(0.0)) == 60_000
    assert LISTED.basis(EXPIRIES) == pytest.approx(PRICES - 60_000, rel=1e-12)
    assert LISTED.simple_yield(0.1) == pytest.approx(500 / 60_000 / 0.1, rel=1e-13)
    assert LISTED.carry(0.35) == pytest.approx(math.log(61_900 / 60_000) / 0.35, rel=1e-14)
    assert LISTED.forward_carry(0.35, 0.6) == pytest.approx(math.log(61_700 / 61_900) / 0.25, rel=1e-13)


@settings(deadline=None)
@given(st.floats(0.0, 1.1), st.floats(0.0, 1.1), st.floats(0.0, 1.1))
def test_carry_adds_up_and_forwards_lie_between_their_neighbours(first, second, third):
    first, second, third = sorted((first, second, third))
    if min(second - first, third - second) > 1e-6:
        whole = LISTED.forward_carry(first, third) * (third - first)
        parts = LISTED.forward_carry(first, second) * (second - first)
        parts += LISTED.forward_carry(second, third) * (third - second)
        assert whole == pytest.approx(parts, abs=1e-15)
    knots = np.concatenate([[0.0], EXPIRIES])
    after = int(np.searchsorted(knots, third))
    if knots[max(after - 1, 0)] < third < knots[after]:
        ends = LISTED.forward(knots[after - 1 : after + 1])
        assert min(ends) * (1 - 1e-15) <= float(LISTED.forward(third)) <= max(ends) * (1 + 1e-15)


def test_beyond_the_last_expiry_its_annual_carry_goes_on():
    assert LISTED.carry(np.array([1.1, 2.0, 5.0])) == pytest.approx(math.log(64_000 / 60_000) / 1.1, rel=1e-14)


def test_a_funding_rule_is_the_published_one():
    deribit = FundingRule(band=0.00025, cap=0.005)
    # Deribit: max(0.025 %, p) + min(-0.025 %, p), capped
    premiums = np.linspace(-0.01, 0.01, 201)
    published = np.clip(np.maximum(0.00025, premiums) + np.minimum(-0.00025, premiums), -0.005, 0.005)
    assert deribit.rate(premiums) == pytest.approx(published, abs=1e-18)
    # Binance: p + clamp(0.01 % - p, +-0.05 %)
    binance = FundingRule(interest=0.0001, band=0.0005, cap=0.02)
    published = premiums + np.clip(0.0001 - premiums, -0.0005, 0.0005)
    assert binance.rate(premiums) == pytest.approx(published, abs=1e-17)


@settings(deadline=None)
@given(st.floats(-3.0, 3.0), st.floats(-0.001, 0.001), st.floats(0.0, 0.001))
def test_the_steady_premium_pays_the_carry(carry, interest, band):
    rule = FundingRule(1095, interest, band, 0.02)
    premium = curve.perpetual_premium(carry, rule)
    assert float(rule.rate(premium)) * 1095 == pytest.approx(carry, abs=1e-12)


def test_the_steady_premium_is_the_published_one_without_a_band():
    # Ackerer, Hugonnier and Jermann 2023: f / x = kappa / (kappa - carry), with funding on the index price
    for carry in (-0.1, 0.02, 0.15):
        published = 1095 / (1095 - carry) - 1
        assert curve.perpetual_premium(carry, FundingRule()) == pytest.approx(published, rel=2e-4)
    assert curve.perpetual_premium(0.0, FundingRule(band=0.00025)) == 0
    assert curve.perpetual_premium(0.1095, FundingRule(interest=0.0001, band=0.0005)) == 0
    assert curve.perpetual_premium(0.1, FundingRule(band=0.00025)) == pytest.approx(0.00025 + 0.1 / 1095)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(0.01, 2.0), st.floats(-0.01, 0.01))
def test_a_perpetuals_value_is_its_last_price_less_its_funding(funding, horizon, premium):
    inner = [knot for knot in EXPIRIES if knot < horizon]
    paid = quad(lambda t: float(LISTED.forward(t)), 0, horizon, points=inner or None, epsrel=1e-12)[0]
    wanted = float(LISTED.forward(horizon)) * (1 + premium) - funding * paid
    assert curve.perpetual_value(LISTED, funding, horizon, premium) == pytest.approx(wanted, rel=1e-10)


def test_a_perpetual_that_pays_the_carry_is_worth_its_index():
    even = FuturesCurve(60_000.0, [1.0], [60_000.0 * math.exp(0.12)])
    assert curve.perpetual_value(even, 0.12, 0.7) == pytest.approx(60_000, rel=1e-14)
    level = FuturesCurve(60_000.0, [1.0], [60_000.0])
    assert curve.perpetual_value(level, 0.1, 0.5) == pytest.approx(57_000, rel=1e-14)


@pytest.mark.parametrize(("field", "made"), [
    ("index", lambda: FuturesCurve(math.nan, EXPIRIES, PRICES)),
    ("index", lambda: FuturesCurve(-1.0, EXPIRIES, PRICES)),
    ("expiries", lambda: FuturesCurve(60_000.0, [0.0], [60_000.0])),
    ("expiries", lambda: FuturesCurve(60_000.0, [0.5, 0.5], [60_000.0, 60_000.0])),
    ("expiries", lambda: FuturesCurve(60_000.0, [], [])),
    ("prices", lambda: FuturesCurve(60_000.0, [0.5], [math.nan])),
    ("prices", lambda: FuturesCurve(60_000.0, [0.5], [6e12])),
    ("prices", lambda: FuturesCurve(60_000.0, [0.5, 1.0], [60_000.0])),
    ("years", lambda: LISTED.forward(-0.1)),
    ("years", lambda: LISTED.carry(0.0)),
    ("start", lambda: LISTED.forward_carry(0.5, 0.5)),
    ("band", lambda: FundingRule(band=-0.1)),
    ("interest", lambda: FundingRule(interest=0.5)),
    ("cap", lambda: FundingRule(cap=math.nan)),
    ("periods_per_year", lambda: FundingRule(0.0)),
    ("premium", lambda: FundingRule().rate(math.nan)),
    ("carry", lambda: curve.perpetual_premium(math.inf, FundingRule())),
    ("carry", lambda: curve.perpetual_premium(6.0, FundingRule(cap=0.005))),
    ("funding", lambda: curve.perpetual_value(LISTED, math.nan, 1.0)),
    ("horizon", lambda: curve.perpetual_value(LISTED, 0.1, 0.0)),
    ("funding", lambda: curve.perpetual_value(LISTED, 5.0, 30.0)),
])  # fmt: skip
def test_bad_inputs_are_refused_by_name(field, made):
    with pytest.raises(InputError) as refused:
        made()
    assert refused.value.field == field
