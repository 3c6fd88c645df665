"""One account at one exchange through ccxt: its markets, orders, executions and money as objects of the dialect.

Importing ccxt takes seconds, so nothing imports this but the process that needs it. Two instances of the exchange share
their markets: one reads, the other changes orders, so that no order waits behind the polling of prices. What changes an
order is sent once and never again by itself: where no answer comes, the outcome is unknown, and is said to be.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
import ccxt.pro
import structlog

from seawall.venues.ccxt_dialect import (
    Contract,
    Level,
    Wallet,
    client_id,
    contracts_of,
    level_of,
    log_entries,
    order_object,
    position_object,
    split_id,
    summary_of_account,
    user_trade,
)
from seawall.venues.connection import once
from seawall.venues.credentials import Account
from seawall.vocabulary.errors import InputError

QUOTES_S: Final = 2.0
"""How old prices may be before they are asked for again."""

HISTORY_MS: Final = 6 * 86_400_000
"""How far back executions are asked for: exchanges take a week at most at a time."""

WHOLE: Final = 50
"""A page of fewer executions is not cut off: no exchange's page is shorter."""

PAUSE_S: Final = 1.0
"""Between two looks where nothing is pushed, and before a stream that broke is begun again."""

LOOK_MS: Final = 60_000
"""Where nothing is pushed, executions are looked for from so long ago on: exchanges tell of some late."""

KEPT: Final = 10_000
"""Orders remembered, for what an exchange leaves out of its answers."""

