"""The loop: one command after another, unfinished tasks first, back to Python for what is rare.

Long tasks (matching, mass cancel, expiry, funding, margin calls) stop when the event buffer is full and go on where
they were at the next call, before any other command; so events never depend on the size of the buffer or of a batch.
"""

from typing import Any

import numpy as np
from numba import njit

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.ahead import look_ahead
from seawall.engine.kernels.book import clear_instrument, close, has_room, margin_call, refuse_denied
from seawall.engine.kernels.chains import carry_out, chain_length, chained, refuse_legs, start_chain
from seawall.engine.kernels.firing import begin_clearing, clear_account, due, fire, run_timers
from seawall.engine.kernels.matching import match, pull
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
from seawall.engine.kernels.trading import (
    cancel,
    client_passes,
    dead_man,
    edit,
    instrument_passes,
    place,
)
from seawall.engine.kernels.upstream import amended, booked, ended, executed, set_status
from seawall.engine.kernels.views import (
    ENTRY,
    Header,
    accounts_of,
    blocks_of,
    commands_of,
    instruments_of,
    kernel,
    orders_of,
    words_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FLAG_DISCONNECTED, FLAG_LINKED, Kind, Role, Status

_ORDER, _CANCEL, _CANCEL_ALL, _EDIT = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.CANCEL_ALL), int(Kind.EDIT)
_DEAD_MAN, _ACKNOWLEDGED, _EXECUTED = int(Kind.DEAD_MAN), int(Kind.ACKNOWLEDGED), int(Kind.EXECUTED)
_ENDED, _UNKNOWN, _BOOKED, _AMENDED = int(Kind.ENDED), int(Kind.UNKNOWN), int(Kind.BOOKED), int(Kind.AMENDED)
_DEPOSIT, _WITHDRAW = int(Kind.DEPOSIT), int(Kind.WITHDRAW)
_FUNDING, _SETTLE, _TIME, _CLOSED = int(Kind.FUNDING), int(Kind.SETTLE), int(Kind.TIME), int(Kind.CLOSED)
_BY_OWNER, _DISCONNECTED = int(Reason.BY_OWNER), int(Reason.DISCONNECTED)
_PENDING = int(Status.PENDING)
_CLIENT = int(Role.CLIENT)
_STATUS_ACKNOWLEDGED, _STATUS_UNKNOWN = int(Status.ACKNOWLEDGED), int(Status.UNKNOWN)


@njit(**ENTRY)
def fold(words: Any, commands: Any, size: Any) -> Any:
    """Fold commands; `size` is their attachments' length in bytes.

    Returns the count of events once all are done, or FULL, ADMIN (the command before AT is Python's), GROW, BAD_SEQ,
    BAD_SIZE, BAD_CHAIN; after the first three the caller does its part and calls again, with `size` GO_ON.
    """
    h = words_of(words)
    h[at.A_COMMANDS], h[at.COUNT] = commands.ctypes.data, len(commands)
    result = np.int64(0)
    if size != at.GO_ON:
        h[at.AT] = h[at.EVENTS] = 0
        result = _check(h, size)
    if result == 0:
        result = _fold(h)
    h[at.A_COMMANDS] = h[at.COUNT] = 0
    return result


@kernel
def _fold(h: Header) -> Any:
    """The loop of `fold`."""
    commands = commands_of(h)
    while True:
        if h[at.PENDING] != at.NOTHING:
            h[at.STALL] = at.FULL
            if not _proceed(h):
                return h[at.STALL]
            h[at.PENDING] = _next_task(h)
            continue
        if h[at.READY] == 0:
            if h[at.AT] == h[at.COUNT]:
                return h[at.EVENTS]
            if not has_room(h):
                return at.FULL
            if not _stamp(h):
                return at.GROW
            if due(h):
                h[at.PENDING] = at.TIMERS
                continue
        h[at.READY] = 0
        if h[at.CHAIN_END] > 0:
            start_chain(h)
            continue
        command = commands[h[at.AT] - 1]
        if not _own(h, command.kind):
            return at.ADMIN
        if not _dispatch(h, command):
            h[at.PENDING] = at.MATCH
        elif h[at.PENDING] == at.NOTHING:
            h[at.PENDING] = _next_task(h)


