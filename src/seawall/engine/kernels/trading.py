"""Orders: the gate's checks in the reference's order, and matching by price, then time."""

from typing import Any

from numba import njit

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import (
    add_holder,
    announce_cancel,
    close,
    drop_position,
    emit,
    find_position,
    has_room,
    new_position,
    refuse,
    refuse_naming,
    reserve_of,
    rest,
    unrest,
)
from seawall.engine.kernels.margin import (
    equity,
    equity_after,
    leg_to_close,
    limiting_price,
    move,
    order_fixed,
    refresh_gain,
    requirement,
    requirement_at,
)
from seawall.engine.kernels.tables import Index, find, give_order, take_order
from seawall.engine.kernels.views import (
    JIT,
    Header,
    accounts_of,
    atoms_of,
    balances_of,
    client_ids_of,
    instruments_of,
    levels_of,
    order_table_of,
    orders_of,
    positions_of,
    tiers_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    MAKER,
    SYSTEM_ACCOUNTS,
    SYSTEM_FEES,
    SYSTEM_ROUNDING,
    TAKER,
    EventKind,
    VenueState,
)

_C = at.CURRENCIES_MAX
_KEPT = bounds.CLIENT_IDS_KEPT
_ACCEPTED, _FILL = int(EventKind.ACCEPTED), int(EventKind.FILL)
_DUPLICATE, _POSTED = int(EventKind.DUPLICATE), int(EventKind.POSTED)
_HALTED, _REDUCE_ONLY = int(VenueState.HALTED), int(VenueState.REDUCE_ONLY)
_R_ACCOUNT, _R_SYSTEM = int(Reason.UNKNOWN_ACCOUNT), int(Reason.SYSTEM_ACCOUNT)
_R_INSTRUMENT, _R_SIDE = int(Reason.UNKNOWN_INSTRUMENT), int(Reason.BAD_SIDE)
_R_HALTED, _R_EXPIRED = int(Reason.VENUE_HALTED), int(Reason.EXPIRED)
_R_UNPUBLISHED, _R_QUANTITY = int(Reason.NOT_PUBLISHED), int(Reason.QUANTITY)
_R_BAND, _R_BOUND = int(Reason.PRICE_BAND), int(Reason.POSITION_BOUND)
_R_REDUCE, _R_MARGIN = int(Reason.REDUCE_ONLY), int(Reason.MARGIN)
_R_OPEN_ORDER, _R_REQUIREMENT = int(Reason.BELOW_OPEN_ORDER), int(Reason.BELOW_REQUIREMENT)
_R_PRICE, _R_ORDER = int(Reason.BELOW_PRICE), int(Reason.UNKNOWN_ORDER)
_R_OWNER, _R_OWN_MATCH = int(Reason.NOT_OWNER), int(Reason.SELF_MATCH)
_R_IOC, _R_BY_OWNER, _R_ROUNDED = int(Reason.IMMEDIATE_OR_CANCEL), int(Reason.BY_OWNER), int(Reason.ROUNDED)


@njit(**JIT)
def client_passes(h: Header, command: Any) -> bool:
    """Whether the command's account exists and is a client's; refuses otherwise."""
    if command.account < 0 or command.account >= h[at.ACCOUNTS]:
        refuse(h, command, _R_ACCOUNT, command.account, h[at.ACCOUNTS])
        return False
    if command.account < SYSTEM_ACCOUNTS:
        refuse(h, command, _R_SYSTEM, command.account, SYSTEM_ACCOUNTS)
        return False
    return True


@njit(**JIT)
def instrument_passes(h: Header, command: Any) -> bool:
    """Whether the command's instrument exists; refuses otherwise."""
    if command.instrument < 0 or command.instrument >= h[at.INSTRUMENTS]:
        refuse(h, command, _R_INSTRUMENT, command.instrument, h[at.INSTRUMENTS])
        return False
    return True


