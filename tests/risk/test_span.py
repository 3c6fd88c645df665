"""SPAN: the published arrays, the recomputed ones, and the sixteen scenarios by hand."""

import pytest
from margin_vectors import SIXTH, answers, check_sums

from seawall.risk.margin import convert, model
from seawall.vocabulary.errors import InputError

NOW = 1_784_500_000_000
DAY = 86_400_000


def book(*positions, ranges=(900.0, 0.2), arrays=None, **parameters):
    """(size, "future") or (size, strike, kind) of one commodity at 10,000 dollars, options 73 days at 40 %."""
    spec = {"underlying": "X", "currency": "USD"}
    instruments, held = {}, []
    for number, (size, *rest) in enumerate(positions):
        made = spec | {"kind": "perpetual", "mark": 10_000.0}
        if rest[0] != "future":
            made = spec | {"kind": "option", "expiry": NOW + 73 * DAY, "strike": rest[0], "option": rest[1]}
            made |= {"volatility": 0.4}
        if arrays is not None:
            made["array"] = arrays[number]
        instruments[f"I{number}"] = made
        held.append({"instrument": f"I{number}", "size": size})
    product = {"price_scan_range": ranges[0], "volatility_scan_range": ranges[1]}
    market = {
        "underlyings": {"X": {"index": 10_000.0}},
        "instruments": instruments,
        "expiries": [{"underlying": "X", "time": NOW + 73 * DAY, "forward": 10_000.0}],
    }
    parameters = {"products": {"X": product}} | parameters
    return {"format": 1, "time": NOW, "market": market, "positions": held, "parameters": parameters}


def ask(*positions, **parts):
    report = model("span").evaluate(convert(book(*positions, **parts)))
    check_sums(report)
    return report


def test_published_cases():
    """14 cases: McMillan's arrays as printed, the recomputed ones to all six decimals."""
    for case, report in answers("span16.json"):
        expected, figures = case["expected"], report.blocks[0].figures
        assert figures["risk_array"] == pytest.approx(expected["pnl"], rel=0, abs=SIXTH), case["id"]
        asked = expected["scan_risk"] if "scan_risk" in expected else expected["requirement"]
        assert report.maintenance == pytest.approx(asked, rel=0, abs=SIXTH)
        worst = expected["worst_scenario"]
        assert figures["worst_scenarios"] == (worst if isinstance(worst, list) else [worst]), case["id"]


def test_a_future_by_hand():
    """Thirds of the range twice each, and the extreme move of 3 ranges at 33 % (2 at 35 % before)."""
    report = ask((1.0, "future"))
    steps = [0, 0, 300, 300, -300, -300, 600, 600, -600, -600, 900, 900, -900, -900]
    assert report.blocks[0].figures["risk_array"] == pytest.approx([*steps, 891, -891])
    assert report.blocks[0].figures["worst_scenarios"] == [13, 14]
    early = ask((1.0, "future"), extreme_multiple=2, cover_fraction=0.35)
    assert early.blocks[0].figures["risk_array"][14:] == pytest.approx([630, -630])


def test_a_covered_write_is_the_future_less_the_call():
    """McMillan's figures: 10,000 for the future alone, arrays add."""
    future = [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670, 10000, 10000, -10000, -10000, 7000, -7000]
    call = [460, -610, 2640, 1730, -1270, -2340, 5210, 4540, -2540, -3430, 8060, 7640, -3380, -3990, 3130, -1500]
    assert ask((1.0, "future"), arrays=[future]).maintenance == 10_000
    report = ask((1.0, "future"), (-1.0, "future"), arrays=[future, call])
    expected = [long - short for long, short in zip(future, call, strict=True)]
    assert report.blocks[0].figures["risk_array"] == pytest.approx(expected)
    assert report.maintenance == -min(expected) == 6_620


def test_a_box_asks_nothing_but_the_day_that_passes():
    report = ask((1.0, 9_000.0, "call"), (-1.0, 9_000.0, "put"), (-1.0, "future"), lookahead_days=1)
    assert report.maintenance == pytest.approx(0, abs=1e-9)
    assert ask((1.0, 9_000.0, "call"), ranges=(0.0, 0.0)).maintenance > 0


def test_initial_is_maintenance_times_its_ratio():
    report = ask((1.0, "future"), initial_ratio=1.1)
    assert (report.initial, report.maintenance) == (pytest.approx(990), pytest.approx(900))


@pytest.mark.parametrize(("parts", "match"), [
    ({"products": {}}, r"parameters\.products\.X"),
    ({"arrays": [[1.0] * 15]}, "must have 16 numbers"),
    ({"ranges": (4_000.0, 0.2)}, "must leave every price positive"),
    ({"ranges": (-1.0, 0.2)}, "price_scan_range"),
])  # fmt: skip
def test_bad_input_is_refused_by_name(parts, match):
    with pytest.raises(InputError, match=match):
        ask((1.0, 9_000.0, "call"), **parts)
