"""Entry point of `seawall`. To add a command: write its function in a module of its own and list it in COMMANDS."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

import seawall
from seawall.cli.adapter import adapter
from seawall.cli.approve import approve
from seawall.cli.archive import archive, retire
from seawall.cli.bench import bench
from seawall.cli.bundle import bundle
from seawall.cli.cancel_all import cancel_all
from seawall.cli.checkpoint import checkpoint, key
from seawall.cli.credit import credit
from seawall.cli.demo import demo
from seawall.cli.exposure import exposure
from seawall.cli.feed import feed
from seawall.cli.halt import halt
from seawall.cli.import_ import import_command
from seawall.cli.margin import margin
from seawall.cli.parameters import parameters
from seawall.cli.policy import policy
from seawall.cli.price import price
from seawall.cli.receipt import receipt
from seawall.cli.replay import replay
from seawall.cli.report import report
from seawall.cli.restore import restore
from seawall.cli.rules import rules
from seawall.cli.serve import serve
from seawall.cli.snapshot import snapshot
from seawall.cli.status import status
from seawall.cli.surface import surface
from seawall.cli.verify import verify

COMMANDS: Final[tuple[tuple[str, Callable[..., Any]], ...]] = (
    ("demo", demo),
    ("serve", serve),
    ("adapter", adapter),
    ("status", status),
    ("exposure", exposure),
    ("halt", halt),
    ("cancel-all", cancel_all),
    ("approve", approve),
    ("feed", feed),
    ("parameters", parameters),
    ("rules", rules),
    ("bundle", bundle),
    ("report", report),
    ("replay", replay),
    ("verify", verify),
    ("checkpoint", checkpoint),
    ("receipt", receipt),
    ("key", key),
    ("snapshot", snapshot),
    ("archive", archive),
    ("retire", retire),
    ("restore", restore),
    ("margin", margin),
    ("surface", surface),
    ("credit", credit),
    ("price", price),
    ("policy", policy),
    ("bench", bench),
    ("import", import_command),
)

app = typer.Typer(
    help="Keeps a crypto-derivatives book solvent and its execution honest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _command in COMMANDS:
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(seawall.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Keeps a crypto-derivatives book solvent and its execution honest."""


def main() -> None:
    """Run the command line; the exit status is 0 good, 1 the answer is no, 2 wrong usage."""
    app()
