"""Sums of scenario values over the positions of portfolios."""

from typing import Any

import numpy as np
import numpy.typing as npt

from seawall.risk.kernels import kernel

Float64Array = npt.NDArray[np.float64]


@kernel
def gathered(table: Float64Array, index: Any, quantity: Float64Array, out: Float64Array) -> int:
    """`out[a, s]` = sum over p of quantity[a, p] * table[index[a, p], s], in the order of p; the additions it made.

    The order of additions is that of the positions, whatever the table is, so a table of one row for each position
    gives the same bits.
    """
    accounts, positions = index.shape
    scenarios = table.shape[1]
    for account in range(accounts):
        sums = out[account]
        for s in range(scenarios):
            sums[s] = 0.0
        for position in range(positions):
            row, held = table[index[account, position]], quantity[account, position]
            for s in range(scenarios):
                sums[s] += held * row[s]
    return accounts * positions * scenarios
