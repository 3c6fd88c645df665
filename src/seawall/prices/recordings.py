"""Recordings of a public market: Binance's raw streams, one message a line, as jsonl.gz.

A line is `<local clock> <json>`; the clock is in nanoseconds (19 digits) or microseconds (16). The streams read are
depthUpdate, bookTicker, trade and markPriceUpdate of USD-M, COIN-M and spot, and the REST depth snapshot as a bare
object with `lastUpdateId`. Meanings, from Binance's API documentation ("Diff. Book Depth Streams", "How to manage a
local order book correctly", "Individual Symbol Book Ticker Streams", "Trade Streams"):

    depthUpdate   absolute quantity at each price that changed, 0: none left. U, u: first and last update id in it;
                  futures: pu = u of the message before, T = time of the last change; spot: U = u before + 1, no T
    bookTicker    best bid and ask with their quantities after update u; futures: T; spot: no time at all
    trade         t: id, p: price, q: quantity, T: time of the match, m: the buyer was resting, so a sale
    snapshot      the book as of `lastUpdateId`; deltas with u below it are older than the snapshot

Prices become ticks and quantities lots: a tick is the finest decimal of any price in the file, a lot the finest of any
trade or best quantity and of all but one in a thousand depth quantities (a few spot levels hold dust of orders older
than the lot). A depth quantity finer than a lot is rounded down, and counted. COIN-M quantities are contracts.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from seawall.vocabulary.errors import RecordingError
from seawall.vocabulary.records import BUY, SELL

Levels = list[tuple[int, int]]
"""(ticks, lots); 0 lots: the price is empty."""

NS_PER_MS: Final = 1_000_000
DECIMALS_MAX: Final = 12
DIGITS_MAX: Final = 32
WHOLE_MAX: Final = 2**62
"""Ticks or lots that a command's field holds."""
APART_NS: Final = 24 * 3600 * 10**9
"""The exchange's times and the local clock of a line are at most so far apart: what is further is another unit."""
DUST_SHARE: Final = 0.001
USDM, COINM, SPOT = "usdm", "coinm", "spot"
MARKETS: Final = (USDM, COINM, SPOT)
Seen = Callable[[int], None]
"""Is told now and then how many bytes of the file have been read."""


@dataclass(slots=True)
class Delta:
    """Changes of the book up to update `last`, absolute lots. `time_ns` is the exchange's."""

    line: int
    arrival_ns: int
    time_ns: int
    first: int
    last: int
    previous: int
    bids: Levels
    asks: Levels


@dataclass(slots=True)
class Touch:
    """Best bid and ask after update `last`; `time_ns` is 0 where the exchange gives none (spot)."""

    line: int
    arrival_ns: int
    time_ns: int
    last: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


@dataclass(slots=True)
class Snapshot:
    """The book as of update `last`; `time_ns` is 0 where the exchange gives none (spot)."""

    line: int
    arrival_ns: int
    time_ns: int
    last: int
    bids: Levels
    asks: Levels


@dataclass(slots=True)
class Print:
    """One recorded trade; `side` is the aggressor's, +1 bought, -1 sold."""

    line: int
    arrival_ns: int
    time_ns: int
    id: int
    side: int
    price: int
    lots: int


@dataclass(slots=True)
class MarkPrice:
    """A mark price published by the exchange, in ticks (a fraction)."""

    line: int
    time_ns: int
    ticks: float


Update = Delta | Touch | Snapshot


@dataclass(slots=True)
class Recording:
    """A recording in whole units, each stream in the exchange's own order.

    `updates` are sorted by update id and free of repetitions, `prints` by trade id, `marks` by time. `gaps` are the
    deltas that do not follow the one before: (line, id before, id it says it follows); `missing` the trades whose ids
    between the first and the last never came, as the exchange counts them without holes. `offset_ns` is the least of
    local clock minus event time.
    """

    name: str
    market: str
    symbol: str
    price_decimals: int
    lot_decimals: int
    lines: int = 0
    updates: list[Update] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    marks: list[MarkPrice] = field(default_factory=list)
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    missing: int = 0
    repeated: int = 0
    rounded_levels: int = 0
    offset_ns: int = 0


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    lastUpdateId: int = 0


