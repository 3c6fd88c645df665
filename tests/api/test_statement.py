"""What a venue's transaction log becomes: money for the bots, gains kept beside positions, and what is left over."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from api_venue import ALICE, BOB
from api_venue import Venue as Running

from seawall.api.desk import statement as statements
from seawall.api.desk.drop_copy import DropCopy, _gained
from seawall.api.desk.statement import PAGE, Statement, Taken
from seawall.venues.credentials import Credentials
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.records import COMMAND, Kind, Role, command

FIRST, SECOND = 4, 5


class Desk:
    """Two bots on one account, three quarters and one quarter of its money; 30 and 10 lots of one perpetual."""

    def __init__(self):
        perpetual = SimpleNamespace(
            number=7, name="BTC-PERPETUAL", settlement="BTC", spec=SimpleNamespace(product=Product.PERPETUAL)
        )
        ledger = {FIRST: {0: 600}, SECOND: {0: 200}}
        self.view = SimpleNamespace(
            by_name={"BTC-PERPETUAL": perpetual},
            listings={7: perpetual},
            marks={7: 120_000},
            positions={(FIRST, 7): 30, (SECOND, 7): 10},
            ledger=SimpleNamespace(of=lambda account: SimpleNamespace(balance=ledger[account])),
        )
        self.any_listing = lambda currency: perpetual
        self.delivering = set
        self.written = []

    def shares(self, name):
        return [(FIRST, 3.0), (SECOND, 1.0)]

    def accounts_at(self, name):
        return [FIRST, SECOND]

    def currency(self, name):
        return {"BTC": 0}.get(name)

    def atoms(self, amount, name):
        return round(amount * 10**8)

    async def write(self, records, data):
        self.written.append((np.frombuffer(records, COMMAND), data))


class Venue:
    """Answers with a log, newest first, a page at a time."""

    def __init__(self, log):
        self.log, self.asked = log, 0

    async def ask(self, method, *, currency, count, continuation=None, **span):
        assert (method, currency) == ("private/get_transaction_log", "BTC") and span["end_timestamp"] > 2**50
        self.asked += 1
        rows = [row for row in self.log[::-1] if continuation is None or row["id"] < continuation]
        more = rows[count - 1]["id"] if len(rows) > count else None
        return {"logs": rows[:count], "continuation": more}


def read(log, **taken):
    desk = Desk()
    statement = Statement(desk, "main")
    statement.taken = Taken("main", {"BTC": 0}, {"BTC": 0}, {"BTC": 0}, **taken)
    asyncio.run(statement.read(venue := Venue(log)))
    return desk, statement, venue


def entry(number, kind, change, **more):
    return {"id": number, "type": kind, "change": change / 10**8, "instrument_name": None, **more}


def booked(desk):
    return [
        (int(row["account"]), int(row["instrument"]), int(row["amount"]))
        for records, _ in desk.written
        for row in records
        if row["kind"] == Kind.BOOKED
    ]


def test_deposits_go_by_share_funding_by_position_and_no_atom_is_lost():
    desk, statement, _ = read(
        [entry(1, "deposit", 101), entry(2, "funding", -7, instrument_name="BTC-PERPETUAL"), entry(3, "trade", -50)]
    )
    assert booked(desk) == [(FIRST, 7, -76), (SECOND, 7, -25), (FIRST, 7, 6), (SECOND, 7, 1)]
    assert statement.taken.read == {"BTC": 3} and statement.taken.settled == {"BTC": 0}


def test_a_settlement_is_kept_beside_and_its_funding_is_money():
    desk, statement, _ = read([entry(1, "settlement", 1_000, interest_pl=-40 / 10**8, instrument_name="BTC-PERPETUAL")])
    assert statement.taken.settled == {"BTC": 1_040}
    assert booked(desk) == [(FIRST, 7, 30), (SECOND, 7, 10)]


def test_a_long_log_is_read_by_pages_once_and_in_order():
    log = [entry(number, "deposit", 4) for number in range(1, 2 * PAGE + 10)]
    desk, statement, venue = read(log)
    assert len(booked(desk)) == 2 * len(log) and venue.asked == 3
    asyncio.run(statement.read(venue))
    assert len(desk.written) == 1 and venue.asked == 4  # nothing new


def test_what_does_not_add_up_is_named_with_both_numbers():
    desk = Desk()
    statement = Statement(desk, "main")
    statement.taken = Taken("main", {"BTC": 100}, {"BTC": 40}, {"BTC": 0})
    summary = [{"currency": "BTC", "balance": 940 / 10**8}, {"currency": "DOGE", "balance": 1.0}]
    assert statement.differences({"BTC-PERPETUAL": 40}, summary) == {}
    summary[0]["balance"] = 939 / 10**8
    assert statement.differences({"BTC-PERPETUAL": 39}, summary) == {
        "BTC-PERPETUAL": {"theirs": 39, "ours": 40, "unit": "lots"},
        "BTC": {"theirs": 939, "ours": 940, "unit": "atoms"},
    }


# -- a venue whose settlements and deliveries move money, and a shadow that has neither but the delivery ---------------

EXPIRING = "BTC-9MAR26"
UPSTREAM = BOB + 2


@pytest.fixture
def two(tmp_path):
    running = []
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
        running.append(Running(tmp_path / name))
    yield running
    for one in running:
        one.stop()


class Follower:
    """A statement of alice's over a running venue, her shadow in another one."""

    def __init__(self, there, here):
        async def write(records, data):
            here.submit(records, attachments=data)

        self.there, self.here = there, here
        self.between = 0
        self.statement = Statement(
            SimpleNamespace(
                view=here.view, shares=lambda name: [(ALICE, 1.0)], accounts_at=lambda name: [ALICE], write=write,
                currency={"BTC": 0}.get, atoms=lambda amount, name: round(amount * 10**8), any_listing=None,
            ),
            "main",
        )  # fmt: skip

    async def ask(self, method, start_timestamp=0, end_timestamp=0, **given):
        """What the venue says, as if it had delivered at a price between two ticks: by so many atoms more."""
        answer = self.there.result(method, ALICE, **given)
        for row in answer.get("logs", ()):
            row["change"] += self.between / 10**8 if row["type"] == "delivery" else 0
        return answer

    def held(self):
        rows = self.there.result("private/get_positions", ALICE)
        names = self.here.view.by_name
        held = {row["instrument_name"]: round(names[row["instrument_name"]].lots(row["size"])) for row in rows}
        gains = {row["instrument_name"]: _gained(row) for row in rows}
        summaries = self.there.result("private/get_account_summaries", ALICE)["summaries"]
        for row in summaries:
            row["balance"] += self.between / 10**8 if row["currency"] == "BTC" else 0
        return held, summaries, gains

    def take_over(self):
        asyncio.run(self.statement.adopt(self, *self.held()))
        self.statement.taken.base["BTC"] -= 100 * 10**8  # this shadow had money of its own

    def differences(self):
        asyncio.run(self.statement.read(self))
        held, summaries, _ = self.held()
        return self.statement.differences(held, summaries)

    def settled(self, index):
        for one in (self.there, self.here):
            one.publish(BTC=index)
        self.there.submit(command(Kind.SETTLE, instrument=self.there.view.by_name[EXPIRING].number))

    def delivered(self, index):
        for one in (self.there, self.here):
            one.clock.advance(8 * 24 * 3600 * 10**9)
            one.expire(EXPIRING, index)


