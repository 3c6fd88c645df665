"""A desk before another kind of venue: ccxt's deribit pointed at a dev venue, the adapter, a desk before that."""

import asyncio
import contextlib
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time

import ccxt
import msgspec
import pytest
from desk_venue import DeskVenue
from dev_venue import ENVIRONMENT, START, DevVenue, dev_venue
from wire import Wire

from seawall.api.adapter import adapter as in_front
from seawall.api.adapter.serving import own_key
from seawall.api.rpc import Call, Envelope
from seawall.api.session import Session
from seawall.venues.ccxt_dialect import contracts_of
from seawall.venues.credentials import Account

PERPETUAL = "BTC-PERPETUAL"
LINEAR = "BTC_USDC-PERPETUAL"


class Relay(socketserver.ThreadingTCPServer):
    """What the adapter takes for the exchange's HTTP. `deaf`: an order gets there, and its answer not back."""

    daemon_threads = True
    deaf = False

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), Relayed)
        self.behind = ("127.0.0.1", port)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Relayed(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.behind) as venue:
            threading.Thread(target=pass_on, args=(venue, self.request, self.server), daemon=True).start()
            while data := self.request.recv(65_536):
                venue.sendall(data)
                if self.server.deaf and b"/private/buy" in data:
                    time.sleep(0.5)
                    break


def pass_on(venue, client, relay):
    with contextlib.suppress(OSError):
        while data := venue.recv(65_536):
            if not relay.deaf:
                client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)


