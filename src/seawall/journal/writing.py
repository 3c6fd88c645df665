"""The single writer: stamps nothing, decides nothing, makes frames durable in both copies or says it does not know."""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from seawall.journal.disk import Disk, Job, OsDisk, Running, Write, write_fully
from seawall.journal.files import (
    BASE_NAME,
    lock_folder,
    read_file,
    write_file,
    write_segment,
    writing_file,
)
from seawall.journal.horizon import HORIZON_NAME, Durable, encode_horizon
from seawall.journal.layout import (
    HASH_BYTES,
    ID_BYTES,
    NO_DIGEST,
    PAGE_BYTES,
    Identity,
    Pages,
    Position,
    blank_pages,
    check_segment_bytes,
    encode_frame,
    encode_header,
    pages_needed,
    raw,
    segment_name,
    start_of,
)
from seawall.journal.reading import Mirror, segments_in
from seawall.journal.recovery import RecoveryReport, recover
from seawall.vocabulary.errors import InputError, JournalError, OutcomeUnknown
from seawall.vocabulary.records import COMMAND, Commands

Folders = tuple[Path, Path]
ROOM_PAGES: Final = 512
HUGE_BYTES: Final = 2 << 20
"""Of the system's large pages. Frames are written from them: for a write past the cache the system pins each page and
tells the disk of it, 33 small ones for a group of 1,000, or one.
"""

SEGMENT_BYTES: Final = 64 << 20
ID_NAME: Final = "journal.id"


class PendingCommit:
    """A frame on its way to both disks."""

    def __init__(self, journal: "Journal", end: Position, writes: list[Running]) -> None:
        self.frame = end.frame - 1
        self._journal, self._end, self._writes = journal, end, writes

    def wait(self) -> int:
        """The frame's number once it is durable in both copies.

        Raises OutcomeUnknown if a write or sync failed in either; the journal is dead from then on.
        """
        if self._settle():
            self._journal._publish()
        return self.frame

    def _settle(self) -> bool:
        """The same, and readers are not told yet; whether there is something to tell."""
        failures = [failure for write in self._writes if (failure := write.wait()) is not None]
        if failures:
            raise self._journal._die(f"frame {self.frame}: {failures[0]}") from failures[0]
        return self._journal._landed(self, self._end)


