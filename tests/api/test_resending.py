"""Orders sent twice while the first still is in the writer's hands, or was taken back from them."""

import pickle
import threading
from contextlib import contextmanager

import msgspec
import pytest
from api_venue import ALICE, BOB, PERPETUAL, PRICE

from seawall.api import memory as room
from seawall.api.memory import Memory
from seawall.api.rpc import Call, parse

ORDER = {"instrument_name": PERPETUAL, "amount": 10, "price": 50_000, "client_order_id": "mine"}


@contextmanager
def writer_held(venue):
    """The writer's thread is busy with the group before, so that what is sent now waits."""
    begun, release = threading.Event(), threading.Event()

    def wait():
        begun.set()
        return release.wait(30)

    venue.service.sequencer.look(wait, lambda *told: None)
    assert begun.wait(30)
    try:
        yield
    finally:
        release.set()


def sent(venue, method, params, session):
    """A request on its way; its answers so far."""
    answers = []
    call = Call(session, 1, lambda document, status: answers.append(msgspec.json.decode(document)))
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    venue.service.serve(call, parse(body))
    return answers


def test_a_client_id_sent_twice_at_once_is_one_order_and_two_answers(venue):
    session = venue.session(ALICE)
    with writer_held(venue):
        first = sent(venue, "private/buy", ORDER, session)
        second = sent(venue, "private/buy", ORDER, venue.session(ALICE))
        assert not first and not second
    venue.run_until(lambda: first and second)
    assert first[0]["result"] == second[0]["result"]
    assert len(venue.result("private/get_open_orders", ALICE)) == 1


def test_an_order_withdrawn_by_a_mass_cancel_is_placed_when_it_is_sent_again(venue):
    session = venue.session(ALICE)
    with writer_held(venue):
        first = sent(venue, "private/buy", ORDER, session)
        swept = sent(venue, "private/cancel_all", {}, session)
        assert first[0]["error"]["code"] == 13666
        again = sent(venue, "private/buy", ORDER, session)
    venue.run_until(lambda: swept and again)
    assert swept[0]["result"] == 0 and again[0]["result"]["order"]["order_state"] == "open"
    assert venue.result("private/buy", ALICE, **ORDER)["order"] == again[0]["result"]["order"]
    assert len(venue.result("private/get_open_orders", ALICE)) == 1


def test_withdrawn_orders_are_forgotten(venue, monkeypatch):
    monkeypatch.setattr("seawall.api.resending._ON_THEIR_WAY_MAX", 10)
    session = venue.session(ALICE)
    with writer_held(venue):
        for number in range(40):
            sent(venue, "private/buy", {**ORDER, "client_order_id": f"mine-{number}"}, session)
            swept = sent(venue, "private/cancel_all", {}, session)
        assert len(venue.service.resending.on_their_way) <= 11
    venue.run_until(lambda: swept)


def test_a_killed_order_is_an_order_to_its_owner(venue):
    """Fill or kill, and nobody to fill it: no error, and known by its ids afterwards."""
    killed = venue.result("private/buy", ALICE, **ORDER, time_in_force="fill_or_kill")["order"]
    assert (killed["order_state"], killed["filled_amount"], "cancel_reason" in killed) == ("cancelled", 0, False)
    assert venue.result("private/get_order_state", ALICE, order_id=killed["order_id"]) == killed
    assert venue.result("private/buy", ALICE, **ORDER, time_in_force="fill_or_kill")["order"] == killed
    assert venue.result("private/get_open_orders", ALICE) == []


@pytest.mark.parametrize("again", ["the same process", "a start from its memory"])
def test_a_client_id_names_its_order_also_after_the_order_left_the_history(venue, monkeypatch, again):
    monkeypatch.setattr("seawall.api.view.ORDERS_KEPT", 3)
    session = venue.session(ALICE)
    venue.sell(BOB, 10, PRICE)
    asked = {**ORDER, "price": PRICE, "amount": 30}
    venue.call("private/buy", session=session, **asked)
    venue.result("private/cancel_all", ALICE)
    first = venue.result("private/buy", ALICE, **asked)
    assert (first["order"]["order_state"], first["order"]["filled_amount"]) == ("cancelled", 10)
    for _ in range(5):
        venue.result("private/cancel", ALICE, order_id=venue.buy(ALICE, 10, 50_000.0)["order_id"])
    assert venue.error("private/get_order_state", ALICE, order_id=first["order"]["order_id"])["code"] == 10004
    if again != "the same process":
        venue.view.__dict__.update(room._read(pickle.dumps(venue.view), Memory.kept).__dict__)
    assert venue.result("private/buy", ALICE, **asked) == first
    assert venue.result("private/sell", BOB, **asked)["order"]["order_id"] != first["order"]["order_id"]
    assert venue.result("private/get_open_orders", ALICE) == []


def test_so_many_client_ids_of_an_account_are_kept_and_the_oldest_goes_first(venue, monkeypatch):
    monkeypatch.setattr("seawall.api.client_ids.CLIENT_IDS_KEPT", 3)
    asked = {**ORDER, "time_in_force": "fill_or_kill"}
    made = [venue.result("private/buy", ALICE, **asked | {"client_order_id": f"mine-{n}"}) for n in range(4)]
    for n in (3, 2, 1):
        assert venue.result("private/buy", ALICE, **asked | {"client_order_id": f"mine-{n}"}) == made[n]
    assert venue.result("private/buy", ALICE, **asked | {"client_order_id": "mine-0"}) != made[0]
    kept = venue.view.client(ALICE).client_ids
    assert len(kept._orders) == len(kept._age) == 3
