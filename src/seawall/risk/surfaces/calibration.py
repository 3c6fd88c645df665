"""A calibration as a recorded, versioned result: what was fitted to what, by which method, how well; and two compared.

It is one JSON document that holds everything needed to value from it again and to tell whether a later one differs.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from seawall.risk.surfaces.arbitrage import Arbitrage, check, deviation
from seawall.risk.surfaces.chain import Chain, Expiry
from seawall.risk.surfaces.fitting import METHODS
from seawall.risk.surfaces.sabr import SabrSmile
from seawall.risk.surfaces.smile import Float64Array, Smile
from seawall.risk.surfaces.surface import Surface
from seawall.risk.surfaces.svi import Hyperbolas
from seawall.vocabulary.errors import InputError

METHOD_VERSION: Final = 1
"""Raised with every change that gives another surface for the same chain."""
LEAST_INSIDE: Final = 0.98
"""Share of all quotes of two sides that a surface must lie within to hold."""
FOLDS: Final = 5
DEVIATIONS: Final = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
"""Where two calibrations are compared, in standard deviations of log-moneyness of the first."""


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How well quotes are met. Errors are in volatility points (0.01 of annual volatility)."""

    two_sided: int
    """quotes with bid and ask, those left out as well"""
    inside: int
    """of them, those the surface lies within"""
    one_sided: int
    one_sided_kept: int
    median_error: float
    """median distance to the middle of bid and ask, in volatility, over quotes whose bid has a volatility"""
    root_mean_square_error: float
    worst_miss: float
    """farthest outside a band of either kind"""

    @property
    def share(self) -> float:
        """Of the quotes of two sides, the share inside; 1 without any."""
        return self.inside / self.two_sided if self.two_sided else 1.0


class FittedExpiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One expiry of a calibration."""

    expiry_ns: int
    years: float
    forward: float
    parity: tuple[float, float] | None
    smile: Hyperbolas | SabrSmile
    figures: Figures


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole result."""

    format: Literal["seawall-surface-1"]
    method: str
    method_version: int
    underlying: str
    chain_sha256: str
    time_ns: int
    premiums: Literal["coin", "cash"]
    stale_s: float
    left_out: dict[str, int]
    expiries: tuple[FittedExpiry, ...]
    figures: Figures
    held_out: Figures | None
    """on quotes that the fit was not given: each strike left out once, in five parts"""
    arbitrage: Arbitrage

    @property
    def holds(self) -> bool:
        """Free of arbitrage, and inside enough of all quotes of two sides.

        The smiles are measured anew: what a record says of its arbitrage counts against it, not for it. What it says of
        quotes can only be believed, for it has none. Raises InputError where a smile has no variance at the money.
        """
        if not self.arbitrage.free or self.figures.share < LEAST_INSIDE:
            return False
        return check([row.smile for row in self.expiries]).free

    @property
    def surface(self) -> Surface:
        """The surface it describes."""
        rows = self.expiries
        return Surface(
            tuple(row.years for row in rows), tuple(row.forward for row in rows), tuple(row.smile for row in rows)
        )


class Difference(msgspec.Struct, frozen=True):
    """Volatilities of one expiry in two calibrations, in points, second less first, at `DEVIATIONS`."""

    expiry_ns: int
    k: tuple[float, ...]
    points: tuple[float, ...]
    forward: float
    """second less first, relative"""


class Comparison(msgspec.Struct, frozen=True):
    """Two calibrations, expiry by expiry."""

    same_chain: bool
    same_method: bool
    differences: tuple[Difference, ...]
    only_in_first: tuple[int, ...]
    only_in_second: tuple[int, ...]

    @property
    def worst(self) -> float:
        """The largest difference in volatility points; infinite where no expiry is in both."""
        return max((abs(point) for row in self.differences for point in row.points), default=math.inf)


def calibrate(chain: Chain, method: str, *, hold_out: bool = False) -> Calibration:
    """Fit a chain by one of `fitting.METHODS`. Raises InputError for another method.

    `hold_out`: fit five times more, each without a fifth of the strikes, and say how well those are met.
    """
    if method not in METHODS:
        raise InputError("method", method, f"must be one of {', '.join(METHODS)}")
    smiles, arbitrage = METHODS[method](chain)
    per_expiry = [
        figures([expiry], [smile], int(np.sum(expiry.quotes.two_sided)))
        for expiry, smile in zip(chain.expiries, smiles, strict=True)
    ]
    return Calibration(
        "seawall-surface-1",
        method,
        METHOD_VERSION,
        chain.underlying,
        chain.sha256,
        chain.time_ns,
        "coin" if chain.coin_settled else "cash",
        chain.stale_s,
        dict(chain.left_out),
        tuple(
            FittedExpiry(expiry.expiry_ns, expiry.years, expiry.forward, expiry.parity, smile, figure)  # type: ignore[arg-type]
            for expiry, smile, figure in zip(chain.expiries, smiles, per_expiry, strict=True)
        ),
        figures(chain.expiries, smiles, chain.two_sided),
        held_out(chain, method) if hold_out else None,
        arbitrage,
    )


