"""The gate before the wire: an order becomes a command of the shadow account, and what the engine says decides.

In enforce an order leaves only when its command is durable and was accepted; a refusal is answered here, with the two
numbers that decided. In observe all leaves at once, and the journal says what would have been refused. Cancels are
never held up. What the gate cannot weigh (several orders in one call, trades agreed elsewhere, money leaving) is
refused in enforce, by name; what it does not know at all passes.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from seawall.api.commands import packed
from seawall.api.desk.sent import Sent
from seawall.api.errors import RpcError
from seawall.api.listing import Listing
from seawall.api.methods.trading import FORCES, TYPES, OrderParameters, lots, ticks
from seawall.api.rpc import Call, Envelope, Parameters, from_query, parameters, parse
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.records import BUY, SELL, Kind, OrderType, TimeInForce

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk
    from seawall.api.desk.tunnel import Slot, Tunnel

ORDERS: Final = {"private/buy": BUY, "private/sell": SELL}
EDITS: Final = frozenset(("private/edit", "private/edit_by_label"))

WITHDRAWALS: Final = frozenset(
    (
        "private/withdraw", "private/submit_transfer_to_subaccount", "private/submit_transfer_to_user",
        "private/submit_transfer_between_subaccounts", "private/create_deposit_address",
        "private/add_to_address_book",
    )
)  # fmt: skip
"""Money leaves, or may later; refused in both modes unless allowed, as is what makes keys."""

KEYS: Final = frozenset(
    (
        "private/create_api_key", "private/edit_api_key", "private/reset_api_key", "private/enable_api_key",
        "private/change_scope_in_api_key", "private/remove_api_key", "private/disable_api_key", "private/list_api_keys",
    )
)  # fmt: skip
"""They would tell a venue's key to a bot, or make one that goes around Seawall."""

UNWEIGHED: Final = frozenset(
    (
        "private/mass_quote", "private/execute_block_trade", "private/verify_block_trade", "private/move_positions",
        "private/create_combo", "private/leg_combo", "private/add_block_rfq_quote", "private/edit_block_rfq_quote",
        "private/accept_block_rfq", "private/create_block_rfq", "private/approve_block_trade",
    )
)  # fmt: skip
"""They add risk that the gate does not weigh."""


class _Edit(Parameters, frozen=True):
    order_id: str = ""
    label: str = ""
    instrument_name: str = ""
    amount: float | None = None
    contracts: float | None = None
    price: float | None = None


class _Close(Parameters, frozen=True):
    instrument_name: str
    type: str = "market"
    price: float | None = None


_ROWS: Final[dict[str, type[Parameters]]] = {
    **dict.fromkeys(ORDERS, OrderParameters),
    **dict.fromkeys(EDITS, _Edit),
    "private/close_position": _Close,
}


