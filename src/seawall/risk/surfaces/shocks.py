"""Shocks of a surface, so defined that calendar arbitrage cannot arise; what butterflies allow is measured.

Calibrated wings often run side by side, so that to scale or to tilt each expiry by itself would cross them at once.

parallel  every volatility times 1 + size: total variances are scaled by one factor, which keeps their order. A fall
          never creates arbitrage (surface.py has the proof for one smile)
skew      w becomes (w + |size| sqrt(theta) (k + sqrt(k^2 + theta))) / (1 + |size|), theta being w at the money, and -k
          for k where size < 0: one wing rises, the other falls by the factor, the volatility at the money stays. What
          is added rises with theta, hence with time
term      the variance of each interval between expiries times (1 + size / sqrt(1 + years / 30 days))^2, years being its
          middle: nearly all of it in the front, little far out. Increments stay positive
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Final

from seawall.risk.surfaces.arbitrage import check, deviation
from seawall.risk.surfaces.smile import Combined, Smile
from seawall.risk.surfaces.surface import Surface
from seawall.risk.surfaces.svi import Hyperbola, Hyperbolas
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number

TERM_YEARS: Final = 30 / 365
LOWEST, HIGHEST = -0.95, 4.0
HALVINGS: Final = 20


def _parallel(surface: Surface, size: float) -> tuple[Smile, ...]:
    return tuple(Combined((((1 + size) ** 2, smile),)) for smile in surface.smiles)


def _skew(surface: Surface, size: float) -> tuple[Smile, ...]:
    shocked = []
    for smile in surface.smiles:
        root, weight = deviation(smile), 1 / (1 + abs(size))
        wing = Hyperbolas(0.0, size * root, (Hyperbola(abs(size) * root, 0.0, root),))
        shocked.append(Combined(((weight, smile), (weight, wing))))
    return tuple(shocked)


def _term(surface: Surface, size: float) -> tuple[Smile, ...]:
    factors, before = [], 0.0
    for years in surface.years:
        factors.append((1 + size / math.sqrt(1 + 0.5 * (before + years) / TERM_YEARS)) ** 2)
        before = years
    # The sum of factor x increment, written by smiles: each but the last has its factor less that of the next.
    falls = [factor - following for factor, following in itertools.pairwise(factors)]
    return tuple(
        Combined((*zip(falls[:place], surface.smiles[:place], strict=True), (factors[place], smile)))
        for place, smile in enumerate(surface.smiles)
    )


SHOCKS: Final[Mapping[str, Callable[[Surface, float], tuple[Smile, ...]]]] = {
    "parallel": _parallel,
    "skew": _skew,
    "term": _term,
}


def shock(surface: Surface, kind: str, size: float) -> Surface:
    """The surface after a shock. Raises InputError for an unknown kind, or a size that would create arbitrage."""
    if kind not in SHOCKS:
        raise InputError("shock", kind, f"must be one of {', '.join(SHOCKS)}")
    if not LOWEST <= number("size", size) <= HIGHEST:
        raise InputError("size", size, f"must lie in [{LOWEST}, {HIGHEST}]")
    if not check(surface.smiles).free:
        raise InputError("surface", "given", "has arbitrage before any shock")
    smiles = SHOCKS[kind](surface, size)
    if not check(smiles).free:
        largest = largest_shock(surface, kind, up=size > 0)
        raise InputError("size", size, f"a {kind} shock of this sign creates arbitrage beyond {largest:.6g}")
    return Surface(surface.years, surface.forwards, smiles)


def largest_shock(surface: Surface, kind: str, *, up: bool) -> float:
    """The largest size of one sign that was found to create no arbitrage, by halving; 0 where none was."""
    free, bound = 0.0, HIGHEST if up else LOWEST
    if check(SHOCKS[kind](surface, bound)).free:
        return bound
    for _ in range(HALVINGS):
        middle = 0.5 * (free + bound)
        if check(SHOCKS[kind](surface, middle)).free:
            free = middle
        else:
            bound = middle
    return free
