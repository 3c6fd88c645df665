"""Barrier options against Haug's tables, exact values, their identities and limits, and their greeks."""

import math

import numpy as np
import pytest
from exotic_terms import PRINTED, SIDES, cases, diffusions, kind, market, nearness, ratios, signs
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.risk.exotics import CALL, DOWN, IN, OUT, PUT, UP, Diffusion, barrier, digital, greeks
from seawall.vocabulary.errors import InputError


def test_golden_vectors_of_options():
    priced = cases("barrier_options.json")
    assert len(priced) >= 20
    for case in priced:
        terms = case["input"]
        price = barrier.option(
            market(terms), terms["strike"], terms["barrier"], *SIDES[terms["barrier_type"]], kind(terms["type"]),
            terms["rebate"],
        )  # fmt: skip
        assert float(price) == pytest.approx(case["expected"]["price"], abs=PRINTED), case["id"]


def test_golden_vectors_of_binaries():
    priced = [case for case in cases("digital_options.json") if case["type"].startswith("binary_barrier")]
    assert len(priced) >= 10
    for case in priced:
        terms = case["input"]
        at = market(terms), terms["strike"], terms["barrier"], *SIDES[terms["barrier_type"]], kind(terms["option"])
        paid = case["type"] == "binary_barrier_cash_at_expiry"
        price = barrier.cash_or_nothing(*at, terms["cash"]) if paid else barrier.asset_or_nothing(*at)
        assert float(price) == pytest.approx(case["expected"]["price"], abs=PRINTED), case["id"]


def test_haugs_table_of_one_barrier():
    # E. G. Haug, Option Pricing Formulas, 1998, page 72: spot 100, half a year, rate 8 %, carry 4 %, rebate 3, vol 25 %
    diffusion = Diffusion(100.0, 0.25, 0.5, 0.08, 0.04)
    strikes = np.array([90.0, 100.0, 110.0])
    printed = {
        (95, DOWN, OUT, CALL): [9.0246, 6.7924, 4.8759],
        (105, UP, OUT, CALL): [2.6789, 2.3580, 2.3453],
        (95, DOWN, IN, CALL): [7.7627, 4.0109, 2.0576],
        (105, UP, IN, CALL): [14.1112, 8.4482, 4.5910],
        (95, DOWN, OUT, PUT): [2.2798, 2.2947, 2.6252],
        (105, UP, OUT, PUT): [3.7760, 5.4932, 7.5187],
        (95, DOWN, IN, PUT): [2.9586, 6.5677, 11.9752],
        (105, UP, IN, PUT): [1.4653, 3.3721, 7.0846],
    }
    for (level, direction, knock, option_type), row in printed.items():
        prices = barrier.option(diffusion, strikes, level, direction, knock, option_type, 3)
        assert prices == pytest.approx(row, abs=PRINTED)


# Reiner and Rubinstein's terms A to F in 50 digits, for each of the eight kinds with the strike on either side of the
# barrier: spot, strike, barrier, volatility, years, rate, carry, rebate, option type, direction, knock, price.
# Haug prints 4.2293 for the last row.
EXACT = [
    (100, 93.3, 98, 0.14, 0.14, 0.09, -0.19, 3, 1, -1, -1, 4.235220208430437401),
    (100, 97.1, 86.1, 0.14, 1.52, 0.1, -0.02, 0, 1, -1, -1, 5.370028560009190891),
    (100, 95.1, 97.5, 0.21, 0.02, 0.12, 0.14, 5, -1, -1, -1, 1.835897931625136928),
    (100, 99.3, 85, 1.42, 0.03, 0.09, 0.04, 3, -1, -1, -1, 2.055183433228740699),
    (100, 83.2, 88, 0.19, 0.7, 0.13, -0.14, 0, 1, -1, 1, 2.414828572009080026),
    (100, 117.4, 84.8, 1.13, 0.1, 0.03, 0.14, 0, 1, -1, 1, 1.574628505523208404),
    (100, 97, 98.6, 0.18, 0.01, 0.04, -0.03, 3, -1, -1, 1, 1.707104978267387953),
    (100, 99.8, 98, 0.25, 0.01, 0.03, 0.3, 4, -1, -1, 1, 3.167756314853673242),
    (100, 100.2, 100.7, 0.12, 0.01, 0.13, 0.09, 1, 1, 1, -1, 0.5888310942331901491),
    (100, 101.8, 100.6, 0.16, 0.01, 0.13, 0.03, 0, 1, 1, -1, 0.0),
    (100, 99, 100.4, 0.17, 0.01, 0.09, 0.25, 3, -1, 1, -1, 2.645772092855402259),
    (100, 102.2, 101.1, 0.13, 0.01, 0.05, 0.16, 1, -1, 1, -1, 2.032762980624552101),
    (100, 104.2, 105.9, 0.18, 0.05, 0.05, 0.29, 5, 1, 1, 1, 4.385218141519219739),
    (100, 119, 112.8, 0.23, 0.52, 0.02, -0.17, 2, 1, 1, 1, 1.847091677374067037),
    (100, 123.3, 217.6, 0.99, 0.51, 0.09, 0.13, 3, -1, 1, 1, 3.068191118243267111),
    (100, 118.4, 110.2, 0.15, 0.28, 0.03, 0.02, 5, -1, 1, 1, 5.691432932631202415),
    (100, 90, 105, 0.3, 0.5, 0.08, 0.04, 3, -1, 1, -1, 4.229237465240183038),
]  # fmt: skip


