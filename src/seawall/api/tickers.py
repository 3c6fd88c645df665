"""The dialect's objects of market data, made of what the view knows: tickers, summaries, quotes, depth."""

import heapq
from typing import Any, Final

from seawall.api.listing import Listing
from seawall.api.options import forward_of, greeks, mark_volatility, underlying_of, volatility_of, years_of
from seawall.api.portfolio import USD
from seawall.api.shapes import instrument_object
from seawall.api.view import Book, View
from seawall.vocabulary.records import BUY, SELL, VenueState

DEPTHS: Final = (1, 5, 10, 20, 50, 100, 1000, 10_000)
_FUNDING_HOURS: Final = 8
_SMALL_USD: Final = 100_000


def state_word(view: View, listing: Listing) -> str:
    """State of an instrument in the dialect's words."""
    if listing.expired:
        return "delivered"
    return "halted" if view.state_of(listing) == VenueState.HALTED else "open"


def described(view: View, listing: Listing, account: int = -1) -> dict[str, Any]:
    """Section 3 of the dialect, with the fees of an account and, once it has margin, a future's leverage."""
    maker, taker = view.fee_rates(account, listing)
    made = instrument_object(listing, maker, taker, state=state_word(view, listing))
    times = 0 if listing.option else _leverage(view, listing)
    if times:
        made["max_leverage"] = times
    return made


def _leverage(view: View, listing: Listing) -> int:
    """How many times its margin a small position by itself may be; 0 while nothing is published of it."""
    lot = listing.amount(1) * (1.0 if listing.inverse else mark_price(view, listing))
    lots = round(_SMALL_USD / lot) if lot else 0
    initial, _ = view.requirements.of_position(listing.number, lots)
    return max(1, int(lots * lot * USD / initial)) if initial else 0


def index_price(view: View, listing: Listing) -> float:
    """Of its index, in dollars; 0 before there was one."""
    return view.index_prices.get(listing.index, 0.0)


def mark_price(view: View, listing: Listing) -> float:
    """Its mark; 0 before there was one."""
    return listing.price(view.marks.get(listing.number, 0))


def ticker(view: View, listing: Listing) -> dict[str, Any]:
    """Section 4.1 of the dialect."""
    number = listing.number
    book, index = view.books[number], index_price(view, listing)
    low, high = view.band(listing)
    day = view.statistics.day(number, view.now_ms)
    made: dict[str, Any] = {
        "instrument_name": listing.name,
        "timestamp": view.now_ms,
        "state": state_word(view, listing),
        "stats": {
            "volume": round(day.volume, 8),
            "volume_usd": round(day.usd, 2),
            "volume_notional": round(day.volume * index if listing.option else day.usd, 2),
            "low": day.low,
            "high": day.high,
            "price_change": None if day.change is None else round(day.change, 4),
        },
        "open_interest": listing.amount(view.open_interest.get(number, 0)),
        "last_price": listing.price(book.last) if book.last else None,
        "mark_price": mark_price(view, listing),
        "index_price": index,
        "min_price": listing.price(low),
        "max_price": listing.price(high),
        "estimated_delivery_price": listing.delivery_price if listing.expired else index,
    } | best(listing, book)
    settled = view.settlement_marks.get(number)
    if settled:
        made["settlement_price"] = listing.price(settled)
    if listing.expired:
        made["delivery_price"] = listing.delivery_price
    if listing.perpetual:
        made |= funding(view, listing)
    if listing.option:
        made |= _implied(view, listing, made)
    return made


def best(listing: Listing, book: Book) -> dict[str, Any]:
    """Best price and amount of both sides; an empty side has no price and the amount 0."""
    bid, ask = book.best(BUY), book.best(SELL)
    return {
        "best_bid_price": None if bid is None else listing.price(bid),
        "best_bid_amount": 0.0 if bid is None else listing.amount(book.bids[bid]),
        "best_ask_price": None if ask is None else listing.price(ask),
        "best_ask_amount": 0.0 if ask is None else listing.amount(book.asks[ask]),
    }


def quote(view: View, listing: Listing) -> dict[str, Any]:
    """Of the quote channel: numbers only, 0 for an empty side."""
    made = best(listing, view.books[listing.number])
    made["best_bid_price"] = made["best_bid_price"] or 0.0
    made["best_ask_price"] = made["best_ask_price"] or 0.0
    return {"instrument_name": listing.name, "timestamp": view.now_ms, **made}


