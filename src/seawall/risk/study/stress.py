"""Days of stress: those that were, and those a heavy-tailed model calibrated on an earlier period would give.

The model: daily log returns of BTC and ETH are bivariate Student t (common degrees of freedom, hence common crashes),
its numbers those of 2015 to 2019 (`fit`, `FITTED`); a day of stress is one on which either return is beyond its own
99 % quantile of absolute size, and neither beyond `LARGEST`.

No history of implied volatility is at hand, so its response is an assumption, stated here and varied in the study: the
logarithm of 30-day volatility rises by `FALL` for each 1.00 the log price falls, by `RISE` for each 1.00 it rises, and
by noise of `NOISE` a day; other terms by (30 / days)^`TERM_POWER` of it. A fall of 16 % is a rise of volatility by
half, one of 37 % (2020-03-12) one by a factor of 3. The 90-day forward moves against the index by `BASIS` of the
index's own move times a standard normal number, other terms by the root of days / 90 of it: an assumption too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import stdtrit

from seawall.risk.study.books import Float64Array
from seawall.risk.study.stressed_days import STRESSED_DAYS
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number

FALL: Final = 2.5
RISE: Final = 1.0
NOISE: Final = 0.06
TERM_POWER: Final = 0.3
BASIS: Final = 0.08
TAIL: Final = 0.01
"""Share of days that count as stressed, of each coin by itself."""
LARGEST: Final = 0.7
"""Of a log return: days on which a coin halves or doubles (one in some 10,000 by the model) are left out, because a
mean over fewer days than that would be the luck of the draw. No range of margin covers them."""
HILL_SHARE: Final = 0.05
FIT_DAYS_MIN: Final = 250


@dataclass(frozen=True)
class HeavyTails:
    """Bivariate t of daily log returns: degrees of freedom, scales of BTC and ETH, correlation."""

    degrees: float
    scales: tuple[float, float]
    correlation: float


FITTED: Final = HeavyTails(3.10, (0.0245, 0.0310), 0.79)
"""`fit` of the closes of 2015 to 2019 (ETH from 2017-11-09); docs/policy.md has the command."""


@dataclass(frozen=True)
class StressDays:
    """By day and coin, (days, 2): `moves`, relative; `responses` of the log of 30-day volatility; `basis`, relative, of
    the 90-day forward against the index."""

    names: tuple[str, ...]
    moves: Float64Array
    responses: Float64Array
    basis: Float64Array


def historical(seed: int, response: float = 1.0) -> StressDays:
    """The stressed days that were, with the volatility response assumed; `response` multiplies it."""
    moves = np.array([[btc, eth] for _, btc, eth in STRESSED_DAYS])
    return _with_responses([day for day, _, _ in STRESSED_DAYS], moves, seed, response)


def simulated(count: int, seed: int, response: float = 1.0, tails: HeavyTails = FITTED) -> StressDays:
    """`count` days of stress by the model. Raises InputError for numbers out of range. Same seed, same days."""
    number("days", count, at_least=10, at_most=100_000)
    number("seed", seed, at_least=0)
    rng = np.random.default_rng([seed, 1])
    mixing = np.array([[1.0, 0.0], [tails.correlation, (1 - tails.correlation**2) ** 0.5]])
    beyond = np.array(tails.scales) * float(stdtrit(tails.degrees, 1 - TAIL / 2))
    kept = np.zeros((0, 2))
    while len(kept) < count:
        normals = rng.standard_normal((100 * count, 2)) @ mixing.T
        # One chi-squared for both coins: they crash together.
        mixed = np.sqrt(tails.degrees / rng.chisquare(tails.degrees, (100 * count, 1)))
        returns = normals * mixed * np.array(tails.scales)
        sizes = np.abs(returns)
        kept = np.concatenate([kept, returns[(sizes >= beyond).any(axis=1) & (sizes <= LARGEST).all(axis=1)]])
    moves = np.expm1(kept[:count])
    return _with_responses([f"day {at + 1}" for at in range(count)], moves, seed, response)


def fit(btc: Float64Array, pairs: Float64Array) -> HeavyTails:
    """The model of daily log returns: `btc` the longest history, `pairs` (days, 2) of BTC and ETH on the same days.

    Degrees of freedom: Hill's estimate of the tail index from the largest `HILL_SHARE` of BTC's returns either way.
    Scales: such that the 99 % quantile of absolute returns is the one seen. Correlation: sin(pi/2 * Kendall's tau),
    which heavy tails do not move. Maximum likelihood is not used: it fits the middle, and puts the degrees at 1.9.
    Source: A. McNeil, R. Frey and P. Embrechts, Quantitative Risk Management (2005), sections 5.3.2 and 7.2.4.
    Raises InputError for fewer than 250 returns or numbers that are not finite.
    """
    from scipy.stats import kendalltau

    for field, values in (("btc", btc), ("pairs", pairs)):
        if len(values) < FIT_DAYS_MIN or not np.isfinite(values).all():
            raise InputError(field, len(values), f"must be at least {FIT_DAYS_MIN} finite returns")
    sizes = np.sort(np.abs(btc))[::-1]
    count = int(len(sizes) * HILL_SHARE)
    degrees = 1 / float(np.mean(np.log(sizes[:count] / sizes[count])))
    beyond = float(stdtrit(degrees, 1 - TAIL / 2))
    scales = [float(np.quantile(np.abs(values), 1 - TAIL)) / beyond for values in (btc, pairs[:, 1])]
    tau = float(kendalltau(pairs[:, 0], pairs[:, 1]).statistic)
    return HeavyTails(degrees, (scales[0], scales[1]), float(np.sin(np.pi / 2 * tau)))


def _with_responses(names: Sequence[str], moves: Float64Array, seed: int, response: float) -> StressDays:
    number("response", response, at_least=0.0, at_most=4.0)
    logs = np.log1p(moves)
    noise = np.random.default_rng([seed, 2]).standard_normal((2, *moves.shape))
    responses = response * np.where(logs < 0, -FALL * logs, RISE * logs) + NOISE * noise[0]
    return StressDays(tuple(names), moves, responses, BASIS * np.abs(logs) * noise[1])
