"""Inverse futures and options: vectors, published examples, and the two views as derivatives of their values."""

import doctest
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.risk import black76, inverse
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "inverse_products.json"

forwards = st.floats(100.0, 1e6)
kinds = st.sampled_from([-1.0, 1.0])


def vectors(kind):
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["type"] == kind]
    assert cases
    return [(case["input"], {name: float(value) for name, value in case["expected"].items()}) for case in cases]


def sign(given_):
    return 1.0 if given_["type"] == "call" else -1.0


def test_golden_futures():
    for given_, expected in vectors("inverse_future_pnl"):
        found = inverse.future(given_["contracts_usd"], given_["entry"], given_["exit"])
        assert float(found.pnl_coin) == pytest.approx(expected["pnl_coin"], rel=1e-14)
        assert float(found.pnl_usd) == pytest.approx(expected["pnl_usd_at_exit"], rel=1e-14)
        assert float(found.delta_coin) == pytest.approx(expected["delta_coin"], rel=1e-14)
        assert float(found.gamma_coin) == pytest.approx(expected["gamma_coin_per_usd"], rel=1e-14)


def test_golden_options():
    for given_, expected in vectors("inverse_option"):
        kind = sign(given_)
        found = inverse.option(given_["F"], given_["K"], given_["sigma"], given_["T"], kind)
        paid = float(inverse.payoff(given_["settlement"], given_["K"], kind))
        assert found.usd.price == pytest.approx(expected["price_usd"], abs=1e-14 * max(given_["F"], given_["K"]))
        assert found.coin.price == pytest.approx(expected["price_coin"], abs=1e-14 * max(1, given_["K"] / given_["F"]))
        assert found.usd.delta == pytest.approx(expected["bs_delta"], abs=1e-14)
        assert found.net_delta == pytest.approx(expected["net_delta_premium_adjusted"], abs=2e-14)
        assert paid == pytest.approx(expected["payoff_coin"], abs=1e-15)
        assert given_["qty"] * (paid - found.coin.price) == pytest.approx(expected["pnl_coin"], rel=1e-12, abs=1e-13)


def test_golden_settlements():
    for given_, expected in vectors("inverse_option_settlement"):
        paid = float(inverse.payoff(given_["settlement"], given_["strike"], sign(given_)))
        assert paid == pytest.approx(expected["payoff_coin"], abs=1e-15)
        assert given_["qty"] * (paid - given_["premium_coin"]) == pytest.approx(expected["pnl_coin"], abs=1e-15)


def test_golden_delta_decay():
    for given_, expected in vectors("delta_decay"):
        elapsed = given_["minutes_into_settlement"] / given_["settlement_minutes"]
        found = inverse.settling_net_delta(given_["decayed_delta"], given_["mark_price_coin"], elapsed)
        assert float(found) == pytest.approx(expected["net_delta"], abs=1e-15)


def test_published_examples():
    # Deribit: a call of 10,000 settled at 12,500 pays 0.2 coin; half way through settlement 0.5 - 0.3 * 0.5 = 0.35.
    assert float(inverse.payoff(12_500, 10_000, 1)) == 0.2
    assert float(inverse.payoff(12_500, 10_000, -1)) == 0
    assert float(inverse.settling_net_delta(0.5, 0.3, 0.5)) == 0.35
    assert inverse.settling_net_delta(0.5, 0.3, [0.0, 0.9, 1.0]).tolist() == pytest.approx([0.2, 0.47, 0.5], abs=1e-15)
    # 100,000 dollars long from 50,000 to 62,500: 2 coins owed at entry, 1.6 at the end.
    found = inverse.future(100_000, 50_000, 62_500)
    assert [float(value) for value in found] == [0.4, 25_000, 1.6, 2.0, -2 * 100_000 / 62_500**3, 0]


