"""Every control at its limit: taken there, refused one beyond with the two numbers, by both engines.

And each can fail: with its check taken away, its test here and its scenario in `features/` do.
"""

import itertools
from dataclasses import replace

import pytest
from steps import run, scenarios
from test_gate import distressed
from venue import (
    ANN,
    BEA,
    CALL,
    CAT,
    DEALER,
    ETHER,
    FUTURE,
    LOT,
    MARK,
    PERPETUAL,
    USDC,
    open_weighted,
    weighted,
)  # fmt: skip

from seawall.engine import formulas
from seawall.engine.catalogue import Catalogue, Refused
from seawall.engine.reference import Reference
from seawall.engine.rules import controls
from seawall.engine.rules.conditional import Conditional
from seawall.engine.rules.controls import Controls
from seawall.engine.rules.gate import Gate
from seawall.engine.rules.margin import Book
from seawall.engine.rules.matching import Matching
from seawall.engine.rules.money import Money
from seawall.engine.rules.orders import Orders
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_DISCONNECTED,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FORBID_OPEN,
    FORBID_TRADE,
    FORBID_WITHDRAW,
    RULES_FOLDED,
    SELL,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    Scope,
    SelfMatch,
    TimeInForce,
    VenueState,
    Watched,
)  # fmt: skip

DESK, FIRM = DEALER + 1, DEALER + 2
RESERVE = formulas.order_reserve(1 << bounds.RATE_SHIFT)
PERCENT = 10_000
"""Millionths in a hundredth."""


def limit(venue, kind, **fields):
    """Set a limit; it must be taken."""
    assert [event.kind for event in venue.do(Kind.LIMIT, state=kind, **fields)] == [EventKind.DEFINED]


def groups(venue):
    """Ann and Bea on one desk of one firm."""
    venue.do(Kind.ACCOUNT, account=DESK, type=Role.DESK)
    venue.do(Kind.ACCOUNT, account=FIRM, type=Role.FIRM)
    for account in (ANN, BEA):
        for group in (DESK, FIRM):
            venue.do(Kind.MEMBER, account=account, order_id=group)


def rests(events):
    return [event.kind for event in events] == [EventKind.ACCEPTED]


def trade(venue, account, lots, *, side=BUY, price=MARK, instrument=PERPETUAL, **more):
    """Let an account trade with the dealer; its order's events."""
    venue.order(DEALER, instrument, -side, lots, price)
    return venue.take(account, instrument, side, lots, price, **more)


def ended(events, reason):
    """(account, a, b) of what ended for a reason."""
    return [(e.account, e.a, e.b) for e in events if (e.kind, e.reason) == (EventKind.CANCELLED, reason)]


def refusal(venue, events):
    """(reason, a, b) of a refused command that did nothing else."""
    assert [event.kind for event in events] == [EventKind.REFUSED]
    return events[0].reason, events[0].a, events[0].b


def c01_order_quantity(venue):
    limit(venue, Limit.ORDER_QUANTITY, account=ANN, instrument=PERPETUAL, amount=10)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 10, MARK))
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 11, MARK)) == (Reason.QUANTITY, 11, 10)
    assert rests(venue.order(ANN, FUTURE, BUY, 11, MARK))
    assert rests(venue.order(BEA, PERPETUAL, BUY, 11, MARK))


def c01_of_the_contract(venue):
    assert refusal(venue, venue.order(DEALER, ETHER, BUY, 10**6 + 1, MARK)) == (Reason.QUANTITY, 10**6 + 1, 10**6)
    assert rests(venue.order(DEALER, ETHER, BUY, 10**6, MARK))


def c02_order_notional(venue):
    limit(venue, Limit.ORDER_NOTIONAL, account=ANN, amount=10 * LOT)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 10, MARK))
    assert refusal(venue, venue.order(ANN, ETHER, BUY, 11, MARK)) == (Reason.ORDER_NOTIONAL, 11 * LOT, 10 * LOT)


def c03_collar(venue):
    limit(venue, Limit.COLLAR, instrument=PERPETUAL, amount=PERCENT, quantity=1)
    limit(venue, Limit.COLLAR, instrument=ETHER, amount=1, quantity=7)
    for instrument, away in ((PERPETUAL, 600), (ETHER, 7)):
        for side in (BUY, SELL):
            edge = MARK + side * away
            assert rests(venue.order(ANN, instrument, side, 1, edge))
            beyond = venue.order(BEA, instrument, side, 1, edge + side)
            assert refusal(venue, beyond) == (Reason.COLLAR, edge + side, edge)
            venue.do(Kind.CANCEL_ALL, account=ANN, instrument=instrument)


def c04_collar_over_a_window(venue):
    limit(venue, Limit.WINDOW_COLLAR, instrument=PERPETUAL, amount=PERCENT, until=100)
    trade(venue, ANN, 1, price=60_600)
    start = venue.time
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, 60_601)) == (Reason.WINDOW_COLLAR, 60_601, 60_600)
    assert rests(venue.order(BEA, PERPETUAL, BUY, 1, 60_601))
    venue.do(Kind.CANCEL_ALL, account=BEA, instrument=-1)
    venue.time = start + 99
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, 60_601)) == (Reason.WINDOW_COLLAR, 60_601, 60_600)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, 61_206))
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, 61_207)) == (Reason.WINDOW_COLLAR, 61_207, 61_206)


