"""The SIMM's aggregation: the recorded cases of version 2.5, the FX formula by itself, properties and bad inputs.

The figures of simm_2_5.json are test facts (decision 0038): nothing that is installed contains them.
"""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from seawall.risk.credit.simm import AddOns, Crif, Measure, Sensitivity
from seawall.risk.credit.simm import initial_margin as margin_of
from seawall.risk.credit.simm_parameters import parameters_of, read_parameters
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "simm_2_5.json"
FIGURES = Path(__file__).with_name("simm_2_5.json")
NAN = float("nan")


def initial_margin(rows, parameters, **terms):
    return margin_of(Crif(list(rows), **terms), parameters)


def bucketed(**more):
    """Two buckets and the residual one, of round figures that are nobody's."""
    held = {
        "weights": {"1": 10, "2": 20, "Residual": 50},
        "thresholds": {"1": 1, "2": 2, "Residual": 1},
        "same": 0.9,
        "different": {"1": 0.4, "2": 0.3, "Residual": 0.5},
        "between": [[1, 0.2], [0.2, 1]],
        "vega_weights": 0.5,
        "vega_thresholds": 100,
    }
    return {**held, **more}


PAIRS = ("regular-regular", "regular-high", "high-high")
MAJOR = ["USD", "EUR", "JPY", "GBP", "AUD", "CHF", "CAD"]
TRADED = ["BRL", "CNY", "HKD", "INR", "KRW", "MXN", "NOK", "NZD", "RUB", "SEK", "SGD", "TRY", "ZAR"]
INVENTED = {
    "version": "invented, but the delta of exchange rates is the formula of the vector file",
    "source": "round figures",
    "class_correlation": [[1.0 if one == other else 0.25 for one in range(6)] for other in range(6)],
    "rates": {
        "groups": {"regular": ["USD", "EUR"], "low": ["JPY"]},
        "other": "high",
        "tenors": ["1y", "10y"],
        "weights": {"regular": [60, 50], "low": [10, 20], "high": [90, 100]},
        "inflation_weight": 40,
        "basis_weight": 20,
        "tenor_correlation": [[1, 0.6], [0.6, 1]],
        "subcurve_correlation": 0.98,
        "inflation_correlation": 0.3,
        "basis_correlation": 0.1,
        "currency_correlation": 0.2,
        "threshold_groups": {"well": ["USD", "EUR"]},
        "thresholds": {"well": 100, "high": 10},
        "vega_thresholds": {"well": 1000, "high": 100},
        "vega_weight": 0.2,
        "historical_volatility_ratio": 0.5,
    },
    "fx": {
        "high": ["BRL", "RUB", "TRY"],
        "weights": dict(zip(PAIRS, (7.4, 13.6, 13.6), strict=True)),
        "correlations": {name: dict(zip(PAIRS, (0.5, 0.27, 0.42), strict=True)) for name in ("regular", "high")},
        "categories": [MAJOR, TRADED],
        "thresholds": [5100, 1200, 190],
        "vega_thresholds": [[1000, 500, 200], [500, 300, 200], [200, 200, 100]],
        "vega_weight": 0.5,
        "vega_correlation": 0.5,
        "historical_volatility_ratio": 0.5,
    },
    "credit_qualifying": bucketed(base_correlation_weight=10, base_correlation=0.25),
    "credit_non_qualifying": bucketed(same_by="label2"),
    "equity": bucketed(historical_volatility_ratio=0.6, curvature_excluded=["2"]),
    "commodity": bucketed(historical_volatility_ratio=0.7),
}
INVENTED_PARAMETERS = parameters_of(json.dumps(INVENTED).encode())


@pytest.fixture(scope="module")
def parameters():
    if not FIGURES.exists():
        pytest.skip(f"the figures of SIMM 2.5 are not here: {FIGURES.name}")
    return read_parameters(FIGURES)


