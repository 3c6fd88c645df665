import errno
import os
import threading

import numpy as np
import pytest
from journal_world import FOLDERS, PAGE, SimulatedDisk, batch, commit, history

from seawall import journal as room
from seawall.journal import Journal, OsDisk, folders_of, frames, verify
from seawall.journal.layout import COMMAND, HEADER_BYTES, PAYLOAD_BYTES, pages_needed
from seawall.vocabulary.errors import InputError, JournalBusy, JournalError, OutcomeUnknown

SIZES = (1, 30, 31, 61, 62, 100, 5, 180, 2, 1)


def test_round_trip_over_segments_with_attachments_and_digests(tmp_path):
    folders = folders_of(tmp_path)
    hashes = []
    with Journal.create(folders, segment_bytes=8 * PAGE) as journal:
        for number, size in enumerate(SIZES, start=1):
            digest = (number - 1, bytes([number]) * 32) if number > 1 else None
            assert commit(journal, size, bytes([number]) * number * 100, digest) == number
            hashes.append(journal.head_hash)
        assert (journal.next_frame, journal.next_seq) == (len(SIZES) + 1, sum(SIZES) + 1)
    for source in (folders, folders[0], folders[1]):
        assert [frame.hash for frame in frames(source)] == hashes
    for frame in frames(folders):
        assert frame.attachments == bytes([frame.number]) * frame.number * 100
        assert frame.digest_frame == frame.number - 1
        assert frame.digest == (bytes([frame.number]) * 32 if frame.number > 1 else bytes(32))
        assert not frame.commands.flags.writeable and frame.commands.dtype == COMMAND
    assert len(history(folders)) == len(SIZES)
    assert len(list(folders[0].glob("*.seg"))) > 3
    for first in folders[1].iterdir():
        assert first.read_bytes() == (folders[0] / first.name).read_bytes()
    result = verify(folders)
    assert result.ok and (result.frames, result.commands) == (len(SIZES), sum(SIZES))
    assert result.head_hash == hashes[-1]


@pytest.mark.parametrize("start", range(0, len(SIZES) + 3))
def test_reading_from_a_frame_on(tmp_path, start):
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk) as journal:
        for size in SIZES:
            commit(journal, size)
    expected = [number for number in range(1, len(SIZES) + 1) if number >= start]
    assert [frame.number for frame in frames(FOLDERS, start=start, disk=disk)] == expected
    assert [frame.number for frame in frames(FOLDERS, start=start, disk=disk, check=False)] == expected


def test_opening_again_goes_on_where_it_ended(tmp_path):
    folders = folders_of(tmp_path)
    Journal.create(folders, segment_bytes=8 * PAGE).close()
    for round_ in range(6):
        with Journal.open(folders) as journal:
            assert journal.recovery.repaired == () and journal.recovery.cut == ()
            assert journal.next_frame == 2 * round_ + 1
            commit(journal, 33)
            commit(journal, 100)
    assert len(history(folders)) == 12


def test_one_frame_is_prepared_while_another_is_in_flight():
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=16 * PAGE, disk=disk)
    pending = [journal.start_commit(batch(journal.next_seq, 40)) for _ in range(12)]
    assert [one.wait() for one in pending] == list(range(1, 13))
    assert [one.wait() for one in pending] == list(range(1, 13))
    journal.close()
    assert len(history(FOLDERS, disk)) == 12


def test_a_second_writer_is_refused_and_leaves_no_lock_behind(tmp_path):
    folders = folders_of(tmp_path)
    first = Journal.create(folders, segment_bytes=8 * PAGE)
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(JournalBusy):
        Journal.open(folders)
    with pytest.raises(JournalBusy):
        Journal.open((tmp_path / "c", folders[0]))
    assert len(os.listdir("/proc/self/fd")) == descriptors
    first.close()
    Journal.open(folders).close()
    first.close()


def test_records_never_straddle_pages():
    assert PAYLOAD_BYTES % COMMAND.itemsize == 0 and HEADER_BYTES + PAYLOAD_BYTES == PAGE
    assert [pages_needed(count, 0) for count in (1, 30, 31, 61, 62, 1000)] == [1, 1, 2, 2, 3, 33]


def columns(**values):
    """Three commands whose ends, or whose sum, are right."""
    made = batch(1, 3)
    for name, column in values.items():
        made[name] = column
    return made


