"""What the desk does with a request over HTTP that it cannot put to the venue, and what it tells of the answer."""

import asyncio
import base64
import json
import re
import socket
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest
import structlog
from aiohttp import web
from desk_people import open_orders
from multidict import CIMultiDict
from raw_http import RawHttp
from test_desk_bytes import Relay, ask, recorded_desk
from wire import Wire

from seawall.api.desk import door as doors
from seawall.api.desk.door import DeskDoor
from seawall.api.desk.readings import Forbidden
from seawall.api.desk.sent import Sent
from seawall.api.desk.serving import same_again
from seawall.api.desk.tokens import Tokens
from seawall.api.errors import RpcError
from seawall.api.keystore import Key
from seawall.api.sockets import free_port
from seawall.venues.connection import Unreachable
from seawall.venues.credentials import Credentials, Upstream
from seawall.vocabulary.records import BUY

OURS, THEIRS = "ours-0123456789", "theirs-9876543210"
BUYS = "/api/v2/private/buy"
PERPETUAL = "BTC-PERPETUAL"
PLACED = {"instrument_name": PERPETUAL, "amount": 10, "price": 40_000}


class Order:
    """Notes what an order is told."""

    def __init__(self):
        self.told = []

    def lost(self, why):
        self.told.append(("lost", why))

    def unsent(self):
        self.told.append(("unsent", ""))

    def heard(self, document):
        self.told.append(("heard", json.loads(document)))


@asynccontextmanager
async def door_to(url, mode="observe", order=None):
    """A door whose bots are all let through to an address."""

    async def token(identity, *_):
        return THEIRS

    async def take(*_):
        return order

    gate = SimpleNamespace(enforce=mode == "enforce", take_http=take)
    async with aiohttp.ClientSession() as http:
        door = DeskDoor.__new__(DeskDoor)
        latencies = SimpleNamespace(add=lambda began: None)
        door.desk = SimpleNamespace(
            gate=gate, token=token, latencies=latencies, http=http, upstream=SimpleNamespace(http=url)
        )
        yield door


async def put(door, target, query=None, headers=None):
    """What comes of a GET, or the RpcError."""
    asked = SimpleNamespace(method="GET", target=target, headers=CIMultiDict(headers or {}), client="127.0.0.1:5")
    call = SimpleNamespace(session=SimpleNamespace(identity="alice"), answered=False)
    return await door.pass_on(asked, call, b"", "private/buy", query or {})


@asynccontextmanager
async def deaf():
    """An address whose connections never come about: its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for one in waiting:
            one.close()


@asynccontextmanager
async def answering(answer):
    """An address that answers what `answer` of a request says."""
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def test_a_token_goes_with_the_headers_and_never_into_an_address_a_log_or_an_answer(monkeypatch):
    monkeypatch.setattr(doors, "CONNECT_S", 0.2)
    target = f"{BUYS}?amount=10&access_token={OURS}&label=a%20b"
    seen = []

    async def answer(request):
        seen.append((request.raw_path, request.headers["Authorization"]))
        return web.Response(body=b"{}")

    async def scenario():
        async with answering(answer) as url, door_to(url) as door:
            await put(door, target, {"access_token": OURS})
            for elsewhere in (f"{BUYS}?access_token={OURS}&label={OURS}", f"{BUYS}?%61ccess_token={OURS}"):
                with pytest.raises(RpcError, match="-32600"):
                    await put(door, elsewhere, {"access_token": OURS})
        order = Order()
        async with deaf() as url, door_to(url, "enforce", order) as door:
            with structlog.testing.capture_logs() as logged, pytest.raises(RpcError) as refused:
                await put(door, target, {"access_token": OURS})
        return f"{refused.value.data} {order.told} {logged}"

    said = asyncio.run(scenario())
    assert seen == [(f"{BUYS}?amount=10&label=a%20b", f"Bearer {THEIRS}")]
    assert THEIRS not in said and OURS not in said and "access_token" not in said


def test_a_token_of_null_is_none(tmp_path):
    """Clients that fill in every member send it with what is public, too; it was answered 401."""

    async def run():
        async with recorded_desk(tmp_path, "observe") as (desk, _):
            raw = RawHttp(desk.ready["http"])
            params = {"instrument_name": PERPETUAL, "access_token": None}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/ticker", "params": params})
            headers = [("Content-Type", "application/json")]
            return await asyncio.to_thread(raw.document, "POST", "/api/v2/public/ticker", headers, body.encode())

    status, document = asyncio.run(run())
    assert status == 200 and document["result"]["instrument_name"] == PERPETUAL


WHOLE = (
    f"pany://x{BUYS}?amount=10", f"http://venue{BUYS}", f"@venue{BUYS}", "*", BUYS[1:],
    f"{BUYS}?instrument_name={PERPETUAL}&amount=10&price=61000&label=x#&type=stop_limit",
)  # fmt: skip


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_what_is_put_to_no_path_goes_nowhere(tmp_path, mode):
    """A target may be a whole address, and be part of another's name where it is put behind the venue's. What stands
    behind a # the gate would read and the venue would not: as a stop this order is weighed at the mark."""

    async def run():
        async with recorded_desk(tmp_path, mode) as (desk, relay):
            who = desk.accounts["alice"]
            basic = base64.b64encode(f"{who['key']}:{who['secret']}".encode()).decode()
            raw = RawHttp(desk.ready["http"])
            for target in WHOLE:
                status, document = await asyncio.to_thread(
                    raw.document, "GET", target, [("Authorization", f"Basic {basic}")]
                )
                assert status in (400, 404) and document["error"]["code"] in (-32600, -32601, -32700), target
            assert relay.requests == []

    asyncio.run(run())


