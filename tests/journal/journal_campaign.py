"""A journal that lives, crashes, is faulted and lives again, with what was promised about it written down."""

import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

from journal_world import FOLDERS, PAGE, SimulatedDisk, batch, segments

from seawall.journal import Journal, frames, holds_journal, verify
from seawall.journal.archiving import archive, retire
from seawall.journal.snapshots import read_snapshot, write_snapshot
from seawall.journal.tail import Tail
from seawall.sim.disk import AT_REST, STRIKES, Fault, PowerCut
from seawall.vocabulary.errors import InputError, JournalError, OutcomeUnknown

SEGMENT_PAGES = 5
ARCHIVE = Path("/archive")
ACTIONS = {"commit": 70, "snapshot": 8, "archive": 8, "retire": 10, "tail": 4}
FATAL = {"commit": 16, "snapshot": 16, "archive": 16, "retire": 18}
"""Within how many operations of an action the power is cut."""
LIVES = 12
"""Crashes of one journal before the next is begun: it stays small, and opening it cheap."""


class Broken(AssertionError):
    """A promise that does not hold."""


def require(holds, what):
    if not holds:
        raise Broken(what)


def state_of(frame):
    """What a snapshot of that frame holds."""
    return [b"%d" % frame * (frame % 700), b"", bytes([frame % 256]) * 5000]


