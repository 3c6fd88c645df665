"""`seawall bundle`: what somebody who helps needs to see, in one file, without a secret in it."""

import io
import json
import tarfile
import time
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.calling import NOWHERE, Door, DryRun, Where, at_door
from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from
from seawall.cli.redaction import redacted, redacted_value
from seawall.vocabulary.errors import InputError, SeawallError

LINE_MAX = 4_096


@at_door
def bundle(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    out: Annotated[Path, typer.Option(help="The new file.")] = Path("seawall-bundle.tar.gz"),
    log: Annotated[Path | None, typer.Option(help="The venue's log, as it was kept from standard error.")] = None,
    lines: Annotated[int, typer.Option(min=0, max=100_000, help="How many of its last lines.")] = 2_000,
    where: Where = NOWHERE,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write diagnostics to one file: configuration, versions, status, metrics, log, verification; without secrets."""
    answer(as_json, lambda: _bundle(data, mirror, config, out, log, lines, where, dry_run))


def _bundle(
    data: Path | None,
    mirror: Path | None,
    config: Path | None,
    out: Path,
    log: Path | None,
    lines: int,
    where: Where,
    dry_run: bool,
) -> Answer:
    if out.exists() or not out.absolute().parent.is_dir():
        raise InputError("--out", str(out), "must be a new file in a folder that is there")
    door = Door(where) if where.url else None
    known = [door.token] if door is not None else []
    parts: dict[str, str] = {"versions.json": _versions()}
    if door is not None:
        parts |= _from_door(door, known)
    if data is not None or config is not None:
        parts |= _from_folders(data, mirror, config, known)
    if log is not None:
        parts["log.txt"] = _tail(log, lines, known)
    document = {"ok": True, "file": str(out), "parts": {name: len(text) for name, text in parts.items()}}
    listed = "\n".join(f"  {name}: {len(text):,} characters" for name, text in parts.items())
    if dry_run:
        return Answer({**document, "dry_run": True}, f"{out} would have\n{listed}")
    with tarfile.open(out, "x:gz") as archive:
        for name, text in parts.items():
            content = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"seawall-bundle/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    out.chmod(0o600)
    return Answer(document, f"{out} has\n{listed}\nread it before you send it on")


def _versions() -> str:
    import platform

    import seawall

    return json.dumps(
        {"seawall": seawall.__version__, "python": platform.python_version(), "system": platform.platform()}
    )


def _from_door(door: Door, known: list[str]) -> dict[str, str]:
    """What the venue says of itself; what it does not answer is said instead."""
    found = {}
    for path in ("status", "alerts", "parameters", "people", "proposals"):
        try:
            found[f"{path}.json"] = json.dumps(redacted_value(door.get(f"/{path}"), known), indent=1)
        except SeawallError as error:
            found[f"{path}.txt"] = redacted(f"not answered: {error}", known)
    try:
        found["metrics.txt"] = redacted(door.text("/metrics"), known, free=False)
    except SeawallError as error:
        found["metrics.txt"] = redacted(f"not answered: {error}", known)
    return found


def _from_folders(data: Path | None, mirror: Path | None, config: Path | None, known: list[str]) -> dict[str, str]:
    """The configuration, and whether the journal verifies."""
    from seawall.cli.verify import pages
    from seawall.journal import verify

    configuration = folders_from(data, mirror, config)
    found = {"configuration.toml": redacted(config.read_text() if config is not None else configuration.toml(), known)}
    try:
        checked: dict[str, Any] = pages(verify(configuration.folders)).document
    except SeawallError as error:
        checked = {"ok": False, "error": type(error).__name__, "message": str(error)}
    found["verify.json"] = json.dumps(checked, indent=1)
    return found


def _tail(log: Path, lines: int, known: list[str]) -> str:
    try:
        with log.open(errors="replace") as source:
            last = deque(source, maxlen=lines)
    except OSError as error:
        raise InputError("--log", str(log), f"cannot be read: {error}") from error
    return redacted("".join(line[:LINE_MAX] if line.endswith("\n") else line for line in last), known)
