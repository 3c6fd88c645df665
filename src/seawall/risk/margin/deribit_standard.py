"""Model "deribit-standard": a charge on each position by itself. Each settlement currency is a block, in its coin.

The formulas, exact, are those of `seawall.risk.standard`; q is the position in coins at the mark, and linear contracts
are charged the same fractions of their dollar value. Long options ask nothing, of an equity that leaves option value
out: so `equity` here is balances and the profit of futures (the venue's margin balance).
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, ClassVar

from seawall.risk.margin.parameter_sets import ParameterSet
from seawall.risk.margin.portfolio import Market, Portfolio, Position, Struct
from seawall.risk.margin.report import Block, Contribution, MarginReport
from seawall.risk.margin.rules import PublishedRules, one_currency, total
from seawall.risk.margin.valuation import coins, profit
from seawall.risk.market import MarketView
from seawall.risk.standard import (
    Pair,
    SizeSchedule,
    StandardMargin,
    StandardParameters,
    futures_margin,
    short_option_margin,
)
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import decimal
from seawall.vocabulary.publication import Publication


class Schedule(Struct, frozen=True):
    """Futures of one underlying, in millionths: of value, and more for each coin of position."""

    initial_ppm: int
    maintenance_ppm: int
    per_coin_ppm: int


class DeribitStandardParameters(Struct, frozen=True):
    """As `seawall.risk.standard.StandardParameters`."""

    schedules: dict[str, Schedule]
    option_initial_ppm: int
    option_initial_floor_ppm: int
    option_maintenance_ppm: int


@dataclass(frozen=True)
class DeribitStandard(PublishedRules[DeribitStandardParameters]):
    """The published schedules."""

    name: ClassVar[str] = "deribit-standard"
    kind: ClassVar[Any] = DeribitStandardParameters
    counts_options: ClassVar[bool] = False

    def publish(self, market: MarketView) -> Publication:
        """What the engine enforces of it. Raises InputError for a bad view."""
        empty = Portfolio(format=1, time=market.time_ns // 1_000_000, market=Market(underlyings={}))
        known = self.known(empty)
        return StandardMargin(standard_parameters(known.parameters, known.effective)).publish(market)

    def margin(self, portfolio: Portfolio, known: ParameterSet[DeribitStandardParameters]) -> MarginReport:
        """The requirement of positions and balances, orders aside."""
        rules = standard_parameters(known.parameters, known.effective)
        single, rates = one_currency(portfolio)
        contributions = []
        for item in portfolio.positions:
            rows = _margin(portfolio, rules, item)
            name = portfolio.instrument(item).currency
            contributions.append(Contribution(name, "position", item.instrument, float(rows[0]), float(rows[1])))
        blocks = [
            Block(
                currency,
                currency,
                sum(item.initial for item in contributions if item.block == currency),
                sum(item.maintenance for item in contributions if item.block == currency),
            )
            for currency in rates
        ]
        equity = sum(amount * rates[currency] for currency, amount in portfolio.balances.items())
        equity += sum(
            profit(portfolio, item) * rates[portfolio.instrument(item).currency]
            for item in portfolio.positions
            if portfolio.instrument(item).kind != "option"
        )
        initial, maintenance = total(blocks, rates)
        return MarginReport(
            self.name, known.effective, known.source, single, equity, initial, maintenance, blocks, contributions
        )


def standard_parameters(parameters: DeribitStandardParameters, effective: date) -> StandardParameters:
    """The data file's numbers as the exact formulas take them. Raises ConfigurationError for one out of range."""
    schedules = {
        name: SizeSchedule(item.initial_ppm, item.maintenance_ppm, item.per_coin_ppm)
        for name, item in parameters.schedules.items()
    }
    return StandardParameters(
        effective,
        schedules,
        parameters.option_initial_ppm,
        parameters.option_initial_floor_ppm,
        parameters.option_maintenance_ppm,
    )


def _margin(portfolio: Portfolio, rules: StandardParameters, position: Position) -> Pair:
    """(initial, maintenance) of one position in its settlement currency."""
    item = portfolio.instrument(position)
    if item.kind != "option":
        schedule = rules.schedules.get(item.underlying)
        if schedule is None:
            raise InputError("underlying", item.underlying, f"must be one of {sorted(rules.schedules)}")
        initial, maintenance = futures_margin(schedule, Fraction(coins(portfolio, position)))
        unit = Fraction(1) if item.form == "inverse" else Fraction(portfolio.mark_of(position.instrument))
        return initial * unit, maintenance * unit
    if position.size >= 0:
        return Fraction(0), Fraction(0)
    assert item.strike is not None
    forward, strike = (decimal(value) for value in (portfolio.expiry_of(position.instrument).forward, item.strike))
    mark = decimal(portfolio.mark_of(position.instrument))
    unit = Fraction(1) if item.form == "inverse" else forward
    otm = max(Fraction(0), int(item.sign) * (strike - forward)) / forward
    initial, maintenance = short_option_margin(rules, int(item.sign), otm, mark / unit)
    sold = decimal(-position.size) * decimal(item.contract_size) * unit
    return initial * sold, maintenance * sold
