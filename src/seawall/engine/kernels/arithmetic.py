"""`formulas` in int64. Each function names the one it repeats; the bounds that keep it in 64 bits are in `bounds`.

Products that could leave 64 bits are split: x * rate / 2^k = (x >> k) * rate + (x mod 2^k) * rate / 2^k, exactly.
"""

from typing import Any

from seawall.engine.kernels.views import kernel
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Product

INVERSE = int(Form.INVERSE)
OPTION = int(Product.OPTION)

_RATE_SHIFT = bounds.RATE_SHIFT
_RATE_MASK = (1 << bounds.RATE_SHIFT) - 1
_CHARGE_SHIFT = bounds.CHARGE_SHIFT
_CHARGE_MASK = (1 << bounds.CHARGE_SHIFT) - 1
_NARROW = 2**48  # exposures below this times a rate fit 64 bits whole
_FEE_DENOMINATOR = bounds.FEE_DENOMINATOR
_BALANCE_MAX = bounds.BALANCE_MAX
_VALUE_MAX = bounds.VALUE_MAX
_WIDEST = 2**62
_ORDER_ATOMS = bounds.ORDER_ATOMS

Number = Any
"""int64."""


@kernel
def ceil_div(numerator: Number, denominator: Number) -> Number:
    """bounds.ceil_div."""
    return -(-numerator // denominator)


@kernel
def position_value(ins: Any, quantity: Number, price: Number) -> Number:
    """formulas.position_value."""
    if ins.form == INVERSE:
        return -quantity * ins.multiplier // price
    return quantity * price * ins.multiplier


@kernel
def delivered_value(ins: Any, quantity: Number, price: Number) -> Number:
    """formulas.delivered_value; the inverse payoff is split, its factor being up to 2^48."""
    if ins.product != OPTION:
        return position_value(ins, quantity, price)
    intrinsic = max(0, ins.option_type * (price - ins.strike))
    coins = quantity * ins.delivery_multiplier
    if ins.delivery_form == INVERSE:
        return coins // price * intrinsic + coins % price * intrinsic // price
    return coins * intrinsic


@kernel
def improvement(ins: Any, side: Number, quantity: Number, limit: Number, price: Number) -> Number:
    """formulas.improvement."""
    if ins.form != INVERSE:
        return abs(limit - price) * quantity * ins.multiplier
    if limit == price:
        return 0
    coins = quantity * ins.multiplier
    if side > 0:
        return max(0, coins // price - ceil_div(coins, limit))
    return max(0, coins // limit - ceil_div(coins, price))


@kernel
def posting_at_limit(ins: Any, side: Number, filled: Number, limit: Number) -> Number:
    """formulas.posting_at_limit."""
    if ins.form != INVERSE:
        return -side * filled * limit * ins.multiplier
    coins = filled * ins.multiplier
    if side > 0:
        return coins // limit
    return -ceil_div(coins, limit)


@kernel
def limit_value(ins: Any, quantity: Number, limit: Number) -> Number:
    """formulas.limit_value."""
    if ins.form != INVERSE:
        return quantity * limit * ins.multiplier
    return ceil_div(quantity * ins.multiplier, limit)


@kernel
def fee_at_limit(ins: Any, quantity: Number, limit: Number, rate: Number) -> Number:
    """formulas.fee_at_limit."""
    return ceil_div(limit_value(ins, quantity, limit) * rate, _FEE_DENOMINATOR)


@kernel
def gain_at_limit(ins: Any, side: Number, quantity: Number, limit: Number, mark: Number) -> Number:
    """formulas.gain_at_limit."""
    if ins.form != INVERSE:
        return side * quantity * (mark - limit) * ins.multiplier
    coins = quantity * ins.multiplier
    if side > 0:
        return coins // limit - ceil_div(coins, mark)
    return coins // mark - ceil_div(coins, limit)


@kernel
def scaled(atoms: Number, rate: Number) -> Number:
    """floor(atoms * rate / 2^RATE_SHIFT) for |atoms| <= 2^50, rate <= 2^32."""
    return (atoms >> _RATE_SHIFT) * rate + ((atoms & _RATE_MASK) * rate >> _RATE_SHIFT)


@kernel
def value_of_loss(atoms: Number, rate: Number) -> Number:
    """formulas.value_of_loss."""
    return -scaled(-atoms, rate)


@kernel
def currency_equity(atoms: Number, rate_gain: Number, rate_loss: Number) -> Number:
    """formulas.currency_equity; beyond 2^50 atoms, only where the product fits."""
    rate = rate_gain if atoms >= 0 else rate_loss
    if abs(atoms) > _BALANCE_MAX and abs(atoms) >> _RATE_SHIFT > _WIDEST // max(1, rate):
        return _VALUE_MAX if atoms > 0 else -_VALUE_MAX
    return max(-_VALUE_MAX, min(_VALUE_MAX, scaled(atoms, rate)))


@kernel
def order_reserve(rate_loss: Number) -> Number:
    """formulas.order_reserve."""
    return value_of_loss(_ORDER_ATOMS, rate_loss) + _ORDER_ATOMS


@kernel
def part_of(amount: Number, split: Number) -> Number:
    """formulas.part_of."""
    if split == 1:
        return amount
    return amount // split if split > 0 else 0


@kernel
def worst_charge(charge: Any, low: Number, high: Number, split: Number) -> Number:
    """max(formulas.charge_value at `low`, at `high`), low <= high: each line is monotone, so one end decides it."""
    if split != 1 or low <= -_NARROW or high >= _NARROW:
        return _worst_charge(charge, low, high, split)
    worst, line, rate = 0, 0, charge.lines[0, 0]
    while rate != 0:
        exposure = high if rate > 0 else low
        worst = max(worst, charge.lines[line, 1] - (-rate * exposure >> _CHARGE_SHIFT))
        line += 1
        rate = charge.lines[line, 0]
    return worst


@kernel
def _worst_charge(charge: Any, low: Number, high: Number, split: Number) -> Number:
    """`worst_charge` for wide exposures and accounts that share an owner."""
    worst = 0
    line = 0
    while charge.lines[line, 0] != 0:
        rate = charge.lines[line, 0]
        exposure = high if rate > 0 else low
        asked = rate * (exposure >> _CHARGE_SHIFT) - (-rate * (exposure & _CHARGE_MASK) >> _CHARGE_SHIFT)
        worst = max(worst, asked - part_of(-charge.lines[line, 1], split))
        line += 1
    return worst


@kernel
def wide_product(left: Number, right: Number) -> Any:
    """(high, low) words of left * right for 0 <= left, right < 2^62: 31-bit halves, so that no part overflows.

    The value is high * 2^62 + low with 0 <= low < 2^62.
    """
    mask = (1 << 31) - 1
    a, b = left >> 31, left & mask
    c, d = right >> 31, right & mask
    low = b * d
    middle = (low >> 31) + (a * d & mask) + (b * c & mask)
    high = a * c + (a * d >> 31) + (b * c >> 31) + (middle >> 31)
    return high, (middle & mask) << 31 | (low & mask)


@kernel
def spends_in_proportion(equity: Number, after: Number, requirement: Number, requirement_after: Number) -> bool:
    """formulas.spends_in_proportion. With 8e < R both sides divide by R: 8(e - e') <= R - R'."""
    if requirement_after > requirement or (requirement == 0 and after < equity):
        return False
    spent, reduced = equity - after, requirement - requirement_after
    if spent <= 0:
        return True
    if equity < ceil_div(requirement, 8):
        return spent <= reduced >> 3
    left_high, left_low = wide_product(spent, requirement)
    right_high, right_low = wide_product(equity, reduced)
    return left_high < right_high or (left_high == right_high and left_low <= right_low)


@kernel
def spendable(equity: Number, requirement: Number, requirement_after: Number) -> Number:
    """formulas.spendable: floor(max(8e, R)(R - R') / 8R), by bisection where the product is wide."""
    reduced = requirement - requirement_after
    if equity < ceil_div(requirement, 8):
        return reduced >> 3
    high, low = wide_product(equity, reduced)
    least, most = 0, equity  # e < R, so the quotient is at most R - R' and at most e
    while least < most:
        middle = least + (most - least + 1) // 2
        left_high, left_low = wide_product(middle, requirement)
        if left_high < high or (left_high == high and left_low <= low):
            least = middle
        else:
            most = middle - 1
    return least
