"""The portfolio format: one JSON document that every margin model reads. docs/margin.md says every field in words.

Who reads what: a model asks for the numbers it needs, and a number that is missing is refused there, by name. Numbers
that are there are checked always, whoever reads them: finite, within bounds, of one mind with each other.

Signs and units: `size` in contracts, positive long; times in milliseconds since the epoch (UTC); rates, volatilities
and confidences as fractions (0.5 is 50 %), rates and volatilities a year; prices in dollars, but an inverse option's
mark in coin.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NoReturn, TypeVar

import msgspec

from seawall.vocabulary.errors import InputError

FORMAT: Final = 1
MILLISECONDS_PER_DAY: Final = 86_400_000
MILLISECONDS_PER_YEAR: Final = 365 * MILLISECONDS_PER_DAY
SETTLEMENT_MILLISECONDS: Final = 30 * 60 * 1000
"""Options and futures deliver at the average of the index over their last half hour."""
USD: Final = "USD"
PRICE_MAX: Final = 1e9
RATIO_MAX: Final = 100.0
"""A forward or a future's mark this many times off the index is an error of the source; an entry or limit off the mark.

Published cases go to 33 times.
"""
OPTION_SLACK: Final = 1.1
"""A premium this many times the most an option can be worth: room for ticks, rates and a forward a little late."""
DOLLARS: Final = frozenset({USD, "USDC", "USDT"})
DOLLAR_LEAST: Final = 0.01
DOLLAR_MOST: Final = 10.0
"""What a dollar coin may be worth. A price process may report 1.02 at most; a published case of Derive has 2.94."""
COIN_MAX: Final = 1e7
"""Dollars for a coin of the balances that no underlying's index speaks of."""

T = TypeVar("T")
Steps = list[str | int | None]

Price = Annotated[float, msgspec.Meta(gt=0, le=PRICE_MAX)]
Volatility = Annotated[float, msgspec.Meta(ge=0, le=1e5)]
Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]
Rate = Annotated[float, msgspec.Meta(ge=-10, le=10)]
Size = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Amount = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Milliseconds = Annotated[int, msgspec.Meta(ge=10**11, le=10**13)]
"""From 1973 on: seconds, read as milliseconds, would be weeks of 1970, and an option of a month one of an hour."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1e3)]
"""A fraction, factor or power of a parameter set that must not be negative."""
Days = Annotated[float, msgspec.Meta(ge=0, le=1e3)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable, by keyword, and refusing fields it does not know."""


class Underlying(Struct, frozen=True):
    """A coin: its index price in dollars, how sure the source of the index is of it, and depth outside the venue.

    `depth`: dollars that can be closed within the margin period, for each settlement currency.
    """

    index: Price
    confidence: Confidence = 1.0
    depth: Annotated[float, msgspec.Meta(gt=0, le=1e15)] | None = None


class Currency(Struct, frozen=True):
    """A currency of settlement or collateral: dollars for one, and how sure the source is of that."""

    price: Price
    confidence: Confidence = 1.0


class Expiry(Struct, frozen=True):
    """What all contracts of one underlying that expire at one time share.

    `fixed` is the part of the forward that a settlement average has fixed already; without it, a model that decays the
    exposure over the last half hour takes the share of the half hour that has passed.
    """

    underlying: Name
    time: Milliseconds
    forward: Price
    rate: Rate = 0.0
    forward_confidence: Confidence = 1.0
    rate_confidence: Confidence = 1.0
    fixed: Annotated[float, msgspec.Meta(ge=0, le=PRICE_MAX)] | None = None


class Instrument(Struct, frozen=True):
    """A contract and its market. Linear: `contract_size` coins a contract; inverse future: dollars a contract."""

    kind: Literal["perpetual", "future", "option"]
    underlying: Name
    currency: Name
    form: Literal["linear", "inverse"] = "linear"
    contract_size: Price = 1.0
    expiry: Milliseconds | None = None
    strike: Price | None = None
    option: Literal["call", "put"] | None = None
    mark: Annotated[float, msgspec.Meta(ge=0, le=PRICE_MAX)] | None = None
    volatility: Volatility | None = None
    confidence: Confidence = 1.0
    delta: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    funding_rate: Annotated[float, msgspec.Meta(ge=-1, le=1)] = 0.0
    array: tuple[Amount, ...] | None = None
    open_interest: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None

    @property
    def sign(self) -> float:
        """+1 for a call, -1 for a put, 0 for anything else."""
        return {"call": 1.0, "put": -1.0, None: 0.0}[self.option]


