"""Smiles fitted to a chain's bands: SVI with one or two hyperbolas, all expiries at once; SSVI; SABR.

The loss of a quote is 0 inside its band and grows with the miss in units of the band's half-width: first in proportion,
which finds what most quotes say, then levelling off beyond `reach` (Geman & McClure), so that one absurd quote moves
next to nothing. Bands of two sides are
taken a little narrower than quoted, so that what is found does not stand on their edge, and a faint pull to their
middle makes the answer one. Arbitrage is priced as a loss, too, in stages that weigh it more and more
(docs/decisions/0036).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from seawall.risk.surfaces.arbitrage import DEVIATIONS, Arbitrage, check
from seawall.risk.surfaces.chain import Chain, Quotes
from seawall.risk.surfaces.sabr import SabrSmile
from seawall.risk.surfaces.smile import Float64Array, Smile
from seawall.risk.surfaces.ssvi import PowerLaw, Ssvi
from seawall.risk.surfaces.svi import Hyperbola, Hyperbolas

INNER: Final = 0.1
"""Share of the half-width by which a band is narrowed on each side."""
NARROWEST: Final = 1e-3
"""Least half-width of a band, as a share of total variance at the money; a locked quote is not infinitely sure."""
ONE_SIDED: Final = 0.05
"""Half-width by which a miss of a quote of one side is measured, as a share of its bound."""
NEAREST: Final = 5
"""Quotes nearest the money whose median scales an expiry."""
ROUNDS: Final = 4
"""How often a fit is made anew where the finer grid still finds arbitrage: with wider margins, and held closer to a
mild smile that has none."""

_OUT: Final = np.concatenate([DEVIATIONS * 1.1 ** np.arange(1, 21), np.geomspace(60.0, 1e6, 8)])
_GRID: Final[Float64Array] = np.concatenate([-_OUT[::-1], np.arange(-40, 41) * (DEVIATIONS / 40), _OUT])
_STAGES: Final[Float64Array] = np.array([
    # reach, centring, ridge, butterflies, calendars, margin, steps
    [0.0, 1.000, 1e-6, 1e3, 0.0, 1e-3, 20],
    [0.0, 0.100, 1e-6, 1e3, 1e2, 1e-3, 30],
    [0.0, 0.010, 1e-6, 1e4, 1e3, 1e-3, 40],
    [1.0, 0.010, 1e-6, 1e4, 1e4, 1e-3, 40],
    [0.3, 0.003, 1e-6, 1e4, 1e5, 1e-3, 60],
])  # fmt: skip
_SAFER: Final[Float64Array] = np.array([1.0, 1.0, 100.0, 1.0, 1.0, 4.0, 1.0])
_PRIOR: Final[Mapping[int, tuple[float, ...]]] = {
    1: (0.5, 0.0, 0.5, 0.0, 1.0),
    2: (0.5, 0.0, 0.3, -1.0, 1.0, 0.3, 1.0, 1.0),
}
"""By the number of hyperbolas: a mild symmetric smile to start from, in scaled units."""


class Fit(NamedTuple):
    """A smile for each expiry, and what arbitrage they have."""

    smiles: tuple[Smile, ...]
    arbitrage: Arbitrage


def fit_hyperbolas(chain: Chain, count: int) -> Fit:
    """Smiles of `count` hyperbolas, 1 (raw SVI) or 2, free of butterfly arbitrage and jointly of calendar arbitrage.

    Where the finer grid of `arbitrage.check` still finds arbitrage, it is made anew, more carefully.
    """
    from seawall.risk.kernels import surfaces as kernels

    theta = np.array([_middle(expiry.quotes) for expiry in chain.expiries])
    scaled = [_scaled(expiry.quotes, middle) for expiry, middle in zip(chain.expiries, theta, strict=True)]
    first = np.concatenate([[0], np.cumsum([len(of) for of in scaled])])
    quotes, prior = np.concatenate(scaled), np.tile(np.array(_PRIOR[count]), (len(theta), 1))
    stages, rounds = _STAGES, ROUNDS
    found = None
    while found is None or (not found.arbitrage.free and rounds > 0):
        params = kernels.fit(prior, prior, quotes, first, theta, _GRID, stages).tolist()
        smiles = tuple(_unscaled(row, middle) for row, middle in zip(params, theta.tolist(), strict=True))
        found = Fit(smiles, check(smiles))
        stages, rounds = stages * _SAFER, rounds - 1
    return found


def fit_ssvi(chain: Chain) -> Fit:
    """One SSVI surface with the power law, its parameters kept where theorems 4.1 and 4.2 exclude any arbitrage.

    That is gamma <= 1/2 and eta (1 + |rho|) <= 2 (remark 4.4), with total variance at the money rising in time.
    """
    from scipy.optimize import least_squares  # slow to import, and only what is not SVI needs it

    bands = [_Band(expiry.quotes, _middle(expiry.quotes)) for expiry in chain.expiries]

    def surface(x: Float64Array) -> tuple[Ssvi, list[float]]:
        rho = math.tanh(x[0])
        gamma, share = (0.5 / (1 + np.exp(-x[1:3]))).tolist()
        return Ssvi(rho, PowerLaw(4 * share / (1 + abs(rho)), gamma)), np.cumsum(np.exp(x[3:])).tolist()

    def residuals(x: Float64Array) -> Float64Array:
        shape, thetas = surface(x)
        smiles = [shape.smile(theta) for theta in thetas]
        return np.concatenate([band.residuals(smile) for band, smile in zip(bands, smiles, strict=True)])

    rises = np.diff([0.0, *np.maximum.accumulate([band.middle for band in bands])])
    floor = 1e-3 * bands[0].middle
    start = np.concatenate([[0.0, 0.0, 0.0], np.log(np.maximum(rises, floor))])
    bound = np.concatenate([[3.0, 12.0, 12.0], np.full(len(bands), 30.0)])
    found = least_squares(residuals, start, bounds=(-bound, bound), loss="cauchy", x_scale=0.3, max_nfev=200)
    shape, thetas = surface(found.x)
    smiles = tuple(shape.smile(theta).hyperbolas() for theta in thetas)
    return Fit(smiles, check(smiles))


def fit_sabr(chain: Chain) -> Fit:
    """Hagan's lognormal SABR, beta = 1, for each expiry by itself; arbitrage is not excluded, only measured."""
    from scipy.optimize import least_squares

    smiles = []
    for expiry in chain.expiries:
        band, years = _Band(expiry.quotes, _middle(expiry.quotes)), expiry.years

        def smile(x: Float64Array, years: float = years) -> SabrSmile:
            return SabrSmile(math.exp(x[0]), math.tanh(x[1]), math.exp(x[2]), years)

        def residuals(
            x: Float64Array, band: _Band = band, smile: Callable[[Float64Array], SabrSmile] = smile
        ) -> Float64Array:
            return band.residuals(smile(x))

        alpha = math.sqrt(band.middle / years)
        start = np.array([math.log(alpha), 0.0, math.log(1 / math.sqrt(years))])
        # Bounds of alpha and nu that keep |drift x years| below 0.9: volatility is positive all over the box.
        steepest = min(3.0, 0.9 / (0.45 * math.sqrt(band.middle) + 0.13)) / math.sqrt(years)
        high = np.array([start[0] + 0.5, 3.0, math.log(steepest)])
        low = np.array([start[0] - 3.0, -3.0, high[2] - 6.0])
        start = np.minimum(start, high - 0.1)
        found = least_squares(residuals, start, bounds=(low, high), loss="cauchy", x_scale=0.3, max_nfev=200)
        smiles.append(smile(found.x))
    return Fit(tuple(smiles), check(smiles))


