"""What a margin model is told about the market: one consistent view at one time, in the venue's own units.

Prices of instruments are in ticks, as floats where a model may use the fraction; marks are published as whole ticks.
Prices of coins are in dollars. `MarketView.check` refuses a view with anything missing, so a model that was handed a
checked view publishes all or nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.numbers import decimal
from seawall.vocabulary.publication import CurrencyRate

VALUE_ATOMS_PER_USD: Final = 1_000_000
"""The numeraire of requirement and equity is a millionth of a dollar."""

MILLION: Final = 1_000_000
"""Parameters are whole millionths (ppm), so that schedules are exact."""

VOLATILITY_MAX: Final = 100.0
"""Annual, 1.0 is 100 %. A quote above 10,000 % is an error of the source, and keeps every formula finite."""

RATE_MAX: Final = 10.0
"""Annual, either side."""

INDEX_MAX: Final = 1e9
DEPTH_MAX: Final = 1e15
"""Dollars both. Beyond is an error of the source."""

OPEN_INTEREST_MAX: Final = bounds.QUANTITY_MAX * bounds.ACCOUNTS_MAX
"""Lots."""

FORWARD_MAX: Final = float(bounds.PRICE_MAX * bounds.DELIVERY_RATIO_MAX)
"""Ticks of delivery price: no deliverable price is higher."""


@dataclass(frozen=True, slots=True)
class CurrencyMarket:
    """A settlement currency: `price_usd` dollars for one coin, which is 10^`decimals` atoms.

    `haircut` in [0, 1): a coin owned counts as price * (1 - haircut). `markup` >= 0: a coin owed counts as
    price * (1 + markup). They cover the price risk of coins held or owed until the next publication, because
    conversion rates do not move with the scenarios: where an account may owe coin against other collateral, a markup
    below the largest move of the scenarios leaves that risk uncovered, and so does such a haircut on the other side.
    (Model "seawall" widens both to its scenarios; `name` tells it which coin this is where no block settles in it.)
    """

    price_usd: float
    decimals: int
    haircut: float
    markup: float
    name: str = ""

    @property
    def value_per_atom(self) -> Fraction:
        """Value atoms of one atom at the price, before haircut and markup; exact."""
        return Fraction(self.price_usd) * VALUE_ATOMS_PER_USD / int(10**self.decimals)

    def check(self, currency: int) -> None:
        """Raise InputError for the first number out of range."""
        where = f"currencies[{currency}]"
        _positive(f"{where}.price_usd", self.price_usd)
        if not 0 <= self.decimals <= 12:
            raise InputError(f"{where}.decimals", self.decimals, "must lie in [0, 12]")
        if not 0 <= self.haircut < 1:
            raise InputError(f"{where}.haircut", self.haircut, "must lie in [0, 1)")
        if not 0 <= self.markup <= 10:
            raise InputError(f"{where}.markup", self.markup, "must lie in [0, 10]")


@dataclass(frozen=True, slots=True)
class BlockMarket:
    """A block: the name of its underlying coin, as the schedules know it, and the coin's index price in dollars.

    `depth_usd`: dollars of it that can be closed outside the venue within the margin period, as the price process or a
    plug-in measured them; None: the model's own.
    """

    underlying: str
    index_usd: float
    depth_usd: float | None = None


@dataclass(frozen=True, slots=True)
class InstrumentMarket:
    """One live instrument.

    `mark` in ticks; `forward` in ticks of the delivery price: for an option the forward of its expiry, in ticks of its
    strike, for a future or perpetual the index price. `volatility` is the annual mark volatility of an option (0.5 is
    50 %) and unused otherwise. `open_interest`: lots, by a published snapshot; None where there is none. `index` is the
    index price in the ticks of `forward`, needed of an option by models that charge parts of the index and unused
    otherwise; `rate` an option's annual rate of discount, which some published rules read.
    """

    spec: Instrument
    mark: float
    forward: float
    volatility: float = 0.0
    open_interest: int | None = None
    index: float | None = None
    rate: float = 0.0

    @property
    def mark_ticks(self) -> int:
        """The mark as it is published: the nearest whole tick."""
        return math.floor(self.mark + 0.5)

    def check(self, instrument: int, time_ns: int) -> None:
        """Raise InputError for the first number missing or out of range, or if the instrument has expired."""
        where, spec = f"instruments[{instrument}]", self.spec
        spec.check()
        if spec.expiry and spec.expiry <= time_ns:
            raise InputError(f"{where}.expiry", spec.expiry, f"must be after the time of the view, {time_ns}")
        _positive(f"{where}.mark", self.mark)
        _positive(f"{where}.forward", self.forward)
        if self.forward > FORWARD_MAX:
            raise InputError(f"{where}.forward", self.forward, f"must be at most {FORWARD_MAX}")
        if not spec.price_min <= self.mark_ticks <= spec.price_max:
            raise InputError(f"{where}.mark", self.mark, f"must lie in [{spec.price_min}, {spec.price_max}]")
        if not 0 <= self.volatility <= VOLATILITY_MAX:
            raise InputError(f"{where}.volatility", self.volatility, f"must lie in [0, {VOLATILITY_MAX}]")
        if self.index is not None:
            _positive(f"{where}.index", self.index, FORWARD_MAX)
        if not -RATE_MAX <= self.rate <= RATE_MAX:
            raise InputError(f"{where}.rate", self.rate, f"must lie in [{-RATE_MAX}, {RATE_MAX}]")
        if self.open_interest is not None and not 0 <= self.open_interest <= OPEN_INTEREST_MAX:
            raise InputError(f"{where}.open_interest", self.open_interest, f"must lie in [0, {OPEN_INTEREST_MAX}]")


@dataclass(frozen=True, slots=True)
class MarketView:
    """All that a model needs, by number of currency, block and instrument. `time_ns`: nanoseconds since the epoch.

    It must hold every live instrument of each block it names: the engine refuses half a block.
    """

    time_ns: int
    currencies: Mapping[int, CurrencyMarket]
    blocks: Mapping[int, BlockMarket]
    instruments: Mapping[int, InstrumentMarket]

    def check(self) -> None:
        """Raise InputError, with field, value and rule, for the first rule broken."""
        for number, currency in sorted(self.currencies.items()):
            currency.check(number)
        for number, block in sorted(self.blocks.items()):
            _positive(f"blocks[{number}].index_usd", block.index_usd, INDEX_MAX)
            if block.depth_usd is not None:
                _positive(f"blocks[{number}].depth_usd", block.depth_usd, DEPTH_MAX)
        settles: dict[int, int] = {}
        for number, instrument in sorted(self.instruments.items()):
            instrument.check(number, self.time_ns)
            spec = instrument.spec
            if spec.currency not in self.currencies:
                raise InputError(f"instruments[{number}].currency", spec.currency, "must be a currency of the view")
            if spec.block not in self.blocks:
                raise InputError(f"instruments[{number}].block", spec.block, "must be a block of the view")
            if settles.setdefault(spec.block, spec.currency) != spec.currency:
                rule = f"must be {settles[spec.block]}: a block settles in one currency"
                raise InputError(f"instruments[{number}].currency", spec.currency, rule)

    def rates(self) -> dict[int, CurrencyRate]:
        """The conversion rates of every currency, by its number."""
        return {number: currency_rates(number, market) for number, market in sorted(self.currencies.items())}


def currency_rates(currency: int, market: CurrencyMarket) -> CurrencyRate:
    """Conversion rates in value atoms per atom times 2^RATE_SHIFT: owned rounded down, owed rounded up.

    Raises InputError for a price, haircut or markup out of range.
    """
    market.check(currency)
    # Haircut and markup mean the decimals they print as: 0.05 is one twentieth, not the double next to it.
    scaled = market.value_per_atom * (1 << bounds.RATE_SHIFT)
    gain = math.floor(scaled * (1 - decimal(market.haircut)))
    return CurrencyRate(currency, gain, math.ceil(scaled * (1 + decimal(market.markup))))


def lot_value(spec: Instrument, mark: int, rate: int) -> Fraction:
    """Value atoms one lot of a future or perpetual is worth at `mark` ticks and `rate` (times 2^RATE_SHIFT); exact."""
    if spec.form == Form.INVERSE:
        return Fraction(spec.multiplier * rate, mark << bounds.RATE_SHIFT)
    return Fraction(mark * spec.multiplier * rate, 1 << bounds.RATE_SHIFT)


def underlying_atoms(spec: Instrument, forward: float) -> Fraction:
    """Atoms of settlement currency that the underlying of one lot of an option is worth at `forward` ticks; exact."""
    assert spec.product == Product.OPTION
    if spec.delivery_form == Form.INVERSE:
        return Fraction(spec.delivery_multiplier)
    return spec.delivery_multiplier * Fraction(forward)


def round_away(value: Fraction) -> int:
    """The whole number next to `value` on the side away from zero."""
    return math.ceil(value) if value >= 0 else math.floor(value)


def _positive(field: str, value: float, most: float = math.inf) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(field, value, "must be finite and positive")
    if value > most:
        raise InputError(field, value, f"must be at most {most:g}")
