"""Who trades: makers, takers, an over-leveraged punter, a hedger that only reduces; makers and takers in real time.

An agent knows what a client knows: the contracts, the published marks, and what the venue's events say of its own
account. It acts by commands alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from seawall.sim.catalogue import BTC, ETH, USDC, Contract
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import BUY, FLAG_POST_ONLY, FLAG_SLIDE, SELL, EventKind, Kind, TimeInForce

BTC_PERPETUAL: Final = 0
BTC_USDC_PERPETUAL: Final = 2


@dataclass(frozen=True, slots=True)
class Sight:
    """What every client sees: live contracts and published marks (ticks) by instrument, and a source of chance."""

    contracts: Mapping[int, Contract]
    marks: Mapping[int, int]
    rng: np.random.Generator

    def price(self, instrument: int, away: float) -> int:
        """The mark moved by the fraction `away`, at least a tick where it is not 0, inside the band."""
        contract, mark = self.contracts[instrument], self.marks[instrument]
        ticks = round(mark * away)
        if away and not ticks:
            ticks = 1 if away > 0 else -1
        return min(max(mark + ticks, contract.spec.price_min), contract.spec.price_max)


Send = Callable[..., None]
"""Takes a command: ``send(Kind.ORDER, instrument=0, side=1, ...)``; the account is the agent's."""


@dataclass(slots=True)
class Agent:
    """An account with deposits by currency (atoms), its open orders and positions as the events told them."""

    name: str
    account: int
    deposits: dict[int, int]
    tier: int = 0
    open: dict[int, tuple[int, int]] = field(default_factory=dict)  # order id: (instrument, lots still open)
    positions: dict[int, int] = field(default_factory=dict)  # instrument: lots
    refusals: int = 0

    def hear(self, event: Any) -> None:
        """Take an EVENT record of the own account."""
        kind, order_id, instrument = int(event["kind"]), int(event["order_id"]), int(event["instrument"])
        quantity = int(event["quantity"])
        if kind == EventKind.ACCEPTED:
            self.open[order_id] = (instrument, quantity)
        elif kind == EventKind.FILL:
            self.positions[instrument] = self.positions.get(instrument, 0) + int(event["side"]) * quantity
            left = self.open[order_id][1] - quantity
            if left:
                self.open[order_id] = (instrument, left)
            else:
                del self.open[order_id]
        elif kind == EventKind.EDITED:
            self.open[order_id] = (instrument, quantity)
        elif kind == EventKind.CANCELLED:
            del self.open[order_id]
        elif kind == EventKind.REFUSED:
            self.refusals += 1

    def forget(self, instrument: int) -> None:
        """The instrument was delivered."""
        self.positions.pop(instrument, None)

    def act(self, sight: Sight, send: Send) -> None:
        """Send this round's commands."""
        raise NotImplementedError(f"{self.name} is no trader")

    def _lean(self, instrument: int, size: int) -> float:
        """How far to lean against the position, as a part of the width, in (-0.2, 0.2); `size` in lots."""
        return float(-0.2 * np.tanh(self.positions.get(instrument, 0) / (10 * size)))


@dataclass(slots=True)
class Maker(Agent):
    """Quotes two levels on both sides of the marks, a third of the contracts each round."""

    turn: int = 0

    def act(self, sight: Sight, send: Send) -> None:
        """Cancel and quote again, leaning against the position."""
        self.turn += 1
        for instrument, contract in sight.contracts.items():
            if (instrument + self.turn + self.account) % 3:
                continue
            for order_id in [order for order, (quoted, _) in self.open.items() if quoted == instrument]:
                send(Kind.CANCEL, order_id=order_id)
            size = _quote_lots(contract)
            lean = self._lean(instrument, size)
            for level in (1, 2):
                width = _quote_width(contract) * level * (1 + sight.rng.random())
                for side in (BUY, SELL):
                    price = sight.price(instrument, width * (lean - side))
                    send(Kind.ORDER, instrument=instrument, side=side, price=price, quantity=size * level)


