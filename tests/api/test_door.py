"""The door's clock and its looks: who is cut off, who is not, and what is answered when we fail."""

import asyncio
import json
import os
import resource
import socket
import ssl
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from unittest.mock import Mock

import aiohttp
import pytest
import structlog
from api_venue import ALICE
from certificates import certificate
from dev_venue import dev_venue

from seawall.api import door as doors
from seawall.api import serving, web
from seawall.api import session as sessions
from seawall.api.door import Door
from seawall.api.serving import _litestar
from seawall.api.session import OUTBOX_BYTES, Session
from seawall.api.sockets import connections_most, free_port, until_listening
from seawall.api.web import WebServer
from seawall.cli.bench_clients import Process, load
from seawall.node.configuration import Listening
from seawall.node.listening import Tls
from seawall.vocabulary.errors import OutcomeUnknown


@asynccontextmanager
async def connected(door):
    """A peer of a door that listens, and the session it has there."""
    port = free_port("127.0.0.1")
    server = WebServer(door, Listening("127.0.0.1", port))
    serving = asyncio.create_task(server.serve())
    await until_listening("127.0.0.1", port)
    async with aiohttp.ClientSession() as client, client.ws_connect(f"http://127.0.0.1:{port}/ws/api/v2") as peer:
        (session,) = door.sessions
        yield peer, session
    server.stop()
    await serving


async def gone(door):
    """Once the door has nobody left."""
    async with asyncio.timeout(10):
        while door.sessions:
            await asyncio.sleep(0.01)


def test_what_is_no_request_is_answered_by_its_id(venue):
    """Else whoever waits for that answer waits for ever."""

    async def scenario():
        async with connected(Door(venue.service)) as (peer, _):
            sent = ('{"id":7,"method":3}', '{"id":"b"}', '{"id":[1],"method":"public/test"}', '{"id":5,')
            for text in sent:
                await peer.send_str(text)
            answers = [await peer.receive_json(timeout=5) for _ in sent]
            assert [answer["error"]["code"] for answer in answers] == [-32600] * 3 + [-32700]
            assert [answer["id"] for answer in answers] == [7, "b", None, None]

    asyncio.run(scenario())


def test_a_connection_of_the_first_second_was_not_silent(venue):
    async def scenario():
        door = Door(venue.service)
        async with connected(door) as (peer, session):
            session.cancel_on_disconnect = True
            assert door.cut_stalled() == 0
            assert session.closing is None
            session.heard_at = time.monotonic() - doors.SILENT_S - 1
            door.cut_stalled()
            assert (await peer.receive()).type == aiohttp.WSMsgType.CLOSE
            await gone(door)
            assert session.closing == (1000, "silent")

    asyncio.run(scenario())


def test_a_send_that_is_stuck_is_cut(venue, monkeypatch):
    async def scenario():
        door = Door(venue.service)
        async with connected(door) as (peer, session):
            began = time.monotonic()
            while not session.sending_since or session.sending_since > time.monotonic() - 0.2:
                if not session.outbox:  # the system's buffers take some
                    session.push("x" * 500_000)
                await asyncio.sleep(0.01)
                assert time.monotonic() < began + 20
            assert door.cut_stalled() == 0
            monkeypatch.setattr(doors, "STALL_S", 0.1)
            assert door.cut_stalled() == 1
            await gone(door)
            assert session.closing == (1008, "too slow")
            with pytest.raises((ConnectionError, TypeError)):  # cut, not closed: it would not read a goodbye
                while True:
                    await peer.receive_str()

    asyncio.run(scenario())


