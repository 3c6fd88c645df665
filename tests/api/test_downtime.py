"""A venue that stood down across an 08:00 expiry and funding times is settled as if up; a clock may step back.

The start that is tested is the dev venue's own, in this process, with a given clock and no sockets. Index and premium
are held still, so that what a stop may change in the money of accounts is only what was not made up for.
"""

import asyncio
import gc
import time
import types
from datetime import UTC, datetime

import dev_venue
import msgspec
import numpy as np
import pytest

from seawall.api import serving
from seawall.api.access import Identity, held_by
from seawall.api.rpc import Call, parse
from seawall.api.session import Session
from seawall.journal import folders_of, frames
from seawall.node import Configuration
from seawall.sim import LiveMarket
from seawall.vocabulary.records import Kind, VenueState

MINUTE = 60 * 10**9
RATE_8H = 0.0003
PERPETUAL = "BTC-PERPETUAL"
NAMES = ("alice", "bob")


def at(hour, minute=0, day=3):
    return round(datetime(2026, 12, day, hour, minute, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(autouse=True)
def stillness(monkeypatch):
    """No walk, no sockets, no ticks but those asked for, no tuning of this process's collector."""

    async def nothing(*args):
        pass

    monkeypatch.setattr(LiveMarket, "_walk", lambda self, now, rng: None)
    monkeypatch.setattr(LiveMarket, "premium_at", lambda self, instrument, now_ns: RATE_8H)
    monkeypatch.setattr(serving.Venue, "_listen", nothing)
    monkeypatch.setattr(serving, "TICK_S", 1e6)
    monkeypatch.setattr(serving, "_collect_rarely", gc.enable)


class Standing:
    """A dev venue at a given time, as often stopped and started as wanted."""

    def __init__(self, folder, monkeypatch, start_ns):
        self.now = start_ns
        self.configuration = Configuration.of({"data": str(folder), "engine": "reference"})
        clock = types.SimpleNamespace(time_ns=lambda: self.now, monotonic=time.monotonic)
        monkeypatch.setattr(serving, "time", clock)

    async def start(self):
        self.venue = serving.Venue(self.configuration, "none")
        await self.venue.start()
        assert self.venue.node.venue == VenueState.OPEN

    async def stop(self):
        await self.venue.stop()

    async def stay_up(self, until_ns, step_ns=5 * MINUTE):
        """Let time pass as it does for a venue that runs."""
        while self.now < until_ns:
            self.now = min(self.now + step_ns, until_ns)
            await self.venue._move()

    async def ask(self, account, method, **params):
        session = Session("127.0.0.1:1", websocket=False)
        key = self.venue.service.access.keys[account]
        session.identity = Identity(key, held_by(key), 1e12)
        answered = asyncio.get_running_loop().create_future()
        call = Call(session, None, lambda document, status: answered.set_result(msgspec.json.decode(document)))
        request = parse(msgspec.json.encode({"id": 1, "method": method, "params": params}))
        call.id = request.id
        self.venue.service.serve(call, request)
        async with asyncio.timeout(30):
            answer = await answered
        assert "result" in answer, answer
        return answer["result"]

    async def rest(self):
        """An order of alice's that rests."""
        params = {"instrument_name": PERPETUAL, "amount": 10, "price": 50_000}
        return (await self.ask("alice", "private/buy", **params))["order"]["creation_timestamp"]

    async def trade(self, name, amount, price):
        """Alice buys from bob."""
        rests = await self.ask("alice", "private/buy", instrument_name=name, amount=amount, price=price)
        await self.ask("bob", "private/sell", instrument_name=name, amount=amount, price=price)
        return rests["order"]["order_id"]

    async def money(self):
        """Balances and positions of all who traded."""
        found = {}
        for name in NAMES:
            summaries = (await self.ask(name, "private/get_account_summaries"))["summaries"]
            positions = await self.ask(name, "private/get_positions")
            found[name] = (
                {row["currency"]: (row["balance"], row["equity"]) for row in summaries},
                {row["instrument_name"]: row["size"] for row in positions},
            )
        return found

    async def names(self):
        return {row["instrument_name"] for row in await self.ask("alice", "public/get_instruments")}


def journalled(folder):
    """Times of a journal's commands in order, and how often each kind was taken."""
    rows = [frame.commands for frame in frames(*folders_of(folder)[:1])]
    commands = np.concatenate(rows)
    kinds, counts = np.unique(commands["kind"], return_counts=True)
    return commands["time"], {Kind(int(kind)).name: int(count) for kind, count in zip(kinds, counts, strict=True)}


async def morning(standing, *, down):
    """Listed the noon before; trades at 07:20, an expiry at 08:00, three hours of funding: up, or down from 07:30."""
    await standing.start()
    await standing.stay_up(at(7, 20), step_ns=60 * MINUTE)
    expiring = [name for name in await standing.names() if name.startswith("BTC-3DEC26")]
    option = min(name for name in expiring if name.endswith("-C"))
    await standing.trade(PERPETUAL, 50_000, 60_000)
    await standing.trade("BTC-3DEC26", 20_000, 60_100)
    await standing.trade(option, 1, 0.04)
    rests = await standing.ask("alice", "private/buy", instrument_name="BTC-3DEC26", amount=10, price=50_000)
    await standing.stay_up(at(7, 30))
    held = await standing.money()
    if down:
        await standing.stop()
        standing.now = at(10, 10)
        await standing.start()
    else:
        await standing.stay_up(at(10, 10))
    found = {
        "money": await standing.money(),
        "listed": await standing.names(),
        "order": await standing.ask("alice", "private/get_order_state", order_id=rests["order"]["order_id"]),
        "settlements": await standing.ask("alice", "private/get_settlement_history_by_currency", currency="BTC"),
        "prices": await standing.ask("alice", "public/get_delivery_prices", index_name="btc_usd"),
        "funding": await standing.ask(
            *("alice", "public/get_funding_rate_history"),
            instrument_name=PERPETUAL,
            start_timestamp=at(7, 30) // 10**6,
            end_timestamp=at(23) // 10**6,
        ),
    }
    await standing.stop()
    return held, found


def test_an_expiry_and_funding_times_are_settled_as_if_it_had_been_up(tmp_path, monkeypatch):
    seen = {}
    for folder, down in ((tmp_path / "up", False), (tmp_path / "down", True)):
        standing = Standing(folder, monkeypatch, at(12, day=2))
        held, found = asyncio.run(morning(standing, down=down))
        for _, positions in held.values():
            perpetual, future, option = sorted(positions, key=lambda name: (name != PERPETUAL, len(name)))
            assert (perpetual, future) == (PERPETUAL, "BTC-3DEC26") and option.startswith("BTC-3DEC26-")
        money = found["money"]
        assert money["alice"][1] == {PERPETUAL: 50_000} and money["bob"][1] == {PERPETUAL: -50_000}
        assert money["alice"][0]["BTC"] != held["alice"][0]["BTC"]
        assert not [name for name in found["listed"] if "-3DEC26" in name]
        assert [name for name in found["listed"] if "-4DEC26" in name]
        assert (found["order"]["order_state"], found["order"]["cancel_reason"]) == ("cancelled", "settlement")
        assert [row["delivery_price"] for row in found["prices"]["data"]] == [60_000]
        assert [row["interest_8h"] for row in found["funding"]] == [pytest.approx(RATE_8H)] * 3
        assert {row["type"] for row in found["settlements"]["settlements"]} == {"settlement", "delivery"}
        _, counted = journalled(folder)
        assert counted["FUNDING"] == 3 * 22  # of three perpetuals, each hour from 13:00 to 10:00
        seen[down] = money, found["listed"], counted["SETTLE"], counted["EXPIRE"]
    assert seen[True] == seen[False]


def test_a_clock_that_steps_back_is_harmless(tmp_path, monkeypatch):
    async def run():
        standing = Standing(tmp_path / "venue", monkeypatch, at(12))
        await standing.start()
        first = await standing.rest()
        before = await standing.money()
        standing.now = at(11)  # an hour back, while it runs
        await standing.venue._move()
        second = await standing.rest()
        assert second >= first
        await standing.stop()
        standing.now = at(10)  # and further back, while it was down
        await standing.start()
        third = await standing.rest()
        assert third >= second
        assert len(await standing.ask("alice", "private/get_open_orders")) == 3
        await standing.stay_up(at(12, 30))  # until it has caught up, nothing falls due; then it does
        assert await standing.ask("alice", "private/cancel_all") == 3
        assert await standing.money() == before
        await standing.stay_up(at(13, 1))
        await standing.stop()

    asyncio.run(run())
    times, counted = journalled(tmp_path / "venue")
    assert (np.diff(times) >= 0).all()
    assert counted["FUNDING"] == 3  # of 13:00 alone, of three perpetuals: no hour is paid twice


STEPPING = """
import os, sys, time
real, flag = time.time_ns, sys.argv.pop()
time.time_ns = lambda: real() - (3_600 * 10**9 if os.path.exists(flag) else 0)
"""


def test_a_dead_mans_timer_runs_out_though_the_clock_stepped_back(tmp_path, monkeypatch):
    """The journal's time stands until the clock has caught up: the orders would have stood for an hour."""
    flag = tmp_path / "stepped"
    monkeypatch.setattr(dev_venue, "START", STEPPING + dev_venue.START)
    venue = dev_venue.DevVenue(tmp_path / "data", flag)
    try:
        placed = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 30_000}
        assert "result" in venue.get("private/buy", "alice", **placed)
        assert "result" in venue.get("private/buy", "bob", **placed)
        assert "result" in venue.get("private/cancel_all_after", "alice", timeout_ms=1_000)
        flag.touch()
        end = time.monotonic() + 15
        while venue.get("private/get_open_orders", "alice")["result"] and time.monotonic() < end:
            time.sleep(0.2)
        assert venue.get("private/get_open_orders", "alice")["result"] == []
        assert len(venue.get("private/get_open_orders", "bob")["result"]) == 1
        assert "result" in venue.get("private/buy", "alice", **placed)  # and its timer is off
        time.sleep(4)
        assert len(venue.get("private/get_open_orders", "alice")["result"]) == 1
    finally:
        venue.stop()
