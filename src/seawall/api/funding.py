"""A part of the view: funding that perpetuals accrue between two postings, and when instruments were settled last.

A perpetual's rate for 8 hours is Deribit's (`seawall.prices.funding`) at the premium over the index as it was reported
with a publication. It holds until the next publication, at most as long as prices may age: over a longer gap nothing
accrues. Only a venue that people run has such reports; `operations.hours` posts what is due.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from seawall.api.listing import Listing
from seawall.api.statistics import HOUR_MS
from seawall.prices.funding import deribit_rate
from seawall.vocabulary.hours import venue_day
from seawall.vocabulary.instruments import Product

if TYPE_CHECKING:
    from seawall.api.view import View

KEPT: Final = 24
MADE_UP: Final = 2
"""Hours. What stops a posting stops publications, so no more accrue; what is older was before there was funding."""


class Accrued:
    """The publications since the last posting, and what was posted last."""

    def __init__(self) -> None:
        self.premiums: dict[str, deque[tuple[int, float]]] = {}
        """Of each perpetual by name: when it was published (milliseconds), and its premium, a fraction of the index."""
        self.funded: dict[str, int] = {}
        """The whole hour since the epoch up to which it was posted; at first that of the first publication."""
        self.settled: dict[int, int] = {}
        """The venue's day of the last settlement by instrument number; at first that of its listing."""

    def listed(self, listing: Listing, now_ns: int) -> None:
        """A new listing."""
        self.settled.setdefault(listing.number, venue_day(now_ns))
        if listing.spec.product == Product.PERPETUAL:
            self.premiums.setdefault(listing.name, deque())

    def published(self, report: dict[str, Any], view: "View") -> None:
        """What a report says, noted with a publication that was taken."""
        hour, prices, indexes = view.now_ms // HOUR_MS, report.get("instruments", {}), report.get("indexes", {})
        for name in self.premiums.keys() & prices.keys():
            price, index = prices[name], indexes.get(view.by_name[name].base)
            premium, forward = price.get("basis"), price.get("forward")
            if premium is None:
                premium = forward / index - 1 if forward and index else 0.0
            rows = self.premiums[name]
            rows.append((view.now_ms, premium))
            while rows[0][0] // HOUR_MS < hour - KEPT:
                rows.popleft()
            self.funded.setdefault(name, hour)

    def posted(self, note: dict[str, Any]) -> None:
        """A note "funding"."""
        name, until = note.get("name"), note.get("hour_ms")
        if not (isinstance(name, str) and name in self.premiums and isinstance(until, int)):
            return  # a simulated market's, which posts by itself, or of another build
        hour = self.funded[name] = until // HOUR_MS
        rows = self.premiums[name]
        while len(rows) > 1 and rows[1][0] <= hour * HOUR_MS:  # the one before goes on into the hour
            rows.popleft()

    def rates(self, name: str, now_ms: int, late_ms: int, cap: float) -> Iterator[tuple[int, float]]:
        """Of each hour that is over, was not posted and had a publication: the hour, and the average rate for 8."""
        if now_ms // HOUR_MS <= self.funded.get(name, now_ms):
            return
        sums: dict[int, float] = {}
        for (at, premium), (end, _) in pairwise([*self.premiums[name], (now_ms, 0.0)]):
            rate = deribit_rate(premium, -cap, cap)
            end = min(end, at + late_ms)
            while at < end:
                hour = at // HOUR_MS + 1
                until = min(end, hour * HOUR_MS)
                sums[hour] = sums.get(hour, 0.0) + rate * (until - at) / HOUR_MS
                at = until
        over = [hour for hour in sorted(sums) if self.funded[name] < hour <= now_ms // HOUR_MS]
        yield from ((hour, sums[hour]) for hour in over[-MADE_UP:])
