"""Linked commands: all are taken or none. `rules.orders` says what a chain is; legs are in LEGS until it is over."""

from typing import Any

import numpy as np

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.admission import admit, spend
from seawall.engine.kernels.book import (
    add_holder,
    close,
    delist,
    deny,
    drop_position,
    enlist,
    has_room,
    new_position,
    refuse,
    refuse_denied,
    reserve_of,
    tell,
)
from seawall.engine.kernels.gate import count_order, gate, gate_package
from seawall.engine.kernels.margin import equity, move, requirement
from seawall.engine.kernels.matching import begin_match
from seawall.engine.kernels.tables import give_order
from seawall.engine.kernels.timers import set_order_timer
from seawall.engine.kernels.trading import (
    client_passes,
    first_under,
    instrument_passes,
    is_plain,
    keep_client_id,
    message_passes,
    order_passes,
    own_order,
    prepare,
    tell_duplicate,
)
from seawall.engine.kernels.views import Header, accounts_of, commands_of, instruments_of, kernel, legs_of, orders_of
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_LINKED,
    FLAG_PACKAGE,
    SYSTEM_ACCOUNTS,
    EventKind,
    Kind,
    OrderType,
    Status,
    TimeInForce,
)

_ORDER, _CANCEL = int(Kind.ORDER), int(Kind.CANCEL)
_ACCEPTED = int(EventKind.ACCEPTED)
_LIMIT, _MARKET = int(OrderType.LIMIT), int(OrderType.MARKET)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_RESTING = int(Status.RESTING)
_R_CHAIN, _R_BATCH, _R_ORDER = int(Reason.CHAIN), int(Reason.BATCH), int(Reason.UNKNOWN_ORDER)
_R_STATUS, _R_BY_OWNER = int(Reason.ORDER_STATUS), int(Reason.BY_OWNER)


@kernel
def chained(command: Any) -> bool:
    """Whether a command belongs to a chain."""
    trades = command.kind == _ORDER or command.kind == _CANCEL
    return trades and command.flags & (FLAG_LINKED | FLAG_PACKAGE) != 0


@kernel
def chain_length(h: Header, first: Any) -> Any:
    """How many commands belong together from `first` on: linked ones and the one after them."""
    commands, end = commands_of(h), first
    while chained(commands[end]) and commands[end].flags & FLAG_LINKED and end + 1 < h[at.COUNT]:
        kind = commands[end + 1].kind
        if kind != _ORDER and kind != _CANCEL:
            break
        end += 1
    return end - first + 1


@kernel
def start_chain(h: Header) -> None:
    """Check all legs of the chain before AT and count them in the margin, or refuse it."""
    commands, count = commands_of(h), h[at.CHAIN_END]
    first = h[at.AT] - count
    h[at.CHAIN_AT] = 0
    h[at.PACKAGE] = commands[first].flags & FLAG_PACKAGE != 0
    if _known(h, first, count):
        h[at.PENDING] = at.CHAIN_REFUSED
        return
    h[at.BAD_LEG] = -1
    taken = _take_legs(h, first, count)
    if taken < count or (h[at.PACKAGE] and not gate_package(h, commands[first].account, count)):
        h[at.BAD_LEG] = min(taken, count - 1)
        _undo(h, taken)
        h[at.PENDING] = at.CHAIN_REFUSED
        return
    account = np.int64(commands[first].account)
    h[at.CHAIN_NEEDED], h[at.CHAIN_HELD] = requirement(h, account), equity(h, account)
    for leg in range(count):
        if legs_of(h)[3 * leg + 1] == _CANCEL:
            _count_cancelled(h, legs_of(h)[3 * leg], 1)
    h[at.PENDING] = at.CHAIN


@kernel
def _known(h: Header, first: Any, count: Any) -> bool:
    """Whether a leg's client id is known: then it is this leg, BAD_LEG, that decides, and it is told of as such."""
    commands = commands_of(h)
    account = np.int64(commands[first].account)
    if account < SYSTEM_ACCOUNTS or account >= h[at.ACCOUNTS]:
        return False
    for leg in range(count):
        command = commands[first + leg]
        if command.kind == _ORDER and first_under(h, account, command.client_id) != 0:
            h[at.BAD_LEG] = -2 - leg
            return True
    return False


