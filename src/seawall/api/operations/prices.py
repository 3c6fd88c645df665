"""Prices of a venue that people run: reports of their own price process, checked, believed, journalled, published.

A report names coins, and of each its index and every instrument that is live: a future's or perpetual's mark, an
option's forward and volatility. It is taken whole or not at all:

refused   a number that is none or out of its range, an instrument missing or not listed, a time that is old or ahead, a
          mark out of its band: field, value and rule are told, and an alert is raised
doubted   a number further than `jump` from the last one believed, or the first of its kind: it is believed when a later
          report says the same, so one bad tick is never published
believed  the index prices go to the journal as INDEX commands, and where the publisher says that a block is due (see
          `seawall.node.publishing`) a note "prices" with the report, and PUBLISH

Nothing else makes prices: without reports the engine sees the age of what it has, and lets reducing orders through and
nothing else (C17). What a restart knows are the reports that were published: their notes, see `record`.

An instrument past its expiry is published at its last price until its delivery is journalled: the engine wants whole
blocks. A premium below one tick is one tick.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from seawall.api.commands import packed
from seawall.api.listing import Listing
from seawall.api.operations.journalling import Denied, Writer
from seawall.api.operations.record import Record
from seawall.node import Configuration
from seawall.node.configuration import Margin
from seawall.node.publishing import Publisher, Quoted, Told
from seawall.prices.index import Constituent, IndexRule, index_price
from seawall.risk import BlockMarket, CurrencyMarket
from seawall.risk.market import VOLATILITY_MAX
from seawall.venues.contracts import DOLLARS
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive
from seawall.vocabulary.records import Kind

PRICE_USD_MAX: Final = 1e9
"""Dollars: no coin is dearer."""

AHEAD_MS: Final = 1_000
"""How far a report's clock may be ahead of the venue's."""

BASIS_MAX: Final = 1.0
SURFACE_AGE_MS: Final = 3_600_000
YEAR_NS: Final = 365 * 86_400 * 10**9

SOURCES: Final = IndexRule(sources_min=3)
"""From three sources on one absurd price moves the index no further than the others stand apart."""

Key = tuple[str, str]
"""What a number is (index, forward, volatility) and of which coin or instrument."""


class Price(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Of one instrument: its forward in dollars, or the basis of it over the index as a fraction; an option's
    volatility, annual. A future's or perpetual's forward is its mark."""

    forward: float | None = None
    basis: float | None = None
    volatility: float | None = None


