"""Counterparty exposure by the Basel standardised approach, SA-CCR.

Source: Basel Committee, BCBS 279 (March 2014, rev. April 2014) and Basel Framework CRE52; its worked examples are
CRE99. Exposure at default = alpha x (replacement cost + multiplier x add-on), for one netting set.

Crypto is no asset class of CRE52. The mapping here is explicit and is data (`SUPERVISORY`, replaced by the caller's):
a class of its own after the Basel standard on cryptoassets (SCO60, group 2a: the ones with hedging recognised), one
hedging set for each coin, without offset between coins, supervisory factor 32 % and option volatility 120 %, the
figures of single-name equity (SCO60 as known to us: check it against your regulator's text). What SCO60 calls group
2b has no netting and 50 % of gross notional instead, and is not modelled.

Amounts in one currency; times in years. Business days are 250 a year and MPOR is counted in them, as the standard has
it, though coins trade every day: to count calendar days, give MPOR x 250 / 365.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct, structs
from scipy.special import ndtr

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

ALPHA: Final = 1.4
MULTIPLIER_FLOOR: Final = 0.05
RATE: Final = 0.05
BUSINESS_DAYS: Final = 250
YEARS_MIN: Final = 10 / BUSINESS_DAYS
MPOR_FLOOR_MIN: Final = 5.0
"""Business days: the lowest floor that CRE52.50 has, of cleared trades."""


class AssetClass(StrEnum):
    """How trades are grouped: the classes of CRE52, and crypto."""

    RATES = "rates"
    FX = "fx"
    CREDIT = "credit"
    EQUITY = "equity"
    COMMODITY = "commodity"
    CRYPTO = "crypto"


SINGLE_SET: Final = (AssetClass.CREDIT, AssetClass.EQUITY)
"""Classes that are one hedging set; commodities have four, the others one for each name."""


@dataclass(frozen=True, slots=True)
class Supervisory:
    """A row of CRE52.72, Table 2: factor, correlation with the class's systematic part, option volatility."""

    asset_class: AssetClass
    factor: float
    option_volatility: float
    correlation: float = 1.0
    hedging_set: str = ""


def _credit(percent: float, correlation: float, volatility: float) -> Supervisory:
    return Supervisory(AssetClass.CREDIT, percent / 100, volatility, correlation)


SUPERVISORY: Final[Mapping[str, Supervisory]] = MappingProxyType({
    "rates": Supervisory(AssetClass.RATES, 0.005, 0.5),
    "fx": Supervisory(AssetClass.FX, 0.04, 0.15),
    "credit AAA": _credit(0.38, 0.5, 1.0),
    "credit AA": _credit(0.38, 0.5, 1.0),
    "credit A": _credit(0.42, 0.5, 1.0),
    "credit BBB": _credit(0.54, 0.5, 1.0),
    "credit BB": _credit(1.06, 0.5, 1.0),
    "credit B": _credit(1.6, 0.5, 1.0),
    "credit CCC": _credit(6.0, 0.5, 1.0),
    "credit index IG": _credit(0.38, 0.8, 0.8),
    "credit index SG": _credit(1.06, 0.8, 0.8),
    "equity": Supervisory(AssetClass.EQUITY, 0.32, 1.2, 0.5),
    "equity index": Supervisory(AssetClass.EQUITY, 0.20, 0.75, 0.8),
    "electricity": Supervisory(AssetClass.COMMODITY, 0.40, 1.5, 0.4, "energy"),
    "oil and gas": Supervisory(AssetClass.COMMODITY, 0.18, 0.7, 0.4, "energy"),
    "metals": Supervisory(AssetClass.COMMODITY, 0.18, 0.7, 0.4, "metals"),
    "agriculture": Supervisory(AssetClass.COMMODITY, 0.18, 0.7, 0.4, "agriculture"),
    "other commodity": Supervisory(AssetClass.COMMODITY, 0.18, 0.7, 0.4, "other commodity"),
    "crypto": Supervisory(AssetClass.CRYPTO, 0.32, 1.2),
})  # fmt: skip
"""Kinds of trade by name: CRE52.72, and our row for crypto."""

SPECIAL_FACTORS: Final = {"": 1.0, "basis": 0.5, "volatility": 5.0}
"""Factor of a hedging set of basis or volatility transactions (CRE52.46, 52.47), which are apart from the rest."""