@pytest.mark.parametrize("row", EXACT, ids=range(len(EXACT)))
def test_exact_values(row):
    *terms, exact = row
    spot, strike, level, volatility, years, rate, carry, rebate, option_type, direction, knock = terms
    diffusion = Diffusion(spot, volatility, years, rate, carry)
    price = barrier.option(diffusion, strike, level, direction, knock, option_type, rebate)
    assert float(price) == pytest.approx(exact, abs=2e-15 * max(spot, strike))


def test_kinds_mix_in_one_array():
    spot, strike, level, volatility, years, rate, carry, rebate, option_type, direction, knock, exact = np.array(
        EXACT
    ).T
    diffusion = Diffusion(spot, volatility, years, rate, carry)
    prices = barrier.option(diffusion, strike, level, direction, knock, option_type, rebate)
    assert prices == pytest.approx(exact, abs=4e-13)
    assert prices.shape == (len(EXACT),)


def test_haugs_table_of_two_barriers():
    # E. G. Haug, 2nd ed. 2007, page 156: spot and strike 100, rate and carry 10 %, vols 15, 25, 35 % for 3 and 6 months
    diffusion = Diffusion(100.0, np.array([0.15, 0.25, 0.35]), np.array([[0.25], [0.5]]), 0.1, 0.1)
    calls = {
        (50, 150): [[4.3515, 6.1644, 7.0373], [6.9853, 7.9336, 6.5088]],
        (60, 140): [[4.3505, 5.8500, 5.7726], [6.8082, 6.3383, 4.3841]],
        (70, 130): [[4.3139, 4.8293, 3.7765], [5.9697, 4.0004, 2.2563]],
        (80, 120): [[3.7516, 2.6387, 1.4903], [3.5805, 1.5098, 0.5635]],
        (90, 110): [[1.2055, 0.3098, 0.0477], [0.5537, 0.0441, 0.0011]],
    }
    puts = {
        (50, 150): [[1.8825, 3.7855, 5.7191], [2.1374, 4.7033, 7.1683]],
        (70, 130): [[1.8825, 3.7014, 4.6472], [2.1325, 3.8944, 3.5868]],
        (90, 110): [[0.9473, 0.3449, 0.0578], [0.4555, 0.0491, 0.0013]],
    }
    for option_type, table in ((CALL, calls), (PUT, puts)):
        for (lower, upper), printed in table.items():
            prices = barrier.double_option(diffusion, 100, lower, upper, OUT, option_type)
            assert prices == pytest.approx(np.array(printed), abs=1.1e-4), (lower, upper)
    knocked_in = barrier.double_option(diffusion, 100, 50, 150, IN, CALL)
    assert knocked_in == pytest.approx(np.array([[0.0000, 0.0900, 1.1537], [0.0292, 1.6487, 5.7321]]), abs=1.1e-4)


def beside(diffusion, near, direction):
    return float(diffusion.spot) * (near if direction < 0 else 1 / near)


