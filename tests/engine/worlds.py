"""Small worlds for engine tests: a catalogue, a publication and random commands, all from one seed."""

from __future__ import annotations

import random

import numpy as np

from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import (
    NO_CHARGE,
    BlockRisk,
    Charge,
    CurrencyRate,
    InstrumentRisk,
    Publication,
)
from seawall.vocabulary.records import COMMAND, Commands, Kind

USDC, BTC = 0, 1
NEVER = 0
EXPIRY = 10**15

SPECS = (
    Instrument("BTC_USDC-PERPETUAL", Product.PERPETUAL, Form.LINEAR, USDC, 0, 100, 100, 2**20, 10**6),
    Instrument("BTC-PERPETUAL", Product.PERPETUAL, Form.INVERSE, BTC, 1, 2 * 10**9, 1000, 2**20, 10**6),
    Instrument(
        "BTC-60000-C", Product.OPTION, Form.LINEAR, BTC, 1, 10**3, 1, 2**16, 10**5, EXPIRY, 600, 1, Form.INVERSE, 10**7
    ),
    Instrument(
        "BTC_USDC-60000-P", Product.OPTION, Form.LINEAR, USDC, 0, 10**4, 1, 2**16, 10**5, EXPIRY, 600, -1,
        Form.LINEAR, 10**5,
    ),
    Instrument("BTC-FUTURE", Product.FUTURE, Form.INVERSE, BTC, 1, 2 * 10**9, 1000, 2**20, 10**6, EXPIRY),
    Instrument("ELSEWHERE-PERPETUAL", Product.PERPETUAL, Form.LINEAR, USDC, 0, 100, 100, 2**20, 10**6),
    Instrument("ELSEWHERE-FUTURE", Product.FUTURE, Form.INVERSE, BTC, 1, 2 * 10**9, 1000, 2**20, 10**6, EXPIRY),
)  # fmt: skip

MARKS = (60_000, 120_000, 300, 500, 121_000, 60_000, 121_000)
UPSTREAM = (5, 6)
"""Instruments that a flow under rules 2 binds to an account upstream."""


class Script:
    """Builds a journal's worth of commands with seqs, stamps and attachments."""

    def __init__(self) -> None:
        self.seq = 0
        self.time = 10**12
        self.records: list[np.ndarray] = []
        self.attachments: list[bytes] = []

    def add(self, kind: Kind, attachment: bytes = b"", **fields: int) -> int:
        """Append one command; returns its seq."""
        self.seq += 1
        self.time += 1000
        record = np.zeros(1, COMMAND)
        record["seq"], record["time"], record["kind"] = self.seq, self.time, kind
        record["attachment"] = len(attachment)
        for name, value in fields.items():
            record[name] = value
        self.records.append(record)
        self.attachments.append(attachment)
        return self.seq

    def take(self) -> tuple[Commands, bytes]:
        """The commands added since the last take."""
        batch = np.concatenate(self.records) if self.records else np.zeros(0, COMMAND)
        attachments = b"".join(self.attachments)
        self.records, self.attachments = [], []
        return batch, attachments


def publication(
    rng: random.Random | None = None,
    *,
    marks: tuple[int, ...] = MARKS,
    scenarios: int = 7,
    skip: frozenset[int] = frozenset(),
    caps: bool = True,
    exact: bool = False,
    charges: bool = True,
) -> Publication:
    """A made-up but well-formed publication over SPECS; random numbers where `rng` is given."""
    rng = rng or random.Random(1)
    table = (
        Charge(((2**10, 0), (-(2**10), 0), (2**12, -(10**9)))),
        Charge(((2**9, 0),)),
        Charge(((2**8, 0), (-(2**8), 0))),
    )

    def pick() -> int:
        return rng.choice((NO_CHARGE, 0, 1, 2)) if charges else NO_CHARGE

    def gross() -> int:
        return rng.choice((NO_CHARGE, 1)) if charges else NO_CHARGE

    blocks = tuple(
        BlockRisk(
            block,
            scenarios,
            max(1, scenarios - 2),
            ((pick(), pick()), (gross(), gross()), (pick(), pick()), (gross(), gross())),
        )
        for block in (0, 1)
    )
    risks = []
    for number, spec in enumerate(SPECS):
        if number in skip:
            continue
        scale = lot_value(spec, marks[number])
        moves = [0, *(rng.randint(-scale // 5, scale // 5) for _ in range(scenarios - 1))]
        if spec.product != Product.OPTION:
            step = scale // 10
            moves = [
                0,
                *(step * (s // 2 + 1) * (1 if s % 2 else -1) + rng.randint(-9, 9) for s in range(scenarios - 1)),
            ]
        risks.append(
            InstrumentRisk(
                number,
                marks[number],
                tuple(moves),
                inexact=0 if exact else rng.randint(0, 1),
                weight=scale,
                delta=rng.randint(-scale, scale),
                vega=rng.randint(-scale // 50, scale // 50),
                gain_cap=rng.choice((bounds.NO_CAP, 10**8)) if caps else bounds.NO_CAP,
                charges=(pick(), pick()),
            )
        )
    coin = rng.randint(550, 650) << bounds.RATE_SHIFT
    rates = (
        CurrencyRate(USDC, (1 << bounds.RATE_SHIFT) * 99 // 100, 1 << bounds.RATE_SHIFT),
        CurrencyRate(BTC, coin * 9 // 10, coin),
    )
    return Publication(rates, blocks, tuple(risks), table)


def lot_value(spec: Instrument, mark: int) -> int:
    """About the value atoms of one lot."""
    atoms = spec.multiplier // mark if spec.form == Form.INVERSE else spec.multiplier * mark
    if spec.product == Product.OPTION:
        atoms += spec.delivery_multiplier * (spec.strike if spec.delivery_form == Form.LINEAR else 1) // 10
    return max(50, atoms * (600 if spec.currency == BTC else 1))


def opening(script: Script, accounts: int, rng: random.Random | None = None) -> Script:
    """Currencies, tiers, instruments, accounts with deposits and a first publication."""
    script.add(Kind.CURRENCY, currency=USDC, amount=6)
    script.add(Kind.CURRENCY, currency=BTC, amount=8)
    for tier, (maker, taker) in enumerate(((-100, 500), (200, 300))):
        for fee_class in (0, 1):
            script.add(Kind.TIER, tier=tier, currency=fee_class, price=maker, amount=taker)
    for number, spec in enumerate(SPECS):
        script.add(Kind.INSTRUMENT, spec.encode(), instrument=number)
    for number in range(accounts):
        script.add(Kind.ACCOUNT, account=3 + number, tier=number % 2)
        script.add(
            Kind.DEPOSIT, account=3 + number, currency=USDC, amount=(rng.randint(10**8, 10**11) if rng else 10**11)
        )
        if not rng or rng.random() < 0.8:
            script.add(
                Kind.DEPOSIT, account=3 + number, currency=BTC, amount=(rng.randint(10**6, 10**9) if rng else 10**9)
            )
    script.add(Kind.PUBLISH, publication(rng).encode(), version=1)
    return script