class Option(Struct, frozen=True, forbid_unknown_fields=True):
    """A European option on the trade's underlying; `volatility` replaces the supervisory one."""

    bought: bool
    call: bool
    forward: float
    strike: float
    years: float
    volatility: float | None = None

    def delta(self, volatility: float) -> float:
        """Supervisory delta (CRE52.40): N(d1) of a bought call, -N(-d1) of a bought put, the opposite if sold."""
        for field in ("forward", "strike"):
            positive(f"option.{field}", getattr(self, field))
        positive("option.years", self.years, at_most=100.0)
        used = positive("option.volatility", self.volatility if self.volatility is not None else volatility)
        total = used * math.sqrt(self.years)
        d1 = math.log(self.forward / self.strike) / total + 0.5 * total
        return (1 if self.bought else -1) * float(ndtr(d1) if self.call else -ndtr(-d1))


class Trade(Struct, frozen=True, forbid_unknown_fields=True):
    """One trade of the netting set.

    `kind` names a row of the supervisory table. `name` is what nets: the currency of rates, the currency pair of fx,
    the coin of crypto, the reference entity, issuer or type of commodity otherwise. `notional` is positive and
    adjusted: price x units for equity, commodity and crypto. `delta` is +1 long or -1 short in the risk factor, or an
    option's. `start` and `end` in years from now bound what rates and credit refer to; `maturity` is that of the
    contract, `end` if None. `special` puts it into a hedging set of volatility transactions, or of the basis that
    `name` names.
    """

    kind: str
    name: str
    notional: float
    market_value: float
    end: float
    delta: float | Option = 1.0
    start: float = 0.0
    maturity: float | None = None
    special: Literal["", "basis", "volatility"] = ""


class MarginTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """A two-way margin agreement. `nica`: independent collateral net of what is posted and not segregated.

    The margin period of risk is `mpor_floor_days` + `remargin_days` - 1 business days (CRE52.50, 52.51): the floor is
    10, 20 for more than 5,000 trades or illiquid ones, 5 for cleared ones.
    """

    threshold: float = 0.0
    minimum_transfer: float = 0.0
    nica: float = 0.0
    mpor_floor_days: float = 10.0
    remargin_days: float = 1.0

    @property
    def mpor_days(self) -> float:
        """Margin period of risk in business days."""
        return self.mpor_floor_days + self.remargin_days - 1


class NettingSet(Struct, frozen=True, forbid_unknown_fields=True):
    """Trades under one netting agreement, the net `collateral` held after haircuts, and its margin terms, if any."""

    trades: list[Trade]
    collateral: float = 0.0
    margin: MarginTerms | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """The answer; `capped`: a margined set has the exposure of the same set without margin (CRE52.2)."""

    replacement_cost: float
    add_on: float
    multiplier: float
    add_on_by_class: Mapping[AssetClass, float]
    capped: bool = False

    @property
    def potential(self) -> float:
        """Potential future exposure: multiplier x add-on."""
        return self.multiplier * self.add_on

    @property
    def exposure_at_default(self) -> float:
        """Alpha x (replacement cost + potential future exposure)."""
        return ALPHA * (self.replacement_cost + self.potential)


def exposure(netting_set: NettingSet, supervisory: Mapping[str, Supervisory] = SUPERVISORY) -> Exposure:
    """Exposure of one netting set. Raises InputError, naming trade and field, for the first number out of range."""
    if not netting_set.trades:
        raise InputError("trades", 0, "must be at least one")
    for at, trade in enumerate(netting_set.trades):
        _check(f"trades[{at}]", trade, supervisory)
    number("collateral", netting_set.collateral)
    found = _one(netting_set, supervisory)
    if netting_set.margin is None:
        return found
    unmargined = _one(structs.replace(netting_set, margin=None), supervisory)
    return replace(unmargined, capped=True) if unmargined.exposure_at_default < found.exposure_at_default else found


def _one(netting_set: NettingSet, supervisory: Mapping[str, Supervisory]) -> Exposure:
    value = math.fsum(trade.market_value for trade in netting_set.trades)
    uncovered = value - netting_set.collateral
    margin, factor, cost = netting_set.margin, None, max(uncovered, 0.0)
    if margin is not None:
        for field in ("threshold", "minimum_transfer"):
            number(f"margin.{field}", getattr(margin, field), at_least=0.0)
        number("margin.nica", margin.nica)
        for field, least in (("mpor_floor_days", MPOR_FLOOR_MIN), ("remargin_days", 1.0)):
            number(f"margin.{field}", getattr(margin, field), at_least=least, at_most=BUSINESS_DAYS)
        factor = 1.5 * math.sqrt(margin.mpor_days / BUSINESS_DAYS)
        cost = max(uncovered, margin.threshold + margin.minimum_transfer - margin.nica, 0.0)
    by_class = {
        AssetClass(name): _class_add_on(AssetClass(name), rows, supervisory, factor)
        for name, rows in _by(netting_set.trades, lambda trade: supervisory[trade.kind].asset_class).items()
    }
    add_on = math.fsum(by_class.values())
    multiplier = 1.0
    if uncovered < 0 < add_on:
        share = 1 - MULTIPLIER_FLOOR
        multiplier = MULTIPLIER_FLOOR + share * math.exp(uncovered / (2 * share * add_on))
    return Exposure(cost, add_on, multiplier, by_class)


