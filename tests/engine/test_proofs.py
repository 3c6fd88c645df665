"""Theorems about the money formulas, proven over the integers. Each has a mutant that must be refuted.

What the proofs take for granted is said in `integer_proofs` and in each docstring; that the restatements say what the
code says is `TestRestatements`. Lengths of sequences are dealt with by induction: a proof shows one step.
"""

import random
from fractions import Fraction

import integer_proofs as ip
import pytest
import z3
from integer_proofs import ceil, floor, proven, quotients, reals, refuted

from seawall.engine import formulas
from seawall.vocabulary.instruments import Form, Instrument, Product

SIDES = (1, -1)
INVERSE = Instrument("INVERSE", Product.PERPETUAL, Form.INVERSE, 0, 0, 2 * 10**9, 1, 2**29, 1)
ROUNDING_ATOMS = 4
"""Atoms one order's roundings may cost while it is open: its posting, the mark, and two in the fee."""


class TestRestatements:
    """The restated formulas and the code give the same numbers."""

    @pytest.mark.parametrize("side", SIDES)
    def test_inverse_formulas(self, side):
        rng = random.Random(side)
        for _ in range(5_000):
            quantity, before = rng.randint(1, 10**6), rng.randint(0, 10**6)
            limit, mark, price = (rng.randint(10**4, 10**6) * 10 ** rng.randint(0, 2) for _ in range(3))
            k = INVERSE.multiplier
            x, m, p, done = (Fraction(n * k, d) for n, d in
                             ((quantity, limit), (quantity, mark), (quantity, price), (before, limit)))  # fmt: skip
            assert formulas.posting_at_limit(INVERSE, side, quantity, limit) == ip.posting_at_limit(side, x)
            assert formulas.improvement(INVERSE, side, quantity, limit, price) == ip.improvement(side, x, p)
            assert formulas.gain_at_limit(INVERSE, side, quantity, limit, mark) == ip.gain_at_limit(side, x, m)
            assert formulas.limit_value(INVERSE, quantity, limit) == ceil(x)
            posted = ip.posting_at_limit(side, done + x) - ip.posting_at_limit(side, done) + ip.improvement(side, x, p)
            assert formulas.fill_posting(INVERSE, side, before, quantity, limit, price) == posted
            held = Fraction(-before * k, mark)
            change = formulas.position_value(INVERSE, before + side * quantity, mark)
            change -= formulas.position_value(INVERSE, before, mark)
            assert change == ip.value_change(side, held, m)

    def test_fees_and_values(self):
        rng = random.Random(1)
        for _ in range(5_000):
            quantity, limit, rate = rng.randint(1, 10**6), rng.randint(10**4, 10**8), rng.randint(0, 2**14)
            value = ceil(Fraction(quantity * INVERSE.multiplier, limit))
            assert formulas.fee_at_limit(INVERSE, quantity, limit, rate) == ceil(value * Fraction(rate, 10**6))
            accrued, posted, ceiling = rng.randint(-(10**9), 10**9), rng.randint(-999, 999), rng.randint(0, 999)
            assert formulas.fill_fee(accrued, posted, ceiling) == ip.fill_fee(Fraction(accrued, 10**6), posted, ceiling)
            gain, loss, low = rng.randint(0, 10**9), rng.randint(0, 10**9), rng.randint(0, 2**32)
            owned, owed = Fraction(gain * low, 2**20), Fraction(loss * low, 2**20)
            coded = formulas.value_of_gain(gain, low) - formulas.value_of_loss(loss, low)
            assert coded == ip.fixed_value(owned, owed)
            assert formulas.currency_equity(gain, low, 2**32) == floor(owned)
            assert formulas.currency_equity(-loss, 0, low) == floor(-owed)

    def test_rule_of_proportion(self):
        rng = random.Random(2)
        for _ in range(2_000):
            size = rng.choice((3, 10, 1000))
            equity, after = rng.randint(-size, size), rng.randint(-size, size)
            needed, reduced = rng.randint(0, size), rng.randint(0, size)
            stated = z3.simplify(ip.spends_in_proportion(*(z3.IntVal(n) for n in (equity, after, needed, reduced))))
            assert formulas.spends_in_proportion(equity, after, needed, reduced) == z3.is_true(stated)


