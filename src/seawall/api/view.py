"""What clients may ask about, folded from durable frames: orders, trades, books. Never a second truth: it can be
rebuilt from the journal at any time, and is, at each start.

A frame's events are taken in order; an order that arrives is put into its book when its command is over, so that the
levels seen between two commands are those of the engine. Finished orders and trades are kept up to a number for each
account and instrument; older ones are in the journal.
"""

from collections import deque
from collections.abc import Callable
from copy import copy
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from seawall.api.arrangements import BEHIND, NOTES, Arrangements
from seawall.api.client_ids import ClientIds, unpacked
from seawall.api.funding import Accrued
from seawall.api.ledger import Ledger
from seawall.api.listing import Listing
from seawall.api.requirements import Requirements
from seawall.api.statistics import Statistics
from seawall.node.node import Group
from seawall.vocabulary.bounds import NO_LIMIT, PARTS
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.hours import venue_day
from seawall.vocabulary.instruments import Instrument
from seawall.vocabulary.publication import EXPOSURES
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    COMMAND,
    EVENT,
    RULES_FOLDED,
    SYSTEM_ACCOUNTS,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Scope,
    Status,
    TimeInForce,
    VenueState,
)

ORDERS_KEPT: Final = 2_000
"""Finished orders of an account."""

TRADES_KEPT: Final = 5_000
"""Trades of an account, and of an instrument."""

_C: Final = {name: number for number, name in enumerate(COMMAND.names or ())}
_E: Final = {name: number for number, name in enumerate(EVENT.names or ())}
_STOPS: Final = frozenset(set(OrderType) - {OrderType.LIMIT, OrderType.MARKET})
_TYPE, _SIZE, _PRICE = _C["type"], _C["attachment"], _E["price"]
_ORDER, _ACCEPTED, _LIMIT = int(Kind.ORDER), int(EventKind.ACCEPTED), int(OrderType.LIMIT)
"""Plain numbers: a start compares a million of them."""

_MONEY: Final = (Kind.FUNDING, Kind.SETTLE, Kind.EXPIRE)
DISCONNECTED: Final = b'{"why":"disconnect"}'
"""Attachment of a CANCEL that a broken connection caused."""

OPEN, UNTRIGGERED, FILLED, CANCELLED = "open", "untriggered", "filled", "cancelled"


class OrderNote(msgspec.Struct, frozen=True):
    """What travels as the attachment of an ORDER: the owner's label, a client id, of a mass quote its marks, and
    whether it goes along with the connection it was placed through."""

    label: str = ""
    client: str = ""
    quote: list[str] | None = None
    along: bool = False


_NO_NOTE: Final = OrderNote()
_decode_note: Final = msgspec.json.Decoder(OrderNote).decode


def _order_note(data: bytes) -> OrderNote:
    try:
        return _decode_note(data)
    except msgspec.MsgspecError:
        return _NO_NOTE  # not of ours: the journal may carry others'


class Order(msgspec.Struct, eq=False, gc=False):
    """One order as its owner knows it, in ticks and lots; `amount` is the whole, `filled` what traded of it."""

    id: int
    account: int
    instrument: int
    side: int
    type: int
    tif: int
    flags: int
    watch: int
    until: int
    display: int
    price: int
    trigger: int
    amount: int
    remaining: int
    asked: tuple[int, int, int, int, int]
    """Amount, price, trigger, flags and display as they were first sent."""
    distance: int
    """Of a trailing stop; its trigger follows."""
    created_ms: int
    updated_ms: int
    label: str
    client: str
    quote: list[str] | None
    """Of a mass quote: the quote's id, its set's, the group."""
    state: str = OPEN
    filled: int = 0
    cost: int = 0
    """Sum of ticks times lots of its fills."""
    coins: float = 0.0
    """Sum of lots by ticks of them: what those of an inverse contract are worth."""
    resting: int = 0
    """Lots it shows in the book."""
    triggered: bool = False
    replaced: bool = False
    done_reason: int = 0
    done_seq: int = 0
    """The command that cancelled it."""
    along: bool = False
    """Whether it is to go with the connection it was placed through, also where the venue's end is that one's."""

    @property
    def stop(self) -> bool:
        """Whether it waits, or waited, for a trigger."""
        return self.type in _STOPS


