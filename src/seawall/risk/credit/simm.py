"""Initial margin of uncleared derivatives by the aggregation of the ISDA SIMM, from sensitivities in CRIF's terms.

Source: ISDA, SIMM Methodology (version 2.5, public document): within each product class six risk classes; within each
the margins of delta, vega, curvature and base correlation add; risk classes aggregate by a correlation matrix;
product classes add. The formulas are here, the numbers are the user's (`simm_parameters`): commercial use of the SIMM
needs ISDA's licence, and it is not this program's to give (decision 0038). Crypto is no class of the SIMM: whoever
uses it says by the sensitivities' risk type and bucket what a coin is to be.

Within a bucket K = sqrt(sum of rho f WS WS), f = min / max of two concentration factors. Between buckets sqrt(sum K^2 +
sum gamma g S S), S = sum of WS within +-K, g likewise between currencies of rates. A residual bucket stands apart.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct
from scipy.special import ndtri

from seawall.risk.credit.simm_parameters import (
    MILLION,
    RESIDUAL,
    RISK_CLASSES,
    BucketedParameters,
    FxParameters,
    RatesParameters,
    SimmParameters,
    by_bucket,
)
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number

DAYS_PER_YEAR: Final = 365.0
PRODUCT_CLASSES: Final = ("RatesFX", "Credit", "Equity", "Commodity")


class Measure(StrEnum):
    """What a sensitivity is to."""

    DELTA = "delta"
    VEGA = "vega"
    CURVATURE = "curvature"
    BASE_CORRELATION = "base_correlation"


RISK_TYPES: Final[Mapping[str, tuple[str, Measure]]] = {
    "Risk_IRCurve": ("rates", Measure.DELTA),
    "Risk_Inflation": ("rates", Measure.DELTA),
    "Risk_XCcyBasis": ("rates", Measure.DELTA),
    "Risk_IRVol": ("rates", Measure.VEGA),
    "Risk_InflationVol": ("rates", Measure.VEGA),
    "Risk_CreditQ": ("credit_qualifying", Measure.DELTA),
    "Risk_CreditVol": ("credit_qualifying", Measure.VEGA),
    "Risk_BaseCorr": ("credit_qualifying", Measure.BASE_CORRELATION),
    "Risk_CreditNonQ": ("credit_non_qualifying", Measure.DELTA),
    "Risk_CreditVolNonQ": ("credit_non_qualifying", Measure.VEGA),
    "Risk_Equity": ("equity", Measure.DELTA),
    "Risk_EquityVol": ("equity", Measure.VEGA),
    "Risk_Commodity": ("commodity", Measure.DELTA),
    "Risk_CommodityVol": ("commodity", Measure.VEGA),
    "Risk_FX": ("fx", Measure.DELTA),
    "Risk_FXVol": ("fx", Measure.VEGA),
}
"""Risk class and measure of CRIF's risk types. Curvature is made of vega."""

VOLATILITY_CLASSES: Final = ("equity", "commodity", "fx")
"""Classes whose vega comes unweighted and summed over expiries: rates and credit come weighted by volatility."""


