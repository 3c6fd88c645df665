"""Events, orders in the book, positions and margins coming into being."""

from typing import Any

from numba import njit

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.margin import equity, fetch_margin, move, requirement
from seawall.engine.kernels.tables import Index, drop_level, find, fresh, give_order, home, insert, level_at, remove
from seawall.engine.kernels.views import (
    JIT,
    Header,
    accounts_of,
    events_of,
    fetch,
    instruments_of,
    levels_of,
    margins_of,
    order_table_of,
    orders_of,
    position_table_of,
    positions_of,
    prefetch,
    rates_of,
    scenarios_of,
)
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind

_CANCELLED = int(EventKind.CANCELLED)
_REFUSED = int(EventKind.REFUSED)
_MARGIN_CALL = int(Reason.MARGIN_CALL)
ROOM = 16
"""Events any one step may emit before it looks at the room again."""


@njit(**JIT)
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


@njit(**JIT)
def refuse(h: Header, command: Any, reason: Any, a: Any, b: Any) -> None:
    """The REFUSED event, echoing the command."""
    refuse_naming(h, command, reason, a, b, command.instrument, command.price)


@njit(**JIT)
def refuse_naming(h: Header, command: Any, reason: Any, a: Any, b: Any, instrument: Any, price: Any) -> None:
    """A REFUSED event that names another instrument or price than the command's."""
    order_id = command.order_id if command.order_id != 0 else h[at.SEQ]
    currency = command.currency & 0x7FFF
    emit(
        h, _REFUSED, reason, command.side, 0, currency, command.account, instrument, order_id, price,
        command.quantity, a, b,
    )  # fmt: skip


@njit(**JIT)
def has_room(h: Header) -> bool:
    """Whether one more step's events fit the buffer."""
    return h[at.EVENTS] + ROOM <= h[at.EVENT_ROOM]


@njit(**JIT)
def position_key(account: Index, instrument: Index) -> Any:
    """Key of the position table, never 0."""
    return (account << 14 | instrument) + 1


@njit(**JIT)
def find_position(h: Header, account: Index, instrument: Index) -> Index:
    """The position's record, or -1."""
    return find(position_table_of(h), h[at.POSITION_MASK], position_key(account, instrument))


@njit(**JIT)
def _margin_for(h: Header, account: Index, block: Index) -> Index:
    """The account's margin record in a block, made empty if there is none."""
    margins = margins_of(h)
    m = accounts_of(h)[account].first_margin
    while m >= 0:
        if margins[m].block == block:
            return m
        m = margins[m].next
    m = fresh(h, 2)
    margin = margins[m]
    margin.account, margin.block = account, block
    margin.next = accounts_of(h)[account].first_margin
    accounts_of(h)[account].first_margin = m
    return m


@njit(**JIT)
def new_position(h: Header, account: Index, instrument: Index) -> Index:
    """An empty position, last of its account's and of its instrument's holders."""
    positions = positions_of(h)
    h[at.POSITIONS_LIVE] += 1
    p = h[at.FREE_POSITIONS]
    if p < 0:
        p = fresh(h, 1)
    else:
        h[at.FREE_POSITIONS] = positions[p].next_position
    pos = positions[p]
    ins, entry = instruments_of(h)[instrument], accounts_of(h)[account]
    pos.quantity = pos.cash = pos.open_buy = pos.open_sell = 0
    pos.gain = pos.charge_initial = pos.charge_maintenance = 0
    pos.account, pos.instrument, pos.live = account, instrument, 1
    pos.margin = _margin_for(h, account, ins.block)
    pos.next_position, pos.next_holder = -1, -1
    pos.previous_position = entry.last_position
    if entry.last_position >= 0:
        positions[entry.last_position].next_position = p
    else:
        entry.first_position = p
    entry.last_position = p
    insert(position_table_of(h), h[at.POSITION_MASK], position_key(account, instrument), p)
    return p