@dataclass(slots=True)
class Taker(Agent):
    """Crosses the spread now and then, either way."""

    def act(self, sight: Sight, send: Send) -> None:
        """A few immediate orders, mostly small, some resting."""
        for _ in range(int(sight.rng.integers(1, 4))):
            instrument = self._choose(sight)
            contract = sight.contracts[instrument]
            option = contract.spec.product == Product.OPTION
            scale = float(np.exp(sight.rng.normal(0, 1)))
            coins = 0.5 * scale if not option else 1.0 * scale
            quantity = contract.lots(30_000 * scale if contract.lot_unit == "USD" else coins)
            side = BUY if sight.rng.random() < self._buys(instrument) else SELL
            rests = sight.rng.random() < 0.15
            away = (-0.002 if rests else 0.06 if option else 0.003) * side
            tif = TimeInForce.GTC if rests else TimeInForce.IOC
            send(
                Kind.ORDER,
                instrument=instrument,
                side=side,
                tif=tif,
                price=sight.price(instrument, away),
                quantity=min(quantity, contract.spec.quantity_max),
            )
        for order_id in list(self.open)[:-4]:
            send(Kind.CANCEL, order_id=order_id)

    def _choose(self, sight: Sight) -> int:
        return int(sight.rng.choice(list(sight.contracts)))

    def _buys(self, instrument: int) -> float:
        """Chance that the next order in `instrument` buys."""
        return 0.5


@dataclass(slots=True)
class Punter(Agent):
    """Buys the dollar-settled perpetual with all it can borrow, leaves bids below, and never sells."""

    size: float = 2.0  # BTC of the next order

    def act(self, sight: Sight, send: Send) -> None:
        """Ask for more; after a refusal for half as much."""
        contract = sight.contracts[BTC_USDC_PERPETUAL]
        self.size = max(0.005, self.size * (0.5 if self.refusals else 1.1))
        self.refusals = 0
        send(
            Kind.ORDER,
            instrument=BTC_USDC_PERPETUAL,
            side=BUY,
            tif=TimeInForce.IOC,
            price=sight.price(BTC_USDC_PERPETUAL, 0.003),
            quantity=contract.lots(self.size),
        )
        if len(self.open) < 3:
            price = sight.price(BTC_USDC_PERPETUAL, -0.01)
            send(Kind.ORDER, instrument=BTC_USDC_PERPETUAL, side=BUY, price=price, quantity=contract.lots(0.01))


@dataclass(slots=True)
class Hedger(Agent):
    """Buys a block of the coin-settled perpetual at first, then only ever sells what it holds."""

    bought: bool = False

    def act(self, sight: Sight, send: Send) -> None:
        """One slice."""
        contract = sight.contracts[BTC_PERPETUAL]
        held = self.positions.get(BTC_PERPETUAL, 0)
        self.bought |= held * contract.lot >= 1_000_000
        side = SELL if self.bought else BUY
        wanted = contract.lots(60_000.0)
        quantity = min(held, wanted) if self.bought else 5 * wanted
        if quantity > 0:
            price = sight.price(BTC_PERPETUAL, 0.004 * side)
            send(Kind.ORDER, instrument=BTC_PERPETUAL, side=side, tif=TimeInForce.IOC, price=price, quantity=quantity)


@dataclass(slots=True)
class Quote:
    """A resting order of a quoter: price in ticks, lots filled so far."""

    instrument: int
    side: int
    price: int
    filled: int = 0


