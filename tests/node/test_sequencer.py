"""The writer's thread: groups, what is shed, what goes first, what a mass cancel takes back, and when it ends."""

import queue
import threading

import numpy as np
import pytest
from node_venue import start

from seawall.node.sequencer import WAITING_MAX, Overloaded, Sequencer, Withdrawn
from seawall.vocabulary.errors import OutcomeUnknown
from seawall.vocabulary.records import COMMAND, Kind, command

TIME = command(Kind.TIME).tobytes()


class Loop:
    """What the event loop is to the writer: functions are run here, in the order they were told."""

    def __init__(self):
        self.told = queue.Queue()

    def run_until(self, done, timeout=10):
        while not done():
            self.told.get(timeout=timeout)()


@pytest.fixture
def writer(tmp_path):
    node, loop, heard = start(tmp_path), Loop(), []
    sequencer = Sequencer(node, loop.told.put, heard.append)
    sequencer.loop, sequencer.heard = loop, heard
    yield sequencer
    if sequencer._thread.is_alive():
        sequencer.stop()
    node.stop()


def test_requests_are_answered_with_their_first_seq_once_heard(writer):
    answers = []
    writer.submit(TIME * 2, done=lambda seq, error: answers.append((seq, error, len(writer.heard))))
    writer.submit(TIME, done=lambda seq, error: answers.append((seq, error, len(writer.heard))))
    writer.start()
    writer.loop.run_until(lambda: len(answers) == 2)
    first = int(writer.heard[0].commands["seq"][0])
    assert answers == [(first, None, 1), (first + 2, None, 1)]
    assert len(writer.heard) == 1 and writer.commits == 1  # what waited went into one frame


def test_cancels_go_first_and_the_rest_in_order(writer):
    for price in (1, 2, 3):
        writer.submit(command(Kind.TIME, price=price).tobytes())
    writer.submit(command(Kind.TIME, price=9).tobytes(), urgent=True)
    writer.start()
    writer.loop.run_until(lambda: writer.heard)
    assert writer.heard[0].commands["price"].tolist() == [9, 1, 2, 3]


def test_while_nothing_waits_memory_is_readied_a_slice_at_a_time(writer, monkeypatch):
    slices, asked, go_on = [], threading.Event(), threading.Event()

    def make_ready():
        slices.append(writer.commits)
        if len(slices) == 3:
            asked.set()
            go_on.wait(10)
        return len(slices) < 6

    monkeypatch.setattr(writer.node.fold.engine, "make_ready", make_ready)
    writer.start()
    assert asked.wait(10)
    writer.submit(TIME)
    go_on.set()
    writer.loop.run_until(lambda: writer.heard)
    writer.stop()
    assert slices == [0, 0, 0, 1, 1, 1]  # the request came during the third slice, and was taken before a fourth


def test_orders_are_shed_when_the_queue_is_full_and_cancels_are_not(writer):
    for _ in range(WAITING_MAX):
        writer.submit(TIME)
    with pytest.raises(Overloaded) as shed:
        writer.submit(TIME)
    assert (shed.value.waiting, shed.value.most) == (WAITING_MAX, WAITING_MAX)
    writer.submit(TIME, urgent=True)
    assert writer.waiting == WAITING_MAX + 1


def test_a_mass_cancel_takes_back_what_its_account_has_waiting_and_nothing_else(writer):
    told = []
    for account in (3, 4, 3):
        record = command(Kind.TIME, account=account).tobytes()
        writer.submit(record, done=lambda seq, error, who=account: told.append((who, type(error))), account=account)
    assert writer.withdraw(3) == 2
    assert told == [(3, Withdrawn), (3, Withdrawn)]
    writer.start()
    writer.loop.run_until(lambda: len(told) == 3)
    assert told[2] == (4, type(None))
    assert writer.heard[0].commands["account"].tolist() == [4]


def test_looks_run_in_the_writers_thread_and_see_what_is_durable(writer):
    seen = []
    writer.start()
    writer.submit(TIME)
    writer.look(lambda: (threading.current_thread().name, writer.node.fold.engine.seq), lambda *told: seen.append(told))
    writer.loop.run_until(lambda: seen)
    (name, seq), error = seen[0]
    assert name == "writer" and error is None
    assert seq in (writer.node.journal.next_seq - 1, writer.node.journal.next_seq - 2)


def test_a_look_that_fails_is_told_and_the_writer_goes_on(writer):
    told = []
    writer.look(lambda: {}["nobody"], lambda *seen: told.append(seen))
    writer.start()
    writer.loop.run_until(lambda: told)
    assert told[0][0] is None and isinstance(told[0][1], KeyError)
    writer.submit(TIME, done=lambda *answer: told.append(answer))
    writer.loop.run_until(lambda: len(told) == 2)
    assert told[1][0] > 0 and told[1][1] is None and writer.dead is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_without_memory_ends_the_writer_and_whoever_waits_is_told(writer):
    def fail():
        raise MemoryError

    told = []
    writer.look(fail, lambda *seen: told.append(seen[1]))
    writer.submit(TIME, done=lambda *answer: told.append(answer[1]))
    writer.start()
    writer.loop.run_until(lambda: len(told) == 2)
    assert isinstance(told[0], MemoryError) and isinstance(told[1], OutcomeUnknown)
    assert isinstance(writer.dead, OutcomeUnknown)


def test_a_defect_in_the_node_ends_the_writer_and_whoever_waits_is_told(writer, monkeypatch):
    told = []

    def done(_, error):
        told.append(type(error))

    def broken(*_):
        writer.submit(TIME, done=done)
        writer.submit(TIME, done=done, urgent=True)
        writer.look(lambda: None, done)
        raise ValueError("a defect")

    monkeypatch.setattr(writer.node, "submit", broken)
    writer.submit(TIME, done=done)
    writer.start()
    writer.loop.run_until(lambda: len(told) == 4)
    assert told == [OutcomeUnknown] * 4 and "a defect" in str(writer.dead)
    for late in (lambda: writer.submit(TIME), lambda: writer.look(lambda: None, done)):
        with pytest.raises(OutcomeUnknown, match="a defect"):
            late()
    monkeypatch.undo()


def test_a_frame_that_cannot_be_heard_ends_the_writer(writer):
    def fail(group):
        raise KeyError("the view is broken")

    writer._hear = fail
    answers = []
    writer.submit(TIME, done=lambda seq, error: answers.append((seq, error)))
    writer.start()
    writer.loop.run_until(lambda: answers)
    assert answers[0][0] == 0 and isinstance(answers[0][1], OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        writer.submit(TIME)
    writer._thread.join(10)
    assert not writer._thread.is_alive()


def test_after_a_failed_write_everything_is_unknown(writer, monkeypatch):
    def broken(*_):
        raise OutcomeUnknown("the disk is gone")

    monkeypatch.setattr(writer.node.journal, "start_commit", broken)
    answers = []
    writer.submit(TIME, done=lambda seq, error: answers.append(error))
    writer.start()
    writer.loop.run_until(lambda: answers)
    assert isinstance(answers[0], OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        writer.submit(TIME)


def test_a_group_is_no_larger_than_the_configuration_says(writer):
    group = writer.node.configuration.group
    for _ in range(2 * group):
        writer.submit(TIME)
    writer.start()
    writer.loop.run_until(lambda: sum(len(frame.commands) for frame in writer.heard) == 2 * group)
    assert max(len(frame.commands) for frame in writer.heard) == group
    assert np.concatenate([frame.commands for frame in writer.heard]).dtype == COMMAND
