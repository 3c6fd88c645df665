"""The contract every margin model keeps, and the models there are."""

from typing import Final, Protocol

from seawall.risk.margin.deribit import DeribitPortfolio
from seawall.risk.margin.deribit_standard import DeribitStandard
from seawall.risk.margin.derive import DerivePmrm, DerivePmrm2
from seawall.risk.margin.paradex import Paradex
from seawall.risk.margin.seawall import Seawall
from seawall.risk.margin.span import Span
from seawall.risk.market import MarketView
from seawall.risk.standard import StandardMargin
from seawall.vocabulary.publication import Publication


class MarginModel(Protocol):
    """Turns a view of the market into the integers the engine enforces. Same view, same publication."""

    @property
    def name(self) -> str:
        """The name under which the model is configured."""
        ...

    def publish(self, market: MarketView) -> Publication:
        """A checked publication of every currency, block and instrument of `market`.

        Raises InputError, with field, value and rule, for a bad view; then nothing is published.
        """
        ...


MODELS: Final[dict[str, type[MarginModel]]] = {
    model.name: model
    for model in (
        StandardMargin,
        Seawall,
        DeribitStandard,
        DeribitPortfolio,
        Paradex,
        DerivePmrm,
        DerivePmrm2,
        Span,
    )
}
"""Margin models by name; each is constructed without arguments for its default parameters.

All but the first (`seawall.risk.margin`) take overrides of their data files as `parameters`. The last six are venues'
published rules, which refuse a market with contracts the venue does not list. SPAN has no scan ranges of its own.
"""
