"""What every closed form of this package is given: a lognormal spot with cost of carry, and its inputs checked.

Under the pricing measure d(spot) = carry * spot * dt + volatility * spot * dW, and cash is discounted at `rate`. Carry
is generalised as in E. G. Haug, "The Complete Guide to Option Pricing Formulas", 2nd ed. 2007, section 1.1.6:
carry = rate - yield for a coin that pays or costs a yield, rate for a stock, 0 for a future. A venue that margins
premiums daily discounts nothing: rate 0, carry from the futures curve (`curve.FuturesCurve.carry`).

Numbers may be complex with an imaginary part of 1e-30: that is how `greeks` differentiates them, so formulas compare
real parts only and stay analytic elsewhere.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from seawall.risk.market import VOLATILITY_MAX
from seawall.vocabulary.errors import InputError

Array = npt.NDArray[Any]
"""float64, or complex128 where `greeks` differentiates."""
Numbers = Array | float

CALL: Final = 1.0
PUT: Final = -1.0
UP: Final = 1.0
DOWN: Final = -1.0
IN: Final = 1.0
OUT: Final = -1.0

VOLATILITY_MIN: Final = 1e-6
YEARS_MIN: Final = 1e-9
YEARS_MAX: Final = 30.0
RATE_LIMIT: Final = 10.0
"""Annual, 1,000 %: a rate or carry beyond is an error of the source."""
SPOT_MAX: Final = 1e12
LEVEL_RATIO_MAX: Final = 1e6
"""A strike or barrier further than this factor from spot is an error of the source, not a far wing."""
CASH_MAX: Final = 1e15

_REAL: Final = "iuf"
_OR_COMPLEX: Final = "iufc"
"""Kinds of numpy numbers; only what is differentiated may be complex."""


@dataclass(frozen=True, slots=True, eq=False)
class Diffusion:
    """Spot (price units), annual volatility (0.5 is 50 %), years to expiry, annual continuous rate and carry.

    Fields broadcast against each other and against the terms of a product. InputError for one that is not finite or
    is out of range; years must be positive, because what has expired has a payoff and no price.
    """

    spot: Numbers
    volatility: Numbers
    years: Numbers
    rate: Numbers = 0.0
    carry: Numbers = 0.0

    def __post_init__(self) -> None:
        fitted: list[str] = []
        for field, low, high in (
            ("spot", 1.0 / SPOT_MAX, SPOT_MAX),
            ("volatility", VOLATILITY_MIN, VOLATILITY_MAX),
            ("years", YEARS_MIN, YEARS_MAX),
            ("rate", -RATE_LIMIT, RATE_LIMIT),
            ("carry", -RATE_LIMIT, RATE_LIMIT),
        ):
            value = within(field, getattr(self, field), low, high, _OR_COMPLEX)
            _fits(field, value, np.broadcast_shapes(*(np.shape(getattr(self, name)) for name in fitted)))
            fitted.append(field)
            object.__setattr__(self, field, value)

    @property
    def variance(self) -> Array:
        """Total variance of log spot at expiry."""
        return np.asarray(self.volatility**2 * self.years)

    @property
    def discount(self) -> Array:
        """Value today of 1 at expiry."""
        return np.asarray(np.exp(-self.rate * self.years))

    @property
    def discounted_forward(self) -> Array:
        """Value today of one unit of the underlying delivered at expiry."""
        return np.asarray(self.spot * np.exp((self.carry - self.rate) * self.years))

    def log_drift(self, *, asset: bool) -> Array:
        """Mean of log spot at expiry less log spot now: in the measure of the asset, or of cash at expiry."""
        return np.asarray(self.carry * self.years + (0.5 if asset else -0.5) * self.variance)

    def level(self, field: str, value: npt.ArrayLike) -> Array:
        """A strike or barrier, checked: finite, positive, within a factor 1e6 of spot."""
        level = within(field, value, 1e-300, SPOT_MAX * LEVEL_RATIO_MAX)
        _fits(field, level, np.shape(self.spot))
        ratio = level / np.asarray(self.spot).real
        wrong = np.asarray((ratio > LEVEL_RATIO_MAX) | (ratio < 1 / LEVEL_RATIO_MAX))
        if wrong.any():
            first = np.broadcast_to(level, ratio.shape)[wrong][0]
            raise InputError(field, float(first), f"must lie within a factor {LEVEL_RATIO_MAX:g} of spot")
        return level


def within(field: str, value: npt.ArrayLike, low: float, high: float, kinds: str = _REAL) -> Array:
    """The numbers as an array; InputError for the first whose real part is not finite or not in [low, high]."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in kinds:
        raise InputError(field, value, "must be a number or an array of numbers")
    numbers = numbers if numbers.dtype.kind == "c" else numbers.astype(np.float64)
    good = (numbers.real >= low) & (numbers.real <= high)
    if not good.all():
        raise InputError(field, float(numbers.real[~good][0]), f"must be finite and lie in [{low:g}, {high:g}]")
    return numbers


def _fits(field: str, value: Array, shape: tuple[int, ...]) -> None:
    try:
        np.broadcast_shapes(value.shape, shape)
    except ValueError as wrong:
        raise InputError(field, value.shape, f"must broadcast against {shape}") from wrong


def log_ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Array:
    """log(above / below), to the last digit also where they are nearly equal and log would keep few."""
    above, below = np.asarray(above), np.asarray(below)
    near = np.abs(np.real(above - below)) < 0.5 * np.real(below)
    return np.asarray(np.where(near, np.log1p(np.where(near, (above - below) / below, 0.0)), np.log(above / below)))


def sign(field: str, value: npt.ArrayLike, meaning: str) -> Array:
    """Numbers that are +1 or -1; `meaning` says which is which."""
    numbers = within(field, value, -1.0, 1.0)
    wrong = np.abs(numbers) != 1
    if wrong.any():
        raise InputError(field, float(numbers[wrong][0]), f"must be +1 or -1: {meaning}")
    return numbers


def option_sign(value: npt.ArrayLike) -> Array:
    """+1 call, -1 put."""
    return sign("option_type", value, "call, put")


def direction_sign(value: npt.ArrayLike) -> Array:
    """+1 a barrier above spot, -1 below."""
    return sign("direction", value, "up, down")


def knock_sign(value: npt.ArrayLike) -> Array:
    """+1 knock-in, -1 knock-out."""
    return sign("knock", value, "in, out")


def cash_amount(field: str, value: npt.ArrayLike) -> Array:
    """An amount of money, not negative."""
    return within(field, value, 0.0, CASH_MAX)
