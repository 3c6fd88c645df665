"""Orders and trades as their owner looks them up: open, finished, triggered, executed."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Final

import msgspec

from seawall.api.errors import RpcError, invalid
from seawall.api.listing import Listing
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.api.shapes import AT_MARKET, order_id, order_object, user_trades
from seawall.api.view import CANCELLED, UNTRIGGERED, Order, Trade
from seawall.vocabulary.records import OrderType

COUNT_MAX: Final = 1000
KINDS: Final = ("future", "option", "spot", "future_combo", "option_combo", "combo", "any")
Count = Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)]
Choice = Callable[[Listing], bool]
"""Whether an instrument is among those asked for."""

_STOPS: Final = (OrderType.STOP_LIMIT, OrderType.STOP_MARKET)
_TAKES: Final = (OrderType.TAKE_LIMIT, OrderType.TAKE_MARKET)
_TYPES: Final[dict[str, Callable[[Order], bool]]] = {
    "all": lambda order: True,
    "limit": lambda order: order.state != UNTRIGGERED,
    "trigger_all": lambda order: order.state == UNTRIGGERED,
    "stop": lambda order: order.state == UNTRIGGERED and order.type in _STOPS,
    "stop_all": lambda order: order.state == UNTRIGGERED and order.type in _STOPS,
    "stop_limit": lambda order: order.state == UNTRIGGERED and order.type == OrderType.STOP_LIMIT,
    "stop_market": lambda order: order.state == UNTRIGGERED and order.type == OrderType.STOP_MARKET,
    "take": lambda order: order.state == UNTRIGGERED and order.type in _TAKES,
    "take_all": lambda order: order.state == UNTRIGGERED and order.type in _TAKES,
    "take_limit": lambda order: order.state == UNTRIGGERED and order.type == OrderType.TAKE_LIMIT,
    "take_market": lambda order: order.state == UNTRIGGERED and order.type == OrderType.TAKE_MARKET,
    "trailing_stop": lambda order: order.state == UNTRIGGERED and order.type == OrderType.TRAILING,
    "trailing_all": lambda order: order.state == UNTRIGGERED and order.type == OrderType.TRAILING,
}
"""What a word for a type of open orders means; an order whose trigger was reached is a limit order."""


def choose_kind(service: Service, currency: str | None, kind: str | None) -> Choice:
    """Instruments of a settlement currency and kind; None and `any` mean all. Raises RpcError -32602."""
    name, wanted = (currency or "any").upper(), kind or "any"
    known = {known for known, _ in service.view.currencies.values()}
    if name != "ANY" and name not in known:
        raise invalid("currency", f"must be one of {', '.join(sorted(known))}, any")
    if wanted not in KINDS:
        raise invalid("kind", f"must be one of {', '.join(KINDS)}")
    return lambda listing: name in ("ANY", listing.settlement) and wanted in ("any", listing.kind)


def choose_one(service: Service, name: str) -> Choice:
    """One instrument. Raises RpcError 13020."""
    wanted = service.listing(name)
    return lambda listing: listing is wanted


def choose_type(word: str | None) -> Callable[[Order], bool]:
    """Orders of a type. Raises RpcError -32602."""
    found = _TYPES.get(word or "all")
    if found is None:
        raise invalid("type", f"must be one of {', '.join(_TYPES)}")
    return found


def open_orders(service: Service, account: int, choice: Choice, kind: str | None = None) -> list[Order]:
    """An account's open orders, waiting ones included, oldest first."""
    listings, of_type = service.view.listings, choose_type(kind)
    orders = service.view.client(account).open.values()
    return [order for order in orders if of_type(order) and choice(listings[order.instrument])]


def _objects(service: Service, orders: Iterable[Order]) -> list[dict[str, Any]]:
    return [order_object(service.view, order) for order in orders]


# -- open orders -------------------------------------------------------------------------------------------------------


class OrderId(Parameters, frozen=True):
    """One order."""

    order_id: str


class ByLabel(Parameters, frozen=True):
    """Orders under a label."""

    currency: str = "any"
    label: str | None = None


class OpenOrders(Parameters, frozen=True):
    """Open orders of a kind and type."""

    kind: str | None = None
    type: str | None = None


class OpenOrdersByCurrency(Parameters, frozen=True):
    """The same of a currency."""

    currency: str
    kind: str | None = None
    type: str | None = None


class OpenOrdersByInstrument(Parameters, frozen=True):
    """The same of an instrument."""

    instrument_name: str
    type: str | None = None


@method("private/get_order_state", OrderId, scope="trade:read")
def get_order_state(service: Service, call: Call, asked: OrderId) -> Any:
    """One order, finished or not."""
    return order_object(service.view, service.own_order(call, asked.order_id))