def c05_market_orders_protected(venue):
    limit(venue, Limit.COLLAR, instrument=PERPETUAL, amount=PERCENT, quantity=1)
    for price in (60_600, 60_601):
        venue.do(Kind.LIMIT, state=Limit.COLLAR, instrument=PERPETUAL, amount=bounds.NO_LIMIT, flags=FLAG_APPROVED)
        venue.order(DEALER, PERPETUAL, SELL, 10, price)
    limit(venue, Limit.COLLAR, instrument=PERPETUAL, amount=PERCENT, quantity=1)
    accepted, *fills, rest = venue.order(ANN, PERPETUAL, BUY, 20, 0, type=OrderType.MARKET, tif=TimeInForce.IOC)
    assert (accepted.kind, accepted.price) == (EventKind.ACCEPTED, 60_600)
    assert [(fill.price, fill.quantity) for fill in fills] == [(60_600, 10)] * 2
    assert (rest.reason, rest.quantity) == (Reason.IMMEDIATE_OR_CANCEL, 10)


def c06_throttle(venue):
    limit(venue, Limit.MESSAGES, account=ANN, amount=100, quantity=3)
    limit(venue, Limit.CANCELS, account=ANN, amount=100, quantity=1)
    first = venue.time + 1
    orders = [venue.order(ANN, PERPETUAL, BUY, 1, MARK) for _ in range(3)]
    assert all(map(rests, orders))
    venue.time = first + 98
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK)) == (Reason.THROTTLED, 1, 100)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK))
    edit = venue.do(Kind.EDIT, account=ANN, order_id=orders[0][0].order_id, price=MARK, quantity=2)
    assert refusal(venue, edit) == (Reason.THROTTLED, 99, 100)
    assert ended(venue.cancel(ANN, orders[0][0].order_id), Reason.BY_OWNER)
    assert refusal(venue, venue.cancel(ANN, orders[1][0].order_id)) == (Reason.THROTTLED, 99, 100)
    assert rests(venue.order(BEA, PERPETUAL, BUY, 1, MARK))


def c07_repeated_execution(venue):
    limit(venue, Limit.REPEATS, account=ANN, amount=3, until=3000)
    events = [trade(venue, ANN, 1, strategy=2) for _ in range(3)]
    stopped = [[(e.a, e.b) for e in each if e.kind == EventKind.STOPPED] for each in events]
    assert stopped == [[], [], [(2, 3)]]
    again = {"account": ANN, "strategy": 2}
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK, strategy=2)) == (Reason.STRATEGY_STOPPED, 2, 3)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK, strategy=3))
    venue.time += 10**6
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK, strategy=2)) == (Reason.STRATEGY_STOPPED, 2, 3)
    assert refusal(venue, venue.do(Kind.REARM, **again)) == (Reason.PEOPLE_REQUIRED, 0, 2)
    venue.do(Kind.REARM, **again, flags=FLAG_APPROVED)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK, strategy=2))


def c07_refilled_by_edits(venue):
    limit(venue, Limit.REPEATS, account=ANN, amount=2, until=2000)
    order = venue.order(ANN, PERPETUAL, BUY, 1, MARK - 1, strategy=2)[0].order_id
    events = []
    for amount in (2, 3):
        venue.do(Kind.EDIT, account=ANN, order_id=order, price=MARK, quantity=amount)
        events.append(venue.take(DEALER, PERPETUAL, SELL, 1, MARK))
    assert [EventKind.STOPPED in {event.kind for event in each} for each in events] == [False, True]
    edit = venue.do(Kind.EDIT, account=ANN, order_id=order, price=MARK, quantity=9)
    assert refusal(venue, edit) == (Reason.STRATEGY_STOPPED, 2, 2)


def c08_the_same_client_id(venue):
    first = venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=7)[0].order_id
    for other in range(bounds.CLIENT_IDS_KEPT - 1):
        venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=100 + other)
    again = venue.order(ANN, PERPETUAL, SELL, 5, 1, client_id=7)
    assert [(event.kind, event.order_id, event.b) for event in again] == [(EventKind.DUPLICATE, first, 7)]
    assert rests(venue.order(BEA, PERPETUAL, BUY, 1, MARK, client_id=7))
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=99))
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK, client_id=7))


def c09_self_match(venue):
    left = {}
    for mode in SelfMatch:
        venue.order(ANN, PERPETUAL, SELL, 10, MARK)
        events = venue.order(ANN, PERPETUAL, BUY, 4, MARK, self_match=mode)
        assert EventKind.FILL not in {event.kind for event in events}
        assert Reason.SELF_MATCH in {event.reason for event in events}
        left[mode] = [sum(o[1] for level in venue.book(PERPETUAL, side) for o in level) for side in ("bids", "asks")]
        venue.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)
    assert left == {
        SelfMatch.CANCEL_NEWEST: [0, 10], SelfMatch.CANCEL_OLDEST: [4, 0],
        SelfMatch.CANCEL_BOTH: [0, 0], SelfMatch.DECREMENT: [0, 6],
    }  # fmt: skip


def c10_permissions(venue):
    trade(venue, ANN, 5)
    everything = FORBID_OPEN | FORBID_WITHDRAW
    limit(venue, Limit.FORBIDDEN, account=ANN, instrument=-1, amount=everything)
    limit(venue, Limit.FORBIDDEN, account=ANN, instrument=FUTURE, amount=FORBID_TRADE)
    assert rests(venue.order(ANN, PERPETUAL, SELL, 5, MARK))
    opening = venue.order(ANN, PERPETUAL, SELL, 6, MARK)
    assert refusal(venue, opening) == (Reason.FORBIDDEN, FORBID_OPEN, everything)
    trading = venue.order(ANN, FUTURE, BUY, 1, MARK)
    assert refusal(venue, trading) == (Reason.FORBIDDEN, FORBID_TRADE, FORBID_TRADE | everything)
    leaving = venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=1)
    assert refusal(venue, leaving) == (Reason.FORBIDDEN, FORBID_WITHDRAW, everything)


