"""The requirement against brute force over every subset of an account's open orders that might be filled.

Without charges, haircuts and caps it is exact: E and its reserves are the least excess over all subsets. With them it
bounds that from above; how far above is measured.
"""

import random

import numpy as np
import pytest
from venue import ONE
from worlds import Script

from seawall.engine import formulas
from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import NO_CHARGE, BlockRisk, Charge, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.records import Kind

SPECS = tuple(Instrument(f"LINEAR-{n}", Product.PERPETUAL, Form.LINEAR, 0, 0, 100, 100, 2**16, 10**6) for n in range(4))
MARK, DEALER, FEE, ORDERS = 10_000, 3, 500, 12
ACCOUNTS = 250
RESERVE = formulas.order_reserve(ONE)
SUBSETS = {n: np.array([[k >> bit & 1 for bit in range(n)] for k in range(2**n)], np.int64) for n in range(ORDERS + 1)}
CHARGES = (Charge(((2**9, 0), (-(2**9), 0), (2**11, -(10**8)))), Charge(((2**8, 0),)))


def publish(rng, version, rich):
    """Marks near MARK; `rich` names what else there is: charges, haircuts, caps."""
    scenarios = rng.randint(2, 9)
    lot = MARK * 100

    def pick():
        return rng.choice((NO_CHARGE, 0, 1)) if "charges" in rich else NO_CHARGE

    risks = tuple(
        InstrumentRisk(
            n, MARK + (rng.randint(-300, 300) if version > 1 else 0),
            (0, *(rng.randint(-lot // 5, lot // 5) for _ in range(scenarios - 1))),
            weight=lot, delta=rng.randint(-lot, lot), vega=rng.randint(-lot // 50, lot // 50),
            gain_cap=10**6 * rng.randint(0, 3000) if "caps" in rich and rng.random() < 0.4 else bounds.NO_CAP,
            charges=(index := pick(), index),
        )
        for n in range(len(SPECS))
    )  # fmt: skip
    pairs = tuple((index := pick(), index) for _ in range(4))
    rate = CurrencyRate(0, ONE * 9 // 10 if "haircuts" in rich else ONE, ONE)
    return Publication((rate,), (BlockRisk(0, scenarios, scenarios, pairs),), risks, CHARGES)


def crowd(engine, seed, rich):
    """Accounts with positions and up to twelve open orders, then marks that moved; what each holds, and the risk."""
    rng, script = random.Random(seed), Script()
    script.add(Kind.CURRENCY, currency=0)
    for fee_class in range(bounds.FEE_CLASSES):
        script.add(Kind.TIER, tier=0, currency=fee_class, price=0, amount=FEE)
    for number, spec in enumerate(SPECS):
        script.add(Kind.INSTRUMENT, spec.encode(), instrument=number)
    for account in range(DEALER, DEALER + ACCOUNTS + 1):
        script.add(Kind.ACCOUNT, account=account, tier=0)
        script.add(Kind.DEPOSIT, account=account, currency=0, amount=2**40)
    script.add(Kind.PUBLISH, publish(rng, 1, ()).encode(), version=1)
    open_orders = {}
    for account in range(DEALER + 1, DEALER + ACCOUNTS + 1):
        for number in rng.sample(range(len(SPECS)), rng.randint(0, 3)):
            side, lots, price = rng.choice((-1, 1)), rng.randint(1, 1000), MARK + rng.randint(-5, 5)
            script.add(Kind.ORDER, account=account, instrument=number, side=side, quantity=lots, price=price)
            script.add(Kind.ORDER, account=DEALER, instrument=number, side=-side, quantity=lots, price=price, tif=1)
    script.add(Kind.CANCEL_ALL, account=-1, instrument=-1)
    for account in range(DEALER + 1, DEALER + ACCOUNTS + 1):
        mine = open_orders[account] = []
        for _ in range(rng.randint(0, ORDERS)):
            side, lots, number = rng.choice((-1, 1)), rng.randint(1, 1000), rng.randrange(len(SPECS))
            price = MARK - side * rng.randint(10, 300)
            script.add(Kind.ORDER, account=account, instrument=number, side=side, quantity=lots, price=price)
            mine.append((number, side, lots, price))
    made = publish(rng, 2, rich)
    script.add(Kind.PUBLISH, made.encode(), version=2)
    engine.step(*script.take())
    return open_orders, made


def charge(lines, exposure):
    """formulas.charge_value on an array."""
    return np.max([np.zeros_like(exposure)] + [c - (-r * exposure >> bounds.CHARGE_SHIFT) for r, c in lines], axis=0)


def least_excess(holding, orders, made):
    """The least E over all subsets of orders filled at their limits with the dearer fee, the rest cancelled."""
    count = len(SPECS)
    chosen = SUBSETS[len(orders)]
    lots = np.zeros((len(orders), count), np.int64)
    posted = np.zeros((len(orders), count), np.int64)
    fees = np.array([-(-lots_ * price * 100 * FEE // 10**6) for _, _, lots_, price in orders], np.int64)
    for row, (number, side, size, price) in enumerate(orders):
        lots[row, number], posted[row, number] = side * size, -side * size * price * 100
    held = np.array([holding["positions"].get(n, (0, 0))[0] for n in range(count)], np.int64) + chosen @ lots
    cash = np.array([holding["positions"].get(n, (0, 0))[1] for n in range(count)], np.int64) + chosen @ posted
    risks = made.instruments
    gains = cash + held * np.array([risk.mark * 100 for risk in risks])
    atoms = holding["balance"][0] - chosen @ fees + np.minimum(gains, [risk.gain_cap for risk in risks]).sum(axis=1)
    equity = np.where(atoms >= 0, atoms * made.currencies[0].rate_gain, atoms * ONE) >> bounds.RATE_SHIFT
    needed = (-(held @ np.array([risk.u for risk in risks]))).max(axis=1)
    block = made.blocks[0].charges
    for index, weights in ((0, [r.delta for r in risks]), (2, [r.vega for r in risks])):
        weights = np.array(weights)
        for offset, exposure in ((0, held @ weights), (1, np.abs(held) @ np.abs(weights))):
            if block[index + offset][0] != NO_CHARGE:
                needed = needed + charge(made.charges[block[index + offset][0]].lines, exposure)
    for n, risk in enumerate(risks):
        if risk.charges[0] != NO_CHARGE:
            needed = needed + charge(made.charges[risk.charges[0]].lines, held[:, n] * risk.weight)
    return int((equity - needed).min())


def compare(engine, seed, rich):
    """(excess without reserves, brute force, requirement) of every account that kept all its orders."""
    orders, made = crowd(engine, seed, rich)
    state = engine.state() if isinstance(engine, Reference) else None
    for account, mine in orders.items():
        holding = state["accounts"][account] if state else engine._account_state(account)
        assert len(holding["orders"]) == len(mine)
        excess = engine.margin(account)["excess"] + RESERVE * len(mine)
        yield excess, least_excess(holding, mine, made), engine.margin(account)["requirement"]


def exact(make, seeds):
    count = 0
    for seed in seeds:
        for excess, brute, _ in compare(make(), seed, ()):
            assert excess == brute, f"seed {seed}"
            count += 1
    return count


def test_exact_without_charges_haircuts_and_caps():
    assert exact(Fast, range(40)) == 40 * ACCOUNTS


def test_the_reference_is_exact_too():
    assert exact(Reference, range(100, 102)) == 2 * ACCOUNTS


@pytest.mark.soak
def test_exact_for_a_hundred_thousand_accounts():
    assert exact(Fast, range(1000, 1400)) == 100_000


SLACK = {"charges": 0.10, "haircuts": 0.01, "caps": 0.20}
"""Largest mean slack, in parts of the requirement, that each source may have in these crowds."""


@pytest.mark.parametrize("source", SLACK)
def test_slack(source):
    """Never below brute force; how far above it, on average."""
    slack = []
    for seed in range(12):
        engine = Fast() if seed else Reference()
        for excess, brute, needed in compare(engine, seed, (source,)):
            assert excess <= brute, f"seed {seed}"
            if needed:
                slack.append((brute - excess) / needed)
    most = np.quantile(slack, 0.99)
    print(f"slack of {source}: mean {np.mean(slack):.2%}, 99 of 100 below {most:.1%}, largest {max(slack):.1%}")
    assert 0 < np.mean(slack) < SLACK[source]
    assert max(slack) <= 1
