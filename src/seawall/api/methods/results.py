"""What the main methods answer, as JSON schemas for the OpenRPC document; a test holds them to what is answered.

A field is written name:type, with ? after the name where it is sometimes left out; the letters of the types are those
of _TYPES, more than one where it may be either.
"""

from typing import Any, Final

_TYPES: Final = {
    "s": "string", "n": "number", "i": "integer", "b": "boolean", "o": "object", "a": "array", "z": "null",
}  # fmt: skip

_TRADE: Final = """
trade_id:s trade_seq:i instrument_name:s timestamp:i direction:s price:n amount:n contracts:n index_price:n mark_price:n
tick_direction:i iv?:n
"""
_TICKER: Final = """
instrument_name:s timestamp:i state:s stats:o open_interest:n last_price:nz mark_price:n index_price:n min_price:n
max_price:n estimated_delivery_price:n best_bid_price:nz best_bid_amount:n best_ask_price:nz best_ask_amount:n
settlement_price?:n delivery_price?:n funding_8h?:n current_funding?:n interest_value?:n bid_iv?:n ask_iv?:n mark_iv?:n
underlying_price?:n underlying_index?:s interest_rate?:n greeks?:o
"""
_OBJECTS: Final = {
    "Order": """
order_id:s instrument_name:s direction:s order_type:s order_state:s price:ns amount:n contracts:n filled_amount:n
average_price:n time_in_force:s label:s post_only:b reject_post_only:b reduce_only:b mmp:b api:b web:b replaced:b
is_liquidation:b risk_reducing:b creation_timestamp:i last_update_timestamp:i user_id:i trigger?:s triggered?:b
trigger_price?:n stop_price?:n trigger_offset?:n display_amount?:n max_show?:n cancel_reason?:s mmp_cancelled?:b
client_order_id?:s quote?:b quote_id?:s quote_set_id?:s mmp_group?:s
""",
    "Trade": _TRADE,
    "UserTrade": f"""{_TRADE}
order_id:s order_type:s liquidity:s fee:n fee_currency:s state:s label:s matching_id:z self_trade:b reduce_only:b
post_only:b mmp:b api:b risk_reducing:b profit_loss:n user_id:i quote_id?:s quote_set_id?:s mmp_group?:s
""",
    "Ticker": _TICKER,
    "OrderBook": f"{_TICKER} bids:a asks:a change_id:i",
    "BookSummary": """
instrument_name:s base_currency:s quote_currency:s bid_price:nz ask_price:nz mid_price:nz mark_price:n last:nz high:nz
low:nz volume:n volume_usd:n volume_notional:n open_interest:n price_change:nz creation_timestamp:i
estimated_delivery_price:n funding_8h?:n current_funding?:n underlying_price?:n underlying_index?:s interest_rate?:n
mark_iv?:n
""",
    "Instrument": """
instrument_name:s instrument_id:i kind:s instrument_type:s base_currency:s quote_currency:s counter_currency:s
settlement_currency:s settlement_period:s tick_size:n tick_size_steps:a contract_size:n min_trade_amount:n is_active:b
state:s creation_timestamp:i expiration_timestamp:i maker_commission:n taker_commission:n block_trade_commission:n
block_trade_tick_size:n block_trade_min_trade_amount:n price_index:s underlying_type:s rfq:b future_type?:s
max_leverage?:i max_liquidation_commission?:n strike?:n option_type?:s
""",
    "Position": """
instrument_name:s kind:s direction:s size:n average_price:n mark_price:n index_price:n settlement_price:n
initial_margin:n maintenance_margin:n open_orders_margin:n floating_profit_loss:n realized_profit_loss:n
total_profit_loss:n realized_funding?:n leverage:i estimated_liquidation_price:nz delta:n size_currency?:n gamma?:n
vega?:n theta?:n average_price_usd?:n floating_profit_loss_usd?:n
""",
    "AccountSummary": """
currency:s balance:n equity:n margin_balance:n available_funds:n available_withdrawal_funds:n initial_margin:n
maintenance_margin:n projected_initial_margin:n projected_maintenance_margin:n futures_session_rpl:n
futures_session_upl:n futures_pl:n options_session_rpl:n options_session_upl:n options_pl:n options_value:n
session_rpl:n session_upl:n total_pl:n available_subaccount_transfer_funds:n spot_reserve:n additional_reserve:n
fee_balance:n locked_balance:n options_delta:n options_gamma:n options_vega:n options_theta:n options_gamma_map:o
options_vega_map:o options_theta_map:o delta_total_map:o delta_total:n projected_delta_total:n
estimated_liquidation_ratio_map:o estimated_liquidation_ratio:n total_equity_usd:n total_margin_balance_usd:n
total_initial_margin_usd:n total_maintenance_margin_usd:n total_delta_total_usd:n cross_collateral_enabled:b
margin_model:s portfolio_margining_enabled:b limits:o id?:i username?:s email?:s system_name?:s type?:s
creation_timestamp?:i referrer_id?:z login_enabled?:b security_keys_enabled?:b mmp_enabled?:b
interuser_transfers_enabled?:b self_trading_reject_mode?:s self_trading_extended_to_subaccounts?:b
""",
}

