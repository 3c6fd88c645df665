"""The loop: one command after another, unfinished tasks first, back to Python for what is rare.

Long tasks (matching, mass cancel, expiry, funding, margin calls) stop when the event buffer is full and go on where
they were at the next call, before any other command; so events never depend on the size of the buffer or of a batch.
"""

from typing import Any

import numpy as np
from numba import njit

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.ahead import look_ahead
from seawall.engine.kernels.book import clear_side, close, has_room
from seawall.engine.kernels.money import (
    deliver,
    deposit,
    fund,
    settle,
    start_funding,
    start_settling,
    sweep,
    withdraw,
)
from seawall.engine.kernels.trading import cancel, client_passes, instrument_passes, match, place
from seawall.engine.kernels.views import ENTRY, JIT, Header, accounts_of, orders_of
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import Kind

_ORDER, _CANCEL, _CANCEL_ALL = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.CANCEL_ALL)
_DEPOSIT, _WITHDRAW = int(Kind.DEPOSIT), int(Kind.WITHDRAW)
_FUNDING, _SETTLE, _TIME, _CLOSED = int(Kind.FUNDING), int(Kind.SETTLE), int(Kind.TIME), int(Kind.CLOSED)
_BY_OWNER = int(Reason.BY_OWNER)


@njit(**ENTRY)
def fold(h: Header, commands: Any, size: Any) -> Any:
    """Fold commands from AT on; `size` is the attachments' length in bytes.

    Returns the count of events once all are done, or FULL, ADMIN (the command at AT is Python's), GROW, BAD_SEQ,
    BAD_SIZE; after the first three the caller does its part and calls again.
    """
    if h[at.AT] == 0 and h[at.PENDING] == at.NOTHING:
        wrong = _check(h, commands, size)
        if wrong != 0:
            return wrong
    while True:
        if h[at.PENDING] != at.NOTHING:
            if not _proceed(h):
                return at.FULL
            h[at.PENDING] = at.NOTHING
        if h[at.AT] == len(commands):
            return h[at.EVENTS]
        if not has_room(h):
            return at.FULL
        if not _spacious(h):
            return at.GROW
        command = commands[h[at.AT]]
        if not _own(command.kind):
            return at.ADMIN
        look_ahead(h, commands)
        h[at.AT] += 1
        h[at.SEQ] = command.seq
        h[at.CLOCK] = max(h[at.CLOCK], command.time)
        _dispatch(h, command)


@njit(**JIT)
def _check(h: Header, commands: Any, size: Any) -> Any:
    total = np.int64(0)
    for k in range(len(commands)):
        if commands[k].seq != h[at.SEQ] + 1 + k:
            return at.BAD_SEQ
        if commands[k].attachment < 0:
            return at.BAD_SIZE
        total += commands[k].attachment
    return 0 if total == size else at.BAD_SIZE


@njit(**JIT)
def _spacious(h: Header) -> bool:
    """Whether every pool and table has room for one more command."""
    for pool in range(5):
        least = 8 if pool == 4 else 2
        if h[at.ROOM_ORDERS + pool] - h[at.USED_ORDERS + pool] < least:
            return False
    fullest = 0
    for table in range(3):
        fullest = max(fullest, 2 * (h[at.ORDERS_LIVE + table] + 2) - h[at.ORDER_MASK + table])
    return fullest <= 0


@njit(**JIT)
def _own(kind: Any) -> bool:
    """Whether the kernels fold this kind; the others are Python's."""
    trading = kind == _ORDER or kind == _CANCEL or kind == _CANCEL_ALL
    money = kind == _DEPOSIT or kind == _WITHDRAW or kind == _FUNDING or kind == _SETTLE
    return trading or money or kind == _TIME or kind == _CLOSED


@njit(**JIT)
def _dispatch(h: Header, command: Any) -> None:
    kind = command.kind
    if kind == _ORDER:
        if not place(h, command):
            h[at.PENDING] = at.MATCH
    elif kind == _CANCEL:
        cancel(h, command)
    elif kind == _CANCEL_ALL:
        _start_clearing(h, command)
    elif kind == _DEPOSIT:
        deposit(h, command)
    elif kind == _WITHDRAW:
        withdraw(h, command)
    elif kind == _FUNDING:
        start_funding(h, command)
    elif kind == _SETTLE:
        start_settling(h, command)


@njit(**JIT)
def _start_clearing(h: Header, command: Any) -> None:
    if command.instrument != -1 and not instrument_passes(h, command):
        return
    if command.account != -1:
        if client_passes(h, command):
            h[at.PENDING], h[at.CURSOR] = at.CLEAR_ACCOUNT, accounts_of(h)[command.account].newest
            h[at.CURSOR_2] = command.instrument
    elif command.instrument != -1:
        h[at.PENDING], h[at.CURSOR], h[at.CURSOR_2] = at.CLEAR, command.instrument, command.instrument + 1
    else:
        h[at.PENDING], h[at.CURSOR], h[at.CURSOR_2] = at.CLEAR, 0, h[at.INSTRUMENTS]


@njit(**JIT)
def _proceed(h: Header) -> bool:
    """Go on with the task under way; False when the event buffer is full."""
    task = h[at.PENDING]
    if task == at.MATCH:
        return match(h)
    if task == at.SWEEP:
        return sweep(h)
    if task == at.CLEAR:
        return _clear(h)
    if task == at.CLEAR_ACCOUNT:
        return _clear_account(h)
    if task == at.FUND:
        return fund(h)
    if task == at.SETTLE:
        return settle(h)
    return deliver(h)


@njit(**JIT)
def _clear(h: Header) -> bool:
    """Cancel every order of the instruments CURSOR .. CURSOR_2."""
    while h[at.CURSOR] < h[at.CURSOR_2]:
        if not clear_side(h, h[at.CURSOR], 1, _BY_OWNER) or not clear_side(h, h[at.CURSOR], -1, _BY_OWNER):
            return False
        h[at.CURSOR] += 1
    return True


@njit(**JIT)
def _clear_account(h: Header) -> bool:
    """Cancel an account's orders from CURSOR to older ones, those of instrument CURSOR_2 only unless it is -1."""
    while h[at.CURSOR] >= 0:
        if not has_room(h):
            return False
        o = h[at.CURSOR]
        h[at.CURSOR] = orders_of(h)[o].older
        if h[at.CURSOR_2] == -1 or orders_of(h)[o].instrument == h[at.CURSOR_2]:
            close(h, o, _BY_OWNER, 0, 0)
    return True
