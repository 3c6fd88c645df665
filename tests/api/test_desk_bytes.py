"""What a bot says reaches the venue byte for byte, in order, and what the venue says the bot; nothing lost or added.

A recording relay stands between desk and venue and keeps every message and request as it came. Exceptions, as the desk
states them: a login is answered by the desk with its own token, and where a call carries that token the venue's stands
in its place. In enforce the same holds for all but what was refused. How much later is `seawall bench desk`.
"""

import asyncio
import base64
import contextlib
import gzip
import http.client
import json
import random
import re

import aiohttp
import pytest
from aiohttp import web
from desk_venue import DeskVenue, write_keys
from dev_venue import orderly

MESSAGES, CHUNK = 2_000, 25
OURS = '"seawall-'
"""In what the desk asks, and is answered, on its own behalf."""

INSTRUMENTS = ("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC_USDC-PERPETUAL")
ODD = ("é", "日本", "🌊", '"', "\\", "\u2028", "a b", "\x7f", "")


class Relay:
    """A venue's two doors with a notebook: `connections` are (to the venue, from it), `requests` what HTTP had."""

    def __init__(self, url):
        self.url, self.connections, self.requests = url, [], []
        self.keeps = True
        """Whether connections of HTTP are kept for the next request."""
        self.cookie = ""
        """What HTTP is told to keep."""

    async def start(self):
        self.client = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{rest:.*}", self._take)
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        self.site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await self.site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def stop(self):
        await self.client.close()
        await self.runner.cleanup()

    async def _take(self, request):
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        body = await request.read()
        who = {"Authorization": request.headers["Authorization"]} if "Authorization" in request.headers else {}
        url = aiohttp.client.URL(self.url + request.raw_path, encoded=True)
        async with self.client.request(request.method, url, data=body or None, headers=who) as answer:
            kind, document = answer.headers["Content-Type"], await answer.read()
            self.requests.append(((request.method, request.raw_path, body), (answer.status, kind, document), who))
            self.headers = request.headers
            told = web.Response(status=answer.status, body=document, headers={"Content-Type": kind})
            if not self.keeps:
                told.force_close()
            if self.cookie:
                told.headers["Set-Cookie"] = self.cookie
            return told

    async def _websocket(self, request):
        near = web.WebSocketResponse(max_msg_size=0)
        await near.prepare(request)
        up, down = [], []
        self.connections.append((up, down))
        async with self.client.ws_connect(f"{self.url}/ws/api/v2".replace("http", "ws", 1), max_msg_size=0) as far:

            async def pump(source, target, kept):
                async for message in source:
                    assert message.type == aiohttp.WSMsgType.TEXT
                    kept.append(message.data)
                    await target.send_str(message.data)

            both = [asyncio.create_task(pump(near, far, up)), asyncio.create_task(pump(far, near, down))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        return near


@contextlib.asynccontextmanager
async def recorded_desk(folder, mode):
    """A desk before a relay before a dev venue with a market."""
    with orderly(folder / "venue", market="sim") as venue:
        relay = Relay(venue.ready["http"])
        url = await relay.start()
        keys = write_keys(venue, folder / "keys.toml")
        desk = await asyncio.to_thread(DeskVenue, folder / "desk", url, mode, keys)
        try:
            yield desk, relay
            assert await asyncio.to_thread(desk.stop) == 0
            log = desk.log.read_text()
            assert "Traceback" not in log and "alert=break" not in log, log[-2000:]
        finally:
            if desk.process.poll() is None:
                desk.kill()
            await relay.stop()


# -- what bots say -----------------------------------------------------------------------------------------------------


class Talk:
    """Random messages of many kinds; `hear` learns order ids from answers."""

    def __init__(self, seed, token, *, careful):
        """`careful`: every message has an id, and its own, so that refusals can be told."""
        self.rng, self.token, self.careful = random.Random(seed), token, careful
        self.orders, self.number = [], 100

    def hear(self, text):
        with contextlib.suppress(ValueError):
            result = json.loads(text).get("result")
            if isinstance(result, dict) and isinstance(result.get("order"), dict):
                self.orders.append(result["order"]["order_id"])

    def message(self):
        rng = self.rng
        kinds = (self._order, self._order, self._order, self._edit, self._cancel, self._public, self._private,
                 self._subscription, self._unknown, self._unknown_order)  # fmt: skip
        if rng.random() < 0.06:
            return self.rng.choice(GARBAGE + PLAIN)
        method, given = rng.choice(kinds)()
        if rng.random() < 0.1:
            given["note"] = rng.choice(ODD) * rng.choice((1, 50, 5_000))
        return self._written(method, given)

    def _written(self, method, given):
        rng = self.rng
        self.number += 1
        document = {"jsonrpc": "2.0", "id": self._id(), "method": method, "params": given}
        if not self.careful and rng.random() < 0.1:
            del document["id"]
        if rng.random() < 0.1 and not isinstance(document.get("id"), bool | list | dict):  # else it is no request
            given["access_token"] = self.token
        if rng.random() < 0.2:
            document = dict(rng.sample(list(document.items()), len(document)))
        text = json.dumps(
            document, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1, "\t")),
            separators=rng.choice((None, (",", ":"), (" , ", "\r\n:\t"))),
        )  # fmt: skip
        if rng.random() < 0.1:
            text = text.replace("private/", "private\\/")
        return rng.choice(("", "", " ", "\n\t")) + text + rng.choice(("", "", "  ", "\r\n"))

    def _id(self):
        own = [self.number, f"b-{self.number}", -self.number, f"{self.rng.choice(ODD)} {self.number}"]
        if self.careful:
            return self.rng.choice(own)
        return self.rng.choice(
            [*own, *own, 7, "same", 1.5, -0.0, 2**53 + 1, 2**80, None, True, [1], {"a": 1}, "", "x" * 900]
        )

    def _order(self):
        rng, name = self.rng, self.rng.choice(INSTRUMENTS)
        price = {"BTC-PERPETUAL": 40_000, "ETH-PERPETUAL": 1_500, "BTC_USDC-PERPETUAL": 40_000}[name]
        amount = {"BTC-PERPETUAL": 10, "ETH-PERPETUAL": 1, "BTC_USDC-PERPETUAL": 0.001}[name] * rng.randint(1, 9)
        given = {"instrument_name": name, "amount": amount, "type": "limit", "price": price + rng.randint(0, 99)}
        if rng.random() < 0.2:
            given = {"instrument_name": name, "amount": amount, "type": "market"}
        if rng.random() < 0.5:
            given["label"] = rng.choice(ODD) + str(self.number)
        if rng.random() < 0.1:
            given["time_in_force"] = "immediate_or_cancel"
        if rng.random() < 0.1:
            given["amount"] = rng.choice((1e12, 0, -5, "ten", 10**9))
        side = "buy" if given["type"] == "limit" else rng.choice(("buy", "sell"))
        return f"private/{side}", given

    def _unknown_order(self):
        name = self.rng.choice(("NO-SUCH-PERPETUAL", "BTC-PERPETUAL ", "", "🌊"))
        return "private/sell", {"instrument_name": name, "amount": 10, "type": self.rng.choice(("limit", "wave"))}

    def _own(self):
        return self.rng.choice(self.orders[-200:]) if self.orders and self.rng.random() < 0.9 else "BTC-9999999999"

    def _edit(self):
        return "private/edit", {"order_id": self._own(), "amount": 10 * self.rng.randint(1, 9), "price": 39_000.5}

    def _cancel(self):
        if self.rng.random() < 0.02:
            return "private/cancel_all", {}
        return "private/cancel", {"order_id": self._own()}

    def _public(self):
        name = self.rng.choice(INSTRUMENTS)
        return self.rng.choice((
            ("public/get_time", {}),
            ("public/test", {"expected_result": "no"}),
            ("public/get_instruments", {"currency": "BTC"}),
            ("public/ticker", {"instrument_name": name}),
            ("public/get_order_book", {"instrument_name": name, "depth": 5}),
            ("public/get_book_summary_by_currency", {"currency": "ETH", "kind": "future"}),
        ))  # fmt: skip

    def _private(self):
        return self.rng.choice((
            ("private/get_positions", {}),
            ("private/get_open_orders", {}),
            ("private/get_account_summary", {"currency": "BTC"}),
            ("private/get_user_trades_by_currency", {"currency": "BTC", "count": 3}),
            ("private/mass_quote", {"quotes": []}),
            ("private/close_position", {"instrument_name": "ETH-PERPETUAL", "type": "market"}),
        ))  # fmt: skip

    def _subscription(self):
        rng, name = self.rng, self.rng.choice(INSTRUMENTS)
        channels = [f"book.{name}.100ms", f"ticker.{name}.100ms", f"trades.{name}.100ms", "user.orders.any.any.raw",
                    "user.changes.any.any.raw", "no.such.channel", "🌊", f"quote.{name}"]  # fmt: skip
        verb = rng.choice(("public/subscribe", "private/subscribe", "private/subscribe", "public/unsubscribe"))
        return verb, {"channels": rng.sample(channels, rng.randint(0, 4))}

    def _unknown(self):
        names = ("public/no_such", "private/no_such", "", "/", "public", "x" * 3_000, "private/日本", "PRIVATE/BUY")
        return self.rng.choice(names), self.rng.choice(({}, {"deep": {"er": [[[]]]}}, {"big": "y" * 100_000}))


