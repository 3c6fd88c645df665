"""Every reason of the table is produced, by both engines alike, in one small world made for it."""

from dataclasses import replace

import numpy as np
import pytest

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_DISCONNECTED,
    FLAG_LINKED,
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FORBID_TRADE,
    SELL,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    Scope,
    Status,
    TimeInForce,
    VenueState,
    Watched,
    command,
)  # fmt: skip

ONE = 1 << bounds.RATE_SHIFT
EXPIRY = 10**12
USDC, COIN = 0, 1
LINEAR, INVERSE, FUTURE, ETHER, UNPUBLISHED = range(5)
ANN, BEA, DEALER, CAT, EVE, DESK, VENUE = range(3, 10)
SPECS = (
    Instrument("LINEAR", Product.PERPETUAL, Form.LINEAR, USDC, 0, 100, 100, 2**20, 10**6),
    Instrument("INVERSE", Product.PERPETUAL, Form.INVERSE, COIN, 1, 2 * 10**9, 1000, 2**20, 10**6),
    Instrument("FUTURE", Product.FUTURE, Form.LINEAR, USDC, 0, 100, 100, 2**20, 10**6, EXPIRY),
    Instrument("ETHER", Product.PERPETUAL, Form.LINEAR, USDC, 2, 100, 100, 2**20, 10**6),
    Instrument("UNPUBLISHED", Product.PERPETUAL, Form.LINEAR, USDC, 3, 100, 100, 2**20, 10**6),
)
MARK = 60_000
LOT = MARK * 100
"""Value atoms of one lot: 6 dollars."""


