"""Controls of a desk's operations door over its bots, end to end: a runaway, a fat finger, a kill, a stolen key.

In enforce what breaks a control is answered with the two numbers that decided and nothing of it reaches the venue. In
observe all of it reaches the venue, and the journal says what would have been refused. The other bots trade on in both.
"""

import asyncio
import base64
import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from desk_people import SECOND, Told, approved, limit, look, open_orders
from desk_venue import desk_venue
from wire import Wire

from seawall.api.desk.gate import UNWEIGHED
from seawall.journal import folders_of, frames
from seawall.vocabulary.records import Kind

PERPETUAL, ETHER = "BTC-PERPETUAL", "ETH-PERPETUAL"
EVER = 600 * SECOND

pytestmark = pytest.mark.parametrize("mode", ["observe", "enforce"])


def stands(desk, account):
    """Orders of an account that are open at the venue."""
    return desk.behind.get("private/get_open_orders", account)["result"]


def traded(desk, account, instrument=PERPETUAL):
    """Executions of an account at the venue."""
    found = desk.behind.get("private/get_user_trades_by_instrument", account, instrument_name=instrument, count=1000)
    return found["result"]["trades"]


def position(desk, account, instrument=PERPETUAL):
    return desk.behind.get("private/get_position", account, instrument_name=instrument)["result"]["size"]


def order(desk, account, side="buy", instrument=PERPETUAL, amount=10, price=59_000, **more):
    """The whole answer to an order."""
    return desk.get(f"private/{side}", account, instrument_name=instrument, amount=amount, price=price, **more)


def control_of(answer):
    """The control that refused, which must say its two numbers."""
    data = answer["error"]["data"]
    assert len(data["numbers"]) == 2 and data["reason"]
    return data["control"]


def until(found, seconds=10):
    """Wait for something to come true, and return it."""
    end = time.monotonic() + seconds
    while not (result := found()) and time.monotonic() < end:
        time.sleep(0.05)
    assert result
    return result


def executed(desk):
    """Executions of carol's of which the desk's journal has heard: of her orders, and of what went although refused."""
    (number,) = (row["account"] for row in look(desk, "accounts")["accounts"] if row["name"] == "carol")
    told = [frame.commands for frame in frames(folders_of(Path(desk.ready["data"])))]
    kinds = (Kind.EXECUTED, Kind.BOOKED)
    return sum(int((np.isin(rows["kind"], kinds) & (rows["account"] == number)).sum()) for rows in told)


def trades_on(desk, account):
    """A bot that is not concerned places an order and cancels it."""
    placed = order(desk, account)["result"]["order"]
    assert placed["order_id"] in {row["order_id"] for row in stands(desk, account)}
    assert desk.get("private/cancel", account, order_id=placed["order_id"])["result"]["order_state"] == "cancelled"


async def flood(desk, account, method, count, **params):
    """As fast as it goes, as a bot whose loop does not end: the answers."""
    wire = await Wire().connect(desk, account)
    try:
        return await wire.results(method, [params | {"label": f"loop-{n}"} for n in range(count)])
    finally:
        await wire.close()


def test_a_runaway_is_stopped(tmp_path, mode):
    """Knight Capital, 2012: an algorithm that sends orders without end, four million executions in 45 minutes."""
    with desk_venue(tmp_path, mode) as desk:
        limit(desk, "MESSAGES", EVER, 20, account="alice")
        limit(desk, "OPEN_ORDERS", 12, account="alice")
        limit(desk, "REPEATS", 5, 0, EVER, account="carol")
        row = {"instrument_name": PERPETUAL, "amount": 10, "price": 58_000}
        answers = asyncio.run(flood(desk, "alice", "private/buy", 200, **row))
        refused = [control_of(answer) for answer in answers if "error" in answer]
        assert len(refused) == (188 if mode == "enforce" else 0)
        assert len(stands(desk, "alice")) == 200 - len(refused)
        if mode == "enforce":
            assert refused == ["OPEN_ORDERS"] * 8 + ["THROTTLED"] * 180

        assert "result" in order(desk, "dave", "sell", amount=5_000, price=60_000)
        row = {"instrument_name": PERPETUAL, "amount": 10, "price": 60_000, "time_in_force": "immediate_or_cancel"}
        heard = executed(desk)
        for _ in range(8):  # one after the other: it is its executions that count
            answer = desk.get("private/buy", "carol", **row)
            if "error" in answer:
                assert control_of(answer) == "STRATEGY_STOPPED"
                break
            heard += 1
            until(lambda heard=heard: executed(desk) == heard)  # the next is judged by what this one did
        assert position(desk, "carol") == (50 if mode == "enforce" else 80)
        trades_on(desk, "bob")
        for row in stands(desk, "alice")[:3]:  # a cancel is never held up
            assert "result" in desk.get("private/cancel", "alice", order_id=row["order_id"])
    told = Told(tmp_path / "desk")
    assert told.refusals["alice", "OPEN_ORDERS"] == 8 and told.refusals["alice", "THROTTLED"] == 180
    assert told.refusals["carol", "STRATEGY_STOPPED"] == (1 if mode == "enforce" else 3)
    assert {name for name, _ in told.refusals} == {"alice", "carol"}
    assert told.positions["carol", PERPETUAL] == (5 if mode == "enforce" else 8)


