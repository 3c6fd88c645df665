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
from seawall.journal.files import read_base
from seawall.journal.layout import (
    FIRST_FRAME,
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
    blank_pages,
    decode_frame,
    decode_header,
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

    def __init__(
        self, folder: Path, segment: int, identity: Identity, disk: Disk, *, present: bool, direct: bool = False
    ) -> None:
        self.folder, self.segment, self._direct = folder, segment, direct
        self.rows = blank_pages(identity.pages)
        self.unreadable: set[int] = set()
        self.file_bytes = 0
        self.present = present
        if self.present:
            self._read(folder / segment_name(segment), disk)
        self.records = records_of(self.rows)
        self.sound = sound_pages(self.rows, identity.journal, segment)
        self._linked = np.cumsum(_follow(self.rows, self.sound))
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
        return _linked_frame(self.rows[at.page : end], at, check=check)

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
            descriptor = disk.open(path, direct=self._direct)
        except OSError:
            self.file_bytes = self.rows.nbytes
            self.unreadable.update(range(len(self.rows)))  # a file that cannot be opened is a copy without sound pages
            return
        try:
            self.file_bytes = disk.size(descriptor)
            view, offset = raw(self.rows), 0
            while offset < min(self.file_bytes, len(view)):
                offset += self._read_part(descriptor, view[offset : offset + READ_BYTES], offset, disk)
            self.rows.reshape(-1)[self.file_bytes :] = 0  # past the cache a disk may read what lies behind the end
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


def sound_pages(rows: Pages, journal: bytes, segment: int, first: int = 0) -> Flags:
    """Which of the pages, read from page `first` of a segment on, are sound; shape (pages,)."""
    records = records_of(rows)
    numbers = np.arange(first, first + len(rows), dtype=np.uint32)
    sound: Flags = (records["magic"] == MAGIC) & (records["format"] == FORMAT)
    sound &= (records["segment"] == segment) & (records["page"] == numbers)
    sound &= (records["journal"] == np.frombuffer(journal, "<u8")).all(axis=1)
    sound &= records["kind"] == np.where(numbers == 0, SEGMENT_PAGE, FRAME_PAGE)
    sound &= records["reserved"] == 0
    data = raw(rows)
    crc = zlib.crc32
    at = np.flatnonzero(sound)
    found = [crc(data[start + 4 : start + PAGE_BYTES]) for start in (at * PAGE_BYTES).tolist()]
    sound[at] = records["crc"][at] == np.array(found, np.uint32)
    return sound


def _follow(rows: Pages, sound: Flags) -> Flags:
    """Whether a page is the next one of the same frame as the page before it."""
    records, follow = records_of(rows), np.zeros(len(rows), np.bool_)
    same: Flags = sound[1:] & sound[:-1]
    same &= records["index"][1:] == records["index"][:-1] + np.uint64(1)
    for field in ("frame", "count", "kind"):
        same &= records[field][1:] == records[field][:-1]
    for field in ("previous", "hash"):
        same &= (records[field][1:] == records[field][:-1]).all(axis=1)
    follow[1:] = same
    return follow


def whole_frame(rows: Pages, at: Position, journal: bytes) -> FoundFrame | None:
    """The frame expected at `at`, if these are its pages and all is well with them."""
    sound = sound_pages(rows, journal, at.segment, at.page)
    if not sound[0] or records_of(rows)["index"][0] or not _follow(rows, sound)[1:].all():
        return None
    return _linked_frame(rows, at, check=True)


def _linked_frame(rows: Pages, at: Position, *, check: bool) -> FoundFrame | None:
    """The frame in sound pages that agree with each other, if it follows the one before."""
    if rows[0, HEADER_BYTES - 2 * HASH_BYTES : HEADER_BYTES - HASH_BYTES].tobytes() != at.previous:
        return None
    frame = decode_frame(rows, at, check=check)
    return FoundFrame(frame, rows, at) if frame else None


class Mirror:
    """The folders of one journal, read segment by segment, a copy only when it is asked for.

    It begins at `base`: frame 1, or where the markers of retired segments say; the furthest marker that is sound, for
    one is durable in both copies before anything is removed. With `whole` it begins as early as any folder allows;
    with `direct` it is read past the system's cache, from which every segment read once would push all else.
    """

    def __init__(self, folders: Sequence[Path], disk: Disk, *, whole: bool = False, direct: bool = False) -> None:
        self.folders, self.disk, self._whole, self._direct = tuple(folders), disk, whole, direct
        self._loaded: dict[tuple[int, int], SegmentCopy] = {}
        self.forget()

    def copy(self, which: int, segment: int) -> SegmentCopy:
        """A segment of one copy; this and the next stay in memory."""
        key = (which, segment)
        if key not in self._loaded:
            self._loaded = {kept: copy for kept, copy in self._loaded.items() if abs(kept[1] - segment) <= 1}
            folder, present = self.folders[which], segment in self._held[which]
            self._loaded[key] = SegmentCopy(
                folder, segment, self.identity, self.disk, present=present, direct=self._direct
            )
        return self._loaded[key]

    def forget(self) -> None:
        """Read everything again from here on, segments that appeared or were retired since included.

        Raises InputError without a journal, JournalCorrupt if the folders hold two, or no sound header at all.
        """
        self._loaded = {}
        self._held = [segments_in(folder, self.disk) for folder in self.folders]
        self.markers = [read_base(self.disk, folder) for folder in self.folders]
        held = sorted(set().union(*self._held))
        if not held and not any(self.markers):
            raise InputError("folders", [str(folder) for folder in self.folders], "hold no journal")
        self.identity = self._identify()
        self.base = self._begin(held)
        self.present = [segment for segment in held if segment >= self.base.segment]

    def copies(self, segment: int) -> list[SegmentCopy]:
        """A segment of every copy."""
        return [self.copy(which, segment) for which in range(len(self.folders))]

    def _identify(self) -> Identity:
        found = {marker[0] for marker in self.markers if marker is not None}
        for folder, held in zip(self.folders, self._held, strict=True):
            for segment in sorted(held):
                header = read_header(folder, segment, self.disk)
                if header is not None:
                    found.add(header[0])
                    break
        if len(found) > 1:
            raise JournalCorrupt("the folders hold different journals", frame=0, page=0)
        if not found:
            raise JournalCorrupt("no segment has a sound header", frame=0, page=0)
        return found.pop()

    def _begin(self, held: list[int]) -> Position:
        marked = {marker[1] for marker in self.markers if marker is not None}
        begins = sorted(marked | {start_of(self.identity.journal)}, key=lambda at: at.segment)
        if len(begins) != len({at.segment for at in begins}):
            raise JournalCorrupt("the markers of retired segments differ", frame=begins[-1].frame, page=0)
        if self._whole:
            return next((at for at in begins if at.segment in held), begins[-1])
        return begins[-1]


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
        if at.frame < mirror.base.frame:
            raise JournalError(f"frame {at.frame} was retired while the journal was read")
        found = _seek(mirror, at, check=check, thorough=thorough)
        if found is None and (proof := _proof(mirror, at)) is not None:
            raise _corrupt(mirror, at, proof)
    return found


def frames(
    folders: Path | Sequence[Path],
    *,
    start: int = FIRST_FRAME,
    check: bool = True,
    archive: Path | None = None,
    disk: Disk | None = None,
) -> Iterator[Frame]:
    """Frames from number `start` on, read from one folder or mended from two; nothing is written.

    `check` False leaves out the hash of each frame, never the CRC and the order of its pages. With a `start` reading
    begins at the last segment that starts no later, on the word of its header. A frame that was never completed ends
    the journal. `archive` has the segments that were retired, and counts as a further copy.
    Raises InputError without a journal or when `start` is retired and in no archive given, JournalCorrupt for damage
    that no folder given can mend.
    """
    places = [folders] if isinstance(folders, Path) else list(folders)
    mirror = Mirror(places + ([archive] if archive else []), disk or OsDisk(), whole=archive is not None)
    if max(start, FIRST_FRAME) < mirror.base.frame:
        raise InputError("start", start, f"frames before {mirror.base.frame} are retired and not in the folders given")
    at = position_before(mirror, start)
    while (found := next_frame(mirror, at, check=check)) is not None:
        at = found.behind
        if found.frame.number >= start:
            yield found.frame


def first_frame(folders: Sequence[Path], *, disk: Disk | None = None) -> int:
    """Number of the first frame that is not retired. Raises as `frames` does."""
    return Mirror(folders, disk or OsDisk()).base.frame


def position_before(mirror: Mirror, start: int) -> Position:
    """The start of the last segment that begins no later than frame `start`, on the word of its headers."""
    for segment in reversed(mirror.present):
        headers = [read_header(folder, segment, mirror.disk) for folder in mirror.folders]
        positions = {header[1] for header in headers if header is not None}
        if len(positions) == 1 and (position := positions.pop()).frame <= start:
            return position
    return mirror.base


def read_header(folder: Path, segment: int, disk: Disk) -> tuple[Identity, Position] | None:
    """What page 0 of a segment says; None where it is missing, unreadable or unsound."""
    page: Pages = np.zeros((1, PAGE_BYTES), np.uint8)
    try:
        descriptor = disk.open(folder / segment_name(segment))
        try:
            disk.pread(descriptor, raw(page), 0)
        finally:
            disk.close(descriptor)
    except OSError:
        return None  # an unreadable page is a damaged page: another copy or an earlier segment stands in
    return decode_header(page, segment=segment)


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


def _proof(mirror: Mirror, at: Position) -> str | None:
    """What shows that frame `at.frame`, which was not found, was acknowledged."""
    if at == mirror.base and at.segment:
        return "the marker of retired segments"
    for segment in mirror.present:
        if segment >= at.segment and any(copy.proves_more(at) for copy in mirror.copies(segment)):
            return f"segment {segment}"
    return None


def _corrupt(mirror: Mirror, at: Position, proof: str) -> JournalCorrupt:
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
        f"no copy holds this page of segment {place.segment}, and {proof} proves the frame acknowledged",
        frame=at.frame,
        page=page,
    )


def _places(mirror: Mirror, at: Position) -> list[Position]:
    """Where the next frame can be: here, or at the start of the next segment."""
    places = [at] if at.page < mirror.identity.pages else []
    if at.segment + 1 in mirror.present:
        places.append(replace(at, segment=at.segment + 1, page=1))
    return places
