"""The single writer's thread: requests of all connections in one queue, committed in groups, answered once durable.

The event loop puts requests in and is told what became of them; between the two, this thread alone touches the node.
A group is whatever waited while the one before it was being synced, so the slower the disk, the larger the groups.

Back-pressure: what may add risk is refused at once when `waiting` requests stand in the queue (`Overloaded`, nothing
was journalled); cancels and the venue's own commands have room of their own and go first. A cancel overtakes only what
is not named by it; before a mass cancel its account's waiting orders are withdrawn, or it would miss them.
Looks at the state run between groups, so they see only what is durable.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import structlog

from seawall.node.node import Group, Node
from seawall.vocabulary.errors import OutcomeUnknown, SeawallError
from seawall.vocabulary.records import COMMAND

WAITING_MAX: Final = 4096
"""Requests that may add risk and wait; beyond, new ones are shed."""

URGENT_MAX: Final = 65_536
"""The same for cancels and what the venue itself asks."""


class Overloaded(SeawallError):
    """The queue is full: the request was not taken, nothing was journalled."""

    def __init__(self, waiting: int, most: int) -> None:
        super().__init__(f"{waiting} requests wait, at most {most} may")
        self.waiting, self.most = waiting, most


Done = Callable[[int, SeawallError | None], None]
"""Called with the first seq of a request once it is durable and heard; or with 0 and what went wrong."""


Seen = Callable[[Any, Exception | None], None]
"""Called with what a look found; or with None and what went wrong."""


class Withdrawn(SeawallError):
    """The request was taken back before the writer had begun with it; nothing was journalled."""


class _Request(NamedTuple):
    records: bytes
    attachments: bytes
    done: Done | None
    account: int


class Sequencer:
    """Group commit for many callers. `submit` and `look` are the event loop's; `tell` brings answers back to it."""

    def __init__(self, node: Node, tell: Callable[[Callable[[], None]], Any], hear: Callable[[Group], None]) -> None:
        """`tell` runs a function on the caller's loop, in order; `hear` is run there with each durable frame."""
        self.node = node
        self.dead: SeawallError | None = None
        """What ended the writer, if anything did."""
        self.commits = 0
        self._tell, self._hear = tell, hear
        self._orders: deque[_Request] = deque()
        self._urgent: deque[_Request] = deque()
        self._looks: deque[tuple[Callable[[], Any], Seen]] = deque()
        self._wake = threading.Event()
        self._forming = threading.Lock()
        """Held while a group is formed, so that nothing is both in it and withdrawn."""
        self._stopping = False
        self._frames: list[Group] = []
        node.listener = self._frames.append
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(
        self,
        records: bytes,
        attachments: bytes = b"",
        done: Done | None = None,
        *,
        urgent: bool = False,
        account: int = -1,
    ) -> None:
        """Queue whole COMMAND records, unstamped, to stand next to each other in the journal.

        Raises Overloaded, or OutcomeUnknown when the writer is dead; then nothing was queued.
        """
        if self.dead is not None:
            raise OutcomeUnknown(str(self.dead))
        queue, most = (self._urgent, URGENT_MAX) if urgent else (self._orders, WAITING_MAX)
        if len(queue) >= most:
            raise Overloaded(len(queue), most)
        queue.append(_Request(records, attachments, done, account))
        if not self._wake.is_set():  # set() takes a lock, is_set() does not
            self._wake.set()

    def look(self, see: Callable[[], Any], done: Seen) -> None:
        """Run `see` between two groups, where it may read the node's state; `done` is told on the loop.

        Raises OutcomeUnknown when the writer is dead.
        """
        if self.dead is not None:
            raise OutcomeUnknown(str(self.dead))
        self._looks.append((see, done))
        self._wake.set()

    def withdraw(self, account: int) -> int:
        """Take back what an account has waiting, mass cancels' business; each is told Withdrawn. Returns how many."""
        with self._forming:
            taken = [request for request in self._orders if request.account == account]
            if taken:
                kept = [request for request in self._orders if request.account != account]
                self._orders.clear()
                self._orders.extend(kept)
        for request in taken:
            if request.done is not None:
                request.done(0, Withdrawn("withdrawn by a mass cancel of the same account"))
        return len(taken)

    @property
    def waiting(self) -> int:
        """Requests queued and not yet begun."""
        return len(self._orders) + len(self._urgent)

    @property
    def full(self) -> bool:
        """Whether a request that may add risk would be shed now."""
        return len(self._orders) >= WAITING_MAX

    def stop(self, timeout: float = 30.0) -> None:
        """Take what is queued, then end the thread. The node itself is still to be stopped."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._write()
        except BaseException as failure:
            self.dead = OutcomeUnknown(f"the writer failed: {failure!r}")
            raise
        finally:
            if self.dead is not None:
                self._tell(self._give_up)

    def _write(self) -> None:
        """Until it is told to stop, or the writer is dead."""
        while self.dead is None:
            while not self._wake.is_set() and self.node.fold.engine.make_ready():
                pass  # a slice at a time: what comes meanwhile waits for no more
            self._wake.wait()
            self._wake.clear()
            while self.dead is None and (self._looks or self._urgent or self._orders):
                self._look()
                batch = self._next_batch()
                if batch:
                    self._commit(batch)
            if self._stopping:
                return

    def _look(self) -> None:
        for _ in range(len(self._looks)):
            see, done = self._looks.popleft()
            try:
                result = see()
            except Exception as error:  # whoever asked is told; the writer goes on
                self._tell(partial(done, None, error))
                if isinstance(error, MemoryError):
                    raise
            else:
                if groups := self._taken_frames():  # it journalled
                    self._tell(partial(self._deliver, [], groups, 0, None))
                self._tell(partial(done, result, None))

    def _next_batch(self) -> list[_Request]:
        batch: list[_Request] = []
        size = 0
        limit = self.node.configuration.group * COMMAND.itemsize
        with self._forming:
            for queue in (self._urgent, self._orders):
                while queue and (not batch or size + len(queue[0].records) <= limit):
                    batch.append(queue.popleft())
                    size += len(batch[-1].records)
        return batch

    def _commit(self, batch: list[_Request]) -> None:
        """One submission, and what to tell of it."""
        first = self.node.journal.next_seq
        error: SeawallError | None = None
        try:
            self._submit(batch)
        except SeawallError as failure:
            error = failure
            if isinstance(failure, OutcomeUnknown) or self.node.dead:
                self.dead = failure
        groups = self._taken_frames()
        self.commits += len(groups)
        self._tell(partial(self._deliver, batch, groups, first, error))

    def _taken_frames(self) -> list[Group]:
        groups = self._frames[:]
        self._frames.clear()
        return groups

    def _submit(self, batch: list[_Request]) -> None:
        """Raises SeawallError; OutcomeUnknown for a defect of ours, too, as nobody knows how far it came."""
        try:
            commands = np.frombuffer(b"".join([request.records for request in batch]), COMMAND)
            self.node.submit(commands, b"".join([request.attachments for request in batch]))
        except SeawallError:
            raise
        except Exception as failure:
            self._log.exception("the writer failed", error=repr(failure))
            raise OutcomeUnknown(f"the writer failed: {failure!r}") from failure

    def _deliver(self, batch: list[_Request], groups: list[Group], first: int, error: SeawallError | None) -> None:
        """On the loop: hear the frames, then answer each request.

        Who hears must not fail: a view that missed a frame tells lies from then on, so that is the writer's end, too.
        """
        try:
            for group in groups:
                self._hear(group)
        except Exception as failure:
            self._log.exception("a durable frame could not be heard", error=repr(failure))
            self.dead = error = OutcomeUnknown(f"a durable frame could not be heard: {failure!r}")
            self._wake.set()
            if isinstance(failure, MemoryError):
                raise
        seq = first
        for request in batch:
            if request.done is not None:
                request.done(0 if error else seq, error)
            seq += len(request.records) // COMMAND.itemsize

    def _give_up(self) -> None:
        """On the loop, once the thread has ended on a dead writer: what still waits will never be begun."""
        why = str(self.dead)
        while self._looks:
            self._looks.popleft()[1](None, OutcomeUnknown(why))
        for queue in (self._urgent, self._orders):
            while queue:
                request = queue.popleft()
                if request.done is not None:
                    request.done(0, OutcomeUnknown(why))


def result_of(result: Any, error: Exception | None) -> Any:
    """What was asked for. Raises what went wrong instead: an outcome that is unknown is never told as a result."""
    if error is not None:
        raise error
    return result