def _ordered(record: tuple[Any, ...], now_ms: int, data: bytes) -> Order:
    """The order that an ORDER command asks for. One unpacking, one call: a start may make a million of these."""
    (
        number, _, _, side, tif, _, flags, type_, watch, _, account, instrument, _, _, _, _,
        price, amount, _, _, _, trigger, _, display, until, _,
    ) = record  # fmt: skip
    note = _order_note(data) if data else _NO_NOTE
    order = Order(
        number, account, instrument, side, type_, tif, flags, watch, until, display, price, trigger, amount, amount,
        (amount, price, trigger, flags, display), trigger, now_ms, now_ms, note.label, note.client, note.quote,
    )  # fmt: skip
    if note.along:
        order.along = True
    return order


class Trade:
    """One execution: both sides share `id`. Prices in ticks, quantity in lots, fees in atoms (maker, taker)."""

    __slots__ = (
        "at_ms", "carry", "direction", "id", "index", "instrument", "maker", "maker_fee", "maker_gain", "maker_state",
        "mark", "price", "quantity", "sequence", "taker", "taker_fee", "taker_gain", "taker_state", "tick_direction",
    )  # fmt: skip

    def __init__(self, number: int, sequence: int, maker: Order, taker: Order, price: int, quantity: int) -> None:
        self.id, self.sequence = number, sequence
        self.maker, self.taker, self.price, self.quantity = maker, taker, price, quantity
        self.maker_state, self.taker_state = maker.state, taker.state  # as the fill left them
        self.instrument, self.direction = taker.instrument, taker.side
        self.at_ms = self.mark = self.index = self.tick_direction = self.maker_fee = self.taker_fee = 0
        self.carry, self.maker_gain, self.taker_gain = 1.0, 0.0, 0.0
        """Atoms that each side gained on what it closed."""


class Book:
    """Levels of one instrument, lots shown by price in ticks; `change_id` grows with each change."""

    __slots__ = ("_best_ask", "_best_bid", "asks", "bids", "change_id", "changed", "last", "trades", "volume")

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.change_id = 1
        self.changed: dict[tuple[int, int], int] = {}
        """(side, price) touched since the last look, with the lots that stood there before."""
        self.last = 0
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.volume = 0
        self._best_bid: int | None = None
        self._best_ask: int | None = None

    def add(self, side: int, price: int, lots: int) -> None:
        """Put lots at a level or, with a negative number, take them away."""
        levels = self.bids if side > 0 else self.asks
        before = levels.get(price, 0)
        self.changed.setdefault((side, price), before)
        if before + lots:
            levels[price] = before + lots
            if side > 0:
                if self._best_bid is not None and price > self._best_bid:
                    self._best_bid = price
            elif self._best_ask is not None and price < self._best_ask:
                self._best_ask = price
            return
        levels.pop(price, None)
        if price == self._best_bid and side > 0:
            self._best_bid = None
        elif price == self._best_ask and side < 0:
            self._best_ask = None

    def best(self, side: int) -> int | None:
        """Best price of a side, in ticks; kept until its level is gone."""
        if side > 0:
            if self._best_bid is None and self.bids:
                self._best_bid = max(self.bids)
            return self._best_bid
        if self._best_ask is None and self.asks:
            self._best_ask = min(self.asks)
        return self._best_ask


class Client:
    """What one account has: orders by id, newest last, and trades."""

    __slots__ = ("client_ids", "created_ms", "finished", "name", "number", "open", "trades")

    def __init__(self, number: int) -> None:
        self.number, self.name = number, f"account-{number}"
        self.created_ms = 0
        self.open: dict[int, Order] = {}
        self.finished: deque[Order] = deque()
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.client_ids = ClientIds()


