"""The state of a fast engine as chunks of bytes, and back.

The first chunk says how long each array is and holds the header and the catalogue; then comes of each array what is in
use, in the order of `ARRAYS`: records ever handed out (what lies beyond is zero, or written before it is read), of
`more` those that matter, of hash tables the entries. A start takes most of its time for memory, so no more is kept.

`TAG` names this layout; what is under another is not read, the journal is folded instead.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np

from seawall.engine.catalogue import Catalogue, Row
from seawall.engine.fast import Fast
from seawall.engine.fast_memory import ARRAYS, POOLS, aligned
from seawall.engine.kernels import layout as at
from seawall.vocabulary.instruments import Instrument
from seawall.vocabulary.publication import InstrumentRisk
from seawall.vocabulary.records import RULES_FOLDED, VenueState

_TABLES: Final = ("order_table", "position_table", "level_table", "pair_table")

FORM: Final = 2
"""To be raised when what is kept changes its meaning and not its layout."""


class _Kept(msgspec.Struct, array_like=True):
    """The first chunk; tables are lists of rows, their keys first."""

    header: list[int]
    lengths: list[int]
    halts: int
    pairs: int
    protections: int
    currencies: int
    accounts: int
    version: int
    venue: int
    rules: int
    crashed: bool
    expired: list[bool]
    rate_loss: list[int]
    roles: list[int]
    groups: list[list[int]]
    splits: list[int]
    recount: bool
    underlyings: list[int]
    specs: list[Instrument]
    risks: list[InstrumentRisk | None]
    tiers: list[tuple[int, int, int, int]]
    states: list[tuple[int, int, int]]
    limits: list[tuple[int, int, int, int, int, int]]


_ALIKE: Final = (
    *("currencies", "accounts", "version", "rules", "crashed", "expired", "rate_loss"),
    *("roles", "groups", "splits", "recount", "underlyings", "specs", "risks"),
)
"""What the catalogue keeps in the same form."""


def _tag() -> bytes:
    numbers = {name: value for name, value in vars(at).items() if name.isupper() and isinstance(value, int)}
    arrays = [(name, slot, np.dtype(dtype).descr, unit) for name, (slot, dtype, unit) in ARRAYS.items()]
    layout = repr((FORM, RULES_FOLDED, sorted(numbers.items()), arrays, _Kept.__struct_fields__))
    return b"fast " + hashlib.sha256(layout.encode()).hexdigest()[:40].encode()


TAG: Final = _tag()
"""Names the layout of what `dump` gives: of every array and the header, and the rules folded."""


def dump(engine: Fast) -> Iterator[memoryview]:
    """The state after the last step, as chunks that are good until the next one."""
    engine._hear_of_halts()
    catalogue, header = engine.catalogue, engine._header.copy()
    for slot, _, _ in ARRAYS.values():
        header[slot] = 0  # an address
    kept = _Kept(
        header=header.tolist(),
        lengths=[len(engine._arrays[name]) for name in ARRAYS],
        halts=engine._halts,
        pairs=engine._pairs,
        protections=engine._protections,
        venue=int(catalogue.venue),
        tiers=[(*key, *rates) for key, rates in catalogue.tiers.items()],
        states=[(*key, int(state)) for key, state in catalogue.states.items()],
        limits=[(*key, *row) for key, row in catalogue.limits.items()],
        **{name: getattr(catalogue, name) for name in _ALIKE},
    )
    yield memoryview(msgspec.msgpack.encode(kept))
    for name, count in zip(ARRAYS, _used(engine), strict=True):
        part = engine._arrays[name][:count]
        if name in _TABLES:
            entries = part.reshape(-1, 2)
            part = entries[entries[:, 0] != 0].reshape(-1)
        elif name == "more":
            part = part[_dressed(engine._arrays["orders"][:count])]
        yield part.view(np.uint8).data


def load(chunks: list[memoryview]) -> Fast:
    """An engine in the state that `dump` gave under the same `TAG`.

    Each chunk is taken out when it was used, so that its memory serves the arrays that follow: memory that a process
    never had is what a start waits for longest.
    """
    chunks.reverse()
    kept = msgspec.msgpack.decode(chunks.pop(), type=_Kept)
    engine = Fast()
    engine._header[:] = kept.header
    for (name, (_, dtype, _)), length in zip(ARRAYS.items(), kept.lengths, strict=True):
        part = chunks.pop()
        array = aligned(length, np.dtype(dtype))  # memory that is not written to is not taken from the system
        if name in _TABLES:
            engine.kernels.rehash(np.frombuffer(part, np.int64).copy(), array, length // 2 - 1)
        elif name == "more":
            array[: len(engine._arrays["orders"])][_dressed(engine._arrays["orders"])] = np.frombuffer(part, dtype)
        else:
            array.view(np.uint8)[: len(part)] = part
        engine._adopt(name, array)
    engine._halts, engine._pairs, engine._protections = kept.halts, kept.pairs, kept.protections
    _restore(engine.catalogue, kept)
    return engine


def _restore(catalogue: Catalogue, kept: _Kept) -> None:
    for name in _ALIKE:
        setattr(catalogue, name, getattr(kept, name))
    catalogue.venue = VenueState(kept.venue)
    catalogue.tiers = {(tier, fee_class): (maker, taker) for tier, fee_class, maker, taker in kept.tiers}
    catalogue.states = {(scope, number): VenueState(state) for scope, number, state in kept.states}
    catalogue.limits = {(limit, account, instrument): Row(*row) for limit, account, instrument, *row in kept.limits}


def _dressed(orders: Any) -> Any:
    """Which orders have a MORE record that matters. What of it their form does not use may be left over from others."""
    return (orders["id"] != 0) & (orders["flags"] & at.HAS_MORE != 0)


def _used(engine: Fast) -> list[int]:
    """Records of each array that are in use."""
    h: Any = engine._header
    accounts, instruments, stride = int(h[at.ACCOUNTS]), int(h[at.INSTRUMENTS]), int(h[at.STRIDE])
    pools = {name: int(h[at.USED_ORDERS + pool]) for pool, name in enumerate(POOLS)}
    units = dict.fromkeys(("accounts", "limits", "strategies", "balances", "atoms", "client_ids"), accounts)
    units |= dict.fromkeys(("instruments", "charges"), instruments)
    units |= {**pools, "more": pools["orders"], "risk": instruments * stride, "scenarios": pools["margins"] * stride}
    units |= {"pairs": engine._pairs, "protections": engine._protections, "timers": int(h[at.TIMERS_USED])}
    units |= {"legs": 0, "events": 0}  # empty between two steps
    return [units[name] * unit if name in units else len(engine._arrays[name]) for name, (_, _, unit) in ARRAYS.items()]
