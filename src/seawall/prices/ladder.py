"""One side of a book as lots by price, its best price at hand."""

from bisect import bisect_left, bisect_right, insort

from seawall.vocabulary.records import BUY


class Ladder:
    """Lots by price in ticks of one side (`side` +1 bids, -1 asks); prices without lots are not kept."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.lots: dict[int, int] = {}
        self._prices: list[int] = []

    @property
    def best(self) -> int | None:
        """The best price: highest bid, lowest ask."""
        if not self._prices:
            return None
        return self._prices[-1] if self.side == BUY else self._prices[0]

    def at(self, price: int) -> int:
        """Lots at a price."""
        return self.lots.get(price, 0)

    def put(self, price: int, lots: int) -> None:
        """Set the lots at a price; 0 takes the price out."""
        if lots:
            if price not in self.lots:
                insort(self._prices, price)
            self.lots[price] = lots
        elif price in self.lots:
            del self.lots[price]
            del self._prices[bisect_left(self._prices, price)]

    def add(self, price: int, lots: int) -> None:
        """Change the lots at a price by `lots`."""
        self.put(price, self.at(price) + lots)

    def better(self, price: int) -> list[int]:
        """Prices strictly better than `price`, best first."""
        if self.side == BUY:
            return self._prices[bisect_right(self._prices, price) :][::-1]
        return self._prices[: bisect_left(self._prices, price)]

    def top(self, count: int) -> list[tuple[int, int]]:
        """The `count` best (price, lots), best first."""
        best = self._prices[: -count - 1 : -1] if self.side == BUY else self._prices[:count]
        return [(price, self.lots[price]) for price in best]

    def all(self) -> list[int]:
        """Every price, ascending."""
        return list(self._prices)
