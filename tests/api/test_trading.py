"""What an order and an edit may ask for, and what each is answered when it cannot be had."""

import pytest
from api_venue import ALICE, BOB, PERPETUAL, PRICE

from seawall.api.errors import WORDS
from seawall.api.methods.cancelling import ByKindOrType
from seawall.api.methods.trading import OrderParameters
from seawall.api.rpc import from_query
from seawall.vocabulary.reasons import REASONS
from seawall.vocabulary.records import Kind, Limit, Scope, VenueState, command

STOP = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 62_000.0}


@pytest.mark.parametrize("word", ["display_amount", "max_show"])
def test_what_an_iceberg_shows_is_refused_by_its_own_name(venue, word):
    asked = {"instrument_name": PERPETUAL, "amount": 100, "price": 59_000.0}
    error = venue.error("private/buy", ALICE, **asked, **{word: 15})
    assert (error["code"], error["data"]["param"]) == (-32602, word)
    error = venue.error("private/buy", ALICE, **asked, **{word: -10})
    assert error["code"] == 10036 and word in error["data"]["reason"]


@pytest.mark.parametrize(
    ("asked", "changed"),
    [
        ({}, {"reduce_only": True}),
        ({}, {"mmp": True}),
        ({}, {"display_amount": 20}),
        ({}, {"max_show": 20}),
        ({}, {"advanced": "usd"}),
        ({}, {"trigger_price": 61_000.0}),
        ({}, {"trigger_offset": 100.0}),
        ({"display_amount": 20}, {"display_amount": 30}),
        (STOP, {"trigger_offset": 100.0}),
    ],
)
def test_an_edit_of_what_cannot_be_edited_is_refused_by_the_field_s_name(venue, asked, changed):
    order = venue.buy(ALICE, 100, 59_000.0, **asked)
    error = venue.error("private/edit", ALICE, order_id=order["order_id"], amount=50, price=58_000.0, **changed)
    assert (error["code"], error["data"]["param"]) == (10033, *changed)
    assert venue.result("private/get_order_state", ALICE, order_id=order["order_id"]) == order


def test_an_edit_may_repeat_what_the_order_has(venue):
    order = venue.buy(ALICE, 100, 59_000.0, display_amount=20)
    same = {"reduce_only": False, "mmp": False, "display_amount": 20, "valid_until": venue.service.clock_ms() + 1000}
    edited = venue.result("private/edit", ALICE, order_id=order["order_id"], price=58_000.0, **same)["order"]
    assert (edited["price"], edited["display_amount"]) == (58_000.0, 20)


def test_an_edit_makes_a_post_only_order_one_that_rejects(venue):
    order = venue.buy(ALICE, 100, 59_000.0, post_only=True)
    edited = venue.result("private/edit", ALICE, order_id=order["order_id"], price=58_000.0, reject_post_only=True)
    assert (edited["order"]["post_only"], edited["order"]["reject_post_only"]) == (True, True)


def test_what_came_too_late_changes_nothing(venue):
    order = venue.buy(ALICE, 100, 59_000.0)
    late = {"valid_until": venue.service.clock_ms() - 1}
    asked = {"instrument_name": PERPETUAL, "amount": 10, "price": 58_000.0}
    assert venue.error("private/buy", ALICE, **asked, **late)["code"] == 13888
    for name in ("private/edit", "private/edit_by_label"):
        error = venue.error(name, ALICE, order_id=order["order_id"], label="", **asked, **late)
        assert error["code"] == 13888, name
    assert venue.result("private/get_open_orders", ALICE) == [order]


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused(venue, **asked):
    return venue.error("private/buy", ALICE, **{"instrument_name": PERPETUAL, "amount": 10, **asked})


def test_every_code_that_a_reason_is_answered_with_is_in_the_table():
    rows = [row for row in REASONS.values() if row.dialect]
    assert {row.dialect: row.word.split()[0] for row in rows} == {row.dialect: WORDS[row.dialect] for row in rows}


def test_a_price_beyond_its_limit_is_refused_by_its_side_with_the_limit(venue):
    listing = venue.view.by_name[PERPETUAL]
    low, high = listing.price(listing.spec.price_min), listing.price(listing.spec.price_max)
    for price, code, limit in ((low - 0.5, 10005, low), (high + 0.5, 10007, high), (-1, 10005, 0.5)):
        error = refused(venue, price=price)
        word = "price_too_low" if code == 10005 else "price_too_high"
        assert (error["code"], error["message"], error["data"]["limit_price"]) == (code, f"{word} {limit}", limit)
    assert refused(venue, price=1e12)["code"] == 10007
    venue.submit(command(Kind.LIMIT, state=Limit.COLLAR, account=-1, instrument=0, amount=20_000, quantity=1))
    edge = PRICE * 1.02
    asked = {"instrument_name": PERPETUAL, "amount": 10, "price": edge + 0.5}
    error = venue.error("private/buy", ALICE, **asked)
    assert (error["code"], error["data"]["control"], error["data"]["limit_price"]) == (10007, "COLLAR", edge)
    assert error["message"] == f"price_too_high {edge}"
    edge = PRICE * 0.98
    error = venue.error("private/sell", ALICE, **asked | {"price": edge - 0.5})
    assert (error["code"], error["message"]) == (10005, f"price_too_low {edge}")


