"""Random commands of every kind, as the engine's tests make them, to be sent through a node."""

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "engine"))

import flows
from worlds import Script

from seawall.vocabulary.records import VenueState

BEFORE = 2
"""Commands of a new journal before anybody's: OPENED and RULES."""


class _Behind(Script):
    def __init__(self):
        super().__init__()
        self.seq = BEFORE


class RandomVenue:
    """A random flow and the clock that goes with it."""

    def __init__(self, seed, accounts=6):
        flows.Script = _Behind
        try:
            self.flow = flows.RandomFlow(seed, accounts)
        finally:
            flows.Script = Script

    def __call__(self):
        return self.flow.script.time

    def opening(self):
        return self.flow.batch(0)

    def batch(self, node, count):
        """The next commands for a node, whatever stands of those sent before."""
        self.flow.script.seq = node.journal.next_seq - 1
        self.flow.version = node.fold.engine.catalogue.version
        if node.venue and self.flow.rng.random() < 0.5:
            node.approve_open()
            self.flow.script.seq = node.journal.next_seq - 1
        return self.flow.batch(count)

    def trade(self, node, batches, count=40):
        """Submit batches; returns their events."""
        if node.fold.engine.catalogue.currencies == 0:
            node.submit(*self.opening())
        return np.concatenate([node.submit(*self.batch(node, count)) for _ in range(batches)])


assert VenueState.OPEN == 0, "anything else is true"
