"""Snapshots of an engine's state, in both folders: what they cover, and the bytes the node gave.

A snapshot is used only if every byte of it holds and the journal has the frame it covers, with the same hash: else the
other copy's, else an older one, else none. It is made under another name, synced and renamed in both folders before
an older one is removed. It may cover only a frame that is durable: state that nobody may know of stays out.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.journal.disk import Bytes, Disk, OsDisk, write_fully
from seawall.journal.files import new_name, open_new
from seawall.journal.horizon import Durable
from seawall.journal.layout import HASH_BYTES, PAGE_BYTES
from seawall.journal.reading import Mirror, next_frame, position_before
from seawall.journal.writing import Journal
from seawall.vocabulary.errors import InputError, JournalError

KEPT: Final = 2
SUFFIX: Final = ".snapshot"
NAME_DIGITS: Final = 16
TAG_BYTES: Final = 64
BLOCK_BYTES: Final = 1 << 20
SYNC_BLOCKS: Final = 8
ALIGNMENT: Final = 64
SNAPSHOT_MAGIC: Final = b"SEAS"
SNAPSHOT_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<4sHH16sQq32s32s64sQQI")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """State after frame `frame`, whose last command has `seq` and whose hash is `hash`.

    `digest` is the cumulative digest of the events up to there, `tag` names the layout of `chunks`, which are read-only
    and begin at multiples of 64 bytes in memory. Each has memory of its own, given back once it is taken out.
    """

    frame: int
    seq: int
    hash: bytes
    digest: bytes
    tag: bytes
    chunks: list[memoryview]


@dataclass(frozen=True, slots=True)
class _Header:
    journal: bytes
    covers: Durable
    digest: bytes
    tag: bytes
    chunks: int = 0
    body_bytes: int = 0
    table_crc: int = 0
    """The last three are known once the chunks were written."""

    def encode(self) -> bytes:
        tag = len(self.tag), self.journal, self.covers.frame, self.covers.seq, self.covers.hash, self.digest, self.tag
        body = _HEADER.pack(SNAPSHOT_MAGIC, SNAPSHOT_FORMAT, *tag, self.chunks, self.body_bytes, self.table_crc).ljust(
            PAGE_BYTES - 4, b"\0"
        )
        return zlib.crc32(body).to_bytes(4, "little") + body

    @property
    def blocks(self) -> int:
        return -(-self.body_bytes // BLOCK_BYTES)


def write_snapshot(
    journal: Journal,
    covers: Durable,
    digest: bytes,
    tag: bytes,
    chunks: Iterable[Bytes],
    *,
    kept: int = KEPT,
    disk: Disk | None = None,
) -> None:
    """Store state in both folders, then remove all but the newest `kept` snapshots. May run beside the writer.

    `covers` is what `journal.durable` was when the state was taken; `digest` the 32-byte cumulative digest of the
    events up to there. Raises InputError for a frame that is not durable, JournalError if it could not be written: the
    journal is none the worse, and the snapshots there were stay.
    """
    _check(journal, covers, digest, tag)
    keep_snapshot(journal.folders, journal.journal_id, covers, digest, tag, chunks, kept=kept, disk=disk)


def keep_snapshot(
    folders: Sequence[Path],
    journal: bytes,
    covers: Durable,
    digest: bytes,
    tag: bytes,
    chunks: Iterable[Bytes],
    *,
    kept: int = KEPT,
    disk: Disk | None = None,
) -> None:
    """The same in folders that need not be the journal's, for who reads behind its writer: `covers` was durable there.

    One process at a time. Raises JournalError.
    """
    disk = disk or OsDisk()
    name = snapshot_name(covers.frame)
    made = [folder / name for folder in folders]
    try:
        _write_both(disk, made, _Header(journal, covers, digest, tag), chunks)
        _publish(disk, made)
        for folder in folders:
            _prune(disk, folder, kept)
    except OSError as error:
        for path in made:
            with suppress(OSError):
                disk.remove(new_name(path))
        raise JournalError(f"the snapshot of frame {covers.frame} was not written: {error}") from error


def read_snapshot(folders: Sequence[Path], *, disk: Disk | None = None) -> Snapshot | None:
    """The newest snapshot that is whole in either folder and fits the journal; None where there is none.

    Raises InputError without a journal, JournalCorrupt as `frames` does.
    """
    return next(usable_snapshots(folders, disk=disk), None)


def usable_snapshots(
    folders: Sequence[Path], *, places: Sequence[Path] = (), disk: Disk | None = None
) -> Iterator[Snapshot]:
    """Those that could be started from, newest first, each once; in `places`, if they are not in the journal's."""
    disk = disk or OsDisk()
    mirror, places = Mirror(folders, disk), places or folders
    for frame in sorted({frame for folder in places for frame in snapshots_in(disk, folder)}, reverse=True):
        fits = covered(mirror, frame)
        for folder in places:
            snapshot = load_snapshot(disk, folder, frame, mirror.identity.journal) if fits else None
            if snapshot is not None and (snapshot.frame, snapshot.seq, snapshot.hash) == fits:
                yield snapshot
                break


