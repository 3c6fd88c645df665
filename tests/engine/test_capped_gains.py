"""Where session gains are capped, V counts none of them (rules 4): what a position may gain covers no loss elsewhere.

Equity shows a capped gain up to the cap only, so a requirement that nets it would be too low; and an order that gains
in a scenario what it loses at its limit would hide that loss there.
"""

import random

import pytest
from test_theorems import COIN, DOLLAR, ONE
from venue import ENGINES, Venue, open_venue, publication

from seawall.engine import formulas
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FLAG_APPROVED, RULES_FOLDED, EventKind, Kind

ANN, BEA = 3, 4
CAPPED, OTHER = 0, 1
MARK = 10_000
NEWEST = max(RULES_FOLDED)


def small(engine, rules, risks, cash):
    """Two linear contracts of one block, a lot worth 10,000 atoms at the mark, an atom a value atom; no fees."""
    venue = Venue(engine)
    venue.do(Kind.RULES, version=rules)
    for currency in (COIN, DOLLAR):
        venue.do(Kind.CURRENCY, currency=currency, amount=8)
    for fee_class in range(bounds.FEE_CLASSES):
        venue.do(Kind.TIER, tier=0, currency=fee_class)
    for number in (CAPPED, OTHER):
        spec = Instrument(f"LINEAR-{number}", Product.PERPETUAL, Form.LINEAR, COIN, 0, 1, 100, 2**18, 10**6)
        venue.do(Kind.INSTRUMENT, spec.encode(), instrument=number)
    for account in (ANN, BEA):
        venue.do(Kind.ACCOUNT, account=account, tier=0)
        venue.deposit(account, cash, COIN)
    venue.publish(book_of(risks))
    return venue


def book_of(risks):
    count = len(risks[0].u)
    return Publication((CurrencyRate(COIN, ONE, ONE),), (BlockRisk(0, count, count),), risks)


def hedged(cap, inexact=0, mark=MARK):
    u = (0, -1000, 1000)
    return tuple(InstrumentRisk(number, mark, u, inexact=inexact, gain_cap=cap) for number in (CAPPED, OTHER))


def asked(venue, account=ANN):
    return venue.margin(account)["requirement"]


@pytest.mark.parametrize(("rules", "cap", "needed"), [(4, 0, 10_000), (4, 10**6, 10_000), (4, bounds.NO_CAP, 0),
                                                      (3, 0, 0), (1, 0, 0)])  # fmt: skip
def test_a_hedge_covers_nothing_where_its_gain_is_capped(engine, rules, cap, needed):
    venue = small(engine, rules, hedged(cap), 10**6)
    for number, side in ((CAPPED, 1), (OTHER, -1)):
        venue.order(BEA, number, -side, 10, MARK)
        venue.take(ANN, number, side, 10, MARK)
    assert asked(venue) == asked(venue, BEA) == needed
    assert venue.engine.account_view(ANN)["blocks"].get(0, [[0, 0, 0]])[0] == [0, -needed, -needed]


def test_a_short_counts_its_ceiling(engine):
    """Bea's long of 10 falls by 10,000 in the scenario of a fall; her short elsewhere rises by one atom a lot less."""
    venue = small(engine, NEWEST, hedged(0, inexact=1), 10**6)
    for number, side in ((CAPPED, 1), (OTHER, -1)):
        venue.order(ANN, number, -side, 10, MARK)
        venue.take(BEA, number, side, 10, MARK)
    assert venue.engine.account_view(BEA)["blocks"][0][0] == [0, -10_000, -10_010]


def test_a_loss_at_the_limit_stays_a_loss_where_the_order_would_gain(engine):
    """An order 100 above the mark gains 1,000 a lot in the scenario in which Ann's other position loses most.

    Counted as min(0, effect) it would cost nothing there, and its fill 100 a lot.
    """
    venue = small(engine, NEWEST, (InstrumentRisk(CAPPED, MARK, (0, 1000), gain_cap=10**6),
                                   InstrumentRisk(OTHER, MARK, (0, -1000))), 10**6)  # fmt: skip
    venue.order(BEA, OTHER, -1, 50, MARK)
    venue.take(ANN, OTHER, 1, 50, MARK)
    before = venue.excess(ANN)
    venue.order(ANN, CAPPED, 1, 10, MARK + 100)
    accepted = venue.excess(ANN)
    assert accepted == before - 10 * 100 - formulas.order_reserve(ONE)
    venue.take(BEA, CAPPED, -1, 10, MARK + 100)
    assert venue.held(ANN, CAPPED) == 10
    assert venue.excess(ANN) == before - 10 * 100


