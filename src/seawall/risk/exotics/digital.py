"""European binaries: cash-or-nothing, asset-or-nothing and gap options.

Sources: M. Rubinstein and E. Reiner, "Unscrambling the binary code", Risk 4 (9), 1991, 75-83; Haug 2007, sections
4.19.1 to 4.19.3. Arguments broadcast; a price is per unit of the underlying, in the units of spot (of `cash`).
"""

import numpy as np
import numpy.typing as npt

from seawall.risk.exotics.diffusion import Array, Diffusion, cash_amount, option_sign
from seawall.risk.exotics.passage import european


def cash_or_nothing(
    diffusion: Diffusion, strike: npt.ArrayLike, option_type: npt.ArrayLike, cash: npt.ArrayLike = 1.0
) -> Array:
    """Price of `cash` at expiry if the spot is then above (call, +1) or below (put, -1) the strike."""
    return cash_amount("cash", cash) * european(diffusion, strike, option_type, asset=False)


def asset_or_nothing(diffusion: Diffusion, strike: npt.ArrayLike, option_type: npt.ArrayLike) -> Array:
    """Price of one unit of the asset at expiry under the same condition."""
    return european(diffusion, strike, option_type, asset=True)


def gap(diffusion: Diffusion, strike: npt.ArrayLike, payoff_strike: npt.ArrayLike, option_type: npt.ArrayLike) -> Array:
    """Price of spot - payoff_strike (put: the reverse) at expiry if the spot is then beyond `strike`; may be negative.

    With both strikes equal it is the plain European option.
    """
    payoff_strike = diffusion.level("payoff_strike", payoff_strike)
    asset = european(diffusion, strike, option_type, asset=True)
    cash = european(diffusion, strike, option_type, asset=False)
    return np.asarray(option_sign(option_type) * (asset - payoff_strike * cash))
