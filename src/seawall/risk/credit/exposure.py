"""Expected and potential future exposure to one counterparty, by simulation: netting, collateral, wrong-way risk.

Coins' forwards are lognormal, F(t) = F(0) exp(sigma W(t) + (mu - sigma^2 / 2) t), with correlated Brownian motions; all
expiries of a coin move together. At a date t every position of the netting set is valued, options by Black's formula at
their own volatility; an expired one is settled and worth nothing. Without collateral the exposure is max(V, 0).

Collateral (the classical model: M. Pykhtin, "Modeling credit exposure for collateralized counterparties", Journal of
Credit Risk 5, 2009): the last margin that the counterparty paid was for the time s = t - margin period of risk. It paid
max(V(s) - threshold - minimum transfer, 0), which is the least it can have paid under a minimum transfer amount; we
posted max(-V(s) - our threshold, 0) without holding anything back. Exposure = max(V(t) - received + posted -
independent collateral at t, 0). Margin is called daily; none moves between s and t, so what expires in between has been
settled while the collateral against it has not gone back: exposure peaks after large expiries. Independent collateral
may be in coins, valued at t: that is where it is wrong-way.

Default and wrong-way risk: the default time has the hazard rate lambda. A Gaussian copula gives its latent normal X,
low for an early default, and for each date t the coin's W(t) / sqrt(t) the correlation rho with X (one X for each
date: no single X can have the same rho with W(t) / sqrt(t) at all dates). Given default at t, X is x = Phi^-1(1 -
exp(-lambda t)), and the path to t is corrected by (rho u / sqrt(t)) (x - X) at time u <= t (J. Hull and A. White,
"CVA and wrong-way risk", 2012, discuss such models). With rho > 0 coins fall as the counterparty fails. Beside it a
coin may jump, by a fraction of its price, at default itself, after the last margin.

Beside the dates asked for the exposure is seen just before each expiry, and with collateral just before it is called
again after one: what is at its largest there would else count for nothing, or only at dates that happen to be near.

Points are scrambled Sobol sequences in `replicates` independent scramblings, whose spread is the standard error.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs
from scipy.special import ndtri
from scipy.stats import qmc

from seawall.risk import black76
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

Float64Array = npt.NDArray[np.float64]
TOTAL_VOLATILITY_MAX: Final = 10.0
JUST_BEFORE: Final = 1e-9
"""Of a time, how much earlier the moment before it is."""
LEAST: Final = 1e-9
"""Years, and defaults a year: of less the chance of a default by then may be too small for a double."""


class Coin(Struct, frozen=True, forbid_unknown_fields=True):
    """A coin at `price` dollars with annual `volatility` and `drift`; see the module for the other two."""

    name: str
    price: float
    volatility: float
    drift: float = 0.0
    default_correlation: float = 0.0
    jump_at_default: float = 0.0


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` coins, positive long, of a forward agreed at `strike` or an option, expiring in `years`.

    `forward` is the market's today. `volatility` values an option on every path; the coin's moves the forward.
    """

    coin: str
    amount: float
    strike: float
    years: float
    forward: float
    kind: Literal["forward", "call", "put"] = "forward"
    volatility: float = 0.0


class Collateral(Struct, frozen=True, forbid_unknown_fields=True):
    """Terms of collateral, in dollars and years. `our_threshold` None: we never post. `independent_coins` by coin."""

    margin_period: float
    threshold: float = 0.0
    minimum_transfer: float = 0.0
    our_threshold: float | None = None
    independent: float = 0.0
    independent_coins: dict[str, float] = {}


class Counterparty(Struct, frozen=True, forbid_unknown_fields=True):
    """One netting set. `correlation` of the coins in their order (None: independent); `hazard` defaults a year."""

    coins: list[Coin]
    positions: list[Position]
    dates: list[float]
    correlation: list[list[float]] | None = None
    collateral: Collateral | None = None
    hazard: float = 0.0
    quantile: float = 0.975


