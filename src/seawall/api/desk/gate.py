"""The gate before the wire: an order becomes a command of the shadow account, and what the engine says decides.

In enforce an order leaves only when its command is durable and was accepted; a refusal is answered here, with the two
numbers that decided. What an edit frees is free when the venue has taken it. In observe all leaves at once, and the
journal says what would have been refused. Cancels are never held up. What the gate cannot weigh (several orders in one
call, trades agreed elsewhere, money leaving) is refused in enforce, by name; what it does not know at all passes.

Bots that share an account at the venue are kept from each other's orders in enforce: to the venue they are one client.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from seawall.api.commands import packed
from seawall.api.desk.cancelling import SWEEPS, cancel_own, chosen_by, counted
from seawall.api.desk.readings import Forbidden
from seawall.api.desk.sent import Sent
from seawall.api.desk.shadow import Live
from seawall.api.errors import RpcError, invalid
from seawall.api.errors import refusal as refused_because
from seawall.api.listing import Listing
from seawall.api.methods.trading import FORCES, TYPES, Label, lots, ticks
from seawall.api.rpc import Call, Envelope, Parameters, from_query, parameters, parse
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.reasons import Reason
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
        "private/change_api_key_name", "private/set_api_key_as_default", "private/create_subaccount",
        "private/set_password_for_subaccount", "private/set_email_for_subaccount", "private/toggle_subaccount_login",
    )
)  # fmt: skip
"""They would tell a venue's key to a bot, or make a way around Seawall."""

UNWEIGHED: Final = frozenset(
    (
        "private/mass_quote", "private/execute_block_trade", "private/verify_block_trade", "private/move_positions",
        "private/create_combo", "private/leg_combo", "private/add_block_rfq_quote", "private/edit_block_rfq_quote",
        "private/accept_block_rfq", "private/create_block_rfq", "private/approve_block_trade",
    )
)  # fmt: skip
"""They add risk that the gate does not weigh."""

OF_ALL: Final = frozenset(
    (
        "private/close_position", "private/cancel_quotes", "private/cancel_all_after", "private/set_mmp_config",
        "private/reset_mmp", "private/set_self_trading_config",
    )
)  # fmt: skip
"""They are about everything on an account at the venue, so about the orders of each bot that shares it."""

EARLY: Final = "enforce would have weighed it: its order was answered and is not journalled yet"

ON_DISCONNECT: Final = frozenset(("private/enable_cancel_on_disconnect", "private/disable_cancel_on_disconnect"))

SWEEPS_MAX: Final = 8
"""Mass cancels of a bot at once, where they are made of its own orders: each asks the venue by the connection, and out
of the allowance, by which all bots of the account are seen."""

RIGHT: Final = "trade:read_write"
STRATEGY: Final = 1
"""A bot is one strategy: its executions are counted (C07)."""


class _Order(Parameters, frozen=True):
    """What an order is weighed by. All else of it is the venue's to read, and what it does not know it passes over."""

    instrument_name: str
    amount: float | None = None
    contracts: float | None = None
    type: str | None = None
    price: float | None = None
    label: Label | None = None
    time_in_force: str | None = None
    reduce_only: Any = None
    advanced: str | None = None
    linked_order_type: str | None = None
    otoco_config: Any = None


class _Edit(Parameters, frozen=True):
    order_id: str = ""
    label: str = ""
    instrument_name: str = ""
    amount: float | None = None
    contracts: float | None = None
    price: float | None = None
    advanced: str | None = None


class _OrderId(Parameters, frozen=True):
    order_id: str = ""


class _OnDisconnect(Parameters, frozen=True):
    scope: str = "connection"


class _Close(Parameters, frozen=True):
    instrument_name: str
    type: str = "market"
    price: float | None = None


_ROWS: Final[dict[str, type[Parameters]]] = {
    **dict.fromkeys(ORDERS, _Order),
    **dict.fromkeys(EDITS, _Edit),
    "private/close_position": _Close,
}


