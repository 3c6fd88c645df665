"""Contracts of a venue elsewhere: from its instrument object to the engine's specification and the view's note, exact.

A tick is `tick_size`. Where `tick_size_steps` ask for more above some price, the engine takes finer prices than the
venue will, never coarser ones. A lot is `min_trade_amount`, or `contract_size` where that is smaller, since an order
may be filled in contracts: dollars for inverse futures and perpetuals, coins for everything else.

A delivery price is counted in the instrument's own ticks or, for options, in hundredths of a dollar, and in finer steps
for strikes below 100, so that a strike is at least 10^4 steps. The venue's object does not say how it rounds.

Bounds. The engine bounds a position at the dearest price of its band, and no band can be changed once listed, so the
dear end (low for inverse, high for linear) is 4 times the mark of the listing away, and the other 20 times. Premiums
go from one tick to 4 times one coin's worth, or 4 times the mark if that is more. Where 2^30 ticks do not suffice the
band is narrower, but never within a factor of 2 of the mark. With six decimals this leaves room for 70 million dollars
in a linear contract; inverse ones are bounded by the engine's 2^50 millionths of a dollar.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Self

from seawall.venues.quotes import Quote
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.numbers import exact

DOLLARS: Final = ("USDC", "USDT")
"""Settlement currencies that count as one dollar."""

NARROW: Final = 4
WIDE: Final = 20
NARROWEST: Final = 2
"""Factors from the mark at listing to the ends of a band: the dear end, the other, and the least that is accepted."""

STRIKE_STEPS: Final = 10**4
DOLLAR_DECIMALS_MAX: Final = 6
COIN_DECIMALS: Final = 8

_PERIODS: Final = ("perpetual", "month", "week", "day")
_SIDES: Final = {"call": 1, "put": -1}


def atoms_decimals(currency: str, decimals: int) -> int:
    """Decimals of an atom of a settlement currency, clamped from what the venue says.

    Dollars at most 6, since more leave no room for positions. Coins always 8: the engine's rate bound lets a coin of
    d decimals be worth at most 4,096 * 10^(d - 6) dollars, markup included, so the 6 that some venues give ether
    are too few.
    """
    if not 0 <= decimals <= 18:
        raise InputError("decimals", decimals, "must lie in [0, 18]")
    return min(decimals, DOLLAR_DECIMALS_MAX) if currency in DOLLARS else COIN_DECIMALS


@dataclass(frozen=True, slots=True)
class Terms:
    """A contract as listed here: its specification, and what a tick, a lot and a step of delivery prices are."""

    spec: Instrument
    tick: Fraction
    lot: Fraction
    delivery_tick: Fraction
    underlying: str
    settlement: str
    index: str

    @classmethod
    def of(cls, spec: Instrument, note: Mapping[str, Any]) -> Self:
        """From the specification and the note of its listing."""
        tick, lot, step = (Fraction(*note[name]) for name in ("tick", "lot", "delivery_tick"))
        return cls(spec, tick, lot, step, note["underlying"], note["settlement"], note["index"])

    @property
    def option(self) -> bool:
        """Whether it is an option."""
        return self.spec.product == Product.OPTION

    def price(self, ticks: int) -> float:
        """A price in ticks as the venue writes it: the double nearest to it."""
        return ticks * self.tick.numerator / self.tick.denominator

    def amount(self, lots: int) -> float:
        """Lots as an amount of the venue."""
        return lots * self.lot.numerator / self.lot.denominator

    def ticks(self, price: float) -> int:
        """Whole ticks that a price is. Raises InputError if it lies between two."""
        return _steps("price", price, self.tick)

    def lots(self, amount: float) -> int:
        """Whole lots that an amount is. Raises InputError if it lies between two."""
        return _steps("amount", amount, self.lot)

    def coin(self, quote: Quote) -> float:
        """Of an option, one coin's worth in the currency of its premiums; 0 otherwise."""
        if not self.option:
            return 0.0
        return 1.0 if self.spec.delivery_form == Form.INVERSE else quote.underlying


