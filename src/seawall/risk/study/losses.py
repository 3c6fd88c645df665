"""What books lose on days of stress: revaluation a day later, and what closing them out costs.

Revaluation: each contract is priced once for each day (Black-76, time to expiry a day shorter), each option at its own
volatility times the day's response at its term. Closing a net delta of X dollars costs X * s * sqrt(X / V): s the
larger of the usual daily volatility and the day's move, V the dollars that trade in a day (the square root law, Y = 1:
B. Toth and others, "Anomalous price impact and the critical nature of liquidity in financial markets", Physical Review
X 1 (2011); R. Almgren and others, "Direct estimation of equity market impact", Risk, July 2005). Options are closed
one by one at a concession of volatility, the half spread, times 1 + sqrt(gross option notional / what trades in a day).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from seawall.risk import black76
from seawall.risk.study.books import CASH, INDEX, UNDERLYINGS, Book, Float64Array, MadeMarket
from seawall.risk.study.stress import TERM_POWER, StressDays

HORIZON_DAYS: Final = 1.0


@dataclass(frozen=True)
class Liquidity:
    """Dollars of each underlying that trade in a day, its daily volatility, and how options are closed.

    Volumes: recorded trades of a quiet evening (Binance USD-M, 2024-07-18, 2.08 and 0.82 million dollars a minute) over
    a day. `half_spread`: median of the real BTC chain of 2025-12-05, as a fraction of volatility. That options trade a
    tenth of that is an assumption. `scale` multiplies all costs: 0 leaves revaluation alone.
    """

    volume: Mapping[str, float] = field(default_factory=lambda: {"BTC": 3.0e9, "ETH": 1.2e9})
    daily_volatility: Mapping[str, float] = field(default_factory=lambda: {"BTC": 0.039, "ETH": 0.053})
    half_spread: float = 0.016
    options_share: float = 0.1
    scale: float = 1.0


@dataclass(frozen=True)
class Losses:
    """What happens to books by day, dollars: change of value, cost of closing out, and return of their collateral."""

    change: Float64Array
    """(books, days)"""
    cost: Float64Array
    """(books, days)"""
    collateral_return: Float64Array
    """(books, days); 0 for cash"""
    options_value: Float64Array
    """(books,) at the marks"""

    def shortfall(self, margin: Float64Array) -> Float64Array:
        """(books, days) dollars that are missing where `margin` (books,) was the whole account, collateral included.

        The account holds options at their marks and the rest of its margin as collateral, which moves with its coin.
        """
        held = (margin - self.options_value)[:, None] * (1 + self.collateral_return)
        return np.asarray(np.maximum(0.0, -(held + self.options_value[:, None] + self.change - self.cost)))


def losses(books: Sequence[Book], made: MadeMarket, days: StressDays, liquidity: Liquidity | None = None) -> Losses:
    """Losses of every book on every day."""
    closing = liquidity if liquidity is not None else Liquidity()
    sizes = np.array([item.sizes for item in books])
    moves = days.moves[:, made.coin].T
    values, deltas = revalued(made, days)
    change = sizes @ (values - made.marks[:, None])
    cost = np.zeros_like(change)
    for at, coin in enumerate(UNDERLYINGS):
        mine = made.coin == at
        dollars = np.abs(sizes[:, mine] @ (deltas[mine] * (INDEX[coin] * (1 + moves[mine]))))
        pace = np.maximum(closing.daily_volatility[coin], np.abs(days.moves[:, at]))
        cost += dollars * pace * np.sqrt(dollars / closing.volume[coin])
        held = np.abs(sizes[:, mine & made.is_option])
        traded = closing.options_share * closing.volume[coin]
        crowd = 1 + np.sqrt(held.sum(axis=1) * INDEX[coin] / traded)
        cost += (closing.half_spread * (held @ made.vegas[mine & made.is_option]) * crowd)[:, None]
    returns = np.zeros_like(change)
    for row, item in enumerate(books):
        if item.collateral != CASH:
            returns[row] = days.moves[:, UNDERLYINGS.index(item.collateral)]
    marks = sizes[:, made.is_option] @ made.marks[made.is_option]
    return Losses(change, closing.scale * cost, returns, marks)


def revalued(made: MadeMarket, days: StressDays) -> tuple[Float64Array, Float64Array]:
    """(values in dollars, deltas in coins) of one coin of each instrument on each day, both (instruments, days)."""
    moved = made.index[:, None] * (1 + days.moves[:, made.coin].T)
    values, deltas = moved.copy(), np.ones_like(moved)
    _, strike, sign, term = made.columns
    chosen = made.is_option
    response = days.responses[:, made.coin[chosen]].T * ((30 / np.maximum(term, 1.0)) ** TERM_POWER)[:, None]
    volatilities = made.volatilities[:, None] * np.exp(response)
    years = np.broadcast_to(((term - HORIZON_DAYS) / 365)[:, None], volatilities.shape)
    forwards = moved[chosen] * (1 + days.basis[:, made.coin[chosen]].T * np.sqrt(term / 90)[:, None])
    values[chosen] = black76.price(forwards, strike[:, None], volatilities, years, sign[:, None])
    deltas[chosen] = black76.delta(forwards, strike[:, None], volatilities, years, sign[:, None])
    return values, deltas
