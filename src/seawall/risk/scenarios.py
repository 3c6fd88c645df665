"""Model "scenarios": plain scenarios of price and volatility, with contingency charges.

Thirty-five scenarios for every block. The first 27 are regular and serve both rows: price -16 % .. +16 % in steps of
4 % times volatility up, same, down; index 0 is the null one (0 %, same). The other 8 are extended moves with volatility
up, for the initial row only. An extended move counts at a fraction, its coverage: chosen such that a position of delta
one loses in it exactly what it loses at the edge of the regular range. So futures need no more than before, and what
the extended scenarios add is the convexity of options.

    coverage = g(edge) / g(move),     g(m) = m for a block settled in dollars, m / (1 + m) for one settled in coin

The coverage is one number for a whole block and scenario, hence hedges stay hedges.

Volatility up is max(v*(1 + up*a), floor, v), down v*(1 - down*a), with a = (30 / max(days, 1))^power, the power by days
to expiry. Time does not pass and the forward of each expiry moves with the index.

What a number is. u[s] = floor(coverage * (value in s - mark) * rate_loss), for one lot, in value atoms, where the value
in s of a future is rational and exact and that of an option is the double Black-76 gives. Gains and losses alike are
converted at `rate_loss` and at today's index, also where the settlement currency is the coin that moves:

  - Within a block everything settles in one currency, so what the account gains or loses in s is one net amount N.
    Equity is concave in each currency with slopes from rate_gain to rate_loss, so N < 0 costs at most |N| * rate_loss,
    which is what V counts. Long and short must share the rate, or a hedged position would show a loss that is none.
  - N > 0 is overstated by up to the haircut spread, and it does not matter: blocks add max over s of -(V + W), the null
    scenario makes each at least 0, so a gain in a scenario never lowers the requirement, of this block or another.
    (Open orders add to the same N, at rate_loss too, so the sum is again one net amount.)
  - The argument needs that gains count in full in e: with gain caps, a capped gain would net a loss in V that it does
    not net in e. This model publishes none.
  - The price risk of coins held or owed is no part of V. The engine's rates are frozen between publications; haircut
    and markup cover it, see `CurrencyMarket`.

Charges, in ppm of exposure, initial and maintenance: on the block's net delta (the buffer between the rows), on gross
delta (basis and calendar moves, as Deribit's roll shock), on gross vega (moves of one expiry against another), and on
each sold option, on its underlying's value (options far out of the money that no scenario reaches).

Sources: scenario grid, extended table and volatility powers: Deribit, "Portfolio margin", private/pme/simulate, and
Paradex documentation, "Portfolio margin" (tail weights = price range / move). CME SPAN counts its extreme moves at
33 to 35 %. Charge rates are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import ClassVar, Final

import numpy as np

from seawall.risk import black76
from seawall.risk.envelope import UNIT
from seawall.risk.market import MILLION, VOLATILITY_MAX, InstrumentMarket, MarketView, lot_value, round_away
from seawall.vocabulary import bounds
from seawall.vocabulary.bounds import ceil_div
from seawall.vocabulary.errors import ConfigurationError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import NO_CHARGE, ROWS, BlockRisk, Charge, InstrumentRisk, Publication

Rows = tuple[int, int]
"""ppm, (initial, maintenance)"""

UP: Final = 1
SAME: Final = 0
DOWN: Final = -1
_SHORT_TERM_DAYS: Final = 30.0
_BLOCK_CHARGES: Final = ("net_delta_ppm", "gross_delta_ppm", "net_vega_ppm", "gross_vega_ppm")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: a relative price move in ppm, the volatility's direction (+1, 0, -1), regular or extended."""

    move_ppm: int
    volatility: int
    extended: bool = False