@settings(deadline=None)
@given(diffusions, ratios, nearness, signs, signs)
def test_in_and_out_together_are_the_plain_option(diffusion, ratio, near, direction, option_type):
    strike, level = float(diffusion.spot) * ratio, beside(diffusion, near, direction)
    prices = barrier.option(diffusion, strike, level, direction, np.array([IN, OUT]), option_type)
    plain = float(digital.gap(diffusion, strike, strike, option_type))
    scale = max(float(diffusion.discounted_forward), strike)
    assert prices.sum() == pytest.approx(plain, abs=1e-14 * scale)
    assert (prices >= 0).all()
    binaries = barrier.cash_or_nothing(diffusion, strike, level, direction, np.array([IN, OUT]), option_type)
    cash = digital.cash_or_nothing(diffusion, strike, option_type)
    assert binaries.sum() == pytest.approx(float(cash), abs=1e-14)


@settings(deadline=None)
@given(diffusions, ratios, nearness, nearness, signs)
def test_two_barriers_kill_more_than_either(diffusion, ratio, below, above, option_type):
    strike, scale = float(diffusion.spot) * ratio, max(1.0, ratio) * float(diffusion.spot)
    lower, upper = beside(diffusion, below, DOWN), beside(diffusion, above, UP)
    both = barrier.double_option(diffusion, strike, lower, upper, np.array([IN, OUT]), option_type)
    plain = float(digital.gap(diffusion, strike, strike, option_type))
    size = max(float(diffusion.discounted_forward), scale)
    assert both.sum() == pytest.approx(plain, abs=1e-14 * size)
    assert (both >= 0).all()
    for level, direction in ((lower, DOWN), (upper, UP)):
        assert both[1] <= float(barrier.option(diffusion, strike, level, direction, OUT, option_type)) + 1e-14 * size


@settings(deadline=None)
@given(diffusions, ratios, nearness, signs, st.floats(0.0, 50.0))
def test_a_barrier_far_beyond_the_other_matters_no_more(diffusion, ratio, near, option_type, rebate):
    strike, level = float(diffusion.spot) * ratio, beside(diffusion, near, DOWN)
    diffusion = Diffusion(diffusion.spot, min(float(diffusion.volatility), 0.8), diffusion.years, diffusion.rate, 0.0)
    knock = np.array([IN, OUT])
    double = barrier.double_option(diffusion, strike, level, 1e5 * float(diffusion.spot), knock, option_type, rebate)
    single = barrier.option(diffusion, strike, level, DOWN, knock, option_type, rebate)
    assert double == pytest.approx(single, abs=1e-12 * (float(diffusion.spot) * max(1, ratio) + rebate))


@settings(deadline=None)
@given(diffusions, ratios, st.tuples(nearness, nearness), signs, signs)
def test_a_nearer_barrier_is_worth_no_more_out_and_no_less_in(diffusion, ratio, nears, direction, option_type):
    strike = float(diffusion.spot) * ratio
    near, far = (beside(diffusion, value, direction) for value in (max(nears), min(nears)))
    scale = 1e-13 * max(float(diffusion.discounted_forward), strike)
    for knock, more, less in ((OUT, far, near), (IN, near, far)):
        dear, cheap = (barrier.option(diffusion, strike, at, direction, knock, option_type) for at in (more, less))
        assert cheap <= dear + scale


def test_no_input_allowed_gives_anything_but_a_price():
    rng = np.random.default_rng(5)
    spot = np.exp(rng.uniform(-20, 20, 20_000))
    volatility, years = np.exp(rng.uniform(-13.8, 4.6, 20_000)), np.exp(rng.uniform(-20, 3.4, 20_000))
    diffusion = Diffusion(spot, volatility, years, rng.uniform(0, 10, 20_000), rng.uniform(-10, 10, 20_000))
    lower, upper = (spot * np.exp(side * np.exp(rng.uniform(-20, 2.6, 20_000))) for side in (-1, 1))
    strike, rebate = spot * np.exp(rng.uniform(-13, 13, 20_000)), rng.uniform(0, 100, 20_000)
    most = np.maximum(diffusion.discounted_forward, strike) + rebate
    with np.errstate(all="raise", under="ignore"):
        for knock, option_type in ((IN, CALL), (IN, PUT), (OUT, CALL), (OUT, PUT)):
            prices = [
                barrier.double_option(diffusion, strike, lower, upper, knock, option_type, rebate),
                barrier.option(diffusion, strike, lower, DOWN, knock, option_type, rebate),
                barrier.option(diffusion, strike, upper, UP, knock, option_type, rebate),
            ]
            for price in prices:
                assert ((price >= 0) & (price <= most * (1 + 1e-9))).all()