@pytest.mark.parametrize(
    ("field", "value", "spoil"),
    [
        ("commands", COMMAND, lambda journal: journal.commit(batch(1, 1)[:0])),
        ("commands", "int64", lambda journal: journal.commit(np.zeros(3, np.int64))),
        ("commands", 31 * 7, lambda journal: commit(journal, 31 * 7)),
        ("seq", 2, lambda journal: journal.commit(batch(2, 3))),
        ("seq", 3, lambda journal: journal.commit(batch(1, 3)[::-1])),
        ("seq", 1, lambda journal: journal.commit(columns(seq=[1, 1, 3]))),
        ("attachments", 1, lambda journal: journal.commit(batch(1, 1), b"x")),
        ("attachments", 1, lambda journal: journal.commit(batch(1, 1, attachment=b"xy"), b"x")),
        ("attachments", 1, lambda journal: journal.commit(columns(attachment=[2, -1, 0]), b"x")),
        ("digest", 1, lambda journal: commit(journal, 1, digest=(1, bytes(32)))),
        ("digest", 0, lambda journal: commit(journal, 1, digest=(0, bytes(32)))),
    ],
)
def test_bad_input_is_named_and_changes_nothing(field, value, spoil):
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk) as journal:
        before = disk.operations
        with pytest.raises(InputError) as refused:
            spoil(journal)
        assert refused.value.field == field and str(refused.value.value) == str(value)
        assert disk.operations == before
        assert commit(journal, 1) == 1
        with pytest.raises(InputError):
            commit(journal, 1, digest=(1, bytes(31)))


def test_a_frame_fills_a_segment_exactly():
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=4 * PAGE, disk=disk) as journal:
        for _ in range(4):
            commit(journal, 31 * 3 - 1)
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == 5
        commit(journal, 1)
    assert len(history(FOLDERS, disk)) == 5


def test_creating_and_opening_ask_for_the_right_folders(tmp_path):
    folders = folders_of(tmp_path)
    for call in (Journal.open, verify, lambda where: list(frames(where))):
        with pytest.raises(InputError):
            call(folders)
    assert not room.holds_journal(folders)
    for bad in (0, PAGE, 3 * PAGE + 1):
        with pytest.raises(InputError):
            Journal.create(folders, segment_bytes=bad)
    with pytest.raises(InputError):
        Journal.create((tmp_path, tmp_path), segment_bytes=8 * PAGE)
    Journal.create(folders, segment_bytes=8 * PAGE).close()
    assert room.holds_journal(folders)
    with pytest.raises(InputError):
        Journal.create(folders, segment_bytes=8 * PAGE)
    closed = Journal.open(folders)
    closed.close()
    with pytest.raises(JournalError):
        commit(closed, 1)


def _failure(kind, folder, error):
    def fail(operation, path, *_):
        if operation == kind and path.parent == folder:
            if isinstance(error, int) and error < 0:
                return -error
            raise OSError(error, "as told")
        return None

    return fail


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    ("kind", "error"), [("write", errno.EIO), ("write", errno.ENOSPC), ("write", -PAGE), ("sync", errno.EIO)]
)
def test_a_failed_write_or_sync_is_unknown_and_the_object_is_dead(folder, kind, error):
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=16 * PAGE, disk=disk)
    commit(journal, 40)
    disk.fail = _failure(kind, folder, error)
    pending = journal.start_commit(batch(journal.next_seq, 40))
    with pytest.raises(OutcomeUnknown):
        pending.wait()
    with pytest.raises(OutcomeUnknown):
        pending.wait()
    disk.fail = lambda *_: None
    operations = disk.operations
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            commit(journal, 1)
    assert disk.operations == operations, "nothing is retried"
    with pytest.raises(JournalBusy):
        Journal.open(FOLDERS, disk=disk)
    journal.close()
    with Journal.open(FOLDERS, disk=disk) as again:
        assert again.next_frame in (2, 3)
        commit(again, 3)
    assert len(history(FOLDERS, disk)) == again.next_frame - 1


