"""Channels of one account: orders, trades, both with positions, portfolio, market-maker protection."""

from typing import Any, ClassVar

from seawall.api.channels.channel import FAST, RAW, Channel, Gathering, Push, Selection, Topic
from seawall.api.listing import Listing
from seawall.api.portfolio import Portfolio
from seawall.api.shapes import order_object, user_trades
from seawall.api.view import Order, Trade
from seawall.vocabulary.bounds import NO_LIMIT


class OfAccount(Channel):
    """About one account."""

    scope: ClassVar[str] = "trade"

    def __init__(self, hub: Any, account: int, interval: str) -> None:
        super().__init__(hub, interval)
        self.account = account


class Events(Gathering):
    """What happened to one account."""

    scope: ClassVar[str] = "trade"

    def __init__(self, hub: Any, account: int, chosen: Selection, interval: str) -> None:
        super().__init__(hub, chosen, interval)
        self.account = account


class Orders(Events):
    """`user.orders.{instrument | kind.currency}.{interval}`: raw one object for each state, else lists of the last."""

    def topics(self) -> list[Topic]:
        """The account's orders."""
        return [("orders", self.account)]

    def due(self) -> list[Any]:
        """Order objects."""
        orders = self.gathered()
        if self.interval == RAW:
            return [order_object(self.view, order) for order in orders]
        last = {order.id: order for order in orders}
        return [[order_object(self.view, order) for order in last.values()]] if last else []


class Trades(Events):
    """`user.trades.{instrument | kind.currency}.{interval}`: lists."""

    def topics(self) -> list[Topic]:
        """The account's trades."""
        return [("executions", self.account)]

    def due(self) -> list[Any]:
        """Trades as the account sees them."""
        made = [one for trade in self.gathered() for one in user_trades(self.view, trade, self.account)]
        return [made] if made else []


class Activity(Events):
    """`user.changes.{instrument | kind.currency}.{interval}`: orders, trades and, where there were any, the position.

    A message waits for the look at the engine that tells the position.
    """

    def __init__(self, hub: Any, account: int, chosen: Selection, interval: str) -> None:
        super().__init__(hub, account, chosen, interval)
        self._looks = 0

    def topics(self) -> list[Topic]:
        """The account's orders and trades."""
        return [("orders", self.account), ("executions", self.account)]

    def due(self) -> list[Any]:
        """Nothing of itself: messages follow the look or, without trades and none under way, go at once."""
        orders: dict[int, dict[int, Order]] = {}
        trades: dict[int, list[Trade]] = {}
        for what in self.gathered():
            if isinstance(what, Order):
                orders.setdefault(what.instrument, {})[what.id] = what
            else:
                trades.setdefault(what.instrument, []).append(what)
        if not orders and not trades:
            return []
        made = [
            (
                self.view.listings[number],
                [order_object(self.view, order) for order in orders.get(number, {}).values()],
                [one for trade in trades.get(number, ()) for one in user_trades(self.view, trade, self.account)],
            )
            for number in dict.fromkeys([*orders, *trades])
        ]

        if not trades and not self._looks:
            self._say(made, None)
            return []
        self._looks += 1

        def then(seen: Any) -> None:
            self._looks -= 1
            self._say(made, Portfolio(self.view, self.account, seen))

        self.hub.look(self, self.account, then)
        return []

    def _say(self, made: list[tuple[Listing, list[Any], list[Any]]], portfolio: Portfolio | None) -> None:
        for listing, orders, trades in made:
            self.hub.tell(
                self,
                {
                    "instrument_name": listing.name,
                    "orders": orders,
                    "trades": trades,
                    "positions": [portfolio.position(listing)] if portfolio is not None and trades else [],
                },
            )


class Summaries(OfAccount):
    """`user.portfolio.{currency}`: at once, then whenever it changed; `any` is one message for each currency."""

    scope: ClassVar[str] = "account"

    def __init__(self, hub: Any, account: int, currencies: list[int]) -> None:
        super().__init__(hub, account, FAST)
        self._currencies = currencies
        self._told: dict[int, Any] = {}
        self._looking = False

    def topics(self) -> list[Topic]:
        """Whatever touches the account, and every publication."""
        return [("account", self.account), ("marks",)]

    def due(self) -> list[Any]:
        """Nothing yet: the messages follow the look; one look at a time."""
        if not self._looking:
            self._looking = True
            self.hub.look(self, self.account, self._tell)
        return []

    def _tell(self, seen: Any) -> None:
        self._looking = False
        for currency, made in self._made(seen):
            if self._told.get(currency) != made:
                self._told[currency] = made
                self.hub.tell(self, made)

    def _made(self, seen: Any) -> list[tuple[int, dict[str, Any]]]:
        portfolio = Portfolio(self.view, self.account, seen)
        terms = self.hub.terms()
        return [(currency, portfolio.summary(currency) | terms) for currency in self._currencies]

    def first(self, push: Push) -> None:
        """The summaries of now."""

        def then(seen: Any) -> None:
            for currency, made in self._made(seen):
                self._told.setdefault(currency, made)
                push(made)

        self.hub.look(self, self.account, then)


class Freezes(OfAccount):
    """`user.mmp_trigger.{index}`: the account's quotes are frozen."""

    def __init__(self, hub: Any, account: int, index: str) -> None:
        super().__init__(hub, account, RAW)
        self._index = index
        self._gathered: list[dict[str, Any]] = []

    def topics(self) -> list[Topic]:
        """The account's protections."""
        return [("frozen", self.account)]

    def hear(self, what: Any) -> None:
        """(block, nanoseconds until which)."""
        block, until = what
        indexes = {listing.index for listing in self.view.listings.values() if listing.spec.block == block}
        for index in sorted(indexes):
            if self._index in ("any", "all", index):
                frozen = 0 if until >= NO_LIMIT else until // 1_000_000
                self._gathered.append({"index_name": index, "frozen_until": frozen})
        self.hub.touch(self)

    def due(self) -> list[Any]:
        """One message for each."""
        rows, self._gathered = self._gathered, []
        return list(rows)