@dataclass(frozen=True, slots=True)
class Offer:
    """What a venue says of one instrument, read and checked. Rates are in millionths, `expiry` in nanoseconds."""

    name: str
    product: Product
    form: Form
    base: str
    counter: str
    quote: str
    settlement: str
    index: str
    period: str
    tick: Fraction
    lot: Fraction
    contract_size: Fraction
    created_ms: int
    maker: int
    taker: int
    expiry: int = 0
    strike: Fraction = Fraction(0)
    option_type: int = 0

    @classmethod
    def of(cls, instrument: Mapping[str, Any]) -> Self:
        """From section 3's object. Raises InputError, with field, value and rule, for what cannot be listed here."""
        name = _text(instrument, "instrument_name")
        if len(name) > 32 or not name.isascii():
            raise InputError("instrument_name", name, "must be at most 32 ASCII characters")
        kind = _one_of(instrument, "kind", ("future", "option"))
        inverse = _one_of(instrument, "instrument_type", ("reversed", "linear")) == "reversed"
        period = _one_of(instrument, "settlement_period", _PERIODS)
        if instrument.get("is_active") is not True:
            raise InputError("is_active", instrument.get("is_active"), "must be true")
        product = Product.OPTION if kind == "option" else Product.FUTURE
        if period == "perpetual":
            if kind == "option":
                raise InputError("settlement_period", period, "must not be perpetual for options")
            product = Product.PERPETUAL
        smallest, contract_size = (_positive(instrument, field) for field in ("min_trade_amount", "contract_size"))
        lot = min(smallest, contract_size)
        if (max(smallest, contract_size) / lot).denominator != 1:
            rule = f"must divide contract_size, {float(contract_size)}, or be divided by it"
            raise InputError("min_trade_amount", float(smallest), rule)
        made = cls(
            name, product, Form.INVERSE if inverse else Form.LINEAR, **_currencies(instrument, kind, inverse),
            period=period, tick=_positive(instrument, "tick_size"), lot=lot, contract_size=contract_size,
            created_ms=_milliseconds(instrument, "creation_timestamp"),
            maker=_commission(instrument, "maker_commission"), taker=_commission(instrument, "taker_commission"),
        )  # fmt: skip
        if product == Product.PERPETUAL:
            return made
        made = replace(made, expiry=_milliseconds(instrument, "expiration_timestamp") * 10**6)
        if product == Product.FUTURE:
            return made
        side = _SIDES[_one_of(instrument, "option_type", tuple(_SIDES))]
        return replace(made, strike=_positive(instrument, "strike"), option_type=side)

    @property
    def fee_class(self) -> int:
        """As of the specification: options have their own."""
        return 1 if self.product == Product.OPTION else 0

    @property
    def delivery_tick(self) -> Fraction:
        """Dollars for one step of a delivery price."""
        if self.product != Product.OPTION:
            return self.tick
        step = Fraction(1, 100)
        while self.strike / step < STRIKE_STEPS:
            step /= 10
        return step

    def contract(
        self, number: int, currency: int, decimals: int, block: int, quote: Quote
    ) -> tuple[Instrument, dict[str, Any]]:
        """The specification, and the note journalled with it, as instrument `number`; `quote` sets the price band.

        `currency` and `block` are the engine's numbers, `decimals` of an atom of the settlement currency. Raises
        InputError for numbers that are not whole or do not fit the engine's bounds.
        """
        unit = self.lot * 10**decimals  # atoms, or dollar-atoms, of a lot
        low, high = self._band(quote)
        if self.product == Product.OPTION:
            inverse, step = self.form == Form.INVERSE, self.delivery_tick
            strike = _whole("strike", self.strike, self.strike / step, f"steps of {float(step)}")
            delivered = _whole("min_trade_amount", self.lot, unit if inverse else unit * step, "atoms delivered")
            spec = Instrument(
                self.name, self.product, Form.LINEAR, currency, block,
                _whole("tick_size", self.tick, unit * self.tick, "atoms of a lot and tick"), low, high, 1, self.expiry,
                strike, self.option_type, self.form, delivered,
            )  # fmt: skip
        else:
            value = unit / self.tick if self.form == Form.INVERSE else unit * self.tick
            multiplier = _whole("tick_size", self.tick, value, "atoms of a lot and tick")
            spec = Instrument(
                self.name, self.product, self.form, currency, block, multiplier, low, high, 1, self.expiry
            )  # fmt: skip
        spec.check()
        spec = replace(spec, quantity_max=min(bounds.QUANTITY_MAX, spec.largest_position))
        spec.check()
        return spec, self._note(number)

    def _band(self, quote: Quote) -> tuple[int, int]:
        """Lowest and highest price, in ticks."""
        option = self.product == Product.OPTION
        dearest = quote.mark
        if option:
            dearest = max(quote.mark, 1.0 if self.form == Form.INVERSE else quote.underlying)
        ticks = Fraction(dearest) / self.tick
        up = NARROW if option or self.form == Form.LINEAR else WIDE
        down = NARROW if self.form == Form.INVERSE else WIDE
        high = min(round(ticks * up), bounds.PRICE_MAX)
        if ticks < 1 or high < ticks * NARROWEST:
            rule = f"must leave a band of {NARROWEST} times {dearest} within {bounds.PRICE_MAX} ticks, and be less"
            raise InputError("tick_size", float(self.tick), rule)
        return 1 if option else max(1, math.floor(ticks / down)), high

    def _note(self, number: int) -> dict[str, Any]:
        """As a note of the development venue's catalogue."""
        option, step = self.product == Product.OPTION, self.delivery_tick
        note: dict[str, Any] = {
            "note": "listing",
            "instrument": number,
            "name": self.name,
            "kind": "option" if option else "future",
            "type": "reversed" if self.form == Form.INVERSE else "linear",
            "base": self.base,
            "counter": self.counter,
            "quote": self.quote,
            "settlement": self.settlement,
            "index": self.index,
            "tick": [self.tick.numerator, self.tick.denominator],
            "lot": [self.lot.numerator, self.lot.denominator],
            "contract_size": float(self.contract_size),
            "period": self.period,
            "created_ms": self.created_ms,
            "underlying": self.base,
            "delivery_tick": [step.numerator, step.denominator],
        }
        if option:
            note["strike"] = float(self.strike)
        return note


