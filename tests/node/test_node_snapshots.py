"""A start goes on from the newest snapshot and gives what folding everything gives; without one it folds everything."""

import threading

import numpy as np
import pytest
from node_venue import Disk, crash, start
from random_venue import RandomVenue

from seawall.engine import fast_snapshot
from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.journal import archive, first_frame, frames, read_snapshot, retire, verify
from seawall.journal.horizon import Durable
from seawall.journal.snapshots import keep_snapshot, load_snapshot, snapshot_name, snapshots_in
from seawall.node import node as node_module
from seawall.node import replay
from seawall.node.snapshots import Held, replay_and_hold
from seawall.vocabulary.errors import InputError, JournalError, OutcomeUnknown, ReplayMismatch
from seawall.vocabulary.records import RULES_FOLDED, Kind, VenueState, command

SETTINGS = {"engine": "fast", "group": 20, "segment_bytes": 1 << 18}


def begin(tmp_path, seed=1, disk=None, **settings):
    venue = RandomVenue(seed)
    return start(tmp_path, disk, clock=venue, **{**SETTINGS, **settings}), venue


def again(tmp_path, venue, **settings):
    return start(tmp_path, clock=venue, **{**SETTINGS, **settings})


def covered(node):
    """The frames of the snapshots in each folder."""
    return [snapshots_in(Disk(), folder) for folder in node.configuration.folders]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_loaded_is_what_was_dumped_and_goes_on_alike(seed):
    venue, engine = RandomVenue(seed), Fast()
    flow = venue.flow
    flow.script.seq = 0
    commands, attachments = venue.opening()
    commands["seq"] -= 2
    engine.step(commands, attachments)
    for _ in range(6):
        flow.script.seq = engine.seq
        engine.step(*flow.batch(150))
        loaded = fast_snapshot.load([memoryview(bytes(chunk)) for chunk in fast_snapshot.dump(engine)])
        assert loaded.state() == engine.state() and loaded.conserved()
        batch = flow.batch(150)
        assert np.array_equal(engine.step(*batch), loaded.step(*batch))
        assert loaded.state() == engine.state()
        engine = loaded


def test_the_tag_names_the_layout_and_fits(monkeypatch):
    assert len(fast_snapshot.TAG) <= 64 and fast_snapshot._tag() == fast_snapshot.TAG
    monkeypatch.setattr(fast_snapshot, "RULES_FOLDED", (*RULES_FOLDED, 99))
    assert fast_snapshot._tag() != fast_snapshot.TAG
    monkeypatch.undo()
    monkeypatch.setattr(fast_snapshot.at, "A_LIMITS", 99)
    assert fast_snapshot._tag() != fast_snapshot.TAG


def test_a_start_after_a_stop_folds_nothing_and_is_where_it_was(tmp_path):
    node, venue = begin(tmp_path)
    venue.trade(node, 10)
    state = node.fold.engine.state()
    node.stop()
    last = node.journal.next_frame - 1
    assert covered(node) == [[last], [last]]
    after = again(tmp_path, venue)
    assert after.snapshot_frame == last and after.replayed.frames == 0 and after.verification is None
    assert {**after.fold.engine.state(), "seq": 0} == {**state, "seq": 0}
    venue.trade(after, 5)
    after.stop()
    results = [replay(node.configuration.folders, engine) for engine in ("fast", "reference")]
    assert {result.digest for result in results} == {after.fold.digest[1].hex()}
    assert results[1].checked == results[1].frames - 1


def test_after_a_crash_only_what_came_later_is_folded_and_verified(tmp_path):
    node, venue = begin(tmp_path)
    venue.trade(node, 60)
    covers = node.snapshot()
    venue.trade(node, 3)
    digest, stood = node.fold.digest, node.fold.engine.state()
    crash(node)
    seen = []

    def spy(folders, **how):
        seen.append(verify(folders, **how))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_module, "verify", spy)
        patch.setattr(node_module.Node, "submit", lambda self, *_: None)
        after = again(tmp_path, venue)
    assert (after.snapshot_frame, after.replayed.frames) == (covers, digest[0] - covers)
    assert after.fold.digest == digest and after.fold.engine.state() == stood
    assert seen[0].ok and 0 < seen[0].frames < digest[0], "it verified from the first frame on"
    after.journal.close()
    last = again(tmp_path, venue)
    assert last.venue == VenueState.REDUCE_ONLY
    last.stop()


