"""What the adapter speaks of the dialect, by name. Logins, heartbeats and subscriptions are a venue's of ours."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import seawall.api.methods
from seawall.api.adapter.adapter import Adapter, table
from seawall.api.errors import RpcError, invalid
from seawall.api.methods.trading import OrderParameters
from seawall.api.rpc import Call, Method, Nothing, Parameters
from seawall.venues.ccxt_dialect import (
    FORCES,
    Contract,
    book_sides,
    instrument_object,
    order_object,
    position_object,
    summary_object,
    ticker_object,
    trade_object,
)
from seawall.venues.ccxt_exchange import kind_of

assert seawall.api.methods  # fills the table of the dialect

TAKEN_OVER: Final = (
    "public/auth", "public/exchange_token", "public/fork_token", "private/logout", "public/test", "public/hello",
    "public/get_time", "public/set_heartbeat", "public/disable_heartbeat", "public/subscribe", "private/subscribe",
    "public/unsubscribe", "private/unsubscribe", "public/unsubscribe_all", "private/unsubscribe_all",
)  # fmt: skip
UNSPOKEN: Final = (
    "trigger_price", "trigger_offset", "display_amount", "max_show", "advanced", "valid_until", "linked_order_type",
    "otoco_config",
)  # fmt: skip
"""Of an order: exchanges mean different things by them, so they are refused rather than guessed."""

_own: Final[dict[str, Method]] = {}
Ask = Callable[[Adapter, Call, Any], Coroutine[Any, Any, Any]]


class Asked(Parameters, frozen=True):
    """What questions carry."""

    instrument_name: str = ""
    currency: str = "any"
    kind: str = "any"
    order_id: str = ""
    index_name: str = ""
    depth: int = 10
    count: int = 10
    start_timestamp: int = 0
    end_timestamp: int = 2**53
    sorting: str = "default"
    continuation: int | None = None


class Edit(Parameters, frozen=True):
    """Of private/edit."""

    order_id: str
    amount: float | None = None
    contracts: float | None = None
    price: float | None = None
    trigger_price: float | None = None
    trigger_offset: float | None = None
    advanced: str | None = None


def ask(
    *names: str, parameters: type[Parameters] = Asked, scope: str = "", order: bool = False
) -> Callable[[Ask], Ask]:
    """Put a question into the table under its names. `order`: it changes orders, so no answer means unknown."""

    def enter(function: Ask) -> Ask:
        def call(adapter: Adapter, call: Call, asked: Any) -> None:
            adapter.start(call, function(adapter, call, asked), order=order)

        summary = (function.__doc__ or "").partition("\n")[0]
        for name in names:
            _own[name] = Method(name, call, parameters, scope, order, False, False, summary)
        return function

    return enter


def _chosen(contract: Contract, asked: Asked) -> bool:
    """Whether a contract is of the instrument, currency and kind that were asked for."""
    kind = "option" if contract.option else "future"
    named = not asked.instrument_name or asked.instrument_name == contract.name
    return named and asked.currency.upper() in ("ANY", contract.settlement) and asked.kind in ("any", kind)


# -- what everybody may see --------------------------------------------------------------------------------------------


@ask("public/status", parameters=Nothing)
async def status(adapter: Adapter, call: Call, asked: Nothing) -> Any:
    """Nothing is locked that the adapter knows of."""
    return {"locked": "false", "locked_indices": []}


@ask("public/get_currencies", parameters=Nothing)
async def get_currencies(adapter: Adapter, call: Call, asked: Nothing) -> Any:
    """Currencies that something listed settles in."""
    return [
        {
            "currency": name, "currency_long": name, "coin_type": name, "decimals": decimals, "min_confirmations": 1,
            "withdrawal_fee": 0.0, "network_fee": 0.0, "network_currency": name, "apr": 0.0,
            "in_cross_collateral_pool": False, "withdrawal_priorities": [],
        }
        for name, decimals in adapter.exchange.currencies.items()
    ]  # fmt: skip


@ask("public/get_instruments")
async def get_instruments(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """What the exchange trades now, of the underlyings that the adapter was started for."""
    found = [contract for contract in adapter.exchange.contracts.values() if _chosen(contract, asked)]
    return [instrument_object(contract) for contract in found if contract.active]


@ask("public/get_instrument")
async def get_instrument(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """One instrument."""
    return instrument_object(adapter.contract(asked.instrument_name))


@ask("public/ticker")
async def ticker(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Prices of one instrument, a second old at most."""
    contract = adapter.contract(asked.instrument_name)
    return ticker_object(contract, (await adapter.exchange.levels())[contract.name])


