"""Prices of a venue that people run: reports of their own price process, checked, believed, journalled, published.

A report names coins, and of each its index and every instrument that is live: a future's or perpetual's mark, an
option's forward and volatility. It is taken whole or not at all:

refused   a number that is none or out of its range, an instrument missing or not listed, a time that is old or ahead, a
          mark out of its band: field, value and rule are told, and an alert is raised
doubted   a number further than `jump` from its anchor, or the first of its kind: it is believed when a report that
          comes `confirm_s` later by the venue's clock says the same: one bad tick is never published. The anchor is a
          number that was believed, and moves on at most once in `confirm_s`: small steps in a hurry are a jump, too
believed  the index prices go to the journal as INDEX commands, and where the publisher says that a block is due (see
          `seawall.node.publishing`) a note "prices" with the report, and PUBLISH

Nothing else makes prices: without reports the engine sees the age of what it has, and lets reducing orders through and
nothing else (C17). Its clock begins at the publication, so a report is a few seconds old at most. What a restart knows
are the reports that were published: their notes, see `record`. A currency that nothing listed is of has nothing to
publish: a note "rates" has its price, and accounts that hold it are not valued by one that is late.

Where the engine refuses a publication, the index prices before it stand, and are believed; marks and risk age.

A depth is no price: nothing waits for a second word of it, and it moves by at most `jump` a report, the first from the
model's parameter, so a bad one makes margin dearer by a little for a second. The model holds it to its parameter.

An instrument past its expiry is published at its last price until its delivery is journalled: the engine wants whole
blocks. Reports may name it or not. A premium below one tick is one tick.
"""

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from seawall.api.listing import Listing
from seawall.api.operations.journalling import Act, Denied, Writer
from seawall.api.operations.record import Record
from seawall.node import Configuration
from seawall.node.configuration import Margin
from seawall.node.publishing import Publisher, Quoted, Told
from seawall.prices.index import Constituent, IndexRule, index_price
from seawall.risk import BlockMarket, CurrencyMarket
from seawall.risk.cadence import Cadence
from seawall.risk.market import DEPTH_MAX, VOLATILITY_MAX
from seawall.venues.contracts import DOLLARS
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError, SeawallError
from seawall.vocabulary.hours import DAY_NS
from seawall.vocabulary.numbers import number, positive
from seawall.vocabulary.records import Kind

PRICE_USD_MAX: Final = 1e9
"""Dollars: no coin is dearer."""

AHEAD_MS: Final = 1_000
"""How far a report's clock may be ahead of the venue's."""

BEHIND_MS: Final = 5_000
"""How far behind: what is published is as old as the report, and its age is counted from the publication."""

DOLLAR_LEAST: Final = 0.01
DOLLAR_MOST: Final = 1.02
"""Dollars of a stablecoin. Beyond, its source is wrong; above one dollar none that is owned counts."""

BASIS_MAX: Final = 1.0
SURFACE_AGE_MS: Final = 3_600_000
YEAR_NS: Final = 365 * DAY_NS