def test_a_damage_behind_the_snapshot_is_still_found_by_a_whole_verification(tmp_path):
    node, venue = begin(tmp_path)
    venue.trade(node, 60)
    node.stop()
    folders = node.configuration.folders
    with (folders[1] / "00000000.seg").open("r+b") as file:
        file.seek(4096 + 2000)
        file.write(b"rot")
    assert not verify(folders).ok
    assert verify(folders, start=node.journal.next_frame - 1).ok


def test_a_running_node_takes_them_beside_its_writing(tmp_path):
    disk, hold, reached = Disk(), threading.Event(), threading.Event()
    node, venue = begin(tmp_path, disk=disk, snapshot_frames=10)
    venue.trade(node, 1)
    opening = node.fold.engine.state()

    def wait():
        if threading.current_thread().name == "snapshots":
            reached.set()
            assert hold.wait(20)

    disk.on_sync = wait
    while not reached.is_set():
        venue.trade(node, 1)
        reached.wait(0.01)
    begun = node._snapshots.frame
    venue.trade(node, 30)
    assert node._snapshots.frame == begun, "a second one was begun before the first was written"
    assert node.fold.engine.state() != opening
    hold.set()
    node._snapshots.finish()
    found = read_snapshot(node.configuration.folders)
    assert found.frame == begun
    fold = replay_to(node, begun)
    assert fast_snapshot.load(found.chunks).state() == fold.state()
    venue.trade(node, 10)
    node.stop()
    assert again(tmp_path, venue).snapshot_frame == node.journal.next_frame - 1


def replay_to(node, last):
    """The reference engine in the state after a frame."""
    engine = Reference()
    for frame in frames(node.configuration.folders):
        if frame.number <= last:
            engine.step(frame.commands, frame.attachments)
    return engine


def test_with_a_witness_everything_is_folded(tmp_path):
    node, venue = begin(tmp_path)
    venue.trade(node, 3)
    node.stop()
    seen = []
    after = start(tmp_path, clock=venue, witness=lambda frame, events: seen.append(frame.number), **SETTINGS)
    assert after.snapshot_frame == 0 and seen == list(range(1, node.journal.next_frame))
    after.stop()


def test_one_of_another_build_or_engine_is_left_alone(tmp_path, monkeypatch):
    node, venue = begin(tmp_path)
    venue.trade(node, 5)
    node.stop()
    other = again(tmp_path, venue, engine="reference")
    assert other.snapshot_frame == 0
    with pytest.raises(InputError, match="no snapshots"):
        other.snapshot()
    other.stop()
    assert covered(other) == covered(node)
    monkeypatch.setattr(fast_snapshot, "TAG", b"fast, but otherwise")
    upgraded = again(tmp_path, venue)
    assert upgraded.snapshot_frame == 0 and upgraded.replayed.checked
    upgraded.stop()
    assert again(tmp_path, venue).snapshot_frame == upgraded.journal.next_frame - 1


def test_a_snapshot_of_other_events_is_found_out(tmp_path, monkeypatch):
    node, venue = begin(tmp_path)
    venue.trade(node, 5)
    right = node.fold.digest
    monkeypatch.setattr(type(node.fold), "digest", property(lambda self: (right[0], bytes(32))))
    node.snapshot()
    monkeypatch.undo()
    node.submit(command(Kind.TIME))
    crash(node)
    with pytest.raises(ReplayMismatch) as caught:
        again(tmp_path, venue)
    assert caught.value.frame == right[0]


def test_one_that_cannot_be_written_ends_nothing(tmp_path):
    disk = Disk()
    node, venue = begin(tmp_path, disk=disk, snapshot_frames=5)
    venue.trade(node, 2)
    node._snapshots.finish()
    before = covered(node)
    rename, refused = disk.rename, []

    def full(old, new):
        if new.suffix == ".snapshot":
            refused.append(new)
            raise OSError(28, "No space left on device")
        rename(old, new)

    disk.rename = full
    with pytest.raises(JournalError, match="No space"):
        node.snapshot()
    venue.trade(node, 10)
    node._snapshots.finish()
    assert len(refused) > 1 and covered(node) == before
    node.stop()
    after = again(tmp_path, venue)
    assert (after.snapshot_frame, after.venue) == (before[0][-1], node.venue)
    after.stop()