def c11_open_orders(venue):
    limit(venue, Limit.OPEN_ORDERS, account=ANN, amount=2)
    stop = {"type": OrderType.STOP_MARKET, "trigger": MARK + 1}
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, 0, **stop))
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK))
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK)) == (Reason.OPEN_ORDERS, 3, 2)
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, 0, **stop)) == (Reason.OPEN_ORDERS, 3, 2)


def c11_open_notional(venue):
    limit(venue, Limit.OPEN_NOTIONAL, account=ANN, amount=10 * LOT)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 4, MARK))
    assert refusal(venue, venue.order(ANN, ETHER, SELL, 7, MARK)) == (Reason.OPEN_NOTIONAL, 11 * LOT, 10 * LOT)
    assert rests(venue.order(ANN, ETHER, SELL, 6, MARK))


def c12_position(venue):
    groups(venue)
    for who, instrument, lots in ((ANN, PERPETUAL, 10), (DESK, PERPETUAL, 15), (ANN, ETHER, 0)):
        limit(venue, Limit.POSITION, account=who, instrument=instrument, amount=lots)
    trade(venue, ANN, 4)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 6, MARK - 1))
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK)) == (Reason.POSITION_LIMIT, 11, 10)
    assert rests(venue.order(BEA, PERPETUAL, BUY, 5, MARK - 1))
    assert refusal(venue, of_the_desk := venue.order(BEA, PERPETUAL, BUY, 1, MARK)) == (Reason.POSITION_LIMIT, 16, 15)
    assert of_the_desk[0].account == DESK
    assert rests(venue.order(ANN, PERPETUAL, SELL, 14, MARK + 1))
    assert refusal(venue, venue.order(ANN, PERPETUAL, SELL, 1, MARK + 1)) == (Reason.POSITION_LIMIT, 11, 10)
    assert refusal(venue, venue.order(ANN, ETHER, BUY, 1, MARK)) == (Reason.POSITION_LIMIT, 1, 0)


def c12_open_interest(venue):
    limit(venue, Limit.OPEN_INTEREST, instrument=PERPETUAL, amount=10)
    trade(venue, ANN, 7)
    assert refusal(venue, venue.order(BEA, PERPETUAL, BUY, 4, MARK)) == (Reason.OPEN_INTEREST, 11, 10)
    assert rests(venue.order(BEA, PERPETUAL, BUY, 3, MARK))


def c12_open_interest_by_a_batch(venue):
    limit(venue, Limit.OPEN_INTEREST, instrument=PERPETUAL, amount=10)
    leg = {"account": ANN, "instrument": PERPETUAL, "side": BUY, "price": MARK}
    refused = venue.chain(leg | {"quantity": 10}, leg | {"quantity": 1})
    assert [(e.reason, e.a, e.b) for e in refused] == [
        (Reason.BATCH, 2, Reason.OPEN_INTEREST), (Reason.OPEN_INTEREST, 11, 10),
    ]  # fmt: skip
    assert rests(venue.chain(leg | {"quantity": 10}))


def c13_margin(venue):
    venue.do(Kind.ACCOUNT, account=DESK)
    venue.deposit(DESK, 10**9)
    most = (10**9 - RESERVE) // (LOT // 10)
    needed = (most + 1) * LOT // 10 + RESERVE
    assert refusal(venue, venue.order(DESK, PERPETUAL, BUY, most + 1, MARK)) == (Reason.MARGIN, needed, 10**9)
    assert rests(venue.order(DESK, PERPETUAL, BUY, most, MARK))


def c14_reducing_always_passes(venue):
    venue = distressed(venue.engine.__class__(), rules=2)
    for kind in (Limit.OPEN_ORDERS, Limit.OPEN_NOTIONAL, Limit.EXPOSURE):
        limit(venue, kind, account=ANN, amount=0)
    limit(venue, Limit.POSITION, account=ANN, instrument=ETHER, amount=0)
    refused = venue.order(ANN, ETHER, SELL, 500, 30_000)
    assert (refused[0].kind, refused[0].reason) == (EventKind.REFUSED, Reason.BELOW_PRICE)
    assert refused[0].a > refused[0].b >= 0
    edge = refused[0].price
    assert refusal(venue, venue.order(ANN, ETHER, SELL, 500, edge - 1))[0] == Reason.BELOW_PRICE
    assert rests(venue.order(ANN, ETHER, SELL, 500, edge))


