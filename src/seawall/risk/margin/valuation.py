"""What margin models share: time to expiry, option values in scenarios, equity, volatility shocks, filled orders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from seawall.risk import black76
from seawall.risk.margin.portfolio import (
    MILLISECONDS_PER_DAY,
    MILLISECONDS_PER_YEAR,
    Instrument,
    Order,
    Portfolio,
    Position,
)
from seawall.risk.margin.report import Contribution, MarginReport
from seawall.vocabulary.errors import InputError

Float64Array = npt.NDArray[np.float64]

SHORT_TERM_DAYS: Final = 30
TOTAL_VOLATILITY_MAX: Final = 60.0


def years_to(portfolio: Portfolio, time: int) -> float:
    """Years of 365 days to `time`."""
    return (time - portfolio.time) / MILLISECONDS_PER_YEAR


def days_to(portfolio: Portfolio, time: int) -> float:
    """Days to `time`, with their fraction."""
    return (time - portfolio.time) / MILLISECONDS_PER_DAY


def term_scale(days: float, floor: float, short_power: float, long_power: float, *, short_at_switch: bool) -> float:
    """(30 / max(days, floor))^power: how much more the volatility of a near expiry is shocked.

    The short power below 30 days and the long one above; venues differ at exactly 30 days. Raises InputError where
    neither days nor floor are left, or the scale is beyond any number.
    """
    if max(days, floor) <= 0:
        raise InputError("dte_floor", floor, "must be above 0 where something expires now")
    short = days < SHORT_TERM_DAYS or (short_at_switch and days == SHORT_TERM_DAYS)
    power = short_power if short else long_power
    try:
        return float((SHORT_TERM_DAYS / max(days, floor)) ** power)
    except OverflowError as error:
        raise InputError("power", power, f"must leave a scale that a double holds, at {days:g} days") from error


def option_values(
    instruments: Sequence[Instrument], forwards: Float64Array, volatilities: Float64Array, years: Float64Array
) -> Float64Array:
    """Value of one coin's worth of each option in each scenario, in its settlement currency.

    `forwards` and `volatilities` (options, scenarios), `years` (options,); returns (options, scenarios). An inverse
    option is worth its dollar value divided by the forward.
    """
    strikes = np.array([item.strike for item in instruments], float)[:, None]
    signs = np.array([item.sign for item in instruments])[:, None]
    # Beyond a total volatility of 60 a double cannot tell the value from its bound.
    totals = np.minimum(volatilities * np.sqrt(years)[:, None], TOTAL_VOLATILITY_MAX)
    values = black76.price(forwards, strikes, totals, 1.0, signs)
    inverse = np.array([[item.form == "inverse"] for item in instruments])
    return np.asarray(np.where(inverse, values / forwards, values))


@dataclass(frozen=True, slots=True)
class Options:
    """The option positions among some, as columns of numbers: `at` is where each stands."""

    at: Sequence[int]
    instruments: Sequence[Instrument]
    sizes: Float64Array
    """(options,) coins, signed."""
    forwards: Float64Array
    volatilities: Float64Array
    years: Float64Array
    days: Float64Array

    @property
    def deltas(self) -> Float64Array:
        """(options,) of one coin: as the venue gives it, else Black's."""
        strikes = np.array([item.strike for item in self.instruments], float)
        signs = np.array([item.sign for item in self.instruments])
        slopes = black76.delta(self.forwards, strikes, self.volatilities, self.years, signs)
        given = [slopes[n] if item.delta is None else item.delta for n, item in enumerate(self.instruments)]
        return np.array(given, float)


def options_among(portfolio: Portfolio, positions: Sequence[Position]) -> Options:
    """The options among `positions`. Raises InputError where a volatility or a forward is missing."""
    at = [number for number, item in enumerate(positions) if portfolio.instrument(item).kind == "option"]
    instruments = [portfolio.instrument(positions[number]) for number in at]
    expiries = [portfolio.expiry_of(positions[number].instrument) for number in at]
    volatilities = [portfolio.needed(positions[number].instrument, "volatility") for number in at]
    _, most, rule = black76.RULES["volatility"]
    for number, volatility in zip(at, volatilities, strict=True):
        if volatility > most:
            raise InputError(f"market.instruments.{positions[number].instrument}.volatility", volatility, rule)
    return Options(
        at,
        instruments,
        np.array([positions[n].size * item.contract_size for n, item in zip(at, instruments, strict=True)], float),
        np.array([item.forward for item in expiries], float),
        np.array(volatilities, float),
        np.array([years_to(portfolio, item.time) for item in expiries], float),
        np.array([days_to(portfolio, item.time) for item in expiries], float),
    )


def fair_mark(portfolio: Portfolio, name: str) -> float:
    """A mark, of an option without one its Black-76 value. Raises InputError where that needs what is missing."""
    item = portfolio.market.instruments[name]
    if item.mark is not None or item.kind != "option":
        return portfolio.mark_of(name)
    expiry = portfolio.expiry_of(name)
    volatility = np.array([[portfolio.needed(name, "volatility")]])
    years = np.array([years_to(portfolio, expiry.time)])
    value = option_values([item], np.array([[expiry.forward]]), volatility, years)
    return float(value[0, 0])