_ANSWERS: Final = {
    "Order": "private/cancel private/get_order_state",
    "Placed": "private/buy private/sell private/edit private/edit_by_label private/close_position",
    "[Order]": """
private/get_open_orders private/get_open_orders_by_instrument private/get_open_orders_by_currency
private/get_open_orders_by_label private/get_order_state_by_label private/get_order_history_by_instrument
private/get_order_history_by_currency
""",
    "[UserTrade]": "private/get_user_trades_by_order",
    "UserTrades": """
private/get_user_trades_by_instrument private/get_user_trades_by_instrument_and_time
private/get_user_trades_by_currency private/get_user_trades_by_currency_and_time
""",
    "Trades": """
public/get_last_trades_by_instrument public/get_last_trades_by_instrument_and_time public/get_last_trades_by_currency
public/get_last_trades_by_currency_and_time
""",
    "Ticker": "public/ticker",
    "OrderBook": "public/get_order_book public/get_order_book_by_instrument_id",
    "[BookSummary]": "public/get_book_summary_by_currency public/get_book_summary_by_instrument",
    "Instrument": "public/get_instrument",
    "[Instrument]": "public/get_instruments",
    "Position": "private/get_position",
    "[Position]": "private/get_positions",
    "AccountSummary": "private/get_account_summary private/simulate_portfolio",
    "AccountSummaries": "private/get_account_summaries",
}
_BY_METHOD: Final = {name: kind for kind, names in _ANSWERS.items() for name in names.split()}


def result_of(method: str) -> dict[str, Any]:
    """The schema of a method's result; empty where it is not described."""
    kind = _BY_METHOD.get(method)
    if kind is None:
        return {}
    return _many(kind[1:-1]) if kind.startswith("[") else _one(kind)


def schemas() -> dict[str, Any]:
    """What the results refer to, for the document's components."""
    made = {name: _object(text) for name, text in _OBJECTS.items()}
    made["Placed"] = _with(order=_one("Order"), trades=_many("UserTrade"))
    made["Trades"] = _with(trades=_many("Trade"), has_more={"type": "boolean"})
    made["UserTrades"] = _with(trades=_many("UserTrade"), has_more={"type": "boolean"})
    made["AccountSummaries"] = _with(summaries=_many("AccountSummary"), id={"type": "integer"})
    return made


def _one(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _one(name)}


def _with(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*properties], "properties": properties}


def _object(text: str) -> dict[str, Any]:
    fields = [word.split(":") for word in text.split()]
    return {
        "type": "object",
        "required": [name for name, _ in fields if not name.endswith("?")],
        "properties": {name.rstrip("?"): {"type": _type(letters)} for name, letters in fields},
    }


def _type(letters: str) -> str | list[str]:
    found = [_TYPES[letter] for letter in letters]
    return found if len(found) > 1 else found[0]
