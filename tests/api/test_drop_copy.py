"""The drop copy's own connection, and a venue that does not find at once what it has."""

import asyncio
import contextlib
import itertools
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from desk_script import ALICE, BOB, BUY
from test_shadow import ghost, kill, run

from seawall.api.desk import drop_copy
from seawall.api.operations.record import Record
from seawall.journal import folders_of, frames
from seawall.node.node import Group
from seawall.node.replay import ENGINES, Fold
from seawall.venues.connection import VenueError
from seawall.vocabulary.records import Kind, Scope, VenueState, command


def test_the_drop_copy_is_logged_in_anew_before_its_login_ends(tmp_path, monkeypatch):
    """A venue may take a private question no longer than that, and whoever must connect anew is blind meanwhile."""

    async def trip(script):
        logins, looks, reading = [], [], asyncio.get_running_loop().create_future()

        async def log_in(credentials, scope):
            logins.append(len(looks))
            return {"access_token": "a", "expires_in": 0.1}

        async def catch_up(venue):
            looks.append(time.monotonic())
            if len(looks) == 40:
                reading.set_result(None)

        monkeypatch.setattr(script.there, "log_in", log_in, raising=False)
        monkeypatch.setattr(script.there, "subscribe", lambda channels: None, raising=False)
        monkeypatch.setattr(script.copy, "catch_up", catch_up)
        monkeypatch.setattr(drop_copy, "RECONCILE_S", 0.02)
        await script.copy._begin(script.there)
        await script.copy._keep(script.there, reading)
        gaps = [later - before for before, later in itertools.pairwise(logins)]
        assert logins[0] == 0 and len(gaps) >= 3 and all(2 <= gap <= 9 for gap in gaps)

    run(trip, tmp_path)


@pytest.mark.parametrize("enforce", [True, False])
def test_an_order_that_the_venue_does_not_find_yet_is_not_over(tmp_path, enforce):
    async def trip(script):
        await (script.order("BTC-1") if enforce else ghost(script))
        kept = script.there.orders.pop("BTC-1")
        await script.look()
        assert list(script.shadow.live) == ["BTC-1"] and len(script.open()) == enforce
        script.there.orders["BTC-1"] = kept
        await script.look()
        assert list(script.shadow.live) == ["BTC-1"] and script.alerts == []

    run(trip, tmp_path, enforce=enforce)


def test_an_order_placed_during_the_look_is_not_asked_about(tmp_path, monkeypatch):
    """In a flood a thousand are, and each would be two questions more to a venue that has enough to do."""

    async def trip(script):
        await script.order("BTC-1")
        ask = script.there.ask

        async def slowly(method, *more, **given):
            answer = await ask(method, *more, **given)
            if method == "private/get_open_orders" and "BTC-2" not in script.there.orders:
                await script.order("BTC-2")
            return answer

        monkeypatch.setattr(script.there, "ask", slowly)
        await script.look()
        assert script.there.asked["private/get_order_state"] == 0 and list(script.shadow.live) == ["BTC-1", "BTC-2"]
        script.row("BTC-2", state="cancelled")  # unheard
        await script.look()
        assert script.there.asked["private/get_order_state"] == 1 and list(script.shadow.live) == ["BTC-1"]

    run(trip, tmp_path)


def test_an_edit_of_an_order_that_is_not_found_yet_stays_unknown(tmp_path, monkeypatch):
    async def trip(script):
        await script.order("BTC-1")
        sent = await script.call("private/edit", order_id="BTC-1", amount=200, price=59_500)
        sent.lost("the connection ended before the answer came")
        monkeypatch.setattr("seawall.api.desk.drop_copy.GRACE_S", -1)
        kept = script.there.orders.pop("BTC-1")
        await script.look()
        assert script.desk.lost == [sent]
        script.there.orders["BTC-1"] = kept
        await script.look()
        [order] = script.open()
        assert script.desk.lost == [] and order.price == 59_000 * 2

    run(trip, tmp_path)


def test_what_was_not_filled_of_an_order_that_the_venue_has_forgotten_is_over(tmp_path, monkeypatch):
    async def trip(script):
        monkeypatch.setattr("seawall.api.desk.drop_copy.UNFOUND_S", 0)
        await script.order("BTC-1")
        script.tell_trade(script.trade("t1", "BTC-1", 30, 59_000.0))
        script.there.orders.clear()
        await script.look()
        assert script.open() == [] and script.position() == 3 and script.alerts == []

    run(trip, tmp_path)


