"""Small worlds for engine tests: a catalogue, a publication and random commands, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable

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
from seawall.vocabulary.records import COMMAND, Commands, Kind, TimeInForce, VenueState

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
)  # fmt: skip

MARKS = (60_000, 120_000, 300, 500, 121_000)


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


class RandomFlow:
    """Random commands of every kind, good and bad, around the marks."""

    def __init__(self, seed: int, accounts: int = 6) -> None:
        self.rng = random.Random(seed)
        self.script = opening(Script(), accounts, self.rng)
        self.accounts = accounts
        self.version = 1
        self.marks = list(MARKS)
        self.recent: list[int] = []
        self.expired: set[int] = set()
        self._kinds: list[tuple[float, Callable[[], None]]] = [
            (60, self._order),
            (16, self._cancel),
            (1.0, self._cancel_all),
            (1.5, self._deposit),
            (2.5, self._withdraw),
            (1.5, self._publish),
            (0.7, self._funding),
            (0.4, self._settle),
            (0.15, self._expire),
            (0.3, self._state),
            (0.3, self._catalogue),
            (0.2, self._garbage),
        ]

    def batch(self, count: int) -> tuple[Commands, bytes]:
        """The next `count` commands (the first batch opens the world besides)."""
        weights = [weight for weight, _ in self._kinds]
        for _, make in self.rng.choices(self._kinds, weights, k=count):
            make()
        return self.script.take()

    def _account(self) -> int:
        return 3 + self.rng.randrange(self.accounts) if self.rng.random() < 0.995 else self.rng.randint(-1, 99)

    def _number(self) -> int:
        return self.rng.randrange(len(SPECS)) if self.rng.random() < 0.995 else self.rng.randint(-2, 9)

    def _order(self) -> None:
        rng, number = self.rng, self._number()
        mark = self.marks[number] if 0 <= number < len(SPECS) else 100
        spread = rng.choice((3, 10, 10, 40, 400))
        price = max(0, mark + rng.randint(-spread, spread) * max(1, mark // 4000))
        if rng.random() < 0.01:
            price = rng.choice((0, 1, -5, 2**30, 2**62, mark * 10, mark // 10))
        quantity = rng.choice((1, 2, 5, 20, 100, rng.randint(1, 3000), rng.randint(1, 100_000)))
        if rng.random() < 0.005:
            quantity = rng.choice((0, -1, 2**62, 10**6 + 1))
        seq = self.script.add(
            Kind.ORDER,
            account=self._account(),
            instrument=number,
            side=rng.choice((-1, 1)) if rng.random() < 0.999 else 0,
            tif=TimeInForce.IOC if rng.random() < 0.3 else TimeInForce.GTC,
            price=price,
            quantity=quantity,
            client_id=rng.choice((0, 0, rng.randint(1, 500))),
        )
        self.recent = [*self.recent[-200:], seq]

    def _cancel(self) -> None:
        if self.recent:
            account = self._account()
            self.script.add(Kind.CANCEL, account=account, order_id=self.rng.choice(self.recent))
            for order_id in self.rng.sample(self.recent, min(3, len(self.recent))):
                self.script.add(Kind.CANCEL, account=account, order_id=order_id)

    def _cancel_all(self) -> None:
        account = -1 if self.rng.random() < 0.1 else self._account()
        instrument = -1 if self.rng.random() < 0.4 else self._number()
        self.script.add(Kind.CANCEL_ALL, account=account, instrument=instrument)

    def _deposit(self) -> None:
        amount = self.rng.choice((1, 10**6, 10**9, 0, -1, 2**50, self.rng.randint(1, 10**9)))
        self.script.add(Kind.DEPOSIT, account=self._account(), currency=self.rng.choice((0, 1, 1, 0, 2)), amount=amount)

    def _withdraw(self) -> None:
        amount = int(10 ** self.rng.uniform(0, 12))
        self.script.add(Kind.WITHDRAW, account=self._account(), currency=self.rng.choice((0, 1)), amount=amount)

    def _publish(self) -> None:
        move = self.rng.choice((0.001, 0.01, 0.01, 0.1))
        factor = 1 + self.rng.uniform(-move, move)
        self.marks = [max(20, int(mark * factor)) for mark in self.marks]
        self.marks = [min(max(mark, MARKS[n] // 2), MARKS[n] * 2) for n, mark in enumerate(self.marks)]
        made = publication(
            self.rng, marks=tuple(self.marks), scenarios=self.rng.choice((1, 7, 7, 35)), skip=frozenset(self.expired)
        )
        data = made.encode()
        version = self.version + 1
        if self.rng.random() < 0.05:
            data = data[: self.rng.randrange(0, len(data), 8)]
        elif self.rng.random() < 0.05:
            version += 1
        else:
            self.version += 1
        self.script.add(Kind.PUBLISH, data, version=version)

    def _funding(self) -> None:
        rate = self.rng.choice((1, -1)) * int(10 ** self.rng.uniform(3, 10))
        self.script.add(Kind.FUNDING, instrument=self.rng.choice((0, 1, 2)), amount=rate)

    def _settle(self) -> None:
        self.script.add(Kind.SETTLE, instrument=self._number())

    def _expire(self) -> None:
        number = self.rng.choice((0, 2, 3, 4))
        if self.rng.random() < 0.2 and number not in (0, *self.expired):
            self.script.time = max(self.script.time, EXPIRY)
        price = int(self.rng.choice((600, 121_000)) * self.rng.uniform(0.5, 1.5)) if self.rng.random() < 0.9 else 0
        self.script.add(Kind.EXPIRE, instrument=number, price=price)
        deliverable = SPECS[number].product != Product.PERPETUAL and SPECS[number].deliverable(price)
        if self.script.time >= EXPIRY and deliverable:
            self.expired.add(number)

    def _state(self) -> None:
        state = self.rng.choice((VenueState.OPEN, VenueState.OPEN, VenueState.REDUCE_ONLY, VenueState.HALTED, 3))
        self.script.add(Kind.STATE, state=state, flags=self.rng.choice((0, 1, 1, 2)))
        if self.rng.random() < 0.8:
            self.script.add(Kind.STATE, state=VenueState.OPEN, flags=1)

    def _catalogue(self) -> None:
        choice = self.rng.randrange(5)
        if choice == 0:
            self.script.add(
                Kind.TIER, tier=0, currency=0, price=self.rng.randint(-200, 200), amount=self.rng.randint(0, 600)
            )
        elif choice == 1:
            self.script.add(Kind.OPENED, flags=self.rng.choice((0, 0, 1)))
            self.script.add(Kind.STATE, state=VenueState.OPEN, flags=1)
        elif choice == 2:
            self.script.add(Kind.INSTRUMENT, SPECS[0].encode()[: self.rng.choice((10, 200))], instrument=len(SPECS))
        elif choice == 3:
            self.script.add(Kind.ACCOUNT, account=self.rng.randint(0, 20), tier=7)
        else:
            self.script.add(Kind.TIME)

    def _garbage(self) -> None:
        record = {
            name: self.rng.choice((0, -1, 2**31 - 1, 1)) for name in ("account", "instrument", "currency", "tier")
        }
        wide = {name: self.rng.choice((0, -1, 2**62, -(2**62), 1)) for name in ("price", "quantity", "amount")}
        self.script.add(self.rng.choice([*Kind, 77]), **record, **wide)
