"""Closing a position: an order for all of it that may do nothing else."""

from typing import Any

from seawall.api.errors import RpcError, invalid
from seawall.api.methods.trading import OrderParameters, place
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.vocabulary.records import BUY, SELL


class Close(Parameters, frozen=True):
    """Of close_position."""

    instrument_name: str
    type: str = "market"
    price: float | None = None


@method("private/close_position", Close, scope="trade:read_write", trading=True)
def close_position(service: Service, call: Call, asked: Close) -> Any:
    """Close a position with a reduce-only order, at market or at a limit."""
    if asked.type not in ("market", "limit"):
        raise invalid("type", "must be market or limit")
    listing, engine = service.listing(asked.instrument_name), service.node.fold.engine

    def then(seen: Any) -> Any:
        held = seen["positions"].get(listing.number, (0,))[0]
        if not held:
            raise RpcError(11030, "other_reject reduce_only", reason="the position is flat")
        order = OrderParameters(
            instrument_name=asked.instrument_name,
            amount=listing.amount(abs(held)),
            type=asked.type,
            price=asked.price if asked.type == "limit" else None,
            reduce_only=True,
        )
        return place(service, call, order, SELL if held > 0 else BUY)

    service.look(call, lambda: engine.account_view(call.account), then)
