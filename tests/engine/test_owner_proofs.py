"""Rules 4 proven over the integers: capped gains in V, and charges and caps over an owner's accounts.

Each with a mutant that must be refuted. `test_order_proofs` holds what was proven before and is used here: that the
parts of an order are worth at least the whole less its reserve.
"""

import integer_proofs as ip
import pytest
import z3
from integer_proofs import Quotient, ceil, floor, proven, quotients, reals, refuted, smaller, wholes


class TestCappedGains:
    """In a contract with a gain cap a position counts min(0, p u) in V, and an order its loss at the limit and that."""

    def test_a_position_counts_at_least_its_parts(self):
        """min(0, a + b) >= min(0, a) + min(0, b): a fill changes V by at least what its lots count by themselves."""
        held, lots = reals("held lots")
        proven([], smaller(0, held + lots) - smaller(0, held) >= smaller(0, lots))
        refuted([], smaller(0, held + lots) - smaller(0, held) >= lots)

    def test_inexact_shorts_are_no_exception(self):
        """p u + min(0, p) is concave and 0 at 0 as p u is."""
        held, lots, up = wholes("held lots up")

        def counted(p, pu):
            return smaller(0, pu + smaller(0, p) * up)

        held_u, lots_u = reals("held_u lots_u")
        facts = [z3.Or(up == 0, up == 1)]
        claim = counted(held + lots, held_u + lots_u) >= counted(held, held_u) + counted(lots, lots_u)
        proven(facts, claim)
        refuted([up == -1], claim)

    def step(self):
        """Facts, equity + V of what is filled, W before and after; a capped order's fixed part never counts a gain.

        `share` is what the filled lots change by in the scenario: of the whole order's sign and no larger.
        """
        whole, filled, left, rise, share, reserve = reals("whole filled left rise share reserve")
        facts = [z3.Or(z3.And(share >= 0, share <= rise), z3.And(rise <= share, share <= 0))]
        facts += [whole <= 0, left <= 0, filled + left >= whole - reserve, reserve >= 0]
        return facts, filled + smaller(0, share), whole, left, rise, share, reserve

    def test_a_fill_costs_at_most_the_reserve(self):
        facts, position, whole, left, rise, share, reserve = self.step()
        before, after = whole + smaller(0, rise), left + smaller(0, rise - share)
        proven(facts, position + after - before >= -reserve)
        proven(facts, position - before >= -reserve)  # cancelled afterwards
        refuted(facts, position + after - before >= 0)

    def test_mutant_that_nets_an_orders_loss_with_its_gain(self):
        """min(0, effect) as elsewhere: the loss at the limit would be hidden where the order gains."""
        facts, position, whole, left, rise, share, reserve = self.step()
        before, after = smaller(0, whole + rise), smaller(0, left + rise - share)
        refuted([*facts, reserve == 0], position + after - before >= -reserve)

    def test_equity_after_a_scenario_is_no_less_than_what_is_counted(self):
        """min(G + c, cap) >= min(G, cap) + min(0, c): what V counts a gain G may lose, however far beyond its cap."""
        gain, change, cap = reals("gain change cap")
        proven([cap >= 0], smaller(gain + change, cap) >= smaller(gain, cap) + smaller(0, change))
        refuted([cap >= 0], smaller(gain + change, cap) >= smaller(gain, cap) + change)


class TestOwners:
    """Accounts of an owner together against one account with all they hold."""

    @pytest.mark.parametrize("count", [2, 3, 4])
    def test_a_line_asks_the_parts_no_less_than_the_whole(self, count):
        """sum of (ceil(a x_i) - floor(B / n)) >= ceil(a sum x_i) - B, for an allowance B = -intercept >= 0.

        So each T_n's value, a maximum over lines and 0, sums to no less than T's at the sum.
        """
        parts = [Quotient.fresh(f"x{i}") for i in range(count)]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        allowance = z3.Int("allowance")
        asked = sum(ceil(part) for part in parts) - count * z3.ToReal(allowance / count)
        proven([*parts, allowance >= 0], asked >= ceil(whole) - z3.ToReal(allowance))
        mutant = sum(ceil(part) for part in parts) - count * (z3.ToReal(allowance / count) + 1)
        refuted([*parts, allowance >= 0], mutant >= ceil(whole) - z3.ToReal(allowance))

    def test_sums_of_maxima(self):
        """max(0, a) + max(0, b) >= max(0, a + b), and so for more lines and parts: what lines ask, charges ask."""
        a, b, c, d = reals("a b c d")
        proven([], ip.larger(a, c) + ip.larger(b, d) >= ip.larger(a + b, c + d))
        refuted([], ip.larger(a + b, c + d) >= ip.larger(a, c) + ip.larger(b, d))

    def test_one_that_is_not_counted_yet(self):
        """T(x + y) <= T(x) + T_0(y), T_0 without allowance: who joins may hold anything."""
        known = x, y = quotients("x y")
        allowance = z3.ToReal(z3.Int("allowance"))
        proven([*known, allowance >= 0], ceil(x) - allowance + ceil(y) >= ceil(x + y) - allowance)
        half = z3.ToReal(z3.Int("allowance") / 2)
        refuted([*known, allowance >= 0], ceil(x) - allowance + ceil(y) - half >= ceil(x + y) - allowance)

    def test_capped_gains_of_the_parts_are_no_more_than_the_wholes(self):
        a, b = reals("a b")
        cap = z3.Int("cap")
        half = z3.ToReal(cap / 2)
        proven([cap >= 0], smaller(a, half) + smaller(b, half) <= smaller(a + b, z3.ToReal(cap)))
        refuted([cap >= 0], smaller(a, z3.ToReal(cap)) + smaller(b, half) <= smaller(a + b, z3.ToReal(cap)))

    def test_equity_of_the_parts_is_no_more_than_the_wholes(self):
        """A currency's value is concave and homogeneous, and floors add up to no more than the floor of the sum."""
        ag, al, bg, bl = reals("ag al bg bl")  # amounts times the rates of what is owned and owed

        def owned_or_owed(g, owed):
            return z3.If(owed >= 0, g, owed)

        facts = [z3.Or(z3.And(g >= 0, g <= owed), z3.And(owed <= g, g <= 0)) for g, owed in ((ag, al), (bg, bl))]
        proven([*facts, z3.Or(z3.And(ag + bg >= 0, al + bl >= 0), z3.And(ag + bg <= 0, al + bl <= 0))],
               owned_or_owed(ag, al) + owned_or_owed(bg, bl) <= owned_or_owed(ag + bg, al + bl))  # fmt: skip
        known = x, y = quotients("x y")
        proven([*known], floor(x) + floor(y) <= floor(x + y))
        refuted([*known], ceil(x) + ceil(y) <= ceil(x + y))
