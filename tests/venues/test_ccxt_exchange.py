"""Calls of an exchange, with its answers made by hand: what is sent, what is asked again, what an error means."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import ccxt
import pytest
from test_ccxt_dialect import BINANCE, NOW

from seawall.venues.ccxt_dialect import contracts_of, label_of
from seawall.venues.ccxt_exchange import Exchange, kind_of
from seawall.venues.connection import Unreachable
from seawall.venues.credentials import Account
from seawall.vocabulary.errors import InputError

SYMBOL = "BTC/USDT:USDT"


class Fake:
    """Records calls; answers are given by name, an exception is raised."""

    def __init__(self, **answers):
        self.calls, self.answers = [], answers

    def __getattr__(self, name):
        async def call(*given):
            self.calls.append((name, *given))
            answer = self.answers[name].pop(0) if isinstance(self.answers[name], list) else self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def exchange_of(name="bybit", has=(), **answers):
    made = Exchange(name, Account("key", "secret"), bases=("BTC",))
    made._reading = made._writing = Fake(**answers)
    made.has = dict.fromkeys(has, True)
    made.contracts, _ = contracts_of([BINANCE], ("BTC",))
    made._by_symbol = {one.symbol: one for one in made.contracts.values()}
    return made, next(iter(made.contracts.values())), made._reading


def whole(own="1", **more):
    return {
        "id": own, "symbol": SYMBOL, "side": "buy", "type": "limit", "price": 60_000.0, "amount": 0.003, "filled": 0.0,
        "status": "open", "timestamp": NOW, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("error", "order", "read"), [
    (ccxt.InsufficientFunds("x"), 10009, 10009),
    (ccxt.InvalidOrder("x"), 11030, 11030),
    (ccxt.OrderNotFound("x"), 10004, 10004),
    (ccxt.AuthenticationError("x"), 13004, 13004),
    (ccxt.RateLimitExceeded("x"), 10028, 10028),
    (ccxt.DDoSProtection("x"), 10028, 10028),
    (ccxt.RequestTimeout("x"), 13888, 13028),
    (ccxt.NetworkError("x"), 13888, 13028),
    (ccxt.ExchangeNotAvailable("x"), 13888, 13028),
    (ccxt.OnMaintenance("x"), 11051, 11051),
    (ccxt.BadResponse("x"), 13888, 13028),
    (ccxt.BadRequest("x"), 11030, 10001),
    (ccxt.ExchangeError('bybit {"retCode":10016,"retMsg":"Internal server error"}'), 13888, 10001),
    (Unreachable("x"), 13888, 13028),
    (KeyError("x"), 13888, 13028),
])  # fmt: skip
def test_no_answer_to_an_order_is_never_a_refusal(error, order, read):
    assert kind_of(error, order=True)[0] == order
    assert kind_of(error, order=False)[0] == read


def test_signed_parameters_are_not_told():
    error = ccxt.RequestTimeout("binanceusdm POST https://host/fapi/v1/order?symbol=X&signature=5ec4e7")
    code, why = kind_of(error, order=True)
    assert code == 13888 and "order?…" in why and "5ec4e7" not in why


def test_an_answer_that_tells_little_is_looked_up():
    made, contract, fake = exchange_of(create_order={"id": "1"}, fetch_order=whole(status="closed", filled=0.003))
    order = asyncio.run(made.place(contract, "buy", 0.003, 60_000.0, "mine", {"timeInForce": "IOC"}))
    name, symbol, kind, side, size, price, terms = fake.calls[0]
    assert (name, symbol, kind, side, size, price) == ("create_order", SYMBOL, "limit", "buy", 0.003, 60_000.0)
    assert terms["timeInForce"] == "IOC" and label_of(terms) == "mine"
    assert (order["status"], order["filled"], label_of(order)) == ("closed", 0.003, "mine")


def test_an_order_that_is_not_found_at_once_was_taken_all_the_same():
    made, contract, _ = exchange_of(create_order={"id": "1"}, fetch_order=ccxt.OrderNotFound("later"))
    order = asyncio.run(made.place(contract, "sell", 0.003, None, "", {}))
    assert (order["id"], order["side"], order["type"], order["filled"]) == ("1", "sell", "market", 0.0)


def test_nothing_is_sent_of_what_would_have_to_be_rounded():
    made, contract, fake = exchange_of()
    for amount, price, label in ((0.0035, 60_000.0, ""), (0.003, 60_000.05, ""), (0.003, 60_000.0, "x" * 25)):
        with pytest.raises(InputError):
            asyncio.run(made.place(contract, "buy", amount, price, label, {}))
    assert fake.calls == []


def test_executions_of_one_market_at_a_time_where_it_must_be():
    trade = {"id": "5", "order": "1", "symbol": SYMBOL, "side": "buy", "price": 60_000.0, "amount": 0.003,
             "timestamp": NOW, "fee": None}  # fmt: skip
    made, contract, fake = exchange_of("kucoinfutures", fetch_my_trades=[ccxt.ArgumentsRequired("symbol"), [trade]])
    (row,) = asyncio.run(made.trades("USDT", 0, 100))
    assert (row["trade_id"], row["amount"]) == ("5", 0.003)
    assert [call[1] for call in fake.calls] == [None, SYMBOL]
    assert asyncio.run(made.trades("USDT", 0, 100)) == []  # nothing is in play there
    asyncio.run(made.trades("BTC", 0, 100))
    made._in_play.add(contract.symbol)
    fake.answers["fetch_my_trades"] = [[trade]]
    assert len(asyncio.run(made.trades("USDT", 0, 100))) == 1


def test_orders_that_are_over_must_all_be_told():
    over = [whole("2", status="canceled"), whole("1", status="open")]
    made, contract, _ = exchange_of(has=["fetchOrders"], fetch_orders=[over])
    assert [row["order_id"] for row in asyncio.run(made.history(contract, 10))] == ["BTC_USDT-PERPETUAL:2"]
    made, contract, _ = exchange_of(
        has=["fetchClosedOrders", "fetchCanceledOrders"], fetch_closed_orders=[[]], fetch_canceled_orders=[over[:1]]
    )
    assert len(asyncio.run(made.history(contract, 10))) == 1
    made, contract, _ = exchange_of(has=["fetchClosedOrders"], fetch_closed_orders=[])
    with pytest.raises(ccxt.NotSupported):
        asyncio.run(made.history(contract, 10))


def test_where_nothing_is_pushed_changes_are_looked_for(monkeypatch):
    monkeypatch.setattr("seawall.venues.ccxt_exchange.PAUSE_S", 0.0)
    looks = [[whole()], [whole(filled=0.001)], []]
    made, _, _ = exchange_of(fetch_open_orders=looks, fetch_order=whole(status="closed", filled=0.003))

    async def two():
        stream = made.watch_orders()
        return [await anext(stream), await anext(stream)]

    first, second = asyncio.run(two())
    assert [row["filled_amount"] for row in first] == [0.001]
    assert [row["order_state"] for row in second] == ["filled"]


def test_marks_and_index_where_the_exchange_has_them():
    marks = {SYMBOL: {"markPrice": 60_010.0}}
    made, contract, fake = exchange_of(
        has=["fetchMarkPrices", "fetchBidsAsks", "fetchFundingRate"], fetch_mark_prices=marks, fetch_bids_asks={},
        fetch_ticker={"last": 60_001.0}, fetch_funding_rate={"indexPrice": 60_000.0},
    )  # fmt: skip

    async def twice():
        return await made.levels(), await made.index("btc_usdt"), await made.index("btc_usd")

    levels, index, none = asyncio.run(twice())
    assert (levels[contract.name].mark, index, none) == (60_010.0, 60_000.0, None)
    assert len(fake.calls) == 4  # the second and third found them known


def test_an_exchange_or_an_address_that_ccxt_does_not_know():
    with pytest.raises(InputError):
        Exchange("nowhere", Account("key", "secret"), bases=("BTC",))
    made = Exchange("deribit", Account("key", "secret"), bases=("BTC",))
    with pytest.raises(InputError):
        made.point_to({"nothing": "http://127.0.0.1"})
    made.point_to({"rest": "http://127.0.0.1:1"})
    assert {one.urls["api"]["rest"] for one in (made._reading, made._writing)} == {"http://127.0.0.1:1"}


def test_what_a_call_needs_of_the_wallet():
    balance = {"USDT": {"total": 12.0, "free": 3.0, "used": 9.0}, "info": {"assets": []}}
    made, _, _ = exchange_of("kucoinfutures", fetch_balance=balance)
    made._reading.__dict__["currencies"] = {"USDT": {"precision": 1e-6}}
    (row,) = asyncio.run(made.summaries())
    assert made.currencies == {"USDT": 6}
    assert (row["balance"], row["available_funds"], row["initial_margin"]) == (12.0, 3.0, 9.0)


def test_an_order_whose_connection_breaks_is_sent_once():
    """aiohttp sends a GET again when a connection that was kept breaks under it; ccxt's deribit places by GET."""
    asked = []

    async def venue(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                asked.append(head.split()[1].partition("?")[0])
                if "/private/buy" in head:
                    break
                body = b'{"result": 1}'
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    async def trip():
        server = await asyncio.start_server(venue, "127.0.0.1", 0)
        made = Exchange("deribit", Account("key", "secret"), bases=("BTC",))
        made.point_to({"rest": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        made.read_catalogue = lambda: asyncio.sleep(0)
        await made.open()
        try:
            await made._writing.public_get_get_time()
            with pytest.raises(Exception) as caught:
                await made._writing.private_get_buy({"amount": 10})
        finally:
            await made.close()
            server.close()
        return caught.value

    error = asyncio.run(trip())
    assert kind_of(error, order=True)[0] == 13888
    assert [one.rpartition("/")[2] for one in asked] == ["get_time", "buy"]


def test_a_unified_account_at_bybit_is_asked_for_its_orders():
    """ccxt wants to be told first that it is understood that only the last 500 are there."""

    async def unified():
        return [False, True]

    async def none(request):
        return {"result": {"list": []}}

    made, contract, _ = exchange_of("bybit")
    made._reading = bybit = ccxt.pro.bybit({"apiKey": "key", "secret": "secret"})
    bybit.markets, bybit.market = {}, lambda symbol: {"id": "BTCUSDT"}
    bybit.is_unified_enabled, bybit.privateGetV5OrderRealtime = unified, none
    bybit.get_bybit_type = lambda method, market, given: ("linear", given)
    with pytest.raises(ccxt.OrderNotFound):
        asyncio.run(made.order(contract, "1"))


@pytest.mark.parametrize("newest", [False, True])
def test_executions_are_asked_for_page_by_page_whichever_end_an_exchange_begins_at(newest):
    """Of more than one page the rest was never booked, or, at the take-over of an account, booked a second time."""
    began = int(time.time() * 1_000) - 60_000
    whole = [
        {"id": str(number), "order": "1", "symbol": SYMBOL, "side": "buy", "price": 60_000.0, "amount": 0.001,
         "timestamp": began + number // 3, "fee": None}
        for number in range(450)
    ]  # fmt: skip
    asked = []

    async def fetch_my_trades(symbol, since, count, given):
        asked.append(since)
        rows = [row for row in whole if since <= row["timestamp"] <= given.get("until", 2**53)]
        return rows[-100:] if newest else rows[:100]

    made, _, _ = exchange_of("bybit" if newest else "binanceusdm")
    made._reading = SimpleNamespace(fetch_my_trades=fetch_my_trades)
    made._in_play.add(SYMBOL)
    found = asyncio.run(made.trades("USDT", 0, 1_000))
    assert sorted(int(row["trade_id"]) for row in found) == list(range(450)) and len(asked) < 12
    asked.clear()
    assert len(asyncio.run(made.trades("USDT", whole[-30]["timestamp"], 1_000))) == 30 and len(asked) == 1
