"""The desk's feed asks a venue for its catalogue and prices: what is listed there later is listed here, too."""

import asyncio
import time
from types import SimpleNamespace

import structlog
from dialect import CURRENCIES, LINEAR, PERPETUAL

from seawall.api.desk import feed as feeds
from seawall.api.desk.feed import Feed
from seawall.risk import Seawall
from seawall.venues import Mirror, Shadow
from seawall.venues.connection import VenueError
from seawall.vocabulary.records import Kind

MARKS = {"BTC-PERPETUAL": 60_010.0, "BTC_USDC-PERPETUAL": 60_005.0, "DOGE_USDC-PERPETUAL": 0.1}
OTHERS = {**LINEAR, "instrument_name": "DOGE_USDC-PERPETUAL", "base_currency": "DOGE", "price_index": "doge_usdc"}


class Venue:
    """Lists what it is told to, and quotes all that it lists now."""

    def __init__(self, *listed):
        self.listed = list(listed)

    async def ask(self, method, **asked):
        if method == "public/get_currencies":
            return CURRENCIES
        if method == "public/get_instruments":
            return self.listed
        if method == "public/get_index_price":
            return {"index_price": 60_000.0}
        assert method == "public/get_book_summary_by_currency"
        now = {"creation_timestamp": time.time_ns() // 10**6}
        shown = ("instrument_name", "base_currency", "quote_currency")
        return [
            {name: row[name] for name in shown} | {"mark_price": MARKS[row["instrument_name"]]} | now
            for row in self.listed
            if row["settlement_currency"] == asked["currency"]
        ]


def kinds(batches):
    return [Kind(kind) for batch in batches for kind in batch.commands["kind"]]


def test_what_the_venue_lists_later_is_listed_here(monkeypatch):
    async def run():
        venue, mirror = Venue(PERPETUAL, OTHERS), Mirror(Seawall(), 0.1, 0.05, ("BTC", "ETH"))
        feed = Feed(mirror, ("BTC", "ETH"))
        opening = await feed.open(venue, [Shadow("ann")])
        assert kinds([opening]).count(Kind.INSTRUMENT) == 1 and set(mirror.by_name) == {"BTC-PERPETUAL"}
        venue.listed.append(LINEAR)
        assert Kind.INSTRUMENT not in kinds(await feed.step(venue))  # the catalogue is asked for now and then
        monkeypatch.setattr(feeds, "CATALOGUE_S", -1.0)
        assert kinds(await feed.step(venue)).count(Kind.INSTRUMENT) == 1
        assert set(mirror.by_name) == {"BTC-PERPETUAL", "BTC_USDC-PERPETUAL"} and not mirror.left_out
        venue.listed[0] = PERPETUAL | {"tick_size": 0.1}
        with structlog.testing.capture_logs() as logged:
            assert Kind.STATE in kinds(await feed.step(venue))
            await feed.step(venue)
        assert [row["instrument"] for row in logged if "changed" in row["event"]] == ["BTC-PERPETUAL"]

    asyncio.run(run())


class Forgetful(Venue):
    """Has lost what expired, but for the option whose delivery price it knows."""

    async def ask(self, method, **asked):
        if method != "public/ticker":
            return await super().ask(method, **asked)
        if asked["instrument_name"] == "BTC-1JAN26-50000-C":
            raise VenueError(method, 13020, "not_found")
        return {"delivery_price": 61_000.0}


def test_what_the_venue_has_lost_takes_no_mark_from_the_rest():
    names = ("BTC-1JAN26-50000-C", "BTC-1JAN26-60000-C")
    live = {number: SimpleNamespace(spec=SimpleNamespace(expiry=1, name=name)) for number, name in enumerate(names)}
    taken = []

    async def run():
        mirror = SimpleNamespace(left_out={}, live=live)
        mirror.step = lambda now, quotes, delivered: taken.append((set(quotes), delivered))
        feed, venue = Feed(mirror, ("BTC",)), Forgetful(PERPETUAL)
        mirror.listed = lambda *given: None
        with structlog.testing.capture_logs() as logged:
            for _ in range(3):
                await feed.step(venue)
        return [line for line in logged if line["log_level"] == "warning"]

    [line] = asyncio.run(run())
    assert line["instrument"] == names[0] and "13020" in line["why"]
    assert taken == [({"BTC-PERPETUAL"}, {names[1]: 61_000.0})] * 3


def test_hundreds_that_expire_together_keep_no_marks_waiting_and_what_is_held_goes_first():
    class Slow(Venue):
        async def ask(self, method, **asked):
            if method == "public/ticker":
                asked_for.append(asked["instrument_name"])
                return {"delivery_price": 61_000.0 if asked["instrument_name"] not in silent else None}
            return await super().ask(method, **asked)

    names = [f"BTC-1JAN26-{strike}-C" for strike in range(200)]
    silent, asked_for, steps = set(names[:40]), [], []
    live = {number: SimpleNamespace(spec=SimpleNamespace(expiry=1, name=name)) for number, name in enumerate(names)}

    def step(now, quotes, delivered):
        steps.append(set(delivered))
        for number in [number for number, terms in live.items() if terms.spec.name in delivered]:
            del live[number]

    async def run():
        feed = Feed(SimpleNamespace(left_out={}, live=live, step=step, listed=lambda *given: None), ("BTC",))
        for _ in range(24):
            before = len(asked_for)
            await feed.step(Slow(PERPETUAL), {150, 199})
            assert len(asked_for) - before <= feeds.DELIVERED_AT_ONCE

    asyncio.run(run())
    assert {names[150], names[199]} <= steps[0]
    assert set(names) - set().union(*steps) == silent  # who has no price keeps nobody from his
