"""Implied volatility: the inverse of Black's formula, to the last digits that the price holds.

Method of P. Jaeckel, "Let's Be Rational", Wilmott, January 2015: four segments, split at the volatility of highest
vega and where its tangent meets no value and the highest value; in each a rational cubic (R. Delbourgo and J. A.
Gregory, "Shape preserving piecewise rational interpolation", SIAM J. Sci. Stat. Comput. 6 (1985)) for a first guess
good to a few percent or better, then Householder's iteration of fourth order on an objective chosen by segment; two
steps reach double precision. Departures, all for the last digits or for simplicity:

- the value is B = g * Y with g = exp(-(z*z + t*t)/2)/sqrt(2 pi) its derivative and Y a difference of Mills ratios
  (`normal`), so that B/B' is Y and logarithms need no exponential: no underflow at any price a double can hold;
- the time value is what is inverted, and above half of the highest value what is missing from that;
- a step further is taken until one moves the volatility by less than 1e-6 of itself, whatever the guess was worth.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk.kernels import inlined, kernel
from seawall.risk.kernels.normal import (
    PER_ROOT_TWO_PI,
    log_ratio,
    mills_difference,
    mills_difference_near,
    mills_of_any,
)
from seawall.risk.kernels.pricing import Float64Array, rate_within_bounds, within_bounds

Int64Array = npt.NDArray[np.int64]

SOLVED: Final = 0
MISSING: Final = 1
NEGATIVE: Final = 2
BELOW_INTRINSIC: Final = 3
AT_MAXIMUM: Final = 4
EXPIRED: Final = 5
UNSOLVED: Final = 6

_LOG_ROOT_TWO_PI: Final = 0.9189385332046727
_ROOT_HALF_PI: Final = 1.2533141373155003
_ROOT_THREE: Final = 1.7320508075688772
_ENOUGH: Final = 1e-6
_STEPS: Final = 12


@inlined
def _density(z: float, t: float) -> float:
    return PER_ROOT_TWO_PI * math.exp(-0.5 * (z * z + t * t))


@inlined
def _missing_ratio(z: float, t: float) -> float:
    """What is missing from the highest value, over the derivative; for t >= z."""
    return mills_of_any(t - z) + mills_of_any(t + z)


@inlined
def _cubic(
    y: float, width: float, from_value: float, to_value: float, from_slope: float, to_slope: float, control: float
) -> float:
    """Rational cubic at distance y into an interval of `width` (Delbourgo and Gregory, section 2).

    `control` is raised to where the interpolant keeps the monotonicity and convexity of its data.
    """
    mean = (to_value - from_value) / width
    least = (from_slope + to_slope) / mean
    bend = to_slope - from_slope
    if (from_slope < mean < to_slope) or (from_slope > mean > to_slope):
        least = max(least, abs(bend / (to_slope - mean)), abs(bend / (mean - from_slope)))
    r = max(control, least)
    u = y / width
    v = 1.0 - u
    if not r < 1e15:
        return v * from_value + u * to_value
    top = u * u * (u * to_value + v * (r * to_value - width * to_slope))
    top += v * v * (v * from_value + u * (r * from_value + width * from_slope))
    return top / (1.0 + (r - 3.0) * u * v)


@inlined
def _quantile(p: float) -> float:
    """Phi^-1(p) for 0 < p <= 1/2, good to 5e-4: Abramowitz and Stegun, 26.2.23."""
    t = math.sqrt(-2.0 * math.log(p))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    return top / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t


@inlined
def _guess_low(x: float, value: float, log_value: float, at: float, bound: float) -> float:
    """Below the tangent's foot `at`, of value `bound`: interpolates 2 pi x / (3 sqrt 3) * Phi(-x/(sqrt(3) s))^3."""
    scale = 2.0 * math.pi * x / (3.0 * _ROOT_THREE)
    log_share = log_value - math.log(scale)
    if value > 1e-280:
        y = x * x / (3.0 * at * at)
        phi = mills_of_any(math.sqrt(y)) * PER_ROOT_TWO_PI * math.exp(-0.5 * y)
        slope = 2.0 * math.pi * y * phi * phi * math.exp(y + 0.125 * at * at)
        inner = 8.0 * _ROOT_THREE * at * x + (3.0 * at * at * (at * at - 8.0) - 8.0 * x * x) * mills_of_any(
            math.sqrt(y)
        )
        curvature = math.pi / 6.0 * y / (at * at * at) * phi * inner * math.exp(2.0 * y + 0.25 * at * at)
        top = scale * phi * phi * phi
        control = (0.5 * curvature * bound + (slope - 1.0)) / (slope - top / bound)
        mapped = _cubic(value, bound, 0.0, top, 1.0, slope, control)
        if mapped > 0.0:
            log_share = math.log(mapped / scale)
    return x / (_ROOT_THREE * -_quantile(min(math.exp(log_share / 3.0), 0.5)))


