"""Opens the journal in argv[1], commits frames until killed, and prints each frame's last sequence number once durable.

argv[2] seeds the sizes. Ends by itself after a while, should nobody kill it.
"""

import random
import sys
from pathlib import Path

from journal_world import batch

from seawall.journal import Journal, folders_of, holds_journal

SEGMENT_BYTES = 64 * 4096


def main() -> None:
    folders, rng = folders_of(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
    made = Journal.open(folders) if holds_journal(folders) else Journal.create(folders, segment_bytes=SEGMENT_BYTES)
    with made as journal:
        print(f"opened {journal.next_seq - 1}", flush=True)
        before = None
        for _ in range(20_000):
            seq, size = journal.next_seq, rng.choice((1, 5, 40, 400))
            pending = journal.start_commit(batch(seq, size))
            if before is not None:
                before[0].wait()
                print(before[1], flush=True)
            before = (pending, seq + size - 1)


if __name__ == "__main__":
    main()
