"""Matching: price, then time; what rests, what is cancelled, what an order costs. On both engines."""

from venue import ANN, BEA, CAT, DEALER, INVERSE, MARK, PERPETUAL, USDC, open_venue

from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import BUY, SELL, SYSTEM_FEES, EventKind, Kind


def fills(events):
    """(account, price, lots) of each fill, maker and taker."""
    return [(e.account, e.price, e.quantity) for e in events if e.kind == EventKind.FILL]


class TestPriorities:
    def test_better_price_first_then_older_order(self, venue):
        venue.order(ANN, PERPETUAL, SELL, 5, MARK + 1)
        venue.order(BEA, PERPETUAL, SELL, 5, MARK)
        venue.order(CAT, PERPETUAL, SELL, 5, MARK)
        events = venue.order(DEALER, PERPETUAL, BUY, 12, MARK + 5)
        makers = [fill for fill in fills(events) if fill[0] != DEALER]
        assert makers == [(BEA, MARK, 5), (CAT, MARK, 5), (ANN, MARK + 1, 2)]

    def test_bids_are_hit_from_the_highest(self, venue):
        for account, price in ((ANN, MARK - 2), (BEA, MARK), (CAT, MARK - 1)):
            venue.order(account, PERPETUAL, BUY, 5, price)
        events = venue.order(DEALER, PERPETUAL, SELL, 11, MARK - 5)
        makers = [fill for fill in fills(events) if fill[0] != DEALER]
        assert makers == [(BEA, MARK, 5), (CAT, MARK - 1, 5), (ANN, MARK - 2, 1)]

    def test_the_limit_is_the_last_price_taken(self, venue):
        venue.order(ANN, PERPETUAL, SELL, 5, MARK)
        venue.order(ANN, PERPETUAL, SELL, 5, MARK + 1)
        events = venue.order(DEALER, PERPETUAL, BUY, 10, MARK)
        assert fills(events) == [(DEALER, MARK, 5), (ANN, MARK, 5)]
        assert venue.book(PERPETUAL, "bids") == [[(venue.seq, 5)]]
        assert venue.book(PERPETUAL, "asks") == [[(venue.seq - 1, 5)]]

    def test_a_partial_fill_keeps_its_place(self, venue):
        first = venue.order(ANN, PERPETUAL, SELL, 10, MARK)[0].order_id
        second = venue.order(BEA, PERPETUAL, SELL, 10, MARK)[0].order_id
        venue.take(DEALER, PERPETUAL, BUY, 4, MARK)
        assert venue.book(PERPETUAL, "asks") == [[(first, 6), (second, 10)]]
        assert fills(venue.take(DEALER, PERPETUAL, BUY, 7, MARK))[1::2] == [(ANN, MARK, 6), (BEA, MARK, 1)]

    def test_levels_far_apart_and_side_by_side(self, venue):
        prices = [100, 101, 163, 164, 4_095, 4_096, 59_999, 60_000]
        for price in reversed(prices):
            venue.order(DEALER, PERPETUAL, BUY, 1, price)
        events = venue.order(ANN, PERPETUAL, SELL, 2, 59_999)
        assert [price for account, price, _ in fills(events) if account == DEALER] == [60_000, 59_999]
        assert len(venue.book(PERPETUAL, "bids")) == len(prices) - 2


class TestRemainders:
    def test_immediate_or_cancel_never_rests(self, venue):
        venue.order(BEA, PERPETUAL, SELL, 3, MARK)
        events = venue.take(ANN, PERPETUAL, BUY, 10, MARK)
        assert (events[-1].kind, events[-1].reason) == (EventKind.CANCELLED, Reason.IMMEDIATE_OR_CANCEL)
        assert events[-1].quantity == 7
        assert venue.held(ANN, PERPETUAL) == 3
        assert venue.account(ANN)["orders"] == []
        assert venue.book(PERPETUAL, "bids") == []

    def test_own_order_ends_the_taker_not_the_maker(self, venue):
        venue.order(BEA, PERPETUAL, SELL, 3, MARK)
        own = venue.order(ANN, PERPETUAL, SELL, 4, MARK)[0].order_id
        venue.order(BEA, PERPETUAL, SELL, 5, MARK)
        events = venue.order(ANN, PERPETUAL, BUY, 10, MARK)
        assert fills(events) == [(ANN, MARK, 3), (BEA, MARK, 3)]
        assert (events[-1].reason, events[-1].a, events[-1].quantity) == (Reason.SELF_MATCH, own, 7)
        assert venue.account(ANN)["orders"] == [own]
        assert venue.margin(ANN)["requirement"] > 0

    def test_a_refused_order_leaves_no_trace(self, venue):
        before = venue.account(ANN)
        venue.refused(Reason.MARGIN, venue.order(ANN, PERPETUAL, BUY, 10**5, MARK))
        assert venue.account(ANN) == before
        assert ANN not in venue.engine.state()["listings"][PERPETUAL]["holders"]

    def test_cancels_give_everything_back(self, venue):
        clean = venue.margin(ANN)
        ids = [venue.order(ANN, PERPETUAL, BUY, 10, MARK - n)[0].order_id for n in range(5)]
        ids += [venue.order(ANN, INVERSE, SELL, 10, 120_001 + n)[0].order_id for n in range(5)]
        assert venue.margin(ANN)["requirement"] > 0
        venue.cancel(ANN, ids[3])
        (event,) = venue.do(Kind.CANCEL_ALL, account=ANN, instrument=INVERSE)[:1]
        assert (event.kind, event.order_id) == (EventKind.CANCELLED, ids[-1])
        assert venue.account(ANN)["orders"] == [ids[0], ids[1], ids[2], ids[4]]
        venue.do(Kind.CANCEL_ALL, account=-1, instrument=-1)
        assert venue.margin(ANN) == clean
        assert venue.account(ANN)["blocks"] == {}


