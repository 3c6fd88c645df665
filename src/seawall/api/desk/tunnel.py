"""One bot's connection and its own connection to the venue: what comes from either goes to the other as it came.

Byte for byte, but for this. A login is checked here, against Seawall's keys, and answered with Seawall's tokens; the
connection at the venue is then logged in with the venue's key, its rights cut down to the bot's. A token in a call is
replaced by the venue's. Where a gate stands (enforce), orders wait for it, and what came after them waits too, so the
venue hears all in the order the bot said it.

Connections are one to one, so subscriptions, heartbeats and cancel-on-disconnect are the venue's own and need no
second keeping: when either side's connection ends, so does the other's.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from seawall.api.access import Identity
from seawall.api.desk.plain import check_document, check_name, swapped
from seawall.api.desk.tokens import EARLY, SETTINGS
from seawall.api.errors import RpcError
from seawall.api.rpc import Call, Envelope, id_in, parse
from seawall.api.session import GONE, Session
from seawall.venues.connection import MESSAGE_MAX, Connection, Unreachable, VenueError
from seawall.venues.credentials import Credentials

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk
    from seawall.api.desk.sent import Sent

LOGIN: Final = frozenset(("public/auth", "public/exchange_token", "public/fork_token"))
"""Answered here: they are about Seawall's keys."""

OUTGOING_MAX: Final = 1_000
"""Messages that wait to leave for the venue before no more are read from the bot."""

UNANSWERED_MAX: Final = 10_000
"""Ids of calls without an answer that are kept for one connection; beyond, no answer of its orders can be told."""

NUMBER_MAX: Final = 256
"""Characters of an id that an answer is told by."""

PAUSE_S: Final = 0.005

LAST_S: Final = 1.0
"""How long the venue may take to be told what a bot said before it left."""

_TOKEN: Final = '"access_token"'


class _Token(msgspec.Struct):
    access_token: str | None = None


class _Answered(msgspec.Struct):
    """What tells the answer to an order from all else."""

    id: Any = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_answered: Final = msgspec.json.Decoder(_Answered)


class Slot:
    """A place in the order of what a bot said; empty until it is known what goes to the venue, if anything."""

    __slots__ = ("began", "may_leave", "number", "ready", "refuse", "start", "text", "who")

    def __init__(self, text: str | None = None, number: Any = None, *, ready: bool = False) -> None:
        """`number` is the id of the call."""
        self.text, self.number, self.ready = text, number, ready
        self.began = 0.0
        """When it came, of an order (perf_counter)."""
        self.may_leave: Callable[[], bool] | None = None
        """Asked when its turn has come: what was accepted may have become wrong while it waited."""
        self.start: Callable[[], None] | None = None
        """Of a login: begins it, once all before it was sent."""
        self.who: tuple[int, str] | None = None
        """Account and scope that it was looked at for, where the connection's login is what the venue goes by."""
        self.refuse: Callable[[RpcError], None] = lambda error: None


