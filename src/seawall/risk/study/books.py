"""Made portfolios: one market of linear contracts that every model lists, and accounts of six kinds drawn from it.

The market is flat and plain so that nothing but the portfolios differs: BTC and ETH, a perpetual and options of four
expiries at seven strikes on each, settled in USDC. Futures are left out because two of the models list none; a basis
trade is a perpetual against the synthetic future of a call and a put.

Kinds: `directional` (a perpetual), `basis`, `option buyer` and `option seller` (one to four options), `market maker`
(many options of either side, delta hedged), `coin collateral` (a perpetual long, calls sold, and coins as collateral:
they fall with the book). Gross size is log-uniform, so that most accounts are small and a few are larger than the
market is deep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.risk import black76
from seawall.risk.margin.portfolio import (
    MILLISECONDS_PER_DAY,
    Currency,
    Expiry,
    Instrument,
    Market,
    Portfolio,
    Position,
    Underlying,
)
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

Float64Array = npt.NDArray[np.float64]

KINDS: Final = ("directional", "basis", "option buyer", "option seller", "market maker", "coin collateral")
UNDERLYINGS: Final = ("BTC", "ETH")
CASH: Final = "USDC"
INDEX: Final[Mapping[str, float]] = {"BTC": 60_000.0, "ETH": 3_000.0}
VOLATILITY: Final[Mapping[str, float]] = {"BTC": 0.60, "ETH": 0.75}
"""At the money, a year."""
DAYS: Final = (7, 30, 90, 180)
MONEYNESS: Final = (0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5)
TIME: Final = 1_798_790_400_000
"""2027-01-01 08:00 UTC: the newest parameters of every model are in force."""
GROSS: Final = (1e5, 5e8)
"""Dollars, least and most of a portfolio's gross size."""


@dataclass(frozen=True)
class MadeMarket:
    """The market at given volatilities at the money, and the instruments' numbers as columns."""

    volatility: Mapping[str, float]

    @cached_property
    def contracts(self) -> tuple[tuple[str, float, float, int], ...]:
        """(underlying, strike, sign, days) of each instrument; a perpetual has 0 everywhere but its underlying."""
        made: list[tuple[str, float, float, int]] = []
        for coin in UNDERLYINGS:
            made.append((coin, 0.0, 0.0, 0))
            for days in DAYS:
                for share in MONEYNESS:
                    made += [(coin, share * INDEX[coin], sign, days) for sign in (1.0, -1.0)]
        return tuple(made)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the instruments."""
        words = {1.0: "C", -1.0: "P"}
        return tuple(
            f"{coin}-{days}D-{strike:.0f}-{words[sign]}" if sign else f"{coin}-PERP"
            for coin, strike, sign, days in self.contracts
        )

    @cached_property
    def coin(self) -> npt.NDArray[np.int64]:
        """Number of each instrument's underlying in UNDERLYINGS."""
        return np.array([UNDERLYINGS.index(item[0]) for item in self.contracts])

    @cached_property
    def is_option(self) -> npt.NDArray[np.bool_]:
        """Which instruments are options."""
        return np.array([item[2] != 0 for item in self.contracts])

    @cached_property
    def index(self) -> Float64Array:
        """Index price under each instrument, dollars."""
        return np.array([INDEX[item[0]] for item in self.contracts])

    @cached_property
    def columns(self) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
        """(forward, strike, sign, days) of the options."""
        options = [item for item in self.contracts if item[2]]
        table = np.array([[INDEX[coin], strike, sign, days] for coin, strike, sign, days in options])
        return table[:, 0], table[:, 1], table[:, 2], table[:, 3]

    @cached_property
    def volatilities(self) -> Float64Array:
        """Of each option, a year."""
        forward, strike, _, days = self.columns
        level = np.array([self.volatility[item[0]] for item in self.contracts if item[2]])
        return smile(level, forward, strike, days)

    @cached_property
    def marks(self) -> Float64Array:
        """Dollars of each instrument's mark."""
        forward, strike, sign, days = self.columns
        marks = self.index.copy()
        marks[self.is_option] = black76.price(forward, strike, self.volatilities, days / 365, sign)
        return marks

    @cached_property
    def deltas(self) -> Float64Array:
        """Coins of each instrument's delta."""
        forward, strike, sign, days = self.columns
        deltas = np.ones(len(self.contracts))
        deltas[self.is_option] = black76.delta(forward, strike, self.volatilities, days / 365, sign)
        return deltas

    @cached_property
    def vegas(self) -> Float64Array:
        """Dollars that each instrument gains for a relative rise of its volatility by 1.00."""
        forward, strike, _, days = self.columns
        vegas = np.zeros(len(self.contracts))
        vegas[self.is_option] = self.volatilities * black76.vega(forward, strike, self.volatilities, days / 365)
        return vegas

    @cached_property
    def market(self) -> Market:
        """As the models read it."""
        volatilities = np.zeros(len(self.contracts))
        volatilities[self.is_option] = self.volatilities
        instruments = {}
        for at, (name, (coin, strike, sign, days)) in enumerate(zip(self.names, self.contracts, strict=True)):
            mark = float(self.marks[at])
            instruments[name] = (
                Instrument(
                    kind="option", underlying=coin, currency=CASH, expiry=TIME + days * MILLISECONDS_PER_DAY,
                    strike=strike, option="call" if sign > 0 else "put", mark=mark, volatility=float(volatilities[at]),
                )
                if sign
                else Instrument(kind="perpetual", underlying=coin, currency=CASH, mark=mark)
            )  # fmt: skip
        return Market(
            underlyings={coin: Underlying(index=INDEX[coin]) for coin in UNDERLYINGS},
            instruments=instruments,
            expiries=tuple(
                Expiry(underlying=coin, time=TIME + days * MILLISECONDS_PER_DAY, forward=INDEX[coin])
                for coin in UNDERLYINGS
                for days in DAYS
            ),
            currencies={CASH: Currency(price=1.0)},
        )


