"""`seawall cancel-all`: cancel the open orders of a scope, in any state of the venue."""

from seawall.cli.calling import NOWHERE, Door, DryRun, Name, Scope, Where, Why, at_door
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError


@at_door
def cancel_all(
    scope: Scope,
    name: Name = "",
    reason: Why = "",
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Cancel all open orders of the venue, an underlying, an instrument or an account; it stays as open as it is."""
    answer(as_json, lambda: _cancel_all(where, scope, name, reason, dry_run))


def _cancel_all(where: Where, scope: str, name: str, reason: str, dry_run: bool) -> Answer:
    if not reason:
        raise InputError("--reason", reason, "must say why")
    found = Door(where).post("/cancel-all", scope=scope, name=name, reason=reason, dry_run=dry_run)
    what = f"{scope} {name}".strip()
    text = f"{what}: {found['orders']:,} open orders {'would be' if dry_run else 'were to be'} cancelled"
    return Answer({"ok": True, **found}, text if dry_run else f"{text}, from command {found['seq']:,} on")
