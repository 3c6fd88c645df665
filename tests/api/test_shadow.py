"""What becomes of orders that the venue tells of in its own way: ghosts, stops that fire, what came from outside."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from desk_script import ALICE, BOB, BUY, RATES, run, tunnel_of

from seawall.api.desk import cancelling, drop_copy
from seawall.api.desk.sent import Sent
from seawall.api.desk.shadow import Ghost
from seawall.api.errors import RpcError
from seawall.api.rpc import Call
from seawall.journal import folders_of, frames
from seawall.node.configuration import Bot
from seawall.venues.connection import VenueError
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.records import Kind, Limit, Scope, VenueState, command


async def ghost(script, id_="BTC-1"):
    """An order of alice's that the gate would have refused, and that stands at the venue (observe)."""
    limit = command(Kind.LIMIT, state=Limit.ORDER_QUANTITY, account=ALICE, instrument=0, amount=5)
    script.desk.ask(limit.tobytes())
    row = await script.order(id_)
    assert script.shadow.live[id_].seq == 0 and script.open() == []
    return row


# -- ghosts ------------------------------------------------------------------------------------------------------------


def test_a_ghost_that_is_over_is_over_after_a_restart(tmp_path):
    async def trip(script):
        await ghost(script)
        assert script.notes("ghost") == [
            {"note": "ghost", "upstream": "BTC-1", "account": ALICE, "seq": script.notes("ghost")[0]["seq"],
             "instrument": 0, "side": 1, "lots": 10}
        ]  # fmt: skip
        await script.again()
        live = script.shadow.live["BTC-1"]
        assert (live.instrument, live.side, live.lots) == (0, 1, 10)
        script.tell_order(script.row("BTC-1", state="cancelled"))
        assert not script.shadow.live
        await script.again()
        assert not script.shadow.live
        await script.look()
        assert script.there.asked["private/get_order_state"] == 0  # nobody asks for it any more

    run(trip, tmp_path, enforce=False)


@pytest.mark.parametrize("old", [False, True])
def test_a_ghost_that_the_venue_has_forgotten_does_not_blind_the_drop_copy(tmp_path, old):
    async def trip(script):
        if old:  # as it was journalled once
            script.venue.note(note="ghost", upstream="BTC-1", account=ALICE, seq=7)
        else:
            await ghost(script)
        await script.again()
        assert list(script.shadow.live) == ["BTC-1"]
        script.there.forgotten.add("BTC-1")
        script.there.orders.clear()
        await script.look()
        assert not script.shadow.live and script.there.asked["private/get_order_state"] == 1
        await script.again(enforce=True)
        await script.look()
        assert not script.shadow.live and script.there.asked["private/get_order_state"] == 1
        assert Ghost("a", 1).instrument == -1

    run(trip, tmp_path, enforce=False)


# -- stops that fire: the venue gives what they place another id -------------------------------------------------------

STOP = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 55_000}
WAITING = {"state": "untriggered", "order_type": "stop_limit"}


async def stop(script, **more):
    """A stop of bob's, which carries none of his labels."""
    await script.order("BTC-SLTS-1", BOB, "sell", 100, 54_000.0, WAITING, **STOP, **more)
    (order,) = script.open(BOB)
    return order


def fires(script, trigger, child, first):
    """The venue tells of a stop that fired and of what it placed, in an order."""
    trigger = script.row(trigger, "sell", 100, 54_000.0, state="triggered", order_type="stop_limit")
    child = script.row(child, "sell", 100, 54_000.0, trigger_order_id=trigger["order_id"])
    for row in (trigger, child) if first == "trigger" else (child, trigger):
        script.tell_order(row)


