"""What the pricing kernels stand on: functions of the normal distribution to many digits, and where code is cached."""

import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from seawall.engine.kernels import cache_folder
from seawall.risk import black76
from seawall.risk.kernels import normal, pricing, volatility

numba_of = {
    name: numba.vectorize(["float64(float64)"], nopython=True)(getattr(normal, name))
    for name in ("exponential", "mills", "mills_of_any")
}
numba_of |= {
    name: numba.vectorize(["float64(float64,float64)"], nopython=True)(getattr(normal, name))
    for name in ("log_ratio", "mills_difference", "mills_difference_near")
}


@pytest.fixture(scope="module")
def mpmath():
    module = pytest.importorskip("mpmath", reason="mpmath, of the extra test, gives the digits to compare with")
    with module.workdps(60):
        yield module


def errors(mpmath, name, true, *arguments, scale=None):
    found = numba_of[name](*arguments)
    worst = 0.0
    for value, *given in zip(found.tolist(), *(array.tolist() for array in arguments), strict=True):
        exact = true(*(mpmath.mpf(number) for number in given))
        worst = max(worst, float(abs(value - exact) / (abs(exact) if scale is None else scale(*given))))
    return worst


def test_exponential(mpmath):
    y = -np.concatenate([np.random.default_rng(1).uniform(0, 708, 400), np.geomspace(1e-18, 1, 100), [0.0, 708.0]])
    assert errors(mpmath, "exponential", mpmath.exp, y) <= 2e-16
    assert numba_of["exponential"](-1e300) == pytest.approx(3.3e-308, rel=0.01)
    assert numba_of["exponential"](0.0) == 1.0


def test_log_ratio(mpmath):
    rng = np.random.default_rng(2)
    low = 10.0 ** rng.uniform(-50, 49, 600)
    high = np.minimum(low * (1 + 10.0 ** rng.uniform(-16, 1, 600)), 1e50)
    high[:50] = np.minimum(low[:50] * 2.0 ** rng.integers(0, 30, 50), 1e50)
    high[50:100] = np.nextafter(low[50:100], 1e60)
    kept = high > low
    assert errors(mpmath, "log_ratio", lambda h, k: mpmath.log(h / k), high[kept], low[kept]) <= 4e-16
    assert np.all(numba_of["log_ratio"](low, low) == 0)
    assert numba_of["log_ratio"](1e50, 1e-50) == pytest.approx(230.25850929940457, rel=4e-16)


def ratio(mpmath):
    return lambda z: mpmath.sqrt(mpmath.pi / 2) * mpmath.exp(z * z / 2) * mpmath.erfc(z / mpmath.sqrt(2))


def test_mills_ratio(mpmath):
    z = np.concatenate([np.random.default_rng(3).uniform(0, 40, 400), np.geomspace(1e-18, 3, 200), [0.0, 40.0]])
    assert errors(mpmath, "mills", ratio(mpmath), z) <= 1e-15
    assert errors(mpmath, "mills", ratio(mpmath), np.linspace(40, 46, 50)) <= 3e-15
    assert errors(mpmath, "mills_of_any", ratio(mpmath), -np.geomspace(1e-18, 3, 200)) <= 2e-15


def test_differences_of_mills_ratios(mpmath):
    """Relative to the difference out to 8 deviations, and in any case to what a volatility is solved from, twice t."""
    rng, of = np.random.default_rng(4), ratio(mpmath)
    z = np.concatenate([rng.uniform(0, 7, 500), rng.uniform(0, 37, 300), [0.0] * 100])
    t = np.concatenate([10.0 ** rng.uniform(-12, 0.5, 800), 10.0 ** rng.uniform(-12, 0, 100)])
    edge = np.array([[side, turn] for side in (5.999999, 6.0, 4.0, 0.0) for turn in (0.2, 0.19999999, 0.8, 1e-4)]).T
    z, t = np.append(z, edge[0]), np.append(t, edge[1])

    def true(at, width):
        return of(at - width) - of(at + width)

    near = z < 8.5
    assert errors(mpmath, "mills_difference", true, z[near], t[near]) <= 5e-14
    assert errors(mpmath, "mills_difference", true, z, t, scale=lambda at, width: max(width, 0.01) * 2) <= 8e-15
    small = t < 0.8
    assert errors(mpmath, "mills_difference", true, z[small], t[small], scale=lambda _, width: 2 * width) <= 1e-15
    scale = float(of(mpmath.mpf(0)))
    rough = errors(mpmath, "mills_difference_near", true, z[small], t[small], scale=lambda *_: scale)
    assert rough <= 1e-6


def test_fused_rounds_once():
    @numba.njit
    def square_and(a, b):
        return normal.fused(a, a, b)

    assert square_and(1 + 2.0**-30, -(1 + 2.0**-29)) == 2.0**-60  # the square by itself rounds this away


def test_code_is_cached_apart_by_the_hash_of_all_sources(tmp_path):
    engines = Path(numba.config.CACHE_DIR)
    paths = {
        Path(kernel.stats.cache_path).parent for kernel in (pricing.price_delta_vega, volatility.implied_volatility)
    }
    assert paths == {cache_folder("risk", (Path(pricing.__file__).parent,))}
    assert engines.name.startswith("kernels-") and engines not in paths
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("a = 1")
    before = cache_folder("risk", (tmp_path,))
    second.write_text("b = 1")
    between = cache_folder("risk", (tmp_path,))
    second.write_text("b = 2")
    assert len({before, between, cache_folder("risk", (tmp_path,))}) == 3


def test_importing_the_room_loads_no_compiler():
    code = "import sys, seawall.risk, seawall.risk.implied, seawall.risk.inverse; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["price_delta_vega", "greeks", "stress"])
def test_kernels_see_what_is_out_of_bounds(name):
    kernel = getattr(pricing, name)
    arrays = [np.full(600, value) for value in (100.0, 100.0, 0.5, 0.25, 1.0)]
    arrays += [np.zeros(600)] if name == "greeks" else []
    out = np.empty((len(black76.Greeks._fields) if name == "greeks" else 3, 600))
    assert kernel(*arrays, out) == 600
    for position, array in enumerate(arrays):
        good, array[position * 97 + 3] = array[position * 97 + 3], np.nan
        assert kernel(*arrays, out) < 600
        array[position * 97 + 3] = good
    assert kernel(*arrays, out) == 600
