"""Writes the kernel does beside the caller: they land, they fail as writes fail, and threads stand in for them."""

import ctypes
import errno
import os
import platform
import signal
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from journal_world import PAGE, commit, history

from seawall.journal import Journal, OsDisk, folders_of, kernel, verify
from seawall.journal.disk import Write
from seawall.journal.layout import Identity, blank_pages, raw
from seawall.journal.reading import SegmentCopy
from seawall.vocabulary.errors import OutcomeUnknown

PAGES = 8


@pytest.fixture
def queue():
    taken = kernel.Queue.take()
    if taken is None:
        assert not system_has_one()
        pytest.skip("the system has none")
    yield taken
    taken.close()


def system_has_one():
    """Whether this system lets a process have a queue, submit to it and reap from it, asked without our own code."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    context, none, call = ctypes.c_ulong(0), ctypes.c_long(0), ctypes.CDLL(None).syscall
    if call(ctypes.c_long(206), ctypes.c_uint(1), ctypes.byref(context)):
        return False
    usable = [call(ctypes.c_long(209), context, none, None), call(ctypes.c_long(208), context, none, none, None, None)]
    return call(ctypes.c_long(207), context) == 0 and usable == [0, 0]


@pytest.fixture
def file(tmp_path):
    """One that is written past the cache, of PAGES pages of zeros."""
    disk, path = OsDisk(), tmp_path / "file"
    path.write_bytes(bytes(PAGES * PAGE))
    descriptor = disk.open(path, write=True, direct=True)
    if descriptor not in disk._direct:
        pytest.skip("the file system has no O_DIRECT")
    yield descriptor, path
    disk.close(descriptor)


def pages(count, value):
    rows = blank_pages(count)
    rows[:] = value
    return raw(rows)


def test_writes_land_where_they_should(queue, file):
    descriptor, path = file
    for page in range(PAGES):
        started = queue.start(descriptor, pages(1, page + 1), page * PAGE)
        assert started.wait() is None and started.wait() is None
    assert path.read_bytes() == b"".join(bytes([page + 1]) * PAGE for page in range(PAGES))


def test_one_after_the_other_without_a_wait(queue, file):
    descriptor, path = file
    started = [queue.start(descriptor, pages(PAGES, value), 0) for value in (1, 2, 3)]
    assert [one.wait() for one in started] == [None] * 3
    assert path.read_bytes() == bytes([3]) * PAGES * PAGE


def test_failures_are_those_of_a_write(queue, file, tmp_path):
    descriptor, path = file
    reading = os.open(path, os.O_RDONLY)
    for bad, number, offset in ((reading, errno.EBADF, 0), (1 << 20, errno.EBADF, 0), (descriptor, errno.EINVAL, 1)):
        started = queue.start(bad, pages(1, 7), offset)
        assert [started.wait().errno, started.wait().errno] == [number] * 2
    os.close(reading)
    assert queue.start(descriptor, pages(1, 7), 0).wait() is None, "and the queue goes on"


def test_a_short_write_is_a_failure(queue, file, monkeypatch):
    descriptor, _ = file
    started = queue.start(descriptor, pages(2, 7), 0)
    monkeypatch.setattr(queue, "reap", lambda reap=queue.reap: reap() - PAGE)
    assert "short write" in str(started.wait())


def test_a_signal_while_waiting_is_no_failure(queue, file):
    descriptor, _ = file
    seen = Counter()
    before = signal.signal(signal.SIGALRM, lambda *_: seen.update(["heard"]))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0002)
    try:
        for _ in range(300):
            assert queue.start(descriptor, pages(PAGES, 1), 0).wait() is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen["heard"]


def test_an_event_that_was_had_is_not_waited_for_again(queue, file):
    """An interrupt may come between the kernel's answer and our note of it."""
    descriptor, _ = file
    started = queue.start(descriptor, pages(1, 1), 0)
    assert queue.reap() == PAGE
    assert started.wait() is None


def test_a_forked_process_takes_none_of_its_parents(queue):
    queue.close()
    child = os.fork()
    if not child:
        os._exit(len(kernel.Queue._free))
    assert kernel.Queue._free and os.waitpid(child, 0)[1] == 0
    assert kernel.Queue.take() is queue


def test_an_os_disk_whose_syncs_are_watched_is_asked_for_them(tmp_path):
    class Watched(OsDisk):
        def fdatasync(self, descriptor):
            seen.append(threading.current_thread().name)
            super().fdatasync(descriptor)

    seen = []
    with Journal.create(folders_of(tmp_path), segment_bytes=16 * PAGE, disk=Watched()) as journal:
        seen.clear()
        commit(journal, 40)
    assert sorted(seen) == ["journal a", "journal b"]


@pytest.mark.parametrize("there", [True, False])
def test_a_journal_is_written_with_and_without(tmp_path, monkeypatch, there):
    if not there:
        monkeypatch.setattr(kernel, "_KNOWN", False)
        monkeypatch.setattr(kernel.Queue, "_free", [])
    folders = folders_of(tmp_path)
    with Journal.create(folders, segment_bytes=16 * PAGE) as journal:
        for size in (1, 100, 400, 31, 460):
            commit(journal, size, bytes(size))
    assert verify(folders).ok and len(history(folders)) == 5


def test_a_failed_write_of_the_kernel_ends_the_journal(tmp_path):
    folders = folders_of(tmp_path)
    journal = Journal.create(folders, segment_bytes=16 * PAGE)
    commit(journal, 40)
    good = journal._files[1]
    journal._files[1] = os.open(folders[1] / "00000000.seg", os.O_RDONLY | os.O_DIRECT)
    OsDisk._direct.add(journal._files[1])
    with pytest.raises(OutcomeUnknown):
        commit(journal, 40)
    with pytest.raises(OutcomeUnknown):
        commit(journal, 1)
    journal.close()
    os.close(good)
    with Journal.open(folders) as again:
        assert again.next_frame == 3, "one copy has it: it stands"


def test_a_lane_does_its_jobs_in_order_whoever_does_them(file):
    descriptor, path = file
    disk = OsDisk()
    lane, order = disk.lane("mixed"), []

    def job(number):
        order.append((number, np.frombuffer(path.read_bytes(), np.uint8).max()))
        yield

    running = []
    for number in range(1, 9):
        running += [lane.start(Write(disk, descriptor, pages(PAGES, number), 0)), lane.start(job(number))]
    lane.close()
    assert [one.wait() for one in running] == [None] * 16
    assert order == [(number, number) for number in range(1, 9)]


@pytest.mark.parametrize("size", [0, 1, PAGE, 2 * PAGE + 100, 8 * PAGE - 1, 8 * PAGE, 8 * PAGE + 1])
def test_a_segment_cut_anywhere_reads_alike_past_the_cache(tmp_path, size):
    folder, identity = tmp_path, Identity(bytes(16), 8 * PAGE)
    (folder / "00000000.seg").write_bytes(bytes([7]) * size)
    through, past = (
        SegmentCopy(folder, 0, identity, OsDisk(), present=True, direct=direct) for direct in (False, True)
    )
    assert np.array_equal(through.rows, past.rows) and through.file_bytes == past.file_bytes == size
    assert through.unreadable == past.unreadable == set()
