"""A venue that trades, is killed, loses its power and starts again, with all that it acknowledged written down."""

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
from random_venue import RandomVenue

from seawall.engine.reference import Reference
from seawall.journal import archive, first_frame, frames, retire
from seawall.node import Configuration, Fold, Node
from seawall.sim import PowerCut, SimulatedDisk
from seawall.vocabulary.errors import InputError, JournalError
from seawall.vocabulary.records import VenueState

ARCHIVE = Path("/archive")
ACTIONS = {"submit": 80, "snapshot": 6, "archive": 4, "retire": 5, "stop": 5}
ENDS = ("power cut", "kill", "stop")


class World:
    """One venue on one simulated disk, and an oracle that folds every frame that stood, with the plain engine."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.disk = SimulatedDisk(seed)
        self.venue = RandomVenue(seed)
        self.oracle = Fold(Reference())
        self.acknowledged = []  # (commands, events) submitted since the last start
        self.submitted = 0
        self.resumed = 0
        self.retired = 0
        self.node = None

    def configuration(self):
        return Configuration.of(
            {
                "data": "/data",
                "home": "/home-of-the-id",
                "archive": str(ARCHIVE),
                "segment_bytes": 1 << 18,
                "group": self.rng.choice((5, 40, 512)),
                "snapshot_frames": self.rng.choice((0, 3, 10)),
            }
        )

    def begin(self):
        """A venue is created, at the first attempt or after crashes, and its catalogue is defined."""
        while True:
            if self.rng.random() < 0.5:
                self.disk.cut_after = self.disk.operations + self.rng.randrange(60)
            if self.start():
                break
            self.power_cut()
        self.disk.cut_after = None
        self.submit(*self.venue.opening())
        self.kill()

    def start(self):
        """Whether it started. If so, all that was acknowledged stands, and the state is that of the oracle."""
        try:
            self.node = Node.start(self.configuration(), self.venue, disk=self.disk)
        except (JournalError, PowerCut):
            assert self.disk.cut_after is not None, "a start was refused"
            return False
        self.resumed += self.node.snapshot_frame > 0
        self.check()
        return True

    def check(self):
        """Fold what stands with the plain engine: what was acknowledged is in it, and the node is where it is."""
        folders, retired = self.node.configuration.folders, self.archive()
        found = []
        for frame in frames(folders, start=self.oracle.frame + 1, archive=retired, disk=self.disk):
            found.append((frame.commands, self.oracle.check(frame)))
        for commands, events in self.acknowledged:
            first, last = commands["seq"][0], commands["seq"][-1]
            stood = [part[(part["seq"] >= first) & (part["seq"] <= last)] for part, _ in found]
            told = [part[(part["seq"] >= first) & (part["seq"] <= last)] for _, part in found]
            assert np.concatenate(stood).tobytes() == commands.tobytes(), "an acknowledged command is lost"
            assert np.concatenate(told).tobytes() == events.tobytes(), "its events are others"
        self.acknowledged = []
        assert self.node.fold.digest == self.oracle.digest
        assert self.node.fold.engine.state() == self.oracle.engine.state()

    def archive(self):
        """Where the first frames are, if they are retired; power may have been cut after that was said."""
        self.retired = first_frame(self.node.configuration.folders, disk=self.disk) > 1
        return ARCHIVE if self.retired else None

    def live(self):
        """Trade, and end in one of the ways that there are; whether the node had started."""
        end = self.rng.choice(ENDS)
        if end == "power cut":
            self.disk.cut_after = self.disk.operations + self.rng.randrange(250)
        started = self.start()
        try:
            for _ in range(self.rng.randrange(2, 12) if started else 0):
                self.act()
            if started and end == "stop":
                self.node.stop()
        except (JournalError, PowerCut) as error:
            assert self.disk.cut_after is not None, error
        if self.disk.cut_after is not None:
            self.power_cut()
        elif end == "kill":
            self.kill()
        return started

    def act(self):
        what = self.rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        folders = self.node.configuration.folders
        if what == "submit":
            if self.node.venue != VenueState.OPEN and self.rng.random() < 0.7:
                self.note(self.node.approve_open(), 1)
            self.venue.flow.script.seq = self.node.journal.next_seq - 1
            self.venue.flow.version = self.node.fold.engine.catalogue.version
            self.submit(*self.venue.flow.batch(self.rng.choice((1, 5, 40))))
        elif what == "snapshot":
            self.node.snapshot()
        elif what == "archive":
            archive(folders, ARCHIVE, disk=self.disk)
        elif what == "retire":
            with suppress(InputError):  # no snapshot yet
                retire(self.node.journal, ARCHIVE, disk=self.disk)
        else:
            self.node.stop()
            assert self.start() or self.disk.cut_after is not None
            if self.node._stopped:
                raise JournalError("power was cut while it started")

    def submit(self, commands, attachments):
        self.note(self.node.submit(commands, attachments), len(commands))

    def note(self, events, count):
        """What was acknowledged, as the journal has it now."""
        if not count:
            return
        last = self.node.journal.next_seq - 1
        self.submitted += count
        frame = self.node.journal.next_frame - 1
        records = []
        for number in range(frame, 0, -1):
            (found, *_) = frames(self.node.configuration.folders, start=number, disk=self.disk)
            records.insert(0, found.commands)
            if found.first_seq <= last - count + 1:
                break
        records = np.concatenate(records)
        self.acknowledged.append((records[records["seq"] > last - count], events))

    def kill(self):
        self.node._snapshots.close()
        self.node.journal.close()

    def power_cut(self):
        self.disk = self.disk.power_cut(self.rng)

    def end(self):
        """Stop, and fold the whole journal anew with the plain engine, from the archive and the folders."""
        self.disk.cut_after = None
        assert self.start()
        self.node.stop()
        whole, retired = Fold(Reference()), self.archive()
        for frame in frames(self.node.configuration.folders, archive=retired, disk=self.disk):
            whole.check(frame)
        assert whole.digest == self.node.fold.digest
        assert whole.engine.state() == self.node.fold.engine.state() and whole.engine.conserved()


def campaign(seed, lives):
    """Lives of one venue; returns the world as it was left."""
    world = World(seed)
    world.begin()
    for _ in range(lives):
        world.live()
    world.end()
    return world
