"""Cancels of many orders at once, changes by label, closing a position."""

import threading

import pytest
from api_venue import ALICE, BOB, CAROL, ETHER, PERPETUAL, PRICE

from seawall.api import session as sessions
from seawall.vocabulary.records import FLAG_APPROVED, Kind, Limit, VenueState, command


def option(venue):
    return next(item.name for item in venue.view.listings.values() if item.option and item.base == "BTC")


def scatter(venue, account=ALICE):
    """Six open orders: two on BTC-PERPETUAL, a stop there, one of ETH, one of an option, one of USDC."""
    stop = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 50_000.0}
    orders = [
        venue.buy(account, 100, 59_000.0, label="a"),
        venue.buy(account, 100, 58_000.0, label="b"),
        venue.sell(account, 100, 49_000.0, label="a", **stop),
        venue.buy(account, 10, 2_900.0, name=ETHER, label="a"),
        venue.buy(account, 1, 0.01, name=option(venue)),
        venue.buy(account, 0.1, 59_000.0, name="BTC_USDC-PERPETUAL"),
    ]
    return [order["order_id"] for order in orders]


def still_open(venue, account=ALICE):
    return [order["order_id"] for order in venue.result("private/get_open_orders", account)]


def test_cancel_all_cancels_the_callers_orders_and_counts_them(venue):
    scatter(venue)
    (other, *_) = scatter(venue, BOB)
    assert venue.result("private/cancel_all", ALICE) == 6
    assert still_open(venue) == []
    assert len(still_open(venue, BOB)) == 6
    assert venue.result("private/get_order_state", BOB, order_id=other)["order_state"] == "open"
    assert venue.result("private/cancel_all", ALICE) == 0


def test_what_was_cancelled_says_that_its_owner_did_it(venue):
    (first, *_) = scatter(venue)
    venue.result("private/cancel_all", ALICE)
    order = venue.result("private/get_order_state", ALICE, order_id=first)
    assert (order["order_state"], order["cancel_reason"]) == ("cancelled", "user_request")


def test_in_detail_the_orders_are_told_by_instrument(venue):
    made = scatter(venue)
    found = venue.result("private/cancel_all", ALICE, detailed=True)
    told = [order["order_id"] for part in found for order in part["result"]]
    assert sorted(told) == sorted(made)
    kinds = {(part["type"], part["instrument_name"], part["currency"]) for part in found}
    assert {("limit", PERPETUAL, "BTC"), ("trigger", PERPETUAL, "BTC"), ("limit", ETHER, "ETH")} <= kinds
    assert all(order["order_state"] == "cancelled" for part in found for order in part["result"])
    assert venue.result("private/cancel_all", ALICE, detailed=True) == []


def test_by_instrument_currency_kind_and_type(venue):
    cases = [
        ("by_instrument", {"instrument_name": PERPETUAL}, [0, 1, 2]),
        ("by_instrument", {"instrument_name": PERPETUAL, "type": "all"}, [0, 1, 2]),
        ("by_instrument", {"instrument_name": PERPETUAL, "type": "limit"}, [0, 1]),
        ("by_instrument", {"instrument_name": PERPETUAL, "type": "trigger_all"}, [2]),
        ("by_instrument", {"instrument_name": PERPETUAL, "type": "take"}, []),
        ("by_currency", {"currency": "BTC"}, [0, 1, 2, 4]),
        ("by_currency", {"currency": "btc", "kind": "option"}, [4]),
        ("by_currency", {"currency": "BTC", "type": "stop"}, [2]),
        ("by_currency_pair", {"currency_pair": "btc_usd", "kind": "future"}, [0, 1, 2]),
        ("by_currency_pair", {"currency_pair": "sol_usd"}, []),
        ("by_kind_or_type", {"currency": ["ETH", "USDC"]}, [3, 5]),
        ("by_kind_or_type", {"currency": "any", "kind": "future"}, [0, 1, 2, 3, 5]),
        ("by_kind_or_type", {"currency": "any", "type": "stop"}, [2]),
    ]
    for name, asked, gone in cases:
        made = scatter(venue)
        assert venue.result(f"private/cancel_all_{name}", ALICE, **asked) == len(gone), (name, asked)
        assert still_open(venue) == [order for n, order in enumerate(made) if n not in gone], (name, asked)
        venue.result("private/cancel_all", ALICE)


