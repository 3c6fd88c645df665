"""Sobol Monte Carlo with a Brownian bridge: the oracle for what has a closed form, and the price of what has none.

Points: a scrambled Sobol set (A. Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences", 1995), the path built
coarse to fine so that the best coordinates decide most (P. Jaeckel, "Monte Carlo Methods in Finance", 2002, section
10.8.3; P. Glasserman, "Monte Carlo Methods in Financial Engineering", 2004, section 5.5.2). Between two points of a
path the chance of having touched a barrier is that of a Brownian bridge (Glasserman, section 6.4), so continuous
monitoring has no bias of the step.

The standard error comes from moving the whole set by independent uniform vectors, modulo 1 (R. Cranley and
T. Patterson, SIAM Journal on Numerical Analysis 13 (1976), 904-914; Glasserman, section 5.4): each move is an unbiased
estimate of its own. Fresh scrambles would not do: each has one point in every stratum of the first coordinate, so where
a payoff jumps at the edge of a stratum all of them err alike, and their spread says that none does.

Same arguments and seed, same bits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import qmc

from seawall.risk.exotics.diffusion import IN, OUT, Diffusion, cash_amount, knock_sign
from seawall.vocabulary.errors import InputError

Float64Array = npt.NDArray[np.float64]
Payoff = Callable[[Float64Array], Float64Array]

_BITS: Final = 52
_CELL: Final = 2.0**-_BITS


@dataclass(frozen=True, slots=True)
class Sampling:
    """`steps` of a path, 2^`log2_paths` paths in each of `moves` independent randomisations, from `seed`."""

    steps: int = 16
    log2_paths: int = 10
    moves: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for field, low, high in (("steps", 1, 4096), ("log2_paths", 1, 20), ("moves", 2, 4096), ("seed", 0, 2**63)):
            value = getattr(self, field)
            if not isinstance(value, int) or not low <= value <= high:
                raise InputError(field, value, f"must be a whole number in [{low}, {high}]")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over the moves and its standard error; `moves` - 1 degrees of freedom, so tails are Student's."""

    mean: float
    standard_error: float
    moves: int


def estimate(sampling: Sampling, value: Callable[[Float64Array, Float64Array], Float64Array]) -> Estimate:
    """Mean of value(paths, uniforms): (p, steps + 1) Brownian paths on [0, 1] from 0, and (p,) uniforms beside them."""
    bridge = brownian_bridge(np.linspace(0.0, 1.0, sampling.steps + 1))
    rng = np.random.default_rng(sampling.seed)
    sobol = qmc.Sobol(sampling.steps + 1, scramble=True, bits=_BITS, rng=rng)
    points = sobol.random_base2(sampling.log2_paths)
    means = np.empty(sampling.moves)
    for number in range(sampling.moves):
        # half a cell up: no point is 0, where the normal quantile is infinite
        moved = (points + rng.integers(2**_BITS, size=points.shape[1]) * _CELL) % 1.0 + 0.5 * _CELL
        means[number] = float(np.mean(value(bridge(ndtri(moved[:, :-1])), moved[:, -1])))
    error = float(np.std(means, ddof=1)) / math.sqrt(sampling.moves)
    return Estimate(float(np.mean(means)), error, sampling.moves)


def brownian_bridge(times: Float64Array) -> Callable[[Float64Array], Float64Array]:
    """A map from (p, n) standard normals to (p, n + 1) Brownian paths at `times` (n + 1, rising from 0).

    The first normal sets the end, each later one the middle of the longest gap left: mean on the line between its
    neighbours, variance (t - left) (right - t) / (right - left).
    """
    last = len(times) - 1
    order: list[tuple[int, int, int]] = []
    gaps = [(0, last)]
    for left, right in gaps:  # grows as it is read: breadth first
        if right - left > 1:
            middle = (left + right) // 2
            order.append((left, middle, right))
            gaps += [(left, middle), (middle, right)]

    def paths(normals: Float64Array) -> Float64Array:
        path = np.zeros((last + 1, len(normals)))
        path[last] = math.sqrt(times[last]) * normals[:, 0]
        for column, (left, middle, right) in enumerate(order, start=1):
            before, after, whole = times[middle] - times[left], times[right] - times[middle], times[right] - times[left]
            noise = math.sqrt(before * after / whole) * normals[:, column]
            path[middle] = (after * path[left] + before * path[right]) / whole + noise
        return path.T

    return paths


@dataclass(frozen=True, slots=True)
class Contract:
    """Payoff of the final spot, alive only if a barrier was touched (IN) or none was (OUT), and a rebate.

    `payoff` maps (p,) spots to (p,) money at expiry. `lower` 0 or `upper` infinite is no barrier. `rebate`: of an OUT
    contract at the touch (payoff zero makes it a one-touch), of an IN contract at expiry if never touched.
    `on_dates`: only the path's own steps are looked at, expiry last.
    """

    payoff: Payoff
    knock: float = OUT
    lower: float = 0.0
    upper: float = math.inf
    rebate: float = 0.0
    on_dates: bool = False


