"""The contract of a model that margins a portfolio, and the models by name: ours, and those plugged in.

A distribution plugs one in by an entry point of the group `seawall.margin_models`, named as the model, that leads to a
class to be constructed without arguments.
"""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Final, Protocol

from seawall.risk.margin.deribit import DeribitPortfolio
from seawall.risk.margin.deribit_standard import DeribitStandard
from seawall.risk.margin.derive import DerivePmrm, DerivePmrm2
from seawall.risk.margin.paradex import Paradex
from seawall.risk.margin.portfolio import Portfolio
from seawall.risk.margin.report import MarginReport
from seawall.risk.margin.seawall import Seawall
from seawall.risk.margin.span import Span
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "seawall.margin_models"


class PortfolioModel(Protocol):
    """Margins a portfolio by published rules, exactly: floats in, floats out. Same portfolio, same answer."""

    @property
    def name(self) -> str:
        """The name under which the model is asked for."""
        ...

    def evaluate(self, portfolio: Portfolio, as_of: date | None = None) -> MarginReport:
        """Requirement by the parameters in force on `as_of`, or on the portfolio's day.

        Raises InputError, with field, value and rule, for what the model needs and does not find, or does not know.
        """
        ...


OURS: Final[dict[str, type[PortfolioModel]]] = {
    model.name: model for model in (Seawall, DeribitStandard, DeribitPortfolio, Paradex, DerivePmrm, DerivePmrm2, Span)
}


def names() -> list[str]:
    """Every model there is, ours first."""
    return [*OURS, *sorted({point.name for point in _plugged_in()} - set(OURS))]


def model(name: str) -> PortfolioModel:
    """The model of a name; ours cannot be replaced. Raises InputError for an unknown one."""
    if name in OURS:
        return OURS[name]()
    for point in _plugged_in():
        if point.name == name:
            made: PortfolioModel = point.load()()
            return made
    raise InputError("model", name, f"must be one of {names()}")


def _plugged_in() -> Iterable["EntryPoint"]:
    from importlib.metadata import entry_points  # takes longer to import than all models together

    return entry_points(group=GROUP)
