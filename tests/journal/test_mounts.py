"""A folder whose disk is not mounted looks empty: it is not taken for a journal's beginning, nor for a lost copy."""

import random
from pathlib import Path

import pytest
from journal_world import FOLDERS, PAGE, PowerCut, SimulatedDisk, commit, segments

from seawall.journal import Journal, folders_of, holds_journal
from seawall.vocabulary.errors import InputError, OutcomeUnknown

HOME = Path("/state")


def created():
    disk = SimulatedDisk()
    with Journal.create(FOLDERS, segment_bytes=8 * PAGE, home=HOME, disk=disk) as journal:
        commit(journal, 40)
    return disk


def unmount(disk, *folders):
    for path in [path for path in disk.names_seen if path.parent in folders]:
        disk.lose(path)


def test_no_journal_is_begun_where_one_was():
    disk = created()
    unmount(disk, *FOLDERS)
    with pytest.raises(InputError) as refused:
        Journal.create(FOLDERS, segment_bytes=8 * PAGE, home=HOME, disk=disk)
    assert refused.value.field == "home" and "mounted" in refused.value.rule
    assert not holds_journal(FOLDERS, disk=disk)


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_empty_folder_is_not_made_again_unasked(folder):
    disk = created()
    unmount(disk, folder)
    with pytest.raises(InputError) as refused:
        Journal.open(FOLDERS, home=HOME, disk=disk)
    assert refused.value.value == str(folder) and not segments(disk, folder)
    with Journal.open(FOLDERS, home=HOME, rebuild=True, disk=disk) as journal:
        assert journal.next_frame == 2 and segments(disk, folder)
    Journal.open(FOLDERS, home=HOME, disk=disk).close()


def test_another_journal_than_ours_is_refused():
    disk = created()
    other = folders_of(Path("/other"))
    Journal.create(other, segment_bytes=8 * PAGE, disk=disk).close()
    with pytest.raises(InputError):
        Journal.open(other, home=HOME, disk=disk)
    disk.damage(HOME / "journal.id", 0, b"zz")
    with pytest.raises(InputError):
        Journal.open(FOLDERS, home=HOME, disk=disk)


def test_a_journal_from_before_is_adopted():
    disk = SimulatedDisk()
    Journal.create(FOLDERS, segment_bytes=8 * PAGE, disk=disk).close()
    with Journal.open(FOLDERS, home=HOME, disk=disk) as journal:
        assert bytes(disk.content(HOME / "journal.id")).decode().strip() == journal.journal_id.hex()


def test_a_creation_cut_anywhere_can_be_taken_up():
    operations = 0
    while True:
        disk = SimulatedDisk(operations)
        disk.cut_after = operations
        try:
            Journal.create(FOLDERS, segment_bytes=8 * PAGE, home=HOME, disk=disk).close()
            finished = True
        except (OutcomeUnknown, PowerCut):
            finished = False
        for seed in range(8):
            after = disk.power_cut(random.Random(seed))
            if holds_journal(FOLDERS, disk=after):
                Journal.open(FOLDERS, home=HOME, disk=after).close()
            else:
                assert not finished
                Journal.create(FOLDERS, segment_bytes=8 * PAGE, home=HOME, disk=after).close()
            assert Journal.open(FOLDERS, home=HOME, disk=after).next_frame == 1
        if finished:
            return
        operations += 1


def test_on_real_files(tmp_path):
    folders, home = folders_of(tmp_path / "disks"), tmp_path / "state"
    Journal.create(folders, segment_bytes=8 * PAGE, home=home).close()
    Journal.open(folders, home=home).close()
    with pytest.raises(InputError):
        Journal.create(folders_of(tmp_path / "elsewhere"), segment_bytes=8 * PAGE, home=home)
