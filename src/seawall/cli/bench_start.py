"""How long a node takes to start from a snapshot of a large book, and what memory it then has.

The start is measured in a process of its own, which has nothing of the world's making in memory: from the loading of
the compiled kernels to the journalled OPENED. The start of Python and its imports do not count.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from seawall.node import Configuration, Node

WORLD: Final = (10_000, 1_000, 1_000_000)
GROUP: Final = 4096


class StartFigures(NamedTuple):
    """Seconds to start, of which `kernels_s` to load the kernels; orders open then; the process's memory, in bytes.

    `resident` is after the start, `peak` the most it ever was; `snapshot_s` the time to write a snapshot in the
    process that made the world, `stall_s` that of the copy a running writer waits for.
    """

    seconds: float
    kernels_s: float
    orders: int
    resident: int
    peak: int
    snapshot_s: float
    stall_s: float


def measure(accounts: int = WORLD[0], instruments: int = WORLD[1], resting: int = WORLD[2]) -> StartFigures:
    """Build the world in a journal in a temporary folder, stop cleanly, start again."""
    from seawall.sim.workload import Workload

    with tempfile.TemporaryDirectory() as folder:
        configuration = _configuration(folder)
        work = Workload(accounts, instruments, resting)
        node = Node.start(configuration, _Clock())
        node.submit(*work.opening)
        node.submit(work.filling)
        began = time.perf_counter()
        node.snapshot()
        written = time.perf_counter()
        node._snapshots.begin()
        stalled = time.perf_counter()
        node.stop()
        del work, node
        started = [sys.executable, "-m", "seawall.cli.bench_start", folder]
        done = subprocess.run(started, stdout=subprocess.PIPE, text=True, check=True)
        return StartFigures(**json.loads(done.stdout), snapshot_s=written - began, stall_s=stalled - written)


class _Clock:
    """Counts up: the world's options expire far behind it."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


def _configuration(folder: str) -> Configuration:
    return Configuration.of({"data": folder, "engine": "fast", "group": GROUP, "segment_bytes": 64 << 20})


def _start(folder: str) -> dict[str, float]:
    from seawall.cli.output import send_logs_to_stderr
    from seawall.engine.fast import Fast  # imports count as Python's own start
    from seawall.engine.kernels import load

    send_logs_to_stderr("warning")
    began = time.perf_counter()
    load()
    loaded = time.perf_counter()
    node = Node.start(_configuration(folder), _Clock())
    ready = time.perf_counter()
    # The system's own count of the peak, `ru_maxrss`, begins with that of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    engine = node.fold.engine
    assert isinstance(engine, Fast) and node.snapshot_frame, "it did not start from the snapshot"
    return {
        "seconds": ready - began,
        "kernels_s": loaded - began,
        "orders": engine.counts()["orders"],
        "resident": 1024 * int(status["VmRSS"].split()[0]),
        "peak": 1024 * int(status["VmHWM"].split()[0]),
    }


if __name__ == "__main__":
    json.dump(_start(sys.argv[1]), sys.stdout)
