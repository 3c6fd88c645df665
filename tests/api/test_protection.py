"""Market-maker protection, mass quotes, cancel on disconnect, the rule against trading with oneself."""

import time

import msgspec
from api_venue import ALICE, BOB, CAROL, ETHER, PERPETUAL, PRICE

from seawall.api.view import View
from seawall.node.node import Group
from seawall.node.replay import replay
from seawall.vocabulary.records import Kind, Role, SelfMatch, command

INDEX = "btc_usd"


def restarted(venue):
    """What a view folded anew from the journal knows."""
    view = View()
    replay(
        venue.configuration.folders,
        witness=lambda frame, events: view.take(Group(frame.commands, frame.attachments, events)),
    )
    return view


# -- protection --------------------------------------------------------------------------------------------------------


def protect(venue, account=ALICE, **asked):
    defaults = {"index_name": INDEX, "interval": 10, "frozen_time": 5, "quantity_limit": 0.05}
    return venue.result("private/set_mmp_config", account, **defaults | asked)


def test_a_config_comes_back_as_it_was_set(venue):
    assert venue.result("private/get_mmp_config", ALICE) == []
    asked = {"quantity_limit": 1.5, "delta_limit": 0.5, "vega_limit": 20.0, "max_quote_quantity": 2.0, "mmp_group": "g"}
    config = {"index_name": INDEX, "interval": 10, "frozen_time": 5, **asked}
    assert protect(venue, **asked) == [config]
    assert venue.result("private/get_mmp_config", ALICE, index_name=INDEX) == [config]
    assert venue.result("private/get_mmp_config", ALICE, index_name="all", mmp_group="g") == [config]
    assert venue.result("private/get_mmp_config", ALICE, mmp_group="other") == []
    assert venue.result("private/get_mmp_config", BOB) == []
    assert restarted(venue).arrangements.protections == {(ALICE, INDEX): config}
    assert venue.result("private/set_mmp_config", ALICE, index_name=INDEX, interval=0) == []
    assert venue.result("private/get_mmp_config", ALICE) == []
    assert restarted(venue).arrangements.protections == {}


def test_a_fill_beyond_the_limit_freezes_until_the_time_is_over(venue):
    protect(venue, quantity_limit=0.05)  # 3000 USD
    quotes = [venue.buy(ALICE, 2000, 59_900.0 - 10 * n, mmp=True)["order_id"] for n in range(3)]
    plain = venue.buy(ALICE, 10, 50_000.0)["order_id"]
    venue.sell(BOB, 2000, 59_900.0)
    assert venue.result("private/get_mmp_status", ALICE) == []
    venue.sell(BOB, 2000, 59_890.0)
    until = venue.clock() // 10**6 + 5000
    assert venue.result("private/get_mmp_status", ALICE) == [{"index_name": INDEX, "frozen_until": until}]
    last = venue.result("private/get_order_state", ALICE, order_id=quotes[2])
    assert (last["order_state"], last["cancel_reason"], last["mmp_cancelled"]) == ("cancelled", "mmp_trigger", True)
    assert venue.result("private/get_order_state", ALICE, order_id=plain)["order_state"] == "open"
    order = {"instrument_name": PERPETUAL, "amount": 100, "price": 59_000.0, "mmp": True}
    assert venue.error("private/buy", ALICE, **order)["code"] == 13030
    venue.pass_time(5.1)
    assert venue.result("private/get_mmp_status", ALICE) == []
    assert venue.result("private/buy", ALICE, **order)["order"]["mmp"] is True


def test_without_an_end_it_is_frozen_until_reset(venue):
    protect(venue, frozen_time=0, quantity_limit=0.01)
    venue.buy(ALICE, 2000, 59_900.0, mmp=True)
    venue.sell(BOB, 2000, 59_900.0)
    venue.pass_time(1000)
    assert venue.result("private/get_mmp_status", ALICE, index_name=INDEX) == [{"index_name": INDEX, "frozen_until": 0}]
    view = restarted(venue)
    assert view.arrangements.frozen == venue.view.arrangements.frozen
    order = {"instrument_name": PERPETUAL, "amount": 100, "price": 59_000.0, "mmp": True}
    assert venue.error("private/buy", ALICE, **order)["code"] == 13030
    assert venue.result("private/reset_mmp", ALICE, index_name=INDEX) == "ok"
    assert venue.result("private/get_mmp_status", ALICE) == []
    assert "result" in venue.call("private/buy", ALICE, **order)


