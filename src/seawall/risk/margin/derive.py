"""Models "derive-pmrm" and "derive-pmrm-2": the portfolio margin of Derive (Lyra v2), one underlying, dollars.

For each expiry the options are summed first and discounted after: what is owned counts at a discount, what is owed at
a markup, by the sign of the sum. So the expiry, not the option, is the unit of netting, and the requirement is neither
convex nor subadditive (docs/margin.md shows a counterexample).

    scenario     dampening * [sum over expiries (D*shocked - value) + perpetual + coins that offset]; in the skew
                 scenarios each expiry counts -|D*shocked - value| and options see no move of spot
    worst        min(scenarios, sum over expiries of min(up - value, down - value, 0) * (add + per_year * T))
    maintenance  factor * worst - contingency + market value + cash
    initial      PMRM     factor * (worst - contingency) - confidence + market value + cash
                 PMRM 2   factor * worst - contingencies of both - confidence + market value + cash

The factor of the initial margin rises while the stablecoin is below its peg. The venue's margin is equity less
requirement, and an account fails where it is negative; here requirement = equity - margin.

Source: Derive v2-core, public repository derivexyz/v2-core (2023 to 2025), contracts PMRM and PMRM_2 and their test
cases. Formulas only, written anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from seawall.risk.margin.derive_parameters import SKEWS, DeriveParameters, Scenario
from seawall.risk.margin.parameter_sets import ParameterSet
from seawall.risk.margin.portfolio import SETTLEMENT_MILLISECONDS, Expiry, Portfolio, Position
from seawall.risk.margin.report import Block, Contribution, MarginReport, ScenarioResult, truncated
from seawall.risk.margin.rules import PublishedRules
from seawall.risk.margin.valuation import (
    Float64Array,
    days_to,
    option_values,
    profit,
    refuse,
    term_scale,
    years_to,
)
from seawall.risk.market import MarketView
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import Publication

BASIS: Final = "basis contingency"


@dataclass(frozen=True, slots=True)
class _Line:
    """A position or coin in the scenarios: P&L as counted (scenarios,), change in the basis contingency, its value."""

    kind: str
    name: str
    value: float
    scenarios: Float64Array
    basis: float = 0.0
    volatilities: Float64Array | None = None
    """(scenarios + 1,) of an option, the unshocked one last."""

    def loss(self, deciding: int) -> float:
        """What it counts in the deciding scenario; after the last one stands the basis contingency."""
        return self.basis if deciding == len(self.scenarios) else float(self.scenarios[deciding])

    def detail(self, deciding: int) -> dict[str, float]:
        """Value and volatilities behind the contribution."""
        if self.volatilities is None:
            return {"value": self.value}
        return {
            "value": self.value,
            "volatility": float(self.volatilities[-1]),
            "shocked_volatility": float(self.volatilities[deciding]),
        }


@dataclass(frozen=True, slots=True)
class OptionTable:
    """The options of one expiry: undiscounted value of their amounts by scenario, (scenarios + 3, options).

    After the scenarios stand the two moves of the basis contingency and the market as it is; so do the volatilities.
    `discounts` are of what is owned and of what is owed.
    """

    values: Float64Array
    volatilities: Float64Array
    discounts: tuple[float, float]
    basis_factor: float

    @property
    def marks(self) -> Float64Array:
        """(options,) values as they are."""
        return np.asarray(self.values[-1])

    @property
    def moves(self) -> Float64Array:
        """(2, options) changes of value in the moves of the basis contingency."""
        return np.asarray(self.values[-3:-1] - self.values[-1])


@dataclass(frozen=True, slots=True)
class _AddOn:
    name: str
    initial: float
    maintenance: float


@dataclass(frozen=True)
class DerivePmrm2(PublishedRules[DeriveParameters]):
    """PMRM 2: collaterals with haircuts, tails with dampening, skew scenarios."""

    name: ClassVar[str] = "derive-pmrm-2"
    kind: ClassVar[Any] = DeriveParameters

    def publish(self, market: MarketView) -> Publication:
        """What the engine enforces of it. Raises InputError for a bad view."""
        from seawall.risk.margin.publishing import publish_derive

        return publish_derive(market, self)

    def margin(self, portfolio: Portfolio, known: ParameterSet[DeriveParameters]) -> MarginReport:
        """The requirement of positions and balances, orders aside."""
        parameters = known.parameters
        refuse(portfolio, self.name, ("perpetual", "option"), ("linear",))
        underlying = _underlying(portfolio, parameters)
        lines = [*self._option_lines(portfolio, parameters), *_perpetual_lines(portfolio, parameters)]
        lines += self._collateral_lines(portfolio, parameters, underlying)
        pnl = sum((line.scenarios for line in lines), np.zeros(len(parameters.scenarios)))
        basis = sum(line.basis for line in lines)
        worst, deciding = basis, len(pnl)
        for number, value in enumerate(pnl.tolist()):
            if value < worst:
                worst, deciding = value, number
        equity = sum(line.value for line in lines) + portfolio.balances.get(parameters.cash, 0.0)
        initial, maintenance = factors(portfolio, parameters)
        add_ons = self._add_ons(portfolio, parameters, underlying, initial)
        initial_margin = initial * worst - sum(item.initial for item in add_ons) + equity
        maintenance_margin = maintenance * worst - sum(item.maintenance for item in add_ons) + equity
        table = [*zip((item.name for item in parameters.scenarios), pnl.tolist(), strict=True), (BASIS, basis)]
        scenarios = [ScenarioResult(name, line, line) for name, line in table]
        contributions = [
            Contribution(
                underlying, line.kind, line.name, -initial * line.loss(deciding), -maintenance * line.loss(deciding),
                line.detail(deciding),
            )
            for line in lines
        ]  # fmt: skip
        contributions += [
            Contribution(underlying, "add-on", item.name, item.initial, item.maintenance)
            for item in add_ons
            if item.initial or item.maintenance
        ]
        required = (equity - initial_margin, equity - maintenance_margin)
        block = Block(underlying, parameters.cash, *required, scenarios, scenarios[deciding].name)
        figures: dict[str, Any] = {
            "initial_margin": initial_margin,
            "maintenance_margin": maintenance_margin,
            "im_truncated": truncated(initial_margin),
            "mm_truncated": truncated(maintenance_margin),
            "mark_to_market": equity,
            "option_value": sum(line.value for line in lines if line.volatilities is not None),
            "collateral_value": sum(line.value for line in lines if line.kind == "collateral"),
            "basis_contingency": basis,
            "worst_scenario_index": deciding,
            "scenario_pnl": pnl.tolist(),
        }
        return MarginReport(
            self.name,
            known.effective,
            known.source,
            parameters.cash,
            equity,
            *required,
            [block],
            contributions,
            figures,
        )

    def _mark_discount(self, expiry: Expiry, years: float) -> float:
        return float(np.exp(-years * max(expiry.rate, 0.0)))

    def _option_lines(self, portfolio: Portfolio, parameters: DeriveParameters) -> Iterator[_Line]:
        for expiry, positions in by_expiry(portfolio):
            yield from self._expiry_lines(portfolio, parameters, expiry, positions)

    def table(
        self, portfolio: Portfolio, parameters: DeriveParameters, expiry: Expiry, positions: Sequence[Position]
    ) -> OptionTable:
        """The options of one expiry in every scenario. Raises InputError where a volatility is missing."""
        instruments = [portfolio.instrument(item) for item in positions]
        years = years_to(portfolio, expiry.time)
        discount = self._mark_discount(expiry, years)
        # After the scenarios stand the two moves of the basis contingency and the market as it is.
        rest = [Scenario(spot=spot, volatility="none") for spot in (parameters.basis.up, parameters.basis.down, 1.0)]
        every = [*parameters.scenarios, *rest]
        forwards = _forwards(portfolio, expiry, every)
        volatilities = _volatilities(portfolio, parameters, expiry, positions, every)
        amounts = np.array([item.size * spec.contract_size for item, spec in zip(positions, instruments, strict=True)])
        column = np.full(len(instruments), years)
        spread = np.broadcast_to(forwards, (len(instruments), len(every)))
        values = option_values(instruments, spread, volatilities.T, column).T * discount * amounts
        discounts = _static_discounts(parameters, expiry, years, discount)
        factor = parameters.basis.add + parameters.basis.per_year * years
        return OptionTable(values, volatilities, discounts, factor)

    def _expiry_lines(
        self, portfolio: Portfolio, parameters: DeriveParameters, expiry: Expiry, positions: Sequence[Position]
    ) -> Iterator[_Line]:
        table, count = self.table(portfolio, parameters, expiry, positions), len(parameters.scenarios)
        marks, values, totals = table.marks, table.values, table.values[:count].sum(axis=1)
        pnl = np.where(totals >= 0, *table.discounts)[:, None] * values[:count] - marks
        turned = np.array([item.volatility in SKEWS for item in parameters.scenarios]) & (pnl.sum(axis=1) > 0)
        dampening = np.array([item.dampening for item in parameters.scenarios])
        counted = (np.where(turned, -1.0, 1.0) * dampening)[:, None] * pnl
        worse = table.moves[int(np.argmin(table.moves.sum(axis=1)))]
        basis = worse * table.basis_factor if worse.sum() < 0 else np.zeros(len(positions))
        for number, position in enumerate(positions):
            shocked = np.append(table.volatilities[:count, number], table.volatilities[-1, number])
            yield _Line(
                "position", position.instrument, float(marks[number]), counted[:, number], float(basis[number]), shocked
            )

    def _collateral_lines(self, portfolio: Portfolio, parameters: DeriveParameters, underlying: str) -> Iterator[_Line]:
        spots = np.array([item.spot - 1 for item in parameters.scenarios])
        dampening = np.array([item.dampening for item in parameters.scenarios])
        for currency, value in _collateral(portfolio, parameters, underlying):
            offsets = parameters.collateral[underlying][currency].risk_cancelling
            yield _Line("collateral", currency, value, value * spots * dampening * float(offsets))

    def contingencies(self, parameters: DeriveParameters, factor: float) -> dict[str, tuple[float, float]]:
        """(initial, maintenance) fraction of spot for a perpetual and for a naked short option."""
        asked = parameters.contingency
        perpetual, option = asked.maintenance_perpetual, asked.maintenance_option
        return {
            "perpetual": (perpetual + asked.initial_perpetual, perpetual),
            "option": (option + asked.initial_option, option),
        }

    def _add_ons(
        self, portfolio: Portfolio, parameters: DeriveParameters, underlying: str, factor: float
    ) -> list[_AddOn]:
        index = portfolio.market.underlyings[underlying].index
        perpetuals = _perpetuals(portfolio) * index
        nakeds = sum(_naked_shorts(portfolio, positions) for _, positions in by_expiry(portfolio)) * index
        rates = self.contingencies(parameters, factor)
        add_ons = [
            _AddOn("perpetual contingency", *(perpetuals * rate for rate in rates["perpetual"])),
            _AddOn("short option contingency", *(nakeds * rate for rate in rates["option"])),
        ]
        spot = portfolio.market.underlyings[underlying].confidence
        unsure = perpetuals * _doubt(parameters, _confidence(portfolio, underlying))
        for currency, value in _collateral(portfolio, parameters, underlying):
            cut = parameters.collateral[underlying][currency]
            add_ons.append(
                _AddOn(
                    f"haircut {currency}",
                    value * (cut.maintenance_haircut + cut.initial_haircut),
                    value * cut.maintenance_haircut,
                )
            )
            own = portfolio.market.currencies[currency].confidence if currency in portfolio.market.currencies else spot
            unsure += value * _doubt(parameters, min(own, spot))
        unsure += _expiry_doubts(portfolio, parameters, underlying) * index
        add_ons.append(_AddOn("confidence contingency", unsure, 0.0))
        return add_ons


class DerivePmrm(DerivePmrm2):
    """PMRM, the first version: marks undiscounted, no collateral but the coin, contingency scaled by the factor."""

    name: ClassVar[str] = "derive-pmrm"

    def _mark_discount(self, expiry: Expiry, years: float) -> float:
        return 1.0

    def contingencies(self, parameters: DeriveParameters, factor: float) -> dict[str, tuple[float, float]]:
        """(initial, maintenance) fraction of spot for a perpetual and for a naked short option."""
        asked = parameters.contingency
        rates = {"perpetual": asked.maintenance_perpetual, "option": asked.maintenance_option}
        return {kind: (factor * rate, rate) for kind, rate in rates.items()}

    def _add_ons(
        self, portfolio: Portfolio, parameters: DeriveParameters, underlying: str, factor: float
    ) -> list[_AddOn]:
        asked, index = parameters.contingency, portfolio.market.underlyings[underlying].index
        held = sum(portfolio.balances[name] for name, _ in _collateral(portfolio, parameters, underlying))
        nakeds = sum(_naked_shorts(portfolio, positions) for _, positions in by_expiry(portfolio))
        rates = self.contingencies(parameters, factor)
        perpetuals = _perpetuals(portfolio) * index
        unsure = (_perpetuals(portfolio) + held) * _doubt(parameters, _confidence(portfolio, underlying))
        unsure += _expiry_doubts(portfolio, parameters, underlying)
        return [
            _AddOn("perpetual contingency", *(perpetuals * rate for rate in rates["perpetual"])),
            _AddOn(f"{underlying} contingency", factor * held * asked.coin * index, held * asked.coin * index),
            _AddOn("short option contingency", *(nakeds * index * rate for rate in rates["option"])),
            _AddOn("confidence contingency", unsure * index, 0.0),
        ]


def _underlying(portfolio: Portfolio, parameters: DeriveParameters) -> str:
    """The one underlying of a portfolio; of one without positions, the one of its market."""
    found = {portfolio.instrument(item).underlying for item in portfolio.positions} or set(portfolio.market.underlyings)
    if len(found) != 1:
        raise InputError(
            "market.underlyings", sorted(found), "must be one: a manager of this venue holds one underlying"
        )
    for number, item in enumerate(portfolio.positions):
        currency = portfolio.instrument(item).currency
        if currency != parameters.cash:
            raise InputError(f"positions[{number}].instrument", currency, f"must settle in {parameters.cash}")
    return found.pop()


def by_expiry(portfolio: Portfolio) -> list[tuple[Expiry, list[Position]]]:
    """The option positions of each expiry, in order of time."""
    found: dict[int, tuple[Expiry, list[Position]]] = {}
    for item in portfolio.positions:
        if portfolio.instrument(item).kind == "option":
            expiry = portfolio.expiry_of(item.instrument)
            found.setdefault(expiry.time, (expiry, []))[1].append(item)
    return [found[time] for time in sorted(found)]


def _forwards(portfolio: Portfolio, expiry: Expiry, scenarios: Sequence[Scenario]) -> Float64Array:
    """Of the last half hour's average a share is fixed; spot moves the rest. Skew scenarios do not move it."""
    left = expiry.time - portfolio.time
    fixed = expiry.fixed
    if fixed is None:
        fixed = expiry.forward * max(0.0, 1 - left / SETTLEMENT_MILLISECONDS)
    spots = np.array([1.0 if item.volatility in SKEWS else item.spot for item in scenarios])
    if fixed == 0:
        return np.asarray(expiry.forward * spots)
    return np.asarray((expiry.forward - fixed) * spots + fixed)