def test_the_venues_token_is_shown_to_no_other_address():
    seen = []

    async def answer(request):
        seen.append(request.headers["Authorization"])
        return web.Response(body=b"{}")

    async def scenario():
        async with answering(answer) as url, door_to(url[:-1]) as door:  # another port, without its last digit
            for target in (url[-1] + BUYS, f"@{url.removeprefix('http://')}{BUYS}", "x" + BUYS):
                with pytest.raises(RpcError, match="-32600"):
                    await put(door, target, headers={"Authorization": "Basic b"})

    asyncio.run(scenario())
    assert seen == []


def test_a_cookie_of_the_venues_is_shown_for_no_other_bot(tmp_path, monkeypatch):
    start = Relay.start

    async def named(self):
        self.cookie = "session=whose"
        return (await start(self)).replace("127.0.0.1", "localhost")  # of an address none would be kept

    monkeypatch.setattr(Relay, "start", named)

    async def run():
        async with recorded_desk(tmp_path, "observe") as (desk, relay):
            for bot in ("alice", "bob"):
                answer = await asyncio.to_thread(desk.get, "private/get_positions", bot, currency="BTC")
                assert "result" in answer and "Cookie" not in relay.headers

    asyncio.run(run())


def test_a_secret_of_ours_goes_to_no_address_that_the_venue_names():
    seen = []

    async def elsewhere(request):
        seen.append(await request.read())
        return web.Response(body=b'{"result":{"access_token":"a","expires_in":900}}')

    async def scenario():
        async with answering(elsewhere) as other, aiohttp.ClientSession() as http:

            async def moved(request):
                return web.Response(status=307, headers={"Location": f"{other}{request.path}"})

            async with answering(moved) as url:
                with pytest.raises(Unreachable):
                    await Tokens(http, Upstream(url)).of(Credentials("key", "secret"), "trade:read")

    asyncio.run(scenario())
    assert seen == []


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_an_order_for_which_there_is_no_connection_was_not_sent(mode, monkeypatch):
    monkeypatch.setattr(doors, "CONNECT_S", 0.2)
    monkeypatch.setattr(doors, "CONNECT_ELSE_S", 0.2)

    async def scenario(url):
        order = Order()
        async with door_to(url, mode, order) as door:
            with pytest.raises(RpcError) as refused:
                await put(door, BUYS)
        assert refused.value.code == 13028 and "not sent" in refused.value.data["reason"]
        assert order.told == [("unsent", "")]

    async def both():
        await scenario(f"http://127.0.0.1:{free_port('127.0.0.1')}")
        async with deaf() as url:
            await scenario(url)

    asyncio.run(both())


def test_only_what_was_weighed_is_given_up_early(monkeypatch):
    """An answer after half a second, where orders of enforce wait for a fifth, and connections that take as long."""
    monkeypatch.setattr(doors, "FORWARD_S", 0.2)

    async def answer(request):
        await asyncio.sleep(0.5)
        return web.Response(body=b'{"result":1}')

    async def scenario():
        async with answering(answer) as url:
            for mode, order in (("observe", Order()), ("enforce", None)):
                async with door_to(url, mode, order) as door:
                    assert (await put(door, BUYS)).body == b'{"result":1}'
            order = Order()
            async with door_to(url, "enforce", order) as door:
                with pytest.raises(RpcError) as refused:
                    await put(door, BUYS)
            assert refused.value.code == 13888 and order.told[0][0] == "lost"
        monkeypatch.setattr(doors, "CONNECT_S", 0.1)
        monkeypatch.setattr(doors, "CONNECT_ELSE_S", 1.0)
        async with deaf() as url:
            for mode, order, least in (("observe", Order(), 1.0), ("enforce", None, 1.0), ("enforce", Order(), 0.1)):
                async with door_to(url, mode, order) as door:
                    began = time.monotonic()
                    with pytest.raises(RpcError, match="13028"):
                        await put(door, BUYS)
                    assert least <= time.monotonic() - began < least + 0.8

    asyncio.run(scenario())


