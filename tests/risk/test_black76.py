"""Black-76 against its vectors, its identities, many digits, and the marks made from it."""

import doctest
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_markets import NOW, coin_option, inverse_future, linear_option

from seawall.risk import black76, black_scholes, mark_price
from seawall.risk.kernels import pricing
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "black76_greeks.json"
WIDE = 8.0

forwards = st.floats(1.0, 1e6)
ratios = st.floats(0.05, 20.0)
volatilities = st.floats(0.0, 5.0)
years = st.floats(1e-6, 5.0)
kinds = st.sampled_from([-1.0, 1.0])

FACTS = [
    # Forward, strike, volatility, years, type, rate, and the ten greeks to 17 digits (mpmath at 50).
    (
        (60000.0, 66000.0, 0.6, 30 / 365, 1.0, 0.0),
        (1962.1563028256449, 0.31986568569555513, 3.4643182810688607e-5, 6150.3513592674562),
        (
            -22448.782461326216,
            -161.27312078018999,
            0.38143772626197822,
            3071.1709995237657,
            1.3922477008562205,
            48624.411583805439,
        ),
    ),
    (
        (60000.0, 66000.0, 0.6, 30 / 365, -1.0, 0.05),
        (7929.5022558539320, -0.67734497722015661, 3.4501105705476743e-5, 6125.1278074380623),
        (
            -21960.241384356231,
            -651.73991144004917,
            0.37987339055235120,
            3058.5756474278741,
            1.4204051243770897,
            48118.738884654719,
        ),
    ),
    (
        (2500.0, 2500.25, 0.8, 1e-07, 1.0, 0.0),
        (0.14678418066191926, 0.34637035565477432, 0.58341275067596101, 0.29170637533798051),
        (
            -1166825.5013519221,
            -1.4678418066191926e-8,
            0.18236571064475213,
            0.056968198731141774,
            729462.84257900859,
            1686404.6716144697,
        ),
    ),
    (
        (100.0, 250.0, 0.5, 0.0625, 1.0, 0.0),
        (2.983802540124943577e-13, 1.8265965602861124e-13, 1.0814391519195604e-13, 3.3794973497486263e-11),
        (
            -1.3517989398994505e-10,
            -1.8648765875780897e-14,
            1.9987228307282223e-11,
            3.6315923665329631e-9,
            7.9948913229128893e-11,
            1.4796729254111742e-8,
        ),
    ),
    (
        (3e-05, 2e-05, 1.5, 0.25, -1.0, 0.1),
        (3.2054208878155439e-6, -0.17549051743508727, 11371.626078832601, 3.8379238016060030e-6),
        (
            -1.1193229316036454e-5,
            -8.0135522195388597e-7,
            -0.028250555254956247,
            3.8800166212045898e-7,
            -0.067202614021360011,
            8.4560602094127826e-6,
        ),
    ),
]


def check(found, expected, forward, strike, sigma, time, kind, rate, higher_d):
    """Price and greeks within what the module's docstring states; `expected` holds decimal strings or numbers."""
    scale, total = max(forward, strike), sigma * math.sqrt(time)
    price = float(expected["price"])
    assert abs(found.price - price) <= 1e-14 * scale
    if kind * (forward - strike) <= 0 and higher_d <= WIDE:
        assert found.price == pytest.approx(price, rel=1e-12, abs=0)
    natural = {
        "delta": 1.0,
        "gamma": 1 / (forward * total),
        "vega": forward * math.sqrt(time),
        "theta": forward * sigma / math.sqrt(time) + abs(rate) * scale,
        "rho": time * scale,
        "vanna": 1 / sigma,
        "volga": forward * math.sqrt(time) / sigma,
        "charm": 0.5 / time + abs(rate),
        "veta": 0.5 * forward / math.sqrt(time) + abs(rate) * forward * math.sqrt(time),
    }
    for name, unit in natural.items():
        if name in expected:  # the golden vectors have no crosses with time
            assert abs(getattr(found, name) - float(expected[name])) <= 1e-12 * unit, name
    if higher_d <= WIDE:
        for name in ("gamma", "vega", "delta") if kind * (forward - strike) <= 0 else ("gamma", "vega"):
            assert getattr(found, name) == pytest.approx(float(expected[name]), rel=1e-12, abs=0), name