@settings(deadline=None)
@given(forwards, st.floats(0.3, 3), st.floats(0.1, 2), st.floats(0.02, 2), kinds)
def test_the_coin_view_is_the_derivatives_of_the_value_in_coin(forward, ratio, sigma, years, kind):
    strike, step = forward * ratio, 1e-5
    at = inverse.option(forward, strike, sigma, years, kind)
    moved = inverse.greeks(forward * np.array([1 + step, 1 - step]), strike, sigma, years, kind)
    bent = inverse.greeks(forward, strike, sigma + np.array([step, -step]), years, kind)

    def slope(pair, width):
        return float(pair[0] - pair[1]) / (2 * width)

    assert at.coin.price == at.usd.price / forward
    assert slope(moved.coin.price, step * forward) * forward == pytest.approx(at.coin.delta * forward, abs=1e-7)
    assert at.net_delta == pytest.approx(at.coin.delta * forward, abs=1e-14)
    assert slope(moved.coin.delta, step * forward) * forward**2 == pytest.approx(
        at.coin.gamma * forward**2, rel=1e-5, abs=1e-6
    )
    assert slope(bent.coin.price, step) == pytest.approx(at.coin.vega, abs=1e-8)
    assert slope(bent.coin.delta, step) * forward == pytest.approx(at.coin.vanna * forward, rel=1e-5, abs=1e-6)
    assert slope(bent.coin.vega, step) == pytest.approx(at.coin.volga, rel=1e-5, abs=1e-6)
    aged = inverse.greeks(forward, strike, sigma, years + np.array([step, -step]), kind)
    assert slope(aged.coin.delta, step) * forward == pytest.approx(at.coin.charm * forward, rel=1e-4, abs=1e-4)
    assert slope(aged.coin.vega, step) == pytest.approx(at.coin.veta, rel=1e-4, abs=1e-4)
    assert at.coin.theta == at.usd.theta / forward
    assert at.usd == black76.option(forward, strike, sigma, years, kind)


@settings(deadline=None)
@given(forwards, st.floats(0.2, 5), st.floats(0, 3), st.floats(0, 2))
def test_parity_in_coin(forward, ratio, sigma, years):
    strike = forward * ratio
    call, put = inverse.greeks(forward, strike, sigma, years, np.array([1.0, -1.0])).coin.price
    assert call - put == pytest.approx(1 - ratio, abs=1e-14 * max(1, ratio))
    assert 0 <= call <= 1 + 1e-15


@settings(deadline=None)
@given(st.floats(-1e7, 1e7), forwards, forwards)
def test_what_one_side_of_a_future_gains_the_other_loses(contracts, entry, price):
    long, short = inverse.future(contracts, entry, price), inverse.future(-contracts, entry, price)
    assert all(float(one) == -float(other) for one, other in zip(long, short, strict=True))
    assert float(long.pnl_usd) == pytest.approx(contracts * (price / entry - 1), rel=1e-12, abs=1e-9)
    assert float(inverse.future(contracts, entry, entry).pnl_coin) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0, 1e60])
def test_bad_inputs_are_refused_by_name(bad):
    for name in ("entry", "price"):
        with pytest.raises(InputError, match=name):
            inverse.future(**{"contracts": 10.0, "entry": 100.0, "price": 100.0, name: bad})
    for name in ("settlement", "strike"):
        with pytest.raises(InputError, match=name):
            inverse.payoff(**{"settlement": 100.0, "strike": 100.0, "option_type": 1.0, name: bad})
    with pytest.raises(InputError, match="forward"):
        inverse.option(bad, 100.0, 0.5, 0.1, 1.0)


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("contracts", lambda: inverse.future(math.nan, 100.0, 100.0)),
        ("option_type", lambda: inverse.payoff(100.0, 100.0, 0.0)),
        ("elapsed", lambda: inverse.settling_net_delta(0.5, 0.3, 1.5)),
        ("elapsed", lambda: inverse.settling_net_delta(0.5, 0.3, math.nan)),
        ("mark_coin", lambda: inverse.settling_net_delta(0.5, math.inf, 0.5)),
        ("volatility", lambda: inverse.option(100.0, 100.0, -0.1, 0.1, 1.0)),
    ],
)
def test_other_bad_inputs(field, call):
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field


def test_examples_in_the_documentation_run():
    assert doctest.testmod(inverse) == doctest.TestResults(0, 2)
