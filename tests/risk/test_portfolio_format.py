"""The portfolio format: what is refused, by which name; what an answer holds; dates, overrides, plug-ins."""

import json
import math
import sys
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from margin_vectors import check_sums

from seawall.risk.margin import Portfolio, convert, model, names, read
from seawall.risk.margin.parameter_sets import versions
from seawall.risk.margin.portfolio import Currency, Expiry, Instrument, Market, Order, Position, Underlying
from seawall.risk.margin.report import rounded
from seawall.risk.margin.valuation import term_scale
from seawall.vocabulary.errors import InputError

NOW = 1_784_500_000_000
DAY = 86_400_000


def document():
    """A little of everything, each number in its place."""
    end = NOW + 30 * DAY
    return {
        "format": 1,
        "time": NOW,
        "market": {
            "underlyings": {"BTC": {"index": 60_000.0}},
            "currencies": {"USDC": {"price": 1.0}},
            "expiries": [{"underlying": "BTC", "time": end, "forward": 60_300.0, "rate": 0.02}],
            "instruments": {
                "PERP": {"kind": "perpetual", "underlying": "BTC", "currency": "USDC", "mark": 60_010.0},
                "CALL": {
                    "kind": "option", "underlying": "BTC", "currency": "USDC", "expiry": end, "strike": 65_000.0,
                    "option": "call", "volatility": 0.5, "mark": 1_800.0,
                },
            },
        },
        "positions": [
            {"instrument": "PERP", "size": 1.0, "entry_price": 59_000.0},
            {"instrument": "CALL", "size": -2.0},
        ],
        "balances": {"USDC": 50_000.0},
    }  # fmt: skip


def changed(path, value):
    whole = document()
    *way, last = path
    place = whole
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return whole


CALL, EXPIRY = ("market", "instruments", "CALL"), ("market", "expiries", 0)


