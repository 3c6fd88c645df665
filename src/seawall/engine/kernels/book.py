"""Events, orders in the book, positions and margins coming into being."""

from typing import Any

import numpy as np

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.margin import equity, fetch_margin, maintenance, move, requirement
from seawall.engine.kernels.tables import Index, drop_level, find, fresh, give_order, home, insert, level_at, remove
from seawall.engine.kernels.timers import drop_order_timer, set_order_timer
from seawall.engine.kernels.views import (
    Header,
    accounts_of,
    events_of,
    fetch,
    instruments_of,
    kernel,
    levels_of,
    margins_of,
    more_of,
    order_table_of,
    orders_of,
    position_table_of,
    positions_of,
    prefetch,
    rates_of,
)
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FLAG_REDUCE_ONLY, SYSTEM_ACCOUNTS, EventKind, OrderType, Role, Status

_CANCELLED = int(EventKind.CANCELLED)
_REFUSED = int(EventKind.REFUSED)
_STATUS, _RESTRICTED, _LIFTED = int(EventKind.STATUS), int(EventKind.RESTRICTED), int(EventKind.LIFTED)
_RESTING, _WAITING = int(Status.RESTING), int(Status.WAITING)
_TAKE_LIMIT, _TAKE_MARKET = int(OrderType.TAKE_LIMIT), int(OrderType.TAKE_MARKET)
_TRAILING = int(OrderType.TRAILING)
_CLIENT = int(Role.CLIENT)
_REDUCE_ONLY = FLAG_REDUCE_ONLY
_MARGIN_CALL = int(Reason.MARGIN_CALL)
ROOM = 16
"""Events any one step may emit before it looks at the room again."""


@kernel
def emit(
    h: Header,
    kind: Any,
    reason: Any,
    side: Any,
    liquidity: Any,
    currency: Any,
    account: Any,
    instrument: Any,
    order_id: Any,
    price: Any,
    quantity: Any,
    a: Any,
    b: Any,
) -> None:
    """Append one event of the current command."""
    event = events_of(h)[h[at.EVENTS]]
    h[at.EVENTS] += 1
    event.seq = h[at.SEQ]
    event.kind = kind
    event.reason = reason
    event.side = side
    event.liquidity = liquidity
    event.currency = currency
    event.account = account
    event.instrument = instrument
    event.order_id = order_id
    event.price = price
    event.quantity = quantity
    event.a = a
    event.b = b


@kernel
def refuse(h: Header, command: Any, reason: Any, a: Any, b: Any) -> None:
    """The REFUSED event, echoing the command."""
    deny(h, reason, a, b)
    refuse_denied(h, command)


@kernel
def deny(h: Header, reason: Any, a: Any, b: Any) -> bool:
    """Remember why a check failed; False."""
    h[at.D_REASON], h[at.D_A], h[at.D_B] = reason, a, b
    h[at.D_INSTRUMENT] = h[at.D_PRICE] = h[at.D_ACCOUNT] = -1
    return False


@kernel
def refuse_denied(h: Header, command: Any) -> None:
    """The REFUSED event of the check that failed last: the command's fields, but for what the check named."""
    order_id = command.order_id if command.order_id != 0 else h[at.SEQ]
    account = command.account if h[at.D_ACCOUNT] < 0 else h[at.D_ACCOUNT]
    instrument = command.instrument if h[at.D_INSTRUMENT] < 0 else h[at.D_INSTRUMENT]
    price = command.price if h[at.D_PRICE] < 0 else h[at.D_PRICE]
    emit(
        h, _REFUSED, h[at.D_REASON], command.side, 0, command.currency & 0x7FFF, account, instrument, order_id, price,
        command.quantity, h[at.D_A], h[at.D_B],
    )  # fmt: skip


@kernel
def has_room(h: Header) -> bool:
    """Whether one more step's events fit the buffer."""
    return h[at.EVENTS] + ROOM <= h[at.EVENT_ROOM]


@kernel
def position_key(account: Index, instrument: Index) -> Any:
    """Key of the position table, never 0."""
    return (account << 14 | instrument) + 1


@kernel
def find_position(h: Header, account: Index, instrument: Index) -> Index:
    """The position's record, or -1."""
    return find(position_table_of(h), h[at.POSITION_MASK], position_key(account, instrument))


@kernel
def find_margin(h: Header, account: Index, block: Index) -> Index:
    """The account's margin record in a block, or -1."""
    margins = margins_of(h)
    m = np.int64(accounts_of(h)[account].first_margin)
    while m >= 0 and margins[m].block != block:
        m = np.int64(margins[m].next)
    return m