@method("private/get_order_state_by_label", ByLabel, scope="trade:read")
def get_order_state_by_label(service: Service, call: Call, asked: ByLabel) -> Any:
    """The orders under a label, finished or not, newest first."""
    if asked.label is None:
        raise invalid("label", "must be given")
    choice, client = choose_kind(service, asked.currency, None), service.view.client(call.account)
    listings = service.view.listings
    found = [
        order
        for orders in (reversed(client.open.values()), reversed(client.finished))
        for order in orders
        if order.label == asked.label and choice(listings[order.instrument])
    ]
    return _objects(service, found[:COUNT_MAX])


def _listed(service: Service, call: Call, orders: list[Order]) -> list[dict[str, Any]]:
    """Open orders as objects, which cost by how many they are."""
    service.rates.owe(call.session, call.account, len(orders))
    return _objects(service, orders)


@method("private/get_open_orders", OpenOrders, scope="trade:read")
def get_open_orders(service: Service, call: Call, asked: OpenOrders) -> Any:
    """Open orders, untriggered ones included."""
    return _listed(
        service, call, open_orders(service, call.account, choose_kind(service, None, asked.kind), asked.type)
    )


@method("private/get_open_orders_by_instrument", OpenOrdersByInstrument, scope="trade:read")
def get_open_orders_by_instrument(service: Service, call: Call, asked: OpenOrdersByInstrument) -> Any:
    """Open orders of an instrument."""
    return _listed(
        service, call, open_orders(service, call.account, choose_one(service, asked.instrument_name), asked.type)
    )


@method("private/get_open_orders_by_currency", OpenOrdersByCurrency, scope="trade:read")
def get_open_orders_by_currency(service: Service, call: Call, asked: OpenOrdersByCurrency) -> Any:
    """Open orders of a settlement currency."""
    choice = choose_kind(service, asked.currency, asked.kind)
    return _listed(service, call, open_orders(service, call.account, choice, asked.type))


@method("private/get_open_orders_by_label", ByLabel, scope="trade:read")
def get_open_orders_by_label(service: Service, call: Call, asked: ByLabel) -> Any:
    """Open orders under a label."""
    found = open_orders(service, call.account, choose_kind(service, asked.currency, None))
    return _listed(service, call, [order for order in found if asked.label is None or order.label == asked.label])


# -- history -----------------------------------------------------------------------------------------------------------


class History(Parameters, frozen=True):
    """What all histories of orders take."""

    count: Count = 20
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    include_old: bool = False
    include_unfilled: bool = False


class HistoryByInstrument(History, frozen=True, kw_only=True):
    """Of an instrument."""

    instrument_name: str


class HistoryByCurrency(History, frozen=True, kw_only=True):
    """Of a currency."""

    currency: str
    kind: str | None = None


@method("private/get_order_history_by_instrument", HistoryByInstrument, scope="trade:read")
def get_order_history_by_instrument(service: Service, call: Call, asked: HistoryByInstrument) -> Any:
    """Finished orders of an instrument, newest first."""
    return _history(service, call, asked, choose_one(service, asked.instrument_name))


@method("private/get_order_history_by_currency", HistoryByCurrency, scope="trade:read")
def get_order_history_by_currency(service: Service, call: Call, asked: HistoryByCurrency) -> Any:
    """Finished orders of a settlement currency, newest first."""
    return _history(service, call, asked, choose_kind(service, asked.currency, asked.kind))


def _history(service: Service, call: Call, asked: History, choice: Choice) -> list[dict[str, Any]]:
    listings = service.view.listings
    found = (
        order
        for order in reversed(service.view.client(call.account).finished)
        if (order.filled or order.state != CANCELLED or asked.include_unfilled) and choice(listings[order.instrument])
    )
    return _objects(service, islice(found, asked.offset, asked.offset + asked.count))


class TriggerHistory(Parameters, frozen=True):
    """Of get_trigger_order_history."""

    currency: str = "any"
    instrument_name: str | None = None
    count: Count = 20
    continuation: str | None = None


@method("private/get_trigger_order_history", TriggerHistory, scope="trade:read")
def get_trigger_order_history(service: Service, call: Call, asked: TriggerHistory) -> Any:
    """Orders that wait, or waited, for a trigger, newest first."""
    choice = choose_kind(service, asked.currency, None)
    if asked.instrument_name is not None:
        choice = choose_one(service, asked.instrument_name)
    before = continued(asked.continuation)
    client, listings = service.view.client(call.account), service.view.listings
    orders = [order for order in (*client.finished, *client.open.values()) if order.stop and order.id < before]
    orders = sorted((order for order in orders if choice(listings[order.instrument])), key=lambda order: -order.id)
    page = orders[: asked.count]
    more = {"continuation": str(page[-1].id)} if len(orders) > len(page) else {}
    return {"entries": [_trigger(service, order) for order in page], **more}


@method("private/get_stop_order_history", TriggerHistory, scope="trade:read")
def get_stop_order_history(service: Service, call: Call, asked: TriggerHistory) -> Any:
    """The old name of get_trigger_order_history."""
    return get_trigger_order_history(service, call, asked)


def continued(text: str | None) -> int:
    """The number that a page goes on below. Raises RpcError -32602 for text that no answer gave."""
    if not text:
        return 2**63
    if text == "none":  # what clients take for the end
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise invalid("continuation", "must be what the answer before gave")
    return int(text)