class Source(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One venue's price of a coin, in dollars, at `time` (milliseconds since the epoch)."""

    source: str
    price: float
    time: int
    weight: float = 1.0
    excluded: bool = False


class Report(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a price process says at `time` (milliseconds since the epoch): index prices in dollars by coin, or the
    `sources` an index is made of (`seawall.prices.index`), and the price of every live instrument of these coins.

    Options without a volatility take theirs from the coin's surface, a calibration as `seawall surface fit` writes it,
    at their log-moneyness and expiry."""

    time: int
    indexes: dict[str, float] = {}
    instruments: dict[str, Price] = {}
    sources: dict[str, list[Source]] = {}
    surfaces: dict[str, Any] = {}

    def resolved(self, now_ns: int) -> "Report":
        """The same with the index of every coin that has sources. Raises InputError."""
        made = dict(self.indexes)
        for coin, sources in self.sources.items():
            if coin in made:
                raise InputError(f"indexes.{coin}", made[coin], "must not stand beside sources of the coin")
            given = [Constituent(s.source, s.price, s.time * 1_000_000, s.weight, s.excluded) for s in sources]
            made[coin] = index_price(given, now_ns, SOURCES).price
        return msgspec.structs.replace(self, indexes=made)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A number that waits for a second report: what was said, and when."""

    value: float
    time: int


class Answered(NamedTuple):
    """What became of a report: whether it was believed, what was published, what is doubted."""

    taken: bool
    published: list[str]
    doubted: list[str]


class Prices:
    """The prices that reports have told a venue. One for each venue; everything here runs on the event loop."""

    def __init__(self, service: Any, record: Record) -> None:
        """`record` has heard all that the journal holds."""
        configuration = service.node.configuration
        self.view, self.service, self.writer = service.view, service, Writer(service)
        self.cadence = configuration.publisher
        self.adopt(configuration)
        self.published: dict[str, int] = {}
        """When each coin's blocks were last published, in milliseconds of the journal's clock."""
        self.times: dict[str, int] = {}
        """Of the last report believed, by coin, in milliseconds of its own clock."""
        self.believed: dict[Key, float] = {}
        self.doubted: dict[Key, Doubt] = {}
        self._waits: dict[tuple[str, ...], Report] = {}  # believed, by its coins, and not published yet
        self._lock = asyncio.Lock()
        for note, time_ms in record.prices.values():
            report = _report_of(note)
            if report is not None:
                self._believe(report)
                self.published |= dict.fromkeys(report.indexes, time_ms)

    def adopt(self, configuration: Configuration) -> None:
        """Publish by this margin model and these parameters from now on; every block is due."""
        self.margin = configuration.margin
        self.publisher = Publisher(configuration.model(), configuration.publisher)

    def imagine(self, configuration: Configuration) -> list[int]:
        """What other parameters would publish at the prices now, as words. Raises InputError where one is missing."""
        coins = sorted({row.base for row in self._live()})
        for coin in coins:
            if ("index", coin) not in self.believed:
                raise InputError(f"indexes.{coin}", None, "has no price yet: report it first")
        now_ms = int(self.service.clock_ms())
        report = Report(now_ms, {coin: self.believed["index", coin] for coin in coins})
        told = self._told(report, self.believed, now_ms, configuration.margin)
        publication = Publisher(configuration.model(), self.cadence).publish(told, told.blocks)
        words: list[int] = np.frombuffer(publication.encode(), "<i8").tolist()
        return words

    # -- a report ----------------------------------------------------------------------------------------------------

    def check(self, report: Report, now_ms: int) -> dict[Key, float]:
        """The report's numbers. Raises InputError, with field, value and rule, for the first that breaks one."""
        if not report.indexes:
            raise InputError("indexes", {}, "must name a coin")
        known = {row.base for row in self._live()} | {name for name, _ in self.view.currencies.values()}
        numbers: dict[Key, float] = {}
        for coin, price in report.indexes.items():
            if coin not in known:
                raise InputError(f"indexes.{coin[:64]}", price, "must be a coin of the venue")
            numbers["index", coin] = positive(f"indexes.{coin}", price, at_most=PRICE_USD_MAX)
            before = self.times.get(coin, 0)
            if report.time <= before:
                raise InputError("time", report.time, f"must be after the last report of {coin}, {before}")
        oldest = now_ms - round(self.cadence.late_s * 1000)
        if not oldest <= report.time <= now_ms + AHEAD_MS:
            raise InputError("time", report.time, f"must lie in [{oldest}, {now_ms + AHEAD_MS}], by the venue's clock")
        live = {row.name: row for row in self._live() if row.base in report.indexes}
        for name in report.instruments:
            if name not in live:
                raise InputError(f"instruments.{name[:64]}", name[:64], "must be live, and of a coin with an index")
        for name, row in live.items():
            if name in report.instruments:
                numbers |= _numbers(row, report.instruments[name], report.indexes[row.base])
            elif not self._past(row, now_ms):
                raise InputError(f"instruments.{name}", None, f"is live: every instrument of {row.base} has a price")
        return numbers

    def _smiled(self, report: Report, now_ms: int) -> Report:
        """The report with the volatilities that its surfaces say. Raises InputError."""
        made = dict(report.instruments)
        for coin, document in report.surfaces.items():
            from seawall.risk.surfaces import Calibration  # heavy, and few reports have one

            where = f"surfaces.{coin[:64]}"
            try:
                found = msgspec.convert(document, Calibration)
            except msgspec.ValidationError as error:
                raise InputError(where, "", f"must be a calibration: {error}") from error
            age_ms = now_ms - found.time_ns // 1_000_000
            if found.underlying != coin or not found.holds:
                raise InputError(where, found.underlying, f"must be of {coin}, and hold")
            if not -AHEAD_MS <= age_ms <= SURFACE_AGE_MS:
                raise InputError(f"{where}.time_ns", found.time_ns, f"must be at most {SURFACE_AGE_MS} ms old")
            surface = found.surface
            for row in self._live():
                price = made.get(row.name)
                if row.base == coin and row.option and price is not None and price.volatility is None:
                    forward = _forward(row, price, positive(f"indexes.{coin}", report.indexes.get(coin)))
                    years = (row.spec.expiry - found.time_ns) / YEAR_NS
                    volatility = float(surface.volatility(math.log(row.strike() / forward), years))
                    made[row.name] = msgspec.structs.replace(price, volatility=volatility)
        return msgspec.structs.replace(report, instruments=made)

    def doubt(self, numbers: Mapping[Key, float], time_ms: int) -> list[str]:
        """Which numbers wait for a second report; what an earlier one said of them is confirmed now."""
        waiting = []
        for key, value in numbers.items():
            said = self.doubted.get(key)
            if not self._jumps(key, value, self.believed.get(key)):
                self.doubted.pop(key, None)
            elif said is None or said.time >= time_ms or self._jumps(key, value, said.value):
                self.doubted[key] = Doubt(value, time_ms)
                waiting.append(f"{key[0]} of {key[1]}")
        return waiting

    async def report(self, by: str, report: Report, *, dry_run: bool = False) -> Answered:
        """Take a report. Raises InputError for a bad one, Denied, Overloaded, OutcomeUnknown; then it is not
        believed."""
        async with self._lock:
            now_ms = int(self.service.clock_ms())
            report = self._smiled(report.resolved(now_ms * 1_000_000), now_ms)
            numbers = self.check(report, now_ms)
            told = self._told(report, numbers, now_ms)
            self.publisher.check(told)
            index_commands = self._index_commands(told)
            if dry_run:
                return Answered(False, [], [])
            waiting = self.doubt(numbers, report.time)
            if waiting:
                return Answered(False, [], waiting)
            published = await self._send(report, told, by, index_commands)
            self._believe(report)
            for key in numbers:
                self.doubted.pop(key, None)  # what it confirmed does not confirm another jump
            return Answered(True, published, [])

    async def tick(self) -> None:
        """Publish what came too soon after a publication, or moved too little, once it is due. Raises as `report`."""
        async with self._lock:
            for report in list(self._waits.values()):
                told = self._told(report, self.believed, int(self.service.clock_ms()))
                await self._send(report, told, "seawall", b"")

    def late(self, now_ms: int) -> dict[str, int]:
        """Milliseconds since their last publication, of coins with live instruments that are late."""
        most = round(self.cadence.late_s * 1000)
        coins = {row.base for row in self._live()} & self.published.keys()
        return {coin: now_ms - self.published[coin] for coin in sorted(coins) if now_ms - self.published[coin] > most}

    def rows(self) -> list[dict[str, Any]]:
        """What is known of each coin, for people."""
        return [
            {
                "coin": coin,
                "index": self.believed.get(("index", coin)),
                "reported": time,
                "published": self.published.get(coin),
            }
            for coin, time in sorted(self.times.items())
        ]

    # -- inner -------------------------------------------------------------------------------------------------------

    async def _send(self, report: Report, told: Told, by: str, records: bytes) -> list[str]:
        """Journal index prices and, of blocks that are due, the report and its publication; returns their coins."""
        blocks, data = self.publisher.due(told), b""
        if blocks:
            publication = self.publisher.publish(told, blocks).encode()
            version = await self.writer.look(lambda: self.service.node.fold.engine.catalogue.version)
            coins = sorted(report.indexes)
            note = msgspec.json.encode({"note": "prices", "coins": coins, "by": by, **msgspec.to_builtins(report)})
            records += packed(Kind.TIME, attachment=len(note))
            records += packed(Kind.PUBLISH, version=version + 1, attachment=len(publication))
            data = note + publication
        if records:
            seq = await self.service.write(records, data)
            for number_ in range(seq, seq + len(records) // len(packed(Kind.TIME))):
                refused = self.view.refused.pop(number_, None)
                if refused is not None:
                    raise Denied(*refused[:3])
        self.publisher.remember(told, blocks)
        published = sorted({told.blocks[block].underlying for block in blocks})
        self.published |= dict.fromkeys(published, told.time_ns // 1_000_000)
        key = tuple(sorted(report.indexes))
        self._waits.pop(key, None)
        if told.blocks and not blocks:
            self._waits[key] = report
        return published

    def _told(self, report: Report, numbers: Mapping[Key, float], now_ms: int, margin: Margin | None = None) -> Told:
        """Prices as the publisher takes them: in ticks, by number."""
        known = {**self.believed, **numbers}
        margin, now_ns = margin or self.margin, now_ms * 1_000_000
        blocks, instruments = {}, {}
        for row in self._live():
            if row.base not in report.indexes:
                continue
            index, forward = report.indexes[row.base], known.get(("forward", row.name))
            if forward is None:
                raise InputError(f"instruments.{row.name}", None, "expired before it had a price: deliver it first")
            spec = replace(row.spec, expiry=now_ns + 1) if self._past(row, now_ms) else row.spec
            tick = row.delivery_tick if row.option else row.tick
            volatility = known.get(("volatility", row.name), 0.0)
            held = self.view.open_interest.get(row.number, 0)
            quoted = Quoted(spec, index * tick[1] / tick[0], forward * tick[1] / tick[0], volatility, held)
            instruments[row.number] = quoted
            blocks[spec.block] = BlockMarket(row.base, index)
        elsewhere = {row.base for row in self._live()} - report.indexes.keys()
        settles = {item.spec.currency for item in instruments.values()}
        currencies = {}
        for currency, (name, decimals) in self.view.currencies.items():
            price = known.get(("index", name), 1.0 if name in DOLLARS else None)
            if price is not None and (currency in settles or name not in elsewhere):
                rates = (0.0, 0.0) if name in DOLLARS else (margin.coin_haircut, margin.coin_markup)
                currencies[currency] = CurrencyMarket(price, decimals, *rates, name=name)
        return Told(now_ns, currencies, blocks, instruments)

    def _index_commands(self, told: Told) -> bytes:
        """INDEX commands of what is no option; options have no index in their ticks. Raises InputError."""
        made = b""
        for instrument, item in told.instruments.items():
            row = self.view.listings[instrument]
            if not row.option:
                price = round(item.index)
                if not 1 <= price <= bounds.PRICE_MAX:
                    rule = f"must lie in [1, {bounds.PRICE_MAX}] ticks of {row.name}"
                    raise InputError(f"indexes.{row.base}", price, rule)
                made += packed(Kind.INDEX, instrument=instrument, price=price)
        return made

    def _believe(self, report: Report) -> None:
        self.times |= dict.fromkeys(report.indexes, report.time)
        self.believed |= {("index", coin): price for coin, price in report.indexes.items()}
        for name, price in report.instruments.items():
            row = self.view.by_name.get(name)
            if row is not None and row.base in report.indexes:
                self.believed |= _numbers(row, price, report.indexes[row.base])

    def _jumps(self, key: Key, value: float, before: float | None) -> bool:
        most = self.cadence.volatility_jump if key[0] == "volatility" else self.cadence.jump
        return before is None or abs(value - before) > most * before

    def _live(self) -> list[Listing]:
        return [row for row in self.view.listings.values() if not row.expired]

    def _past(self, row: Listing, now_ms: int) -> bool:
        return 0 < row.spec.expiry <= now_ms * 1_000_000


def _report_of(note: bytes) -> Report | None:
    """The report of a note; None for a note of another build."""
    try:
        found = msgspec.json.decode(note)
        return msgspec.convert({name: found[name] for name in Report.__struct_fields__ if name in found}, Report)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, RecursionError):
        return None


def _numbers(row: Listing, price: Price, index: float) -> dict[Key, float]:
    """Forward in dollars and, of an option, volatility. Raises InputError."""
    found: dict[Key, float] = {("forward", row.name): _forward(row, price, index)}
    field = f"instruments.{row.name}.volatility"
    if row.option:
        if price.volatility is None:
            raise InputError(field, None, "must be there: an option's mark follows from it")
        found["volatility", row.name] = number(field, price.volatility, above=0.0, at_most=VOLATILITY_MAX)
    elif price.volatility is not None:
        raise InputError(field, price.volatility, "is of options alone")
    return found


def _forward(row: Listing, price: Price, index: float) -> float:
    """In dollars. Raises InputError."""
    where = f"instruments.{row.name}"
    if (price.forward is None) == (price.basis is None):
        raise InputError(where, price.forward, "must have either a forward or a basis")
    if price.basis is None:
        return positive(f"{where}.forward", price.forward, at_most=PRICE_USD_MAX)
    return index * (1 + number(f"{where}.basis", price.basis, above=-BASIS_MAX, at_most=BASIS_MAX))
