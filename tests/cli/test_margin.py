"""`seawall margin`: one document, the exit status, and the published number of every published case."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from test_cli import run
from typer.testing import CliRunner

from seawall.cli.main import app
from seawall.cli.margin import NAMES
from seawall.risk.margin.models import OURS

ROOT = Path(__file__).parents[2]
VECTORS = ROOT.parent / "shared" / "vectors"
NOW = 1_784_500_000_000
PORTFOLIO = {
    "format": 1,
    "time": NOW,
    "market": {
        "underlyings": {"BTC": {"index": 70_000.0}},
        "currencies": {"USDC": {"price": 1.0}},
        "instruments": {"PERP": {"kind": "perpetual", "underlying": "BTC", "currency": "USDC", "mark": 70_000.0}},
    },
    "positions": [{"instrument": "PERP", "size": 1.0}],
    "balances": {"USDC": 12_000.0},
}


def ask(*arguments, text=None):
    return CliRunner().invoke(app, ["margin", *map(str, arguments)], input=text)


def scripted(file):
    """(case, model, portfolio) by the converter's own script."""
    path = VECTORS / file
    if not path.exists():
        pytest.skip(f"golden vectors absent: {file}")
    spec = importlib.util.spec_from_file_location("script", ROOT / "examples" / "portfolios_from_vectors.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    vectors = json.loads(path.read_text())
    cases = {case["id"]: case for case in vectors["cases"]}
    return [(cases[name], *pair) for name, *pair in script.convert(vectors)]


def test_above_is_0_and_below_is_1(tmp_path):
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps(PORTFOLIO))
    above = run("margin", path, "--model", "paradex", "--json")
    assert above.returncode == 0, above.stderr
    document = json.loads(above.stdout)
    assert document["ok"] and document["requirement"]["initial"] == pytest.approx(11_200)
    assert document["excess"]["initial"] == pytest.approx(800)
    below = ask("-", "--model", "paradex", "--json", text=json.dumps(PORTFOLIO | {"balances": {"USDC": 11_000.0}}))
    assert below.exit_code == 1
    assert json.loads(below.stdout)["ok"] is False


def test_for_people(tmp_path):
    shown = ask("-", "--model", "paradex", text=json.dumps(PORTFOLIO))
    assert shown.exit_code == 0
    for words in (
        "11,200.000000",
        "spot -16%",
        "BTC PERP",
        "above the initial requirement",
        "parameters of 2026-06-25",
    ):
        assert words in shown.stdout


def test_the_page_shows_what_the_commands_print():
    page = (ROOT / "docs" / "margin.md").read_text()
    shown = re.findall(r"^    \$ seawall margin (examples/\S+(?: --\S+ \S+)*)\n((?:    .*\n|\n)+)", page, re.MULTILINE)
    assert len(shown) == 2
    for arguments, lines in shown:
        file, *options = arguments.split()
        printed = ask(ROOT / file, *options).stdout
        assert re.sub("^    ", "", lines, flags=re.MULTILINE).strip() == printed.strip()


def test_a_coin_off_its_peg_is_a_case_of_its_own():
    """12,000 USDC and 6,000 USDT against a long settled in USDC: USDT's fall is a loss, USDC's moves both sides."""
    market = PORTFOLIO["market"] | {"currencies": {"USDC": {"price": 1.0}, "USDT": {"price": 1.0}}}
    book = json.dumps(PORTFOLIO | {"market": market, "balances": {"USDC": 8_000.0, "USDT": 6_000.0}})
    cases = ("--depeg", "USDT=0.95", "--depeg", "USDC=0.9", "--depeg", "USDC=0.9,USDT=0.01")
    shown = ask("-", "--model", "paradex", *cases, text=book)
    assert shown.exit_code == 1 and shown.stdout.endswith("above the initial requirement, BELOW it off the peg\n")
    rows = [line for line in shown.stdout.splitlines() if re.match("USD[CT] 0", line)]
    assert [line.endswith("BELOW") for line in rows] == [False, False, True]
    document = json.loads(ask("-", "--model", "paradex", *cases, "--json", text=book).stdout)
    assert document["ok"] is False and document["requirement"]["initial"] == pytest.approx(11_200)
    found = [(case["equity"], case["initial"], case["above"]) for case in document["depegs"]]
    assert found == [(pytest.approx(equity), pytest.approx(asked), above) for equity, asked, above in (
        (13_700, 11_200, True), (13_200, 10_080, True), (7_260, 10_080, False),
    )]  # fmt: skip
    plain = json.loads(ask("-", "--model", "paradex", "--json", text=book).stdout)
    assert plain["ok"] is True and plain["depegs"] == []


def test_what_the_engine_enforces_stands_beside():
    """The published number of the positions alone, what the integers ask of them, and the ratio; or why not."""
    document = json.loads(ask("-", "--model", "paradex", "--json", text=json.dumps(PORTFOLIO)).stdout)
    found = document["enforced"]
    assert found["published"]["initial"] == pytest.approx(11_200, rel=1e-6)
    for row in ("initial", "maintenance"):
        assert found["ratio"][row] == pytest.approx(found["requirement"][row] / found["published"][row])
        assert 1 <= found["ratio"][row] < 1.01
    assert document["not_enforced"] is None
    assert "positions alone, in USD" in ask("-", "--model", "paradex", text=json.dumps(PORTFOLIO)).stdout
    other = ask("-", "--model", "paradex", "--as-of", "2026-03-31", "--json", text=json.dumps(PORTFOLIO))
    document = json.loads(other.stdout)
    assert document["enforced"] is None and "own day" in document["not_enforced"]