@pytest.mark.parametrize(("path", "value", "field"), [
    (("format",), 2, "format"),
    (("format",), None, "portfolio"),
    (("surprise",), 1, "portfolio"),
    (("time",), "today", "time"),
    (("time",), -1, "time"),
    (("time",), NOW // 1000, "time"),
    ((*EXPIRY, "time"), NOW // 1000, "market.expiries[0].time"),
    (("market", "underlyings", "BTC", "index"), 60_000.0 * 1e8, "market.underlyings.BTC.index"),
    (("market", "underlyings", "BTC", "index"), 0.0, "market.underlyings.BTC.index"),
    (("market", "underlyings", "BTC", "confidence"), 1.5, "market.underlyings.BTC.confidence"),
    (("market", "instruments", "PERP", "mark"), 60_000.0 * 1e8, "market.instruments.PERP.mark"),
    (("market", "instruments", "PERP", "mark"), 6e8 + 1.0, "market.instruments.PERP.mark"),
    (("market", "instruments", "PERP", "expiry"), NOW + 1, "market.instruments.PERP.expiry"),
    (("market", "instruments", "PERP", "volatility"), 0.5, "market.instruments.PERP.volatility"),
    (("market", "instruments", "PERP", "currency"), "DOGE", "market.currencies.DOGE"),
    (("market", "instruments", "PERP", "underlying"), "DOGE", "market.instruments.PERP.underlying"),
    (("market", "instruments", "PERP", "form"), "inverse", "market.instruments.PERP.currency"),
    (("market", "instruments", "PERP", "currency"), "BTC", "market.instruments.PERP.currency"),
    ((*CALL, "volatility"), -0.5, "market.instruments.CALL.volatility"),
    ((*CALL, "volatility"), math.nan, "market.instruments.CALL.volatility"),
    ((*CALL, "mark"), 65_000.0 * 1e8, "market.instruments.CALL.mark"),
    ((*CALL, "mark"), 9e8, "market.instruments.CALL.mark"),
    ((*CALL, "mark"), 80_000.0, "market.instruments.CALL.mark"),
    ((*CALL, "expiry"), NOW - 1, "market.instruments.CALL.expiry"),
    ((*CALL, "expiry"), None, "market.instruments.CALL.expiry"),
    ((*CALL, "strike"), None, "market.instruments.CALL.strike"),
    ((*CALL, "option"), "straddle", "market.instruments.CALL.option"),
    ((*CALL, "kind"), "swap", "market.instruments.CALL.kind"),
    ((*CALL, "delta"), -0.2, "market.instruments.CALL.delta"),
    ((*CALL, "colour"), "red", "market.instruments.CALL"),
    ((*EXPIRY, "forward"), math.inf, "market.expiries[0].forward"),
    ((*EXPIRY, "forward"), 60_000.0 * 1e4 * 2, "market.expiries[0].forward"),
    ((*EXPIRY, "forward"), 60_000.0 * 101, "market.expiries[0].forward"),
    (("market", "currencies", "USDC", "price"), 1e8, "market.currencies.USDC.price"),
    (("market", "currencies", "USDC", "price"), 1e-8, "market.currencies.USDC.price"),
    (("market", "currencies", "BTC"), {"price": 60_000.0 * 101}, "market.currencies.BTC.price"),
    (("market", "currencies", "CBBTC"), {"price": 6e8}, "market.currencies.CBBTC.price"),
    (("positions", 0, "entry_price"), 6e-4, "positions[0].entry_price"),
    (("positions", 0, "entry_price"), 6e8, "positions[0].entry_price"),
    (("positions", 0, "unrealised"), 1e6, "positions[0].unrealised"),
    (("orders",), [{"instrument": "PERP", "side": "sell", "size": 1.0, "price": 6e8}], "orders[0].price"),
    (("orders",), [{"instrument": "CALL", "side": "sell", "size": 1.0, "price": 8e4}], "orders[0].price"),
    ((*EXPIRY, "time"), NOW - 1, "market.expiries[0].time"),
    ((*EXPIRY, "fixed"), 70_000.0, "market.expiries[0].fixed"),
    ((*EXPIRY, "fixed"), 1.0, "market.expiries[0].fixed"),
    (("market", "currencies", "USD"), {"price": 10.0}, "market.currencies.USD.price"),
    ((*EXPIRY, "underlying"), "ETH", "market.expiries[0].underlying"),
    (("positions", 0, "instrument"), "NONE", "positions[0].instrument"),
    (("positions", 0, "instrument"), "CALL", "positions[1].instrument"),
    (("positions", 0, "size"), 1e13, "positions[0].size"),
    (("positions", 0, "size"), math.nan, "positions[0].size"),
    (("balances", "DOGE"), 1.0, "market.currencies.DOGE"),
    (("orders",), [{"instrument": "NONE", "side": "buy", "size": 1.0, "price": 1.0}], "orders[0].instrument"),
    (("orders",), [{"instrument": "CALL", "side": "buy", "size": -1.0, "price": 1.0}], "orders[0].size"),
    (("parameters",), {"assets": {"BTC": {"unhedged": math.nan}}}, "parameters.assets.BTC.unhedged"),
])  # fmt: skip
def test_bad_input_is_refused_with_field_value_and_rule(path, value, field):
    with pytest.raises(InputError) as error:
        convert(changed(path, value))
    assert error.value.field == field
    assert error.value.rule


@pytest.mark.parametrize(("form", "kind", "most"), [
    ("linear", "call", 61_000.0), ("linear", "put", 65_000.0),
    ("inverse", "call", 1.0), ("inverse", "put", 65_000.0 / 60_000.0),
])  # fmt: skip
def test_a_premium_is_at_most_what_the_option_can_be_worth(form, kind, most):
    """A call its underlying, here the forward; a put its strike; a tenth more for ticks, rates and a late forward."""
    whole = document()
    whole["market"]["expiries"][0]["forward"] = 61_000.0
    option = whole["market"]["instruments"]["CALL"]
    option |= {"form": form, "option": kind, "strike": 65_000.0, "currency": "BTC" if form == "inverse" else "USDC"}
    option["mark"] = 1.09 * most
    assert convert(whole)
    option["mark"] = 1.11 * most
    with pytest.raises(InputError, match=r"1\.1 times its") as refused:
        convert(whole)
    assert refused.value.field == "market.instruments.CALL.mark"


@pytest.mark.parametrize("name", ["seawall", "paradex", "deribit-portfolio"])
def test_a_volatility_beyond_the_formulas_is_refused_by_its_name(name):
    with pytest.raises(InputError) as error:
        model(name).evaluate(convert(changed((*CALL, "volatility"), 6e4)))
    assert (error.value.field, error.value.value) == ("market.instruments.CALL.volatility", 6e4)


@pytest.mark.parametrize(("text", "field", "rule"), [
    (b"", "portfolio", "one JSON document"),
    (b"[1]", "portfolio", "Expected `object`"),
    (b'{"format": 1, "time": NaN}', "portfolio", "finite"),
    (b'{"format": 1, "time": 1, "time": 2}', "time", "once"),
    (b"\xff\xfe", "portfolio", "one JSON document"),
    (b"[" * 200_000, "portfolio", "one JSON document"),
])  # fmt: skip
def test_what_is_no_portfolio_is_refused(text, field, rule):
    with pytest.raises(InputError) as error:
        read(text)
    assert error.value.field == field
    assert rule in error.value.rule


def test_a_path_into_an_override_is_spelled_too():
    whole = document() | {"parameters": {"assets": {"BTC": {"unhedged": -1}}}}
    with pytest.raises(InputError) as error:
        model("paradex").evaluate(convert(whole))
    assert (error.value.field, error.value.value) == ("parameters.assets.BTC.unhedged", -1)


def test_the_value_that_broke_the_rule_is_named():
    with pytest.raises(InputError) as error:
        convert(changed(("positions", 0, "size"), 1e13))
    assert (error.value.field, error.value.value) == ("positions[0].size", 1e13)


@pytest.mark.parametrize(("name", "path", "match"), [
    ("paradex", (*CALL, "volatility"), r"CALL\.volatility"),
    ("paradex", ("market", "instruments", "PERP", "mark"), r"PERP\.mark"),
    ("paradex", EXPIRY, "market.expiries"),
    ("deribit-standard", (*CALL, "mark"), r"CALL\.mark"),
    ("derive-pmrm-2", (*CALL, "volatility"), r"CALL\.volatility"),
])  # fmt: skip
def test_a_missing_number_is_refused_by_the_model_that_reads_it(name, path, match):
    with pytest.raises(InputError, match=match) as error:
        model(name).evaluate(convert(changed(path, None)))
    assert "must be" in error.value.rule


@pytest.mark.parametrize(("name", "parameters", "field"), [
    ("deribit-portfolio", {"extended_moves": [-0.5, 0.0, 0.5]}, "parameters.extended_moves"),
    ("derive-pmrm-2", {"scenarios": []}, "parameters.scenarios"),
])  # fmt: skip
def test_parameters_that_leave_no_number_are_refused(name, parameters, field):
    """A move of 0 made its entry NaN, and the worst of the table nothing."""
    portfolio = convert(document())
    with pytest.raises(InputError) as error:
        model(name).evaluate(msgspec.structs.replace(portfolio, parameters=parameters))
    assert error.value.field == field
    with pytest.raises(InputError, match=r"power = 1000\.0: must leave a scale"):
        term_scale(1.0, 1.0, 1000.0, 0.1, short_at_switch=False)


def test_a_portfolio_survives_json():
    portfolio = convert(document())
    assert read(msgspec.json.encode(portfolio)) == portfolio
    assert read(json.dumps(document())) == portfolio
    assert isinstance(portfolio, Portfolio)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(10**20), 10**20), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=8,
    ),
    st.sampled_from(
        [
            ("time",),
            ("market",),
            ("positions",),
            ("positions", 0),
            ("positions", 0, "size"),
            CALL,
            (*CALL, "mark"),
            EXPIRY,
            (*EXPIRY, "forward"),
            ("balances",),
            ("orders",),
            ("parameters",),
            ("market", "instruments"),
        ]
    ),
)
def test_anything_put_anywhere_is_read_or_refused(junk, path):
    """Whatever a field holds, the answer is InputError or finite numbers."""
    whole = changed(path, junk) if junk is not None else document()
    for name in names():
        try:
            report = model(name).evaluate(convert(whole))
        except InputError as error:
            assert error.rule
        else:
            assert all(map(math.isfinite, (report.initial, report.maintenance, report.equity)))