@kernel
def _take_legs(h: Header, first: Any, count: Any) -> Any:
    """Take legs until one is denied; how many were taken."""
    commands = commands_of(h)
    if not client_passes(h, commands[first]):
        return 0
    h[at.CHAIN_BEFORE] = requirement(h, commands[first].account)
    for leg in range(count):
        command = commands[first + leg]
        h[at.SEQ] = command.seq
        if not _fits(h, first, leg, count):
            deny(h, _R_CHAIN, leg + 1, count)
            return leg
        taken = _take_cancel(h, command, leg) if command.kind == _CANCEL else _take_order(h, command, leg)
        if not taken:
            return leg
    return count


@kernel
def _fits(h: Header, first: Any, leg: Any, count: Any) -> bool:
    """Whether a leg fits its chain."""
    commands = commands_of(h)
    command = commands[first + leg]
    package = h[at.PACKAGE] != 0
    fits = count <= bounds.CHAIN_MAX and (command.flags & FLAG_LINKED != 0) == (leg < count - 1)
    fits = fits and command.account == commands[first].account
    fits = fits and (command.flags & FLAG_PACKAGE != 0) == package
    if command.kind == _CANCEL:
        return fits and not package
    fits = fits and (command.type == _LIMIT or command.type == _MARKET)
    if command.client_id != 0:
        for other in range(leg):
            earlier = commands[first + other]
            fits = fits and (earlier.kind != _ORDER or earlier.client_id != command.client_id)
    if package:
        return fits and (command.tif == _IOC or command.tif == _FOK)
    return fits and command.tif != _FOK


@kernel
def _take_cancel(h: Header, command: Any, leg: Any) -> bool:
    o = own_order(h, command)
    if o < 0:
        return False
    order = orders_of(h)[o]
    for other in range(leg):
        if legs_of(h)[3 * other] == o:
            return deny(h, _R_ORDER, order.id, order.account)
    if order.status != _RESTING:
        return deny(h, _R_STATUS, order.id, order.status)
    if not spend(h, np.int64(order.account), True):
        return False
    _note_leg(h, leg, o, _CANCEL, 0)
    _count_cancelled(h, o, -1)
    return True


@kernel
def _note_leg(h: Header, leg: Any, o: Any, kind: Any, is_fresh: Any) -> None:
    legs = legs_of(h)
    legs[3 * leg], legs[3 * leg + 1], legs[3 * leg + 2] = o, kind, is_fresh


@kernel
def _count_cancelled(h: Header, o: Any, sign: Any) -> None:
    """Count an order that is to be cancelled out of its account's margin (-1) or in again; it stays in the book."""
    order = orders_of(h)[o]
    entry = accounts_of(h)[order.account]
    entry.open_orders += sign
    entry.reserve += sign * reserve_of(h, order.instrument)
    if sign < 0:
        move(h, order.position, order.side, order.remaining, order.fixed, 0, 0, 0)
    else:
        move(h, order.position, order.side, 0, 0, order.remaining, order.fixed, 0)


@kernel
def _take_order(h: Header, command: Any, leg: Any) -> bool:
    if not client_passes(h, command) or not instrument_passes(h, command):
        return False
    plain = is_plain(command)
    if not order_passes(h, command, plain) or not message_passes(h, command, plain):
        return False
    package = h[at.PACKAGE] != 0
    unfit = instruments_of(h)[command.instrument].upstream > 0
    for other in range(leg if package else 0):
        unfit = unfit or orders_of(h)[legs_of(h)[3 * other]].instrument == command.instrument
    if unfit:
        return deny(h, _R_CHAIN, leg + 1, 0)
    o = prepare(h, command, plain)
    order = orders_of(h)[o]
    tif = _FOK if package else np.int64(command.tif)
    if not admit(h, o, np.int64(command.type), tif, np.int64(command.self_match)):
        give_order(h, o)
        return False
    is_fresh = order.position < 0
    if is_fresh:
        order.position = new_position(h, order.account, order.instrument)
    _note_leg(h, leg, o, _ORDER, 1 if is_fresh else 0)
    if package:
        count_order(h, o)
    elif not gate(h, o):
        if is_fresh:
            drop_position(h, order.position)
        give_order(h, o)
        return False
    _open_leg(h, leg)
    return True