@dataclass(frozen=True, slots=True)
class ScenarioParameters:
    """Parameters of the scenario model.

    Moves and charge rates in ppm (millionths); `price_steps` on each side of zero; volatility shocks relative (0.5 is
    half as much again) at 30 days, powers dimensionless; `volatility_floor` annual. Charges are (initial, maintenance).
    Raises ConfigurationError for a number out of range or a maintenance charge above the initial one.
    """

    effective: date = date(2026, 1, 1)
    price_range_ppm: int = 160_000
    price_steps: int = 4
    extended_moves_ppm: tuple[int, ...] = (
        -750_000,
        -500_000,
        -330_000,
        330_000,
        500_000,
        1_000_000,
        2_000_000,
        3_000_000,
    )
    volatility_up: float = 0.5
    volatility_down: float = 0.25
    short_term_power: float = 0.30
    long_term_power: float = 0.13
    volatility_floor: float = 0.5
    net_delta_ppm: Rows = (30_000, 0)
    gross_delta_ppm: Rows = (10_000, 5_000)
    net_vega_ppm: Rows = (0, 0)
    gross_vega_ppm: Rows = (50_000, 25_000)
    short_option_ppm: Rows = (10_000, 7_500)

    def __post_init__(self) -> None:
        checks: list[tuple[str, float, float, float]] = [
            ("price_range_ppm", self.price_range_ppm, 1, MILLION - 1),
            ("price_steps", self.price_steps, 1, 10),
            ("volatility_up", self.volatility_up, 0, 10),
            ("volatility_down", self.volatility_down, 0, 1),
            ("short_term_power", self.short_term_power, 0, 1),
            ("long_term_power", self.long_term_power, 0, 1),
            ("volatility_floor", self.volatility_floor, 0, VOLATILITY_MAX),
        ]
        for name in (*_BLOCK_CHARGES, "short_option_ppm"):
            initial, maintenance = getattr(self, name)
            checks += [(name, initial, 0, MILLION), (name, maintenance, 0, initial)]
        checks += [("extended_moves_ppm", move, 1 - MILLION, 100 * MILLION) for move in self.extended_moves_ppm]
        checks += [
            ("extended_moves_ppm", abs(move), self.price_range_ppm, 100 * MILLION) for move in self.extended_moves_ppm
        ]
        checks.append(("scenarios", len(scenario_set(self)), 1, bounds.SCENARIOS_MAX))
        for setting, value, low, high in checks:
            if not low <= value <= high:
                raise ConfigurationError(setting, value, f"must lie in [{low}, {high}]")
        if self.price_range_ppm % self.price_steps:
            raise ConfigurationError("price_steps", self.price_steps, f"must divide {self.price_range_ppm}")


def scenario_set(parameters: ScenarioParameters) -> tuple[Scenario, ...]:
    """The scenarios in order: null, the other regular ones (lowest price first; up, same, down), then extended ones."""
    steps, width = parameters.price_steps, parameters.price_range_ppm // parameters.price_steps
    grid = [Scenario(width * step, kind) for step in range(-steps, steps + 1) for kind in (UP, SAME, DOWN)]
    null = Scenario(0, SAME)
    extended = [Scenario(move, UP, extended=True) for move in parameters.extended_moves_ppm]
    return (null, *(scenario for scenario in grid if scenario != null), *extended)


def regular_scenarios(parameters: ScenarioParameters) -> int:
    """How many scenarios, from the first, are regular: the maintenance row's."""
    return 3 * (2 * parameters.price_steps + 1)


def shocked_volatility(parameters: ScenarioParameters, volatility: float, years: float, direction: int) -> float:
    """Annual volatility after a shock up (+1), none (0) or down (-1), `years` to expiry; in [0, 1000]."""
    days = years * black76.DAYS_PER_YEAR
    power = parameters.short_term_power if days < _SHORT_TERM_DAYS else parameters.long_term_power
    scale = float((_SHORT_TERM_DAYS / max(days, 1.0)) ** power)
    if direction == UP:
        raised = volatility * (1 + parameters.volatility_up * scale)
        return max(raised, parameters.volatility_floor, volatility)
    return volatility * max(0.0, 1 - parameters.volatility_down * scale) if direction == DOWN else volatility


