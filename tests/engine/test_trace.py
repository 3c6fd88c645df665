"""One order traced from the node to its event: a reader needs about six functions to follow it."""

import sys

import pytest
from venue import ANN, PERPETUAL, open_venue

from seawall.engine.reference import Reference
from seawall.node import Configuration, Node
from seawall.sim import START_NS, SimulatedClock
from seawall.vocabulary.records import BUY, EventKind, Kind, command

PATH = {
    "reference": [
        "Node.submit",
        "Node._commit",
        "Fold.take",
        "Reference.step",
        "Reference._fold",
        "Orders._order",
        "Orders._accept",
        "State._tell",
    ],
    "fast": ["Node.submit", "Node._commit", "Fold.take", "Fast.step"],
}


class Recorder:
    """Stands for the venue's engine while its opening is written down."""

    def __init__(self):
        self.engine, self.taken = Reference(), []

    def step(self, commands, attachments):
        self.taken.append((commands.copy(), attachments))
        return self.engine.step(commands, attachments)

    def conserved(self):
        return self.engine.conserved()


def stack(frame):
    """Our own functions from the outermost to `frame`."""
    names = []
    while frame is not None:
        if "seawall" in frame.f_globals.get("__name__", "") and "<" not in frame.f_code.co_name:
            names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return names[::-1]


@pytest.mark.parametrize("engine", sorted(PATH))
def test_an_order_from_the_node_to_its_event(engine, tmp_path):
    configuration = Configuration.of({"data": str(tmp_path / "journal"), "engine": engine, "segment_bytes": 1 << 20})
    node = Node.start(configuration, SimulatedClock(START_NS))
    recorder = Recorder()
    open_venue(recorder)
    for commands, attachments in recorder.taken:
        node.submit(commands, attachments)
    seen = []

    def watch(frame, event, argument):
        inner = frame.f_code.co_name
        accepted = inner in ("_emit", "_tell") and frame.f_locals.get("kind") == EventKind.ACCEPTED
        if event == "call" and (accepted or frame.f_code.co_qualname == "Fast.step"):
            seen.append(stack(frame))

    order = command(Kind.ORDER, account=ANN, instrument=PERPETUAL, side=BUY, quantity=1, price=60_000)
    sys.setprofile(watch)
    try:
        events = node.submit(order)
    finally:
        sys.setprofile(None)
    node.stop()
    assert events["kind"].tolist() == [EventKind.ACCEPTED]
    print(" -> ".join(seen[0]))
    assert seen == [PATH[engine]]
