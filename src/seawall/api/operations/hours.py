"""The clock's hours of a venue that people run: funding of perpetuals at whole hours, settlement at 08:00 UTC.

accrued   a perpetual's rate for 8 hours is Deribit's (`seawall.prices.funding`) at the premium over the index as last
          published. It holds until the next publication, at most as long as prices may age: over a longer gap nothing
          accrues
posted    past each whole hour an eighth of the hour's average rate, of the positions and at the mark of that moment: a
          note "funding" with the rates, and FUNDING; past 08:00 UTC SETTLE of each live instrument
made up   while a coin's prices are late nothing of it is posted; afterwards, as after a stop, the last two hours of the
          past day that accrued something, and one settlement, at the marks of then

`Accrued` is folded from the journal, so a restart knows what accrued and what was posted. A simulated market posts by
itself (`seawall.sim.live`); a desk's mirror has its venue's word.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from seawall.api.listing import Listing
from seawall.api.operations.journalling import LOOK_S, Act
from seawall.prices.funding import deribit_rate
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.hours import HOUR_NS, venue_day
from seawall.vocabulary.instruments import Instrument, Product
from seawall.vocabulary.records import Kind

if TYPE_CHECKING:
    from seawall.api.operations.prices import Prices

HOUR_MS: Final = HOUR_NS // 10**6
KEPT: Final = 24
MADE_UP: Final = 2
"""Hours. What stops a posting stops publications, so no more accrue; what is older was before there was funding."""


class _Price(msgspec.Struct):
    forward: float | None = None
    basis: float | None = None


class _Report(msgspec.Struct):
    """What funding needs of a published report; see `prices.Report`."""

    indexes: dict[str, float] = {}
    instruments: dict[str, _Price] = {}


_decode: Final = msgspec.json.Decoder(_Report).decode


class Accrued:
    """The fold: the publications since the last posting, and what was posted last."""

    def __init__(self) -> None:
        self.published: dict[str, deque[tuple[int, _Price, dict[str, float]]]] = {}
        """Of each perpetual: when (milliseconds), its price, the index prices."""
        self.funded: dict[str, int] = {}
        """The whole hour since the epoch up to which it was posted; at first that of the first publication."""
        self.settled: dict[int, int] = {}
        """The venue's day of the last settlement by instrument number; at first that of its listing."""

    def listed(self, number: int, specification: bytes, time_ns: int) -> None:
        """An INSTRUMENT command."""
        try:
            spec = Instrument.decode(specification)
        except InputError:
            return  # the engine refused it, too
        self.settled.setdefault(number, venue_day(time_ns))
        if spec.product == Product.PERPETUAL:
            self.published.setdefault(spec.name, deque())

    def take(self, report: bytes, now_ms: int) -> None:
        """A published report, as it was noted."""
        try:
            found = _decode(report)
        except msgspec.MsgspecError:
            return  # a note of another build
        hour = now_ms // HOUR_MS
        for name in self.published.keys() & found.instruments.keys():
            rows = self.published[name]
            rows.append((now_ms, found.instruments[name], found.indexes))
            while rows[0][0] // HOUR_MS < hour - KEPT:
                rows.popleft()
            self.funded.setdefault(name, hour)

    def posted(self, note: bytes) -> None:
        """A note "funding"."""
        try:
            found = msgspec.json.decode(note)
            name, hour = str(found["name"]), int(found["hour_ms"]) // HOUR_MS
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            return  # a simulated market's
        self.funded[name] = hour
        rows = self.published.get(name, deque())
        while len(rows) > 1 and rows[1][0] <= hour * HOUR_MS:  # the one before goes on into the hour
            rows.popleft()

    def rates(self, row: Listing, now_ms: int, late_ms: int, cap: float) -> Iterator[tuple[int, float]]:
        """Of each hour that is over, was not posted and had a publication: the hour, and the average rate for 8."""
        if now_ms // HOUR_MS <= self.funded.get(row.name, now_ms):
            return
        sums: dict[int, float] = {}
        for (at, price, indexes), (end, *_) in pairwise([*self.published[row.name], (now_ms, _Price(), {})]):
            rate = deribit_rate(_premium(price, indexes.get(row.base, 0.0)), -cap, cap)
            end = min(end, at + late_ms)
            while at < end:
                hour = at // HOUR_MS + 1
                until = min(end, hour * HOUR_MS)
                sums[hour] = sums.get(hour, 0.0) + rate * (until - at) / HOUR_MS
                at = until
        over = [hour for hour in sorted(sums) if self.funded[row.name] < hour <= now_ms // HOUR_MS]
        yield from ((hour, sums[hour]) for hour in over[-MADE_UP:])


class Hours:
    """What is due at one venue. Everything here runs on the event loop."""

    def __init__(self, prices: "Prices", accrued: Accrued, cap: float) -> None:
        """`cap`: the most that the rate for 8 hours may be; 0: perpetuals have no funding."""
        self._prices, self._accrued, self._cap = prices, accrued, cap
        self._posting: asyncio.Task[int] | None = None
        prices.view.funding_rate = lambda premium: deribit_rate(premium, -cap, cap)

    async def tick(self) -> None:
        """Post what is due. Raises Denied, Overloaded, OutcomeUnknown.

        One posting at a time, however long a disk hangs: given up and asked for again, it would be paid twice.
        """
        if self._posting is None:
            acts = self._due(int(self._prices.service.clock_ms()))
            if not acts:
                return
            self._posting = asyncio.create_task(self._prices.writer.write(acts, timeout=None))
        done, _ = await asyncio.wait((self._posting,), timeout=LOOK_S)
        if done:
            posting, self._posting = self._posting, None
            posting.result()

    def _due(self, now_ms: int) -> list[Act]:
        funding: list[Act] = []
        settlement: list[Act] = []
        for row in self._prices.fresh(now_ms):
            if row.spec.product == Product.PERPETUAL:  # at a cap of 0, too: a later one is not for hours before it
                late_ms = round(self._prices.cadence.late_s * 1000)
                for hour, rate in self._accrued.rates(row, now_ms, late_ms, self._cap):
                    funding += _funding(row, self._prices.view.marks[row.number], hour, rate)
            if venue_day(now_ms * 10**6) > self._accrued.settled[row.number]:
                settlement.append(Act(Kind.SETTLE, {"instrument": row.number}))
        return funding + settlement


def _premium(price: _Price, index: float) -> float:
    if price.basis is not None or price.forward is None or not index:
        return price.basis or 0.0
    return price.forward / index - 1


def _funding(row: Listing, mark: int, hour: int, rate: float) -> Iterator[Act]:
    rates: dict[str, Any] = {"rate_8h": rate, "rate_1h": rate / 8}
    note = {"note": "funding", "instrument": row.number, "name": row.name, "hour_ms": hour * HOUR_MS, **rates}
    yield Act(Kind.TIME, {}, msgspec.json.encode(note))
    for amount in _parts(row.spec, row.spec.funding_amount(mark, rate / 8)):
        yield Act(Kind.FUNDING, {"instrument": row.number, "amount": amount})


def _parts(spec: Instrument, amount: int) -> Iterator[int]:
    """An amount in as few parts as one command's bound allows."""
    most = min(bounds.FUNDING_RATE_MAX, 2**62 // spec.largest_position)
    while amount:
        part = max(-most, min(most, amount))
        amount -= part
        yield part