@njit(**JIT)
def _known_client_id(h: Header, command: Any) -> bool:
    """Answer a client id seen before with its first order."""
    if command.client_id == 0:
        return False
    kept = client_ids_of(h)[2 * _KEPT * command.account : 2 * _KEPT * (command.account + 1)]
    for k in range(_KEPT):
        if kept[2 * k] == command.client_id:
            first = kept[2 * k + 1]
            emit(
                h, _DUPLICATE, 0, 0, 0, 0, command.account, command.instrument, first, 0, 0, first, command.client_id
            )  # fmt: skip
            return True
    return False


@njit(**JIT)
def _keep_client_id(h: Header, command: Any) -> None:
    if command.client_id == 0:
        return
    entry = accounts_of(h)[command.account]
    kept = client_ids_of(h)
    k = 2 * (_KEPT * command.account + entry.client_next)
    kept[k], kept[k + 1] = command.client_id, h[at.SEQ]
    entry.client_next = (entry.client_next + 1) % _KEPT


@njit(**JIT)
def _static_checks(h: Header, command: Any) -> bool:
    """Everything that can be said before looking at the account's position."""
    ins = instruments_of(h)[command.instrument]
    if h[at.VENUE] == _HALTED:
        refuse(h, command, _R_HALTED, h[at.VENUE], _REDUCE_ONLY)
    elif ins.expired != 0 or (ins.expiry != 0 and h[at.CLOCK] >= ins.expiry):
        refuse(h, command, _R_EXPIRED, ins.expiry, h[at.CLOCK])
    elif ins.published == 0:
        refuse(h, command, _R_UNPUBLISHED, command.instrument, h[at.VERSION])
    elif command.quantity < 1 or command.quantity > ins.quantity_max:
        refuse(h, command, _R_QUANTITY, command.quantity, ins.quantity_max)
    elif command.price < ins.price_min:
        refuse(h, command, _R_BAND, command.price, ins.price_min)
    elif command.price > ins.price_max:
        refuse(h, command, _R_BAND, command.price, ins.price_max)
    else:
        return True
    return False


@njit(**JIT)
def _position_checks(h: Header, command: Any, p: Index) -> bool:
    """Bound of the position, and reducing only where the venue says so."""
    ins = instruments_of(h)[command.instrument]
    held, open_buy, open_sell = 0, 0, 0
    if p >= 0:
        pos = positions_of(h)[p]
        held, open_buy, open_sell = pos.quantity, pos.open_buy, pos.open_sell
    total = abs(held) + open_buy + open_sell + command.quantity
    if total > ins.position_bound:
        refuse(h, command, _R_BOUND, total, ins.position_bound)
        return False
    if h[at.VENUE] == _REDUCE_ONLY:
        opened = open_buy if command.side > 0 else open_sell
        left = max(0, -command.side * held - opened)
        if command.quantity > left:
            refuse(h, command, _R_REDUCE, command.quantity, left)
            return False
    return True


@njit(**JIT)
def place(h: Header, command: Any) -> bool:
    """An ORDER command; False when the event buffer is full and matching must go on later."""
    if not client_passes(h, command) or not instrument_passes(h, command):
        return True
    if (command.side != 1 and command.side != -1) or command.tif > 1:
        refuse(h, command, _R_SIDE, command.side, command.tif)
        return True
    if _known_client_id(h, command) or not _static_checks(h, command):
        return True
    p = find_position(h, command.account, command.instrument)
    if not _position_checks(h, command, p):
        return True
    is_fresh = p < 0
    if is_fresh:
        p = new_position(h, command.account, command.instrument)
    o = _prepare(h, command, p)
    if not _gate(h, command, o):
        give_order(h, o)
        if is_fresh:
            drop_position(h, p)
        return True
    if is_fresh:
        add_holder(h, p)
    _keep_client_id(h, command)
    h[at.TAKER], h[at.IMMEDIATE] = o, command.tif
    return match(h)


@njit(**JIT)
def _prepare(h: Header, command: Any, p: Index) -> Index:
    """An ORDER record of the command, not yet in any list."""
    o = take_order(h)
    order = orders_of(h)[o]
    ins = instruments_of(h)[command.instrument]
    rates = 2 * (2 * accounts_of(h)[command.account].tier + ins.fee_class)
    order.id = h[at.SEQ]
    order.price, order.remaining, order.filled = command.price, command.quantity, 0
    order.fee_accrued = order.fee_posted = 0
    order.client_id = command.client_id
    order.account, order.instrument, order.side = command.account, command.instrument, command.side
    order.maker_rate, order.taker_rate = tiers_of(h)[rates], tiers_of(h)[rates + 1]
    order.position = p
    order.level = order.next = order.previous = order.older = order.newer = -1
    order.fixed = order_fixed(h, ins, command.side, command.quantity, command.price, _dearer(order))
    return o


