"""What signed checkpoints cost: the time to hash a command, and how far a writer is slowed by a tree built beside it.

The builder is what `seawall checkpoint` runs, in a process of its own and with the share of a core that it takes by
itself, but without a pause between two checkpoints: the worst case. Its rounds alternate with rounds in which it is
stopped, each longer than the builder's turn of work and rest, so that every one has its part of both. A writer at full
speed leaves it behind; it catches up when trading is slower.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.cli.checkpoint import SHARE, give_way, hash_all
from seawall.journal import Journal, folders_of
from seawall.journal.checkpoint import Signer, SigningKey, leaf_hashes, make_checkpoint
from seawall.journal.merkle import Tree
from seawall.journal.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.engine.fast import Fast
    from seawall.vocabulary.records import Commands

WORLD = (1_000, 100, 100_000)
BATCH = 2000
ROUNDS = 101
STREAM = 100_000
IDLE_S = 0.01


class CheckpointFigures(NamedTuple):
    """Microseconds to hash a command into the tree; commands/s of a writer by itself, and of a builder that has a core.

    `slowed` is the writer's time with the builder beside it against without, the median over pairs of rounds, with
    the `quartiles` of the pairs.
    """

    hash_us: float
    writer_per_s: float
    builder_per_s: float
    slowed: float
    quartiles: tuple[float, float]


def measure(rounds: int = ROUNDS, stream: int = STREAM) -> CheckpointFigures:
    """Engine and group commit over a steady stream, with the builder beside them and without."""
    from seawall.engine.fast import Fast
    from seawall.sim.workload import Workload

    work = Workload(*WORLD)
    engine = Fast(room=2 * work.resting)
    with tempfile.TemporaryDirectory() as folder:
        folders = folders_of(Path(folder))
        with Journal.create(folders) as journal:
            journal.commit(*work.opening)
            engine.step(*work.opening)
            _write(journal, engine, work.filling)
            _write(journal, engine, work.stream(stream))
            hash_us = _hashing(folders)
            alone: list[float] = []
            beside: list[float] = []
            builder = subprocess.Popen([sys.executable, "-m", "seawall.cli.bench_checkpoint", folder])
            try:
                while not (Path(folder) / "tiles" / "checkpoint").exists():
                    time.sleep(IDLE_S)  # it starts up while nobody is measured
                for turn in range(2 * rounds):
                    batch, with_it = work.stream(stream), (turn + turn // 2) % 2 == 0
                    while engine.make_ready(stream):
                        pass  # the host's pages, which are no part of the question
                    builder.send_signal(signal.SIGCONT if with_it else signal.SIGSTOP)
                    (beside if with_it else alone).append(_write(journal, engine, batch))
                builder.send_signal(signal.SIGCONT)
            finally:
                builder.kill()
                builder.wait()
        began = time.perf_counter()
        made = make_checkpoint(folders, Path(folder) / "again", _key())
        rate = made.added / (time.perf_counter() - began)
    ratios = [with_it / without for with_it, without in zip(beside, alone, strict=True)]
    low, slowed, high = statistics.quantiles(ratios, n=4)
    return CheckpointFigures(hash_us, stream / statistics.median(alone), rate, slowed, (low, high))


def _write(journal: Journal, engine: "Fast", stream: "Commands") -> float:
    """Seconds to journal and fold a stream as the node does: applied while both copies are written."""
    began = time.perf_counter()
    for start in range(0, len(stream), BATCH):
        batch = stream[start : start + BATCH]
        pending = journal.start_commit(batch)
        engine.step(batch)
        pending.wait()
    return time.perf_counter() - began


def _hashing(folders: "Sequence[Path]") -> float:
    """Microseconds for leaf and nodes of one command, frames in memory."""
    frames = Tail(folders).poll()
    took = []
    for _ in range(5):
        tree = Tree()
        began = time.perf_counter()
        for frame in frames:
            tree.append(leaf_hashes(frame))
        took.append((time.perf_counter() - began) / tree.size)
    return statistics.median(took) * 1e6


def _key() -> SigningKey:
    return SigningKey.of("bench", Ed25519PrivateKey.generate())


def _build(data: Path) -> None:
    """The builder: checkpoint after checkpoint until it is killed."""
    give_way()
    with Signer(folders_of(data), data / "tiles", _key()) as signer:
        while True:
            hash_all(signer, SHARE)
            signer.sign()
            time.sleep(IDLE_S)


if __name__ == "__main__":
    _build(Path(sys.argv[1]))