def current_funding(view: View, listing: Listing) -> float:
    """The rate for 8 hours that the premium of a perpetual's mark over its index comes to now."""
    index, mark = index_price(view, listing), mark_price(view, listing)
    return round(view.funding_rate(mark / index - 1), 8) if index and mark else 0.0


def funding(view: View, listing: Listing) -> dict[str, float]:
    """Rates of a perpetual: paid in the last 8 hours, going now, paid since the beginning."""
    rows = view.statistics.funding.get(listing.number, ())
    hourly = [row["interest_1h"] for row in rows]
    return {
        "funding_8h": round(sum(hourly[-_FUNDING_HOURS:], 0.0), 10),
        "current_funding": current_funding(view, listing),
        "interest_value": round(sum(hourly, 0.0), 10),
    }


def _implied(view: View, listing: Listing, made: dict[str, Any]) -> dict[str, Any]:
    bid, ask = made["best_bid_price"], made["best_ask_price"]
    forward, marked = forward_of(view, listing), mark_volatility(view, listing)
    return {
        "bid_iv": percent(volatility_of(view, listing, bid)) if bid else 0.0,
        "ask_iv": percent(volatility_of(view, listing, ask)) if ask else 0.0,
        "mark_iv": percent(marked),
        "underlying_price": forward,
        "underlying_index": underlying_of(view, listing),
        "interest_rate": 0.0,
        "greeks": greeks(forward, listing.strike(), marked, years_of(view, listing), listing.spec.option_type),
    }


def percent(fraction: float) -> float:
    """A volatility as the dialect writes it."""
    return round(100 * fraction, 2)


def summary(view: View, listing: Listing) -> dict[str, Any]:
    """Section 4.2 of the dialect."""
    book, index = view.books[listing.number], index_price(view, listing)
    day, touch = view.statistics.day(listing.number, view.now_ms), best(listing, book)
    bid, ask = touch["best_bid_price"], touch["best_ask_price"]
    made: dict[str, Any] = {
        "instrument_name": listing.name,
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "bid_price": bid,
        "ask_price": ask,
        "mid_price": _middle(listing, book),
        "mark_price": mark_price(view, listing),
        "last": listing.price(book.last) if book.last else None,
        "high": day.high,
        "low": day.low,
        "volume": round(day.volume, 8),
        "volume_usd": round(day.usd, 2),
        "volume_notional": round(day.volume * index if listing.option else day.usd, 2),
        "open_interest": listing.amount(view.open_interest.get(listing.number, 0)),
        "price_change": None if day.change is None else round(day.change, 4),
        "creation_timestamp": view.now_ms,
        "estimated_delivery_price": index,
    }
    if listing.option:
        made["underlying_price"] = forward_of(view, listing)
        made["underlying_index"] = underlying_of(view, listing)
        made["interest_rate"] = 0.0
        made["mark_iv"] = percent(mark_volatility(view, listing))
    if listing.perpetual:
        rates = funding(view, listing)
        made["funding_8h"], made["current_funding"] = rates["funding_8h"], rates["current_funding"]
    return made


def _middle(listing: Listing, book: Book) -> float | None:
    bid, ask = book.best(BUY), book.best(SELL)
    return None if bid is None or ask is None else (bid + ask) * listing.tick[0] / (2 * listing.tick[1])


def pairs(listing: Listing, book: Book, depth: int) -> dict[str, list[tuple[float, float]]]:
    """`bids` and `asks`, best first, at most `depth` of each."""
    bids, asks = levels(book.bids, depth, largest=True), levels(book.asks, depth, largest=False)
    return {
        "bids": [(listing.price(price), listing.amount(book.bids[price])) for price in bids],
        "asks": [(listing.price(price), listing.amount(book.asks[price])) for price in asks],
    }


def levels(side: dict[int, int], depth: int, *, largest: bool) -> list[int]:
    """The best prices of a side, in ticks."""
    if len(side) <= depth or depth * 8 > len(side):
        return sorted(side, reverse=largest)[:depth]
    return heapq.nlargest(depth, side) if largest else heapq.nsmallest(depth, side)
