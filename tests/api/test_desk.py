"""A desk between bots and a venue: who is logged in, what is refused, what ends with what, what a restart knows."""

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from desk_people import alerts, approved, open_orders
from desk_people import limit as set_limit
from desk_venue import DeskVenue, desk_venue, write_keys
from dev_venue import ENVIRONMENT, START, dev_venue
from wire import Wire

from seawall.api.access import Access, Identity, Login
from seawall.api.desk.gate import _edit_of
from seawall.api.desk.sent import Sent
from seawall.api.desk.shadow import Live
from seawall.api.desk.tunnel import UNANSWERED_MAX, Slot, Tunnel
from seawall.api.keystore import NEVER, Superseded
from seawall.api.session import Session
from seawall.journal import folders_of, frames
from seawall.node import Configuration, Node
from seawall.venues.connection import MESSAGE_MAX
from seawall.vocabulary.records import BUY, COMMAND, SELL, Kind, command

PERPETUAL = "BTC-PERPETUAL"


@pytest.fixture(scope="module")
def enforced(tmp_path_factory):
    with desk_venue(tmp_path_factory.mktemp("desk"), "enforce") as started:
        yield started


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    with desk_venue(tmp_path_factory.mktemp("desk"), "observe") as started:
        yield started


def limit(price, amount=10, **more):
    return {"instrument_name": PERPETUAL, "amount": amount, "price": price, **more}