@pytest.mark.parametrize("restart", [False, True])
def test_an_order_that_was_over_and_stands_at_the_venue_is_told_of(tmp_path, restart, monkeypatch):
    async def trip(script):
        monkeypatch.setattr("seawall.api.desk.drop_copy.UNFOUND_S", 0)
        await script.order("BTC-1", BOB)  # and none of his labels
        script.tell_trade(script.trade("t1", "BTC-1", 30, 59_000.0))
        kept = script.there.orders.pop("BTC-1")
        await script.look()
        assert script.open(BOB) == []
        script.there.orders["BTC-1"] = kept
        await script.look()
        assert script.alerts == []  # its end may have been heard while we asked
        await script.look()
        assert [(kind, facts["order_id"]) for kind, facts in script.alerts] == [("order_from_outside", "BTC-1")]
        if restart:
            await script.again()
        script.tell_trade(script.trade("t2", "BTC-1", 20, 59_000.0))
        script.tell_order(script.row("BTC-1", filled_amount=50))
        await script.look()
        assert len(script.alerts) == 1 and (script.position(BOB), script.position(ALICE)) == (5, 0)
        kill(script, type=Scope.ACCOUNT, account=BOB)
        await script.settle()
        assert script.there.cancelled == ["BTC-1"]
        script.tell_order(script.row("BTC-1", state="cancelled", filled_amount=50))
        await script.settle()
        assert script.shadow.live == {}

    run(trip, tmp_path)


# -- what differs and is no break --------------------------------------------------------------------------------------


def test_what_is_being_delivered_is_no_break_until_it_should_be_over(tmp_path):
    """The venue delivers at once; here each of what expired is asked for first."""

    async def trip(script):
        view = script.venue.view
        listing = view.by_name["BTC-PERPETUAL"]

        async def looks(seconds):
            """Alerts of three looks, so long after the expiry."""
            spec = replace(listing.spec, expiry=time.time_ns() - int(seconds * 1e9))
            view.by_name["BTC-PERPETUAL"] = view.listings[listing.number] = replace(listing, spec=spec)
            for _ in range(3):
                await script.look()
            return [kind for kind, _ in script.alerts]

        await script.order("BTC-1")
        script.tell_trade(script.trade("t1", "BTC-1", 30, 59_000.0))
        script.tell_order(script.row("BTC-1", state="cancelled", filled_amount=30))
        await script.settle()
        script.there.trades.clear()  # and the position with them
        assert await looks(-3) == [] and await looks(1) == [] and await looks(100) == []  # our clock may be behind
        assert await looks(1_000) == []  # the desk was started just now
        script.desk.began -= 200
        assert await looks(110) == []
        assert await looks(130) == ["break"]
        assert await looks(1) == await looks(130) == ["break"]  # told once, whatever is delivered meanwhile

    run(trip, tmp_path)


# -- a venue that answers our own questions with errors ----------------------------------------------------------------


@contextlib.asynccontextmanager
async def running(script, monkeypatch, **answers):
    """The drop copy's own life, over connections that are counted."""

    async def log_in(credentials, scope):
        return {"access_token": "a", "expires_in": 900}

    async def endless():
        await asyncio.sleep(1_000)

    async def close():
        pass

    async def connect(http, upstream, hear):
        opened.append(time.monotonic())
        return script.there

    opened = []
    answers = {"log_in": log_in, "read": endless, "close": close, "subscribe": lambda channels: None, **answers}
    for name, answer in answers.items():
        monkeypatch.setattr(script.there, name, answer, raising=False)
    monkeypatch.setattr(drop_copy.Connection, "open", connect)
    monkeypatch.setattr(drop_copy, "RECONCILE_S", 0.02)
    monkeypatch.setattr(drop_copy, "BACK_S", (0.01,))
    script.copy.seeing, script.copy.why = False, drop_copy.NOT_YET
    living = asyncio.create_task(script.copy.run())
    yield opened
    living.cancel()