@dataclass(slots=True)
class Quoter(Agent):
    """A maker in real time: quotes on everything, moved by edits when the mark has left them, the worst first.

    At most `budget` commands a round, so a new book is full after some seconds. Where an order was refused it does not
    quote for up to ten rounds.
    """

    budget: int = 20
    rounds: int = 0
    quotes: dict[int, Quote] = field(default_factory=dict)  # by order id
    refused: set[int] = field(default_factory=set)  # instruments

    def hear(self, event: Any) -> None:
        """Take an EVENT record of the own account."""
        Agent.hear(self, event)
        kind, order_id = int(event["kind"]), int(event["order_id"])
        if kind == EventKind.ACCEPTED:
            self.quotes[order_id] = Quote(int(event["instrument"]), int(event["side"]), int(event["price"]))
        elif kind == EventKind.EDITED:
            self.quotes[order_id].price = int(event["price"])
        elif kind == EventKind.FILL:
            self.quotes[order_id].filled += int(event["quantity"])
        elif kind == EventKind.REFUSED and event["reason"] != Reason.UNKNOWN_ORDER:
            self.refused.add(int(event["instrument"]))
        if kind in (EventKind.FILL, EventKind.CANCELLED) and order_id not in self.open:
            del self.quotes[order_id]

    def act(self, sight: Sight, send: Send) -> None:
        """Place what is missing, futures first, then move what is furthest from where it should be."""
        self.rounds += 1
        if self.rounds % 10 == 0:
            self.refused.clear()
        standing: dict[tuple[int, int], list[int]] = {}
        for order_id, quote in self.quotes.items():
            standing.setdefault((quote.instrument, quote.side), []).append(order_id)
        changes: list[tuple[float, Kind, dict[str, int]]] = []
        for instrument, contract in sight.contracts.items():
            if instrument in sight.marks and instrument not in self.refused:
                for side in (BUY, SELL):
                    changes += self._changes(sight, instrument, contract, side, standing.get((instrument, side), []))
        changes.sort(key=lambda change: -change[0])
        for _, kind, fields in changes[: self.budget]:
            send(kind, flags=FLAG_POST_ONLY | FLAG_SLIDE, **fields)

    def _changes(
        self, sight: Sight, instrument: int, contract: Contract, side: int, orders: list[int]
    ) -> list[tuple[float, Kind, dict[str, int]]]:
        """(urgency, kind, fields) of the commands that would bring one side of a book in order."""
        changes: list[tuple[float, Kind, dict[str, int]]] = []
        option = contract.spec.product == Product.OPTION
        size, width = _quote_lots(contract), _quote_width(contract) * (1 + 0.2 * (self.account % 3))
        lean = self._lean(instrument, size)
        orders.sort(key=lambda order_id: -side * self.quotes[order_id].price)  # the best first
        for level in range(1, 2 if option else 4):
            price, lots = sight.price(instrument, width * level * (lean - side)), size * level
            fields = {"instrument": instrument, "price": price}
            if level > len(orders):
                changes.append((1e6 if option else 1e9, Kind.ORDER, {**fields, "side": side, "quantity": lots}))
                continue
            quote = self.quotes[orders[level - 1]]
            drift = abs(quote.price - price) / max(1.0, sight.marks[instrument] * width * level)
            if drift > 0.5 or 2 * self.open[orders[level - 1]][1] < lots:
                whole = {"order_id": orders[level - 1], "quantity": quote.filled + lots}
                changes.append((drift, Kind.EDIT, {**fields, **whole}))
        return changes


@dataclass(slots=True)
class Passer(Taker):
    """A taker in real time: acts in one round of `every`, half of the time in a perpetual, and mostly back to flat."""

    every: int = 10

    def act(self, sight: Sight, send: Send) -> None:
        """Mostly nothing."""
        if sight.rng.random() * self.every < 1:
            Taker.act(self, sight, send)

    def _choose(self, sight: Sight) -> int:
        perpetuals = [number for number, item in sight.contracts.items() if item.spec.product == Product.PERPETUAL]
        return int(sight.rng.choice(perpetuals if sight.rng.random() < 0.5 else list(sight.contracts)))

    def _buys(self, instrument: int) -> float:
        held = self.positions.get(instrument, 0)
        return 0.5 if not held else 0.35 if held > 0 else 0.65


def _quote_lots(contract: Contract) -> int:
    """Lots of a maker's first level."""
    option = contract.spec.product == Product.OPTION
    return contract.lots((5.0 if option else 200_000.0) if contract.lot_unit == "USD" or option else 3.0)


def _quote_width(contract: Contract) -> float:
    """How far a maker's first level is from the mark at least, as a fraction of it."""
    return 0.02 if contract.spec.product == Product.OPTION else 0.0004


def live_cast(first_account: int) -> Sequence[Agent]:
    """Who trades in real time, on consecutive accounts: funds that last the takers for months."""
    funds = {BTC: 2_000 * 10**8, ETH: 30_000 * 10**8, USDC: 60_000_000 * 10**5}
    makers = [Quoter(f"maker {number + 1}", first_account + number, dict(funds), 1) for number in range(2)]
    return [*makers, *(Passer(f"taker {number + 1}", first_account + 2 + number, dict(funds)) for number in range(4))]


def cast(first_account: int) -> Sequence[Agent]:
    """The usual traders, on consecutive accounts."""
    coin, dollar = 10**8, 10**6
    agents: list[Agent] = []

    def join(kind: type[Agent], name: str, btc: float, eth: float, usdc: float, tier: int = 0) -> None:
        deposits = {BTC: int(btc * coin), ETH: int(eth * coin), USDC: int(usdc * dollar)}
        agents.append(kind(name, first_account + len(agents), {c: a for c, a in deposits.items() if a}, tier))

    for number in range(3):
        join(Maker, f"maker {number + 1}", 400, 6_000, 20_000_000, tier=1)
    for number in range(6):
        join(Taker, f"taker {number + 1}", 25, 300, 900_000)
    join(Punter, "punter", 0, 0, 20_000)
    join(Hedger, "hedger", 20, 0, 50_000)
    return agents