def test_of_an_answers_headers_those_are_told_that_lead_nowhere_else():
    told = {
        "Retry-After": "3", "X-RateLimit-Remaining": "7", "Date": "Mon, 01 Jun 2026 00:00:00 GMT", "X-Request-Id": "q",
        "Cache-Control": "no-store",
    }  # fmt: skip
    kept = {"Set-Cookie": "a=b", "Location": "https://venue/", "Alt-Svc": 'h3=":443"', "Strict-Transport-Security": "1"}

    async def answer(request):
        return web.Response(status=429, body=b"{}", headers=told | kept | {"Content-Type": "application/json"})

    async def scenario():
        async with answering(answer) as url, door_to(url) as door:
            return await put(door, BUYS)

    found = asyncio.run(scenario())
    assert found.status == 429 and found.headers["Content-Type"] == "application/json"
    assert {name: found.headers.get(name) for name in told} == told
    assert not set(kept) & set(found.headers)


def test_what_did_not_leave_is_undone_when_it_is_durable():
    """In observe an order goes before it is journalled, so that it may have failed before the engine knew of it."""
    asked = []
    unbound = SimpleNamespace(discard=lambda sent: None, release=lambda sent: None)
    desk = SimpleNamespace(ask=lambda record, *_: asked.append(record), unbound=unbound, lost=[])
    for durable_first in (False, True):
        sent = Sent(desk, 4, "main", SimpleNamespace(name="BTC-PERPETUAL"), BUY, 1, "")
        steps = [lambda sent=sent: sent.durable(7, refused=False), sent.unsent]
        for step in steps if durable_first else steps[::-1]:
            step()
        assert sent.state == "done"
    assert len(asked) == 2  # ENDED, each
    sent = Sent(desk, 4, "main", SimpleNamespace(name="BTC-PERPETUAL"), BUY, 1, "")
    sent.unsent()
    sent.durable(8, refused=True)
    assert len(asked) == 2 and sent.state == "done"


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_after_an_order_that_was_not_sent_the_next_one_goes(tmp_path, mode):
    """Once the venue's door is open again: nothing is unknown, nothing stands in the shadow that is not there."""

    async def run():
        async with recorded_desk(tmp_path, mode) as (desk, relay):
            relay.keeps = False
            assert "result" in await asyncio.to_thread(lambda: desk.get("private/buy", "alice", **PLACED))
            wire = await Wire().connect(desk, "alice")
            await relay.site.stop()
            error = (await asyncio.to_thread(lambda: desk.get("private/buy", "alice", **PLACED)))["error"]
            assert error["code"] == 13028 and "not sent" in error["data"]["reason"]
            answer = await wire.ask("private/buy", **PLACED)  # over a connection that there is
            assert "result" in answer, answer
            await asyncio.sleep(0.2)
            rows = await wire.result("private/get_open_orders")
            await wire.close()
            assert len(rows) == (await asyncio.to_thread(open_orders, desk))["alice"] == 2

    asyncio.run(run())


# -- what is forbidden however it is written ---------------------------------------------------------------------------

DOCUMENTS = (
    '{"id":1,"method":"private/create_api_key","params":{"max_scope":"trade:read_write"}}',
    '{"id":1,"method":"private/create_api_key","method":"public/test"}',
    '{"id":1,"method":"public/test","method":"private/create_api_key"}',
    '{"id":1,"method":"public/test","m\\u0065thod":"private/\\u0063reate_api_key"}',
    '{"id":1,"method":"public/test","Method":"PRIVATE/Create_Api_Key"}',
    '{"id":1,"method":"private//create_api_key"}',
    '{"id":1,"method":"private\\/create_api_key","params":{"n":NaN}}',
    '{"id":1,"method":"private/create_api_key",}',
    '[{"id":1,"method":"private/create_api_key"}]',
    '{"id":1,"method":"private/withdraw ","params":{}}',
)
TARGETS = (
    "/api/v2/private/%63reate_api_key?max_scope=trade", "/api/v2/private/%2563reate_api_key",
    "/api/v2/private//create_api_key", "/api/v2/public/../private/create_api_key", "/api/v2/PRIVATE/CREATE_API_KEY",
    "/api/v2/public/test?method=private%2Fcreate_api_key", "/api/v2/private/withdraw;x=1",
)  # fmt: skip


