"""The single writer of a venue.

Order of things, for each group of commands: stamp, begin writing to both copies, apply while they sync, wait for both,
and only then release the events. After a failed write or sync the outcome is unknown and the node is dead: nothing is
retried, nothing more is released.

Start: put the journal in order, take the newest snapshot, fold what came after it and check its digests, then journal
OPENED. After an unclean stop the venue comes up halted by that command; if both copies verify clean from the snapshot
on, a journalled rule asks for reduce-only, which the engine refuses if the venue was halted for another reason before.
Opening it needs people. A new journal begins with OPENED and the newest RULES in one frame; an old one keeps its rules
until people adopt others.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import structlog

from seawall.journal import (
    Disk,
    Journal,
    OsDisk,
    RecoveryReport,
    Verification,
    first_frame,
    frames,
    holds_journal,
    verify,
)
from seawall.journal.layout import PAGE_BYTES, PAYLOAD_BYTES
from seawall.node.configuration import Configuration
from seawall.node.replay import ENGINES, Fold, ReplayResult, Witness, replay
from seawall.node.snapshots import Snapshots, fold_of
from seawall.vocabulary.errors import InputError, JournalError, OutcomeUnknown, SeawallError
from seawall.vocabulary.records import (
    COMMAND,
    EVENT,
    FLAG_APPROVED,
    FLAG_LINKED,
    FLAG_RECOVERED,
    FLAG_UNCLEAN,
    RULES_FOLDED,
    Commands,
    Events,
    Kind,
    VenueState,
    command,
    join,
)

_SHORT: Final = (errno.EMFILE, errno.ENFILE)
LATENCIES_KEPT: Final = 65_536
Clock = Callable[[], int]
"""Nanoseconds since the epoch."""


class Group(NamedTuple):
    """One durable frame: stamped commands, their attachments, their events."""

    commands: Commands
    attachments: bytes
    events: Events


def first_commands() -> Commands:
    """What a new journal begins with: OPENED, and the newest rules that this build folds."""
    return join(command(Kind.OPENED), command(Kind.RULES, version=max(RULES_FOLDED)))


class Node:
    """One venue in this process. Not for use from several threads."""

    def __init__(self, configuration: Configuration, clock: Clock, journal: Journal, fold: Fold, disk: Disk) -> None:
        """Use `start`."""
        self.configuration, self.journal, self.fold = configuration, journal, fold
        self.recovery: RecoveryReport = journal.recovery
        self.snapshot_frame = fold.frame
        """The frame of the snapshot that this start went on from; 0: none."""
        self.replayed: ReplayResult | None = None
        self.verification: Verification | None = None
        self.latencies_ns: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self.listener: Callable[[Group], None] | None = None
        """Told of each frame once it is durable, before `submit` returns."""
        self._clock, self._disk = clock, disk
        self._snapshots = Snapshots(journal, fold, configuration.engine, disk)
        self._dead = ""
        self._stopped = False
        self._log = structlog.get_logger().bind(data=configuration.data)

    @classmethod
    def start(
        cls,
        configuration: Configuration,
        clock: Clock,
        witness: Witness | None = None,
        disk: Disk | None = None,
        *,
        rebuild: bool = False,
        listener: Callable[[Group], None] | None = None,
        resume: Callable[[], Fold | None] | None = None,
    ) -> Self:
        """Open or create the journal and take up the venue where it stopped.

        `witness` sees what is folded: with one that is all of the journal, without one what no snapshot covers; from
        behind the fold that `resume` gives on, if it gives one: of a witness that has snapshots of its own. In
        `home` the journal's id is kept; while it is there no journal is created, and a copy whose folder is empty is
        taken for a disk that is not mounted, and made anew only with `rebuild`. `listener` hears of each frame that is
        committed from then on, those of the start among them.
        Raises ConfigurationError, InputError for such a folder, JournalBusy, JournalCorrupt, OutcomeUnknown, or
        ReplayMismatch; then nothing runs.
        """
        configuration.check()
        disk = disk or OsDisk()
        folders, home = configuration.folders, configuration.home_folder
        if holds_journal(folders, disk=disk):
            journal = Journal.open(folders, home=home, rebuild=rebuild, disk=disk)
        else:
            journal = Journal.create(folders, segment_bytes=configuration.segment_bytes, home=home, disk=disk)
        try:
            engine = configuration.engine
            fold = resume() if resume is not None else None
            if fold is None:
                fold = Fold(ENGINES[engine]()) if witness is not None else fold_of(folders, engine, disk=disk)
            node = cls(configuration, clock, journal, fold, disk)
            node.listener = listener
            if journal.next_frame == 1:
                node._commit(first_commands(), b"")
            else:
                node._take_up(witness)
        except BaseException:
            journal.close()
            raise
        return node

    @property
    def dead(self) -> str:
        """Why the outcome of something is unknown and the process must end; empty while the node lives."""
        return self._dead

    @property
    def venue(self) -> VenueState:
        """The state of the venue as a whole."""
        return VenueState(self.fold.engine.catalogue.venue)

    def submit(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Journal and apply commands in groups; returns their events once both copies are durable.

        `seq` and `time` are stamped here; linked commands go into one frame. Raises InputError (nothing happened) for
        attachments that do not fit the commands or a segment, and for a last command that is linked to none;
        OutcomeUnknown when a write failed now or earlier, JournalError after `stop`.
        """
        self._usable()
        if not len(commands):
            return np.zeros(0, EVENT)
        sizes = commands["attachment"]
        if sizes.min() < 0 or int(sizes.sum()) != len(attachments):
            raise InputError("attachments", len(attachments), "must be as many bytes as the commands state")
        groups = list(self._groups(commands.copy(), attachments))
        events = [self._commit(part, data) for part, data in groups]
        return np.concatenate(events) if len(events) > 1 else events[0]

    def approve_open(self) -> Events:
        """Open the venue in people's name. The approval itself is the caller's to establish."""
        return self.submit(command(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED))

    def adopt_rules(self, rules: int, approval: bytes = b"") -> Events:
        """Go on under other rules, in people's name: a snapshot, the command in a frame of its own, a snapshot.

        Nothing is in flight then, as `submit` returns when all is durable. `approval` is journalled with it. Raises
        InputError for rules that are not newer or that this build does not fold, and as `submit` does.
        """
        now = self.fold.engine.catalogue.rules
        if rules not in RULES_FOLDED or rules <= now:
            raise InputError("rules", rules, f"must be newer than {now} and one of {RULES_FOLDED}")
        self._usable()
        self._snapshot_if_possible()
        adopted = command(Kind.RULES, version=rules, flags=FLAG_APPROVED, attachment=len(approval))
        events = self.submit(adopted, approval)
        self._snapshot_if_possible()
        return events

    def snapshot(self) -> int:
        """Write the state to both folders now; returns the frame it covers, from which the next start goes on.

        Raises InputError for an engine or rules without snapshots, JournalError if it could not be written: the node
        goes on; OutcomeUnknown where the node is dead.
        """
        self._usable()
        return self._snapshots.take()

    def stop(self) -> None:
        """Journal CLOSED, write a snapshot and give the folders up. A dead node gives them up without."""
        if self._stopped:
            return
        try:
            if not self._dead:
                self.submit(command(Kind.CLOSED))
                self._snapshot_if_possible()
                self._log.info("stopped", seq=self.journal.next_seq - 1)
        finally:
            self._stopped = True
            self._snapshots.close()
            self.journal.close()

    def _groups(self, commands: Commands, attachments: bytes) -> Iterator[tuple[Commands, bytes]]:
        """Frames' worth of commands with their attachments: about a group, and never more than a segment takes.

        A frame ends only where no command is linked to the next: the engine takes a chain whole.
        """
        room = (self.configuration.segment_bytes // PAGE_BYTES - 1) * PAYLOAD_BYTES - COMMAND.itemsize
        last_one = commands[-1]
        if last_one["flags"] & FLAG_LINKED and last_one["kind"] in (Kind.ORDER, Kind.CANCEL):
            raise InputError("flags", int(last_one["flags"]), "must not link the last command to one that is not there")
        if len(commands) <= self.configuration.group and COMMAND.itemsize * len(commands) + len(attachments) <= room:
            yield commands, attachments
            return
        ends = np.concatenate(([0], np.cumsum(commands["attachment"])))
        costs = ends + COMMAND.itemsize * np.arange(len(ends))
        orders = (commands["kind"] == Kind.ORDER) | (commands["kind"] == Kind.CANCEL)
        linked = orders & (commands["flags"] & FLAG_LINKED != 0)
        cuts = np.flatnonzero(~linked) + 1
        first = 0
        while first < len(commands):
            fits = int(np.searchsorted(costs, costs[first] + room, side="right")) - 1
            at = int(np.searchsorted(cuts, min(first + self.configuration.group, fits), side="right")) - 1
            last = int(cuts[at]) if at >= 0 else 0
            if last <= first:  # a chain longer than a group, or a command larger than a segment
                last = int(cuts[at + 1])
            if last > fits:
                raise InputError("commands", int(costs[last] - costs[first]), f"must fit {room} bytes of a segment")
            yield commands[first:last], attachments[int(ends[first]) : int(ends[last])]
            first = last

    def _commit(self, commands: Commands, attachments: bytes) -> Events:
        """One frame: from stamped commands to released events."""
        began = time.perf_counter_ns()
        commands["seq"] = np.arange(self.journal.next_seq, self.journal.next_seq + len(commands))
        commands["time"] = max(self._clock(), self.fold.engine.clock)  # a clock that steps back is waited for
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
                short = _shortage() if isinstance(error, OutcomeUnknown) else ""
                told = OutcomeUnknown(f"{error}; {short}") if short else error
                self._dead = repr(told)
                self._log.error("dead", frame=frame, error=self._dead)
                if short:
                    raise told from error
            raise
        self.latencies_ns.append(time.perf_counter_ns() - began)
        if self.listener is not None:
            self.listener(Group(commands, attachments, events))
        self._snapshot_when_due(frame)
        return events

    def _snapshot_when_due(self, frame: int) -> None:
        every = self.configuration.snapshot_frames
        if not every or frame - self._snapshots.frame < every:
            return
        failure = self._snapshots.poll()
        if failure is not None:
            self._log.warning("no snapshot", why=str(failure))
        try:
            self._snapshots.begin()
        except MemoryError as error:  # there is no room for a second state
            self._log.warning("no snapshot", why=repr(error))

    def _snapshot_if_possible(self) -> None:
        """The journal has everything without one: what fails here is said, and no more."""
        if self._snapshots.impossible() is not None:
            return
        try:
            self._snapshots.take()
        except SeawallError as error:
            self._log.warning("no snapshot", why=str(error))

    def _take_up(self, witness: Witness | None) -> None:
        """Fold what the snapshot does not cover, journal OPENED, step up to reduce-only where the rule allows it."""
        folders, disk = self.configuration.folders, self._disk
        archive = Path(self.configuration.archive) if self.configuration.archive else None
        self.replayed = replay(folders, witness=witness, fold=self.fold, archive=archive, disk=disk)
        unclean = self._last_kind() != Kind.CLOSED
        self.submit(command(Kind.OPENED, flags=FLAG_UNCLEAN if unclean else 0))
        self._log.info(
            "started",
            unclean=unclean,
            snapshot=self.snapshot_frame,
            commands=self.replayed.commands,
            repaired=len(self.recovery.repaired),
            cut=len(self.recovery.cut),
        )
        if not unclean:
            return
        self.verification = verify(folders, start=self.snapshot_frame, disk=disk)
        if self.verification.ok:
            self.submit(command(Kind.STATE, state=VenueState.REDUCE_ONLY, flags=FLAG_RECOVERED))

    def _last_kind(self) -> int:
        """What the last command of the journal asked."""
        folders, last = self.configuration.folders, self.journal.next_frame - 1
        if last < first_frame(folders, disk=self._disk):
            return Kind.TIME  # retired: nothing says that the stop was clean
        (frame,) = frames(folders, start=last, disk=self._disk)
        return int(frame.commands["kind"][-1])

    def _usable(self) -> None:
        if self._dead:
            raise OutcomeUnknown(f"the node is dead: {self._dead}")
        if self._stopped:
            raise JournalError("the node is stopped")


def _shortage() -> str:
    """What this process is out of, if it is descriptors: a thread of the journal that died of it does not tell."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"no descriptor is to be had ({error.strerror}): raise LimitNOFILE" if error.errno in _SHORT else ""
    return ""
