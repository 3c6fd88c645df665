"""The bounds of rules 2 at their edges: taken there, refused one beyond."""

import numpy as np
import pytest
from venue import ANN, BEA, CALL, DEALER, MARK, PERPETUAL, PUT, open_venue, open_weighted, weighted

from seawall.engine.catalogue import BURST_MAX, CONFIRMATIONS_MAX
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_LINKED,
    FLAG_PROTECTED,
    SELL,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    TimeInForce,
    VenueState,
    command,
)  # fmt: skip

TRIES = {
    Limit.ORDER_QUANTITY: ("amount", 0, bounds.NO_LIMIT - 1),
    Limit.OPEN_ORDERS: ("amount", 0, bounds.NO_LIMIT - 1),
    Limit.EXPOSURE: ("amount", 0, bounds.NO_LIMIT - 1),
    Limit.COLLAR: ("amount", 1, 10 * bounds.PARTS),
    Limit.WINDOW_COLLAR: ("until", 1, bounds.TIME_MAX),
    Limit.VELOCITY: ("quantity", 1, CONFIRMATIONS_MAX),
    Limit.DRAWDOWN: ("quantity", 2, CONFIRMATIONS_MAX),
    Limit.MESSAGES: ("quantity", 1, BURST_MAX),
    Limit.CANCELS: ("amount", 1, bounds.TIME_MAX >> 20),
    Limit.REPEATS: ("amount", 1, 1000),  # as many as `until` has nanoseconds
    Limit.FORBIDDEN: ("amount", 1, 7),
    Limit.DIVERGENCE: ("amount", 1, 10 * bounds.PARTS),
}


@pytest.mark.parametrize("limit", TRIES)
def test_parameters_of_a_limit(engine, limit):
    venue = open_weighted(engine)
    name, least, most = TRIES[limit]
    fields = {"state": limit, "account": ANN, "instrument": PERPETUAL, "amount": 1, "quantity": 1, "until": 1000}
    for edge in (least, most):
        assert venue.do(Kind.LIMIT, **(fields | {name: edge}), flags=FLAG_APPROVED)[0].kind == EventKind.DEFINED
    none = 0 if limit in (Limit.MESSAGES, Limit.CANCELS, Limit.FORBIDDEN) else bounds.NO_LIMIT
    for beyond in (least - 1, most + 1):
        if name == "amount" and beyond == none:
            continue
        refused = venue.do(Kind.LIMIT, **(fields | {name: beyond}), flags=FLAG_APPROVED)
        assert venue.refused(Reason.LIMIT_VALUE, refused) == (limit, beyond)


def test_the_least_collar_in_ticks(engine):
    venue = open_weighted(engine)
    fields = {"state": Limit.COLLAR, "instrument": PERPETUAL, "amount": 1}
    assert venue.do(Kind.LIMIT, **fields, quantity=bounds.PRICE_MAX)[0].kind == EventKind.DEFINED
    beyond = venue.do(Kind.LIMIT, **fields, quantity=bounds.PRICE_MAX + 1)
    assert venue.refused(Reason.LIMIT_VALUE, beyond) == (Limit.COLLAR, bounds.PRICE_MAX + 1)


def test_there_is_no_limit_beyond_the_last(engine):
    venue = open_weighted(engine)
    for beyond in (0, max(Limit) + 1):
        assert venue.refused(Reason.LIMIT_VALUE, venue.do(Kind.LIMIT, state=beyond)) == (beyond, max(Limit))


def test_the_end_of_time(engine):
    venue = open_weighted(engine)
    edge = bounds.TIME_MAX
    good_till = {"tif": TimeInForce.GTD}
    assert venue.order(ANN, PERPETUAL, BUY, 1, MARK, **good_till, until=edge)[0].kind == EventKind.ACCEPTED
    beyond = venue.order(ANN, PERPETUAL, BUY, 1, MARK, **good_till, until=edge + 1)
    assert venue.refused(Reason.UNTIL, beyond) == (edge + 1, venue.time)
    assert venue.do(Kind.DEAD_MAN, account=ANN, until=edge)[0].kind == EventKind.DEFINED
    beyond = venue.do(Kind.DEAD_MAN, account=ANN, until=edge + 1)
    assert venue.refused(Reason.UNTIL, beyond) == (edge + 1, venue.time)
    protection = {"account": ANN, "instrument": 0}
    for name in ("until", "display"):
        fields = {"until": 1} | {name: edge}
        assert venue.do(Kind.PROTECT, **protection, **fields)[0].kind == EventKind.DEFINED
        fields[name] += 1
        beyond = venue.do(Kind.PROTECT, **protection, **fields)
        assert venue.refused(Reason.LIMIT_VALUE, beyond) == (Kind.PROTECT, fields["until"])


