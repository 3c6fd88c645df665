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
    limits_of,
    margins_of,
    nodes_of,
    order_table_of,
    orders_of,
    positions_of,
    prefetch,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.records import COMMAND, FLAG_PROTECTED, Kind, TimeInForce

_ORDER, _CANCEL, _EDIT = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.EDIT)
_COMMAND_BYTES = COMMAND.itemsize
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_STREAM, _TABLE, _RECORD, _ROW, _LINKS, _SUMS = 24, 14, 10, 6, 4, 2  # how many commands ahead a step is asked for


@kernel
def look_ahead(h: Header) -> None:
    """Prefetch for the commands after AT."""
    commands, now, count = commands_of(h), h[at.AT], h[at.COUNT]
    fetch(h[at.A_COMMANDS] + _COMMAND_BYTES * (now + _STREAM), 2)
    if now + _TABLE < count:
        _table(h, commands[now + _TABLE])
    if now + _RECORD < count:
        _record(h, commands[now + _RECORD])
    if now + _ROW < count:
        _row(h, commands[now + _ROW])
    if now + _LINKS < count:
        _links(h, commands[now + _LINKS])
    if now + _SUMS < count:
        _last(h, commands[now + _SUMS])


@kernel
def _instrument(h: Header, instrument: Index) -> None:
    """The instrument's record, its risk array and the first lines of its charges."""
    fetch(h[at.A_INSTRUMENTS] + at.INSTRUMENT_BYTES * instrument, at.INSTRUMENT_BYTES // at.LINE)
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
    best = _opposite(h, command)
    return levels_of(h)[best].head if best >= 0 else -1


@kernel
def _opposite(h: Header, command: Any) -> Index:
    """The best level of the side an order is matched against, or -1."""
    return instruments_of(h)[command.instrument].best[book_code(-command.side)]


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
def _pairs(h: Header, command: Any) -> None:
    """Where limits in its instrument would be, of an account and of its groups, whose limits are there."""
    entry = accounts_of(h)[command.account]
    if entry.limited != 0 or entry.desk + entry.firm + entry.owner > 0:
        for who in (command.account, entry.desk, entry.firm, entry.owner):
            if limits_of(h)[who].pairs != 0:
                slot = home(position_key(np.int64(who), command.instrument), h[at.PAIR_MASK])
                prefetch(h[at.A_PAIR_TABLE] + 16 * slot)


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
        prefetch(h[at.A_ORDER_TABLE] + 16 * home(command.seq, h[at.ORDER_MASK]))
    elif _names_order(command):
        fetch(h[at.A_ORDER_TABLE] + 16 * home(command.order_id, h[at.ORDER_MASK]), 2)


@kernel
def _record(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        p = find_position(h, command.account, command.instrument)
        if p >= 0:
            fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * p, 2)
        else:
            _new(h, command)
        prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * accounts_of(h)[command.account].newest[at.OPEN] + at.LINE)
        prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * _opposite(h, command))
        level = find(level_table_of(h), h[at.LEVEL_MASK], _key(command))
        if level >= 0:
            prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * level)
        else:
            _path(h, command, 0)
        _limits(h, command.account)
        if command.strategy != 0:
            prefetch(h[at.A_STRATEGIES] + 8 * (bounds.STRATEGIES * command.account + command.strategy))
        if command.flags & FLAG_PROTECTED:
            first = accounts_of(h)[command.account].first_protection
            prefetch(h[at.A_PROTECTIONS] + at.PROTECTION_BYTES * first + at.LINE)
        if _immediate(command):
            fetch(h[at.A_ORDERS] + at.ORDER_BYTES * _facing(h, command), 2)
    elif _names_order(command):
        fetch(h[at.A_ORDERS] + at.ORDER_BYTES * _named(h, command), 2)


@kernel
def _new(h: Header, command: Any) -> None:
    """What a position that is not there yet will be linked to: neighbours, the list of margins, slots of its sums."""
    entry, last = accounts_of(h)[command.account], at.POSITION_BYTES - at.LINE
    prefetch(h[at.A_POSITIONS] + at.POSITION_BYTES * entry.last_position + last)
    prefetch(h[at.A_POSITIONS] + at.POSITION_BYTES * instruments_of(h)[command.instrument].last_holder + last)
    prefetch(h[at.A_MARGINS] + at.MARGIN_BYTES * entry.first_margin)
    fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * (h[at.USED_POSITIONS] + _RECORD), 2)
    if entry.desk + entry.firm + entry.owner > 0:
        for group in (entry.desk, entry.firm, entry.owner):
            slot = home(position_key(np.int64(group), command.instrument), h[at.POSITION_MASK])
            prefetch(h[at.A_POSITION_TABLE] + 16 * slot)