def profit(portfolio: Portfolio, position: Position) -> float:
    """Unrealised profit of a future or perpetual, in its settlement currency, unpaid funding included."""
    item = portfolio.instrument(position)
    if position.unrealised is not None or position.entry_price is None:
        return (position.unrealised or 0.0) + position.funding
    mark, size = portfolio.mark_of(position.instrument), position.size * item.contract_size
    if item.form == "inverse":
        return size * (1 / position.entry_price - 1 / mark) + position.funding
    return size * (mark - position.entry_price) + position.funding


def worth(portfolio: Portfolio, position: Position) -> float:
    """What a position adds to equity, in its settlement currency: a future's profit, an option's value at the mark."""
    item = portfolio.instrument(position)
    if item.kind != "option":
        return profit(portfolio, position)
    return position.size * item.contract_size * fair_mark(portfolio, position.instrument) + position.funding


def coins(portfolio: Portfolio, position: Position) -> float:
    """Signed size of a future or perpetual in coins of the underlying."""
    item = portfolio.instrument(position)
    size = position.size * item.contract_size
    return size / portfolio.mark_of(position.instrument) if item.form == "inverse" else size


def refuse(portfolio: Portfolio, model: str, kinds: Sequence[str], forms: Sequence[str]) -> None:
    """Raise InputError for the first position of a kind or form that the model has no published rule for."""
    for number, position in enumerate(portfolio.positions):
        item = portfolio.instrument(position)
        for field, value, known in (("kind", item.kind, kinds), ("form", item.form, forms)):
            if value not in known:
                raise InputError(
                    f"positions[{number}].instrument",
                    f"{item.form} {item.kind}",
                    f"{model} knows {field} {list(known)}",
                )


def with_orders(portfolio: Portfolio, evaluate: Callable[[Portfolio], MarginReport]) -> MarginReport:
    """The report with open orders charged: the venues publish no rule, so this one is ours.

    The initial requirement rises by what the excess of equity falls, at the worst, when groups of orders fill at their
    limits: of each underlying none, all buys, all sells, all that lengthen its delta, all that shorten it, or all. (The
    engine's gate is stricter: it charges the worst subset in every scenario.)
    """
    report = evaluate(portfolio)
    if not portfolio.orders:
        return report
    charge = report.equity - report.initial - _least_excess(portfolio, evaluate, report.equity - report.initial)
    added = Contribution("", "add-on", "open orders", charge, 0.0)
    said = "open orders are charged by our own rule: of each underlying the worst of its groups, filled at their limits"
    return replace(
        report,
        initial=report.initial + charge,
        contributions=(*report.contributions, added),
        figures={**report.figures, "open_orders": charge},
        notes=(*report.notes, said),
    )


def _least_excess(portfolio: Portfolio, evaluate: Callable[[Portfolio], MarginReport], now: float) -> float:
    """The least excess of equity that filled groups leave, `now` being that of none.

    Underlyings are taken one after the other, the one that costs most by itself first, since some rules let the gain
    of one pay another's loss.
    """

    def left(orders: Sequence[Order]) -> float:
        filled = evaluate(_filled(portfolio, orders))
        return filled.equity - filled.initial

    mine: dict[str, list[Order]] = {}
    for order in portfolio.orders:
        mine.setdefault(portfolio.market.instruments[order.instrument].underlying, []).append(order)
    groups = {underlying: _groups(portfolio, orders) for underlying, orders in mine.items()}
    alone = {underlying: [left(group) for group in each] for underlying, each in groups.items()}
    least, chosen = now, list[Order]()
    for underlying in sorted(groups, key=lambda name: (min(alone[name]), name)):
        found = [left([*chosen, *group]) for group in groups[underlying]] if chosen else alone[underlying]
        worst, at = min((excess, at) for at, excess in enumerate(found))
        if worst < least:
            least, chosen = worst, [*chosen, *groups[underlying][at]]
    return least


def _groups(portfolio: Portfolio, orders: Sequence[Order]) -> list[list[Order]]:
    """Orders on one underlying that may fill together, each group once: all, one side, one direction of delta."""
    buys = [order.side == "buy" for order in orders]
    puts = [portfolio.market.instruments[order.instrument].option == "put" for order in orders]
    lengthens = [buy != put for buy, put in zip(buys, puts, strict=True)]
    made = [list(orders)]
    for marks in (buys, lengthens):
        for wanted in (True, False):
            group = [order for order, mark in zip(orders, marks, strict=True) if mark is wanted]
            if group and group not in made:
                made.append(group)
    return made


def _filled(portfolio: Portfolio, orders: Sequence[Order]) -> Portfolio:
    positions = {position.instrument: position for position in portfolio.positions}
    balances = dict(portfolio.balances)
    for order in orders:
        item = portfolio.market.instruments[order.instrument]
        size = order.size if order.side == "buy" else -order.size
        held = positions.get(order.instrument, Position(instrument=order.instrument, size=0.0))
        if item.kind == "option":
            balances[item.currency] = balances.get(item.currency, 0.0) - size * item.contract_size * order.price
            gained = 0.0
        else:
            bought = Position(instrument=order.instrument, size=size, entry_price=order.price)
            gained = profit(portfolio, held) + profit(portfolio, bought)
        positions[order.instrument] = Position(instrument=order.instrument, size=held.size + size, unrealised=gained)
    return msgspec.structs.replace(portfolio, positions=tuple(positions.values()), balances=balances, orders=())
