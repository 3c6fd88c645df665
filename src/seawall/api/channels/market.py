"""Tickers, quotes, trades, candles, funding, indexes."""

from typing import Any, Final

from seawall.api.channels.channel import FAST, Changing, Channel, Gathering, OfListing, Push, Topic
from seawall.api.listing import Listing
from seawall.api.options import mark_volatility
from seawall.api.shapes import public_trade
from seawall.api.tickers import current_funding, index_price, mark_price, quote, ticker

_ALWAYS: Final = ("timestamp", "instrument_name")


class Ticker(Changing):
    """`ticker.{instrument}.{interval}`."""

    def topics(self) -> list[Topic]:
        """Whatever a ticker is made of."""
        number = self.listing.number
        return [("book", number), ("mark", number), ("trades", number), ("state",), ("index", self.listing.index)]

    def now(self) -> dict[str, Any]:
        """The ticker."""
        return ticker(self.view, self.listing)


class IncrementalTicker(OfListing):
    """`incremental_ticker.{instrument}`: a whole ticker, then the fields that changed."""

    def __init__(self, hub: Any, listing: Listing) -> None:
        super().__init__(hub, listing, FAST)
        self._told = ticker(self.view, listing)

    def topics(self) -> list[Topic]:
        """Whatever a ticker is made of."""
        number = self.listing.number
        return [("book", number), ("mark", number), ("trades", number), ("state",), ("index", self.listing.index)]

    def due(self) -> list[Any]:
        """What changed."""
        made = ticker(self.view, self.listing)
        changed = {name: value for name, value in made.items() if self._told.get(name, self) != value}
        self._told = made
        if not changed.keys() - set(_ALWAYS):
            return []
        return [{"type": "change", **{name: made[name] for name in _ALWAYS}, **changed}]

    def first(self, push: Push) -> None:
        """The ticker as last told."""
        push({"type": "snapshot", **self._told})


class Quote(Changing):
    """`quote.{instrument}`."""

    def topics(self) -> list[Topic]:
        """Changes of its book."""
        return [("book", self.listing.number)]

    def now(self) -> dict[str, Any]:
        """Best bid and ask."""
        return quote(self.view, self.listing)


class Trades(Gathering):
    """`trades.{instrument}.{interval}`, `trades.{kind}.{currency}.{interval}`."""

    def topics(self) -> list[Topic]:
        """Trades."""
        return [self.chosen.topic("trades")]

    def due(self) -> list[Any]:
        """The trades since the message before, as one list."""
        trades = self.gathered()
        return [[public_trade(self.view, trade) for trade in trades]] if trades else []


class Candles(OfListing):
    """`chart.trades.{instrument}.{resolution}`: the current candle at once, then those that a trade changed."""

    def __init__(self, hub: Any, listing: Listing, resolution: str) -> None:
        super().__init__(hub, listing, FAST)
        self._resolution = resolution
        self._told = self.view.now_ms

    def topics(self) -> list[Topic]:
        """Its trades."""
        return [("trades", self.listing.number)]

    def _since(self, start_ms: int) -> list[Any]:
        series = self.view.statistics.series.get(self.listing.number)
        if series is None:
            return []
        return [
            {
                "tick": candle.start_ms,
                "open": candle.open,
                "high": candle.high,
                "low": candle.low,
                "close": candle.close,
                "volume": round(candle.volume, 8),
                "cost": round(candle.cost, 2),
            }
            for candle in series.filled(self._resolution, start_ms, self.view.now_ms)
        ]

    def due(self) -> list[Any]:
        """The candles from the one last told on."""
        rows = self._since(self._told)
        self._told = self.view.now_ms
        return rows

    def first(self, push: Push) -> None:
        """The current one, flat if nothing traded in it; none before the first trade."""
        for row in self._since(self.view.now_ms):
            push(row)


class Perpetual(Changing):
    """`perpetual.{instrument}.{interval}`: its funding rate."""

    def topics(self) -> list[Topic]:
        """Its mark and index."""
        return [("mark", self.listing.number), ("index", self.listing.index)]

    def now(self) -> dict[str, Any]:
        """Rate for 8 hours, index."""
        return {
            "interest": current_funding(self.view, self.listing),
            "index_price": index_price(self.view, self.listing),
            "timestamp": self.view.now_ms,
        }


class OfIndex(Channel):
    """A channel about one index; tells whatever `now` is, whenever it changed."""

    def __init__(self, hub: Any, index: str) -> None:
        super().__init__(hub)
        self.index = index
        self._told: Any = None

    def topics(self) -> list[Topic]:
        """The index."""
        return [("index", self.index)]

    def price(self) -> float:
        """Of the index, in dollars."""
        return self.view.index_prices.get(self.index, 0.0)

    def now(self) -> tuple[Any, Any]:
        """What decides whether it changed, and what there is to tell."""
        raise NotImplementedError

    def due(self) -> list[Any]:
        """It, if it changed."""
        key, made = self.now()
        if key == self._told:
            return []
        self._told = key
        return [made]

    def first(self, push: Push) -> None:
        """It."""
        self._told, made = self.now()
        push(made)


class IndexPrice(OfIndex):
    """`deribit_price_index.{index}`."""

    def now(self) -> tuple[Any, Any]:
        """Its price."""
        price = self.price()
        return price, {"index_name": self.index, "price": price, "timestamp": self.view.now_ms}


class VolatilityIndex(OfIndex):
    """`deribit_volatility_index.{index}`."""

    def now(self) -> tuple[Any, Any]:
        """Percent a year."""
        known = self.view.statistics.indexes.get(self.index)
        percent = round(known.volatility, 4) if known is not None else 0.0
        return percent, {"index_name": self.index, "volatility": percent, "timestamp": self.view.now_ms}


class OptionMarks(OfIndex):
    """`markprice.options.{index}`: all options on an index, their volatility as a fraction."""

    def topics(self) -> list[Topic]:
        """Publications."""
        return [("marks",)]

    def now(self) -> tuple[Any, Any]:
        """Marks of what has not expired."""
        view = self.view
        options = [
            listing
            for listing in view.listings.values()
            if listing.option and not listing.expired and listing.index == self.index and listing.number in view.marks
        ]
        key = [(listing.number, view.marks[listing.number]) for listing in options]
        return key, [
            {
                "instrument_name": listing.name,
                "mark_price": mark_price(view, listing),
                "iv": round(mark_volatility(view, listing), 4),
                "timestamp": view.now_ms,
            }
            for listing in options
        ]


class ExpirationPrice(OfIndex):
    """`estimated_expiration_price.{index}`: of what expires next."""

    def now(self) -> tuple[Any, Any]:
        """The index, and seconds until the next expiry."""
        ends = [
            listing.expiration_ms
            for listing in self.view.listings.values()
            if listing.index == self.index and not listing.expired and not listing.perpetual
        ]
        seconds = max(0, (min(ends) - self.view.now_ms) // 1000) if ends else 0
        price = self.price()
        return price, {"price": price, "seconds": seconds, "is_estimated": False}
