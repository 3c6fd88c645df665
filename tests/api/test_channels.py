"""Subscriptions: which names there are, what is told at once, what follows, to whom, and to whom no more."""

import asyncio
import time
from itertools import pairwise

import numpy as np
import pytest
from api_venue import ALICE, BOB, CAROL, PERPETUAL, START_NS, Venue

from seawall.api import session as sessions
from seawall.api.channels import hub as hubs
from seawall.api.channels.market import Quote
from seawall.api.commands import packed
from seawall.node.publishing import Simulated
from seawall.sim import LiveMarket
from seawall.vocabulary.hours import DAY_NS
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    SELL,
    Kind,
    OrderType,
    Scope,
    SelfMatch,
    TimeInForce,
    VenueState,
    Watched,
)

OPTION = "BTC-9MAR26-60000-C"
SINCE = {"instrument_name": PERPETUAL, "start_timestamp": START_NS // 10**6, "end_timestamp": 2 * START_NS // 10**6}
MARKET = [
    f"book.{PERPETUAL}.100ms",
    f"book.{PERPETUAL}.raw",
    f"book.{PERPETUAL}.none.10.100ms",
    f"book.{PERPETUAL}.5.1.agg2",
    f"ticker.{OPTION}.100ms",
    f"incremental_ticker.{PERPETUAL}",
    f"quote.{PERPETUAL}",
    f"trades.{PERPETUAL}.raw",
    "trades.any.any.100ms",
    "trades.future.btc.agg2",
    f"chart.trades.{PERPETUAL}.1",
    f"chart.trades.{PERPETUAL}.1D",
    f"perpetual.{PERPETUAL}.raw",
    "deribit_price_index.btc_usdc",
    "deribit_volatility_index.btc_usd",
    "markprice.options.btc_usd",
    "estimated_expiration_price.btc_usd",
    "instrument.state.any.any",
    "instrument.creation.option.ETH",
    "platform_state",
    "platform_state.public_methods_state",
    "announcements",
]
USER = [
    "user.orders.any.any.raw",
    f"user.orders.{PERPETUAL}.100ms",
    "user.trades.option.USDC.agg2",
    f"user.trades.{PERPETUAL}.raw",
    "user.changes.any.BTC.100ms",
    "user.portfolio.BTC",
    "user.portfolio.eth",
    "user.portfolio.any",
    "user.mmp_trigger.btc_usd",
]
NONE = [
    "",
    "book",
    "book.BTC-PERPETUAL",
    "book.BTC-PERPETUAL.10ms",
    "book.SOL-PERPETUAL.100ms",
    "book.BTC-PERPETUAL.none.5.100ms",
    "book.BTC-PERPETUAL.3.10.100ms",
    "ticker.BTC-PERPETUAL",
    "trades.futures.BTC.100ms",
    "trades.any.SOL.100ms",
    "chart.trades.BTC-PERPETUAL.4h",
    f"perpetual.{OPTION}.100ms",
    "deribit_price_index.sol_usd",
    "user.portfolio.SOL",
    "user.orders.any.raw",
    "user.orders.BTC-PERPETUAL.10ms",
    "user.secrets.any.any.raw",
    "instrument.state.any.SOL",
    "book.BTC-PERPETUAL.100ms.",
    "x" * 1000,
]


def names(socket):
    return [frame["params"]["channel"] for frame in socket.frames if frame.get("method") == "subscription"]


def apply(levels, data):
    """A client's book after a message of a raw book channel."""
    for side in ("bids", "asks"):
        for word, price, amount in data[side]:
            key = (side, price)
            assert (key in levels) == (word != "new"), (word, key)
            if word == "delete":
                assert amount == 0
                del levels[key]
            else:
                assert amount > 0
                levels[key] = amount


def engine_book(venue, name):
    """What the engine has, as amounts shown by (side, price)."""
    listing = venue.view.by_name[name]
    known = venue.node.fold.engine.book.listings[listing.number]
    return {
        (side, listing.price(price)): listing.amount(sum(order.shown for order in queue))
        for side, book in (("bids", known.bids), ("asks", known.asks))
        for price, queue in book.items()
        if queue
    }


# -- names -------------------------------------------------------------------------------------------------------------


def test_every_channel_of_the_dialect_is_taken_and_echoed_as_it_was_spelt(venue):
    socket = venue.socket(ALICE)
    assert socket.subscribe(*MARKET, *USER) == MARKET + USER
    assert socket.subscribe(*USER, scope="private") == USER


def test_what_there_is_not_is_left_out_without_an_error(venue):
    socket = venue.socket(ALICE)
    assert socket.subscribe(*NONE, "platform_state") == ["platform_state"]
    assert len(socket.session.channels) == 1


def test_a_stranger_hears_the_market_only_and_raw_needs_a_login(venue):
    socket = venue.socket()
    public = [name for name in MARKET if not name.endswith(".raw")]
    assert socket.subscribe(*public, *USER) == public
    answer = socket.request("public/subscribe", channels=[f"ticker.{PERPETUAL}.raw"])
    assert answer["error"]["code"] == 13778
    assert answer["error"]["message"] == "raw_subscriptions_not_available_for_unauthorized"
    assert socket.request("private/subscribe", channels=public)["error"]["code"] == 13009


def test_subscriptions_are_for_sockets(venue):
    assert venue.error("public/subscribe", ALICE, channels=["platform_state"])["code"] == 10030
    assert venue.error("public/set_heartbeat", ALICE, interval=30)["code"] == 10030


def test_a_key_without_the_right_hears_nothing_of_the_account(venue):
    socket = venue.socket()
    socket.session.identity = venue.identity(ALICE, trade="read")
    assert socket.subscribe("user.portfolio.BTC", "user.orders.any.any.raw") == ["user.orders.any.any.raw"]
    socket.session.identity = venue.identity(ALICE, account="read")
    assert socket.subscribe("user.portfolio.BTC", "user.trades.any.any.raw") == ["user.portfolio.BTC"]


def test_the_answer_comes_first_and_twice_gives_one_snapshot(venue):
    name = f"book.{PERPETUAL}.100ms"
    socket = venue.socket()
    socket.subscribe(name)
    assert [frame.get("method") for frame in socket.frames] == [None, "subscription"]
    assert socket.subscribe(name) == [name]
    assert len(socket.told(name)) == 1
    assert socket.request("public/unsubscribe", channels=[name, "platform_state"])["result"] == [name]
    assert socket.subscribe(name) == [name]
    assert [data["type"] for data in socket.told(name)] == ["snapshot", "snapshot"]


def test_after_unsubscribe_all_and_leaving_nothing_is_kept(venue):
    socket, other = venue.socket(ALICE), venue.socket(BOB)
    socket.subscribe(*MARKET, *USER)
    other.subscribe(*MARKET, *USER)
    venue.settle()
    socket.receive()
    assert socket.request("public/unsubscribe_all")["result"] == "ok"
    other.leave()
    venue.sell(ALICE, 100, 60_010.0)
    venue.buy(BOB, 50, 60_010.0)
    venue.publish(BTC=60_100.0)
    venue.service.hub.beat()
    venue.settle()
    assert socket.receive() == other.receive()[:0]
    hub = venue.service.hub
    assert (hub._channels, hub._topics, hub._keys, venue.view.watched) == ({}, {}, {}, set())
    assert not any(hub._dirty.values())
    assert not venue.view.books[0].changed


def test_the_number_of_subscriptions_is_bounded(venue, monkeypatch):
    monkeypatch.setattr(hubs, "CHANNELS_MAX", 3)
    assert (
        venue.socket().subscribe(*[name for name in MARKET if "raw" not in name])
        == [name for name in MARKET if "raw" not in name][:3]
    )


# -- books -------------------------------------------------------------------------------------------------------------


def test_a_raw_book_tells_each_frame_and_chains_its_ids(venue):
    name = f"book.{PERPETUAL}.raw"
    venue.buy(ALICE, 30, 59_990.0)
    socket = venue.socket(CAROL)
    socket.subscribe(name)
    venue.buy(ALICE, 20, 59_990.0)
    venue.sell(BOB, 50, 59_990.0)
    snapshot, more, gone = socket.told(name)
    assert snapshot["bids"] == [["new", 59_990.0, 30.0]] and snapshot["asks"] == []
    assert "prev_change_id" not in snapshot
    assert more["bids"] == [["change", 59_990.0, 50.0]]
    assert gone["bids"] == [["delete", 59_990.0, 0.0]]
    assert more["prev_change_id"] == snapshot["change_id"] and gone["prev_change_id"] == more["change_id"]
    assert venue.result("public/get_order_book", instrument_name=PERPETUAL)["change_id"] == gone["change_id"]


def test_an_aggregated_book_tells_the_difference_to_what_it_told_last(venue):
    name, hub = f"book.{PERPETUAL}.100ms", venue.service.hub
    socket = venue.socket()
    socket.subscribe(name)
    order = venue.buy(ALICE, 30, 59_990.0)
    venue.result("private/cancel", ALICE, order_id=order["order_id"])
    hub.beat()
    assert len(socket.told(name)) == 1, "nothing changed on the whole"
    venue.buy(ALICE, 30, 59_990.0)
    venue.buy(ALICE, 30, 59_980.0)
    assert len(socket.told(name)) == 1, "not due yet"
    hub.beat()
    hub.beat()
    snapshot, change = socket.told(name)
    assert change["prev_change_id"] == snapshot["change_id"] < change["change_id"]
    assert change["bids"] == [["new", 59_990.0, 30.0], ["new", 59_980.0, 30.0]]


def test_one_who_joins_an_aggregated_book_late_is_in_the_same_chain(venue):
    name, hub = f"book.{PERPETUAL}.100ms", venue.service.hub
    early, late = venue.socket(), venue.socket()
    early.subscribe(name)
    venue.buy(ALICE, 30, 59_990.0)
    late.subscribe(name)
    venue.buy(ALICE, 30, 59_980.0)
    hub.beat()
    books = []
    for socket in (early, late):
        told, levels = socket.told(name), {}
        for data in told:
            apply(levels, data)
        for before, after in pairwise(told):
            assert after["prev_change_id"] == before["change_id"]
        books.append(levels)
    assert books[0] == books[1] == engine_book(venue, PERPETUAL)


def test_agg2_is_told_once_a_second(venue):
    name, hub = f"book.{PERPETUAL}.agg2", venue.service.hub
    socket = venue.socket()
    socket.subscribe(name)
    venue.buy(ALICE, 30, 59_990.0)
    for _ in range(9):
        hub.beat()
    assert len(socket.told(name)) == 1
    hub.beat()
    assert len(socket.told(name)) == 2


def test_the_best_levels_come_whole_and_grouped(venue):
    plain, grouped = f"book.{PERPETUAL}.none.1.100ms", f"book.{PERPETUAL}.5.10.100ms"
    socket = venue.socket()
    socket.subscribe(plain, grouped)
    for price in (59_990.0, 59_989.5, 59_984.5):
        venue.buy(ALICE, 10, price)
    for price in (60_010.0, 60_010.5, 60_015.0):
        venue.sell(BOB, 20, price)
    venue.service.hub.beat()
    last = socket.told(plain)[-1]
    assert (last["bids"], last["asks"]) == ([[59_990.0, 10.0]], [[60_010.0, 20.0]])
    assert "type" not in last
    last = socket.told(grouped)[-1]
    assert last["bids"] == [[59_990.0, 10.0], [59_985.0, 10.0], [59_980.0, 10.0]]
    assert last["asks"] == [[60_010.0, 20.0], [60_015.0, 40.0]]
    venue.buy(ALICE, 10, 59_000.0)
    before = len(socket.told(plain))
    venue.service.hub.beat()
    assert len(socket.told(plain)) == before, "the best level is as it was"


def random_commands(rng, open_orders):
    """A few commands in one request: orders of all kinds, cancels, edits, near the price 60,000."""
    parts = []
    for _ in range(int(rng.integers(1, 6))):
        account = int(rng.choice([ALICE, BOB, CAROL]))
        side = int(rng.choice([BUY, SELL]))
        price = 120_000 + int(rng.integers(-6, 7))
        lots = int(rng.integers(1, 20))
        chance = rng.random()
        if chance < 0.2 and open_orders:
            number, owner = open_orders[int(rng.integers(len(open_orders)))]
            parts.append(packed(Kind.CANCEL, account=owner, order_id=number))
        elif chance < 0.35 and open_orders:
            number, owner = open_orders[int(rng.integers(len(open_orders)))]
            parts.append(
                packed(Kind.EDIT, account=owner, order_id=number, price=price, quantity=lots + 3, trigger=price)
            )
        elif chance < 0.37:
            parts.append(packed(Kind.CANCEL_ALL, account=account, instrument=0))
        else:
            fields = {"account": account, "side": side, "price": price, "quantity": lots, "instrument": 0}
            fields["self_match"] = int(rng.choice(list(SelfMatch)))
            kind = rng.random()
            if kind < 0.15:
                fields["tif"] = int(rng.choice([TimeInForce.IOC, TimeInForce.FOK]))
            elif kind < 0.3:
                fields["flags"] = int(rng.choice([FLAG_POST_ONLY, FLAG_POST_ONLY | FLAG_SLIDE, FLAG_REDUCE_ONLY]))
            elif kind < 0.45:
                fields["display"] = int(rng.integers(1, lots + 1))
            elif kind < 0.55:
                fields |= {"type": OrderType.STOP_LIMIT, "watch": Watched.LAST, "trigger": price}
            elif kind < 0.6:
                fields |= {"type": OrderType.MARKET, "tif": TimeInForce.IOC, "price": 0}
            parts.append(packed(Kind.ORDER, **fields))
    return parts


@pytest.mark.parametrize("seed", [*range(5), 21])
def test_whoever_applies_a_book_channel_has_the_engines_book(venue, seed):
    rng = np.random.default_rng(seed)
    rounds = {f"book.{PERPETUAL}.raw": {}, f"book.{PERPETUAL}.100ms": {}, f"book.{PERPETUAL}.agg2": {}}
    socket = venue.socket(ALICE)
    socket.subscribe(*rounds)
    ids, seen = {}, dict.fromkeys(rounds, 0)
    for number in range(120):
        everyone = [(order.id, order.account) for order in venue.view.orders.values() if order.state != "filled"]
        venue.submit(*random_commands(rng, everyone[-60:]))
        if rng.random() < 0.5:
            venue.service.hub.beat()
        if rng.random() < 0.03:
            late = venue.socket(BOB)
            late.subscribe(*rounds)
        for name, levels in rounds.items():
            told = socket.told(name)
            for data in told[seen[name] :]:
                assert ("prev_change_id" in data) == (name in ids)
                assert data.get("prev_change_id") == ids.get(name)
                ids[name] = data["change_id"]
                apply(levels, data)
            seen[name] = len(told)
        assert rounds[f"book.{PERPETUAL}.raw"] == engine_book(venue, PERPETUAL), number
    for _ in range(10):
        venue.service.hub.beat()
    for name, levels in rounds.items():
        for data in socket.told(name)[seen[name] :]:
            apply(levels, data)
        assert levels == engine_book(venue, PERPETUAL), name
    assert rounds[f"book.{PERPETUAL}.raw"], "a book that is never empty says more"
    for side in (BUY, SELL):
        book = venue.view.books[0]
        levels = book.bids if side > 0 else book.asks
        assert book.best(side) == ((max if side > 0 else min)(levels) if levels else None)


def test_the_dev_market_is_heard_over_an_expiry(tmp_path):
    made = Venue(tmp_path, opened=False)
    market = LiveMarket(1, Simulated(made.configuration), trades=True)
    made.service.listeners.append(lambda group, _: market.observe(group.events))

    def step(batch):
        made.submit(batch.commands, attachments=batch.attachments)
        made.service.hub.beat()

    step(market.opening(made.clock()))
    books = {f"book.{name}.100ms": {} for name in made.view.by_name}
    told = ("trades.any.any.100ms", "instrument.state.any.any", "instrument.creation.any.any", "user.portfolio.any")
    socket = made.socket(ALICE)
    assert len(socket.subscribe(*books, *told, *[f"ticker.{name}.100ms" for name in made.view.by_name])) > 100
    for _ in range(8):
        made.clock.advance(10**9)
        step(market.step(made.clock()))
    trades = [trade["trade_id"] for part in socket.told(told[0]) for trade in part]
    assert len(trades) == len(set(trades)) > 1
    old = set(made.view.by_name)
    made.clock.advance(DAY_NS)
    step(market.step(made.clock()))
    step(market.step(made.clock() + 10**9))
    states = [(row["instrument_name"], row["state"]) for row in socket.told(told[1])]
    gone = {name for name, state in states if state == "terminated"}
    fresh = {name for name, state in states if state == "created"}
    assert len(gone) == 22 and gone < old and fresh == set(made.view.by_name) - old
    assert {row["instrument_name"] for row in socket.told(told[2])} == fresh
    for name, levels in books.items():
        for data in socket.told(name):
            apply(levels, data)
        assert levels == engine_book(made, name.split(".")[1]), name
    assert {(row["date"]) for row in made.result("public/get_delivery_prices", index_name="btc_usd")["data"]}
    assert len(made.result("public/get_funding_rate_history", **SINCE)) > 0
    made.stop()


# -- the market --------------------------------------------------------------------------------------------------------


def test_tickers_and_quotes_are_told_at_once_and_when_they_change(venue):
    ticker, quote = f"ticker.{PERPETUAL}.100ms", f"quote.{PERPETUAL}"
    socket = venue.socket()
    socket.subscribe(ticker, quote)
    (first,) = socket.told(quote)
    assert (first["best_bid_price"], first["best_bid_amount"], first["best_ask_price"]) == (0, 0, 0)
    assert socket.told(ticker)[0]["best_bid_price"] is None
    venue.buy(ALICE, 10, 59_990.0)
    venue.buy(ALICE, 10, 59_000.0)
    venue.service.hub.beat()
    venue.service.hub.beat()
    assert len(socket.told(quote)) == 2, "the second order is behind the best"
    assert len(socket.told(ticker)) == 2
    assert socket.told(quote)[-1]["best_bid_price"] == socket.told(ticker)[-1]["best_bid_price"] == 59_990.0
    venue.publish(BTC=60_100.0)
    venue.service.hub.beat()
    assert socket.told(ticker)[-1]["mark_price"] == 60_100.0
    assert len(socket.told(quote)) == 2


def test_an_incremental_ticker_adds_up_to_the_ticker(venue):
    name = f"incremental_ticker.{OPTION}"
    socket = venue.socket()
    socket.subscribe(name)
    venue.buy(ALICE, 1, 0.02, OPTION)
    venue.service.hub.beat()
    venue.sell(BOB, 0.5, 0.02, OPTION)
    venue.publish(BTC=60_500.0)
    venue.service.hub.beat()
    told = socket.told(name)
    assert [data["type"] for data in told] == ["snapshot", "change", "change"]
    whole = {}
    for data in told:
        whole |= data
    del whole["type"]
    assert whole == venue.result("public/ticker", instrument_name=OPTION)


def test_trades_are_told_as_lists_to_those_who_chose_them(venue):
    wanted = (f"trades.{PERPETUAL}.raw", "trades.any.any.100ms", "trades.future.btc.100ms")
    others = ("trades.option.BTC.100ms", "trades.any.ETH.100ms", "trades.ETH-PERPETUAL.100ms")
    socket = venue.socket(CAROL)
    socket.subscribe(*wanted, *others)
    venue.sell(ALICE, 100, 60_010.0)
    venue.buy(BOB, 50, 60_010.0)
    venue.buy(BOB, 20, 60_010.0)
    venue.service.hub.beat()
    assert [len(data) for data in socket.told(wanted[0])] == [1, 1]
    assert [len(data) for data in socket.told(wanted[1])] == [2] == [len(data) for data in socket.told(wanted[2])]
    assert [trade["trade_seq"] for trade in socket.told(wanted[1])[0]] == [1, 2]
    assert not any(socket.told(name) for name in others)


def test_candles_come_at_once_and_with_each_trade(venue):
    name = f"chart.trades.{PERPETUAL}.1"
    early, late = venue.socket(), venue.socket()
    early.subscribe(name)
    assert early.told(name) == []
    venue.sell(ALICE, 100, 60_010.0)
    venue.buy(BOB, 50, 60_010.0)
    venue.service.hub.beat()
    (candle,) = early.told(name)
    assert candle["cost"] == 50 and candle["open"] == candle["close"] == 60_010.0
    venue.pass_time(150)
    late.subscribe(name)
    (flat,) = late.told(name)
    assert flat["tick"] == candle["tick"] + 120_000 and flat["volume"] == 0 and flat["close"] == 60_010.0
    venue.buy(BOB, 20, 60_010.0)
    venue.service.hub.beat()
    assert [one["tick"] - candle["tick"] for one in early.told(name)] == [0, 0, 60_000, 120_000]


def test_indexes_and_marks_are_told_when_they_move(venue):
    price, marks, rate = "deribit_price_index.btc_usd", "markprice.options.btc_usd", f"perpetual.{PERPETUAL}.100ms"
    volatility, expiring = "deribit_volatility_index.btc_usd", "estimated_expiration_price.btc_usd"
    socket = venue.socket()
    socket.subscribe(price, marks, rate, volatility, expiring)
    venue.publish()
    assert len(socket.told(price)) == 1, "it did not move"
    venue.pass_time(2)
    venue.publish(BTC=60_600.0, ETH=3_100.0)
    venue.service.hub.beat()
    assert socket.told(price)[-1] == {"index_name": "btc_usd", "price": 60_600.0, "timestamp": venue.view.now_ms}
    rows = socket.told(marks)[-1]
    assert len(rows) == 10 and all(0.4 < row["iv"] < 0.8 and row["mark_price"] > 0 for row in rows)
    assert socket.told(rate)[-1]["index_price"] == 60_600.0
    assert 40 < socket.told(volatility)[-1]["volatility"] < 80
    assert socket.told(expiring)[-1]["seconds"] == 7 * 86_400 - 2


def test_states_of_instruments_and_platform(venue):
    states, platform, created = "instrument.state.any.any", "platform_state", "instrument.creation.any.any"
    socket = venue.socket()
    socket.subscribe(states, platform, created)
    assert socket.told(states) == []
    venue.submit(packed(Kind.STATE, type=Scope.INSTRUMENT, instrument=0, state=VenueState.HALTED))
    assert [(row["instrument_name"], row["state"]) for row in socket.told(states)] == [(PERPETUAL, "closed")]
    assert socket.told(platform) == []
    venue.submit(packed(Kind.STATE, state=VenueState.HALTED))
    assert {row["price_index"] for row in socket.told(platform) if row["locked"]} == set(venue.view.index_prices)
    venue.submit(packed(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED))
    assert not socket.told(platform)[-1]["locked"]
    venue.clock.advance(8 * 86_400 * 10**9)
    venue.expire("BTC-9MAR26", 61_000.0)
    assert [row["state"] for row in socket.told(states) if row["instrument_name"] == "BTC-9MAR26"] == [
        "closed", "started", "settled", "terminated",
    ]  # fmt: skip


# -- one account -------------------------------------------------------------------------------------------------------


def test_orders_come_one_by_one_raw_with_the_state_each_event_left(venue):
    raw, listed = "user.orders.any.any.raw", "user.orders.future.BTC.100ms"
    socket, other = venue.socket(ALICE), venue.socket(BOB)
    socket.subscribe(raw, listed)
    other.subscribe(raw)
    # Two of Bob's orders that each fill a part, in one frame with a third of them.
    venue.sell(ALICE, 100, 60_010.0, label="mine")
    fields = {"kind": Kind.ORDER, "account": BOB, "instrument": 0, "side": BUY, "price": 120_020}
    venue.submit(packed(**fields, quantity=3), packed(**fields, quantity=2), packed(**fields, quantity=5))
    told = socket.told(raw)
    assert [order["filled_amount"] for order in told] == [0, 30, 50, 100]
    assert [order["order_state"] for order in told] == ["open", "open", "open", "filled"]
    assert {order["label"] for order in told} == {"mine"}
    venue.service.hub.beat()
    ((last,),) = socket.told(listed)
    assert last == told[-1]
    assert [order["order_state"] for order in other.told(raw)] == ["open", "filled"] * 3


def test_trades_of_an_account_are_its_own_side(venue):
    name = f"user.trades.{PERPETUAL}.raw"
    socket, other = venue.socket(ALICE), venue.socket(BOB)
    assert socket.subscribe(name) == other.subscribe(name) == [name]
    venue.sell(ALICE, 100, 60_010.0)
    venue.buy(BOB, 50, 60_010.0)
    ((mine,),), ((his,),) = socket.told(name), other.told(name)
    assert (mine["direction"], mine["liquidity"], his["direction"], his["liquidity"]) == ("sell", "M", "buy", "T")
    assert mine["trade_id"] == his["trade_id"] and mine["order_id"] != his["order_id"]


def test_changes_have_orders_trades_and_the_position_after_them(venue):
    name = "user.changes.any.any.raw"
    socket = venue.socket(BOB)
    socket.subscribe(name)
    venue.sell(ALICE, 100, 60_010.0)
    venue.buy(BOB, 50, 60_010.0)
    venue.buy(BOB, 10, 59_000.0)
    venue.settle()
    filled, rests = socket.told(name)
    assert filled["instrument_name"] == PERPETUAL and filled["orders"][-1]["order_state"] == "filled"
    assert [trade["amount"] for trade in filled["trades"]] == [50]
    assert filled["positions"][0]["size"] == 50
    assert rests["trades"] == rests["positions"] == [] and len(rests["orders"]) == 1


def test_a_portfolio_is_told_at_once_and_when_it_changes(venue):
    names_ = ("user.portfolio.BTC", "user.portfolio.btc", "user.portfolio.any")
    socket = venue.socket(BOB)
    socket.subscribe(*names_)
    venue.settle()
    assert socket.told(names_[0]) == socket.told(names_[1])
    assert [data["currency"] for data in socket.told(names_[2])] == ["BTC", "ETH", "USDC"]
    summary = venue.result("private/get_account_summary", BOB, currency="BTC")
    assert socket.told(names_[0]) == [summary]
    venue.service.hub.beat()
    venue.settle()
    assert len(socket.told(names_[0])) == 1, "nothing changed"
    venue.sell(ALICE, 100, 60_010.0)
    venue.buy(BOB, 50, 60_010.0)
    venue.service.hub.beat()
    venue.settle()
    summary = venue.result("private/get_account_summary", BOB, currency="BTC")
    assert socket.told(names_[0])[-1] == socket.told(names_[1])[-1] == summary
    assert len(socket.told(names_[0])) == 2


def test_one_whose_key_is_revoked_hears_no_more_of_the_account(venue):
    raw, book = "user.orders.any.any.raw", f"book.{PERPETUAL}.raw"
    socket, other = venue.socket(ALICE), venue.socket(ALICE)
    socket.subscribe(raw, book)
    other.session.identity = venue.identity(ALICE)
    other.session.identity.ends = 0.0
    assert other.subscribe(raw) == []
    venue.sell(ALICE, 10, 60_010.0)
    assert len(socket.told(raw)) == 1
    venue.keys[ALICE].revoked = True
    venue.submit(packed(Kind.ORDER, account=ALICE, instrument=0, side=SELL, price=120_100, quantity=1))
    assert len(socket.told(raw)) == 1
    assert list(socket.session.channels) == [book]
    assert not venue.view.watched


def test_messages_of_one_fill_come_in_the_engines_order(venue):
    trades, book = f"trades.{PERPETUAL}.raw", f"book.{PERPETUAL}.raw"
    socket = venue.socket(CAROL)
    socket.subscribe(trades, book)
    venue.sell(ALICE, 100, 60_010.0)
    socket.receive()
    del socket.frames[:]
    venue.buy(BOB, 50, 60_010.0)
    socket.receive()
    assert names(socket) == [trades, book]


def test_a_token_in_the_request_says_who_reads_and_lasts_as_long_as_its_login(venue):
    socket, name = venue.socket(), "user.orders.any.any.raw"
    identity = venue.identity(ALICE)
    token = venue.service.access.issue(identity)["access_token"]
    answer = socket.request("private/subscribe", channels=[name], access_token=token)
    assert answer["result"] == [name]
    identity.ends = 0.0
    venue.sell(ALICE, 10, 60_010.0)
    assert len(socket.told(name)) == 1, "the token ended, its login did not"
    answer = socket.request("private/subscribe", channels=[name], access_token=token)
    assert answer["error"]["data"]["reason"] == "invalid_token"
    venue.keys[ALICE].revoked = True
    venue.submit(packed(Kind.ORDER, account=ALICE, instrument=0, side=SELL, price=120_100, quantity=1))
    assert len(socket.told(name)) == 1


def test_what_a_token_with_an_end_of_its_own_began_ends_with_it(venue):
    socket, name, book = venue.socket(), "user.orders.any.any.raw", f"book.{PERPETUAL}.100ms"
    asked = {"client_id": venue.keys[ALICE].id, "client_secret": venue.keys[ALICE].secret, "scope": "expires:30"}
    token = venue.result("public/auth", grant_type="client_credentials", **asked)["access_token"]
    assert socket.request("private/subscribe", channels=[name, book], access_token=token)["result"] == [name, book]
    venue.sell(ALICE, 10, 60_010.0)
    assert len(socket.told(name)) == 1
    venue.service.access.bearer(token, time.time()).ends = 0.0
    venue.sell(ALICE, 10, 60_010.0)
    assert len(socket.told(name)) == 1
    assert list(socket.session.channels) == [book]


def test_a_socket_that_logs_in_as_another_hears_the_other(venue):
    socket, name = venue.socket(ALICE), "user.orders.any.any.raw"
    socket.subscribe(name)
    socket.session.identity = venue.identity(BOB)
    assert socket.subscribe(name) == [name]
    venue.sell(ALICE, 10, 60_010.0)
    assert socket.told(name) == []
    venue.sell(BOB, 10, 60_010.0)
    assert len(socket.told(name)) == 1


def test_a_refused_subscription_takes_nothing(venue):
    socket = venue.socket()
    assert "error" in socket.request("public/subscribe", channels=["platform_state", f"trades.{PERPETUAL}.raw"])
    assert not socket.session.channels


def test_quotes_that_froze_are_told(venue):
    name = "user.mmp_trigger.btc_usd"
    socket = venue.socket(ALICE)
    socket.subscribe(name, "user.mmp_trigger.eth_usd")
    config = {"index_name": "btc_usd", "interval": 10, "frozen_time": 60, "quantity_limit": 0.001}
    venue.result("private/set_mmp_config", ALICE, **config)
    venue.sell(ALICE, 100, 60_010.0, mmp=True)
    venue.buy(BOB, 100, 60_010.0)
    until = venue.view.now_ms + 60_000
    assert socket.told(name) == [{"index_name": "btc_usd", "frozen_until": until}]
    assert not socket.told("user.mmp_trigger.eth_usd")


# -- readers -----------------------------------------------------------------------------------------------------------


def test_one_text_is_shared_by_all_readers(venue):
    name = f"book.{PERPETUAL}.100ms"
    sockets = [venue.socket() for _ in range(5)]
    for socket in sockets:
        socket.subscribe(name)
        socket.receive()
    venue.buy(ALICE, 30, 59_990.0)
    venue.service.hub.beat()
    assert len({id(socket.session.outbox[-1]) for socket in sockets}) == 1


def test_a_slow_reader_is_cut_off_and_others_are_not(venue, monkeypatch):
    name = f"book.{PERPETUAL}.raw"
    slow, fast = venue.socket(ALICE), venue.socket(BOB)
    slow.subscribe(name)
    fast.subscribe(name)
    monkeypatch.setattr(sessions, "OUTBOX_MESSAGES", 5)
    monkeypatch.setattr(sessions, "BURST_S", 0.0)
    for number in range(8):
        venue.buy(CAROL, 10, 59_000.0 + number)
        fast.receive()
    assert slow.session.closing == (1008, "too slow")
    assert fast.session.closing is None and len(fast.told(name)) == 9


@pytest.mark.parametrize("where", ["now", "hear"])
def test_a_defect_in_a_channel_cuts_off_its_readers_only(venue, monkeypatch, where):
    quote, book = f"quote.{PERPETUAL}", f"book.{PERPETUAL}.raw"
    socket, other = venue.socket(ALICE), venue.socket(BOB)
    socket.subscribe(quote)
    other.subscribe(book)
    monkeypatch.setattr(Quote, where, lambda *_: 1 / 0)
    venue.buy(CAROL, 10, 59_000.0)
    assert socket.session.closing == (1011, "internal error")
    assert other.session.closing is None and len(other.told(book)) == 2


def test_a_raw_channel_with_many_readers_is_told_less_often(venue, monkeypatch):
    later = []

    class Loop:
        def call_later(self, wait, function, *arguments):
            later.append((wait, lambda: function(*arguments)))

    hub, now = venue.service.hub, [100.0]
    monkeypatch.setattr(hub, "clock", lambda: now[0])
    hub._loop = Loop()
    name = f"book.{PERPETUAL}.raw"
    sockets = [venue.socket(ALICE) for _ in range(20)]
    for socket in sockets:
        socket.subscribe(name)
    for price in (59_000.0, 59_001.0, 59_002.0):
        venue.buy(CAROL, 10, price)
    assert len(sockets[0].told(name)) == 2 and len(later) == 1
    assert later[0][0] == pytest.approx(20 * hubs.GAP_S)
    now[0] += later[0][0]
    later[0][1]()
    assert [len(data["bids"]) for data in sockets[-1].told(name)] == [0, 1, 2]


# -- heartbeats --------------------------------------------------------------------------------------------------------


def test_a_look_that_fails_cuts_its_readers_off_and_nobody_else(venue, monkeypatch):
    reader, other = venue.socket(ALICE), venue.socket(BOB)

    def fail(account):
        raise KeyError(account)

    monkeypatch.setattr(venue.node.fold.engine, "account_view", fail)
    reader.subscribe("user.portfolio.BTC")
    venue.settle()
    monkeypatch.undo()
    assert reader.session.closing == (1011, "internal error")
    other.subscribe("user.portfolio.BTC")
    venue.settle()
    assert other.session.closing is None and other.receive()[0]["params"]["data"]["currency"] == "BTC"


def test_heartbeats_ask_who_is_silent_and_close_who_does_not_answer(venue, monkeypatch):
    hub, now = venue.service.hub, [100.0]
    monkeypatch.setattr(hub, "clock", lambda: now[0])

    def second(count):
        for _ in range(10 * count):
            now[0] += 0.1
            hub.beat()

    def heard(socket):
        return [frame["params"]["type"] for frame in socket.receive() if frame.get("method") == "heartbeat"]

    silent, answers, chatty = venue.socket(), venue.socket(), venue.socket()
    assert silent.request("public/set_heartbeat", interval=9)["error"]["code"] == -32602
    for socket in (silent, answers, chatty):
        socket.session.heard_at = now[0]
        assert socket.request("public/set_heartbeat", interval=10)["result"] == "ok"
    chatty.session.heard_at = now[0] + 5
    second(12)
    assert heard(silent) == heard(answers) == ["test_request"]
    assert heard(chatty) == ["heartbeat"]
    assert "version" in answers.request("public/test")["result"]
    second(11)
    assert silent.session.closing == (4000, "heartbeat close")
    assert answers.session.closing is None
    assert answers.request("public/disable_heartbeat")["result"] == "ok"
    second(60)
    assert answers.session.closing is None


def test_the_beat_goes_on_a_loop(tmp_path):
    made = Venue(tmp_path, days=0)
    socket = made.socket(ALICE)
    socket.subscribe(f"book.{PERPETUAL}.100ms")
    made.buy(ALICE, 10, 59_000.0)

    async def main():
        made.service.hub.start()
        await asyncio.sleep(0.25)
        await made.service.hub.stop()

    asyncio.run(main())
    assert len(socket.told(f"book.{PERPETUAL}.100ms")) == 2
    made.stop()
