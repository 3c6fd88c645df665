"""Rows of `seawall bench risk`: full revaluation of many portfolios, and the engine's re-mark after new arrays."""

import importlib
import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from typing import Any, Final

import numpy as np

from seawall.cli.bench_rows import Row, at_least, not_run
from seawall.risk.black76 import Float64Array
from seawall.risk.revaluation import revalued, scenario_prices

ACCOUNTS, POSITIONS, INSTRUMENTS, SCENARIOS = 1_000, 50, 600, 35
REMARKED: Final = 10_000
"""Accounts whose margin the engine counts anew."""

SAMPLE: Final = 20_000
"""Options that QuantLib prices; its time for all of them follows."""

ROUNDS: Final = 7
SEED: Final = 9

_PRODUCT: Final = """
import sys, time
import numpy as np
rows, inner, columns = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
one, other = rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns))
took = []
for _ in range(50):
    began = time.perf_counter()
    one @ other
    took.append(time.perf_counter() - began)
print(min(took))
"""
"""In a process of its own: how many threads a product takes is settled when NumPy is loaded, and processor time read in
the midst of one leaves out what its other threads are at."""


def revaluation_rows() -> list[Row]:
    """Both figures."""
    return [_revaluation(), _remark()]


def _revaluation() -> Row:
    rng = np.random.default_rng(SEED)
    forward = np.full(INSTRUMENTS, 60_000.0)
    strike = 60_000 * np.exp(rng.normal(0, 0.3, INSTRUMENTS))
    volatility, years = rng.uniform(0.3, 1.2, INSTRUMENTS), rng.uniform(0.01, 1, INSTRUMENTS)
    kind = rng.choice((-1.0, 1.0), INSTRUMENTS)
    moves, shocks = rng.uniform(-0.5, 0.5, SCENARIOS), rng.uniform(-0.3, 0.5, SCENARIOS)
    index = rng.integers(0, INSTRUMENTS, (ACCOUNTS, POSITIONS))
    quantity = rng.normal(0, 10, (ACCOUNTS, POSITIONS))

    def ours() -> Float64Array:
        table = scenario_prices(forward, strike, volatility, years, kind, moves, shocks)
        return revalued(table, index, quantity)

    def brute() -> Float64Array:
        of = index.reshape(-1)
        table = scenario_prices(forward[of], strike[of], volatility[of], years[of], kind[of], moves, shocks)
        return revalued(table, np.arange(len(of)).reshape(index.shape), quantity)

    if not np.array_equal(ours(), brute()):
        raise AssertionError("the gathered sums are not those of pricing every position")
    mine, slow = _best(ours), _best(brute, 2)
    name = "full revaluation: a QuantLib loop's time / ours"
    try:
        quantlib: Any = importlib.import_module("QuantLib")
    except ImportError:
        return not_run(name, "x", "QuantLib is not installed")
    some = rng.integers(0, INSTRUMENTS, SAMPLE), rng.integers(0, SCENARIOS, SAMPLE)
    types = [quantlib.Option.Call if kind[at] > 0 else quantlib.Option.Put for at in some[0]]
    deviations = volatility[some[0]] * (1 + shocks[some[1]]) * np.sqrt(years[some[0]])
    forwards = forward[some[0]] * (1 + moves[some[1]])
    cells = list(zip(types, strike[some[0]].tolist(), forwards.tolist(), deviations.tolist(), strict=True))
    price = quantlib.blackFormula
    all_of_it = ACCOUNTS * POSITIONS * SCENARIOS
    loop = _best(lambda: [price(*cell) for cell in cells]) * all_of_it / SAMPLE
    size = f"{ACCOUNTS:,} accounts x {POSITIONS} positions x {SCENARIOS} scenarios of {INSTRUMENTS} instruments"
    against = (
        f"{size}: {1e3 * mine:.2f} ms, the same bits as pricing each position ({1e3 * slow:.0f} ms); blackFormula of"
        f" QuantLib {importlib.metadata.version('QuantLib')} in a loop, from {SAMPLE:,} calls: {1e3 * loop:,.0f} ms"
    )
    return at_least(name, loop / mine, "x", 200, against)


def _remark() -> Row:
    """The engine counts every account anew after a publication, against a matrix product of as many multiplications."""
    from seawall.engine.fast import Fast
    from seawall.engine.kernels import load
    from seawall.sim.workload import Workload

    load()
    work = Workload(REMARKED, INSTRUMENTS, 1_000, scenarios=SCENARIOS, seed=SEED)
    engine = Fast(room=10_000)
    engine.step(*work.opening)
    engine.step(work.filling)
    work.hold(engine, POSITIONS)
    ours, product = [], []
    for version in range(ROUNDS):
        commands, data = work.publish(2 + version)
        began = time.process_time()
        engine.step(commands, data)
        ours.append(time.process_time() - began)
        product.append(_product())
    mine, theirs = statistics.median(ours), statistics.median(product)
    against = (
        f"{REMARKED:,} accounts x {POSITIONS} positions x {SCENARIOS} scenarios: a whole publication of {INSTRUMENTS}"
        f" arrays, with equity and charges, {1e3 * mine:.0f} ms; float64 product on one thread {1e3 * theirs:.2f} ms;"
        f" the same sums of int64 from two dense arrays, and nothing else, {1e3 * _integers():.2f} ms"
    )
    return at_least("re-mark: a matrix product's time / the engine's", theirs / mine, "x", 0.5, against)


def _product() -> float:
    """Seconds of the float64 product on one thread, the best of some."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    command = [sys.executable, "-c", _PRODUCT, *map(str, (REMARKED, POSITIONS, SCENARIOS))]
    done = subprocess.run(command, env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def _integers() -> float:
    """Seconds of the least that whole numbers take: position x array summed, from dense arrays, by a plain kernel."""
    from numba import njit

    @njit("void(i8[:, ::1], i8[:, ::1], i8[:, ::1])")  # type: ignore[untyped-decorator]
    def sums(positions: Any, arrays: Any, into: Any) -> None:
        for account in range(positions.shape[0]):
            into[account] = 0
            for held in range(positions.shape[1]):
                for scenario in range(arrays.shape[1]):
                    into[account, scenario] += positions[account, held] * arrays[held, scenario]

    rng = np.random.default_rng(SEED)
    positions = rng.integers(-1000, 1000, (REMARKED, POSITIONS))
    arrays, into = rng.integers(-(10**6), 10**6, (POSITIONS, SCENARIOS)), np.zeros((REMARKED, SCENARIOS), np.int64)
    return _best(lambda: sums(positions, arrays, into), 20)


def _best(run: Any, rounds: int = ROUNDS) -> float:
    """Seconds of processor time, the best of some runs."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)
