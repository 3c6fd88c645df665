"""`seawall halt`: halt, hold to reducing, throw the kill switch; or ask for it to be lifted."""

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from seawall.cli.calling import NOWHERE, Door, DryRun, Name, Scope, Where, Why, at_door
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@at_door
def halt(
    scope: Scope,
    name: Name = "",
    reason: Why = "",
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Let positions be closed.")] = False,
    kill: Annotated[bool, typer.Option("--kill", help="Cancel all of its orders, too, in one command.")] = False,
    lift: Annotated[
        bool, typer.Option("--lift", help="Propose to open it (with --reduce-only: that far); people must approve.")
    ] = False,
    until: Annotated[
        str, typer.Option(help="With --lift: when it ends by itself, such as 2h, or 2026-03-02T08:00Z.")
    ] = "",
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Halt the venue, an underlying, an instrument or an account at once; lifting that takes people's signatures."""
    answer(as_json, lambda: _halt(where, scope, name, reason, reduce_only, kill, lift, until, dry_run))


def _halt(
    where: Where,
    scope: str,
    name: str,
    reason: str,
    reduce_only: bool,
    kill: bool,
    lift: bool,
    until: str,
    dry_run: bool,
) -> Answer:
    if not reason:
        raise InputError("--reason", reason, "must say why")
    if kill and (lift or reduce_only):
        raise InputError("--kill", kill, "goes with neither --lift nor --reduce-only")
    if until and not lift:
        raise InputError("--until", until, "goes with --lift; what restricts holds until it is lifted")
    door = Door(where)
    body: dict[str, Any] = {"scope": scope, "name": name, "reason": reason, "dry_run": dry_run}
    if kill:
        found = door.post("/kill", **body)
    else:
        state = "reduce_only" if reduce_only else "open" if lift else "halted"
        found = door.post("/halt", **body, state=state, until=when(until))
    proposed = "proposal" in found
    if proposed and not lift:
        text = "that would relax what stands, so it was proposed:"
    else:
        text = "would be done" if dry_run else "proposed" if proposed else "done"
    return Answer({"ok": True, **found}, f"{text}\n{lines(found)}")


def lines(found: dict[str, Any]) -> str:
    """What the door answered, for people."""
    if "proposal" in found:
        from seawall.api.operations.wording import words

        row = found["proposal"]
        said = "\n".join(words(row["payload"].encode()))
        if found.get("dry_run"):
            return f"{said}\nIt would need {row['needed']} signatures; there is no such proposal yet"
        return f"{said}\nIt needs {row['needed']} signatures: seawall approve {row['id']} --key FILE"
    return "\n".join(f"{name}: {value}" for name, value in found.items() if name not in ("done", "dry_run"))


def when(text: str) -> int:
    """A moment in milliseconds, from `2h` or an ISO time with its zone; 0 for none. Raises InputError."""
    if not text:
        return 0
    duration = _DURATION.fullmatch(text)
    if duration is not None:
        return int((time.time() + int(duration[1]) * _SECONDS[duration[2]]) * 1000)
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise InputError("--until", text, "must name its zone, such as Z")
        return int(found.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InputError("--until", text, "must be like 90m, 2h, 1d or 2026-03-02T08:00Z") from error
