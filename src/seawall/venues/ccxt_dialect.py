"""What ccxt says of markets, orders, trades and money as objects of the dialect. Pure: nothing of ccxt is imported.

Units. ccxt counts orders and positions in contracts of `contractSize`, coins for linear contracts and options, dollars
for inverse ones; the dialect counts coins and dollars. All conversions are decimal and exact; an amount or a price
between two steps is refused rather than rounded, as ccxt would. `contract_size` of the dialect is the smallest step.

An order's id is `<instrument>:<id at the exchange>`: most exchanges find an order only with its symbol, and so no table
must outlive a restart. What an exchange does not tell (ids of sequences, marks at an execution) is left out.
"""

import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from seawall.vocabulary.errors import InputError

Row = Mapping[str, Any]

NEVER_MS: Final = 32503708800000
"""When a perpetual expires, as the dialect writes it."""

LABEL_MAX: Final = 24
"""Characters of a label where it travels in a client order id, of which exchanges take 32."""

FEE_UNTOLD: Final = 0.001
"""Where an exchange tells no rate: dearer than most, since the desk reserves it."""

_OUR_ID: Final = re.compile(r"sw[0-9a-f]{6}(.*)", re.DOTALL)
_STATES: Final = {
    "open": "open",
    "canceling": "open",
    "closed": "filled",
    "canceled": "cancelled",
    "expired": "cancelled",
    "rejected": "rejected",
}
FORCES: Final = {"": None, "good_til_cancelled": None, "immediate_or_cancel": "IOC", "fill_or_kill": "FOK"}
_FORCE_NAMES: Final = {"IOC": "immediate_or_cancel", "FOK": "fill_or_kill"}
_GAIN: Final = "REALIZED_PNL"
"""Binance's word for a row that is a gain and no fee; Bybit and OKX tell it within the row of a trade."""

_LEDGER: Final = {"trade": "trade", "commission": "trade", "fee": "trade", "rebate": "trade", "transfer": "transfer"}


@dataclass(frozen=True, slots=True)
class Contract:
    """One market: `unit` is what one of ccxt's contracts is in the dialect; steps are in the dialect's units."""

    name: str
    symbol: str
    option: bool
    inverse: bool
    base: str
    counter: str
    settlement: str
    unit: Decimal
    step: Decimal
    least: Decimal
    tick: Decimal
    maker: float
    taker: float
    active: bool
    created_ms: int
    expiry_ms: int
    strike: float
    option_type: str
    leverage: int

    @property
    def index(self) -> str:
        """Name of its index price."""
        return f"{self.base}_{self.counter}".lower()

    @property
    def in_dollars(self) -> bool:
        """Whether its amounts are dollars; else they are coins."""
        return self.inverse and not self.option

    def amount(self, contracts: Any) -> float:
        """What ccxt counts as an amount of the dialect."""
        return float(_decimal(contracts) * self.unit)

    def contracts(self, amount: float) -> float:
        """An amount of the dialect as ccxt counts it. Raises InputError for one between two steps, or too small."""
        exact = _decimal(amount)
        if exact % self.step or exact < self.least:
            raise InputError("amount", amount, f"must be a multiple of {self.step}, at least {self.least}")
        return float(exact / self.unit)

    def price(self, price: float) -> float:
        """The same price. Raises InputError for one between two ticks."""
        if _decimal(price) % self.tick or price <= 0:
            raise InputError("price", price, f"must be a positive multiple of {self.tick}")
        return price


@dataclass(frozen=True, slots=True)
class Level:
    """Prices of one market at a time; None where the exchange does not tell."""

    time_ms: int
    mark: float | None = None
    index: float | None = None
    bid: float | None = None
    bid_amount: float | None = None
    ask: float | None = None
    ask_amount: float | None = None
    last: float | None = None
    low: float | None = None
    high: float | None = None
    volume: float | None = None


# -- contracts ---------------------------------------------------------------------------------------------------------