def test_no_single_message_is_too_much_for_who_reads(monkeypatch):
    monkeypatch.setattr(sessions, "BURST_S", 0.0)
    session = Session("127.0.0.1:5", websocket=True)
    for size in (OUTBOX_BYTES + 1, 3 * OUTBOX_BYTES):
        for message in ("y", "x" * size, "y"):
            session.push(message)
        assert session.closing is None
        session.outbox.clear()  # it was read
        session.waiting_bytes = 0
    session.push("x" * 2 * OUTBOX_BYTES)
    for _ in range(4):
        session.push("x" * (OUTBOX_BYTES // 4))
    assert session.closing is None
    session.push("x")
    assert session.closing == (1008, "too slow")


def test_what_comes_at_once_is_not_too_much_for_who_reads(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now[0])
    message, session = "x" * (OUTBOX_BYTES // 64), Session("127.0.0.1:5", websocket=True)
    for _ in range(3):
        for _ in range(640):
            session.push(message)
        now[0] += 0.9 * sessions.BURST_S
        while session.outbox:
            session.sent(session.outbox.popleft())
    assert session.closing is None
    for _ in range(128):
        session.push(message)
    now[0] += 0.9 * sessions.BURST_S
    for _ in range(60):  # it reads, and stays behind
        session.sent(session.outbox.popleft())
    session.push(message)
    assert session.closing is None
    now[0] += 0.2 * sessions.BURST_S
    session.push(message)
    assert session.closing == (1008, "too slow")


def test_what_comes_at_once_has_an_end():
    message, session = "x" * OUTBOX_BYTES, Session("127.0.0.1:5", websocket=True)
    for _ in range(sessions.BURST_BYTES // OUTBOX_BYTES + 1):
        session.push(message)
    assert session.closing is None and len(session.outbox) == 17
    session.push(message)
    assert session.closing == (1008, "too slow") and not session.outbox


def test_a_large_message_has_longer_to_leave(venue, monkeypatch):
    monkeypatch.setattr(doors, "STALL_S", 0.2)

    async def scenario(size):
        """After how many STALL_S a message that does not leave is cut."""
        door, session = Door(venue.service), Session("127.0.0.1:5", websocket=True)
        door.sessions.add(session)
        session.push("x" * size)
        never = SimpleNamespace(send_str=lambda message: asyncio.sleep(60))
        sending = asyncio.create_task(door._send(session, never))
        began = time.monotonic()
        while not door.cut_stalled() and session.closing is None:
            await asyncio.sleep(0.01)
        sending.cancel()
        return int((time.monotonic() - began) / 0.2)

    assert asyncio.run(scenario(OUTBOX_BYTES - 1)) == 1
    assert asyncio.run(scenario(3 * OUTBOX_BYTES)) == 4


def test_a_flood_leaves_the_others_their_turns(venue):
    """Thirty connections that sent ten times what is taken kept a cancel waiting for four seconds."""

    class Full:
        """A socket that has always another message."""

        left = 1_000

        async def receive(self):
            self.left -= 1
            return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT if self.left else aiohttp.WSMsgType.CLOSE, "{}", None)

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scenario():
        other = asyncio.create_task(others())
        await Door(venue.service)._receive(Session("127.0.0.1:5", websocket=True), Full())
        other.cancel()

    turns = 0
    asyncio.run(scenario())
    assert turns >= 100


def test_a_quick_reader_hears_all_of_a_flood(tmp_path):
    """A queue that leaves by one message for each turn of the loop grows under load until it is called too slow."""

    async def scenario(venue):
        process = Process(venue.process, venue.ready)
        process.accounts = process.accounts[:1]
        heard = {"open": 0, "cancelled": 0}
        ask = {"method": "private/subscribe", "params": {"channels": ["user.orders.any.any.raw"]}}
        async with (
            asyncio.timeout(60),
            aiohttp.ClientSession() as client,
            client.ws_connect(venue.ready["ws"], headers=process.headers(0)) as reader,
        ):
            await reader.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, **ask}))
            assert json.loads(await reader.receive_str())["result"]
            flood = asyncio.create_task(load(client, venue.ready["ws"], process, 8, 64, 600))
            while heard["cancelled"] < 4_800:
                heard[json.loads(await reader.receive_str())["params"]["data"]["order_state"]] += 1
            await flood
        assert heard == {"open": 4_800, "cancelled": 4_800}

    with dev_venue(tmp_path / "venue") as venue:
        asyncio.run(scenario(venue))


