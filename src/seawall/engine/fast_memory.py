"""The fast engine's memory: arrays, their addresses in the header, and how they grow."""

from typing import Any, Final

import numpy as np

from seawall.engine.kernels import layout as at
from seawall.engine.kernels import load
from seawall.vocabulary import bounds
from seawall.vocabulary.publication import EXPOSURES, ROWS
from seawall.vocabulary.records import EVENT, RULES_FOLDED, SYSTEM_ACCOUNTS

_C: Final = at.CURRENCIES_MAX
EVENT_ROOM: Final = 1 << 15

# name -> (address slot, dtype, records per unit); unit is what `capacity` counts
ARRAYS: Final[dict[str, tuple[int, Any, int]]] = {
    "accounts": (at.A_ACCOUNTS, at.ACCOUNT, 1),
    "limits": (at.A_LIMITS, at.LIMITS, 1),
    "strategies": (at.A_STRATEGIES, np.int64, bounds.STRATEGIES),
    "balances": (at.A_BALANCES, np.int64, _C),
    "atoms": (at.A_ATOMS, np.int64, _C),
    "client_ids": (at.A_CLIENT_IDS, np.int64, 2 * bounds.CLIENT_IDS_KEPT),
    "instruments": (at.A_INSTRUMENTS, at.INSTRUMENT, 1),
    "risk": (at.A_RISK, np.int64, 1),
    "blocks": (at.A_BLOCKS, at.BLOCK, 1),
    "charges": (at.A_CHARGES, at.CHARGE, ROWS),
    "block_charges": (at.A_BLOCK_CHARGES, at.CHARGE, EXPOSURES * ROWS),
    "deposits": (at.A_DEPOSITS, np.int64, 1),
    "tiers": (at.A_TIERS, np.int64, 4),
    "rates": (at.A_RATES, np.int64, 2),
    "positions": (at.A_POSITIONS, at.POSITION, 1),
    "margins": (at.A_MARGINS, at.MARGIN, 1),
    "scenarios": (at.A_SCENARIOS, np.int64, 1),
    "orders": (at.A_ORDERS, at.ORDER, 1),
    "more": (at.A_MORE, at.MORE, 1),
    "levels": (at.A_LEVELS, at.LEVEL, 1),
    "nodes": (at.A_NODES, at.NODE, 1),
    "order_table": (at.A_ORDER_TABLE, np.int64, 2),
    "position_table": (at.A_POSITION_TABLE, np.int64, 2),
    "level_table": (at.A_LEVEL_TABLE, np.int64, 2),
    "pair_table": (at.A_PAIR_TABLE, np.int64, 2),
    "pairs": (at.A_PAIRS, at.PAIR, 1),
    "protections": (at.A_PROTECTIONS, at.PROTECTION, 1),
    "timers": (at.A_TIMERS, np.int64, 3),
    "legs": (at.A_LEGS, np.int64, 3),
    "events": (at.A_EVENTS, EVENT, 1),
}
_TABLES: Final = ("order_table", "position_table", "level_table")
POOLS: Final = {"orders": "more", "positions": "", "margins": "scenarios", "levels": "", "nodes": ""}
"""Each with the array that has as many rows, if one has."""
_AHEAD: Final = 8 * bounds.CHAIN_MAX + 8
"""Records of a pool that a kernel may ask for at once."""
_SLICE: Final = 1 << 21
"""Bytes readied at once: a huge page, which a machine may take 5 ms to give."""

_UNLIMITED: Final = ("order_notional", "exposure", "open_orders", "open_notional", "drawdown", "repeats")
LIMITED_INSTRUMENT: Final = ("collar", "window_collar", "interest_max", "velocity")


def aligned(count: int, dtype: Any) -> Any:
    """Zeroed records that begin on a cache line: those of 128 bytes then take two lines, not three."""
    space = np.zeros(count * dtype.itemsize + at.LINE, np.uint8)
    start = -space.ctypes.data % at.LINE
    return space[start : start + count * dtype.itemsize].view(dtype)


