"""Margin models over the same portfolios and the same days of stress: what they ask, what is missing, who dominates.

What a model asks of an account is the value it must have in all, options at their marks included, to open what it has:
the initial requirement, with the rules' own view of equity (one model counts no option value) undone. The account then
meets a day of stress and is closed out; what it lacks is the shortfall. Each model is compared at its own level and,
since asking more is no merit, with its numbers scaled so that all models ask the same in total.

Intervals: days are resampled with replacement (a day hits all portfolios at once, so days are the clusters), 95 % by
percentiles, for each figure and for each difference of two models on the same resampled days. A dominates B where, at
equal margin, A's shortfall is below B's and its frequency not above, the first beyond chance, the second up to it; the
frontier is whoever nobody dominates. The portfolios are one sample; their own sampling error is not in the intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from seawall.risk.margin import models
from seawall.risk.margin.models import PortfolioModel
from seawall.risk.study.books import CASH, INDEX, Book, Float64Array, MadeMarket, draw, plain_market
from seawall.risk.study.losses import Liquidity, Losses, losses
from seawall.risk.study.stress import historical, simulated
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number

LEVELS: Final = ("initial", "maintenance")
BY_UNDERLYING: Final = ("derive-pmrm", "derive-pmrm-2")
"""Models whose rules hold one underlying in an account: a book on two is two of their accounts."""
SCAN: Final[Mapping[str, Any]] = {
    "products": {
        coin: {"price_scan_range": share * INDEX[coin], "volatility_scan_range": 0.5}
        for coin, share in (("BTC", 0.16), ("ETH", 0.18))
    }
}
"""SPAN's scan ranges are the clearing house's: the ranges calibrated on 2015 to 2019."""
RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelRow:
    """One model on one set of days: margin in dollars, frequency of a shortfall, mean shortfall over mean margin."""

    model: str
    margin: float
    frequency: Estimate
    shortfall: Estimate


@dataclass(frozen=True)
class Against:
    """The first model, asking in total just what `model` asks at its own level, held against it.

    `shortfall` and `frequency` are differences: negative where the first model leaves less missing, less often.
    """

    model: str
    shortfall: Estimate
    frequency: Estimate

    @property
    def verdict(self) -> str:
        """Of the first model's shortfall: `safer` or `less safe` beyond chance, else `as safe`."""
        if self.shortfall.high < 0:
            return "safer"
        return "less safe" if self.shortfall.low > 0 else "as safe"


@dataclass(frozen=True)
class Comparison:
    """All models on one set of days: at their own levels, at equal margin, and the first one against each other."""

    own: Sequence[ModelRow]
    equal: Sequence[ModelRow]
    against: Sequence[Against]
    dominates: Mapping[str, Sequence[str]]
    """By model, whom it dominates at equal margin."""
    by_kind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """At equal margin, by model: what each kind of account adds to shortfall over margin."""

    @property
    def frontier(self) -> list[str]:
        """Models that no other dominates."""
        beaten = {name for names in self.dominates.values() for name in names}
        return [row.model for row in self.equal if row.model not in beaten]


def asked(
    model: PortfolioModel, books: Sequence[Book], made: MadeMarket, levels: Sequence[str] = LEVELS
) -> dict[str, Float64Array]:
    """By level, (books,) dollars of value that each account must have. Raises InputError as the model does."""
    found = {level: np.zeros(len(books)) for level in levels}
    for row, item in enumerate(books):
        parts = item.coins(made) if model.name in BY_UNDERLYING else [None]
        for coin in parts:
            for level in levels:
                found[level][row] += _asked(model, item, made, coin, level)
        # Options at their marks belong to the account.
        value = float(item.sizes[made.is_option] @ made.marks[made.is_option])
        for level in levels:
            found[level][row] += value
    return found


def compare(
    margins: Mapping[str, Float64Array], books: Sequence[Book], lost: Losses, *, seed: int, resamples: int = RESAMPLES
) -> Comparison:
    """Models by name with what they ask, (books,) each. Equal margin is the mean of the models' totals.

    Raises InputError for fewer than two models, margins that are not positive in total, or numbers out of range.
    """
    number("resamples", resamples, at_least=100, at_most=100_000)
    number("seed", seed, at_least=0)
    if len(margins) < 2:
        raise InputError("models", list(margins), "must be at least two")
    totals = {name: float(values.sum()) for name, values in margins.items()}
    for name, total in totals.items():
        number(f"margins.{name}", total, above=0.0)
    level = float(np.mean(list(totals.values())))
    days = lost.change.shape[1]
    weights = np.random.default_rng([seed, 3]).multinomial(days, np.full(days, 1 / days), resamples) / days
    scaled = {name: values * (level / totals[name]) for name, values in margins.items()}
    own, own_series = _rows(margins, lost, weights)
    equal, series = _rows(scaled, lost, weights)
    kinds = {}
    for name, values in scaled.items():
        missing = lost.shortfall(values).mean(axis=1)
        kinds[name] = {kind: float(missing[rows].sum() / values.sum()) for kind, rows in _rows_by_kind(books).items()}
    beats = {
        name: [other for other in margins if other != name and _dominates(series[name], series[other], weights)]
        for name in margins
    }
    first, *others = margins
    against = []
    for name in others:
        _, mine = _row(first, margins[first] * (totals[name] / totals[first]), lost, weights)
        frequency, shortfall = (_estimate(a - b, weights) for a, b in zip(mine, own_series[name], strict=True))
        against.append(Against(name, shortfall, frequency))
    return Comparison(own, equal, against, beats, kinds)


