"""The book: price, then time; a trade happens at the resting order's price. And what trades set off by themselves."""

from seawall.engine import formulas
from seawall.engine.rules.controls import Controls
from seawall.engine.rules.margin import Account, Listing, Order, Position, Protection
from seawall.vocabulary import bounds
from seawall.vocabulary.publication import MAINTENANCE
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_PROTECTED,
    MAKER,
    SYSTEM_ACCOUNTS,
    SYSTEM_FEES,
    SYSTEM_ROUNDING,
    TAKER,
    UPSTREAM,
    EventKind,
    Limit,
    Role,
    Scope,
    SelfMatch,
    Status,
    TimeInForce,
    VenueState,
    Watched,
)


class Matching(Controls):
    """Matching, cancels, margin calls; market-maker protection, velocity halt, drawdown."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: list[Order] = []  # stops that were reached and have not fired yet
        self._breached: list[tuple[int, int, int, int]] = []  # protections to be acted on: account, block, two numbers

    # -- matching --------------------------------------------------------------------------------------------------

    def _release(self, order: Order) -> None:
        """An order that passed the gate goes to its venue, or into the book here."""
        listing = self.book.listings[order.instrument]
        if listing.upstream:
            self._set_status(order, Status.PENDING)
            return
        self._match(listing, order)
        self._protect_makers()

    def _match(self, listing: Listing, order: Order) -> None:
        if self.catalogue.rules > 6 and self._halted(listing.number):  # by a leg before this one, of the same batch
            state = self.catalogue.instrument_state(listing.number)
            self._close(order, Reason.INSTRUMENT_HALTED, state, VenueState.REDUCE_ONLY)
            return
        traded = False
        while order.remaining:
            best = listing.best(-order.side)
            if not best or order.side * (best - order.price) > 0:
                break
            maker = listing.book(-order.side)[best][0]
            if self._owner(maker.account) == self._owner(order.account):
                if self._self_match(order, maker):
                    continue
                break
            quantity = min(order.remaining, maker.shown)
            if order.reduce_only:
                quantity = min(quantity, self._position(order).reducible(order.side))
                if not quantity:
                    self._close(order, Reason.REDUCED)
                    break
            if maker.reduce_only:
                quantity = min(quantity, self._position(maker).reducible(maker.side))
                if not quantity:
                    self._close(maker, Reason.REDUCED)
                    continue
            if not traded:
                self._begin_windows(listing, self._position(order))
            traded = True
            self._trade(listing, order, maker, quantity)
            self._reach(listing, Watched.LAST, maker.price)
            if order.tif != TimeInForce.FOK:  # a fill-or-kill is one trade, whatever it sets off
                self._protect_makers()
        if traded:
            self._watch_velocity(listing)
        if order.remaining and order.id in self.orders:
            if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
                self._close(order, Reason.IMMEDIATE_OR_CANCEL)
            else:
                order.show()
                listing.book(order.side).setdefault(order.price, []).append(order)

    def _self_match(self, order: Order, maker: Order) -> bool:
        """What the incoming order says of meeting one of its own owner's; whether it goes on."""
        mode = order.self_match
        if mode == SelfMatch.DECREMENT:
            quantity = min(order.remaining, maker.remaining)
            for one, other in ((maker, order), (order, maker)):
                self._decrement(one, quantity, other.id)
            return order.remaining > 0
        if mode in (SelfMatch.CANCEL_OLDEST, SelfMatch.CANCEL_BOTH):
            self._close(maker, Reason.SELF_MATCH, a=order.id)
        if mode in (SelfMatch.CANCEL_NEWEST, SelfMatch.CANCEL_BOTH):
            self._close(order, Reason.SELF_MATCH, a=maker.id)
            return False
        return True

    def _decrement(self, order: Order, quantity: int, other: int) -> None:
        if order.remaining == quantity:
            self._close(order, Reason.SELF_MATCH, a=other)
            order.remaining = 0
            return
        account = self.accounts[order.account]
        self.book.add_order(account, order, -1)
        order.remaining -= quantity
        order.shown = min(order.shown, order.remaining)
        self.book.add_order(account, order, +1)
        self._tell(EventKind.EDITED, order, Reason.SELF_MATCH, a=other)

    def _trade(self, listing: Listing, taker: Order, maker: Order, quantity: int) -> None:
        price = maker.price
        residue = -self._fill(listing, taker, quantity, price, TAKER)
        residue -= self._fill(listing, maker, quantity, price, MAKER)
        if residue:
            self._post(SYSTEM_ROUNDING, listing.spec.currency, residue, Reason.ROUNDED, maker.instrument)
        if not maker.remaining:
            self._leave_book(listing, maker)
        elif not maker.shown:
            maker.show()
            level = listing.book(maker.side)[price]
            level.append(level.pop(0))
            self._emit(
                EventKind.REPLENISHED,
                side=maker.side,
                account=maker.account,
                instrument=maker.instrument,
                order_id=maker.id,
                price=price,
                quantity=maker.shown,
            )
        self._count_for_protection(listing, maker, quantity)

    def _fill(self, listing: Listing, order: Order, quantity: int, price: int, liquidity: int) -> int:
        """Post one side of a trade; return the atoms it gains by its price.

        What a better price than the limit adds to the fee comes out of the session gain it brought, not out of cash the
        gate counted: where a cap does not count the gain, its fee would take from what was reserved.
        """
        posting = formulas.fill_posting(listing.spec, order.side, order.filled, quantity, order.price, price)
        order.fee_accrued += abs(posting) * (order.maker_rate if liquidity == MAKER else order.taker_rate)
        at_limit = formulas.fee_at_limit(listing.spec, order.filled + quantity, order.price, order.dearer_rate)
        at_limit -= formulas.fee_at_limit(listing.spec, order.filled, order.price, order.dearer_rate)
        better = formulas.improvement(listing.spec, order.side, quantity, order.price, price)
        fee = formulas.fill_fee(order.fee_accrued, order.fee_posted, at_limit + better)
        from_gain = max(0, fee - at_limit) if self.catalogue.rules > 1 else 0
        self._settle_fill(listing, order, quantity, price, posting, fee, SYSTEM_FEES, liquidity, from_gain)
        return posting

    def _settle_fill(
        self,
        listing: Listing,
        order: Order,
        quantity: int,
        price: int,
        posting: int,
        fee: int,
        fees_to: int,
        liquidity: int,
        from_gain: int = 0,
    ) -> None:
        """One side of a trade: the order's rest, its owner's position, cash and fee; an order that is whole is gone."""
        spec, account, position = listing.spec, self.accounts[order.account], self._position(order)
        first = order.filled == 0
        self.book.add_order(account, order, -1)
        self.book.add_position(account, order.instrument, -1)
        order.remaining -= quantity
        order.shown -= quantity
        order.filled += quantity
        order.fee_posted += fee
        position.quantity += order.side * quantity
        position.cash += posting - from_gain
        self.book.add_position(account, order.instrument, +1)
        self.book.add_order(account, order, +1)
        account.balance[spec.currency] -= fee - from_gain
        self.accounts[fees_to].balance[spec.currency] += fee
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
        if first and order.strategy:
            self._count_execution(account, order)

    def _count_execution(self, account: Account, order: Order) -> None:
        """C07: the strategy's orders that traded; at its limit it stops until people re-arm it."""
        row = self.catalogue.limit(Limit.REPEATS, order.account)
        if row is None or account.strategies[order.strategy] == bounds.NO_LIMIT:
            return
        each = row.until // row.amount
        paid = max(account.strategies[order.strategy], self.clock) + each
        if paid - self.clock > (row.amount - 1) * each:
            account.strategies[order.strategy] = bounds.NO_LIMIT
            self._tell(EventKind.STOPPED, order, a=order.strategy, b=row.amount)
        else:
            account.strategies[order.strategy] = paid

    # -- cancels ---------------------------------------------------------------------------------------------------

    def _leave_book(self, listing: Listing, order: Order) -> None:
        book = listing.book(order.side)
        level = book.get(order.price, [])
        if order in level:
            level.remove(order)
            if not level:
                del book[order.price]

    def _close(self, order: Order, reason: Reason, a: int = 0, b: int = 0) -> None:
        """End an open order: out of the book, out of the margin, with a CANCELLED event.

        One that waits just goes. One that is upstream stays until its venue says so: it is only marked, and told of.
        """
        account, listing = self.accounts[order.account], self.book.listings[order.instrument]
        if order.status in UPSTREAM:
            if not order.cancel_wanted:
                order.cancel_wanted = True
                self._tell(EventKind.STATUS, order, reason, a=order.status, b=order.status)
            return
        if order.status == Status.WAITING:
            self._unwait(listing, order)
            del account.waiting[order.id]
        else:
            self._leave_book(listing, order)
            self.book.close(account, order)
        del self.orders[order.id]
        self._tell(EventKind.CANCELLED, order, reason, a=a, b=b)

    def _unwait(self, listing: Listing, order: Order) -> None:
        level = listing.waiting[order.watch, order.rising]
        level[order.trigger].remove(order)
        if not level[order.trigger]:
            del level[order.trigger]

    def _set_status(self, order: Order, status: Status) -> None:
        account = self.accounts[order.account]
        account.unknown += (status == Status.UNKNOWN) - (order.status == Status.UNKNOWN)
        old, order.status = order.status, status
        self._tell(EventKind.STATUS, order, a=status, b=old)

    def _margin_call(self, number: int) -> None:
        """Cancel an account's orders, newest first, until its excess is not negative or none is left."""
        account = self.accounts[number]
        for order in reversed(list(account.orders.values())):
            requirement, equity = self.book.requirement(account), self.book.equity(account)
            if equity - requirement >= 0:
                break
            self._close(order, Reason.MARGIN_CALL, requirement, equity)
        self._watch_maintenance(number)

    def _watch_maintenance(self, number: int) -> None:
        """C23: whoever is below maintenance may only reduce, until the requirement is met again."""
        account = self.accounts[number]
        if self.catalogue.rules < 2 or number < SYSTEM_ACCOUNTS or account.role != Role.CLIENT:
            return
        maintenance, equity = self.book.row(account, MAINTENANCE), self.book.equity(account)
        requirement = self.book.requirement(account)
        if not account.restricted and equity < maintenance:
            account.restricted = True
            self._emit(EventKind.RESTRICTED, account=number, a=maintenance, b=equity)
        elif account.restricted and equity >= requirement:
            account.restricted = False
            self._emit(EventKind.LIFTED, account=number, a=requirement, b=equity)

    def _clear_book(self, listing: Listing, reason: Reason) -> None:
        """Cancel bids then asks, best price first, oldest first; then what waits, and ask for what is upstream."""
        orders = [order for price in sorted(listing.bids, reverse=True) for order in listing.bids[price]]
        orders += [order for price in sorted(listing.asks) for order in listing.asks[price]]
        for watch in Watched:
            for rising in (True, False):
                levels = listing.waiting[watch, rising]
                orders += [order for trigger in sorted(levels, reverse=not rising) for order in levels[trigger]]
        for order in orders:
            self._close(order, reason)

    def _ask_upstream(self, instruments: set[int], reason: Reason) -> None:
        """Mark the upstream orders in some instruments as to be cancelled, account by account, newest first."""
        for account in self.accounts:
            for order in reversed(account.orders.values()):
                if order.status in UPSTREAM and order.instrument in instruments:
                    self._close(order, reason)

    # -- what trades set off ---------------------------------------------------------------------------------------

    def _reach(self, listing: Listing, watch: Watched, price: int) -> None:
        """A watched price moved: the stops it reached leave for the queue, nearest trigger first, oldest first."""
        listing.prices[watch] = price
        if self._halted(listing.number):
            return
        for rising in (True, False):
            levels = listing.waiting[watch, rising]
            reached = [trigger for trigger in levels if (trigger <= price if rising else trigger >= price)]
            for trigger in sorted(reached, reverse=not rising):
                self._queue += sorted(levels.pop(trigger), key=lambda order: order.id)

    def _begin_windows(self, listing: Listing, position: Position) -> None:
        """C04, C22: the price before the first trade of a window is what its moves are measured from."""
        row = self.catalogue.limit(Limit.WINDOW_COLLAR, -1, listing.number)
        if row is not None and (position.window_start < 0 or self.clock - position.window_start > row.until):
            position.window_start, position.window_price = self.clock, self._going_price(listing)
        row = self.catalogue.limit(Limit.VELOCITY, -1, listing.number)
        if row is not None and (listing.window_start < 0 or self.clock - listing.window_start > row.until):
            listing.window_start, listing.window_price, listing.moves = self.clock, self._going_price(listing), 0

    def _watch_velocity(self, listing: Listing) -> None:
        """C22: so many takers that leave the price too far from where their window began halt the instrument."""
        row = self.catalogue.limit(Limit.VELOCITY, -1, listing.number)
        if row is None:
            return
        price = listing.prices[Watched.LAST]
        moved = abs(price - listing.window_price) * bounds.PARTS // listing.window_price
        if self.catalogue.rules < 7 and moved <= row.amount:
            listing.moves = 0  # one small trade near the old price undid the count
        listing.moves += moved > row.amount
        old = self.catalogue.state_of(Scope.INSTRUMENT, listing.number)
        if listing.moves >= row.quantity:
            listing.window_start, listing.moves = -1, 0
            if old != VenueState.HALTED:
                self.catalogue.set_state(Scope.INSTRUMENT, listing.number, VenueState.HALTED)
                told = (moved, row.amount)
                self._tell_state(Scope.INSTRUMENT, listing.number, VenueState.HALTED, old, Reason.VELOCITY, told)

    def _count_for_protection(self, listing: Listing, maker: Order, quantity: int) -> None:
        """C21: a quote's fill counts in its maker's window; past a limit the protection freezes."""
        if not maker.flags & FLAG_PROTECTED:
            return
        block = listing.spec.block
        protection = self.accounts[maker.account].protections.get(block)
        if protection is None or protection.frozen > self.clock:
            return
        assert listing.risk is not None
        self._turn(protection)
        signed = maker.side * quantity
        added = (quantity * self._weight(listing), signed * listing.risk.delta, signed * listing.risk.vega)
        now = protection.sums[protection.quarter % 5]
        for index, more in enumerate(added):
            now[index] = max(-bounds.PROTECTION_SUM_MAX, min(bounds.PROTECTION_SUM_MAX, now[index] + more))
        limits = (protection.quantity, protection.delta, protection.vega)
        for index, limit in enumerate(limits):
            reached = abs(sum(row[index] for row in protection.sums))
            if reached > limit:
                protection.frozen = self.clock + protection.freeze if protection.freeze else bounds.NO_LIMIT
                protection.sums = [[0, 0, 0] for _ in range(5)]
                self._breached.append((maker.account, block, reached, limit))
                return

    def _turn(self, protection: Protection) -> None:
        """Forget the quarters that are over; this one and the four before it are never less than the window."""
        quarter = self.clock // max(1, -(-protection.window // 4))
        for passed in range(protection.quarter + 1, min(quarter, protection.quarter + 5) + 1):
            protection.sums[passed % 5] = [0, 0, 0]
        protection.quarter = quarter

    def _protect_makers(self) -> None:
        """Pull the quotes of every maker whose protection froze, newest first."""
        while self._breached:
            number, block, reached, limit = self._breached.pop(0)
            self._emit(EventKind.FROZEN, account=number, instrument=block, a=reached, b=limit)
            for order in reversed(list(self.accounts[number].orders.values())):
                quoted = order.flags & FLAG_PROTECTED and order.remaining
                if quoted and self.book.listings[order.instrument].spec.block == block:
                    self._close(order, Reason.MAKER_PROTECTION, reached, limit)

    def _watch_drawdown(self, number: int) -> None:
        """C16: so many publications in a row too far below the highest equity leave an account reducing orders only."""
        row, account = self.catalogue.limit(Limit.DRAWDOWN, number), self.accounts[number]
        if row is None:
            return
        equity = self.book.equity(account)
        self._confirm_highest(account, equity, row.quantity)
        fell = account.highest - equity
        account.drops = account.drops + 1 if fell > row.amount else 0
        if account.drops < row.quantity:
            return
        account.highest, account.drops, account.rises = equity, 0, 0
        old = self.catalogue.state_of(Scope.ACCOUNT, number)
        if old < VenueState.REDUCE_ONLY:
            self.catalogue.set_state(Scope.ACCOUNT, number, VenueState.REDUCE_ONLY)
            told = (fell, row.amount)
            self._tell_state(Scope.ACCOUNT, number, VenueState.REDUCE_ONLY, old, Reason.DRAWDOWN, told)
        for order in reversed(list(account.orders.values())):
            self._close(order, Reason.DRAWDOWN, fell, row.amount)

    def _confirm_highest(self, account: Account, equity: int, times: int) -> None:
        """C16: a new height counts when as many publications in a row were above the old one, for the lowest of them.

        One bad tick up would else be the height that the next good ones have fallen from (so it was before rules 6).
        """
        if self.catalogue.rules < 6:
            account.highest = max(account.highest, equity)
        elif equity <= account.highest:
            account.rises = 0
        else:
            account.rising = min(account.rising, equity) if account.rises else equity
            account.rises += 1
            if account.rises >= times:
                account.highest, account.rises = account.rising, 0
