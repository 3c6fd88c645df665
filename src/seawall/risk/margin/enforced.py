"""From the published rules to the engine: one lot of each instrument as the models read it, and what the engine asks.

A model's publication rounds against the account (u a floor, its ceiling one more; charges up), so for every portfolio
what the engine asks is nowhere below the published requirement of the same positions, apart from what each model
states: the last bits of the doubles that the published number itself is summed in, and the venue's own rounding.

A rule has one forward for each expiry and the view one for each option. Where they differ, the least is taken, strikes
keep their ratio to it and linear options their value, so they are as many coins or more: what is asked of the index is
not less by it. Times are cut to milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np

from seawall.engine import formulas
from seawall.risk import black76
from seawall.risk.envelope import charge_value
from seawall.risk.margin.models import PortfolioModel
from seawall.risk.margin.portfolio import USD, Portfolio, convert
from seawall.risk.margin.valuation import coins, years_to
from seawall.risk.market import BlockMarket, InstrumentMarket, MarketView, currency_rates, round_away
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Product
from seawall.vocabulary.publication import (
    GROSS_DELTA,
    INITIAL,
    MAINTENANCE,
    NET_DELTA,
    NO_CHARGE,
    ROWS,
    BlockRisk,
    Charge,
    InstrumentRisk,
    Publication,
)

DOLLARS = "USDC"
"""What the models know the currency of a linear block as."""

NANOSECONDS = 1_000_000
"""In a millisecond."""

Pair = tuple[int, int]
"""(initial, maintenance)"""


@dataclass(frozen=True, slots=True)
class BlockLots:
    """A block as the models read it: a portfolio of lots, and value atoms for one unit of its currency."""

    portfolio: Portfolio
    numbers: Sequence[int]
    """Instrument of each position."""
    items: Sequence[InstrumentMarket]
    deltas: Sequence[float]
    vegas: Sequence[float]
    """In coins; a vega is for volatility higher by its whole self."""
    atoms: Fraction
    currency: str
    underlying: str


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Positions of one block under a model: what its rule publishes and what the engine asks, in value atoms by row.

    Where the rule's scenarios move collateral, with what the engine's equity holds back of their options' value.
    """

    published: tuple[float, float]
    asked: Pair

    @property
    def ratio(self) -> float | None:
        """Asked over published in the initial row; None where nothing is published."""
        return self.asked[INITIAL] / self.published[INITIAL] if self.published[INITIAL] > 0 else None


def compare(
    model: PortfolioModel,
    market: MarketView,
    publication: Publication,
    block: int,
    lots: Mapping[int, int],
    split: int = 1,
) -> Enforcement:
    """The exact published number and the engine's beside it, of one of its owner's `split` accounts.

    Raises InputError for a view out of bounds.
    """
    here = block_lots(market, block, lots)
    report = model.evaluate(msgspec.structs.replace(here.portfolio, owner_accounts=split))
    unit = float(here.atoms) / (here.portfolio.price_of(here.currency) if report.currency == USD else 1.0)
    published = report.initial * unit, report.maintenance * unit
    if not getattr(model, "counts_options", True):
        # Asked of an equity without options. The engine's has them: a long asks its value, a short its value less.
        value = float(here.atoms) * _option_value(here.portfolio)
        published = published[INITIAL] + value, published[MAINTENANCE] + value
    found = asked(publication, block, lots, split)
    if getattr(model, "moves_collateral", False):
        # Coins that options are worth, or owed for them, fall and rise in the rule's scenarios; the engine's equity
        # holds back what they may, and that is asked, too.
        kept = round(report.equity * unit) - _counted(publication, here, lots)
        found = found[INITIAL] + kept, found[MAINTENANCE] + kept
    return Enforcement(published, found)


def _counted(publication: Publication, here: BlockLots, lots: Mapping[int, int]) -> int:
    """Value atoms that the engine's equity counts for the options held."""
    held = {item.spec.currency: 0 for item in here.items}
    for number, item in zip(here.numbers, here.items, strict=True):
        if item.spec.product == Product.OPTION:
            held[item.spec.currency] += lots[number] * item.mark_ticks * item.spec.multiplier
    rates = {rate.currency: rate for rate in publication.currencies}
    return sum(
        formulas.currency_equity(atoms, rates[number].rate_gain, rates[number].rate_loss)
        for number, atoms in held.items()
    )


def _option_value(portfolio: Portfolio) -> float:
    """What the options held are worth at their marks, in their currency."""
    held = [(item, portfolio.instrument(item)) for item in portfolio.positions]
    return sum(
        item.size * spec.contract_size * portfolio.mark_of(item.instrument)
        for item, spec in held
        if spec.kind == "option"
    )


