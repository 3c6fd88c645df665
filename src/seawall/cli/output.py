"""What every command does alike: one document on standard output with --json, all else on standard error.

Exit status: 0 good, 1 the answer is no, 2 wrong usage.
"""

import errno
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.vocabulary.errors import InputError, SeawallError

if TYPE_CHECKING:
    from seawall.node import Configuration

LEVELS = ("debug", "info", "warning", "error")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Data = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="Data folder: the journal's copies are DIR/a and DIR/b.")
]
Mirror = Annotated[Path | None, typer.Option(help="Folder of the second copy, where it is not DIR: MIRROR/b.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Take the folders from this TOML file instead.")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: the document, the same for people, and whether the answer is yes."""

    document: dict[str, Any]
    text: str
    ok: bool = True


def answer(as_json: bool, find: Callable[[], Answer]) -> None:
    """Run `find`, print its answer and end with its status. Errors become a document too, or status 2 for bad input."""
    send_logs_to_stderr()
    try:
        found = find()
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    except SeawallError as error:
        document = {"ok": False, "error": type(error).__name__, "message": str(error), **_numbers(error)}
        found = Answer(document, told(error), ok=False)
    typer.echo(json.dumps(found.document) if as_json else found.text)
    if not found.ok:
        raise typer.Exit(1)


def told(error: SeawallError) -> str:
    """An error for people; of a full disk, where the way out is written."""
    cause: BaseException | None = error
    while cause is not None and getattr(cause, "errno", None) != errno.ENOSPC:
        cause = cause.__cause__
    way = "\nThe disk is full. Remove nothing of the journal: the way out is in docs/runbook.md, under disk_time."
    return f"{type(error).__name__}: {error}{way if cause is not None else ''}"


def folders_from(data: Path | None, mirror: Path | None, config: Path | None) -> "Configuration":
    """The configuration that names the folders. Raises InputError unless exactly one source names them."""
    from seawall.node import Configuration

    if (data is None) == (config is None):
        raise InputError("DIR", str(data), "give either a data folder or --config FILE")
    if config is not None:
        if mirror is not None:
            raise InputError("--mirror", str(mirror), "goes with DIR; with --config its file names the folders")
        return Configuration.read(config)
    return Configuration.of({"data": str(data), "mirror": str(mirror) if mirror else ""})


def load_kernels(engine: str) -> None:
    """Compile the fast engine's kernels, with a bar on standard error; from its cache it takes a moment."""
    if engine != "fast":
        return
    from rich.console import Console
    from rich.progress import Progress

    from seawall.engine.kernels import load

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compiling kernels, once for each version", total=None)
        load(lambda name, done, of: bar.update(task, completed=done, total=of, description=f"kernels: {name}"))


def send_logs_to_stderr(level: str = "info") -> None:
    """Logs of the node from `level` on go to standard error, as standard output belongs to the answer.

    Raises InputError for a level that is none.
    """
    import structlog

    if level not in LEVELS:
        raise InputError("--log-level", level, f"must be one of {', '.join(LEVELS)}")

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S"),
            # Never the kind that prints local variables: they may hold a secret.
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def _numbers(error: SeawallError) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if isinstance(value, int | str)}
