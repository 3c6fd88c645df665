"""What a publication counts anew against what counting from nothing gives: the reference rebuilds, the kernel re-marks.

Random books of accounts in desks, firms and owners, with orders of both sides and stops, then publications of one
block, of two, of a currency's rate alone; charges and caps come and go. States are compared whole.
"""

import random
from dataclasses import replace

import pytest
from differential import apart
from worlds import MARKS, SPECS, Script, opening, publication

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary.publication import Publication
from seawall.vocabulary.records import FLAG_REDUCE_ONLY, RULES_FOLDED, Kind, OrderType, Role

ACCOUNTS = 12
CLIENTS = range(3, 3 + ACCOUNTS)


def part_of(made: Publication, rng: random.Random) -> Publication:
    """A whole publication, one block's part of it, or new rates alone."""
    choice = rng.randrange(4)
    if choice == 0:
        return made
    if choice == 1:
        return Publication(tuple(rng.sample(made.currencies, 1)), (), ())
    block = choice - 2
    mine = tuple(risk for risk in made.instruments if SPECS[risk.instrument].block == block)
    return replace(made, currencies=(), blocks=(made.blocks[block],), instruments=mine)


def book(seed: int) -> Script:
    """Members, positions of either sign, orders that rest and stops that wait, now and then under the rules before."""
    rng = random.Random(seed)
    script = opening(Script(), ACCOUNTS, rng)
    script.add(Kind.RULES, version=max(RULES_FOLDED) - (seed % 4 == 0))
    for role in (Role.DESK, Role.FIRM, Role.OWNER):
        script.add(Kind.ACCOUNT, account=3 + ACCOUNTS + role - Role.DESK, tier=0, type=role)
        for account in rng.sample(CLIENTS, rng.randint(2, 6)):
            script.add(Kind.MEMBER, account=account, order_id=3 + ACCOUNTS + role - Role.DESK)
    for _ in range(400):
        number, side = rng.randrange(len(SPECS)), rng.choice((-1, 1))
        away = rng.choice((-1, 0, 1, 5)) * max(1, MARKS[number] // 1000)
        order = {"price": MARKS[number] - side * away, "quantity": rng.choice((1, 20, rng.randint(1, 500)))}
        if rng.random() < 0.1:
            order |= {"type": OrderType.STOP_LIMIT, "trigger": MARKS[number] + side * 10**4, "watch": 2}
        flags = FLAG_REDUCE_ONLY if rng.random() < 0.1 else 0
        script.add(Kind.ORDER, account=rng.choice(CLIENTS), instrument=number, side=side, flags=flags, **order)
    return script


def compare(seed: int, publications: int) -> int:
    """Fold a book and its publications with both engines; how many records of margin were compared."""
    rng, script = random.Random(-seed), book(seed)
    engines, scenarios, compared = (Reference(), Fast()), 7, 0
    for version in range(2, 2 + publications):
        if version % 3 == 0:
            scenarios = rng.choice((1, 7, 35))
            made = publication(rng, marks=tuple(rng.randint(m * 9 // 10, m) for m in MARKS), scenarios=scenarios)
        else:
            made = publication(rng, marks=MARKS, scenarios=scenarios)
            made = part_of(made if version % 2 else publication(rng, scenarios=scenarios, charges=False), rng)
        script.add(Kind.PUBLISH, made.encode(), version=version)
        commands, data = script.take()
        reference, fast = (engine.step(commands, data) for engine in engines)
        assert reference.tobytes() == fast.tobytes(), f"seed {seed}, version {version}"
        states = engines[0].state(), engines[1].state()
        assert states[0] == states[1], f"seed {seed}, version {version}: {apart(*states)}"
        assert states[0]["version"] == version, f"seed {seed}: publication {version} was refused"
        compared += sum(len(account["blocks"]) for account in states[0]["accounts"])
    return compared


@pytest.mark.parametrize("seed", range(8))
def test_a_publication_counts_as_from_nothing(seed):
    assert compare(seed, 9) > 100


@pytest.mark.soak
def test_many_publications():
    for seed in range(1000, 1300):
        compare(seed, 30)
