"""Funding, settlement, expiry, withdrawals, margin calls, publications and the states of the venue. On both engines."""

from dataclasses import replace

import pytest
from venue import (
    ANN,
    BEA,
    CALL,
    CAT,
    COIN,
    COIN_MARK,
    DEALER,
    ETHER,
    EXPIRY,
    FUTURE,
    INVERSE,
    LOT,
    MARK,
    MARKS,
    PERPETUAL,
    PUT,
    USDC,
    publication,
)  # fmt: skip

from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_RECOVERED,
    FLAG_UNCLEAN,
    SELL,
    EventKind,
    Kind,
    Scope,
    VenueState,
)

CASH = 10**9


def bought(venue, account, instrument, lots, price):
    """The account buys (negative lots: sells) from the dealer."""
    side = BUY if lots > 0 else SELL
    venue.order(DEALER, instrument, -side, abs(lots), price)
    venue.take(account, instrument, side, abs(lots), price)
    assert venue.held(account, instrument) == lots


class TestFunding:
    def test_longs_pay_shorts(self, venue):
        bought(venue, ANN, PERPETUAL, 10, MARK)
        events = venue.do(Kind.FUNDING, instrument=PERPETUAL, amount=3 << bounds.FUNDING_SHIFT)
        assert {event.account: (event.a, event.b) for event in events} == {DEALER: (30, -10), ANN: (-30, 10)}
        assert venue.balance(ANN) == CASH - 30

    def test_its_rounding_residue_has_an_account(self, venue):
        bought(venue, ANN, PERPETUAL, 3, MARK)
        events = venue.do(Kind.FUNDING, instrument=PERPETUAL, amount=1)
        assert [(event.account, event.a) for event in events] == [(DEALER, 0), (ANN, -1), (0, 1)]
        assert venue.residue(USDC) == 1


class TestSettlement:
    def test_a_session_gain_becomes_cash_and_equity_stays(self, venue):
        bought(venue, ANN, PERPETUAL, 10, MARK)
        venue.publish(publication({PERPETUAL: MARK + 600}))
        before = venue.margin(ANN)
        events = venue.do(Kind.SETTLE, instrument=PERPETUAL)
        gain = 10 * 600 * 100
        assert {event.account: event.a for event in events} == {DEALER: -gain, ANN: gain}
        assert venue.balance(ANN) == CASH + gain
        assert venue.margin(ANN) == before

    def test_a_capped_gain_counts_in_full_once_settled(self, venue):
        bought(venue, ANN, PERPETUAL, 10, MARK)
        venue.publish(publication({PERPETUAL: MARK + 600}, caps={PERPETUAL: 100_000}))
        assert venue.margin(ANN)["equity"] == CASH + 100_000 + 10**8 * 500
        venue.do(Kind.SETTLE, instrument=PERPETUAL)
        assert venue.margin(ANN)["equity"] == CASH + 600_000 + 10**8 * 500

    def test_an_option_settles_only_once_it_is_closed(self, venue):
        bought(venue, ANN, PUT, 5, 400)
        assert venue.do(Kind.SETTLE, instrument=PUT) == []
        venue.order(DEALER, PUT, BUY, 5, 380)
        venue.take(ANN, PUT, SELL, 5, 380)
        events = venue.do(Kind.SETTLE, instrument=PUT)
        assert {event.account: event.a for event in events} == {ANN: -(10**6), DEALER: 10**6}


