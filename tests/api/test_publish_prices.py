"""Prices of a venue that people run: who may report them, what is believed, what the engine makes of their absence."""

import asyncio
import base64
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import msgspec
import numpy as np
import pytest
from api_venue import PERPETUAL, START_NS
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dev_venue import ENVIRONMENT, START
from operations_venue import desk

from seawall.api.keystore import STORE_NAME
from seawall.api.operations.prices import BEHIND_MS, Prices
from seawall.api.operations.record import Record
from seawall.cli import status
from seawall.engine import formulas
from seawall.journal import frames
from seawall.journal.checkpoint import SigningKey
from seawall.node.node import Group
from seawall.risk import black76
from seawall.risk.market import VALUE_ATOMS_PER_USD
from seawall.risk.surfaces import QuoteRow, calibrate, make_chain
from seawall.sim.dev_catalogue import note_of, perpetuals
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import Publication
from seawall.vocabulary.records import EVENT, EventKind, Kind, VenueState, command, join

NAMES = {"BTC": ("BTC-PERPETUAL", "BTC_USDC-PERPETUAL"), "ETH": ("ETH-PERPETUAL",)}


def run(scenario, folder, **settings):
    async def go():
        async with desk(folder, **settings) as d:
            await scenario(d)

    asyncio.run(go())


