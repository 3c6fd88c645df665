"""The contract a recording is folded into, and what is published for it.

USD-M and spot become a linear perpetual settled in dollars, with atoms fine enough for one lot times one tick (at
least a millionth); COIN-M an inverse perpetual settled in coin, a lot being one contract of 100 USD (BTC) or 10 USD
(others; Binance, "Coin-margined futures contract specifications"). Prices are taken within a quarter and four times
the first; levels beyond never trade and would only make the bounds of a position needlessly small.
"""

from dataclasses import replace
from typing import Final

from seawall.engine.formulas import limit_value
from seawall.prices.recordings import COINM, Print, Recording, Snapshot, Touch
from seawall.risk import BlockMarket, CurrencyMarket, InstrumentMarket, MarginModel, MarketView, Seawall
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import RecordingError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import Publication, largest_open_position

COIN_DECIMALS: Final = 8
DOLLAR_DECIMALS: Final = 6
COIN_HAIRCUT: Final = 0.10
COIN_MARKUP: Final = 0.05
BAND: Final = 4
LEVEL_ORDERS_MAX: Final = 10_000
"""Orders of the largest size that a level of the recording may come to."""
CONTRACT_USD: Final = {"BTC": 100}
CONTRACT_USD_OTHERS: Final = 10
CURRENCY, BLOCK, INSTRUMENT = 0, 0, 0


class Listing:
    """One instrument, currency and block, made for a recording; `specification`, and publications for it."""

    def __init__(self, recording: Recording, model: MarginModel | None = None) -> None:
        """Raises RecordingError where units are too fine for the bounds of money, a level or a mark beyond them."""
        self.recording = recording
        self.inverse = recording.market == COINM
        self.tick = 10.0**-recording.price_decimals
        self._model = model or Seawall()
        self.coin = recording.symbol[:3] if self.inverse else recording.symbol.removesuffix("USDT")
        fine = recording.price_decimals + recording.lot_decimals
        self.decimals = COIN_DECIMALS if self.inverse else max(DOLLAR_DECIMALS, fine)
        self.specification = self._specify(fine)

    def _specify(self, fine: int) -> Instrument:
        recording = self.recording
        first = _first_price(recording)
        low, high = max(1, first // BAND), BAND * first
        if self.inverse:
            contract = CONTRACT_USD.get(self.coin, CONTRACT_USD_OTHERS)
            multiplier = contract * 10 ** (COIN_DECIMALS + recording.price_decimals)
        else:
            multiplier = int(10 ** (self.decimals - fine))
        where = f"{recording.name}:1"
        if not 1 <= first <= bounds.PRICE_MAX // BAND or fine > 2 * DOLLAR_DECIMALS:
            raise RecordingError(where, first, f"must be at most {bounds.PRICE_MAX // BAND} ticks and 12 decimals fine")
        form = Form.INVERSE if self.inverse else Form.LINEAR
        name = f"{recording.symbol}-{recording.market.upper()}"
        spec = Instrument(name, Product.PERPETUAL, form, CURRENCY, BLOCK, multiplier, low, high, quantity_max=1)
        spec = replace(spec, quantity_max=min(bounds.QUANTITY_MAX, spec.largest_position))
        spec.check()
        self._check_levels(spec)
        return spec

    def _check_levels(self, spec: Instrument) -> None:
        most = spec.quantity_max * LEVEL_ORDERS_MAX
        for update in self.recording.updates:
            if isinstance(update, Touch):
                levels = [(update.bid, update.bid_lots), (update.ask, update.ask_lots)]
            else:
                levels = [*update.bids, *update.asks]
            for price, lots in levels:
                if lots > most and spec.price_min <= price <= spec.price_max:
                    where = f"{self.recording.name}:{update.line}"
                    raise RecordingError(
                        where, lots, f"must be at most {most} lots, {LEVEL_ORDERS_MAX:,} largest orders"
                    )
        for mark in self.recording.marks:
            if not spec.price_min <= mark.ticks <= spec.price_max:
                rule = f"must lie in [{spec.price_min}, {spec.price_max}] ticks, within {BAND} times the first price"
                raise RecordingError(f"{self.recording.name}:{mark.line}", mark.ticks, rule)

    def publication(self, mark: float, time_ns: int) -> Publication:
        """What the margin model says at a mark of `mark` ticks at `time_ns`."""
        dollars = mark * self.tick
        coin = CurrencyMarket(dollars, self.decimals, COIN_HAIRCUT, COIN_MARKUP)
        currency = coin if self.inverse else CurrencyMarket(1.0, self.decimals, 0.0, 0.0)
        view = MarketView(
            time_ns,
            {CURRENCY: currency},
            {BLOCK: BlockMarket(self.coin, dollars)},
            {INSTRUMENT: InstrumentMarket(self.specification, mark, mark)},
        )
        return self._model.publish(view)

    def room(self, publication: Publication) -> int:
        """Lots, open quantity included, that one account may hold; half of the bound, as marks move."""
        spec = self.specification
        dearest = limit_value(spec, 1, spec.price_min if self.inverse else spec.price_max)
        rate = publication.currencies[CURRENCY].rate_loss
        largest = largest_open_position(publication.instruments[INSTRUMENT], rate, dearest, spec.largest_position)
        return max(1, largest // 2)


def _first_price(recording: Recording) -> int:
    """The first price at which the market stood or traded."""
    for update in recording.updates:
        if isinstance(update, Touch):
            return update.bid
        if isinstance(update, Snapshot) and update.bids:
            return max(update.bids)[0]
    if recording.prints:
        first: Print = recording.prints[0]
        return first.price
    deltas = [price for update in recording.updates for price, _ in [*update.bids, *update.asks]]  # type: ignore[union-attr]
    return sorted(deltas)[len(deltas) // 2] if deltas else 0
