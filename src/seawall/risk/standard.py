"""Model "standard": a margin charge on each position by itself, without offsets; one scenario, the null one.

Futures and perpetuals, in coins of the underlying, q the position at the mark:

    initial      (2 % + k*|q|) * |q|          maintenance  (1 % + k*|q|) * |q|

Short options, for one coin of underlying, m the mark as a fraction of it, OTM max(0, +-(K - F)) / F:

    initial      call  max(15 % - OTM, 10 %) + m
                 put   max(max(15 % - OTM, 10 %) + m, maintenance)
    maintenance  call  7.5 % + m
                 put   max(7.5 %, 7.5 % * m) + m

Long options: the published rule asks nothing, of an equity that leaves option value out. Our equity counts option value
at the mark, so a long option is asked its mark value, which takes that value out again, and a short one the published
figure without m, which equity has lost already. So an account passes here exactly when it passes the published rule.

Amounts are valued at the currency's `rate_loss`: what margin guards against is owed, not owned.

Source: Deribit, release note of 11 January 2022 and futures specification (2 % + 0.5 % per 100 BTC); option formulas as
quoted in TSLab, "Deribit Margin Requirements Calculation".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import ClassVar, Final

from seawall.risk import black76
from seawall.risk.envelope import (
    Schedule,
    charge_value,
    chord_knots,
    proven_limit,
    schedule_charge,
    schedule_weight,
    two_sided_charge,
)
from seawall.risk.market import MILLION, InstrumentMarket, MarketView, lot_value, round_away, underlying_atoms
from seawall.vocabulary import bounds
from seawall.vocabulary.bounds import ceil_div
from seawall.vocabulary.errors import ConfigurationError, InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import (
    INITIAL,
    ROWS,
    BlockRisk,
    Charge,
    InstrumentRisk,
    Publication,
    largest_open_position,
)

Pair = tuple[Fraction, Fraction]
"""(initial, maintenance)"""

_NULL: Final = (0,)


@dataclass(frozen=True, slots=True)
class SizeSchedule:
    """Futures of one underlying: base rates in ppm of value, and ppm more for each coin of position."""

    initial_ppm: int
    maintenance_ppm: int
    per_coin_ppm: int


@dataclass(frozen=True, slots=True)
class StandardParameters:
    """Parameters of the standard model; rates in ppm (millionths), of value or of the underlying's value.

    `schedules` by name of the underlying. Raises ConfigurationError for a rate outside [0, 100 %] or a maintenance rate
    above the initial one.
    """

    effective: date = date(2022, 1, 11)
    schedules: Mapping[str, SizeSchedule] = field(
        default_factory=lambda: {"BTC": SizeSchedule(20_000, 10_000, 50), "ETH": SizeSchedule(20_000, 10_000, 4)}
    )
    option_initial_ppm: int = 150_000
    option_initial_floor_ppm: int = 100_000
    option_maintenance_ppm: int = 75_000

    def __post_init__(self) -> None:
        rates = [("option_initial_ppm", self.option_initial_ppm, MILLION)]
        rates.append(("option_initial_floor_ppm", self.option_initial_floor_ppm, self.option_initial_ppm))
        rates.append(("option_maintenance_ppm", self.option_maintenance_ppm, self.option_initial_floor_ppm))
        for name, schedule in self.schedules.items():
            rates.append((f"schedules[{name}].initial_ppm", schedule.initial_ppm, MILLION))
            rates.append((f"schedules[{name}].maintenance_ppm", schedule.maintenance_ppm, schedule.initial_ppm))
            rates.append((f"schedules[{name}].per_coin_ppm", schedule.per_coin_ppm, MILLION))
        for setting, value, most in rates:
            if not 0 <= value <= most:
                raise ConfigurationError(setting, value, f"must lie in [0, {most}]")


@dataclass(frozen=True, slots=True)
class MarginReport:
    """One position under one row: what the schedule asks and what the engine's envelope asks, in value atoms.

    `published` is the number the module's formulas give (long options: 0), `asked` what equity must cover here, exact;
    `envelope` is never below `asked`. `slack` is envelope / asked - 1, 0 where nothing is asked.
    """

    published: Fraction
    asked: Fraction
    envelope: int

    @property
    def slack(self) -> float:
        """Relative excess of the envelope over what is asked."""
        return float(self.envelope / self.asked - 1) if self.asked else 0.0


def futures_margin(schedule: SizeSchedule, coins: Fraction) -> Pair:
    """(initial, maintenance) in coins for a position of `coins`, of either sign: the published formula, exact."""
    size = abs(coins)
    add_on = Fraction(schedule.per_coin_ppm, MILLION) * size
    return (
        (Fraction(schedule.initial_ppm, MILLION) + add_on) * size,
        (Fraction(schedule.maintenance_ppm, MILLION) + add_on) * size,
    )


def short_option_margin(parameters: StandardParameters, option_type: int, otm: Fraction, mark: Fraction) -> Pair:
    """(initial, maintenance) for one sold option on one coin, as fractions of the underlying; published formula, exact.

    `otm` >= 0 and `mark` are fractions of the underlying's price; `option_type` is +1 call, -1 put.
    """
    base = Fraction(parameters.option_initial_ppm, MILLION) - otm
    initial = max(base, Fraction(parameters.option_initial_floor_ppm, MILLION)) + mark
    rate = Fraction(parameters.option_maintenance_ppm, MILLION)
    if option_type > 0:
        return initial, rate + mark
    maintenance = max(rate, rate * mark) + mark
    return max(initial, maintenance), maintenance


@dataclass(frozen=True, slots=True)
class StandardMargin:
    """The standard model."""

    name: ClassVar[str] = "standard"
    parameters: StandardParameters = field(default_factory=StandardParameters)

    def publish(self, market: MarketView) -> Publication:
        """One null scenario for each block, two charges for each instrument. Raises InputError for a bad view."""
        market.check()
        rates = market.rates()
        pool: dict[Charge, int] = {}
        instruments = []
        for number, item in sorted(market.instruments.items()):
            rate = rates[item.spec.currency].rate_loss
            weight, charges = self._charges(market, number, rate)
            delta, vega = _greeks(item, market.time_ns, rate)
            initial, maintenance = (pool.setdefault(charge, len(pool)) for charge in charges)
            instruments.append(
                InstrumentRisk(number, item.mark_ticks, _NULL, 0, weight, delta, vega, charges=(initial, maintenance))
            )
        blocks = tuple(BlockRisk(block, 1, 1) for block in sorted(market.blocks))
        publication = Publication(tuple(rates.values()), blocks, tuple(instruments), tuple(pool))
        publication.check()
        return publication

    def report(self, market: MarketView, instrument: int, lots: int) -> tuple[MarginReport, MarginReport]:
        """(initial, maintenance) of a position of `lots`: published, asked, envelope. Raises InputError for a bad view.

        The envelope is proven up to `largest_position`; beyond, the engine admits nothing.
        """
        market.check()
        item = market.instruments[instrument]
        rate = market.rates()[item.spec.currency].rate_loss
        weight, charges = self._charges(market, instrument, rate)
        if item.spec.product == Product.OPTION:
            long, short, published_short = self._option_rows(item, rate)
            asked = [abs(lots) * (long if lots > 0 else short[row]) for row in range(ROWS)]
            published = [Fraction(0) if lots > 0 else abs(lots) * published_short[row] for row in range(ROWS)]
        else:
            asked = published = [schedule.at(lots) for schedule in self._schedules(market, instrument, rate)]
        envelopes = [charge_value(charge, lots * weight) for charge in charges]
        initial, maintenance = (MarginReport(*numbers) for numbers in zip(published, asked, envelopes, strict=True))
        return initial, maintenance

    def largest_slack(self, market: MarketView, instrument: int) -> float:
        """Largest relative excess of the envelopes over what is asked, over both rows and sides up to the limit.

        Sought at 200 sizes spaced geometrically, up to the largest position the engine admits.
        """
        limit = self.largest_position(market, instrument)
        sizes = sorted({max(1, round(limit ** (step / 199))) for step in range(200)})
        reports = (self.report(market, instrument, side * min(size, limit)) for size in sizes for side in (-1, 1))
        return max(row.slack for pair in reports for row in pair)

    def largest_position(self, market: MarketView, instrument: int) -> int:
        """Lots, open quantity included, that the engine admits under this model. Raises InputError for a bad view."""
        market.check()
        item = market.instruments[instrument]
        rate = market.rates()[item.spec.currency].rate_loss
        return _engine_limit(item.spec, rate, self._charges(market, instrument, rate)[0])

    def _charges(self, market: MarketView, instrument: int, rate: int) -> tuple[int, tuple[Charge, Charge]]:
        item = market.instruments[instrument]
        if item.spec.product == Product.OPTION:
            long, short, _ = self._option_rows(item, rate)
            weight = max(1, math.ceil(max(long, *short, _exposure(item, rate))))
            initial, maintenance = (two_sided_charge(long, asked, weight) for asked in short)
            return weight, (initial, maintenance)
        schedules = self._schedules(market, instrument, rate)
        limit = proven_limit(schedules[INITIAL], _engine_limit(item.spec, rate, 0))
        rows = [(schedule, chord_knots(schedule, limit)) for schedule in schedules]
        weight = max(schedule_weight(rows), math.ceil(_exposure(item, rate)))
        initial, maintenance = (schedule_charge(schedule, knots, weight) for schedule, knots in rows)
        return weight, (initial, maintenance)

    def _schedules(self, market: MarketView, instrument: int, rate: int) -> tuple[Schedule, Schedule]:
        """The futures formula in lots and value atoms: coins a lot, whatever its currency is worth, and value a lot."""
        item = market.instruments[instrument]
        block = market.blocks[item.spec.block]
        size = self.parameters.schedules.get(block.underlying)
        if size is None:
            known = sorted(self.parameters.schedules)
            raise InputError(f"blocks[{item.spec.block}].underlying", block.underlying, f"must be one of {known}")
        value = _exposure(item, rate)
        unit = 10 ** market.currencies[item.spec.currency].decimals
        coins = _lot_atoms(item) / unit / (1 if item.spec.form == Form.INVERSE else Fraction(block.index_usd))
        quadratic = value * coins * Fraction(size.per_coin_ppm, MILLION)
        return (
            Schedule(value * Fraction(size.initial_ppm, MILLION), quadratic),
            Schedule(value * Fraction(size.maintenance_ppm, MILLION), quadratic),
        )

    def _option_rows(self, item: InstrumentMarket, rate: int) -> tuple[Fraction, Pair, Pair]:
        """Value atoms a lot: asked of a long, asked of a short by row, published for a short by row."""
        spec, forward = item.spec, Fraction(item.forward)
        underlying = underlying_atoms(spec, item.forward)
        mark = item.mark_ticks * spec.multiplier / underlying
        otm = max(Fraction(0), spec.option_type * (spec.strike - forward)) / forward
        value = _exposure(item, rate)
        initial, maintenance = short_option_margin(self.parameters, spec.option_type, otm, mark)
        published = (initial * value, maintenance * value)
        long = mark * value
        return long, (published[0] - long, published[1] - long), published


def _exposure(item: InstrumentMarket, rate: int) -> Fraction:
    """Value atoms that one lot is worth, an option's underlying: what limits on notional (C02, C11) count."""
    if item.spec.product == Product.OPTION:
        return underlying_atoms(item.spec, item.forward) * rate / (1 << bounds.RATE_SHIFT)
    return lot_value(item.spec, item.mark_ticks, rate)


