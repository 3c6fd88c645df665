"""What the journal's tests write and read back."""

from pathlib import Path

import numpy as np

from seawall.journal import Journal, folders_of, frames
from seawall.sim.disk import PAGE, PowerCut, SimulatedDisk
from seawall.vocabulary.records import Kind, commands

ROOT = Path("/data")
FOLDERS = folders_of(ROOT)
__all__ = ["FOLDERS", "PAGE", "ROOT", "PowerCut", "SimulatedDisk", "batch", "commit", "history", "segments"]


def segments(disk, folder):
    """The segment files of one copy in order."""
    return sorted(path for path in disk.names_seen if path.parent == folder and path.suffix == ".seg")


def batch(first_seq, count, *, attachment=b""):
    """`count` commands to follow `first_seq`; the first owns the attachment."""
    made = commands(count)
    made["seq"] = np.arange(first_seq, first_seq + count)
    made["kind"] = Kind.ORDER
    made["price"] = made["seq"] * 7919 % 100_003
    made["client_id"] = made["seq"] * 2_654_435_761 % 2**62
    made["attachment"][0] = len(attachment)
    return made


def commit(journal: Journal, count: int, attachment: bytes = b"", digest=None) -> int:
    return journal.commit(batch(journal.next_seq, count, attachment=attachment), attachment, digest)


def history(folders, disk=None):
    """(number, hash) of every frame, after checking that nothing is lost, twice or changed within."""
    seen, seq = [], 1
    for frame in frames(folders, disk=disk):
        count = len(frame.commands)
        assert frame.number == len(seen) + 1
        assert frame.first_seq == seq
        assert frame.commands.tobytes() == batch(seq, count, attachment=frame.attachments).tobytes()
        seq += count
        seen.append((frame.number, frame.hash))
    return seen
