"""The default fund by hand, its properties and bad inputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from seawall.risk.credit.default_fund import Member, StressedMembers
from seawall.risk.credit.default_fund import size_fund as sized
from seawall.vocabulary.errors import InputError


def size_fund(members, scenarios, **terms):
    return sized(StressedMembers(members, scenarios, **terms))


SCENARIOS = ["crash", "rally", "depeg"]
MEMBERS = [
    Member("A", 100.0, [-300.0, 50.0, -120.0]),
    Member("B", 100.0, [-250.0, 20.0, -90.0], "house"),
    Member("C", 50.0, [40.0, -400.0, -100.0], "house"),
    Member("D", 200.0, [-150.0, -190.0, 10.0]),
    Member("E", 10.0, [-60.0, -30.0, -15.0]),
]


def test_by_hand():
    """crash: A 200, house 150 + 0, E 50; rally: house 0 + 350, E 20; depeg: house 50, A 20, E 5."""
    found = size_fund(MEMBERS, SCENARIOS)
    assert found.by_scenario == {"crash": 350.0, "rally": 370.0, "depeg": 70.0}
    assert (found.size, found.scenario, found.groups) == (370.0, "rally", {"house": 350.0, "E": 20.0})
    shares = {"A": 200, "B": 150, "C": 350, "D": 0, "E": 50}
    assert found.contributions == {name: pytest.approx(-(-370 * share // 750), abs=0) for name, share in shares.items()}


def test_affiliates_fail_together_and_do_not_pay_for_each_other():
    apart = [replace(member, group="") for member in MEMBERS]
    assert size_fund(apart, SCENARIOS).size == 370.0  # rally: C 350 and E 20
    spare = [*MEMBERS, Member("F", 10_000.0, [0.0, 0.0, 0.0], "house")]
    assert size_fund(spare, SCENARIOS).size == 370.0


def test_minimum_unit_and_cover():
    found = size_fund(MEMBERS, SCENARIOS, minimum=30.0, unit=25.0)
    assert found.contributions["D"] == 50.0 and all(value % 25 == 0 for value in found.contributions.values())
    assert size_fund(MEMBERS, SCENARIOS, cover=1).size == 350.0
    safe = size_fund([Member("A", 100.0, [-99.0])], ["calm"])
    assert (safe.size, safe.groups, safe.contributions) == (0.0, {}, {"A": 0.0})


profits = st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=3)
rosters = st.lists(
    st.tuples(st.integers(0, 500).map(float), profits, st.sampled_from(["", "", "x", "y"])), min_size=1, max_size=7
).map(lambda rows: [Member(f"m{at}", *row) for at, row in enumerate(rows)])


@given(rosters, profits, st.sampled_from(["", "x", "new"]))
def test_a_member_more_never_lowers_the_fund(members, theirs, group):
    more = [*members, Member("more", 50.0, theirs, group)]
    assert size_fund(more, SCENARIOS).size >= size_fund(members, SCENARIOS).size


@given(rosters)
def test_grouping_never_lowers_and_margin_never_raises_the_fund(members):
    size = size_fund(members, SCENARIOS).size
    alone = [replace(member, group="") for member in members]
    together = [replace(member, group="one") for member in members]
    assert size_fund(alone, SCENARIOS).size <= size <= size_fund(together, SCENARIOS).size
    richer = [replace(member, margin=member.margin + 10) for member in members]
    assert size_fund(richer, SCENARIOS).size <= size


@given(rosters, st.floats(0.01, 100))
def test_the_fund_covers_any_two_groups_and_is_paid_in_full(members, unit):
    found = size_fund(members, SCENARIOS, unit=unit)
    assert sum(found.contributions.values()) >= found.size * (1 - 1e-12)
    names = [member.group or member.name for member in members]
    for at in range(3):
        lost = {}
        for name, member in zip(names, members, strict=True):
            lost[name] = lost.get(name, 0.0) + max(-member.profits[at] - member.margin, 0.0)
        assert all(lost[a] + lost[b] <= found.size for a in lost for b in lost if a != b)
    assert sum(found.groups.values()) == found.size == found.by_scenario[found.scenario]


@pytest.mark.parametrize(("field", "call"), [
    ("members", lambda: size_fund([], SCENARIOS)),
    ("scenarios", lambda: size_fund([Member("A", 1.0, [])], [])),
    ("members", lambda: size_fund([MEMBERS[0], MEMBERS[0]], SCENARIOS)),
    ("scenarios", lambda: size_fund(MEMBERS, ["a", "a", "b"])),
    ("members[0].margin", lambda: size_fund([replace(MEMBERS[0], margin=-1.0)], SCENARIOS)),
    ("members[0].profits", lambda: size_fund([replace(MEMBERS[0], profits=[1.0])], SCENARIOS)),
    ("members[0].profits[1]", lambda: size_fund([replace(MEMBERS[0], profits=[0.0, float("nan"), 0.0])], SCENARIOS)),
    ("members[1].group", lambda: size_fund([*MEMBERS, Member("house", 1.0, [0.0] * 3)], SCENARIOS)),
    ("cover", lambda: size_fund(MEMBERS, SCENARIOS, cover=0)),
    ("minimum", lambda: size_fund(MEMBERS, SCENARIOS, minimum=-1.0)),
    ("unit", lambda: size_fund(MEMBERS, SCENARIOS, unit=0.0)),
])  # fmt: skip
def test_bad_numbers_are_refused(field, call):
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
