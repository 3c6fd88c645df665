"""Statistics that a margin policy is held to: coverage, margin period of risk, floors, procyclicality.

A backtest compares, day by day, the loss of an account class with the margin that was asked for it; a day whose loss
was larger is an exceedance. Coverage of 99 % means exceedances at a true rate of 1 % at most. The tests here say
whether the record fits a rate, and, because such tests find little in short records, how likely they would have been
to find a worse one: no verdict is given without its power.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc, chdtrc, xlog1py, xlogy

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import exact, number, positive

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DAYS_MIN: Final = 10
POWER_ASKED: Final = 0.8


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A likelihood ratio statistic, its degrees of freedom, and the p-value by the chi-squared it tends to."""

    statistic: float
    degrees: int

    @property
    def p_value(self) -> float:
        """Chance of a statistic at least as large, were the hypothesis true."""
        return float(chdtrc(self.degrees, self.statistic))


@dataclass(frozen=True, slots=True)
class CoverageTest:
    """A backtest of `days` days: what was found, three tests, and what they could have found.

    `accepted` is the verdict: the exceedances are not significantly more than `rate`, one-sided and exact
    (`excess_p_value`), and neither independence nor, with more exceedances than expected, conditional coverage is
    rejected. `detectable_rate` is the least true rate that the one-sided test would have rejected with a chance of
    `POWER_ASKED`; `independence_power` the chance of rejecting independence were a day after an exceedance
    `clustering` times as likely to be one.
    """

    days: int
    exceedances: int
    rate: float
    significance: float
    unconditional: LikelihoodRatio
    independence: LikelihoodRatio
    conditional: LikelihoodRatio
    excess_p_value: float
    detectable_rate: float
    independence_power: float
    clustering: float

    @property
    def accepted(self) -> bool:
        """True where the record does not speak against the coverage asked for."""
        tests = [self.excess_p_value, self.independence.p_value]
        if self.exceedances > self.days * self.rate:
            # Two-sided: with too few exceedances it rejects a margin that is dear, not unsafe.
            tests.append(self.conditional.p_value)
        return min(tests) >= self.significance


def coverage(
    exceeded: Sequence[bool] | BoolArray,
    *,
    rate: float = 0.01,
    significance: float = 0.05,
    clustering: float = 10.0,
    seed: int = 0,
    paths: int = 2000,
) -> CoverageTest:
    """Test a record, True where the loss was beyond the margin, against an exceedance `rate`, with the tests' power.

    Raises InputError for a record of fewer than 10 days or of anything but booleans, or a number out of range.
    """
    record = np.asarray(exceeded)
    if record.ndim != 1 or record.dtype != np.bool_:
        raise InputError("exceeded", str(record.dtype), "must be one row of booleans")
    days, count = len(record), int(record.sum())
    _check_test(days, rate, significance)
    number("clustering", clustering, at_least=1.0)
    pof = kupiec(days, count, rate)
    independence = christoffersen(record)
    return CoverageTest(
        days=days,
        exceedances=count,
        rate=rate,
        significance=significance,
        unconditional=pof,
        independence=independence,
        conditional=LikelihoodRatio(pof.statistic + independence.statistic, 2),
        excess_p_value=float(bdtrc(count - 1, days, rate)) if count else 1.0,
        detectable_rate=detectable_rate(days, rate, significance),
        independence_power=independence_power(
            days, rate, min(clustering * rate, 1.0), significance, seed=seed, paths=paths
        ),
        clustering=clustering,
    )


def kupiec(days: int, exceedances: int, rate: float) -> LikelihoodRatio:
    """Proportion-of-failures test: are `exceedances` in `days` what a true `rate` gives?

    Source: P. Kupiec, "Techniques for verifying the accuracy of risk measurement models", Journal of Derivatives 3
    (1995): -2 ln [(1 - p)^(T - N) p^N / ((1 - N/T)^(T - N) (N/T)^N)], chi-squared with one degree of freedom.
    """
    _check_test(days, rate, 0.05)
    number("exceedances", exceedances, at_least=0, at_most=days)
    found = exceedances / days
    asked = xlogy(exceedances, rate) + xlog1py(days - exceedances, -rate)
    best = xlogy(exceedances, found) + xlog1py(days - exceedances, -found)
    return LikelihoodRatio(max(2.0 * float(best - asked), 0.0), 1)


def christoffersen(exceeded: BoolArray) -> LikelihoodRatio:
    """Independence test: is an exceedance as likely after one as after a day without?

    Source: P. Christoffersen, "Evaluating interval forecasts", International Economic Review 39 (1998), against a
    first-order Markov chain. Chi-squared with one degree of freedom; 0 where there is nothing to compare.
    """
    before, after = np.asarray(exceeded[:-1], bool), np.asarray(exceeded[1:], bool)
    quiet, hit = int((~before & after).sum()), int((before & after).sum())
    return LikelihoodRatio(float(_independence(quiet, hit, int((~before).sum()), int(before.sum()))), 1)


