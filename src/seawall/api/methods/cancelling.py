"""Cancels of many orders at once, and changes by label. A cancel works in every state of the venue."""

from collections.abc import Iterable
from typing import Any

from seawall.api.commands import packed
from seawall.api.errors import RpcError, invalid, refusal
from seawall.api.methods.orders import Choice, choose_kind, choose_one, not_implemented, open_orders
from seawall.api.methods.trading import EditParameters, change
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.api.shapes import order_object
from seawall.api.view import CANCELLED, Order
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FLAG_PROTECTED, Kind


class CancelAll(Parameters, frozen=True):
    """Of cancel_all."""

    detailed: bool = False
    freeze_quotes: bool = False


class ByInstrument(CancelAll, frozen=True, kw_only=True):
    """Of one instrument."""

    instrument_name: str
    type: str | None = None


class ByCurrency(CancelAll, frozen=True, kw_only=True):
    """Of one currency."""

    currency: str
    kind: str | None = None
    type: str | None = None


class ByPair(CancelAll, frozen=True, kw_only=True):
    """Of one index, e.g. btc_usd."""

    currency_pair: str
    kind: str | None = None
    type: str | None = None


class ByKindOrType(CancelAll, frozen=True, kw_only=True):
    """Of one currency, several, or any."""

    currency: str | list[str] = "any"
    kind: str | None = None
    type: str | None = None


class Label(Parameters, frozen=True):
    """Of cancel_by_label."""

    label: str
    currency: str | None = None


class Quotes(CancelAll, frozen=True, kw_only=True):
    """Of cancel_quotes."""

    cancel_type: str
    currency: str | None = None
    kind: str | None = None
    instrument_name: str | None = None
    quote_set_id: str | None = None
    delta: list[float] | None = None
    currency_pair: str | None = None


@method("private/cancel_all", CancelAll, scope="trade:read_write", trading=True, free=True)
def cancel_all(service: Service, call: Call, asked: CancelAll) -> Any:
    """Cancel all orders; how many."""
    return _whole(service, call, asked, lambda listing: True, everything=True)


@method("private/cancel_all_by_instrument", ByInstrument, scope="trade:read_write", trading=True, free=True)
def cancel_all_by_instrument(service: Service, call: Call, asked: ByInstrument) -> Any:
    """Cancel all orders of an instrument; how many."""
    return _chosen(service, call, asked, choose_one(service, asked.instrument_name), asked.type)


@method("private/cancel_all_by_currency", ByCurrency, scope="trade:read_write", trading=True, free=True)
def cancel_all_by_currency(service: Service, call: Call, asked: ByCurrency) -> Any:
    """Cancel all orders of a settlement currency; how many."""
    return _chosen(service, call, asked, choose_kind(service, asked.currency, asked.kind), asked.type)


@method("private/cancel_all_by_currency_pair", ByPair, scope="trade:read_write", trading=True, free=True)
def cancel_all_by_currency_pair(service: Service, call: Call, asked: ByPair) -> Any:
    """Cancel all orders of an index; how many."""
    of_kind, pair = choose_kind(service, None, asked.kind), asked.currency_pair.lower()
    return _chosen(service, call, asked, lambda listing: listing.index == pair and of_kind(listing), asked.type)


@method("private/cancel_all_by_kind_or_type", ByKindOrType, scope="trade:read_write", trading=True, free=True)
def cancel_all_by_kind_or_type(service: Service, call: Call, asked: ByKindOrType) -> Any:
    """Cancel all orders of a kind or type, of one currency, several or any; how many."""
    names = asked.currency if isinstance(asked.currency, list) else [asked.currency]
    choices = [choose_kind(service, name, asked.kind) for name in names]
    return _chosen(service, call, asked, lambda listing: any(choice(listing) for choice in choices), asked.type)


@method("private/cancel_by_label", Label, scope="trade:read_write", trading=True, free=True)
def cancel_by_label(service: Service, call: Call, asked: Label) -> Any:
    """Cancel the orders under a label; how many, which may be none."""
    found = open_orders(service, call.account, choose_kind(service, asked.currency, None))
    return _each(service, call, [order for order in found if order.label == asked.label], detailed=False)


@method("private/cancel_quotes", Quotes, scope="trade:read_write", trading=True, free=True)
def cancel_quotes(service: Service, call: Call, asked: Quotes) -> Any:
    """Cancel orders under market-maker protection: all, or of a currency, kind, instrument or quote set; how many."""
    _refuse_freezing(asked)
    choice = choose_kind(service, asked.currency, asked.kind)
    if asked.cancel_type == "instrument":
        if asked.instrument_name is None:
            raise invalid("instrument_name", "must be given")
        choice = choose_one(service, asked.instrument_name)
    elif asked.cancel_type == "quote_set_id":
        if asked.quote_set_id is None:
            raise invalid("quote_set_id", "must be given")
    elif asked.cancel_type not in ("all", "currency", "kind"):
        raise not_implemented("cancel_type must be all, currency, kind, instrument or quote_set_id")
    wanted = asked.quote_set_id if asked.cancel_type == "quote_set_id" else None
    found = [
        order
        for order in open_orders(service, call.account, choice)
        if order.flags & FLAG_PROTECTED and (wanted is None or (order.quote or ("", "", ""))[1] == wanted)
    ]
    return _each(service, call, found, detailed=asked.detailed)


