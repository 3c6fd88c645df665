"""What an option's price says: implied volatility and greeks, one option at a time, fast enough for each tick.

Black's formula without discounting, as `seawall.risk.black76`, which a test holds this to; that one is made for arrays.
Greeks are per coin of the underlying: delta a fraction, gamma per dollar, vega dollars per point of volatility, theta
dollars per day, rho dollars per point of interest (of the spot formula, at a rate of 0).
"""

import math
from typing import TYPE_CHECKING, Final

from seawall.api.listing import Listing
from seawall.risk.black76 import years_to

if TYPE_CHECKING:
    from seawall.api.view import View

VOLATILITY_MAX: Final = 20.0
"""2000 % a year: a price above what it gives has no implied volatility here."""

_ROOT_TWO: Final = math.sqrt(2)
_ROOT_TWO_PI: Final = math.sqrt(2 * math.pi)
_STEPS: Final = 60
_CLOSE: Final = 1e-9


def value(forward: float, strike: float, volatility: float, years: float, kind: int) -> float:
    """Dollars for one coin; `kind` +1 call, -1 put."""
    total = volatility * math.sqrt(years)
    intrinsic = max(kind * (forward - strike), 0.0)
    if total <= 0:
        return intrinsic
    d1 = math.log(forward / strike) / total + total / 2
    side = 1 if forward < strike else -1
    out = side * (forward * _normal(side * d1) - strike * _normal(side * (d1 - total)))
    return intrinsic + max(out, 0.0)


def implied(price: float, forward: float, strike: float, years: float, kind: int) -> float:
    """Annual volatility at which the option is worth `price` dollars; 0 if none is."""
    if years <= 0 or forward <= 0 or price <= max(kind * (forward - strike), 0.0):
        return 0.0
    low, high = 0.0, VOLATILITY_MAX
    if price >= value(forward, strike, high, years, kind):
        return 0.0
    at = min(max(_ROOT_TWO_PI / math.sqrt(years) * price / forward, 0.05), 5.0)
    for _ in range(_STEPS):
        error = value(forward, strike, at, years, kind) - price
        if abs(error) < _CLOSE * forward:
            break
        low, high = (low, at) if error > 0 else (at, high)
        slope = _slope(forward, strike, at, years)
        step = at - error / slope if slope > 0 else low
        at = step if low < step < high else (low + high) / 2
    return at


def greeks(forward: float, strike: float, volatility: float, years: float, kind: int) -> dict[str, float]:
    """All five."""
    total = volatility * math.sqrt(years)
    if total <= 0:
        inside = kind * (forward - strike) > 0
        return {"delta": float(kind) if inside else 0.0, "gamma": 0.0, "vega": 0.0, "theta": 0.0, "rho": 0.0}
    d1 = math.log(forward / strike) / total + total / 2
    density = math.exp(-d1 * d1 / 2) / _ROOT_TWO_PI
    return {
        "delta": round(kind * _normal(kind * d1), 5),
        "gamma": round(density / (forward * total), 8),
        "vega": round(forward * density * math.sqrt(years) / 100, 5),
        "theta": round(-forward * density * volatility / (2 * math.sqrt(years) * 365), 5),
        "rho": round(kind * strike * years * _normal(kind * (d1 - total)) / 100, 5),
    }


def forward_of(view: "View", listing: Listing) -> float:
    """What the option is priced on, in dollars: the forward that was reported or, where none was, its index."""
    return view.index_prices.get(listing.index, 0.0) * view.forwards.get(listing.number, 1.0)


def underlying_of(view: "View", listing: Listing) -> str:
    """Its name: the index; of a reported forward the future of that expiry, after `SYN.` where none is listed."""
    if listing.number not in view.forwards:
        return "index_price"
    future = listing.name.rsplit("-", 2)[0]
    return future if future in view.by_name else f"SYN.{future}"


def years_of(view: "View", listing: Listing) -> float:
    """Years to its expiry."""
    return years_to(listing.spec.expiry, view.now_ns)


def volatility_of(view: "View", listing: Listing, price: float) -> float:
    """Annual volatility that a price in the listing's unit implies; 0 if none does."""
    forward = forward_of(view, listing)
    dollars = price * forward if listing.quote == listing.base else price
    return implied(dollars, forward, listing.strike(), years_of(view, listing), listing.spec.option_type)


def traded_volatility(listing: Listing, price: float, forward: float, at_ms: int) -> float:
    """Annual volatility that a trade at a price implied, the forward then in dollars; 0 if none did."""
    dollars = price * forward if listing.quote == listing.base else price
    years = years_to(listing.spec.expiry, at_ms * 1_000_000)
    return implied(dollars, forward, listing.strike(), years, listing.spec.option_type)


def mark_volatility(view: "View", listing: Listing) -> float:
    """Annual volatility of the mark when published: as the mark implies it or, its ticks too coarse, as noted."""
    noted = view.volatilities.get(listing.number, 0.0)
    at_ns, indexes = view.marked
    mark, forward = listing.price(view.marks.get(listing.number, 0)), indexes.get(listing.index, 0.0)
    forward *= view.forwards.get(listing.number, 1.0)
    years = years_to(listing.spec.expiry, at_ns)
    if not mark or not forward or years <= 0:
        return noted
    tick = listing.price(1) * (forward if listing.quote == listing.base else 1.0)
    if noted and _slope(forward, listing.strike(), noted, years) / 100 < tick:
        return noted
    dollars = mark * forward if listing.quote == listing.base else mark
    return implied(dollars, forward, listing.strike(), years, listing.spec.option_type) or noted


def _slope(forward: float, strike: float, volatility: float, years: float) -> float:
    total = volatility * math.sqrt(years)
    if total <= 0:
        return 0.0
    d1 = math.log(forward / strike) / total + total / 2
    return forward * math.exp(-d1 * d1 / 2) / _ROOT_TWO_PI * math.sqrt(years)


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / _ROOT_TWO)
