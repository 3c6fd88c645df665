"""Futures curve and carry, and what a perpetual is worth beside it.

Between expiries the total carry ln(forward / index) is linear in time, so the instantaneous forward carry is constant
in each interval and every forward lies between its neighbours: J. Hull, "Options, Futures, and Other Derivatives",
chapter 5 for the carry; P. Hagan and G. West, "Interpolation methods for curve construction", Applied Mathematical
Finance 13 (2006), 89-129, section 2.3, for the interpolation.

Perpetuals: D. Ackerer, J. Hugonnier and U. Jermann, "Perpetual futures pricing", 2023, propositions 1 and 3; also
S. He, A. Manela, O. Ross and V. von Wachter, "Fundamentals of perpetual futures", 2022, and G. Angeris, T. Chitra,
A. Evans and M. Lorig, "A primer on perpetuals", 2022. Under the pricing measure a position that costs nothing to hold
gains nothing on average: the growth of the perpetual's price, which is the carry of its index, is the funding it pays.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk.exotics.diffusion import RATE_LIMIT, SPOT_MAX, YEARS_MAX, YEARS_MIN, Array, log_ratio, within
from seawall.vocabulary.errors import InputError

BASIS_RATIO_MAX: Final = 10.0
"""A future further than this factor from its index is an error of the source."""


@dataclass(frozen=True, slots=True, eq=False)
class FuturesCurve:
    """Index price, (n,) years to the listed expiries, rising, and (n,) prices of the futures that expire then.

    Dates before the first expiry interpolate from the index; beyond the last one the last annual carry goes on, which
    is an assumption and no quote. Raises InputError for a price or time that is missing, out of order or absurd.
    """

    index: float
    expiries: npt.ArrayLike
    prices: npt.ArrayLike

    def __post_init__(self) -> None:
        index = float(within("index", self.index, 1 / SPOT_MAX, SPOT_MAX))
        expiries = np.atleast_1d(within("expiries", self.expiries, YEARS_MIN, YEARS_MAX))
        prices = np.atleast_1d(within("prices", self.prices, index / BASIS_RATIO_MAX, index * BASIS_RATIO_MAX))
        if expiries.ndim != 1 or not len(expiries):
            raise InputError("expiries", expiries.shape, "must be a row of at least one")
        if prices.shape != expiries.shape:
            raise InputError("prices", prices.shape, f"must be one for each of {len(expiries)} expiries")
        wrong = np.diff(expiries) <= 0
        if wrong.any():
            raise InputError("expiries", float(expiries[1:][wrong][0]), "must rise")
        for field, value in (("index", index), ("expiries", expiries), ("prices", prices)):
            object.__setattr__(self, field, value)

    def total_carry(self, years: npt.ArrayLike) -> Array:
        """ln(forward / index) at any time from 0 to 30 years."""
        years = within("years", years, 0.0, YEARS_MAX)
        knots = np.concatenate([[0.0], np.asarray(self.expiries)])
        totals = np.concatenate([[0.0], log_ratio(self.prices, self.index)])
        beyond = np.maximum(years - knots[-1], 0.0)
        return np.asarray(np.interp(years, knots, totals) + beyond * totals[-1] / knots[-1])

    def forward(self, years: npt.ArrayLike) -> Array:
        """Forward price at any time; the futures' own prices at their expiries."""
        return np.asarray(self.index * np.exp(self.total_carry(years)))

    def carry(self, years: npt.ArrayLike) -> Array:
        """Annual continuous carry from now to a time > 0: what `Diffusion` takes."""
        return np.asarray(self.total_carry(years) / within("years", years, YEARS_MIN, YEARS_MAX))

    def forward_carry(self, start: npt.ArrayLike, end: npt.ArrayLike) -> Array:
        """Annual continuous carry that the curve implies from `start` to a later `end`: a calendar spread."""
        start, end = within("start", start, 0.0, YEARS_MAX), within("end", end, YEARS_MIN, YEARS_MAX)
        wrong = np.asarray(end - start < YEARS_MIN)
        if wrong.any():
            raise InputError("start", float(np.broadcast_to(start, wrong.shape)[wrong][0]), "must be before the end")
        return np.asarray((self.total_carry(end) - self.total_carry(start)) / (end - start))

    def basis(self, years: npt.ArrayLike) -> Array:
        """Forward less index, in price units."""
        return np.asarray(self.index * np.expm1(self.total_carry(years)))

    def simple_yield(self, years: npt.ArrayLike) -> Array:
        """Basis over index per year without compounding: the "annualised basis" that desks quote."""
        return np.asarray(np.expm1(self.total_carry(years)) / within("years", years, YEARS_MIN, YEARS_MAX))


