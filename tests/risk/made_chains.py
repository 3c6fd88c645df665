"""Chains of quotes made by seed from a surface without arbitrage, with ticks, spreads, and sides that are missing."""

import math

import numpy as np

from seawall.risk import black76
from seawall.risk.surfaces import QuoteRow, make_chain
from seawall.risk.surfaces.ssvi import PowerLaw, Ssvi

NOW = 1_764_896_993 * 10**9
DAY = 86_400 * 10**9
TICK = 1e-4


def made_rows(seed, *, expiries=6, strikes=15, noise=0.0, spread=0.02, forward=90_000.0):
    """Rows of puts and calls, coin-settled. `noise`: each strike's volatility is off by so many parts, at random."""
    chance = np.random.default_rng(seed)
    rho, eta = chance.uniform(-0.7, 0.7), chance.uniform(0.2, 1.1)
    truth = Ssvi(rho, PowerLaw(eta, chance.uniform(0.3, 0.5)))
    days = np.cumsum(np.rint(chance.uniform(1, 12, expiries) * 1.6 ** np.arange(expiries)))
    rises = np.diff(days, prepend=0.0) / 365 * chance.uniform(0.3, 0.9, expiries) ** 2
    rows = []
    for day, theta in zip(days, np.cumsum(rises), strict=True):
        expiry, smile = NOW + int(day) * DAY, truth.smile(float(theta))
        future = forward * math.exp(chance.uniform(0.0, 0.1) * day / 365)
        grid = np.unique(np.rint(future * np.exp(math.sqrt(theta) * np.linspace(-3.5, 3.5, strikes)) / 100)) * 100
        for strike in grid[grid > 0].tolist():
            off = 1 + noise * chance.normal()
            total = math.sqrt(float(smile.variance(math.log(strike / future)).value)) * max(off, 0.1)
            for call in (True, False):
                fair = float(black76.price(future, strike, total, 1.0, 1.0 if call else -1.0)) / future
                half = 0.5 * spread * max(fair, TICK) * chance.uniform(0.5, 2.0)
                bid, ask = math.floor((fair - half) / TICK) * TICK, math.ceil((fair + half) / TICK) * TICK
                quoted = chance.uniform(size=2) > (0.15, 0.1)
                name = f"BTC-{int(day)}-{strike:.0f}-{'C' if call else 'P'}"
                rows.append(
                    QuoteRow(
                        name, expiry, strike, call, future, bid if quoted[0] and bid > 0 else None,
                        ask if quoted[1] else None,
                    )
                )  # fmt: skip
    return rows


def made_chain(seed, **how):
    return make_chain(made_rows(seed, **how), NOW, sha256=f"made by seed {seed}")
