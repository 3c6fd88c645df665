"""What model seawall gives the engine: exact floors, excess never above the rule's, charges, haircuts, caps."""

import re
from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_markets import (
    BTC,
    BTC_COIN,
    BTC_LINEAR,
    USDC,
    coin_option,
    inverse_future,
    linear_option,
    linear_perpetual,
    listed,
    market,
    varied_market,
)

from seawall.node import Configuration
from seawall.node.publishing import Simulated
from seawall.risk import Seawall, black76, envelope
from seawall.risk.black76 import NANOSECONDS_PER_DAY
from seawall.risk.margin import seawall_parameters as terms
from seawall.sim.market import Prices
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Product
from seawall.vocabulary.publication import (
    GROSS_DELTA,
    INITIAL,
    MAINTENANCE,
    NET_DELTA,
    NO_CHARGE,
    Publication,
)

MODEL = Seawall()
PARAMETERS = MODEL.fitted()
COIN = PARAMETERS.of("BTC")
SET = terms.scenario_set(PARAMETERS, COIN)
REGULAR = terms.regular_scenarios(PARAMETERS)
VIEW = varied_market(24)
PUBLICATION = MODEL.publish(VIEW)
MILLION = Fraction(10**6)


def set_of(view, number):
    return terms.scenario_set(PARAMETERS, PARAMETERS.of(view.blocks[view.instruments[number].spec.block].underlying))


def dollars(view, number):
    """Value atoms by which one lot changes in each scenario, as counted: from the payoff formulas, by fractions."""
    item = view.instruments[number]
    spec, mark, scenarios = item.spec, item.mark_ticks, set_of(view, number)
    coin = PARAMETERS.of(view.blocks[spec.block].underlying)
    if spec.product == Product.OPTION:
        days = (spec.expiry - view.time_ns) / NANOSECONDS_PER_DAY
        shocked = terms.shocked_volatilities(PARAMETERS, coin, item.volatility, days)
        years = black76.years_to(spec.expiry, view.time_ns)
        after = [
            Fraction(float(black76.lot_values(spec, item.forward * float(1 + s.move), shocked[s.volatility], years)))
            for s in scenarios
        ]
        before = Fraction(mark * spec.multiplier)
    else:
        prices = [mark * (1 + scenario.move) for scenario in scenarios]
        inverse = spec.form == Form.INVERSE
        after = [-spec.multiplier / price if inverse else spec.multiplier * price for price in prices]
        before = Fraction(-spec.multiplier, mark) if inverse else Fraction(spec.multiplier * mark)
    per_atom = view.currencies[spec.currency].value_per_atom
    moved = [1 + scenario.move if spec.block == BTC_COIN else 1 for scenario in scenarios]
    made = [
        scenario.coverage * (value - before) * factor * per_atom
        for scenario, value, factor in zip(scenarios, after, moved, strict=True)
    ]
    return [Fraction(0), *made[1:]]


CHANGES = {number: dollars(VIEW, number) for number in VIEW.instruments}
HAIRCUTS = {BTC: Fraction(2, 100), USDC: Fraction(0)}


def engine_value(risk, lots, s):
    """What the engine counts, as `vocabulary.publication` states it."""
    return lots * (risk.u[s] + (risk.inexact if lots < 0 and s > 0 else 0))


def test_thirty_five_scenarios_of_which_the_first_twenty_seven_are_regular():
    assert len(SET) == 35 and REGULAR == 27 and len(set(SET)) == 35
    assert SET[0] == terms.Scenario(Fraction(0), terms.SAME, Fraction(0))
    assert all(scenario.move == scenario.counted for scenario in SET[:REGULAR])
    assert all(abs(scenario.counted) == Fraction(16, 100) < abs(scenario.move) for scenario in SET[REGULAR:])
    assert {(scenario.move, scenario.volatility) for scenario in SET[:REGULAR]} == {
        (Fraction(step, 25), kind) for step in range(-4, 5) for kind in (-1, 0, 1)
    }
    assert all((block.scenarios, block.maintenance_scenarios) == (35, 27) for block in PUBLICATION.blocks)


def test_u_is_the_exact_floor_and_inexact_says_whether_it_is_less():
    for risk in PUBLICATION.instruments:
        haircut = HAIRCUTS[VIEW.instruments[risk.instrument].spec.currency]
        exact = [change * (1 + haircut) for change in CHANGES[risk.instrument]]
        assert risk.u == tuple(floor(value) for value in exact)
        assert risk.inexact == int(any(value.denominator != 1 for value in exact))
        assert risk.u[0] == 0
    assert {risk.inexact for risk in PUBLICATION.instruments} == {0, 1}


