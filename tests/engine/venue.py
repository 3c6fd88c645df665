"""One engine under test, driven in the words of a trading day; money and positions are checked after every command.

Six contracts, so that every product, form and kind of block is there:

    PERPETUAL  linear, USDC, block 0, one lot worth 6 USDC        INVERSE  10 dollars a lot, settled in coin, block 1
    FUTURE     linear, USDC, block 0, the same underlying         CALL     coin premium and delivery, block 1
    ETHER      linear, USDC, block 2, another underlying          PUT      USDC premium and delivery, block 0
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_LINKED,
    FLAG_PACKAGE,
    RULES_FOLDED,
    SYSTEM_ROUNDING,
    EventKind,
    Kind,
    TimeInForce,
    command,
    join,
)

ENGINES = {"reference": Reference, "fast": Fast}
ONE = 1 << bounds.RATE_SHIFT
"""A rate of one value atom for one atom of currency: USDC at par."""

USDC, COIN = 0, 1
PERPETUAL, INVERSE, FUTURE, CALL, PUT, ETHER = range(6)
ANN, BEA, CAT, DEALER = 3, 4, 5, 6
EXPIRY = 10**15
MARK, COIN_MARK = 60_000, 120_000
LOT = 6_000_000
"""Value atoms of one lot of PERPETUAL, FUTURE or ETHER at the mark: 6 dollars."""

SPECS = (
    Instrument("BTC_USDC-PERPETUAL", Product.PERPETUAL, Form.LINEAR, USDC, 0, 100, 100, 2**18, 10**7),
    Instrument("BTC-PERPETUAL", Product.PERPETUAL, Form.INVERSE, COIN, 1, 2 * 10**9, 1000, 2**20, 10**6),
    Instrument("BTC_USDC-FUTURE", Product.FUTURE, Form.LINEAR, USDC, 0, 100, 100, 2**20, 10**6, EXPIRY),
    Instrument(
        "BTC-60000-C", Product.OPTION, Form.LINEAR, COIN, 1, 1000, 1, 2**16, 10**5, EXPIRY, 60_000, 1,
        Form.INVERSE, 10**7,
    ),
    Instrument(
        "BTC_USDC-60000-P", Product.OPTION, Form.LINEAR, USDC, 0, 10**4, 1, 2**16, 10**5, EXPIRY, 60_000, -1,
        Form.LINEAR, 1000,
    ),
    Instrument("ETH_USDC-PERPETUAL", Product.PERPETUAL, Form.LINEAR, USDC, 2, 100, 100, 2**20, 10**6),
)  # fmt: skip
MARKS = {PERPETUAL: MARK, INVERSE: COIN_MARK, FUTURE: MARK, CALL: 300, PUT: 400, ETHER: MARK}


class Event(NamedTuple):
    """One event with the columns a scenario speaks about."""

    kind: EventKind
    reason: Reason
    account: int
    instrument: int
    order_id: int
    price: int
    quantity: int
    a: int
    b: int
    side: int


def publication(
    marks: dict[int, int] | None = None,
    *,
    skip: tuple[int, ...] = (),
    caps: dict[int, int] | None = None,
    move: int = 10,
    **more: Any,
) -> Publication:
    """Marks with scenarios of a fall and a rise by `move` per cent; USDC at par, coin 500 owned and 600 owed."""
    marks = MARKS | (marks or {})
    risks = []
    for number, mark in marks.items():
        if number in skip:
            continue
        lot = {INVERSE: 2 * 10**9 // mark * 600, CALL: mark * 1000 * 600, PUT: mark * 10**4}.get(number, mark * 100)
        rise = lot * move // 100 * (-1 if number == PUT else 1)
        cap = (caps or {}).get(number, bounds.NO_CAP)
        risks.append(InstrumentRisk(number, mark, (0, -rise, rise), gain_cap=cap))
    blocks = tuple(BlockRisk(block, 3, 3) for block in (0, 1, 2))
    rates = (CurrencyRate(USDC, ONE, ONE), CurrencyRate(COIN, 500 * ONE, 600 * ONE))
    parts: dict[str, Any] = {"currencies": rates, "blocks": blocks, "instruments": tuple(risks)}
    return Publication(**(parts | more))


def weighted(marks: dict[int, int] | None = None, **more: Any) -> Publication:
    """As `publication`, with weights: a lot's value for size and delta, a tenth of it for an option's vega."""
    made = publication(marks, **more)
    risks = []
    for risk in made.instruments:
        option = risk.instrument in (CALL, PUT)
        lot = LOT * risk.mark // MARKS[risk.instrument]
        side = -1 if risk.instrument == PUT else 1
        delta, vega = (side * lot // 2, lot // 10) if option else (lot, 0)
        risks.append(replace(risk, weight=lot, delta=delta, vega=vega))
    return replace(made, instruments=tuple(risks))


class Venue:
    """An engine and the commands given to it so far."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.seq, self.time, self.version = engine, 0, 10**12, 0
        self.reasons: set[Reason] = set()

    def do(self, kind: Kind, attachment: bytes = b"", **fields: int) -> list[Event]:
        """Fold one command; its events."""
        return self._fold(self._record(kind, attachment=len(attachment), **fields), attachment)

    def chain(self, *legs: dict[str, int], kind: Kind = Kind.ORDER, flags: int = 0) -> list[Event]:
        """Fold linked commands, orders unless a leg's `kind` says otherwise, each with `flags`; their events."""
        records = []
        for leg in legs:
            fields: dict[str, Any] = {"kind": kind} | leg
            fields["flags"] = fields.get("flags", 0) | flags | (FLAG_LINKED if len(records) < len(legs) - 1 else 0)
            records.append(self._record(**fields))
        return self._fold(join(*records))

    def package(self, *legs: dict[str, int]) -> list[Event]:
        """Fold a package of immediate-or-cancel legs; their events."""
        return self.chain(*({"tif": TimeInForce.IOC} | leg for leg in legs), flags=FLAG_PACKAGE)

    def _record(self, kind: Kind, **fields: int) -> Any:
        self.seq, self.time = self.seq + 1, self.time + 1
        return command(kind, seq=self.seq, time=self.time, **fields)

    def _fold(self, records: Any, attachment: bytes = b"") -> list[Event]:
        events = [
            Event(
                EventKind(int(e["kind"])), Reason(int(e["reason"])),
                *(int(e[name]) for name in Event._fields[2:]),
            )
            for e in self.engine.step(records, attachment)
        ]  # fmt: skip
        assert self.engine.conserved()
        self.reasons |= {event.reason for event in events}
        return events

    def refused(self, reason: Reason, events: list[Event]) -> tuple[int, int]:
        """Assert that a command was refused for `reason` and did nothing else; the two numbers that decided."""
        assert [(event.kind, event.reason) for event in events] == [(EventKind.REFUSED, reason)]
        return events[0].a, events[0].b

    def order(self, account: int, instrument: int, side: int, quantity: int, price: int, **more: int) -> list[Event]:
        """Place an order, good till cancelled unless `tif` says otherwise."""
        return self.do(
            Kind.ORDER, account=account, instrument=instrument, side=side, quantity=quantity, price=price, **more
        )

    def take(self, account: int, instrument: int, side: int, quantity: int, price: int, **more: int) -> list[Event]:
        """Place an immediate-or-cancel order."""
        return self.order(account, instrument, side, quantity, price, tif=TimeInForce.IOC, **more)

    def cancel(self, account: int, order_id: int) -> list[Event]:
        """Cancel one order."""
        return self.do(Kind.CANCEL, account=account, order_id=order_id)

    def deposit(self, account: int, atoms: int, currency: int = USDC) -> None:
        """Add cash, which must succeed."""
        (event,) = self.do(Kind.DEPOSIT, account=account, currency=currency, amount=atoms)
        assert event.reason == Reason.DEPOSITED

    def publish(self, made: Publication) -> list[Event]:
        """The next publication, which must be taken; its events but for PUBLISHED itself."""
        self.version += 1
        events = self.do(Kind.PUBLISH, made.encode(), version=self.version)
        (published,) = [event for event in events if event.kind == EventKind.PUBLISHED]
        return [event for event in events if event is not published]

    def margin(self, account: int) -> dict[str, int]:
        """Equity, requirement and excess in value atoms."""
        return self.engine.margin(account)

    def excess(self, account: int) -> int:
        """E of an account."""
        return self.engine.margin(account)["excess"]

    def account(self, number: int) -> dict[str, Any]:
        """An account's part of the state."""
        return self.engine.state()["accounts"][number]

    def balance(self, account: int, currency: int = USDC) -> int:
        """Cash atoms."""
        return self.account(account)["balance"][currency]

    def held(self, account: int, instrument: int) -> int:
        """Lots held."""
        return self.account(account)["positions"].get(instrument, (0,))[0]

    def book(self, instrument: int, side: str) -> list[list[tuple[int, int]]]:
        """(order id, lots left) of every order by level from the lowest price, oldest first."""
        return [[(o[0], o[2]) for o in level] for level in self.engine.state()["listings"][instrument][side]]

    def residue(self, currency: int) -> int:
        """Atoms on the rounding account."""
        return self.balance(SYSTEM_ROUNDING, currency)


