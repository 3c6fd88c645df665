"""Model "seawall", ours: one maximum for each underlying over everything that moves with it, collateral included.

Scenarios. The first 27 are regular and serve both rows: price -range .. +range in steps times volatility up, same,
down; index 0 is the null one. The other 8 are extended moves with volatility up, for the initial row only. An extended
move counts at a fraction, its coverage, range / move: so that a position of delta one loses in it exactly what it loses
at the edge of the regular range, and what extended scenarios add is the convexity of options. Volatility up is
max(v*(1 + up*a), floor, v), down v*(1 - down*a), with a = (30 / max(days, 1))^power, the power by days to expiry. Time
does not pass, and the forward of each expiry moves with the index.

Scenario loss. Everything is in dollars of the scenario: a coin-settled contract changes by its change in coins at the
moved price, which for an inverse future is its size times the move; an option by its Black-76 value less its mark. Let
X be all coins of the underlying, owned or owed: balance, unpaid profit, coin-settled options at their marks. With G the
change of what settles in the coin and M that of the rest,

    loss(s) = e(X*P) - e(X*P*(1 + m) + G(s)) - e'(M(s)),     e(y) = y*(1 - haircut) where y > 0, y*(1 + haircut) else

e' the same with the haircut of the dollar coin. So collateral falls in the scenario in which the book loses (wrong-way
risk), and coins held against a short in the same coin are the hedge they are. The requirement takes the largest loss,
at least 0; underlyings add, since no joint moves of several are promised.

Charges, on top, each a fraction of an exposure in dollars:

    net delta      `net_delta`, the buffer between the rows, and beyond the depth D that can be closed within the margin
                   period the liquidity horizon: rate * x * (sqrt(x/D) - 1). Closing x takes x/D margin periods, and
                   what a price may move grows with the root of time; so does the impact of a sale with its size
                   (A. Almgren, C. Thum, E. Hauptmann, H. Li, "Direct estimation of equity market impact", 2005; J.-P.
                   Bouchaud, J. D. Farmer, F. Lillo, "How markets slowly digest changes in supply and demand", 2009)
    gross delta    basis and calendar moves
    gross vega     moves of one expiry against another
    sold options   far out of the money, where no scenario reaches
    concentration  of one position of notional x: rate * x * (x/O - free), O the open interest, a published snapshot

Depth and concentration are of a block (underlying and settlement currency) and of an instrument. They are meant to grow
faster than size, so two books of one owner merged are asked more than each by itself; an owner with n accounts is asked
F(n*x)/n in each, which is never less in sum however it is split. All else is subadditive.

Gains of an instrument with a cap count for equity up to it, and in scenarios not at all: a price that one trader can
move makes no collateral (Mango Markets, October 2022). `gain_cap` * D * range is the block's: its instruments share it
in equal parts, or every new listing would grant another; and so do an owner's n accounts. Options are not capped here;
the engine caps theirs too, so its excess is the lower one.

Sources: scenario grid, extended table and volatility powers: Deribit, "Portfolio margin", private/pme/simulate, and
Paradex documentation, "Portfolio margin" (tail weights = price range / move). CME SPAN counts its extreme moves at 33
to 35 %. Ranges, rates and depths are ours: docs/margin.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from seawall.risk import black76
from seawall.risk.margin.parameter_sets import ParameterSet, day_of, versions
from seawall.risk.margin.portfolio import USD, Instrument, Portfolio, Position
from seawall.risk.margin.report import Block, Contribution, MarginReport, ScenarioResult
from seawall.risk.margin.rules import PublishedRules, total
from seawall.risk.margin.seawall_parameters import (
    Scenario,
    SeawallParameters,
    UnderlyingParameters,
    net_delta_charge,
    position_charge,
    regular_scenarios,
    scenario_set,
    shocked_volatilities,
    volatilities_in,
)
from seawall.risk.margin.valuation import Float64Array, coins, fair_mark, option_values, options_among, profit, worth
from seawall.risk.market import MarketView
from seawall.vocabulary.publication import INITIAL, MAINTENANCE, ROWS, Publication

Amounts = tuple[float, float]
"""Dollars, (initial, maintenance)."""


@dataclass(frozen=True)
class Seawall(PublishedRules[SeawallParameters]):
    """Our model."""

    name: ClassVar[str] = "seawall"
    kind: ClassVar[Any] = SeawallParameters
    by_owner: ClassVar[bool] = True
    moves_collateral: ClassVar[bool] = True

    def publish(self, market: MarketView) -> Publication:
        """What the engine enforces of it. Raises InputError for a bad view."""
        from seawall.risk.margin.seawall_publishing import publish_seawall

        return publish_seawall(market, self)

    def depth(self, underlying: str) -> float:
        """Dollars of a block that count as depth at most: where a published one starts from. Raises InputError."""
        return self.fitted().of(underlying).depth

    def known(self, portfolio: Portfolio, as_of: date | None = None) -> ParameterSet[SeawallParameters]:
        """The parameters in force; the first also for the days before it, where nobody published another."""
        day = day_of(portfolio) if as_of is None else as_of
        found = super().known(portfolio, max(day, versions(self.name)[0][0]))
        found.parameters.check()
        return found

    def check(self) -> None:
        """Raise InputError where the house's parameters do not fit the newest data file, or each other."""
        self.fitted().check()

    def margin(self, portfolio: Portfolio, known: ParameterSet[SeawallParameters]) -> MarginReport:
        """The requirement of positions and balances, orders aside; always in dollars."""
        parameters = known.parameters
        held = _held(portfolio, parameters)
        blocks: list[Block] = []
        contributions: list[Contribution] = []
        moving = {portfolio.instrument(item).underlying for item in portfolio.positions}
        moving |= {name for name, amount in held.items() if amount and _is_coin(portfolio, parameters, name)}
        for underlying in sorted(moving):
            made = _Book(portfolio, parameters, underlying, held.get(underlying, 0.0))
            blocks.append(made.block())
            contributions += made.contributions
        equity = sum(
            _counted(amount * portfolio.price_of(name), _haircut(portfolio, parameters, name))
            for name, amount in sorted(held.items())
        )
        required = total(blocks, {USD: 1.0})
        notes = _notes(portfolio, parameters)
        return MarginReport(
            self.name, known.effective, known.source, USD, equity, *required, blocks, contributions, {}, notes
        )


