"""The market in real time: both engines take all it says, it trades, keeps its hours, and goes on after a stop."""

from collections import Counter
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.node import Configuration
from seawall.node.publishing import Simulated
from seawall.sim import COINS, Batch, LiveMarket
from seawall.sim.dev_catalogue import contract_of, day_name, listed_for, next_expiries, period_of
from seawall.sim.live import CLIENTS, ELAPSED_MAX_NS, FUNDS
from seawall.vocabulary import bounds
from seawall.vocabulary.hours import DAY_NS, HOUR_NS
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    SELL,
    SYSTEM_ACCOUNTS,
    EventKind,
    Kind,
    Scope,
    TimeInForce,
    VenueState,
    command,
    join,
)

SECOND = 10**9
ALICE = SYSTEM_ACCOUNTS
TRADING = (Kind.ORDER, Kind.EDIT, Kind.CANCEL, Kind.CANCEL_ALL)


def at(*moment):
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * SECOND


THURSDAY = at(2026, 12, 3, 7, 58)  # two minutes before a settlement; the day's expiry is of the day after


class Play:
    """A live market on one or more engines that must agree, everything kept."""

    def __init__(self, seed=7, start=THURSDAY, trades=True, engines=(Reference,)):
        self.engines = [engine() for engine in engines]
        self.market = LiveMarket(seed, Simulated(Configuration()), trades=trades)
        self.now, self.seq, self.frames = start, 0, []
        self.send(command(Kind.RULES, version=2))
        self.take(self.market.opening(start))

    def send(self, *commands):
        return self.take(Batch(join(*commands), b""))

    def take(self, batch):
        batch.commands["seq"] = np.arange(self.seq + 1, self.seq + 1 + len(batch.commands))
        batch.commands["time"] = self.now
        self.seq += len(batch.commands)
        events = [engine.step(*batch) for engine in self.engines]
        assert all(np.array_equal(events[0], other) for other in events)
        self.frames.append((*batch, events[0]))
        self.market.observe(events[0])
        return events[0]

    def step(self, nanoseconds=SECOND):
        self.now += nanoseconds
        return self.take(self.market.step(self.now))

    def number(self, name):
        return next(number for number, item in self.market.live.items() if item.spec.name == name)

    def refused(self):
        """(kind of the command, reason) of every refusal."""
        found = Counter()
        for commands, _, events in self.frames:
            for event in events[events["kind"] == EventKind.REFUSED]:
                kind = commands["kind"][event["seq"] - commands["seq"][0]]
                found[Kind(kind), Reason(event["reason"])] += 1
        return found

    def commands(self, kind):
        return join(*(commands[commands["kind"] == kind] for commands, _, _ in self.frames))

    def notes(self):
        found = []
        for commands, attachments, _ in self.frames:
            ends = np.cumsum(commands["attachment"])
            for end, record in zip(ends, commands, strict=True):
                if record["kind"] == Kind.TIME and record["attachment"]:
                    found.append(msgspec.json.decode(attachments[end - record["attachment"] : end]))
        return found

    def again(self, trades=True):
        """A market that has what the journal says, and nothing else."""
        market = LiveMarket(7, Simulated(Configuration()), trades=trades)
        for frame in self.frames:
            market.recall(*frame)
        return market


@pytest.fixture(scope="module")
def play():
    played = Play(engines=(Reference, Fast))
    for _ in range(300):
        played.step()
    return played


def test_both_engines_take_everything_it_says(play):
    assert not play.refused()
    assert all(engine.conserved() for engine in play.engines)
    told = sum(len(commands) for commands, _, _ in play.frames[2:])
    assert told / 300 < 60
    assert max(len(commands) for commands, _, _ in play.frames[2:]) < 150  # the settlement among them


def test_everything_is_quoted_on_both_sides_within_seconds():
    played = Play(start=at(2026, 12, 1, 12))
    for _ in range(10):
        played.step()
    for number, listing in enumerate(played.engines[0].state()["listings"]):
        levels = 1 if played.market.live[number].spec.product == Product.OPTION else 3
        assert len(listing["bids"]) >= levels and len(listing["asks"]) >= levels, number


def test_it_trades_options_too(play):
    traded = {int(n) for *_, events in play.frames for n in events["instrument"][events["kind"] == EventKind.FILL]}
    products = {play.market.live[number].spec.product for number in traded}
    assert products == set(Product)


def test_settlement_and_funding_come_at_their_hours(play):
    settled = play.commands(Kind.SETTLE)
    assert set(settled["time"].tolist()) == {at(2026, 12, 3, 8)} and len(settled) == len(play.market.live)
    funded = play.commands(Kind.FUNDING)
    assert funded["instrument"].tolist() == [0, 1, 2] and set(funded["time"].tolist()) == {at(2026, 12, 3, 8)}
    rates = {note["instrument"]: note for note in play.notes() if note["note"] == "funding"}
    assert {number: note["rate_8h"] for number, note in rates.items()} == play.market.funding
    assert all(note["rate_1h"] == note["rate_8h"] / 8 for note in rates.values())