def non_rejection_region(days: int, rate: float, significance: float = 0.05) -> tuple[int, int]:
    """The fewest and the most exceedances that `kupiec` does not reject."""
    _check_test(days, rate, significance)
    kept = [count for count in range(days + 1) if kupiec(days, count, rate).p_value >= significance]
    return kept[0], kept[-1]


def kupiec_power(days: int, rate: float, true_rate: float, significance: float = 0.05) -> float:
    """Chance that `kupiec` rejects `rate` when the truth is `true_rate`: exact, by the binomial. At `rate` it is the
    size.

    The size is not `significance`: exceedances are few and whole, and chi-squared is the limit.
    """
    number("true_rate", true_rate, at_least=0.0, at_most=1.0)
    fewest, most = non_rejection_region(days, rate, significance)
    below = float(bdtr(fewest - 1, days, true_rate)) if fewest else 0.0
    return below + float(bdtrc(most, days, true_rate))


def detectable_rate(days: int, rate: float, significance: float = 0.05, power: float = POWER_ASKED) -> float:
    """The least true rate that the exact one-sided test of `rate` rejects with a chance of `power`."""
    _check_test(days, rate, significance)
    number("power", power, above=0.0, at_most=0.999)
    critical = next(
        count for count in range(1, days + 2) if count > days or bdtrc(count - 1, days, rate) < significance
    )
    if critical > days:
        return 1.0
    low, high = rate, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if bdtrc(critical - 1, days, middle) >= power else (middle, high)
    return high


def independence_power(
    days: int, rate: float, after_hit: float, significance: float = 0.05, *, seed: int, paths: int = 2000
) -> float:
    """Chance that `christoffersen` rejects when a day after an exceedance is one with chance `after_hit`, overall
    `rate`.

    Simulated with `paths` Markov chains; its standard error is at most 1 / (2 sqrt(paths)). Same seed, same number.
    """
    _check_test(days, rate, significance)
    number("after_hit", after_hit, at_least=0.0, at_most=1.0)
    number("paths", paths, at_least=100, at_most=1_000_000)
    # Stationary at `rate`: after a quiet day the chance is rate (1 - after_hit) / (1 - rate).
    after_quiet = rate * (1 - after_hit) / (1 - rate)
    number("seed", seed, at_least=0)
    chance = np.random.default_rng(seed).random((days, paths))
    state = chance[0] < rate
    quiet, hit = np.zeros(paths), np.zeros(paths)
    quiet_days, hit_days = np.zeros(paths), np.zeros(paths)
    for today in chance[1:]:
        after = today < np.where(state, after_hit, after_quiet)
        quiet_days += ~state
        hit_days += state
        quiet += ~state & after
        hit += state & after
        state = after
    p_values = chdtrc(1, _independence(quiet, hit, quiet_days, hit_days))
    return float(np.mean(p_values < significance))


@dataclass(frozen=True, slots=True)
class CloseOutQuantile:
    """`value` is the sample's quantile, `bound` what the true one is at most with the confidence asked for."""

    value: float
    bound: float


def margin_period(
    close_out_times: Sequence[float] | Float64Array,
    *,
    quantile: float = 0.99,
    confidence: float = 0.95,
    floor: float = 0.0,
) -> CloseOutQuantile:
    """Margin period of risk from measured close-out times, in their unit; neither number is below `floor`.

    Distribution-free: the k-th smallest of n times bounds the quantile with the chance P(Binomial(n, quantile) < k),
    so k is the least with that chance at least `confidence`. Raises InputError where n is too small for any, naming
    the n needed: ln(1 - confidence) / ln(quantile).
    """
    times = _values("close_out_times", close_out_times, above=0.0)
    number("quantile", quantile, at_least=0.5, at_most=0.9999)
    number("confidence", confidence, at_least=0.5, at_most=0.9999)
    number("floor", floor, at_least=0.0)
    count = len(times)
    needed = math.ceil(math.log(1 - confidence) / math.log(quantile))
    if count < needed:
        raise InputError("close_out_times", count, f"must be at least {needed} for this quantile and confidence")
    rank = next(k for k in range(1, count + 1) if bdtr(k - 1, count, quantile) >= confidence)
    return CloseOutQuantile(max(_upper_quantile(times, quantile), floor), max(float(np.sort(times)[rank - 1]), floor))