@kernel
def _open_leg(h: Header, leg: Any) -> None:
    """A leg that passed the gate is an open order of its account."""
    o = legs_of(h)[3 * leg]
    enlist(h, o)
    orders_of(h)[o].flags |= at.LISTED


@kernel
def _undo(h: Header, taken: Any) -> None:
    """Everything as it was before the legs taken."""
    legs = legs_of(h)
    for leg in range(taken - 1, -1, -1):
        o = legs[3 * leg]
        if legs[3 * leg + 1] == _CANCEL:
            _count_cancelled(h, o, 1)
            continue
        order = orders_of(h)[o]
        move(h, order.position, order.side, order.remaining, order.fixed, 0, 0, 0)
        delist(h, o)
        if legs[3 * leg + 2] != 0:
            drop_position(h, order.position)
        give_order(h, o)


@kernel
def refuse_legs(h: Header) -> bool:
    """The leg that failed says why, the others which it was; known client ids get their first result. False when the
    event buffer is full.
    """
    commands, count = commands_of(h), h[at.CHAIN_END]
    reason, a, b = h[at.D_REASON], h[at.D_A], h[at.D_B]
    where = h[at.D_INSTRUMENT], h[at.D_PRICE], h[at.D_ACCOUNT]
    while h[at.CHAIN_AT] < count:
        if not has_room(h):
            return False
        leg = h[at.CHAIN_AT]
        command = commands[h[at.AT] - count + leg]
        h[at.CHAIN_AT] += 1
        h[at.SEQ] = command.seq
        if h[at.BAD_LEG] <= -2:
            account = np.int64(commands[h[at.AT] - count].account)
            known = first_under(h, account, command.client_id) if command.kind == _ORDER else 0
            if known != 0:
                tell_duplicate(h, command, account, known)
            else:
                refuse(h, command, _R_BATCH, -1 - h[at.BAD_LEG], 0)
        elif leg == h[at.BAD_LEG]:
            refuse_denied(h, command)
        else:
            refuse(h, command, _R_BATCH, h[at.BAD_LEG] + 1, reason)
            h[at.D_REASON], h[at.D_A], h[at.D_B] = reason, a, b
            h[at.D_INSTRUMENT], h[at.D_PRICE], h[at.D_ACCOUNT] = where
    h[at.CHAIN_AT] = h[at.CHAIN_END] = 0
    return True


@kernel
def carry_out(h: Header) -> bool:
    """Carry out the next leg of a chain that was taken; False when the event buffer is full."""
    if not has_room(h):
        return False
    leg, count = h[at.CHAIN_AT], h[at.CHAIN_END]
    command = commands_of(h)[h[at.AT] - count + leg]
    h[at.CHAIN_AT] += 1
    h[at.SEQ] = command.seq
    o = legs_of(h)[3 * leg]
    order = orders_of(h)[o]
    if command.kind == _CANCEL:
        if order.id == command.order_id:  # else it met another leg of this chain, and is gone
            close(h, o, _R_BY_OWNER, 0, 0)
        return True
    tell(h, _ACCEPTED, o, 0, h[at.CHAIN_NEEDED], h[at.CHAIN_HELD])
    keep_client_id(h, order.account, order.client_id, order.id)
    if legs_of(h)[3 * leg + 2] != 0:
        add_holder(h, order.position)
    tif = _FOK if h[at.PACKAGE] != 0 else np.int64(command.tif)
    if order.flags & at.HAS_MORE:
        set_order_timer(h, o)
    return begin_match(h, o, tif, np.int64(command.self_match))
