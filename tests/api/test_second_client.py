"""typed-deribit, which has nothing of ccxt's and checks every answer by its own types: a round trip, URLs changed."""

import asyncio

import pytest
from api_venue import PERPETUAL
from dev_venue import PATIENCE_S
from typed_deribit import Deribit
from typed_deribit.core import base
from typed_deribit.core.exc import ApiError, AuthError

BEHIND_A_DESK = True
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # about its own union of order types


@pytest.fixture(autouse=True)
def urls(dev, monkeypatch):
    """The two URLs, which this client keeps in functions."""
    monkeypatch.setattr(base, "resolve_http_base_url", lambda testnet: dev.ready["http"] + "/api/v2")
    monkeypatch.setattr(base, "resolve_ws_url", lambda testnet: dev.ready["ws"])


def client_of(dev, name, **options):
    account = dev.accounts[name]
    return Deribit.new(client_id=account["key"], client_secret=account["secret"], **options)


def limit(price, amount=10, **more):
    return {"instrument_name": PERPETUAL, "type": "limit", "amount": amount, "price": price, **more}


async def first_of(stream, wanted=lambda message: True):
    """The first message of a stream that is wanted."""
    async with asyncio.timeout(PATIENCE_S):
        async for message in stream:
            if wanted(message):
                return message
    raise AssertionError("the stream ended")


@pytest.mark.parametrize(("http_auth", "transport"), [("token", "http"), ("hmac", "http"), ("token", "ws")])
def test_a_round_trip_login_order_edit_book_cancel_history(dev, http_auth, transport):
    over = {"transport": transport}

    async def trip():
        async with client_of(dev, "alice", http_auth=http_auth) as client:
            assert (await client.supporting.test(**over))["version"]
            placed = (await client.trading.buy(limit(51_000, label="trip"), **over))["order"]
            assert (placed["order_state"], placed["label"], float(placed["price"])) == ("open", "trip", 51_000)
            number = placed["order_id"]
            assert number in [row["order_id"] for row in await client.trading.get_open_orders(**over)]
            edited = (await client.trading.edit(number, amount=20, price=51_010, **over))["order"]
            assert edited["order_id"] == number and float(edited["amount"]) == 20
            book = await client.market_data.get_order_book(PERPETUAL, depth=5, **over)
            assert [list(map(float, level)) for level in book["bids"]] == [[51_010, 20]]
            assert (await client.trading.cancel(number, **over))["order_state"] == "cancelled"
            assert (await client.trading.get_order_state(number, **over))["order_state"] == "cancelled"
            history = await client.trading.get_order_history_by_instrument(
                instrument_name=PERPETUAL, include_unfilled=True, **over
            )
            rows = history if isinstance(history, list) else history["data"]
            assert rows[0]["order_id"] == number

    asyncio.run(trip())


def test_a_fill_as_both_sides_and_their_money_see_it(dev):
    async def trip():
        async with client_of(dev, "alice") as alice, client_of(dev, "bob", http_auth="hmac") as bob:
            before = float((await alice.account.get_account_summary("BTC", extended=True))["balance"])
            rests = (await alice.trading.buy(limit(59_000, 100)))["order"]
            taken = await bob.trading.sell(limit(59_000, 40))
            assert taken["order"]["order_state"] == "filled" and len(taken["trades"]) == 1
            assert float(taken["trades"][0]["price"]) == 59_000
            trades = await alice.trading.get_user_trades_by_order(rests["order_id"])
            rows = trades if isinstance(trades, list) else trades["trades"]
            assert [(row["liquidity"], float(row["amount"])) for row in rows] == [("M", 40)]
            assert rows[0]["trade_id"] == taken["trades"][0]["trade_id"]
            assert float((await alice.account.get_position(PERPETUAL))["size"]) == 40
            assert float((await bob.account.get_position(PERPETUAL))["size"]) == -40
            assert await alice.trading.cancel_all() == 1
            after = await alice.account.get_account_summary("BTC")
            assert float(after["maintenance_margin"]) > 0 and abs(float(after["balance"]) - before) < 1e-4

    asyncio.run(trip())


def test_subscriptions_to_the_book_the_ticker_own_orders_and_money(dev):
    async def trip():
        async with (
            client_of(dev, "carol") as client,
            client_of(dev, "dave") as other,
            client.streams.market_data.book(PERPETUAL, interval="100ms") as book,
            client.streams.market_data.ticker(PERPETUAL, interval="100ms") as ticker,
            client.streams.market_data.quote(PERPETUAL) as quote,
            client.streams.user.orders_by_instrument_raw(PERPETUAL) as orders,
            client.streams.user.trades_by_instrument(PERPETUAL, interval="raw") as trades,
            client.streams.user.portfolio("BTC") as money,
        ):
            snapshot = await first_of(book)
            assert snapshot["type"] == "snapshot"
            assert float((await first_of(ticker))["mark_price"]) > 0
            assert (await first_of(quote))["instrument_name"] == PERPETUAL
            assert float((await first_of(money))["equity"]) == 10
            placed = (await client.trading.buy(limit(52_000, 30)))["order"]
            change = await first_of(book)
            assert change["type"] == "change" and change["prev_change_id"] == snapshot["change_id"]
            assert [str(next(iter(level))) for level in change["bids"]] == ["new"]
            assert (await first_of(orders))["order_id"] == placed["order_id"]
            sold = await other.trading.sell(limit(52_000, 30))
            mine = await first_of(trades)
            assert mine[0]["trade_id"] == sold["trades"][0]["trade_id"]
            done = await first_of(orders, lambda order: order["order_state"] == "filled")
            assert done["order_id"] == placed["order_id"]
            assert float((await first_of(money, lambda row: float(row["maintenance_margin"]) > 0))["balance"]) > 9.9

    asyncio.run(trip())


def test_errors_are_this_clients_exceptions_too(dev):
    async def trip():
        async with client_of(dev, "alice") as client:
            with pytest.raises(ApiError, match="not_enough_funds"):
                await client.trading.buy(limit(60_000, 200_000_000))
            with pytest.raises(ApiError, match="order_not_found"):
                await client.trading.cancel("BTC-99999999")
        async with Deribit.new(client_id=dev.accounts["alice"]["key"], client_secret="wrong") as stranger:
            with pytest.raises((AuthError, ApiError)):
                await stranger.account.get_positions()

    asyncio.run(trip())
