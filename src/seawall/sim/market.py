"""A seeded market: two random-walking indices, a catalogue, agents; it speaks in commands and hears events.

Each `round` is a stretch of simulated time. Its commands come in this order: expiries that fell due, a publication if
the index moved or the timer ran out, funding and settlement at their hours, then the agents in a shuffled order. The
publication is made by a function given from outside, so that any margin model can be tried; marks are what it
published. A market that missed something (a new process after a crash) is told what the journal holds by `recall`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from seawall.sim.agents import Agent, Sight, cast
from seawall.sim.catalogue import COINS, CURRENCIES, Contract, contracts
from seawall.sim.clock import SimulatedClock
from seawall.vocabulary.bounds import FEE_CLASSES
from seawall.vocabulary.instruments import Form, Product
from seawall.vocabulary.publication import Publication
from seawall.vocabulary.records import (
    SYSTEM_ACCOUNTS,
    Commands,
    EventKind,
    Events,
    Kind,
    command,
    join,
)

ROUND_NS: Final = 120 * 10**9
ROUNDS_PER_HOUR: Final = 3600 * 10**9 // ROUND_NS
ROUNDS_PER_YEAR: Final = 365 * 24 * ROUNDS_PER_HOUR
PUBLISH_MOVE: Final = 0.0015
PUBLISH_ROUNDS: Final = 3
VOLATILITY: Final = {"BTC": 0.6, "ETH": 0.8}
CORRELATION: Final = 0.8
JUMP_CHANCE: Final = 0.01
JUMP_SIZE: Final = 0.02
TIERS: Final = ((0, 500), (-100, 350))
"""Maker and taker fee in millionths, by tier: takers, market makers."""


class Batch(NamedTuple):
    """Commands without seq and time, which the node stamps, and their attachments, concatenated."""

    commands: Commands
    attachments: bytes


@dataclass(frozen=True, slots=True)
class Prices:
    """What a publisher is told: index by coin in dollars, live contracts by instrument, at `time_ns`.

    `currencies` by number: name and decimals of an atom.
    """

    time_ns: int
    index_usd: Mapping[str, float]
    contracts: Mapping[int, Contract]
    currencies: tuple[tuple[str, int], ...] = CURRENCIES


Publish = Callable[[Prices], bytes]
"""Makes the attachment of a PUBLISH command."""


class Speaker:
    """Whoever speaks in commands: they gather until they are taken as one batch."""

    def __init__(self) -> None:
        self._parts: list[Commands] = []
        self._attachments: list[bytes] = []

    def _add(self, kind: Kind, attachment: bytes = b"", **fields: Any) -> None:
        self._parts.append(command(kind, attachment=len(attachment), **fields))
        self._attachments.append(attachment)

    def _define_money(self, currencies: Sequence[tuple[str, int]]) -> None:
        """Currencies (name, decimals) by number, and the fee tiers."""
        for number, (_, decimals) in enumerate(currencies):
            self._add(Kind.CURRENCY, currency=number, amount=decimals)
        for tier, (maker, taker) in enumerate(TIERS):
            for fee_class in range(FEE_CLASSES):
                self._add(Kind.TIER, tier=tier, currency=fee_class, price=maker, amount=taker)

    def _define_account(self, account: int, tier: int, deposits: Mapping[int, int]) -> None:
        """An account with its deposits, atoms by currency."""
        self._add(Kind.ACCOUNT, account=account, tier=tier)
        for currency, amount in deposits.items():
            self._add(Kind.DEPOSIT, account=account, currency=currency, amount=amount)

    def _take(self) -> Batch:
        batch = Batch(join(*self._parts), b"".join(self._attachments))
        self._parts, self._attachments = [], []
        return batch


class Market(Speaker):
    """One seeded market; `life` tells apart the processes that carry the same market on."""

    def __init__(self, seed: int, publish: Publish, clock: SimulatedClock, *, life: int = 0) -> None:
        super().__init__()
        self.rng = np.random.Generator(np.random.PCG64([seed, life]))
        self.clock = clock
        self.index_usd = dict(COINS)
        self.live = dict(enumerate(contracts()))
        self.agents: dict[int, Agent] = {agent.account: agent for agent in cast(SYSTEM_ACCOUNTS)}
        self.marks: dict[int, int] = {}
        self.version = 0
        self.next_client_id = 1
        self._publish = publish
        self._rounds = 0
        self._published_at = (0, dict(self.index_usd))

    def opening(self) -> Batch:
        """The catalogue, fee tiers, accounts with deposits, and the first publication."""
        self._define_money(CURRENCIES)
        for number, contract in self.live.items():
            self._add(Kind.INSTRUMENT, contract.spec.encode(), instrument=number)
        for agent in self.agents.values():
            self._define_account(agent.account, agent.tier, agent.deposits)
        self.publish()
        return self._take()

    def round(self) -> Batch:
        """The next stretch of time."""
        self.clock.advance(ROUND_NS)
        self._rounds += 1
        self._move()
        for instrument, contract in list(self.live.items()):
            if contract.spec.expiry and self.clock() >= contract.spec.expiry:
                price = round(self.index_usd[contract.underlying] / contract.delivery_tick)
                self._add(Kind.EXPIRE, instrument=instrument, price=price)
                self._delivered(instrument)
        rounds_ago, index = self._published_at
        moved = max(abs(self.index_usd[coin] / price - 1) for coin, price in index.items())
        if moved > PUBLISH_MOVE or self._rounds - rounds_ago >= PUBLISH_ROUNDS:
            self.publish()
        self._hourly()
        sight = Sight(self.live, self.marks, self.rng)
        for agent in self.rng.permutation(np.array(list(self.agents.values()), object)):
            agent.act(sight, self._sender(agent))
        return self._take()

    def shock(self, coin: str, fraction: float) -> Batch:
        """The index of a coin jumps by `fraction` (-0.1: falls by 10 %) and is published at once."""
        self.index_usd[coin] *= 1 + fraction
        self.publish()
        return self._take()

    def publish(self) -> None:
        """Add a publication of the prices now, with the marks it will set."""
        data = self._publish(Prices(self.clock(), dict(self.index_usd), dict(self.live)))
        self._mark(data)
        self._published_at = (self._rounds, dict(self.index_usd))
        self._add(Kind.PUBLISH, data, version=self.version + 1)

    def observe(self, events: Events) -> None:
        """Learn what became of commands, one's own and others'."""
        for event in events:
            if event["kind"] == EventKind.PUBLISHED:
                self.version = int(event["a"])
            agent = self.agents.get(int(event["account"]))
            if agent is not None:
                agent.hear(event)

    def recall(self, commands: Commands, attachments: bytes) -> None:
        """Learn from journalled commands what events do not say: prices published, contracts expired, ids used."""
        at = 0
        for record in commands:
            size = int(record["attachment"])
            if record["kind"] == Kind.PUBLISH:
                self._mark(attachments[at : at + size])
                self._index_from_marks()
            elif record["kind"] == Kind.EXPIRE:
                self._delivered(int(record["instrument"]))
            at += size
        self.next_client_id = max(self.next_client_id, 1 + int(commands["client_id"].max(initial=0)))

    def _move(self) -> None:
        self.index_usd = walk(self.index_usd, self.rng, ROUNDS_PER_YEAR, JUMP_CHANCE)

    def _hourly(self) -> None:
        if self._rounds % ROUNDS_PER_HOUR:
            return
        for instrument, contract in self.live.items():
            spec = contract.spec
            if spec.product == Product.PERPETUAL:
                amount = spec.funding_amount(self.marks[instrument], self.rng.normal(0, 2e-5))
                self._add(Kind.FUNDING, instrument=instrument, amount=amount)
            if self._rounds % (2 * ROUNDS_PER_HOUR) == 0:
                self._add(Kind.SETTLE, instrument=instrument)

    def _mark(self, publication: bytes) -> None:
        self.marks = marks_of(publication)

    def _index_from_marks(self) -> None:
        for instrument, contract in self.live.items():
            if contract.spec.product == Product.PERPETUAL and contract.spec.form == Form.INVERSE:
                self.index_usd[contract.underlying] = self.marks[instrument] * contract.tick

    def _delivered(self, instrument: int) -> None:
        self.live.pop(instrument, None)
        self.marks.pop(instrument, None)
        for agent in self.agents.values():
            agent.forget(instrument)

    def _sender(self, agent: Agent) -> Callable[..., None]:
        def send(kind: Kind, **fields: Any) -> None:
            if kind == Kind.ORDER:
                fields["client_id"] = self.next_client_id
                self.next_client_id += 1
            self._add(kind, account=agent.account, **fields)

        return send


def walk(
    index_usd: Mapping[str, float], rng: np.random.Generator, per_year: float, jump_chance: float
) -> dict[str, float]:
    """Index prices a step later, `per_year` of which make a year; they stay within half and double of the start."""
    first, second = rng.standard_normal(2)
    shocks = {"BTC": first, "ETH": CORRELATION * first + (1 - CORRELATION**2) ** 0.5 * second}
    jump = rng.choice((-1, 1)) * JUMP_SIZE if rng.random() < jump_chance else 0.0
    moved = dict(index_usd)
    for coin, shock in shocks.items():
        step = VOLATILITY[coin] / per_year**0.5 * shock + jump
        low, high = COINS[coin] / 2, COINS[coin] * 2
        moved[coin] = float(min(max(index_usd[coin] * np.exp(step), low), high))
    return moved


def marks_of(publication: bytes) -> dict[int, int]:
    """Marks by instrument, in ticks."""
    return {risk.instrument: risk.mark for risk in Publication.decode(publication).instruments}