def c14_leaving_at_the_bound(venue):
    """What a publication leaves room for is no reason to be locked in: an immediate order that reduces may go."""
    trade(venue, ANN, 1000)
    venue.order(ANN, PERPETUAL, SELL, 10, MARK + 1)
    made = weighted()
    steep = [replace(r, u=(0, r.u[1], 2**50 // 1010 - 1)) if r.instrument == PERPETUAL else r for r in made.instruments]
    venue.publish(replace(made, instruments=tuple(steep)))
    at_once = {"tif": TimeInForce.IOC}
    for side, lots, more in ((SELL, 1, {}), (BUY, 1, at_once), (SELL, 991, at_once)):
        refused = refusal(venue, venue.order(ANN, PERPETUAL, side, lots, MARK, **more))
        assert refused == (Reason.POSITION_BOUND, 1010 + lots, 1010)
    left = venue.order(ANN, PERPETUAL, SELL, 990, MARK, **at_once)
    assert [event.kind for event in left] == [EventKind.ACCEPTED, EventKind.CANCELLED]


def c15_exposure(venue):
    groups(venue)
    limit(venue, Limit.EXPOSURE, account=ANN, amount=10 * LOT)
    limit(venue, Limit.EXPOSURE, account=FIRM, amount=15 * LOT)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 6, MARK))
    assert refusal(venue, venue.order(ANN, FUTURE, BUY, 5, MARK)) == (Reason.EXPOSURE, 11 * LOT, 10 * LOT)
    assert rests(venue.order(ANN, FUTURE, BUY, 4, MARK))
    assert rests(venue.order(ANN, ETHER, BUY, 10, MARK))
    of_the_firm = venue.order(BEA, FUTURE, BUY, 6, MARK)
    assert refusal(venue, of_the_firm) == (Reason.EXPOSURE, 16 * LOT, 15 * LOT)
    assert of_the_firm[0].account == FIRM
    assert rests(venue.order(BEA, FUTURE, BUY, 5, MARK))
    assert rests(venue.order(ANN, FUTURE, SELL, 10, MARK + 1))


def c15_exposure_by_a_package(venue):
    limit(venue, Limit.EXPOSURE, account=ANN, amount=10 * LOT)
    for instrument in (PERPETUAL, FUTURE):
        venue.order(DEALER, instrument, SELL, 10, MARK)
    leg = {"account": ANN, "side": BUY, "price": MARK, "quantity": 5}
    refused = venue.package(leg | {"instrument": PERPETUAL}, leg | {"instrument": FUTURE, "quantity": 6})
    assert [(e.reason, e.a, e.b) for e in refused] == [
        (Reason.BATCH, 2, Reason.EXPOSURE), (Reason.EXPOSURE, 11 * LOT, 10 * LOT),
    ]  # fmt: skip
    venue.package(leg | {"instrument": PERPETUAL}, leg | {"instrument": FUTURE})
    assert (venue.held(ANN, PERPETUAL), venue.held(ANN, FUTURE)) == (5, 5)


def c15_exposure_over_settlement_currencies(venue):
    """ETHER's block is made one of PERPETUAL's underlying: what is owned in one adds to the other, or takes from it."""
    limit(venue, Limit.EXPOSURE, account=ANN, amount=10 * LOT)
    venue.do(Kind.UNDERLYING, instrument=2, amount=0)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 6, MARK))
    assert refusal(venue, venue.order(ANN, ETHER, BUY, 5, MARK)) == (Reason.EXPOSURE, 11 * LOT, 10 * LOT)
    assert rests(venue.order(ANN, ETHER, BUY, 4, MARK))
    assert rests(venue.order(ANN, ETHER, SELL, 10, MARK + 1))
    venue.take(DEALER, ETHER, BUY, 10, MARK + 1)
    assert refusal(venue, venue.order(ANN, PERPETUAL, SELL, 1, MARK + 9)) == (Reason.EXPOSURE, 11 * LOT, 10 * LOT)
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 11, 100)) == (Reason.EXPOSURE, 11 * LOT, 10 * LOT)
    assert rests(venue.order(ANN, PERPETUAL, BUY, 10, 100))


def c15_a_close_that_uncovers_more_than_the_limit(venue):
    """Fewer lots of one leg are more net delta: step by step the limit would bound nothing."""
    venue.deposit(ANN, 10**12)
    limit(venue, Limit.EXPOSURE, account=ANN, amount=10 * LOT)
    for instrument, side in ((PERPETUAL, BUY), (FUTURE, SELL), (PERPETUAL, BUY)):
        trade(venue, ANN, 10, side=side, instrument=instrument)
    for more in ({}, {"flags": FLAG_REDUCE_ONLY}, {"tif": TimeInForce.IOC}):
        refused = refusal(venue, venue.order(ANN, FUTURE, BUY, 1, MARK, **more))
        assert refused == (Reason.EXPOSURE, 11 * LOT, 10 * LOT)
    assert rests(venue.order(ANN, PERPETUAL, SELL, 20, MARK))


def c12_a_close_that_adds_to_its_desks(venue):
    """Ann closes a short while the desk is long at its limit: her lots are fewer, the desk's more."""
    groups(venue)
    trade(venue, ANN, 5, side=SELL)
    limit(venue, Limit.POSITION, account=DESK, instrument=PERPETUAL, amount=10)
    trade(venue, BEA, 15)
    assert refusal(venue, refused := venue.order(ANN, PERPETUAL, BUY, 1, MARK)) == (Reason.POSITION_LIMIT, 11, 10)
    assert refused[0].account == DESK
    assert rests(venue.order(BEA, PERPETUAL, SELL, 15, MARK + 1))