def test_golden_vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = json.loads(VECTORS.read_text())["cases"]
    assert len(cases) > 300
    for case in cases:
        given, expected = case["input"], case["expected"]
        inputs = (given["F"], given["K"], given["sigma"], given["T"], 1.0 if given["type"] == "call" else -1.0)
        higher_d = max(abs(float(expected["d1"])), abs(float(expected["d2"])))
        check(black76.option(*inputs, given["r"]), expected, *inputs, given["r"], higher_d)
        if given["r"] == 0:
            value, delta, vega = black76.stress(*inputs)
            assert abs(value - float(expected["price"])) <= 1e-14 * max(inputs[:2])
            assert abs(delta - float(expected["delta"])) <= 1e-12
            assert abs(vega - float(expected["vega"])) <= 1e-12 * inputs[0] * math.sqrt(inputs[3])


@pytest.mark.parametrize(("inputs", "first", "second"), FACTS)
def test_facts(inputs, first, second):
    found = black76.option(*inputs)
    expected = dict(zip(found._fields, first + second, strict=True))
    check(found, expected, *inputs, 7.4)


@pytest.mark.parametrize(
    ("spot", "strike", "sigma", "time", "kind", "rate", "carry", "published"),
    [
        (60, 65, 0.30, 0.25, 1, 0.08, 0.08, 2.1334),  # Haug (2007), 1.1.1, Black-Scholes
        (100, 95, 0.20, 0.50, -1, 0.10, 0.05, 2.4648),  # 1.1.2, Merton
        (19, 19, 0.28, 0.75, 1, 0.10, 0.0, 1.7011),  # 1.1.3, Black-76
    ],
)
def test_published_prices_on_a_spot(spot, strike, sigma, time, kind, rate, carry, published):
    assert black_scholes.greeks(spot, strike, sigma, time, kind, rate, carry).price == pytest.approx(
        published, abs=5e-5
    )


@settings(deadline=None)
@given(forwards, ratios, volatilities, years, st.floats(-0.5, 0.5))
def test_call_less_put_is_forward_less_strike(forward, ratio, volatility, time, rate):
    strike = forward * ratio
    call, put = black76.price(forward, strike, volatility, time, np.array([1.0, -1.0]), rate)
    assert call - put == pytest.approx(math.exp(-rate * time) * (forward - strike), abs=1e-13 * max(forward, strike))
    one, other = black76.delta(forward, strike, volatility, time, np.array([1.0, -1.0]))
    assert one - other == pytest.approx(1.0, abs=1e-15)


@settings(deadline=None)
@given(forwards, ratios, volatilities, volatilities, years, kinds)
def test_value_rises_with_volatility_between_intrinsic_and_its_limit(forward, ratio, low, high, time, kind):
    strike, (low, high) = forward * ratio, sorted((low, high))
    cheap, dear = black76.price(forward, strike, np.array([low, high]), time, kind)
    limit = forward if kind > 0 else strike
    assert cheap <= dear + 1e-15 * max(forward, strike)
    assert max(0.0, kind * (forward - strike)) <= cheap <= limit * (1 + 1e-15)


@settings(deadline=None)
@given(forwards, forwards, ratios, volatilities, years, years, kinds)
def test_value_moves_one_way_in_each_argument(forward, other, ratio, volatility, time, later, kind):
    strike, roundoff = forward * ratio, 1e-15 * max(forward, other) * max(1.0, ratio)
    low, high = sorted((forward, other))
    below, above = black76.price(np.array([low, high]), strike, volatility, time, kind)
    assert kind * (above - below) >= -roundoff
    assert abs(above - below) <= high - low + roundoff
    below, above = black76.price(strike, np.array([low, high]), volatility, time, kind)
    assert kind * (above - below) <= 1e-15 * max(strike, high)
    sooner, later = sorted((time, later))
    early, late = black76.price(forward, strike, volatility, np.array([sooner, later]), kind)
    assert early <= late + 1e-15 * max(forward, strike)


