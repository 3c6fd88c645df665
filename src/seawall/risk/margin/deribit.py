"""Model "deribit-portfolio": the extended risk matrix of Deribit. Each settlement currency is a block, in its coin.

    matrix     9 price moves of -range .. +range times volatility up, same, down: P&L of each instrument in its currency
    extended   moves of -66 %, -33 %, +50 %, +100 %, .. +500 %, volatility up only, at a fraction of the P&L such that a
               future gains or loses there what it does at the end of the range
    pair       sum over instruments of one underlying; of a gain the fraction `pnl_offset` counts, up to
               `max_offsetable_pnl` dollars; in the extended table losses only, less `extended_dampener` dollars in all
    worst      minus the least entry of both tables, rounded to 9 decimals
    roll shock sum over expiries of |net delta| * max(min_annualised_move, annualised_move_risk * years)
    matrix margin = worst + roll shock + delta shock + correlation contingency
    initial    matrix margin + spot, protection and open-order margin (given in `parameters.add_ons`), 9 decimals
    maintenance 0.8 * matrix margin

An inverse future's P&L is position * m/(1 + m), concave in the price. An option's is its Black-76 value at the
moved forward and volatility less that at the mark volatility, an inverse one's in coin; its net delta is the Black
delta less the premium, in coin. Volatility up is max(v*(1 + up*s), floor), down max(v*(1 - down*s), 0), with
s = (30/days)^power. In the last half hour the share of the settlement average still open is what moves.

What is not published, and what stands here instead: the delta shock (zero up to its threshold of net delta; beyond it
`max_delta_shock` of the excess, noted in the answer); the growth of the range with size (`m_inc`: not applied, and not
seen in either published response); the fraction for options (the support page says "only a fraction of simulated P&L",
the responses show it for futures: the same one serves options here, so that hedges stay hedges).

Source: Deribit, API reference, private/pme/simulate, with its response example; a response of 15 February 2026; support
pages Portfolio Margin and Delta decay during settlement. The published cases hold futures only; the volatility rule is
a third party's description (OREOME, Advanced Risk Scenarios).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import msgspec
import numpy as np

from seawall.risk.margin.parameter_sets import ParameterSet
from seawall.risk.margin.portfolio import SETTLEMENT_MILLISECONDS, Days, Instrument, Portfolio, Position, Share, Struct
from seawall.risk.margin.report import Block, Contribution, MarginReport, ScenarioResult, rounded
from seawall.risk.margin.rules import PublishedRules, equity_of, one_currency, total
from seawall.risk.margin.valuation import (
    Float64Array,
    Options,
    coins,
    option_values,
    options_among,
    term_scale,
    years_to,
)
from seawall.risk.market import MarketView
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import Publication

DIGITS: Final = 9
DIRECTIONS: Final = ("up", "same", "down")


Dollars = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Pair(Struct, frozen=True):
    """Parameters of one underlying."""

    price_range: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    volatility_range_up: Share
    volatility_range_down: Share
    min_volatility_for_shock_up: Share
    short_term_vega_power: Share
    long_term_vega_power: Share
    max_delta_shock: Share
    delta_total_liq_shock_threshold: Dollars
    extended_table_factor: Share = 1.0
    m_inc: Share = 0.0


class Settlement(Struct, frozen=True):
    """Parameters of one settlement currency."""

    pnl_offset: Share
    max_offsetable_pnl: Dollars
    extended_dampener: Dollars
    annualised_move_risk: Share
    min_annualised_move: Share


class AddOns(Struct, frozen=True):
    """What the venue adds to one currency for things outside the matrix; given, not computed."""

    spot_margin: Dollars = 0.0
    mmp_margin: Dollars = 0.0
    open_orders_margin: Dollars = 0.0
    correlation_contingency: Dollars = 0.0


class DeribitParameters(Struct, frozen=True):
    """`pairs` by underlying, `currencies` and `add_ons` by settlement currency."""

    pairs: dict[str, Pair]
    currencies: dict[str, Settlement]
    extended_moves: tuple[Annotated[float, msgspec.Meta(gt=-1, le=1e3)], ...]
    mm_factor: Share
    buckets_count: Annotated[int, msgspec.Meta(ge=1, le=100)]
    dte_floor: Days
    add_ons: dict[str, AddOns] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One position: P&L in the matrix (27,) and the extended table (8,), delta in coins, its expiry (0: none)."""

    position: Position
    underlying: str
    standard: Float64Array
    extended: Float64Array
    delta: float
    expiry: int


