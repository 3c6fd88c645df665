"""The dialect's objects, made of what the view knows: orders, trades, instruments. Every number a JSON number."""

from typing import Any, Final

from seawall.api.listing import Listing
from seawall.api.options import traded_volatility
from seawall.api.view import CANCELLED, Order, Trade, View
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    OrderType,
    TimeInForce,
    Watched,
)

ORDER_TYPES: Final = {
    OrderType.LIMIT: "limit",
    OrderType.MARKET: "market",
    OrderType.STOP_LIMIT: "stop_limit",
    OrderType.STOP_MARKET: "stop_market",
    OrderType.TAKE_LIMIT: "take_limit",
    OrderType.TAKE_MARKET: "take_market",
    OrderType.TRAILING: "trailing_stop",
}
FORCES: Final = {
    TimeInForce.GTC: "good_til_cancelled",
    TimeInForce.IOC: "immediate_or_cancel",
    TimeInForce.FOK: "fill_or_kill",
    TimeInForce.GTD: "good_til_day",
}
WATCHED: Final = {Watched.MARK: "mark_price", Watched.INDEX: "index_price", Watched.LAST: "last_price"}
AT_MARKET: Final = (OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TAKE_MARKET, OrderType.TRAILING)
_CANCEL_REASONS: Final = {
    Reason.BY_OWNER: "user_request",
    Reason.MARGIN_CALL: "autoliquidation",
    Reason.DISCONNECTED: "cancel_on_disconnect",
    Reason.DEAD_MAN: "cancel_on_disconnect",
    Reason.MAKER_PROTECTION: "mmp_trigger",
    Reason.INSTRUMENT_EXPIRED: "settlement",
    Reason.IMMEDIATE_OR_CANCEL: "",
    Reason.FILL_OR_KILL: "",
    Reason.GOOD_TILL_DATE: "user_request",
}
"""The dialect's closed list of words; whatever is not here was the venue holding risk down."""

_TYPE_NAMES: Final = tuple(ORDER_TYPES[kind] for kind in sorted(ORDER_TYPES))
_FORCE_NAMES: Final = tuple(FORCES[kind] for kind in sorted(FORCES))


def order_id(order: Order, listing: Listing) -> str:
    """The id an order has on the wire."""
    return f"{listing.base}-SLTS-{order.id}" if order.stop else f"{listing.base}-{order.id}"


def order_object(view: View, order: Order) -> dict[str, Any]:
    """Section 5.2 of the dialect."""
    listing = view.listings[order.instrument]
    flags, tick, lot = order.flags, listing.tick, listing.lot
    at_market = order.type in AT_MARKET
    filled = order.filled
    made: dict[str, Any] = {
        "order_id": order_id(order, listing),
        "instrument_name": listing.spec.name,
        "direction": "buy" if order.side > 0 else "sell",
        "order_type": _TYPE_NAMES[order.type],
        "order_state": order.state,
        "price": "market_price" if at_market else order.price * tick[0] / tick[1],
        "amount": order.amount * lot[0] / lot[1],
        "contracts": listing.contracts(order.amount),
        "filled_amount": filled * lot[0] / lot[1],
        "average_price": _average(listing, order) if filled else 0.0,
        "time_in_force": _FORCE_NAMES[order.tif],
        "label": order.label,
        "post_only": flags & FLAG_POST_ONLY != 0,
        "reject_post_only": flags & FLAG_POST_ONLY != 0 and not flags & FLAG_SLIDE,
        "reduce_only": flags & FLAG_REDUCE_ONLY != 0,
        "mmp": flags & FLAG_PROTECTED != 0,
        "api": True,
        "web": False,
        "replaced": order.replaced,
        "is_liquidation": False,
        "risk_reducing": flags & FLAG_REDUCE_ONLY != 0,
        "creation_timestamp": order.created_ms,
        "last_update_timestamp": order.updated_ms,
        "user_id": order.account,
    }
    if order.stop:
        made["trigger"] = WATCHED[Watched(order.watch)]
        made["triggered"] = order.triggered
        if order.type == OrderType.TRAILING:
            made["trigger_offset"] = listing.price(order.distance)
        # Where a trailing stop stands before it fires, the engine does not tell.
        if order.type != OrderType.TRAILING or order.triggered:
            made["trigger_price"] = made["stop_price"] = listing.price(order.trigger)
    if order.display:
        made["display_amount"] = made["max_show"] = listing.amount(order.display)
    if order.quote is not None:
        made["quote"] = True
        made["quote_id"], made["quote_set_id"], made["mmp_group"] = order.quote
    if order.client:
        made["client_order_id"] = order.client
    if order.state == CANCELLED:
        _say_why(made, order)
    return made