SOURCES_MIN: Final = 3
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
    `depths`: dollars of a coin that can be closed elsewhere within the margin period, for each settlement currency.

    Options without a volatility take theirs from the coin's surface, a calibration as `seawall surface fit` writes it,
    at their log-moneyness and expiry."""

    time: int
    indexes: dict[str, float] = {}
    instruments: dict[str, Price] = {}
    sources: dict[str, list[Source]] = {}
    surfaces: dict[str, Any] = {}
    depths: dict[str, float] = {}

    def resolved(self, now_ms: int, behind_ms: int) -> "Report":
        """The same with the index of every coin that has sources, of those no further behind and no further ahead than
        the report itself may be: its age counts from the publication. Raises InputError."""
        made = dict(self.indexes)
        rule = IndexRule(age_max_ns=behind_ms * 1_000_000, sources_min=SOURCES_MIN)
        for coin, sources in self.sources.items():
            if coin in made:
                raise InputError(f"indexes.{coin}", made[coin], "must not stand beside sources of the coin")
            given = [_constituent(source, now_ms) for source in sources]
            try:
                made[coin] = index_price(given, now_ms * 1_000_000, rule).price
            except InputError as error:
                raise InputError(f"sources.{coin[:64]}", error.value, f"{error.field}: {error.rule}") from error
        return msgspec.structs.replace(self, indexes=made, sources={})


class Said(NamedTuple):
    """A number that was doubted, or what a jump is measured from: its value, when by the venue's clock, and by the
    report's (milliseconds)."""

    value: float
    at: int
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
        self.cadence: Cadence = configuration.publisher
        self.adopt(configuration)
        self.published: dict[str, int] = {}
        """When each coin's blocks were last published, in milliseconds of the journal's clock."""
        self.times: dict[str, int] = {}
        """Of the last report believed, by coin, in milliseconds of its own clock."""
        self.believed: dict[Key, float] = {}
        self.depths: dict[str, float] = {}
        self.doubted: dict[Key, Said] = {}
        self.anchors: dict[Key, Said] = {}
        self._waits: dict[str, Report] = {}  # believed and not published yet, by coin
        self._lock = asyncio.Lock()
        for note, time_ms in record.prices.values():
            report = _report_of(note)
            if report is not None:
                self._believe(self._known(report), report, time_ms)
                self.published |= dict.fromkeys(report.indexes, time_ms)

    def adopt(self, configuration: Configuration) -> None:
        """Publish by this margin model and these parameters from now on; every block is due."""
        self.margin, self.service.margin_model = configuration.margin, configuration.margin.model
        self.publisher = Publisher(configuration.model(), configuration.publisher)

    def imagine(self, configuration: Configuration) -> list[int]:
        """What other parameters would publish at the prices now, as words. Raises InputError where one is missing."""
        coins = sorted({row.base for row in self._live()})
        for coin in coins:
            if ("index", coin) not in self.believed:
                raise InputError(f"indexes.{coin}", None, "has no price yet: report it first")
        now_ms = int(self.service.clock_ms())
        report = Report(now_ms, {coin: self.believed["index", coin] for coin in coins}, depths=self.depths)
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
            if coin in DOLLARS:
                price = number(f"indexes.{coin}", price, at_least=DOLLAR_LEAST, at_most=DOLLAR_MOST)
            numbers["index", coin] = positive(f"indexes.{coin}", price, at_most=PRICE_USD_MAX)
            before = self.times.get(coin, 0)
            if report.time <= before:
                raise InputError("time", report.time, f"must be after the last report of {coin}, {before}")
        for coin, depth in report.depths.items():
            if coin not in report.indexes:
                raise InputError(f"depths.{coin[:64]}", depth, "must be of a coin with an index")
            positive(f"depths.{coin}", depth, at_most=DEPTH_MAX)
        oldest = now_ms - self._behind_ms
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

    def _kept(self, report: Report, now_ms: int) -> Report:
        """The report with the last price of what awaits its delivery, whatever it says of it: its note is all that a
        restart knows."""
        made = dict(report.instruments)
        for row in self._live():
            forward = self.believed.get(("forward", row.name))
            if row.base in report.indexes and self._past(row, now_ms) and forward is not None:
                made[row.name] = Price(forward=forward, volatility=self.believed.get(("volatility", row.name)))
        return msgspec.structs.replace(report, instruments=made)

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
                    if self._past(row, now_ms):
                        del made[row.name]  # its last price stands until it is delivered
                        continue
                    forward = _forward(row, price, positive(f"indexes.{coin}", report.indexes.get(coin)))
                    years = (row.spec.expiry - found.time_ns) / YEAR_NS
                    volatility = float(surface.volatility(math.log(row.strike() / forward), years))
                    made[row.name] = msgspec.structs.replace(price, volatility=volatility)
        return msgspec.structs.replace(report, instruments=made, surfaces={})

    def doubt(self, numbers: Mapping[Key, float], time_ms: int, now_ms: int) -> list[str]:
        """Which numbers wait for a second report; what an earlier one said of them is confirmed now."""
        waiting = []
        for key, value in numbers.items():
            said = self.doubted.get(key)
            if not self._jumps(key, value, self.anchors.get(key)):
                self.doubted.pop(key, None)
            elif said is None or self._jumps(key, value, said) or now_ms < said.at:
                self.doubted[key] = Said(value, now_ms, time_ms)
                waiting.append(f"{key[0]} of {key[1]}")
            elif now_ms - said.at < self._confirm_ms or time_ms <= said.time:
                waiting.append(f"{key[0]} of {key[1]}")
        return waiting

    async def report(self, by: str, report: Report, *, dry_run: bool = False) -> Answered:
        """Take a report. Raises InputError for a bad one, Denied, Overloaded, OutcomeUnknown; then it is not
        believed."""
        async with self._lock:
            now_ms = int(self.service.clock_ms())
            report = self._smiled(self._kept(report.resolved(now_ms, self._behind_ms), now_ms), now_ms)
            numbers = self.check(report, now_ms)
            report = self._steadied(report)
            told = self._told(report, numbers, now_ms)
            await asyncio.to_thread(self.publisher.check, told)
            index_commands = self._index_commands(told)
            if dry_run:
                return Answered(False, [], [])
            waiting = self.doubt(numbers, report.time, now_ms)
            if waiting:
                return Answered(False, [], waiting)
            try:
                published = await self._send(report, told, by, index_commands)
            except Denied as denied:
                if denied.kind == Kind.PUBLISH:  # the index prices before it stand
                    indexes = {key: value for key, value in numbers.items() if key[0] == "index"}
                    self._believe(indexes, report, now_ms)
                raise
            self._believe(numbers, report, now_ms)
            return Answered(True, published, [])

    async def tick(self) -> None:
        """Publish what came too soon after a publication, or moved too little, once it is due. Raises as `report`."""
        async with self._lock:
            waits, self._waits = self._waits, {}
            failed: SeawallError | None = None
            for _, report in sorted(waits.items()):
                now_ms = int(self.service.clock_ms())
                if now_ms - report.time > self._behind_ms:
                    continue  # the engine counts a publication's age from now on
                try:
                    await self._send(report, self._told(report, self.believed, now_ms), "seawall")
                except SeawallError as error:  # of this coin; the next report of it says more
                    failed = failed or error
            if failed is not None:
                raise failed

    def late(self, now_ms: int) -> dict[str, int]:
        """Milliseconds since their last publication, of coins with live instruments that are late."""
        most = self._late_ms
        coins = {row.base for row in self._live()} & self.published.keys()
        return {coin: now_ms - self.published[coin] for coin in sorted(coins) if now_ms - self.published[coin] > most}

    def fresh(self, now_ms: int) -> list[Listing]:
        """What is live and not past its expiry, of coins that were published and are not late."""
        late = self.late(now_ms)
        return [row for row in self._live() if row.base in self.published.keys() - late and not self._past(row, now_ms)]

    def rows(self) -> list[dict[str, Any]]:
        """What is known of each coin, for people."""
        return [
            {
                "coin": coin,
                "index": self.believed.get(("index", coin)),
                "depth": self.depths.get(coin),
                "reported": time,
                "published": self.published.get(coin),
            }
            for coin, time in sorted(self.times.items())
        ]

    # -- inner -------------------------------------------------------------------------------------------------------

    async def _send(self, report: Report, told: Told, by: str, indexes: Iterable[Act] = ()) -> list[str]:
        """Journal index prices and, of blocks that are due, the report and its publication; returns their coins."""
        for coin in report.indexes:
            self._waits.pop(coin, None)
        publisher = self.publisher  # other parameters may take effect meanwhile; then this one remembers for nobody
        now_ms, acts = told.time_ns // 1_000_000, list(indexes)
        blocks = publisher.due(told)
        published = sorted({told.blocks[block].underlying for block in blocks})
        noted: Collection[str] = published
        if blocks:
            publication = (await asyncio.to_thread(publisher.publish, told, blocks)).encode()
            version = await self.writer.look(lambda: self.service.node.fold.engine.catalogue.version)
            acts.append(Act(Kind.TIME, {}, _note("prices", report, by)))
            acts.append(Act(Kind.PUBLISH, {"version": version + 1}, publication))
        elif told.blocks:
            self._waits |= {coin: _of(report, coin, self.view.by_name) for coin in report.indexes}
        elif any(now_ms - self.published.get(coin, 0) >= self.cadence.least_s * 1000 for coin in report.indexes):
            acts.append(Act(Kind.TIME, {}, _note("rates", report, by)))
            noted = report.indexes
        if acts:
            await self.writer.write(acts)
        publisher.remember(told, blocks)
        self.published |= dict.fromkeys(noted, now_ms)
        return published

    def _told(self, report: Report, numbers: Mapping[Key, float], now_ms: int, margin: Margin | None = None) -> Told:
        """Prices as the publisher takes them: in ticks, by number."""
        known, imagined = {**self.believed, **numbers}, margin is not None
        margin, now_ns = margin or self.margin, now_ms * 1_000_000
        blocks, instruments = {}, {}
        for row in self._live():
            if row.base not in report.indexes:
                continue
            index, forward = report.indexes[row.base], known.get(("forward", row.name))
            past = self._past(row, now_ms)
            if forward is None:
                rule = (
                    "expired before it had a price: deliver it first" if past else "has no price yet: report it first"
                )
                raise InputError(f"instruments.{row.name}", None, rule)
            spec = replace(row.spec, expiry=now_ns + 1) if past else row.spec
            tick = row.delivery_tick if row.option else row.tick
            volatility = known.get(("volatility", row.name), 0.0)
            held = self.view.open_interest.get(row.number, 0)
            quoted = Quoted(spec, index * tick[1] / tick[0], forward * tick[1] / tick[0], volatility, held)
            instruments[row.number] = quoted
            blocks[spec.block] = BlockMarket(row.base, index, report.depths.get(row.base))
        elsewhere = {row.base for row in self._live()} - report.indexes.keys()
        settles = {item.spec.currency for item in instruments.values()}
        currencies = {}
        for currency, (name, decimals) in self.view.currencies.items():
            price = known.get(("index", name), 1.0 if name in DOLLARS else None)
            if price is not None and (currency in settles or name not in elsewhere):
                age = now_ms - self.times.get(name, now_ms)
                if blocks and name not in report.indexes and age > self._late_ms and not imagined:
                    rule = f"values accounts, and is {age} ms old: report it, at least each {self._late_ms} ms"
                    raise InputError(f"indexes.{name}", price, rule)
                rates = margin.coin_haircut, margin.coin_markup
                if name in DOLLARS:
                    rates = max(0.0, 1.0 - 1.0 / price), 0.0  # one that is owned counts as a dollar at most
                currencies[currency] = CurrencyMarket(price, decimals, *rates, name=name)
        return Told(now_ns, currencies, blocks, instruments)

    def _index_commands(self, told: Told) -> list[Act]:
        """INDEX commands of what is no option; options have no index in their ticks. Raises InputError."""
        made = []
        for instrument, item in told.instruments.items():
            row = self.view.listings[instrument]
            if not row.option:
                price = round(item.index)
                if not 1 <= price <= bounds.PRICE_MAX:
                    rule = f"must lie in [1, {bounds.PRICE_MAX}] ticks of {row.name}"
                    raise InputError(f"indexes.{row.base}", price, rule)
                made.append(Act(Kind.INDEX, {"instrument": instrument, "price": price}))
        return made

    def _known(self, report: Report) -> dict[Key, float]:
        """The numbers of a report that was published once, of what is known today."""
        found: dict[Key, float] = {("index", coin): price for coin, price in report.indexes.items()}
        for name, price in report.instruments.items():
            row = self.view.by_name.get(name)
            if row is not None and row.base in report.indexes:
                found |= _numbers(row, price, report.indexes[row.base])
        return found

    def _steadied(self, report: Report) -> Report:
        """The report with depths no further than `jump` from the last ones, the first from what the model has."""
        made, jump = {}, self.cadence.jump
        most = getattr(self.publisher.model, "depth", None)
        for coin, depth in report.depths.items():
            before = self.depths.get(coin)
            if most is not None:  # what is above it counts as it, and a fall is not to begin higher
                before = most(coin) if before is None else min(before, most(coin))
            made[coin] = depth if before is None else min(max(depth, before * (1 - jump)), before * (1 + jump))
        return msgspec.structs.replace(report, depths=made)

    def _believe(self, numbers: Mapping[Key, float], report: Report, now_ms: int) -> None:
        self.times |= dict.fromkeys(report.indexes, report.time)
        for coin in report.indexes:  # a report says all there is: without a depth it is the model's again
            self.depths.pop(coin, None)
        self.depths |= report.depths
        self.believed |= numbers
        for key, value in numbers.items():
            self.doubted.pop(key, None)  # what it confirmed does not confirm another jump
            anchor = self.anchors.get(key)
            if self._jumps(key, value, anchor) or anchor is None or not 0 <= now_ms - anchor.at < self._confirm_ms:
                self.anchors[key] = Said(value, now_ms, report.time)

    def _jumps(self, key: Key, value: float, before: Said | None) -> bool:
        most = self.cadence.volatility_jump if key[0] == "volatility" else self.cadence.jump
        return before is None or abs(value - before.value) > most * before.value

    @property
    def _late_ms(self) -> int:
        return round(self.cadence.late_s * 1000)

    @property
    def _behind_ms(self) -> int:
        return min(BEHIND_MS, self._late_ms)

    @property
    def _confirm_ms(self) -> int:
        return round(self.cadence.confirm_s * 1000)

    def _live(self) -> list[Listing]:
        return [row for row in self.view.listings.values() if not row.expired]

    def _past(self, row: Listing, now_ms: int) -> bool:
        return 0 < row.spec.expiry <= now_ms * 1_000_000


def _constituent(source: Source, now_ms: int) -> Constituent:
    """A source for the index; a clock ahead by as much as a report's may be says now."""
    time = min(source.time, now_ms) if source.time <= now_ms + AHEAD_MS else source.time
    return Constituent(source.source, source.price, time * 1_000_000, source.weight, source.excluded)


def _note(kind: str, report: Report, by: str) -> bytes:
    """What `record` hears; its first members say of which coins it is."""
    return msgspec.json.encode({"note": kind, "coins": sorted(report.indexes), "by": by, **msgspec.to_builtins(report)})


def _of(report: Report, coin: str, listings: Mapping[str, Listing]) -> Report:
    """The part of a report that is of a coin."""
    own = {
        name: price for name, price in report.instruments.items() if name in listings and listings[name].base == coin
    }
    depths = {coin: report.depths[coin]} if coin in report.depths else {}
    return Report(report.time, {coin: report.indexes[coin]}, own, depths=depths)


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