@settings(deadline=None)
@given(forwards, ratios, st.floats(1e-4, 0.5), volatilities, years, kinds)
def test_value_is_convex_in_the_strike(forward, ratio, width, volatility, time, kind):
    strikes = forward * ratio * np.array([1 - width, 1.0, 1 + width])
    for path in (black76.price, lambda *option: black76.stress(*option)[0]):
        low, middle, high = path(forward, strikes, volatility, time, kind)
        assert low + high - 2 * middle >= -4e-15 * max(forward, strikes[2])


@settings(deadline=None)
@given(st.floats(0.5, 2.0), st.floats(0.2, 2.0), st.floats(0.05, 2.0), kinds, st.floats(-0.1, 0.1))
def test_greeks_are_the_slopes_of_the_price_and_of_each_other(ratio, volatility, time, kind, rate):
    step = 1e-5
    at = black76.option(1.0, ratio, volatility, time, kind, rate)
    up, down = np.array([1 + step, 1 - step]), np.array([step, -step])

    def slopes(**changed):
        inputs = {"forward": 1.0, "strike": ratio, "volatility": volatility, "years": time, "option_type": kind}
        found = black76.greeks(**{**inputs, "rate": rate, **changed})
        return black76.Greeks(*((values[0] - values[1]) / (2 * step) for values in found))

    by_forward, by_volatility = slopes(forward=up), slopes(volatility=volatility + down)
    by_time, by_rate = slopes(years=time + down), slopes(rate=rate + down)
    assert by_forward.price == pytest.approx(at.delta, abs=1e-8)
    assert by_forward.delta == pytest.approx(at.gamma, rel=1e-5, abs=1e-6)
    assert by_volatility.price == pytest.approx(at.vega, abs=1e-7)
    assert by_volatility.delta == pytest.approx(at.vanna, rel=1e-5, abs=1e-6)
    assert by_volatility.vega == pytest.approx(at.volga, rel=1e-5, abs=1e-6)
    assert -by_time.price == pytest.approx(at.theta, rel=1e-5, abs=1e-6)
    assert by_rate.price == pytest.approx(at.rho, abs=1e-7)
    assert by_time.delta == pytest.approx(at.charm, rel=1e-5, abs=1e-6)
    assert by_time.vega == pytest.approx(at.veta, rel=1e-5, abs=1e-6)
    assert by_forward.theta == pytest.approx(-at.charm, rel=1e-5, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.5, 2.0), st.floats(0.2, 2.0), st.floats(0.05, 2.0), kinds, st.floats(-0.1, 0.1))
