"""When marks and risk are published, and what: the one publisher of a venue, real or simulated.

It is told prices and decides by blocks, see `seawall.risk.cadence`: a block is due the first time, when what it lists
changed, when a price moved, when the timer ran out. Then the margin model computes the blocks that are due and those
whose prices are others than the last time; the rest stands as it was published, and ages (C17). The engine re-marks
every account in one pass over the blocks named.

A price that no view may have (NaN, expired, out of the instrument's band) is refused by the view's own check with
field, value and rule; then nothing is published, and all that was due stays due.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from seawall.node.configuration import Configuration
from seawall.risk import BlockMarket, CurrencyMarket, InstrumentMarket, MarginModel, MarketView, mark_price
from seawall.risk.cadence import Cadence
from seawall.sim import COINS, Contract, Prices
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Instrument, Product
from seawall.vocabulary.publication import Publication


@dataclass(frozen=True, slots=True)
class Quoted:
    """One live instrument: `index` and `forward` in its ticks, of an option in ticks of the strike.

    `forward` is an option's at its expiry, and the mark itself of a future or perpetual; `volatility` annual.
    `open_interest` in lots, if known: it goes with a publication, and is no reason for one.
    """

    spec: Instrument
    index: float
    forward: float
    volatility: float = 0.0
    open_interest: int | None = field(default=None, compare=False)

    def market(self, time_ns: int) -> InstrumentMarket:
        """What the margin model is told of it, options marked by the formula. Raises InputError."""
        if self.spec.product != Product.OPTION:
            return InstrumentMarket(self.spec, self.forward, self.index, open_interest=self.open_interest)
        mark = mark_price(self.spec, self.forward, self.volatility, time_ns)
        return InstrumentMarket(self.spec, mark, self.forward, self.volatility, self.open_interest, self.index)


@dataclass(frozen=True, slots=True)
class Told:
    """Prices at `time_ns` (nanoseconds since the epoch), by number of currency, block and instrument.

    It has every live instrument of each block it names: the engine refuses half a block.
    """

    time_ns: int
    currencies: Mapping[int, CurrencyMarket]
    blocks: Mapping[int, BlockMarket]
    instruments: Mapping[int, Quoted]

    def of(self, block: int) -> dict[int, Quoted]:
        """The instruments of a block."""
        return {number: item for number, item in self.instruments.items() if item.spec.block == block}


class Publisher:
    """Decides and computes. Same prices in the same order, same publications."""

    def __init__(self, model: MarginModel, cadence: Cadence) -> None:
        self.model, self.cadence = model, cadence
        self._last: dict[int, tuple[int, BlockMarket, dict[int, Quoted]]] = {}

    def due(self, told: Told) -> list[int]:
        """The blocks to publish now; none while no block is due."""
        found = {block: self._is_due(told, block) for block in told.blocks}
        if not any(found.values()):
            return []
        return [block for block, due in sorted(found.items()) if due or self._differs(told, block)]

    def check(self, told: Told) -> None:
        """Raise InputError, with field, value and rule, for prices that cannot be published."""
        self._view(told, told.blocks).check()

    def publish(self, told: Told, blocks: Collection[int]) -> Publication:
        """A publication of some blocks, and of the currencies of no other.

        Raises InputError, also where the model says that a lot exposes to nothing: limits on notional and exposure
        (C02, C11, C15) would see no order.
        """
        made = self.model.publish(self._view(told, blocks))
        for risk in made.instruments:
            spec = told.instruments[risk.instrument].spec
            if not risk.weight or (not risk.delta and spec.product != Product.OPTION):
                field = f"instruments[{risk.instrument}].{'delta' if risk.weight else 'weight'}"
                raise InputError(field, 0, f"must not be 0: limits would see nothing of {spec.name}")
        return made

    def remember(self, told: Told, blocks: Collection[int]) -> None:
        """These blocks were published."""
        self._last |= {block: (told.time_ns, told.blocks[block], told.of(block)) for block in blocks}

    def _view(self, told: Told, blocks: Collection[int]) -> MarketView:
        """What the model is told: a coin's conversion rate goes with its own blocks, for a model may read them."""
        named = {block: told.blocks[block] for block in blocks}
        priced = {n: item.market(told.time_ns) for n, item in told.instruments.items() if item.spec.block in named}
        settles = {item.spec.currency for item in priced.values()}
        elsewhere = {block.underlying for block in told.blocks.values()}
        elsewhere -= {block.underlying for block in named.values()}
        currencies = {n: one for n, one in told.currencies.items() if n in settles or one.name not in elsewhere}
        return MarketView(told.time_ns, currencies, named, priced)

    def _is_due(self, told: Told, block: int) -> bool:
        if block not in self._last:
            return True
        at, market, before = self._last[block]
        now = told.of(block)
        if now.keys() != before.keys():
            return True
        elapsed = told.time_ns - at  # below 0 where the clock stepped back
        if not 0 <= elapsed < self.cadence.due_ns(moved=False):
            return True
        if elapsed < self.cadence.due_ns(moved=True):
            return False
        move = self.cadence.move
        if _apart(told.blocks[block].index_usd, market.index_usd) > move:
            return True
        return any(
            _apart(item.forward, before[number].forward) > move
            or _apart(item.volatility, before[number].volatility) > self.cadence.volatility_move
            for number, item in now.items()
        )

    def _differs(self, told: Told, block: int) -> bool:
        _, market, before = self._last[block]
        return told.blocks[block] != market or told.of(block) != before


def _apart(now: float, before: float) -> float:
    """How far a price moved, as a fraction of what it was."""
    if now == before:
        return 0.0
    return abs(now - before) / before if before else float("inf")


class Simulated:
    """The publisher of a simulated market, which publishes all it lists: prices in, an encoded publication out."""

    def __init__(self, configuration: Configuration) -> None:
        self._publisher = Publisher(configuration.model(), configuration.publisher)
        self._haircut, self._markup = configuration.margin.coin_haircut, configuration.margin.coin_markup

    def __call__(self, prices: Prices) -> bytes:
        """A publication of everything, now."""
        told = self._told(prices)
        data = self._publisher.publish(told, told.blocks).encode()
        self._publisher.remember(told, told.blocks)
        return data

    def due(self, prices: Prices) -> bool:
        """Whether one is due."""
        return bool(self._publisher.due(self._told(prices)))

    def recall(self, prices: Prices) -> None:
        """These were published before, by one's predecessor."""
        told = self._told(prices)
        self._publisher.remember(told, told.blocks)

    def _told(self, prices: Prices) -> Told:
        currencies = {
            number: CurrencyMarket(prices.index_usd[name], decimals, self._haircut, self._markup, name)
            if name in COINS
            else CurrencyMarket(1.0, decimals, 0.0, 0.0, name)
            for number, (name, decimals) in enumerate(prices.currencies)
        }
        blocks = {
            contract.spec.block: BlockMarket(contract.underlying, prices.index_usd[contract.underlying])
            for contract in prices.contracts.values()
        }
        instruments = {number: _quoted(contract, prices) for number, contract in prices.contracts.items()}
        return Told(prices.time_ns, currencies, blocks, instruments)


def _quoted(contract: Contract, prices: Prices) -> Quoted:
    """Futures at the index and their basis; options at the index."""
    index = prices.index_usd[contract.underlying] / contract.delivery_tick
    if contract.spec.product == Product.OPTION:
        return Quoted(contract.spec, index, index, contract.volatility)
    return Quoted(contract.spec, index, index * (1 + contract.basis))
