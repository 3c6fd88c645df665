"""Who trades: market makers, takers, an over-leveraged punter, a hedger that only reduces.

An agent knows what a client knows: the contracts, the published marks, and what the venue's events say of its own
account. It acts by commands alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from seawall.sim.catalogue import BTC, ETH, USDC, Contract
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.records import BUY, SELL, EventKind, Kind, TimeInForce

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
            option = contract.spec.product == Product.OPTION
            size = contract.lots((5.0 if option else 200_000.0) if contract.lot_unit == "USD" or option else 3.0)
            lean = -0.2 * np.tanh(self.positions.get(instrument, 0) / (10 * size))
            for level in (1, 2):
                width = (0.02 if option else 0.0004) * level * (1 + sight.rng.random())
                for side in (BUY, SELL):
                    price = sight.price(instrument, width * (lean - side))
                    send(Kind.ORDER, instrument=instrument, side=side, price=price, quantity=size * level)


@dataclass(slots=True)
class Taker(Agent):
    """Crosses the spread now and then, either way."""

    def act(self, sight: Sight, send: Send) -> None:
        """A few immediate orders, mostly small, some resting."""
        for _ in range(int(sight.rng.integers(1, 4))):
            instrument = int(sight.rng.choice(list(sight.contracts)))
            contract = sight.contracts[instrument]
            option = contract.spec.product == Product.OPTION
            scale = float(np.exp(sight.rng.normal(0, 1)))
            coins = 0.5 * scale if not option else 1.0 * scale
            quantity = contract.lots(30_000 * scale if contract.lot_unit == "USD" else coins)
            side = BUY if sight.rng.random() < 0.5 else SELL
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
