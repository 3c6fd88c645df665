"""Model "span": the scan risk of SPAN, sixteen scenarios for each combined commodity, whose requirements add.

    1 to 14   price 0, +1/3, -1/3, +2/3, -2/3, +1, -1 of the price scan range, each with volatility up, then down
    15, 16    up and down `extreme_multiple` times the range, volatility unchanged, `cover_fraction` of it counted
    asked     largest loss over the sixteen; initial = `initial_ratio` * maintenance

Options are revalued `lookahead_days` later by undiscounted Black-76; the volatility scan range is relative. An
instrument with an `array` of sixteen numbers (profit of one long contract, gains positive, where SPAN itself prints
losses so) is taken as it is: that is what a clearing house publishes.

Not here: charges for spreads between months, for delivery and between commodities, and the short option minimum. Scan
ranges change daily and are the user's: `parameters.products`.

Source: CME, "Components of SPAN" and "Risk Arrays"; L. G. McMillan, Options as a Strategic Investment, ch. 34; CME
advisory 08-303 of October 2008 for the extreme move of 3 ranges at 33 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import msgspec
import numpy as np

from seawall.risk.margin.parameter_sets import ParameterSet
from seawall.risk.margin.portfolio import PRICE_MAX, USD, Portfolio, Position, Share, Struct
from seawall.risk.margin.report import Block, Contribution, MarginReport, ScenarioResult
from seawall.risk.margin.rules import PublishedRules, by_underlying
from seawall.risk.margin.valuation import Float64Array, option_values, options_among, refuse
from seawall.risk.market import MarketView
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import Publication

SCENARIOS: Final = 16
THIRDS: Final = (0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3)
"""Price moves of the first fourteen, in thirds of the range."""
SHIFTS: Final = (1.0, -1.0) * 7 + (0.0, 0.0)
"""Volatility moves of the sixteen, in ranges."""


class Product(Struct, frozen=True):
    """Scan ranges of one combined commodity: price in its unit, volatility as a fraction of itself."""

    price_scan_range: Annotated[float, msgspec.Meta(ge=0, le=PRICE_MAX)]
    volatility_scan_range: Share
    extreme_multiple: Share | None = None
    cover_fraction: Share | None = None


class SpanParameters(Struct, frozen=True):
    """`products` by underlying; those of the set apply where a product says nothing."""

    extreme_multiple: Share
    cover_fraction: Share
    lookahead_days: Share
    initial_ratio: Share
    products: dict[str, Product] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Span(PublishedRules[SpanParameters]):
    """Scan risk."""

    name: ClassVar[str] = "span"
    kind: ClassVar[Any] = SpanParameters

    def publish(self, market: MarketView) -> Publication:
        """What the engine enforces of it. Raises InputError for a bad view."""
        from seawall.risk.margin.publishing import publish_span

        return publish_span(market, self)

    def margin(self, portfolio: Portfolio, known: ParameterSet[SpanParameters]) -> MarginReport:
        """The requirement of positions and balances, orders aside."""
        refuse(portfolio, self.name, ("future", "perpetual", "option"), ("linear",))
        return by_underlying(self, portfolio, known, _block)


def _block(portfolio: Portfolio, parameters: SpanParameters, underlying: str) -> tuple[Block, list[Contribution]]:
    mine = [item for item in portfolio.positions if portfolio.instrument(item).underlying == underlying]
    arrays = risk_arrays(portfolio, parameters, mine)
    rows = [(item, array * item.size) for item, array in zip(mine, arrays, strict=True)]
    pnl = np.array([array for _, array in rows]).sum(axis=0)
    deciding = int(np.argmin(pnl))
    asked = max(0.0, -float(pnl[deciding]))
    ratio = parameters.initial_ratio
    contributions = [
        Contribution(underlying, "position", item.instrument, -ratio * float(array[deciding]), -float(array[deciding]))
        for item, array in rows
        if asked
    ]
    scenarios = [
        ScenarioResult(name, float(line), float(line)) for name, line in zip(names(parameters), pnl, strict=True)
    ]
    figures = {
        "scan_risk": asked,
        "worst_scenario": deciding + 1,
        "worst_scenarios": [number + 1 for number, line in enumerate(pnl) if line == pnl[deciding]],
        "risk_array": pnl.tolist(),
    }
    name = scenarios[deciding].name if asked else None
    return Block(underlying, USD, ratio * asked, asked, scenarios, name, figures), contributions


def risk_arrays(portfolio: Portfolio, parameters: SpanParameters, positions: Sequence[Position]) -> Float64Array:
    """(positions, 16) dollars that one long contract gains.

    Raises InputError where scan ranges are missing or leave no price, or an array does not have its sixteen numbers.
    """
    made = np.zeros((len(positions), SCENARIOS))
    priced = []
    for at, position in enumerate(positions):
        item = portfolio.instrument(position)
        dollars = item.contract_size * portfolio.price_of(item.currency)
        if item.array is not None:
            if len(item.array) != SCENARIOS:
                rule = f"must have {SCENARIOS} numbers"
                raise InputError(f"market.instruments.{position.instrument}.array", len(item.array), rule)
            made[at] = np.array(item.array) * portfolio.price_of(item.currency)
        elif item.kind == "option":
            priced.append(at)
        else:
            product = _product(parameters, item.underlying)
            made[at] = dollars * _moves(parameters, product) * _weights(parameters, product)
    if not priced:
        return made
    options = options_among(portfolio, [positions[at] for at in priced])
    products = [_product(parameters, item.underlying) for item in options.instruments]
    forwards = options.forwards[:, None] + np.array([_moves(parameters, product) for product in products])
    if forwards.min() <= 0:
        row = int(np.argmin(forwards.min(axis=1)))
        where = f"parameters.products.{options.instruments[row].underlying}.price_scan_range"
        raise InputError(where, products[row].price_scan_range, "must leave every price positive")
    shifts = np.array([[item.volatility_scan_range] for item in products]) * np.array(SHIFTS)
    later = np.maximum(0.0, options.years - parameters.lookahead_days / 365)
    shocked = options.volatilities[:, None] * np.maximum(0.0, 1 + shifts)
    values = option_values(options.instruments, forwards, shocked, later)
    now = option_values(options.instruments, options.forwards[:, None], options.volatilities[:, None], options.years)
    for row, at in enumerate(priced):
        item = options.instruments[row]
        dollars = item.contract_size * portfolio.price_of(item.currency)
        made[at] = dollars * _weights(parameters, products[row]) * (values[row] - now[row])
    return made


def names(parameters: SpanParameters) -> list[str]:
    """The sixteen scenarios in words."""
    regular = [
        f"{number}: price {thirds:+d}/3, volatility {'down' if number % 2 == 0 else 'up'}"
        for number, thirds in enumerate(THIRDS, 1)
    ]
    return [*regular, "15: price extreme up", "16: price extreme down"]


def _product(parameters: SpanParameters, underlying: str) -> Product:
    if underlying not in parameters.products:
        rule = "must be given: scan ranges are the clearing house's"
        raise InputError(f"parameters.products.{underlying}", None, rule)
    return parameters.products[underlying]


def _moves(parameters: SpanParameters, product: Product) -> Float64Array:
    """(16,) changes of price."""
    multiple = parameters.extreme_multiple if product.extreme_multiple is None else product.extreme_multiple
    return product.price_scan_range * np.array([*(thirds / 3 for thirds in THIRDS), multiple, -multiple])


def _weights(parameters: SpanParameters, product: Product) -> Float64Array:
    """(16,) fractions of the result that count."""
    cover = parameters.cover_fraction if product.cover_fraction is None else product.cover_fraction
    return np.array([1.0] * len(THIRDS) + [cover] * 2)