def cases():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    found = []
    for case in json.loads(VECTORS.read_text())["cases"]:
        rows = [
            Sensitivity(row["product_class"], row["risk_type"], row["qualifier"], row["amount_usd"], row["bucket"],
                        row["label1"], row["label2"])
            for row in case["sensitivities"]
        ]  # fmt: skip
        found.append((case["id"], rows, case["expected"]["im_usd"]))
    assert found
    return found


def test_every_recorded_case_to_two_dollars(parameters):
    for name, rows, expected in cases():
        assert initial_margin(rows, parameters).total == pytest.approx(expected, abs=2), name


def test_fx_delta_with_the_formula_of_the_vector_file_alone():
    tried = [case for case in cases() if {row.risk_type for row in case[1]} == {"Risk_FX"}]
    assert tried
    for name, rows, expected in tried:
        assert initial_margin(rows, INVENTED_PARAMETERS).total == pytest.approx(expected, abs=2), name


def fx(currency, amount, product="RatesFX"):
    return Sensitivity(product, "Risk_FX", currency, amount)


def test_fx_delta_by_hand():
    alone = INVENTED_PARAMETERS
    one, other = 7.4 * 100e6, 13.6 * -50e6
    expected = math.sqrt(one**2 + other**2 + 2 * 0.27 * one * other)
    found = initial_margin([fx("EUR", 100e6), fx("BRL", -50e6), fx("USD", 9e9)], alone)
    assert found.total == pytest.approx(expected)
    assert found.by_measure == {("RatesFX", "fx", Measure.DELTA): found.total}
    crowded = 7.4 * 190e6 * 4 * 2  # four times the threshold: concentration 2
    assert initial_margin([fx("QAR", 4 * 190e6)], alone).total == pytest.approx(crowded)
    apart = initial_margin([fx("EUR", 100e6), fx("EUR", -100e6, "Credit")], alone)
    assert apart.total == pytest.approx(2 * one)  # product classes do not net


def test_what_the_figures_say_of_each_measure(parameters):
    """A few recorded numbers, so that the tests stand where the vectors are absent."""

    def total(*row):
        return initial_margin([Sensitivity(*row)], parameters).total

    assert total("RatesFX", "Risk_IRCurve", "USD", 2e6, "1", "1y", "Municipal") == pytest.approx(132_000_000)
    assert total("Credit", "Risk_CreditQ", "A", 180_000, "2", "2y", "USD") == pytest.approx(16_380_000)
    assert total("RatesFX", "Risk_IRVol", "JPY", 200e6, "", "20y") == pytest.approx(42_572_551, abs=1)
    assert total("RatesFX", "Risk_FXVol", "GBPUSD", 100e6, "", "1y") == pytest.approx(603_625_105, abs=1)
    assert total("Equity", "Risk_EquityVol", "SPX", 30e6, "11", "15y") == pytest.approx(319_398_481, abs=1)
    assert total("Credit", "Risk_BaseCorr", "CDX IG", 5e5) == pytest.approx(5_000_000)


def test_add_ons():
    row = fx("EUR", 1e6)
    plain = initial_margin([row], INVENTED_PARAMETERS)
    extra = AddOns(1_000.0, [(0.02, 50_000.0)], {"RatesFX": 1.5, "Equity": 2.0})
    found = initial_margin([row], INVENTED_PARAMETERS, add_ons=extra)
    assert found.add_on == pytest.approx(1_000 + 1_000 + 0.5 * plain.total)
    assert found.total == pytest.approx(plain.total + found.add_on)


