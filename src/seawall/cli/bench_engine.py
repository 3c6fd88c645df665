"""The engine's rows: the spine with everything on and with plain orders, ten times the size, replay."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seawall.cli.bench_rows import BATCH, LARGE, ROUNDS, SMALL, STREAM, Row, at_least, at_most
from seawall.engine.fast import Fast
from seawall.journal import Journal, folders_of
from seawall.node.replay import Fold, replay
from seawall.sim.full_workload import FullWorkload
from seawall.sim.workload import EXPIRY, Workload
from seawall.vocabulary.records import Kind

if TYPE_CHECKING:
    from seawall.vocabulary.records import Commands

SINGLES: Final = 20_000
WARM: Final = 5
"""Streams before the sizes are compared: pools that double, and memory touched first, are not what grows with size."""

FLOWS: Final[tuple[tuple[str, type[Workload]], ...]] = (("", FullWorkload), (", plain orders", Workload))
"""Suffix of a row's name, and the flow it measures."""

WORLD: Final = "1,000 accounts, 100 instruments, 100,000 open orders, 35 scenarios"
EVERYTHING: Final = (
    "limits of every kind on every account, groups for half, icebergs, reduce-only, post-only, good till date, labels,"
    " strategies, protected quotes, stops, edits"
)

Ask = Callable[[Workload, int], tuple["Commands", bytes]]
"""The commands of one turn of a measurement."""

Items = Callable[[Fast, Workload, int], int]
"""What the cost of that turn is divided by: orders and positions, holders; 0 means the events that came."""


def engine_rows() -> list[Row]:
    """Throughput, latency and the cost of the margin check, for both flows."""
    return [row for suffix, flow in FLOWS for row in _spine(suffix, flow(*SMALL))]


def _spine(suffix: str, work: Workload) -> list[Row]:
    on, off = _prepared(work), _prepared(work, gate_off=True)
    with_gate, ratios = [], []
    for _ in range(ROUNDS):
        stream = work.stream(STREAM)
        without = _fold(off, stream)
        with_gate.append(_fold(on, stream))
        ratios.append(with_gate[-1] / without)
    rate = STREAM / statistics.median(with_gate)
    singles = []
    for order in [work.order() for _ in range(SINGLES)]:
        started = time.perf_counter_ns()
        on.step(order)
        singles.append((time.perf_counter_ns() - started) / 1000)
    singles.sort()
    world = WORLD if suffix else f"{WORLD}; {EVERYTHING}"
    return [
        at_least(f"submit, cancel, match{suffix}", rate, "commands/s", 1e6, f"{world}; batches of {BATCH}"),
        at_most(f"one command a call, p50{suffix}", singles[SINGLES // 2], "us", 5, world),
        at_most(f"one command a call, p99{suffix}", singles[SINGLES * 99 // 100], "us", 25, world),
        at_most(
            f"margin check (C13) on / off{suffix}", statistics.median(ratios), "ratio", 1.4, "the same stream, gate off"
        ),
    ]


def scale_rows() -> list[Row]:
    """Ten times everything: per command for both flows, per item for mass operations with everything on."""
    rows: list[Row] = []
    for suffix, flow in FLOWS:
        works = [flow(*SMALL), flow(*LARGE)]
        engines = [_prepared(work) for work in works]
        for engine, work in zip(engines, works, strict=True):
            for _ in range(WARM):
                _fold(engine, work.stream(STREAM))
        ratios = []
        for _ in range(ROUNDS):
            for engine in engines:
                while engine.make_ready(2 * STREAM):
                    pass
            small, large = (_fold(engine, work.stream(STREAM)) for engine, work in zip(engines, works, strict=True))
            ratios.append(large / small)
        name = f"the same at 10 x everything, per command{suffix}"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        against = f"against 1 x, both after {WARM * STREAM:,} commands more, so that pools have grown, and with memory"
        against += f" for new records given before, as a node does while it waits; {spread}"
        rows.append(at_most(name, statistics.median(ratios), "ratio", 2, against))
        if not suffix:
            rows += _mass_rows(works, engines)
    return rows


def _mass_rows(works: list[Workload], engines: list[Fast]) -> list[Row]:
    def linear(name: str, ask: Ask, items: Items) -> Row:
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
        return at_most(f"{name}: cost per item, 10 x / 1 x", large / small, "ratio", 2, against)

    return [
        linear("publication", lambda work, turn: work.publish(2 + turn), lambda engine, *_: _live(engine)),
        linear("funding", _funding, lambda engine, _, turn: engine.holders(turn)),
        linear("settlement", _settlement, lambda engine, _, turn: engine.holders(turn)),
        linear("mass cancel", _mass_cancel, lambda *_: 0),
        linear("expiry", _expiry, lambda engine, work, turn: engine.holders(work.perpetuals + turn)),
    ]


def _live(engine: Fast) -> int:
    return sum(engine.counts().values())


def _funding(work: Workload, turn: int) -> tuple["Commands", bytes]:
    return work.control(Kind.FUNDING, instrument=turn, amount=1000), b""


def _settlement(work: Workload, turn: int) -> tuple["Commands", bytes]:
    return work.control(Kind.SETTLE, instrument=turn), b""


def _mass_cancel(work: Workload, turn: int) -> tuple["Commands", bytes]:
    return work.control(Kind.CANCEL_ALL, account=-1, instrument=turn), b""


def _expiry(work: Workload, turn: int) -> tuple["Commands", bytes]:
    record = work.control(Kind.EXPIRE, instrument=work.perpetuals + turn, price=700)
    record["time"] = EXPIRY
    return record, b""


def replay_rows() -> list[Row]:
    """Replay of a journal with everything on, against folding the same commands from memory."""
    work = FullWorkload(*SMALL)
    stream = work.stream(STREAM * 2)
    parts = [(work.opening[0], work.opening[1]), (work.filling, b""), (stream, b"")]
    with tempfile.TemporaryDirectory() as folder:
        folders = folders_of(Path(folder))
        with Journal.create(folders) as journal:
            fold, number = Fold(Fast()), 0
            for commands, attachments in parts:
                step = len(commands) if attachments else BATCH
                for start in range(0, len(commands), step):
                    digest = fold.digest if number else None
                    number = journal.commit(commands[start : start + step], attachments, digest)
                    fold.take(number, commands[start : start + step], attachments)
        ratios = []
        for _ in range(ROUNDS):
            engine = Fast(room=2 * work.resting)
            began = time.perf_counter()
            engine.step(*work.opening)  # the journal has it, too
            direct = time.perf_counter() - began + _fold(engine, work.filling) + _fold(engine, stream)
            folded = (len(work.opening[0]) + len(work.filling) + len(stream)) / direct
            ratios.append(replay(folders, "fast").commands_per_s / folded)
    against = "replay with chain and event digests checked, against folding the same commands from memory"
    return [at_least("replay / fold", statistics.median(ratios), "ratio", 0.7, against)]


def _prepared(work: Workload, *, gate_off: bool = False) -> Fast:
    """An engine in the workload's steady state, its memory touched and large enough."""
    engine = Fast(gate_off=gate_off, room=2 * work.resting)
    engine.step(*work.opening)
    _fold(engine, work.filling)
    return engine


def _fold(engine: Fast, stream: "Commands") -> float:
    """Seconds to fold a stream in batches; the commands are in memory, the events are copied out."""
    batches = [stream[start : start + BATCH] for start in range(0, len(stream), BATCH)]
    started = time.perf_counter()
    for batch in batches:
        engine.step(batch)
    return time.perf_counter() - started
