"""The commands of traders: order, stop, edit, cancel, timers. `rules.orders` here; its facts are in `upstream`."""

from typing import Any

import numpy as np

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.admission import (
    admit,
    at_market,
    band_passes,
    form_passes,
    is_stop,
    open_orders_pass,
    open_passes,
    permissions_pass,
    size_passes,
    spend,
)
from seawall.engine.kernels.book import (
    add_holder,
    book_code,
    close,
    deny,
    drop_position,
    emit,
    find_position,
    join_level,
    leave_level,
    new_position,
    refuse,
    refuse_denied,
    reserve_of,
    tell,
    wait,
    waiting_code,
)
from seawall.engine.kernels.gate import gate
from seawall.engine.kernels.margin import equity, move, requirement
from seawall.engine.kernels.matching import (
    begin_match,
    clear_more,
    release,
    shrink,
)
from seawall.engine.kernels.stops import reach, trailing_trigger, watched_price
from seawall.engine.kernels.tables import Index, find, give_order, take_order
from seawall.engine.kernels.timers import set_dead_man
from seawall.engine.kernels.views import (
    Header,
    accounts_of,
    client_ids_of,
    instruments_of,
    kernel,
    more_of,
    order_table_of,
    orders_of,
    tiers_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_LINKED,
    FLAG_PACKAGE,
    FLAG_POST_ONLY,
    FLAG_SLIDE,
    SYSTEM_ACCOUNTS,
    EventKind,
    Kind,
    OrderType,
    Role,
    Status,
    TimeInForce,
    Watched,
)

_KEPT = bounds.CLIENT_IDS_KEPT
_ACCEPTED, _EDITED, _DUPLICATE = int(EventKind.ACCEPTED), int(EventKind.EDITED), int(EventKind.DUPLICATE)
_DEFINED = int(EventKind.DEFINED)
_BY_NAME = {reason.name: int(reason) for reason in Reason}
_R_ACCOUNT, _R_SYSTEM, _R_ROLE = _BY_NAME["UNKNOWN_ACCOUNT"], _BY_NAME["SYSTEM_ACCOUNT"], _BY_NAME["ROLE"]
_R_INSTRUMENT, _R_SIDE, _R_FORM = _BY_NAME["UNKNOWN_INSTRUMENT"], _BY_NAME["BAD_SIDE"], _BY_NAME["ORDER_FORM"]
_R_ORDER, _R_OWNER, _R_STATUS = _BY_NAME["UNKNOWN_ORDER"], _BY_NAME["NOT_OWNER"], _BY_NAME["ORDER_STATUS"]
_R_BY_OWNER, _R_NO_PRICE = _BY_NAME["BY_OWNER"], _BY_NAME["NO_PRICE"]
_R_TRIGGER, _R_UNTIL = _BY_NAME["TRIGGER"], _BY_NAME["UNTIL"]
_TRAILING, _CLIENT = int(OrderType.TRAILING), int(Role.CLIENT)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_RESTING, _WAITING, _ACKNOWLEDGED = int(Status.RESTING), int(Status.WAITING), int(Status.ACKNOWLEDGED)
_INDEX = int(Watched.INDEX)
_DEAD_MAN = int(Kind.DEAD_MAN)
_ENTRY = FLAG_POST_ONLY | FLAG_SLIDE
_CHAINED = FLAG_LINKED | FLAG_PACKAGE


@kernel
def client_passes(h: Header, command: Any) -> bool:
    """Whether the command's account exists and is a client's; denies otherwise."""
    if command.account < 0 or command.account >= h[at.ACCOUNTS]:
        return deny(h, _R_ACCOUNT, command.account, h[at.ACCOUNTS])
    if command.account < SYSTEM_ACCOUNTS:
        return deny(h, _R_SYSTEM, command.account, SYSTEM_ACCOUNTS)
    role = accounts_of(h)[command.account].role
    if role != _CLIENT:
        return deny(h, _R_ROLE, command.account, role)
    return True


@kernel
def instrument_passes(h: Header, command: Any) -> bool:
    """Whether the command's instrument exists; denies otherwise."""
    if command.instrument < 0 or command.instrument >= h[at.INSTRUMENTS]:
        return deny(h, _R_INSTRUMENT, command.instrument, h[at.INSTRUMENTS])
    return True


@kernel
def first_under(h: Header, account: Index, client_id: Any) -> Any:
    """The first order under a client id, 0 if there is none that is remembered."""
    if client_id == 0:
        return 0
    kept = client_ids_of(h, account)
    for k in range(_KEPT):
        if kept[2 * k] == client_id:
            return _oldest_under(kept, client_id, accounts_of(h)[account].client_next)
    return 0