@pytest.mark.parametrize("first", ["trigger", "child"])
@pytest.mark.parametrize("restart", [False, True])
def test_what_a_stop_placed_is_the_stops_order_here(tmp_path, first, restart):
    async def trip(script):
        order = await stop(script)
        fires(script, "BTC-SLTS-1", "BTC-9", first)
        await script.settle()
        if restart:
            await script.again()
        live = script.shadow.live["BTC-9"]
        assert (live.seq, live.account) == (order.id, BOB) and list(script.shadow.live) == ["BTC-9"]
        script.tell_trade(script.trade("t1", "BTC-9", 40, 54_000.0, "sell"))
        script.tell_order(script.row("BTC-9", "sell", 100, 54_000.0, filled_amount=40))
        await script.look()
        (order,) = script.open(BOB)
        assert (script.position(BOB), script.position()) == (-4, 0) and live.id == "BTC-9"
        script.tell_trade(script.trade("t2", "BTC-9", 60, 54_000.0, "sell"))
        script.tell_order(script.row("BTC-9", "sell", 100, 54_000.0, "filled", filled_amount=100))
        await script.look()
        assert (script.open(BOB), script.position(BOB), script.alerts) == ([], -10, [])
        asked = script.there.asked["private/get_order_state"]
        await script.look()
        assert script.there.asked["private/get_order_state"] == asked  # it is over: nobody asks for it any more

    run(trip, tmp_path)


def test_an_execution_before_the_order_that_a_stop_placed_is_the_stops(tmp_path):
    async def trip(script):
        await stop(script)
        script.tell_order(script.there.orders["BTC-SLTS-1"])
        script.tell_trade(script.trade("t1", "BTC-9", 100, 54_000.0, "sell"))
        await script.settle()
        assert script.position() == script.position(BOB) == 0 and not script.alerts  # whose it is comes soon
        fires(script, "BTC-SLTS-1", "BTC-9", "trigger")
        script.tell_order(script.row("BTC-9", "sell", 100, 54_000.0, "filled", filled_amount=100))
        await script.look()
        assert (script.position(), script.position(BOB), script.open(BOB), script.alerts) == (0, -10, [], [])

    run(trip, tmp_path)


