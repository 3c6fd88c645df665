"""One-touch and no-touch options, with one barrier or two, paying cash or the asset, at the touch or at expiry.

Sources: M. Rubinstein and E. Reiner, "Unscrambling the binary code", Risk 4 (9), 1991, 75-83, cases 1 to 12; Haug
2007, sections 4.19.5 (one barrier) and 4.19.7 (two; Hui 1996). `direction` +1 is a barrier above, -1 below; a spot at
or beyond it has touched it. Arguments broadcast.
"""

import numpy as np
import numpy.typing as npt

from seawall.risk.exotics import passage
from seawall.risk.exotics.diffusion import IN, OUT, Array, Diffusion, cash_amount


def one_touch(
    diffusion: Diffusion,
    level: npt.ArrayLike,
    direction: npt.ArrayLike,
    cash: npt.ArrayLike = 1.0,
    *,
    at_hit: bool = True,
) -> Array:
    """Price of `cash` if the barrier is touched before expiry, paid at once or (at_hit False) at expiry."""
    if at_hit:
        return cash_amount("cash", cash) * passage.single_hit(diffusion, level, direction)
    return cash_amount("cash", cash) * passage.single(diffusion, level, direction, IN, asset=False)


def one_touch_asset(
    diffusion: Diffusion, level: npt.ArrayLike, direction: npt.ArrayLike, *, at_hit: bool = True
) -> Array:
    """Price of one unit of the asset if touched: at once it is worth `level` (or spot, where touched already)."""
    if not at_hit:
        return passage.single(diffusion, level, direction, IN, asset=True)
    worth = np.where(passage.hit_by(diffusion, level, direction), diffusion.spot, np.asarray(level, float))
    return np.asarray(worth * passage.single_hit(diffusion, level, direction))


def no_touch(diffusion: Diffusion, level: npt.ArrayLike, direction: npt.ArrayLike, cash: npt.ArrayLike = 1.0) -> Array:
    """Price of `cash` at expiry if the barrier was never touched."""
    return cash_amount("cash", cash) * passage.single(diffusion, level, direction, OUT, asset=False)


def no_touch_asset(diffusion: Diffusion, level: npt.ArrayLike, direction: npt.ArrayLike) -> Array:
    """Price of one unit of the asset at expiry if the barrier was never touched."""
    return passage.single(diffusion, level, direction, OUT, asset=True)


def double_one_touch(
    diffusion: Diffusion,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    cash: npt.ArrayLike = 1.0,
    *,
    at_hit: bool = True,
) -> Array:
    """Price of `cash` if either barrier is touched before expiry, paid at once or (at_hit False) at expiry."""
    if at_hit:
        return cash_amount("cash", cash) * passage.double_hit(diffusion, lower, upper)
    return cash_amount("cash", cash) * passage.double(diffusion, lower, upper, IN, asset=False)


def double_no_touch(
    diffusion: Diffusion, lower: npt.ArrayLike, upper: npt.ArrayLike, cash: npt.ArrayLike = 1.0
) -> Array:
    """Price of `cash` at expiry if neither barrier was ever touched."""
    return cash_amount("cash", cash) * passage.double(diffusion, lower, upper, OUT, asset=False)
