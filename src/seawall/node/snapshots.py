"""Snapshots of a venue's state: which one a start goes on from, and how one is taken beside the writer.

Only the fast engine has them, and only under rules 2 or later, whose digest can be gone on from. What a snapshot holds
is the state after a frame that is durable; the frames after it are folded as ever.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import structlog

from seawall.journal import Disk, Durable, Frame, Journal, OsDisk, write_snapshot
from seawall.journal.disk import Bytes, Lane, Running
from seawall.journal.reading import Mirror
from seawall.journal.snapshots import Snapshot, load_snapshot, snapshot_name, snapshots_in, usable_snapshots
from seawall.node.configuration import Configuration
from seawall.node.replay import ENGINES, Engine, Fold, ReplayResult, replay
from seawall.vocabulary.errors import InputError, JournalError, SeawallError
from seawall.vocabulary.records import Events


class Form(NamedTuple):
    """How the state of an engine is written: the tag of its layout, and both ways."""

    tag: bytes
    dump: Callable[[Any], Iterable[memoryview]]
    load: Callable[[list[memoryview]], Engine]


def _fast() -> Form:
    from seawall.engine.fast_snapshot import TAG, dump, load

    return Form(TAG, dump, load)


FORMS: Final[dict[str, Callable[[], Form]]] = {"fast": _fast}
"""By the name of the engine; one that is not here folds the journal."""


def resume(folders: Sequence[Path], engine: str, *, disk: Disk | None = None) -> Fold | None:
    """The fold as the newest snapshot that this build can use has it; None: there is none, fold the journal.

    Raises as `read_snapshot` does.
    """
    if engine not in FORMS:
        return None
    form = FORMS[engine]()
    for snapshot in usable_snapshots(folders, disk=disk):
        if snapshot.tag == form.tag:
            return Fold(form.load(snapshot.chunks), snapshot.frame, snapshot.digest)
        # That the history folds as it did is shown by folding it: a build of another layout begins with that.
        structlog.get_logger().info("snapshot of another layout", frame=snapshot.frame, tag=snapshot.tag.decode())
    return None


def fold_of(folders: Sequence[Path], engine: str, *, disk: Disk | None = None) -> Fold:
    """`resume`, or a fold from the beginning."""
    return resume(folders, engine, disk=disk) or Fold(ENGINES[engine]())


def take_stopped(configuration: Configuration, *, write: bool = True) -> ReplayResult:
    """Fold the journal of a venue that is not running, and write a snapshot; nothing is journalled.

    Without `write` the journal is not opened and only folded. Raises as `Node.start` and `Snapshots.take` do.
    """
    folders, engine = configuration.folders, configuration.engine
    archive = Path(configuration.archive) if configuration.archive else None
    if not write:
        return replay(folders, fold=fold_of(folders, engine), archive=archive)
    with Journal.open(folders, home=configuration.home_folder) as journal:
        fold = fold_of(folders, engine)
        result = replay(folders, fold=fold, archive=archive)
        snapshots = Snapshots(journal, fold, engine)
        try:
            snapshots.take()
        finally:
            snapshots.close()
    return result


class Held(NamedTuple):
    """Snapshots in a journal's folders that a fold of all of it passed: those of the state it had, and the others."""

    hold: list[Path]
    differ: list[Path]


def replay_and_hold(folders: Sequence[Path], engine: str, *, archive: Path | None = None) -> tuple[ReplayResult, Held]:
    """`replay` from the first frame on, and what each snapshot of this build's layout holds against the state there.

    A snapshot is proven whole by CRCs, which anybody can write who can write to the disks: that it is what the journal
    folds to, only folding shows. One alone that differs would be started from all the same. Raises as `replay` does.
    """
    if engine not in ENGINES:
        raise InputError("engine", engine, f"must be one of {', '.join(ENGINES)}")
    disk, fold, held = OsDisk(), Fold(ENGINES[engine]()), Held([], [])
    journal = Mirror(folders, disk).identity.journal
    places: dict[int, list[Path]] = {}
    for folder in folders:
        for number in snapshots_in(disk, folder):
            places.setdefault(number, []).append(folder)

    def witness(frame: Frame, events: Events) -> None:
        for folder in places.get(frame.number, []):
            snapshot = load_snapshot(disk, folder, frame.number, journal)
            form = FORMS["fast"]()
            if snapshot is None or snapshot.tag != form.tag:
                continue  # no start would use it
            same = (snapshot.frame, snapshot.digest) == fold.digest and _holds(form, snapshot, engine, fold.engine)
            (held.hold if same else held.differ).append(folder / snapshot_name(frame.number))

    return replay(folders, engine, witness=witness, fold=fold, archive=archive), held