def test_strategies(engine):
    venue = open_weighted(engine)
    last = bounds.STRATEGIES - 1
    assert venue.order(ANN, PERPETUAL, BUY, 1, MARK, strategy=last)[0].kind == EventKind.ACCEPTED
    beyond = venue.order(ANN, PERPETUAL, BUY, 1, MARK, strategy=last + 1)
    assert venue.refused(Reason.ORDER_FORM, beyond) == (0, 0)
    rearm = {"account": ANN, "flags": FLAG_APPROVED}
    assert venue.do(Kind.REARM, **rearm, strategy=last)[0].kind == EventKind.DEFINED
    for beyond in (0, last + 1):
        refused = venue.do(Kind.REARM, **rearm, strategy=beyond)
        assert venue.refused(Reason.LIMIT_VALUE, refused) == (Kind.REARM, beyond)


def test_legs_of_a_chain(engine):
    venue = open_weighted(engine)
    leg = {"account": ANN, "instrument": PERPETUAL, "side": BUY, "quantity": 1, "price": MARK}
    taken = venue.chain(*[leg] * bounds.CHAIN_MAX)
    assert [event.kind for event in taken] == [EventKind.ACCEPTED] * bounds.CHAIN_MAX
    legs = bounds.CHAIN_MAX + 1
    refused = venue.chain(*[leg] * legs)
    assert (refused[0].reason, refused[0].a, refused[0].b) == (Reason.CHAIN, 1, legs)
    assert {(event.kind, event.reason) for event in refused[1:]} == {(EventKind.REFUSED, Reason.BATCH)}


def test_a_chain_is_not_cut(engine):
    """A step that ends inside a chain raises and changes nothing."""
    venue = open_weighted(engine)
    before = engine.state()
    for kind in (Kind.ORDER, Kind.CANCEL):
        with pytest.raises(InputError):
            venue.do(kind, account=ANN, flags=FLAG_LINKED)
        venue.seq -= 1
    assert engine.state() == before
    assert venue.order(ANN, PERPETUAL, BUY, 1, MARK)[0].kind == EventKind.ACCEPTED


class TestLooks:
    """A fill-or-kill adds up so many levels; where its owner is on the other side, so many orders."""

    def filled(self, venue, asked, **more):
        events = venue.order(ANN, PERPETUAL, BUY, asked, 2 * MARK, tif=TimeInForce.FOK, **more)
        if events[0].kind == EventKind.ACCEPTED:
            return sum(e.quantity for e in events if e.kind == EventKind.FILL and e.account == ANN)
        return venue.refused(Reason.FILL_OR_KILL, events)

    def test_levels(self, engine):
        venue, looks = open_weighted(engine), bounds.FILL_OR_KILL_LOOKS
        for level in range(looks + 1):
            venue.order(DEALER, PERPETUAL, SELL, 1, MARK + level)
        assert self.filled(venue, looks + 1) == (looks + 1, looks)
        assert self.filled(venue, looks) == looks

    def test_orders_where_the_owner_is(self, engine):
        venue, looks = open_weighted(engine), bounds.FILL_OR_KILL_LOOKS
        venue.order(ANN, PERPETUAL, SELL, 1, 2 * MARK)
        for _ in range(looks + 1):
            venue.order(DEALER, PERPETUAL, SELL, 1, MARK)
        assert self.filled(venue, looks + 1) == (looks + 1, looks)
        assert self.filled(venue, looks) == looks


def test_largest_sums_of_a_protection(engine):
    """Limits up to 2^62 are taken and never reached: the sums saturate far below."""
    venue = open_weighted(engine, cash=2**49)
    edge = bounds.NO_LIMIT
    limits = {"quantity": edge, "amount": edge, "version": edge}
    for block, contract in ((0, PUT), (1, CALL)):
        venue.do(Kind.PROTECT, account=DEALER, instrument=block, **limits, until=1000)
        venue.order(DEALER, contract, BUY, 10**5, 400, flags=FLAG_PROTECTED)
        events = venue.take(BEA, contract, SELL, 10**5, 400)
        assert EventKind.FROZEN not in {event.kind for event in events}
    refused = venue.do(Kind.PROTECT, account=DEALER, instrument=0, **(limits | {"version": -1}), until=1000)
    assert venue.refused(Reason.LIMIT_VALUE, refused) == (Kind.PROTECT, 1000)


