"""A node with its simulated market in this process: the two talk by commands and events."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from seawall.cli.demonstration.story import Story
from seawall.journal import Frame
from seawall.node import Configuration, Node
from seawall.node.publishing import Simulated
from seawall.sim import START_NS, Batch, Market, SimulatedClock, contracts
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind, Events, Kind, command

CONTRACTS = contracts()
NUMBER = {contract.spec.name: number for number, contract in enumerate(CONTRACTS)}
VALUE_ATOMS = 1_000_000


def configuration_of(out: Path, seed: int, engine: str) -> Configuration:
    """The settings of the demo's venue."""
    return Configuration.of({"data": str((out / "journal").absolute()), "engine": engine, "sim": {"seed": seed}})


class Venue:
    """One life of the venue; a later life takes up the journal of the earlier, market and all."""

    def __init__(self, node: Node, market: Market, clock: SimulatedClock) -> None:
        self.node, self.market, self.clock = node, market, clock

    @classmethod
    def start(
        cls, configuration: Configuration, life: int, witness: Callable[[Frame, Events], None] | None = None
    ) -> Self:
        """Start the node; a market whose memory is what the journal says."""
        clock = SimulatedClock(START_NS)
        market = Market(configuration.sim.seed, Simulated(configuration), clock, life=life)

        def remember(frame: Frame, events: Events) -> None:
            market.recall(frame.commands, frame.attachments)
            market.observe(events)
            clock.advance(max(0, int(frame.commands["time"][-1]) - clock()))
            if witness is not None:
                witness(frame, events)

        venue = cls(Node.start(configuration, clock, remember), market, clock)
        if venue.node.replayed is None:
            venue.send(market.opening())
        return venue

    def send(self, batch: Batch) -> Events:
        """Submit a batch; the market hears what became of it."""
        events = self.node.submit(*batch)
        self.market.observe(events)
        return events

    def ask(self, kind: Kind, **fields: Any) -> Events:
        """Submit one command."""
        return self.send(Batch(command(kind, **fields), b""))

    def margin(self, account: int) -> tuple[float, float]:
        """Requirement and equity of an account, in dollars."""
        margin = self.node.fold.engine.margin(account)
        return margin["requirement"] / VALUE_ATOMS, margin["equity"] / VALUE_ATOMS

    def record(self, story: Story, events: Events, accounts: dict[str, int]) -> None:
        """Note what the report will plot."""
        series = story.series
        minute = (self.clock() - START_NS) / 60e9
        series.minutes.append(minute)
        for coin, price in self.market.index_usd.items():
            series.index.setdefault(coin, []).append(price)
        for name, account in accounts.items():
            series.margins.setdefault(name, []).append(self.margin(account))
        fills = events[(events["kind"] == EventKind.FILL) & (events["instrument"] == 0) & (events["liquidity"] == 2)]
        series.trades += [(minute, int(price) * CONTRACTS[0].tick) for price in fills["price"]]
        count_refusals(series.refusals, events)

    def close(self, story: Story) -> None:
        """Stop cleanly; the commits' latencies go to the report."""
        story.series.latencies_us += [latency / 1000 for latency in self.node.latencies_ns]
        self.node.stop()


def count_refusals(counts: dict[str, int], events: Events) -> None:
    """Add refusals by reason."""
    for event in events[events["kind"] == EventKind.REFUSED]:
        name = Reason(int(event["reason"])).name
        counts[name] = counts.get(name, 0) + 1