def test_a_trigger_out_of_bounds_and_an_amount_of_nothing_have_codes_of_their_own(venue):
    stop = {"type": "stop_market", "trigger": "mark_price"}
    assert refused(venue, trigger_price=1e12, **stop)["code"] == 10034
    assert refused(venue, trigger_price=0, **stop)["code"] == 10035
    assert refused(venue, price=PRICE, amount=0)["code"] == 10002


def test_a_halted_underlying_is_locked_and_a_halted_instrument_closed(venue):
    venue.submit(command(Kind.STATE, type=Scope.INSTRUMENT, instrument=0, state=VenueState.HALTED))
    assert refused(venue, price=PRICE)["code"] == 10012
    venue.submit(command(Kind.STATE, type=Scope.UNDERLYING, instrument=0, state=VenueState.HALTED))
    error = refused(venue, price=PRICE, instrument_name="BTC-9MAR26")
    assert (error["code"], error["data"]["control"]) == (10019, "INSTRUMENT_HALTED")


def test_a_price_is_named_only_where_it_would_do(venue):
    error = refused(venue, price=PRICE, amount=400_000_000)
    assert (error["data"]["control"], "limit_price" in error["data"]) == ("MARGIN", False)


def test_a_refused_order_never_was_and_is_tried_anew_under_its_client_id(venue):
    """So is what a lost refusal may have been; an order that was taken is never placed twice."""
    mine = {"instrument_name": PERPETUAL, "amount": 10, "price": PRICE, "client_order_id": "mine"}
    mine |= {"post_only": True, "reject_post_only": True}
    venue.sell(BOB, 10, PRICE)
    assert venue.error("private/buy", ALICE, **mine)["code"] == 11054
    venue.result("private/cancel_all", BOB)
    order = venue.result("private/buy", ALICE, **mine)["order"]
    assert order["order_state"] == "open"
    assert venue.result("private/buy", ALICE, **mine)["order"] == order


def test_a_client_id_is_answered_with_its_order_also_when_that_could_not_be_placed_now(venue):
    until = venue.service.clock_ms() + 1000
    mine = {"instrument_name": PERPETUAL, "amount": 10, "price": 59_000.0, "client_order_id": "mine"}
    first = venue.result("private/buy", ALICE, **mine, valid_until=until)
    venue.pass_time(2)
    assert venue.result("private/buy", ALICE, **mine, valid_until=until) == first


# -- market_limit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("take", "make", "step"), [("buy", "sell", 10.0), ("sell", "buy", -10.0)])
def test_the_rest_of_a_market_limit_order_rests_at_its_last_fill_s_price(venue, take, make, step):
    for lots, price in ((30, PRICE), (20, PRICE + step), (50, PRICE + 2 * step)):
        getattr(venue, make)(BOB, lots, price)
    asked = {"instrument_name": PERPETUAL, "type": "market_limit"}
    whole = venue.result(f"private/{take}", ALICE, amount=40, **asked)
    assert [(trade["price"], trade["amount"]) for trade in whole["trades"]] == [(PRICE, 30), (PRICE + step, 10)]
    assert whole["order"]["order_state"] == "filled"
    part = venue.result(f"private/{take}", ALICE, amount=100, **asked)["order"]
    assert (part["order_state"], part["filled_amount"], part["price"]) == ("open", 60, PRICE + 2 * step)
    assert part["time_in_force"] == "good_til_cancelled"


def test_a_market_limit_order_that_meets_nobody_has_no_price_to_rest_at(venue):
    asked = {"instrument_name": PERPETUAL, "amount": 10, "type": "market_limit"}
    error = venue.error("private/buy", ALICE, **asked)
    assert (error["code"], error["data"]["param"]) == (10033, "type")
    venue.sell(BOB, 10, PRICE)
    assert venue.error("private/buy", ALICE, post_only=True, **asked)["code"] == 11029
    gone = venue.result("private/buy", ALICE, **asked | {"amount": 30}, time_in_force="immediate_or_cancel")["order"]
    assert (gone["order_state"], gone["filled_amount"]) == ("cancelled", 10)


def test_no_edit_makes_a_stop_at_the_market_one_with_a_limit(venue):
    stop = {"type": "stop_market", "trigger": "mark_price", "trigger_price": 58_000.0}
    order = venue.sell(ALICE, 100, None, **stop)
    error = venue.error("private/edit", ALICE, order_id=order["order_id"], amount=50, price=57_900.0)
    assert (error["code"], error["data"]["param"]) == (10033, "price")
    edited = venue.result("private/edit", ALICE, order_id=order["order_id"], amount=50, trigger_price=57_000.0)["order"]
    assert (edited["amount"], edited["trigger_price"], edited["price"]) == (50.0, 57_000.0, "market_price")


@pytest.mark.parametrize("label", ["[grid] 1", "{x}", '{"a":1}', "[1,2]", "null", "17", " x "])
def test_a_label_over_get_is_kept_byte_for_byte(label):
    made = from_query(OrderParameters, {"instrument_name": PERPETUAL, "amount": "10", "label": label})
    assert (made.label, made.amount) == (label, 10.0)
    found = from_query(ByKindOrType, {"currency": '["BTC","ETH"]', "type": "limit"})
    assert found.currency == ["BTC", "ETH"]