def _asked(model: PortfolioModel, item: Book, made: MadeMarket, coin: str | None, level: str) -> float:
    """Dollars of collateral with which equity is the requirement; all at the price of today.

    Cash moves equity one for one. A coin may be cut and may offset positions, so its amount is found by secants.
    """
    parameters = SCAN if model.name == "span" else {}
    price = 1.0 if item.collateral == CASH else INDEX[item.collateral]

    def excess(dollars: float) -> float:
        portfolio = item.portfolio(made, dollars / price, coin)
        if parameters:
            portfolio = msgspec.structs.replace(portfolio, parameters=dict(parameters))
        report = model.evaluate(portfolio)
        return float(report.equity - getattr(report, level))

    dollars, short = 0.0, excess(0.0)
    if item.collateral == CASH:
        return -short
    slope = 1.0
    for _ in range(40):
        step = -short / slope
        after = excess(dollars + step)
        if abs(after) < 1e-6 * max(1.0, abs(step)):
            return dollars + step
        slope = min(max((after - short) / step, 0.05), 2.0)
        dollars, short = dollars + step, after
    raise InputError("collateral", item.collateral, f"no amount of it meets what {model.name} asks")


def _row(
    name: str, margin: Float64Array, lost: Losses, weights: Float64Array
) -> tuple[ModelRow, tuple[Float64Array, Float64Array]]:
    """The row, and by day the frequency and the shortfall over margin."""
    missing = lost.shortfall(margin)
    frequency, share = (missing > 0).mean(axis=0), missing.sum(axis=0) / margin.sum()
    return ModelRow(name, float(margin.mean()), _estimate(frequency, weights), _estimate(share, weights)), (
        frequency,
        share,
    )


def _rows(
    margins: Mapping[str, Float64Array], lost: Losses, weights: Float64Array
) -> tuple[list[ModelRow], dict[str, tuple[Float64Array, Float64Array]]]:
    """The rows of all models, and by name what happened by day."""
    made = {name: _row(name, values, lost, weights) for name, values in margins.items()}
    return [row for row, _ in made.values()], {name: series for name, (_, series) in made.items()}


def _estimate(by_day: Float64Array, weights: Float64Array) -> Estimate:
    low, high = np.quantile(weights @ by_day, [0.025, 0.975])
    return Estimate(float(by_day.mean()), float(low), float(high))


def _dominates(
    mine: tuple[Float64Array, Float64Array], others: tuple[Float64Array, Float64Array], weights: Float64Array
) -> bool:
    frequency, shortfall = (_estimate(a - b, weights) for a, b in zip(mine, others, strict=True))
    return shortfall.high < 0 and frequency.low <= 0


def _rows_by_kind(books: Sequence[Book]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, item in enumerate(books):
        found.setdefault(item.kind, []).append(row)
    return found


@dataclass(frozen=True)
class Study:
    """The comparison on the days that were and on the simulated ones, and what it was asked."""

    portfolios: int
    seed: int
    level: str
    response: float
    liquidation: float
    days: Mapping[str, int]
    comparisons: Mapping[str, Comparison]


def study(
    names: Sequence[str],
    *,
    portfolios: int = 1000,
    days: int = 250,
    seed: int = 1,
    level: str = "initial",
    response: float = 1.0,
    liquidation: float = 1.0,
) -> Study:
    """Compare models by name. `response` multiplies the response of volatility, `liquidation` the costs of closing out.

    Raises InputError for a model or level that is not known, or a number out of range. Same arguments, same answer.
    """
    number("liquidation", liquidation, at_least=0.0, at_most=10.0)
    if level not in LEVELS:
        raise InputError("level", level, f"must be one of {', '.join(LEVELS)}")
    made = plain_market()
    books = draw(portfolios, seed, made)
    margins = {name: asked(models.model(name), books, made, (level,))[level] for name in names}
    sets = {"historical": historical(seed, response), "simulated": simulated(days, seed, response)}
    closing = Liquidity(scale=liquidation)
    comparisons = {
        where: compare(margins, books, losses(books, made, chosen, closing), seed=seed)
        for where, chosen in sets.items()
    }
    counts = {where: len(chosen.names) for where, chosen in sets.items()}
    return Study(portfolios, seed, level, response, liquidation, counts, comparisons)
