"""The standard model: the published numbers, envelopes never below them, and what the engine is given."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_markets import (
    BTC,
    BTC_COIN,
    ETH_LINEAR,
    coin_option,
    inverse_future,
    linear_perpetual,
    listed,
    market,
    varied_market,
)

from seawall.risk import BlockMarket, CurrencyMarket, StandardMargin, StandardParameters, black76, envelope
from seawall.risk.market import lot_value
from seawall.risk.standard import futures_margin, short_option_margin
from seawall.vocabulary.errors import ConfigurationError, InputError
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.publication import INITIAL, MAINTENANCE, Publication

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "deribit_standard_margin.json"

MODEL = StandardMargin()
FLAT = CurrencyMarket(60_000.0, 8, 0.0, 0.0)


def flat_market(*items):
    """A market whose bitcoin converts at its price exactly, so that numbers can be done by hand."""
    view = market(list(items))
    return replace(view, currencies={**view.currencies, BTC: FLAT})


def vectors(kind):
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["type"] == kind]
    assert cases
    return cases


def test_published_futures_vectors():
    for case in vectors("inverse_future"):
        schedule = StandardParameters().schedules[case["input"]["currency"]]
        coins = Fraction(str(case["input"]["position_coin"]))
        initial, maintenance = futures_margin(schedule, coins)
        expected = case["expected"]
        assert float(initial) == pytest.approx(expected["initial_margin_coin"], rel=1e-12)
        if "maintenance_margin_coin" in expected:
            assert float(maintenance) == pytest.approx(expected["maintenance_margin_coin"], rel=1e-12)
        if "initial_margin_rate" in expected:
            assert float(initial / abs(coins)) == pytest.approx(expected["initial_margin_rate"], rel=1e-12)


def test_published_option_vectors():
    for case in vectors("inverse_option"):
        data, expected = case["input"], case["expected"]
        kind = 1 if data["option"] == "call" else -1
        otm = max(Fraction(0), kind * (Fraction(data["strike"]) / Fraction(data["underlying_mark"]) - 1))
        pair = short_option_margin(StandardParameters(), kind, otm, Fraction(data["option_mark_coin"]))
        sold = max(Fraction(0), -Fraction(data["qty"]))
        assert float(sold * pair[INITIAL]) == pytest.approx(expected["initial_margin_coin"], rel=1e-12)
        assert float(sold * pair[MAINTENANCE]) == pytest.approx(expected["maintenance_margin_coin"], rel=1e-12)


def test_a_coin_perpetual_by_hand():
    # 25 BTC at 60,000 USD are 150,000 lots of 10 USD: 2.125 % and 1.125 % of 1.5 M USD.
    view = flat_market(listed(inverse_future()))
    initial, maintenance = MODEL.report(view, 0, 150_000)
    assert (initial.published, maintenance.published) == (31_875 * 10**6, 16_875 * 10**6)
    for row in (initial, maintenance):
        assert row.published <= row.envelope <= row.published * Fraction(105, 100)
    assert MODEL.report(view, 0, -150_000) == (initial, maintenance)


def test_a_dollar_perpetual_on_ether_by_hand():
    # 1,000 ETH at 3,000 USD: 2 % + 0.0004 % * 1,000 of 3 M USD.
    view = market([listed(linear_perpetual(ETH_LINEAR))])
    initial, maintenance = MODEL.report(view, 0, -1_000_000)
    assert (initial.published, maintenance.published) == (72_000 * 10**6, 42_000 * 10**6)
    assert 0 <= initial.slack < 0.05 and 0 <= maintenance.slack < 0.05


def test_options_by_hand():
    # One lot is 0.1 BTC; strike 66,000 is 10 % out of the money: 10 % of 6,000 USD, and the mark of 0.02 BTC a coin.
    item = replace(listed(coin_option(66_000, 1, 30)), mark=200.0)
    view = flat_market(item)
    initial, maintenance = MODEL.report(view, 0, -3)
    assert (initial.asked, maintenance.asked) == (3 * 600 * 10**6, 3 * 450 * 10**6)
    assert (initial.published, maintenance.published) == (3 * 720 * 10**6, 3 * 570 * 10**6)
    assert 0 <= initial.slack < 1e-3 and 0 <= maintenance.slack < 1e-3
    bought = MODEL.report(view, 0, 3)[INITIAL]
    assert (bought.published, bought.asked) == (0, 3 * 120 * 10**6)
    assert 0 <= bought.slack < 1e-3


def test_the_corrected_rule_holds_exactly_when_the_published_one_does():
    """Equity with option value at the mark less `asked` is equity without it less the published number."""
    view = varied_market(40)
    for number in list(view.instruments)[4:]:
        for lots in (-7, 7):
            mark_value = MODEL.report(view, number, 1)[INITIAL].asked * lots
            for row in MODEL.report(view, number, lots):
                assert row.asked - mark_value == row.published


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 10**9), st.integers(0, 10**6), st.integers(1, 10**9), st.integers(1, 3), st.data())
def test_envelopes_are_never_below_the_schedule(linear, quadratic, limit, denominator, data):
    schedule = envelope.Schedule(Fraction(linear, denominator), Fraction(quadratic, 10**6))
    limit = envelope.proven_limit(schedule, limit)
    knots = envelope.chord_knots(schedule, limit)
    weight = envelope.schedule_weight([(schedule, knots)])
    charge = envelope.schedule_charge(schedule, knots, weight)
    assert knots[-1] == limit and len(charge.lines) <= 16
    near = st.sampled_from(knots).flatmap(lambda knot: st.integers(max(0, knot - 2), min(limit, knot + 2)))
    for lots in data.draw(st.lists(near | st.integers(0, limit), min_size=5, max_size=20)):
        for side in (1, -1):
            assert envelope.charge_value(charge, side * lots * weight) >= schedule.at(lots)
    assert envelope.charge_value(charge, 0) == 0


def test_every_small_position_and_every_knot_of_a_real_schedule():
    view = varied_market(0)
    for number in view.instruments:
        limit = MODEL.largest_position(view, number)
        sizes = [*range(1, 300), *(round(limit ** (step / 300)) for step in range(301)), limit - 1, limit]
        for lots in sizes:
            for row in MODEL.report(view, number, -min(lots, limit)):
                assert row.envelope >= row.asked


def test_slack_of_a_real_schedule_stays_moderate():
    """A rate is a multiple of 2^-14 of what a lot is worth: less than a tick of an option's premium."""
    view = varied_market(20)
    for number, item in view.instruments.items():
        option = item.spec.product == Product.OPTION
        assert MODEL.largest_slack(view, number) < (0.51 if option and item.mark_ticks == 1 else 0.23)
        for row in MODEL.report(view, number, 100) if option else ():
            assert row.envelope - row.asked <= 100 * row.asked / item.mark_ticks
    ten_coins = MODEL.report(view, 0, 60_000)
    assert all(row.slack < 0.03 for row in ten_coins)