def smile(level: Float64Array, forward: Float64Array, strike: Float64Array, days: Float64Array) -> Float64Array:
    """Volatility by strike: 5 % of `level` more for each squared deviation, 3 % less for each one up; three at most."""
    deviations = np.clip(np.log(strike / forward) / (level * np.sqrt(days / 365)), -3.0, 3.0)
    return np.asarray(level * (1 + 0.05 * deviations**2 - 0.03 * deviations))


@dataclass(frozen=True)
class Book:
    """One made account: coins of each instrument, and what it holds as collateral."""

    kind: str
    sizes: Float64Array
    """(instruments,) coins, positive long."""
    collateral: str = CASH

    def portfolio(self, made: MadeMarket, amount: float, coin: str | None = None) -> Portfolio:
        """As the models read it, with `amount` of its collateral; of one underlying alone where `coin` names it."""
        chosen = np.flatnonzero(self.sizes)
        if coin is not None:
            chosen = chosen[made.coin[chosen] == UNDERLYINGS.index(coin)]
        positions = tuple(Position(instrument=made.names[at], size=float(self.sizes[at])) for at in chosen)
        balances = {self.collateral: amount} if amount else {}
        return Portfolio(format=1, time=TIME, market=made.market, positions=positions, balances=balances)

    def coins(self, made: MadeMarket) -> list[str]:
        """Underlyings that it has positions on."""
        return [UNDERLYINGS[at] for at in sorted(set(made.coin[np.flatnonzero(self.sizes)].tolist()))]


def plain_market() -> MadeMarket:
    """The market at its usual volatilities."""
    return MadeMarket(VOLATILITY)


def draw(count: int, seed: int, made: MadeMarket, gross: tuple[float, float] = GROSS) -> list[Book]:
    """`count` accounts, kinds in turn; two of five on BTC, two on ETH, one on both, but coin collateral on one.

    Raises InputError for a count, seed or range of sizes out of bounds. Same seed, same accounts.
    """
    number("portfolios", count, at_least=len(KINDS), at_most=100_000)
    number("seed", seed, at_least=0)
    positive("gross[0]", gross[0], at_most=1e12)
    number("gross[1]", gross[1], at_least=gross[0], at_most=1e12)
    rng = np.random.default_rng(seed)
    books = []
    for at in range(count):
        kind = KINDS[at % len(KINDS)]
        dollars = float(np.exp(rng.uniform(np.log(gross[0]), np.log(gross[1]))))
        where = int(rng.integers(5))
        coins = UNDERLYINGS if where == 4 and kind != "coin collateral" else (UNDERLYINGS[where % 2],)
        books.append(book(kind, coins, dollars, rng, made))
    return books


def book(kind: str, coins: Sequence[str], dollars: float, rng: np.random.Generator, made: MadeMarket) -> Book:
    """One account of a kind with `dollars` of gross size, in equal parts on `coins`. Raises InputError for a kind."""
    if kind not in KINDS:
        raise InputError("kind", kind, f"must be one of {', '.join(KINDS)}")
    sizes = np.zeros(len(made.contracts))
    for coin in coins:
        sizes += _sizes(kind, UNDERLYINGS.index(coin), dollars / len(coins) / INDEX[coin], rng, made)
    return Book(kind, sizes, coins[0] if kind == "coin collateral" else CASH)


def _sizes(kind: str, coin: int, gross: float, rng: np.random.Generator, made: MadeMarket) -> Float64Array:
    """(instruments,) sizes whose absolute values add up to `gross` coins."""
    sizes = np.zeros(len(made.contracts))
    mine = made.coin == coin
    perpetual = int(np.flatnonzero(mine & ~made.is_option)[0])
    options = np.flatnonzero(mine & made.is_option)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if kind == "directional":
        sizes[perpetual] = side
    elif kind == "basis":
        pair = int(rng.integers(len(options) // 2))
        call, put = options[2 * pair : 2 * pair + 2]
        sizes[[perpetual, call, put]] = side, -side, side
    elif kind == "market maker":
        held = rng.choice(options, size=int(rng.integers(8, 21)), replace=False)
        sizes[held] = rng.normal(size=len(held))
        sizes[perpetual] = -float(sizes @ np.where(mine, made.deltas, 0.0))
    elif kind == "coin collateral":
        calls = [at for at in options if made.contracts[at][2] > 0 and made.contracts[at][1] >= made.index[at]]
        sizes[perpetual], sizes[rng.choice(calls)] = 1.0, -float(rng.random())
    else:
        out = [at for at in options if made.contracts[at][2] * (made.contracts[at][1] - made.index[at]) >= 0]
        held = rng.choice(np.array(out), size=int(rng.integers(1, 5)), replace=False)
        sizes[held] = (1.0 if kind == "option buyer" else -1.0) * rng.uniform(0.2, 1.0, size=len(held))
    return np.asarray(sizes * gross / np.abs(sizes).sum())