def coverages(parameters: ScenarioParameters, form: Form) -> list[Fraction]:
    """Fraction, in (0, 1], at which each scenario counts in a block settled in coin (INVERSE) or dollars (LINEAR)."""
    covered = []
    for scenario in scenario_set(parameters):
        edge = parameters.price_range_ppm if scenario.move_ppm > 0 else -parameters.price_range_ppm
        move = scenario.move_ppm
        covered.append(return_on_lot(edge, form) / return_on_lot(move, form) if scenario.extended else Fraction(1))
    return covered


def return_on_lot(move_ppm: int, form: Form) -> Fraction:
    """Gain of a long future as a fraction of its value when the price moves by `move_ppm` > -10^6, in its currency.

    m for LINEAR; m / (1 + m) for INVERSE, since -K/P becomes -K/(P*(1 + m)).
    """
    return Fraction(move_ppm, MILLION + move_ppm if form == Form.INVERSE else MILLION)


def option_values(parameters: ScenarioParameters, item: InstrumentMarket, time_ns: int) -> list[float]:
    """Atoms of settlement currency one lot of an option is worth in each scenario, before coverage; doubles."""
    scenarios = scenario_set(parameters)
    years = black76.years_to(item.spec.expiry, time_ns)
    forwards = item.forward * np.array([(MILLION + scenario.move_ppm) / MILLION for scenario in scenarios])
    by_direction = {kind: shocked_volatility(parameters, item.volatility, years, kind) for kind in (UP, SAME, DOWN)}
    volatilities = np.array([by_direction[scenario.volatility] for scenario in scenarios])
    values: list[float] = black76.lot_values(item.spec, forwards, volatilities, years).tolist()
    return values


@dataclass(frozen=True, slots=True)
class ScenarioMargin:
    """The scenario model."""

    name: ClassVar[str] = "scenarios"
    parameters: ScenarioParameters = field(default_factory=ScenarioParameters)

    def publish(self, market: MarketView) -> Publication:
        """Risk arrays of 35 scenarios, delta, vega and charges for every instrument. Raises InputError for a bad view.

        Also refused, by the vocabulary's bounds: a lot whose change of value in some scenario reaches 2^50 value atoms.
        """
        market.check()
        rates = market.rates()
        charges = _Charges(self.parameters)
        forms = _block_forms(market)
        covered = {form: coverages(self.parameters, form) for form in Form}
        moves = {
            (form, block): [
                return_on_lot(scenario.move_ppm, form) * coverage
                for scenario, coverage in zip(scenario_set(self.parameters), covered[block], strict=True)
            ]
            for form in Form
            for block in Form
        }
        instruments = []
        for number, item in sorted(market.instruments.items()):
            rate = rates[item.spec.currency].rate_loss
            form = forms[item.spec.block]
            if item.spec.product == Product.OPTION:
                risk = self._option(number, item, market.time_ns, rate, covered[form], charges.short_option)
            else:
                risk = _future(number, item, rate, moves[item.spec.form, form])
            instruments.append(risk)
        count, regular = len(scenario_set(self.parameters)), regular_scenarios(self.parameters)
        blocks = tuple(BlockRisk(block, count, regular, charges.block) for block in sorted(market.blocks))
        publication = Publication(tuple(rates.values()), blocks, tuple(instruments), charges.all)
        publication.check()
        return publication

    def _option(
        self, number: int, item: InstrumentMarket, time_ns: int, rate: int, covered: Sequence[Fraction], charges: Rows
    ) -> InstrumentRisk:
        spec = item.spec
        values = option_values(self.parameters, item, time_ns)
        u, inexact = _option_array(values, item.mark_ticks * spec.multiplier, rate, covered)
        delta, vega = option_exposures(item, time_ns, rate)
        weight = ceil_div(_underlying_ceiling(spec, item.forward) * rate, 1 << bounds.RATE_SHIFT)
        return InstrumentRisk(number, item.mark_ticks, u, inexact, weight, delta, vega, charges=charges)


