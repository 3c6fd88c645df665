"""Cash, funding, settlement, expiry, and the margin calls that follow a publication."""

from typing import Any

import numpy as np
from numba import njit

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.admission import prices_pass
from seawall.engine.kernels.book import (
    clear_instrument,
    close,
    deny,
    drop_position,
    emit,
    has_room,
    margin_call,
    refuse,
    refuse_denied,
    watch_maintenance,
)
from seawall.engine.kernels.margin import (
    capped,
    equity,
    fetch_margin,
    move,
    refresh_gain,
    requirement,
)
from seawall.engine.kernels.matching import add_cash, post
from seawall.engine.kernels.trading import instrument_passes
from seawall.engine.kernels.upstream import end_upstream
from seawall.engine.kernels.views import (
    ENTRY,
    Header,
    accounts_of,
    atoms_of,
    balances_of,
    deposits_of,
    fetch,
    instruments_of,
    kernel,
    limits_of,
    orders_of,
    positions_of,
    prefetch,
    words_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FORBID_WITHDRAW,
    SYSTEM_ACCOUNTS,
    SYSTEM_ROUNDING,
    EventKind,
    Role,
    Scope,
    Status,
    VenueState,
)

_C = at.CURRENCIES_MAX
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
_R_HALTED, _R_ACCOUNT_HALTED = int(Reason.VENUE_HALTED), int(Reason.ACCOUNT_HALTED)
_R_INSTRUMENT_HALTED, _R_UNKNOWN = int(Reason.INSTRUMENT_HALTED), int(Reason.OUTCOME_UNKNOWN)
_R_FORBIDDEN, _R_ROLE, _R_DRAWDOWN = int(Reason.FORBIDDEN), int(Reason.ROLE), int(Reason.DRAWDOWN)
_HALTED, _REDUCE = int(VenueState.HALTED), int(VenueState.REDUCE_ONLY)
_DESK, _OWNER, _ACCOUNT = int(Role.DESK), int(Role.OWNER), int(Scope.ACCOUNT)
_PENDING, _STATE, _POSTED = int(Status.PENDING), int(EventKind.STATE), int(EventKind.POSTED)
_NO_LIMIT = bounds.NO_LIMIT


@kernel
def _money_passes(h: Header, command: Any) -> bool:
    if command.account < 0 or command.account >= h[at.ACCOUNTS]:
        refuse(h, command, _R_ACCOUNT, command.account, h[at.ACCOUNTS])
    elif command.currency < 0 or command.currency >= h[at.CURRENCIES]:
        refuse(h, command, _R_CURRENCY, command.currency, h[at.CURRENCIES])
    elif command.amount < 1 or command.amount > _BALANCE_MAX:
        refuse(h, command, _R_AMOUNT, command.amount, _BALANCE_MAX)
    elif _DESK <= accounts_of(h)[command.account].role <= _OWNER:
        refuse(h, command, _R_ROLE, command.account, accounts_of(h)[command.account].role)
    else:
        return True
    return False


@kernel
def _paid(h: Header, account: Any, before: Any) -> None:
    """What a payment changes besides: the height a drawdown is measured from, and who is restricted."""
    limits = limits_of(h)[account]
    if limits.drawdown != _NO_LIMIT:
        change = equity(h, account) - before
        limits.highest += change
        limits.rising += change
    watch_maintenance(h, account)


@kernel
def _leaving_passes(h: Header, account: Any) -> bool:
    """Money stays where trading is halted or withdrawing forbidden."""
    entry = accounts_of(h)[account]
    if h[at.VENUE] == _HALTED:
        return deny(h, _R_HALTED, h[at.VENUE], _REDUCE)
    if entry.state == _HALTED:
        return deny(h, _R_ACCOUNT_HALTED, entry.state, _REDUCE)
    forbidden = limits_of(h)[account].forbidden
    if forbidden & FORBID_WITHDRAW:
        return deny(h, _R_FORBIDDEN, FORBID_WITHDRAW, forbidden)
    return h[at.RULES] < 7 or _valued(h, account)


