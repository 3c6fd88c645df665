"""`seawall rules`: ask for newer rules to be in force."""

from typing import Annotated

import typer

from seawall.cli.calling import NOWHERE, Door, DryRun, Where, Why, at_door
from seawall.cli.halt import lines
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError


@at_door
def rules(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The rules to go on under.")],
    reason: Why = "",
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Propose newer rules: what commands do from then on. People must sign it, and there is no way back."""
    answer(as_json, lambda: _rules(where, number, reason, dry_run))


def _rules(where: Where, number: int, reason: str, dry_run: bool) -> Answer:
    if not reason:
        raise InputError("--reason", reason, "must say why")
    found = Door(where).post("/parameters", parameter="rules", rules=number, reason=reason, dry_run=dry_run)
    return Answer({"ok": True, **found}, f"{'would be proposed' if dry_run else 'proposed'}\n{lines(found)}")