@pytest.mark.parametrize("name", ["paradex", "derive-pmrm-2", "deribit-standard", "deribit-portfolio"])
def test_every_answer_is_one_json_document(name):
    portfolio = convert(document())
    made = json.loads(json.dumps(model(name).evaluate(portfolio).document(), allow_nan=False))
    assert made["model"] == name
    assert made["excess"]["initial"] == made["equity"] - made["requirement"]["initial"]
    assert made["ratio"]["initial"] == pytest.approx(made["equity"] / made["requirement"]["initial"])
    assert made["ok"] == (made["excess"]["initial"] >= 0)
    again = model(name).evaluate(portfolio).document()
    assert json.loads(json.dumps(again)) == made


@pytest.mark.parametrize("name", ["paradex", "derive-pmrm-2", "deribit-standard", "deribit-portfolio"])
def test_more_collateral_never_lowers_excess(name):
    whole = document()
    excess = []
    for cash in (-1e6, 0.0, 1.0, 50_000.0, 1e9):
        whole["balances"] = {"USDC": cash}
        report = model(name).evaluate(convert(whole))
        excess.append(report.equity - report.initial)
    assert excess == sorted(excess)


def test_an_empty_portfolio_asks_nothing():
    empty = {"format": 1, "time": NOW, "market": {"underlyings": {"BTC": {"index": 60_000.0}}}}
    for balances in ({}, {"USD": 0.0}):
        for name in names():
            whole = empty | {"balances": balances}
            if name.startswith("derive"):
                whole["market"] = empty["market"] | {"currencies": {"USDC": {"price": 1.0}}}
                whole["balances"] = {"USDC": 0.0} if balances else {}
            report = model(name).evaluate(convert(whole))
            assert (report.initial, report.maintenance, report.equity) == (0, 0, 0), name
            assert report.above


