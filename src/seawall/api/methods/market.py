"""Market data: what is listed, what it costs, who traded it. Public, and answered from the view."""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any, Final, Literal

from seawall.api.errors import RpcError, invalid
from seawall.api.listing import Listing
from seawall.api.rpc import Call, Nothing, Parameters, method
from seawall.api.service import Service
from seawall.api.shapes import public_trade
from seawall.api.tickers import DEPTHS, described, pairs, summary, ticker
from seawall.api.view import Trade, View
from seawall.vocabulary.records import Scope, VenueState

COUNT_MAX: Final = 1000
_LONG: Final = {"BTC": "Bitcoin", "ETH": "Ether", "USDC": "USD Coin", "USDT": "Tether"}
_COIN_TYPES: Final = {"BTC": "BITCOIN", "ETH": "ETHER"}

Kind = Literal["future", "option", "spot", "future_combo", "option_combo", "combo", "any"]
Sorting = Literal["asc", "desc", "default"]


class OfInstrument(Parameters, frozen=True):
    """One instrument."""

    instrument_name: str


class OfCurrency(Parameters, frozen=True):
    """What settles in a currency, of a kind; all of it unless said."""

    currency: str = "any"
    kind: Kind = "any"
    expired: bool = False


def currency_of(view: View, name: str) -> str:
    """A settlement currency by its name in any case, or "any". Raises RpcError -32602."""
    known = [listed for listed, _ in view.currencies.values()]
    if name.lower() == "any":
        return "any"
    if name.upper() not in known:
        raise invalid("currency", f"must be one of {', '.join(known)}, any")
    return name.upper()


def chosen(view: View, currency: str, kind: str, *, expired: bool | None = False) -> Iterator[Listing]:
    """Listings of a currency and a kind, "any" for all; `expired` None: whether or not they expired."""
    wanted = currency_of(view, currency)
    for listing in view.listings.values():
        if expired is not None and listing.expired != expired:
            continue
        if wanted in ("any", listing.settlement) and kind in ("any", listing.kind):
            yield listing


def index_named(view: View, name: str) -> str:
    """An index by its name in any case. Raises RpcError -32602."""
    if name.lower() not in view.index_prices:
        raise invalid("index_name", f"must be one of {', '.join(sorted(view.index_prices))}")
    return name.lower()


def bounded(count: int, most: int = COUNT_MAX) -> int:
    """A count as asked, cut to the most there is. Raises RpcError -32602 below 1."""
    if count < 1:
        raise invalid("count", "must be at least 1")
    return min(count, most)


# -- what is listed ----------------------------------------------------------------------------------------------------


@method("public/get_currencies", Nothing)
def get_currencies(service: Service, call: Call, asked: Nothing) -> Any:
    """Settlement currencies."""
    return [
        {
            "currency": name,
            "currency_long": _LONG.get(name, name),
            "coin_type": _COIN_TYPES.get(name, name),
            "decimals": decimals,
            "min_confirmations": 1,
            "withdrawal_fee": 0.0,
            "network_fee": 0.0,
            "network_currency": name if name in _COIN_TYPES else "ETH",
            "apr": 0.0,
            "in_cross_collateral_pool": True,
            "withdrawal_priorities": [],
        }
        for name, decimals in service.view.currencies.values()
    ]


@method("public/get_instruments", OfCurrency)
def get_instruments(service: Service, call: Call, asked: OfCurrency) -> Any:
    """Instruments; without parameters all that have not expired."""
    found = chosen(service.view, asked.currency, asked.kind, expired=asked.expired)
    return [described(service.view, listing, call.account) for listing in found]


@method("public/get_instrument", OfInstrument)
def get_instrument(service: Service, call: Call, asked: OfInstrument) -> Any:
    """One instrument."""
    return described(service.view, service.listing(asked.instrument_name), call.account)


@method("public/get_contract_size", OfInstrument)
def get_contract_size(service: Service, call: Call, asked: OfInstrument) -> Any:
    """Contract size of an instrument."""
    size = service.listing(asked.instrument_name).contract_size
    return {"contract_size": int(size) if size == int(size) else size}


@method("public/get_expirations", OfCurrency)
def get_expirations(service: Service, call: Call, asked: OfCurrency) -> Any:
    """Dates at which something expires, by kind."""
    found: dict[str, dict[int, str]] = {kind: {} for kind in ("future", "option") if asked.kind in ("any", kind)}
    for listing in chosen(service.view, asked.currency, asked.kind):
        if listing.kind in found:
            code = "PERPETUAL" if listing.perpetual else listing.expiry_code()
            found[listing.kind][listing.expiration_ms] = code
    dates = {kind: [codes[at] for at in sorted(codes)] for kind, codes in found.items()}
    currency = currency_of(service.view, asked.currency)
    return dates if currency == "any" else {currency.lower(): dates}