def test_on_a_spot_greeks_are_slopes_with_the_spot_held(ratio, volatility, time, kind, rate):
    step, carry = 1e-5, rate - 0.03
    at = black_scholes.greeks(1.0, ratio, volatility, time, kind, rate, carry)
    down = np.array([step, -step])
    by_spot = black_scholes.greeks(1 + down, ratio, volatility, time, kind, rate, carry)
    by_time = black_scholes.greeks(1.0, ratio, volatility, time + down, kind, rate, carry)
    by_rate = black_scholes.greeks(1.0, ratio, volatility, time, kind, rate + down, carry + down)
    by_volatility = black_scholes.greeks(1.0, ratio, volatility + down, time, kind, rate, carry)

    def slope(pair):
        return float(pair[0] - pair[1]) / (2 * step)

    assert slope(by_spot.price) == pytest.approx(float(at.delta), abs=1e-8)
    assert slope(by_spot.delta) == pytest.approx(float(at.gamma), rel=1e-5, abs=1e-6)
    assert -slope(by_time.price) == pytest.approx(float(at.theta), rel=1e-5, abs=1e-6)
    assert slope(by_rate.price) == pytest.approx(float(at.rho), abs=1e-7)
    assert slope(by_volatility.delta) == pytest.approx(float(at.vanna), rel=1e-5, abs=1e-6)
    assert slope(by_time.delta) == pytest.approx(float(at.charm), rel=1e-5, abs=1e-6)
    assert slope(by_time.vega) == pytest.approx(float(at.veta), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("volatility", "time"), [(0.0, 1.0), (0.8, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("path", [black76.price_delta_vega, black76.stress])
def test_without_volatility_or_time_only_intrinsic_value_is_left(path, volatility, time):
    value, delta, vega = path(np.array([90.0, 100.0, 110.0]), 100.0, volatility, time, 1.0)
    assert (value.tolist(), delta.tolist(), vega.tolist()) == ([0, 0, 10], [0, 0.5, 1], [0, 0, 0])
    value, delta, vega = path(np.array([90.0, 100.0, 110.0]), 100.0, volatility, time, -1.0)
    assert (value.tolist(), delta.tolist(), vega.tolist()) == ([10, 0, 0], [-1, -0.5, 0], [0, 0, 0])


@pytest.mark.parametrize(("volatility", "time"), [(0.0, 1.0), (0.8, 0.0), (5e-324, 5e-324), (1e3, 1e3), (1e-30, 1e-30)])
def test_greeks_are_finite_at_every_edge(volatility, time):
    edges = np.array([1e-50, 1e-10, 1.0, np.nextafter(1.0, 2), 1e10, 1e50])
    for kind in (-1.0, 1.0):
        found = black76.greeks(edges, edges[:, None], volatility, time, kind, 0.1)
        assert all(np.isfinite(values).all() for values in found)
        for path in (black76.price_delta_vega, black76.stress):
            assert np.isfinite(path(edges, edges[:, None], volatility, time, kind)).all()


def adversarial(count, seed):
    """Options near every switch of the kernels: at the money to the last bit, far wings, tiny times, huge totals."""
    rng = np.random.default_rng(seed)
    forward, total = 10.0 ** rng.uniform(-6, 8, count), 10.0 ** rng.uniform(-9, 2.3, count)
    strike = forward * np.exp(np.clip(total * rng.normal(0, 1, count) * 10.0 ** rng.uniform(-16, 1.6, count), -30, 30))
    same = rng.random(count) < 0.05
    strike[same] = forward[same]
    octave = rng.random(count) < 0.05
    strike[octave] = forward[octave] * 2.0 ** rng.integers(-4, 5, octave.sum())
    time = 10.0 ** rng.uniform(-9, 2, count)
    volatility = np.minimum(total / np.sqrt(time), 1e3)
    volatility[rng.random(count) < 0.02] = 0.0
    return forward, strike, volatility, time, rng.choice([-1.0, 1.0], count)


def test_the_stress_path_keeps_its_bound_against_the_accurate_path():
    market = adversarial(400_000, 11)
    forward, strike, _, time, _ = market
    accurate, quick = black76.price_delta_vega(*market), black76.stress(*market)
    assert np.max(np.abs(quick[0] - accurate[0]) / np.maximum(forward, strike)) <= 2e-15
    near = strike < 100 * forward
    assert np.max((np.abs(quick[0] - accurate[0]) / forward)[near]) <= 1e-13
    assert np.max(np.abs(quick[1] - accurate[1])) <= 2e-15
    assert np.max(np.abs(quick[2] - accurate[2]) / (forward * np.sqrt(time))) <= 2e-15


def test_all_ways_to_a_price_give_the_same_bits_wherever_it_stands():
    market = adversarial(3_000, 12)
    rows, quick = black76.price_delta_vega(*market), black76.stress(*market)
    full = black76.greeks(*market)
    assert np.array_equal(full.price, rows[0])
    assert np.array_equal(full.delta, rows[1])
    assert np.array_equal(full.vega, rows[2])
    assert np.array_equal(black76.price(*market), rows[0])
    assert np.array_equal(black76.delta(*market), rows[1])
    assert np.array_equal(black76.vega(*market[:4]), rows[2])
    for i in range(0, 3_000, 97):
        one = [array[i] for array in market]
        assert black76.price_delta_vega(*one).tolist() == rows[:, i].tolist()
        assert black76.stress(*one).tolist() == quick[:, i].tolist()
        assert black76.option(*one) == black76.Greeks(*(float(values[i]) for values in full))
    shifted = [array[5:] for array in market]
    assert np.array_equal(black76.stress(*shifted), quick[:, 5:])
    assert np.array_equal(black76.price_delta_vega(*shifted), rows[:, 5:])


def test_arguments_broadcast_and_out_is_filled():
    forward, strike = np.linspace(90, 110, 5), np.linspace(80, 120, 3)[:, None]
    values = black76.price(forward, strike, 0.5, 0.1, 1)
    assert values.shape == (3, 5)
    assert values[2, 1] == black76.price(95.0, 120.0, 0.5, 0.1, 1)
    out = np.empty((3, 3, 5))
    assert black76.price_delta_vega(forward, strike, 0.5, 0.1, 1, out=out) is out
    assert np.array_equal(out[0], values)
    assert black76.price(np.empty(0), 100.0, 0.5, 0.1, 1).shape == (0,)
    for wrong in (np.empty((3, 5)), np.empty((3, 3, 5), np.float32), np.empty((3, 3, 10))[:, :, ::2]):
        with pytest.raises(InputError, match="out"):
            black76.stress(forward, strike, 0.5, 0.1, 1, out=wrong)


GOOD = {"forward": 100.0, "strike": 100.0, "volatility": 0.5, "years": 0.25, "option_type": 1.0, "rate": 0.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, bad) for name in GOOD for bad in (math.nan, math.inf, -math.inf)),
        *((name, bad) for name in ("forward", "strike") for bad in (0.0, -1.0, 1e-60, 1e60)),
        ("volatility", -1e-9),
        ("volatility", 1001.0),
        ("years", -1e-9),
        ("years", 1.1e3),
        ("option_type", 0.0),
        ("option_type", 0.5),
        ("option_type", 2.0),
        ("rate", 11.0),
        ("rate", None),
        ("forward", "dear"),
        ("strike", [[1.0], [1.0, 2.0]]),
    ],
)
def test_bad_inputs_are_refused_by_name(name, value):
    with pytest.raises(InputError) as refused:
        black76.option(**{**GOOD, name: value})
    assert refused.value.field == name
    if name == "rate" or not isinstance(value, float):
        return
    usual = {key: np.full((2, 3), number) for key, number in GOOD.items() if key != "rate"}
    usual[name][1, 2] = value
    for path in (black76.price, black76.price_delta_vega, black76.stress):
        with pytest.raises(InputError) as refused:
            path(**usual)
        assert refused.value.field == f"{name}[1, 2]"