@inlined
def _guess_high(x: float, missing: float, at: float, bound: float) -> float:
    """Above the tangent's head `at`, where `bound` is missing from the highest value: interpolates Phi(-s/2)."""
    z, t = x / at, 0.5 * at
    top = PER_ROOT_TWO_PI * math.exp(-0.5 * t * t) * mills_of_any(t)
    slope = 0.5 * math.exp(0.5 * z * z)
    curvature = _ROOT_HALF_PI * z * z / at * math.exp(z * z + 0.125 * at * at)
    control = (0.5 * curvature * bound + (slope - 0.5)) / (slope - top / bound)
    return -2.0 * _quantile(min(_cubic(missing, bound, 0.0, top, 0.5, slope, control), 0.5))


@inlined
def _householder(newton: float, second: float, third: float) -> float:
    """Step of fourth order from Newton's, with the second and third derivatives over the first."""
    return newton * (1.0 + 0.5 * newton * second) / (1.0 + newton * (second + newton * third / 6.0))


@inlined
def _guess(x: float, time_value: float, left: float, root: float) -> tuple[int, float]:
    """The segment, from 0 below the tangent's foot to 3 above its head, and a first guess that lies in it."""
    value, missing = time_value / root, left / root
    highest = math.exp(-0.5 * x)
    crest = math.sqrt(2.0 * x)  # the volatility of highest vega: z = t there
    crest_density = PER_ROOT_TWO_PI * highest
    crest_ratio = mills_difference_near(0.5 * crest, 0.5 * crest) if x > 0.0 else 0.0
    crest_value = crest_density * crest_ratio
    if value < crest_value:
        foot = crest - crest_ratio
        z, t = x / foot, 0.5 * foot
        slope = _density(z, t)
        bound = slope * mills_difference_near(z, t)
        if value < bound:
            return 0, min(_guess_low(x, value, math.log(time_value) - math.log(root), foot, bound), foot)
        width, ends = crest_value - bound, 1.0 / crest_density
        control = (ends - 1.0 / slope) / (ends - (crest - foot) / width)
        s = _cubic(value - bound, width, foot, crest, 1.0 / slope, ends, control)
        return 1, min(max(s, foot), crest)
    head = crest + _missing_ratio(0.5 * crest, 0.5 * crest)
    z, t = x / head, 0.5 * head
    slope = _density(z, t)
    bound = slope * _missing_ratio(z, t)
    if missing < bound:
        return 3, max(_guess_high(x, missing, head, bound), head)
    width, starts = highest - bound - crest_value, 1.0 / crest_density
    control = (1.0 / slope - starts) / ((head - crest) / width - starts)
    s = _cubic(value - crest_value, width, crest, head, starts, 1.0 / slope, control)
    return 2, min(max(s, crest), head)