class OfCombos(Parameters, frozen=True):
    """Of the methods on combos."""

    currency: str = "any"


@method("public/get_combos", OfCombos)
def get_combos(service: Service, call: Call, asked: OfCombos) -> Any:
    """Combos: there are none."""
    return []


@method("public/get_combo_ids", OfCombos)
def get_combo_ids(service: Service, call: Call, asked: OfCombos) -> Any:
    """Ids of combos: there are none."""
    return []


class OfCombo(Parameters, frozen=True):
    """One combo."""

    combo_id: str


@method("public/get_combo_details", OfCombo)
def get_combo_details(service: Service, call: Call, asked: OfCombo) -> Any:
    """One combo: there is none."""
    raise RpcError(13020, param="combo_id", value=asked.combo_id[:64])


@method("public/status", Nothing)
def status(service: Service, call: Call, asked: Nothing) -> Any:
    """Whether trading is locked, as the text true, partial or false, and the indexes of what is."""
    view = service.view
    if view.venue == VenueState.HALTED:
        return {"locked": "true", "locked_indices": sorted(view.index_prices)}
    halted = {number for (scope, number), state in view.states.items() if scope == Scope.UNDERLYING and state == 2}
    names = {
        listing.index
        for listing in view.listings.values()
        if view.underlyings.get(listing.spec.block, listing.spec.block) in halted
    }
    return {"locked": "partial" if names else "false", "locked_indices": sorted(names)}


# -- prices ------------------------------------------------------------------------------------------------------------


@method("public/ticker", OfInstrument)
def get_ticker(service: Service, call: Call, asked: OfInstrument) -> Any:
    """Prices, statistics and greeks of an instrument."""
    return ticker(service.view, service.listing(asked.instrument_name))


class BookParameters(Parameters, frozen=True):
    """Of get_order_book."""

    instrument_name: str
    depth: int = 5


class BookByIdParameters(Parameters, frozen=True):
    """Of get_order_book_by_instrument_id."""

    instrument_id: int
    depth: int = 5


def order_book(view: View, listing: Listing, depth: int) -> dict[str, Any]:
    """A ticker with the levels of the book; a depth between two that there are is rounded up."""
    if depth < 1:
        raise invalid("depth", "must be at least 1")
    depth = next((known for known in DEPTHS if known >= depth), DEPTHS[-1])
    book = view.books[listing.number]
    return {**ticker(view, listing), **pairs(listing, book, depth), "change_id": book.change_id}


@method("public/get_order_book", BookParameters)
def get_order_book(service: Service, call: Call, asked: BookParameters) -> Any:
    """Levels of an instrument's book, best first, with its ticker."""
    return order_book(service.view, service.listing(asked.instrument_name), asked.depth)


@method("public/get_order_book_by_instrument_id", BookByIdParameters)
def get_order_book_by_instrument_id(service: Service, call: Call, asked: BookByIdParameters) -> Any:
    """The same by the instrument's id."""
    listing = service.view.listings.get(asked.instrument_id - 1)
    if listing is None:
        raise RpcError(13020, param="instrument_id", value=asked.instrument_id)
    return order_book(service.view, listing, asked.depth)


@method("public/get_book_summary_by_currency", OfCurrency)
def get_book_summary_by_currency(service: Service, call: Call, asked: OfCurrency) -> Any:
    """A summary of each instrument of a currency."""
    return [summary(service.view, listing) for listing in chosen(service.view, asked.currency, asked.kind)]


@method("public/get_book_summary_by_instrument", OfInstrument)
def get_book_summary_by_instrument(service: Service, call: Call, asked: OfInstrument) -> Any:
    """A list with the summary of one instrument."""
    return [summary(service.view, service.listing(asked.instrument_name))]


class IndexName(Parameters, frozen=True):
    """One index."""

    index_name: str


@method("public/get_index_price", IndexName)
def get_index_price(service: Service, call: Call, asked: IndexName) -> Any:
    """Price of an index."""
    price = service.view.index_prices[index_named(service.view, asked.index_name)]
    return {"index_price": price, "estimated_delivery_price": price}


@method("public/get_index_price_names", Nothing)
def get_index_price_names(service: Service, call: Call, asked: Nothing) -> Any:
    """Names of the indexes."""
    return sorted(service.view.index_prices)


@method("public/get_supported_index_names", Nothing)
def get_supported_index_names(service: Service, call: Call, asked: Nothing) -> Any:
    """The same under its other name."""
    return sorted(service.view.index_prices)


