"""What an order and an edit may ask for, and what each is answered when it cannot be had."""

import pytest
from api_venue import ALICE, PERPETUAL

STOP = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 62_000.0}


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
