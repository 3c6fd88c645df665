"""A disk in memory that forgets, tears, lies and fails as it is told: the fault model under the journal's campaigns.

Implements `seawall.journal.Disk`. Nothing here is a file of this machine, and everything follows from seeds.

What may happen at a power cut, at any operation:
- each 4 KiB page written since the last sync of its file is there, is not, is there in some of its 512-byte sectors
  only, or has sectors of garbage; independently of the others, and in any order where a page was written twice;
- each creation, rename and removal of a name since the last sync of its folder is undone, independently;
- a truncation since the last sync is undone.

What may happen in between, as planned (`plan`) or at rest (`damage`, `spoil`):
- a write is short, fails, or finds no space; a creation finds no space;
- a sync fails: its pages read well afterwards and never reach the disk unless they are written again;
- a sync claims what it has not done: the pages stay as un-synced as they were, and so do names;
- a write is lost, garbled or goes to another page, and nobody is told; it shows after the next power cut (`CACHED`
  faults: the system's cache still has what was meant), or at once;
- bits rot, pages are lost or misdirected, pages cannot be read, files are cut, lost or rolled back.

What never happens: a page that was synced changes without one of these, or a name that was synced; and a page that is
written with the bytes it has is not torn by that.
"""

import errno
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

PAGE: Final = 4096
SECTOR: Final = 512


class PowerCut(OSError):
    """Nothing gets through to the disk any more."""


class Fault(StrEnum):
    """What can be planned to strike one operation."""

    SHORT_WRITE = "short write"
    FAILED_WRITE = "failed write"
    NO_SPACE = "no space"
    FAILED_SYNC = "failed sync"
    LYING_SYNC = "lying sync"
    LOST_WRITE = "lost write"
    GARBLED_WRITE = "garbled write"
    MISDIRECTED_WRITE = "misdirected write"


STRIKES: Final[dict[Fault, tuple[str, ...]]] = {
    Fault.SHORT_WRITE: ("write",),
    Fault.FAILED_WRITE: ("write",),
    Fault.NO_SPACE: ("write", "create"),
    Fault.FAILED_SYNC: ("sync", "sync_folder"),
    Fault.LYING_SYNC: ("sync", "sync_folder"),
    Fault.LOST_WRITE: ("write",),
    Fault.GARBLED_WRITE: ("write",),
    Fault.MISDIRECTED_WRITE: ("write",),
}
"""The kinds of operation each fault can strike."""

AT_REST: Final = (
    "flipped bit",
    "lost page",
    "misdirected page",
    "torn page",
    "garbage",
    "unreadable",
    "cut",
    "lost file",
)
"""The kinds of `spoil`."""


@dataclass(slots=True)
class File:
    """An inode: what reads show, what the disk has, and the pieces in between."""

    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, bytes) of a page written, or (size, None) of a truncation, since the last sync."""
    unreadable: set[int] = field(default_factory=set)
    """Pages that cannot be read until they are written again."""
    spoilt: set[int] = field(default_factory=set)
    """Those that could not be read at the last sync: without a sync they are so again after a power cut."""


@dataclass(slots=True)
class _Planned:
    fault: Fault
    operation: int
    folder: Path | None
    suffix: str


def put(target: bytearray, offset: int, piece: bytes | None) -> None:
    """Write a piece into a file's bytes, or with None cut them there."""
    if piece is None:
        del target[offset:]
        return
    if len(target) < offset + len(piece):
        target.extend(bytes(offset + len(piece) - len(target)))
    target[offset : offset + len(piece)] = piece