@kernel
def _oldest_under(kept: Any, client_id: Any, oldest: Any) -> Any:
    for k in range(_KEPT):
        slot = (oldest + k) % _KEPT
        if kept[2 * slot] == client_id:
            return kept[2 * slot + 1]
    return 0


@kernel
def tell_duplicate(h: Header, command: Any, account: Index, first: Any) -> None:
    """Answer a client id of an account seen before with its first order."""
    emit(h, _DUPLICATE, 0, 0, 0, 0, account, command.instrument, first, 0, 0, first, command.client_id)


@kernel
def keep_client_id(h: Header, account: Index, client_id: Any, order_id: Any) -> None:
    """Remember an accepted order's client id, forgetting the oldest."""
    if client_id == 0:
        return
    entry = accounts_of(h)[account]
    kept = client_ids_of(h, account)
    k = 2 * entry.client_next
    kept[k], kept[k + 1] = client_id, order_id
    entry.client_next = (entry.client_next + 1) % _KEPT


@kernel
def is_plain(command: Any) -> bool:
    """Whether an ORDER command asks for nothing but a limit order, good till cancelled or immediate or cancel."""
    words = command.label | command.display | command.until | command.trigger | command.strategy
    small = command.type | command.flags | command.watch | command.self_match
    return words == 0 and small == 0 and command.tif <= 1


@kernel
def place(h: Header, command: Any) -> bool:
    """An ORDER command; False when the event buffer is full and matching must go on later."""
    if not client_passes(h, command) or not instrument_passes(h, command):
        refuse_denied(h, command)
        return True
    plain = is_plain(command)
    if not order_passes(h, command, plain):
        refuse_denied(h, command)
        return True
    first = first_under(h, np.int64(command.account), command.client_id)
    if first != 0:
        tell_duplicate(h, command, command.account, first)
        return True
    if not message_passes(h, command, plain):
        refuse_denied(h, command)
        return True
    o = prepare(h, command, plain)
    kind = np.int64(command.type)
    if is_stop(kind):
        if not _place_stop(h, o, kind):
            refuse_denied(h, command)
            give_order(h, o)
        return True
    tif, mode = np.int64(command.tif), np.int64(command.self_match)
    if not enter(h, o, kind, tif, mode):
        refuse_denied(h, command)
        give_order(h, o)
        return True
    order = orders_of(h)[o]
    tell(h, _ACCEPTED, o, 0, h[at.CHAIN_NEEDED], h[at.CHAIN_HELD])
    keep_client_id(h, order.account, order.client_id, order.id)
    return release(h, o, tif, mode)


@kernel
def order_passes(h: Header, command: Any, plain: bool) -> bool:
    """Side, time in force, and that rules 1 know nothing but plain orders."""
    old = h[at.RULES] < 2
    if (command.side != 1 and command.side != -1) or command.tif > (1 if old else 3):
        return deny(h, _R_SIDE, command.side, command.tif)
    if old and not plain:
        return deny(h, _R_FORM, command.type, command.flags)
    return True


@kernel
def message_passes(h: Header, command: Any, plain: bool) -> bool:
    """Form and budget of an ORDER command."""
    if h[at.RULES] < 2:
        return True
    if not spend(h, command.account, False):
        return False
    return plain or form_passes(h, command, np.int64(command.flags) & ~_CHAINED)


@kernel
def prepare(h: Header, command: Any, plain: bool) -> Index:
    """An ORDER record of the command, not yet in any list; its position may be -1."""
    o = take_order(h)
    order = orders_of(h)[o]
    order.id = h[at.SEQ]
    order.price, order.remaining, order.filled = command.price, command.quantity, 0
    order.shown = command.quantity
    order.fee_accrued = order.fee_posted = 0
    order.client_id = command.client_id
    order.account, order.instrument, order.side = command.account, command.instrument, command.side
    todays_rates(h, o)
    order.position = find_position(h, command.account, command.instrument)
    order.level = order.next = order.previous = order.older = order.newer = -1
    order.fixed = 0
    order.flags, order.status, order.strategy = command.flags & ~_CHAINED, _RESTING, command.strategy
    if not plain:
        order.flags |= at.HAS_MORE
        more = more_of(h)[o]
        more.display, more.done, more.until, more.label = command.display, 0, command.until, command.label
        more.trigger, more.distance = command.trigger, 0
        more.type, more.tif = command.type, command.tif
        more.watch, more.self_match = command.watch, command.self_match
        more.cancel_wanted, more.timer = 0, -1
        if command.type == _TRAILING:
            more.distance = command.trigger
    return o


