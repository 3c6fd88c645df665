"""Matching, and what trades set off by themselves; `rules.matching` here.

A match goes on over several calls where the event buffer is full: TAKER and the words beside it in the header are its
state. The taker's margin follows when it is over, its makers' at once.
"""

from typing import Any

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.admission import protection_of
from seawall.engine.kernels.book import (
    announce_cancel,
    book_code,
    close,
    emit,
    enlist,
    forget,
    has_room,
    join_level,
    rest,
    tell,
    unrest,
)
from seawall.engine.kernels.gate import dearer
from seawall.engine.kernels.margin import move, order_fixed, refresh_gain
from seawall.engine.kernels.stops import going_price, reach
from seawall.engine.kernels.tables import Index, give_order
from seawall.engine.kernels.timers import set_order_timer
from seawall.engine.kernels.views import (
    Header,
    accounts_of,
    atoms_of,
    balances_of,
    instruments_of,
    kernel,
    levels_of,
    limits_of,
    more_of,
    orders_of,
    positions_of,
    protections_of,
    strategies_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    MAKER,
    SYSTEM_FEES,
    SYSTEM_ROUNDING,
    TAKER,
    EventKind,
    Scope,
    SelfMatch,
    Status,
    TimeInForce,
    VenueState,
    Watched,
)

_C = at.CURRENCIES_MAX
_FILL, _POSTED, _EDITED = int(EventKind.FILL), int(EventKind.POSTED), int(EventKind.EDITED)
_STATE, _STOPPED, _FROZEN = int(EventKind.STATE), int(EventKind.STOPPED), int(EventKind.FROZEN)
_REPLENISHED, _STATUS = int(EventKind.REPLENISHED), int(EventKind.STATUS)
_R_OWN_MATCH, _R_REDUCED = int(Reason.SELF_MATCH), int(Reason.REDUCED)
_R_INSTRUMENT_HALTED, _REDUCE = int(Reason.INSTRUMENT_HALTED), int(VenueState.REDUCE_ONLY)
_R_IOC, _R_ROUNDED = int(Reason.IMMEDIATE_OR_CANCEL), int(Reason.ROUNDED)
_R_VELOCITY, _R_PROTECTION = int(Reason.VELOCITY), int(Reason.MAKER_PROTECTION)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_LAST, _INSTRUMENT, _HALTED = int(Watched.LAST), int(Scope.INSTRUMENT), int(VenueState.HALTED)
_OLDEST, _BOTH = int(SelfMatch.CANCEL_OLDEST), int(SelfMatch.CANCEL_BOTH)
_DECREMENT = int(SelfMatch.DECREMENT)
_PENDING = int(Status.PENDING)
_NO_LIMIT, _PARTS = bounds.NO_LIMIT, bounds.PARTS
_SUM_MAX = bounds.PROTECTION_SUM_MAX


@kernel
def release(h: Header, o: Index, tif: Any, mode: Any) -> bool:
    """An order that passed the gate goes to its venue, or into the book here; False when the event buffer is full."""
    order = orders_of(h)[o]
    if instruments_of(h)[order.instrument].upstream > 0:
        _send_upstream(h, o, tif)
        return True
    return begin_match(h, o, tif, mode)


@kernel
def _send_upstream(h: Header, o: Index, tif: Any) -> None:
    """It is open there; here it is in its account's list and in no level."""
    order = orders_of(h)[o]
    if order.flags & at.HAS_MORE == 0:
        clear_more(h, o)
        order.flags |= at.HAS_MORE
    more_of(h)[o].tif = tif
    order.status, order.level = _PENDING, -1
    h[at.UPSTREAM_LIVE] += 1
    enlist(h, o)
    set_order_timer(h, o)
    tell(h, _STATUS, o, 0, _PENDING, 0)


@kernel
def clear_more(h: Header, o: Index) -> None:
    """A MORE record that says nothing."""
    more = more_of(h)[o]
    more.display = more.done = more.until = more.label = 0
    more.trigger = more.distance = more.type = more.tif = more.watch = more.self_match = 0
    more.cancel_wanted, more.timer = 0, -1


