"""Deribit: two published responses of the risk matrix, the futures schedule, the option formulas, rules by hand."""

from datetime import date

import pytest
from margin_vectors import VECTORS, answers, check_sums

from seawall.risk.margin import convert, model
from seawall.risk.margin.deribit_standard import DeribitStandardParameters, standard_parameters
from seawall.risk.margin.parameter_sets import in_force
from seawall.risk.standard import StandardParameters
from seawall.vocabulary.errors import InputError

NOW = 1_784_500_000_000
DAY = 86_400_000
SPOT = 60_000.0


def book(*positions, cash=None, orders=(), left=30 * DAY, **parameters):
    """(coins, "perp" | "future"), (coins, "usdc"), (contracts, strike, kind) inverse options at 50 % volatility."""
    instruments, held = {}, []
    for number, (size, *rest) in enumerate(positions):
        spec = {"underlying": "BTC", "currency": "BTC", "form": "inverse"}
        if rest[0] == "usdc":
            spec = {"kind": "perpetual", "underlying": "BTC", "currency": "USDC", "mark": SPOT}
        elif rest[0] in ("perp", "future"):
            spec |= {"kind": "perpetual", "mark": SPOT}
            spec |= {"kind": "future", "expiry": NOW + left} if rest[0] == "future" else {}
            size *= SPOT
        else:
            spec |= {"kind": "option", "expiry": NOW + left, "strike": rest[0], "option": rest[1], "volatility": 0.5}
            spec["mark"] = 0.05
        instruments[f"I{number}"] = spec
        held.append({"instrument": f"I{number}", "size": size})
    market = {
        "underlyings": {"BTC": {"index": SPOT}},
        "instruments": instruments,
        "expiries": [{"underlying": "BTC", "time": NOW + left, "forward": SPOT}],
        "currencies": {"USDC": {"price": 1.0}},
    }
    whole = {"format": 1, "time": NOW, "market": market, "positions": held, "orders": list(orders)}
    return whole | {"balances": cash or {}, "parameters": parameters}


def ask(name, *positions, **parts):
    report = model(name).evaluate(convert(book(*positions, **parts)))
    check_sums(report)
    return report


def matrix(*positions, **parts):
    return ask("deribit-portfolio", *positions, **parts)


def near(found, expected, tolerance):
    """Every number of `expected` is in `found`."""
    if isinstance(expected, dict):
        return all(near(found[name], value, tolerance) for name, value in expected.items())
    return found == pytest.approx(expected, rel=1e-16, abs=tolerance)


def test_published_responses():
    """Both responses to the last bit or its neighbour, and the recomputed vectors. No option is published.

    The recomputed ones are position * (1 - 1/(1 + m)), which loses a bit; the venue's own come out as m/(1 + m).
    """
    for case, report in answers("deribit_pme.json"):
        expected, figures = dict(case["expected"]), dict(report.blocks[0].figures)
        if "pre_aggregated" in expected:
            figures["pre_aggregated"] = next(iter(figures["pre_aggregated"].values()))
        largest = max(map(abs, case["input"]["position"].values()))
        tolerance = 1e-17 if case["published"] else 3e-16 * largest
        for name, value in expected.items():
            assert near(figures[name], value, tolerance), (case["id"], name)
        if case["published"]:
            assert report.initial == expected["initial_margin"]
            assert report.maintenance == expected["maintenance_margin"]


def test_published_schedule_and_option_formulas():
    """30 cases to the last digit of a double. The case of the mark price's rule is no portfolio."""
    for case, report in answers("deribit_standard_margin.json"):
        expected = case["expected"]
        assert report.initial == pytest.approx(expected["initial_margin_coin"], rel=3e-16, abs=0), case["id"]
        if "maintenance_margin_coin" in expected:
            assert report.maintenance == pytest.approx(expected["maintenance_margin_coin"], rel=3e-16, abs=0)
        if "initial_margin_rate" in expected:
            size = case["input"]["position_coin"]
            assert report.initial / size == pytest.approx(expected["initial_margin_rate"], rel=1e-15)


def test_a_response_this_file_knows_by_itself():
    """The example of the API reference: 0.3145 BTC of perpetual against a sliver of a future."""
    given = {"price_range": 0.16}
    report = matrix((0.314538364, "perp"), (-0.001187534, "future"), pairs={"BTC": given}, add_ons={"BTC": {
        "mmp_margin": 0.06, "open_orders_margin": 0.000018212,
    }})  # fmt: skip
    figures = report.blocks[0].figures
    assert figures["worst_case"] == pytest.approx(0.05968587238095239, rel=1e-15)
    assert figures["roll_shock"] == pytest.approx(0.00315725898, rel=1e-14)
    assert (report.initial, figures["risk_matrix_margin"]) == (0.122861343, pytest.approx(0.06284313098, rel=1e-14))


