"""SVI, the stochastic-volatility-inspired smile: raw, natural and jump-wings parameters; and with more hyperbolas.

Raw SVI is one hyperbola, w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)): Gatheral & Jacquier, "Arbitrage-free
SVI volatility surfaces" (2014, arXiv:1204.0646), section 3, which has the three parameterisations and the formulas
between them. `Hyperbolas` is the same with several of them added, so that a crypto smile's shoulders can be met too
(docs/decisions/0036).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import msgspec
import numpy as np

from seawall.risk.surfaces.smile import Numbers, Variance, as_array, correlation
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive


class Hyperbola(NamedTuple):
    """weight x sqrt((k - centre)^2 + width^2)."""

    weight: float
    centre: float
    width: float


class Hyperbolas(msgspec.Struct, frozen=True, tag="hyperbolas", forbid_unknown_fields=True):
    """Total variance level + slope x k + the sum of hyperbolas of weight >= 0; convex, with straight wings.

    Raises InputError for what is not finite, a negative weight or a width that is not positive.
    """

    level: float
    slope: float
    parts: tuple[Hyperbola, ...]

    def __post_init__(self) -> None:
        number("level", self.level)
        number("slope", self.slope)
        for part in self.parts:
            number("weight", part.weight, at_least=0)
            number("centre", part.centre)
            positive("width", part.width)

    def variance(self, k: Numbers) -> Variance:
        """As `Smile.variance`."""
        k = as_array("log-moneyness", k)
        value, slope, curvature = self.level + self.slope * k, np.full_like(k, self.slope), np.zeros_like(k)
        for weight, centre, width in self.parts:
            away = k - centre
            root = np.hypot(away, width)
            bend = width / root
            value = value + weight * root
            slope = slope + weight * away / root
            curvature = curvature + weight * bend * bend / root
        return Variance(value, slope, curvature)

    def wings(self) -> tuple[float, float]:
        """As `Smile.wings`."""
        steepest = math.fsum(part.weight for part in self.parts)
        return steepest - self.slope, steepest + self.slope


@dataclass(frozen=True, slots=True)
class RawSvi:
    """The raw parameters. Raises InputError outside b >= 0, |rho| < 1, sigma > 0, a + b sigma sqrt(1 - rho^2) >= 0."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        number("a", self.a)
        number("b", self.b, at_least=0)
        correlation("rho", self.rho)
        number("m", self.m)
        positive("sigma", self.sigma)
        least = self.a + self.b * self.sigma * math.sqrt(1 - self.rho**2)
        if least < 0:
            raise InputError("a", self.a, f"least total variance, a + b sigma sqrt(1 - rho^2) = {least!r}, is negative")

    def variance(self, k: Numbers) -> Variance:
        """As `Smile.variance`."""
        k = as_array("log-moneyness", k)
        away = k - self.m
        root = np.hypot(away, self.sigma)
        value = self.a + self.b * (self.rho * away + root)
        bend = self.sigma / root
        return Variance(value, self.b * (self.rho + away / root), self.b * bend * bend / root)

    def wings(self) -> tuple[float, float]:
        """As `Smile.wings`."""
        return self.b * (1 - self.rho), self.b * (1 + self.rho)

    def hyperbolas(self) -> Hyperbolas:
        """The same smile, as a calibration keeps it."""
        slope = self.b * self.rho
        return Hyperbolas(self.a - slope * self.m, slope, (Hyperbola(self.b, self.m, self.sigma),))

    @classmethod
    def of(cls, smile: Hyperbolas) -> Self:
        """The raw parameters of one hyperbola. Raises InputError for more or less than one, or a flat one."""
        if len(smile.parts) != 1:
            raise InputError("hyperbolas", len(smile.parts), "raw SVI has exactly one")
        weight, centre, width = smile.parts[0]
        if weight == 0:
            raise InputError("weight", weight, "must be positive for raw parameters")
        return cls(smile.level + smile.slope * centre, weight, smile.slope / weight, centre, width)


