"""What the report is to tell though no command of the engine says it: counted here, and told to the journal.

The first of a kind within a minute is told at once; what is the same again is counted, and told when the minute is
over. Beyond so many kinds in a minute the rest is one kind, so that no flood makes the journal grow.
"""

import time
from collections.abc import Callable
from typing import Final, Self

import msgspec

from seawall.api.desk.latency import NOTED_S

KINDS_MAX: Final = 100
"""Told apart within that time."""

OTHERS: Final = "and others"


class Unweighed(msgspec.Struct, tag_field="note", tag="unweighed", frozen=True):
    """The note: a bot's calls that were not weighed, and would have been refused for that (observe)."""

    account: int
    method: str
    code: int
    reason: str
    count: int = 1

    def others(self) -> Self:
        """What it is where too much is told apart."""
        return msgspec.structs.replace(self, reason=OTHERS)


class Differs(msgspec.Struct, tag_field="note", tag="differs", frozen=True):
    """The note: what people were alerted to of an account at the venue. `kind` is the alert's; a break is `about` an
    instrument in lots or a currency in atoms, `theirs` and `ours`, or says `why` it is one."""

    kind: str
    account: str
    about: str = ""
    theirs: int | None = None
    ours: int | None = None
    unit: str = ""
    why: str = ""
    count: int = 1

    def others(self) -> Self:
        """What it is where too much is told apart."""
        return msgspec.structs.replace(self, about=OTHERS, theirs=None, ours=None, unit="", why="")


Counted = Unweighed | Differs


class Tally:
    """`add` for each; `tell` is called with a note at once, and once in a while with how many more there were."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._counts: dict[Counted, int] = {}
        self._told = time.monotonic()

    def add(self, note: Counted) -> bool:
        """One more; whether it is the first of its kind."""
        if note not in self._counts and len(self._counts) >= KINDS_MAX:
            note = note.others()
        if note in self._counts:
            self._counts[note] += 1
            return False
        self._counts[note] = 0
        self._tell(msgspec.json.encode(note))
        return True

    def look(self, *, now: bool = False) -> None:
        """Tell what was counted, if it is time."""
        if not now and time.monotonic() < self._told + NOTED_S:
            return
        counts, self._counts, self._told = self._counts, {}, time.monotonic()
        for note, count in counts.items():
            if count:
                self._tell(msgspec.json.encode(msgspec.structs.replace(note, count=count)))