@pytest.mark.parametrize(("code", "patient"), [(10028, True), (10041, True), (11051, False), (13009, False)])
def test_who_is_put_off_looks_again_over_the_same_connection(tmp_path, monkeypatch, code, patient):
    """To connect anew asks for more of a venue that says that it is asked too much; and nothing is sent meanwhile."""

    async def trip(script):
        left = [0]

        def get_open_orders():
            if not left[0]:
                return []
            left[0] -= 1
            raise VenueError("private/get_open_orders", code, "no")

        async with running(script, monkeypatch, get_open_orders=get_open_orders) as opened:
            await asyncio.sleep(0.2)
            assert script.copy.seeing
            left[0] = 3
            await asyncio.sleep(0.2)
            assert (len(opened) == 1, [kind for kind, _ in script.alerts] == []) == (patient, patient)
            if patient:
                assert left == [0] and script.copy.seeing
                monkeypatch.setattr(drop_copy, "COMPARED_MAX_S", 0)  # and no longer than that
                left[0] = 1_000
                await asyncio.sleep(0.2)
                assert len(opened) > 1 and [kind for kind, _ in script.alerts] == ["drop_copy_lost"]

    run(trip, tmp_path)


def test_one_order_that_the_venue_tells_nothing_of_blinds_nobody(tmp_path, monkeypatch):
    def untold(order_id):
        raise VenueError("private/get_order_state", 10001, "an order of that kind is not asked for")

    async def trip(script):
        monkeypatch.setattr(script.there, "get_order_state", untold, raising=False)
        await script.order("BTC-1")
        await script.order("BTC-2")
        script.row("BTC-1", state="cancelled")
        await script.look()
        assert set(script.shadow.live) == {"BTC-1", "BTC-2"}
        monkeypatch.setattr(drop_copy, "UNFOUND_S", 0)
        await script.look()
        assert set(script.shadow.live) == {"BTC-2"} and len(script.open()) == 1
        edited = await script.call("private/edit", order_id="BTC-2", amount=200, price=59_500)
        await script.settle()
        edited.lost("the connection ended before the answer came")
        monkeypatch.setattr(drop_copy, "GRACE_S", -1)
        await script.look()
        assert script.desk.lost == [] and [order.price for order in script.open()] == [59_000 * 2]

    run(trip, tmp_path)


@pytest.mark.parametrize("code", [502, 0, -32603])
def test_what_stands_before_a_venue_ends_no_order(tmp_path, monkeypatch, code):
    async def trip(script):
        await script.order("BTC-1")

        def no_gateway(order_id):
            raise VenueError("private/get_order_state", code, "bad gateway")

        monkeypatch.setattr("seawall.api.desk.drop_copy.UNFOUND_S", 0)
        monkeypatch.setattr(script.there, "get_order_state", no_gateway)
        monkeypatch.setattr(script.there, "get_open_orders", list)
        with pytest.raises(VenueError):
            await script.look()
        assert len(script.open()) == 1

    run(trip, tmp_path)


def test_an_outcome_that_the_venue_cannot_tell_stays_unknown_and_blinds_nobody(tmp_path, monkeypatch):
    def untold(**asked):
        raise VenueError("private/get_order_history_by_instrument", 10033, "not_implemented")

    async def trip(script):
        monkeypatch.setattr(drop_copy, "GRACE_S", -1)
        sent = await script.call("private/buy", instrument_name="BTC-PERPETUAL", amount=100, price=59_000)
        await script.settle()
        sent.lost("the connection ended before the answer came")
        with monkeypatch.context() as untelling:
            untelling.setattr(script.there, "get_order_history_by_instrument", untold, raising=False)
            await script.look()
        assert script.desk.lost == [sent]
        await script.look()
        assert script.desk.lost == [] and script.open() == []

    run(trip, tmp_path)


@pytest.mark.parametrize("enforce", [True, False])
def test_an_account_that_was_never_seen_is_told_of(tmp_path, monkeypatch, enforce):
    """Observe refuses nothing, so nobody would know that no execution is counted and nothing is compared."""

    async def refused(credentials, scope):
        raise VenueError("public/auth", 13004, "invalid_credentials")

    async def trip(script):
        async with running(script, monkeypatch, log_in=refused) as opened:
            await asyncio.sleep(0.5)
            assert len(opened) >= 2
            [(kind, facts)] = script.alerts
            assert (kind, facts["account"]) == ("drop_copy_lost", "main") and "13004" in facts["why"]

    run(trip, tmp_path, enforce=enforce)


