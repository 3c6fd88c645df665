"""ccxt.pro over WebSocket against a dev venue where nobody else trades: keys and two URLs, nothing else is changed."""

import asyncio
import contextlib

import ccxt
import ccxt.pro
import pytest
from dev_venue import PATIENCE_S

PERPETUAL = "BTC/USD:BTC"
BEHIND_A_DESK = True


@contextlib.asynccontextmanager
async def client_of(dev, name=None):
    keys = {"apiKey": dev.accounts[name]["key"], "secret": dev.accounts[name]["secret"]} if name else {}
    exchange = ccxt.pro.deribit(keys)
    exchange.urls["api"] = {"rest": dev.ready["http"], "ws": dev.ready["ws"]}
    try:
        await exchange.load_markets()
        yield exchange
    finally:
        await exchange.close()


class Reader:
    """A running reader, as ccxt.pro wants one: what comes while nobody awaits is lost to its watch methods."""

    def __init__(self, watch):
        self.seen = []
        self._came = asyncio.Condition()
        self._task = asyncio.create_task(self._read(watch))

    async def _read(self, watch):
        while True:
            found = await watch()
            async with self._came:
                self.seen.append(list(found) if isinstance(found, list) else found)
                self._came.notify_all()

    async def until(self, wanted):
        """The first update that is wanted; the reader's own error if it ended."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for update in self.seen:
                    if (kept := wanted(update)) is not None and kept is not False:
                        return update if kept is True else kept
                if self._task.done():
                    self._task.result()
                async with self._came:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._came.wait(), 0.5)

    async def end(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def reading(watch):
    reader = Reader(watch)
    try:
        yield reader
    finally:
        await reader.end()


def test_ticker_quotes_book_trades_and_candles_are_watched(dev):
    async def run():
        async with (
            client_of(dev) as watcher,
            client_of(dev, "alice") as alice,
            client_of(dev, "bob") as bob,
            reading(lambda: watcher.watch_ticker(PERPETUAL)) as ticker,
            reading(lambda: watcher.watch_bids_asks([PERPETUAL])) as quotes,
            reading(lambda: copy_of(watcher.watch_order_book(PERPETUAL))) as book,
            reading(lambda: watcher.watch_trades(PERPETUAL)) as trades,
            reading(lambda: copy_of(watcher.watch_ohlcv(PERPETUAL, "1m"))) as candles,
        ):
            assert (await ticker.until(lambda row: row["symbol"] == PERPETUAL))["markPrice"] > 0
            await book.until(lambda row: row == {"bids": [], "asks": []})
            bid = await alice.create_order(PERPETUAL, "limit", "buy", 100, 59_000)
            await alice.create_order(PERPETUAL, "limit", "sell", 50, 61_000)
            full = {"bids": [[59_000, 100]], "asks": [[61_000, 50]]}
            await book.until(lambda row: row == full)
            await ticker.until(lambda row: (row["bid"], row["ask"]) == (59_000, 61_000))
            await quotes.until(lambda row: row[PERPETUAL]["bid"] == 59_000)
            sold = await bob.create_order(PERPETUAL, "limit", "sell", 40, 59_000)
            seen = await trades.until(bool)
            assert (seen[0]["price"], seen[0]["amount"], seen[0]["side"]) == (59_000, 40, "sell")
            assert seen[0]["id"] == sold["trades"][0]["id"]
            await book.until(lambda row: row["bids"] == [[59_000, 60]])
            candle = (await candles.until(lambda rows: bool(rows) and rows[-1][5] > 0))[-1]
            assert candle[2] == candle[3] == 59_000 and candle[0] % 60_000 == 0
            await alice.cancel_order(bid["id"])
            await book.until(lambda row: row["bids"] == [])
            await alice.cancel_all_orders()
            await book.until(lambda row: row == {"bids": [], "asks": []})
            await ticker.until(lambda row: row["last"] == 59_000 and not row["bid"])

    asyncio.run(run())


async def copy_of(coming):
    """ccxt.pro hands out objects that it goes on changing."""
    found = await coming
    if isinstance(found, list):
        return [list(row) for row in found]
    return {side: [list(level)[:2] for level in found[side]] for side in ("bids", "asks")}


def state(rows, number):
    """The last state of an order among those told."""
    return next((row["status"] for row in reversed(rows) if row["id"] == number), None)


async def subscribed(exchange, dev, count):
    """ccxt.pro has sent its subscriptions; the venue takes one socket's requests in their order."""
    async with asyncio.timeout(PATIENCE_S):
        while len(exchange.clients[dev.ready["ws"]].subscriptions) < count:
            await asyncio.sleep(0.01)


def test_own_orders_trades_and_balance_are_watched(dev):
    async def run():
        async with (
            client_of(dev, "carol") as carol,
            client_of(dev, "dave") as dave,
            reading(carol.watch_balance) as balance,
            reading(carol.watch_orders) as orders,
            reading(carol.watch_my_trades) as trades,
        ):
            await balance.until(lambda row: "BTC" in row and row["BTC"]["BTC"]["total"] == 10)
            await balance.until(lambda row: {"BTC", "ETH", "USDC"} <= set(row))
            await subscribed(carol, dev, 4)  # login, and three channels
            placed = await carol.create_order(PERPETUAL, "limit", "buy", 70, 58_000, {"label": "seen"})
            await orders.until(lambda rows: state(rows, placed["id"]) == "open")
            edited = await carol.edit_order(placed["id"], PERPETUAL, "limit", "buy", 90, 58_000)
            assert edited["id"] == placed["id"]
            await orders.until(lambda rows: any(row["id"] == placed["id"] and row["amount"] == 90 for row in rows))
            sold = await dave.create_order(PERPETUAL, "limit", "sell", 90, 58_000)
            mine = await trades.until(bool)
            assert (mine[0]["id"], mine[0]["order"]) == (sold["trades"][0]["id"], placed["id"])
            assert (mine[0]["takerOrMaker"], mine[0]["amount"], mine[0]["side"]) == ("maker", 90, "buy")
            await orders.until(lambda rows: state(rows, placed["id"]) == "closed")
            await balance.until(lambda row: row["BTC"]["BTC"]["used"] > 0)
            other = await carol.create_order(PERPETUAL, "limit", "buy", 10, 57_000)
            await carol.cancel_order(other["id"])
            await orders.until(lambda rows: state(rows, other["id"]) == "canceled")

    asyncio.run(run())


def test_a_wrong_key_is_an_authentication_error(dev):
    """By its calls; on a socket this client hangs on any error, also the original's, so there it is not asked to."""

    async def run():
        exchange = ccxt.pro.deribit({"apiKey": dev.accounts["alice"]["key"], "secret": "wrong"})
        exchange.urls["api"] = {"rest": dev.ready["http"], "ws": dev.ready["ws"]}
        try:
            with pytest.raises(ccxt.AuthenticationError):
                await exchange.fetch_balance()
        finally:
            await exchange.close()

    asyncio.run(run())
