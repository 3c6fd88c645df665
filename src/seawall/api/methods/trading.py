"""Trading: buy, sell, edit, cancel. Each is a command; its answer waits until it is durable."""

from typing import Annotated, Any, Final

import msgspec

from seawall.api.commands import packed
from seawall.api.errors import RpcError, beyond, invalid
from seawall.api.listing import Listing
from seawall.api.resending import Particulars
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.api.shapes import AT_MARKET, order_id, order_object, user_trades
from seawall.api.view import OPEN, UNTRIGGERED, Order, View
from seawall.vocabulary.bounds import PRICE_MAX, QUANTITY_MAX
from seawall.vocabulary.hours import day_end
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    SELL,
    Kind,
    OrderType,
    TimeInForce,
    Watched,
)

LABEL_MAX: Final = 64
Label = Annotated[str, msgspec.Meta(max_length=LABEL_MAX)]

TYPES: Final = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "market_limit": OrderType.MARKET,
    "stop_limit": OrderType.STOP_LIMIT,
    "stop_market": OrderType.STOP_MARKET,
    "take_limit": OrderType.TAKE_LIMIT,
    "take_market": OrderType.TAKE_MARKET,
    "trailing_stop": OrderType.TRAILING,
}
TRIGGERS: Final = {"mark_price": Watched.MARK, "index_price": Watched.INDEX, "last_price": Watched.LAST}
FORCES: Final = {
    "good_til_cancelled": TimeInForce.GTC,
    "good_til_day": TimeInForce.GTD,
    "immediate_or_cancel": TimeInForce.IOC,
    "fill_or_kill": TimeInForce.FOK,
}


class OrderParameters(Parameters, frozen=True):
    """Of buy and sell."""

    instrument_name: str
    amount: float | None = None
    contracts: float | None = None
    type: str = "limit"
    price: float | None = None
    label: Label = ""
    time_in_force: str = ""
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    mmp: bool = False
    trigger: str = "last_price"
    trigger_price: float | None = None
    trigger_offset: float | None = None
    display_amount: float | None = None
    max_show: float | None = None
    advanced: str | None = None
    valid_until: int | None = None
    linked_order_type: str | None = None
    otoco_config: Any = None
    client_order_id: Label | None = None
    clientOrderId: Label | None = None


@method("private/buy", OrderParameters, scope="trade:read_write", trading=True)
def buy(service: Service, call: Call, asked: OrderParameters) -> Any:
    """Place an order to buy."""
    return place(service, call, asked, BUY)


@method("private/sell", OrderParameters, scope="trade:read_write", trading=True)
def sell(service: Service, call: Call, asked: OrderParameters) -> Any:
    """Place an order to sell."""
    return place(service, call, asked, SELL)


def place(service: Service, call: Call, asked: OrderParameters, side: int) -> Any:
    """Check what only the wire knows, then hand the order to the engine, which checks all the rest."""
    listing = service.listing(asked.instrument_name)
    client = asked.client_order_id or asked.clientOrderId or ""
    if client:  # before all that may have changed since it was sent first
        first = service.resending.on_their_way.get((call.account, client))
        if first is not None and not first.answered:
            first.followers.append(call)
            return None
        known = service.view.named(call.account, client)
        if known is not None:
            return _shown(service, known)
    _check_valid(service, asked.valid_until)
    fields = _fields(service, listing, asked, side)
    if asked.label and not client:
        number = service.resending.find(_particulars(call.account, asked.label, fields, side))
        if number is not None:
            return placed(service, call, number)
    note: dict[str, Any] = {"label": asked.label} if asked.label else {}
    if client:
        note["client"] = client
    if call.session.cancel_on_disconnect:
        note["along"] = True
    data = msgspec.json.encode(note) if note else b""
    mode = service.view.arrangements.self_match(call.account)
    record = packed(Kind.ORDER, account=call.account, side=side, self_match=mode, attachment=len(data), **fields)
    service.command(call, record, lambda seq: _answered(service, call, seq, client), data)
    if client:
        service.resending.sent(call.account, client, call)
    return None


def _check_valid(service: Service, until_ms: int | None) -> None:
    if until_ms is not None and until_ms < service.clock_ms():
        raise RpcError(13888, reason=f"valid_until {until_ms} has passed")


def _particulars(account: int, label: str, fields: dict[str, Any], side: int) -> Particulars:
    """Those of an order as it is asked for; see `resending`."""
    numbers = (fields["quantity"], fields.get("price", 0), fields.get("trigger", 0), fields["flags"])
    return (account, label, fields["instrument"], side, fields["type"], *numbers, fields.get("display", 0))


def _answered(service: Service, call: Call, seq: int, client: str) -> dict[str, Any]:
    service.resending.on_their_way.pop((call.account, client), None)
    service.checked(seq)
    number = service.view.duplicates.pop(seq, seq)
    service.resending.placed(call.session, number)
    order = service.view.orders[number]
    if order.state in (OPEN, UNTRIGGERED):
        service.placed(call.session, order)
    elif order.done_reason == Reason.SELF_MATCH and not order.filled:
        raise RpcError(10003, order_id=order_id(order, service.view.listings[order.instrument]))
    return placed(service, call, number)