def snapshot_name(frame: int) -> str:
    """File name of the snapshot that covers a frame."""
    return f"{frame:0{NAME_DIGITS}d}{SUFFIX}"


def snapshots_in(disk: Disk, folder: Path) -> list[int]:
    """The frames that snapshots in a folder cover, by their names, in order."""
    stems = [name.removesuffix(SUFFIX) for name in disk.names(folder) if name.endswith(SUFFIX)]
    return sorted(int(stem) for stem in stems if len(stem) == NAME_DIGITS and stem.isascii() and stem.isdigit())


def covered(mirror: Mirror, frame: int) -> tuple[int, int, bytes] | None:
    """(frame, last seq, hash) of a frame of the journal, if state after it can be gone on from."""
    base = mirror.base
    if frame == base.frame - 1 and base.segment:
        return frame, base.seq - 1, base.previous
    if frame < base.frame:
        return None
    at = position_before(mirror, frame)
    while at.frame <= frame:
        found = next_frame(mirror, at, check=False)
        if found is None:
            return None
        at = found.behind
    return frame, at.seq - 1, at.previous


def load_snapshot(disk: Disk, folder: Path, frame: int, journal: bytes) -> Snapshot | None:
    """The snapshot in one folder if it is whole, in memory of its own; None otherwise."""
    path = folder / snapshot_name(frame)
    try:
        descriptor = disk.open(path)
        try:
            header = _read_header(disk, descriptor)
            if header is None or (header.journal, header.covers.frame) != (journal, frame):
                return None
            return _read_body(disk, descriptor, header)
        finally:
            disk.close(descriptor)
    except OSError:
        return None  # what cannot be read is not used: the other copy, or an older one, stands in


def copy_snapshots(disk: Disk, sources: Sequence[Path], folders: Sequence[Path], journal: bytes) -> None:
    """Put the whole snapshots of a backup into other folders; whether they fit is looked at when they are read."""
    for source in sources:
        for frame in snapshots_in(disk, source):
            snapshot = load_snapshot(disk, source, frame, journal)
            missing = [folder for folder in folders if frame not in snapshots_in(disk, folder)]
            if snapshot is None or not missing:
                continue
            paths = [folder / snapshot_name(frame) for folder in missing]
            covers = Durable(snapshot.frame, snapshot.seq, snapshot.hash)
            _write_both(disk, paths, _Header(journal, covers, snapshot.digest, snapshot.tag), snapshot.chunks)
            _publish(disk, paths)


def _check(journal: Journal, covers: Durable, digest: bytes, tag: bytes) -> None:
    durable = journal.durable
    if not 1 <= covers.frame <= durable.frame or (covers.frame == durable.frame and covers != durable):
        raise InputError("covers", covers.frame, f"must be a frame that is durable; the last is {durable.frame}")
    if len(digest) != HASH_BYTES:
        raise InputError("digest", len(digest), f"must be {HASH_BYTES} bytes")
    if len(tag) > TAG_BYTES:
        raise InputError("tag", len(tag), f"must be at most {TAG_BYTES} bytes")


def _write_both(disk: Disk, paths: list[Path], header: _Header, chunks: Iterable[Bytes]) -> None:
    """Body, table and header in each file, synced, under the names they are made under."""
    with ExitStack() as opened:
        files = []
        for path in paths:
            files.append(open_new(disk, path))
            opened.callback(disk.close, files[-1])
        body = _Body(disk, files)
        lengths = [body.add(memoryview(chunk).cast("B")) for chunk in chunks]
        body.finish()
        table = np.array(lengths, "<u8").tobytes() + np.array(body.crcs, "<u4").tobytes()
        whole = _Header(
            header.journal, header.covers, header.digest, header.tag, len(lengths), body.bytes, zlib.crc32(table)
        )
        for file in files:
            if table:
                write_fully(disk, file, table, PAGE_BYTES + body.bytes)
            write_fully(disk, file, whole.encode(), 0)
            disk.fdatasync(file)


def _publish(disk: Disk, paths: list[Path]) -> None:
    for path in paths:
        disk.rename(new_name(path), path)
        disk.sync_folder(path.parent)


