"""The differential campaign: one random stream folded by the reference and by two fast engines, compared throughout.

The second fast engine gets the same stream in other batch sizes and with another event buffer: its events must be the
same, whatever the frames.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from flows import RandomFlow

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.vocabulary.records import FLAG_LINKED, SYSTEM_ROUNDING, Commands, Events, Kind

SMALLEST_ROOM = 16
"""Events one step may need; an engine with this room stops and resumes inside nearly every task."""


def rooms(rng: random.Random) -> int:
    """An event buffer so small that tasks resume, now and then an ample one."""
    return rng.choice((SMALLEST_ROOM, 17, 19, 24, 40, 100, 1 << 15))


def describe(reference: Events, fast: Events) -> str:
    """The first event that differs."""
    for expected, found in zip(reference, fast, strict=False):
        if expected != found:
            return f"reference {expected}\nfast      {found}"
    return f"{len(reference)} events of the reference, {len(fast)} of the fast engine"


def apart(reference: Any, fast: Any, path: str = "state") -> str:
    """Where two states first differ, and how; nothing if they do not."""
    if isinstance(reference, dict) and isinstance(fast, dict) and reference.keys() == fast.keys():
        found = (apart(reference[key], fast[key], f"{path}[{key!r}]") for key in reference)
    elif isinstance(reference, list | tuple) and isinstance(fast, list | tuple) and len(reference) == len(fast):
        found = (
            apart(left, right, f"{path}[{at}]") for at, (left, right) in enumerate(zip(reference, fast, strict=True))
        )
    else:
        return "" if reference == fast else f"{path}\nreference {reference}\nfast      {fast}"
    return next(filter(None, found), "")


def linked(record: Any) -> bool:
    """Whether a command belongs to one batch with the next."""
    return record["kind"] in (Kind.ORDER, Kind.CANCEL) and bool(record["flags"] & FLAG_LINKED)


class Chopped:
    """A fast engine fed the same stream in batches of its own choosing."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.engine, self.events = rng, Fast(event_room=rooms(rng)), []

    def step(self, commands: Commands, attachments: bytes) -> Events:
        """Fold in pieces; all their events."""
        offsets = np.concatenate(([0], np.cumsum(commands["attachment"])))
        events, at = [], 0
        while at < len(commands):
            end = min(len(commands), at + self.rng.choice((1, 2, 7, 50, 1000)))
            while linked(commands[end - 1]):
                end += 1
            events.append(self.engine.step(commands[at:end], attachments[offsets[at] : offsets[end]]))
            self.engine.make_ready(self.rng.choice((1, 50, 1 << 14)))
            at = end
        return np.concatenate(events)


def campaign(seed: int, commands: int) -> int:
    """Fold `commands` random commands of one seed; AssertionError says where and how the engines differ."""
    rng = random.Random(seed)
    flow = RandomFlow(seed, accounts=rng.choice((2, 6, 6, 25)))
    reference, fast, chopped = Reference(), Fast(event_room=rooms(rng)), Chopped(rng)
    folded = 0
    while folded < commands:
        batch, attachments = flow.batch(rng.choice((1, 10, 100, 500, 1500)))
        if not len(batch):  # what was drawn had nothing to act on
            continue
        expected, found = reference.step(batch, attachments), fast.step(batch, attachments)
        where = f"seed {seed}, between commands {batch['seq'][0]} and {batch['seq'][-1]}"
        assert np.array_equal(expected, found), f"{where}\n{describe(expected, found)}"
        again = chopped.step(batch, attachments)
        assert np.array_equal(found, again), f"{where}, other batches\n{describe(found, again)}"
        assert reference.conserved() and fast.conserved(), f"{where}: money or positions do not add up"
        assert min(reference.accounts[SYSTEM_ROUNDING].balance) >= 0, f"{where}: rounding paid somebody"
        states = reference.state(), fast.state()
        assert states[0] == states[1], f"{where}\n{apart(*states)}"
        folded += len(batch)
    assert chopped.engine.state() == fast.state(), f"seed {seed}"
    return folded
