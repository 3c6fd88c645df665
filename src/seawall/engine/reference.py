"""The executable specification: the whole fold in plain Python, written to be read.

Rules
    time      is the command's stamp, clamped to be monotone
    ids       an order's id is the seq of its command; accounts, instruments and currencies are numbered densely
    book      price, then time; a trade happens at the resting order's price
    gate      the checks of `_order` in their order, cheapest first; the first that fails refuses, with two numbers
    margin    see `margin`; accepted iff E after >= 0, or, for an account already below, by the rule of proportion
    self      an order that would meet its own account's order loses its rest
    call      when anything but its own command takes E below zero, an account's orders go, newest first, until E >= 0
    money     every posting has its opposite: fees to SYSTEM_FEES, rounding residues to SYSTEM_ROUNDING
    refusals  change nothing but time

`Fast` in `fast.py` is the same fold; every test of the engine runs on both.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from seawall.engine import formulas
from seawall.engine.catalogue import Catalogue, Refused
from seawall.engine.margin import Account, Book, Listing, Order, Position
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.publication import (
    INITIAL,
    MAINTENANCE,
    NO_CHARGE,
    ROWS,
)
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    EVENT,
    FLAG_UNCLEAN,
    MAKER,
    SYSTEM_ACCOUNTS,
    SYSTEM_FEES,
    SYSTEM_ROUNDING,
    TAKER,
    Commands,
    EventKind,
    Events,
    Kind,
    VenueState,
)


class Reference:
    """The fold. `step` takes the next commands and returns their events; the rest are looks at the state."""

    def __init__(self) -> None:
        self.book = Book()
        self.seq = 0
        self.clock = 0
        self.catalogue = Catalogue()
        self.accounts = [Account(-1) for _ in range(SYSTEM_ACCOUNTS)]
        self.orders: dict[int, Order] = {}
        self.net_deposits = [0] * bounds.CURRENCIES_MAX
        self._events: list[tuple[int, ...]] = []
        self._handlers: dict[int, Callable[[Any, bytes], None]] = {
            Kind.OPENED: self._opened,
            Kind.CURRENCY: self._currency,
            Kind.INSTRUMENT: self._instrument,
            Kind.ACCOUNT: self._account,
            Kind.TIER: self._tier,
            Kind.PUBLISH: self._publish,
            Kind.STATE: self._state,
            Kind.TIME: lambda command, attachment: None,
            Kind.CLOSED: lambda command, attachment: None,
            Kind.ORDER: self._order,
            Kind.CANCEL: self._cancel,
            Kind.CANCEL_ALL: self._cancel_all,
            Kind.DEPOSIT: self._deposit,
            Kind.WITHDRAW: self._withdraw,
            Kind.FUNDING: self._funding,
            Kind.SETTLE: self._settle,
            Kind.EXPIRE: self._expire,
        }

    def step(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Fold `commands` (COMMAND, consecutive seq) with their attachments, concatenated; return EVENT records.

        Raises InputError, with nothing changed, if the seqs do not follow or the attachments do not fit.
        """
        check_batch(commands, attachments, self.seq)
        self._events = []
        at = 0
        for command in commands:
            size = int(command["attachment"])
            self.seq = int(command["seq"])
            self.clock = max(self.clock, int(command["time"]))
            handler = self._handlers.get(int(command["kind"]))
            try:
                if handler is None:
                    raise Refused(Reason.UNKNOWN_KIND, int(command["kind"]), max(Kind))
                handler(command, attachments[at : at + size])
            except Refused as refused:
                instrument = refused.instrument if refused.instrument >= 0 else int(command["instrument"])
                self._emit(
                    EventKind.REFUSED,
                    refused.reason,
                    side=int(command["side"]),
                    currency=int(command["currency"]) & 0x7FFF,
                    account=int(command["account"]),
                    instrument=instrument,
                    order_id=int(command["order_id"]) or self.seq,
                    price=int(command["price"]) if refused.price is None else refused.price,
                    quantity=int(command["quantity"]),
                    a=refused.a,
                    b=refused.b,
                )
            at += size
        return np.array(self._events, EVENT)

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

    # -- catalogue and parameters ----------------------------------------------------------------------------------

    def _opened(self, command: Any, attachment: bytes) -> None:
        state = self.catalogue.opened(command)
        if int(command["flags"]) & FLAG_UNCLEAN:
            self._set_state(state)

    def _currency(self, command: Any, attachment: bytes) -> None:
        self._emit(EventKind.DEFINED, currency=self.catalogue.currency(command), a=Kind.CURRENCY)

    def _instrument(self, command: Any, attachment: bytes) -> None:
        listings = self.book.listings
        listings.append(Listing(self.catalogue.instrument(command, attachment)))
        self.book.position_charges[len(listings) - 1] = [None] * ROWS
        self._emit(EventKind.DEFINED, instrument=len(listings) - 1, a=Kind.INSTRUMENT)

    def _account(self, command: Any, attachment: bytes) -> None:
        self.accounts.append(Account(self.catalogue.account(command)))
        self._emit(EventKind.DEFINED, account=len(self.accounts) - 1, a=Kind.ACCOUNT)

    def _tier(self, command: Any, attachment: bytes) -> None:
        tier, fee_class = self.catalogue.tier(command)
        self._emit(EventKind.DEFINED, currency=fee_class, a=Kind.TIER, b=tier)

    def _state(self, command: Any, attachment: bytes) -> None:
        self._set_state(self.catalogue.state(command))

    def _set_state(self, state: VenueState) -> None:
        self._emit(EventKind.STATE, a=state, b=self.catalogue.venue)
        self.catalogue.venue = state

    def _publish(self, command: Any, attachment: bytes) -> None:
        publication, limits = self.catalogue.publication(command, attachment, self._largest_open)
        book = self.book
        touched = {block.block for block in publication.blocks}
        moved = {rate.currency for rate in publication.currencies}
        for rate in publication.currencies:
            book.rate_gain[rate.currency] = rate.rate_gain
            book.rate_loss[rate.currency] = rate.rate_loss
        charges = [charge.lines for charge in publication.charges]
        for block in publication.blocks:
            book.install(block, charges)
        for number, limit in limits.items():
            book.listings[number].position_bound = limit
        for risk in publication.instruments:
            book.listings[risk.instrument].risk = risk
            book.position_charges[risk.instrument] = [
                charges[index] if index != NO_CHARGE else None for index in risk.charges
            ]
        touched |= {listing.spec.block for listing in book.listings if listing.spec.currency in moved}
        self._emit(EventKind.PUBLISHED, a=self.catalogue.version)
        for number, account in enumerate(self.accounts):
            book.rebuild(account, touched)
            self._margin_call(number)

    def _largest_open(self) -> list[int]:
        held = [listing.holders.values() for listing in self.book.listings]
        return [max((abs(p.quantity) + p.open_buy + p.open_sell for p in holders), default=0) for holders in held]

    def _largest_held(self, instrument: int) -> tuple[int, int]:
        listing = self.book.listings[instrument]
        currency = listing.spec.currency
        lots = max((abs(held.quantity) for held in listing.holders.values()), default=0)
        cash = [abs(self.accounts[n].balance[currency]) + abs(held.cash) for n, held in listing.holders.items()]
        return lots, max(cash, default=0)

    # -- the gate --------------------------------------------------------------------------------------------------

    def _order(self, command: Any, attachment: bytes) -> None:
        account, listing = self._client(command), self._listing(command)
        number, instrument = int(command["account"]), int(command["instrument"])
        side, tif = int(command["side"]), int(command["tif"])
        price, quantity, client_id = int(command["price"]), int(command["quantity"]), int(command["client_id"])
        if side not in (-1, 1) or tif > 1:
            raise Refused(Reason.BAD_SIDE, side, tif)
        first = next((order_id for known, order_id in account.client_ids if known == client_id), 0)
        if client_id and first:
            self._emit(EventKind.DUPLICATE, account=number, instrument=instrument, order_id=first, a=first, b=client_id)
            return
        if self.catalogue.venue == VenueState.HALTED:
            raise Refused(Reason.VENUE_HALTED, self.catalogue.venue, VenueState.REDUCE_ONLY)
        spec = listing.spec
        if listing.expired or (spec.expiry and self.clock >= spec.expiry):
            raise Refused(Reason.EXPIRED, spec.expiry, self.clock)
        if listing.risk is None:
            raise Refused(Reason.NOT_PUBLISHED, instrument, self.catalogue.version)
        if not 1 <= quantity <= spec.quantity_max:
            raise Refused(Reason.QUANTITY, quantity, spec.quantity_max)
        if not spec.price_min <= price <= spec.price_max:
            raise Refused(Reason.PRICE_BAND, price, spec.price_min if price < spec.price_min else spec.price_max)
        position = account.positions.get(instrument, Position())
        total = abs(position.quantity) + position.open_buy + position.open_sell + quantity
        if total > listing.position_bound:
            raise Refused(Reason.POSITION_BOUND, total, listing.position_bound)
        if self.catalogue.venue == VenueState.REDUCE_ONLY:
            opened = position.open_buy if side > 0 else position.open_sell
            left = max(0, -side * position.quantity - opened)
            if quantity > left:
                raise Refused(Reason.REDUCE_ONLY, quantity, left)
        maker, taker = self.catalogue.tiers[account.tier, spec.fee_class]
        order = Order(self.seq, number, instrument, side, price, quantity, client_id, maker, taker)
        requirement, equity = self._gate(account, listing, order)
        self._emit(
            EventKind.ACCEPTED,
            side=side,
            account=number,
            instrument=instrument,
            order_id=order.id,
            price=price,
            quantity=quantity,
            a=requirement,
            b=equity,
        )
        if client_id:
            account.client_ids = [*account.client_ids, (client_id, order.id)][-bounds.CLIENT_IDS_KEPT :]
        self._match(account, listing, order, immediate=tif == 1)

    def _gate(self, account: Account, listing: Listing, order: Order) -> tuple[int, int]:
        """Open `order` if margin allows: requirement after and equity. Else Refused, the account as it was."""
        instrument = order.instrument
        fresh = instrument not in account.positions
        position = account.positions.setdefault(instrument, Position())
        requirement_before, equity = self.book.requirement(account), self.book.equity(account)
        self.book.open(account, order)
        requirement = self.book.requirement(account)
        if equity - requirement < 0:
            try:
                self._gate_below(account, order, equity, requirement_before, requirement)
            except Refused:
                self.book.close(account, order)
                if fresh:
                    del account.positions[instrument]
                raise
        listing.holders.setdefault(order.account, position)
        self.orders[order.id] = order
        return requirement, equity

    def _gate_below(self, account: Account, order: Order, equity: int, before: int, after: int) -> None:
        """The rule for an account already below: its only order, whole, spends in proportion to what it reduces."""
        if equity - before >= 0:
            raise Refused(Reason.MARGIN, after, equity)
        if len(account.orders) > 1:
            raise Refused(Reason.BELOW_OPEN_ORDER, len(account.orders) - 1, 0)
        self.book.close(account, order)
        try:
            reduced = self._requirement_at(account, order.instrument, order.side * order.remaining)
            if reduced > before:
                raise Refused(Reason.BELOW_REQUIREMENT, reduced, before, instrument=self._leg(account))
            equity_after = self._equity_after(account, order, order.price)
            if not formulas.spends_in_proportion(equity, equity_after, before, reduced):
                allowed = formulas.spendable(equity, before, reduced) if before else 0
                limiting = self._limiting_price(account, order, equity, before, reduced)
                raise Refused(Reason.BELOW_PRICE, equity - equity_after, allowed, price=limiting)
        finally:
            self.book.open(account, order)

    def _requirement_at(self, account: Account, instrument: int, change: int) -> int:
        """Requirement if the position were `change` lots more; the account is left as it was."""
        position = account.positions[instrument]
        self.book.add_position(account, instrument, -1)
        position.quantity += change
        self.book.add_position(account, instrument, +1)
        requirement = self.book.requirement(account)
        self.book.add_position(account, instrument, -1)
        position.quantity -= change
        self.book.add_position(account, instrument, +1)
        return requirement

    def _equity_after(self, account: Account, order: Order, limit: int) -> int:
        """Equity once the whole order filled at `limit`, the dearer fee and its reserve of atoms paid."""
        spec = self.book.listings[order.instrument].spec
        position = account.positions[order.instrument]
        kept = (position.quantity, position.cash, account.balance[spec.currency])
        fee = formulas.fee_at_limit(spec, order.remaining, limit, order.dearer_rate)
        position.quantity += order.side * order.remaining
        position.cash += formulas.posting_at_limit(spec, order.side, order.remaining, limit)
        account.balance[spec.currency] -= fee + bounds.ORDER_ATOMS
        equity = self.book.equity(account)
        position.quantity, position.cash, account.balance[spec.currency] = kept
        return equity

    def _leg(self, account: Account) -> int:
        """The position whose close at the mark would leave the lowest requirement; ties go to the oldest."""
        held = [number for number, position in account.positions.items() if position.quantity]
        closed = [self._requirement_at(account, number, -account.positions[number].quantity) for number in held]
        return held[closed.index(min(closed))] if held else -1

    def _limiting_price(self, account: Account, order: Order, equity: int, before: int, reduced: int) -> int:
        """The price nearest the order's at which the rule holds, by bisection towards the band's edge; 0 if none."""
        spec = self.book.listings[order.instrument].spec

        def holds(price: int) -> bool:
            after = self._equity_after(account, order, price)
            return formulas.spends_in_proportion(equity, after, before, reduced)

        bad, good = order.price, spec.price_min if order.side > 0 else spec.price_max
        if not holds(good):
            return 0
        while abs(good - bad) > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if holds(middle) else (middle, good)
        return good

    def _client(self, command: Any) -> Account:
        number = int(command["account"])
        if not 0 <= number < len(self.accounts):
            raise Refused(Reason.UNKNOWN_ACCOUNT, number, len(self.accounts))
        if number < SYSTEM_ACCOUNTS:
            raise Refused(Reason.SYSTEM_ACCOUNT, number, SYSTEM_ACCOUNTS)
        return self.accounts[number]

    def _listing(self, command: Any) -> Listing:
        number = int(command["instrument"])
        if not 0 <= number < len(self.book.listings):
            raise Refused(Reason.UNKNOWN_INSTRUMENT, number, len(self.book.listings))
        return self.book.listings[number]

    # -- matching --------------------------------------------------------------------------------------------------

    def _match(self, account: Account, listing: Listing, order: Order, *, immediate: bool) -> None:
        book = listing.asks if order.side > 0 else listing.bids
        while order.remaining and book:
            best = min(book) if order.side > 0 else max(book)
            if order.side * (best - order.price) > 0:
                break
            maker = book[best][0]
            if maker.account == order.account:
                self._close(order, Reason.SELF_MATCH, a=maker.id)
                return
            self._trade(listing, order, maker)
        if not order.remaining:
            return
        if immediate:
            self._close(order, Reason.IMMEDIATE_OR_CANCEL)
        else:
            own = listing.bids if order.side > 0 else listing.asks
            own.setdefault(order.price, []).append(order)

    def _trade(self, listing: Listing, taker: Order, maker: Order) -> None:
        quantity, price = min(taker.remaining, maker.remaining), maker.price
        residue = -self._fill(listing, taker, quantity, price, TAKER)
        residue -= self._fill(listing, maker, quantity, price, MAKER)
        if residue:
            self._post(SYSTEM_ROUNDING, listing.spec.currency, residue, Reason.ROUNDED, maker.instrument)
        if not maker.remaining:
            self._leave_book(listing, maker)

    def _fill(self, listing: Listing, order: Order, quantity: int, price: int, liquidity: int) -> int:
        """Post one side of a trade; return the atoms posted to its session cash."""
        spec, account = listing.spec, self.accounts[order.account]
        position = account.positions[order.instrument]
        posting = formulas.fill_posting(spec, order.side, order.filled, quantity, order.price, price)
        order.fee_accrued += abs(posting) * (order.maker_rate if liquidity == MAKER else order.taker_rate)
        ceiling = formulas.fee_at_limit(spec, order.filled + quantity, order.price, order.dearer_rate)
        ceiling -= formulas.fee_at_limit(spec, order.filled, order.price, order.dearer_rate)
        ceiling += formulas.improvement(spec, order.side, quantity, order.price, price)
        fee = formulas.fill_fee(order.fee_accrued, order.fee_posted, ceiling)

        self.book.add_order(account, order, -1)
        self.book.add_position(account, order.instrument, -1)
        order.remaining -= quantity
        order.filled += quantity
        order.fee_posted += fee
        position.quantity += order.side * quantity
        position.cash += posting
        self.book.add_position(account, order.instrument, +1)
        self.book.add_order(account, order, +1)
        account.balance[spec.currency] -= fee
        self.accounts[SYSTEM_FEES].balance[spec.currency] += fee
        if not order.remaining:
            self.book.close(account, order)
            del self.orders[order.id]
        self._emit(
            EventKind.FILL,
            side=order.side,
            liquidity=liquidity,
            currency=spec.currency,
            account=order.account,
            instrument=order.instrument,
            order_id=order.id,
            price=price,
            quantity=quantity,
            a=posting,
            b=fee,
        )
        return posting

    def _leave_book(self, listing: Listing, order: Order) -> None:
        book = listing.bids if order.side > 0 else listing.asks
        level = book.get(order.price, [])
        if order in level:
            level.remove(order)
            if not level:
                del book[order.price]

    def _close(self, order: Order, reason: Reason, a: int = 0, b: int = 0) -> None:
        """End an open order: out of the book, out of the margin, with a CANCELLED event."""
        account = self.accounts[order.account]
        self._leave_book(self.book.listings[order.instrument], order)
        self.book.close(account, order)
        del self.orders[order.id]
        self._emit(
            EventKind.CANCELLED,
            reason,
            side=order.side,
            account=order.account,
            instrument=order.instrument,
            order_id=order.id,
            price=order.price,
            quantity=order.remaining,
            a=a,
            b=b,
        )

    def _margin_call(self, number: int) -> None:
        """Cancel an account's orders, newest first, until its excess is not negative or none is left."""
        account = self.accounts[number]
        while account.orders:
            requirement, equity = self.book.requirement(account), self.book.equity(account)
            if equity - requirement >= 0:
                return
            self._close(account.orders[max(account.orders)], Reason.MARGIN_CALL, requirement, equity)

    # -- cancels ---------------------------------------------------------------------------------------------------

    def _cancel(self, command: Any, attachment: bytes) -> None:
        account, order_id = self._client(command), int(command["order_id"])
        order = self.orders.get(order_id)
        if order is None:
            raise Refused(Reason.UNKNOWN_ORDER, order_id, int(command["account"]))
        if self.accounts[order.account] is not account:
            raise Refused(Reason.NOT_OWNER, order_id, order.account)
        self._close(order, Reason.BY_OWNER)

    def _cancel_all(self, command: Any, attachment: bytes) -> None:
        number, instrument = int(command["account"]), int(command["instrument"])
        if instrument != -1:
            self._listing(command)
        if number != -1:
            account = self._client(command)
            for order in reversed(list(account.orders.values())):
                if instrument in (-1, order.instrument):
                    self._close(order, Reason.BY_OWNER)
            return
        for listing in self.book.listings if instrument == -1 else [self.book.listings[instrument]]:
            self._clear_book(listing, Reason.BY_OWNER)

    def _clear_book(self, listing: Listing, reason: Reason) -> None:
        """Cancel bids then asks, best price first, oldest first."""
        orders = [order for price in sorted(listing.bids, reverse=True) for order in listing.bids[price]]
        orders += [order for price in sorted(listing.asks) for order in listing.asks[price]]
        for order in orders:
            self._close(order, reason)

    # -- money and time --------------------------------------------------------------------------------------------

    def _post(self, number: int, currency: int, atoms: int, cause: Reason, instrument: int = 0, b: int = 0) -> None:
        self.accounts[number].balance[currency] += atoms
        self._emit(EventKind.POSTED, cause, currency=currency, account=number, instrument=instrument, a=atoms, b=b)

    def _money(self, command: Any) -> tuple[int, int, int]:
        number, currency, amount = int(command["account"]), int(command["currency"]), int(command["amount"])
        if not 0 <= number < len(self.accounts):
            raise Refused(Reason.UNKNOWN_ACCOUNT, number, len(self.accounts))
        if not 0 <= currency < self.catalogue.currencies:
            raise Refused(Reason.UNKNOWN_CURRENCY, currency, self.catalogue.currencies)
        if not 1 <= amount <= bounds.BALANCE_MAX:
            raise Refused(Reason.AMOUNT, amount, bounds.BALANCE_MAX)
        return number, currency, amount

    def _deposit(self, command: Any, attachment: bytes) -> None:
        number, currency, amount = self._money(command)
        balance = self.accounts[number].balance[currency] + amount
        if balance > bounds.BALANCE_MAX:
            raise Refused(Reason.BALANCE_BOUND, balance, bounds.BALANCE_MAX)
        if self.net_deposits[currency] + amount > bounds.DEPOSITS_MAX:
            raise Refused(Reason.BALANCE_BOUND, self.net_deposits[currency] + amount, bounds.DEPOSITS_MAX)
        self.net_deposits[currency] += amount
        self._post(number, currency, amount, Reason.DEPOSITED)

    def _withdraw(self, command: Any, attachment: bytes) -> None:
        number, currency, amount = self._money(command)
        account = self.accounts[number]
        cash = account.balance[currency]
        for instrument, position in account.positions.items():
            listing = self.book.listings[instrument]
            if listing.spec.currency == currency:
                option = listing.spec.product == Product.OPTION
                cash += min(0, position.cash if option else listing.gain(position))
        if amount > cash:
            raise Refused(Reason.CASH, amount, cash)
        account.balance[currency] -= amount
        requirement, equity = self.book.requirement(account), self.book.equity(account)
        account.balance[currency] += amount
        if equity - requirement < 0:
            raise Refused(Reason.WITHDRAWAL_MARGIN, requirement, equity)
        self.net_deposits[currency] -= amount
        self._post(number, currency, -amount, Reason.WITHDRAWN)

    def _funding(self, command: Any, attachment: bytes) -> None:
        listing, instrument = self._listing(command), int(command["instrument"])
        spec, rate = listing.spec, int(command["amount"])
        if spec.product != Product.PERPETUAL:
            raise Refused(Reason.NOT_PERPETUAL, instrument, spec.product)
        largest = min(bounds.FUNDING_RATE_MAX, 2**62 // spec.largest_position)
        if abs(rate) > largest:
            raise Refused(Reason.FUNDING_BOUND, rate, largest)
        residue = 0
        for number, position in listing.holders.items():
            if position.quantity:
                atoms = -position.quantity * rate >> bounds.FUNDING_SHIFT
                residue -= atoms
                self._post(number, spec.currency, atoms, Reason.FUNDED, instrument, position.quantity)
                self._margin_call(number)
        if residue:
            self._post(SYSTEM_ROUNDING, spec.currency, residue, Reason.ROUNDED, instrument)

    def _settle(self, command: Any, attachment: bytes) -> None:
        listing, instrument = self._listing(command), int(command["instrument"])
        if listing.risk is None or listing.expired:
            raise Refused(Reason.NOT_PUBLISHED, instrument, self.catalogue.version)
        spec = listing.spec
        for number, position in listing.holders.items():
            if spec.product == Product.OPTION:
                gain = position.cash if position.quantity == 0 else 0
            else:
                gain = position.cash + formulas.position_value(spec, position.quantity, listing.risk.mark)
            if gain:
                position.cash -= gain
                self._post(number, spec.currency, gain, Reason.SETTLED, instrument, position.quantity)

    def _expire(self, command: Any, attachment: bytes) -> None:
        instrument, price = int(command["instrument"]), int(command["price"])
        spec = self.catalogue.expire(instrument, price, self.clock, self._largest_held)
        listing = self.book.listings[instrument]
        self._clear_book(listing, Reason.INSTRUMENT_EXPIRED)
        listing.expired = True
        residue = 0
        for number, position in listing.holders.items():
            account = self.accounts[number]
            delivered = formulas.delivered_value(spec, position.quantity, price)
            residue -= delivered
            self.book.add_position(account, instrument, -1)
            del account.positions[instrument]
            if position.quantity or position.cash:
                atoms = position.cash + delivered
                self._post(number, spec.currency, atoms, Reason.DELIVERED, instrument, position.quantity)
                self._margin_call(number)
        listing.holders = {}
        if residue:
            self._post(SYSTEM_ROUNDING, spec.currency, residue, Reason.ROUNDED, instrument)

    # -- looks at the state ----------------------------------------------------------------------------------------

    def margin(self, account: int) -> dict[str, int]:
        """Equity, initial and maintenance requirement, excess of an account, in value atoms."""
        entry = self.accounts[account]
        equity, requirement = self.book.equity(entry), self.book.requirement(entry)
        return {
            "equity": equity,
            "initial": self.book.row(entry, INITIAL),
            "maintenance": self.book.row(entry, MAINTENANCE),
            "requirement": requirement,
            "excess": equity - requirement,
        }

    def conserved(self) -> bool:
        """Whether money sums to net deposits in each currency and positions to zero in each instrument."""
        totals = [0] * bounds.CURRENCIES_MAX
        for account in self.accounts:
            for currency, balance in enumerate(account.balance):
                totals[currency] += balance
        for listing in self.book.listings:
            totals[listing.spec.currency] += sum(position.cash for position in listing.holders.values())
            if sum(position.quantity for position in listing.holders.values()):
                return False
        return totals == self.net_deposits

    def state(self) -> dict[str, Any]:
        """Everything that later events depend on, in one canonical form, the order of queues included."""
        return {
            "seq": self.seq,
            "clock": self.clock,
            "venue": (int(self.catalogue.venue), self.catalogue.crashed),
            "version": self.catalogue.version,
            "net_deposits": list(self.net_deposits),
            "accounts": [self._account_state(number) for number in range(len(self.accounts))],
            "listings": [_listing_state(listing) for listing in self.book.listings],
        }

    def _account_state(self, number: int) -> dict[str, Any]:
        account = self.accounts[number]
        blocks = {}
        for block, margin in sorted(account.blocks.items()):
            count = self.book.blocks[block].scenarios
            summed = [v + w for v, w in zip(margin.v[:count], margin.w[:count], strict=True)]
            lists = [summed, margin.net, margin.up, margin.down, margin.gross]
            if any(any(numbers) for numbers in lists):
                blocks[block] = [list(numbers) for numbers in lists]
        return {
            "tier": account.tier,
            "balance": list(account.balance),
            "positions": {
                instrument: (p.quantity, p.cash, p.open_buy, p.open_sell)
                for instrument, p in sorted(account.positions.items())
            },
            "orders": list(account.orders),
            "client_ids": list(account.client_ids),
            "blocks": blocks,
            **self.margin(number),
        }


def check_batch(commands: Commands, attachments: bytes, seq: int) -> None:
    """Raise InputError unless seqs follow `seq` one by one and the attachments' sizes add up."""
    expected = np.arange(seq + 1, seq + 1 + len(commands))
    if not np.array_equal(commands["seq"], expected):
        raise InputError("seq", commands["seq"][:1].tolist(), f"must follow {seq} one by one")
    sizes = commands["attachment"]
    if np.any(sizes < 0) or int(sizes.sum()) != len(attachments):
        raise InputError(
            "attachment", len(attachments), f"must be the {int(sizes.sum())} bytes that the commands state"
        )


def _listing_state(listing: Listing) -> dict[str, Any]:
    def side(book: dict[int, list[Order]]) -> list[Any]:
        return [
            [
                (o.id, o.price, o.remaining, o.filled, o.fee_accrued, o.fee_posted, o.maker_rate, o.taker_rate)
                for o in book[price]
            ]
            for price in sorted(book)
        ]

    return {
        "expired": listing.expired,
        "holders": list(listing.holders),
        "bids": side(listing.bids),
        "asks": side(listing.asks),
    }
