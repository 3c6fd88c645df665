"""What parts of `seawall bench` that measure over the network share: processes, orders, clients, the disk's sync."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from seawall.cli.bench_rows import START
from seawall.vocabulary.errors import InputError

_PAGE: Final = b"\0" * 4096


class Process:
    """A venue's or a desk's process, what it printed when it was ready, the accounts whose keys it told."""

    def __init__(self, process: "subprocess.Popen[str]", ready: dict[str, Any]) -> None:
        self.process, self.ready = process, ready
        self.accounts: list[dict[str, str]] = ready["accounts"]

    def headers(self, number: int) -> dict[str, str]:
        """Who connection `number` is: the accounts in turn."""
        account = self.accounts[number % len(self.accounts)]
        token = base64.b64encode(f"{account['key']}:{account['secret']}".encode()).decode()
        return {"Authorization": f"Basic {token}"}

    def resident(self) -> int:
        """Bytes of memory it has."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def serving(data: Path, *options: str) -> Iterator[Process]:
    """`seawall serve --dev` in a process of its own, without a market, until the block ends."""
    command = [sys.executable, "-c", START, "serve", "--dev", "--market", "none", "--port", "0", "--data", str(data)]
    command += [*options, "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Process(process, json.loads(process.stdout.readline()))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def need_client(part: str) -> None:
    """Raise InputError where neither server nor client is installed."""
    try:
        import aiohttp  # noqa: F401
    except ImportError as error:
        raise InputError("PART", part, "needs what serves: pip install 'seawall[server]'") from error


def bid(number: int, price: float = 40_000.0) -> str:
    """A bid far below the market, as request `number`."""
    given = {
        "instrument_name": "BTC-PERPETUAL",
        "amount": 10,
        "type": "limit",
        "price": price + number % 64,
        "label": f"bench-{number}",
    }
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "private/buy", "params": given})


CANCEL_ALL: Final = json.dumps({"jsonrpc": "2.0", "id": -1, "method": "private/cancel_all", "params": {}})


async def timed(socket: Any, message: str) -> float:
    """Seconds until the answer to a message, which must be a result."""
    began = time.perf_counter()
    await socket.send_str(message)
    answer = await socket.receive()
    assert '"result"' in str(answer.data), answer
    return time.perf_counter() - began


async def load(client: Any, url: str, venue: Process | None, sockets: int, in_flight: int, each: int) -> float:
    """Messages a second over `sockets` connections with `in_flight` unanswered on each; `venue` says who they are."""
    messages = [bid(number) for number in range(each)]

    async def one(number: int) -> None:
        headers = venue.headers(number) if venue is not None else {}
        async with client.ws_connect(url, headers=headers) as socket:
            for message in messages[:in_flight]:
                await socket.send_str(message)
            for at in range(each):
                answer = await socket.receive()
                assert '"error"' not in answer.data, answer.data
                if at + in_flight < each:
                    await socket.send_str(messages[at + in_flight])

    began = time.perf_counter()
    await asyncio.gather(*[one(number) for number in range(sockets)])
    spent = time.perf_counter() - began
    if venue is not None:
        for number in range(min(sockets, len(venue.accounts))):  # the next round finds the books as this one did
            async with client.ws_connect(url, headers=venue.headers(number)) as socket:
                await timed(socket, CANCEL_ALL)
    return sockets * each / spent


def percentile(values: list[float], part: float) -> float:
    """The value that `part` of them are not above."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def sync_times(file: Path, count: int) -> list[float]:
    """Seconds of a page's write and fdatasync into a file that has its blocks."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(handle, _PAGE, 0)
        os.fsync(handle)
        found = []
        for _ in range(count):
            began = time.perf_counter()
            os.pwrite(handle, _PAGE, 0)
            os.fdatasync(handle)
            found.append(time.perf_counter() - began)
    finally:
        os.close(handle)
    return found