def _class_add_on(
    asset_class: AssetClass,
    trades: Sequence[Trade],
    supervisory: Mapping[str, Supervisory],
    margined_factor: float | None,
) -> float:
    """Sum over the hedging sets of one asset class; there is no offset between hedging sets."""

    def hedging_set(trade: Trade) -> str:
        shared = "one" if asset_class in SINGLE_SET else supervisory[trade.kind].hedging_set
        named = trade.name if trade.special == "basis" or not shared else shared
        return f"{named}/{trade.special}"

    total = 0.0
    for _, rows in sorted(_by(trades, hedging_set).items()):
        amounts = [(trade, _effective(trade, supervisory, margined_factor)) for trade in rows]
        total += _rates_set(amounts) if asset_class is AssetClass.RATES else _named_set(amounts, supervisory)
    return total


def _rates_set(amounts: Iterable[tuple[Trade, float]]) -> float:
    """CRE52.57: maturities below 1, 1 to 5 and above 5 years, correlated 70 %, 70 % and 30 %."""
    sums = [0.0, 0.0, 0.0]
    for trade, amount in amounts:
        sums[(trade.end >= 1) + (trade.end > 5)] += amount
    near, middle, far = sums
    square = near**2 + middle**2 + far**2 + 1.4 * near * middle + 1.4 * middle * far + 0.6 * near * far
    return math.sqrt(max(square, 0.0))  # the form is positive definite; a rounding below 0 is not


def _named_set(amounts: Iterable[tuple[Trade, float]], supervisory: Mapping[str, Supervisory]) -> float:
    """CRE52.61, 52.66, 52.70: full offset within a name, a systematic and an own part between names."""
    by_name: dict[str, float] = defaultdict(float)
    correlation: dict[str, float] = {}
    for trade, amount in amounts:
        by_name[trade.name] += amount
        found = supervisory[trade.kind].correlation
        if correlation.setdefault(trade.name, found) != found:
            raise InputError("name", trade.name, "must not be both a single name and an index")
    systematic = math.fsum(correlation[name] * amount for name, amount in by_name.items())
    own = math.fsum((1 - correlation[name] ** 2) * amount**2 for name, amount in by_name.items())
    return math.sqrt(systematic**2 + own)


def _effective(trade: Trade, supervisory: Mapping[str, Supervisory], margined_factor: float | None) -> float:
    """Supervisory factor x delta x adjusted notional x maturity factor."""
    row = supervisory[trade.kind]
    delta = trade.delta.delta(row.option_volatility) if isinstance(trade.delta, Option) else trade.delta
    notional = trade.notional
    if row.asset_class in (AssetClass.RATES, AssetClass.CREDIT):
        duration = (math.exp(-RATE * trade.start) - math.exp(-RATE * trade.end)) / RATE
        notional *= max(duration, YEARS_MIN)
    maturity = trade.end if trade.maturity is None else trade.maturity
    factor = math.sqrt(min(max(maturity, YEARS_MIN), 1.0)) if margined_factor is None else margined_factor
    return SPECIAL_FACTORS[trade.special] * row.factor * delta * notional * factor


def _check(where: str, trade: Trade, supervisory: Mapping[str, Supervisory]) -> None:
    if trade.kind not in supervisory:
        raise InputError(f"{where}.kind", trade.kind, f"must be one of {', '.join(supervisory)}")
    if not trade.name:
        raise InputError(f"{where}.name", trade.name, "must name what nets")
    if trade.special not in SPECIAL_FACTORS:
        raise InputError(f"{where}.special", trade.special, "must be empty, basis or volatility")
    positive(f"{where}.notional", trade.notional)
    number(f"{where}.market_value", trade.market_value)
    number(f"{where}.start", trade.start, at_least=0.0, at_most=100.0)
    number(f"{where}.end", trade.end, above=trade.start, at_most=100.0)
    if trade.maturity is not None:
        positive(f"{where}.maturity", trade.maturity, at_most=100.0)
    # A fraction would be a CDO tranche's, which is not modelled; of anything else it asks too little, and 0 nothing.
    if not isinstance(trade.delta, Option) and abs(number(f"{where}.delta", trade.delta)) != 1:
        raise InputError(f"{where}.delta", trade.delta, "must be +1 long, -1 short, or an option")


def _by(trades: Iterable[Trade], key: Callable[[Trade], str]) -> dict[str, list[Trade]]:
    groups: dict[str, list[Trade]] = defaultdict(list)
    for trade in trades:
        groups[key(trade)].append(trade)
    return groups
