"""Whole files made durable: under another name, written, synced, renamed, the folder synced."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from seawall.journal.disk import Bytes, Disk, Job, write_fully
from seawall.journal.layout import (
    BASE_PAGE,
    PAGE_BYTES,
    Identity,
    Pages,
    Position,
    decode_header,
    encode_header,
    raw,
    segment_name,
)
from seawall.vocabulary.errors import JournalBusy

CHUNK_BYTES: Final = 1 << 20
BASE_NAME: Final = "base"
LOCK_NAME: Final = "lock"


def write_file(disk: Disk, path: Path, data: Bytes) -> None:
    """Put a file in place of what was there, whole from the moment it has its name, durable in file and folder."""
    for _ in writing_file(disk, path, data):
        pass


def write_segment(disk: Disk, folder: Path, segment: int, rows: Pages) -> None:
    """`write_file` of a segment."""
    write_file(disk, folder / segment_name(segment), raw(rows))


def writing_file(disk: Disk, path: Path, data: Bytes) -> Job:
    """`write_file` as a job.

    Synced chunk by chunk: a sync of the journal never waits behind much dirty data of a segment being prepared.
    """
    yield from making_file(disk, path, data)
    yield
    disk.rename(new_name(path), path)
    yield
    disk.sync_folder(path.parent)


def making_file(disk: Disk, path: Path, data: Bytes) -> Job:
    """The first half of `writing_file`: synced, and not yet renamed."""
    descriptor = open_new(disk, path)
    try:
        for offset in range(0, len(data), CHUNK_BYTES):
            yield
            write_fully(disk, descriptor, data[offset : offset + CHUNK_BYTES], offset)
            yield
            disk.fdatasync(descriptor)
    finally:
        disk.close(descriptor)


def new_name(path: Path) -> Path:
    """The name under which a file is made."""
    return path.with_suffix(".new")


def open_new(disk: Disk, path: Path) -> int:
    """A descriptor of the empty file that will be `path`.

    What an interrupted making left there is removed, not emptied: a disk that then loses what it claims to have written
    would show that old content under the final name.
    """
    with suppress(FileNotFoundError):
        disk.remove(new_name(path))
    return disk.open(new_name(path), create=True)


def lock_folder(disk: Disk, folder: Path) -> int:
    """The lock of a folder's one writer. Raises JournalBusy if another has it."""
    try:
        return disk.lock(folder / LOCK_NAME)
    except BlockingIOError as error:
        raise JournalBusy(f"another writer holds {folder}") from error


def read_file(disk: Disk, path: Path) -> bytes | None:
    """All of a small file; None where it is missing or cannot be read."""
    try:
        descriptor = disk.open(path)
        try:
            data = bytearray(disk.size(descriptor))
            done = 0
            while done < len(data) and (part := disk.pread(descriptor, memoryview(data)[done:], done)):
                done += part
        finally:
            disk.close(descriptor)
    except OSError:
        return None  # a file that cannot be read is a file that is not there: another copy stands in
    return bytes(data[:done])


def write_base(disk: Disk, folder: Path, identity: Identity, base: Position) -> None:
    """Say durably that the journal begins at `base`: what lies before is retired."""
    write_file(disk, folder / BASE_NAME, raw(encode_header(base, identity, BASE_PAGE)))


def read_base(disk: Disk, folder: Path) -> tuple[Identity, Position] | None:
    """What the marker of retired segments in a folder says; None where there is none or it is not sound."""
    data = read_file(disk, folder / BASE_NAME)
    if data is None or len(data) != PAGE_BYTES:
        return None
    return decode_header(np.frombuffer(data, np.uint8).reshape(1, PAGE_BYTES), BASE_PAGE)