@pytest.mark.parametrize("spot", [100.0, 97.0])
def test_a_barrier_reached_has_knocked(spot):
    diffusion = Diffusion(spot, 0.4, 0.5, 0.08, 0.04)
    plain = float(digital.gap(diffusion, 90, 90, CALL))
    assert float(barrier.option(diffusion, 90, 100, DOWN, OUT, CALL, 3)) == 3
    assert float(barrier.option(diffusion, 90, 100, DOWN, IN, CALL, 3)) == plain
    assert float(barrier.double_option(diffusion, 90, 100, 120, OUT, CALL, 3)) == 3
    assert float(barrier.double_option(diffusion, 90, 100, 120, IN, CALL, 3)) == plain
    assert float(barrier.cash_or_nothing(diffusion, 90, 100, DOWN, OUT, CALL, 3)) == 0


def test_a_monitored_barrier_lies_further_off_and_comes_back_with_more_dates():
    diffusion = Diffusion(100.0, 0.6, 0.5, 0.05, 0.08)
    for direction in (UP, DOWN):
        levels = barrier.monitored_level(diffusion, 90.0, direction, np.array([1, 12, 365, 10**9]))
        assert (np.diff(direction * levels) < 0).all()
        assert levels[-1] == pytest.approx(90.0, rel=1e-4)


def drawn(rng):
    """A market and terms with the barrier at least 2 % of a deviation away."""
    volatility, years = float(np.exp(rng.uniform(-2.3, 0.4))), float(np.exp(rng.uniform(-4, 0.7)))
    deviation = volatility * math.sqrt(years)
    diffusion = Diffusion(100.0, volatility, years, float(rng.uniform(0.01, 0.15)), float(rng.uniform(-0.2, 0.3)))
    direction, knock, option_type = (float(rng.choice([-1.0, 1.0])) for _ in range(3))
    level = 100 * math.exp(direction * rng.uniform(0.02, 2) * deviation)
    strike = 100 * math.exp(rng.uniform(-1.5, 1.5) * deviation)
    other = 100 * math.exp(-direction * rng.uniform(0.02, 2) * deviation)
    return diffusion, deviation, strike, level, other, direction, knock, option_type


@pytest.mark.parametrize("number", range(40))
def test_greeks_are_the_slopes_of_the_price(number):
    rng = np.random.default_rng(number)
    diffusion, deviation, strike, level, other, direction, knock, option_type = drawn(rng)
    lower, upper = min(level, other), max(level, other)

    def single(market):
        return barrier.option(market, strike, level, direction, knock, option_type, 3)

    def double(market):
        return barrier.double_option(market, strike, lower, upper, knock, option_type, 3)

    for price in (single, double):
        found = greeks(price, diffusion)
        fields = {"delta": "spot", "vega": "volatility", "theta": "years", "rho": "rate", "carry": "carry"}
        for greek, field in fields.items():
            at = float(getattr(diffusion, field))
            step = 1e-5 * (at * deviation if field == "spot" else at)
            values = {name: getattr(diffusion, name) for name in Diffusion.__slots__}
            up, down = (price(Diffusion(**{**values, field: at + side * step})) for side in (1, -1))
            slope = float(up - down) / (2 * step) * (-1 if greek == "theta" else 1)
            noise = 1e-13 * 100 / step + 1e-6 * 100 / (abs(at) * deviation)
            assert float(getattr(found, greek)) == pytest.approx(slope, abs=noise), greek
        # Second order by differences of the price itself, which keep few digits: wide steps, wide tolerance.
        step = 1e-3 * deviation
        spots = 100 * (1 + step * np.array([-1, 0, 1]))
        low, middle, high = price(Diffusion(spots, *(getattr(diffusion, name) for name in Diffusion.__slots__[1:])))
        curvature = (low - 2 * middle + high) / (100 * step) ** 2
        assert float(found.gamma) == pytest.approx(curvature, abs=2e-3 / (100 * deviation**2))