def historical_floor(
    losses: Sequence[float] | Float64Array,
    stressed: Sequence[float] | Float64Array,
    *,
    coverage: float = 0.99,
    stressed_weight: float = 0.25,
) -> float:
    """Floor of a margin rate: the loss quantile of the longest history, with that of stressed periods by its weight.

    (1 - w) Q(longest) + w Q(stressed), and never below Q(longest). After Delegated Regulation (EU) 153/2013, Article
    28 (1)(b), at least 25 % for stressed observations, and (c), not below what the longest history gives. Q is the
    smallest loss that at least `coverage` of the observations do not exceed, and not below 0.
    """
    number("stressed_weight", stressed_weight, at_least=0.0, at_most=1.0)
    number("coverage", coverage, at_least=0.5, at_most=0.99999)
    longest = _upper_quantile(_values("losses", losses), coverage)
    worst = _upper_quantile(_values("stressed", stressed), coverage)
    return max((1 - stressed_weight) * longest + stressed_weight * worst, longest)


@dataclass(frozen=True, slots=True)
class Procyclicality:
    """`peak_to_trough`: highest over lowest margin; `rise`: the largest n-day change, margin over margin, less 1.

    Measures of D. Murphy, M. Vasios and N. Vause, "An investigation into the procyclicality of risk-based initial
    margin models", Bank of England Financial Stability Paper 29 (2014).
    """

    peak_to_trough: float
    rise: float
    days: int


def procyclicality(margins: Sequence[float] | Float64Array, days: int = 5) -> Procyclicality:
    """How far a margin for the same position moved, and how fast. Margins in time order, one a day, positive."""
    series = _values("margins", margins, above=0.0)
    number("days", days, at_least=1, at_most=len(series) - 1)
    return Procyclicality(float(series.max() / series.min()), float((series[days:] / series[:-days]).max() - 1), days)


@dataclass(frozen=True, slots=True)
class CappedMargin:
    """Margins after the cap, and what it cost: the days it held the margin below what was asked for, the largest
    gap."""

    margins: list[float]
    days_capped: int
    largest_gap: float


def cap_rises(margins: Sequence[float] | Float64Array, *, rise: float, days: int = 5) -> CappedMargin:
    """Margins that never stand more than `rise` above any of the `days` days before; falls are not held back.

    A cap keeps calls bearable and leaves the difference uncovered until it is caught up: it is safe only with a floor
    high enough, so the gap is part of the answer.
    """
    series = _values("margins", margins, above=0.0)
    positive("rise", rise, at_most=100.0)
    number("days", days, at_least=1)
    kept: list[float] = []
    for asked in series.tolist():
        limit = (1 + rise) * min(kept[-days:], default=math.inf)
        kept.append(min(asked, limit))
    gaps = series - np.array(kept)
    return CappedMargin(kept, int((gaps > 0).sum()), float(gaps.max()))


def _independence(
    quiet: npt.ArrayLike, hit: npt.ArrayLike, quiet_days: npt.ArrayLike, hit_days: npt.ArrayLike
) -> Float64Array:
    """Likelihood ratio of exceedances after quiet days and after hits against one common rate; 0 ln 0 is 0."""
    quiet, hit = np.asarray(quiet, float), np.asarray(hit, float)
    quiet_days, hit_days = np.asarray(quiet_days, float), np.asarray(hit_days, float)
    common = (quiet + hit) / np.maximum(quiet_days + hit_days, 1)
    after_quiet, after_hit = quiet / np.maximum(quiet_days, 1), hit / np.maximum(hit_days, 1)
    free = xlogy(quiet, after_quiet) + xlog1py(quiet_days - quiet, -after_quiet)
    free = free + xlogy(hit, after_hit) + xlog1py(hit_days - hit, -after_hit)
    bound = xlogy(quiet + hit, common) + xlog1py(quiet_days + hit_days - quiet - hit, -common)
    return np.asarray(np.maximum(2 * (free - bound), 0.0))


def _upper_quantile(values: Float64Array, level: float) -> float:
    """The smallest value that at least `level` of them do not exceed, and not below 0."""
    return max(float(np.sort(values)[math.ceil(exact("level", level) * len(values)) - 1]), 0.0)


def _values(field: str, values: Sequence[float] | Float64Array, above: float = -math.inf) -> Float64Array:
    found = np.asarray(values)
    if found.ndim != 1 or len(found) < 2 or found.dtype.kind not in "iuf":
        raise InputError(field, str(found.shape), "must be one row of at least two numbers")
    for at, value in enumerate(found.tolist()):
        number(f"{field}[{at}]", value, above=above)
    return np.asarray(found, dtype=np.float64)


def _check_test(days: int, rate: float, significance: float) -> None:
    number("days", days, at_least=DAYS_MIN, at_most=1_000_000)
    number("rate", rate, above=0.0, at_most=0.5)
    number("significance", significance, above=0.0, at_most=0.5)