def _average(listing: Listing, order: Order) -> float:
    """The price at which what filled is worth what its fills are together, as that of a position."""
    mean = order.filled / order.coins if listing.inverse else order.cost / order.filled
    return round(mean * listing.tick[0] / listing.tick[1], 8)


def _say_why(made: dict[str, Any], order: Order) -> None:
    word = _CANCEL_REASONS.get(Reason(order.done_reason), "risk_mitigation")
    if word:
        made["cancel_reason"] = word
    if word == "mmp_trigger":
        made["mmp_cancelled"] = True


def public_trade(view: View, trade: Trade) -> dict[str, Any]:
    """Section 4.3 of the dialect."""
    listing = view.listings[trade.instrument]
    made: dict[str, Any] = {
        "trade_id": f"{listing.base}-{trade.id}",
        "trade_seq": trade.sequence,
        "instrument_name": listing.name,
        "timestamp": trade.at_ms,
        "direction": "buy" if trade.direction > 0 else "sell",
        "price": listing.price(trade.price),
        "amount": listing.amount(trade.quantity),
        "contracts": listing.contracts(trade.quantity),
        "index_price": index_price(listing, trade.index),
        "mark_price": listing.price(trade.mark),
        "tick_direction": trade.tick_direction,
    }
    if listing.option:
        volatility = traded_volatility(listing, made["price"], made["index_price"] * trade.carry, trade.at_ms)
        made["iv"] = round(100 * volatility, 2)
    return made


def user_trades(view: View, trade: Trade, account: int) -> list[dict[str, Any]]:
    """Section 5.3: a trade as an account sees it, twice if it was on both sides."""
    found = []
    sides = (
        (trade.taker, "T", trade.taker_state, trade.taker_fee, trade.taker_gain),
        (trade.maker, "M", trade.maker_state, trade.maker_fee, trade.maker_gain),
    )
    for order, liquidity, state, fee, gained in sides:
        if order.account == account:
            found.append(_user_trade(view, trade, order, liquidity, state, fee, gained))
    return found


def _user_trade(
    view: View, trade: Trade, order: Order, liquidity: str, state: str, fee: int, gained: float
) -> dict[str, Any]:
    listing = view.listings[trade.instrument]
    decimals = view.currencies[listing.spec.currency][1]
    made = public_trade(view, trade)
    made |= {
        "direction": "buy" if order.side > 0 else "sell",
        "order_id": order_id(order, listing),
        "order_type": "market" if order.type in AT_MARKET else "limit",
        "liquidity": liquidity,
        "fee": fee / 10**decimals,
        "fee_currency": listing.settlement,
        "state": state,
        "label": order.label,
        "matching_id": None,
        "self_trade": trade.maker.account == trade.taker.account,
        "reduce_only": order.flags & FLAG_REDUCE_ONLY != 0,
        "post_only": order.flags & FLAG_POST_ONLY != 0,
        "mmp": order.flags & FLAG_PROTECTED != 0,
        "api": True,
        "risk_reducing": order.flags & FLAG_REDUCE_ONLY != 0,
        "profit_loss": round(gained / 10**decimals, decimals),
        "user_id": order.account,
    }
    if order.quote is not None:
        made["quote_id"], made["quote_set_id"], made["mmp_group"] = order.quote
    return made


def index_price(listing: Listing, ticks: int) -> float:
    """An index price, journalled in ticks of what the listing is delivered at."""
    return ticks * listing.delivery_tick[0] / listing.delivery_tick[1]


def instrument_object(listing: Listing, maker: float, taker: float, *, state: str) -> dict[str, Any]:
    """Section 3 of the dialect."""
    made: dict[str, Any] = {
        "instrument_name": listing.name,
        "instrument_id": listing.number + 1,
        "kind": listing.kind,
        "instrument_type": listing.type,
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "counter_currency": listing.counter,
        "settlement_currency": listing.settlement,
        "settlement_period": listing.period,
        "tick_size": listing.price(1),
        "tick_size_steps": [],
        "contract_size": _whole(listing.contract_size),
        "min_trade_amount": _whole(listing.amount(1)),
        "is_active": not listing.expired,
        "state": state,
        "creation_timestamp": listing.created_ms,
        "expiration_timestamp": listing.expiration_ms,
        "maker_commission": maker,
        "taker_commission": taker,
        "block_trade_commission": taker,
        "block_trade_tick_size": listing.price(1),
        "block_trade_min_trade_amount": _whole(listing.amount(1)),
        "price_index": listing.index,
        "underlying_type": "crypto",
        "rfq": False,
    }
    if listing.option:
        made["strike"] = listing.strike()
        made["option_type"] = "call" if listing.spec.option_type > 0 else "put"
    else:
        made["future_type"] = listing.type
        made["max_liquidation_commission"] = 0.0075
    return made


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value
