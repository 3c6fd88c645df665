"""Theorem 1, the scenario step, the rule of proportion and the charges, proven over the integers, each with mutants.

An order of exact coins X at its limit and M at the mark is filled in part (x1, m1); x2, m2 are left. At every moment

    E now >= E at acceptance - (4 atoms at the loss rate, rounded up, and 3 value atoms) for each order with fills,

and once the order has gone, filled or cancelled, E >= E at acceptance provided that its reserve is at least that much.
"""

import itertools
import random

import integer_proofs as ip
import pytest
import z3
from integer_proofs import RATE_MAX, Quotient, ceil, floor, proven, quotients, reals, refuted

from seawall.engine import formulas
from seawall.vocabulary import bounds

SIDES = (1, -1)
ROUNDING_ATOMS = 4
ROUNDING_VALUE = 3


def parts_of_an_order(side, split):
    """Facts, and (gain, fee) in atoms of the part filled, the part left and the whole, all at the limit.

    `split` is how much the rounded-up values of the parts exceed the whole's: 0 or 1. Fees are value * rate: the
    whole's is the sum of the parts' less `split` times the rate.
    """
    known = x1, x2, m1, m2, y1, y2 = quotients("x1 x2 m1 m2 y1 y2")
    rate = Quotient(z3.RealVal(0), z3.Real("rate"), 0, 1)
    facts = [*known, rate.part >= 0, rate.part <= RATE_MAX, ceil(x1) + ceil(x2) - ceil(x1 + x2) == split]
    whole_fee = y1 + y2 - rate if split else y1 + y2
    filled = ip.gain_at_limit(side, x1, m1), ceil(y1)
    left = ip.gain_at_limit(side, x2, m2), ceil(y2)
    return facts, filled, left, (ip.gain_at_limit(side, x1 + x2, m1 + m2), ceil(whole_fee))


class TestAtomsOfAnOrder:
    """What its roundings may cost an order while it is open, in atoms; nothing once it is filled."""

    def test_values_of_positions_add(self):
        """So the changes of one position by many orders, in any order, are worth at least what each counted alone."""
        known = held, first, second = quotients("held first second")
        proven([*known], floor(held + first + second) - floor(held) >= floor(first) + floor(second))
        refuted([*known], floor(held + first + second) - floor(held) >= ceil(first) + floor(second))

    @pytest.mark.parametrize(("side", "split"), list(itertools.product(SIDES, (0, 1))))
    def test_four_atoms_cover_a_partial_fill(self, side, split):
        facts, filled, left, whole = parts_of_an_order(side, split)
        now = filled[0] - filled[1] + left[0] - left[1]
        proven(facts, now >= whole[0] - whole[1] - ROUNDING_ATOMS)
        proven(facts, z3.And(filled[0] + left[0] >= whole[0] - 2, filled[0] + left[0] <= whole[0]))
        proven(facts, z3.And(filled[1] + left[1] <= whole[1] + 2, filled[1] + left[1] >= whole[1]))

    def test_three_atoms_do_not(self):
        facts, filled, left, whole = parts_of_an_order(-1, 1)
        refuted(facts, filled[0] - filled[1] + left[0] - left[1] >= whole[0] - whole[1] - 3)

    @pytest.mark.parametrize("side", SIDES)
    def test_less_than_three_atoms_and_the_rate_after_a_cancel(self, side):
        """Against the filled share of what the gate counted: gain >= x1 - m1 - 2, fee <= x1*rate + rate + 1.

        `exact` is x1*rate; the gate's own fee for the share is at least that.
        """
        known = x1, m1, y1 = quotients("x1 m1 y1")
        exact, rate = reals("exact rate")
        facts = [*known, rate >= 0, rate <= RATE_MAX, y1.value <= exact + rate]
        share = side * (x1.value - m1.value) - exact
        cost = ip.gain_at_limit(side, x1, m1) - ceil(y1)
        proven(facts, cost > share - 3 - rate)
        proven(facts, cost > share - ROUNDING_ATOMS)
        refuted(facts, cost > share - 2)

    def test_the_reserve_covers_what_roundings_may_cost(self):
        """By the code's own formula, at random rates."""
        rng = random.Random(4)
        for rate in (1, 2**20, 2**32, *(rng.randint(1, 2**32) for _ in range(1000))):
            needed = formulas.value_of_loss(ROUNDING_ATOMS, rate) + ROUNDING_VALUE
            assert formulas.order_reserve(rate) >= needed, f"ORDER_ATOMS = {bounds.ORDER_ATOMS} is too few"


