"""Quotes from a venue's book summaries: refused where they are no numbers, doubted where they leap."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from seawall.risk.market import VOLATILITY_MAX
from seawall.vocabulary.errors import InputError

LEAP: Final = 1.5
"""A quote with a number this many times, or this part of, the one before is doubted until the next says the same."""

OPTION_SLACK: Final = 0.01
VOLATILITY_SLACK: Final = 0.25
"""Added on both sides before the factor is taken: of one coin's worth to premiums, and to volatilities. Far from the
money a premium of one tick becomes three with no news at all."""

PRICE_USD_MAX: Final = 1e9
"""No price of a coin is higher; a premium is bounded by the contract's band."""


class Quote(msgspec.Struct, frozen=True, array_like=True):
    """What a venue says of one instrument at a time.

    `mark` in the instrument's quote currency, `index` in dollars; of options `underlying`, the forward in dollars, and
    `volatility`, annual (0.5 is 50 %). `time_ms` since the epoch, by the venue's clock.
    """

    mark: float
    index: float
    underlying: float = 0.0
    volatility: float = 0.0
    time_ms: int = 0


def quotes_of(
    summaries: Iterable[Mapping[str, Any]], indices: Mapping[str, float]
) -> tuple[dict[str, Quote], dict[str, str]]:
    """Quotes by instrument of rows of `get_book_summary_by_currency`, and why the others were left out.

    `indices` by the name of the index (btc_usd), in dollars. A row with a `mark_iv` is an option's.
    """
    quotes: dict[str, Quote] = {}
    refused: dict[str, str] = {}
    for row in summaries:
        name = str(row.get("instrument_name"))
        try:
            quotes[name] = _quote(row, indices)
        except InputError as error:
            refused[name] = str(error)
    return quotes, refused


def leaps(quote: Quote, before: Quote, coin: float) -> bool:
    """Whether a number is too far from what it was. `coin`: of options, one coin's worth in premiums; else 0."""
    return (
        _apart(quote.mark, before.mark, coin * OPTION_SLACK)
        or _apart(quote.index, before.index, 0.0)
        or _apart(quote.underlying, before.underlying, 0.0)
        or _apart(quote.volatility, before.volatility, VOLATILITY_SLACK)
    )


def _apart(now: float, before: float, slack: float) -> bool:
    low, high = sorted((now + slack, before + slack))
    return high > low * LEAP


def _quote(row: Mapping[str, Any], indices: Mapping[str, float]) -> Quote:
    base, quoted = str(row.get("base_currency")), str(row.get("quote_currency"))
    index = f"{base}_{'USD' if quoted == base else quoted}".lower()
    at = row.get("creation_timestamp")
    if not isinstance(at, int) or at <= 0:
        raise InputError("creation_timestamp", at, "must be milliseconds since the epoch")
    level = _number("index_price", indices.get(index), PRICE_USD_MAX)
    if "mark_iv" not in row:
        return Quote(_number("mark_price", row.get("mark_price"), PRICE_USD_MAX), level, time_ms=at)
    return Quote(
        _number("mark_price", row.get("mark_price"), PRICE_USD_MAX, zero=True),
        level,
        _number("underlying_price", row.get("underlying_price"), PRICE_USD_MAX),
        _number("mark_iv", row["mark_iv"], 100 * VOLATILITY_MAX, zero=True) / 100,
        at,
    )


def _number(field: str, value: object, most: float, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(field, value, "must be a finite number")
    if not (value > 0 or (zero and value == 0)) or value > most:
        raise InputError(field, value, f"must be {'at least' if zero else 'above'} 0 and at most {most:g}")
    return float(value)
