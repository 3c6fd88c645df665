"""Power cuts at every operation, with faults confined to one copy: nothing acknowledged is lost, nothing is twice."""

import errno
import random
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_world import FOLDERS, PAGE, PowerCut, SimulatedDisk, commit, history, segments

from seawall.journal import Journal, holds_journal, verify
from seawall.vocabulary.errors import OutcomeUnknown

SEGMENT_PAGES = 8
STOPPED = (PowerCut, OutcomeUnknown)


def write(disk, sizes, acknowledged):
    """Create or open, commit, note what was acknowledged; a power cut ends it anywhere."""
    journal = None
    try:
        if holds_journal(FOLDERS, disk=disk):
            journal = Journal.open(FOLDERS, disk=disk)
            assert verify(FOLDERS, disk=disk).ok, "after opening both copies are in order"
        else:
            journal = Journal.create(FOLDERS, segment_bytes=SEGMENT_PAGES * PAGE, disk=disk)
        del acknowledged[journal.next_frame - 1 :]
        for number, hash_ in history(FOLDERS, disk)[len(acknowledged) :]:
            acknowledged.append((number, hash_))  # it stands from now on, though nobody was told
        for size in sizes:
            number = commit(journal, size, b"data" * (size % 5))
            acknowledged.append((number, journal.head_hash))
        return True
    except STOPPED:
        return False
    finally:
        if journal is not None:
            with suppress(*STOPPED):
                journal.close()


def check(disk, acknowledged):
    """What was acknowledged stands, and at most one frame more."""
    if not holds_journal(FOLDERS, disk=disk):
        assert not acknowledged
        return
    found = history(FOLDERS, disk)
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1


def cut_everywhere(disk_of, sizes, known, rng):
    """Cut the power at each operation of one run; after each, open, commit and cut again somewhere."""
    operations = 0
    while True:
        disk, acknowledged = disk_of(), list(known)
        disk.cut_after = operations
        finished = write(disk, sizes, acknowledged)
        after = disk.power_cut(rng)
        check(after, acknowledged)
        after.cut_after = rng.randrange(60)
        write(after, sizes[:2], acknowledged)
        last = after.power_cut(rng)
        check(last, acknowledged)
        if write(last, sizes[:1], acknowledged):
            assert history(FOLDERS, last) == acknowledged
            assert verify(FOLDERS, disk=last).ok
        else:
            pytest.fail("a disk that works was refused")
        if finished:
            return operations
        operations += 1


@pytest.mark.parametrize("seed", range(4))
def test_power_cut_at_every_operation(seed):
    assert cut_everywhere(SimulatedDisk, (1, 70, 93, 31, 120), [], random.Random(seed)) > 40


