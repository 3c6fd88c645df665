"""`seawall serve`: a venue on the network, until it is told to end."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.checkpoint import Passphrase
from seawall.cli.output import ConfigFile, load_kernels, send_logs_to_stderr, told
from seawall.vocabulary.errors import InputError, SeawallError

if TYPE_CHECKING:
    from seawall.node import Configuration

DEV_DATA = Path("seawall-dev")


def serve(
    dev: Annotated[
        bool, typer.Option("--dev", help="Needs no configuration: funded accounts, a simulated market.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder, of a dev venue or a desk.")] = None,
    config: ConfigFile = None,
    market: Annotated[
        str, typer.Option(help="sim: quotes and trades; none: prices move, nobody trades. With --dev.")
    ] = "sim",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Trading door; 0: any free one.")] = None,
    ops_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Operations door; 0: any free one.")] = None,
    rate_limits: Annotated[
        bool, typer.Option("--rate-limits", help="With --dev: hold clients to the dialect's rates.")
    ] = False,
    upstream: Annotated[
        str | None, typer.Option(help="Desk mode: the venue behind, e.g. https://www.deribit.com.")
    ] = None,
    enforce: Annotated[
        bool | None,
        typer.Option("--enforce/--observe", help="Desk mode: refuse orders, or only say what would be refused."),
    ] = None,
    upstream_keys: Annotated[
        Path | None, typer.Option(help="Desk mode: TOML file with our keys at the venue; kept sealed from then on.")
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Make the copy whose folder is empty anew: its disk is lost, not unmounted."),
    ] = False,
    passphrase: Passphrase = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="The line that says it is ready is JSON anyway.")] = False,
) -> None:
    """Run a venue that clients of the dialect trade on, or stand between them and one (--upstream).

    One JSON line on standard output when it is ready.
    """
    try:
        send_logs_to_stderr(log_level)
        settings = _settings(dev, data, config, market, port, ops_port, rate_limits, upstream)
        settings = _behind(settings, upstream, enforce)
        if upstream_keys is not None and not settings.upstream.url:
            raise InputError("--upstream-keys", str(upstream_keys), "needs --upstream")
        if settings.upstream.url:
            status = _serve_desk(settings, upstream_keys, passphrase, dev=dev, rebuild=rebuild)
        else:
            status = _serve(settings, market if dev else "", passphrase, rebuild=rebuild)
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    except SeawallError as error:
        typer.echo(told(error), err=True)
        raise typer.Exit(1) from error
    raise typer.Exit(status)


def _settings(
    dev: bool,
    data: Path | None,
    config: Path | None,
    market: str,
    port: int | None,
    ops_port: int | None,
    rate_limits: bool,
    upstream: str | None,
) -> "Configuration":
    import msgspec

    from seawall.node import Configuration

    if market not in ("sim", "none"):
        raise InputError("--market", market, "must be sim or none")
    if not dev and config is None and not upstream:
        raise InputError("--config", "", "give either --dev or --config FILE")
    if not dev and config is not None and data is not None:
        raise InputError("--data", str(data), "goes with --dev; with --config its file names the folders")
    if rate_limits and (config is not None or not dev):
        raise InputError("--rate-limits", rate_limits, "goes with --dev alone; the rates of --config are its file's")
    if config is not None:
        given = Configuration.read(config)
        if dev and not (upstream or given.upstream.url):
            raise InputError("--config", str(config), "goes with --dev in desk mode only")
        if dev and data is not None:
            given = msgspec.structs.replace(given, data=str(data))
        return _with_ports(given, port, ops_port)
    if not dev:  # a desk needs no file: all else has its default
        given = Configuration.of({"data": str(data)} if data is not None else {})
        return _with_ports(given, port, ops_port)
    folder = data or DEV_DATA
    settings: dict[str, Any] = {"data": str(folder), "operators": {"backup": f"{folder}-backup"}}
    # A fixed door in front, since a client keeps its address; operations take what is free unless told.
    settings["trading"] = {"port": 8080 if port is None else port}
    settings["operations"] = {"port": ops_port or 0}
    if not rate_limits:
        settings["rates"] = {"trading": {"rate": 0.0}, "other": {"rate": 0.0}, "connections": 0}
    return Configuration.of(settings)


def _with_ports(settings: "Configuration", port: int | None, ops_port: int | None) -> "Configuration":
    ports = {"trading": port, "operations": ops_port}
    return settings.with_ports({name: number for name, number in ports.items() if number is not None})


def _behind(settings: "Configuration", upstream: str | None, enforce: bool | None) -> "Configuration":
    """The same in desk mode, where one is asked for."""
    import msgspec

    given = settings.upstream
    if upstream is not None:
        given = msgspec.structs.replace(given, url=upstream)
    if enforce is not None:
        given = msgspec.structs.replace(given, enforce=enforce)
    if upstream is not None and enforce is None and not settings.upstream.url:
        raise InputError("--upstream", upstream, "needs --observe or --enforce")
    if enforce is not None and not given.url:
        raise InputError("--enforce" if enforce else "--observe", enforce, "needs --upstream")
    return msgspec.structs.replace(settings, upstream=given)


def _serve_desk(
    settings: "Configuration", keys: Path | None, passphrase: Path | None, *, dev: bool, rebuild: bool
) -> int:
    import uvloop

    load_kernels(settings.engine)

    from seawall.api.desk.serving import DeskVenue
    from seawall.cli.checkpoint import first_line
    from seawall.venues.credentials import read_credentials

    async def run() -> int:
        credentials = read_credentials(keys) if keys is not None else None
        venue = DeskVenue(settings, credentials, dev=dev, passphrase=first_line(passphrase))
        venue.rebuild = rebuild
        await venue.run(_ready)
        return 1 if venue.node.dead else 0

    return uvloop.run(run())


def _ready(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _serve(settings: "Configuration", market: str, passphrase: Path | None, *, rebuild: bool) -> int:
    import uvloop

    load_kernels(settings.engine)

    from seawall.api.serving import Venue
    from seawall.cli.checkpoint import first_line

    async def run() -> int:
        venue = Venue(settings, market, passphrase=first_line(passphrase))
        venue.rebuild = rebuild
        await venue.run(_ready)
        return 1 if venue.node.dead else 0

    return uvloop.run(run())
