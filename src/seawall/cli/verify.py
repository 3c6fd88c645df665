"""`seawall verify`: the chain and both copies of a journal, page by page, and a checkpoint held elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.checkpoint import Archive, PublicKeyOption, numbers
from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.journal.recovery import Verification


def verify(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A signed checkpoint the journal must hold: finds rollback and rewriting.")
    ] = None,
    public_key: PublicKeyOption = None,
    archive: Archive = None,
    as_json: Json = False,
) -> None:
    """Check the hash chain and both copies of a journal; name what is damaged. Nothing is written."""
    answer(as_json, lambda: _verify(data, mirror, config, checkpoint, public_key, archive))


def _verify(
    data: Path | None,
    mirror: Path | None,
    config: Path | None,
    checkpoint: Path | None,
    public_key: str | None,
    archive: Path | None,
) -> Answer:
    from seawall.journal import verify as check

    if checkpoint is None and (public_key is not None or archive is not None):
        raise InputError("--checkpoint", None, "must be given with --public-key or --archive")
    folders = folders_from(data, mirror, config).folders
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("folders", [str(folder) for folder in folders], "must be two: both are one, by a link")
    found = pages(check(folders), folders)
    return found if checkpoint is None else _against(found, folders, checkpoint, public_key, archive)


def pages(found: "Verification", folders: tuple[Path, ...] = ()) -> Answer:
    """What a verification found; of `folders`, which hold nothing."""
    from seawall.journal import holds_journal

    damage: list[dict[str, Any]] = [
        {
            "folder": str(one.folder),
            "segment": one.segment,
            "page": one.page,
            "frame": one.frame,
            "what": one.what,
            "cut": one.cut,
        }
        for one in found.damage
    ]
    document = {
        "ok": found.ok,
        "repairable": found.repairable,
        "first_bad_frame": found.first_bad_frame,
        "frames": found.frames,
        "commands": found.commands,
        "head": found.head_hash.hex(),
        "damage": damage,
        "corrupt": found.corrupt,
    }
    lines = [f"{found.frames:,} frames, {found.commands:,} commands, head {found.head_hash.hex()}"]
    lines += [
        f"{one['folder']}: segment {one['segment']}, page {one['page']}, frame {one['frame']}: {one['what']}"
        for one in damage
    ]
    if found.corrupt:
        lines.append(f"corrupt: {found.corrupt}")
    elif empty := [str(folder) for folder in folders if damage and not holds_journal((folder,))]:
        lines.append(f"{', '.join(empty)} holds nothing: mount its disk, or if that is lost start once with --rebuild")
    elif damage:
        lines.append("opening the journal puts this right from the other copy")
    lines.append("both copies are sound" if found.ok else f"first bad frame: {found.first_bad_frame}")
    return Answer(document, "\n".join(lines), found.ok)


def _against(
    found: Answer, folders: tuple[Path, ...], path: Path, public_key: str | None, archive: Path | None
) -> Answer:
    """What the pages gave, together with what the checkpoint gives."""
    from seawall.journal.checkpoint import Checkpoint, PublicKey, compare, read_text
    from seawall.vocabulary.errors import CheckpointMismatch, JournalCorrupt

    note = read_text(path)
    held = Checkpoint.parse(note)
    part: dict[str, Any] = {**numbers(held), "ok": False, "signature": "not checked, for want of --public-key"}
    try:
        if public_key is not None:
            part["signature"] = "does not hold"
            PublicKey.read(public_key).open(note)
            part["signature"] = "holds"
        compared = compare(folders, held, archive)
        part |= {"ok": compared.ok, "what": compared.what}
        part["found"] = {
            "journal": compared.journal.hex(),
            "commands": compared.commands,
            "frames": compared.frames,
            "frame_hash": compared.hash.hex(),
            "root": compared.root.hex(),
        }
    except (CheckpointMismatch, JournalCorrupt) as error:
        part["what"] = str(error)
    text = f"{found.text}\ncheckpoint of {held}: {part['what']}\nsignature: {part['signature']}"
    ok = found.ok and part["ok"]
    return Answer({**found.document, "ok": ok, "checkpoint": part}, text, ok)
