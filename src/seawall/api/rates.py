"""Rates of the trading door: credits that refill continuously, by account, or by address for who is anonymous.

Order entry has a bucket of its own. Cancels cost nothing here: the engine has a budget of its own for them (C06).
"""

import time
from collections import Counter
from typing import Any, Final

from seawall.api.access import counted
from seawall.api.errors import RpcError
from seawall.node.configuration import Rate
from seawall.node.configuration import Rates as Limits
from seawall.vocabulary.records import COMMAND, Kind

_ORDER: Final = int(Kind.ORDER)
_FIELDS: Final = COMMAND.fields
assert _FIELDS is not None
_KIND, _INSTRUMENT = _FIELDS["kind"][1], _FIELDS["instrument"][1]

_FORGET_AT: Final = 10_000
"""Buckets; full ones are forgotten beyond this."""

ROWS: Final = 200
"""Open orders in an answer that cost a credit more: 20,000 of them take the loop for a third of a second."""

OFF: Final = Limits(Rate(), Rate(), 0)


class Bucket:
    """Credits, full at first, that refill at `rate` a second up to `burst`; `left` as of `at`, below 0 what is owed."""

    __slots__ = ("at", "burst", "left", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.left = rate, burst, burst
        self.at = time.monotonic()

    def refill(self) -> None:
        """Count what came in by now."""
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now

    def wait(self) -> float:
        """Seconds until it holds a credit; 0 where it does."""
        self.refill()
        return max(0.0, (1 - self.left) / self.rate)


class Rates:
    """A bucket for each account or address and kind of use."""

    def __init__(self, settings: Limits = OFF) -> None:
        self.settings = settings
        self.refused = 0
        self._buckets: dict[tuple[int | str, bool], Bucket] = {}

    def owe(self, session: Any, account: int, rows: int) -> None:
        """Use a credit more for each ROWS of an answer that is as long as there are orders; it may be owed."""
        bucket = self._buckets.get(self._key(session, account, trading=False))
        if bucket is not None:
            bucket.left -= rows // ROWS

    @staticmethod
    def _key(session: Any, account: int, *, trading: bool) -> tuple[int | str, bool]:
        return (account if account >= 0 else counted(session.address), trading)

    def take(self, session: Any, account: int, *, trading: bool) -> None:
        """Use one credit. Raises RpcError 10028 with the seconds to wait."""
        setting = self.settings.trading if trading else self.settings.other
        if not setting.rate:
            return
        key = self._key(session, account, trading=trading)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(setting.rate, setting.burst)
        wait = bucket.wait()
        if wait:
            self.refused += 1
            raise RpcError(10028, wait=round(wait, 3), rate=setting.rate, burst=setting.burst)
        bucket.left -= 1
        if len(self._buckets) > _FORGET_AT:
            self._buckets = {
                known: row for known, row in self._buckets.items() if bucket.at - row.at < row.burst / row.rate
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
        """Orders not taken, by account and error code, since they were last journalled; under 0 the mass cancels that
        were answered without being journalled."""
        self.entering: dict[int, Counter[int]] = {}
        """By account and instrument, orders in the writer's hands."""
        self.simulated_ms: dict[int, int] = {}
        """When an account last asked what a portfolio would need, by a clock that no one sets."""
        self._sweeps: dict[int, dict[tuple[int, ...], Any]] = {}
        """By account and what it takes, mass cancels on their way since the account's last order."""
        self._refusals: dict[int, Bucket] = {}

    def admit(self, session: Any, account: int) -> None:
        """Raise RpcError 10066 or 10028 for an order that is not to be taken now."""
        if session.pending >= PENDING_MAX:
            self.count(session, account, 10066)
            raise RpcError(10066, pending=session.pending, most=PENDING_MAX)
        bucket = self._refusals.get(account)
        wait = bucket.wait() if bucket is not None else 0.0
        if wait:
            self.count(session, account, 10028)
            raise RpcError(10028, wait=round(wait, 3), reason=f"more than {REFUSALS_S:.0f} refused orders a second")

    def count(self, session: Any, account: int, code: int) -> None:
        """An order was shed; what else its connection sends is to wait at the sender's."""
        self.shed[account, code] += 1
        session.read_less()

    def refused(self, account: int) -> None:
        """An order of the account was journalled and refused."""
        bucket = self._refusals.get(account)
        if bucket is None:
            bucket = self._refusals[account] = Bucket(REFUSALS_S, REFUSALS_BURST)
        bucket.refill()
        bucket.left -= 1

    def enter(self, account: int, records: bytes) -> list[int]:
        """Note the orders among records that the writer was given; their instruments, to be told when they are in."""
        size = COMMAND.itemsize
        found = [
            int.from_bytes(records[at + _INSTRUMENT : at + _INSTRUMENT + 4], "little", signed=True)
            for at in range(0, len(records), size)
            if records[at + _KIND] == _ORDER
        ]
        if found:
            self._sweeps.pop(account, None)
            self.entering.setdefault(account, Counter()).update(found)
        return found

    def entered(self, account: int, instruments: list[int]) -> None:
        """Those orders are in, or refused."""
        if not instruments:
            return
        left = self.entering[account]
        left.subtract(instruments)
        for number in instruments:
            if not left[number]:
                del left[number]
        if not left:
            del self.entering[account]

    def sweep(self, call: Any, what: tuple[int, ...]) -> bool:
        """Whether a mass cancel is to be journalled: not where one on its way does the same, whose answer it gets."""
        known = self._sweeps.get(call.account, {})
        first = known.get(what)
        if first is not None and not first.answered:
            first.followers.append(call)
            return False
        known = {key: sweep for key, sweep in known.items() if not sweep.answered}
        self._sweeps[call.account] = {**known, what: call}
        return True
