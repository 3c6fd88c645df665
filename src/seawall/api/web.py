"""The trading door's server: aiohttp's, on the loop that all else runs on.

A message of a WebSocket is read and written without another thread, and what waits leaves in one write: see the
decision record for what that is worth.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.web_request import BaseRequest
from msgspec import UNSET

from seawall.api.errors import RpcError
from seawall.api.rpc import Call
from seawall.api.session import Session
from seawall.api.sockets import connections_most, listen, read_ahead
from seawall.node.configuration import Listening

CLOSE_S: Final = 2.0
"""How long requests that run are waited for at the end, and a peer that was told goodbye."""

IDLE_S: Final = 75.0
"""How long a connection may take for the head of a request, its first or the next."""

HANDSHAKE_S: Final = 20.0
"""How long the handshake of TLS may take."""

BREATH_S: Final = 0.1
"""Between two tries to take a connection, where one failed."""

TARGET_MAX: Final = 256 << 10
"""Bytes of a path and query: a request may be put there whole, and is answered like any other if it is too long."""

AHEAD: Final = 64 << 10
"""Bytes of one connection that may wait here to be read, about: the rest of a flood waits in its sender's hands."""

JSON: Final = {"content-type": "application/json"}
"""Headers of every answer that is ours."""

Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


class Asked:
    """A request as it came: the path and the query as they were written, and who asked."""

    __slots__ = ("client", "headers", "method", "path", "query_string")

    def __init__(self, request: BaseRequest) -> None:
        self.method, self.headers = request.method, request.headers
        self.path, _, self.query_string = request.raw_path.partition("?")
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        self.client = f"{peer[0]}:{peer[1]}" if peer else ""
        """host:port"""

    @property
    def target(self) -> str:
        """Path and query together; of a query that is empty nothing."""
        return self.path + (f"?{self.query_string}" if self.query_string else "")

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks for more than one answer."""
        return self.headers.get("upgrade", "").lower() == "websocket"


class _Connection(web.RequestHandler):
    """What is no HTTP is answered as all else is, and does not fill the log."""

    __slots__ = ("_gone",)

    def __init__(self, manager: web.Server, gone: Callable[[], None], **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._gone = gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See the base class."""
        super().connection_made(transport)
        read_ahead(transport, AHEAD)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See the base class."""
        super().connection_lost(exc)
        self._gone()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """See the base class: the answer to what could not be read, or to a defect."""
        if status == 500:
            structlog.get_logger().error("defect", error=repr(exc), exc_info=exc)
        if request.writer.output_size:
            raise ConnectionError("some of an answer has left already")
        made: list[web.Response] = []

        def answer(document: bytes, _: int) -> None:
            made.append(web.Response(body=document, status=status, headers=JSON))

        error = RpcError(11094) if status == 500 else RpcError(-32700, reason=str(message)[:200])
        Call(Session("", websocket=False), UNSET, answer).fail(error)
        made[0].force_close()
        return made[0]

    def log_exception(self, *args: Any, exc_info: Any = None, **more: Any) -> None:
        """See the base class: a body that cannot be read was answered already, and costs its connection alone."""
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*args, exc_info=exc_info, **more)


class _Server(web.Server):
    def connection(self, gone: Callable[[], None]) -> web.RequestHandler:
        """What talks to one peer; `gone` is called when it does no more."""
        return _Connection(self, gone, loop=self._loop, **self._kwargs)


class _Taken:
    """Connections that are there, from the moment they are accepted: so many in all, and of one address three in four.

    Each takes a descriptor, be it that nothing is ever said on it, not even the handshake of TLS.
    """

    def __init__(self, server: _Server, context: ssl.SSLContext | None, most: int) -> None:
        self._server, self._context, self._most = server, context, most
        self._hosts: Counter[str] = Counter()
        self._all = 0
        self._shaking: set[asyncio.Task[None]] = set()

    async def accept(self, listening: socket.socket) -> None:
        """Take who comes, or close on it where there are too many."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(listening)
            except OSError as error:  # gone again, or no descriptor left after all
                structlog.get_logger().warning("a connection could not be taken", error=repr(error))
                await asyncio.sleep(BREATH_S)
                continue
            host = str(address[0])
            if self._all >= self._most or self._hosts[host] >= max(1, self._most * 3 // 4):
                peer.close()
                continue
            self._all += 1
            self._hosts[host] += 1
            task = loop.create_task(self._shake_hands(peer, host))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _shake_hands(self, peer: socket.socket, host: str) -> None:
        there = [host]

        def gone() -> None:  # once, whoever notices first
            if there:
                self._left(there.pop())

        seconds = None if self._context is None else HANDSHAKE_S
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._server.connection, gone), peer, ssl=self._context, ssl_handshake_timeout=seconds
            )
        except BaseException as error:
            peer.close()
            gone()
            if not isinstance(error, OSError | asyncio.CancelledError):
                raise

    def _left(self, host: str) -> None:
        self._all -= 1
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]


class WebServer:
    """`serve` until `stop`."""

    def __init__(self, handler: Handler, door: Listening, descriptors: int = 1) -> None:
        """`descriptors` that a connection takes, towards a venue behind too."""
        self._handler, self._door, self._descriptors = handler, door, descriptors
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Listen until told to stop."""
        server = _Server(
            self._handler,
            access_log=None,
            keepalive_timeout=IDLE_S,
            max_line_size=TARGET_MAX,
            max_field_size=TARGET_MAX,
        )
        runner = web.ServerRunner(server, shutdown_timeout=CLOSE_S)
        await runner.setup()
        taken = _Taken(server, encryption(self._door), connections_most(self._descriptors))
        listening = listen(self._door.host, self._door.port)
        accepting = [asyncio.create_task(taken.accept(one)) for one in listening]
        await self._ended.wait()
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        for one in listening:
            one.close()
        await runner.cleanup()

    def stop(self) -> None:
        """Make `serve` end."""
        self._ended.set()


def encryption(door: Listening) -> ssl.SSLContext | None:
    """TLS as the door is configured, None where it is plain."""
    if not door.tls.on:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(door.tls.certificate, door.tls.key)
    if door.tls.mutual:
        made.load_verify_locations(door.tls.client_ca)
        made.verify_mode = ssl.CERT_REQUIRED
    return made