class TestExpiry:
    @pytest.mark.parametrize(
        ("instrument", "price", "lots", "delivery", "paid"),
        [
            (FUTURE, MARK, 10, MARK + 700, 10 * 700 * 100),
            (FUTURE, MARK, -10, MARK + 700, -10 * 700 * 100),
            (PUT, 400, 5, 55_000, 5 * (5_000 * 1000 - 400 * 10**4)),
            (PUT, 400, 5, 61_000, -5 * 400 * 10**4),
            (CALL, 300, 5, 63_000, 5 * 10**7 * 3_000 // 63_000 - 5 * 300 * 1000),
            (CALL, 300, 5, 60_000, -5 * 300 * 1000),
        ],
    )
    def test_delivery(self, venue, instrument, price, lots, delivery, paid):
        bought(venue, ANN, instrument, lots, price)
        resting = venue.order(BEA, instrument, BUY, 1, 100)[0].order_id
        venue.time = EXPIRY
        events = venue.do(Kind.EXPIRE, instrument=instrument, price=delivery)
        assert (events[0].kind, events[0].reason, events[0].order_id) == (
            EventKind.CANCELLED, Reason.INSTRUMENT_EXPIRED, resting,
        )  # fmt: skip
        posted = {event.account: event.a for event in events if event.reason == Reason.DELIVERED}
        assert posted[ANN] == paid
        assert posted[ANN] + posted[DEALER] in (0, -1)
        assert venue.account(ANN)["positions"].get(instrument) is None
        assert venue.margin(ANN)["requirement"] == venue.margin(BEA)["requirement"] == 0
        again = venue.do(Kind.EXPIRE, instrument=instrument, price=delivery)
        assert venue.refused(Reason.EXPIRED, again) == (EXPIRY, venue.engine.clock)

    def test_not_before_its_time_and_only_at_a_sane_price(self, venue):
        early = venue.do(Kind.EXPIRE, instrument=FUTURE, price=MARK)
        assert venue.refused(Reason.NOT_EXPIRED, early) == (EXPIRY, venue.engine.clock)
        venue.time = EXPIRY - 1
        for price in (99, 2**20 + 1):
            refused = venue.do(Kind.EXPIRE, instrument=FUTURE, price=price)
            assert venue.refused(Reason.DELIVERY_BOUND, refused) == (price, 2**20)
        strike = 60_000
        for price in (0, -(-strike // 1024) - 1, strike * 1024 + 1):
            refused = venue.do(Kind.EXPIRE, instrument=PUT, price=price)
            assert venue.refused(Reason.DELIVERY_BOUND, refused) == (price, strike)
        venue.refused(Reason.NOT_PERPETUAL, venue.do(Kind.EXPIRE, instrument=PERPETUAL, price=MARK))
        assert venue.do(Kind.EXPIRE, instrument=FUTURE, price=100) == []

    def test_time_never_goes_back(self, venue):
        venue.time = EXPIRY
        venue.do(Kind.TIME)
        venue.time = 5
        refused = venue.order(ANN, FUTURE, BUY, 1, MARK)
        assert venue.refused(Reason.EXPIRED, refused) == (EXPIRY, EXPIRY + 1)


class TestWithdrawals:
    def test_up_to_the_excess(self, venue):
        venue.do(Kind.WITHDRAW, account=ANN, currency=COIN, amount=10**8)
        bought(venue, ANN, PERPETUAL, 100, MARK)
        needed = 100 * LOT // 10
        free = CASH - needed
        beyond = venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=free + 1)
        assert venue.refused(Reason.WITHDRAWAL_MARGIN, beyond) == (needed, needed - 1)
        (event,) = venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=free)
        assert (event.reason, event.a) == (Reason.WITHDRAWN, -free)
        assert venue.excess(ANN) == 0

    def test_gains_not_yet_settled_are_no_cash_and_losses_are_taken_off(self, venue):
        bought(venue, ANN, PERPETUAL, 10, MARK)
        venue.publish(publication({PERPETUAL: MARK + 600}))
        beyond = venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=CASH + 1)
        assert venue.refused(Reason.CASH, beyond) == (CASH + 1, CASH)
        venue.publish(publication({PERPETUAL: MARK - 600}))
        beyond = venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=CASH - 600_000 + 1)
        assert venue.refused(Reason.CASH, beyond)[1] == CASH - 600_000

    def test_a_premium_paid_is_gone(self, venue):
        bought(venue, ANN, PUT, 5, 400)
        beyond = venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=CASH - 5 * 400 * 10**4 + 1)
        venue.refused(Reason.CASH, beyond)

    @pytest.mark.parametrize("amount", [0, -1, bounds.BALANCE_MAX + 1])
    def test_amounts(self, venue, amount):
        for kind in (Kind.DEPOSIT, Kind.WITHDRAW):
            refused = venue.do(kind, account=ANN, currency=USDC, amount=amount)
            assert venue.refused(Reason.AMOUNT, refused) == (amount, bounds.BALANCE_MAX)


