"""The joint fit of all expiries of a chain by Levenberg-Marquardt: smiles as sums of hyperbolas in scaled units.

Each expiry is scaled by its own total variance at the money, theta: x = k / sqrt(theta), W = w / theta, so that every
parameter is of order 1. A row of parameters is [level, slope, then weight, centre, width of each hyperbola].
What is minimised is described in surfaces/calibration.py. Neighbours in time share calendar residuals only, so the
normal matrix is a band of two rows' width, and its Cholesky factor, too (D. Marquardt, SIAM Journal 11, 1963).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk.kernels import kernel

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

LEAST_WIDTH: Final = 0.1
FARTHEST: Final = 30.0
LEAST_VARIANCE: Final = 0.01
"""of that at the money"""
LEAST_WING: Final = 0.01
"""Slope of W in x that a wing is to have; a tenth of it is what it must."""
STEEPEST: Final = 1.98
"""Slope of w in k; above 2 there would be arbitrage far out (Lee 2004)."""


@kernel
def _value(p: Float64Array, x: float) -> float:
    """W at x."""
    value = p[0] + p[1] * x
    for o in range(2, p.size, 3):
        away, width = x - p[o + 1], p[o + 2]
        value += p[o] * math.sqrt(away * away + width * width)
    return value


@kernel
def _smile(p: Float64Array, x: float) -> tuple[float, float, float]:
    """W and its two derivatives in x."""
    value, slope, curvature = p[0] + p[1] * x, p[1], 0.0
    for o in range(2, p.size, 3):
        weight, away, width = p[o], x - p[o + 1], p[o + 2]
        root = math.sqrt(away * away + width * width)
        inverse = 1.0 / root
        thin = width * inverse
        value, slope, curvature = (
            value + weight * root,
            slope + weight * away * inverse,
            curvature + weight * thin * thin * inverse,
        )
    return value, slope, curvature


@kernel
def _basis(p: Float64Array, x: float, basis: Float64Array) -> None:
    """Fill basis[d, i] with the derivative of the d-th of what `_smile` gives by parameter i."""
    basis[0, 0], basis[0, 1], basis[1, 1] = 1.0, x, 1.0
    for o in range(2, p.size, 3):
        weight, away, width = p[o], x - p[o + 1], p[o + 2]
        root = math.sqrt(away * away + width * width)
        lean, thin = away / root, width / root
        bend = thin * thin / root
        basis[0, o], basis[1, o], basis[2, o] = root, lean, bend
        basis[0, o + 1], basis[1, o + 1], basis[2, o + 1] = (
            -weight * lean,
            -weight * bend,
            3 * weight * bend * lean / root,
        )
        basis[0, o + 2], basis[1, o + 2] = weight * thin, -weight * lean * thin / root
        basis[2, o + 2] = weight * thin * (2.0 - 3.0 * thin * thin) / (root * root)


@kernel
def _add(
    row: Float64Array, at: int, residual: float, weight: float, hessian: Float64Array, gradient: Float64Array
) -> float:
    """Add one residual, with its derivatives `row` from parameter `at` on, to the normal equations (lower half)."""
    for q in range(row.size):
        scaled = weight * row[q]
        gradient[at + q] += scaled * residual
        for r in range(q + 1):
            hessian[at + q, at + r] += scaled * row[r]
    return weight * residual * residual


@kernel
def _add_robust(
    row: Float64Array,
    at: int,
    residual: float,
    reach: float,
    weight: float,
    hessian: Float64Array,
    gradient: Float64Array,
) -> float:
    """The same for the loss r^2 / (1 + (r / reach)^2) of Geman & McClure: what is far off pulls less and less.

    A reach of 0 means 2 (sqrt(1 + r^2) - 1): convex, and a few bad quotes do not outweigh many good ones in its sum.
    """
    if reach == 0.0:
        root = math.sqrt(1.0 + residual * residual)
        _add(row, at, residual, weight / root, hessian, gradient)
        return 2.0 * weight * (root - 1.0)
    keep = 1.0 / (1.0 + (residual / reach) ** 2)
    _add(row, at, residual, weight * keep * keep, hessian, gradient)
    return weight * residual * residual * keep


@kernel
def _quote_loss(
    p: Float64Array,
    at: int,
    quotes: Float64Array,
    reach: float,
    centring: float,
    basis: Float64Array,
    row: Float64Array,
    hessian: Float64Array,
    gradient: Float64Array,
) -> float:
    """Losses of one expiry's quotes: rows [x, low, high, half-width, 1 if two-sided]."""
    total = 0.0
    for j in range(quotes.shape[0]):
        low, high, half = quotes[j, 1], quotes[j, 2], quotes[j, 3]
        value = _value(p, quotes[j, 0])
        _basis(p, quotes[j, 0], basis)
        for q in range(row.size):
            row[q] = basis[0, q] / half
        if quotes[j, 4] > 0.0:
            total += _add_robust(
                row, at, (value - 0.5 * (low + high)) / half, min(reach, 1.0), centring, hessian, gradient
            )
        miss = (max(value - high, 0.0) - max(low - value, 0.0)) / half
        if miss != 0.0:
            total += _add_robust(row, at, miss, reach, 1.0, hessian, gradient)
    return total


