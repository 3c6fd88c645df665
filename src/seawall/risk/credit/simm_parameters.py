"""The numbers that the SIMM's aggregation needs, read from a file of the user's. Seawall ships none.

ISDA publishes them each year and licenses their commercial use; whoever holds the licence writes them into a JSON
file of the shape below, one for each version. Weights and correlations are as published; thresholds are in millions
of dollars. Where a number may differ by bucket it is either one number for all or an object by bucket.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, cast

import msgspec
from msgspec import Meta, Struct

from seawall.vocabulary.errors import InputError

Weight = Annotated[float, Meta(ge=0, le=100_000)]
Correlation = Annotated[float, Meta(ge=-1, le=1)]
Threshold = Annotated[float, Meta(ge=1e-9, le=1e9)]
ByBucket = float | dict[str, float]
Matrix = list[list[Correlation]]

MILLION: Final = 1e6
RISK_CLASSES: Final = ("rates", "credit_qualifying", "credit_non_qualifying", "equity", "commodity", "fx")
RESIDUAL: Final = "Residual"


class RatesParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Interest rates: a bucket is a currency. Currencies in no group have the group `other`."""

    groups: dict[str, list[str]]
    other: str
    tenors: list[str]
    weights: dict[str, list[Weight]]
    """By group, a weight for each tenor."""
    inflation_weight: Weight
    basis_weight: Weight
    tenor_correlation: Matrix
    subcurve_correlation: Correlation
    inflation_correlation: Correlation
    basis_correlation: Correlation
    currency_correlation: Correlation
    threshold_groups: dict[str, list[str]]
    thresholds: dict[str, Threshold]
    vega_thresholds: dict[str, Threshold]
    vega_weight: Weight
    historical_volatility_ratio: Annotated[float, Meta(gt=0, le=10)]

    def group(self, currency: str, groups: Mapping[str, list[str]]) -> str:
        """The group that lists `currency`, or `other`."""
        return next((name for name, listed in groups.items() if currency in listed), self.other)


class BucketedParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Credit, equity and commodity: buckets by number, and for some classes one for the rest, `Residual`.

    Two factors of a bucket have the correlation `same` if they agree in the qualifier (or, `same_by` label2, in that),
    else `different`. Without a historical volatility ratio, vega amounts are already weighted by volatility.
    """

    weights: dict[str, Weight]
    thresholds: ByBucket
    different: ByBucket
    between: Matrix
    vega_weights: ByBucket
    vega_thresholds: ByBucket
    same: float = 1.0
    same_by: str = "qualifier"
    historical_volatility_ratio: float | None = None
    curvature_excluded: list[str] = []
    base_correlation_weight: Weight = 0.0
    base_correlation: Correlation = 0.0

    @property
    def buckets(self) -> list[str]:
        """Buckets that correlate with each other, in the order of `between`."""
        return [name for name in self.weights if name != RESIDUAL]


class FxParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Currencies: `high` volatility or regular; pairs are keyed regular-regular, regular-high, high-high."""

    high: list[str]
    weights: dict[str, Weight]
    correlations: dict[str, dict[str, Correlation]]
    """By the volatility of the calculation currency, regular or high."""
    categories: list[list[str]]
    """Currencies of category 1, 2, ...; the last category is every other currency and is not listed."""
    thresholds: list[Threshold]
    vega_thresholds: list[list[Threshold]]
    vega_weight: Weight
    vega_correlation: Correlation
    historical_volatility_ratio: Annotated[float, Meta(gt=0, le=10)]

    def pair(self, one: str, other: str) -> str:
        """Key of two currencies' volatilities."""
        return ("regular-regular", "regular-high", "high-high")[(one in self.high) + (other in self.high)]

    def category(self, currency: str) -> int:
        """Number of the currency's category, from 0."""
        listed = (at for at, names in enumerate(self.categories) if currency in names)
        return next(listed, len(self.categories))


class SimmParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """One version of the model. A class that is left out may not appear among the sensitivities."""

    version: str
    source: str
    class_correlation: Matrix
    """In the order of RISK_CLASSES."""
    rates: RatesParameters | None = None
    fx: FxParameters | None = None
    credit_qualifying: BucketedParameters | None = None
    credit_non_qualifying: BucketedParameters | None = None
    equity: BucketedParameters | None = None
    commodity: BucketedParameters | None = None
    horizon_days: Annotated[float, Meta(gt=0, le=365)] = 14.0
    """Calendar days of the margin period of risk: 14 for ten business days."""


