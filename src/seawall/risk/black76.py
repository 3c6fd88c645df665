"""Black's formula for European options on a forward: price and greeks over arrays, and what an instrument makes of it.

Source: F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976), 167-179.

    V = D * (F*N(d1) - K*N(d2))        call;  D * (K*N(-d2) - F*N(-d1))  put
    d1 = ln(F/K)/s + s/2,  d2 = d1 - s,  s = volatility * sqrt(years),  D = exp(-rate * years)

Venues margin premiums daily and have dollar rates in the forward, so `rate` is 0 unless given. The option that is out
of the money is priced and intrinsic value added: a call less its put is D*(F - K) to the last rounding, no value is
below intrinsic. Without volatility or time left the value is intrinsic, delta its slope (1/2 at the strike), and what
diverges there (gamma, theta, charm, veta) or stays (vega at the strike) is 0: a settled option still has finite greeks.

Errors of the accurate path: price 1e-14 * max(F, K), relative 1e-12 out to 8 standard deviations; greeks 1e-12 of their
natural scale. Of the stress path: 1e-13 * F. Kernels and their determinism: `kernels`.

Coin-settled options pay max(0, +-(D - K)) / D coins: priced as the dollar value divided by the forward, the convention
of the venues that list them; `inverse` has their greeks.
"""

import math
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from seawall.risk.market import FORWARD_MAX, VOLATILITY_MAX
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product

Float64Array = npt.NDArray[np.float64]
Numbers = npt.ArrayLike
Value = TypeVar("Value")

NANOSECONDS_PER_DAY: Final = 86_400 * 10**9
DAYS_PER_YEAR: Final = 365.0

PRICE_BOUNDS: Final = (1e-50, 1e50)
RULES: Final[dict[str, tuple[float, float, str]]] = {
    "forward": (*PRICE_BOUNDS, "must lie in [1e-50, 1e50]"),
    "strike": (*PRICE_BOUNDS, "must lie in [1e-50, 1e50]"),
    "volatility": (0.0, 1e3, "must lie in [0, 1000], 1.0 being 100 % a year"),
    "years": (0.0, 1e3, "must lie in [0, 1000]"),
    "option_type": (-1.0, 1.0, "must be 1 for a call or -1 for a put"),
    "rate": (-10.0, 10.0, "must lie in [-10, 10], and at most 100 in all with years"),
}
"""Lowest and highest value of each argument, as the kernels check them, and the rule in words."""


class Greeks(NamedTuple, Generic[Value]):
    """Value and derivatives of one unit: `price` in the units of the forward, per year and per 1.00 of volatility.

    delta dV/dF, gamma d2V/dF2, vega dV/dsigma, theta -dV/dT with F held, rho dV/dr with F held, vanna d2V/dFdsigma,
    volga d2V/dsigma2, charm d2V/dFdT and veta d2V/dsigmadT (of more time left: theta has the other sign).
    """

    price: Value
    delta: Value
    gamma: Value
    vega: Value
    theta: Value
    rho: Value
    vanna: Value
    volga: Value
    charm: Value
    veta: Value


def years_to(expiry: int, time_ns: int) -> float:
    """Years of 365 days from `time_ns` to `expiry`, both in nanoseconds since the epoch; 0 once expired."""
    return max(0, expiry - time_ns) / (NANOSECONDS_PER_DAY * DAYS_PER_YEAR)


def price(
    forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, option_type: Numbers, rate: Numbers = 0.0
) -> Float64Array:
    """Option value in the units of `forward` and `strike`; arguments broadcast, `option_type` is +1 call, -1 put.

    Raises InputError, as all functions here, for the first element that breaks its rule of `RULES`.
    """
    return _first(0, forward, strike, volatility, years, option_type, rate)


def delta(
    forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, option_type: Numbers, rate: Numbers = 0.0
) -> Float64Array:
    """Change of `price` for one more unit of forward, in [-1, 1] without a rate."""
    return _first(1, forward, strike, volatility, years, option_type, rate)


def vega(forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, rate: Numbers = 0.0) -> Float64Array:
    """Change of `price` for volatility higher by 1.00; the same for call and put, never negative."""
    return _first(2, forward, strike, volatility, years, 1.0, rate)


