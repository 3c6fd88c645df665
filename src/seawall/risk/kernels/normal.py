"""The normal distribution and what Black's formula needs of it, in forms that lose no digits.

Mills ratio. R(z) = Phi(-z) / phi(z). Black's value of an out-of-the-money option is, with x = |ln(F/K)|, s the total
volatility, z = x/s and t = s/2,

    sqrt(FK) * exp(-(z*z + t*t)/2) / sqrt(2 pi) * [R(z - t) - R(z + t)],

so that the difference in brackets carries all the cancellation and the exponential none (P. Jaeckel, "Let's Be
Rational", Wilmott, January 2015, section 6, writes the same with scaled complementary error functions).

Coefficients were fitted for this file, with 50 digits: R by a weighted rational least-squares fit (Loeb's weights for
the denominator, Lawson's for the maximum) at 120 points of [0, 40], the exponential and the inverse hyperbolic tangent
by Chebyshev interpolation. tests/risk/test_kernels.py holds them to the functions.
"""

import math
from typing import Any, Final

import numpy as np
from numba import types
from numba.extending import intrinsic

from seawall.risk.kernels import inlined

ROOT_TWO_PI: Final = 2.5066282746310002
PER_ROOT_TWO_PI: Final = 0.3989422804014327
PER_ROOT_TWO: Final = 0.7071067811865476
MILLS_MAX: Final = 46.0
"""No argument is larger where phi(z - t) is above 0, for ln(F/K) <= 230: (z + t)^2 = (z - t)^2 + 2 ln(F/K)."""

_LOG_TWO_HIGH: Final = 6.93147180369123816490e-01  # 32 bits: its product with an exponent is exact
_LOG_TWO_LOW: Final = 1.90821492927058770002e-10
_PER_LOG_TWO: Final = 1.4426950408889634
_SHIFT: Final = 6755399441055744.0  # 1.5 * 2^52: a double this large has its integer part in its low bits
_TERMS: Final = np.array([1.0 / max(k, 1) for k in range(64)])


@intrinsic
def _bits(_context: Any, _real: Any) -> Any:
    """The 64 bits of a double as an integer; numba has no such view of a scalar that a vectorised loop may use."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _real(_context: Any, _bits_given: Any) -> Any:
    """The double that has these 64 bits."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def fused(_context: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """a * b + c with one rounding: one instruction of a processor of the last ten years, slow but equal on others."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@inlined
def exponential(y: float) -> float:
    """exp(y) for y <= 0, branch-free: relative error below 4e-16; below -708 that of -708, 3e-308."""
    y = max(y, -708.0)
    shifted = fused(y, _PER_LOG_TWO, _SHIFT)
    k = shifted - _SHIFT
    r = fused(k, -_LOG_TWO_LOW, fused(k, -_LOG_TWO_HIGH, y))
    p = fused(fused(2.5100375832561234e-08, r, 2.7620075879983367e-07), r, 2.7557268480310024e-06)
    p = fused(fused(fused(p, r, 2.4801521322368692e-05), r, 0.00019841269863040545), r, 0.0013888888917196719)
    p = fused(fused(fused(p, r, 0.008333333333330065), r, 0.041666666666624164), r, 0.16666666666666669)
    p = fused(fused(p, r, 0.5) * r, r, r) + 1.0
    return _real(_bits(p) + (_bits(shifted) << 52))


@inlined
def octaves(high: float, low: float) -> tuple[float, float]:
    """k and 2^k * low for 1e-50 <= low <= high <= 1e50, with k for |high - 2^k low| < 0.2 (high + 2^k low).

    The difference of the bits is a logarithm to base 2, linear within each octave and so off by at most 0.09.
    """
    exponent = (_bits(high) - _bits(low) + (1 << 51)) >> 52
    return _real(exponent + 0x4338000000000000) - _SHIFT, _real(_bits(low) + (exponent << 52))


@inlined
def log_of_octaves(k: float, u: float) -> float:
    """ln(2^k * (1 + u)/(1 - u)) for |u| <= 0.2, branch-free."""
    v = u * u
    p = fused(fused(0.07605082150744223, v, 0.07636681533517668), v, 0.09092522012503446)
    p = fused(fused(p, v, 0.11111087237043986), v, 0.14285714453489687)
    p = fused(fused(p, v, 0.1999999999955872), v, 0.3333333333333352)
    return fused(k, _LOG_TWO_HIGH, fused(2.0, u, fused(2.0 * u * v, p, k * _LOG_TWO_LOW)))