def until(true, seconds=20.0):
    """Wait until something holds, and return it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def open_at(venue, account):
    return {row["order_id"] for row in venue.get("private/get_open_orders", account)["result"]}


def test_a_refusal_has_its_two_numbers_and_nothing_reaches_the_venue(enforced):
    before = open_at(enforced.behind, "alice")
    error = enforced.get("private/buy", "alice", **limit(50_000, 200_000_000))["error"]
    assert (error["code"], error["data"]["control"]) == (10009, "MARGIN")
    asked, had = error["data"]["numbers"]
    assert asked > had > 0 and f"{asked:,}" in error["data"]["reason"]
    assert open_at(enforced.behind, "alice") == before


def test_what_is_not_plain_is_refused_where_the_gate_stands(enforced):
    async def trip():
        wire = await Wire().connect(enforced, "alice")
        order = json.dumps(limit(50_000))[1:-1]
        twice = [
            f'{{"id":"a","method":"private/buy","params":{{{order},"amount":20}}}}',
            f'{{"id":"a","method":"public/test","method":"private/buy","params":{{{order}}}}}',
            f'{{"id":"a","method":"private/buy","params":{{"amount":10}},"params":{{{order}}}}}',
            f'{{"id":"a","method":"private//buy","params":{{{order}}}}}',
            f'{{"id":"a","method":"private/buy ","params":{{{order}}}}}',
            f'{{"id":"a","method":"private/buy","params":{{{order},"n":NaN}}}}',
            f'{{"method":"private/buy","params":{{{order}}}}}',
            '{"id":"a","method":"private/buy","params":{',
        ]
        told = []
        wire.on_message = told.append
        for count, text in enumerate(twice, 1):
            await wire.raw(text)
            async with asyncio.timeout(10):
                while len(told) < count:
                    await asyncio.sleep(0.01)
        assert [answer["error"]["code"] for answer in told] == [-32600] * 3 + [-32601] * 2 + [-32700, -32600, -32700]
        assert [answer["id"] for answer in told[:6]] == ["a"] * 5 + [None]
        await wire.raw('{"id":"a","method":7}')
        async with asyncio.timeout(10):
            while len(told) < count + 1:
                await asyncio.sleep(0.01)
        assert (told[-1]["error"]["code"], told[-1]["id"]) == (-32600, "a")
        assert (await wire.result("private/get_open_orders")) == []
        await wire.close()

    asyncio.run(trip())
    for path in ("private/buy?amount=10&amount=20", "private//buy?amount=10", "public/../private/buy?amount=10"):
        error = enforced.get_raw(path)["error"]
        assert error["code"] in (-32600, -32601), path


def test_the_venues_token_cannot_be_had_by_putting_ours_elsewhere(enforced, observed):
    for desk in (enforced, observed):

        async def trip(desk=desk):
            wire = await Wire().connect(desk)
            who = desk.accounts["alice"]
            login = {"grant_type": "client_credentials", "client_id": who["key"], "client_secret": who["secret"]}
            token = (await wire.result("public/auth", **login))["access_token"]
            for more in ({"label": token}, {token: 1}):
                answer = await wire.ask("private/buy", **limit(50_000), **more, access_token=token)
                assert answer["error"]["code"] == -32600
            assert (await wire.ask("private/get_positions", access_token=token))["result"] == []
            await wire.close()

        asyncio.run(trip())


def test_keys_and_money_stay_inside(enforced, observed):
    for desk in (enforced, observed):
        for method in ("private/create_api_key", "private/list_api_keys", "private/withdraw"):
            assert desk.get(method, "alice", currency="BTC", amount=1)["error"]["code"] == 13021


def test_a_wrong_key_is_refused_here_and_private_calls_without_one_there(observed):
    async def trip():
        wire = await Wire().connect(observed)
        login = {"grant_type": "client_credentials", "client_id": "alice", "client_secret": "wrong"}
        assert (await wire.ask("public/auth", **login))["error"]["code"] == 13004
        assert (await wire.ask("private/get_positions"))["error"]["code"] == 13009
        venue_key = observed.behind.accounts["alice"]
        login |= {"client_secret": venue_key["secret"]}
        assert (await wire.ask("public/auth", **login))["error"]["code"] == 13004
        await wire.close()

    asyncio.run(trip())


def test_nobody_is_weighed_by_nobody_on_a_connection_that_the_venue_knows():
    """A second login that the venue refuses leaves the first one standing there, and none here."""
    told = []
    session = Session("127.0.0.1:1", websocket=True)
    session.push = told.append
    gate = SimpleNamespace(enforce=True, check=lambda text: None)
    tunnel = Tunnel(SimpleNamespace(gate=gate, service=SimpleNamespace(access=None)), session)
    tunnel._account = 4
    tunnel.from_bot('{"id":1,"method":"private/buy","params":{}}')
    assert json.loads(told[0])["error"]["code"] == 13009 and not tunnel._outgoing
    tunnel._account = None
    tunnel.from_bot('{"id":1,"method":"private/buy","params":{}}')
    assert len(told) == 1 and len(tunnel._outgoing) == 1


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_an_order_without_an_answer_costs_a_bot_its_connection_only_where_the_gate_stands(mode):
    session, heard = Session("127.0.0.1:1", websocket=True), []
    tunnel = Tunnel(SimpleNamespace(gate=SimpleNamespace(enforce=mode == "enforce")), session)
    sent = SimpleNamespace(cut=lambda: None, answered=lambda result, error: heard.append(result))
    tunnel._count(5)
    tunnel.track(5, sent)
    sent.cut()
    assert session.closing == ((1011, "the venue did not answer an order") if mode == "enforce" else None)
    tunnel.from_venue('{"id":5,"result":{}}')  # after all
    assert len(heard) == 1 and len(session.outbox) == (mode == "observe")


def test_a_bot_may_be_told_as_much_as_a_venue_may_say_at_once():
    session = Session("127.0.0.1:1", websocket=True)
    tunnel = Tunnel(SimpleNamespace(gate=SimpleNamespace(enforce=True)), session)
    tunnel.from_venue("x" * MESSAGE_MAX)
    for _ in range(MESSAGE_MAX // (5 << 20)):
        tunnel.from_venue("x" * (5 << 20))
    assert session.closing is None
    tunnel.from_venue("x" * (5 << 20))
    assert session.closing == (1008, "too slow")


def tunnel_alone(enforce):
    """A tunnel without connections: what the bot is told, and what would leave for the venue."""
    told = []
    session = Session("127.0.0.1:1", websocket=True)
    session.push = told.append
    gate = SimpleNamespace(enforce=enforce, check=lambda text: None)
    desk = SimpleNamespace(gate=gate, service=SimpleNamespace(access=None))
    return Tunnel(desk, session), told


def test_ids_in_flight_are_counted_until_they_are_answered():
    tunnel, told = tunnel_alone(False)
    for text in ('{"id":5,"method":"public/test"}', '{"id":5,"method":3}', '{"id":true,"method":"public/test"}', "{"):
        tunnel.from_bot(text)
    assert len(tunnel._outgoing) == 4 and tunnel._calls == {5: 2}  # true is not 1
    assert not tunnel.tells(5)
    for answer in ('{"id":5,"result":1}', '{"id":true,"result":1}', '{"id":5,"method":"x"}', "[]"):
        tunnel.from_venue(answer)
    assert tunnel.tells(5) and tunnel._calls == {5: 1} and len(told) == 4
    sent = SimpleNamespace()
    tunnel.track(5, sent)
    tunnel.from_bot('{"id":5,"method":"public/test"}')
    assert not tunnel.tracked  # whose the next answer is nobody can tell
    tunnel, told = tunnel_alone(True)
    for number in range(UNANSWERED_MAX + 5):
        tunnel.from_bot(f'{{"id":{number},"method":"public/test"}}')
    assert len(tunnel._calls) == UNANSWERED_MAX and not tunnel.tells(1) and not told
    tunnel.track(1, sent)
    tunnel.from_bot('{"id":1,"method":"public/test"}')
    assert json.loads(told[0])["error"]["code"] == -32600 and tunnel.tracked == {1: sent}


def key_and_login(**more):
    """A key of alice's and an identity of its login, as a socket has it."""
    key = Access.made(4, "alice", **more)
    return key, Identity(key, frozenset(), NEVER, Login(key, key.secret))


