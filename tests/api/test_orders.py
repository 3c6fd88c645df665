"""Looking orders and trades up: open, finished, triggered, executed."""

import pytest
from api_venue import ALICE, BOB, PERPETUAL, PRICE, START_NS, Venue

from seawall.api import rates
from seawall.node.configuration import Rate
from seawall.node.configuration import Rates as Limits


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """A day of BOB's: two trades, a cancelled order, stops, and one that rests."""
    venue = Venue(tmp_path_factory.mktemp("traded"))
    venue.sell(ALICE, 1000, PRICE)
    venue.first = venue.buy(BOB, 300, PRICE, label="one")
    venue.pass_time(10)
    venue.second = venue.buy(BOB, 500, PRICE, label="two")
    venue.gone = venue.buy(BOB, 100, 50_000.0, label="gone")
    venue.result("private/cancel", BOB, order_id=venue.gone["order_id"])
    venue.resting = venue.buy(BOB, 200, 55_000.0, label="rest")
    stop = {"type": "stop_limit", "trigger_price": 58_000.0, "trigger": "mark_price", "label": "stop"}
    venue.stop_order = venue.sell(BOB, 100, 57_000.0, **stop)
    yield venue
    venue.stop()


def ids(orders):
    return [order["order_id"] for order in orders]


def test_an_order_is_found_by_its_id_in_every_state(traded):
    for order, state in (
        (traded.first, "filled"),
        (traded.gone, "cancelled"),
        (traded.resting, "open"),
        (traded.stop_order, "untriggered"),
    ):
        found = traded.result("private/get_order_state", BOB, order_id=order["order_id"])
        assert (found["order_id"], found["order_state"]) == (order["order_id"], state)
    assert traded.error("private/get_order_state", BOB, order_id="BTC-999999")["code"] == 10004
    assert traded.error("private/get_order_state", BOB, order_id="nonsense")["code"] == 10004
    assert traded.error("private/get_order_state", ALICE, order_id=traded.first["order_id"])["code"] == 10029


def test_orders_are_found_by_label_finished_ones_too(traded):
    found = traded.result("private/get_order_state_by_label", BOB, currency="BTC", label="one")
    assert ids(found) == [traded.first["order_id"]]
    assert traded.result("private/get_order_state_by_label", BOB, currency="BTC", label="none") == []
    assert traded.error("private/get_order_state_by_label", BOB, currency="BTC")["code"] == -32602


def test_open_orders_by_kind_type_instrument_currency_and_label(traded):
    both = [traded.resting["order_id"], traded.stop_order["order_id"]]
    assert ids(traded.result("private/get_open_orders", BOB)) == both
    assert ids(traded.result("private/get_open_orders", BOB, kind="option")) == []
    assert ids(traded.result("private/get_open_orders", BOB, kind="future", type="limit")) == both[:1]
    for word in ("trigger_all", "stop_all", "stop_limit"):
        assert ids(traded.result("private/get_open_orders", BOB, type=word)) == both[1:]
    assert ids(traded.result("private/get_open_orders", BOB, type="take_all")) == []
    assert ids(traded.result("private/get_open_orders_by_instrument", BOB, instrument_name=PERPETUAL)) == both
    assert ids(traded.result("private/get_open_orders_by_currency", BOB, currency="btc")) == both
    assert ids(traded.result("private/get_open_orders_by_currency", BOB, currency="USDC")) == []
    assert ids(traded.result("private/get_open_orders_by_label", BOB, currency="BTC", label="rest")) == both[:1]
    assert ids(traded.result("private/get_open_orders_by_label", BOB, currency="any")) == both
    assert traded.error("private/get_open_orders", BOB, type="nonsense")["data"]["param"] == "type"
    assert traded.error("private/get_open_orders", BOB, kind="nonsense")["data"]["param"] == "kind"
    assert traded.error("private/get_open_orders_by_currency", BOB, currency="DOGE")["data"]["param"] == "currency"
    assert traded.error("private/get_open_orders_by_instrument", BOB, instrument_name="X")["code"] == 13020


def test_history_is_a_list_newest_first_without_what_never_traded(traded):
    found = traded.result("private/get_order_history_by_instrument", BOB, instrument_name=PERPETUAL, count=1000)
    assert ids(found) == [traded.second["order_id"], traded.first["order_id"]]
    every = traded.result("private/get_order_history_by_currency", BOB, currency="BTC", include_unfilled=True)
    assert ids(every) == [traded.gone["order_id"], *ids(found)]
    page = traded.result("private/get_order_history_by_currency", BOB, currency="BTC", count=1, offset=1)
    assert ids(page) == [traded.first["order_id"]]
    assert traded.result("private/get_order_history_by_currency", BOB, currency="ETH") == []
    assert traded.error("private/get_order_history_by_currency", BOB, currency="BTC", count=1001)["code"] == -32602