Texts = list[tuple[str, str]]


class _Depth(msgspec.Struct):
    s: str
    E: int
    U: int
    u: int
    b: Texts
    a: Texts
    T: int = 0
    pu: int = -1
    ps: str = ""


class _Ticker(msgspec.Struct):
    s: str
    u: int
    b: str
    B: str
    a: str
    A: str
    E: int = 0
    T: int = 0
    ps: str = ""


class _Trade(msgspec.Struct):
    s: str
    E: int
    T: int
    t: int
    p: str
    q: str
    m: bool


class _Mark(msgspec.Struct):
    s: str
    E: int
    p: str


class _Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: Texts
    asks: Texts
    T: int = 0


_STREAMS: Final[dict[str, Any]] = {"depth": _Depth, "bookTicker": _Ticker, "trade": _Trade, "markPrice": _Mark}
_Raw = tuple[int, int, Any]


def read_recording(file: Path, limit: int | None = None, seen: Seen | None = None) -> Recording:
    """The first `limit` lines (all of them by default) of a recording, checked whole before anything uses it.

    Raises RecordingError, its field FILE:line, for a missing or damaged file, a line that is no message of the streams
    above, two symbols, a number that is no decimal, a time that cannot be, two trades of one id, a crossed snapshot or
    best, or a file without any depth.
    """
    raws = list(_lines(file, limit, seen))
    books = [raw for raw in raws if isinstance(raw[2], _Depth)]
    if not books:
        raise RecordingError(f"{file}:{len(raws)}", len(raws), "must hold at least one depthUpdate")
    first = books[0][2]
    market = COINM if first.ps else USDM if first.pu >= 0 else SPOT
    for line, _, message in raws:
        symbol = getattr(message, "s", first.s)
        if symbol != first.s:
            raise RecordingError(f"{file}:{line}", symbol, f"must be {first.s}: one recording holds one symbol")
        if market != SPOT and isinstance(message, _Ticker | _Snapshot) and not message.T:
            raise RecordingError(f"{file}:{line}", message.T, "must have T, as all of a futures market has")
    units = _Units(file, raws)
    recording = Recording(file.name, market, first.s, units.price_decimals, units.lot_decimals, len(raws))
    recording.offset_ns = min((at - m.E * NS_PER_MS for _, at, m in raws if getattr(m, "E", 0)), default=0)
    _sort(file, recording, [units.whole(raw) for raw in raws])
    if recording.prints:
        recording.missing = recording.prints[-1].id - recording.prints[0].id + 1 - len(recording.prints)
    recording.rounded_levels = units.rounded
    _note_gaps(recording)
    return recording


def _lines(file: Path, limit: int | None, seen: Seen | None) -> Iterator[_Raw]:
    """(line number, local clock in ns, message) of each line."""
    line = 0
    try:
        with file.open("rb") as raw, gzip.open(raw) as unpacked:
            for line, text in enumerate(_until(unpacked, limit), 1):
                yield _message(f"{file}:{line}", line, text)
                if seen is not None and line % 4096 == 0:
                    seen(raw.tell())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RecordingError(f"{file}:{line + 1}", str(error), "must be whole gzip data up to here") from error
    except OSError as error:
        raise RecordingError(f"{file}:{line}", error.strerror or str(error), "must be a readable file") from error


def _until(unpacked: BinaryIO | gzip.GzipFile, limit: int | None) -> Iterator[bytes]:
    for count, text in enumerate(unpacked):
        if count == limit:
            return
        yield text


def _message(where: str, line: int, text: bytes) -> _Raw:
    clock, _, body = text.partition(b" ")
    if len(clock) not in (16, 19) or not clock.isdigit():
        raise RecordingError(where, clock[:40], "must begin with a clock of 16 digits (us) or 19 (ns) and a space")
    arrival = int(clock) * (1000 if len(clock) == 16 else 1)
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        if envelope.lastUpdateId:
            return line, arrival, _timed(where, arrival, msgspec.json.decode(body, type=_Snapshot))
        parts = envelope.stream.split("@")
        kind = _STREAMS.get(parts[1]) if len(parts) > 1 else None
        if kind is None:
            rule = f"must be a snapshot or one of the streams {', '.join(_STREAMS)}"
            raise RecordingError(where, envelope.stream or body[:40], rule)
        return line, arrival, _timed(where, arrival, msgspec.json.decode(envelope.data, type=kind))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(where, body[:40], f"must be a message of its stream: {error}") from error


