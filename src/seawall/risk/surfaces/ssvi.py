"""SSVI: one surface from the total variance at the money, theta, and a function phi(theta) of the smile's curvature.

w(k, theta) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)): Gatheral & Jacquier, "Arbitrage-free SVI
volatility surfaces" (2014, arXiv:1204.0646), section 4; the conditions of Theorems 4.1 (calendar) and 4.2 (butterfly).
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from seawall.risk.surfaces.smile import correlation
from seawall.risk.surfaces.svi import RawSvi
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

_NEAR: Final = 0.1
"""Below this argument the Heston-like phi is its series, as the closed form loses a digit for each zero of it."""
_TERMS: Final = 9
"""The next one is below 1e-16."""


class Curvature(Protocol):
    """phi as a function of theta."""

    def phi(self, theta: float) -> float:
        """phi at `theta` > 0."""

    def growth(self, theta: float) -> float:
        """d(theta phi) / d(theta) over phi at `theta`; 1 where phi is constant, 0 where theta phi is."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """phi = eta / (theta^gamma (1 + theta)^(1 - gamma)); example 4.2 and remark 4.4."""

    eta: float
    gamma: float

    def __post_init__(self) -> None:
        positive("eta", self.eta)
        if not 0 < number("gamma", self.gamma) < 1:
            raise InputError("gamma", self.gamma, "must lie in (0, 1)")

    def phi(self, theta: float) -> float:
        """As `Curvature.phi`."""
        return self.eta * math.exp(-self.gamma * math.log(theta) - (1 - self.gamma) * math.log1p(theta))

    def growth(self, theta: float) -> float:
        """As `Curvature.growth`."""
        return (1 - self.gamma) / (1 + theta)


@dataclass(frozen=True, slots=True)
class HestonLike:
    """phi = (1 - (1 - exp(-x)) / x) / x with x = lambda theta; example 4.1."""

    rate: float

    def __post_init__(self) -> None:
        positive("lambda", self.rate)

    def phi(self, theta: float) -> float:
        """As `Curvature.phi`."""
        x = self.rate * theta
        if x < _NEAR:
            return math.fsum((-x) ** n / math.factorial(n + 2) for n in range(_TERMS))
        return (1 + math.expm1(-x) / x) / x

    def growth(self, theta: float) -> float:
        """As `Curvature.growth`."""
        x = self.rate * theta
        if x < _NEAR:
            slope = math.fsum((n + 1) * (-x) ** n / math.factorial(n + 2) for n in range(_TERMS))
        else:
            slope = (1 - math.exp(-x) * (1 + x)) / (x * x)
        return slope / self.phi(theta)


class Conditions(NamedTuple):
    """What Theorems 4.1 and 4.2 ask at one theta: the first two are sufficient, the third of both wings is exact."""

    butterfly_slope: float
    """theta phi (1 + |rho|), to be below 4"""
    butterfly_curvature: float
    """theta phi^2 (1 + |rho|), to be at most 4"""
    calendar: float
    """d(theta phi)/d(theta) / phi over its bound (1 + sqrt(1 - rho^2)) / rho^2, to lie in [0, 1]"""

    @property
    def no_butterfly(self) -> bool:
        """Theorem 4.2: sufficient for a smile without butterfly arbitrage."""
        return self.butterfly_slope < 4 and self.butterfly_curvature <= 4

    @property
    def no_calendar(self) -> bool:
        """Theorem 4.1, given that theta does not fall with time."""
        return 0 <= self.calendar <= 1


@dataclass(frozen=True, slots=True)
class Ssvi:
    """A whole surface but for theta's course in time. Raises InputError for |rho| >= 1 or what is not finite."""

    rho: float
    curvature: Curvature

    def __post_init__(self) -> None:
        correlation("rho", self.rho)

    def conditions(self, theta: float) -> Conditions:
        """The measures that decide, at one total variance at the money."""
        phi, steep = self.curvature.phi(positive("theta", theta)), 1 + abs(self.rho)
        root = math.sqrt(1 - self.rho**2)
        # (1 + root) / rho^2 = 1 / (1 - root), which is infinite without correlation: no bound.
        return Conditions(theta * phi * steep, theta * phi * phi * steep, self.curvature.growth(theta) * (1 - root))

    def smile(self, theta: float) -> RawSvi:
        """The smile where the total variance at the money is `theta`, as raw SVI; section 4, below equation 4.1."""
        phi = self.curvature.phi(positive("theta", theta))
        beside = 1 - self.rho**2
        return RawSvi(0.5 * theta * beside, 0.5 * theta * phi, self.rho, -self.rho / phi, math.sqrt(beside) / phi)