GARBAGE = (
    '{"id":5,"method":"private/sell","params":null}', "{", "null", "[]", "1e9", '"text"', "[{}]", '{"jsonrpc":"2.0"',
    "é" * 40, "\x00", "", '{"method":1}', '{"id":1,"id":2,"method":"public/test","method":"public/get_time"}',
    '{"id":3,"method":"private/buy",}', "[" * 3_000, '{"id":"\\ud800","method":"public/test"}',
)  # fmt: skip
PLAIN = (
    '{"id":4,"method":"public/test","params":[1,2]}', '{"method":"public/test","a":' + "9" * 400 + "}",
    '{"method":"public/test","params":{"unknown":[1.50,{}]}}',
)  # fmt: skip
"""No requests, requests that read two ways, ids that come again; the second lot reads one way only."""


async def logged_in(client, desk, heard):
    """A bot's socket, and the desk's token."""
    socket = await client.ws_connect(desk.ready["ws"], max_msg_size=0)
    who = desk.accounts["alice"]
    given = {"grant_type": "client_credentials", "client_id": who["key"], "client_secret": who["secret"]}
    await socket.send_str('{"id": "mine", "method": "public/test"}')
    await socket.send_str(json.dumps({"id": "login", "method": "public/auth", "params": given}))
    token = ""
    while not token:
        text = await socket.receive_str(timeout=20)
        found = json.loads(text)
        if found["id"] == "login":
            token = found["result"]["access_token"]
        else:
            heard.append(text)
    return socket, token