DELTAS = [
    Sensitivity("RatesFX", "Risk_IRCurve", "USD", 1.0, "1", "1y", "OIS"),
    Sensitivity("RatesFX", "Risk_IRCurve", "USD", 1.0, "1", "10y", "Libor3m"),
    Sensitivity("RatesFX", "Risk_IRCurve", "JPY", 1.0, "2", "10y", "Libor3m"),
    Sensitivity("RatesFX", "Risk_XCcyBasis", "EUR", 1.0),
    Sensitivity("RatesFX", "Risk_FX", "GBP", 1.0),
    Sensitivity("RatesFX", "Risk_FX", "BRL", 1.0),
    Sensitivity("Credit", "Risk_CreditQ", "A", 1.0, "1", "5y", "USD"),
    Sensitivity("Credit", "Risk_CreditQ", "B", 1.0, "Residual", "5y", "USD"),
    Sensitivity("Credit", "Risk_CreditNonQ", "C", 1.0, "2", "5y", "ABX"),
    Sensitivity("Equity", "Risk_Equity", "C", 1.0, "1"),
    Sensitivity("Equity", "Risk_Equity", "D", 1.0, "2"),
    Sensitivity("Commodity", "Risk_Commodity", "Gold", 1.0, "2"),
]
amounts = st.lists(st.floats(-1e5, 1e5), min_size=len(DELTAS), max_size=len(DELTAS))
"""Below every threshold of concentration, where the margin is a norm."""


def book(sizes):
    return [replace(row, amount=size) for row, size in zip(DELTAS, sizes, strict=True)]


def total(*rows):
    return initial_margin(rows, INVENTED_PARAMETERS).total


def test_each_class_by_hand():
    """With the invented figures, so that the formulas stand without anybody's."""
    usd, eur = (Sensitivity("RatesFX", "Risk_IRCurve", name, 1e6, "1", "1y", "OIS") for name in ("USD", "EUR"))
    assert total(usd, eur) == pytest.approx(60e6 * math.sqrt(2 + 2 * 0.2))
    curve = replace(usd, label1="10y", label2="Libor3m")
    assert total(usd, curve) == pytest.approx(1e6 * math.sqrt(60**2 + 50**2 + 2 * 0.6 * 0.98 * 60 * 50))
    crowded = replace(usd, amount=400e6)  # four times the threshold
    assert total(crowded) == pytest.approx(2 * 60 * 400e6)
    assert total(replace(crowded, risk_type="Risk_XCcyBasis")) == pytest.approx(20 * 400e6)  # has no concentration
    tenor, name = (
        Sensitivity("Credit", "Risk_CreditQ", issuer, 1e5, "1", year) for issuer, year in (("A", "2y"), ("B", "1y"))
    )
    first = replace(tenor, label1="1y")
    assert total(first, tenor) == pytest.approx(1e6 * math.sqrt(2 + 2 * 0.9))
    assert total(first, name) == pytest.approx(1e6 * math.sqrt(2 + 2 * 0.4))
    other = replace(name, bucket="Residual")
    assert total(first, other) == pytest.approx(1e6 + 5e6)
    pool = [Sensitivity("Credit", "Risk_CreditNonQ", issuer, 1e5, "1", "1y", group) for issuer, group in
            (("A", "ABX"), ("B", "ABX"), ("C", "CMBX"))]  # fmt: skip
    assert total(*pool[:2]) == pytest.approx(1e6 * math.sqrt(2 + 2 * 0.9))
    assert total(*pool[1:]) == pytest.approx(1e6 * math.sqrt(2 + 2 * 0.4))
    stocks = [Sensitivity("Equity", "Risk_Equity", name, 1e5, bucket) for name, bucket in (("A", "1"), ("B", "2"))]
    assert total(*stocks) == pytest.approx(1e6 * math.sqrt(1 + 4 + 2 * 0.2 * 2))
    assert total(stocks[0], replace(stocks[1], product_class="Credit")) == pytest.approx(1e6 + 2e6)
    assert total(first, replace(stocks[0], product_class="Credit")) == pytest.approx(1e6 * math.sqrt(2 + 2 * 0.25))


