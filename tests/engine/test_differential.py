"""The two engines agree event for event and state for state on random commands of every kind, good and bad.

A failure names its seed; `python tests/engine/replay_seed.py SEED` replays it. The soak starts at SEAWALL_SEED.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from differential import campaign

STREAM = 10_000
SEEDS = 20
SOAK = 10_000_000


@pytest.mark.parametrize("seed", range(SEEDS))
def test_engines_agree(seed):
    assert campaign(seed, STREAM) >= STREAM


@pytest.mark.soak
def test_engines_agree_for_long():
    start, folded, seed = int(os.environ.get("SEAWALL_SEED", "1000")), 0, 0
    while folded < SOAK:
        print(f"seed {start + seed}", flush=True)
        folded += campaign(start + seed, STREAM)
        seed += 1


def test_a_seed_replays_from_the_command_line():
    script = Path(__file__).parent / "replay_seed.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script), "3", "200"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no difference" in done.stdout
