"""Funding of perpetuals, as venues publish it. Rates are fractions for 8 hours; amounts are what the holder receives.

Pure formulas; a venue that people run posts Deribit's (`seawall.api.operations.hours`). Positions are signed, positive
long. A positive rate is paid by longs to shorts. An input that is missing or absurd (a mark beyond half or twice the
index) is refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.prices.index import price_range
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

PERIOD_S: Final = 8 * 3600
DERIBIT_DEAD_BAND: Final = 0.00025


@dataclass(frozen=True, slots=True)
class DeribitFunding:
    """Premium of mark over index, the funding rate for 8 hours, and what a position receives in dollars and in coin."""

    premium_rate: float
    rate: float
    received_usd: float
    received_coin: float


def deribit_funding(
    mark: float, index: float, min_cap: float, max_cap: float, position_usd: float, seconds: float
) -> DeribitFunding:
    """Funding of an inverse perpetual held for `seconds` at a constant mark and index.

    Source: Deribit support, Funding Specifications. premium = (mark - index) / index; rate = max(0.025 %, premium) +
    min(-0.025 %, premium), within the caps. The sum is 0 within the dead band, and the premium less (plus) 0.025 %
    above (below) it. It accrues continuously, without a fee. Raises InputError.
    """
    positive("index", index)
    price_range("mark", mark, index)
    number("min_cap", min_cap, at_least=-1.0, at_most=0.0)
    number("max_cap", max_cap, at_least=0.0, at_most=1.0)
    number("position_usd", position_usd)
    number("seconds", seconds, at_least=0.0, at_most=PERIOD_S)
    premium = (mark - index) / index
    rate = deribit_rate(premium, min_cap, max_cap)
    received = -rate * position_usd * seconds / PERIOD_S
    return DeribitFunding(premium, rate, received, received / index)


def deribit_rate(premium: float, min_cap: float, max_cap: float) -> float:
    """The funding rate for 8 hours at a premium of the mark over the index; see `deribit_funding`."""
    return _clip(max(DERIBIT_DEAD_BAND, premium) + min(-DERIBIT_DEAD_BAND, premium), min_cap, max_cap)


def impact_premium(index: float, impact_bid: float, impact_ask: float) -> float:
    """Premium index of one sample: how far the prices of an impact-sized order stand outside the index.

    Source: Binance, Gate and others: (max(0, impact bid - index) - max(0, index - impact ask)) / index. Raises
    InputError for a price out of range or a bid above the ask.
    """
    positive("index", index)
    price_range("impact_bid", impact_bid, index)
    price_range("impact_ask", impact_ask, index)
    if impact_bid > impact_ask:
        raise InputError("impact_bid", impact_bid, f"must not be above impact_ask, {impact_ask}")
    return (max(0.0, impact_bid - index) - max(0.0, index - impact_ask)) / index


@dataclass(frozen=True, slots=True)
class BinanceFunding:
    """The average premium index and the funding rate for the settlement interval."""

    average_premium: float
    rate: float


def binance_funding(
    premium_samples: Sequence[float], interest_rate: float, clamp: float, interval_hours: float = 8.0
) -> BinanceFunding:
    """Funding rate from the samples of the premium index over one settlement interval, oldest first.

    Source: Binance support, Introduction to Binance Futures Funding Rates: the k-th sample weighs k; rate = [P +
    clamp(interest - P, +-clamp)] / (8 / N). The division, for contracts that settle every N hours, is applied since
    2025-09-18; `interest_rate` and `clamp` are for 8 hours. Raises InputError for no sample or a number out of range.
    """
    if not premium_samples:
        raise InputError("premium_samples", 0, "must be at least one")
    number("interest_rate", interest_rate, at_least=-1.0, at_most=1.0)
    number("clamp", clamp, at_least=0.0, at_most=1.0)
    positive("interval_hours", interval_hours, at_most=8.0)
    for at, premium in enumerate(premium_samples):
        number(f"premium_samples[{at}]", premium, at_least=-1.0, at_most=1.0)
    count = len(premium_samples)
    weighted = math.fsum(weight * premium for weight, premium in enumerate(premium_samples, 1))
    average = weighted / (count * (count + 1) // 2)
    rate = average + _clip(interest_rate - average, -clamp, clamp)
    return BinanceFunding(average, rate / (8.0 / interval_hours))


def funding_received(position: float, mark: float, rate: float) -> float:
    """What a linear position of `position` coins receives when `rate` is settled at `mark`: -position x mark x rate."""
    return -number("position", position) * positive("mark", mark) * number("rate", rate, at_least=-1.0, at_most=1.0)


@dataclass(frozen=True, slots=True)
class ParadexFunding:
    """The clipped rate, the premium in units of USDC a coin pays for a period, and what accrues in a window."""

    rate: float
    premium: float
    index_change: float


def paradex_funding(
    premium_rate: float,
    spot: float,
    usdc: float,
    seconds: float,
    *,
    baseline: float = 0.0001,
    clamp: float = 0.0005,
    multiplier: float = 1.0,
    rate_max: float = 0.02,
    period_s: float = PERIOD_S,
) -> ParadexFunding:
    """Continuous funding over `seconds` at a constant premium; a position receives -size x index_change x usdc dollars.

    Source: Paradex documentation, Funding Mechanism: delta = clip(baseline - premium, +-clamp); rate = clip(multiplier
    (premium + delta), +-rate_max); premium = rate x spot / usdc; the funding index grows by premium x seconds / period.
    `rate_max` is 2 % on major coins, 5 % on others. The venue accrues nothing over a gap of its own of more than 30
    seconds, which is for the caller to know. Raises InputError.
    """
    number("premium_rate", premium_rate, at_least=-1.0, at_most=1.0)
    positive("spot", spot)
    number("usdc", usdc, at_least=0.5, at_most=2.0)
    positive("period_s", period_s)
    number("seconds", seconds, at_least=0.0, at_most=period_s)
    number("baseline", baseline, at_least=-1.0, at_most=1.0)
    number("clamp", clamp, at_least=0.0, at_most=1.0)
    number("multiplier", multiplier, at_least=0.0, at_most=100.0)
    number("rate_max", rate_max, at_least=0.0, at_most=1.0)
    drift = _clip(baseline - premium_rate, -clamp, clamp)
    rate = _clip(multiplier * (premium_rate + drift), -rate_max, rate_max)
    premium = rate * spot / usdc
    return ParadexFunding(rate, premium, premium * seconds / period_s)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
