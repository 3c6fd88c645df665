"""Margin state in the kernels: V, W, their maxima, exposures and charges, kept up to date by one routine, `move`.

The definitions are in the reference's `margin`. Here each account keeps sums over its blocks and positions, so that
requirement and equity cost a few additions; a change of one order or position is one pass over its block's scenarios.
"""

from typing import Any

import numpy as np
from numba import njit

from seawall.engine.kernels import arithmetic as ar
from seawall.engine.kernels import layout as at
from seawall.engine.kernels.tables import Index
from seawall.engine.kernels.views import (
    ENTRY,
    Header,
    accounts_of,
    atoms_of,
    block_charges_of,
    blocks_of,
    charges_of,
    fetch,
    instruments_of,
    kernel,
    margins_of,
    positions_of,
    rates_of,
    risk_of,
    scenarios_of,
    trailing_zeros,
    words_of,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.publication import EXPOSURES

_NO_CAP = bounds.NO_CAP
_C = at.CURRENCIES_MAX


@kernel
def order_fixed(h: Header, ins: Any, side: Any, quantity: Any, limit: Any, dearer: Any) -> Any:
    """Value atoms an order gains or loses at its limit, dearer fee paid, in every scenario alike."""
    if h[at.GATE_OFF] != 0:
        return 0
    gain = ar.gain_at_limit(ins, side, quantity, limit, ins.mark)
    fee = ar.fee_at_limit(ins, quantity, limit, dearer)
    rates = rates_of(h)
    loss_rate = rates[2 * ins.currency + 1]
    if gain <= 0:
        return -ar.value_of_loss(fee - gain, loss_rate)
    fixed = -ar.value_of_loss(fee, loss_rate)
    if ins.gain_cap == _NO_CAP:
        fixed += ar.scaled(gain, rates[2 * ins.currency])
    return fixed


@kernel
def move(h: Header, p: Index, side: Any, old: Any, old_fixed: Any, new: Any, new_fixed: Any, change: Any) -> None:
    """One order's open quantity goes from `old` to `new` and its owner's position changes by `change` lots."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    margin = margins_of(h)[pos.margin]
    before = pos.quantity
    worst = max(abs(before + pos.open_buy), abs(before - pos.open_sell))
    if side > 0:
        pos.open_buy += new - old
    else:
        pos.open_sell += new - old
    pos.quantity = before + change
    if change != 0:
        ins.open_interest += max(0, before + change) - max(0, before)
    if pos.desk >= 0:
        _sum_up(h, pos.desk, side, new - old, change)
    if pos.firm >= 0:
        _sum_up(h, pos.firm, side, new - old, change)
    if pos.owner >= 0:
        _sum_up(h, pos.owner, side, new - old, change)
    if h[at.GATE_OFF] != 0:
        return
    worst = max(abs(pos.quantity + pos.open_buy), abs(pos.quantity - pos.open_sell)) - worst
    opened = side * (new - old)
    notional = (new - old) * abs(ins.weight)
    margin.open_notional += notional
    accounts_of(h)[margin.account].open_notional += notional
    _shift_delta(margin, ins.delta, side, opened, change)
    margin.gross_delta += worst * abs(ins.delta)
    margin.net_vega += change * ins.vega
    margin.gross_vega += worst * abs(ins.vega)
    if side * ins.vega > 0:
        margin.up_vega += opened * ins.vega
    else:
        margin.down_vega -= opened * ins.vega
    scan(h, pos.margin, pos.instrument, side, old, old_fixed, new, new_fixed, before, change)
    charge_position(h, p)
    charge_block(h, pos.margin)


@kernel
def _shift_delta(margin: Any, delta: Any, side: Any, opened: Any, change: Any) -> None:
    """Net delta of a position's change, and what `opened` lots (signed) more of open orders could add or take away."""
    margin.net_delta += change * delta
    if side * delta > 0:
        margin.up_delta += opened * delta
    else:
        margin.down_delta -= opened * delta


@kernel
def _sum_up(h: Header, p: Index, side: Any, opened: Any, change: Any) -> None:
    """The same change in a group's sums: lots and net delta, which are all that its limits look at."""
    pos = positions_of(h)[p]
    if side > 0:
        pos.open_buy += opened
    else:
        pos.open_sell += opened
    pos.quantity += change
    _shift_delta(margins_of(h)[pos.margin], instruments_of(h)[pos.instrument].delta, side, side * opened, change)


@kernel
def scan(
    h: Header,
    m: Index,
    instrument: Index,
    side: Any,
    old: Any,
    old_fixed: Any,
    new: Any,
    new_fixed: Any,
    before: Any,
    change: Any,
) -> None:
    """Update V + W of one block for an order old -> new and a position before -> before + change; then the maxima.

    Only the sum is kept: nothing ever needs V or W alone, and half the memory is half the cache misses.
    """
    ins = instruments_of(h)[instrument]
    if ins.capped != 0:
        _scan_capped(h, m, instrument, side, old, old_fixed, new, new_fixed, before, change)
        return
    margin = margins_of(h)[m]
    x, u = scenarios_of(h, m), risk_of(h, instrument)
    x[0] += min(0, new_fixed) - min(0, old_fixed)
    null = -x[0]
    first = second = null
    sloped_old, sloped_new = side * old, side * new
    up = ins.inexact if side < 0 else 0
    old_fixed += sloped_old * up
    new_fixed += sloped_new * up
    after = before + change
    drift = ((after if after < 0 else 0) - (before if before < 0 else 0)) * ins.inexact
    for s in range(1, np.int64(ins.scenarios)):
        value = x[s] + change * u[s] + drift
        value += min(0, new_fixed + sloped_new * u[s]) - min(0, old_fixed + sloped_old * u[s])
        x[s] = value
        second = max(second, -value)
        first = max(first, -value if s < ins.maintenance else null)
    account = accounts_of(h)[margin.account]
    account.scenario_initial += second - margin.initial
    account.scenario_maintenance += first - margin.maintenance
    margin.initial, margin.maintenance = second, first


@kernel
def _scan_capped(
    h: Header,
    m: Index,
    instrument: Index,
    side: Any,
    old: Any,
    old_fixed: Any,
    new: Any,
    new_fixed: Any,
    before: Any,
    change: Any,
) -> None:
    """`scan` where gains are capped: what position and order gain in a scenario counts nothing."""
    add_lots(h, m, instrument, before, -1)
    add_lots(h, m, instrument, before + change, 1)
    add_effect(h, m, instrument, side * old, old_fixed, -1)
    add_effect(h, m, instrument, side * new, new_fixed, 1)
    take_maxima(h, m)


@kernel
def _most(ins: Any) -> Any:
    """Value atoms above which no change of lots counts."""
    return 0 if ins.capped != 0 else bounds.NO_LIMIT


@kernel
def add_lots(h: Header, m: Index, instrument: Index, lots: Any, sign: Any) -> None:
    """Count a position in V of its block (`sign` 1) or out (-1), the maxima apart.

    A loop without a branch, for several scenarios at a time.
    """
    ins = instruments_of(h)[instrument]
    x, u = scenarios_of(h, m), risk_of(h, instrument)
    drift, most = min(0, lots) * ins.inexact, _most(ins)
    for s in range(1, np.int64(ins.scenarios)):
        x[s] += sign * min(most, lots * u[s] + drift)


@kernel
def add_effect(h: Header, m: Index, instrument: Index, lots: Any, fixed: Any, sign: Any) -> None:
    """Count an order of `lots` (negative: sold) in W of its block or out, the maxima apart."""
    ins = instruments_of(h)[instrument]
    x, u = scenarios_of(h, m), risk_of(h, instrument)
    drift, most = min(0, lots) * ins.inexact, _most(ins)
    x[0] += sign * min(0, fixed)
    for s in range(1, np.int64(ins.scenarios)):
        x[s] += sign * min(0, fixed + min(most, lots * u[s] + drift))


@kernel
def take_maxima(h: Header, m: Index) -> None:
    """Bring a block's largest losses of both rows up to date in its account's sums."""
    margin = margins_of(h)[m]
    block, x = blocks_of(h)[margin.block], scenarios_of(h, m)
    least = x[0]
    for s in range(1, np.int64(block.maintenance)):
        least = min(least, x[s])
    first = -least
    for s in range(np.int64(block.maintenance), np.int64(block.scenarios)):
        least = min(least, x[s])
    account = accounts_of(h)[margin.account]
    account.scenario_initial += -least - margin.initial
    account.scenario_maintenance += first - margin.maintenance
    margin.initial, margin.maintenance = -least, first


@kernel
def charge_position(h: Header, p: Index) -> None:
    """Bring the charges on one position up to date in its account's sums."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    if ins.charged == 0:
        return
    lines, account = charges_of(h), accounts_of(h)[pos.account]
    low, high = ins.weight * (pos.quantity - pos.open_sell), ins.weight * (pos.quantity + pos.open_buy)
    initial = maintenance = np.int64(0)
    if ins.charged & 1:
        initial = ar.worst_charge(lines[2 * pos.instrument], low, high, account.split)
    if ins.charged & 2:
        maintenance = ar.worst_charge(lines[2 * pos.instrument + 1], low, high, account.split)
    account.charge_initial += initial - pos.charge_initial
    account.charge_maintenance += maintenance - pos.charge_maintenance
    pos.charge_initial, pos.charge_maintenance = initial, maintenance


@kernel
def charge_block(h: Header, m: Index) -> None:
    """Bring the charges on a block's net and gross exposures up to date in its account's sums."""
    margin = margins_of(h)[m]
    block = blocks_of(h)[margin.block]
    if block.charged == 0:
        return
    lines, account = block_charges_of(h), accounts_of(h)[margin.account]
    initial = maintenance = np.int64(0)
    left = np.int64(block.charged)
    while left != 0:
        charge = trailing_zeros(left)
        left &= left - 1
        low, high = _ends(margin, charge >> 1)
        asked = ar.worst_charge(lines[2 * EXPOSURES * margin.block + charge], low, high, account.split)
        if charge & 1:
            maintenance += asked
        else:
            initial += asked
    account.charge_initial += initial - margin.charge_initial
    account.charge_maintenance += maintenance - margin.charge_maintenance
    margin.charge_initial, margin.charge_maintenance = initial, maintenance


@kernel
def _ends(margin: Any, exposure: Any) -> Any:
    """Least and most of one of a block's exposures, whichever of its open orders fill."""
    if exposure & 1:
        gross = margin.gross_vega if exposure & 2 else margin.gross_delta
        return gross, gross
    if exposure & 2:
        return margin.net_vega - margin.down_vega, margin.net_vega + margin.up_vega
    return margin.net_delta - margin.down_delta, margin.net_delta + margin.up_delta


@kernel
def fetch_margin(h: Header, p: Index) -> None:
    """Prefetch the margin record and the row of scenarios of a position."""
    if p >= 0:
        m = positions_of(h)[p].margin
        fetch(h[at.A_MARGINS] + at.MARGIN_BYTES * m, 2)
        fetch(h[at.A_SCENARIOS] + 8 * h[at.STRIDE] * m, h[at.STRIDE] // 8)


@kernel
def requirement(h: Header, account: Index) -> Any:
    """Value atoms of R: the larger of the rows, order reserves included."""
    entry = accounts_of(h)[account]
    initial = entry.scenario_initial + entry.charge_initial
    maintenance = entry.scenario_maintenance + entry.charge_maintenance
    return max(initial, maintenance) + entry.reserve


@njit(**ENTRY)
def equity_of(words: Any, account: Any) -> Any:
    """`equity` for Python."""
    return equity(words_of(words), account)


@kernel
def equity(h: Header, account: Index) -> Any:
    """Value atoms of e."""
    atoms, rates = atoms_of(h), rates_of(h)
    total = 0
    for currency in range(h[at.CURRENCIES]):
        amount = atoms[account * _C + currency]
        if amount != 0:
            total += ar.currency_equity(amount, rates[2 * currency], rates[2 * currency + 1])
    return total


@kernel
def _counted_gain(h: Header, account: Index, ins: Any, cash: Any, quantity: Any) -> Any:
    """Atoms of an account's session gain that count for equity."""
    return capped(h, account, ins, cash + ar.position_value(ins, quantity, ins.mark))


@kernel
def capped(h: Header, account: Index, ins: Any, gain: Any) -> Any:
    """formulas.counted_gain of one account's gain in an instrument."""
    if ins.gain_cap == _NO_CAP:
        return gain
    return min(gain, ar.part_of(ins.gain_cap, accounts_of(h)[account].split))


@kernel
def refresh_gain(h: Header, p: Index) -> None:
    """Bring a position's counted gain up to date in its account's atoms."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    gain = _counted_gain(h, pos.account, ins, pos.cash, pos.quantity)
    atoms_of(h)[pos.account * _C + ins.currency] += gain - pos.gain
    pos.gain = gain


@kernel
def requirement_at(h: Header, p: Index, change: Any) -> Any:
    """Requirement if a position were `change` lots more; everything is left as it was."""
    move(h, p, 1, 0, 0, 0, 0, change)
    needed = requirement(h, positions_of(h)[p].account)
    move(h, p, 1, 0, 0, 0, 0, -change)
    return needed


@kernel
def leg_to_close(h: Header, account: Index) -> Any:
    """Instrument of the position whose close at the mark leaves the lowest requirement; the oldest of equals; or -1."""
    positions = positions_of(h)
    best, least = -1, 0
    p = accounts_of(h)[account].first_position
    while p >= 0:
        if positions[p].quantity != 0:
            needed = requirement_at(h, p, -positions[p].quantity)
            if best < 0 or needed < least:
                best, least = positions[p].instrument, needed
        p = positions[p].next_position
    return best


@kernel
def atoms_after(h: Header, p: Index, side: Any, quantity: Any, limit: Any, dearer: Any) -> Any:
    """Change of its owner's counted atoms if a whole order filled at `limit`, dearer fee and reserve of atoms paid."""
    pos = positions_of(h)[p]
    ins = instruments_of(h)[pos.instrument]
    cash = pos.cash + ar.posting_at_limit(ins, side, quantity, limit)
    change = _counted_gain(h, pos.account, ins, cash, pos.quantity + side * quantity) - pos.gain
    if ins.gain_cap != _NO_CAP and h[at.RULES] > 6:  # a loss out of the gain above the cap is a loss
        change = min(change, 0, ar.gain_at_limit(ins, side, quantity, limit, ins.mark))
    return change - ar.fee_at_limit(ins, quantity, limit, dearer) - bounds.ORDER_ATOMS


@kernel
def equity_after(h: Header, p: Index, side: Any, quantity: Any, limit: Any, dearer: Any) -> Any:
    """Equity once a whole order filled at `limit`, the dearer fee and its reserve of atoms paid."""
    pos = positions_of(h)[p]
    currency = instruments_of(h)[pos.instrument].currency
    change = atoms_after(h, p, side, quantity, limit, dearer)
    amount = atoms_of(h)[pos.account * _C + currency]
    gain_rate, loss_rate = rates_of(h)[2 * currency], rates_of(h)[2 * currency + 1]
    without = equity(h, pos.account) - ar.currency_equity(amount, gain_rate, loss_rate)
    return without + ar.currency_equity(amount + change, gain_rate, loss_rate)


@kernel
def equity_with(h: Header, account: Index) -> Any:
    """Equity if the atoms of each currency were those of SCRATCH more."""
    atoms, rates = atoms_of(h), rates_of(h)
    total = 0
    for currency in range(h[at.CURRENCIES]):
        amount = atoms[account * _C + currency] + h[at.SCRATCH + currency]
        total += ar.currency_equity(amount, rates[2 * currency], rates[2 * currency + 1])
    return total


@kernel
def maintenance(h: Header, account: Index) -> Any:
    """Value atoms of the maintenance row, order reserves included."""
    entry = accounts_of(h)[account]
    return entry.scenario_maintenance + entry.charge_maintenance + entry.reserve


@kernel
def limiting_price(
    h: Header, p: Index, side: Any, quantity: Any, limit: Any, dearer: Any, held: Any, before: Any, reduced: Any
) -> Any:
    """The price nearest `limit` at which the rule of proportion holds, by bisection; 0 if none does."""
    ins = instruments_of(h)[positions_of(h)[p].instrument]
    bad = limit
    good = ins.price_min if side > 0 else ins.price_max
    after = equity_after(h, p, side, quantity, good, dearer)
    if not ar.spends_in_proportion(held, after, before, reduced):
        return 0
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        after = equity_after(h, p, side, quantity, middle, dearer)
        if ar.spends_in_proportion(held, after, before, reduced):
            good = middle
        else:
            bad = middle
    return good