def test_a_fat_finger_is_held_back(tmp_path, mode):
    """A quantity of a thousand times what was meant, and a price with a digit wrong."""
    with desk_venue(tmp_path, mode) as desk:
        limit(desk, "ORDER_QUANTITY", 100, account="alice", instrument=PERPETUAL)
        limit(desk, "ORDER_NOTIONAL", 5_000 * 10**6, account="bob")
        limit(desk, "COLLAR", 20_000, 2, instrument=ETHER)
        wrong = (
            ("QUANTITY", "alice", {"amount": 10_000}),
            ("ORDER_NOTIONAL", "bob", {"amount": 100_000, "instrument": ETHER, "price": 2_999}),
            ("COLLAR", "carol", {"amount": 100, "instrument": ETHER, "price": 29_990}),
        )
        for control, account, row in wrong:
            answer = order(desk, account, **row)
            if mode == "enforce":
                assert control_of(answer) == control
            assert len(stands(desk, account)) == (mode == "observe")
            if mode == "observe":
                assert "result" in desk.get("private/cancel", account, order_id=answer["result"]["order"]["order_id"])
        for account in ("alice", "bob", "carol", "dave"):  # what was meant
            assert "result" in order(desk, account, amount=100)
            assert "result" in order(desk, account, amount=100, instrument=ETHER, price=2_999)
        held = stands(desk, "alice")[-1]["order_id"]
        answer = desk.get("private/edit", "alice", order_id=held, amount=100_000, price=2_990)
        assert "result" in answer  # its limit is of the other instrument
    told = Told(tmp_path / "desk")
    expected = {("alice", "QUANTITY"): 1, ("bob", "ORDER_NOTIONAL"): 1, ("carol", "COLLAR"): 1}
    assert {key: told.refusals[key] for key in expected} == expected
    assert set(told.refusals) == set(expected)


def test_a_bot_that_goes_on_after_the_kill_switch(tmp_path, mode):
    """Thrown in the middle of what it sends: some of that is on its way to the venue just then."""

    async def run(desk):
        row = {"instrument_name": PERPETUAL, "amount": 10, "price": 58_500}
        going_on = asyncio.create_task(flood(desk, "alice", "private/buy", 400, **row))
        await asyncio.to_thread(until, lambda: len(stands(desk, "alice")) > 20)
        order_of = {"scope": "account", "name": "alice", "reason": "runaway"}
        assert (await asyncio.to_thread(desk.operate, "kill", "rita", **order_of))["done"]
        return await going_on

    with desk_venue(tmp_path, mode) as desk:
        for n in range(6):
            assert "result" in order(desk, "bob", price=58_000 + n)
        answers = asyncio.run(run(desk))
        answers.append(order(desk, "alice"))
        refused = [answer for answer in answers if "error" in answer]
        if mode == "enforce":
            assert "error" in answers[-1]
            assert {control_of(answer) for answer in refused} == {"ACCOUNT_HALTED"}
            until(lambda: not stands(desk, "alice"))
        else:
            assert not refused and len(stands(desk, "alice")) == 401
        assert len(stands(desk, "bob")) == 6
        trades_on(desk, "bob")
        time.sleep(0.3)  # observe weighs that order, and hears its end, a moment later
        until(lambda: open_orders(desk)["bob"] == 6)
        cancelled = desk.operate("cancel-all", "carl", scope="account", name="bob", reason="asked by phone")
        assert cancelled["orders"] == 6
        if mode == "enforce":
            until(lambda: not stands(desk, "bob"))
        trades_on(desk, "bob")
        approved(desk, "halt", "olivia", scope="account", name="alice", state="open")
        assert "result" in order(desk, "alice")
    told = Told(tmp_path / "desk")
    if mode == "enforce":
        assert told.refusals == {("alice", "ACCOUNT_HALTED"): len(refused)}
    assert set(told.refusals) == {("alice", "ACCOUNT_HALTED")}


# -- a stolen key ------------------------------------------------------------------------------------------------------

LEAVES = ("withdraw", "submit_transfer_to_user", "submit_transfer_to_subaccount", "add_to_address_book")
KEYS = ("create_api_key", "list_api_keys", "reset_api_key", "edit_api_key", "change_scope_in_api_key")


