"""The gate: portfolio margin of an order, and the rule of proportion for accounts already below; `rules.gate` here."""

from typing import Any

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.book import deny, reserve_of
from seawall.engine.kernels.margin import (
    atoms_after,
    equity,
    equity_after,
    equity_with,
    leg_to_close,
    limiting_price,
    move,
    order_fixed,
    requirement,
    requirement_at,
)
from seawall.engine.kernels.tables import Index
from seawall.engine.kernels.views import Header, accounts_of, instruments_of, kernel, legs_of, orders_of
from seawall.vocabulary.reasons import Reason

_R_MARGIN, _R_OPEN_ORDER = int(Reason.MARGIN), int(Reason.BELOW_OPEN_ORDER)
_R_REQUIREMENT, _R_PRICE = int(Reason.BELOW_REQUIREMENT), int(Reason.BELOW_PRICE)


@kernel
def dearer(order: Any) -> Any:
    """The rate the gate reckons with."""
    return max(order.maker_rate, order.taker_rate, 0)


@kernel
def count_order(h: Header, o: Index) -> None:
    """Count an order in its account's margin, its reserve apart."""
    order = orders_of(h)[o]
    ins = instruments_of(h)[order.instrument]
    order.fixed = order_fixed(h, ins, order.side, order.remaining, order.price, dearer(order))
    move(h, order.position, order.side, 0, 0, order.remaining, order.fixed, 0)


@kernel
def gate(h: Header, o: Index) -> bool:
    """Count an order in its account's margin if that allows; else it is as it was. CHAIN_NEEDED and CHAIN_HELD are
    the requirement after and the equity.
    """
    order = orders_of(h)[o]
    held = equity(h, order.account)
    count_order(h, o)
    needed = requirement(h, order.account) + reserve_of(h, order.instrument)
    if held < needed and h[at.GATE_OFF] == 0 and not _gate_below(h, o, held, needed):
        return False
    h[at.CHAIN_NEEDED], h[at.CHAIN_HELD] = needed, held
    return True


@kernel
def _gate_below(h: Header, o: Index, held: Any, needed: Any) -> bool:
    """The rule for an account already below; on True the order is open in the margin, on False it is not."""
    order = orders_of(h)[o]
    p, side, quantity, limit = order.position, order.side, order.remaining, order.price
    move(h, p, side, quantity, order.fixed, 0, 0, 0)
    before = requirement(h, order.account)
    if held >= before:
        return deny(h, _R_MARGIN, needed, held)
    if accounts_of(h)[order.account].open_orders > 0:
        return deny(h, _R_OPEN_ORDER, accounts_of(h)[order.account].open_orders, 0)
    reduced = requirement_at(h, p, side * quantity)
    if reduced > before:
        deny(h, _R_REQUIREMENT, reduced, before)
        h[at.D_INSTRUMENT] = leg_to_close(h, order.account)
        return False
    after = equity_after(h, p, side, quantity, limit, dearer(order))
    if not ar.spends_in_proportion(held, after, before, reduced):
        allowed = ar.spendable(held, before, reduced) if before > 0 else 0
        limiting = limiting_price(h, p, side, quantity, limit, dearer(order), held, before, reduced)
        deny(h, _R_PRICE, held - after, allowed)
        h[at.D_PRICE] = limiting
        return False
    move(h, p, side, 0, 0, quantity, order.fixed, 0)
    return True


@kernel
def gate_package(h: Header, account: Index, legs: Any) -> bool:
    """Whether margin allows the legs of a package, in different instruments and counted already, as one.

    CHAIN_BEFORE is the requirement without them.
    """
    held, before, needed = equity(h, account), h[at.CHAIN_BEFORE], requirement(h, account)
    if held >= needed or h[at.GATE_OFF] != 0:
        return True
    if held >= before:
        return deny(h, _R_MARGIN, needed, held)
    others = accounts_of(h)[account].open_orders - legs
    if others > 0:
        return deny(h, _R_OPEN_ORDER, others, 0)
    _count_legs(h, legs, -1)
    reduces = _package_reduces(h, account, legs, held, before)
    _count_legs(h, legs, 1)
    return reduces


@kernel
def _count_legs(h: Header, legs: Any, sign: Any) -> None:
    """Count legs and their reserves out of the margin (-1) or in again."""
    for leg in range(legs):
        order = orders_of(h)[legs_of(h)[3 * leg]]
        accounts_of(h)[order.account].reserve += sign * reserve_of(h, order.instrument)
        if sign < 0:
            move(h, order.position, order.side, order.remaining, order.fixed, 0, 0, 0)
        else:
            move(h, order.position, order.side, 0, 0, order.remaining, order.fixed, 0)


@kernel
def _package_reduces(h: Header, account: Index, legs: Any, held: Any, before: Any) -> bool:
    """The rule of proportion for all legs together."""
    orders, table = orders_of(h), legs_of(h)
    for currency in range(at.CURRENCIES_MAX):
        h[at.SCRATCH + currency] = 0
    for leg in range(legs):
        order = orders[table[3 * leg]]
        p, side, quantity = order.position, order.side, order.remaining
        currency = instruments_of(h)[order.instrument].currency
        h[at.SCRATCH + currency] += atoms_after(h, p, side, quantity, order.price, dearer(order))
    after = equity_with(h, account)
    for leg in range(legs):
        order = orders[table[3 * leg]]
        move(h, order.position, 1, 0, 0, 0, 0, order.side * order.remaining)
    reduced = requirement(h, account)
    for leg in range(legs):
        order = orders[table[3 * leg]]
        move(h, order.position, 1, 0, 0, 0, 0, -order.side * order.remaining)
    if reduced > before:
        deny(h, _R_REQUIREMENT, reduced, before)
        h[at.D_INSTRUMENT] = leg_to_close(h, account)
        return False
    if not ar.spends_in_proportion(held, after, before, reduced):
        allowed = ar.spendable(held, before, reduced) if before > 0 else 0
        deny(h, _R_PRICE, held - after, allowed)
        h[at.D_PRICE] = 0
        if legs == 1:
            order = orders[table[0]]
            h[at.D_PRICE] = limiting_price(
                h, order.position, order.side, order.remaining, order.price, dearer(order), held, before, reduced
            )
        return False
    return True
