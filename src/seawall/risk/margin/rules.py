"""What all published models share: a name, parameters by date with the house's overrides, open orders, currencies."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, ClassVar, Generic, TypeVar

from seawall.risk.margin.parameter_sets import ParameterSet, fit, in_force
from seawall.risk.margin.portfolio import USD, Portfolio
from seawall.risk.margin.report import Block, Contribution, MarginReport
from seawall.risk.margin.valuation import with_orders, worth

T = TypeVar("T")


@dataclass(frozen=True)
class PublishedRules(ABC, Generic[T]):
    """A venue's rules. `parameters` replaces parameters of the data files by name, for every portfolio."""

    name: ClassVar[str]
    kind: ClassVar[Any]
    """The structure of the parameters, T."""
    by_owner: ClassVar[bool] = False
    """Whether the rule knows an owner's other accounts."""
    counts_options: ClassVar[bool] = True
    """Whether its equity holds what options are worth."""
    moves_collateral: ClassVar[bool] = False
    """Whether what options are worth moves in the scenarios as collateral; the engine then holds it back."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def evaluate(self, portfolio: Portfolio, as_of: date | None = None) -> MarginReport:
        """Requirement by the parameters in force on `as_of`, or on the portfolio's day; open orders by our own rule.

        Raises InputError, with field, value and rule, for what the rules need and do not find, or do not know.
        """
        report = with_orders(portfolio, lambda book: self.margin(book, self.known(book, as_of)))
        if portfolio.owner_accounts == 1 or self.by_owner:
            return report
        note = "owner_accounts is not applied: the published rule margins each account by itself"
        return replace(report, notes=(*report.notes, note))

    def known(self, portfolio: Portfolio, as_of: date | None = None) -> ParameterSet[T]:
        """The parameters in force for a portfolio. Raises InputError."""
        made: ParameterSet[T] = in_force(self.name, portfolio, as_of, self.kind, self.parameters)
        return made

    def fitted(self) -> T:
        """The newest data file with the house's parameters. Raises InputError where they do not fit."""
        made: T = fit(self.name, self.kind, self.parameters)
        return made

    def check(self) -> None:
        """Raise InputError where the house's parameters do not fit the newest data file."""
        self.fitted()

    @abstractmethod
    def margin(self, portfolio: Portfolio, known: ParameterSet[T]) -> MarginReport:
        """The requirement of positions and balances, orders aside."""


def one_currency(portfolio: Portfolio) -> tuple[str, dict[str, float]]:
    """(the currency to answer in, units of it for one of each currency): the only one there is, else dollars."""
    names = {portfolio.instrument(item).currency for item in portfolio.positions} | set(portfolio.balances)
    single = next(iter(names)) if len(names) == 1 else USD
    return single, {name: 1.0 if name == single else portfolio.price_of(name) for name in sorted(names)}


def by_underlying(
    rules: PublishedRules[T],
    portfolio: Portfolio,
    known: ParameterSet[T],
    margined: Callable[[Portfolio, T, str], tuple[Block, Sequence[Contribution]]],
) -> MarginReport:
    """The answer in dollars of rules that margin each underlying by itself."""
    blocks: list[Block] = []
    contributions: list[Contribution] = []
    for underlying in sorted({portfolio.instrument(item).underlying for item in portfolio.positions}):
        block, added = margined(portfolio, known.parameters, underlying)
        blocks.append(block)
        contributions += added
    required, equity = total(blocks, {USD: 1.0}), equity_of(portfolio, portfolio.price_of)
    return MarginReport(rules.name, known.effective, known.source, USD, equity, *required, blocks, contributions)


def equity_of(portfolio: Portfolio, price: Callable[[str], float]) -> float:
    """Balances, and what positions are worth, each currency at its price."""
    equity = sum(amount * price(currency) for currency, amount in portfolio.balances.items())
    return equity + sum(
        worth(portfolio, item) * price(portfolio.instrument(item).currency) for item in portfolio.positions
    )


def total(blocks: Sequence[Block], rates: Mapping[str, float]) -> tuple[float, float]:
    """(initial, maintenance) of all blocks, each converted at the rate of its currency."""
    initial = sum(block.initial * rates[block.currency] for block in blocks)
    return initial, sum(block.maintenance * rates[block.currency] for block in blocks)
