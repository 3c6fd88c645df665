"""Rules: a new journal begins under the newest, an old one changes them only when people say so; chains stay whole."""

import hashlib

import numpy as np
import pytest
from node_venue import start
from random_venue import RandomVenue

from seawall.journal import Journal, folders_of, frames
from seawall.node import EventDigest, replay
from seawall.node.snapshots import resume
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.records import (
    EVENT,
    FLAG_LINKED,
    RULES_FOLDED,
    EventKind,
    Kind,
    command,
    commands,
    join,
)

SETTINGS = {"engine": "fast", "segment_bytes": 1 << 18}


def under_rules_1(tmp_path):
    """A journal as builds made them that knew no other rules; closed."""
    journal = Journal.create(folders_of(tmp_path / "journal"), segment_bytes=1 << 18)
    for seq, kind in enumerate((Kind.OPENED, Kind.CURRENCY, Kind.CLOSED), start=1):
        journal.commit(command(kind, seq=seq))
    journal.close()


def test_a_new_journal_begins_under_the_newest_rules_in_one_frame(tmp_path):
    node = start(tmp_path, **SETTINGS)
    assert node.fold.engine.catalogue.rules == max(RULES_FOLDED)
    (first,) = frames(node.configuration.folders)
    assert first.commands["kind"].tolist() == [Kind.OPENED, Kind.RULES]
    node.stop()


def test_a_creation_that_was_interrupted_is_taken_up_as_a_new_journal(tmp_path):
    Journal.create(folders_of(tmp_path / "journal"), segment_bytes=1 << 18).close()
    node = start(tmp_path, **SETTINGS)
    assert node.fold.engine.catalogue.rules == max(RULES_FOLDED) and node.venue == 0
    node.stop()


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_an_old_journal_keeps_its_rules_until_people_adopt_others(tmp_path, engine):
    under_rules_1(tmp_path)
    settings = {**SETTINGS, "engine": engine}
    node = start(tmp_path, **settings)
    assert node.fold.engine.catalogue.rules == 1
    with pytest.raises(InputError):
        node.snapshot()
    for wrong in (0, 1, 99):
        with pytest.raises(InputError, match="rules"):
            node.adopt_rules(wrong)
    node.stop()
    node = start(tmp_path, **settings)
    assert (node.fold.engine.catalogue.rules, node.snapshot_frame) == (1, 0)
    events = node.adopt_rules(2)
    assert events["kind"].tolist() == [EventKind.DEFINED] and node.fold.engine.catalogue.rules == 2
    assert list(frames(node.configuration.folders))[-1].commands["kind"].tolist() == [Kind.RULES]
    with pytest.raises(InputError, match="newer"):
        node.adopt_rules(2)
    node.submit(command(Kind.LIMIT, account=3, amount=1))
    node.journal.close()
    if engine == "fast":
        assert resume(node.configuration.folders, "fast").engine.catalogue.rules == 2
    after = start(tmp_path, **settings)
    assert after.fold.engine.catalogue.rules == 2 and (after.snapshot_frame > 0) == (engine == "fast")
    after.stop()
    assert replay(node.configuration.folders, "reference").digest == after.fold.digest[1].hex()


def test_the_digest_is_as_documented():
    def events(count, **fields):
        made = np.zeros(count, EVENT)
        for name, value in fields.items():
            made[name] = value
        return made

    parts = [events(2, kind=EventKind.FILL), events(1, kind=EventKind.DEFINED, a=Kind.RULES, b=1)]
    parts += [events(3, kind=EventKind.DEFINED, a=Kind.RULES, b=2), events(0), events(5, a=7)]
    digest = EventDigest()
    found = [digest.take(part) for part in parts]
    whole = [hashlib.sha256(np.concatenate(parts[: count + 1]).tobytes()).digest() for count in range(3)]
    assert found[:3] == whole
    for number in (3, 4):
        assert found[number] == hashlib.sha256(found[number - 1] + parts[number].tobytes()).digest()
    later = EventDigest(found[3])
    assert later.take(parts[4]) == found[4]


def chain(length):
    made = commands(length)
    made["kind"], made["flags"][:-1] = Kind.ORDER, FLAG_LINKED
    return made


def test_a_linked_chain_is_never_cut(tmp_path):
    node = start(tmp_path, group=3, **SETTINGS)
    first = node.journal.next_frame
    node.submit(join(command(Kind.TIME), command(Kind.TIME), chain(2), chain(5), command(Kind.TIME), chain(3)))
    found = [len(frame.commands) for frame in frames(node.configuration.folders, start=first)]
    assert found == [2, 2, 5, 1, 3]
    node.stop()


def test_a_chain_that_leads_nowhere_or_fits_no_segment_is_refused_whole(tmp_path):
    node = start(tmp_path, group=3, **SETTINGS)
    before = node.journal.next_seq
    for kind in (Kind.ORDER, Kind.CANCEL):
        with pytest.raises(InputError, match="flags"):
            node.submit(join(command(Kind.TIME), command(kind, flags=FLAG_LINKED)))
    with pytest.raises(InputError, match="segment"):
        node.submit(join(command(Kind.TIME), chain(63 * 31)))
    assert node.journal.next_seq == before
    node.submit(chain(63 * 31 - 1))
    node.stop()


def test_a_flag_of_another_kind_links_nothing(tmp_path):
    node = start(tmp_path, **SETTINGS)
    node.submit(command(Kind.TIME, flags=FLAG_LINKED))
    node.stop()


@pytest.mark.parametrize("group", [1, 7])
def test_streams_of_every_kind_fold_alike_whatever_the_group(tmp_path, group):
    venue = RandomVenue(5)
    node = start(tmp_path, clock=venue, **{**SETTINGS, "group": group})
    venue.trade(node, 10, 60)
    node.stop()
    results = [replay(node.configuration.folders, engine) for engine in ("fast", "reference")]
    assert results[0].digest == results[1].digest == node.fold.digest[1].hex()
