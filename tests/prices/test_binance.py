"""Recordings of Binance itself, where the shared data folder is at hand; the whole of them in the soak run."""

from pathlib import Path

import pytest
from recorded import carry

from seawall.prices import Gap, Importer, read_recording
from seawall.sim.recording import record_synthetic

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "l2" / "binance"
FILES = sorted(FOLDER.glob("*.jsonl.gz"))
NAMES = [file.name for file in FILES] or ["none"]
ABSENT = pytest.mark.skipif(not FILES, reason="the recordings of ../shared/data/l2/binance are not on this machine")
LINES = 6000
SHARE_ASKED = 0.95


def check(file, limit=None):
    """Import a file; its fidelity, with everything that must hold for any recording asserted."""
    recording = read_recording(file, limit)
    carried = carry(Importer(recording), size=2048)
    found = carried.fidelity
    assert recording.gaps == [] and recording.repeated == 0
    assert found.trades_recorded == len(recording.prints)
    assert found.trades_reproduced + sum(found.causes.values()) == found.trades_recorded
    assert found.book_differences == 0 and found.refused == 0, found.first_refusal
    assert carried.engine.conserved()
    return found


@ABSENT
@pytest.mark.parametrize("name", NAMES)
def test_the_beginning_of_every_recording(name):
    found = check(FOLDER / name, LINES)
    assert found.book_checks > 300
    assert found.share_reproduced >= SHARE_ASKED


@ABSENT
@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_every_recording_whole(name):
    found = check(FOLDER / name)
    assert found.trades_with_complete_depth > 900
    assert found.share_reproduced >= SHARE_ASKED
    if not name.startswith("spot"):  # only spot's ids prove what was not told, so here nearly every trade counts
        assert found.share_of_all >= SHARE_ASKED
        assert Gap.UNSEEN not in found.incomplete_depth


@pytest.mark.soak
@pytest.mark.parametrize("market", ["usdm", "coinm", "spot"])
def test_many_made_recordings_whole(tmp_path, market):
    for seed in range(40):
        record_synthetic(tmp_path / "made.jsonl.gz", seed, market=market, steps=2000)
        assert check(tmp_path / "made.jsonl.gz").share_reproduced >= 0.999
