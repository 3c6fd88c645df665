"""The clock's hours of a venue that people run: funding of perpetuals at whole hours, settlement at 08:00 UTC.

posted    past each whole hour an eighth of the hour's average rate (`seawall.api.funding`), of the positions and at the
          mark of that moment: a note "funding" with the rates, and FUNDING; past 08:00 UTC SETTLE of each live
          instrument
made up   while a coin's prices are late nothing of it is posted; afterwards, as after a stop, the last two hours of the
          past day that accrued something, and one settlement, at the marks of then

What accrued and what was posted is folded by the view, so a restart knows it. A simulated market posts by itself
(`seawall.sim.live`); a desk's mirror has its venue's word.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from seawall.api.listing import Listing
from seawall.api.operations.journalling import LOOK_S, Act
from seawall.api.statistics import HOUR_MS
from seawall.prices.funding import deribit_rate
from seawall.vocabulary.hours import venue_day
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.records import Kind

if TYPE_CHECKING:
    from seawall.api.operations.prices import Prices


class Hours:
    """What is due at one venue. Everything here runs on the event loop."""

    def __init__(self, prices: "Prices", cap: float) -> None:
        """`cap`: the most that the rate for 8 hours may be; 0: perpetuals have no funding."""
        self._prices, self._accrued, self._cap = prices, prices.view.accrued, cap
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
                for hour, rate in self._accrued.rates(row.name, now_ms, late_ms, self._cap):
                    funding += _funding(row, self._prices.view.marks[row.number], hour, rate)
            if venue_day(now_ms * 10**6) > self._accrued.settled[row.number]:
                settlement.append(Act(Kind.SETTLE, {"instrument": row.number}))
        return funding + settlement


def _funding(row: Listing, mark: int, hour: int, rate: float) -> Iterator[Act]:
    rates: dict[str, Any] = {"rate_8h": rate, "rate_1h": rate / 8}
    note = {"note": "funding", "instrument": row.number, "name": row.name, "hour_ms": hour * HOUR_MS, **rates}
    yield Act(Kind.TIME, {}, msgspec.json.encode(note))
    for amount in _parts(row.spec.funding_amount(mark, rate / 8), row.spec.largest_funding):
        yield Act(Kind.FUNDING, {"instrument": row.number, "amount": amount})


def _parts(amount: int, most: int) -> Iterator[int]:
    """An amount in as few parts as one command's bound allows."""
    while amount:
        part = max(-most, min(most, amount))
        amount -= part
        yield part
