"""The trading service: what every method works with, and the path of a command from a call to its answer."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from seawall.api.access import Access
from seawall.api.answering import Answering
from seawall.api.channels import Hub
from seawall.api.commands import packed
from seawall.api.errors import RpcError, refused
from seawall.api.listing import Listing
from seawall.api.rates import OFF, Edge, Rates
from seawall.api.resending import Resending
from seawall.api.rpc import Call
from seawall.api.session import Session
from seawall.api.shapes import order_id
from seawall.api.view import DISCONNECTED, OPEN, UNTRIGGERED, Order, View
from seawall.node.configuration import Rates as Limits
from seawall.node.node import Group, Node
from seawall.node.sequencer import Overloaded, Sequencer, result_of
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.records import FLAG_DISCONNECTED, Kind

_NOTED: Final = 1_000
"""Orders of one note."""

Then = Callable[[int], Any]
"""What to do with the first seq of a request that is durable; its result is the answer."""


class Service(Answering):
    """One venue's trading door. Everything here runs on the event loop; only the sequencer touches the node."""

    def __init__(
        self,
        node: Node,
        view: View,
        tell: Callable[[Callable[[], None]], Any],
        access: Access | None = None,
        rates: Limits = OFF,
    ) -> None:
        """`view` has heard all that the node's journal holds; `tell` runs a function on the loop, in order."""
        self.view = view
        super().__init__(access or Access(), Rates(rates), Hub(self))
        self.edge = Edge()
        self.resending = Resending(view)
        self.sequencer = Sequencer(node, tell, self._hear)
        self.node = node
        self.margin_model = node.configuration.margin.model
        """That publications are made by, as clients are told; parameters under governance may name another."""
        self.listeners: list[Callable[[Group, Any], None]] = []

    def _hear(self, group: Group) -> None:
        changes = self.view.take(group)
        for listener in self.listeners:
            listener(group, changes)
        self.hub.spread(changes)

    # -- commands ------------------------------------------------------------------------------------------------------

    async def write(self, records: bytes, attachments: bytes = b"") -> int:
        """Journal commands of the venue's own, ahead of orders; the first one's seq once they are durable.

        Raises Overloaded, OutcomeUnknown.
        """
        told: asyncio.Future[tuple[int, SeawallError | None]] = asyncio.get_running_loop().create_future()

        def tell(seq: int, error: SeawallError | None) -> None:
            if not told.done():  # else the venue stops, and nobody waits any more
                told.set_result((seq, error))

        self.sequencer.submit(records, attachments, tell, urgent=True)
        seq: int = result_of(*await told)
        return seq

    def command(
        self,
        call: Call,
        records: bytes,
        then: Then,
        attachments: bytes = b"",
        *,
        urgent: bool = False,
        behind: bool = False,
    ) -> None:
        """Queue records for a call, which is answered with what `then` makes of their first seq once durable.

        `urgent`: ahead of orders. `behind`: a mass cancel; it goes behind what its connection has on its way, which it
        is to cancel, too, where there is room, and is turned away for nothing that orders are turned away for.
        """
        session: Session = call.session
        if behind:
            urgent = not session.pending or self.sequencer.full
        elif not urgent:
            self.edge.admit(session, call.account)

        entering: list[int] = []

        def done(seq: int, error: SeawallError | None) -> None:
            session.pending -= 1
            self.edge.entered(call.account, entering)
            if seq in self.view.refused:
                self.edge.refused(call.account)
            self._settle(call, lambda: then(result_of(seq, error)))
            if session.gone:
                self._cut(session)

        try:
            account = -1 if behind else call.account  # no mass cancel takes another one back
            self.sequencer.submit(records, attachments, done, urgent=urgent, account=account)
        except Overloaded as error:
            self.edge.count(session, call.account, 10047)
            raise RpcError(10047, waiting=error.waiting, most=error.most) from None
        session.pending += 1
        if not urgent and not behind:
            entering += self.edge.enter(call.account, records)

    def look(self, call: Call, see: Callable[[], Any], then: Callable[[Any], Any]) -> None:
        """Answer a call with what `then` makes of a look at the node's state between two groups."""
        self.sequencer.look(see, lambda seen, error: self._settle(call, lambda: then(result_of(seen, error))))

    def checked(self, seq: int) -> None:
        """Raise the RpcError of a command that was refused, with its reason in words and numbers."""
        why = self.view.refused.pop(seq, None)
        if why is not None:
            raise refused(self.view, *why)

    def disconnected(self, session: Session) -> None:
        """A connection is gone: orders placed through it go, too, where that was arranged."""
        if not session.said_goodbye:
            self.resending.cut(session)
        if session.logged_out:
            session.cancel_on_disconnect = False
            self._ask(*self.going_along(session))
        session.gone = True
        self._cut(session)

    def placed(self, session: Session, order: Order) -> None:
        """An order was placed through a connection and is open."""
        session.place(order.id, self.view.client(order.account).open)
        asked = session.cancel_on_disconnect
        if asked is not None and order.along != asked:  # it was asked while the order was on its way
            self._ask(*self.going_along(session))

    def going_along(self, session: Session) -> tuple[bytes, bytes]:
        """Records and attachments that note which open orders go with a connection, as far as it is not known.

        Nobody else remembers it when the venue is killed: see `restarted`.
        """
        enabled = bool(session.cancel_on_disconnect)
        found = [self.view.orders[number] for number in session.placed if number in self.view.orders]
        changed = [order.id for order in found if order.along != enabled and order.state in (OPEN, UNTRIGGERED)]
        notes = [
            msgspec.json.encode({"note": "along", "enabled": enabled, "orders": changed[at : at + _NOTED]})
            for at in range(0, len(changed), _NOTED)
        ]
        return b"".join(packed(Kind.TIME, attachment=len(note)) for note in notes), b"".join(notes)

    def takes_orders_along(self, session: Session, account: int) -> bool:
        """Whether an account's open orders that were placed through a connection go when it does."""
        asked = session.cancel_on_disconnect
        return account in self.view.arrangements.at_disconnect if asked is None else asked

    def _cut(self, session: Session) -> None:
        """Cancel what a broken connection placed; again after each of its requests that was still on its way."""
        placed, session.placed = session.placed, set()
        if session.logged_out or not placed:
            return
        found = [self.view.orders[number] for number in placed if number in self.view.orders]
        orders = [
            order
            for order in found
            if order.state in (OPEN, UNTRIGGERED) and self.takes_orders_along(session, order.account)
        ]
        self._take_along(orders)

    def _take_along(self, orders: list[Order]) -> None:
        data = DISCONNECTED * len(orders)
        records = b"".join(
            packed(
                Kind.CANCEL,
                account=order.account,
                instrument=order.instrument,
                order_id=order.id,
                attachment=len(DISCONNECTED),
            )
            for order in orders
        )
        self._ask(records, data)

    def restarted(self) -> None:
        """Every connection broke when the venue stopped: cancel what was to go with one.

        That is the orders of accounts that arranged for it, and those that a connection had it noted of.
        """
        arranged = self.view.arrangements.at_disconnect
        clients = self.view.clients.values()
        self._take_along([order for client in clients for order in client.open.values() if order.along])
        accounts = [account for account in arranged if self.view.client(account).open]
        self._ask(
            b"".join(
                packed(Kind.CANCEL_ALL, account=account, instrument=-1, flags=FLAG_DISCONNECTED)
                for account in sorted(accounts)
            )
        )

    def _ask(self, records: bytes, attachments: bytes = b"") -> None:
        """Queue the venue's own cancels; one that cannot be queued is logged, as nobody waits for it."""
        if not records:
            return
        try:
            self.sequencer.submit(records, attachments, urgent=True)
        except SeawallError as error:
            self._log.error("orders of a broken connection stay open", why=str(error))

    # -- looks ---------------------------------------------------------------------------------------------------------

    def listing(self, name: str) -> Listing:
        """A listing by name. Raises RpcError 13020."""
        found = self.view.by_name.get(name)
        if found is None:
            raise RpcError(13020, param="instrument_name", value=name[:64])
        return found

    def own_order(self, call: Call, text: str) -> Order:
        """An order of the caller's by the dialect's id, written as it was told: who keeps clients from each other's
        orders goes by it. Raises RpcError 10004 and 10029."""
        number = text.rpartition("-")[2]
        order = (
            self.view.orders.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 19 else None
        )
        if order is None or text != order_id(order, self.view.listings[order.instrument]):
            raise RpcError(10004, order_id=text[:64])
        if order.account != call.account:
            raise RpcError(10029, order_id=text[:64])
        return order
