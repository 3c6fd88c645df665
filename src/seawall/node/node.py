"""The single writer of a venue.

Order of things, for each group of commands: stamp, begin writing to both copies, apply while they sync, wait for both,
and only then release the events. After a failed write or sync the outcome is unknown and the node is dead: nothing is
retried, nothing more is released.

Start: put the journal in order, fold it and check its digests, then journal OPENED. After an unclean stop the venue
comes up halted by that command; if both copies verify clean, a journalled rule asks for reduce-only, which the engine
refuses if the venue was halted for another reason before. Opening it needs people.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Self

import numpy as np
import structlog

from seawall.journal import Disk, Frame, Journal, RecoveryReport, Verification, holds_journal, verify
from seawall.journal.layout import PAGE_BYTES, PAYLOAD_BYTES
from seawall.node.configuration import Configuration
from seawall.node.replay import ENGINES, Fold, ReplayResult, Witness, replay
from seawall.vocabulary.errors import InputError, JournalError, OutcomeUnknown
from seawall.vocabulary.records import (
    COMMAND,
    EVENT,
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

LATENCIES_KEPT: Final = 65_536
Clock = Callable[[], int]
"""Nanoseconds since the epoch."""


class Node:
    """One venue in this process. Not for use from several threads."""

    def __init__(self, configuration: Configuration, clock: Clock, journal: Journal, fold: Fold) -> None:
        """Use `start`."""
        self.configuration, self.journal, self.fold = configuration, journal, fold
        self.recovery: RecoveryReport = journal.recovery
        self.replayed: ReplayResult | None = None
        self.verification: Verification | None = None
        self.venue = VenueState.OPEN
        self.latencies_ns: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self._clock = clock
        self._dead = ""
        self._stopped = False
        self._log = structlog.get_logger().bind(data=configuration.data)

    @classmethod
    def start(
        cls, configuration: Configuration, clock: Clock, witness: Witness | None = None, disk: Disk | None = None
    ) -> Self:
        """Open or create the journal and take up the venue where it stopped; `witness` sees what is folded.

        Raises ConfigurationError, JournalBusy, JournalCorrupt, OutcomeUnknown, or ReplayMismatch; then nothing runs.
        """
        configuration.check()
        fold = Fold(ENGINES[configuration.engine]())
        fresh = not holds_journal(configuration.folders, disk=disk)
        if fresh:
            journal = Journal.create(configuration.folders, segment_bytes=configuration.segment_bytes, disk=disk)
        else:
            journal = Journal.open(configuration.folders, disk=disk)
        try:
            node = cls(configuration, clock, journal, fold)
            if fresh:
                node.submit(command(Kind.OPENED))
            else:
                node._take_up(witness)
        except BaseException:
            journal.close()
            raise
        return node

    def submit(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Journal and apply commands in groups; returns their events once both copies are durable.

        `seq` and `time` are stamped here. Raises InputError (nothing happened) for attachments that do not fit the
        commands or a segment, OutcomeUnknown when a write failed now or earlier, JournalError after `stop`.
        """
        self._usable()
        if not len(commands):
            return np.zeros(0, EVENT)
        sizes = commands["attachment"]
        if (sizes < 0).any() or int(sizes.sum()) != len(attachments):
            raise InputError("attachments", len(attachments), "must be as many bytes as the commands state")
        groups = list(self._groups(commands.copy(), attachments))
        return np.concatenate([self._commit(part, data) for part, data in groups])

    def approve_open(self) -> Events:
        """Open the venue in people's name. The approval itself is the caller's to establish."""
        return self.submit(command(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED))

    def stop(self) -> None:
        """Journal CLOSED and give the folders up. A dead node gives them up without."""
        if self._stopped:
            return
        try:
            if not self._dead:
                self.submit(command(Kind.CLOSED))
                self._log.info("stopped", seq=self.journal.next_seq - 1)
        finally:
            self._stopped = True
            self.journal.close()

    def _groups(self, commands: Commands, attachments: bytes) -> Iterator[tuple[Commands, bytes]]:
        """Frames' worth of commands with their attachments: at most a group, and never more than a segment takes."""
        room = (self.configuration.segment_bytes // PAGE_BYTES - 1) * PAYLOAD_BYTES - COMMAND.itemsize
        ends = np.concatenate(([0], np.cumsum(commands["attachment"])))
        costs = ends + COMMAND.itemsize * np.arange(len(ends))
        first = 0
        while first < len(commands):
            fits = int(np.searchsorted(costs, costs[first] + room, side="right")) - 1
            last = min(first + self.configuration.group, fits)
            if last == first:
                raise InputError(
                    "attachment", int(ends[first + 1] - ends[first]), f"must fit {room} bytes of a segment"
                )
            yield commands[first:last], attachments[int(ends[first]) : int(ends[last])]
            first = last

    def _commit(self, commands: Commands, attachments: bytes) -> Events:
        """One frame: from stamped commands to released events."""
        began = time.perf_counter_ns()
        commands["seq"] = np.arange(self.journal.next_seq, self.journal.next_seq + len(commands))
        commands["time"] = self._clock()
        frame, digest = self.journal.next_frame, self.fold.digest
        begun = False
        try:
            pending = self.journal.start_commit(commands, attachments, digest if digest[0] else None)
            begun = True
            events = self.fold.take(frame, commands, attachments)
            pending.wait()
        except BaseException as error:
            if begun or not isinstance(error, InputError):
                # Whatever it was, state and journal may have parted: only a restart brings them together again.
                self._dead = repr(error)
                self._log.error("dead", frame=frame, error=self._dead)
            raise
        self.latencies_ns.append(time.perf_counter_ns() - began)
        self._note_state(events)
        return events

    def _note_state(self, events: Events) -> None:
        changed = events[events["kind"] == EventKind.STATE]
        if len(changed):
            self.venue = VenueState(int(changed["a"][-1]))

    def _take_up(self, witness: Witness | None) -> None:
        """Fold the journal, journal OPENED, and step up to reduce-only where the rule allows it."""
        past = _Past()

        def see(frame: Frame, events: Events) -> None:
            past.see(frame, events)
            if witness is not None:
                witness(frame, events)

        self.replayed = replay(self.configuration.folders, fold=self.fold, witness=see)
        self.venue = past.venue
        unclean = past.last != Kind.CLOSED
        self.submit(command(Kind.OPENED, flags=FLAG_UNCLEAN if unclean else 0))
        self._log.info(
            "started",
            unclean=unclean,
            commands=self.replayed.commands,
            repaired=len(self.recovery.repaired),
            cut=len(self.recovery.cut),
        )
        if not unclean:
            return
        self.verification = verify(self.configuration.folders)
        if self.verification.ok:
            self.submit(command(Kind.STATE, state=VenueState.REDUCE_ONLY, flags=FLAG_RECOVERED))

    def _usable(self) -> None:
        if self._dead:
            raise OutcomeUnknown(f"the node is dead: {self._dead}")
        if self._stopped:
            raise JournalError("the node is stopped")


class _Past:
    """What the journal says of the venue before this start."""

    def __init__(self) -> None:
        self.last = Kind.CLOSED
        self.venue = VenueState.OPEN

    def see(self, frame: Frame, events: Events) -> None:
        self.last = Kind(int(frame.commands["kind"][-1])) if frame.commands["kind"][-1] in set(Kind) else Kind.TIME
        for event in events[events["kind"] == EventKind.STATE]:
            self.venue = VenueState(int(event["a"]))
