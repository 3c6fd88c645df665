"""`seawall bench`: every figure of the README, measured here and now.

Figures that name a yardstick are ratios of two measurements taken alternately in one run: machines are noisy, and a
ratio of neighbours is what survives. The median of the rounds is reported.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from seawall.cli.output import Json
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.engine.fast import Fast
    from seawall.sim.workload import Workload
    from seawall.vocabulary.records import Commands

BATCH = 2000
ROUNDS = 5
STREAM = 200_000
SINGLES = 20_000
SMALL = (1_000, 100, 100_000)
LARGE = (10_000, 1_000, 1_000_000)


Ask = Callable[["Workload", int], tuple["Commands", bytes]]
"""The commands of one turn of a measurement."""

Items = Callable[["Fast", "Workload", int], int]
"""What the cost of that turn is divided by: orders and positions, holders; 0 means the events that came."""


class Row(NamedTuple):
    """One figure: `asked` is the bound, `holds` whether the value keeps it, `against` the yardstick and settings."""

    name: str
    value: float
    unit: str
    asked: str
    holds: bool
    against: str


def bench(
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="[PART]...", help="engine, scale, replay, compile")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the figures that the README quotes; exit 1 if one does not hold."""
    chosen = parts or list(PARTS)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise typer.BadParameter(str(InputError("PART", unknown[0], f"must be one of {', '.join(PARTS)}")))
    rows: list[Row] = []
    for part in chosen:
        typer.echo(f"measuring {part} ...", err=True)
        rows += PARTS[part]()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    document = {"machine": machine, "commit": _commit(), "rows": [row._asdict() for row in rows]}
    typer.echo(json.dumps(document) if as_json else _table(document, rows))
    if not all(row.holds for row in rows):
        raise typer.Exit(1)


def _table(document: dict[str, Any], rows: list[Row]) -> str:
    lines = [f"{document['machine']}, commit {document['commit']}"]
    for row in rows:
        mark = "holds" if row.holds else "FALLS SHORT"
        lines.append(f"{row.name:<52} {row.value:>14,.3f} {row.unit:<12} asked {row.asked:<14} {mark}")
        lines.append(f"    {row.against}")
    return "\n".join(lines)


def _commit() -> str:
    """The checkout's commit; a wheel or a machine without git has none to tell."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    asked = [git, "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _prepared(work: "Workload", *, gate_off: bool = False) -> "Fast":
    """An engine in the workload's steady state, its memory touched and large enough."""
    from seawall.engine.fast import Fast

    engine = Fast(gate_off=gate_off, room=2 * work.resting)
    engine.step(*work.opening)
    for start in range(0, len(work.filling), BATCH):
        engine.step(work.filling[start : start + BATCH])
    return engine


def _fold(engine: "Fast", stream: "Commands") -> float:
    """Seconds to fold a stream in batches; the commands are in memory, the events are copied out."""
    batches = [stream[start : start + BATCH] for start in range(0, len(stream), BATCH)]
    started = time.perf_counter()
    for batch in batches:
        engine.step(batch)
    return time.perf_counter() - started


