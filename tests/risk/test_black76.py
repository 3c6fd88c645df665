"""Black-76 against its identities, its golden vectors, and the marks made from it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_markets import NOW, coin_option, inverse_future, linear_option

from seawall.risk import black76, mark_price
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "black76_greeks.json"

forwards = st.floats(1.0, 1e6)
ratios = st.floats(0.05, 20.0)
volatilities = st.floats(0.0, 5.0)
years = st.floats(1e-6, 5.0)


@settings(deadline=None)
@given(forwards, ratios, volatilities, years)
def test_call_less_put_is_forward_less_strike(forward, ratio, volatility, time):
    strike = forward * ratio
    call, put = black76.price(forward, strike, volatility, time, np.array([1.0, -1.0]))
    assert call - put == pytest.approx(forward - strike, abs=1e-12 * max(forward, strike))


@settings(deadline=None)
@given(forwards, ratios, volatilities, volatilities, years, st.sampled_from([-1.0, 1.0]))
def test_value_rises_with_volatility_between_intrinsic_and_its_limit(forward, ratio, low, high, time, kind):
    strike, (low, high) = forward * ratio, sorted((low, high))
    cheap, dear = black76.price(forward, strike, np.array([low, high]), time, kind)
    limit = forward if kind > 0 else strike
    assert cheap <= dear + 1e-12 * limit
    assert max(0.0, kind * (forward - strike)) <= cheap <= limit * (1 + 1e-12)


@settings(deadline=None)
@given(st.floats(0.5, 2.0), st.floats(0.1, 2.0), st.floats(0.01, 2.0), st.sampled_from([-1.0, 1.0]))
def test_delta_and_vega_are_the_slopes_of_the_price(ratio, volatility, time, kind):
    step = 1e-5
    bumped = black76.price(np.array([1 + step, 1 - step]), ratio, volatility, time, kind)
    assert (bumped[0] - bumped[1]) / (2 * step) == pytest.approx(
        float(black76.delta(1.0, ratio, volatility, time, kind)), abs=1e-6
    )
    bumped = black76.price(1.0, ratio, np.array([volatility + step, volatility - step]), time, kind)
    assert (bumped[0] - bumped[1]) / (2 * step) == pytest.approx(
        float(black76.vega(1.0, ratio, volatility, time)), abs=1e-6
    )


def test_without_volatility_or_time_only_intrinsic_value_is_left():
    for volatility, time in ((0.0, 1.0), (0.8, 0.0)):
        assert black76.price(np.array([90.0, 100.0, 110.0]), 100.0, volatility, time, 1.0).tolist() == [0, 0, 10]
        assert black76.delta(np.array([90.0, 110.0]), 100.0, volatility, time, -1.0).tolist() == [-1, 0]
        assert float(black76.vega(110.0, 100.0, volatility, time)) == 0


def test_golden_vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["input"]["r"] == 0]
    assert len(cases) > 50
    for case in cases:
        given, expected = case["input"], case["expected"]
        kind = 1.0 if given["type"] == "call" else -1.0
        inputs = given["F"], given["K"], given["sigma"], given["T"]
        scale = max(given["F"], given["K"])
        assert float(black76.price(*inputs, kind)) == pytest.approx(float(expected["price"]), abs=2e-14 * scale)
        assert float(black76.delta(*inputs, kind)) == pytest.approx(float(expected["delta"]), abs=1e-11)
        assert float(black76.vega(*inputs)) == pytest.approx(float(expected["vega"]), rel=1e-9, abs=1e-14 * scale)


@settings(max_examples=30, deadline=None)
@given(st.integers(10_000, 200_000), st.sampled_from([-1, 1]), st.floats(0.1, 400), st.floats(0, 3))
def test_marks_are_the_nearest_tick_of_the_band(strike, kind, days, volatility):
    for spec in (coin_option(strike, kind, days), linear_option(strike, kind, days)):
        mark = mark_price(spec, 120_000.0, volatility, NOW)
        assert isinstance(mark, int)
        atoms = float(black76.lot_values(spec, 120_000.0, volatility, black76.years_to(spec.expiry, NOW)))
        assert mark == min(max(1, math.floor(atoms / spec.multiplier + 0.5)), spec.price_max)


def test_a_coin_settled_option_is_worth_its_dollar_value_in_coins():
    spec = coin_option(60_000, 1, 30)
    dollars = float(black76.price(60_000, 60_000, 0.6, 30 / 365, 1.0))
    assert mark_price(spec, 120_000.0, 0.6, NOW) == round(dollars / 60_000 / 0.0001)


@pytest.mark.parametrize(
    ("spec", "forward", "volatility", "field"),
    [
        (inverse_future(), 120_000.0, 0.6, "product"),
        (coin_option(60_000, 1, 0), 120_000.0, 0.6, "expiry"),
        (coin_option(60_000, 1, 30), math.nan, 0.6, "forward"),
        (coin_option(60_000, 1, 30), 0.0, 0.6, "forward"),
        (coin_option(60_000, 1, 30), 120_000.0, -0.1, "volatility"),
        (coin_option(60_000, 1, 30), 120_000.0, math.nan, "volatility"),
    ],
)
def test_bad_inputs_get_no_mark(spec, forward, volatility, field):
    with pytest.raises(InputError) as refused:
        mark_price(spec, forward, volatility, NOW)
    assert refused.value.field == field


def test_the_band_bounds_a_mark():
    spec = replace(coin_option(60_000, 1, 30), price_min=7, price_max=9)
    assert mark_price(spec, 30_000.0, 0.2, NOW) == 7
    assert mark_price(spec, 240_000.0, 0.2, NOW) == 9