def test_a_close_gives_back_what_it_was_asked(engine):
    """Orders, edits, partial fills and cancels in a capped contract leave the sums as a rebuild has them."""
    venue = small(engine, NEWEST, hedged(10**5, inexact=1), 10**7)
    venue.order(BEA, CAPPED, -1, 30, MARK + 10)
    venue.order(ANN, CAPPED, 1, 20, MARK + 10)
    resting = venue.order(ANN, CAPPED, 1, 40, MARK - 10)[0].order_id
    venue.take(BEA, CAPPED, -1, 15, MARK - 10)
    venue.do(Kind.EDIT, account=ANN, order_id=resting, quantity=60, price=MARK - 20)
    kept = [venue.engine.account_view(account) for account in (ANN, BEA)]
    venue.publish(book_of(hedged(10**5, inexact=1)))
    assert [venue.engine.account_view(account) for account in (ANN, BEA)] == kept
    venue.do(Kind.CANCEL_ALL, account=-1, instrument=-1)
    lots = venue.held(ANN, CAPPED)
    venue.order(BEA, CAPPED, 1, lots, MARK)
    venue.take(ANN, CAPPED, -1, lots, MARK)
    assert asked(venue) == asked(venue, BEA) == 0


def test_rules_4_hold_from_the_next_publication_of_a_contract(engine):
    """Adopting them changes no requirement by itself; one block's publication changes its own contracts'."""
    venue = open_venue(engine, rules=3)
    capped = publication(caps={0: 10**6})
    venue.publish(capped)
    for number, side in ((0, 1), (2, -1)):
        venue.order(6, number, -side, 10, 60_000)
        venue.take(ANN, number, side, 10, 60_000)
    assert asked(venue) == 0
    venue.refused(Reason.UNKNOWN_RULES, venue.do(Kind.RULES, version=4))
    venue.do(Kind.RULES, version=4, flags=FLAG_APPROVED)
    ether = tuple(risk for risk in capped.instruments if risk.instrument == 5)
    venue.publish(Publication(capped.currencies, (BlockRisk(2, 3, 3),), ether))
    assert asked(venue) == 0
    venue.publish(capped)
    assert asked(venue) == 6_000_000


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_whether_gains_are_capped_is_state(name):
    """It hangs on the rules at the last publication: the same two commands in the other order differ in it alone."""

    capped = publication(caps={0: 10**6})
    ether = tuple(risk for risk in capped.instruments if risk.instrument == 5)

    def state(published_last):
        venue = open_venue(ENGINES[name](), rules=3)
        steps = [lambda: venue.do(Kind.RULES, version=4, flags=FLAG_APPROVED), lambda: venue.publish(capped)]
        for step in steps if published_last else reversed(steps):
            step()
        venue.publish(Publication(capped.currencies, (BlockRisk(2, 3, 3),), ether))
        made = venue.engine.state()
        for listing in made["listings"]:
            listing.pop("times")
        return made

    found, older = state(True), state(False)
    assert found != older
    assert [made["listings"][0].pop("capped") for made in (found, older)] == [True, False]
    assert found == older


def least_equity(venue, made):
    """The least equity of Ann over all scenarios, gains in each counted up to their caps; all in atoms of one coin."""
    account = venue.account(ANN)
    left = []
    for s in range(len(made.instruments[0].u)):
        atoms = account["balance"][COIN]
        for number, (lots, cash, *_) in account["positions"].items():
            risk = made.instruments[number]
            change = lots * (risk.u[s] + (risk.inexact if s and lots < 0 else 0))
            atoms += min(risk.gain_cap, cash + lots * risk.mark + change)
        left.append(atoms)
    return min(left)