@kernel
def _butterfly_loss(
    p: Float64Array,
    at: int,
    theta: float,
    grid: Float64Array,
    margin: float,
    hard: float,
    basis: Float64Array,
    row: Float64Array,
    hessian: Float64Array,
    gradient: Float64Array,
) -> float:
    """Losses where total variance or Gatheral's g is below its margin; g in scaled units has theta in one place."""
    total = 0.0
    for j in range(grid.size):
        x = grid[j]
        value, slope, curvature = _smile(p, x)
        if value < LEAST_VARIANCE:
            _basis(p, x, basis)
            near = 1.0 / (1.0 + abs(x))
            for q in range(row.size):
                row[q] = near * basis[0, q]
            total += _add(row, at, (value - LEAST_VARIANCE) * near, 100.0 * hard, hessian, gradient)
            value = LEAST_VARIANCE
        bent, ratio = 1.0 - 0.5 * x * slope / value, slope / value
        g = bent * bent - 0.25 * slope * (ratio + 0.25 * theta * slope) + 0.5 * curvature
        if g < margin:
            by_value = (bent * x + 0.25 * slope) * ratio / value
            by_slope = -bent * x / value - 0.5 * (ratio + 0.25 * theta * slope)
            _basis(p, x, basis)
            for q in range(row.size):
                row[q] = by_value * basis[0, q] + by_slope * basis[1, q] + 0.5 * basis[2, q]
            total += _add(row, at, g - margin, hard, hessian, gradient)
    return total


@kernel
def _wing_loss(
    p: Float64Array, at: int, hard: float, row: Float64Array, hessian: Float64Array, gradient: Float64Array
) -> float:
    """Losses where a wing rises too slowly: the step has to see it, as `_keep_within` alone would hold it fast."""
    weights, total = 0.0, 0.0
    for o in range(2, p.size, 3):
        weights += p[o]
    for side in (-1.0, 1.0):
        short = weights + side * p[1] - LEAST_WING
        if short < 0.0:
            row[:] = 0.0
            row[1] = side
            for o in range(2, p.size, 3):
                row[o] = 1.0
            total += _add(row, at, short, hard, hessian, gradient)
    return total


@kernel
def _calendar_loss(
    sooner: Float64Array,
    later: Float64Array,
    at: int,
    ratio: float,
    grid: Float64Array,
    margin: float,
    hard: float,
    basis: Float64Array,
    before: Float64Array,
    both: Float64Array,
    hessian: Float64Array,
    gradient: Float64Array,
) -> float:
    """Losses where the later total variance is not above the sooner one, whose theta is `ratio` of the later's."""
    total, n, stretch = 0.0, later.size, 1.0 / math.sqrt(ratio)
    for j in range(grid.size):
        x = grid[j]
        near = 1.0 / (1.0 + abs(x))
        rise = (_value(later, x) - ratio * _value(sooner, x * stretch)) * near - margin
        if rise < 0.0:
            _basis(later, x, basis)
            _basis(sooner, x * stretch, before)
            for q in range(n):
                both[q], both[n + q] = -ratio * near * before[0, q], near * basis[0, q]
            total += _add(both, at - n, rise, hard, hessian, gradient)
    return total


