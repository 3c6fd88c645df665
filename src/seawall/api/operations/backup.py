"""A backup of a running venue: closed segments as an archive, and of the open one what is durable at that moment.

The folder then restores with `seawall restore DIR --archive FOLDER --from FOLDER/open`, up to the frame that the backup
names: what was acknowledged later is not in it. The sealed keystore goes with it, its data key does not.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from seawall.api.keystore import STORE_NAME
from seawall.journal import archive
from seawall.journal.checkpoint import write_durably
from seawall.journal.disk import OsDisk
from seawall.journal.files import write_segment
from seawall.journal.horizon import read_horizon
from seawall.journal.layout import PAGE_BYTES, Pages, encode_header, segment_name
from seawall.journal.reading import Mirror, next_frame, read_header, segments_in
from seawall.vocabulary.errors import JournalError

OPEN_NAME: Final = "open"


class Backup(NamedTuple):
    """What was copied: closed segments, those of the open part, and the last frame and command that are in it."""

    closed: list[int]
    open: list[int]
    frame: int
    seq: int


def back_up(folders: tuple[Path, Path], target: Path, keystore: Path | None = None, *, write: bool = True) -> Backup:
    """Copy to a folder, beside the writer. Raises InputError, JournalBusy, JournalCorrupt, JournalError."""
    disk = OsDisk()
    closed = archive(folders, target, write=write, disk=disk)
    mirror = Mirror(folders, disk)
    durable = read_horizon(disk, folders[0], mirror.identity.journal)
    if durable is None or not durable.frame:
        raise JournalError("the writer has not said yet what is durable")
    mirror.forget()
    rows = _open_part(mirror, durable.frame, after=max(segments_in(target, disk), default=-1))
    if write:
        folder = target / OPEN_NAME
        disk.make_folder(folder)
        for segment, pages in rows.items():
            write_segment(disk, folder, segment, pages)
        for stale in segments_in(folder, disk) - set(rows):
            disk.remove(folder / segment_name(stale))
        disk.sync_folder(folder)
        if keystore is not None and keystore.is_file():
            write_durably(target / STORE_NAME, keystore.read_bytes(), disk)
    return Backup([one.segment for one in closed], sorted(rows), durable.frame, durable.seq)


def _open_part(mirror: Mirror, last: int, after: int) -> dict[int, Pages]:
    """Pages of the segments behind the archived ones, with the frames up to `last` and nothing of later ones."""
    headers = [read_header(folder, after + 1, mirror.disk) for folder in mirror.folders] if after >= 0 else []
    at = next((header[1] for header in headers if header is not None), mirror.base)
    rows: dict[int, Pages] = {}
    if at.segment <= after or at.frame > last:
        return rows
    while (found := next_frame(mirror, at)) is not None and found.frame.number <= last:
        segment = found.at.segment
        if segment not in rows:
            rows[segment] = np.zeros((mirror.identity.pages, PAGE_BYTES), np.uint8)
            rows[segment][0] = encode_header(found.at, mirror.identity)
        rows[segment][found.at.page : found.at.page + len(found.rows)] = found.rows
        at = found.behind
    return rows