class TestMarginCalls:
    def resting(self, venue):
        """Ann holds 500 ETHER and three bids; her excess is one dollar."""
        bought(venue, ANN, ETHER, 500, MARK)
        orders = [venue.order(ANN, ETHER, BUY, 10, MARK - n)[0].order_id for n in range(3)]
        venue.do(Kind.WITHDRAW, account=ANN, currency=COIN, amount=10**8)
        venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=venue.excess(ANN) - 10**6)
        return orders

    def test_a_publication_cancels_newest_first_until_it_fits(self, venue):
        orders = self.resting(venue)
        relief = 10 * LOT // 10
        events = venue.publish(publication({ETHER: MARK - 50}))
        assert [event.reason for event in events] == [Reason.MARGIN_CALL] * 1
        assert events[0].order_id == orders[-1]
        assert events[0].a > events[0].b
        assert venue.excess(ANN) >= 0 > venue.excess(ANN) - relief
        events = venue.publish(publication({ETHER: MARK - 2000}))
        assert [event.order_id for event in events] == [orders[1], orders[0]]
        assert venue.excess(ANN) < 0

    def test_funding_does_so_for_each_payer_at_once(self, venue):
        orders = self.resting(venue)
        rate = (CASH // 500 // 100) << bounds.FUNDING_SHIFT
        events = venue.do(Kind.FUNDING, instrument=ETHER, amount=min(rate, bounds.FUNDING_RATE_MAX))
        paid = next(place for place, event in enumerate(events) if event.account == ANN)
        assert events[paid].reason == Reason.FUNDED
        assert events[paid + 1].order_id == orders[-1]
        assert events[paid + 1].reason == Reason.MARGIN_CALL

    def test_an_expiry_does_so_too(self, venue):
        bought(venue, ANN, PUT, -100, 400)
        order = venue.order(ANN, ETHER, BUY, 10, MARK)[0].order_id
        venue.do(Kind.WITHDRAW, account=ANN, currency=COIN, amount=10**8)
        venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=venue.excess(ANN) - 10**6)
        venue.time = EXPIRY
        events = venue.do(Kind.EXPIRE, instrument=PUT, price=45_000)
        called = [event.order_id for event in events if event.reason == Reason.MARGIN_CALL]
        assert called == [order]

    def test_no_trade_of_another_cancels_anything(self, venue):
        orders = self.resting(venue)
        venue.take(BEA, ETHER, SELL, 5, MARK)
        assert venue.account(ANN)["orders"] == orders
        assert venue.excess(ANN) >= 0


class TestPublications:
    def test_versions_follow_each_other(self, venue):
        for version in (1, 3):
            refused = venue.do(Kind.PUBLISH, publication().encode(), version=version)
            assert venue.refused(Reason.VERSION, refused) == (version, 1)

    def test_a_malformed_one_is_refused_whole(self, venue):
        data = publication().encode()
        before = venue.engine.state()["listings"]
        for broken in (data[:-8], data[:-3], data + bytes(8), bytes(8) + data[8:], b""):
            refused = venue.do(Kind.PUBLISH, broken, version=2)
            assert venue.refused(Reason.MALFORMED, refused) == (len(broken), 2)
        assert venue.engine.state()["listings"] == before

    def test_a_block_must_be_whole(self, venue):
        refused = venue.do(Kind.PUBLISH, publication(skip=(FUTURE,)).encode(), version=2)
        assert venue.refused(Reason.PUBLICATION_INCOMPLETE, refused) == (FUTURE, 0)
        whole = publication()
        narrow = replace(whole, instruments=(*whole.instruments[:-1], replace(whole.instruments[-1], u=(0, 1))))
        refused = venue.do(Kind.PUBLISH, narrow.encode(), version=2)
        assert venue.refused(Reason.PUBLICATION_INCOMPLETE, refused) == (ETHER, 2)

    def test_a_publication_names_what_is_listed_and_not_over(self, venue):
        plain = publication()
        another = replace(plain.instruments[-1], instrument=len(MARKS))
        stranger = replace(plain, instruments=(*plain.instruments, another))
        refused = venue.do(Kind.PUBLISH, stranger.encode(), version=2)
        assert venue.refused(Reason.UNKNOWN_INSTRUMENT, refused) == (len(MARKS), len(MARKS))
        venue.time = EXPIRY
        venue.do(Kind.EXPIRE, instrument=FUTURE, price=MARK)
        refused = venue.do(Kind.PUBLISH, plain.encode(), version=2)
        assert venue.refused(Reason.UNKNOWN_INSTRUMENT, refused) == (FUTURE, len(MARKS))
        assert venue.do(Kind.PUBLISH, publication(skip=(FUTURE,)).encode(), version=2)[0].kind == EventKind.PUBLISHED

    def test_blocks_not_named_stay_as_they_are(self, venue):
        bought(venue, ANN, ETHER, 10, MARK)
        before = venue.margin(ANN)
        whole = publication({PERPETUAL: MARK + 5})
        kept = [risk for risk in whole.instruments if risk.instrument in (PERPETUAL, FUTURE, PUT)]
        venue.publish(replace(whole, currencies=(), blocks=whole.blocks[:1], instruments=tuple(kept)))
        assert venue.margin(ANN) == before

    def test_a_rate_alone_moves_reserves_and_equity(self, venue):
        venue.order(ANN, INVERSE, BUY, 1, COIN_MARK)
        before = venue.margin(ANN)
        dearer = [replace(rate, rate_loss=rate.rate_loss * 2) for rate in publication().currencies]
        venue.publish(replace(publication(), currencies=tuple(dearer), blocks=(), instruments=()))
        after = venue.margin(ANN)
        assert after["equity"] == before["equity"]
        assert after["requirement"] - before["requirement"] >= bounds.ORDER_ATOMS * 600