def block_lots(market: MarketView, block: int, lots: Mapping[int, int] | None = None) -> BlockLots:
    """The instruments of a block, `lots` of each (one, where None). Raises InputError for a view out of bounds.

    Value atoms are at `rate_loss`, the dearer side: what margin guards against is owed.
    """
    numbers = [number for number, item in sorted(market.instruments.items()) if item.spec.block == block]
    held = dict.fromkeys(numbers, 1) if lots is None else lots
    here = market.blocks[block]
    inverse = any(_inverse(market.instruments[number]) for number in numbers)
    currency = here.underlying if inverse else DOLLARS
    instruments: dict[str, Any] = {}
    expiries = _expiries(market, numbers, here)
    settles = {market.instruments[number].spec.currency for number in numbers}
    money = market.currencies[next(iter(settles))] if settles else None
    for number in numbers:
        item = market.instruments[number]
        assert money is not None
        made: dict[str, Any] = {
            "underlying": here.underlying,
            "currency": currency,
            "form": "inverse" if _inverse(item) else "linear",
        }
        made["open_interest"] = _float(item.open_interest)
        if item.spec.expiry:
            made["expiry"] = item.spec.expiry // NANOSECONDS
        if item.spec.product == Product.OPTION:
            made |= _option(item, expiries[made["expiry"]]["forward"], 10**money.decimals)
        else:
            made |= _future(item, here.index_usd, 10**money.decimals)
        instruments[str(number)] = made
    document = {
        "format": 1,
        "time": market.time_ns // NANOSECONDS,
        "market": {
            "underlyings": {here.underlying: {"index": here.index_usd, "depth": here.depth_usd}},
            "currencies": {currency: {"price": 1.0 if money is None else money.price_usd}},
            "expiries": [expiries[end] for end in sorted(expiries)],
            "instruments": instruments,
        },
        "positions": [{"instrument": str(number), "size": float(held[number])} for number in numbers if number in held],
    }
    atoms = Fraction(0)
    if money is not None:
        atoms = Fraction(currency_rates(0, money).rate_loss * 10**money.decimals, 1 << bounds.RATE_SHIFT)
    portfolio, kept = convert(document), [number for number in numbers if number in held]
    items = [market.instruments[number] for number in kept]
    return BlockLots(portfolio, kept, items, *_greeks(portfolio), atoms, currency, here.underlying)


def _greeks(portfolio: Portfolio) -> tuple[list[float], list[float]]:
    """(deltas, vegas) of the positions in coins, vegas at relative moves of volatility."""
    specs = [portfolio.instrument(item) for item in portfolio.positions]
    options = [at for at, spec in enumerate(specs) if spec.kind == "option"]
    deltas, vegas = [coins(portfolio, item) for item in portfolio.positions], [0.0] * len(specs)
    if options:
        index = portfolio.market.underlyings[specs[0].underlying].index
        forwards = np.array([portfolio.expiry_of(portfolio.positions[at].instrument).forward for at in options])
        strikes, volatilities = (
            np.array([getattr(specs[at], name) for at in options], float) for name in ("strike", "volatility")
        )
        years = np.array([years_to(portfolio, specs[at].expiry or 0) for at in options])
        signs = np.array([specs[at].sign for at in options])
        slopes = black76.delta(forwards, strikes, volatilities, years, signs)
        tilts = black76.vega(forwards, strikes, volatilities, years) * volatilities / index
        for at, slope, tilt in zip(options, slopes.tolist(), tilts.tolist(), strict=True):
            size = portfolio.positions[at].size * specs[at].contract_size
            deltas[at], vegas[at] = slope * size, tilt * size
    return deltas, vegas


def array(changes: Iterable[float], atoms: Fraction) -> tuple[tuple[int, ...], int]:
    """(u, inexact) of a lot that changes by so much of a unit worth `atoms`: floors, exact in the doubles given."""
    u, inexact = [0], 0
    for change in changes:
        top, bottom = change.as_integer_ratio()
        quotient, remainder = divmod(top * atoms.numerator, bottom * atoms.denominator)
        u.append(quotient)
        inexact |= remainder != 0
    return tuple(u), int(inexact)


def risk(
    here: BlockLots, at: int, changes: Iterable[float], *, delta: float | None = None, dollars: bool = False
) -> InstrumentRisk:
    """The integers of position `at`: changes by scenario in the block's currency (or `dollars`), `delta` in coins."""
    item, position = here.items[at], here.portfolio.positions[at]
    price = Fraction(here.portfolio.price_of(here.currency))
    u, inexact = array(changes, here.atoms / price if dollars else here.atoms)
    coin = Fraction(here.portfolio.market.underlyings[here.underlying].index) * here.atoms / price
    spec = here.portfolio.instrument(position)
    size = spec.contract_size if spec.kind == "option" else abs(coins(here.portfolio, position))
    return InstrumentRisk(
        here.numbers[at],
        item.mark_ticks,
        u,
        inexact,
        weight=round_away(Fraction(size) * coin),
        delta=round_away(Fraction(here.deltas[at] if delta is None else delta) * coin),
        vega=round_away(Fraction(here.vegas[at]) * coin),
    )


