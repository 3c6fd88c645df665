"""Rates of the trading door: credits that refill continuously, by account, or by address for who is anonymous.

Order entry has a bucket of its own. Cancels cost nothing here: the engine has a budget of its own for them (C06).
"""

import time
from collections import Counter
from typing import Any, Final

from seawall.api.errors import RpcError
from seawall.node.configuration import Rate
from seawall.node.configuration import Rates as Limits

_FORGET_AT: Final = 10_000
"""Buckets; full ones are forgotten beyond this."""

OFF: Final = Limits(Rate(), Rate(), 0)


class Rates:
    """Token buckets, one for each account or address and kind of use."""

    def __init__(self, settings: Limits = OFF) -> None:
        self.settings = settings
        self.refused = 0
        self._buckets: dict[tuple[Any, bool], tuple[float, float]] = {}

    def take(self, session: Any, account: int, *, trading: bool) -> None:
        """Use one credit. Raises RpcError 10028 with the seconds to wait."""
        setting = self.settings.trading if trading else self.settings.other
        if not setting.rate:
            return
        key = (account if account >= 0 else session.address.rpartition(":")[0], trading)
        now = time.monotonic()
        left, at = self._buckets.get(key, (setting.burst, now))
        left = min(setting.burst, left + (now - at) * setting.rate)
        if left < 1:
            self.refused += 1
            wait = (1 - left) / setting.rate
            raise RpcError(10028, wait=round(wait, 3), rate=setting.rate, burst=setting.burst)
        self._buckets[key] = (left - 1, now)
        if len(self._buckets) > _FORGET_AT:
            self._buckets = {
                known: row for known, row in self._buckets.items() if now - row[1] < setting.burst / setting.rate
            }


PENDING_MAX: Final = 256
"""Requests one connection may have in the writer's hands."""

REFUSALS_S: Final = 100.0
REFUSALS_BURST: Final = 2_000.0
"""Refused orders that an account may have journalled a second, and at once; beyond, its orders are shed and counted."""


class Edge:
    """What keeps a flood from the writer and the disk: it is answered at the edge, and journalled as counts."""

    def __init__(self) -> None:
        self.shed: Counter[tuple[int, int]] = Counter()
        """Orders not taken, by account and error code, since they were last journalled."""
        self._left: dict[int, tuple[float, float]] = {}

    def admit(self, session: Any, account: int) -> None:
        """Raise RpcError 10066 or 10028 for an order that is not to be taken now."""
        if session.pending >= PENDING_MAX:
            self.shed[account, 10066] += 1
            raise RpcError(10066, pending=session.pending, most=PENDING_MAX)
        row = self._left.get(account)
        if row is not None and row[0] < 1:
            left = self._refill(account)
            if left < 1:
                self.shed[account, 10028] += 1
                wait = round((1 - left) / REFUSALS_S, 3)
                raise RpcError(10028, wait=wait, reason=f"more than {REFUSALS_S:.0f} refused orders a second")

    def refused(self, account: int) -> None:
        """An order of the account was journalled and refused."""
        self._left[account] = (self._refill(account) - 1, time.monotonic())

    def _refill(self, account: int) -> float:
        now = time.monotonic()
        left, at = self._left.get(account, (REFUSALS_BURST, now))
        left = min(REFUSALS_BURST, left + (now - at) * REFUSALS_S)
        self._left[account] = (left, now)
        return left