def bought(*venues, back=False):
    for one in venues:
        seller, buyer = (ALICE, BOB) if back else (BOB, ALICE)
        one.sell(seller, 60_000, 60_000.0, name=EXPIRING)
        one.buy(buyer, 60_000, 60_000.0, name=EXPIRING)


@pytest.mark.parametrize("back", [False, True])
def test_a_future_that_was_settled_may_be_delivered(two, back):
    """What its settlements moved is in its delivery here, whether it is held by then or was closed before."""
    follower = Follower(*two)
    follower.take_over()
    bought(*two)
    assert follower.differences() == {}
    follower.settled(61_000.0)
    assert follower.differences() == {} and follower.statement.taken.settled["BTC"] > 0
    if back:
        follower.settled(60_000.0)
        bought(*two, back=True)
        follower.settled(60_500.0)
        assert follower.differences() == {}
    follower.delivered(62_000.0)
    assert follower.differences() == {}
    assert follower.statement.taken.settled == {"BTC": 0}
    assert follower.differences() == {}


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_delivery_price_between_two_ticks_is_no_break_and_any_other_is(two, settled, late):
    """Half a tick of half a dollar is 390 atoms of 60,000 dollars; the venue's row may come before ours or after."""
    follower = Follower(*two)
    follower.take_over()
    base = follower.statement.taken.base["BTC"]
    bought(*two)
    if settled:
        follower.settled(61_000.0)
        assert follower.differences() == {}
    there, here = two
    for one in (there, here) if late else (there,):
        one.clock.advance(8 * 24 * 3600 * 10**9)
        one.expire(EXPIRING, 62_000.0)
    follower.between = 380
    asyncio.run(follower.statement.read(follower))
    if not late:
        here.clock.advance(8 * 24 * 3600 * 10**9)
        here.expire(EXPIRING, 62_000.0)
    assert follower.differences() == {}
    assert follower.statement.taken.paid == follower.statement.taken.beside == {}
    assert follower.statement.taken.settled == {"BTC": 0} and follower.statement.taken.base["BTC"] == base + 380
    follower.between = 381
    assert follower.differences()["BTC"]["unit"] == "atoms"


