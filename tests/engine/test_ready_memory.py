"""Memory had before it is needed, and nothing of the state changed by that."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.engine.fast import Fast
from seawall.engine.fast_memory import POOLS
from seawall.engine.kernels import layout as at

ROOM = 1 << 17


def resident():
    """Bytes of this process that the machine has given; of files it may take some back at any time."""
    gc.collect()  # now, and not in the midst of what is measured
    with Path("/proc/self/smaps_rollup").open() as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))


def sizes(engine, first, last):
    """Bytes of a range of records of every pool and of what stands beside them."""
    arrays = [part for name, beside in POOLS.items() for part in (name, beside) if part]
    return sum(engine._arrays[name].nbytes for name in arrays) * (last - first) // ROOM


def measure():
    """Print slices, bytes given and bytes wanted, and slices of the rest."""
    engine = Fast(room=ROOM)
    asked, before, slices = ROOM // 2, resident(), 0
    while engine.make_ready(asked):
        slices += 1
    given = resident() - before
    assert not engine.make_ready(asked)
    rest = 0
    while engine.make_ready(2 * ROOM):  # no further than there is room
        rest += 1
    assert not engine.make_ready(2 * ROOM)
    print(slices, given, sizes(engine, 0, asked), rest, sizes(engine, 0, ROOM))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory given is told by Linux only")
def test_memory_is_had_for_as_many_records_as_asked_and_only_once():
    """In a process of its own: in this one arrays may be of memory that other tests gave back, and have it already."""
    code = "import test_ready_memory; test_ready_memory.measure()"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    slices, given, wanted, rest, most = map(int, done.stdout.split())
    assert slices > len(POOLS)
    assert 0.7 * wanted < given < 1.1 * most  # a slice is whole, and so is a huge page
    assert slices + rest <= 2 * len(POOLS) + most // (1 << 21)


def test_records_in_use_are_left_alone():
    engine = Fast(room=64)
    arrays = [part for name, beside in POOLS.items() for part in (name, beside) if part]
    for part in arrays:
        engine._arrays[part].view("u1")[:] = 255
    engine._header[at.USED_ORDERS : at.USED_ORDERS + len(POOLS)] = 40
    while engine.make_ready():
        pass
    for part in arrays:
        rows = engine._arrays[part].view("u1").reshape(64, -1)
        assert (rows[:40] == 255).all() and (rows[40:] != 255).any(), part