def _timed(where: str, arrival: int, message: Any) -> Any:
    """The message, if its times can be: one of another unit or year would order and stamp all the others by it."""
    for name in ("E", "T"):
        given = getattr(message, name, 0)
        if (given or isinstance(message, _Trade)) and abs(given * NS_PER_MS - arrival) > APART_NS:
            rule = f"must be milliseconds within a day of the line's clock, {arrival // NS_PER_MS}"
            raise RecordingError(where, given, rule)
    return message


class _Units:
    """Decimals of a tick and a lot, and the messages in them."""

    def __init__(self, file: Path, raws: list[_Raw]) -> None:
        prices: set[str] = set()
        quantities: set[str] = set()
        standing: Counter[str] = Counter()
        for _, _, message in raws:
            if isinstance(message, _Trade):
                prices.add(message.p)
                quantities.add(message.q)
            elif isinstance(message, _Ticker):
                prices.update((message.b, message.a))
                quantities.update((message.B, message.A))
            elif isinstance(message, _Depth | _Snapshot):
                sides = (message.b, message.a) if isinstance(message, _Depth) else (message.bids, message.asks)
                for levels in sides:
                    prices.update(price for price, _ in levels)
                    standing.update(quantity for _, quantity in levels)
        self._file, self._where = file, f"{file}:0"
        self.price_decimals = max(map(_decimals, prices), default=0)
        self.lot_decimals = max(max(map(_decimals, quantities), default=0), _usual_decimals(standing))
        self.rounded = 0

    def whole(self, raw: _Raw) -> Update | Print | MarkPrice:
        """The message in ticks, lots and nanoseconds."""
        line, at, message = raw
        self._where = f"{self._file}:{line}"
        if isinstance(message, _Trade):
            side, time = SELL if message.m else BUY, message.T * NS_PER_MS
            return Print(line, at, time, message.t, side, self._ticks(message.p), self._lots(message.q, least=1))
        if isinstance(message, _Ticker):
            return self._touch(line, at, message)
        if isinstance(message, _Mark):
            return MarkPrice(line, message.E * NS_PER_MS, self._fraction(message.p) * 10**self.price_decimals)
        if isinstance(message, _Depth):
            bids, asks = self._levels(message.b), self._levels(message.a)
            time = (message.T or message.E) * NS_PER_MS
            if message.u < message.U:
                raise RecordingError(self._where, message.u, f"must not be below its first update {message.U}")
            return Delta(line, at, time, message.U, message.u, message.pu, bids, asks)
        bids, asks = self._levels(message.bids), self._levels(message.asks)
        if bids and asks and max(bids)[0] >= min(asks)[0]:
            rule = f"must be below the best ask {min(asks)[0]}: the snapshot is crossed (ticks)"
            raise RecordingError(self._where, max(bids)[0], rule)
        return Snapshot(line, at, message.T * NS_PER_MS, message.lastUpdateId, bids, asks)

    def _touch(self, line: int, at: int, message: _Ticker) -> Touch:
        bid, ask = self._ticks(message.b), self._ticks(message.a)
        if bid >= ask:
            raise RecordingError(self._where, message.b, f"must be below the best ask {message.a}")
        bid_lots, ask_lots = self._lots(message.B), self._lots(message.A)
        return Touch(line, at, message.T * NS_PER_MS, message.u, bid, bid_lots, ask, ask_lots)

    def _levels(self, texts: Texts) -> Levels:
        return [(self._ticks(price), self._lots(quantity)) for price, quantity in texts]

    def _ticks(self, text: str) -> int:
        ticks, exact = self._scaled(text, self.price_decimals)
        if ticks < 1 or not exact:
            raise RecordingError(self._where, text, "must be a positive price")
        return ticks

    def _lots(self, text: str, least: int = 0) -> int:
        lots, exact = self._scaled(text, self.lot_decimals)
        if lots < least:
            raise RecordingError(self._where, text, "must be a positive quantity")
        self.rounded += not exact
        return lots

    def _scaled(self, text: str, decimals: int) -> tuple[int, bool]:
        """(the decimal times 10^decimals rounded down, whether nothing was lost)."""
        whole, _, part = text.partition(".")
        if not (whole + part).isdecimal() or not text.isascii() or len(text) > DIGITS_MAX:
            raise RecordingError(self._where, text[:40], f"must be a plain decimal number, {DIGITS_MAX} digits at most")
        scaled = int(whole + part[:decimals].ljust(decimals, "0"))
        if scaled > WHOLE_MAX:
            raise RecordingError(self._where, text, f"must be at most 2^62 times 10^-{decimals}")
        return scaled, not part[decimals:].strip("0")

    def _fraction(self, text: str) -> float:
        ticks, _ = self._scaled(text, DECIMALS_MAX)
        if ticks < 1:
            raise RecordingError(self._where, text, "must be a positive price")
        return ticks / 10**DECIMALS_MAX


