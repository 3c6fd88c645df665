"""What leaves by a bot's connection and what does not: orders that waited, two of one label, odd parameters."""

import json
from collections import Counter

import pytest
from desk_script import ALICE, BOB, BUY, run, tunnel_of

from seawall.api.desk.tunnel import Slot, said
from seawall.api.errors import RpcError
from seawall.api.session import GONE
from seawall.node.configuration import Bot
from seawall.vocabulary.records import Kind, Scope, command


@pytest.mark.parametrize("what", ["order", "edit"])
def test_what_waits_behind_a_login_when_the_kill_comes_does_not_leave(tmp_path, what):
    """It was weighed when it came; who sends logins one after the other has it wait for seconds."""

    async def trip(script):
        await script.order("BTC-1")
        tunnel, told = tunnel_of(script)
        login = Slot()
        tunnel._append(login)
        market = {"instrument_name": "BTC-PERPETUAL", "amount": 100, "type": "market"}
        larger = {"order_id": "BTC-1", "amount": 500, "price": 60_000}
        method, params = ("private/buy", market) if what == "order" else ("private/edit", larger)
        tunnel.from_bot(json.dumps({"id": 7, "method": method, "params": params}))
        await script.settle()
        script.venue.submit(command(Kind.KILL, type=Scope.ACCOUNT, account=ALICE))
        await script.settle()
        tunnel.drop(login)
        await script.settle()
        assert not tunnel._outgoing and [answer["error"]["code"] for answer in told] == [10019]
        assert tunnel.tracked == {} and tunnel._calls == {} and not list(script.desk.unbound)
        script.tell_order(script.row("BTC-1", state="cancelled"))
        await script.settle()
        assert script.open() == []

    run(trip, tmp_path)


@pytest.mark.parametrize(
    "more",
    [{"clientOrderId": 123}, {"clientOrderId": "x" * 70}, {"client_order_id": {}}, {"label": None, "post_only": None},
     {"type": None, "time_in_force": None, "trigger": None}, {"valid_until": 1.5, "mmp": "perhaps"}],
)  # fmt: skip
def test_what_an_order_is_not_weighed_by_is_the_venues_to_judge(tmp_path, more):
    """Clients leave in what is theirs alone, and the venue passes over what it does not know."""

    async def trip(script):
        tunnel, told = tunnel_of(script)
        said = json.dumps(BUY | {"params": BUY["params"] | more})
        tunnel.from_bot(said)
        await script.settle()
        assert told == [] and [text for text, _ in tunnel._outgoing] == [said]
        assert len(script.open()) == 1

    run(trip, tmp_path)


def test_what_a_bot_that_left_had_said_goes_but_for_orders_that_wait(tmp_path):
    async def trip(script):
        tunnel, _ = tunnel_of(script)
        went = []

        async def send(text):
            went.append(json.loads(text)["method"])

        tunnel.venue.send = send
        for number, method in enumerate(("private/buy", "private/cancel_all", "public/test")):
            tunnel.from_bot(json.dumps(BUY | {"id": number, "method": method}))
        tunnel._append(Slot())  # a login, and what is to go behind it
        tunnel.from_bot(json.dumps({"id": 9, "method": "private/cancel_all"}))
        tunnel.session.close(*GONE)
        await tunnel.close()
        assert went == ["private/cancel_all", "public/test"]
        await script.settle()
        assert script.desk.lost == [] == script.open() and not list(script.desk.unbound)  # and not of unknown outcome

    run(trip, tmp_path, bots={"alice": Bot("main", desk="rates")})


def test_contracts_are_weighed_as_what_the_venue_says_now_that_one_is(tmp_path):
    async def trip(script):
        given = {"instrument_name": "BTC-PERPETUAL", "price": 59_000}
        assert (await script.call("private/buy", contracts=10, **given)).lots == 10
        script.desk.contract_sizes["BTC-PERPETUAL"] = 100.0  # ten times what it was listed with
        assert (await script.call("private/buy", contracts=10, **given)).lots == 100
        assert (await script.call("private/buy", contracts=10, amount=1_000, **given)).lots == 100
        assert (await script.call("private/buy", amount=1_000, **given)).lots == 100
        await script.order("BTC-1", contracts=10, amount=1_000)
        assert (await script.call("private/edit", order_id="BTC-1", contracts=20)).lots == 200

    run(trip, tmp_path)


def test_a_flood_of_mass_cancels_does_not_ask_the_venue_for_each(tmp_path):
    """The account's other bots are seen by the same connection, and by what the venue lets the account ask."""

    async def trip(script):
        await script.order("BTC-1")
        tunnel, told = tunnel_of(script)
        for number in range(1_000):
            tunnel.from_bot(json.dumps({"id": number, "method": "private/cancel_all", "params": {}}))
        await script.settle()
        assert script.there.asked["private/get_open_orders"] == 8 and script.there.cancelled
        assert Counter(answer.get("error", {}).get("code") for answer in told) == {10028: 992, None: 8}
        tunnel.from_bot(json.dumps({"id": 1, "method": "private/cancel_all", "params": {}}))
        await script.settle()
        assert "result" in told[-1]  # those before are over

    run(trip, tmp_path)


def test_a_connection_ends_as_the_venues_did():
    assert [said(code) for code in (1000, 1001, 4000, 1005)] == [1000, 1001, 4000, 1000]
    assert [said(code) for code in (1006, 1015, None, 0)] == [1011] * 4  # it broke


def test_a_method_of_the_venues_room_within_passes(tmp_path):
    async def trip(script):
        tunnel, told = tunnel_of(script)
        for name in ("private/pme/simulate", "/private/pme/simulate"):
            tunnel.from_bot(json.dumps({"id": 1, "method": name, "params": {"currency": "BTC"}}))
        assert told == [] and len(tunnel._outgoing) == 2
        for name in ("private/pme/pme/buy", "private/pme//buy", "private/x/buy", "private/pme/"):
            tunnel.from_bot(json.dumps({"id": 1, "method": name, "params": {}}))
        assert [answer["error"]["code"] for answer in told] == [-32601] * 4

    run(trip, tmp_path)


@pytest.mark.parametrize("whose", [ALICE, BOB])
def test_an_edit_by_a_label_that_the_account_has_twice_does_not_leave(tmp_path, whose):
    """The first is cancelled by now, perhaps: then the edit is about the second, of another side or another bot."""

    async def trip(script):
        given = {"label": "x", "instrument_name": "BTC-PERPETUAL", "amount": 5_000}
        await script.order("BTC-1", label="x")
        await script.order("BTC-2", whose, "sell", 100, 61_000.0, label="x")
        with pytest.raises(RpcError, match="13032"):
            await script.call("private/edit_by_label", **given)
        script.tell_order(script.row("BTC-1", state="cancelled"))
        await script.settle()
        if whose == ALICE:
            sent = await script.call("private/edit_by_label", **given)
            assert sent.edits[0].id == "BTC-2"
        else:
            with pytest.raises(RpcError, match="10004"):
                await script.call("private/edit_by_label", **given)

    run(trip, tmp_path)