@kernel
def _loss(
    params: Float64Array,
    prior: Float64Array,
    quotes: Float64Array,
    first: Int64Array,
    theta: Float64Array,
    grid: Float64Array,
    stage: Float64Array,
    hessian: Float64Array,
    gradient: Float64Array,
) -> float:
    """The whole loss, with the normal equations it gives. `stage`: see `fit`."""
    reach, centring, ridge, butterfly, calendar, margin = stage[0], stage[1], stage[2], stage[3], stage[4], stage[5]
    expiries, n = params.shape
    hessian[:], gradient[:] = 0.0, 0.0
    basis, before, row, both = np.zeros((3, n)), np.zeros((3, n)), np.zeros(n), np.zeros(2 * n)
    total = 0.0
    for i in range(expiries):
        p, at = params[i], i * n
        for q in range(n):
            hessian[at + q, at + q] += ridge
            gradient[at + q] += ridge * (p[q] - prior[i, q])
            total += ridge * (p[q] - prior[i, q]) ** 2
        own = quotes[first[i] : first[i + 1]]
        total += _quote_loss(p, at, own, reach, centring, basis, row, hessian, gradient)
        total += _butterfly_loss(p, at, theta[i], grid, margin, butterfly, basis, row, hessian, gradient)
        total += _wing_loss(p, at, butterfly, row, hessian, gradient)
        if i > 0 and calendar > 0.0:
            ratio, sooner = theta[i - 1] / theta[i], params[i - 1]
            total += _calendar_loss(
                sooner, p, at, ratio, grid, 0.1 * margin, calendar, basis, before, both, hessian, gradient
            )
    return total


@kernel
def _step(
    hessian: Float64Array, damping: float, gradient: Float64Array, width: int, factor: Float64Array, step: Float64Array
) -> None:
    """Solve (hessian + damping x its diagonal) step = -gradient by Cholesky within a band of `width`."""
    size = gradient.size
    for i in range(size):
        start = max(0, i - width)
        rest = -gradient[i]
        for j in range(start, i + 1):
            s = hessian[i, j] + (damping * (hessian[i, i] + 1e-6) if i == j else 0.0)
            for k in range(max(start, j - width), j):
                s -= factor[i, k] * factor[j, k]
            factor[i, j] = math.sqrt(max(s, 1e-12)) if i == j else s / factor[j, j]
        for k in range(start, i):
            rest -= factor[i, k] * step[k]
        step[i] = rest / factor[i, i]
    for i in range(size - 1, -1, -1):
        rest = step[i]
        for k in range(i + 1, min(size, i + width + 1)):
            rest -= factor[k, i] * step[k]
        step[i] = rest / factor[i, i]


@kernel
def _keep_within(p: Float64Array, steepest: float) -> None:
    """Move one row of parameters to one that is allowed: both wings rise, slowly at least and `steepest` at most."""
    total = 0.0
    for o in range(2, p.size, 3):
        p[o] = max(p[o], 0.0)
        p[o + 1] = min(max(p[o + 1], -FARTHEST), FARTHEST)
        p[o + 2] = min(max(p[o + 2], LEAST_WIDTH), FARTHEST)
        total += p[o]
    least = 0.1 * LEAST_WING
    if total < 2.0 * least:
        p[2] += 2.0 * least - total
        total = 2.0 * least
    p[1] = min(max(p[1], least - total), total - least)
    shrink = steepest / (total + abs(p[1]))
    if shrink < 1.0:
        for o in range(2, p.size, 3):
            p[o] *= shrink
        p[1] *= shrink


@kernel
def fit(
    start: Float64Array,
    prior: Float64Array,
    quotes: Float64Array,
    first: Int64Array,
    theta: Float64Array,
    grid: Float64Array,
    stages: Float64Array,
) -> Float64Array:
    """Parameters (expiries x n) of least loss, found from `start` in stages.

    A stage is [reach of the robust loss, centring, ridge toward `prior`, weight of butterflies, weight of calendars,
    margin, steps at most]. `quotes` are rows as in `_quote_loss`, those of expiry i from first[i] to first[i + 1].
    """
    expiries, n = start.shape
    size, best = expiries * n, start.copy()
    hessian, gradient = np.zeros((size, size)), np.zeros(size)
    next_hessian, next_gradient = np.zeros((size, size)), np.zeros(size)
    factor, step = np.zeros((size, size)), np.zeros(size)
    for s in range(stages.shape[0]):
        cost = _loss(best, prior, quotes, first, theta, grid, stages[s], hessian, gradient)
        damping = 1e-2
        for _ in range(int(stages[s, 6])):
            _step(hessian, damping, gradient, 2 * n - 1, factor, step)
            trial = best + step.reshape(expiries, n)
            for i in range(expiries):
                _keep_within(trial[i], STEEPEST / math.sqrt(theta[i]))
            found = _loss(trial, prior, quotes, first, theta, grid, stages[s], next_hessian, next_gradient)
            if found < cost:
                gain, best, cost = (cost - found) / cost, trial, found
                hessian, next_hessian = next_hessian, hessian
                gradient, next_gradient = next_gradient, gradient
                damping = max(0.2 * damping, 1e-9)
                if gain < 1e-4:
                    break
            else:
                damping *= 6.0
                if damping > 1e8:
                    break
    return best
