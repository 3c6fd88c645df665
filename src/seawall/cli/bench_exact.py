"""Errors of prices, greeks and implied volatilities against many digits: what `seawall bench risk` and a soak test ask.

The natural scale of a greek is its size at the money, from the arguments alone: 1 for delta, 1/(F s) for gamma,
F sqrt(T) for vega, F sigma/sqrt(T) + |r| max(F, K) for theta, T max(F, K) for rho, 1/sigma for vanna, F sqrt(T)/sigma
for volga, 1/(2 T) + |r| for charm, F/(2 sqrt(T)) + |r| F sqrt(T) for veta, with s = sigma sqrt(T).
"""

from dataclasses import dataclass
from typing import Any, Final

import mpmath
import numpy as np

from seawall.risk import black76, implied

GREEKS: Final = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm", "veta")
REGIMES: Final = ("typical", "near", "wings to 8 sd", "wings to 37 sd", "tiny time", "tiny volatility", "huge")
WIDTH: Final = 8.0
HALF_UNIT: Final = 1.11e-16
FAR: Final = 100.0
"""Above so many forwards the last digit of a strike, which is in a put's price, comes near 1e-13 of the forward."""


@dataclass(slots=True)
class Errors:
    """The largest of each kind: `price` over max(F, K), `stress` over F or a strike far above it, `relative` as it is,
    `greeks` over their natural scale, `implied` as a multiple of what is allowed.
    """

    options: int = 0
    price: float = 0.0
    relative: float = 0.0
    greeks: float = 0.0
    stress: float = 0.0
    implied: float = 0.0
    unsolved: int = 0


def errors(count: int, seed: int, digits: int) -> Errors:
    """The largest errors over `count` options of each regime. Sets mpmath's precision to `digits` while it runs."""
    rng, worst = np.random.default_rng(seed), Errors()
    with mpmath.workdps(digits):
        for regime in REGIMES:
            _regime(worst, *_sample(rng, regime, count))
    return worst


def exact(
    forward: float, strike: float, volatility: float, years: float, kind: float, rate: float = 0.0
) -> dict[str, Any]:
    """Price, greeks, d1 and d2 of the doubles given, to the precision mpmath is set to."""
    f, k, sigma, time, r = (mpmath.mpf(value) for value in (forward, strike, volatility, years, rate))
    discount, root = mpmath.exp(-r * time), mpmath.sqrt(time)
    d1 = mpmath.log(f / k) / (sigma * root) + sigma * root / 2
    d2 = d1 - sigma * root
    price = kind * discount * (f * _normal(kind * d1) - k * _normal(kind * d2))
    mass = discount * f * mpmath.npdf(d1)
    return {
        "price": price,
        "delta": kind * discount * _normal(kind * d1),
        "gamma": mass / (f * f * sigma * root),
        "vega": mass * root,
        "theta": r * price - mass * sigma / (2 * root),
        "rho": -time * price,
        "vanna": -mass / f * d2 / sigma,
        "volga": mass * root * d1 * d2 / sigma,
        "charm": -mass / f * d2 / (2 * time) - r * kind * discount * _normal(kind * d1),
        "veta": mass * (1 + d1 * d2) / (2 * root) - r * mass * root,
        "d1": d1,
        "d2": d2,
    }


def _normal(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _sample(rng: np.random.Generator, regime: str, count: int) -> tuple[np.ndarray, ...]:
    forward, years = np.exp(rng.uniform(-9, 12, count)), 10.0 ** rng.uniform(-3, 0.5, count)
    volatility, side = 10.0 ** rng.uniform(-1.5, 0.5, count), rng.choice([-1.0, 1.0], count)
    away = rng.normal(0, 1.2, count)
    if regime == "near":
        away *= 10.0 ** rng.uniform(-14, 0, count)
    if regime == "wings to 8 sd":
        away = rng.uniform(3, 8, count) * side
    if regime == "wings to 37 sd":
        away = rng.uniform(8, 36.5, count) * side
    if regime == "tiny time":
        years, away = 10.0 ** rng.uniform(-10, -5, count), rng.uniform(-8, 8, count)
    if regime == "tiny volatility":
        volatility, away = 10.0 ** rng.uniform(-8, -3, count), rng.uniform(-8, 8, count)
    if regime == "huge":
        volatility = rng.uniform(2, 7, count) / np.sqrt(years)
    strike = forward * np.exp(np.clip(volatility * np.sqrt(years) * away, -50, 50))
    return forward, strike, volatility, years, rng.choice([-1.0, 1.0], count), rng.choice([0.0, 0.05, -0.02], count)


def _regime(worst: Errors, *market: np.ndarray) -> None:
    found, quick = black76.greeks(*market), black76.stress(*market[:5])
    prices = black76.price(*market[:5])
    solved = implied.volatilities(prices, *market[:2], *market[3:5])
    for i, case in enumerate(zip(*(array.tolist() for array in market), strict=True)):
        forward, strike, sigma, years, kind, rate = case
        true, plain = exact(*case), exact(forward, strike, sigma, years, kind)
        higher, root = max(forward, strike), years**0.5
        worst.options += 1
        worst.price = max(
            worst.price,
            float(abs(found.price[i] - true["price"])) / higher,
            float(abs(prices[i] - plain["price"])) / higher,
        )
        unit = forward if strike <= FAR * forward else strike
        worst.stress = max(worst.stress, float(abs(quick[0, i] - plain["price"])) / unit)
        if kind * (forward - strike) <= 0 and max(abs(true["d1"]), abs(true["d2"])) <= WIDTH:
            worst.relative = max(worst.relative, float(abs(found.price[i] / true["price"] - 1)))
        scales = (
            1.0,
            1 / (forward * sigma * root),
            forward * root,
            forward * sigma / root + abs(rate) * higher,
            years * higher,
            1 / sigma,
            forward * root / sigma,
            0.5 / years + abs(rate),
            0.5 * forward / root + abs(rate) * forward * root,
        )
        for name, scale in zip(GREEKS, scales, strict=True):
            worst.greeks = max(worst.greeks, float(abs(getattr(found, name)[i] - true[name])) / scale)
        _invert(worst, case, float(prices[i]), float(solved.volatility[i]), int(solved.status[i]))


def _invert(worst: Errors, case: tuple[float, ...], price: float, volatility: float, status: int) -> None:
    forward, strike, _, years, kind, _ = case
    intrinsic, highest = max(kind * (forward - strike), 0.0), forward if kind > 0 else strike
    if status != implied.Status.SOLVED:
        # A double that is not between intrinsic and highest value has no volatility; all others must have one.
        exact_intrinsic = max(kind * (mpmath.mpf(forward) - strike), 0)
        worst.unsolved += exact_intrinsic < price < highest
        return
    if price == intrinsic:
        worst.unsolved += volatility != 0.0
        return
    at = exact(forward, strike, volatility, years, kind)
    slope = at["vega"] * volatility
    error, undecided = float(abs(at["price"] - price) / slope), HALF_UNIT * float(price / slope)
    worst.implied = max(worst.implied, error / max(9e-16, 4 * undecided))