@kernel
def begin_match(h: Header, o: Index, tif: Any, mode: Any) -> bool:
    """Match an order that passed the gate; False when the event buffer is full."""
    h[at.TAKER], h[at.TIF], h[at.MODE] = o, tif, mode
    h[at.OPENED], h[at.DONE], h[at.OVER] = orders_of(h)[o].remaining, 0, 0
    state = instruments_of(h)[orders_of(h)[o].instrument].state
    if state == _HALTED and h[at.RULES] > 6:  # by a leg before this one, of the same batch
        announce_cancel(h, o, _R_INSTRUMENT_HALTED, state, _REDUCE)
        h[at.OVER] = 1
    return match(h)


@kernel
def match(h: Header) -> bool:
    """Match the taker against the other side; False when the event buffer is full."""
    o = h[at.TAKER]
    orders = orders_of(h)
    order = orders[o]
    ins = instruments_of(h)[order.instrument]
    levels = levels_of(h)
    code = book_code(-order.side)
    whole = h[at.TIF] == _FOK  # one trade, whatever it sets off
    while True:
        if h[at.PULL_HEAD] >= 0 and not whole and not pull(h):
            h[at.PENDING] = at.MATCH
            return False
        best = ins.best[code]
        if order.remaining == 0 or h[at.OVER] != 0:
            break
        if best < 0 or order.side * (levels[best].price - order.price) > 0:
            break
        if not has_room(h):
            h[at.PENDING] = at.MATCH
            return False
        maker = levels[best].head
        if _same_owner(h, order.account, orders[maker].account):
            _meet_own(h, o, maker)
            continue
        quantity = min(order.remaining, orders[maker].shown)
        if order.flags & FLAG_REDUCE_ONLY:
            quantity = min(quantity, _reducible(h, o, h[at.DONE]))
            if quantity == 0:
                _end_taker(h, o, _R_REDUCED, 0)
                break
        if orders[maker].flags & FLAG_REDUCE_ONLY:
            quantity = min(quantity, _reducible(h, maker, 0))
            if quantity == 0:
                close(h, maker, _R_REDUCED, 0, 0)
                continue
        if h[at.DONE] == 0:
            _begin_windows(h, order.position)
        _trade(h, o, maker, quantity)
    h[at.PENDING] = at.NOTHING
    if h[at.DONE] > 0:
        _watch_velocity(h, order.instrument)
    _finish(h, o)
    return True


@kernel
def _same_owner(h: Header, one: Index, other: Index) -> bool:
    if one == other:
        return True
    return accounts_of(h)[one].owner > 0 and accounts_of(h)[one].owner == accounts_of(h)[other].owner


@kernel
def _reducible(h: Header, o: Index, done: Any) -> Any:
    """Lots an order would reduce, after `done` lots of it that its position does not know of yet."""
    order = orders_of(h)[o]
    return max(0, -order.side * positions_of(h)[order.position].quantity - done)


@kernel
def _end_taker(h: Header, o: Index, reason: Any, a: Any) -> None:
    announce_cancel(h, o, reason, a, 0)
    h[at.OVER] = 1


@kernel
def _meet_own(h: Header, o: Index, maker: Index) -> None:
    """What the incoming order says of meeting one of its own owner's."""
    orders, mode = orders_of(h), h[at.MODE]
    taker_id, maker_id = orders[o].id, orders[maker].id
    if mode == _DECREMENT:
        quantity = min(orders[o].remaining, orders[maker].remaining)
        _decrement_maker(h, maker, quantity, taker_id)
        if orders[o].remaining == quantity:
            _end_taker(h, o, _R_OWN_MATCH, maker_id)
        else:
            orders[o].remaining -= quantity
            tell(h, _EDITED, o, _R_OWN_MATCH, maker_id, 0)
        return
    if mode == _OLDEST or mode == _BOTH:
        close(h, maker, _R_OWN_MATCH, taker_id, 0)
    if mode != _OLDEST:
        _end_taker(h, o, _R_OWN_MATCH, maker_id)


@kernel
def _decrement_maker(h: Header, maker: Index, quantity: Any, taker_id: Any) -> None:
    order = orders_of(h)[maker]
    if order.remaining == quantity:
        close(h, maker, _R_OWN_MATCH, taker_id, 0)
        return
    shrink(h, maker, order.remaining - quantity)
    tell(h, _EDITED, maker, _R_OWN_MATCH, taker_id, 0)


