"""n accounts and a script: whatever an owner splits over accounts, they are asked no less than one account would be.

Two venues in one: account WHOLE holds what the accounts of an owner hold together, in parts drawn at random, short
parts of a long whole among them; charges have free parts and gains are capped. Also what counts when.
"""

import random

import pytest
from venue import ENGINES, ONE, Venue, open_venue, open_weighted, weighted

from seawall.engine import formulas
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import NO_CHARGE, BlockRisk, Charge, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.records import FLAG_APPROVED, RULES_FOLDED, Kind, Role

COIN = 0
WHOLE, OTHER, OWNER, FIRST = 3, 4, 5, 6
MARK = 100_000
NEWEST = max(RULES_FOLDED)
SPECS = (
    Instrument("LINEAR", Product.PERPETUAL, Form.LINEAR, COIN, 0, 1, 1000, 2**20, 10**6),
    Instrument("INVERSE", Product.PERPETUAL, Form.INVERSE, COIN, 0, 2 * 10**9, 1000, 2**20, 10**6),
    Instrument("APART", Product.PERPETUAL, Form.LINEAR, COIN, 1, 1, 1000, 2**20, 10**6),
)


def publication(rng, marks):
    """Charges of several lines with free parts, on positions and on blocks; caps; a haircut."""
    lines = [(rng.randint(1, 2**14) * rng.choice((1, 1, -1)), -rng.randint(0, 10**9)) for _ in range(5)]
    charges = (Charge(tuple(lines[:3])), Charge(tuple(lines[2:])), Charge(((rng.randint(1, 2**14), -(10**8)),)))

    def pick():
        return rng.choice((NO_CHARGE, 0, 1, 2))

    lot, scenarios = MARK * 100, rng.randint(1, 7)
    risks = tuple(
        InstrumentRisk(
            number, mark, (0, *(rng.randint(-lot // 5, lot // 5) for _ in range(scenarios - 1))),
            inexact=rng.randint(0, 1), weight=lot, delta=rng.randint(-lot, lot), vega=rng.randint(-lot, lot) // 50,
            gain_cap=rng.choice((bounds.NO_CAP, 0, rng.randint(0, 10**6))), charges=(pick(), pick()),
        )
        for number, mark in enumerate(marks)
    )  # fmt: skip
    blocks = tuple(
        BlockRisk(block, scenarios, rng.randint(1, scenarios), tuple((pick(), pick()) for _ in range(4)))
        for block in (0, 1)
    )
    return Publication((CurrencyRate(COIN, 90 * ONE, 100 * ONE),), blocks, risks, charges)


def parts_of(rng, lots, count):
    """A number of lots in parts, some perhaps of the other sign."""
    wild = rng.choice((0, 0, 50))
    parts = [rng.randint(-wild, wild) + lots // count for _ in range(count - 1)]
    return [*parts, lots - sum(parts)]


class Split:
    """One account and an owner's several that come to hold and have open the same."""

    def __init__(self, engine, seed, rules=NEWEST):
        self.rng = rng = random.Random(seed)
        self.venue = venue = Venue(engine)
        venue.do(Kind.RULES, version=rules)
        venue.do(Kind.CURRENCY, currency=COIN, amount=8)
        for fee_class in range(bounds.FEE_CLASSES):
            venue.do(Kind.TIER, tier=0, currency=fee_class, price=100, amount=300)
        for number, spec in enumerate(SPECS):
            venue.do(Kind.INSTRUMENT, spec.encode(), instrument=number)
        self.mine = range(FIRST, FIRST + rng.randint(2, 5))
        for account in (WHOLE, OTHER, OWNER, *self.mine):
            venue.do(Kind.ACCOUNT, account=account, type=Role.OWNER if account == OWNER else Role.CLIENT)
        for account in (WHOLE, OTHER):
            venue.deposit(account, 10**12, COIN)
        for account, atoms in zip(self.mine, parts_of(rng, 10**12, len(self.mine)), strict=True):
            venue.deposit(account, atoms, COIN)
        early = rng.randint(0, len(self.mine))  # the others join when the publication is out
        self.join(self.mine[:early])
        self.made = publication(rng, (MARK,) * len(SPECS))
        venue.publish(self.made)
        self.join(self.mine[early:])
        for number in range(len(SPECS)):
            self.hold(number, rng.choice((-1, 1)) * rng.randint(0, 300))
            self.leave_open(number, rng.choice((-1, 1)), rng.randint(1, 100))

    def join(self, accounts):
        for account in accounts:
            self.venue.do(Kind.MEMBER, account=account, order_id=OWNER)

    def hold(self, number, lots):
        """Positions, bought from or sold to another at the mark."""
        parts = parts_of(self.rng, lots, len(self.mine))
        for account, part in ((WHOLE, lots), *zip(self.mine, parts, strict=True)):
            if part:
                side = 1 if part > 0 else -1
                self.venue.order(OTHER, number, -side, abs(part), MARK)
                self.venue.take(account, number, side, abs(part), MARK)
        assert self.venue.held(WHOLE, number) == lots
        assert sum(self.venue.held(account, number) for account in self.mine) == lots

    def leave_open(self, number, side, lots):
        """Orders away from everybody's."""
        price = MARK - side * 1000
        share = lots // len(self.mine)
        parts = [share] * (len(self.mine) - 1)
        for account, part in ((WHOLE, lots), *zip(self.mine, [*parts, lots - sum(parts)], strict=True)):
            if part:
                self.venue.order(account, number, side, part, price)

    def move(self):
        """The next publication, at other marks."""
        self.made = publication(self.rng, [int(MARK * self.rng.uniform(0.9, 1.1)) for _ in SPECS])
        self.venue.publish(self.made)

    def gained(self):
        """(how much more the parts are asked than the whole, how much less equity they have)."""
        whole, parts = self.venue.margin(WHOLE), [self.venue.margin(account) for account in self.mine]
        asked = [sum(part[row] for part in parts) - whole[row] for row in ("initial", "maintenance", "requirement")]
        return min(asked), whole["equity"] - sum(part["equity"] for part in parts)


@pytest.mark.parametrize(("name", "seeds"), [("fast", range(150)), ("reference", range(150, 200))])
def test_splitting_gains_nothing(name, seeds):
    for seed in seeds:
        split = Split(ENGINES[name](), seed)
        for _ in range(3):
            more, less = split.gained()
            assert more >= 0, f"seed {seed}"
            assert less >= 0, f"seed {seed}"
            split.move()


def test_it_did_before():
    """Else the test above could not fail: under rules 3 an account each for a part was asked less, and kept more."""
    gained = [Split(ENGINES["fast"](), seed, rules=3).gained() for seed in range(40)]
    assert min(more for more, _ in gained) < 0
    moved = [Split(ENGINES["fast"](), seed, rules=3) for seed in range(40)]
    for split in moved:
        split.move()
    assert min(split.gained()[1] for split in moved) < 0


def splits(venue):
    return [account["split"] for account in venue.engine.state()["accounts"]]


def test_who_counts_when(engine):
    """The first that joins counts at once, others from the next publication on; groups of other kinds never."""
    venue = open_weighted(engine)
    for account, role in ((7, Role.OWNER), (8, Role.DESK), (9, Role.FIRM)):
        venue.do(Kind.ACCOUNT, account=account, type=role)
    for account, group in ((3, 7), (3, 8), (4, 8), (4, 9), (3, 9)):
        venue.do(Kind.MEMBER, account=account, order_id=group)
    assert splits(venue)[3:7] == [1, 1, 1, 1]
    venue.do(Kind.MEMBER, account=4, order_id=7)
    venue.do(Kind.MEMBER, account=5, order_id=7)
    assert splits(venue)[3:7] == [1, 0, 0, 1]
    assert [venue.engine.account_view(account)["split"] for account in (3, 4)] == [1, 0]
    venue.publish(weighted())
    assert splits(venue)[3:] == [3, 3, 3, 1, 1, 1, 1]


def test_a_new_count_holds_in_blocks_that_are_not_published(engine):
    """Accounts of one owner hold a charged contract of one block; a second joins, another block is published."""
    venue = open_weighted(engine)
    made = weighted(caps={0: 10**6}, charges=(Charge(((2**13, -60 * 10**6),)),))
    charged = [*made.instruments]
    charged[0] = InstrumentRisk(0, charged[0].mark, charged[0].u, weight=6 * 10**6, gain_cap=10**6, charges=(0, 0))
    made = Publication(made.currencies, made.blocks, tuple(charged), made.charges)
    venue.do(Kind.ACCOUNT, account=7, type=Role.OWNER)
    venue.do(Kind.MEMBER, account=3, order_id=7)
    venue.publish(made)
    venue.order(6, 0, -1, 20, 59_000)
    venue.take(3, 0, 1, 20, 60_000)
    before = venue.margin(3)
    venue.do(Kind.MEMBER, account=4, order_id=7)
    assert venue.margin(3) == before
    ether = [risk for risk in made.instruments if risk.instrument == 5]
    venue.publish(Publication((), (BlockRisk(2, 3, 3),), tuple(ether)))
    assert venue.margin(3)["requirement"] == before["requirement"] + 30 * 10**6
    assert venue.margin(3)["equity"] == before["equity"] - 10**6 // 2


def old_venue(engine, rules):
    venue = open_venue(engine, rules=rules)
    venue.do(Kind.ACCOUNT, account=7, type=Role.OWNER)
    for account in (3, 4):
        venue.do(Kind.MEMBER, account=account, order_id=7)
    return venue


@pytest.mark.parametrize("rules", [2, 3])
def test_before_rules_4_an_account_stands_alone(engine, rules):
    """And once they are adopted, until the next publication."""
    venue = old_venue(engine, rules)
    assert splits(venue)[3:6] == [1, 1, 1]
    venue.publish(weighted())
    venue.do(Kind.RULES, version=4, flags=FLAG_APPROVED)
    assert splits(venue)[3:6] == [1, 1, 1]
    venue.publish(weighted())
    assert splits(venue)[3:6] == [2, 2, 1]


def test_the_formulas_at_their_edges():
    line = ((2**14, -100), (-(2**14), -100))
    assert [formulas.charge_value(line, 150, split) for split in (1, 2, 3, 200, 0)] == [50, 100, 117, 150, 150]
    assert [formulas.charge_value(line, -150, split) for split in (1, 2)] == [50, 100]
    assert [formulas.counted_gain(60, 100, split) for split in (1, 2, 0)] == [60, 50, 0]
    assert [formulas.counted_gain(-60, 100, split) for split in (1, 2, 0)] == [-60, -60, -60]
    assert formulas.counted_gain(2**61, bounds.NO_CAP, 0) == 2**61
