"""What an order must pass before the margin gate: `rules.controls` in the kernels, check for check.

A check that fails remembers why with `deny` and gives False. `limited` of account and instrument say whether there is
any limit to look at, so that those who have none pay for none.
"""

from typing import Any

import numpy as np

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import book_code, deny, find_margin, find_position, position_key
from seawall.engine.kernels.margin import equity, requirement
from seawall.engine.kernels.stops import going_price
from seawall.engine.kernels.tables import Index, find, next_level
from seawall.engine.kernels.views import (
    Header,
    accounts_of,
    blocks_of,
    instruments_of,
    kernel,
    levels_of,
    limits_of,
    margins_of,
    orders_of,
    pair_table_of,
    pairs_of,
    positions_of,
    protections_of,
    strategies_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    FORBID_OPEN,
    FORBID_TRADE,
    OrderType,
    SelfMatch,
    TimeInForce,
    VenueState,
    Watched,
)

_HALTED, _REDUCE = int(VenueState.HALTED), int(VenueState.REDUCE_ONLY)
_LIMIT, _MARKET, _TRAILING = int(OrderType.LIMIT), int(OrderType.MARKET), int(OrderType.TRAILING)
_STOP_LIMIT, _STOP_MARKET = int(OrderType.STOP_LIMIT), int(OrderType.STOP_MARKET)
_TAKE_MARKET = int(OrderType.TAKE_MARKET)
_IOC, _FOK, _GTD = int(TimeInForce.IOC), int(TimeInForce.FOK), int(TimeInForce.GTD)
_MARK, _INDEX = int(Watched.MARK), int(Watched.INDEX)
_WATCHED, _MODES = max(Watched), max(SelfMatch)
_OLDEST = int(SelfMatch.CANCEL_OLDEST)
_FLAGS = FLAG_POST_ONLY | FLAG_SLIDE | FLAG_REDUCE_ONLY | FLAG_PROTECTED
_NO_LIMIT, _PARTS = bounds.NO_LIMIT, bounds.PARTS
_LOOKS, _DELTA_MAX = bounds.FILL_OR_KILL_LOOKS, bounds.BLOCK_DELTA_MAX
_BY_NAME = {reason.name: int(reason) for reason in Reason}
_R_FORM, _R_TRIGGER, _R_DISPLAY, _R_UNTIL = (_BY_NAME[n] for n in ("ORDER_FORM", "TRIGGER", "DISPLAY", "UNTIL"))
_R_THROTTLED, _R_HALTED = _BY_NAME["THROTTLED"], _BY_NAME["VENUE_HALTED"]
_R_INSTRUMENT_HALTED, _R_ACCOUNT_HALTED = _BY_NAME["INSTRUMENT_HALTED"], _BY_NAME["ACCOUNT_HALTED"]
_R_EXPIRED, _R_UNPUBLISHED = _BY_NAME["EXPIRED"], _BY_NAME["NOT_PUBLISHED"]
_R_QUANTITY, _R_BAND, _R_BOUND = _BY_NAME["QUANTITY"], _BY_NAME["PRICE_BAND"], _BY_NAME["POSITION_BOUND"]
_R_POST_ONLY, _R_COLLAR, _R_WINDOW = _BY_NAME["POST_ONLY"], _BY_NAME["COLLAR"], _BY_NAME["WINDOW_COLLAR"]
_R_FORBIDDEN, _R_STOPPED = _BY_NAME["FORBIDDEN"], _BY_NAME["STRATEGY_STOPPED"]
_R_NO_PROTECTION, _R_FROZEN = _BY_NAME["NO_PROTECTION"], _BY_NAME["FROZEN"]
_R_NOT_REDUCING, _R_REDUCE = _BY_NAME["NOT_REDUCING"], _BY_NAME["REDUCE_ONLY"]
_R_UNKNOWN, _R_STALE, _R_DIVERGENT = _BY_NAME["OUTCOME_UNKNOWN"], _BY_NAME["STALE"], _BY_NAME["DIVERGENT"]
_R_NOTIONAL, _R_OPEN, _R_OPEN_NOTIONAL = _BY_NAME["ORDER_NOTIONAL"], _BY_NAME["OPEN_ORDERS"], _BY_NAME["OPEN_NOTIONAL"]
_R_POSITION, _R_INTEREST, _R_EXPOSURE = _BY_NAME["POSITION_LIMIT"], _BY_NAME["OPEN_INTEREST"], _BY_NAME["EXPOSURE"]
_R_FILL_OR_KILL, _R_NO_PRICE = _BY_NAME["FILL_OR_KILL"], _BY_NAME["NO_PRICE"]