# -- a break that stands -----------------------------------------------------------------------------------------------


def test_a_break_that_stands_is_told_of_again_by_no_restart(tmp_path, monkeypatch):
    """People looked and lifted the restriction; what nobody can undo would restrict the bots at each start."""

    async def trip(script):
        held = [100]
        rows = lambda: [{"instrument_name": "BTC-PERPETUAL", "size": held[0]}]  # noqa: E731
        monkeypatch.setattr(script.there, "get_positions", rows, raising=False)

        async def again(size):
            """Breaks told by a desk that is started again, by how much."""
            held[0] = size
            await script.again()
            script.alerts.clear()
            for _ in range(3):
                await script.look()
            return [facts["theirs"] - facts["ours"] for kind, facts in script.alerts]

        assert await again(100) == [10]
        assert await again(100) == []
        assert await again(110) == [11]  # another one
        assert await again(110) == [] and await again(0) == []
        assert await again(110) == [11]  # it was over meanwhile

    run(trip, tmp_path)


# -- taking over an account that trades --------------------------------------------------------------------------------


@pytest.mark.parametrize("enforce", [True, False])
def test_what_is_executed_while_an_account_is_taken_over_counts_once(tmp_path, enforce):
    """It is heard, and it is in the position that is taken over: a desk starts before bots that trade directly."""

    async def trip(script):
        script.copy.statement.taken = None
        script.trade("t0", "X-1", 50, 59_000.0)
        script.tell_trade(script.trade("t1", "X-1", 30, 59_000.0))
        for _ in range(3):
            await script.look()
        assert script.position() == 8
        script.tell_trade(script.trade("t2", "X-1", 20, 59_000.0))
        for _ in range(3):
            await script.look()
        await script.again()
        for _ in range(3):
            await script.look()
        assert script.position() == 10
        assert {kind for kind, _ in script.alerts} == {"order_from_outside"}

    run(trip, tmp_path, enforce=enforce)


@pytest.mark.parametrize("restart", [False, True])
def test_an_order_that_was_executed_in_part_by_then_ends_as_any_other(tmp_path, restart):
    async def trip(script):
        script.copy.statement.taken = None
        await script.order("BTC-1")
        script.tell_trade(script.trade("t1", "BTC-1", 40, 59_000.0))
        script.tell_order(script.row("BTC-1", filled_amount=40))
        for _ in range(3):
            await script.look()
        [order] = script.open()
        assert (script.position(), order.remaining) == (4, 6)
        if restart:
            await script.again()
        script.trade("t2", "BTC-1", 60, 59_000.0)
        script.row("BTC-1", state="filled", filled_amount=100)
        for _ in range(3):
            await script.look()
        assert (script.position(), script.open(), script.shadow.live, script.alerts) == (10, [], {}, [])

    run(trip, tmp_path, enforce=False)


class Archive:
    """Tells of executions of the last day, and of orders that ended within half an hour; of the rest as history."""

    def __init__(self, script, monkeypatch):
        self.script, self.asked, self.now = script, [], time.time_ns() // 10**6
        for name in ("get_user_trades_by_currency_and_time", "get_order_history_by_instrument"):
            monkeypatch.setattr(script.there, name, getattr(self, name), raising=False)

    def get_user_trades_by_currency_and_time(self, currency, start_timestamp, sorting, historical=False, **more):
        """Pages of two."""
        self.asked.append((start_timestamp, historical))
        assert len(self.asked) < 30
        rows = [row for row in self.script.there.trades if row["timestamp"] >= start_timestamp]
        rows = [row for row in rows if (row["timestamp"] < self.now - 24 * 3_600_000) == historical]
        rows = sorted(rows, key=lambda row: row["timestamp"], reverse=sorting == "desc")
        return {"trades": rows[:2], "has_more": len(rows) > 2}

    def get_order_history_by_instrument(self, instrument_name, historical=False, **more):
        rows = [row for row in self.script.there.orders.values() if row["order_state"] not in ("open", "untriggered")]
        return [row for row in rows if (row["last_update_timestamp"] < self.now - 30 * 60_000) == historical]


