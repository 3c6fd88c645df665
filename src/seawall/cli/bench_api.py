"""The front door's rows: a dev venue in a process of its own, clients in this one, over loopback.

Yardsticks are taken in turn with what they measure: fdatasync of one page beside the venue's folder, and a bare echo on
the same server software, in a process of its own, under the same client with the same messages.
"""

import asyncio
import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from seawall.cli.bench_clients import (
    CANCEL_ALL,
    Process,
    bid,
    load,
    need_client,
    percentile,
    serving,
    sync_times,
    timed,
)
from seawall.cli.bench_rows import START, Row, at_least, at_most
from seawall.vocabulary.records import COMMAND

CONNECTIONS, IN_FLIGHT, EACH, ROUNDS = 32, 64, 600, 5
SUBSCRIBERS, CHANGES_PER_S, SECONDS = 500, 200, 10
REQUESTS, RECONNECTIONS = 1_000_000, 5_000
FLOOD_S: Final = 8.0
_ECHO: Final = """
import asyncio
import sys
import uvloop
from aiohttp import web
async def echo(request):
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket
async def main():
    runner = web.ServerRunner(web.Server(echo, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()
uvloop.run(main())
"""
_ECHO_GRANIAN: Final = """
import sys
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
async def app(scope, protocol):
    if scope.proto != "ws":
        return protocol.response_str(200, [], "")
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        await transport.send_str(message.data)
async def main():
    await Server(app, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.RSGI, log_enabled=False).serve()
uvloop.run(main())
"""


@contextlib.asynccontextmanager
async def _echoing(program: str) -> AsyncIterator[str]:
    """Where a bare echo listens, until the block ends."""
    from seawall.api.sockets import free_port, until_listening

    port = free_port("127.0.0.1")
    echo = subprocess.Popen([sys.executable, "-c", program, str(port)])
    try:
        await until_listening("127.0.0.1", port)
        yield f"http://127.0.0.1:{port}/ws/api/v2"
    finally:
        echo.kill()
        echo.wait()


def api_rows() -> list[Row]:
    """Every figure of the front door."""
    need_client("api")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder / "venue") as venue:
            found, capacity = asyncio.run(_orders(venue, folder))
            rows += found
            rows += asyncio.run(_subscribers(venue))
            rows += asyncio.run(_many(venue))
            rows += asyncio.run(_flood(venue, capacity))
        rows += _restart(folder / "killed")
    return rows