@kernel
def _margin_for(h: Header, account: Index, block: Index) -> Index:
    """The account's margin record in a block, made empty if there is none."""
    m = find_margin(h, account, block)
    if m >= 0:
        return m
    m = fresh(h, 2)
    margin = margins_of(h)[m]
    margin.account, margin.block = account, block
    margin.next = accounts_of(h)[account].first_margin
    accounts_of(h)[account].first_margin = m
    return m


@kernel
def new_position(h: Header, account: Index, instrument: Index) -> Index:
    """An empty position, last of its account's, with the sums of its groups; no holder yet."""
    entry = accounts_of(h)[account]
    p = _take_position(h, account, instrument, 1)
    pos, positions = positions_of(h)[p], positions_of(h)
    pos.previous_position = entry.last_position
    if entry.last_position >= 0:
        positions[entry.last_position].next_position = p
    else:
        entry.first_position = p
    entry.last_position = p
    if entry.desk > 0:
        pos.desk = _group_position(h, entry.desk, instrument)
    if entry.firm > 0:
        pos.firm = _group_position(h, entry.firm, instrument)
    if entry.owner > 0:
        pos.owner = _group_position(h, entry.owner, instrument)
    return p


@kernel
def _take_position(h: Header, account: Index, instrument: Index, live: Any) -> Index:
    h[at.POSITIONS_LIVE] += 1
    p = h[at.FREE_POSITIONS]
    if p < 0:
        p = fresh(h, 1)
    else:
        h[at.FREE_POSITIONS] = positions_of(h)[p].next_position
    pos = positions_of(h)[p]
    pos.quantity = pos.cash = pos.open_buy = pos.open_sell = 0
    pos.gain = pos.charge_initial = pos.charge_maintenance = 0
    pos.window_start, pos.window_price = -1, 0
    pos.account, pos.instrument, pos.live = account, instrument, live
    pos.margin = _margin_for(h, account, instruments_of(h)[instrument].block)
    pos.next_position = pos.previous_position = pos.next_holder = -1
    pos.desk = pos.firm = pos.owner = -1
    insert(position_table_of(h), h[at.POSITION_MASK], position_key(account, instrument), p)
    return p


@kernel
def _group_position(h: Header, group: Index, instrument: Index) -> Index:
    """The sum of a group's members in an instrument; it stays once it is there."""
    p = find_position(h, group, instrument)
    return p if p >= 0 else _take_position(h, group, instrument, 2)


@kernel
def add_holder(h: Header, p: Index) -> None:
    """Enter a new position as the last of its instrument's holders."""
    ins = instruments_of(h)[positions_of(h)[p].instrument]
    if ins.last_holder >= 0:
        positions_of(h)[ins.last_holder].next_holder = p
    else:
        ins.first_holder = p
    ins.last_holder = p


@kernel
def drop_position(h: Header, p: Index) -> None:
    """Take an empty position out of its account; its instrument's list of holders is the caller's business."""
    positions = positions_of(h)
    pos = positions[p]
    entry = accounts_of(h)[pos.account]
    if pos.previous_position >= 0:
        positions[pos.previous_position].next_position = pos.next_position
    else:
        entry.first_position = pos.next_position
    if pos.next_position >= 0:
        positions[pos.next_position].previous_position = pos.previous_position
    else:
        entry.last_position = pos.previous_position
    remove(position_table_of(h), h[at.POSITION_MASK], position_key(pos.account, pos.instrument))
    h[at.POSITIONS_LIVE] -= 1
    pos.live = 0
    pos.next_position = h[at.FREE_POSITIONS]
    h[at.FREE_POSITIONS] = p


@kernel
def reserve_of(h: Header, instrument: Index) -> Any:
    """Value atoms an open order in `instrument` reserves."""
    return ar.order_reserve(rates_of(h)[2 * instruments_of(h)[instrument].currency + 1])


@kernel
def _link(h: Header, o: Index, which: Any) -> None:
    """Enter an order as the newest of one of its account's lists, and into the table of ids."""
    orders = orders_of(h)
    order = orders[o]
    entry = accounts_of(h)[order.account]
    newest = np.int64(entry.newest[which])
    order.older, order.newer = newest, -1
    if newest >= 0:
        orders[newest].newer = o
    else:
        entry.oldest[which] = o
    entry.newest[which] = o
    insert(order_table_of(h), h[at.ORDER_MASK], order.id, o)


@kernel
def _unlink(h: Header, o: Index, which: Any) -> None:
    """Undo `_link`."""
    orders = orders_of(h)
    order = orders[o]
    entry = accounts_of(h)[order.account]
    if order.older >= 0:
        orders[order.older].newer = order.newer
    else:
        entry.oldest[which] = order.newer
    if order.newer >= 0:
        orders[order.newer].older = order.older
    else:
        entry.newest[which] = order.older
    remove(order_table_of(h), h[at.ORDER_MASK], order.id)


