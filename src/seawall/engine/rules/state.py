"""What there is: accounts, listings, open orders, the catalogue; and the events of the step under way."""

from typing import Any

from seawall.engine.catalogue import Catalogue, Refused, state_fields
from seawall.engine.rules.margin import Account, Book, Listing, Order, Position
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import GROUPS, SYSTEM_ACCOUNTS, EventKind, Role, Scope, VenueState


class State:
    """The state and how events are written down."""

    def __init__(self) -> None:
        self.book = Book()
        self.seq = 0
        self.clock = 0
        self.catalogue = Catalogue()
        self.accounts = [Account(-1) for _ in range(SYSTEM_ACCOUNTS)]
        self.orders: dict[int, Order] = {}  # open or waiting, by id
        self.net_deposits = [0] * bounds.CURRENCIES_MAX
        self._events: list[tuple[int, ...]] = []

    def _emit(
        self,
        kind: EventKind,
        reason: int = 0,
        *,
        side: int = 0,
        liquidity: int = 0,
        currency: int = 0,
        account: int = 0,
        instrument: int = 0,
        order_id: int = 0,
        price: int = 0,
        quantity: int = 0,
        a: int = 0,
        b: int = 0,
    ) -> None:
        self._events.append(
            (self.seq, kind, reason, side, liquidity, currency, account, instrument, order_id, price, quantity, a, b)
        )

    def _tell(
        self, kind: EventKind, order: Order, reason: int = 0, *, price: int | None = None, a: int = 0, b: int = 0
    ) -> None:
        """An event about an order and what is open of it."""
        price = order.price if price is None else price
        whose = (order.account, order.instrument, order.id)
        self._events.append((self.seq, kind, reason, order.side, 0, 0, *whose, price, order.remaining, a, b))

    def _tell_state(
        self,
        scope: Scope,
        number: int,
        state: VenueState,
        old: VenueState,
        cause: int = 0,
        told: tuple[int, int] = (0, 0),
    ) -> None:
        """The STATE event; `told`: what a control saw and its limit, since rules 6."""
        reached, limit = told if self.catalogue.rules > 5 else (0, 0)
        self._emit(EventKind.STATE, **state_fields(scope, number, state, old, cause), price=reached, quantity=limit)

    def _refuse(self, command: Any, refused: Refused) -> None:
        """The REFUSED event."""
        self._emit(EventKind.REFUSED, **refused.fields(command, self.seq))

    def _post(
        self, number: int, currency: int, atoms: int, cause: Reason, instrument: int = 0, b: int = 0, waits: int = 0
    ) -> None:
        self.accounts[number].balance[currency] += atoms
        self._emit(
            EventKind.POSTED, cause, currency=currency, account=number, instrument=instrument, quantity=waits, a=atoms,
            b=b,
        )  # fmt: skip

    def _client(self, command: Any) -> Account:
        return self.accounts[self.catalogue.client(command)]

    def _listing(self, command: Any) -> Listing:
        return self.book.listings[self.catalogue.listed(command)]

    def _position(self, order: Order) -> Position:
        return self.accounts[order.account].positions[order.instrument]

    def _owner(self, account: int) -> int:
        """The beneficial owner: the group if there is one, else the account itself."""
        return self.accounts[account].groups[Role.OWNER - Role.DESK] or account

    def _members(self, number: int) -> list[Account]:
        """An account, or the members of a group, in order of their numbers."""
        entry = self.accounts[number]
        if entry.role not in GROUPS:
            return [entry]
        return [account for account in self.accounts if account.groups[entry.role - Role.DESK] == number]

    def _member_numbers(self, number: int) -> list[int]:
        members = self._members(number)
        return [n for n, account in enumerate(self.accounts) if account in members]

    def _held_by(self, number: int, instrument: int) -> tuple[int, int, int]:
        """(position, open buys, open sells) in lots of an account or group."""
        held = [a.positions[instrument] for a in self._members(number) if instrument in a.positions]
        return sum(p.quantity for p in held), sum(p.open_buy for p in held), sum(p.open_sell for p in held)

    def _delta_of(self, number: int, block: int) -> tuple[int, int, int]:
        """(net delta, what open orders could add, what they could take away) of an account or group in a block."""
        held = [a.blocks[block] for a in self._members(number) if block in a.blocks]
        return sum(b.net[0] for b in held), sum(b.up[0] for b in held), sum(b.down[0] for b in held)

    def _halted(self, instrument: int) -> bool:
        return max(self.catalogue.venue, self.catalogue.instrument_state(instrument)) == VenueState.HALTED
