"""The door of desk mode: the same paths as the venue's, and behind them the venue."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from seawall.api.desk.plain import check_document, check_name, check_query, swapped, without_token
from seawall.api.desk.tunnel import LOGIN, Tunnel, token_of
from seawall.api.door import PREFIX, Door
from seawall.api.errors import RpcError
from seawall.api.rpc import Call, Envelope, parse
from seawall.api.session import Session
from seawall.api.web import Asked
from seawall.venues.connection import NotSent, Unreachable, VenueError, once

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk

Headers = list[tuple[str, str]]

FORWARD_S: Final = 10.0
"""How long the venue may take to answer an order that was weighed (enforce); no longer than an order may be without an
answer, so that none leaves after it was given up."""

CONNECT_S: Final = 0.5
"""How long a connection to the venue may take for such an order: what it was weighed by is old after that."""

FORWARD_ELSE_S: Final = 300.0
"""The same of all else: as long as clients wait. Who only passes things on gives up after them, not before."""

CONNECT_ELSE_S: Final = 10.0
"""A name to be looked up, TCP and TLS take a second from far away, and more where a packet is lost."""

_DROPPED: Final = frozenset(
    (
        "host", "authorization", "content-length", "accept-encoding", "connection", "keep-alive", "te", "trailer",
        "transfer-encoding", "upgrade", "expect",
    )
)  # fmt: skip
"""Headers that are this connection's or Seawall's; so are those of proxies, and those that `connection` names."""

_DECODED: Final = frozenset(("gzip", "deflate", "br", "zstd"))
"""Encodings of a body that the server has undone when it is read."""

_TOLD: Final = frozenset(
    ("content-type", "date", "retry-after", "cache-control", "etag", "last-modified", "expires", "x-request-id")
)
"""Headers of an answer that a bot is told, beside those about rates. None that would lead it around Seawall (location,
alt-svc), or that are between the venue and us (cookies, connections, encodings)."""


class DeskDoor(Door):
    """What the server calls for each request of a bot."""

    def __init__(self, desk: "Desk") -> None:
        super().__init__(desk.service)
        self.desk = desk
        self._tunnels: dict[Session, Tunnel] = {}

    # -- WebSocket -----------------------------------------------------------------------------------------------------

    async def admitted(self, session: Session) -> int:
        """Open the tunnel; the status of a refusal, else 0."""
        tunnel = Tunnel(self.desk, session)
        try:
            await tunnel.open()
        except Unreachable:
            return 503
        try:
            if session.identity is not None:
                await tunnel.logged_in(session.identity)
        except (Unreachable, VenueError, RpcError):
            await tunnel.close()
            return 503
        self._tunnels[session] = tunnel
        return 0

    def steps(self, session: Session, socket: web.WebSocketResponse) -> tuple[Coroutine[Any, Any, Any], ...]:
        """What runs as long as the connection does."""
        tunnel = self._tunnels[session]
        return (*super().steps(session, socket), tunnel.read(), tunnel.write())

    async def left(self, session: Session) -> None:
        """A connection is gone, if it ever was."""
        if tunnel := self._tunnels.pop(session, None):
            await tunnel.close()

    def take(self, session: Session, body: bytes) -> Awaitable[Any] | None:
        """One message of a bot; waits while too much is on its way to the venue."""
        tunnel = self._tunnels[session]
        tunnel.from_bot(body.decode(errors="replace"))
        return tunnel.room()

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    def check(
        self, asked: Asked, name: str, body: bytes, pairs: list[tuple[str, str]], request: Envelope | None
    ) -> None:
        """What is forbidden is refused however it is written; in enforce a request must read one way only."""
        if not asked.target.startswith("/"):  # a whole address, say: put behind the venue's, it may be another's
            raise RpcError(-32600, reason="a request is put to a path, which begins with /")
        if "#" in asked.target:  # what follows is sent to nobody, so the gate must not read it either
            raise RpcError(-32600, reason="a path and a query have no #")
        self.desk.gate.check(body.decode(errors="replace"), asked.target)
        if self.desk.gate.enforce:
            _check_plain(asked, name, body, pairs, request)

    async def pass_on(
        self, asked: Asked, call: Call, body: bytes, name: str, query: dict[str, str]
    ) -> web.Response | None:
        """The venue's answer; None for a login, and for what the gate answered."""
        if name in LOGIN:
            return None
        identity, began = call.session.identity, time.perf_counter()
        headers = _passed(asked.headers)
        target = asked.target
        try:
            own = query.get("access_token", "")
            if not own and b'"access_token"' in body and (own := token_of(parse(body))):
                identity = call.session.identity = self.service.access.bearer(own, time.time(), asked.client)
            if identity is not None:
                token = await self.desk.token(identity, name)
                headers.append(("Authorization", f"Bearer {token}"))
                if own and own in query.values():
                    target = without_token(target, own)
                elif own:
                    body = swapped(body.decode(), own, token).encode()
            url = self._address(target)
            sent = await self.desk.gate.take_http(call, name, body, query)
            if call.answered:
                return None
        except (Unreachable, VenueError) as error:
            raise RpcError(13028, reason=f"the venue: {error}") from None
        if sent is not None:
            self.desk.latencies.add(began)
        try:
            answer = await self._exchange(asked.method, url, headers, body, weighed=sent is not None)
        except NotSent as error:
            if sent is not None:
                sent.unsent()
            raise RpcError(13028, reason=f"not sent, the venue: {error}") from None
        except Unreachable as error:
            if sent is None:
                raise RpcError(13028, reason=f"the venue: {error}") from None
            sent.lost(str(error))
            raise RpcError(13888, reason=f"outcome unknown: {error}") from None
        except asyncio.CancelledError:  # Seawall stops
            if sent is not None:
                sent.lost("Seawall stopped before the answer came")
            raise
        if sent is not None:
            assert isinstance(answer.body, bytes)
            sent.heard(answer.body)
        return answer

    def _address(self, target: str) -> URL:
        """Where a request goes, with the venue's token: to the venue and nobody else. Raises RpcError."""
        upstream = self.desk.upstream.http
        try:
            url = URL(upstream + target, encoded=True)
            there = url.origin() == URL(upstream).origin()
        except ValueError:  # no address at all
            there = False
        if not there:
            raise RpcError(-32600, reason="a request is put to a path of the venue")
        return url

    async def _exchange(
        self, method: str, url: URL, headers: Headers, body: bytes, *, weighed: bool = False
    ) -> web.Response:
        """The venue's answer; `weighed`: to an order. Raises Unreachable, NotSent."""
        timeout = aiohttp.ClientTimeout(total=FORWARD_ELSE_S, connect=CONNECT_ELSE_S)
        if weighed and self.desk.gate.enforce:
            timeout = aiohttp.ClientTimeout(total=FORWARD_S, connect=CONNECT_S)
        try:
            async with self.desk.http.request(
                method, url, data=body or None, headers=headers, timeout=timeout, allow_redirects=False,
                skip_auto_headers=("Content-Type",), middlewares=(once,),
            ) as response:  # fmt: skip
                told = _told(response.headers)
                return web.Response(body=await response.read(), status=response.status, headers=told)
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Unreachable(type(error).__name__) from error  # no more: its text may have the whole address


def _passed(headers: Mapping[str, str]) -> Headers:
    """Headers of a bot's request that go to the venue."""
    named = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    return [
        (name, value)
        for name, value in headers.items()
        if not (low := name.lower()).startswith("proxy-")
        and low not in _DROPPED
        and low not in named
        and not (low == "content-encoding" and value.strip().lower() in _DECODED)
    ]


def _told(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Headers of the venue's answer that go to the bot."""
    rows = [(name, value) for name, value in headers.items() if (low := name.lower()) in _TOLD or "ratelimit" in low]
    return CIMultiDict(rows)


def _check_plain(asked: Asked, name: str, body: bytes, pairs: list[tuple[str, str]], request: Envelope | None) -> None:
    """Raise RpcError for a request that might be read in two ways, by where it is put or by what it says."""
    check_name(name)
    check_query(pairs)
    paths = {f"{PREFIX}/{name}"} | ({PREFIX} if request is not None else set())
    if asked.path.rstrip("/") not in paths or (request is not None and pairs):
        raise RpcError(-32600, reason=f"{name} must be put to its own path, or to {PREFIX}, in one way only")
    if request is not None:
        check_document(body)
    elif body:
        raise RpcError(-32600, reason="a GET has no body")