@njit(**JIT)
def add_holder(h: Header, p: Index) -> None:
    """Enter a new position as the last of its instrument's holders."""
    ins = instruments_of(h)[positions_of(h)[p].instrument]
    if ins.last_holder >= 0:
        positions_of(h)[ins.last_holder].next_holder = p
    else:
        ins.first_holder = p
    ins.last_holder = p


@njit(**JIT)
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


@njit(**JIT)
def reserve_of(h: Header, instrument: Index) -> Any:
    """Value atoms an open order in `instrument` reserves."""
    return ar.order_reserve(rates_of(h)[2 * instruments_of(h)[instrument].currency + 1])


@njit(**JIT)
def rest(h: Header, o: Index) -> None:
    """Enter an order into the book, its account's list and the table of ids, and reserve its atoms."""
    orders, levels = orders_of(h), levels_of(h)
    order = orders[o]
    entry = accounts_of(h)[order.account]
    order.older, order.newer = entry.newest, -1
    if entry.newest >= 0:
        orders[entry.newest].newer = o
    else:
        entry.oldest = o
    entry.newest = o
    entry.open_orders += 1
    entry.reserve += reserve_of(h, order.instrument)
    insert(order_table_of(h), h[at.ORDER_MASK], order.id, o)
    level = level_at(h, order.instrument, order.side, order.price)
    order.level, order.next, order.previous = level, -1, levels[level].tail
    if levels[level].tail >= 0:
        orders[levels[level].tail].next = o
    else:
        levels[level].head = o
    levels[level].tail = o


@njit(**JIT)
def unrest(h: Header, o: Index) -> None:
    """Undo `rest` and free the record; its margin effect must be out already."""
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
    if level.head < 0:
        drop_level(h, order.instrument, order.side, order.level)
    entry = accounts_of(h)[order.account]
    if order.older >= 0:
        orders[order.older].newer = order.newer
    else:
        entry.oldest = order.newer
    if order.newer >= 0:
        orders[order.newer].older = order.older
    else:
        entry.newest = order.older
    entry.open_orders -= 1
    entry.reserve -= reserve_of(h, order.instrument)
    remove(order_table_of(h), h[at.ORDER_MASK], order.id)
    give_order(h, o)


@njit(**JIT)
def announce_cancel(h: Header, o: Index, reason: Any, a: Any, b: Any) -> None:
    """The CANCELLED event of what is still open of an order."""
    order = orders_of(h)[o]
    emit(
        h, _CANCELLED, reason, order.side, 0, 0, order.account, order.instrument, order.id, order.price,
        order.remaining, a, b,
    )  # fmt: skip


@njit(**JIT)
def close(h: Header, o: Index, reason: Any, a: Any, b: Any) -> None:
    """Cancel a resting order."""
    order = orders_of(h)[o]
    announce_cancel(h, o, reason, a, b)
    move(h, order.position, order.side, order.remaining, order.fixed, 0, 0, 0)
    unrest(h, o)


@njit(**JIT)
def margin_call(h: Header, account: Index) -> bool:
    """Cancel newest first until excess >= 0 or no order is left; False when the event buffer is full."""
    entry = accounts_of(h)[account]
    while entry.newest >= 0:
        if not has_room(h):
            return False
        needed, held = requirement(h, account), equity(h, account)
        if held - needed >= 0:
            return True
        close(h, entry.newest, _MARGIN_CALL, needed, held)
    return True


@njit(**JIT)
def clear_side(h: Header, instrument: Index, side: Any, reason: Any) -> bool:
    """Cancel one side of a book, best price first, oldest first; False when the event buffer is full."""
    ins, levels = instruments_of(h)[instrument], levels_of(h)
    while True:
        best = ins.best_bid if side > 0 else ins.best_ask
        if best < 0:
            return True
        if not has_room(h):
            return False
        _look_down(h, levels[best].head)
        close(h, levels[best].head, reason, 0, 0)


@njit(**JIT)
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


@njit(**JIT)
def wipe_scenarios(h: Header, m: Index) -> None:
    """V + W of one margin record to zero."""
    x = scenarios_of(h)
    for word in range(m * h[at.STRIDE], (m + 1) * h[at.STRIDE]):
        x[word] = 0
