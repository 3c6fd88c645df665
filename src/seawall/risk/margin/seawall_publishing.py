"""What model "seawall" gives the engine: 35 scenarios a block, convex charges, haircuts. Never below the rule.

u[s] = floor(coverage * change * rate) for one lot, where the change is that of its value against the mark, in atoms, of
a future rational and exact, of an option the double that Black-76 gives; in a block settled in the coin it is taken at
the moved price, times 1 + m. `rate` is value atoms an atom at today's price and the haircut more.

The engine's equity knows no scenarios, and its blocks no other block. Why excess is nowhere above the rule's (h: the
haircut, r the range, m a move, c its coverage, so |c*m| <= r; X coins, N their change in s, M the change in dollars):

  - A coin is published at haircut 1 - (1 - r)(1 - h) and markup (1 + r)(1 + h) - 1, or the market's where wider. So
    what the engine counts for X is at most what X is worth in any scenario, at (1 + c*m), with haircut.
  - With e concave, slopes from 1 - h to 1 + h: e(X*P*(1 + c*m) + G) >= e(X*P*(1 + c*m)) + min(0, G)*(1 + h), where
    G = c*N*P*(1 + m) is what the block counts in s, and -min(0, G)*(1 + h) at most what it asks. The same for M.
  - One maximum for each block is at least the maximum of the sum; the null scenario makes each at least 0, so a gain in
    one block never lowers another's.
  - Charges are chords of the rule's convex functions, rounded up (`seawall.risk.envelope`), on exposures rounded away
    from zero lot by lot: where longs and shorts net, the net exposure is the rule's up to an atom a lot. An account of
    an owner's n is asked T(n*x)/n by the engine as by the rule.

The envelope of net delta ends where the engine's bounds do: a line's intercept is at most 2^50 value atoms, so from
about 1.3 billion dollars of net delta on (BTC; sooner than the rule) it rises by a dollar a dollar.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from seawall.risk import black76
from seawall.risk.envelope import UNIT, chord_lines, sided_lines
from seawall.risk.margin.enforced import ChargePool, publication_of
from seawall.risk.margin.portfolio import Market, Portfolio
from seawall.risk.margin.seawall import Seawall
from seawall.risk.margin.seawall_parameters import (
    SeawallParameters,
    SizeCharge,
    net_delta_charge,
    position_charge,
    regular_scenarios,
    scenario_set,
    shocked_volatilities,
    volatilities_in,
)
from seawall.risk.market import (
    VALUE_ATOMS_PER_USD,
    CurrencyMarket,
    InstrumentMarket,
    MarketView,
    round_away,
    underlying_atoms,
)
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Form, Product
from seawall.vocabulary.numbers import decimal
from seawall.vocabulary.publication import ROWS, BlockRisk, InstrumentRisk, Publication

CHORDS: Final = 6
"""Of a growing charge, a side: with the line through zero and that of slope 1 the eight that the engine allows."""

FINEST: Final = 200
"""Where a charge grows from zero on, its first chord ends at about this part of its reach."""

PEG: Final = 0.1
"""A currency without a name is taken for dollars where its price is within this of one."""


def publish_seawall(market: MarketView, model: Seawall) -> Publication:
    """Of every block. Raises InputError for a bad view, or a lot that changes by 2^50 value atoms in some scenario."""
    market.check()
    day = Portfolio(format=1, time=market.time_ns // 1_000_000, market=Market(underlyings={}))
    known = model.known(day).parameters
    pool, blocks, instruments = ChargePool(), [], []
    settled = coin_settled(market)
    haircuts = {number: collateral(market, known, number) for number in market.currencies}
    rates = {number: _rate(item, *haircuts[number]) for number, item in market.currencies.items()}
    for block in sorted(market.blocks):
        items = [pair for pair in sorted(market.instruments.items()) if pair[1].spec.block == block]
        rate = rates[items[0][1].spec.currency] if items else Fraction(1)
        made = _Block(market, block, known, pool, rate, listed=len(items), in_coin=block in settled)
        instruments += [made.instrument(*pair) for pair in items]
        blocks.append(BlockRisk(block, len(made.scenarios), regular_scenarios(known), made.charges()))
    currencies = {number: _with_haircut(item, *haircuts[number]) for number, item in market.currencies.items()}
    return publication_of(replace(market, currencies=currencies), blocks, instruments, pool)


def coin_settled(market: MarketView) -> dict[int, int]:
    """Currency by block, of the blocks with anything settled in the coin that moves."""
    found = {}
    for item in market.instruments.values():
        spec = item.spec
        if Form.INVERSE in (spec.form, spec.delivery_form if spec.product == Product.OPTION else spec.form):
            found[spec.block] = spec.currency
    return found


def collateral(market: MarketView, known: SeawallParameters, currency: int) -> tuple[Fraction, Fraction]:
    """(largest counted move, haircut) of a currency.

    One without a name and without a coin-settled block is dollars where its price says so, else a coin like `others`.
    """
    coins = {number: market.blocks[block].underlying for block, number in coin_settled(market).items()}
    here = market.currencies[currency]
    name = coins.get(currency, here.name)
    moving = {item.underlying for item in market.blocks.values()}
    nameless = not name and not 1 - PEG <= here.price_usd <= 1 + PEG
    if nameless or name in moving or (name and name not in known.currencies):
        coin = known.of(name)
        return decimal(coin.price_range), decimal(coin.haircut)
    return Fraction(0), decimal(known.currencies.get(name, 0.0))


def _rate(item: CurrencyMarket, reach: Fraction, haircut: Fraction) -> Fraction:
    """Value atoms an atom that is lost. The market's markup of a dollar coin is what buying it costs, too."""
    return item.value_per_atom * (1 + (haircut if reach else max(haircut, decimal(item.markup))))