async def conversation(desk, relay, *, careful):
    """(what the bot sent, what came to the venue, what the venue sent, what the bot heard); tokens put alike."""
    heard = []
    async with aiohttp.ClientSession() as client:
        socket, token = await logged_in(client, desk, heard)
        talk = Talk(11, token, careful=careful)

        async def listen():
            async for message in socket:
                assert message.type == aiohttp.WSMsgType.TEXT
                heard.append(message.data)
                talk.hear(message.data)

        listening = asyncio.create_task(listen())
        up, down = next(pair for pair in relay.connections if pair[0] and '"mine"' in pair[0][0])
        sent = ['{"id": "mine", "method": "public/test"}']
        for at in range(MESSAGES):
            sent.append(talk.message())
            await socket.send_str(sent[-1])
            if at % CHUNK == 0:
                await asyncio.sleep(0.02)
        for scope in ("public", "private"):
            sent.append(json.dumps({"id": f"{scope} end", "method": f"{scope}/unsubscribe_all", "params": {}}))
            await socket.send_str(sent[-1])
        before = -1
        while before != len(down) or not any('"private end"' in text for text in heard[-500:]):
            before = len(down)
            assert not listening.done() and not socket.closed, heard[-1:]
            await asyncio.sleep(1.5)
        theirs = next(json.loads(text)["result"]["access_token"] for text in down if OURS in text)
        await socket.close()
        await listening
    assert token not in "".join(up)
    expected = [text.replace(token, theirs) for text in sent]
    return expected, [text for text in up if OURS not in text], [text for text in down if OURS not in text], heard


