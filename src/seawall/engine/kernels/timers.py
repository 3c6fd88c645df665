"""Timers: a binary heap of (time, key, record), each record knowing its slot, so that removing one is logarithmic.

Keys: an order's id, or DEAD_MAN + account; records: the order's, or DEAD_MAN + account. At the same time orders come
first, by id.
"""

from typing import Any

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.views import Header, accounts_of, kernel, limits_of, more_of, orders_of, timers_of
from seawall.vocabulary import bounds

DEAD_MAN = bounds.NO_LIMIT


@kernel
def _note(h: Header, slot: Any) -> None:
    """Tell the record in a slot where it is."""
    record = timers_of(h)[3 * slot + 2]
    if record >= DEAD_MAN:
        accounts_of(h)[record - DEAD_MAN].timer = slot
    else:
        more_of(h)[record].timer = slot


@kernel
def _before(heap: Any, a: Any, b: Any) -> bool:
    return heap[3 * a] < heap[3 * b] or (heap[3 * a] == heap[3 * b] and heap[3 * a + 1] < heap[3 * b + 1])


@kernel
def _swap(h: Header, a: Any, b: Any) -> None:
    heap = timers_of(h)
    for word in range(3):
        heap[3 * a + word], heap[3 * b + word] = heap[3 * b + word], heap[3 * a + word]
    _note(h, a)
    _note(h, b)


@kernel
def _sift(h: Header, slot: Any) -> None:
    """Move the timer in a slot to where it belongs."""
    heap, used = timers_of(h), h[at.TIMERS_USED]
    while slot > 0 and _before(heap, slot, (slot - 1) // 2):
        _swap(h, slot, (slot - 1) // 2)
        slot = (slot - 1) // 2
    while True:
        least = slot
        for child in range(2 * slot + 1, min(2 * slot + 3, used)):
            if _before(heap, child, least):
                least = child
        if least == slot:
            return
        _swap(h, slot, least)
        slot = least


@kernel
def _push(h: Header, time: Any, key: Any, record: Any) -> None:
    heap, slot = timers_of(h), h[at.TIMERS_USED]
    h[at.TIMERS_USED] = slot + 1
    heap[3 * slot], heap[3 * slot + 1], heap[3 * slot + 2] = time, key, record
    _note(h, slot)
    _sift(h, slot)


@kernel
def _remove(h: Header, slot: Any) -> None:
    last = h[at.TIMERS_USED] - 1
    if slot != last:
        _swap(h, slot, last)
    h[at.TIMERS_USED] = last
    if slot != last:
        _sift(h, slot)


@kernel
def set_order_timer(h: Header, o: Any) -> None:
    """Begin an order's time, if it has one."""
    if more_of(h)[o].until > 0:
        _push(h, more_of(h)[o].until, orders_of(h)[o].id, o)


@kernel
def drop_order_timer(h: Header, o: Any) -> None:
    """Forget an order's time."""
    if more_of(h)[o].timer >= 0:
        _remove(h, more_of(h)[o].timer)
        more_of(h)[o].timer = -1


@kernel
def set_dead_man(h: Header, account: Any, until: Any) -> None:
    """Begin an account's dead-man timer anew; 0 ends it."""
    limits = limits_of(h)[account]
    if limits.dead_man > 0:
        _remove(h, accounts_of(h)[account].timer)
    limits.dead_man = until
    if until > 0:
        _push(h, until, DEAD_MAN + account, DEAD_MAN + account)
