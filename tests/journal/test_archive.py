"""Archive, retire, restore: what is missing was retired by the book, or is refused."""

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
from journal_world import FOLDERS, PAGE, SimulatedDisk, batch, commit, history, segments

from seawall.journal import Journal, first_frame, folders_of, frames, verify
from seawall.journal.archiving import MANIFEST_NAME, archive, restore, retire
from seawall.journal.files import write_file
from seawall.journal.snapshots import read_snapshot, write_snapshot
from seawall.sim.disk import AT_REST, Fault
from seawall.vocabulary.errors import InputError, JournalCorrupt, JournalError

ARCHIVE = Path("/archive")
NEW = folders_of(Path("/new"))
SIZES = (1, 30, 31, 61, 62, 100, 5, 80, 2, 1, 93, 70, 90, 90)


def store(journal, disk):
    write_snapshot(journal, journal.durable, bytes(32), b"kind", [b"state"], disk=disk)


def journal_of(*, snapshot_after=9, sizes=SIZES):
    """A closed journal of 7 segments in use, with two snapshots."""
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=6 * PAGE, disk=disk) as journal:
        for number, size in enumerate(sizes, start=1):
            commit(journal, size, b"attachment" * (size % 3))
            if number in (snapshot_after, snapshot_after + 2):
                store(journal, disk)
    return disk


def retired():
    disk = journal_of()
    expected = history(FOLDERS, disk)
    archive(FOLDERS, ARCHIVE, disk=disk)
    gone = retire(FOLDERS, ARCHIVE, disk=disk)
    assert gone and gone == tuple(range(len(gone)))
    return disk, expected, len(gone)


def numbers(found):
    return [(frame.number, frame.hash) for frame in found]


def content(disk, *folders):
    return {path: bytes(file.data) for path, file in disk.names_seen.items() if path.parent in folders}


def test_an_archive_is_a_copy_of_the_closed_segments_and_can_be_read():
    disk = journal_of()
    expected = history(FOLDERS, disk)
    copied = archive(FOLDERS, ARCHIVE, disk=disk)
    held = [one.segment for one in copied]
    assert held == list(range(len(copied))) and len(copied) >= 5
    for segment in held:
        name = f"{segment:08d}.seg"
        assert disk.content(ARCHIVE / name) == disk.content(FOLDERS[0] / name)
    assert numbers(frames(ARCHIVE, disk=disk)) == expected[: copied[-1].next_frame - 1]
    assert copied[-1].last_hash == expected[copied[-1].next_frame - 2][1].hex()
    assert verify([ARCHIVE], disk=disk).ok
    assert archive(FOLDERS, ARCHIVE, disk=disk) == (), "again does nothing"


def test_archiving_goes_on_where_it_ended_and_stops_where_told():
    disk = journal_of()
    assert [one.segment for one in archive(FOLDERS, ARCHIVE, upto=1, disk=disk)] == [0, 1]
    before = content(disk, ARCHIVE)
    with Journal.open(FOLDERS, disk=disk) as journal:
        for _ in range(4):
            commit(journal, 150)
    assert [one.segment for one in archive(FOLDERS, ARCHIVE, upto=2, disk=disk)] == [2]
    assert len(archive(FOLDERS, ARCHIVE, disk=disk)) >= 6
    assert before.items() - content(disk, ARCHIVE).items() == {
        (path, data) for path, data in before.items() if path.name == MANIFEST_NAME
    }


@pytest.mark.parametrize(
    "spoil", [lambda text: b"{", lambda text: text.replace(b'"segment": 1', b'"segment": 4'), None]
)
def test_a_manifest_that_does_not_hold_is_made_again_from_the_segments(spoil):
    disk = journal_of()
    archive(FOLDERS, ARCHIVE, upto=2, disk=disk)
    path = ARCHIVE / MANIFEST_NAME
    text = bytes(disk.content(path))
    if spoil is None:
        disk.lose(path)
    else:
        disk.content(path)[:] = spoil(text)
    assert [one.segment for one in archive(FOLDERS, ARCHIVE, upto=3, disk=disk)] == [3]
    again = json.loads(bytes(disk.content(path)))
    assert again["segments"][:3] == json.loads(text)["segments"]