def test_a_dead_node_takes_none(tmp_path):
    disk = Disk()
    node, venue = begin(tmp_path, disk=disk)
    venue.trade(node, 1)

    def fail():
        raise OSError(5, "Input/output error")

    disk.on_sync = fail
    with pytest.raises(OutcomeUnknown):
        node.submit(command(Kind.TIME))
    with pytest.raises(OutcomeUnknown):
        node.snapshot()
    node.stop()
    assert covered(node) == [[], []]


def test_a_retired_journal_starts_from_its_snapshot_and_an_upgrade_asks_for_the_archive(tmp_path, monkeypatch):
    node, venue = begin(tmp_path)
    venue.trade(node, 100)
    node.stop()
    folders, target = node.configuration.folders, tmp_path / "archive"
    whole = replay(folders, "reference")
    assert archive(folders, target) and retire(folders, target)
    assert first_frame(folders) > 1
    after = again(tmp_path, venue)
    assert after.replayed.frames == 0 and after.venue == node.venue
    after.stop()
    with pytest.raises(InputError, match="retired"):
        replay(folders, "reference")
    assert replay(folders, "reference", archive=target).frames == whole.frames + 2
    monkeypatch.setattr(fast_snapshot, "TAG", b"fast, but otherwise")
    with pytest.raises(InputError, match="retired"):
        again(tmp_path, venue)
    upgraded = again(tmp_path, venue, archive=str(target))
    assert upgraded.snapshot_frame == 0
    upgraded.stop()
    assert covered(upgraded)[0][-1] == upgraded.journal.next_frame - 1


def test_a_stop_is_unclean_when_the_journal_cannot_say_otherwise(tmp_path):
    """All frames retired but none after them: cannot come about by `retire`, and would be halted."""
    node, _ = begin(tmp_path)
    node.stop()
    first = node_module.first_frame
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_module, "first_frame", lambda *a, **k: first(*a, **k) + 10**6)
        after = start(tmp_path, **SETTINGS)
    assert after.venue == VenueState.REDUCE_ONLY
    after.stop()


def test_none_are_taken_beside_the_writer_where_the_setting_says_so(tmp_path):
    node, venue = begin(tmp_path, snapshot_frames=0)
    venue.trade(node, 30)
    assert covered(node) == [[], []]
    node.stop()


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_a_snapshot_that_is_not_what_the_journal_folds_to_is_found_by_replay(tmp_path, engine):
    """Every CRC right, in one folder alone: a start takes it for the state, verify has nothing against it."""
    node, venue = begin(tmp_path)
    for _ in range(4):
        node.submit(*venue.flow.batch(100))
    node.stop()
    folders = node.configuration.folders
    paths = [folder / snapshot_name(covered(node)[0][-1]) for folder in folders]
    assert replay_and_hold(folders, engine)[1] == Held(paths, [])
    stored = load_snapshot(Disk(), folders[0], covered(node)[0][-1], node.journal.journal_id)
    forged = fast_snapshot.load(stored.chunks)
    balances = forged._arrays["balances"].reshape(-1)
    balances[np.flatnonzero(balances)[:2]] += (7, -7)
    covers = Durable(stored.frame, stored.seq, stored.hash)
    dumped = [memoryview(bytes(chunk)) for chunk in fast_snapshot.dump(forged)]
    keep_snapshot(folders[:1], node.journal.journal_id, covers, stored.digest, stored.tag, dumped)
    assert verify(folders).ok and read_snapshot(folders).chunks == dumped
    result, found = replay_and_hold(folders, engine)
    assert result.conserved and found == Held(paths[1:], paths[:1])
    keep_snapshot(folders[:1], node.journal.journal_id, covers, stored.digest, stored.tag, [b"nothing"])
    assert replay_and_hold(folders, engine)[1].differ == paths[:1]
