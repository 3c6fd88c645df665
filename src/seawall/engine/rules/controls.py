"""What an order must pass before the margin gate: checks in a fixed order, cheapest first. See docs/controls.md.

Each check either does nothing or raises Refused with the two numbers that decided; a check that belongs to a group
names the group's account in the refusal.
"""

from seawall.engine.catalogue import Refused
from seawall.engine.rules.gate import Gate
from seawall.engine.rules.margin import Account, Listing, Order, Position
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    FORBID_OPEN,
    FORBID_TRADE,
    Limit,
    OrderType,
    SelfMatch,
    TimeInForce,
    VenueState,
    Watched,
)

MESSAGES, CANCELS = 0, 1
"""Budgets of messages."""

AT_MARKET = (OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TAKE_MARKET, OrderType.TRAILING)
STOPS = (
    *(OrderType.STOP_LIMIT, OrderType.STOP_MARKET, OrderType.TAKE_LIMIT, OrderType.TAKE_MARKET, OrderType.TRAILING),
)
_IMMEDIATE = (TimeInForce.IOC, TimeInForce.FOK)
_FLAGS = FLAG_POST_ONLY | FLAG_SLIDE | FLAG_REDUCE_ONLY | FLAG_PROTECTED


class Controls(Gate):
    """Checks of one order. `_admit` is the list of those that an order passes whenever it would enter the book."""

    # -- form --------------------------------------------------------------------------------------------------------

    def _check_form(self, listing: Listing, order: Order) -> None:
        """Whether type, flags, time in force and the rest go together."""
        fits = order.type in set(OrderType) and not order.flags & ~_FLAGS
        fits &= order.watch in set(Watched) and order.self_match in set(SelfMatch)
        fits &= 0 <= order.strategy < bounds.STRATEGIES
        immediate = order.tif in _IMMEDIATE
        if order.flags & FLAG_POST_ONLY:
            fits &= not immediate and order.type not in AT_MARKET
        else:
            fits &= not order.flags & FLAG_SLIDE
        if order.type == OrderType.MARKET:
            fits &= immediate
        if order.type not in STOPS:
            fits &= order.trigger == 0 and order.watch == 0
        if order.flags & FLAG_PROTECTED:
            fits &= order.type == OrderType.LIMIT
        if not fits:
            raise Refused(Reason.ORDER_FORM, order.type, order.flags)
        if order.type in STOPS and not 1 <= order.trigger <= listing.spec.price_max:
            raise Refused(Reason.TRIGGER, order.trigger, listing.spec.price_max)
        showing_part = not immediate and order.type not in AT_MARKET
        most = max(0, order.remaining) if showing_part else 0
        if not 0 <= order.display <= most:
            raise Refused(Reason.DISPLAY, order.display, most)
        if order.tif == TimeInForce.GTD:
            if not self.clock < order.until <= bounds.TIME_MAX:
                raise Refused(Reason.UNTIL, order.until, self.clock)
        elif order.until:
            raise Refused(Reason.UNTIL, order.until, 0)

    def _spend(self, account: Account, limit: Limit, number: int, budget: int) -> None:
        """C06: one message of a budget; refused ones are paid for, too."""
        row = self.catalogue.limit(limit, number)
        if row is None:
            return
        due = max(account.due[budget], self.clock)
        early = due - self.clock - (row.quantity - 1) * row.amount
        if early > 0:
            raise Refused(Reason.THROTTLED, early, row.amount)
        account.due[budget] = due + row.amount

    # -- admission ---------------------------------------------------------------------------------------------------

    def _admit(self, account: Account, listing: Listing, order: Order) -> None:
        """Every check of an order that is about to enter the book, margin apart; may set its price and trim it."""
        self._check_open(listing, order)
        position = account.positions.get(order.instrument, Position())
        self._check_size(listing, order)
        self._set_price(listing, position, order)
        self._check_collars(listing, position, order)
        self._check_permissions(account, order)
        total = abs(position.quantity) + position.open_buy + position.open_sell + order.remaining
        reducible = position.reducible(order.side)
        left = max(0, reducible - position.opened(order.side))
        reducing = order.remaining <= left
        leaves = reducing and order.tif in _IMMEDIATE and self.catalogue.rules > 5  # it does not stay to be counted
        if total > listing.position_bound and not leaves:
            raise Refused(Reason.POSITION_BOUND, total, listing.position_bound)
        if order.reduce_only and (reducible == 0 or (order.tif == TimeInForce.FOK and order.remaining > reducible)):
            raise Refused(Reason.NOT_REDUCING, order.remaining, reducible)
        only_reducing = self._only_reducing(account, listing, order, left)
        # Elsewhere nobody trims it: since rules 5 an order there has to reduce as it stands.
        trimmed = order.reduce_only and not (listing.upstream and self.catalogue.rules > 4)
        if only_reducing is not None:
            if not (reducing or trimmed):
                raise only_reducing
            if self.catalogue.rules > 1:
                order.flags |= FLAG_REDUCE_ONLY  # let in because it reduces, so that is all it may do
        row = self.catalogue.limit(Limit.ORDER_NOTIONAL, order.account)
        if row is not None and order.remaining * self._weight(listing) > row.amount:
            raise Refused(Reason.ORDER_NOTIONAL, order.remaining * self._weight(listing), row.amount)
        if not reducing:
            self._check_count(account, listing, order)
        self._check_sums(account, listing, order, reducible if reducing or trimmed else 0)
        if order.tif == TimeInForce.FOK and not listing.upstream:
            found = self._fillable(listing, position, order)
            if found < order.remaining:
                raise Refused(Reason.FILL_OR_KILL, order.remaining, found)

    def _check_open(self, listing: Listing, order: Order) -> None:
        """C18: nothing is halted, the instrument lives and is priced."""
        catalogue, spec = self.catalogue, listing.spec
        if catalogue.venue == VenueState.HALTED:
            raise Refused(Reason.VENUE_HALTED, catalogue.venue, VenueState.REDUCE_ONLY)
        state = catalogue.instrument_state(order.instrument)
        if state == VenueState.HALTED:
            raise Refused(Reason.INSTRUMENT_HALTED, state, VenueState.REDUCE_ONLY)
        state = catalogue.account_state(order.account)
        if state == VenueState.HALTED:
            raise Refused(Reason.ACCOUNT_HALTED, state, VenueState.REDUCE_ONLY)
        if listing.expired or (spec.expiry and self.clock >= spec.expiry):
            raise Refused(Reason.EXPIRED, spec.expiry, self.clock)
        if listing.risk is None:
            raise Refused(Reason.NOT_PUBLISHED, order.instrument, catalogue.version)

    def _check_size(self, listing: Listing, order: Order) -> None:
        """C01."""
        most = listing.spec.quantity_max
        row = self.catalogue.limit(Limit.ORDER_QUANTITY, order.account, order.instrument)
        if row is not None:
            most = min(most, row.amount)
        if not 1 <= order.remaining <= most:
            raise Refused(Reason.QUANTITY, order.remaining, most)

    def _collar(self, listing: Listing, side: int) -> int:
        """C03: the furthest price of that side, from the mark."""
        assert listing.risk is not None
        row, mark = self.catalogue.limit(Limit.COLLAR, -1, listing.number), listing.risk.mark
        edge = listing.spec.price_max if side > 0 else listing.spec.price_min
        if row is None:
            return edge
        around = mark + side * max(row.quantity, mark * row.amount // bounds.PARTS)
        return min(edge, around) if side > 0 else max(edge, around)

    def _window_edge(self, listing: Listing, position: Position, side: int) -> int:
        """C04: as far as one account may move the price from where it was when its window began."""
        row = self.catalogue.limit(Limit.WINDOW_COLLAR, -1, listing.number)
        if row is None:
            return bounds.PRICE_MAX if side > 0 else 0
        within = position.window_start >= 0 and self.clock - position.window_start <= row.until
        start = position.window_price if within else self._going_price(listing)
        return start + side * (start * row.amount // bounds.PARTS)

    def _going_price(self, listing: Listing) -> int:
        """The last price, or the mark before there was a trade."""
        return listing.prices[Watched.LAST] or listing.prices[Watched.MARK]

    def _set_price(self, listing: Listing, position: Position, order: Order) -> None:
        """C05: an order at market is a limit at the tighter collar. A post-only order is refused or slides."""
        side, spec = order.side, listing.spec
        if order.type in AT_MARKET:
            edges = (self._collar(listing, side), self._window_edge(listing, position, side))
            order.price = min(edges) if side > 0 else max(edges)
        if order.flags & FLAG_POST_ONLY and not listing.upstream:
            best = listing.best(-side)
            if best and side * (order.price - best) >= 0:
                slid = best - side
                if not order.flags & FLAG_SLIDE or not spec.price_min <= slid <= spec.price_max:
                    raise Refused(Reason.POST_ONLY, order.price, best)
                order.price = slid
        self._check_band(listing, order.price)

    def _check_band(self, listing: Listing, price: int) -> None:
        """The instrument's hard band."""
        spec = listing.spec
        if not spec.price_min <= price <= spec.price_max:
            raise Refused(Reason.PRICE_BAND, price, spec.price_min if price < spec.price_min else spec.price_max)

    def _check_collars(self, listing: Listing, position: Position, order: Order) -> None:
        """C03 and C04."""
        edge = self._collar(listing, order.side)
        if order.side * (order.price - edge) > 0:
            raise Refused(Reason.COLLAR, order.price, edge)
        edge = self._window_edge(listing, position, order.side)
        if order.side * (order.price - edge) > 0:
            raise Refused(Reason.WINDOW_COLLAR, order.price, edge)

    def _check_permissions(self, account: Account, order: Order) -> None:
        """C07, C10, C21."""
        forbidden = self._forbidden(order.account, order.instrument)
        if forbidden & FORBID_TRADE:
            raise Refused(Reason.FORBIDDEN, FORBID_TRADE, forbidden)
        if order.strategy and account.strategies[order.strategy] == bounds.NO_LIMIT:
            row = self.catalogue.limit(Limit.REPEATS, order.account)
            raise Refused(Reason.STRATEGY_STOPPED, order.strategy, row.amount if row else 0)
        if order.flags & FLAG_PROTECTED:
            block = self.book.listings[order.instrument].spec.block
            protection = account.protections.get(block)
            if protection is None:
                raise Refused(Reason.NO_PROTECTION, order.account, block)
            if protection.frozen > self.clock:
                until = protection.frozen if protection.frozen < bounds.NO_LIMIT else 0
                raise Refused(Reason.FROZEN, until, self.clock)

    def _forbidden(self, account: int, instrument: int) -> int:
        """C10: bits forbidden to an account in an instrument, or in general."""
        forbidden = 0
        for number in {instrument, -1}:
            row = self.catalogue.limit(Limit.FORBIDDEN, account, number)
            forbidden |= row.amount if row is not None else 0
        return forbidden

    def _only_reducing(self, account: Account, listing: Listing, order: Order, left: int) -> Refused | None:
        """C10, C16, C17, C18, C23: what would refuse an order here now unless it reduces, if anything does."""
        catalogue = self.catalogue
        state = max(
            catalogue.venue, catalogue.instrument_state(order.instrument), catalogue.account_state(order.account)
        )
        if state == VenueState.REDUCE_ONLY or account.restricted:
            return Refused(Reason.REDUCE_ONLY, order.remaining, left)
        forbidden = self._forbidden(order.account, order.instrument)
        if forbidden & FORBID_OPEN:
            return Refused(Reason.FORBIDDEN, FORBID_OPEN, forbidden)
        if account.unknown:
            return Refused(Reason.OUTCOME_UNKNOWN, account.unknown, left)
        return self._bad_prices(listing)

    def _bad_prices(self, listing: Listing) -> Refused | None:
        """C17: what is wrong with an instrument's prices, stale or divergent, if anything is."""
        catalogue, index = self.catalogue, listing.prices[Watched.INDEX]
        row = catalogue.limit(Limit.STALE)
        if row is not None:
            age = self.clock - (min(listing.published_at, listing.index_at) if index else listing.published_at)
            if age > row.amount:
                return Refused(Reason.STALE, age, row.amount)
        row = catalogue.limit(Limit.DIVERGENCE)
        if row is not None and not index and catalogue.rules > 5:
            return Refused(Reason.NO_PRICE, listing.number, Watched.INDEX)
        if row is not None and index:
            apart = abs(listing.prices[Watched.MARK] - index) * bounds.PARTS // index
            if apart > row.amount:
                return Refused(Reason.DIVERGENT, apart, row.amount)
        return None

    def _check_count(self, account: Account, listing: Listing, order: Order) -> None:
        """C11: how many orders that do not reduce are open, and their notional."""
        limit = self.catalogue.limit
        row = limit(Limit.OPEN_ORDERS, order.account)
        count = len(account.orders) + len(account.waiting) + 1
        if row is not None and count > row.amount:
            raise Refused(Reason.OPEN_ORDERS, count, row.amount)
        row = limit(Limit.OPEN_NOTIONAL, order.account)
        if row is not None:
            notional = self._open_notional(account) + order.remaining * self._weight(listing)
            if notional > row.amount:
                raise Refused(Reason.OPEN_NOTIONAL, notional, row.amount)

    def _check_sums(self, account: Account, listing: Listing, order: Order, reducible: int) -> None:
        """C12, C15: what an order adds to; `reducible` if it may do no more than reduce its account's lots by that.

        Such an order may add to the net delta, and to what its desk, firm or owner holds: since rules 7 it is asked for
        those, unless its account has to come down (C14).
        """
        opens = reducible == 0
        if not opens and (self.catalogue.rules < 7 or self.book.equity(account) < self.book.requirement(account)):
            return
        limit, quantity = self.catalogue.limit, order.remaining if opens else min(order.remaining, reducible)
        groups = [group for group in account.groups if group]
        for party in (order.account, *groups) if opens else groups:
            row = limit(Limit.POSITION, party, order.instrument)
            if row is not None:
                held, buys, sells = self._held_by(party, order.instrument)
                reached = order.side * held + (buys if order.side > 0 else sells) + quantity
                if reached > row.amount:
                    raise Refused(Reason.POSITION_LIMIT, reached, row.amount, account=party)
        row = limit(Limit.OPEN_INTEREST, -1, order.instrument)
        if opens and row is not None:
            _, buys, sells = self._held_by(order.account, order.instrument)
            reached = listing.open_interest + (buys if order.side > 0 else sells) + quantity
            if reached > row.amount:
                raise Refused(Reason.OPEN_INTEREST, reached, row.amount)
        assert listing.risk is not None
        change = order.side * quantity * listing.risk.delta
        for party in (order.account, *groups):
            row = limit(Limit.EXPOSURE, party)
            if row is not None and change:
                blocks = self.catalogue.blocks_beside(listing.spec.block)
                reached = abs(change) + sum(self._delta_reach(party, block, up=change > 0) for block in blocks)
                if reached > row.amount:
                    raise Refused(Reason.EXPOSURE, reached, row.amount, account=party)

    def _delta_reach(self, party: int, block: int, *, up: bool) -> int:
        """The most that a party's net delta in a block could come to, upwards or downwards."""
        net, rises, falls = self._delta_of(party, block)
        most = net + rises if up else falls - net
        if self.catalogue.rules < 7:
            return most
        return max(-bounds.BLOCK_DELTA_MAX, min(most, bounds.BLOCK_DELTA_MAX))

    def _weight(self, listing: Listing) -> int:
        assert listing.risk is not None
        return abs(listing.risk.weight)

    def _open_notional(self, account: Account) -> int:
        return sum(
            (position.open_buy + position.open_sell) * self._weight(self.book.listings[number])
            for number, position in account.positions.items()
            if self.book.listings[number].risk is not None
        )

    # -- fill or kill --------------------------------------------------------------------------------------------------

    def _fillable(self, listing: Listing, position: Position, order: Order) -> int:
        """Lots a fill-or-kill could have at once, counted up to what it asks; hidden ones count, reduce-only ones not.

        At most FILL_OR_KILL_LOOKS levels are added up; where the owner has orders on the other side, as many orders
        are looked at instead, up to the first that would end it. What an iceberg hides queues behind that one.
        """
        book = listing.book(-order.side)
        reached = sorted((p for p in book if order.side * (p - order.price) <= 0), reverse=order.side < 0)
        owner = self._owner(order.account)
        found = 0
        _, buys, sells = self._held_by(owner, order.instrument)
        if not (sells if order.side > 0 else buys):
            for price in reached[: bounds.FILL_OR_KILL_LOOKS]:
                found += sum(maker.remaining for maker in book[price] if not maker.reduce_only)
                if found >= order.remaining:
                    break
            return found
        looks = 0
        for price in reached:
            hidden = 0
            for maker in book[price]:
                own, looks = self._owner(maker.account) == owner, looks + 1
                if looks > bounds.FILL_OR_KILL_LOOKS or (own and order.self_match != SelfMatch.CANCEL_OLDEST):
                    return found
                if not own and not maker.reduce_only:
                    found += maker.shown
                    hidden += maker.remaining - maker.shown
            found += hidden
            if found >= order.remaining:
                break
        return found
