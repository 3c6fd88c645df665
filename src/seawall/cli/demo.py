"""`seawall demo`: the story in a minute."""

from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.output import Answer, Json, answer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the journal and the report; must be empty or new.")] = Path(
        "demo-out"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 1,
    engine: Annotated[str, typer.Option(help="Engine of the venue: fast or reference.")] = "fast",
    as_json: Json = False,
) -> None:
    """A market trades, orders are refused, the writer is killed, disks rot and are rolled back; each claim checked."""
    answer(as_json, lambda: _demo(out, seed, engine, as_json))


def _demo(out: Path, seed: int, engine: str, as_json: bool) -> Answer:
    from seawall.cli.demonstration import tell

    return tell(out, seed, engine, as_json)
