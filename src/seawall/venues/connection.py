"""Connections to a venue of the dialect: WebSockets that hand on what they hear as it came, and plain requests.

What is asked on Seawall's own behalf carries ids of its own, and its answers are kept from whoever else listens.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import aiohttp
import msgspec

from seawall.venues.credentials import Credentials, Upstream
from seawall.vocabulary.errors import SeawallError

MESSAGE_MAX: Final = 64 << 20
"""Bytes of one message of a venue: its whole catalogue may come as one."""

ANSWER_S: Final = 10.0
"""How long an answer to a question of ours may take."""

ALIVE_S: Final = 10.0
"""How often a connection is asked whether it is alive; silence for half of that again ends it."""

_encode: Final = msgspec.json.Encoder().encode


class VenueError(SeawallError):
    """A venue answered with an error."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {code} {message}" + (f" {data}" if data else ""))
        self.method, self.code, self.message, self.data = method, code, message, data


class Unreachable(SeawallError):
    """No answer: the venue cannot be reached, or its connection broke. What it did with a request is unknown."""


class NotSent(Unreachable):
    """No connection to the venue came about, so nothing of a request left."""


class _Answer(msgspec.Struct):
    id: Any = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None


_answer: Final = msgspec.json.Decoder(_Answer)


class Connection:
    """One WebSocket. `hear` gets each message that is not the answer to a question of ours; `lost` is called once."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, hear: Callable[[str], None]) -> None:
        """Use `open`."""
        self._socket, self._hear = socket, hear
        self._asked: dict[str, tuple[str, asyncio.Future[Any]]] = {}
        self._numbers = itertools.count(1)
        self._mark = f"seawall-{secrets.token_hex(8)}-"
        """Of ids that nobody can guess: whoever else asks here must not have our answers, with tokens in them."""
        self.heard_at = time.monotonic()

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, upstream: Upstream, hear: Callable[[str], None]) -> Self:
        """A connection; run `read` beside it. Raises Unreachable."""
        try:
            async with asyncio.timeout(ANSWER_S):
                socket = await http.ws_connect(
                    upstream.websocket, max_msg_size=MESSAGE_MAX, heartbeat=ALIVE_S, autoping=True
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{upstream.websocket}: {error!r}") from error
        return cls(socket, hear)

    async def read(self) -> None:
        """Hand on messages until the connection has ended; then every question that waits is told so."""
        try:
            async for message in self._socket:
                self.heard_at = time.monotonic()
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
                elif message.type == aiohttp.WSMsgType.BINARY:
                    self._take(message.data.decode())
        finally:
            asked, self._asked = self._asked, {}
            why = self._socket.exception() or self._socket.close_code
            for method, waiting in asked.values():
                if not waiting.done():
                    waiting.set_exception(Unreachable(f"{method}: the connection ended ({why})"))

    def _take(self, text: str) -> None:
        if self._mark in text:
            answer = _answer.decode(text)
            if isinstance(answer.id, str) and answer.id.startswith(self._mark):
                method, waiting = self._asked.pop(answer.id, ("", None))  # none for one that came too late
                if waiting is not None and not waiting.done():
                    try:
                        waiting.set_result(_result(method, answer))
                    except VenueError as error:
                        waiting.set_exception(error)
                return
        self._hear(text)

    async def send(self, text: str) -> None:
        """Send one message. Raises Unreachable."""
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(repr(error)) from error

    async def say(self, method: str, /, **parameters: Any) -> None:
        """Say something that is not answered, or whose answer nobody waits for. Raises Unreachable."""
        number = f"{self._mark}{next(self._numbers)}"
        await self.send(_encode({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}).decode())

    async def ask(self, method: str, timeout: float = ANSWER_S, /, **parameters: Any) -> Any:
        """The result of a question of ours. Raises VenueError, Unreachable."""
        number = f"{self._mark}{next(self._numbers)}"
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = (method, waiting)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
        try:
            await self.send(_encode(request).decode())
            async with asyncio.timeout(timeout):  # wait_for loses a cancel that comes with the connection's end
                return await waiting
        except TimeoutError as error:
            raise Unreachable(f"{method}: no answer within {timeout} s") from error
        finally:
            self._asked.pop(number, None)

    async def log_in(self, credentials: Credentials, scope: str) -> dict[str, Any]:
        """Log the connection in. Raises VenueError, Unreachable."""
        found: dict[str, Any] = await self.ask(
            "public/auth",
            grant_type="client_credentials",
            client_id=credentials.key,
            client_secret=credentials.secret,
            scope=scope,
        )
        return found

    async def close(self) -> None:
        """End the connection in order."""
        await self._socket.close()

    @property
    def code(self) -> int | None:
        """What it was closed with, once it has ended."""
        return self._socket.close_code

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._socket.closed


def _result(method: str, answer: _Answer) -> Any:
    """Raises VenueError for an answer that is an error."""
    if answer.error is not None:
        error = answer.error
        code = error.get("code", 0)
        raise VenueError(method, code if isinstance(code, int) else 0, error.get("message", ""), error.get("data"))
    return msgspec.json.decode(answer.result)


async def once(
    request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
) -> aiohttp.ClientResponse:
    """A middleware for requests that must not be sent twice: aiohttp sends a GET again whose connection broke.

    Raises Unreachable, which it does not take for a reason to; NotSent where it did not come to a connection. Neither
    says more than what kind of error it was: the rest may have the request's address, with secrets in it.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSent(type(error).__name__) from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Unreachable(type(error).__name__) from error


async def ask_by_http(http: aiohttp.ClientSession, upstream: Upstream, method: str, /, **parameters: Any) -> Any:
    """The result of a question put by HTTP. Raises VenueError, Unreachable."""
    body = _encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    try:
        async with http.post(  # the venue's own address and no other: there are secrets in it
            f"{upstream.http}/api/v2/{method}", data=body, timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            allow_redirects=False,
        ) as response:  # fmt: skip
            return _result(method, _answer.decode(await response.read()))
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
        raise Unreachable(f"{method}: {type(error).__name__}") from error
