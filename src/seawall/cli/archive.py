"""`seawall archive` copies old segments of a journal elsewhere, `seawall retire` then removes them from it."""

from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from
from seawall.vocabulary.errors import InputError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]


def archive(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    to: Annotated[Path | None, typer.Option(help="Folder of the archive, better on another machine.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Copy the segments that will never change again to an archive, checked and read back; beside the writer, too."""
    answer(as_json, lambda: _archive(data, mirror, config, to, dry_run))


def retire(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    archive: Annotated[Path | None, typer.Option(help="The archive that must hold them, byte for byte.")] = None,
    before: Annotated[
        int | None, typer.Option(help="A frame that stays; by default the oldest that a snapshot covers.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove archived segments that a snapshot covers from a journal that nobody writes to."""
    answer(as_json, lambda: _retire(data, mirror, config, archive, before, dry_run))


def _archive(data: Path | None, mirror: Path | None, config: Path | None, to: Path | None, dry_run: bool) -> Answer:
    from seawall.journal import archive as copy

    if to is None:
        raise InputError("--to", None, "must name the folder of the archive")
    copied = copy(folders_from(data, mirror, config).folders, to, write=not dry_run)
    document = {
        "ok": True,
        "segments": [one.segment for one in copied],
        "next_frame": copied[-1].next_frame if copied else None,
        "dry_run": dry_run,
    }
    if not copied:
        return Answer(document, f"{to}: nothing to copy")
    done = "would be copied" if dry_run else "copied and read back"
    text = f"{to}: {len(copied)} segments {done}, up to frame {copied[-1].next_frame - 1:,}"
    return Answer(document, text)


def _retire(
    data: Path | None,
    mirror: Path | None,
    config: Path | None,
    archive: Path | None,
    before: int | None,
    dry_run: bool,
) -> Answer:
    from seawall.journal import retire as remove

    if archive is None:
        raise InputError("--archive", None, "must name the folder of the archive")
    if not archive.is_dir():
        raise InputError("--archive", str(archive), "must be a folder: is it mounted, and its name right?")
    folders = folders_from(data, mirror, config).folders
    gone = remove(folders, archive, before=before, write=not dry_run)
    document = {"ok": True, "segments": list(gone), "dry_run": dry_run}
    if not gone:
        return Answer(document, f"nothing to remove: what a snapshot in both folders covers is not in {archive}")
    which = f"{len(gone)} segments, {gone[0]} to {gone[-1]},"
    return Answer(document, f"{which} {'would be ' if dry_run else ''}removed from both folders; {archive} has them")
