"""The trading door on the network: HTTP GET and POST, and WebSockets, straight on aiohttp's server.

One path serves all, JSON-RPC has its own routing, and a router in front of it would only cost: see the decision record.
Whatever is asked, the answer is a JSON-RPC document; clients take anything else for a passing fault and try again.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import ClientPayloadError, WSMsgType, web
from aiohttp.web_request import BaseRequest
from msgspec import UNSET

from seawall.api.access import counted
from seawall.api.answering import Answering
from seawall.api.credentials import from_header
from seawall.api.errors import RpcError
from seawall.api.rpc import Call, Envelope, id_in, parse
from seawall.api.session import GONE, OUTBOX_BYTES, Session
from seawall.api.web import CLOSE_S, JSON, Asked
from seawall.vocabulary.errors import SeawallError

MESSAGE_MAX: Final = 256 << 10
"""Bytes of one request; the dialect asks for 32 KiB at least."""

STALL_S: Final = 5.0
"""How long one message may take to leave; a large one so long for each OUTBOX_BYTES of it."""

SILENT_S: Final = 600.0
"""How long a connection with cancel on disconnect may say nothing."""

PREFIX: Final = "/api/v2"
BODY_S: Final = 30.0
"""How long a body may take to come."""

TURN: Final = 4
"""Messages of one connection that are taken before the others have a turn: a flood must not keep a cancel waiting."""


class Door:
    """What the server calls for each request."""

    def __init__(self, service: Answering) -> None:
        self.service = service
        self.sessions: set[Session] = set()
        self.draining = False
        """The venue stops: nothing more is taken from WebSockets, and no new one."""
        self._log = structlog.get_logger()

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        """One HTTP request or one WebSocket."""
        asked = Asked(request)
        if asked.wants_websocket:
            return await self._websocket(asked, request)
        return await self._http(asked, request)

    # -- HTTP --------------------------------------------------------------------------------------------------------

    async def _http(self, asked: Asked, came: BaseRequest) -> web.StreamResponse:
        session = Session(asked.client, websocket=False)
        answered = asyncio.get_running_loop().create_future()
        call = Call(session, None, lambda body, status: answered.set_result((body, status)))
        try:
            body = await read_body(came)
            name, request = request_of(asked, body)
            pairs = parse_qsl(asked.query_string, keep_blank_values=True)
            query = dict(pairs) if request is None else {}
            call.id, name = (UNSET, name) if request is None else (request.id, request.method)
            self.check(asked, name, body, pairs, request)
            session.identity = from_header(self.service, asked, body, name, query)
            passed_on = await self.pass_on(asked, call, body, name, query)
            if passed_on is not None:
                return passed_on
            if not call.answered:
                self.serve(call, request, name, query)
        except RpcError as error:
            call.fail(error)
        document, status = await answered
        told = web.Response(body=document, status=status, headers=JSON)
        if not came.content.is_eof():  # where the next request begins is not known
            told.force_close()
        return told

    def check(
        self, asked: Asked, name: str, body: bytes, pairs: list[tuple[str, str]], request: Envelope | None
    ) -> None:
        """Raise RpcError for an HTTP request that is not to be looked at any further, whoever asks."""
        if name not in self.service.methods:
            raise RpcError(-32601, name=name[:100])

    async def pass_on(
        self, asked: Asked, call: Call, body: bytes, name: str, query: dict[str, str]
    ) -> web.Response | None:
        """The answer of somebody else to an HTTP request; None where it is answered here, or was already."""
        return None

    def serve(self, call: Call, request: Envelope | None, name: str, query: dict[str, str]) -> None:
        """Answer an HTTP request by what came as its body, or by its path and query."""
        if request is not None:
            self.service.serve(call, request)
        else:
            self.service.serve_query(call, name, query)

    # -- WebSocket -----------------------------------------------------------------------------------------------------

    async def _websocket(self, asked: Asked, request: BaseRequest) -> web.StreamResponse:
        if asked.path.rstrip("/") != "/ws" + PREFIX:
            return _refused(404, RpcError(-32601, name=asked.path[:100]))
        session = Session(asked.client, websocket=True)
        try:
            session.identity = from_header(self.service, asked, b"", "", {})  # a socket may log in by header, too
        except RpcError as error:
            return _refused(401, error)
        if self.draining:
            return _refused(503, RpcError(13028, reason="the venue stops"))
        if self._crowded(asked.client):
            return _refused(429, RpcError(10028, reason="an address has no more connections than it has now"))
        # it answers a goodbye when the place is free again: who connects anew on hearing it is not one too many
        socket = web.WebSocketResponse(compress=False, timeout=CLOSE_S, autoclose=False)
        session.heard_at = time.monotonic()
        session.transport = request.transport
        self.sessions.add(session)
        try:
            if status := await self.admitted(session):
                return _refused(status, RpcError(13028, reason="the venue upstream"))
            await socket.prepare(request)
            await self._converse(session, socket)
        except web.HTTPException as refused:  # no handshake of a WebSocket
            return _refused(refused.status, RpcError(-32600, reason="no handshake of a WebSocket"))
        except ConnectionError:
            self._log.debug("a connection ended in its handshake", address=session.address)
        finally:
            session.close(*GONE)
            self.sessions.discard(session)
            self.service.hub.leave(session)
            self.service.disconnected(session)
            await self.left(session)
        assert session.closing is not None
        if session.closing != GONE:
            self._log.info("a connection was closed", address=session.address, why=session.closing[1])
        if session.sending_since:
            session.cut()
        elif socket.prepared:
            await socket.close(code=session.closing[0])
        session.transport = None
        return socket

    async def _converse(self, session: Session, socket: web.WebSocketResponse) -> None:
        """Whichever ends first ends both: the peer went away, or we close on it, be it in the middle of a send."""
        work = [asyncio.create_task(step) for step in self.steps(session, socket)]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            for ended in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, OSError | SeawallError):
                    self._log.error("defect", error=repr(ended), exc_info=ended)  # it costs this connection, no other

    async def admitted(self, session: Session) -> int:
        """What is to be done before a WebSocket is accepted; the status of a refusal, else 0."""
        return 0

    def steps(self, session: Session, socket: web.WebSocketResponse) -> tuple[Coroutine[Any, Any, Any], ...]:
        """What runs as long as a connection does; whichever ends first ends all."""
        return self._receive(session, socket), self._send(session, socket), session.closed.wait()

    async def left(self, session: Session) -> None:
        """What is to be done when a connection is gone."""

    def _crowded(self, client: str) -> bool:
        """Whether an address has as many connections as it may."""
        most = self.service.rates.settings.connections
        host = counted(client)
        return most > 0 and sum(counted(s.address) == host for s in self.sessions) >= most

    async def _receive(self, session: Session, socket: web.WebSocketResponse) -> None:
        receive, texts = socket.receive, (WSMsgType.TEXT, WSMsgType.BINARY)
        for taken in itertools.count():
            if taken % TURN == 0:
                await asyncio.sleep(0)  # `receive` waits only where nothing has come yet
            message = await receive()
            if message.type not in texts:
                session.said_goodbye = message.type == WSMsgType.CLOSE
                return
            if self.draining:
                await session.closed.wait()
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
            call.id = id_in(body) if len(body) <= MESSAGE_MAX else None
            call.fail(error)
            return None
        call.id = request.id
        self.service.serve(call, request)
        return None

    async def _send(self, session: Session, socket: web.WebSocketResponse) -> None:
        outbox, send = session.outbox, socket.send_str
        while True:
            while outbox:
                message = outbox.popleft()
                session.sent(message)
                session.sending_since = time.monotonic() + len(message) // OUTBOX_BYTES * STALL_S
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


def _refused(status: int, error: RpcError) -> web.Response:
    """The answer to a WebSocket's handshake that is not taken."""
    made: list[bytes] = []
    Call(Session("", websocket=False), None, lambda document, _: made.append(document)).fail(error)
    return web.Response(body=made[0], status=status, headers=JSON)


async def read_body(request: BaseRequest) -> bytes:
    """The whole body. Raises RpcError for one that is too long, or does not come."""
    if (request.content_length or 0) > MESSAGE_MAX:
        raise RpcError(-32600, reason=f"a request has at most {MESSAGE_MAX} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                size += len(part)
                if size > MESSAGE_MAX:
                    raise RpcError(-32600, reason=f"a request has at most {MESSAGE_MAX} bytes")
                parts.append(part)
    except (ClientPayloadError, web.RequestPayloadError, TimeoutError) as error:  # cut, slow, or in no such encoding
        raise RpcError(-32700, reason=f"the body did not come whole: {error!r}"[:200]) from None
    return b"".join(parts)


def request_of(asked: Asked, body: bytes) -> tuple[str, Envelope | None]:
    """The method's name, and the request if it came as a body."""
    path = asked.path.rstrip("/")
    name = path[len(PREFIX) :].strip("/") if path.startswith(PREFIX) else path
    if asked.method == "POST":
        return name, parse(body)
    if asked.method != "GET":
        raise RpcError(-32600, reason=f"{asked.method} is not taken: GET or POST")
    return name, None
