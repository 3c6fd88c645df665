"""A steady stream of commands for measuring an engine: options and perpetuals, submits, cancels, matches.

Of a hundred commands 46 submit a resting order, 43 cancel a live one, 11 are immediate orders that take what rests near
the mark; half go to perpetuals, half to options, to accounts at random. Resting orders keep about their number. All
checks are on and pass: accounts are rich. Everything follows from the seed.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from seawall.engine.fast import Fast
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, Charge, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.records import (
    COMMAND,
    RULES_FOLDED,
    SYSTEM_ACCOUNTS,
    Commands,
    EventKind,
    Events,
    Kind,
    TimeInForce,
    command,
    join,
)

Int64Array = npt.NDArray[np.int64]

SUBMIT, CANCEL = 0.46, 0.89
"""Shares, cumulative: up to SUBMIT a resting order, up to CANCEL a cancel, the rest immediate orders."""

BLOCKS: Final = 4
MAINTENANCE: Final = 27
CHUNK: Final = 2000
EXPIRY: Final = 2**60
_USD, _COIN = 0, 1
_HEARD: Final = (EventKind.ACCEPTED, EventKind.FILL, EventKind.CANCELLED, EventKind.EDITED)
_CHARGES: Final = (
    Charge(((200, 0), (-200, 0))),
    Charge(((100, 0), (-100, 0))),
    Charge(((160, 0),)),
)


class Workload:
    """A world of `accounts` and `instruments` and the streams that fill and exercise it.

    `opening` defines it; `filling` brings it to `resting` orders; `stream(count)` are the steady commands. The streams
    are made by running a scratch engine, so that cancels hit orders that are there.
    """

    def __init__(self, accounts: int, instruments: int, resting: int, *, scenarios: int = 35, seed: int = 1) -> None:
        self.accounts, self.resting = accounts, resting
        self._rng = np.random.default_rng(seed)
        self._seq = 0
        perpetuals = max(BLOCKS, instruments // 10)
        self.specs = [_spec(number, perpetuals) for number in range(instruments)]
        self.perpetuals = perpetuals
        self._marks = np.array([_mark(spec, self._rng) for spec in self.specs])
        self._publication = self._publish(scenarios).encode()
        self._engine = Fast()
        self._live: dict[int, list[int]] = {}  # order id -> [account, lots left, lots filled, instrument, side]
        self._ids: list[int] = []  # live ids in any order, stale ones among them
        self.opening = self._open()
        self._engine.step(*self.opening)
        self.filling = self._fill()

    def stream(self, count: int) -> Commands:
        """The next `count` steady commands (COMMAND records)."""
        return join(*(self._run(self._mixed(CHUNK)) for _ in range(-(-count // CHUNK))))[:count]

    def order(self) -> Commands:
        """One steady resting order."""
        return self._stamp(self._orders(1, np.zeros(1, bool)))

    def publish(self, version: int) -> tuple[Commands, bytes]:
        """The publication once more, under the next version."""
        return self._admin(Kind.PUBLISH, self._publication, version=version), self._publication

    def hold(self, engine: Fast, positions: int) -> None:
        """Give every account of `engine`, which is behind the opening, so many positions: pairs trade at the mark."""
        pairs = self.accounts // 2
        instruments = np.concatenate([self._rng.permutation(len(self.specs))[:positions] for _ in range(pairs)])
        records = np.repeat(command(Kind.ORDER, side=1, tif=TimeInForce.GTC), 2 * len(instruments))
        records["account"] = SYSTEM_ACCOUNTS + np.arange(self.accounts).reshape(-1, 2).repeat(positions, 0).reshape(-1)
        records["instrument"], records["price"] = instruments.repeat(2), self._marks[instruments].repeat(2)
        records["side"][1::2] = -1
        records["quantity"] = self._rng.integers(1, 20, len(instruments)).repeat(2)
        self._stamp(records)
        for start in range(0, len(records), CHUNK * 10):
            engine.step(records[start : start + CHUNK * 10])

    def control(self, kind: Kind, **fields: int) -> Commands:
        """One command without attachment, stamped next."""
        return self._admin(kind, b"", **fields)

    def _admin(self, kind: Kind, attachment: bytes, **fields: int) -> Commands:
        return self._stamp(command(kind, attachment=len(attachment), **fields))

    def _stamp(self, records: Commands) -> Commands:
        records["seq"] = records["time"] = np.arange(self._seq + 1, self._seq + 1 + len(records))
        self._seq += len(records)
        return records

    def _open(self) -> tuple[Commands, bytes]:
        parts = [self._admin(Kind.RULES, b"", version=RULES_FOLDED[-1])]
        parts += [self._admin(Kind.CURRENCY, b"", currency=currency) for currency in (_USD, _COIN)]
        parts += [self._admin(Kind.TIER, b"", tier=0, currency=c, price=-50, amount=300) for c in (0, 1)]
        attachments = [spec.encode() for spec in self.specs]
        parts += [self._admin(Kind.INSTRUMENT, data, instrument=n) for n, data in enumerate(attachments)]
        for account in range(SYSTEM_ACCOUNTS, SYSTEM_ACCOUNTS + self.accounts):
            parts.append(self._admin(Kind.ACCOUNT, b"", account=account, tier=0))
            parts.append(self._admin(Kind.DEPOSIT, b"", account=account, currency=_USD, amount=10**14))
            parts.append(self._admin(Kind.DEPOSIT, b"", account=account, currency=_COIN, amount=10**12))
        published, data = self.publish(1)
        return join(*parts, published, self._parameters()), b"".join([*attachments, data])

    def _parameters(self) -> Commands:
        """What is set behind the first publication: nothing here."""
        return join()

    def _publish(self, scenarios: int) -> Publication:
        risks = []
        moves = np.linspace(-0.16, 0.16, max(1, scenarios - 1))
        for number, spec in enumerate(self.specs):
            mark = int(self._marks[number])
            atoms = spec.multiplier // mark if spec.form == Form.INVERSE else spec.multiplier * mark
            lot = atoms * (600 if spec.currency == _COIN else 1)
            if spec.product == Product.OPTION:
                move = np.maximum(moves * spec.option_type * 4, -0.9) + self._rng.uniform(-0.05, 0.05, len(moves))
            else:
                move = moves
            u = (0, *(int(lot * x) for x in move))[:scenarios]
            risks.append(InstrumentRisk(number, mark, u, 1, lot, lot // 2, lot // 100, bounds.NO_CAP, (0, 1)))
        blocks = tuple(
            BlockRisk(block, scenarios, min(MAINTENANCE, scenarios), ((0, -1), (2, -1), (-1, -1), (2, -1)))
            for block in range(BLOCKS)
        )
        one = 1 << bounds.RATE_SHIFT
        rates = (CurrencyRate(_USD, one, one), CurrencyRate(_COIN, 570 * one, 600 * one))
        return Publication(rates, blocks, tuple(risks), _CHARGES)

    def _fill(self) -> Commands:
        parts = []
        while len(self._live) < self.resting:
            count = min(CHUNK * 10, self.resting - len(self._live))
            parts.append(self._run(self._orders(count, np.zeros(count, bool))))
        return join(*parts)

    def _orders(self, count: int, immediate: npt.NDArray[np.bool_]) -> Commands:
        rng = self._rng
        records = np.zeros(count, COMMAND)
        records["kind"] = Kind.ORDER
        options = rng.integers(self.perpetuals, len(self.specs), count)
        number = np.where(rng.random(count) < 0.5, rng.integers(0, self.perpetuals, count), options)
        side = rng.choice(np.array([-1, 1]), count)
        mark, step = self._marks[number], np.maximum(1, self._marks[number] // 2000)
        away = np.minimum(2 + rng.geometric(0.08, count), 60)
        price = np.where(immediate, mark + side * 8 * step, mark - side * away * step)
        records["instrument"], records["side"], records["price"] = number, side, np.maximum(1, price)
        records["account"] = SYSTEM_ACCOUNTS + rng.integers(0, self.accounts, count)
        records["quantity"] = np.where(immediate, rng.integers(1, 12, count), rng.integers(1, 40, count))
        records["tif"] = np.where(immediate, TimeInForce.IOC, TimeInForce.GTC)
        return records

    def _mixed(self, count: int) -> Commands:
        share = self._rng.random(count)
        if len(self._live) > 1.02 * self.resting:  # fills are fewer than the mix allows for: more cancels
            share = np.where((share > SUBMIT * 0.8) & (share < SUBMIT), SUBMIT, share)
        records = self._orders(count, share >= CANCEL)
        for position in np.flatnonzero((share >= SUBMIT) & (share < CANCEL)):
            records[position] = self._against(self._some_live())[0]
        return records

    def _against(self, order_id: int) -> Commands:
        """What becomes of a live order: it is cancelled."""
        return command(Kind.CANCEL, account=self._live.pop(order_id)[0], order_id=order_id)

    def _some_live(self) -> int:
        """A live order at random, taken off the list."""
        while True:
            at = int(self._rng.integers(len(self._ids)))
            self._ids[at], self._ids[-1] = self._ids[-1], self._ids[at]
            order_id = self._ids.pop()
            if order_id in self._live:
                return order_id

    def _run(self, records: Commands) -> Commands:
        self._observe(self._engine.step(self._stamp(records)))
        return records

    def _observe(self, events: Events) -> None:
        interesting = events[np.isin(events["kind"], _HEARD)]
        columns: list[Any] = [interesting[name].tolist() for name in ("kind", "order_id", "quantity")]
        whose: list[Any] = [interesting[name].tolist() for name in ("account", "instrument", "side")]
        for kind, order_id, quantity, account, instrument, side in zip(*columns, *whose, strict=True):
            entry = self._live.get(order_id)
            if kind == EventKind.ACCEPTED:
                self._live[order_id] = [account, quantity, 0, instrument, side]
                self._ids.append(order_id)
            elif kind == EventKind.CANCELLED:
                self._live.pop(order_id, None)
            elif entry is None:
                continue
            elif kind == EventKind.EDITED:
                entry[1] = quantity
            else:
                entry[1] -= quantity
                entry[2] += quantity
                if not entry[1]:
                    del self._live[order_id]


def _spec(number: int, perpetuals: int) -> Instrument:
    block = number % BLOCKS
    coin = block % 2
    if number < perpetuals:
        form, multiplier = (Form.INVERSE, 2 * 10**9) if coin else (Form.LINEAR, 100)
        name = f"PERPETUAL-{number}"
        return Instrument(name, Product.PERPETUAL, form, coin, block, multiplier, 1000, 2**20, 10**6)
    kind = 1 if number % 8 < 4 else -1
    delivery, per_lot = (Form.INVERSE, 10**7) if coin else (Form.LINEAR, 10**5)
    name, multiplier = f"OPTION-{number}", 10**3 if coin else 10**4
    return Instrument(
        name,
        Product.OPTION,
        Form.LINEAR,
        coin,
        block,
        multiplier,
        1,
        2**14,
        10**5,
        EXPIRY,
        600,
        kind,
        delivery,
        per_lot,
    )


def _mark(spec: Instrument, rng: np.random.Generator) -> int:
    if spec.product == Product.OPTION:
        return int(rng.integers(200, 2000))
    return 120_000 if spec.form == Form.INVERSE else 60_000