def test_agents_know_their_orders_and_positions_from_events_alone(play):
    state = play.engines[0].state()
    for account, agent in play.market.agents.items():
        entry = state["accounts"][account]
        assert sorted(agent.open) == sorted(entry["orders"])
        held = {number: position[0] for number, position in entry["positions"].items() if position[0]}
        assert {number: lots for number, lots in agent.positions.items() if lots} == held
        assert set(getattr(agent, "quotes", agent.open)) == set(agent.open)


def test_the_same_seed_and_times_give_the_same_commands():
    first, again, other = Play(), Play(), Play(seed=8)
    for played in (first, again, other):
        for _ in range(12):
            played.step()
    raw = [[commands.tobytes() + data for commands, data, _ in played.frames] for played in (first, again, other)]
    assert raw[0] == raw[1] != raw[2]


def test_a_market_that_recalled_goes_on_as_the_one_that_stopped(play):
    market = play.again()
    assert market.opened and market.marks == play.market.marks and market.index_usd == play.market.index_usd
    assert market.live == play.market.live and market.funding == play.market.funding
    for account, agent in play.market.agents.items():
        assert market.agents[account].open == agent.open and market.agents[account].positions == agent.positions
    first = play.market.step(play.now + SECOND)
    batch = market.step(play.now + SECOND)
    assert len(batch.commands) > 10 and batch.attachments == first.attachments
    assert batch.commands.tobytes() == first.commands.tobytes()
    assert market.volatility == play.market.volatility and market.premium == play.market.premium


@pytest.mark.parametrize("days", [1, 3])
def test_a_stop_over_expiries_and_funding_hours_is_made_up_for_at_the_first_step(days):
    played = Play()
    for _ in range(20):
        played.step()
    before, index = dict(played.market.live), dict(played.market.index_usd)
    played.market = played.again()
    events = played.step(days * DAY_NS + 3 * HOUR_NS)
    commands = played.frames[-1][0]
    kinds = Counter(commands["kind"].tolist())
    assert kinds[Kind.FUNDING] == 3 * 24 and kinds[Kind.SETTLE] == len(before)
    gone = {number for number, item in before.items() if 0 < item.spec.expiry <= played.now}
    delivered = commands[commands["kind"] == Kind.EXPIRE]
    assert set(delivered["instrument"].tolist()) == gone and len(gone) >= 22
    for record in delivered:
        contract = before[int(record["instrument"])]
        assert record["price"] * contract.delivery_tick == index[contract.underlying]
    assert not (events["kind"] == EventKind.REFUSED).any()
    assert kinds[Kind.ORDER] == kinds[Kind.EDIT] == 0 and kinds[Kind.CANCEL_ALL] >= 2
    assert_three_expiries_stand(played)
    for _ in range(12):
        played.step()
    assert not played.refused() and played.engines[0].conserved()
    assert all(listing["bids"] for listing in played.engines[0].state()["listings"] if not listing["expired"])


def test_an_expiry_is_delivered_and_followed_by_the_next_while_it_runs():
    played = Play(start=at(2026, 12, 4, 7, 59, 50), engines=(Reference, Fast))  # under two hours: not listed any more
    assert played.market.live[3].spec.name == "BTC-5DEC26"
    played = Play(start=at(2026, 12, 4, 5), engines=(Reference, Fast))
    assert played.market.live[3].spec.name == "BTC-4DEC26"
    for wait in (SECOND,) * 12 + (3 * HOUR_NS - 30 * SECOND,) + (SECOND,) * 30:
        played.step(wait)
    assert len(played.commands(Kind.EXPIRE)) == 22 and len(played.market.live) == 69
    assert_three_expiries_stand(played)
    assert not played.refused()
    names = [note["name"] for note in played.notes() if note["note"] == "listing"]
    assert len(names) == len(set(names)) == 91 and "BTC-5DEC26" in names
    assert {note["instrument"] for note in played.notes() if note["note"] == "listing"} == set(range(91))


def assert_three_expiries_stand(played):
    expiries = {item.spec.expiry for item in played.market.live.values()} - {0}
    assert len(expiries) == 3 and min(expiries) > played.now
    assert all(expiry % DAY_NS == 8 * HOUR_NS for expiry in expiries)


