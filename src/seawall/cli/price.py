"""`seawall price`: one option with all its greeks, or the volatility that its price implies.

To add a product: write a function from `Asked` to `Answer` and list it in PRODUCTS.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.risk.black76 import Float64Array, Greeks

KINDS: Final = {"call": 1.0, "put": -1.0}
DAYS_PER_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks, checked as far as the products have it in common; `kind` is 1 call, -1 put.

    Either `volatility` or `implied_from`, a price in the product's own currency, is given; `rate` discounts, and with
    `on_spot` `price` is a spot price that grows to the forward by `carry`.
    """

    kind: float
    price: float
    strike: float
    years: float
    volatility: float | None
    implied_from: float | None
    rate: float
    on_spot: bool
    carry: float


def price(
    strike: Annotated[float, typer.Option(help="Strike, in dollars.")],
    option_type: Annotated[str, typer.Option("--type", help="call or put.")],
    forward: Annotated[float | None, typer.Option(help="Forward of the expiry, in dollars.")] = None,
    spot: Annotated[float | None, typer.Option(help="Instead of the forward: spot price, in dollars.")] = None,
    days: Annotated[float | None, typer.Option(help="Days to expiry; a year has 365.")] = None,
    years: Annotated[float | None, typer.Option(help="Instead of days: years to expiry.")] = None,
    volatility: Annotated[float | None, typer.Option(help="A year's, as a fraction: 0.6 is 60 %.")] = None,
    implied_from: Annotated[
        float | None, typer.Option(help="Instead of a volatility: a price, in coin for an inverse option.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Continuous rate that discounts; venues margin premiums daily: 0.")] = 0.0,
    carry: Annotated[
        float | None, typer.Option(help="With --spot: growth to the forward, rate less yield; without, the rate.")
    ] = None,
    product: Annotated[str, typer.Option(help="linear (settled in dollars) or inverse (in the coin).")] = "linear",
    as_json: Json = False,
) -> None:
    """Price one European option with all greeks, or find the volatility that its price implies."""

    def find() -> Answer:
        if product not in PRODUCTS:
            raise InputError("product", product, f"must be one of {', '.join(PRODUCTS)}")
        asked = _asked(strike, option_type, (forward, spot), (days, years), volatility, implied_from, rate, carry)
        return PRODUCTS[product](asked)

    answer(as_json, find)


def _asked(
    strike: float,
    option_type: str,
    prices: tuple[float | None, float | None],
    times: tuple[float | None, float | None],
    volatility: float | None,
    implied_from: float | None,
    rate: float,
    carry: float | None,
) -> Asked:
    """Raises InputError unless exactly one of each pair of alternatives is given."""
    if option_type not in KINDS:
        raise InputError("type", option_type, f"must be one of {', '.join(KINDS)}")
    forward, spot = prices
    days, years = times
    for field, pair in (
        ("--forward, --spot", prices),
        ("--days, --years", times),
        ("--volatility, --implied-from", (volatility, implied_from)),
    ):
        if (pair[0] is None) == (pair[1] is None):
            raise InputError(field, pair, "give exactly one of the two")
    if carry is not None and spot is None:
        raise InputError("carry", carry, "goes with --spot: a forward has grown already")
    time = years if years is not None else (days or 0.0) / DAYS_PER_YEAR
    price = spot if spot is not None else forward or 0.0
    carried = rate if carry is None else carry
    return Asked(KINDS[option_type], price, strike, time, volatility, implied_from, rate, spot is not None, carried)


def _linear(asked: Asked) -> Answer:
    from seawall.risk import black76, black_scholes, implied
    from seawall.risk.black76 import Greeks

    forward, volatility = _forward(asked), asked.volatility
    if volatility is None:
        assert asked.implied_from is not None
        volatility = implied.volatility(asked.implied_from, forward, asked.strike, asked.years, asked.kind, asked.rate)
    terms = (asked.strike, volatility, asked.years, asked.kind, asked.rate)
    if asked.on_spot:
        held = black_scholes.greeks(asked.price, *terms, asked.carry)
        greeks = Greeks(*(float(value) for value in held))
    else:
        greeks = black76.option(forward, *terms)
    document = {"product": "linear", **_terms(asked, forward, volatility), "greeks": greeks._asdict()}
    return Answer(document, _table(asked, forward, volatility, {"USD": greeks}))


def _inverse(asked: Asked) -> Answer:
    from seawall.risk import implied, inverse

    if asked.rate != 0 and not asked.on_spot:
        raise InputError("rate", asked.rate, "must be 0: premiums in coin are not discounted")
    forward, volatility = _forward(asked), asked.volatility
    if volatility is None:
        assert asked.implied_from is not None
        dollars = asked.implied_from * forward
        volatility = implied.volatility(dollars, forward, asked.strike, asked.years, asked.kind)
    found = inverse.greeks(forward, asked.strike, volatility, asked.years, asked.kind)
    usd, coin = (_floats(asked, forward, view) for view in (found.usd, found.coin))
    views = {"usd": usd._asdict(), "coin": coin._asdict(), "net_delta": float(found.net_delta)}
    text = _table(asked, forward, volatility, {"USD": usd, "coin": coin})
    document = {"product": "inverse", **_terms(asked, forward, volatility), **views}
    return Answer(document, f"{text}\n{'net delta':12}{'':>18}{float(found.net_delta):>18.8f}")


def _floats(asked: Asked, forward: float, held: "Greeks[Float64Array]") -> "Greeks[float]":
    """Greeks with the forward held as plain floats; with the spot held, where one was asked for."""
    import numpy as np

    from seawall.risk.black76 import Greeks
    from seawall.risk.black_scholes import on_spot

    if asked.on_spot:
        held = on_spot(held, np.asarray(forward), asked.years, asked.carry)
    return Greeks(*(float(value) for value in held))


PRODUCTS: Final[dict[str, Callable[[Asked], Answer]]] = {"linear": _linear, "inverse": _inverse}


def _forward(asked: Asked) -> float:
    from seawall.risk.black_scholes import forward_of

    return float(forward_of(asked.price, asked.years, asked.carry)) if asked.on_spot else asked.price


def _terms(asked: Asked, forward: float, volatility: float) -> dict[str, Any]:
    """What was priced, with what followed from it."""
    terms = asdict(asked)
    kind, on_spot, price = terms.pop("kind"), terms.pop("on_spot"), terms.pop("price")
    spot = {"spot": price} if on_spot else {}
    if not on_spot:
        terms.pop("carry")
    return {"type": _name(kind), "forward": forward, **spot, **terms, "volatility": volatility}


def _table(asked: Asked, forward: float, volatility: float, views: dict[str, "Greeks[float]"]) -> str:
    found = "implied volatility" if asked.implied_from is not None else "volatility"
    lines = [
        f"{_name(asked.kind)} {asked.strike:,.10g}, forward {forward:,.10g}, {asked.years * DAYS_PER_YEAR:,.6g} days,"
        f" {found} {100 * volatility:.10g} %",
        f"{'':12}" + "".join(f"{name:>18}" for name in views),
    ]
    for field in next(iter(views.values()))._fields:
        values = [getattr(view, field) for view in views.values()]
        lines.append(f"{field:12}" + "".join(f"{value:>18,.10g}" for value in values))
    return "\n".join(lines)


def _name(kind: float) -> str:
    return next(name for name, value in KINDS.items() if value == kind)