class Listener:
    """A bot that keeps every byte it is sent."""

    def __init__(self, desk):
        self.desk, self.heard = desk, []

    @contextlib.asynccontextmanager
    async def socket(self, key=None, secret=""):
        async with aiohttp.ClientSession() as http, http.ws_connect(self.desk.ready["ws"]) as socket:
            ask = self._asking(socket)
            token = ""
            if key is not None:
                login = {"grant_type": "client_credentials", "client_id": key, "client_secret": secret}
                token = (await ask("public/auth", **login)).get("result", {}).get("access_token", "")
            yield socket, ask, token

    def _asking(self, socket):
        async def ask(method, number=None, **params):
            number = number or f"#{len(self.heard)}-{method}"
            await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
            while True:
                message = await socket.receive(timeout=20)
                assert message.type == aiohttp.WSMsgType.TEXT, message
                self.heard.append(message.data)
                found = json.loads(message.data)
                if found.get("id") == number:
                    return found

        return ask

    def http(self, target, header=None, body=None):
        request = urllib.request.Request(f"{self.desk.ready['http']}/api/v2/{target}", body, header or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.heard += [str(answer.headers), answer.read().decode()]
        except urllib.error.HTTPError as error:
            self.heard += [str(error.headers), error.read().decode()]
        return json.loads(self.heard[-1])


def basic(key, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


def made_key(desk, **more):
    """A further key of bob's, by proposal."""
    return approved(desk, "keys", "olivia", action="create", account="bob", name="second", **more)


async def try_narrowed(desk, thief):
    """A key that may read only, and one that is good elsewhere only."""
    reader = made_key(desk, rights={"account": "read", "trade": "read", "wallet": "read"})
    row = {"instrument_name": PERPETUAL, "amount": 10, "price": 59_000}
    async with thief.socket(reader["id"], reader["secret"]) as (_, ask, token):
        assert "result" in await ask("private/get_positions")
        for method in ("private/buy", "private/sell", "private/cancel_all", "private/close_position"):
            assert (await ask(method, **row))["error"]["code"] == 13021
        assert (await ask("private/edit", order_id="BTC-1", amount=10, price=1))["error"]["code"] == 13021
        assert (await ask("private/cancel", order_id="BTC-1"))["error"]["code"] == 13021
        bearer = {"Authorization": f"Bearer {token}"}
        query = f"private/buy?instrument_name={PERPETUAL}&amount=10&price=59000"
        assert thief.http(query, bearer)["error"]["code"] == 13021
        assert thief.http(query, basic(reader["id"], reader["secret"]))["error"]["code"] == 13021
    away = made_key(desk, rights={"trade": "read_write"}, addresses=["10.0.0.0/8"])
    async with thief.socket(away["id"], away["secret"]) as (_, ask, token):
        assert not token
        assert (await ask("private/buy", **row))["error"]["code"] in (13009, 10000)
    assert thief.http("private/get_positions", basic(away["id"], away["secret"]))["error"]["code"] == 13004


async def try_to_leave(desk, thief):
    """What would take money away, or make a key that goes around the desk."""
    who = desk.accounts["bob"]
    async with thief.socket(who["key"], who["secret"]) as (_, ask, token):
        for name in (*LEAVES, *KEYS):
            given = {"currency": "BTC", "amount": 1, "address": "x", "destination": 1, "id": 1}
            assert (await ask(f"private/{name}", **given))["error"]["code"] == 13021
            assert thief.http(f"private/{name}?id=1", basic(who["key"], who["secret"]))["error"]["code"] == 13021
        return token


async def try_to_hear_tokens(desk, thief):
    """Ways to have the venue's token told back: in an id, a label, a path; ids that are the desk's own."""
    who = desk.accounts["bob"]
    async with thief.socket() as (socket, ask, _):
        for n in range(1, 9):
            await socket.send_str(json.dumps({"id": f"seawall-{n}", "method": "public/test", "params": {}}))
        login = {"grant_type": "client_credentials", "client_id": who["key"], "client_secret": who["secret"]}
        token = (await ask("public/auth", **login))["result"]["access_token"]
        await ask("public/auth", **login, scope="trade:read")
        row = {"instrument_name": PERPETUAL, "amount": 10, "price": 59_000}
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in token)
        await ask("private/buy", **row, label=token[:60], access_token=token)
        await ask("private/get_order_state", order_id=token, access_token=token)
        for text in (
            json.dumps({"id": token, "method": "private/get_positions", "params": {"access_token": token}}),
            f'{{"id":"{token}","method":"private/get_positions","params":{{"access_token":"{escaped}"}}}}',
            json.dumps({"id": 5, "method": f"private/{token}", "params": {"access_token": token}}),
            f'{{"id":6,"method":"private/{token}","params":{{"access_token":"{escaped}"}}}}',
        ):
            await socket.send_str(text)
        await ask("public/test")
        await asyncio.sleep(0.3)
        await ask("public/test")
        quoted = "".join(f"%{ord(letter):02x}" for letter in token)
        for given in (token, quoted):
            thief.http(f"private/{token}?access_token={given}")
            thief.http(f"private/get_order_state?order_id={token}&access_token={given}")
        body = {"id": token, "method": "private/get_positions", "params": {"access_token": token}}
        thief.http("private/get_positions", {}, json.dumps(body).encode())


async def try_revoked(desk, thief):
    """Its sockets end, its tokens are dead, it logs in no more."""
    who = desk.accounts["bob"]
    async with thief.socket(who["key"], who["secret"]) as (socket, ask, token):
        assert "result" in await ask("private/get_positions")
        done = await asyncio.to_thread(desk.operate, "keys", "rita", action="revoke", id=who["key"], reason="stolen")
        assert done["done"]
        message = await socket.receive(timeout=10)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
    for header in ({"Authorization": f"Bearer {token}"}, basic(who["key"], who["secret"])):
        row = f"private/buy?instrument_name={PERPETUAL}&amount=10&price=59000"
        assert thief.http(row, header)["error"]["code"] in (13004, 13009)
    async with thief.socket(who["key"], who["secret"]) as (_, ask, token):
        assert not token


def test_a_stolen_key(tmp_path, mode):
    with desk_venue(tmp_path, mode) as desk:
        thief = Listener(desk)
        asyncio.run(try_narrowed(desk, thief))
        assert stands(desk, "bob") == [] and traded(desk, "bob") == []
        asyncio.run(try_to_leave(desk, thief))
        asyncio.run(try_to_hear_tokens(desk, thief))
        asyncio.run(try_revoked(desk, thief))
        trades_on(desk, "alice")
        venue, folder = desk.behind, Path(desk.ready["data"])
        secrets = [row["secret"] for row in venue.accounts.values()]
        theirs = [word for secret in secrets for word in (secret, base64.b64encode(secret.encode()).decode())]
        heard = "\n".join(thief.heard)
        live = theirs_tokens(desk, thief.heard)
    assert len(thief.heard) > 70
    kept = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    kept[desk.log] = desk.log.read_bytes()
    for word in theirs:
        assert word not in heard
        assert [file for file, data in kept.items() if word.encode() in data] == []
    assert live == []
    assert (folder / "keystore.key").stat().st_mode & 0o077 == 0
    told = Told(folder)
    assert not told.positions and not told.refusals


def theirs_tokens(desk, heard):
    """Words among what was heard that the venue takes for tokens of its own."""
    words = {word for text in heard for word in re.findall(r"[A-Za-z0-9_-]{30,}", text)}
    return [word for word in words if "result" in desk.behind.get("private/get_positions", access_token=word)]


def test_orders_that_are_more_than_they_say(tmp_path, mode):
    """Orders that bring others along, or whose price is a volatility; in enforce the gate itself refuses them."""
    with desk_venue(tmp_path, mode) as desk:
        second = [{"amount": 100_000, "direction": "buy", "type": "market"}]
        before = desk.behind.get("private/get_order_history_by_currency", "alice", currency="any")["result"]
        for more in (
            {"linked_order_type": "one_triggers_other", "otoco_config": json.dumps(second)},
            {"advanced": "implv"},
            {"type": "twap"},
        ):
            answer = order(desk, "alice", **more)
            assert answer["error"]["code"] in (10033, -32602)
            reason = answer["error"]["data"]["reason"]
            assert ("gate" in reason) == (mode == "enforce" and "type" not in more)
        body = json.dumps({"method": "private/buy", "params": {"instrument_name": PERPETUAL, "amount": 10}}).encode()
        target = f"{desk.ready['http']}/api/v2/private/buy?instrument_name={PERPETUAL}&amount=1000&price=59000"
        who = desk.accounts["alice"]
        request = urllib.request.Request(target, body, basic(who["key"], who["secret"]), method="GET")
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=30)
        placed = stands(desk, "alice")
        assert [row["amount"] for row in placed] == ([1_000] if mode == "observe" else [])
        assert desk.behind.get("private/get_order_history_by_currency", "alice", currency="any")["result"] == before


def test_what_the_gate_does_not_weigh_leaves_in_observe_only(tmp_path, mode):
    """Over both doors; the venue here knows none of it and says so in its own words."""

    async def over(desk, methods):
        wire = await Wire().connect(desk, "alice")
        told = [await wire.ask(method) for method in methods]
        await wire.close()
        return told

    with desk_venue(tmp_path, mode) as desk:
        methods = sorted(UNWEIGHED)
        told = asyncio.run(over(desk, methods)) + [desk.get(method, "alice") for method in methods]
        for method, answer in zip(methods * 2, told, strict=True):
            assert ("gate does not weigh" in json.dumps(answer["error"])) == (mode == "enforce"), (method, answer)
