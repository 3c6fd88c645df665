"""Integer formulas of money: what a fill posts, what a fee costs, what an open order may cost at worst.

Python integers, no bounds: the kernels repeat them in int64 under the bounds of `vocabulary.bounds`, and
`tests/engine/test_proofs.py` proves their theorems over the integers.

Rounding is cumulative for each order at its limit: what an order has posted after a filled quantity depends on that
quantity alone (and on price improvement), so many small fills cost what one large fill costs.
"""

from seawall.vocabulary import bounds
from seawall.vocabulary.bounds import ceil_div
from seawall.vocabulary.instruments import Form, Instrument, Product


def position_value(spec: Instrument, quantity: int, price: int) -> int:
    """Atoms a position of `quantity` lots is worth at `price` ticks, apart from its session cash."""
    if spec.form == Form.INVERSE:
        return -quantity * spec.multiplier // price
    return quantity * price * spec.multiplier


def delivered_value(spec: Instrument, quantity: int, price: int) -> int:
    """Atoms a position of `quantity` lots delivers at a delivery price of `price` ticks."""
    if spec.product != Product.OPTION:
        return position_value(spec, quantity, price)
    intrinsic = max(0, spec.option_type * (price - spec.strike))
    if spec.delivery_form == Form.INVERSE:
        return quantity * spec.delivery_multiplier * intrinsic // price
    return quantity * spec.delivery_multiplier * intrinsic


def improvement(spec: Instrument, side: int, quantity: int, limit: int, price: int) -> int:
    """Atoms (>= 0) by which a fill at `price` is surely better than at `limit`."""
    if spec.form == Form.LINEAR:
        return abs(limit - price) * quantity * spec.multiplier
    coins = quantity * spec.multiplier
    if side > 0:
        return max(0, coins // price - ceil_div(coins, limit))
    return max(0, coins // limit - ceil_div(coins, price))


def posting_at_limit(spec: Instrument, side: int, filled: int, limit: int) -> int:
    """Atoms posted to the session cash once `filled` lots of an order are done at its limit; `side` +1 or -1."""
    if spec.form == Form.LINEAR:
        return -side * filled * limit * spec.multiplier
    coins = filled * spec.multiplier
    return coins // limit if side > 0 else -ceil_div(coins, limit)


def fill_posting(spec: Instrument, side: int, before: int, quantity: int, limit: int, price: int) -> int:
    """Atoms a fill of `quantity` lots at `price` posts to an order's owner, `before` lots of it filled already."""
    at_limit = posting_at_limit(spec, side, before + quantity, limit) - posting_at_limit(spec, side, before, limit)
    return at_limit + improvement(spec, side, quantity, limit, price)


def limit_value(spec: Instrument, quantity: int, limit: int) -> int:
    """Atoms of value on which the fee of `quantity` lots at the limit is reckoned, rounded up."""
    if spec.form == Form.LINEAR:
        return quantity * limit * spec.multiplier
    return ceil_div(quantity * spec.multiplier, limit)


def fee_at_limit(spec: Instrument, quantity: int, limit: int, rate: int) -> int:
    """Atoms of fee for `quantity` lots at the limit and `rate` millionths, rounded up."""
    return ceil_div(limit_value(spec, quantity, limit) * rate, bounds.FEE_DENOMINATOR)


def fill_fee(accrued: int, posted: int, ceiling: int) -> int:
    """Atoms of fee a fill posts (negative: a rebate).

    `accrued` is the order's sum of value x own rate in millionths of atoms, this fill included; `posted` what its
    earlier fills paid; `ceiling` the dearer rate's difference at the limit plus the improvement of this fill.
    """
    return min(ceil_div(accrued, bounds.FEE_DENOMINATOR) - posted, ceiling)


def gain_at_limit(spec: Instrument, side: int, quantity: int, limit: int, mark: int) -> int:
    """Atoms gained against the mark if `quantity` lots fill at the limit, rounded down."""
    if spec.form == Form.LINEAR:
        return side * quantity * (mark - limit) * spec.multiplier
    coins = quantity * spec.multiplier
    if side > 0:
        return coins // limit - ceil_div(coins, mark)
    return coins // mark - ceil_div(coins, limit)


def value_of_gain(atoms: int, rate: int) -> int:
    """Value atoms of `atoms` >= 0 owned, rounded down."""
    return atoms * rate >> bounds.RATE_SHIFT


def value_of_loss(atoms: int, rate: int) -> int:
    """Value atoms of `atoms` >= 0 owed, rounded up."""
    return -(-atoms * rate >> bounds.RATE_SHIFT)


def currency_equity(atoms: int, rate_gain: int, rate_loss: int) -> int:
    """Value atoms of an account's equity in one currency: concave, rounded down, saturating at VALUE_MAX."""
    value = atoms * (rate_gain if atoms >= 0 else rate_loss) >> bounds.RATE_SHIFT
    return max(-bounds.VALUE_MAX, min(bounds.VALUE_MAX, value))


def order_reserve(rate_loss: int) -> int:
    """Value atoms one open order reserves: ORDER_ATOMS of its currency, and as many of value for the floors of e."""
    return value_of_loss(bounds.ORDER_ATOMS, rate_loss) + bounds.ORDER_ATOMS


def part_of(amount: int, split: int) -> int:
    """What one account has of an `amount` >= 0 that its owner's `split` accounts share, rounded down.

    With `split` 0, of an account that joined others since they were counted last: nothing.
    """
    return amount // split if split else 0


def charge_value(lines: tuple[tuple[int, int], ...], exposure: int, split: int) -> int:
    """Value atoms a charge T asks at `exposure` of one of an owner's `split` accounts: the perspective T(n x) / n.

    Of a line through (rate, intercept) it divides the intercept, an allowance. By Jensen's inequality the accounts are
    asked no less together than one account would be with all they hold; one that is not counted yet (`split` 0) is
    asked T's recession function, which T never outgrows: T(x + y) <= T(x) + T_0(y) (Rockafellar, Convex Analysis, 8).
    """
    asked = (-(-rate * exposure >> bounds.CHARGE_SHIFT) - part_of(-intercept, split) for rate, intercept in lines)
    return max(0, *asked)


def counted_gain(gain: int, cap: int, split: int) -> int:
    """Atoms of a session gain that count for equity, of one of an owner's `split` accounts."""
    return gain if cap == bounds.NO_CAP else min(gain, part_of(cap, split))


def spends_in_proportion(equity: int, equity_after: int, requirement: int, requirement_after: int) -> bool:
    """The acceptance rule for an account below: (e - e') R <= max(e, tau R) (R - R'), R' <= R.

    Where R is 0 nothing can be reduced, both sides are 0 and the inequality would let bad debt grow: there equity may
    not fall.
    """
    if requirement_after > requirement or (requirement == 0 and equity_after < equity):
        return False
    spent = bounds.TAU_INVERSE * (equity - equity_after) * requirement
    return spent <= max(bounds.TAU_INVERSE * equity, requirement) * (requirement - requirement_after)


def spendable(equity: int, requirement: int, requirement_after: int) -> int:
    """Most equity (value atoms) an order of an account below may spend, `requirement` > 0."""
    budget = max(bounds.TAU_INVERSE * equity, requirement) * (requirement - requirement_after)
    return budget // (bounds.TAU_INVERSE * requirement)
