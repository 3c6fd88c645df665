"""Fetching into the cache what the next commands of a batch will touch, while the present one is being folded.

Random accounts and orders cost a cache miss for each dependent step: table, record, margin row. Each step is asked for
a few commands early. Hints only: leaving `look_ahead` out changes no event.
"""

from typing import Any

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import find_position, position_key
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
    prefetch,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.records import Kind

_ORDER, _CANCEL = int(Kind.ORDER), int(Kind.CANCEL)
_TABLE, _RECORD, _ROW, _LINKS = 12, 8, 4, 2  # how many commands ahead each step is asked for
_LINE = 64


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
    return level_key(command.instrument, 1 if command.side > 0 else 0, command.price & bounds.PRICE_MAX)


@kernel
def _facing(h: Header, command: Any) -> Index:
    """The order an immediate order would meet first, or -1."""
    ins = instruments_of(h)[command.instrument]
    best = ins.best[0 if command.side > 0 else 1]
    return levels_of(h)[best].head if best >= 0 else -1


@kernel
def _table(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        slot = home(position_key(command.account, command.instrument), h[at.POSITION_MASK])
        prefetch(h[at.A_POSITION_TABLE] + 16 * slot)
        fetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * command.account, 2)
        prefetch(h[at.A_LEVEL_TABLE] + 16 * home(_key(command), h[at.LEVEL_MASK]))
        _instrument(h, command.instrument)
    elif command.kind == _CANCEL and command.order_id > 0:
        prefetch(h[at.A_ORDER_TABLE] + 16 * home(command.order_id, h[at.ORDER_MASK]))


@kernel
def _record(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * find_position(h, command.account, command.instrument), 2)
        prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * accounts_of(h)[command.account].newest + _LINE)
        prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * find(level_table_of(h), h[at.LEVEL_MASK], _key(command)))
        if command.tif != 0:
            fetch(h[at.A_ORDERS] + at.ORDER_BYTES * _facing(h, command), 2)
    elif command.kind == _CANCEL and command.order_id > 0:
        fetch(h[at.A_ORDERS] + at.ORDER_BYTES * find(order_table_of(h), h[at.ORDER_MASK], command.order_id), 2)


@kernel
def _row(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        fetch_margin(h, find_position(h, command.account, command.instrument))
        level = find(level_table_of(h), h[at.LEVEL_MASK], _key(command))
        if level >= 0:
            prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * levels_of(h)[level].tail + _LINE)
        if command.tif != 0:
            facing = _facing(h, command)
            if facing >= 0:
                fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * orders_of(h)[facing].position, 2)
    elif command.kind == _CANCEL and command.order_id > 0:
        o = find(order_table_of(h), h[at.ORDER_MASK], command.order_id)
        if o >= 0:
            order = orders_of(h)[o]
            fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * order.position, 2)
            fetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * order.account, 2)
            _instrument(h, order.instrument)
            prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * order.level)
            for link in (order.next, order.previous, order.older, order.newer):
                prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * link + _LINE)


@kernel
def _links(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command) and command.tif != 0:
        facing = _facing(h, command)
        if facing >= 0:
            fetch_margin(h, orders_of(h)[facing].position)
            fetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * orders_of(h)[facing].account, 2)
    elif command.kind == _CANCEL and command.order_id > 0:
        o = find(order_table_of(h), h[at.ORDER_MASK], command.order_id)
        if o >= 0:
            fetch_margin(h, orders_of(h)[o].position)
