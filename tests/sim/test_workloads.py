"""The bench's streams are what they say: everything is on, next to nothing is refused, and both engines agree."""

import numpy as np
import pytest

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.sim.full_workload import FullWorkload
from seawall.sim.workload import Workload
from seawall.vocabulary.records import (
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    RULES_FOLDED,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    TimeInForce,
)

WORLD = (60, 20, 3_000)
COUNT = 4_000


def folded(engine, work, stream):
    """The events of opening, filling and stream."""
    events = [engine.step(*work.opening)]
    events += [engine.step(part[at : at + 500]) for part in (work.filling, stream) for at in range(0, len(part), 500)]
    return events[0], np.concatenate(events[1:])


@pytest.mark.parametrize("kind", [Workload, FullWorkload])
def test_engines_agree_and_next_to_nothing_is_refused(kind):
    work = kind(*WORLD)
    stream = work.stream(COUNT)
    fast, reference = Fast(), Reference()
    opening, events = folded(fast, work, stream)
    assert EventKind.REFUSED not in opening["kind"]
    again = folded(reference, work, stream)
    assert opening.tobytes() == again[0].tobytes() and events.tobytes() == again[1].tobytes()
    refused = (events["kind"] == EventKind.REFUSED).sum()
    assert refused < 0.02 * COUNT and fast.conserved()
    assert abs(fast.counts()["orders"] - work.resting) < 0.1 * work.resting
    assert fast.state()["rules"] == max(RULES_FOLDED)
    same = kind(*WORLD)
    assert same.opening[0].tobytes() == work.opening[0].tobytes()
    assert same.stream(COUNT).tobytes() == stream.tobytes(), "the same seed made another stream"


def test_everything_is_on():
    work = FullWorkload(*WORLD)
    stream = work.stream(COUNT)
    engine = Fast()
    _, events = folded(engine, work, stream)
    state = engine.state()
    assert {limit for limit, _, _ in state["limits"]} == set(Limit)
    assert set(state["roles"]) >= {Role.CLIENT, Role.DESK, Role.FIRM, Role.OWNER}
    assert {EventKind.REPLENISHED, EventKind.TRIGGERED, EventKind.EDITED, EventKind.FILL} <= set(events["kind"])
    orders = stream[stream["kind"] == Kind.ORDER]
    for flag in (FLAG_POST_ONLY, FLAG_PROTECTED, FLAG_REDUCE_ONLY):
        assert (orders["flags"] & flag).any()
    assert {OrderType.LIMIT, OrderType.STOP_LIMIT} == set(orders["type"]) and orders["label"].any()
    assert {TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTD} == set(orders["tif"])
    assert orders["strategy"].any() and orders["display"].any()
    assert {Kind.ORDER, Kind.CANCEL, Kind.EDIT} == set(stream["kind"])