EXACT_GREEKS = [
    ((100, 97.1, 86.1, 0.14, 1.52, 0.1, -0.02, 0, 1, -1, -1), {
        "delta": 0.48142619034484223,
        "gamma": 0.015212457521867967,
        "vega": 30.054205347057112,
        "vanna": 1.0661513481488537,
        "volga": -195.25400579978199,
        "theta": 0.0090343995475425734,
        "rho": -8.1624434112139703,
        "carry": 65.064116024243282,
    }),
    ((100, 117.4, 84.8, 1.13, 0.1, 0.03, 0.14, 0, 1, -1, 1), {
        "delta": -0.090475364451102298,
        "gamma": 0.0051682406376350976,
        "vega": 5.4620360459669486,
        "vanna": -0.18455427671015287,
        "volga": 8.6982242148932746,
        "theta": -31.682738393500146,
        "rho": -0.15746285055232085,
        "carry": 0.62105256353756208,
    }),
    ((100, 101.8, 100.6, 0.16, 0.01, 0.13, 0.03, 0, 1, 1, -1), {
        "delta": 0.0,
        "gamma": 0.0,
        "vega": 0.0,
        "vanna": 0.0,
        "volga": 0.0,
        "theta": 0.0,
        "rho": 0.0,
        "carry": 0.0,
    }),
    ((100, 119, 112.8, 0.23, 0.52, 0.02, -0.17, 2, 1, 1, 1), {
        "delta": -0.0054433201294579418,
        "gamma": 0.0011441015302738557,
        "vega": 3.9649793666274707,
        "vanna": 0.74645999787906105,
        "volga": 108.74363482136159,
        "theta": -0.35820946341073854,
        "rho": -0.96048767223451489,
        "carry": 1.4734938396699105,
    }),
]  # fmt: skip


@pytest.mark.parametrize("row", EXACT_GREEKS, ids=range(len(EXACT_GREEKS)))
def test_exact_greeks(row):
    terms, exact = row
    spot, strike, level, volatility, years, rate, carry, rebate, option_type, direction, knock = terms
    diffusion = Diffusion(spot, volatility, years, rate, carry)
    found = greeks(lambda at: barrier.option(at, strike, level, direction, knock, option_type, rebate), diffusion)
    deviation = volatility * math.sqrt(years)
    first, second = 1e-14 * spot / deviation, 1e-9 * spot / deviation**2
    assert float(found.delta) == pytest.approx(exact["delta"], abs=first / spot)
    assert float(found.vega) == pytest.approx(exact["vega"], abs=first / volatility)
    assert float(found.theta) == pytest.approx(exact["theta"], abs=first / years)
    assert float(found.rho) == pytest.approx(exact["rho"], abs=first)
    assert float(found.carry) == pytest.approx(exact["carry"], abs=first / deviation)
    assert float(found.gamma) == pytest.approx(exact["gamma"], abs=second / spot**2)
    assert float(found.vanna) == pytest.approx(exact["vanna"], abs=second / (spot * volatility))
    assert float(found.volga) == pytest.approx(exact["volga"], abs=second / volatility**2)


def test_bad_inputs_are_refused_by_name():
    diffusion = Diffusion(100.0, 0.5, 0.5)
    good = {"strike": 100.0, "level": 90.0, "direction": DOWN, "knock": OUT, "option_type": CALL, "rebate": 1.0}
    wrong = [
        ("strike", {"strike": 1e10}), ("strike", {"strike": math.nan}), ("strike", {"strike": None}),
        ("barrier", {"level": 0.0}), ("barrier", {"level": math.inf}), ("barrier", {"level": 1e-7}),
        ("direction", {"direction": 0.5}), ("knock", {"knock": 0}), ("option_type", {"option_type": math.nan}),
        ("rebate", {"rebate": -1.0}), ("rebate", {"rebate": math.nan}),
    ]  # fmt: skip
    for field, change in wrong:
        with pytest.raises(InputError) as refused:
            barrier.option(diffusion, **{**good, **change})
        assert refused.value.field == field
    with pytest.raises(InputError) as refused:
        barrier.double_option(diffusion, 100, 110, 105, OUT, CALL)
    assert refused.value.field == "lower"
    with pytest.raises(InputError) as refused:
        barrier.monitored_level(diffusion, 90, DOWN, 0)
    assert refused.value.field == "dates"
