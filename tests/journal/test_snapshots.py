"""A snapshot that is torn, rotten or of another history is never used: the other copy, an older one, or none."""

import random

import numpy as np
import pytest
from journal_world import FOLDERS, PAGE, PowerCut, SimulatedDisk, batch, commit, segments

from seawall.journal import Journal, folders_of
from seawall.journal.files import write_file
from seawall.journal.horizon import Durable
from seawall.journal.snapshots import (
    BLOCK_BYTES,
    load_snapshot,
    read_snapshot,
    snapshot_name,
    snapshots_in,
    write_snapshot,
)
from seawall.sim.disk import AT_REST, Fault
from seawall.vocabulary.errors import InputError, JournalError


def chunks_of(frame):
    rng = random.Random(frame)
    return [rng.randbytes(size) for size in (1, 0, 64, 5000, 70_000)]


def store(journal, disk, frame=None):
    covers = journal.durable
    write_snapshot(journal, covers, bytes([covers.frame]) * 32, b"layout 1", chunks_of(covers.frame), disk=disk)
    return covers.frame


def journal_with_snapshots(stored=2):
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk)
    for _ in range(stored):
        for size in (40, 70, 90):
            commit(journal, size)
        store(journal, disk)
    return disk, journal


def test_what_is_stored_is_read():
    disk, journal = journal_with_snapshots()
    found = read_snapshot(FOLDERS, disk=disk)
    assert (found.frame, found.seq, found.hash) == (6, 400, journal.head_hash)
    assert (found.digest, found.tag) == (bytes([6]) * 32, b"layout 1")
    assert [bytes(chunk) for chunk in found.chunks] == chunks_of(6)
    for chunk in found.chunks:
        assert chunk.readonly
        assert not len(chunk) or np.frombuffer(chunk, np.uint8).ctypes.data % 64 == 0
    for folder in FOLDERS:
        assert snapshots_in(disk, folder) == [3, 6]
    assert disk.content(FOLDERS[0] / snapshot_name(6)) == disk.content(FOLDERS[1] / snapshot_name(6))


@pytest.mark.parametrize("odd", ["7.snapshot", "00000000000000000007.snapshot"])
def test_files_with_other_names_are_no_snapshots_and_in_nobodys_way(odd):
    disk, journal = journal_with_snapshots(2)
    write_file(disk, FOLDERS[0] / odd, b"an operator's")
    commit(journal, 1)
    store(journal, disk)
    assert [snapshots_in(disk, folder) for folder in FOLDERS] == [[6, 7], [6, 7]]
    assert disk.content(FOLDERS[0] / odd) == b"an operator's"


def test_older_ones_are_removed_when_a_newer_one_is_durable_in_both():
    disk, journal = journal_with_snapshots(4)
    assert [snapshots_in(disk, folder) for folder in FOLDERS] == [[9, 12], [9, 12]]
    log = []
    disk.fail = lambda kind, path, *_: log.append((kind, path))
    commit(journal, 1)
    store(journal, disk)
    first = log.index(("remove", FOLDERS[0] / snapshot_name(9)))
    for folder in FOLDERS:
        renamed = log.index(("rename", folder / snapshot_name(13)))
        assert renamed < log.index(("sync_folder", folder), renamed) < first


def test_without_a_snapshot_there_is_none():
    disk, _ = journal_with_snapshots(0)
    assert read_snapshot(FOLDERS, disk=disk) is None


def test_only_what_is_durable_goes_into_a_snapshot():
    disk, journal = journal_with_snapshots(1)
    pending = journal.start_commit(batch(journal.next_seq, 40))
    ahead = Durable(4, journal.next_seq - 1, journal.head_hash)
    for covers in (ahead, Durable(0, 0, bytes(32)), Durable(3, 200, bytes(32))):
        with pytest.raises(InputError):
            write_snapshot(journal, covers, bytes(32), b"", [], disk=disk)
    pending.wait()
    assert journal.durable == ahead
    write_snapshot(journal, ahead, bytes(32), b"", [], disk=disk)
    assert read_snapshot(FOLDERS, disk=disk).chunks == []
    for digest, tag in ((bytes(31), b""), (bytes(32), bytes(65))):
        with pytest.raises(InputError):
            write_snapshot(journal, ahead, digest, tag, [], disk=disk)


@pytest.mark.parametrize("kind", AT_REST)
@pytest.mark.parametrize("folder", FOLDERS)
def test_one_bad_copy_is_passed_over(folder, kind):
    rng = random.Random(1)
    for _ in range(20):
        disk, _ = journal_with_snapshots()
        disk.spoil(folder / snapshot_name(6), kind, rng, folder / snapshot_name(3))
        found = read_snapshot(FOLDERS, disk=disk)
        assert found.frame == 6 and [bytes(chunk) for chunk in found.chunks] == chunks_of(6)