def test_a_frame_in_flight_does_not_close_a_segment():
    """It may be cut, and a shorter one then go where the segment before has room."""
    disk = SimulatedDisk()
    journal = Journal.create(FOLDERS, segment_bytes=6 * PAGE, disk=disk)
    commit(journal, 93)
    pending = journal.start_commit(batch(journal.next_seq, 100))
    disk.run_until(lambda: False)  # written, and nobody has waited for it
    assert archive(FOLDERS, ARCHIVE, disk=disk) == ()
    pending.wait()
    assert [one.segment for one in archive(FOLDERS, ARCHIVE, disk=disk)] == [0]
    journal.close()


def test_without_a_horizon_later_frames_close_all_segments_before_them():
    """A segment that one frame fills shows nothing by itself of the one before."""
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=6 * PAGE, disk=disk) as journal:
        for size in (150, 150, 150, 1, 1):
            commit(journal, size)
    disk.lose(FOLDERS[0] / "horizon")
    assert [one.segment for one in archive(FOLDERS, ARCHIVE, disk=disk)] == [0, 1, 2]


def test_what_was_left_under_the_name_of_a_file_being_made_never_shows_under_the_final_one():
    disk, path = SimulatedDisk(), FOLDERS[0] / "00000007.seg"
    write_file(disk, path, b"old" * PAGE)
    disk.rename(path, path.with_suffix(".new"))
    disk.sync_folder(FOLDERS[0])
    disk.liar = FOLDERS[0]
    write_file(disk, path, b"new" * PAGE)
    for seed in range(200):
        after = disk.power_cut(random.Random(seed))
        assert path not in after.names_seen or b"old" not in after.content(path)


def test_damage_in_one_copy_is_mended_on_the_way_to_the_archive():
    disk = journal_of()
    good = bytes(disk.content(segments(disk, FOLDERS[1])[1]))
    disk.damage(segments(disk, FOLDERS[0])[1], 2 * PAGE + 77, b"rot")
    archive(FOLDERS, ARCHIVE, disk=disk)
    assert disk.content(ARCHIVE / "00000001.seg") == good
    for folder in FOLDERS:
        disk.damage(segments(disk, folder)[3], PAGE + 77, b"rot")
    other = Path("/other")
    with pytest.raises(JournalCorrupt):
        archive(FOLDERS, other, disk=disk)
    assert [path.name for path in segments(disk, other)] == ["00000000.seg"]


def test_the_archive_of_another_journal_is_refused():
    disk, other = journal_of(), journal_of()
    archive(FOLDERS, ARCHIVE, disk=disk)
    for path in [path for path in disk.names_seen if path.parent in FOLDERS]:
        disk.lose(path)
    disk.names_seen.update({path: file for path, file in other.names_seen.items() if path.parent in FOLDERS})
    with pytest.raises(InputError):
        archive(FOLDERS, ARCHIVE, disk=disk)
    with pytest.raises((InputError, JournalError)):
        retire(FOLDERS, ARCHIVE, disk=disk)


def test_a_retired_journal_opens_verifies_reads_and_goes_on():
    disk, expected, gone = retired()
    first = first_frame(FOLDERS, disk=disk)
    assert segments(disk, FOLDERS[0])[0].name == f"{gone:08d}.seg"
    assert numbers(frames(FOLDERS, start=first, disk=disk)) == expected[first - 1 :]
    assert numbers(frames(FOLDERS, start=first + 1, disk=disk)) == expected[first:]
    assert numbers(frames(FOLDERS, archive=ARCHIVE, disk=disk)) == expected
    for start in (1, first - 1):
        with pytest.raises(InputError):
            list(frames(FOLDERS, start=start, disk=disk))
        assert numbers(frames(FOLDERS, start=start, archive=ARCHIVE, disk=disk)) == expected[start - 1 :]
    checked = verify(FOLDERS, disk=disk)
    assert checked.ok and checked.frames == len(expected) - first + 1
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.recovery.repaired == () and journal.next_frame == len(expected) + 1
        commit(journal, 10)
        assert read_snapshot(FOLDERS, disk=disk).frame == 11
    assert retire(FOLDERS, ARCHIVE, disk=disk) == ()