class TestStates:
    def test_reduce_only_takes_what_reduces(self, venue):
        bought(venue, ANN, PERPETUAL, 10, MARK)
        venue.do(Kind.STATE, state=VenueState.REDUCE_ONLY)
        assert venue.refused(Reason.REDUCE_ONLY, venue.order(ANN, PERPETUAL, BUY, 1, MARK)) == (1, 0)
        assert venue.refused(Reason.REDUCE_ONLY, venue.order(ANN, PERPETUAL, SELL, 11, MARK)) == (11, 10)
        assert venue.order(ANN, PERPETUAL, SELL, 6, MARK)[0].kind == EventKind.ACCEPTED
        assert venue.refused(Reason.REDUCE_ONLY, venue.order(ANN, PERPETUAL, SELL, 5, MARK)) == (5, 4)
        assert venue.order(ANN, PERPETUAL, SELL, 4, MARK + 1)[0].kind == EventKind.ACCEPTED

    def test_a_halt_stops_orders_and_nothing_else(self, venue):
        order = venue.order(ANN, PERPETUAL, BUY, 1, MARK)[0].order_id
        (event,) = venue.do(Kind.STATE, state=VenueState.HALTED)
        assert (event.a, event.b) == (VenueState.HALTED, VenueState.OPEN)
        refused = venue.order(CAT, PERPETUAL, SELL, 1, MARK)
        assert venue.refused(Reason.VENUE_HALTED, refused) == (VenueState.HALTED, VenueState.REDUCE_ONLY)
        assert venue.cancel(ANN, order)[0].reason == Reason.BY_OWNER
        venue.deposit(ANN, 5)
        venue.publish(publication())

    def test_only_people_relax(self, venue):
        venue.do(Kind.STATE, state=VenueState.HALTED)
        for wanted in (VenueState.OPEN, VenueState.REDUCE_ONLY):
            refused = venue.do(Kind.STATE, state=wanted)
            assert venue.refused(Reason.PEOPLE_REQUIRED, refused) == (wanted, VenueState.HALTED)
            venue.refused(Reason.PEOPLE_REQUIRED, venue.do(Kind.STATE, state=wanted, flags=FLAG_RECOVERED))
        opened = venue.do(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED)[0]
        assert (opened.kind, opened.a, opened.b) == (EventKind.STATE, VenueState.OPEN, VenueState.HALTED)
        assert venue.refused(Reason.STATE_VALUE, venue.do(Kind.STATE, state=3)) == (3, 2)

    def test_an_unclean_stop_comes_up_halted(self, venue):
        assert venue.do(Kind.OPENED) == []
        assert venue.do(Kind.OPENED, flags=1)[0].a == VenueState.HALTED

    def test_a_rule_lifts_what_a_crash_halted_by_one_step_and_once(self, venue):
        step = {"state": VenueState.REDUCE_ONLY, "flags": FLAG_RECOVERED}
        venue.do(Kind.OPENED, flags=FLAG_UNCLEAN)
        venue.refused(Reason.PEOPLE_REQUIRED, venue.do(Kind.STATE, **step | {"state": VenueState.OPEN}))
        lifted = venue.do(Kind.STATE, **step)[0]
        assert (lifted.kind, lifted.a, lifted.b) == (EventKind.STATE, VenueState.REDUCE_ONLY, VenueState.HALTED)
        venue.do(Kind.STATE, state=VenueState.HALTED)
        venue.refused(Reason.PEOPLE_REQUIRED, venue.do(Kind.STATE, **step))

    def test_a_rule_does_not_lift_what_people_killed_after_a_crash(self, venue):
        venue.do(Kind.RULES, version=2)
        for about, lifted in (({"type": Scope.ACCOUNT, "account": ANN}, True), ({"type": Scope.VENUE}, False)):
            venue.do(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED)
            venue.do(Kind.OPENED, flags=FLAG_UNCLEAN)
            venue.do(Kind.KILL, **about)
            step = venue.do(Kind.STATE, state=VenueState.REDUCE_ONLY, flags=FLAG_RECOVERED)[0]
            assert (step.kind == EventKind.STATE) == lifted
