"""Variance and volatility swaps against published and exact numbers, their replication, and a running one."""

import math

import numpy as np
import pytest
from exotic_terms import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from seawall.risk import black76
from seawall.risk.exotics import variance
from seawall.vocabulary.errors import InputError


def svi(a, b, rho, m, sigma):
    return lambda k: a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))


def flat(volatility, years):
    return lambda k: np.full(k.shape, volatility**2 * years)


def listed(spot, rate, years, puts, put_volatilities, calls, call_volatilities, width):
    forward = spot * math.exp(rate * years)
    return variance.fair_variance_listed(
        forward, years,
        puts, black76.price(forward, puts, put_volatilities, years, -1),
        calls, black76.price(forward, calls, call_volatilities, years, 1), width,
    )  # fmt: skip


def test_golden_vectors():
    found = cases("variance_swap.json")
    assert len(found) >= 5
    for case in found:
        terms, expected = case["input"], case["expected"]
        if case["type"] == "discrete_replication":
            fair = listed(
                terms["spot"], terms["rate"], terms["T"], terms["put_strikes"], terms["put_vols"],
                terms["call_strikes"], terms["call_vols"], terms["dk"],
            )  # fmt: skip
            assert fair == pytest.approx(expected["fair_variance"], abs=5e-6)
            assert fair == pytest.approx(expected["reproduced_value"], rel=1e-13)
            continue
        smile = svi(**terms["svi"]) if "svi" in terms else flat(terms["sigma"], terms["T"])
        # The vectors stop at |k| = 30: with wings that decay slowly that leaves out 4e-10 of the integral.
        fair = variance.fair_variance(smile, terms["T"])
        assert fair == pytest.approx(float(expected["fair_variance"]), rel=1e-9), case["id"]
        root = variance.fair_volatility(smile, terms["T"]).root_variance
        assert root == pytest.approx(math.sqrt(fair), rel=1e-15)


def test_the_derman_example():
    # Demeterfi, Derman, Kamal and Zou 1999, table 1: fair variance (20.467 %)^2 = 0.04189
    puts, calls = np.arange(50.0, 101.0, 5), np.arange(100.0, 136.0, 5)
    fair = listed(100, 0.05, 0.246575, puts, 0.3 - (puts - 50) / 500, calls, 0.2 - (calls - 100) / 500, 5.0)
    assert round(math.sqrt(fair), 5) == 0.20467


# a, b, rho, m, sigma, years, and the integral in 30 digits out to |k| = 120
@pytest.mark.parametrize(("terms", "years", "exact"), [
    ((0.01, 0.05, -0.4, 0.02, 0.1), 0.25, 0.0780754163574361118),
    ((0.002, 0.04, -0.3, -0.03, 0.06), 0.08, 0.0717182516297602008),
    ((0.15, 0.3, -0.5, 0.0, 0.4), 2.0, 0.241062256594020136),
])  # fmt: skip
def test_the_log_contract_on_svi_is_exact(terms, years, exact):
    assert variance.fair_variance(svi(*terms), years) == pytest.approx(exact, rel=2e-14)


@settings(deadline=None)
@given(st.floats(0.02, 5.0), st.floats(1e-5, 3.0))
def test_without_a_smile_both_strikes_are_the_volatility(volatility, years):
    fair = variance.fair_volatility(flat(volatility, years), years)
    assert fair.root_variance == pytest.approx(volatility, rel=1e-12)
    assert fair.volatility == pytest.approx(volatility, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.001, 0.2), st.floats(0.0, 0.4), st.floats(-0.9, 0.9), st.floats(-0.2, 0.2), st.floats(0.05, 0.5),
    st.floats(0.02, 2.0),
)  # fmt: skip
def test_a_volatility_swap_is_below_the_root_of_a_variance_swap(a, b, rho, m, sigma, years):
    assert variance.fair_volatility(svi(a, b, rho, m, sigma), years).convexity >= -1e-13


def test_carr_lee_is_exact_where_volatility_is_independent_of_price():
    # Volatility is 30 or 90 % by the toss of a coin: options are the mean of two Black prices; expected are 60 %.
    years, volatilities = 0.5, np.array([0.3, 0.9])

    def smile(k):
        k = np.asarray(k)
        totals = []
        for value in k.ravel():
            kind = 1.0 if value >= 0 else -1.0
            strike = math.exp(value)
            target = float(black76.price(1.0, strike, volatilities, years, kind).mean())
            low, high = 0.3, 0.9
            for _ in range(60):
                middle = 0.5 * (low + high)
                dear = float(black76.price(1.0, strike, middle, years, kind)) > target
                low, high = (low, middle) if dear else (middle, high)
            totals.append(low * low * years)
        return np.array(totals).reshape(k.shape)

    grid = np.linspace(-12, 12, 1601)
    known = smile(grid)
    fair = variance.fair_volatility(lambda k: np.interp(k, grid, known), years)
    assert fair.root_variance**2 == pytest.approx(0.45, abs=2e-4)
    assert fair.volatility == pytest.approx(0.6, abs=2e-4)
    assert fair.convexity == pytest.approx(math.sqrt(0.45) - 0.6, abs=3e-4)


