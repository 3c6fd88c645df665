"""Simulated worlds, shipped so that users test with what we test with: a clock and a market with its agents.

Everything follows from one seed. A market speaks commands and hears events, as any client does.
"""

from seawall.sim.agents import Agent
from seawall.sim.catalogue import COINS, CURRENCIES, START_NS, Contract, contracts
from seawall.sim.clock import SimulatedClock
from seawall.sim.market import Batch, Market, Prices, Publish

__all__ = [
    "COINS",
    "CURRENCIES",
    "START_NS",
    "Agent",
    "Batch",
    "Contract",
    "Market",
    "Prices",
    "Publish",
    "SimulatedClock",
    "contracts",
]