@kernel
def enlist(h: Header, o: Index) -> None:
    """Enter an order into its account's list and the table of ids, and reserve its atoms."""
    order = orders_of(h)[o]
    entry = accounts_of(h)[order.account]
    _link(h, o, at.OPEN)
    entry.open_orders += 1
    entry.reserve += reserve_of(h, order.instrument)


@kernel
def delist(h: Header, o: Index) -> None:
    """Undo `enlist`."""
    order = orders_of(h)[o]
    entry = accounts_of(h)[order.account]
    _unlink(h, o, at.OPEN)
    entry.open_orders -= 1
    entry.reserve -= reserve_of(h, order.instrument)


@kernel
def join_level(h: Header, o: Index, code: Any, price: Any) -> None:
    """Enter an order as the last of a level."""
    orders, levels = orders_of(h), levels_of(h)
    order = orders[o]
    level = level_at(h, order.instrument, code, price)
    order.level, order.next, order.previous = level, -1, levels[level].tail
    if levels[level].tail >= 0:
        orders[levels[level].tail].next = o
    else:
        levels[level].head = o
    levels[level].tail = o
    if order.flags & _REDUCE_ONLY == 0:
        levels[level].firm += order.remaining


@kernel
def leave_level(h: Header, o: Index, code: Any) -> None:
    """Undo `join_level`."""
    orders, levels = orders_of(h), levels_of(h)
    order = orders[o]
    level = levels[order.level]
    if order.previous >= 0:
        orders[order.previous].next = order.next
    else:
        level.head = order.next
    if order.next >= 0:
        orders[order.next].previous = order.previous
    else:
        level.tail = order.previous
    if order.flags & _REDUCE_ONLY == 0:
        level.firm -= order.remaining
    if level.head < 0:
        drop_level(h, order.instrument, code, order.level)
    order.level = -1


@kernel
def book_code(side: Any) -> Any:
    """Code of a book's side."""
    return 1 if side > 0 else 0


@kernel
def rest(h: Header, o: Index) -> None:
    """Enter an order into its account and the book, and set its timer."""
    order = orders_of(h)[o]
    enlist(h, o)
    join_level(h, o, book_code(order.side), order.price)
    if order.flags & at.HAS_MORE:
        set_order_timer(h, o)


@kernel
def unrest(h: Header, o: Index) -> None:
    """Undo `rest` and free the record; its margin effect must be out already."""
    order = orders_of(h)[o]
    leave_level(h, o, book_code(order.side))
    forget(h, o)


@kernel
def forget(h: Header, o: Index) -> None:
    """Take an enlisted order that is in no level out of everything, and free its record."""
    if orders_of(h)[o].flags & at.HAS_MORE:
        drop_order_timer(h, o)
    delist(h, o)
    give_order(h, o)


@kernel
def announce_cancel(h: Header, o: Index, reason: Any, a: Any, b: Any) -> None:
    """The CANCELLED event of what is still open of an order."""
    tell(h, _CANCELLED, o, reason, a, b)


@kernel
def tell(h: Header, kind: Any, o: Index, reason: Any, a: Any, b: Any) -> None:
    """An event about an order and what is open of it."""
    order = orders_of(h)[o]
    emit(
        h, kind, reason, order.side, 0, 0, order.account, order.instrument, order.id, order.price, order.remaining,
        a, b,
    )  # fmt: skip


@kernel
def close(h: Header, o: Index, reason: Any, a: Any, b: Any) -> None:
    """Cancel an order; one that waits just goes, one that is upstream is marked and told of, once."""
    order = orders_of(h)[o]
    if order.status == _RESTING:
        announce_cancel(h, o, reason, a, b)
        move(h, order.position, order.side, order.remaining, order.fixed, 0, 0, 0)
        unrest(h, o)
    elif order.status == _WAITING:
        leave_level(h, o, waiting_code(h, o))
        unwait(h, o)
        announce_cancel(h, o, reason, a, b)
        give_order(h, o)
    elif more_of(h)[o].cancel_wanted == 0:
        more_of(h)[o].cancel_wanted = 1
        tell(h, _STATUS, o, reason, order.status, order.status)


@kernel
def waiting_code(h: Header, o: Index) -> Any:
    """Code of the list a stop waits in."""
    order, more = orders_of(h)[o], more_of(h)[o]
    takes = more.type == _TAKE_LIMIT or more.type == _TAKE_MARKET
    return 2 + 2 * more.watch + (0 if (order.side > 0) != takes else 1)


