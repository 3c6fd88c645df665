"""A chain of option quotes as a fit wants it: per expiry a forward, log-moneyness, and a band of total variance.

A quote's bid and ask bound the total variance of its strike from below and above, whatever option it is: puts and
calls, in and out of the money, are equal witnesses once the intrinsic value is taken off. One side alone bounds on one
side.
What no fit should follow is left out and counted by reason; a chain that cannot be read, or too much of which is
nonsense, is refused (docs/surfaces.md has the rules).
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seawall.risk.black76 import years_to
from seawall.risk.implied import Status, volatilities
from seawall.risk.surfaces.smile import Float64Array
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number

STALE_S: Final = 300.0
REFUSED_SHARE: Final = 0.1
"""A chain with a larger share of crossed and absurd quotes is refused."""
ROW_FORWARD_SPREAD: Final = 0.01
"""Forwards that the rows of one expiry state must lie this near to their median."""
CURVE_SPREAD: Final = 4.0
"""Forwards of all expiries must lie within this factor of their median."""
STRIKE_SPREAD: Final = 1000.0
"""Strikes farther from the forward than this factor are absurd."""
TOTAL_VOLATILITY_MAX: Final = 10.0
"""Above it a price says nothing about volatility but that it is absurd."""


class QuoteRow(NamedTuple):
    """One option's quote. Prices in units of the coin, or of the strike for options settled in cash; None: no quote."""

    name: str
    expiry_ns: int
    strike: float
    call: bool
    forward: float | None
    bid: float | None
    ask: float | None
    quoted_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Quotes:
    """The usable quotes of one expiry, arrays of one length: bands of total variance, 0 or infinite where unbounded."""

    k: Float64Array
    low: Float64Array
    high: Float64Array
    strike: Float64Array
    call: Float64Array
    """+1 call, -1 put"""
    two_sided: Float64Array
    """1 where bid and ask are quoted, else 0"""

    def __len__(self) -> int:
        return len(self.k)

    def take(self, mask: object) -> "Quotes":
        """Those where `mask` is true."""
        return Quotes(*(np.asarray(getattr(self, name))[np.asarray(mask, bool)] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Expiry:
    """One expiry of a chain. `parity` is where puts and calls say the forward is, None without a pair of them."""

    expiry_ns: int
    years: float
    forward: float
    parity: tuple[float, float] | None
    quotes: Quotes


@dataclass(frozen=True, slots=True)
class Chain:
    """Expiries in order, each with at least one quote of two sides; what was left out, by reason; what was read."""

    underlying: str
    time_ns: int
    expiries: tuple[Expiry, ...]
    left_out: Mapping[str, int]
    two_sided: int
    """all unexpired quotes with bid and ask, those left out as well"""
    sha256: str
    coin_settled: bool = True
    """premiums are in coin, else in the currency of the strikes"""
    stale_s: float = STALE_S

    def thinned(self, held: Sequence[object]) -> "Chain":
        """The chain without the quotes whose mask is true, one mask for each expiry."""
        kept = tuple(
            replace(expiry, quotes=expiry.quotes.take(~np.asarray(mask, bool)))
            for expiry, mask in zip(self.expiries, held, strict=True)
        )
        return replace(self, expiries=kept)


def make_chain(
    rows: Iterable[QuoteRow], time_ns: int, *, sha256: str, coin_settled: bool = True, stale_s: float = STALE_S
) -> Chain:
    """The chain at `time_ns` (nanoseconds since the epoch). Raises InputError for what cannot be a chain.

    `stale_s`: a quote last updated longer before `time_ns` is left out; rows without a time cannot be judged so.
    """
    number("stale_s", stale_s, at_least=0)
    left_out: Counter[str] = Counter()
    latest: dict[str, QuoteRow] = {}
    for row in rows:
        _check_row(row)
        before = latest.get(row.name)
        if before is not None and (before.quoted_ns is None or row.quoted_ns is None):
            raise InputError(row.name, "a row", "stands in the chain twice, and no time says which is the later")
        if before is not None:
            left_out["superseded"] += 1
        if before is None or (before.quoted_ns or 0) <= (row.quoted_ns or 0):
            latest[row.name] = row
    by_expiry: dict[int, list[QuoteRow]] = {}
    for row in latest.values():
        if row.expiry_ns <= time_ns:
            left_out["expired"] += 1
        else:
            by_expiry.setdefault(row.expiry_ns, []).append(row)
    underlyings = sorted({name.partition("-")[0] for name in latest})
    if len(underlyings) > 1:
        raise InputError("chain", ", ".join(underlyings), "must be of one underlying")
    live = [row for of in by_expiry.values() for row in of]
    two_sided = sum(row.bid is not None and row.ask is not None for row in live)
    quoted = sum(row.bid is not None or row.ask is not None for row in live)
    expiries = []
    for expiry_ns, of in sorted(by_expiry.items()):
        fresh = [row for row in of if row.quoted_ns is None or time_ns - row.quoted_ns <= stale_s * 1e9]
        left_out["stale"] += len(of) - len(fresh)
        expiry = _expiry(expiry_ns, fresh, time_ns, coin_settled, left_out)
        if expiry is not None:
            expiries.append(expiry)
    nonsense = left_out["crossed"] + left_out["absurd"]
    if nonsense > REFUSED_SHARE * quoted:
        raise InputError("chain", f"{nonsense} of {quoted} quotes crossed or absurd", f"at most {REFUSED_SHARE:.0%}")
    if not expiries:
        raise InputError("chain", dict(left_out), "must have an expiry with a quote of two sides that can be used")
    _check_curve(expiries)
    return Chain(underlyings[0], time_ns, tuple(expiries), dict(+left_out), two_sided, sha256, coin_settled, stale_s)


def _check_row(row: QuoteRow) -> None:
    if not (math.isfinite(row.strike) and row.strike > 0):
        raise InputError(f"{row.name}: strike", row.strike, "must be finite and positive")
    for field in ("forward", "bid", "ask"):
        value = getattr(row, field)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{row.name}: {field}", value, "must be finite and positive, or empty")


def _check_curve(expiries: Sequence[Expiry]) -> None:
    middle = float(np.median([expiry.forward for expiry in expiries]))
    for expiry in expiries:
        if not middle / CURVE_SPREAD < expiry.forward < middle * CURVE_SPREAD:
            raise InputError("forward", expiry.forward, f"is not within {CURVE_SPREAD:g} times the curve's {middle}")


def _expiry(
    expiry_ns: int, rows: Sequence[QuoteRow], time_ns: int, coin: bool, left_out: Counter[str]
) -> Expiry | None:
    stated = [row.forward for row in rows if row.forward is not None]
    if stated:
        middle = float(np.median(stated))
        for row in rows:
            if row.forward is not None and abs(row.forward / middle - 1) > ROW_FORWARD_SPREAD:
                rule = f"must lie within {ROW_FORWARD_SPREAD:.0%} of its expiry's, {middle}"
                raise InputError(f"{row.name}: forward", row.forward, rule)
    uncrossed = []
    for row in rows:
        if row.bid is None and row.ask is None:
            left_out["no quote"] += 1
        elif row.bid is not None and row.ask is not None and row.bid > row.ask:
            left_out["crossed"] += 1
        else:
            uncrossed.append(row)
    parity = parity_forward(uncrossed, coin_settled=coin)
    forward = middle if stated else 0.5 * sum(parity) if parity is not None else None
    if forward is None:
        left_out["no forward"] += len(uncrossed)
        return None
    quotes = _quotes(uncrossed, forward, coin, left_out)
    if not np.any((quotes.two_sided > 0) & np.isfinite(quotes.high)):
        left_out["no quote of two sides in the expiry"] += len(quotes)
        return None
    return Expiry(expiry_ns, years_to(expiry_ns, time_ns), forward, parity, quotes)


def parity_forward(rows: Iterable[QuoteRow], *, coin_settled: bool = True) -> tuple[float, float] | None:
    """The forward of one expiry by put-call parity: the interval that the quotes of the most strikes agree on.

    A call less its put is worth forward - strike, over the forward where settled in coin; bids and asks of both make
    that an interval for each strike. None without a pair of two-sided quotes at one strike.
    """
    calls = {row.strike: row for row in rows if row.call}
    ends: list[tuple[float, int]] = []
    for put in rows:
        call = calls.get(put.strike)
        if put.call or call is None or not (put.bid and put.ask and call.bid and call.ask):
            continue
        spreads = (call.bid - put.ask, call.ask - put.bid)
        if coin_settled and spreads[1] >= 1:
            continue
        low, high = (put.strike / (1 - spread) if coin_settled else put.strike + spread for spread in spreads)
        ends += [(low, -1), (high, 1)]  # at one place, an interval begins before another ends
    deep, most = 0, 0
    best: tuple[float, float] | None = None
    ends.sort()
    for (place, kind), (following, _) in itertools.pairwise(ends):
        deep -= kind
        if deep > most:
            most, best = deep, (place, following)
    return best


def _quotes(rows: Sequence[QuoteRow], forward: float, coin: bool, left_out: Counter[str]) -> Quotes:
    """The rows' bands of total variance: what bid and ask imply of the option they are quotes of."""
    strike = np.array([row.strike for row in rows], float)
    call = np.array([1.0 if row.call else -1.0 for row in rows])
    unit = forward if coin else 1.0
    bid = np.array([0.0 if row.bid is None else row.bid * unit for row in rows])
    ask = np.array([np.inf if row.ask is None else row.ask * unit for row in rows])
    k = np.log1p((strike - forward) / forward)
    of_bid = volatilities(bid, forward, strike, 1.0, call)
    of_ask = volatilities(ask, forward, strike, 1.0, call)
    # A bid below intrinsic value bounds nothing, nor does an ask at or above what the option can be worth at most.
    low = np.where(of_bid.solved, of_bid.volatility, 0.0) ** 2
    high = np.where(of_ask.solved, of_ask.volatility, np.inf) ** 2
    absurd = (of_bid.status == Status.AT_MAXIMUM) | (low > TOTAL_VOLATILITY_MAX**2)
    absurd |= (of_ask.status == Status.BELOW_INTRINSIC) | (high == 0.0) | (np.abs(k) > math.log(STRIKE_SPREAD))
    left_out["absurd"] += int(np.count_nonzero(absurd))
    two = ((bid > 0) & np.isfinite(ask)).astype(float)
    parity = np.where(call > 0, 0.0, forward - strike)
    contradicted = _contradicted(strike, np.maximum(bid + parity, 0.0), np.minimum(ask + parity, forward), ~absurd)
    left_out["contradicted"] += int(np.count_nonzero(contradicted))
    absurd |= contradicted
    says = ~absurd & ((low > 0) | np.isfinite(high) | (two > 0))
    left_out["bounds nothing"] += int(np.count_nonzero(~says & ~absurd))
    return Quotes(k, low, high, strike, call, two).take(says)


def _contradicted(
    strike: Float64Array, low: Float64Array, high: Float64Array, asked: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Quotes that others rule out: calls and, by parity, puts, as bounds of calls' values at their strikes.

    At rising strikes a call's value falls, and by no more than the strikes rise; where bids and asks say otherwise of
    two quotes, somebody could trade them against each other without risk, and one is wrong. The one that is so with the
    most others goes first, until none is; of two that rule out only each other both go.
    """
    rise = strike[None, :] - strike[:, None]
    wrong = (rise >= 0) & ((high[:, None] < low[None, :]) | (low[:, None] - high[None, :] > rise))
    wrong = (wrong | wrong.T) & asked[:, None] & asked[None, :]
    found = np.zeros_like(asked)
    while True:
        counts = np.count_nonzero(wrong, axis=1)
        most = int(np.max(counts, initial=0))
        if most == 0:
            return found
        worst = counts == most if most == 1 else np.arange(len(counts)) == np.argmax(counts)
        found |= worst
        wrong[worst, :] = wrong[:, worst] = False
