"""The commands of traders: order, edit, cancel, batch, timers, market-maker protection, and orders held upstream."""

from dataclasses import replace
from typing import Any, NamedTuple

from seawall.engine import formulas
from seawall.engine.catalogue import Refused
from seawall.engine.rules.conditional import _DEAD_MAN, Conditional
from seawall.engine.rules.controls import AT_MARKET, CANCELS, MESSAGES, STOPS
from seawall.engine.rules.margin import Account, Listing, Order, Position, Protection
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_DISCONNECTED,
    FLAG_LINKED,
    FLAG_PACKAGE,
    FLAG_POST_ONLY,
    FLAG_SLIDE,
    SYSTEM_ACCOUNTS,
    TAKER,
    UPSTREAM,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Scope,
    Status,
    TimeInForce,
    VenueState,
    Watched,
)

_ENTRY = FLAG_POST_ONLY | FLAG_SLIDE
_CHAINED = FLAG_LINKED | FLAG_PACKAGE
_AS_SENT = (
    *("account", "instrument", "side", "price", "client_id", "type", "tif", "watch", "self_match"),
    *("trigger", "strategy", "display", "until", "label"),
)
_RULES_2 = ("type", "flags", "watch", "self_match", "trigger", "strategy", "display", "until", "label")
"""Fields that an order has from rules 2 on."""


