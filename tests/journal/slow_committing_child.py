"""Commits frames to the journal in argv[1] on a disk whose syncs take argv[2] seconds in copy b.

Says `begun N` when frame N is on its way, `durable N` when it is not in flight any more, and ends after argv[3] frames.
"""

import sys
import time
from pathlib import Path

from journal_world import batch

from seawall.journal import Journal, OsDisk, folders_of


class SlowDisk(OsDisk):
    """Copy b is slow to sync; copy a has the frame at once."""

    def __init__(self, folder, seconds):
        super().__init__()
        self.slow, self.folder, self.seconds = set(), folder, seconds

    def open(self, path, *, write=False, create=False, direct=False):
        descriptor = super().open(path, write=write, create=create, direct=direct)
        self.slow.discard(descriptor)
        if direct and path.parent == self.folder:
            self.slow.add(descriptor)
        return descriptor

    def fdatasync(self, descriptor):
        if descriptor in self.slow:
            time.sleep(self.seconds)
        super().fdatasync(descriptor)


def main():
    folders = folders_of(Path(sys.argv[1]))
    with Journal.create(folders, segment_bytes=16 * 4096, disk=SlowDisk(folders[1], float(sys.argv[2]))) as journal:
        print("created", flush=True)
        for _ in range(int(sys.argv[3])):
            pending = journal.start_commit(batch(journal.next_seq, 40))
            print(f"begun {pending.frame}", flush=True)
            sys.stdin.readline()  # the reader has looked
            pending.wait()
            print(f"durable {pending.frame}", flush=True)
            sys.stdin.readline()


if __name__ == "__main__":
    main()