def c14_who_must_come_down_may_beyond_every_sum(venue):
    """Ann is below her requirement: what limits her desk is no reason to keep her there."""
    venue = distressed(venue.engine.__class__(), rules=max(RULES_FOLDED))
    groups(venue)
    limit(venue, Limit.EXPOSURE, account=ANN, amount=0)
    limit(venue, Limit.POSITION, account=DESK, instrument=ETHER, amount=0)
    assert rests(venue.order(ANN, ETHER, SELL, 100, MARK * 95 // 100))


def c16_a_limit_sent_again_begins_nothing_anew(venue):
    trade(venue, ANN, 100)
    limit(venue, Limit.DRAWDOWN, account=ANN, amount=100 * 100 * 500, quantity=2)
    found = []
    for fall in (300, 500, 501, 501):
        found = venue.publish(weighted({PERPETUAL: MARK - fall}))
        limit(venue, Limit.DRAWDOWN, account=ANN, amount=100 * 100 * 500, quantity=2)
    assert [(e.kind, e.a) for e in found] == [(EventKind.STATE, VenueState.REDUCE_ONLY)]


def c16_drawdown(venue):
    trade(venue, ANN, 100)
    lost = 100 * 100 * 600
    order = venue.order(ANN, PERPETUAL, BUY, 1, 100)[0].order_id
    limit(venue, Limit.DRAWDOWN, account=ANN, amount=lost - 1, quantity=2)
    assert venue.publish(weighted({PERPETUAL: MARK - 600})) == []
    assert venue.publish(weighted()) == []
    assert venue.publish(weighted({PERPETUAL: MARK - 599})) == []
    assert venue.publish(weighted({PERPETUAL: MARK - 600})) == []
    tripped = venue.publish(weighted({PERPETUAL: MARK - 600}))
    assert ended(tripped, Reason.DRAWDOWN) == [(ANN, lost, lost - 1)]
    told = [(e.account, e.a, e.b, e.price, e.quantity) for e in tripped if e.kind == EventKind.STATE]
    assert told == [(ANN, VenueState.REDUCE_ONLY, 0, lost, lost - 1)]
    assert refusal(venue, venue.order(ANN, FUTURE, BUY, 1, MARK)) == (Reason.REDUCE_ONLY, 1, 0)
    assert rests(venue.order(ANN, PERPETUAL, SELL, 100, MARK)) and order


def c16_one_bad_tick_is_no_height(venue):
    """Nor does it trip by being far above: what the next good ones have fallen from was never there."""
    trade(venue, ANN, 100)
    gained = 100 * 100 * 600
    limit(venue, Limit.DRAWDOWN, account=ANN, amount=gained, quantity=2)
    for mark in (MARK, MARK + 600, MARK, MARK, MARK, MARK + 700, MARK + 600, MARK, MARK, MARK):
        assert venue.publish(weighted({PERPETUAL: mark})) == []
    lower = weighted({PERPETUAL: MARK - 1})
    states = [[e.kind for e in venue.publish(lower)].count(EventKind.STATE) for _ in range(2)]
    assert states == [0, 1]
    few = venue.do(Kind.LIMIT, state=Limit.DRAWDOWN, account=BEA, amount=gained, quantity=1)
    assert refusal(venue, few) == (Reason.LIMIT_VALUE, Limit.DRAWDOWN, 1)


def c17_stale_and_divergent_prices(venue):
    trade(venue, ANN, 5)
    limit(venue, Limit.STALE, amount=1000)
    limit(venue, Limit.DIVERGENCE, amount=25 * PERCENT)
    blind = venue.order(ANN, PERPETUAL, BUY, 1, 100)
    assert refusal(venue, blind) == (Reason.NO_PRICE, PERPETUAL, Watched.INDEX)
    assert rests(venue.order(ANN, PERPETUAL, SELL, 5, MARK + 9))
    venue.do(Kind.CANCEL_ALL, account=ANN, instrument=PERPETUAL)
    venue.do(Kind.INDEX, instrument=PERPETUAL, price=MARK)
    published = venue.time
    venue.publish(weighted())
    venue.time = published + 999
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, 100))
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, 100)) == (Reason.STALE, 1001, 1000)
    assert rests(venue.order(ANN, PERPETUAL, SELL, 5, MARK))
    venue.publish(weighted())
    venue.do(Kind.INDEX, instrument=ETHER, price=47_999)
    assert refusal(venue, venue.order(ANN, ETHER, BUY, 1, MARK)) == (Reason.DIVERGENT, 250_026, 250_000)
    venue.do(Kind.INDEX, instrument=ETHER, price=48_000)
    assert rests(venue.order(ANN, ETHER, BUY, 1, MARK))
    venue.publish(weighted())
    venue.time = published + 3000
    venue.publish(weighted())
    assert refusal(venue, venue.order(ANN, ETHER, BUY, 1, MARK))[0] == Reason.STALE


def c17_money_stays_without_a_price(venue):
    trade(venue, ANN, 5)
    limit(venue, Limit.STALE, amount=1000)
    take, published = {"account": ANN, "currency": USDC, "amount": 1}, venue.time
    venue.publish(weighted())
    venue.time = published + 1000
    assert venue.do(Kind.WITHDRAW, **take)[0].reason == Reason.WITHDRAWN
    refused = venue.do(Kind.WITHDRAW, **take)
    assert refusal(venue, refused) == (Reason.STALE, 1001, 1000) and refused[0].instrument == PERPETUAL
    assert venue.do(Kind.WITHDRAW, **take | {"account": BEA})[0].reason == Reason.WITHDRAWN
    limit(venue, Limit.DIVERGENCE, amount=25 * PERCENT)
    venue.publish(weighted())
    assert refusal(venue, venue.do(Kind.WITHDRAW, **take)) == (Reason.NO_PRICE, PERPETUAL, Watched.INDEX)


def c18_money_stays_while_what_it_stands_for_is_halted(venue):
    venue.order(ANN, PERPETUAL, BUY, 1, 100)
    venue.do(Kind.STATE, type=Scope.INSTRUMENT, instrument=PERPETUAL, state=VenueState.HALTED)
    refused = [venue.do(Kind.WITHDRAW, account=account, currency=USDC, amount=1) for account in (ANN, BEA)]
    assert refusal(venue, refused[0]) == (Reason.INSTRUMENT_HALTED, VenueState.HALTED, VenueState.REDUCE_ONLY)
    assert (refused[0][0].instrument, refused[1][0].reason) == (PERPETUAL, Reason.WITHDRAWN)


