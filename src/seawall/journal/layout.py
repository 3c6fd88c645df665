"""The on-disk format: pages, frames, segment headers. `docs/journal.md` has the tables.

Nothing here touches a file: bytes in, bytes out.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.records import COMMAND, Commands

Pages = npt.NDArray[np.uint8]
"""Shape (pages, PAGE_BYTES)."""

PAGE_BYTES: Final = 4096
HEADER_BYTES: Final = 128
PAYLOAD_BYTES: Final = PAGE_BYTES - HEADER_BYTES
"""31 command records: with a frame header of one record's size no record straddles pages."""

MAGIC: Final = int.from_bytes(b"SEAW", "little")
FORMAT: Final = 1
SEGMENT_PAGE: Final = 1
FRAME_PAGE: Final = 2
BASE_PAGE: Final = 3

HASH_BYTES: Final = 32
ID_BYTES: Final = 16
FIRST_FRAME: Final = 1
FIRST_SEQ: Final = 1
NO_DIGEST: Final = bytes(HASH_BYTES)

PAGE: Final = np.dtype(
    [
        ("crc", "<u4"),  # CRC-32 of the rest of the page
        ("magic", "<u4"),
        ("format", "<u2"),
        ("kind", "<u2"),
        ("length", "<u4"),  # bytes of payload in this page
        ("journal", "<u8", (2,)),
        ("segment", "<u4"),
        ("page", "<u4"),  # within the segment
        ("frame", "<u8"),
        ("index", "<u4"),  # of this page within the frame
        ("count", "<u4"),  # pages of the frame
        ("reserved", "<u8"),
        ("previous", "<u8", (4,)),  # hash of the frame before
        ("hash", "<u8", (4,)),  # hash of this frame
        ("payload", "u1", (PAYLOAD_BYTES,)),
    ]
)
assert PAGE.itemsize == PAGE_BYTES
assert PAGE_BYTES - PAYLOAD_BYTES == HEADER_BYTES

_PAGE_HEADER: Final = struct.Struct("<IIHHI16sIIQIIQ32s32s")
"""The fields of PAGE before its payload, in their order: one call a page writes them."""
assert _PAGE_HEADER.size == HEADER_BYTES

_FRAME_HEADER: Final = struct.Struct("<QqIIQQ32s56x")
assert _FRAME_HEADER.size == COMMAND.itemsize

_SEGMENT_HEADER: Final = struct.Struct("<Qq")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One group commit.

    `number` counts from 1, `first_seq` is the sequence number of the first command, `commands` a read-only COMMAND
    array. `digest` is the cumulative digest of the events up to and including frame `digest_frame` (0: none given).
    """

    number: int
    first_seq: int
    commands: Commands
    attachments: bytes
    digest_frame: int
    digest: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """What every page of one journal shares: its random id and the size of its segments in bytes."""

    journal: bytes
    segment_bytes: int

    @property
    def pages(self) -> int:
        """Pages in a segment, the header page included."""
        return self.segment_bytes // PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next frame goes and what it follows."""

    segment: int
    page: int
    frame: int
    previous: bytes
    seq: int


def blank_pages(count: int, space: npt.NDArray[np.uint8] | None = None, unit: int = PAGE_BYTES) -> Pages:
    """Zeroed pages in memory aligned to `unit` bytes: to a page at least, as writing past the cache demands.

    They are put into `space` if given, zeroed bytes and a unit more than they need.
    """
    space = np.zeros(count * PAGE_BYTES + unit, np.uint8) if space is None else space
    start = -space.ctypes.data % unit
    return space[start : start + count * PAGE_BYTES].reshape(count, PAGE_BYTES)


def records_of(pages: Pages) -> npt.NDArray[Any]:
    """The same pages as PAGE records; no copy."""
    return pages.reshape(-1).view(PAGE)


def raw(pages: Pages) -> memoryview:
    """The same pages as bytes; no copy."""
    return pages.reshape(-1).data