def test_delta_limits_count_both_ways(venue):
    protect(venue, quantity_limit=None, delta_limit=0.05)
    for _ in range(4):  # bought and sold again: the quantity grows, the delta does not
        venue.buy(ALICE, 2000, 59_900.0, mmp=True)
        venue.sell(BOB, 2000, 59_900.0)
        venue.sell(ALICE, 2000, 60_100.0, mmp=True)
        venue.buy(BOB, 2000, 60_100.0)
    assert venue.result("private/get_mmp_status", ALICE) == []
    venue.buy(ALICE, 4000, 59_900.0, mmp=True)
    venue.sell(BOB, 4000, 59_900.0)
    assert len(venue.result("private/get_mmp_status", ALICE)) == 1


def test_vega_limits_are_no_looser_than_asked(venue):
    listing = next(item for item in venue.view.listings.values() if item.option and item.base == "BTC")
    vega = venue.result("public/ticker", instrument_name=listing.name)["greeks"]["vega"]
    protect(venue, quantity_limit=None, vega_limit=vega)
    venue.buy(ALICE, 2, 0.03, name=listing.name, mmp=True)
    venue.sell(BOB, 2, 0.03, name=listing.name)
    assert len(venue.result("private/get_mmp_status", ALICE)) == 1
    venue.result("private/reset_mmp", ALICE, index_name=INDEX)
    venue.buy(ALICE, 0.5, 0.03, name=listing.name, mmp=True)
    venue.sell(BOB, 0.5, 0.03, name=listing.name)
    assert venue.result("private/get_mmp_status", ALICE) == []


def test_what_protection_cannot_do_is_refused(venue):
    def code(**asked):
        return venue.error("private/set_mmp_config", ALICE, **{"index_name": INDEX, "interval": 5} | asked)["code"]

    assert code() == -32602  # no limit at all
    assert code(quantity_limit=1, index_name="doge_usd") == -32602
    assert code(quantity_limit=1, interval=-1) == -32602
    assert code(quantity_limit=1, trade_count_limit=3) == 10033
    assert code(quantity_limit=1, block_rfq=True) == 10033
    protect(venue, mmp_group="one")
    assert code(quantity_limit=1, mmp_group="two") == 11029
    assert venue.error("private/reset_mmp", BOB, index_name=INDEX)["code"] == 11029
    assert venue.error("private/reset_mmp", ALICE, index_name=INDEX, mmp_group="two")["code"] == 11029
    order = {"instrument_name": PERPETUAL, "amount": 100, "price": 59_000.0, "mmp": True}
    assert venue.error("private/buy", BOB, **order)["code"] == 11029


def test_a_refused_protection_leaves_the_config_as_it_was(venue):
    (before,) = protect(venue, quantity_limit=1.0)
    venue.submit(
        command(Kind.PROTECT, account=ALICE, instrument=0, quantity=-1, until=10),
        note(venue, {"note": "protection", "account": ALICE, "index": INDEX, "config": {"x": 1}, "after": 1}),
        attachments=venue.last_note,
    )
    assert venue.result("private/get_mmp_config", ALICE) == [before]


def note(venue, document):
    venue.last_note = msgspec.json.encode(document)
    return command(Kind.TIME, attachment=len(venue.last_note))


# -- mass quotes -------------------------------------------------------------------------------------------------------


def maker(venue, account=ALICE, **asked):
    protect(venue, account, **{"quantity_limit": 100.0, "mmp_group": "g"} | asked)
    socket = venue.socket(account)
    assert socket.request("private/enable_cancel_on_disconnect")["result"] == "ok"
    return socket


def quote(socket, *quotes, quote_id="1", **more):
    return socket.request("private/mass_quote", quote_id=quote_id, mmp_group="g", quotes=list(quotes), **more)