def by_bucket(value: ByBucket, bucket: str) -> float:
    """The bucket's number. Raises InputError where the file has none for it."""
    if not isinstance(value, dict):
        return value
    if bucket not in value:
        raise InputError("bucket", bucket, f"must be one of {', '.join(value)}")
    return value[bucket]


def read_parameters(path: Path) -> SimmParameters:
    """Parameters of a JSON file. Raises InputError for one that is missing, malformed or inconsistent."""
    try:
        return parameters_of(path.read_bytes())
    except OSError as error:
        raise InputError("parameters", str(path), f"must be a readable file: {error.strerror}") from error


def parameters_of(text: bytes) -> SimmParameters:
    """The same from the file's bytes."""
    try:
        found = msgspec.json.decode(text, type=SimmParameters)
    except msgspec.MsgspecError as error:
        raise InputError("parameters", text[:40], f"must be a parameter file: {error}") from error
    _square("class_correlation", found.class_correlation, len(RISK_CLASSES))
    for name in ("credit_qualifying", "credit_non_qualifying", "equity", "commodity"):
        bucketed = cast(BucketedParameters | None, getattr(found, name))
        if bucketed is not None:
            _check_bucketed(name, bucketed)
    if found.rates is not None:
        _check_rates(found.rates)
    if found.fx is not None:
        _check_fx(found.fx)
    return found


def _check_bucketed(name: str, found: BucketedParameters) -> None:
    _square(f"{name}.between", found.between, len(found.buckets))
    if found.same_by not in ("qualifier", "label2"):
        raise InputError(f"{name}.same_by", found.same_by, "must be qualifier or label2")
    _within(f"{name}.same", [found.same], -1, 1)
    for field, low, high in (("different", -1, 1), ("vega_weights", 0, 1e5)):
        _within(f"{name}.{field}", _numbers(getattr(found, field)), low, high)
    for field in ("thresholds", "vega_thresholds"):
        _within(f"{name}.{field}", _numbers(getattr(found, field)), 1e-9, 1e9)
    if found.historical_volatility_ratio is not None:
        _within(f"{name}.historical_volatility_ratio", [found.historical_volatility_ratio], 1e-9, 10)


def _check_rates(found: RatesParameters) -> None:
    _square("rates.tenor_correlation", found.tenor_correlation, len(found.tenors))
    for group in (*found.groups, found.other):
        if len(found.weights.get(group, [])) != len(found.tenors):
            raise InputError(f"rates.weights.{group}", found.weights.get(group), "must have a weight for each tenor")
    for field in ("thresholds", "vega_thresholds"):
        missing = {*found.threshold_groups, found.other} - set(getattr(found, field))
        if missing:
            raise InputError(f"rates.{field}", sorted(missing), "must have each group and other")


def _check_fx(found: FxParameters) -> None:
    pairs = {"regular-regular", "regular-high", "high-high"}
    tables = {f"correlations.{name}": found.correlations.get(name, {}) for name in ("regular", "high")}
    for field, table in {"weights": found.weights, **tables}.items():
        keys = set(table)
        if keys != pairs:
            raise InputError(f"fx.{field}", sorted(keys), f"must have {', '.join(sorted(pairs))}")
    count = len(found.categories) + 1
    if len(found.thresholds) != count or [len(row) for row in found.vega_thresholds] != [count] * count:
        raise InputError("fx.thresholds", found.thresholds, f"must be {count}, the vega thresholds {count} x {count}")


def _square(field: str, matrix: Matrix, size: int) -> None:
    if [len(row) for row in matrix] != [size] * size:
        raise InputError(field, f"{len(matrix)} rows", f"must be {size} x {size}")
    for at, row in enumerate(matrix):
        for other in range(at):
            if row[other] != matrix[other][at]:
                raise InputError(f"{field}[{at}][{other}]", row[other], f"must be symmetric: {matrix[other][at]}")


def _numbers(value: ByBucket) -> Iterable[float]:
    return value.values() if isinstance(value, dict) else [value]


def _within(field: str, values: Iterable[float], low: float, high: float) -> None:
    for value in values:
        if not low <= value <= high:
            raise InputError(field, value, f"must lie in [{low:g}, {high:g}]")
