"""A reader in another process never sees a frame that is not durable in both copies, and misses none."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from journal_world import FOLDERS, PAGE, SimulatedDisk, batch, commit, history, segments

from seawall.journal import Journal, OsDisk, folders_of
from seawall.journal.archiving import archive, retire
from seawall.journal.horizon import HORIZON_NAME, read_horizon
from seawall.journal.snapshots import write_snapshot
from seawall.journal.tail import Tail
from seawall.vocabulary.errors import InputError, JournalCorrupt, JournalError

CHILD = Path(__file__).with_name("slow_committing_child.py")
SIZES = (5, 70, 93, 31, 120, 1, 200, 40)


def journal(pages=8):
    disk = SimulatedDisk()
    return disk, Journal.create(FOLDERS, segment_bytes=pages * PAGE, disk=disk)


def numbers(given):
    return [frame.number for frame in given]


@pytest.mark.parametrize("told", [True, False], ids=["by the horizon", "by later frames"])
def test_every_frame_is_given_once_in_order_when_it_is_durable(told):
    disk, writer = journal()
    tail, seen = Tail(FOLDERS, disk=disk), []

    def fail(kind, path, *_):
        if kind == "open" and path.name == HORIZON_NAME and not told:
            raise OSError("as told")

    disk.fail = fail
    for number, size in enumerate(SIZES * 3, start=1):
        pending = writer.start_commit(batch(writer.next_seq, size))
        disk.run_until(lambda: False)  # it is whole in both copies, and nobody was told
        seen += tail.poll()
        assert numbers(seen) == list(range(1, number))
        pending.wait()
        seen += tail.poll()
        assert numbers(seen) == list(range(1, number + told))
    for frame, (number, hash_) in zip(seen, history(FOLDERS, disk), strict=False):
        assert (frame.number, frame.hash) == (number, hash_)
    writer.close()


def test_starting_in_the_middle_and_reading_in_parts():
    disk, writer = journal()
    for size in SIZES:
        commit(writer, size)
    tail = Tail(FOLDERS, start=4, disk=disk)
    assert tail.next_frame == 4
    assert [numbers(tail.poll(limit=2)) for _ in range(4)] == [[4, 5], [6, 7], [8], []]
    assert tail.next_frame == 9
    later = Tail(FOLDERS, start=10, disk=disk)
    commit(writer, 3)
    assert later.poll() == []
    commit(writer, 3)
    assert numbers(later.poll()) == [10]
    assert numbers(tail.poll()) == [9, 10]


def test_a_frame_that_a_crash_left_in_flight_comes_only_after_recovery():
    """It is whole in both copies, even synced in both; nobody was told."""
    disk, writer = journal()
    commit(writer, 40)
    writer.start_commit(batch(writer.next_seq, 40))
    disk.run_until(lambda: False)
    after = disk.power_cut(random.Random(1))
    tail = Tail(FOLDERS, disk=after)
    assert numbers(tail.poll()) == [1] and tail.poll() == []
    assert [number for number, _ in history(FOLDERS, after)] == [1, 2], "though it is there"
    with Journal.open(FOLDERS, disk=after):
        assert numbers(tail.poll()) == [2]


def test_a_frame_that_is_cut_is_never_seen():
    disk, writer = journal()
    commit(writer, 40)
    writer.start_commit(batch(writer.next_seq, 90))
    disk.run_until(lambda: False)
    for folder in FOLDERS:
        disk.damage(segments(disk, folder)[0], 4 * PAGE, bytes(PAGE))
    tail = Tail(FOLDERS, disk=disk)
    disk.locked.clear()
    assert numbers(tail.poll()) == [1] and tail.poll() == []
    with Journal.open(FOLDERS, disk=disk) as again:
        assert tail.poll() == []
        commit(again, 2)
        (frame,) = tail.poll()
        assert (frame.number, len(frame.commands)) == (2, 2)


def test_a_page_of_a_history_that_is_gone_says_nothing_of_the_frame_before_it():
    """A copy that brings an old page back: it has the right number and place, and follows another frame."""
    disk, writer = journal()
    commit(writer, 40)
    twin = disk.power_cut(random.Random(1))
    with Journal.open(FOLDERS, disk=twin) as gone:
        before = gone.start_commit(batch(gone.next_seq, 40, attachment=b"gone"), b"gone")
        commit(gone, 40)
        assert before.wait() == 2
    writer.start_commit(batch(writer.next_seq, 40))
    disk.run_until(lambda: False)
    (segment, *_), tail = segments(disk, FOLDERS[0]), Tail(FOLDERS, disk=disk)
    pages = [bytes(twin.content(segment)[at : at + PAGE]) for at in range(0, 8 * PAGE, PAGE)]
    (first,) = [
        at for at, page in enumerate(pages) if any(page) and not any(disk.content(segment)[at * PAGE :][:PAGE])
    ][:1]
    disk.damage(segment, first * PAGE, pages[first])
    assert numbers(tail.poll()) == [1] and tail.poll() == []


@pytest.mark.parametrize("told", [True, False])
def test_a_tail_begun_while_a_segments_first_frame_was_in_flight(told):
    """That frame is cut, and a shorter one takes its number, in the segment before."""
    disk, writer = journal()
    commit(writer, 150)
    writer.start_commit(batch(writer.next_seq, 150))
    disk.run_until(lambda: False)
    if not told:
        disk.lose(FOLDERS[0] / HORIZON_NAME)
    tail = Tail(FOLDERS, start=2, disk=disk)
    assert tail.poll() == []
    for folder in FOLDERS:
        disk.damage(segments(disk, folder)[1], 3 * PAGE, bytes(PAGE))
    disk.locked.clear()
    with Journal.open(FOLDERS, disk=disk) as again:
        commit(again, 3)
        commit(again, 200)
        assert numbers(tail.poll()) == [2, 3]


@pytest.mark.parametrize("rot", [b"", b"rot"])
def test_a_horizon_that_does_not_hold_is_not_believed(rot):
    disk, writer = journal()
    for _ in range(3):
        commit(writer, 40)
    path = FOLDERS[0] / HORIZON_NAME
    disk.cut(path, 30) if not rot else disk.damage(path, 30, rot)
    assert read_horizon(disk, FOLDERS[0], writer.journal_id) is None
    assert numbers(Tail(FOLDERS, disk=disk).poll()) == [1, 2]
    commit(writer, 40)
    if rot:
        assert numbers(Tail(FOLDERS, disk=disk).poll()) == [1, 2, 3, 4]


def test_a_horizon_of_another_journal_or_of_a_history_that_is_gone_is_not_believed():
    disk, writer = journal()
    for _ in range(5):
        commit(writer, 40)
    old = bytes(disk.content(FOLDERS[0] / HORIZON_NAME))
    disk2, other = journal()
    commit(other, 40)
    other.start_commit(batch(other.next_seq, 40))
    disk2.run_until(lambda: False)
    disk2.damage(FOLDERS[0] / HORIZON_NAME, 0, old)
    assert numbers(Tail(FOLDERS, disk=disk2).poll()) == [1]
    after = disk2.power_cut(random.Random(2))
    Journal.open(FOLDERS, disk=after).close()
    assert read_horizon(after, FOLDERS[0], other.journal_id).frame == 2, "begun anew when the journal is opened"


def test_damage_is_mended_and_what_cannot_be_is_named():
    disk, writer = journal()
    for size in SIZES:
        commit(writer, size)
    tail = Tail(FOLDERS, disk=disk)
    disk.damage(segments(disk, FOLDERS[0])[0], 3 * PAGE + 500, b"rot")
    disk.damage(segments(disk, FOLDERS[1])[0], 4 * PAGE + 500, b"rot")
    assert numbers(tail.poll(limit=3)) == [1, 2, 3], "each page from the copy that has it"
    for folder in FOLDERS:
        disk.damage(segments(disk, folder)[2], 3 * PAGE + 500, b"rot")
    with pytest.raises(JournalCorrupt) as refused:
        tail.poll()
    assert refused.value.frame == tail.next_frame


def test_a_tail_that_is_too_late_is_told_so():
    disk, writer = journal()
    tail = Tail(FOLDERS, disk=disk)
    for size in SIZES * 2:
        commit(writer, size)
    write_snapshot(writer, writer.durable, bytes(32), b"", [], disk=disk)
    archive(FOLDERS, Path("/archive"), disk=disk)
    assert retire(writer, Path("/archive"), disk=disk)
    with pytest.raises(JournalError):
        tail.poll()
    with pytest.raises(InputError):
        Tail(FOLDERS, disk=disk)


def test_a_reader_never_makes_the_writer_wait_or_write():
    disk, writer = journal()
    for size in SIZES:
        commit(writer, size)
    before, log = disk.operations, []
    disk.fail = lambda kind, path, *_: log.append(kind)
    tail = Tail(FOLDERS, disk=disk)
    while tail.poll(limit=3):
        pass
    assert disk.operations == before and set(log) <= {"names", "open", "read"}


def test_a_horizon_that_cannot_be_written_is_no_failure_of_the_journal():
    disk, writer = journal()

    def fail(kind, path, *_):
        if kind == "write" and path.name == HORIZON_NAME:
            raise OSError("as told")

    commit(writer, 5)
    disk.fail = fail
    for _ in range(4):
        commit(writer, 5)
    assert numbers(Tail(FOLDERS, disk=disk).poll()) == [1, 2, 3, 4], "the last waits for the next"
    writer.close()


def child(folder, seconds, frames):
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), str(seconds), str(frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )


def answer(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_another_process_never_sees_a_frame_whose_commit_has_not_returned(tmp_path):
    """Copy a has the frame long before copy b: the reader looks all the while."""
    folders = folders_of(tmp_path)
    process = child(tmp_path, 0.05, 12)
    assert process.stdout.readline() == "created\n"
    tail = Tail(folders)
    for number in range(1, 13):
        assert process.stdout.readline() == f"begun {number}\n"
        for _ in range(20):
            assert numbers(tail.poll()) == []
        answer(process)
        assert process.stdout.readline() == f"durable {number}\n"
        assert numbers(tail.poll()) == [number]
        answer(process)
    assert process.wait() == 0


def test_a_frame_in_flight_of_a_process_that_is_killed_comes_only_after_recovery(tmp_path):
    folders = folders_of(tmp_path)
    process = child(tmp_path, 30, 3)
    assert process.stdout.readline() == "created\n"
    assert process.stdout.readline() == "begun 1\n"
    tail = Tail(folders)
    whole = folders[0] / "00000000.seg"
    while not any(whole.read_bytes()[PAGE : 2 * PAGE]):
        assert tail.poll() == []
    process.send_signal(signal.SIGKILL)
    process.wait()
    for closed in (process.stdin, process.stdout):
        closed.close()
    assert tail.poll() == []
    with Journal.open(folders, disk=OsDisk()) as again:
        assert again.next_frame == 2
        assert numbers(tail.poll()) == [1]
