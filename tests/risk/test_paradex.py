"""Paradex: every published and recomputed case, and the rules by hand."""

import pytest
from margin_vectors import SIXTH, answers, check_sums

from seawall.risk.margin import convert, model
from seawall.vocabulary.errors import InputError

DAY = 86_400_000
NOW = 1_784_500_000_000  # July 2026


def book(*positions, spot=70_000.0, coin="BTC", cash=0.0, **parameters):
    """(size, "perp") or (size, strike, kind, days) in dollars, options at 50 % volatility."""
    instruments, held, ends = {}, [], set()
    for number, (size, *rest) in enumerate(positions):
        spec = {"underlying": coin, "currency": "USDC"}
        if rest[0] == "perp":
            spec |= {"kind": "perpetual", "mark": spot}
        else:
            strike, kind, days = rest
            end = NOW + round(days * DAY)
            spec |= {"kind": "option", "expiry": end, "strike": strike, "option": kind, "volatility": 0.5}
            ends.add(end)
        instruments[f"I{number}"] = spec
        held.append({"instrument": f"I{number}", "size": size})
    market = {
        "underlyings": {coin: {"index": spot}},
        "currencies": {"USDC": {"price": 1.0}},
        "instruments": instruments,
        "expiries": [{"underlying": coin, "time": end, "forward": spot} for end in sorted(ends)],
    }
    return {
        "format": 1, "time": NOW, "market": market, "positions": held, "balances": {"USDC": cash},
        "parameters": parameters,
    }  # fmt: skip


def ask(*positions, **parts):
    report = model("paradex").evaluate(convert(book(*positions, **parts)))
    check_sums(report)
    return report


def test_published_cases():
    """42 cases to all six printed decimals; the box has no risk, so its worst scenario is rounding and not compared."""
    for case, report in answers("paradex_pm.json"):
        expected, figures = case["expected"], report.blocks[0].figures
        if case["type"] == "shocked_iv":
            detail = report.contributions[0].detail
            assert detail["shocked_volatility"] == pytest.approx(expected["shocked_iv"], rel=1e-15), case["id"]
        elif case["type"] == "min_delta":
            assert {name: figures[name] for name in expected} == expected
        else:
            losses = pytest.approx(expected["weighted_losses"], rel=0, abs=SIXTH)
            assert figures["weighted_losses"] == losses, case["id"]
            assert figures["scan_risk"] == pytest.approx(expected["scan_risk"], rel=0, abs=SIXTH)
            floored = expected.get("scan_risk_with_floor_040_on_scaled_up_shock")
            if floored is not None:
                lifted = figures["scan_risk_with_volatility_floor"]
                assert lifted == pytest.approx(floored, rel=0, abs=SIXTH), case["id"]
            if expected["scan_risk"]:
                assert figures["worst_scenario"] == expected["worst_scenario"], case["id"]


def test_a_perpetual_by_hand():
    report = ask((1.0, "perp"), cash=12_000.0)
    assert (report.initial, report.maintenance) == (pytest.approx(11_200), pytest.approx(5_600))
    assert report.above
    assert report.blocks[0].deciding == "spot -16%, volatility +40.0%, x 1"
    assert not ask((1.0, "perp"), cash=11_199.0).above


def test_min_delta_of_a_hedged_book_decides_and_is_an_add_on():
    # Long and short 10 of what is nearly the same: no scenario loses much, hedged delta is about 10.
    report = ask((10.0, "perp"), (-10.0, 70.0, "call", 30))
    figures = report.blocks[0].figures
    assert figures["scan_risk"] < 1
    assert figures["min_delta_risk"] == pytest.approx(0.01 * 10 * 70_000)
    assert report.initial == figures["min_delta_risk"]
    assert report.blocks[0].deciding == "min delta"


def test_the_published_min_delta_example():
    """1 perpetual, short 5 calls of delta 0.3 at 70,000: 1,400 dollars."""
    document = book((1.0, "perp"), (-5.0, 70_000.0, "call", 30))
    document["market"]["instruments"]["I1"]["delta"] = 0.3
    figures = model("paradex").evaluate(convert(document)).blocks[0].figures
    assert (figures["net_delta"], figures["gross_delta"], figures["min_delta_risk"]) == (-0.5, 2.5, 1400.0)