def test_three_expiries_stand_whenever_one_goes():
    rng, standing, listed = np.random.default_rng(1), set(), 0
    now = at(2026, 11, 3, 5)
    for _ in range(1000):
        now += int(rng.integers(1, 12 * 3600)) * SECOND
        if standing and min(standing) > now:
            continue
        standing = {expiry for expiry in standing if expiry > now}
        new = next_expiries(now, standing)
        listed += len(new)
        standing |= set(new)
        assert len(standing) == 3 and min(standing) - now >= 2 * HOUR_NS
        assert {period_of(expiry) for expiry in standing} <= {"day", "week", "month"}
    days = (now - at(2026, 11, 3)) / DAY_NS
    assert (bounds.INSTRUMENTS_MAX - 3) / (22 * listed / days) > 730


def test_when_numbers_run_out_nothing_new_is_listed():
    played = Play(start=at(2026, 12, 4, 5), trades=False)
    played.market._instruments = bounds.INSTRUMENTS_MAX - 3
    played.step(4 * HOUR_NS)
    assert not played.refused() and len(played.market.live) == 69 - 22


def test_names_are_deribits_and_contracts_well_formed():
    expiry = at(2026, 12, 4, 8)
    assert day_name(expiry) == "4DEC26" and period_of(expiry) == "week" and period_of(0) == "perpetual"
    assert period_of(at(2026, 12, 25, 8)) == "month" and period_of(at(2026, 12, 1, 8)) == "day"
    for index in ({"BTC": 30_000.0, "ETH": 1_500.0}, COINS, {"BTC": 120_000.0, "ETH": 6_000.0}):
        made = listed_for(expiry, index)
        assert len({item.spec.name for item in made}) == len(made) == 22
        for item in made:
            item.spec.check()
            assert contract_of(item.spec, item.volatility) == item
    names = {item.spec.name for item in listed_for(expiry, COINS)}
    assert {"BTC-4DEC26", "ETH-4DEC26", "BTC-4DEC26-60000-C", "ETH-4DEC26-3000-P"} <= names


def test_what_the_wire_needs_is_noted():
    played = Play(trades=False)
    notes = played.notes()
    listings = {note["instrument"]: note for note in notes if note["note"] == "listing"}
    assert set(listings) == set(played.market.live)
    for number, note in listings.items():
        contract = played.market.live[number]
        assert note["name"] == contract.spec.name and note["tick"][0] / note["tick"][1] == contract.tick
        assert note["lot"][0] / note["lot"][1] == contract.lot
        assert note["delivery_tick"][0] / note["delivery_tick"][1] == contract.delivery_tick
        if contract.spec.product == Product.OPTION:
            assert note["strike"] == contract.spec.strike * contract.delivery_tick == float(note["name"].split("-")[2])
    assert listings[0] | {"created_ms": 0} == {
        "note": "listing",
        "instrument": 0,
        "name": "BTC-PERPETUAL",
        "kind": "future",
        "type": "reversed",
        "base": "BTC",
        "counter": "USD",
        "quote": "USD",
        "settlement": "BTC",
        "index": "btc_usd",
        "tick": [1, 2],
        "lot": [10, 1],
        "contract_size": 10,
        "period": "perpetual",
        "created_ms": 0,
        "underlying": "BTC",
        "delivery_tick": [1, 2],
    }
    assert [note["name"] for note in notes if note["note"] == "account"] == list(CLIENTS)
    assert [(note["name"], note["decimals"]) for note in notes if note["note"] == "currency"][:2] == [
        ("BTC", 8),
        ("ETH", 8),
    ]
    assert not [note for note in notes if note["note"] == "agent"]
    account = played.engines[0].state()["accounts"][ALICE]
    assert account["balance"][:3] == [FUNDS[currency] for currency in range(3)] and not account["orders"]


@pytest.mark.parametrize("engine", [Reference, Fast])
def test_200_times_the_funds_is_refused_for_margin_and_not_for_size(engine):
    played = Play(trades=False, engines=(engine,))
    lots = {"BTC-PERPETUAL": 40_000_000, "ETH-PERPETUAL": 400_000_000, "BTC_USDC-PERPETUAL": 66_666_667}
    for name, quantity in lots.items():
        number = played.number(name)
        for side in (BUY, SELL):
            fields = {"instrument": number, "side": side, "price": played.market.marks[number], "quantity": quantity}
            (event,) = played.send(command(Kind.ORDER, account=ALICE, **fields))
            assert (event["kind"], event["reason"]) == (EventKind.REFUSED, Reason.MARGIN), name


