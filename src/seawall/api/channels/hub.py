"""All subscriptions: who reads which channel, when it is due, what is sent.

Topics on which channels hear of a frame: ("book", instrument) the levels touched; ("trades", instrument | "any") a
trade; ("executions", account) a trade of the account's; ("orders", account) a state of an order; ("mark", instrument);
("marks",) a publication or an index; ("index", name); ("state",) states, listings, deliveries; ("account", account);
("frozen", account).

A channel of 100ms or agg2 is due at the hub's beat; a raw one after each frame, but the more read it the less often:
once for GAP_S of each reader, so that a busy channel with many readers cannot take the loop from everybody else. What
happens meanwhile is in its next message. Each message is encoded once, and one text is queued for all its readers.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from seawall.api.access import Identity
from seawall.api.channels.channel import FAST, RAW, SLOW, Channel, Topic
from seawall.api.channels.names import find, is_raw
from seawall.api.errors import RpcError
from seawall.api.rpc import Call
from seawall.api.session import Session
from seawall.api.view import Changes
from seawall.node.sequencer import result_of

BEAT_S: Final = 0.1
SLOW_BEATS: Final = 10
"""Beats between two messages of agg2."""

GAP_S: Final = 100e-6
CHANNELS_MAX: Final = 2_000
"""Subscriptions of a session; more are left out."""

_encode: Final = msgspec.json.Encoder().encode


class Hub:
    """All subscriptions. `spread` tells them of a frame's changes; `start` lets the beat go, `stop` ends it."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self.view = service.view
        self.clock: Callable[[], float] = time.monotonic
        self.sent = 0
        """Messages queued for readers."""
        self._channels: dict[tuple[Any, ...], Channel] = {}
        self._keys: dict[Channel, tuple[Any, ...]] = {}
        self._topics: dict[Topic, dict[Channel, None]] = {}
        self._dirty: dict[str, dict[Channel, None]] = {RAW: {}, FAST: {}, SLOW: {}}
        self._beats = 0
        self._beating: dict[Session, Heartbeat] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    # -- who reads what ------------------------------------------------------------------------------------------------

    def subscribe(self, call: Call, names: list[str]) -> None:
        """Answer with the channels that the caller hears from now on; then tell what each tells at once.

        Raises RpcError 13778 for raw market data without a login; whatever else cannot be read is left out.
        """
        session: Session = call.session
        identity = self._reading(call)
        account = call.account if identity is not None else -1
        wanted = {name: find(self.view, name, account) for name in names}
        for name, found in wanted.items():
            if found is not None and is_raw(name) and identity is None:
                raise RpcError(13778, channel=name)
        accepted: list[str] = []
        fresh: list[tuple[str, Channel]] = []
        for name, found in wanted.items():
            if found is None or (found[1] and not allowed(identity, found[1])):
                continue
            key, scope, make = found
            known = session.channels.get(name)
            if known is not None and self._keys.get(known) == key:
                accepted.append(name)
                continue
            self.unsubscribe(session, [name])  # of another account that the socket was logged in as
            if len(session.channels) >= CHANNELS_MAX:
                continue
            channel = self._join(key, make)
            channel.readers.setdefault(name, {})[session] = identity if scope else None
            session.channels[name] = channel
            accepted.append(name)
            fresh.append((name, channel))
        call.answer(accepted)
        for name, channel in fresh:
            self._guard(channel, partial(channel.first, partial(_push, session, name, channel)))

    def unsubscribe(self, session: Session, names: list[str]) -> list[str]:
        """Stop hearing channels; returns those that were heard."""
        found = []
        for name in dict.fromkeys(names):
            channel = session.channels.pop(name, None)
            if channel is not None:
                self._part(channel, name, session)
                found.append(name)
        return found

    def leave(self, session: Session) -> None:
        """Forget a session."""
        self.unsubscribe(session, list(session.channels))
        self._beating.pop(session, None)

    def _reading(self, call: Call) -> Identity | None:
        """Who is to read, None unless logged in now. What a token began ends with its login.

        Not with the token, unless `expires:` was asked for.
        """
        identity: Identity | None = call.identity
        if identity is None or identity.until < time.time():
            return None
        session: Session = call.session
        return identity if identity is session.identity else identity.lasting()

    def _join(self, key: tuple[Any, ...], make: Callable[[Any], Channel]) -> Channel:
        """The channel, made if nobody reads it yet, with nothing left untold."""
        channel = self._channels.get(key)
        if channel is not None:
            self._flush(channel)
            return channel
        channel = self._channels[key] = make(self)
        self._keys[channel] = key
        for topic in channel.topics():
            self._topics.setdefault(topic, {})[channel] = None
            if topic[0] == "orders":
                self.view.watched.add(topic[1])
        return channel

    def _part(self, channel: Channel, name: str, session: Session) -> None:
        readers = channel.readers.get(name, {})
        readers.pop(session, None)
        if not readers:
            channel.readers.pop(name, None)
        if channel.readers or channel not in self._keys:
            return
        del self._channels[self._keys.pop(channel)]
        self._dirty[channel.interval].pop(channel, None)
        for topic in channel.topics():
            listening = self._topics[topic]
            listening.pop(channel, None)
            if not listening:
                del self._topics[topic]
                if topic[0] == "orders":
                    self.view.watched.discard(topic[1])

    # -- what happened -------------------------------------------------------------------------------------------------

    def spread(self, changes: Changes) -> None:
        """Tell every subscriber what a frame changed."""
        view, topics = self.view, self._topics
        if topics:
            self._spread(changes)
        for number in changes.books:
            view.books[number].changed.clear()
        for channel in list(self._dirty[RAW]):
            self._send_raw(channel)

    def _spread(self, changes: Changes) -> None:
        view = self.view
        for trade in changes.trades:
            self._tell(("trades", trade.instrument), trade)
            self._tell(("trades", "any"), trade)
            for account in {trade.maker.account, trade.taker.account}:
                self._tell(("executions", account), trade)
        for number in changes.books:
            self._tell(("book", number), view.books[number].changed)
        for order in changes.orders:
            self._tell(("orders", order.account), order)
        if changes.marks:
            self._spread_marks(changes.marks)
        if changes.states or changes.money or any(note.get("note") == "listing" for note in changes.notes):
            self._tell(("state",), None)
        for account in changes.accounts:
            self._tell(("account", account), None)
        for account, block, until in changes.frozen:
            self._tell(("frozen", account), (block, until))

    def _spread_marks(self, marks: set[int]) -> None:
        indexes = set()
        for number in marks:
            self._tell(("mark", number), None)
            listing = self.view.listings.get(number)
            if listing is not None and number in self.view.indexes:
                indexes.add(listing.index)
        for index in indexes:
            self._tell(("index", index), None)
        self._tell(("marks",), None)

    def _tell(self, topic: Topic, what: Any) -> None:
        for channel in self._topics.get(topic, ()):
            try:
                channel.hear(what)
            except Exception as error:
                self._defect(channel, error)
                if isinstance(error, MemoryError):
                    raise

    # -- what is sent --------------------------------------------------------------------------------------------------

    def touch(self, channel: Channel) -> None:
        """A channel has something to tell."""
        if not channel.dirty:
            channel.dirty = True
            self._dirty[channel.interval][channel] = None

    def tell(self, channel: Channel, data: Any) -> None:
        """Queue one message for all readers of a channel; those whose login is over hear no more."""
        text = _text(data)
        now = time.time() if channel.scope else 0.0
        over: list[tuple[str, Session]] = []
        for name, sessions in channel.readers.items():
            message = _message(name, text)
            self.sent += len(sessions)
            for session, identity in sessions.items():
                if identity is None or identity.until >= now:
                    session.push(message)
                else:
                    over.append((name, session))
        for name, session in over:
            self.unsubscribe(session, [name])

    def look(self, channel: Channel, account: int, then: Callable[[Any], None]) -> None:
        """Have the engine's view of an account, between two groups, for a channel."""
        engine = self._service.node.fold.engine
        self._service.sequencer.look(
            lambda: engine.account_view(account),
            lambda seen, error: self._guard(channel, lambda: then(result_of(seen, error))),
        )

    def terms(self) -> dict[str, Any]:
        """What every summary of an account says besides: margin model and rates."""
        from seawall.api.methods import account  # imports the service, which has this hub

        terms: dict[str, Any] = account.terms(self._service)
        return terms

    def _send_raw(self, channel: Channel) -> None:
        gap = GAP_S * channel.count
        wait = channel.sent_at + gap - self.clock()
        if wait <= 0 or self._loop is None:
            self._flush(channel)
        else:
            del self._dirty[RAW][channel]  # still dirty, so it is not put there again before it was flushed
            self._loop.call_later(wait, self._flush, channel)

    def _flush(self, channel: Channel) -> None:
        """Send what a channel has to tell."""
        self._dirty[channel.interval].pop(channel, None)
        if not channel.dirty:
            return
        channel.dirty = False
        channel.sent_at = self.clock()
        self._guard(channel, lambda: self._send(channel))

    def _send(self, channel: Channel) -> None:
        for data in channel.due():
            self.tell(channel, data)

    def _guard(self, channel: Channel, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self._defect(channel, error)
            if isinstance(error, MemoryError):
                raise

    def _defect(self, channel: Channel, error: Exception) -> None:
        """A defect of ours in one channel cuts its readers off, so that none goes on with a gap; others go on."""
        self._log.error("defect", channel=str(self._keys.get(channel)), error=repr(error), exc_info=error)
        for sessions in list(channel.readers.values()):
            for session in list(sessions):
                session.close(1011, "internal error")

    # -- the beat ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let time pass, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """End the beat."""
        task, self._task, self._loop = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + BEAT_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self.beat()

    def beat(self) -> None:
        """A tenth of a second passed."""
        self._beats += 1
        for channel in list(self._dirty[FAST]):
            self._flush(channel)
        if self._beats % SLOW_BEATS == 0:
            for channel in list(self._dirty[SLOW]):
                self._flush(channel)
            now = self.clock()
            for session, heartbeat in list(self._beating.items()):
                heartbeat.pass_time(session, now)

    # -- heartbeats ----------------------------------------------------------------------------------------------------

    def set_heartbeat(self, session: Session, interval_s: float) -> None:
        """Ask a session for a sign of life each interval; 0 to leave it alone."""
        session.heartbeat_s = interval_s
        self._beating.pop(session, None)
        if interval_s:
            self._beating[session] = Heartbeat(interval_s, self.clock())

    def tested(self, session: Session) -> None:
        """A session called public/test."""
        heartbeat = self._beating.get(session)
        if heartbeat is not None:
            heartbeat.asked = False


class Heartbeat:
    """Of one session: each interval a message, and where nothing was heard in it, a request to say something."""

    __slots__ = ("asked", "at", "interval_s")

    def __init__(self, interval_s: float, now: float) -> None:
        self.interval_s, self.at, self.asked = interval_s, now, False

    def pass_time(self, session: Session, now: float) -> None:
        """Ask where an interval is over; close what did not answer within it."""
        if now < self.at + self.interval_s or session.closing is not None:
            return
        if self.asked:
            session.close(4000, "heartbeat close")
            return
        quiet = session.heard_at <= self.at
        self.at, self.asked = now, quiet
        kind = "test_request" if quiet else "heartbeat"
        session.push(_text({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}}))


def allowed(identity: Identity | None, scope: str) -> bool:
    """Whether an identity may read what needs a right."""
    return identity is not None and f"{scope}:read" in identity.rights


def _push(session: Session, name: str, channel: Channel, data: Any) -> None:
    if session.channels.get(name) is channel:
        session.push(_message(name, _text(data)))


def _text(data: Any) -> str:
    return _encode(data).decode()


def _message(name: str, text: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":{_text(name)},"data":{text}}}}}'