@dataclass(frozen=True)
class DeribitPortfolio(PublishedRules[DeribitParameters]):
    """The risk matrix, currency by currency (segregated portfolio margin)."""

    name: ClassVar[str] = "deribit-portfolio"
    kind: ClassVar[Any] = DeribitParameters

    def publish(self, market: MarketView) -> Publication:
        """What the engine enforces of it. Raises InputError for a bad view."""
        from seawall.risk.margin.publishing import publish_deribit

        return publish_deribit(market, self)

    def margin(self, portfolio: Portfolio, known: ParameterSet[DeribitParameters]) -> MarginReport:
        """The requirement of positions and balances, orders aside."""
        single, rates = one_currency(portfolio)
        blocks, contributions, notes = [], [], []
        for currency in rates:
            block, added, said = _block(portfolio, known.parameters, currency)
            blocks.append(block)
            contributions += added
            notes += said
        equity = equity_of(portfolio, rates.__getitem__)
        initial, maintenance = total(blocks, rates)
        return MarginReport(
            self.name, known.effective, known.source, single, equity, initial, maintenance,
            blocks, contributions, {}, notes,
        )  # fmt: skip


def _block(
    portfolio: Portfolio, parameters: DeribitParameters, currency: str
) -> tuple[Block, list[Contribution], list[str]]:
    mine = [item for item in portfolio.positions if portfolio.instrument(item).currency == currency]
    lines = position_lines(portfolio, parameters, mine)
    if lines:
        settlement_of(parameters, currency)
    tables = _Tables(portfolio, parameters, currency, lines)
    roll, delta, notes = _roll_and_delta(portfolio, parameters, currency, lines)
    given = parameters.add_ons.get(currency, AddOns())
    worst = rounded(tables.worst, DIGITS)
    matrix = worst + roll + delta + given.correlation_contingency
    factor = parameters.mm_factor
    outside = given.spot_margin + given.mmp_margin + given.open_orders_margin
    initial = rounded(matrix + outside, DIGITS)
    contributions = tables.contributions(factor)
    rest = [
        ("roll shock", (roll, factor * roll)),
        ("delta shock", (delta, factor * delta)),
        ("correlation contingency", (given.correlation_contingency, factor * given.correlation_contingency)),
        ("spot margin", (given.spot_margin, 0.0)),
        ("market maker protection", (given.mmp_margin, 0.0)),
        ("open orders margin", (given.open_orders_margin, 0.0)),
        ("rounding", (initial - matrix - outside + worst - tables.worst, factor * (worst - tables.worst))),
    ]
    contributions += [Contribution(currency, "add-on", name, *rows) for name, rows in rest if rows[0]]
    figures = {
        **tables.figures(),
        "worst_case": tables.worst,
        "worst_case_index": tables.deciding + 1,
        "roll_shock": roll,
        "delta_shock": delta,
        "correlation_contingency": given.correlation_contingency,
        "risk_matrix_margin": matrix,
        "initial_margin": initial,
        "maintenance_margin": factor * matrix,
    }
    deciding = tables.names[tables.deciding] if tables.worst else None
    return (
        Block(currency, currency, initial, factor * matrix, tables.results(), deciding, figures),
        contributions,
        notes,
    )


