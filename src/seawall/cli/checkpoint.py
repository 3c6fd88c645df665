"""`seawall checkpoint` signs what a journal holds and holds it elsewhere; `seawall key` makes the key it signs with."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.journal.checkpoint import Checkpoint, Signer

SHARE = 0.05
"""Of one core: 32,000 commands/s, more than the trading door takes. Measured on two cores: at 1 a writer at full speed
is slowed by a third, at 0.1 by 3 to 6 %."""

SLICE_S = 0.002
"""At work at a time: a core taken for longer delays the writer's syncs more than the same share in pieces does."""

PublicKeyOption = Annotated[
    str | None, typer.Option("--public-key", help="The signer's public key, or the file that holds it.")
]
Archive = Annotated[Path | None, typer.Option(help="Folder of the segments that were retired.")]
Passphrase = Annotated[Path | None, typer.Option(help="File whose first line is the key's passphrase.")]


def checkpoint(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    key: Annotated[Path | None, typer.Option(help="The signing key, as seawall key made it.")] = None,
    passphrase: Passphrase = None,
    hold: Annotated[
        Path | None, typer.Option(help="Folder elsewhere; what it holds is only replaced by what continues it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the checkpoint to this file, too.")] = None,
    archive: Archive = None,
    share: Annotated[
        float, typer.Option(min=0.001, max=1, help="Part of a core it may take; 1 where no writer is at work.")
    ] = SHARE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and check it; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Sign what a journal holds now, beside its writer; refuse if it does not continue what was signed before."""
    answer(as_json, lambda: _checkpoint(data, mirror, config, key, passphrase, hold, out, archive, share, dry_run))


def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the log, such as venue.example/journal.")],
    out: Annotated[Path, typer.Option(help="New file for the private key; FILE.pub gets the public one.")],
    passphrase: Passphrase = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the name and the files; make nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make an Ed25519 key to sign checkpoints with."""
    answer(as_json, lambda: _key(name, out, passphrase, dry_run))


def numbers(checkpoint: "Checkpoint") -> dict[str, Any]:
    """A checkpoint as every command's document has it."""
    return {
        "origin": checkpoint.origin,
        "commands": checkpoint.size,
        "root": checkpoint.root.hex(),
        "journal": checkpoint.journal.hex(),
        "frame": checkpoint.frame,
        "frame_hash": checkpoint.frame_hash.hex(),
    }


def give_way() -> None:
    """Run only when nothing else wants the processor."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def hash_all(signer: "Signer", share: float) -> None:
    """Hash what is durable, at work for that share of the time, SLICE_S and the frame at hand at a time."""
    while True:
        began = time.perf_counter()
        while time.perf_counter() < began + SLICE_S:
            if not signer.take():
                return
        time.sleep((time.perf_counter() - began) * (1 / share - 1))


def _checkpoint(
    data: Path | None,
    mirror: Path | None,
    config: Path | None,
    key: Path | None,
    passphrase: Path | None,
    hold: Path | None,
    out: Path | None,
    archive: Path | None,
    share: float,
    dry_run: bool,
) -> Answer:
    from seawall.journal.checkpoint import TILES_NAME, Signer, SigningKey, write_durably

    if key is None:
        raise InputError("--key", None, "must name the signing key; seawall key makes one")
    where = folders_from(data, mirror, config)
    signing = SigningKey.read(key, first_line(passphrase))
    give_way()
    tiles = Path(where.data) / TILES_NAME
    with Signer(where.folders, tiles, signing, hold=hold, archive=archive, write=not dry_run) as signer:
        hash_all(signer, share)
        made = signer.sign()
    if out is not None and not dry_run:
        write_durably(out, made.note.encode())
    document = {
        "ok": True,
        **numbers(made.checkpoint),
        "hashed": made.added,
        "held_before": numbers(made.replaced) if made.replaced is not None else None,
        "checkpoint": made.note,
        "dry_run": dry_run,
    }
    text = made.note + f"{made.added:,} commands hashed"
    if hold is not None:
        before = "the first one there" if made.replaced is None else f"continues {made.replaced}"
        text += f"\n{'would be held' if dry_run else 'held'} in {hold}: {before}"
    return Answer(document, text)


def _key(name: str, out: Path, passphrase: Path | None, dry_run: bool) -> Answer:
    from seawall.journal.checkpoint import SigningKey, check_new_key

    secret = first_line(passphrase)
    if dry_run:
        check_new_key(name, out)
        return Answer({"ok": True, "dry_run": True}, f"{out} and {out}.pub would be made")
    made = SigningKey.create(name, out, secret)
    document = {"ok": True, "public_key": made.public.vkey, "encrypted": secret is not None, "dry_run": False}
    return Answer(document, f"{made.public.vkey}\nprivate key in {out}, public key in {out}.pub")


def first_line(path: Path | None) -> bytes | None:
    """The passphrase in a file. Raises InputError for an empty one."""
    if path is None:
        return None
    from seawall.journal.checkpoint import read_text

    line = read_text(path).partition("\n")[0]
    if not line:
        raise InputError("--passphrase", str(path), "must have a passphrase in its first line")
    return line.encode()