def test_a_snapshot_that_ends_while_it_is_read_is_passed_over(monkeypatch):
    """Its size was looked at before; asking on for what is not there would never end."""
    disk, _ = journal_with_snapshots()
    whole, cut, asked = disk.pread, FOLDERS[0] / snapshot_name(6), []

    def pread(descriptor, view, offset):
        asked.append(offset)
        assert len(asked) < 1_000
        if disk.open_files[descriptor][0] == cut and offset + len(view) > 3 * PAGE:
            return 0
        return whole(descriptor, view, offset)

    monkeypatch.setattr(disk, "pread", pread)
    found = read_snapshot(FOLDERS, disk=disk)
    assert found.frame == 6 and [bytes(chunk) for chunk in found.chunks] == chunks_of(6)


def test_every_flipped_bit_is_seen():
    disk, journal = journal_with_snapshots(1)
    path = FOLDERS[0] / snapshot_name(3)
    rng, size = random.Random(2), len(disk.content(path))
    for at in [*range(0, 260), *(rng.randrange(size) for _ in range(300)), *range(size - 30, size)]:
        before = disk.content(path)[at]
        disk.content(path)[at] ^= 1 << rng.randrange(8)
        assert load_snapshot(disk, FOLDERS[0], 3, journal.journal_id) is None
        disk.content(path)[at] = before
    assert load_snapshot(disk, FOLDERS[0], 3, journal.journal_id) is not None


def test_both_copies_bad_fall_back_to_the_older_one_and_then_to_none():
    disk, _ = journal_with_snapshots()
    for folder in FOLDERS:
        disk.damage(folder / snapshot_name(6), 9000, b"rot")
    assert read_snapshot(FOLDERS, disk=disk).frame == 3
    for folder in FOLDERS:
        disk.cut(folder / snapshot_name(3), 100)
    assert read_snapshot(FOLDERS, disk=disk) is None


def test_a_snapshot_of_another_history_is_not_used():
    disk, journal = journal_with_snapshots()
    journal.close()
    other, _ = journal_with_snapshots()
    for folder in FOLDERS:
        disk.names_seen[folder / snapshot_name(6)] = other.names_seen[folder / snapshot_name(6)]
    assert read_snapshot(FOLDERS, disk=disk).frame == 3, "another journal's"
    for folder in FOLDERS:
        for path in segments(disk, folder):
            records = np.frombuffer(bytes(disk.content(path)), "<u8").reshape(-1, 512)
            for page in np.flatnonzero(records[:, 5] >= 3):
                disk.damage(path, int(page) * PAGE, bytes(PAGE))
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == 3
        assert read_snapshot(FOLDERS, disk=disk) is None, "the journal ends before"
        commit(journal, 1)
        assert read_snapshot(FOLDERS, disk=disk) is None, "frame 3 is another one"


@pytest.mark.parametrize("fault", [Fault.NO_SPACE, Fault.FAILED_SYNC, Fault.SHORT_WRITE, Fault.FAILED_WRITE])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_snapshot_that_cannot_be_written_changes_nothing(folder, fault):
    disk, journal = journal_with_snapshots()
    commit(journal, 5)
    for operation in range(5):
        disk.plan(fault, disk.operations + operation, folder, ".new" if fault is not Fault.FAILED_SYNC else "")
        with pytest.raises(JournalError):
            store(journal, disk)
        assert read_snapshot(FOLDERS, disk=disk).frame in (6, 7)
        assert not [path for path in disk.names_seen if path.suffix == ".new" and len(path.stem) == 16]
    commit(journal, 5)
    assert store(journal, disk) == 8
    assert read_snapshot(FOLDERS, disk=disk).frame == 8


@pytest.mark.parametrize("seed", range(3))
def test_power_cut_at_every_operation_of_a_snapshot(seed):
    operations, rng = 0, random.Random(seed)
    while True:
        disk, journal = journal_with_snapshots()
        commit(journal, 5)
        disk.cut_after = disk.operations + operations
        try:
            store(journal, disk)
            finished = True
        except (JournalError, PowerCut):
            finished = False
        after = disk.power_cut(rng)
        Journal.open(FOLDERS, disk=after).close()
        found = read_snapshot(FOLDERS, disk=after)
        assert found.frame in ((7,) if finished else (6, 7))
        assert [bytes(chunk) for chunk in found.chunks] == chunks_of(found.frame)
        if finished:
            return
        operations += 1


def test_blocks_and_real_files(tmp_path):
    folders = folders_of(tmp_path)
    big = np.random.default_rng(1).integers(0, 256, 3 * BLOCK_BYTES + 77, np.uint8)
    with Journal.create(folders, segment_bytes=8 * PAGE) as journal:
        commit(journal, 5)
        write_snapshot(journal, journal.durable, bytes(32), b"big", [big.data, b"x" * BLOCK_BYTES, b"tail"])
        commit(journal, 5)
    found = read_snapshot(folders)
    assert found.frame == 1 and np.array_equal(np.frombuffer(found.chunks[0], np.uint8), big)
    assert [len(chunk) for chunk in found.chunks] == [len(big), BLOCK_BYTES, 4]
