"""The methods of the trading door, by what they are about; importing them fills the table in `rpc`."""

from seawall.api.methods import (
    absent,
    account,
    authentication,
    cancelling,
    charts,
    closing,
    market,
    openrpc,
    orders,
    protection,
    quoting,
    subscriptions,
    trading,
)

__all__ = [
    "absent",
    "account",
    "authentication",
    "cancelling",
    "charts",
    "closing",
    "market",
    "openrpc",
    "orders",
    "protection",
    "quoting",
    "subscriptions",
    "trading",
]