positions = st.dictionaries(st.sampled_from(sorted(VIEW.instruments)), st.integers(-(10**5), 10**5), max_size=12)


def worth(atoms, currency, moved=1):
    """Value atoms of an amount at a price `moved` times today's, less or more the haircut; exact."""
    value = atoms * VIEW.currencies[currency].value_per_atom * moved
    return value - HAIRCUTS[currency] * abs(value)


def equity(atoms):
    """What the engine counts, but for its rounding."""
    rates = {rate.currency: rate for rate in PUBLICATION.currencies}
    total = Fraction(0)
    for currency, amount in atoms.items():
        rate = rates[currency].rate_gain if amount >= 0 else rates[currency].rate_loss
        total += Fraction(amount) * rate / (1 << bounds.RATE_SHIFT)
    return total


@settings(max_examples=100, deadline=None)
@given(positions, st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=2))
def test_what_the_engine_keeps_back_is_there_in_every_scenario(book, balances):
    """Excess without charges is at most what is left in the worst scenario, in which coins owned and owed move too.

    Exact, from any balance, owned or owed. BTC moves in one scenario for all its contracts and coins; ETH in another.
    """
    specs = {number: VIEW.instruments[number].spec for number in VIEW.instruments}
    held = dict(enumerate(balances))
    requirement = 0
    for block in VIEW.blocks:
        mine = {number: lots for number, lots in book.items() if specs[number].block == block}
        values = [
            sum(engine_value(PUBLICATION.instruments[number], lots, s) for number, lots in mine.items())
            for s in range(len(SET))
        ]
        requirement += max(-value for value in values)
    assert requirement >= 0

    def left(underlyings, s):
        """(of coin-settled contracts, of the others) value atoms gained in scenario s."""
        parts = {BTC: Fraction(0), USDC: Fraction(0)}
        for number, lots in book.items():
            if VIEW.blocks[specs[number].block].underlying in underlyings:
                parts[specs[number].currency] += lots * CHANGES[number][s]
        return parts

    per_atom = VIEW.currencies[BTC].value_per_atom
    worst_btc = min(
        worth(held[BTC] * (1 + scenario.counted) + left({"BTC"}, s)[BTC] / per_atom, BTC) + left({"BTC"}, s)[USDC]
        for s, scenario in enumerate(SET)
    )
    worst_eth = min(left({"ETH"}, s)[USDC] for s in range(len(SET)))
    assert equity(held) - requirement <= worst_btc + worst_eth + held[USDC]


def test_coins_are_published_at_what_their_worst_regular_move_leaves():
    rates = {rate.currency: rate for rate in PUBLICATION.currencies}
    price = VIEW.currencies[BTC].value_per_atom * (1 << bounds.RATE_SHIFT)
    assert rates[BTC].rate_gain == floor(price * Fraction(84, 100) * Fraction(98, 100))
    assert rates[BTC].rate_loss == -floor(-price * Fraction(116, 100) * Fraction(102, 100))
    assert rates[USDC].rate_gain == rates[USDC].rate_loss == 1 << bounds.RATE_SHIFT
    strict = replace(VIEW, currencies={**VIEW.currencies, BTC: replace(VIEW.currencies[BTC], haircut=0.5, markup=0.6)})
    rates = {rate.currency: rate for rate in MODEL.publish(strict).currencies}
    assert rates[BTC].rate_gain == price / 2 and rates[BTC].rate_loss == price * Fraction(16, 10)


def test_a_currency_in_which_nothing_settles_is_known_by_its_name():
    view = market([listed(linear_perpetual())])

    def gained(name):
        named = {**view.currencies, BTC: replace(view.currencies[BTC], name=name, haircut=0.0)}
        rate = MODEL.publish(replace(view, currencies=named)).currencies[BTC].rate_gain
        return float(rate / (view.currencies[BTC].value_per_atom * (1 << bounds.RATE_SHIFT)))

    assert gained("BTC") == pytest.approx(0.84 * 0.98)
    assert gained("USDT") == pytest.approx(0.95)
    assert gained("SOL") == pytest.approx(0.73 * 0.95)
    assert gained("") == pytest.approx(0.73 * 0.95), "a price of 60,000 is no dollar's"
    near = {**view.currencies, BTC: replace(view.currencies[BTC], price_usd=0.91, haircut=0.0)}
    rate = MODEL.publish(replace(view, currencies=near)).currencies[BTC].rate_gain
    assert rate == floor(near[BTC].value_per_atom * (1 << bounds.RATE_SHIFT))