@kernel
def wait(h: Header, o: Index) -> None:
    """Enter a stop into its account's list of waiting orders, the table of ids and the level of its trigger."""
    order, more = orders_of(h)[o], more_of(h)
    order.status = _WAITING
    _link(h, o, at.WAITING)
    accounts_of(h)[order.account].waiting += 1
    set_order_timer(h, o)
    if more[o].type == _TRAILING:
        ins = instruments_of(h)[order.instrument]
        more[o].next_trailing, more[o].previous_trailing = -1, ins.last_trailing
        if ins.last_trailing >= 0:
            more[ins.last_trailing].next_trailing = o
        else:
            ins.first_trailing = o
        ins.last_trailing = o
    join_level(h, o, waiting_code(h, o), more[o].trigger)


@kernel
def unwait(h: Header, o: Index) -> None:
    """Undo `wait`, but for the level, which the order must have left."""
    order, more = orders_of(h)[o], more_of(h)
    _unlink(h, o, at.WAITING)
    accounts_of(h)[order.account].waiting -= 1
    drop_order_timer(h, o)
    if more[o].type == _TRAILING:
        ins = instruments_of(h)[order.instrument]
        before, after = more[o].previous_trailing, more[o].next_trailing
        if before >= 0:
            more[before].next_trailing = after
        else:
            ins.first_trailing = after
        if after >= 0:
            more[after].previous_trailing = before
        else:
            ins.last_trailing = before


@kernel
def margin_call(h: Header, account: Index) -> bool:
    """Cancel newest first until excess >= 0 or no order is left; False when the event buffer is full.

    Those upstream are asked for and stay. Then who is below maintenance is restricted, or no longer.
    """
    orders = orders_of(h)
    o = np.int64(accounts_of(h)[account].newest[at.OPEN])
    while o >= 0:
        if not has_room(h):
            return False
        needed, held = requirement(h, account), equity(h, account)
        if held - needed >= 0:
            break
        older = orders[o].older
        close(h, o, _MARGIN_CALL, needed, held)
        o = older
    if not has_room(h):
        return False
    watch_maintenance(h, account)
    return True


@kernel
def watch_maintenance(h: Header, account: Index) -> None:
    """C23: whoever is below maintenance may only reduce, until the requirement is met again."""
    entry = accounts_of(h)[account]
    if h[at.RULES] < 2 or account < SYSTEM_ACCOUNTS or entry.role != _CLIENT:
        return
    if entry.restricted == 0:
        least, held = maintenance(h, account), equity(h, account)
        if held < least:
            entry.restricted = 1
            emit(h, _RESTRICTED, 0, 0, 0, 0, account, 0, 0, 0, 0, least, held)
    else:
        needed, held = requirement(h, account), equity(h, account)
        if held >= needed:
            entry.restricted = 0
            emit(h, _LIFTED, 0, 0, 0, 0, account, 0, 0, 0, 0, needed, held)


@kernel
def clear_list(h: Header, instrument: Index, code: Any, reason: Any) -> bool:
    """Cancel a book's side or a list of stops, best first, oldest first; False when the event buffer is full."""
    ins, levels = instruments_of(h)[instrument], levels_of(h)
    while True:
        best = np.int64(ins.best[code])
        if best < 0:
            return True
        if not has_room(h):
            return False
        _look_down(h, levels[best].head)
        close(h, levels[best].head, reason, 0, 0)


@kernel
def clear_instrument(h: Header, instrument: Index, reason: Any) -> bool:
    """Cancel bids, asks and waiting stops of an instrument; False when the event buffer is full."""
    if not clear_list(h, instrument, 1, reason) or not clear_list(h, instrument, 0, reason):
        return False
    code = 2
    while code < 8 and clear_list(h, instrument, code, reason):
        code += 1
    return code == 8


@kernel
def _look_down(h: Header, o: Index) -> None:
    """Prefetch what the next three orders of a queue will need when they are cancelled in turn."""
    orders = orders_of(h)
    first = orders[o].next
    if first < 0:
        return
    fetch_margin(h, orders[first].position)
    prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * orders[first].older + 64)
    prefetch(h[at.A_ORDERS] + at.ORDER_BYTES * orders[first].newer + 64)
    second = orders[first].next
    if second < 0:
        return
    fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * orders[second].position, 2)
    prefetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * orders[second].account)
    prefetch(h[at.A_ORDER_TABLE] + 16 * home(orders[second].id, h[at.ORDER_MASK]))
    fetch(h[at.A_ORDERS] + at.ORDER_BYTES * orders[second].next, 2)
