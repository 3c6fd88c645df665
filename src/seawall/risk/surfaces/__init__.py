"""Volatility surfaces: from a chain of quotes to smiles without arbitrage, what lies between them, and their shocks.

smile.py        total variance over log-moneyness; Gatheral's g, the density
svi.py          raw, natural and jump-wings SVI; sums of hyperbolas
ssvi.py         SSVI and the conditions of its theorems
sabr.py         Hagan's lognormal SABR
chain.py        quotes to bands of total variance; what is left out, what is refused
reading.py      chains from files
fitting.py      the methods
arbitrage.py    how far smiles are from arbitrage
surface.py      between and beyond the expiries
shocks.py       shocks that create no arbitrage
calibration.py  a fit as a recorded result; figures, quotes held out, two results compared
"""

from seawall.risk.surfaces.arbitrage import Arbitrage, check
from seawall.risk.surfaces.calibration import Calibration, calibrate, compare, encode, read_calibration
from seawall.risk.surfaces.chain import Chain, QuoteRow, make_chain
from seawall.risk.surfaces.fitting import METHODS
from seawall.risk.surfaces.reading import read_chain
from seawall.risk.surfaces.shocks import SHOCKS, largest_shock, shock
from seawall.risk.surfaces.surface import Surface

__all__ = [
    "METHODS",
    "SHOCKS",
    "Arbitrage",
    "Calibration",
    "Chain",
    "QuoteRow",
    "Surface",
    "calibrate",
    "check",
    "compare",
    "encode",
    "largest_shock",
    "make_chain",
    "read_calibration",
    "read_chain",
    "shock",
]