def _holds(form: Form, snapshot: Snapshot, name: str, engine: Engine) -> bool:
    """Whether a snapshot is the engine's state: by its bytes, which cost nothing, else by all that they say."""
    if name == "fast" and [chunk.cast("B") for chunk in form.dump(engine)] == snapshot.chunks:
        return True
    try:
        return _state_of(form, snapshot) == engine.state()
    except InputError:
        return False


def _state_of(form: Form, snapshot: Snapshot) -> dict[str, Any]:
    """Raises InputError for what no engine wrote."""
    try:
        return form.load(snapshot.chunks).state()
    except Exception as error:  # bytes of somebody else may fail in every way there is
        raise InputError("snapshot", snapshot.frame, f"must be an engine's: {error!r}") from error


class Snapshots:
    """Takes the snapshots of one fold. Not for use from several threads, though it writes in one of its own."""

    def __init__(self, journal: Journal, fold: Fold, engine: str, disk: Disk | None = None) -> None:
        self.frame = fold.frame
        """What the last one begun covers; at first where the fold began."""
        self._journal, self._fold, self._disk = journal, fold, disk or OsDisk()
        self._form = FORMS[engine]() if engine in FORMS else None
        self._lane: Lane | None = None
        self._running: Running | None = None
        self._writing = False
        self._failure: SeawallError | None = None

    def impossible(self) -> InputError | None:
        """Why none can be taken, if so."""
        rules = self._fold.engine.catalogue.rules
        if self._form is None:
            return InputError("engine", type(self._fold.engine).__name__, "has no snapshots: it folds the journal")
        if rules < 2:
            return InputError("rules", rules, "must be 2 or later: the digest of rules 1 cannot be gone on from")
        return None

    def begin(self) -> None:
        """Copy the state and write it beside the writer. Nothing happens where one is still being written."""
        if not self._writing and self.impossible() is None:
            self._start([np.array(chunk).data for chunk in self._dump()])

    def poll(self) -> SeawallError | None:
        """What the last one failed with, told once, if it has ended."""
        failure, self._failure = self._failure, None
        return failure

    def take(self) -> int:
        """Write one now; returns the frame it covers. Raises InputError where none is possible, JournalError."""
        refused = self.impossible()
        if refused is not None:
            raise refused
        self.finish()
        self._start(self._dump())
        self.finish()
        failure = self.poll()
        if self._writing or failure is not None:
            raise failure or JournalError("the thread that writes snapshots has ended")
        return self.frame

    def finish(self) -> None:
        """Wait until what was begun is written."""
        if self._running is not None:
            self._running.wait()

    def close(self) -> None:
        """Finish, and give the thread back."""
        if self._lane is not None:
            self._lane.close()

    def _dump(self) -> Iterable[memoryview]:
        assert self._form is not None
        return self._form.dump(self._fold.engine)

    def _start(self, chunks: Iterable[Bytes]) -> None:
        frame, digest = self._fold.digest
        covers = self._journal.durable
        assert covers.frame == frame, "state that is not durable must not leave"
        self.frame, self._writing = frame, True
        self._lane = self._lane or self._disk.lane("snapshots")
        self._running = self._lane.start(self._write(covers, digest, chunks))

    def _write(self, covers: Durable, digest: bytes, chunks: Iterable[Bytes]) -> Iterator[None]:
        assert self._form is not None
        try:
            write_snapshot(self._journal, covers, digest, self._form.tag, chunks, disk=self._disk)
        except SeawallError as error:
            self._failure = error
        finally:
            self._writing = False
        yield