class Sensitivity(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of CRIF; `amount` in dollars. Labels and bucket as there, empty where unused."""

    product_class: str
    risk_type: str
    qualifier: str
    amount: float
    bucket: str = ""
    label1: str = ""
    label2: str = ""


class AddOns(Struct, frozen=True, forbid_unknown_fields=True):
    """Charges agreed beside: a fixed amount, (factor, notional) pairs, multipliers by product class."""

    fixed: float = 0.0
    notionals: list[tuple[float, float]] = []
    multipliers: dict[str, float] = {}


class Crif(Struct, frozen=True, forbid_unknown_fields=True):
    """The sensitivities of one netting set, and what is agreed beside them."""

    sensitivities: list[Sensitivity]
    calculation_currency: str = "USD"
    add_ons: AddOns = AddOns()


@dataclass(frozen=True, slots=True)
class Margin:
    """The margin in dollars; by product class, risk class in it, measure in that; add-ons apart."""

    total: float
    by_product: Mapping[str, float]
    by_class: Mapping[tuple[str, str], float]
    by_measure: Mapping[tuple[str, str, Measure], float]
    add_on: float


@dataclass(frozen=True, slots=True)
class _Factor:
    """A risk factor: its bucket, what tells it from others, its weighted amount and its concentration factor."""

    bucket: str
    kind: str
    qualifier: str
    label1: str
    label2: str
    weighted: float
    concentration: float = 1.0


_Key = tuple[str, str, str, str, str]
"""Bucket, risk type, qualifier, label1, label2."""
_Correlate = Callable[[_Factor, _Factor], float]
_Between = Callable[[str, str], float]


def initial_margin(crif: Crif, parameters: SimmParameters) -> Margin:
    """Margin of one netting set. Deltas to the calculation currency itself drop out.

    Raises InputError, naming the row, for an unknown class, risk type, bucket or tenor, a bad amount, or a risk class
    that the parameters leave out.
    """
    if not re.fullmatch("[A-Z]{3}", crif.calculation_currency):
        rule = "must be a currency of three capital letters"
        raise InputError("calculation_currency", crif.calculation_currency, rule)
    groups: dict[tuple[str, str, Measure], list[Sensitivity]] = defaultdict(list)
    for at, row in enumerate(crif.sensitivities):
        risk_class, measure = _checked(f"sensitivities[{at}]", row, parameters)
        if row.risk_type == "Risk_FX" and row.qualifier == crif.calculation_currency:
            continue
        groups[row.product_class, risk_class, measure].append(row)
        if measure is Measure.VEGA:
            groups[row.product_class, risk_class, Measure.CURVATURE].append(row)
    currency = crif.calculation_currency
    by_measure = {key: _measure_margin(*key[1:], rows, parameters, currency) for key, rows in groups.items()}
    by_class: dict[tuple[str, str], float] = defaultdict(float)
    for (product, risk_class, _), amount in by_measure.items():
        by_class[product, risk_class] += amount
    by_product = {
        product: _correlated([(name, by_class[product, name]) for name in RISK_CLASSES if (product, name) in by_class],
                             parameters)
        for product in PRODUCT_CLASSES if any(key[0] == product for key in by_class)
    }  # fmt: skip
    extra = _add_on(crif.add_ons, by_product)
    return Margin(math.fsum(by_product.values()) + extra, by_product, dict(by_class), by_measure, extra)


def _checked(where: str, row: Sensitivity, parameters: SimmParameters) -> tuple[str, Measure]:
    if row.product_class not in PRODUCT_CLASSES:
        raise InputError(f"{where}.product_class", row.product_class, f"must be one of {', '.join(PRODUCT_CLASSES)}")
    if row.risk_type not in RISK_TYPES:
        raise InputError(f"{where}.risk_type", row.risk_type, f"must be one of {', '.join(RISK_TYPES)}")
    risk_class, measure = RISK_TYPES[row.risk_type]
    number(f"{where}.amount", row.amount)
    if getattr(parameters, risk_class) is None:
        raise InputError(f"{where}.risk_type", row.risk_type, f"the parameters have no class {risk_class}")
    if not row.qualifier:
        raise InputError(f"{where}.qualifier", row.qualifier, "must not be empty")
    # Another spelling of a currency would be of no group of the parameters, and have the weight of the rest.
    if risk_class in ("rates", "fx"):
        letters = 6 if row.risk_type == "Risk_FXVol" else 3
        if not re.fullmatch(f"[A-Z]{{{letters}}}", row.qualifier):
            what = "two currencies" if letters == 6 else "a currency"
            raise InputError(f"{where}.qualifier", row.qualifier, f"must be {what} of three capital letters")
    found = getattr(parameters, risk_class)
    buckets = found.weights if isinstance(found, BucketedParameters) else {}
    if buckets and measure is not Measure.BASE_CORRELATION and row.bucket not in buckets:
        raise InputError(f"{where}.bucket", row.bucket, f"must be one of {', '.join(buckets)}")
    if row.risk_type in ("Risk_IRCurve", "Risk_IRVol") and row.label1 not in found.tenors:
        raise InputError(f"{where}.label1", row.label1, f"must be one of {', '.join(found.tenors)}")
    if measure is Measure.VEGA:
        _days(f"{where}.label1", row.label1)
    return risk_class, measure


def _measure_margin(
    risk_class: str, measure: Measure, rows: Sequence[Sensitivity], parameters: SimmParameters, currency: str
) -> float:
    model = getattr(parameters, risk_class)
    if measure is Measure.BASE_CORRELATION:
        return _base_correlation(rows, model)
    factors, correlate, between = _factors(risk_class, measure, rows, parameters, currency)
    if measure is Measure.CURVATURE:
        margin = sum(_curvature(part, correlate, between) for part in _parts(factors))
        return margin / model.historical_volatility_ratio**2 if isinstance(model, RatesParameters) else margin
    return math.fsum(_across(part, correlate, between) for part in _parts(factors))


def _factors(
    risk_class: str, measure: Measure, rows: Sequence[Sensitivity], parameters: SimmParameters, currency: str
) -> tuple[list[_Factor], _Correlate, _Between]:
    """Netted, weighted risk factors of one class and measure, with the correlations within and between its buckets."""
    model, days = getattr(parameters, risk_class), parameters.horizon_days
    netted: dict[_Key, float] = defaultdict(float)
    for row in rows:
        amount = row.amount
        if measure is Measure.CURVATURE:
            if isinstance(model, BucketedParameters) and row.bucket in model.curvature_excluded:
                continue
            amount *= 0.5 * min(1.0, days / _days("label1", row.label1))
        netted[_key(risk_class, row)] += amount
    if isinstance(model, RatesParameters):
        return _rates(model, measure, netted)
    scale = math.sqrt(DAYS_PER_YEAR / days) / float(ndtri(0.99))
    if isinstance(model, FxParameters):
        return _fx(model, measure, netted, currency, scale)
    return _bucketed(model, measure, netted, scale if risk_class in VOLATILITY_CLASSES else None)


def _key(risk_class: str, row: Sensitivity) -> _Key:
    """What nets: expiries where vega comes unweighted, and of inflation; the two orders of a currency pair."""
    qualifier, label1 = row.qualifier, row.label1
    bucket = {"fx": "", "rates": row.qualifier}.get(risk_class, row.bucket)
    if risk_class in VOLATILITY_CLASSES or row.risk_type == "Risk_InflationVol":
        label1 = ""
    if row.risk_type == "Risk_FXVol":
        qualifier = "".join(sorted((qualifier[:3], qualifier[3:])))
    return bucket, row.risk_type, qualifier, label1, row.label2


def _rates(
    model: RatesParameters, measure: Measure, netted: Mapping[_Key, float]
) -> tuple[list[_Factor], _Correlate, _Between]:
    sums: dict[str, float] = defaultdict(float)
    for (bucket, kind, *_), amount in netted.items():
        sums[bucket] += amount if kind != "Risk_XCcyBasis" else 0.0
    thresholds = model.thresholds if measure is Measure.DELTA else model.vega_thresholds
    concentration = {
        bucket: 1.0 if measure is Measure.CURVATURE
        else _concentration(amount, thresholds[model.group(bucket, model.threshold_groups)])
        for bucket, amount in sums.items()
    }  # fmt: skip

    def weight(bucket: str, kind: str, tenor: str) -> float:
        if measure is not Measure.DELTA:
            return model.vega_weight if measure is Measure.VEGA else 1.0
        if kind != "Risk_IRCurve":
            return model.inflation_weight if kind == "Risk_Inflation" else model.basis_weight
        return model.weights[model.group(bucket, model.groups)][model.tenors.index(tenor)]

    def correlate(one: _Factor, other: _Factor) -> float:
        kinds = (one.kind, other.kind)
        if "Risk_XCcyBasis" in kinds:
            return model.basis_correlation
        if "Risk_Inflation" in kinds or "Risk_InflationVol" in kinds:
            return model.inflation_correlation
        found = model.tenor_correlation[model.tenors.index(one.label1)][model.tenors.index(other.label1)]
        return found if one.label2 == other.label2 else found * model.subcurve_correlation

    def between(one: str, other: str) -> float:
        return model.currency_correlation * _nearness(concentration[one], concentration[other])

    factors = []
    for (bucket, kind, name, tenor, curve), amount in netted.items():
        factor = concentration[bucket]
        weighted = weight(bucket, kind, tenor) * amount * (1.0 if kind == "Risk_XCcyBasis" else factor)
        factors.append(_Factor(bucket, kind, name, tenor, curve, weighted, factor))
    return factors, correlate, between


def _fx(
    model: FxParameters,
    measure: Measure,
    netted: Mapping[_Key, float],
    currency: str,
    scale: float,
) -> tuple[list[_Factor], _Correlate, _Between]:
    own = model.correlations["high" if currency in model.high else "regular"]
    factors = []
    for (bucket, kind, name, *_), amount in netted.items():
        one, other = (name, currency) if measure is Measure.DELTA else (name[:3], name[3:])
        weight, factor = model.weights[model.pair(one, other)], 1.0
        if measure is Measure.DELTA:
            factor = _concentration(amount, model.thresholds[model.category(one)])
        else:
            weight *= scale
        if measure is Measure.VEGA:
            amount *= weight * model.historical_volatility_ratio
            weight = model.vega_weight
            factor = _concentration(amount, model.vega_thresholds[model.category(one)][model.category(other)])
        factors.append(_Factor(bucket, kind, name, "", "", weight * amount * factor, factor))

    def correlate(one: _Factor, other: _Factor) -> float:
        if measure is not Measure.DELTA:
            return model.vega_correlation
        return own[model.pair(one.qualifier, other.qualifier)]

    return factors, correlate, lambda _one, _other: 0.0  # all in one bucket


def _bucketed(
    model: BucketedParameters,
    measure: Measure,
    netted: Mapping[_Key, float],
    scale: float | None,
) -> tuple[list[_Factor], _Correlate, _Between]:
    amounts = dict(netted)
    if scale is not None and measure is not Measure.DELTA:
        ratio = (model.historical_volatility_ratio or 1.0) if measure is Measure.VEGA else 1.0
        amounts = {key: amount * scale * model.weights[key[0]] * ratio for key, amount in netted.items()}
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for (bucket, _, name, *_), amount in amounts.items():
        sums[bucket, name] += amount
    factors = []
    for (bucket, kind, name, tenor, label), amount in amounts.items():
        weight, factor = 1.0, 1.0
        if measure is not Measure.CURVATURE:
            vega = measure is Measure.VEGA
            weight = by_bucket(model.vega_weights, bucket) if vega else model.weights[bucket]
            threshold = by_bucket(model.vega_thresholds if vega else model.thresholds, bucket)
            factor = _concentration(sums[bucket, name], threshold)
        factors.append(_Factor(bucket, kind, name, tenor, label, weight * amount * factor, factor))

    def correlate(one: _Factor, other: _Factor) -> float:
        alike = one.qualifier == other.qualifier if model.same_by == "qualifier" else one.label2 == other.label2
        return model.same if alike and one.bucket != RESIDUAL else by_bucket(model.different, one.bucket)

    order = {bucket: at for at, bucket in enumerate(model.buckets)}
    return factors, correlate, lambda one, other: model.between[order[one]][order[other]]


def _across(factors: Sequence[_Factor], correlate: _Correlate, between: _Between) -> float:
    """Margin of delta or vega over the buckets of one part."""
    inner = {bucket: _within(rows, correlate) for bucket, rows in _by_bucket(factors).items()}
    return _joined(factors, inner, between)


def _curvature(factors: Sequence[_Factor], correlate: _Correlate, between: _Between) -> float:
    """Margin of curvature of one part: correlations squared, no weights, no concentration; never negative."""
    inner = {
        bucket: _within(rows, lambda one, other: correlate(one, other) ** 2)
        for bucket, rows in _by_bucket(factors).items()
    }
    total, gross = math.fsum(row.weighted for row in factors), math.fsum(abs(row.weighted) for row in factors)
    theta = min(total / gross, 0.0) if gross > 0 else 0.0
    spread = (float(ndtri(0.995)) ** 2 - 1) * (1 + theta) - theta
    return max(total + spread * _joined(factors, inner, lambda one, other: between(one, other) ** 2), 0.0)


def _joined(factors: Sequence[_Factor], inner: Mapping[str, float], between: _Between) -> float:
    sums = {
        bucket: min(max(math.fsum(row.weighted for row in rows), -inner[bucket]), inner[bucket])
        for bucket, rows in _by_bucket(factors).items()
    }
    buckets = list(inner)
    square = math.fsum(amount**2 for amount in inner.values())
    square += 2 * math.fsum(
        between(one, other) * sums[one] * sums[other] for at, one in enumerate(buckets) for other in buckets[:at]
    )
    return math.sqrt(max(square, 0.0))


def _within(rows: Sequence[_Factor], correlate: _Correlate) -> float:
    square = math.fsum(row.weighted**2 for row in rows)
    square += 2 * math.fsum(
        correlate(one, other) * _nearness(one.concentration, other.concentration) * one.weighted * other.weighted
        for at, one in enumerate(rows) for other in rows[:at]
    )  # fmt: skip
    return math.sqrt(max(square, 0.0))


def _base_correlation(rows: Sequence[Sensitivity], model: BucketedParameters) -> float:
    netted: dict[str, float] = defaultdict(float)
    for row in rows:
        netted[row.qualifier] += row.amount
    factors = [_Factor("", "", name, "", "", model.base_correlation_weight * amount) for name, amount in netted.items()]
    return _within(factors, lambda _one, _other: model.base_correlation)


def _correlated(margins: Sequence[tuple[str, float]], parameters: SimmParameters) -> float:
    at = {name: index for index, name in enumerate(RISK_CLASSES)}
    square = math.fsum(
        (1.0 if one == other else parameters.class_correlation[at[one]][at[other]]) * ours * theirs
        for one, ours in margins for other, theirs in margins
    )  # fmt: skip
    return math.sqrt(max(square, 0.0))


def _add_on(add_ons: AddOns, by_product: Mapping[str, float]) -> float:
    total = number("add_ons.fixed", add_ons.fixed, at_least=0.0)
    for at, (factor, notional) in enumerate(add_ons.notionals):
        number(f"add_ons.notionals[{at}]", factor, at_least=0.0, at_most=1.0)
        total += factor * number(f"add_ons.notionals[{at}]", notional, at_least=0.0)
    for product, multiplier in add_ons.multipliers.items():
        if product not in PRODUCT_CLASSES:
            raise InputError("add_ons.multipliers", product, f"must be one of {', '.join(PRODUCT_CLASSES)}")
        number(f"add_ons.multipliers[{product}]", multiplier, at_least=1.0, at_most=100.0)
        total += (multiplier - 1.0) * by_product.get(product, 0.0)
    return total


def _parts(factors: Sequence[_Factor]) -> list[list[_Factor]]:
    """The buckets that correlate, and the residual bucket by itself."""
    parts = [[row for row in factors if (row.bucket == RESIDUAL) == residual] for residual in (False, True)]
    return [part for part in parts if part]


def _by_bucket(factors: Sequence[_Factor]) -> dict[str, list[_Factor]]:
    rows: dict[str, list[_Factor]] = defaultdict(list)
    for factor in factors:
        rows[factor.bucket].append(factor)
    return rows


def _concentration(amount: float, threshold_millions: float) -> float:
    return max(1.0, math.sqrt(abs(amount) / (threshold_millions * MILLION)))


def _nearness(one: float, other: float) -> float:
    return min(one, other) / max(one, other)


def _days(field: str, tenor: str) -> float:
    """Calendar days of a tenor such as 2w, 3m, 10y. Raises InputError for another word."""
    units = {"w": 7.0, "m": DAYS_PER_YEAR / 12, "y": DAYS_PER_YEAR}
    if tenor[-1:] not in units or not tenor[:-1].isdigit() or int(tenor[:-1]) == 0:
        raise InputError(field, tenor, "must be a tenor in weeks, months or years, such as 2w, 3m or 10y")
    return int(tenor[:-1]) * units[tenor[-1]]
