"""Margin parameters from history: the range that covers 99 % over the margin period, its floor, proof on later days.

Range: the 99 % quantile of absolute moves over the margin period in the calibration period, raised to the floor
0.75 * Q(all) + 0.25 * Q(stressed) (`policy.historical_floor`), stressed being the worst 250 moves in a row, found and
not chosen; then up to the next multiple of `STEP`. The test counts, in a later period that shares no day with the
first, the moves beyond the range (either way) and asks whether they are at most 1 % and not clustered
(`policy.coverage`).

Procyclicality: what a range that follows volatility (exponential weights, `DECAY` a day, times the calibrated 99 %
multiple) would have done in the test period, bare, with the range as its floor, and with rises capped; against the
fixed range, which does not move at all. The cap's cost is the days it left below what was asked.

Published haircuts are worst prices that were seen: `DEPEGS`, and for coins their own range.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from seawall.risk import policy
from seawall.risk.study.history import Float64Array, History, close_out_times, day_of, depth_share
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import exact, number, positive

COVERAGE: Final = 0.99
STRESSED_WEIGHT: Final = 0.25
STRESSED_ROWS: Final = 250
STEP: Final = 0.02
DECAY: Final = 0.94
RISE_CAP: Final = 0.25
RISE_DAYS: Final = 5
PARTICIPATION: Final = 0.1


@dataclass(frozen=True)
class Depeg:
    """A stablecoin off its peg: worst traded price of the day, and what it says about whoever holds it."""

    coin: str
    day: str
    low: float
    note: str


DEPEGS: Final = (
    Depeg("USDC", "2023-03-11", 0.87, "reserves at a failed bank; back at the peg two days later"),
    Depeg("USDT", "2022-05-12", 0.95, "run after UST; redeemed at par throughout"),
    Depeg("UST", "2022-05-13", 0.0, "algorithmic issuer failed within a week: no haircut below 100 % covers it"),
)
"""Facts as widely reported (Circle, "An update on USDC and Silicon Valley Bank", March 2023; Tether, May 2022)."""


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last` and the moves in them."""

    first: str
    last: str
    moves: int


@dataclass(frozen=True)
class Procyclical:
    """A range that follows volatility over the test period: how far and fast it moved, and whether it covered."""

    name: str
    measure: policy.Procyclicality
    test: policy.CoverageTest
    days_capped: int = 0
    largest_gap: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """The range of one underlying and the evidence for it."""

    underlying: str
    sha256: str
    margin_period_days: float
    calibrated: Period
    quantile: float
    stressed_quantile: float
    stressed: Period
    floor: float
    price_range: float
    tested: Period
    test: policy.CoverageTest
    worst_tested: float
    procyclicality: Sequence[Procyclical]

    @property
    def published_haircut(self) -> float:
        """Of the coin as collateral, range included; a model's parameter `haircut` comes on top of its range."""
        return self.price_range


@dataclass(frozen=True)
class CloseOut:
    """Measured close-out times of one product, and the part of a day's volume that the margin period closes."""

    product: str
    sha256: str
    share: float
    participation: float
    starts: int
    days: policy.CloseOutQuantile
    depth_share: float
    period: Period


def calibrate(history: History, *, split: tuple[str, str, str, str], days: float = 1.0) -> Calibration:
    """Calibrate on `split[0]`..`split[1]`, test on `split[2]`..`split[3]`, with a margin period of `days`.

    Raises InputError where the periods overlap or are too short, or the range would be no fraction of the price.
    """
    positive("days", days, at_most=30.0)
    if not split[0] < split[1] < split[2] < split[3]:
        raise InputError("periods", list(split), "must be two periods, the test after the calibration")
    first, later = history.between(*split[:2]), history.between(*split[2:])
    (times, moves), (test_times, test_moves) = first.returns(days), later.returns(days)
    if len(moves) < 2 * STRESSED_ROWS:
        raise InputError(f"{history.name}.rows", len(moves), f"must be at least {2 * STRESSED_ROWS} to calibrate on")
    sizes = np.abs(moves)
    start = _worst_window(sizes)
    stressed = sizes[start : start + STRESSED_ROWS]
    quantile, worst = _quantile(sizes), _quantile(stressed)
    floor = policy.historical_floor(sizes, stressed, coverage=COVERAGE, stressed_weight=STRESSED_WEIGHT)
    wide = float(math.ceil(exact("floor", round(floor, 9)) / exact("step", STEP)) * exact("step", STEP))
    number(f"{history.name}.price_range", wide, above=0.0, at_most=0.95)
    return Calibration(
        history.name,
        history.sha256,
        days,
        _period(times),
        quantile,
        worst,
        _period(times[start : start + STRESSED_ROWS]),
        floor,
        wide,
        _period(test_times),
        policy.coverage(np.abs(test_moves) > wide),
        float(np.abs(test_moves).max()),
        _following(moves, test_moves, wide),
    )