class Memory:
    """Arrays by name and the header that knows their addresses.

    `room` is how many open orders there is memory for at once; more make it grow, which takes a moment. `gate_off`
    skips C13, the margin check: only for measuring what it costs.
    """

    def __init__(self, *, event_room: int = EVENT_ROOM, room: int = 256, gate_off: bool = False) -> None:
        self.kernels = load()
        self._fold = self.kernels.fold
        self._arrays: dict[str, Any] = {}
        self._header = np.zeros(at.HEADER, np.int64)
        self._ready = dict.fromkeys(POOLS, 0)
        slots = 2 << room.bit_length()
        for name, count in (
            ("accounts limits strategies balances atoms client_ids", 64),
            ("instruments charges", 64),
            ("blocks block_charges", bounds.BLOCKS_MAX),
            ("tiers", bounds.TIERS_MAX),
            ("rates deposits", bounds.CURRENCIES_MAX),
            ("positions margins orders more levels nodes timers", room),
            ("pairs protections", 16),
            ("pair_table", 32),
            ("legs", bounds.CHAIN_MAX),
            (" ".join(_TABLES), slots),
            ("events", event_room),
        ):
            for part in name.split():
                self._resize(part, count)
        self._restride(1)
        h = self._header
        h[at.EVENT_ROOM] = event_room
        h[at.ORDER_MASK : at.ORDER_MASK + len(_TABLES)] = slots - 1
        h[at.ROOM_ORDERS : at.ROOM_NODES + 1] = room
        h[at.FREE_ORDERS : at.FREE_NODES + 1] = -1
        h[at.PAIR_MASK], h[at.ROOM_TIMERS] = 31, room
        h[at.CALL] = h[at.QUEUE_HEAD] = h[at.PULL_HEAD] = -1
        h[at.PULL_AT] = at.PULL_FRESH
        h[at.STALE] = h[at.DIVERGENCE] = bounds.NO_LIMIT
        h[at.RULES] = RULES_FOLDED[0]
        self._arrays["blocks"]["underlying"] = np.arange(bounds.BLOCKS_MAX)
        h[at.GATE_OFF] = gate_off
        for _ in range(SYSTEM_ACCOUNTS):
            self._add_account(0, 0)

    def _resize(self, name: str, count: int) -> None:
        """Room for `count` units; what was there is kept, what is new is zero."""
        _, dtype, unit = ARRAYS[name]
        array = aligned(count * unit, np.dtype(dtype))
        old = self._arrays.get(name)
        if old is not None:
            array.view(np.uint8)[: old.nbytes] = old.view(np.uint8)
        self._adopt(name, array)

    def _adopt(self, name: str, array: Any) -> None:
        """Make `array` the one under a name."""
        self._arrays[name] = array
        self._header[ARRAYS[name][0]] = array.ctypes.data
        if name == "events":  # copied out as bytes: NumPy copies records field by field
            self._event_bytes = memoryview(array.view(np.uint8))

    def _ensure(self, names: str, count: int) -> None:
        """Room for at least `count` units, doubling."""
        for name in names.split():
            room = len(self._arrays[name]) // ARRAYS[name][2]
            if room < count:
                self._resize(name, max(count, 2 * room))

    def _restride(self, stride: int) -> None:
        """Rows of `stride` words for every margin record and instrument there is room for."""
        h = self._header
        before = int(h[at.STRIDE])
        for name, of, used in (("scenarios", "margins", at.USED_MARGINS), ("risk", "instruments", at.INSTRUMENTS)):
            words, old = len(self._arrays[of]) * stride, self._arrays.get(name)
            if old is not None and (before, len(old)) == (stride, words):
                continue
            rows = aligned(words, np.dtype(np.int64)).reshape(-1, stride)
            if old is not None:  # of rooms that nobody was in yet nothing is touched: memory comes when it is written
                kept = old.reshape(-1, before)[: int(h[used])]
                rows[: len(kept), : min(before, stride)] = kept[:, : min(before, stride)]
            self._adopt(name, rows.reshape(-1))
        h[at.STRIDE] = stride

    def _grow(self) -> None:
        """Double every pool and table that is nearly full."""
        h = self._header
        for pool, name in enumerate(POOLS):
            room = int(h[at.ROOM_ORDERS + pool])
            if room - h[at.USED_ORDERS + pool] < _AHEAD:
                self._resize(name, 2 * room)
                h[at.ROOM_ORDERS + pool] = 2 * room
                if name == "orders":
                    self._resize("more", 2 * room)
        if h[at.ROOM_TIMERS] - h[at.TIMERS_USED] < _AHEAD:
            self._resize("timers", 2 * int(h[at.ROOM_TIMERS]))
            h[at.ROOM_TIMERS] *= 2
        self._restride(int(h[at.STRIDE]))
        for table, name in enumerate(_TABLES):
            slots = int(h[at.ORDER_MASK + table]) + 1
            if 2 * (h[at.ORDERS_LIVE + table] + _AHEAD) > slots - 1:
                old = self._arrays.pop(name)
                self._resize(name, 4 * slots)
                self.kernels.rehash(old, self._arrays[name], 4 * slots - 1)
                h[at.ORDER_MASK + table] = 4 * slots - 1

    def make_ready(self, records: int = 1 << 14) -> bool:
        """Have the machine give memory for the next `records` of each pool now, a slice a call; whether there was any.

        Else it gives it when first written to, in the middle of a command. Nothing of the state is changed.
        """
        h = self._header
        for pool, (name, beside) in enumerate(POOLS.items()):
            used, room = int(h[at.USED_ORDERS + pool]), int(h[at.ROOM_ORDERS + pool])
            first, last = max(used, self._ready[name]), min(used + records, room)
            if first < last and (last == room or last - first >= records >> 2):
                arrays = [self._arrays[part].view(np.uint8).reshape(room, -1) for part in (name, beside) if part]
                last = self._ready[name] = min(last, first + _SLICE // sum(array.shape[1] for array in arrays))
                for array in arrays:  # all of it: for a few bytes NumPy would keep other threads waiting
                    array[first:last] = 0  # as it is: these records were never used
                return True
        return False

    def _add_account(self, tier: int, role: int) -> None:
        number = int(self._header[at.ACCOUNTS])
        self._ensure("accounts limits strategies balances atoms client_ids", number + 1)
        entry = self._arrays["accounts"][number]
        entry["tier"], entry["role"], entry["split"] = tier, role, 1
        for link in ("oldest", "newest", "first_position", "last_position", "first_margin", "first_protection"):
            entry[link] = -1
        entry["timer"] = -1
        for name in _UNLIMITED:
            self._arrays["limits"][number][name] = bounds.NO_LIMIT
        self._header[at.ACCOUNTS] = number + 1

    def _live_positions(self) -> Any:
        held = self._arrays["positions"][: int(self._header[at.USED_POSITIONS])]
        return held[held["live"] == 1]