def _steps(field: str, value: float, step: Fraction) -> int:
    steps = exact(field, value) / step
    if steps.denominator != 1:
        raise InputError(field, value, f"must be a multiple of {float(step)}")
    return steps.numerator


def _whole(field: str, value: Fraction, count: Fraction, of: str) -> int:
    """`count`, which must be whole because of `value`."""
    if count.denominator != 1:
        raise InputError(field, float(value), f"must come to whole {of}, not {float(count)}")
    return count.numerator


def _currencies(instrument: Mapping[str, Any], kind: str, inverse: bool) -> dict[str, Any]:
    """Base, counter, quote, settlement and index, where they belong together as the dialect says."""
    base = _text(instrument, "base_currency")
    settlement = _one_of(instrument, "settlement_currency", (base,) if inverse else DOLLARS)
    counter = _one_of(instrument, "counter_currency", ("USD",) if inverse else (settlement,))
    quote = _one_of(instrument, "quote_currency", (base if inverse and kind == "option" else counter,))
    index = _one_of(instrument, "price_index", (f"{base}_{counter}".lower(),))
    return {"base": base, "counter": counter, "quote": quote, "settlement": settlement, "index": index}


def _text(instrument: Mapping[str, Any], field: str) -> str:
    value = instrument.get(field)
    if not isinstance(value, str) or not value:
        raise InputError(field, value, "must be a word")
    return value


def _one_of(instrument: Mapping[str, Any], field: str, words: tuple[str, ...]) -> str:
    value = instrument.get(field)
    if not isinstance(value, str) or value not in words:
        raise InputError(field, value, f"must be {' or '.join(words)}")
    return value


def _positive(instrument: Mapping[str, Any], field: str) -> Fraction:
    value = exact(field, instrument.get(field))
    if value <= 0:
        raise InputError(field, instrument.get(field), "must be positive")
    return value


def _milliseconds(instrument: Mapping[str, Any], field: str) -> int:
    value = instrument.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**62 // 10**6:
        raise InputError(field, value, "must be milliseconds since the epoch")
    return value


def _commission(instrument: Mapping[str, Any], field: str) -> int:
    """A fee rate in millionths, rounded up."""
    rate = math.ceil(exact(field, instrument.get(field)) * bounds.FEE_DENOMINATOR)
    if abs(rate) > bounds.FEE_RATE_MAX:
        most = bounds.FEE_RATE_MAX / bounds.FEE_DENOMINATOR
        raise InputError(field, instrument.get(field), f"must lie in [{-most}, {most}]")
    return rate