class Gate:
    """Takes every private call of every bot."""

    def __init__(self, desk: "Desk", *, enforce: bool) -> None:
        self.desk, self.enforce = desk, enforce

    # -- calls ---------------------------------------------------------------------------------------------------------

    def take(self, tunnel: "Tunnel", call: Call, request: Envelope, slot: "Slot") -> None:
        """Let a call of a WebSocket go, now or when it is known that it may. Raises RpcError to refuse it."""
        name = request.method
        self._permit(name)
        kind = _ROWS.get(name)
        if kind is None:
            tunnel.let(slot)
            return
        sent = self._weigh(call, name, lambda: parameters(kind, request.params))
        if sent is None:
            tunnel.let(slot)
            return
        if request.id in tunnel.tracked or not isinstance(request.id, int | str | float):
            if self.enforce:
                raise RpcError(-32600, reason="an order needs an id of its own, or its answer cannot be told")
        else:
            tunnel.track(request.id, sent)

        def go(error: RpcError | None) -> None:
            if error is None:
                tunnel.let(slot)
                return
            tunnel.tracked.pop(request.id, None)
            tunnel.drop(slot)
            call.fail(error)

        self._send(sent, go)

    async def take_http(self, call: Call, name: str, body: bytes, query: dict[str, str]) -> Sent | None:
        """The same for a request over HTTP; returns what its answer is to be told to. Raises RpcError."""
        identity = call.session.identity
        if identity is None or not name.startswith("private/"):
            return None
        call.identity, call.account = identity, identity.account
        self._permit(name)
        kind = _ROWS.get(name)
        if kind is None:
            return None
        sent = self._weigh(
            call, name, lambda: parameters(kind, parse(body).params) if body else from_query(kind, query)
        )
        if sent is not None:
            word: asyncio.Future[RpcError | None] = asyncio.get_running_loop().create_future()
            self._send(sent, lambda error: word.set_result(error) if not word.done() else None)
            error = await word
            if error is not None:
                raise error
        return sent

    def _permit(self, name: str) -> None:
        if name in KEYS:
            raise RpcError(13021, reason="keys of the venue stay with Seawall", needed=name)
        if name in WITHDRAWALS and not self.desk.withdrawals:
            raise RpcError(13021, reason="withdrawals are off", needed=name)
        if self.enforce and name in UNWEIGHED:
            raise RpcError(10033, reason=f"{name} adds risk that the gate does not weigh")

    # -- weighing ------------------------------------------------------------------------------------------------------

    def _weigh(self, call: Call, name: str, read: Any) -> Sent | None:
        """The order that a call asks for; None where there is none, so that the venue says why."""
        try:
            asked = read()
            if name in ORDERS:
                return self._order(call.account, asked, ORDERS[name])
            if name in EDITS:
                return self._edit(call.account, asked)
            return self._close(call.account, asked)
        except RpcError:
            if self.enforce:
                raise
            self.desk.not_understood(call.account, name)
            return None

    def _order(self, account: int, asked: OrderParameters, side: int) -> Sent:
        listing = self._listing(asked.instrument_name)
        kind = TYPES.get(asked.type, OrderType.LIMIT)
        quantity = lots(listing, asked.amount, asked.contracts)
        sent = Sent(self.desk, account, self.desk.place_of(account), listing, side, quantity, asked.label)
        if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_LIMIT):
            if asked.price is None:
                raise RpcError(-32602, param="price", reason="must be given")
            sent.price = asked.price
            sent.ticks = ticks(listing, asked.price)
        if kind not in (OrderType.LIMIT, OrderType.MARKET):
            self._untriggered(sent)
        force = FORCES.get(asked.time_in_force, TimeInForce.GTC)
        if kind == OrderType.MARKET or force in (TimeInForce.IOC, TimeInForce.FOK):
            sent.force = TimeInForce.IOC
        return sent

    def _untriggered(self, sent: Sent) -> None:
        """A trigger order is weighed from now on, since the venue will not ask: as if it stood at the mark.

        When it fires the market is where its trigger is, so its limit's distance from today's mark is no loss.
        """
        mark = self.desk.view.marks.get(sent.listing.number, 0)
        if not mark:
            raise RpcError(13028, reason=f"no mark of {sent.listing.name} is known yet")
        at = sent.ticks or mark
        sent.ticks = min(at, mark) if sent.side == BUY else max(at, mark)

    def _close(self, account: int, asked: _Close) -> Sent | None:
        listing = self._listing(asked.instrument_name)
        held = self.desk.view.positions.get((account, listing.number), 0)
        if not held:
            return None
        side = SELL if held > 0 else BUY
        sent = Sent(self.desk, account, self.desk.place_of(account), listing, side, abs(held), "")
        if asked.type == "limit" and asked.price is not None:
            sent.price, sent.ticks = asked.price, ticks(listing, asked.price)
        sent.force = TimeInForce.IOC
        return sent

    def _edit(self, account: int, asked: _Edit) -> Sent | None:
        shadow = self.desk.shadow
        live = shadow.live.get(asked.order_id)
        if live is None and asked.label:
            order = next((o for o in self.desk.view.client(account).open.values() if o.label == asked.label), None)
            live = shadow.by_seq.get(order.id) if order is not None else None
        if live is None or live.account != account or not live.seq:
            if self.enforce and asked.order_id and asked.order_id not in shadow.done:
                reason = "it was placed while the gate only looked on: cancel it" if live is not None else "not known"
                raise RpcError(10029 if live is not None else 10004, order_id=asked.order_id[:64], reason=reason)
            return None
        listing = self.desk.view.listings[live.instrument]
        whole = live.lots
        if asked.amount is not None or asked.contracts is not None:
            whole = lots(listing, asked.amount, asked.contracts)
        sent = Sent(self.desk, account, self.desk.place_of(account), listing, live.side, whole, "")
        before = self.desk.view.orders[live.seq].price
        sent.ticks = ticks(listing, asked.price) if asked.price is not None else before
        sent.edits = (live, before, live.lots)
        return sent

    def _listing(self, name: str) -> Listing:
        listing = self.desk.view.by_name.get(name)
        if listing is None:
            why = self.desk.left_out(name)
            raise RpcError(10020, reason=f"the gate does not weigh {name[:64]}: {why}")
        return listing

    # -- the command ---------------------------------------------------------------------------------------------------

    def _send(self, sent: Sent, go: Callable[[RpcError | None], None]) -> None:
        """Journal the order and let it go: after it was accepted (enforce), or at once (observe)."""
        desk = self.desk
        if self.enforce:
            desk.check_sight(sent.at)
        desk.unbound.add(sent)

        def done(seq: int, error: SeawallError | None) -> None:
            refusal: RpcError | None = None
            if error is not None:
                refusal = RpcError(13888, reason=f"outcome unknown: {error}")
            else:
                try:
                    desk.service.checked(seq)
                except RpcError as refused:
                    refusal = refused
            if self.enforce and refusal is not None:
                sent.withdrawn()
            else:
                sent.durable(seq, refused=refusal is not None)
            if self.enforce:
                go(refusal)

        try:
            desk.service.sequencer.submit(*_packed(sent), done, account=sent.account)
        except SeawallError as error:
            desk.unbound.discard(sent)
            if self.enforce:
                raise RpcError(10047, reason=str(error)) from None
            desk.not_journalled(sent, error)
        if not self.enforce:
            go(None)


def _packed(sent: Sent) -> tuple[bytes, bytes]:
    """The command that a bot's order or edit is, and the note that rides on it."""
    account, instrument = sent.account, sent.listing.number
    if sent.edits is not None:
        live = sent.edits[0]
        record = packed(
            Kind.EDIT, account=account, instrument=instrument, order_id=live.seq, price=sent.ticks, quantity=sent.lots
        )
        return record, b""
    kind = OrderType.LIMIT if sent.ticks else OrderType.MARKET
    data = msgspec.json.encode({"label": sent.label}) if sent.label else b""
    record = packed(
        Kind.ORDER, account=account, instrument=instrument, side=sent.side, type=kind, tif=sent.force,
        quantity=sent.lots, price=sent.ticks, attachment=len(data),
    )  # fmt: skip
    return record, data