def test_vega_and_curvature_by_hand():
    vega = Sensitivity("Commodity", "Risk_CommodityVol", "Gold", 1e4, "1", "1y")
    sigma = 10 * math.sqrt(365 / 14) / 2.3263478740408408  # the 99 % point of the normal
    found = initial_margin([vega], INVENTED_PARAMETERS).by_measure
    assert found["Commodity", "commodity", Measure.VEGA] == pytest.approx(0.5 * 0.7 * sigma * 1e4)
    curvature = 0.5 * 14 / 365 * sigma * 1e4
    spread = 2.5758293035489004**2 - 1
    assert found["Commodity", "commodity", Measure.CURVATURE] == pytest.approx(curvature * (1 + spread))
    rates = Sensitivity("RatesFX", "Risk_IRVol", "USD", 1e6, "", "1y")
    found = initial_margin([rates], INVENTED_PARAMETERS).by_measure
    assert found["RatesFX", "rates", Measure.VEGA] == pytest.approx(0.2 * 1e6)
    assert found["RatesFX", "rates", Measure.CURVATURE] == pytest.approx(0.5 * 14 / 365 * 1e6 * (1 + spread) / 0.25)
    turned = [Sensitivity("RatesFX", "Risk_FXVol", pair, sign * 1e4, "", "1y") for pair, sign in
              (("EURUSD", 1), ("USDEUR", -1))]  # fmt: skip
    assert total(*turned) == 0


@given(amounts, amounts)
def test_below_the_thresholds_delta_margin_is_subadditive(ours, theirs):
    parameters = INVENTED_PARAMETERS
    apart = sum(initial_margin(book(sizes), parameters).total for sizes in (ours, theirs))
    assert initial_margin(book(ours) + book(theirs), parameters).total <= apart * (1 + 1e-9) + 1e-6


@given(amounts)
def test_delta_margin_is_the_same_for_the_other_side_and_for_any_order(sizes):
    parameters = INVENTED_PARAMETERS
    margin = initial_margin(book(sizes), parameters).total
    assert initial_margin(book([-size for size in sizes]), parameters).total == pytest.approx(margin)
    assert initial_margin(book(sizes)[::-1], parameters).total == pytest.approx(margin)
    assert math.isfinite(margin) and margin >= 0


@given(st.floats(1e3, 1e9), st.sampled_from(["2w", "3m", "1y", "30y"]), st.sampled_from(["1", "2", "Residual"]))
def test_a_bought_option_has_curvature_where_it_is_not_excluded_and_a_sold_one_has_none(vega, tenor, bucket):
    parameters = INVENTED_PARAMETERS
    for sign in (1, -1):
        found = initial_margin([Sensitivity("Equity", "Risk_EquityVol", "X", sign * vega, bucket, tenor)], parameters)
        curvature = found.by_measure["Equity", "equity", Measure.CURVATURE]
        assert (curvature > 0) == (sign > 0 and bucket != "2")


@pytest.mark.parametrize(("field", "row"), [
    ("product_class", Sensitivity("Coins", "Risk_FX", "EUR", 1.0)),
    ("risk_type", Sensitivity("RatesFX", "Risk_Coin", "EUR", 1.0)),
    ("qualifier", Sensitivity("RatesFX", "Risk_FX", "", 1.0)),
    ("qualifier", Sensitivity("RatesFX", "Risk_FXVol", "EUR", 1.0, "", "1y")),
    ("qualifier", Sensitivity("RatesFX", "Risk_FX", "eur", 1.0)),
    ("qualifier", Sensitivity("RatesFX", "Risk_IRCurve", "EUR ", 1.0, "1", "5y")),
    ("amount", Sensitivity("RatesFX", "Risk_FX", "EUR", NAN)),
    ("amount", Sensitivity("RatesFX", "Risk_FX", "EUR", 1e19)),
    ("label1", Sensitivity("RatesFX", "Risk_IRCurve", "EUR", 1.0, "1", "4y")),
    ("label1", Sensitivity("RatesFX", "Risk_FXVol", "EURUSD", 1.0, "", "soon")),
    ("label1", Sensitivity("RatesFX", "Risk_FXVol", "EURUSD", 1.0, "", "0y")),
    ("bucket", Sensitivity("Equity", "Risk_Equity", "X", 1.0, "13")),
    ("bucket", Sensitivity("Credit", "Risk_CreditQ", "X", 1.0, "", "5y")),
])  # fmt: skip
def test_bad_sensitivities_are_refused_by_row(field, row):
    with pytest.raises(InputError) as refused:
        initial_margin([fx("EUR", 1.0), row], INVENTED_PARAMETERS)
    assert refused.value.field == f"sensitivities[1].{field}"


