"""A disk in memory that forgets what was not synced, and that can be told to fail.

Fault model. Power cut: each 4 KiB page of a write that was not yet synced is there or not, independently, or torn at a
512-byte sector; a name that was not yet synced is there or not. Before a power cut, a named copy may lose writes it
claims to have synced.
"""

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seawall.journal import Journal, folders_of, frames
from seawall.vocabulary.records import Kind, commands

PAGE = 4096
SECTOR = 512
ROOT = Path("/data")
FOLDERS = folders_of(ROOT)


class PowerCut(Exception):
    """Nothing gets through to the disk any more."""


@dataclass
class File:
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list = field(default_factory=list)

    def put(self, target, offset, piece):
        if len(target) < offset + len(piece):
            target.extend(bytes(offset + len(piece) - len(target)))
        target[offset : offset + len(piece)] = piece


class MemoryDisk:
    """Implements seawall.journal.Disk. `operations` counts writes, syncs and names; `cut_after` ends them."""

    def __init__(self):
        self.names_seen, self.names_durable = {}, {}
        self.open_files, self.locked = {}, {}
        self.operations, self.cut_after = 0, None
        self.loses_writes = None  # a folder whose writes are claimed and not kept
        self.fail = lambda kind, path: None  # may raise OSError, or return bytes to be written
        self._next = 100
        self._guard = threading.Lock()

    def _count(self, kind, path):
        if self.cut_after is not None and self.operations >= self.cut_after:
            raise PowerCut(kind)
        self.operations += 1
        return self.fail(kind, path)

    def make_folder(self, folder):
        return None

    def names(self, folder):
        return [path.name for path in self.names_seen if path.parent == folder]

    def open(self, path, *, write=False, create=False, direct=False):
        with self._guard:
            self.fail("open", path)
            if create:
                self._count("create", path)
                self.names_seen[path] = File()
            if path not in self.names_seen:
                raise FileNotFoundError(path)
            self._next += 1
            self.open_files[self._next] = (path, self.names_seen[path])
            return self._next

    def close(self, descriptor):
        with self._guard:
            self.open_files.pop(descriptor, None)
            self.locked.pop(descriptor, None)

    def size(self, descriptor):
        return len(self.open_files[descriptor][1].data)

    def pread(self, descriptor, buffer, offset):
        with self._guard:
            path, file = self.open_files[descriptor]
            self.fail("read", (path, offset, len(buffer)))
            piece = file.data[offset : offset + len(buffer)]
            buffer[: len(piece)] = piece
            return len(piece)

    def pwrite(self, descriptor, data, offset):
        with self._guard:
            path, file = self.open_files[descriptor]
            assert offset % PAGE == 0 and len(data) % PAGE == 0, "only whole pages are ever written"
            taken = self._count("write", path)
            piece = bytes(data)[: len(data) if taken is None else taken]
            file.put(file.data, offset, piece)
            if path.parent != self.loses_writes:
                file.pending += [(offset + at, piece[at : at + PAGE]) for at in range(0, len(piece), PAGE)]
            return len(piece)

    def truncate(self, descriptor, size):
        with self._guard:
            path, file = self.open_files[descriptor]
            self._count("truncate", path)
            del file.data[size:], file.durable[size:]
            file.pending = [one for one in file.pending if one[0] < size]

    def fdatasync(self, descriptor):
        with self._guard:
            path, file = self.open_files[descriptor]
            self._count("sync", path)
            for offset, piece in file.pending:
                file.put(file.durable, offset, piece)
            file.pending = []

    def rename(self, old, new):
        with self._guard:
            self._count("rename", new)
            self.names_seen[new] = self.names_seen.pop(old)

    def sync_folder(self, folder):
        with self._guard:
            self._count("sync_folder", folder)
            kept = {path: file for path, file in self.names_durable.items() if path.parent != folder}
            self.names_durable = kept | {path: file for path, file in self.names_seen.items() if path.parent == folder}

    def lock(self, path):
        with self._guard:
            if path in self.locked.values():
                raise BlockingIOError(path)
            self._next += 1
            self.locked[self._next] = path
            return self._next

    def power_cut(self, rng: random.Random) -> "MemoryDisk":
        """The disk as it comes back: synced pages, and of the others whatever chance left."""
        after = MemoryDisk()
        for folder in FOLDERS:
            names = self.names_seen if rng.random() < 0.5 else self.names_durable
            for path, file in names.items():
                if path.parent == folder:
                    left = bytearray(file.durable)
                    keep = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
                    for offset, piece in file.pending:
                        if rng.random() < keep:
                            File().put(left, offset, piece)
                        elif rng.random() < 0.2:
                            sectors = rng.randrange(1, PAGE // SECTOR) * SECTOR
                            File().put(left, offset, piece[:sectors])
                    after.names_seen[path] = File(bytearray(left), left)
        after.names_durable = dict(after.names_seen)
        return after

    def segments(self, folder):
        return sorted(path for path in self.names_seen if path.parent == folder and path.suffix == ".seg")

    def damage(self, path, offset, piece):
        """Rot: what is on the disk changes without a write."""
        for target in (self.names_seen[path].data, self.names_seen[path].durable):
            target[offset : offset + len(piece)] = piece

    def content(self, path):
        return self.names_seen[path].data


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
