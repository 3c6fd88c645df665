"""Implied volatility: the volatility at which Black's formula gives a price, for arrays and for one option.

Relative error at most 9e-16 or four times what the last digit of the price leaves undecided, whichever is more, at any
price down to the smallest double; the method and its source are in `kernels.volatility`. No failure is silent: over
arrays each element has a status, and NaN for a volatility where the status is not SOLVED; for one option InputError
names what is wrong. A price is data, so a bad one costs an array one element; a bad forward, strike, time, type or rate
is the caller's mistake and raises InputError in both.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seawall.risk.black76 import Float64Array, Numbers, arrays, refuse
from seawall.vocabulary.errors import InputError


class Status(IntEnum):
    """What became of a price."""

    SOLVED = 0
    MISSING = 1
    NEGATIVE = 2
    BELOW_INTRINSIC = 3
    AT_MAXIMUM = 4
    EXPIRED = 5
    UNSOLVED = 6


RULES: Final = {
    Status.MISSING: "must be finite",
    Status.NEGATIVE: "must not be negative",
    Status.BELOW_INTRINSIC: "must be at least the intrinsic value",
    Status.AT_MAXIMUM: "must be below that at infinite volatility: the forward for a call, the strike for a put",
    Status.EXPIRED: "must be positive: without time no price has a volatility",
    Status.UNSOLVED: "must have a volatility that the iteration finds",
}


class Implied(NamedTuple):
    """Annual volatilities and, of the same shape, the `Status` of each as int64; NaN where it is not SOLVED."""

    volatility: Float64Array
    status: npt.NDArray[np.int64]

    @property
    def solved(self) -> npt.NDArray[np.bool_]:
        """Where there is a volatility."""
        return np.asarray(self.status == Status.SOLVED)


def volatilities(
    price: Numbers, forward: Numbers, strike: Numbers, years: Numbers, option_type: Numbers, rate: Numbers = 0.0
) -> Implied:
    """Volatilities that prices imply; arguments broadcast, `option_type` is +1 call, -1 put.

    Prices in the units of the forward, discounted by exp(-rate * years). A price at intrinsic value gives 0. Raises
    InputError for the first argument other than a price that breaks its rule of `black76.RULES`.
    """
    from seawall.risk.kernels.volatility import implied_volatility as kernel

    names = ("price", "forward", "strike", "years", "option_type", "rate")
    arguments = (price, forward, strike, years, option_type, rate)
    shape, flat = arrays(dict(zip(names, arguments, strict=True)))
    found, status = np.empty(flat[0].size), np.empty(flat[0].size, np.int64)
    if kernel(*flat, found, status) != flat[0].size:
        refuse(shape, dict(zip(names[1:], flat[1:], strict=True)))
    return Implied(found.reshape(shape), status.reshape(shape))


def volatility(
    price: float, forward: float, strike: float, years: float, option_type: float, rate: float = 0.0
) -> float:
    """The volatility that one price implies. Raises InputError naming the argument, its value and the rule it breaks.

    >>> round(volatility(1962.156303, 60_000, 66_000, 30 / 365, +1), 6)
    0.6
    """
    found = volatilities(price, forward, strike, years, option_type, rate)
    status = Status(int(found.status))
    if status == Status.EXPIRED:
        raise InputError("years", years, RULES[status])
    if status != Status.SOLVED:
        raise InputError("price", price, RULES[status])
    return float(found.volatility)