def _engine_rows() -> list[Row]:
    from seawall.sim.workload import Workload

    work = Workload(*SMALL)
    on, off = _prepared(work), _prepared(work, gate_off=True)
    with_gate, ratios = [], []
    for _ in range(ROUNDS):
        stream = work.stream(STREAM)
        without = _fold(off, stream)
        with_gate.append(_fold(on, stream))
        ratios.append(with_gate[-1] / without)
    rate = STREAM / statistics.median(with_gate)
    orders = [work.order() for _ in range(SINGLES)]
    singles = []
    for order in orders:
        started = time.perf_counter_ns()
        on.step(order)
        singles.append((time.perf_counter_ns() - started) / 1000)
    singles.sort()
    median, late = singles[SINGLES // 2], singles[SINGLES * 99 // 100]
    ratio = statistics.median(ratios)
    world = "1,000 accounts, 100 instruments, 100,000 resting orders, 35 scenarios"
    return [
        Row("submit, cancel, match", rate, "commands/s", ">= 1,000,000", rate >= 1e6, f"{world}, batches of {BATCH}"),
        Row("one command a call, p50", median, "us", "<= 5", median <= 5, world),
        Row("one command a call, p99", late, "us", "<= 25", late <= 25, world),
        Row("margin check (C13) on / off", ratio, "ratio", "<= 1.4", ratio <= 1.4, "the same stream, gate off"),
    ]


def _scale_rows() -> list[Row]:
    from seawall.sim.workload import Workload

    works = [Workload(*SMALL), Workload(*LARGE)]
    engines = [_prepared(work) for work in works]
    ratios = []
    for _ in range(ROUNDS):
        small, large = (_fold(engine, work.stream(STREAM)) for engine, work in zip(engines, works, strict=True))
        ratios.append(large / small)
    ratio = statistics.median(ratios)
    rows = [Row("the same at 10 x everything, per command", ratio, "ratio", "<= 2", ratio <= 2, "against 1 x")]

    def linear(name: str, ask: Ask, items: Items) -> None:
        """The cost per item of a mass operation at both sizes, taken alternately."""
        costs: list[list[float]] = [[], []]
        for turn in range(ROUNDS):
            for size, (engine, work) in enumerate(zip(engines, works, strict=True)):
                commands, attachments = ask(work, turn)
                count = items(engine, work, turn)
                started = time.perf_counter()
                events = engine.step(commands, attachments)
                costs[size].append((time.perf_counter() - started) / max(1, count or len(events)))
        small, large = (statistics.median(cost) for cost in costs)
        against = f"per item, {small * 1e9:,.0f} ns at 1 x, {large * 1e9:,.0f} ns at 10 x; 2 as for orders"
        name = f"{name}: cost per item, 10 x / 1 x"
        rows.append(Row(name, large / small, "ratio", "<= 2", large <= 2 * small, against))

    linear("publication", lambda work, turn: work.publish(2 + turn), lambda engine, *_: sum(engine.counts().values()))
    linear("funding", _funding, lambda engine, _, turn: engine.holders(turn))
    linear("settlement", _settlement, lambda engine, _, turn: engine.holders(turn))
    linear("mass cancel", _mass_cancel, lambda *_: 0)
    linear("expiry", _expiry, lambda engine, work, turn: engine.holders(work.perpetuals + turn))
    return rows


def _funding(work: "Workload", turn: int) -> tuple["Commands", bytes]:
    from seawall.vocabulary.records import Kind

    return work.control(Kind.FUNDING, instrument=turn, amount=1000), b""


def _settlement(work: "Workload", turn: int) -> tuple["Commands", bytes]:
    from seawall.vocabulary.records import Kind

    return work.control(Kind.SETTLE, instrument=turn), b""


def _mass_cancel(work: "Workload", turn: int) -> tuple["Commands", bytes]:
    from seawall.vocabulary.records import Kind

    return work.control(Kind.CANCEL_ALL, account=-1, instrument=turn), b""


def _expiry(work: "Workload", turn: int) -> tuple["Commands", bytes]:
    from seawall.sim.workload import EXPIRY
    from seawall.vocabulary.records import Kind

    record = work.control(Kind.EXPIRE, instrument=work.perpetuals + turn, price=700)
    record["time"] = EXPIRY
    return record, b""


def _replay_rows() -> list[Row]:
    from seawall.engine.fast import Fast
    from seawall.journal import Journal, folders_of
    from seawall.node.replay import Fold, replay
    from seawall.sim.workload import Workload

    work = Workload(*SMALL)
    stream = work.stream(STREAM * 2)
    parts = [(work.opening[0], work.opening[1]), (work.filling, b""), (stream, b"")]
    with tempfile.TemporaryDirectory() as folder:
        folders = folders_of(Path(folder))
        journal = Journal.create(folders)
        fold = Fold(Fast())
        number = 0
        for commands, attachments in parts:
            step = len(commands) if attachments else BATCH
            for start in range(0, len(commands), step):
                digest = fold.digest if number else None
                number = journal.commit(commands[start : start + step], attachments, digest)
                fold.take(number, commands[start : start + step], attachments)
        journal.close()
        ratios = []
        for _ in range(ROUNDS):
            engine = Fast(room=2 * work.resting)
            engine.step(*work.opening)
            direct = _fold(engine, work.filling) + _fold(engine, stream)
            folded = (len(work.filling) + len(stream)) / direct
            ratios.append(replay(folders, "fast").commands_per_s / folded)
    ratio = statistics.median(ratios)
    against = "replay with chain and event digests checked, against folding the same stream from memory"
    return [Row("replay / fold", ratio, "ratio", ">= 0.7", ratio >= 0.7, against)]


def _compile_rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        code = "import time; t = time.perf_counter(); from seawall.engine.kernels import load; load();"
        code += " print(time.perf_counter() - t)"
        seconds = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(float(done.stdout))
    first, cached = seconds
    return [
        Row("first compilation of all kernels", first, "s", "<= 60", first <= 60, "an empty cache"),
        Row("load of the compiled kernels", cached, "s", "<= 5", cached <= 5, "the cache just filled"),
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "engine": _engine_rows,
    "scale": _scale_rows,
    "replay": _replay_rows,
    "compile": _compile_rows,
}