def _volatilities(
    portfolio: Portfolio,
    parameters: DeriveParameters,
    expiry: Expiry,
    positions: Sequence[Position],
    scenarios: Sequence[Scenario],
) -> Float64Array:
    """(scenarios, options) annual volatilities."""
    shock = parameters.volatility_shock
    marks = np.array([portfolio.needed(item.instrument, "volatility") for item in positions])
    days = days_to(portfolio, expiry.time)
    scale = term_scale(days, shock.dte_floor, shock.short_power, shock.long_power, short_at_switch=True)
    by_word = {
        "none": marks,
        "up": np.maximum(shock.floor, marks * (1 + shock.up * scale)),
        "down": marks * max(0.0, 1 - shock.down * scale),
    }
    for word in {item.volatility for item in scenarios} & set(SKEWS):
        by_word[word] = marks * _skew_multipliers(portfolio, parameters, expiry, positions, word)
    return np.array([by_word[item.volatility] for item in scenarios])


def _skew_multipliers(
    portfolio: Portfolio, parameters: DeriveParameters, expiry: Expiry, positions: Sequence[Position], word: str
) -> Float64Array:
    skew = parameters.skew
    if skew is None:
        raise InputError("parameters.skew", None, "must be given: a scenario is skewed")
    root = float(np.sqrt(years_to(portfolio, expiry.time)))
    base, slope = (skew.linear_base, skew.linear_slope) if word == "linear" else (skew.abs_base, skew.abs_slope)
    cap = base + slope * root
    width = max(skew.k_min, root * skew.width * (skew.volatility_base + root * skew.volatility_slope))
    if width <= 0:
        raise InputError("parameters.skew.k_min", skew.k_min, "must be above 0 where the width comes to 0")
    strikes = np.array([portfolio.instrument(item).strike for item in positions], float)
    moneyness = np.log1p((strikes - expiry.forward) / expiry.forward)
    if word == "abs":
        moneyness = np.abs(moneyness)
    tilted = moneyness * cap / width
    change = np.where(moneyness >= 0, np.minimum(cap, tilted), np.maximum(-cap, tilted))
    return np.asarray(np.maximum(0.0, 1 + change))