def test_a_simulated_venue_names_its_currencies():
    """A coin in which nothing settles is no dollar there, and a dollar coin has its own haircut."""
    prices = Prices(VIEW.time_ns, {"BTC": 60_000.0}, {}, (("BTC", 8), ("USDT", 6), ("USDC", 6)))
    rates = Publication.decode(Simulated(Configuration())(prices)).currencies
    at_par = [Fraction(rates[0].rate_gain) / 600, Fraction(rates[1].rate_gain), Fraction(rates[2].rate_gain)]
    shares = [float(rate / (1 << bounds.RATE_SHIFT)) for rate in at_par]
    assert shares == pytest.approx([0.84 * 0.98, 0.95, 1.0])


def test_a_hedge_in_coin_shows_no_loss_but_that_of_rounding():
    perpetual, future = PUBLICATION.instruments[0], MODEL.publish(market([listed(inverse_future(9))])).instruments[0]
    assert max(abs(engine_value(perpetual, 1, s) + engine_value(future, -1, s)) for s in range(35)) <= 1


def test_extended_moves_cost_a_future_what_the_edge_costs():
    for number in (0, 1, 2, 3):
        u, scenarios = PUBLICATION.instruments[number].u, set_of(VIEW, number)
        edges = {kind: next(s for s, scenario in enumerate(scenarios) if scenario.move == kind * reach)
                 for reach in [abs(scenarios[-1].counted)] for kind in (-1, 1)}  # fmt: skip
        for s in range(REGULAR, 35):
            assert u[s] == u[edges[1 if scenarios[s].move > 0 else -1]]


def test_coverage_is_range_over_move():
    assert [scenario.coverage for scenario in SET[REGULAR:]] == [
        Fraction(16, 100) / abs(scenario.move) for scenario in SET[REGULAR:]
    ]


def test_sold_options_lose_more_in_extended_scenarios_and_bought_ones_at_most_their_mark():
    far_call = MODEL.publish(market([listed(linear_option(95_000, 1, 9))])).instruments[0]
    assert max(far_call.u[REGULAR:]) > max(far_call.u[:REGULAR])
    for number, item in VIEW.instruments.items():
        if item.spec.product == Product.OPTION:
            mark = item.mark_ticks * item.spec.multiplier * item_rate(item)
            moved = [1 + (s.move if item.spec.block == BTC_COIN else 0) for s in set_of(VIEW, number)]
            for u, factor in zip(PUBLICATION.instruments[number].u, moved, strict=True):
                assert u >= -mark * factor - 1


def item_rate(item):
    """Value atoms an atom, with haircut."""
    return VIEW.currencies[item.spec.currency].value_per_atom * (1 + HAIRCUTS[item.spec.currency])


@settings(deadline=None)
@given(st.floats(0, 3), st.floats(0, 3), st.floats(1e-3, 1000))
def test_volatility_shocks_are_ordered_and_monotone(one, other, days):
    low, high = sorted((one, other))
    shocked = [terms.shocked_volatilities(PARAMETERS, COIN, value, days) for value in (low, high)]
    assert all(found[terms.DOWN] <= found[terms.SAME] <= found[terms.UP] for found in shocked)
    assert all(shocked[0][kind] <= shocked[1][kind] for kind in (-1, 0, 1))
    assert shocked[0][terms.UP] >= COIN.volatility_floor


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
    assert perpetual.delta == 10_200_000  # 10 USD, bought back at 102 %
    assert perpetual.vega == 0
    assert perpetual.weight == perpetual.delta  # its notional
    assert option.weight == 6_120 * 10**6  # 0.1 BTC of 60,000 USD, bought back at 102 %
    values = black76.lot_values(item.spec, [120_012.0, 119_988.0], item.volatility, 30 / 365)
    slope = (values[0] - values[1]) / 0.0002 * 612e-8 * 1e8
    rounding = item.mark_ticks * 1_000 - values.mean()  # atoms, the mark being whole ticks
    assert option.delta == pytest.approx(slope - 612 * rounding, rel=1e-5)
    values = black76.lot_values(item.spec, [120_000.0] * 2, [0.6006, 0.5994], 30 / 365)
    assert option.vega == pytest.approx((values[0] - values[1]) / 0.002 * 612, rel=1e-5)