def test_a_discount_beyond_all_reason_is_refused():
    with pytest.raises(InputError, match="rate"):
        black76.option(100.0, 100.0, 0.5, 200.0, 1.0, 0.6)
    with pytest.raises(InputError, match="broadcast"):
        black76.price(np.ones(2), np.ones(3), 0.5, 0.1, 1)
    for name, value in (("spot", -1.0), ("years", math.nan), ("carry", 11.0), ("carry", math.nan)):
        inputs = {"spot": 1.0, "years": 1.0, "carry": 0.0, name: value}
        with pytest.raises(InputError, match=name):
            black_scholes.forward_of(**inputs)


def test_kernels_check_the_rules_that_are_told():
    bounds = {name: rule[:2] for name, rule in black76.RULES.items()}
    assert bounds == {
        "forward": (pricing.PRICE_MIN, pricing.PRICE_MAX),
        "strike": (pricing.PRICE_MIN, pricing.PRICE_MAX),
        "volatility": (0.0, pricing.VOLATILITY_MAX),
        "years": (0.0, pricing.YEARS_MAX),
        "option_type": (-1.0, 1.0),
        "rate": (-pricing.RATE_MAX, pricing.RATE_MAX),
    }
    assert pricing.DISCOUNT_LOG_MAX == 100


def test_examples_in_the_documentation_run():
    assert doctest.testmod(black76) == doctest.TestResults(0, 1)


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