def option_exposures(item: InstrumentMarket, time_ns: int, rate: int) -> tuple[int, int]:
    """(delta, vega) of one lot of an option in value atoms, rounded away from zero.

    delta: change of settlement value for a relative move of the forward by 1.00, at the tangent (coin-settled: delta
    less the premium, since the coins paid shrink as the coin rises). vega: the same for a relative move of volatility.
    """
    spec, forward = item.spec, item.forward
    years = black76.years_to(spec.expiry, time_ns)
    slope = float(black76.delta(forward, float(spec.strike), item.volatility, years, float(spec.option_type)))
    sensitivity = item.volatility * float(black76.vega(forward, float(spec.strike), item.volatility, years))
    dollars, per_unit = forward * slope, float(spec.delivery_multiplier)
    if spec.delivery_form == Form.INVERSE:
        value = black76.price(forward, float(spec.strike), item.volatility, years, float(spec.option_type))
        dollars, per_unit = dollars - float(value), per_unit / forward
    scale = Fraction(rate, 1 << bounds.RATE_SHIFT)
    return round_away(Fraction(dollars * per_unit) * scale), round_away(Fraction(sensitivity * per_unit) * scale)


def _future(number: int, item: InstrumentMarket, rate: int, moves: Sequence[Fraction]) -> InstrumentRisk:
    value = lot_value(item.spec, item.mark_ticks, rate)
    numerator, denominator = value.numerator, value.denominator
    divided = [divmod(numerator * move.numerator, denominator * move.denominator) for move in moves]
    inexact = int(any(remainder for _, remainder in divided))
    u = tuple(quotient for quotient, _ in divided)
    exposure = round_away(value)
    return InstrumentRisk(number, item.mark_ticks, u, inexact, weight=abs(exposure), delta=exposure)


def _option_array(
    values: Sequence[float], mark_atoms: int, rate: int, covered: Sequence[Fraction]
) -> tuple[tuple[int, ...], int]:
    """(u, inexact): floor of coverage * (value - mark) * rate / 2^20, by integers; the null scenario is 0."""
    u, inexact = [0], 0
    for value, coverage in zip(values[1:], covered[1:], strict=True):
        top, bottom = value.as_integer_ratio()
        change = (top - mark_atoms * bottom) * rate * coverage.numerator
        quotient, remainder = divmod(change, (bottom * coverage.denominator) << bounds.RATE_SHIFT)
        u.append(quotient)
        inexact |= remainder != 0
    return tuple(u), int(inexact)


def _underlying_ceiling(spec: Instrument, forward: float) -> int:
    """Atoms the underlying of one lot is worth, rounded up."""
    if spec.delivery_form == Form.INVERSE:
        return spec.delivery_multiplier
    top, bottom = forward.as_integer_ratio()
    return ceil_div(spec.delivery_multiplier * top, bottom)


def _block_forms(market: MarketView) -> dict[int, Form]:
    """INVERSE for each block with anything settled in the coin that moves, LINEAR for the others."""
    forms = dict.fromkeys(market.blocks, Form.LINEAR)
    for item in market.instruments.values():
        spec = item.spec
        if Form.INVERSE in (spec.form, spec.delivery_form if spec.product == Product.OPTION else spec.form):
            forms[spec.block] = Form.INVERSE
    return forms


class _Charges:
    """The charges of a publication: `all` of them, the indices of a block's and of a sold option's."""

    def __init__(self, parameters: ScenarioParameters) -> None:
        pool: dict[Charge, int] = {}

        def index(ppm: int, sides: tuple[int, ...]) -> int:
            if ppm == 0:
                return NO_CHARGE
            rate = ceil_div(ppm * UNIT, MILLION)
            return pool.setdefault(Charge(tuple((side * rate, 0) for side in sides)), len(pool))

        def rows(name: str, sides: tuple[int, ...]) -> Rows:
            initial, maintenance = (index(getattr(parameters, name)[row], sides) for row in range(ROWS))
            return initial, maintenance

        self.block = tuple(rows(name, (1,) if "gross" in name else (-1, 1)) for name in _BLOCK_CHARGES)
        self.short_option = rows("short_option_ppm", (-1,))
        self.all = tuple(pool)