class Changes:
    """What a frame did: order states as they came (an order once for each change), trades, books, accounts touched."""

    __slots__ = ("accounts", "books", "frozen", "marks", "money", "notes", "orders", "states", "trades")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.trades: list[Trade] = []
        self.books: set[int] = set()
        self.accounts: set[int] = set()
        self.marks: set[int] = set()
        self.states: list[tuple[int, int, int]] = []
        self.notes: list[dict[str, Any]] = []
        self.frozen: list[tuple[int, int, int]] = []
        """(account, block, nanoseconds until which or NO_LIMIT) of market-maker protections that froze."""
        self.money: list[tuple[int, int, int]] = []
        """(Kind.FUNDING, SETTLE or EXPIRE, instrument, lots held long then) as they were taken."""


class View:
    """The fold. `take` hears a frame and returns what changed; the rest are looks, all in the engine's units."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.seq = 0
        self.listings: dict[int, Listing] = {}
        self.by_name: dict[str, Listing] = {}
        self.currencies: dict[int, tuple[str, int]] = {}
        """Name and decimals by number."""
        self.clients: dict[int, Client] = {}
        self.orders: dict[int, Order] = {}
        self.books: dict[int, Book] = {}
        self.marks: dict[int, int] = {}
        self.indexes: dict[int, int] = {}
        self.volatilities: dict[int, float] = {}
        self.forwards: dict[int, float] = {}
        """Of options whose forward was reported: that over the index then."""
        self.funding_rate: Callable[[float], float] = lambda premium: premium
        """The rate for 8 hours that a premium comes to; of a simulated market they are the same."""
        self.index_prices: dict[str, float] = {}
        """Dollars by the name of the index."""
        self.marked: tuple[int, dict[str, float]] = (0, {})
        """When the marks were published, nanoseconds, and the indexes then."""
        self.positions: dict[tuple[int, int], int] = {}
        """Lots by (account, instrument), what is flat left out."""
        self.open_interest: dict[int, int] = {}
        """Lots that are held long."""
        self.collars: dict[int, tuple[int, int]] = {}
        """Millionths around the mark, and ticks at least, by instrument."""
        self.underlyings: dict[int, int] = {}
        """Underlying of a block where it is not the block's own number."""
        self.settlement_marks: dict[int, int] = {}
        self.watched: set[int] = set()
        """Accounts of whose orders `Changes` is to hold each state, not only the last."""
        self.statistics = Statistics()
        self.accrued = Accrued()
        self._reported: tuple[int, dict[str, Any]] = (-1, {})  # a note of prices and its seq: the next publishes it
        self.rates: dict[int, tuple[int, int]] = {}
        """Value atoms of an atom times 2^20, owned and owed, by currency."""
        self.tiers: dict[tuple[int, int], tuple[int, int]] = {}
        self.account_tiers: dict[int, int] = {}
        self.states: dict[tuple[int, int], int] = {}
        self.refused: dict[int, tuple[int, int, int, int, int, int]] = {}
        """seq: reason, its two numbers, instrument, price, whose limit: until the one who asked was told."""
        self.duplicates: dict[int, int] = {}
        """seq of an order sent again: the first order under its client id."""
        self.sent: dict[tuple[int, str], int] = {}
        self._specs: dict[int, Instrument] = {}
        self._arriving: list[Order] = []
        self._maker: tuple[Order, int] | None = None
        self._taker: tuple[Order, int, float] | None = None
        self.ledger = Ledger(self)
        self.arrangements = Arrangements()
        self.requirements = Requirements(self.listings, RULES_FOLDED[0])
        self.blocks: dict[int, tuple[int, str]] = {}
        """Settlement currency and index of the engine's blocks."""
        self._trade_ids = 0

    def __getstate__(self) -> dict[str, Any]:
        """What the journal says: not who watches now, nor how this venue takes a premium."""
        state = self.__dict__.copy()
        for runtime in ("watched", "funding_rate", "_changes"):
            state.pop(runtime, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self.__dict__.update(state)

    # -- the fold ----------------------------------------------------------------------------------------------------

    def take(self, group: Group) -> Changes:
        """Fold one durable frame."""
        changes = Changes()
        self._changes = changes
        if len(self.refused) + len(self.duplicates) > 100_000:
            self.refused.clear()
            self.duplicates.clear()
        events = group.events.tolist()
        at, count, offset = 0, len(events), 0
        for record in group.commands.tolist():
            seq, size = record[0], record[_SIZE]
            self.seq = seq
            self.now_ns = max(self.now_ns, record[1])
            data = group.attachments[offset : offset + size] if size else b""
            offset += size
            if (
                record[2] == _ORDER
                and record[_TYPE] == _LIMIT
                and at < count
                and events[at][0] == seq
                and events[at][1] == _ACCEPTED
                and (at + 1 == count or events[at + 1][0] != seq)
            ):
                self._rested(events[at], record, data)
                at += 1
                continue
            self._command(record, data)
            while at < count and events[at][0] <= seq:
                event = events[at]
                handler = _HANDLERS.get(event[1])
                if handler is not None:
                    handler(self, event, record, data)
                at += 1
            if self._arriving:
                self._rest()
            if record[2] in _MONEY and seq not in self.refused:
                self._paid(record)
        for number in changes.books:
            book = self.books[number]
            book.change_id += 1
        self.statistics.take(self, changes)
        return changes

    def _command(self, record: tuple[Any, ...], data: bytes) -> None:
        """What events do not say: notes, prices."""
        kind = record[2]
        if kind == Kind.TIME and data:
            self._note(data)
        elif kind == Kind.INDEX:
            number = record[_C["instrument"]]
            self.indexes[number] = record[_C["price"]]
            self._changes.marks.add(number)
            listing = self.listings.get(number)
            if listing is not None:
                self.index_prices[listing.index] = listing.price(record[_C["price"]])
        elif kind == Kind.INSTRUMENT:
            try:
                self._specs[record[_C["instrument"]]] = Instrument.decode(data)
            except InputError:
                return  # the engine refused it, too

    def _note(self, data: bytes) -> None:
        try:
            note = msgspec.json.decode(data)
        except msgspec.DecodeError:
            return  # not a note of ours: the journal may carry others'
        if not isinstance(note, dict):
            return
        kind = note.get("note")
        self._changes.notes.append(note)
        after = note.get("after", BEHIND[kind]) if kind in BEHIND else 0
        if any(self.seq - back in self.refused for back in range(1, after + 1)):
            return  # what it is of was not done
        if kind == "listing" and note.get("instrument") in self._specs:
            try:
                listing = Listing.of(self._specs[note["instrument"]], note)
            except InputError as error:  # like a bad specification, it costs this listing and not the venue
                structlog.get_logger().error(
                    "a listing's note is not read", instrument=note["instrument"], why=str(error)
                )
                return
            self.listings[listing.number] = self.by_name[listing.name] = listing
            self.blocks[listing.spec.block] = (listing.spec.currency, listing.index)
            self.books[listing.number] = Book()
            self.accrued.listed(listing, self.now_ns)
        elif kind == "currency":
            self.currencies[int(note["currency"])] = (str(note["name"]), int(note["decimals"]))
        elif kind == "account":
            self.client(int(note["account"])).name = str(note["name"])
        elif kind == "volatility":
            self.volatilities[int(note["instrument"])] = float(note["value"])
        elif kind == "prices":
            self._reported = self.seq, note
            self._options_of(note.get("instruments", {}), note.get("indexes", {}))
        elif kind == "funding":
            self.accrued.posted(note)
        elif kind == "along":
            for number in note["orders"]:
                if number in self.orders:
                    self.orders[number].along = bool(note["enabled"])
        elif kind in NOTES:
            self.arrangements.noted(note)

    def _options_of(self, prices: dict[str, Any], indexes: dict[str, Any]) -> None:
        """Volatilities and forwards of a report of prices that is published with the next command."""
        for name, price in prices.items():
            listing = self.by_name.get(name)
            if listing is not None and price.get("volatility") is not None:
                self.volatilities[listing.number] = float(price["volatility"])
                basis, forward, index = price.get("basis"), price.get("forward"), indexes.get(listing.base)
                if basis is not None:
                    self.forwards[listing.number] = 1 + float(basis)
                elif forward and index:
                    self.forwards[listing.number] = float(forward) / float(index)

    def client(self, number: int) -> Client:
        """What an account has."""
        found = self.clients.get(number)
        if found is None:
            found = self.clients[number] = Client(number)
        return found

    def named(self, account: int, client_id: str) -> Order | None:
        """The order of an account that a client id names, also after it left the history."""
        found = self.client(account).client_ids.get(client_id)
        return unpacked(found, Order) if isinstance(found, bytes) else self.orders.get(found or 0)

    # -- orders --------------------------------------------------------------------------------------------------------

    def _enter(self, record: tuple[Any, ...], data: bytes) -> Order:
        """An order that its account has from now on."""
        order = _ordered(record, self.now_ns // 1_000_000, data)
        self.orders[order.id] = self.client(order.account).open[order.id] = order
        if order.client:
            self.client(order.account).client_ids.names(order)
        return order

    def _accepted(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders.get(event[_E["order_id"]])
        if order is None:
            order = self._enter(record, data)
            if order.stop and not event[_E["a"]] and not event[_E["b"]]:
                order.state = UNTRIGGERED
        if order.state != UNTRIGGERED:
            order.price = event[_E["price"]]
            self._arriving.append(order)
        self._changed(order)

    def _rested(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        """A limit order that was accepted and met nobody: most are, and a start hears a million of them.

        `_enter` and `_changed` are written out here: each call is 2 % of such an order's time.
        """
        order = _ordered(record, self.now_ns // 1_000_000, data)
        order.price = event[_PRICE]
        self.orders[order.id] = self.client(order.account).open[order.id] = order
        if order.client:
            self.client(order.account).client_ids.names(order)
        order.resting = min(order.display, order.amount) if order.display else order.amount
        self.books[order.instrument].add(order.side, order.price, order.resting)
        changes = self._changes
        changes.books.add(order.instrument)
        changes.accounts.add(order.account)
        changes.orders.append(copy(order) if order.account in self.watched else order)

    def _fill(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders.get(event[_E["order_id"]])
        price, lots = event[_E["price"]], event[_E["quantity"]]
        if order is None:  # made elsewhere
            self._booked(event)
            return
        order.filled += lots
        order.remaining -= lots
        order.cost += price * lots
        order.coins += lots / price
        self._hold(order.account, order.instrument, order.side * lots)
        if order.resting:
            shown = min(order.resting, lots)
            order.resting -= shown
            self._level(order, -shown)
        if not order.remaining:
            self._end(order, FILLED)
        self._changed(order)
        fee, liquidity = event[_E["b"]], event[_E["liquidity"]]
        gained = self.ledger.filled(
            order.account, order.instrument, order.side * lots, price, event[_E["a"]], fee,
            self._trade_ids + 1, order.id, liquidity,
        )  # fmt: skip
        if liquidity == 2:
            self._taker = (order, fee, gained)
        elif self._taker is not None:
            self._trade(order, fee, gained, price, lots)

    def _booked(self, event: tuple[Any, ...]) -> None:
        account, instrument, price = event[_E["account"]], event[_E["instrument"]], event[_E["price"]]
        lots = event[_E["side"]] * event[_E["quantity"]]
        self._hold(account, instrument, lots)
        self._trade_ids += 1
        self.ledger.filled(
            account, instrument, lots, price, event[_E["a"]], event[_E["b"]], self._trade_ids, event[0],
            event[_E["liquidity"]],
        )  # fmt: skip
        self._changes.accounts.add(account)

    def _hold(self, account: int, instrument: int, lots: int) -> None:
        key = (account, instrument)
        before = self.positions.get(key, 0)
        after = before + lots
        if after:
            self.positions[key] = after
        else:
            self.positions.pop(key, None)
        longs = self.open_interest.get(instrument, 0)
        self.open_interest[instrument] = longs + max(after, 0) - max(before, 0)

    def _trade(self, maker: Order, fee: int, gained: float, price: int, lots: int) -> None:
        assert self._taker is not None
        taker, taker_fee, taker_gain = self._taker
        self._taker = None
        book = self.books[maker.instrument]
        self._trade_ids += 1
        book.volume += 1
        trade = Trade(self._trade_ids, book.volume, maker, taker, price, lots)
        trade.at_ms = self.now_ns // 1_000_000
        trade.mark, trade.index = self.marks.get(maker.instrument, 0), self.index_of(self.listings[maker.instrument])
        trade.carry = self.forwards.get(maker.instrument, 1.0)
        trade.maker_fee, trade.taker_fee = fee, taker_fee
        trade.maker_gain, trade.taker_gain = gained, taker_gain
        before = book.trades[-1] if book.trades else None
        if before is None or price == before.price:
            trade.tick_direction = 1 if before is None or before.tick_direction in (0, 1) else 3
        else:
            trade.tick_direction = 0 if price > before.price else 2
        book.last = price
        book.trades.append(trade)
        self.client(maker.account).trades.append(trade)
        if taker.account != maker.account:
            self.client(taker.account).trades.append(trade)
        self._changes.trades.append(trade)

    def _cancelled(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders.get(event[_E["order_id"]])
        if order is None:
            return
        order.done_reason, order.done_seq = event[_E["reason"]], event[0]
        if data == DISCONNECTED and record[2] == Kind.CANCEL:
            order.done_reason = Reason.DISCONNECTED
        self._leave(order)
        self._end(order, CANCELLED)
        self._changed(order)

    def _edited(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders[event[_E["order_id"]]]
        left, price = event[_E["quantity"]], event[_E["price"]]
        smaller = bool(event[_E["reason"]]) or (price == order.price and left <= order.remaining)
        if order.resting and smaller:  # it keeps its place, and shows no more than before
            if order.resting > left:
                self._level(order, left - order.resting)
                order.resting = left
        else:
            self._leave(order)
            if not event[_E["reason"]]:
                order.display = min(order.display, left)
        if event[_E["reason"]]:  # a self-match made it smaller: it still is its own whole
            order.amount -= order.remaining - left
        else:
            order.amount = order.filled + left
            order.flags = order.flags & ~3 | record[_C["flags"]] & 3
            order.replaced = True
            if data:
                order.quote = _order_note(data).quote or order.quote
        order.remaining, order.price = left, price
        if order.state == UNTRIGGERED:
            order.trigger = order.distance = record[_C["trigger"]]
        else:
            self._arriving.append(order)
        self._changed(order)

    def _triggered(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders[event[_E["order_id"]]]
        order.state, order.triggered, order.trigger = OPEN, True, event[_E["a"]]
        if order.type in (OrderType.STOP_MARKET, OrderType.TAKE_MARKET, OrderType.TRAILING) and order.tif == 0:
            order.tif = TimeInForce.IOC
        self._changed(order)

    def _replenished(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders[event[_E["order_id"]]]
        order.resting = event[_E["quantity"]]
        self._level(order, order.resting)

    def _status(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        order = self.orders.get(event[_E["order_id"]])
        if order is not None and event[_E["a"]] == Status.PENDING:
            self._changed(order)

    def _refused(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        if event[_E["reason"]] == Reason.FILL_OR_KILL and record[2] == Kind.ORDER:
            self._killed(record, data)
            return
        self.refused[event[0]] = (
            *(event[_E[name]] for name in ("reason", "a", "b", "instrument", "price", "account")),
        )

    def _killed(self, record: tuple[Any, ...], data: bytes) -> None:
        """A fill-or-kill order that could not be had whole: to its owner an order, cancelled at once."""
        order = self._enter(record, data)
        order.done_reason, order.done_seq = Reason.FILL_OR_KILL, order.id
        self._end(order, CANCELLED)
        self._changed(order)

    def _duplicate(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        self.duplicates[event[0]] = event[_E["order_id"]]

    def _rest(self) -> None:
        """The command is over: what it left in the book is seen there."""
        for order in self._arriving:
            if order.state == OPEN and order.remaining and not order.resting:
                order.resting = min(order.display or order.remaining, order.remaining)
                self._level(order, order.resting)
        self._arriving.clear()
        self._taker = None

    def _leave(self, order: Order) -> None:
        if order.resting:
            self._level(order, -order.resting)
            order.resting = 0

    def _level(self, order: Order, lots: int) -> None:
        self.books[order.instrument].add(order.side, order.price, lots)
        self._changes.books.add(order.instrument)

    def _end(self, order: Order, state: str) -> None:
        order.state = state
        client = self.client(order.account)
        client.open.pop(order.id, None)
        client.finished.append(order)
        if len(client.finished) > ORDERS_KEPT:
            old = client.finished.popleft()
            self.orders.pop(old.id, None)
            if old.client:
                client.client_ids.leaves(old)

    def _changed(self, order: Order) -> None:
        order.updated_ms = self.now_ns // 1_000_000
        self._changes.orders.append(copy(order) if order.account in self.watched else order)
        self._changes.accounts.add(order.account)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _defined(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        kind = event[_E["a"]]
        number = event[_E["order_id"]] if kind == Kind.MEMBER else event[_E["instrument"]]
        role, freeze = record[_C["type"]], record[_C["display"]]
        self.arrangements.defined(kind, event[_E["account"]], number, freeze, event[_E["b"]], role)
        if kind == Kind.TIER:
            self.tiers[record[_C["tier"]], record[_C["currency"]]] = (record[_C["price"]], record[_C["amount"]])
        elif kind == Kind.ACCOUNT:
            self.account_tiers[record[_C["account"]]] = record[_C["tier"]]
            self.client(record[_C["account"]]).created_ms = self.now_ms
        elif kind == Kind.LIMIT and record[_C["state"]] == Limit.COLLAR:
            self.collars[record[_C["instrument"]]] = (record[_C["amount"]], record[_C["quantity"]])
            if record[_C["amount"]] == NO_LIMIT:
                del self.collars[record[_C["instrument"]]]
        elif kind == Kind.UNDERLYING:
            self.underlyings[record[_C["instrument"]]] = record[_C["amount"]]
        elif kind == Kind.RULES:
            self.requirements.rules = event[_E["b"]]

    def _paid(self, record: tuple[Any, ...]) -> None:
        """Funding, a settlement or a delivery that was taken."""
        kind, number = record[2], record[_C["instrument"]]
        self._changes.money.append((kind, number, self.open_interest.get(number, 0)))
        if kind != Kind.FUNDING:
            self.ledger.closed(kind, number, record[_C["price"]])
        if kind == Kind.SETTLE:
            self.settlement_marks[number] = self.marks.get(number, 0)
            self.accrued.settled[number] = venue_day(self.now_ns)
        elif kind == Kind.EXPIRE:
            self.open_interest.pop(number, None)
            self.positions = {key: lots for key, lots in self.positions.items() if key[1] != number}
            listing = self.listings.get(number)
            if listing is not None:
                listing.expired = True
                listing.delivery_price = record[_C["price"]] * listing.delivery_tick[0] / listing.delivery_tick[1]

    def _published(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        """Marks and conversion rates of a publication; its form was checked by the engine."""
        self.marked = (self.now_ns, dict(self.index_prices))
        if self._reported[0] == self.seq - 1:
            self.accrued.published(self._reported[1], self)
        words = np.frombuffer(data, "<i8").tolist()
        self.requirements.publish(words)
        currencies, blocks, charges, instruments = words[1:5]
        at = 5
        for _ in range(currencies):
            self.rates[words[at]] = (words[at + 1], words[at + 2])
            at += 3
        at += (3 + 2 * EXPOSURES) * blocks
        for _ in range(charges):
            at += 1 + 2 * words[at]
        for _ in range(instruments):
            self.marks[words[at]] = words[at + 1]
            self._changes.marks.add(words[at])
            at += 10 + words[at + 9]

    def _posted(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        account, currency, instrument = event[_E["account"]], event[_E["currency"]], event[_E["instrument"]]
        self.ledger.posted(account, currency, instrument, event[_E["a"]], event[_E["reason"]], event[_E["quantity"]])
        self._changes.accounts.add(account)

    def _frozen(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        account, block = event[_E["account"]], event[_E["instrument"]]
        until = self.arrangements.froze(account, block, self.now_ns)
        self._changes.frozen.append((account, block, until))

    def _state(self, event: tuple[Any, ...], record: tuple[Any, ...], data: bytes) -> None:
        scope = event[_E["currency"]]
        number = event[_E["account"]] if scope == Scope.ACCOUNT else event[_E["instrument"]]
        self.states[scope, 0 if scope == Scope.VENUE else number] = event[_E["a"]]
        self._changes.states.append((scope, number, event[_E["a"]]))

    @property
    def venue(self) -> VenueState:
        """State of the venue as a whole."""
        return VenueState(self.states.get((Scope.VENUE, 0), VenueState.OPEN))

    @property
    def now_ms(self) -> int:
        """The journal's time, in milliseconds since the epoch."""
        return self.now_ns // 1_000_000

    def index_of(self, listing: Listing) -> int:
        """Its index in ticks of what it is delivered at; 0 before there was a price."""
        tick = listing.delivery_tick
        return round(self.index_prices.get(listing.index, 0.0) * tick[1] / tick[0])

    def state_of(self, listing: Listing) -> VenueState:
        """The strictest state of an instrument, its underlying and the venue."""
        underlying = self.underlyings.get(listing.spec.block, listing.spec.block)
        keys = ((Scope.VENUE, 0), (Scope.UNDERLYING, underlying), (Scope.INSTRUMENT, listing.number))
        return VenueState(max(self.states.get(key, 0) for key in keys))

    def band(self, listing: Listing) -> tuple[int, int]:
        """Lowest and highest price, in ticks, that an order may have now: collar C03 within the instrument's band."""
        low, high = listing.spec.price_min, listing.spec.price_max
        mark, collar = self.marks.get(listing.number, 0), self.collars.get(listing.number)
        if collar is None or not mark:
            return low, high
        reach = max(collar[1], mark * collar[0] // PARTS)
        return max(low, mark - reach), min(high, mark + reach)

    def fee_rates(self, account: int, listing: Listing) -> tuple[float, float]:
        """Maker and taker rate of an account in an instrument, as fractions."""
        tier = self.account_tiers.get(account, 0)
        maker, taker = self.tiers.get((tier, listing.spec.fee_class), (0, 0))
        return maker / 1e6, taker / 1e6

    def is_client(self, account: int) -> bool:
        """Whether an account is a client's."""
        return account >= SYSTEM_ACCOUNTS and account in self.account_tiers


_HANDLERS: Final[dict[int, Callable[..., None]]] = {
    EventKind.ACCEPTED: View._accepted,
    EventKind.REFUSED: View._refused,
    EventKind.FILL: View._fill,
    EventKind.CANCELLED: View._cancelled,
    EventKind.EDITED: View._edited,
    EventKind.TRIGGERED: View._triggered,
    EventKind.REPLENISHED: View._replenished,
    EventKind.DUPLICATE: View._duplicate,
    EventKind.DEFINED: View._defined,
    EventKind.STATE: View._state,
    EventKind.STATUS: View._status,
    EventKind.PUBLISHED: View._published,
    EventKind.POSTED: View._posted,
    EventKind.FROZEN: View._frozen,
}