def test_initial_asks_at_least_maintenance_by_scenarios_and_by_charges():
    publication = PUBLICATION
    pairs = [pair for block in publication.blocks for pair in block.charges]
    pairs += [risk.charges for risk in publication.instruments]
    for initial, maintenance in pairs:
        for exposure in (-(10**12), -1, 0, 1, 10**12):
            assert asked(publication, initial, exposure) >= asked(publication, maintenance, exposure)
    block = publication.blocks[0]
    assert asked(publication, block.charges[NET_DELTA][MAINTENANCE], 6 * 10**13) == 0
    assert asked(publication, block.charges[NET_DELTA][MAINTENANCE], 12 * 10**13) > 0
    assert asked(publication, block.charges[NET_DELTA][INITIAL], -(10**9)) == pytest.approx(3 * 10**7, rel=2e-3)
    assert asked(publication, block.charges[GROSS_DELTA][MAINTENANCE], 10**9) == pytest.approx(2.5 * 10**6, rel=2e-3)


def asked(publication, index, exposure):
    return 0 if index == NO_CHARGE else envelope.charge_value(publication.charges[index], exposure)


def test_only_sold_options_pay_the_short_option_charge():
    for risk in PUBLICATION.instruments:
        option = VIEW.instruments[risk.instrument].spec.product == Product.OPTION
        for index, rate in zip(risk.charges, COIN.sold_option, strict=True):
            assert (index != NO_CHARGE) == option
            if option:
                assert asked(PUBLICATION, index, 10 * risk.weight) == 0
                exact = 10 * risk.weight * Fraction(str(rate))
                assert exact <= asked(PUBLICATION, index, -10 * risk.weight) <= exact * Fraction(101, 100)


def test_round_trip_and_determinism():
    PUBLICATION.check()
    assert Publication.decode(PUBLICATION.encode()) == PUBLICATION
    assert Seawall().publish(varied_market(24)).encode() == PUBLICATION.encode()


def test_a_perpetual_in_dollars_by_hand():
    # 0.001 BTC at 60,000 USD is 60 USD; a move of -16 % is -9.6 USD, of +4 % is 2.4 USD.
    risk = MODEL.publish(market([listed(linear_perpetual(BTC_LINEAR))])).instruments[0]
    by_move = {SET[s].move: risk.u[s] for s in range(REGULAR)}
    assert (by_move[Fraction(-16, 100)], by_move[Fraction(4, 100)], risk.inexact) == (-9_600_000, 2_400_000, 0)


def test_a_perpetual_in_coin_by_hand():
    # 10 USD: a move of -16 % takes 1.60 USD, as dollars of the scenario, and 2 % for buying the coins.
    risk = MODEL.publish(market([listed(inverse_future())])).instruments[0]
    assert {risk.u[s] for s in range(REGULAR) if SET[s].move == Fraction(-16, 100)} == {-1_632_000}


BAD = [
    ("price_steps", {"price_steps": 0}),
    ("extended_moves", {"extended_moves": [-1.0]}),
    ("extended_moves", {"extended_moves": [0.1]}),
    ("extended_moves", {"price_steps": 10, "extended_moves": [0.5] * 3}),
    ("others.price_range", {"others": {"price_range": 0.0}}),
    ("others.price_range", {"others": {"price_range": float("nan")}}),
    ("others.volatility_down", {"others": {"volatility_down": 1.5}}),
    ("underlyings.BTC.volatility_up", {"underlyings": {"BTC": {"volatility_up": float("nan")}}}),
    ("underlyings.BTC.net_delta", {"underlyings": {"BTC": {"net_delta": [0.01, 0.02]}}}),
    ("others.sold_option", {"others": {"sold_option": [2.0, 0.0]}}),
    ("others.liquidity", {"others": {"liquidity": [0.1, 0.2]}}),
    ("others.depth", {"others": {"depth": 0.0}}),
    ("others.haircut", {"others": {"haircut": 1.0}}),
    ("currencies.USDT", {"currencies": {"USDT": -0.1}}),
    ("others", {"others": {"depht": 1.0}}),
]


@pytest.mark.parametrize(("field", "changes"), BAD)
def test_bad_parameters_are_refused_and_nothing_is_published(field, changes):
    model = Seawall(parameters=changes)
    for refused in (model.check, lambda: model.publish(VIEW)):
        with pytest.raises(InputError) as caught:
            refused()
        assert re.sub(r"\[.*?\]", "", caught.value.field) == f"parameters.{field}"
        assert caught.value.rule