METHODS: Final[Mapping[str, Callable[[Chain], Fit]]] = {
    "svi": lambda chain: fit_hyperbolas(chain, 1),
    "svi2": lambda chain: fit_hyperbolas(chain, 2),
    "ssvi": fit_ssvi,
    "sabr": fit_sabr,
}


class _Band:
    """One expiry's bands, narrowed, and the residuals of a smile against them."""

    def __init__(self, quotes: Quotes, middle: float) -> None:
        rows = _scaled(quotes, middle)
        self.middle = middle
        self._k, self._centred = quotes.k, np.flatnonzero(rows[:, 4])
        self._low, self._high, self._half = rows[:, 1] * middle, rows[:, 2] * middle, rows[:, 3] * middle
        self._mid = (0.5 * (self._low + self._high))[self._centred]

    def residuals(self, smile: Smile) -> Float64Array:
        """Misses in half-widths, then a tenth of the distances to the middle of bands of two sides."""
        w = smile.variance(self._k).value
        miss = (np.maximum(w - self._high, 0.0) - np.maximum(self._low - w, 0.0)) / self._half
        return np.concatenate([miss, 0.1 * (w[self._centred] - self._mid) / self._half[self._centred]])


def _middle(quotes: Quotes) -> float:
    """Total variance at the money, roughly: the median of the nearest bands of two sides, whose middle is robust."""
    own = quotes.take((quotes.two_sided > 0) & np.isfinite(quotes.high))
    near = np.argsort(np.abs(own.k), kind="stable")[:NEAREST]
    return float(np.median(0.5 * (own.low + own.high)[near]))


def _scaled(quotes: Quotes, middle: float) -> Float64Array:
    """Rows for the kernel: [x, low, high, half-width, 1 where centred], in units of the expiry's own scale."""
    low, high = quotes.low / middle, quotes.high / middle
    both = (quotes.two_sided > 0) & np.isfinite(high)
    half = np.maximum(0.5 * np.where(both, high - low, 0.0), NARROWEST)
    inner = np.where(both, INNER * 0.5 * (np.where(both, high, 0.0) - low), 0.0)
    alone = np.maximum(ONE_SIDED * np.where(np.isfinite(high), high, low), NARROWEST)
    # One finite number stands for "no upper bound": no smile comes near it.
    bound = np.where(np.isfinite(high), high - inner, 1e30)
    return np.stack([quotes.k / math.sqrt(middle), low + inner, bound, np.where(both, half, alone), both], axis=1)


def _unscaled(row: Sequence[float], middle: float) -> Hyperbolas:
    root = math.sqrt(middle)
    parts = tuple(Hyperbola(row[o] * root, row[o + 1] * root, row[o + 2] * root) for o in range(2, len(row), 3))
    return Hyperbolas(row[0] * middle, row[1] * root, parts)