class TestClientIds:
    def test_a_client_id_is_answered_with_its_first_order(self, venue):
        first = venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=77)[0].order_id
        (again,) = venue.order(ANN, PERPETUAL, BUY, 9, MARK - 1, client_id=77)
        assert (again.kind, again.order_id, again.a, again.b) == (EventKind.DUPLICATE, first, first, 77)
        (other,) = venue.order(BEA, PERPETUAL, BUY, 1, MARK, client_id=77)
        assert other.kind == EventKind.ACCEPTED

    def test_a_refused_order_does_not_use_up_its_client_id(self, venue):
        venue.refused(Reason.MARGIN, venue.order(ANN, PERPETUAL, BUY, 10**5, MARK, client_id=5))
        assert venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=5)[0].kind == EventKind.ACCEPTED

    def test_only_the_last_ones_are_kept(self, venue):
        kept = bounds.CLIENT_IDS_KEPT
        for client_id in range(1, kept + 1):
            venue.take(ANN, PERPETUAL, BUY, 1, MARK)
            venue.order(ANN, PERPETUAL, BUY, 1, MARK - client_id, client_id=client_id)
        assert venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=1)[0].kind == EventKind.DUPLICATE
        venue.order(ANN, PERPETUAL, BUY, 1, MARK - 50, client_id=kept + 1)
        assert venue.order(ANN, PERPETUAL, BUY, 1, MARK - 51, client_id=1)[0].kind == EventKind.ACCEPTED
        assert venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=3)[0].kind == EventKind.DUPLICATE
        assert venue.order(ANN, PERPETUAL, BUY, 1, MARK - 52, client_id=2)[0].kind == EventKind.ACCEPTED


class TestFees:
    def test_fees_round_up_once_for_an_order_not_once_a_fill(self, engine):
        venue = open_venue(engine, maker=0, taker=333)
        resting = 7
        for n in range(resting):
            venue.order(DEALER, PERPETUAL, SELL, 1, MARK + n)
        events = venue.order(ANN, PERPETUAL, BUY, resting, MARK + resting)
        paid = [e.b for e in events if e.kind == EventKind.FILL and e.account == ANN]
        value = sum((MARK + n) * 100 for n in range(resting))
        assert sum(paid) == -(-value * 333 // 10**6)
        assert venue.balance(SYSTEM_FEES) == sum(paid)
        assert len(set(paid)) > 1

    def test_a_rebate_is_paid_to_the_maker_and_never_more_than_earned(self, engine):
        venue = open_venue(engine, maker=-101, taker=500)
        venue.order(BEA, PERPETUAL, SELL, 10, MARK)
        for _ in range(10):
            venue.take(ANN, PERPETUAL, BUY, 1, MARK)
        earned = 10 * LOT_ATOMS * 101 // 10**6
        assert venue.balance(BEA) - 10**9 == earned
        assert 10**9 - venue.balance(ANN) == 10 * LOT_ATOMS * 500 // 10**6
        assert venue.balance(SYSTEM_FEES) == 10**9 * 2 - venue.balance(ANN) - venue.balance(BEA)

    def test_rates_are_those_of_acceptance(self, engine):
        venue = open_venue(engine, maker=100, taker=500)
        venue.order(BEA, PERPETUAL, SELL, 1, MARK)
        venue.do(Kind.TIER, tier=0, currency=0, price=9_000, amount=9_000)
        events = venue.take(ANN, PERPETUAL, BUY, 1, MARK)
        assert {e.account: e.b for e in events if e.kind == EventKind.FILL} == {
            ANN: LOT_ATOMS * 9_000 // 10**6,
            BEA: LOT_ATOMS * 100 // 10**6,
        }


LOT_ATOMS = MARK * 100


class TestInverseRounding:
    def test_many_small_fills_cost_what_one_large_fill_costs(self, venue):
        """One lot at 119,999 ticks is worth 16,666.8 atoms: rounding each fill would cost an atom a lot."""
        venue.order(BEA, INVERSE, SELL, 1000, 119_999)
        credits = []
        for _ in range(1000):
            events = venue.take(ANN, INVERSE, BUY, 1, 119_999)
            credits += [e.a for e in events if e.kind == EventKind.FILL and e.account == BEA]
        assert -sum(credits) == -(-1000 * 2 * 10**9 // 119_999)
        assert {-16_667, -16_666} == set(credits)

    def test_the_residue_of_a_trade_goes_to_the_rounding_account(self, venue):
        venue.order(BEA, INVERSE, SELL, 7, 119_999)
        events = venue.take(ANN, INVERSE, BUY, 7, 120_001)
        bought, sold = (
            next(e.a for e in events if e.kind == EventKind.FILL and e.account == who) for who in (ANN, BEA)
        )
        assert (bought, sold) == (7 * 2 * 10**9 // 119_999 - 1, -(7 * 2 * 10**9 // 119_999 + 1))
        assert bought + sold == -venue.residue(1) < 0
        assert events[-1].reason == Reason.ROUNDED

    def test_price_improvement_is_credited(self, venue):
        venue.order(BEA, INVERSE, SELL, 700, 100_000)
        events = venue.take(ANN, INVERSE, BUY, 700, 120_000)
        assert next(e.a for e in events if e.account == ANN and e.kind == EventKind.FILL) in (
            700 * 20_000 - 1,
            700 * 20_000,
        )
        assert venue.balance(ANN, USDC) == 10**9
