"""Verifying a mirror, and putting it in order when it is opened.

Both compare each copy with one *image*: the segment as it ought to be, made of the header that follows from the chain,
the frames found (whole in one copy or page by page from both), and zeros. A page that differs is damaged; the repair
is to write the image's page. Only the pages of a frame that no copy completes and nothing proves acknowledged are cut,
because the image holds zeros there.

Why that loses nothing: frame f+1 is begun only after f was synced in both copies, so while faults keep to one copy an
acknowledged frame is whole in the other, whatever crashes there were; and one that is not, but is followed by a sound
page of a later frame, is refused by name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seawall.journal.disk import Disk, OsDisk, write_fully
from seawall.journal.files import BASE_NAME, read_file, write_base, write_segment
from seawall.journal.layout import (
    FIRST_FRAME,
    PAGE_BYTES,
    Identity,
    Pages,
    Position,
    encode_header,
    raw,
    segment_name,
)
from seawall.journal.reading import Flags, FoundFrame, Mirror, SegmentCopy, next_frame, position_before
from seawall.vocabulary.errors import JournalCorrupt


@dataclass(frozen=True, slots=True)
class Damage:
    """A page of one copy that is not what it ought to be; page 0 also stands for the whole file.

    `frame` is the frame the page belongs to (a segment's first for its header, 0 for an unused page). `cut` says that
    it belongs to a frame that was never completed, so that it is given up and not repaired. `what` says how it differs,
    to the byte.
    """

    folder: Path
    segment: int
    page: int
    frame: int
    what: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found; `ok` means no damage at all, `repairable` that opening the journal would succeed.

    `frames` and `commands` count what was read: retired segments, and those before the start, are not in it.
    """

    ok: bool
    repairable: bool
    first_bad_frame: int | None
    frames: int
    commands: int
    head_hash: bytes
    damage: tuple[Damage, ...]
    corrupt: str | None


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What opening the journal rewrote from the other copy, and what it gave up as never completed."""

    repaired: tuple[Damage, ...] = ()
    cut: tuple[Damage, ...] = ()


@dataclass(slots=True)
class Image:
    """One segment as it ought to be. Pages from `known` on are unknown: no copy holds a proven frame there."""

    segment: int
    rows: Pages
    copies: list[SegmentCopy]
    frames: list[int]
    known: int
    end: Position | None = None
    corrupt: JournalCorrupt | None = None
    last: FoundFrame | None = field(default=None)

    def take(self, found: FoundFrame) -> None:
        """The next frame of the segment."""
        pages = slice(found.at.page, found.at.page + len(found.rows))
        self.rows[pages] = found.rows
        self.frames[pages] = [found.frame.number] * len(found.rows)
        self.last = found

    def wrong(self, copy: SegmentCopy) -> Flags:
        """The pages of a copy that differ."""
        differ: Flags = (copy.rows.view(np.uint64) != self.rows.view(np.uint64)).any(axis=1)
        unknown = slice(self.known, None)
        differ[unknown] = ~copy.sound[unknown] & copy.rows[unknown].view(np.uint64).any(axis=1)
        differ[list(copy.unreadable)] = True
        return differ


def verify(folders: Sequence[Path], *, start: int = FIRST_FRAME, disk: Disk | None = None) -> Verification:
    """Check the chain and both copies, page by page; nothing is written.

    With a `start` checking begins at the last segment that starts no later than that frame, on the word of its headers.
    Of a journal that is being written the frame in flight may be named. Raises InputError without a journal and
    JournalCorrupt when the folders hold different journals or no header can be read.
    """
    mirror = Mirror(folders, disk or OsDisk(), direct=True)
    damage: list[Damage] = []
    corrupt: JournalCorrupt | None = None
    begin = end = position_before(mirror, start)
    for image in images(mirror, begin):
        for copy in image.copies:
            damage += _damage(image, copy)
        end = image.end or end
        corrupt = corrupt or image.corrupt
    damage += [one for _, one in _bad_markers(mirror)]
    bad = [found.frame for found in damage if found.frame] + ([corrupt.frame] if corrupt else [])
    return Verification(
        ok=not damage and corrupt is None,
        repairable=corrupt is None,
        first_bad_frame=min(bad, default=None),
        frames=end.frame - begin.frame,
        commands=end.seq - begin.seq,
        head_hash=end.previous,
        damage=tuple(damage),
        corrupt=str(corrupt) if corrupt else None,
    )


def recover(mirror: Mirror) -> tuple[Position, RecoveryReport]:
    """Repair each copy from the other and cut what was never completed; returns where the next frame goes.

    A page that is bad in one copy is rewritten and synced there before anything is written to the other. The last frame
    is then rewritten even where it reads well, one copy after the other: after a failed sync the system may show pages
    that never reached the disk.
    Raises JournalCorrupt, with nothing of that segment or later touched; OSError when a write fails.
    """
    damage: list[Damage] = []
    end: Position | None = None
    for image in images(mirror, mirror.base):
        if image.corrupt is not None:
            raise image.corrupt
        for copy in image.copies:
            named = _damage(image, copy)
            damage += named
            if named:
                _rewrite(image, copy, mirror.disk)
        if image.end is not None:
            end = image.end
            if image.last is not None:
                for copy in image.copies:
                    _write_pages(image, copy, mirror.disk, [_pages_of_last(image.last)])
    damage += _mend_markers(mirror)
    for folder in mirror.folders:
        mirror.disk.sync_folder(folder)
    assert end is not None
    report = RecoveryReport(
        repaired=tuple(one for one in damage if not one.cut), cut=tuple(one for one in damage if one.cut)
    )
    return end, report


def images(mirror: Mirror, at: Position) -> Iterator[Image]:
    """Every segment from the one that begins at `at`; the last in use has `end`, or `corrupt` where it breaks."""
    image = _image(mirror, at.segment, encode_header(at, mirror.identity), at.frame)
    try:
        while (found := next_frame(mirror, at, thorough=True)) is not None:
            if found.at.segment != at.segment:
                yield image
                header = encode_header(found.at, mirror.identity)
                image = _image(mirror, found.at.segment, header, found.at.frame)
            image.take(found)
            at = found.behind
    except JournalCorrupt as error:
        image.corrupt, image.known = error, at.page
    image.end = at
    yield image
    for segment in mirror.present:
        if segment > at.segment:
            unused = _image(mirror, segment, None, 0)
            unused.known = 0 if image.corrupt else unused.known
            yield unused


def _image(mirror: Mirror, segment: int, header: Pages | None, frame: int) -> Image:
    identity: Identity = mirror.identity
    rows: Pages = np.zeros((identity.pages, PAGE_BYTES), np.uint8)
    if header is not None:
        rows[0] = header
    return Image(segment, rows, mirror.copies(segment), [frame] + [0] * (identity.pages - 1), identity.pages)


def _damage(image: Image, copy: SegmentCopy) -> list[Damage]:
    if not copy.present:
        if not image.rows[0].any():
            return []  # a segment prepared in one copy and not yet in the other
        return [Damage(copy.folder, image.segment, 0, image.frames[0], "the segment's file is missing")]
    found = []
    if copy.file_bytes != image.rows.nbytes:
        what = f"the file has {copy.file_bytes} bytes instead of {image.rows.nbytes}"
        found.append(Damage(copy.folder, image.segment, 0, image.frames[0], what))
    for page in np.flatnonzero(image.wrong(copy)).tolist():
        what, cut = _describe(image, copy, page)
        frame = int(copy.records["frame"][page]) if cut else image.frames[page]
        found.append(Damage(copy.folder, image.segment, page, frame, what, cut))
    return found


def _describe(image: Image, copy: SegmentCopy, page: int) -> tuple[str, bool]:
    """What is wrong with a page, to the byte, and whether it is cut."""
    if page in copy.unreadable:
        return "the disk could not read it", False
    record, is_sound = copy.records[page], bool(copy.sound[page])
    says = f"sound page {record['index']} of {record['count']} of frame {record['frame']}"
    if page >= image.known:
        return "its CRC or its place does not hold, and no copy proves what it was", False
    unused = image.frames[page] == 0
    if unused and is_sound:
        return f"{says}, which no copy completes and nothing proves acknowledged", True
    differ = np.flatnonzero(copy.rows[page] != image.rows[page])
    first = int(differ[0])
    bytes_differ = (
        f"{len(differ)} bytes differ, first byte {first}: {copy.rows[page, first]:#04x}"
        f" instead of {image.rows[page, first]:#04x}"
    )
    if unused:
        return f"an unused page is not zero: {bytes_differ}", False
    if is_sound:
        return f"{says}, not what belongs here: {bytes_differ}", False
    return bytes_differ, False


def _bad_markers(mirror: Mirror) -> list[tuple[Path, Damage]]:
    """Folders whose marker of retired segments is not the one the journal begins with."""
    base, found = mirror.base, []
    for folder, marker in zip(mirror.folders, mirror.markers, strict=True):
        if marker != ((mirror.identity, base) if base.segment else None):
            what = f"the marker of retired segments does not say {base.segment}"
        elif marker is None and read_file(mirror.disk, folder / BASE_NAME) is not None:
            what = "a marker of retired segments where none is retired"
        else:
            continue
        found.append((folder, Damage(folder, base.segment, 0, base.frame, what)))
    return found


def _mend_markers(mirror: Mirror) -> list[Damage]:
    found = _bad_markers(mirror)
    for folder, _ in found:
        if mirror.base.segment:
            write_base(mirror.disk, folder, mirror.identity, mirror.base)
        else:
            mirror.disk.remove(folder / BASE_NAME)
    return [one for _, one in found]


def _rewrite(image: Image, copy: SegmentCopy, disk: Disk) -> None:
    if not copy.present:
        write_segment(disk, copy.folder, image.segment, image.rows)
        return
    wrong = image.wrong(copy)
    wrong[copy.file_bytes // PAGE_BYTES :] = True  # what a cut file lacks is written, zeros included
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wrong, [False])).astype(np.int8)))
    _write_pages(image, copy, disk, list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)))


def _write_pages(image: Image, copy: SegmentCopy, disk: Disk, runs: list[tuple[int, int]]) -> None:
    descriptor = disk.open(copy.folder / segment_name(image.segment), write=True)
    try:
        for first, end in runs:
            data = raw(image.rows[first:end])
            write_fully(disk, descriptor, data, first * PAGE_BYTES)
        if disk.size(descriptor) > image.rows.nbytes:
            disk.truncate(descriptor, image.rows.nbytes)
        disk.fdatasync(descriptor)
    finally:
        disk.close(descriptor)


def _pages_of_last(found: FoundFrame) -> tuple[int, int]:
    """Rows of the last frame, with the segment's header where both are written together."""
    first = found.at.page
    return (0 if first == 1 else first), first + len(found.rows)
