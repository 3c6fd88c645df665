"""What the engine would ask of a portfolio's positions, beside the number that the rule publishes for them.

A portfolio has no ticks and no lots, so here a tick is the mark (of a strike, the strike) and a lot a thousandth of the
position: nothing is rounded but values, to an atom a lot. A venue's own ticks and lots round otherwise, by as much.
Positions alone are compared, each block's by itself: what balances do, and orders, the engine counts elsewhere.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from seawall.risk.margin.enforced import DOLLARS, Enforcement, compare
from seawall.risk.margin.models import PortfolioModel
from seawall.risk.margin.portfolio import USD, Instrument, Portfolio, Position
from seawall.risk.margin.valuation import fair_mark
from seawall.risk.market import BlockMarket, CurrencyMarket, InstrumentMarket, MarketView
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Product
from seawall.vocabulary.instruments import Instrument as Specification
from seawall.vocabulary.publication import INITIAL, MAINTENANCE, Publication

LOTS: Final = 1000
"""That a position is cut into."""

VALUE_ATOMS: Final = 1e6
"""In a dollar."""

_PRODUCTS: Final = {"perpetual": Product.PERPETUAL, "future": Product.FUTURE, "option": Product.OPTION}


class Publishing(PortfolioModel, Protocol):
    """A model that both answers for portfolios and publishes."""

    def publish(self, market: MarketView) -> Publication:
        """The engine's integers. Raises InputError."""
        ...


@dataclass(frozen=True, slots=True)
class Enforced:
    """Dollars by row: what the rule publishes for the positions alone, and what the engine asks of them."""

    published: tuple[float, float]
    asked: tuple[float, float]

    @property
    def document(self) -> dict[str, Mapping[str, float | None]]:
        """As JSON may hold it. `ratio` is asked over published, None where nothing is published."""
        ratios = [
            asked / published if published > 0 else None
            for asked, published in zip(self.asked, self.published, strict=True)
        ]
        rows = {"published": self.published, "requirement": self.asked, "ratio": ratios}
        return {name: {"initial": pair[INITIAL], "maintenance": pair[MAINTENANCE]} for name, pair in rows.items()}


def enforce(model: Publishing, portfolio: Portfolio) -> Enforced:
    """The rule's number and the engine's for the positions of a portfolio.

    Raises InputError for what the model does not publish, or where a position is beyond the engine's bounds.
    """
    market, lots = view_of(portfolio)
    publication = model.publish(market)
    found = [
        compare(
            model, market, publication, block,
            {number: size for number, size in lots.items() if market.instruments[number].spec.block == block},
            portfolio.owner_accounts,
        )
        for block in market.blocks
    ]  # fmt: skip
    published, asked = (
        (_dollars(found, part, INITIAL), _dollars(found, part, MAINTENANCE)) for part in ("published", "asked")
    )
    return Enforced(published, asked)


def _dollars(found: list[Enforcement], part: str, row: int) -> float:
    return float(sum(getattr(item, part)[row] for item in found)) / VALUE_ATOMS


def view_of(portfolio: Portfolio) -> tuple[MarketView, dict[int, int]]:
    """The market of a portfolio's positions as a model publishes it, and lots by number of the instrument.

    Raises InputError for a mark, forward or volatility that is missing, or a value beyond the engine's bounds.
    """
    currencies: dict[str, int] = {}
    blocks: dict[tuple[str, str], int] = {}
    instruments: dict[int, InstrumentMarket] = {}
    lots: dict[int, int] = {}
    for position in portfolio.positions:
        item = portfolio.instrument(position)
        if not position.size:
            continue
        if item.array is not None:
            where = f"market.instruments.{position.instrument}.array"
            raise InputError(where, len(item.array), "must not be given: the engine's array is computed")
        currency = currencies.setdefault(item.currency, len(currencies))
        block = blocks.setdefault((item.underlying, item.currency), len(blocks))
        number = len(instruments)
        instruments[number] = _listed(portfolio, position, item, currency, block)
        lots[number] = LOTS if position.size > 0 else -LOTS
    markets = {
        number: BlockMarket(name, portfolio.market.underlyings[name].index, portfolio.market.underlyings[name].depth)
        for (name, _), number in blocks.items()
    }
    money = {
        number: CurrencyMarket(portfolio.price_of(name), _decimals(name, portfolio), 0.0, 0.0, _known_as(name))
        for name, number in currencies.items()
    }
    return MarketView(portfolio.time * 1_000_000, money, markets, instruments), lots


def _known_as(name: str) -> str:
    return DOLLARS if name == USD else name


def _decimals(name: str, portfolio: Portfolio) -> int:
    """Atoms of a coin are worth less than a value atom while it costs less than a hundred dollars."""
    return 8 if portfolio.price_of(name) >= 100 else 6


def _listed(portfolio: Portfolio, position: Position, item: Instrument, currency: int, block: int) -> InstrumentMarket:
    name, size = position.instrument, abs(position.size) / LOTS
    index, unit = portfolio.market.underlyings[item.underlying].index, 10.0 ** _decimals(item.currency, portfolio)
    mark = fair_mark(portfolio, name)
    inverse, option = item.form == "inverse", item.kind == "option"
    atoms = size * item.contract_size * unit * (1 / mark if inverse and not option else mark)
    interest = None if item.open_interest is None else math.floor(item.open_interest / size)
    form = Form.INVERSE if inverse else Form.LINEAR
    names = (name[:32], _PRODUCTS[item.kind], Form.LINEAR if option else form, currency, block)
    expiry = 0 if item.expiry is None else item.expiry * 1_000_000
    numbers = (_whole(name, atoms, least=option), 1, 1, LOTS, expiry)
    if not option:
        return InstrumentMarket(Specification(*names, *numbers), 1.0, index / mark, open_interest=interest)
    assert item.strike is not None
    underlying = size * item.contract_size * unit * (1.0 if inverse else item.strike)
    end = portfolio.expiry_of(name)
    spec = Specification(*names, *numbers, 1, int(item.sign), form, _whole(name, underlying, least=False))
    return InstrumentMarket(
        spec, 1.0, end.forward / item.strike, portfolio.needed(name, "volatility"), interest,
        index / item.strike, end.rate,
    )  # fmt: skip


def _whole(name: str, atoms: float, *, least: bool) -> int:
    """Whole atoms of a lot. A premium may be less than one; what else is cannot be told apart from nothing."""
    found = math.floor(atoms + 0.5)
    if found < 1 and not least:
        raise InputError(f"positions of {name}", atoms, "must be worth at least half an atom in a thousand parts")
    return max(1, found)