def _refuse_freezing(asked: CancelAll) -> None:
    if asked.freeze_quotes:
        raise not_implemented("quotes are frozen by their protection only")


def _chosen(service: Service, call: Call, asked: CancelAll, choice: Choice, kind: str | None) -> Any:
    """By instrument where all of it goes, which spends none of the account's budget of cancels; else order by order."""
    if kind in (None, "all"):
        return _whole(service, call, asked, choice)
    found = open_orders(service, call.account, choice, kind)
    _refuse_freezing(asked)
    return _each(service, call, found, detailed=asked.detailed)


def _whole(service: Service, call: Call, asked: CancelAll, choice: Choice, *, everything: bool = False) -> Any:
    """All orders of some instruments. Where nothing is open or on its way nothing is journalled: it is counted."""
    _refuse_freezing(asked)
    if everything:
        service.sequencer.withdraw(call.account)
    edge, listings = service.edge, service.view.listings
    found = open_orders(service, call.account, choice)
    entering = [number for number in edge.entering.get(call.account, ()) if choice(listings[number])]
    instruments = sorted({order.instrument for order in found}.union(entering))
    if not instruments:
        edge.shed[call.account, 0] += 1
        return [] if asked.detailed else 0
    if everything:
        instruments = [-1]
    if not edge.sweep(call, (int(asked.detailed), *instruments)):
        edge.shed[call.account, 0] += 1
        return None
    records = [packed(Kind.CANCEL_ALL, account=call.account, instrument=number) for number in instruments]

    def then(seq: int) -> Any:
        seqs = range(seq, seq + len(records))
        for number in seqs:
            service.checked(number)
        known = {order.id: order for order in found if order.state == CANCELLED and order.done_seq in seqs}
        for order in reversed(service.view.client(call.account).finished):  # those that came in between
            if order.state == CANCELLED:
                if order.done_seq < seqs.start:
                    break
                if order.done_seq in seqs:
                    known[order.id] = order
        return _counted(service, [known[number] for number in sorted(known)], detailed=asked.detailed)

    data = b"".join(records)
    service.command(call, data, then, urgent=everything, behind=not everything)
    return None


def _each(service: Service, call: Call, orders: list[Order], *, detailed: bool) -> Any:
    """Cancels of some orders, in one request."""
    if not orders:
        return [] if detailed else 0

    def then(seq: int) -> Any:
        refused = [service.view.refused.pop(seq + index, None) for index in range(len(orders))]
        ended = [order for order, why in zip(orders, refused, strict=True) if why is None and order.state == CANCELLED]
        for why in refused:
            if why is not None and why[0] == Reason.THROTTLED:
                raise refusal(*why[:3], cancelled=len(ended), left=sum(row is not None for row in refused))
        return _counted(service, ended, detailed=detailed)

    service.command(call, cancels(call.account, orders), then, urgent=True)
    return None


def cancels(account: int, orders: Iterable[Order]) -> bytes:
    """A CANCEL for each order."""
    return b"".join(
        packed(Kind.CANCEL, account=account, instrument=order.instrument, order_id=order.id) for order in orders
    )


def _counted(service: Service, orders: list[Order], *, detailed: bool) -> Any:
    if not detailed:
        return len(orders)
    parts: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for order in orders:
        listing = service.view.listings[order.instrument]
        kind = "trigger" if order.stop and not order.triggered else "limit"
        parts.setdefault((kind, listing.name, listing.settlement), []).append(order_object(service.view, order))
    return [
        {"type": kind, "instrument_name": name, "currency": currency, "result": result}
        for (kind, name, currency), result in parts.items()
    ]


class EditByLabel(EditParameters, frozen=True, kw_only=True):
    """Of edit_by_label."""

    order_id: str = ""
    label: str
    instrument_name: str


@method("private/edit_by_label", EditByLabel, scope="trade:read_write", trading=True)
def edit_by_label(service: Service, call: Call, asked: EditByLabel) -> Any:
    """Replace price and amount of the one open order under a label."""
    found = open_orders(service, call.account, choose_one(service, asked.instrument_name))
    orders = [order for order in found if order.label == asked.label]
    if not orders:
        raise RpcError(10004, label=asked.label)
    if len(orders) > 1:
        raise RpcError(13032, label=asked.label, orders=len(orders))
    return change(service, call, orders[0], asked)