_QUERY: Final = re.compile(r"\?[^\s'\"]+")
_FUNDING: Final = frozenset(("FUNDING_FEE", "SETTLEMENT", "funding"))


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is another at one exchange.

    in_units     amounts are coins and dollars, not contracts
    label        the parameter that keeps a label as it is; else it travels in a client order id
    currency     orders, executions and tickers are asked for by currency, with this parameter
    by_market    orders and executions are asked for by market: of all at once they are dear, or not told
    history      parameters that make the history of orders whole
    order        parameters without which ccxt asks for no order
    funding      its words for funding in its ledger
    """

    in_units: bool = False
    label: str = ""
    currency: str = ""
    by_market: bool = False
    history: Mapping[str, Any] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    wallet: Wallet | None = None
    funding: frozenset[str] = _FUNDING


_BINANCE: Final = Quirks(by_market=True, wallet=Wallet(("assets",), "asset", "walletBalance", "marginBalance"))
QUIRKS: Final[dict[str, Quirks]] = {
    "deribit": Quirks(
        in_units=True, label="label", currency="code", history={"include_unfilled": True},
        wallet=Wallet(("summaries",), "currency", "balance", "equity"),
    ),
    "binanceusdm": _BINANCE,
    "binancecoinm": _BINANCE,
    "bybit": Quirks(
        wallet=Wallet(("result", "list", 0, "coin"), "coin", "walletBalance", "equity"), order={"acknowledged": True}
    ),
    "okx": Quirks(wallet=Wallet(("data", 0, "details"), "ccy", "cashBal", "eq"), funding=frozenset(("8",))),
}  # fmt: skip


def said(error: BaseException) -> str:
    """What an error says, without the parameters of requests: some exchanges have signatures there."""
    return _QUERY.sub("?…", repr(error))[:500]


def kind_of(error: Exception, *, order: bool) -> tuple[int, str]:
    """The dialect's code for an error of ccxt's, and what it said. Where an order may have arrived: 13888.

    So of a bare ExchangeError, too: it is what ccxt makes of words it knows nothing of, and of an exchange's own
    time-outs (Bybit's 10016, Binance's -1007).
    """
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, said(error)
    refused = isinstance(error, ccxt.ExchangeError)
    if order and (not refused or type(error) is ccxt.ExchangeError):
        return 13888, f"outcome unknown: {said(error)}"
    return (11030 if order else 10001 if refused else 13028), said(error)


_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ccxt.OrderNotFound, 10004),
    (ccxt.InsufficientFunds, 10009),
    (ccxt.OrderImmediatelyFillable, 11054),
    (ccxt.ContractUnavailable, 10020),
    (ccxt.InvalidOrder, 11030),
    (ccxt.PermissionDenied, 13021),
    (ccxt.AuthenticationError, 13004),
    (ccxt.RateLimitExceeded, 10028),
    (ccxt.DDoSProtection, 10028),
    (ccxt.OnMaintenance, 11051),
    (ccxt.InvalidNonce, 13004),
    (ccxt.BadSymbol, 10020),
    (ccxt.MarketClosed, 10012),
    (ccxt.NotSupported, 10033),
)


class Exchange:
    """`open` first. Every method raises ccxt's errors; those that take amounts and prices InputError, too."""

    def __init__(self, name: str, account: Account, *, bases: tuple[str, ...], sandbox: bool = False) -> None:
        """Raises InputError for an exchange that ccxt does not know. `bases`: the underlyings to list."""
        kind = getattr(ccxt.pro, name, None) or getattr(ccxt.async_support, name, None)
        if name not in ccxt.exchanges or kind is None:
            raise InputError("EXCHANGE", name, "must be one that ccxt knows")
        self.name, self._bases, self.quirks = name, bases, QUIRKS.get(name, Quirks())
        given = {"apiKey": account.key, "secret": account.secret, "password": account.password, "uid": account.uid}
        self._reading, self._writing = (kind(dict(given)) for _ in range(2))
        if sandbox:
            for exchange in (self._reading, self._writing):
                exchange.set_sandbox_mode(True)
        self.has: Mapping[str, Any] = self._reading.has
        self.contracts: dict[str, Contract] = {}
        self.left_out: dict[str, str] = {}
        self._by_symbol: dict[str, Contract] = {}
        self._names: dict[str, str] = {}
        self._levels: dict[str, Level] = {}
        self._levels_at = 0.0
        self._looking = asyncio.Lock()
        self._orders: dict[tuple[str, str], dict[str, Any]] = {}
        self._by_market = self.quirks.by_market
        self._asked: set[str] = set()
        """Currencies whose executions were asked for in all markets once; then those in play are enough."""
        self._in_play: set[str] = set()
        """Symbols with a position or an order at some time since the start."""
        self._log = structlog.get_logger()

    def point_to(self, urls: Mapping[str, str]) -> None:
        """Other addresses, by ccxt's names for them. Raises InputError for a name it has not."""
        for exchange in (self._reading, self._writing):
            for name, url in urls.items():
                if name not in exchange.urls["api"]:
                    raise InputError("--url", name, f"must be one of {', '.join(exchange.urls['api'])}")
                exchange.urls["api"][name] = url

    async def open(self) -> None:
        """Connect and read the catalogue."""
        writing = self._writing
        writing.own_session = False  # it gets one that never sends a request twice
        writing.open()
        connector = aiohttp.TCPConnector(ssl=writing.ssl_context)
        self._once = aiohttp.ClientSession(connector=connector, middlewares=(once,))
        writing.session = self._once
        await self.read_catalogue()

    async def read_catalogue(self) -> None:
        """Read the catalogue anew."""
        reading = self._reading
        markets = await reading.load_markets(True)
        self._writing.set_markets(markets, reading.currencies)
        digits = reading.precisionMode == ccxt.DECIMAL_PLACES
        self.contracts, self.left_out = contracts_of(
            markets.values(), self._bases, digits=digits, in_units=self.quirks.in_units
        )
        self._by_symbol = {contract.symbol: contract for contract in self.contracts.values()}
        self._names = {symbol: contract.name for symbol, contract in self._by_symbol.items()}
        self._names |= {str(markets[symbol]["id"]): name for symbol, name in list(self._names.items())}

    async def close(self) -> None:
        """End all connections."""
        await self._reading.close()
        await self._writing.close()
        await self._once.close()

    @property
    def currencies(self) -> dict[str, int]:
        """Settlement currencies and their decimals."""
        known = self._reading.currencies or {}
        found = {contract.settlement for contract in self.contracts.values()}
        return {name: _decimals((known.get(name) or {}).get("precision")) for name in sorted(found)}

    # -- prices --------------------------------------------------------------------------------------------------------

    async def levels(self) -> dict[str, Level]:
        """Prices of all contracts by name, at most QUOTES_S old."""
        async with self._looking:
            if time.monotonic() > self._levels_at + QUOTES_S:
                self._levels = await self._ask_levels()
                self._levels_at = time.monotonic()
        return self._levels

    async def _ask_levels(self) -> dict[str, Level]:
        """Mark prices first, then quotes; where they tell no index, the market's own ticker and funding rate."""
        exchange, parts = self._reading, []
        if self.has.get("fetchMarkPrices"):
            parts.append(await exchange.fetch_mark_prices())
        if parts and self.has.get("fetchBidsAsks"):  # tickers of all markets cost much more
            parts.append(await exchange.fetch_bids_asks())
        else:
            parts += [await exchange.fetch_tickers(None, parameters) for parameters in self._by_currency()]
        now = time.time_ns() // 1_000_000
        found: dict[str, Level] = {}
        indices: dict[str, float] = {}
        for contract in sorted(self.contracts.values(), key=lambda contract: contract.expiry_ms):
            told = [part[contract.symbol] for part in parts if contract.symbol in part]
            level = level_of(contract, told, now)
            if level.index is None and contract.index not in indices and not contract.option:
                level = level_of(contract, [*told, *await self._of_one(contract)], now)
            if level.index is not None:
                indices.setdefault(contract.index, level.index)
            found[contract.name] = replace(level, index=indices.get(contract.index))
        return found

    async def _of_one(self, contract: Contract) -> list[Any]:
        if self.name == "okx":  # tells an index in a request of its own, which ccxt has under no name of its own
            asked = {"instId": f"{contract.base}-{contract.counter}"}
            answer = await self._reading.publicGetMarketIndexTickers(asked)
            return [{"indexPrice": answer["data"][0]["idxPx"]}]
        rows = [await self._reading.fetch_ticker(contract.symbol)]
        if rows[0].get("indexPrice") is None and self.has.get("fetchFundingRate") and not contract.expiry_ms:
            rows.append(await self._reading.fetch_funding_rate(contract.symbol))
        return rows

    async def index(self, name: str) -> float | None:
        """An index price."""
        levels = await self.levels()
        told = (levels[contract.name].index for contract in self.contracts.values() if contract.index == name)
        return next((price for price in told if price is not None), None)

    async def book(self, contract: Contract, depth: int) -> Any:
        """An order book, in ccxt's units. Depths are cut by whoever shows them: exchanges take few numbers."""
        return await self._reading.fetch_order_book(contract.symbol, depth if self.quirks.in_units else None)

    async def public_trades(self, contract: Contract, count: int) -> Any:
        """Trades of the market, the newest last."""
        return await self._reading.fetch_trades(contract.symbol, None, count)

    # -- orders --------------------------------------------------------------------------------------------------------

    async def place(
        self, contract: Contract, side: str, amount: float, price: float | None, label: str, terms: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Send an order; ccxt's order, with what its answer left out as it was asked."""
        size = contract.contracts(amount)
        limit = contract.price(price) if price is not None else None
        parameters = dict(terms)
        if self.quirks.label:
            parameters |= {self.quirks.label: label} if label else {}
        else:
            parameters["clientOrderId"] = client_id(label)
        kind = "market" if price is None else "limit"
        answer = await self._writing.create_order(contract.symbol, kind, side, size, limit, parameters)
        asked = {
            "symbol": contract.symbol, "side": side, "type": kind, "price": limit, "amount": size, "filled": 0.0,
            "timestamp": time.time_ns() // 1_000_000, "clientOrderId": parameters.get("clientOrderId"),
            "timeInForce": terms.get("timeInForce"), "reduceOnly": terms.get("reduceOnly"),
            "postOnly": terms.get("postOnly"),
        }  # fmt: skip
        return await self._completed(contract, answer, asked)

    async def edit(self, contract: Contract, own: str, amount: float | None, price: float | None) -> dict[str, Any]:
        """Change an order's whole amount or price."""
        known = self._orders.get((contract.symbol, own)) or await self.order(contract, own)
        size = contract.contracts(amount) if amount is not None else float(known["amount"])
        limit = contract.price(price) if price is not None else known.get("price")
        kind = known.get("type") or "limit"
        answer = await self._writing.edit_order(own, contract.symbol, kind, known["side"], size, limit)
        return await self._completed(contract, answer, {**known, "amount": size, "price": limit, "trades": []})

    async def cancel(self, contract: Contract, own: str) -> dict[str, Any]:
        """Cancel an order."""
        answer = await self._writing.cancel_order(own, contract.symbol)
        known = self._orders.get((contract.symbol, own), {})
        last = {**known, "id": own, "symbol": contract.symbol, "status": "canceled"}
        return await self._completed(contract, {**answer, "id": own}, last)

    async def _completed(self, contract: Contract, answer: Mapping[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        """An answer that tells little is looked up. That the exchange took it is known, whatever the look brings."""
        order = asked | _told(answer)
        if answer.get("status") is None or order.get("side") is None or order.get("amount") is None:
            try:
                order |= {
                    name: value
                    for name, value in (await self.order(contract, order["id"])).items()
                    if value is not None
                }
            except ccxt.BaseError as error:
                self._log.info("an order was not found again yet", order_id=order["id"], why=said(error))
        return self._keep(order)

    def _keep(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Remember an order; one that tells no label keeps the one that was known."""
        own = order["symbol"], str(order["id"])
        self._in_play.add(own[0])
        known = self._orders.pop(own, {})
        kept = {**order, "clientOrderId": order.get("clientOrderId") or known.get("clientOrderId")}
        self._orders[own] = kept
        if len(self._orders) > KEPT:
            del self._orders[next(iter(self._orders))]
        return kept

    async def order(self, contract: Contract, own: str) -> dict[str, Any]:
        """One order as it stands."""
        return self._keep(await self._reading.fetch_order(own, contract.symbol, dict(self.quirks.order)))

    async def open_orders(self) -> list[dict[str, Any]]:
        """All open orders, as objects of the dialect."""
        ask = self._reading.fetch_open_orders
        if self.quirks.by_market:
            rows = [await ask(contract.symbol) for contract in self.contracts.values()]
        else:
            rows = [await ask(None, None, None, parameters) for parameters in self._by_currency()]
        return [order for part in rows for order in self.order_objects(part)]

    def order_objects(self, orders: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Orders of the markets that are listed, as objects of the dialect."""
        known = [(self._by_symbol.get(order["symbol"]), self._keep(order)) for order in orders]
        return [order_object(contract, order) for contract, order in known if contract is not None]

    async def history(self, contract: Contract, count: int) -> list[dict[str, Any]]:
        """Orders of a market that are over, newest first, those without an execution too. Raises NotSupported."""
        reading, symbol, extra = self._reading, contract.symbol, dict(self.quirks.history)
        whole: dict[str, Callable[..., Awaitable[Any]]] = {
            "fetchCanceledAndClosedOrders": reading.fetch_canceled_and_closed_orders,
            "fetchOrders": reading.fetch_orders,
        }
        calls = [call for name, call in whole.items() if self.has.get(name) is True][:1]
        if not calls and self.has.get("fetchClosedOrders"):
            calls = [reading.fetch_closed_orders]
            if self.has.get("fetchCanceledOrders"):
                calls.append(reading.fetch_canceled_orders)
            elif not extra:  # it would not tell of those that were cancelled before any execution
                calls = []
        if not calls:
            raise ccxt.NotSupported(f"{self.name} does not tell of orders that are over")
        rows: dict[str, Any] = {}
        for call in calls:
            rows |= {order["id"]: order for order in await call(symbol, None, None, extra)}
        ordered = sorted(rows.values(), key=lambda order: -(order.get("timestamp") or 0))
        return [one for one in self.order_objects(ordered) if one["order_state"] != "open"][:count]

    # -- executions ----------------------------------------------------------------------------------------------------

    async def trades(self, currency: str, since: int, count: int) -> list[dict[str, Any]]:
        """Executions in what settles in a currency, oldest first."""
        since = max(since, time.time_ns() // 1_000_000 - HISTORY_MS)
        rows: list[Any] = []
        if not self._by_market:
            parameters = {self.quirks.currency: currency} if self.quirks.currency else {}
            try:
                rows = await self._executions(None, since, count, parameters)
            except ccxt.ArgumentsRequired:
                self._by_market = True
        if self._by_market:
            for contract in [one for one in self.contracts.values() if one.settlement == currency]:
                if contract.symbol in self._in_play or currency not in self._asked:
                    rows += await self._executions(contract.symbol, since, count, {})
            self._asked.add(currency)
        found = self.trade_objects(rows)
        return [row for row in found if self.contracts[row["instrument_name"]].settlement == currency]

    async def _executions(self, symbol: str | None, since: int, count: int, given: dict[str, Any]) -> list[Any]:
        """All of them: exchanges tell a page at a time, some the oldest first and some the newest."""
        ask = self._reading.fetch_my_trades
        rows = await ask(symbol, since, count, given)
        if len(rows) < WHOLE:
            return list(rows)
        known = {(row["id"], row["order"]): row for row in rows}
        for forward in (True, False):
            more = True
            while more:
                times = [row["timestamp"] for row in known.values()]
                where = (max(times), count, given) if forward else (since, count, {**given, "until": min(times)})
                page = {(row["id"], row["order"]): row for row in await ask(symbol, *where)}
                more = not page.keys() <= known.keys()
                known |= page
        return list(known.values())

    async def order_trades(self, contract: Contract, own: str) -> list[dict[str, Any]]:
        """Executions of one order."""
        if self.has.get("fetchOrderTrades"):
            return self.trade_objects(await self._reading.fetch_order_trades(own, contract.symbol))
        rows = await self._reading.fetch_my_trades(contract.symbol)
        return self.trade_objects(row for row in rows if row["order"] == own)

    def trade_objects(self, trades: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Executions in the markets that are listed, oldest first, as objects of the dialect."""
        found = []
        for trade in sorted(trades, key=lambda trade: trade["timestamp"]):
            contract = self._by_symbol.get(trade["symbol"])
            if contract is not None:
                known = self._orders.get((trade["symbol"], str(trade["order"])), {}).get("clientOrderId")
                found.append(user_trade(contract, {**trade, "clientOrderId": trade.get("clientOrderId") or known}))
        return found

    # -- money ---------------------------------------------------------------------------------------------------------

    async def positions(self) -> list[dict[str, Any]]:
        """Positions, as objects of the dialect."""
        by_market: dict[str, list[Any]] = {}
        for row in await self._reading.fetch_positions():
            if row.get("contracts"):
                by_market.setdefault(row["symbol"], []).append(row)
        self._in_play |= by_market.keys()
        known = [(self._by_symbol.get(symbol), rows) for symbol, rows in by_market.items()]
        return [position_object(contract, rows) for contract, rows in known if contract is not None]

    async def summaries(self) -> list[dict[str, Any]]:
        """A summary for each settlement currency."""
        balance = await self._reading.fetch_balance()
        wallet = self.quirks.wallet
        told = wallet.of(balance["info"]) if wallet is not None else {}
        found = []
        for currency in self.currencies:
            row = balance.get(currency) or {}
            total = float(row.get("total") or 0.0)
            own, equity = told.get(currency, (total, total))
            found.append(summary_of_account(currency, own, equity, row.get("free"), float(row.get("used") or 0.0)))
        return found

    async def ledger(self, currency: str, since: int) -> list[dict[str, Any]]:
        """The transaction log, newest first: what one page of the exchange's ledger has; empty where it has none."""
        if not self.has.get("fetchLedger"):
            return []
        rows = await self._reading.fetch_ledger(currency, since or None)
        return log_entries(rows, self._names, self.quirks.funding)

    # -- what is told by itself ----------------------------------------------------------------------------------------

    async def watch_orders(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Orders as they change: as the exchange pushes them, else by asking for those that are open."""
        before: dict[str, dict[str, Any]] | None = None
        while True:
            if self.has.get("watchOrders"):
                yield self.order_objects(await self._reading.watch_orders())
                continue
            now = {row["order_id"]: row for row in await self.open_orders()}
            if before is not None:
                changed = [row for id_, row in now.items() if before.get(id_) != row]
                for id_ in before.keys() - now.keys():
                    name, own = split_id(id_)
                    changed += self.order_objects([await self.order(self.contracts[name], own)])
                yield changed
            before = now
            await asyncio.sleep(PAUSE_S)

    async def watch_trades(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Executions, likewise."""
        seen: set[tuple[str, str]] | None = None
        while True:
            if self.has.get("watchMyTrades"):
                yield self.trade_objects(await self._reading.watch_my_trades())
                continue
            since = time.time_ns() // 1_000_000 - LOOK_MS
            rows = [row for currency in self.currencies for row in await self.trades(currency, since, 100)]
            if seen is not None:
                yield [row for row in rows if (row["trade_id"], row["order_id"]) not in seen]
            seen = {(row["trade_id"], row["order_id"]) for row in rows}
            await asyncio.sleep(PAUSE_S)

    def _by_currency(self) -> list[dict[str, Any]]:
        """Parameters of the requests that together ask for all."""
        if not self.quirks.currency:
            return [{}]
        return [{self.quirks.currency: currency} for currency in self.currencies]


def _told(order: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if value is not None}


def _decimals(precision: Any) -> int:
    """Decimals of a currency, of which ccxt tells the smallest part."""
    if precision is None:
        return 8
    return max(0, -round(float(f"{float(precision):e}".partition("e")[2])))