@njit(**JIT)
def _dearer(order: Any) -> Any:
    return max(order.maker_rate, order.taker_rate, 0)


@njit(**JIT)
def _gate(h: Header, command: Any, o: Index) -> bool:
    """The margin check: open the order in the account's margin, or refuse and leave it as it was."""
    order = orders_of(h)[o]
    held = equity(h, order.account)
    move(h, order.position, order.side, 0, 0, order.remaining, order.fixed, 0)
    needed = requirement(h, order.account) + reserve_of(h, order.instrument)
    if held < needed and h[at.GATE_OFF] == 0 and not _gate_below(h, command, o, held, needed):
        return False
    emit(
        h, _ACCEPTED, 0, order.side, 0, 0, order.account, order.instrument, order.id, order.price, order.remaining,
        needed, held,
    )  # fmt: skip
    return True


@njit(**JIT)
def _gate_below(h: Header, command: Any, o: Index, held: Any, needed: Any) -> bool:
    """The rule for an account already below; on True the order is open in the margin, on False it is not."""
    order = orders_of(h)[o]
    p, side, quantity, limit = order.position, order.side, order.remaining, order.price
    move(h, p, side, quantity, order.fixed, 0, 0, 0)
    before = requirement(h, order.account)
    if held >= before:
        refuse(h, command, _R_MARGIN, needed, held)
        return False
    if accounts_of(h)[order.account].open_orders > 0:
        refuse(h, command, _R_OPEN_ORDER, accounts_of(h)[order.account].open_orders, 0)
        return False
    reduced = requirement_at(h, p, side * quantity)
    if reduced > before:
        leg = leg_to_close(h, order.account)
        refuse_naming(h, command, _R_REQUIREMENT, reduced, before, leg if leg >= 0 else command.instrument, limit)
        return False
    dearer = _dearer(order)
    after = equity_after(h, p, side, quantity, limit, dearer)
    if not ar.spends_in_proportion(held, after, before, reduced):
        allowed = ar.spendable(held, before, reduced) if before > 0 else 0
        limiting = limiting_price(h, p, side, quantity, limit, dearer, held, before, reduced)
        refuse_naming(h, command, _R_PRICE, held - after, allowed, command.instrument, limiting)
        return False
    move(h, p, side, 0, 0, quantity, order.fixed, 0)
    return True


@njit(**JIT)
def match(h: Header) -> bool:
    """Match the taker against the other side; False when the event buffer is full."""
    o = h[at.TAKER]
    orders = orders_of(h)
    order = orders[o]
    ins = instruments_of(h)[order.instrument]
    levels = levels_of(h)
    own = 0
    while order.remaining > 0:
        best = ins.best_ask if order.side > 0 else ins.best_bid
        if best < 0 or order.side * (levels[best].price - order.price) > 0:
            break
        if not has_room(h):
            h[at.PENDING] = at.MATCH
            return False
        maker = levels[best].head
        if orders[maker].account == order.account:
            own = orders[maker].id
            break
        _trade(h, o, maker)
    h[at.PENDING] = at.NOTHING
    _finish(h, o, own)
    return True


@njit(**JIT)
def _finish(h: Header, o: Index, own: Any) -> None:
    """Bring the taker's margin up to date with all its fills at once, then rest, cancel or forget it."""
    order = orders_of(h)[o]
    resting = order.remaining > 0 and own == 0 and h[at.IMMEDIATE] == 0
    if order.remaining > 0 and own != 0:
        announce_cancel(h, o, _R_OWN_MATCH, own, 0)
    elif order.remaining > 0 and not resting:
        announce_cancel(h, o, _R_IOC, 0, 0)
    left = order.remaining if resting else 0
    if order.filled > 0 or not resting:
        ins = instruments_of(h)[order.instrument]
        whole = order.remaining + order.filled
        fixed = order_fixed(h, ins, order.side, left, order.price, _dearer(order)) if left > 0 else 0
        move(h, order.position, order.side, whole, order.fixed, left, fixed, order.side * order.filled)
        order.fixed = fixed
        if order.filled > 0:
            refresh_gain(h, order.position)
    if resting:
        rest(h, o)
    else:
        give_order(h, o)


