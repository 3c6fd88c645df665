"""Inverse contracts: futures worth a fixed number of dollars, and options on one coin, both settled in the coin.

Two views of one position. The dollar view takes the coins' value in dollars, as a dollar book does; the coin view takes
coins and asks how many there will be. They differ by the premium: an option worth V dollars is worth c = V/F coins, and
c shrinks as the coin rises, so that dc/dF * F = delta - c, the net delta that venues show.

Formulas: Deribit's contract specifications (pay-off in coin, net transaction delta) and the calculus above; the decay
of delta in the settlement window from its note "Delta decay during settlement".
"""

from typing import Generic, NamedTuple

import numpy as np

from seawall.risk import black76
from seawall.risk.black76 import Float64Array, Greeks, Numbers, Value
from seawall.vocabulary.errors import InputError


class InverseOption(NamedTuple, Generic[Value]):
    """An option on one coin: `usd` in dollars; `coin` in coins, its delta coins per dollar, gamma per dollar squared.

    `net_delta`: coins by which the value in coin moves for a relative move of the forward by 1.00; delta less premium.
    """

    usd: Greeks[Value]
    coin: Greeks[Value]
    net_delta: Value


class InverseFuture(NamedTuple):
    """A position in inverse futures, profit counted from its entry, per one unit of `contracts` in dollars.

    `pnl_coin`, and `pnl_usd` at the price; `delta_coin` coins for a relative move of the price by 1.00, `delta_usd`
    dollars of profit for one dollar more of price (that is contracts / entry, at any price); `gamma_coin` coins per
    dollar squared, `gamma_usd` 0 by its definition.
    """

    pnl_coin: Float64Array
    pnl_usd: Float64Array
    delta_coin: Float64Array
    delta_usd: Float64Array
    gamma_coin: Float64Array
    gamma_usd: Float64Array


def greeks(
    forward: Numbers, strike: Numbers, volatility: Numbers, years: Numbers, option_type: Numbers
) -> InverseOption[Float64Array]:
    """Both views of coin-settled options; arguments and errors as `black76.greeks`, undiscounted."""
    usd = black76.greeks(forward, strike, volatility, years, option_type)
    f = np.broadcast_to(np.asarray(forward, np.float64), usd.price.shape)
    coins = usd.price / f
    net_delta = usd.delta - coins
    coin = Greeks(
        price=coins,
        delta=net_delta / f,
        gamma=(usd.gamma - 2.0 * net_delta / f) / f,
        vega=usd.vega / f,
        theta=usd.theta / f,
        rho=usd.rho / f,
        vanna=(usd.vanna - usd.vega / f) / f,
        volga=usd.volga / f,
        charm=(usd.charm + usd.theta / f) / f,
        veta=usd.veta / f,
    )
    return InverseOption(usd, coin, net_delta)


def option(forward: float, strike: float, volatility: float, years: float, option_type: float) -> InverseOption[float]:
    """Both views of one coin-settled option, as plain floats.

    >>> one = option(60_000, 66_000, 0.6, 30 / 365, +1)
    >>> round(one.coin.price, 6), round(one.net_delta, 6)
    (0.032703, 0.287163)
    """
    found = greeks(forward, strike, volatility, years, option_type)
    usd, coin = (Greeks(*(float(value) for value in view)) for view in (found.usd, found.coin))
    return InverseOption(usd, coin, float(found.net_delta))


def future(contracts: Numbers, entry: Numbers, price: Numbers) -> InverseFuture:
    """Profit and greeks of `contracts` dollars of inverse futures, positive long, bought at `entry`, now at `price`.

    Raises InputError for a price outside `black76.PRICE_BOUNDS` or contracts that are not finite.
    """
    held, bought, now = _checked(contracts=contracts, entry=entry, price=price)
    pnl = held * ((now - bought) / bought) / now  # 1/entry - 1/price would cancel
    return InverseFuture(
        pnl, pnl * now, held / now, held / bought, -2.0 * (held / now) / now / now, np.zeros(pnl.shape)
    )


def payoff(settlement: Numbers, strike: Numbers, option_type: Numbers) -> Float64Array:
    """Coins that one coin-settled option pays at expiry: max(0, +-(settlement - strike)) / settlement."""
    at, struck, kind = _checked(settlement=settlement, strike=strike, option_type=option_type)
    return np.asarray(np.maximum(kind * (at - struck), 0.0) / at)


def settling_net_delta(decayed_delta: Numbers, mark_coin: Numbers, elapsed: Numbers) -> Float64Array:
    """Net delta within the settlement window, of which the fraction `elapsed` in [0, 1] has passed.

    The delivery price averages over the window, so of delta and of the premium only the part still open moves.
    `decayed_delta` is Black's delta times 1 - elapsed, `mark_coin` the mark in coins.
    """
    slope, mark, passed = _checked(decayed_delta=decayed_delta, mark_coin=mark_coin, elapsed=elapsed)
    return np.asarray(slope - mark * (1.0 - passed))


def _checked(**arguments: Numbers) -> list[Float64Array]:
    """The arguments as arrays of one shape; raises InputError for the first out of range."""
    shape, flat = black76.arrays(arguments)
    for name, array in zip(arguments, flat, strict=True):
        if name in ("entry", "price", "settlement", "strike"):
            good, rule = (array >= 1e-50) & (array <= 1e50), "must lie in [1e-50, 1e50]"
        elif name == "elapsed":
            good, rule = (array >= 0) & (array <= 1), "must lie in [0, 1]"
        elif name == "option_type":
            good, rule = np.abs(array) == 1, black76.RULES[name][2]
        else:
            good, rule = np.abs(array) <= 1e50, "must be finite, and at most 1e50 in size"
        if not good.all():
            raise InputError(name, float(array[int(np.argmin(good))]), rule)
    return [array.reshape(shape) for array in flat]
