"""Histories of the market: candles, funding, volatility, deliveries, settlements. Public, answered from statistics."""

from typing import Any, Final, Literal

from seawall.api.errors import RpcError, invalid
from seawall.api.listing import Listing
from seawall.api.methods.market import IndexName, OfInstrument, bounded, currency_of, index_named
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.api.statistics import FUNDING_MAX, HOUR_MS, RESOLUTIONS, Candle, Index
from seawall.api.tickers import current_funding
from seawall.api.view import View

_VOLATILITY_RESOLUTIONS: Final = {"60": "1", "3600": "60", "43200": "720", "1D": "1D"}
_VOLATILITY_MAX: Final = 1000
_LENGTHS: Final = {"8h": 8, "24h": 24, "1m": 30 * 24}
_RANGES: Final = {"1h": 1, "1d": 24, "2d": 48, "1m": 30 * 24, "1y": 365 * 24, "all": 10**6}


class Span(Parameters, frozen=True):
    """An instrument and a time."""

    instrument_name: str
    start_timestamp: int
    end_timestamp: int


class ChartParameters(Span, frozen=True):
    """Of get_tradingview_chart_data."""

    resolution: str | int


def resolution_of(resolution: str | int) -> str:
    """The name of a length of candles. Raises RpcError -32602."""
    name = str(resolution).upper()
    if name not in RESOLUTIONS:
        raise invalid("resolution", f"must be one of {', '.join(RESOLUTIONS)}")
    return name


def check_span(start_ms: int, end_ms: int) -> None:
    """Raise RpcError -32602 for a time that ends before it begins."""
    if start_ms > end_ms:
        raise invalid("start_timestamp", f"must not be after end_timestamp, {end_ms}")


@method("public/get_tradingview_chart_data", ChartParameters)
def get_tradingview_chart_data(service: Service, call: Call, asked: ChartParameters) -> Any:
    """Candles as arrays of one length, without gaps, the newest 5000 at most."""
    listing, resolution = service.listing(asked.instrument_name), resolution_of(asked.resolution)
    check_span(asked.start_timestamp, asked.end_timestamp)
    candles: list[Candle] = []
    series = service.view.statistics.series.get(listing.number)
    end = min(asked.end_timestamp, service.view.now_ms)
    if series is not None and asked.start_timestamp <= end:
        candles = series.filled(resolution, max(0, asked.start_timestamp), end)
    return {
        "status": "ok" if candles else "no_data",
        "ticks": [candle.start_ms for candle in candles],
        "open": [candle.open for candle in candles],
        "high": [candle.high for candle in candles],
        "low": [candle.low for candle in candles],
        "close": [candle.close for candle in candles],
        "volume": [round(candle.volume, 8) for candle in candles],
        "cost": [round(candle.cost, 2) for candle in candles],
    }


def perpetual(service: Service, name: str) -> Listing:
    """A perpetual by name. Raises RpcError 13020, 10031."""
    listing = service.listing(name)
    if not listing.perpetual:
        raise RpcError(10031, reason=f"{listing.name} is not a perpetual")
    return listing


@method("public/get_funding_rate_value", Span)
def get_funding_rate_value(service: Service, call: Call, asked: Span) -> Any:
    """Funding paid over a time, as a fraction; a row is of the hour before it, so spans side by side add up."""
    listing = perpetual(service, asked.instrument_name)
    check_span(asked.start_timestamp, asked.end_timestamp)
    rows = service.view.statistics.funding_between(listing.number, asked.start_timestamp + 1, asked.end_timestamp)
    return float(round(sum(row["interest_1h"] for row in rows), 12))


@method("public/get_funding_rate_history", Span)
def get_funding_rate_history(service: Service, call: Call, asked: Span) -> Any:
    """Hourly funding, oldest first."""
    listing = perpetual(service, asked.instrument_name)
    check_span(asked.start_timestamp, asked.end_timestamp)
    rows = service.view.statistics.funding_between(listing.number, asked.start_timestamp, asked.end_timestamp)
    return rows[-FUNDING_MAX:]


class FundingChart(OfInstrument, frozen=True):
    """Of get_funding_chart_data."""

    length: Literal["8h", "24h", "1m"] = "8h"


@method("public/get_funding_chart_data", FundingChart)
def get_funding_chart_data(service: Service, call: Call, asked: FundingChart) -> Any:
    """Funding of the last hours."""
    view, listing = service.view, perpetual(service, asked.instrument_name)
    since = view.now_ms - _LENGTHS[asked.length] * HOUR_MS
    rows = view.statistics.funding_between(listing.number, since, view.now_ms)
    names = ("timestamp", "index_price", "interest_8h")
    return {
        "current_interest": current_funding(view, listing),
        "interest_8h": round(sum(row["interest_1h"] for row in rows[-8:]), 10),
        "data": [{name: row[name] for name in names} for row in rows],
    }


# -- volatility --------------------------------------------------------------------------------------------------------


class OfCoin(Parameters, frozen=True):
    """One currency."""

    currency: str


class VolatilityChart(OfCoin, frozen=True):
    """Of get_volatility_index_data."""

    start_timestamp: int
    end_timestamp: int
    resolution: str | int


def index_of(view: View, currency: str) -> Index | None:
    """What is known of the dollar index of a currency."""
    name = currency_of(view, currency).lower()
    return view.statistics.indexes.get(f"{name}_usd")


