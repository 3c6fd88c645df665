"""Margin models over the same portfolios and the same days of stress: what they ask, what is missing, who dominates.

What a model asks of an account is the value it must have in all, options at their marks included, to open what it has:
the initial requirement, with the rules' own view of equity (one model counts no option value) undone. The account then
meets a day of stress and is closed out; what it lacks is the shortfall. Each model is compared at its own level and,
since asking more is no merit, with its numbers scaled so that all models ask the same in total.

Intervals: days and portfolios are both resampled with replacement, each by itself (a day hits all portfolios at once,
and a portfolio meets all days: A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007), which errs
on the wide side), 95 % by percentiles, for each figure and each difference of two models on the same resample. Where
models are brought to equal margin, they are so in each resample anew. Neighbouring days count as independent. A
dominates B where, at equal margin, A's shortfall is below B's and its frequency not above, the first beyond chance, the
second up to it; the frontier is whoever nobody dominates.
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
RESAMPLES: Final = 1000
FACTORS: Final = 5
"""Between so many factors of margin, evenly spread, what the resamples lack is interpolated."""


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
    sample = _Resampled(lost, seed, resamples)
    drawn = {name: sample.books @ values for name, values in margins.items()}
    shared = np.mean(list(drawn.values()), axis=0)
    scaled = {name: values * (level / totals[name]) for name, values in margins.items()}
    ours = {name: sample.outcome(values) for name, values in margins.items()}
    made = {name: sample.outcome(scaled[name], shared / drawn[name] / (level / totals[name])) for name in margins}
    kinds = {}
    for name, values in scaled.items():
        missing = lost.shortfall(values).mean(axis=1)
        kinds[name] = {kind: float(missing[rows].sum() / values.sum()) for kind, rows in _rows_by_kind(books).items()}
    beats = {
        name: [other for other in margins if other != name and _dominates(made[name], made[other])] for name in margins
    }
    first, *others = margins
    against = []
    for name in others:
        factor = totals[name] / totals[first]
        mine = sample.outcome(margins[first] * factor, drawn[name] / drawn[first] / factor)
        difference = mine.less(ours[name])
        against.append(Against(name, difference.shortfall, difference.frequency))
    return Comparison(_rows(margins, ours), _rows(scaled, made), against, beats, kinds)


@dataclass(frozen=True)
class _Outcome:
    """(1 + resamples,) frequencies, and shortfalls over margin; the first of each is that of the whole sample."""

    frequencies: Float64Array
    shortfalls: Float64Array

    @property
    def frequency(self) -> Estimate:
        return _estimate(self.frequencies)

    @property
    def shortfall(self) -> Estimate:
        return _estimate(self.shortfalls)

    def less(self, other: "_Outcome") -> "_Outcome":
        """The difference, resample by resample."""
        return _Outcome(self.frequencies - other.frequencies, self.shortfalls - other.shortfalls)


class _Resampled:
    """Weights of portfolios and of days, (1 + resamples, number), each row 1 in sum; the first is the whole sample."""

    def __init__(self, lost: Losses, seed: int, resamples: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self.lost = lost
        self.books, self.days = (
            np.concatenate(
                [np.full((1, count), 1 / count), rng.multinomial(count, np.full(count, 1 / count), resamples) / count]
            )
            for count in lost.change.shape
        )

    def outcome(self, margin: Float64Array, factors: Float64Array | None = None) -> _Outcome:
        """Of margins (books,), times a factor of each resample's own, interpolated between `FACTORS` of them."""
        if factors is None:
            missing = self.lost.shortfall(margin)
            sums = [
                ((self.books @ values) * self.days).sum(axis=1) for values in ((missing > 0).astype(float), missing)
            ]
            return _Outcome(sums[0], sums[1] / (self.books @ margin))
        grid = np.unique([*np.linspace(factors.min(), factors.max(), FACTORS), factors[0]])
        made = [self.outcome(factor * margin) for factor in grid.tolist()]
        return _Outcome(
            _between(factors, grid, np.array([item.frequencies for item in made])),
            _between(factors, grid, np.array([item.shortfalls for item in made])),
        )


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


def _rows(margins: Mapping[str, Float64Array], found: Mapping[str, _Outcome]) -> list[ModelRow]:
    """The rows of all models."""
    return [
        ModelRow(name, float(values.mean()), found[name].frequency, found[name].shortfall)
        for name, values in margins.items()
    ]


def _between(factors: Float64Array, grid: Float64Array, values: Float64Array) -> Float64Array:
    """(resamples,) of `values` (grid, resamples), each at its own factor, on the line between two of the grid."""
    if len(grid) == 1:
        return np.asarray(values[0])
    above = np.clip(np.searchsorted(grid, factors), 1, len(grid) - 1)
    part = (factors - grid[above - 1]) / (grid[above] - grid[above - 1])
    columns = np.arange(len(factors))
    return np.asarray((1 - part) * values[above - 1, columns] + part * values[above, columns])


def _estimate(resampled: Float64Array) -> Estimate:
    """The whole sample's figure comes first, then the resamples'."""
    low, high = np.quantile(resampled[1:], [0.025, 0.975])
    return Estimate(float(resampled[0]), float(low), float(high))


def _dominates(mine: _Outcome, other: _Outcome) -> bool:
    difference = mine.less(other)
    return difference.shortfall.high < 0 and difference.frequency.low <= 0


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