def test_a_running_journal_retires_too():
    disk = journal_of()
    archive(FOLDERS, ARCHIVE, disk=disk)
    with Journal.open(FOLDERS, disk=disk) as journal:
        with pytest.raises(JournalError):
            retire(FOLDERS, ARCHIVE, disk=disk)  # somebody writes: give the journal
        assert retire(journal, ARCHIVE, disk=disk)
        commit(journal, 100)
    assert verify(FOLDERS, disk=disk).ok


def test_nothing_is_retired_that_is_not_archived_or_not_covered():
    disk = journal_of()
    assert retire(FOLDERS, ARCHIVE, disk=disk) == ()
    archive(FOLDERS, ARCHIVE, upto=1, disk=disk)
    with pytest.raises(InputError):
        retire(FOLDERS, ARCHIVE, before=12, disk=disk)
    path = ARCHIVE / "00000001.seg"
    saved = bytes(disk.content(path))
    disk.damage(path, 700, b"rot")
    with pytest.raises(JournalError):
        retire(FOLDERS, ARCHIVE, disk=disk)
    disk.damage(path, 0, saved)
    assert retire(FOLDERS, ARCHIVE, before=1, disk=disk) == ()
    assert retire(FOLDERS, ARCHIVE, before=11, disk=disk) == (0, 1)
    for path in [path for path in disk.names_seen if path.suffix == ".snapshot" and path.parent == FOLDERS[1]]:
        disk.lose(path)
    with pytest.raises(InputError):
        retire(FOLDERS, ARCHIVE, disk=disk)


def test_a_first_segment_that_was_not_retired_is_refused():
    disk, expected, gone = retired()
    first = first_frame(FOLDERS, disk=disk)
    for which in (gone, gone + 1):
        lost = SimulatedDisk()
        lost.names_seen = dict(disk.names_seen)
        for folder in FOLDERS:
            del lost.names_seen[folder / f"{which:08d}.seg"]
        with pytest.raises(JournalCorrupt) as refused:
            list(frames(FOLDERS, start=first, disk=lost))
        assert refused.value.frame >= first
        with pytest.raises(JournalCorrupt):
            Journal.open(FOLDERS, disk=lost)
        assert not verify(FOLDERS, disk=lost).repairable
    for path in [path for folder in FOLDERS for path in segments(disk, folder)]:
        disk.lose(path)
    with pytest.raises(JournalCorrupt):
        Journal.open(FOLDERS, disk=disk)
    assert len(expected) > first


@pytest.mark.parametrize("kind", AT_REST)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_marker_bad_in_one_copy_is_named_and_mended(folder, kind):
    disk, expected, _ = retired()
    saved = content(disk, *FOLDERS)
    disk.spoil(folder / "base", kind, random.Random(1), segments(disk, folder)[0])
    named = verify(FOLDERS, disk=disk)
    assert named.ok == (content(disk, *FOLDERS) == saved and kind != "unreadable")
    assert {one.folder for one in named.damage} <= {folder} and named.repairable
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == len(expected) + 1
    assert verify(FOLDERS, disk=disk).ok
    assert {path: data for path, data in content(disk, *FOLDERS).items() if path.name == "base"} == {
        path: data for path, data in saved.items() if path.name == "base"
    }


def test_a_marker_lost_in_both_copies_is_refused():
    disk, _, gone = retired()
    for folder in FOLDERS:
        disk.lose(folder / "base")
    with pytest.raises(JournalCorrupt) as refused:
        Journal.open(FOLDERS, disk=disk)
    assert refused.value.frame == 1 and gone