def rotated(key, identity):
    key.before, key.secret = [Superseded(key.secret, time.time() - 0.1)], "another"


def revoked(key, identity):
    key.revoked = True


def expired(key, identity):
    key.expires = time.time() - 0.1


def ended(key, identity):
    identity.login.ended = True


@pytest.mark.parametrize("end", [rotated, revoked, expired, ended])
@pytest.mark.parametrize("by", ["login", "token"])
@pytest.mark.parametrize("enforce", [True, False])
def test_who_is_logged_in_no_more_hears_no_more(end, by, enforce):
    """The venue goes on telling, as its own key is good; so does an answer to an order of before, which is not lost."""

    async def log_in(credentials, scope):
        return {"access_token": "theirs", "expires_in": 900}

    async def trip():
        tunnel, _ = tunnel_alone(enforce)
        tunnel.session.push = Session.push.__get__(tunnel.session)
        tunnel.desk.scope, tunnel.desk.credentials = lambda identity, method="": "trade:read", lambda identity: None
        tunnel.venue = SimpleNamespace(log_in=log_in)
        key, identity = key_and_login()
        if by == "login":
            tunnel.session.identity = identity
            await tunnel.logged_in(identity)
            tunnel._renewal.cancel()
        else:
            tunnel.desk.service.access = SimpleNamespace(bearer=lambda token, now, client: identity)
            tunnel.desk.token = lambda identity, method: log_in(None, None)
            params = {"access_token": "ours", "channels": ["user.orders.any.any.raw"]}
            tunnel.from_bot(json.dumps({"id": 1, "method": "private/subscribe", "params": params}))
            tunnel._tasks.pop().cancel()
        heard = []
        tunnel._count(5)
        tunnel.track(5, SimpleNamespace(answered=lambda result, error: heard.append(result)))
        tunnel.from_venue("{}")
        assert tunnel.session.closing is None and list(tunnel.session.outbox) == ["{}"]
        end(key, identity)
        tunnel.from_venue('{"id":5,"result":{}}')
        assert tunnel.session.closing == (1008, "the login of this connection ended")
        assert len(heard) == 1 and not tunnel.session.outbox

    asyncio.run(trip())


