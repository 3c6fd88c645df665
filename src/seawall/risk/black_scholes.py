"""Black-Scholes on a spot price, as a conversion to the forward and back: one pricing kernel for both.

The forward is S * exp(carry * years), carry being the rate less dividends, or less the funding or lending yield of a
coin: F. Black and M. Scholes, "The pricing of options and corporate liabilities", J. Political Economy 81 (1973),
637-654, with R. Merton's dividend yield (1973), written as generalised Black-Scholes by E. Haug, "The complete guide to
option pricing formulas" (2007), section 1.1.6.
"""

import numpy as np

from seawall.risk import black76
from seawall.risk.black76 import RULES, Float64Array, Greeks, Numbers
from seawall.vocabulary.errors import InputError


def forward_of(spot: Numbers, years: Numbers, carry: Numbers) -> Float64Array:
    """spot * exp(carry * years); raises InputError for an argument out of the range of `black76.RULES`."""
    price, time, yearly = (np.asarray(value, np.float64) for value in (spot, years, carry))
    for name, value, (low, high, rule) in (
        ("spot", price, RULES["forward"]),
        ("years", time, RULES["years"]),
        ("carry", yearly, RULES["rate"]),
    ):
        good = (value >= low) & (value <= high)
        if not good.all():
            raise InputError(name, float(value[~good].flat[0]), rule)
    if not np.all(np.abs(yearly * time) <= 100):
        raise InputError("carry", float(np.max(np.abs(yearly))), RULES["rate"][2])
    return np.asarray(price * np.exp(yearly * time))


def greeks(
    spot: Numbers,
    strike: Numbers,
    volatility: Numbers,
    years: Numbers,
    option_type: Numbers,
    rate: Numbers = 0.0,
    carry: Numbers | None = None,
) -> Greeks[Float64Array]:
    """Price and greeks with the spot held: delta, gamma, vanna, charm per unit of spot; theta, charm and veta as the
    forward slides to spot.

    `carry` is the rate itself unless given (no dividends). rho is with dividends held, so that a higher rate raises the
    forward. Errors as `black76.greeks`.
    """
    yearly = np.asarray(rate if carry is None else carry, np.float64)
    forward = forward_of(spot, years, yearly)
    return on_spot(black76.greeks(forward, strike, volatility, years, option_type, rate), forward, years, yearly)


def on_spot(
    per_forward: Greeks[Float64Array], forward: Float64Array, years: Numbers, carry: Numbers
) -> Greeks[Float64Array]:
    """Greeks with the spot held, as `greeks` has them, from those with the forward held, of a value in any currency."""
    yearly, time = np.asarray(carry, np.float64), np.asarray(years, np.float64)
    growth = np.exp(yearly * time)
    return per_forward._replace(
        delta=per_forward.delta * growth,
        gamma=per_forward.gamma * growth * growth,
        theta=per_forward.theta - per_forward.delta * forward * yearly,
        rho=per_forward.rho + per_forward.delta * forward * time,
        vanna=per_forward.vanna * growth,
        charm=growth * (per_forward.charm + yearly * (per_forward.delta + forward * per_forward.gamma)),
        veta=per_forward.veta + per_forward.vanna * forward * yearly,
    )