def start_of(journal: bytes) -> Position:
    """The position of the first frame; the chain starts from the journal's id."""
    genesis = hashlib.sha256(b"seawall journal 1" + journal).digest()
    return Position(segment=0, page=1, frame=FIRST_FRAME, previous=genesis, seq=FIRST_SEQ)


def folders_of(data: Path) -> tuple[Path, Path]:
    """The two copies of a node's journal in its data directory."""
    return data / "a", data / "b"


def segment_name(segment: int) -> str:
    """File name of a segment."""
    return f"{segment:08d}.seg"


def segment_number(name: str) -> int | None:
    """Inverse of `segment_name`; None for other files."""
    stem, _, suffix = name.partition(".")
    return int(stem) if suffix == "seg" and len(stem) == 8 and stem.isascii() and stem.isdigit() else None


def check_segment_bytes(segment_bytes: int) -> None:
    """Raise InputError unless a segment holds its header and at least one page."""
    if not _holds_a_page(segment_bytes):
        raise InputError(
            "segment_bytes", segment_bytes, f"must be a multiple of {PAGE_BYTES} in [{2 * PAGE_BYTES}, 2^31]"
        )


def _holds_a_page(segment_bytes: int) -> bool:
    return segment_bytes % PAGE_BYTES == 0 and 2 * PAGE_BYTES <= segment_bytes <= 1 << 31