def price_delta_vega(
    forward: Numbers,
    strike: Numbers,
    volatility: Numbers,
    years: Numbers,
    option_type: Numbers,
    out: Float64Array | None = None,
) -> Float64Array:
    """Undiscounted price, delta and vega as rows of one array, of shape (3, *broadcast shape).

    `out`, where given, is filled and returned: contiguous float64 of that shape; what it holds after an InputError is
    not to be used.
    """
    from seawall.risk.kernels.pricing import price_delta_vega as kernel

    return _rows(kernel, 3, (forward, strike, volatility, years, option_type), out)


def stress(
    forward: Numbers,
    strike: Numbers,
    volatility: Numbers,
    years: Numbers,
    option_type: Numbers,
    out: Float64Array | None = None,
) -> Float64Array:
    """As `price_delta_vega` by the stress path: several times faster; price within 1e-13 of the forward, not closer."""
    from seawall.risk.kernels.pricing import stress as kernel

    return _rows(kernel, 3, (forward, strike, volatility, years, option_type), out)


def greeks(
    forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, option_type: Numbers, rate: Numbers = 0.0
) -> Greeks[Float64Array]:
    """Price and all greeks to second order, discounted by exp(-rate * years); arguments broadcast."""
    from seawall.risk.kernels.pricing import greeks as kernel

    return Greeks(*_rows(kernel, len(Greeks._fields), (forward, strike, volatility, years, option_type, rate), None))


def option(
    forward: float, strike: float, volatility: float, years: float, option_type: float, rate: float = 0.0
) -> Greeks[float]:
    """Price and all greeks of one option, as plain floats.

    >>> round(option(60_000, 66_000, 0.6, 30 / 365, +1).price, 2)
    1962.16
    """
    found = greeks(forward, strike, volatility, years, option_type, rate)
    return Greeks(*(float(value) for value in found))


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


def arrays(arguments: dict[str, Numbers]) -> tuple[tuple[int, ...], list[Float64Array]]:
    """The common shape of named arguments, and each as a contiguous float64 array of that many elements."""
    given = []
    for name, value in arguments.items():
        try:
            given.append(np.asarray(value, np.float64))
        except (TypeError, ValueError) as error:
            raise InputError(name, value, "must be a number or an array of numbers") from error
    try:
        shape = np.broadcast(*given).shape
    except ValueError as error:
        shapes = ", ".join(str(array.shape) for array in given)
        raise InputError(", ".join(arguments), shapes, "must be of shapes that broadcast") from error
    return shape, [
        (np.ascontiguousarray(array) if array.shape == shape else np.broadcast_to(array, shape).copy()).reshape(-1)
        for array in given
    ]


def refuse(shape: tuple[int, ...], arguments: dict[str, Float64Array]) -> NoReturn:
    """Raise InputError for the first argument, and of it the first element, that breaks its rule; one does."""
    for name, array in arguments.items():
        low, high, rule = RULES[name]
        good = (array >= low) & (array <= high)
        if name == "option_type":
            good &= np.abs(array) == 1
        if name == "rate":
            good &= np.abs(array * arguments["years"]) <= 100
        if not good.all():
            at = int(np.argmin(good))
            where = ", ".join(str(int(index)) for index in np.unravel_index(at, shape)) if shape else ""
            raise InputError(f"{name}[{where}]" if where else name, float(array[at]), rule)
    raise AssertionError("a kernel refused what RULES allow")


def _first(row: int, *arguments: Numbers) -> Float64Array:
    """One row of the kernel that has it; without a rate that of the fewest."""
    from seawall.risk.kernels import pricing

    rate = arguments[-1]
    if isinstance(rate, float | int) and rate == 0:
        return np.asarray(_rows(pricing.price_delta_vega, 3, arguments[:-1], None)[row])
    return np.asarray(_rows(pricing.greeks, len(Greeks._fields), arguments, None)[(0, 1, 3)[row]])


def _rows(kernel: Any, rows: int, arguments: tuple[Numbers, ...], out: Float64Array | None) -> Float64Array:
    named = dict(zip(RULES, arguments, strict=False))
    shape, flat = arrays(named)
    if out is None:
        out = np.empty((rows, *shape))
    elif out.shape != (rows, *shape) or out.dtype != np.float64 or not out.flags.c_contiguous:
        raise InputError("out", out.shape, f"must be contiguous float64 of shape {(rows, *shape)}")
    count = flat[0].size
    if kernel(*flat, out.reshape(rows, count)) != count:
        refuse(shape, dict(zip(named, flat, strict=True)))
    return out