def test_the_next_frame_learns_of_the_failure_of_the_one_before():
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=16 * PAGE, disk=disk)
    disk.fail = _failure("sync", FOLDERS[1], errno.EIO)
    pending = journal.start_commit(batch(1, 40))
    with pytest.raises(OutcomeUnknown):
        journal.start_commit(batch(41, 40))
    with pytest.raises(OutcomeUnknown):
        pending.wait()
    journal.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_waits_behind_a_job_that_ended_its_thread_has_failed():
    """Nobody may wait for ever on what nobody will do."""
    begin, lane = threading.Event(), OsDisk().lane("a thread to die")

    def deadly():
        begin.wait()
        yield from ()
        raise MemoryError

    started = [lane.start(deadly()), lane.start(iter(())), lane.start(iter(()))]
    ended = []
    waiting = threading.Thread(target=lambda: ended.extend(one.wait() for one in started), daemon=True)
    waiting.start()
    begin.set()
    waiting.join(20)
    assert [type(one) for one in ended] == [OSError] * 3
    lane.close()
    assert isinstance(lane.start(iter(())).wait(), OSError)


def test_closing_reports_a_frame_that_nobody_waited_for():
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=16 * PAGE, disk=disk)
    disk.fail = _failure("write", FOLDERS[0], errno.EIO)
    journal.start_commit(batch(1, 40))
    with pytest.raises(OutcomeUnknown):
        journal.close()
    disk.fail = lambda *_: None
    Journal.open(FOLDERS, disk=disk).close()


@pytest.mark.parametrize("kind", ["create", "write", "sync", "rename", "sync_folder"])
def test_a_segment_that_cannot_be_prepared_ends_the_writer(kind):
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk)

    def fail(operation, path, *_):
        if operation == kind and ("00000001" in path.name or operation == "sync_folder"):
            raise OSError(errno.ENOSPC, "as told")

    disk.fail = fail
    acknowledged = 0
    with pytest.raises(OutcomeUnknown):
        for _ in range(10):
            acknowledged = commit(journal, 40)
    assert acknowledged == 3
    with pytest.raises(OutcomeUnknown):
        commit(journal, 1)
    journal.close()
    disk.fail = lambda *_: None
    with Journal.open(FOLDERS, disk=disk) as again:
        assert again.next_frame == 4
        commit(again, 100)


def test_a_disk_that_fails_while_opening_is_unknown_too():
    disk = SimulatedDisk()
    Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk).close()
    disk.fail = _failure("sync_folder", FOLDERS[0].parent, errno.EIO)
    with pytest.raises(OutcomeUnknown):
        Journal.open(FOLDERS, disk=disk)
    disk.fail = lambda *_: None
    Journal.open(FOLDERS, disk=disk).close()


@pytest.mark.parametrize("folder", FOLDERS)
def test_opening_that_fails_late_gives_everything_back(folder):
    disk = SimulatedDisk()
    Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk).close()
    opened = []

    def fail(kind, path, *_):
        if kind == "open":
            opened.append(path)
            if opened.count(folder / "00000000.seg") == 3:  # header, recovery, then the writer's own
                raise OSError(errno.EMFILE, "as told")

    disk.fail = fail
    with pytest.raises(OutcomeUnknown):
        Journal.open(FOLDERS, disk=disk)
    assert not disk.open_files and not disk.locked
    disk.fail = lambda *_: None
    Journal.open(FOLDERS, disk=disk).close()
    assert not disk.open_files and not disk.locked


def test_no_byte_of_an_acknowledged_frame_is_written_again():
    disk = SimulatedDisk()
    written = set()
    honest = disk.pwrite

    def pwrite(descriptor, data, offset):
        path, _ = disk.open_files[descriptor]
        pages = {(path, page) for page in range(offset // PAGE, (offset + len(data)) // PAGE)}
        if path.suffix == ".seg":
            assert not pages & written
            written.update(pages)
        return honest(descriptor, data, offset)

    disk.pwrite = pwrite
    with Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk) as journal:
        for size in SIZES:
            commit(journal, size)


def test_the_public_surface():
    kinds = ["Archived", "Damage", "Disk", "Durable", "Frame", "Journal", "OsDisk", "PendingCommit", "RecoveryReport"]
    kinds += ["Snapshot", "Tail", "Verification"]
    calls = ["archive", "first_frame", "folders_of", "frames", "holds_journal", "read_snapshot", "restore", "retire"]
    assert room.__all__ == [*kinds, *calls, "verify", "write_snapshot"]
    assert all(hasattr(room, name) for name in room.__all__)


def test_the_simulated_disk_is_a_disk():
    disk: room.Disk = SimulatedDisk()
    wanted = {name for name in vars(room.Disk) if not name.startswith("_")}
    assert wanted <= set(dir(disk)) and wanted <= set(dir(room.OsDisk))