def test_observe_passes_every_message_byte_for_byte(tmp_path):
    async def run():
        async with recorded_desk(tmp_path, "observe") as (desk, relay):
            return await conversation(desk, relay, careful=False)

    sent, arrived, said, heard = asyncio.run(run())
    assert len(sent) > MESSAGES
    assert arrived == sent
    assert heard == said
    assert sum('"method":"subscription"' in text for text in heard) > 20
    assert sum('"order_state"' in text for text in heard) > 100
    assert max(map(len, heard)) > 50_000


def test_enforce_passes_every_message_but_what_it_refuses(tmp_path):
    async def run():
        async with recorded_desk(tmp_path, "enforce") as (desk, relay):
            return await conversation(desk, relay, careful=True)

    sent, arrived, said, heard = asyncio.run(run())
    theirs = set(said)
    assert [text for text in heard if text in theirs] == said
    ours = [json.loads(text) for text in heard if text not in theirs]
    assert all("error" in answer for answer in ours)
    ours = [answer for answer in ours if answer.get("id") not in (None, 1, 2, 3, 4, 5)]  # to no garbage
    refused = {json.dumps(answer["id"]) for answer in ours}
    assert len(refused) == len(ours) > 50  # each once
    assert arrived == [text for text in sent if text not in GARBAGE and number_of(text) not in refused]
    gone = {json.loads(text)["method"].lstrip("/") for text in sent if number_of(text) in refused}
    plain = {name for name in gone if re.fullmatch(r"(public|private)/[a-z_]+", name)}
    assert plain <= {"private/buy", "private/sell", "private/edit", "private/mass_quote", "private/close_position"}


NAMES = ["private/buy", "private/cancel_all", "private/get_positions"]


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_the_last_words_of_either_are_heard_and_how_the_venue_ended_it(tmp_path, mode):
    """A cancel that a bot says as it leaves, and what the venue says before it closes, however much of it waits."""
    said = json.dumps({"method": "subscription", "params": {"channel": "x", "data": "y" * 1_000_000}})

    async def goodbye(request):
        near = web.WebSocketResponse()
        await near.prepare(request)
        await near.receive()
        for _ in range(20):
            await near.send_str(said)
        await near.close(code=4000)
        return near

    async def run():
        async with recorded_desk(tmp_path, mode) as (desk, relay), aiohttp.ClientSession() as client:
            socket, _ = await logged_in(client, desk, [])
            up, _ = relay.connections[-1]
            order = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "type": "limit", "price": 40_000}
            for number, (name, given) in enumerate(zip(NAMES, (order, {}, {}), strict=True)):
                await socket.send_str(json.dumps({"id": number, "method": name, "params": given}))
            await socket.close()
            async with asyncio.timeout(10):
                while "get_positions" not in up[-1]:
                    await asyncio.sleep(0.01)
            names = [json.loads(text)["method"] for text in up if OURS not in text][1:]
            # in enforce the order may still wait for the journal, and nobody is left to be told what becomes of it
            assert names == NAMES or (mode == "enforce" and names == NAMES[1:])
            relay._websocket = goodbye
            socket = await client.ws_connect(desk.ready["ws"], max_msg_size=0)
            await socket.send_str('{"id":1,"method":"public/test"}')
            heard = []
            async for message in socket:
                heard.append(message.data)
                await asyncio.sleep(0.02)
            assert heard == [said] * 20 and socket.close_code == 4000
            del relay._websocket

    asyncio.run(run())


