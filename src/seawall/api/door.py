"""The trading door on the network: HTTP GET and POST, and WebSockets, straight on the server's RSGI.

One path serves all, JSON-RPC has its own routing, and a router in front of it would only cost: see the decision record.
Whatever is asked, the answer is a JSON-RPC document; clients take anything else for a passing fault and try again.
"""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]
from msgspec import UNSET

from seawall.api.access import host_of
from seawall.api.answering import Answering
from seawall.api.credentials import from_header
from seawall.api.errors import RpcError
from seawall.api.rpc import Call, Envelope, parse
from seawall.api.session import Session
from seawall.api.sockets import abort
from seawall.vocabulary.errors import SeawallError

MESSAGE_MAX: Final = 256 << 10
"""Bytes of one request; the dialect asks for 32 KiB at least."""

STALL_S: Final = 5.0
"""How long one message may take to leave."""

SILENT_S: Final = 600.0
"""How long a connection with cancel on disconnect may say nothing."""

PREFIX: Final = "/api/v2"
JSON: Final = [("content-type", "application/json")]
"""Headers of every answer that is ours."""


class Door:
    """The RSGI application."""

    def __init__(self, service: Answering) -> None:
        self.service = service
        self.sessions: set[Session] = set()
        self._log = structlog.get_logger()

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """One HTTP request or one WebSocket."""
        if scope.proto == "ws":
            await self._websocket(scope, protocol)
        else:
            await self._http(scope, protocol)

    # -- HTTP --------------------------------------------------------------------------------------------------------

    async def _http(self, scope: Any, protocol: Any) -> None:
        session = Session(scope.client, websocket=False)
        answered = asyncio.get_running_loop().create_future()
        call = Call(session, None, lambda body, status: answered.set_result((body, status)))
        try:
            body = await read_body(scope, protocol)
            name, request = request_of(scope, body)
            if request is not None:
                call.id = request.id
                name = request.method
            else:
                call.id = UNSET
            query = dict(parse_qsl(scope.query_string, keep_blank_values=True)) if request is None else {}
            session.identity = from_header(self.service, scope, body, name, query)
            self.serve(call, request, name, query)
        except RpcError as error:
            call.fail(error)
        document, status = await answered
        protocol.response_bytes(status, JSON, document)

    def serve(self, call: Call, request: Envelope | None, name: str, query: dict[str, str]) -> None:
        """Answer an HTTP request by what came as its body, or by its path and query."""
        if request is not None:
            self.service.serve(call, request)
        else:
            self.service.serve_query(call, name, query)

    # -- WebSocket -----------------------------------------------------------------------------------------------------

    async def _websocket(self, scope: Any, protocol: Any) -> None:
        if scope.path.rstrip("/") != "/ws" + PREFIX:
            protocol.close(404)
            return
        session = Session(scope.client, websocket=True)
        try:
            session.identity = from_header(self.service, scope, b"", "", {})  # a socket may log in by header, too
        except RpcError:
            protocol.close(401)
            return
        if status := 429 if self._crowded(scope.client) else await self.admitted(session):
            protocol.close(status)
            return
        transport = await protocol.accept()
        self.sessions.add(session)
        session.heard_at = time.monotonic()
        work = [asyncio.create_task(step) for step in self.steps(session, transport)]
        try:
            # Whichever ends first ends both: the peer went away, or we close on it, be it in the middle of a send.
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.close(1000, "gone")
            for task in work:
                task.cancel()
            for ended in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, OSError | SeawallError | ProtocolClosed):
                    self._log.error("defect", error=repr(ended), exc_info=ended)  # it costs this connection, no other
            self.sessions.discard(session)
            self.service.hub.leave(session)
            self.service.disconnected(session)
            await self.left(session)
            protocol.close(session.closing[0] if session.closing else 1000)
            if session.sending_since:
                abort(session.address)

    async def admitted(self, session: Session) -> int:
        """What is to be done before a WebSocket is accepted; the status of a refusal, else 0."""
        return 0

    def steps(self, session: Session, transport: Any) -> tuple[Coroutine[Any, Any, Any], ...]:
        """What runs as long as a connection does; whichever ends first ends all."""
        return self._receive(session, transport), self._send(session, transport), session.closed.wait()

    async def left(self, session: Session) -> None:
        """What is to be done when a connection is gone."""

    def _crowded(self, client: str) -> bool:
        """Whether an address has as many connections as it may."""
        most = self.service.rates.settings.connections
        host = host_of(client)
        return most > 0 and sum(host_of(s.address) == host for s in self.sessions) >= most

    async def _receive(self, session: Session, transport: Any) -> None:
        receive = transport.receive
        while True:
            message = await receive()
            if message.kind == 0:
                session.said_goodbye = True
                return
            session.heard_at = time.monotonic()
            data = message.data
            waiting = self.take(session, data.encode() if isinstance(data, str) else data)
            if waiting is not None:
                await waiting

    def take(self, session: Session, body: bytes) -> Awaitable[Any] | None:
        """One message of a WebSocket; what to wait for before the next is read, if anything."""
        call = Call(session, None, lambda document, _: session.push(document.decode()))
        try:
            if len(body) > MESSAGE_MAX:
                raise RpcError(-32600, reason=f"a request has at most {MESSAGE_MAX} bytes")
            request = parse(body)
        except RpcError as error:
            call.fail(error)
            return None
        call.id = request.id
        self.service.serve(call, request)
        return None

    async def _send(self, session: Session, transport: Any) -> None:
        outbox, send = session.outbox, transport.send_str
        while True:
            while outbox:
                message = outbox.popleft()
                session.waiting_bytes -= len(message)
                session.sending_since = time.monotonic()
                await send(message)
            session.sending_since = 0.0
            session.wake.clear()
            await session.wake.wait()

    def cut_stalled(self) -> int:
        """Close on every reader that has not taken a message for STALL_S; called by the clock. Returns how many.

        A connection that was to take its orders along is closed when it has been silent for SILENT_S.
        """
        now = time.monotonic()
        stalled = [session for session in self.sessions if 0 < session.sending_since < now - STALL_S]
        for session in stalled:
            session.close(1008, "too slow")
        for session in self.sessions:
            account = session.identity.account if session.identity is not None else -1
            if session.heard_at < now - SILENT_S and self.service.takes_orders_along(session, account):
                session.close(1000, "silent")
        return len(stalled)


async def read_body(scope: Any, protocol: Any) -> bytes:
    """The whole body. Raises RpcError for one that is too long."""
    length = scope.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MESSAGE_MAX:
        raise RpcError(-32600, reason=f"a request has at most {MESSAGE_MAX} bytes")
    parts, size = [], 0
    async for part in protocol:
        size += len(part)
        if size > MESSAGE_MAX:
            raise RpcError(-32600, reason=f"a request has at most {MESSAGE_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def request_of(scope: Any, body: bytes) -> tuple[str, Envelope | None]:
    """The method's name, and the request if it came as a body."""
    path = scope.path.rstrip("/")
    name = path[len(PREFIX) :].strip("/") if path.startswith(PREFIX) else path
    if scope.method == "POST":
        return name, parse(body)
    if scope.method != "GET":
        raise RpcError(-32600, reason=f"{scope.method} is not taken: GET or POST")
    return name, None
