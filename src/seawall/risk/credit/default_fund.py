"""A default fund that outlasts the default of the two largest members at once, in the worst stress scenario.

Cover 2 (CPMI-IOSCO, Principles for Financial Market Infrastructures, principle 4, key consideration 4; EMIR, Article
42): for each scenario the loss of each member beyond the margin it has posted is its shortfall. Affiliates fail
together, so their shortfalls add, and one's spare margin does not pay another's loss. The fund is the largest sum,
over scenarios, of the largest `cover` groups' shortfalls.

What it is shared by: each member's largest shortfall over the scenarios, so whoever brings the stressed loss brings the
fund; a minimum applies, and everything is rounded up, so the contributions are never less than the fund.
"""

import math
from collections import defaultdict

from msgspec import Struct

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A clearing member: `margin` posted and the profit (loss negative) in each scenario, in dollars.

    Members of one `group` are affiliates; an empty group is the member alone.
    """

    name: str
    margin: float
    profits: list[float]
    group: str = ""


class StressedMembers(Struct, frozen=True, forbid_unknown_fields=True):
    """Members under named scenarios; contributions are whole `unit`s, in dollars, and at least `minimum`."""

    members: list[Member]
    scenarios: list[str]
    cover: int = 2
    minimum: float = 0.0
    unit: float = 1.0


class DefaultFund(Struct, frozen=True):
    """The size, what decided it (scenario, groups and their shortfalls), and contributions by member."""

    size: float
    scenario: str
    groups: dict[str, float]
    by_scenario: dict[str, float]
    contributions: dict[str, float]


def size_fund(given: StressedMembers) -> DefaultFund:
    """The fund and who pays it. Of scenarios that decide alike the first is named.

    Raises InputError for no member or scenario, a name given twice, profits for another number of scenarios, or a
    number out of range.
    """
    _check(given)
    members, scenarios = given.members, given.scenarios
    needs: dict[str, float] = {}
    largest: dict[str, dict[str, float]] = {}
    for at, scenario in enumerate(scenarios):
        groups: dict[str, list[float]] = defaultdict(list)
        for member in members:
            groups[member.group or member.name].append(_shortfall(member, at))
        sums = {group: math.fsum(parts) for group, parts in groups.items()}
        chosen = sorted(sums, key=lambda group: (-sums[group], group))[: given.cover]
        largest[scenario] = {group: sums[group] for group in chosen if sums[group] > 0}
        needs[scenario] = math.fsum(sums[group] for group in chosen)
    deciding = max(needs, key=lambda name: needs[name])
    size = needs[deciding]
    weights = {member.name: max(_shortfall(member, at) for at in range(len(scenarios))) for member in members}
    total = math.fsum(weights.values())
    shares = {name: size * weight / total if total > 0 else 0.0 for name, weight in weights.items()}
    unit = given.unit
    contributions = {name: math.ceil(max(share, given.minimum) / unit) * unit for name, share in shares.items()}
    return DefaultFund(size, deciding, largest[deciding], needs, contributions)


def _shortfall(member: Member, scenario: int) -> float:
    return max(-member.profits[scenario] - member.margin, 0.0)


def _check(given: StressedMembers) -> None:
    members, scenarios = given.members, given.scenarios
    number("cover", given.cover, at_least=1)
    number("minimum", given.minimum, at_least=0.0)
    positive("unit", given.unit)
    for field, rows in (("members", [member.name for member in members]), ("scenarios", scenarios)):
        if not rows:
            raise InputError(field, rows, "must not be empty")
        if len(set(rows)) != len(rows):
            raise InputError(field, rows, "must name each once")
    alone = {member.name for member in members if not member.group}
    for at, member in enumerate(members):
        if member.group in alone:
            raise InputError(f"members[{at}].group", member.group, "must not be the name of a member without a group")
        number(f"members[{at}].margin", member.margin, at_least=0.0)
        if len(member.profits) != len(scenarios):
            raise InputError(f"members[{at}].profits", len(member.profits), f"must be {len(scenarios)}, one a scenario")
        for scenario, profit in enumerate(member.profits):
            number(f"members[{at}].profits[{scenario}]", profit)
