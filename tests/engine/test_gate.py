"""The gate: the limit of every check is taken, one more is refused with both numbers; accounts below, their drains."""

import pytest
from venue import (
    ANN,
    BEA,
    CAT,
    COIN,
    COIN_MARK,
    DEALER,
    ETHER,
    FUTURE,
    INVERSE,
    LOT,
    MARK,
    PERPETUAL,
    USDC,
    Venue,
    open_venue,
    publication,
)  # fmt: skip

from seawall.engine import formulas
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import BUY, FLAG_APPROVED, RULES_FOLDED, SELL, EventKind, Kind, VenueState

RESERVE = formulas.order_reserve(1 << 20)
"""Value atoms that an open order in USDC reserves."""

LOT_TICK = 100 * LOT // MARK
"""Value atoms of a tick on 100 lots."""

BITCOIN = 10_000
"""Lots of PERPETUAL in one bitcoin."""


class TestNamedScenarios:
    def test_900_bitcoin_on_an_account_with_1000_usdc(self, engine):
        venue = open_venue(engine, cash=1000 * 10**6, coins=0)
        needed, equity = venue.refused(Reason.MARGIN, venue.take(ANN, PERPETUAL, BUY, 900 * BITCOIN, MARK))
        assert equity == 1000 * 10**6
        assert needed == 900 * BITCOIN * LOT // 10 + RESERVE

    def test_a_close_below_that_keeps_to_the_rule(self, engine):
        venue = distressed(engine)
        margin = venue.margin(ANN)
        assert margin["excess"] < 0 < margin["equity"]
        assert venue.order(ANN, ETHER, SELL, 100, MARK * 95 // 100)[0].kind == EventKind.ACCEPTED

    def test_a_close_that_removes_a_hedge_names_the_leg(self, engine):
        venue = distressed(engine)
        events = venue.take(ANN, PERPETUAL, SELL, 200, MARK)
        after, before = venue.refused(Reason.BELOW_REQUIREMENT, events)
        assert after > before == venue.margin(ANN)["requirement"]
        assert events[0].instrument == ETHER

    def test_the_leg_is_named_when_it_is_instrument_0(self, engine):
        venue = open_venue(engine, coins=0)
        for instrument, side, lots in ((PERPETUAL, BUY, 700), (FUTURE, SELL, 200)):
            venue.order(DEALER, instrument, -side, lots, MARK)
            venue.take(ANN, instrument, side, lots, MARK)
        venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=venue.excess(ANN) - 10**6)
        venue.publish(publication({PERPETUAL: MARK * 95 // 100, FUTURE: MARK * 95 // 100}))
        events = venue.take(ANN, FUTURE, BUY, 200, MARK)
        venue.refused(Reason.BELOW_REQUIREMENT, events)
        assert events[0].instrument == PERPETUAL == 0


def distressed(engine, fall=5, rules=1) -> Venue:
    """Ann is long 500 ETHER and hedged in PERPETUAL against FUTURE; ETHER falls, and her equity is below R."""
    venue = open_venue(engine, coins=0, rules=rules)
    for instrument, side, lots in ((PERPETUAL, BUY, 200), (FUTURE, SELL, 200), (ETHER, BUY, 500)):
        venue.order(DEALER, instrument, -side, lots, MARK)
        venue.take(ANN, instrument, side, lots, MARK)
    venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=venue.excess(ANN) - 10**6)
    venue.publish(publication({ETHER: MARK * (100 - fall) // 100}))
    assert venue.excess(ANN) < 0
    return venue


class TestDrains:
    """A colluder buys from an account below at prices of their choosing: what may that cost?"""

    def drain(self, venue, lots):
        """Ann sells `lots` at a time to the cheapest bid she may hit, as long as she holds any."""
        start = venue.margin(ANN)
        refusals = 0
        while venue.held(ANN, ETHER) > 0:
            lots = min(lots, venue.held(ANN, ETHER))
            venue.order(BEA, ETHER, BUY, lots, 100)
            events = venue.take(ANN, ETHER, SELL, lots, 100)
            if events[0].reason == Reason.BELOW_PRICE:
                refusals += 1
                limiting, (spent, allowed) = events[0].price, (events[0].a, events[0].b)
                assert spent > allowed >= 0
                venue.do(Kind.CANCEL_ALL, account=BEA, instrument=ETHER)
                venue.refused(Reason.BELOW_PRICE, venue.take(ANN, ETHER, SELL, lots, limiting - 1))
                venue.order(BEA, ETHER, BUY, lots, limiting)
                events = venue.take(ANN, ETHER, SELL, lots, limiting)
            assert events[0].kind == EventKind.ACCEPTED
            if venue.excess(ANN) >= 0:
                break
        assert refusals > 0
        return start, venue.margin(ANN)

    def test_close_after_close(self, engine):
        """Equity may be spent on reducing in proportion: a quarter of the requirement left, a quarter of the equity."""
        start, end = self.drain(distressed(engine), 10)
        assert end["equity"] >= -start["requirement"] // 8
        assert (
            end["equity"] * start["requirement"] >= start["equity"] * end["requirement"] - start["requirement"] * 10**6
        )

    def test_with_equity_already_negative(self, engine):
        """Comparing e against zero would let bad debt grow without bound; it grows by R/8 at most, over all closes."""
        venue = distressed(engine, fall=14)
        start, end = self.drain(venue, 5)
        assert start["equity"] < 0
        assert end["equity"] >= start["equity"] - (start["requirement"] - end["requirement"]) / 8 - 10**3
        assert end["requirement"] < start["requirement"]

    def test_two_closes_each_fine_alone(self, engine):
        venue = distressed(engine)
        price = MARK * 95 // 100
        assert venue.order(ANN, ETHER, SELL, 100, price)[0].kind == EventKind.ACCEPTED
        assert venue.refused(Reason.BELOW_OPEN_ORDER, venue.order(ANN, ETHER, SELL, 100, price)) == (1, 0)
        venue.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)
        assert venue.order(ANN, ETHER, SELL, 100, price)[0].kind == EventKind.ACCEPTED

    def test_a_package_spends_what_its_refusal_allows_and_no_more(self, engine):
        """Ann closes ETHER and what hedges it together, ETHER at a price that gives equity away."""
        venue = distressed(engine, rules=max(RULES_FOLDED))
        legs = []
        for instrument, side in ((ETHER, SELL), (PERPETUAL, SELL), (FUTURE, BUY)):
            venue.order(DEALER, instrument, -side, 100, MARK)
            legs.append({"account": ANN, "quantity": 100, "instrument": instrument, "side": side, "price": MARK})

        def refused_at(price):
            events = venue.package(legs[0] | {"price": price}, *legs[1:])
            found = [(event.a, event.b) for event in events if event.reason == Reason.BELOW_PRICE]
            assert events[0].reason == (Reason.BATCH if found else Reason.NONE)
            return found

        ((spent, allowed),) = refused_at(30_000)
        assert spent > allowed > 0
        edge = 30_000 - (allowed - spent) // LOT_TICK  # of 100 lots, rounded up to a tick
        assert refused_at(edge - 1) == [(spent - (edge - 1 - 30_000) * LOT_TICK, allowed)]
        assert not refused_at(edge)

    def test_nothing_may_open_a_position(self, engine):
        venue = distressed(engine)
        for instrument in (PERPETUAL, ETHER):
            venue.refused(Reason.BELOW_REQUIREMENT, venue.order(ANN, instrument, BUY, 10, MARK))
        assert venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=1)[0].kind == EventKind.REFUSED


class TestLimits:
    """Taken at the limit, refused one beyond, with both numbers."""

    def test_margin(self, engine):
        venue = open_venue(engine, coins=0, cash=100 * LOT // 10 + RESERVE)
        refused = venue.order(ANN, PERPETUAL, BUY, 101, MARK)
        assert venue.refused(Reason.MARGIN, refused) == (101 * LOT // 10 + RESERVE, 100 * LOT // 10 + RESERVE)
        assert venue.refused(Reason.MARGIN, venue.order(ANN, PERPETUAL, BUY, 100, MARK + 1))[0] > 100 * LOT // 10
        accepted = venue.order(ANN, PERPETUAL, BUY, 100, MARK)[0]
        assert (accepted.a, accepted.b, venue.excess(ANN)) == (100 * LOT // 10 + RESERVE, accepted.a, 0)

    def test_the_fee_counts(self, engine):
        venue = open_venue(engine, coins=0, taker=1000, cash=100 * LOT // 10 + RESERVE + 100 * LOT // 1000 - 1)
        needed, equity = venue.refused(Reason.MARGIN, venue.take(ANN, PERPETUAL, BUY, 100, MARK))
        assert (needed, equity) == (100 * LOT // 10 + RESERVE + 100 * LOT // 1000, needed - 1)
        venue.deposit(ANN, 1)
        assert venue.take(ANN, PERPETUAL, BUY, 100, MARK)[0].kind == EventKind.ACCEPTED

    def test_a_capped_gain_gives_no_credit_to_an_open_order(self, venue):
        """Bought below the mark, the gain at the limit relieves the requirement only where gains count."""
        bid = MARK - 1000
        relieved = venue.order(ANN, ETHER, BUY, 10, bid)[0].a
        assert relieved == 10 * (LOT // 10 - 1000 * 100) + RESERVE
        venue.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)
        venue.publish(publication(caps={ETHER: 0}))
        assert venue.order(ANN, ETHER, BUY, 10, bid)[0].a == 10 * LOT // 10 + RESERVE

    def test_quantity_and_band(self, venue):
        assert venue.refused(Reason.QUANTITY, venue.order(ANN, ETHER, BUY, 10**6 + 1, MARK)) == (10**6 + 1, 10**6)
        assert venue.refused(Reason.QUANTITY, venue.order(ANN, ETHER, BUY, 0, MARK)) == (0, 10**6)
        for price, limit in ((99, 100), (2**20 + 1, 2**20)):
            assert venue.refused(Reason.PRICE_BAND, venue.order(ANN, ETHER, BUY, 1, price)) == (price, limit)
            assert venue.order(DEALER, ETHER, BUY, 1, limit)[0].kind == EventKind.ACCEPTED

    def test_position_bound_counts_what_is_open(self, venue):
        bound = venue.engine.catalogue.specs[ETHER].largest_position
        for _ in range(bound // 10**6):
            venue.order(DEALER, ETHER, BUY, 10**6, 100)
        left = bound % 10**6
        refused = venue.order(DEALER, ETHER, SELL, left + 1, MARK)
        assert venue.refused(Reason.POSITION_BOUND, refused) == (bound + 1, bound)
        assert venue.order(DEALER, ETHER, SELL, left, MARK)[0].kind == EventKind.ACCEPTED

    def test_sides_and_identities(self, venue):
        assert venue.refused(Reason.BAD_SIDE, venue.order(ANN, ETHER, 2, 1, MARK)) == (2, 0)
        assert venue.refused(Reason.BAD_SIDE, venue.order(ANN, ETHER, BUY, 1, MARK, tif=2)) == (1, 2)
        assert venue.refused(Reason.UNKNOWN_ACCOUNT, venue.order(7, ETHER, BUY, 1, MARK)) == (7, 7)
        assert venue.refused(Reason.UNKNOWN_ACCOUNT, venue.order(-1, ETHER, BUY, 1, MARK)) == (-1, 7)
        assert venue.refused(Reason.SYSTEM_ACCOUNT, venue.order(2, ETHER, BUY, 1, MARK)) == (2, 3)
        assert venue.refused(Reason.UNKNOWN_INSTRUMENT, venue.order(ANN, 6, BUY, 1, MARK)) == (6, 6)
        order = venue.order(BEA, ETHER, BUY, 1, MARK)[0].order_id
        assert venue.refused(Reason.NOT_OWNER, venue.cancel(ANN, order)) == (order, BEA)
        assert venue.refused(Reason.UNKNOWN_ORDER, venue.cancel(ANN, order + 1)) == (order + 1, ANN)
        venue.cancel(BEA, order)
        assert venue.refused(Reason.UNKNOWN_ORDER, venue.cancel(BEA, order)) == (order, BEA)

    def test_offsets_within_a_block_and_none_between(self, venue):
        for instrument, side in ((PERPETUAL, BUY), (FUTURE, SELL), (ETHER, BUY), (INVERSE, BUY)):
            venue.order(DEALER, instrument, -side, 10, COIN_MARK if instrument == INVERSE else MARK)
            venue.take(CAT, instrument, side, 10, COIN_MARK if instrument == INVERSE else MARK)
        coin = 10 * (2 * 10**9 // COIN_MARK) * 600 // 10
        assert abs(venue.margin(CAT)["requirement"] - (10 * LOT // 10 + coin)) < 10**3
        venue.order(DEALER, FUTURE, SELL, 10, MARK)
        venue.take(CAT, FUTURE, BUY, 10, MARK)
        assert abs(venue.margin(CAT)["requirement"] - (20 * LOT // 10 + coin)) < 10**3

    def test_debt_in_one_currency_counts_at_the_dearer_rate(self, venue):
        equity = venue.margin(ANN)["equity"]
        venue.do(Kind.WITHDRAW, account=ANN, currency=COIN, amount=10**8)
        assert equity - venue.margin(ANN)["equity"] == 500 * 10**8
        venue.order(DEALER, INVERSE, SELL, 100, COIN_MARK)
        venue.take(ANN, INVERSE, BUY, 100, COIN_MARK)
        owned = venue.margin(ANN)["equity"]
        venue.publish(publication({INVERSE: COIN_MARK - 1000}))
        lost = 100 * 2 * 10**9 // (COIN_MARK - 1000) - 100 * 2 * 10**9 // COIN_MARK
        assert abs(owned - venue.margin(ANN)["equity"] - 600 * lost) <= 600


@pytest.mark.parametrize(("rules", "held"), [(1, -5), *((rules, 0) for rules in RULES_FOLDED[1:])])
def test_what_is_let_in_because_it_reduces_may_only_reduce_since_rules_2(engine, rules, held):
    venue = open_venue(engine, coins=0, rules=rules)
    venue.order(DEALER, PERPETUAL, SELL, 5, MARK)
    venue.take(ANN, PERPETUAL, BUY, 5, MARK)
    venue.do(Kind.STATE, state=VenueState.REDUCE_ONLY)
    assert venue.order(ANN, PERPETUAL, SELL, 5, MARK + 10)[0].kind == EventKind.ACCEPTED
    venue.do(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED)
    venue.order(DEALER, PERPETUAL, BUY, 5, MARK)
    venue.take(ANN, PERPETUAL, SELL, 5, MARK)
    assert venue.held(ANN, PERPETUAL) == 0
    venue.take(DEALER, PERPETUAL, BUY, 5, MARK + 10)
    assert venue.held(ANN, PERPETUAL) == held
