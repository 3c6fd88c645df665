"""What the market did: candles, 24 hours, funding, volatility, settlements, folded from each frame's changes.

Every series has an end, so memory is bounded; what is older is in the journal. Candles are kept only where something
traded; gaps are filled when asked for.
"""

import math
from bisect import bisect_left
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from seawall.api.listing import Listing
from seawall.api.options import mark_volatility
from seawall.vocabulary.records import Kind

if TYPE_CHECKING:
    from seawall.api.view import Changes, Trade, View

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
RESOLUTIONS: Final = {
    **{str(minutes): minutes * MINUTE_MS for minutes in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)},
    "1D": DAY_MS,
}
"""Length of a candle by its name."""

CANDLES_MAX: Final = 5_000
HOURS_KEPT: Final = 24 * 62
SETTLEMENTS_KEPT: Final = 2_000
EXPIRED_KEPT: Final = 500
"""Instruments that expired, of which candles are kept."""

FUNDING_MAX: Final = 744
VOLATILITY_HOURS: Final = 15 * 24
"""Hours that the historical volatility looks back."""

_STEP: Final = "10"
_MINUTES_PER_YEAR: Final = 365 * 24 * 60
_NEAR_DAYS: Final = 30


class Candle:
    """Prices in the dialect's unit; `volume` in coin, `cost` in dollars."""

    __slots__ = ("close", "cost", "high", "low", "open", "start_ms", "volume")

    def __init__(self, start_ms: int, price: float) -> None:
        self.start_ms = start_ms
        self.open = self.high = self.low = self.close = price
        self.volume = self.cost = 0.0

    def add(self, price: float, volume: float, cost: float) -> None:
        """One more trade."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += volume
        self.cost += cost


class Day:
    """The last 24 hours of an instrument, in steps of ten minutes; None before the first trade."""

    __slots__ = ("change", "high", "low", "usd", "volume")

    def __init__(self) -> None:
        self.high: float | None = None
        self.low: float | None = None
        self.change: float | None = None
        self.volume = self.usd = 0.0


class Series:
    """Candles of everything that is sampled: of one instrument's trades, of a volatility index."""

    __slots__ = ("candles", "last_price")

    def __init__(self, resolutions: tuple[str, ...] = tuple(RESOLUTIONS)) -> None:
        self.candles: dict[str, deque[Candle]] = {name: deque(maxlen=CANDLES_MAX) for name in resolutions}
        self.last_price = 0.0

    def add(self, at_ms: int, price: float, volume: float = 0.0, cost: float = 0.0) -> None:
        """Put a trade, or a sample, into the candle of each resolution."""
        self.last_price = price
        for name, candles in self.candles.items():
            length = RESOLUTIONS[name]
            if not candles or at_ms >= candles[-1].start_ms + length:
                candles.append(Candle(at_ms - at_ms % length, price))
            candles[-1].add(price, volume, cost)

    def filled(self, resolution: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Candles from `start_ms` to `end_ms`, the newest 5000 at most, with flat ones where nothing happened.

        None before the first trade known. Both ends are taken in.
        """
        length, candles = RESOLUTIONS[resolution], self.candles[resolution]
        if not candles:
            return []
        start = max(start_ms - start_ms % length, candles[0].start_ms)
        end = end_ms - end_ms % length
        start = max(start, end - (CANDLES_MAX - 1) * length)
        known = {candle.start_ms: candle for candle in candles if start <= candle.start_ms <= end}
        before = next((candle for candle in reversed(candles) if candle.start_ms < start), None)
        found: list[Candle] = []
        for at in range(start, end + 1, length):
            candle = known.get(at)
            if candle is None:
                last = found[-1] if found else before
                if last is None:
                    continue
                candle = Candle(at, last.close)
            found.append(candle)
        return found


class Index:
    """What an index did: squared returns by the hour, and how the options on it were quoted."""

    __slots__ = ("at_ms", "hours", "implied", "price", "volatility")

    def __init__(self) -> None:
        self.price, self.at_ms = 0.0, 0
        self.hours: deque[list[float]] = deque(maxlen=HOURS_KEPT)
        """[start ms, sum of squared log returns, minutes they span, price at the end]."""
        self.implied = Series(("1", "60", "720", "1D"))
        self.volatility = 0.0
        """Percent a year, as the options nearest to 30 days and to the money are marked; 0 without options."""

    def take(self, now_ms: int, price: float) -> None:
        """A price; a return is taken each minute."""
        hour = now_ms - now_ms % HOUR_MS
        if not self.hours or hour > self.hours[-1][0]:
            self.hours.append([hour, 0.0, 0.0, price])
        self.hours[-1][3] = price
        if not self.at_ms:
            self.price, self.at_ms = price, now_ms
        minutes = (now_ms - self.at_ms) / MINUTE_MS
        if minutes >= 1 and price > 0:
            self.hours[-1][1] += math.log(price / self.price) ** 2
            self.hours[-1][2] += minutes
            self.price, self.at_ms = price, now_ms

    def realised(self) -> list[tuple[int, float]]:
        """[ms, percent a year] for each hour: of the returns of up to 15 days before its end."""
        found, squares, minutes = [], 0.0, 0.0
        rows = list(self.hours)
        for position, row in enumerate(rows):
            squares, minutes = squares + row[1], minutes + row[2]
            if position >= VOLATILITY_HOURS:
                old = rows[position - VOLATILITY_HOURS]
                squares, minutes = squares - old[1], minutes - old[2]
            if minutes > 0:
                found.append((int(row[0]), 100 * math.sqrt(max(squares, 0.0) / minutes * _MINUTES_PER_YEAR)))
        return found


class Statistics:
    """All of it, of one venue. `take` hears what a frame changed; the rest are looks."""

    def __init__(self) -> None:
        self.series: dict[int, Series] = {}
        self.indexes: dict[str, Index] = {}
        self.funding: dict[int, deque[dict[str, Any]]] = {}
        """Hourly records of the dialect, oldest first, by instrument."""
        self.deliveries: dict[str, dict[str, float]] = {}
        """Delivery price by date, by index, oldest first."""
        self.settlements: deque[dict[str, Any]] = deque(maxlen=SETTLEMENTS_KEPT)
        self._days: dict[int, tuple[tuple[int, int], Day]] = {}
        self._expired: deque[int] = deque()
        self._sampled_ms = 0

    def take(self, view: "View", changes: "Changes") -> None:
        """Fold what one frame changed."""
        for trade in changes.trades:
            self._trade(view, trade)
        for note in changes.notes:
            if note.get("note") == "funding":
                self._funded(view, note)
        for kind, number, held in changes.money:
            if kind != Kind.FUNDING and number in view.listings:
                self._settled(view, view.listings[number], held, expired=kind == Kind.EXPIRE)
        if changes.marks and view.now_ms >= self._sampled_ms + 1000:
            self._sampled_ms = view.now_ms
            self._sample(view)

    # -- the fold ----------------------------------------------------------------------------------------------------

    def _trade(self, view: "View", trade: "Trade") -> None:
        listing = view.listings[trade.instrument]
        price = listing.price(trade.price)
        coins, dollars = worth(view, listing, trade.quantity, price)
        series = self.series.get(trade.instrument)
        if series is None:
            series = self.series[trade.instrument] = Series()
        series.add(trade.at_ms, price, coins, dollars)

    def _funded(self, view: "View", note: dict[str, Any]) -> None:
        number = int(note["instrument"])
        listing = view.listings.get(number)
        if listing is None:
            return
        rows = self.funding.setdefault(number, deque(maxlen=HOURS_KEPT))
        hour = int(note.get("hour_ms", view.now_ms - view.now_ms % HOUR_MS))  # one that was missed is made up for later
        index = view.index_prices.get(listing.index, 0.0)
        if rows and rows[-1]["timestamp"] >= hour:
            hour = rows[-1]["timestamp"]
            rows.pop()
        rows.append(
            {
                "timestamp": hour,
                "index_price": index,
                "prev_index_price": rows[-1]["index_price"] if rows else index,
                "interest_8h": float(note["rate_8h"]),
                "interest_1h": float(note["rate_1h"]),
            }
        )

    def _settled(self, view: "View", listing: Listing, held: int, *, expired: bool) -> None:
        mark = listing.price(view.marks.get(listing.number, 0))
        index = view.index_prices.get(listing.index, 0.0)
        self.settlements.append(
            {
                "type": "delivery" if expired else "settlement",
                "timestamp": view.now_ms,
                "instrument_name": listing.name,
                "index_price": listing.delivery_price if expired else index,
                "mark_price": mark,
                "position": listing.amount(held),
                "session_profit_loss": 0.0,
                "profit_loss": 0.0,
                "funding": 0.0,
            }
        )
        if not expired:
            return
        dates = self.deliveries.setdefault(listing.index, {})
        dates[date_of(listing.expiration_ms)] = listing.delivery_price
        if len(dates) > SETTLEMENTS_KEPT:
            dates.pop(next(iter(dates)))
        self._expired.append(listing.number)
        if len(self._expired) > EXPIRED_KEPT:
            old = self._expired.popleft()
            self.series.pop(old, None)
            self._days.pop(old, None)

    def _sample(self, view: "View") -> None:
        """Once a second at most: the indexes, and what the options say of their volatility."""
        for name, price in view.index_prices.items():
            index = self.indexes.get(name)
            if index is None:
                index = self.indexes[name] = Index()
            index.take(view.now_ms, price)
            volatility = at_the_money(view, name, price)
            if volatility:
                index.volatility = volatility
                index.implied.add(view.now_ms, volatility)

    # -- looks -------------------------------------------------------------------------------------------------------

    def day(self, number: int, now_ms: int) -> Day:
        """The last 24 hours of an instrument."""
        series = self.series.get(number)
        if series is None:
            return Day()
        candles = series.candles[_STEP]
        newest = candles[-1]
        key = (now_ms // RESOLUTIONS[_STEP], hash((newest.volume, newest.close, newest.start_ms)))
        kept = self._days.get(number)
        if kept is not None and kept[0] == key:
            return kept[1]
        day, since = Day(), now_ms - DAY_MS
        first: Candle | None = None
        for candle in reversed(candles):
            if candle.start_ms < since:
                break
            first = candle
            day.high = candle.high if day.high is None else max(day.high, candle.high)
            day.low = candle.low if day.low is None else min(day.low, candle.low)
            day.volume += candle.volume
            day.usd += candle.cost
        if first is not None and first.open:
            day.change = 100 * (newest.close - first.open) / first.open
        self._days[number] = (key, day)
        return day

    def funding_between(self, number: int, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Hourly funding records from `start_ms` up to `end_ms`, oldest first."""
        rows = list(self.funding.get(number, ()))
        stamps = [row["timestamp"] for row in rows]
        return rows[bisect_left(stamps, start_ms) : bisect_left(stamps, end_ms + 1)]


def worth(view: "View", listing: Listing, lots: int, price: float) -> tuple[float, float]:
    """Coins of the underlying, and dollars, that so many lots are at a price."""
    amount = listing.amount(lots)
    if listing.inverse:
        return (amount / price if price else 0.0), amount
    if listing.option and listing.quote == listing.base:
        return amount, amount * price * view.index_prices.get(listing.index, 0.0)
    return amount, amount * price


def at_the_money(view: "View", index: str, price: float) -> float:
    """Percent a year: mean mark volatility of call and put nearest to the money, of the expiry nearest to 30 days."""
    best: tuple[float, float] = (math.inf, math.inf)
    found: list[Listing] = []
    for number in view.volatilities:
        listing = view.listings.get(number)
        if listing is None or listing.expired or listing.index != index:
            continue
        days = (listing.expiration_ms - view.now_ms) / DAY_MS
        distance = (abs(days - _NEAR_DAYS), abs(listing.strike() - price))
        if distance < best:
            best, found = distance, []
        if distance == best:
            found.append(listing)
    return 100 * sum(mark_volatility(view, listing) for listing in found) / len(found) if found else 0.0


def date_of(milliseconds: int) -> str:
    """A date as YYYY-MM-DD."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%d")
