"""SABR by Hagan's lognormal formula: the volatility as written, and a smile of it with its derivatives.

Hagan, Kumar, Lesniewski & Woodward, "Managing smile risk", Wilmott (September 2002), equation 2.17a. The expansion is
not free of arbitrage far from the money; `arbitrage.check` measures by how much.
"""

import math
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from seawall.risk.surfaces.smile import Float64Array, Numbers, Variance, as_array, correlation
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

_NEAR: Final = 1e-3
"""Below this |z| the ratio z / x(z) is taken from its series; the next term is below 1e-16."""


@dataclass(frozen=True, slots=True)
class Sabr:
    """alpha: initial volatility of forward^beta; nu: volatility of that; rho: their correlation.

    Raises InputError outside alpha > 0, 0 <= beta <= 1, |rho| < 1, nu >= 0.
    """

    alpha: float
    beta: float
    rho: float
    nu: float

    def __post_init__(self) -> None:
        positive("alpha", self.alpha)
        number("beta", self.beta, at_least=0, at_most=1)
        correlation("rho", self.rho)
        number("nu", self.nu, at_least=0)

    def volatility(self, forward: Numbers, strike: Numbers, years: float) -> Float64Array:
        """Black volatility, annual; arguments broadcast.

        Raises InputError for a forward, strike or years that are not positive, and where the expansion turns negative.
        """
        forward, strike = as_array("forward", forward), as_array("strike", strike)
        if not (np.all(forward > 0) and np.all(strike > 0)):
            raise InputError("strike", "an array", "forward and strike must be positive")
        positive("years", years)
        below = 1 - self.beta
        log = -np.log1p((strike - forward) / forward)  # ln(f/K) keeps its digits near the money
        mean = (forward * strike) ** (0.5 * below)
        spread = (below * log) ** 2
        z = self.nu / self.alpha * mean * log
        ratio, _, _ = _ratio(np.asarray(z), self.rho)
        drift = (
            (below * self.alpha / mean) ** 2 / 24
            + self.rho * self.beta * self.nu * self.alpha / (4 * mean)
            + (2 - 3 * self.rho**2) / 24 * self.nu**2
        )
        volatility = self.alpha / (mean * (1 + spread / 24 + spread * spread / 1920)) * ratio * (1 + drift * years)
        if not np.all(volatility > 0):
            raise InputError("years", years, "is too long for the expansion: the volatility is not positive")
        return np.asarray(volatility)


class SabrSmile(msgspec.Struct, frozen=True, tag="sabr", forbid_unknown_fields=True):
    """The lognormal case, beta = 1, at one expiry: the volatility depends on the forward only through log-moneyness."""

    alpha: float
    rho: float
    nu: float
    years: float

    def __post_init__(self) -> None:
        Sabr(self.alpha, 1.0, self.rho, self.nu)
        positive("years", self.years)
        if not self._middle() > 0:
            raise InputError("years", self.years, "is too long for the expansion: the volatility is not positive")

    def variance(self, k: Numbers) -> Variance:
        """As `Smile.variance`."""
        k = as_array("log-moneyness", k)
        turn = -self.nu / self.alpha
        ratio, first, second = _ratio(turn * k, self.rho)
        scale = self._middle() ** 2 * self.years
        value = scale * ratio * ratio
        slope = scale * 2 * ratio * first * turn
        return Variance(value, slope, scale * 2 * (first * first + ratio * second) * turn * turn)

    def wings(self) -> tuple[float, float]:
        """As `Smile.wings`: without bound, as the volatility grows like |k| / ln |k|."""
        wing = math.inf if self.nu > 0 else 0.0
        return wing, wing

    def _middle(self) -> float:
        """Volatility at the money."""
        drift = self.rho * self.nu * self.alpha / 4 + (2 - 3 * self.rho**2) / 24 * self.nu**2
        return self.alpha * (1 + drift * self.years)


def _ratio(z: Float64Array, rho: float) -> tuple[Float64Array, Float64Array, Float64Array]:
    """z / x(z) and its first two derivatives, x(z) = ln((sqrt(1 - 2 rho z + z^2) + z - rho) / (1 - rho)).

    x is odd under (z, rho) -> (-z, -rho), so that its logarithm is taken on the side where nothing cancels.
    """
    near = np.abs(z) < _NEAR
    safe = np.where(near, 1.0, z)
    root = np.sqrt(1 - 2 * rho * safe + safe * safe)
    side, size = np.sign(safe), np.abs(safe)
    lean = side * rho
    x = side * np.log1p(size * (1 + (size - 2 * lean) / (root + 1)) / (1 - lean))
    first_x, second_x = 1 / root, (rho - safe) / root**3
    ratio = safe / x
    first = (1 - ratio * first_x) / x
    second = -(2 * first * first_x + ratio * second_x) / x
    # Its series around 0, the inverse of that of x(z) / z = integral of 1 / sqrt(1 - 2 rho z + z^2), over z.
    q1, q2, q3 = -rho / 2, (2 - 3 * rho**2) / 12, rho * (5 - 6 * rho**2) / 24
    q4, q5 = (-34 + 240 * rho**2 - 225 * rho**4) / 720, rho * (-74 + 275 * rho**2 - 210 * rho**4) / 480
    ratio = np.where(near, 1 + z * (q1 + z * (q2 + z * (q3 + z * (q4 + z * q5)))), ratio)
    first = np.where(near, q1 + z * (2 * q2 + z * (3 * q3 + z * (4 * q4 + z * 5 * q5))), first)
    return ratio, first, np.where(near, 2 * q2 + z * (6 * q3 + z * (12 * q4 + z * 20 * q5)), second)