def test_tls_and_who_may_come_in(venue, tmp_path):
    """Nobody without TLS; where certificates of clients are asked for, nobody without one that our authority signed."""
    ours, theirs = (certificate(tmp_path, name, authority=True) for name in ("ours", "theirs"))
    for name, signer in (("server", ours), ("client", ours), ("stranger", theirs)):
        certificate(tmp_path, name, signer)

    def shown(name=None):
        made = ssl.create_default_context(cafile=tmp_path / "ours.pem")
        if name is not None:
            made.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        return made

    async def asked(client, port, context, scheme="https"):
        """The answer over HTTP and over a WebSocket."""
        url = f"{scheme}://127.0.0.1:{port}"
        async with client.get(f"{url}/api/v2/public/get_time", ssl=context) as answer:
            first = await answer.json()
        async with client.ws_connect(f"{url}/ws/api/v2", ssl=context) as socket:
            await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"public/get_time","params":{}}')
            return first["result"] > 0 and json.loads(await socket.receive_str())["result"] > 0

    async def scenario(authority, good, bad):
        tls = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key"), authority)
        tls.check("tls")
        port = free_port("127.0.0.1")
        server = WebServer(Door(venue.service), Listening("127.0.0.1", port, tls))
        serving = asyncio.create_task(server.serve())
        await until_listening("127.0.0.1", port)
        async with aiohttp.ClientSession() as client:
            assert await asked(client, port, shown(good))
            with pytest.raises(aiohttp.ClientError):
                await asked(client, port, None, "http")
            for name in bad:
                with pytest.raises((aiohttp.ClientError, ConnectionError)):
                    await asked(client, port, shown(name))
        server.stop()
        await serving

    asyncio.run(scenario("", None, ()))
    asyncio.run(scenario(str(tmp_path / "ours.pem"), "client", (None, "stranger")))


def test_nothing_below_tls_1_3_is_taken_at_either_door(venue, tmp_path):
    ours = certificate(tmp_path, "ours", authority=True)
    certificate(tmp_path, "server", ours)
    tls = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))

    async def handshake(port, version):
        shown = ssl.create_default_context(cafile=tmp_path / "ours.pem")
        shown.minimum_version = shown.maximum_version = version
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=shown)
        writer.close()

    async def app(scope, receive, send):
        raise AssertionError("nobody asks")

    async def scenario(make):
        port = free_port("127.0.0.1")
        server = make(Listening("127.0.0.1", port, tls))
        serving = asyncio.create_task(server.serve())
        await until_listening("127.0.0.1", port)
        await handshake(port, ssl.TLSVersion.TLSv1_3)
        with pytest.raises(OSError):
            await handshake(port, ssl.TLSVersion.TLSv1_2)
        server.stop()
        await serving

    asyncio.run(scenario(lambda door: WebServer(Door(venue.service), door)))
    asyncio.run(scenario(lambda door: _litestar(app, door)))