@pytest.mark.parametrize("executed", [0, 100])
@pytest.mark.parametrize("restart", [False, True])
def test_a_stop_that_fired_unheard_is_found_with_what_it_placed(tmp_path, executed, restart):
    async def trip(script):
        await stop(script)
        state = "filled" if executed else "cancelled"
        script.row("BTC-SLTS-1", "sell", 100, 54_000.0, "triggered", order_type="stop_limit")
        script.row("BTC-9", "sell", 100, 54_000.0, state, filled_amount=executed, trigger_order_id="BTC-SLTS-1")
        if executed:
            script.trade("t1", "BTC-9", 100, 54_000.0, "sell")
        if restart:
            await script.again()
        await script.look()
        assert (script.position(), script.position(BOB)) == (0, -executed // 10)
        assert (script.open(BOB), script.shadow.live, script.alerts) == ([], {}, [])

    run(trip, tmp_path)


def test_a_stop_that_fired_and_placed_nothing_is_over_after_a_while(tmp_path, monkeypatch):
    async def trip(script):
        await stop(script)
        script.tell_order(script.row("BTC-SLTS-1", "sell", 100, 54_000.0, "triggered", order_type="stop_limit"))
        await script.look()
        assert script.open(BOB)
        monkeypatch.setattr("seawall.api.desk.drop_copy.ANSWER_MAX_S", 0)
        await script.look()
        assert (script.open(BOB), script.shadow.live) == ([], {})

    run(trip, tmp_path)


def test_an_execution_from_outside_waits_for_no_stop_for_long(tmp_path):
    async def trip(script):
        await stop(script)
        script.tell_order(script.there.orders["BTC-SLTS-1"])
        script.row("BTC-7", "sell", 50, 54_000.0, "filled", filled_amount=50)
        script.tell_trade(script.trade("t1", "BTC-7", 50, 54_000.0, "sell"))
        await script.look()
        assert (script.position(), script.position(BOB), len(script.open(BOB))) == (-5, 0, 1)
        assert [kind for kind, _ in script.alerts] == ["order_from_outside"]

    run(trip, tmp_path)


def test_what_a_stop_placed_is_cancelled_when_the_stop_was_to_be(tmp_path):
    async def trip(script):
        await stop(script)
        script.row("BTC-SLTS-1", "sell", 100, 54_000.0, "triggered", order_type="stop_limit")
        script.desk.ask(command(Kind.KILL, type=Scope.ACCOUNT, account=BOB).tobytes())
        await script.settle()
        assert script.there.cancelled == []  # it had fired
        fires(script, "BTC-SLTS-1", "BTC-9", "trigger")
        script.desk.ask(command(Kind.TIME).tobytes())
        await script.settle()
        assert script.there.cancelled == ["BTC-9"]

    run(trip, tmp_path)


def test_a_mass_cancel_takes_along_what_a_stop_placed_meanwhile(tmp_path):
    async def trip(script):
        await stop(script)
        look = script.there.get_open_orders

        def fired():
            if "BTC-9" not in script.there.orders:
                fires(script, "BTC-SLTS-1", "BTC-9", "trigger")
            return look()

        script.there.get_open_orders = fired
        assert len(await cancelling.cancel_own(script.desk, BOB, lambda row: True)) == 1
        assert script.there.cancelled == ["BTC-9"]

    run(trip, tmp_path)


def test_a_stop_that_fires_before_its_answer_is_here(tmp_path):
    async def trip(script):
        given = {"instrument_name": "BTC-PERPETUAL", "amount": 100, "price": 54_000.0}
        sent = await script.call("private/sell", BOB, **given, **STOP)
        waiting = script.row("BTC-SLTS-1", "sell", 100, 54_000.0, **WAITING)
        script.tell_trade(script.trade("t1", "BTC-9", 100, 54_000.0, "sell"))
        fires(script, "BTC-SLTS-1", "BTC-9", "child")
        sent.heard(json.dumps({"result": {"order": waiting, "trades": []}}).encode())
        script.tell_order(script.row("BTC-9", "sell", 100, 54_000.0, "filled", filled_amount=100))
        await script.settle()
        assert (script.position(), script.position(BOB), script.open(BOB), script.alerts) == (0, -10, [], [])

    run(trip, tmp_path)


# -- what is not weighed, in observe -----------------------------------------------------------------------------------


def test_what_enforce_would_refuse_unweighed_is_in_the_journal_of_observe(tmp_path):
    limit = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 50_000}
    calls = (
        ("private/mass_quote", {}, 10033),
        ("private/buy", limit | {"instrument_name": "SOL_USDC-PERPETUAL"}, 10020),
        ("private/buy", limit | {"advanced": "usd"}, 10033),
        ("private/close_position", {"instrument_name": "BTC-PERPETUAL"}, 10033),
    )

    async def observed(script):
        for name, given, _ in calls:
            assert await script.call(name, **given) is None  # it goes
        for _ in range(50):
            await script.call("private/mass_quote")
        await script.settle()
        told = [(one["account"], one["method"], one["code"]) for one in script.notes("unweighed")]
        assert told == [(ALICE, name, code) for name, _, code in calls]
        assert all(one["reason"] and one["count"] == 1 for one in script.notes("unweighed"))
        script.desk.tell_counts(now=True)
        await script.settle()
        assert [(one["method"], one["count"]) for one in script.notes("unweighed")[len(calls) :]] == [
            ("private/mass_quote", 50)
        ]
        for number in range(300):  # a flood of names that nobody lists
            await script.call("private/buy", **limit | {"instrument_name": f"X{number}"})
        script.desk.tell_counts(now=True)
        await script.settle()
        told = script.notes("unweighed")[len(calls) + 1 :]
        assert len(told) == 102 and sum(one["count"] for one in told) == 300

    async def enforced(script):
        for name, given, code in calls:
            with pytest.raises(RpcError) as refused:
                await script.call(name, **given)
            assert refused.value.code == code

    run(observed, tmp_path / "observe", enforce=False)
    run(enforced, tmp_path / "enforce")


# -- breaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enforce", [True, False])
def test_an_execution_in_what_is_not_weighed_is_a_break_told_once(tmp_path, enforce):
    async def trip(script):
        spot = script.trade("t1", "S-1", 10, 1.0, instrument_name="BTC_USDC")
        for _ in range(3):
            await script.look()
        assert [kind for kind, _ in script.alerts] == ["break"]
        await script.again()
        await script.look()
        assert [kind for kind, _ in script.alerts] == ["break"]
        (note,) = script.notes("differs")
        assert (note["kind"], note["account"], note["about"]) == ("break", "main", "BTC_USDC") and note["why"]
        states = [script.venue.view.states.get((Scope.ACCOUNT, account)) for account in (ALICE, BOB)]
        assert states == ([VenueState.REDUCE_ONLY] * 2 if enforce else [None] * 2)
        if enforce:
            with pytest.raises(RpcError) as refused:
                await script.call("private/buy", instrument_name="BTC-PERPETUAL", amount=10, price=59_000)
            assert refused.value.data["control"] == "REDUCE_ONLY"
        script.tell_trade(spot)
        assert len(script.alerts) == 1

    run(trip, tmp_path, enforce=enforce)


