"""Options that a barrier brings to life or ends: one barrier or two, calls, puts and binaries, with rebates.

Sources: E. Reiner and M. Rubinstein, "Breaking down the barriers", Risk 4 (8), 1991, 28-35 (terms A to F), and
"Unscrambling the binary code", Risk 4 (9), 1991, 75-83 (binaries); N. Kunitomo and M. Ikeda, Mathematical Finance 2
(1992), 275-298 (two barriers); Haug 2007, sections 4.17.1, 4.17.3 and 4.19.6.

`direction` +1 is a barrier above (up), -1 below (down); `knock` +1 in, -1 out; `option_type` +1 call, -1 put. A rebate
of an out option is paid when it is knocked out, of an in option at expiry if it never was knocked in. A spot at or
beyond the barrier has touched it: the in option is then the plain one, the out option worth its rebate. Arguments
broadcast. Errors are some 1e-15 of spot, strike and rebate, not of the price. Monitoring is continuous;
`monitored_level` moves a barrier that is looked at on dates only.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk.exotics import passage
from seawall.risk.exotics.diffusion import (
    OUT,
    Array,
    Diffusion,
    cash_amount,
    direction_sign,
    knock_sign,
    option_sign,
    within,
)
from seawall.risk.exotics.reflection import positive

MONITORING_SHIFT: Final = 0.5825971579390107
"""-zeta(1/2) / sqrt(2 pi), in standard deviations of one monitoring interval."""

DATES_MAX: Final = 1e9


def option(
    diffusion: Diffusion,
    strike: npt.ArrayLike,
    level: npt.ArrayLike,
    direction: npt.ArrayLike,
    knock: npt.ArrayLike,
    option_type: npt.ArrayLike,
    rebate: npt.ArrayLike = 0.0,
) -> Array:
    """Price of a call or put with one barrier."""
    alive = partial(passage.single, diffusion, level, direction)
    hit = partial(passage.single_hit, diffusion, level, direction)
    return _option(diffusion, strike, knock, option_type, rebate, alive, hit)


def double_option(
    diffusion: Diffusion,
    strike: npt.ArrayLike,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    knock: npt.ArrayLike,
    option_type: npt.ArrayLike,
    rebate: npt.ArrayLike = 0.0,
) -> Array:
    """Price of a call or put with a barrier below and one above; touching either knocks."""
    alive = partial(passage.double, diffusion, lower, upper)
    hit = partial(passage.double_hit, diffusion, lower, upper)
    return _option(diffusion, strike, knock, option_type, rebate, alive, hit)


def _option(
    diffusion: Diffusion,
    strike: npt.ArrayLike,
    knock: npt.ArrayLike,
    option_type: npt.ArrayLike,
    rebate: npt.ArrayLike,
    alive: Callable[..., Array],
    hit: Callable[[], Array],
) -> Array:
    """A call or put, given the barriers: what is worth 1 `alive` at expiry, and what pays 1 at the first `hit`."""
    strike, rebate = diffusion.level("strike", strike), cash_amount("rebate", rebate)
    kind = option_sign(option_type)
    asset, cash = (alive(knock, strike, kind, asset=unit) for unit in (True, False))
    value = positive(kind * (asset - strike * cash))
    if not rebate.any():
        return value
    never = alive(OUT, asset=False)
    if (knock_sign(knock) < 0).any():
        never = np.where(knock_sign(knock) > 0, never, hit())
    return np.asarray(value + rebate * never)


def cash_or_nothing(
    diffusion: Diffusion,
    strike: npt.ArrayLike,
    level: npt.ArrayLike,
    direction: npt.ArrayLike,
    knock: npt.ArrayLike,
    option_type: npt.ArrayLike,
    cash: npt.ArrayLike = 1.0,
) -> Array:
    """Price of `cash` at expiry if the spot is then beyond the strike and the barrier knocked in, or did not out."""
    strike = diffusion.level("strike", strike)
    value = passage.single(diffusion, level, direction, knock, strike, option_type, asset=False)
    return cash_amount("cash", cash) * value


def asset_or_nothing(
    diffusion: Diffusion,
    strike: npt.ArrayLike,
    level: npt.ArrayLike,
    direction: npt.ArrayLike,
    knock: npt.ArrayLike,
    option_type: npt.ArrayLike,
) -> Array:
    """Price of one unit of the asset under the same conditions."""
    strike = diffusion.level("strike", strike)
    return passage.single(diffusion, level, direction, knock, strike, option_type, asset=True)


def monitored_level(
    diffusion: Diffusion, level: npt.ArrayLike, direction: npt.ArrayLike, dates: npt.ArrayLike
) -> Array:
    """The level whose continuous price approximates a barrier looked at on `dates` equally spaced dates, expiry last.

    level * exp(direction * 0.5826 * volatility * sqrt(years / dates)): further from spot, since some touches are not
    seen. M. Broadie, P. Glasserman and S. Kou, "A continuity correction for discrete barrier options", Mathematical
    Finance 7 (1997), 325-349, theorem 1.1; the error is o(1 / sqrt(dates)). docs/exotics.md has it measured.
    """
    dates = within("dates", dates, 1, DATES_MAX)
    step = np.sqrt(np.real(diffusion.variance) / dates)
    return diffusion.level("barrier", level) * np.exp(direction_sign(direction) * MONITORING_SHIFT * step)