def random_book(rng, marks):
    """Two contracts with risk of any sign, a cap or none."""
    count = rng.randint(2, 6)
    return book_of(tuple(
        InstrumentRisk(
            number, mark, (0, *(rng.randint(-2000, 2000) for _ in range(count - 1))), inexact=rng.randint(0, 1),
            gain_cap=rng.choice((bounds.NO_CAP, 0, rng.randint(0, 10**6))),
        )
        for number, mark in enumerate(marks)
    ))  # fmt: skip


def shortfalls(make, rules, seeds):
    """By how much less than its excess an account could be left in a scenario, at worst over some random books."""
    worst = 0
    for seed in seeds:
        rng = random.Random(seed)
        venue = small(make(), rules, random_book(rng, (MARK, MARK)).instruments, 10**9)
        for version in range(4):
            for number in (CAPPED, OTHER):
                side, price = rng.choice((-1, 1)), MARK + rng.randint(-200, 200)
                venue.order(BEA, number, -side, lots := rng.randint(1, 200), price)
                venue.take(ANN, number, side, lots, price)
            if version:
                moved = random_book(rng, [MARK + rng.randint(-500, 500) for _ in range(2)])
                venue.publish(moved)
                worst = max(worst, venue.excess(ANN) - least_equity(venue, moved))
    return worst


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_no_scenario_leaves_less_than_the_excess(name):
    assert shortfalls(ENGINES[name], NEWEST, range(60)) == 0
    assert shortfalls(ENGINES[name], 3, range(60)) > 10_000


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_fills_take_no_more_than_orders_reserved(name):
    """Orders at prices far worse and better than the mark, filled in parts by another, then cancelled."""
    for seed in range(60):
        rng = random.Random(seed)
        venue = small(ENGINES[name](), NEWEST, random_book(rng, (MARK, MARK)).instruments, 10**9)
        for _ in range(8):
            number, side, lots = rng.choice((CAPPED, OTHER)), rng.choice((-1, 1)), rng.randint(1, 100)
            price = MARK + rng.randint(-1500, 1500)
            order = venue.order(ANN, number, side, lots, price)[0].order_id
            accepted = venue.excess(ANN)
            venue.take(BEA, number, -side, rng.randint(1, lots), price)
            assert venue.excess(ANN) >= accepted - formulas.order_reserve(ONE), f"seed {seed}"
            venue.cancel(ANN, order)
            assert venue.excess(ANN) >= accepted, f"seed {seed}"


def gained(engine, rules, cap):
    """Ann bought 10 from Bea; the mark was moved by 1,000 at 07:59."""
    venue = small(engine, rules, hedged(cap), 10**6)
    venue.order(BEA, CAPPED, -1, 10, MARK)
    venue.take(ANN, CAPPED, 1, 10, MARK)
    venue.publish(book_of(hedged(cap, mark=MARK + 1000)))
    return venue


def settled(venue):
    """(account, atoms made cash, atoms that wait) of each posting of a settlement."""
    rows = venue.do(Kind.SETTLE, instrument=CAPPED)
    return [(row.account, row.a, row.quantity) for row in rows if row.reason == Reason.SETTLED]


@pytest.mark.parametrize(("rules", "cash"), [(6, 10_000), (NEWEST, 3_000)])
def test_a_settlement_makes_no_more_cash_of_a_gain_than_its_cap(engine, rules, cash):
    """Before rules 7 a gain of a minute before 08:00 was cash a minute later: to trade on, and to withdraw."""
    venue = gained(engine, rules, 3_000)
    assert venue.margin(ANN)["equity"] == 10**6 + 3_000
    waits = 10_000 - cash
    assert sorted(settled(venue)) == [(ANN, cash, waits), (BEA, -10_000, 0)]
    assert venue.margin(ANN)["equity"] == 10**6 + cash + min(waits, 3_000)
    free = 10**6 + cash + min(waits, 3_000) - asked(venue)
    refused = venue.do(Kind.WITHDRAW, account=ANN, currency=COIN, amount=free + 1)
    assert venue.refused(Reason.WITHDRAWAL_MARGIN, refused) == (asked(venue), asked(venue) - 1)
    assert venue.do(Kind.WITHDRAW, account=ANN, currency=COIN, amount=free)[0].reason == Reason.WITHDRAWN


