"""What a venue elsewhere says: of orders held there, of trades made and money moved there; `rules.orders` here."""

from typing import Any

import numpy as np

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.admission import band_passes
from seawall.engine.kernels.book import (
    add_holder,
    announce_cancel,
    deny,
    emit,
    find_position,
    forget,
    new_position,
    refuse_denied,
    tell,
)
from seawall.engine.kernels.gate import dearer
from seawall.engine.kernels.margin import equity, move, order_fixed, refresh_gain, requirement
from seawall.engine.kernels.matching import add_cash, follow_fill, post, posting_of, settle_fill
from seawall.engine.kernels.stops import reach
from seawall.engine.kernels.tables import Index
from seawall.engine.kernels.trading import client_passes, count_anew, instrument_passes, own_order, todays_rates
from seawall.engine.kernels.views import (
    Header,
    accounts_of,
    balances_of,
    instruments_of,
    kernel,
    orders_of,
    positions_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import TAKER, EventKind, Status, Watched

_FILL, _EDITED, _STATUS = int(EventKind.FILL), int(EventKind.EDITED), int(EventKind.STATUS)
_BY_NAME = {reason.name: int(reason) for reason in Reason}
_R_STATUS, _R_BY_VENUE, _R_SIDE = _BY_NAME["ORDER_STATUS"], _BY_NAME["BY_VENUE"], _BY_NAME["BAD_SIDE"]
_R_QUANTITY, _R_BAND, _R_AMOUNT = _BY_NAME["QUANTITY"], _BY_NAME["PRICE_BAND"], _BY_NAME["AMOUNT"]
_R_BOUND, _R_BALANCE, _R_BOOKED = _BY_NAME["POSITION_BOUND"], _BY_NAME["BALANCE_BOUND"], _BY_NAME["BOOKED"]
_R_HERE, _R_EXPIRED = _BY_NAME["NOT_UPSTREAM"], _BY_NAME["EXPIRED"]
_RESTING, _WAITING, _UNKNOWN = int(Status.RESTING), int(Status.WAITING), int(Status.UNKNOWN)
_LAST, _C = int(Watched.LAST), at.CURRENCIES_MAX
_FEE_MAX, _CASH_MAX = bounds.POSITION_VALUE_MAX, bounds.BALANCE_MAX
_NARROWEST = -(2**63)
"""abs() of it is itself."""


@kernel
def _upstream_order(h: Header, command: Any, but: Any) -> Index:
    """The upstream order a command names, in any status but one; else -1, refused."""
    o = own_order(h, command)
    if o >= 0:
        status = orders_of(h)[o].status
        if status == _RESTING or status == _WAITING or status == but:
            deny(h, _R_STATUS, orders_of(h)[o].id, status)
            o = -1
    if o < 0:
        refuse_denied(h, command)
    return o


@kernel
def set_status(h: Header, command: Any, status: Any) -> None:
    """An ACKNOWLEDGED or UNKNOWN command."""
    o = _upstream_order(h, command, status)
    if o < 0:
        return
    order = orders_of(h)[o]
    entry = accounts_of(h)[order.account]
    if order.status == _UNKNOWN:
        entry.unknown -= 1
    if status == _UNKNOWN:
        entry.unknown += 1
    old = order.status
    order.status = status
    tell(h, _STATUS, o, 0, status, old)


@kernel
def ended(h: Header, command: Any) -> None:
    """An ENDED command."""
    o = _upstream_order(h, command, -1)
    if o >= 0:
        end_upstream(h, o, _R_BY_VENUE)


@kernel
def end_upstream(h: Header, o: Index, reason: Any) -> None:
    """An upstream order is open no longer."""
    order = orders_of(h)[o]
    if order.status == _UNKNOWN:
        accounts_of(h)[order.account].unknown -= 1
    h[at.UPSTREAM_LIVE] -= 1
    announce_cancel(h, o, reason, 0, 0)
    move(h, order.position, order.side, order.remaining, order.fixed, 0, 0, 0)
    forget(h, o)


@kernel
def executed(h: Header, command: Any) -> None:
    """An EXECUTED command: a fill at the venue, whose account is the other side; then its owner's margin call."""
    o = _upstream_order(h, command, -1)
    if o < 0:
        return
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    price, quantity, fee = command.price, command.quantity, command.amount
    if not _execution_passes(h, command, o):
        refuse_denied(h, command)
        return
    venue = np.int64(ins.upstream)
    other = _position_for(h, venue, np.int64(order.instrument))
    better = ar.improvement(ins, order.side, quantity, order.price, price)
    posting = posting_of(ins, order, quantity, better)
    account, side, instrument = order.account, order.side, order.instrument
    settle_fill(h, o, quantity, price, posting, fee, venue, TAKER, 0)
    follow_fill(h, o, quantity)
    if order.remaining == 0:
        if order.status == _UNKNOWN:
            accounts_of(h)[account].unknown -= 1
        h[at.UPSTREAM_LIVE] -= 1
        forget(h, o)
    _trade_of(h, other, -side * quantity, -posting)
    reach(h, np.int64(instrument), _LAST, price)
    h[at.CALL], h[at.PENDING] = account, at.CALL_ONE


@kernel
def _execution_passes(h: Header, command: Any, o: Index) -> bool:
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    if command.quantity < 1 or command.quantity > order.remaining:
        return deny(h, _R_QUANTITY, command.quantity, order.remaining)
    outside = command.price < ins.price_min or command.price > ins.price_max
    if outside or order.side * (command.price - order.price) > 0:
        return deny(h, _R_BAND, command.price, order.price)
    return (
        _fee_passes(h, command.amount)
        and _position_passes(h, np.int64(ins.upstream), np.int64(order.instrument), -order.side * command.quantity)
        and _balances_pass(h, np.int64(order.account), np.int64(order.instrument), command.amount)
    )


@kernel
def _fee_passes(h: Header, fee: Any) -> bool:
    if abs(fee) > _FEE_MAX or fee == _NARROWEST:
        return deny(h, _R_AMOUNT, fee, _FEE_MAX)
    return True


@kernel
def _position_passes(h: Header, account: Index, instrument: Index, change: Any) -> bool:
    """Whether an account's position after `change` lots more, open orders included, stays in bounds."""
    total, p = abs(change), find_position(h, account, instrument)
    if p >= 0:
        pos = positions_of(h)[p]
        total = abs(pos.quantity + change) + pos.open_buy + pos.open_sell
    most = instruments_of(h)[instrument].position_bound
    return total <= most or deny(h, _R_BOUND, total, most)


@kernel
def _balances_pass(h: Header, account: Index, instrument: Index, fee: Any) -> bool:
    ins, balances = instruments_of(h)[instrument], balances_of(h)
    balance = balances[account * _C + ins.currency] - fee
    if abs(balance) <= bounds.DEPOSITS_MAX:
        balance = balances[ins.upstream * _C + ins.currency] + fee
    return abs(balance) <= bounds.DEPOSITS_MAX or deny(h, _R_BALANCE, balance, bounds.DEPOSITS_MAX)


@kernel
def _position_for(h: Header, account: Index, instrument: Index) -> Index:
    """The account's position there, made empty if there is none."""
    p = find_position(h, account, instrument)
    if p < 0:
        p = new_position(h, account, instrument)
        add_holder(h, p)
    return p


@kernel
def _trade_of(h: Header, p: Index, lots: Any, atoms: Any) -> None:
    """Lots and session cash that a trade elsewhere brings an account that has no order in it here."""
    positions_of(h)[p].cash += atoms
    move(h, p, 1, 0, 0, 0, 0, lots)
    refresh_gain(h, p)


@kernel
def booked(h: Header, command: Any) -> None:
    """A BOOKED command: a trade made elsewhere, or money moved there; then its account's margin call."""
    if not client_passes(h, command) or not instrument_passes(h, command) or not _booking_passes(h, command):
        refuse_denied(h, command)
        return
    ins = instruments_of(h)[command.instrument]
    account, instrument, venue = np.int64(command.account), np.int64(command.instrument), np.int64(ins.upstream)
    currency, fee = ins.currency, command.amount
    if command.quantity > 0:
        posting = ar.posting_at_limit(ins, np.int64(command.side), command.quantity, command.price)
        if not _cash_passes(h, account, instrument, posting) or not _cash_passes(h, venue, instrument, -posting):
            refuse_denied(h, command)
            return
        lots = command.side * command.quantity
        _trade_of(h, _position_for(h, account, instrument), lots, posting)
        _trade_of(h, _position_for(h, venue, instrument), -lots, -posting)
        add_cash(h, account, currency, -fee)
        emit(
            h, _FILL, 0, command.side, TAKER, currency, account, instrument, h[at.SEQ], command.price,
            command.quantity, posting, fee,
        )  # fmt: skip
    else:
        p = find_position(h, account, instrument)
        post(h, account, currency, -fee, _R_BOOKED, instrument, positions_of(h)[p].quantity if p >= 0 else 0)
    add_cash(h, venue, currency, fee)
    h[at.CALL], h[at.PENDING] = account, at.CALL_ONE


@kernel
def _booking_passes(h: Header, command: Any) -> bool:
    """Whether a booking is in form and in the bounds of arithmetic, its session cash apart."""
    account, instrument = np.int64(command.account), np.int64(command.instrument)
    ins, quantity = instruments_of(h)[instrument], command.quantity
    if ins.upstream == 0:
        return deny(h, _R_HERE, instrument, 0)
    if ins.expired != 0:
        return deny(h, _R_EXPIRED, ins.expiry, h[at.CLOCK])
    if quantity < 0 or quantity > ins.quantity_max:
        return deny(h, _R_QUANTITY, quantity, ins.quantity_max)
    if abs(np.int64(command.side)) != (1 if quantity > 0 else 0):
        return deny(h, _R_SIDE, command.side, command.tif)
    if quantity == 0 and command.price != 0:
        return deny(h, _R_BAND, command.price, 0)
    if quantity > 0 and not band_passes(h, ins, command.price):
        return False
    if not _fee_passes(h, command.amount):
        return False
    if quantity > 0:
        lots = command.side * quantity
        if not _position_passes(h, account, instrument, lots):
            return False
        if not _position_passes(h, np.int64(ins.upstream), instrument, -lots):
            return False
    return _balances_pass(h, account, instrument, command.amount)


@kernel
def _cash_passes(h: Header, account: Index, instrument: Index, atoms: Any) -> bool:
    """Whether an account's session cash stays in bounds with so many atoms more."""
    p = find_position(h, account, instrument)
    cash = atoms + (positions_of(h)[p].cash if p >= 0 else 0)
    return abs(cash) <= _CASH_MAX or deny(h, _R_BALANCE, cash, _CASH_MAX)


@kernel
def amended(h: Header, command: Any) -> None:
    """An AMENDED command: the venue's terms of an order there; then its account's margin call."""
    o = _upstream_order(h, command, -1)
    if o < 0:
        return
    if not _amendment_passes(h, command, o):
        refuse_denied(h, command)
        return
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    before, fixed = order.remaining, order.fixed
    order.price, order.remaining = command.price, command.quantity
    todays_rates(h, o)
    count_anew(h, o)
    order.fixed = order_fixed(h, ins, order.side, order.remaining, order.price, dearer(order))
    move(h, order.position, order.side, before, fixed, order.remaining, order.fixed, 0)
    tell(h, _EDITED, o, 0, requirement(h, order.account), equity(h, order.account))
    h[at.CALL], h[at.PENDING] = order.account, at.CALL_ONE


@kernel
def _amendment_passes(h: Header, command: Any, o: Index) -> bool:
    order = orders_of(h)[o]
    ins, pos = instruments_of(h)[order.instrument], positions_of(h)[order.position]
    if command.quantity < 1 or command.quantity > ins.quantity_max:
        return deny(h, _R_QUANTITY, command.quantity, ins.quantity_max)
    if not band_passes(h, ins, command.price):
        return False
    total = abs(pos.quantity) + pos.open_buy + pos.open_sell + command.quantity - order.remaining
    return total <= ins.position_bound or deny(h, _R_BOUND, total, ins.position_bound)