async def _orders(venue: Process, folder: Path) -> tuple[list[Row], float]:
    """One client waiting for each answer, then many with many in flight; also how many orders a second were taken."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        alone, syncs = [], []
        async with client.ws_connect(venue.ready["ws"], headers=venue.headers(0)) as socket:
            for _ in range(10):
                syncs += sync_times(folder / "page", 60)
                alone += [await timed(socket, bid(number)) for number in range(60)]
            await timed(socket, CANCEL_ALL)
        sync, p50 = statistics.median(syncs), statistics.median(alone)
        speeds = []
        async with _echoing(_ECHO) as own, _echoing(_ECHO_GRANIAN) as other:
            for _ in range(ROUNDS):
                bare, slow = [await load(client, url, None, CONNECTIONS, IN_FLIGHT, EACH) for url in (own, other)]
                durable = await load(client, venue.ready["ws"], venue, CONNECTIONS, IN_FLIGHT, EACH)
                speeds.append((durable, bare, slow))
    durable, bare, slow = (statistics.median(column) for column in zip(*speeds, strict=True))
    ratios = [row[0] / row[1] for row in speeds]
    worst = percentile(alone, 0.99) * 1e3
    one = f"p99 {worst:.2f} ms; asked: 2 x the fdatasync p50 of one page, {sync * 1e3:.3f} ms, + 1.5 ms"
    many = (
        f"{CONNECTIONS} sockets, {IN_FLIGHT} in flight on each: {durable:,.0f} durable orders/s; a bare echo on the"
        f" same server (aiohttp {version('aiohttp')}) under the same client: {bare:,.0f}/s; median of {ROUNDS}"
        f" alternate rounds, {min(ratios):.2f} to {max(ratios):.2f}; on granian {version('granian')}, the door's server"
        f" before: {slow:,.0f}/s, ratio {durable / slow:.2f}"
    )
    rows = [
        at_most("api: durable order, one client, p50", p50 * 1e3, "ms", 2e3 * sync + 1.5, one),
        at_least("api: durable orders / bare echo", statistics.median(ratios), "ratio", 0.4, many),
    ]
    return rows, durable


async def _subscribers(venue: Process) -> list[Row]:
    """One book, many subscribers, and one that does not read."""
    import aiohttp

    behind: list[float] = []
    heard_at = [0.0] * SUBSCRIBERS
    sent: dict[float, float] = {}
    channels = {"channels": ["book.ETH-PERPETUAL.100ms"]}
    subscribe = {"jsonrpc": "2.0", "id": 1, "method": "private/subscribe", "params": channels}

    async def listen(client: Any, number: int, stop: asyncio.Event) -> None:
        async with client.ws_connect(venue.ready["ws"], headers=venue.headers(number)) as socket:
            await socket.send_str(json.dumps(subscribe))
            asyncio.create_task(stop.wait()).add_done_callback(lambda _: asyncio.create_task(socket.close()))
            async for message in socket:
                at = time.perf_counter()
                for _, price, amount in _levels(message.data):
                    if amount in sent and price == 2000.0:
                        behind.append(at - sent[amount])
                        heard_at[number] = at

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        stop = asyncio.Event()
        listeners = [asyncio.create_task(listen(client, number, stop)) for number in range(SUBSCRIBERS)]
        cut = asyncio.create_task(_deaf(venue))
        await asyncio.sleep(3)
        async with client.ws_connect(venue.ready["ws"], headers=venue.headers(0)) as socket:
            for change in range(CHANGES_PER_S * SECONDS):
                size = 1 + change % 900
                ask = {"instrument_name": "ETH-PERPETUAL", "amount": size, "type": "limit", "price": 2000}
                order = {"jsonrpc": "2.0", "id": change, "method": "private/buy", "params": ask}
                began = time.perf_counter()
                sent[float(size)] = began
                await socket.send_str(json.dumps(order))
                number = json.loads((await socket.receive()).data)["result"]["order"]["order_id"]
                cancel = {"jsonrpc": "2.0", "id": change, "method": "private/cancel", "params": {"order_id": number}}
                await asyncio.sleep(max(0.0, 1 / CHANGES_PER_S - (time.perf_counter() - began)))
                await socket.send_str(json.dumps(cancel))
                await socket.receive()
        ended = time.perf_counter()
        await asyncio.sleep(1)
        stop.set()
        await asyncio.gather(*listeners)
    deaf = sum(at < ended - 1 for at in heard_at)  # who hears nothing is behind, too
    worst = max(behind) * 1e3 if behind and not deaf else float("inf")
    p50 = statistics.median(behind) * 1e3 if behind else float("inf")
    against = (
        f"{SUBSCRIBERS} subscribers of one book (100ms), {CHANGES_PER_S} orders/s and their cancels for {SECONDS} s;"
        f" from before the order was sent to the client's hands; p50 {p50:.1f} ms, {len(behind):,} messages;"
        f" {deaf} heard nothing of the last second"
    )
    return [
        at_most("api: the most a subscriber is behind", worst, "ms", 250, against),
        at_least(
            "api: a subscriber that does not read is cut off",
            float(await cut),
            "yes/no",
            1,
            "it asks for 12 MB and reads none",
        ),
    ]


def _levels(text: str) -> list[Any]:
    document = json.loads(text)
    data = document.get("params", {}).get("data", {})
    return [level for level in data.get("bids", []) if level[0] != "delete"] if isinstance(data, dict) else []


async def _deaf(venue: Process) -> bool:
    """Ask for much and read nothing; whether the venue cuts the connection."""
    port = int(venue.ready["http"].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ws/api/v2 HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    ask = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/get_instruments", "params": {}}).encode()
    frame = bytes([0x81, 0x80 | len(ask)]) + bytes(4) + ask
    try:
        for _ in range(300):
            writer.write(frame)
            await asyncio.wait_for(writer.drain(), 10)
            await asyncio.sleep(0.01)
        for _ in range(20):  # the socket is gone when it can no longer be written to
            await asyncio.sleep(1)
            writer.write(frame)
            await writer.drain()
    except (ConnectionError, TimeoutError):
        return True
    finally:
        writer.close()
    return False


_FLOOD: Final = """
import base64, json, os, socket, sys, time
port, count, per_s = (int(word) for word in sys.argv[1:4])
seconds, order, accounts = float(sys.argv[4]), sys.argv[5], json.loads(sys.argv[6])
text = order.encode()
frame = bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text
lot = memoryview(frame * 50)
sockets, left, sent, shed = [], {}, 0, 0
for number in range(count):
    sock = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall((
        "GET /ws/api/v2 HTTP/1.1\\r\\nHost: flood\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        f"Authorization: {accounts[number % len(accounts)]}\\r\\n"
        f"Sec-WebSocket-Key: {key}\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n").encode())
    sock.recv(4096)
    sock.setblocking(False)
    sockets.append(sock)
    left[sock] = lot[:0]