def publication(ether=MARK, gone=(), **changes):
    marks = {LINEAR: MARK, INVERSE: MARK, FUTURE: MARK, ETHER: ether}
    risks = tuple(
        InstrumentRisk(number, mark, (0, -LOT // 5, LOT // 5)) for number, mark in marks.items() if number not in gone
    )
    rates = (CurrencyRate(USDC, ONE, ONE), CurrencyRate(COIN, 500 * ONE, 600 * ONE))
    given = {"currencies": rates, "blocks": tuple(BlockRisk(n, 3, 3) for n in (0, 1, 2)), "instruments": risks}
    return Publication(**(given | changes)).encode()


class World:
    """Two engines folding the same commands."""

    def __init__(self):
        self.engines = (Reference(), Fast())
        self.seq, self.time = 0, 1
        self.reasons = set()

    def do(self, kind, attachment=b"", **fields):
        """One command; returns its events."""
        self.seq += 1
        record = command(kind, seq=self.seq, time=self.time, attachment=len(attachment), **fields)
        reference, fast = (engine.step(record, attachment) for engine in self.engines)
        assert np.array_equal(reference, fast)
        assert self.engines[0].conserved()
        self.reasons |= {Reason(int(reason)) for reason in reference["reason"]}
        return reference

    def refused(self, reason, kind, attachment=b"", numbers=None, **fields):
        events = self.do(kind, attachment, **fields)
        assert [(EventKind(int(e["kind"])), Reason(int(e["reason"]))) for e in events] == [(EventKind.REFUSED, reason)]
        assert numbers in (None, (int(events[0]["a"]), int(events[0]["b"])))
        return events[0]

    def ended(self, reason, numbers, kind, **fields):
        """One command that ends something for `reason`, with these two numbers."""
        events = [e for e in self.do(kind, **fields) if e["reason"] == reason]
        assert [(int(e["a"]), int(e["b"])) for e in events[:1]] == [numbers]

    def chain(self, *legs):
        """Linked commands; (reason, a, b) of every event."""
        records = []
        for number, (kind, fields) in enumerate(legs):
            self.seq += 1
            flags = fields.get("flags", 0) | (FLAG_LINKED if number < len(legs) - 1 else 0)
            records.append(command(kind, seq=self.seq, time=self.time, **(fields | {"flags": flags})))
        reference, fast = (engine.step(np.concatenate(records)) for engine in self.engines)
        assert np.array_equal(reference, fast)
        self.reasons |= {Reason(int(reason)) for reason in reference["reason"]}
        return [(Reason(int(e["reason"])), int(e["a"]), int(e["b"])) for e in reference]

    def limit(self, limit, account=-1, instrument=-1, **fields):
        """Set a limit, by people."""
        self.do(Kind.LIMIT, state=limit, account=account, instrument=instrument, flags=FLAG_APPROVED, **fields)

    def lift(self, limit, account=-1, instrument=-1):
        """Take a limit away."""
        none = 0 if limit in (Limit.MESSAGES, Limit.CANCELS, Limit.FORBIDDEN) else bounds.NO_LIMIT
        self.limit(limit, account, instrument, amount=none)

    def halted(self, reason, scope, **whose):
        """An order under a halt of that scope."""
        self.do(Kind.STATE, type=scope, state=VenueState.HALTED, **whose)
        self.no_order(reason, CAT, LINEAR, BUY, 1, numbers=(VenueState.HALTED, VenueState.REDUCE_ONLY))
        self.do(Kind.STATE, type=scope, state=VenueState.OPEN, flags=FLAG_APPROVED, **whose)

    def order(self, account, instrument, side, quantity, price=MARK, **more):
        fields = {"account": account, "instrument": instrument, "side": side, "quantity": quantity, "price": price}
        return self.do(Kind.ORDER, **fields, **more)

    def no_order(self, reason, account, instrument, side, quantity, price=MARK, **more):
        fields = {"account": account, "instrument": instrument, "side": side, "quantity": quantity, "price": price}
        return self.refused(reason, Kind.ORDER, **fields, **more)


def test_every_reason_is_produced_by_both_engines():
    world = World()
    catalogue(world)
    publications(world)
    orders(world)
    below(world)
    money(world)
    states(world)
    later_rules(world)
    forms(world)
    sizes_and_collars(world)
    throttles(world)
    permissions(world)
    batches(world)
    prices(world)
    groups(world)
    upstream(world)
    makers(world)
    what_ends_orders(world)
    time_passes(world)
    assert set(Reason) - world.reasons == set()


def catalogue(world):
    world.refused(Reason.UNKNOWN_KIND, 99)
    world.refused(Reason.ALREADY_DEFINED, Kind.CURRENCY, currency=1)
    world.do(Kind.CURRENCY, currency=USDC, amount=6)
    world.refused(Reason.UNKNOWN_CURRENCY, Kind.INSTRUMENT, SPECS[INVERSE].encode(), instrument=0)
    world.refused(Reason.MALFORMED, Kind.INSTRUMENT, SPECS[0].encode()[:-8], instrument=0)
    world.do(Kind.CURRENCY, currency=COIN, amount=8)
    for number, spec in enumerate(SPECS):
        world.do(Kind.INSTRUMENT, spec.encode(), instrument=number)
    world.refused(Reason.UNKNOWN_TIER, Kind.ACCOUNT, account=ANN, tier=0)
    world.refused(Reason.FEE_RATE, Kind.TIER, tier=0, currency=0, price=bounds.FEE_RATE_MAX + 1)
    for fee_class in range(bounds.FEE_CLASSES):
        world.do(Kind.TIER, tier=0, currency=fee_class, amount=500)
    for account in (ANN, BEA, DEALER):
        world.do(Kind.ACCOUNT, account=account, tier=0)
        world.do(Kind.DEPOSIT, account=account, currency=USDC, amount=10**9 if account != DEALER else 10**13)
        world.do(Kind.DEPOSIT, account=account, currency=COIN, amount=1 if account != DEALER else 10**10)


def publications(world):
    world.no_order(Reason.NOT_PUBLISHED, ANN, LINEAR, BUY, 1)
    world.refused(Reason.VERSION, Kind.PUBLISH, publication(), version=2)
    world.refused(Reason.MALFORMED, Kind.PUBLISH, publication()[:-8], version=1)
    world.refused(Reason.PUBLICATION_INCOMPLETE, Kind.PUBLISH, publication(gone=(FUTURE,)), version=1)
    world.do(Kind.PUBLISH, publication(), version=1)
    world.order(DEALER, LINEAR, BUY, 100)
    huge = InstrumentRisk(LINEAR, MARK, (0, 2**46, 0))
    risks = Publication.decode(publication()).instruments[1:]
    world.refused(Reason.PUBLICATION_BOUND, Kind.PUBLISH, publication(instruments=(huge, *risks)), version=2)
    world.do(Kind.CANCEL_ALL, account=DEALER, instrument=LINEAR)


def orders(world):
    world.no_order(Reason.UNKNOWN_ACCOUNT, 77, LINEAR, BUY, 1)
    world.no_order(Reason.SYSTEM_ACCOUNT, 1, LINEAR, BUY, 1)
    world.no_order(Reason.UNKNOWN_INSTRUMENT, ANN, 77, BUY, 1)
    world.no_order(Reason.BAD_SIDE, ANN, LINEAR, 0, 1)
    world.no_order(Reason.QUANTITY, ANN, LINEAR, BUY, 0)
    world.no_order(Reason.PRICE_BAND, ANN, LINEAR, BUY, 1, price=99)
    for _ in range(2):
        world.order(DEALER, LINEAR, BUY, 10**6, price=100)
    world.no_order(Reason.POSITION_BOUND, DEALER, LINEAR, BUY, 10**6, price=100)
    world.do(Kind.CANCEL_ALL, account=DEALER, instrument=-1)
    assert int(world.no_order(Reason.MARGIN, ANN, LINEAR, BUY, 10**5)["b"]) == 10**9 + 500
    order = int(world.order(ANN, LINEAR, BUY, 10, client_id=9)["order_id"][0])
    again = world.order(ANN, LINEAR, BUY, 10, client_id=9)
    assert (again["kind"].tolist(), int(again["order_id"][0])) == ([EventKind.DUPLICATE], order)
    world.refused(Reason.NOT_OWNER, Kind.CANCEL, account=BEA, order_id=order)
    world.refused(Reason.UNKNOWN_ORDER, Kind.CANCEL, account=ANN, order_id=order + 1000)
    assert world.order(ANN, LINEAR, SELL, 10)["reason"].tolist() == [0, Reason.SELF_MATCH]
    assert world.order(BEA, LINEAR, SELL, 15, tif=TimeInForce.IOC)["reason"][-1] == Reason.IMMEDIATE_OR_CANCEL
    order = int(world.order(ANN, LINEAR, BUY, 1)["order_id"][0])
    world.do(Kind.CANCEL, account=ANN, order_id=order)
    # A small inverse trade between two prices, neither of which divides its coins: the residue goes to rounding.
    world.order(DEALER, INVERSE, SELL, 7, price=59_999)
    world.order(ANN, INVERSE, BUY, 7, price=60_001, tif=TimeInForce.IOC)


def below(world):
    """Ann is long ether and hedged in the other; ether falls, and her orders go."""
    for instrument, side, lots in ((LINEAR, BUY, 200), (FUTURE, SELL, 200), (ETHER, BUY, 500)):
        world.order(DEALER, instrument, -side, lots)
        world.order(ANN, instrument, side, lots, tif=TimeInForce.IOC)
    for _ in range(2):
        world.order(ANN, ETHER, BUY, 1, price=50_000)
    margin = world.engines[0].margin(ANN)
    world.do(Kind.WITHDRAW, account=ANN, currency=USDC, amount=margin["excess"] - 10**6)
    called = world.do(Kind.PUBLISH, publication(ether=MARK * 95 // 100), version=2)
    assert called["reason"].tolist() == [0, Reason.MARGIN_CALL, Reason.MARGIN_CALL]
    margin = world.engines[0].margin(ANN)
    assert margin["excess"] < 0 < margin["equity"]
    removed = world.no_order(Reason.BELOW_REQUIREMENT, ANN, LINEAR, SELL, 200, price=59_000)
    assert int(removed["instrument"]) == ETHER
    drained = world.no_order(Reason.BELOW_PRICE, ANN, ETHER, SELL, 500, price=30_000)
    limit = int(drained["price"])
    world.no_order(Reason.BELOW_PRICE, ANN, ETHER, SELL, 500, price=limit - 1)
    assert world.order(ANN, ETHER, SELL, 500, price=limit)["kind"].tolist() == [EventKind.ACCEPTED]
    world.no_order(Reason.BELOW_OPEN_ORDER, ANN, ETHER, SELL, 1, price=57_000)
    world.do(Kind.CANCEL_ALL, account=ANN, instrument=-1)


def money(world):
    world.refused(Reason.AMOUNT, Kind.DEPOSIT, account=BEA, currency=USDC, amount=0)
    world.refused(Reason.BALANCE_BOUND, Kind.DEPOSIT, account=BEA, currency=USDC, amount=bounds.BALANCE_MAX)
    world.refused(Reason.CASH, Kind.WITHDRAW, account=BEA, currency=USDC, amount=10**10)
    world.order(BEA, LINEAR, BUY, 100, price=100)
    available = world.engines[0].margin(BEA)["excess"]
    world.refused(Reason.WITHDRAWAL_MARGIN, Kind.WITHDRAW, account=BEA, currency=USDC, amount=available + 10)
    world.refused(Reason.NOT_PERPETUAL, Kind.FUNDING, instrument=FUTURE, amount=1)
    world.refused(Reason.FUNDING_BOUND, Kind.FUNDING, instrument=LINEAR, amount=2**40)
    world.do(Kind.FUNDING, instrument=LINEAR, amount=3)
    world.do(Kind.SETTLE, instrument=ETHER)


def states(world):
    world.refused(Reason.STATE_VALUE, Kind.STATE, state=3)
    world.do(Kind.STATE, state=VenueState.REDUCE_ONLY)
    world.no_order(Reason.REDUCE_ONLY, DEALER, INVERSE, SELL, 1)
    world.do(Kind.STATE, state=VenueState.HALTED)
    world.no_order(Reason.VENUE_HALTED, DEALER, LINEAR, BUY, 1)
    world.refused(Reason.PEOPLE_REQUIRED, Kind.STATE, state=VenueState.OPEN)
    world.do(Kind.STATE, state=VenueState.OPEN, flags=1)


def time_passes(world):
    world.order(DEALER, FUTURE, BUY, 1, price=100)
    world.refused(Reason.NOT_EXPIRED, Kind.EXPIRE, instrument=FUTURE, price=MARK)
    world.time = EXPIRY
    world.no_order(Reason.EXPIRED, DEALER, FUTURE, BUY, 1)
    world.refused(Reason.DELIVERY_BOUND, Kind.EXPIRE, instrument=FUTURE, price=1)
    reasons = set(world.do(Kind.EXPIRE, instrument=FUTURE, price=MARK)["reason"].tolist())
    assert {Reason.INSTRUMENT_EXPIRED, Reason.DELIVERED} <= reasons


def later_rules(world):
    """Rules 2, more accounts, and a publication with weights and deltas."""
    world.refused(Reason.UNKNOWN_RULES, Kind.RULES, version=9, numbers=(9, 1))
    world.do(Kind.RULES, version=4)
    world.refused(Reason.ROLE, Kind.ACCOUNT, account=CAT, type=9, numbers=(CAT, 9))
    for account, role in ((CAT, Role.CLIENT), (EVE, Role.CLIENT), (DESK, Role.DESK), (VENUE, Role.UPSTREAM)):
        world.do(Kind.ACCOUNT, account=account, tier=0, type=role)
    for account in (CAT, EVE):
        world.do(Kind.DEPOSIT, account=account, currency=USDC, amount=10**12)
    made = Publication.decode(publication()).instruments
    made = tuple(replace(risk, weight=LOT, delta=LOT) for risk in made)
    world.do(Kind.PUBLISH, publication(instruments=made), version=3)


def forms(world):
    world.no_order(Reason.ORDER_FORM, CAT, LINEAR, BUY, 1, type=OrderType.MARKET, numbers=(OrderType.MARKET, 0))
    stop = {"type": OrderType.STOP_LIMIT, "trigger": 0}
    world.no_order(Reason.TRIGGER, CAT, LINEAR, BUY, 1, **stop, numbers=(0, 2**20))
    world.no_order(Reason.DISPLAY, CAT, LINEAR, BUY, 5, display=6, numbers=(6, 5))
    world.no_order(Reason.UNTIL, CAT, LINEAR, BUY, 1, tif=TimeInForce.GTD, until=world.time, numbers=(world.time,) * 2)
    trailing = {"type": OrderType.TRAILING, "trigger": 5, "watch": Watched.INDEX}
    world.no_order(Reason.NO_PRICE, CAT, LINEAR, SELL, 1, **trailing, numbers=(LINEAR, Watched.INDEX))
    world.order(DEALER, LINEAR, SELL, 10)
    world.no_order(Reason.POST_ONLY, CAT, LINEAR, BUY, 1, flags=FLAG_POST_ONLY, numbers=(MARK, MARK))
    world.no_order(Reason.FILL_OR_KILL, CAT, LINEAR, BUY, 11, tif=TimeInForce.FOK, numbers=(11, 10))
    world.no_order(Reason.NOT_REDUCING, CAT, LINEAR, BUY, 3, flags=FLAG_REDUCE_ONLY, numbers=(3, 0))
    world.do(Kind.CANCEL_ALL, account=DEALER, instrument=-1)


def sizes_and_collars(world):
    world.limit(Limit.ORDER_NOTIONAL, CAT, amount=10 * LOT)
    world.no_order(Reason.ORDER_NOTIONAL, CAT, LINEAR, BUY, 11, numbers=(11 * LOT, 10 * LOT))
    world.lift(Limit.ORDER_NOTIONAL, CAT)
    world.limit(Limit.COLLAR, instrument=LINEAR, amount=10_000, quantity=1)
    world.no_order(Reason.COLLAR, CAT, LINEAR, BUY, 1, price=MARK + 601, numbers=(MARK + 601, MARK + 600))
    world.lift(Limit.COLLAR, instrument=LINEAR)
    world.limit(Limit.WINDOW_COLLAR, instrument=LINEAR, amount=10_000, until=100)
    going = int(world.engines[0].state()["listings"][LINEAR]["prices"][Watched.LAST])
    edge = going + going // 100
    world.no_order(Reason.WINDOW_COLLAR, CAT, LINEAR, BUY, 1, price=edge + 1, numbers=(edge + 1, edge))
    world.lift(Limit.WINDOW_COLLAR, instrument=LINEAR)
    world.limit(Limit.OPEN_ORDERS, CAT, amount=0)
    world.no_order(Reason.OPEN_ORDERS, CAT, LINEAR, BUY, 1, numbers=(1, 0))
    world.lift(Limit.OPEN_ORDERS, CAT)
    world.limit(Limit.OPEN_NOTIONAL, CAT, amount=5 * LOT)
    world.no_order(Reason.OPEN_NOTIONAL, CAT, LINEAR, BUY, 6, numbers=(6 * LOT, 5 * LOT))
    world.lift(Limit.OPEN_NOTIONAL, CAT)
    world.limit(Limit.POSITION, CAT, LINEAR, amount=7)
    world.no_order(Reason.POSITION_LIMIT, CAT, LINEAR, BUY, 8, numbers=(8, 7))
    world.lift(Limit.POSITION, CAT, LINEAR)
    held = world.engines[0].state()["listings"][LINEAR]["open_interest"]
    world.limit(Limit.OPEN_INTEREST, instrument=LINEAR, amount=held + 2)
    world.no_order(Reason.OPEN_INTEREST, CAT, LINEAR, BUY, 3, numbers=(held + 3, held + 2))
    world.lift(Limit.OPEN_INTEREST, instrument=LINEAR)
    world.limit(Limit.EXPOSURE, CAT, amount=4 * LOT)
    world.no_order(Reason.EXPOSURE, CAT, LINEAR, BUY, 5, numbers=(5 * LOT, 4 * LOT))
    world.lift(Limit.EXPOSURE, CAT)


def throttles(world):
    world.limit(Limit.MESSAGES, CAT, amount=50, quantity=1)
    world.order(CAT, LINEAR, BUY, 1, price=100)
    world.no_order(Reason.THROTTLED, CAT, LINEAR, BUY, 1, price=100, numbers=(50, 50))
    world.lift(Limit.MESSAGES, CAT)
    world.limit(Limit.REPEATS, CAT, amount=1, until=100)
    world.order(DEALER, LINEAR, SELL, 1)
    world.order(CAT, LINEAR, BUY, 1, strategy=3)
    world.no_order(Reason.STRATEGY_STOPPED, CAT, LINEAR, BUY, 1, strategy=3, numbers=(3, 1))
    world.lift(Limit.REPEATS, CAT)
    world.do(Kind.CANCEL_ALL, account=CAT, instrument=-1)


def permissions(world):
    world.limit(Limit.FORBIDDEN, CAT, LINEAR, amount=FORBID_TRADE)
    world.no_order(Reason.FORBIDDEN, CAT, LINEAR, BUY, 1, numbers=(FORBID_TRADE, FORBID_TRADE))
    world.lift(Limit.FORBIDDEN, CAT, LINEAR)
    world.refused(Reason.LIMIT_VALUE, Kind.LIMIT, state=Limit.OPEN_ORDERS, account=CAT, amount=-1, numbers=(7, -1))
    world.halted(Reason.INSTRUMENT_HALTED, Scope.INSTRUMENT, instrument=LINEAR)
    world.halted(Reason.INSTRUMENT_HALTED, Scope.UNDERLYING, instrument=SPECS[LINEAR].block)
    world.halted(Reason.ACCOUNT_HALTED, Scope.ACCOUNT, account=CAT)


def batches(world):
    good = {"account": CAT, "instrument": LINEAR, "side": BUY, "quantity": 1, "price": 100}
    bad = good | {"price": 0}
    refused = world.chain((Kind.ORDER, good), (Kind.ORDER, bad))
    assert refused == [(Reason.BATCH, 2, Reason.PRICE_BAND), (Reason.PRICE_BAND, 0, 100)]
    refused = world.chain((Kind.ORDER, good), (Kind.ORDER, good | {"account": EVE}))
    assert refused == [(Reason.BATCH, 2, Reason.CHAIN), (Reason.CHAIN, 2, 2)]


def prices(world):
    world.limit(Limit.STALE, amount=100)
    world.time += 101
    world.no_order(Reason.STALE, CAT, FUTURE, BUY, 1, numbers=(101, 100))
    world.lift(Limit.STALE)
    world.limit(Limit.DIVERGENCE, amount=10_000)
    world.do(Kind.INDEX, instrument=LINEAR, price=50_000)
    world.no_order(Reason.DIVERGENT, CAT, LINEAR, BUY, 1, numbers=(200_000, 10_000))
    world.lift(Limit.DIVERGENCE)


def groups(world):
    world.refused(Reason.MEMBERSHIP, Kind.MEMBER, account=EVE, order_id=CAT, numbers=(EVE, CAT))
    world.do(Kind.MEMBER, account=EVE, order_id=DESK)
    world.no_order(Reason.ROLE, DESK, LINEAR, BUY, 1, numbers=(DESK, Role.DESK))


def upstream(world):
    """The contract that was never published trades elsewhere."""
    world.refused(Reason.ROLE, Kind.UPSTREAM, instrument=UNPUBLISHED, account=CAT, numbers=(CAT, Role.UPSTREAM))
    booking = {"account": EVE, "instrument": UNPUBLISHED}
    world.refused(Reason.NOT_UPSTREAM, Kind.BOOKED, **booking, amount=5, numbers=(UNPUBLISHED, 0))
    world.do(Kind.UPSTREAM, instrument=UNPUBLISHED, account=VENUE)
    assert world.do(Kind.BOOKED, **booking, amount=5)["reason"].tolist() == [Reason.BOOKED]
    there = InstrumentRisk(UNPUBLISHED, MARK, (0, -LOT // 5, LOT // 5))
    world.do(Kind.PUBLISH, publication(blocks=(BlockRisk(3, 3, 3),), instruments=(there,)), version=4)
    order = int(world.order(EVE, UNPUBLISHED, BUY, 1)["order_id"][0])
    world.refused(
        Reason.ORDER_STATUS, Kind.EDIT, account=EVE, order_id=order, quantity=2, numbers=(order, Status.PENDING)
    )
    world.do(Kind.UNKNOWN, account=EVE, order_id=order)
    world.no_order(Reason.OUTCOME_UNKNOWN, EVE, LINEAR, BUY, 1, numbers=(1, 0))
    world.ended(Reason.BY_VENUE, (0, 0), Kind.ENDED, account=EVE, order_id=order)


def makers(world):
    nobody = {"account": CAT, "instrument": 0}
    world.refused(Reason.NO_PROTECTION, Kind.PROTECT_RESET, **nobody, numbers=(CAT, 0))
    limits = {"quantity": LOT, "amount": 10 * LOT, "version": 0, "until": 100, "display": 50}
    world.do(Kind.PROTECT, **nobody, **limits)
    for price in (MARK, MARK - 1):
        world.order(CAT, LINEAR, BUY, 2, price=price, flags=FLAG_PROTECTED)
    sweep = {"account": DEALER, "instrument": LINEAR, "side": SELL, "quantity": 2, "price": MARK}
    world.ended(Reason.MAKER_PROTECTION, (2 * LOT, LOT), Kind.ORDER, **sweep, tif=TimeInForce.IOC)
    world.no_order(Reason.FROZEN, CAT, LINEAR, BUY, 1, flags=FLAG_PROTECTED, numbers=(world.time + 50, world.time))


def what_ends_orders(world):
    mine = {"account": CAT, "instrument": -1}
    world.order(CAT, LINEAR, BUY, 1, price=100)
    world.ended(Reason.DISCONNECTED, (0, 0), Kind.CANCEL_ALL, **mine, flags=FLAG_DISCONNECTED)
    world.order(CAT, LINEAR, BUY, 1, price=100)
    world.do(Kind.DEAD_MAN, account=CAT, until=world.time + 10)
    world.order(CAT, LINEAR, BUY, 1, price=100, tif=TimeInForce.GTD, until=world.time + 5)
    world.time += 7
    world.ended(Reason.GOOD_TILL_DATE, (world.time - 2, world.time), Kind.TIME)
    world.time += 3
    world.ended(Reason.DEAD_MAN, (0, 0), Kind.TIME)
    world.order(CAT, LINEAR, BUY, 1, price=100)
    world.ended(Reason.KILLED, (VenueState.HALTED, VenueState.OPEN), Kind.KILL, type=Scope.ACCOUNT, account=CAT)
    world.do(Kind.STATE, type=Scope.ACCOUNT, account=CAT, state=VenueState.OPEN, flags=FLAG_APPROVED)
    held = world.engines[0].state()["accounts"][CAT]["positions"][LINEAR][0]
    assert held > 0
    for price in (MARK + 1, MARK + 2):
        world.order(CAT, LINEAR, SELL, held, price=price, flags=FLAG_REDUCE_ONLY)
    sweep = {"account": DEALER, "instrument": LINEAR, "side": BUY, "quantity": held + 1, "price": MARK + 2}
    world.ended(Reason.REDUCED, (0, 0), Kind.ORDER, **sweep, tif=TimeInForce.IOC)
    drawdown(world)
    velocity(world)


def drawdown(world):
    world.order(DEALER, ETHER, SELL, 10)
    world.order(CAT, ETHER, BUY, 10, tif=TimeInForce.IOC)
    world.order(CAT, ETHER, BUY, 1, price=100)
    world.limit(Limit.DRAWDOWN, CAT, amount=10**6, quantity=1)
    fall = {"version": 5, "attachment": publication(ether=MARK * 9 // 10)}
    before = world.engines[0].margin(CAT)["equity"]
    events = world.do(Kind.PUBLISH, fall["attachment"], version=5)
    ended = next(e for e in events if e["reason"] == Reason.DRAWDOWN and e["kind"] == EventKind.CANCELLED)
    assert (int(ended["a"]), int(ended["b"])) == (before - world.engines[0].margin(CAT)["equity"], 10**6)


def velocity(world):
    world.limit(Limit.VELOCITY, instrument=LINEAR, amount=10_000, quantity=1, until=100)
    for price in (MARK, MARK * 102 // 100):
        world.order(DEALER, LINEAR, SELL, 1, price=price)
    world.order(EVE, LINEAR, BUY, 1, price=MARK, tif=TimeInForce.IOC)
    last = {"account": EVE, "instrument": LINEAR, "side": BUY, "quantity": 1, "price": MARK * 102 // 100}
    world.ended(Reason.VELOCITY, (VenueState.HALTED, VenueState.OPEN), Kind.ORDER, **last)
    world.do(Kind.CANCEL_ALL, account=-1, instrument=-1)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_sentence(reason):
    from seawall.vocabulary.reasons import REASONS, explain

    assert explain(reason, 1_234, 5) and REASONS[reason].word == REASONS[reason].word.strip()
