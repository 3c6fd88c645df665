"""The single writer: nothing leaves before the sync, an unknown outcome is the end, a start tells how the stop was."""

import threading

import numpy as np
import pytest
from node_venue import Disk, configuration, crash, market_on, start, trade

from seawall.engine.reference import Reference
from seawall.journal import frames
from seawall.node import ENGINES, Node, replay
from seawall.node import node as node_module
from seawall.sim import START_NS, SimulatedClock
from seawall.vocabulary.errors import InputError, JournalBusy, JournalError, OutcomeUnknown, ReplayMismatch
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_RECOVERED,
    FLAG_UNCLEAN,
    RULES_FOLDED,
    EventKind,
    Kind,
    VenueState,
    command,
    commands,
    join,
)


def kinds_and_flags(node):
    records = np.concatenate([frame.commands for frame in frames(node.configuration.folders)])
    assert records["seq"].tolist() == list(range(1, len(records) + 1))
    return list(zip(records["kind"].tolist(), records["flags"].tolist(), strict=True))


def test_a_new_node_journals_its_opening_and_a_stop_its_closing(tmp_path):
    node = start(tmp_path)
    node.submit(command(Kind.TIME))
    node.stop()
    node.stop()
    assert kinds_and_flags(node) == [(Kind.OPENED, 0), (Kind.RULES, 0), (Kind.TIME, 0), (Kind.CLOSED, 0)]
    assert next(frames(node.configuration.folders)).commands["version"].tolist() == [0, max(RULES_FOLDED)]
    with pytest.raises(JournalError):
        node.submit(command(Kind.TIME))


def test_commands_are_stamped_by_the_node_and_the_callers_stay_as_they_were(tmp_path):
    clock = SimulatedClock(START_NS)
    node = start(tmp_path, clock=clock)
    clock.advance(5)
    asked = commands(3)
    asked["kind"], asked["seq"], asked["time"] = Kind.TIME, 77, 99
    assert len(node.submit(asked)) == 0
    node.stop()
    records = np.concatenate([frame.commands for frame in frames(node.configuration.folders)])
    assert records["seq"].tolist() == [1, 2, 3, 4, 5, 6]
    assert set(records["time"][2:].tolist()) == {START_NS + 5}
    assert asked["seq"].tolist() == [77, 77, 77]


def test_nothing_to_submit_is_nothing(tmp_path):
    node = start(tmp_path)
    before = node.journal.next_frame
    assert len(node.submit(commands(0))) == 0
    assert node.journal.next_frame == before
    node.stop()


def test_events_leave_only_after_both_copies_are_synced_while_applying_overlaps(tmp_path):
    disk, hold, reached = Disk(), threading.Event(), threading.Semaphore(0)
    node = start(tmp_path, disk)

    def wait():
        reached.release()
        assert hold.wait(20)

    disk.on_sync = wait
    released = []
    submitting = threading.Thread(
        target=lambda: released.append(node.submit(command(Kind.STATE, state=VenueState.HALTED)))
    )
    before = node.fold.commands
    submitting.start()
    assert reached.acquire(timeout=20) and reached.acquire(timeout=20)
    for _ in range(200):
        if node.fold.commands > before:
            break
        submitting.join(0.01)
    assert node.fold.commands == before + 1, "applying did not overlap the sync"
    assert submitting.is_alive() and not released
    hold.set()
    submitting.join(20)
    assert released[0]["kind"].tolist() == [EventKind.STATE]
    disk.on_sync = None
    node.stop()


@pytest.mark.parametrize("copy", [0, 1])
def test_after_a_failed_sync_the_node_is_dead_and_a_restart_is_whole(tmp_path, copy):
    disk = Disk()
    node = start(tmp_path, disk)
    market = market_on(node)
    trade(node, market, 2)
    acknowledged = node.journal.next_seq - 1
    failing = iter([copy == 0, copy == 1, *[False] * 100])

    def fail():
        if next(failing):
            raise OSError(5, "Input/output error")

    disk.on_sync = fail
    with pytest.raises(OutcomeUnknown):
        node.submit(command(Kind.STATE, state=VenueState.REDUCE_ONLY))
    disk.on_sync = None
    with pytest.raises(OutcomeUnknown, match="dead"):
        node.submit(command(Kind.TIME))
    with pytest.raises(OutcomeUnknown, match="dead"):
        node.approve_open()
    node.stop()
    again = start(tmp_path)
    assert again.replayed.commands in (acknowledged, acknowledged + 1)
    assert again.venue == VenueState.REDUCE_ONLY
    assert kinds_and_flags(again)[-2:] == [(Kind.OPENED, FLAG_UNCLEAN), (Kind.STATE, FLAG_RECOVERED)]
    again.stop()


def test_an_engine_that_fails_ends_the_node(tmp_path, monkeypatch):
    node = start(tmp_path)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(node.fold.engine, "step", broken)
    with pytest.raises(ZeroDivisionError):
        node.submit(command(Kind.TIME))
    with pytest.raises(OutcomeUnknown):
        node.submit(command(Kind.TIME))
    node.stop()
    assert kinds_and_flags(node)[-1][0] == Kind.TIME


def test_a_clean_stop_changes_nothing(tmp_path):
    node = start(tmp_path)
    market = market_on(node)
    trade(node, market, 3)
    state = node.fold.engine.state()
    node.stop()
    again = start(tmp_path)
    assert again.replayed.digest == node.fold.digest[1].hex()
    assert again.venue == VenueState.OPEN
    after = again.fold.engine.state()
    assert {**after, "seq": 0} == {**state, "seq": 0}
    assert kinds_and_flags(again)[-2:] == [(Kind.CLOSED, 0), (Kind.OPENED, 0)]
    again.stop()