class Adapter(DevVenue):
    """`seawall adapter deribit` in a process of its own, before a dev venue, on one port at each start."""

    def __init__(self, folder, venue, account):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.keys, self.log = folder / "exchange.toml", folder / "adapter.log"
        self.keys.touch(0o600)
        row = venue.accounts[account]
        self.keys.write_text(f'[main]\nkey = "{row["key"]}"\nsecret = "{row["secret"]}"\n')
        self.relay = Relay(int(venue.ready["http"].rpartition(":")[2]))
        self.urls = [f"rest=http://127.0.0.1:{self.relay.server_address[1]}", f"ws={venue.ready['ws']}"]
        self.start()

    def start(self):
        command = [sys.executable, "-c", START, "adapter", "deribit", "--keys", str(self.keys)]
        command += ["--port", str(self.port)] + [part for url in self.urls for part in ("--url", url)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT)
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        self.ready = json.loads(line)
        self.accounts = {"main": self.ready}

    def ask(self, method, **parameters):
        """The whole answer to a GET with the adapter's key."""
        return self.get(method, "main", **parameters)


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A dev venue, the adapter for its alice, an enforcing desk before it.

    Not over a whole hour: funding is money, and ccxt's deribit has no ledger that would tell of it.
    """
    to_the_hour = 3600 - time.time() % 3600
    if to_the_hour < 90:
        time.sleep(to_the_hour + 2)
    folder = tmp_path_factory.mktemp("adapter")
    with dev_venue(folder / "venue") as venue:
        adapter = Adapter(folder, venue, "alice")
        try:
            keys = folder / "keys.toml"
            keys.touch(0o600)
            keys.write_text(f'[main]\nkey = "{adapter.ready["key"]}"\nsecret = "{adapter.ready["secret"]}"\n')
            desk = DeskVenue(folder / "desk", adapter.ready["http"], "enforce", keys)
            try:
                yield venue, adapter, desk
                log = desk.log.read_text()
                assert desk.stop() == 0
                assert "alert=break" not in log and "Traceback" not in log, log
            finally:
                if desk.process.poll() is None:
                    desk.kill()
            assert adapter.stop() == 0
            assert "Traceback" not in adapter.log.read_text()
        finally:
            if adapter.process.poll() is None:
                adapter.kill()


def result(answer):
    assert "result" in answer, answer
    return answer["result"]


def at_venue(venue):
    return {row["order_id"]: row for row in result(venue.get("private/get_open_orders", "alice"))}


def test_it_speaks_what_a_desk_asks(chain):
    venue, adapter, _ = chain
    names = {row["instrument_name"]: row for row in result(adapter.ask("public/get_instruments"))}
    listed = {row["instrument_name"]: row for row in result(venue.get("public/get_instruments"))}
    assert names.keys() == listed.keys()
    for name in (PERPETUAL, LINEAR, next(name for name in names if name.endswith("-C"))):
        for field in ("tick_size", "min_trade_amount", "quote_currency", "settlement_currency", "price_index", "kind"):
            assert names[name][field] == listed[name][field], (name, field)
    assert adapter.ask("private/mass_quote")["error"]["code"] == 10033
    assert adapter.ask("private/no_such_thing")["error"]["code"] == -32601
    assert adapter.ask("private/buy", instrument_name=PERPETUAL, amount=15, price=50_000)["error"]["code"] == 10021
    assert adapter.ask("private/buy", instrument_name=PERPETUAL, amount=10, price=50_000.3)["error"]["code"] == 10043
    assert adapter.ask("private/cancel", order_id=f"{PERPETUAL}:BTC-999999")["error"]["code"] == 10004
    there = result(venue.get("private/get_account_summaries", "alice"))["summaries"]
    for row in result(adapter.ask("private/get_account_summaries"))["summaries"]:
        assert row["balance"] == next(one["balance"] for one in there if one["currency"] == row["currency"])


def test_place_edit_cancel_and_a_refusal_with_its_numbers(chain):
    venue, _, desk = chain
    placed = result(
        desk.get("private/buy", "main", instrument_name=PERPETUAL, amount=20, price=50_000, label="one & 1")
    )["order"]
    assert (placed["amount"], placed["label"], placed["order_state"]) == (20, "one & 1", "open")
    (there,) = at_venue(venue).values()
    assert (there["amount"], there["price"], there["label"]) == (20, 50_000, "one & 1")
    edited = result(desk.get("private/edit", "main", order_id=placed["order_id"], amount=30, price=50_500))["order"]
    assert edited["order_id"] == placed["order_id"] and edited["amount"] == 30
    (there,) = at_venue(venue).values()
    assert (there["amount"], there["price"]) == (30, 50_500)
    error = desk.get("private/buy", "main", instrument_name=PERPETUAL, amount=200_000_000, price=50_000)["error"]
    assert (error["code"], error["data"]["control"]) == (10009, "MARGIN")
    asked, had = error["data"]["numbers"]
    assert asked > had > 0
    assert result(desk.get("private/cancel", "main", order_id=placed["order_id"]))["order_state"] == "cancelled"
    assert at_venue(venue) == {}


def test_what_is_over_is_told_and_what_is_not_known_is_empty(chain):
    _, adapter, desk = chain
    row = {"instrument_name": PERPETUAL, "amount": 30, "price": 50_400, "label": "over & 1"}
    number = result(desk.get("private/buy", "main", **row))["order"]["order_id"]
    result(desk.get("private/cancel", "main", order_id=number))
    past = result(adapter.ask("private/get_order_history_by_instrument", instrument_name=PERPETUAL, count=1))
    assert [(row["label"], row["order_state"], row["amount"]) for row in past] == [("over & 1", "cancelled", 30)]
    assert result(adapter.ask("private/get_user_trades_by_order", order_id=past[0]["order_id"])) == []
    assert result(adapter.ask("private/get_transaction_log", currency="BTC", count=5)) == {
        "logs": [],
        "continuation": None,
    }
    assert result(adapter.ask("private/get_position", instrument_name=PERPETUAL))["direction"] == "zero"
    assert result(adapter.ask("private/get_account_summary", currency="btc"))["currency"] == "BTC"
    assert adapter.ask("private/get_account_summary", currency="XYZ")["error"]["code"] == -32602
    assert [row["currency"] for row in result(adapter.ask("public/get_currencies"))] == ["BTC", "ETH", "USDC"]
    assert result(adapter.ask("public/get_index_price", index_name="btc_usd"))["index_price"] > 0
    assert len(result(adapter.ask("public/get_order_book", instrument_name=PERPETUAL))["bids"]) >= 0


def test_an_order_without_an_answer_is_found_again(chain):
    """The connection breaks after the exchange has the order and before it has answered."""
    venue, adapter, desk = chain
    adapter.relay.deaf = True
    error = desk.get("private/buy", "main", instrument_name=PERPETUAL, amount=10, price=50_000, label="lost")["error"]
    adapter.relay.deaf = False
    assert error["code"] == 13888
    (there,) = until(lambda: at_venue(venue)).values()
    assert there["label"] == "lost"

    def edited():
        return desk.get("private/edit", "main", order_id=f"{PERPETUAL}:{there['order_id']}", amount=20).get("result")

    assert until(edited)["order"]["amount"] == 20  # the gate edits only what it knows as its own
    assert result(desk.get("private/cancel_all", "main")) == 1
    assert "an order of unknown outcome was found" in desk.log.read_text()


def test_fills_and_a_kill_of_the_adapter_are_reconciled(chain):
    venue, adapter, desk = chain
    mark = result(venue.get("public/ticker", instrument_name=LINEAR))["mark_price"]
    low, high = round(mark * 0.99), round(mark * 1.01)

    def trade(side, other, amount, price):
        result(venue.get(f"private/{other}", "bob", instrument_name=LINEAR, amount=amount, price=price))
        return result(desk.get(f"private/{side}", "main", instrument_name=LINEAR, amount=amount, price=price))["order"]

    assert trade("buy", "sell", 0.5, round(mark))["order_state"] == "filled"
    resting = result(desk.get("private/buy", "main", instrument_name=LINEAR, amount=0.2, price=low))["order"]
    gone = result(desk.get("private/buy", "main", instrument_name=LINEAR, amount=0.1, price=low))["order"]
    adapter.kill()
    # While nobody looks one order is filled in part, the other is cancelled at the exchange itself.
    result(venue.get("private/sell", "bob", instrument_name=LINEAR, amount=0.05, price=low))
    own = gone["order_id"].partition(":")[2]
    result(venue.get("private/cancel", "alice", order_id=own))
    error = desk.get("private/buy", "main", instrument_name=LINEAR, amount=0.1, price=low)["error"]
    assert error["code"] in (13028, 13888)
    adapter.start()

    def known():
        answer = desk.get("private/get_order_state", "main", order_id=resting["order_id"])
        return answer.get("result", {}).get("filled_amount") == 0.05

    until(known)
    done = until(
        lambda: desk.get("private/sell", "main", instrument_name=LINEAR, amount=0.15, price=high).get("result")
    )
    assert done["order"]["order_state"] == "open"
    result(venue.get("private/buy", "bob", instrument_name=LINEAR, amount=0.15, price=high))
    until(lambda: position(venue, "alice") == pytest.approx(0.4))
    assert position(desk, "main") == pytest.approx(0.4)
    time.sleep(6)  # three looks: what differs at two in a row would be told as a break
    assert "alert=break" not in desk.log.read_text()
    assert [row["order_id"] for row in result(desk.get("private/get_open_orders", "main"))] == [resting["order_id"]]


class Slow:
    """An exchange that takes an order only when it is let."""

    name, has, left_out, currencies = "slow", {"editOrder": True}, {}, {"BTC": 8}

    def __init__(self):
        row = {
            "symbol": "BTC/USD:BTC", "id": "x", "base": "BTC", "quote": "USD", "settle": "BTC", "contract": True,
            "swap": True, "contractSize": 10, "precision": {"amount": 1, "price": 0.5}, "limits": {},
        }  # fmt: skip
        self.contracts, _ = contracts_of([row], ("BTC",))
        self.sent, self.let = [], asyncio.Event()

    async def place(self, contract, side, amount, price, label, terms):
        self.sent.append(label)
        await self.let.wait()
        if label == "lost":
            raise ccxt.RequestTimeout("no answer")
        return {"id": label, "side": side, "type": "limit", "price": price, "amount": amount / 10, "filled": 0.0}

    def trade_objects(self, trades):
        return list(trades)

    async def open_orders(self):
        return [{"order_id": f"{PERPETUAL}:{label}", "instrument_name": PERPETUAL} for label in self.sent]


def test_orders_take_turns_and_none_is_sent_late(monkeypatch):
    monkeypatch.setattr("seawall.api.adapter.adapter.WAIT_MAX_S", 0.2)

    async def trip():
        exchange = Slow()
        key = own_key("slow", Account("key", "secret"))
        adapter = in_front.Adapter(exchange, key)
        answers = {}

        def ask(number, method, **parameters):
            session = Session("127.0.0.1:1", websocket=True)
            session.identity = adapter.access.identity(adapter.access.login(key.id, key.secret))
            call = Call(session, number, lambda document, _: answers.__setitem__(number, json.loads(document)))
            adapter.serve(call, Envelope(method, number, msgspec.Raw(json.dumps(parameters).encode())))
            return session

        bid = {"instrument_name": PERPETUAL, "amount": 10, "price": 50_000}
        ask(1, "private/buy", **bid, label="lost")
        ask(2, "private/buy", **bid, label="gone").close(1000, "gone")
        ask(3, "private/get_open_orders")
        await asyncio.sleep(0.05)
        assert exchange.sent == ["lost"] and not answers  # the question waits for what came before it
        exchange.let.set()
        await asyncio.sleep(0.05)
        assert answers[1]["error"]["code"] == 13888 and answers[2]["error"]["code"] == 10047
        assert exchange.sent == ["lost"] and len(answers[3]["result"]) == 1
        exchange.let.clear()
        ask(4, "private/buy", **bid, label="first")
        ask(5, "private/sell", **bid, label="late")
        await asyncio.sleep(0.4)
        exchange.let.set()
        ask(6, "private/sell", **bid, label="last", mmp=True)
        ask(7, "private/sell", **bid, label="last", trigger_price=1)
        ask(8, "private/sell", **bid | {"amount": 10, "contracts": 2}, label="last")
        await asyncio.sleep(0.05)
        assert answers[4]["result"]["order"]["amount"] == 10 and answers[5]["error"]["code"] == 10047
        assert [answers[number]["error"]["code"] for number in (6, 7, 8)] == [10033, 10033, -32602]
        assert exchange.sent == ["lost", "first"]

    asyncio.run(trip())


def test_channels_and_what_is_left_out_of_them(chain):
    venue, adapter, _ = chain
    named = [
        "user.orders.any.any.raw", "user.trades.future.BTC.raw", f"ticker.{PERPETUAL}.100ms", f"quote.{PERPETUAL}",
        f"book.{PERPETUAL}.none.10.100ms", f"trades.{PERPETUAL}.100ms",
    ]  # fmt: skip

    async def trip():
        wire = await Wire().connect(adapter, "main")
        asked = [*named, f"book.{PERPETUAL}.100ms", "ticker.BTC-NOTHING.100ms", "user.portfolio.BTC"]
        assert await wire.result("private/subscribe", channels=asked) == named
        bid = {"instrument_name": PERPETUAL, "amount": 10, "price": 50_000, "label": "seen"}
        heard = {}

        def hear():
            for message in wire.notifications:
                heard[message["params"]["channel"]] = message["params"]["data"]
            return heard

        async def until_heard(names):
            async with asyncio.timeout(30):
                while not set(names) <= hear().keys():
                    await asyncio.sleep(0.05)

        await until_heard(named[2:5])
        placed = await wire.result("private/buy", **bid)
        await until_heard(named[:1])
        assert (heard[named[0]]["order_id"], heard[named[0]]["label"]) == (placed["order"]["order_id"], "seen")
        assert await wire.result("private/cancel_all_by_instrument", instrument_name=PERPETUAL) == 1
        await wire.result("private/cancel_all")
        assert await wire.result("private/unsubscribe", channels=named[:1]) == named[:1]
        wrong = await wire.ask("public/auth", grant_type="client_credentials", client_id="x", client_secret="y")
        assert wrong["error"]["code"] in (13004, 10028)  # the desk's stale tokens count, since the adapter was killed
        await wire.close()

    asyncio.run(trip())
    assert at_venue(venue) == {}


def position(venue, account):
    return result(venue.get("private/get_position", account, instrument_name=LINEAR))["size"]