def _with_haircut(item: CurrencyMarket, reach: Fraction, haircut: Fraction) -> CurrencyMarket:
    owned = max(decimal(item.haircut), 1 - (1 - reach) * (1 - haircut))
    owed = max(decimal(item.markup), (1 + reach) * (1 + haircut) - 1)
    return replace(item, haircut=float(owned), markup=float(owed))


class _Block:
    """One block: its scenarios, value atoms an atom (`rate`), what its instruments and exposures are charged."""

    def __init__(
        self,
        market: MarketView,
        block: int,
        known: SeawallParameters,
        pool: ChargePool,
        rate: Fraction,
        *,
        listed: int,
        in_coin: bool,
    ) -> None:
        self.market, self.known, self.pool, self.rate, self.listed = market, known, pool, rate, listed
        self.here = market.blocks[block]
        self.coin = known.of(self.here.underlying)
        self.scenarios = scenario_set(known, self.coin)
        self.moves = np.array([float(1 + scenario.move) for scenario in self.scenarios])
        self.moved = [1 + scenario.move if in_coin else Fraction(1) for scenario in self.scenarios]
        """What an atom is worth in each scenario, over what it is now."""
        self.parts = [
            rate * scenario.coverage * moved for scenario, moved in zip(self.scenarios, self.moved, strict=True)
        ]

    def charges(self) -> tuple[tuple[int, int], ...]:
        """Indices by exposure and row, in the order of `vocabulary.publication`."""
        depth = self.here.depth_usd
        net = [self._both_sides(net_delta_charge(self.coin, row, depth)) for row in range(ROWS)]
        found = [(net[0], net[1])]
        for name, sides in (("gross_delta", (1,)), ("net_vega", (-1, 1)), ("gross_vega", (1,))):
            rates = [math.ceil(decimal(rate) * UNIT) for rate in getattr(self.coin, name)]
            rows = [self.pool.index(*((side * rate, 0) for side in sides)) for rate in rates]
            found.append((rows[0], rows[1]))
        return tuple(found)

    def instrument(self, number: int, item: InstrumentMarket) -> InstrumentRisk:
        """The integers of one instrument."""
        rate, option = self.rate, item.spec.product == Product.OPTION
        if option:
            u, inexact = self._option(item)
            weight = math.ceil(underlying_atoms(item.spec, item.forward) * rate)
            delta, vega = option_exposures(item, self.market.time_ns, rate)
        else:
            u, inexact, value = self._future(item)
            delta, vega, weight = round_away(value), 0, abs(round_away(value))
        charges = self._of_position(item, weight, option=option)
        cap = self._gain_cap(item)
        return InstrumentRisk(number, item.mark_ticks, u, inexact, weight, delta, vega, cap, charges)

    def _future(self, item: InstrumentMarket) -> tuple[tuple[int, ...], int, Fraction]:
        """(u, inexact, value of a lot). In coin the change m/(1 + m) at the moved price is m again."""
        spec = item.spec
        inverse = spec.form == Form.INVERSE
        lot = Fraction(spec.multiplier, item.mark_ticks) if inverse else Fraction(spec.multiplier * item.mark_ticks)
        value = lot * self.rate
        parts = [
            scenario.counted * (1 if inverse else moved)
            for scenario, moved in zip(self.scenarios, self.moved, strict=True)
        ]
        return *_floors([(value.numerator, value.denominator)] * len(parts), parts), value

    def _option(self, item: InstrumentMarket) -> tuple[tuple[int, ...], int]:
        mark = item.mark_ticks * item.spec.multiplier
        ratios = [value.as_integer_ratio() for value in self.option_values(item)]
        changes = [(top - mark * bottom, bottom) for top, bottom in ratios]
        return _floors([(0, 1), *changes[1:]], self.parts)

    def option_values(self, item: InstrumentMarket) -> list[float]:
        """Atoms that one lot of an option is worth in each scenario, before coverage; doubles."""
        spec, time_ns = item.spec, self.market.time_ns
        days, years = (spec.expiry - time_ns) / black76.NANOSECONDS_PER_DAY, black76.years_to(spec.expiry, time_ns)
        shocked = shocked_volatilities(self.known, self.coin, item.volatility, days)
        volatilities = volatilities_in(self.scenarios, shocked)
        values: list[float] = black76.lot_values(spec, item.forward * self.moves, volatilities, years).tolist()
        return values

    def _of_position(self, item: InstrumentMarket, weight: int, *, option: bool) -> tuple[int, int]:
        interest = None if item.open_interest is None else Fraction(item.open_interest * weight, VALUE_ATOMS_PER_USD)
        rows = []
        for row in range(ROWS):
            long, short = (position_charge(self.coin, row, interest, sold=sold) for sold in (False, option))
            rows.append(self.pool.index(*sided_lines(envelope(long), envelope(short))))
        return rows[0], rows[1]

    def _both_sides(self, charge: SizeCharge) -> int:
        lines = envelope(charge)
        return self.pool.index(*sided_lines(lines, lines))

    def _gain_cap(self, item: InstrumentMarket) -> int:
        """Atoms of its currency that session gains count up to: the block's depth, shared by what it lists."""
        coin = self.coin
        if coin.gain_cap is None:
            return bounds.NO_CAP
        depth = coin.depth_at(self.here.depth_usd)
        dollars = decimal(coin.gain_cap) * decimal(coin.price_range) * decimal(depth)
        value = self.market.currencies[item.spec.currency].value_per_atom
        return min(bounds.NO_CAP - 1, math.floor(dollars * VALUE_ATOMS_PER_USD / value / self.listed))