def _held(portfolio: Portfolio, parameters: SeawallParameters) -> dict[str, float]:
    """All of each currency: balances and what positions are worth, gains up to their caps."""
    held = dict(portfolio.balances)
    listed = Counter((item.underlying, item.currency) for item in portfolio.market.instruments.values())
    for item in portfolio.positions:
        spec = portfolio.instrument(item)
        cap = gain_cap(portfolio, parameters, spec, listed[spec.underlying, spec.currency])
        value = worth(portfolio, item)
        if cap is not None and spec.kind != "option":
            value = min(profit(portfolio, item), cap)
        held[spec.currency] = held.get(spec.currency, 0.0) + value
    return held


def gain_cap(portfolio: Portfolio, parameters: SeawallParameters, item: Instrument, listed: int) -> float | None:
    """What the session gain of one of a block's `listed` instruments counts up to in each account, in its currency.

    None for all of it.
    """
    coin = parameters.of(item.underlying)
    if coin.gain_cap is None:
        return None
    dollars = coin.gain_cap * coin.price_range * depth_of(portfolio, coin, item.underlying)
    return dollars / portfolio.price_of(item.currency) / portfolio.owner_accounts / listed


def depth_of(portfolio: Portfolio, coin: UnderlyingParameters, underlying: str) -> float:
    """Dollars of a block that can be closed within the margin period: published, and at most the parameter."""
    known = portfolio.market.underlyings.get(underlying)
    return coin.depth_at(None if known is None else known.depth)


def _is_coin(portfolio: Portfolio, parameters: SeawallParameters, currency: str) -> bool:
    """Whether a currency moves: all do but the dollars that the parameters name."""
    return currency in portfolio.market.underlyings or currency not in parameters.currencies


def _haircut(portfolio: Portfolio, parameters: SeawallParameters, currency: str) -> float:
    if _is_coin(portfolio, parameters, currency):
        return parameters.of(currency).haircut
    return parameters.currencies[currency]


def _counted(dollars: float, haircut: float) -> float:
    """Owned less the haircut, owed and the haircut more."""
    return dollars - haircut * abs(dollars)


def _notes(portfolio: Portfolio, parameters: SeawallParameters) -> list[str]:
    unknown = [
        item.instrument
        for item in portfolio.positions
        if item.size and portfolio.instrument(item).open_interest is None
    ]
    notes = [f"open interest of {', '.join(unknown)} is not given: their share of it is not charged"] if unknown else []
    names = {portfolio.instrument(item).underlying for item in portfolio.positions} - set(parameters.underlyings)
    return notes + [f"{name} has no parameters of its own: those of others apply" for name in sorted(names)]