@kernel
def enter(h: Header, o: Index, kind: Any, tif: Any, mode: Any) -> bool:
    """Admit an order and pass it through the gate, giving it a position; else all is as it was but for the record."""
    if not admit(h, o, kind, tif, mode):
        return False
    order = orders_of(h)[o]
    is_fresh = order.position < 0
    if is_fresh:
        order.position = new_position(h, order.account, order.instrument)
    if not gate(h, o):
        if is_fresh:
            drop_position(h, order.position)
            order.position = -1
        return False
    if is_fresh:
        add_holder(h, order.position)
    return True


@kernel
def _place_stop(h: Header, o: Index, kind: Any) -> bool:
    """A stop is checked for what can be said now; the rest is checked when it fires."""
    order, more = orders_of(h)[o], more_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    if not open_passes(h, order.account, order.instrument) or not size_passes(h, o):
        return False
    if not at_market(kind) and not band_passes(h, ins, order.price):
        return False
    if not permissions_pass(h, o):
        return False
    price = watched_price(ins, more.watch)
    if price == 0 and (kind == _TRAILING or more.watch == _INDEX):
        return deny(h, _R_NO_PRICE, order.instrument, more.watch)
    if not open_orders_pass(h, order.account):
        return False
    if kind == _TRAILING:
        more.trigger = trailing_trigger(ins, order.side, more.distance, price)
    tell(h, _ACCEPTED, o, 0, 0, 0)
    keep_client_id(h, order.account, order.client_id, order.id)
    wait(h, o)
    if price != 0:
        reach(h, order.instrument, np.int64(more.watch), price)
    return True


# -- edits -----------------------------------------------------------------------------------------------------------


@kernel
def own_order(h: Header, command: Any) -> Index:
    """The order a command names, if it is its account's; else -1, denied."""
    if not client_passes(h, command):
        return -1
    o = find(order_table_of(h), h[at.ORDER_MASK], command.order_id) if command.order_id > 0 else -1
    if o < 0:
        deny(h, _R_ORDER, command.order_id, command.account)
        return -1
    if orders_of(h)[o].account != command.account:
        deny(h, _R_OWNER, command.order_id, orders_of(h)[o].account)
        return -1
    return o


@kernel
def edit(h: Header, command: Any) -> bool:
    """An EDIT command; False when the event buffer is full and matching must go on later."""
    o = own_order(h, command)
    if o < 0 or not _edit_passes(h, command, o):
        refuse_denied(h, command)
        return True
    order, more = orders_of(h)[o], more_of(h)[o]
    done = order.filled + (more.done if order.flags & at.HAS_MORE else 0)
    left = max(command.quantity, 0) - done
    if left <= 0:
        close(h, o, _R_BY_OWNER, 0, 0)
    elif order.status == _WAITING:
        if not _edit_waiting(h, command, o, left):
            refuse_denied(h, command)
    elif command.price == order.price and left <= order.remaining:
        shrink(h, o, left)
        tell(h, _EDITED, o, 0, requirement(h, order.account), equity(h, order.account))
    else:
        return _replace(h, command, o, left)
    return True


@kernel
def _edit_passes(h: Header, command: Any, o: Index) -> bool:
    order, more = orders_of(h)[o], more_of(h)[o]
    if not spend(h, np.int64(command.account), False):
        return False
    there = order.status == _ACKNOWLEDGED
    editable = there and h[at.RULES] > 2 and more.cancel_wanted == 0
    if not editable and order.status != _RESTING and order.status != _WAITING:
        return deny(h, _R_STATUS, order.id, order.status)
    kind, tif = 0, 0
    if order.flags & at.HAS_MORE:
        kind, tif = more.type, more.tif
    flags = np.int64(command.flags)
    unfit = at_market(kind) or tif == _IOC or tif == _FOK
    if flags & ~_ENTRY or flags == FLAG_SLIDE or ((flags != 0 or there) and unfit):
        return deny(h, _R_FORM, kind, flags)
    return True