def two_sided(bid, ask, amount=100, name=PERPETUAL, set_id="s"):
    made = {"instrument_name": name, "quote_set_id": set_id}
    if bid is not None:
        made["bid"] = {"price": bid, "amount": amount}
    if ask is not None:
        made["ask"] = {"price": ask, "amount": amount}
    return made


def test_quotes_are_placed_changed_and_taken_away(venue):
    socket = maker(venue)
    first = quote(socket, two_sided(59_000.0, 61_000.0))["result"]
    assert (first["errors_count"], first["errors"], first["trades"]) == (0, [], [])
    bid, ask = first["orders"]
    assert (bid["direction"], bid["price"], bid["mmp"], bid["order_state"]) == ("buy", 59_000.0, True, "open")
    assert (ask["quote_id"], ask["quote_set_id"], ask["mmp_group"]) == ("1", "s", "g")
    second = quote(socket, two_sided(59_100.0, None, set_id="t"), quote_id="2")["result"]["orders"]
    assert [(o["order_id"], o["price"], o["quote_id"], o["quote_set_id"]) for o in second] == [
        (bid["order_id"], 59_100.0, "2", "t")
    ]
    gone = quote(socket, two_sided(None, 61_000.0, amount=0))["result"]["orders"]
    assert [(o["order_id"], o["order_state"]) for o in gone] == [(ask["order_id"], "cancelled")]
    assert len(venue.result("private/get_open_orders", ALICE)) == 1


def test_each_side_is_taken_or_refused_by_itself(venue):
    socket = maker(venue, max_quote_quantity=0.1)
    found = quote(
        socket,
        two_sided(59_000.0, 61_000.25),
        two_sided(58_000.0, None, name="BTC-NONE"),
        two_sided(2_900.0, None, amount=10, name=ETHER),
        two_sided(None, 62_000.0, amount=7_000, name="BTC-9MAR26"),
        two_sided(59_000.0, None, amount=100, name="BTC-9MAR26"),
    )["result"]
    assert [order["instrument_name"] for order in found["orders"]] == [PERPETUAL, "BTC-9MAR26"]
    assert [(row["instrument_name"], row["side"], row["code"]) for row in found["errors"]] == [
        (PERPETUAL, "ask", 10043),
        ("BTC-NONE", "bid", 13020),
        (ETHER, "bid", 13040),
        ("BTC-9MAR26", "ask", 10021),
    ]
    assert found["errors_count"] == 4
    assert all(type(row["data"]) is dict for row in found["errors"])


def test_a_quote_that_trades_says_so_once(venue):
    venue.sell(BOB, 30, 60_000.0)
    socket = maker(venue)
    first = quote(socket, two_sided(60_000.0, None))["result"]
    assert [trade["amount"] for trade in first["trades"]] == [30.0]
    assert first["orders"][0]["filled_amount"] == 30.0
    assert (first["trades"][0]["quote_id"], first["trades"][0]["mmp_group"]) == ("1", "g")
    again = quote(socket, two_sided(59_990.0, None, amount=50))["result"]
    assert again["trades"] == []
    assert (again["orders"][0]["amount"], again["orders"][0]["filled_amount"]) == (80.0, 30.0)


def test_the_engine_s_refusals_are_in_the_list(venue):
    socket = maker(venue)
    found = quote(socket, two_sided(59_000.0, 61_000.0), two_sided(1_000.0, None, name="BTC-9MAR26"))["result"]
    assert found["errors_count"] == 1
    assert found["errors"][0]["data"]["control"] == "PRICE_BAND"
    assert len(found["orders"]) == 2


def test_mass_quotes_need_a_socket_and_cancel_on_disconnect(venue):
    asked = {"quote_id": "1", "mmp_group": "g", "quotes": [two_sided(59_000.0, None)]}
    assert venue.error("private/mass_quote", ALICE, **asked)["code"] == 10030
    assert venue.socket(ALICE).request("private/mass_quote", **asked)["error"]["code"] == 13042
    socket = maker(venue)
    twice = two_sided(59_000.0, None)
    assert quote(socket, twice, twice)["error"]["code"] == -32602
    assert quote(socket, twice, valid_until=1)["error"]["code"] == 13888
    assert quote(socket)["error"]["code"] == -32602


