"""`seawall replay`: fold a journal and hold it against its own digests."""

from dataclasses import asdict
from typing import Annotated

import typer

from seawall.cli.checkpoint import Archive
from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from, load_kernels


def replay(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    engine: Annotated[str, typer.Option(help="fast, or reference: the executable specification.")] = "fast",
    archive: Archive = None,
    as_json: Json = False,
) -> None:
    """Fold a journal's commands; check the events against its digests and the snapshots in its folders against it."""
    answer(as_json, lambda: _replay(data, mirror, config, engine, archive))


def _replay(data: Data, mirror: Mirror, config: ConfigFile, engine: str, archive: Archive) -> Answer:
    from seawall.node.snapshots import replay_and_hold

    folders = folders_from(data, mirror, config).folders
    load_kernels(engine)
    result, held = replay_and_hold(folders, engine, archive=archive)
    ok = result.conserved and not held.differ
    document = {
        "ok": ok,
        "engine": engine,
        **asdict(result),
        "snapshots_held": [str(path) for path in held.hold],
        "snapshots_differ": [str(path) for path in held.differ],
    }
    differ = "".join(f"\n{path} IS NOT THE STATE THERE: start without it" for path in held.differ)
    text = (
        f"{result.commands:,} commands in {result.frames:,} frames, {result.events:,} events,"
        f" {result.commands_per_s:,.0f} commands/s ({engine})\n"
        f"digests: {result.checked:,} of the journal's own hold; snapshots: {len(held.hold)} hold{differ}\n"
        f"money and positions {'add up' if result.conserved else 'DO NOT ADD UP'}\n"
        f"digest of all events: {result.digest}"
    )
    return Answer(document, text, ok)
