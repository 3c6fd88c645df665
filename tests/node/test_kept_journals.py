"""Journals of earlier builds, kept for ever: each folds to the digest it had, with both engines, and goes on.

rules-1  written by the build of commit 9c1d517, the last that knew only rules 1: the simulated market with funding,
         settlement and expiries, killed with -9 once; its copies as the killed and reopened writer left them
rules-2  written by `keep_journal.py`: random commands of every kind there was, an unclean stop
rules-3  the same, with the kinds that rules 3 added
rules-4  the same, with capped gains and an owner's accounts under rules 4
rules-5  the same; orders upstream that were let in because they reduce are edited, and refused
rules-6  the same; drawdown limits whose heights are confirmed, opening orders refused for want of an index
rules-7  the same; gains above their cap wait in the session
"""

import tarfile

import pytest
from keep_journal import KEPT, kinds

from seawall.journal import folders_of, verify
from seawall.node import Configuration, Node, replay
from seawall.vocabulary.records import RULES_FOLDED, Kind, command

RULES = {"rules-1": 1, "rules-2": 2, "rules-3": 3, "rules-4": 4, "rules-5": 5, "rules-6": 6, "rules-7": 7}


@pytest.fixture(params=RULES)
def kept(request, tmp_path):
    """A kept journal's data folder, its digest and its rules."""
    with tarfile.open(KEPT / f"{request.param}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    digest = (KEPT / f"{request.param}.digest").read_text().strip()
    return tmp_path / request.param, digest, RULES[request.param]


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_it_folds_to_the_digest_it_had(kept, engine):
    data, digest, _ = kept
    assert verify(folders_of(data)).ok
    result = replay(folders_of(data), engine)
    assert result.digest == digest and result.conserved and result.checked == result.frames - 1


def test_it_is_gone_on_with_under_its_own_rules(kept):
    data, digest, rules = kept
    settings = Configuration.of({"data": str(data), "segment_bytes": 1 << 18})
    node = Node.start(settings, lambda: 2**62)
    assert (node.replayed.digest, node.fold.engine.catalogue.rules) == (digest, rules)
    newest = max(RULES_FOLDED)
    if rules < newest:
        node.adopt_rules(rules + 1)
    node.submit(command(Kind.INDEX, instrument=0, price=1000))
    node.stop()
    again = Node.start(settings, lambda: 2**62)
    assert again.snapshot_frame == node.journal.next_frame - 1
    assert again.fold.engine.catalogue.rules == min(newest, rules + 1)
    again.stop()
    assert replay(settings.folders, "reference").digest == again.fold.digest[1].hex()


def test_every_kind_of_command_is_kept(tmp_path):
    found = set()
    for name in RULES:
        file = KEPT / f"{name}.tar.xz"
        assert file.stat().st_size < 200_000
        with tarfile.open(file) as packed:
            packed.extractall(tmp_path, filter="data")
        found |= set(kinds(tmp_path / name))
    assert set(Kind) <= found