def test_what_limits_on_notional_and_exposure_count_is_published():
    """The model charges neither delta nor vega, but C02, C11, C15 and C21 know of no other."""
    call, put = (replace(listed(coin_option(66_000, sign, 30)), mark=200.0) for sign in (1, -1))
    made = {risk.instrument: risk for risk in MODEL.publish(flat_market(call)).instruments}
    terms = (call.forward, float(call.spec.strike), call.volatility, 30 / 365)
    assert made[0].weight == 6_000 * 10**6
    assert made[0].delta == pytest.approx(float(black76.delta(*terms, 1.0)) * 6_000e6)
    assert made[0].vega == pytest.approx(float(black76.vega(*terms)) * call.volatility * 6_000e6 / call.forward)
    (short,) = MODEL.publish(flat_market(put)).instruments
    assert made[0].delta - short.delta == pytest.approx(6_000e6) and short.vega == made[0].vega > 0
    item = listed(linear_perpetual(ETH_LINEAR))
    ether = market([item])
    (perpetual,) = MODEL.publish(ether).instruments
    worth = lot_value(item.spec, item.mark_ticks, ether.rates()[item.spec.currency].rate_loss)
    assert perpetual.weight == perpetual.delta == worth > 0 == perpetual.vega


def test_the_publication_says_what_the_report_says():
    view = varied_market(30)
    publication = MODEL.publish(view)
    assert [risk.instrument for risk in publication.instruments] == sorted(view.instruments)
    assert {(block.scenarios, block.maintenance_scenarios) for block in publication.blocks} == {(1, 1)}
    for risk in publication.instruments:
        assert (risk.u, risk.inexact, risk.mark) == ((0,), 0, view.instruments[risk.instrument].mark_ticks)
        for lots in (-1_000, -1, 1, 1_000):
            for row, report in enumerate(MODEL.report(view, risk.instrument, lots)):
                charge = publication.charges[risk.charges[row]]
                assert envelope.charge_value(charge, lots * risk.weight) == report.envelope
        initial, maintenance = MODEL.report(view, risk.instrument, -1_000)
        assert initial.asked >= maintenance.asked > 0


def test_round_trip_and_determinism():
    publication = MODEL.publish(varied_market(30))
    assert Publication.decode(publication.encode()) == publication
    assert StandardMargin().publish(varied_market(30)).encode() == publication.encode()


def test_an_underlying_without_schedule_is_refused():
    view = replace(market([listed(inverse_future())]), blocks={BTC_COIN: BlockMarket("DOGE", 60_000.0)})
    with pytest.raises(InputError) as refused:
        MODEL.publish(view)
    assert refused.value.field == "blocks[0].underlying"


@pytest.mark.parametrize("setting", ["option_initial_ppm", "option_initial_floor_ppm", "option_maintenance_ppm"])
def test_rates_out_of_range_are_refused(setting):
    for value in (-1, 1_000_001):
        with pytest.raises(ConfigurationError):
            replace(StandardParameters(), **{setting: value})