class _Body:
    """Gathers chunks into blocks, each written to every file with its CRC noted."""

    def __init__(self, disk: Disk, files: list[int]) -> None:
        self.bytes = 0
        self.crcs: list[int] = []
        self._disk, self._files = disk, files
        self._block, self._filled = memoryview(bytearray(BLOCK_BYTES)), 0

    def add(self, chunk: memoryview) -> int:
        """Append a chunk, padded to the alignment; returns its length."""
        self._put(chunk)
        self._put(memoryview(bytes(-len(chunk) % ALIGNMENT)))
        return len(chunk)

    def finish(self) -> None:
        """Write what is left."""
        if self._filled:
            self._flush()

    def _put(self, piece: memoryview) -> None:
        while len(piece):
            taken = min(len(piece), BLOCK_BYTES - self._filled)
            self._block[self._filled : self._filled + taken] = piece[:taken]
            self._filled += taken
            piece = piece[taken:]
            if self._filled == BLOCK_BYTES:
                self._flush()

    def _flush(self) -> None:
        block = self._block[: self._filled]
        self.crcs.append(zlib.crc32(block))
        for file in self._files:
            write_fully(self._disk, file, block, PAGE_BYTES + self.bytes)
            if len(self.crcs) % SYNC_BLOCKS == 0:  # a sync of the journal never waits behind much dirty data
                self._disk.fdatasync(file)
        self.bytes += self._filled
        self._filled = 0


def _read_header(disk: Disk, descriptor: int) -> _Header | None:
    page = bytearray(PAGE_BYTES)
    if disk.pread(descriptor, memoryview(page), 0) != PAGE_BYTES:
        return None
    if zlib.crc32(memoryview(page)[4:]) != int.from_bytes(page[:4], "little"):
        return None
    magic, form, tag_bytes, journal, frame, seq, hash_, digest, tag, chunks, size, crc = _HEADER.unpack_from(page, 4)
    if (magic, form) != (SNAPSHOT_MAGIC, SNAPSHOT_FORMAT):
        return None
    return _Header(journal, Durable(frame, seq, hash_), digest, tag[:tag_bytes], chunks, size, crc)


def _read_body(disk: Disk, descriptor: int, header: _Header) -> Snapshot | None:
    table = np.zeros(8 * header.chunks + 4 * header.blocks, np.uint8)
    if disk.size(descriptor) != PAGE_BYTES + header.body_bytes + len(table):
        return None
    if not _fill(disk, descriptor, table, PAGE_BYTES + header.body_bytes) or zlib.crc32(table.data) != header.table_crc:
        return None
    lengths = table[: 8 * header.chunks].view("<u8").tolist()
    crcs = table[8 * header.chunks :].view("<u4").tolist()
    if sum(length + -length % ALIGNMENT for length in lengths) != header.body_bytes:
        return None
    body = _Reading(disk, descriptor, header.body_bytes, crcs)
    chunks = []
    for length in lengths:
        chunk = _aligned(length + -length % ALIGNMENT)
        if not body.fill(chunk):
            return None
        chunk.flags.writeable = False
        chunks.append(chunk.data[:length])
    covers = header.covers
    return Snapshot(covers.frame, covers.seq, covers.hash, header.digest, header.tag, chunks)


class _Reading:
    """The body from its beginning on, each block held against its CRC once all of it is read."""

    def __init__(self, disk: Disk, descriptor: int, size: int, crcs: list[int]) -> None:
        self.bytes = 0
        self._disk, self._descriptor, self._size, self._crcs = disk, descriptor, size, crcs
        self._crc = 0

    def fill(self, part: npt.NDArray[np.uint8]) -> bool:
        """Fill the part with what comes next; whether all is well so far."""
        done = 0
        while done < len(part):
            block = self.bytes // BLOCK_BYTES
            piece = part[done : done + (block + 1) * BLOCK_BYTES - self.bytes]
            if not _fill(self._disk, self._descriptor, piece, PAGE_BYTES + self.bytes):
                return False
            self._crc = zlib.crc32(piece.data, self._crc)
            self.bytes += len(piece)
            done += len(piece)
            if self.bytes % BLOCK_BYTES == 0 or self.bytes == self._size:
                if self._crc != self._crcs[block]:
                    return False
                self._crc = 0
        return True


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    space = np.empty(size + ALIGNMENT, np.uint8)
    start = -space.ctypes.data % ALIGNMENT
    return space[start : start + size]


def _fill(disk: Disk, descriptor: int, part: npt.NDArray[np.uint8], offset: int) -> bool:
    view, done = part.data, 0
    while done < len(view):
        count = disk.pread(descriptor, view[done:], offset + done)
        if count == 0:
            return False
        done += count
    return True


def _prune(disk: Disk, folder: Path, kept: int) -> None:
    """Remove older snapshots, and what an interrupted writing left."""
    old = [snapshot_name(frame) for frame in snapshots_in(disk, folder)[:-kept]]
    left = [name for name in disk.names(folder) if name.endswith(".new") and len(name) == NAME_DIGITS + len(".new")]
    for name in [*old, *left]:
        disk.remove(folder / name)
    if old or left:
        disk.sync_folder(folder)