class ChargePool:
    """The charges of a publication, each once; gives their indices."""

    def __init__(self) -> None:
        self._pool: dict[Charge, int] = {}

    def index(self, *lines: tuple[int, int]) -> int:
        """Index of the charge of these lines; a charge that never asks is none."""
        kept = tuple(line for line in lines if line[0])
        return self._pool.setdefault(Charge(kept), len(self._pool)) if kept else NO_CHARGE

    @property
    def all(self) -> tuple[Charge, ...]:
        """Every charge, by index."""
        return tuple(self._pool)


def asked(publication: Publication, block: int, lots: Mapping[int, int], split: int = 1) -> Pair:
    """(initial, maintenance) value atoms the engine asks of positions of one block without orders: publication's rules.

    The account is one of its owner's `split`. Raises no error: positions beyond the engine's bounds are the caller's.
    """
    shape = next(item for item in publication.blocks if item.block == block)
    held = [item for item in publication.instruments if lots.get(item.instrument)]
    values = [_values(item, lots[item.instrument]) for item in held]
    value = np.array(values, np.int64).sum(axis=0) if values else np.zeros(shape.scenarios, np.int64)
    counts = (shape.scenarios, shape.maintenance_scenarios)
    found = [int(-value[:count].min()) for count in counts]
    for row in range(ROWS):
        for item in held:
            found[row] += _charge(publication, item.charges[row], lots[item.instrument] * item.weight, split)
        for exposure, pair in enumerate(shape.charges):
            found[row] += _charge(publication, pair[row], _exposure(exposure, held, lots), split)
    return found[INITIAL], found[MAINTENANCE]


def _values(item: InstrumentRisk, lots: int) -> list[int]:
    short = item.inexact if lots < 0 else 0
    values = [0, *(lots * (u + short) for u in item.u[1:])]
    return values if item.gain_cap == bounds.NO_CAP else [min(0, value) for value in values]


def _exposure(exposure: int, held: Sequence[InstrumentRisk], lots: Mapping[int, int]) -> int:
    deltas = exposure in (NET_DELTA, GROSS_DELTA)
    each = [lots[item.instrument] * (item.delta if deltas else item.vega) for item in held]
    return sum(map(abs, each)) if exposure % 2 == GROSS_DELTA else sum(each)


def _charge(publication: Publication, index: int, exposure: int, split: int) -> int:
    return 0 if index == NO_CHARGE else charge_value(publication.charges[index], exposure, split)


def _inverse(item: InstrumentMarket) -> bool:
    spec = item.spec
    return Form.INVERSE in (spec.form, spec.delivery_form if spec.product == Product.OPTION else spec.form)


def _expiries(market: MarketView, numbers: Iterable[int], here: BlockMarket) -> dict[int, dict[str, Any]]:
    """The expiries of a block's options in dollars, by their time. Raises InputError where an option has no index."""
    found: dict[int, dict[str, Any]] = {}
    for number in numbers:
        item = market.instruments[number]
        if item.spec.product != Product.OPTION:
            continue
        if item.index is None:
            raise InputError(f"instruments[{number}].index", None, "must be given: the model charges parts of it")
        end, forward = item.spec.expiry // NANOSECONDS, item.forward * (here.index_usd / item.index)
        made = {"underlying": here.underlying, "time": end, "forward": forward, "rate": item.rate}
        known = found.setdefault(end, made)
        known["forward"] = min(forward, known["forward"])
        if known["rate"] != item.rate:
            raise InputError(f"instruments[{number}].rate", item.rate, f"must be its expiry's, {known['rate']}")
    return found


def _future(item: InstrumentMarket, index: float, unit: int) -> dict[str, Any]:
    """The specification and market of a future or perpetual in the portfolio's terms."""
    spec, mark = item.spec, index * item.mark_ticks / item.forward
    lot = spec.multiplier / item.mark_ticks * mark if _inverse(item) else spec.multiplier * item.mark_ticks / mark
    return {"kind": "future" if spec.expiry else "perpetual", "mark": mark, "contract_size": lot / unit}


def _option(item: InstrumentMarket, forward: float, unit: int) -> dict[str, Any]:
    """The specification and market of an option in the portfolio's terms, at its expiry's forward."""
    spec = item.spec
    size = spec.delivery_multiplier / unit * (1.0 if _inverse(item) else item.forward / forward)
    return {
        "kind": "option",
        "contract_size": size,
        "strike": spec.strike / item.forward * forward,
        "option": "call" if spec.option_type > 0 else "put",
        "volatility": item.volatility,
        "mark": item.mark_ticks * spec.multiplier / unit / size,
    }


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def publication_of(
    market: MarketView, blocks: Sequence[BlockRisk], instruments: Sequence[InstrumentRisk], pool: ChargePool
) -> Publication:
    """The checked publication. Raises InputError where a lot moves beyond the vocabulary's bounds."""
    ordered = tuple(sorted(instruments, key=lambda item: item.instrument))
    made = Publication(tuple(market.rates().values()), tuple(blocks), ordered, pool.all)
    made.check()
    return made