@kernel
def shrink(h: Header, o: Index, left: Any) -> None:
    """An order keeps its place, if it has one here, with less open."""
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    fixed = order_fixed(h, ins, order.side, left, order.price, dearer(order))
    move(h, order.position, order.side, order.remaining, order.fixed, left, fixed, 0)
    if order.level >= 0 and order.flags & FLAG_REDUCE_ONLY == 0:
        levels_of(h)[order.level].firm -= order.remaining - left
    order.fixed, order.remaining = fixed, left
    order.shown = min(order.shown, left)


@kernel
def _finish(h: Header, o: Index) -> None:
    """Bring the taker's margin up to date with all its fills at once, then rest, cancel or forget it."""
    order = orders_of(h)[o]
    resting = order.remaining > 0 and h[at.OVER] == 0
    if resting and (h[at.TIF] == _IOC or h[at.TIF] == _FOK):
        _end_taker(h, o, _R_IOC, 0)
        resting = False
    left = order.remaining if resting else 0
    if left != h[at.OPENED]:
        ins = instruments_of(h)[order.instrument]
        fixed = order_fixed(h, ins, order.side, left, order.price, dearer(order)) if left > 0 else 0
        move(h, order.position, order.side, h[at.OPENED], order.fixed, left, fixed, order.side * h[at.DONE])
        order.fixed = fixed
        if h[at.DONE] > 0:
            refresh_gain(h, order.position)
    listed = order.flags & at.LISTED != 0
    order.flags &= ~at.LISTED
    if resting:
        order.shown = left
        if order.flags & at.HAS_MORE and more_of(h)[o].display > 0:
            order.shown = min(left, more_of(h)[o].display)
        if listed:
            join_level(h, o, book_code(order.side), order.price)
        else:
            rest(h, o)
    elif listed:
        forget(h, o)
    else:
        give_order(h, o)


@kernel
def _trade(h: Header, taker: Index, maker: Index, quantity: Any) -> None:
    """One trade at the maker's price; the maker's margin follows at once, the taker's in `_finish`."""
    resting = orders_of(h)[maker]
    price = resting.price
    residue = -_fill(h, taker, quantity, price, TAKER)
    residue -= _fill(h, maker, quantity, price, MAKER)
    h[at.DONE] += quantity
    ins = instruments_of(h)[resting.instrument]
    if residue != 0:
        post(h, SYSTEM_ROUNDING, ins.currency, residue, _R_ROUNDED, resting.instrument, 0)
    follow_fill(h, maker, quantity)
    if resting.flags & FLAG_REDUCE_ONLY == 0:
        levels_of(h)[resting.level].firm -= quantity
    protected = resting.flags & FLAG_PROTECTED != 0
    account, side, instrument = resting.account, resting.side, resting.instrument
    if resting.remaining == 0:
        unrest(h, maker)
    elif resting.shown == 0:
        _replenish(h, maker)
    if protected:
        _count_for_protection(h, account, instrument, side, quantity)
    reach(h, instrument, _LAST, price)


@kernel
def follow_fill(h: Header, o: Index, quantity: Any) -> None:
    """Bring an owner's margin up to date with a fill of an order that was counted open."""
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    fixed = 0
    if order.remaining > 0:
        fixed = order_fixed(h, ins, order.side, order.remaining, order.price, dearer(order))
    before = order.remaining + quantity
    move(h, order.position, order.side, before, order.fixed, order.remaining, fixed, order.side * quantity)
    order.fixed = fixed
    refresh_gain(h, order.position)


@kernel
def _replenish(h: Header, o: Index) -> None:
    """An iceberg shows its next part, last in its queue."""
    orders, levels = orders_of(h), levels_of(h)
    order = orders[o]
    order.shown = min(more_of(h)[o].display, order.remaining)
    level = levels[order.level]
    if level.tail != o:  # it is the head
        level.head = order.next
        orders[order.next].previous = -1
        orders[level.tail].next = o
        order.previous, order.next = level.tail, -1
        level.tail = o
    emit(
        h, _REPLENISHED, 0, order.side, 0, 0, order.account, order.instrument, order.id, order.price, order.shown, 0, 0
    )  # fmt: skip