class Position(Struct, frozen=True):
    """`size` contracts. Profit since entry: `unrealised`, or by `entry_price`, else none (settled to cash already)."""

    instrument: Name
    size: Size
    entry_price: Price | None = None
    unrealised: Amount | None = None
    funding: Amount = 0.0


class Order(Struct, frozen=True):
    """An open order of `size` contracts at a limit price, in the unit of the instrument's mark."""

    instrument: Name
    side: Literal["buy", "sell"]
    size: Annotated[float, msgspec.Meta(gt=0, le=1e12)]
    price: Price


class Market(Struct, frozen=True):
    """Everything that is the same for every account."""

    underlyings: dict[Name, Underlying]
    instruments: dict[Name, Instrument] = msgspec.field(default_factory=dict)
    expiries: tuple[Expiry, ...] = ()
    currencies: dict[Name, Currency] = msgspec.field(default_factory=dict)


class Portfolio(Struct, frozen=True):
    """One account at one time. `parameters` replaces named parameters of the model asked.

    `owner_accounts`: accounts of the beneficial owner, this one included.
    """

    format: Literal[1]
    time: Milliseconds
    market: Market
    positions: tuple[Position, ...] = ()
    balances: dict[Name, Amount] = msgspec.field(default_factory=dict)
    orders: tuple[Order, ...] = ()
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    owner_accounts: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1

    def check(self) -> None:
        """Raise InputError, with field, value and rule, for the first rule broken that needs no model to see."""
        for name, currency in self.market.currencies.items():
            _check_currency(f"market.currencies.{name}.price", name, currency.price, self)
        for name, instrument in self.market.instruments.items():
            _check_instrument(f"market.instruments.{name}", instrument, self)
        expiries = [(item.underlying, item.time) for item in self.market.expiries]
        for number, item in enumerate(self.market.expiries):
            _check_expiry(f"market.expiries[{number}]", item, self)
            if expiries.index((item.underlying, item.time)) != number:
                raise InputError(f"market.expiries[{number}].time", item.time, "must appear once for each underlying")
        held: set[str] = set()
        for number, position in enumerate(self.positions):
            field = f"positions[{number}].instrument"
            if position.instrument not in self.market.instruments:
                raise InputError(field, position.instrument, "must be named in market.instruments")
            if position.instrument in held:
                raise InputError(field, position.instrument, "must be held in one position")
            held.add(position.instrument)
            if position.unrealised is not None and position.entry_price is not None:
                rule = "must not be given beside entry_price: each says the profit"
                raise InputError(f"positions[{number}].unrealised", position.unrealised, rule)
            _check_price(f"positions[{number}].entry_price", position.entry_price, position.instrument, self)
        for number, order in enumerate(self.orders):
            if order.instrument not in self.market.instruments:
                raise InputError(
                    f"orders[{number}].instrument", order.instrument, "must be named in market.instruments"
                )
            _check_price(f"orders[{number}].price", order.price, order.instrument, self)
        for balance in self.balances:
            self.price_of(balance)

    def instrument(self, position: Position) -> Instrument:
        """The instrument of a position."""
        return self.market.instruments[position.instrument]

    def expiry_of(self, name: str) -> Expiry:
        """The expiry an instrument belongs to. Raises InputError where the market does not have it."""
        instrument = self.market.instruments[name]
        for item in self.market.expiries:
            if (item.underlying, item.time) == (instrument.underlying, instrument.expiry):
                return item
        raise InputError(
            "market.expiries", [instrument.underlying, instrument.expiry], f"must be there: {name} needs it"
        )

    def mark_of(self, name: str) -> float:
        """The mark of an instrument. Raises InputError where it is missing."""
        return self.needed(name, "mark")

    def needed(self, name: str, field: Literal["mark", "volatility"]) -> float:
        """A number of an instrument that the model cannot do without. Raises InputError where it is missing."""
        value: float | None = getattr(self.market.instruments[name], field)
        if value is None:
            raise InputError(f"market.instruments.{name}.{field}", value, "must be given: the model reads it")
        return value

    def with_prices(self, prices: dict[str, float]) -> "Portfolio":
        """The same at other prices of currencies, all else as it was; marks are in the coins that contracts settle in.

        Raises InputError for one that nothing is held or settled in, and for a price that a portfolio may not have.
        """
        used = {*self.balances, *(self.instrument(item).currency for item in self.positions)}
        currencies = dict(self.market.currencies)
        for name, price in prices.items():
            if name not in used:
                raise InputError("depeg", name, f"must be held or settled in here: {', '.join(sorted(used)) or 'none'}")
            old = currencies.get(name, Currency(self.price_of(name)))
            currencies[name] = msgspec.structs.replace(old, price=price)
        changed = msgspec.structs.replace(self, market=msgspec.structs.replace(self.market, currencies=currencies))
        return convert(msgspec.to_builtins(changed))

    def price_of(self, currency: str) -> float:
        """Dollars for one of a currency. Raises InputError where nothing says it."""
        if currency in self.market.currencies:
            return self.market.currencies[currency].price
        if currency in self.market.underlyings:
            return self.market.underlyings[currency].index
        if currency == USD:
            return 1.0
        raise InputError(f"market.currencies.{currency}", None, "must be given: something is settled or held in it")