class _Book:
    """Everything that moves with one underlying."""

    def __init__(self, portfolio: Portfolio, parameters: SeawallParameters, underlying: str, held: float) -> None:
        self.portfolio, self.parameters, self.underlying = portfolio, parameters, underlying
        self.coin = parameters.of(underlying)
        self.scenarios = scenario_set(parameters, self.coin)
        self.index = portfolio.price_of(underlying)
        self.positions = [item for item in portfolio.positions if portfolio.instrument(item).underlying == underlying]
        self.pnl, self.exposures = position_lines(
            portfolio, parameters, self.coin, self.scenarios, self.positions, self.index
        )
        if self.coin.gain_cap is not None:
            self.pnl = np.minimum(0.0, self.pnl)
        self.losses = self._losses(held * self.index)
        regular = regular_scenarios(parameters)
        self.deciding = [int(np.argmax(self.losses)), int(np.argmax(self.losses[:regular]))]
        self.contributions = self._positions() + self._charges()

    def _losses(self, held: float) -> Float64Array:
        """(scenarios,) what the account loses in each."""
        moved = held * (1 + np.array([float(scenario.counted) for scenario in self.scenarios]))
        currencies = [self.portfolio.instrument(item).currency for item in self.positions]
        lost = np.full(len(self.scenarios), _counted(held, self.coin.haircut))
        for currency in sorted({*currencies, self.underlying}):
            mine = [at for at, name in enumerate(currencies) if name == currency]
            change = self.pnl[mine].sum(axis=0)
            haircut = _haircut(self.portfolio, self.parameters, currency)
            after = change + moved if currency == self.underlying else change
            lost -= after - haircut * np.abs(after)
        lost[0] = 0.0
        return lost

    def _positions(self) -> list[Contribution]:
        """Each position's loss in the deciding scenarios; what is left is the collateral's."""
        if not max(self.losses):
            return []
        rows = [-self.pnl[:, self.deciding[row]] for row in range(ROWS)]
        made = [
            Contribution(self.underlying, "position", item.instrument, float(rows[0][at]), float(rows[1][at]), detail)
            for at, (item, detail) in enumerate(zip(self.positions, self.exposures, strict=True))
        ]
        rest = [float(self.losses[self.deciding[row]] - rows[row].sum()) for row in range(ROWS)]
        return [*made, Contribution(self.underlying, "add-on", "wrong-way collateral", rest[0], rest[1])]

    def _charges(self) -> list[Contribution]:
        accounts, blocks = self.portfolio.owner_accounts, self._by_currency()
        amounts: dict[str, list[float]] = {}
        for row in (INITIAL, MAINTENANCE):
            asked = dict.fromkeys(("net delta", "liquidity horizon", "gross delta", "net vega", "gross vega"), 0.0)
            for mine in blocks:
                deltas, vegas = ([item[name] for item in mine] for name in ("delta", "vega"))
                charge = net_delta_charge(self.coin, row, depth_of(self.portfolio, self.coin, self.underlying))
                plain = self.coin.net_delta[row] * abs(sum(deltas))
                asked["net delta"] += plain
                asked["liquidity horizon"] += float(charge.at(Fraction(sum(deltas)), accounts)) - plain
                asked["gross delta"] += self.coin.gross_delta[row] * sum(map(abs, deltas))
                asked["net vega"] += self.coin.net_vega[row] * abs(sum(vegas))
                asked["gross vega"] += self.coin.gross_vega[row] * sum(map(abs, vegas))
            asked["sold options"] = asked["concentration"] = 0.0
            for position, exposure in zip(self.positions, self.exposures, strict=True):
                plain, grown = self._of_position(position, exposure["notional"], row, accounts)
                asked["sold options"] += plain
                asked["concentration"] += grown
            for name, value in asked.items():
                amounts.setdefault(name, []).append(max(0.0, value))
        return [
            Contribution(self.underlying, "add-on", name, initial, maintenance)
            for name, (initial, maintenance) in amounts.items()
            if initial
        ]

    def _by_currency(self) -> list[list[dict[str, float]]]:
        """Exposures of each block."""
        found: dict[str, list[dict[str, float]]] = {}
        for position, exposure in zip(self.positions, self.exposures, strict=True):
            found.setdefault(self.portfolio.instrument(position).currency, []).append(exposure)
        return list(found.values())

    def _of_position(self, position: Position, notional: float, row: int, accounts: int) -> Amounts:
        """(for being sold, for its share of open interest) of a position."""
        if not position.size:
            return 0.0, 0.0
        item = self.portfolio.instrument(position)
        interest = None if item.open_interest is None else Fraction(item.open_interest * notional / abs(position.size))
        sold = item.kind == "option" and position.size < 0
        plain = self.coin.sold_option[row] * notional if sold else 0.0
        if interest is None:
            return plain, 0.0
        charge = position_charge(self.coin, row, interest, sold=sold)
        return plain, float(charge.at(Fraction(notional), accounts)) - plain

    def block(self) -> Block:
        """The requirement of this underlying."""
        required = [sum(getattr(item, name) for item in self.contributions) for name in ("initial", "maintenance")]
        shares = [float(scenario.coverage) for scenario in self.scenarios]
        pnl = self.pnl.sum(axis=0)
        table = [
            ScenarioResult(scenario.name, float(raw / share), float(-lost))
            for scenario, raw, share, lost in zip(self.scenarios, pnl, shares, self.losses, strict=True)
        ]
        worst = self.losses[self.deciding[INITIAL]]
        figures = {
            name: sum(item[part] for item in self.exposures)
            for name, part in (("net_delta", "delta"), ("net_vega", "vega"))
        }
        figures["depth"] = depth_of(self.portfolio, self.coin, self.underlying)
        deciding = self.scenarios[self.deciding[INITIAL]].name if worst else None
        return Block(self.underlying, USD, required[0], required[1], table, deciding, figures)


