"""Orders sent again after a cut: the same client id is answered with the first result, and nothing is placed twice.

A `client_order_id` names an order: sent again, now or after a restart, it is answered with that order, also while the
first is still in the writer's hands; `client_ids` says for how many.

A `label` may mark many orders, so it names one only where the answer may have been lost: the order was placed by a
process that ended uncleanly, or through a connection that broke before its answer was sent or within RECENT_S after it.
For KEPT_S from then on, the same label with the same order in every particular is answered with that order, once.
"""

import time
from collections import deque
from typing import Any, Final

from seawall.api.view import Order, View

RECENT_S: Final = 5.0
KEPT_S: Final = 600.0
_RECENT_MAX: Final = 4096
_ON_THEIR_WAY_MAX: Final = 20_000
"""More than the writer's queue takes, so what goes beyond was answered."""

Particulars = tuple[int | str, ...]
"""Account, label, instrument, side, type, and amount, price, trigger, flags, display as first sent."""


def particulars(order: Order) -> Particulars:
    """What makes two labelled orders the same."""
    return (order.account, order.label, order.instrument, order.side, order.type, *order.asked)


class Resending:
    """Which labelled orders may have gone unanswered, and which client ids are on their way."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._lost: dict[Particulars, tuple[int, float]] = {}
        self.on_their_way: dict[tuple[int, str], Any] = {}
        """The call that asked for the order of (account, client id) and is not answered yet."""

    def sent(self, account: int, client: str, call: Any) -> None:
        """An order under a client id is in the writer's hands. Those that were withdrawn are forgotten now and then."""
        self.on_their_way[account, client] = call
        if len(self.on_their_way) > _ON_THEIR_WAY_MAX:
            self.on_their_way = {key: known for key, known in self.on_their_way.items() if not known.answered}

    def restarted(self) -> None:
        """After an unclean stop: whoever placed a labelled order shortly before it may not have been told."""
        since = self._view.now_ns // 1_000_000 - int(KEPT_S * 1000)
        for order in self._view.orders.values():
            if order.label and order.created_ms >= since:
                self._lose(order)

    def placed(self, session: Any, number: int) -> None:
        """An order's answer is on its way to a connection."""
        recent: deque[tuple[float, int]] = session.recent
        recent.append((time.monotonic(), number))
        if len(recent) > _RECENT_MAX:
            recent.popleft()

    def cut(self, session: Any) -> None:
        """A connection broke: what was answered just before may not have arrived."""
        since = time.monotonic() - RECENT_S
        for at, number in session.recent:
            order = self._view.orders.get(number)
            if at >= since and order is not None and order.label:
                self._lose(order)
        session.recent.clear()

    def find(self, wanted: Particulars) -> int | None:
        """The order that these particulars were answered with, or not, the first time; it is found once."""
        if not self._lost:
            return None
        number, until = self._lost.pop(wanted, (0, 0.0))
        return number if number in self._view.orders and time.monotonic() < until else None

    def _lose(self, order: Order) -> None:
        now = time.monotonic()
        if len(self._lost) > 100_000:
            self._lost = {key: row for key, row in self._lost.items() if row[1] > now}
        self._lost[particulars(order)] = (order.id, now + KEPT_S)
