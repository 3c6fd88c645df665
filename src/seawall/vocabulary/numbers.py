"""Numbers given from outside, checked once: what is not a finite number within its range is refused by name.

NaN passes every comparison that is written the wrong way round, and an infinity survives most formulas, so both are
refused where they enter.
"""

import math
from fractions import Fraction
from typing import Final

from seawall.vocabulary.errors import InputError

MAGNITUDE_MAX: Final = 1e18
"""No price, size, amount or rate is larger; what is, is an error of its source (a price 1e8 too large, atoms taken for
coins) or would lose its last digits in a double."""


def number(
    field: str,
    value: object,
    *,
    above: float = -math.inf,
    at_least: float = -MAGNITUDE_MAX,
    at_most: float = MAGNITUDE_MAX,
) -> float:
    """`value` as a float in (`above`, ...) and [`at_least`, `at_most`]. Raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        raise InputError(field, value, "must be a number")
    if not (value > above and at_least <= value <= at_most):
        low = f"above {above:g}" if above > -math.inf else f"at least {at_least:g}"
        raise InputError(field, value, f"must be a finite number {low} and at most {at_most:g}")
    return float(value)


def positive(field: str, value: object, *, at_most: float = MAGNITUDE_MAX) -> float:
    """`value` as a float in (0, `at_most`]. Raises InputError for anything else."""
    return number(field, value, above=0.0, at_most=at_most)


def exact(field: str, value: object, *, above: float = -math.inf, at_least: float = -MAGNITUDE_MAX) -> Fraction:
    """`value` as the fraction its shortest decimal writes, so that 0.1 is a tenth. Raises InputError as `number`
    does."""
    number(field, value, above=above, at_least=at_least)
    return value if isinstance(value, Fraction) else decimal(value)  # type: ignore[arg-type]  # number refuses others


def decimal(value: float) -> Fraction:
    """The fraction that a finite number's shortest decimal writes."""
    return Fraction(str(value))
