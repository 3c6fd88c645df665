"""Cash, funding, settlement, expiry, and the re-marking of every account after a publication."""

from typing import Any

from numba import njit

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import (
    clear_side,
    drop_position,
    has_room,
    margin_call,
    refuse,
    reserve_of,
    wipe_scenarios,
)
from seawall.engine.kernels.margin import (
    charge_block,
    charge_position,
    counted_gain,
    equity,
    fetch_margin,
    move,
    order_fixed,
    refresh_gain,
    requirement,
)
from seawall.engine.kernels.trading import instrument_passes, post
from seawall.engine.kernels.views import (
    ENTRY,
    JIT,
    Header,
    accounts_of,
    atoms_of,
    balances_of,
    blocks_of,
    deposits_of,
    fetch,
    instruments_of,
    margins_of,
    orders_of,
    positions_of,
    prefetch,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import SYSTEM_ROUNDING

_C = at.CURRENCIES_MAX
_AHEAD = 4  # records by which a pass over a pool fetches the margin rows it will need
_OPTION, _PERPETUAL = int(Product.OPTION), int(Product.PERPETUAL)
_BALANCE_MAX, _DEPOSITS_MAX = bounds.BALANCE_MAX, bounds.DEPOSITS_MAX
_R_ACCOUNT, _R_CURRENCY = int(Reason.UNKNOWN_ACCOUNT), int(Reason.UNKNOWN_CURRENCY)
_R_AMOUNT, _R_BALANCE = int(Reason.AMOUNT), int(Reason.BALANCE_BOUND)
_R_DEPOSITED, _R_WITHDRAWN = int(Reason.DEPOSITED), int(Reason.WITHDRAWN)
_R_CASH, _R_MARGIN = int(Reason.CASH), int(Reason.WITHDRAWAL_MARGIN)
_R_PERPETUAL, _R_FUNDING = int(Reason.NOT_PERPETUAL), int(Reason.FUNDING_BOUND)
_R_FUNDED, _R_SETTLED, _R_DELIVERED = int(Reason.FUNDED), int(Reason.SETTLED), int(Reason.DELIVERED)
_R_ROUNDED, _R_UNPUBLISHED = int(Reason.ROUNDED), int(Reason.NOT_PUBLISHED)
_R_END = int(Reason.INSTRUMENT_EXPIRED)


@njit(**JIT)
def _money_passes(h: Header, command: Any) -> bool:
    if command.account < 0 or command.account >= h[at.ACCOUNTS]:
        refuse(h, command, _R_ACCOUNT, command.account, h[at.ACCOUNTS])
    elif command.currency < 0 or command.currency >= h[at.CURRENCIES]:
        refuse(h, command, _R_CURRENCY, command.currency, h[at.CURRENCIES])
    elif command.amount < 1 or command.amount > _BALANCE_MAX:
        refuse(h, command, _R_AMOUNT, command.amount, _BALANCE_MAX)
    else:
        return True
    return False


@njit(**JIT)
def deposit(h: Header, command: Any) -> None:
    """A DEPOSIT command."""
    if not _money_passes(h, command):
        return
    balance = balances_of(h)[command.account * _C + command.currency] + command.amount
    if balance > _BALANCE_MAX:
        refuse(h, command, _R_BALANCE, balance, _BALANCE_MAX)
        return
    total = deposits_of(h)[command.currency] + command.amount
    if total > _DEPOSITS_MAX:
        refuse(h, command, _R_BALANCE, total, _DEPOSITS_MAX)
        return
    deposits_of(h)[command.currency] += command.amount
    post(h, command.account, command.currency, command.amount, _R_DEPOSITED, 0, 0)


@njit(**JIT)
def withdraw(h: Header, command: Any) -> None:
    """A WITHDRAW command: at most the cash, session losses and premiums paid taken off, and E after >= 0."""
    if not _money_passes(h, command):
        return
    slot = command.account * _C + command.currency
    cash = balances_of(h)[slot]
    positions = positions_of(h)
    p = accounts_of(h)[command.account].first_position
    while p >= 0:
        pos = positions[p]
        ins = instruments_of(h)[pos.instrument]
        if ins.currency == command.currency:
            cash += min(0, pos.cash if ins.product == _OPTION else pos.gain)
        p = pos.next_position
    if command.amount > cash:
        refuse(h, command, _R_CASH, command.amount, cash)
        return
    atoms_of(h)[slot] -= command.amount
    needed, held = requirement(h, command.account), equity(h, command.account)
    atoms_of(h)[slot] += command.amount
    if held < needed:
        refuse(h, command, _R_MARGIN, needed, held)
        return
    deposits_of(h)[command.currency] -= command.amount
    post(h, command.account, command.currency, -command.amount, _R_WITHDRAWN, 0, 0)


@njit(**JIT)
def _scout(h: Header, p: Any) -> Any:
    """Prefetch what paying holder `p` will touch and the holder after it; returns that one, or -1.

    Run a few holders ahead of the payments: the list is in order of arrival, which is no order of memory.
    """
    if p < 0:
        return p
    pos = positions_of(h)[p]
    prefetch(h[at.A_ATOMS] + 8 * _C * pos.account)
    prefetch(h[at.A_BALANCES] + 8 * _C * pos.account)
    fetch(h[at.A_ACCOUNTS] + at.ACCOUNT_BYTES * pos.account, 2)
    if pos.next_holder >= 0:
        fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * pos.next_holder, 2)
    return pos.next_holder