def _static_discounts(
    parameters: DeriveParameters, expiry: Expiry, years: float, discount: float
) -> tuple[float, float]:
    """(of what is owned, of what is owed)."""
    factors, rate = parameters.factors, max(expiry.rate, 0.0)
    long = factors.long_discount * np.exp(-years * (rate * factors.long_rate_scale + factors.long_rate_add))
    short = factors.short_markup * np.exp(years * (rate * factors.short_rate_scale + factors.short_rate_add))
    return float(long), float(min(1 / discount, short))


def _perpetual_lines(portfolio: Portfolio, parameters: DeriveParameters) -> Iterator[_Line]:
    spots = np.array([item.spot - 1 for item in parameters.scenarios])
    dampening = np.array([item.dampening for item in parameters.scenarios])
    for item in portfolio.positions:
        spec = portfolio.instrument(item)
        if spec.kind == "perpetual":
            notional = item.size * spec.contract_size * portfolio.mark_of(item.instrument)
            yield _Line("position", item.instrument, profit(portfolio, item), notional * spots * dampening)


def _perpetuals(portfolio: Portfolio) -> float:
    """Coins of perpetuals held, either side."""
    held = ((item, portfolio.instrument(item)) for item in portfolio.positions)
    return sum(abs(item.size) * spec.contract_size for item, spec in held if spec.kind == "perpetual")