@inlined
def log_ratio(high: float, low: float) -> float:
    """ln(high/low) for 1e-50 <= low <= high <= 1e50, branch-free: relative error below 5e-16.

    Near the money k is 0 and the difference is exact by Sterbenz's lemma; log(high/low) would lose all digits there.
    """
    k, scaled = octaves(high, low)
    return log_of_octaves(k, (high - scaled) / (high + scaled))


@inlined
def mills_parts(z: float) -> tuple[float, float]:
    """Numerator and denominator of `mills`; the second is at most 6e10."""
    p = fused(
        fused(fused(3.5006006436719753e-06, z, 9.399193131118414e-05), z, 0.0012360025881751053),
        z,
        0.010296756156355726,
    )
    p = fused(fused(fused(p, z, 0.05943083855714788), z, 0.24560980964943394), z, 0.72683904141431)
    p = fused(fused(fused(p, z, 1.4912776325841206), z, 1.943855334914268), z, 1.2533141373155001)
    q = fused(
        fused(fused(3.500600643681387e-06, z, 9.39919313092094e-05), z, 0.0012395031890053275), z, 0.010390748077084566
    )
    q = fused(fused(fused(q, z, 0.06065984035015371), z, 0.25571857066972054), z, 0.7838331172341405)
    q = fused(fused(fused(q, z, 1.717229986730386), z, 2.5639839121060586), z, 2.348856720965232)
    return p, fused(q, z, 1.0)


@inlined
def mills(z: float) -> float:
    """R(z) for 0 <= z <= 46, branch-free: relative error below 1e-15, from 40 on 3e-15."""
    p, q = mills_parts(z)
    return p / q


@inlined
def mills_of_any(z: float) -> float:
    """R(z) for z >= -37: below 0 by R(z) = 1/phi(z) - R(-z), where nothing cancels."""
    if z < 0.0:
        return ROOT_TWO_PI * math.exp(0.5 * z * z) - mills(-z)
    return mills(min(z, MILLS_MAX))


@inlined
def mills_difference(z: float, t: float) -> float:
    """R(z - t) - R(z + t) for z >= 0, t >= 0, to a few units in the last place of R(z - t) / 4 or of itself.

    For t not small the two are subtracted. For small t it is 2 * sum over odd k of t^k * I_k(z), where
    I_k = int_0^inf u^k / k! * exp(-z*u - u*u/2) du has I_(k+1) = (I_(k-1) - z*I_k) / (k+1) (W. Gautschi, "Efficient
    computation of the complex error function", SIAM J. Numer. Anal. 7 (1970), section 2): upwards for small z, and
    downwards, as a continued fraction of positive terms, where the upward recurrence would cancel.
    """
    if t > 0.8 - 0.15 * min(z, 4.0):
        return mills_of_any(z - t) - mills_of_any(z + t)
    if z < 6.0:
        return _series_upwards(z, t)
    return _series_downwards(z, t)


@inlined
def mills_difference_near(z: float, t: float) -> float:
    """The same, cheaply: relative error below 1e-6 of R(z - t)."""
    if t < 1e-4:
        return 2.0 * t * (1.0 - z * mills(min(z, MILLS_MAX))) if z < 1e3 else 2.0 * t / (z * z)
    return mills_of_any(z - t) - mills_of_any(z + t)


@inlined
def _series_upwards(z: float, t: float) -> float:
    square, slope = t * t, z * t
    before = mills(z)
    term = t * (1.0 - z * before)
    total, k = term, 1
    while k < 40:
        before, term = term, (square * before - slope * term) * _TERMS[k + 1]
        before, term = term, (square * before - slope * term) * _TERMS[k + 2]
        total += term
        k += 2
        if term < 1e-18 * total:
            break
    return 2.0 * total


@inlined
def _series_downwards(z: float, t: float) -> float:
    ratio = 0.5 * (math.sqrt(z * z + 100.0) - z) / 25.0  # I_24/I_23, nearly
    total = 0.0
    for k in range(23, 0, -1):
        ratio = 1.0 / (z + (k + 1) * ratio)
        total = t * ratio * (total + (k & 1))
    return 2.0 * total / (z + ratio)