def read(text: str | bytes) -> Portfolio:
    """A checked portfolio from its JSON. Raises InputError, with field, value and rule, for the first rule broken."""
    return convert(decoded(text, "portfolio"))


def decoded(text: str | bytes, name: str) -> object:
    """What one JSON document holds. Raises InputError, of `name`, for none; for a number that is none; for a member
    that its object has twice, of which a decoder takes the last."""

    def no_constant(word: str) -> NoReturn:
        raise InputError(name, word, "must hold finite numbers only")

    try:
        return json.loads(text, parse_constant=no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise InputError(name, str(error), "must be one JSON document") from error


def convert(raw: object) -> Portfolio:
    """A checked portfolio from what JSON decodes to. Raises InputError as `read` does."""
    _check_finite(raw)
    portfolio = structured(raw, Portfolio, "portfolio")
    portfolio.check()
    return portfolio


def structured(raw: object, kind: type[T], name: str, prefix: str = "") -> T:
    """`raw` as a structure of `kind`. Raises InputError; its field is `prefix` and the path, or `name`."""
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        steps = _spelled(raw, kind, _steps(error))
        value = _at(raw, steps)
        shown = value if isinstance(value, str | int | float | None) else type(value).__name__
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        raise InputError(prefix + path if path else name, shown, str(error).partition(" - at `$")[0]) from error


def _steps(error: msgspec.ValidationError) -> Steps:
    """Where the decoder says the error is: fields, indices, and None for a key of an object, which it does not name."""
    path = str(error).partition(" - at `$")[2]
    found = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path)
    return [field or (None if index == "..." else int(index)) for field, index in found]


def _spelled(raw: object, kind: type, steps: Steps) -> list[str | int]:
    """The steps with their keys: the first whose value, by itself in its object, breaks the same rule."""
    done: list[str | int] = []
    for step in steps:
        if step is not None:
            done.append(step)
            continue
        for key in list(_at(raw, done)):
            alone = _only(raw, done, key)
            try:
                msgspec.convert(alone, kind, strict=True)
            except msgspec.ValidationError as error:
                if _steps(error) == steps:
                    raw = alone
                    done.append(key)
                    break
    return done