def pages_needed(commands: int, attachment_bytes: int) -> int:
    """Pages of a frame with that many commands and bytes of attachments."""
    return -(-(_FRAME_HEADER.size + commands * COMMAND.itemsize + attachment_bytes) // PAYLOAD_BYTES)


def encode_frame(
    at: Position,
    journal: bytes,
    commands: Commands,
    attachments: bytes,
    digest: tuple[int, bytes],
    pages: Pages | None = None,
) -> tuple[Pages, bytes]:
    """The pages of one frame at `at`, and its hash; put into `pages` if given, whatever was there."""
    count = pages_needed(len(commands), len(attachments))
    pages = blank_pages(count) if pages is None else pages
    head = _FRAME_HEADER.pack(at.frame, at.seq, len(commands), 0, len(attachments), *digest)
    rows = np.ascontiguousarray(commands).view(np.uint8)
    digestion = hashlib.sha256(at.previous)
    for part in (head, rows.data, attachments):
        digestion.update(part)
    frame_hash = digestion.digest()
    end = _put_records(pages, head, rows.reshape(-1, COMMAND.itemsize))
    end = _put_bytes(pages, np.frombuffer(attachments, np.uint8), end)
    last = end - (count - 1) * PAYLOAD_BYTES
    pages[-1, HEADER_BYTES + last :] = 0
    _seal(pages, FRAME_PAGE, journal, at, at.page, last, frame_hash)
    return pages, frame_hash


def _put_records(pages: Pages, head: bytes, rows: npt.NDArray[np.uint8]) -> int:
    """The frame's header and its records, straight into the payloads; returns the bytes of payload used.

    A page is 32 places of a record's size, the first of them its header.
    """
    places = pages.reshape(len(pages), -1, COMMAND.itemsize)[:, HEADER_BYTES // COMMAND.itemsize :]
    each = places.shape[1]
    places[0, 0] = np.frombuffer(head, np.uint8)
    first = min(len(rows), each - 1)
    places[0, 1 : 1 + first] = rows[:first]
    whole, left = divmod(len(rows) - first, each)
    places[1 : 1 + whole] = rows[first : first + whole * each].reshape(whole, each, COMMAND.itemsize)
    if left:
        places[1 + whole, :left] = rows[len(rows) - left :]
    return (1 + len(rows)) * COMMAND.itemsize


def _put_bytes(pages: Pages, data: npt.NDArray[np.uint8], start: int) -> int:
    """Bytes into the payloads from `start` on; returns where they end."""
    done = 0
    while done < len(data):
        page, at = divmod(start + done, PAYLOAD_BYTES)
        part = data[done : done + PAYLOAD_BYTES - at]
        pages[page, HEADER_BYTES + at : HEADER_BYTES + at + len(part)] = part
        done += len(part)
    return start + done


def encode_header(at: Position, identity: Identity, kind: int = SEGMENT_PAGE) -> Pages:
    """Page 0 of segment `at.segment`, whose first frame will be `at.frame`: shape (1, PAGE_BYTES).

    Of `kind` BASE_PAGE it is the marker that says that the journal begins with that segment.
    """
    page = blank_pages(1)
    length = _put_bytes(page, np.frombuffer(_SEGMENT_HEADER.pack(identity.segment_bytes, at.seq), np.uint8), 0)
    _seal(page, kind, identity.journal, at, 0, length, NO_DIGEST)
    return page


def decode_header(
    page: Pages, kind: int = SEGMENT_PAGE, segment: int | None = None
) -> tuple[Identity, Position] | None:
    """What a header says (one row); None when it is not a sound one of that kind, of `segment` if that is given."""
    raw = page.tobytes()
    record: Any = records_of(page)[0]
    if zlib.crc32(raw[4:]) != record["crc"] or record["magic"] != MAGIC or record["format"] != FORMAT:
        return None
    if record["kind"] != kind or segment not in (None, int(record["segment"])) or record["page"] != 0:
        return None
    segment_bytes, seq = _SEGMENT_HEADER.unpack_from(raw, HEADER_BYTES)
    if not _holds_a_page(segment_bytes):  # written by no one but a forger, whom the CRC does not stop
        return None
    at = Position(int(record["segment"]), 1, int(record["frame"]), record["previous"].tobytes(), seq)
    return Identity(record["journal"].tobytes(), segment_bytes), at


def decode_frame(rows: Pages, at: Position, *, check: bool = True) -> Frame | None:
    """The frame in its pages, or None where length, place in the order or hash do not hold.

    Headers and CRCs of the rows are taken as checked; `check` False leaves out the hash.
    """
    header: Any = records_of(rows[:1])[0]
    frame_hash = header["hash"].tobytes()
    payload = rows[:, HEADER_BYTES:].flatten()
    number, first_seq, count, zero, attachment_bytes, digest_frame, digest = _FRAME_HEADER.unpack_from(payload.data)
    records_end = _FRAME_HEADER.size + count * COMMAND.itemsize
    end = records_end + attachment_bytes
    if (number, first_seq, zero) != (at.frame, at.seq, 0) or pages_needed(count, attachment_bytes) != len(rows):
        return None
    lengths = records_of(rows)["length"]
    if (lengths[:-1] != PAYLOAD_BYTES).any() or lengths[-1] != end - (len(rows) - 1) * PAYLOAD_BYTES:
        return None
    if check:
        if payload[end:].any():
            return None
        digestion = hashlib.sha256(at.previous)
        digestion.update(payload.data[:end])
        if digestion.digest() != frame_hash:
            return None
    payload.flags.writeable = False
    return Frame(
        number=number,
        first_seq=first_seq,
        commands=payload[_FRAME_HEADER.size : records_end].view(COMMAND),
        attachments=payload[records_end:end].tobytes(),
        digest_frame=digest_frame,
        digest=digest,
        hash=frame_hash,
    )


def after(at: Position, frame: Frame, pages: int) -> Position:
    """The position behind a frame of that many pages."""
    return Position(at.segment, at.page + pages, at.frame + 1, frame.hash, at.seq + len(frame.commands))


def _seal(pages: Pages, kind: int, journal: bytes, at: Position, first: int, last: int, frame_hash: bytes) -> None:
    """Headers of pages from page `first` of the segment on, each full but for the last; then the CRCs over all else."""
    data, count = raw(pages), len(pages)
    for index in range(count):
        start = index * PAGE_BYTES
        length = PAYLOAD_BYTES if index < count - 1 else last
        _PAGE_HEADER.pack_into(
            data, start, 0, MAGIC, FORMAT, kind, length, journal, at.segment, first + index, at.frame, index, count, 0,
            at.previous, frame_hash,
        )  # fmt: skip
        struct.pack_into("<I", data, start, zlib.crc32(data[start + 4 : start + PAGE_BYTES]))