def test_of_a_long_history_only_the_latest_is_asked_for_when_an_account_is_taken_over(tmp_path, monkeypatch):
    async def trip(script):
        venue, old = Archive(script, monkeypatch), time.time_ns() // 10**6 - 30 * 24 * 3_600_000
        script.copy.statement.taken = None
        for number in range(100):
            script.trade(f"t{number}", "X-1", 10, 59_000.0, timestamp=old + number)
        await script.look()
        assert script.position() == 100 and script.copy.statement.taken.began == old + 100
        assert venue.asked == [(0, False), (0, True)]

    run(trip, tmp_path)


def test_what_was_executed_in_a_weekend_without_us_is_found(tmp_path, monkeypatch):
    """By then a venue tells of it as history alone: it would differ for good."""

    async def trip(script):
        await script.order("BTC-1")
        sent = await script.call("private/buy", BOB, instrument_name="BTC-PERPETUAL", amount=200, price=58_000)
        await script.settle()  # and Seawall is killed before the answer
        venue = Archive(script, monkeypatch)
        then = venue.now - 50 * 3_600_000
        sent.began_ms = then
        await script.again()
        script.copy.statement.taken.since, script.copy.seeing = then, False
        for one in script.desk.lost:
            one.began_ms, one.lost_at = then, -100.0
        script.row("BTC-1", state="filled", filled_amount=100, last_update_timestamp=then + 10)
        script.there.forgotten.add("BTC-1")
        script.row("BTC-2", amount=200, price=58_000.0, state="filled", filled_amount=200,
                   last_update_timestamp=then + 10, creation_timestamp=then + 1)  # fmt: skip
        for number in range(5):
            script.trade(f"t{number}", "BTC-1", 20, 59_000.0, timestamp=then + number)
            script.trade(f"u{number}", "BTC-2", 40, 58_000.0, timestamp=then + number)
        for _ in range(3):
            await script.look()
        assert (script.position(), script.position(BOB)) == (10, 20)
        assert script.open() == script.open(BOB) == script.alerts == []
        script.copy.seeing = True
        venue.asked.clear()
        await script.look()
        assert [historical for _, historical in venue.asked] == [False]  # once is enough

    run(trip, tmp_path)


@pytest.mark.parametrize("first", ["order", "trade", "over"])
def test_an_order_that_comes_after_it_was_given_up_is_its_bots(tmp_path, first, monkeypatch):
    """Not the account's first bot's, whose order it would be if it came from outside."""

    async def trip(script):
        monkeypatch.setattr(drop_copy, "GRACE_S", -1)
        sent = await script.call("private/buy", BOB, instrument_name="BTC-PERPETUAL", amount=100, price=59_000)
        await script.settle()
        sent.lost("the connection ended before the answer came")
        await script.look()
        assert sent.state == "done" and script.open(BOB) == []
        script._now = time.time_ns() // 10**6
        row = script.row("BTC-9")
        if first == "order":
            script.tell_order(row)
        script.tell_trade(script.trade("t1", "BTC-9", 60, 59_000.0))
        if first == "over":
            script.row("BTC-9", state="cancelled", filled_amount=60)
        await script.look()
        await script.look()
        assert (script.position(ALICE), script.position(BOB)) == (0, 6)
        assert {kind for kind, _ in script.alerts} == {"order_from_outside"}
        assert list(script.shadow.live) == [] if first == "over" else ["BTC-9"]
        await script.again()
        script.tell_trade(script.trade("t2", "BTC-9", 20, 59_000.0))
        await script.settle()
        assert (script.position(ALICE), script.position(BOB)) == (0, 8)
        script.tell_order(script.row("BTC-8"))  # of the same terms, and not his
        script.tell_trade(script.trade("t3", "BTC-8", 20, 59_000.0))
        await script.settle()
        assert script.position(ALICE) == 2

    run(trip, tmp_path)


