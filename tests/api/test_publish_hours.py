"""Funding at whole hours and settlement at 08:00 of a venue that people run: what accrues, when it is posted, once."""

import asyncio
from collections import deque

import msgspec
import pytest
from api_venue import ALICE, BOB, PERPETUAL, PRICE
from operations_venue import desk
from test_publish_prices import feed, journalled

from seawall.api.funding import Accrued
from seawall.api.operations import hours
from seawall.api.operations.hours import _parts
from seawall.api.statistics import HOUR_MS
from seawall.api.tickers import current_funding
from seawall.api.view import View
from seawall.engine.formulas import position_value
from seawall.engine.reference import Reference
from seawall.journal import frames
from seawall.node.configuration import Clearing
from seawall.node.node import Group
from seawall.prices.funding import deribit_funding
from seawall.risk.cadence import Cadence
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import OutcomeUnknown
from seawall.vocabulary.records import Kind

BASIS = 0.001
RATE = BASIS - 0.00025
"""Deribit's for 8 hours: the premium beyond the dead band."""
MINUTE = 60_000


def run(scenario, folder, **settings):
    """Alice is 10,000 USD long, Bob as much short, and the first report is believed at the start of an hour."""

    async def go():
        async with desk(folder, publisher=Cadence(late_s=600.0), **settings) as d:
            d.venue.sell(BOB, 10_000, PRICE)
            d.venue.buy(ALICE, 10_000, PRICE)
            await told(d, 1)
            await told(d, HOUR_MS - 1 - clock(d) % HOUR_MS)
            await told(d, 1)
            await d.operations.tick()
            assert clock(d) % HOUR_MS == 0
            d.begun = clock(d)
            await scenario(d)

    asyncio.run(go())


def clock(d):
    return d.venue.clock() // 10**6


async def told(d, after_ms, basis=BASIS):
    instruments = {PERPETUAL: {"basis": basis}, "BTC_USDC-PERPETUAL": {"basis": 0.0}}
    return await feed(d, after_ms=after_ms, instruments=instruments)


