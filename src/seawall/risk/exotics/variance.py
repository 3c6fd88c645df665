"""Variance and volatility swaps: fair strikes from listed options or a whole smile, and the value of a running swap.

Variance: K. Demeterfi, E. Derman, M. Kamal and J. Zou, "A guide to volatility and variance swaps", Journal of
Derivatives 6 (4), 1999, 9-32 (equations 26 and A1 to A8 for listed strikes). Volatility: P. Carr and R. Lee, "Robust
replication of volatility derivatives", 2009, section 6: exact where volatility is independent of the price, and
immune to correlation to first order; always below the root of the fair variance. Both assume a path without jumps.

Option prices are undiscounted, as Black-76 gives them and as venues with daily margin quote them. Variances are annual
(0.25 is a volatility of 50 %); a smile maps log-moneyness ln(strike / forward) to total variance (vol^2 * years).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erf, erfcx, ive, ndtr

from seawall.risk.exotics.diffusion import LEVEL_RATIO_MAX, YEARS_MAX, YEARS_MIN, Array, log_ratio, within
from seawall.risk.market import VOLATILITY_MAX
from seawall.vocabulary.errors import InputError

Smile = Callable[[Array], Array]

_VARIANCE_MAX: Final = VOLATILITY_MAX**2
_REACH: Final = (-3.9, 2.9)
"""Range of the exp-sinh rule: log-moneyness from 1e-17 to 1e6 of its scale; what lies beyond is below rounding."""
_LEVELS: Final = range(5, 13)
_CONVERGED: Final = 1e-13
_KINKED: Final = 1e-6
_ROUNDED: Final = 1e-12
"""Of the forward: what prices may miss each other by."""

_ROUNDING: Final = 1e-15
"""Of a price out of the money, relative to its density; it tells where the total volatility is tiny."""


@dataclass(frozen=True, slots=True)
class FairVolatility:
    """Annual: volatility swap strike, root of the variance swap strike, and the difference, which convexity costs."""

    volatility: float
    root_variance: float

    @property
    def convexity(self) -> float:
        """How much the volatility swap's strike lies below the root of the variance swap's; not negative."""
        return self.root_variance - self.volatility


def fair_variance_listed(
    forward: float,
    years: float,
    put_strikes: npt.ArrayLike,
    put_prices: npt.ArrayLike,
    call_strikes: npt.ArrayLike,
    call_prices: npt.ArrayLike,
    end_width: float | None = None,
) -> float:
    """Fair annual variance from listed options: (n,) puts and (m,) calls, strikes rising, sharing the middle strike.

    The log contract is replaced by its chords between strikes. Each end needs the strike after the last: `end_width`
    further (as far as the last two are apart if None; never below 0). What lies beyond the ends is not paid for, so a
    short chain gives too little.
    """
    forward = float(within("forward", forward, 1e-12, 1e12))
    years = float(within("years", years, YEARS_MIN, YEARS_MAX))
    puts, calls = _strikes("put_strikes", put_strikes, forward), _strikes("call_strikes", call_strikes, forward)
    if puts[-1] != calls[0]:
        raise InputError("call_strikes", float(calls[0]), f"must start at the last put strike, {puts[-1]:g}")
    put_values = _premiums("put_prices", put_prices, puts, forward, 1.0)
    call_values = _premiums("call_prices", call_prices, calls, forward, -1.0)
    middle = float(puts[-1])
    gap = None if end_width is None else float(within("end_width", end_width, 1e-12 * forward, 1e12))
    last = calls[-1] + (gap if gap is not None else calls[-1] - calls[-2])
    first = puts[0] - (gap if gap is not None else puts[1] - puts[0])
    # A chord down to zero would be infinitely steep: half the first strike at least.
    first = max(first, 0.5 * puts[0])
    total = _chord_weights(np.append(calls, last), middle) @ call_values
    total += _chord_weights(np.append(puts[::-1], first), middle) @ put_values[::-1]
    shift = float(log_ratio(forward, middle))
    found = float(2 / years * (total + shift - (forward / middle - 1)))
    if found < 0:
        raise InputError("put_strikes", middle, f"the middle is too far from the forward for a variance: {found:g}")
    return found


def fair_variance(smile: Smile, years: float) -> float:
    """Fair annual variance from a whole smile: 2/T times the integral of out-of-the-money prices over strike^2.

    Relative error 1e-13 for a smooth smile, 1e-6 for one with kinks. InputError if the smile is not positive and
    finite, or grows so fast (total variance 2 |k| or more) that the integral does not exist.
    """
    years = float(within("years", years, YEARS_MIN, YEARS_MAX))
    return 2 / years * _integrated(smile, np.ones_like, lambda size: np.exp(-size))


def fair_volatility(smile: Smile, years: float) -> FairVolatility:
    """Fair annual volatility: a straddle at the forward, less and plus Bessel-weighted options (Carr and Lee, 2009)."""
    variance = fair_variance(smile, years)
    # ive(n, x) is e^-x times the Bessel function: with the price over its own scale all exponentials cancel.
    strips = _integrated(
        smile,
        lambda size: ive(0, size / 2) + ive(1, size / 2),
        lambda size: ive(1, size / 2) - ive(0, size / 2),
    )
    at_forward = float(_total(smile, np.zeros(1))[0])
    straddle = 2 * float(erf(math.sqrt(at_forward / 8)))
    expected = math.sqrt(math.pi / 2) * straddle + math.sqrt(math.pi / 8) * strips
    return FairVolatility(expected / math.sqrt(years), math.sqrt(variance))


def realised_variance(prices: npt.ArrayLike, periods_per_year: float) -> float:
    """Annual realised variance of (n,) prices, n >= 2: mean of squared log returns times periods a year; no mean taken.

    The convention of listed and over-the-counter swaps: 365 for daily closes of a market that never shuts.
    """
    path = np.atleast_1d(within("prices", prices, 1e-12, 1e12))
    if path.ndim != 1 or len(path) < 2:
        raise InputError("prices", path.shape, "must be a row of at least two")
    periods = float(within("periods_per_year", periods_per_year, 1e-3, 1e8))
    returns = log_ratio(path[1:], path[:-1])
    return float(periods * np.mean(returns**2))


def running_variance(realised: float, elapsed: float, fair: float, remaining: float) -> float:
    """Expected annual variance of a swap's whole life: what has been realised and what is fair, weighted by time."""
    realised = float(within("realised", realised, 0.0, _VARIANCE_MAX))
    fair = float(within("fair", fair, 0.0, _VARIANCE_MAX))
    elapsed, remaining = (
        float(within(field, value, 0.0, YEARS_MAX)) for field, value in (("elapsed", elapsed), ("remaining", remaining))
    )
    if elapsed + remaining <= 0:
        raise InputError("remaining", remaining, "elapsed and remaining years must not both be 0")
    return (elapsed * realised + remaining * fair) / (elapsed + remaining)


