"""Fetching into the cache what the next commands of a batch will touch, while the present one is being folded.

Random accounts and orders cost a cache miss for each dependent step: table, record, margin row. Each step is asked for
a few commands early. Hints only: leaving `look_ahead` out changes no event.
"""

from typing import Any

from numba import njit

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import find_position, position_key
from seawall.engine.kernels.tables import Index, find, home
from seawall.engine.kernels.views import JIT, Header, order_table_of, orders_of, positions_of, prefetch
from seawall.vocabulary.records import Kind

_ORDER, _CANCEL = int(Kind.ORDER), int(Kind.CANCEL)
_TABLE, _RECORD, _ROW, _LINKS = 12, 8, 4, 2  # how many commands ahead each step is asked for
_LINE = 64
_ACCOUNT_BYTES, _ORDER_BYTES = at.ACCOUNT.itemsize, at.ORDER.itemsize
_POSITION_BYTES, _MARGIN_BYTES = at.POSITION.itemsize, at.MARGIN.itemsize
_LEVEL_BYTES = at.LEVEL.itemsize


@njit(**JIT)
def look_ahead(h: Header, commands: Any) -> None:
    """Prefetch for the commands after AT."""
    now, count = h[at.AT], len(commands)
    if now + _TABLE < count:
        _table(h, commands[now + _TABLE])
    if now + _RECORD < count:
        _record(h, commands[now + _RECORD])
    if now + _ROW < count:
        _row(h, commands[now + _ROW])
    if now + _LINKS < count:
        _links(h, commands[now + _LINKS])


@njit(**JIT)
def _known(h: Header, command: Any) -> bool:
    return 0 <= command.account < h[at.ACCOUNTS] and 0 <= command.instrument < h[at.INSTRUMENTS]


@njit(**JIT)
def _table(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        slot = home(position_key(command.account, command.instrument), h[at.POSITION_MASK])
        prefetch(h[at.A_POSITION_TABLE] + 16 * slot)
        prefetch(h[at.A_ACCOUNTS] + _ACCOUNT_BYTES * command.account)
    elif command.kind == _CANCEL and command.order_id > 0:
        prefetch(h[at.A_ORDER_TABLE] + 16 * home(command.order_id, h[at.ORDER_MASK]))


@njit(**JIT)
def _record(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        _fetch(h[at.A_POSITIONS] + _POSITION_BYTES * find_position(h, command.account, command.instrument), 2)
    elif command.kind == _CANCEL and command.order_id > 0:
        _fetch(h[at.A_ORDERS] + _ORDER_BYTES * find(order_table_of(h), h[at.ORDER_MASK], command.order_id), 2)


@njit(**JIT)
def _row(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        _margin(h, find_position(h, command.account, command.instrument))
    elif command.kind == _CANCEL and command.order_id > 0:
        o = find(order_table_of(h), h[at.ORDER_MASK], command.order_id)
        if o >= 0:
            order = orders_of(h)[o]
            _fetch(h[at.A_POSITIONS] + _POSITION_BYTES * order.position, 2)
            prefetch(h[at.A_LEVELS] + _LEVEL_BYTES * order.level)
            for link in (order.next, order.previous, order.older, order.newer):
                prefetch(h[at.A_ORDERS] + _ORDER_BYTES * link + _LINE)


@njit(**JIT)
def _links(h: Header, command: Any) -> None:
    if command.kind == _CANCEL and command.order_id > 0:
        o = find(order_table_of(h), h[at.ORDER_MASK], command.order_id)
        if o >= 0:
            _margin(h, orders_of(h)[o].position)


@njit(**JIT)
def _margin(h: Header, p: Index) -> None:
    """The margin record and row of scenarios of a position."""
    if p >= 0:
        m = positions_of(h)[p].margin
        _fetch(h[at.A_MARGINS] + _MARGIN_BYTES * m, 2)
        _fetch(h[at.A_SCENARIOS] + 8 * h[at.STRIDE] * m, h[at.STRIDE] // 8)


@njit(**JIT)
def _fetch(address: Any, lines: Any) -> None:
    for line in range(lines):
        prefetch(address + _LINE * line)