def placed(service: Service, call: Call, number: int) -> dict[str, Any]:
    """An order and its executions."""
    return _shown(service, service.view.orders[number])


def _shown(service: Service, order: Order) -> dict[str, Any]:
    view = service.view
    trades: list[dict[str, Any]] = []
    if order.filled:
        for trade in reversed(view.client(order.account).trades):
            if order.id in (trade.taker.id, trade.maker.id):
                trades += user_trades(view, trade, order.account)
            elif trade.at_ms < order.created_ms:
                break
    return {"order": order_object(view, order), "trades": trades[::-1]}


def _fields(service: Service, listing: Listing, asked: OrderParameters, side: int) -> dict[str, Any]:
    """The engine's fields of an order."""
    kind = TYPES.get(asked.type)
    if kind is None:
        raise invalid("type", f"must be one of {', '.join(TYPES)}")
    if asked.advanced is not None or asked.linked_order_type is not None or asked.otoco_config is not None:
        raise RpcError(10033, reason="advanced and linked orders are not taken")
    fields: dict[str, Any] = {
        "instrument": listing.number,
        "type": kind,
        "quantity": lots(listing, asked.amount, asked.contracts),
        "tif": _force(asked, kind),
        "flags": _flags(asked),
    }
    if asked.type == "market_limit":
        if asked.post_only:
            raise RpcError(11029, reason="a market_limit order takes first: it is not post only")
        fields["type"], fields["price"] = OrderType.LIMIT, _reached(service.view, listing, side, fields["quantity"])
        fields["tif"] = FORCES.get(asked.time_in_force, TimeInForce.GTC)
    elif kind not in AT_MARKET:
        if asked.price is None:
            raise invalid("price", f"must be given for an order of type {asked.type}")
        fields["price"] = ticks(listing, asked.price)
    if fields["tif"] == TimeInForce.GTD:
        fields["until"] = day_end(service.view.now_ns)
    word = "display_amount" if asked.display_amount is not None else "max_show"
    if (shown := getattr(asked, word)) is not None:
        fields["display"] = lots(listing, shown, None, code=10036, word=word)
    if kind not in (OrderType.LIMIT, OrderType.MARKET):
        watch = TRIGGERS.get(asked.trigger)
        if watch is None:
            raise invalid("trigger", f"must be one of {', '.join(TRIGGERS)}")
        where = asked.trigger_offset if kind == OrderType.TRAILING else asked.trigger_price
        if where is None:
            raise invalid("trigger_offset" if kind == OrderType.TRAILING else "trigger_price", "must be given")
        fields["watch"], fields["trigger"] = watch, ticks(listing, where, code=10044)
    return fields


def _reached(view: View, listing: Listing, side: int, wanted: int) -> int:
    """The price, in ticks, of the last fill that a market order would have now. Raises RpcError where it has none.

    As a limit order at that price it trades as the market order would, and what is left rests there.
    """
    book, (low, high) = view.books[listing.number], view.band(listing)
    levels = book.asks if side > 0 else book.bids
    price = 0
    for at in sorted(levels, reverse=side < 0):
        if wanted <= 0 or not low <= at <= high:
            break
        price, wanted = at, wanted - levels[at]
    if not price:
        raise RpcError(10033, param="type", reason="market_limit: nothing on the other side has a price to rest at")
    return price


def _force(asked: OrderParameters, kind: OrderType) -> TimeInForce:
    if not asked.time_in_force:
        return TimeInForce.IOC if kind == OrderType.MARKET else TimeInForce.GTC
    force = FORCES.get(asked.time_in_force)
    if force is None:
        raise invalid("time_in_force", f"must be one of {', '.join(FORCES)}")
    if kind in AT_MARKET and force in (TimeInForce.GTC, TimeInForce.GTD):
        return TimeInForce.IOC if kind == OrderType.MARKET else TimeInForce.GTC
    return force


def _flags(asked: OrderParameters) -> int:
    flags = 0
    if asked.post_only:
        flags |= FLAG_POST_ONLY if asked.reject_post_only else FLAG_POST_ONLY | FLAG_SLIDE
    if asked.reduce_only:
        flags |= FLAG_REDUCE_ONLY
    if asked.mmp:
        flags |= FLAG_PROTECTED
    return flags


def lots(
    listing: Listing, amount: float | None, contracts: float | None, *, code: int = 10021, word: str = "amount"
) -> int:
    """Whole lots of an amount, called `word`, or of contracts; both must agree. Raises RpcError."""
    if amount is None:
        if contracts is None:
            raise invalid("amount", "must be given")
        amount = contracts * listing.contract_size
    elif contracts is not None and abs(contracts * listing.contract_size - amount) > 1e-9 * abs(amount):
        raise invalid("contracts", f"must be amount / {listing.contract_size}")
    found = listing.lots(amount)
    if found is None:
        raise invalid(word, f"must be a multiple of {listing.amount(1)}, the contract size")
    if not 0 < found <= QUANTITY_MAX:
        code = 10002 if code == 10021 and not found else code
        raise RpcError(code, reason=f"{word} {amount} must be above 0 and at most {listing.amount(QUANTITY_MAX)}")
    return found