@njit(**JIT)
def _trade(h: Header, taker: Index, maker: Index) -> None:
    """One trade at the maker's price; the maker's margin follows at once, the taker's in `_finish`."""
    resting = orders_of(h)[maker]
    quantity, price = min(orders_of(h)[taker].remaining, resting.remaining), resting.price
    residue = -_fill(h, taker, quantity, price, TAKER)
    residue -= _fill(h, maker, quantity, price, MAKER)
    ins = instruments_of(h)[resting.instrument]
    if residue != 0:
        post(h, SYSTEM_ROUNDING, ins.currency, residue, _R_ROUNDED, resting.instrument, 0)
    fixed = 0
    if resting.remaining > 0:
        fixed = order_fixed(h, ins, resting.side, resting.remaining, price, _dearer(resting))
    before = resting.remaining + quantity
    move(
        h, resting.position, resting.side, before, resting.fixed, resting.remaining, fixed, resting.side * quantity
    )  # fmt: skip
    resting.fixed = fixed
    refresh_gain(h, resting.position)
    if resting.remaining == 0:
        unrest(h, maker)


@njit(**JIT)
def _fill(h: Header, o: Index, quantity: Any, price: Any, liquidity: Any) -> Any:
    """Post one side of a trade to cash and fees; returns the atoms posted to the session cash."""
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    limit, done = order.price, order.filled + quantity
    better = ar.improvement(ins, order.side, quantity, limit, price)
    posting = ar.posting_at_limit(ins, order.side, done, limit) + better
    if order.filled > 0:
        posting -= ar.posting_at_limit(ins, order.side, order.filled, limit)
    order.fee_accrued += abs(posting) * (order.maker_rate if liquidity == MAKER else order.taker_rate)
    dearer = _dearer(order)
    ceiling = ar.fee_at_limit(ins, done, limit, dearer) + better
    if order.filled > 0:
        ceiling -= ar.fee_at_limit(ins, order.filled, limit, dearer)
    fee = min(ar.ceil_div(order.fee_accrued, bounds.FEE_DENOMINATOR) - order.fee_posted, ceiling)
    order.remaining -= quantity
    order.filled = done
    order.fee_posted += fee
    positions_of(h)[order.position].cash += posting
    add_cash(h, order.account, ins.currency, -fee)
    add_cash(h, SYSTEM_FEES, ins.currency, fee)
    emit(
        h, _FILL, 0, order.side, liquidity, ins.currency, order.account, order.instrument, order.id, price, quantity,
        posting, fee,
    )  # fmt: skip
    return posting


@njit(**JIT)
def add_cash(h: Header, account: Index, currency: Any, atoms: Any) -> None:
    """Change a balance."""
    balances_of(h)[account * _C + currency] += atoms
    atoms_of(h)[account * _C + currency] += atoms


@njit(**JIT)
def post(h: Header, account: Index, currency: Any, atoms: Any, cause: Any, instrument: Any, b: Any) -> None:
    """Change a balance and say so."""
    add_cash(h, account, currency, atoms)
    emit(h, _POSTED, cause, 0, 0, currency, account, instrument, 0, 0, 0, atoms, b)


@njit(**JIT)
def cancel(h: Header, command: Any) -> None:
    """A CANCEL command."""
    if not client_passes(h, command):
        return
    o = find(order_table_of(h), h[at.ORDER_MASK], command.order_id) if command.order_id > 0 else -1
    if o < 0:
        refuse(h, command, _R_ORDER, command.order_id, command.account)
    elif orders_of(h)[o].account != command.account:
        refuse(h, command, _R_OWNER, command.order_id, orders_of(h)[o].account)
    else:
        close(h, o, _R_BY_OWNER, 0, 0)