def figures(expiries: Sequence[Expiry], smiles: Sequence[Smile], two_sided: int) -> Figures:
    """How well smiles meet the expiries' quotes; of `two_sided` quotes those not among them count as missed."""
    inside, kept, alone = 0, 0, 0
    errors: list[Float64Array] = []
    worst = 0.0
    for expiry, smile in zip(expiries, smiles, strict=True):
        quotes = expiry.quotes
        value = smile.variance(quotes.k).value
        within = (value >= quotes.low) & (value <= quotes.high)
        both = quotes.two_sided > 0
        inside += int(np.count_nonzero(within & both))
        kept += int(np.count_nonzero(within & ~both))
        alone += int(np.count_nonzero(~both))
        point = 100 / math.sqrt(expiry.years)
        found, low, high = (np.sqrt(np.maximum(of, 0.0)) for of in (value, quotes.low, quotes.high))
        worst = max(worst, float(np.max(np.maximum(found - high, low - found), initial=0.0)) * point)
        known = both & (quotes.low > 0) & np.isfinite(quotes.high)
        errors.append((found - 0.5 * (low + high))[known] * point)
    every = np.concatenate(errors)
    median = float(np.median(np.abs(every))) if every.size else 0.0
    spread = float(np.sqrt(np.mean(every * every))) if every.size else 0.0
    return Figures(two_sided, inside, alone, kept, median, spread, worst)


def held_out(chain: Chain, method: str) -> Figures:
    """How well a fit meets quotes it was not given: every strike is held out once, all its quotes together."""
    held_expiries: list[Expiry] = []
    smiles: list[Smile] = []
    for fold in range(FOLDS):
        masks = [_fold(expiry, fold + place) for place, expiry in enumerate(chain.expiries)]
        fitted = METHODS[method](chain.thinned(masks))
        held = chain.thinned([~mask for mask in masks])
        held_expiries += held.expiries
        smiles += fitted.smiles
    count = sum(int(np.sum(expiry.quotes.two_sided)) for expiry in held_expiries)
    return figures(held_expiries, smiles, count)


def _fold(expiry: Expiry, fold: int) -> npt.NDArray[np.bool_]:
    """True where the quote's strike belongs to the fold; nothing, where no two-sided quote would be left."""
    quotes = expiry.quotes
    order = np.unique(quotes.strike, return_inverse=True)[1]
    mask = order % FOLDS == fold % FOLDS
    finite = (quotes.two_sided > 0) & np.isfinite(quotes.high)
    return np.asarray(mask if np.any(finite & ~mask) else np.zeros_like(mask))


def compare(first: Calibration, second: Calibration) -> Comparison:
    """How far two calibrations are apart at each expiry that both have. Raises InputError for two underlyings."""
    if first.underlying != second.underlying:
        raise InputError("underlying", second.underlying, f"must be {first.underlying}, as that of the first")
    others = {row.expiry_ns: row for row in second.expiries}
    differences = []
    for row in first.expiries:
        other = others.pop(row.expiry_ns, None)
        if other is None:
            continue
        k = np.array(DEVIATIONS) * deviation(row.smile)
        volatilities = [np.sqrt(np.maximum(of.smile.variance(k).value, 0.0) / of.years) for of in (row, other)]
        points = 100 * (volatilities[1] - volatilities[0])
        differences.append(
            Difference(row.expiry_ns, tuple(k.tolist()), tuple(points.tolist()), other.forward / row.forward - 1)
        )
    shared = {row.expiry_ns for row in differences}
    return Comparison(
        _inputs(first) == _inputs(second),
        (first.method, first.method_version) == (second.method, second.method_version),
        tuple(differences),
        tuple(row.expiry_ns for row in first.expiries if row.expiry_ns not in shared),
        tuple(others),
    )


def _inputs(of: Calibration) -> tuple[str, int, str, float]:
    """The file and how it was read: the same quotes reach the fit where these are the same."""
    return of.chain_sha256, of.time_ns, of.premiums, of.stale_s


def encode(calibration: Calibration) -> bytes:
    """The calibration as one JSON document, the same bytes for the same calibration."""
    return msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n"


def read_calibration(path: Path) -> Calibration:
    """The calibration of a file. Raises InputError for what is not one."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError("calibration", str(path), f"cannot be read: {error}") from error
    found.surface  # noqa: B018 -- refuses years and forwards that are none
    return found
