"""Implied volatility: every vector, round trips, what has none, and many digits out to 37 standard deviations."""

import doctest
import json
import math
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seawall.risk import black76, implied
from seawall.risk.implied import Status
from seawall.risk.kernels import volatility as kernel
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "implied_vol.json"

kinds = st.sampled_from([-1.0, 1.0])
REFUSED = {
    "below intrinsic": (Status.BELOW_INTRINSIC, "price"),
    "negative price": (Status.NEGATIVE, "price"),
    "T is zero": (Status.EXPIRED, "years"),
    "price is missing/NaN": (Status.MISSING, "price"),
    "at or above the upper bound F (infinite volatility)": (Status.AT_MAXIMUM, "price"),
}


def vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = json.loads(VECTORS.read_text())["cases"]
    assert len(cases) > 200
    for case in cases:
        given_, kind = case["input"], 1.0 if case["input"]["type"] == "call" else -1.0
        price = math.nan if given_["price"] is None else given_["price"]
        yield case, (price, given_["F"], given_["K"], given_["T"], kind)


def test_golden_vectors():
    solved = 0
    for case, inputs in vectors():
        if "error" in case["expected"]:
            continue
        true, found = Decimal(case["expected"]["sigma"]), Decimal(implied.volatility(*inputs))
        solved += 1
        if true == 0:
            assert found == 0
            continue
        with localcontext(prec=40):
            error = float(abs(found / true - 1))
        assert error <= max(9e-16, 4 * case["expected"]["attainable_relative_error"]), case["id"]
    assert solved > 200


def test_golden_errors():
    seen = 0
    for case, inputs in vectors():
        if "error" not in case["expected"]:
            continue
        seen += 1
        status, field = REFUSED[case["expected"]["error"]]
        found = implied.volatilities(*inputs)
        assert (Status(int(found.status)), math.isnan(found.volatility), bool(found.solved)) == (status, True, False)
        with pytest.raises(InputError) as refused:
            implied.volatility(*inputs)
        assert refused.value.field == field
        assert refused.value.rule == implied.RULES[status]
    assert seen >= 5


def test_facts():
    # The price of test_black76.FACTS[0], at 60 %; at the money sigma is 2 * N^-1((1 + price) / 2) / sqrt(T) exactly.
    assert implied.volatility(1962.1563028256449, 60_000, 66_000, 30 / 365, 1) == pytest.approx(0.6, rel=9e-16)
    assert implied.volatility(0.6826894921370859, 1.0, 1.0, 1.0, 1) == pytest.approx(2.0, rel=9e-16)
    assert implied.volatility(2.983802540124943577e-13, 100, 250, 0.0625, 1) == pytest.approx(0.5, rel=9e-16)


@settings(deadline=None, max_examples=300)
@given(st.floats(1e-5, 1e6), st.floats(-8, 8), st.floats(1e-6, 6.0), st.floats(1e-8, 20.0), kinds)
def test_the_volatility_of_a_price_gives_the_price_back(forward, away, total, years, kind):
    strike, sigma = forward * math.exp(min(max(away * total, -40), 40)), total / math.sqrt(years)
    if not sigma <= 999:
        return
    price = float(black76.price(forward, strike, sigma, years, kind))
    found = implied.volatilities(price, forward, strike, years, kind)
    if not found.solved:
        limit = forward if kind > 0 else strike
        assert found.status == Status.AT_MAXIMUM and price >= limit * (1 - 1e-15)
        return
    again = float(black76.price(forward, strike, found.volatility, years, kind))
    assert again == pytest.approx(price, rel=2e-13 * (1 + away * away), abs=1e-15 * max(forward, strike))
    time_value = price - max(kind * (forward - strike), 0.0)
    slope = float(black76.vega(forward, strike, sigma, years)) * sigma
    # The price's own promise, 1e-12 of the time value, and what its last digits leave undecided.
    slack = 2e-15 + (1e-12 * time_value + 1e-14 * price) / slope if slope > 0 else math.inf
    if time_value > 0 and slack < 0.1:
        assert float(found.volatility) == pytest.approx(sigma, rel=slack)


@settings(deadline=None, max_examples=200)
@given(st.floats(1.0, 1e5), st.floats(0.1, 10), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(1e-6, 5), kinds)
def test_a_dearer_option_has_the_higher_volatility(forward, ratio, one, other, years, kind):
    strike = forward * ratio
    low, high = max(kind * (forward - strike), 0.0), forward if kind > 0 else strike
    prices = low + (high - low) * np.sort([one, other])
    found = implied.volatilities(prices, forward, strike, years, kind)
    if found.solved.all():
        assert found.volatility[0] <= found.volatility[1] * (1 + 1e-14)