def _at(raw: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        raw = raw[step]
    return raw


def _only(raw: Any, steps: Sequence[str | int], key: str) -> Any:
    """A copy of the document in which the object at `steps` has this key alone."""
    if not steps:
        return {key: raw[key]}
    copy = dict(raw) if isinstance(raw, Mapping) else list(raw)
    copy[steps[0]] = _only(raw[steps[0]], steps[1:], key)  # type: ignore[index]
    return copy


def _check_finite(raw: object, path: str = "") -> None:
    if isinstance(raw, float):
        if raw - raw != 0:  # infinity and NaN alike
            raise InputError(path, raw, "must be finite")
    elif isinstance(raw, dict):
        for key, value in raw.items():
            _check_finite(value, f"{path}.{key}" if path else str(key))
    elif isinstance(raw, list | tuple):
        for index, value in enumerate(raw):
            _check_finite(value, f"{path}[{index}]")


def _check_instrument(where: str, item: Instrument, portfolio: Portfolio) -> None:
    if item.underlying not in portfolio.market.underlyings:
        raise InputError(f"{where}.underlying", item.underlying, "must be named in market.underlyings")
    index = portfolio.market.underlyings[item.underlying].index
    portfolio.price_of(item.currency)
    is_option = item.kind == "option"
    for field, value, wanted in (
        ("expiry", item.expiry, item.kind != "perpetual"),
        ("strike", item.strike, is_option),
        ("option", item.option, is_option),
    ):
        if (value is not None) != wanted:
            raise InputError(f"{where}.{field}", value, f"must {'' if wanted else 'not '}be given for {item.kind}s")
    for field, number in (("volatility", item.volatility), ("delta", item.delta)):
        if number is not None and not is_option:
            raise InputError(f"{where}.{field}", number, f"must not be given for {item.kind}s")
    if item.delta is not None and item.delta * item.sign < 0:
        raise InputError(f"{where}.delta", item.delta, "must not be negative for a call, not positive for a put")
    if item.expiry is not None and item.expiry < portfolio.time:
        raise InputError(f"{where}.expiry", item.expiry, f"must not be before the portfolio's time, {portfolio.time}")
    if (item.form == "inverse") != (item.currency == item.underlying):
        inverse = f"must be {item.underlying}: an inverse contract settles so"
        rule = inverse if item.form == "inverse" else "must not be the underlying: form inverse settles in it"
        raise InputError(f"{where}.currency", item.currency, rule)
    _check_mark(f"{where}.mark", item.mark, item, index, portfolio)


def _check_mark(field: str, value: float | None, item: Instrument, near: float, portfolio: Portfolio) -> None:
    """A price of an instrument: a premium at most what the option can be worth, any other one in proportion to `near`.

    A call is worth at most its underlying, a put at most its strike; the underlying is the forward or the index,
    whichever allows more.
    """
    if value is None:
        return
    if item.kind != "option":
        _check_near(field, value, near, "index" if field.endswith("mark") else "mark")
        return
    assert item.strike is not None
    index = portfolio.market.underlyings[item.underlying].index
    terms = (item.underlying, item.expiry)
    prices = [index, *(one.forward for one in portfolio.market.expiries if (one.underlying, one.time) == terms)]
    if item.form == "inverse":
        most = 1.0 if item.option == "call" else item.strike / min(prices)
    else:
        most = max(prices) if item.option == "call" else item.strike
    if value > most * OPTION_SLACK:
        what = "its underlying" if item.option == "call" else "its strike"
        raise InputError(field, value, f"must be at most {OPTION_SLACK:g} times {what}, {most * OPTION_SLACK:.10g}")


def _check_price(field: str, value: float | None, name: str, portfolio: Portfolio) -> None:
    """An entry or a limit, in proportion to the mark."""
    item = portfolio.market.instruments[name]
    index = portfolio.market.underlyings[item.underlying].index
    _check_mark(field, value, item, index if item.mark is None else item.mark, portfolio)


def _check_currency(field: str, name: str, price: float, portfolio: Portfolio) -> None:
    if name == USD:
        if price != 1:
            raise InputError(field, price, "must be 1: amounts are in dollars")
    elif name in DOLLARS:
        if not DOLLAR_LEAST <= price <= DOLLAR_MOST:
            raise InputError(field, price, f"must lie in [{DOLLAR_LEAST:g}, {DOLLAR_MOST:g}]: dollars for a dollar")
    elif name in portfolio.market.underlyings:
        _check_near(field, price, portfolio.market.underlyings[name].index, "index")
    elif price > COIN_MAX:
        raise InputError(field, price, f"must be at most {COIN_MAX:g}")


def _check_expiry(where: str, item: Expiry, portfolio: Portfolio) -> None:
    if item.underlying not in portfolio.market.underlyings:
        raise InputError(f"{where}.underlying", item.underlying, "must be named in market.underlyings")
    if item.time < portfolio.time:
        raise InputError(f"{where}.time", item.time, f"must not be before the portfolio's time, {portfolio.time}")
    _check_near(f"{where}.forward", item.forward, portfolio.market.underlyings[item.underlying].index, "index")
    if item.fixed is not None and item.fixed > item.forward:
        raise InputError(f"{where}.fixed", item.fixed, f"must be at most the forward, {item.forward}")
    # What is fixed does not move in a scenario: of a month's option it would leave nothing to ask for.
    if item.fixed and item.time - portfolio.time >= SETTLEMENT_MILLISECONDS:
        raise InputError(f"{where}.fixed", item.fixed, "must be 0 before the last half hour, whose average fixes it")


def _check_near(field: str, value: float, near: float, what: str) -> None:
    if not near / RATIO_MAX <= value <= near * RATIO_MAX:
        raise InputError(field, value, f"must be within a factor of {RATIO_MAX:g} of the {what}, {near}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise InputError(key, value, "must appear once in its object")
        made[key] = value
    return made
