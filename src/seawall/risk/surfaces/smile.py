"""What a smile is: total implied variance over log-moneyness, and the two measures of its arbitrage at one expiry.

Log-moneyness is k = ln(strike / forward), total variance w(k) = volatility squared x years. A smile is free of
butterfly arbitrage iff w > 0, Gatheral's g >= 0 everywhere and d+ -> -infinity on the right, for which w/k below 2 far
out is enough: Gatheral & Jacquier, "Arbitrage-free SVI volatility surfaces" (2014, arXiv:1204.0646), section 2.2.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number

Float64Array = npt.NDArray[np.float64]
Numbers = Float64Array | float


class Variance(NamedTuple):
    """Total variance and its first two derivatives in log-moneyness, arrays of one shape."""

    value: Float64Array
    slope: Float64Array
    curvature: Float64Array


class Smile(Protocol):
    """Total variance at one expiry."""

    def variance(self, k: Numbers) -> Variance:
        """Total variance and its derivatives at log-moneyness `k`."""

    def wings(self) -> tuple[float, float]:
        """Limits of w / |k| far left and far right; infinite where w outgrows every line."""


@dataclass(frozen=True, slots=True)
class Combined:
    """A weighted sum of smiles, raised by `level` and tilted by `tilt` x k: what shocks and interpolation make."""

    parts: tuple[tuple[float, Smile], ...]
    level: float = 0.0
    tilt: float = 0.0

    def variance(self, k: Numbers) -> Variance:
        """As `Smile.variance`."""
        k = as_array("log-moneyness", k)
        value, slope, curvature = self.level + self.tilt * k, np.full_like(k, self.tilt), np.zeros_like(k)
        for weight, smile in self.parts:
            of = smile.variance(k)
            value = value + weight * of.value
            slope = slope + weight * of.slope
            curvature = curvature + weight * of.curvature
        return Variance(value, slope, curvature)

    def wings(self) -> tuple[float, float]:
        """As `Smile.wings`."""
        both = [(weight, smile.wings()) for weight, smile in self.parts]
        left = sum((weight * wing[0] for weight, wing in both), -self.tilt)
        return left, sum((weight * wing[1] for weight, wing in both), self.tilt)


def butterfly(k: Numbers, at: Variance) -> Float64Array:
    """Gatheral's g: the risk-neutral density times sqrt(2 pi w) exp(d-^2 / 2); negative where a butterfly pays to hold.

    Section 2.2, equation 2.1 of the paper above. Raises InputError unless every total variance is positive.
    """
    k = as_array("log-moneyness", k)
    w, slope = at.value, at.slope
    if not np.all(w > 0):
        raise InputError("total variance", float(np.min(w)), "must be positive")
    ratio = slope / w
    bent = 1.0 - 0.5 * k * ratio
    return np.asarray(bent * bent - 0.25 * slope * (ratio + 0.25 * slope) + 0.5 * at.curvature)


def density(k: Numbers, at: Variance) -> Float64Array:
    """Risk-neutral density of ln(settlement / forward) at `k`; integrates to 1 where the smile is free of arbitrage."""
    k = as_array("log-moneyness", k)
    g = butterfly(k, at)
    root = np.sqrt(at.value)
    behind = -k / root - 0.5 * root
    return np.asarray(g * np.exp(-0.5 * behind * behind) / (math.sqrt(2 * math.pi) * root))


def correlation(field: str, value: float) -> float:
    """`value`. Raises InputError unless it lies in (-1, 1)."""
    if not abs(number(field, value)) < 1:
        raise InputError(field, value, "must lie in (-1, 1)")
    return value


def as_array(field: str, value: Numbers) -> Float64Array:
    """`value` as float64. Raises InputError where it is not finite."""
    array = np.asarray(value, float)
    if not np.all(np.isfinite(array)):
        raise InputError(field, array.tolist() if array.ndim == 0 else "an array", "must be finite")
    return array
