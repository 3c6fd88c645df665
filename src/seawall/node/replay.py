"""Folding a journal: the same commands through a chosen engine, held against the digests the journal carries."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from seawall.engine.catalogue import Catalogue
from seawall.engine.reference import Reference
from seawall.journal import Disk, Frame, frames
from seawall.node.digest import EventDigest
from seawall.vocabulary.errors import InputError, ReplayMismatch
from seawall.vocabulary.records import Commands, Events


class Engine(Protocol):
    """The fold, whichever build of it."""

    catalogue: Catalogue

    @property
    def clock(self) -> int:
        """Nanoseconds: the latest stamp seen."""
        ...

    def step(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Fold the next commands into state; return their events."""
        ...

    def make_ready(self) -> bool:
        """Do a little for the commands to come, while there are none; whether there was something to do."""
        ...

    def margin(self, account: int) -> dict[str, int]:
        """Equity, requirements and excess of an account in value atoms."""
        ...

    def account_view(self, account: int) -> dict[str, Any]:
        """Cash, positions, margin by block, requirements of an account; only between two steps."""
        ...

    def conserved(self) -> bool:
        """Whether money and positions add up."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything later events depend on."""
        ...


Witness = Callable[[Frame, Events], None]
"""Sees each frame with its events, in order."""


def _fast() -> Engine:
    from seawall.engine.fast import Fast  # loading the kernels takes a while: only for those who fold with them

    return Fast()


ENGINES: Final[dict[str, Callable[[], Engine]]] = {"fast": _fast, "reference": Reference}
"""Engines by name."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a fold gave. `digest` is the cumulative one of all events, in hex; `checked` the frames whose digest held.

    The events of the last frame are attested by no later frame; the digest is what to compare between two folds. From a
    snapshot on, the other numbers count what was folded since.
    """

    commands: int
    events: int
    digest: str
    commands_per_s: float
    frames: int
    checked: int
    last_frame: int
    conserved: bool


class Fold:
    """An engine with the cumulative digest of its events, frame by frame."""

    def __init__(self, engine: Engine, frame: int = 0, digest: bytes | None = None) -> None:
        """A new engine; or one in the state after `frame`, the digest up to there being `digest`."""
        self.engine = engine
        self.frame = frame
        self.commands = self.events = self.checked = 0
        self._digest = EventDigest(digest)
        self._digests: dict[int, bytes] = {frame: digest} if digest is not None else {}

    @property
    def digest(self) -> tuple[int, bytes]:
        """The last frame folded and the cumulative digest of all events up to its end."""
        return self.frame, self._digest.digest

    def take(self, number: int, commands: Commands, attachments: bytes) -> Events:
        """Fold one frame; returns its events."""
        events = self.engine.step(commands, attachments)
        self._digest.take(events)
        self.frame = number
        self.commands += len(commands)
        self.events += len(events)
        return events

    def check(self, frame: Frame) -> Events:
        """Fold a journalled frame, first holding the digest it carries against our own. Raises ReplayMismatch."""
        if frame.digest_frame:
            found = self._digests.get(frame.digest_frame)
            if found != frame.digest:
                raise ReplayMismatch(frame.digest_frame, frame.digest.hex(), found.hex() if found else "none kept")
            self.checked += 1
            # Digests are of ever later frames, so older ones are never asked for again.
            self._digests = {number: digest for number, digest in self._digests.items() if number >= frame.digest_frame}
        events = self.take(frame.number, frame.commands, frame.attachments)
        self._digests[frame.number] = self._digest.digest
        return events


def replay(
    folders: Sequence[Path],
    engine: str = "fast",
    *,
    witness: Witness | None = None,
    fold: Fold | None = None,
    until: int | None = None,
    archive: Path | None = None,
    disk: Disk | None = None,
) -> ReplayResult:
    """Fold the journal in `folders` with the engine of that name, or with `fold` from behind its last frame on.

    `until`: the last frame to take. `archive` has the segments that were retired. Raises InputError for an unknown
    engine, without a journal, or where what is to be folded first is retired and in no archive given; JournalCorrupt
    for damage, ReplayMismatch when the events are not those the journal's digests attest.
    """
    if engine not in ENGINES:
        raise InputError("engine", engine, f"must be one of {', '.join(ENGINES)}")
    fold = fold or Fold(ENGINES[engine]())
    spent = 0
    count = 0
    for frame in frames(folders, start=fold.frame + 1, archive=archive, disk=disk):
        if until is not None and frame.number > until:
            break
        started = time.perf_counter_ns()
        events = fold.check(frame)
        spent += time.perf_counter_ns() - started
        count += 1
        if witness is not None:
            witness(frame, events)
    return ReplayResult(
        commands=fold.commands,
        events=fold.events,
        digest=fold.digest[1].hex(),
        commands_per_s=fold.commands / max(spent, 1) * 1e9,
        frames=count,
        checked=fold.checked,
        last_frame=fold.frame,
        conserved=fold.engine.conserved(),
    )
