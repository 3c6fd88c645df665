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
    """Fold a journal's commands and check the events against the digests it carries."""
    answer(as_json, lambda: _replay(data, mirror, config, engine, archive))


def _replay(data: Data, mirror: Mirror, config: ConfigFile, engine: str, archive: Archive) -> Answer:
    from seawall.node import replay as fold

    folders = folders_from(data, mirror, config).folders
    load_kernels(engine)
    result = fold(folders, engine, archive=archive)
    document = {"ok": result.conserved, "engine": engine, **asdict(result)}
    text = (
        f"{result.commands:,} commands in {result.frames:,} frames, {result.events:,} events,"
        f" {result.commands_per_s:,.0f} commands/s ({engine})\n"
        f"digests: {result.checked:,} of the journal's own hold\n"
        f"money and positions {'add up' if result.conserved else 'DO NOT ADD UP'}\n"
        f"digest of all events: {result.digest}"
    )
    return Answer(document, text, result.conserved)
