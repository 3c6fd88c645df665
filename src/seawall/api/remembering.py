"""The process that goes behind a venue's writer and writes the snapshots of its memory; and when it is to run.

It reads what is durable and locks nothing of the venue's, so it neither slows nor stops it, whatever becomes of it; on
a machine without a spare processor it takes what is left (nice 19). It is told the venue's configuration by its
standard input. Two at a time would remove each other's files: one that finds the lock of `home`/memory held ends.
"""

import asyncio
import contextlib
import gc
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import structlog

from seawall.api.memory import Memory, keep, place, resume
from seawall.api.operations.disk_time import DISK_LEAST
from seawall.journal.disk import Disk, OsDisk
from seawall.journal.files import lock_folder
from seawall.journal.horizon import Durable, read_horizon
from seawall.journal.layout import Frame
from seawall.journal.reading import Mirror
from seawall.node.configuration import Configuration
from seawall.node.node import Group
from seawall.node.replay import ENGINES, Fold, replay
from seawall.node.snapshots import FORMS
from seawall.vocabulary.errors import InputError, JournalBusy, JournalError, SeawallError
from seawall.vocabulary.records import Events

EVERY: Final = 200_000
"""Commands heard since the last snapshot after which there is to be another; a start folds them in two seconds."""

APART_S: Final = 60.0
"""From one beginning to the next at least: while it writes, the journal shares its disk."""

_PROGRAM: Final = "from seawall.api.remembering import main; main()"


def memory_of(configuration: Configuration) -> Memory:
    """An empty memory of the kind of venue that is configured."""
    if configuration.upstream.url:
        from seawall.api.desk.memory import DeskMemory

        return DeskMemory(configuration)
    return Memory()


def remember(configuration: Configuration, *, write: bool = True) -> tuple[int, int]:
    """Fold what is durable of a venue's journal, running or not, and write a snapshot of engine and memory.

    Returns the frame that it covers, or without `write` would, and how many commands were folded for it. Raises
    InputError for an engine or rules without snapshots, JournalBusy while another does the same, and as `replay` does.
    """
    if configuration.engine not in FORMS:
        raise InputError("engine", configuration.engine, "has no snapshots: it folds the journal")
    disk = OsDisk()
    folder = place(configuration)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_room(folder)
    lock = lock_folder(disk, folder)
    try:
        return _remember(configuration, disk, write=write)
    finally:
        disk.close(lock)


def _check_room(folder: Path) -> None:
    """Raise JournalError where a snapshot might take the room that the journal lives on: two old ones are there yet."""
    sizes = [file.stat().st_size for file in folder.glob("*.snapshot")]
    free, needed = shutil.disk_usage(folder).free, DISK_LEAST + 2 * max(sizes, default=0)
    if free < needed:
        raise JournalError(
            f"{folder} has {free:,} bytes free, and a snapshot wants {needed:,}: the journal may need them"
        )


def _remember(configuration: Configuration, disk: Disk, *, write: bool) -> tuple[int, int]:
    journal = Mirror(configuration.folders, disk).identity.journal
    horizons = [read_horizon(disk, folder, journal) for folder in configuration.folders]
    durable = next((horizon for horizon in horizons if horizon is not None), None)
    if durable is None:
        raise JournalError("nothing says how far the journal is durable: start the venue once")
    memory = memory_of(configuration)
    fold = resume(configuration, memory) or Fold(ENGINES[configuration.engine]())
    covers = Durable(fold.frame, 0, b"")

    def witness(frame: Frame, events: Events) -> None:
        nonlocal covers
        memory.take(Group(frame.commands, frame.attachments, events))
        covers = Durable(frame.number, frame.first_seq + len(frame.commands) - 1, frame.hash)

    archive = Path(configuration.archive) if configuration.archive else None
    folded = replay(configuration.folders, witness=witness, fold=fold, until=durable.frame, archive=archive).commands
    if fold.engine.catalogue.rules < 2:
        raise InputError("rules", fold.engine.catalogue.rules, "must be 2 or later: no snapshot can be gone on from")
    if folded and write:
        keep(configuration, memory, fold, journal, covers)
    return fold.frame, folded


class Keeper:
    """Runs the process when enough was heard. Everything here is the event loop's."""

    def __init__(self, configuration: Configuration, *, on: bool) -> None:
        """`on`: whether this venue keeps its memory at all; an engine that has no snapshots does not."""
        self.on = on and configuration.engine in FORMS
        self.heard = 0
        """Commands since the last snapshot was begun."""
        self._configuration, self._begun = configuration, -APART_S
        self._process: asyncio.subprocess.Process | None = None

    async def look(self) -> str:
        """Begin one where it is due; returns what the last one failed with, told once."""
        why = ""
        if self._process is not None and self._process.returncode is not None:
            why = f"the process ended with {self._process.returncode}" if self._process.returncode else ""
            self._process = None
        now = time.monotonic()
        if self.on and self._process is None and self.heard >= EVERY and now >= self._begun + APART_S:
            self.heard, self._begun = 0, now
            try:
                await self._begin()
            except OSError as error:
                why = str(error)
        return why

    async def _begin(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROGRAM, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it has ended: what it ended with says so
            self._process.stdin.write(msgspec.json.encode(self._configuration))
            self._process.stdin.close()
            await self._process.stdin.wait_closed()

    async def stop(self) -> None:
        """End the process: the snapshot before it stands."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = None


def main() -> None:
    """The process. Exit 0: there is a snapshot, or another process is at it; 1: there is none, and why."""
    os.nice(19)
    gc.disable()  # it makes and does not throw away
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    try:
        remember(msgspec.json.decode(sys.stdin.buffer.read(), type=Configuration))
    except JournalBusy:
        print("another process keeps this venue's memory", file=sys.stderr)
    except (SeawallError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
