"""`seawall restore`: a journal back in two empty folders, proven by its digest, and the time it took."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.checkpoint import Archive
from seawall.cli.output import Answer, Json, Mirror, answer, folders_from, load_kernels
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.node import ReplayResult


def restore(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="Data folder: DIR/a and DIR/b are to be made.")],
    source: Annotated[
        list[Path] | None, typer.Option("--from", help="A copy of the journal's folder a or b; may be given again.")
    ] = None,
    archive: Archive = None,
    mirror: Mirror = None,
    engine: Annotated[str, typer.Option(help="fast, or reference: the executable specification.")] = "fast",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fold what the sources hold; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make both copies of a journal anew from backups and archives, verify them, and fold what was restored."""
    answer(as_json, lambda: _restore(data, source or [], archive, mirror, engine, dry_run))


def _restore(
    data: Path, source: list[Path], archive: Path | None, mirror: Path | None, engine: str, dry_run: bool
) -> Answer:
    from seawall.journal import restore as put_back

    sources = [*source, *([archive] if archive is not None else [])]
    if not sources:
        raise InputError("--from", None, "must name a copy of the journal's folder")
    _check_sources(source, archive)
    folders = folders_from(data, mirror, None).folders
    load_kernels(engine)
    began = time.perf_counter()
    document: dict[str, Any] = {"ok": False, "dry_run": dry_run}
    if dry_run:
        for folder in folders:
            # What a restore that was refused leaves is in nobody's way: its lock, and files it had begun.
            if folder.is_dir() and any(one.name != "lock" and one.suffix != ".new" for one in folder.iterdir()):
                raise InputError("folders", str(folder), "must be empty")
    else:
        checked = put_back(sources, folders)
        document |= {"frames": checked.frames, "commands": checked.commands, "head": checked.head_hash.hex()}
    put = time.perf_counter()
    result = _folded(sources if dry_run else list(folders), engine, archive)
    folded = time.perf_counter()
    document |= {
        "ok": result.conserved,
        "last_frame": result.last_frame,
        "digest": result.digest,
        "folded": result.commands,
        "restore_s": round(put - began, 3),
        "fold_s": round(folded - put, 3),
        "seconds": round(folded - began, 3),
    }
    done = "nothing restored: a dry run" if dry_run else _done(document)
    text = (
        f"{done}\n{result.commands:,} commands folded up to frame {result.last_frame:,} in {folded - put:.1f} s;"
        f" money and positions {'add up' if result.conserved else 'DO NOT ADD UP'}\n"
        f"digest of all events: {result.digest}\nin all {folded - began:.1f} s"
    )
    if not dry_run:
        text += (
            "\nA start takes it to reduce-only, or to where a clean stop left it, NOT to halted. If clients may have"
            " been told of more than this, halt it where they do not reach it: docs/operations.md, under Backup."
        )
    return Answer(document, text, result.conserved)


def _check_sources(source: list[Path], archive: Path | None) -> None:
    """Raise InputError for a source that gives nothing: what it was to give would be missing, and nobody could see it.

    An archive may be without segments, in a journal's first one; its folder is there even so. What a backup puts beside
    them of the open segment is to be named, too, where nothing else goes as far.
    """
    last = [_last_segment(folder) for folder in source]
    for folder, segment in zip(source, last, strict=True):
        if segment < 0:
            raise InputError("--from", str(folder), "holds no segment of a journal: is it mounted, and its name right?")
    if archive is None:
        return
    if not archive.is_dir() or not any(archive.iterdir()):
        raise InputError("--archive", str(archive), "holds nothing: is it mounted, and its name right?")
    rest = archive / "open"
    if _last_segment(rest) > max(last, default=-1):
        raise InputError("--from", [str(folder) for folder in source], f"must name {rest}, too: the backup's last part")


def _last_segment(folder: Path) -> int:
    """Number of the last segment in a folder, -1 without one."""
    from seawall.journal.disk import OsDisk
    from seawall.journal.reading import segments_in

    return max(segments_in(folder, OsDisk()), default=-1)


def _done(document: dict[str, Any]) -> str:
    return (
        f"{document['frames']:,} frames, {document['commands']:,} commands in both folders and verified in"
        f" {document['restore_s']:.1f} s, head {document['head']}"
    )


def _folded(folders: list[Path], engine: str, archive: Path | None) -> "ReplayResult":
    """All of it, where it is there or in the archive; else from the snapshot on."""
    from seawall.journal import first_frame
    from seawall.node import fold_of, replay

    if first_frame(folders) == 1 or archive is not None:
        return replay(folders, engine, archive=archive)
    return replay(folders, engine, fold=fold_of(folders, engine))
