"""`seawall receipt`: one command's proof of being in the journal, to be checked offline by anyone."""

from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.checkpoint import Archive, PublicKeyOption
from seawall.cli.output import Answer, Json, Mirror, answer, folders_from
from seawall.vocabulary.errors import InputError


def receipt(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="Data folder: the journal's copies are DIR/a and DIR/b.")],
    seq: Annotated[int, typer.Argument(metavar="SEQ", help="Sequence number of the command.")],
    out: Annotated[Path, typer.Option(help="File for the receipt.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="The checkpoint it is to be under; without, the last one made, in DIR/tiles.")
    ] = None,
    mirror: Mirror = None,
    public_key: PublicKeyOption = None,
    archive: Archive = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and check it; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Write the receipt of one command: its record, its path in the Merkle tree, and the signed checkpoint."""
    answer(as_json, lambda: _receipt(data, seq, out, checkpoint, mirror, public_key, archive, dry_run))


def _receipt(
    data: Path,
    seq: int,
    out: Path,
    checkpoint: Path | None,
    mirror: Path | None,
    public_key: str | None,
    archive: Path | None,
    dry_run: bool,
) -> Answer:
    from seawall.journal.checkpoint import CHECKPOINT_NAME, TILES_NAME, PublicKey, read_text, write_durably
    from seawall.journal.receipts import encode_receipt, make_receipt

    if not out.name or out.is_dir():
        raise InputError("--out", str(out), "must be a file")
    where = folders_from(data, mirror, None)
    tiles = Path(where.data) / TILES_NAME
    note = read_text(checkpoint if checkpoint is not None else tiles / CHECKPOINT_NAME)
    public = PublicKey.read(public_key) if public_key is not None else None
    made = make_receipt(where.folders, tiles, note, seq, public, archive)
    if not dry_run:
        write_durably(out, encode_receipt(made))
    signature = "checked" if public is not None else "not checked"
    text = (
        f"command {seq} is number {made['index']} under\n{note}"
        f"path of {len(made['proof'])} hashes, signature {signature}, receipt {'not written' if dry_run else out}"
    )
    return Answer({"ok": True, "signature": signature, "dry_run": dry_run, "receipt": made}, text)