def _rot(disk, folder, rng):
    """One fault in one copy, at rest. A journal of which only one copy was created has no second to mend it from."""
    paths = segments(disk, folder)
    if not all(segments(disk, folder) for folder in FOLDERS):
        return
    path = rng.choice(paths)
    size = len(disk.content(path))
    kind = rng.randrange(6)
    page = rng.randrange(max(1, size // PAGE)) * PAGE
    if kind == 0:
        disk.lose(path)
    elif kind == 1:
        disk.cut(path, page)
    elif kind == 2:
        disk.damage(path, page, bytes(PAGE))
    elif kind == 3:
        disk.damage(path, page, bytes(disk.content(rng.choice(paths))[:PAGE]))
    else:
        at = rng.randrange(max(1, size))
        disk.damage(path, at, bytes([disk.content(path)[at] ^ 1 << rng.randrange(8)]) if size else b"x")


@pytest.mark.parametrize("seed", range(4))
def test_power_cut_at_every_operation_of_a_repair(seed):
    """The faulty copy is damaged before; the repair itself is cut everywhere."""
    rng = random.Random(100 + seed)

    def damaged():
        disk = SimulatedDisk()
        acknowledged[:] = []
        assert write(disk, (5, 70, 93, 31, 62), acknowledged)
        for _ in range(3):
            _rot(disk, FOLDERS[seed % 2], rng)
        return disk

    acknowledged = []
    operations = 0
    while True:
        disk = damaged()
        known = list(acknowledged)
        disk.cut_after = disk.operations + operations
        finished = write(disk, (40,), known)
        after = disk.power_cut(rng)
        check(after, known)
        assert write(after, (3,), known)
        assert history(FOLDERS, after) == known
        if finished:
            break
        operations += 1


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("size", [40, 120], ids=["same segment", "next segment"])
def test_pages_that_a_failed_sync_left_clean_in_the_cache(size, both):
    """After EIO the system shows what never reached the disk; what a new process finds and goes on from must stand."""
    disk, acknowledged = SimulatedDisk(), []
    assert write(disk, (5, 70), acknowledged)
    journal = Journal.open(FOLDERS, disk=disk)

    def fail(kind, path, *_):
        if kind == "sync" and path.suffix == ".seg" and (both or path.parent == FOLDERS[0]):
            disk.names_seen[path].pending = []
            raise OSError(errno.EIO, "as told")

    disk.fail = fail
    with pytest.raises(OutcomeUnknown):
        commit(journal, size)
    journal.close()
    disk.fail = lambda *_: None
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == 4
        commit(journal, 1)
    for seed in range(10):
        after = disk.power_cut(random.Random(seed))
        assert len(history(FOLDERS, after)) == 4 and verify(FOLDERS, disk=after).ok


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_of_a_journal_that_is_being_written(seed):
    """The copies are read at different moments: that is neither damage nor the end of what was acknowledged before."""
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=SEGMENT_PAGES * PAGE, disk=disk)
    rng, busy = random.Random(seed), []
    for size in (5, 70):
        commit(journal, size)

    def fail(kind, path, *_):
        if kind == "read" and not busy and journal.next_frame < 300:
            busy.append(True)
            for _ in range(rng.randrange(8)):
                commit(journal, rng.randrange(1, 120))
            busy.clear()

    disk.fail = fail
    for _ in range(10):
        before = journal.next_frame - 1
        assert len(history(FOLDERS, disk)) >= before
    assert journal.next_frame >= 100
    journal.close()


def test_a_reader_that_sees_a_later_frame_first():
    """Nothing is wrong with a journal whose writer went on between the reading of two segments."""
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=SEGMENT_PAGES * PAGE, disk=disk)
    for _ in range(3):
        commit(journal, 50)
    late = segments(disk, FOLDERS[1])[1]  # prepared, and the last file the reader comes to

    def fail(kind, path, offset, size):
        if kind == "read" and path == late and size > PAGE and journal.next_frame == 4:
            for count in (1, 50, 50):  # the first in the segment already read
                commit(journal, count)

    disk.fail = fail
    assert len(history(FOLDERS, disk)) == 6
    journal.close()


steps = st.lists(
    st.tuples(
        st.lists(st.integers(1, 150), max_size=5),  # frames to commit
        st.one_of(st.none(), st.integers(0, 60)),  # operations until the power is cut
        st.integers(0, 4),  # faults at rest in the faulty copy
        st.sampled_from((None, None, 0, 1)),  # a copy that loses what it claims to have written
    ),
    min_size=1,
    max_size=8,
)


def run(plan, seed):
    rng = random.Random(seed)
    disk, acknowledged = SimulatedDisk(), []
    faulty = None  # the one copy that may be bad until a successful opening has put it in order
    for sizes, cut, faults, liar in plan:
        if liar is not None and faulty in (None, liar) and holds_journal(FOLDERS, disk=disk):
            faulty, disk.liar = liar, FOLDERS[liar]
        disk.cut_after = cut
        write(disk, sizes, acknowledged)
        disk = disk.power_cut(rng)
        if faulty is None:
            faulty = rng.randrange(2)
        for _ in range(faults):
            _rot(disk, FOLDERS[faulty], rng)
        check(disk, acknowledged)
        if cut is None or rng.random() < 0.5:
            if holds_journal(FOLDERS, disk=disk):
                assert write(disk, [], acknowledged), "one bad copy is never a reason to refuse"
            faulty = None
    assert write(disk, [1], acknowledged)
    assert history(FOLDERS, disk) == acknowledged
    assert verify(FOLDERS, disk=disk).ok


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=steps, seed=st.integers(0, 2**32))
def test_nothing_acknowledged_is_lost(plan, seed):
    run(plan, seed)