@ask("public/get_order_book")
async def get_order_book(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """The same with the book."""
    contract = adapter.contract(asked.instrument_name)
    level = (await adapter.exchange.levels())[contract.name]
    book = await adapter.exchange.book(contract, asked.depth)
    sides = book_sides(contract, book, asked.depth)
    return ticker_object(contract, level) | sides | {"change_id": int(book.get("nonce") or level.time_ms)}


@ask("public/get_book_summary_by_currency", "public/get_book_summary_by_instrument")
async def get_book_summary(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Prices of all instruments that settle in a currency, or of one."""
    levels = await adapter.exchange.levels()
    found = [contract for contract in adapter.exchange.contracts.values() if _chosen(contract, asked)]
    return [summary_object(contract, levels[contract.name]) for contract in found if contract.name in levels]


@ask("public/get_index_price")
async def get_index_price(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """An index price."""
    price = await adapter.exchange.index(asked.index_name.lower())
    if price is None:
        raise RpcError(13028, reason=f"{adapter.exchange.name} does not tell {asked.index_name[:64]}")
    return {"index_price": price, "estimated_delivery_price": price}


@ask("public/get_last_trades_by_instrument")
async def get_last_trades(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Trades of an instrument, the newest first."""
    contract = adapter.contract(asked.instrument_name)
    rows = await adapter.exchange.public_trades(contract, asked.count)
    return {"trades": [trade_object(contract, row) for row in rows[::-1]], "has_more": False}


# -- orders ------------------------------------------------------------------------------------------------------------


@ask("private/buy", parameters=OrderParameters, scope="trade:read_write", order=True)
async def buy(adapter: Adapter, call: Call, asked: OrderParameters) -> Any:
    """Place an order to buy."""
    return await _place(adapter, call, asked, "buy")


@ask("private/sell", parameters=OrderParameters, scope="trade:read_write", order=True)
async def sell(adapter: Adapter, call: Call, asked: OrderParameters) -> Any:
    """Place an order to sell."""
    return await _place(adapter, call, asked, "sell")


async def _place(adapter: Adapter, call: Call, asked: OrderParameters, side: str) -> Any:
    contract = adapter.contract(asked.instrument_name)
    refused = [name for name in UNSPOKEN if getattr(asked, name) is not None] + ["mmp"] * asked.mmp
    if asked.type not in ("limit", "market") or refused:
        raise RpcError(10033, reason=f"not spoken here: {', '.join(refused) or asked.type[:32]}")
    if asked.time_in_force not in FORCES:
        raise RpcError(10033, reason=f"not spoken here: {asked.time_in_force[:32]}")
    if asked.type == "limit" and asked.price is None:
        raise invalid("price", "must be given")
    terms: dict[str, Any] = {}
    if (force := FORCES[asked.time_in_force]) is not None and asked.type == "limit":
        terms["timeInForce"] = force
    if asked.post_only:
        terms["postOnly"] = True
    if asked.reduce_only:
        terms["reduceOnly"] = True
    amount = _amount(contract, asked.amount, asked.contracts)
    price = asked.price if asked.type == "limit" else None
    async with adapter.turn(call):
        order = await adapter.exchange.place(contract, side, amount, price, asked.label, terms)
    return _placed(adapter, contract, order)


def _amount(contract: Contract, amount: float | None, contracts: float | None) -> float:
    """An amount, given as such or in contracts. Raises RpcError."""
    found = float(contract.step) * contracts if amount is None and contracts is not None else amount
    if found is None or (contracts is not None and abs(found - float(contract.step) * contracts) > 1e-12 * found):
        raise invalid("amount", "must be given, and agree with contracts")
    return found


def _placed(adapter: Adapter, contract: Contract, order: dict[str, Any]) -> dict[str, Any]:
    told = [trade for trade in order.get("trades") or () if trade.get("id") and trade.get("order")]
    return {"order": order_object(contract, order), "trades": adapter.exchange.trade_objects(told)}


@ask("private/edit", parameters=Edit, scope="trade:read_write", order=True)
async def edit(adapter: Adapter, call: Call, asked: Edit) -> Any:
    """Change an order, which keeps its id; only where the exchange can do that."""
    if adapter.exchange.has.get("editOrder") is not True:
        raise RpcError(10033, reason=f"{adapter.exchange.name} edits no orders: cancel and place anew")
    if asked.trigger_price is not None or asked.trigger_offset is not None or asked.advanced is not None:
        raise RpcError(10033, reason="only amount and price of an order can be edited here")
    contract, own = adapter.owned(asked.order_id)
    whole = asked.amount is not None or asked.contracts is not None
    amount = _amount(contract, asked.amount, asked.contracts) if whole else None
    async with adapter.turn(call):
        order = await adapter.exchange.edit(contract, own, amount, asked.price)
    placed = _placed(adapter, contract, order)
    placed["order"]["replaced"] = True
    return placed


@ask("private/cancel", scope="trade:read_write", order=True)
async def cancel(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Cancel an order; at once, whatever waits."""
    contract, own = adapter.owned(asked.order_id)
    return order_object(contract, await adapter.exchange.cancel(contract, own))


@ask(
    "private/cancel_all", "private/cancel_all_by_instrument", "private/cancel_all_by_currency",
    scope="trade:read_write", order=True,
)  # fmt: skip
async def cancel_all(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Cancel one by one all that is open; then what was on its way."""
    count = await _sweep(adapter, asked)
    if adapter.busy:
        await adapter.settled()
        count += await _sweep(adapter, asked)
    return count


async def _sweep(adapter: Adapter, asked: Asked) -> int:
    exchange = adapter.exchange
    orders = [adapter.owned(row["order_id"]) for row in await exchange.open_orders()]
    chosen = [(contract, own) for contract, own in orders if _chosen(contract, asked)]
    done = await asyncio.gather(*(exchange.cancel(*order) for order in chosen), return_exceptions=True)
    failed = [one for one in done if isinstance(one, BaseException)]
    for error in failed:
        if not isinstance(error, Exception) or kind_of(error, order=True)[0] != 10004:  # else it was over by itself
            raise error
    return len(done) - len(failed)


@ask(
    "private/get_open_orders", "private/get_open_orders_by_instrument", "private/get_open_orders_by_currency",
    scope="trade:read",
)  # fmt: skip
async def get_open_orders(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Open orders, once it is known what became of those that came before."""
    await adapter.settled()
    orders = await adapter.exchange.open_orders()
    return [row for row in orders if _chosen(adapter.contract(row["instrument_name"]), asked)]


@ask("private/get_order_state", scope="trade:read")
async def get_order_state(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """One order."""
    contract, own = adapter.owned(asked.order_id)
    return order_object(contract, await adapter.exchange.order(contract, own))


@ask("private/get_order_history_by_instrument", scope="trade:read")
async def get_order_history(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Orders of an instrument that are over, newest first; those without an execution, too."""
    contract = adapter.contract(asked.instrument_name)
    await adapter.settled()
    return await adapter.exchange.history(contract, asked.count)


# -- executions, positions, money --------------------------------------------------------------------------------------


@ask("private/get_user_trades_by_currency", "private/get_user_trades_by_currency_and_time", scope="trade:read")
async def get_user_trades(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Executions in what settles in a currency, of the last days."""
    rows = await adapter.exchange.trades(asked.currency.upper(), asked.start_timestamp, asked.count)
    rows = [row for row in rows if row["timestamp"] <= asked.end_timestamp]
    ordered = rows if asked.sorting == "asc" else rows[::-1]
    return {"trades": ordered[: asked.count], "has_more": len(rows) > asked.count}


@ask("private/get_user_trades_by_order", scope="trade:read")
async def get_user_trades_by_order(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Executions of one order."""
    return await adapter.exchange.order_trades(*adapter.owned(asked.order_id))


@ask("private/get_positions", scope="trade:read")
async def get_positions(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """Positions."""
    rows = await adapter.exchange.positions()
    return [row for row in rows if _chosen(adapter.contract(row["instrument_name"]), asked)]


@ask("private/get_position", scope="trade:read")
async def get_position(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """The position in one instrument; flat where there is none."""
    contract = adapter.contract(asked.instrument_name)
    rows = await adapter.exchange.positions()
    return next((row for row in rows if row["instrument_name"] == contract.name), position_object(contract, ()))


@ask("private/get_account_summaries", scope="account:read")
async def get_account_summaries(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """The account, with a summary for each currency."""
    return {
        "id": 1, "username": adapter.exchange.name, "email": "", "system_name": adapter.exchange.name, "type": "main",
        "creation_timestamp": 1, "summaries": await adapter.exchange.summaries(),
    }  # fmt: skip


@ask("private/get_account_summary", scope="account:read")
async def get_account_summary(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """The summary for one currency."""
    rows = await adapter.exchange.summaries()
    found = next((row for row in rows if row["currency"] == asked.currency.upper()), None)
    if found is None:
        raise invalid("currency", f"must be one of {', '.join(adapter.exchange.currencies)}")
    return found


@ask("private/get_transaction_log", scope="account:read")
async def get_transaction_log(adapter: Adapter, call: Call, asked: Asked) -> Any:
    """What the exchange's ledger tells, newest first; nothing where ccxt knows of none."""
    rows = await adapter.exchange.ledger(asked.currency.upper(), asked.start_timestamp)
    rows = [row for row in rows if row["timestamp"] <= asked.end_timestamp]
    if asked.continuation is not None:
        rows = [row for row in rows if row["id"] < asked.continuation]
    page = rows[: max(1, asked.count)]
    return {"logs": page, "continuation": page[-1]["id"] if len(page) < len(rows) else None}


Adapter.methods.update(table(_own, TAKEN_OVER))
