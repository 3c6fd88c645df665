"""Convex piecewise-linear envelopes in integers, never below the published schedule they stand for.

A charge that grows with size asks F(x) of an exposure x, F convex and 0 at 0: so between two knots its chord is nowhere
below it, and the maximum of the chords is the envelope (`chord_lines`). The engine allows 16 lines: eight a side.
Rounding goes up everywhere: heights, rates and the height of the left knot up, so the rounded line is nowhere below its
chord to the right of that knot, up to the next, which is all the proof needs. Beyond the last knot whoever takes the
chords says why F is covered.

The published schedules are F(p) = a*p + b*p^2 of p lots; at their last knot the envelope ends, and so does what the
engine admits (`largest_open_position`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from seawall.engine import formulas
from seawall.vocabulary import bounds
from seawall.vocabulary.publication import Charge

CHORDS: Final = bounds.CHARGE_LINES_MAX // 2
"""Chords on each side of zero."""

SLACK_GROWTH: Final = 1.4
"""Each chord may be this much further above the schedule than the one before: small positions get the tight ones."""

UNIT: Final = 1 << bounds.CHARGE_SHIFT

Lines = tuple[tuple[int, int], ...]
"""(rate, intercept) of each."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """F(p) = linear*|p| + quadratic*p^2 value atoms for a position of p lots; both at least 0, exact."""

    linear: Fraction
    quadratic: Fraction

    def at(self, lots: int) -> Fraction:
        """Value atoms asked for `lots`, of either sign."""
        size = abs(lots)
        return self.linear * size + self.quadratic * size * size

    def slope(self, left: int, right: int) -> Fraction:
        """Slope of the chord between two sizes, value atoms a lot."""
        return self.linear + self.quadratic * (left + right)


def chord_knots(schedule: Schedule, limit: int) -> tuple[int, ...]:
    """Sizes 0 = p_0 < ... < p_n = `limit` in lots, n <= 8, with slack growing from chord to chord.

    In units of z = p*quadratic/linear, F is z + z^2 and the chord on [a, b] exceeds it relatively by at most rho where
    sqrt(b) = sqrt(a*(1 + rho)) + sqrt(rho*(1 + a)) (its excess (z - a)(b - z) touches rho*(z + z^2) there). The first
    rho is found by bisection so that the last knot is the limit.
    """
    if schedule.quadratic == 0 or schedule.linear == 0:
        steps = CHORDS if schedule.quadratic else 1
        sizes = [limit * step // steps for step in range(1, steps + 1)]
        return (0, *sorted({size for size in sizes if size > 0}))
    unit = float(schedule.linear / schedule.quadratic)
    low, high = 0.0, 1.0
    while _ripple(high)[-1] * unit < limit:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _ripple(middle)[-1] * unit >= limit else (middle, high)
    inner = {int(knot * unit) for knot in _ripple(high)[:-1]}
    return (0, *sorted(size for size in inner if 0 < size < limit), limit)


def _ripple(slack: float) -> list[float]:
    knots, knot = [], 0.0
    for _ in range(CHORDS):
        knot = (math.sqrt(knot * (1 + slack)) + math.sqrt(slack * (1 + knot))) ** 2
        knots.append(knot)
        slack *= SLACK_GROWTH
    return knots


def proven_limit(schedule: Schedule, limit: int) -> int:
    """Lots up to which an envelope must hold: `limit`, or where the schedule itself fills the exposure bound if sooner.

    The weight of `schedule_charge` is at least the last chord's slope, hence at least F(L)/L; with F(L) >= 2^50 the
    engine's own bound 2^50 // weight is at most L.
    """
    low, high = 1, max(1, limit)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if schedule.at(middle) >= bounds.EXPOSURE_MAX else (middle + 1, high)
    return low


def schedule_weight(schedules: Sequence[tuple[Schedule, tuple[int, ...]]]) -> int:
    """Value atoms a lot such that no chord of any schedule (with its knots) needs a rate above 100 %."""
    return max(1, *(math.ceil(schedule.slope(*knots[-2:])) for schedule, knots in schedules))


def schedule_charge(schedule: Schedule, knots: tuple[int, ...], weight: int) -> Charge:
    """The charge on the exposure lots * `weight`, symmetric in sign, nowhere below `schedule` up to the last knot.

    Raises no error: convexity is by construction. `weight` from `schedule_weight`.
    """
    lines = chord_lines(schedule.at, knots, weight)
    return Charge(tuple(sorted(sided_lines(lines, lines))))


def chord_lines(at: Callable[[int], Fraction], knots: Sequence[int], weight: int = 1) -> Lines:
    """Lines (rate, intercept) of the chords between `knots`, sizes from 0 up, on the exposure size * `weight`.

    `at` gives, of a convex function that is 0 at 0, heights that are not below it. No chord may be steeper than
    `weight`.
    """
    lines = []
    for left, right in pairwise(knots):
        # A convex function that is 0 at 0 has chords steeper than the line from 0 to their ends; where heights were
        # rounded up that line may be the steeper one.
        slope = max((at(right) - at(left)) / (right - left), at(right) / right)
        rate = math.ceil(slope * UNIT / weight)
        # Where rounding would lift the intercept above 0, the line through 0 with this rate is therefore high enough.
        lines.append((rate, min(0, math.ceil(at(left)) - (rate * left * weight >> bounds.CHARGE_SHIFT))))
    return tuple(lines)


def sided_lines(long: Lines, short: Lines) -> Lines:
    """The lines of a charge that asks by `long` above zero and by `short`, mirrored, below."""
    return tuple(dict.fromkeys((*long, *((-rate, intercept) for rate, intercept in short))))


def two_sided_charge(long: Fraction, short: Fraction, weight: int) -> Charge:
    """The charge of `long` value atoms for each lot held and `short` for each lot sold; `weight` at least both."""
    rates = math.ceil(long * UNIT / weight), math.ceil(short * UNIT / weight)
    return Charge(tuple(sorted({(rates[0], 0), (-rates[1], 0)})))


def charge_value(charge: Charge, exposure: int, split: int = 1) -> int:
    """Value atoms the engine asks at a signed exposure of one of an owner's `split` accounts."""
    return formulas.charge_value(charge.lines, exposure, split)