async def an_hour(d, basis=BASIS, step=5):
    """Reports for an hour, the last at its end, and the clock's tick."""
    for _ in range(60 // step):
        await told(d, step * MINUTE, basis)
    await d.operations.tick()


def posted(d):
    """Notes of funding, and how many FUNDING and SETTLE commands, of the coin-settled perpetual."""
    rows = list(journalled(d))
    notes = [msgspec.json.decode(data) for kind, data in rows if kind == Kind.TIME and b'"note":"funding"' in data]
    mine = [note for note in notes if note["name"] == PERPETUAL and note["hour_ms"] > d.begun]
    return mine, sum(kind == Kind.FUNDING for kind, _ in rows), sum(kind == Kind.SETTLE for kind, _ in rows)


def cash(d, account):
    return d.service.node.fold.engine.account_view(account)["balance"][0]


def test_an_hour_of_premium_is_paid_by_longs_to_shorts(tmp_path):
    async def scenario(d):
        before = cash(d, ALICE), cash(d, BOB)
        await an_hour(d)
        notes, fundings, _ = posted(d)
        assert fundings == 1, "the other perpetual stands at the index, and its lots pay nothing"
        (note,) = notes
        assert note["hour_ms"] == clock(d) and note["rate_8h"] == pytest.approx(RATE, rel=1e-12)
        paid = before[0] - cash(d, ALICE)
        theirs = deribit_funding(PRICE * (1 + BASIS), PRICE, -0.005, 0.005, 10_000.0, 3_600)
        assert paid == pytest.approx(-theirs.received_usd / (PRICE * (1 + BASIS)) * 1e8, abs=2)
        assert 0 <= paid - (cash(d, BOB) - before[1]) <= 1
        assert d.service.node.fold.engine.conserved()
        await d.operations.tick()
        assert posted(d)[0] == notes, "once"
        rows = d.view.statistics.funding[0]
        assert (rows[-1]["timestamp"], rows[-1]["interest_1h"]) == (clock(d), note["rate_1h"])
        assert current_funding(d.view, d.view.by_name[PERPETUAL]) == pytest.approx(RATE, abs=1e-8)

    run(scenario, tmp_path)


def test_the_rate_is_the_hours_average(tmp_path):
    async def scenario(d):
        for minute in range(0, 60, 5):
            await told(d, 5 * MINUTE, BASIS if minute < 10 else 0.0)  # a report holds for the five minutes after it
        await d.operations.tick()
        assert posted(d)[0][0]["rate_8h"] == pytest.approx(RATE * 15 / 60, rel=1e-12)
        await an_hour(d, -BASIS)
        assert posted(d)[0][1]["rate_8h"] == pytest.approx(-RATE * 55 / 60, rel=1e-12)

    run(scenario, tmp_path)


def test_a_premium_goes_on_over_the_hour(tmp_path):
    async def scenario(d):
        await told(d, 2 * MINUTE)
        for _ in range(36):
            await told(d, 5 * MINUTE)
            await d.operations.tick()
        assert [note["rate_8h"] for note in posted(d)[0]] == pytest.approx([RATE] * 3, rel=1e-12)

    run(scenario, tmp_path)


def test_over_a_gap_nothing_accrues_and_nothing_is_posted_of_late_prices(tmp_path):
    async def scenario(d):
        await told(d, MINUTE)
        d.venue.clock.advance(3 * HOUR_MS * 10**6)
        await d.operations.tick()
        assert posted(d)[0] == []
        await told(d, MINUTE)
        await told(d, 1_000)
        await d.operations.tick()
        (note,) = posted(d)[0]
        assert note["hour_ms"] == clock(d) // HOUR_MS * HOUR_MS - 2 * HOUR_MS
        assert note["rate_8h"] == pytest.approx(RATE * 11 / 60, rel=1e-12), "a minute, and ten more until it was late"
        await an_hour(d)
        first, second = posted(d)[0]
        missing = (second["hour_ms"] - HOUR_MS, second["hour_ms"])
        assert first["hour_ms"] < missing[0] and second["rate_8h"] < RATE

    run(scenario, tmp_path)


def test_a_report_that_was_not_published_accrues_nothing(tmp_path):
    async def scenario(d):
        before = list(d.view.accrued.premiums[PERPETUAL])
        d.venue.note(note="prices", coins=["BTC"], indexes={"BTC": PRICE}, instruments={PERPETUAL: {"basis": 0.5}})
        d.venue._version = d.service.node.fold.engine.catalogue.version
        marks = dict(d.view.marks)
        d.venue.publish(BTC=PRICE + 1_000)  # by itself, later
        assert d.view.marks != marks and list(d.view.accrued.premiums[PERPETUAL]) == before

    run(scenario, tmp_path)


def test_missed_hours_are_made_up_for_and_settlement_comes_after_funding_once_a_day(tmp_path):
    async def scenario(d):
        assert posted(d)[2] == 0, "nothing was listed before today"
        for _ in range(26):
            for _ in range(6):
                await told(d, 10 * MINUTE)
        assert posted(d)[1] == 0, "nobody ticked: the venue stood"
        await d.operations.tick()
        notes, fundings, settlements = posted(d)
        assert [note["hour_ms"] for note in notes] == [clock(d) - HOUR_MS, clock(d)]
        assert (fundings, settlements) == (2, 2)
        kinds = [kind for kind, _ in journalled(d)]
        assert kinds.index(Kind.SETTLE) > len(kinds) - 1 - kinds[::-1].index(Kind.FUNDING)
        account = d.service.node.fold.engine.account_view(ALICE)
        assert account["positions"][0][1] + value(d, account) == 0, "the session's gain is cash"
        await d.operations.tick()
        assert posted(d)[1:] == (2, 2)

    run(scenario, tmp_path)


def value(d, account):
    row = d.view.by_name[PERPETUAL]
    return position_value(row.spec, account["positions"][0][0], d.view.marks[0])


def test_a_restart_knows_what_accrued_and_what_was_posted(tmp_path):
    async def scenario(d):
        await an_hour(d)
        await told(d, 5 * MINUTE)
        engine, view = Reference(), View()
        for frame in frames(d.service.node.configuration.folders):
            view.take(Group(frame.commands, frame.attachments, engine.step(frame.commands, frame.attachments)))
        known = d.view.accrued
        assert (view.accrued.premiums, view.accrued.funded) == (known.premiums, known.funded)
        assert view.accrued.settled == known.settled
        assert len(known.premiums[PERPETUAL]) == 2, "what was posted is forgotten, but for the report that goes on"

    run(scenario, tmp_path)


def test_a_cap_of_zero_is_no_funding_and_a_cap_is_kept(tmp_path):
    async def none(d):
        await an_hour(d)
        (note,), fundings, _ = posted(d)
        assert (note["rate_8h"], fundings) == (0.0, 0)

    async def little(d):
        await an_hour(d)
        assert posted(d)[0][0]["rate_8h"] == pytest.approx(0.0004)

    run(none, tmp_path / "none", clearing=Clearing(funding_cap=0.0))
    run(little, tmp_path / "little", clearing=Clearing(funding_cap=0.0004))


def test_what_one_command_cannot_say_is_said_by_several(tmp_path):
    async def scenario(d):
        spec = d.view.by_name["BTC_USDC-PERPETUAL"].spec
        most = min(bounds.FUNDING_RATE_MAX, 2**62 // spec.largest_position)
        assert spec.largest_funding == most
        assert list(_parts(-2 * most - 7, most)) == [-most, -most, -7] and list(_parts(0, most)) == []

    run(scenario, tmp_path)


def test_a_journal_that_does_not_take_it_is_an_alert(tmp_path):
    async def scenario(d):
        async def full(acts, timeout):
            raise OutcomeUnknown("the disk is full")

        d.operations.prices.writer.write, kept = full, d.operations.prices.writer.write
        for _ in range(12):
            d.venue.clock.advance(5 * MINUTE * 10**6)
        d.operations.prices.published["BTC"] = clock(d)
        await d.operations.tick()
        assert d.alerts.counts["hour_missed"] == 1
        d.operations.prices.writer.write = kept
        await d.operations.tick()
        assert len(posted(d)[0]) == 1

    run(scenario, tmp_path)


def test_what_hangs_is_not_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(hours, "LOOK_S", 0.01)

    async def scenario(d):
        asked, free, write = [], asyncio.Event(), d.operations.prices.writer.write

        async def hung(acts, timeout):
            asked.append(acts)
            await free.wait()
            return await write(acts, timeout=timeout)

        for _ in range(12):
            await told(d, 5 * MINUTE)
        d.operations.prices.writer.write = hung
        for _ in range(3):
            await d.operations.hours.tick()
        assert len(asked) == 1 and posted(d)[0] == []
        free.set()
        monkeypatch.setattr(hours, "LOOK_S", 10.0)
        await d.operations.hours.tick()
        await d.operations.hours.tick()
        assert len(asked) == 1 and len(posted(d)[0]) == 1

    run(scenario, tmp_path)


def test_notes_of_another_build_are_nothing():
    accrued, view = Accrued(), View()
    accrued.premiums[PERPETUAL] = deque()
    for note in ({}, {"name": "X", "hour_ms": 1}, {"name": ["X"], "hour_ms": 1}, {"name": PERPETUAL, "hour_ms": "y"}):
        accrued.posted(note)
        accrued.published(note, view)
    assert (accrued.premiums, accrued.funded) == ({PERPETUAL: deque()}, {})