def test_what_people_are_alerted_to_is_in_the_journal_with_its_numbers(tmp_path):
    async def trip(script):
        script.desk.broken("main", "BTC-PERPETUAL", {"theirs": 7, "ours": 5, "unit": "lots"})
        for number in range(20):
            script.tell_order(script.row(f"X-{number}"))
        script.copy._blind("the connection ended")
        await script.settle()
        script.desk.tell_counts(now=True)
        await script.settle()
        differs = [{name: value for name, value in note.items() if value} for note in script.notes("differs")]
        assert [note.pop("note") for note in differs] == ["differs"] * 4
        outside = {"kind": "order_from_outside", "account": "main", "about": "BTC-PERPETUAL"}
        assert differs == [
            {"kind": "break", "account": "main", "about": "BTC-PERPETUAL", "theirs": 7, "ours": 5, "unit": "lots",
             "count": 1},
            {**outside, "count": 1},
            {"kind": "drop_copy_lost", "account": "main", "why": "the connection ended", "count": 1},
            {**outside, "count": 19},
        ]  # fmt: skip

    run(trip, tmp_path)


# -- the kill switch ---------------------------------------------------------------------------------------------------


def kill(script, **of):
    script.desk.ask(command(Kind.KILL, **of).tobytes())


def test_a_kill_cancels_what_the_engine_does_not_hold(tmp_path):
    async def trip(script):
        await ghost(script)
        script.tell_order(script.row("X-1", label="of alice"))
        script.tell_order(script.row("X-2", label="b-2"))
        script.tell_order(script.row("X-3", instrument_name="BTC_USDC"))
        kill(script, type=Scope.ACCOUNT, account=ALICE)
        await script.settle()
        assert script.there.cancelled == []  # observe cancels nothing
        await script.again(enforce=True)
        await script.look()
        script.copy.venue = None  # the venue is gone just then
        kill(script, type=Scope.ACCOUNT, account=ALICE)
        await script.settle()
        script.copy.venue = script.there
        await asyncio.sleep(0.6)
        assert sorted(script.there.cancelled) == ["BTC-1", "X-1", "X-3"]
        assert [kind for kind, _ in script.alerts] == ["order_from_outside"] * 6  # before the restart, and after

    run(trip, tmp_path, enforce=False)


@pytest.mark.parametrize(
    ("of", "gone"),
    [
        ({"type": Scope.ACCOUNT, "account": RATES}, ["X-1", "X-3"]),
        ({"type": Scope.INSTRUMENT, "instrument": 0}, ["X-1", "X-2"]),
        ({"type": Scope.UNDERLYING, "instrument": 0}, ["X-1", "X-2"]),
        ({"type": Scope.VENUE}, ["X-1", "X-2", "X-3"]),
        ({"type": Scope.INSTRUMENT, "instrument": 77}, []),
    ],
)
def test_a_kill_cancels_orders_from_outside_as_far_as_it_goes(tmp_path, of, gone):
    async def trip(script):
        script.tell_order(script.row("X-1", label="of alice, of the desk rates"))
        script.tell_order(script.row("X-2", label="b-2"))
        script.tell_order(script.row("X-3", instrument_name="BTC_USDC"))
        kill(script, **of)
        await script.settle()
        assert sorted(set(script.there.cancelled)) == gone

    run(trip, tmp_path)


# -- bots of one account -----------------------------------------------------------------------------------------------


def test_settings_of_an_account_are_no_bots_that_shares_it(tmp_path):
    of_all = (
        ("private/set_mmp_config", {"index_name": "btc_usd", "interval": 1, "frozen_time": 1}),
        ("private/reset_mmp", {"index_name": "btc_usd"}),
        ("private/cancel_all_after", {"timeout_ms": 1000}),
        ("private/cancel_all_after", {"timeout_ms": 0}),
        ("private/set_self_trading_config", {"mode": "cancel_maker"}),
        ("private/enable_cancel_on_disconnect", {"scope": "account"}),
        ("private/disable_cancel_on_disconnect", {"scope": "account"}),
    )

    async def trip(script):
        for name, given in of_all:
            with pytest.raises(RpcError) as refused:
                await script.call(name, **given)
            assert refused.value.code == 10033
        for scope in ({}, {"scope": "connection"}):
            assert await script.call("private/enable_cancel_on_disconnect", **scope) is None

    run(trip, tmp_path)


