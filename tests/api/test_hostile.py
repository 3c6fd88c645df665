"""Requests made to break the doors, between valid ones that must succeed: errors, not effects.

Whatever comes is answered with a JSON-RPC document and no 5xx, nothing is journalled for it, no account changes, memory
stays, and the log has no secret. The journal is read at the end: of clients it holds the valid requests, nothing else.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import re
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from dev_venue import SOURCE, dev_venue
from raw_http import RawHttp
from wire import Wire

from seawall.api.errors import WORDS
from seawall.journal import folders_of, frames
from seawall.vocabulary.records import SYSTEM_ACCOUNTS, Kind

ORDER = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 50_000}
ACCOUNTS = ("alice", "bob", "carol", "dave")

TEXTS = (
    "NaN", "nan", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-10", "0", "-0", "", " ", "ten", "0x10",
    "1_0", "10,0", "\u0661\u0660", "\uff11\uff10", "9223372036854775808", "18446744073709551616", "1e308",
    "1.7976931348623157e308", "5e-324", "[10]", '{"a":1}', "[[[[", "[" * 500 + "]" * 500, "9" * 5000,
    "0." + "0" * 400 + "1", "10;DROP", "true", "\x00", "\ud800".encode(errors="surrogatepass").decode("latin-1"),
    "10\r\n", "%00", "../..", "\u202e10", "\U0001d7cf\U0001d7ce", "11", "1e1000000000",
)  # fmt: skip
"""None of them is an amount, or a price, as this instrument takes it."""

NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1", "0", "-0.0", "1e-320", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 400, "1" + "0" * 5000, "1.5", "11",
    "true", "null", "[]", "{}", '"ten"', '""', '"NaN"', "[10]", '{"amount":10}', '"\\ud800"', '"\\u0000"', "0x10",
    "01", "+10", ".5", "1.", "1e", "--1",
)  # fmt: skip
"""JSON, or nearly, in the place of an amount; all refused."""

BODIES = (
    b"", b" ", b"null", b"true", b"1", b'"buy"', b"[]", b"{}", b"[[]]", b"{", b"}", b'{"method"', b'{"method":}',
    b'{"method":null}', b'{"method":1}', b'{"method":[]}', b'{"method":{}}', b'{"method":""}', b'{"method":"/"}',
    b'{"method":"private/buy","params":[]}', b'{"method":"private/buy","params":"x"}',
    b'{"method":"private/buy","params":1}', b'{"method":"private/buy","params":{',
    b'{"method":"private/buy","id":{}}', b'{"method":"private/buy","id":[1]}', b'{"method":"private/buy","id":1e999}',
    b'{"method":"private/buy","id":' + b"9" * 5000 + b"}",
    b'[{"jsonrpc":"2.0","id":1,"method":"private/buy","params":{}}]', b'[1,2,3]', b"[" * 20_000, b'{"a":' * 20_000,
    b"[" * 20_000 + b"]" * 20_000, b'{"method":"private/buy","params":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b'{"method":"public/test"}}', b'{"method":"public/test"} {}', b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
    b'{"method":"\xff\xff"}', b'{"method":"\xed\xa0\x80"}', b'{"method":"\\ud800"}', b"\x00" * 100, b"\x80" * 1000,
    b'{"method":"private/\\u0062uy","method":"public/nothing"}', b'{"method":"private/buy","params":{"amount":NaN}}',
    b'{"method":"' + b"x" * 100_000 + b'"}', b'{"method":"__class__"}', b'{"method":"private/../public/test"}',
    b"<xml/>", b"method=private/buy&amount=10", b"--boundary\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 300_000,
)  # fmt: skip

PATHS = (
    "/", "/api", "/api/", "/api/v1/public/test", "/api/v2", "/api/v2/", "/api/v2//", "/api/v3/private/buy",
    "/metrics", "/api/v2/private", "/api/v2/private/", "/api/v2/private/buy/x", "/api/v2/private/buy%00",
    "/api/v2/%2e%2e/private/buy", "/api/v2/../v2/private/buy", "/API/V2/PRIVATE/BUY", "/ws/api/v2", "/.git/config",
    "/halt", "/keys", "//api/v2/private/buy", "/api/v2/private/buy;x", "/api/v2/private%2fbuy",
    "/api/v2/private/" + "a" * 8000, "/%ff%fe", "/api/v2/private/Buy", "/api/v2/private/__init__",
    "/api/v2/private/buy#", "*", "/api/v2?method=private/buy", "/api/v2/public/test%0d%0aX:1",
)  # fmt: skip

METHODS = ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "G" * 200)

AUTHORIZATIONS = (
    "", "Basic", "Basic ", "Basic !!!", "Basic " + base64.b64encode(b"alice").decode(), "Bearer", "Bearer ",
    "Bearer null", "Basic " + base64.b64encode(b"alice:").decode(),
    "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    "Basic " + base64.b64encode(b"alice:" + b"a" * 9000).decode(), "Bearer " + "a" * 9000, "Digest username=alice",
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "deri-hmac-sha256", "deri-hmac-sha256 ",
    "deri-hmac-sha256 id", "deri-hmac-sha256 id=alice", "deri-hmac-sha256 id=alice,ts=1,sig=,nonce=",
    "deri-hmac-sha256 ,,,,", "deri-hmac-sha256 id=alice,ts=NaN,sig=00,nonce=1",
    "deri-hmac-sha256 id=alice,ts=" + "9" * 400 + ",sig=00,nonce=1",
    "deri-hmac-sha256 id=alice,ts=\u0661\u0667,sig=00,nonce=1".encode().decode("latin-1"), "\xff\xfe",
    "Basic Basic Basic",
)  # fmt: skip

ORDER_IDS = (
    "", "0", "-1", "BTC-", "BTC--1", "BTC-0", "BTC-1e3", "BTC-\u0661", "BTC-" + "9" * 18, "BTC-" + "9" * 400, "../1",
    "null", "BTC-9223372036854775808", "ETH-SLTS-1", "BTC-1.0", "BTC-0x1", "\x00", "'; --", "BTC-" + "a" * 10_000,
    "BTC-²",
)  # fmt: skip

PERPETUAL = {"instrument_name": "BTC-PERPETUAL"}
BTC = {"currency": "BTC"}

LOOKS = (
    ("public/get_order_book", PERPETUAL, "depth"),
    ("public/get_last_trades_by_instrument", PERPETUAL, "count"),
    ("public/get_last_trades_by_instrument_and_time", PERPETUAL, "start_timestamp"),
    ("public/get_tradingview_chart_data", {**PERPETUAL, "start_timestamp": 0, "resolution": "1"}, "end_timestamp"),
    ("public/get_funding_rate_value", {**PERPETUAL, "start_timestamp": 0}, "end_timestamp"),
    ("public/get_funding_rate_history", {**PERPETUAL, "end_timestamp": 1}, "start_timestamp"),
    ("public/get_volatility_index_data", {**BTC, "start_timestamp": 0, "resolution": "60"}, "end_timestamp"),
    ("public/get_instruments", {}, "currency"), ("public/ticker", {}, "instrument_name"),
    ("public/get_index_price", {}, "index_name"), ("public/get_delivery_prices", {"index_name": "btc_usd"}, "offset"),
    ("public/get_last_settlements_by_currency", BTC, "continuation"),
    ("private/get_order_history_by_currency", BTC, "offset"),
    ("private/get_user_trades_by_currency", BTC, "start_id"),
    ("private/get_user_trades_by_instrument", PERPETUAL, "end_seq"),
    ("private/get_transaction_log", {**BTC, "start_timestamp": 0}, "end_timestamp"),
    ("private/get_trigger_order_history", BTC, "continuation"),
    ("private/get_settlement_history_by_currency", BTC, "continuation"),
    ("private/simulate_portfolio", BTC, "simulated_positions"),
    ("private/get_margins", {**PERPETUAL, "amount": 10}, "price"),
    ("private/get_positions", {}, "kind"), ("private/get_account_summary", {}, "currency"),
    ("private/get_transfers", BTC, "count"), ("private/get_mmp_config", {}, "index_name"),
)  # fmt: skip
"""Methods that change nothing: whatever stands in one of their parameters they may answer, or refuse."""


class Attacker:
    """Draws one hostile request after the other, by a seed, and knows what may come of it."""

    def __init__(self, venue, seed):
        self.venue, self.rng = venue, random.Random(seed)
        self.http, self.operations = RawHttp(venue.ready["http"]), RawHttp(venue.ready["ops"])
        self.basic = self._basic("alice")
        self.operators = {person["role"]: person["token"] for person in venue.ready["operators"]}
        self.secrets = {account["secret"] for account in venue.ready["accounts"]} | set(self.operators.values())
        self.theirs = ""
        """An order of bob's."""
        self.replay = None
        """A signed request that was taken."""
        self.tokens = {}
        self.statuses = {}
        self.kinds = [
            self.wrong_text, self.wrong_json, self.wrong_body, self.wrong_path, self.wrong_method, self.wrong_login,
            self.wrong_order_id, self.wrong_look, self.wrong_signature, self.wrong_token, self.wrong_label,
            self.wrong_words, self.over_socket_only, self.over_limits, self.wrong_port, self.wrong_role,
        ]  # fmt: skip

    def _basic(self, name):
        who = self.venue.accounts[name]
        return ("Authorization", "Basic " + base64.b64encode(f"{who['key']}:{who['secret']}".encode()).decode())

    def signature(self, method, target, body=b"", *, stamp=None, name="alice", nonce="n"):
        who = self.venue.accounts[name]
        stamp = int(time.time() * 1000) if stamp is None else stamp
        text = f"{stamp}\n{nonce}\n{method}\n{target}\n".encode() + body + b"\n"
        made = hmac.new(who["secret"].encode(), text, hashlib.sha256).hexdigest()
        return ("Authorization", f"deri-hmac-sha256 id={who['key']},ts={stamp},sig={made},nonce={nonce}")

    def prepare(self):
        """What some attacks need: tokens narrowed, expired and unknown, an order of another's."""
        assert {"operator", "developer", "auditor"} <= set(self.operators), "the venue names no operators"

        def login(**more):
            who = self.venue.accounts["alice"]
            return self.venue.get("public/auth", grant_type="client_credentials", client_id=who["key"],
                                  client_secret=who["secret"], **more)["result"]  # fmt: skip

        self.tokens["narrowed"] = login(scope="account:read trade:read")["access_token"]
        self.tokens["none"] = login(scope="trade:none")["access_token"]
        expiring = login(scope="trade:read_write expires:1")
        self.tokens["expired"] = expiring["access_token"]
        old = login()
        self.tokens["unknown"] = old["access_token"][::-1]
        self.secrets |= {old["access_token"], old["refresh_token"], expiring["access_token"]}
        deadline = time.monotonic() + 10
        while self.token_works("expired"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.theirs = self.venue.get("private/buy", "bob", **ORDER)["result"]["order"]["order_id"]

    def token_works(self, name):
        header = ("Authorization", "Bearer " + self.tokens[name])
        return "result" in self.http.document("GET", "/api/v2/private/get_positions", [header])[1]

    # -- whether it must fail, what is sent, and where if not to the trading door ----------------------------------

    def strike(self):
        """One hostile request, and what came of it."""
        kind = self.rng.choice(self.kinds)
        must_fail, request, *there = kind()
        status, headers, body = (there[0] if there else self.http).ask(*request)
        about = (kind.__name__, request[0], request[1][:200], status, body[:300])
        assert status < 500, about
        if request[0] == "HEAD":
            return about
        assert headers.get("content-type") == "application/json", about
        if there:
            assert status >= 400 and "error" in json.loads(body), about
        else:
            check_document(json.loads(body), must_fail, about)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        return about

    def get(self, name, params, *headers):
        return "GET", f"/api/v2/{name}?{urlencode(params, errors='surrogatepass')}", headers

    def post(self, body, *headers, target="/api/v2"):
        kinds = ("application/json", "text/plain", "multipart/form-data", "application/xml; charset=utf-16", "\xff", "")
        return "POST", target, [*headers, ("Content-Type", self.rng.choice(kinds))], body

    def rpc(self, name, params):
        """A request's bytes, its parameters as JSON text."""
        return b'{"jsonrpc":"2.0","id":7,"method":"%s","params":%s}' % (
            name.encode(),
            params.encode(errors="surrogatepass"),
        )

    def wrong_text(self):
        params = {**ORDER, self.rng.choice(("amount", "price")): self.rng.choice(TEXTS)}
        if params["amount"] == 10 and params["price"] in ("11", "1e308"):
            params["price"] = "-11"
        return True, self.get(self.rng.choice(("private/buy", "private/sell")), params, self.basic)

    def wrong_json(self):
        name = self.rng.choice(("private/buy", "private/sell"))
        text = (
            json.dumps(ORDER)[:-1] + f', "amount": {self.rng.choice(NUMBERS)}}}'
        )  # a duplicate key: the last one counts
        return True, self.post(self.rpc(name, text), self.basic)

    def wrong_body(self):
        body = self.rng.choice(BODIES)
        if self.rng.random() < 0.3:
            cut = bytearray(self.rpc("private/buy", json.dumps(ORDER)))
            del cut[self.rng.randrange(1, len(cut)) :]
            body = bytes(cut)
        return True, self.post(body, self.basic)

    def wrong_path(self):
        return True, (self.rng.choice(("GET", "POST")), self.rng.choice(PATHS), [self.basic])

    def wrong_method(self):
        return True, (self.rng.choice(METHODS), "/api/v2/private/buy?" + urlencode(ORDER), [self.basic])

    def wrong_login(self):
        return True, self.get("private/buy", ORDER, ("Authorization", self.rng.choice(AUTHORIZATIONS)))

    def wrong_order_id(self):
        number = self.rng.choice((*ORDER_IDS, self.theirs))
        name = self.rng.choice(("private/cancel", "private/edit", "private/get_order_state"))
        more = {"amount": 20, "price": 50_000} if name == "private/edit" else {}
        return True, self.get(name, {"order_id": number, **more}, self.basic)

    def wrong_look(self):
        name, params, field = self.rng.choice(LOOKS)
        if self.rng.random() < 0.5:
            return False, self.get(name, {**params, field: self.rng.choice(TEXTS)}, self.basic)
        text = json.dumps({**params, "_": 0})[:-1] + f', "{field}": {self.rng.choice(NUMBERS)}}}'
        return False, self.post(self.rpc(name, text), self.basic)

    def wrong_signature(self):
        target = "/api/v2/private/buy?" + urlencode({**ORDER, "amount": 20})
        now = int(time.time() * 1000)
        which = self.rng.randrange(5)
        if which == 0 and self.replay is not None:
            return True, self.replay
        if which == 1:
            return True, ("GET", target, [self.signature("GET", target, stamp=now - 61_000)])
        if which == 2:
            return True, ("GET", target, [self.signature("GET", target, stamp=now + 61_000)])
        if which == 3:
            return True, ("GET", target.replace("20", "30"), [self.signature("GET", target)])
        body = self.rpc("private/buy", json.dumps(ORDER))
        return True, ("POST", "/api/v2", [self.signature("POST", "/api/v2", body)], body.replace(b"10", b"20"))

    def wrong_token(self):
        token = self.rng.choice(sorted(self.tokens.values()))
        which = self.rng.randrange(3)
        if which == 0:
            return True, self.get("private/buy", {**ORDER, "access_token": token})
        if which == 1:
            return True, self.get("private/buy", ORDER, ("Authorization", f"Bearer {token}"))
        return True, self.post(self.rpc("private/sell", json.dumps({**ORDER, "access_token": token})))

    def wrong_label(self):
        label = self.rng.choice(
            (
                '"' + "x" * 65 + '"',
                '"' + "x" * 100_000 + '"',
                '"\\ud800"',
                '"\\udc00\\ud800"',
                "1e5",
                "[]",
                "{}",
                '"\xff',
            )
        )
        field = self.rng.choice(("label", "client_order_id"))
        return True, self.post(self.rpc("private/buy", json.dumps(ORDER)[:-1] + f', "{field}": {label}}}'), self.basic)

    def wrong_words(self):
        field = self.rng.choice(("type", "time_in_force", "instrument_name", "trigger"))
        word = self.rng.choice(
            ("", "LIMIT", "limit ", "a" * 10_000, "null", "\x00", "0", "[]", "stop", "BTC-PERPETUAL\n", "btc-perpetual")
        )
        params = {**ORDER, field: word}
        if field == "trigger":
            params |= {"type": "stop_limit", "trigger_price": 40_000}
        if field == "time_in_force" and word in ("", "null"):
            params["amount"] = 11
        return True, self.get("private/buy", params, self.basic)

    def over_socket_only(self):
        name, params = self.rng.choice((
            ("public/subscribe", {"channels": '["ticker.BTC-PERPETUAL.100ms"]'}), ("private/logout", {}),
            ("public/set_heartbeat", {"interval": 10}), ("private/subscribe", {"channels": '["user.orders.any"]'}),
            ("private/mass_quote", {"quote_id": "1", "mmp_group": "g", "quotes": "[]"}),
        ))  # fmt: skip
        return True, self.get(name, params, self.basic)

    def over_limits(self):
        headers = [(f"X-{number}", "y" * 50) for number in range(40)]
        name, value = self.rng.choice((
            ("amount", 10**16), ("amount", 10**19), ("display_amount", 10**15), ("valid_until", 1), ("price", 10**15),
            ("trigger_price", 10**15),
        ))  # fmt: skip
        params = {**ORDER, name: value}
        if name == "trigger_price":
            params["type"] = "stop_limit"
        return True, self.get("private/buy", params, self.basic, *headers)

    def wrong_port(self):
        """A trading call at the operations port, an operator's at the trading port."""
        operator = ("Authorization", "Bearer " + self.operators["operator"])
        if self.rng.random() < 0.5:
            path = self.rng.choice(("/halt", "/kill", "/cancel-all", "/keys", "/api/v2/halt", "/api/v2/private/halt"))
            return True, self.post(b'{"scope":"venue","reason":"x"}', operator, target=path)
        who = self.rng.choice((self.basic, operator))
        if self.rng.random() < 0.5:
            return True, self.get("private/buy", ORDER, who), self.operations
        target = self.rng.choice(("/api/v2", "/api/v2/private/buy", "/"))
        return True, self.post(self.rpc("private/buy", json.dumps(ORDER)), who, target=target), self.operations

    def wrong_role(self):
        """What changes something, asked at the operations port by who may not, or in no form that is taken."""
        path = self.rng.choice(("/halt", "/kill", "/cancel-all", "/limits", "/accounts", "/keys", "/backup", "/people"))
        aim = {"scope": "venue", "name": "", "reason": "x", "state": "halted", "action": "create", "person": "x"}
        body = json.dumps(aim).encode()
        role = self.rng.choice(("developer", "auditor", "operator", "nobody"))
        token = self.operators.get(role, self.tokens["narrowed"])
        if role == "operator":
            body = self.rng.choice([one for one in BODIES if len(one) < 100_000])
        return True, self.post(body, ("Authorization", f"Bearer {token}"), target=path), self.operations


def check_document(document, must_fail, about):
    """A JSON-RPC document, with a code of the table where it is an error, and never the one of our own defects."""
    assert document["jsonrpc"] == "2.0" and isinstance(document["usIn"], int), about
    assert ("error" in document) != ("result" in document), about
    if must_fail:
        assert "error" in document, about
    if "error" in document:
        error = document["error"]
        assert isinstance(error["code"], int) and isinstance(error["message"], str), about
        assert error["code"] != 11094, about
        assert isinstance(error.get("data", {}), dict), about


def state_of(venue):
    """What all accounts have: orders, money, positions."""
    found = {}
    for name in ACCOUNTS:
        summaries = venue.get("private/get_account_summaries", name)["result"]["summaries"]
        orders = venue.get("private/get_open_orders", name)["result"]
        found[name] = (
            [(row["currency"], row["balance"], row["equity"]) for row in summaries],
            orders,
            venue.get("private/get_positions", name)["result"],
        )
    return found


def resident(venue):
    """Megabytes of the venue's process."""
    pages = int(Path(f"/proc/{venue.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def of_clients(folder):
    """Commands of clients' accounts in a journal, by kind, without the opening's."""
    found = {}
    opening = {Kind.ACCOUNT, Kind.DEPOSIT}
    for frame in frames(*folders_of(Path(folder))[:1]):
        for row in frame.commands[frame.commands["account"] >= SYSTEM_ACCOUNTS]:
            if int(row["kind"]) not in opening:
                found[Kind(int(row["kind"])).name] = found.get(Kind(int(row["kind"])).name, 0) + 1
    return found


class Customer:
    """Valid requests between the hostile ones; every one must succeed. Signs its requests, so some can be repeated."""

    def __init__(self, attacker):
        self.attacker, self.http = attacker, RawHttp(attacker.venue.ready["http"])
        self.commands = {"ORDER": 1, "CANCEL": 0}  # bob's
        self.open = ""
        self.turns = 0

    def act(self):
        """Place an order, or cancel it; look at the book."""
        self.turns += 1
        if self.open:
            target = "/api/v2/private/cancel?" + urlencode({"order_id": self.open})
            self.commands["CANCEL"] += 1
        else:
            target = "/api/v2/private/buy?" + urlencode({**ORDER, "label": f"größe-{self.turns}"})
            self.commands["ORDER"] += 1
        header = self.attacker.signature("GET", target, nonce=f"valid-{self.turns}")
        status, document = self.http.document("GET", target, [header])
        assert status == 200 and "result" in document, document
        self.attacker.replay = ("GET", target, [header])
        self.open = "" if self.open else document["result"]["order"]["order_id"]
        book = self.http.document("GET", "/api/v2/public/get_order_book?instrument_name=BTC-PERPETUAL")[1]["result"]
        assert book["bids"] == [[50_000, 20 if self.open else 10]]


def siege(folder, requests, *, growth):
    """So many hostile requests over HTTP, and a tenth as many over a socket; returns what they were answered with."""
    with dev_venue(folder / "venue", "--log-level", "debug") as venue:
        attacker = Attacker(venue, requests)
        attacker.prepare()
        customer = Customer(attacker)
        before = state_of(venue)
        warm = 0.0
        for number in range(requests):
            attacker.strike()
            if number % 20 == 0:
                customer.act()
            if number == requests // 4:
                asyncio.run(socket_siege(attacker, requests // 40))
                warm = resident(venue)
        asyncio.run(socket_siege(attacker, requests // 40))
        if customer.open:
            customer.act()
        grown = resident(venue) / warm - 1
        assert grown < growth, f"{grown:.1%} more memory"
        assert state_of(venue) == before
        secrets = attacker.secrets | set(attacker.tokens.values())
        assert venue.stop() == 0
    log = venue.log.read_text()
    assert "defect" not in log and "Traceback" not in log
    assert not [secret for secret in secrets if secret in log]
    assert len(log) < 200 * requests  # nobody fills a disk with its failures
    assert of_clients(venue.ready["data"]) == customer.commands
    return attacker.statuses, grown, customer.turns


async def socket_siege(attacker, frames_sent):
    """The same bodies as frames: each is answered with a document, the connection stays, valid calls between work."""
    wire = await Wire().connect(attacker.venue, "alice")
    told = []
    wire.on_message = told.append
    for number in range(frames_sent):
        kind = attacker.rng.choice((attacker.wrong_json, attacker.wrong_body, attacker.wrong_label))
        body = kind()[1][3]
        told.clear()
        if number % 2:
            await wire.raw(body)
        else:
            await wire.raw(body.decode(errors="replace"))
        assert (await wire.result("public/test"))["version"]
        about = (kind.__name__, body[:200], told)
        assert len(told) == 2, about
        check_document(told[0], True, about)
    assert not wire.ended.is_set()
    await wire.close()


def test_two_thousand_hostile_requests_have_no_effect(tmp_path):
    statuses, _, turns = siege(tmp_path, 2_000, growth=0.05)
    assert turns >= 100 and {200, 400, 401, 403, 404} <= set(statuses)


@pytest.mark.soak
def test_twenty_thousand_hostile_requests_have_no_effect(tmp_path):
    statuses, grown, turns = siege(tmp_path, 20_000, growth=0.05)
    print(f"20,000 hostile requests, {turns} valid between them: {statuses}, memory {grown:+.1%}")


def test_every_code_that_the_server_names_is_in_the_table_of_errors():
    """A code without its word would be a defect in the middle of refusing something."""
    named = set()
    for path in (SOURCE / "seawall").rglob("*.py"):
        found = re.findall(r"(?:RpcError\(|\bcode=|code: int = )(-?\d{5})", path.read_text())
        named |= {int(code) for code in found}
    assert len(named) > 20 and named <= set(WORDS)
