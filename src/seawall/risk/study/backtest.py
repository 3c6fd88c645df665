"""Margin models day by day over a history, for accounts of one kind each: exceedances, their tests, procyclicality.

Every account is set up anew each day with the same positions relative to the market (moneyness, days to expiry,
dollars) and has exactly what the model asks, initial or maintenance (with which it is not yet liquidated); it exceeds
if the next day's move takes more. The accounts are small:
size is what the comparison of models is for.

The history has prices only. The volatility at the money is taken to be what the past moves give, weighted exponentially
(`calibration.DECAY` a day), between 30 % and 300 % a year; its own change from day to day is the response of
volatility, and other terms respond by (30 / days)^`TERM_POWER` of it. What a model asks depends on that level alone, so
it is evaluated on a grid of levels and interpolated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk import black76, policy
from seawall.risk.margin import models
from seawall.risk.study.books import CASH, INDEX, Book, Float64Array, MadeMarket, smile
from seawall.risk.study.calibration import RISE_DAYS, Period, scale_before
from seawall.risk.study.comparison import LEVELS as REQUIREMENTS
from seawall.risk.study.comparison import asked
from seawall.risk.study.history import History, day_of
from seawall.risk.study.losses import HORIZON_DAYS
from seawall.risk.study.stress import TERM_POWER
from seawall.vocabulary.errors import InputError

LEVELS: Final = (0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0)
DOLLARS: Final = 600_000.0
WARM_UP: Final = 60
"""Days before the first one tested, for the level of volatility."""
LEGS: Final[dict[str, tuple[tuple[int, float, float, float], ...]]] = {
    "long": ((0, 0.0, 0.0, 1.0),),
    "short": ((0, 0.0, 0.0, -1.0),),
    "basis": ((0, 0.0, 0.0, 1.0), (90, 1.0, 1.0, -1.0), (90, 1.0, -1.0, 1.0)),
    "option buyer": ((30, 1.0, 1.0, 1.0), (30, 1.0, -1.0, 1.0)),
    "option seller": ((30, 1.1, 1.0, -1.0), (30, 0.9, -1.0, -1.0)),
    "market maker": (
        (7, 1.0, 1.0, -1.0), (30, 1.0, 1.0, 1.0), (30, 0.9, -1.0, -1.5), (90, 1.1, 1.0, -1.0), (90, 0.9, -1.0, 1.0),
        (180, 1.25, 1.0, 1.0), (180, 0.75, -1.0, -1.0), (0, 0.0, 0.0, -0.3),
    ),
    "coin collateral": ((0, 0.0, 0.0, 1.0),),
}  # fmt: skip
"""Accounts by name: (days to expiry, strike over forward, +1 call or -1 put, coins); a perpetual has zeros."""


@dataclass(frozen=True)
class ClassResult:
    """One model on one account over the period."""

    model: str
    account: str
    test: policy.CoverageTest
    margin: float
    """Mean over the days, as a fraction of the largest leg's notional."""
    worst: float
    """Largest loss beyond margin, the same fraction; 0 where none."""
    procyclicality: policy.Procyclicality | None
    """None where the model asks nothing on some day."""


@dataclass(frozen=True)
class Backtest:
    """Every model on every account; `level` is the requirement that accounts have."""

    underlying: str
    level: str
    sha256: str
    period: Period
    results: Sequence[ClassResult]