@kernel
def _fill(h: Header, o: Index, quantity: Any, price: Any, liquidity: Any) -> Any:
    """Post one side of a trade to cash and fees; returns the atoms posted to the session cash."""
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    limit, done = order.price, order.filled + quantity
    better = ar.improvement(ins, order.side, quantity, limit, price)
    posting = posting_of(ins, order, quantity, better)
    order.fee_accrued += abs(posting) * (order.maker_rate if liquidity == MAKER else order.taker_rate)
    rate = dearer(order)
    at_limit = ar.fee_at_limit(ins, done, limit, rate)
    if order.filled > 0:
        at_limit -= ar.fee_at_limit(ins, order.filled, limit, rate)
    fee = min(ar.ceil_div(order.fee_accrued, bounds.FEE_DENOMINATOR) - order.fee_posted, at_limit + better)
    from_gain = max(0, fee - at_limit) if h[at.RULES] > 1 else 0  # a better price pays for its own dearer fee
    settle_fill(h, o, quantity, price, posting, fee, SYSTEM_FEES, liquidity, from_gain)
    return posting


@kernel
def posting_of(ins: Any, order: Any, quantity: Any, better: Any) -> Any:
    """Atoms a fill posts to its order's session cash, `better` of them by its price."""
    posting = ar.posting_at_limit(ins, order.side, order.filled + quantity, order.price) + better
    if order.filled > 0:
        posting -= ar.posting_at_limit(ins, order.side, order.filled, order.price)
    return posting


@kernel
def settle_fill(
    h: Header, o: Index, quantity: Any, price: Any, posting: Any, fee: Any, fees_to: Any, liquidity: Any, from_gain: Any
) -> None:
    """One side of a trade: the order's rest, its owner's cash and fee, `from_gain` of it out of the session cash.

    Position and margin are the caller's.
    """
    order = orders_of(h)[o]
    currency = instruments_of(h)[order.instrument].currency
    first = order.filled == 0
    order.remaining -= quantity
    order.shown -= quantity
    order.filled += quantity
    order.fee_posted += fee
    positions_of(h)[order.position].cash += posting - from_gain
    add_cash(h, order.account, currency, from_gain - fee)
    add_cash(h, fees_to, currency, fee)
    emit(
        h, _FILL, 0, order.side, liquidity, currency, order.account, order.instrument, order.id, price, quantity,
        posting, fee,
    )  # fmt: skip
    if order.strategy != 0 and first:
        _count_execution(h, o)


@kernel
def _count_execution(h: Header, o: Index) -> None:
    """C07: the strategy's orders that traded; at its limit it stops until people re-arm it."""
    order = orders_of(h)[o]
    if accounts_of(h)[order.account].limited == 0:
        return
    limits, paid_for = limits_of(h)[order.account], strategies_of(h)
    slot = bounds.STRATEGIES * order.account + order.strategy
    if limits.repeats == _NO_LIMIT or paid_for[slot] == _NO_LIMIT:
        return
    each = limits.repeats_window // limits.repeats
    paid = max(paid_for[slot], h[at.CLOCK]) + each
    if paid - h[at.CLOCK] > (limits.repeats - 1) * each:
        paid_for[slot] = _NO_LIMIT
        tell(h, _STOPPED, o, 0, order.strategy, limits.repeats)
    else:
        paid_for[slot] = paid


@kernel
def add_cash(h: Header, account: Index, currency: Any, atoms: Any) -> None:
    """Change a balance."""
    balances_of(h)[account * _C + currency] += atoms
    atoms_of(h)[account * _C + currency] += atoms


@kernel
def post(h: Header, account: Index, currency: Any, atoms: Any, cause: Any, instrument: Any, b: Any) -> None:
    """Change a balance and say so."""
    add_cash(h, account, currency, atoms)
    emit(h, _POSTED, cause, 0, 0, currency, account, instrument, 0, 0, 0, atoms, b)


# -- what trades set off -----------------------------------------------------------------------------------------------


