"""A surface: the smiles of its expiries, and what lies between and beyond them.

Between two expiries total variance is linear in time at constant log-moneyness, which keeps calendar arbitrage out
(Gatheral & Jacquier, arXiv:1204.0646, Lemma 2.1); `arbitrage.check` measures the butterflies of it. Before the first
expiry it is the first smile's in proportion to time: with w scaled by s <= 1, g is (1 - k w'/2w)^2 - s w'^2/4w -
s^2 w'^2/16 + s w''/2, concave in s and not negative at 0 and 1, so nowhere between. Beyond the last expiry every
strike gains the forward variance that the last two expiries have at the money, up to twice the last one's time; there
the smile is checked, and refused where it has arbitrage.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from seawall.risk.surfaces.arbitrage import between, check
from seawall.risk.surfaces.smile import Combined, Float64Array, Numbers, Smile
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

FARTHEST = 2.0
"""Times the last expiry's years, beyond which nothing is said."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Smiles and forwards in the order of `years`, the years of 365 days from the chain's time to each expiry.

    Raises InputError unless years rise from above 0, forwards are positive, and there is one of each for each.
    """

    years: tuple[float, ...]
    forwards: tuple[float, ...]
    smiles: tuple[Smile, ...]

    def __post_init__(self) -> None:
        if not len(self.years) == len(self.forwards) == len(self.smiles) > 0:
            raise InputError("smiles", len(self.smiles), "must be as many as years and forwards, and at least one")
        before = 0.0
        for years, forward in zip(self.years, self.forwards, strict=True):
            if not before < number("years", years):
                raise InputError("years", years, f"must be above {before}")
            positive("forward", forward)
            before = years

    def smile(self, years: float) -> Smile:
        """The smile at `years`. Raises InputError at 0 or less, or beyond what can be said."""
        place = self._place(years)
        if years == self.years[min(place, len(self.years) - 1)]:
            return self.smiles[place]
        if place == 0:
            return Combined(((years / self.years[0], self.smiles[0]),))
        if place == len(self.years):
            return self._beyond(years)
        start, end = self.years[place - 1 : place + 1]
        return between(self.smiles[place - 1], self.smiles[place], (years - start) / (end - start))

    def forward(self, years: float) -> float:
        """The forward at `years`: log-linear between expiries, and on at the nearest two's rate. Raises InputError."""
        place = self._place(years)
        if len(self.years) == 1:
            return self.forwards[0]
        start = min(max(place - 1, 0), len(self.years) - 2)
        (first, second), (low, high) = self.years[start : start + 2], self.forwards[start : start + 2]
        return low * math.exp((years - first) / (second - first) * math.log(high / low))

    def volatility(self, k: Numbers, years: float) -> Float64Array:
        """Black volatility, annual, at log-moneyness `k`. Raises InputError as `smile`, or at a variance <= 0."""
        value = self.smile(years).variance(k).value
        if not np.all(value > 0):
            raise InputError("total variance", float(np.min(value)), "must be positive")
        return np.asarray(np.sqrt(value / years))

    def _place(self, years: float) -> int:
        if not 0 < number("years", years) <= FARTHEST * self.years[-1]:
            raise InputError("years", years, f"must lie in (0, {FARTHEST:g} x {self.years[-1]}]")
        return bisect_left(self.years, years)

    def _beyond(self, years: float) -> Smile:
        middles = [float(smile.variance(0.0).value) for smile in self.smiles[-2:]]
        if len(middles) == 1:
            middles, times = [0.0, *middles], (0.0, self.years[-1])
        else:
            times = (self.years[-2], self.years[-1])
        rate = (middles[1] - middles[0]) / (times[1] - times[0])
        found = Combined(((1.0, self.smiles[-1]),), level=rate * (years - self.years[-1]))
        if not check([found]).free:
            raise InputError("years", years, "the smile beyond the last expiry would admit arbitrage")
        return found