def close_out(history: History, *, split: tuple[str, str], share: float, days: float = 1.0) -> CloseOut:
    """Close-out times of `share` of a usual day's volume in a period, and the depth within `days`."""
    kept = history.between(*split)
    times = close_out_times(kept, share, PARTICIPATION)
    depth = depth_share(kept, days, PARTICIPATION)
    measured = policy.margin_period(times)
    return CloseOut(
        history.name, history.sha256, share, PARTICIPATION, len(times), measured, depth, _period(kept.times)
    )


def published_haircuts(calibrations: Sequence[Calibration]) -> dict[str, float]:
    """By currency, what a conversion rate takes off, range included: of stablecoins the worst price, of coins theirs.

    Not the parameter `haircut` of model seawall, which is what selling costs and comes on top of the range.
    """
    found = {item.coin: round(1 - item.low, 4) for item in DEPEGS}
    return found | {item.underlying: item.published_haircut for item in calibrations}


def parameters(
    calibrations: Sequence[Calibration], depth: Mapping[str, float]
) -> dict[str, dict[str, dict[str, float]]]:
    """What model seawall takes as its parameters: range, and dollars of depth where they are known, by underlying."""
    made: dict[str, dict[str, float]] = {item.underlying: {"price_range": item.price_range} for item in calibrations}
    for name, dollars in depth.items():
        made.setdefault(name, {})["depth"] = dollars
    return {"underlyings": made}


def depths(closings: Sequence[CloseOut], daily: Mapping[str, float]) -> dict[str, float]:
    """Dollars that the margin period closes, by name: by each product's own close-out, or else the least of all.

    `daily`: dollars that trade in a usual day. Raises InputError where no close-out was measured.
    """
    if daily and not closings:
        raise InputError("daily_volume", list(daily), "needs a history with volumes, NAME=FILE:PRICE:VOLUME")
    own = {item.product: item.depth_share for item in closings}
    return {name: own.get(name, min(own.values())) * dollars for name, dollars in daily.items()}


def _following(moves: Float64Array, tested: Float64Array, wide: float) -> list[Procyclical]:
    """The range that follows volatility, bare, with `wide` as its floor, and capped too; then the fixed one."""
    scale = scale_before(np.concatenate([moves, tested]), float(np.mean(moves**2)))
    multiple = _quantile(np.abs(moves) / scale[: len(moves)])
    bare = multiple * scale[len(moves) :]
    floored = np.maximum(bare, wide)
    capped = policy.cap_rises(floored, rise=RISE_CAP, days=RISE_DAYS)
    sizes = np.abs(tested)
    rows = [("follows volatility", bare, 0, 0.0), ("and never below the range", floored, 0, 0.0)]
    rows.append(("and rises capped", np.array(capped.margins), capped.days_capped, capped.largest_gap))
    rows.append(("fixed range", np.full(len(tested), wide), 0, 0.0))
    return [
        Procyclical(name, policy.procyclicality(series, RISE_DAYS), policy.coverage(sizes > series), days, gap)
        for name, series, days, gap in rows
    ]


def scale_before(moves: Float64Array, variance: float) -> Float64Array:
    """Root of the exponentially weighted variance as it is known before each move; `variance` before the first."""
    scale = np.zeros(len(moves))
    for at, move in enumerate(moves.tolist()):
        scale[at] = math.sqrt(variance)
        variance = DECAY * variance + (1 - DECAY) * move * move
    return scale


def _worst_window(sizes: Float64Array) -> int:
    """Where the rolling window with the largest quantile starts."""
    ends = range(len(sizes) - STRESSED_ROWS + 1)
    return max(ends, key=lambda at: (_quantile(sizes[at : at + STRESSED_ROWS]), -at))


def _quantile(sizes: Float64Array) -> float:
    return float(np.sort(sizes)[math.ceil(exact("coverage", COVERAGE) * len(sizes)) - 1])


def _period(times: Float64Array) -> Period:
    return Period(day_of(float(times[0])), day_of(float(times[-1])), len(times))