@njit(**JIT)
def start_funding(h: Header, command: Any) -> None:
    """A FUNDING command: check it and set the task."""
    if not instrument_passes(h, command):
        return
    ins = instruments_of(h)[command.instrument]
    if ins.product != _PERPETUAL:
        refuse(h, command, _R_PERPETUAL, command.instrument, ins.product)
        return
    largest = min(bounds.FUNDING_RATE_MAX, (1 << 62) // ins.largest_position)
    if command.amount < -largest or command.amount > largest:
        refuse(h, command, _R_FUNDING, command.amount, largest)
        return
    h[at.PENDING], h[at.CURSOR], h[at.CURSOR_2] = at.FUND, ins.first_holder, command.amount
    h[at.TAKER], h[at.RESIDUE] = command.instrument, 0


@njit(**JIT)
def fund(h: Header) -> bool:
    """Pay holders in order of arrival, each followed by its margin call."""
    if not _finish_call(h):
        return False
    ins = instruments_of(h)[h[at.TAKER]]
    scout = _scout(h, _scout(h, h[at.CURSOR]))
    while h[at.CURSOR] >= 0:
        if not has_room(h):
            return False
        scout = _scout(h, scout)
        pos = positions_of(h)[h[at.CURSOR]]
        h[at.CURSOR] = pos.next_holder
        if pos.quantity != 0:
            atoms = -pos.quantity * h[at.CURSOR_2] >> bounds.FUNDING_SHIFT
            h[at.RESIDUE] -= atoms
            post(h, pos.account, ins.currency, atoms, _R_FUNDED, h[at.TAKER], pos.quantity)
            h[at.CALL] = pos.account
            if not _finish_call(h):
                return False
    return _post_residue(h)


@njit(**JIT)
def _finish_call(h: Header) -> bool:
    """Go on with the margin call of account CALL, if one is under way."""
    if h[at.CALL] >= 0:
        if not margin_call(h, h[at.CALL]):
            return False
        h[at.CALL] = -1
    return True


@njit(**JIT)
def _post_residue(h: Header) -> bool:
    if not has_room(h):
        return False
    if h[at.RESIDUE] != 0:
        currency = instruments_of(h)[h[at.TAKER]].currency
        post(h, SYSTEM_ROUNDING, currency, h[at.RESIDUE], _R_ROUNDED, h[at.TAKER], 0)
    return True


@njit(**JIT)
def start_settling(h: Header, command: Any) -> None:
    """A SETTLE command: check it and set the task."""
    if not instrument_passes(h, command):
        return
    ins = instruments_of(h)[command.instrument]
    if ins.published == 0 or ins.expired != 0:
        refuse(h, command, _R_UNPUBLISHED, command.instrument, h[at.VERSION])
        return
    h[at.PENDING], h[at.CURSOR], h[at.TAKER] = at.SETTLE, ins.first_holder, command.instrument


@njit(**JIT)
def settle(h: Header) -> bool:
    """Turn session gains into cash: all of a future's, an option's only once it is closed."""
    ins = instruments_of(h)[h[at.TAKER]]
    scout = _scout(h, _scout(h, h[at.CURSOR]))
    while h[at.CURSOR] >= 0:
        if not has_room(h):
            return False
        scout = _scout(h, scout)
        p = h[at.CURSOR]
        pos = positions_of(h)[p]
        h[at.CURSOR] = pos.next_holder
        gain = pos.cash
        if ins.product != _OPTION:
            gain += ar.position_value(ins, pos.quantity, ins.mark)
        elif pos.quantity != 0:
            gain = 0
        if gain != 0:
            pos.cash -= gain
            refresh_gain(h, p)
            post(h, pos.account, ins.currency, gain, _R_SETTLED, h[at.TAKER], pos.quantity)
    return True


@njit(**ENTRY)
def largest_held(h: Header, instrument: Any) -> Any:
    """(largest position in lots, largest cash of a holder in atoms) of one instrument, as Catalogue.expire asks."""
    ins = instruments_of(h)[instrument]
    lots, cash = 0, 0
    p = ins.first_holder
    while p >= 0:
        pos = positions_of(h)[p]
        lots = max(lots, abs(pos.quantity))
        cash = max(cash, abs(balances_of(h)[pos.account * _C + ins.currency]) + abs(pos.cash))
        p = pos.next_holder
    return lots, cash


@njit(**JIT)
def deliver(h: Header) -> bool:
    """Go on with an expiry: cancel the orders, pay holders in order of arrival, each followed by its margin call."""
    instrument = h[at.TAKER]
    if not _finish_call(h):
        return False
    if not clear_side(h, instrument, 1, _R_END) or not clear_side(h, instrument, -1, _R_END):
        return False
    ins = instruments_of(h)[instrument]
    ins.expired = 1
    scout = _scout(h, _scout(h, ins.first_holder))
    while ins.first_holder >= 0:
        if not has_room(h):
            return False
        fetch_margin(h, scout)
        scout = _scout(h, scout)
        p = ins.first_holder
        pos = positions_of(h)[p]
        ins.first_holder = pos.next_holder
        quantity, cash, account = pos.quantity, pos.cash, pos.account
        delivered = ar.delivered_value(ins, quantity, h[at.CURSOR_2])
        h[at.RESIDUE] -= delivered
        move(h, p, 1, 0, 0, 0, 0, -quantity)
        atoms_of(h)[account * _C + ins.currency] -= pos.gain
        drop_position(h, p)
        if quantity != 0 or cash != 0:
            post(h, account, ins.currency, cash + delivered, _R_DELIVERED, instrument, quantity)
            h[at.CALL] = account
            if not _finish_call(h):
                return False
    ins.last_holder = -1
    return _post_residue(h)


@njit(**ENTRY)
def remark(h: Header) -> None:
    """After a publication: rebuild V, W, exposures, gains, charges of every touched block in one pass over each pool.

    BLOCK.touched says which blocks. Positions of untouched blocks keep all they have; order reserves are rebuilt for
    all, as a currency's rate may have moved.
    """
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
            _remark_position(h, p)
    for o in range(h[at.USED_ORDERS]):
        if o + 2 * _AHEAD < h[at.USED_ORDERS]:
            fetch(h[at.A_POSITIONS] + at.POSITION_BYTES * orders[o + 2 * _AHEAD].position, 2)
            fetch_margin(h, orders[o + _AHEAD].position)
        order = orders[o]
        if order.id != 0:
            entry = accounts_of(h)[order.account]
            entry.reserve += reserve_of(h, order.instrument)
            ins = instruments_of(h)[order.instrument]
            if blocks[ins.block].touched != 0:
                dearer = max(order.maker_rate, order.taker_rate, 0)
                order.fixed = order_fixed(h, ins, order.side, order.remaining, order.price, dearer)
                move(h, order.position, order.side, 0, 0, order.remaining, order.fixed, 0)
    for m in range(h[at.USED_MARGINS]):
        if blocks[margins[m].block].touched != 0:
            charge_block(h, m)


@njit(**JIT)
def _wipe(h: Header, m: Any) -> None:
    margin = margins_of(h)[m]
    entry = accounts_of(h)[margin.account]
    entry.scenario_initial -= margin.initial
    entry.scenario_maintenance -= margin.maintenance
    entry.charge_initial -= margin.charge_initial
    entry.charge_maintenance -= margin.charge_maintenance
    margin.initial = margin.maintenance = margin.charge_initial = margin.charge_maintenance = 0
    margin.net_delta = margin.up_delta = margin.down_delta = margin.gross_delta = 0
    margin.net_vega = margin.up_vega = margin.down_vega = margin.gross_vega = 0
    wipe_scenarios(h, m)


@njit(**JIT)
def _remark_position(h: Header, p: Any) -> None:
    """Count a position anew in its wiped block; its orders follow, so its open quantities start from zero."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    entry = accounts_of(h)[pos.account]
    entry.charge_initial -= pos.charge_initial
    entry.charge_maintenance -= pos.charge_maintenance
    pos.charge_initial = pos.charge_maintenance = 0
    pos.open_buy = pos.open_sell = 0
    quantity = pos.quantity
    pos.quantity = 0
    move(h, p, 1, 0, 0, 0, 0, quantity)
    gain = counted_gain(ins, pos.cash, quantity)
    atoms_of(h)[pos.account * _C + ins.currency] += gain - pos.gain
    pos.gain = gain
    charge_position(h, p)


@njit(**JIT)
def sweep(h: Header) -> bool:
    """Margin calls for every account, in order of their numbers, from CURSOR on."""
    while h[at.CURSOR] < h[at.ACCOUNTS]:
        if not margin_call(h, h[at.CURSOR]):
            return False
        h[at.CURSOR] += 1
    return True