def swap_value(expected: float, strike: float, notional: float, discount: float = 1.0) -> float:
    """Value of receiving the expected annual variance (or volatility) against `strike`.

    `notional` is money per 1.00 of variance: a vega notional, money per 1.00 of volatility, is 2 * sqrt(strike) times
    it. With `running_variance` for `expected` it is exact for variance; a running volatility swap is not linear.
    """
    expected = float(within("expected", expected, 0.0, _VARIANCE_MAX))
    strike = float(within("strike", strike, 0.0, _VARIANCE_MAX))
    notional = float(within("notional", notional, -1e15, 1e15))
    return float(within("discount", discount, 0.0, 10.0)) * notional * (expected - strike)


def _strikes(field: str, value: npt.ArrayLike, forward: float) -> Array:
    strikes = np.atleast_1d(within(field, value, forward / LEVEL_RATIO_MAX, forward * LEVEL_RATIO_MAX))
    if strikes.ndim != 1 or len(strikes) < 2:
        raise InputError(field, strikes.shape, "must be a row of at least two")
    if (np.diff(strikes) <= 0).any():
        raise InputError(field, float(strikes[1:][np.diff(strikes) <= 0][0]), "must rise")
    return strikes


def _premiums(field: str, value: npt.ArrayLike, strikes: Array, forward: float, side: float) -> Array:
    """Undiscounted option prices, of puts (`side` 1) or calls (-1): between intrinsic value and strike or forward.

    A put's must not fall with the strike and a call's not rise, up to rounding.
    """
    limits = strikes if side > 0 else np.full(strikes.shape, forward)
    rounding = _ROUNDED * forward
    prices = np.atleast_1d(within(field, value, 0.0, 1e12))
    if prices.shape != strikes.shape:
        raise InputError(field, prices.shape, f"must have one price for each of {len(strikes)} strikes")
    if (prices > limits).any():
        raise InputError(field, float(prices[prices > limits][0]), "must not exceed the strike (put), forward (call)")
    low = prices < np.maximum(side * (strikes - forward), 0.0) - rounding
    if low.any():
        raise InputError(field, float(prices[low][0]), "must not be below intrinsic value, undiscounted")
    wrong = side * np.diff(prices) < -rounding
    if wrong.any():
        raise InputError(field, float(prices[1:][wrong][0]), "must not fall (puts), rise (calls) with the strike")
    return prices


