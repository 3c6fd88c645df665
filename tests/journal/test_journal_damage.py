"""Damage to one copy is named and mended; damage no copy can mend is named and refused, never cut."""

import errno
import hashlib
import itertools
import random
import zlib

import numpy as np
import pytest
from journal_world import FOLDERS, PAGE, SimulatedDisk, batch, commit, history, segments

from seawall.journal import Journal, frames, verify
from seawall.journal.layout import HEADER_BYTES, Position, encode_frame, start_of
from seawall.journal.layout import PAGE as PAGE_RECORD
from seawall.vocabulary.errors import JournalCorrupt, OutcomeUnknown

SIZES = (1, 30, 31, 61, 62, 100, 5, 80, 2, 1, 93, 70)
SEGMENT_PAGES = 8


def journal_of(sizes=SIZES, pages=SEGMENT_PAGES):
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=pages * PAGE, disk=disk) as journal:
        for size in sizes:
            commit(journal, size, b"attachment" * (size % 3))
    return disk


def snapshot(disk):
    return {path: bytes(file.data) for path, file in disk.names_seen.items() if path.suffix == ".seg"}


def restore(disk, saved):
    for path, content in saved.items():
        disk.names_seen[path].data[:] = content
        disk.names_seen[path].durable[:] = content


def check_mended(disk, saved, expected):
    """Reading mends in memory, verifying names, opening repairs; afterwards the bytes are what they were."""
    before = snapshot(disk)
    assert history(FOLDERS, disk) == expected
    for start in (len(expected) // 2, len(expected)):
        assert [frame.hash for frame in frames(FOLDERS, start=start, disk=disk)] == [
            hash_ for number, hash_ in expected if number >= start
        ]
    named = verify(FOLDERS, disk=disk)
    assert not named.ok and named.repairable and named.damage
    assert snapshot(disk) == before, "neither reading nor verifying writes"
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert set(journal.recovery.repaired) == set(named.damage)
        assert journal.recovery.cut == ()
        assert journal.next_frame == len(expected) + 1
    assert snapshot(disk) == saved
    assert verify(FOLDERS, disk=disk).ok
    return named


@pytest.mark.parametrize("seed", range(5))
def test_every_flipped_bit_is_named_and_mended(seed):
    """500 flips, a fifth of them in what is unused, headers as likely as payload."""
    disk, rng = journal_of(), random.Random(seed)
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    used = {path: [at for at in range(0, len(data), PAGE) if any(data[at : at + PAGE])] for path, data in saved.items()}
    for trial in range(100):
        path = rng.choice([path for path in saved if trial % 5 == 0 or used[path]])
        page = rng.randrange(SEGMENT_PAGES) * PAGE if trial % 5 == 0 else rng.choice(used[path])
        at = page + (rng.randrange(HEADER_BYTES) if trial % 2 else rng.randrange(PAGE))
        disk.damage(path, at, bytes([saved[path][at] ^ 1 << rng.randrange(8)]))
        named = check_mended(disk, saved, expected)
        (one,) = named.damage
        assert (one.folder, one.segment, one.page) == (path.parent, int(path.stem), at // PAGE)
        assert f"byte {at % PAGE}:" in one.what
        if one.frame:
            assert named.first_bad_frame == one.frame


def test_bytes_that_differ_are_counted_and_the_first_is_named():
    disk = journal_of()
    saved, expected, path = snapshot(disk), history(FOLDERS, disk), segments(disk, FOLDERS[1])[0]
    for at in (700, 100, 400):
        disk.damage(path, PAGE + at, bytes([saved[path][PAGE + at] ^ 0x11]))
    (one,) = check_mended(disk, saved, expected).damage
    right = saved[path][PAGE + 100]
    assert one.what == f"3 bytes differ, first byte 100: {right ^ 0x11:#04x} instead of {right:#04x}"


def test_bits_flipped_all_over_one_copy():
    disk, rng = journal_of(), random.Random(3)
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    for folder in FOLDERS * 5:
        for path in segments(disk, folder):
            for at in range(0, SEGMENT_PAGES * PAGE, PAGE):
                bit = at + rng.randrange(PAGE)
                disk.damage(path, bit, bytes([saved[path][bit] ^ 1 << rng.randrange(8)]))
        check_mended(disk, saved, expected)


def test_different_pages_damaged_in_each_copy():
    """No copy is whole, and together they are."""
    disk, rng = journal_of(), random.Random(4)
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    for _ in range(20):
        for segment, page in itertools.product(range(len(segments(disk, FOLDERS[0]))), range(SEGMENT_PAGES)):
            path = segments(disk, rng.choice(FOLDERS))[segment]
            disk.damage(path, page * PAGE + rng.randrange(PAGE - 8), rng.randbytes(8))
        check_mended(disk, saved, expected)


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "cut within a page", "longer", "zeroed", "unreadable"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_whole_files(folder, which, how):
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    path = segments(disk, folder)[which]
    file = disk.names_seen[path]
    if how == "missing":
        disk.lose(path)
    elif how == "zeroed":
        disk.damage(path, 0, bytes(len(file.data)))
    elif how == "longer":
        file.data += b"more"
        file.durable += b"more"
    elif how == "unreadable":
        file.unreadable.add(2)
    else:
        size = {"empty": 0, "cut": 3 * PAGE, "cut within a page": 3 * PAGE + 1000}[how]
        del file.data[size:], file.durable[size:]
    if not any(saved[path]) and how in ("zeroed", "missing"):
        return  # a prepared segment: there is nothing to mend
    named = check_mended(disk, saved, expected)
    assert {one.folder for one in named.damage} == {folder} and {one.segment for one in named.damage} == {which}
    if how == "unreadable":
        assert {one.page for one in named.damage} == {2}


def test_a_whole_folder_lost_or_rolled_back():
    disk = journal_of(SIZES[:5])
    old = snapshot(disk)
    with Journal.open(FOLDERS, disk=disk) as journal:
        for size in SIZES[5:]:
            commit(journal, size)
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    for folder, back in itertools.product(FOLDERS, ({}, old)):
        for path in segments(disk, folder):
            if path in back:
                disk.damage(path, 0, back[path])
            else:
                disk.lose(path)
        before = len(expected)
        assert len(history(FOLDERS, disk)) == before
        with Journal.open(FOLDERS, disk=disk) as journal:
            assert journal.next_frame == before + 1 and journal.recovery.cut == ()
        assert {path: data for path, data in snapshot(disk).items() if any(data)} == {
            path: data for path, data in saved.items() if any(data)
        }


def test_a_misdirected_page_is_not_taken():
    """Every page of one copy written over every other place of that copy."""
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    places = [(path, page) for path in segments(disk, FOLDERS[0]) for page in range(SEGMENT_PAGES)]
    rng = random.Random(1)
    for (source, page), (target, place) in rng.sample(list(itertools.product(places, places)), 150):
        piece = saved[source][page * PAGE : (page + 1) * PAGE]
        if piece == saved[target][place * PAGE : (place + 1) * PAGE]:
            continue
        disk.damage(target, place * PAGE, piece)
        check_mended(disk, saved, expected)


def _reseal(disk, path, page, change):
    """A careless edit: one page changed, its CRC made to fit."""
    row = np.frombuffer(bytes(disk.content(path)[page * PAGE : (page + 1) * PAGE]), np.uint8).copy().reshape(1, PAGE)
    record = row.reshape(-1).view(PAGE_RECORD)[0]
    change(record)
    record["crc"] = zlib.crc32(row.tobytes()[4:])
    disk.damage(path, page * PAGE, row.tobytes())


def _edit_payload(record):
    record["payload"][1000] ^= 1


def _edit(field):
    def change(record):
        record[field] += 1

    return change


@pytest.mark.parametrize(
    "change",
    [
        _edit_payload,
        *map(_edit, ("frame", "index", "count", "length", "reserved", "kind", "format", "previous", "hash")),
    ],
)
@pytest.mark.parametrize("folder", FOLDERS)
def test_an_edit_with_a_fitting_crc_is_found_by_the_hash(folder, change):
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    for path in segments(disk, folder):
        for page in range(SEGMENT_PAGES):
            if any(saved[path][page * PAGE : (page + 1) * PAGE]):
                _reseal(disk, path, page, change)
                check_mended(disk, saved, expected)


def test_the_same_page_bad_in_both_copies_of_a_proven_frame_is_refused_by_name():
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    places = []
    for path, data in saved.items():
        if path.parent == FOLDERS[0]:
            records = np.frombuffer(data, PAGE_RECORD)
            places += [(path.name, page, int(records["frame"][page])) for page in range(1, SEGMENT_PAGES)]
    for name, page, frame in places:
        if frame == 0 or frame == len(expected):
            continue
        for folder, offset in zip(FOLDERS, (500, 60), strict=True):
            disk.damage(folder / name, page * PAGE + offset, b"\xa5\x5a")
        before = snapshot(disk)
        for call in (lambda: Journal.open(FOLDERS, disk=disk), lambda: history(FOLDERS, disk)):
            with pytest.raises(JournalCorrupt) as refused:
                call()
            assert (refused.value.frame, refused.value.page) == (frame, page)
            assert f"segment {int(name[:8])}" in str(refused.value)
        found = verify(FOLDERS, disk=disk)
        assert not found.ok and not found.repairable and found.first_bad_frame == frame
        assert found.frames == frame - 1 and found.corrupt == str(refused.value)
        assert {(one.folder, one.segment, one.page) for one in found.damage} == {
            (folder, int(name[:8]), page) for folder in FOLDERS
        }
        assert snapshot(disk) == before, "nothing was touched"
        restore(disk, saved)
    assert verify(FOLDERS, disk=disk).ok


def test_a_segment_missing_in_both_copies_is_refused():
    disk = journal_of()
    for folder in FOLDERS:
        path = segments(disk, folder)[1]
        disk.lose(path)
    with pytest.raises(JournalCorrupt):
        Journal.open(FOLDERS, disk=disk)
    assert not verify(FOLDERS, disk=disk).repairable


@pytest.mark.parametrize("size", [0, PAGE, 3 * PAGE + 1, 2**50])
def test_a_size_of_segments_that_cannot_be_is_no_header(size):
    def change(record):
        record["payload"][:8] = np.frombuffer(size.to_bytes(8, "little"), np.uint8)

    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    for path in segments(disk, FOLDERS[1]):
        _reseal(disk, path, 0, change)
    check_mended(disk, saved, expected)
    for folder in FOLDERS:
        for path in segments(disk, folder):
            _reseal(disk, path, 0, change)
    with pytest.raises(JournalCorrupt, match="no segment has a sound header"):
        verify(FOLDERS, disk=disk)


def test_headers_bad_in_both_copies_follow_from_the_chain():
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    for folder in FOLDERS:
        for path in segments(disk, folder)[1:]:
            disk.damage(path, 70, b"x")
    disk.damage(segments(disk, FOLDERS[0])[0], 70, b"x")
    for start in range(len(expected)):
        assert len(list(frames(FOLDERS, start=start, disk=disk))) == len(expected) - max(0, start - 1)
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == len(expected) + 1
    assert {path: data for path, data in snapshot(disk).items() if any(data)} == {
        path: data for path, data in saved.items() if any(data)
    }


def test_folders_of_two_journals_are_refused_and_untouched():
    disk, other = journal_of(), journal_of(SIZES[:3])
    for path, file in other.names_seen.items():
        if path.parent == FOLDERS[1]:
            disk.names_seen[path] = file
    before = snapshot(disk)
    for call in (lambda: Journal.open(FOLDERS, disk=disk), lambda: verify(FOLDERS, disk=disk)):
        with pytest.raises(JournalCorrupt):
            call()
    assert snapshot(disk) == before


def test_copies_that_went_on_separately_are_refused():
    """Nobody may choose between two histories that are each whole."""
    disk = journal_of(SIZES[:4])
    base = snapshot(disk)
    with Journal.open(FOLDERS, disk=disk) as journal:
        commit(journal, 40)
        commit(journal, 3)
    one = snapshot(disk)
    for path, data in base.items():
        disk.damage(path, 0, data)
    with Journal.open(FOLDERS, disk=disk) as journal:
        commit(journal, 41)
    for path, data in one.items():
        if path.parent == FOLDERS[0]:
            disk.damage(path, 0, data)
    with pytest.raises(JournalCorrupt) as refused:
        Journal.open(FOLDERS, disk=disk)
    assert refused.value.frame == 5
    assert not verify(FOLDERS, disk=disk).repairable


def test_a_frame_whose_numbers_do_not_follow_is_not_taken():
    disk = journal_of((5, 6))
    last = list(frames(FOLDERS, disk=disk))[-1]
    record = np.frombuffer(bytes(disk.content(segments(disk, FOLDERS[0])[0])), PAGE_RECORD)[1]
    at = Position(0, 3, 3, last.hash, 99)  # 12 would follow
    pages, _ = encode_frame(at, record["journal"].tobytes(), batch(99, 6), b"", (1, b"f" * 32))
    for folder in FOLDERS:
        disk.damage(segments(disk, folder)[0], 3 * PAGE, pages.tobytes())
    assert len(history(FOLDERS, disk)) == 2


@pytest.mark.parametrize("garbage", [False, True], ids=["never written", "torn"])
@pytest.mark.parametrize("pages", [1, 3, 4])
def test_a_torn_last_frame_in_every_combination(pages, garbage):
    """Every subset of the last frame's pages in each copy: kept if the two make it up, else cut; nothing else moves."""
    sizes = (50, 31 * pages - 1)
    disk = journal_of(sizes)
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    first = 1 + len(sizes)  # the header, and two pages of the first frame
    rubbish = random.Random(1).randbytes(PAGE)
    for present in itertools.product((False, True), repeat=2 * pages):
        for folder, part in zip(FOLDERS, (present[:pages], present[pages:]), strict=True):
            path = segments(disk, folder)[0]
            for index, there in enumerate(part):
                if not there:
                    at = (first + index) * PAGE
                    left = saved[path][at : at + PAGE // 2] + bytes(PAGE // 2) if index % 2 else rubbish
                    disk.damage(path, at, left if garbage else bytes(PAGE))
        complete = all(a or b for a, b in zip(present[:pages], present[pages:], strict=True))
        kept = expected if complete else expected[:1]
        assert history(FOLDERS, disk) == kept
        named = verify(FOLDERS, disk=disk)
        assert named.repairable and named.frames == len(kept)
        with Journal.open(FOLDERS, disk=disk) as journal:
            assert journal.next_frame == len(kept) + 1
            assert named.ok == (not journal.recovery.repaired and not journal.recovery.cut)
            assert complete <= (journal.recovery.cut == ())
        if complete:
            assert snapshot(disk) == saved
        else:
            for path in segments(disk, FOLDERS[0]) + segments(disk, FOLDERS[1]):
                assert not any(disk.content(path)[(first if path.stem == "00000000" else 0) * PAGE :])
        assert verify(FOLDERS, disk=disk).ok
        restore(disk, saved)


@pytest.mark.parametrize("bad", FOLDERS)
def test_the_bad_copy_is_synced_before_the_good_one_is_touched(bad):
    disk = journal_of()
    disk.damage(segments(disk, bad)[3], 5 * PAGE + 1000, b"rot")  # in the last frame, which is rewritten in both
    log = []

    def note(kind, path, *_):
        if path.suffix == ".seg" and kind in ("write", "sync"):
            log.append((kind, path.parent))

    disk.fail = note
    Journal.open(FOLDERS, disk=disk).close()
    assert log[:2] == [("write", bad), ("sync", bad)]
    assert log[2:] == [(kind, folder) for folder in FOLDERS for kind in ("write", "sync")]


@pytest.mark.parametrize("edited", [0, 1])
def test_an_edit_in_one_copy_and_rot_in_the_other_within_one_frame(edited):
    """Only one choice of pages gives the hash."""
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    paths = [segments(disk, folder)[1] for folder in FOLDERS]
    _reseal(disk, paths[edited], 1, _edit_payload)
    disk.damage(paths[1 - edited], 2 * PAGE + 99, b"rot")
    check_mended(disk, saved, expected)


def test_a_forged_frame_that_the_next_does_not_follow_is_no_end_of_the_journal():
    disk = journal_of((5, 6, 7))
    path = segments(disk, FOLDERS[0])[0]
    first = next(iter(frames(FOLDERS[0], disk=disk)))
    record = np.frombuffer(bytes(disk.content(path)), PAGE_RECORD)[2]
    at = Position(0, 2, 2, first.hash, 6)
    pages, _ = encode_frame(at, record["journal"].tobytes(), batch(6, 6), b"", (1, b"f" * 32))
    disk.damage(path, 2 * PAGE, pages.tobytes())
    with pytest.raises(JournalCorrupt) as refused:
        list(frames(FOLDERS[0], disk=disk))
    assert refused.value.frame == 3
    assert verify(FOLDERS, disk=disk).first_bad_frame == 2


def test_a_repair_that_fails_is_unknown_and_can_be_tried_by_the_next_process():
    disk = journal_of()
    saved, expected = snapshot(disk), history(FOLDERS, disk)
    disk.damage(segments(disk, FOLDERS[0])[2], PAGE + 5, b"rot")

    def fail(kind, path, *_):
        if kind == "sync":
            raise OSError(errno.EIO, "as told")

    disk.fail = fail
    with pytest.raises(OutcomeUnknown):
        Journal.open(FOLDERS, disk=disk)
    disk.fail = lambda *_: None
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == len(expected) + 1
    assert snapshot(disk) == saved


def test_an_attachment_that_contains_a_frame_is_never_read_as_one():
    disk = journal_of((40, 70))
    pages = disk.content(segments(disk, FOLDERS[0])[0])
    image = bytes(pages[PAGE : 6 * PAGE])
    with Journal.open(FOLDERS, disk=disk) as journal:
        commit(journal, 1, image[: 4 * PAGE - 1000])
        commit(journal, 2)
    assert len(history(FOLDERS, disk)) == 4
    for folder in FOLDERS:  # the rest of the frame is torn: what lies in its first pages must not stand for frames
        for path in segments(disk, folder):
            records = np.frombuffer(bytes(disk.content(path)), PAGE_RECORD)
            for page in np.flatnonzero((records["frame"] == 4) | ((records["frame"] == 3) & (records["index"] > 2))):
                disk.damage(path, int(page) * PAGE, bytes(PAGE))
    assert len(history(FOLDERS, disk)) == 2


def test_a_page_left_of_a_cut_frame_does_not_come_back():
    """A disk that loses the zeroing of a cut frame in one copy shows its stale pages later."""
    disk = journal_of((50, 90))
    path = segments(disk, FOLDERS[0])[0]
    torn = bytes(disk.content(path)[3 * PAGE : 6 * PAGE])
    for folder in FOLDERS:
        disk.damage(segments(disk, folder)[0], 4 * PAGE, bytes(PAGE))
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert {one.frame for one in journal.recovery.cut} == {2} and journal.next_frame == 2
        commit(journal, 1)
    expected = history(FOLDERS, disk)
    for page in (1, 2):
        disk.damage(path, (3 + page) * PAGE, torn[page * PAGE : (page + 1) * PAGE])
    assert history(FOLDERS, disk) == expected
    with Journal.open(FOLDERS, disk=disk) as journal:
        assert journal.next_frame == 3
        commit(journal, 62)
    assert len(history(FOLDERS, disk)) == 3


def test_one_copy_alone_can_be_read_and_says_what_it_lacks():
    disk = journal_of()
    expected = history(FOLDERS, disk)
    assert history(FOLDERS[1], disk) == expected
    disk.damage(segments(disk, FOLDERS[1])[1], 3 * PAGE + 9, b"rot")
    with pytest.raises(JournalCorrupt):
        history(FOLDERS[1], disk)
    assert not verify([FOLDERS[1]], disk=disk).repairable
    assert verify([FOLDERS[0]], disk=disk).ok


def test_the_chain_starts_from_the_id_of_the_journal():
    disk = journal_of((1,))
    record = np.frombuffer(bytes(disk.content(segments(disk, FOLDERS[0])[0])), PAGE_RECORD)[1]
    genesis = hashlib.sha256(b"seawall journal 1" + record["journal"].tobytes()).digest()
    assert record["previous"].tobytes() == genesis == start_of(record["journal"].tobytes()).previous