def test_the_worst_case_is_rounded_before_the_roll_shock_is_added():
    figures = matrix((0.1, "perp")).blocks[0].figures
    assert figures["risk_matrix_margin"] == pytest.approx(round(figures["worst_case"], 9) + 0.001, rel=1e-15)
    assert figures["worst_case"] != round(figures["worst_case"], 9)


def test_an_inverse_future_is_concave_and_its_tail_ends_at_the_range():
    figures = matrix((1.0, "perp")).blocks[0].figures["initial_risk_vectors"]["I0"]
    assert figures["standard"][0] == pytest.approx(-0.16 / 0.84)
    assert figures["standard"][-1] == pytest.approx(0.16 / 1.16)
    assert figures["extended"] == pytest.approx([-0.16 / 0.84] * 2 + [0.16 / 1.16] * 6)


def test_a_short_far_call_is_decided_by_the_extended_table_less_its_dampener():
    report = matrix((-400.0, 200_000.0, "call"))
    block = report.blocks[0]
    assert block.deciding == "extended: price +500%, volatility up"
    raw = block.figures["pre_aggregated"]["BTC"]["extended"][-1]
    assert block.figures["worst_case"] == pytest.approx(-raw - 100_000 / SPOT)


def test_gains_of_a_pair_count_by_the_offset_up_to_its_cap():
    """ETH gains pay for BTC losses of the same currency at 40 %, up to a million dollars."""
    document = book((10.0, "usdc"))
    market = document["market"]
    market["underlyings"]["ETH"] = {"index": 2_000.0}
    market["instruments"]["E"] = {"kind": "perpetual", "underlying": "ETH", "currency": "USDC", "mark": 2_000.0}
    for size, counted in ((-300.0, 0.4 * 300 * 2_000 * 0.18), (-300_000.0, 1e6)):
        document["positions"] = [document["positions"][0], {"instrument": "E", "size": size}]
        down = model("deribit-portfolio").evaluate(convert(document)).blocks[0].figures["aggregated"]["standard"][0]
        assert down == pytest.approx(-10 * SPOT * 0.16 + counted)


def test_the_roll_shock_counts_each_expirys_net_delta():
    """Long a perpetual and short a future of 300 days: 1 % of one, 7.5 % * 300/365 of the other."""
    figures = matrix((2.0, "perp"), (-2.0, "future"), left=300 * DAY).blocks[0].figures
    assert figures["worst_case"] == pytest.approx(0, abs=1e-15)
    assert figures["roll_shock"] == pytest.approx(2 * 0.01 + 2 * 0.075 * 300 / 365)


def test_the_delta_of_a_coin_option_is_less_by_its_premium():
    report = matrix((1.0, 1_000.0, "call"))
    assert report.contributions[0].detail["delta"] == pytest.approx(1 - 59_000 / 60_000)


def test_expiring_contracts_decay_over_the_last_half_hour():
    open_, half = (matrix((1.0, "future"), left=left).blocks[0].figures for left in (1_800_000, 900_000))
    assert half["roll_shock"] == pytest.approx(open_["roll_shock"] / 2)
    assert half["initial_risk_vectors"]["I0"]["standard"][0] == pytest.approx(-0.08 / 0.92)


def test_a_delta_beyond_the_threshold_is_said_to_be_unpublished():
    assert not matrix((300.0, "perp")).notes
    report = matrix((400.0, "perp"))
    assert "no formula" in report.notes[0]
    assert report.blocks[0].figures["delta_shock"] == pytest.approx(0.1 * (400 - 20_000_000 / SPOT))


def test_currencies_are_separate_blocks_and_add_in_dollars():
    report = matrix((1.0, "perp"), (1.0, "usdc"), cash={"BTC": 1.0, "USDC": 1_000.0})
    assert report.currency == "USD"
    assert report.equity == 61_000
    coin, dollars = report.blocks
    assert (coin.currency, dollars.currency) == ("BTC", "USDC")
    assert report.initial == pytest.approx(coin.initial * SPOT + dollars.initial)


def test_long_options_ask_nothing_and_their_value_is_no_equity():
    report = ask("deribit-standard", (5.0, 60_000.0, "call"), cash={"BTC": 1.0})
    assert (report.initial, report.maintenance, report.equity) == (0.0, 0.0, 1.0)
    assert report.document()["ratio"] == {"initial": None, "maintenance": None}


def test_a_linear_perpetual_asks_the_same_fractions_in_dollars():
    report = ask("deribit-standard", (10.0, "usdc"))
    assert report.initial == pytest.approx((0.02 + 0.00005 * 10) * 10 * SPOT)


