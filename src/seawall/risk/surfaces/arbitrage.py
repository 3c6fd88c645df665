"""How far a set of smiles is from static arbitrage: within each expiry, between neighbours, and far out.

Within an expiry: Gatheral's g and the total variance itself, on a fine grid within six standard deviations and a coarse
one to a million. Between expiries: total variance must not fall with time at equal log-moneyness (Gatheral & Jacquier,
arXiv:1204.0646, Lemma 2.1), on the grid of the later one. Far out: slopes at most 2 (Lee, "The moment formula for
implied volatility at extreme strikes", Mathematical Finance 14, 2004) and not falling with time. In between expiries
the interpolated smiles are measured, too: interpolation keeps the order in time, but does not by itself keep g >= 0.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from seawall.risk.surfaces.smile import Combined, Float64Array, Smile, Variance, butterfly
from seawall.vocabulary.errors import InputError

DEVIATIONS: Final = 6.0
POINTS: Final = 1201
"""One each hundredth of a standard deviation; no calibrated hyperbola bends within less than a tenth."""
STEEPEST: Final = 2.0
BETWEEN: Final = (0.25, 0.5, 0.75)
"""Where between two expiries' total variances the interpolated smile is measured."""

_BEYOND: Final = np.geomspace(DEVIATIONS, 1e6, 121)[1:]
FAR_GRID: Final[Float64Array] = np.concatenate([-_BEYOND[::-1], _BEYOND])
GRID: Final[Float64Array] = np.linspace(-DEVIATIONS, DEVIATIONS, POINTS)
_GRID: Final[Float64Array] = np.concatenate([GRID, FAR_GRID])
_NEAR: Final = np.abs(_GRID) <= DEVIATIONS


class Butterfly(msgspec.Struct, frozen=True):
    """One expiry: the least g at its log-moneyness, the least total variance, and on how many points either fails."""

    least_g: float
    at: float
    least_variance: float
    violations: int
    beyond: int
    """violations more than six standard deviations out"""
    left: float | None
    """slope of total variance far left, None without bound"""
    right: float | None


class Calendar(msgspec.Struct, frozen=True):
    """Two neighbouring expiries: the least rise of total variance, relative to the later one's, and where."""

    least_rise: float
    at: float
    violations: int
    beyond: int
    least_g_between: float
    """the least g of the interpolated smiles"""
    violations_between: int


class Arbitrage(msgspec.Struct, frozen=True):
    """The measures of a whole surface."""

    butterflies: tuple[Butterfly, ...]
    calendars: tuple[Calendar, ...]

    @property
    def violations(self) -> int:
        """Points within six standard deviations where a smile or two neighbours admit arbitrage."""
        return sum(b.violations for b in self.butterflies) + sum(
            c.violations + c.violations_between for c in self.calendars
        )

    @property
    def free(self) -> bool:
        """Whether no point of any grid fails and no wing is too steep or flattens with time."""
        beyond = sum(b.beyond for b in self.butterflies) + sum(c.beyond for c in self.calendars)
        return not (self.violations or beyond) and all(
            _wings_fit([getattr(row, side) for row in self.butterflies]) for side in ("left", "right")
        )


def check(smiles: Sequence[Smile]) -> Arbitrage:
    """The measures of smiles in the order of their expiries. Raises InputError where there is none."""
    if not smiles:
        raise InputError("smiles", 0, "must be at least one")
    butterflies, calendars = [], []
    for place, smile in enumerate(smiles):
        k = _grid(smile)
        here = smile.variance(k)
        butterflies.append(_butterfly(k, here, smile.wings()))
        if place:
            calendars.append(_calendar(k, smiles[place - 1].variance(k), here))
    return Arbitrage(tuple(butterflies), tuple(calendars))


def _wings_fit(slopes: Sequence[float | None]) -> bool:
    """Whether the slopes of one side, in order of time, lie in [0, 2] and do not fall."""
    bounded = [slope for slope in slopes if slope is not None]
    return len(bounded) == len(slopes) and bounded == sorted(bounded) and bounded[0] >= 0 and bounded[-1] <= STEEPEST


def deviation(smile: Smile) -> float:
    """The standard deviation of log-moneyness, the root of total variance at the money. Raises InputError at 0."""
    middle = float(smile.variance(0.0).value)
    if not middle > 0:
        raise InputError("total variance", middle, "must be positive at the money")
    return math.sqrt(middle)


def _grid(smile: Smile) -> Float64Array:
    return _GRID * deviation(smile)


def _least_g(k: Float64Array, at: Variance) -> tuple[Float64Array, int, int]:
    """g with the worst possible value where total variance is not positive, failures near, failures beyond."""
    positive = at.value > 0
    safe = Variance(np.where(positive, at.value, 1.0), at.slope, at.curvature)
    g = np.where(positive, butterfly(k, safe), -1.0)
    bad = g < 0
    return g, int(np.count_nonzero(bad & _NEAR)), int(np.count_nonzero(bad & ~_NEAR))


def _butterfly(k: Float64Array, at: Variance, wings: tuple[float, float]) -> Butterfly:
    g, near, beyond = _least_g(k, at)
    worst = int(np.argmin(g))
    left, right = (wing if np.isfinite(wing) else None for wing in wings)
    return Butterfly(float(g[worst]), float(k[worst]), float(np.min(at.value)), near, beyond, left, right)


def _calendar(k: Float64Array, sooner: Variance, later: Variance) -> Calendar:
    rise = (later.value - sooner.value) / later.value
    bad = rise < 0
    worst = int(np.argmin(rise))
    near, beyond = int(np.count_nonzero(bad & _NEAR)), int(np.count_nonzero(bad & ~_NEAR))
    least, within = np.inf, 0
    for share in BETWEEN:
        mixed = Variance(*((1 - share) * a + share * b for a, b in zip(sooner, later, strict=True)))
        g, inner, outer = _least_g(k, mixed)
        least, within, beyond = min(least, float(np.min(g))), within + inner, beyond + outer
    return Calendar(float(rise[worst]), float(k[worst]), near, beyond, least, within)


def between(sooner: Smile, later: Smile, share: float) -> Combined:
    """The smile between two, linear in total variance at constant log-moneyness: `share` 0 the sooner, 1 the later."""
    return Combined(((1 - share, sooner), (share, later)))