@kernel
def _check(h: Header, size: Any) -> Any:
    commands, count, total = commands_of(h), h[at.COUNT], np.int64(0)
    for k in range(count):
        if commands[k].seq != h[at.SEQ] + 1 + k:
            return at.BAD_SEQ
        if commands[k].attachment < 0:
            return at.BAD_SIZE
        total += commands[k].attachment
    if count > 0 and chained(commands[count - 1]) and commands[count - 1].flags & FLAG_LINKED:
        return at.BAD_CHAIN
    return 0 if total == size else at.BAD_SIZE


@kernel
def _stamp(h: Header) -> bool:
    """Take the next command, or the next chain, at its time; False where a pool or table has no room for it."""
    commands = commands_of(h)
    command = commands[h[at.AT]]
    count, legs = np.int64(1), np.int64(0)
    if h[at.RULES] > 1 and chained(command):
        count = legs = chain_length(h, h[at.AT])
    if not _spacious(h, min(count, bounds.CHAIN_MAX)):
        return False
    look_ahead(h)
    h[at.CHAIN_END] = legs
    h[at.SEQ] = command.seq
    for k in range(count):
        h[at.CLOCK] = max(h[at.CLOCK], commands[h[at.AT] + k].time)
    h[at.AT] += count
    h[at.READY] = 1
    return True


@kernel
def _spacious(h: Header, orders: Any) -> bool:
    """Whether every pool and table has room for so many more orders, with positions of theirs and of their groups."""
    for pool in range(5):
        least = 8 * orders if pool == 4 else 4 * orders + 2
        if h[at.ROOM_ORDERS + pool] - h[at.USED_ORDERS + pool] < least:
            return False
    if h[at.ROOM_TIMERS] - h[at.TIMERS_USED] < orders + 1:
        return False
    fullest = 0
    for table in range(3):
        fullest = max(fullest, 2 * (h[at.ORDERS_LIVE + table] + 4 * orders + 2) - h[at.ORDER_MASK + table])
    return fullest <= 0


@kernel
def _own(h: Header, kind: Any) -> bool:
    """Whether the kernels fold this kind; the others are Python's."""
    trading = kind == _ORDER or kind == _CANCEL or kind == _CANCEL_ALL
    money = kind == _DEPOSIT or kind == _WITHDRAW or kind == _FUNDING or kind == _SETTLE
    newer = kind == _EDIT or kind == _DEAD_MAN or (_ACKNOWLEDGED <= kind <= _UNKNOWN)
    if kind == _BOOKED or kind == _AMENDED:
        return h[at.RULES] > 2
    return trading or money or kind == _TIME or kind == _CLOSED or (newer and h[at.RULES] > 1)


@kernel
def _dispatch(h: Header, command: Any) -> bool:
    """Fold a command; False when the event buffer is full and its matching goes on later."""
    kind = command.kind
    if kind == _ORDER:
        return place(h, command)
    if kind == _EDIT:
        return edit(h, command)
    if kind == _CANCEL:
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
    elif kind == _DEAD_MAN:
        dead_man(h, command)
    elif kind == _ACKNOWLEDGED:
        set_status(h, command, _STATUS_ACKNOWLEDGED)
    elif kind == _UNKNOWN:
        set_status(h, command, _STATUS_UNKNOWN)
    elif kind == _ENDED:
        ended(h, command)
    elif kind == _EXECUTED:
        executed(h, command)
    elif kind == _BOOKED:
        booked(h, command)
    elif kind == _AMENDED:
        amended(h, command)
    return True


@kernel
def _start_clearing(h: Header, command: Any) -> None:
    """A CANCEL_ALL command."""
    if command.instrument != -1 and not instrument_passes(h, command):
        refuse_denied(h, command)
        return
    h[at.CLEARING] = _DISCONNECTED if command.flags & FLAG_DISCONNECTED and h[at.RULES] > 1 else _BY_OWNER
    h[at.LABEL] = command.label if h[at.RULES] > 1 else 0
    if command.account != -1:
        if not client_passes(h, command):
            refuse_denied(h, command)
            return
        h[at.PENDING], h[at.CALL], h[at.GROUP] = at.CLEAR_ACCOUNT, command.account, command.account
        h[at.CURSOR_2] = command.instrument
        begin_clearing(h, np.int64(command.account))
    elif command.instrument != -1:
        h[at.PENDING], h[at.CURSOR], h[at.CURSOR_2] = at.CLEAR, command.instrument, command.instrument + 1
    else:
        h[at.PENDING], h[at.CURSOR], h[at.CURSOR_2] = at.CLEAR, 0, h[at.INSTRUMENTS]
    h[at.UNDERLYING], h[at.UPSTREAM_FROM], h[at.UPSTREAM_TO] = -1, h[at.CURSOR], h[at.CURSOR_2]