class World:
    """One journal on one simulated disk, and what was submitted, acknowledged and stored."""

    def __init__(self, seed, faulty=None):
        self.faulty = faulty  # the copy that may be bad in any way at any time
        self.rng = random.Random(seed)
        self.disk = SimulatedDisk(seed)
        self.journal = None
        self.hashes = []  # of every frame that stands, in order
        self.submitted = []  # hashes of frames begun since, which may stand
        self.snapshot = 0  # the newest frame whose snapshot was stored
        self.phase = "create"
        self.phases = Counter()
        self.retired = 0
        self.told = 0  # the last frame a tail gave

    # Living.

    def live(self, actions, fatal=None):
        """Open and work until the end or a failure, at the latest in the `fatal` action; the error that ended it."""
        try:
            self.open()
            for _ in range(actions):
                self.act()
            if fatal is not None:
                self.make_way_for(fatal)
                self.disk.cut_after = self.disk.operations + self.rng.randrange(FATAL[fatal])
                self.act(fatal)
            self.phase = "close"
            self.journal.close()
            self.acknowledge()
        except (PowerCut, JournalError) as error:
            if self.journal is not None and isinstance(error, OutcomeUnknown):
                self.check_dead()
            return error
        finally:
            if self.journal is not None:
                with suppress(PowerCut, JournalError):
                    self.journal.close()
                landed = self.journal.durable.frame - len(self.hashes)
                require(landed <= 1, "two frames were in flight")
                if landed == 1:  # waited for by the next one, which then failed
                    self.hashes += self.submitted[:1]
                    self.submitted = self.submitted[1:]
            self.journal = None
        return None

    def check_dead(self):
        """After an unknown outcome nothing is tried again."""
        done = self.disk.operations
        try:
            self.journal.commit(batch(self.journal.next_seq, 1))
        except OutcomeUnknown:
            require(self.disk.operations == done, "a dead journal writes")
            return
        raise Broken("a dead journal commits")

    def make_way_for(self, action):
        """What the action needs in order to have something to do."""
        for needed in {"archive": ["commit"] * 4, "retire": ["commit"] * 8 + ["snapshot"] * 2 + ["archive"]}.get(
            action, []
        ):
            self.act(needed)

    def open(self):
        if not holds_journal(FOLDERS, disk=self.disk):
            require(not self.hashes, "an acknowledged journal is gone")
            self.phase = "create"
            self.journal = Journal.create(FOLDERS, segment_bytes=SEGMENT_PAGES * PAGE, disk=self.disk)
        else:
            self.phase = "recover"
            self.journal = Journal.open(FOLDERS, disk=self.disk)
            self.check_opened()

    def check_opened(self):
        """Nothing acknowledged is lost, and what stands besides was submitted."""
        journal = self.journal
        standing = journal.next_frame - 1
        extra = standing - len(self.hashes)
        require(extra >= 0, f"{-extra} acknowledged frames are lost")
        require(extra <= len(self.submitted), f"{extra} frames stand, {len(self.submitted)} were submitted")
        self.hashes += self.submitted[:extra]
        self.submitted = []
        if standing:
            require(journal.head_hash == self.hashes[-1], "the last frame is not the one submitted")
        found = read_snapshot(FOLDERS, disk=self.disk)
        require((found.frame if found else 0) >= self.snapshot, "a stored snapshot is lost")
        if found is not None:
            require([bytes(chunk) for chunk in found.chunks] == state_of(found.frame), "a snapshot of something else")
            require(found.hash == self.hashes[found.frame - 1], "a snapshot of another history")

    def act(self, what=None):
        """One thing a node does, by chance or as told."""
        what = what or self.rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        if what == "commit" or self.journal.durable.frame == 0:
            self.phase = "commit"
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                self.begin()
            if self.rng.random() < 0.8:
                self.pending.wait()
                self.acknowledge()
            return
        self.phase = what
        if what == "snapshot":
            covers = self.journal.durable
            write_snapshot(self.journal, covers, bytes(32), b"kind", state_of(covers.frame), disk=self.disk)
            self.snapshot = covers.frame
        elif what == "archive":
            archive(FOLDERS, ARCHIVE, disk=self.disk)
        elif what == "retire":
            with suppress(InputError):  # no snapshot yet
                self.retired += len(retire(self.journal, ARCHIVE, disk=self.disk))
        else:
            self.tail()

    def begin(self):
        """Begin a frame; the one before is then acknowledged."""
        seq, size = self.journal.next_seq, self.rng.choice((1, 5, 20, 31, 40, 70, 100))
        data = b"data" * (size % 3)
        pages = self.journal.next_frame
        self.pending = self.journal.start_commit(batch(seq, size, attachment=data), data)
        require(self.journal.next_frame == pages + 1, "a frame was not counted")
        self.hashes += self.submitted  # one is in flight at a time
        self.submitted = [self.journal.head_hash]

    def acknowledge(self):
        self.hashes += self.submitted
        self.submitted = []
        require(len(self.hashes) == self.journal.next_frame - 1, "the journal counts otherwise")

    def tail(self):
        """A reader never sees more than was acknowledged."""
        try:
            reader = Tail(FOLDERS, start=max(1, self.told - 3), disk=self.disk)
        except InputError:
            self.told = len(self.hashes)  # retired meanwhile
            return
        while given := reader.poll():
            for frame in given:
                if self.phase == "recover" and frame.number == len(self.hashes) + 1:
                    self.hashes += self.submitted[:1]  # recovery made it durable, and died; from now on it stands
                    self.submitted = self.submitted[1:]
                require(frame.number <= len(self.hashes), f"a tail gave frame {frame.number}, which was in flight")
                require(frame.hash == self.hashes[frame.number - 1], "a tail gave another frame")
                self.told = max(self.told, frame.number)

    # Dying.

    def crash(self):
        """The power goes; what the next life finds is checked when it opens."""
        if self.disk.cut_at is not None:
            self.phases[self.phase, self.disk.cut_at[0]] += 1
        self.disk = self.disk.power_cut(self.rng)
        if self.faulty is not None and all(segments(self.disk, folder) for folder in FOLDERS):
            self.spoil()
        if self.rng.random() < 0.2 and all(segments(self.disk, folder) for folder in FOLDERS):
            self.tail()

    def spoil(self):
        """The faulty copy rots while nobody looks, and may lie from now on."""
        folder, rng = FOLDERS[self.faulty], self.rng
        for _ in range(rng.randrange(4)):
            there = sorted(path for path in self.disk.names_seen if path.parent == folder)
            if there:
                self.disk.spoil(rng.choice(there), rng.choice(AT_REST), rng, rng.choice(there))
        self.disk.liar = folder if self.hashes and rng.random() < 0.3 else None

    def check_all(self):
        """The whole history, from the archive where it is retired; both copies in order."""
        checked = verify(FOLDERS, disk=self.disk)
        require(checked.ok, f"after opening the copies are not in order: {checked.damage} {checked.corrupt}")
        place = ARCHIVE if segments(self.disk, ARCHIVE) else None
        seq = 1
        for number, frame in enumerate(frames(FOLDERS, archive=place, disk=self.disk), start=1):
            require((frame.number, frame.hash) == (number, self.hashes[number - 1]), f"frame {number} is another")
            expected = batch(seq, len(frame.commands), attachment=frame.attachments)
            require(frame.commands.tobytes() == expected.tobytes(), f"frame {number} is not what was submitted")
            seq += len(frame.commands)
        require(len(self.hashes) == number if self.hashes else True, "the history is short")


def crash_points(seed, count, faulty=None):
    """Crash that many times, each time somewhere else; totals by phase and kind of operation.

    `faulty` is a copy that besides may rot, lose files and lie all the while.
    """
    totals, crashes, number = Counter(), 0, 0
    while crashes < count:
        number += 1
        world = World(seed * 1_000_003 + number, faulty)
        try:
            crashes += sum(one_life(world) for _ in range(LIVES))
            require(world.live(0) is None, "a disk that works was refused")
            world.check_all()
        except Exception as error:
            where = f"SEAWALL_SEED={seed}, world {number}, faulty {faulty}, phase {world.phase}"
            raise Broken(f"{where}: {error!r}") from error
        totals.update(world.phases)
        totals["segments retired"] += world.retired
    return totals