def test_quotes_are_cancelled_as_quotes(venue):
    socket = maker(venue)
    quote(socket, two_sided(59_000.0, 61_000.0), two_sided(59_000.0, None, name="BTC-9MAR26", set_id="u"))
    venue.buy(ALICE, 10, 50_000.0)
    assert venue.result("private/cancel_quotes", ALICE, cancel_type="quote_set_id", quote_set_id="u") == 1
    assert venue.result("private/cancel_quotes", ALICE, cancel_type="instrument", instrument_name="BTC-9MAR26") == 0
    assert venue.result("private/cancel_quotes", ALICE, cancel_type="currency", currency="ETH") == 0
    assert venue.result("private/cancel_quotes", ALICE, cancel_type="all") == 2
    assert venue.error("private/cancel_quotes", ALICE, cancel_type="delta")["code"] == 10033
    assert venue.error("private/cancel_quotes", ALICE, cancel_type="instrument")["code"] == -32602
    assert len(venue.result("private/get_open_orders", ALICE)) == 1


# -- cancel on disconnect ----------------------------------------------------------------------------------------------


def heard(venue):
    """All that was queued is written: a look runs before the group it finds waiting, the next one after."""
    venue.settle()
    venue.settle()


def order_on(socket, price=59_000.0, **more):
    asked = {"instrument_name": PERPETUAL, "amount": 100, "price": price, **more}
    return socket.request("private/buy", **asked)["result"]["order"]["order_id"]


def state(venue, order, account=ALICE):
    return venue.result("private/get_order_state", account, order_id=order)


def test_a_broken_connection_takes_its_orders_along_and_no_others(venue):
    socket, other = venue.socket(ALICE), venue.socket(ALICE)
    before = order_on(socket)
    assert socket.request("private/enable_cancel_on_disconnect")["result"] == "ok"
    assert socket.request("private/get_cancel_on_disconnect")["result"] == {"scope": "connection", "enabled": True}
    stop = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 70_000.0}
    after, waiting, elsewhere = order_on(socket), order_on(socket, **stop), order_on(other)
    venue.service.disconnected(socket.session)
    heard(venue)
    for order in (before, after, waiting):
        found = state(venue, order)
        assert (found["order_state"], found["cancel_reason"]) == ("cancelled", "cancel_on_disconnect")
    assert state(venue, elsewhere)["order_state"] == "open"
    venue.service.disconnected(other.session)
    heard(venue)
    assert state(venue, elsewhere)["order_state"] == "open"


def test_an_order_still_on_its_way_goes_too(venue):
    socket = venue.socket(ALICE)
    socket.request("private/enable_cancel_on_disconnect")
    socket.send("private/buy", instrument_name=PERPETUAL, amount=100, price=59_000.0)
    venue.service.disconnected(socket.session)
    venue.run_until(lambda: not socket.session.pending)
    heard(venue)
    assert venue.result("private/get_open_orders", ALICE) == []


def test_not_after_a_logout_nor_when_disabled(venue):
    for end in ("logout", "disable"):
        socket = venue.socket(ALICE)
        socket.request("private/enable_cancel_on_disconnect")
        order = order_on(socket)
        if end == "logout":
            socket.session.logged_out = True
        else:
            assert socket.request("private/disable_cancel_on_disconnect")["result"] == "ok"
        venue.service.disconnected(socket.session)
        heard(venue)
        assert state(venue, order)["order_state"] == "open"