@kernel
def _begin_windows(h: Header, p: Index) -> None:
    """C04, C22: the price before the first trade of a window is what its moves are measured from."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    going = going_price(ins)
    over = pos.window_start < 0 or h[at.CLOCK] - pos.window_start > ins.window_ns
    if ins.window_collar != _NO_LIMIT and over:
        pos.window_start, pos.window_price = h[at.CLOCK], going
    over = ins.window_start < 0 or h[at.CLOCK] - ins.window_start > ins.velocity_ns
    if ins.velocity != _NO_LIMIT and over:
        ins.window_start, ins.window_price, ins.moves = h[at.CLOCK], going, 0


@kernel
def _watch_velocity(h: Header, instrument: Index) -> None:
    """C22: so many takers that leave the price too far from where their window began halt the instrument."""
    ins = instruments_of(h)[instrument]
    if ins.velocity == _NO_LIMIT:
        return
    moved = abs(ins.last - ins.window_price) * _PARTS // ins.window_price
    if h[at.RULES] < 7 and moved <= ins.velocity:
        ins.moves = 0
    ins.moves += 1 if moved > ins.velocity else 0
    if ins.moves >= ins.velocity_takers:
        ins.window_start, ins.moves = -1, 0
        if ins.own_state != _HALTED:
            reached, limit = (moved, ins.velocity) if h[at.RULES] > 5 else (0, 0)
            emit(h, _STATE, _R_VELOCITY, 0, 0, _INSTRUMENT, 0, instrument, 0, reached, limit, _HALTED, ins.own_state)
            ins.own_state = ins.state = _HALTED
            h[at.HALTS] += 1


@kernel
def _count_for_protection(h: Header, account: Index, instrument: Index, side: Any, quantity: Any) -> None:
    """C21: a quote's fill counts in its maker's window; past a limit the protection freezes."""
    ins = instruments_of(h)[instrument]
    index = protection_of(h, account, ins.block)
    if index < 0:
        return
    protection = protections_of(h)[index]
    if protection.frozen > h[at.CLOCK]:
        return
    quarter = h[at.CLOCK] // max(1, ar.ceil_div(protection.window, 4))
    for passed in range(protection.quarter + 1, min(quarter, protection.quarter + 5) + 1):
        for column in range(3):
            protection.sums[passed % 5, column] = 0
    protection.quarter = quarter
    signed = side * quantity
    row = quarter % 5
    for column in range(3):
        added = quantity * abs(ins.weight)
        if column > 0:
            added = signed * (ins.delta if column == 1 else ins.vega)
        protection.sums[row, column] = max(-_SUM_MAX, min(_SUM_MAX, protection.sums[row, column] + added))
    for column in range(3):
        reached = 0
        for other in range(5):
            reached += protection.sums[other, column]
        limit = protection.quantity
        if column > 0:
            limit = protection.delta if column == 1 else protection.vega
        if abs(reached) > limit:
            _freeze(h, index, abs(reached), limit)
            return


@kernel
def _freeze(h: Header, index: Index, reached: Any, limit: Any) -> None:
    """Freeze a protection and put it last among those whose quotes are to be pulled."""
    protections = protections_of(h)
    protection = protections[index]
    protection.frozen = h[at.CLOCK] + protection.freeze if protection.freeze > 0 else _NO_LIMIT
    for row in range(5):
        for column in range(3):
            protection.sums[row, column] = 0
    protection.reached, protection.limit, protection.next_pulled = reached, limit, -1
    if h[at.PULL_HEAD] >= 0:
        protections[h[at.PULL_TAIL]].next_pulled = index
    else:
        h[at.PULL_HEAD], h[at.PULL_AT] = index, at.PULL_FRESH
    h[at.PULL_TAIL] = index


@kernel
def pull(h: Header) -> bool:
    """Pull the quotes of every maker whose protection froze, newest first; False when the event buffer is full."""
    protections, orders = protections_of(h), orders_of(h)
    while h[at.PULL_HEAD] >= 0:
        protection = protections[h[at.PULL_HEAD]]
        if not has_room(h):
            return False
        if h[at.PULL_AT] == at.PULL_FRESH:
            h[at.PULL_AT] = accounts_of(h)[protection.account].newest[at.OPEN]
            emit(
                h, _FROZEN, 0, 0, 0, 0, protection.account, protection.block, 0, 0, 0, protection.reached,
                protection.limit,
            )  # fmt: skip
        while h[at.PULL_AT] >= 0:
            if not has_room(h):
                return False
            o = h[at.PULL_AT]
            h[at.PULL_AT] = orders[o].older
            if orders[o].flags & FLAG_PROTECTED and instruments_of(h)[orders[o].instrument].block == protection.block:
                close(h, o, _R_PROTECTION, protection.reached, protection.limit)
        h[at.PULL_HEAD], h[at.PULL_AT] = protection.next_pulled, at.PULL_FRESH
    return True
