"""Parameters of model "seawall", its scenarios, and its charges that grow with size.

A rate, move or haircut is a fraction (0.16 is 16 %) and means the decimal it prints as, so that integers made of it are
exact. Pairs are (initial, maintenance).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Final

import msgspec
import numpy as np

from seawall.risk.margin.portfolio import Share, Struct
from seawall.risk.margin.valuation import Float64Array, term_scale
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import decimal

UP: Final = 1
SAME: Final = 0
DOWN: Final = -1
WORDS: Final = {UP: "up", SAME: "same", DOWN: "down"}
_DAYS_FLOOR: Final = 1.0
_ROOT_BITS: Final = 60

Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
Rows = tuple[Part, Part]
Range = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Dollars = Annotated[float, msgspec.Meta(gt=0, le=1e15)]


class UnderlyingParameters(Struct, frozen=True):
    """Of one underlying coin.

    `price_range`: largest regular move. Volatility shocks are relative, at 30 days; `volatility_floor` is annual.
    Charges on net and gross exposures, and on each sold option's underlying. `depth`: dollars that can be closed within
    the margin period, at most: what is published may be less; `liquidity`: rate beyond. `concentration`: rate for each
    whole open interest held beyond `free_share`; an open interest below `open_interest_floor` dollars counts as that.
    `haircut`: what selling coins held, or buying coins owed, costs. `gain_cap`: fraction of depth * range that session
    gains count up to, in equal parts by instrument of the block; none where absent.
    """

    price_range: Range
    volatility_up: Annotated[float, msgspec.Meta(ge=0, le=10)]
    volatility_down: Part
    volatility_floor: Annotated[float, msgspec.Meta(ge=0, le=100)]
    net_delta: Rows
    gross_delta: Rows
    net_vega: Rows
    gross_vega: Rows
    sold_option: Rows
    depth: Dollars
    liquidity: Rows
    free_share: Part
    open_interest_floor: Dollars
    concentration: tuple[Share, Share]
    haircut: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    gain_cap: Annotated[float, msgspec.Meta(gt=0, le=1e3)] | None = None

    def depth_at(self, published: float | None) -> float:
        """Dollars. A measure may make margin dearer by itself; what makes it cheaper are other parameters, signed."""
        return self.depth if published is None else min(self.depth, published)


class SeawallParameters(Struct, frozen=True):
    """`underlyings` by name, `others` for the rest; `currencies`: haircuts of dollars by name. Any other is a coin."""

    price_steps: Annotated[int, msgspec.Meta(ge=1, le=10)]
    extended_moves: tuple[Annotated[float, msgspec.Meta(gt=-1, le=100)], ...]
    short_term_power: Part
    long_term_power: Part
    underlyings: dict[str, UnderlyingParameters]
    others: UnderlyingParameters
    currencies: dict[str, Annotated[float, msgspec.Meta(ge=0, lt=1)]]

    def of(self, underlying: str) -> UnderlyingParameters:
        """Those of an underlying."""
        return self.underlyings.get(underlying, self.others)

    def check(self) -> None:
        """Raise InputError for the first rule broken that needs more than one number to see."""
        count = len(scenario_set(self, self.others))
        if count > bounds.SCENARIOS_MAX:
            raise InputError("parameters.extended_moves", count, f"must make at most {bounds.SCENARIOS_MAX} scenarios")
        for name, item in (*self.underlyings.items(), ("", self.others)):
            where = f"parameters.underlyings.{name}" if name else "parameters.others"
            for field in ("net_delta", "gross_delta", "net_vega", "gross_vega", "sold_option", *_GROWING):
                initial, maintenance = getattr(item, field)
                if not 0 <= maintenance <= initial:
                    rule = f"must lie in [0, {initial}], the initial one"
                    raise InputError(f"{where}.{field}", maintenance, rule)
            for move in self.extended_moves:
                if abs(move) < item.price_range:
                    rule = f"must be moves of at least the price range of {name or 'others'}, {item.price_range}"
                    raise InputError("parameters.extended_moves", move, rule)


_GROWING: Final = ("liquidity", "concentration")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: the relative price move, the volatility's direction, and the move that linear contracts count.

    The last is the first for a regular scenario, and the end of the regular range for an extended one.
    """

    move: Fraction
    volatility: int
    counted: Fraction

    @property
    def coverage(self) -> Fraction:
        """Fraction in (0, 1] of profit and loss that counts."""
        return self.counted / self.move if self.move else Fraction(1)

    @property
    def name(self) -> str:
        """In words."""
        part = "" if self.move == self.counted else f", x {float(self.coverage):.3f}"
        return f"price {float(100 * self.move):+.6g}%, volatility {WORDS[self.volatility]}{part}"


