"""The simulated market: one seed, one course; it knows of its venue what commands and events say."""

from collections import Counter

import numpy as np
import pytest

from seawall.engine.reference import Reference
from seawall.sim import COINS, START_NS, Market, SimulatedClock, contracts
from seawall.sim.market import ROUND_NS
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.records import KINDS_OF_RULES_1, EventKind, Kind

ROUNDS = 70
ONE = 1 << bounds.RATE_SHIFT


def publish(prices):
    """A plain publication of this test's own: one scenario in which futures lose a fifth; options cost 100 ticks."""
    blocks = sorted({contract.spec.block for contract in prices.contracts.values()})
    risks = []
    for number, contract in prices.contracts.items():
        option = contract.spec.product == Product.OPTION
        index = prices.index_usd[contract.underlying]
        usd_per_lot = contract.lot if contract.lot_unit == "USD" else contract.lot * index
        mark = 100 if option else contract.ticks(index)
        risks.append(InstrumentRisk(number, mark, (0, -int(usd_per_lot * 200_000), int(usd_per_lot * 200_000))))
    rates = [CurrencyRate(0, 500 * ONE, 600 * ONE), CurrencyRate(1, 25 * ONE, 30 * ONE), CurrencyRate(2, ONE, ONE)]
    return Publication(tuple(rates), tuple(BlockRisk(block, 3, 3) for block in blocks), tuple(risks)).encode()


class Play:
    """A market on the reference engine, everything kept."""

    def __init__(self, seed, rounds=ROUNDS, life=0):
        self.engine, self.clock = Reference(), SimulatedClock(START_NS)
        self.market = Market(seed, publish, self.clock, life=life)
        self.batches, self.events = [], []
        self.take(self.market.opening())
        for _ in range(rounds):
            self.take(self.market.round())

    def take(self, batch):
        batch.commands["seq"] = np.arange(self.engine.seq + 1, self.engine.seq + 1 + len(batch.commands))
        batch.commands["time"] = self.clock()
        self.batches.append(batch)
        self.events.append(self.engine.step(*batch))
        self.market.observe(self.events[-1])
        assert self.engine.conserved()


@pytest.fixture(scope="module")
def play():
    return Play(7)


def test_the_same_seed_gives_the_same_market_to_the_byte(play):
    again, other, later = Play(7, 10), Play(8, 10), Play(7, 10, life=1)
    for number, batch in enumerate(again.batches):
        assert batch.commands.tobytes() == play.batches[number].commands.tobytes()
        assert batch.attachments == play.batches[number].attachments
    assert other.batches[3].commands.tobytes() != play.batches[3].commands.tobytes()
    assert later.batches[3].commands.tobytes() != play.batches[3].commands.tobytes()


def test_every_kind_of_business_happens(play):
    asked = Counter(int(kind) for batch in play.batches for kind in batch.commands["kind"])
    rare = {Kind.RULES, Kind.OPENED, Kind.CLOSED, Kind.STATE, Kind.TIME, Kind.CANCEL_ALL, Kind.WITHDRAW}
    for kind in KINDS_OF_RULES_1 - rare:
        assert asked[kind], kind
    happened = Counter(int(kind) for events in play.events for kind in events["kind"])
    for kind in {kind for kind in EventKind if kind < EventKind.TRIGGERED} - {EventKind.STATE, EventKind.DUPLICATE}:
        assert happened[kind], kind
    assert happened[EventKind.REFUSED] < happened[EventKind.ACCEPTED] / 10


def test_agents_know_their_orders_and_positions_from_events_alone(play):
    state = play.engine.state()
    for account, agent in play.market.agents.items():
        entry = state["accounts"][account]
        assert sorted(agent.open) == sorted(entry["orders"])
        held = {number: position[0] for number, position in entry["positions"].items() if position[0]}
        assert {number: lots for number, lots in agent.positions.items() if lots} == held


def test_the_hedger_ends_flat_and_the_punter_borrows_all_it_can(play):
    hedger, punter = (
        next(agent for agent in play.market.agents.values() if agent.name == name) for name in ("hedger", "punter")
    )
    assert hedger.bought and 0 <= hedger.positions[0] * 10 < 1_000_000
    margin = play.engine.margin(punter.account)
    assert margin["requirement"] > 0.8 * margin["equity"]


def test_another_life_remembers_by_journal_and_events(play):
    market = Market(7, publish, SimulatedClock(play.clock()), life=1)
    for batch, events in zip(play.batches, play.events, strict=True):
        market.recall(*batch)
        market.observe(events)
    first = play.market
    assert (market.version, market.marks, market.next_client_id) == (
        first.version,
        first.marks,
        first.next_client_id,
    )
    assert market.live.keys() == first.live.keys() and len(first.live) < len(contracts())
    for account, agent in first.agents.items():
        assert market.agents[account].open == agent.open
        assert market.agents[account].positions == agent.positions
    for coin in COINS:
        assert market.index_usd[coin] == pytest.approx(first.index_usd[coin], rel=0.01)
    market.clock.advance(1)
    play_on = market.round()
    assert len(play_on.commands) > 10


def test_a_shock_is_published_at_once():
    play = Play(1, 1)
    before = play.market.marks[1]
    batch = play.market.shock("ETH", -0.1)
    assert batch.commands["kind"].tolist() == [Kind.PUBLISH]
    play.take(batch)
    assert play.market.marks[1] == pytest.approx(before * 0.9, rel=0.02)
    assert play.events[-1]["kind"].tolist()[0] == EventKind.PUBLISHED


def test_rounds_take_simulated_time_and_time_does_not_go_back(play):
    assert play.clock() == START_NS + ROUNDS * ROUND_NS
    with pytest.raises(InputError):
        play.clock.advance(-1)


def test_contracts_are_well_formed_and_units_turn_back():
    for contract in contracts():
        contract.spec.check()
        assert type(contract.spec).decode(contract.spec.encode()) == contract.spec
        assert contract.ticks(contract.tick * 30_000) == min(30_000, contract.spec.price_max)
        assert contract.ticks(0) == contract.spec.price_min
        assert contract.lots(contract.lot * 7) == 7 and contract.lots(0) == 1
