"""Compiled numerics of pricing and risk: float64 in, float64 out. No array is made or kept here.

normal.py      the Mills ratio, differences of it, and the branch-free functions of the stress path
pricing.py     Black-76: accurate path, greeks, stress path
volatility.py  implied volatility
revaluation.py sums of scenario values over positions
surfaces.py    the joint fit of a surface

Two decorators: `kernel` for a function that Python calls, compiled at its first call and cached, and `inlined` for what
kernels are made of. Nothing is compiled at import. Division follows IEEE 754 (`error_model`), so that no branch for
ZeroDivisionError keeps a loop from being vectorised. There is no fastmath: no term is reordered or contracted, so an
element's bits do not depend on its place in the array, and the same input gives the same bits on one machine. Between
machines exp, log and erfc of the C library may differ in the last bit; no replay depends on that, because what
enters the journal are the integers that one publisher made of these numbers, never the numbers.

Machine code is cached in a folder named by a hash of every file here, as the engine's is: Numba looks only at the file
of the function called, and would go on using stale code after an edit of one that it calls.
"""

from pathlib import Path
from typing import Any, Final

import numba

from seawall.engine.kernels import cache_folder

_CACHE: Final = str(cache_folder("risk", (Path(__file__).parent,)))


def kernel(function: Any) -> Any:
    """A function that Python calls: compiled for the types of its first call, cached in a folder of this room's own."""
    dispatcher = numba.njit(error_model="numpy")(function)
    # Numba takes the folder from its one global setting, which is the engine's, when caching is enabled.
    kept = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _CACHE
    try:
        dispatcher.enable_caching()
    finally:
        numba.config.CACHE_DIR = kept
    return dispatcher


def inlined(function: Any) -> Any:
    """A function that only kernels call; it becomes part of theirs."""
    return numba.njit(error_model="numpy", forceinline=True)(function)
