"""A WebSocket client with many requests in flight: what was sent, what was answered, nothing else."""

import asyncio
import itertools
import json

import aiohttp

PATIENCE_S = 60


class Wire:
    """One connection. `sent` and `answers` are by request id, so what is in one only was never answered."""

    def __init__(self):
        self.sent = {}
        self.answers = {}
        self.notifications = []
        self.ended = asyncio.Event()
        self.on_message = lambda message: None
        self._waiting = {}
        self._ids = itertools.count(1)

    async def connect(self, venue, account=None):
        """Connect, and log in."""
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(venue.ready["ws"], max_msg_size=0)
        except BaseException:
            await self._http.close()
            raise
        self._reader = asyncio.create_task(self._read())
        if account is not None:
            who = venue.accounts[account]
            login = {"grant_type": "client_credentials", "client_id": who["key"], "client_secret": who["secret"]}
            assert "access_token" in await self.result("public/auth", **login)
        return self

    async def send(self, method, params, number=None):
        """Send a request; returns the future of its answer. Raises ConnectionError when the connection is gone."""
        number = number or f"#{next(self._ids)}"
        self.sent[number] = (method, params)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.raw(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return answered

    async def raw(self, data):
        """Send a frame, of text or of bytes."""
        if self._socket.closed or self.ended.is_set():
            raise ConnectionError("closed")
        await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))

    async def ask(self, method, **params):
        """The whole answer to a request."""
        answered = await self.send(method, params)
        async with asyncio.timeout(PATIENCE_S):
            return await answered

    async def result(self, method, **params):
        """The result of a request that must succeed."""
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def results(self, method, rows, at_once=64):
        """The answers to many requests of one method, in order."""
        room = asyncio.Semaphore(at_once)

        async def one(params):
            async with room:
                return await self.ask(method, **params)

        return await asyncio.gather(*(one(params) for params in rows))

    async def _read(self):
        try:
            async for message in self._socket:
                answer = json.loads(message.data)
                self.on_message(answer)
                number = answer.get("id")
                if number is None:
                    self.notifications.append(answer)
                    continue
                self.answers[number] = answer
                waiting = self._waiting.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        finally:
            self.ended.set()
            for waiting in self._waiting.values():
                waiting.cancel()

    async def close(self):
        """Leave."""
        await self._socket.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._http.close()
