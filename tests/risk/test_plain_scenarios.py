"""The scenario model: exact floors, a V that never promises more than the market gives, charges and order of rows."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_markets import (
    BTC_COIN,
    BTC_LINEAR,
    coin_option,
    inverse_future,
    linear_option,
    linear_perpetual,
    listed,
    market,
    varied_market,
)

from seawall.risk import ScenarioMargin, ScenarioParameters, envelope, scenarios
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import ConfigurationError
from seawall.vocabulary.instruments import Form, Product
from seawall.vocabulary.publication import (
    GROSS_DELTA,
    INITIAL,
    MAINTENANCE,
    NET_DELTA,
    NO_CHARGE,
    Publication,
)

MODEL = ScenarioMargin()
PARAMETERS = MODEL.parameters
SET = scenarios.scenario_set(PARAMETERS)
REGULAR = scenarios.regular_scenarios(PARAMETERS)
VIEW = varied_market(24)
PUBLICATION = MODEL.publish(VIEW)
RATES = VIEW.rates()
COIN_BLOCK = BTC_COIN


def coin_changes(view, number):
    """Atoms by which one lot changes in each scenario, coverage included: from the payoff formulas, by fractions."""
    item = view.instruments[number]
    spec, mark = item.spec, item.mark_ticks
    covered = scenarios.coverages(PARAMETERS, Form.INVERSE if spec.block == COIN_BLOCK else Form.LINEAR)
    if spec.product == Product.OPTION:
        after = [Fraction(value) for value in scenarios.option_values(PARAMETERS, item, view.time_ns)]
        before = Fraction(mark * spec.multiplier)
    else:
        prices = [mark * (1 + Fraction(scenario.move_ppm, 10**6)) for scenario in SET]
        inverse = spec.form == Form.INVERSE
        after = [-spec.multiplier / price if inverse else spec.multiplier * price for price in prices]
        before = Fraction(-spec.multiplier, mark) if inverse else Fraction(spec.multiplier * mark)
    changes = [coverage * (value - before) for coverage, value in zip(covered, after, strict=True)]
    return [Fraction(0), *changes[1:]]


CHANGES = {number: coin_changes(VIEW, number) for number in VIEW.instruments}


def engine_value(risk, lots, s):
    """What the engine counts, as `vocabulary.publication` states it."""
    return lots * (risk.u[s] + (risk.inexact if lots < 0 and s > 0 else 0))


def test_thirty_five_scenarios_of_which_the_first_twenty_seven_are_regular():
    assert len(SET) == 35 and REGULAR == 27 and len(set(SET)) == 35
    assert SET[0] == scenarios.Scenario(0, scenarios.SAME)
    assert not any(scenario.extended for scenario in SET[:REGULAR])
    assert all(scenario.extended for scenario in SET[REGULAR:])
    assert {(scenario.move_ppm, scenario.volatility) for scenario in SET[:REGULAR]} == {
        (40_000 * step, kind) for step in range(-4, 5) for kind in (-1, 0, 1)
    }
    assert all((block.scenarios, block.maintenance_scenarios) == (35, 27) for block in PUBLICATION.blocks)


def test_u_is_the_exact_floor_and_inexact_says_whether_it_is_less():
    for risk in PUBLICATION.instruments:
        rate = RATES[VIEW.instruments[risk.instrument].spec.currency].rate_loss
        exact = [change * rate / (1 << bounds.RATE_SHIFT) for change in CHANGES[risk.instrument]]
        assert risk.u == tuple(floor(value) for value in exact)
        assert risk.inexact == int(any(value.denominator != 1 for value in exact))
        assert risk.u[0] == 0
    assert {risk.inexact for risk in PUBLICATION.instruments} == {0, 1}


positions = st.dictionaries(st.sampled_from(sorted(VIEW.instruments)), st.integers(-(10**5), 10**5), max_size=12)


@settings(max_examples=100, deadline=None)
@given(positions, st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=2))
def test_no_portfolio_loses_more_equity_than_its_blocks_ask(book, balances):
    """V is at most the net change in settlement currency at rate_loss, and the requirement covers the loss of e.

    Equity here is exact and starts from any balance, owned or owed: each currency at rate_gain above zero and at
    rate_loss below, every block in the worst of its scenarios at once.
    """
    specs = {number: VIEW.instruments[number].spec for number in VIEW.instruments}
    lost = {currency: Fraction(0) for currency in RATES}
    requirement = 0
    for block in VIEW.blocks:
        held = {number: lots for number, lots in book.items() if specs[number].block == block}
        currency = next(spec.currency for spec in specs.values() if spec.block == block)
        rate = Fraction(RATES[currency].rate_loss, 1 << bounds.RATE_SHIFT)
        values, changes = [], []
        for s in range(len(SET)):
            values.append(sum(engine_value(PUBLICATION.instruments[number], lots, s) for number, lots in held.items()))
            changes.append(sum((lots * CHANGES[number][s] for number, lots in held.items()), Fraction(0)))
            assert values[s] <= changes[s] * rate
        requirement += max(-value for value in values)
        lost[currency] += min(changes)
    assert requirement >= 0
    before = {currency: Fraction(balances[currency]) for currency in RATES}
    after = {currency: before[currency] + lost[currency] for currency in RATES}
    assert equity(after) >= equity(before) - requirement


def equity(atoms):
    total = Fraction(0)
    for currency, amount in atoms.items():
        rate = RATES[currency].rate_gain if amount >= 0 else RATES[currency].rate_loss
        total += amount * rate / (1 << bounds.RATE_SHIFT)
    return total


def test_a_hedge_in_coin_shows_no_loss_but_that_of_rounding():
    perpetual, future = PUBLICATION.instruments[0], MODEL.publish(market([listed(inverse_future(9))])).instruments[0]
    assert max(abs(engine_value(perpetual, 1, s) + engine_value(future, -1, s)) for s in range(35)) <= 1


def test_extended_moves_cost_a_future_what_the_edge_costs():
    edges = {-1: next(s for s, scenario in enumerate(SET) if scenario.move_ppm == -160_000)}
    edges[1] = next(s for s, scenario in enumerate(SET) if scenario.move_ppm == 160_000)
    for number in (0, 1, 2, 3):
        u = PUBLICATION.instruments[number].u
        for s in range(REGULAR, 35):
            assert u[s] == u[edges[1 if SET[s].move_ppm > 0 else -1]]


def test_coverage_in_dollars_is_range_over_move():
    covered = scenarios.coverages(PARAMETERS, Form.LINEAR)[REGULAR:]
    assert covered == [Fraction(160_000, abs(scenario.move_ppm)) for scenario in SET[REGULAR:]]
    assert all(0 < coverage <= 1 for coverage in scenarios.coverages(PARAMETERS, Form.INVERSE))


def test_sold_options_lose_more_in_extended_scenarios_and_bought_ones_at_most_their_mark():
    far_call = MODEL.publish(market([listed(linear_option(95_000, 1, 9))])).instruments[0]
    assert max(far_call.u[REGULAR:]) > max(far_call.u[:REGULAR])
    for number, item in VIEW.instruments.items():
        if item.spec.product == Product.OPTION:
            rate = RATES[item.spec.currency].rate_loss
            mark_value = item.mark_ticks * item.spec.multiplier * rate / (1 << bounds.RATE_SHIFT)
            assert min(PUBLICATION.instruments[number].u) >= -mark_value - 1


@settings(deadline=None)
@given(st.floats(0, 3), st.floats(0, 3), st.floats(1e-5, 3))
def test_volatility_shocks_are_ordered_and_monotone(one, other, years):
    low, high = sorted((one, other))
    shocked = [
        [scenarios.shocked_volatility(PARAMETERS, value, years, kind) for kind in (-1, 0, 1)] for value in (low, high)
    ]
    assert all(down <= same <= up for down, same, up in shocked)
    assert all(below <= above for below, above in zip(*shocked, strict=True))
    assert shocked[0][2] >= PARAMETERS.volatility_floor


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 90), st.sampled_from([-1, 1]), st.floats(0.2, 300), st.floats(0.05, 2), st.floats(0, 1))
def test_u_rises_with_volatility(strike, kind, days, volatility, more):
    for build in (coin_option, linear_option):
        item = listed(build(strike * 1_000, kind, days), volatility=volatility)
        low = MODEL.publish(market([item])).instruments[0]
        high = MODEL.publish(market([replace(item, volatility=volatility + more)])).instruments[0]
        assert all(below <= above + 1 for below, above in zip(low.u, high.u, strict=True))


def test_exposures_are_the_slopes_of_value():
    item = listed(coin_option(60_000, 1, 30))
    perpetual, option = MODEL.publish(market([listed(inverse_future()), item])).instruments
    assert perpetual.delta == 10_500_000  # 10 USD, owed at 105 %
    assert perpetual.vega == 0
    assert perpetual.weight == perpetual.delta  # its notional
    assert option.weight == 6_300 * 10**6  # 0.1 BTC of 60,000 USD, owed at 105 %
    values = scenarios.black76.lot_values(item.spec, [120_012.0, 119_988.0], item.volatility, 30 / 365)
    slope = (values[0] - values[1]) / 0.0002 * 630e-8 * 1e8
    assert option.delta == pytest.approx(slope, rel=1e-5)
    values = scenarios.black76.lot_values(item.spec, [120_000.0] * 2, [0.6006, 0.5994], 30 / 365)
    assert option.vega == pytest.approx((values[0] - values[1]) / 0.002 * 630, rel=1e-5)


def test_initial_asks_at_least_maintenance_by_scenarios_and_by_charges():
    publication = PUBLICATION
    pairs = [pair for block in publication.blocks for pair in block.charges]
    pairs += [risk.charges for risk in publication.instruments]
    for initial, maintenance in pairs:
        for exposure in (-(10**12), -1, 0, 1, 10**12):
            assert asked(publication, initial, exposure) >= asked(publication, maintenance, exposure)
    block = publication.blocks[0]
    assert block.charges[NET_DELTA][MAINTENANCE] == NO_CHARGE
    assert asked(publication, block.charges[NET_DELTA][INITIAL], -(10**9)) == pytest.approx(3 * 10**7, rel=2e-3)
    assert asked(publication, block.charges[GROSS_DELTA][MAINTENANCE], 10**9) == pytest.approx(5 * 10**6, rel=2e-3)


def asked(publication, index, exposure):
    return 0 if index == NO_CHARGE else envelope.charge_value(publication.charges[index], exposure)


def test_only_sold_options_pay_the_short_option_charge():
    for risk in PUBLICATION.instruments:
        option = VIEW.instruments[risk.instrument].spec.product == Product.OPTION
        for index, rate in zip(risk.charges, PARAMETERS.short_option_ppm, strict=True):
            assert (index != NO_CHARGE) == option
            if option:
                assert asked(PUBLICATION, index, 10 * risk.weight) == 0
                exact = Fraction(10 * risk.weight * rate, 10**6)
                assert exact <= asked(PUBLICATION, index, -10 * risk.weight) <= exact * Fraction(101, 100)


def test_round_trip_and_determinism():
    PUBLICATION.check()
    assert Publication.decode(PUBLICATION.encode()) == PUBLICATION
    assert ScenarioMargin().publish(varied_market(24)).encode() == PUBLICATION.encode()


def test_a_perpetual_in_dollars_by_hand():
    # 0.001 BTC at 60,000 USD is 60 USD; a move of -16 % is -9.6 USD, of +4 % is 2.4 USD.
    risk = MODEL.publish(market([listed(linear_perpetual(BTC_LINEAR))])).instruments[0]
    by_move = {SET[s].move_ppm: risk.u[s] for s in range(REGULAR)}
    assert (by_move[-160_000], by_move[40_000], risk.inexact) == (-9_600_000, 2_400_000, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"price_range_ppm": 0},
        {"price_steps": 7},
        {"extended_moves_ppm": (-1_000_000,)},
        {"extended_moves_ppm": (100_000,)},
        {"price_steps": 10, "extended_moves_ppm": (500_000,) * 3},
        {"volatility_down": 1.5},
        {"volatility_up": float("nan")},
        {"net_delta_ppm": (10, 20)},
        {"short_option_ppm": (2_000_000, 0)},
    ],
)
def test_bad_parameters_are_refused(changes):
    with pytest.raises(ConfigurationError):
        replace(ScenarioParameters(), **changes)
