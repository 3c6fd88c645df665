"""Makes the journal of the day that is kept for ever: ``PYTHONPATH=src python tests/node/keep_journal.py``.

It writes tests/node/journals/rules-7.tar.xz and its digest beside it, which test_kept_journals.py holds folds against.
To be run again only before a release has written journals under these rules: from then on a difference is a defect.
"""

import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from random_venue import RandomVenue

from seawall.journal import OsDisk, folders_of, frames
from seawall.node import Configuration, Node, replay
from seawall.vocabulary.records import Kind

KEPT = Path(__file__).parent / "journals"
NAME = "rules-7"
SEEDS = (55, 56)
BATCHES, COMMANDS = 12, 110


class InMemory(OsDisk):
    """The file names of a disk, without its waits."""

    def fdatasync(self, descriptor):
        """Nobody needs this folder after the run."""


def make(data: Path) -> None:
    """One venue after the other in a journal: random commands of every kind, stops of both kinds, a snapshot."""
    settings = {"data": str(data), "segment_bytes": 1 << 18, "group": 64}
    venue = RandomVenue(SEEDS[0])
    for life, seed in enumerate(SEEDS):
        venue.flow.rng.seed(seed)
        node = Node.start(Configuration.of(settings), venue, disk=InMemory())
        venue.trade(node, BATCHES, COMMANDS)
        if life:
            node.stop()
        else:
            node.snapshot()
            node.journal.close()  # as a kill leaves it


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Segments only, with nothing of the machine."""
    if entry.isfile() and not entry.name.endswith(".seg"):
        return None
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


def kinds(data: Path) -> Counter[int]:
    """How many commands there are of each kind."""
    return Counter(np.concatenate([frame.commands["kind"] for frame in frames(folders_of(data))]).tolist())


def main() -> int:
    """Make it, pack it, say its digest and what is in it; 1 if the engines differ or a kind of command is missing."""
    file = KEPT / f"{NAME}.tar.xz"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / NAME
        make(data)
        digests = {engine: replay(folders_of(data), engine).digest for engine in ("fast", "reference")}
        found = kinds(data)
        with tarfile.open(file, "w:xz", preset=9) as packed:
            packed.add(data, NAME, filter=plain)
    (KEPT / f"{NAME}.digest").write_text(digests["reference"] + "\n")
    missing = [kind.name for kind in Kind if kind not in found]
    print(f"{file}: {file.stat().st_size:,} bytes, {found.total():,} commands; missing kinds: {missing or 'none'}")
    print(digests)
    return 1 if missing or len(set(digests.values())) > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
