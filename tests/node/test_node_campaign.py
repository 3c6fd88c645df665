"""Start, trade, snapshot, retire, crash, again: what was acknowledged is never lost, the state is the plain fold's."""

import os

import pytest
import structlog
from node_campaign import campaign

SEED = int(os.environ.get("SEAWALL_SEED", "1"))


@pytest.fixture(autouse=True)
def quiet():
    """Hundreds of starts and deaths say nothing that the totals do not."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("seed", range(4))
def test_crashes_of_a_venue(seed):
    world = campaign(seed, 12)
    assert world.submitted > 100 and world.resumed


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10))
def test_many_crashes_of_a_venue(part):
    totals = [0, 0, 0]
    for seed in range(20):
        world = campaign(SEED * 10_000 + part * 100 + seed, 20)
        for index, count in enumerate((world.submitted, world.resumed, world.retired)):
            totals[index] += count
    print(f"400 lives, {totals[0]:,} commands, {totals[1]} starts from a snapshot, {totals[2]} venues retired segments")
    assert totals[1] > 50 and totals[2]