def test_an_owners_accounts_are_not_ignored_in_silence():
    shown = ask("-", "--model", "paradex", text=json.dumps(PORTFOLIO | {"owner_accounts": 2}))
    assert "note: owner_accounts is not applied" in shown.stdout
    ours = ask("-", text=json.dumps(PORTFOLIO | {"owner_accounts": 2}))
    assert "owner_accounts" not in ours.stdout


def test_help_names_every_model():
    assert NAMES.split(", ") == list(OURS)


def test_a_date_picks_the_parameters():
    shown = ask("-", "--model", "paradex", "--as-of", "2026-03-31", "--json", text=json.dumps(PORTFOLIO))
    assert json.loads(shown.stdout)["effective"] == "2026-03-16"


@pytest.mark.parametrize(("arguments", "text", "words"), [
    (("-", "--model", "nobody"), "{}", "model = 'nobody': must be one of"),
    (("-", "--model", "paradex", "--as-of", "yesterday"), "{}", "as_of = 'yesterday'"),
    (("missing.json", "--model", "paradex"), None, "PORTFOLIO = 'missing.json'"),
    (("-", "--model", "paradex"), '{"format": 1, "time": NaN}', "must hold finite numbers only"),
    (("-", "--model", "span"), json.dumps(PORTFOLIO), "parameters.products.BTC = None"),
    (("-", "--depeg", "USDT=0.95"), json.dumps(PORTFOLIO), "depeg = 'USDT': must be held or settled in here: USDC"),
    (("-", "--depeg", "USDC"), json.dumps(PORTFOLIO), "depeg = 'USDC': must be COIN=PRICE"),
    (("-", "--depeg", "USDC=0"), json.dumps(PORTFOLIO), "market.currencies.USDC.price = 0.0"),
])  # fmt: skip
def test_bad_input_is_2_and_prints_nothing_on_standard_output(arguments, text, words):
    shown = ask(*arguments, "--json", text=text)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert words in shown.stderr


def published(case, document):
    """(found, printed) pairs of a case: the numbers its source prints, and where they stand in the answer."""
    expected, figures = case["expected"], document["figures"]
    block = document["blocks"][0]["figures"]
    if "im_truncated" in expected:
        return [(figures[name], expected[name]) for name in ("im_truncated", "mm_truncated")]
    if "IM" in expected:
        return [
            (figures["initial_margin"], pytest.approx(expected["IM"], rel=1e-10, abs=1e-9)),
            (figures["maintenance_margin"], pytest.approx(expected["MM"], rel=1e-10, abs=1e-9)),
        ]
    if "scan_risk" in expected:
        return [(block["scan_risk"], pytest.approx(expected["scan_risk"], abs=6e-7))]
    if "shocked_iv" in expected:
        detail = document["contributions"][0]["detail"]
        return [(detail["shocked_volatility"], pytest.approx(expected["shocked_iv"], rel=1e-15))]
    if "min_delta_risk" in expected:
        return [(block["min_delta_risk"], expected["min_delta_risk"])]
    if "requirement" in expected:
        return [(document["requirement"]["maintenance"], expected["requirement"])]
    if "initial_margin_coin" in expected:
        return [(document["requirement"]["initial"], pytest.approx(expected["initial_margin_coin"], rel=1e-15))]
    if "initial_margin" in expected:
        return [(document["requirement"][row], expected[f"{row}_margin"]) for row in ("initial", "maintenance")]
    name, vectors = next(iter(expected["initial_risk_vectors"].items()))
    near = pytest.approx(vectors["standard"], abs=1e-15)
    return [(block["initial_risk_vectors"][name]["standard"], near)]


@pytest.mark.parametrize("file", [
    "derive_pmrm_v1.json", "derive_pmrm_2.json", "paradex_pm.json", "deribit_pme.json", "deribit_standard_margin.json",
    "span16.json",
])  # fmt: skip
def test_the_published_number_of_every_case_is_printed(file):
    cases = scripted(file)
    for case, model, portfolio in cases:
        shown = ask("-", "--model", model, "--json", text=json.dumps(portfolio))
        assert shown.exit_code in (0, 1), (case["id"], shown.stderr)
        for found, printed in published(case, json.loads(shown.stdout)):
            assert found == printed, case["id"]
    assert len(cases) > 5


def test_the_script_writes_portfolios_and_says_how_to_ask(tmp_path):
    import subprocess
    import sys

    if not VECTORS.exists():
        pytest.skip("golden vectors absent")
    script = ROOT / "examples" / "portfolios_from_vectors.py"
    ran = subprocess.run(
        [sys.executable, str(script), str(VECTORS / "span16.json"), str(tmp_path / "out")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("seawall margin ") and lines[0].endswith("--model span")
    assert len(list((tmp_path / "out").glob("*.json"))) == len(lines) == 14
