"""Fetching into the cache what the next commands of a batch will touch, while the present one is being folded.

Random accounts and orders cost a cache miss for each dependent step: table, record, margin row. Each step is asked for
a few commands early. Hints only: leaving `look_ahead` out changes no event.
"""

from typing import Any

import numpy as np

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import book_code, find_position, position_key
from seawall.engine.kernels.margin import fetch_margin
from seawall.engine.kernels.tables import Index, find, home, level_key
from seawall.engine.kernels.views import (
    Header,
    accounts_of,
    commands_of,
    fetch,
    instruments_of,
    kernel,
    level_table_of,
    levels_of,
    order_table_of,
    orders_of,
    positions_of,
    prefetch,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.records import Kind, TimeInForce

_ORDER, _CANCEL, _EDIT = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.EDIT)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_TABLE, _RECORD, _ROW, _LINKS = 12, 8, 4, 2  # how many commands ahead each step is asked for


@kernel
def look_ahead(h: Header) -> None:
    """Prefetch for the commands after AT."""
    commands, now, count = commands_of(h), h[at.AT], h[at.COUNT]
    if now + _TABLE < count:
        _table(h, commands[now + _TABLE])
    if now + _RECORD < count:
        _record(h, commands[now + _RECORD])
    if now + _ROW < count:
        _row(h, commands[now + _ROW])
    if now + _LINKS < count:
        _links(h, commands[now + _LINKS])


@kernel
def _instrument(h: Header, instrument: Index) -> None:
    """The instrument's record, its risk array and the first lines of its charges."""
    fetch(h[at.A_INSTRUMENTS] + at.INSTRUMENT_BYTES * instrument, at.INSTRUMENT_BYTES // 64 + 1)
    fetch(h[at.A_RISK] + 8 * h[at.STRIDE] * instrument, h[at.STRIDE] // 8)
    prefetch(h[at.A_CHARGES] + 2 * at.CHARGE_BYTES * instrument)
    prefetch(h[at.A_CHARGES] + (2 * instrument + 1) * at.CHARGE_BYTES)


@kernel
def _known(h: Header, command: Any) -> bool:
    return 0 <= command.account < h[at.ACCOUNTS] and 0 <= command.instrument < h[at.INSTRUMENTS]


@kernel
def _key(command: Any) -> Any:
    return level_key(command.instrument, book_code(command.side), command.price & bounds.PRICE_MAX)


@kernel
def _immediate(command: Any) -> bool:
    return command.tif == _IOC or command.tif == _FOK


@kernel
def _facing(h: Header, command: Any) -> Index:
    """The order an immediate order would meet first, or -1."""
    ins = instruments_of(h)[command.instrument]
    best = ins.best[book_code(-command.side)]
    return levels_of(h)[best].head if best >= 0 else -1


@kernel
def _names_order(command: Any) -> bool:
    """Whether a command is about an order that is open already."""
    return (command.kind == _CANCEL or command.kind == _EDIT) and command.order_id > 0


@kernel
def _named(h: Header, command: Any) -> Index:
    """The order a command is about, or -1."""
    return find(order_table_of(h), h[at.ORDER_MASK], command.order_id)


@kernel
def _account(h: Header, account: Index) -> None:
    """An account's record, and the cash that its equity is."""
    fetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * account, 2)
    prefetch(h[at.A_ATOMS] + 8 * at.CURRENCIES_MAX * account)


@kernel
def _limits(h: Header, account: Index) -> None:
    """What bounds an account, whose record is there: its limits, and of its groups records and limits."""
    entry = accounts_of(h)[account]
    if entry.limited != 0:
        fetch(h[at.A_LIMITS] + at.LIMITS_BYTES * account, 2)
    if entry.desk + entry.firm + entry.owner > 0:
        for group in (entry.desk, entry.firm, entry.owner):
            prefetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * group + at.LINE)
            prefetch(h[at.A_LIMITS] + at.LIMITS_BYTES * group)


@kernel
def _sums(h: Header, p: Index) -> None:
    """The sums of its groups that a position, whose record is there, belongs to."""
    pos = positions_of(h)[p]
    if pos.desk >= 0 or pos.firm >= 0 or pos.owner >= 0:
        for group in (pos.desk, pos.firm, pos.owner):
            prefetch(h[at.A_POSITIONS] + at.POSITION_BYTES * group)


@kernel
def _sum_margins(h: Header, p: Index) -> None:
    """The margin records of these sums, which are there."""
    pos = positions_of(h)[p]
    for group in (pos.desk, pos.firm, pos.owner):
        if group >= 0:
            prefetch(h[at.A_MARGINS] + at.MARGIN_BYTES * positions_of(h)[group].margin)


@kernel
def _table(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        slot = home(position_key(command.account, command.instrument), h[at.POSITION_MASK])
        prefetch(h[at.A_POSITION_TABLE] + 16 * slot)
        _account(h, command.account)
        prefetch(h[at.A_LEVEL_TABLE] + 16 * home(_key(command), h[at.LEVEL_MASK]))
        _instrument(h, command.instrument)
    elif _names_order(command):
        prefetch(h[at.A_ORDER_TABLE] + 16 * home(command.order_id, h[at.ORDER_MASK]))


@kernel
def _record(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * find_position(h, command.account, command.instrument), 2)
        prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * accounts_of(h)[command.account].newest[at.OPEN] + at.LINE)
        prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * find(level_table_of(h), h[at.LEVEL_MASK], _key(command)))
        _limits(h, command.account)
        if command.strategy != 0:
            prefetch(h[at.A_STRATEGIES] + 8 * (bounds.STRATEGIES * command.account + command.strategy))
        if _immediate(command):
            fetch(h[at.A_ORDERS] + at.ORDER_BYTES * _facing(h, command), 2)
    elif _names_order(command):
        fetch(h[at.A_ORDERS] + at.ORDER_BYTES * _named(h, command), 2)


@kernel
def _row(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        p = find_position(h, command.account, command.instrument)
        if p >= 0:
            fetch_margin(h, p)
            _sums(h, p)
        level = find(level_table_of(h), h[at.LEVEL_MASK], _key(command))
        if level >= 0:
            prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * levels_of(h)[level].tail + at.LINE)
        if _immediate(command):
            facing = _facing(h, command)
            if facing >= 0:
                _resting(h, facing)
    elif _names_order(command):
        o = _named(h, command)
        if o >= 0:
            order = orders_of(h)[o]
            _resting(h, o)
            _instrument(h, order.instrument)
            prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * order.level)
            for link in (order.next, order.previous, order.older, order.newer):
                prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * link + at.LINE)


@kernel
def _resting(h: Header, o: Index) -> None:
    """What comes with an order whose record is there."""
    order = orders_of(h)[o]
    fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * order.position, 2)
    _account(h, order.account)
    if order.flags & at.HAS_MORE:
        prefetch(h[at.A_MORE] + at.MORE_BYTES * o)


@kernel
def _links(h: Header, command: Any) -> None:
    o = np.int64(-1)
    if _names_order(command):
        o = _named(h, command)
        if o >= 0:
            _limits(h, orders_of(h)[o].account)
    elif command.kind == _ORDER and _known(h, command):
        p = find_position(h, command.account, command.instrument)
        if p >= 0:
            _sum_margins(h, p)
        if _immediate(command):
            o = _facing(h, command)
    if o >= 0:
        fetch_margin(h, orders_of(h)[o].position)
        p = np.int64(orders_of(h)[o].position)
        if p >= 0:
            _sums(h, p)