def test_equity_counts_profit_and_option_value():
    assert model("paradex").evaluate(convert(document())).equity == pytest.approx(50_000 + 1_010 - 3_600)


def test_parameters_are_those_in_force():
    assert [day for day, _ in versions("paradex")] == [date(2026, 3, 16), date(2026, 6, 25)]
    portfolio = convert(document())
    assert model("paradex").evaluate(portfolio, date(2026, 6, 24)).effective == date(2026, 3, 16)
    assert model("paradex").evaluate(portfolio, date(2026, 6, 25)).effective == date(2026, 6, 25)
    for name in names():
        for day, file in versions(name):
            assert file == f"{name}-{day}.json"


def test_rounding_is_of_the_decimal_that_is_printed():
    assert rounded(0.12286134298, 9) == 0.122861343
    assert rounded(2.5e-9, 9) == 2e-9


def test_models_plug_in_by_entry_point(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("class House:\n    name = 'house'\n")
    folder = tmp_path / "elsewhere-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(
        "[seawall.margin_models]\nhouse = elsewhere:House\nparadex = elsewhere:House\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert names()[-1] == "house"
    assert model("house").name == "house"
    assert model("paradex").name == "paradex"
    assert "elsewhere" in sys.modules
    with pytest.raises(InputError, match="'house'"):
        model("nobody")


def test_the_page_names_every_field_and_model():
    page = (Path(__file__).parents[2] / "docs" / "margin.md").read_text()
    for kind in (Portfolio, Market, Underlying, Currency, Expiry, Instrument, Position, Order):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.name}`" in page, field.name
    for name in names():
        assert f"`{name}`" in page
    for field in model("paradex").evaluate(convert(document())).document():
        assert f"`{field}`" in page


def test_the_shipped_example_is_margined_by_every_model_but_span():
    text = (Path(__file__).parents[2] / "examples" / "portfolio.json").read_text()
    for name in set(names()) - {"span", "house"}:
        check_sums(model(name).evaluate(read(text), date(2026, 7, 20)))