def test_a_token_that_runs_out_ends_nobodys_hearing_while_its_login_holds():
    """Clients log in once, and say it again when they next call: a quarter of an hour later they still hear."""
    tunnel, told = tunnel_alone(True)
    key, identity = key_and_login()
    old = Identity(key, frozenset(), time.time() - 1, identity.login)
    tunnel._account, tunnel._scope = 4, "trade:read"
    tunnel.desk.scope = lambda identity, method="": "trade:read"
    tunnel.session.identity = old
    asyncio.run(tunnel.logged_in(old))
    tunnel.from_venue("{}")
    assert tunnel.session.closing is None and told == ["{}"]
    limited = Identity(key, frozenset(), time.time() - 1, identity.login, limited=True)
    tunnel.session.identity = limited.lasting()  # as a socket is logged in
    asyncio.run(tunnel.logged_in(tunnel.session.identity))
    tunnel.from_venue("{}")
    assert tunnel.session.closing is not None


def test_a_login_that_is_just_being_made_is_not_taken_for_the_one_before():
    tunnel, told = tunnel_alone(True)
    (key, tunnel._login), (_, tunnel.session.identity) = key_and_login(), key_and_login()
    key.revoked = True
    tunnel.from_venue("{}")
    assert tunnel.session.closing is None and told == ["{}"]


BOGUS = {"order_id": "BTC-999999999"}