def number_of(text):
    """A message's id as JSON; empty for what is no request."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        return json.dumps(found["id"]) if isinstance(found, dict) and "id" in found else ""
    return ""


# -- over HTTP ---------------------------------------------------------------------------------------------------------

GETS = (
    "/api/v2/public/get_time", "/api/v2/public/get_instruments?currency=BTC&kind=future", "/api/v2/public/no?x=%20",
    "/api/v2/public/ticker?instrument_name=BTC-PERPETUAL&a=b+c&a=%C3%A9&empty=&flag", "/api/v2/", "/elsewhere?q=1",
    "/api/v2/private/get_positions", "/api/v2/private/get_open_orders?kind=%E6%97%A5",
    "/api/v2/private/buy?instrument_name=BTC-PERPETUAL&amount=10&type=limit&price=40001&label=%F0%9F%8C%8A",
    "/api/v2/private/buy?instrument_name=BTC-PERPETUAL&amount=ten", "/api/v2/private/cancel_all",
)  # fmt: skip
POSTS = (
    ("/api/v2/public/test", b'{"jsonrpc":"2.0","id":1,"method":"public/test","params":{}}'),
    ("/api/v2", ' {"id" : "é🌊", "method":\n"public/get_time"}  '.encode()),
    ("/api/v2/private/sell", b'{"id":2.5,"method":"private\\/sell","params":{"instrument_name":"ETH-PERPETUAL",'
                             b'"amount":1,"type":"limit","price":9000.05}}'),
    ("/api/v2/private/buy", b'{"id":3,"method":"private/buy","params":{"instrument_name":"NONE","amount":1}}'),
    ("/api/v2/private/edit", b'{"id":4,"method":"private/edit","params":{"order_id":"BTC-99","amount":10,"price":1}}'),
    ("/api/v2/public/none", b'{"id":5,"method":"public/none","params":{"big":"' + b"z" * 100_000 + b'"}}'),
    ("/api/v2/private/get_positions", b'{"method":"private/get_positions","params":{}}'),
)  # fmt: skip
HELD = {
    GETS[3], GETS[4], GETS[5], "/api/v2/private/buy?instrument_name=BTC-PERPETUAL&amount=ten", "/api/v2/private/buy",
    "/api/v2/private/edit",
}  # fmt: skip
"""In enforce: a parameter twice, no method, a path of no method; an amount, an instrument, an order of no sense."""


def ask(desk, method, target, body, header):
    """(status, content-type, body) of one request whose target is written as it stands."""
    connection = http.client.HTTPConnection(*desk.ready["http"].removeprefix("http://").split(":"), timeout=30)
    try:
        connection.request(method, target, body, header)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_http_passes_byte_for_byte(tmp_path, mode):
    async def run():
        async with recorded_desk(tmp_path, mode) as (desk, relay):
            who = desk.accounts["bob"]
            basic = base64.b64encode(f"{who['key']}:{who['secret']}".encode()).decode()
            header = {"Authorization": f"Basic {basic}"}
            asked = [("GET", target, b"") for target in GETS] + [("POST", *post) for post in POSTS]
            found = []
            for method, target, body in asked:
                relay.requests.clear()
                got = await asyncio.to_thread(ask, desk, method, target, body or None, header)
                mine = [row for row in relay.requests if b"public/auth" not in row[0][2]]
                found.append(((method, target, body), got, mine))
            return found

    held = set()
    for asked, got, mine in asyncio.run(run()):
        if mode == "enforce" and not mine:
            held.add(asked[1])
            assert b'"error"' in got[2], asked
            continue
        [(arrived, answered, who)] = mine
        assert arrived == asked
        assert got == answered
        assert who["Authorization"].startswith("Bearer ")
    assert held == (HELD if mode == "enforce" else set())


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_what_is_about_the_bots_own_connection_stays_there(tmp_path, mode):
    """A body in pieces, or packed, and headers of one hop; what is the bot's own to say passes."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"public/get_instruments","params":{"currency":"BTC"}}'
    hop = {"Connection": "keep-alive, x-mine", "Keep-Alive": "timeout=5", "TE": "trailers", "X-Mine": "1",
           "Proxy-Authorization": "Basic eA==", "Expect": "100-continue"}  # fmt: skip
    own = {"Content-Type": "application/json", "User-Agent": "bot/1", "X-Own": "yes"}

    async def run():
        async with recorded_desk(tmp_path, mode) as (desk, relay):
            for given, more in (
                (body, {}),
                (iter([body[:20], body[20:]]), {}),  # of no length told before: in chunks
                (gzip.compress(body), {"Content-Encoding": "gzip"}),
            ):
                relay.requests.clear()
                got = await asyncio.to_thread(ask, desk, "POST", "/api/v2", given, hop | own | more)
                [((_, _, arrived), answered, _)] = relay.requests
                assert got[0] == 200 and got == answered and arrived == body
                assert {name: relay.headers.get(name) for name in own} == own
                gone = {*hop, *more, "Transfer-Encoding"} - {"Connection"}
                assert not {name.lower() for name in gone} & {name.lower() for name in relay.headers}
                assert relay.headers["Content-Length"] == str(len(body))

    asyncio.run(run())
