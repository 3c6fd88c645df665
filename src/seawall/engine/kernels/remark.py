"""The re-marking of every account after a publication: V, W, exposures, gains and charges counted anew.

First all sums, then each block's maxima and charges once: `move` brings those up to date with every change, which for
a whole book is fifty times too often. Records are passed over in the order of memory, and what they point to is
fetched a few records ahead.
"""

from typing import Any

from numba import njit

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import reserve_of
from seawall.engine.kernels.gate import dearer
from seawall.engine.kernels.margin import (
    add_effect,
    add_lots,
    charge_block,
    charge_position,
    fetch_margin,
    order_fixed,
    refresh_gain,
    take_maxima,
)
from seawall.engine.kernels.tables import Index
from seawall.engine.kernels.views import (
    ENTRY,
    Header,
    accounts_of,
    blocks_of,
    fetch,
    instruments_of,
    kernel,
    margins_of,
    orders_of,
    positions_of,
    scenarios_of,
    words_of,
)
from seawall.vocabulary.records import Role, Status

_AHEAD = 4  # records by which a pass over a pool fetches the margin rows it will need
_DESK, _OWNER, _WAITING = int(Role.DESK), int(Role.OWNER), int(Status.WAITING)
_ACCOUNTS = 1  # POSITION.live of what is not a group's sum


@njit(**ENTRY)
def largest_open(words: Any, largest: Any) -> None:
    """Raise `largest[instrument]` to each account's position there in lots, open quantity included."""
    h, most = words_of(words), words_of(largest)
    positions = positions_of(h)
    for p in range(h[at.USED_POSITIONS]):
        pos = positions[p]
        if pos.live == _ACCOUNTS:
            lots = abs(pos.quantity) + pos.open_buy + pos.open_sell
            most[pos.instrument] = max(most[pos.instrument], lots)


@njit(**ENTRY)
def remark(words: Any) -> None:
    """After a publication: what margin counts of every touched block, in one pass over each pool.

    BLOCK.touched says which blocks. Positions of untouched blocks keep all they have; order reserves are rebuilt for
    all, as a currency's rate may have moved. Lots, open quantities and open interest stay as they are.
    """
    h = words_of(words)
    margins, blocks, positions, orders = margins_of(h), blocks_of(h), positions_of(h), orders_of(h)
    for account in range(h[at.ACCOUNTS]):
        accounts_of(h)[account].reserve = 0
    for m in range(h[at.USED_MARGINS]):
        if blocks[margins[m].block].touched != 0:
            _wipe(h, m)
    for p in range(h[at.USED_POSITIONS]):
        if p + _AHEAD < h[at.USED_POSITIONS]:
            fetch_margin(h, p + _AHEAD)
        pos = positions[p]
        if pos.live != 0 and blocks[instruments_of(h)[pos.instrument].block].touched != 0:
            _count_position(h, p)
    for o in range(h[at.USED_ORDERS]):
        if o + 2 * _AHEAD < h[at.USED_ORDERS]:
            fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * orders[o + 2 * _AHEAD].position, 2)
            fetch_margin(h, orders[o + _AHEAD].position)
        order = orders[o]
        if order.id != 0 and order.status != _WAITING:
            accounts_of(h)[order.account].reserve += reserve_of(h, order.instrument)
            if blocks[instruments_of(h)[order.instrument].block].touched != 0:
                _count_order(h, o)
    for m in range(h[at.USED_MARGINS]):
        role = accounts_of(h)[margins[m].account].role
        if blocks[margins[m].block].touched != 0 and (role < _DESK or role > _OWNER):
            take_maxima(h, m)
            charge_block(h, m)


@kernel
def _wipe(h: Header, m: Index) -> None:
    """What a margin record sums and is charged to zero; its maxima stay until they are taken anew."""
    margin = margins_of(h)[m]
    entry = accounts_of(h)[margin.account]
    entry.charge_initial -= margin.charge_initial
    entry.charge_maintenance -= margin.charge_maintenance
    entry.open_notional -= margin.open_notional
    margin.open_notional = margin.charge_initial = margin.charge_maintenance = 0
    margin.net_delta = margin.up_delta = margin.down_delta = margin.gross_delta = 0
    margin.net_vega = margin.up_vega = margin.down_vega = margin.gross_vega = 0
    x = scenarios_of(h, m)
    for scenario in range(h[at.STRIDE]):
        x[scenario] = 0


@kernel
def _count_position(h: Header, p: Index) -> None:
    """Add a position to its wiped block, with what its open orders could add or take away; of a group delta alone."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    margin = margins_of(h)[pos.margin]
    lots, bought, sold = pos.quantity, pos.open_buy, pos.open_sell
    if pos.live == _ACCOUNTS:
        refresh_gain(h, p)
        if h[at.GATE_OFF] != 0:
            return
    margin.net_delta += lots * ins.delta
    margin.up_delta += max(ins.delta * bought, -ins.delta * sold)
    margin.down_delta += max(-ins.delta * bought, ins.delta * sold)
    if pos.live != _ACCOUNTS:
        return
    worst = max(abs(lots + bought), abs(lots - sold))
    margin.gross_delta += worst * abs(ins.delta)
    margin.net_vega += lots * ins.vega
    margin.up_vega += max(ins.vega * bought, -ins.vega * sold)
    margin.down_vega += max(-ins.vega * bought, ins.vega * sold)
    margin.gross_vega += worst * abs(ins.vega)
    entry, notional = accounts_of(h)[pos.account], (bought + sold) * abs(ins.weight)
    margin.open_notional += notional
    entry.open_notional += notional
    add_lots(h, pos.margin, pos.instrument, lots, 1)
    entry.charge_initial -= pos.charge_initial
    entry.charge_maintenance -= pos.charge_maintenance
    pos.charge_initial = pos.charge_maintenance = 0
    charge_position(h, p)


@kernel
def _count_order(h: Header, o: Index) -> None:
    """Add an order's effect to its wiped block."""
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    order.fixed = order_fixed(h, ins, order.side, order.remaining, order.price, dearer(order))
    if h[at.GATE_OFF] == 0:
        margin = positions_of(h)[order.position].margin
        add_effect(h, margin, order.instrument, order.side * order.remaining, order.fixed, 1)