# -- form ------------------------------------------------------------------------------------------------------------


@kernel
def at_market(kind: Any) -> bool:
    """Whether an order of this type has its price from the collar."""
    return kind == _MARKET or kind == _STOP_MARKET or kind == _TAKE_MARKET or kind == _TRAILING


@kernel
def is_stop(kind: Any) -> bool:
    """Whether an order of this type waits for a price."""
    return kind >= _STOP_LIMIT


@kernel
def form_passes(h: Header, command: Any, flags: Any) -> bool:
    """Whether type, flags, time in force and the rest of an ORDER command go together."""
    kind, tif = command.type, command.tif
    immediate = tif == _IOC or tif == _FOK
    fits = kind <= _TRAILING and flags & ~_FLAGS == 0
    fits = fits and command.watch <= _WATCHED and command.self_match <= _MODES
    fits = fits and 0 <= command.strategy < bounds.STRATEGIES
    if flags & FLAG_POST_ONLY:
        fits = fits and not immediate and not at_market(kind)
    else:
        fits = fits and flags & FLAG_SLIDE == 0
    if kind == _MARKET:
        fits = fits and immediate
    if not is_stop(kind):
        fits = fits and command.trigger == 0 and command.watch == 0
    if flags & FLAG_PROTECTED:
        fits = fits and kind == _LIMIT
    if not fits:
        return deny(h, _R_FORM, kind, flags)
    highest = instruments_of(h)[command.instrument].price_max
    if is_stop(kind) and (command.trigger < 1 or command.trigger > highest):
        return deny(h, _R_TRIGGER, command.trigger, highest)
    most = 0 if immediate or at_market(kind) else max(0, command.quantity)
    if command.display < 0 or command.display > most:
        return deny(h, _R_DISPLAY, command.display, most)
    if tif == _GTD:
        if command.until <= h[at.CLOCK] or command.until > bounds.TIME_MAX:
            return deny(h, _R_UNTIL, command.until, h[at.CLOCK])
    elif command.until != 0:
        return deny(h, _R_UNTIL, command.until, 0)
    return True


@kernel
def spend(h: Header, account: Index, cancels: bool) -> bool:
    """C06: one message of a budget; refused ones are paid for, too."""
    if accounts_of(h)[account].limited == 0:
        return True
    limits = limits_of(h)[account]
    each = limits.cancel_each if cancels else limits.message_each
    if each == 0:
        return True
    burst = limits.cancel_burst if cancels else limits.message_burst
    due = max(limits.due_cancel if cancels else limits.due_message, h[at.CLOCK])
    early = due - h[at.CLOCK] - (burst - 1) * each
    if early > 0:
        return deny(h, _R_THROTTLED, early, each)
    if cancels:
        limits.due_cancel = due + each
    else:
        limits.due_message = due + each
    return True


# -- admission -------------------------------------------------------------------------------------------------------


