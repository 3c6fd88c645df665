"""Mass cancels of a bot that shares its account at the venue: there they would take the other bots' orders, too.

They become cancels of the bot's own orders, one by one, over the drop copy's connection. Which orders those are the
venue is asked: it knows those of unknown outcome and those from outside, and of which type each is.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from seawall.api.desk.rows import OrderRow, order_rows
from seawall.api.errors import RpcError
from seawall.api.listing import Listing
from seawall.api.methods.cancelling import ByCurrency, ByInstrument, ByKindOrType, ByPair, CancelAll, Label
from seawall.api.methods.orders import choose_kind
from seawall.api.rpc import Parameters
from seawall.venues.connection import Unreachable, VenueError

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk
    from seawall.api.desk.drop_copy import DropCopy
    from seawall.api.desk.sent import Sent
    from seawall.api.desk.shadow import Live

SWEEPS: Final[dict[str, type[Parameters]]] = {
    "private/cancel_all": CancelAll,
    "private/cancel_all_by_instrument": ByInstrument,
    "private/cancel_all_by_currency": ByCurrency,
    "private/cancel_all_by_currency_pair": ByPair,
    "private/cancel_all_by_kind_or_type": ByKindOrType,
    "private/cancel_by_label": Label,
}
PAUSE_S: Final = 0.005
AT_ONCE: Final = 8
"""Cancels of one account that wait for their answers together: venues turn away what is too many a second."""

TOO_MANY: Final = frozenset((10028, 10047, 10066))
"""Errors of the venue for one that is to be sent again a little later."""

AGAIN_S: Final = 0.25
PATIENCE_S: Final = 10.0
"""How long a cancel is sent again for."""

OVER: Final = frozenset((10004, 10010, 11008, 11044))
"""Errors of the venue for an order that is no longer open."""

Chosen = Callable[[OrderRow], bool]


def chosen_by(desk: "Desk", asked: Parameters) -> Chosen:
    """Which orders a mass cancel asks for. Raises RpcError."""
    if isinstance(asked, Label):
        label, of_currency = asked.label, _listed(desk, choose_kind(desk.service, asked.currency, None))
        return lambda row: row.label == label and (asked.currency is None or of_currency(row))
    word = getattr(asked, "type", None)
    if isinstance(asked, ByInstrument):
        name = asked.instrument_name
        return lambda row: row.instrument_name == name and _of_type(row, word)
    if isinstance(asked, ByPair):
        of_kind, pair = choose_kind(desk.service, None, asked.kind), asked.currency_pair.lower()
        of_pair = _listed(desk, lambda listing: listing.index == pair and of_kind(listing))
        return lambda row: of_pair(row) and _of_type(row, word)
    if isinstance(asked, ByCurrency | ByKindOrType):
        names = asked.currency if isinstance(asked.currency, list) else [asked.currency]
        choices = [choose_kind(desk.service, name, asked.kind) for name in names]
        among = _listed(desk, lambda listing: any(choice(listing) for choice in choices))
        return lambda row: among(row) and _of_type(row, word)
    return lambda row: True


def _listed(desk: "Desk", choice: Callable[[Listing], bool]) -> Chosen:
    def fits(row: OrderRow) -> bool:
        listing = desk.view.by_name.get(row.instrument_name)
        return listing is not None and choice(listing)

    return fits


def _of_type(row: OrderRow, word: str | None) -> bool:
    """Whether an open order is of a type in the dialect's words for types of open orders."""
    waits = row.order_state == "untriggered"
    if word is None or word == "all":
        return True
    if word == "limit":
        return not waits
    stem = word.removesuffix("_all")
    return waits and (word in ("trigger_all", row.order_type) or row.order_type.startswith(f"{stem}_"))