def value_cases():
    """(owned, owed) of part, rest and whole in value atoms, by the signs of the parts' gains.

    Gains of one sign or, through rounding alone, -1: `excess` is the whole's gain less the parts', `saved` the parts'
    fees less the whole's, both at most 2 as proven above. Products with the rates `g` (owned) and `d` (owed) add.
    """
    g, d, a, b, f, h = reals("g d a b f h")
    facts = [g >= 0, g <= d, a >= 0, b >= 0, f >= 0, h >= 0]
    for excess, saved in itertools.product(range(3), range(3)):
        fee, more = f + h - saved * d, excess * g
        yield facts, (a, f), (b, h), (a + b + more, fee), d
        yield facts, (0, d + f), (b, h), (b + more - g, fee), d
        yield facts, (0, d + f), (0, d + h), (0, (2 - excess) * d + fee), d
        yield facts, (0, a + f), (0, b + h), (0, a + b - excess * d + fee), d
        if not excess:
            yield facts, (0, d + f), (0, h), (0, d + fee), d


class TestValueOfAnOrder:
    """From atoms to value atoms: two conversions instead of one cost at most three value atoms more."""

    def test_equity_moves_at_least_by_the_parts(self):
        """e(a + P - N) - e(a) >= floor(P*g) - ceil(N*l), any balance a; products with a rate have the factor's sign.

        First exactly, then for the floors, floors being monotone.
        """
        ag, al, pg, pl, ng, nl = reals("ag al pg pl ng nl")
        facts = [pg >= 0, pg <= pl, ng >= 0, ng <= nl]
        for g, owed in ((ag, al), (ag + pg - ng, al + pl - nl)):
            facts.append(z3.Or(z3.And(g >= 0, g <= owed), z3.And(owed <= g, g <= 0)))
        before, after = ip.smaller(ag, al), ip.smaller(ag + pg - ng, al + pl - nl)
        exact = z3.If(al + pl - nl >= 0, ag + pg - ng, al + pl - nl) - z3.If(al >= 0, ag, al)
        proven(facts, exact >= pg - nl)
        refuted(facts, after - before >= pl - ng)
        known = worth, owned, owed = quotients("worth owned owed")
        proven([*known], floor(worth + owned - owed) - floor(worth) >= ip.fixed_value(owned, owed))
        refuted([*known], floor(worth + owned - owed) - floor(worth) >= ceil(owned) - floor(owed))
        more = worth.near("more")
        proven([worth, more, more.value >= worth.value], floor(more) >= floor(worth))

    def test_while_open(self):
        """A floor is more than its number less one: the parts' four roundings cost less than 4, so at most 3 units.

        The difference is a whole number above -(4d + 4), hence at least -(ceil(4d) + 3).
        """
        cases = list(value_cases())
        for facts, (owned, owed), (owned_left, owed_left), (whole_owned, whole_owed), d in cases:
            parts = (owned - 1) - (owed + 1) + (owned_left - 1) - (owed_left + 1)
            proven(facts, parts >= whole_owned - whole_owed - ROUNDING_ATOMS * d - (ROUNDING_VALUE + 1))
        answers = []
        for facts, (owned, owed), (owned_left, owed_left), (whole_owned, whole_owed), d in cases:
            exact = owned - owed + owned_left - owed_left
            answers.append(ip.ask(facts, exact >= whole_owned - whole_owed - (ROUNDING_ATOMS - 1) * d)[0])
        assert z3.sat in answers

    def test_after_a_cancel(self):
        """fixed(filled) >= share of fixed(whole) - reserve, where `lost` < 2 of the gain and < 1 + rate of the fee.

        `gain` and its products with both rates stand for x1 - m1, the exact gain of the filled share; the share of
        fixed(whole) is at most its value less the exact fee.
        """
        g, d, gain, gain_g, gain_d, lost, lost_g, lost_d, fee_d, rate_d = reals("g d gain gg gd lost lg ld fd rd")
        facts = [g >= 0, g <= d, lost >= 0, lost < 2, lost_g >= 0, lost_g <= lost_d, lost_d <= 2 * d, lost_g <= 2 * g]
        facts += [fee_d >= 0, rate_d >= 0, rate_d <= RATE_MAX * d]
        facts += [z3.If(gain >= 0, z3.And(gain_g >= 0, gain_g <= gain_d), z3.And(gain_d <= gain_g, gain_g <= 0))]
        counted_d = gain_d - lost_d
        facts += [z3.If(gain >= lost, gain_g >= lost_g, counted_d <= 0)]
        owned = z3.If(gain >= lost, gain_g - lost_g, 0)
        owed = z3.If(gain >= lost, 0, -counted_d) + fee_d + d + rate_d
        whole = z3.If(gain >= 0, gain_g, gain_d) - fee_d
        for atoms, decide in ((ROUNDING_ATOMS, proven), (2, refuted)):
            decide(facts, (owned - 1) - (owed + 1) >= whole - atoms * d - ROUNDING_VALUE)


