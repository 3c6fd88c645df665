"""Funding formulas against their golden vectors, their properties and bad inputs."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.prices import funding
from seawall.prices.index import weighted_median
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "funding_index.json"
NAN = float("nan")


def cases(rule):
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    found = [case for case in json.loads(VECTORS.read_text())["cases"] if case["rule"] == rule]
    assert found
    return [(case["id"], case["input"], case["expected"]) for case in found]


def agree(name, found, expected):
    assert set(found) == set(expected)
    for field, value in expected.items():
        assert found[field] == pytest.approx(value, rel=1e-12, abs=1e-18), (name, field)


def test_every_rule_of_the_vectors_is_run():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    here = {"deribit.funding", "binance.funding", "impact_premium_index", "paradex.continuous_funding"}
    here |= {"funding.weighted_median"}
    elsewhere = {"index.capped_median", "binance.mark_price"}  # test_index_price.py, test_mark_price.py
    assert {case["rule"] for case in json.loads(VECTORS.read_text())["cases"]} <= here | elsewhere


def test_deribit_vectors():
    for name, given_, expected in cases("deribit.funding"):
        found = funding.deribit_funding(**given_)
        agree(name, {
            "premium_rate": found.premium_rate, "funding_rate_8h": found.rate,
            "payment_usd_received": found.received_usd, "payment_coin_received": found.received_coin,
        }, expected)  # fmt: skip


def test_binance_vectors():
    for name, given_, expected in cases("binance.funding"):
        hours = given_.get("interval_hours", given_.get("settlement_hours", 8.0))
        samples = given_["premium_index_samples"]
        found = funding.binance_funding(samples, given_["interest_rate"], given_["clamp"], hours)
        agree(name, {
            "average_premium": found.average_premium, "funding_rate": found.rate,
            "payment_received": funding.funding_received(given_["position"], given_["mark"], found.rate),
        }, expected)  # fmt: skip


def test_impact_premium_vectors():
    for name, given_, expected in cases("impact_premium_index"):
        agree(name, {"premium_index": funding.impact_premium(**given_)}, expected)


def test_paradex_vectors():
    for name, given_, expected in cases("paradex.continuous_funding"):
        found = funding.paradex_funding(
            given_["premium_rate"], given_["spot"], given_["usdc"], given_["window_s"],
            baseline=given_["baseline"], clamp=given_["clamp"], multiplier=given_["multiplier"],
            rate_max=given_["max_rate"], period_s=given_["period_s"],
        )  # fmt: skip
        agree(name, {
            "raw_rate": found.rate, "premium_per_period": found.premium, "index_delta": found.index_change,
            "pnl": -given_["position"] * found.index_change * given_["usdc"],
        }, expected)  # fmt: skip


def test_weighted_median_vectors():
    for name, given_, expected in cases("funding.weighted_median"):
        agree(name, {"weighted_median": weighted_median(given_["values"], given_["weights"])}, expected)


def test_the_published_paradex_example():
    found = funding.paradex_funding(0.0008, 60_000, 1.0, 60)
    assert (found.rate, found.premium, found.index_change) == pytest.approx((0.0003, 18.0, 0.0375))
    assert funding.paradex_funding(0.0008, 60_000, 0.8, 60).premium == pytest.approx(22.5)  # in USDC of 0.80 dollars
    assert funding.paradex_funding(0.5, 60_000, 1.0, 60).rate == 0.02


def test_deribit_pays_nothing_inside_the_dead_band_and_the_excess_outside():
    assert funding.deribit_funding(100.02, 100.0, -0.005, 0.005, 1000, 28_800).rate == 0
    above = funding.deribit_funding(100.1, 100.0, -0.005, 0.005, 1000, 28_800)
    assert above.rate == pytest.approx(0.001 - 0.00025)
    assert above.received_usd == pytest.approx(-0.75) and above.received_coin == pytest.approx(-0.0075)
    assert funding.deribit_funding(103, 100.0, -0.005, 0.005, 1000, 28_800).rate == 0.005


@given(st.floats(60, 190), st.floats(1, 1e6), st.floats(0, 28_800))
def test_what_longs_pay_shorts_receive(mark, size, seconds):
    long, short = (funding.deribit_funding(mark, 100.0, -0.01, 0.01, sign * size, seconds) for sign in (1, -1))
    assert long.received_usd == -short.received_usd and long.received_coin == -short.received_coin
    assert (long.received_usd <= 0) == (mark >= 100.0) or long.received_usd == 0


@given(st.lists(st.floats(-0.01, 0.01), min_size=1, max_size=50), st.sampled_from((1, 2, 4, 8)))
def test_binance_divides_by_the_settlements_in_eight_hours(samples, hours):
    whole = funding.binance_funding(samples, 0.0001, 0.0005)
    parts = funding.binance_funding(samples, 0.0001, 0.0005, hours)
    assert parts.rate == pytest.approx(whole.rate * hours / 8)
    assert min(samples) - 1e-15 <= whole.average_premium <= max(samples) + 1e-15


def test_binance_weighs_late_samples_more():
    assert funding.binance_funding([0.0, 0.003], 0.0, 0.0).rate == pytest.approx(0.002)


@given(st.floats(0.9, 1.1), st.floats(0, 0.05))
def test_impact_premium_is_zero_while_the_index_is_inside(bid, width):
    inside = funding.impact_premium(1.0, min(bid, 1.0), max(bid + width, 1.0))
    assert inside == 0
    assert funding.impact_premium(1.0, bid, bid + width) * (bid + width / 2 - 1.0) >= 0


@pytest.mark.parametrize(("field", "call"), [
    ("mark", lambda: funding.deribit_funding(NAN, 100, -0.01, 0.01, 1, 1)),
    ("mark", lambda: funding.deribit_funding(100e8, 100, -0.01, 0.01, 1, 1)),
    ("index", lambda: funding.deribit_funding(100, 0, -0.01, 0.01, 1, 1)),
    ("index", lambda: funding.deribit_funding(100, "100", -0.01, 0.01, 1, 1)),
    ("max_cap", lambda: funding.deribit_funding(100, 100, -0.01, -0.01, 1, 1)),
    ("seconds", lambda: funding.deribit_funding(100, 100, -0.01, 0.01, 1, -1)),
    ("position_usd", lambda: funding.deribit_funding(100, 100, -0.01, 0.01, float("inf"), 1)),
    ("impact_bid", lambda: funding.impact_premium(100, 101, 100)),
    ("impact_ask", lambda: funding.impact_premium(100, 100, NAN)),
    ("premium_samples", lambda: funding.binance_funding([], 0.0001, 0.0005)),
    ("premium_samples[1]", lambda: funding.binance_funding([0.0, NAN], 0.0001, 0.0005)),
    ("interval_hours", lambda: funding.binance_funding([0.0], 0.0001, 0.0005, 0)),
    ("rate", lambda: funding.funding_received(1, 1, NAN)),
    ("usdc", lambda: funding.paradex_funding(0.0, 100, 1e8, 1)),
    ("premium_rate", lambda: funding.paradex_funding(NAN, 100, 1, 1)),
    ("values", lambda: weighted_median([], [])),
    ("values", lambda: weighted_median([1.0], [1.0, 2.0])),
    ("values[0]", lambda: weighted_median([NAN], [1.0])),
    ("weights[0]", lambda: weighted_median([1.0], [0.0])),
])  # fmt: skip
def test_bad_numbers_are_refused(field, call):
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