@kernel
def _valued(h: Header, account: Any) -> bool:
    """What an account holds or has open is halted nowhere, priced, and of known outcome: else nobody knows E."""
    entry, positions = accounts_of(h)[account], positions_of(h)
    if entry.unknown != 0:
        return deny(h, _R_UNKNOWN, entry.unknown, 0)
    p = entry.first_position
    while p >= 0:
        pos = positions[p]
        p = pos.next_position
        if pos.quantity == 0 and pos.open_buy == 0 and pos.open_sell == 0:
            continue
        state = instruments_of(h)[pos.instrument].state
        if state == _HALTED:
            deny(h, _R_INSTRUMENT_HALTED, state, _REDUCE)
        elif prices_pass(h, pos.instrument):
            continue
        h[at.D_INSTRUMENT] = pos.instrument
        return False
    return True


@kernel
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
    before = equity(h, np.int64(command.account))
    deposits_of(h)[command.currency] += command.amount
    post(h, command.account, command.currency, command.amount, _R_DEPOSITED, 0, 0)
    _paid(h, np.int64(command.account), before)


@kernel
def withdraw(h: Header, command: Any) -> None:
    """A WITHDRAW command: at most the cash, session losses and premiums paid taken off, and E after >= 0."""
    if not _money_passes(h, command):
        return
    if h[at.RULES] > 1 and not _leaving_passes(h, np.int64(command.account)):
        refuse_denied(h, command)
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
    before = equity(h, np.int64(command.account))
    deposits_of(h)[command.currency] -= command.amount
    post(h, command.account, command.currency, -command.amount, _R_WITHDRAWN, 0, 0)
    _paid(h, np.int64(command.account), before)


@kernel
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


@kernel
def start_funding(h: Header, command: Any) -> None:
    """A FUNDING command: check it and set the task."""
    if not instrument_passes(h, command):
        refuse_denied(h, command)
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


@kernel
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


@kernel
def _finish_call(h: Header) -> bool:
    """Go on with the margin call of account CALL, if one is under way."""
    if h[at.CALL] >= 0:
        if not margin_call(h, h[at.CALL]):
            return False
        h[at.CALL] = -1
    return True


@kernel
def _post_residue(h: Header) -> bool:
    if not has_room(h):
        return False
    if h[at.RESIDUE] != 0:
        currency = instruments_of(h)[h[at.TAKER]].currency
        post(h, SYSTEM_ROUNDING, currency, h[at.RESIDUE], _R_ROUNDED, h[at.TAKER], 0)
    return True


@kernel
def start_settling(h: Header, command: Any) -> None:
    """A SETTLE command: check it and set the task."""
    if not instrument_passes(h, command):
        refuse_denied(h, command)
        return
    ins = instruments_of(h)[command.instrument]
    if ins.published == 0 or ins.expired != 0:
        refuse(h, command, _R_UNPUBLISHED, command.instrument, h[at.VERSION])
        return
    h[at.PENDING], h[at.CURSOR], h[at.TAKER] = at.SETTLE, ins.first_holder, command.instrument


@kernel
def settle(h: Header) -> bool:
    """Turn session gains into cash: all of a future's, an option's only once it is closed, up to the cap (rules 7)."""
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
            waits = gain - capped(h, pos.account, ins, gain) if h[at.RULES] > 6 else 0
            gain -= waits
            pos.cash -= gain
            refresh_gain(h, p)
            add_cash(h, pos.account, ins.currency, gain)
            where, lots = h[at.TAKER], pos.quantity
            emit(h, _POSTED, _R_SETTLED, 0, 0, ins.currency, pos.account, where, 0, 0, waits, gain, lots)
    return True


@njit(**ENTRY)
def largest_held(words: Any, instrument: Any) -> Any:
    """(largest position in lots, largest cash of a holder in atoms) of one instrument, as Catalogue.expire asks."""
    h = words_of(words)
    ins = instruments_of(h)[instrument]
    lots, cash = 0, 0
    p = ins.first_holder
    while p >= 0:
        pos = positions_of(h)[p]
        lots = max(lots, abs(pos.quantity))
        cash = max(cash, abs(balances_of(h)[pos.account * _C + ins.currency]) + abs(pos.cash))
        p = pos.next_holder
    return lots, cash