def contracts_of(
    markets: Iterable[Row], bases: Collection[str], *, digits: bool = False, in_units: bool = False
) -> tuple[dict[str, Contract], dict[str, str]]:
    """Contracts by their names in the dialect, and the symbols left out, with why.

    `digits`: precisions are numbers of decimals, not steps. `in_units`: amounts are in the dialect's units already.
    """
    found: dict[str, Contract] = {}
    left_out: dict[str, str] = {}
    for market in markets:
        if not market.get("contract") or market.get("base") not in bases:
            continue
        symbol = str(market["symbol"])
        try:
            made = _contract(market, digits=digits, in_units=in_units)
            if made.name in found:
                raise InputError("symbol", symbol, f"has the name of {found[made.name].symbol}")
        except InputError as error:
            left_out[symbol] = str(error)
        else:
            found[made.name] = made
    return found, left_out


def _contract(market: Row, *, digits: bool, in_units: bool) -> Contract:
    base, quote, settle = str(market["base"]), str(market["quote"]), str(market["settle"])
    inverse, option = settle == base, bool(market.get("option"))
    if not inverse and settle != quote:
        raise InputError("settle", settle, "must be the base or the quote currency")
    if inverse and quote != "USD":
        raise InputError("quote", quote, "must be USD for what settles in coin")
    precision, limits = market["precision"], market.get("limits") or {}
    tick, step = _step(precision.get("price"), digits), _step(precision.get("amount"), digits)
    unit = Decimal(1) if in_units else _decimal(market.get("contractSize"))
    least = (limits.get("amount") or {}).get("min")
    if unit <= 0:
        raise InputError("contractSize", unit, "must be positive")
    expiry = 0 if market.get("swap") else int(market.get("expiry") or 0)
    if not market.get("swap") and not expiry:
        raise InputError("expiry", market.get("expiry"), "must be told")
    strike = market.get("strike")
    rates = [FEE_UNTOLD if rate is None else float(rate) for rate in (market.get("maker"), market.get("taker"))]
    return Contract(
        _name(base, quote, expiry, strike if option else None, market.get("optionType"), inverse=inverse),
        str(market["symbol"]), option, inverse, base, "USD" if inverse else settle, settle,
        unit, step * unit, max(_decimal(least or 0), step) * unit, tick, rates[0], rates[1],
        market.get("active") is not False, int(market.get("created") or 1), expiry,
        float(strike) if option and strike else 0.0, str(market.get("optionType") or ""),
        int((limits.get("leverage") or {}).get("max") or 1),
    )  # fmt: skip


