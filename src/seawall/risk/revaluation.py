"""Full revaluation: the value of many portfolios of options in every scenario, each instrument priced once for each.

What portfolios share is priced once (a row of the table for each distinct instrument) and gathered for each position.
The sum is bit for bit the one of pricing every position by itself with the same kernel, for the same prices are added
in the same order.
"""

import numpy as np
import numpy.typing as npt

from seawall.risk import black76
from seawall.risk.black76 import Float64Array
from seawall.vocabulary.errors import InputError


def scenario_prices(
    forward: Float64Array,
    strike: Float64Array,
    volatility: Float64Array,
    years: Float64Array,
    option_type: Float64Array,
    moves: Float64Array,
    shocks: Float64Array,
) -> Float64Array:
    """Prices, shape (instruments, scenarios), with forward * (1 + move) and volatility * (1 + shock) of each scenario.

    Instruments' arguments have one length, moves and shocks another. Raises InputError as `black76.price` does.
    """
    forwards = np.multiply.outer(forward, 1.0 + moves)
    volatilities = np.multiply.outer(volatility, 1.0 + shocks)
    return black76.price(forwards, strike[:, None], volatilities, years[:, None], option_type[:, None])


def revalued(table: Float64Array, index: npt.NDArray[np.int64], quantity: Float64Array) -> Float64Array:
    """Value of portfolios, shape (accounts, scenarios): `quantity[a, p]` of the instrument in row `index[a, p]`.

    Raises InputError for an index beyond the table, shapes that differ, or a quantity that is not finite.
    """
    from seawall.risk.kernels.revaluation import gathered

    if index.shape != quantity.shape or index.ndim != 2:
        raise InputError("quantity", quantity.shape, f"must have the two dimensions of index, {index.shape}")
    outside = index[(index < 0) | (index >= len(table))]
    if outside.size:
        raise InputError("index", int(outside[0]), f"must lie in [0, {len(table) - 1}]")
    if not np.isfinite(quantity).all():
        raise InputError("quantity", "not a number or infinite", "must be finite")
    out = np.empty((len(index), table.shape[1]))
    gathered(
        np.ascontiguousarray(table), np.ascontiguousarray(index, np.int64), np.ascontiguousarray(quantity, float), out
    )
    return out