class Gate:
    """Takes every private call of every bot."""

    def __init__(self, desk: "Desk", *, enforce: bool) -> None:
        self.desk, self.enforce = desk, enforce
        self._forbidden = Forbidden(KEYS if desk.withdrawals else KEYS | WITHDRAWALS)
        self._sweeps: set[asyncio.Task[None]] = set()
        self._sweeping: Counter[int] = Counter()
        """How many of them each bot waits for."""

    # -- in both modes -------------------------------------------------------------------------------------------------

    def check(self, text: str, target: str = "") -> None:
        """Raise RpcError for a message, or a body and where it was put, that may be read as what no bot may do."""
        name = self._forbidden.in_document(text) or (self._forbidden.in_target(target) if target else "")
        if name:
            why = "withdrawals are off" if name in WITHDRAWALS else "keys of the venue stay with Seawall"
            raise RpcError(13021, reason=why, needed=name)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def take(self, tunnel: "Tunnel", call: Call, request: Envelope, slot: "Slot") -> None:
        """Let a call of a WebSocket go, now or when it is known that it may. Raises RpcError to refuse it."""
        name, began = request.method, time.perf_counter()
        if self._own_only(call, name, lambda kind: parameters(kind, request.params)) is not None:
            tunnel.drop(slot)
            return
        kind = _ROWS.get(name)
        sent = self._weigh(call, name, lambda: parameters(kind, request.params)) if kind is not None else None
        if sent is None:
            tunnel.let(slot)
            return
        if not tunnel.tells(request.id):
            if self.enforce:
                raise RpcError(-32600, reason="an order needs an id of its own, or its answer cannot be told")
        else:
            tunnel.track(request.id, sent)

        def stopped(error: RpcError) -> None:
            tunnel.tracked.pop(request.id, None)
            call.fail(error)

        def refused(error: RpcError) -> None:
            sent.withdrawn()
            stopped(error)

        def may_leave() -> bool:
            overtaken = sent.overtaken(sent.seq)
            if not overtaken and not sent.unwanted():
                return True
            refused(_unknown() if overtaken else RpcError(10019, reason="it was cancelled before it left"))
            return False

        def go(error: RpcError | None) -> None:
            if error is None:
                tunnel.let(slot)
                return
            tunnel.drop(slot)
            stopped(error)

        slot.began, slot.refuse = began, refused
        if self.enforce:
            slot.may_leave = may_leave
        try:
            self._send(sent, go)
        except RpcError:  # it did not leave, so no answer is waited for
            tunnel.tracked.pop(request.id, None)
            raise

    async def take_http(self, call: Call, name: str, body: bytes, query: dict[str, str]) -> Sent | None:
        """The same for a request over HTTP; returns what its answer is to be told to. A call that is answered when this
        returns does not go to the venue. Raises RpcError."""
        identity = call.session.identity
        if identity is None or not name.startswith("private/"):
            return None
        call.identity, call.account = identity, identity.account

        def read(kind: type[Parameters]) -> Any:
            return from_query(kind, query) if query or not body else parameters(kind, parse(body).params)

        sweep = self._own_only(call, name, read)
        if sweep is not None:
            await asyncio.shield(sweep)
            return None
        kind = _ROWS.get(name)
        sent = self._weigh(call, name, lambda: read(kind)) if kind is not None else None
        if sent is not None:
            word: asyncio.Future[RpcError | None] = asyncio.get_running_loop().create_future()
            self._send(sent, lambda error: word.set_result(error) if not word.done() else None)
            error = await word
            if error is not None:
                raise error
        return sent

    # -- one account, several bots -------------------------------------------------------------------------------------

    def _shared(self, account: int) -> bool:
        return len(self.desk.accounts_at(self.desk.place_of(account))) > 1

    def _own_only(self, call: Call, name: str, read: Callable[[type[Parameters]], Any]) -> "asyncio.Task[None] | None":
        """Keep a bot from the orders of others on its account: the work that is done instead of a call, if any.

        Raises RpcError for what cannot be had without them, and for what nobody can have: it is not weighed.
        """
        if not self.enforce:
            self._observe(call, name, read)
            return None
        _check_weighed(name)
        if not self._shared(call.account):
            return None
        self._check_own(call, name, read)
        if name in SWEEPS:
            asked = read(SWEEPS[name])
            if self._sweeping[call.account] >= SWEEPS_MAX:
                raise RpcError(10028, reason=f"{SWEEPS_MAX} mass cancels of this bot have no answer yet")
            detailed = getattr(asked, "detailed", False)
            work = cancel_own(self.desk, call.account, chosen_by(self.desk, asked))
            sweep = asyncio.get_running_loop().create_task(self._sweep(call, work, detailed=detailed))
            self._sweeping[call.account] += 1
            self._sweeps.add(sweep)
            sweep.add_done_callback(self._sweeps.discard)
            return sweep
        return None

    def _check_own(self, call: Call, name: str, read: Callable[[type[Parameters]], Any]) -> None:
        """Raise RpcError for what concerns other bots of the account."""
        if name == "private/cancel":
            self._check_owner(call.account, read(_OrderId).order_id)
        elif name in OF_ALL or (name in ON_DISCONNECT and read(_OnDisconnect).scope != "connection"):
            raise RpcError(10033, reason=f"{name} is about all bots of the account: name your own orders")
        elif name in SWEEPS and RIGHT not in call.identity.rights:
            raise RpcError(13021, needed=RIGHT)

    def _observe(self, call: Call, name: str, read: Callable[[type[Parameters]], Any]) -> None:
        """Count what enforce would refuse though it is not weighed."""
        try:
            _check_weighed(name)
            if self._shared(call.account):
                self._check_own(call, name, read)
        except RpcError as error:
            self.desk.not_weighed(call.account, name, error)

    async def _sweep(self, call: Call, work: Coroutine[Any, Any, list[dict[str, Any]]], *, detailed: bool) -> None:
        try:
            call.answer(counted(await work, detailed=detailed))
        except RpcError as error:
            call.fail(error)
        finally:
            self._sweeping[call.account] -= 1

    def _check_owner(self, account: int, order_id: str) -> None:
        """Raise RpcError 10029 for an order that is known to be another bot's."""
        shadow = self.desk.shadow
        live, row = shadow.live.get(order_id), shadow.outside.get(order_id)
        owner = live.account if live is not None else account
        if row is not None:
            owner = self.desk.owner_of(row.label, self.desk.place_of(account))
        if owner != account:
            raise RpcError(10029, order_id=order_id[:64])

    # -- weighing ------------------------------------------------------------------------------------------------------

    def _weigh(self, call: Call, name: str, read: Any) -> Sent | None:
        """The order that a call asks for; None where there is none, so that the venue says why."""
        try:
            if RIGHT not in call.identity.rights:  # else who may only look could spend the bot's limits
                raise RpcError(13021, needed=RIGHT)
            asked = read()
            if name in ORDERS:
                return self._order(call.account, asked, ORDERS[name])
            if name in EDITS:
                return self._edit(call.account, asked, by_label=name == "private/edit_by_label")
            return self._close(call.account, asked)
        except RpcError as error:
            if self.enforce:
                raise
            self.desk.not_weighed(call.account, name, self._early(call.account, error))
            return None

    def _early(self, account: int, error: RpcError) -> RpcError:
        """Observe knows an order some milliseconds after its bot does: an edit by then is not weighed, and is no
        refusal."""
        early = any(one.account == account and one.reply is not None for one in self.desk.unbound)
        return RpcError(10004, reason=EARLY) if early and error.code == 10004 else error

    def _order(self, account: int, asked: _Order, side: int) -> Sent:
        listing = self._listing(asked.instrument_name)
        kind = TYPES.get(asked.type or "limit")
        if kind is None:
            raise invalid("type", f"must be one of {', '.join(TYPES)}")
        if asked.advanced is not None or asked.linked_order_type is not None or asked.otoco_config is not None:
            raise RpcError(10033, reason="the gate does not weigh advanced and linked orders")
        quantity = self._lots(listing, asked)
        sent = Sent(self.desk, account, self.desk.place_of(account), listing, side, quantity, asked.label or "")
        sent.reduces = asked.reduce_only in (True, "true")
        if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_LIMIT):
            if asked.price is None:
                raise RpcError(-32602, param="price", reason="must be given")
            sent.price = asked.price
            sent.ticks = ticks(listing, asked.price)
        if kind not in (OrderType.LIMIT, OrderType.MARKET):
            self._untriggered(sent)
        rests = asked.type == "market_limit"
        if rests:
            sent.ticks = self._furthest(listing, side)
        force = FORCES.get(asked.time_in_force or "", TimeInForce.GTC)
        if (kind == OrderType.MARKET and not rests) or force in (TimeInForce.IOC, TimeInForce.FOK):
            sent.force = TimeInForce.IOC
        return sent

    def _lots(self, listing: Listing, asked: _Order | _Edit) -> int:
        """Whole lots, of contracts by what the venue says now that one is. Raises RpcError."""
        size = self.desk.contract_sizes.get(listing.name, listing.contract_size)
        if asked.contracts is not None and size != listing.contract_size:
            listing = replace(listing, contract_size=size)
        return lots(listing, asked.amount, asked.contracts)

    def _furthest(self, listing: Listing, side: int) -> int:
        """The limit that an order at market is held at whose rest becomes a limit order: the venue will say its price.

        As far as one at market may go (C03), less a tenth, because the mark may have moved when it is weighed.
        """
        low, high = self.desk.view.band(listing)
        edge = high if side == BUY else low
        return edge - (edge - self.desk.view.marks.get(listing.number, edge)) // 10

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
        sent.reduces = True
        if asked.type == "limit" and asked.price is not None:
            sent.price, sent.ticks = asked.price, ticks(listing, asked.price)
        else:
            sent.force = TimeInForce.IOC
        return sent

    def _edit(self, account: int, asked: _Edit, *, by_label: bool) -> Sent | None:
        live = self._edited(account, asked, by_label=by_label)
        if live is None:
            return None
        if asked.advanced is not None:
            raise RpcError(10033, reason="the gate does not weigh advanced orders")
        listing = self.desk.view.listings[live.instrument]
        whole = live.lots
        if asked.amount is not None or asked.contracts is not None:
            whole = self._lots(listing, asked)
        sent = Sent(self.desk, account, self.desk.place_of(account), listing, live.side, whole, "")
        if live.told is None:  # of a trigger order, as the gate took it
            live.told = self.desk.view.orders[live.seq].price, live.lots
        sent.ticks = ticks(listing, asked.price) if asked.price is not None else live.told[0]
        if live.waits:
            self._untriggered(sent)
        sent.edits = (live, *live.told)
        return sent

    def _edited(self, account: int, asked: _Edit, *, by_label: bool) -> Live | None:
        """The order that an edit is about; None for one that is over, so that the venue says so. Raises RpcError.

        Which it is hangs on the method alone, as at the venue: an edit by label may carry the id of another order.
        """
        shadow = self.desk.shadow
        live = shadow.live.get(asked.order_id)
        if by_label:
            live = self._labelled(account, asked)
        elif asked.order_id in shadow.done:
            return None
        if live is None:
            raise RpcError(10004, order_id=asked.order_id[:64], reason="not known")
        if live.account != account:
            raise RpcError(10029, order_id=asked.order_id[:64])
        if not live.seq:
            raise RpcError(10029, order_id=asked.order_id[:64], reason="it was not taken by the gate: cancel it")
        return live

    def _labelled(self, account: int, asked: _Edit) -> Live | None:
        """The one order of a label. Raises RpcError 13032 where the account may have several: one of them may be over
        at the venue by now, or be another bot's, and the edit would be about the one that was not weighed."""
        desk = self.desk
        by_name = desk.view.by_name.get(asked.instrument_name)
        number, at = by_name.number if by_name is not None else -1, desk.place_of(account)
        orders = [one for bot in desk.accounts_at(at) for one in desk.view.client(bot).open.values()]
        found = [one for one in orders if (one.instrument, one.label) == (number, asked.label)]
        if len(found) > 1:
            raise RpcError(13032, label=asked.label[:64])
        return desk.shadow.by_seq.get(found[0].id) if found and found[0].account == account else None

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
            if self.enforce and refusal is None and sent.overtaken(seq):
                sent.seq, refusal = seq, _unknown()
            if self.enforce and refusal is not None:
                sent.withdrawn()
            else:
                sent.durable(seq, refused=refusal is not None)
            if self.enforce:
                go(refusal)

        if not self.enforce:
            go(None)
            desk.ask(*_packed(sent, worst=False), done, sent.account)
            return
        desk.flush()
        try:
            desk.service.sequencer.submit(*_packed(sent, worst=True), done, account=sent.account)
        except SeawallError as error:
            desk.unbound.discard(sent)
            raise RpcError(10047, reason=str(error)) from None


