"""A small venue for the tests of this room: a node on a temporary folder with a simulated market."""

from pathlib import Path

from seawall.journal import OsDisk
from seawall.node import Configuration, Node
from seawall.node.publishing import Simulated
from seawall.sim import START_NS, Market, SimulatedClock


class Disk(OsDisk):
    """The real disk, whose syncs a test can watch, hold or fail."""

    def __init__(self):
        self.syncs = 0
        self.on_sync = None

    def fdatasync(self, descriptor):
        self.syncs += 1
        if self.on_sync is not None:
            self.on_sync()
        super().fdatasync(descriptor)


def configuration(folder: Path, **settings):
    return Configuration.of(
        {"data": str(folder / "journal"), "engine": "reference", "segment_bytes": 1 << 20, **settings}
    )


def start(folder: Path, disk=None, witness=None, clock=None, rebuild=False, **settings):
    made = configuration(folder, **settings)
    return Node.start(made, clock or SimulatedClock(START_NS), witness, disk, rebuild=rebuild)


def market_on(node, seed=1):
    """A market, opened on a new node."""
    clock = node._clock
    market = Market(seed, Simulated(node.configuration), clock)
    market.observe(node.submit(*market.opening()))
    return market


def trade(node, market, rounds):
    """Rounds of trading; returns all events."""
    events = []
    for _ in range(rounds):
        events.append(node.submit(*market.round()))
        market.observe(events[-1])
    return events


def crash(node):
    """What a kill leaves: no CLOSED, the folders free."""
    node.journal.close()
