"""A wire between a desk and its venue that fails as it is told to, and remembers each order that went over it.

The faults, on every connection, in both directions unless said:

    delay      a message comes up to LATE_S late, and all behind it
    request    a message to the venue is lost
    answer     a message from the venue that answers something is lost
    news       a message from the venue that answers nothing is lost
    duplicate  a message from the venue comes twice
    reorder    a message from the venue comes after the next one, or LATE_S late where there is none
    cut there  the first half of a message's frame reaches the venue, then the connection is gone on both sides
    cut here   the same towards the desk
    refuse     the connection is gone, and new ones are refused for REFUSED_S

A WebSocket runs over TCP, which loses, doubles and swaps no single message of a connection that goes on, so the second
to the sixth are harsher than any network. What TCP can never do to an order is place it twice: no message to the venue
is doubled, or held back beyond LATE_S. Over HTTP a lost request or answer, and either cut, is a connection that ends.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from seawall.venues.connection import once

LATE_S = 0.4
REFUSED_S = 1.0
ORDERS = ("private/buy", "private/sell", "private/edit")
OFTEN = {
    "delay": 0.2, "request": 0.04, "answer": 0.04, "news": 0.2, "duplicate": 0.3, "reorder": 0.3, "cut there": 0.01,
    "cut here": 0.01, "refuse": 0.01,
}  # fmt: skip
"""How likely a message is to be met by a fault."""
TEXT = aiohttp.WSMsgType.TEXT


class Cut(Exception):
    """The connection is to end."""


@dataclass
class Passed:
    """An order or edit that the desk sent: when it came, whether it went on whole, what the venue answered."""

    number: str
    method: str
    params: dict
    at_ns: int = field(default_factory=time.time_ns)
    forwarded: bool = False
    answer: dict | None = None


class FaultyWire:
    """`url` is the desk's venue. `fault` is what goes wrong, None for nothing; `passed` all orders, as they came."""

    def __init__(self, venue_url, seed):
        self.venue_url, self.fault = venue_url, None
        self.rng = random.Random(seed)
        self.often = dict(OFTEN)
        self.passed = []
        self.done = 0
        """Faults so far."""
        self._by_number = {}
        self._refused_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._ended = asyncio.Event()
        app = web.Application(client_max_size=0)
        app.router.add_get("/ws/api/v2", self._websocket)
        app.router.add_route("*", "/{path:.*}", self._http)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as self._session:
            self._ready.set()
            await self._ended.wait()
        await runner.cleanup()

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def _strikes(self, *faults):
        """Whether the fault is one of these, and now is when; which."""
        fault = self.fault
        if fault in faults and self.rng.random() < self.often[fault]:
            self.done += 1
            return fault
        return None

    def _late_s(self):
        return self.rng.random() * LATE_S if self._strikes("delay") else 0.0

    async def _messages(self, source):
        """What a WebSocket says, late or not, in its order; nothing is later than LATE_S."""
        queue = asyncio.Queue()

        async def pump():
            async for message in source:
                if message.type == TEXT:
                    queue.put_nowait((time.monotonic() + self._late_s(), message.data))
            queue.put_nowait((0.0, None))

        pumping = asyncio.create_task(pump())
        try:
            while True:
                due, text = await queue.get()
                if text is None:
                    return
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                yield text
        finally:
            pumping.cancel()

    def _refuse(self):
        self._refused_until = time.monotonic() + REFUSED_S

    # -- orders --------------------------------------------------------------------------------------------------------

    def _seen(self, number, method, params):
        if method not in ORDERS:
            return None
        passed = Passed(number, method, params)
        self.passed.append(passed)
        self._by_number[number] = passed
        return passed

    def _answered(self, number, answer):
        passed = self._by_number.get(number)
        if passed is not None and passed.answer is None:
            passed.answer = answer

    # -- WebSocket -----------------------------------------------------------------------------------------------------

    async def _websocket(self, request):
        here = request.transport
        if time.monotonic() < self._refused_until:
            return _gone(here)
        try:
            there = await self._session.ws_connect(f"{self.venue_url}/ws/api/v2", max_msg_size=0)
        except (aiohttp.ClientError, OSError):
            return _gone(here)
        desk = web.WebSocketResponse(max_msg_size=0)
        await desk.prepare(request)
        away = there._response.connection.transport
        tasks = [
            asyncio.create_task(self._to_venue(desk, there, away)),
            asyncio.create_task(self._to_desk(there, desk, here)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            if any(isinstance(end, Cut) for end in ended):
                for transport in (here, away):
                    _reset(transport, hard=self.rng.random() < 0.5)
            await there.close()
            await desk.close()
        return desk

    async def _to_venue(self, desk, there, away):
        async for text in self._messages(desk):
            request = json.loads(text)
            passed = self._seen(request.get("id"), request.get("method"), request.get("params"))
            if self._strikes("request"):
                continue
            if self._strikes("cut there"):
                away.write(_half(text, masked=True))
                await asyncio.sleep(0)
                raise Cut
            if self._strikes("refuse"):
                self._refuse()
                raise Cut
            if passed is not None:
                passed.forwarded = True
            await there.send_str(text)

    async def _to_desk(self, there, desk, here):
        held = []

        async def release():
            await asyncio.sleep(LATE_S)  # where none follows
            with contextlib.suppress(ConnectionError):
                while held:
                    await desk.send_str(held.pop())

        releases = set()
        async for text in self._messages(there):
            said = json.loads(text)
            news = said.get("id") is None
            if not news:
                self._answered(said["id"], said)
            if self._strikes("news" if news else "answer"):
                continue
            if self._strikes("cut here"):
                here.write(_half(text, masked=False))
                await asyncio.sleep(0)
                raise Cut
            if not held and self._strikes("reorder"):
                held.append(text)
                releases.add(asyncio.create_task(release()))
                continue
            for _ in range(2 if self._strikes("duplicate") else 1):
                await desk.send_str(text)
            while held:
                await desk.send_str(held.pop())

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    async def _http(self, request):
        here = request.transport
        body = await request.read()
        number, method = request.headers.get("X-Request"), request.path.removeprefix("/api/v2/")
        params = dict(request.query)
        if body:
            asked = json.loads(body)
            number, method, params = asked.get("id"), asked["method"], asked.get("params")
        passed = self._seen(number, method, params)
        await asyncio.sleep(self._late_s())
        if time.monotonic() < self._refused_until or self._strikes("request", "cut there"):
            return _gone(here)
        if self._strikes("refuse"):
            self._refuse()
            return _gone(here)
        if passed is not None:
            passed.forwarded = True
        headers = {key: value for key, value in request.headers.items() if key in ("Authorization", "Content-Type")}
        try:
            async with self._session.request(
                request.method,
                self.venue_url + request.path_qs,
                data=body or None,
                headers=headers,
                middlewares=(once,),
            ) as response:
                status, document = response.status, await response.read()
        except Exception:  # the venue was killed meanwhile: whatever it was, the desk sees a connection that ends
            return _gone(here)
        self._answered(number, json.loads(document))
        await asyncio.sleep(self._late_s())
        if cut := self._strikes("answer", "cut here"):
            if cut == "cut here":
                here.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(document)
                )
                here.write(document[: len(document) // 2])
                await asyncio.sleep(0)
            return _gone(here)
        return web.Response(body=document, status=status, content_type="application/json")


def _half(text, *, masked):
    """The first half of a text's frame."""
    data = text.encode()
    bit = 0x80 if masked else 0
    frame = struct.pack("!BBQ", 0x81, 0x7F | bit, len(data))
    half = data[: len(data) // 2]
    if masked:
        mask = os.urandom(4)
        half = mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(half))
    return frame + half


def _reset(transport, *, hard):
    """End a connection: in order of TCP, or with a reset that takes along what the other side has not read."""
    if transport is None or transport.is_closing():
        return
    if hard:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _gone(transport):
    _reset(transport, hard=False)
    return web.Response(status=502)
