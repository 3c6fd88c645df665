"""`seawall adapter`: an exchange that ccxt speaks, as a venue of the dialect for a desk to stand before."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.output import send_logs_to_stderr
from seawall.vocabulary.errors import InputError

BASES = ["BTC", "ETH"]


def adapter(
    exchange: Annotated[str, typer.Argument(help="As ccxt calls it, e.g. binanceusdm, bybit, okx.")],
    keys: Annotated[
        Path, typer.Option(help="TOML file, for its owner only: one table with key and secret, password, uid.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="On loopback; 0: any free one.")] = 0,
    base: Annotated[list[str], typer.Option(help="Underlying to list; may be repeated.")] = BASES,
    url: Annotated[list[str] | None, typer.Option(help="NAME=URL: another address, by ccxt's name for it.")] = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="The exchange's test network.")] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="The line that says it is ready is JSON anyway.")] = False,
) -> None:
    """Speak the dialect for one account at an exchange, until told to end.

    One JSON line on standard output when it is ready, with the key that a desk logs in with.
    """
    try:
        send_logs_to_stderr(log_level)
        _run(exchange, keys, port, tuple(base), _urls(url or []), sandbox=sandbox)
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error


def _urls(given: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for name, mark, url in pairs:
        if not mark or "://" not in url:
            raise InputError("--url", name + mark + url, "must be like rest=https://host")
    return {name: url for name, _, url in pairs}


def _run(name: str, keys: Path, port: int, bases: tuple[str, ...], urls: dict[str, str], *, sandbox: bool) -> None:
    import uvloop

    from seawall.venues.credentials import read_accounts

    accounts = read_accounts(keys)
    if len(accounts) != 1:
        raise InputError("--keys", str(keys), "must have one account: an adapter is for one")
    if importlib.util.find_spec("ccxt") is None:
        raise InputError("EXCHANGE", name, "needs ccxt: pip install 'seawall[server,ccxt]'")
    from seawall.api.adapter.serving import serve

    (account,) = accounts.values()
    try:
        uvloop.run(serve(name, account, _ready, port=port, bases=bases, urls=urls, sandbox=sandbox))
    except Exception as error:
        import ccxt

        if not isinstance(error, ccxt.BaseError):
            raise
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error


def _ready(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
