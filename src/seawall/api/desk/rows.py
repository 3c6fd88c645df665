"""Orders and executions as the venue tells them, in whole ticks, lots and atoms."""

from typing import Any, Final

import msgspec

from seawall.api.listing import Listing
from seawall.vocabulary.records import BUY, SELL

FINAL: Final = frozenset(("filled", "cancelled", "rejected", "expired"))
"""States from which no order comes back."""

FIRED: Final = "triggered"
"""Of a stop that has placed its order, which has an id of its own: here they are one order, and this is no end."""

WAITING: Final = frozenset(("untriggered", FIRED))


class OrderRow(msgspec.Struct):
    """An order object of the dialect, as far as it is used."""

    order_id: str
    instrument_name: str
    direction: str
    order_state: str
    amount: float
    filled_amount: float = 0.0
    price: float | str = 0.0
    order_type: str = "limit"
    label: str = ""
    creation_timestamp: int = 0
    last_update_timestamp: int = 0
    post_only: bool = False
    reduce_only: bool = False
    trigger_order_id: str | None = None
    """Of the stop that placed it."""

    @property
    def side(self) -> int:
        """BUY or SELL."""
        return BUY if self.direction == "buy" else SELL


class TradeRow(msgspec.Struct):
    """An execution of the dialect, as its owner is told of it."""

    trade_id: str
    order_id: str
    instrument_name: str
    direction: str
    price: float
    amount: float
    fee: float = 0.0
    fee_currency: str = ""
    label: str = ""
    timestamp: int = 0

    @property
    def side(self) -> int:
        """BUY or SELL."""
        return BUY if self.direction == "buy" else SELL


class Placed(msgspec.Struct):
    """The answer to an order: itself and what it met at once."""

    order: OrderRow
    trades: list[TradeRow] = []


def order_rows(data: Any) -> list[OrderRow]:
    """Orders out of decoded JSON: one or a list."""
    return msgspec.convert(data if isinstance(data, list) else [data], list[OrderRow], strict=False)


def trade_rows(data: Any) -> list[TradeRow]:
    """Executions out of decoded JSON."""
    return msgspec.convert(data, list[TradeRow], strict=False)


def lots_of(listing: Listing, amount: float) -> int:
    """Whole lots of an amount; what lies between two counts as the larger."""
    exact = listing.lots(amount)
    if exact is not None:
        return exact
    return int(amount * listing.lot[1] / listing.lot[0]) + 1


def ticks_of(listing: Listing, price: float, side: int) -> int:
    """Whole ticks of a price; what lies between two counts as the worse for `side`."""
    exact = listing.ticks(price)
    if exact is not None:
        return exact
    below = int(price * listing.tick[1] / listing.tick[0])
    return below + (side == BUY)