def test_a_whole_copy_lost_after_retiring_is_made_again():
    disk, expected, _ = retired()
    saved = {path: data for path, data in content(disk, FOLDERS[1]).items() if path.suffix == ".seg" and any(data)}
    for path in [path for path in disk.names_seen if path.parent == FOLDERS[1]]:
        disk.lose(path)
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == len(expected) + 1
    assert saved.items() <= content(disk, FOLDERS[1]).items() and (FOLDERS[1] / "base") in disk.names_seen


def test_both_say_where_the_journal_begins_before_either_loses_a_segment():
    disk = journal_of()
    archive(FOLDERS, ARCHIVE, disk=disk)
    log = []
    disk.fail = lambda kind, path, *_: log.append((kind, path))
    retire(FOLDERS, ARCHIVE, disk=disk)
    removed = log.index(next(one for one in log if one[0] == "remove" and one[1].suffix == ".seg"))
    for folder in FOLDERS:
        renamed = log.index(("rename", folder / "base"))
        assert renamed < log.index(("sync_folder", folder), renamed) < removed


def test_restore_from_one_copy_and_the_archive():
    disk, expected, _ = retired()
    with Journal.open(FOLDERS, disk=disk) as journal:
        commit(journal, 10)
        expected.append((journal.next_frame - 1, journal.head_hash))
    checked = restore([FOLDERS[1], ARCHIVE], NEW, disk=disk)
    assert checked.ok and checked.head_hash == expected[-1][1]
    assert numbers(frames(NEW, disk=disk)) == expected
    assert content(disk, NEW[0]).keys() & {NEW[0] / "base"} == set()
    assert read_snapshot(NEW, disk=disk).frame == 11
    with Journal.open(NEW, disk=disk) as journal:
        assert journal.recovery.repaired == () and journal.next_frame == len(expected) + 1
        commit(journal, 3)
    with pytest.raises(InputError):
        restore([FOLDERS[1], ARCHIVE], NEW, disk=disk)


def test_restore_from_one_retired_copy_alone_begins_where_that_does():
    disk, expected, _ = retired()
    first = first_frame(FOLDERS, disk=disk)
    restore([FOLDERS[0]], NEW, disk=disk)
    assert first_frame(NEW, disk=disk) == first
    assert numbers(frames(NEW, start=first, disk=disk)) == expected[first - 1 :]
    assert read_snapshot(NEW, disk=disk).frame == 11


def test_restore_mends_from_the_archive_and_refuses_what_it_cannot():
    disk = journal_of()
    expected = history(FOLDERS, disk)
    archive(FOLDERS, ARCHIVE, disk=disk)
    disk.damage(segments(disk, FOLDERS[0])[2], PAGE + 9, b"rot")
    disk.damage(segments(disk, ARCHIVE)[1], PAGE + 9, b"rot")
    restore([FOLDERS[0], ARCHIVE], NEW, disk=disk)
    assert numbers(frames(NEW, disk=disk)) == expected
    disk.damage(segments(disk, ARCHIVE)[2], PAGE + 9, b"rot")
    with pytest.raises(JournalCorrupt):
        restore([FOLDERS[0], ARCHIVE], folders_of(Path("/newer")), disk=disk)


def test_a_restore_cut_anywhere_is_never_taken_for_a_shorter_journal():
    source = retired()[0]
    kept = {path: file for path, file in source.names_seen.items() if path.parent in (FOLDERS[0], ARCHIVE)}
    operations = 0
    while True:
        disk = SimulatedDisk(operations)
        disk.names_seen, disk.names_durable = dict(kept), dict(kept)
        expected = numbers(frames([FOLDERS[0], ARCHIVE], archive=ARCHIVE, disk=disk))
        disk.cut_after = operations
        try:
            restore([FOLDERS[0], ARCHIVE], NEW, disk=disk)
            finished = True
        except JournalError:
            finished = False
        for seed in range(4):
            after = disk.power_cut(random.Random(operations * 4 + seed))
            try:
                with Journal.open(NEW, disk=after) as journal:
                    assert journal.next_frame == len(expected) + 1
            except (InputError, JournalCorrupt):
                assert not finished  # nothing there yet, or named and refused
        if finished:
            return
        operations += 1


