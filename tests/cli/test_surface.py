"""`seawall surface`: fit, show, compare, with their documents and their exit statuses."""

import csv
import json

import numpy as np
import pytest
from test_cli import run as run_process
from typer.testing import CliRunner

from seawall.cli.main import app
from seawall.risk import black76
from seawall.risk.surfaces import read_calibration, read_chain, shock
from seawall.risk.surfaces.svi import RawSvi

NOW_MS = 1_764_896_993_000
DAYS = {"12DEC25": 7.284, "26DEC25": 21.284, "27MAR26": 112.284}


@pytest.fixture
def chain(tmp_path):
    """A book summary with a mild smile, quoted 2 % wide."""
    return written(tmp_path / "chain.csv", lambda strike, day: 0.5 + 0.3 * np.log(strike / 1000.0) ** 2 - 0.0002 * day)


def written(path, volatility):
    rows = []
    for name, day in DAYS.items():
        for strike in (800, 900, 950, 1000, 1050, 1100, 1200):
            for kind in "CP":
                side = 1.0 if kind == "C" else -1.0
                value = float(black76.price(1000.0, strike, volatility(strike, day), day / 365, side)) / 1000.0
                rows.append({
                    "instrument_name": f"TOY-{name}-{strike}-{kind}", "option_type": kind, "expire_date": name,
                    "strike_price": strike, "underlying_price": 1000.0, "creation_timestamp": NOW_MS,
                    "bid_price": f"{0.99 * value:.8f}", "ask_price": f"{1.01 * value:.8f}",
                })  # fmt: skip
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["surface", *map(str, arguments)])


def told(*arguments, status=0):
    ended = run(*arguments, "--json")
    assert ended.exit_code == status, ended.stderr
    return json.loads(ended.stdout)


def test_fit_show_and_compare(chain, tmp_path):
    first, second, third = (tmp_path / f"{name}.json" for name in ("first", "second", "third"))
    found = told("fit", chain, "--out", first, "--hold-out")
    assert found["ok"] and found["figures"]["inside"] == found["figures"]["two_sided"] == 42
    assert found["held_out"]["two_sided"] == 42 and found["chain_sha256"] == read_chain(chain).sha256
    assert found["method"] == "svi2" and len(found["expiries"]) == 3 and not found["left_out"]
    text = run("fit", chain, "--method", "svi", "--out", second)
    assert text.exit_code == 0 and "inside bid and ask: 42 of 42" in text.stdout and "arbitrage: none" in text.stdout

    made = read_calibration(first)
    rows = told("show", first, "--days", "14", "--strike", "950", "--strike", "1100")["rows"]
    wanted = made.surface.volatility(np.log(np.array([0.95, 1.1])), 14 / 365)
    assert rows[0]["volatilities"] == pytest.approx(wanted.tolist(), rel=1e-12)
    limited = told("show", first, "--shock", "parallel", "--size", "0.1", "--limits")
    assert limited["limits"].keys() == {"parallel", "skew", "term"}
    shocked = shock(made.surface, "parallel", 0.1)
    assert limited["rows"][1]["volatilities"][2] == pytest.approx(
        float(shocked.volatility(0.0, made.expiries[1].years))
    )

    raw = told("show", second)["rows"][0]
    assert RawSvi(**raw["raw"]).variance(0.0).value == pytest.approx(raw["jump_wings"]["v"] * raw["years"], rel=1e-12)
    assert "raw" not in rows[0]

    assert (found["premiums"], found["stale_s"]) == ("coin", 300.0)
    for other in (("--stale", "60"), ("--time", "2025-12-05T01:09:54Z")):
        told("fit", chain, "--out", third, *other)
        assert told("compare", first, third)["same_chain"] is False, other
    same = told("compare", first, first)
    assert same["ok"] and same["worst"] == 0
    apart = told("compare", first, second, "--within", "0", status=1)
    assert not apart["ok"] and apart["worst"] > 0 and apart["same_chain"] and not apart["same_method"]


def test_a_fit_that_misses_says_no(tmp_path):
    """Volatilities that jump from strike to strike: no surface without arbitrage is inside."""
    wild = written(tmp_path / "wild.csv", lambda strike, day: 0.5 if (strike // 50) % 2 else 0.58)
    out = tmp_path / "wild.json"
    ended = run("fit", wild, "--out", out)
    assert ended.exit_code == 1 and "DOES NOT HOLD" in ended.stdout
    found = told("fit", wild, status=1)
    assert not found["ok"] and found["figures"]["inside"] < 0.98 * found["figures"]["two_sided"]
    shown = run("show", out)
    assert shown.exit_code == 1 and "DOES NOT HOLD" in shown.stdout


def test_a_record_that_only_says_it_holds_does_not(chain, tmp_path):
    """The last smile made so flat that variance falls with time; the recorded measures still say all is well."""
    file = tmp_path / "fit.json"
    document = told("fit", chain, "--out", file)
    assert document["ok"] and told("show", file)["ok"]
    record = json.loads(file.read_text())
    smile = record["expiries"][2]["smile"]
    smile |= {"level": 0.05 * smile["level"], "slope": 0.05 * smile["slope"]}
    smile["parts"] = [[0.05 * height, *rest] for height, *rest in smile["parts"]]
    file.write_text(json.dumps(record))
    shown = run("show", file)
    assert shown.exit_code == 1 and "DOES NOT HOLD" in shown.stdout


@pytest.mark.parametrize("arguments", [
    ("fit", "CHAIN", "--method", "spline"), ("fit", "CHAIN", "--premiums", "shells"),
    ("fit", "CHAIN", "--time", "noon"),
    ("fit", "CHAIN", "--time", "2030-01-01T00:00:00Z"), ("fit", "absent.csv"), ("show", "CHAIN"),
    ("compare", "CHAIN", "CHAIN"), ("show", "FIT", "--strike", "-1"),
    ("show", "FIT", "--shock", "sideways", "--size", "1"),
    ("show", "FIT", "--shock", "parallel", "--size", "3.9"), ("show", "FIT", "--days", "-1"), ("nothing",),
    ("show", "FIT", "--size", "-0.3"), ("show", "FIT", "--shock", "skew"),
])  # fmt: skip
def test_wrong_usage(chain, tmp_path, arguments):
    fit = tmp_path / "fit.json"
    if "FIT" in arguments:
        assert run("fit", chain, "--out", fit).exit_code == 0
    places = {"CHAIN": chain, "FIT": fit}
    ended = run(*(places.get(word, word) for word in arguments))
    assert ended.exit_code == 2 and ended.stderr and not ended.stdout


def test_by_itself(chain):
    """In a process of its own: one document on standard output, and the same by the bit as within this one."""
    ended = run_process("surface", "fit", chain, "--json")
    assert ended.returncode == 0 and json.loads(ended.stdout) == told("fit", chain)
