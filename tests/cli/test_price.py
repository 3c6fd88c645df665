"""`seawall price`: the numbers of the library, both products, implied volatility, and what it refuses."""

import json

import pytest
from typer.testing import CliRunner

from seawall.cli.main import app
from seawall.cli.price import PRODUCTS
from seawall.risk import black76, black_scholes, implied, inverse

USUAL = {"--forward": "60000", "--strike": "66000", "--days": "30", "--type": "call", "--volatility": "0.6"}
YEARS = 30 / 365


def ask(*flags, **changed):
    """The usual question with options changed (`implied_from=...`), or left out (None)."""
    options = {**USUAL, **{"--" + name.replace("_", "-"): value for name, value in changed.items()}}
    words = [str(word) for name, value in options.items() if value is not None for word in (name, value)]
    return CliRunner().invoke(app, ["price", *words, *flags])


def told(**changed):
    ended = ask("--json", **changed)
    assert ended.exit_code == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_linear_option_in_full():
    found = told()
    assert found["greeks"] == black76.option(60_000, 66_000, 0.6, YEARS, 1)._asdict()
    assert found["greeks"]["price"] == pytest.approx(1962.1563028256449, rel=1e-14)
    terms = {"product": "linear", "type": "call", "forward": 60_000, "strike": 66_000, "years": YEARS}
    assert {name: found[name] for name in terms} == terms
    assert (found["volatility"], found["implied_from"], found["rate"]) == (0.6, None, 0.0)
    discounted = told(rate="0.05", type="put", days=None, years="0.5")["greeks"]
    assert discounted == black76.option(60_000, 66_000, 0.6, 0.5, -1, 0.05)._asdict()


def test_an_option_on_a_spot_price():
    found = told(forward=None, spot="60000", rate="0.05", carry="0.03", type="put")
    assert found["spot"] == 60_000
    assert found["forward"] == float(black_scholes.forward_of(60_000, YEARS, 0.03))
    held = black_scholes.greeks(60_000, 66_000, 0.6, YEARS, -1, 0.05, 0.03)
    assert found["greeks"] == {name: float(value) for name, value in held._asdict().items()}
    grown = told(forward=None, spot="60000", rate="0.05")
    assert grown["forward"] == float(black_scholes.forward_of(60_000, YEARS, 0.05))


def test_an_inverse_option_in_both_views():
    found = told(product="inverse")
    one = inverse.option(60_000, 66_000, 0.6, YEARS, 1)
    assert (found["usd"], found["coin"]) == (one.usd._asdict(), one.coin._asdict())
    assert found["net_delta"] == one.net_delta


@pytest.mark.parametrize("view", ["usd", "coin"])
def test_an_inverse_option_on_a_spot_price_has_greeks_with_the_spot_held(view):
    """Against differences of the price itself; relative moves of spot and forward are one, so net delta is the same."""
    carry, days = 0.3, 365.0

    def at(spot=60_000.0, days=days, volatility=0.6):
        return told(
            product="inverse",
            forward=None,
            spot=str(spot),
            carry=str(carry),
            days=str(days),
            volatility=str(volatility),
        )

    found, day = at(), 0.01
    more, less, later, sooner = at(60_001.0), at(59_999.0), at(days=days + day), at(days=days - day)
    wilder, calmer = at(volatility=0.6001), at(volatility=0.5999)
    years = 2 * day / 365
    for name, of, differences in (
        ("delta", "price", (more, less, 2.0)),
        ("gamma", "delta", (more, less, 2.0)),
        ("theta", "price", (sooner, later, years)),
        ("charm", "delta", (later, sooner, years)),
        ("veta", "vega", (later, sooner, years)),
        ("vanna", "delta", (wilder, calmer, 2e-4)),
    ):
        high, low, step = differences
        assert found[view][name] == pytest.approx((high[view][of] - low[view][of]) / step, rel=1e-6), name
    assert found["net_delta"] == pytest.approx(60_000 * found["coin"]["delta"], rel=1e-12)


@pytest.mark.parametrize(("product", "unit"), [("linear", 1.0), ("inverse", 60_000.0)])
def test_the_volatility_that_a_price_implies(product, unit):
    price = black76.option(60_000, 66_000, 0.6, YEARS, 1).price / unit
    found = told(product=product, volatility=None, implied_from=repr(price))
    assert found["volatility"] == pytest.approx(0.6, rel=1e-14)
    assert found["implied_from"] == price
    assert (found["greeks"] if product == "linear" else found["coin"])["price"] == pytest.approx(price, rel=1e-14)


def test_people_get_a_table():
    lines = ask().stdout.splitlines()
    assert lines[0] == "call 66,000, forward 60,000, 30 days, volatility 60 %"
    assert [line.split()[0] for line in lines[2:]] == list(black76.Greeks._fields)
    assert "1,962.156303" in lines[2]
    lines = ask(product="inverse", volatility=None, implied_from="0.0327").stdout.splitlines()
    assert "implied volatility 59.9" in lines[0]
    assert lines[1].split() == ["USD", "coin"]
    assert lines[-1].startswith("net delta")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"volatility": "-0.1"}, "volatility = -0.1"),
        ({"volatility": "nan"}, "volatility = nan"),
        ({"forward": "0"}, "forward = 0.0"),
        ({"forward": "inf"}, "forward = inf"),
        ({"forward": None}, "--forward, --spot"),
        ({"spot": "60000"}, "--forward, --spot"),
        ({"years": "1"}, "--days, --years"),
        ({"days": "-1"}, "years = -0.0027"),
        ({"implied_from": "100"}, "--volatility, --implied-from"),
        ({"volatility": None}, "--volatility, --implied-from"),
        ({"type": "straddle"}, "type = 'straddle'"),
        ({"product": "barrier-less"}, "product = 'barrier-less'"),
        ({"carry": "0.1"}, "carry = 0.1"),
        ({"rate": "0.1", "product": "inverse"}, "rate = 0.1"),
        ({"volatility": None, "implied_from": "60000"}, "price = 60000.0: " + implied.RULES[implied.Status.AT_MAXIMUM]),
        ({"volatility": None, "implied_from": "1e8"}, "price = 100000000.0"),
        ({"volatility": None, "implied_from": "-1"}, "must not be negative"),
        ({"volatility": None, "implied_from": "nan"}, "must be finite"),
        ({"volatility": None, "implied_from": "5", "days": "0"}, "years = 0.0"),
        ({"volatility": None, "implied_from": "5", "strike": "50000"}, "at least the intrinsic value"),
    ],
)
def test_bad_input_is_refused_with_field_value_and_rule(changed, says):
    ended = ask("--json", **changed)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert says in ended.stderr


def test_every_product_is_named_in_the_help():
    text = CliRunner().invoke(app, ["price", "--help"]).stdout
    assert all(name in text for name in PRODUCTS)
