"""A real process, really killed: what it had acknowledged stands, in order and once."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from journal_world import history

from seawall.journal import folders_of, frames, verify

CHILD = Path(__file__).with_name("committing_child.py")


def kill_again_and_again(data, kills, seed):
    rng, folders = random.Random(seed), folders_of(data)
    found = 0
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(data), str(rng.randrange(2**32))],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )
        assert child.stdout is not None
        wanted, told = rng.randrange(1, 120), []
        for line in child.stdout:
            told.append(int(line.removeprefix("opened ")))
            if len(told) >= wanted:
                break
        child.send_signal(signal.SIGKILL)
        told += [int(line) for line in child.stdout.read().splitlines() if line.isdigit()]
        assert child.wait() == -signal.SIGKILL, "the child ended by itself"
        assert told[0] == found, "what stood after the last kill stands when it is opened"
        assert verify(folders).repairable
        found = sum(len(frame.commands) for frame in frames(folders))
        assert told == sorted(set(told)) and found >= told[-1]
    assert len(history(folders)) > kills


def test_ten_kills(tmp_path):
    kill_again_and_again(tmp_path, 10, seed=1)


@pytest.mark.soak
def test_a_hundred_kills(tmp_path):
    kill_again_and_again(tmp_path, 100, seed=int(os.environ.get("SEAWALL_SEED", "2")))
