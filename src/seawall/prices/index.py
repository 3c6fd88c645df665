"""The index price of a coin: a median of what venues quote, each kept near it, averaged by weight.

Rule (Deribit support, Index Prices; Thalex uses the same with equal weights): a constituent that is administratively
excluded, invalid or older than 3 minutes is dropped; the median of the rest is taken; each is capped to the median
+-0.5 %; the index is the weighted mean of the capped values.

Pure formulas. The feed that calls them comes later; it is told which constituents were dropped and why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from statistics import median
from typing import Final

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import MAGNITUDE_MAX, exact, number, positive

MINUTE_NS: Final = 60 * 10**9


class Dropped(StrEnum):
    """Why a constituent is not in the index."""

    EXCLUDED = "excluded by an administrator"
    INVALID = "price is not a positive finite number"
    STALE = "older than allowed"
    AHEAD = "stamped after now"


@dataclass(frozen=True, slots=True)
class Constituent:
    """One venue's quote of the coin: `price` in dollars, seen at `time_ns` (nanoseconds since the epoch)."""

    source: str
    price: float
    time_ns: int
    weight: float = 1.0
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class IndexRule:
    """Parameters. `cap`: the most a constituent counts away from the median, as a fraction of it.

    With two constituents the median is their mean, and one absurd quote moves it as far as it likes; from three on it
    cannot. `sources_min` is therefore the operator's to raise.
    """

    cap: float = 0.005
    age_max_ns: int = 3 * MINUTE_NS
    sources_min: int = 1

    def check(self) -> None:
        """Raise InputError for the first parameter out of range."""
        number("cap", self.cap, at_least=0.0, at_most=0.5)
        number("age_max_ns", self.age_max_ns, above=0)
        number("sources_min", self.sources_min, at_least=1)


@dataclass(frozen=True, slots=True)
class Index:
    """The index `price`, the `median`, each used source's capped price, and the dropped ones with the reason."""

    price: float
    median: float
    capped: Mapping[str, float]
    dropped: Mapping[str, Dropped]


def index_price(constituents: Sequence[Constituent], now_ns: int, rule: IndexRule | None = None) -> Index:
    """The index at `now_ns`.

    Raises InputError for a bad rule or weight, a source named twice, or fewer than `sources_min` fresh constituents.
    """
    rule = rule if rule is not None else IndexRule()
    rule.check()
    names = [item.source for item in constituents]
    if len(set(names)) != len(names):
        raise InputError("constituents", names, "must name each source once")
    weights = {item.source: number(f"weight[{item.source}]", item.weight, above=0.0) for item in constituents}
    why = {item.source: _why_dropped(item, now_ns, rule) for item in constituents}
    dropped = {source: reason for source, reason in why.items() if reason is not None}
    used = {item.source: float(item.price) for item in constituents if item.source not in dropped}
    if len(used) < rule.sources_min:
        raise InputError("constituents", len(used), f"must leave {rule.sources_min} fresh and valid; dropped {dropped}")
    middle = median(used.values())
    low, high = middle * (1 - rule.cap), middle * (1 + rule.cap)
    capped = {source: min(max(price, low), high) for source, price in used.items()}
    total = math.fsum(weights[source] for source in used)
    mean = math.fsum(weights[source] * price for source, price in capped.items()) / total
    # The mean of equal prices must be that price; a division may leave it one rounding outside.
    return Index(min(max(mean, min(capped.values())), max(capped.values())), middle, capped, dropped)


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The lower weighted median: the least value with at least half of the weight at or below it.

    Weights are compared as the decimals they are written as, so a tie is a tie. Raises InputError for no value, unequal
    lengths, or a number out of range.
    """
    if not values or len(values) != len(weights):
        raise InputError("values", len(values), f"must be at least one, as many as weights ({len(weights)})")
    rows = [
        (number(f"values[{at}]", value), exact(f"weights[{at}]", weight, above=0.0))
        for at, (value, weight) in enumerate(zip(values, weights, strict=True))
    ]
    rows.sort()
    half, seen, at = sum((weight for _, weight in rows), Fraction()) / 2, rows[0][1], 0
    while seen < half:
        at += 1
        seen += rows[at][1]
    return rows[at][0]


def price_range(field: str, value: float, index: float, factor: float = 2.0) -> float:
    """`value` as a price within a factor of the index: what is further off is an error of its source, not a market."""
    return number(field, positive(field, value), at_least=index / factor, at_most=index * factor)


def _why_dropped(item: Constituent, now_ns: int, rule: IndexRule) -> Dropped | None:
    if item.excluded:
        return Dropped.EXCLUDED
    if not 0 < item.price <= MAGNITUDE_MAX:  # false for NaN
        return Dropped.INVALID
    if item.time_ns > now_ns:
        return Dropped.AHEAD
    return Dropped.STALE if now_ns - item.time_ns > rule.age_max_ns else None
