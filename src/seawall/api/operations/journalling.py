"""How the operations door reaches the writer: looks between two groups, and commands that go first.

Each command carries who asked and why, or the approval: whoever has the journal alone reads it there.
"""

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from seawall.api.commands import packed
from seawall.engine.catalogue import Refused
from seawall.node.sequencer import Seen, result_of
from seawall.vocabulary.errors import OutcomeUnknown, SeawallError
from seawall.vocabulary.reasons import Reason, explain
from seawall.vocabulary.records import Kind, command

LOOK_S: Final = 2.0
WRITE_S: Final = 30.0
ADOPT_S: Final = 120.0


class Act(NamedTuple):
    """A command to journal: its kind, its fields, and an attachment of its own (else it carries the note)."""

    kind: Kind
    fields: dict[str, Any]
    attachment: bytes = b""


class Denied(SeawallError):
    """The venue refused: its reason, and the two numbers that decided; of what was journalled, which kind."""

    def __init__(self, reason: int, a: int, b: int, kind: Kind | None = None) -> None:
        super().__init__(explain(reason, a, b))
        self.reason, self.a, self.b, self.kind = Reason(reason).name, a, b, kind


class Writer:
    """The sequencer, awaited."""

    def __init__(self, service: Any) -> None:
        self._service = service

    async def look(self, see: Callable[[], Any], timeout: float = LOOK_S) -> Any:
        """What `see` finds between two groups. Raises OutcomeUnknown where the writer does not answer."""
        return await _answer(partial(self._service.sequencer.look, see), timeout)

    async def write(self, acts: list[Act], note: bytes = b"", timeout: float | None = WRITE_S) -> int:
        """Journal commands next to each other; returns the first one's seq once all are durable.

        Raises Denied for the first that was refused, Overloaded, OutcomeUnknown; without a `timeout` only where the
        writer is dead.
        """
        records, attachments = [], []
        for act in acts:
            data = act.attachment or note
            records.append(packed(act.kind, **act.fields, attachment=len(data)))
            attachments.append(data)
        submit = partial(self._service.sequencer.submit, b"".join(records), b"".join(attachments), urgent=True)
        seq = await _answer(lambda done: submit(done=done), timeout)
        for number, act in enumerate(acts, seq):
            self._check(number, act.kind)
        return int(seq)

    async def adopt(self, rules: int, approval: bytes) -> int:
        """Go on under other rules between two groups, with snapshots before and after; returns the command's seq.

        Raises InputError for rules that cannot be adopted, Denied, OutcomeUnknown.
        """
        events = await self.look(partial(self._service.node.adopt_rules, rules, approval), ADOPT_S)
        seq = int(events["seq"][0])
        self._check(seq, Kind.RULES)
        return seq

    def _check(self, seq: int, kind: Kind) -> None:
        """Raise Denied for a command that was refused."""
        refused = self._service.view.refused.pop(seq, None)
        if refused is not None:
            reason, a, b, *_ = refused
            raise Denied(reason, a, b, kind)


async def _answer(ask: Callable[[Seen], None], timeout: float | None) -> Any:
    """What the writer tells once asked. Raises what went wrong, OutcomeUnknown where it does not answer in time."""
    told = asyncio.get_running_loop().create_future()
    ask(lambda found, error: None if told.done() else told.set_result((found, error)))
    try:
        async with asyncio.timeout(timeout):  # wait_for loses a cancel that comes with the answer
            answer = await told
    except TimeoutError as late:
        raise OutcomeUnknown(f"the writer has not answered for {timeout} s") from late
    return result_of(*answer)


def judge(catalogue: Any, acts: list[Act]) -> Refused | None:
    """What the engine would say of states, limits and re-arming, one after the other; nothing is changed."""
    scratch = copy.copy(catalogue)
    scratch.limits, scratch.states = dict(catalogue.limits), dict(catalogue.states)
    for act in acts:
        record = command(act.kind, **act.fields)[0]
        try:
            if act.kind == Kind.STATE:
                scratch.state(record)
            elif act.kind == Kind.LIMIT:
                scratch.limit_command(record)
            elif act.kind == Kind.REARM:
                scratch.rearm(record)
            elif act.kind == Kind.KILL:
                scratch.scope(record)
        except Refused as refused:
            return refused
    return None