def c18_the_strictest_state_wins(venue):
    groups(venue)
    trade(venue, ANN, 5)
    order = venue.order(ANN, PERPETUAL, BUY, 1, 100)[0].order_id
    halted, reduce = VenueState.HALTED, VenueState.REDUCE_ONLY
    scopes = (
        (Scope.VENUE, 0, Reason.VENUE_HALTED), (Scope.UNDERLYING, 0, Reason.INSTRUMENT_HALTED),
        (Scope.INSTRUMENT, PERPETUAL, Reason.INSTRUMENT_HALTED), (Scope.ACCOUNT, ANN, Reason.ACCOUNT_HALTED),
        (Scope.ACCOUNT, DESK, Reason.ACCOUNT_HALTED),
    )  # fmt: skip
    for scope, number, reason in scopes:
        about = {"type": scope, "account": number, "instrument": number}
        venue.do(Kind.STATE, **about, state=reduce)
        assert refusal(venue, venue.order(ANN, PERPETUAL, SELL, 6, MARK)) == (Reason.REDUCE_ONLY, 6, 5)
        closing = venue.order(ANN, PERPETUAL, SELL, 5, MARK)
        assert rests(closing)
        venue.cancel(ANN, closing[0].order_id)
        venue.do(Kind.STATE, **about, state=halted)
        assert refusal(venue, venue.order(ANN, PERPETUAL, SELL, 5, MARK)) == (reason, halted, reduce)
        assert refusal(venue, venue.do(Kind.STATE, **about)) == (Reason.PEOPLE_REQUIRED, 0, halted)
        venue.do(Kind.STATE, **about, flags=FLAG_APPROVED)
    for scope, number, _ in scopes:
        venue.do(Kind.STATE, type=scope, account=number, instrument=number, state=halted)
    assert ended(venue.cancel(ANN, order), Reason.BY_OWNER)


def c18_what_is_let_in_to_reduce_only_reduces(venue):
    """Two closes of the same ten lots: the second must not open a position the other way."""
    trade(venue, ANN, 10)
    venue.do(Kind.STATE, state=VenueState.REDUCE_ONLY)
    assert rests(venue.order(ANN, PERPETUAL, SELL, 10, MARK + 5))
    assert rests(venue.order(ANN, PERPETUAL, SELL, 10, MARK, flags=FLAG_REDUCE_ONLY))
    venue.do(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED)
    venue.order(DEALER, PERPETUAL, BUY, 20, MARK + 5)
    assert venue.held(ANN, PERPETUAL) == 0
    assert venue.book(PERPETUAL, "asks") == []
    venue.do(Kind.STATE, state=VenueState.REDUCE_ONLY)
    assert refusal(venue, venue.order(ANN, PERPETUAL, SELL, 1, MARK)) == (Reason.REDUCE_ONLY, 1, 0)


def c19_kill_switch(venue):
    groups(venue)
    hit = {
        (Scope.VENUE, 0): [(ANN, PERPETUAL), (BEA, FUTURE), (CAT, ETHER)],
        (Scope.UNDERLYING, 0): [(ANN, PERPETUAL), (BEA, FUTURE)],
        (Scope.INSTRUMENT, ETHER): [(CAT, ETHER)],
        (Scope.ACCOUNT, ANN): [(ANN, PERPETUAL)],
        (Scope.ACCOUNT, DESK): [(ANN, PERPETUAL), (BEA, FUTURE)],
    }
    for (scope, number), expected in hit.items():
        for account, instrument in ((ANN, PERPETUAL), (BEA, FUTURE), (CAT, ETHER)):
            assert rests(venue.order(account, instrument, BUY, 1, MARK))
        about = {"type": scope, "account": number, "instrument": number}
        state, *cancelled = venue.do(Kind.KILL, **about)
        assert (state.kind, state.reason, state.a, state.b) == (EventKind.STATE, Reason.KILLED, VenueState.HALTED, 0)
        assert [(e.account, e.instrument, e.reason) for e in cancelled] == [(*pair, Reason.KILLED) for pair in expected]
        assert refusal(venue, venue.order(*expected[0], BUY, 1, MARK))[1:] == (VenueState.HALTED, 1)
        venue.do(Kind.STATE, **about, flags=FLAG_APPROVED)
        venue.do(Kind.CANCEL_ALL, account=-1, instrument=-1)


def c20_disconnected_and_dead_man(venue):
    for account in (ANN, BEA):
        venue.order(account, PERPETUAL, BUY, 1, MARK)
        venue.order(account, PERPETUAL, SELL, 1, 0, type=OrderType.STOP_MARKET, trigger=100)
    gone = venue.do(Kind.CANCEL_ALL, account=BEA, instrument=-1, flags=FLAG_DISCONNECTED)
    assert ended(gone, Reason.DISCONNECTED) == [(BEA, 0, 0)] * 2
    now = venue.time + 1
    assert refusal(venue, venue.do(Kind.DEAD_MAN, account=ANN, until=now)) == (Reason.UNTIL, now, now)
    until = venue.time + 50
    venue.do(Kind.DEAD_MAN, account=ANN, until=until - 10)
    venue.do(Kind.DEAD_MAN, account=ANN, until=until)
    venue.time = until - 2
    assert venue.do(Kind.TIME) == []
    assert ended(venue.do(Kind.TIME), Reason.DEAD_MAN) == [(ANN, 0, 0)] * 2


def c21_market_maker_protection(venue):
    about = {"account": ANN, "instrument": 0}
    venue.do(Kind.PROTECT, **about, quantity=10 * LOT, amount=100 * LOT, version=0, until=1000, display=500)
    quotes = {
        side: venue.order(ANN, PERPETUAL, side, 20, MARK - side, flags=FLAG_PROTECTED)[0].order_id
        for side in (BUY, SELL)
    }
    plain = venue.order(ANN, PERPETUAL, BUY, 1, MARK - 2)[0].order_id
    assert not ended(venue.take(BEA, PERPETUAL, SELL, 10, MARK - 1), Reason.MAKER_PROTECTION)
    events = venue.take(BEA, PERPETUAL, BUY, 1, MARK + 1)
    frozen = venue.time
    assert [(e.account, e.a, e.b) for e in events if e.kind == EventKind.FROZEN] == [(ANN, 11 * LOT, 10 * LOT)]
    assert ended(events, Reason.MAKER_PROTECTION) == [(ANN, 11 * LOT, 10 * LOT)] * 2
    assert [o[0] for level in venue.book(PERPETUAL, "bids") for o in level] == [plain] and quotes
    quote = {"flags": FLAG_PROTECTED}
    refused = refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK - 1, **quote))
    assert refused == (Reason.FROZEN, frozen + 500, frozen + 1)
    venue.time = frozen + 498
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK - 1, **quote))[0] == Reason.FROZEN
    assert rests(venue.order(ANN, PERPETUAL, BUY, 1, MARK - 1, **quote))
    assert refusal(venue, venue.order(BEA, PERPETUAL, BUY, 1, MARK - 1, **quote)) == (Reason.NO_PROTECTION, BEA, 0)


