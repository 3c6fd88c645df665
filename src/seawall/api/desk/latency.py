"""How long orders were held on their way to the venue: counted here, and told to the journal for the report.

Counted is from an order's arrival until it was handed to the venue's connection; in enforce the gate's durable commit
is in it. What the venue says goes on to the bot as it comes. Buckets grow by a fifth: a quantile is at most so much too
high.
"""

import math
import time
from collections.abc import Callable
from typing import Final

import msgspec

NOTED_S: Final = 60.0
"""How often the journal is told."""

_GROWTH: Final = math.log(1.2)


class Held(msgspec.Struct, tag_field="note", tag="held", frozen=True):
    """The note: (microseconds, orders held at most so long) since the note before."""

    us: list[tuple[int, int]]


class Latencies:
    """`add` for each order; `tell` is called with the note once in a while."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._counts: dict[int, int] = {}
        self._told = time.monotonic()

    def add(self, began: float) -> None:
        """An order that came at `began` (perf_counter) leaves now."""
        held = math.ceil(math.log(max(1.0, 1e6 * (time.perf_counter() - began))) / _GROWTH)
        self._counts[held] = self._counts.get(held, 0) + 1

    def look(self, *, now: bool = False) -> None:
        """Tell what was counted, if it is time."""
        if not self._counts or (not now and time.monotonic() < self._told + NOTED_S):
            return
        rows = [(math.ceil(math.exp(_GROWTH * bucket)), count) for bucket, count in sorted(self._counts.items())]
        self._counts, self._told = {}, time.monotonic()
        self._tell(msgspec.json.encode(Held(rows)))
