"""Reading a mirror: loads segments, judges pages, finds the next frame in either copy or page by page from both.

A page is *sound* when its CRC holds and it says it is the page of this journal, segment and place where it was read.
A frame is *whole* when all its pages are sound, agree with each other, follow the frame before, and hash to the hash
they carry. Nothing is ever searched for byte by byte, and nothing here writes.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.journal.disk import Disk, OsDisk
from seawall.journal.layout import (
    FORMAT,
    FRAME_PAGE,
    HASH_BYTES,
    HEADER_BYTES,
    MAGIC,
    PAGE_BYTES,
    SEGMENT_PAGE,
    Frame,
    Identity,
    Pages,
    Position,
    after,
    decode_frame,
    decode_segment_header,
    raw,
    records_of,
    segment_name,
    segment_number,
    start_of,
)
from seawall.vocabulary.errors import InputError, JournalCorrupt, JournalError

READ_BYTES: Final = 8 << 20
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame, the rows of its pages, and its place."""

    frame: Frame
    rows: Pages
    at: Position

    @property
    def behind(self) -> Position:
        """Where the next frame goes if it fits this segment."""
        return after(self.at, self.frame, len(self.rows))


class SegmentCopy:
    """One segment as one folder holds it, in memory, every page judged."""

    def __init__(self, folder: Path, segment: int, identity: Identity, disk: Disk) -> None:
        self.folder, self.segment = folder, segment
        self.rows: Pages = np.zeros((identity.pages, PAGE_BYTES), np.uint8)
        self.unreadable: set[int] = set()
        self.file_bytes = 0
        self.present = segment in segments_in(folder, disk)
        if self.present:
            self._read(folder / segment_name(segment), disk)
        self.records = records_of(self.rows)
        self.sound = self._judge(identity)
        follows = self._follows()
        self._linked = np.cumsum(follows)
        first = self.sound & (self.records["kind"] == FRAME_PAGE) & (self.records["index"] == 0)
        self._starts: list[int] = np.where(first, self.records["frame"], 0).tolist()
        self._counts: list[int] = np.where(first, self.records["count"], 0).tolist()

    def whole(self, at: Position, *, check: bool) -> FoundFrame | None:
        """The frame expected at `at`, if this copy holds all of it."""
        if at.page >= len(self._starts) or self._starts[at.page] != at.frame:
            return None
        count = self._counts[at.page]
        end = at.page + count
        if not 1 <= count <= len(self.rows) - at.page or self._linked[end - 1] - self._linked[at.page] != count - 1:
            return None
        rows = self.rows[at.page : end]
        if rows[0, HEADER_BYTES - 2 * HASH_BYTES : HEADER_BYTES - HASH_BYTES].tobytes() != at.previous:
            return None
        frame = decode_frame(rows, at, check=check)
        return FoundFrame(frame, rows, at) if frame else None

    def begins_with(self, frame: int) -> bool:
        """Whether a sound header says that the segment's first frame is this one."""
        return bool(self.sound[0] and self.records["frame"][0] == frame)

    def claims(self, at: Position) -> set[tuple[int, bytes]]:
        """(page count, hash) of every frame of which a sound page, first or not, belongs at `at`."""
        kin = self._kin(at) & (self.records["page"] == self.records["index"] + np.uint32(at.page))
        return {(int(self.records["count"][row]), self.records["hash"][row].tobytes()) for row in np.flatnonzero(kin)}

    def pages_of(self, at: Position, count: int, frame_hash: bytes) -> Flags:
        """Which pages of the frame claimed are sound here; shape (count,)."""
        place = slice(at.page, at.page + count)
        part = self.records[place]
        same = (part["hash"] == np.frombuffer(frame_hash, "<u8")).all(axis=1) & (part["count"] == count)
        good: Flags = self._kin(at)[place] & same & (part["index"] == np.arange(count))
        return good

    def proves_more(self, at: Position) -> bool:
        """Whether a sound page here shows that frame `at.frame` was acknowledged, or that another chain was.

        Frame f+1 is begun only after f was synced in both copies, so a sound page of any later frame is proof; so is
        a page of f itself that follows another f-1 than ours.
        """
        behind = self.sound.copy()
        behind[: at.page if self.segment == at.segment else 0] = False
        frames = self.records["frame"]
        other = (self.records["previous"] != np.frombuffer(at.previous, "<u8")).any(axis=1)
        return bool((behind & ((frames > at.frame) | ((frames == at.frame) & other))).any())

    def _kin(self, at: Position) -> Flags:
        records = self.records
        kin: Flags = self.sound & (records["kind"] == FRAME_PAGE) & (records["frame"] == at.frame)
        kin &= (records["previous"] == np.frombuffer(at.previous, "<u8")).all(axis=1)
        return kin

    def _read(self, path: Path, disk: Disk) -> None:
        try:
            descriptor = disk.open(path)
        except OSError:
            self.file_bytes = self.rows.nbytes
            self.unreadable.update(range(len(self.rows)))  # a file that cannot be opened is a copy without sound pages
            return
        try:
            self.file_bytes = disk.size(descriptor)
            view = raw(self.rows)[: self.file_bytes]
            offset = 0
            while offset < len(view):
                offset += self._read_part(descriptor, view[offset : offset + READ_BYTES], offset, disk)
        finally:
            disk.close(descriptor)

    def _read_part(self, descriptor: int, part: memoryview, offset: int, disk: Disk) -> int:
        """Bytes dealt with. A page the disk refuses to read counts as damaged: it stays zero and is remembered."""
        try:
            done = disk.pread(descriptor, part, offset)
        except OSError:
            if len(part) > PAGE_BYTES:
                return self._read_part(descriptor, part[:PAGE_BYTES], offset, disk)
            self.unreadable.add(offset // PAGE_BYTES)
            part[:] = bytes(len(part))
            return len(part)
        if done == 0:  # the file shrank since its size was asked
            self.file_bytes = min(self.file_bytes, offset)
            return len(part)
        return done

    def _judge(self, identity: Identity) -> Flags:
        records = self.records
        numbers = np.arange(len(records), dtype=np.uint32)
        sound: Flags = (records["magic"] == MAGIC) & (records["format"] == FORMAT)
        sound &= (records["segment"] == self.segment) & (records["page"] == numbers)
        sound &= (records["journal"] == np.frombuffer(identity.journal, "<u8")).all(axis=1)
        sound &= records["kind"] == np.where(numbers == 0, SEGMENT_PAGE, FRAME_PAGE)
        sound &= records["reserved"] == 0
        data = raw(self.rows)
        crc = zlib.crc32
        rows = np.flatnonzero(sound)
        found = [crc(data[at + 4 : at + PAGE_BYTES]) for at in (rows * PAGE_BYTES).tolist()]
        sound[rows] = records["crc"][rows] == np.array(found, np.uint32)
        return sound

    def _follows(self) -> Flags:
        """Whether a page is the next one of the same frame as the page before it."""
        records, follows = self.records, np.zeros(len(self.records), np.bool_)
        same: Flags = self.sound[1:] & self.sound[:-1]
        same &= records["index"][1:] == records["index"][:-1] + np.uint64(1)
        for field in ("frame", "count", "kind"):
            same &= records[field][1:] == records[field][:-1]
        for field in ("previous", "hash"):
            same &= (records[field][1:] == records[field][:-1]).all(axis=1)
        follows[1:] = same
        return follows


class Mirror:
    """The folders of one journal, read segment by segment, a copy only when it is asked for."""

    def __init__(self, folders: Sequence[Path], disk: Disk) -> None:
        self.folders, self.disk = tuple(folders), disk
        self.present = self._segments()
        if not self.present:
            raise InputError("folders", [str(folder) for folder in self.folders], "hold no journal")
        self.identity = self._identify()
        self._loaded: dict[tuple[int, int], SegmentCopy] = {}

    def copy(self, which: int, segment: int) -> SegmentCopy:
        """A segment of one copy; this and the next stay in memory."""
        key = (which, segment)
        if key not in self._loaded:
            self._loaded = {kept: copy for kept, copy in self._loaded.items() if abs(kept[1] - segment) <= 1}
            self._loaded[key] = SegmentCopy(self.folders[which], segment, self.identity, self.disk)
        return self._loaded[key]

    def forget(self) -> None:
        """Read everything again from here on, segments that appeared since included."""
        self._loaded = {}
        self.present = self._segments()

    def copies(self, segment: int) -> list[SegmentCopy]:
        """A segment of every copy."""
        return [self.copy(which, segment) for which in range(len(self.folders))]

    def _segments(self) -> list[int]:
        return sorted(set().union(*(segments_in(folder, self.disk) for folder in self.folders)))

    def _identify(self) -> Identity:
        """Id and segment size. Raises JournalCorrupt if the folders hold two journals, or no sound header at all."""
        found: set[Identity] = set()
        for folder in self.folders:
            found.update(self._first_identity(folder))
        if len(found) > 1:
            raise JournalCorrupt("the folders hold different journals", frame=0, page=0)
        if not found:
            raise JournalCorrupt("no segment has a sound header", frame=0, page=0)
        return found.pop()

    def _first_identity(self, folder: Path) -> list[Identity]:
        for segment in self.present:
            header = read_header(folder, segment, self.disk)
            if header is not None:
                return [header[0]]
        return []


def segments_in(folder: Path, disk: Disk) -> set[int]:
    """Numbers of the segment files in a folder."""
    try:
        numbers = [segment_number(name) for name in disk.names(folder)]
    except OSError as error:
        raise JournalError(f"cannot list {folder}: {error}") from error
    return {number for number in numbers if number is not None}


def find_frame(mirror: Mirror, at: Position, *, check: bool = True, thorough: bool = False) -> FoundFrame | None:
    """The frame expected at `at`: whole from one copy, else page by page from both. None: there is none.

    `thorough` compares the copies. Raises JournalCorrupt when they hold two different frames, each whole.
    """
    for which in range(len(mirror.folders)):
        found = mirror.copy(which, at.segment).whole(at, check=check)
        if found is None:
            continue
        if thorough:
            for other in range(which + 1, len(mirror.folders)):
                _refuse_fork(found, mirror.copy(other, at.segment))
        return found
    return _mend(mirror.copies(at.segment), at)


def next_frame(mirror: Mirror, at: Position, *, check: bool = True, thorough: bool = False) -> FoundFrame | None:
    """The frame that follows, here or at the start of the next segment. None: the journal ends at `at`.

    Raises JournalCorrupt when the frame cannot be read and yet was proven to be acknowledged.
    """
    found = _seek(mirror, at, check=check, thorough=thorough)
    if found is None and _proof(mirror, at) is not None:
        # Of a journal that is being written the copies were read at different moments. What was acknowledged before
        # a page that was seen is there when read again.
        mirror.forget()
        found = _seek(mirror, at, check=check, thorough=thorough)
        if found is None and (proof := _proof(mirror, at)) is not None:
            raise _corrupt(mirror, at, proof)
    return found


def frames(
    folders: Path | Sequence[Path], *, start: int = 0, check: bool = True, disk: Disk | None = None
) -> Iterator[Frame]:
    """Frames from number `start` on, read from one folder or mended from two; nothing is written.

    `check` False leaves out the hash of each frame, never the CRC and the order of its pages. With a `start` reading
    begins at the last segment that starts no later, on the word of its header. A frame that was never completed ends
    the journal. Raises InputError without a journal, JournalCorrupt for damage that no folder given can mend.
    """
    mirror = Mirror([folders] if isinstance(folders, Path) else folders, disk or OsDisk())
    at = _start(mirror, start)
    while (found := next_frame(mirror, at, check=check)) is not None:
        at = found.behind
        if found.frame.number >= start:
            yield found.frame


def _start(mirror: Mirror, start: int) -> Position:
    for segment in reversed(mirror.present):
        headers = [read_header(folder, segment, mirror.disk) for folder in mirror.folders]
        positions = {header[1] for header in headers if header is not None}
        if len(positions) == 1 and (position := positions.pop()).frame <= start:
            return position
    return start_of(mirror.identity.journal)


def read_header(folder: Path, segment: int, disk: Disk) -> tuple[Identity, Position] | None:
    """What page 0 of a segment says; None where it is missing, unreadable or unsound."""
    page: Pages = np.zeros((1, PAGE_BYTES), np.uint8)
    if segment not in segments_in(folder, disk):
        return None
    try:
        descriptor = disk.open(folder / segment_name(segment))
        try:
            disk.pread(descriptor, raw(page), 0)
        finally:
            disk.close(descriptor)
    except OSError:
        return None  # an unreadable page is a damaged page: another copy or an earlier segment stands in
    return decode_segment_header(page, segment)


def _refuse_fork(found: FoundFrame, other: SegmentCopy) -> None:
    at = found.at
    if np.array_equal(other.rows[at.page : at.page + len(found.rows)], found.rows):
        return
    rival = other.whole(at, check=True)
    if rival is not None and rival.frame.hash != found.frame.hash:
        raise JournalCorrupt(
            f"the copies hold different frames, both whole, in segment {at.segment}", frame=at.frame, page=at.page
        )


def _mend(copies: list[SegmentCopy], at: Position) -> FoundFrame | None:
    """A frame that no copy holds whole, put together page by page."""
    mended = []
    for count, frame_hash in set().union(*(copy.claims(at) for copy in copies)):
        if not 1 <= count <= len(copies[0].rows) - at.page:
            continue
        for order in (copies, copies[::-1]):
            rows, missing = _gather(order, at, count, frame_hash)
            frame = None if missing.any() else decode_frame(rows, at)
            if frame is not None:
                mended.append(FoundFrame(frame, rows, at))
                break
    if len(mended) > 1:
        raise JournalCorrupt(f"two frames can be made of segment {at.segment}", frame=at.frame, page=at.page)
    return mended[0] if mended else None


def _gather(order: list[SegmentCopy], at: Position, count: int, frame_hash: bytes) -> tuple[Pages, Flags]:
    """The rows of a frame claimed, from the first copy that has each, and which are in none."""
    rows: Pages = np.zeros((count, PAGE_BYTES), np.uint8)
    missing = np.ones(count, np.bool_)
    for copy in order:
        take = missing & copy.pages_of(at, count, frame_hash)
        rows[take] = copy.rows[at.page : at.page + count][take]
        missing &= ~take
    return rows, missing


def _seek(mirror: Mirror, at: Position, *, check: bool, thorough: bool) -> FoundFrame | None:
    places = _places(mirror, at)
    if not thorough:  # the first copy alone, if it has the frame in either place
        for place in places:
            found = mirror.copy(0, place.segment).whole(place, check=check)
            if found is not None:
                return found
    for place in places:
        found = find_frame(mirror, place, check=check, thorough=thorough)
        if found is not None:
            return found
    return None


def _proof(mirror: Mirror, at: Position) -> int | None:
    """A segment that shows that frame `at.frame`, which was not found, was acknowledged."""
    for segment in mirror.present:
        if segment >= at.segment and any(copy.proves_more(at) for copy in mirror.copies(segment)):
            return segment
    return None


def _corrupt(mirror: Mirror, at: Position, proof: int) -> JournalCorrupt:
    """The error that names the first page that no copy has."""
    place, page = at, at.page
    for place in reversed(_places(mirror, at)):
        copies, page = mirror.copies(place.segment), place.page
        claims = set().union(*(copy.claims(place) for copy in copies))
        for count, frame_hash in claims:
            _, missing = _gather(copies, place, count, frame_hash)
            page = place.page + int(np.argmax(missing))
        if claims or (place.segment > at.segment and any(copy.begins_with(at.frame) for copy in copies)):
            break
    return JournalCorrupt(
        f"no copy holds this page of segment {place.segment}, and segment {proof} proves the frame acknowledged",
        frame=at.frame,
        page=page,
    )


def _places(mirror: Mirror, at: Position) -> list[Position]:
    """Where the next frame can be: here, or at the start of the next segment."""
    places = [at] if at.page < mirror.identity.pages else []
    if at.segment + 1 in mirror.present:
        places.append(replace(at, segment=at.segment + 1, page=1))
    return places