def c21_delta_and_vega(venue):
    about = {"account": ANN, "instrument": 1}
    quote = {"flags": FLAG_PROTECTED}
    for limits in ({"amount": 5 * LOT, "version": 100 * LOT}, {"amount": 100 * LOT, "version": LOT}):
        venue.do(Kind.PROTECT, **about, quantity=1000 * LOT, **limits, until=1000)
        venue.order(ANN, CALL, BUY, 20, 300, **quote)
        assert not ended(venue.take(BEA, CALL, SELL, 10, 300), Reason.MAKER_PROTECTION)
        reached = 11 * LOT // 2 if limits["amount"] == 5 * LOT else 11 * LOT // 10
        events = venue.take(BEA, CALL, SELL, 1, 300)
        assert ended(events, Reason.MAKER_PROTECTION) == [(ANN, reached, min(limits.values()))]
        refused = refusal(venue, venue.order(ANN, CALL, BUY, 1, 300, **quote))
        assert refused == (Reason.FROZEN, 0, venue.time)
        venue.do(Kind.PROTECT_RESET, **about)
        assert rests(venue.order(ANN, CALL, BUY, 1, 300, **quote))
        venue.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)


def c21_a_fill_counts_for_the_whole_window(venue):
    about = {"account": ANN, "instrument": 0}
    for window, later, frozen in ((7, 6, True), (1000, 999, True), (1000, 1250, False)):
        venue.do(Kind.PROTECT, **about, quantity=10 * LOT, amount=100 * LOT, version=0, until=window)
        venue.order(ANN, PERPETUAL, BUY, 20, MARK, flags=FLAG_PROTECTED)
        venue.take(BEA, PERPETUAL, SELL, 6, MARK)
        venue.time += later - 1
        events = venue.take(BEA, PERPETUAL, SELL, 6, MARK)
        assert bool(ended(events, Reason.MAKER_PROTECTION)) == frozen
        venue.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)


def c22_velocity_halt(venue):
    limit(venue, Limit.VELOCITY, instrument=PERPETUAL, amount=PERCENT, quantity=2, until=10_000)
    trade(venue, ANN, 1)
    order = venue.order(CAT, PERPETUAL, BUY, 1, 100)[0].order_id
    for price in (60_600, 60_601, 60_600):  # one near the old price undoes nothing
        assert EventKind.STATE not in {event.kind for event in trade(venue, ANN, 1, price=price)}
    halt = [e for e in trade(venue, ANN, 1, price=60_601) if e.kind == EventKind.STATE]
    assert [(e.reason, e.instrument, e.a, e.b) for e in halt] == [(Reason.VELOCITY, PERPETUAL, VenueState.HALTED, 0)]
    assert [(e.price, e.quantity) for e in halt] == [(601 * 10**6 // MARK, PERCENT)]
    refused = refusal(venue, venue.order(ANN, PERPETUAL, SELL, 1, MARK))
    assert refused == (Reason.INSTRUMENT_HALTED, VenueState.HALTED, VenueState.REDUCE_ONLY)
    assert rests(venue.order(ANN, FUTURE, BUY, 1, MARK))
    assert ended(venue.cancel(CAT, order), Reason.BY_OWNER)


def c22_a_batch_ends_with_the_halt_it_caused(venue):
    limit(venue, Limit.VELOCITY, instrument=PERPETUAL, amount=PERCENT, quantity=1, until=10_000)
    for price in (60_000, 60_601, 60_602):
        venue.order(DEALER, PERPETUAL, SELL, 1, price)
    leg = {"account": ANN, "instrument": PERPETUAL, "side": BUY, "price": 60_700, "quantity": 1}
    events = venue.chain(leg, leg, leg, leg | {"instrument": FUTURE, "price": MARK})
    assert ended(events, Reason.INSTRUMENT_HALTED) == [(ANN, VenueState.HALTED, VenueState.REDUCE_ONLY)]
    assert (venue.held(ANN, PERPETUAL), events[-1].kind, events[-1].instrument) == (2, EventKind.ACCEPTED, FUTURE)


def c22_one_taker_is_measured_from_before_it(venue):
    limit(venue, Limit.VELOCITY, instrument=PERPETUAL, amount=PERCENT, quantity=1, until=10_000)
    for price in (60_000, 60_601):
        venue.order(DEALER, PERPETUAL, SELL, 1, price)
    halt = [e for e in venue.take(ANN, PERPETUAL, BUY, 2, 60_601) if e.kind == EventKind.STATE]
    assert [(e.reason, e.instrument, e.a) for e in halt] == [(Reason.VELOCITY, PERPETUAL, VenueState.HALTED)]


def c23_restricted_below_maintenance(venue):
    trade(venue, ANN, 10, instrument=ETHER)
    coins = venue.balance(ANN, 1)
    venue.do(Kind.WITHDRAW, account=ANN, currency=1, amount=coins)
    venue.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=venue.excess(ANN))
    assert venue.excess(ANN) == 0 and venue.publish(weighted()) == []
    restricted = venue.publish(weighted({ETHER: MARK - 1}))
    margin = venue.margin(ANN)
    expected = [(EventKind.RESTRICTED, ANN, margin["maintenance"], margin["equity"])]
    assert [(e.kind, e.account, e.a, e.b) for e in restricted] == expected
    assert refusal(venue, venue.order(ANN, PERPETUAL, BUY, 1, MARK)) == (Reason.REDUCE_ONLY, 1, 0)
    assert rests(venue.order(ANN, ETHER, SELL, 1, MARK, flags=FLAG_REDUCE_ONLY))
    venue.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)
    missing = -venue.excess(ANN)
    assert EventKind.LIFTED not in {e.kind for e in venue.do(Kind.DEPOSIT, account=ANN, amount=missing - 1)}
    lifted = venue.do(Kind.DEPOSIT, account=ANN, amount=1)[-1]
    assert (lifted.kind, lifted.a, lifted.b) == (EventKind.LIFTED, margin["requirement"], margin["requirement"])


