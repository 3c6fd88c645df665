"""What the dialect names and this venue has not: block trades, quotes on request, transfers between users' positions;
withdrawals and keys, which are the operations door's.

A client is told that it is not implemented, not that there is no such method.
"""

from typing import Any, Final

from seawall.api.errors import RpcError
from seawall.api.rpc import Call, Nothing, method
from seawall.api.service import Service

NAMES: Final = (
    "verify_block_trade",
    "execute_block_trade",
    "simulate_block_trade",
    "approve_block_trade",
    "reject_block_trade",
    "invalidate_block_trade_signature",
    "get_block_trade",
    "get_block_trades",
    "get_block_trade_requests",
    "get_broker_trades",
    "get_broker_trade_requests",
    "create_block_rfq",
    "cancel_block_rfq",
    "accept_block_rfq",
    "add_block_rfq_quote",
    "edit_block_rfq_quote",
    "cancel_block_rfq_quote",
    "cancel_all_block_rfq_quotes",
    "get_block_rfqs",
    "get_block_rfq_quotes",
    "move_positions",
    "create_combo",
    "get_leg_prices",
    "withdraw",
    "cancel_withdrawal",
    "create_deposit_address",
    "get_current_deposit_address",
    "list_api_keys",
    "create_api_key",
    "edit_api_key",
    "enable_api_key",
    "disable_api_key",
    "remove_api_key",
    "reset_api_key",
    "change_scope_in_api_key",
    "change_margin_model",
    "get_access_log",
    "get_user_locks",
)


def absent(service: Service, call: Call, asked: Nothing) -> Any:
    """Not implemented by this venue."""
    raise RpcError(10033, method=call.method)


for _name in NAMES:
    method(f"private/{_name}", scope="trade:read")(absent)
