"""The fold's hot path as Numba kernels over structured arrays; same rules as `reference`, under int64 bounds.

`layout` names the arrays, `views` reaches them through one address table, `arithmetic` repeats `formulas` in int64,
`tables` holds hash tables and the price index, `margin`, `book`, `trading`, `money` are the rules, `fold` the loop.

Compiled code is cached in a folder named by a hash of everything it was compiled from: Numba by itself looks only at
the file of the function called, and would go on using stale code after an edit elsewhere.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numba
import numpy as np

_SOURCES: Final = (Path(__file__).parent, Path(__file__).parents[2] / "vocabulary")


def source_hash(folders: Iterable[Path] = _SOURCES) -> str:
    """Hex digest of the sources in `folders`, which are the kernels' and the vocabulary's, and of the compiler."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__}".encode())
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _base() -> Path:
    """NUMBA_CACHE_DIR, else the user's own cache; where neither can be written, a folder for this process alone.

    Never a shared folder with a name others can guess: what is cached there is run.
    """
    try:
        base = Path(numba.config.CACHE_DIR or Path.home() / ".cache" / "seawall")
        base.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        base = Path(tempfile.mkdtemp(prefix="seawall-kernels-"))
    return base


_BASE: Final = _base()


def cache_folder(name: str, folders: Iterable[Path]) -> Path:
    """Where code compiled from the sources in `folders` is cached: a folder named by their hash."""
    return _BASE / f"{name}-{source_hash(folders)[:16]}"


numba.config.CACHE_DIR = str(cache_folder("kernels", _SOURCES))


class Kernels(NamedTuple):
    """The kernels Python calls."""

    fold: Any
    remark: Any
    largest_open: Any
    rehash: Any
    equity: Any
    largest_held: Any
    lookup: Any
    reprice: Any
    trail: Any


def load(progress: Callable[[str, int, int], None] | None = None) -> Kernels:
    """Compile the kernels, or load them from the cache; each for one signature only, so that nothing compiles later.

    `progress(name, done, of)` is told before each and at the end. A first compilation takes tens of seconds.
    """
    from seawall.engine.kernels.fold import fold
    from seawall.engine.kernels.margin import equity_of
    from seawall.engine.kernels.money import largest_held
    from seawall.engine.kernels.remark import largest_open, remark
    from seawall.engine.kernels.stops import reprice, trail
    from seawall.engine.kernels.tables import lookup, rehash
    from seawall.vocabulary.records import COMMAND

    words = numba.int64[::1]
    commands = numba.types.Array(numba.from_dtype(COMMAND), 1, "C", readonly=True)  # writeable ones fit, too
    signatures = (
        (fold, (words, commands, numba.int64)),
        (remark, (words,)),
        (largest_open, (words, words)),
        (rehash, (words, words, numba.int64)),
        (equity_of, (words, numba.int64)),
        (largest_held, (words, numba.int64)),
        (lookup, (words, numba.int64, numba.int64)),
        (reprice, (words, numba.int64, numba.int64, numba.int64)),
        (trail, (words, numba.int64, numba.int64)),
    )
    for done, (kernel, signature) in enumerate(signatures):
        if progress is not None:
            progress(kernel.__name__, done, len(signatures))
        if signature not in kernel.overloads:
            kernel.enable_caching()
            kernel.compile(signature)
            kernel.disable_compile()
    if progress is not None:
        progress("ready", len(signatures), len(signatures))
    return Kernels(fold, remark, largest_open, rehash, equity_of, largest_held, lookup, reprice, trail)