def open_weighted(engine: Any, **more: int) -> Venue:
    """A venue under the newest rules whose contracts have weights and deltas: every control can measure something."""
    venue = open_venue(engine, rules=max(RULES_FOLDED), **more)
    venue.publish(weighted())
    return venue


def open_venue(
    engine: Any, *, maker: int = 0, taker: int = 0, cash: int = 10**9, coins: int = 10**8, rules: int = 1
) -> Venue:
    """Contracts, four accounts in one fee tier (a dealer with deep pockets), and a first publication."""
    venue = Venue(engine)
    if rules > 1:
        venue.do(Kind.RULES, version=rules)
    for currency, decimals in ((USDC, 6), (COIN, 8)):
        venue.do(Kind.CURRENCY, currency=currency, amount=decimals)
    for fee_class in range(bounds.FEE_CLASSES):
        venue.do(Kind.TIER, tier=0, currency=fee_class, price=maker, amount=taker)
    for number, spec in enumerate(SPECS):
        venue.do(Kind.INSTRUMENT, spec.encode(), instrument=number)
    for account in (ANN, BEA, CAT, DEALER):
        venue.do(Kind.ACCOUNT, account=account, tier=0)
        venue.deposit(account, cash if account != DEALER else 10**14)
        if coins:
            venue.deposit(account, coins if account != DEALER else 10**11, COIN)
    venue.publish(publication())
    return venue