def _trigger(service: Service, order: Order) -> dict[str, Any]:
    made = order_object(service.view, order)
    names = (
        *("instrument_name", "direction", "price", "amount", "label", "post_only", "reduce_only", "trigger"),
        *("trigger_price", "cancel_reason"),
    )
    entry = {name: made[name] for name in names if name in made}
    entry["trigger_offset"] = made.get("trigger_offset")
    entry["trigger_order_id"] = made["order_id"]
    entry["order_id"] = made["order_id"] if order.triggered else None
    entry["order_type"] = "market" if order.type in AT_MARKET else "limit"
    entry["order_state"] = "triggered" if order.triggered else order.state
    word = "cancel" if order.state == CANCELLED else "trigger:new"
    entry["request"] = "trigger:order" if order.triggered else word
    entry["timestamp"] = entry["last_update_timestamp"] = order.updated_ms
    entry["source"] = "api"
    return entry


# -- trades ------------------------------------------------------------------------------------------------------------


class Trades(Parameters, frozen=True):
    """What all lists of user trades take."""

    count: Count = 10
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    sorting: str = "default"
    include_old: bool = False


class TradesByInstrument(Trades, frozen=True, kw_only=True):
    """Of an instrument."""

    instrument_name: str
    start_seq: int | None = None
    end_seq: int | None = None


class TradesByCurrency(Trades, frozen=True, kw_only=True):
    """Of a currency."""

    currency: str
    kind: str | None = None
    start_id: str | None = None
    end_id: str | None = None


class TradesByOrder(Parameters, frozen=True):
    """Of an order."""

    order_id: str
    sorting: str = "default"


def trades_by_instrument(service: Service, call: Call, asked: TradesByInstrument) -> Any:
    """The caller's trades in an instrument, newest first unless asked otherwise."""
    wanted = service.listing(asked.instrument_name).number
    low, high = asked.start_seq, asked.end_seq

    def choice(trade: Trade) -> bool:
        return (
            trade.instrument == wanted
            and (low is None or trade.sequence >= low)
            and (high is None or trade.sequence <= high)
        )

    return _trades(service, call, asked, choice)


def trades_by_currency(service: Service, call: Call, asked: TradesByCurrency) -> Any:
    """The caller's trades in a settlement currency, newest first unless asked otherwise."""
    of_kind, listings = choose_kind(service, asked.currency, asked.kind), service.view.listings
    low, high = (_trade_number(name, getattr(asked, name)) for name in ("start_id", "end_id"))

    def choice(trade: Trade) -> bool:
        return (
            of_kind(listings[trade.instrument])
            and (low is None or trade.id >= low)
            and (high is None or trade.id <= high)
        )

    return _trades(service, call, asked, choice)


for _suffix in ("", "_and_time"):
    method(f"private/get_user_trades_by_instrument{_suffix}", TradesByInstrument, scope="trade:read")(
        trades_by_instrument
    )
    method(f"private/get_user_trades_by_currency{_suffix}", TradesByCurrency, scope="trade:read")(trades_by_currency)


@method("private/get_user_trades_by_order", TradesByOrder, scope="trade:read")
def get_user_trades_by_order(service: Service, call: Call, asked: TradesByOrder) -> Any:
    """A bare list of an order's executions."""
    order, view = service.own_order(call, asked.order_id), service.view
    found = [trade for trade in view.client(call.account).trades if order in (trade.maker, trade.taker)]
    if _sorted(asked.sorting):
        found.reverse()
    trades = (made for trade in found for made in user_trades(view, trade, call.account))
    wanted = order_id(order, view.listings[order.instrument])
    return [made for made in trades if made["order_id"] == wanted][:COUNT_MAX]


def _trades(service: Service, call: Call, asked: Trades, choice: Callable[[Trade], bool]) -> dict[str, Any]:
    view = service.view
    start, end = asked.start_timestamp or 0, asked.end_timestamp
    kept = view.client(call.account).trades
    ordered: Iterator[Trade] = reversed(kept) if _sorted(asked.sorting) else iter(kept)
    found = (
        made
        for trade in ordered
        if trade.at_ms >= start and (end is None or trade.at_ms <= end) and choice(trade)
        for made in user_trades(view, trade, call.account)
    )
    page = list(islice(found, asked.count + 1))
    return {"trades": page[: asked.count], "has_more": len(page) > asked.count}


def _sorted(word: str) -> bool:
    """Whether the newest come first. Raises RpcError -32602."""
    if word not in ("asc", "desc", "default"):
        raise invalid("sorting", "must be asc, desc or default")
    return word != "asc"


def _trade_number(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    number = text.rpartition("-")[2]
    if not number.isascii() or not number.isdigit() or len(number) > 19:
        raise invalid(name, "must be the id of a trade")
    return int(number)


def not_implemented(reason: str) -> RpcError:
    """What the dialect has and this venue has not."""
    return RpcError(10033, reason=reason)
