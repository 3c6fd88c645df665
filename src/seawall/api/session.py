"""One connection: who is logged in, what it subscribed to, what it has asked and not yet been told."""

import asyncio
import time
from collections import deque
from collections.abc import Container
from typing import Any, Final

from seawall.api.access import Identity
from seawall.api.sockets import read_ahead

OUTBOX_BYTES: Final = 4 << 20
OUTBOX_MESSAGES: Final = 10_000
"""What may wait to be sent to one reader, beside the largest message of it; beyond, it is cut off, never awaited."""

BURST_S: Final = 1.0
BURST_BYTES: Final = 64 << 20
"""For so long so much may wait: a cancel of thousands of orders is told at once, however fast its reader reads."""

GONE: Final = (1000, "gone")
"""How a connection ends whose peer went away."""

AHEAD_OF_A_FLOOD: Final = 2 << 10
"""Bytes that may wait here of a connection whose orders were shed; what else it sends waits with it."""

PLACED_KEPT: Final = 1_000
"""Orders that a connection remembers as its own before it looks which are still open."""


class Session:
    """State of one WebSocket, or of one HTTP request (`websocket` False)."""

    def __init__(self, address: str, *, websocket: bool) -> None:
        self.address, self.websocket = address, websocket
        self.identity: Identity | None = None
        self.channels: dict[str, Any] = {}
        self.outbox: deque[str] = deque()
        self.waiting_bytes = 0
        self.outbox_bytes = OUTBOX_BYTES
        self.behind_since = 0.0
        """Since when more waits than may (monotonic seconds); 0: no more does."""
        self._largest = 0
        """Bytes of the largest message since the outbox was empty."""
        self.wake = asyncio.Event()
        self.closed = asyncio.Event()
        self.closing: tuple[int, str] | None = None
        """Code and reason, once it is to end."""
        self.sending_since = 0.0
        """When the message now leaving began to (monotonic seconds), later for a large one; 0: none is."""
        self.cancel_on_disconnect: bool | None = None
        """None: as its account has arranged."""
        self.transport: asyncio.WriteTransport | None = None
        """Of the WebSocket, while there is one."""
        self.gone = False
        """The connection is broken; answers reach nobody."""
        self.logged_out = False
        self.said_goodbye = False
        """Whether the peer closed the WebSocket, so that it had all that was sent; else it was cut."""
        self.placed: set[int] = set()
        """Orders placed through this connection and not known to be finished."""
        self._forget_at = PLACED_KEPT
        self._reads_less = False
        self.recent: deque[tuple[float, int]] = deque()
        """(monotonic seconds, id) of orders answered lately; see `resending`."""
        self.pending = 0
        """Requests in the writer's hands."""
        self.heartbeat_s = 0.0
        self.heard_at = 0.0

    def place(self, number: int, still_open: Container[int]) -> None:
        """Remember an order placed through this connection; those no longer open are forgotten now and then."""
        self.placed.add(number)
        if len(self.placed) > self._forget_at:
            self.placed = {known for known in self.placed if known in still_open}
            self._forget_at = 2 * len(self.placed) + PLACED_KEPT

    def push(self, message: str) -> None:
        """Queue one text frame; a reader too slow for its outbox is cut off, but not by the size of one message."""
        if self.closing is not None:
            return
        size = len(message)
        if size > self._largest or not self.outbox:
            self._largest = size
        self.outbox.append(message)
        self.waiting_bytes += size
        if self.behind:
            now = time.monotonic()
            self.behind_since = self.behind_since or now
            most = max(self.outbox_bytes, BURST_BYTES)
            if now - self.behind_since >= BURST_S or self.waiting_bytes - self._largest > most:
                self.close(1008, "too slow")
        self.wake.set()

    @property
    def behind(self) -> bool:
        """Whether more waits to be sent than may for long."""
        return self.waiting_bytes - self._largest > self.outbox_bytes or len(self.outbox) > OUTBOX_MESSAGES

    def sent(self, message: str) -> None:
        """Note that a message left the outbox."""
        self.waiting_bytes -= len(message)
        if self.behind_since and not self.behind:
            self.behind_since = 0.0

    def cut(self) -> None:
        """End it without a goodbye: towards a peer that reads nothing none leaves, and it would be waited for."""
        if self.transport is not None:
            self.transport.abort()

    def read_less(self) -> None:
        """Take what it sends in small pieces from now on: it sent more than could be taken."""
        if self.transport is not None and not self._reads_less:
            self._reads_less = True
            read_ahead(self.transport, AHEAD_OF_A_FLOOD)

    def close(self, code: int, why: str) -> None:
        """End the connection; what was not sent is not sent any more."""
        if self.closing is None:
            self.closing = (code, why)
            self.outbox.clear()
            self.waiting_bytes = 0
            self.closed.set()
