"""The gate: portfolio margin of an order, and the rule of proportion for accounts already below."""

from seawall.engine import formulas
from seawall.engine.catalogue import Refused
from seawall.engine.rules.margin import Account, Order, Position
from seawall.engine.rules.state import State
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason


class Gate(State):
    """C13 and C14. An order is counted first and taken out again where it does not pass."""

    def _gate(self, account: Account, order: Order) -> tuple[int, int]:
        """Open `order` if margin allows: requirement after and equity. Else Refused, the account as it was."""
        before, equity = self.book.requirement(account), self.book.equity(account)
        fresh = self._count(account, order)
        try:
            requirement = self._weigh(account, [order], before, equity)
        except Refused:
            self._uncount(account, order, fresh=fresh)
            raise
        self._enlist(account, order)
        return requirement, equity

    def _count(self, account: Account, order: Order) -> bool:
        """Count an order in its account's margin; whether its position is new."""
        fresh = order.instrument not in account.positions
        account.positions.setdefault(order.instrument, Position())
        self.book.open(account, order)
        return fresh

    def _uncount(self, account: Account, order: Order, *, fresh: bool) -> None:
        self.book.close(account, order)
        if fresh:
            del account.positions[order.instrument]

    def _enlist(self, account: Account, order: Order) -> None:
        """What was counted is an open order from now on."""
        listing = self.book.listings[order.instrument]
        listing.holders.setdefault(order.account, account.positions[order.instrument])
        self.orders[order.id] = order

    def _weigh(self, account: Account, orders: list[Order], before: int, equity: int) -> int:
        """Requirement with `orders`, counted already: one, or the legs of a package. Refused if margin forbids them.

        `before` is the requirement without them.
        """
        requirement = self.book.requirement(account)
        if equity - requirement < 0:
            self._gate_below(account, orders, equity, before, requirement)
        return requirement

    def _gate_below(self, account: Account, orders: list[Order], equity: int, before: int, after: int) -> None:
        """The rule for an account already below: all it has open, whole, spends in proportion to what it reduces."""
        if equity - before >= 0:
            raise Refused(Reason.MARGIN, after, equity)
        if len(account.orders) > len(orders):
            raise Refused(Reason.BELOW_OPEN_ORDER, len(account.orders) - len(orders), 0)
        for order in orders:
            self.book.close(account, order)
        try:
            reduced = self._requirement_with(account, {o.instrument: o.side * o.remaining for o in orders})
            if reduced > before:
                raise Refused(Reason.BELOW_REQUIREMENT, reduced, before, instrument=self._leg(account))
            equity_after = self._equity_after(account, orders)
            if not formulas.spends_in_proportion(equity, equity_after, before, reduced):
                allowed = formulas.spendable(equity, before, reduced) if before else 0
                limiting = self._limiting_price(account, orders, equity, before, reduced)
                raise Refused(Reason.BELOW_PRICE, equity - equity_after, allowed, price=limiting)
        finally:
            for order in orders:
                self.book.open(account, order)

    def _requirement_with(self, account: Account, changes: dict[int, int]) -> int:
        """Requirement if positions were so many lots more; the account is left as it was."""
        self._shift(account, changes, +1)
        requirement = self.book.requirement(account)
        self._shift(account, changes, -1)
        return requirement

    def _shift(self, account: Account, changes: dict[int, int], sign: int) -> None:
        for instrument, change in changes.items():
            self.book.add_position(account, instrument, -1)
            account.positions[instrument].quantity += sign * change
            self.book.add_position(account, instrument, +1)

    def _equity_after(self, account: Account, orders: list[Order], limit: int | None = None) -> int:
        """Equity once whole orders filled at their limits (or at `limit`), dearer fees and reserves of atoms paid."""
        kept = [(account.positions[o.instrument].quantity, account.positions[o.instrument].cash) for o in orders]
        balance = list(account.balance)
        for order in orders:
            spec, price = self.book.listings[order.instrument].spec, order.price if limit is None else limit
            position = account.positions[order.instrument]
            counted = self.book.listings[order.instrument].gain(position, account.split)
            position.quantity += order.side * order.remaining
            position.cash += formulas.posting_at_limit(spec, order.side, order.remaining, price)
            account.balance[spec.currency] -= self._uncounted_loss(account, order, price, counted)
            fee = formulas.fee_at_limit(spec, order.remaining, price, order.dearer_rate)
            account.balance[spec.currency] -= fee + bounds.ORDER_ATOMS
        equity = self.book.equity(account)
        account.balance = balance
        for order, (quantity, cash) in zip(orders, kept, strict=True):
            position = account.positions[order.instrument]
            position.quantity, position.cash = quantity, cash
        return equity

    def _uncounted_loss(self, account: Account, order: Order, price: int, counted: int) -> int:
        """Atoms lost at the limit that a cap hides: taken from the gain above it, they would cost nothing (rules 7).

        `counted` is the gain that counted before; the position is as after the fill. No gain at the limit is counted.
        """
        listing = self.book.listings[order.instrument]
        assert listing.risk is not None
        if self.catalogue.rules < 7 or listing.risk.gain_cap == bounds.NO_CAP:
            return 0
        gained = formulas.gain_at_limit(listing.spec, order.side, order.remaining, price, listing.risk.mark)
        change = listing.gain(account.positions[order.instrument], account.split) - counted
        return max(0, change - min(0, gained))

    def _leg(self, account: Account) -> int:
        """The position whose close at the mark would leave the lowest requirement; ties go to the oldest."""
        held = [number for number, position in account.positions.items() if position.quantity]
        closed = [self._requirement_with(account, {n: -account.positions[n].quantity}) for n in held]
        return held[closed.index(min(closed))] if held else -1

    def _limiting_price(self, account: Account, orders: list[Order], equity: int, before: int, reduced: int) -> int:
        """The price nearest the order's at which the rule holds, by bisection towards the band's edge; 0 if none.

        Of a package, 0: no single price decides.
        """
        order = orders[0]
        spec = self.book.listings[order.instrument].spec

        def holds(price: int) -> bool:
            after = self._equity_after(account, orders, price)
            return formulas.spends_in_proportion(equity, after, before, reduced)

        bad, good = order.price, spec.price_min if order.side > 0 else spec.price_max
        if len(orders) > 1 or not holds(good):
            return 0
        while abs(good - bad) > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if holds(middle) else (middle, good)
        return good
