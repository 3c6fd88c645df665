"""The client ids of one account and the orders they name, longer than orders are kept to look at.

An id must name its order for as long as its owner may send it again, so ids are kept by their own count and not with
the history of orders. Of an order that left the history its last state is kept, packed: an answer is made of it again.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from seawall.api.view import Order

CLIENT_IDS_KEPT: Final = 100_000
"""Of an account; the oldest is forgotten. One of an order that left the history takes some 400 bytes."""


class ClientIds:
    """Of one account."""

    __slots__ = ("_age", "_orders")

    def __init__(self) -> None:
        self._orders: dict[str, int | bytes] = {}
        """Number of each order that is known, or what was packed of it."""
        self._age: deque[str] = deque()

    def names(self, order: "Order") -> None:
        """An order's id names it from now on."""
        if order.client not in self._orders:
            self._age.append(order.client)
            if len(self._age) > CLIENT_IDS_KEPT:
                del self._orders[self._age.popleft()]
        self._orders[order.client] = order.id

    def leaves(self, order: "Order") -> None:
        """An order leaves the history; its id goes on to name it."""
        if self._orders.get(order.client) == order.id:
            self._orders[order.client] = msgspec.json.encode(msgspec.structs.astuple(order))

    def get(self, client: str) -> int | bytes | None:
        """What an id names: an order's number, or what was packed of one that left the history."""
        return self._orders.get(client)


def unpacked(packed: bytes, kind: type["Order"]) -> "Order":
    """The order as it was when it left the history."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, msgspec.json.decode(packed), strict=True)), kind)