def _chord_weights(strikes: Array, middle: float) -> Array:
    """Options to hold at each strike but the last, going outward from the middle: the change of slope of the chords."""
    log_contract = strikes / middle - 1 - np.log(strikes / middle)
    slopes = np.abs(np.diff(log_contract) / np.diff(strikes))
    return np.diff(slopes, prepend=0.0)


def _total(smile: Smile, moneyness: Array) -> Array:
    """The smile's total variance, checked."""
    total = np.asarray(smile(moneyness), float)
    if total.shape != moneyness.shape:
        raise InputError("smile", total.shape, "must give one total variance for each log-moneyness")
    wrong = ~((total > 0) & np.isfinite(total))
    if wrong.any():
        where = f"at log-moneyness {float(moneyness[wrong][0]):g}"
        raise InputError("smile", float(total[wrong][0]), f"total variance must be finite and positive ({where})")
    return total


def _integrated(smile: Smile, put_weight: Callable[[Array], Array], call_weight: Callable[[Array], Array]) -> float:
    """Integral over |log-moneyness| of the out-of-the-money prices: puts over their strike, calls over the forward.

    By the exp-sinh rule, |k| = scale * exp(pi/2 sinh t), halving its step until nothing changes (H. Takahasi and
    M. Mori, "Double exponential formulas for numerical integration", Publ. RIMS 9 (1974), 721-741). A smile with kinks
    never gets so far; it is taken once a halving changes less than 1e-6.
    """
    scale = math.sqrt(float(_total(smile, np.zeros(1))[0]))
    enough, found, change = _CONVERGED + _ROUNDING / scale, math.inf, math.inf
    for level in _LEVELS:
        t = np.linspace(*_REACH, 2**level + 1)
        size = scale * np.exp(0.5 * np.pi * np.sinh(t))
        steps = 0.5 * np.pi * np.cosh(t) * size * (t[1] - t[0])
        puts = steps * put_weight(size) * _over_scale(_total(smile, -size), size)
        calls = steps * call_weight(size) * _over_scale(_total(smile, size), size)
        sizes = puts + np.abs(calls)
        before, found = found, float(np.sum(puts + calls))
        change = abs(found - before) / float(np.sum(sizes))
        if change <= enough or sizes[-1] > _CONVERGED * np.sum(sizes):
            break
    if change > _KINKED or sizes[-1] > _CONVERGED * np.sum(sizes):
        raise InputError("smile", found, "must grow slowly enough in the wings for the integral to exist")
    return found


def _over_scale(total: Array, size: Array) -> Array:
    """Price out of the money at |log-moneyness| `size`: of a put over its strike, of a call over the forward.

    With lower, upper = size / sqrt(total) -+ sqrt(total) / 2 both are N(-lower) - e^size N(-upper).
    """
    root = np.sqrt(total)
    lower = np.minimum(size / root - 0.5 * root, 1e9)
    upper = size / root + 0.5 * root
    return np.asarray(ndtr(-lower) - 0.5 * np.exp(-0.5 * lower**2) * erfcx(upper / math.sqrt(2)))