def test_a_delivery_at_another_price_is_a_break(two):
    follower = Follower(*two)
    follower.take_over()
    bought(*two)
    follower.delivered(62_000.0)
    follower.between = 400
    found = follower.differences()["BTC"]
    assert found["theirs"] - found["ours"] == 400


@pytest.mark.parametrize("settled", [False, True])
def test_a_future_that_was_taken_over_may_be_delivered(two, settled):
    there, here = two
    follower = Follower(there, here)
    bought(there)
    for one in two:
        one.publish(BTC=60_700.0)
    number = here.view.by_name[EXPIRING].number
    here.submit(command(Kind.ACCOUNT, account=UPSTREAM, type=Role.UPSTREAM))
    here.submit(command(Kind.UPSTREAM, account=UPSTREAM, instrument=number))
    follower.take_over()
    assert follower.differences() == {}
    if settled:
        follower.settled(61_000.0)
        assert follower.differences() == {}
    follower.delivered(62_000.0)
    assert follower.differences() == {}


def test_money_in_a_currency_that_is_listed_later_is_taken_over_and_compared(two):
    follower = Follower(*two)
    follower.statement._desk.currency = {"BTC": 0}.get
    follower.take_over()
    summaries = follower.held()[1]
    assert not asyncio.run(follower.statement.take_in(follower, summaries))
    follower.there.submit(command(Kind.DEPOSIT, account=ALICE, currency=1, amount=7))
    follower.statement._desk.currency = {"BTC": 0, "ETH": 1}.get
    assert asyncio.run(follower.statement.take_in(follower, follower.held()[1]))
    taken = follower.statement.taken
    assert (taken.base["ETH"], taken.settled["ETH"]) == (0, 0)
    assert follower.here.view.ledger.of(ALICE).balance[1] == 100 * 10**8 + 7
    assert follower.differences() == {}
    follower.there.submit(command(Kind.DEPOSIT, account=ALICE, currency=1, amount=9))
    assert follower.statement.differences(*follower.held()[:2])["ETH"]["unit"] == "atoms"