def position_lines(
    portfolio: Portfolio,
    parameters: SeawallParameters,
    coin: UnderlyingParameters,
    scenarios: Sequence[Scenario],
    positions: Sequence[Position],
    index: float,
) -> tuple[Float64Array, list[dict[str, float]]]:
    """(positions, scenarios) profit in dollars of the scenario as counted, and exposures in dollars of each position.

    Exposures: `delta` and `vega` for relative moves by the whole, `notional` of the underlying.
    Raises InputError where a mark, volatility or forward is missing.
    """
    moves, counted, coverage = (
        np.array([float(getattr(scenario, name)) for scenario in scenarios]) for name in ("move", "counted", "coverage")
    )
    pnl = np.zeros((len(positions), len(scenarios)))
    exposures: list[dict[str, float]] = [{} for _ in positions]
    for at, position in enumerate(positions):
        item = portfolio.instrument(position)
        if item.kind != "option":
            price = index if item.form == "inverse" else portfolio.mark_of(position.instrument)
            price *= 1.0 if item.form == "inverse" else portfolio.price_of(item.currency)
            delta = coins(portfolio, position) * price
            pnl[at] = delta * counted
            exposures[at] = {"delta": delta, "vega": 0.0, "notional": abs(delta)}
    options = options_among(portfolio, positions)
    if not options.at:
        return pnl, exposures
    forwards = options.forwards[:, None] * (1 + moves)
    shocked = np.array(
        [
            volatilities_in(scenarios, shocked_volatilities(parameters, coin, volatility, days))
            for volatility, days in zip(options.volatilities.tolist(), options.days.tolist(), strict=True)
        ]
    )
    values = option_values(options.instruments, forwards, shocked, options.years)
    strikes = np.array([item.strike for item in options.instruments], float)
    vegas = black76.vega(options.forwards, strikes, options.volatilities, options.years) * options.volatilities
    for row, (at, item) in enumerate(zip(options.at, options.instruments, strict=True)):
        inverse = item.form == "inverse"
        mark = fair_mark(portfolio, positions[at].instrument)
        unit = index * (1 + moves) if inverse else portfolio.price_of(item.currency)
        pnl[at] = options.sizes[row] * (values[row] - mark) * unit * coverage
        pnl[at, 0] = 0.0
        dollars = index / options.forwards[row] if inverse else portfolio.price_of(item.currency)
        slope = options.deltas[row] * options.forwards[row] - (mark * options.forwards[row] if inverse else 0.0)
        size = float(options.sizes[row])
        exposures[at] = {
            "delta": float(size * slope * dollars),
            "vega": float(size * vegas[row] * dollars),
            "notional": float(abs(size) * options.forwards[row] * dollars),
        }
    return pnl, exposures