@pytest.mark.parametrize("fault", [Fault.NO_SPACE, Fault.FAILED_SYNC, Fault.SHORT_WRITE, Fault.FAILED_WRITE])
def test_an_archive_that_cannot_be_written_leaves_the_journal_alone(fault):
    disk = journal_of()
    before = content(disk, *FOLDERS)
    for operation in range(0, 40, 3):
        disk.plan(fault, disk.operations + operation, ARCHIVE)
        with suppress(JournalError):
            archive(FOLDERS, ARCHIVE, disk=disk)
    assert content(disk, *FOLDERS).items() >= {one for one in before.items() if one[0].suffix == ".seg"}
    archive(FOLDERS, ARCHIVE, disk=disk)
    assert len(disk.struck) > 3
    assert numbers(frames(ARCHIVE, disk=disk)) == history(FOLDERS, disk)[: len(list(frames(ARCHIVE, disk=disk)))]


def test_on_real_files(tmp_path):
    folders, target = folders_of(tmp_path / "data"), tmp_path / "archive"
    with Journal.create(folders, segment_bytes=6 * PAGE) as journal:
        for size in SIZES:
            commit(journal, size)
        write_snapshot(journal, journal.durable, bytes(32), b"", [b"x"])
        assert archive(folders, target)
        assert retire(journal, target)
        commit(journal, 100)
        expected = numbers(frames(folders, archive=target))
    assert verify(folders).ok and len(expected) == len(SIZES) + 1
    new = folders_of(tmp_path / "new")
    assert restore([folders[1], target], new).ok
    assert numbers(frames(new)) == expected


@pytest.mark.parametrize("linked", ["folder", "link to it", "links to its files", "none"])
def test_the_journal_is_no_archive_of_itself(tmp_path, linked):
    """It has byte for byte what is to be removed, and would go with it."""
    folders, target = folders_of(tmp_path), tmp_path / "archive"
    with Journal.create(folders, segment_bytes=6 * PAGE) as journal:
        for _ in range(9):
            commit(journal, 90)
        write_snapshot(journal, journal.durable, bytes(32), b"kind", [b"state"])
    archive(folders, target)
    segments_held = sorted(path.name for path in folders[0].glob("*.seg"))
    if linked in ("folder", "link to it"):
        (folders[0] / MANIFEST_NAME).write_bytes((target / MANIFEST_NAME).read_bytes())  # as copied
        target = folders[0] if linked == "folder" else tmp_path / "link"
    if linked == "link to it":
        target.symlink_to(folders[0])
    if linked == "links to its files":
        for path in target.glob("*.seg"):
            path.unlink()
            path.symlink_to(folders[1] / path.name)
    if linked == "none":
        assert retire(folders, target)
        return
    for write in (False, True):
        for call in (archive, retire):
            with pytest.raises(InputError, match="must have files of its own"):
                call(folders, target, write=write)
    for folder in folders:
        assert sorted(path.name for path in folder.glob("*.seg")) == segments_held and not (folder / "base").exists()


def test_a_journal_that_ends_before_its_archive_was_rolled_back():
    disk = journal_of()
    last = archive(FOLDERS, ARCHIVE, disk=disk)[-1]
    for path in [path for folder in FOLDERS for path in segments(disk, folder)[3:]]:
        disk.lose(path)
    for path in [path for path in disk.names_seen if path.name == "horizon" or path.suffix == ".snapshot"]:
        disk.lose(path)
    assert verify(FOLDERS, disk=disk).ok
    for write in (False, True):
        with pytest.raises(JournalError, match=f"up to frame {last.next_frame - 1}, .* rolled back"):
            archive(FOLDERS, ARCHIVE, write=write, disk=disk)
    with Journal.open(FOLDERS, disk=disk) as journal:
        commit(journal, 90)
        commit(journal, 90)
    with pytest.raises(JournalError, match="rolled back"):
        archive(FOLDERS, ARCHIVE, disk=disk)