def test_for_the_account_later_connections_start_with_it_and_a_restart_is_one(venue):
    assert venue.result("private/enable_cancel_on_disconnect", ALICE, scope="account") == "ok"
    assert restarted(venue).arrangements.at_disconnect == {ALICE}
    later = venue.socket(ALICE)
    for scope in ("connection", "account"):
        found = later.request("private/get_cancel_on_disconnect", scope=scope)["result"]
        assert found == {"scope": scope, "enabled": True}
    mine, others = order_on(later), order_on(venue.socket(BOB))
    venue.service.disconnected(later.session)
    heard(venue)
    assert state(venue, mine)["cancel_reason"] == "cancel_on_disconnect"
    opted_out = venue.socket(ALICE)
    opted_out.request("private/disable_cancel_on_disconnect")
    kept = order_on(opted_out)
    venue.service.disconnected(opted_out.session)
    heard(venue)
    assert state(venue, kept)["order_state"] == "open"
    venue.service.restarted()
    heard(venue)
    assert state(venue, kept)["cancel_reason"] == "cancel_on_disconnect"
    assert state(venue, others, BOB)["order_state"] == "open"
    assert venue.result("private/disable_cancel_on_disconnect", ALICE, scope="account") == "ok"
    assert restarted(venue).arrangements.at_disconnect == set()


def test_what_goes_with_a_connection_is_in_the_journal(venue):
    """Orders before it was asked, on their way then, and after; taken back as it is; not after a logout."""
    socket, plain = venue.socket(ALICE), venue.socket(ALICE)
    first, other = order_on(socket), order_on(plain)
    venue.service.sequencer.look(lambda: time.sleep(0.2), lambda *told: None)
    socket.send("private/buy", instrument_name=PERPETUAL, amount=100, price=58_000.0)
    socket.request("private/enable_cancel_on_disconnect")
    last = order_on(socket)
    heard(venue)
    marked = [order.id for order in restarted(venue).orders.values() if order.along]
    assert len(marked) == 3 and {f"BTC-{number}" for number in marked} >= {first, last} - {other}
    socket.request("private/disable_cancel_on_disconnect")
    assert not any(order.along for order in restarted(venue).orders.values())
    socket.request("private/enable_cancel_on_disconnect")
    socket.session.logged_out = True
    venue.service.disconnected(socket.session)
    heard(venue)
    assert not any(order.along for order in restarted(venue).orders.values())
    assert len(venue.result("private/get_open_orders", ALICE)) == 4


def test_at_a_restart_what_was_to_go_with_a_connection_goes(venue):
    socket, plain = venue.socket(ALICE), venue.socket(ALICE)
    protect(venue, ALICE, quantity_limit=100.0, mmp_group="g")
    socket.request("private/enable_cancel_on_disconnect")
    gone, kept = order_on(socket), order_on(plain)
    quoted = quote(socket, two_sided(59_000.0, None))["result"]["orders"][0]["order_id"]
    venue.service.restarted()
    heard(venue)
    for order in (gone, quoted):
        assert state(venue, order)["cancel_reason"] == "cancel_on_disconnect"
    assert state(venue, kept)["order_state"] == "open"


def test_a_dead_man_timer_is_armed_refreshed_fires_and_is_off(venue):
    def after(milliseconds):
        return venue.result("private/cancel_all_after", ALICE, timeout_ms=milliseconds)

    mine, others = order_on(venue.socket(ALICE)), order_on(venue.socket(BOB))
    armed = after(10_000)
    assert (armed["timeout_ms"], armed["cancels_at"] - venue.service.clock_ms()) == (10_000, 10_000)
    venue.pass_time(9)
    after(10_000)
    venue.pass_time(9)
    assert state(venue, mine)["order_state"] == "open"
    assert restarted(venue).arrangements.timers == venue.view.arrangements.timers != {}
    venue.pass_time(2)
    assert state(venue, mine)["order_state"] == "cancelled"
    assert state(venue, others, BOB)["order_state"] == "open"
    again = order_on(venue.socket(ALICE))
    venue.pass_time(60)
    assert state(venue, again)["order_state"] == "open"  # it fires once
    after(10_000)
    assert after(0) == {"timeout_ms": 0, "cancels_at": 0}
    venue.pass_time(60)
    assert state(venue, again)["order_state"] == "open" and not venue.view.arrangements.timers