@dataclass(frozen=True, slots=True)
class NaturalSvi:
    """w = delta + omega/2 (1 + zeta rho (k - mu) + sqrt((zeta (k - mu) + rho)^2 + 1 - rho^2)); section 3.2."""

    delta: float
    mu: float
    rho: float
    omega: float
    zeta: float

    def raw(self) -> RawSvi:
        """The raw parameters, equation 3.3. Raises InputError where they are none."""
        positive("zeta", self.zeta)
        number("omega", self.omega, at_least=0)
        beside = 1 - correlation("rho", self.rho) ** 2
        return RawSvi(
            a=self.delta + 0.5 * self.omega * beside,
            b=0.5 * self.omega * self.zeta,
            rho=self.rho,
            m=self.mu - self.rho / self.zeta,
            sigma=math.sqrt(beside) / self.zeta,
        )

    @classmethod
    def of(cls, raw: RawSvi) -> Self:
        """The natural parameters, the inverse of equation 3.3."""
        root = math.sqrt(1 - raw.rho**2)
        omega = 2 * raw.b * raw.sigma / root
        return cls(
            raw.a - 0.5 * omega * root * root, raw.m + raw.rho * raw.sigma / root, raw.rho, omega, root / raw.sigma
        )


@dataclass(frozen=True, slots=True)
class JumpWings:
    """Variance at the money `v`, its skew `psi`, slopes of the put and call wings `p`, `c`, least variance `vt`.

    Section 3.3. All for one expiry of `years`; p and c are slopes of total variance over its root at the money.
    """

    v: float
    psi: float
    p: float
    c: float
    vt: float
    years: float

    @classmethod
    def of(cls, raw: RawSvi, years: float) -> Self:
        """The jump-wings of raw parameters, equation 3.5. Raises InputError unless w(0) and `years` are positive."""
        positive("years", years)
        root = math.hypot(raw.m, raw.sigma)
        middle = raw.a + raw.b * (-raw.rho * raw.m + root)
        if not middle > 0:
            raise InputError("total variance", middle, "must be positive at the money")
        scale = math.sqrt(middle)
        return cls(
            v=middle / years,
            psi=0.5 * raw.b / scale * (raw.rho - raw.m / root),
            p=raw.b * (1 - raw.rho) / scale,
            c=raw.b * (1 + raw.rho) / scale,
            vt=(raw.a + raw.b * raw.sigma * math.sqrt(1 - raw.rho**2)) / years,
            years=years,
        )

    def raw(self) -> RawSvi:
        """The raw parameters, Lemma 3.2. Raises InputError where no raw smile has these jump-wings.

        Where psi = 0 the least variance is that at the money, and sigma does not follow from the five: refused.
        """
        for name in ("v", "p", "c", "years"):
            positive(name, getattr(self, name))
        number("psi", self.psi)
        number("vt", self.vt, at_least=0)
        middle = self.v * self.years
        b = 0.5 * math.sqrt(middle) * (self.c + self.p)
        rho = 1 - self.p * math.sqrt(middle) / b
        beta = rho - 2 * self.psi * math.sqrt(middle) / b
        if not abs(beta) < 1:
            raise InputError("psi", self.psi, "is steeper than the wings allow")
        # With t = m / sigma = beta / sqrt(1 - beta^2), (v - vt) years = b sigma span.
        t = beta / math.sqrt(1 - beta * beta)
        span = math.hypot(t, 1.0) - rho * t - math.sqrt(1 - rho * rho)
        if not span > 0:
            raise InputError("psi", self.psi, "must not be 0: the other parameters leave sigma open then")
        sigma = (self.v - self.vt) * self.years / (b * span)
        if not sigma > 0:
            raise InputError("vt", self.vt, "must be below the variance at the money")
        return RawSvi(self.vt * self.years - b * sigma * math.sqrt(1 - rho * rho), b, rho, t * sigma, sigma)
