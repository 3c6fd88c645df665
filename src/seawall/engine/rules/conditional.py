"""Stops and timers: what happens to orders without a command of their owner's.

A stop reserves nothing until it fires; then it passes the same checks and the same gate as an order sent that moment.
Timers are looked at before each command, in the order of their times.
"""

import heapq

from seawall.engine.catalogue import Refused
from seawall.engine.rules.controls import AT_MARKET
from seawall.engine.rules.margin import Listing, Order
from seawall.engine.rules.matching import Matching
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind, OrderType, Status, TimeInForce, Watched

_DEAD_MAN = bounds.NO_LIMIT
"""Timers at the same time: orders by id, then dead-man timers by account."""


class Conditional(Matching):
    """Waiting orders, their firing, and timers."""

    def __init__(self) -> None:
        super().__init__()
        self._timers: list[tuple[int, int]] = []  # heap of (time, order id or _DEAD_MAN + account); stale ones too

    def _wait(self, order: Order) -> None:
        """Let a stop wait for its price."""
        listing = self.book.listings[order.instrument]
        order.status = Status.WAITING
        self.orders[order.id] = order
        self.accounts[order.account].waiting[order.id] = order
        listing.waiting[order.watch, order.rising].setdefault(order.trigger, []).append(order)
        price = listing.prices[order.watch]
        if price:
            self._reach(listing, Watched(order.watch), price)

    def _fire_all(self) -> None:
        """Fire the stops that were reached, one after another; each may reach more."""
        while self._queue:
            self._fire(self._queue.pop(0))

    def _fire(self, order: Order) -> None:
        listing, account = self.book.listings[order.instrument], self.accounts[order.account]
        if self._halted(order.instrument):  # halted by one before it: it waits on
            listing.waiting[order.watch, order.rising].setdefault(order.trigger, []).append(order)
            return
        del account.waiting[order.id], self.orders[order.id]
        order.status = Status.RESTING
        if order.type in AT_MARKET and order.tif != TimeInForce.FOK:
            order.tif = TimeInForce.IOC  # what is at market never rests
        self._tell(EventKind.TRIGGERED, order, price=listing.prices[order.watch], a=order.trigger)
        try:
            self._admit(account, listing, order)
            requirement, equity = self._gate(account, order)
        except Refused as refused:
            self._tell(EventKind.CANCELLED, order, refused.reason, a=refused.a, b=refused.b)
            return
        self._tell(EventKind.ACCEPTED, order, a=requirement, b=equity)
        self._release(order)

    def _trail(self, listing: Listing) -> None:
        """At a publication: the triggers of trailing stops follow the prices they watch, never back."""
        for watch in Watched:
            price = listing.prices[watch]
            for rising in (True, False):
                levels = listing.waiting[watch, rising]
                trailing = sorted(
                    (o for level in levels.values() for o in level if o.type == OrderType.TRAILING), key=lambda o: o.id
                )
                for order in trailing:
                    trigger = self._trailing_trigger(listing, order, price)
                    if order.side * (trigger - order.trigger) < 0:
                        self._unwait(listing, order)
                        order.trigger = trigger
                        levels.setdefault(trigger, []).append(order)

    def _trailing_trigger(self, listing: Listing, order: Order, price: int) -> int:
        """Where a trailing stop's trigger is at a price of what it watches."""
        return min(listing.spec.price_max, max(1, price + order.side * order.distance))

    def _set_timer(self, time: int, key: int) -> None:
        heapq.heappush(self._timers, (time, key))

    def _run_timers(self) -> None:
        """Cancel what is due."""
        while self._timers and self._timers[0][0] <= self.clock:
            time, key = heapq.heappop(self._timers)
            if key < _DEAD_MAN:
                order = self.orders.get(key)
                if order is not None and order.until == time:
                    self._close(order, Reason.GOOD_TILL_DATE, time, self.clock)
                continue
            account = self.accounts[key - _DEAD_MAN]
            if account.dead_man == time:
                account.dead_man = 0
                self._clear_account(key - _DEAD_MAN, Reason.DEAD_MAN)

    def _clear_account(self, number: int, reason: Reason, instrument: int = -1, label: int = 0) -> None:
        """Cancel an account's orders, newest first, then what waits; of one instrument, with one label, or all."""
        account = self.accounts[number]
        for order in [*reversed(account.orders.values()), *reversed(account.waiting.values())]:
            if instrument in (-1, order.instrument) and label in (0, order.label):
                self._close(order, reason)