def test_whatever_is_refused_is_refused_by_a_document(venue, monkeypatch, caplog):
    """An unknown method before who asks for it; a handshake with what is wrong with it."""
    basic = {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="}
    bearer = {"Authorization": "Bearer none"}

    async def scenario():
        door = Door(venue.service)
        port = free_port("127.0.0.1")
        server = WebServer(door, Listening("127.0.0.1", port))
        serving = asyncio.create_task(server.serve())
        await until_listening("127.0.0.1", port)
        http = f"http://127.0.0.1:{port}"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="

        async def asked(path, headers, **how):
            async with client.request("POST" if how else "GET", http + path, headers=headers, **how) as answer:
                document = await answer.json()
                assert document["jsonrpc"] == "2.0"
                return answer.status, document["error"]["code"]

        async with aiohttp.ClientSession() as client:
            for headers in (basic, bearer):
                assert await asked("/api/v2/private/nothing", headers) == (404, -32601)
                body = {"jsonrpc": "2.0", "id": 1, "method": "private/nothing"}
                assert await asked("/api/v2", headers, json=body) == (404, -32601)
                assert (await asked("/api/v2/private/get_positions", headers))[0] == 401
                assert (await asked("/ws/api/v2", upgrade | headers))[0] == 401
            for headers in ({"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}):
                with structlog.testing.capture_logs() as logged:
                    assert await asked("/api/v2/public/test", headers, data=b"{}" * 20) == (400, -32700)
                assert logged == [] and "Traceback" not in caplog.text
            for params in ({"access_token": []}, ["access_token"]):
                body = {"jsonrpc": "2.0", "id": 1, "method": "public/test", "params": params}
                assert await asked("/api/v2", {}, json=body) == (400, -32602)
            assert (await asked("/ws/api/v3", upgrade))[0] == 404
            monkeypatch.setattr(door, "_crowded", lambda client: True)
            assert await asked("/ws/api/v2", upgrade) == (429, 10028)
            door.draining = True
            assert (await asked("/ws/api/v2", upgrade))[0] == 503
        server.stop()
        await serving

    asyncio.run(scenario())


def test_an_address_is_counted_by_its_host(venue):
    async def scenario():
        venue.service.rates = SimpleNamespace(settings=SimpleNamespace(connections=1))
        door = Door(venue.service)
        async with connected(door):
            crowd = [door._crowded(client) for client in ("127.0.0.1:2", "[::1]:1", "127.0.0.2:1")]
            assert crowd == [True, False, False]

    asyncio.run(scenario())


def test_a_look_that_fails_is_answered_and_the_venue_goes_on(venue, monkeypatch):
    for failure, code in ((KeyError("a defect"), 11094), (OutcomeUnknown("no disk"), 13888)):
        monkeypatch.setattr(venue.node.fold.engine, "account_view", Mock(side_effect=failure))
        assert venue.error("private/get_account_summary", ALICE, currency="BTC")["code"] == code
    monkeypatch.undo()
    assert venue.result("private/get_account_summary", ALICE, currency="BTC")["currency"] == "BTC"
    assert venue.service.sequencer.dead is None


@pytest.mark.parametrize("encrypted", [False, True])
def test_connections_that_say_nothing_leave_descriptors_to_the_journal(venue, tmp_path, monkeypatch, encrypted):
    """Whoever only connects could else take every descriptor, and the writer dies when it opens its next segment."""
    monkeypatch.setattr(web, "connections_most", lambda each: 40)
    ours = certificate(tmp_path, "ours", authority=True)
    certificate(tmp_path, "server", ours)
    tls = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key")) if encrypted else Tls()

    async def scenario():
        port = free_port("127.0.0.1")
        server = WebServer(Door(venue.service), Listening("127.0.0.1", port, tls))
        serving = asyncio.create_task(server.serve())
        await until_listening("127.0.0.1", port)
        before = len(os.listdir("/proc/self/fd"))
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        await asyncio.sleep(0.5)
        assert len(os.listdir("/proc/self/fd")) - before - len(held) <= 30  # three in four are one address's
        for one in held:
            one.close()
        await asyncio.sleep(0.2)
        shown = ssl.create_default_context(cafile=tmp_path / "ours.pem") if encrypted else None
        for _ in range(50):  # those that went made room
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=shown)
            writer.close()
        async with aiohttp.ClientSession() as client:
            url = f"http{'s' if encrypted else ''}://127.0.0.1:{port}/api/v2/public/test"
            async with client.get(url, ssl=shown or True) as answer:
                assert (await answer.json())["result"]["version"]
        server.stop()
        await serving

    asyncio.run(scenario())


def test_the_limit_of_descriptors_is_raised_and_some_are_kept_back(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    told = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    assert connections_most(1) == 4096 - 256
    assert connections_most(2) == (4096 - 256) // 2  # of a desk, whose bots each have one at the venue
    assert told == [(4096, 4096)] * 2


def test_silence_at_the_operations_door_keeps_nobody_out(monkeypatch):
    """It has so many places; whoever took them all and said nothing kept people from the kill switch for good."""
    monkeypatch.setattr(serving, "HEAD_MS", 500, raising=False)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"heard"})

    async def scenario():
        port = free_port("127.0.0.1")
        server = _litestar(app, Listening("127.0.0.1", port))
        ends = asyncio.create_task(server.serve())
        await until_listening("127.0.0.1", port)
        held = []
        for _ in range(200):
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0.2)
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(f"http://127.0.0.1:{port}/") as answer:
            assert await answer.text() == "heard"
            assert answer.headers["connection"] == "close"  # none is kept that might end under the next request
        for one in held:
            one.close()
        server.stop()
        await ends

    asyncio.run(scenario())