@lru_cache(maxsize=4096)
def envelope(charge: SizeCharge) -> tuple[tuple[int, int], ...]:
    """Lines for exposures from 0 up, in value atoms, whose maximum is nowhere below the charge; at most eight."""
    made = replace(charge, scale=charge.scale * VALUE_ATOMS_PER_USD)
    through_zero = ((math.ceil(made.linear * UNIT), 0),)
    if not made.rate:
        return through_zero
    start, low, high = math.floor(made.start), 0, math.floor(made.end)
    while low < high:  # the furthest point from which a line of slope 1 keeps an intercept that the engine takes
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle - made.at(middle) <= bounds.CHARGE_INTERCEPT_MAX else (low, middle - 1)
    knots = [start] if start < low else []
    if knots:
        first = max(start, low / FINEST)
        inner = {int(first * (low / first) ** (step / CHORDS)) for step in range(1, CHORDS)}
        knots += [*sorted(knot for knot in inner if start < knot < low), low]
    return (*through_zero, *chord_lines(made.at, knots), (UNIT, min(0, math.ceil(made.at(low)) - low)))


def option_exposures(item: InstrumentMarket, time_ns: int, rate: Fraction) -> tuple[int, int]:
    """(delta, vega) of one lot of an option in value atoms, rounded away from zero; `rate` is value atoms an atom.

    delta: change of settlement value for a relative move of the forward by 1.00, at the tangent (coin-settled: delta
    less the mark, since coins paid for it would have risen). vega: the same for a relative move of volatility.
    """
    spec, forward = item.spec, item.forward
    years = black76.years_to(spec.expiry, time_ns)
    slope = float(black76.delta(forward, float(spec.strike), item.volatility, years, float(spec.option_type)))
    sensitivity = item.volatility * float(black76.vega(forward, float(spec.strike), item.volatility, years))
    dollars, per_unit = forward * slope, float(spec.delivery_multiplier)
    if spec.delivery_form == Form.INVERSE:
        mark = item.mark_ticks * spec.multiplier / spec.delivery_multiplier
        dollars, per_unit = dollars - mark * forward, per_unit / forward
    return round_away(Fraction(dollars * per_unit) * rate), round_away(Fraction(sensitivity * per_unit) * rate)


def _floors(changes: Sequence[tuple[int, int]], parts: Sequence[Fraction]) -> tuple[tuple[int, ...], int]:
    """(u, inexact): floors of the changes (numerator, denominator) times their parts, and whether any was not whole."""
    divided = [
        divmod(top * part.numerator, bottom * part.denominator)
        for (top, bottom), part in zip(changes, parts, strict=True)
    ]
    return tuple(quotient for quotient, _ in divided), int(any(remainder for _, remainder in divided))
