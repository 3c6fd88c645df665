"""`seawall approve`: what waits for signatures, in plain words, and a signature under exactly the bytes they are of.

The bytes are fetched, the words are computed from them here, and the very same bytes are signed: a venue that showed
one thing and had another signed would have to break Ed25519.
"""

import base64
import binascii
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.calling import NOWHERE, Door, DoorRefused, DryRun, Where, at_door
from seawall.cli.checkpoint import Passphrase, first_line
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError


@at_door
def approve(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="The proposal; without it, what waits is shown.")] = "",
    key: Annotated[Path | None, typer.Option(help="Your signing key, as seawall key made it.")] = None,
    passphrase: Passphrase = None,
    venue: Annotated[str, typer.Option(help="The id of the venue you mean; another's proposal is refused.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Sign without being asked.")] = False,
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show in plain words what a proposal says, from the bytes that are signed; ask, and sign them."""
    if not id_:
        answer(as_json, lambda: _list(where))
    else:
        answer(as_json, lambda: _approve(where, id_, key, passphrase, venue, yes or dry_run, dry_run, as_json))


def _list(where: Where) -> Answer:
    waiting = [row for row in Door(where).get("/proposals")["proposals"] if row["state"] == "pending"]
    parts = []
    for row in waiting:
        row["words"] = said(row["payload"].encode(), row["id"], "")
        have = ", ".join(row["signed_by"]) or "nobody"
        parts.append("\n".join([*row["words"], f"Signed by {have}; {row['needed']} are needed."]))
    return Answer({"ok": True, "proposals": waiting}, "\n\n".join(parts) or "nothing waits for signatures")


def _approve(
    where: Where, id_: str, key: Path | None, passphrase: Path | None, venue: str, yes: bool, dry_run: bool, quiet: bool
) -> Answer:
    if not (id_.isascii() and id_.isalnum()):
        raise InputError("ID", id_, "must be a proposal's id")
    if quiet and not yes:
        raise InputError("--json", quiet, "needs --yes or --dry-run: with it nothing is asked")
    door = Door(where)
    row = door.get(f"/proposals/{id_}")
    try:
        payload = base64.b64decode(row["bytes"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise DoorRefused(0, f"the door's bytes are not base64: {error}") from error
    lines = said(payload, id_, venue)
    text = "\n".join(lines)
    document: dict[str, Any] = {"ok": True, "id": id_, "words": lines, "bytes": row["bytes"], "signed": False}
    if row["state"] != "pending":
        return Answer({**document, "state": row["state"]}, f"{text}\nnothing to sign: it is {row['state']}", ok=False)
    if dry_run:
        return Answer({**document, "dry_run": True}, f"{text}\nwould be signed: {len(payload)} bytes")
    if key is None:
        raise InputError("--key", None, "must name your signing key; seawall key makes one")
    from seawall.journal.checkpoint import SigningKey

    signing = SigningKey.read(key, first_line(passphrase))
    if not yes:
        typer.echo(text)
        if not typer.confirm(f"Sign this as {signing.public.name}?"):
            return Answer(document, "not signed", ok=False)
    given = base64.b64encode(signing.private.sign(payload)).decode()
    try:
        done = door.post(f"/proposals/{id_}/signatures", key=signing.public.vkey, signature=given)["proposal"]
    except InputError as error:  # not a wrong use of this command: the venue says no
        raise DoorRefused(400, f"the signature was not taken: {error}") from error
    have = f"signed by {', '.join(done['signed_by'])}, {done['needed']} are needed: it is {done['state']}"
    return Answer({**document, "signed": True, "state": done["state"]}, f"{text}\n{have}" if yes else have)


def said(payload: bytes, id_: str, venue: str) -> list[str]:
    """The words of a proposal's bytes. Raises InputError for another proposal than asked, or another venue's."""
    from seawall.api.operations import canonical
    from seawall.api.operations.wording import words

    lines = words(payload)
    document = canonical.decode(payload)
    if document["proposal"] != id_:
        raise InputError("ID", id_, f"the door gave the bytes of {document['proposal']!r} instead")
    if venue and document["venue"] != venue:
        raise InputError("--venue", venue, f"the proposal is of venue {document['venue']!r}")
    return lines