class _Tables:
    """Both tables of one currency: by instrument, by pair before offsets, and as they count."""

    def __init__(
        self, portfolio: Portfolio, parameters: DeribitParameters, currency: str, lines: Sequence[Line]
    ) -> None:
        self.currency, self.lines = currency, lines
        self.pairs = sorted({line.underlying for line in lines})
        standard, extended = _moves(parameters)
        self.names = [
            f"price {number:+d}/{parameters.buckets_count} of the range, volatility {word}" for number, word in standard
        ] + [f"extended: price {move:+.0%}, volatility up" for move in extended]
        count = len(standard)
        self.raw = {
            pair: sum(
                (np.append(line.standard, line.extended) for line in lines if line.underlying == pair),
                np.zeros(len(self.names)),
            )
            for pair in self.pairs
        }
        dollars = portfolio.price_of(currency)
        settled = parameters.currencies.get(currency)
        self.shares: dict[str, Float64Array] = {}
        """By pair, the fraction of each entry that counts."""
        for pair, table in self.raw.items():
            assert settled is not None
            most = settled.max_offsetable_pnl / dollars
            capped = most / np.where(table * settled.pnl_offset > most, table, 1.0)
            offset = np.where(table * settled.pnl_offset > most, capped, settled.pnl_offset)
            share = np.where(table > 0, offset, 1.0)
            share[count:] = np.where(table[count:] > 0, 0.0, parameters.pairs[pair].extended_table_factor)
            self.shares[pair] = share
        counted = sum((self.raw[pair] * self.shares[pair] for pair in self.pairs), np.zeros(len(self.names)))
        dampener = settled.extended_dampener / dollars if settled is not None else 0.0
        self.dampened = np.zeros(len(self.names))
        """What the dampener takes off each extended loss."""
        self.dampened[count:] = np.minimum(dampener, -counted[count:])
        self.counted = counted + self.dampened
        self.count = count
        self.deciding = int(np.argmin(self.counted))
        self.worst = max(0.0, -float(self.counted[self.deciding]))

    def contributions(self, factor: float) -> list[Contribution]:
        """Each position's loss as counted in the deciding entry, and what the dampener takes off."""
        if not self.worst:
            return []
        made = []
        for line in self.lines:
            entry = float(np.append(line.standard, line.extended)[self.deciding])
            loss = -entry * float(self.shares[line.underlying][self.deciding])
            made.append(
                Contribution(
                    self.currency, "position", line.position.instrument, loss, factor * loss, {"delta": line.delta}
                )
            )
        off = -float(self.dampened[self.deciding])
        return [*made, Contribution(self.currency, "add-on", "extended dampener", off, factor * off)] if off else made

    def results(self) -> list[ScenarioResult]:
        """Rows of both tables."""
        pnl = sum(self.raw.values(), np.zeros(len(self.names)))
        return [
            ScenarioResult(name, raw, line)
            for name, raw, line in zip(self.names, pnl.tolist(), self.counted.tolist(), strict=True)
        ]

    def figures(self) -> dict[str, Any]:
        """Risk vectors as the venue names them."""

        def split(table: Float64Array) -> dict[str, list[float]]:
            return {"standard": table[: self.count].tolist(), "extended": table[self.count :].tolist()}

        return {
            "initial_risk_vectors": {
                line.position.instrument: split(np.append(line.standard, line.extended)) for line in self.lines
            },
            "pre_aggregated": {pair: split(table) for pair, table in self.raw.items()},
            "aggregated": split(self.counted),
        }


def _moves(parameters: DeribitParameters) -> tuple[list[tuple[int, str]], Sequence[float]]:
    """(steps of the range, volatility word) of the matrix, lowest price first; moves of the extended table."""
    steps = range(-parameters.buckets_count, parameters.buckets_count + 1)
    return [(step, word) for step in steps for word in DIRECTIONS], parameters.extended_moves


def position_lines(portfolio: Portfolio, parameters: DeribitParameters, positions: Sequence[Position]) -> list[Line]:
    """Positions in both tables. Raises InputError where a number they need is missing."""
    standard, extended = _moves(parameters)
    if 0.0 in extended:
        raise InputError("parameters.extended_moves", 0.0, "must not be 0: no fraction of it ends where the range does")
    tails = np.array(extended)
    options = options_among(portfolio, positions)
    pairs = [pair_of(parameters, portfolio.instrument(item).underlying) for item in positions]
    steps = [np.array([pair.price_range * step / parameters.buckets_count for step, _ in standard]) for pair in pairs]
    shares = [_open_share(portfolio, portfolio.instrument(item)) for item in positions]
    tables: dict[int, tuple[Float64Array, float]] = {}
    for at, position in enumerate(positions):
        item = portfolio.instrument(position)
        if item.kind != "option":
            held, reach = coins(portfolio, position), pairs[at].price_range
            unit = 1.0 if item.form == "inverse" else portfolio.mark_of(position.instrument)
            capped = np.append(steps[at], np.clip(tails, -reach, reach)) * shares[at]
            tables[at] = held * unit * _gain(capped, item.form), held
    if options.at:
        words = [DIRECTIONS.index(word) for _, word in standard] + [DIRECTIONS.index("up")] * len(tails)
        moves = np.array([np.append(steps[at], tails) * shares[at] for at in options.at])
        forwards = options.forwards[:, None] * np.column_stack([1 + moves, np.ones(len(options.at))])
        shocked = _volatilities(parameters, [pairs[at] for at in options.at], options)
        shocked = np.column_stack([shocked[:, words], options.volatilities])
        values = option_values(options.instruments, forwards, shocked, options.years)
        deltas = options.deltas
        for row, (at, item) in enumerate(zip(options.at, options.instruments, strict=True)):
            pnl = options.sizes[row] * (values[row, :-1] - values[row, -1])
            ends = np.clip(tails, -pairs[at].price_range, pairs[at].price_range)
            pnl[len(standard) :] *= _gain(ends, item.form) / _gain(tails, item.form)
            premium = values[row, -1] if item.form == "inverse" else 0.0
            tables[at] = pnl, float(options.sizes[row] * (deltas[row] - premium))
    made = []
    for at, position in enumerate(positions):
        item, (pnl, delta) = portfolio.instrument(position), tables[at]
        both = pnl[: len(standard)], pnl[len(standard) :]
        made.append(Line(position, item.underlying, *both, delta * shares[at], item.expiry or 0))
    return made