class TestScenarioStep:
    """V + W in one scenario over a partial fill: never lower by more than the order's reserve."""

    def step(self, reserve):
        """Facts and V + W + e after less before.

        `whole` is the effect at acceptance, `rise` of the whole order's lots, `share` the filled share of both: it has
        their sum's sign and is no larger.
        """
        whole, filled, left, rise, rise_filled, share = reals("whole filled left rise rise_filled share")
        both = whole + rise
        facts = [z3.Or(z3.And(share >= 0, share <= both), z3.And(both <= share, share <= 0))]
        facts += [filled + left >= whole - reserve, filled + rise_filled >= share - reserve, reserve >= 0]
        before = ip.smaller(0, both)
        return facts, filled + rise_filled, ip.smaller(0, left + rise - rise_filled), before

    def test_a_fill_costs_at_most_the_reserve(self):
        reserve = z3.Real("reserve")
        facts, position, order, before = self.step(reserve)
        proven(facts, position + order - before >= -reserve)
        proven(facts, position - before >= -reserve)  # cancelled afterwards
        refuted(facts, position + order - before >= 0)

    def test_mutant_that_counts_gains_of_open_orders(self):
        """Without min(0, .) an order that gains in a scenario would cover for others, and then be cancelled."""
        reserve = z3.Real("reserve")
        facts, position, _, _ = self.step(reserve)
        whole, rise = reals("whole rise")
        refuted(facts, position - (whole + rise) >= -reserve)

    def test_the_worst_subset_is_the_sum_of_the_minima(self):
        effects = reals("a b c")
        chosen = [z3.Bool(f"chosen_{n}") for n in range(3)]
        subset = sum(z3.If(pick, effect, 0) for pick, effect in zip(chosen, effects, strict=True))
        proven([], subset >= sum(ip.smaller(0, effect) for effect in effects))
        refuted([], subset >= ip.smaller(0, sum(effects)))


