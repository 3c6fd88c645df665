"""The channels that there are, by the dialect's names. A name that is none, or of nothing listed, finds none."""

from collections.abc import Callable
from typing import Any, Final

from seawall.api.channels import books, market, states, user
from seawall.api.channels.channel import INTERVALS, RAW, Channel, Selection
from seawall.api.listing import Listing
from seawall.api.statistics import RESOLUTIONS
from seawall.api.view import View

KINDS: Final = ("future", "option", "spot", "future_combo", "option_combo", "combo", "any")
NAME_MAX: Final = 128

Found = tuple[tuple[Any, ...], str, Callable[[Any], Channel]]
"""What tells a channel apart, the right it needs, how it is made for a hub."""


def find(view: View, name: str, account: int) -> Found | None:
    """The channel of a name for an account (-1: of nobody); None if there is none."""
    if len(name) > NAME_MAX:
        return None
    parts = name.split(".")
    reader = _READERS.get(parts[0])
    return reader(view, parts[1:], account) if reader is not None else None


def is_raw(name: str) -> bool:
    """Whether a name is of a raw channel of market data, which needs a login."""
    return name.endswith(f".{RAW}") and not name.startswith("user.")


def _listing(view: View, name: str) -> Listing | None:
    return view.by_name.get(name)


def currency(view: View, name: str) -> str | None:
    """A settlement currency by its name in any case, or "any"; None if it is not listed."""
    if name.lower() == "any":
        return "any"
    return next((known for known, _ in view.currencies.values() if known == name.upper()), None)


def _selection(view: View, parts: list[str]) -> tuple[tuple[Any, ...], Selection] | None:
    """{instrument} or {kind}.{currency}."""
    if len(parts) == 1:
        listing = _listing(view, parts[0])
        return ((listing.number,), Selection(listing)) if listing is not None else None
    if len(parts) != 2 or parts[0] not in KINDS:
        return None
    settled = currency(view, parts[1])
    return ((parts[0], settled), Selection(None, parts[0], settled)) if settled is not None else None


def _book(view: View, parts: list[str], account: int) -> Found | None:
    listing = _listing(view, parts[0]) if parts else None
    if listing is None or parts[-1] not in INTERVALS:
        return None
    interval = parts[-1]
    if len(parts) == 2:
        key = ("book", listing.number, interval)
        return key, "", lambda hub: books.Changes(hub, listing, interval)
    if len(parts) == 4 and parts[1] in books.GROUPS and parts[2] in books.DEPTHS:
        group, depth = parts[1], parts[2]
        return (
            ("depth", listing.number, group, depth, interval),
            "",
            lambda hub: books.Depth(hub, listing, group, depth, interval),
        )
    return None


def _of_listing(word: str, kind: Callable[..., Channel], *, perpetual: bool = False) -> Any:
    """{instrument}.{interval}."""

    def read(view: View, parts: list[str], account: int) -> Found | None:
        listing = _listing(view, parts[0]) if len(parts) == 2 else None
        if listing is None or parts[1] not in INTERVALS or (perpetual and not listing.perpetual):
            return None
        return (word, listing.number, parts[1]), "", lambda hub: kind(hub, listing, parts[1])

    return read


def _plain(word: str, kind: Callable[..., Channel]) -> Any:
    """{instrument}."""

    def read(view: View, parts: list[str], account: int) -> Found | None:
        listing = _listing(view, parts[0]) if len(parts) == 1 else None
        if listing is None:
            return None
        return (word, listing.number), "", lambda hub: kind(hub, listing)

    return read


def _of_index(word: str, kind: Callable[..., Channel]) -> Any:
    """{index}."""

    def read(view: View, parts: list[str], account: int) -> Found | None:
        index = parts[0].lower() if len(parts) == 1 else ""
        if index not in view.index_prices:
            return None
        return (word, index), "", lambda hub: kind(hub, index)

    return read


def _trades(view: View, parts: list[str], account: int) -> Found | None:
    chosen = _selection(view, parts[:-1])
    if chosen is None or parts[-1] not in INTERVALS:
        return None
    key, selection = chosen
    return ("trades", *key, parts[-1]), "", lambda hub: market.Trades(hub, selection, parts[-1])


def _chart(view: View, parts: list[str], account: int) -> Found | None:
    if len(parts) != 3 or parts[0] != "trades" or parts[2] not in RESOLUTIONS:
        return None
    listing = _listing(view, parts[1])
    if listing is None:
        return None
    return ("chart", listing.number, parts[2]), "", lambda hub: market.Candles(hub, listing, parts[2])


def _markprice(view: View, parts: list[str], account: int) -> Found | None:
    if len(parts) != 2 or parts[0] != "options" or parts[1].lower() not in view.index_prices:
        return None
    index = parts[1].lower()
    return ("markprice", index), "", lambda hub: market.OptionMarks(hub, index)


def _instrument(view: View, parts: list[str], account: int) -> Found | None:
    kinds: dict[str, Callable[..., Channel]] = {"state": states.InstrumentStates, "creation": states.Creations}
    chosen = _selection(view, parts[1:]) if len(parts) == 3 and parts[0] in kinds else None
    if chosen is None:
        return None
    key, selection = chosen
    return ("instrument", parts[0], *key), "", lambda hub: kinds[parts[0]](hub, selection)


def _platform(view: View, parts: list[str], account: int) -> Found | None:
    if not parts:
        return ("platform_state",), "", states.Platform
    return (("platform_state", "methods"), "", states.Silent) if parts == ["public_methods_state"] else None


def _announcements(view: View, parts: list[str], account: int) -> Found | None:
    return None if parts else (("announcements",), "", states.Silent)


def _user(view: View, parts: list[str], account: int) -> Found | None:
    if len(parts) < 2 or account < 0:
        return None
    what, rest = parts[0], parts[1:]
    if what == "portfolio" and len(rest) == 1:
        settled = currency(view, rest[0])
        if settled is None:
            return None
        numbers = [number for number, (name, _) in view.currencies.items() if settled in ("any", name)]
        return ("portfolio", account, settled), "account", lambda hub: user.Summaries(hub, account, numbers)
    if what == "mmp_trigger" and len(rest) == 1:
        index = rest[0].lower()
        if index not in (*view.index_prices, "any", "all"):
            return None
        return ("mmp_trigger", account, index), "trade", lambda hub: user.Freezes(hub, account, index)
    kinds: dict[str, Callable[..., Channel]] = {
        "orders": user.Orders, "trades": user.Trades, "changes": user.Activity
    }  # fmt: skip
    chosen = _selection(view, rest[:-1])
    if what not in kinds or chosen is None or rest[-1] not in INTERVALS:
        return None
    key, selection = chosen
    return (what, account, *key, rest[-1]), "trade", lambda hub: kinds[what](hub, account, selection, rest[-1])


_READERS: Final[dict[str, Callable[[View, list[str], int], Found | None]]] = {
    "announcements": _announcements,
    "book": _book,
    "chart": _chart,
    "deribit_price_index": _of_index("price", market.IndexPrice),
    "deribit_volatility_index": _of_index("volatility", market.VolatilityIndex),
    "estimated_expiration_price": _of_index("expiration", market.ExpirationPrice),
    "incremental_ticker": _plain("incremental_ticker", market.IncrementalTicker),
    "instrument": _instrument,
    "markprice": _markprice,
    "perpetual": _of_listing("perpetual", market.Perpetual, perpetual=True),
    "platform_state": _platform,
    "quote": _plain("quote", market.Quote),
    "ticker": _of_listing("ticker", market.Ticker),
    "trades": _trades,
    "user": _user,
}
