"""Margin models: floats in, integers out. They price and shock; the engine enforces what they publish.

cadence.py      when prices are published, doubted, late
market.py       the view of the market that a model is given
black76.py      option prices and greeks over arrays, by two paths; the mark price of an option
black_scholes.py  the same on a spot price
inverse.py      coin-settled futures and options, in dollars and in coin
implied.py      implied volatility
revaluation.py  many portfolios in every scenario
kernels/        what of it is compiled
exotics/        digitals, barriers, touches, variance swaps, curves; a simulation to check them by
surfaces/       volatility surfaces without arbitrage, from chains of quotes; their shocks
envelope.py     published schedules as convex integer charges, never below them
standard.py     model "standard": a charge on each position by itself
liquidation.py  liquidation and deleveraging rules that venues publish
policy.py       statistics of a margin policy: coverage, margin period, floor, procyclicality
study/          calibration from histories, backtests by class of account, margin models compared under stress
credit/         exposure to a counterparty, initial margin, the default fund
margin/         our margin model, seawall; those that venues publish, to the digit; what the engine enforces of each
models.py       the contract of a model, and the models by name
"""

from seawall.risk.black76 import mark_price
from seawall.risk.margin.seawall import Seawall
from seawall.risk.market import BlockMarket, CurrencyMarket, InstrumentMarket, MarketView, currency_rates
from seawall.risk.models import MODELS, MarginModel
from seawall.risk.standard import StandardMargin, StandardParameters

__all__ = [
    "MODELS",
    "BlockMarket",
    "CurrencyMarket",
    "InstrumentMarket",
    "MarginModel",
    "MarketView",
    "Seawall",
    "StandardMargin",
    "StandardParameters",
    "currency_rates",
    "mark_price",
]
