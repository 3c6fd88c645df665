"""The venue's catalogue, marks and index prices, asked for by ourselves: what the shadow accounts are valued by."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

import structlog

from seawall.sim import Batch
from seawall.venues import Mirror, Quote, Shadow, quotes_of
from seawall.venues.connection import Connection, VenueError

QUOTES_S: Final = 1.0
CATALOGUE_S: Final = 60.0

DELIVERED_AT_ONCE: Final = 10
"""Expired instruments that are asked for in one step: hundreds expire together, and marks must not wait for them."""


class Feed:
    """One venue's. Every public method raises VenueError and Unreachable."""

    def __init__(self, mirror: Mirror, underlyings: tuple[str, ...]) -> None:
        self.mirror = mirror
        self._wanted = frozenset(underlyings)
        self._names: frozenset[str] = frozenset()
        self._indices: list[str] = []
        self._money: list[str] = []
        self._listed_at = 0.0
        self._tries: Counter[str] = Counter()
        """How often each of what expired was asked for."""
        self._unpriced: set[str] = set()
        """What expired and has no delivery price, as the venue does not answer for it."""
        self._log = structlog.get_logger()

    async def open(self, venue: Connection, accounts: list[Shadow]) -> Batch:
        """What a new journal begins with; of one that goes on, what was listed since."""
        currencies, instruments = await self._catalogue(venue)
        quotes = await self._quotes(venue)
        now = time.time_ns()
        if self.mirror.opened:
            return self.mirror.listed(now, instruments, quotes, currencies)
        batch = self.mirror.opening(now, currencies, instruments, quotes, accounts)
        for name, why in sorted(self.mirror.left_out.items()):
            self._log.info("not weighed", instrument=name, why=why)
        return batch

    async def step(self, venue: Connection, held: Collection[int] = ()) -> list[Batch]:
        """What changed since; of what expired, the numbers that are `held` first."""
        due = time.monotonic() > self._listed_at + CATALOGUE_S
        catalogue = await self._catalogue(venue) if due else None
        quotes = await self._quotes(venue)  # after the catalogue: what is new there is listed at its quote
        batches = []
        if catalogue is not None:
            currencies, instruments = catalogue
            before = dict(self.mirror.left_out)
            batches.append(self.mirror.listed(time.time_ns(), instruments, quotes, currencies))
            for name, why in self.mirror.left_out.items():
                if name in self.mirror.by_name and before.get(name) != why:
                    self._log.warning("the venue changed an instrument", instrument=name, why=why)
        batches.append(self.mirror.step(time.time_ns(), quotes, await self._delivered(venue, held)))
        return batches

    async def _catalogue(self, venue: Connection) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        currencies = await venue.ask("public/get_currencies")
        instruments = [
            row
            for row in await venue.ask("public/get_instruments")
            if row.get("base_currency") in self._wanted and row.get("kind") in ("future", "option")
        ]
        self._names = frozenset(str(row.get("instrument_name")) for row in instruments)
        self._indices = sorted({str(row["price_index"]) for row in instruments if row.get("price_index")})
        self._money = sorted({str(row["settlement_currency"]) for row in instruments if row.get("settlement_currency")})
        self._listed_at = time.monotonic()
        return currencies, instruments

    async def _quotes(self, venue: Connection) -> dict[str, Quote]:
        asked = [venue.ask("public/get_index_price", index_name=name) for name in self._indices]
        prices = await asyncio.gather(*asked)
        indices = {name: float(row["index_price"]) for name, row in zip(self._indices, prices, strict=True)}
        rows: list[Mapping[str, Any]] = []
        for currency in self._money:
            rows += await venue.ask("public/get_book_summary_by_currency", currency=currency)
        quotes, refused = quotes_of([row for row in rows if row.get("instrument_name") in self._names], indices)
        for name, why in refused.items():
            self._log.debug("a quote was not taken", instrument=name, why=why)
        return quotes

    async def _delivered(self, venue: Connection, held: Collection[int]) -> dict[str, float]:
        """Delivery prices of what expired and was not delivered here yet: some of it, and the rest in later steps."""
        found: dict[str, float] = {}
        now = time.time_ns()
        over = [(number, terms.spec.name) for number, terms in self.mirror.live.items() if 0 < terms.spec.expiry <= now]
        over.sort(key=lambda one: (one[0] not in held, self._tries[one[1]]))
        for _, name in over[:DELIVERED_AT_ONCE]:
            self._tries[name] += 1
            price = await self._delivery_price(venue, name)
            if price:
                found[name] = float(price)
                self._log.info("expired", instrument=name, delivery_price=price)
        return found

    async def _delivery_price(self, venue: Connection, name: str) -> Any:
        """None where the venue has none, or does not know the instrument any more: all else goes on without it."""
        try:
            return (await venue.ask("public/ticker", instrument_name=name)).get("delivery_price")
        except VenueError as error:
            if name not in self._unpriced:
                self._log.warning("no delivery price from the venue", instrument=name, why=str(error))
            self._unpriced.add(name)
            return None
