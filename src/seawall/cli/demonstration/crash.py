"""Act 4: the writer is killed with -9 while it trades; what it acknowledged is known to this process by a pipe."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.trading import ROUNDS
from seawall.cli.demonstration.venue import Venue
from seawall.cli.demonstration.wording import words
from seawall.journal import Frame
from seawall.node import Configuration, replay
from seawall.node.digest import EventDigest
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_APPROVED,
    FLAG_RECOVERED,
    FLAG_UNCLEAN,
    Commands,
    EventKind,
    Events,
    Kind,
    VenueState,
    command,
)

PATIENCE_S: Final = 120


def crash(story: Story, configuration: Configuration) -> None:
    """Kill, restart, compare."""
    story.act("The writer is killed with -9 while it trades")
    acknowledged = _trade_and_kill(story, configuration)
    story.say(
        f"A process of its own traded in frames of a few commands; by its pipe we know {len(acknowledged):,} frames"
        f" acknowledged, up to command {acknowledged[-1].seq:,}, and then it was gone."
    )
    witness = _Witness()
    venue = Venue.start(configuration, life=3, witness=witness)
    lost = [frame for frame in acknowledged if witness.digests.get(frame.number) != frame.digest]
    extra = witness.last_frame - acknowledged[-1].number
    cut = len(venue.node.recovery.cut)
    story.say(
        f"Restarted: {witness.commands:,} commands folded; {extra} whole frame(s) stand that nobody was told of,"
        f" {cut} page(s) of an unfinished one cut, {len(venue.node.recovery.repaired)} repaired."
    )
    story.check(f"nothing acknowledged is lost: {len(acknowledged):,} frames with the events acknowledged", not lost)
    story.check(
        f"nothing stands twice: {witness.orders:,} orders accepted, no client id of an account twice", witness.once
    )
    story.check("at most the one frame in flight stands beyond what was acknowledged", 0 <= extra <= 1)
    _step_up(story, venue, witness)
    for _ in range(ROUNDS // 20):
        venue.send(venue.market.round())
    venue.close(story)
    digest = venue.node.fold.digest[1]
    ladder = _Ladder()
    result = replay(configuration.folders, "reference", witness=ladder)
    story.facts |= {"commands": result.commands, "events": result.events, "frames": result.frames}
    story.say(f"The reference engine folds all {result.commands:,} commands at {result.commands_per_s:,.0f} a second.")
    story.check(
        "the journal shows each step: halted by the start, reduce-only by the rule, open by people", ladder.right
    )
    same = result.digest == digest.hex()
    story.check(f"its events are the node's to the byte: digest {result.digest[:16]}…", same)
    story.check(f"the journal's own {result.checked:,} digests of earlier frames hold", result.checked > 0)


def _step_up(story: Story, venue: Venue, witness: "_Witness") -> None:
    """Halted by the unclean stop, reduce-only by the rule, open by people."""
    sound = venue.node.verification is not None and venue.node.verification.ok
    story.check("both copies verify clean, so a journalled rule took it to reduce-only", sound)
    story.check("and no further", venue.node.venue == VenueState.REDUCE_ONLY)
    again = venue.ask(Kind.ORDER, **_fields(witness.last_order))
    story.say(f"A client sends its last order again: {words(again[0])}.")
    first = int(again["order_id"][0])
    story.check("it is answered with the first result", first == int(witness.last_order["seq"][0]))
    events = venue.ask(Kind.STATE, state=VenueState.OPEN, flags=FLAG_RECOVERED)
    refused = int(events["reason"][0]) == Reason.PEOPLE_REQUIRED
    story.say(f"Automation asks to open: refused, {words(events[0])}.")
    story.check("automation cannot open the venue", refused)
    venue.node.approve_open()
    story.check("people open it", venue.node.venue == VenueState.OPEN)


def _fields(order: Commands) -> dict[str, int]:
    names = ("account", "instrument", "side", "tif", "price", "quantity", "client_id")
    return {name: int(order[name][0]) for name in names}


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    """A line of the pipe: a frame that was released, its last command, the digest of all events up to it."""

    number: int
    seq: int
    digest: str


class _Witness:
    """Sees the journal folded after the crash."""

    def __init__(self) -> None:
        self.digests: dict[int, str] = {}
        self.commands = self.orders = self.last_frame = 0
        self.once = True
        self.last_order = command(Kind.ORDER)
        self._digest = EventDigest()
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, frame: Frame, events: Events) -> None:
        self.digests[frame.number] = self._digest.take(events).hex()
        self.commands += len(frame.commands)
        self.last_frame = frame.number
        accepted = events[events["kind"] == EventKind.ACCEPTED]
        orders = frame.commands[accepted["seq"] - frame.first_seq]
        for order in orders[orders["client_id"] > 0]:
            key = (int(order["account"]), int(order["client_id"]))
            self.once &= key not in self._seen
            self._seen.add(key)
        self.orders += len(orders)
        if len(orders):
            self.last_order = orders[-1:].copy()


class _Ladder:
    """Sees every change of the venue's state with the command that made it."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int, int]] = []

    def __call__(self, frame: Frame, events: Events) -> None:
        for event in events[events["kind"] == EventKind.STATE]:
            cause = frame.commands[int(event["seq"]) - frame.first_seq]
            self._steps.append((int(cause["kind"]), int(cause["flags"]), int(event["a"])))

    @property
    def right(self) -> bool:
        return self._steps == [
            (Kind.OPENED, FLAG_UNCLEAN, VenueState.HALTED),
            (Kind.STATE, FLAG_RECOVERED, VenueState.REDUCE_ONLY),
            (Kind.STATE, FLAG_APPROVED, VenueState.OPEN),
        ]


def _trade_and_kill(story: Story, configuration: Configuration) -> list[_Acknowledged]:
    """Run the writer until it acknowledged a seeded number of frames, then kill it."""
    rng = np.random.Generator(np.random.PCG64(configuration.sim.seed))
    enough = int(rng.integers(150, 400))
    writer = [sys.executable, "-m", "seawall.cli.demonstration.writer", str(story.out / "seawall.toml")]
    process = subprocess.Popen(writer, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None and process.stderr is not None
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.start()
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if len(lines) == enough:
                # It goes on meanwhile, so that the kill lands anywhere: between frames, in a write, in a sync.
                time.sleep(float(rng.uniform(0, 0.03)))
                os.kill(process.pid, signal.SIGKILL)
    finally:
        patience.cancel()
        errors = process.stderr.read()
        process.wait()
    story.check("the writer died of signal 9", process.returncode == -signal.SIGKILL)
    if len(lines) < enough:
        raise SeawallError(f"the writer ended after {len(lines)} frames: {errors.strip() or process.returncode}")
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [_Acknowledged(int(number), int(seq), digest) for number, seq, digest in whole]
