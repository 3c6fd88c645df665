"""Restating `formulas` for a solver, and what it means to prove or refute a claim.

Over the integers a quotient such as q*K/limit makes every question nonlinear. The restatement replaces each exact
quotient by a real number x and keeps its floors and ceilings: q*K/limit = x, whence floor(x) and ceil(x) are what the
code computes. Two facts about the quotients of one order are kept: they add over its parts, and at one price every
part has the same sign of gain. A claim proven for all reals holds for the quotients the code forms; a refutation
may use numbers no order has, so counterexamples that matter are repeated on the engines.

Products with a rate are reals of their own: the product of a sum is the sum of the products, and a product has the
sign of its factor. `test_proofs` evaluates each restatement and the code on the same random numbers.
"""

from __future__ import annotations

from typing import Any

import z3

TIME_LIMIT = 20_000
"""Milliseconds for one question; an answer that takes longer is no answer, and fails."""

RATE_MAX = z3.RealVal("16384/1000000")


class Quotient:
    """A real as whole + part, 0 <= part < 1 when fresh; sums keep the bounds of their part, so floors are cases.

    Solvers are slow to see that floor(x + y) is floor(x) + floor(y) or one more; written so, it is two cases.
    """

    def __init__(self, whole: Any, part: Any, low: int, high: int) -> None:
        self.whole, self.part, self.low, self.high = whole, part, low, high

    @classmethod
    def fresh(cls, name: str) -> Quotient:
        """An unknown; `facts` must be among the assumptions."""
        return cls(z3.ToReal(z3.Int(f"{name}_whole")), z3.Real(f"{name}_part"), 0, 1)

    def near(self, name: str) -> Quotient:
        """Another unknown, its whole counted from this one's: solvers search differences, not two far numbers."""
        return Quotient(self.whole + z3.ToReal(z3.Int(f"{name}_whole")), z3.Real(f"{name}_part"), 0, 1)

    @property
    def facts(self) -> Any:
        """What makes the part a part."""
        return z3.And(self.part >= 0, self.part < 1)

    @property
    def value(self) -> Any:
        """The real itself."""
        return self.whole + self.part

    def __add__(self, other: Quotient) -> Quotient:
        return Quotient(self.whole + other.whole, self.part + other.part, self.low + other.low, self.high + other.high)

    def __neg__(self) -> Quotient:
        return Quotient(-self.whole, -self.part, -self.high, -self.low)

    def __sub__(self, other: Quotient) -> Quotient:
        return self + -other

    def __rmul__(self, sign: int) -> Quotient:
        return self if sign > 0 else -self

    def __floor__(self) -> Any:
        steps = [z3.If(self.part >= k, 1.0, 0.0) for k in range(self.low + 1, self.high + 1)]
        return self.whole + self.low + sum(steps)


def quotients(names: str) -> list[Quotient]:
    """Unknown quotients."""
    return [Quotient.fresh(name) for name in names.split()]


def floor(x: Any) -> Any:
    """Greatest integer not above a number."""
    return z3.ToReal(z3.ToInt(x)) if z3.is_expr(x) else x.__floor__()


def ceil(x: Any) -> Any:
    """Least integer not below a real."""
    return -floor(-x)


def larger(a: Any, b: Any) -> Any:
    """The larger of two."""
    return z3.If(a >= b, a, b) if z3.is_expr(a) or z3.is_expr(b) else max(a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two."""
    return -larger(-a, -b)


def reals(names: str) -> list[Any]:
    """Real unknowns."""
    return [z3.Real(name) for name in names.split()]


def wholes(names: str) -> list[Any]:
    """Unknowns that are whole numbers, as reals so that they mix with quotients."""
    return [z3.ToReal(z3.Int(name)) for name in names.split()]


def ask(assumptions: list[Any], claim: Any) -> tuple[Any, Any]:
    """(unsat, None) if the claim follows, (sat, counterexample) if it does not, (unknown, None) if nobody knows."""
    solver = z3.Solver()
    solver.set("timeout", TIME_LIMIT)
    solver.add(*(fact.facts if isinstance(fact, Quotient) else fact for fact in assumptions), z3.Not(claim))
    answer = solver.check()
    return answer, solver.model() if answer == z3.sat else None


def proven(assumptions: list[Any], claim: Any) -> None:
    """Assert that the claim follows. A time-out is inconclusive, hence a failure."""
    answer, counterexample = ask(assumptions, claim)
    assert answer == z3.unsat, f"{answer}: {counterexample}"


def refuted(assumptions: list[Any], claim: Any) -> None:
    """Assert that the claim has a counterexample. A time-out is a failure too."""
    answer, _ = ask(assumptions, claim)
    assert answer == z3.sat, f"{answer}: expected a counterexample"


# -- restatements: their arguments are the exact quotients of what `formulas` takes ------------------------------------


def posting_at_limit(side: int, x: Any) -> Any:
    """formulas.posting_at_limit, INVERSE; x = filled*K/limit."""
    return floor(x) if side > 0 else -ceil(x)


def improvement(side: int, x: Any, p: Any) -> Any:
    """formulas.improvement, INVERSE; x = q*K/limit, p = q*K/price."""
    return larger(0, floor(p) - ceil(x)) if side > 0 else larger(0, floor(x) - ceil(p))


def gain_at_limit(side: int, x: Any, m: Any) -> Any:
    """formulas.gain_at_limit, INVERSE; x = q*K/limit, m = q*K/mark."""
    return floor(x) - ceil(m) if side > 0 else floor(m) - ceil(x)


def value_change(side: int, held: Any, m: Any) -> Any:
    """Change of formulas.position_value, INVERSE, when `held` = -position*K/mark and q more are bought or sold."""
    return floor(held - side * m) - floor(held)


def fill_fee(accrued: Any, posted: Any, ceiling: Any) -> Any:
    """formulas.fill_fee; `accrued` already divided by the denominator."""
    return smaller(ceil(accrued) - posted, ceiling)


def fixed_value(gain_owned: Any, loss_and_fee_owed: Any) -> Any:
    """The part of margin.order_effect alike in every scenario: gains and losses already times their rates."""
    return floor(gain_owned) - ceil(loss_and_fee_owed)


def spends_in_proportion(equity: Any, equity_after: Any, requirement: Any, requirement_after: Any) -> Any:
    """formulas.spends_in_proportion."""
    budget = larger(8 * equity, requirement) * (requirement - requirement_after)
    within = 8 * (equity - equity_after) * requirement <= budget
    return z3.And(
        requirement_after <= requirement,
        z3.Or(requirement != 0, equity_after >= equity),
        within,
    )
