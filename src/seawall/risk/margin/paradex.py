"""Model "paradex": the portfolio margin of Paradex. Linear contracts in dollars; each underlying is a block.

    SCAN risk       max over 24 scenarios of weight * loss
    min delta risk  (unhedged * |net delta| + hedged * (gross delta - |net delta|) / 2) * spot
    initial         max(SCAN, min delta) + funding provision + fee provision
    maintenance     half the max + funding provision + fee provision

Volatility v*(1 + shock*(30 / max(days, 1))^power), power 0.30 below 30 days and 0.13 from 30 on; the forward of each
expiry moves with spot, time does not pass. The page also names a floor of the upward shock (40 % for BTC and ETH)
without saying where it applies: `volatility_floor` "none" leaves it out, "scaled" puts it on the shock after scaling;
both SCAN risks are in the figures. It names the funding provision (expected payments of the next 8 hours) and the fee
provision without a formula: here max(0, sum of size * mark * funding rate of 8 hours) and taker fee * notional.

Source: Paradex, public documentation, page Portfolio Margin (tradeparadex/paradex-docs at 9b82a75a, and a4fab3df for
the table of March 2026).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np

from seawall.risk.margin.parameter_sets import ParameterSet
from seawall.risk.margin.portfolio import USD, Days, Portfolio, Position, Share, Struct
from seawall.risk.margin.report import Block, Contribution, MarginReport, ScenarioResult
from seawall.risk.margin.rules import PublishedRules, by_underlying
from seawall.risk.margin.valuation import (
    Float64Array,
    option_values,
    options_among,
    refuse,
    term_scale,
)
from seawall.risk.market import MarketView
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import Publication

SpotShock = Annotated[float, msgspec.Meta(gt=-1, le=1e3)]
VolatilityShock = Annotated[float, msgspec.Meta(ge=-1e3, le=1e3)]


class Asset(Struct, frozen=True):
    """Rows (spot shock, volatility shock, weight) of one underlying's table, its min-delta factors, its floor."""

    scenarios: Annotated[tuple[tuple[SpotShock, VolatilityShock, Share], ...], msgspec.Meta(min_length=1)]
    unhedged: Share
    hedged: Share
    min_volatility_shock_up: Share | None = None


class ParadexParameters(Struct, frozen=True):
    """`taker_fee` is a fraction of notional."""

    assets: dict[str, Asset]
    dte_floor: Days
    short_power: Share
    long_power: Share
    maintenance_factor: Share
    taker_fee: Share = 0.0
    volatility_floor: Literal["none", "scaled"] = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """One position: dollars by scenario without the floor of the volatility shock and with it; delta in coins."""

    position: Position
    pnl: Float64Array
    floored: Float64Array
    delta: float
    volatilities: Float64Array


@dataclass(frozen=True)
class Paradex(PublishedRules[ParadexParameters]):
    """The published rules, position by position."""

    name: ClassVar[str] = "paradex"
    kind: ClassVar[Any] = ParadexParameters

    def publish(self, market: MarketView) -> Publication:
        """What the engine enforces of it. Raises InputError for a bad view."""
        from seawall.risk.margin.publishing import publish_paradex

        return publish_paradex(market, self)

    def margin(self, portfolio: Portfolio, known: ParameterSet[ParadexParameters]) -> MarginReport:
        """The requirement of positions and balances, orders aside."""
        refuse(portfolio, self.name, ("perpetual", "option"), ("linear",))
        return by_underlying(self, portfolio, known, _block)


def _block(portfolio: Portfolio, parameters: ParadexParameters, underlying: str) -> tuple[Block, list[Contribution]]:
    asset = asset_of(parameters, underlying)
    mine = [item for item in portfolio.positions if portfolio.instrument(item).underlying == underlying]
    lines = position_lines(portfolio, parameters, asset, mine)
    weights = np.array([row[2] for row in asset.scenarios])
    pnl = np.array([line.pnl for line in lines]).sum(axis=0)
    floored = np.array([line.floored for line in lines]).sum(axis=0)
    scans = [float(np.max(-weights * table)) for table in (pnl, floored)]
    on_floor = parameters.volatility_floor == "scaled"
    counted = weights * (floored if on_floor else pnl)
    deciding = int(np.argmin(counted))
    scan = scans[on_floor]
    figures = _min_delta(portfolio, asset, underlying, [line.delta for line in lines])
    net = max(scan, figures["min_delta_risk"])
    funding, fees = _provisions(portfolio, parameters, [line.position for line in lines])
    figures |= {
        "scan_risk": scans[0],
        "scan_risk_with_volatility_floor": scans[1],
        "worst_scenario": deciding + 1,
        "weighted_losses": (-counted).tolist(),
        "net_portfolio_requirement": net,
        "funding_provision": funding,
        "fee_provision": fees,
    }
    half = parameters.maintenance_factor
    contributions = []
    for line in lines:
        loss = -float(weights[deciding] * (line.floored if on_floor else line.pnl)[deciding])
        detail = {"delta": line.delta}
        if portfolio.instrument(line.position).kind == "option":
            detail |= {
                "volatility": float(line.volatilities[-1]),
                "shocked_volatility": float(line.volatilities[deciding]),
            }
        contributions.append(Contribution(underlying, "position", line.position.instrument, loss, half * loss, detail))
    for name, initial, maintenance in (
        ("min delta above SCAN risk", net - scan, half * (net - scan)),
        ("funding provision", funding, funding),
        ("fee provision", fees, fees),
    ):
        if initial:
            contributions.append(Contribution(underlying, "add-on", name, initial, maintenance))
    scenarios = [
        ScenarioResult(f"spot {move:+.0%}, volatility {shock:+.1%}, x {weight:.4g}", float(raw), float(line))
        for (move, shock, weight), raw, line in zip(asset.scenarios, floored if on_floor else pnl, counted, strict=True)
    ]
    provisions = funding + fees
    name = "min delta" if net > scan else scenarios[deciding].name
    return Block(underlying, USD, net + provisions, half * net + provisions, scenarios, name, figures), contributions