def test_after_an_unclean_stop_halted_then_reduce_only_then_people(tmp_path):
    node = start(tmp_path)
    market = market_on(node)
    trade(node, market, 2)
    crash(node)
    again = start(tmp_path)
    assert kinds_and_flags(again)[-2:] == [(Kind.OPENED, FLAG_UNCLEAN), (Kind.STATE, FLAG_RECOVERED)]
    assert again.venue == VenueState.REDUCE_ONLY and again.verification.ok
    refused = again.submit(command(Kind.STATE, state=VenueState.OPEN, flags=FLAG_RECOVERED))
    assert refused["reason"].tolist() == [Reason.PEOPLE_REQUIRED]
    maker = min(market.agents)
    opening = command(Kind.ORDER, account=maker, instrument=2, side=BUY, price=market.marks[2], quantity=10**5)
    assert again.submit(opening)["reason"].tolist() == [Reason.REDUCE_ONLY]
    again.approve_open()
    assert again.venue == VenueState.OPEN
    assert again.submit(opening)["kind"][0] == EventKind.ACCEPTED
    again.stop()


def test_the_venue_stays_halted_when_the_copies_do_not_verify(tmp_path, monkeypatch):
    crash(start(tmp_path))
    found = node_module.verify(configuration(tmp_path).folders)
    unsound = type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"ok": False})
    monkeypatch.setattr(node_module, "verify", lambda *_, **__: unsound)
    node = start(tmp_path)
    assert node.venue == VenueState.HALTED
    node.stop()


def test_a_halt_by_people_is_not_lifted_by_a_crash(tmp_path):
    node = start(tmp_path)
    node.submit(command(Kind.STATE, state=VenueState.HALTED))
    crash(node)
    for _ in range(2):
        again = start(tmp_path)
        assert again.venue == VenueState.HALTED
        crash(again)
    again = start(tmp_path)
    again.approve_open()
    crash(again)
    again = start(tmp_path)
    assert again.venue == VenueState.REDUCE_ONLY
    again.stop()


def test_a_crash_before_the_rule_was_journalled_still_steps_up(tmp_path, monkeypatch):
    crash(start(tmp_path))

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(node_module, "verify", killed)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path)
    monkeypatch.undo()
    node = start(tmp_path)
    assert node.venue == VenueState.REDUCE_ONLY
    node.stop()


def test_only_one_writer(tmp_path):
    node = start(tmp_path)
    with pytest.raises(JournalBusy):
        start(tmp_path)
    node.stop()


def test_a_fold_that_differs_does_not_start(tmp_path, monkeypatch):
    node = start(tmp_path)
    market = market_on(node)
    trade(node, market, 2)
    node.stop()

    class Other(Reference):
        def step(self, commands, attachments=b""):
            events = super().step(commands, attachments)
            events["a"][events["seq"] == 40] += 1
            return events

    monkeypatch.setitem(ENGINES, "reference", Other)
    with pytest.raises(ReplayMismatch) as caught:
        start(tmp_path)
    assert caught.value.frame == 2
    with pytest.raises(ReplayMismatch):
        replay(node.configuration.folders, "reference")
    monkeypatch.undo()
    start(tmp_path).stop()


def test_groups_do_not_change_events(tmp_path):
    events, counts = set(), set()
    for group, segment_bytes in ((1, 1 << 19), (7, 1 << 20), (4096, 1 << 18)):
        node = start(tmp_path / str(group), group=group, segment_bytes=segment_bytes)
        events.add(np.concatenate(trade(node, market_on(node), 4)).tobytes())
        counts.add(node.journal.next_frame)
        node.stop()
        assert replay(node.configuration.folders, "reference").conserved
    assert len(events) == 1 and len(counts) == 3


def test_what_does_not_fit_is_refused_whole(tmp_path):
    node = start(tmp_path, segment_bytes=1 << 18, group=2)
    before = node.journal.next_seq
    shares = join(*[command(Kind.TIME, attachment=share) for share in (0, 0, 2, -1)])  # the first group would stand
    with pytest.raises(InputError, match="as many bytes"):
        node.submit(shares, b"x")
    big = command(Kind.PUBLISH, version=1, attachment=1 << 18)
    with pytest.raises(InputError, match="segment"):
        node.submit(join(command(Kind.TIME), big), bytes(1 << 18))
    with pytest.raises(InputError, match="as many bytes"):
        node.submit(command(Kind.TIME), b"x")
    assert node.journal.next_seq == before
    fits = 63 * 3968 - 128 - 2 * 128
    largest = join(command(Kind.PUBLISH, version=1, attachment=fits), command(Kind.TIME))
    assert len(node.submit(largest, bytes(fits))) == 1
    assert node.journal.next_frame == 3
    node.stop()


def test_every_frame_attests_the_one_before(tmp_path):
    node = start(tmp_path)
    trade(node, market_on(node), 3)
    node.stop()
    found = list(frames(node.configuration.folders))
    assert [frame.digest_frame for frame in found] == [0, *range(1, len(found))]
    result = replay(node.configuration.folders, "reference")
    assert (result.frames, result.checked) == (len(found), len(found) - 1)


def test_both_engines_fold_alike(tmp_path):
    node = start(tmp_path, engine="fast")
    trade(node, market_on(node), 20)
    node.stop()
    fast, reference = (replay(node.configuration.folders, engine) for engine in ("fast", "reference"))
    assert fast.digest == reference.digest == node.fold.digest[1].hex()
    with pytest.raises(InputError):
        replay(node.configuration.folders, "other")


def test_approval_is_journalled(tmp_path):
    node: Node = start(tmp_path)
    node.submit(command(Kind.STATE, state=VenueState.HALTED))
    node.approve_open()
    node.stop()
    assert (Kind.STATE, FLAG_APPROVED) in kinds_and_flags(node)
