"""Thousands of crashes and single faults over everything the journal does: nothing acknowledged is ever lost.

Also that nothing stands which was never submitted, that a journal without damage in both copies is never refused, and
that no damage is passed over in silence. The soak takes about eight minutes of one core; run pytest with -rP to see
totals by operation and kind of fault.
"""

import os
import time

import journal_campaign as campaign
import pytest

SEED = int(os.environ.get("SEAWALL_SEED", "1"))
ROTATION = {("commit", step) for step in ("create", "rename", "sync_folder")}
"""A commit makes a file only when it goes on in a new segment."""


def shown(name, run, seed, count, *arguments):
    began = time.perf_counter()
    totals = run(seed, count, *arguments)
    print(f"{name}: {count:,} with SEAWALL_SEED={seed} in {time.perf_counter() - began:.0f} s")
    print(campaign.table(totals))
    return totals


@pytest.mark.parametrize("faulty", [None, 0, 1])
def test_hundreds_of_crash_points(faulty):
    totals = shown("crash points", campaign.crash_points, 7, 250, faulty)
    cut = {what for what in totals if isinstance(what, tuple)}
    assert {phase for phase, _ in cut} >= {"commit", "recover", "snapshot", "archive", "retire"}
    assert ROTATION & cut


def test_hundreds_of_single_faults():
    totals = shown("single faults", campaign.faults, 7, 200)
    assert {kind for kind, _ in totals} == {*campaign.STRIKES, *campaign.AT_REST}


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_twenty_thousand_crash_points(part):
    totals = shown("crash points", campaign.crash_points, SEED + part, 5_000)
    assert all(totals[step] >= 100 for step in ROTATION)
    assert all(sum(totals[what] for what in totals if what[0] == phase) >= 100 for phase in ("recover", "retire"))


@pytest.mark.soak
@pytest.mark.parametrize("faulty", [0, 1])
def test_crash_points_with_one_copy_that_rots_and_lies(faulty):
    shown(f"crash points, copy {faulty} bad", campaign.crash_points, SEED + 10 + faulty, 5_000, faulty)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(2))
def test_four_thousand_single_faults(part):
    shown("single faults", campaign.faults, SEED + 20 + part, 2_000)
