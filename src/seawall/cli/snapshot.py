"""`seawall snapshot`: the state of a venue that is not running, for its next start and for `seawall retire`; or, of one
that is served, running or not, state and memory together.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.checkpoint import Archive
from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from, load_kernels

if TYPE_CHECKING:
    from seawall.node import Configuration


def snapshot(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    archive: Archive = None,
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Of a served venue, running or not: what this build's `serve` starts from."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fold, and say what it would cover.")] = False,
    as_json: Json = False,
) -> None:
    """Fold a journal that nobody writes to and store the state in both folders; the journal stays as it is.

    With --memory it may be written to meanwhile: before an upgrade the new build so makes what it will start from.
    """
    answer(as_json, lambda: _snapshot(data, mirror, config, archive, memory, dry_run))


def _snapshot(
    data: Path | None, mirror: Path | None, config: Path | None, archive: Path | None, memory: bool, dry_run: bool
) -> Answer:
    from msgspec.structs import replace

    from seawall.node import take_stopped

    configuration = replace(folders_from(data, mirror, config), engine="fast")
    if archive is not None:
        configuration = replace(configuration, archive=str(archive))
    load_kernels("fast")
    if memory:
        return _memory(configuration, dry_run)
    result = take_stopped(configuration, write=not dry_run)
    document = {
        "ok": result.conserved,
        "frame": result.last_frame,
        "digest": result.digest,
        "folded": result.commands,
        "dry_run": dry_run,
    }
    text = f"{'would cover' if dry_run else 'covers'} frame {result.last_frame:,}; {result.commands:,} commands folded"
    return Answer(document, f"{text}\ndigest of all events: {result.digest}", result.conserved)


def _memory(configuration: "Configuration", dry_run: bool) -> Answer:
    from seawall.api.remembering import remember

    frame, folded = remember(configuration, write=not dry_run)
    document = {"ok": True, "frame": frame, "folded": folded, "dry_run": dry_run}
    words = "would cover" if dry_run else "covers"
    return Answer(document, f"state and memory: {words} frame {frame:,}; {folded:,} commands folded")