def cancel_own(desk: "Desk", account: int, chosen: Chosen) -> Coroutine[Any, Any, list[dict[str, Any]]]:
    """Cancel a bot's orders that are open or on their way at this call; those that came to their end by it.

    What is open goes first; then what was on its way, when its answer has come. To await it raises RpcError.
    """
    waiting = [one for one in desk.unbound if one.account == account and one.edits is None]
    known = {live for live in desk.shadow.live.values() if live.account == account}
    return _cancelled(desk, account, chosen, waiting, known)


async def _cancelled(
    desk: "Desk", account: int, chosen: Chosen, waiting: "list[Sent]", known: "set[Live]"
) -> list[dict[str, Any]]:
    shadow = desk.shadow

    def open_before(row: OrderRow) -> bool:
        outside = row.order_id in shadow.outside and desk.owner_of(row.label, desk.place_of(account)) == account
        live = shadow.live.get(row.order_id) or shadow.live.get(row.trigger_order_id or "")  # a stop that fired since
        return live in known or outside

    def came(row: OrderRow) -> bool:
        live = shadow.live.get(row.order_id)
        return live is not None and live.account == account and live.seq in {one.seq for one in waiting}

    ended = await _sweep(desk, account, lambda row: open_before(row) and chosen(row))
    if waiting:
        while any(one.state in ("waiting", "sent") for one in waiting):
            await asyncio.sleep(PAUSE_S)
        ended += await _sweep(desk, account, lambda row: came(row) and chosen(row))
    lost = sum(one.state == "lost" for one in waiting)
    if lost:
        raise RpcError(13888, reason=f"of {lost} orders it is not known whether they stand", cancelled=len(ended))
    return ended


async def cancel_strays(desk: "Desk", account: int, chosen: Chosen) -> None:
    """Cancel a bot's orders at the venue that the engine does not hold: ghosts, and from outside. Raises RpcError."""
    shadow, at = desk.shadow, desk.place_of(account)
    ghosts = {live.id for live in shadow.live.values() if live.account == account and not live.seq}
    own = {row.order_id for row in shadow.outside.values() if desk.owner_of(row.label, at) == account}
    strays = ghosts | own
    if strays:
        await _sweep(desk, account, lambda row: row.order_id in strays and chosen(row))


async def cancel_there(copy: "DropCopy", order_id: str) -> dict[str, Any]:
    """Cancel one order of an account, when its turn has come. Raises Unreachable, VenueError."""
    until = time.monotonic() + PATIENCE_S
    async with copy.cancels:
        while True:
            if copy.venue is None:
                raise Unreachable("not connected")
            try:
                ended: dict[str, Any] = await copy.venue.ask("private/cancel", order_id=order_id)
            except VenueError as error:
                if error.code not in TOO_MANY or time.monotonic() > until:
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                return ended


async def _sweep(desk: "Desk", account: int, chosen: Chosen) -> list[dict[str, Any]]:
    copy = desk.copies[desk.place_of(account)]
    if copy.venue is None:
        raise RpcError(13028, reason="the venue: not connected")
    try:
        rows = order_rows(await copy.venue.ask("private/get_open_orders"))
    except (Unreachable, VenueError) as error:
        raise RpcError(13028, reason=f"the venue: {error}") from None
    asked = [cancel_there(copy, row.order_id) for row in rows if chosen(row)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    ended = [answer for answer in answers if isinstance(answer, dict)]
    for answer in answers:
        if isinstance(answer, VenueError) and answer.code not in OVER:
            raise RpcError(13888, reason=f"the venue: {answer}", cancelled=len(ended))
        if isinstance(answer, BaseException) and not isinstance(answer, VenueError):
            raise RpcError(13888, reason=f"the venue: {answer!r}", cancelled=len(ended)) from answer
    return ended


def counted(ended: list[dict[str, Any]], *, detailed: bool) -> Any:
    """The answer: how many, or the orders themselves by type and instrument."""
    if not detailed:
        return len(ended)
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for order in ended:
        kind = "limit" if order.get("trigger") is None else "trigger"
        parts.setdefault((kind, order["instrument_name"]), []).append(order)
    return [{"type": kind, "instrument_name": name, "result": result} for (kind, name), result in parts.items()]
