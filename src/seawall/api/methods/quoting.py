"""Mass quotes: many orders under market-maker protection in one request, known by group, instrument and side.

A quote replaces the one that stands on its side of the instrument, keeping its id; an amount of 0 takes it away; a side
left out stays as it is. Each side is taken or refused by itself.
"""

from typing import Annotated, Any, Final

import msgspec

from seawall.api.commands import packed
from seawall.api.errors import RpcError, invalid, refused
from seawall.api.listing import Listing
from seawall.api.methods.trading import lots, placed, ticks
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.api.view import OPEN, Order
from seawall.vocabulary.records import BUY, FLAG_POST_ONLY, FLAG_PROTECTED, FLAG_SLIDE, SELL, Kind

QUOTES_MAX: Final = 100
Name = Annotated[str, msgspec.Meta(max_length=64)]


class Side(msgspec.Struct, frozen=True):
    """One side of a quote."""

    amount: float
    price: float | None = None
    post_only: bool = False
    reject_post_only: bool = False


class Quote(msgspec.Struct, frozen=True):
    """Both sides of one instrument."""

    instrument_name: str
    quote_set_id: Name = ""
    bid: Side | None = None
    ask: Side | None = None


class MassQuote(Parameters, frozen=True):
    """Of mass_quote."""

    quote_id: Name
    mmp_group: Name
    quotes: Annotated[list[Quote], msgspec.Meta(min_length=1, max_length=QUOTES_MAX)]
    valid_until: int | None = None


class _Part:
    """One side of one quote on its way: its record, or why there is none."""

    __slots__ = ("data", "error", "order", "quote", "record", "side", "told")

    def __init__(self, quote: Quote, side: int) -> None:
        self.quote, self.side = quote, side
        self.record, self.data = b"", b""
        self.order: Order | None = None
        self.error: RpcError | None = None
        self.told: frozenset[str] = frozenset()
        """Trades that the order had before."""


@method("private/mass_quote", MassQuote, scope="trade:read_write", trading=True, websocket=True)
def mass_quote(service: Service, call: Call, asked: MassQuote) -> Any:
    """Place, change and take away many quotes in one request."""
    if not service.takes_orders_along(call.session, call.account):
        raise RpcError(13042, "cod_not_enabled", reason="enable cancel on disconnect first")
    if asked.valid_until is not None and asked.valid_until < service.clock_ms():
        raise RpcError(13888, reason=f"valid_until {asked.valid_until} has passed")
    standing = {
        (order.instrument, order.side): order
        for order in service.view.client(call.account).open.values()
        if order.quote is not None and order.quote[2] == asked.mmp_group and order.state == OPEN
    }
    parts = []
    seen: set[tuple[str, int]] = set()
    for quote in asked.quotes:
        for side, wanted in ((BUY, quote.bid), (SELL, quote.ask)):
            if wanted is not None:
                if (quote.instrument_name, side) in seen:
                    raise invalid("quotes", f"{quote.instrument_name} has two quotes on one side")
                seen.add((quote.instrument_name, side))
                parts.append(_part(service, call, asked, quote, side, wanted, standing))
    sent = [part for part in parts if part.record]
    if not sent:
        return _answer(service, call, parts, [])
    service.command(
        call,
        b"".join(part.record for part in sent),
        lambda seq: _answer(service, call, parts, [(seq + index, part) for index, part in enumerate(sent)]),
        b"".join(part.data for part in sent),
    )
    return None


def _part(
    service: Service,
    call: Call,
    asked: MassQuote,
    quote: Quote,
    side: int,
    wanted: Side,
    standing: dict[tuple[int, int], Order],
) -> _Part:
    part = _Part(quote, side)
    try:
        listing = service.listing(quote.instrument_name)
        part.order = standing.get((listing.number, side))
        if part.order is not None and part.order.filled:
            before = placed(service, call, part.order.id)["trades"]
            part.told = frozenset(trade["trade_id"] for trade in before)
        _record(service, call, asked, part, wanted, listing)
    except RpcError as error:
        part.error = error
    return part


def _record(service: Service, call: Call, asked: MassQuote, part: _Part, wanted: Side, listing: Listing) -> None:
    """Write a part's command; none for taking away what does not stand. Raises RpcError."""
    order = part.order
    if not wanted.amount:
        if order is not None:
            part.record = packed(Kind.CANCEL, account=call.account, instrument=listing.number, order_id=order.id)
        return
    config = service.view.arrangements.protections.get((call.account, listing.index))
    if config is None or config.get("mmp_group", "default") != asked.mmp_group:
        raise RpcError(13040, "mmp_required", reason=f"the group has no protection for {listing.index}")
    quantity = lots(listing, wanted.amount, None)
    most = config.get("max_quote_quantity")
    if most is not None and _coins(service, listing, wanted) > most:
        raise RpcError(10021, reason=f"more than max_quote_quantity, {most} coins")
    if wanted.price is None:
        raise invalid("price", "must be given")
    price = ticks(listing, wanted.price)
    entry = 0
    if wanted.post_only:
        entry = FLAG_POST_ONLY if wanted.reject_post_only else FLAG_POST_ONLY | FLAG_SLIDE
    fields: dict[str, Any] = {"account": call.account, "instrument": listing.number, "price": price}
    along = {"along": True} if order is None and call.session.cancel_on_disconnect else {}
    part.data = msgspec.json.encode({"quote": [asked.quote_id, part.quote.quote_set_id, asked.mmp_group], **along})
    fields["attachment"] = len(part.data)
    if order is not None:
        whole = order.filled + quantity
        part.record = packed(Kind.EDIT, order_id=order.id, quantity=whole, flags=entry, **fields)
        return
    part.record = packed(
        Kind.ORDER,
        side=part.side,
        quantity=quantity,
        flags=entry | FLAG_PROTECTED,
        self_match=service.view.arrangements.self_match(call.account),
        **fields,
    )


def _coins(service: Service, listing: Listing, wanted: Side) -> float:
    if not listing.inverse:
        return wanted.amount
    mark = listing.price(service.view.marks.get(listing.number, 0))
    return wanted.amount / mark if mark else 0.0


def _answer(service: Service, call: Call, parts: list[_Part], sent: list[tuple[int, _Part]]) -> dict[str, Any]:
    orders: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    for seq, part in sent:
        why = service.view.refused.pop(seq, None)
        if why is not None:
            part.error = refused(service.view, *why)
            continue
        order = part.order or service.view.orders[seq]
        if order.state == OPEN:
            service.placed(call.session, order)
        made = placed(service, call, order.id)
        orders.append(made["order"])
        trades += [trade for trade in made["trades"] if trade["trade_id"] not in part.told]
    errors = [_error(part, part.error) for part in parts if part.error is not None]
    return {"orders": orders, "trades": trades, "errors": errors, "errors_count": len(errors)}


def _error(part: _Part, error: RpcError) -> dict[str, Any]:
    return {
        "instrument_name": part.quote.instrument_name,
        "side": "bid" if part.side == BUY else "ask",
        "quote_set_id": part.quote.quote_set_id,
        "code": error.code,
        "message": error.message,
        "data": error.data,
    }