def test_the_longest_start_of_a_label_says_whose_an_order_from_outside_is(tmp_path):
    async def trip(script):
        for number, (label, owner) in enumerate((("mm-1", ALICE), ("mm-eth-1", BOB), ("x", ALICE), ("mm", ALICE))):
            assert script.desk.owner_of(label, "main") == owner
            script.tell_trade(script.trade(f"t{number}", f"X-{number}", 10, 59_000.0, label=label))
        await script.settle()
        assert (script.position(ALICE), script.position(BOB)) == (3, 1)

    bots = {"alice": Bot("main", desk="rates", labels=("mm",)), "bob": Bot("main", labels=("mm-eth-",))}
    run(trip, tmp_path, bots=bots)


# -- what rests though it was to take ----------------------------------------------------------------------------------


def test_a_fee_in_another_coin_is_none_of_the_settlement_s(tmp_path):
    """5 USDC, in atoms of a millionth, were 0.05 BTC."""

    async def trip(script):
        script.venue.view.currencies[1] = ("USDC", 6)
        for number, fee in enumerate(({"fee": 5.0, "fee_currency": "USDC"}, {"fee": 0.0001}, {"fee": 0.0002})):
            script.tell_trade(script.trade(f"t{number}", f"X-{number}", 10, 59_000.0, **fee))
        await script.settle()
        paid = [row.commission for row in script.venue.view.ledger.of(ALICE).entries if row.trade_id]
        assert paid == [0, 10_000, 20_000]

    run(trip, tmp_path)


def test_what_rests_of_a_market_limit_order_is_a_limit_order_that_may_be_edited(tmp_path):
    async def trip(script):
        sent = await script.call("private/buy", instrument_name="BTC-PERPETUAL", amount=300, type="market_limit")
        row = script.row("M-1", amount=300, price=60_100.0, filled_amount=100)
        trades = [script.trade("T-1", "M-1", 100, 60_100.0)]
        sent.heard(json.dumps({"result": {"order": row, "trades": trades}}).encode())
        await script.settle()
        [order] = script.open()
        assert (order.price, order.filled, order.remaining) == (60_100 * 2, 10, 20)
        await edited(script, "M-1", 300, 59_000)
        await script.look()
        assert script.alerts == [] and script.position() == 10

    run(trip, tmp_path)


def test_a_position_that_is_closed_at_a_limit_is_a_limit_order_that_may_be_edited(tmp_path, monkeypatch):
    async def trip(script):
        monkeypatch.setattr(script.desk.gate, "_shared", lambda account: False)
        script.row("B-1", state="filled", filled_amount=100)
        script.tell_trade(script.trade("T-1", "B-1", 100, 60_000.0))
        await script.settle()
        sent = await script.call("private/close_position", instrument_name="BTC-PERPETUAL", type="limit", price=70_000)
        row = script.row("C-1", "sell", 100, 70_000.0)
        sent.heard(json.dumps({"result": {"order": row, "trades": []}}).encode())
        await script.settle()
        await edited(script, "C-1", 100, 69_000)

    run(trip, tmp_path)


@pytest.mark.parametrize("enforce", [True, False])
def test_a_close_that_the_venue_makes_smaller_leaves_nothing_open_here(tmp_path, monkeypatch, enforce):
    """What closes is the venue's to say: a fill on its way, or the position of other bots of the account."""

    async def trip(script):
        monkeypatch.setattr(script.desk.gate, "_shared", lambda account: False)
        script.row("B-1", state="filled", filled_amount=100)
        script.tell_trade(script.trade("T-1", "B-1", 100, 60_000.0))
        await script.settle()
        sent = await script.call("private/close_position", instrument_name="BTC-PERPETUAL", type="market")
        row = script.row("C-1", "sell", 60, 59_900.0, "filled", order_type="market", filled_amount=60)
        trades = [script.trade("T-2", "C-1", 60, 59_900.0, "sell")]
        sent.heard(json.dumps({"result": {"order": row, "trades": trades}}).encode())
        await script.look()
        assert script.position() == 4 and script.open() == [] and not script.shadow.live

    run(trip, tmp_path, enforce=enforce)


