"""Money and positions as their owners are told of them, folded from fills and postings: the transaction log,
settlements, average prices. What the engine knows itself is looked up there; what is here it does not keep.

Balance. Cash, and what was paid or earned as premium of options: the engine holds a premium in the position's session
cash, a statement shows it as paid. Within a session a fee that a better price brought with it may be taken from the
session cash by the engine; here it is in the balance at once. After each settlement the two are the same, where it left
nothing of a gain above its cap to wait for the next.

Averages. `average` is the price at which a position was built, untouched by settlements; `session` the same since the
last settlement, which moves it to the mark. For an inverse contract they are harmonic: the price whose value is that of
all entries together.
"""

from collections import deque
from typing import Any, Final, NamedTuple

from seawall.engine import formulas
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import SYSTEM_ACCOUNTS, Kind

ENTRIES_KEPT: Final = 5_000
"""Entries of an account's transaction log."""

PAYMENTS_KEPT: Final = 1_000
"""Deposits and withdrawals of an account, and settlements."""

TRADE, DEPOSIT, WITHDRAWAL, FUNDING = "trade", "deposit", "withdrawal", "funding"
SETTLEMENT, DELIVERY, TRANSFER = "settlement", "delivery", "transfer"
_PAID: Final = {
    Reason.DEPOSITED: DEPOSIT,
    Reason.WITHDRAWN: WITHDRAWAL,
    Reason.FUNDED: FUNDING,
    Reason.BOOKED: TRANSFER,
}


class Entry(NamedTuple):
    """One row of a transaction log: money in atoms, prices in ticks, amounts in lots; -1 for no instrument."""

    number: int
    at_ms: int
    type: str
    currency: int
    change: int
    cashflow: int
    balance: int
    equity: int
    commission: int = 0
    instrument: int = -1
    position: int = 0
    side: int = 0
    amount: int = 0
    price: int = 0
    trade_id: int = 0
    order_id: int = 0
    liquidity: int = 0
    funding: int = 0
    index_then: int = 0
    """Of a settlement, in the delivery ticks of its instrument."""


class Position:
    """One account's lots in one instrument and what they were entered at, in ticks."""

    __slots__ = ("average", "cash", "funding", "quantity", "realized", "session", "settled")

    def __init__(self) -> None:
        self.quantity = 0
        self.average = self.session = 0.0
        self.cash = 0
        """Atoms of the session."""
        self.realized = 0.0
        """Atoms gained in the session on what was closed."""
        self.funding = 0
        """Atoms paid by funding in the session."""
        self.settled = 0
        """Mark of the last settlement, 0 before the first."""

    def fill(self, spec: Instrument, lots: int, price: int) -> float:
        """Take a fill of signed lots; returns the atoms gained on what it closed."""
        before = self.quantity
        closed = min(abs(lots), abs(before)) if before * lots < 0 else 0
        out = closed if before > 0 else -closed
        gained = gain(spec, out, self.average, price)
        self.realized += gain(spec, out, self.session, price)
        self.quantity = before + lots
        if closed == abs(lots):
            if not self.quantity:
                self.average = self.session = 0.0
        elif closed or not before:
            self.average = self.session = float(price)
        else:
            self.average = _mean(spec, before, self.average, lots, price)
            self.session = _mean(spec, before, self.session, lots, price)
        return gained


class Book:
    """One account's ledger."""

    __slots__ = ("balance", "count", "entries", "payments", "positions", "settlements")

    def __init__(self) -> None:
        self.balance: dict[int, int] = {}
        self.positions: dict[int, Position] = {}
        self.entries: deque[Entry] = deque(maxlen=ENTRIES_KEPT)
        self.payments: deque[Entry] = deque(maxlen=PAYMENTS_KEPT)
        self.settlements: deque[Entry] = deque(maxlen=PAYMENTS_KEPT)
        self.count = 0


