"""Black-76 over arrays: the accurate path, all greeks, and the stress path.

Every kernel takes contiguous float64 arrays of one length, writes rows of `out`, and returns that length if every
argument is within bounds, else less: then the caller raises, so that no number made of a bad argument is seen.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk.kernels import inlined, kernel
from seawall.risk.kernels.normal import (
    MILLS_MAX,
    PER_ROOT_TWO,
    PER_ROOT_TWO_PI,
    exponential,
    fused,
    log_of_octaves,
    mills,
    mills_difference,
    mills_parts,
    octaves,
)

Float64Array = npt.NDArray[np.float64]

PRICE_MIN: Final = 1e-50
PRICE_MAX: Final = 1e50
VOLATILITY_MAX: Final = 1e3
YEARS_MAX: Final = 1e3
RATE_MAX: Final = 10.0
DISCOUNT_LOG_MAX: Final = 100.0
"""Bound of |rate * years|."""
SETTLED: Final = 1e-50
"""A total volatility below it counts as none: no double but the strike itself is near enough to it to matter."""

BLOCK: Final = 256
"""Options whose intermediate results stay in the first cache between the loops of a kernel."""

_CANCELLED: Final = 500.0
"""A difference smaller than this part of what it was taken from, weighed by d*d, has lost digits."""


@inlined
def within_bounds(forward: float, strike: float, volatility: float, years: float, kind: float) -> bool:
    """Whether every argument is finite and in range; comparisons only, so that NaN fails and loops stay vectorised."""
    prices = (forward >= PRICE_MIN) & (forward <= PRICE_MAX) & (strike >= PRICE_MIN) & (strike <= PRICE_MAX)
    times = (volatility >= 0.0) & (volatility <= VOLATILITY_MAX) & (years >= 0.0) & (years <= YEARS_MAX)
    return prices & times & ((kind == 1.0) | (kind == -1.0))


@inlined
def rate_within_bounds(rate: float, years: float) -> bool:
    """The same of a rate."""
    return (abs(rate) <= RATE_MAX) & (abs(rate * years) <= DISCOUNT_LOG_MAX)


@kernel
def _block(
    forward: Float64Array,
    strike: Float64Array,
    volatility: Float64Array,
    years: Float64Array,
    kind: Float64Array,
    start: int,
    size: int,
    work: tuple[Float64Array, ...],
) -> int:
    """What price and greeks have in common, of `size` options from `start`, into `work`; how many were in range.

    With low = min(F, K), high = max(F, K), s the total volatility and z = ln(high/low)/s: s, z, the density at
    d = s/2 - z, N(d), the density times R(s/2 + z), and the value of the option that is out of the money over low. For
    F < K that is a call and d is d1; for F > K a put and d is -d2; F * phi(d1) = K * phi(d2) saves the exponential of
    the other. Logarithm, exponential and erfc are the C library's, so that this path and the stress path check each
    other. Their loop, and the last, for where the difference has lost digits, are the ones that are not vectorised.
    """
    totals, zs, densities, nears, fars, values = work
    good, cancelled = 0, 0
    for j in range(size):
        i = start + j
        f, k = forward[i], strike[i]
        good += within_bounds(f, k, volatility[i], years[i], kind[i])
        totals[j] = volatility[i] * math.sqrt(years[i])
        low, high = min(f, k), max(f, k)
        zs[j] = high / low
        fars[j] = fused(-zs[j], low, high) / high  # what the quotient was rounded by, which near 1 is all its digits
    for j in range(size):
        zs[j] = (math.log(zs[j]) + fars[j]) / max(totals[j], SETTLED)
        d = 0.5 * totals[j] - zs[j]
        densities[j] = PER_ROOT_TWO_PI * math.exp(-0.5 * d * d)
        nears[j] = 0.5 * math.erfc(-d * PER_ROOT_TWO)
    for j in range(size):
        alive = 1.0 if totals[j] >= SETTLED else 0.0
        d = 0.5 * totals[j] - zs[j]
        densities[j] *= alive
        nears[j] *= alive
        fars[j] = densities[j] * mills(min(0.5 * totals[j] + zs[j], MILLS_MAX))
        values[j] = max(nears[j] - fars[j], 0.0)
        cancelled += values[j] * _CANCELLED < (1.0 + min(d, 0.0) * d) * nears[j]
    if cancelled > 0:
        for j in range(size):
            d = 0.5 * totals[j] - zs[j]
            if values[j] * _CANCELLED < (1.0 + min(d, 0.0) * d) * nears[j]:
                values[j] = densities[j] * mills_difference(zs[j], 0.5 * totals[j])
    return good


@inlined
def _delta(f: float, k: float, w: float, alive: bool, near: float, beyond: float) -> float:
    """For F < K near (call) or near - 1, else 1 - beyond or -beyond: an option out of the money keeps its digits.

    `near` is N(d1) and `beyond` N(-d1); of a settled option 0 and 0, at the strike 1/2: the slope of intrinsic value.
    """
    settled = 0.5 if f == k else 0.0
    part = near if f < k else -(beyond if alive else settled)
    return part + 0.5 * (w + (-1.0 if f < k else 1.0))


@kernel
def price_delta_vega(
    forward: Float64Array,
    strike: Float64Array,
    volatility: Float64Array,
    years: Float64Array,
    kind: Float64Array,
    out: Float64Array,
) -> int:
    """Undiscounted price, delta and vega into the three rows of `out`: the accurate path."""
    prices, deltas, vegas = out[0], out[1], out[2]
    work = (np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK))
    totals, _, densities, nears, fars, values = work
    good = 0
    for start in range(0, forward.shape[0], BLOCK):
        size = min(BLOCK, forward.shape[0] - start)
        good += _block(forward, strike, volatility, years, kind, start, size, work)
        for j in range(size):
            i = start + j
            f, k, w = forward[i], strike[i], kind[i]
            prices[i] = min(f, k) * values[j] + max(w * (f - k), 0.0)
            deltas[i] = _delta(f, k, w, totals[j] >= SETTLED, nears[j], fars[j] * k / f)
            vegas[i] = min(f, k) * densities[j] * math.sqrt(years[i])
    return good


@kernel
def greeks(
    forward: Float64Array,
    strike: Float64Array,
    volatility: Float64Array,
    years: Float64Array,
    kind: Float64Array,
    rate: Float64Array,
    out: Float64Array,
) -> int:
    """Ten rows: price, delta, gamma, vega, theta, rho, vanna, volga, charm, veta, all discounted by exp(-rate*years).

    d1 changes with time by -d2/(2T), so charm less discounting is vanna * volatility / (2T), and the vega of which the
    density makes sqrt(T) grows by (1 + d1*d2)/(2T).
    """
    work = (np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK))
    totals, zs, densities, nears, fars, values = work
    good = 0
    for start in range(0, forward.shape[0], BLOCK):
        size = min(BLOCK, forward.shape[0] - start)
        good += _block(forward, strike, volatility, years, kind, start, size, work)
        for j in range(size):
            i = start + j
            f, k, w, sigma, r, root = forward[i], strike[i], kind[i], volatility[i], rate[i], math.sqrt(years[i])
            good -= not rate_within_bounds(r, years[i])
            discount = math.exp(-r * years[i])
            price = discount * (min(f, k) * values[j] + max(w * (f - k), 0.0))
            mass = discount * min(f, k) * densities[j]
            delta = discount * _delta(f, k, w, totals[j] >= SETTLED, nears[j], fars[j] * k / f)
            gamma, decay, vanna, volga, turn, growth = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            if mass > 0.0:
                z, t = zs[j], 0.5 * totals[j]
                gamma = mass / (f * (f * totals[j]))
                decay = mass * sigma / (2.0 * root)
                lean = mass / f * (z + t if f < k else t - z)
                vanna, turn = lean / sigma, lean / (2.0 * years[i])
                volga = mass * root * (z - t) * (z + t) / sigma
                growth = mass * (1.0 + (z - t) * (z + t)) / (2.0 * root)
            out[0, i] = price
            out[1, i] = delta
            out[2, i], out[3, i], out[4, i] = gamma, mass * root, r * price - decay
            out[5, i], out[6, i], out[7, i] = -years[i] * price, vanna, volga
            out[8, i], out[9, i] = turn - r * delta, growth - r * mass * root
    return good


@kernel
def stress(
    forward: Float64Array,
    strike: Float64Array,
    volatility: Float64Array,
    years: Float64Array,
    kind: Float64Array,
    out: Float64Array,
) -> int:
    """Undiscounted price, delta and vega into the three rows of `out`: branch-free, so that all of it is vectorised.

    As the accurate path, with an exponential of our own, the complement of a Mills ratio for N above 0, and divisions
    gathered into two, which a processor does least often. What it gives up is the relative accuracy of a small price.
    """
    prices, deltas, vegas = out[0], out[1], out[2]
    good = 0
    for i in range(forward.shape[0]):
        f, k, w = forward[i], strike[i], kind[i]
        root = math.sqrt(years[i])
        total = volatility[i] * root
        good += within_bounds(f, k, volatility[i], years[i], w)
        low, high, divisor = min(f, k), max(f, k), max(total, SETTLED)
        octave, scaled = octaves(high, low)
        added = high + scaled
        once = 1.0 / (added * high * divisor)
        z = log_of_octaves(octave, (high - scaled) * (high * divisor * once)) * (added * high * once)
        t = 0.5 * total
        d = t - z
        density = PER_ROOT_TWO_PI * exponential(-0.5 * d * d) if total >= SETTLED else 0.0
        p, q = mills_parts(min(abs(d), MILLS_MAX))
        r, s = mills_parts(min(t + z, MILLS_MAX))
        shared = density / (q * s)
        near, far = p * s * shared, r * q * shared
        near = 1.0 - near if d > 0.0 else near
        near = near if total >= SETTLED else 0.0
        beyond = far * low * (added * divisor * once)
        prices[i] = low * max(near - far, 0.0) + max(w * (f - k), 0.0)
        deltas[i] = _delta(f, k, w, total >= SETTLED, near, beyond)
        vegas[i] = low * density * root
    return good