def _collateral(portfolio: Portfolio, parameters: DeriveParameters, underlying: str) -> list[tuple[str, float]]:
    """(currency, value in cash) of every balance but the cash; a coin counts at its price over the stablecoin's."""
    known = parameters.collateral.get(underlying, {})
    found = []
    for currency, amount in portfolio.balances.items():
        if currency == parameters.cash:
            continue
        if currency not in known or amount < 0:
            rule = f"must be at least 0 of one of {sorted(known)}, the collateral of {underlying}"
            raise InputError(f"balances.{currency}", amount, rule)
        found.append((currency, amount * portfolio.price_of(currency) / portfolio.price_of(parameters.cash)))
    return found


def factors(portfolio: Portfolio, parameters: DeriveParameters) -> tuple[float, float]:
    """(initial, maintenance) factors of the loss; the initial one rises below the peg."""
    asked = parameters.contingency
    below = max(0.0, asked.peg_threshold - portfolio.price_of(parameters.cash))
    return parameters.factors.initial + below * asked.peg_factor, parameters.factors.maintenance


def _naked_shorts(portfolio: Portfolio, positions: Sequence[Position]) -> float:
    """Options of one expiry sold, less those owned at the same strike, strike by strike."""
    net: dict[float, list[float]] = {}
    for item in positions:
        spec = portfolio.instrument(item)
        assert spec.strike is not None
        sides = net.setdefault(spec.strike, [0.0, 0.0])
        sides[item.size > 0] += abs(item.size) * spec.contract_size
    return sum(max(0.0, sold - owned) for sold, owned in net.values())


def _confidence(portfolio: Portfolio, underlying: str) -> float:
    """The least of the spot's and, where a perpetual is held, its mark's."""
    specs = [portfolio.instrument(item) for item in portfolio.positions if item.size]
    marks = [spec.confidence for spec in specs if spec.kind == "perpetual"]
    return min(portfolio.market.underlyings[underlying].confidence, *marks, 1.0)


def _expiry_doubts(portfolio: Portfolio, parameters: DeriveParameters, underlying: str) -> float:
    """Coins of options of each expiry times the doubt of its least confident number."""
    least = _confidence(portfolio, underlying)
    doubted = 0.0
    for expiry, positions in by_expiry(portfolio):
        confidences = [portfolio.instrument(item).confidence for item in positions]
        least_here = min(least, expiry.forward_confidence, expiry.rate_confidence, *confidences)
        held = sum(abs(item.size) * portfolio.instrument(item).contract_size for item in positions)
        doubted += held * _doubt(parameters, least_here)
    return doubted


def _doubt(parameters: DeriveParameters, confidence: float) -> float:
    """Fraction of notional asked for a confidence below the threshold."""
    asked = parameters.contingency
    return (1 - confidence) * asked.confidence_factor if confidence < asked.confidence_threshold else 0.0