def _greeks(item: InstrumentMarket, time_ns: int, rate: int) -> tuple[int, int]:
    """(delta, vega) of one lot in value atoms, vega at relative moves of volatility. The model charges neither; limits
    on exposure (C15) and makers' protections (C21) count them."""
    spec, exposure = item.spec, _exposure(item, rate)
    if spec.product != Product.OPTION:
        return round_away(exposure), 0
    years = black76.years_to(spec.expiry, time_ns)
    terms = (item.forward, float(spec.strike), item.volatility, years)
    delta = Fraction(float(black76.delta(*terms, float(spec.option_type))))
    vega = Fraction(float(black76.vega(*terms)) * item.volatility / item.forward)
    return round_away(delta * exposure), round_away(vega * exposure)


def _lot_atoms(item: InstrumentMarket) -> Fraction:
    """Atoms one lot is worth: at the mark (INVERSE) or at the index (LINEAR: its size in coins is fixed)."""
    if item.spec.form == Form.INVERSE:
        return Fraction(item.spec.multiplier, item.mark_ticks)
    return item.spec.multiplier * Fraction(item.forward)


def _engine_limit(spec: Instrument, rate: int, weight: int) -> int:
    """Lots the engine admits: `largest_open_position` with the lot at the dearest price of the band."""
    inverse = spec.form == Form.INVERSE
    dearest = ceil_div(spec.multiplier, spec.price_min) if inverse else spec.multiplier * spec.price_max
    probe = InstrumentRisk(0, 1, _NULL, weight=weight)
    return max(1, largest_open_position(probe, rate, dearest, spec.largest_position))
