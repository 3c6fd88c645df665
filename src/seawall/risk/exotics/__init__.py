"""What a desk trades beyond plain options: closed forms over arrays, and the Monte Carlo that they are checked against.

diffusion.py    the lognormal spot with carry that closed forms are given; checks of every input
reflection.py   Brownian motion before one or two barriers, by images and sines
passage.py      discounted expectations of cash and asset, knocked in or out
digital.py      cash-or-nothing, asset-or-nothing, gap
barrier.py      knock-in and knock-out options, one barrier or two, with rebates; binaries; discrete monitoring
touch.py        one-touch and no-touch, one barrier or two
greeks.py       sensitivities of any of these
variance.py     variance and volatility swaps
curve.py        futures curve, carry, perpetuals
montecarlo.py   Sobol paths with a Brownian bridge
"""

from seawall.risk.exotics.diffusion import CALL, DOWN, IN, OUT, PUT, UP, Diffusion
from seawall.risk.exotics.greeks import Greeks, greeks

__all__ = ["CALL", "DOWN", "IN", "OUT", "PUT", "UP", "Diffusion", "Greeks", "greeks"]