def backtest(history: History, names: Sequence[str], first: str, last: str, *, level: str = "initial") -> Backtest:
    """Run the models over the days from `first` to `last`. Raises InputError for a history without a warm-up of 60
    days before them, a history that is not of one row a day, or a model or level that is not known."""
    if level not in REQUIREMENTS:
        raise InputError("level", level, f"must be one of {', '.join(REQUIREMENTS)}")
    if history.name not in INDEX:
        raise InputError("underlying", history.name, f"must be one of {list(INDEX)}")
    times, moves = history.returns(1.0)
    start, end = (history.between(first, last).times[at] for at in (0, -1))
    rows = np.flatnonzero((times > start) & (times <= end))
    if len(rows) < policy.DAYS_MIN or rows[0] < WARM_UP:
        raise InputError("from", first, f"must leave {WARM_UP} days before it and {policy.DAYS_MIN} from it on")
    known, after = _levels(moves, rows)
    results = []
    for account in LEGS:
        lost, value = _losses(account, history.name, known, after, moves[rows])
        for name in names:
            margin = _margins(name, account, history.name, known, level)
            results.append(_result(name, account, margin, lost, value, moves[rows]))
    period = Period(day_of(times[rows[0]]), day_of(times[rows[-1]]), len(rows))
    return Backtest(history.name, level, history.sha256, period, results)


def made_book(account: str, coin: str, made: MadeMarket) -> Book:
    """The account as the models read it. Raises InputError for a name that is not known."""
    if account not in LEGS:
        raise InputError("account", account, f"must be one of {', '.join(LEGS)}")
    sizes = np.zeros(len(made.contracts))
    for days, share, sign, amount in LEGS[account]:
        wanted = (coin, share * INDEX[coin], sign, days)
        sizes[made.contracts.index(wanted)] += amount * DOLLARS / INDEX[coin]
    return Book(account, sizes, coin if account == "coin collateral" else CASH)


def _levels(moves: Float64Array, rows: npt.NDArray[np.intp]) -> tuple[Float64Array, Float64Array]:
    """(volatility known before each of the days, the one known after it), annual."""
    known = scale_before(np.append(moves, 0.0), float(np.mean(moves[:WARM_UP] ** 2)))
    levels = np.clip(math.sqrt(365) * known, LEVELS[0], LEVELS[-1])
    return levels[rows], levels[rows + 1]


def _losses(
    account: str, coin: str, level: Float64Array, after: Float64Array, moves: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """(change of value, options' value before), dollars by day."""
    index, coins = INDEX[coin], DOLLARS / INDEX[coin]
    change, value = np.zeros(len(moves)), np.zeros(len(moves))
    for days, share, sign, amount in LEGS[account]:
        if not sign:
            change += amount * coins * index * moves
            continue
        term = np.full(len(moves), float(days))
        strike, forward = np.full_like(term, share * index), np.full_like(term, index)
        before = smile(level, forward, strike, term)
        then = before * np.exp(np.log(after / level) * (30 / days) ** TERM_POWER)
        old = black76.price(forward, strike, before, term / 365, sign)
        new = black76.price(forward * (1 + moves), strike, then, (term - HORIZON_DAYS) / 365, sign)
        change += amount * coins * (new - old)
        value += amount * coins * old
    return change, value


def _margins(name: str, account: str, coin: str, known: Float64Array, level: str) -> Float64Array:
    """What the model asks by day, dollars of value, options included; between the grid's volatilities on a line."""
    model = models.model(name)
    grid = []
    for at in LEVELS:
        made = MadeMarket(dict.fromkeys(INDEX, at))
        grid.append(float(asked(model, [made_book(account, coin, made)], made, (level,))[level][0]))
    return np.interp(known, LEVELS, grid)


def _result(
    name: str, account: str, margin: Float64Array, change: Float64Array, value: Float64Array, moves: Float64Array
) -> ClassResult:
    held = margin - value
    if account == "coin collateral":
        held = held * (1 + moves)
    # A rounding of the doubles is no exceedance: a basis trade loses 1e-10 dollars against a margin of nothing.
    left = held + value + change
    beyond = left < -1e-6 * DOLLARS
    positive = bool(margin.min() > 1e-6 * DOLLARS)
    return ClassResult(
        name,
        account,
        policy.coverage(beyond),
        float(margin.mean() / DOLLARS),
        max(0.0, -float(left.min()) / DOLLARS),
        policy.procyclicality(margin, RISE_DAYS) if positive and math.isfinite(margin.max()) else None,
    )