@kernel
def _next_task(h: Header) -> Any:
    """What must go on before the next command: quotes to be pulled, legs of a chain, stops that were reached."""
    if h[at.READY] != 0:  # the timers due before a command
        return at.NOTHING
    in_package = h[at.PACKAGE] != 0 and h[at.CHAIN_AT] < h[at.CHAIN_END]
    if h[at.PULL_HEAD] >= 0 and not in_package:
        return at.PULL
    if h[at.CHAIN_AT] < h[at.CHAIN_END]:
        return at.CHAIN
    h[at.CHAIN_AT] = h[at.CHAIN_END] = 0
    return at.FIRE if h[at.QUEUE_HEAD] >= 0 else at.NOTHING


@kernel
def _proceed(h: Header) -> bool:
    """Go on with the task under way; False when it stalls."""
    task = h[at.PENDING]
    if task == at.MATCH:
        return match(h)
    if task == at.FIRE:
        if not _spacious(h, 1):
            h[at.STALL] = at.GROW
            return False
        return fire(h)
    if task == at.CHAIN:
        return carry_out(h)
    if task == at.CHAIN_REFUSED:
        return refuse_legs(h)
    if task == at.PULL:
        return pull(h)
    if task == at.TIMERS:
        return run_timers(h)
    if task == at.SWEEP:
        return sweep(h)
    if task == at.CALL_ONE:
        return _call_one(h)
    if task == at.CLEAR:
        return _clear(h)
    if task == at.CLEAR_ACCOUNT:
        return _clear_accounts(h)
    if task == at.FUND:
        return fund(h)
    if task == at.SETTLE:
        return settle(h)
    return deliver(h)


@kernel
def _call_one(h: Header) -> bool:
    """The margin call of account CALL."""
    if not margin_call(h, h[at.CALL]):
        return False
    h[at.CALL] = -1
    return True


@kernel
def _among(h: Header, instrument: Any) -> bool:
    """Whether an instrument's orders are among those being cancelled."""
    if h[at.UNDERLYING] < 0:
        return True
    return blocks_of(h)[instruments_of(h)[instrument].block].underlying == h[at.UNDERLYING]


@kernel
def _clear(h: Header) -> bool:
    """Cancel every order of the instruments CURSOR .. CURSOR_2, then ask for those upstream."""
    while h[at.CURSOR] < h[at.CURSOR_2]:
        if _among(h, h[at.CURSOR]) and not clear_instrument(h, h[at.CURSOR], h[at.CLEARING]):
            return False
        h[at.CURSOR] += 1
    return h[at.UPSTREAM_LIVE] == 0 or _ask_upstream(h)


@kernel
def _ask_upstream(h: Header) -> bool:
    """Ask for the upstream orders of instruments UPSTREAM_FROM .. UPSTREAM_TO, account by account, newest first.

    It begins anew where it stalled: what was asked for once is not asked for again.
    """
    orders = orders_of(h)
    for account in range(h[at.ACCOUNTS]):
        o = np.int64(accounts_of(h)[account].newest[at.OPEN])
        while o >= 0:
            if not has_room(h):
                return False
            older = np.int64(orders[o].older)
            instrument = np.int64(orders[o].instrument)
            chosen = h[at.UPSTREAM_FROM] <= instrument < h[at.UPSTREAM_TO] and _among(h, instrument)
            if chosen and orders[o].status >= _PENDING:
                close(h, o, h[at.CLEARING], 0, 0)
            o = older
    return True


@kernel
def _clear_accounts(h: Header) -> bool:
    """Cancel the orders of account CALL, and, where GROUP is a group, of its other members from there on."""
    while True:
        if not clear_account(h, h[at.CALL], h[at.CLEARING], h[at.CURSOR_2], h[at.LABEL]):
            return False
        if accounts_of(h)[h[at.GROUP]].role == _CLIENT:
            break
        h[at.CALL] = next_member(h, h[at.GROUP], h[at.CALL] + 1)
        if h[at.CALL] < 0:
            break
        begin_clearing(h, h[at.CALL])
    h[at.CALL] = -1
    return True


@kernel
def next_member(h: Header, group: Any, account: Any) -> Any:
    """The first member of a group from an account number on, or -1."""
    while account < h[at.ACCOUNTS]:
        entry = accounts_of(h)[account]
        if entry.desk == group or entry.firm == group or entry.owner == group:
            return account
        account += 1
    return np.int64(-1)