class Profile(Struct, frozen=True):
    """Exposure at each date, shapes (dates,). Wrong-way numbers are those given default at the date; without hazard
    None.

    `standard_error` is that of `expected`, `wrong_way_error` that of `wrong_way_expected`.
    """

    dates: list[float]
    expected: list[float]
    standard_error: list[float]
    potential: list[float]
    default_probability: list[float]
    wrong_way_expected: list[float] | None
    wrong_way_error: list[float] | None
    wrong_way_potential: list[float] | None
    now: float

    @property
    def expected_positive(self) -> float:
        """Expected exposure averaged over time, each date for the time since the one before."""
        return _time_average(self.expected, self.dates)

    @property
    def effective_expected_positive(self) -> float:
        """The same of the highest expected exposure so far, today's included, over the first year (CRE53.13)."""
        highest = np.maximum.accumulate([self.now, *self.expected])[1:]
        within = [at for at, date in enumerate(self.dates) if date <= 1.0] or [0]
        return _time_average([float(highest[at]) for at in within], [self.dates[at] for at in within])

    @property
    def peak(self) -> float:
        """The highest potential future exposure, wrong-way included."""
        return max([*self.potential, *(self.wrong_way_potential or [])])

    def expected_loss(self, loss_given_default: float) -> float:
        """Sum of loss given default x exposure given default at the date x probability of default since the last
        one."""
        share = number("loss_given_default", loss_given_default, at_least=0.0, at_most=1.0)
        exposures = self.wrong_way_expected if self.wrong_way_expected is not None else self.expected
        steps = np.diff([0.0, *self.default_probability])
        return share * math.fsum(exposure * step for exposure, step in zip(exposures, steps, strict=True))


