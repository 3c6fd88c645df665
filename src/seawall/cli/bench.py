"""`seawall bench`: every figure of the README, measured here and now.

Figures that name a yardstick are ratios of two measurements taken alternately in one run: machines are noisy, and a
ratio of neighbours is what survives. The median of the rounds is reported. Each part runs in a process of its own, as
what it measures does: one after the other in one, the late ones found the memory in pieces.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.bench_rows import START, Row, at_most, if_steady
from seawall.cli.output import Json, send_logs_to_stderr
from seawall.vocabulary.errors import InputError


def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PART]...",
            help="engine, scale, replay, journal, receipts, start, compile, api, desk, risk; all without.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the figures that the README quotes; exit 1 if one does not hold."""
    chosen = parts or list(PARTS)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise typer.BadParameter(str(InputError("PART", unknown[0], f"must be one of {', '.join(PARTS)}")))
    send_logs_to_stderr("warning")
    if len(chosen) == 1:
        typer.echo(f"measuring {chosen[0]} ...", err=True)
        rows = PARTS[chosen[0]]()
    else:
        rows = [row for part in chosen for row in _apart(part)]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    document = {"machine": machine, "commit": _commit(), "rows": [row._asdict() for row in rows]}
    typer.echo(json.dumps(document) if as_json else _table(document, rows))
    if any(row.holds is False for row in rows):
        raise typer.Exit(1)


def _apart(part: str) -> list[Row]:
    """The rows of a part, measured in another process; what it says of its progress goes where ours does."""
    done = subprocess.run([sys.executable, "-c", START, "bench", part, "--json"], stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"the part {part} ended with {done.returncode} and told nothing")
    return [Row(**row) for row in json.loads(done.stdout)["rows"]]


def _table(document: dict[str, Any], rows: list[Row]) -> str:
    lines = [f"{document['machine']}, commit {document['commit']}"]
    for row in rows:
        figure = f"{'not run':>14}"
        if row.value is not None:
            mark = "holds" if row.holds else "FALLS SHORT"
            figure = f"{row.value:>14,.3f} {row.unit:<12} asked {row.asked:<14} {mark}"
        lines.append(f"{row.name:<52} {figure}")
        lines.append(f"    {row.against}")
    return "\n".join(lines)


def _commit() -> str:
    """The checkout's commit; a wheel or a machine without git has none to tell."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    asked = [git, "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _engine_rows() -> list[Row]:
    from seawall.cli.bench_engine import engine_rows

    return engine_rows()


def _scale_rows() -> list[Row]:
    from seawall.cli.bench_engine import scale_rows

    return scale_rows()


def _replay_rows() -> list[Row]:
    from seawall.cli.bench_engine import replay_rows

    return replay_rows()


def _journal_rows() -> list[Row]:
    from seawall.cli.bench_journal import journal_rows

    return journal_rows()


def _receipt_rows() -> list[Row]:
    from seawall.cli.bench_checkpoint import measure

    found = measure()
    low, high = (100 * (ratio - 1) for ratio in found.quartiles)
    against = (
        f"a writer at {found.writer_per_s:,.0f} commands/s, a tree built beside it in a twentieth of a core or not;"
        f" quartiles {low:.1f}, {high:.1f} %; {found.hash_us:.2f} us to hash a command,"
        f" {found.builder_per_s:,.0f} commands/s by a builder alone"
    )
    row = at_most("receipts: writer slowed", 100 * (found.slowed - 1), "%", 5, against)
    return [if_steady(row, steady=high - low <= 30)]


def _start_rows() -> list[Row]:
    from seawall.cli.bench_start import WORLD, measure

    found = measure()
    world = f"{WORLD[0]:,} accounts, {WORLD[1]:,} instruments, {found.orders:,} open orders"
    start = (
        f"{world}, loading the kernels included ({found.kernels_s:.2f} s); a snapshot takes {found.snapshot_s:.1f} s"
    )
    memory = f"{world}, the most the process ever had; {found.resident / 2**30:.2f} GiB when it was ready"
    return [
        at_most("start from a snapshot", found.seconds, "s", 3, start),
        at_most("memory", found.peak / 2**30, "GiB", 1.5, memory),
    ]


def _api_rows() -> list[Row]:
    from seawall.cli.bench_api import api_rows

    return api_rows()


def _desk_rows() -> list[Row]:
    from seawall.cli.bench_desk import desk_rows

    return desk_rows()


def _risk_rows() -> list[Row]:
    from seawall.cli.bench_risk import rows

    return rows()


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
        at_most("first compilation of all kernels", first, "s", 60, "an empty cache"),
        at_most("load of the compiled kernels", cached, "s", 5, "the cache just filled"),
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "engine": _engine_rows,
    "scale": _scale_rows,
    "replay": _replay_rows,
    "journal": _journal_rows,
    "receipts": _receipt_rows,
    "start": _start_rows,
    "compile": _compile_rows,
    "api": _api_rows,
    "desk": _desk_rows,
    "risk": _risk_rows,
}