def test_the_engines_defaults_are_the_data_files():
    known = in_force("deribit-standard", convert(book()), None, DeribitStandardParameters)
    assert standard_parameters(known.parameters, known.effective) == StandardParameters()


def test_open_orders_are_charged_at_the_worse_side():
    """Long 1: two more bought ask for three; two sold leave one short. At the mark, equity does not move."""
    held = (1.0, "perp")
    orders = [{"instrument": "I0", "side": side, "size": 2 * SPOT, "price": SPOT} for side in ("buy", "sell")]
    plain, ordered, three = matrix(held), matrix(held, orders=orders), matrix((3.0, "perp"))
    assert ordered.initial == pytest.approx(three.initial)
    assert ordered.maintenance == plain.maintenance
    assert "our own rule" in ordered.notes[0]
    dear = matrix(held, orders=[orders[0] | {"price": 2 * SPOT}])
    assert dear.initial == pytest.approx(three.initial + 2 * SPOT * (1 / SPOT - 1 / (2 * SPOT)))


@pytest.mark.parametrize("name", ["paradex", "seawall"])
def test_open_orders_that_may_fill_together_are_asked_together(name):
    """A bid on one coin and an offer on another; a bid and an offer of a put: neither pays for the other."""
    whole = book((1.0, "usdc"), (1.0, "usdc"), (1.0, 55_000.0, "put"))
    market = whole["market"]
    market["underlyings"]["ETH"] = {"index": 3_000.0}
    market["instruments"]["I1"] |= {"underlying": "ETH", "mark": 3_000.0}
    market["instruments"]["I2"] |= {"currency": "USDC", "form": "linear", "mark": 2_000.0}

    def asked(*orders, held=()):
        balances = {"USDC": 1e6 + sum(2_000.0 for order in orders if order["instrument"] == "I2")}
        raw = whole | {"positions": list(held), "balances": balances if held else {"USDC": 1e6}}
        return model(name).evaluate(convert(raw | {"orders": [] if held else list(orders)})).initial

    terms = (("I0", "buy", 1.0, SPOT), ("I1", "sell", 20.0, 3_000.0), ("I2", "sell", 1.0, 2_000.0))
    orders = [dict(zip(("instrument", "side", "size", "price"), row, strict=True)) for row in terms]
    filled = [
        {"instrument": row["instrument"], "size": row["size"] * (1 if row["side"] == "buy" else -1)} for row in orders
    ]
    assert asked(*orders[:2]) == pytest.approx(asked(*orders[:2], held=filled[:2]))
    assert asked(orders[0], orders[2]) == pytest.approx(asked(orders[0], orders[2], held=[filled[0], filled[2]]))
    assert asked(*orders) == pytest.approx(asked(*orders, held=filled))


def test_an_order_whose_gain_would_pay_for_anothers_loss_is_left_out():
    """With gains offset between pairs, both filled ask less than the dearer one alone."""
    whole = book((1.0, "usdc"), (1.0, "usdc"))
    whole["market"]["underlyings"]["ETH"] = {"index": 3_000.0}
    whole["market"]["instruments"]["I1"] |= {"underlying": "ETH", "mark": 3_000.0}
    bid = {"instrument": "I0", "side": "buy", "size": 1.0, "price": SPOT}
    offer = {"instrument": "I1", "side": "sell", "size": 20.0, "price": 3_000.0}
    alone, both = (
        model("deribit-portfolio").evaluate(convert(whole | {"positions": [], "orders": orders})).initial
        for orders in ([offer], [bid, offer])
    )
    assert both == pytest.approx(alone)


def test_option_orders_pay_their_premium():
    order = {"instrument": "I0", "side": "buy", "size": 10.0, "price": 0.06}
    plain, ordered = matrix((1.0, 60_000.0, "call")), matrix((1.0, 60_000.0, "call"), orders=[order])
    eleven = matrix((11.0, 60_000.0, "call"))
    assert ordered.initial == pytest.approx(eleven.initial + 10 * (0.06 - 0.05))
    assert ordered.equity == plain.equity


def test_no_parameters_no_answer():
    with pytest.raises(InputError, match="2024-06-17"):
        model("deribit-portfolio").evaluate(convert(book((1.0, "perp"))), date(2024, 6, 16))


def test_the_case_that_is_no_portfolio_is_left_to_the_room_of_prices():
    """Its rule, index plus an average of market less index, is tested in tests/prices/test_futures_mark.py."""
    if not VECTORS.exists():
        pytest.skip("golden vectors absent")
    import json

    cases = json.loads((VECTORS / "deribit_standard_margin.json").read_text())["cases"]
    others = {case["type"] for case in cases} - {"inverse_future", "inverse_option"}
    assert others == {"mark_price"}
