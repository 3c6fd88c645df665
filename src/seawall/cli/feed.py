"""`seawall feed`: what a price process says, one JSON document a line, to the operations door of a running venue."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.calling import NOWHERE, Door, DoorRefused, DryRun, Where, at_door
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError


@at_door
def feed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Reports, one JSON document a line; - is the input.")],
    every: Annotated[float, typer.Option(min=0, help="Seconds from one report to the next.")] = 0.0,
    now: Annotated[bool, typer.Option("--now", help="Stamp each with the time it is sent: a recording.")] = False,
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Report prices to a venue: indexes, forwards or bases, volatilities. A report without a time is of now.

    It goes on after a line that is no report and after one that the venue refused or could not take, and ends where
    you have no right to report, or the venue's certificate is not trusted.
    """
    answer(as_json, lambda: _feed(where, file, every, now, dry_run))


def _feed(where: Where, file: Path, every: float, now: bool, dry_run: bool) -> Answer:
    door = Door(where)
    counts = {"sent": 0, "taken": 0, "published": 0, "doubted": 0, "refused": 0}
    found: dict[str, Any] = {}
    for at, line in enumerate(_lines(file), 1):
        try:
            report = _report(line, at, file)
            if counts["sent"]:
                time.sleep(every)
            if now or "time" not in report:
                report["time"] = time.time_ns() // 1_000_000
            counts["sent"] += 1
            found = door.post("/prices", **report, dry_run=dry_run)
        except (InputError, DoorRefused) as error:  # the next report may be a good one, and silence closes the venue
            if _is_final(error):
                raise
            counts["refused"] += 1
            found = {"taken": False, "refused": str(error)}
            typer.echo(f"{at}: refused: {error}", err=True)
            continue
        counts["taken"] += found["taken"]
        counts["doubted"] += bool(found["doubted"])
        counts["published"] += bool(found["published"])
        typer.echo(f"{at}: {_said(found)}", err=True)
    if not found:
        raise InputError("FILE", str(file), "must hold a report")
    ok = "refused" not in found and (dry_run or bool(found["taken"]))
    document = {"ok": ok, **counts, "last": found}
    text = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return Answer(document, f"{text}; the last: {_said(found)}", ok)


def _is_final(error: Exception) -> bool:
    """Whether the next report cannot fare better: no right to report, or no trust in who answers."""
    import ssl  # slow

    return isinstance(error, DoorRefused) and (error.status in (401, 403) or isinstance(error.__cause__, ssl.SSLError))


def _said(found: dict[str, Any]) -> str:
    if "refused" in found:
        return f"refused: {found['refused']}"
    if found["dry_run"]:
        return "would be looked at"
    if found["doubted"]:
        return f"doubted until a second report agrees: {', '.join(found['doubted'][:5])}"
    return f"published {', '.join(found['published'])}" if found["published"] else "taken; no publication is due"


def _lines(file: Path) -> Iterator[str]:
    try:
        with open(0 if str(file) == "-" else file, encoding="utf-8", errors="replace") as source:  # a bad line is one
            yield from (line for line in source if line.strip())
    except OSError as error:
        raise InputError("FILE", str(file), f"cannot be read: {error}") from error


def _report(line: str, at: int, file: Path) -> dict[str, Any]:
    try:
        report = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}:{at}", line[:60], f"must be JSON: {error}") from error
    if not isinstance(report, dict):
        raise InputError(f"{file}:{at}", line[:60], "must be an object")
    if "dry_run" in report:
        raise InputError(f"{file}:{at}", "dry_run", "is an option of the command, not of a report")
    return report
