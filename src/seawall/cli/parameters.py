"""`seawall parameters`: versions of a running venue's margin parameters, from proposal to rollback."""

from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.calling import NOWHERE, Door, DryRun, Where, Why, at_door
from seawall.cli.halt import lines, when
from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

STEPS = ("list", "propose", "validate", "impact", "approve", "rollback", "withdraw")


@at_door
def parameters(
    step: Annotated[str, typer.Argument(metavar="STEP", help=f"One of {', '.join(STEPS)}.")] = "list",
    version: Annotated[
        int, typer.Argument(help="Of which version; proposing names none, rolling back the one in force without.")
    ] = 0,
    changes: Annotated[
        Path | None, typer.Option(help="propose: TOML file with the settings of [margin] that change.")
    ] = None,
    evidence: Annotated[str, typer.Option(help="validate: a calibration's inputs' hash, or a report.")] = "",
    effective: Annotated[
        str,
        typer.Option(help="approve: when it takes effect, such as 30h or 2026-03-02T08:00Z; else after the notice."),
    ] = "",
    reason: Why = "",
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show or change margin parameters: by an owner, another's validation, an impact run, notice, signatures."""

    def find() -> Answer:
        if step not in STEPS:
            raise InputError("STEP", step, f"must be one of {', '.join(STEPS)}")
        if step == "list":
            return _list(Door(where))
        body = {"version": version, "evidence": evidence, "effective": when(effective), "changes": _text(changes)}
        found = Door(where).post("/margin", action=step, **body, reason=reason, dry_run=dry_run)
        return Answer({"ok": True, **found}, _said(found))

    answer(as_json, find)


def _text(file: Path | None) -> str:
    try:
        return file.read_text() if file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("--changes", str(file), f"cannot be read: {error}") from error


def _said(found: dict[str, Any]) -> str:
    if "impact" in found:
        return "\n".join(_impact(found["impact"]))
    return ("would be done\n" if found.get("dry_run") else "") + lines(found)


def _list(door: Door) -> Answer:
    found = door.get("/parameters")
    rows = found["versions"]
    text = [f"version {found['in_force']} is in force"]
    for row in rows:
        text.append(f"version {row['version']} of {row['owner']}: {row['state']}; {row['reason']}")
        text += [f"    {line}" for line in row["changes"].splitlines()]
        if row["validated_by"]:
            text.append(f"    validated by {row['validated_by']}: {row['evidence']}")
        if row["impact"]:
            text += [f"    {line}" for line in _impact(row["impact"])[:3]]
    shown = {"ok": True, "in_force": found["in_force"], "margin": found["margin"], "versions": rows}
    return Answer(shown, "\n".join(text))


def _impact(impact: dict[str, Any]) -> list[str]:
    """Before and after; money is in millionths of a dollar there."""
    made = [
        f"initial margin of {impact['accounts']:,} accounts: {_pair(impact['initial'])}",
        f"maintenance margin: {_pair(impact['maintenance'])}",
        f"accounts below initial {impact['below_initial'][0]:,} before, {impact['below_initial'][1]:,} after;"
        f" below maintenance {impact['below_maintenance'][0]:,}, {impact['below_maintenance'][1]:,}",
    ]
    return made + [f"{row['account']}: excess {_pair(row['excess'])}" for row in impact["worst"]]


def _pair(row: list[str]) -> str:
    return f"{_dollars(row[0])} before, {_dollars(row[1])} after"


def _dollars(atoms: str) -> str:
    return f"{int(atoms) / 1e6:,.2f} USD"
