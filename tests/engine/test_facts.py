"""What a venue elsewhere reports is booked as it is: refused at the bounds of arithmetic, and for nothing else."""

import numpy as np
import pytest
from venue import (
    ANN,
    BEA,
    DEALER,
    ETHER,
    EXPIRY,
    FUTURE,
    INVERSE,
    MARK,
    PERPETUAL,
    SPECS,
    open_venue,
    open_weighted,
    weighted,
)

from seawall.vocabulary import bounds
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    SELL,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    Scope,
    Status,
    TimeInForce,
    VenueState,
    Watched,
    command,
)

THERE = DEALER + 1
SPEC = SPECS[ETHER]
FEE = bounds.POSITION_VALUE_MAX
WIDEST = SPEC.price_max - SPEC.price_min
PRICE, REMAINING, FILLED, ACCRUED, POSTED, MAKER_RATE, TAKER_RATE, DONE, STATUS = 1, 2, 3, 4, 5, 6, 7, 17, -1
"""Places in the state of an order."""


@pytest.fixture
def venue(engine):
    """A venue where three contracts trade elsewhere."""
    venue = open_weighted(engine, coins=0)
    venue.do(Kind.ACCOUNT, account=THERE, type=Role.UPSTREAM)
    for number in (ETHER, INVERSE, FUTURE):
        venue.do(Kind.UPSTREAM, instrument=number, account=THERE)
    return venue


def book(venue, side=BUY, quantity=1, price=MARK, account=ANN, instrument=ETHER, amount=0, **more):
    """A BOOKED command; its events."""
    fields = {"account": account, "instrument": instrument, "side": side, "quantity": quantity, "price": price}
    return venue.do(Kind.BOOKED, **fields, amount=amount, **more)


def pay(venue, amount, account=ANN, **more):
    """A BOOKED command of money alone."""
    return book(venue, 0, 0, 0, account, amount=amount, **more)


def sent(venue, quantity=10, price=MARK, **more):
    """An order that was sent elsewhere; its id."""
    venue.order(ANN, ETHER, BUY, quantity, price, **more)
    return venue.seq


def amend(venue, order, quantity, price=MARK):
    """An AMENDED command; its events."""
    return venue.do(Kind.AMENDED, account=ANN, order_id=order, quantity=quantity, price=price)


def order_there(venue, order):
    """The state of an order elsewhere."""
    (found,) = [row for row in venue.engine.state()["listings"][ETHER]["upstream"][1] if row[0] == order]
    return found


def taken(events):
    """Whether a fact was booked."""
    return events[0].kind != EventKind.REFUSED


def repeated(venue, count, **fields):
    """The same money booked so many times in one step."""
    records = np.repeat(command(Kind.BOOKED, time=venue.time, instrument=ETHER, **fields), count)
    records["seq"] = np.arange(venue.seq + 1, venue.seq + 1 + count)
    assert EventKind.REFUSED not in venue.engine.step(records)["kind"]
    venue.seq += count


# -- what is booked --------------------------------------------------------------------------------------------------