@inlined
def total_volatility(x: float, time_value: float, left: float, root: float) -> float:
    """Total volatility at which sqrt(FK) * B is the time value of an option x = |ln(F/K)| out of the money.

    `left` is what is missing from the highest value, `root` sqrt(FK). Negative if the iteration did not settle, which
    no input is known to cause.
    """
    segment, s = _guess(x, time_value, left, root)
    value, missing = time_value / root, left / root
    log_value = math.log(time_value) - math.log(root) if segment == 0 else 0.0  # the quotient may underflow
    for taken in range(_STEPS):
        z, t, per = x / s, 0.5 * s, 1.0 / s
        # Derivatives of B, second and third over the first, then of what is iterated on.
        second = (z * z - t * t) * per
        third = second * second - 3.0 * (z * per) * (z * per) - 0.25
        density = _density(z, t)
        above = segment >= 2 and value >= missing
        if segment == 3 or above:
            ratio = _missing_ratio(z, t)
        else:
            ratio = mills_difference(z, t) if taken > 0 else mills_difference_near(z, t)
        if segment == 0:  # 1/ln B
            q = 1.0 / ratio
            log_now = math.log(ratio) - 0.5 * (z * z + t * t) - _LOG_ROOT_TWO_PI
            # The difference of two large logarithms has lost digits that the logarithm of the ratio keeps.
            now = ratio * density
            off = math.log(value / now) if now > 1e-290 else log_value - log_now
            newton = off * log_now / log_value * ratio
            second, third = second - q, third - q * (3.0 * second - 2.0 * q)
            lean = q / log_now
            second, third = second - 2.0 * lean, third - 6.0 * lean * (second - lean)
        elif segment == 3:  # ln of what is missing
            q = 1.0 / ratio
            newton = -math.log(missing / (ratio * density)) * ratio
            second, third = second + q, third + q * (3.0 * second + 2.0 * q)
        else:  # B, or what is missing
            newton = ratio - missing / density if above else value / density - ratio
        moved = min(max(s + _householder(newton, second, third), 0.5 * s), 2.0 * s)
        step = abs(moved - s)
        s = moved
        if taken > 0 and step <= _ENOUGH * s:
            return s
    return -1.0


@kernel
def implied_volatility(
    price: Float64Array,
    forward: Float64Array,
    strike: Float64Array,
    years: Float64Array,
    kind: Float64Array,
    rate: Float64Array,
    out: Float64Array,
    status: Int64Array,
) -> int:
    """Annual volatilities into `out` and what became of each into `status`; NaN in `out` where it is not SOLVED.

    Returns the length if forward, strike, years, kind and rate are within bounds, else less.
    """
    good = 0
    for i in range(price.shape[0]):
        f, k, w = forward[i], strike[i], kind[i]
        good += within_bounds(f, k, 0.0, years[i], w) & rate_within_bounds(rate[i], years[i])
        p = price[i] * math.exp(rate[i] * years[i]) if rate[i] != 0.0 else price[i]
        low, high = min(f, k), max(f, k)
        # Intrinsic value as `price` has it, rounded where it is no double: such a price is one without volatility.
        value = p - max(w * (f - k), 0.0)
        missing = low - value
        out[i] = math.nan
        if not abs(p) < math.inf:
            status[i] = MISSING
        elif p < 0.0:
            status[i] = NEGATIVE
        elif years[i] <= 0.0:
            status[i] = EXPIRED
        elif value < 0.0:
            status[i] = BELOW_INTRINSIC
        elif missing <= 0.0:
            status[i] = AT_MAXIMUM
        elif value == 0.0:
            status[i], out[i] = SOLVED, 0.0
        else:
            root = math.sqrt(low) * math.sqrt(high)
            total = total_volatility(log_ratio(high, low), value, missing, root)
            status[i] = SOLVED if total >= 0.0 else UNSOLVED
            if total >= 0.0:
                out[i] = total / math.sqrt(years[i])
    return good