def _name(base: str, quote: str, expiry: int, strike: Any, kind: Any, *, inverse: bool) -> str:
    name = base if inverse else f"{base}_{quote}"
    if not expiry:
        return f"{name}-PERPETUAL"
    day = datetime.fromtimestamp(expiry // 1000, UTC)
    name += f"-{day.day}{day:%b%y}".upper()
    if strike is None:
        return name
    return f"{name}-{format(_decimal(strike).normalize(), 'f').replace('.', 'd')}-{'C' if kind == 'call' else 'P'}"


def _step(value: Any, digits: bool) -> Decimal:
    """A step of prices or amounts. Raises InputError where there is none."""
    if value is None:
        raise InputError("precision", value, "must be told")
    step = Decimal(1).scaleb(-int(value)) if digits else _decimal(value)
    if step <= 0:
        raise InputError("precision", value, "must be positive")
    return step


def _decimal(value: Any) -> Decimal:
    """The decimal that a number was written as; of one that was not told, 0."""
    return Decimal(str(value)) if value is not None else Decimal(0)


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


def instrument_object(contract: Contract) -> dict[str, Any]:
    """Section 3 of the dialect."""
    kind = "reversed" if contract.inverse else "linear"
    step, tick = _number(contract.step), _number(contract.tick)
    made: dict[str, Any] = {
        "instrument_name": contract.name,
        "instrument_id": int.from_bytes(contract.name.encode()) % (2**53 - 1),
        "kind": "option" if contract.option else "future",
        "instrument_type": kind,
        "base_currency": contract.base,
        "quote_currency": contract.base if contract.option and contract.inverse else contract.counter,
        "counter_currency": contract.counter,
        "settlement_currency": contract.settlement,
        "settlement_period": "month" if contract.expiry_ms else "perpetual",
        "tick_size": tick,
        "tick_size_steps": [],
        "contract_size": step,
        "min_trade_amount": _number(contract.least),
        "is_active": contract.active,
        "state": "open" if contract.active else "inactive",
        "creation_timestamp": contract.created_ms,
        "expiration_timestamp": contract.expiry_ms or NEVER_MS,
        "maker_commission": contract.maker,
        "taker_commission": contract.taker,
        "block_trade_commission": contract.taker,
        "block_trade_tick_size": tick,
        "block_trade_min_trade_amount": step,
        "price_index": contract.index,
        "underlying_type": "crypto",
        "rfq": False,
    }
    if contract.option:
        made |= {"strike": contract.strike, "option_type": contract.option_type}
    else:
        made |= {"future_type": kind, "max_leverage": contract.leverage}
    return made


# -- prices ------------------------------------------------------------------------------------------------------------


def level_of(contract: Contract, rows: Iterable[Row], now_ms: int) -> Level:
    """Of tickers, mark prices and funding rates of one market: the first that says something is believed."""
    known = list(rows)

    def first(name: str) -> float | None:
        return next((float(row[name]) for row in known if row.get(name) is not None), None)

    def sized(name: str) -> float | None:
        size = first(name)
        return contract.amount(size) if size is not None else None

    return Level(
        now_ms, first("markPrice"), first("indexPrice"), first("bid"), sized("bidVolume"), first("ask"),
        sized("askVolume"), first("last"), first("low"), first("high"), first("baseVolume"),
    )  # fmt: skip


def summary_object(contract: Contract, level: Level) -> dict[str, Any]:
    """Section 4.2. No volatility is told, so the desk weighs no options."""
    middle = (level.bid + level.ask) / 2 if level.bid is not None and level.ask is not None else None
    return {
        "instrument_name": contract.name,
        "base_currency": contract.base,
        "quote_currency": contract.base if contract.option and contract.inverse else contract.counter,
        "bid_price": level.bid,
        "ask_price": level.ask,
        "mid_price": middle,
        "mark_price": level.mark,
        "last": level.last,
        "high": level.high,
        "low": level.low,
        "volume": level.volume or 0.0,
        "volume_usd": 0.0,
        "open_interest": 0.0,
        "price_change": None,
        "creation_timestamp": level.time_ms,
    }


def ticker_object(contract: Contract, level: Level) -> dict[str, Any]:
    """Section 4.1."""
    return {
        "instrument_name": contract.name,
        "timestamp": level.time_ms,
        "state": "open" if contract.active else "inactive",
        "stats": {"volume": level.volume or 0.0, "low": level.low, "high": level.high, "price_change": None},
        "open_interest": 0.0,
        "best_bid_price": level.bid,
        "best_bid_amount": level.bid_amount or 0.0,
        "best_ask_price": level.ask,
        "best_ask_amount": level.ask_amount or 0.0,
        "last_price": level.last,
        "mark_price": level.mark,
        "index_price": level.index,
    }


def book_sides(contract: Contract, book: Row, depth: int) -> dict[str, Any]:
    """Both sides of an order book, best first."""
    return {side: [[float(row[0]), contract.amount(row[1])] for row in book[side][:depth]] for side in ("bids", "asks")}


# -- orders and executions ---------------------------------------------------------------------------------------------


def client_id(label: str) -> str:
    """A client order id that nobody has used and that tells the label. Raises InputError for a label too long."""
    if len(label) > LABEL_MAX:
        raise InputError("label", label, f"must have at most {LABEL_MAX} characters at this exchange")
    return f"sw{secrets.token_hex(3)}{label}"


def label_of(order: Row) -> str:
    """The label of an order: as the exchange keeps it, or out of its client order id."""
    info = order.get("info")
    kept = info.get("label") if isinstance(info, Mapping) else None
    if kept is not None:
        return str(kept)
    own = _OUR_ID.fullmatch(order.get("clientOrderId") or "")
    return own[1] if own is not None else str(order.get("clientOrderId") or "")


def order_id(contract: Contract, own: Any) -> str:
    """The id of an order in the dialect."""
    return f"{contract.name}:{own}"


def split_id(text: str) -> tuple[str, str]:
    """Name of the instrument and the exchange's id of an order."""
    name, _, own = text.partition(":")
    return name, own


def order_object(contract: Contract, order: Row) -> dict[str, Any]:
    """Section 5.2 of the dialect."""
    amount, filled = contract.amount(order.get("amount")), contract.amount(order.get("filled"))
    state = _STATES.get(order.get("status") or "open", "open")
    if state == "filled" and filled < amount:  # an order that was over before it was filled is closed, too
        state = "cancelled"
    limit = order.get("type") != "market" and order.get("price") is not None
    created = int(order.get("timestamp") or 0)
    times = [order.get(name) for name in ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp")]
    return {
        "order_id": order_id(contract, order["id"]),
        "instrument_name": contract.name,
        "direction": order["side"],
        "order_type": "limit" if limit else "market",
        "order_state": state,
        "price": float(order["price"]) if limit else "market_price",
        "amount": amount,
        "contracts": float(_decimal(amount) / contract.step),
        "filled_amount": filled,
        "average_price": float(order.get("average") or 0.0),
        "time_in_force": _FORCE_NAMES.get(order.get("timeInForce") or "", "good_til_cancelled"),
        "label": label_of(order),
        "post_only": bool(order.get("postOnly")),
        "reject_post_only": bool(order.get("postOnly")),
        "reduce_only": bool(order.get("reduceOnly")),
        "mmp": False,
        "api": True,
        "web": False,
        "replaced": False,
        "is_liquidation": False,
        "risk_reducing": bool(order.get("reduceOnly")),
        "creation_timestamp": created,
        "last_update_timestamp": next((int(time) for time in times if time), created),
    }


def trade_object(contract: Contract, trade: Row) -> dict[str, Any]:
    """What section 4.3 says of a trade and the exchange tells."""
    amount = contract.amount(trade["amount"])
    return {
        "trade_id": str(trade["id"]),
        "instrument_name": contract.name,
        "timestamp": int(trade["timestamp"]),
        "direction": trade["side"],
        "price": float(trade["price"]),
        "amount": amount,
        "contracts": float(_decimal(amount) / contract.step),
    }


def user_trade(contract: Contract, trade: Row) -> dict[str, Any]:
    """Section 5.3. Raises InputError for an execution without the ids that tell it from others."""
    for name in ("id", "order"):
        if not trade.get(name):
            raise InputError(name, trade.get(name), "must be told of an execution")
    fee = trade.get("fee") or next(iter(trade.get("fees") or ()), None) or {}
    maker = trade.get("takerOrMaker") == "maker"
    return trade_object(contract, trade) | {
        "order_id": order_id(contract, trade["order"]),
        "order_type": "market" if trade.get("type") == "market" else "limit",
        "liquidity": "M" if maker else "T",
        "fee": float(fee.get("cost") or 0.0),
        "fee_currency": fee.get("currency") or contract.settlement,
        "label": label_of(trade),
        "matching_id": None,
        "self_trade": False,
        "reduce_only": False,
        "post_only": False,
        "mmp": False,
        "api": True,
    }


# -- positions and money -----------------------------------------------------------------------------------------------


def position_object(contract: Contract, rows: Iterable[Row]) -> dict[str, Any]:
    """Section 6.2, of all rows of one market: an account in hedge mode has a long and a short one."""
    held = list(rows)
    size = Decimal(0)
    for row in held:
        part = abs(_decimal(row.get("contracts"))) * contract.unit
        size += -part if row.get("side") == "short" else part

    def whole(name: str) -> float:
        return sum(float(row.get(name) or 0.0) for row in held)

    price, mark = (float(next((row[n] for row in held if row.get(n)), 0.0)) for n in ("entryPrice", "markPrice"))
    coins = float(size) / mark if contract.in_dollars and mark else 0.0 if contract.in_dollars else float(size)
    return {
        "instrument_name": contract.name,
        "kind": "option" if contract.option else "future",
        "direction": "buy" if size > 0 else "sell" if size < 0 else "zero",
        "size": float(size),
        "size_currency": coins,
        "average_price": price,
        "mark_price": mark,
        "index_price": 0.0,
        "settlement_price": 0.0,
        "delta": coins,
        "initial_margin": whole("initialMargin"),
        "maintenance_margin": whole("maintenanceMargin"),
        "open_orders_margin": 0.0,
        "floating_profit_loss": whole("unrealizedPnl"),
        "realized_profit_loss": whole("realizedPnl"),
        "total_profit_loss": whole("unrealizedPnl"),
        "leverage": int(next((row["leverage"] for row in held if row.get("leverage")), 1)),
        "estimated_liquidation_price": next((row.get("liquidationPrice") for row in held), None),
    }


@dataclass(frozen=True, slots=True)
class Wallet:
    """Where in an exchange's own answer the balances are: ccxt's total has unrealized gains at some, at others not."""

    path: tuple[str | int, ...]
    currency: str
    balance: str
    equity: str

    def of(self, info: Any) -> dict[str, tuple[float, float]]:
        """Balance and equity by currency."""
        for step in self.path:
            info = info[step]
        found = {}
        for row in info:
            balance = float(row.get(self.balance) or 0.0)
            found[str(row[self.currency])] = balance, float(row.get(self.equity) or balance)
        return found


def summary_of_account(currency: str, balance: float, equity: float, free: float | None, used: float) -> dict[str, Any]:
    """Section 6.1, as far as ccxt tells."""
    free = equity - used if free is None else free
    zero = dict.fromkeys(
        ("total_pl", "session_rpl", "session_upl", "futures_pl", "options_value", "options_delta", "delta_total"), 0.0
    )
    return zero | {
        "currency": currency,
        "balance": balance,
        "equity": equity,
        "margin_balance": equity,
        "available_funds": free,
        "available_withdrawal_funds": free,
        "initial_margin": used,
        "maintenance_margin": used,
        "margin_model": "segregated_sm",
        "portfolio_margining_enabled": False,
        "cross_collateral_enabled": False,
    }


def log_entries(rows: Iterable[Row], names: Mapping[str, str], funding: Collection[str]) -> list[dict[str, Any]]:
    """A ledger as the transaction log, newest first; `names` of instruments by the exchange's ids and symbols.

    `funding`: the exchange's own words for it, since ccxt calls it a fee here and a trade there. What a trade gained is
    in the balance at once at these exchanges, and at a settlement in the dialect: it is a row of its own, as of one.
    Ids are numbers in the dialect and grow: the time, and the place among what happened in that millisecond.
    """
    made: list[dict[str, Any]] = []
    last, place = 0, 0
    for row in sorted(rows, key=lambda row: (int(row["timestamp"]), str(row.get("id")))):
        time = int(row["timestamp"])
        last, place = time, place + 1 if time == last else 0
        change = abs(float(row["amount"])) * (-1 if row.get("direction") == "out" else 1)
        raw = row.get("info")
        info: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        word = str(info.get("incomeType") or info.get("type") or "")
        symbols = (str(row.get("symbol")), str(info.get("symbol")), str(info.get("instId")))
        entry = {
            "id": time * 1000 + place,
            "currency": row.get("currency"),
            "timestamp": time,
            "type": _LEDGER.get(str(row.get("type")), str(row.get("type") or "correction")),
            "change": change,
            "balance": float(row.get("after") or 0.0),
            "instrument_name": next((names[symbol] for symbol in symbols if symbol in names), ""),
        }
        if word in funding:
            entry |= {"type": "settlement", "interest_pl": change}
        elif entry["type"] == "trade" and (gain := _gained(entry, info, word)):
            made.append(entry | {"type": "settlement", "change": gain, "interest_pl": 0.0})
            rest = float(_decimal(change) - _decimal(gain))
            if not rest:
                continue
            place += 1
            entry |= {"id": time * 1000 + place, "change": rest}
        made.append(entry)
    return made[::-1]


def _gained(entry: Row, info: Row, word: str) -> float:
    """What a trade of the ledger gained, apart from its fee; of an option the premium is none."""
    if not entry["instrument_name"] or entry["instrument_name"].endswith(("-C", "-P")):
        return 0.0
    return float(entry["change"] if word == _GAIN else info.get("cashFlow") or info.get("pnl") or 0.0)