def test_a_calculation_currency_that_is_none_is_refused():
    with pytest.raises(InputError) as refused:
        initial_margin([fx("EUR", 1.0)], INVENTED_PARAMETERS, calculation_currency="usd")
    assert refused.value.field == "calculation_currency"


def test_a_class_that_the_parameters_leave_out_is_refused():
    without = parameters_of(json.dumps({name: held for name, held in INVENTED.items() if name != "equity"}).encode())
    with pytest.raises(InputError, match="no class equity"):
        initial_margin([Sensitivity("Equity", "Risk_Equity", "X", 1.0, "1")], without)


@pytest.mark.parametrize(("field", "add_ons"), [
    ("add_ons.fixed", AddOns(fixed=NAN)),
    ("add_ons.notionals[0]", AddOns(notionals=[(2.0, 1.0)])),
    ("add_ons.multipliers", AddOns(multipliers={"Coins": 2.0})),
    ("add_ons.multipliers[Equity]", AddOns(multipliers={"Equity": 0.5})),
])  # fmt: skip
def test_bad_add_ons_are_refused(field, add_ons):
    with pytest.raises(InputError) as refused:
        initial_margin([], INVENTED_PARAMETERS, add_ons=add_ons)
    assert refused.value.field == field


def changed(*path, to):
    held = json.loads(json.dumps(INVENTED))
    at = held
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return json.dumps(held).encode()


@pytest.mark.parametrize(("field", "text"), [
    ("parameters", b"{}"),
    ("parameters", b"not json"),
    ("parameters", changed("rates", "vega_weight", to=-1)),
    ("parameters", changed("class_correlation", 0, to=[2.0] * 6)),
    ("parameters", changed("novel", to=1)),
    ("class_correlation", changed("class_correlation", to=[[1.0]])),
    ("class_correlation[1][0]", changed("class_correlation", 1, 0, to=0.5)),
    ("equity.between", changed("equity", "between", to=[[1.0]])),
    ("equity.different", changed("equity", "different", to=1.5)),
    ("equity.thresholds", changed("equity", "thresholds", to={"1": 0.0})),
    ("credit_qualifying.same_by", changed("credit_qualifying", "same_by", to="tenor")),
    ("rates.weights.low", changed("rates", "weights", "low", to=[1.0])),
    ("rates.thresholds", changed("rates", "thresholds", to={"high": 33})),
    ("fx.weights", changed("fx", "weights", to={})),
    ("fx.thresholds", changed("fx", "thresholds", to=[1])),
    ("parameters", changed("fx", "thresholds", to=[5e-324, 1, 1])),
])  # fmt: skip
def test_bad_parameters_are_refused(field, text):
    with pytest.raises(InputError) as refused:
        parameters_of(text)
    assert refused.value.field == field


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="readable file"):
        read_parameters(tmp_path / "none.json")


def test_a_bucket_without_a_number_is_refused_by_name():
    short = parameters_of(changed("equity", "thresholds", to={"1": 10}))
    with pytest.raises(InputError, match="bucket = '2'"):
        initial_margin([Sensitivity("Equity", "Risk_Equity", "X", 1.0, "2")], short)