@settings(deadline=None, max_examples=200)
@given(st.floats(1.0, 1e5), st.floats(0.2, 5), st.floats(0.01, 3), st.floats(1e-3, 5), st.floats(-0.2, 0.2))
@example(1.734375, 0.2, 0.19921875, 0.04500714038063075, 0.0390625)  # 38 deviations out: a put of 1.15e-320
def test_a_call_and_its_put_have_one_volatility_discounted_too(forward, ratio, sigma, years, rate):
    both = np.array([1.0, -1.0])
    prices = black76.price(forward, forward * ratio, sigma, years, both, rate)
    found = implied.volatilities(prices, forward, forward * ratio, years, both, rate)
    if found.solved.all() and (found.volatility > 0).all():
        slope = math.exp(-rate * years) * float(black76.vega(forward, forward * ratio, sigma, years)) * sigma
        for price, volatility in zip(prices, found.volatility, strict=True):
            known = max(1e-14 * price, np.spacing(price))  # a price below 2e-308 has few digits
            slack = 1e-12 + known / slope if slope > 0 else math.inf
            if slack < 0.1:  # else the price is intrinsic value and its own rounding
                assert volatility == pytest.approx(sigma, rel=slack)


def test_one_bad_price_costs_an_array_one_element():
    prices = np.array([5.0, math.nan, -1.0, 1e8, math.inf, 0.0])
    found = implied.volatilities(prices, 100.0, 100.0, 0.25, 1.0)
    assert [Status(int(status)) for status in found.status] == [
        Status.SOLVED, Status.MISSING, Status.NEGATIVE, Status.AT_MAXIMUM, Status.MISSING, Status.SOLVED,
    ]  # fmt: skip
    assert np.isnan(found.volatility).tolist() == [False, True, True, True, True, False]
    assert found.solved.tolist() == [True, False, False, False, False, True]
    assert found.volatility[0] == implied.volatility(5.0, 100.0, 100.0, 0.25, 1.0)
    assert found.volatility[5] == 0
    shaped = implied.volatilities(prices.reshape(2, 3), 100.0, 100.0, 0.25, 1.0)
    assert shaped.volatility.shape == shaped.status.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("forward", 0.0),
        ("forward", math.nan),
        ("strike", -1.0),
        ("strike", math.inf),
        ("years", -0.1),
        ("years", math.nan),
        ("option_type", 0.0),
        ("rate", math.nan),
        ("rate", 50.0),
        ("price", "dear"),
    ],
)
def test_bad_arguments_are_refused_by_name(name, value):
    usual = {"price": 5.0, "forward": 100.0, "strike": 100.0, "years": 0.25, "option_type": 1.0, "rate": 0.0}
    for ask in (implied.volatility, implied.volatilities):
        with pytest.raises(InputError) as refused:
            ask(**{**usual, name: value})
        assert refused.value.field == name


@pytest.mark.parametrize("price", [5e-324, 1e-310, 1e-300, 1e-200])
@pytest.mark.parametrize("strike", [100.0 + 1e-12, 101.0, 1e3, 1e30])
def test_the_smallest_prices_have_a_volatility(price, strike):
    mpmath = pytest.importorskip("mpmath", reason="mpmath, of the extra test, gives the digits to compare with")
    from seawall.cli.bench_exact import exact

    found = implied.volatility(price, 100.0, strike, 0.25, 1.0)
    with mpmath.workdps(50):
        at = exact(100.0, strike, found, 0.25, 1.0, 0.0)
        assert abs((at["price"] - price) / (at["vega"] * found)) <= 9e-16


def test_the_place_in_an_array_does_not_matter():
    rng = np.random.default_rng(3)
    forward, strike, years = rng.uniform(50, 150, 500), rng.uniform(50, 150, 500), rng.uniform(0.01, 2, 500)
    prices = black76.price(forward, strike, 0.7, years, 1.0)
    found = implied.volatilities(prices, forward, strike, years, 1.0).volatility
    assert np.array_equal(
        implied.volatilities(prices[7:], forward[7:], strike[7:], years[7:], 1.0).volatility, found[7:]
    )


def test_statuses_are_the_kernels():
    for status in Status:
        assert getattr(kernel, status.name) == status
    assert set(implied.RULES) == set(Status) - {Status.SOLVED}


def test_examples_in_the_documentation_run():
    assert doctest.testmod(implied) == doctest.TestResults(0, 1)


def hold(count, seed):
    pytest.importorskip("mpmath", reason="mpmath, of the extra test, gives the digits to compare with")
    from seawall.cli.bench_exact import errors

    found = errors(count, seed, 50)
    assert found.price <= 1e-14
    assert found.relative <= 1e-12
    assert found.greeks <= 1e-12
    assert found.stress <= 1e-13
    assert found.implied <= 1
    assert found.unsolved == 0


def test_errors_against_many_digits():
    hold(60, 21)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8))
def test_errors_against_many_digits_at_length(seed):
    hold(1_500, 100 + seed)