print("ready", flush=True)
began = time.perf_counter()
while (now := time.perf_counter() - began) < seconds:
    for sock in sockets:
        try:
            shed += sock.recv(1 << 18).count(b'"code":10')
        except BlockingIOError:
            pass
        if not left[sock] and sent < now * per_s:
            left[sock], sent = lot, sent + 50
        try:
            left[sock] = left[sock][sock.send(left[sock]):] if left[sock] else left[sock]
        except BlockingIOError:
            pass
    time.sleep(0.001)
print(json.dumps([sent, shed]))
"""


async def _flood(venue: Process, capacity: float) -> list[Row]:
    """Cancels of one account while three others send ten times what is taken, from a process of their own."""
    import aiohttp

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client,
        client.ws_connect(venue.ready["ws"], headers=venue.headers(0)) as socket,
    ):
        calm = await _cancels(socket, 300)
        before = _journalled(venue)
        port = venue.ready["http"].rpartition(":")[2]
        # Without margin for them: what is taken is refused, and the books stay as they are.
        order = bid(1).replace('"amount": 10', '"amount": 400000000')
        given = [port, "30", f"{10 * capacity:.0f}", f"{FLOOD_S + 2}", order]
        accounts = json.dumps([venue.headers(number)["Authorization"] for number in (1, 2, 3)])
        flood = subprocess.Popen([sys.executable, "-c", _FLOOD, *given, accounts], stdout=subprocess.PIPE, text=True)
        assert flood.stdout is not None
        flood.stdout.readline()
        await asyncio.sleep(1)
        began = time.perf_counter()
        loud: list[float] = []
        while time.perf_counter() - began < FLOOD_S:
            loud += await _cancels(socket, 20)
        sent, shed = json.loads(await asyncio.to_thread(flood.stdout.readline))
        flood.wait()
        grown = (_journalled(venue) - before) * COMMAND.itemsize
    quiet, p99 = (percentile(times, 0.99) * 1e3 for times in (calm, loud))
    what = (
        f"{len(loud)} cancels, every one acknowledged, p99 {p99:.1f} ms, {quiet:.1f} ms unloaded, while 30 connections"
        f" offered {10 * capacity:,.0f} orders/s: {sent:,} sent, {shed:,} answered by an error"
    )
    counts = f"in each copy, of {COMMAND.itemsize} that one takes: what is shed is counted, and so are refusals"
    return [
        at_most("api: cancels during a flood, p99 / unloaded p99", p99 / quiet, "ratio", 5, what),
        at_most("api: journalled in a flood, an order sent", grown / max(1, sent), "bytes", 64, counts),
    ]


async def _cancels(socket: Any, count: int) -> list[float]:
    times = []
    for number in range(count):
        await socket.send_str(bid(number, 39_000.0))
        placed = json.loads((await socket.receive()).data)
        while "result" not in placed:  # shed: the order was not taken, so there is nothing to cancel yet
            await asyncio.sleep(0.01)
            await socket.send_str(bid(number, 39_000.0))
            placed = json.loads((await socket.receive()).data)
        ask = {"order_id": placed["result"]["order"]["order_id"]}
        times.append(await timed(socket, json.dumps({"jsonrpc": "2.0", "method": "private/cancel", "params": ask})))
    return times


def _journalled(venue: Process) -> int:
    """Commands in the venue's journal, as its operations door tells."""
    operator = {"Authorization": f"Bearer {venue.ready['operators'][0]['token']}"}
    asked = urllib.request.Request(f"{venue.ready['ops']}/status", headers=operator)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return int(json.load(answer)["seq"])


