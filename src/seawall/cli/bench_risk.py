"""`seawall bench risk`: pricing and implied volatility against C, QuantLib and py_lets_be_rational, and their errors.

Times are processor time, the best of alternating rounds over the same arrays, outputs given, on one core. What is
not installed is not run, and its row says so. Errors are against 50 digits by mpmath over seeded samples.
"""

import ctypes
import importlib
import importlib.metadata
import importlib.util
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from seawall.cli.bench_rows import Row, at_least, at_most, not_run
from seawall.risk import black76, implied
from seawall.risk.black76 import Float64Array

OPTIONS: Final = 1_000_000
PRICES: Final = 200_000
SCALAR: Final = 3_000
ROUNDS: Final = 9
SAMPLE: Final = 150
DIGITS: Final = 50
SEED: Final = 6
C_FLAGS: Final = ("-O3", "-march=native", "-shared", "-fPIC")


def rows() -> list[Row]:
    """Every row of the part; further figures of the room are further lists here."""
    from seawall.cli.bench_revaluation import revaluation_rows
    from seawall.cli.bench_surface import surface_rows

    return [*_speed_rows(), *_implied_rows(), *_accuracy_rows(), *surface_rows(), *revaluation_rows()]


def _speed_rows() -> list[Row]:
    market = _market(OPTIONS)
    forward, strike, volatility, years, kind = market
    out, quick, by_c = (np.empty((3, OPTIONS)) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        compiled, compiler = _compiled(Path(folder))
        runs: dict[str, Callable[[], object]] = {
            "accurate": lambda: black76.price_delta_vega(forward, strike, volatility, years, kind, out),
            "stress": lambda: black76.stress(forward, strike, volatility, years, kind, quick),
        }
        if compiled is not None:
            runs["C"] = lambda: compiled(*(array.ctypes for array in (*market, by_c)), OPTIONS)
        quantlib, version = _quantlib(market)
        if quantlib is not None:
            runs["QuantLib"] = quantlib
        best = _best(runs)
    accurate, stress = best["accurate"], best["stress"]
    ours = f"{OPTIONS:,} options, one core: accurate {1e3 * accurate:.1f} ms"
    named = "price + delta + vega"
    if compiled is None:
        against_c = not_run(f"{named}: C's time / ours", "x", compiler)
    else:
        if not np.allclose(out, by_c, rtol=1e-9, atol=1e-9):
            raise AssertionError("the same formula in C gave other numbers")
        against = f"{ours}; the same formula in C with libm, {compiler} {' '.join(C_FLAGS)}: {1e3 * best['C']:.1f} ms"
        against_c = at_least(f"{named}: C's time / ours", best["C"] / accurate, "x", 0.95, against)
    if quantlib is None:
        against_quantlib = not_run(f"{named}: QuantLib's time / ours", "x", version)
    else:
        each = best["QuantLib"] / SCALAR
        against = f"{ours}; BlackCalculator of QuantLib {version} from Python: {1e6 * each:.2f} us an option"
        ratio = each * OPTIONS / accurate
        against_quantlib = at_least(f"{named}: QuantLib's time / ours", ratio, "x", 100, against)
    against = f"{ours}, stress {1e3 * stress:.1f} ms"
    return [
        against_c,
        against_quantlib,
        at_least(f"{named}: accurate path's time / stress path's", accurate / stress, "x", 2.5, against),
    ]


def _implied_rows() -> list[Row]:
    forward, strike, volatility, years, _ = _market(PRICES)
    kind = np.where(strike > forward, 1.0, -1.0)
    prices = black76.price(forward, strike, volatility, years, kind)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: implied.volatilities(prices, forward, strike, years, kind),
    }
    rational, version = _lets_be_rational((prices, forward, strike, years, kind))
    if rational is not None:
        runs["rational"] = rational
    best = _best(runs)
    rate = PRICES / best["ours"]
    ours = f"{PRICES:,} options within four standard deviations of the money, one core: {1e3 * best['ours']:.1f} ms"
    if rational is None:
        compared = not_run("implied volatility: py_lets_be_rational's time / ours", "x", version)
    else:
        each = best["rational"] / SCALAR
        against = f"{ours}; py_lets_be_rational {version}: {1e6 * each:.1f} us an option"
        compared = at_least("implied volatility: py_lets_be_rational's time / ours", each * rate, "x", 40, against)
    return [at_least("implied volatility", rate / 1e6, "M/s", 1.5, ours), compared]


