"""The adapter's process: one exchange behind one door, on loopback only, until it is told to end."""

import asyncio
import contextlib
import hashlib
import hmac
import signal
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

import seawall.api.adapter.methods
from seawall.api.adapter.adapter import Adapter
from seawall.api.door import Door
from seawall.api.keystore import Key
from seawall.api.sockets import free_port, taken, until_listening
from seawall.api.web import CLOSE_S, WebServer
from seawall.node.configuration import Listening
from seawall.venues.ccxt_exchange import Exchange, said
from seawall.venues.credentials import Account
from seawall.vocabulary.errors import InputError

assert seawall.api.adapter.methods  # fills the adapter's table

HOST: Final = "127.0.0.1"
"""Whoever reaches it trades with the account, and the way is not encrypted."""

CATALOGUE_S: Final = 300.0
RIGHTS: Final = {"account": "read_write", "trade": "read_write", "wallet": "read", "block_trade": "none"}


def own_key(name: str, account: Account) -> Key:
    """The adapter's key pair: made of the exchange's secret, which it does not tell, so each start has the same."""
    text = f"seawall adapter {name} {account.key}"
    secret = hmac.new(account.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return Key(f"adapter-{name}", secret, 1, name, RIGHTS)


async def serve(
    name: str,
    account: Account,
    ready: Callable[[dict[str, Any]], None],
    *,
    port: int,
    bases: tuple[str, ...],
    urls: dict[str, str],
    sandbox: bool,
) -> None:
    """Run until a signal says to end. Raises InputError, and ccxt's errors where the exchange does not answer."""
    if port and taken(HOST, port):
        raise InputError("--port", port, "must be free: somebody listens there")
    port = port or free_port(HOST)
    exchange, key = Exchange(name, account, bases=bases, sandbox=sandbox), own_key(name, account)
    exchange.point_to(urls)
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    adapter = Adapter(exchange, key)
    door = Door(adapter)
    server = WebServer(door, Listening(HOST, port))
    try:
        await exchange.open()
        log = structlog.get_logger()
        for symbol, why in sorted(exchange.left_out.items()):
            log.info("not listed", symbol=symbol, why=why)
        serving = asyncio.create_task(server.serve())
        await until_listening(HOST, port)
        ready({
            "ready": True, "http": f"http://{HOST}:{port}", "ws": f"ws://{HOST}:{port}/ws/api/v2", "key": key.id,
            "secret": key.secret,
        })  # fmt: skip
        await _go_on(adapter, door, ended)
        await _stop(adapter, door, server, serving)
    finally:
        await exchange.close()


async def _go_on(adapter: Adapter, door: Door, ended: asyncio.Event) -> None:
    """Once a second: heartbeats, readers that do not read; now and then the catalogue."""
    log, read_at, reading = structlog.get_logger(), time.monotonic(), None
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await ended.wait()
        adapter.hub.beat()
        door.cut_stalled()
        if reading is not None and reading.done():
            if (error := reading.exception()) is not None:
                log.warning("the catalogue could not be read", why=said(error))
            reading = None
        if reading is None and time.monotonic() > read_at + CATALOGUE_S:
            read_at, reading = time.monotonic(), asyncio.create_task(adapter.exchange.read_catalogue())


async def _stop(adapter: Adapter, door: Door, server: WebServer, serving: "asyncio.Task[None]") -> None:
    await adapter.hub.stop()
    left = list(door.sessions)
    for session in left:
        session.close(1001, "the adapter stops")
    server.stop()
    _, waiting = await asyncio.wait([serving], timeout=CLOSE_S)
    if waiting:
        for session in left:
            session.cut()
        await asyncio.wait([serving], timeout=CLOSE_S)