@pytest.mark.parametrize("kind", [Kind.PROTECT, Kind.PROTECT_RESET, Kind.UNDERLYING])
def test_blocks(engine, kind):
    venue = open_weighted(engine)
    last = bounds.BLOCKS_MAX - 1
    if kind == Kind.PROTECT_RESET:
        venue.do(Kind.PROTECT, account=ANN, instrument=last, until=1)
    fields = {"account": ANN, "flags": FLAG_APPROVED, "until": 1 if kind == Kind.PROTECT else 0}
    assert venue.do(kind, **fields, instrument=last)[0].kind == EventKind.DEFINED
    refused = venue.do(kind, **fields, instrument=last + 1)
    assert venue.refused(Reason.UNKNOWN_INSTRUMENT, refused) == (last + 1, bounds.BLOCKS_MAX)


def test_prices_that_are_watched(engine):
    venue = open_weighted(engine)
    for price in (1, bounds.PRICE_MAX):
        assert venue.do(Kind.INDEX, instrument=PERPETUAL, price=price)[0].kind == EventKind.DEFINED
    for price in (0, bounds.PRICE_MAX + 1):
        refused = venue.do(Kind.INDEX, instrument=PERPETUAL, price=price)
        assert venue.refused(Reason.PRICE_BAND, refused) == (price, bounds.PRICE_MAX)
    stop = {"type": OrderType.STOP_LIMIT}
    edge = 2**18
    assert venue.order(ANN, PERPETUAL, BUY, 1, MARK, **stop, trigger=edge)[0].kind == EventKind.ACCEPTED
    refused = venue.order(ANN, PERPETUAL, BUY, 1, MARK, **stop, trigger=edge + 1)
    assert venue.refused(Reason.TRIGGER, refused) == (edge + 1, edge)


def test_fees_from_upstream(engine):
    venue = open_weighted(engine, cash=bounds.BALANCE_MAX // 2)
    venue.do(Kind.ACCOUNT, account=DEALER + 1, type=Role.UPSTREAM)
    venue.do(Kind.UPSTREAM, instrument=PERPETUAL, account=DEALER + 1)
    order = venue.order(ANN, PERPETUAL, BUY, 10, MARK)[0].order_id
    fields = {"account": ANN, "order_id": order, "price": MARK, "quantity": 1}
    edge = bounds.POSITION_VALUE_MAX
    for fee in (edge, -edge):
        assert venue.do(Kind.EXECUTED, **fields, amount=fee)[0].kind == EventKind.FILL
        beyond = fee + (1 if fee > 0 else -1)
        assert venue.refused(Reason.AMOUNT, venue.do(Kind.EXECUTED, **fields, amount=beyond)) == (beyond, edge)


def test_fees_from_upstream_that_no_balance_holds(engine):
    """The venue's account takes 2^14 of the largest fees, and not one atom more."""
    venue = open_weighted(engine)
    venue.do(Kind.ACCOUNT, account=DEALER + 1, type=Role.UPSTREAM)
    venue.do(Kind.UPSTREAM, instrument=PERPETUAL, account=DEALER + 1)
    order = venue.order(DEALER, PERPETUAL, BUY, 2**15, MARK)[0].order_id
    count, fee = bounds.DEPOSITS_MAX // bounds.POSITION_VALUE_MAX, bounds.POSITION_VALUE_MAX
    fields = {"account": DEALER, "order_id": order, "price": MARK, "quantity": 1}
    records = np.repeat(command(Kind.EXECUTED, time=venue.time, **fields, amount=fee), count)
    records["seq"] = np.arange(venue.seq + 1, venue.seq + 1 + count)
    assert set(engine.step(records)["kind"].tolist()) >= {EventKind.FILL}
    venue.seq += count
    assert venue.balance(DEALER + 1) == bounds.DEPOSITS_MAX
    refused = venue.do(Kind.EXECUTED, **fields, amount=1)
    assert venue.refused(Reason.BALANCE_BOUND, refused) == (bounds.DEPOSITS_MAX + 1, bounds.DEPOSITS_MAX)
    assert venue.do(Kind.EXECUTED, **fields, amount=0)[0].kind == EventKind.FILL


@pytest.mark.parametrize(("rules", "told"), [(5, (0, 0)), (6, (60_000, 59_999)), (7, (60_000, 59_999))])
def test_a_fall_that_restricts_is_told_in_numbers_since_rules_6(engine, rules, told):
    venue = open_venue(engine, rules=rules)
    venue.publish(weighted())
    venue.order(DEALER, PERPETUAL, SELL, 1, MARK)
    venue.take(ANN, PERPETUAL, BUY, 1, MARK)
    venue.do(Kind.LIMIT, state=Limit.DRAWDOWN, account=ANN, amount=60_000 - 1, quantity=2)
    lower = [venue.publish(weighted({PERPETUAL: MARK - 600})) for _ in range(2)]
    states = [event for event in lower[1] if event.kind == EventKind.STATE]
    assert [(e.a, e.price, e.quantity) for e in states] == [(VenueState.REDUCE_ONLY, *told)] and lower[0] == []