class TestRuleOfProportion:
    """An account below: equity may be spent on reducing in proportion only; tau = 1/8."""

    def accepted(self):
        e, after, r, reduced = reals("e after r reduced")
        facts = [r >= 0, reduced >= 0, ip.spends_in_proportion(e, after, r, reduced)]
        return facts, e, after, r, reduced

    def test_bad_debt_never_grows_faster_than_the_requirement_falls(self):
        """e - tau*R never falls once it is below zero, nor below zero from above, whatever the number of orders.

        From e0 >= 0 at R0 equity therefore never falls below -tau*R0.
        """
        facts, e, after, r, reduced = self.accepted()
        debt = z3.Real("debt")
        proven([*facts, debt >= 0, 8 * e - r >= -debt, r > 0], 8 * after - reduced >= -debt)
        proven([*facts, r == 0], after >= e)

    def test_equity_stays_in_proportion_while_there_is_enough(self):
        facts, e, after, r, reduced = self.accepted()
        proven([*facts, 8 * e >= r, r > 0], after * r >= e * reduced)
        proven([*facts, 8 * e >= r, r > 0], after >= 0)

    def test_from_negative_equity_the_debt_may_grow_to_two_tau(self):
        """The growth is what tau bounds, not the level: from e = -R/8 one close may end at -R/4."""
        facts, e, after, r, _ = self.accepted()
        proven([*facts, 8 * e >= -r], 8 * after >= -2 * r)
        refuted([*facts, 8 * e >= -r], 8 * after >= -r)
        assert formulas.spends_in_proportion(-100, -200, 800, 0)
        assert not formulas.spends_in_proportion(-100, -201, 800, 0)

    def test_the_whole_quantity_covers_every_partial_fill(self):
        """e is concave and R convex in what is filled: e(t) >= (1-t)e + t*after, R(t) <= (1-t)R + t*reduced."""
        facts, e, after, r, reduced = self.accepted()
        t, spent, saved = reals("t spent saved")
        budget = ip.larger(8 * e, r)
        partial = [t >= 0, t <= 1, spent <= t * (e - after), saved >= t * (r - reduced)]
        lemma = t * (8 * (e - after) * r) <= t * (budget * (r - reduced))
        proven([*facts, t >= 0], lemma)
        proven([*facts, *partial, lemma, r > 0, budget > 0], 8 * spent * r <= budget * saved)
        refuted([*facts, *partial, r > 0], 8 * (e - after) * r <= budget * saved)

    def test_mutants(self):
        e, after, r, reduced = reals("e after r reduced")
        facts = [r > 0, reduced >= 0, reduced <= r]
        excess_only = after - reduced >= e - r  # "may not worsen E"
        refuted([*facts, excess_only], 8 * after - reduced >= ip.smaller(0, 8 * e - r))
        unbounded = (e - after) * r <= ip.larger(e, 0) * (r - reduced)
        proven([*facts, unbounded, e < 0], after >= e)  # safe, but would forbid every close with a fee
        no_floor = 8 * (e - after) * r <= ip.larger(8 * e, -8 * e) * (r - reduced)
        refuted([*facts, no_floor, e >= -r], 8 * after - reduced >= ip.smaller(0, 8 * e - r))


class TestCharges:
    """The worst side of a convex charge never rises under a fill."""

    def test_a_line_is_largest_at_an_end(self):
        """rate * exposure is monotone, so a point's lies between its interval's ends; rounding up keeps the order."""
        at = Quotient.fresh("at")
        end = at.near("end")
        proven([at, end, end.value >= at.value], ceil(end) >= ceil(at))
        refuted([at, end, end.value >= at.value], floor(end) >= ceil(at))
        point, low, high, intercept = reals("point low high intercept")

        def line(x):
            return ip.larger(0, intercept + x)

        between = z3.Or(z3.And(low <= point, point <= high), z3.And(high <= point, point <= low))
        proven([between], line(point) <= ip.larger(line(low), line(high)))
        refuted([between], line(point) <= line(high))

    def test_intervals_shrink(self):
        net, up, down, lots, more = z3.Ints("net up down lots more")
        fill = [up >= 0, down >= 0, lots >= 0, lots <= up]
        inside = z3.And(net + lots + (up - lots) <= net + up, net + lots - down >= net - down)
        proven(fill, inside)
        refuted(fill, z3.And(net + lots + up <= net + up))
        proven([*fill, more >= 0], net - more >= net - (down + more))

    def test_gross_exposure_never_rises(self):
        held, buys, sells, lots = z3.Ints("held buys sells lots")

        def gross(position, bought, sold):
            return ip.larger(z3.Abs(position + bought), z3.Abs(position - sold))

        fill = [buys >= lots, sells >= 0, lots >= 0]
        proven(fill, gross(held + lots, buys - lots, sells) <= gross(held, buys, sells))
        refuted(fill, gross(held + lots, buys, sells) <= gross(held, buys, sells))