async def _many(venue: Process) -> list[Row]:
    """A million requests and thousands of connections: memory after the warm-up and at the end."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def connect(count: int) -> None:
            for number in range(count):
                async with client.ws_connect(venue.ready["ws"], headers=venue.headers(number)) as socket:
                    await timed(socket, '{"jsonrpc":"2.0","id":1,"method":"public/get_time"}')

        async def ask(count: int) -> None:
            each = max(IN_FLIGHT, count // CONNECTIONS)
            await load(client, venue.ready["ws"], venue, CONNECTIONS, IN_FLIGHT, each)

        async def both(rounds: int) -> None:
            for _ in range(rounds):
                await ask(REQUESTS // 20)
                await connect(RECONNECTIONS // 20)

        await both(4)
        warm = venue.resident()
        await both(20)
        grown = 100 * (venue.resident() / warm - 1)
    what = (
        f"{REQUESTS:,} orders and {RECONNECTIONS:,} connections after a fifth of both; {warm / 2**20:.0f} MiB when warm"
    )
    return [at_most("api: memory grown", grown, "%", 5, what)]


_FILL: Final = """
import os, sys, time
import numpy as np
from seawall.api.remembering import EVERY, remember
from seawall.node import Configuration, Node
from seawall.vocabulary.records import BUY, SYSTEM_ACCOUNTS, Kind, commands
configuration = Configuration.read(__import__("pathlib").Path(sys.argv[1]))
node = Node.start(configuration, time.time_ns)
left = int(sys.argv[2])
while left:
    if left == EVERY:
        remember(configuration)
    part = commands(min(left, 50_000))
    part["kind"], part["side"], part["quantity"] = Kind.ORDER, BUY, 1
    part["account"] = SYSTEM_ACCOUNTS + np.arange(len(part)) % 4
    part["price"], part["attachment"] = 60_000 - np.arange(len(part)) % 5_000, 18
    node.submit(part, b'{"label":"abcdef"}' * len(part))
    left -= len(part)
print(node.fold.engine.counts()["orders"], flush=True)
os.kill(os.getpid(), 9)
"""


def _restart(folder: Path, orders: int = 1_000_000) -> list[Row]:
    """A venue with a large book is killed; from its new process's start until an order is answered reduce-only."""
    from seawall.api.remembering import EVERY

    with serving(folder / "journal") as venue:
        account = venue.headers(0)
    file = folder / "seawall.toml"
    file.write_text(f'data = "{folder / "journal"}"\n[trading]\nport = 0\n[operations]\nport = 0\n')
    filled = subprocess.run(
        [sys.executable, "-c", _FILL, str(file), str(orders)], stdout=subprocess.PIPE, text=True, check=False
    )
    began = time.perf_counter()
    command = [sys.executable, "-c", START, "serve", "--config", str(file), "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        query = "instrument_name=ETH-PERPETUAL&amount=1&price=2000"
        request = urllib.request.Request(f"{ready['http']}/api/v2/private/buy?{query}", headers=account)
        try:
            urllib.request.urlopen(request)
            said = "accepted"
        except urllib.error.HTTPError as error:
            said = json.loads(error.read())["error"]["data"]["control"]
        seconds = time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
    made = int(filled.stdout.split()[-1])
    what = (
        f"{made:,} open orders, the venue's memory kept {EVERY:,} commands before; start of the process, reading it and"
        f" folding the rest included; told {said}"
    )
    row = at_most("api: kill -9 to reduce-only again", seconds, "s", 10, what)
    return [row if said == "REDUCE_ONLY" else row._replace(holds=False)]