def test_what_waits_is_settled_cap_by_cap_also_when_the_position_is_closed(engine):
    venue = gained(engine, NEWEST, 3_000)
    assert (ANN, 3_000, 7_000) in settled(venue)
    venue.order(BEA, CAPPED, 1, 10, MARK + 1000)
    venue.take(ANN, CAPPED, -1, 10, MARK + 1000)
    assert [settled(venue) for _ in range(4)] == [[(ANN, 3_000, 4_000)], [(ANN, 3_000, 1_000)], [(ANN, 1_000, 0)], []]
    assert venue.margin(ANN)["equity"] == 10**6 + 10_000


def test_a_fall_takes_of_what_waits_first(engine):
    """The mark falls back: what was not cash is gone, and only what was made cash is owed again."""
    venue = gained(engine, NEWEST, 3_000)
    settled(venue)
    venue.publish(book_of(hedged(3_000)))
    assert venue.margin(ANN)["equity"] == 10**6
    assert sorted(settled(venue)) == [(ANN, -3_000, 0), (BEA, 10_000 - 7_000, 7_000)]


def test_gains_without_a_cap_are_cash_at_once(engine):
    assert (ANN, 10_000, 0) in settled(gained(engine, NEWEST, bounds.NO_CAP))


def test_a_cap_of_nothing_keeps_all_of_a_gain(engine):
    venue = gained(engine, NEWEST, 0)
    assert sorted(settled(venue)) == [(ANN, 0, 10_000), (BEA, -10_000, 0)]
    assert venue.margin(ANN)["equity"] == 10**6


@pytest.mark.parametrize(("rules", "given_away"), [(6, True), (NEWEST, False)])
def test_who_must_come_down_gives_nothing_away_out_of_a_gain_that_does_not_count(engine, rules, given_away):
    """Ann gained 50,000, of which 3,000 count, and lost more elsewhere; Bea offers her 10,300 for what is worth 15,000.

    Counted up to the cap before and after, a loss of 47,000 was none: the colluder's cash, and the venue's bad debt.
    """
    u = (0, -1000, 1000)
    venue = small(engine, rules, hedged(3_000), 60_000)
    venue.do(Kind.ACCOUNT, account=5, tier=0)
    venue.deposit(5, 10**8, COIN)
    for number in (CAPPED, OTHER):
        venue.order(5, number, -1, 10, MARK)
        venue.take(ANN, number, 1, 10, MARK)
    fallen = (InstrumentRisk(CAPPED, MARK + 5_000, u, gain_cap=3_000), InstrumentRisk(OTHER, MARK - 6_000, u))
    venue.publish(book_of(fallen))
    assert venue.excess(ANN) < 0
    venue.order(BEA, CAPPED, 1, 10, MARK + 300)
    sold = venue.take(ANN, CAPPED, -1, 10, MARK + 300)
    if given_away:
        assert venue.held(ANN, CAPPED) == 0
        return
    spent, allowed = venue.refused(Reason.BELOW_PRICE, sold)
    atoms = spent - 47_000
    assert 0 <= atoms < formulas.order_reserve(ONE) < allowed < 47_000
    edge = sold[0].price
    assert venue.refused(Reason.BELOW_PRICE, venue.order(ANN, CAPPED, -1, 10, edge - 1))[0] > allowed
    assert venue.order(ANN, CAPPED, -1, 10, edge)[0].kind == EventKind.ACCEPTED
    left = allowed - atoms
    assert 10 * (MARK + 5_000 - edge) <= left < 10 * (MARK + 5_001 - edge)


def test_a_rebate_above_the_least_fee_of_a_taker_is_refused(engine):
    """Two accounts of one person would be paid for trading with each other, whatever tiers they are in."""
    venue = small(engine, NEWEST, hedged(0), 10**6)
    venue.do(Kind.TIER, tier=0, currency=0, price=0, amount=300)
    venue.do(Kind.TIER, tier=1, currency=0, price=-300, amount=500)
    for tier, maker, taker in ((1, -301, 500), (2, 0, 299), (2, -400, 400)):
        refused = venue.do(Kind.TIER, tier=tier, currency=0, price=maker, amount=taker)
        rebate, least = min(maker, -300), min(taker, 300)
        assert venue.refused(Reason.FEE_RATE, refused) == (rebate, -least)
