"""Discounted expectations that every exotic here is a sum of: cash or asset, on a set of final spots, if or if not hit.

The asset's expectation is the cash one in the asset's own measure: the drift of log spot is higher by the variance.
M. Rubinstein and E. Reiner, "Unscrambling the binary code", Risk 4 (9), 1991, list 28 cases; with a barrier at 0, up
mirrored to down, and a payoff on an interval of log spot, they are the two formulas `reflection.kept` and `knocked`.

A spot at or beyond a barrier has touched it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from seawall.risk.exotics import reflection
from seawall.risk.exotics.diffusion import (
    CALL,
    UP,
    Array,
    Diffusion,
    direction_sign,
    knock_sign,
    log_ratio,
    option_sign,
)
from seawall.vocabulary.errors import InputError


def european(diffusion: Diffusion, strike: npt.ArrayLike, option_type: npt.ArrayLike, *, asset: bool) -> Array:
    """Value of 1 (or of one unit of the asset) at expiry if the spot is then beyond the strike: above for a call."""
    low, high = _interval(diffusion, strike, option_sign(option_type), UP)
    drift, variance = diffusion.log_drift(asset=asset), diffusion.variance
    return _unit(diffusion, asset) * reflection.image_mass(np.zeros(()), low, high, drift, variance)


def single(
    diffusion: Diffusion,
    level: npt.ArrayLike,
    direction: npt.ArrayLike,
    knock: npt.ArrayLike,
    strike: npt.ArrayLike | None = None,
    option_type: npt.ArrayLike = CALL,
    *,
    asset: bool,
) -> Array:
    """As `european`, alive only if `level` was touched (knock +1) or was not (-1); strike None pays at any spot."""
    level, direction, knock = diffusion.level("barrier", level), direction_sign(direction), knock_sign(knock)
    away = -direction * log_ratio(diffusion.spot, level)
    low, high = _interval(diffusion, strike, option_sign(option_type), -direction)
    drift, variance = -direction * diffusion.log_drift(asset=asset), diffusion.variance
    alive = away.real > 0
    away = np.where(alive, away, 1.0)
    chance = _chosen(
        knock,
        alive,
        kept=lambda: reflection.kept(away, low, high, drift, variance),
        knocked=lambda: reflection.knocked(away, low, high, drift, variance),
        plain=lambda: reflection.image_mass(np.zeros(()), low, high, drift, variance),
    )
    return _unit(diffusion, asset) * chance


def double(
    diffusion: Diffusion,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    knock: npt.ArrayLike,
    strike: npt.ArrayLike | None = None,
    option_type: npt.ArrayLike = CALL,
    *,
    asset: bool,
) -> Array:
    """As `single` with two barriers: touched means either of them."""
    down, up, alive = _corridor(diffusion, lower, upper)
    low, high = _interval(diffusion, strike, option_sign(option_type), UP)
    drift, variance = diffusion.log_drift(asset=asset), diffusion.variance
    chance = _chosen(
        knock_sign(knock),
        alive,
        kept=lambda: reflection.kept_between(down, up, low, high, drift, variance),
        knocked=lambda: reflection.knocked_between(down, up, low, high, drift, variance),
        plain=lambda: reflection.image_mass(np.zeros(()), low, high, drift, variance),
    )
    return _unit(diffusion, asset) * chance


def single_hit(diffusion: Diffusion, level: npt.ArrayLike, direction: npt.ArrayLike) -> Array:
    """Value of 1 paid when `level` is first touched, if before expiry; 1 if it has been."""
    level, direction = diffusion.level("barrier", level), direction_sign(direction)
    away = -direction * log_ratio(diffusion.spot, level)
    drift, variance, discounting = -direction * diffusion.log_drift(asset=False), diffusion.variance, _decay(diffusion)
    alive = away.real > 0
    hit = reflection.discounted_hit(np.where(alive, away, 1.0), drift, variance, discounting)
    return np.asarray(np.where(alive, hit, 1.0))


def double_hit(diffusion: Diffusion, lower: npt.ArrayLike, upper: npt.ArrayLike) -> Array:
    """Value of 1 paid when either barrier is first touched, if before expiry; 1 if one has been."""
    down, up, alive = _corridor(diffusion, lower, upper)
    drift, variance, discounting = diffusion.log_drift(asset=False), diffusion.variance, _decay(diffusion)
    hit = reflection.discounted_hit_first(down, up, drift, variance, discounting)
    hit = hit + reflection.discounted_hit_first(up, down, -drift, variance, discounting)
    return np.asarray(np.where(alive, hit, 1.0))


def hit_by(diffusion: Diffusion, level: npt.ArrayLike, direction: npt.ArrayLike) -> Array:
    """Where the spot has touched `level` already."""
    direction = direction_sign(direction)
    return np.asarray(direction * np.real(diffusion.spot) >= direction * diffusion.level("barrier", level))


def _chosen(
    knock: Array, alive: Array, kept: Callable[[], Array], knocked: Callable[[], Array], plain: Callable[[], Array]
) -> Array:
    """What `knock` asks for, computed only if anybody does; where touched already, in is plain and out is nothing."""
    outs, ins = np.zeros(()), np.zeros(())
    if (knock < 0).any():
        outs = np.where(alive, kept(), 0.0)
    if (knock > 0).any():
        ins = knocked() if alive.all() else np.where(alive, knocked(), plain())
    return reflection.positive(np.where(knock > 0, ins, outs))


def _unit(diffusion: Diffusion, asset: bool) -> Array:
    return diffusion.discounted_forward if asset else diffusion.discount


def _interval(
    diffusion: Diffusion, strike: npt.ArrayLike | None, kind: Array, side: Array | float
) -> tuple[Array, Array]:
    """Logs of spot at expiry over spot now that pay, times `side`, as (low, high); all of them without a strike."""
    beyond = np.asarray(reflection.BEYOND)
    if strike is None:
        return -beyond, beyond
    edge, above = side * log_ratio(diffusion.level("strike", strike), diffusion.spot), side * kind > 0
    return np.where(above, edge, -beyond), np.where(above, beyond, edge)


def _corridor(diffusion: Diffusion, lower: npt.ArrayLike, upper: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """Log distances of spot from the lower and to the upper barrier, 1 where it is not between, and where it is."""
    lower, upper = diffusion.level("lower", lower), diffusion.level("upper", upper)
    wrong = np.asarray(lower >= upper)
    if wrong.any():
        first = np.broadcast_to(lower, wrong.shape)[wrong][0]
        raise InputError("lower", float(first), "must be below the upper barrier")
    down, up = log_ratio(diffusion.spot, lower), log_ratio(upper, diffusion.spot)
    alive = (down.real > 0) & (up.real > 0)
    return np.where(alive, down, 1.0), np.where(alive, up, 1.0), alive


def _decay(diffusion: Diffusion) -> Array:
    """Rate times years, refused where a payment at the hit has no closed form with a real root."""
    discounting = np.asarray(diffusion.rate * diffusion.years)
    square = np.real(diffusion.log_drift(asset=False) ** 2 + 2 * discounting * diffusion.variance)
    if (square < 0).any():
        worst = np.broadcast_to(np.asarray(diffusion.rate).real, square.shape)[square < 0][0]
        raise InputError("rate", float(worst), "must be at least -(carry - vol^2/2)^2 / (2 vol^2) to pay at the hit")
    return discounting
