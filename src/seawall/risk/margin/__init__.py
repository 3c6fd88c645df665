"""Margin of a portfolio by our own model, seawall, and by the rules that venues publish, to the digit.

portfolio.py        the portfolio format
report.py           what every model answers
parameter_sets.py   data files of parameters by effective date (parameters/), and overrides
rules.py            what a model is: parameters in force, open orders, totals
valuation.py        numbers the models share: option values in scenarios, equity, filled orders
seawall.py          our model; its parameters, scenarios and charges in seawall_parameters.py, its integers in
                    seawall_publishing.py
deribit_standard.py, deribit.py, paradex.py, derive.py (parameters in derive_parameters.py), span.py   venues' models
enforced.py, publishing.py   their integers for the engine, and what it then asks
enforced_portfolio.py        the same of a portfolio, beside the published number
models.py           the contract, and the models by name
"""

from seawall.risk.margin.models import PortfolioModel, model, names
from seawall.risk.margin.portfolio import Portfolio, convert, read
from seawall.risk.margin.report import MarginReport

__all__ = ["MarginReport", "Portfolio", "PortfolioModel", "convert", "model", "names", "read"]