async def edited(script, id_, amount, price):
    """An edit that the gate lets go, and the venue makes."""
    sent = await script.call("private/edit", order_id=id_, amount=amount, price=price)
    there = script.there.orders[id_]
    row = script.row(id_, there["direction"], amount, float(price), filled_amount=there["filled_amount"])
    sent.heard(json.dumps({"result": {"order": row, "trades": []}}).encode())
    await script.settle()
    assert [order.price for order in script.open()] == [price * 2]


# -- what people are told of a restriction -----------------------------------------------------------------------------


# -- what never left, or has no answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["unseen", "full"])
def test_an_order_refused_before_it_left_is_of_no_unknown_outcome(tmp_path, why, monkeypatch):
    """Nobody would ever ask what became of it, and while it stands its account is compared no more."""

    def full(*given, **more):
        raise SeawallError("the queue is full")

    async def trip(script):
        tunnel, told = tunnel_of(script)
        with monkeypatch.context() as patch:
            if why == "unseen":
                patch.setattr(script.copy, "why", "the connection ended")
            else:
                patch.setattr(script.venue.service.sequencer, "submit", full)
            tunnel.from_bot(json.dumps(BUY))
        assert told[0]["error"]["code"] == (13028 if why == "unseen" else 10047)
        assert tunnel.tracked == {} and tunnel._calls == {}
        await tunnel.close()
        assert script.desk.lost == [] and not script.desk.busy("main")
        again, told = tunnel_of(script)
        again.from_bot(json.dumps(BUY))
        await script.settle()
        assert told == [] and [text for text, _ in again._outgoing] == [json.dumps(BUY)]

    run(trip, tmp_path)


def test_observe_passes_what_is_too_deep_for_us_both_ways(tmp_path):
    async def trip(script):
        tunnel, _ = tunnel_of(script)
        deep = "[" * 50_000 + "]" * 50_000
        said = f'{{"id":1,"method":"public/test","params":{deep}}}'
        tunnel.from_bot(json.dumps(BUY))
        tunnel.from_bot(said)
        assert [text for text, _ in tunnel._outgoing] == [json.dumps(BUY), said]
        heard = []
        tunnel.session.push = heard.append
        tunnel.from_venue(f'{{"id":7,"result":{deep}}}')
        assert len(heard) == 1
        tunnel.from_venue('{"id":7,"error":{"code":10009,"message":"not_enough_funds"}}')
        await script.settle()
        assert tunnel.tracked == {} and script.open() == []

    run(trip, tmp_path, enforce=False)


def test_an_order_that_a_control_refused_leaves_its_id_free(tmp_path):
    async def trip(script):
        tunnel, told = tunnel_of(script)
        huge = BUY | {"params": BUY["params"] | {"amount": 10**9}}
        tunnel.from_bot(json.dumps(huge))
        await script.settle()
        assert told[0]["error"]["data"]["control"] and tunnel.tracked == {} and tunnel._calls == {}
        await tunnel.close()
        assert script.desk.lost == [] and not script.desk.busy("main")

    run(trip, tmp_path)


@pytest.mark.parametrize("how", ["reduce_only", "close"])
def test_a_lost_order_that_the_venue_cut_to_the_position_is_found(tmp_path, how):
    """It stands there with another amount than was asked for, and was taken for one that never arrived."""
    alone = {"alice": Bot("main", desk="rates")}

    async def trip(script):
        bought = await script.order("BTC-1", amount=150)
        script.tell_trade(script.trade("t1", bought["order_id"], 150, 59_000.0))
        script.tell_order(script.row("BTC-1", amount=150, state="filled", filled_amount=150))
        await script.settle()
        given = {"instrument_name": "BTC-PERPETUAL", "type": "limit", "price": 61_000}
        if how == "close":
            sent = await script.call("private/close_position", **given)
        else:
            sent = await script.call("private/sell", amount=300, reduce_only="true", **given)
        await script.settle()
        sent.lost("the connection ended before the answer came")
        amount = 100 if how == "close" else 150
        script.row("BTC-8", "sell", amount, 61_000.0, creation_timestamp=sent.began_ms)  # another one, not reduce-only
        script.row("BTC-9", "sell", amount, 61_000.0, creation_timestamp=sent.began_ms, reduce_only=True)
        script.tell_order(script.there.orders["BTC-9"])
        sent.lost_at -= 2 * drop_copy.GRACE_S
        await script.look()
        [order] = script.open()
        assert script.shadow.by_seq[order.id].id == "BTC-9" and order.filled + order.remaining == amount // 10
        assert [facts["order_id"] for _, facts in script.alerts] == ["BTC-8"]

    run(trip, tmp_path, bots=alone)


