"""A folder whose disk is not mounted looks empty: nothing is created over it, and no copy is rebuilt unasked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from node_venue import configuration, crash, start

from seawall.journal import verify
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.records import Kind, command


def begin(tmp_path, **settings):
    node = start(tmp_path, **places(tmp_path), **settings)
    node.submit(command(Kind.TIME))
    node.stop()
    return node.configuration.folders


def places(tmp_path):
    """Both copies on disks of their own, the id of the journal on neither."""
    return {"data": str(tmp_path / "one"), "mirror": str(tmp_path / "two"), "home": str(tmp_path / "home")}


def test_with_both_disks_away_nothing_is_created(tmp_path):
    folders = begin(tmp_path)
    away = [folder.parent.rename(folder.parent.with_suffix(".away")) for folder in folders]
    with pytest.raises(InputError, match="mounted"):
        start(tmp_path, **places(tmp_path))
    assert not [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.name != "lock"]
    for folder, disk in zip(folders, away, strict=True):
        shutil.rmtree(folder.parent, ignore_errors=True)
        disk.rename(folder.parent)
    start(tmp_path, **places(tmp_path)).stop()


@pytest.mark.parametrize("copy", [0, 1])
def test_one_disk_away_is_refused_until_people_say_that_it_is_lost(tmp_path, copy):
    folders = begin(tmp_path)
    shutil.rmtree(folders[copy])
    folders[copy].mkdir()
    for _ in range(2):
        with pytest.raises(InputError, match="mounted"):
            start(tmp_path, **places(tmp_path))
    node = start(tmp_path, **places(tmp_path), rebuild=True)
    assert node.recovery.repaired
    node.stop()
    assert verify(folders).ok
    start(tmp_path, **places(tmp_path)).stop()


def test_another_journal_is_not_taken_for_this_one(tmp_path):
    begin(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    folders = begin(other)
    for folder in folders:
        shutil.rmtree(tmp_path / folder.parent.name)
        folder.parent.rename(tmp_path / folder.parent.name)
    with pytest.raises(InputError, match="hold"):
        start(tmp_path, **places(tmp_path))


def test_without_the_setting_the_id_is_kept_with_the_first_copy(tmp_path):
    crash(start(tmp_path))
    data = tmp_path / "journal"
    assert configuration(tmp_path).home_folder == data and (data / "journal.id").is_file()
    shutil.rmtree(data / "b")
    with pytest.raises(InputError, match="mounted"):
        start(tmp_path)
    start(tmp_path, rebuild=True).stop()
    for copy in ("a", "b"):
        shutil.rmtree(data / copy)
    with pytest.raises(InputError, match="mounted"):
        start(tmp_path)


SHORT = """
import os, resource, sys
from pathlib import Path
from node_venue import start
from seawall.vocabulary.records import Kind, command
node = start(Path(sys.argv[1]), segment_bytes=262_144)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    for _ in range(100):
        node.submit(command(Kind.TIME))
"""


def test_a_writer_that_has_no_descriptor_left_says_so(tmp_path):
    """The next segment cannot be made; of the thread that was to, only that it ended is known."""
    paths = os.pathsep.join(["src", str(Path(__file__).parent)])
    ended = subprocess.run(
        [sys.executable, "-c", SHORT, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    told = ended.stdout + ended.stderr
    assert "dead" in told and "no descriptor" in told and "LimitNOFILE" in told
