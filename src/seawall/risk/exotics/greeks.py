"""Sensitivities of any price of this package, without a second set of formulas.

First derivatives by a complex step: f'(x) = Im f(x + i h) / h with h = 1e-30 of x subtracts nothing and is as accurate
as f itself (W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40
(1998), 110-112). Second derivatives by a central difference of those, over 1e-5 standard deviations of log spot (1e-5
of the volatility): some 1e-10 of their natural scale, measured in tests/risk/test_barrier.py. A spot nearer than that
to a barrier has no second derivative here, as it has none across the barrier.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from seawall.risk.exotics.diffusion import Array, Diffusion

_COMPLEX_STEP = 1e-30
_STEP = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Greeks:
    """Arrays of the price's shape. `theta` per year that passes, `vega` and `volga` per 1.00 of volatility.

    `rho` is at constant carry and `carry` at constant rate: for a coin without yield, the effect of a rate is the sum.
    """

    price: Array
    delta: Array
    gamma: Array
    vega: Array
    vanna: Array
    volga: Array
    theta: Array
    rho: Array
    carry: Array


def greeks(price: Callable[[Diffusion], Array], diffusion: Diffusion) -> Greeks:
    """All of them for `price`, e.g. greeks(lambda d: barrier.option(d, 100, 95, DOWN, OUT, CALL), diffusion)."""
    spot, volatility = np.asarray(diffusion.spot), np.asarray(diffusion.volatility)
    width = _STEP * np.sqrt(diffusion.variance)
    up, down = (replace(diffusion, spot=spot * (1 + side * width)) for side in (1, -1))
    more, less = (replace(diffusion, volatility=volatility * (1 + side * _STEP)) for side in (1, -1))

    def slope(field: str, at: Diffusion) -> Array:
        value = np.asarray(getattr(at, field))
        step = _COMPLEX_STEP * np.where(value == 0, 1.0, np.abs(value))
        return np.asarray(np.imag(price(replace(at, **{field: value + 1j * step}))) / step)

    return Greeks(
        price=price(diffusion),
        delta=slope("spot", diffusion),
        gamma=(slope("spot", up) - slope("spot", down)) / (2 * width * spot),
        vega=slope("volatility", diffusion),
        vanna=(slope("spot", more) - slope("spot", less)) / (2 * _STEP * volatility),
        volga=(slope("volatility", more) - slope("volatility", less)) / (2 * _STEP * volatility),
        theta=-slope("years", diffusion),
        rho=slope("rate", diffusion),
        carry=slope("carry", diffusion),
    )
