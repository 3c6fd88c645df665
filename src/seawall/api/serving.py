"""One process that is a venue on the network: node, writer's thread, trading door, operations door, dev market.

Everything but the writer's thread runs on one event loop. The order of things at a start: put the journal in order and
fold it (the view hears each frame), start the writer, settle what fell due while the venue was down, cancel what was to
go with its connection, listen, say so.
"""

import asyncio
import gc
import secrets
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

import seawall.api.methods
from seawall.api.access import SCOPES, Access
from seawall.api.arrangements import Overdue
from seawall.api.commands import packed
from seawall.api.door import Door
from seawall.api.keystore import STORE_NAME, Key, Keystore
from seawall.api.memory import Memory, resume
from seawall.api.operations.app import operations_app
from seawall.api.operations.operations import Operations, Settings, operation
from seawall.api.operations.people import development_people, first_operator
from seawall.api.remembering import Keeper, memory_of
from seawall.api.service import Service
from seawall.api.session import Session
from seawall.api.sockets import free_port, taken, until_listening
from seawall.api.web import CLOSE_S, WebServer
from seawall.journal import Frame
from seawall.node import Configuration, Node
from seawall.node.configuration import Listening
from seawall.node.node import Group
from seawall.node.publishing import Simulated
from seawall.sim import Batch, LiveMarket
from seawall.vocabulary.errors import InputError, OutcomeUnknown, SeawallError
from seawall.vocabulary.records import FLAG_APPROVED, FLAG_UNCLEAN, Events, Kind, Limit, VenueState

assert seawall.api.methods  # fills the table of methods

TICK_S: Final = 1.0
"""How often the market moves and timers are looked at."""

TIME_S: Final = 30.0
"""A quiet venue journals at least this often that time passes, so that timers run out without orders."""

HEAD_MS: Final = 5_000
"""How long a connection to the operations door may take for the head of a request. It has 128 places, and who holds
them all in silence keeps people from the kill switch."""

ANEW_NAME: Final = "keystore.anew"
"""A file that says on purpose, once, that a lost keystore is to be begun anew, with nobody and no keys in it."""

OPENING_STEPS: Final = 10
"""Of the market before the doors open: its makers quote a share of the listings at each."""

DRAIN_S: Final = 5.0
"""How long answers may take to leave at a stop."""

DEV_ACCOUNTS: Final = ("alice", "bob", "carol", "dave")


