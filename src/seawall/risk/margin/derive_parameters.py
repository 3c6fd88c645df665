"""Parameters of Derive's portfolio margin, both versions; derive.py states the formulas they enter."""

from typing import Annotated, Final, Literal

import msgspec

from seawall.risk.margin.portfolio import Days, Share, Struct

SKEWS: Final = ("linear", "abs")


Multiple = Annotated[float, msgspec.Meta(gt=0, le=1e3)]


class Scenario(Struct, frozen=True):
    """Spot times `spot`; volatility up, none, down, or skewed; P&L times `dampening`."""

    spot: Multiple
    volatility: Literal["up", "none", "down", "linear", "abs"]
    dampening: Share = 1.0

    @property
    def name(self) -> str:
        """As a person would say it."""
        word = f"skew {self.volatility}" if self.volatility in SKEWS else f"volatility {self.volatility}"
        return f"spot {self.spot - 1:+.4g}, {word}" + (f", x {self.dampening:.4g}" if self.dampening != 1 else "")


class VolatilityShock(Struct, frozen=True):
    """Up: max(floor, v*(1 + up*m)); down: v*max(0, 1 - down*m); m = (30 / max(days, dte_floor))^power."""

    up: Share
    down: Share
    short_power: Share
    long_power: Share
    dte_floor: Days
    floor: Share = 0.0


class Skew(Struct, frozen=True):
    """Multiplier 1 + k*cap/k* within +-cap, t = sqrt(T); cap = base + slope*t; k* = max(k_min, t*width*(v0 + v1*t))."""

    linear_base: float
    linear_slope: float
    abs_base: float
    abs_slope: float
    k_min: Share
    width: Share
    volatility_base: float
    volatility_slope: float


class Factors(Struct, frozen=True):
    """Factors of the loss, and the static discount of what is owned and markup of what is owed."""

    maintenance: Share
    initial: Share
    long_discount: Share
    long_rate_scale: float
    long_rate_add: float
    short_markup: Share = 1.0
    short_rate_scale: float = 0.0
    short_rate_add: float = 0.0


class Basis(Struct, frozen=True):
    """Spot multipliers of the basis contingency and its factor add + per_year * T."""

    up: Multiple
    down: Multiple
    add: Share
    per_year: Share


class Contingency(Struct, frozen=True):
    """Fractions of spot for each perpetual, naked short option and (PMRM) coin; peg and confidence."""

    maintenance_perpetual: Share
    maintenance_option: Share
    peg_threshold: Share
    peg_factor: Share
    confidence_threshold: Share
    confidence_factor: Share
    initial_perpetual: Share = 0.0
    initial_option: Share = 0.0
    coin: Share = 0.0


class Collateral(Struct, frozen=True):
    """Haircuts of a collateral (initial comes on top of maintenance), and whether it moves with spot in scenarios."""

    initial_haircut: Share
    maintenance_haircut: Share
    risk_cancelling: bool


class DeriveParameters(Struct, frozen=True):
    """Everything; `collateral` by underlying, then by currency."""

    cash: str
    scenarios: Annotated[tuple[Scenario, ...], msgspec.Meta(min_length=1)]
    volatility_shock: VolatilityShock
    factors: Factors
    basis: Basis
    contingency: Contingency
    skew: Skew | None = None
    collateral: dict[str, dict[str, Collateral]] = msgspec.field(default_factory=dict)