def one_life(world):
    """A life that is to be cut short; whether it was."""
    rng, fatal = world.rng, None
    roll = rng.random()
    if roll < 0.3:
        world.disk.cut_after = rng.randrange(30)  # most often while opening
    elif roll < 0.5:
        world.disk.cut_after = rng.randrange(200)
    else:
        fatal = rng.choices(list(FATAL), (45, 15, 15, 25))[0]
    ended = world.live(rng.randrange(6), fatal)
    require(ended is None or world.disk.cut_at is not None, f"refused though nothing was wrong: {ended!r}")
    world.crash()
    return ended is not None


SILENT = {Fault.LYING_SYNC, Fault.LOST_WRITE, Fault.GARBLED_WRITE, Fault.MISDIRECTED_WRITE}
"""Nobody is told of these; the others are told to the writer, who must stop."""


def one_fault(seed):
    """A life or two, one fault in one copy, a crash: (kind of fault, what became of it; None if it never struck)."""
    world = World(seed)
    rng, folder = world.rng, FOLDERS[seed % 2]
    if rng.random() < 0.9:  # else it strikes while the journal is created
        require(world.live(rng.randrange(2, 12)) is None, "a disk that works was refused")
    before = world.disk.operations
    kind = rng.choice([*STRIKES, *AT_REST])
    ended = None
    if kind in STRIKES:
        kind = Fault(kind)
        world.disk.plan(kind, before + rng.randrange(120), folder)
        ended = world.live(rng.randrange(2, 16))
        struck = bool(world.disk.struck)
        told = struck and kind not in SILENT
        if told:
            where = world.disk.struck[0][2]
            later = where == folder or (where.suffix == ".new" and len(where.stem) == 8)  # a segment prepared ahead
            require(ended is not None or later or where.name == "horizon", f"{kind} of {where}: the writer went on")
            stop = OutcomeUnknown if world.phase in ("create", "recover", "commit", "close") else JournalError
            require(ended is None or isinstance(ended, stop), f"{kind} of {where}: not a clear stop: {ended!r}")
        require(ended is None or told, f"refused though nothing was told: {ended!r}")
        if rng.random() < 0.5 and ended is None:
            world.disk.cut_after = world.disk.operations + rng.randrange(60)
            world.live(rng.randrange(1, 8))
        outcome = "stopped" if ended else "went on"
        if not struck:
            return kind, None
        world.disk = world.disk.power_cut(rng)
    else:
        world.disk.cut_after = before + rng.randrange(120)
        world.live(rng.randrange(2, 12))
        world.disk = world.disk.power_cut(rng)
        there = sorted(path for path in world.disk.names_seen if path.parent == folder)
        if not all(segments(world.disk, one) for one in FOLDERS):
            return kind, None  # there is no second copy yet to mend it from
        path = rng.choice(there)
        world.disk.spoil(path, kind, rng, rng.choice(there))
        outcome = "at rest"
    return kind, after_fault(world, outcome)


def after_fault(world, outcome):
    """One bad copy: everything is mended, and named if it was not as it ought to be."""
    found = verify(FOLDERS, disk=world.disk) if all(segments(world.disk, folder) for folder in FOLDERS) else None
    require(found is None or found.corrupt is None, f"one bad copy is never a reason to refuse: {found}")
    if found is not None and found.ok:
        require(alike(world.disk), "the copies differ and nothing is named")
    require(world.live(0) is None, "one bad copy is never a reason to refuse")
    world.check_all()
    require(alike(world.disk), "the copies differ after opening")
    require(world.live(3) is None, "a disk that works was refused")
    world.check_all()
    return f"{outcome}, {'repaired' if found is None or not found.ok else 'nothing differs'}"


def alike(disk):
    """Whether both copies have the same segments and marker, prepared segments aside."""
    held = []
    for folder in FOLDERS:
        paths = [path for path in disk.names_seen if path.parent == folder and path.suffix in (".seg", "")]
        content = {path.name: bytes(disk.content(path)) for path in paths if path.name != "horizon"}
        base = int.from_bytes(content["base"][32:36], "little") if "base" in content else 0
        kept = {name: data for name, data in content.items() if name == "base" or int(name[:8]) >= base}
        held.append({name: data for name, data in kept.items() if any(data)})
    return held[0] == held[1]


def faults(seed, count):
    """That many single faults that struck; totals by kind and outcome."""
    totals, number = Counter(), 0
    while sum(totals.values()) < count:
        number += 1
        try:
            kind, outcome = one_fault(seed * 1_000_003 + number)
        except Exception as error:
            raise Broken(f"SEAWALL_SEED={seed}, fault {number}: {error!r}") from error
        if outcome is not None:
            totals[kind, outcome] += 1
    return totals


def table(totals):
    return "\n".join(
        f"{count:8,}  {' '.join(map(str, what)) if isinstance(what, tuple) else what}"
        for what, count in sorted(totals.items(), key=str)
    )