def simulate(counterparty: Counterparty, *, seed: int, points: int = 4096, replicates: int = 8) -> Profile:
    """The exposure profile at the dates and around expiries; `points` a power of two, in each of `replicates`
    scramblings. Same seed, same numbers.

    Raises InputError for the first number out of range, correlations that no distribution has, or a wrong-way
    correlation or jump without a hazard rate.
    """
    _check(counterparty)
    number("seed", seed, at_least=0)
    if points < 2 or points & (points - 1) or points > 1 << 20:
        raise InputError("points", points, "must be a power of two, 2 to 1,048,576")
    number("replicates", replicates, at_least=2, at_most=(1 << 22) // points)
    counterparty = structs.replace(counterparty, dates=_seen(counterparty))
    model = _Model(counterparty)
    seeds = np.random.SeedSequence(seed).spawn(replicates)
    normals = [_normals(points, 2 * len(counterparty.coins) + 1, one) for one in seeds]
    plain, wrong = _rows(model, normals, False), None
    if counterparty.hazard > 0:
        wrong = _rows(model, normals, True)
    return Profile(
        dates=list(counterparty.dates),
        expected=plain[0],
        standard_error=plain[1],
        potential=plain[2],
        default_probability=[-math.expm1(-counterparty.hazard * date) for date in counterparty.dates],
        wrong_way_expected=wrong[0] if wrong else None,
        wrong_way_error=wrong[1] if wrong else None,
        wrong_way_potential=wrong[2] if wrong else None,
        now=model.now(),
    )


def _seen(given: Counterparty) -> list[float]:
    """The dates, and up to the last one the moments around each expiry at which an exposure ends."""
    ends = {item.years for item in given.positions}
    if given.collateral is not None:
        ends |= {item.years + given.collateral.margin_period for item in given.positions}
    return sorted({*given.dates, *(end * (1 - JUST_BEFORE) for end in ends if end <= given.dates[-1])})


def _rows(model: "_Model", normals: Sequence[Float64Array], defaulted: bool) -> tuple[list[float], ...]:
    """Mean, its standard error and the quantile at each date."""
    means, errors, quantiles = [], [], []
    for date in model.given.dates:
        found = [model.exposures(date, one, defaulted) for one in normals]
        by_replicate = [float(np.mean(one)) for one in found]
        means.append(math.fsum(by_replicate) / len(found))
        errors.append(float(np.std(by_replicate, ddof=1)) / math.sqrt(len(found)))
        quantiles.append(float(np.quantile(np.concatenate(found), model.given.quantile, method="inverted_cdf")))
    return means, errors, quantiles


class _Model:
    """The counterparty's numbers as arrays, and the exposure at one date on every path."""

    def __init__(self, given: Counterparty) -> None:
        self.given = given
        self.names = [coin.name for coin in given.coins]
        count = len(given.coins)
        correlation = np.eye(count) if given.correlation is None else np.array(given.correlation, dtype=np.float64)
        try:
            self.root = np.linalg.cholesky(correlation)
        except np.linalg.LinAlgError as error:
            raise InputError("correlation", given.correlation, "must be positive definite") from error
        self.volatility = np.array([coin.volatility for coin in given.coins])
        self.drift = np.array([coin.drift for coin in given.coins])
        self.prices = np.array([coin.price for coin in given.coins])
        self.jump = np.array([coin.jump_at_default for coin in given.coins])
        self.loading = np.array([coin.default_correlation for coin in given.coins])
        self.weights = np.linalg.solve(correlation, self.loading)
        self.rest = 1.0 - float(self.loading @ self.weights)
        if self.rest < -1e-12:
            raise InputError("default_correlation", self.loading.tolist(), "must be possible beside the correlation")

    def now(self) -> float:
        """Exposure today: the last margin was today's."""
        ones = np.ones((1, len(self.names)))
        return float(self._exposure(0.0, ones, 0.0, ones)[0])

    def exposures(self, date: float, normals: Float64Array, defaulted: bool) -> Float64Array:
        """Exposure at `date` on each path, given default at it if `defaulted`. normals: (paths, 2 coins + 1)."""
        count, collateral = len(self.names), self.given.collateral
        last = max(date - collateral.margin_period, 0.0) if collateral is not None else date
        before = math.sqrt(last) * normals[:, :count] @ self.root.T
        after = before + math.sqrt(date - last) * normals[:, count : 2 * count] @ self.root.T
        jump = np.ones(count)
        if defaulted:
            threshold = _latent_default(self.given.hazard * date)
            latent = after @ self.weights / math.sqrt(date) + math.sqrt(max(self.rest, 0.0)) * normals[:, 2 * count]
            missing = np.outer(threshold - latent, self.loading) / math.sqrt(date)
            before, after = before + last * missing, after + date * missing
            jump = 1.0 + self.jump
        return self._exposure(last, self._growth(before, last), date, self._growth(after, date) * jump)

    def _growth(self, brownian: Float64Array, time: float) -> Float64Array:
        """Forwards at `time` over forwards today, shape (paths, coins)."""
        return np.exp(self.volatility * brownian + (self.drift - 0.5 * self.volatility**2) * time)

    def _exposure(self, last: float, before: Float64Array, date: float, after: Float64Array) -> Float64Array:
        value, terms = self._value(date, after), self.given.collateral
        if terms is None:
            return np.maximum(value, 0.0)
        margined = self._value(last, before)
        value = value - np.maximum(margined - terms.threshold - terms.minimum_transfer, 0.0) - terms.independent
        if terms.our_threshold is not None:
            value = value + np.maximum(-margined - terms.our_threshold, 0.0)
        for name, amount in terms.independent_coins.items():
            at = self.names.index(name)
            value = value - amount * self.prices[at] * after[:, at]
        return np.maximum(value, 0.0)

    def _value(self, time: float, growth: Float64Array) -> Float64Array:
        """Value of the netting set at `time` on each path; what has expired is settled."""
        total = np.zeros(len(growth))
        for position in self.given.positions:
            if position.years <= time:
                continue
            forward = position.forward * growth[:, self.names.index(position.coin)]
            if position.kind == "forward":
                total += position.amount * (forward - position.strike)
                continue
            kind = 1.0 if position.kind == "call" else -1.0
            left = position.years - time
            total += position.amount * black76.price(forward, position.strike, position.volatility, left, kind)
        return total


def _latent_default(hazard: float) -> float:
    """The normal quantile of 1 - exp(-hazard), from whichever tail a double resolves."""
    return float(ndtri(-math.expm1(-hazard)) if hazard < 1 else -ndtri(math.exp(-hazard)))


def _normals(points: int, dimensions: int, seed: np.random.SeedSequence) -> Float64Array:
    """Independent standard normals, shape (points, dimensions), from one scrambled Sobol sequence."""
    sobol = qmc.Sobol(dimensions, scramble=True, bits=62, rng=np.random.default_rng(seed))
    # Points are multiples of 2^-62 and may be 0; half a step up, and never 1, keeps the normals finite.
    uniform = np.clip(sobol.random(points), 2.0**-63, 1.0 - 2.0**-53)
    return np.asarray(ndtri(uniform), dtype=np.float64)


def _time_average(values: Sequence[float], dates: Sequence[float]) -> float:
    steps = np.diff([0.0, *dates])
    return math.fsum(value * step for value, step in zip(values, steps, strict=True)) / dates[-1]


def _check(given: Counterparty) -> None:
    for field in ("coins", "positions", "dates"):
        if not getattr(given, field):
            raise InputError(field, [], "must not be empty")
    if len({coin.name for coin in given.coins}) != len(given.coins):
        raise InputError("coins", [coin.name for coin in given.coins], "must name each coin once")
    last = 0.0
    for at, date in enumerate(given.dates):
        last = number(f"dates[{at}]", date, above=last, at_least=LEAST, at_most=50.0)
    number("quantile", given.quantile, at_least=0.5, at_most=0.9999)
    if given.hazard != 0:
        number("hazard", given.hazard, at_least=LEAST, at_most=10.0)
    for at, coin in enumerate(given.coins):
        _check_coin(f"coins[{at}]", coin, last, given.hazard)
    names = {coin.name for coin in given.coins}
    for at, position in enumerate(given.positions):
        _check_position(f"positions[{at}]", position, names)
    if given.collateral is not None:
        _check_collateral(given.collateral, names)
    if given.correlation is not None:
        _check_correlation(given.correlation, len(given.coins))


def _check_coin(where: str, coin: Coin, last: float, hazard: float) -> None:
    positive(f"{where}.price", coin.price)
    positive(f"{where}.volatility", coin.volatility, at_most=TOTAL_VOLATILITY_MAX / math.sqrt(max(last, 1.0)))
    number(f"{where}.drift", coin.drift, at_least=-1.0, at_most=1.0)
    number(f"{where}.default_correlation", coin.default_correlation, at_least=-1.0, at_most=1.0)
    number(f"{where}.jump_at_default", coin.jump_at_default, above=-1.0, at_most=10.0)
    if hazard == 0 and (coin.default_correlation != 0 or coin.jump_at_default != 0):
        raise InputError("hazard", hazard, f"must be positive: {where} depends on the default")


def _check_position(where: str, position: Position, names: set[str]) -> None:
    if position.coin not in names:
        raise InputError(f"{where}.coin", position.coin, f"must be one of {', '.join(sorted(names))}")
    number(f"{where}.amount", position.amount)
    for field in ("strike", "forward"):
        positive(f"{where}.{field}", getattr(position, field))
    number(f"{where}.years", position.years, at_least=LEAST)
    if position.kind not in ("forward", "call", "put"):
        raise InputError(f"{where}.kind", position.kind, "must be forward, call or put")
    if position.kind != "forward":
        positive(f"{where}.volatility", position.volatility, at_most=TOTAL_VOLATILITY_MAX)


def _check_collateral(terms: Collateral, names: set[str]) -> None:
    number("collateral.margin_period", terms.margin_period, at_least=0.0, at_most=1.0)
    for field in ("threshold", "minimum_transfer", "independent"):
        number(f"collateral.{field}", getattr(terms, field), at_least=0.0)
    if terms.our_threshold is not None:
        number("collateral.our_threshold", terms.our_threshold, at_least=0.0)
    for name, amount in terms.independent_coins.items():
        if name not in names:
            raise InputError("collateral.independent_coins", name, f"must be one of {', '.join(sorted(names))}")
        number(f"collateral.independent_coins[{name}]", amount, at_least=0.0)


def _check_correlation(correlation: list[list[float]], count: int) -> None:
    if [len(row) for row in correlation] != [count] * count:
        raise InputError("correlation", correlation, f"must be {count} x {count}")
    for at, row in enumerate(correlation):
        for other, value in enumerate(row):
            number(f"correlation[{at}][{other}]", value, at_least=-1.0, at_most=1.0)
            if value != correlation[other][at] or (at == other and value != 1.0):
                raise InputError(f"correlation[{at}][{other}]", value, "must be symmetric, with 1 on the diagonal")