CONTROLS = {name: test for name, test in globals().items() if name[:1] == "c" and name[1:3].isdigit()}


@pytest.mark.parametrize("name", CONTROLS)
def test_taken_at_the_limit_and_refused_beyond(engine, name):
    CONTROLS[name](open_weighted(engine))


def unlimited(*kinds):
    """Take limits away: they may be set, and nothing looks at them."""

    def switch(patch):
        look = Catalogue.limit
        patch.setattr(Catalogue, "limit", lambda self, kind, *of: None if kind in kinds else look(self, kind, *of))

    return switch


def without(owner, name, result=None):
    """Take a method away."""
    return lambda patch: patch.setattr(owner, name, lambda *given, **named: result)


def forgetful(patch):
    """Remember no client ids."""
    accept = Orders._accept

    def accepted(self, account, order, *numbers):
        accept(self, account, order, *numbers)
        account.client_ids = []

    patch.setattr(Orders, "_accept", accepted)


def strangers(patch):
    """Every order an owner's of its own."""
    owners = itertools.count(10**9)
    patch.setattr(Matching, "_owner", lambda self, account: next(owners))


def unquestioned(patch):
    """States are set and nothing looks at them."""
    patch.setattr(Controls, "_check_open", lambda *given: None)
    patch.setattr(Controls, "_only_reducing", lambda *given: None)


def never_below(patch):
    """No second rule for accounts below."""

    def refuse(self, account, orders, equity, before, after):
        raise Refused(Reason.MARGIN, after, equity)

    patch.setattr(Gate, "_gate_below", refuse)


def patient(patch):
    """Protections freeze and pull nothing."""
    patch.setattr(Matching, "_protect_makers", lambda self: self._breached.clear())


SWITCHES = {
    "C01": [unlimited(Limit.ORDER_QUANTITY), without(Controls, "_check_size")],
    "C02": [unlimited(Limit.ORDER_NOTIONAL)],
    "C03": [unlimited(Limit.COLLAR)],
    "C04": [unlimited(Limit.WINDOW_COLLAR)],
    "C05": [unlimited(Limit.COLLAR)],
    "C06": [unlimited(Limit.MESSAGES), unlimited(Limit.CANCELS)],
    "C07": [unlimited(Limit.REPEATS)],
    "C08": [forgetful],
    "C09": [strangers],
    "C10": [unlimited(Limit.FORBIDDEN)],
    "C11": [unlimited(Limit.OPEN_ORDERS, Limit.OPEN_NOTIONAL)],
    "C12": [unlimited(Limit.POSITION, Limit.OPEN_INTEREST)],
    "C13": [without(Book, "requirement", 0)],
    "C14": [
        never_below,
        lambda patch: patch.setattr(Book, "equity", lambda *given: 10**15),
        lambda patch: patch.setattr(formulas, "spends_in_proportion", lambda *given: True),
        lambda patch: patch.setattr(controls, "_IMMEDIATE", ()),
    ],
    "C15": [unlimited(Limit.EXPOSURE)],
    "C16": [unlimited(Limit.DRAWDOWN)],
    "C17": [unlimited(Limit.STALE), unlimited(Limit.DIVERGENCE)],
    "C18": [unquestioned, without(Money, "_check_valued")],
    "C19": [without(Orders, "_clear_books"), without(Catalogue, "set_state")],
    "C20": [without(Conditional, "_clear_account")],
    "C21": [patient, without(Matching, "_count_for_protection")],
    "C22": [unlimited(Limit.VELOCITY)],
    "C23": [without(Matching, "_watch_maintenance")],
}
"""Ways to switch a control off. Each must turn at least one of its tests red, and they together all of them."""


@pytest.mark.parametrize("control", SWITCHES)
def test_switched_off_its_tests_turn_red(control):
    tests = {name for name in CONTROLS if name.startswith(control.lower())}
    red = set()
    for switch in SWITCHES[control]:
        failed = {name for name in tests if fails(switch, lambda name=name: CONTROLS[name](open_weighted(Reference())))}
        assert failed, "a switch that turns nothing red"
        red |= failed
    assert red == tests


@pytest.mark.parametrize("control", SWITCHES)
def test_switched_off_its_scenarios_turn_red(control):
    tagged = [(file, lines) for file, tags, _, lines in scenarios() if control in tags]
    assert tagged
    for file, lines in tagged:
        assert any(
            fails(switch, lambda file=file, lines=lines: run(Reference(), file, lines)) for switch in SWITCHES[control]
        ), file


def fails(switch, attempt):
    """Whether a test fails once a control is switched off, by an assertion and not by chance."""
    with pytest.MonkeyPatch.context() as patch:
        switch(patch)
        try:
            attempt()
        except AssertionError:
            return True
    return False


def test_every_control_the_engine_has_is_tested():
    assert {name[:3].upper() for name in CONTROLS} == set(SWITCHES) == {f"C{number:02}" for number in range(1, 24)}