def test_what_was_never_on_its_way_is_not_lost(tmp_path):
    async def trip(script):
        listing = script.venue.view.by_name["BTC-PERPETUAL"]
        sent = Sent(script.desk, ALICE, "main", listing, 1, 10, "")
        sent.lost("the connection ended before the answer came")
        assert sent.state == "done" and script.desk.lost == []

    run(trip, tmp_path)


@pytest.mark.parametrize("stepped", [-3600, 3600])
def test_how_long_an_order_has_no_answer_is_not_counted_by_a_clock_that_steps(tmp_path, stepped, monkeypatch):
    async def trip(script):
        later, cut = [0.0], []
        clock = SimpleNamespace(
            monotonic=lambda: time.monotonic() + later[0],
            time_ns=lambda: time.time_ns() + round((stepped + later[0]) * 1e9),
        )
        monkeypatch.setattr(drop_copy, "time", clock)
        sent = await script.call("private/buy", **BUY["params"])
        sent.cut = lambda: cut.append(sent.state)
        await script.look()
        assert sent.state == "sent" and cut == []
        later[0] = 11.0
        await script.look()
        assert cut == ["lost"]

    run(trip, tmp_path)


# -- what an edit is about ---------------------------------------------------------------------------------------------


def test_an_edit_by_label_is_about_the_label_whatever_id_it_carries(tmp_path):
    """The venue reads the label alone, so an id that the gate went by would let any other order grow unweighed."""

    async def trip(script):
        for id_, label in (("BTC-1", "x"), ("BTC-2", "over"), ("BTC-3", "y")):
            await script.order(id_, label=label)
        script.tell_order(script.row("BTC-2", state="cancelled"))
        await script.settle()
        given = {"label": "x", "instrument_name": "BTC-PERPETUAL", "price": 59_000}
        for other in ("BTC-2", "BTC-3", "nobody's"):
            with pytest.raises(RpcError, match="10009"):
                await script.call("private/edit_by_label", order_id=other, amount=10**7, **given)
        sent = await script.call("private/edit_by_label", order_id="BTC-3", amount=200, **given)
        assert sent.edits[0].id == "BTC-1"
        with pytest.raises(RpcError, match="10004"):
            await script.call("private/edit", amount=10**7, **given)  # by an id alone, as there

    run(trip, tmp_path)


def test_a_stop_may_be_moved_as_far_from_the_mark_as_it_may_be_placed(tmp_path):
    async def trip(script):
        order = await stop(script)
        sent = await script.call("private/edit", BOB, order_id="BTC-SLTS-1", price=40_000, trigger_price=41_000)
        row = script.row("BTC-SLTS-1", "sell", 100, 40_000.0, **WAITING)
        sent.heard(json.dumps({"result": {"order": row, "trades": []}}).encode())
        await script.settle()
        assert order.price == 60_000 * 2 == script.open(BOB)[0].price  # as if it stood at the mark, as when placed
        fires(script, "BTC-SLTS-1", "BTC-9", "trigger")
        sent = await script.call("private/edit", BOB, order_id="BTC-9", price=59_000, amount=100)
        assert sent.ticks == 59_000 * 2  # from now on it stands where it says

    run(trip, tmp_path)


# -- answers that do not say what became of an order -------------------------------------------------------------------

ANSWERS = (
    '{"error":"maintenance"}', '{"message":"no route"}', "{}", "[]", "null", '{"error":{"code":"x"}}',
    '{"error":null,"result":{}}', "<html>", '{"error":{}}', '{"error":{"message":"Bad Gateway"}}',
    '{"error":{"code":502,"message":"Bad Gateway","status":"UNAVAILABLE"}}',
    '{"error":{"code":-32603,"message":"internal"}}', '{"error":{"code":11094,"message":"internal_server_error"}}',
    '{"error":{"code":13028,"message":"temporarily_unavailable"}}', '{"error":{"code":13888,"message":"timed_out"}}',
)  # fmt: skip