def asset_of(parameters: ParadexParameters, underlying: str) -> Asset:
    """Parameters of an underlying. Raises InputError where there are none."""
    if underlying not in parameters.assets:
        raise InputError("underlying", underlying, f"must be one of {sorted(parameters.assets)}")
    return parameters.assets[underlying]


def shocked_volatilities(
    parameters: ParadexParameters, asset: Asset, volatility: float, days: float, floor: float | None
) -> Float64Array:
    """(scenarios,) annual volatilities, never below 0; `floor` of the upward shock after scaling, None for none."""
    scale = term_scale(days, parameters.dte_floor, parameters.short_power, parameters.long_power, short_at_switch=False)
    shocks = np.array([row[1] for row in asset.scenarios])
    scaled = shocks * scale
    if floor is not None:
        scaled = np.where(shocks > 0, np.maximum(scaled, floor), scaled)
    return np.asarray(volatility * np.maximum(0.0, 1 + scaled))


def position_lines(
    portfolio: Portfolio, parameters: ParadexParameters, asset: Asset, positions: Sequence[Position]
) -> list[Line]:
    """Positions on one underlying in every scenario. Raises InputError where a number they need is missing."""
    moves = np.array([row[0] for row in asset.scenarios])
    options = options_among(portfolio, positions)
    lines: dict[int, Line] = {}
    for at, position in enumerate(positions):
        item = portfolio.instrument(position)
        if item.kind != "option":
            coins = position.size * item.contract_size
            notional = coins * portfolio.price_of(item.currency) * portfolio.mark_of(position.instrument)
            lines[at] = Line(position, notional * moves, notional * moves, coins, np.zeros(0))
    if not options.at:
        return [lines[at] for at in range(len(positions))]
    tables = []
    for floor in (None, asset.min_volatility_shock_up):
        shocked = np.array(
            [
                shocked_volatilities(parameters, asset, volatility, days, floor)
                for volatility, days in zip(options.volatilities.tolist(), options.days.tolist(), strict=True)
            ]
        )
        shocked = np.column_stack([shocked, options.volatilities])
        forwards = options.forwards[:, None] * np.append(1 + moves, 1.0)
        values = option_values(options.instruments, forwards, shocked, options.years)
        tables.append((values[:, :-1] - values[:, -1:], shocked))
    chosen = tables[parameters.volatility_floor == "scaled"][1]
    deltas = options.sizes * options.deltas
    for row, at in enumerate(options.at):
        size = options.sizes[row] * portfolio.price_of(options.instruments[row].currency)
        pnl, floored = (size * table[0][row] for table in tables)
        lines[at] = Line(positions[at], pnl, floored, float(deltas[row]), chosen[row])
    return [lines[at] for at in range(len(positions))]


def _min_delta(portfolio: Portfolio, asset: Asset, underlying: str, deltas: Sequence[float]) -> dict[str, float]:
    net, gross = sum(deltas), sum(abs(delta) for delta in deltas)
    hedged = (gross - abs(net)) / 2
    spot = portfolio.market.underlyings[underlying].index
    risk = (asset.unhedged * abs(net) + asset.hedged * hedged) * spot
    return {"net_delta": net, "gross_delta": gross, "hedged_delta": hedged, "min_delta_risk": risk}


def _provisions(
    portfolio: Portfolio, parameters: ParadexParameters, positions: Sequence[Position]
) -> tuple[float, float]:
    """(funding, fees) in dollars."""
    funding = fees = 0.0
    for position in positions:
        item = portfolio.instrument(position)
        if item.kind == "perpetual":
            dollars = portfolio.mark_of(position.instrument) * portfolio.price_of(item.currency)
            notional = position.size * item.contract_size * dollars
            funding += notional * item.funding_rate
            fees += abs(notional) * parameters.taker_fee
    return max(0.0, funding), fees