async def pipelined(desk, account, *calls):
    """The answers to calls, each (id, method, parameters), said at once; they need not come in that order."""
    wire = await Wire().connect(desk, account)
    told = []
    wire.on_message = told.append
    for number, method, params in calls:
        await wire.raw(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
    async with asyncio.timeout(20):
        while len(told) < len(calls):
            await asyncio.sleep(0.01)
    await wire.close()
    return told


def test_an_order_with_the_id_of_another_call_in_flight_does_not_leave(enforced):
    """Else the error that answers the other call would be taken for the order's, and its margin freed."""
    before, here = open_at(enforced.behind, "carol"), open_orders(enforced)["carol"]
    buy = "private/buy", limit(50_000)
    for calls in (
        ((5, "private/cancel", BOGUS), (5, *buy)),
        ((5, *buy), (5, "private/cancel", BOGUS)),
        (("a", "public/nonsense", {}), ("a", *buy)),
    ):
        for _ in range(50):  # the first may have been answered before the second came
            told = asyncio.run(pipelined(enforced, "carol", *calls))
            refused = -32600 in {answer.get("error", {}).get("code") for answer in told}
            if refused:
                break
        assert refused
    there = open_at(enforced.behind, "carol") - before
    assert there and open_orders(enforced)["carol"] == here + len(there)  # those that came first, or alone
    for id_ in there:
        assert enforced.get("private/cancel", "carol", order_id=id_)["result"]


def test_observe_takes_no_other_answer_for_an_orders(observed):
    before, here = open_at(observed.behind, "carol"), open_orders(observed)["carol"]
    calls = (5, "private/cancel", BOGUS), (5, "private/buy", limit(50_000)), (5, "private/buy", limit(50_001))
    told = asyncio.run(pipelined(observed, "carol", *calls))
    assert sum("result" in answer for answer in told) == 2
    asyncio.run(pipelined(observed, "carol", (6, "private/buy", limit(50_002)), (6, "private/cancel", BOGUS)))
    there = open_at(observed.behind, "carol") - before
    assert len(there) == 3
    until(lambda: status_of(observed)["accounts"][2]["open"] == here + 3)
    assert open_orders(observed)["carol"] == here + 3
    assert not [row for row in alerts(observed) if row["kind"] == "order_from_outside"]
    for id_ in there:
        assert observed.get("private/cancel", "carol", order_id=id_)["result"]


def test_an_edit_frees_nothing_before_the_venue_took_it(enforced):
    """The venue refuses the edit, and the order that came with it must not have had its room."""
    set_limit(enforced, "POSITION", 100, account="bob", instrument=PERPETUAL)

    async def trip():
        wire = await Wire().connect(enforced, "bob")

        async def at_once(*calls):
            return [await answer for answer in [await wire.send(f"private/{name}", params) for name, params in calls]]

        def edit(amount, **more):
            return "edit", {"order_id": first, "amount": amount, "price": 50_000, **more}

        bogus = {"trigger_price": 0.3}
        first = (await wire.result("private/buy", **limit(50_000, 900)))["order"]["order_id"]
        more = "buy", limit(50_001, 500)
        refused = edit(10, **bogus)
        for calls in ((refused, more), (edit(950), refused, more), (refused, edit(10), more)):
            answers = await at_once(*calls)
            assert answers[-1]["error"]["data"]["control"] == "POSITION_LIMIT"
            assert sum("error" in answer for answer in answers[:-1]) == 1
            assert "result" in (await at_once(edit(900)))[0]
        answers = await at_once(edit(950), edit(920), ("buy", limit(50_001, 50)), edit(100))
        assert all("result" in answer for answer in answers)  # what there is room for waits for nothing
        assert "result" in (await at_once(("buy", limit(50_001, 850))))[0]  # and once it was taken the room is there
        (answer,) = await at_once(("buy", limit(50_001, 10)))
        assert answer["error"]["data"]["control"] == "POSITION_LIMIT"
        assert await wire.result("private/cancel_all") == 3
        await wire.close()

    asyncio.run(trip())


def test_the_engine_holds_the_worse_of_each_term_while_an_edit_has_no_answer():
    live, flying = Live("X-1", 7, 4, 0, BUY, 20), []
    desk = SimpleNamespace(unbound=SimpleNamespace(only=lambda sent: not flying))

    def asked(ticks, lots, before=(100, 20)):
        sent = Sent(desk, 4, "alice", SimpleNamespace(number=0), live.side, lots, "")
        sent.ticks, sent.edits = ticks, (live, *before)
        rows = np.frombuffer(_edit_of(sent), COMMAND)
        return [(Kind(row["kind"]), int(row["price"]), int(row["quantity"])) for row in rows]

    back = (Kind.AMENDED, 100, 20)
    assert asked(100, 10) == [(Kind.EDIT, 100, 10), back]
    assert asked(90, 20) == [(Kind.EDIT, 90, 20), back]
    assert asked(101, 20) == [(Kind.EDIT, 101, 20)]
    assert asked(90, 30) == [(Kind.EDIT, 100, 30)]
    assert asked(110, 10) == [(Kind.EDIT, 110, 20)]
    flying.append(live)
    assert asked(90, 10) == [(Kind.EDIT, 110, 20)]  # whichever of them the venue takes
    flying.clear()
    live.side, live.filled = SELL, 5
    assert asked(110, 10) == [(Kind.EDIT, 110, 10), (Kind.AMENDED, 100, 15)]
    assert asked(90, 10) == [(Kind.EDIT, 90, 20)]


def login_of(desk, name, **more):
    who = desk.accounts[name]
    return {"grant_type": "client_credentials", "client_id": who["key"], "client_secret": who["secret"], **more}


def test_a_login_waits_for_what_was_said_before_it(enforced):
    """Carol's order must not leave on a connection that is Dave's by then."""
    before = {name: open_at(enforced.behind, name) for name in ("carol", "dave")}
    calls = [
        ("x", "private/buy", limit(51_000)),
        ("y", "public/auth", login_of(enforced, "dave")),
        ("z", "private/disable_cancel_on_disconnect", {"scope": "connection"}),  # needs a login with more rights
    ]
    told = asyncio.run(pipelined(enforced, "carol", *calls))
    assert all("result" in answer for answer in told)
    (mine,) = open_at(enforced.behind, "carol") - before["carol"]
    assert open_at(enforced.behind, "dave") == before["dave"]

    async def out():
        wire = await Wire().connect(enforced, "carol")
        await wire.send("private/buy", limit(51_001))
        await wire.send("private/logout", {})
        await wire.ended.wait()

    asyncio.run(out())
    (also,) = until(lambda: open_at(enforced.behind, "carol") - before["carol"] - {mine})
    until(lambda: status_of(enforced)["accounts"][2]["open"] == len(before["carol"]) + 2)
    for id_ in (mine, also):
        assert enforced.get("private/cancel", "carol", order_id=id_)["result"]


def test_what_was_weighed_as_another_does_not_leave_after_a_login_that_failed():
    tunnel, _ = tunnel_alone(True)
    refused = []
    tunnel._who = 4, "a"
    slots = [Slot("before"), Slot("as the new one"), Slot("with a token")]
    slots[0].who, slots[1].who = (4, "a"), (5, "a")
    slots[1].refuse = refused.append
    for slot in slots:
        tunnel._append(slot)
    for slot in slots[::-1]:
        tunnel.let(slot)
    assert [text for text, _ in tunnel._outgoing] == ["before", "with a token"]
    assert [error.code for error in refused] == [13009]


def test_cancel_on_disconnect_holds_at_both_hops(tmp_path):
    """The bot's connection breaks, and then the desk is killed: each time what was to go goes."""
    with dev_venue(tmp_path / "venue") as venue:
        keys = write_keys(venue, tmp_path / "keys.toml")
        desk = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce", keys)

        async def place(account):
            wire = await Wire().connect(desk, account)
            await wire.result("private/enable_cancel_on_disconnect", scope="connection")
            await wire.result("private/buy", **limit(50_000))
            return wire

        async def broken():
            wire = await place("alice")
            assert len(open_at(venue, "alice")) == 1
            wire._socket._response.connection.transport.abort()
            await wire.ended.wait()

        asyncio.run(broken())
        until(lambda: not open_at(venue, "alice"))

        async def killed():
            wire = await place("bob")
            stays = desk.get("private/buy", "carol", **limit(49_000))["result"]["order"]["order_id"]
            desk.kill()
            await wire.ended.wait()
            return stays

        stays = asyncio.run(killed())
        until(lambda: not open_at(venue, "bob"))
        assert open_at(venue, "carol") == {stays}
        again = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce")
        changed = again.get("private/edit", "carol", order_id=stays, amount=20, price=49_500)["result"]["order"]
        assert (changed["order_id"], changed["amount"], changed["price"]) == (stays, 20, 49_500)
        assert again.get("private/cancel", "carol", order_id=stays)["result"]["order_state"] == "cancelled"
        assert again.stop() == 0
        assert "alert=break" not in again.log.read_text()


def test_status_says_how_it_stands_with_the_venue(enforced):
    until(lambda: all(row["compared"] for row in status_of(enforced)["accounts"]))
    told = status_of(enforced)
    assert (told["mode"], told["url"], told["failed"]) == ("enforce", enforced.behind.ready["http"], "")
    assert [row["name"] for row in told["accounts"]] == ["alice", "bob", "carol", "dave"]
    assert all(row["seen"] and not row["unknown"] and not row["breaks"] for row in told["accounts"])
    token = next(row["token"] for row in enforced.ready["operators"] if row["name"] == "olivia")
    shown = subprocess.run(
        [sys.executable, "-c", START, "status", "--url", enforced.ready["ops"]],
        env=ENVIRONMENT | {"SEAWALL_OPS_TOKEN": token}, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert f"orders go to {told['url']}, enforce" in shown and "account alice: seen; 0 orders open there" in shown


def status_of(desk):
    token = next(row["token"] for row in desk.ready["operators"] if row["name"] == "olivia")
    request = urllib.request.Request(f"{desk.ready['ops']}/status", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["upstream"]


def test_an_order_left_unknown_by_an_edit_is_asked_for_after_a_restart(tmp_path):
    """The edit had no answer when both were killed: until the order was looked up the bot may add no risk."""
    with dev_venue(tmp_path / "venue") as venue:
        keys = write_keys(venue, tmp_path / "keys.toml")
        desk = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce", keys)
        placed = desk.get("private/buy", "alice", **limit(50_000))["result"]["order"]["order_id"]
        until(lambda: status_of(desk)["accounts"][0]["open"] == 1)
        time.sleep(0.2)  # what the venue said is journalled
        assert desk.stop() == 0
        node = Node.start(Configuration.of({"data": str(tmp_path / "desk")}), time.time_ns)
        rows = [row for frame in frames(folders_of(tmp_path / "desk")) for row in frame.commands]
        (order,) = [row for row in rows if row["kind"] == Kind.ORDER]
        node.submit(command(Kind.UNKNOWN, account=int(order["account"]), order_id=int(order["seq"])))
        node.stop()
        again = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce")
        error = again.get("private/buy", "alice", **limit(49_000))["error"]
        assert error["data"]["control"] == "OUTCOME_UNKNOWN"
        until(lambda: "result" in again.get("private/buy", "alice", **limit(49_000)))
        assert again.get("private/cancel", "alice", order_id=placed)["result"]["order_state"] == "cancelled"
        assert again.stop() == 0


def seen_at(desk):
    """When each account was seen, by the last start's log."""
    log = re.sub(r"\x1b\[[0-9;]*m", "", desk.log.read_text())
    found = re.findall(r"^(\S+ \S+).*the drop copy is seen.*?account=(\w+)", log, re.MULTILINE)
    return {name: datetime.fromisoformat(at) for at, name in found}


def test_an_edit_on_its_way_when_all_was_killed_may_still_arrive(tmp_path):
    """The journal has it and no more: its account is seen when it has arrived, or never will."""
    with dev_venue(tmp_path / "venue") as venue:
        keys = write_keys(venue, tmp_path / "keys.toml")
        desk = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce", keys)
        placed = desk.get("private/buy", "alice", **limit(50_000))["result"]["order"]["order_id"]
        desk.get("private/buy", "carol", **limit(50_000))
        until(lambda: status_of(desk)["accounts"][0]["open"] == 1)
        time.sleep(0.2)
        assert desk.stop() == 0
        node = Node.start(Configuration.of({"data": str(tmp_path / "desk")}), time.time_ns)
        rows = [row for frame in frames(folders_of(tmp_path / "desk")) for row in frame.commands]
        order = next(row for row in rows if row["kind"] == Kind.ORDER)
        of = {name: int(order[name]) for name in ("account", "instrument", "price")}
        node.submit(command(Kind.EDIT, order_id=int(order["seq"]), quantity=500, **of))
        node.stop()
        again = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce")
        seen = seen_at(again)
        assert (seen["alice"] - seen["bob"]).total_seconds() >= 1
        until(lambda: "result" in again.get("private/edit", "alice", order_id=placed, amount=20, price=50_000))
        assert again.stop() == 0
        assert "alert=break" not in again.log.read_text()


def test_logging_out_cancels_nothing(observed):
    async def trip():
        wire = await Wire().connect(observed, "dave")
        await wire.result("private/enable_cancel_on_disconnect", scope="connection")
        placed = await wire.result("private/buy", **limit(50_000))
        await wire.send("private/logout", {})
        await wire.ended.wait()
        return placed["order"]["order_id"]

    number = asyncio.run(trip())
    time.sleep(0.5)
    assert open_at(observed.behind, "dave") == {number}


def test_a_venue_that_is_gone_ends_the_bots_connections_and_is_found_again(tmp_path):
    with dev_venue(tmp_path / "venue") as venue:
        port = venue.ready["http"].rpartition(":")[2]
        desk = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce", write_keys(venue, tmp_path / "keys.toml"))

        async def gone():
            wire = await Wire().connect(desk, "alice")
            venue.stop()
            await wire.ended.wait()

        asyncio.run(gone())
        error = desk.get("private/buy", "alice", **limit(50_000))["error"]
        assert error["code"] == 13028
        with dev_venue(tmp_path / "venue", "--port", port):
            until(lambda: "error" not in desk.get("private/buy", "alice", **limit(50_000)))
            assert desk.stop() == 0


def test_without_keys_or_a_venue_nothing_starts(tmp_path):
    with pytest.raises(AssertionError, match="--upstream-keys"):
        DeskVenue(tmp_path / "desk", "http://127.0.0.1:1", "observe")
    keys = tmp_path / "keys.toml"
    keys.write_text('[main]\nkey = "a"\nsecret = "b"\n')
    keys.chmod(0o644)
    with pytest.raises(AssertionError, match="chmod 600"):
        DeskVenue(tmp_path / "other", "http://127.0.0.1:1", "observe", keys)
    keys.chmod(0o600)
    with pytest.raises(AssertionError, match="Unreachable"):
        DeskVenue(tmp_path / "third", "http://127.0.0.1:1", "observe", keys)


def test_what_became_of_the_venues_own_keys_stays_so_over_a_restart(tmp_path):
    """With `same_keys`: one revoked, one rotated, both at the desk, which is given them once."""
    config = tmp_path / "desk.toml"
    config.write_text("[operations]\nport = 0\n[upstream]\nsame_keys = true\n")
    with dev_venue(tmp_path / "venue") as venue:

        def started(keys=None):
            desk = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce", keys, "--config", config)
            desk.accounts = {name: dict(row) for name, row in venue.accounts.items()}
            return desk

        def login(desk, account):
            return desk.get("private/get_positions", account, currency="BTC").get("error", {}).get("code", "in")

        desk = started(write_keys(venue, tmp_path / "keys.toml"))
        try:
            keys = {name: row["key"] for name, row in venue.accounts.items()}
            desk.operate("keys", "rita", action="revoke", id=keys["alice"], reason="stolen")
            rotated = approved(desk, "keys", "olivia", action="rotate", id=keys["bob"], overlap_s=0)["secret"]
            assert desk.stop() == 0
            desk = started()
            found = [login(desk, name) for name in ("alice", "bob", "carol")]
            desk.accounts["bob"]["secret"] = rotated
            assert [*found, login(desk, "bob")] == [13004, 13004, "in", "in"]
            assert desk.stop() == 0
        finally:
            desk.kill()


FULL = """
from pathlib import Path
from seawall.node.node import Node
from seawall.vocabulary.errors import OutcomeUnknown
real = Node.submit
def submit(self, *given):
    if Path({flag!r}).exists():
        self.dead = True
        raise OutcomeUnknown("no space left on device")
    return real(self, *given)
Node.submit = submit
"""


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_a_full_disk_ends_enforce_and_not_what_only_looks_on(tmp_path, mode, monkeypatch):
    with dev_venue(tmp_path / "venue") as venue:
        keys, flag = write_keys(venue, tmp_path / "keys.toml"), tmp_path / "full"
        monkeypatch.setattr("dev_venue.START", FULL.format(flag=str(flag)) + START)
        desk = DeskVenue(tmp_path / "desk", venue.ready["http"], mode, keys)
        try:
            assert "result" in desk.get("private/buy", "alice", **limit(50_000))
            flag.touch()
            if mode == "enforce":
                error = desk.get("private/buy", "alice", **limit(50_001))["error"]
                assert error["code"] in (13888, 13028) and len(open_at(venue, "alice")) == 1
                assert desk.process.wait(20) == 1
                return
            for price in range(50_001, 50_006):
                assert "result" in desk.get("private/buy", "alice", **limit(price))
                time.sleep(0.4)
            assert len(open_at(venue, "alice")) == 6
            until(lambda: "alert=dead_writer" in desk.log.read_text())
        finally:
            desk.kill()