def report(d, btc=60_000.0, eth=None, after_ms=1_000, **changes):
    """A report of the venue's perpetuals, a second after the last: a doubt is confirmed by it."""
    d.venue.clock.advance(after_ms * 10**6)
    indexes = {"BTC": btc} | ({"ETH": eth} if eth is not None else {})
    instruments = {name: {"basis": 0.0} for coin in indexes for name in NAMES[coin]}
    return {"time": d.venue.clock() // 10**6, "indexes": indexes, "instruments": instruments} | changes


async def feed(d, *given, status=200, **named):
    return await d.post("/prices", "fay", status=status, **report(d, *given, **named))


def journalled(d):
    """Kinds and attachments of every command."""
    for frame in frames(d.service.node.configuration.folders):
        end = 0
        for row in frame.commands:
            start, end = end, end + int(row["attachment"])
            yield Kind(row["kind"]), bytes(frame.attachments[start:end])


# -- belief ------------------------------------------------------------------------------------------------------------


def test_the_first_report_waits_for_a_second_and_then_all_is_published(tmp_path):
    async def scenario(d):
        seq = d.service.node.journal.next_seq
        first = await feed(d, 61_000.0, 3_100.0)
        assert not first["taken"] and "index of BTC" in first["doubted"] and d.service.node.journal.next_seq == seq
        second = await feed(d, 61_010.0, 3_100.0)
        assert second["taken"] and second["published"] == ["BTC", "ETH"]
        kinds = [kind for kind, _ in journalled(d)][-5:]
        assert kinds == [Kind.INDEX, Kind.INDEX, Kind.INDEX, Kind.TIME, Kind.PUBLISH]
        assert d.view.marks[d.view.by_name[PERPETUAL].number] == 122_020
        publication = Publication.decode(list(journalled(d))[-1][1])
        assert {risk.mark for risk in publication.instruments} == {122_020, 62_000}
        row = (await d.get("/status"))["prices"][0]
        assert (row["coin"], row["index"]) == ("BTC", 61_010.0) and row["published"] == d.venue.clock() // 10**6

    run(scenario, tmp_path)


async def believed(d, btc=60_000.0):
    await feed(d, btc)
    assert (await feed(d, btc))["taken"]


def test_one_bad_tick_is_never_published(tmp_path):
    async def scenario(d):
        await believed(d)
        seq = d.service.node.journal.next_seq
        for tick in (80_000.0, 66_000.0, 54_000.0):  # each far from the last, and from the one before
            same = report(d, tick)
            for _ in range(3):  # once more is no second report
                answer = await d.post("/prices", "fay", **same)
                assert answer["doubted"] == [
                    "index of BTC", "forward of BTC-PERPETUAL", "forward of BTC_USDC-PERPETUAL"]  # fmt: skip
            assert d.service.node.journal.next_seq == seq
            assert (await feed(d, 60_000.0))["taken"]  # and what was doubted is forgotten
            seq = d.service.node.journal.next_seq
        assert d.alerts.counts["prices_doubted"] == 1 + 3 * 3
        assert not (await feed(d, 54_000.0))["taken"]
        assert (await feed(d, 51_500.0))["taken"]
        assert not (await feed(d, 55_000.0))["taken"]  # near what was doubted once, and believed since
        assert (await feed(d, 55_000.0))["taken"]
        apart = {PERPETUAL: {"basis": 0.2}, "BTC_USDC-PERPETUAL": {"basis": 0.0}}
        assert not (await feed(d, instruments=apart))["taken"]

    run(scenario, tmp_path)


def test_a_report_that_came_too_soon_is_published_by_the_clock(tmp_path):
    async def scenario(d):
        await believed(d)
        answer = await feed(d, 60_600.0, after_ms=1)
        assert answer | {"dry_run": 0} == {"dry_run": 0, "taken": True, "published": [], "doubted": []}
        await d.operations.tick()
        assert d.view.marks[0] == 120_000
        d.venue.clock.advance(10**9)
        await d.operations.tick()
        assert d.view.marks[0] == 121_200
        version = d.service.node.fold.engine.catalogue.version
        d.venue.clock.advance(100 * 10**9)
        await d.operations.tick()  # nobody reported, so nothing is published anew
        assert d.service.node.fold.engine.catalogue.version == version
        assert d.alerts.ring[-1].facts == {"coin": "BTC", "seconds": 100}

    run(scenario, tmp_path)


def test_a_report_that_waited_for_long_is_not_published(tmp_path):
    """The engine would count its age anew from the publication."""

    async def scenario(d):
        await believed(d)
        version = d.service.node.fold.engine.catalogue.version
        assert (await feed(d, 60_600.0, after_ms=1))["published"] == []
        d.venue.clock.advance((BEHIND_MS + 1) * 10**6)
        await d.operations.tick()
        assert (d.view.marks[0], d.service.node.fold.engine.catalogue.version) == (120_000, version)

    run(scenario, tmp_path)


BAD = {
    "nan": ({"indexes": {"BTC": "NaN"}}, "indexes.BTC"),
    "negative": ({"indexes": {"BTC": -1.0}}, "indexes.BTC"),
    "1e8 too large": ({"indexes": {"BTC": 60_000e8}}, "indexes.BTC"),
    "no coin": ({"indexes": {}}, "indexes"),
    "unknown coin": ({"indexes": {"DOGE": 1.0}}, "indexes.DOGE"),
    "missing": ({"instruments": {PERPETUAL: {"basis": 0.0}}}, "instruments.BTC_USDC-PERPETUAL"),
    "unknown": ({"instruments": {"BTC-X": {"basis": 0.0}}}, "instruments.BTC-X"),
    "neither": ({"instruments": {PERPETUAL: {}, "BTC_USDC-PERPETUAL": {"basis": 0.0}}}, f"instruments.{PERPETUAL}"),
    "both": (
        {"instruments": {PERPETUAL: {"basis": 0.0, "forward": 1.0}, "BTC_USDC-PERPETUAL": {"basis": 0.0}}},
        f"instruments.{PERPETUAL}",
    ),
    "basis": (
        {"instruments": {PERPETUAL: {"basis": -1.0}, "BTC_USDC-PERPETUAL": {"basis": 0.0}}},
        f"instruments.{PERPETUAL}.basis",
    ),
    "volatility": (
        {"instruments": {PERPETUAL: {"basis": 0.0, "volatility": 0.5}, "BTC_USDC-PERPETUAL": {"basis": 0.0}}},
        f"instruments.{PERPETUAL}.volatility",
    ),
    "depth": ({"depths": {"BTC": 0.0}}, "depths.BTC"),
    "depth 1e8 too large": ({"depths": {"BTC": 60e14}}, "depths.BTC"),
    "depth of no index": ({"depths": {"ETH": 1e6}}, "depths.ETH"),
    "band": ({"indexes": {"BTC": 1.0}}, "instruments[0].mark"),
    "old": ({"time": 1}, "time"),
    "ahead": ({"time": 2**42}, "time"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_report_is_refused_by_name_and_changes_nothing(tmp_path, name):
    async def scenario(d):
        await believed(d)
        seq, known = d.service.node.journal.next_seq, dict(d.operations.prices.believed)
        changes, field = BAD[name]
        for _ in range(3):  # saying it again does not help
            answer = await d.post("/prices", "fay", status=400, **report(d, 60_100.0) | changes)
            assert answer.get("field") == field and (answer.get("rule") or answer.get("message"))
        assert d.service.node.journal.next_seq == seq and d.operations.prices.believed == known
        assert d.alerts.counts["prices_refused"] == 3

    run(scenario, tmp_path)


def test_an_index_of_sources_is_their_capped_mean(tmp_path):
    async def scenario(d):
        def sources(*prices, age=0):
            time = d.venue.clock() // 10**6 - age
            return {"BTC": [{"source": f"s{n}", "price": price, "time": time} for n, price in enumerate(prices)]}

        for _ in range(2):
            given = report(d) | {"indexes": {}, "sources": sources(60_000.0, 60_030.0, 1e8)}
            answer = await d.post("/prices", "fay", **given)
        assert answer["published"] == ["BTC"]
        assert d.operations.prices.believed["index", "BTC"] == pytest.approx((60_000 + 60_030 + 60_330.15) / 3)
        two = await d.post("/prices", "fay", status=400, **report(d) | {"indexes": {}, "sources": sources(1.0, 2.0)})
        assert (two["field"], two["value"]) == ("sources.BTC", 2)
        old = await d.post(
            "/prices", "fay", status=400, **report(d) | {"indexes": {}, "sources": sources(1.0, 2.0, 3.0, age=61_000)}
        )
        assert old["field"] == "sources.BTC" and "older than allowed" in old["rule"]
        last = d.operations.prices.times["BTC"]
        late = report(d, after_ms=BEHIND_MS) | {
            "indexes": {},
            "sources": sources(60_000.0, 60_010.0, 60_020.0, age=5_001),
        }
        frozen = await d.post("/prices", "fay", status=400, **late)
        assert frozen["field"] == "sources.BTC" and d.operations.prices.times["BTC"] == last
        notes = [json.loads(data) for kind, data in journalled(d) if data.startswith(b'{"note":"prices"')]
        assert len(notes) == 1 and not {"sources", "surfaces"} & notes[0].keys()  # what they came to is in it
        both = await d.post("/prices", "fay", status=400, **report(d) | {"sources": sources(1.0, 2.0, 3.0)})
        assert both["field"] == "indexes.BTC"

    run(scenario, tmp_path)


def test_sources_may_be_as_far_ahead_as_the_report_they_are_in(tmp_path):
    async def scenario(d):
        def given(ahead):
            one = report(d)
            times = [one["time"] + ahead, one["time"] + ahead, one["time"]]
            rows = [{"source": f"s{n}", "price": 60_000.0, "time": time} for n, time in enumerate(times)]
            return one | {"time": one["time"] + min(ahead, 1_000), "indexes": {}, "sources": {"BTC": rows}}

        assert "doubted" in await d.post("/prices", "fay", **given(300))
        assert (await d.post("/prices", "fay", **given(1_000)))["published"] == ["BTC"]
        far = await d.post("/prices", "fay", status=400, **given(1_001))
        assert far["field"] == "sources.BTC" and "stamped after now" in far["rule"]

    run(scenario, tmp_path)


def test_a_report_is_not_believed_twice_and_nobody_else_may_report(tmp_path):
    async def scenario(d):
        await believed(d)
        same = report(d)
        assert (await d.post("/prices", "fay", **same))["taken"]
        assert (await d.post("/prices", "fay", status=400, **same))["field"] == "time"
        for person in ("olivia", "rita", "ada"):
            await d.post("/prices", person, status=403, **report(d))
        await d.get("/status", "fay", status=403)
        seq = d.service.node.journal.next_seq
        assert (await d.post("/prices", "fay", **report(d), dry_run=True))["dry_run"]
        assert d.service.node.journal.next_seq == seq
        object.__setattr__(d.operations.settings, "feeds", False)
        assert "another venue's" in (await d.post("/prices", "fay", status=400, **report(d)))["rule"]

    run(scenario, tmp_path)


def test_options_have_their_marks_from_forward_and_volatility(tmp_path):
    async def scenario(d):
        names = [row.name for row in d.view.listings.values() if row.base == "ETH"]
        instruments = {name: {"forward": 3_000.0} for name in names}
        for name in names:
            if d.view.by_name[name].option:
                instruments[name] = {"forward": 3_000.0, "volatility": 0.6}
        for _ in range(2):
            given = report(d) | {"indexes": {"ETH": 3_000.0}, "instruments": instruments}
            answer = await d.post("/prices", "fay", **given)
        assert answer["published"] == ["ETH"]
        option = next(row for row in d.view.listings.values() if row.option and row.base == "ETH")
        assert d.view.volatilities[option.number] == 0.6 and d.view.marks[option.number] > 0
        del instruments[option.name]["volatility"]
        answer = await d.post(
            "/prices", "fay", status=400, **report(d) | {"indexes": {"ETH": 3_000.0}, "instruments": instruments}
        )
        assert answer["field"] == f"instruments.{option.name}.volatility"

    run(scenario, tmp_path, options=True, days=7)


@pytest.mark.parametrize("given", [{"forward": 3_300.0}, {"basis": 0.1}])
def test_an_option_is_read_back_at_the_forward_it_was_marked_at(tmp_path, given):
    """Delta, volatility and what it is priced on are those of the report, not of the index."""

    async def scenario(d):
        rows = [row for row in d.view.listings.values() if row.base == "ETH"]
        instruments = {row.name: given | ({"volatility": 0.6} if row.option else {}) for row in rows}
        for _ in range(2):
            await d.post("/prices", "fay", **report(d) | {"indexes": {"ETH": 3_000.0}, "instruments": instruments})
        for row in (row for row in rows if row.option):
            ticker = d.venue.result("public/ticker", instrument_name=row.name)
            assert ticker["mark_iv"] == pytest.approx(60, abs=0.5), row.name
            years = (row.spec.expiry - d.view.now_ns) / (365 * 86_400 * 10**9)
            delta = float(black76.delta(3_300.0, row.strike(), 0.6, years, row.spec.option_type))
            assert ticker["greeks"]["delta"] == pytest.approx(delta, abs=0.005), row.name
            (line,) = d.venue.result("public/get_book_summary_by_instrument", instrument_name=row.name)
            for told in (ticker, line):
                assert told["underlying_price"] == pytest.approx(3_300.0)
                assert told["underlying_index"] in ("ETH-9MAR26", "SYN.ETH-9MAR26", "SYN.ETH_USDC-9MAR26")
            assert ticker["index_price"] == 3_000.0

    run(scenario, tmp_path, options=True, days=7)


def test_volatilities_of_a_surface(tmp_path):
    calibration = calibrate(a_chain(START_NS), "svi")
    assert calibration.holds

    async def scenario(d):
        options = [row for row in d.view.listings.values() if row.base == "ETH" and row.option]
        instruments = {row.name: {"forward": 3_000.0} for row in d.view.listings.values() if row.base == "ETH"}
        document = msgspec.to_builtins(calibration)
        given = {"indexes": {"ETH": 3_000.0}, "instruments": instruments, "surfaces": {"ETH": document}}
        for _ in range(2):
            answer = await d.post("/prices", "fay", **report(d) | given)
        assert answer["published"] == ["ETH"]
        for row in options:
            years = (row.spec.expiry - START_NS) / (365 * 86_400 * 10**9)
            wanted = float(calibration.surface.volatility(np.log(row.strike() / 3_000.0), years))
            assert d.view.volatilities[row.number] == wanted
        broken = [row | {"violations": 1} for row in document["arbitrage"]["butterflies"]]
        last = document["expiries"][-1]
        flat = last["smile"] | {"level": 0.0, "parts": [[0.05 * row[0], *row[1:]] for row in last["smile"]["parts"]]}
        for bad, field in (
            ({"underlying": "BTC"}, "surfaces.ETH"),
            ({"expiries": [*document["expiries"][:-1], last | {"smile": flat}]}, "surfaces.ETH"),
            ({"arbitrage": {**document["arbitrage"], "butterflies": broken}}, "surfaces.ETH"),
            ({"format": "another"}, "surfaces.ETH"),
            ({"time_ns": START_NS - 4_000 * 10**9}, "surfaces.ETH.time_ns"),
        ):
            wrong = given | {"surfaces": {"ETH": document | bad}}
            answer = await d.post("/prices", "fay", status=400, **report(d) | wrong)
            assert answer["field"] == field, answer

    run(scenario, tmp_path, options=True, days=7)


def test_a_surface_says_nothing_of_an_option_past_its_expiry(tmp_path):
    """It is live until it is delivered, and a report that still names it is not refused for it."""

    async def scenario(d):
        names = [row.name for row in d.view.listings.values() if row.base == "ETH"]

        async def told(status=200):
            surface = msgspec.to_builtins(calibrate(a_chain(d.venue.clock() + 10**9), "svi"))
            instruments = {name: {"forward": 3_000.0} for name in names}
            given = {"indexes": {"ETH": 3_000.0}, "instruments": instruments, "surfaces": {"ETH": surface}}
            return await d.post("/prices", "fay", status=status, **report(d) | given)

        await told()
        assert (await told())["published"] == ["ETH"]
        kept = dict(d.view.volatilities)
        (expiry,) = {row.spec.expiry for row in d.view.listings.values() if row.option and row.base == "ETH"}
        d.venue.clock.advance(expiry - d.venue.clock() + 10**9)
        assert (await told())["published"] == ["ETH"]
        assert d.view.volatilities == kept

    run(scenario, tmp_path, options=True, days=7)


def a_chain(time_ns):
    """Quotes around a smile of 60 % with wings, of the venue's expiry and a later one."""
    rows = []
    for days in (7, 60):
        expiry, years = time_ns + days * 86_400 * 10**9, days / 365
        for strike in range(2_000, 4_600, 100):
            k = np.log(strike / 3_000.0)
            sigma = 0.6 + 0.1 * k * k / years**0.5
            for kind in (1, -1):
                price = float(black76.price(3_000.0, strike, sigma, years, kind)) / 3_000.0
                name = f"ETH-{days}-{strike}-{kind}"
                quote = QuoteRow(name, expiry, float(strike), kind > 0, 3_000.0, price * 0.98, price * 1.02, time_ns)
                rows.append(quote)
    return make_chain(rows, time_ns, sha256="0" * 64)


def test_a_depth_makes_margin_dearer_and_never_cheaper_than_the_parameter(tmp_path):
    async def scenario(d):
        def asked(published=None):
            """By a publication, the last if no other, of 50 million dollars of Bitcoin and as many short."""
            made = Publication.decode(published or list(journalled(d))[-1][1])
            block = d.view.by_name[PERPETUAL].spec.block
            (lines,) = [made.charges[one.charges[0][0]].lines for one in made.blocks if one.block == block]
            ends = [formulas.charge_value(lines, side * 50_000_000 * VALUE_ATOMS_PER_USD, 1) for side in (1, -1)]
            assert ends[0] == ends[1]
            return ends[0]

        async def ask(**said):
            d.venue.clock.advance(10**10)  # past the timer
            assert (await feed(d, **said))["published"] == ["BTC"]
            return asked()

        await believed(d)
        alone = asked()  # 60 million dollars are the parameter's
        assert await ask(depths={"BTC": 1e12}) == alone
        assert d.operations.prices.rows()[0]["depth"] == 63e6
        assert await ask() == alone and d.operations.prices.depths == {}
        await ask(depths={"BTC": 1.0})  # the first word is one, too
        assert d.operations.prices.depths == {"BTC": 57e6}
        for _ in range(7):
            await ask(depths={"BTC": 40e6})
        assert asked() > alone
        (said,) = [line for line in status._lines(await d.get("/status")) if line.startswith("prices of BTC")]
        assert "index 60,000.0, depth 40,000,000 dollars, reported" in said
        before = asked()
        assert await ask(depths={"BTC": 1.0}) > before
        assert d.operations.prices.depths == {"BTC": pytest.approx(38e6)}  # one bad word moves it by a twentieth
        await ask(depths={"BTC": 1e9})
        assert d.operations.prices.depths == {"BTC": pytest.approx(39.9e6)}
        before = asked()
        assert (await feed(d, after_ms=100, depths={"BTC": 38e6}))["published"] == []  # it waits for the timer
        d.venue.clock.advance(4_950 * 10**6)
        await d.operations.prices.tick()
        assert asked() > before
        for _ in range(2):  # other parameters are judged with all coins' prices
            await feed(d, 60_000.0, 3_000.0, depths={"BTC": 39.9e6})
        words = d.operations.prices.imagine(d.service.node.configuration)
        d.venue.clock.advance(10**10)
        await feed(d, 60_000.0, 3_000.0, depths={"BTC": 39.9e6})
        assert asked(np.array(words, "<i8").tobytes()) == asked() > alone

    run(scenario, tmp_path)


def test_a_restart_knows_what_was_published(tmp_path):
    async def scenario(d):
        await believed(d)
        await feed(d, 60_010.0, 3_000.0, depths={"ETH": 23e6})
        await feed(d, 60_010.0, 3_000.0, depths={"ETH": 23e6})
        d.venue.clock.advance(10**10)
        assert (await feed(d, 60_020.0))["published"] == ["BTC"]
        rates = Publication.decode(list(journalled(d))[-1][1]).currencies
        assert [d.view.currencies[one.currency][0] for one in rates] == ["BTC", "USDC"]  # ETH's goes with its blocks
        known = d.operations.prices
        record = Record()
        for frame in frames(d.service.node.configuration.folders):
            taken = frame.commands[frame.commands["kind"] == Kind.PUBLISH]
            events = np.zeros(len(taken), EVENT)
            events["seq"], events["kind"] = taken["seq"], EventKind.PUBLISHED
            record.take(Group(frame.commands, frame.attachments, events))
            refused = Record()
            refused.take(Group(frame.commands, frame.attachments, events[:0]))
            assert not refused.prices and not refused.published
        again = Prices(d.service, record)
        assert (again.believed, again.times, again.published) == (known.believed, known.times, known.published)
        assert again.depths == known.depths == {"ETH": 23e6}

    run(scenario, tmp_path)


def test_the_report_of_a_refused_publication_is_not_a_later_ones():
    note = b'{"note":"prices","coins":["BTC"],"by":"fay","time":1,"indexes":{"BTC":1.0},"instruments":{}}'
    commands = join(command(Kind.TIME, attachment=len(note)), command(Kind.PUBLISH), command(Kind.PUBLISH))
    commands["seq"] = (7, 8, 9)
    events = np.zeros(1, EVENT)
    for accepted, known in ((8, 1), (9, 0)):
        events["seq"], events["kind"] = accepted, EventKind.PUBLISHED
        record = Record()
        record.take(Group(commands, note, events))
        assert len(record.prices) == known


# -- a real venue, as a stranger starts it -----------------------------------------------------------------------------

LATE_S = 2.0
SETTINGS = """
data = "{data}"
segment_bytes = 1048576
[trading]
port = 0
[operations]
port = 0
[rates.trading]
rate = 0.0
[rates.other]
rate = 0.0
[publisher]
timer_s = 0.2
least_s = 0.1
confirm_s = 0.1
late_s = {late}
"""


class RealVenue:
    """`seawall serve` without --dev, and two people with their keys."""

    def __init__(self, folder):
        file = folder / "seawall.toml"
        file.write_text(SETTINGS.format(data=folder / "data", late=LATE_S))
        self.folder, self.log = folder, folder / "venue.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, "serve", "--config", str(file)],
                stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT,
            )  # fmt: skip
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-2000:]
        self.ready = json.loads(line)
        self.token = (folder / "data" / "first-operator.token").read_text().strip()
        self.keys = {name: SigningKey.of(f"{name}/key", Ed25519PrivateKey.generate()) for name in ("ann", "ben", "cas")}

    def post(self, path, token=None, **body):
        return self.ask(f"{self.ready['ops']}{path}", f"Bearer {token or self.token}", json.dumps(body).encode())

    def get(self, path):
        return self.ask(f"{self.ready['ops']}{path}", f"Bearer {self.token}")

    def trade(self, method, who, **params):
        query = "&".join(f"{name}={value}" for name, value in params.items())
        token = base64.b64encode(":".join(who).encode()).decode()
        return self.ask(f"{self.ready['http']}/api/v2/private/{method}?{query}", f"Basic {token}")

    def ask(self, url, authorization, data=None):
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def done(self, path, **body):
        """Proposed, and signed by two people."""
        made = self.post(path, reason="the first day", **body)
        assert made.get("proposed"), made
        row = made["proposal"]
        for name in ("ann", "ben"):
            key = self.keys[name]
            given = base64.b64encode(key.private.sign(row["payload"].encode())).decode()
            signed = self.post(f"/proposals/{row['id']}/signatures", key=key.public.vkey, signature=given)
        assert signed["proposal"]["state"] == "executed", signed
        return made

    def set_up(self):
        """People, money, two instruments, two funded accounts; returns the feeder's token and the traders' keys."""
        approvers = [{"person": n, "role": "risk", "key": key.public.vkey} for n, key in self.keys.items()]
        assert self.post("/people", action="setup", approvers=approvers, reason="the first day")["done"]
        feeder = self.done("/people", action="operator.add", person="fay", role="feeder")["token"]
        self.done("/currencies", name="USDC", decimals=5)
        for fee_class in ("futures", "options"):
            self.done("/parameters", parameter="tier", tier=0, fee_class=fee_class, maker=0, taker=500)
        perpetual = perpetuals()[2]
        note = note_of(0, perpetual, 0)
        self.done("/instruments", name=perpetual.spec.name, spec=numbers(perpetual.spec), units=units(note))
        option = Instrument(
            "BTC_USDC-27DEC30-60000-C", Product.OPTION, Form.LINEAR, 0, 0, 50_000, 1, 40_000, 10**5,
            1_924_588_800 * 10**9, 120_000, 1, Form.LINEAR, 500,
        )  # fmt: skip
        more = {"kind": "option", "tick": [5, 1], "lot": [1, 100], "contract_size": "0.01"}
        self.done("/instruments", name=option.name, spec=numbers(option), units=units(note) | more)
        traders = {}
        for name in ("alice", "bob"):
            assert self.post("/accounts", action="create", name=name, reason="x")["done"]
            self.done("/accounts", action="deposit", name=name, currency="USDC", amount=str(10**6 * 10**5))
            rights = {"account": "read_write", "trade": "read_write"}
            key = self.done("/keys", action="create", account=name, name=name, rights=rights)
            traders[name] = key["id"], key["secret"]
        return feeder, traders

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()[-2000:]


def numbers(spec):
    found = msgspec.to_builtins(spec) | {"currency": 0, "block": 0}
    del found["name"]
    return {name: int(value) for name, value in found.items()}


def units(note):
    found = {name: value for name, value in note.items() if name not in ("note", "instrument", "name", "created_ms")}
    return found | {"contract_size": str(note["contract_size"])}


def until(find, what):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = find()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(what)


PRICES = {
    "indexes": {"BTC": 60_000.0},
    "instruments": {
        "BTC_USDC-PERPETUAL": {"basis": 0.0001},
        "BTC_USDC-27DEC30-60000-C": {"forward": 61_000.0, "volatility": 0.6},
    },
}


def feeding(venue, token):
    """`seawall feed` as the price process of a stranger: reports on its input until that is closed."""
    command = [sys.executable, "-c", START, "feed", "-", "--url", venue.ready["ops"], "--json"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=ENVIRONMENT | {"SEAWALL_OPS_TOKEN": token},
    )  # fmt: skip
    ended = threading.Event()

    def write():
        while not ended.wait(0.1):
            process.stdin.write(json.dumps(PRICES) + "\n")
            process.stdin.flush()
        process.stdin.close()

    thread = threading.Thread(target=write)
    thread.start()

    def stop():
        ended.set()
        thread.join()
        return json.loads(process.stdout.read())

    return stop


def test_a_venue_whose_prices_stop_takes_what_reduces_and_nothing_else(tmp_path):
    venue = RealVenue(tmp_path)
    try:
        feeder, who = venue.set_up()
        order = {"instrument_name": "BTC_USDC-PERPETUAL", "type": "limit", "price": 60_000}

        def buy(price):
            return venue.trade("buy", who["alice"], amount=0.01, **order | {"price": price})

        assert buy(60_000)["error"]["data"]["control"] == "NOT_PUBLISHED"
        stop = feeding(venue, feeder)
        bought = until(lambda: buy(60_000).get("result"), "never priced")
        sold = until(lambda: venue.trade("sell", who["bob"], amount=0.01, **order).get("result"), "late too soon")
        assert (bought["order"]["order_state"], sold["order"]["order_state"]) == ("open", "filled")
        resting = until(lambda: buy(59_000).get("result"), "late too soon")
        sent = stop()
        assert sent["doubted"] >= 1 and sent["taken"] >= sent["published"] >= 1
        assert sent["sent"] == sent["doubted"] + sent["taken"] + sent["refused"]
        error = until(lambda: buy(58_000).get("error"), "never late")
        assert error["data"]["control"] == "STALE", error
        age, most = error["data"]["numbers"]
        assert most == LATE_S * 10**9 < age
        closing = venue.trade("sell", who["alice"], amount=0.01, **order | {"price": 61_000})
        assert closing["result"]["order"]["order_state"] == "open", closing
        cancelled = venue.trade("cancel", who["alice"], order_id=resting["order"]["order_id"])
        assert cancelled["result"]["order_state"] == "cancelled"
        assert until(lambda: venue.get("/status")["alerts"]["publisher_late"], "no alert")

        stop = feeding(venue, feeder)
        until(lambda: buy(58_000).get("result"), "never reopened")
        assert stop()["doubted"] == 0  # it was believed before
        row = venue.get("/status")["prices"][0]
        assert row["coin"] == "BTC" and row["index"] == 60_000.0 and row["published"]
        limit = next(row for row in venue.get("/parameters")["limits"] if row["limit"] == "STALE")
        assert limit["row"][0] == str(round(LATE_S * 10**9))
    finally:
        venue.stop()


def test_prices_that_stop_while_the_clock_is_back_are_late_all_the_same(tmp_path, monkeypatch):
    """The journal's time stands still, so the limit on their age never acts: the venue traded on at old marks."""

    async def scenario(d):
        d.venue.publish()
        await d.operations.tick()
        now = d.venue.clock() // 10**6
        monkeypatch.setattr(d.service, "clock_ms", lambda: now - 3_600_000)
        await d.operations.tick()
        assert (d.view.venue, d.alerts.counts["publisher_late"]) == (VenueState.OPEN, 0)
        late = time.monotonic() + 61
        d.operations.steady = lambda: late
        await d.operations.tick()
        assert (d.view.venue, d.alerts.counts["publisher_late"]) == (VenueState.REDUCE_ONLY, 1)
        assert "clock" in (await d.get("/status"))["restricted"][0]["reason"]
        d.venue.publish()
        await d.operations.tick()
        assert d.view.venue == VenueState.REDUCE_ONLY  # people open it

    run(scenario, tmp_path)


def test_a_lost_keystore_is_not_begun_anew_by_itself(tmp_path):
    """Else whoever has the first operator's token registers approvers of their own, and signs what they like."""
    venue = RealVenue(tmp_path)
    approvers = [{"person": n, "role": "risk", "key": key.public.vkey} for n, key in venue.keys.items()]
    assert venue.post("/people", action="setup", approvers=approvers, reason="the first day")["done"]
    venue.stop()
    home = tmp_path / "data"
    kept = (home / STORE_NAME).rename(tmp_path / "elsewhere")
    command = [sys.executable, "-c", START, "serve", "--config", str(tmp_path / "seawall.toml")]
    lost = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert lost.returncode == 2 and "keystore" in lost.stderr and "put it back" in lost.stderr
    assert not (home / STORE_NAME).exists()
    kept.rename(home / STORE_NAME)
    venue = RealVenue(tmp_path)  # and the start that was refused was stopped cleanly
    assert "unclean=True" not in venue.log.read_text() and len(venue.get("/people")["approvers"]) == 3
    venue.stop()
    (home / STORE_NAME).unlink()
    (home / "keystore.anew").touch()
    venue = RealVenue(tmp_path)
    assert venue.get("/people")["approvers"] == [] and not (home / "keystore.anew").exists()
    venue.stop()
    venue = RealVenue(tmp_path)  # the journal knows it, too: it brings nobody of before back
    assert venue.get("/people")["approvers"] == []
    venue.stop()