def pair_of(parameters: DeribitParameters, underlying: str) -> Pair:
    """Parameters of an underlying. Raises InputError where there are none."""
    if underlying not in parameters.pairs:
        raise InputError("underlying", underlying, f"must be one of {sorted(parameters.pairs)}")
    return parameters.pairs[underlying]


def _open_share(portfolio: Portfolio, item: Instrument) -> float:
    """Of the average that a contract settles at, the share still open."""
    return 1.0 if item.expiry is None else min(1.0, (item.expiry - portfolio.time) / SETTLEMENT_MILLISECONDS)


def _gain(moves: Float64Array, form: str) -> Float64Array:
    """What one coin of a future gains, as a fraction; so written, the published responses come out to the last bit."""
    return moves / (1 + moves) if form == "inverse" else moves


def _volatilities(parameters: DeribitParameters, pairs: Sequence[Pair], options: Options) -> Float64Array:
    """(options, 3): up, same, down."""
    rows = []
    for pair, volatility, days in zip(pairs, options.volatilities.tolist(), options.days.tolist(), strict=True):
        powers = pair.short_term_vega_power, pair.long_term_vega_power
        scale = term_scale(days, parameters.dte_floor, *powers, short_at_switch=False)
        up = max(volatility * (1 + pair.volatility_range_up * scale), pair.min_volatility_for_shock_up)
        rows.append([up, volatility, max(0.0, volatility * (1 - pair.volatility_range_down * scale))])
    return np.array(rows)


def _roll_and_delta(
    portfolio: Portfolio, parameters: DeribitParameters, currency: str, lines: Sequence[Line]
) -> tuple[float, float, list[str]]:
    """(roll shock, delta shock) in the currency, and what has to be said about the second."""
    roll = shock = 0.0
    notes = []
    deltas: dict[tuple[str, int], float] = {}
    for line in lines:
        key = line.underlying, line.expiry
        deltas[key] = deltas.get(key, 0.0) + line.delta
    for (underlying, time), delta in deltas.items():
        settled = parameters.currencies[currency]
        roll += abs(delta) * per_coin(portfolio, underlying, currency) * roll_rate(portfolio, settled, time)
    for underlying in {line.underlying for line in lines}:
        pair = parameters.pairs[underlying]
        total = sum(delta for (name, _), delta in deltas.items() if name == underlying)
        threshold = pair.delta_total_liq_shock_threshold / portfolio.market.underlyings[underlying].index
        beyond = max(0.0, abs(total) - threshold)
        shock += pair.max_delta_shock * beyond * per_coin(portfolio, underlying, currency)
        if beyond:
            notes.append(
                f"net delta of {underlying} is beyond {pair.delta_total_liq_shock_threshold:,.0f} USD, where no formula"
                f" of the venue's delta shock is public: {pair.max_delta_shock:.0%} of the excess is charged"
            )
    return roll, shock, notes


def settlement_of(parameters: DeribitParameters, currency: str) -> Settlement:
    """Parameters of a settlement currency. Raises InputError where there are none."""
    if currency not in parameters.currencies:
        raise InputError("currency", currency, f"must be one of {sorted(parameters.currencies)}")
    return parameters.currencies[currency]


def roll_rate(portfolio: Portfolio, settled: Settlement, expiry: int) -> float:
    """Fraction of its value charged for the net delta of an expiry, 0 standing for the perpetual."""
    years = years_to(portfolio, expiry) if expiry else 0.0
    return max(settled.min_annualised_move, settled.annualised_move_risk * years)


def per_coin(portfolio: Portfolio, underlying: str, currency: str) -> float:
    """Units of the settlement currency for one coin of the underlying."""
    if underlying == currency:
        return 1.0
    return portfolio.market.underlyings[underlying].index / portfolio.price_of(currency)
