"""Rows of `seawall bench risk`: full revaluation of many portfolios, and the engine's re-mark after new arrays."""

import importlib
import importlib.metadata
import statistics
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
    rng = np.random.default_rng(SEED)
    positions, arrays = rng.normal(size=(REMARKED, POSITIONS)), rng.normal(size=(POSITIONS, SCENARIOS))
    ours, product = [], []
    for version in range(ROUNDS):
        commands, data = work.publish(2 + version)
        began = time.process_time()
        engine.step(commands, data)
        ours.append(time.process_time() - began)
        product.append(_best(lambda: positions @ arrays, 3))  # processor time: of all threads together
    mine, theirs = statistics.median(ours), statistics.median(product)
    against = (
        f"{REMARKED:,} accounts x {POSITIONS} positions x {SCENARIOS} scenarios: a whole publication of {INSTRUMENTS}"
        f" arrays, with equity and charges, {1e3 * mine:.0f} ms; float64 product {1e3 * theirs:.1f} ms"
    )
    return at_least("re-mark: a matrix product's time / the engine's", theirs / mine, "x", 0.5, against)


def _best(run: Any, rounds: int = ROUNDS) -> float:
    """Seconds of processor time, the best of some runs."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)