def test_what_is_no_instrument_currency_or_type_is_refused(venue):
    assert venue.error("private/cancel_all_by_instrument", ALICE, instrument_name="X")["code"] == 13020
    assert venue.error("private/cancel_all_by_currency", ALICE, currency="DOGE")["code"] == -32602
    assert venue.error("private/cancel_all_by_kind_or_type", ALICE, currency="BTC", type="x")["code"] == -32602
    assert venue.error("private/cancel_all", ALICE, freeze_quotes=True)["code"] == 10033


def test_by_label_exactly_those_go(venue):
    made = scatter(venue)
    scatter(venue, BOB)
    assert venue.result("private/cancel_by_label", ALICE, label="a", currency="BTC") == 2
    assert venue.result("private/cancel_by_label", ALICE, label="a") == 1
    assert venue.result("private/cancel_by_label", ALICE, label="a") == 0
    assert still_open(venue) == [made[1], made[4], made[5]]
    assert len(still_open(venue, BOB)) == 6


@pytest.mark.parametrize("state", [VenueState.REDUCE_ONLY, VenueState.HALTED])
def test_cancels_work_in_every_state(venue, state):
    scatter(venue)
    venue.submit(command(Kind.STATE, state=state, flags=FLAG_APPROVED))
    assert venue.result("private/cancel_by_label", ALICE, label="b") == 1
    assert venue.result("private/cancel_all_by_currency", ALICE, currency="ETH") == 1
    assert venue.result("private/cancel_all", ALICE) == 4


def test_what_a_budget_of_cancels_holds_back_is_said(venue):
    scatter(venue)
    venue.submit(command(Kind.LIMIT, state=Limit.CANCELS, account=ALICE, instrument=-1, amount=10**12, quantity=1))
    error = venue.error("private/cancel_by_label", ALICE, label="a")
    assert (error["code"], error["data"]["cancelled"], error["data"]["left"]) == (10028, 1, 2)
    assert venue.result("private/cancel_all", ALICE) == 5  # a mass cancel is never held back


def test_a_cancel_behind_an_order_of_the_same_connection_takes_it_along(venue):
    """Both in the writer's queue at once: the order came first, so it is cancelled."""
    for name, asked in (("cancel_all_by_instrument", {"instrument_name": PERPETUAL}), ("cancel_all", {})):
        socket, gate = venue.socket(CAROL), threading.Event()
        venue.service.sequencer.look(gate.wait, lambda *told: None)
        socket.send("private/buy", instrument_name=PERPETUAL, amount=100, price=59_000.0)
        socket.send(f"private/{name}", **asked)
        gate.set()
        venue.run_until(lambda socket=socket: len(socket.session.outbox) == 2)
        assert still_open(venue, CAROL) == []


MASS = [
    ("cancel_all_by_instrument", {"instrument_name": PERPETUAL}),
    ("cancel_all_by_currency", {"currency": "BTC"}),
    ("cancel_all_by_currency_pair", {"currency_pair": "btc_usd"}),
    ("cancel_all_by_kind_or_type", {"kind": "future"}),
    ("cancel_all", {}),
]


@pytest.mark.parametrize(("name", "asked"), MASS)
@pytest.mark.parametrize("shed", ["pending", "refused", "full"])
def test_what_sheds_orders_sheds_no_mass_cancel(venue, monkeypatch, shed, name, asked):
    venue.buy(CAROL, 100, 59_000.0)
    socket, gate = venue.socket(CAROL), threading.Event()
    venue.service.sequencer.look(gate.wait, lambda *told: None)
    bought = socket.send("private/buy", instrument_name=PERPETUAL, amount=100, price=58_000.0)
    if shed == "pending":
        monkeypatch.setattr("seawall.api.rates.PENDING_MAX", 1)
    elif shed == "refused":
        for _ in range(3_000):
            venue.service.edge.refused(CAROL)
    else:
        monkeypatch.setattr("seawall.node.sequencer.WAITING_MAX", 1)
    late = socket.send("private/buy", instrument_name=PERPETUAL, amount=100, price=57_000.0)
    assert late.answered
    swept = socket.send(f"private/{name}", **asked)
    gate.set()
    venue.run_until(lambda: bought.answered and swept.answered)
    socket.receive()
    codes = [frame.get("error", {}).get("code") for frame in socket.frames]
    assert codes[0] == {"pending": 10066, "refused": 10028, "full": 10047}[shed] and codes[-1] is None
    if shed == "full" and name != "cancel_all":  # it went ahead of the order
        assert [order["price"] for order in venue.result("private/get_open_orders", CAROL)] == [58_000.0]
    else:
        assert still_open(venue, CAROL) == []
    assert venue.service.edge.shed == {(CAROL, codes[0]): 1}