@kernel
def admit(h: Header, o: Index, kind: Any, tif: Any, mode: Any) -> bool:
    """Every check of an order that is about to enter the book, margin apart; may set its price.

    `order.position` may still be -1: no position there.
    """
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    entry = accounts_of(h)[order.account]
    if not open_passes(h, order.account, order.instrument) or not size_passes(h, o):
        return False
    if not _set_price(h, o, kind) or not _collars_pass(h, o) or not permissions_pass(h, o):
        return False
    held, opened, others = 0, 0, 0
    if order.position >= 0:
        pos = positions_of(h)[order.position]
        held = pos.quantity
        opened, others = pos.open_buy, pos.open_sell
        if order.side < 0:
            opened, others = others, opened
    total = abs(held) + opened + others + order.remaining
    reducible = max(0, -order.side * held)
    left = max(0, reducible - opened)
    reducing = order.remaining <= left
    leaves = reducing and (tif == _IOC or tif == _FOK) and h[at.RULES] > 5  # it does not stay to be counted
    if total > ins.position_bound and not leaves:
        return deny(h, _R_BOUND, total, ins.position_bound)
    reduce_only = order.flags & FLAG_REDUCE_ONLY != 0
    if reduce_only and (reducible == 0 or (tif == _FOK and order.remaining > reducible)):
        return deny(h, _R_NOT_REDUCING, order.remaining, reducible)
    trimmed = reduce_only and (ins.upstream == 0 or h[at.RULES] < 5)  # elsewhere nobody trims it
    if not _opening_passes(h, o, left):
        if not reducing and not trimmed:
            return False
        if h[at.RULES] > 1:
            order.flags |= FLAG_REDUCE_ONLY  # let in because it reduces, so that is all it may do
    if entry.limited != 0:
        notional = order.remaining * abs(ins.weight)
        most = limits_of(h)[order.account].order_notional
        if notional > most:
            return deny(h, _R_NOTIONAL, notional, most)
    if not reducing and not _count_passes(h, o):
        return False
    if not _sums_pass(h, o, opened, reducible if reducing or trimmed else 0):
        return False
    if tif == _FOK and ins.upstream == 0:
        found = _fillable(h, o, mode)
        if found < order.remaining:
            return deny(h, _R_FILL_OR_KILL, order.remaining, found)
    return True


@kernel
def open_passes(h: Header, account: Index, instrument: Index) -> bool:
    """C18: nothing is halted, the instrument lives and is priced."""
    ins, entry = instruments_of(h)[instrument], accounts_of(h)[account]
    if h[at.VENUE] == _HALTED:
        return deny(h, _R_HALTED, h[at.VENUE], _REDUCE)
    if ins.state == _HALTED:
        return deny(h, _R_INSTRUMENT_HALTED, ins.state, _REDUCE)
    if entry.state == _HALTED:
        return deny(h, _R_ACCOUNT_HALTED, entry.state, _REDUCE)
    if ins.expired != 0 or (ins.expiry != 0 and h[at.CLOCK] >= ins.expiry):
        return deny(h, _R_EXPIRED, ins.expiry, h[at.CLOCK])
    if ins.published == 0:
        return deny(h, _R_UNPUBLISHED, instrument, h[at.VERSION])
    return True


@kernel
def _pair(h: Header, account: Index, instrument: Index) -> Index:
    """Limits of one account or group in one instrument, or -1."""
    if accounts_of(h)[account].limited == 0 or limits_of(h)[account].pairs == 0:
        return -1
    return find(pair_table_of(h), h[at.PAIR_MASK], position_key(account, instrument))


@kernel
def size_passes(h: Header, o: Index) -> bool:
    """C01."""
    order = orders_of(h)[o]
    most = instruments_of(h)[order.instrument].quantity_max
    pair = _pair(h, order.account, order.instrument)
    if pair >= 0:
        most = min(most, pairs_of(h)[pair].order_quantity)
    if order.remaining < 1 or order.remaining > most:
        return deny(h, _R_QUANTITY, order.remaining, most)
    return True