def test_a_trade_is_a_whole_order_at_its_price(venue):
    fill, *rest = book(venue, SELL, 7, 59_900, amount=5)
    assert (fill.kind, fill.account, fill.order_id, fill.price, fill.quantity) == (
        EventKind.FILL, ANN, venue.seq, 59_900, 7,
    )  # fmt: skip
    assert (fill.side, fill.a, fill.b, rest) == (SELL, 7 * 59_900 * SPEC.multiplier, 5, [])
    assert (venue.held(ANN, ETHER), venue.held(THERE, ETHER)) == (-7, 7)
    assert (venue.balance(ANN), venue.balance(THERE)) == (10**9 - 5, 5)
    assert venue.engine.state()["listings"][ETHER]["prices"][Watched.LAST] == 0
    assert venue.engine.state()["listings"][ETHER]["holders"] == [ANN, THERE]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_coin_rounds_as_an_order_of_its_own(venue, side):
    """At a price that does not divide the coins, what one side loses by rounding the other has."""
    for quantity in (1, 7, 999):
        fill = book(venue, side, quantity, 119_999, instrument=INVERSE)[0]
        coins = quantity * SPECS[INVERSE].multiplier
        assert fill.a == (coins // 119_999 if side == BUY else -bounds.ceil_div(coins, 119_999))
    assert venue.held(THERE, INVERSE) == -side * 1007


def test_money_alone(venue):
    book(venue, BUY, 3)
    posted = pay(venue, 40)[0]
    assert (posted.kind, posted.reason, posted.account, posted.instrument) == (
        EventKind.POSTED, Reason.BOOKED, ANN, ETHER,
    )  # fmt: skip
    assert (posted.a, posted.b) == (-40, 3)
    assert (pay(venue, -50)[0].a, pay(venue, 0, BEA)[0].a, pay(venue, 0, BEA)[0].b) == (50, 0, 0)
    assert (venue.balance(ANN), venue.balance(THERE)) == (10**9 + 10, -10)


def test_no_control_and_no_state_is_asked(venue):
    order = sent(venue)
    venue.do(Kind.LIMIT, state=Limit.FORBIDDEN, account=ANN, instrument=-1, amount=7)
    venue.do(Kind.LIMIT, state=Limit.MESSAGES, account=ANN, instrument=-1, amount=10**9, quantity=1)
    venue.do(Kind.LIMIT, state=Limit.POSITION, account=ANN, instrument=ETHER, amount=0)
    venue.do(Kind.LIMIT, state=Limit.STALE, account=-1, instrument=-1, amount=1)
    venue.do(Kind.STATE, type=Scope.ACCOUNT, account=ANN, state=VenueState.HALTED)
    venue.do(Kind.STATE, state=VenueState.HALTED)
    for _ in range(3):
        assert (
            taken(book(venue, BUY, 3, 2 * MARK)) and taken(amend(venue, order, 20, 2 * MARK)) and taken(pay(venue, 1))
        )


@pytest.mark.parametrize("fact", ["trade", "money", "terms"])
def test_the_account_is_called_for_what_was_booked(venue, fact):
    there = sent(venue)
    order = venue.order(ANN, PERPETUAL, BUY, 1, MARK)[0].order_id
    facts = {"trade": lambda: book(venue, BUY, 10**4), "money": lambda: pay(venue, 10**10)}
    events = facts.get(fact, lambda: amend(venue, there, 10**4))()
    ended = [(event.kind, event.reason, event.order_id) for event in events[1:]]
    asked = [(EventKind.STATUS, Reason.MARGIN_CALL, there)]
    restricted = (EventKind.RESTRICTED, Reason.NONE, 0)
    assert ended == [(EventKind.CANCELLED, Reason.MARGIN_CALL, order), *asked, restricted]


# -- where arithmetic ends -------------------------------------------------------------------------------------------


def test_lots_of_a_booking(venue):
    edge = SPEC.quantity_max
    assert taken(book(venue, BUY, edge)) and taken(book(venue, SELL, 1))
    for beyond in (edge + 1, -1, 2**62):
        assert venue.refused(Reason.QUANTITY, book(venue, BUY, beyond)) == (beyond, edge)


def test_side_and_price_of_a_booking(venue):
    for side, quantity in ((0, 1), (2, 1), (-2, 1), (1, 0), (-1, 0), (2, 0)):
        refused = book(venue, side, quantity, MARK if quantity else 0)
        assert venue.refused(Reason.BAD_SIDE, refused) == (side, 0)
    for edge, beyond in ((SPEC.price_min, SPEC.price_min - 1), (SPEC.price_max, SPEC.price_max + 1)):
        assert taken(book(venue, BUY, 1, edge))
        assert venue.refused(Reason.PRICE_BAND, book(venue, BUY, 1, beyond)) == (beyond, edge)
    for price in (1, -1, MARK):
        assert venue.refused(Reason.PRICE_BAND, book(venue, 0, 0, price)) == (price, 0)


@pytest.mark.parametrize("quantity", [0, 1])
def test_fee_of_a_booking(venue, quantity):
    form = {"side": int(quantity > 0), "quantity": quantity, "price": MARK * quantity}
    for edge in (FEE, -FEE):
        assert taken(book(venue, **form, amount=edge))
        beyond = edge + (1 if edge > 0 else -1)
        assert venue.refused(Reason.AMOUNT, book(venue, **form, amount=beyond)) == (beyond, FEE)
    assert venue.refused(Reason.AMOUNT, book(venue, **form, amount=-(2**63))) == (-(2**63), FEE)


def test_position_with_open_orders(venue):
    order = sent(venue)
    for _ in range(2):
        book(venue, BUY, 10**6)
    total, edge = venue.refused(Reason.POSITION_BOUND, book(venue, BUY, 10**6))
    assert (total, edge) == (3 * 10**6 + 10, SPEC.largest_position)
    rest = edge - 2 * 10**6 - 10
    assert venue.refused(Reason.POSITION_BOUND, book(venue, BUY, rest + 1)) == (edge + 1, edge)
    assert taken(book(venue, BUY, rest))
    assert venue.refused(Reason.POSITION_BOUND, amend(venue, order, 11)) == (edge + 1, edge)
    assert taken(amend(venue, order, 10, MARK + 1)) and taken(book(venue, SELL, 1)) and taken(amend(venue, order, 11))


def test_position_of_the_venue(venue):
    edge = SPEC.largest_position
    for account in (ANN, BEA):
        book(venue, SELL, 10**6, account=account)
    rest = edge - 2 * 10**6
    assert venue.refused(Reason.POSITION_BOUND, book(venue, SELL, rest + 1)) == (edge + 1, edge)
    assert taken(book(venue, SELL, rest))


def test_balances(venue):
    """2^14 of the largest payments take the venue's account, and not one atom more; back again the client's."""
    edge, count = bounds.DEPOSITS_MAX, bounds.DEPOSITS_MAX // FEE
    repeated(venue, count, account=ANN, amount=FEE)
    assert venue.balance(THERE) == edge
    assert venue.refused(Reason.BALANCE_BOUND, pay(venue, 1)) == (edge + 1, edge)
    assert venue.refused(Reason.BALANCE_BOUND, book(venue, amount=1)) == (edge + 1, edge)
    repeated(venue, count, account=ANN, amount=-FEE)
    repeated(venue, count - 1, account=ANN, amount=-FEE)
    assert taken(pay(venue, -FEE + 10**9)) and venue.balance(ANN) == edge
    assert venue.refused(Reason.BALANCE_BOUND, pay(venue, -1)) == (edge + 1, edge)
    assert venue.refused(Reason.BALANCE_BOUND, book(venue, amount=-1)) == (edge + 1, edge)


def cash_by(venue, account, side, units):
    """Session cash of an account changed by so many ticks of a lot, flat again: lost where `side` BUY ends each trip.

    Each trip's dear half is its second, so that the cash is nowhere further out than at the end.
    """
    while units:
        lots = min(10**6, units // WIDEST) or 1
        step = min(units // lots, WIDEST)
        assert taken(book(venue, -side, lots, SPEC.price_min, account))
        assert taken(book(venue, side, lots, SPEC.price_min + step, account))
        units -= lots * step


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("whose", ["client", "venue"])
def test_session_cash(venue, whose, side):
    """Of the venue where two clients' are half of it each."""
    edge, units = bounds.BALANCE_MAX, bounds.BALANCE_MAX // SPEC.multiplier
    losers = (ANN,) if whose == "client" else (BEA, ANN)
    for account in losers:
        cash_by(venue, account, side, units // len(losers))
    holder = ANN if whose == "client" else THERE
    assert abs(venue.account(holder)["positions"][ETHER][1]) == units * SPEC.multiplier
    book(venue, -side, 1, SPEC.price_min)
    sign, beyond = -side if whose == "client" else side, (units + 1) * SPEC.multiplier
    refused = book(venue, side, 1, SPEC.price_min + 1)
    assert venue.refused(Reason.BALANCE_BOUND, refused) == (sign * beyond, edge)
    assert taken(book(venue, side, 1, SPEC.price_min))


def test_nobody_or_nowhere(venue):
    assert venue.refused(Reason.UNKNOWN_ACCOUNT, book(venue, account=99)) == (99, THERE + 1)
    assert venue.refused(Reason.SYSTEM_ACCOUNT, book(venue, account=1)) == (1, 3)
    assert venue.refused(Reason.ROLE, book(venue, account=THERE)) == (THERE, Role.UPSTREAM)
    for number in (-1, len(SPECS)):
        assert venue.refused(Reason.UNKNOWN_INSTRUMENT, book(venue, instrument=number)) == (number, len(SPECS))
    assert venue.refused(Reason.NOT_UPSTREAM, book(venue, instrument=PERPETUAL)) == (PERPETUAL, 0)


def test_nothing_is_booked_in_what_expired(venue):
    venue.time = EXPIRY
    assert taken(book(venue, instrument=FUTURE))
    venue.do(Kind.EXPIRE, instrument=FUTURE, price=MARK)
    assert venue.refused(Reason.EXPIRED, book(venue, instrument=FUTURE)) == (EXPIRY, venue.time)
    assert venue.refused(Reason.EXPIRED, pay(venue, 1, instrument=FUTURE)) == (EXPIRY, venue.time)


# -- terms of an order -------------------------------------------------------------------------------------------------


def test_terms_of_an_order(venue):
    order, edge = sent(venue), SPEC.quantity_max
    for quantity in (1, edge):
        assert taken(amend(venue, order, quantity))
    for beyond in (0, -1, edge + 1):
        assert venue.refused(Reason.QUANTITY, amend(venue, order, beyond)) == (beyond, edge)
    for price, beyond in ((SPEC.price_min, SPEC.price_min - 1), (SPEC.price_max, SPEC.price_max + 1)):
        assert taken(amend(venue, order, 5, price))
        assert venue.refused(Reason.PRICE_BAND, amend(venue, order, 5, beyond)) == (beyond, price)
        assert order_there(venue, order)[PRICE : FILLED + 1] == (price, 5, 0)


def test_terms_are_margined_like_an_order_sent_so(venue):
    order = sent(venue)
    for quantity, price in ((20, MARK + 500), (7, MARK - 500), (30, MARK)):
        amend(venue, order, quantity, price)
        venue.order(BEA, ETHER, BUY, quantity, price)
        assert venue.margin(ANN) == venue.margin(BEA)
        venue.do(Kind.ENDED, account=BEA, order_id=venue.seq)


def test_terms_in_any_status_count_anew_at_todays_rates(venue):
    order = sent(venue)
    venue.do(Kind.TIER, tier=0, currency=0, price=10, amount=20)
    for done, (kind, status) in enumerate(
        ((Kind.ENDED, Status.PENDING), (Kind.ACKNOWLEDGED, Status.ACKNOWLEDGED), (Kind.UNKNOWN, Status.UNKNOWN)), 1
    ):
        if kind != Kind.ENDED:
            venue.do(kind, account=ANN, order_id=order)
        venue.do(Kind.EXECUTED, account=ANN, order_id=order, quantity=1, price=MARK, amount=9)
        edited = amend(venue, order, 6, MARK)[0]
        assert (edited.kind, edited.price, edited.quantity) == (EventKind.EDITED, MARK, 6)
        assert (edited.a, edited.b) == (venue.margin(ANN)["requirement"], venue.margin(ANN)["equity"])
        state = order_there(venue, order)
        assert (state[REMAINING], state[FILLED], state[ACCRUED], state[POSTED], state[STATUS]) == (6, 0, 0, 0, status)
        assert (state[MAKER_RATE], state[TAKER_RATE], state[DONE]) == (10, 20, done)


def test_terms_of_no_order_there(venue):
    here = venue.order(ANN, PERPETUAL, BUY, 1, MARK)[0].order_id
    assert venue.refused(Reason.ORDER_STATUS, amend(venue, here, 1)) == (here, Status.RESTING)
    assert venue.refused(Reason.UNKNOWN_ORDER, amend(venue, here + 99, 1)) == (here + 99, ANN)
    refused = venue.do(Kind.AMENDED, account=BEA, order_id=sent(venue), quantity=1, price=MARK)
    assert venue.refused(Reason.NOT_OWNER, refused) == (venue.seq - 1, ANN)


# -- edits of an order that is open there ----------------------------------------------------------------------------


def edit(venue, order, quantity, price=MARK, **more):
    """An EDIT command; its events."""
    return venue.do(Kind.EDIT, account=ANN, order_id=order, quantity=quantity, price=price, **more)


@pytest.fixture
def open_there(venue):
    """An order acknowledged elsewhere, and a younger one."""
    order = sent(venue)
    venue.do(Kind.ACKNOWLEDGED, account=ANN, order_id=order)
    venue.order(ANN, PERPETUAL, BUY, 1, MARK)
    return order


def test_an_edit_takes_the_new_terms_in_place(venue, open_there):
    venue.do(Kind.EXECUTED, account=ANN, order_id=open_there, quantity=4, price=MARK)
    edited, *rest = edit(venue, open_there, 20, MARK + 5)
    assert (edited.kind, edited.price, edited.quantity, rest) == (EventKind.EDITED, MARK + 5, 16, [])
    assert (edited.a, edited.b) == (venue.margin(ANN)["requirement"], venue.margin(ANN)["equity"])
    state = order_there(venue, open_there)
    assert (state[REMAINING], state[FILLED], state[DONE], state[STATUS]) == (16, 0, 4, Status.ACKNOWLEDGED)
    assert venue.account(ANN)["orders"] == [open_there, open_there + 2]
    assert venue.book(ETHER, "bids") == []
    assert taken(venue.do(Kind.EXECUTED, account=ANN, order_id=open_there, quantity=16, price=MARK + 5))
    assert venue.held(ANN, ETHER) == 20


def test_an_edit_that_is_refused_leaves_the_order(venue, open_there):
    before = venue.engine.state()
    needed, held = venue.refused(Reason.MARGIN, edit(venue, open_there, 10**4))
    assert needed > held
    after = venue.engine.state()
    assert {**before, "seq": 0, "clock": 0} == {**after, "seq": 0, "clock": 0}
    venue.do(Kind.STATE, state=VenueState.HALTED)
    assert venue.refused(Reason.VENUE_HALTED, edit(venue, open_there, 11))[0] == VenueState.HALTED
    assert edit(venue, open_there, 9)[0].kind == EventKind.EDITED  # less at the same price passes no gate
    assert order_there(venue, open_there)[REMAINING] == 9


def test_an_edit_to_what_is_filled_asks_for_the_cancel(venue, open_there):
    venue.do(Kind.EXECUTED, account=ANN, order_id=open_there, quantity=4, price=MARK)
    asked = edit(venue, open_there, 4)
    assert [(event.kind, event.reason) for event in asked] == [(EventKind.STATUS, Reason.BY_OWNER)]
    assert venue.refused(Reason.ORDER_STATUS, edit(venue, open_there, 20)) == (open_there, Status.ACKNOWLEDGED)
    assert taken(amend(venue, open_there, 5))


@pytest.mark.parametrize("kind", [Kind.TIME, Kind.UNKNOWN])
def test_an_edit_of_what_is_not_known_to_be_open_is_refused(venue, kind):
    order = sent(venue)
    venue.do(kind, account=ANN, order_id=order)
    status = order_there(venue, order)[STATUS]
    assert venue.refused(Reason.ORDER_STATUS, edit(venue, order, 5)) == (order, status)


def test_what_never_rests_is_not_edited(venue):
    order = sent(venue, tif=TimeInForce.IOC)
    venue.do(Kind.ACKNOWLEDGED, account=ANN, order_id=order)
    assert venue.refused(Reason.ORDER_FORM, edit(venue, order, 5)) == (0, 0)
    assert taken(amend(venue, order, 5))


def test_a_timer_outlives_an_edit(venue):
    order = sent(venue, tif=TimeInForce.GTD, until=venue.time + 100)
    venue.do(Kind.ACKNOWLEDGED, account=ANN, order_id=order)
    assert taken(edit(venue, order, 20, MARK + 1)) and taken(amend(venue, order, 30))
    venue.time += 100
    assert [event.reason for event in venue.do(Kind.TIME)] == [Reason.GOOD_TILL_DATE]


# -- before rules 3 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [1, 2])
def test_rules_before_know_none_of_it(engine, rules):
    venue = open_venue(engine, rules=rules)
    for kind in (Kind.BOOKED, Kind.AMENDED):
        assert venue.refused(Reason.UNKNOWN_KIND, venue.do(kind, account=ANN)) == (kind, max(Kind))
    if rules == 2:
        venue.publish(weighted())
        venue.do(Kind.ACCOUNT, account=THERE, type=Role.UPSTREAM)
        venue.do(Kind.UPSTREAM, instrument=ETHER, account=THERE)
        order = sent(venue)
        venue.do(Kind.ACKNOWLEDGED, account=ANN, order_id=order)
        assert venue.refused(Reason.ORDER_STATUS, edit(venue, order, 5)) == (order, Status.ACKNOWLEDGED)
        venue.do(Kind.RULES, version=3)
        assert taken(edit(venue, order, 5)) and taken(amend(venue, order, 7)) and taken(book(venue))


def test_an_execution_elsewhere_is_the_last_price_that_stops_watch(venue):
    order = sent(venue)
    stop = {"type": OrderType.STOP_LIMIT, "watch": Watched.LAST, "trigger": MARK - 5}
    venue.order(BEA, ETHER, SELL, 5, MARK // 2, **stop)
    waiting = venue.seq
    events = venue.do(Kind.EXECUTED, account=ANN, order_id=order, quantity=4, price=MARK - 4)
    assert EventKind.TRIGGERED not in [event.kind for event in events]
    events = venue.do(Kind.EXECUTED, account=ANN, order_id=order, quantity=4, price=MARK - 5)
    assert [event.order_id for event in events if event.kind == EventKind.TRIGGERED] == [waiting]


@pytest.mark.parametrize("why", [Reason.OUTCOME_UNKNOWN, Reason.REDUCE_ONLY])
@pytest.mark.parametrize("rules", [4, 5])
def test_what_was_let_in_to_reduce_is_not_edited_beyond_that(engine, rules, why):
    """The venue elsewhere knows nothing of the flag it was let in with, and would fill it whole."""
    venue = open_venue(engine, coins=0, rules=rules)
    venue.do(Kind.ACCOUNT, account=THERE, type=Role.UPSTREAM)
    venue.do(Kind.UPSTREAM, instrument=ETHER, account=THERE)
    book(venue, SELL, 4)
    if why == Reason.REDUCE_ONLY:
        venue.do(Kind.STATE, state=VenueState.REDUCE_ONLY, type=Scope.ACCOUNT, account=ANN)
    else:
        lost = sent(venue, 1, MARK - 1000)
        venue.do(Kind.UNKNOWN, account=ANN, order_id=lost)
    order = sent(venue, 2)
    venue.do(Kind.ACKNOWLEDGED, account=ANN, order_id=order)
    most = 4 - (why == Reason.OUTCOME_UNKNOWN)
    assert edit(venue, order, most, MARK + 1)[0].kind == EventKind.EDITED
    events = edit(venue, order, most + 1, MARK + 2)
    if rules < 5:
        assert events[0].kind == EventKind.EDITED
        return
    assert venue.refused(why, events) == ((most + 1, most) if why == Reason.REDUCE_ONLY else (1, most))
    assert order_there(venue, order)[REMAINING] == most