class TestFees:
    """posted <= (fee at the limit of what is filled) + (improvements so far), after every fill, whatever the rates."""

    def test_never_above_the_reserve_and_the_improvements(self):
        accrued, posted, before, after, improved, better = reals("accrued posted before after improved better")
        fee = ip.fill_fee(accrued, posted, after - before + better)
        kept = [posted <= before + improved, better >= 0]
        proven(kept, posted + fee <= after + improved + better)
        proven(kept, fee <= after - before + better)

    def test_mutant_without_the_ceiling(self):
        accrued, posted, before, after = reals("accrued posted before after")
        fee = ceil(accrued) - posted
        refuted([posted <= before], posted + fee <= after)

    def test_mutant_that_rounds_each_fill_by_itself(self):
        done, more = reals("done more")
        posted = ceil(done)
        proven([done >= 0, more >= 0], posted + (ceil(done + more) - ceil(done)) <= ceil(done + more))
        refuted([done >= 0, more >= 0], posted + ceil(more) <= ceil(done + more))


class TestPostings:
    """What inverse fills post: never less than the gate counted, never money out of nothing."""

    @pytest.mark.parametrize("side", SIDES)
    def test_a_fill_brings_what_the_gate_counted_for_its_quantity(self, side):
        """posting + change of the position's value >= gain_at_limit(q), at any earlier fills and any position."""
        known = done, x, m, p, held = quotients("done x m p held")
        posting = ip.posting_at_limit(side, done + x) - ip.posting_at_limit(side, done) + ip.improvement(side, x, p)
        claim = posting + ip.value_change(side, held, m) >= ip.gain_at_limit(side, x, m)
        proven([*known], claim)
        rounded_up = ceil(done + x) - ceil(done) if side > 0 else floor(done) - floor(done + x)
        optimistic = ceil(x) - floor(m) if side > 0 else ceil(m) - floor(x)
        refuted([*known], rounded_up + ip.value_change(side, held, m) >= optimistic)

    @pytest.mark.parametrize("side", SIDES)
    def test_no_order_receives_more_than_its_fills_are_worth(self, side):
        """So buyer and seller together never receive anything: the rounding account is never paid out.

        `exact` is the sum of q*K/price over the order's fills, `x_sum` the same at its limit. The improvements so far
        stay within the exact difference (induction), so the credit stays within `exact` and the debit above it.
        """
        x, p, x_sum, exact, improved = reals("x p x_sum exact improved")
        room = [exact - x_sum, p - x] if side > 0 else [x_sum - exact, x - p]
        kept = [x >= 0, p >= 0, x_sum >= 0, exact >= 0, improved <= room[0], room[1] >= 0]
        better = improved + ip.improvement(side, x, p)
        proven(kept, better <= room[0] + room[1])
        received = ip.posting_at_limit(side, x_sum) + improved
        proven(kept, received <= exact if side > 0 else -received >= exact)
        generous = improved + ip.larger(0, ceil(p) - floor(x) if side > 0 else ceil(x) - floor(p))
        refuted(kept, generous <= room[0] + room[1])

    def test_a_linear_trade_is_exact(self):
        """q*limit*mult at the limit and the improvement |limit - price|*q*mult add up to q*price*mult on both sides."""
        limit, price, lots = z3.Ints("limit price lots")
        cash = -lots * limit + (limit - price) * lots
        proven([price <= limit, lots > 0], cash == -lots * price)
        refuted([price <= limit, lots > 0], -lots * limit + (price - limit) * lots == -lots * price)