# -- trades ------------------------------------------------------------------------------------------------------------


class InstrumentTrades(Parameters, frozen=True):
    """Of the trades of an instrument."""

    instrument_name: str
    start_seq: int | None = None
    end_seq: int | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    count: int = 10
    include_old: bool = False
    sorting: Sorting = "default"


class CurrencyTrades(Parameters, frozen=True):
    """Of the trades of a currency."""

    currency: str
    kind: Kind = "any"
    start_id: str | None = None
    end_id: str | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    count: int = 10
    include_old: bool = False
    sorting: Sorting = "default"


def window(trades: Iterable[Trade], asked: Any, bounds: tuple[int | None, int | None], numbered: str) -> list[Trade]:
    """Trades within the times and numbers asked, in the order asked; `trades` oldest first, `numbered` "id" or so."""
    rows = list(trades)
    first, last = 0, len(rows)
    for name, low, high in ((numbered, *bounds), ("at_ms", asked.start_timestamp, asked.end_timestamp)):
        key = attrgetter(name)
        if low is not None:
            first = max(first, bisect_left(rows, low, key=key))
        if high is not None:
            last = min(last, bisect_right(rows, high, key=key))
    found = rows[first:last]
    return found if asked.sorting == "asc" else found[::-1]


def trades_page(view: View, rows: Iterable[Trade], count: int) -> dict[str, Any]:
    """The first of them, and whether there are more."""
    most = bounded(count)
    found = list(islice(rows, most + 1))
    return {"trades": [public_trade(view, trade) for trade in found[:most]], "has_more": len(found) > most}


def trade_number(field: str, text: str | None) -> int | None:
    """The number in a trade's id. Raises RpcError -32602."""
    if text is None:
        return None
    digits = text.rpartition("-")[2]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise invalid(field, "must be the id of a trade, e.g. BTC-17")
    return int(digits)


@method("public/get_last_trades_by_instrument", InstrumentTrades)
def get_last_trades_by_instrument(service: Service, call: Call, asked: InstrumentTrades) -> Any:
    """Trades of an instrument, newest first unless asked otherwise."""
    listing = service.listing(asked.instrument_name)
    trades = service.view.books[listing.number].trades
    rows = window(trades, asked, (asked.start_seq, asked.end_seq), "sequence")
    return trades_page(service.view, rows, asked.count)


@method("public/get_last_trades_by_instrument_and_time", InstrumentTrades)
def get_last_trades_by_instrument_and_time(service: Service, call: Call, asked: InstrumentTrades) -> Any:
    """The same; without a beginning from the first, without an end until now."""
    return get_last_trades_by_instrument(service, call, asked)


@method("public/get_last_trades_by_currency", CurrencyTrades)
def get_last_trades_by_currency(service: Service, call: Call, asked: CurrencyTrades) -> Any:
    """Trades of all instruments of a currency, newest first unless asked otherwise."""
    view = service.view
    bounds = trade_number("start_id", asked.start_id), trade_number("end_id", asked.end_id)
    books = [view.books[listing.number] for listing in chosen(view, asked.currency, asked.kind, expired=None)]
    found = [window(book.trades, asked, bounds, "id") for book in books if book.trades]
    rows = heapq.merge(*found, key=attrgetter("id"), reverse=asked.sorting != "asc")
    return trades_page(view, rows, asked.count)


@method("public/get_last_trades_by_currency_and_time", CurrencyTrades)
def get_last_trades_by_currency_and_time(service: Service, call: Call, asked: CurrencyTrades) -> Any:
    """The same; without a beginning from the first, without an end until now."""
    return get_last_trades_by_currency(service, call, asked)


# -- small ones --------------------------------------------------------------------------------------------------------


@method("public/get_announcements", Nothing)
def get_announcements(service: Service, call: Call, asked: Nothing) -> Any:
    """Announcements: there are none."""
    return []


@method("public/get_trade_volumes", Nothing)
def get_trade_volumes(service: Service, call: Call, asked: Nothing) -> Any:
    """Coins traded in 24 hours, by currency and kind."""
    view = service.view
    found = []
    for name, _ in view.currencies.values():
        volumes = {"calls_volume": 0.0, "puts_volume": 0.0, "futures_volume": 0.0, "spot_volume": 0.0}
        for listing in chosen(view, name, "any"):
            kind = "futures" if not listing.option else "calls" if listing.spec.option_type > 0 else "puts"
            volumes[f"{kind}_volume"] += view.statistics.day(listing.number, view.now_ms).volume
        found.append({"currency": name, **{kind: round(volume, 8) for kind, volume in volumes.items()}})
    return found