def _check_weighed(name: str) -> None:
    if name in UNWEIGHED:
        raise RpcError(10033, reason=f"{name} adds risk that the gate does not weigh")


def _unknown() -> RpcError:
    return refused_because(Reason.OUTCOME_UNKNOWN, 1, 0)


def _packed(sent: Sent, *, worst: bool) -> tuple[bytes, bytes]:
    """The commands that a bot's order or edit is, and the note that rides on them; see `_edit_of` for `worst`."""
    account, instrument = sent.account, sent.listing.number
    if sent.edits is not None:
        return _edit_of(sent) if worst else _edit_to(sent, sent.ticks, sent.lots), b""
    kind = OrderType.LIMIT if sent.ticks else OrderType.MARKET
    data = msgspec.json.encode({"label": sent.label}) if sent.label else b""
    record = packed(
        Kind.ORDER, account=account, instrument=instrument, side=sent.side, type=kind, tif=sent.force,
        quantity=sent.lots, price=sent.ticks, strategy=STRATEGY, attachment=len(data),
    )  # fmt: skip
    return record, data


def _edit_of(sent: Sent) -> bytes:
    """An edit, after which the engine holds the worse of each term until the venue has answered.

    The venue may refuse it, and what the better terms would free must not be used before. Where no term becomes worse,
    it is weighed as it is and the terms that stand there follow at once; else, and behind other edits of the same
    order, the worst of all of them is weighed.
    """
    assert sent.edits is not None
    live, *before = sent.edits
    stands, asked = (before[0], before[1]), (sent.ticks, sent.lots)
    sent.alone = sent.desk.unbound.only(sent)
    if not sent.alone and live.held is not None:
        stands = live.held
    worse = max if live.side == BUY else min
    held = live.held = worse(stands[0], asked[0]), max(stands[1], asked[1])
    left = held[1] - live.filled
    if not sent.alone or held != stands or held == asked or left <= 0:
        return _edit_to(sent, *held)
    back = packed(
        Kind.AMENDED, account=sent.account, instrument=live.instrument, order_id=live.seq, price=held[0], quantity=left
    )
    return _edit_to(sent, *asked) + back


def _edit_to(sent: Sent, ticks: int, lots: int) -> bytes:
    assert sent.edits is not None
    return packed(
        Kind.EDIT, account=sent.account, instrument=sent.listing.number, order_id=sent.edits[0].seq, price=ticks,
        quantity=lots,
    )  # fmt: skip