def _decimals(text: str) -> int:
    """Decimals of a number as written, without trailing zeros."""
    return min(len(text.partition(".")[2].rstrip("0")), DECIMALS_MAX)


def _usual_decimals(texts: Counter[str]) -> int:
    """The fewest decimals that all but DUST_SHARE of the numbers need no more of."""
    needed: Counter[int] = Counter()
    for text, count in texts.items():
        needed[_decimals(text)] += count
    finer, dust = 0, DUST_SHARE * needed.total()
    for decimals in sorted(needed, reverse=True):
        finer += needed[decimals]
        if finer > dust:
            return decimals
    return 0


def _sort(file: Path, recording: Recording, messages: list[Update | Print | MarkPrice]) -> None:
    """Each stream into the exchange's order, what came twice taken out.

    A bookTicker and a delta may end at the same update: they agree, the delta merely says more. A snapshot taken at
    that update comes last, as it says all of it.
    """
    kinds = (Touch, Delta, Snapshot)
    updates: dict[tuple[int, int], Update] = {}
    prints: dict[int, Print] = {}
    for message in messages:
        if isinstance(message, Print):
            first = prints.setdefault(message.id, message)
            if _told(first) != _told(message):
                rule = f"must be the trade that line {first.line} says it was"
                raise RecordingError(f"{file}:{message.line}", message.id, rule)
            recording.repeated += first is not message
        elif isinstance(message, MarkPrice):
            recording.marks.append(message)
        else:
            key = (message.last, kinds.index(type(message)))
            before = updates.setdefault(key, message)
            if isinstance(before, Delta) and isinstance(message, Delta) and _differ(before, message):
                rule = f"must be the changes that line {before.line} says they were"
                raise RecordingError(f"{file}:{message.line}", message.last, rule)
            recording.repeated += before is not message
    recording.updates = [updates[key] for key in sorted(updates)]
    recording.prints = [prints[key] for key in sorted(prints)]
    recording.marks.sort(key=lambda mark: mark.time_ns)


def _told(traded: Print) -> tuple[int, int, int, int]:
    return traded.time_ns, traded.side, traded.price, traded.lots


def _differ(one: Delta, other: Delta) -> bool:
    """Two messages of the same updates; one of more of them, as a slower stream sends, may say more."""
    return one.first == other.first and (one.bids, one.asks) != (other.bids, other.asks)


def _note_gaps(recording: Recording) -> None:
    """Deltas whose ids do not follow, in the exchange's order: futures by `pu`, spot by `U`.

    The first delta used after a snapshot must not begin later than the snapshot ends.
    """
    behind: int | None = None
    snapshot = False
    for update in recording.updates:
        if isinstance(update, Snapshot):
            behind, snapshot = update.last, True
        elif isinstance(update, Delta):
            follows = update.previous if update.previous >= 0 else update.first - 1
            if behind is not None and (follows > behind if snapshot else follows != behind):
                recording.gaps.append((update.line, behind, follows))
            behind, snapshot = update.last, False
