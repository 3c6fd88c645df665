"""Every sequence of a few commands: two accounts, one contract, three prices, money for two lots each.

Each sequence has a contract and a pair of accounts of its own, so that hundreds share one engine without meeting. Both
engines give the same events, and a third, naive model of a book says which fills an accepted order must have.
`make test` goes through all sequences of five commands; the soak through all of six.
"""

import itertools

import numpy as np
import pytest
from venue import ONE
from worlds import Script

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.records import BUY, SELL, EventKind, Kind

GTC, IOC = 0, 1
ANN, BEA = 0, 1
ALPHABET = (
    (ANN, BUY, 1, 10, GTC),
    (ANN, SELL, 1, 10, GTC),
    (ANN, SELL, 2, 9, IOC),
    (BEA, BUY, 2, 11, GTC),
    (BEA, BUY, 1, 9, GTC),
    (BEA, SELL, 1, 11, GTC),
    (BEA, SELL, 2, 10, IOC),
    (ANN, "cancel"),
)
WORLDS = 512
MARK = 10
CASH = 1000


class NaiveBook:
    """Orders in a plain list; the best is looked for each time."""

    def __init__(self):
        self.orders = []

    def place(self, order_id, account, side, lots, price, tif):
        """(maker's id, price, lots) of each fill."""
        fills = []
        while lots:
            others = [o for o in self.orders if o["side"] == -side and side * (o["price"] - price) <= 0]
            if not others:
                break
            best = min(others, key=lambda o: (side * o["price"], o["id"]))
            if best["account"] == account:
                return fills
            done = min(lots, best["lots"])
            fills.append((best["id"], best["price"], done))
            lots, best["lots"] = lots - done, best["lots"] - done
            self.orders = [o for o in self.orders if o["lots"]]
        if lots and tif == GTC:
            self.orders.append({"id": order_id, "account": account, "side": side, "lots": lots, "price": price})
        return fills

    def cancel_all(self, account):
        self.orders = [o for o in self.orders if o["account"] != account]


def opening(worlds):
    """A contract, two accounts and their cash for each world."""
    script = Script()
    script.add(Kind.CURRENCY, currency=0)
    for fee_class in range(bounds.FEE_CLASSES):
        script.add(Kind.TIER, tier=0, currency=fee_class, price=-50, amount=50_000 // 10)
    spec = Instrument("SMALL", Product.PERPETUAL, Form.LINEAR, 0, 0, 100, 9, 11, 100)
    for number in range(worlds):
        script.add(Kind.INSTRUMENT, spec.encode(), instrument=number)
        for account in (3 + 2 * number, 4 + 2 * number):
            script.add(Kind.ACCOUNT, account=account, tier=0)
            script.add(Kind.DEPOSIT, account=account, currency=0, amount=CASH)
    risks = tuple(InstrumentRisk(number, MARK, (0, -300, 300)) for number in range(worlds))
    made = Publication((CurrencyRate(0, ONE, ONE),), (BlockRisk(0, 3, 3),), risks)
    script.add(Kind.PUBLISH, made.encode(), version=1)
    return script


def add(script, world, step):
    """One letter of the alphabet in one world; its seq."""
    account = 3 + 2 * world + step[0]
    if step[1] == "cancel":
        return script.add(Kind.CANCEL_ALL, account=account, instrument=-1)
    _, side, lots, price, tif = step
    return script.add(
        Kind.ORDER, account=account, instrument=world, side=side, quantity=lots, price=price, tif=tif
    )  # fmt: skip


def explore(sequences, kinds):
    """Fold the sequences, one world each, on both engines and compare with the naive book."""
    script = opening(len(sequences))
    wanted = {add(script, world, step): (world, step) for world, steps in enumerate(sequences) for step in steps}
    commands, attachments = script.take()
    reference, fast = Reference(), Fast()
    events = reference.step(commands, attachments)
    assert np.array_equal(events, fast.step(commands, attachments))
    assert reference.conserved() and fast.conserved()
    books = [NaiveBook() for _ in sequences]
    seen = {}
    for event in events[np.isin(events["seq"], list(wanted))]:
        seen.setdefault(int(event["seq"]), []).append(event)
    for seq, (world, step) in wanted.items():
        mine = seen.get(seq, [])
        kinds.update(EventKind(int(event["kind"])) for event in mine)
        made = [(int(e["order_id"]), int(e["price"]), int(e["quantity"])) for e in mine if e["liquidity"] == 1]
        if step[1] == "cancel":
            books[world].cancel_all(step[0])
        elif mine[0]["kind"] == EventKind.ACCEPTED:
            assert made == books[world].place(seq, *step), sequences[world]
        else:
            assert len(mine) == 1, sequences[world]
    return reference, fast


def every_sequence(length):
    kinds, chunk = set(), []
    for steps in itertools.product(ALPHABET, repeat=length):
        chunk.append(steps)
        if len(chunk) == WORLDS:
            explore(chunk, kinds)
            chunk = []
    if chunk:
        explore(chunk, kinds)
    return kinds


def test_every_sequence_of_three_commands_and_its_state():
    kinds = set()
    reference, fast = explore(list(itertools.product(ALPHABET, repeat=3)), kinds)
    assert reference.state() == fast.state()
    assert {EventKind.ACCEPTED, EventKind.REFUSED, EventKind.FILL, EventKind.CANCELLED} <= kinds


@pytest.mark.parametrize("first", range(len(ALPHABET)))
def test_every_sequence_of_five_commands(first):
    kinds = set()
    rest = list(itertools.product(ALPHABET, repeat=4))
    for at in range(0, len(rest), WORLDS):
        explore([(ALPHABET[first], *steps) for steps in rest[at : at + WORLDS]], kinds)
    assert EventKind.FILL in kinds and EventKind.REFUSED in kinds


@pytest.mark.soak
def test_every_sequence_of_six_commands():
    assert EventKind.FILL in every_sequence(6)