class SimulatedDisk:
    """For one thread: its lanes take turns by chance, operation by operation.

    `operations` counts what changes the disk: create, write, truncate, sync, rename, remove, sync_folder. With
    `cut_after` set, no more than that many are done, and `cut_at` is the kind and path of the first that was not.
    `fail` sees every operation, reads and openings too; it may raise OSError, or return how much of a write is taken.
    """

    def __init__(self, seed: int = 0) -> None:
        self.names_seen: dict[Path, File] = {}
        self.names_durable: dict[Path, File] = {}
        self.open_files: dict[int, tuple[Path, File]] = {}
        self.locked: dict[int, Path] = {}
        self.operations = 0
        self.counts: Counter[str] = Counter()
        self.cut_after: int | None = None
        self.cut_at: tuple[str, Path] | None = None
        self.liar: Path | None = None  # a folder all of whose syncs lie
        self.struck: list[tuple[Fault, str, Path]] = []
        self.fail: Callable[[str, Path, int, int], int | None] = _nothing
        self._planned: list[_Planned] = []
        self._unsynced: list[tuple[Path, Path | None, File | None]] = []  # (name, name it takes over, its file or None)
        self._next = 100
        self._rng = random.Random(seed)
        self._lanes: list[SimulatedLane] = []

    def plan(self, fault: Fault, operation: int, folder: Path | None = None, suffix: str = "") -> None:
        """Let a fault strike the first operation it can from number `operation` on, in `folder`, on names that end so.

        Operations count from 0.
        """
        self._planned.append(_Planned(fault, operation, folder, suffix))

    # What the journal calls.

    def make_folder(self, folder: Path) -> None:
        """Folders are simply there."""

    def names(self, folder: Path) -> list[str]:
        """Names as the system shows them."""
        self.fail("names", folder, 0, 0)
        return [path.name for path in self.names_seen if path.parent == folder]

    def open(self, path: Path, *, write: bool = False, create: bool = False, direct: bool = False) -> int:
        """See seawall.journal.Disk."""
        self.fail("open", path, 0, 0)
        if create:
            fault, _ = self._count("create", path)
            if fault is Fault.NO_SPACE:
                raise OSError(errno.ENOSPC, "as planned", str(path))
            if path in self.names_seen:
                file = self.names_seen[path]
                file.data.clear()
                file.pending.append((0, None))
            else:
                self.names_seen[path] = file = File()
                self._unsynced.append((path, None, file))
        if path not in self.names_seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        self._next += 1
        self.open_files[self._next] = (path, self.names_seen[path])
        return self._next

    def close(self, descriptor: int) -> None:
        """See seawall.journal.Disk."""
        self.open_files.pop(descriptor, None)
        self.locked.pop(descriptor, None)

    def size(self, descriptor: int) -> int:
        """See seawall.journal.Disk."""
        return len(self.open_files[descriptor][1].data)

    def pread(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        """See seawall.journal.Disk."""
        path, file = self.open_files[descriptor]
        self.fail("read", path, offset, len(buffer))
        if file.unreadable and file.unreadable & set(range(offset // PAGE, -(-(offset + len(buffer)) // PAGE))):
            raise OSError(errno.EIO, "unreadable", str(path))
        piece = memoryview(file.data)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def pwrite(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        """See seawall.journal.Disk."""
        path, file = self.open_files[descriptor]
        fault, taken = self._count("write", path, offset, len(data))
        if fault is Fault.FAILED_WRITE or fault is Fault.NO_SPACE:
            raise OSError(errno.EIO if fault is Fault.FAILED_WRITE else errno.ENOSPC, "as planned", str(path))
        if fault is Fault.SHORT_WRITE:
            taken = len(data) // 2 // SECTOR * SECTOR
        piece = bytes(data if taken is None else data[:taken])
        put(file.data, offset, piece)
        if file.unreadable:  # what is written anew is put into another place
            file.unreadable -= set(range(offset // PAGE, -(-(offset + len(piece)) // PAGE)))
        pieces: list[tuple[int, bytes | None]] = [
            (offset + at, piece[at : at + PAGE]) for at in range(0, len(piece), PAGE)
        ]
        if fault in (Fault.LOST_WRITE, Fault.GARBLED_WRITE, Fault.MISDIRECTED_WRITE):
            self._spoil_write(fault, file, pieces)
        file.pending += pieces
        return len(piece)

    def truncate(self, descriptor: int, size: int) -> None:
        """See seawall.journal.Disk."""
        path, file = self.open_files[descriptor]
        self._count("truncate", path)
        del file.data[size:]
        file.pending.append((size, None))

    def fdatasync(self, descriptor: int) -> None:
        """See seawall.journal.Disk."""
        path, file = self.open_files[descriptor]
        fault, _ = self._count("sync", path)
        if fault is Fault.FAILED_SYNC:
            file.pending = []
            raise OSError(errno.EIO, "as planned", str(path))
        if fault is Fault.LYING_SYNC or path.parent == self.liar:
            return
        for offset, piece in file.pending:
            put(file.durable, offset, piece)
        file.pending = []
        file.spoilt &= file.unreadable

    def rename(self, old: Path, new: Path) -> None:
        """See seawall.journal.Disk."""
        self._count("rename", new)
        self.names_seen[new] = file = self.names_seen.pop(old)
        self._unsynced.append((new, old, file))

    def remove(self, path: Path) -> None:
        """See seawall.journal.Disk."""
        if path not in self.names_seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        self._count("remove", path)
        del self.names_seen[path]
        self._unsynced.append((path, None, None))

    def sync_folder(self, folder: Path) -> None:
        """See seawall.journal.Disk."""
        fault, _ = self._count("sync_folder", folder / "")
        if fault is Fault.FAILED_SYNC:
            raise OSError(errno.EIO, "as planned", str(folder))
        if fault is Fault.LYING_SYNC or folder == self.liar:
            return
        for change in self._unsynced:
            if change[0].parent == folder:
                _rename(self.names_durable, change)
        self._unsynced = [change for change in self._unsynced if change[0].parent != folder]

    def lane(self, name: str) -> "SimulatedLane":
        """A lane whose jobs go on, an operation at a time, whenever something is waited for or started."""
        lane = SimulatedLane(self)
        self._lanes.append(lane)
        return lane

    def lock(self, path: Path) -> int:
        """See seawall.journal.Disk."""
        if path in self.locked.values():
            raise BlockingIOError(path)
        self._next += 1
        self.locked[self._next] = path
        return self._next

    # What tests and exercises call.

    def power_cut(self, rng: random.Random) -> "SimulatedDisk":
        """The disk as it comes back: what was synced, and of the rest whatever chance left."""
        after = SimulatedDisk(rng.randrange(1 << 30))
        names = dict(self.names_durable)
        kept = rng.choice((0.0, 0.5, 0.9, 1.0))
        for change in self._unsynced:
            if rng.random() < kept:
                _rename(names, change)
        for path, file in names.items():
            left = bytearray(file.durable)
            if file.pending:
                _land_some(left, file.pending, rng)
            after.names_seen[path] = File(left, bytearray(left), [], set(file.spoilt), set(file.spoilt))
        after.names_durable = dict(after.names_seen)
        return after

    def content(self, path: Path) -> bytearray:
        """The bytes of a file as reads show them; not a copy."""
        return self.names_seen[path].data

    def damage(self, path: Path, offset: int, piece: bytes) -> None:
        """What is on the disk changes without a write."""
        file = self.names_seen[path]
        put(file.data, offset, piece)
        put(file.durable, offset, piece)

    def lose(self, path: Path) -> None:
        """A file is gone."""
        del self.names_seen[path]
        self.names_durable.pop(path, None)
        self._unsynced = [change for change in self._unsynced if change[0] != path]

    def cut(self, path: Path, size: int) -> None:
        """A file has lost its end."""
        file = self.names_seen[path]
        del file.data[size:], file.durable[size:]

    def spoil(self, path: Path, kind: str, rng: random.Random, source: Path | None = None) -> None:
        """A fault at rest, of a kind of AT_REST, somewhere in the file; `source` has a page that comes misdirected."""
        data = self.content(path)
        page = rng.randrange(max(1, len(data) // PAGE)) * PAGE
        size = min(PAGE, len(data) - page)
        if kind == "lost file":
            self.lose(path)
        elif kind == "cut":
            self.cut(path, page + rng.choice((0, SECTOR)))
        elif kind == "unreadable":
            self.names_seen[path].unreadable.add(page // PAGE)
            self.names_seen[path].spoilt.add(page // PAGE)
        elif kind == "lost page":
            self.damage(path, page, bytes(size))
        elif kind == "misdirected page":
            other = self.content(source or path)
            at = rng.randrange(max(1, len(other) // PAGE)) * PAGE
            self.damage(path, page, bytes(other[at : at + size]))
        elif kind == "torn page":
            keep = rng.randrange(1, PAGE // SECTOR) * SECTOR
            self.damage(path, page + keep, bytes(max(0, size - keep)))
        elif kind == "garbage":
            self.damage(path, page, rng.randbytes(size))
        elif data:
            at = rng.randrange(len(data))
            self.damage(path, at, bytes([data[at] ^ 1 << rng.randrange(8)]))

    def run_until(self, ended: Callable[[], bool]) -> None:
        """Let the lanes take turns until it is so."""
        while not ended() and self._step():
            pass

    def _step(self) -> bool:
        busy = [lane for lane in self._lanes if lane.jobs]
        if busy:
            busy[self._rng.randrange(len(busy))].step()
        return bool(busy)

    def dismiss(self, lane: "SimulatedLane") -> None:
        """A lane was closed."""
        if lane in self._lanes:
            self._lanes.remove(lane)

    def stir(self) -> None:
        """Let the lanes go on by a few operations."""
        for _ in range(self._rng.randrange(4)):
            self._step()

    def _count(self, kind: str, path: Path, offset: int = 0, size: int = 0) -> tuple[Fault | None, int | None]:
        """Count an operation: the fault that strikes it, and how much of it is taken if `fail` says so."""
        if self.cut_after is not None and self.operations >= self.cut_after:
            self.cut_at = self.cut_at or (kind, path)
            raise PowerCut(errno.EIO, f"power cut before {kind}", str(path))
        self.operations += 1
        self.counts[kind] += 1
        taken = self.fail(kind, path, offset, size)
        for planned in self._planned:
            if (
                self.operations > planned.operation
                and kind in STRIKES[planned.fault]
                and planned.folder in (None, path.parent, path)
                and path.name.endswith(planned.suffix)
            ):
                self._planned.remove(planned)
                self.struck.append((planned.fault, kind, path))
                return planned.fault, taken
        return None, taken

    def _spoil_write(self, fault: Fault, file: File, pieces: list[tuple[int, bytes | None]]) -> None:
        """One page of a write goes wrong on its way to the disk; the cache keeps what was meant."""
        which = self._rng.randrange(len(pieces))
        offset, piece = pieces[which]
        assert piece is not None
        if fault is Fault.GARBLED_WRITE:
            pieces[which] = (offset, self._rng.randbytes(len(piece)))
            return
        del pieces[which]
        if fault is Fault.MISDIRECTED_WRITE:
            elsewhere = self._rng.randrange(max(1, len(file.data) // PAGE)) * PAGE
            pieces.append((elsewhere, piece))


class SimulatedLane:
    """See seawall.journal.disk.Lane."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self.jobs: deque[SimulatedJob] = deque()

    def start(self, job: Iterator[None]) -> "SimulatedJob":
        """See seawall.journal.disk.Lane."""
        started = SimulatedJob(self._disk, job)
        self.jobs.append(started)
        self._disk.stir()
        return started

    def close(self) -> None:
        """See seawall.journal.disk.Lane."""
        self._disk.run_until(lambda: not self.jobs)
        self._disk.dismiss(self)

    def step(self) -> None:
        """One operation of the first job."""
        if self.jobs[0].step():
            self.jobs.popleft()


class SimulatedJob:
    """See seawall.journal.disk.Running."""

    def __init__(self, disk: SimulatedDisk, job: Iterator[None]) -> None:
        self._disk, self._job = disk, job
        self.ended, self.failure = False, None

    failure: OSError | None

    def step(self) -> bool:
        """One operation; whether it was the last."""
        try:
            next(self._job)
        except StopIteration:
            self.ended = True
        except OSError as error:
            self.ended, self.failure = True, error
        return self.ended

    def wait(self) -> OSError | None:
        """See seawall.journal.disk.Running."""
        self._disk.run_until(lambda: self.ended)
        return self.failure


def _nothing(kind: str, path: Path, offset: int, size: int) -> int | None:
    return None


def _rename(names: dict[Path, File], change: tuple[Path, Path | None, File | None]) -> None:
    name, old, file = change
    if old is not None:
        names.pop(old, None)
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _land_some(left: bytearray, pending: list[tuple[int, bytes | None]], rng: random.Random) -> None:
    """What of the un-synced pieces of a file a power cut leaves."""
    keep = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    if rng.random() < 0.5:
        pending = rng.sample(pending, len(pending))
    for offset, piece in pending:
        if piece is not None and left[offset : offset + len(piece)] == piece:
            continue
        if rng.random() < keep:
            put(left, offset, piece)
        elif piece is not None and rng.random() < 0.2:
            garbled = rng.random() < 0.25
            for at in range(0, len(piece), SECTOR):
                if rng.random() < 0.5:
                    sector = piece[at : at + SECTOR]
                    put(left, offset + at, rng.randbytes(len(sector)) if garbled else sector)