class Venue:
    """A running venue. `run` starts it and returns when it has ended."""

    outlives_its_writer = False
    """Whether it goes on without a journal; what it says would be worth nothing."""

    def __init__(self, configuration: Configuration, market: str = "", *, passphrase: bytes | None = None) -> None:
        """`market`: sim or none for a dev venue, which makes its own prices, people and keys; empty for a real one.

        Raises InputError for a port that somebody listens at.
        """
        self.configuration, self.market_kind, self._passphrase = configuration, market, passphrase
        self.trading, self.operations_at = (_bound(door) for door in (configuration.trading, configuration.operations))
        self.memory: Memory = memory_of(configuration)
        self._keeper = Keeper(configuration, on=not market)
        self.market: LiveMarket | None = None
        """What a dev venue trades against; a real one makes no prices."""
        self.rebuild = False
        """Whether a copy of the journal whose folder is empty is lost, and to be made anew."""
        self.ended = asyncio.Event()
        self.people: list[dict[str, Any]] = []
        self.unclean = False
        """Whether the stop before this start was."""
        self._before = VenueState.OPEN
        self._log = structlog.get_logger()
        self._servers: list[Server | WebServer] = []
        self._tasks: list[asyncio.Task[Any]] = []
        """Of the servers, which end when they are told to."""
        self._watches: list[asyncio.Task[Any]] = []
        """What goes on until the venue stops: clocks, connections of its own."""
        self._overdue = Overdue()
        self._last_frame = 0.0
        self._anew: Path | None = None

    async def start(self) -> None:
        """Take the journal up, open the doors. Raises SeawallError; then nothing runs."""
        gc.disable()  # while all that stands is made there is nothing to collect, and much to walk over
        loop = asyncio.get_running_loop()
        configuration, memory = self.configuration, self.memory
        if self.market_kind:
            seed, trades = configuration.sim.seed, self.market_kind == "sim"
            self.market = LiveMarket(seed, Simulated(configuration), trades=trades)

        def hear(group: Group) -> None:
            if (group.commands["kind"] == Kind.OPENED).any():
                self.unclean = bool(group.commands["flags"][0] & FLAG_UNCLEAN)
                self._before = memory.view.venue
            memory.take(group)
            self._keeper.heard += len(group.commands)
            if self.market is not None:
                self.market.recall(group.commands, group.attachments, group.events)

        def witness(frame: Frame, events: Events) -> None:
            hear(Group(frame.commands, frame.attachments, events))

        # The loop serves nobody yet, so the fold may run in a thread: signals still get through.
        resumed = None
        if self._keeper.on:  # the writer need not stop to copy its state: the keeper's process writes it
            resumed = partial(resume, configuration, memory)
            configuration = msgspec.structs.replace(configuration, snapshot_frames=0)
        self.node = await asyncio.to_thread(
            lambda: Node.start(
                configuration, time.time_ns, witness, rebuild=self.rebuild, listener=hear, resume=resumed
            )
        )
        try:
            store = self._keystore(configuration.home_folder)
        except InputError:
            await asyncio.to_thread(self.node.stop)  # it was sound, and is to come up as it was
            raise
        self.service = Service(self.node, memory.view, loop.call_soon_threadsafe, Access(store), configuration.rates)
        self.service.listeners.append(self._heard)
        self.operations = Operations(self.service, self._settings(store), memory.record)
        self.door = Door(self.service)
        self.service.sequencer.start()
        try:
            await self._forget_people()
            await self._begin(store)
        except SeawallError:
            if not self.unclean and self.service.sequencer.dead is None:  # nobody was served: this is no unclean stop
                await self._stop_watches()
                await asyncio.to_thread(self.service.sequencer.stop)
                await asyncio.to_thread(self.node.stop)
            raise
        if self.unclean:
            self.service.resending.restarted()
        self.service.restarted()
        self.service.hub.start()
        self._watches.append(asyncio.create_task(self._tick()))
        _collect_rarely()
        server = WebServer(self.door, self.trading, 2 if self.configuration.upstream.url else 1)
        await self._listen(server, self.trading)
        await self._listen(_litestar(operations_app(self.operations), self.operations_at), self.operations_at)

    def _settings(self, store: Keystore) -> Settings:
        configuration = self.configuration
        return Settings(
            store,
            configuration.operators.backup,
            configuration.operators.disk_hours,
            configuration.publisher.late_s,
            tuple(
                door.tls.certificate
                for door in (configuration.trading, configuration.operations)
                if door.tls.certificate
            ),
            lambda: len(self.door.sessions),
            self._cut,
            feeds=self.market is None and not configuration.upstream.url,
        )

    def _keystore(self, home: Path) -> Keystore:
        """People and keys. Raises InputError where they do not open, and where the journal knows that there were some.

        Whoever comes first to a new one registers all approvers, so one that was lost is not begun anew by itself.
        """
        anew = home / ANEW_NAME
        if self.market is None and self.memory.record.set_up and not (home / STORE_NAME).exists() and not anew.exists():
            rule = f"is not there, and people were registered: put it back, with its key, or make {ANEW_NAME} beside it"
            raise InputError("keystore", str(home / STORE_NAME), rule)
        store = Keystore.open(home, self._passphrase)
        if anew.exists() and not store.registry.approvers:
            self._anew = anew  # it goes once the journal knows, which holds a keystore to the people it had
            self.memory.record.people.clear()
        else:
            anew.unlink(missing_ok=True)
        return store

    async def _forget_people(self) -> None:
        """Journal that the keystore was begun anew: who was registered before it is nobody from now on."""
        if self._anew is not None:
            await self._note("keystore.anew", reason=f"{ANEW_NAME} was put there")
            self._anew.unlink(missing_ok=True)

    async def _note(self, action: str, **facts: Any) -> None:
        data = operation(None, action, facts)
        await self.service.write(packed(Kind.TIME, attachment=len(data)), data)

    async def _begin(self, store: Keystore) -> None:
        """What is to be done once the writer runs and before anybody may connect."""
        if self.market is not None:
            await self._start_market(self.market, store)
        else:
            await self._need_operator(store)
            await self._close_when_late()
            await self.operations.governance.start()

    async def _close_when_late(self) -> None:
        """C17 from the first day: what prices are too old for is not the operators' to remember."""
        age = round(self.configuration.publisher.late_s * 1e9)
        limits = self.node.fold.engine.catalogue.limits  # nobody else writes yet
        row = limits.get((Limit.STALE, -1, -1))
        if row is None or row.amount > age:
            await self.service.write(packed(Kind.LIMIT, state=Limit.STALE, account=-1, instrument=-1, amount=age))

    async def _need_operator(self, store: Keystore) -> None:
        if (token := first_operator(store, self.configuration.home_folder)) is not None:
            first = store.registry.operators[-1]
            await self._note("operator.first", person=first.person, token_sha256=first.token, reason="nobody operated")
            self._log.warning("nobody operated this venue: a first operator's token was made", file=str(token))

    async def _reopen(self) -> None:
        """After an unclean stop of a dev venue; what people had restricted stays so."""
        if self.unclean and self._before == VenueState.OPEN:
            self._log.warning("reopened by itself, as only a dev venue does", was=self.node.venue.name)
            await self.service.write(packed(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED))

    async def _start_market(self, market: LiveMarket, store: Keystore) -> None:
        """A dev venue is opened, funded and keyed by itself, and says so."""
        if not self.service.view.listings:
            await self._send(market.opening(time.time_ns()))
        else:
            await self._reopen()
        for _ in range(OPENING_STEPS if self.market_kind == "sim" else 1):  # until everything is quoted
            await self._move()
        home = self.configuration.home_folder
        self.people = development_people(store, home / "people")
        self._make_keys(store, DEV_ACCOUNTS)

    def _make_keys(self, store: Keystore, names: Iterable[str]) -> list[Key]:
        """A key under the name of each client account that has none; returns the new ones."""
        numbers = {client.name: client.number for client in self.service.view.clients.values()}
        rights = dict.fromkeys(SCOPES, "read_write")
        made = [
            Key(name, secrets.token_hex(24), numbers[name], name, rights)
            for name in names
            if name in numbers and name not in store.registry.keys
        ]
        store.change_now(lambda registry: registry.keys.update((key.id, key) for key in made))
        return made

    async def _listen(self, server: Server | WebServer, door: Listening) -> None:
        self._servers.append(server)
        self._tasks.append(asyncio.create_task(server.serve()))
        await until_listening(door.host, door.port)

    # -- what the venue asks of itself ---------------------------------------------------------------------------------

    async def _send(self, batch: Batch) -> None:
        if len(batch.commands):
            await self.service.write(batch.commands.tobytes(), batch.attachments)

    async def _move(self) -> None:
        if self.market is not None:
            await self._send(self.market.step(time.time_ns()))

    def _heard(self, group: Group, changes: Any) -> None:
        self._last_frame = time.monotonic()
        self._keeper.heard += len(group.commands)
        if self.market is not None:
            self.market.observe(group.events)

    async def _tick(self) -> None:
        """Once a second: the market moves, time passes, what was shed is journalled as counts."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                for _ in range(self.door.cut_stalled()):
                    self.operations.alerts.tell("slow_consumer")
                if self.service.sequencer.dead is not None:
                    self.operations.alerts.tell("dead_writer", why=str(self.service.sequencer.dead))
                    if self.outlives_its_writer:
                        continue
                    raise OutcomeUnknown(str(self.service.sequencer.dead))
                await self._move()
                await self._count_shed()
                if why := await self._keeper.look():
                    self.operations.alerts.tell("memory_unwritten", why=why)
                await self.operations.tick()
                view = self.service.view
                due = view.arrangements.timer_due(view.now_ns, time.time_ns())
                if due or time.monotonic() - self._last_frame > TIME_S:
                    await self.service.write(packed(Kind.TIME))
                for account in self._overdue.look(view.arrangements.timers, view.now_ns, time.monotonic()):
                    off = packed(Kind.DEAD_MAN, account=account, until=0)
                    await self.service.write(packed(Kind.CANCEL_ALL, account=account, instrument=-1) + off)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._log.error("the venue ends", error=repr(error))
            self.ended.set()
            raise

    def _cut(self, key: str) -> None:
        """A key was revoked: its connections end."""
        for session in list(self.door.sessions):
            if session.identity is not None and session.identity.key.id == key:
                session.close(1008, "the key was revoked")

    async def _count_shed(self) -> None:
        shed = self.service.edge.shed
        if shed:
            full = {account: count for (account, code), count in shed.items() if code == 10047}
            if full:
                most = max(full, key=lambda account: full[account])
                name = self.service.view.client(most).name
                self.operations.alerts.tell("shedding", account=name, count=full[most], all=sum(full.values()))
            rows = [[account, code, count] for (account, code), count in sorted(shed.items())]
            shed.clear()
            note = msgspec.json.encode({"note": "shed", "rows": rows})
            await self.service.write(packed(Kind.TIME, attachment=len(note)), note)

    # -- from start to end ---------------------------------------------------------------------------------------------

    def ready(self) -> dict[str, Any]:
        """The line that says where everything is; keys only of a dev venue."""
        at, ops = _address(self.trading), _address(self.operations_at)
        s, keys = ("s" if self.trading.tls.on else ""), self.service.access.keys
        return {
            "ready": True,
            "http": f"http{s}://{at}",
            "ws": f"ws{s}://{at}/ws/api/v2",
            "ops": f"http{'s' if self.operations_at.tls.on else ''}://{ops}",
            "data": str(Path(self.configuration.data).resolve()),
            "accounts": [
                {"name": name, "key": name, "secret": keys[name].secret} for name in self._told_keys() if name in keys
            ],
            "operators": self.people,
        }

    def _told_keys(self) -> Iterable[str]:
        return DEV_ACCOUNTS if self.market_kind else ()

    async def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """Start, say so, go on until told to end, or until the writer is dead."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ended.set)
        await self.start()
        ready(self.ready())
        await self.ended.wait()
        await self.stop()

    async def stop(self) -> None:
        """Drain: what is queued is written and answered, connections are closed, the journal is closed cleanly."""
        await self._stop_watches()
        await self._keeper.stop()
        left = await self._hang_up()
        await asyncio.to_thread(self.service.sequencer.stop)
        await self.service.hub.stop()
        for server in self._servers:
            server.stop()
        waiting = (await asyncio.wait(self._tasks, timeout=CLOSE_S))[1] if self._tasks else set()
        if waiting:  # a server waits for peers that do not answer a close
            for session in left:
                session.cut()
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        await asyncio.to_thread(self.node.stop)

    async def _stop_watches(self) -> None:
        while watching := [watch for watch in self._watches if not watch.done()]:
            for watch in watching:  # again, if need be: `gather` loses a cancel that comes with one of its errors
                watch.cancel()
            await asyncio.wait(watching, timeout=CLOSE_S)
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _hang_up(self) -> list[Session]:
        """Answer what came, then close all connections, while what is to go with them can be written; who they were."""
        door, end = self.door, time.monotonic() + DRAIN_S
        door.draining = True
        while any(session.pending or session.outbox for session in door.sessions) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        left = list(door.sessions)
        for session in left:
            session.close(1001, "the venue stops")
        while door.sessions and time.monotonic() < end + CLOSE_S:
            await asyncio.sleep(0.01)
        return left


def _litestar(app: Any, door: Listening) -> Server:
    return Server(
        app,
        address=door.host,
        port=door.port,
        interface=Interfaces.ASGI,
        # What has not said which HTTP it speaks is waited for without end; a kept connection would end under a request.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_MS, keep_alive=False),
        log_enabled=False,
        ssl_protocol_min=SSLProtocols.tls13,
        **door.tls.server(),
    )


def _collect_rarely() -> None:
    """What stands now stands for good, and what calls leave behind is freed by counting: cycles are rare.

    Without this a third of the time of an order was the garbage collector walking over open orders.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    gc.enable()


def _bound(door: Listening) -> Listening:
    """The same with a port that is free."""
    if not door.port:
        return msgspec.structs.replace(door, port=free_port(door.host))
    if taken(door.host, door.port):
        raise InputError("port", door.port, "must be free: somebody listens there")
    return door


def _address(door: Listening) -> str:
    return f"[{door.host}]:{door.port}" if ":" in door.host else f"{door.host}:{door.port}"