def _accuracy_rows() -> list[Row]:
    names = (
        "price: error, everywhere",
        "price: relative error, out of the money to 8 sd",
        "greeks: error",
        "stress path: price error",
        "implied volatility: relative error / allowed, to 37 sd",
    )
    units = ("1e-14 max(F,K)", "1e-12", "1e-12 scale", "1e-13 F", "x")
    if importlib.util.find_spec("mpmath") is None:
        return [not_run(name, unit, "mpmath is not installed") for name, unit in zip(names, units, strict=True)]
    from seawall.cli.bench_exact import errors

    found = errors(SAMPLE, SEED, DIGITS)
    against = f"mpmath {importlib.metadata.version('mpmath')}, {DIGITS} digits, {found.options:,} options, seed {SEED}"
    scaled = (
        found.price / 1e-14,
        found.relative / 1e-12,
        found.greeks / 1e-12,
        found.stress / 1e-13,
        found.implied,
    )
    notes = ("", "", "", "; of K where K > 100 F", f"; allowed max(9e-16, 4 x attainable); {found.unsolved} unsolved")
    made = [
        at_most(name, value, unit, 1, against + note)
        for name, value, unit, note in zip(names, scaled, units, notes, strict=True)
    ]
    return made if not found.unsolved else [*made[:-1], made[-1]._replace(holds=False)]


def _market(count: int) -> tuple[Float64Array, ...]:
    """Forward, strike, volatility, years and type of options to a year, within a few standard deviations."""
    rng = np.random.default_rng(SEED)
    forward, volatility = rng.uniform(50_000, 70_000, count), rng.uniform(0.2, 1.2, count)
    years = rng.uniform(1 / 365, 1, count)
    strike = forward * np.exp(volatility * np.sqrt(years) * np.clip(rng.normal(0, 1.2, count), -4, 4))
    return forward, strike, volatility, years, rng.choice([-1.0, 1.0], count)


def _best(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Processor seconds of the fastest of `ROUNDS` alternating runs of each, after one that warms up."""
    best = dict.fromkeys(runs, math.inf)
    for _ in range(ROUNDS + 1):
        for name, run in runs.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - started)
    return best


def _compiled(folder: Path) -> tuple[Any, str]:
    """The formula in C and the compiler's name; None and the reason where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None, "no C compiler was found"
    source, library = folder / "black76.c", folder / "black76.so"
    source.write_text(C_SOURCE)
    done = subprocess.run(
        [compiler, *C_FLAGS, str(source), "-o", str(library), "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None, f"the C compiler failed: {done.stderr.strip()[:100]}"
    version = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    function = ctypes.CDLL(str(library)).price_delta_vega
    function.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_long]
    function.restype = None
    return function, f"{Path(compiler).name} {version}"


def _quantlib(market: tuple[Float64Array, ...]) -> tuple[Callable[[], object] | None, str]:
    try:
        quantlib = importlib.import_module("QuantLib")
    except ImportError:
        return None, "QuantLib is not installed"
    few = [array[:SCALAR].tolist() for array in market]
    options = [
        (quantlib.Option.Call if kind > 0 else quantlib.Option.Put, forward, strike, volatility, years)
        for forward, strike, volatility, years, kind in zip(*few, strict=True)
    ]

    def run() -> object:
        found = []
        for kind, forward, strike, volatility, years in options:
            payoff = quantlib.PlainVanillaPayoff(kind, strike)
            calculator = quantlib.BlackCalculator(payoff, forward, volatility * math.sqrt(years))
            found.append((calculator.value(), calculator.deltaForward(), calculator.vega(years)))
        return found

    return run, importlib.metadata.version("QuantLib")


def _lets_be_rational(options: tuple[Float64Array, ...]) -> tuple[Callable[[], object] | None, str]:
    try:
        module = importlib.import_module("py_lets_be_rational")
    except ImportError:
        return None, "py_lets_be_rational is not installed"
    few = list(zip(*(array[:SCALAR].tolist() for array in options), strict=True))
    solve = module.implied_volatility_from_a_transformed_rational_guess
    return lambda: [solve(*option) for option in few], importlib.metadata.version("py_lets_be_rational")


C_SOURCE: Final = r"""
#include <math.h>
/* Black's formula as it is written, by libm; the second term of x is what the quotient was rounded by. */
void price_delta_vega(const double *forward, const double *strike, const double *volatility, const double *years,
                      const double *kind, double *out, long n) {
    for (long i = 0; i < n; i++) {
        double f = forward[i], k = strike[i], w = kind[i], root = sqrt(years[i]), total = volatility[i] * root;
        double low = fmin(f, k), high = fmax(f, k);
        double quotient = high / low, x = log(quotient) + fma(-quotient, low, high) / high;
        double z = x / total, d = 0.5 * total - z, u = 0.5 * total + z;
        double near = 0.5 * erfc(-d * 0.7071067811865476), far = 0.5 * erfc(u * 0.7071067811865476);
        double call = f < k ? near : 1.0 - far;
        out[i] = low * near - high * far + fmax(w * (f - k), 0.0);
        out[n + i] = w > 0 ? call : call - 1.0;
        out[2 * n + i] = low * 0.3989422804014327 * exp(-0.5 * d * d) * root;
    }
}
"""