class Orders(Conditional):
    """Handlers of commands 14 and 20 to 36, and of linked chains."""

    # -- orders ----------------------------------------------------------------------------------------------------

    def _order(self, command: Any, attachment: bytes) -> None:
        prepared = self._prepare(command)
        if prepared is None:
            return
        account, listing, order = prepared
        if order.type in STOPS:
            self._place_stop(account, listing, order)
            return
        self._admit(account, listing, order)
        requirement, equity = self._gate(account, order)
        self._accept(account, order, requirement, equity)
        self._release(order)

    def _prepare(self, command: Any) -> tuple[Account, Listing, Order] | None:
        """An ORDER command as an order, checked for form and paid for; None if it was answered as a duplicate."""
        account, listing = self._client(command), self._listing(command)
        side, tif = int(command["side"]), int(command["tif"])
        if side not in (-1, 1) or tif > (1 if self.catalogue.rules < 2 else max(TimeInForce)):
            raise Refused(Reason.BAD_SIDE, side, tif)
        order = self._read(command, account, listing)
        if self.catalogue.rules < 2 and any(int(command[name]) for name in _RULES_2):
            raise Refused(Reason.ORDER_FORM, order.type, int(command["flags"]))
        first = next((order_id for known, order_id in account.client_ids if known == order.client_id), 0)
        if order.client_id and first:
            number, instrument, id_ = order.account, order.instrument, order.client_id
            self._emit(EventKind.DUPLICATE, account=number, instrument=instrument, order_id=first, a=first, b=id_)
            return None
        if self.catalogue.rules > 1:
            self._spend(account, Limit.MESSAGES, order.account, MESSAGES)
            self._check_form(listing, order)
        return account, listing, order

    def _read(self, command: Any, account: Account, listing: Listing) -> Order:
        maker, taker = self.catalogue.tiers[account.tier, listing.spec.fee_class]
        fields: dict[str, Any] = {name: int(command[name]) for name in _AS_SENT}
        order = Order(
            id=self.seq,
            maker_rate=maker,
            taker_rate=taker,
            remaining=int(command["quantity"]),
            shown=int(command["quantity"]),
            flags=int(command["flags"]) & ~_CHAINED,
            **fields,
        )
        if order.type == OrderType.TRAILING:
            order.distance = order.trigger
        return order

    def _accept(self, account: Account, order: Order, requirement: int, equity: int) -> None:
        self._tell(EventKind.ACCEPTED, order, a=requirement, b=equity)
        if order.client_id:
            kept = [*account.client_ids, (order.client_id, order.id)]
            account.client_ids = kept[-bounds.CLIENT_IDS_KEPT :]
        if order.until:
            self._set_timer(order.until, order.id)

    def _place_stop(self, account: Account, listing: Listing, order: Order) -> None:
        """A stop is checked for what can be said now; the rest is checked when it fires."""
        self._check_open(listing, order)
        self._check_size(listing, order)
        if order.type not in AT_MARKET:
            self._check_band(listing, order.price)
        self._check_permissions(account, order)
        price = listing.prices[order.watch]
        if not price and (order.type == OrderType.TRAILING or order.watch == Watched.INDEX):
            raise Refused(Reason.NO_PRICE, order.instrument, order.watch)
        row = self.catalogue.limit(Limit.OPEN_ORDERS, order.account)
        count = len(account.orders) + len(account.waiting) + 1
        if row is not None and count > row.amount:
            raise Refused(Reason.OPEN_ORDERS, count, row.amount)
        if order.type == OrderType.TRAILING:
            order.trigger = self._trailing_trigger(listing, order, price)
        self._accept(account, order, 0, 0)
        self._wait(order)

    # -- edits -----------------------------------------------------------------------------------------------------

    def _own_order(self, command: Any) -> tuple[Account, Order]:
        account, order_id = self._client(command), int(command["order_id"])
        order = self.orders.get(order_id)
        if order is None:
            raise Refused(Reason.UNKNOWN_ORDER, order_id, int(command["account"]))
        if self.accounts[order.account] is not account:
            raise Refused(Reason.NOT_OWNER, order_id, order.account)
        return account, order

    def _edit(self, command: Any, attachment: bytes) -> None:
        """Replace price and amount atomically: gated without the old order's effect, refused leaves it untouched.

        An amount at or below what is filled cancels the rest. Less at the same price keeps the place in the queue;
        anything else is a new order under the old id: last in its queue, with a new count of rounding. One that is open
        upstream takes the new terms and matches nothing here.
        """
        account, order = self._own_order(command)
        self._spend(account, Limit.MESSAGES, order.account, MESSAGES)
        there = order.status == Status.ACKNOWLEDGED
        editable = there and self.catalogue.rules > 2 and not order.cancel_wanted
        if not editable and order.status not in (Status.RESTING, Status.WAITING):
            raise Refused(Reason.ORDER_STATUS, order.id, order.status)
        flags, price = int(command["flags"]), int(command["price"])
        never_rests = order.type in AT_MARKET or order.tif in (TimeInForce.IOC, TimeInForce.FOK)
        if flags & ~_ENTRY or flags == FLAG_SLIDE or ((flags or there) and never_rests):
            raise Refused(Reason.ORDER_FORM, order.type, flags)
        left = int(command["quantity"]) - order.done - order.filled
        if left <= 0:
            self._close(order, Reason.BY_OWNER)
        elif order.status == Status.WAITING:
            self._edit_waiting(account, order, price, left, int(command["trigger"]), flags)
        elif price == order.price and left <= order.remaining:
            self.book.add_order(account, order, -1)
            order.remaining = left
            order.shown = min(order.shown, left)
            self.book.add_order(account, order, +1)
            requirement, equity = self.book.requirement(account), self.book.equity(account)
            self._tell(EventKind.EDITED, order, a=requirement, b=equity)
        else:
            self._replace(account, order, price, left, flags)

    def _edit_waiting(self, account: Account, order: Order, price: int, left: int, trigger: int, flags: int) -> None:
        listing = self.book.listings[order.instrument]
        changed = replace(order, remaining=left, shown=left, flags=order.flags & ~_ENTRY | flags)
        self._check_size(listing, changed)
        if order.type not in AT_MARKET:
            changed.price = price
            self._check_band(listing, price)
        if not 1 <= trigger <= listing.spec.price_max:
            raise Refused(Reason.TRIGGER, trigger, listing.spec.price_max)
        self._unwait(listing, order)
        order.remaining, order.shown, order.price, order.flags = left, left, changed.price, changed.flags
        order.display = min(order.display, left)
        order.trigger = trigger
        if order.type == OrderType.TRAILING:
            order.distance = trigger
            order.trigger = self._trailing_trigger(listing, order, listing.prices[order.watch])
        self._tell(EventKind.EDITED, order, a=order.trigger)
        listing.waiting[order.watch, order.rising].setdefault(order.trigger, []).append(order)
        if listing.prices[order.watch]:
            self._reach(listing, Watched(order.watch), listing.prices[order.watch])

    def _replace(self, account: Account, order: Order, price: int, left: int, flags: int) -> None:
        listing = self.book.listings[order.instrument]
        changed = replace(
            order, price=price, remaining=left, shown=left, flags=order.flags & ~_ENTRY | flags, effect=[]
        )
        self._renew(account, listing, changed)
        ages = list(account.orders)
        self.book.close(account, order)
        try:
            self._admit(account, listing, changed)
            requirement, equity = self._gate(account, changed)
        except Refused:
            self.book.open(account, order)
            account.orders = {id_: account.orders[id_] for id_ in ages}  # as old as it was
            raise
        account.orders = {id_: account.orders[id_] for id_ in ages}
        self._leave_book(listing, order)
        self._tell(EventKind.EDITED, changed, a=requirement, b=equity)
        if changed.status == Status.RESTING:
            self._match(listing, changed)
            self._protect_makers()

    def _renew(self, account: Account, listing: Listing, order: Order) -> None:
        """New terms are a new order under the old id: a new count of rounding, at today's fee rates."""
        order.display = min(order.display, order.remaining)
        order.done, order.filled = order.done + order.filled, 0
        order.fee_accrued = order.fee_posted = 0
        order.maker_rate, order.taker_rate = self.catalogue.tiers[account.tier, listing.spec.fee_class]

    # -- cancels, timers, protection --------------------------------------------------------------------------------

    def _cancel(self, command: Any, attachment: bytes) -> None:
        account, order = self._own_order(command)
        if self.catalogue.rules > 1:
            self._spend(account, Limit.CANCELS, order.account, CANCELS)
        if order.cancel_wanted:
            raise Refused(Reason.ORDER_STATUS, order.id, order.status)
        self._close(order, Reason.BY_OWNER)

    def _cancel_all(self, command: Any, attachment: bytes) -> None:
        number, instrument, label = int(command["account"]), int(command["instrument"]), int(command["label"])
        reason = Reason.DISCONNECTED if int(command["flags"]) & FLAG_DISCONNECTED else Reason.BY_OWNER
        if instrument != -1:
            self._listing(command)
        if number != -1:
            self._client(command)
            self._clear_account(number, reason, instrument, label)
            return
        numbers = list(range(len(self.book.listings))) if instrument == -1 else [instrument]
        self._clear_books(numbers, reason)

    def _clear_books(self, numbers: list[int], reason: Reason) -> None:
        for number in numbers:
            self._clear_book(self.book.listings[number], reason)
        self._ask_upstream(set(numbers), reason)

    def _kill(self, command: Any, attachment: bytes) -> None:
        """C19: halt a scope and cancel all of its orders, in one command and without asking anybody."""
        scope, number = self.catalogue.scope(command)
        old = self.catalogue.state_of(scope, number)
        self.catalogue.set_state(scope, number, VenueState.HALTED)
        self._tell_state(scope, number, VenueState.HALTED, old, Reason.KILLED)
        if scope == Scope.VENUE:
            self.catalogue.crashed = False
        if scope == Scope.ACCOUNT:
            for member in self._member_numbers(number):
                self._clear_account(member, Reason.KILLED)
            return
        listings = self.book.listings
        blocks = self.catalogue.underlyings
        chosen = {
            Scope.VENUE: [listing.number for listing in listings],
            Scope.UNDERLYING: [listing.number for listing in listings if blocks[listing.spec.block] == number],
            Scope.INSTRUMENT: [number],
        }[scope]
        self._clear_books(chosen, Reason.KILLED)

    def _dead_man_timer(self, command: Any, attachment: bytes) -> None:
        """C20: unless renewed before `until`, all of the account's orders are cancelled."""
        account, until = self._client(command), int(command["until"])
        if until and not self.clock < until <= bounds.TIME_MAX:
            raise Refused(Reason.UNTIL, until, self.clock)
        account.dead_man = until
        if until:
            self._set_timer(until, _DEAD_MAN + int(command["account"]))
        self._emit(EventKind.DEFINED, account=int(command["account"]), a=Kind.DEAD_MAN, b=until)

    def _protect(self, command: Any, attachment: bytes) -> None:
        """C21: a maker's own limits in one block."""
        number, block, limits = self.catalogue.protect(command)
        if limits.window:
            self.accounts[number].protections[block] = Protection(*limits)
        else:
            self.accounts[number].protections.pop(block, None)
        self._emit(EventKind.DEFINED, account=number, instrument=block, a=Kind.PROTECT, b=limits.window)

    def _protect_reset(self, command: Any, attachment: bytes) -> None:
        number, block = self.catalogue.client(command), self.catalogue.block(command)
        protection = self.accounts[number].protections.get(block)
        if protection is None:
            raise Refused(Reason.NO_PROTECTION, number, block)
        protection.frozen = 0
        protection.sums = [[0, 0, 0] for _ in range(5)]
        self._emit(EventKind.DEFINED, account=number, instrument=block, a=Kind.PROTECT_RESET)

    def _rearm(self, command: Any, attachment: bytes) -> None:
        """C07: people let a stopped strategy trade again."""
        number, strategy = self.catalogue.rearm(command)
        self.accounts[number].strategies[strategy] = 0
        self._emit(EventKind.DEFINED, account=number, a=Kind.REARM, b=strategy)

    # -- upstream ----------------------------------------------------------------------------------------------------

    def _upstream(self, command: Any, attachment: bytes) -> None:
        """Bind an instrument to the account that stands for the venue it trades at; before it has traded."""
        instrument, number = self.catalogue.upstream(command)
        listing = self.book.listings[instrument]
        if listing.upstream or listing.holders:
            raise Refused(Reason.ALREADY_DEFINED, instrument, listing.upstream)
        listing.upstream = number
        self._emit(EventKind.DEFINED, account=number, instrument=instrument, a=Kind.UPSTREAM)

    def _upstream_order(self, command: Any, taken: tuple[Status, ...]) -> Order:
        _, order = self._own_order(command)
        if order.status not in taken:
            raise Refused(Reason.ORDER_STATUS, order.id, order.status)
        return order

    def _acknowledged(self, command: Any, attachment: bytes) -> None:
        self._set_status(self._upstream_order(command, (Status.PENDING, Status.UNKNOWN)), Status.ACKNOWLEDGED)

    def _unknown(self, command: Any, attachment: bytes) -> None:
        self._set_status(self._upstream_order(command, (Status.PENDING, Status.ACKNOWLEDGED)), Status.UNKNOWN)

    def _ended(self, command: Any, attachment: bytes) -> None:
        order = self._upstream_order(command, UPSTREAM)
        self._end(order, Reason.BY_VENUE)

    def _end(self, order: Order, reason: Reason) -> None:
        """An order upstream is open there no longer."""
        account = self.accounts[order.account]
        account.unknown -= order.status == Status.UNKNOWN
        self.book.close(account, order)
        del self.orders[order.id]
        self._tell(EventKind.CANCELLED, order, reason)

    def _executed(self, command: Any, attachment: bytes) -> None:
        """A fill at the venue, at its price and fee; the venue's account is the other side."""
        order = self._upstream_order(command, UPSTREAM)
        listing = self.book.listings[order.instrument]
        price, quantity, fee = int(command["price"]), int(command["quantity"]), int(command["amount"])
        if not 1 <= quantity <= order.remaining:
            raise Refused(Reason.QUANTITY, quantity, order.remaining)
        spec = listing.spec
        if order.side * (price - order.price) > 0 or not spec.price_min <= price <= spec.price_max:
            raise Refused(Reason.PRICE_BAND, price, order.price)
        account = self.accounts[order.account]
        self._check_fee_bound(fee)
        self._check_position(listing, listing.upstream, -order.side * quantity)
        self._check_balances(account, listing, fee)
        posting = formulas.fill_posting(spec, order.side, order.filled, quantity, order.price, price)
        whole = quantity == order.remaining
        if whole and order.status == Status.UNKNOWN:
            account.unknown -= 1
        self._settle_fill(listing, order, quantity, price, posting, fee, listing.upstream, TAKER)
        self._trade_of(listing, listing.upstream, -order.side * quantity, -posting)
        self._reach(listing, Watched.LAST, price)
        self._margin_call(order.account)

    def _check_fee_bound(self, fee: int) -> None:
        if abs(fee) > bounds.POSITION_VALUE_MAX:
            raise Refused(Reason.AMOUNT, fee, bounds.POSITION_VALUE_MAX)

    def _check_position(self, listing: Listing, number: int, change: int) -> None:
        """Whether an account's position after `change` lots more, open orders included, stays in bounds."""
        held = self.accounts[number].positions.get(listing.number, Position())
        total = abs(held.quantity + change) + held.open_buy + held.open_sell
        if total > listing.position_bound:
            raise Refused(Reason.POSITION_BOUND, total, listing.position_bound)

    def _check_balances(self, account: Account, listing: Listing, fee: int) -> None:
        currency, venue = listing.spec.currency, self.accounts[listing.upstream]
        for balance in (account.balance[currency] - fee, venue.balance[currency] + fee):
            if abs(balance) > bounds.DEPOSITS_MAX:
                raise Refused(Reason.BALANCE_BOUND, balance, bounds.DEPOSITS_MAX)

    def _trade_of(self, listing: Listing, number: int, lots: int, atoms: int) -> None:
        """Lots and session cash that a trade elsewhere brings an account that has no order in it here."""
        account = self.accounts[number]
        position = account.positions.setdefault(listing.number, Position())
        listing.holders.setdefault(number, position)
        self.book.add_position(account, listing.number, -1)
        position.quantity += lots
        position.cash += atoms
        self.book.add_position(account, listing.number, +1)

    def _booked(self, command: Any, attachment: bytes) -> None:
        """A trade made elsewhere, or money moved there: a fact, refused where arithmetic ends and for nothing else.

        The trade is one order of that quantity at that price, filled whole; the venue's account is the other side.
        """
        account, listing = self._client(command), self._listing(command)
        number, side, quantity = int(command["account"]), int(command["side"]), int(command["quantity"])
        price, fee, spec = int(command["price"]), int(command["amount"]), listing.spec
        if not listing.upstream:
            raise Refused(Reason.NOT_UPSTREAM, listing.number, 0)
        if listing.expired:
            raise Refused(Reason.EXPIRED, spec.expiry, self.clock)
        if not 0 <= quantity <= spec.quantity_max:
            raise Refused(Reason.QUANTITY, quantity, spec.quantity_max)
        if abs(side) != (quantity > 0):
            raise Refused(Reason.BAD_SIDE, side, int(command["tif"]))
        if quantity:
            self._check_band(listing, price)
        elif price:
            raise Refused(Reason.PRICE_BAND, price, 0)
        self._check_fee_bound(fee)
        if quantity:
            self._check_position(listing, number, side * quantity)
            self._check_position(listing, listing.upstream, -side * quantity)
        self._check_balances(account, listing, fee)
        if quantity:
            self._book_trade(listing, number, side, quantity, price, fee)
        else:
            held = account.positions.get(listing.number, Position()).quantity
            self._post(number, spec.currency, -fee, Reason.BOOKED, listing.number, held)
        self.accounts[listing.upstream].balance[spec.currency] += fee
        self._margin_call(number)

    def _book_trade(self, listing: Listing, number: int, side: int, quantity: int, price: int, fee: int) -> None:
        """Both sides of a trade elsewhere: session cash within bounds, then position, cash and fee."""
        spec = listing.spec
        posting = formulas.fill_posting(spec, side, 0, quantity, price, price)
        for holder, atoms in ((number, posting), (listing.upstream, -posting)):
            cash = self.accounts[holder].positions.get(listing.number, Position()).cash + atoms
            if abs(cash) > bounds.BALANCE_MAX:
                raise Refused(Reason.BALANCE_BOUND, cash, bounds.BALANCE_MAX)
        self._trade_of(listing, number, side * quantity, posting)
        self._trade_of(listing, listing.upstream, -side * quantity, -posting)
        self.accounts[number].balance[spec.currency] -= fee
        self._emit(
            EventKind.FILL,
            side=side,
            liquidity=TAKER,
            currency=spec.currency,
            account=number,
            instrument=listing.number,
            order_id=self.seq,
            price=price,
            quantity=quantity,
            a=posting,
            b=fee,
        )

    def _amended(self, command: Any, attachment: bytes) -> None:
        """The venue's terms of an order there, whatever was asked for: a fact."""
        order = self._upstream_order(command, UPSTREAM)
        account, listing = self.accounts[order.account], self.book.listings[order.instrument]
        price, quantity = int(command["price"]), int(command["quantity"])
        if not 1 <= quantity <= listing.spec.quantity_max:
            raise Refused(Reason.QUANTITY, quantity, listing.spec.quantity_max)
        self._check_band(listing, price)
        position = self._position(order)
        total = abs(position.quantity) + position.open_buy + position.open_sell + quantity - order.remaining
        if total > listing.position_bound:
            raise Refused(Reason.POSITION_BOUND, total, listing.position_bound)
        self.book.add_order(account, order, -1)
        order.price, order.remaining, order.shown = price, quantity, quantity
        self._renew(account, listing, order)
        self.book.add_order(account, order, +1)
        self._tell(EventKind.EDITED, order, a=self.book.requirement(account), b=self.book.equity(account))
        self._margin_call(order.account)

    # -- batches ---------------------------------------------------------------------------------------------------

    def _chain(self, commands: list[Any]) -> None:
        """Linked commands of one account: all are taken or none.

        First every leg is checked and counted in the margin, cancels taken out of it, in order; then each is carried
        out. The legs of a package are in different instruments, gated as one, and each must find its whole quantity at
        once: were one of them filled alone, it could raise the requirement that the others were to lower.
        """
        if self._answered_before(commands):
            return
        package = bool(int(commands[0]["flags"]) & FLAG_PACKAGE)
        taken: list[_Leg] = []
        ages: list[int] = []
        try:
            account = self._client(commands[0])
            ages = list(account.orders)
            before, equity = self.book.requirement(account), self.book.equity(account)
            for leg, command in enumerate(commands):
                self.seq = int(command["seq"])
                self._check_leg(commands, leg, package=package)
                taken.append(self._take_leg(account, command, taken, package=package))
            if package:
                self._weigh(account, [leg.order for leg in taken], before, equity)
        except Refused as refused:
            self._undo_chain(account if ages or taken else None, taken, ages)
            self._refuse_chain(commands, min(len(taken), len(commands) - 1), refused)
            return
        requirement = self.book.requirement(account)
        for one in taken:
            if one.cancel:
                self.book.open(account, one.order)
        for command, leg_taken in zip(commands, taken, strict=True):
            self.seq, order = int(command["seq"]), leg_taken.order
            if leg_taken.cancel:
                if order.id in self.orders:  # else a leg before met it, and its self-match mode ended it
                    self._close(order, Reason.BY_OWNER)
                continue
            if package:
                self._enlist(account, order)
            self._accept(account, order, requirement, equity)
            self._match(self.book.listings[order.instrument], order)
            if not package:
                self._protect_makers()
        self._protect_makers()

    def _answered_before(self, commands: list[Any]) -> bool:
        """A chain sent again: legs whose client ids are known get their first result, the others none."""
        number = int(commands[0]["account"])
        if not SYSTEM_ACCOUNTS <= number < len(self.accounts):
            return False
        known = dict(reversed(self.accounts[number].client_ids))
        first = [
            known.get(int(c["client_id"]), 0) if c["kind"] == Kind.ORDER and c["client_id"] else 0 for c in commands
        ]
        if not any(first):
            return False
        leg = next(leg for leg, order_id in enumerate(first) if order_id)
        for command, order_id in zip(commands, first, strict=True):
            self.seq, instrument = int(command["seq"]), int(command["instrument"])
            if order_id:
                id_ = int(command["client_id"])
                self._emit(
                    EventKind.DUPLICATE, account=number, instrument=instrument, order_id=order_id, a=order_id, b=id_
                )
            else:
                self._refuse(command, Refused(Reason.BATCH, leg + 1, 0))
        return True

    def _check_leg(self, commands: list[Any], leg: int, *, package: bool) -> None:
        """Whether a leg fits its chain."""
        command, last = commands[leg], leg == len(commands) - 1
        flags, kind = int(command["flags"]), int(command["kind"])
        fits = len(commands) <= bounds.CHAIN_MAX and bool(flags & FLAG_LINKED) != last
        fits &= command["account"] == commands[0]["account"] and bool(flags & FLAG_PACKAGE) == package
        if kind == Kind.ORDER:
            fits &= int(command["type"]) in (OrderType.LIMIT, OrderType.MARKET)
            fits &= (int(command["tif"]) in (TimeInForce.IOC, TimeInForce.FOK)) if package else True
            fits &= package or int(command["tif"]) != TimeInForce.FOK
            ids = [int(before["client_id"]) for before in commands[:leg] if before["kind"] == Kind.ORDER]
            fits &= not command["client_id"] or int(command["client_id"]) not in ids
        else:
            fits &= not package
        if not fits:
            raise Refused(Reason.CHAIN, leg + 1, len(commands))

    def _take_leg(self, account: Account, command: Any, taken: list["_Leg"], *, package: bool) -> "_Leg":
        """Check one leg and count it in the margin, or out of it."""
        if command["kind"] == Kind.CANCEL:
            _, order = self._own_order(command)
            if any(order is leg.order for leg in taken):
                raise Refused(Reason.UNKNOWN_ORDER, order.id, order.account)
            if order.status != Status.RESTING:
                raise Refused(Reason.ORDER_STATUS, order.id, order.status)
            self._spend(account, Limit.CANCELS, order.account, CANCELS)
            self.book.close(account, order)
            return _Leg(order, cancel=True, fresh=False)
        prepared = self._prepare(command)
        assert prepared is not None  # known client ids were answered before
        _, listing, order = prepared
        if listing.upstream or (package and any(leg.order.instrument == order.instrument for leg in taken)):
            raise Refused(Reason.CHAIN, len(taken) + 1, 0)
        order.tif = TimeInForce.FOK if package else order.tif
        fresh = order.instrument not in account.positions
        self._admit(account, listing, order)
        if package:
            self._count(account, order)
        else:
            self._gate(account, order)
        return _Leg(order, cancel=False, fresh=fresh)

    def _undo_chain(self, account: Account | None, taken: list["_Leg"], ages: list[int]) -> None:
        if account is None:
            return
        for leg in reversed(taken):
            order = leg.order
            if leg.cancel:
                self.book.open(account, order)
            else:
                self._uncount(account, order, fresh=leg.fresh)
                self.orders.pop(order.id, None)
                if leg.fresh:
                    self.book.listings[order.instrument].holders.pop(order.account, None)
        account.orders = {id_: account.orders[id_] for id_ in ages}

    def _refuse_chain(self, commands: list[Any], leg: int, refused: Refused) -> None:
        """The leg that failed says why, the others which leg it was."""
        for number, command in enumerate(commands):
            self.seq = int(command["seq"])
            self._refuse(command, refused if number == leg else Refused(Reason.BATCH, leg + 1, refused.reason))


class _Leg(NamedTuple):
    """A leg that was taken so far: its order, whether it cancels it, whether its position is new."""

    order: Order
    cancel: bool
    fresh: bool
