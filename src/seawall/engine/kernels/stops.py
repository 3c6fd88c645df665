"""Prices that reach stops, and trailing stops that follow prices; what happens to those reached is in `firing`."""

from typing import Any

import numpy as np
from numba import njit

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import join_level, leave_level, waiting_code
from seawall.engine.kernels.tables import Index, drop_level
from seawall.engine.kernels.views import ENTRY, Header, instruments_of, kernel, levels_of, more_of, orders_of, words_of
from seawall.vocabulary.records import VenueState, Watched

_HALTED = int(VenueState.HALTED)
_MARK, _INDEX, _LAST = int(Watched.MARK), int(Watched.INDEX), int(Watched.LAST)


@kernel
def watched_price(ins: Any, watch: Any) -> Any:
    """The price a trigger watches, 0 if there is none yet."""
    if watch == _MARK:
        return ins.mark
    return ins.index if watch == _INDEX else ins.last


@kernel
def going_price(ins: Any) -> Any:
    """The last price, or the mark before there is one."""
    return ins.last if ins.last != 0 else ins.mark


@kernel
def reach(h: Header, instrument: Index, watch: Any, price: Any) -> None:
    """A watched price moved: the stops it reached leave for the queue, nearest trigger first, oldest first."""
    ins = instruments_of(h)[instrument]
    if watch == _LAST:
        ins.last = price
    elif watch == _INDEX:
        ins.index = price
    rising = 2 + 2 * watch
    if ins.best[rising] < 0 and ins.best[rising + 1] < 0:
        return
    if h[at.VENUE] == _HALTED or ins.state == _HALTED:
        return
    levels = levels_of(h)
    for code in range(rising, rising + 2):
        way = 1 if code == rising else -1
        while True:
            level = np.int64(ins.best[code])
            if level < 0 or way * (levels[level].price - price) > 0:
                break
            _to_queue(h, _by_id(h, np.int64(levels[level].head)))
            drop_level(h, instrument, code, level)


@kernel
def _to_queue(h: Header, o: Index) -> None:
    """Append a list of orders to the queue."""
    orders = orders_of(h)
    if h[at.QUEUE_HEAD] < 0:
        h[at.QUEUE_HEAD] = o
    else:
        orders[h[at.QUEUE_TAIL]].next = o
    while True:
        orders[o].level = -1
        if orders[o].next < 0:
            break
        o = np.int64(orders[o].next)
    h[at.QUEUE_TAIL] = o


@kernel
def _by_id(h: Header, head: Index) -> Index:
    """A list of orders sorted by id: bottom-up merges, none if it is sorted already."""
    orders = orders_of(h)
    width = 1
    while not _is_sorted(h, head):
        rest, head, tail = head, np.int64(-1), np.int64(-1)
        while rest >= 0:
            left, right = rest, _cut_off(h, rest, width)
            rest = _cut_off(h, right, width)
            while left >= 0 or right >= 0:
                if right < 0 or (left >= 0 and orders[left].id < orders[right].id):
                    first = left
                    left = np.int64(orders[left].next)
                else:
                    first = right
                    right = np.int64(orders[right].next)
                if tail < 0:
                    head = first
                else:
                    orders[tail].next = first
                tail = first
        orders[tail].next = -1
        width *= 2
    return head


@kernel
def _is_sorted(h: Header, o: Index) -> bool:
    orders = orders_of(h)
    while orders[o].next >= 0:
        after = np.int64(orders[o].next)
        if orders[after].id < orders[o].id:
            return False
        o = after
    return True


@kernel
def _cut_off(h: Header, o: Index, width: Any) -> Index:
    """End a list after `width` orders; the rest of it, or -1."""
    orders = orders_of(h)
    if o < 0:
        return o
    for _ in range(width - 1):
        if orders[o].next < 0:
            return np.int64(-1)
        o = np.int64(orders[o].next)
    rest = np.int64(orders[o].next)
    orders[o].next = -1
    return rest


@kernel
def trailing_trigger(ins: Any, side: Any, distance: Any, price: Any) -> Any:
    """Where a trailing stop's trigger is at a price of what it watches."""
    return min(ins.price_max, max(1, price + side * distance))


@njit(**ENTRY)
def reprice(words: Any, instrument: Any, watch: Any, price: Any) -> None:
    """`reach` for Python."""
    reach(words_of(words), instrument, watch, price)


@njit(**ENTRY)
def trail(words: Any, instrument: Any, o: Any) -> Any:
    """At a publication: the triggers of trailing stops follow the prices they watch, never back; oldest first.

    Begins at order `o`, or with the first where it is -1; returns -1, or the order to go on with once there is room for
    more levels.
    """
    h = words_of(words)
    ins = instruments_of(h)[instrument]
    orders, more = orders_of(h), more_of(h)
    o = o if o >= 0 else np.int64(ins.first_trailing)
    while o >= 0:
        if h[at.ROOM_LEVELS] - h[at.USED_LEVELS] < 2 or h[at.ROOM_NODES] - h[at.USED_NODES] < 8:
            return o
        if 2 * (h[at.LEVELS_LIVE] + 2) > h[at.LEVEL_MASK]:
            return o
        side = orders[o].side
        if orders[o].level >= 0:  # it is not in the queue
            price = watched_price(ins, more[o].watch)
            trigger = trailing_trigger(ins, side, more[o].distance, price)
            if side * (trigger - more[o].trigger) < 0:
                code = waiting_code(h, o)
                leave_level(h, o, code)
                more[o].trigger = trigger
                join_level(h, o, code, trigger)
        o = np.int64(more[o].next_trailing)
    return np.int64(-1)