@pytest.mark.parametrize(("name", "asked"), MASS)
def test_mass_cancels_reach_the_journal_by_what_they_may_cancel_not_one_for_one(venue, name, asked):
    """However many are sent: none where nothing is open or on its way, one for what is, and every one is answered."""
    journal, socket = venue.node.journal, venue.socket(CAROL)
    before = journal.next_seq
    assert [socket.request(f"private/{name}", **asked)["result"] for _ in range(200)] == [0] * 200
    assert journal.next_seq == before
    venue.buy(CAROL, 100, 59_000.0)
    gate = threading.Event()
    venue.service.sequencer.look(gate.wait, lambda *told: None)
    before = journal.next_seq
    sent = [socket.send(f"private/{name}", **asked) for _ in range(200)]
    gate.set()
    venue.run_until(lambda: all(call.answered for call in sent))
    assert [frame["result"] for frame in socket.receive()] == [1] * 200
    assert still_open(venue, CAROL) == [] and journal.next_seq == before + 1
    assert venue.service.edge.shed == {(CAROL, 0): 399}


def test_a_mass_cancel_behind_a_later_order_takes_that_along(venue):
    """The same sent again is the same only as long as no order came in between."""
    socket, gate = venue.socket(CAROL), threading.Event()
    order = {"instrument_name": PERPETUAL, "amount": 100, "price": 59_000.0}
    venue.service.sequencer.look(gate.wait, lambda *told: None)
    sent = []
    for _ in range(3):
        sent += [socket.send("private/buy", **order), socket.send("private/cancel_all_by_currency", currency="BTC")]
    gate.set()
    venue.run_until(lambda: all(call.answered for call in sent))
    assert still_open(venue, CAROL) == [] and not venue.service.edge.entering


def test_many_orders_are_counted_past_what_history_keeps(venue, monkeypatch):
    monkeypatch.setattr("seawall.api.view.ORDERS_KEPT", 3)
    for n in range(8):
        venue.buy(ALICE, 10, 59_000.0 - n)
    assert venue.result("private/cancel_all", ALICE) == 8


def test_edit_by_label_changes_the_one_order(venue):
    made = scatter(venue)
    changed = venue.result(
        "private/edit_by_label", ALICE, label="b", instrument_name=PERPETUAL, amount=50, price=57_000.0
    )["order"]
    assert (changed["order_id"], changed["amount"], changed["price"], changed["replaced"]) == (
        *(made[1], 50.0, 57_000.0, True),
    )
    asked = {"instrument_name": PERPETUAL, "amount": 50}
    assert venue.error("private/edit_by_label", ALICE, label="a", **asked)["code"] == 13032
    assert venue.error("private/edit_by_label", ALICE, label="z", **asked)["code"] == 10004


# -- closing a position ------------------------------------------------------------------------------------------------


def test_a_position_is_closed_at_market_and_never_turned(venue):
    venue.sell(BOB, 1000, PRICE)
    venue.buy(ALICE, 600, PRICE)
    venue.buy(BOB, 5000, 59_990.0)
    answer = venue.result("private/close_position", ALICE, instrument_name=PERPETUAL, type="market")
    assert (answer["order"]["direction"], answer["order"]["filled_amount"]) == ("sell", 600.0)
    assert answer["order"]["reduce_only"] is True
    assert [trade["amount"] for trade in answer["trades"]] == [600.0]
    assert venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)["size"] == 0


def test_a_position_is_closed_at_a_limit(venue):
    venue.sell(BOB, 600, PRICE)
    venue.buy(ALICE, 600, PRICE)
    asked = {"instrument_name": PERPETUAL, "type": "limit"}
    answer = venue.result("private/close_position", BOB, price=59_000.0, **asked)
    assert (answer["order"]["direction"], answer["order"]["order_state"]) == ("buy", "open")
    assert venue.error("private/close_position", BOB, **asked)["data"]["param"] == "price"
    assert venue.error("private/close_position", BOB, instrument_name=PERPETUAL, type="stop")["code"] == -32602


def test_a_flat_position_cannot_be_closed(venue):
    assert venue.error("private/close_position", ALICE, instrument_name=PERPETUAL)["code"] == 11030


def test_one_cancel_of_many_orders_cuts_nobody_off_who_reads(venue, monkeypatch):
    name, socket = "user.orders.any.any.raw", venue.socket(ALICE)
    socket.subscribe(name)
    for number in range(8):
        venue.buy(ALICE, 10, 59_000.0 + number)
    socket.receive()
    monkeypatch.setattr(sessions, "OUTBOX_MESSAGES", 5)
    venue.call("private/cancel_all", ALICE)
    assert socket.session.closing is None and len(socket.session.outbox) == 8