def scenario_set(parameters: SeawallParameters, coin: UnderlyingParameters) -> tuple[Scenario, ...]:
    """The scenarios in order: null, the other regular ones (lowest price first; up, same, down), then extended ones."""
    return _scenarios(parameters.price_steps, coin.price_range, parameters.extended_moves)


@lru_cache
def _scenarios(steps: int, price_range: float, extended_moves: tuple[float, ...]) -> tuple[Scenario, ...]:
    reach = decimal(price_range)
    grid = [
        Scenario(reach * step / steps, kind, reach * step / steps)
        for step in range(-steps, steps + 1)
        for kind in (UP, SAME, DOWN)
    ]
    null = Scenario(Fraction(0), SAME, Fraction(0))
    moves = [decimal(move) for move in extended_moves]
    extended = [Scenario(move, UP, reach if move > 0 else -reach) for move in moves]
    return (null, *(scenario for scenario in grid if scenario != null), *extended)


def regular_scenarios(parameters: SeawallParameters) -> int:
    """How many scenarios, from the first, are regular: the maintenance row's."""
    return 3 * (2 * parameters.price_steps + 1)


def shocked_volatilities(
    parameters: SeawallParameters, coin: UnderlyingParameters, volatility: float, days: float
) -> dict[int, float]:
    """Annual volatility by direction, `days` to expiry."""
    powers = parameters.short_term_power, parameters.long_term_power
    scale = term_scale(days, _DAYS_FLOOR, *powers, short_at_switch=False)
    raised = max(volatility * (1 + coin.volatility_up * scale), coin.volatility_floor, volatility)
    return {UP: raised, SAME: volatility, DOWN: volatility * max(0.0, 1 - coin.volatility_down * scale)}


def volatilities_in(scenarios: Sequence[Scenario], shocked: dict[int, float]) -> Float64Array:
    """(scenarios,) of one option."""
    return np.array([shocked[scenario.volatility] for scenario in scenarios])


@dataclass(frozen=True, slots=True)
class SizeCharge:
    """Dollars asked for an exposure of x dollars of either sign: convex, 0 at 0, never steeper than 1.

        F(x) = linear*x + rate*x*max(0, g(x/scale) - free),     g(z) = z, or sqrt(z) where `root`

    From `end` on, where the slope reaches 1, it goes on with slope 1: at the margin nothing asks more than all.
    """

    linear: Fraction
    rate: Fraction
    scale: Fraction
    free: Fraction
    root: bool = False

    @property
    def start(self) -> Fraction:
        """Up to here the charge is linear."""
        return self.scale * (self.free**2 if self.root else self.free)

    @property
    def end(self) -> Fraction:
        """From here on its slope is 1. Not below `start`; without a rate there is no end, and so no `end` to ask."""
        slope = (1 - self.linear) / self.rate + self.free
        power = self.scale * ((slope * Fraction(2, 3)) ** 2 if self.root else slope / 2)
        return max(self.start, power)

    def at(self, exposure: Fraction | int, accounts: int = 1) -> Fraction:
        """Dollars asked, never rounded below the formula. Of an owner with n accounts, each: F(n*x) / n.

        F is convex, so whatever the split, the n together are asked at least F of the sum (Jensen): an owner gains
        nothing by having accounts. (The perspective of a convex function: Boyd and Vandenberghe, 3.2.6.)
        """
        x = Fraction(exposure) * accounts
        size: Fraction = max(x, -x)
        if not self.rate or size <= self.start:
            return self.linear * size / accounts
        inner: Fraction = min(size, self.end)
        grown = _root_up(inner / self.scale) if self.root else inner / self.scale
        asked: Fraction = self.linear * inner + self.rate * inner * max(Fraction(0), grown - self.free)
        return (asked + size - inner) / accounts


def net_delta_charge(coin: UnderlyingParameters, row: int, depth: float | None) -> SizeCharge:
    """On a block's net delta: the buffer between the rows and the liquidity horizon."""
    dollars = decimal(coin.depth_at(depth))
    return SizeCharge(decimal(coin.net_delta[row]), decimal(coin.liquidity[row]), dollars, Fraction(1), root=True)


def position_charge(coin: UnderlyingParameters, row: int, open_interest: Fraction | None, *, sold: bool) -> SizeCharge:
    """On one position: its share of an open interest in dollars (unknown: none), and what selling options asks."""
    linear = decimal(coin.sold_option[row]) if sold else Fraction(0)
    floor = decimal(coin.open_interest_floor)
    if open_interest is None:
        return SizeCharge(linear, Fraction(0), floor, Fraction(0))
    return SizeCharge(linear, decimal(coin.concentration[row]), max(open_interest, floor), decimal(coin.free_share))


def _root_up(value: Fraction) -> Fraction:
    """Square root, by at most 2^-60 above."""
    shifted = (value.numerator << 2 * _ROOT_BITS) // value.denominator
    return Fraction(math.isqrt(shifted) + 1, 1 << _ROOT_BITS)