def test_who_may_set_a_dead_man_timer_and_to_what(venue):
    for wrong in (-1, 1, 999, 86_400_001, "x", None):
        error = venue.error("private/cancel_all_after", ALICE, timeout_ms=wrong)
        assert (error["code"], error["data"]["param"]) == (-32602, "timeout_ms")
    assert venue.error("private/cancel_all_after", timeout_ms=5_000)["code"] == 13009
    reader = venue.session()
    reader.identity = venue.identity(ALICE, trade="read")
    assert venue.call("private/cancel_all_after", session=reader, timeout_ms=5_000)["error"]["code"] == 13021


def test_the_venue_sees_that_a_timer_ran_out_while_nothing_else_happened(venue):
    venue.result("private/cancel_all_after", ALICE, timeout_ms=10_000)
    due, now = venue.view.arrangements.timer_due, venue.view.now_ns
    assert [due(now, now + seconds * 10**9) for seconds in (0, 9, 11)] == [False, False, True]
    assert not due(now + 11 * 10**9, now + 12 * 10**9)  # the journal's time is past it, so it has fired


def test_scopes_and_doors_of_cancel_on_disconnect(venue):
    assert venue.error("private/enable_cancel_on_disconnect", ALICE)["code"] == 10030
    assert venue.error("private/enable_cancel_on_disconnect", ALICE, scope="venue")["data"]["param"] == "scope"
    found = venue.result("private/get_cancel_on_disconnect", ALICE, scope="account")
    assert found == {"scope": "account", "enabled": False}


def test_a_connection_forgets_orders_that_are_done(venue, monkeypatch):
    monkeypatch.setattr("seawall.api.session.PLACED_KEPT", 5)
    socket = venue.socket(ALICE)
    last = [order_on(socket, 59_000.0 - n) for n in range(8)][-1]
    venue.result("private/cancel_all", ALICE)
    for n in range(40):
        last = order_on(socket, 58_000.0 - n)
        venue.result("private/cancel", ALICE, order_id=last)
    assert len(socket.session.placed) <= 8


# -- trading with oneself ----------------------------------------------------------------------------------------------


def test_reject_taker_is_an_error_and_the_resting_order_stays(venue):
    resting = venue.sell(ALICE, 100, PRICE)["order_id"]
    error = venue.error("private/buy", ALICE, instrument_name=PERPETUAL, amount=100, price=PRICE)
    assert (error["code"], error["message"]) == (10003, "order_overlap")
    assert state(venue, resting)["order_state"] == "open"


def test_an_order_that_traded_before_it_met_its_owner_s_is_no_error(venue):
    venue.sell(BOB, 50, 59_900.0)
    venue.sell(ALICE, 100, PRICE)
    order = venue.buy(ALICE, 100, PRICE)
    assert (order["order_state"], order["filled_amount"]) == ("cancelled", 50.0)


def test_cancel_maker_takes_the_resting_order_away(venue):
    asked = {"mode": "cancel_maker", "extended_to_subaccounts": True}
    assert venue.result("private/set_self_trading_config", ALICE, **asked) == "ok"
    assert venue.result("private/get_self_trading_config", ALICE) == asked
    resting = venue.sell(ALICE, 100, PRICE)["order_id"]
    assert venue.buy(ALICE, 100, PRICE)["order_state"] == "open"
    assert state(venue, resting)["order_state"] == "cancelled"
    summary = venue.result("private/get_account_summary", ALICE, currency="BTC", extended=True)
    assert summary["self_trading_reject_mode"] == "cancel_maker"
    assert summary["self_trading_extended_to_subaccounts"] is True
    assert restarted(venue).arrangements.self_match(ALICE) == SelfMatch.CANCEL_OLDEST
    assert venue.error("private/set_self_trading_config", ALICE, mode="x")["data"]["param"] == "mode"


def test_accounts_of_one_owner_never_trade_with_each_other(venue):
    venue.submit(
        command(Kind.ACCOUNT, account=CAROL + 1, tier=0, type=Role.OWNER),
        command(Kind.MEMBER, account=ALICE, order_id=CAROL + 1),
        command(Kind.MEMBER, account=BOB, order_id=CAROL + 1),
    )
    venue.sell(ALICE, 100, PRICE)
    error = venue.error("private/buy", BOB, instrument_name=PERPETUAL, amount=100, price=PRICE)
    assert error["code"] == 10003