@kernel
def _collar(h: Header, ins: Any, side: Any) -> Any:
    """C03: the furthest price of that side, from the mark."""
    if ins.collar == _NO_LIMIT:
        return ins.price_max if side > 0 else ins.price_min
    around = ins.mark + side * max(ins.collar_ticks, ins.mark * ins.collar // _PARTS)
    return min(ins.price_max, around) if side > 0 else max(ins.price_min, around)


@kernel
def _window_edge(h: Header, ins: Any, p: Index, side: Any) -> Any:
    """C04: as far as one account may move the price from where it was when its window began."""
    if ins.window_collar == _NO_LIMIT:
        return bounds.PRICE_MAX if side > 0 else 0
    start = going_price(ins)
    if p >= 0:
        pos = positions_of(h)[p]
        if pos.window_start >= 0 and h[at.CLOCK] - pos.window_start <= ins.window_ns:
            start = pos.window_price
    return start + side * (start * ins.window_collar // _PARTS)


@kernel
def band_passes(h: Header, ins: Any, price: Any) -> bool:
    """The instrument's hard band."""
    if price < ins.price_min:
        return deny(h, _R_BAND, price, ins.price_min)
    if price > ins.price_max:
        return deny(h, _R_BAND, price, ins.price_max)
    return True


@kernel
def _set_price(h: Header, o: Index, kind: Any) -> bool:
    """C05: an order at market is a limit at the tighter collar. A post-only order is refused or slides."""
    order = orders_of(h)[o]
    ins, side = instruments_of(h)[order.instrument], order.side
    if at_market(kind):
        collar, window = _collar(h, ins, side), _window_edge(h, ins, order.position, side)
        order.price = min(collar, window) if side > 0 else max(collar, window)
    if order.flags & FLAG_POST_ONLY and ins.upstream == 0:
        level = ins.best[book_code(-side)]
        if level >= 0:
            best = levels_of(h)[level].price
            if side * (order.price - best) >= 0:
                slid = best - side
                if order.flags & FLAG_SLIDE == 0 or slid < ins.price_min or slid > ins.price_max:
                    return deny(h, _R_POST_ONLY, order.price, best)
                order.price = slid
    return band_passes(h, ins, order.price)


@kernel
def _collars_pass(h: Header, o: Index) -> bool:
    """C03 and C04."""
    order = orders_of(h)[o]
    ins, side = instruments_of(h)[order.instrument], order.side
    edge = _collar(h, ins, side)
    if side * (order.price - edge) > 0:
        return deny(h, _R_COLLAR, order.price, edge)
    edge = _window_edge(h, ins, order.position, side)
    if side * (order.price - edge) > 0:
        return deny(h, _R_WINDOW, order.price, edge)
    return True


@kernel
def _forbidden(h: Header, account: Index, instrument: Index) -> Any:
    """C10: bits forbidden to an account in an instrument, or in general."""
    if accounts_of(h)[account].limited == 0:
        return 0
    forbidden = limits_of(h)[account].forbidden
    pair = _pair(h, account, instrument)
    return forbidden | pairs_of(h)[pair].forbidden if pair >= 0 else forbidden


@kernel
def protection_of(h: Header, account: Index, block: Index) -> Index:
    """A maker's protection in a block, or -1."""
    protections = protections_of(h)
    protection = accounts_of(h)[account].first_protection
    while protection >= 0 and protections[protection].block != block:
        protection = protections[protection].next
    return protection


@kernel
def permissions_pass(h: Header, o: Index) -> bool:
    """C07, C10, C21."""
    order = orders_of(h)[o]
    forbidden = _forbidden(h, order.account, order.instrument)
    if forbidden & FORBID_TRADE:
        return deny(h, _R_FORBIDDEN, FORBID_TRADE, forbidden)
    slot = bounds.STRATEGIES * order.account + order.strategy
    if order.strategy != 0 and strategies_of(h)[slot] == _NO_LIMIT:
        repeats = limits_of(h)[order.account].repeats
        return deny(h, _R_STOPPED, order.strategy, 0 if repeats == _NO_LIMIT else repeats)
    if order.flags & FLAG_PROTECTED:
        block = instruments_of(h)[order.instrument].block
        protection = protection_of(h, order.account, block)
        if protection < 0:
            return deny(h, _R_NO_PROTECTION, order.account, block)
        frozen = protections_of(h)[protection].frozen
        if frozen > h[at.CLOCK]:
            return deny(h, _R_FROZEN, 0 if frozen == _NO_LIMIT else frozen, h[at.CLOCK])
    return True


@kernel
def _opening_passes(h: Header, o: Index, left: Any) -> bool:
    """C10, C16, C17, C18: whatever leaves only reducing orders."""
    order = orders_of(h)[o]
    ins, entry = instruments_of(h)[order.instrument], accounts_of(h)[order.account]
    if max(h[at.VENUE], ins.state, entry.state) == _REDUCE or entry.restricted != 0:
        return deny(h, _R_REDUCE, order.remaining, left)
    forbidden = _forbidden(h, order.account, order.instrument)
    if forbidden & FORBID_OPEN:
        return deny(h, _R_FORBIDDEN, FORBID_OPEN, forbidden)
    if entry.unknown != 0:
        return deny(h, _R_UNKNOWN, entry.unknown, left)
    return prices_pass(h, order.instrument)


@kernel
def prices_pass(h: Header, instrument: Index) -> bool:
    """C17: the instrument's prices are neither stale nor divergent."""
    ins = instruments_of(h)[instrument]
    if h[at.STALE] != _NO_LIMIT:
        oldest = min(ins.published_at, ins.index_at) if ins.index != 0 else ins.published_at
        age = h[at.CLOCK] - oldest
        if age > h[at.STALE]:
            return deny(h, _R_STALE, age, h[at.STALE])
    if h[at.DIVERGENCE] != _NO_LIMIT and ins.index == 0 and h[at.RULES] > 5:
        return deny(h, _R_NO_PRICE, instrument, _INDEX)
    if h[at.DIVERGENCE] != _NO_LIMIT and ins.index != 0:
        apart = abs(ins.mark - ins.index) * _PARTS // ins.index
        if apart > h[at.DIVERGENCE]:
            return deny(h, _R_DIVERGENT, apart, h[at.DIVERGENCE])
    return True


@kernel
def open_orders_pass(h: Header, account: Index) -> bool:
    """C11: how many orders are open, waiting stops included."""
    entry = accounts_of(h)[account]
    if entry.limited == 0:
        return True
    count, most = entry.open_orders + entry.waiting + 1, limits_of(h)[account].open_orders
    if count > most:
        return deny(h, _R_OPEN, count, most)
    return True


@kernel
def _count_passes(h: Header, o: Index) -> bool:
    """C11: how many orders that do not reduce are open, and their notional."""
    order = orders_of(h)[o]
    entry = accounts_of(h)[order.account]
    if entry.limited == 0:
        return True
    if not open_orders_pass(h, order.account):
        return False
    most = limits_of(h)[order.account].open_notional
    if most != _NO_LIMIT:
        notional = entry.open_notional + order.remaining * abs(instruments_of(h)[order.instrument].weight)
        if notional > most:
            return deny(h, _R_OPEN_NOTIONAL, notional, most)
    return True


@kernel
def _sums_pass(h: Header, o: Index, opened: Any, reducible: Any) -> bool:
    """C12, C15: what an order adds to; `reducible` if it may do no more than reduce its account's lots by that.

    Such an order is asked, since rules 7, for its groups' lots and for net delta, unless its account has to come down.
    """
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    if reducible > 0:
        if h[at.RULES] < 7:
            return True
        quantity = min(order.remaining, reducible)
        if _position_limits_pass(h, o, quantity, 1) and _exposures_pass(h, o, quantity):
            return True
        return equity(h, order.account) < requirement(h, order.account)
    if not _position_limits_pass(h, o, order.remaining, 0):
        return False
    reached = ins.open_interest + opened + order.remaining
    if ins.interest_max != _NO_LIMIT and reached > ins.interest_max:
        return deny(h, _R_INTEREST, reached, ins.interest_max)
    return _exposures_pass(h, o, order.remaining)


@kernel
def _party(entry: Any, account: Index, index: Any) -> Index:
    """The account itself, its desk, firm and owner by turns; 0: none."""
    if index == 0:
        return account
    if index == 1:
        return entry.desk
    return entry.firm if index == 2 else entry.owner


@kernel
def _sum_of(h: Header, p: Index, index: Any) -> Index:
    """A position itself, or the sum of its desk, firm, owner that it belongs to; -1 where there is no position yet."""
    if p < 0 or index == 0:
        return p
    pos = positions_of(h)[p]
    if index == 1:
        return np.int64(pos.desk)
    return np.int64(pos.firm) if index == 2 else np.int64(pos.owner)


@kernel
def _position_limits_pass(h: Header, o: Index, quantity: Any, first: Any) -> bool:
    """C12 of the account and of its groups, of the groups alone with `first` 1."""
    order = orders_of(h)[o]
    entry = accounts_of(h)[order.account]
    for index in range(first, 4):
        party = _party(entry, order.account, index)
        if party > 0 and accounts_of(h)[party].limited != 0 and limits_of(h)[party].pairs != 0:
            reached = quantity
            p = _sum_of(h, order.position, index)
            if p < 0 and index > 0:
                p = find_position(h, party, order.instrument)
            if p >= 0:
                pos = positions_of(h)[p]
                reached += order.side * pos.quantity + (pos.open_buy if order.side > 0 else pos.open_sell)
            pair = _pair(h, party, order.instrument) if reached > 0 else np.int64(-1)
            if pair >= 0 and reached > pairs_of(h)[pair].position:
                deny(h, _R_POSITION, reached, pairs_of(h)[pair].position)
                h[at.D_ACCOUNT] = party
                return False
    return True


@kernel
def _delta_beside(h: Header, m: Index, party: Index, block: Index, change: Any) -> Any:
    """The most that a party's net delta could come to, the way of `change`, in all blocks of a block's underlying.

    `m` is its margin record in that block, -1 for none; only where other blocks have the underlying are more looked at.
    """
    margins, blocks, reached = margins_of(h), blocks_of(h), 0
    alone = h[at.RULES] < 7 or blocks[block].beside == 0
    if not alone:
        m = np.int64(accounts_of(h)[party].first_margin)
    while m >= 0:
        margin = margins[m]
        if alone or blocks[margin.block].underlying == blocks[block].underlying:
            here = margin.net_delta + margin.up_delta if change > 0 else margin.down_delta - margin.net_delta
            reached += here if h[at.RULES] < 7 else max(-_DELTA_MAX, min(here, _DELTA_MAX))
        m = np.int64(-1) if alone else np.int64(margin.next)
    return reached


@kernel
def _exposures_pass(h: Header, o: Index, quantity: Any) -> bool:
    """C15 of the account and of its groups."""
    order = orders_of(h)[o]
    ins, entry = instruments_of(h)[order.instrument], accounts_of(h)[order.account]
    change = order.side * quantity * ins.delta
    if change == 0:
        return True
    for index in range(4):
        party = _party(entry, order.account, index)
        if party > 0 and accounts_of(h)[party].limited != 0 and limits_of(h)[party].exposure != _NO_LIMIT:
            p = _sum_of(h, order.position, index)
            m = np.int64(positions_of(h)[p].margin) if p >= 0 else find_margin(h, party, ins.block)
            reached = abs(change) + _delta_beside(h, m, party, ins.block, change)
            if reached > limits_of(h)[party].exposure:
                deny(h, _R_EXPOSURE, reached, limits_of(h)[party].exposure)
                h[at.D_ACCOUNT] = party
                return False
    return True


# -- fill or kill ----------------------------------------------------------------------------------------------------


@kernel
def owner_of(h: Header, account: Index) -> Any:
    """The beneficial owner: the group if there is one, else the account itself."""
    owner = accounts_of(h)[account].owner
    return owner if owner > 0 else account


@kernel
def _fillable(h: Header, o: Index, mode: Any) -> Any:
    """Lots a fill-or-kill could have at once, counted up to what it asks; hidden ones count, reduce-only ones not."""
    order = orders_of(h)[o]
    levels, code = levels_of(h), book_code(-order.side)
    level = instruments_of(h)[order.instrument].best[code]
    owner = owner_of(h, order.account)
    p = find_position(h, owner, order.instrument)
    own = 0
    if p >= 0:
        own = positions_of(h)[p].open_sell if order.side > 0 else positions_of(h)[p].open_buy
    found, looks = 0, 0
    while level >= 0 and (own != 0 or looks < _LOOKS) and order.side * (levels[level].price - order.price) <= 0:
        if own == 0:
            found += levels[level].firm
            looks += 1
        else:
            maker, hidden = levels[level].head, 0
            while maker >= 0:
                resting = orders_of(h)[maker]
                theirs = owner_of(h, resting.account) == owner
                looks += 1
                if looks > _LOOKS or (theirs and mode != _OLDEST):
                    return found
                if not theirs and resting.flags & FLAG_REDUCE_ONLY == 0:
                    found += resting.shown
                    hidden += resting.remaining - resting.shown
                maker = resting.next
            found += hidden  # what icebergs hide queues behind the whole level
        if found >= order.remaining:
            return found
        level = next_level(h, order.instrument, code, level)
    return found
