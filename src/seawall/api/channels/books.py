"""Books: each change of all levels, or the whole of the best ones."""

from typing import Any, Final

from seawall.api.channels.channel import OfListing, Push, Topic
from seawall.api.listing import Listing
from seawall.api.tickers import levels, pairs
from seawall.vocabulary.records import BUY, SELL

GROUPS: Final = ("none", "1", "2", "5", "10", "25", "100", "250")
DEPTHS: Final = ("1", "10", "20")
_ETHER_PARTS: Final = 100
"""Ether books are grouped by so many parts of a dollar."""


class Changes(OfListing):
    """`book.{instrument}.{interval}`: a snapshot, then what changed since the message before."""

    def __init__(self, hub: Any, listing: Listing, interval: str) -> None:
        super().__init__(hub, listing, interval)
        self._touched: dict[tuple[int, int], int] = {}
        """(side, ticks): lots as last told."""
        self._told = self.view.books[listing.number].change_id

    def topics(self) -> list[Topic]:
        """Changes of its book."""
        return [("book", self.listing.number)]

    def hear(self, what: Any) -> None:
        """Levels changed: (side, ticks) with the lots that stood there before."""
        touched = self._touched
        for place, before in what.items():
            touched.setdefault(place, before)
        self.hub.touch(self)

    def due(self) -> list[Any]:
        """The difference, unless there is none."""
        book, listing = self.view.books[self.listing.number], self.listing
        sides: dict[int, list[tuple[str, float, float]]] = {BUY: [], SELL: []}
        stands = {BUY: book.bids, SELL: book.asks}
        for (side, price), before in self._touched.items():
            lots = stands[side].get(price, 0)
            if lots != before:
                word = "delete" if not lots else "change" if before else "new"
                sides[side].append((word, listing.price(price), listing.amount(lots)))
        self._touched.clear()
        if not sides[BUY] and not sides[SELL]:
            return []
        before, self._told = self._told, book.change_id
        return [
            {
                "type": "change",
                "timestamp": self.view.now_ms,
                "instrument_name": listing.name,
                "prev_change_id": before,
                "change_id": self._told,
                "bids": sides[BUY],
                "asks": sides[SELL],
            }
        ]

    def first(self, push: Push) -> None:
        """All levels; they are those of the message before, as the hub had what changed since told to the others."""
        book, listing = self.view.books[self.listing.number], self.listing
        push(
            {
                "type": "snapshot",
                "timestamp": self.view.now_ms,
                "instrument_name": listing.name,
                "change_id": self._told,
                "bids": [("new", listing.price(p), listing.amount(book.bids[p])) for p in sorted(book.bids)[::-1]],
                "asks": [("new", listing.price(p), listing.amount(book.asks[p])) for p in sorted(book.asks)],
            }
        )


class Depth(OfListing):
    """`book.{instrument}.{group}.{depth}.{interval}`: the best levels, whole, whenever they changed."""

    def __init__(self, hub: Any, listing: Listing, group: str, depth: str, interval: str) -> None:
        super().__init__(hub, listing, interval)
        self._width, self._depth = width(listing, group), int(depth)
        self._told: dict[str, Any] = {}

    def topics(self) -> list[Topic]:
        """Changes of its book."""
        return [("book", self.listing.number)]

    def _now(self) -> dict[str, Any]:
        book, listing = self.view.books[self.listing.number], self.listing
        if self._width == 1:
            return pairs(listing, book, self._depth)
        return {
            "bids": self._grouped(book.bids, largest=True),
            "asks": self._grouped(book.asks, largest=False),
        }

    def _grouped(self, side: dict[int, int], *, largest: bool) -> list[tuple[float, float]]:
        """Bids rounded down to a step, asks up."""
        steps: dict[int, int] = {}
        for price in levels(side, self._depth * self._width, largest=largest):
            step = price // self._width if largest else -(-price // self._width)
            if step not in steps and len(steps) == self._depth:
                break
            steps[step] = steps.get(step, 0) + side[price]
        listing = self.listing
        return [(listing.price(step * self._width), listing.amount(lots)) for step, lots in steps.items()]

    def due(self) -> list[Any]:
        """The levels, if they changed."""
        made = self._now()
        if made == self._told:
            return []
        self._told = made
        return [self._message(made)]

    def first(self, push: Push) -> None:
        """The levels."""
        self._told = self._now()
        push(self._message(self._told))

    def _message(self, made: dict[str, Any]) -> dict[str, Any]:
        listing = self.listing
        return {
            "timestamp": self.view.now_ms,
            "instrument_name": listing.name,
            "change_id": self.view.books[listing.number].change_id,
            **made,
        }


def width(listing: Listing, group: str) -> int:
    """Ticks of a step: the group is in dollars, for ether in cents; of premiums in coin, in ticks."""
    if group == "none":
        return 1
    if listing.option and listing.quote == listing.base:
        return int(group)
    dollars = int(group) / (_ETHER_PARTS if listing.base == "ETH" else 1)
    return max(1, round(dollars * listing.tick[1] / listing.tick[0]))