def test_all_readings_are_looked_at_and_no_words_of_other_kinds():
    forbidden = Forbidden(("private/create_api_key", "private/withdraw"))
    assert all(map(forbidden.in_document, DOCUMENTS)) and all(map(forbidden.in_target, TARGETS))
    for text in (
        '{"method":"private/buy","params":{"label":"private/create_api_key"}}',
        '{"method":"private/get_withdrawals","params":{"note":"withdraw"}}',
        '{"method":"private/buy","params":{"label":"\\u0063reate_api_key"}}', "{", "",
    ):  # fmt: skip
        assert forbidden.in_document(text) == ""
    assert forbidden.in_target("/api/v2/private/buy?label=withdraw&x=private/create_api_key") == ""
    deep = "[" * 100_000 + '{"method":"private/withdraw"}'
    assert forbidden.in_document(deep) == "private/withdraw"
    began = time.monotonic()
    assert forbidden.in_target("/" + "%" + "25" * 100_000) == "" and time.monotonic() < began + 1


def test_in_observe_no_key_is_made_however_it_is_asked_for(tmp_path):
    async def run():
        async with recorded_desk(tmp_path, "observe") as (desk, relay):
            who = desk.accounts["bob"]
            basic = base64.b64encode(f"{who['key']}:{who['secret']}".encode()).decode()
            header, answers = {"Authorization": f"Basic {basic}"}, []
            asked = [("GET", target, None) for target in TARGETS]
            asked += [("POST", "/api/v2", text.encode()) for text in DOCUMENTS]
            asked += [("POST", "/api/v2/private/create_api_key", b'{"id":1,"method":"public/test"}')]
            asked += [("GET", "/api/v2/public/test", DOCUMENTS[0].encode())]
            for one in asked:
                status, _, document = await asyncio.to_thread(ask, desk, *one, header)
                answers.append((status, json.loads(document)["error"]["code"]))
            assert {code for _, code in answers} <= {13021, -32600, -32700}
            assert answers[0] == answers[-1] == answers[-2] and answers[0][1] == 13021
            wire = await Wire().connect(desk, "bob")
            said = []
            wire.on_message = said.append
            for text in DOCUMENTS:
                await wire.raw(text)
            while len(said) < len(DOCUMENTS):
                await asyncio.sleep(0.01)
            assert {message["error"]["code"] for message in said} == {13021}
            placed = await wire.result("private/buy", **PLACED, label="create_api_key")
            assert placed["order"]["label"] == "create_api_key"
            await wire.close()
            sent = [str(request) for request, _, _ in relay.requests] + [
                text for up, _ in relay.connections for text in up
            ]
            return [text for text in sent if re.search("(?i)c?reate_api_key|withdraw", text) and PERPETUAL not in text]

    assert asyncio.run(run()) == []


def test_the_right_to_write_an_account_is_asked_of_the_venue_only_for_what_needs_it(tmp_path):
    async def run():
        async with recorded_desk(tmp_path, "observe") as (desk, relay):
            wire = await Wire().connect(desk, "bob")
            up = next(up for up, _ in relay.connections[::-1] if any("trade:read_write" in text for text in up))

            def scopes():
                found = [json.loads(text)["params"] for text in up if "client_credentials" in text]
                return ["account:read_write" in params["scope"] for params in found]

            assert (await wire.result("private/get_positions")) == [] and scopes() == [False]
            done = [await wire.send("private/enable_cancel_on_disconnect", {}), await wire.send("public/test", {})]
            assert all("result" in answer for answer in await asyncio.gather(*done)) and scopes() == [False, True]
            await wire.result("private/disable_cancel_on_disconnect")
            assert scopes() == [False, True]
            order = [json.loads(text)["method"] for text in up[-4:]]
            assert order == ["public/auth", "private/enable_cancel_on_disconnect", "public/test",
                             "private/disable_cancel_on_disconnect"]  # fmt: skip
            await wire.close()
            relay.requests.clear()
            for name in ("get_positions", "enable_cancel_on_disconnect"):
                await asyncio.to_thread(desk.get, f"private/{name}", "bob")
            logins = [body for (_, _, body), _, _ in relay.requests if b"client_credentials" in body]
            assert [b"account:read_write" in body for body in logins] == [False, True]

    asyncio.run(run())


def test_a_secret_that_the_venue_changed_is_taken_over_and_nothing_that_was_decided_here():
    """With `same_keys`, at a start: the venue has new secrets for two keys, of which one was revoked here."""
    known = {id_: Key(id_, "old", 3) for id_ in ("changed", "revoked", "rotated")}
    known["revoked"].revoked = True
    known["rotated"].secret = "of ours"
    same = [Key(id_, "new", 3) for id_ in ("changed", "revoked", "rotated", "added")]
    found = same_again(known, same, {"changed", "revoked"})
    assert {key.id: (key.secret, key.revoked) for key in found} == {"changed": ("new", False), "added": ("new", False)}
