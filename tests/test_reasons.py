"""Every reason of the table is produced, by both engines alike, in one small world made for it."""

import numpy as np
import pytest

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import BUY, SELL, EventKind, Kind, TimeInForce, VenueState, command

ONE = 1 << bounds.RATE_SHIFT
EXPIRY = 10**12
USDC, COIN = 0, 1
LINEAR, INVERSE, FUTURE, ETHER, UNPUBLISHED = range(5)
ANN, BEA, DEALER = 3, 4, 5
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

    def refused(self, reason, kind, attachment=b"", **fields):
        events = self.do(kind, attachment, **fields)
        assert [(EventKind(int(e["kind"])), Reason(int(e["reason"]))) for e in events] == [(EventKind.REFUSED, reason)]
        return events[0]

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


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_sentence(reason):
    from seawall.vocabulary.reasons import REASONS, explain

    assert explain(reason, 1_234, 5) and REASONS[reason].word == REASONS[reason].word.strip()