@pytest.mark.parametrize(("days", "power"), [(0.25, 0.5), (29.999, 0.5), (30, 2.0), (31, 2.0)])
def test_the_vega_power_switches_below_thirty_days(days, power):
    """With a floor of 60 days, for at 30 days (30/30)^p is 1 by either power."""
    parts = {"assets": {"BTC": {"scenarios": [[0.0, -0.5, 1.0]]}}, "short_power": 0.5, "long_power": 2.0}
    report = ask((1.0, 70_000.0, "call", days), dte_floor=60, **parts)
    shocked = report.contributions[0].detail["shocked_volatility"]
    assert shocked == pytest.approx(0.5 * (1 - 0.5 * 0.5**power))


def test_less_than_the_floor_of_days_is_the_floor():
    row = {"assets": {"BTC": {"scenarios": [[0.0, 0.4, 1.0]]}}}
    shocked = [
        ask((-1.0, 70_000.0, "call", days), **row).contributions[0].detail["shocked_volatility"] for days in (0.25, 1)
    ]
    assert shocked[0] == shocked[1] == pytest.approx(0.5 * (1 + 0.4 * 30**0.3))


def test_a_volatility_shocked_below_zero_is_zero():
    row = {"assets": {"BTC": {"scenarios": [[0.0, -0.9, 1.0]]}}}
    assert ask((1.0, 70_000.0, "call", 1), **row).contributions[0].detail["shocked_volatility"] == 0


def test_provisions_are_added_whole_to_both_rows():
    document = book((2.0, "perp"), taker_fee=0.0003)
    document["market"]["instruments"]["I0"]["funding_rate"] = 0.0001
    report = model("paradex").evaluate(convert(document))
    check_sums(report)
    scan = 2 * 11_200
    assert report.initial == pytest.approx(scan + 14 + 42)
    assert report.maintenance == pytest.approx(scan / 2 + 14 + 42)


def test_the_floor_may_be_chosen():
    """90 days out the upward shock is 0.4 * (1/3)^0.13 and the floor lifts it to 0.4."""
    plain, floored = (ask((-1.0, 90_000.0, "call", 90), volatility_floor=word) for word in ("none", "scaled"))
    assert floored.initial == floored.blocks[0].figures["scan_risk_with_volatility_floor"] > plain.initial


def test_underlyings_add():
    document = book((1.0, "perp"))
    market = document["market"]
    market["underlyings"]["ETH"] = {"index": 2_000.0}
    market["instruments"]["E"] = {"kind": "perpetual", "underlying": "ETH", "currency": "USDC", "mark": 2_000.0}
    document["positions"].append({"instrument": "E", "size": -10.0})
    report = model("paradex").evaluate(convert(document))
    assert report.initial == pytest.approx(11_200 + 3_200)
    assert [block.name for block in report.blocks] == ["BTC", "ETH"]


def test_tables_change_by_date():
    """A short far call: the tail weighs 3.2 % in March 2026 and 2.4 % since."""
    from datetime import date

    portfolio = convert(book((-10.0, 140_000.0, "call", 30)))
    march, july = (model("paradex").evaluate(portfolio, day) for day in (date(2026, 3, 31), None))
    assert march.initial == pytest.approx(july.initial * 3.2 / 2.4)
    assert (march.effective, july.effective) == (date(2026, 3, 16), date(2026, 6, 25))


@pytest.mark.parametrize(("coin", "form", "kind", "match"), [
    ("DOGE", "linear", "perpetual", "must be one of"),
    ("BTC", "inverse", "perpetual", "paradex knows form"),
    ("BTC", "linear", "future", "paradex knows kind"),
])  # fmt: skip
def test_what_the_venue_does_not_list_is_refused(coin, form, kind, match):
    document = book((1.0, "perp"), coin=coin)
    spec = document["market"]["instruments"]["I0"]
    spec |= {"form": form, "kind": kind, "currency": coin if form == "inverse" else "USDC"}
    if kind == "future":
        spec["expiry"] = NOW + DAY
    with pytest.raises(InputError, match=match):
        model("paradex").evaluate(convert(document))