class Tunnel:
    """`open`, then `read` and `write` beside each other; `from_bot` for each message of the bot's."""

    def __init__(self, desk: "Desk", session: Session) -> None:
        self.desk, self.session = desk, session
        session.outbox_bytes = MESSAGE_MAX  # what the venue may say at once its bot may have to be told
        self.venue: Connection
        self.tracked: dict[Any, Sent] = {}
        """Orders at the venue and not yet answered, by the request's id."""
        self._calls: dict[Any, int] = {}
        """How many calls of each id, orders or not, have no answer yet."""
        self._untold = False
        """Whether there were once more than are kept."""
        self._slots: deque[Slot] = deque()
        self._outgoing: deque[tuple[str | Callable[[], None], float]] = deque()
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._token = self._scope = ""
        self._account: int | None = None
        self._who: tuple[int, str] | None = None
        """Account and scope of the last login at the venue; a call may have widened the scope since."""
        self._login: Identity | None = None
        """Who the venue's connection was logged in for; what the venue says is for nobody else."""
        self._readers: list[Identity] = []
        """Whose tokens were shown to subscribe."""
        self._renewal: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    # -- the connection ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect to the venue; logged in where the bot's handshake was. Raises Unreachable, VenueError."""
        self.venue = await Connection.open(self.desk.http, self.desk.upstream, self.from_venue)
        self._reading = asyncio.create_task(self.venue.read())  # from now on: a login by header waits for an answer

    async def read(self) -> None:
        """Until the venue's connection ends and the bot was told all that came by it; then its own ends as that did."""
        await self._reading
        while self.session.outbox or self.session.sending_since:  # who reads nothing is cut off for that
            await asyncio.sleep(PAUSE_S)
        self.session.close(said(self.venue.code), "the venue's connection ended")

    async def write(self) -> None:
        """Send what is to go to the venue, in order; once it takes nothing more, the bot is still told what it said."""
        with contextlib.suppress(Unreachable):
            await self._write()
        await self.session.closed.wait()

    async def _write(self) -> None:
        outgoing = self._outgoing
        while True:
            while outgoing:
                text, began = outgoing.popleft()
                if not isinstance(text, str):
                    text()
                    continue
                await self.venue.send(text)
                if began:
                    self.desk.latencies.add(began)
            self._room.set()
            self._wake.clear()
            await self._wake.wait()

    def room(self) -> Awaitable[Any] | None:
        """What to wait for while too much is on its way to the venue."""
        if len(self._outgoing) + len(self._slots) <= OUTGOING_MAX:
            return None
        self._room.clear()
        return self._room.wait()

    async def close(self) -> None:
        """End: orders that were not answered are of unknown outcome."""
        if self._renewal is not None:
            self._renewal.cancel()
        for task in self._tasks:
            task.cancel()
        last = self._last_words() if self.session.closing == GONE else []
        tracked, self.tracked = self.tracked, {}
        for sent in tracked.values():  # first, since a close waits for the venue
            sent.lost("the connection ended before the answer came")
        with contextlib.suppress(Unreachable, TimeoutError):
            async with asyncio.timeout(LAST_S):
                for text in last:
                    await self.venue.send(text)
        await self.venue.close()
        self._reading.cancel()

    def _last_words(self) -> list[str]:
        """What a bot that left had said and is still here: a cancel waits for what was said before it.

        An order that still waits is not sent, as nobody would be told what became of it; nor is what was said behind a
        login that was not made yet.
        """
        for slot in self._slots:
            if slot.began:
                if slot.number in self.tracked:
                    self.tracked.pop(slot.number).unsent()
            elif not slot.ready:
                break
            elif slot.text is not None and self._may_leave(slot):
                self._outgoing.append((slot.text, 0.0))
        self._slots.clear()
        before_login = itertools.takewhile(lambda text: isinstance(text, str), (text for text, _ in self._outgoing))
        return [text for text in before_login if isinstance(text, str)]

    # -- from the bot --------------------------------------------------------------------------------------------------

    def from_bot(self, text: str) -> None:
        """One message of the bot's."""
        try:
            request = parse(text.encode())
        except RpcError as error:
            self._unread(text, error)
            return
        call = Call(self.session, request.id, lambda document, _: self.session.push(document.decode()))
        try:
            self.desk.gate.check(text)
            if self.desk.gate.enforce:
                check_name(request.method)
                check_document(text)
            if request.method in LOGIN:
                self._log_in_here(call, request)
                return
            if request.method == "private/logout":
                self._log_out_here(call, request)
                return
            self._clear(number_of(request.id))
            if request.method.startswith("private/") or _TOKEN in text:
                self._private(call, request, text)
            else:
                self._pass(text, number_of(request.id))
        except RpcError as error:
            call.fail(error)

    def _unread(self, text: str, error: RpcError) -> None:
        """What is no request to us: the venue says best what it does not like, where it may be shown it."""
        id_ = id_in(text.encode())
        try:
            if self.desk.gate.enforce or _TOKEN in text:  # the venue might read it, and a token of ours is not for it
                raise error
            self.desk.gate.check(text)
        except RpcError as refused:
            answer = Call(self.session, id_, lambda document, _: self.session.push(document.decode()))
            answer.fail(refused)
        else:
            number = number_of(id_)
            self._clear(number)
            self._pass(text, number)

    def _private(self, call: Call, request: Envelope, text: str) -> None:
        identity, access = self.session.identity, self.desk.service.access
        slot = Slot(text, number_of(request.id))
        if _TOKEN in text and (own := token_of(request)):
            identity = access.bearer(own, time.time(), self.session.address)
            if request.method == "private/subscribe":
                self._read_by(identity)
            if (identity.account, self.desk.scope(identity, request.method)) == (self._account, self._scope):
                slot.text = swapped(text, own, self._token)
            else:
                self._append(slot)
                self._task(self._with_token(call, request, slot, identity, own, text))
                return
        elif identity is not None:
            access.check(identity, time.time(), self.session.address)
            slot.who = identity.account, self.desk.scope(identity)
            if request.method in SETTINGS:
                slot.start = lambda: self._task(self._widened(call, request, slot, identity))
                self._append(slot)
                self._flush()
                return
        self._append(slot)
        self._gated(call, request, slot, identity)

    async def _with_token(
        self, call: Call, request: Envelope, slot: Slot, identity: Identity, own: str, text: str
    ) -> None:
        try:
            slot.text = swapped(text, own, await self.desk.token(identity, request.method))
        except (Unreachable, VenueError, RpcError) as error:
            self.drop(slot)
            call.fail(error if isinstance(error, RpcError) else RpcError(13028, reason=f"the venue: {error}"))
            return
        self._gated(call, request, slot, identity)

    async def _widened(self, call: Call, request: Envelope, slot: Slot, identity: Identity) -> None:
        """A call that needs more than a login is given; the connection has it from then on."""
        with contextlib.suppress(Unreachable, VenueError, RpcError):  # the venue says to the call itself what it needs
            await self.logged_in(identity, request.method)
        self._gated(call, request, slot, identity)

    def _gated(self, call: Call, request: Envelope, slot: Slot, identity: Identity | None) -> None:
        """Let a private call go, or give it to the gate."""
        if identity is None:
            if self._account is not None:  # a later login failed, and the venue still holds the one before
                self.drop(slot)
                call.fail(RpcError(13009, reason="no_credentials"))
            else:
                self.let(slot)  # the venue says that nobody is logged in
            return
        call.identity, call.account = identity, identity.account
        slot.refuse = call.fail
        try:
            self.desk.gate.take(self, call, request, slot)
        except RpcError as error:
            self.drop(slot)
            call.fail(error)

    def track(self, number: Any, sent: "Sent") -> None:
        """An order goes to the venue; the next answer with its id is its.

        In enforce its connection is ended with it when it is given up, so that it cannot leave later. Who only looks on
        cuts nobody off: a late answer is still heard.
        """
        self.tracked[number] = sent
        if self.desk.gate.enforce:
            sent.cut = lambda: self.session.close(1011, "the venue did not answer an order")

    # -- whose answer is whose -----------------------------------------------------------------------------------------

    def tells(self, number: Any) -> bool:
        """Whether the next answer with the id of a call that is being looked at can only be that call's."""
        return not self._untold and self._calls.get(number_of(number)) == 1

    def _clear(self, number: Any) -> None:
        """Another call has the id of an order on its way. Raises RpcError (enforce).

        In observe it passes. The next answer may be either's then, so none is the order's: the drop copy will say.
        """
        if number in self.tracked:
            if self.desk.gate.enforce:
                raise RpcError(-32600, reason="an order with this id has no answer yet, and it could not be told")
            del self.tracked[number]

    def _count(self, number: Any) -> None:
        """A call is on its way to the venue."""
        if number is None:
            return
        if number not in self._calls and len(self._calls) >= UNANSWERED_MAX:
            self._untold = True
            return
        self._calls[number] = self._calls.get(number, 0) + 1

    def _discount(self, number: Any) -> None:
        """A call was answered, or does not go to the venue."""
        left = self._calls.pop(number, 0) - 1
        if left > 0:
            self._calls[number] = left

    # -- order of things -----------------------------------------------------------------------------------------------

    def let(self, slot: Slot) -> None:
        """What a slot holds may go as soon as all before it went."""
        slot.ready = True
        self._flush()

    def drop(self, slot: Slot) -> None:
        """Nothing of it goes to the venue."""
        slot.text = None
        self._discount(slot.number)
        self.let(slot)

    def _pass(self, text: str, number: Any) -> None:
        self._count(number)
        if self._slots:
            self._slots.append(Slot(text, number, ready=True))
            return
        self._outgoing.append((text, 0.0))
        self._wake.set()

    def _append(self, slot: Slot) -> None:
        self._count(slot.number)
        self._slots.append(slot)

    def _flush(self) -> None:
        while self._slots:
            slot = self._slots[0]
            if slot.start is not None:  # behind all that goes before it
                self._outgoing.append((slot.start, 0.0))
                slot.start = None
            if not slot.ready:
                break
            self._slots.popleft()
            if slot.text is None:
                continue
            if self._may_leave(slot):
                self._outgoing.append((slot.text, slot.began))
            else:
                self._discount(slot.number)
        self._wake.set()

    def _may_leave(self, slot: Slot) -> bool:
        if slot.who is not None and self._who is not None and slot.who != self._who:
            # The login before it failed, and the venue would take it for the one's who was logged in before that.
            slot.refuse(RpcError(13009, reason="the login before this call failed"))
            return False
        return slot.may_leave is None or slot.may_leave()

    # -- from the venue ------------------------------------------------------------------------------------------------

    def from_venue(self, text: str) -> None:
        """One message of the venue's. The venue knows nothing of our keys: a login that is over here is none there."""
        if not self._may_hear():
            self.session.close(1008, "the login of this connection ended")
        self.session.push(text)
        if not self._calls:
            return
        try:
            found = _answered.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return  # to more than one call at once, say, which nobody here asked
        number = number_of(found.id)
        if number is None or (found.result is msgspec.UNSET and found.error is msgspec.UNSET):
            return
        self._discount(number)
        sent = self.tracked.pop(number, None)
        if sent is not None:
            sent.answered(found.result, found.error)

    def _may_hear(self) -> bool:
        """Whether the login holds, or one that is just being made there, and all that subscribed by a token."""
        now, login, newer = time.time(), self._login, self.session.identity
        if any(one.until < now for one in self._readers):
            return False
        return login is None or login.until >= now or (newer is not None and newer.until >= now)

    def _read_by(self, identity: Identity) -> None:
        reader = identity.lasting()
        if reader not in self._readers:
            self._readers.append(reader)

    # -- logins --------------------------------------------------------------------------------------------------------

    def _log_in_here(self, call: Call, request: Envelope) -> None:
        """Check a login; what the bot says after it waits until the venue's connection is logged in, too."""
        slot = Slot()
        self._append(slot)
        documents: list[bytes] = []
        call.send = lambda document, _: documents.append(document)
        before = self.session.identity
        self.desk.service.serve(call, request)
        identity = self.session.identity
        if identity is None or identity is before or request.method != "public/auth":
            self.drop(slot)
            self.session.push(documents[0].decode())
            return
        slot.start = lambda: self._task(self._log_in_there(call, slot, identity, documents[0]))
        self._flush()

    async def _log_in_there(self, call: Call, slot: Slot, identity: Identity, document: bytes) -> None:
        try:
            await self.logged_in(identity)
        except (Unreachable, VenueError, RpcError) as error:
            if isinstance(error, Unreachable):
                self.session.close(1011, "it is not known who the venue takes this connection for")
            if self.session.identity is identity:  # and not the one of yet another login
                self.session.identity = None
            call.answered = False
            call.send = lambda body, _: self.session.push(body.decode())
            call.fail(error if isinstance(error, RpcError) else RpcError(13028, reason=f"the venue: {error}"))
        else:
            self.session.push(document.decode())
        self.drop(slot)

    async def logged_in(self, identity: Identity, method: str = "") -> None:
        """Log the venue's connection in as a bot's account, for a call. Raises Unreachable, VenueError, RpcError."""
        scope = self.desk.scope(identity, method)
        if (identity.account, scope) == (self._account, self._scope):
            self._login = identity.lasting()
            return
        await self._authenticate(self.desk.credentials(identity), scope)
        self._account, self._scope, self._login = identity.account, scope, identity.lasting()
        self._who = identity.account, self.desk.scope(identity)

    async def _authenticate(self, credentials: Credentials, scope: str) -> None:
        found = await self.venue.log_in(credentials, f"connection {scope}")
        self._token = str(found["access_token"])
        if self._renewal is not None:
            self._renewal.cancel()
        loop = asyncio.get_running_loop()
        self._renewal = loop.call_later(EARLY * float(found["expires_in"]), self._renew, credentials, scope)

    def _renew(self, credentials: Credentials, scope: str) -> None:
        self._task(self._renewed(credentials, scope))

    async def _renewed(self, credentials: Credentials, scope: str) -> None:
        try:
            await self._authenticate(credentials, scope)
        except (Unreachable, VenueError) as error:
            self._log.warning("the venue did not renew a login", error=str(error))
            self.session.close(1011, "the venue's login ended")

    def _log_out_here(self, call: Call, request: Envelope) -> None:
        """What the bot said before goes first."""
        slot = Slot()
        slot.start = lambda: self._task(self._log_out(call, request, slot))
        self._append(slot)
        self._flush()

    async def _log_out(self, call: Call, request: Envelope, slot: Slot) -> None:
        """The venue first, so that it cancels nothing when the connection ends."""
        if self.session.identity is not None:
            with contextlib.suppress(Unreachable):  # it has ended already
                await self.venue.say("private/logout")
        self.desk.service.serve(call, request)
        self.drop(slot)

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def number_of(id_: Any) -> Any:
    """An id that an answer can be told by, else None: it may be any JSON, and true is not 1."""
    if isinstance(id_, bool) or not isinstance(id_, int | str | float):
        return None
    return None if isinstance(id_, str) and len(id_) > NUMBER_MAX else id_


def said(code: int | None) -> int:
    """The code that a connection is closed with whose other one ended so; some codes are never said, but stand for a
    connection that broke."""
    if code is None or code in (1004, 1006, 1015) or not 1000 <= code < 5000:
        return 1011
    return 1000 if code == 1005 else code


def token_of(request: Envelope) -> str:
    """The token that a call carries among its parameters, if any."""
    try:
        return msgspec.json.decode(request.params, type=_Token).access_token or ""
    except (msgspec.DecodeError, RecursionError):
        return ""