@method("public/get_historical_volatility", OfCoin)
def get_historical_volatility(service: Service, call: Call, asked: OfCoin) -> Any:
    """Volatility of the index by the hour: [ms, percent a year]."""
    index = index_of(service.view, asked.currency)
    return [] if index is None else [[at, round(percent, 4)] for at, percent in index.realised()]


@method("public/get_volatility_index_data", VolatilityChart)
def get_volatility_index_data(service: Service, call: Call, asked: VolatilityChart) -> Any:
    """Candles of the volatility that options on a currency are marked at."""
    resolution = _VOLATILITY_RESOLUTIONS.get(str(asked.resolution).upper())
    if resolution is None:
        raise invalid("resolution", f"must be one of {', '.join(_VOLATILITY_RESOLUTIONS)}")
    check_span(asked.start_timestamp, asked.end_timestamp)
    index = index_of(service.view, asked.currency)
    end = min(asked.end_timestamp, service.view.now_ms)
    candles = [] if index is None else index.implied.filled(resolution, max(0, asked.start_timestamp), end)
    more = len(candles) > _VOLATILITY_MAX
    candles = candles[-_VOLATILITY_MAX:]
    rows = [
        [candle.start_ms, *(round(price, 4) for price in (candle.open, candle.high, candle.low, candle.close))]
        for candle in candles
    ]
    return {"data": rows, "continuation": candles[0].start_ms - 1 if more else None}


class IndexChart(IndexName, frozen=True):
    """Of get_index_chart_data."""

    range: Literal["1h", "1d", "2d", "1m", "1y", "all"] = "1d"


@method("public/get_index_chart_data", IndexChart)
def get_index_chart_data(service: Service, call: Call, asked: IndexChart) -> Any:
    """Prices of an index by the hour: [ms, price]."""
    view = service.view
    index = view.statistics.indexes.get(index_named(view, asked.index_name))
    since = view.now_ms - _RANGES[asked.range] * HOUR_MS
    return [] if index is None else [[int(row[0]), row[3]] for row in index.hours if row[0] + HOUR_MS > since]


# -- deliveries and settlements ----------------------------------------------------------------------------------------


class Deliveries(IndexName, frozen=True):
    """Of get_delivery_prices."""

    offset: int = 0
    count: int = 10


@method("public/get_delivery_prices", Deliveries)
def get_delivery_prices(service: Service, call: Call, asked: Deliveries) -> Any:
    """Delivery prices of an index, newest first."""
    dates = service.view.statistics.deliveries.get(index_named(service.view, asked.index_name), {})
    rows = [{"date": date, "delivery_price": price} for date, price in reversed(dates.items())]
    first = max(0, asked.offset)
    return {"records_total": len(rows), "data": rows[first : first + bounded(asked.count)]}


class InstrumentSettlements(OfInstrument, frozen=True):
    """Of get_last_settlements_by_instrument."""

    type: Literal["settlement", "delivery", "bankruptcy"] | None = None
    count: int = 20
    continuation: str | int | None = None
    search_start_timestamp: int | None = None


class CurrencySettlements(OfCoin, frozen=True):
    """Of get_last_settlements_by_currency."""

    type: Literal["settlement", "delivery", "bankruptcy"] | None = None
    count: int = 20
    continuation: str | int | None = None
    search_start_timestamp: int | None = None


def settlements(view: View, names: set[str], asked: InstrumentSettlements | CurrencySettlements) -> dict[str, Any]:
    """A page of settlements, newest first; `continuation` is how many were answered before."""
    text = "0" if asked.continuation in (None, "") else str(asked.continuation)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("continuation", "must be as answered before")
    rows = [
        row
        for row in reversed(view.statistics.settlements)
        if row["instrument_name"] in names
        and (asked.type is None or row["type"] == asked.type)
        and (asked.search_start_timestamp is None or row["timestamp"] <= asked.search_start_timestamp)
    ]
    first, count = int(text), bounded(asked.count)
    left = len(rows) > first + count
    return {"settlements": rows[first : first + count], "continuation": str(first + count) if left else None}


@method("public/get_last_settlements_by_instrument", InstrumentSettlements)
def get_last_settlements_by_instrument(service: Service, call: Call, asked: InstrumentSettlements) -> Any:
    """Settlements and delivery of an instrument."""
    return settlements(service.view, {service.listing(asked.instrument_name).name}, asked)


@method("public/get_last_settlements_by_currency", CurrencySettlements)
def get_last_settlements_by_currency(service: Service, call: Call, asked: CurrencySettlements) -> Any:
    """Settlements and deliveries of a currency's instruments."""
    view = service.view
    currency = currency_of(view, asked.currency)
    names = {item.name for item in view.listings.values() if currency in ("any", item.settlement)}
    return settlements(view, names, asked)


class MarkHistory(Span, frozen=True):
    """Of get_mark_price_history."""


@method("public/get_mark_price_history", MarkHistory)
def get_mark_price_history(service: Service, call: Call, asked: MarkHistory) -> Any:
    """Marks of an instrument: not kept."""
    raise RpcError(10033, reason="marks are not kept; they are in the journal")


class Yield(OfCoin, frozen=True):
    """Of get_apr_history."""


@method("public/get_apr_history", Yield)
def get_apr_history(service: Service, call: Call, asked: Yield) -> Any:
    """Yield of coins that bear one: there are none."""
    raise RpcError(10033, reason="no currency of this venue bears a yield")