def price(diffusion: Diffusion, contract: Contract, sampling: Sampling) -> Estimate:
    """Price of the contract; fields of `diffusion` are single numbers."""
    model = _Model(diffusion)
    rebate, knock = float(cash_amount("rebate", contract.rebate)), float(knock_sign(contract.knock))
    if not 0 <= contract.lower < contract.upper:
        raise InputError("lower", contract.lower, "must be from 0 to below the upper barrier")

    def value(paths: Float64Array, uniforms: Float64Array) -> Float64Array:
        logs = model.log_spots(paths, np.ones(1))
        kept = _kept(logs, contract, np.full(1, model.variance))
        money = np.asarray(contract.payoff(np.exp(logs[:, -1])), float)
        if not np.isfinite(money).all():
            raise InputError("payoff", float(money[~np.isfinite(money)][0]), "must be finite for every spot")
        paid = money * (kept if knock == OUT else 1 - kept)
        if knock == IN:
            return model.discount * (paid + rebate * kept)
        if not rebate:
            return model.discount * paid
        if contract.on_dates:
            return model.discount * paid + rebate * _first_date(logs, contract, model)
        # e^(-r tau) = e^(-r T) + integral of r e^(-r t) from tau to T: paid at expiry if touched, and at a uniform
        # time u T if touched by then, on a path of that shorter life.
        early = _kept(model.log_spots(paths, uniforms), contract, model.variance * uniforms)
        rate = model.rate * model.years
        return model.discount * (paid + rebate * (1 - kept)) + rebate * rate * np.exp(-rate * uniforms) * (1 - early)

    return estimate(sampling, value)


def realised_variance(diffusion: Diffusion, sampling: Sampling) -> Estimate:
    """Expected annual realised variance over the path's own steps, the mean return not taken off."""
    model = _Model(diffusion)
    return estimate(
        sampling,
        lambda paths, _: np.sum(np.diff(model.log_spots(paths, np.ones(1)), axis=1) ** 2, axis=1) / model.years,
    )


class _Model:
    """A diffusion's numbers as floats."""

    def __init__(self, diffusion: Diffusion) -> None:
        numbers = diffusion.spot, diffusion.volatility, diffusion.years, diffusion.rate, diffusion.carry
        if any(np.ndim(number) for number in numbers):
            raise InputError("diffusion", np.broadcast(*numbers).shape, "must be single numbers")
        self.spot, self.volatility, self.years, self.rate, carry = (float(np.asarray(number)) for number in numbers)
        self.variance = self.volatility**2 * self.years
        self.drift = carry * self.years - 0.5 * self.variance
        self.discount = math.exp(-self.rate * self.years)

    def log_spots(self, paths: Float64Array, share: Float64Array) -> Float64Array:
        """Log spots of paths that live `share` of the years: (1,) or (p,)."""
        share = share[:, np.newaxis]
        times = share * np.linspace(0.0, 1.0, paths.shape[1])
        noise: Float64Array = math.sqrt(self.variance) * np.sqrt(share) * paths
        return math.log(self.spot) + self.drift * times + noise


def _kept(logs: Float64Array, contract: Contract, variance: Float64Array) -> Float64Array:
    """(p,) chance that neither barrier was touched, given the path's points; 0 or 1 where looked at on dates."""
    lower = math.log(contract.lower) if contract.lower > 0 else -math.inf
    upper = math.log(contract.upper)
    looked = logs[:, 1:] if contract.on_dates else logs
    inside: Float64Array = np.all((looked > lower) & (looked < upper), axis=1).astype(float)
    if contract.on_dates or (lower == -math.inf and upper == math.inf):
        return inside
    step = (variance / (logs.shape[1] - 1))[:, np.newaxis]
    chance = np.ones((len(logs), logs.shape[1] - 1))
    if lower > -math.inf and upper < math.inf:
        width, start, end = upper - lower, logs[:, :-1] - lower, logs[:, 1:] - lower
        chance = np.zeros_like(chance)
        images = 1 + math.ceil(math.sqrt(20 * float(step.max())) / width)  # the next one weighs below e^-40
        for n in range(-images, images + 1):
            shift = n * width
            chance += np.exp(np.minimum(-2 * shift * (shift + end - start) / step, 0.0))
            chance -= np.exp(np.minimum(-2 * (start + shift) * (end + shift) / step, 0.0))
    elif lower > -math.inf:
        chance = -np.expm1(np.minimum(-2 * (logs[:, :-1] - lower) * (logs[:, 1:] - lower) / step, 0.0))
    elif upper < math.inf:
        chance = -np.expm1(np.minimum(-2 * (upper - logs[:, :-1]) * (upper - logs[:, 1:]) / step, 0.0))
    kept: Float64Array = inside * np.prod(chance, axis=1)
    return kept


def _first_date(logs: Float64Array, contract: Contract, model: _Model) -> Float64Array:
    """(p,) discount factor of the first of the path's dates that finds a barrier touched; 0 if none does."""
    touched = ~((np.exp(logs[:, 1:]) > contract.lower) & (np.exp(logs[:, 1:]) < contract.upper))
    date = (np.argmax(touched, axis=1) + 1) / touched.shape[1]
    return np.where(touched.any(axis=1), np.exp(-model.rate * model.years * date), 0.0)
