"""Stops that fire and timers that run out; `rules.conditional` here."""

from typing import Any

import numpy as np

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.admission import at_market
from seawall.engine.kernels.book import (
    announce_cancel,
    close,
    emit,
    find_position,
    has_room,
    join_level,
    tell,
    unwait,
    waiting_code,
)
from seawall.engine.kernels.matching import release
from seawall.engine.kernels.stops import watched_price
from seawall.engine.kernels.tables import give_order
from seawall.engine.kernels.timers import DEAD_MAN, drop_order_timer, set_dead_man
from seawall.engine.kernels.trading import enter
from seawall.engine.kernels.views import Header, accounts_of, instruments_of, kernel, more_of, orders_of, timers_of
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind, Status, TimeInForce, VenueState

_ACCEPTED, _TRIGGERED = int(EventKind.ACCEPTED), int(EventKind.TRIGGERED)
_HALTED, _RESTING, _WAITING = int(VenueState.HALTED), int(Status.RESTING), int(Status.WAITING)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_R_TILL_DATE, _R_DEAD_MAN = int(Reason.GOOD_TILL_DATE), int(Reason.DEAD_MAN)


@kernel
def fire(h: Header) -> bool:
    """Fire the first stop of the queue; False when the event buffer is full."""
    if not has_room(h):
        return False
    o = h[at.QUEUE_HEAD]
    order, more = orders_of(h)[o], more_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    h[at.QUEUE_HEAD] = order.next
    if h[at.VENUE] == _HALTED or ins.state == _HALTED:  # halted by one before it: it waits on
        join_level(h, o, waiting_code(h, o), more.trigger)
        return True
    unwait(h, o)
    order.status = _RESTING
    order.position = find_position(h, order.account, order.instrument)
    order.next = order.previous = order.older = order.newer = -1
    emit(
        h, _TRIGGERED, 0, order.side, 0, 0, order.account, order.instrument, order.id, watched_price(ins, more.watch),
        order.remaining, more.trigger, 0,
    )  # fmt: skip
    if at_market(more.type) and more.tif != _FOK:
        more.tif = _IOC  # what is at market never rests
    kind, tif, mode = np.int64(more.type), np.int64(more.tif), np.int64(more.self_match)
    if not enter(h, o, kind, tif, mode):
        announce_cancel(h, o, h[at.D_REASON], h[at.D_A], h[at.D_B])
        give_order(h, o)
        return True
    tell(h, _ACCEPTED, o, 0, h[at.CHAIN_NEEDED], h[at.CHAIN_HELD])
    return release(h, o, tif, mode)


@kernel
def due(h: Header) -> bool:
    """Whether a timer has run out."""
    return h[at.TIMERS_USED] > 0 and timers_of(h)[0] <= h[at.CLOCK]


@kernel
def run_timers(h: Header) -> bool:
    """Cancel what is due; False when the event buffer is full."""
    while True:
        if h[at.CALL] >= 0:
            if not clear_account(h, h[at.CALL], _R_DEAD_MAN, -1, 0):
                return False
            h[at.CALL] = -1
        if not due(h):
            return True
        if not has_room(h):
            return False
        heap = timers_of(h)
        time, record = heap[0], heap[2]
        if record >= DEAD_MAN:
            set_dead_man(h, record - DEAD_MAN, 0)
            begin_clearing(h, record - DEAD_MAN)
            h[at.CALL] = record - DEAD_MAN
        else:
            close_due(h, record, time)


@kernel
def close_due(h: Header, o: Any, time: Any) -> None:
    """An order's time is over; one that is upstream is only asked for, so its timer must go by itself."""
    if orders_of(h)[o].status > _WAITING:
        drop_order_timer(h, o)
    close(h, o, _R_TILL_DATE, time, h[at.CLOCK])


@kernel
def begin_clearing(h: Header, account: Any) -> None:
    """Begin to cancel an account's orders: CURSOR runs through its open ones, then STAGE 1, its waiting ones."""
    h[at.CURSOR], h[at.STAGE] = accounts_of(h)[account].newest[at.OPEN], 0


@kernel
def clear_account(h: Header, account: Any, reason: Any, instrument: Any, label: Any) -> bool:
    """Cancel an account's orders, newest first, then what waits; of one instrument, with one label, or all.

    False when the event buffer is full.
    """
    orders, more = orders_of(h), more_of(h)
    while True:
        while h[at.CURSOR] >= 0:
            if not has_room(h):
                return False
            o = h[at.CURSOR]
            h[at.CURSOR] = orders[o].older
            fits = instrument == -1 or orders[o].instrument == instrument
            if label != 0:
                fits = fits and orders[o].flags & at.HAS_MORE != 0 and more[o].label == label
            if fits:
                close(h, o, reason, 0, 0)
        if h[at.STAGE] == 1:
            h[at.STAGE] = 0
            return True
        h[at.CURSOR], h[at.STAGE] = accounts_of(h)[account].newest[at.WAITING], 1
