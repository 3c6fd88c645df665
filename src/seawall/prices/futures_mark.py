"""The mark price of Deribit's futures and perpetuals: the index plus a mean of the market's distance from it.

Rule (Deribit, legacy contract specifications): mark = index + 30 s exponential mean of (market price - index), the
market price being the last trade clipped into [best bid, best ask]. The page does not say how the mean weighs: here an
observation that comes `seconds` after the one before weighs 1 - exp(-seconds / 30), and the first is the mean. That is
a choice, as is the absence of the venue's band around the index, which differs by contract.

Pure formulas; the feed that calls them comes later.
"""

import math

from seawall.prices.index import price_range
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive


def market_price(index: float, best_bid: float, best_ask: float, last: float) -> float:
    """The last trade within the best prices. Raises InputError for a crossed book or a price absurdly off the index."""
    positive("index", index)
    for field, value in (("best_bid", best_bid), ("best_ask", best_ask), ("last", last)):
        price_range(field, value, index)
    if best_bid > best_ask:
        raise InputError("best_bid", best_bid, f"must be at most the best ask, {best_ask}")
    return min(max(last, best_bid), best_ask)


def mean_distance(before: float | None, index: float, market: float, seconds: float, window: float = 30.0) -> float:
    """The mean of market less index after one more observation; mark = index + it. `before` is None at the first.

    Raises InputError for a number that is not finite, a `window` that is not positive or `seconds` below 0.
    """
    distance = positive("market", market) - positive("index", index)
    positive("window", window)
    weight = -math.expm1(-number("seconds", seconds, at_least=0.0) / window)
    return distance if before is None else number("before", before) + weight * (distance - before)