@kernel
def deliver(h: Header) -> bool:
    """Go on with an expiry: cancel the orders, pay holders in order of arrival, each followed by its margin call."""
    instrument = h[at.TAKER]
    if not _finish_call(h):
        return False
    ins = instruments_of(h)[instrument]
    if ins.expired == 0 and not (clear_instrument(h, instrument, _R_END) and _end_all_upstream(h, instrument)):
        return False
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


@kernel
def _end_all_upstream(h: Header, instrument: Any) -> bool:
    """End the upstream orders in an instrument, account by account, newest first; False when the buffer is full."""
    if h[at.UPSTREAM_LIVE] == 0:
        return True
    orders = orders_of(h)
    for account in range(SYSTEM_ACCOUNTS, h[at.ACCOUNTS]):
        o = np.int64(accounts_of(h)[account].newest[at.OPEN])
        while o >= 0:
            if not has_room(h):
                return False
            older = np.int64(orders[o].older)
            if orders[o].instrument == instrument and orders[o].status >= _PENDING:
                end_upstream(h, o, _R_END)
            o = older
    return True


@kernel
def sweep(h: Header) -> bool:
    """Margin calls and drawdown limits of every account, in order of their numbers, from CURSOR on.

    STAGE 1: orders of the account at CURSOR are being cancelled for its drawdown.
    """
    while h[at.CURSOR] < h[at.ACCOUNTS]:
        if h[at.STAGE] == 0:
            if not margin_call(h, h[at.CURSOR]):
                return False
            if accounts_of(h)[h[at.CURSOR]].limited != 0:
                _watch_drawdown(h, h[at.CURSOR])
        if h[at.STAGE] == 1:
            if not _cancel_for_drawdown(h):
                return False
            h[at.STAGE] = 0
        h[at.CURSOR] += 1
    return True


@kernel
def _watch_drawdown(h: Header, account: Any) -> None:
    """C16: so many publications in a row too far below the highest equity leave an account reducing orders only."""
    limits, entry = limits_of(h)[account], accounts_of(h)[account]
    if limits.drawdown == _NO_LIMIT:
        return
    held = equity(h, account)
    _confirm_highest(h, account, held)
    fell = limits.highest - held
    limits.drops = limits.drops + 1 if fell > limits.drawdown else 0
    if limits.drops < limits.confirmations:
        return
    limits.highest, limits.drops, limits.rises = held, 0, 0
    if entry.own_state < _REDUCE:
        reached, limit = (fell, limits.drawdown) if h[at.RULES] > 5 else (0, 0)
        emit(h, _STATE, _R_DRAWDOWN, 0, 0, _ACCOUNT, account, 0, 0, reached, limit, _REDUCE, entry.own_state)
        entry.own_state = _REDUCE
        entry.state = max(entry.state, _REDUCE)
        h[at.HALTS] += 1
    h[at.STAGE], h[at.FELL], h[at.FELL_LIMIT], h[at.CURSOR_2] = 1, fell, limits.drawdown, entry.newest[at.OPEN]


@kernel
def _confirm_highest(h: Header, account: Any, held: Any) -> None:
    """C16: a new height counts when as many publications in a row were above the old one, for the lowest of them."""
    limits = limits_of(h)[account]
    if h[at.RULES] < 6:
        limits.highest = max(limits.highest, held)
    elif held <= limits.highest:
        limits.rises = 0
    else:
        limits.rising = min(limits.rising, held) if limits.rises > 0 else held
        limits.rises += 1
        if limits.rises >= limits.confirmations:
            limits.highest, limits.rises = limits.rising, 0


@kernel
def _cancel_for_drawdown(h: Header) -> bool:
    """Cancel an account's orders from CURSOR_2 on, newest first; False when the event buffer is full."""
    while h[at.CURSOR_2] >= 0:
        if not has_room(h):
            return False
        o = h[at.CURSOR_2]
        h[at.CURSOR_2] = orders_of(h)[o].older
        close(h, o, _R_DRAWDOWN, h[at.FELL], h[at.FELL_LIMIT])
    return True
