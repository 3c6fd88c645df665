"""The journal's rows: durable records/s in both copies, against one plain file and against SQLite, in one run.

The plain file is one copy without chain or checksums: whole groups written into a pre-zeroed file, each synced with
fdatasync. SQLite has one copy, too. What is written is made before the clock runs, for all three. The journal puts the
next group together while one is being synced, as `Journal.start_commit` does; one by one it is measured, too.
"""

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seawall.cli.bench_rows import Row, at_least, if_steady
from seawall.journal import Journal, folders_of
from seawall.vocabulary.records import COMMAND, Kind

if TYPE_CHECKING:
    from seawall.vocabulary.records import Commands

GROUP: Final = 1000
GROUPS: Final = 50
ROUNDS: Final = 45
"""Many short rounds: a disk that others use is slow by spells, and a median outlives spells."""

SPREAD: Final = 1.5
"""Quartiles further apart than this factor tell of somebody else's syncs, not of the journal."""

PRAGMAS: Final = ("journal_mode", "synchronous", "page_size", "wal_autocheckpoint")


class JournalFigures(NamedTuple):
    """Records/s of each, and the medians of the rounds' ratios, with the quartiles of the first; SQLite's settings.

    `one_by_one` is the ratio to the file of a journal that begins no group before the one before is durable.
    """

    journal_per_s: float
    file_per_s: float
    sqlite_per_s: float
    to_file: float
    to_sqlite: float
    one_by_one: float
    quartiles: tuple[float, float]
    settings: str


def journal_rows() -> list[Row]:
    """Both ratios."""
    found = measure()
    what = f"128-byte records, {GROUP:,} a group, {found.journal_per_s:,.0f} a second in both copies"
    file = (
        f"{what}; one pre-zeroed file, the same bytes, write and fdatasync: {found.file_per_s:,.0f} a second;"
        f" quartiles of {ROUNDS} rounds {found.quartiles[0]:.2f}, {found.quartiles[1]:.2f};"
        f" {found.one_by_one:.2f} with each group put together only when the one before is durable"
    )
    sqlite = f"{what}; {found.settings}, a transaction a group: {found.sqlite_per_s:,.0f} a second"
    low, high = found.quartiles
    return [
        if_steady(at_least("journal / plain file", found.to_file, "ratio", 0.55, file), steady=high <= SPREAD * low),
        at_least("journal / SQLite", found.to_sqlite, "ratio", 1.5, sqlite),
    ]


def measure(rounds: int = ROUNDS, groups: int = GROUPS) -> JournalFigures:
    """Rounds of the three, in an order that turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Journal.create(folders_of(folder)) as journal, _Database(folder / "database") as database:
            ways: list[Callable[[], float]] = [
                lambda: _journal(journal, groups),
                lambda: _file(folder / "plain", journal.next_seq, groups),
                lambda: database.write(journal.next_seq, groups),
                lambda: _one_by_one(journal, groups),
            ]
            for way in ways:
                way()  # nobody is measured on a file that grows for the first time
            took: list[list[float]] = [[] for _ in ways]
            for turn in range(rounds):
                for after in range(len(ways)):
                    index = (turn + after) % len(ways)
                    took[index].append(ways[index]())
            settings = database.settings
    journal_s, file_s, sqlite_s, _ = (statistics.median(seconds) / (groups * GROUP) for seconds in took)
    mirrored, plain, sqlite, single = took
    low, to_file, high = statistics.quantiles(_ratios(plain, mirrored), n=4)
    to_sqlite, one_by_one = (statistics.median(_ratios(*pair)) for pair in ((sqlite, mirrored), (plain, single)))
    rates = 1 / journal_s, 1 / file_s, 1 / sqlite_s
    return JournalFigures(*rates, to_file, to_sqlite, one_by_one, (low, high), settings)


def _ratios(of: list[float], to: list[float]) -> list[float]:
    return [one / other for one, other in zip(of, to, strict=True)]


def _records(first_seq: int, groups: int) -> list["Commands"]:
    """Groups of orders with consecutive sequence numbers."""
    count = groups * GROUP
    records = np.zeros(count, COMMAND)
    records["kind"], records["side"], records["quantity"] = Kind.ORDER, 1, 1 + np.arange(count) % 40
    records["seq"] = records["time"] = first_seq + np.arange(count)
    records["price"], records["client_id"] = 60_000 + np.arange(count) % 997, records["seq"]
    return [records[start : start + GROUP] for start in range(0, count, GROUP)]


def _journal(journal: Journal, groups: int) -> float:
    batches = _records(journal.next_seq, groups)
    began = time.perf_counter()
    for batch in batches:
        pending = journal.start_commit(batch)
    pending.wait()
    return time.perf_counter() - began


def _one_by_one(journal: Journal, groups: int) -> float:
    batches = _records(journal.next_seq, groups)
    began = time.perf_counter()
    for batch in batches:
        journal.commit(batch)
    return time.perf_counter() - began


def _file(path: Path, first_seq: int, groups: int) -> float:
    pieces = [batch.tobytes() for batch in _records(first_seq, groups)]
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(file, bytes(sum(map(len, pieces))), 0)
        os.fsync(file)
        offset, began = 0, time.perf_counter()
        for piece in pieces:
            offset += os.pwrite(file, piece, offset)
            os.fdatasync(file)
        return time.perf_counter() - began
    finally:
        os.close(file)


class _Database:
    """SQLite in WAL mode with synchronous FULL. A context manager."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)")
        self._next = 1

    def __enter__(self) -> "_Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def settings(self) -> str:
        """Version and pragmas as the database tells them."""
        values = (f"{name} {self._database.execute(f'PRAGMA {name}').fetchone()[0]}" for name in PRAGMAS)
        return f"SQLite {sqlite3.sqlite_version}, {', '.join(values)}"

    def write(self, first_seq: int, groups: int) -> float:
        """Seconds for so many transactions."""
        batches = []
        for batch in _records(first_seq, groups):
            data = batch.tobytes()
            size = COMMAND.itemsize
            batches.append([(self._next + at, data[size * at : size * (at + 1)]) for at in range(len(batch))])
            self._next += len(batch)
        began = time.perf_counter()
        for rows in batches:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO records VALUES (?, ?)", rows)
            self._database.execute("COMMIT")
        return time.perf_counter() - began
