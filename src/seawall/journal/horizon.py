"""How far the journal is durable, as the writer tells readers: one small file, written after both syncs, not synced.

It is never ahead of the truth, however old it is, for what is durable stays so; and the writer begins it anew, synced,
when it opens, so that it never speaks of another history than the folder's. A reader that finds none, or not this
journal's, goes by the rule that a later frame proves an earlier one durable.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.journal.disk import Disk
from seawall.journal.files import read_file

HORIZON_NAME: Final = "horizon"
HORIZON_MAGIC: Final = b"SEAH"
_HORIZON: Final = struct.Struct("<4s16sQq32s")


@dataclass(frozen=True, slots=True)
class Durable:
    """A frame that is durable in both copies, its last sequence number, and its hash. Frame 0: none yet."""

    frame: int
    seq: int
    hash: bytes


def encode_horizon(journal: bytes, durable: Durable) -> bytes:
    """The file's bytes: a CRC-32 of the rest, then the rest."""
    body = _HORIZON.pack(HORIZON_MAGIC, journal, durable.frame, durable.seq, durable.hash)
    return zlib.crc32(body).to_bytes(4, "little") + body


def read_horizon(disk: Disk, folder: Path, journal: bytes) -> Durable | None:
    """What the writer of that journal published last; None if nothing can be trusted or it is half written."""
    data = read_file(disk, folder / HORIZON_NAME)
    if data is None or len(data) != 4 + _HORIZON.size or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    magic, owner, frame, seq, frame_hash = _HORIZON.unpack_from(data, 4)
    return Durable(frame, seq, frame_hash) if (magic, owner) == (HORIZON_MAGIC, journal) else None