@kernel
def _edit_waiting(h: Header, command: Any, o: Index, left: Any) -> bool:
    """A stop that has not fired changes price, amount and trigger; False: denied, as it was."""
    order, more = orders_of(h)[o], more_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    market = at_market(more.type)
    before = order.remaining
    order.remaining = left
    passes = size_passes(h, o)
    order.remaining = before
    if not passes or (not market and not band_passes(h, ins, command.price)):
        return False
    if command.trigger < 1 or command.trigger > ins.price_max:
        return deny(h, _R_TRIGGER, command.trigger, ins.price_max)
    code = waiting_code(h, o)
    leave_level(h, o, code)
    order.remaining = order.shown = left
    order.flags = order.flags & ~_ENTRY | command.flags
    if not market:
        order.price = command.price
    more.display = min(more.display, left)
    more.trigger = command.trigger
    price = watched_price(ins, more.watch)
    if more.type == _TRAILING:
        more.distance = command.trigger
        more.trigger = trailing_trigger(ins, order.side, more.distance, price)
    tell(h, _EDITED, o, 0, more.trigger, 0)
    join_level(h, o, code, more.trigger)
    if price != 0:
        reach(h, order.instrument, np.int64(more.watch), price)
    return True


@kernel
def _replace(h: Header, command: Any, o: Index, left: Any) -> bool:
    """Price and amount anew, gated without the old order's effect; False when the event buffer is full."""
    order, more = orders_of(h)[o], more_of(h)[o]
    entry = accounts_of(h)[order.account]
    if order.flags & at.HAS_MORE == 0:
        clear_more(h, o)
    price, remaining, fixed = order.price, order.remaining, order.fixed
    flags, tif, mode = order.flags, np.int64(more.tif), np.int64(more.self_match)
    reserve = reserve_of(h, order.instrument)
    move(h, order.position, order.side, remaining, fixed, 0, 0, 0)
    entry.open_orders -= 1
    entry.reserve -= reserve
    order.flags = flags & ~_ENTRY | command.flags
    order.remaining, order.price = left, command.price
    maker_rate, taker_rate = order.maker_rate, order.taker_rate
    todays_rates(h, o)
    if not enter(h, o, 0, tif, mode):
        order.flags, order.remaining, order.price = flags, remaining, price
        order.maker_rate, order.taker_rate, order.fixed = maker_rate, taker_rate, fixed
        entry.open_orders += 1
        entry.reserve += reserve
        move(h, order.position, order.side, 0, 0, remaining, fixed, 0)
        refuse_denied(h, command)
        return True
    entry.open_orders += 1
    entry.reserve += reserve
    here = order.status == _RESTING
    if here:
        new_flags = order.flags
        order.remaining, order.flags = remaining, flags
        leave_level(h, o, book_code(order.side))
        order.remaining, order.flags = left, new_flags | at.HAS_MORE | at.LISTED
    count_anew(h, o)
    tell(h, _EDITED, o, 0, h[at.CHAIN_NEEDED], h[at.CHAIN_HELD])
    return begin_match(h, o, tif, mode) if here else True


@kernel
def todays_rates(h: Header, o: Index) -> None:
    """Fee rates as for an order sent now."""
    order = orders_of(h)[o]
    rates = 2 * (2 * accounts_of(h)[order.account].tier + instruments_of(h)[order.instrument].fee_class)
    order.maker_rate, order.taker_rate = tiers_of(h)[rates], tiers_of(h)[rates + 1]


@kernel
def count_anew(h: Header, o: Index) -> None:
    """New terms are a new order under the old id: all of it shown, and a new count of rounding."""
    order, more = orders_of(h)[o], more_of(h)[o]
    order.shown = order.remaining
    more.display = min(more.display, order.remaining)
    more.done += order.filled
    order.filled = order.fee_accrued = order.fee_posted = 0


# -- cancels and timers ------------------------------------------------------------------------------------------------


@kernel
def cancel(h: Header, command: Any) -> None:
    """A CANCEL command."""
    o = own_order(h, command)
    if o < 0 or (h[at.RULES] > 1 and not spend(h, np.int64(command.account), True)):
        refuse_denied(h, command)
    elif orders_of(h)[o].status > _WAITING and more_of(h)[o].cancel_wanted != 0:
        refuse(h, command, _R_STATUS, orders_of(h)[o].id, orders_of(h)[o].status)
    else:
        close(h, o, _R_BY_OWNER, 0, 0)


@kernel
def dead_man(h: Header, command: Any) -> None:
    """A DEAD_MAN command: C20."""
    if not client_passes(h, command):
        refuse_denied(h, command)
    elif command.until != 0 and (command.until <= h[at.CLOCK] or command.until > bounds.TIME_MAX):
        refuse(h, command, _R_UNTIL, command.until, h[at.CLOCK])
    else:
        set_dead_man(h, command.account, command.until)
        emit(h, _DEFINED, 0, 0, 0, 0, command.account, 0, 0, 0, 0, _DEAD_MAN, command.until)
