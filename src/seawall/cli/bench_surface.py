"""The figure of `seawall bench risk` for surfaces: the real chain of 2025-12-05 fitted, timed and judged.

The time is from rows in memory to a calibration with its figures and its check for arbitrage; reading and parsing the
file is not in it. What is not on this machine is not run, and its row says so.
"""

import time
from pathlib import Path
from typing import Final

from seawall.cli.bench_rows import Row, at_least, at_most, if_steady, not_run

CHAIN: Final = Path("data", "options", "deribit_btc_chain_20251205T0109Z.csv.gz")
FOLDER: Final = Path(__file__).parents[4] / "shared"
METHOD: Final = "svi2"
ROUNDS: Final = 40


def surface_rows(folder: Path = FOLDER) -> list[Row]:
    """The rows: milliseconds, share inside, violations, and the share of quotes held out that are met."""
    from seawall.risk.surfaces import calibrate, make_chain
    from seawall.risk.surfaces.reading import read_rows

    path = folder / CHAIN
    names = ("fit of the 676-option chain", "quotes of two sides inside bid and ask", "arbitrage violations of the fit")
    held = "quotes held out of the fit inside bid and ask"
    if not path.is_file():
        why = f"the recorded chain, {path.name}, is not beside this checkout"
        return [not_run(name, unit, why) for name, unit in zip((*names, held), ("ms", "%", "", "%"), strict=True)]
    rows, time_ns, sha256 = read_rows(path)
    wall, own = float("inf"), float("inf")
    for _ in range(ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        made = calibrate(make_chain(rows, time_ns, sha256=sha256), METHOD)
        wall, own = min(wall, time.perf_counter() - began), min(own, time.process_time() - used)
    out = calibrate(make_chain(rows, time_ns, sha256=sha256), METHOD, hold_out=True).held_out
    if out is None:
        raise AssertionError("quotes held out were asked for")
    of, shape = made.figures, made.arbitrage
    method = f"{METHOD}, {len(made.expiries)} expiries, warm, best of {ROUNDS}; {1e3 * own:.1f} ms of one core"
    taken = at_most(names[0], 1e3 * wall, "ms", 50, method)
    # On a machine with others at work the wall clock tells of them rather than of the fit.
    taken = if_steady(taken, steady=bool(taken.holds) or wall < 1.5 * own)
    least = min(row.least_g for row in shape.butterflies), min(row.least_rise for row in shape.calendars)
    free = "" if shape.free else "; NOT free farther out"
    return [
        taken,
        at_least(names[1], 100 * of.share, "%", 98, f"{of.inside} of {of.two_sided}"),
        at_most(names[2], shape.violations, "", 0, f"least g {least[0]:.4f}, least relative rise {least[1]:.6f}{free}"),
        Row(
            held, 100 * out.share, "%", "reported", True,
            f"{out.inside} of {out.two_sided}, five parts by strike; median {out.median_error:.3f},"
            f" root mean square {out.root_mean_square_error:.3f} volatility points from the middle",
        ),
    ]  # fmt: skip