def test_the_history_of_triggers_is_paged(traded):
    for name in ("get_trigger_order_history", "get_stop_order_history"):
        found = traded.result(f"private/{name}", BOB, currency="BTC")
        assert [entry["trigger_order_id"] for entry in found["entries"]] == [traded.stop_order["order_id"]]
        assert "continuation" not in found
    assert traded.error("private/get_trigger_order_history", BOB, currency="BTC", continuation="x")["code"] == -32602


def test_a_page_of_triggers_goes_on_where_the_one_before_ended(venue):
    stop = {"type": "stop_market", "trigger": "mark_price"}
    made = [venue.sell(ALICE, 10, trigger_price=50_000.0 - 10 * n, **stop)["order_id"] for n in range(5)]
    seen, mark = [], None
    for _ in range(3):
        more = {"continuation": mark} if mark else {}
        page = venue.result("private/get_trigger_order_history", ALICE, currency="BTC", count=2, **more)
        seen += [entry["trigger_order_id"] for entry in page["entries"]]
        mark = page.get("continuation")
    assert seen == made[::-1]
    assert mark is None


def test_trades_by_instrument_are_paged_and_sorted(traded):
    found = traded.result("private/get_user_trades_by_instrument", BOB, instrument_name=PERPETUAL)
    assert [trade["amount"] for trade in found["trades"]] == [500.0, 300.0]
    assert found["has_more"] is False
    up = traded.result("private/get_user_trades_by_instrument", BOB, instrument_name=PERPETUAL, sorting="asc", count=1)
    assert [trade["amount"] for trade in up["trades"]] == [300.0]
    assert up["has_more"] is True
    last = traded.result("private/get_user_trades_by_instrument", BOB, instrument_name=PERPETUAL, start_seq=2)
    assert [trade["trade_seq"] for trade in last["trades"]] == [2]
    assert traded.error(
        "private/get_user_trades_by_instrument", BOB, instrument_name=PERPETUAL, sorting="up"
    )["code"] == -32602  # fmt: skip


def test_a_trade_has_what_clients_read(traded):
    asked = {"instrument_name": PERPETUAL, "count": 1}
    (trade,) = traded.result("private/get_user_trades_by_instrument", BOB, **asked)["trades"]
    assert trade["matching_id"] is None
    assert (trade["order_id"], trade["label"]) == (traded.second["order_id"], "two")
    assert (trade["direction"], trade["liquidity"], trade["order_type"]) == ("buy", "T", "limit")
    assert trade["fee_currency"] == "BTC"
    assert trade["fee"] == pytest.approx(500 / PRICE * 0.0005, abs=1e-8)
    (other,) = traded.result("private/get_user_trades_by_instrument", ALICE, **asked)["trades"]
    assert (other["direction"], other["liquidity"]) == ("sell", "M")
    assert other["fee"] < 0
    assert other["trade_id"] == trade["trade_id"]


def test_contracts_are_whole_where_the_amount_is(tmp_path):
    venue, linear = Venue(tmp_path), "BTC_USDC-PERPETUAL"
    for count in (3, 6, 13, 3000):
        venue.sell(ALICE, count / 10_000, PRICE, name=linear)
        answer = venue.result("private/buy", BOB, instrument_name=linear, amount=count / 10_000, price=PRICE)
        (public,) = venue.result("public/get_last_trades_by_instrument", instrument_name=linear, count=1)["trades"]
        (entry,) = venue.result("private/get_transaction_log", BOB, currency="USDC", count=1)["logs"]
        assert [row["contracts"] for row in (answer["order"], *answer["trades"], public, entry)] == [count] * 4
    venue.stop()


def test_an_order_s_average_is_the_price_its_fills_are_worth_together(tmp_path):
    """A client that divides an inverse order's amount by it has the coins of its trades, and the position's average."""
    venue, option = Venue(tmp_path), "BTC-9MAR26-60000-C"
    for name, prices in ((PERPETUAL, (60_000.0, 63_000.0)), (option, (0.03, 0.0305))):
        for price in prices:
            venue.sell(ALICE, 6000 if name == PERPETUAL else 1, price, name=name)
        order = venue.buy(BOB, 12_000 if name == PERPETUAL else 2, prices[-1], name=name)
        mean = 2 / sum(1 / price for price in prices) if name == PERPETUAL else sum(prices) / 2
        assert order["average_price"] == pytest.approx(mean, abs=1e-8)
        position = venue.result("private/get_position", BOB, instrument_name=name)
        assert position["average_price"] == order["average_price"]
    venue.stop()