class Told(Venue):
    """Answers with what an account has, and may tell of a trade while it is asked."""

    def __init__(self, copy, lots, balance, *, while_asked=False):
        super().__init__([])
        self.copy, self.lots, self.balance, self.while_asked = copy, lots, balance, while_asked

    async def ask(self, method, **parameters):
        if method == "private/get_transaction_log":
            return await super().ask(method, **parameters)
        if method == "private/get_positions":
            self.copy._told += self.while_asked
            return [{"instrument_name": "BTC-PERPETUAL", "size": self.lots}]
        return {"summaries": [{"currency": "BTC", "balance": self.balance / 10**8}]}


def looks(*rows):
    """What is said to be broken after looks at (lots, atoms, a trade came meanwhile)."""
    desk = Desk()
    desk.view.by_name["BTC-PERPETUAL"].lots = round
    desk.broken = lambda at, about, facts: said.append((about, facts["theirs"] - facts["ours"]))
    desk.busy = lambda at: False
    said, copy = [], DropCopy(desk, "main", Credentials("key", "secret"))
    copy.statement.taken = Taken("main", {"BTC": 0}, {"BTC": 0}, {"BTC": 0})
    for lots, atoms, meanwhile in rows:
        asyncio.run(copy._compare(Told(copy, lots, atoms, while_asked=meanwhile), copy._told))
    return said


def test_a_difference_that_stays_is_a_break_told_once():
    assert looks((40, 800, False), (40, 800, False)) == []
    assert looks((40, 799, False)) == []
    assert looks((40, 799, False), (40, 799, False), (40, 799, False)) == [("BTC", -1)]
    assert looks((41, 800, False), (41, 800, False)) == [("BTC-PERPETUAL", 1)]


def test_a_break_that_stands_hides_no_other_one_of_the_same():
    one, more, turned = (41, 800, False), (50_000, 800, False), (-900_000, 700, False)
    told = looks(one, one, one, more, more, more, turned, turned, turned, one, one)
    assert told[:2] == [("BTC-PERPETUAL", 1), ("BTC-PERPETUAL", 49_960)]
    assert sorted(told[2:4]) == [("BTC", -100), ("BTC-PERPETUAL", -900_040)]
    assert told[4:] == [("BTC-PERPETUAL", 1)]


def test_what_moves_while_it_is_asked_is_no_break():
    assert looks((41, 800, False), (42, 800, False), (40, 800, False), (41, 800, False)) == []
    assert looks((41, 800, True), (41, 800, True), (41, 800, True)) == []


def test_the_log_is_read_rarely_and_before_a_difference_counts(monkeypatch):
    """A venue counts a look at its log as many questions: a look every two seconds would use up the bots' own."""
    now, log = [1_000.0], []
    monkeypatch.setattr(statements, "time", SimpleNamespace(monotonic=lambda: now[0]), raising=False)
    desk = Desk()
    desk.view.by_name["BTC-PERPETUAL"].lots = round
    said, copy = [], DropCopy(desk, "main", Credentials("key", "secret"))
    desk.broken, desk.busy = lambda at, about, facts: said.append(about), lambda at: False
    copy.statement.taken = Taken("main", {"BTC": 0}, {"BTC": 0}, {"BTC": 0})

    def look(balance):
        """How often the log was asked for, and what is said to differ, of a look two seconds later."""
        now[0] += 2.0
        venue = Told(copy, 40, balance)
        venue.log = log
        asyncio.run(copy._compare(venue, copy._told))
        return venue.asked, list(copy.breaks)

    assert [look(800)[0] for _ in range(11)] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    log.append(entry(1, "settlement", 50))  # it explains what differs without it: nothing is counted
    assert look(850) == (1, []) and look(850) == (0, [])
    assert look(849) == (1, ["BTC"]) and said == []
    assert look(849) == (1, ["BTC"]) and said == ["BTC"]  # at two looks, each with the log
    assert [look(849)[0] for _ in range(5)] == [0, 0, 0, 0, 1]  # told
    assert look(850) == (0, []) and look(849) == (1, ["BTC"])
    assert look(848) == (1, ["BTC"]) and said == ["BTC"]  # another difference
    assert look(850) == (1, []) and look(848) == (1, ["BTC"]) and look(848) == (1, ["BTC"])
    assert said == ["BTC", "BTC"]