def test_who_is_held_to_reducing_for_a_break_is_told_of_the_break(tmp_path):
    """It said "the journalled rule after an unclean stop", at three in the morning, of a stop that never was."""

    async def trip(script):
        script.desk.broken("main", "BTC", {"theirs": 998, "ours": 1_000, "unit": "atoms"})
        await script.settle()
        bare = {"state": VenueState.REDUCE_ONLY, "type": Scope.INSTRUMENT, "instrument": 0}
        script.desk.ask(command(Kind.STATE, **bare).tobytes())  # as the mirror says it
        await script.settle()
        record, fold = Record(), Fold(ENGINES["reference"]())
        for frame in frames(folders_of(tmp_path / "journal")):
            record.take(Group(frame.commands, frame.attachments, fold.check(frame)))
        why = "break at main: BTC: theirs 998, ours 1,000 atoms"
        for bot in (ALICE, BOB):
            standing = record.states[Scope.ACCOUNT, bot]
            assert (standing.state, standing.by, standing.reason) == (VenueState.REDUCE_ONLY, "seawall", why)
        assert record.states[Scope.INSTRUMENT, 0].reason == "the venue made its tick or smallest amount finer"

    run(trip, tmp_path)


# -- what is not compared ----------------------------------------------------------------------------------------------


def test_an_account_that_is_never_at_rest_is_told_of_until_it_was_compared(tmp_path, monkeypatch):
    async def trip(script):
        later = [0.0]
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later[0], time_ns=time.time_ns)
        monkeypatch.setattr(drop_copy, "time", clock)

        async def told_at(seconds):
            """Alerts of a look so many seconds after the start."""
            later[0] = seconds
            script.alerts.clear()
            await script.settle()
            await script.copy._compare(script.there, script.copy._told)
            return script.alerts[:]

        sent = await script.call("private/buy", **BUY["params"])
        assert await told_at(0) == await told_at(55) == []
        for seconds in (70, 90):
            [(kind, facts)] = await told_at(seconds)
            assert kind == "not_compared" and seconds <= facts.pop("seconds") < seconds + 5
            assert facts == {"account": "main"}
        sent.withdrawn()
        assert await told_at(92) == []
        await script.call("private/buy", **BUY["params"])
        assert await told_at(150) == []
        assert [kind for kind, _ in await told_at(154)] == ["not_compared"]
        await script.settle()
        assert [note["kind"] for note in script.notes("differs")] == ["not_compared"]

    run(trip, tmp_path)


# -- what is listed later ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
def test_an_execution_in_what_is_listed_much_later_is_booked_then(tmp_path, restart):
    """By then it is older than what is asked for again."""

    async def trip(script):
        view = script.venue.view
        listing = view.by_name.pop("BTC-PERPETUAL")
        script.tell_trade(script.trade("t1", "X-1", 100, 59_000.0))
        for _ in range(3):
            await script.look()
        assert not any(view.positions.values()) and [kind for kind, _ in script.alerts] == ["break"]
        if restart:
            await script.again()
        script.alerts.clear()
        held, script.there.trades = script.there.get_positions(), []
        script.there.get_positions = lambda: held
        view.by_name["BTC-PERPETUAL"] = listing
        for _ in range(3):
            await script.look()
        assert script.position() == 10 and script.shadow.unbooked == {}
        await script.again()
        await script.look()
        assert script.position() == 10 and {kind for kind, _ in script.alerts} == {"order_from_outside"}

    run(trip, tmp_path)


# -- two orders of the same terms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arrived", "behind"), [((ALICE,), 0), ((BOB,), 0), ((ALICE, BOB), 0), ((ALICE, BOB), 900)])
def test_of_two_bots_orders_of_the_same_terms_each_gets_its_own(tmp_path, arrived, behind, monkeypatch):
    """The time tells which it was; where both came it is the order, as the venue's clock may be behind."""

    async def trip(script):
        monkeypatch.setattr(drop_copy, "GRACE_S", -1)
        sent = {}
        for account in (ALICE, BOB):
            sent[account] = await script.call(
                "private/buy", account, instrument_name="BTC-PERPETUAL", amount=100, price=59_000
            )
            sent[account].began_ms += 1_000 * (account == BOB)
        await script.settle()
        for account in arrived:
            script.row(f"BTC-{account}", creation_timestamp=sent[account].began_ms + 20 - behind)
        for one in sent.values():
            one.lost("the connection ended before the answer came")
        await script.settle()
        await script.look()
        assert {live.id: live.account for live in script.shadow.live.values()} == {f"BTC-{one}": one for one in arrived}
        assert [len(script.open(account)) for account in (ALICE, BOB)] == [ALICE in arrived, BOB in arrived]

    run(trip, tmp_path)