@pytest.mark.parametrize("model", ["standard", "seawall"])
def test_either_margin_model_publishes_it_at_the_ends_of_the_walk(model):
    publish = Simulated(Configuration.of({"margin": {"model": model}}))
    for factor in (0.5, 1.0, 2.0):
        market = LiveMarket(7, publish, trades=False)
        market.index_usd = {coin: price * factor for coin, price in COINS.items()}
        opening = market.opening(THURSDAY)
        commands = join(command(Kind.RULES, version=2), opening.commands)
        commands["seq"], commands["time"] = np.arange(1, 1 + len(commands)), THURSDAY
        events = Reference().step(commands, opening.attachments)
        assert set(events["kind"].tolist()) == {EventKind.DEFINED, EventKind.POSTED, EventKind.PUBLISHED}


def test_clients_trade_against_the_agents():
    played = Play(start=at(2026, 12, 1, 12))
    for _ in range(10):
        played.step()
    take = {"tif": TimeInForce.IOC, "account": ALICE}
    for name in ("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-2DEC26"):
        number = played.number(name)
        contract = played.market.live[number]
        sweep = contract.lots(1_000_000 if contract.lot_unit == "USD" else 15)  # more than the levels' sizes
        price = played.market.marks[number]
        played.send(command(Kind.ORDER, instrument=number, side=BUY, price=price * 101 // 100, quantity=sweep, **take))
        played.send(command(Kind.ORDER, instrument=number, side=SELL, price=price * 99 // 100, quantity=sweep, **take))
        played.step()
    cancelled = played.engines[0].state()["accounts"][SYSTEM_ACCOUNTS + len(CLIENTS)]["orders"][:5]
    for order_id in cancelled:  # by somebody else, in the name of the account
        played.send(command(Kind.CANCEL, account=SYSTEM_ACCOUNTS + len(CLIENTS), order_id=order_id))
    for _ in range(10):
        played.step()
    assert not [pair for pair in played.refused() if pair[1] != Reason.MARGIN] and played.engines[0].conserved()
    test_agents_know_their_orders_and_positions_from_events_alone(played)
    listings = played.engines[0].state()["listings"]
    assert all(len(listings[number]["bids"]) >= 3 and len(listings[number]["asks"]) >= 3 for number in range(3))


def test_nobody_quotes_without_trades_yet_prices_move():
    played = Play(trades=False)
    published = played.market.version
    volatility = dict(played.market.volatility)
    for _ in range(30):
        played.step()
    assert not sum(len(played.commands(kind)) for kind in TRADING)
    assert played.market.version > published + 3 and played.market.volatility != volatility
    assert len(played.commands(Kind.INDEX)) > 100
    assert played.engines[0].state()["accounts"][-1] == played.engines[0].state()["accounts"][ALICE + 3]


def test_quotes_go_when_the_venue_closes_and_come_back():
    played = Play(start=at(2026, 12, 1, 12))
    for _ in range(10):
        played.step()
    played.send(command(Kind.STATE, type=Scope.VENUE, state=VenueState.REDUCE_ONLY))
    played.step()
    assert not any(agent.open for agent in played.market.agents.values())
    played.step()
    assert not {Kind.ORDER, Kind.EDIT, Kind.CANCEL_ALL} & set(played.frames[-1][0]["kind"].tolist())
    played.send(command(Kind.STATE, type=Scope.VENUE, state=VenueState.OPEN, flags=1))
    for _ in range(3):
        played.step()
    assert any(agent.open for agent in played.market.agents.values()) and not played.refused()


def test_a_journal_with_quotes_taken_up_without_trades_loses_them():
    played = Play(start=at(2026, 12, 1, 12))
    for _ in range(3):
        played.step()
    played.market = played.again(trades=False)
    played.step()
    assert not any(agent.open for agent in played.market.agents.values())


def test_a_suspended_machine_neither_jumps_nor_leaves_old_quotes():
    played = Play(start=at(2026, 12, 1, 12))
    for _ in range(3):
        played.step()
    index = dict(played.market.index_usd)
    played.step(ELAPSED_MAX_NS * 50)
    assert not any(agent.open for agent in played.market.agents.values())
    for coin, price in played.market.index_usd.items():
        assert abs(price / index[coin] - 1) < 0.01
    played.market.step(played.now - HOUR_NS)  # a clock that was set back


def test_listings_without_their_notes_get_them_and_other_notes_are_left_alone():
    played = Play(trades=False)
    market = LiveMarket(7, Simulated(Configuration()), trades=False)
    for commands, attachments, events in played.frames:
        kept = commands.copy()
        kept["kind"][kept["kind"] == Kind.TIME] = Kind.OPENED  # the notes are lost
        market.recall(kept, attachments, events)
    for data in (b"", b"\xff", b'"\xff"', b"[1]", b'{"note": "other", "instrument": [1]}'):
        market.recall(command(Kind.TIME, attachment=len(data)), data, played.frames[0][2][:0])
    batch = market.step(played.now + SECOND)
    notes = batch.attachments.count(b'"note":"listing"')
    assert notes == len(market.live) == 69