@kernel
def _new_sums(h: Header, command: Any) -> None:
    """The sums of its groups that it will belong to."""
    entry = accounts_of(h)[command.account]
    if entry.desk + entry.firm + entry.owner > 0:
        for group in (entry.desk, entry.firm, entry.owner):
            p = find_position(h, np.int64(group), command.instrument)
            if p >= 0:
                fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * p, 2)
            elif group > 0:
                prefetch(h[at.A_MARGINS] + at.MARGIN_BYTES * accounts_of(h)[group].first_margin)
                fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * (h[at.USED_POSITIONS] + _RECORD), 4)


@kernel
def _new_sum_margins(h: Header, command: Any) -> None:
    """The margin records of these."""
    entry = accounts_of(h)[command.account]
    if entry.desk + entry.firm + entry.owner > 0:
        for group in (entry.desk, entry.firm, entry.owner):
            p = find_position(h, np.int64(group), command.instrument)
            if p >= 0:
                prefetch(h[at.A_MARGINS] + at.MARGIN_BYTES * positions_of(h)[p].margin)
            elif group > 0:
                _new_margin(h, np.int64(group), np.int64(command.instrument), 1)


@kernel
def _new_margin(h: Header, account: Index, instrument: Index, steps: Index) -> None:
    """A record so many steps down the list of an account's margins, or the block's; with its row of scenarios."""
    block, margins = instruments_of(h)[instrument].block, margins_of(h)
    m = np.int64(accounts_of(h)[account].first_margin)
    while m >= 0 and steps > 0 and margins[m].block != block:
        m = np.int64(margins[m].next)
        steps -= 1
    if m >= 0:
        fetch(h[at.A_MARGINS] + at.MARGIN_BYTES * m, 2)
        fetch(h[at.A_SCENARIOS] + 8 * h[at.STRIDE] * m, h[at.STRIDE] // 8)


@kernel
def _path(h: Header, command: Any, hops: Index) -> None:
    """The node of its book's trie that the way to a new level passes after so many hops."""
    ins, nodes = instruments_of(h)[command.instrument], nodes_of(h)
    shift = 6 * (np.int64(ins.trie_depth) - 1)
    node = np.int64(ins.roots[book_code(command.side)])
    while node >= 0 and hops > 0 and shift > 0:
        slot = command.price >> shift & 63
        node = np.int64(nodes[node].child[slot]) if nodes[node].bits >> slot & 1 else np.int64(-1)
        shift -= 6
        hops -= 1
    if node >= 0:
        prefetch(h[at.A_NODES] + at.NODE_BYTES * node)
        prefetch(h[at.A_NODES] + at.NODE_BYTES * node + 8 + 4 * (command.price >> shift & 63))


@kernel
def _row(h: Header, command: Any) -> None:
    if command.kind == _ORDER and _known(h, command):
        _pairs(h, command)
        p = find_position(h, command.account, command.instrument)
        if p >= 0:
            fetch_margin(h, p)
            _sums(h, p)
        else:
            _new_sums(h, command)
            _new_margin(h, np.int64(command.account), np.int64(command.instrument), 1)
        level = find(level_table_of(h), h[at.LEVEL_MASK], _key(command))
        if level >= 0:
            prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * levels_of(h)[level].tail + at.LINE)
        else:
            _path(h, command, 1)
        if _immediate(command):
            facing = _facing(h, command)
            if facing >= 0:
                _resting(h, facing)
                for account in (command.account, orders_of(h)[facing].account):
                    prefetch(h[at.A_BALANCES] + 8 * at.CURRENCIES_MAX * account)
    elif _names_order(command):
        o = _named(h, command)
        if o >= 0:
            order = orders_of(h)[o]
            _resting(h, o)
            _instrument(h, order.instrument)
            prefetch(h[at.A_LEVELS] + at.LEVEL_BYTES * order.level)
            if command.kind == _EDIT:
                key = level_key(order.instrument, book_code(order.side), command.price & bounds.PRICE_MAX)
                prefetch(h[at.A_LEVEL_TABLE] + 16 * home(key, h[at.LEVEL_MASK]))
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
        else:
            _new_sum_margins(h, command)
            _new_margin(h, np.int64(command.account), np.int64(command.instrument), 2)
        if _immediate(command):
            o = _facing(h, command)
    if o >= 0:
        fetch_margin(h, orders_of(h)[o].position)
        p = np.int64(orders_of(h)[o].position)
        if p >= 0:
            _sums(h, p)


@kernel
def _last(h: Header, command: Any) -> None:
    """The margin records of the sums that come with an order whose position is there."""
    o = np.int64(-1)
    if _names_order(command):
        o = _named(h, command)
    elif command.kind == _ORDER and _known(h, command) and _immediate(command):
        o = _facing(h, command)
    if o >= 0 and orders_of(h)[o].position >= 0:
        _sum_margins(h, np.int64(orders_of(h)[o].position))