@pytest.mark.parametrize("way", ["http", "websocket"])
@pytest.mark.parametrize("enforce", [True, False])
def test_an_answer_that_does_not_tell_leaves_the_outcome_unknown(tmp_path, way, enforce):
    async def trip(script):
        for number, answer in enumerate(ANSWERS):
            if way == "http":
                sent = await script.call("private/buy", **BUY["params"])
                await script.settle()
                sent.heard(answer.encode())
            elif answer[0] == "{":
                tunnel, told = tunnel_of(script)
                tunnel.from_bot(json.dumps(BUY))
                await script.settle()
                [sent] = tunnel.tracked.values()
                answer = answer.replace("{", '{"id":7,', 1).replace(",}", "}")
                tunnel.from_venue(answer)
                if sent.state == "sent":  # as no answer to the call; then it has none
                    await tunnel.close()
                assert told == [json.loads(answer)]
            else:
                continue
            assert script.desk.lost == [sent] and sent.state == "lost"
            script.row(f"BTC-{number}", creation_timestamp=sent.began_ms)
            await script.look()
            assert [script.shadow.by_seq[order.id].id for order in script.open()] == [f"BTC-{number}"]
            script.tell_order(script.row(f"BTC-{number}", state="cancelled"))
            await script.settle()
        assert script.alerts == [] and script.desk.lost == []

    run(trip, tmp_path, enforce=enforce)


def test_what_stood_without_an_answer_at_a_stop_is_unknown_in_the_journal(tmp_path):
    """The report tells of it from there, and what reduces may go meanwhile."""

    async def trip(script):
        first = await script.order("BTC-1")
        script.tell_trade(script.trade("t1", first["order_id"], 100, 59_000.0))
        script.tell_order(script.row("BTC-1", state="filled", filled_amount=100))
        await script.call("private/buy", **BUY["params"])
        await script.again()
        await script.settle()
        [order] = script.open()
        assert [kind for kind in kinds(script) if kind in (Kind.UNKNOWN, Kind.ENDED)] == [Kind.UNKNOWN]
        with pytest.raises(RpcError, match="outcome_unknown"):
            await script.call("private/buy", **BUY["params"] | {"price": 58_000})
        sell = {"instrument_name": "BTC-PERPETUAL", "amount": 100, "price": 61_000}
        assert await script.call("private/sell", **sell) is not None
        script.row("BTC-2", creation_timestamp=order.created_ms)
        await script.look()
        assert script.shadow.by_seq[order.id].id == "BTC-2" and script.alerts == []

    run(trip, tmp_path)


def kinds(script):
    """Of all commands in the journal."""
    return [Kind(kind) for frame in frames(folders_of(script.folder / "journal")) for kind in frame.commands["kind"]]


# -- many cancels at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel_all", "kill"])
def test_cancels_are_sent_again_to_a_venue_that_takes_so_many_a_second(tmp_path, how, monkeypatch):
    async def trip(script):
        monkeypatch.setattr("seawall.api.desk.cancelling.AGAIN_S", 0.01)
        for number in range(30):
            await script.order(f"BTC-{number}")
        cancel, flying, most = script.there.cancel, [0], [0]

        async def ask(method, timeout=10.0, /, **given):
            if method != "private/cancel":
                return getattr(script.there, method.removeprefix("private/"))(**given)
            flying[0] += 1
            most[0] = max(most[0], flying[0])
            await asyncio.sleep(0.001)
            flying[0] -= 1
            script.there.asked[method] += 1
            if script.there.asked[method] % 3:
                raise VenueError(method, 10028, "too_many_requests", {"wait": 0.2})
            return cancel(**given)

        monkeypatch.setattr(script.there, "ask", ask)
        told = []
        if how == "kill":
            kill(script, type=Scope.ACCOUNT, account=ALICE)
        else:
            call = Call(script.venue.session(ALICE), 1, lambda document, _: told.append(json.loads(document)))
            await script.desk.gate.take_http(call, "private/cancel_all", b"", {})
        async with asyncio.timeout(10):
            while len(script.there.cancelled) < 30:
                await asyncio.sleep(0.01)
        await script.settle()
        assert most[0] <= cancelling.AT_ONCE
        assert how == "kill" or told[0]["result"] == 30

    run(trip, tmp_path)