@dataclass(frozen=True, slots=True)
class FundingRule:
    """Funding that longs pay for one period, of notional: clip(interest + beyond the band(premium - interest), +-cap).

    Beyond the band(x) is x less `band` towards zero, and 0 within the band. The published rules are of this form:
    interest 0, band 0.025 % and a cap by market, for 8 hours, at Deribit; interest 0.01 % and band 0.05 % at Binance.
    `periods_per_year`: 1095 for 8 hours.
    """

    periods_per_year: float = 1095.0
    interest: float = 0.0
    band: float = 0.0
    cap: float = 0.02

    def __post_init__(self) -> None:
        within("periods_per_year", self.periods_per_year, 1.0, 1e8)
        within("cap", self.cap, 1e-9, 1.0)
        within("interest", self.interest, -self.cap, self.cap)
        within("band", self.band, 0.0, self.cap)

    def rate(self, premium: npt.ArrayLike) -> Array:
        """Funding of one period at a premium (perpetual / index - 1)."""
        excess = within("premium", premium, -1.0, BASIS_RATIO_MAX) - self.interest
        beyond = np.sign(excess) * np.maximum(np.abs(excess) - self.band, 0.0)
        return np.clip(self.interest + beyond, -self.cap, self.cap)


def perpetual_premium(carry: float, rule: FundingRule) -> float:
    """Steady premium of a perpetual over its index: the one whose funding is the carry that a holder saves.

    Funding is of the position at the perpetual's own price: periods * rate(premium) = carry. Paid on the index price,
    or in coins by an inverse contract, it differs by the factor 1 + premium, below 1e-3 of the premium at usual
    carries. At the edge of the band, where a range of premiums is fair, it is the one next to 0. InputError if even
    the cap does not pay the carry: such a perpetual has no steady premium.
    """
    carry = float(within("carry", carry, -RATE_LIMIT, RATE_LIMIT))
    due = carry / rule.periods_per_year
    if abs(due) > rule.cap:
        most = rule.cap * rule.periods_per_year
        raise InputError("carry", carry, f"must lie within the cap of funding, +-{most:g} a year")
    if due == rule.interest:
        return min(max(0.0, due - rule.band), due + rule.band)
    return due + math.copysign(rule.band, due - rule.interest)


def perpetual_value(curve: FuturesCurve, funding: float, horizon: float, premium: float = 0.0) -> float:
    """Price of a perpetual that will trade at `premium` over index in `horizon` years and pays `funding` until then.

    `funding` is the expected annual rate, of index notional (rate of a period times periods a year). The position costs
    nothing to hold, so its price is the expected final one less the funding: forward(h) (1 + premium) - funding times
    the integral of the forward. That integral is exact on each straight piece of the total carry.
    """
    funding = float(within("funding", funding, -RATE_LIMIT, RATE_LIMIT))
    horizon = float(within("horizon", horizon, YEARS_MIN, YEARS_MAX))
    premium = float(within("premium", premium, -0.5, 0.5))
    expiries = np.asarray(curve.expiries)
    knots = np.concatenate([[0.0], expiries[expiries < horizon], [horizon]])
    forwards, totals = curve.forward(knots), np.diff(curve.total_carry(knots))
    flat = np.abs(totals) < 1e-300
    growth = np.where(flat, 1.0, np.expm1(totals) / np.where(flat, 1.0, totals))
    paid = float(np.sum(forwards[:-1] * growth * np.diff(knots)))
    found = float(forwards[-1]) * (1 + premium) - funding * paid
    if found <= 0:
        raise InputError("funding", funding, f"takes more than the contract is worth within {horizon:g} years")
    return found