def test_a_trade_keeps_the_state_that_its_fill_left_the_order_in(tmp_path):
    venue = Venue(tmp_path)
    order = venue.sell(ALICE, 300, PRICE)
    taken = [
        venue.result("private/buy", BOB, instrument_name=PERPETUAL, amount=amount, price=PRICE, time_in_force=force)
        for amount, force in ((100, "good_til_cancelled"), (500, "immediate_or_cancel"))
    ]
    assert taken[1]["order"]["order_state"] == "cancelled"
    assert [trade["state"] for answer in taken for trade in answer["trades"]] == ["filled", "open"]
    found = venue.result("private/get_user_trades_by_order", ALICE, order_id=order["order_id"], sorting="asc")
    assert [trade["state"] for trade in found] == ["open", "filled"]
    found = venue.result("private/get_user_trades_by_currency", BOB, currency="BTC", sorting="asc")["trades"]
    assert found == [trade for answer in taken for trade in answer["trades"]]
    venue.stop()


@pytest.mark.parametrize("by", ["instrument", "currency"])
def test_either_end_of_a_span_of_time_may_be_left_out(traded, by):
    name = f"private/get_user_trades_by_{by}_and_time"
    asked = {"instrument_name": PERPETUAL} if by == "instrument" else {"currency": "BTC"}
    middle = START_NS // 10**6 + 5_000
    late = traded.result(name, BOB, start_timestamp=middle, **asked)["trades"]
    early = traded.result(name, BOB, end_timestamp=middle, **asked)["trades"]
    assert ([t["amount"] for t in late], [t["amount"] for t in early]) == ([500.0], [300.0])


def test_trades_by_currency_kind_and_id(traded):
    asked = {"currency": "BTC", "include_old": True, "count": 1000}
    found = traded.result("private/get_user_trades_by_currency", BOB, **asked)["trades"]
    assert len(found) == 2
    assert traded.result("private/get_user_trades_by_currency", BOB, kind="option", **asked)["trades"] == []
    later = traded.result("private/get_user_trades_by_currency", BOB, start_id=found[0]["trade_id"], **asked)["trades"]
    assert later == found[:1]
    assert traded.error("private/get_user_trades_by_currency", BOB, start_id="x", **asked)["code"] == -32602


def test_trades_of_an_order_are_a_bare_list(traded):
    found = traded.result("private/get_user_trades_by_order", BOB, order_id=traded.first["order_id"])
    assert [trade["amount"] for trade in found] == [300.0]
    assert traded.error("private/get_user_trades_by_order", ALICE, order_id=traded.first["order_id"])["code"] == 10029


def test_a_trade_says_what_it_gained(venue):
    venue.sell(ALICE, 1000, PRICE)
    venue.buy(BOB, 1000, PRICE)
    venue.buy(ALICE, 400, 61_000.0)
    venue.sell(BOB, 400, 61_000.0)
    (trade,) = venue.result("private/get_user_trades_by_instrument", BOB, instrument_name=PERPETUAL, count=1)["trades"]
    gained = 400 * (1 / PRICE - 1 / 61_000)
    assert trade["profit_loss"] == pytest.approx(gained, abs=1e-8)
    (trade,) = venue.result("private/get_user_trades_by_instrument", ALICE, instrument_name=PERPETUAL, count=1)[
        "trades"
    ]
    assert trade["profit_loss"] == pytest.approx(-gained, abs=1e-8)


@pytest.mark.parametrize(("method", "asked"), [
    ("private/get_open_orders", {}),
    ("private/get_open_orders_by_currency", {"currency": "BTC"}),
    ("private/get_open_orders_by_instrument", {"instrument_name": PERPETUAL}),
    ("private/get_open_orders_by_label", {"currency": "BTC"}),
    ("private/get_subaccounts_details", {"currency": "BTC", "with_open_orders": True}),
])  # fmt: skip
def test_a_list_of_open_orders_costs_by_its_length(venue, monkeypatch, method, asked):
    """Thousands of them take the loop from everybody for as long as a hundred other requests."""
    monkeypatch.setattr(rates, "ROWS", 2)
    for _ in range(5):
        venue.buy(ALICE, 10, 50_000.0)
    venue.service.rates = rates.Rates(Limits(Rate(), Rate(1e-9, 6)))
    for _ in range(2):  # each one credit and two
        assert venue.result(method, ALICE, **asked)
    assert venue.error(method, ALICE, **asked)["code"] == 10028
    assert venue.result(method, BOB, **asked) is not None
