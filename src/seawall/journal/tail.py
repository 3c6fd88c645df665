"""Reading a journal behind its writer, from another process: every frame in order, and none that is not durable.

A frame is known to be durable in both copies when the writer's horizon has reached it, or when a sound page of a later
frame is seen, for that is begun only afterwards. A frame in flight, and one that a crash left behind, is not yielded
before one of these holds; recovery begins the horizon anew, behind what it made durable.

Nothing here writes or locks: the writer never waits for a reader.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from seawall.journal.disk import Disk, OsDisk
from seawall.journal.horizon import Durable, read_horizon
from seawall.journal.layout import (
    FIRST_FRAME,
    PAGE_BYTES,
    Frame,
    Pages,
    Position,
    blank_pages,
    raw,
    records_of,
    segment_name,
)
from seawall.journal.reading import FoundFrame, Mirror, next_frame, position_before, sound_pages, whole_frame
from seawall.vocabulary.errors import InputError, JournalCorrupt, JournalError

BATCH: Final = 256


class Tail:
    """Frames from number `start` on, as they become durable. Not for use from several threads."""

    def __init__(self, folders: Sequence[Path], *, start: int = FIRST_FRAME, disk: Disk | None = None) -> None:
        """Raises InputError without a journal or when `start` is retired, JournalCorrupt as `frames` does."""
        self.folders, self._disk = tuple(folders), disk or OsDisk()
        mirror = Mirror(self.folders, self._disk)
        if start < mirror.base.frame:
            raise InputError("start", start, f"frames before {mirror.base.frame} are retired")
        self._identity, self._start = mirror.identity, start
        # The header of a segment whose first frame is in flight is not believed: both may yet be cut.
        durable = self._horizon()
        self._at = position_before(mirror, min(start, durable.frame if durable is not None else mirror.base.frame))

    @property
    def next_frame(self) -> int:
        """Number of the frame that comes next."""
        return max(self._at.frame, self._start)

    def poll(self, limit: int = BATCH) -> list[Frame]:
        """What is durable and was not yet given, at most `limit` frames; empty when there is nothing new.

        Raises JournalCorrupt for a frame that was acknowledged and cannot be read from any copy, JournalError when the
        next frame was retired.
        """
        given: list[Frame] = []
        durable = self._horizon()
        while len(given) < limit:
            found = self._find(durable)
            if found is None:
                break
            self._at = found.behind
            if found.frame.number >= self._start:
                given.append(found.frame)
        return given

    def _horizon(self) -> Durable | None:
        for folder in self.folders:
            durable = read_horizon(self._disk, folder, self._identity.journal)
            if durable is not None:
                return durable
        return None

    def _find(self, durable: Durable | None) -> FoundFrame | None:
        """The next frame, if it is known to be durable."""
        told = durable is not None and durable.frame >= self._at.frame
        found = self._peek()
        if found is None and (told or durable is None):
            found = self._search()
            if found is None and told:
                raise JournalCorrupt("no copy holds a frame that was durable", frame=self._at.frame, page=self._at.page)
        if found is None:
            return None
        return found if told or self._later_than(found) else None

    def _peek(self) -> FoundFrame | None:
        """The next frame read by itself, whole in one copy, here or at the start of the next segment."""
        for folder, at, first in self._first_pages(self._at):
            count = int(first["count"])
            rows = self._pages(folder, at, count) if 1 <= count <= self._identity.pages - at.page else None
            found = whole_frame(rows, at, self._identity.journal) if rows is not None else None
            if found is not None:
                return found
        return None

    def _search(self) -> FoundFrame | None:
        """The same with all means: page by page from both copies. What is not there may yet be retired."""
        mirror = Mirror(self.folders, self._disk)
        if self._at.frame < mirror.base.frame:
            raise JournalError(f"frame {self._at.frame} was retired before it was read")
        return next_frame(mirror, self._at)

    def _later_than(self, found: FoundFrame) -> bool:
        """Whether the first page of the frame after this one is there, in either copy."""
        return any(True for _ in self._first_pages(found.behind))

    def _first_pages(self, at: Position) -> Iterator[tuple[Path, Position, Any]]:
        """The sound first pages, as PAGE records, of the frame that belongs at `at` or at the next segment's start."""
        for place in (at, replace(at, segment=at.segment + 1, page=1)):
            for folder in self.folders:
                page = self._pages(folder, place, 1)
                if page is None or not sound_pages(page, self._identity.journal, place.segment, place.page)[0]:
                    continue
                record: Any = records_of(page)[0]
                if record["frame"] == at.frame and not record["index"] and record["previous"].tobytes() == at.previous:
                    yield folder, place, record

    def _pages(self, folder: Path, at: Position, count: int) -> Pages | None:
        """Pages of one copy; None where they are not all there."""
        if at.page + count > self._identity.pages:
            return None
        rows = blank_pages(count)
        try:
            descriptor = self._disk.open(folder / segment_name(at.segment))
            try:
                done = self._disk.pread(descriptor, raw(rows), at.page * PAGE_BYTES)
            finally:
                self._disk.close(descriptor)
        except OSError:
            return None  # a page that cannot be read is a damaged page: the other copy stands in
        return rows if done == rows.nbytes else None