def ticks(listing: Listing, price: float, *, code: int = 10043) -> int:
    """Whole ticks of a price. Raises RpcError."""
    found = listing.ticks(price)
    if found is None:
        raise RpcError(code, reason=f"price {price} must be a multiple of {listing.price(1)}")
    if not 0 < found <= PRICE_MAX:
        limit = listing.price(1 if found <= 0 else PRICE_MAX)
        raise beyond(limit, above=found > 0, trigger=code == 10044, limit_price=limit)
    return found


class EditParameters(Parameters, frozen=True):
    """Of edit."""

    order_id: str
    amount: float | None = None
    contracts: float | None = None
    price: float | None = None
    trigger_price: float | None = None
    trigger_offset: float | None = None
    post_only: bool | None = None
    reject_post_only: bool | None = None
    reduce_only: bool | None = None
    mmp: bool | None = None
    display_amount: float | None = None
    max_show: float | None = None
    advanced: str | None = None
    valid_until: int | None = None


@method("private/edit", EditParameters, scope="trade:read_write", trading=True)
def edit(service: Service, call: Call, asked: EditParameters) -> Any:
    """Replace price and amount of an order, which keeps its id."""
    return change(service, call, service.own_order(call, asked.order_id), asked)


def change(service: Service, call: Call, order: Order, asked: Any) -> Any:
    """Edit an order the caller owns."""
    _check_valid(service, asked.valid_until)
    if order.state not in (OPEN, UNTRIGGERED):
        raise RpcError(11044, order_state=order.state)
    listing = service.view.listings[order.instrument]
    _check_unchanged(listing, order, asked)
    amount = order.amount
    if asked.amount is not None or asked.contracts is not None:
        amount = lots(listing, asked.amount, asked.contracts)
    price = order.price if asked.price is None else ticks(listing, asked.price)
    trigger = order.distance if order.type == OrderType.TRAILING else order.trigger
    where = asked.trigger_offset if order.type == OrderType.TRAILING else asked.trigger_price
    if where is not None:
        trigger = ticks(listing, where, code=10044)
    flags = order.flags & (FLAG_POST_ONLY | FLAG_SLIDE)
    if asked.post_only is not None or asked.reject_post_only is not None:
        post_only = flags & FLAG_POST_ONLY if asked.post_only is None else asked.post_only
        flags = (FLAG_POST_ONLY | (0 if asked.reject_post_only else FLAG_SLIDE)) if post_only else 0
    record = packed(
        Kind.EDIT,
        account=call.account,
        instrument=order.instrument,
        order_id=order.id,
        price=price,
        quantity=amount,
        trigger=trigger,
        flags=flags,
    )

    def then(seq: int) -> dict[str, Any]:
        service.checked(seq)
        return placed(service, call, order.id)

    service.command(call, record, then)
    return None


def _check_unchanged(listing: Listing, order: Order, asked: Any) -> None:
    """Raise RpcError 10033 for a value that an edit cannot change: better refused than passed over in silence."""
    trailing = order.type == OrderType.TRAILING
    now: dict[str, Any] = {
        "reduce_only": order.flags & FLAG_REDUCE_ONLY != 0,
        "mmp": order.flags & FLAG_PROTECTED != 0,
        "display_amount": listing.amount(order.display),
        "max_show": listing.amount(order.display),
        "advanced": None,
    }
    if not order.stop or trailing:
        now["trigger_price"] = None
    if not trailing:
        now["trigger_offset"] = None
    if order.type in AT_MARKET:
        now["price"] = None
    for name, value in now.items():
        wanted = getattr(asked, name)
        if wanted is not None and wanted != value:
            raise RpcError(10033, param=name, reason=f"an edit does not change {name} of this order")


class OrderId(Parameters, frozen=True):
    """One order."""

    order_id: str


@method("private/cancel", OrderId, scope="trade:read_write", trading=True, free=True)
def cancel(service: Service, call: Call, asked: OrderId) -> Any:
    """Cancel an order."""
    order = service.own_order(call, asked.order_id)
    if order.state not in (OPEN, UNTRIGGERED):
        raise RpcError(11044, order_state=order.state)
    record = packed(Kind.CANCEL, account=call.account, instrument=order.instrument, order_id=order.id)

    def then(seq: int) -> dict[str, Any]:
        refused = service.view.refused.get(seq)
        if refused is not None and order.state not in (OPEN, UNTRIGGERED):
            service.view.refused.pop(seq)
            raise RpcError(11044, order_state=order.state)
        service.checked(seq)
        return order_object(service.view, order)

    service.command(call, record, then, urgent=True)
    return None
