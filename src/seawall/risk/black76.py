"""Black's formula for European options on a forward, without discounting, and what an instrument makes of it.

Source: F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976), 167-179. Premiums are
margined daily and dollar rates are in the forward, so the discount factor is 1.

Coin-settled options pay max(0, +-(D - K)) / D coins: priced as the dollar value divided by the forward, the convention
of the venues that list them.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from seawall.risk.market import FORWARD_MAX, VOLATILITY_MAX
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product

Float64Array = npt.NDArray[np.float64]
Numbers = Float64Array | float

NANOSECONDS_PER_DAY: Final = 86_400 * 10**9
DAYS_PER_YEAR: Final = 365.0
_ROOT_TWO_PI: Final = math.sqrt(2 * math.pi)


def years_to(expiry: int, time_ns: int) -> float:
    """Years of 365 days from `time_ns` to `expiry`, both in nanoseconds since the epoch; 0 once expired."""
    return max(0, expiry - time_ns) / (NANOSECONDS_PER_DAY * DAYS_PER_YEAR)


def price(forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, option_type: Numbers) -> Float64Array:
    """Option value in the units of `forward` and `strike`; arguments broadcast, `option_type` is +1 call, -1 put.

    The out-of-the-money option is priced and the intrinsic value added, so that a call less its put is exactly
    forward - strike up to the last rounding, and no value is below intrinsic. Total volatility 0 gives intrinsic.
    """
    forward, strike, kind = np.asarray(forward, float), np.asarray(strike, float), np.asarray(option_type, float)
    total, d1 = _d1(forward, strike, volatility, years)
    side = np.where(forward < strike, 1.0, -1.0)
    out = side * (forward * ndtr(side * d1) - strike * ndtr(side * (d1 - total)))
    time_value = np.where(total > 0, np.maximum(out, 0.0), 0.0)
    return np.asarray(time_value + np.maximum(kind * (forward - strike), 0.0))


def delta(forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, option_type: Numbers) -> Float64Array:
    """Change of `price` for one more unit of forward, in [-1, 1]."""
    kind = np.asarray(option_type, float)
    _, d1 = _d1(np.asarray(forward, float), np.asarray(strike, float), volatility, years)
    return np.asarray(kind * ndtr(kind * d1))


def vega(forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers) -> Float64Array:
    """Change of `price` for volatility higher by 1.00; the same for call and put, never negative."""
    forward = np.asarray(forward, float)
    total, d1 = _d1(forward, np.asarray(strike, float), volatility, years)
    density = np.exp(-0.5 * d1 * d1) / _ROOT_TWO_PI
    return np.asarray(np.where(total > 0, forward * density * np.sqrt(np.asarray(years, float)), 0.0))


def lot_values(spec: Instrument, forwards: Numbers, volatilities: Numbers, years: float) -> Float64Array:
    """Atoms of settlement currency one lot of an option is worth at each forward (ticks of strike) and volatility."""
    forwards = np.asarray(forwards, float)
    values = price(forwards, float(spec.strike), volatilities, years, float(spec.option_type))
    per_tick = float(spec.delivery_multiplier)
    return values * per_tick / forwards if spec.delivery_form == Form.INVERSE else values * per_tick


def mark_price(spec: Instrument, forward: float, volatility: float, time_ns: int) -> int:
    """Mark of an option in premium ticks: the nearest tick, kept within the price band (at least 1).

    `forward` in ticks of the strike, `volatility` annual, `time_ns` nanoseconds since the epoch. Raises InputError for
    another product, an expired option, or a forward or volatility out of range.
    """
    if spec.product != Product.OPTION:
        raise InputError("product", int(spec.product), "must be an option")
    if spec.expiry <= time_ns:
        raise InputError("expiry", spec.expiry, f"must be after the time, {time_ns}")
    if not 0 < forward <= FORWARD_MAX:
        raise InputError("forward", forward, f"must lie in (0, {FORWARD_MAX}]")
    if not 0 <= volatility <= VOLATILITY_MAX:
        raise InputError("volatility", volatility, f"must lie in [0, {VOLATILITY_MAX}]")
    atoms = float(lot_values(spec, forward, volatility, years_to(spec.expiry, time_ns)))
    return min(max(math.floor(atoms / spec.multiplier + 0.5), spec.price_min), spec.price_max)


def _d1(
    forward: Float64Array, strike: Float64Array, volatility: Numbers, years: Numbers
) -> tuple[Float64Array, Float64Array]:
    """Total volatility and d1; where the total is 0, d1 is minus or plus infinity by moneyness."""
    total = np.asarray(volatility, float) * np.sqrt(np.asarray(years, float))
    # log(F/K) loses three digits near the money; log1p of the relative difference keeps them.
    moneyness = np.log1p((forward - strike) / strike)
    safe = np.where(total > 0, total, 1.0)
    flat = np.where(forward < strike, -np.inf, np.inf)
    with np.errstate(over="ignore"):  # a total of 1e-320 divides to infinity, which is the right d1
        return total, np.where(total > 0, moneyness / safe + 0.5 * safe, flat)
