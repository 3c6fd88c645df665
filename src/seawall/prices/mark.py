"""The mark price of a perpetual, as venues publish it. Pure formulas; the feed that calls them comes later."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from seawall.prices.index import price_range
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive


@dataclass(frozen=True, slots=True)
class PerpetualMark:
    """`mark` is the median of `price1` (from funding), `price2` (from the mean basis) and the contract's own price."""

    price1: float
    price2: float
    mark: float


def binance_mark(
    index: float,
    last_funding_rate: float,
    hours_to_funding: float,
    basis_samples: Sequence[float],
    contract_price: float,
    *,
    samples: int = 30,
    rate_hours: float = 8.0,
) -> PerpetualMark:
    """Mark price of Binance's perpetuals, in the units of `index`.

    Source: Binance support, "What Are Mark Price and Price Index". price1 = index (1 + last funding rate x hours to
    funding / `rate_hours`); price2 = index + mean of one-second samples of (best bid + best ask) / 2 - index; the
    mark is the median of both and the last contract price. The window is `samples` = 30 seconds since 2025-09-18, 150
    before.

    One absurd input of the three is outvoted, two are not: a basis or contract price beyond half or twice the index is
    refused, and so is a window that is not whole, since a mean over fewer seconds is another number. Raises InputError.
    """
    positive("index", index)
    rate = number("last_funding_rate", last_funding_rate, at_least=-1.0, at_most=1.0)
    positive("rate_hours", rate_hours, at_most=24.0)
    hours = number("hours_to_funding", hours_to_funding, at_least=0.0, at_most=rate_hours)
    if len(basis_samples) != samples:
        raise InputError("basis_samples", len(basis_samples), f"must be {samples}, one a second; none may be missing")
    for at, basis in enumerate(basis_samples):
        price_range(f"index + basis_samples[{at}]", index + number(f"basis_samples[{at}]", basis), index)
    price_range("contract_price", contract_price, index)
    price1 = index * (1 + rate * hours / rate_hours)
    price2 = index + math.fsum(basis_samples) / samples
    return PerpetualMark(price1, price2, median((price1, price2, contract_price)))