def test_many_strikes_come_to_the_integral():
    years, smile = 0.25, svi(0.01, 0.05, -0.4, 0.02, 0.1)
    strikes = np.exp(np.linspace(-3, 3, 4001))
    volatilities = np.sqrt(smile(np.log(strikes)) / years)
    middle = 2000
    puts, calls = strikes[: middle + 1], strikes[middle:]
    fair = listed(1.0, 0.0, years, puts, volatilities[: middle + 1], calls, volatilities[middle:], None)
    assert fair == pytest.approx(variance.fair_variance(smile, years), rel=3e-5)


def test_chords_pay_no_less_than_the_log_contract_they_stand_for():
    # A chord of a convex payoff lies above it: a wide grid over the whole mass gives too much, never too little.
    strikes = np.exp(np.linspace(-4, 4, 41))
    fair = listed(1.0, 0.0, 0.25, strikes[:21], 0.5, strikes[20:], 0.5, None)
    assert 0.25 < fair < 0.28


def test_the_fair_variance_is_the_expected_log_return():
    # -2/T E[ln(S/F)] by the density of a mixture, an independent road to the same number
    years, volatilities = 1.0, (0.2, 0.6)

    def expected(volatility):
        total = volatility * math.sqrt(years)
        density = lambda x: math.exp(-0.5 * ((x + total**2 / 2) / total) ** 2) / (total * math.sqrt(2 * math.pi))  # noqa: E731
        return quad(lambda x: -2 / years * x * density(x), -12 * total, 12 * total)[0]

    for volatility in volatilities:
        fair = variance.fair_variance(flat(volatility, years), years)
        assert fair == pytest.approx(expected(volatility), rel=1e-9)


def test_realised_leg_of_a_running_swap():
    prices = np.array([100.0, 110.0, 99.0, 99.0])
    realised = variance.realised_variance(prices, 365)
    assert realised == pytest.approx(365 / 3 * (math.log(1.1) ** 2 + math.log(0.9) ** 2), rel=1e-14)
    expected = variance.running_variance(0.36, 0.25, 0.25, 0.75)
    assert expected == pytest.approx(0.25 * 0.36 + 0.75 * 0.25)
    assert variance.swap_value(expected, 0.25, 1_000_000, 0.98) == pytest.approx(0.98e6 * (expected - 0.25))
    assert variance.running_variance(0.36, 0.0, 0.25, 0.5) == 0.25
    assert variance.running_variance(0.36, 0.5, 0.25, 0.0) == 0.36


def chain(**change):
    terms = {
        "forward": 100.0, "years": 0.5, "put_strikes": [90.0, 100.0], "put_prices": [1.0, 4.0],
        "call_strikes": [100.0, 110.0], "call_prices": [4.0, 1.0],
    }  # fmt: skip
    return lambda: variance.fair_variance_listed(**{**terms, **change})


@pytest.mark.parametrize(("field", "price"), [
    ("forward", chain(forward=math.nan)),
    ("years", chain(years=0.0)),
    ("put_strikes", chain(put_strikes=[100.0, 90.0])),
    ("put_strikes", chain(put_strikes=[100.0])),
    ("put_prices", chain(put_prices=[1.0, math.nan])),
    ("put_prices", chain(put_prices=[-1.0, 4.0])),
    ("put_prices", chain(put_prices=[1.0, 400.0])),
    ("put_prices", chain(put_prices=[1.0])),
    ("put_prices", chain(put_prices=[4.0, 1.0])),
    ("call_prices", chain(call_prices=[4.0, 30.0])),
    ("put_prices", chain(forward=95.0)),
    ("call_prices", chain(forward=120.0, put_prices=[1.0, 4.0])),
    ("put_strikes", chain(forward=150.0, put_prices=[0.0, 0.0], call_prices=[50.0, 40.0])),
    ("call_strikes", chain(call_strikes=[101.0, 110.0])),
    ("call_prices", chain(call_prices=[4.0e8, 1.0])),
    ("end_width", chain(end_width=-5.0)),
    ("smile", lambda: variance.fair_variance(lambda k: -0.1 + 0 * k, 1.0)),
    ("smile", lambda: variance.fair_variance(lambda k: np.nan * k, 1.0)),
    ("smile", lambda: variance.fair_variance(lambda k: 0.04, 1.0)),
    ("smile", lambda: variance.fair_variance(lambda k: 0.04 + 2.5 * np.abs(k), 1.0)),
    ("years", lambda: variance.fair_volatility(flat(0.5, 1.0), -1.0)),
    ("prices", lambda: variance.realised_variance([100.0, 0.0], 365)),
    ("prices", lambda: variance.realised_variance([100.0], 365)),
    ("periods_per_year", lambda: variance.realised_variance([100.0, 101.0], 0)),
    ("realised", lambda: variance.running_variance(-0.1, 0.5, 0.2, 0.5)),
    ("remaining", lambda: variance.running_variance(0.1, 0.0, 0.2, 0.0)),
    ("strike", lambda: variance.swap_value(0.2, math.nan, 1e6)),
])  # fmt: skip
def test_bad_inputs_are_refused_by_name(field, price):
    with pytest.raises(InputError) as refused:
        price()
    assert refused.value.field == field