class Journal:
    """The one writer of a mirrored journal. Not for use from several threads.

    Rules: one frame in flight; a frame is acknowledged only when both copies are synced; no acknowledged page is ever
    written again but by recovery; after any failed write or sync the object is dead and nothing is retried.
    """

    def __init__(self, folders: Folders, disk: Disk, locks: list[int], identity: Identity, at: Position) -> None:
        """Use `create` or `open`."""
        self.folders, self.recovery = folders, RecoveryReport()
        self._disk, self._locks, self._identity, self._at = disk, locks, identity, at
        self._files: list[int] = []
        self._horizon: int | None = None
        self._durable = at
        self._room = [_large_pages(ROOM_PAGES), _large_pages(ROOM_PAGES)]
        self._in_flight: PendingCommit | None = None
        self._preparing: tuple[int, Running] | None = None
        self._death: str | None = None
        self._closed = False
        self._lanes = [disk.lane(f"journal {folder.name}") for folder in folders]
        self._background = disk.lane("journal segments")

    @classmethod
    def create(
        cls,
        folders: Folders,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        home: Path | None = None,
        disk: Disk | None = None,
    ) -> "Journal":
        """A new, empty journal in two folders, made where they are missing; segments of `segment_bytes`.

        `home` is a folder, on neither of the two disks if there is a choice, that keeps the journal's id from now on.
        Raises InputError if a folder holds a journal or `home` the id of one (its disks may not be mounted),
        JournalBusy if another writer has it, OutcomeUnknown if a write failed.
        """
        check_segment_bytes(segment_bytes)
        identity = Identity(os.urandom(ID_BYTES), segment_bytes)

        def begin(disk: Disk) -> "Journal":
            kept = _kept_id(home, disk)
            if kept is not None:
                raise InputError("home", str(home), f"keeps the id of journal {kept.hex()}: are its disks mounted?")
            if holds_journal(folders, disk=disk):
                raise InputError("folders", [str(folder) for folder in folders], "already hold a journal")
            at = start_of(identity.journal)
            rows: Pages = np.zeros((identity.pages, PAGE_BYTES), np.uint8)
            rows[0] = encode_header(at, identity)
            for folder in folders:
                write_segment(disk, folder, 0, rows)
            _keep_id(home, disk, identity.journal)
            return cls(folders, disk, [], identity, at)

        return cls._locked(folders, disk or OsDisk(), begin)

    @classmethod
    def open(
        cls, folders: Folders, *, home: Path | None = None, rebuild: bool = False, disk: Disk | None = None
    ) -> "Journal":
        """The journal in two folders, put in order: `recovery` lists what was repaired and what was cut.

        `home` keeps the journal's id (see `create`). If it does, a folder that holds nothing of the journal is taken
        for a disk that is not mounted, and refused, unless `rebuild` says to make that copy anew.
        Raises InputError without a journal, for another than that of `home`, and for an empty folder; JournalBusy if
        another writer has it, JournalCorrupt for damage that no copy can mend, OutcomeUnknown if a repair could not be
        written.
        """

        def begin(disk: Disk) -> "Journal":
            mirror = Mirror(folders, disk, direct=True)
            kept = _kept_id(home, disk)
            if kept is not None:
                _check_mounts(folders, kept, mirror.identity.journal, rebuild, disk)
            at, report = recover(mirror)
            journal = cls(folders, disk, [], mirror.identity, at)
            journal.recovery = report
            if kept is None:
                _keep_id(home, disk, mirror.identity.journal)
            return journal

        disk = disk or OsDisk()
        if not holds_journal(folders, disk=disk):
            raise InputError("folders", [str(folder) for folder in folders], "hold no journal")
        return cls._locked(folders, disk, begin)

    @property
    def next_frame(self) -> int:
        """Number of the next frame to be started."""
        return self._at.frame

    @property
    def next_seq(self) -> int:
        """Sequence number of the first command of the next frame to be started."""
        return self._at.seq

    @property
    def journal_id(self) -> bytes:
        """The journal's random id."""
        return self._identity.journal

    @property
    def durable(self) -> Durable:
        """The last frame known to be durable in both copies."""
        return Durable(self._durable.frame - 1, self._durable.seq - 1, self._durable.previous)

    @property
    def head_hash(self) -> bytes:
        """Hash of the last frame started; of the journal's id when there is none."""
        return self._at.previous

    def commit(self, commands: Commands, attachments: bytes = b"", digest: tuple[int, bytes] | None = None) -> int:
        """`start_commit` and `wait`: the frame's number, durable in both copies."""
        return self.start_commit(commands, attachments, digest).wait()

    def start_commit(
        self, commands: Commands, attachments: bytes = b"", digest: tuple[int, bytes] | None = None
    ) -> PendingCommit:
        """Begin writing one frame; nothing of it may leave before `wait` has returned.

        While the frame before is in flight this one is put together, and then waits for it: one is in flight at a time.
        `commands` carry consecutive `seq` from `next_seq` on and the lengths of their shares of `attachments`.
        `digest` is an earlier frame's number and the 32-byte cumulative digest of the events up to its end. Raises
        InputError (nothing changed), OutcomeUnknown if this frame's segment or the frame before failed.
        """
        self._usable()
        count = self._check(commands, attachments, digest)
        at = self._at
        if at.page + count > self._identity.pages:
            at = replace(at, segment=at.segment + 1, page=1)
        header = 1 if at.page == 1 else 0  # a segment's header is written with its first frame
        pages = self._blank(header + count)
        if header:
            pages[:1] = encode_header(at, self._identity)
        _, frame_hash = encode_frame(
            at, self._identity.journal, commands, attachments, digest or (0, NO_DIGEST), pages[header:]
        )
        landed = self._in_flight is not None and self._in_flight._settle()
        if at.segment != self._at.segment:
            self._rotate(at.segment)
        end = Position(at.segment, at.page + count, at.frame + 1, frame_hash, at.seq + len(commands))
        self._in_flight = self._begin(at, pages, end)
        self._at = end
        if landed:  # the one before; told now, that the disks are busy again
            self._publish()
        self._prepare_ahead()
        return self._in_flight

    def close(self) -> None:
        """Wait for the frame in flight and give up the folders. Raises OutcomeUnknown if that frame failed."""
        if self._closed:
            return
        try:
            if self._in_flight is not None and self._death is None:
                self._in_flight.wait()
        finally:
            self._closed = True
            # A segment being prepared is finished or not; the next to open it looks again.
            self._give_back()
            while self._locks:
                self._disk.close(self._locks.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def _locked(cls, folders: Folders, disk: Disk, begin: Callable[[Disk], "Journal"]) -> "Journal":
        """Lock both folders, then begin; the locks are given back if that fails."""
        if folders[0].resolve() == folders[1].resolve():
            raise InputError("folders", str(folders[0]), "must be two different folders")
        locks: list[int] = []
        journal: Journal | None = None
        try:
            with _failures(f"opening {folders[0]} and {folders[1]}"):
                for folder in folders:
                    disk.make_folder(folder)
                    locks.append(lock_folder(disk, folder))
                journal = begin(disk)
                journal._locks = locks
                journal._open_files(journal._at.segment)
                journal._open_horizon()
                return journal
        except BaseException:
            if journal is not None:
                journal._give_back()
            for lock in locks:
                disk.close(lock)
            raise

    def _check(self, commands: Commands, attachments: bytes, digest: tuple[int, bytes] | None) -> int:
        """The pages the frame needs. Raises InputError."""
        if commands.dtype != COMMAND or commands.ndim != 1 or not len(commands):
            raise InputError("commands", str(commands.dtype), "must be a non-empty array of COMMAND records")
        seqs = commands["seq"]
        ends = int(seqs[0]) - self._at.seq, int(seqs[-1]) - self._at.seq
        if ends != (0, len(seqs) - 1) or (len(seqs) > 2 and (np.diff(seqs) != 1).any()):
            raise InputError("seq", int(seqs[0]), f"must count up from {self._at.seq}")
        shares = commands["attachment"]
        if (attachments or shares.any()) and (shares.min() < 0 or int(shares.sum()) != len(attachments)):
            raise InputError("attachments", len(attachments), "must be as many bytes as the commands' shares add up to")
        if digest is not None and (not 1 <= digest[0] < self._at.frame or len(digest[1]) != HASH_BYTES):
            raise InputError("digest", digest[0], f"must name an earlier frame than {self._at.frame}, with 32 bytes")
        count, limit = pages_needed(len(commands), len(attachments)), self._identity.pages - 1
        if count > limit:
            raise InputError("commands", len(commands), f"need {count} pages, a segment holds {limit}: split the frame")
        return count

    def _blank(self, count: int) -> Pages:
        """Room for a frame, used again: of two, one is in flight while the other is filled."""
        self._room.reverse()
        if len(self._room[0]) < count:
            self._room[0] = _large_pages(2 * count)
        return self._room[0][:count]

    def _begin(self, at: Position, pages: Pages, end: Position) -> PendingCommit:
        data, offset = raw(pages), (0 if at.page == 1 else at.page) * PAGE_BYTES
        try:
            writes = [
                lane.start(Write(self._disk, file, data, offset))
                for lane, file in zip(self._lanes, self._files, strict=True)
            ]
        except BaseException as error:  # one copy may be on its way already
            self._die(f"frame {at.frame}: {error!r}")
            raise
        return PendingCommit(self, end, writes)

    def _rotate(self, segment: int) -> None:
        """Go on in the next segment, which is durable in both folders before anything is written to it."""
        try:
            if self._preparing is None or self._preparing[0] != segment:
                self._preparing = segment, self._background.start(self._prepare(segment))
            failure = self._preparing[1].wait()
            if failure is not None:
                raise failure
            self._close_files()
            self._open_files(segment)
        except OSError as error:
            raise self._die(f"segment {segment}: {error}") from error

    def _give_back(self) -> None:
        """Threads and files."""
        for lane in (*self._lanes, self._background):
            lane.close()
        self._close_files()
        if self._horizon is not None:
            self._disk.close(self._horizon)
            self._horizon = None

    def _close_files(self) -> None:
        while self._files:
            self._disk.close(self._files.pop())  # never twice: the number may by then be another file's

    def _open_files(self, segment: int) -> None:
        name = segment_name(segment)
        for folder in self.folders:
            self._files.append(self._disk.open(folder / name, write=True, direct=True))

    def _open_horizon(self) -> None:
        """Begin the horizon anew, durably: an older one may be of a history that this folder no longer holds."""
        path = self.folders[0] / HORIZON_NAME
        write_file(self._disk, path, encode_horizon(self._identity.journal, self.durable))
        self._horizon = self._disk.open(path, write=True)

    def _prepare_ahead(self) -> None:
        """Make the next segment in the background once this one is half full."""
        segment = self._at.segment + 1
        if 2 * self._at.page < self._identity.pages or (self._preparing and self._preparing[0] == segment):
            return
        self._preparing = (segment, self._background.start(self._prepare(segment)))

    def _prepare(self, segment: int) -> Job:
        rows: Pages = np.zeros((self._identity.pages, PAGE_BYTES), np.uint8)
        for folder in self.folders:
            if segment not in segments_in(folder, self._disk):  # one found at opening was checked to be all zero
                yield from writing_file(self._disk, folder / segment_name(segment), raw(rows))

    def _usable(self) -> None:
        if self._death is not None:
            raise OutcomeUnknown(f"the journal is dead: {self._death}")
        if self._closed:
            raise JournalError("the journal is closed")

    def _die(self, why: str) -> OutcomeUnknown:
        self._death = self._death or why
        return OutcomeUnknown(f"{why}: what was in flight may or may not stand")

    def _landed(self, commit: PendingCommit, end: Position) -> bool:
        first = self._in_flight is commit
        if first:
            self._in_flight = None
            self._durable = end
        return first

    def _publish(self) -> None:
        """Tell readers what is durable. They can do without, so a failure here is no failure of the journal."""
        if self._horizon is None:
            return
        data = encode_horizon(self._identity.journal, self.durable)
        try:
            write_fully(self._disk, self._horizon, data, 0)
        except OSError:
            self._disk.close(self._horizon)
            self._horizon = None


def _large_pages(count: int) -> Pages:
    """Blank pages in the system's large ones where it has them: memory of its own, as what malloc has used is small."""
    memory = mmap.mmap(-1, count * PAGE_BYTES + HUGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(AttributeError, OSError):  # a system without
        memory.madvise(mmap.MADV_HUGEPAGE)
    return blank_pages(count, np.frombuffer(memory, np.uint8), HUGE_BYTES)


def holds_journal(folders: tuple[Path, ...], *, disk: Disk | None = None) -> bool:
    """Whether any of the folders has a segment of a journal, or the marker of retired ones."""
    disk = disk or OsDisk()
    return any(segments_in(folder, disk) or BASE_NAME in disk.names(folder) for folder in folders)


def _kept_id(home: Path | None, disk: Disk) -> bytes | None:
    """The id in `home`; None where there is none. Raises InputError for one that cannot be read."""
    if home is None or ID_NAME not in disk.names(home):
        return None
    text = (read_file(disk, home / ID_NAME) or b"").strip()
    try:
        kept = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        kept = b""
    if len(kept) != ID_BYTES:
        raise InputError("home", str(home / ID_NAME), f"must be {ID_BYTES} bytes in hex")
    return kept


def _keep_id(home: Path | None, disk: Disk, journal: bytes) -> None:
    """Written once the journal is durable in both folders: a creation that was interrupted leaves no id behind."""
    if home is not None:
        disk.make_folder(home)
        write_file(disk, home / ID_NAME, journal.hex().encode() + b"\n")


def _check_mounts(folders: Folders, kept: bytes, found: bytes, rebuild: bool, disk: Disk) -> None:
    if kept != found:
        raise InputError("folders", [str(folder) for folder in folders], f"hold {found.hex()}, not {kept.hex()}")
    for folder in folders:
        if not rebuild and not holds_journal((folder,), disk=disk):
            raise InputError("folders", str(folder), "holds nothing: is its disk mounted? rebuild makes it anew")


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """A disk's failure as the journal's own error."""
    try:
        yield
    except OSError as error:
        raise OutcomeUnknown(f"{what}: {error}") from error
