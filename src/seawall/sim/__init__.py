"""Simulated worlds, shipped so that users test with what we test with: a clock, a market with its agents, a bad disk.

Everything follows from one seed. A market speaks commands and hears events, as any client does.
"""

from seawall.sim.agents import Agent
from seawall.sim.catalogue import COINS, CURRENCIES, START_NS, Contract, contracts
from seawall.sim.clock import SimulatedClock
from seawall.sim.disk import Fault, PowerCut, SimulatedDisk
from seawall.sim.live import LiveMarket
from seawall.sim.market import Batch, Market, Prices, Publish

__all__ = [
    "COINS",
    "CURRENCIES",
    "START_NS",
    "Agent",
    "Batch",
    "Contract",
    "Fault",
    "LiveMarket",
    "Market",
    "PowerCut",
    "Prices",
    "Publish",
    "SimulatedClock",
    "SimulatedDisk",
    "contracts",
]