class Ledger:
    """The ledgers of all clients. `view` knows listings, marks and the time."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self._books: dict[int, Book] = {}
        self._holders: dict[int, dict[int, Position]] = {}
        self._waiting: dict[int, int] = {}
        """Atoms of gain that the settlement at hand left above the cap, by account."""

    def of(self, account: int) -> Book:
        """One account's ledger."""
        found = self._books.get(account)
        if found is None:
            found = Book()
            if account >= SYSTEM_ACCOUNTS:
                self._books[account] = found
        return found

    def position(self, account: int, instrument: int) -> Position:
        """What an account holds in an instrument; a flat one if nothing."""
        book = self._books.get(account)
        return (book.positions.get(instrument) if book else None) or Position()

    # -- the fold ------------------------------------------------------------------------------------------------------

    def filled(
        self, account: int, instrument: int, lots: int, price: int, posting: int, fee: int, trade: int, order: int,
        liquidity: int,
    ) -> float:  # fmt: skip
        """A fill of signed lots; returns the atoms gained on what it closed."""
        listing = self._view.listings.get(instrument)
        if listing is None or account < SYSTEM_ACCOUNTS:
            return 0.0
        spec: Instrument = listing.spec
        book = self.of(account)
        position = book.positions.get(instrument)
        if position is None:
            position = book.positions[instrument] = Position()
            self._holders.setdefault(instrument, {})[account] = position
        realized = position.realized
        gained = position.fill(spec, lots, price)
        position.cash += posting
        option = spec.product == Product.OPTION
        change = posting - fee if option else -fee
        cashflow = posting if option else round(position.realized - realized)
        self._enter(
            book, TRADE, spec.currency, change, cashflow, commission=fee,
            instrument=instrument, position=position.quantity, side=1 if lots > 0 else -1, amount=abs(lots),
            price=price, trade_id=trade, order_id=order, liquidity=liquidity,
        )  # fmt: skip
        return gained

    def posted(self, account: int, currency: int, instrument: int, atoms: int, cause: int, waits: int = 0) -> None:
        """A deposit, withdrawal or funding, and what a settlement left; the rest follows from the commands."""
        if cause == Reason.SETTLED and waits:
            self._waiting[account] = waits
        kind = _PAID.get(Reason(cause))
        if kind is None or account < SYSTEM_ACCOUNTS:
            return
        book = self.of(account)
        if kind != FUNDING:
            self._enter(book, kind, currency, atoms, atoms)
            book.payments.append(book.entries[-1])
            return
        position = book.positions.get(instrument)
        if position is not None:
            position.funding += atoms
            self._enter(
                book, kind, currency, atoms, atoms, instrument=instrument, position=position.quantity, funding=atoms,
                price=self._view.marks.get(instrument, 0),
            )  # fmt: skip

    def closed(self, kind: int, instrument: int, price: int) -> None:
        """A settlement, at the mark, or a delivery at `price` was taken by the engine."""
        listing = self._view.listings.get(instrument)
        if listing is None:
            return
        spec: Instrument = listing.spec
        delivery = kind == Kind.EXPIRE
        option = spec.product == Product.OPTION
        at = price if delivery else self._view.marks.get(instrument, 0)
        holders, waiting, self._waiting = self._holders.get(instrument, {}), self._waiting, {}
        for account, position in list(holders.items()):
            book = self.of(account)
            quantity, cash = position.quantity, position.cash
            value = formulas.delivered_value(spec, quantity, at) if delivery else 0
            worth = value if delivery else formulas.position_value(spec, quantity, at)
            waits = 0 if option else waiting.get(account, 0)
            change = value if option else cash + worth - waits  # of an option the premium is in the balance already
            if delivery or not (quantity or waits):
                del holders[account], book.positions[instrument]
            elif not option:
                position.cash, position.realized = waits - worth, float(waits)
                position.session, position.settled = float(at) if quantity else 0.0, at
            if (quantity or change) and not (option and not delivery):
                self._enter(
                    book, DELIVERY if delivery else SETTLEMENT, spec.currency, change, change, instrument=instrument,
                    position=quantity, price=at, funding=position.funding, index_then=self._view.index_of(listing),
                )  # fmt: skip
                book.settlements.append(book.entries[-1])
            position.funding = 0

    def _enter(self, book: Book, kind: str, currency: int, change: int, cashflow: int, **more: int) -> None:
        book.count += 1
        balance = book.balance[currency] = book.balance.get(currency, 0) + change
        equity = balance + self._gains(book, currency)
        at_ms = self._view.now_ns // 1_000_000
        book.entries.append(Entry(book.count, at_ms, kind, currency, change, cashflow, balance, equity, **more))

    def _gains(self, book: Book, currency: int) -> int:
        """Atoms of session gains, and of options' values, at the marks."""
        view, total = self._view, 0
        for instrument, position in book.positions.items():
            spec = view.listings[instrument].spec
            if spec.currency != currency:
                continue
            mark = view.marks.get(instrument, 0)
            value = formulas.position_value(spec, position.quantity, mark) if mark else 0
            total += value if spec.product == Product.OPTION else value + position.cash
        return total


def gain(spec: Instrument, lots: int, start: float, end: float) -> float:
    """Atoms that signed lots gain from one price to another."""
    if not lots or not start or not end:
        return 0.0
    if spec.form == Form.INVERSE:
        return lots * spec.multiplier * (1 / start - 1 / end)
    return lots * spec.multiplier * (end - start)


def _mean(spec: Instrument, before: int, average: float, lots: int, price: int) -> float:
    if spec.form == Form.INVERSE:
        return (before + lots) / (before / average + lots / price)
    return (before * average + lots * price) / (before + lots)
