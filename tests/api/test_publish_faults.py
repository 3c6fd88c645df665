"""What must neither stop a venue nor mislead it: notes that nobody can fold, prices in a hurry, late ones."""

import json
import re
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from api_venue import ALICE, PERPETUAL, START_NS
from test_publish_parameters import order
from test_publish_prices import believed, feed, journalled, numbers, report, run, units

from seawall.api.listing import Listing
from seawall.api.operations.actions import World, deed
from seawall.api.operations.prices import Prices, Report
from seawall.api.operations.record import Record
from seawall.api.operations.roles import SIGNING
from seawall.api.operations.wording import words as words_of
from seawall.api.view import View
from seawall.cli.main import COMMANDS
from seawall.engine.reference import Reference
from seawall.journal import frames
from seawall.node.node import Group, Node
from seawall.sim.dev_catalogue import note_of, perpetuals
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.hours import DAY_NS
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.records import EVENT, Kind, command, join

SECOND = 10**9
SOL = Instrument(
    "SOL_USDC-4MAR26", Product.FUTURE, Form.LINEAR, 2, 3, 5, 1, 1_000_000, 10**6, START_NS + DAY_NS
)  # fmt: skip
SOL_NOTE = note_of(0, perpetuals()[2], 0) | {"base": "SOL", "index": "sol_usdc", "period": "day", "underlying": "SOL"}


async def listed(d, status=200, **changed):
    spec = msgspec.to_builtins(SOL)
    del spec["name"]
    body = {"name": SOL.name, "spec": {name: int(value) for name, value in spec.items()}, "reason": "a new coin"}
    answer = await d.post("/instruments", status=status, **body, units=units(SOL_NOTE) | changed)
    if status != 200:
        return answer
    row = answer["proposal"]
    return await d.sign(row["id"], row["payload"].encode(), "rita", "carl")


def sol(d, price=100.0, **changes):
    instruments = {SOL.name: {"basis": 0.0}}
    return report(d) | {"indexes": {"SOL": price}, "instruments": instruments} | changes


def folded(configuration):
    """A view and a record as a start makes them."""
    view, record = View(), Record()

    def hear(group):
        view.take(group)
        record.take(group)

    def witness(frame, events):
        hear(Group(frame.commands, frame.attachments, events))

    node = Node.start(configuration, lambda: START_NS + 10 * DAY_NS, witness, listener=hear)
    node.stop()
    return view, record


def folded_of(d):
    """The same of a venue that goes on."""
    view, record, engine = View(), Record(), Reference()
    for frame in frames(d.service.node.configuration.folders):
        group = Group(frame.commands, frame.attachments, engine.step(frame.commands, frame.attachments))
        view.take(group)
        record.take(group)
    return view, record


def test_people_sign_what_a_delivery_and_a_deposit_are_in_prices_and_coins(tmp_path):
    """Dollars taken for ticks of half a dollar would be paid at half the price: whoever signs is to see it."""

    async def scenario(d):
        await listed(d)
        for _ in range(2):
            await d.post("/prices", "fay", **sol(d))
        _, payload = await d.propose("/deliveries", name=SOL.name, price="100", reason="expired")
        assert "at 100 ticks: a price of 50.0, the index being 100.0" in words_of(payload)[0]
        await d.post("/deliveries", status=400, name="NONE", price="100", reason="expired")
        await d.post("/deliveries", status=400, name=SOL.name, price="100.5", reason="expired")
        deposit = {"action": "deposit", "name": "alice", "amount": "1250000001", "reason": "wire"}
        _, payload = await d.propose("/accounts", currency="BTC", **deposit)
        assert "with 1250000001 atoms of BTC: 12.50000001 BTC." in words_of(payload)[0]

    run(scenario, tmp_path)


def test_a_report_of_what_awaits_delivery_alone_stops_nobody(tmp_path):
    kept = {}

    async def scenario(d):
        assert (await listed(d))["proposal"]["state"] == "executed"
        await d.post("/prices", "fay", **sol(d))
        assert (await d.post("/prices", "fay", **sol(d)))["published"] == ["SOL"]
        d.venue.clock.advance(2 * DAY_NS)
        answer = await d.post("/prices", "fay", **sol(d, 101.0, instruments={}))
        assert answer["published"] == ["SOL"]
        d.venue.clock.advance(10 * SECOND)
        assert (await d.post("/prices", "fay", **sol(d, 102.0, instruments={})))["published"] == ["SOL"]
        assert d.service.sequencer.dead is None
        kept.update(configuration=d.venue.configuration, believed=dict(d.operations.prices.believed))

    run(scenario, tmp_path)
    view, record = folded(kept["configuration"])
    assert view.by_name[SOL.name].base == "SOL" and view.index_prices["sol_usdc"] == 102.0
    assert kept["believed"]["index", "SOL"] == 102.0 and b'"SOL":102.0' in next(reversed(record.prices.values()))[0]


def test_what_awaits_delivery_keeps_its_price_over_a_restart_whatever_reports_say_of_it(tmp_path):
    """Reports may leave it out, and then the last note has to have it: without it no report would count any more."""

    async def scenario(d):
        await listed(d)
        for _ in range(2):
            await d.post("/prices", "fay", **sol(d))
        d.venue.clock.advance(2 * DAY_NS)
        for given in ({}, {SOL.name: {"forward": 104.0}}):
            d.venue.clock.advance(10 * SECOND)
            assert (await d.post("/prices", "fay", **sol(d, 101.0, instruments=given)))["published"] == ["SOL"]
            assert d.operations.prices.believed["forward", SOL.name] == 100.0
            marks = dict(d.view.marks)
            _, record = folded_of(d)
            again = d.operations.prices = Prices(d.service, record)
            assert again.believed["forward", SOL.name] == 100.0
            assert (await d.post("/prices", "fay", **sol(d, 101.0, instruments={})))["published"] == ["SOL"]
            assert d.view.marks == marks

    run(scenario, tmp_path)


@pytest.mark.parametrize("changed", [
    {"tick": [0, 1]}, {"tick": [1, 0]}, {"lot": [-1, 10]}, {"lot": [1]}, {"delivery_tick": [True, 1]}, {"tick": "12"},
    {"contract_size": "0"}, {"contract_size": "nan"}, {"contract_size": "1e400"}, {"contract_size": "x"},
    {"tick": None}, {"tick": ["x", 1]},
])  # fmt: skip
def test_units_that_nobody_could_fold_are_refused_before_they_are_journalled(tmp_path, changed):
    async def scenario(d):
        seq = d.service.node.journal.next_seq
        answer = await listed(d, status=400, **changed)
        assert answer["rule"], answer
        assert d.service.node.journal.next_seq == seq

    run(scenario, tmp_path)


def test_units_are_all_there_and_a_bad_note_in_a_journal_costs_its_listing_alone(tmp_path):
    with pytest.raises(InputError):
        Listing.of(SOL, {**SOL_NOTE, "tick": [0, 1]})

    async def scenario(d):
        answer = await d.post(
            "/instruments", status=400, name=SOL.name, spec=numbers(SOL), units={"tik": [1, 2]}, reason="x"
        )
        assert answer["rule"], answer
        number = len(d.view.listings)
        note = msgspec.json.encode({**SOL_NOTE, "instrument": number, "tick": [0, 1]})
        parts = [command(Kind.INSTRUMENT, instrument=number, attachment=len(SOL.encode()))]
        parts.append(command(Kind.TIME, attachment=len(note)))
        await d.service.write(join(*parts).tobytes(), SOL.encode() + note)
        assert number not in d.view.listings and d.service.sequencer.dead is None
        await believed(d)

    run(scenario, tmp_path)


# -- belief and time ---------------------------------------------------------------------------------------------------


def test_a_doubt_is_confirmed_by_time_and_not_by_insisting(tmp_path):
    async def scenario(d):
        await believed(d)
        for after_ms in (1_000, 1, 1, 997):
            assert not (await feed(d, 70_000.0, after_ms=after_ms))["taken"]
        assert (await feed(d, 70_000.0, after_ms=1))["taken"]
        same = report(d, 80_000.0)
        for _ in range(3):  # once more is no second report, whenever it comes
            assert not (await d.post("/prices", "fay", **same))["taken"]
            d.venue.clock.advance(SECOND)
        assert (await feed(d, 80_000.0))["taken"]

    run(scenario, tmp_path)


def test_small_steps_in_a_hurry_are_a_jump(tmp_path):
    async def scenario(d):
        await believed(d)
        start = d.operations.prices.believed["index", "BTC"]
        d.venue.clock.advance(SECOND // 10)
        price, taken = start, []
        for _ in range(5):
            price *= 1.049
            taken.append((await feed(d, price, after_ms=1))["taken"])
        assert taken == [True] + [False] * 4
        assert (await feed(d, start * 1.049, after_ms=1_000))["taken"]  # from a second on it may move on
        assert (await feed(d, start * 1.049 * 1.049, after_ms=1))["taken"]

    run(scenario, tmp_path)


def test_what_is_reported_is_seconds_old_at_most(tmp_path):
    async def scenario(d):
        await believed(d)
        given = report(d)
        d.venue.clock.advance(5_001 * 10**6)
        assert (await d.post("/prices", "fay", status=400, **given))["field"] == "time"
        given = report(d)
        d.venue.clock.advance(5_000 * 10**6)
        assert (await d.post("/prices", "fay", **given))["taken"]

    run(scenario, tmp_path)


def test_what_waits_is_superseded_by_coin_and_starves_nobody(tmp_path):
    async def scenario(d):
        for _ in range(2):
            await feed(d, 60_000.0, 3_000.0)
        prices = d.operations.prices
        await feed(d, 60_600.0, 3_030.0, after_ms=1)  # too soon: both wait
        await feed(d, 60_900.0, after_ms=1)  # and this one waits in the place of the first coin's
        assert {coin: row.indexes for coin, row in prices._waits.items()} == {
            "BTC": {"BTC": 60_900.0},
            "ETH": {"ETH": 3_030.0},
        }
        d.venue.clock.advance(SECOND)
        send, told = prices._send, prices._told

        def broken(given, *more):
            if "BTC" in given.indexes:
                raise InputError("instruments.X", None, "is not there")
            return told(given, *more)

        prices._told = broken
        await d.operations.tick()
        assert d.alerts.counts["prices_refused"] == 1 and not prices._waits
        assert {d.view.marks[n] for n in (0, 1)} == {120_000, 60_600}
        seq = d.service.node.journal.next_seq
        await d.operations.tick()
        assert d.service.node.journal.next_seq == seq and d.alerts.counts["prices_refused"] == 1
        prices._told = told
        await feed(d, 61_000.0)
        await feed(d, 61_001.0, after_ms=1)
        d.venue.clock.advance(61 * SECOND)
        seq = d.service.node.journal.next_seq
        await d.operations.tick()
        assert d.service.node.journal.next_seq == seq and not prices._waits and prices._send == send

    run(scenario, tmp_path)


def test_a_failing_step_of_the_clock_stops_no_other(tmp_path):
    async def scenario(d):
        await believed(d)
        await feed(d, 60_600.0, after_ms=1)
        d.venue.clock.advance(SECOND)

        async def broken():
            raise InputError("version", 1, "cannot be")

        d.operations.governance.tick = broken
        await d.operations.tick()
        assert d.view.marks[0] == 121_200 and d.alerts.counts["prices_refused"] == 1

    run(scenario, tmp_path)


def test_index_prices_before_a_refused_publication_stand_and_are_believed(tmp_path):
    async def scenario(d):
        await believed(d)
        prices, look = d.operations.prices, d.operations.prices.writer.look

        async def older(see):
            return await look(see) - 1  # the engine refuses a version that was there

        prices.writer.look = older
        d.venue.clock.advance(10 * SECOND)
        answer = await feed(d, 60_500.0, status=409)
        assert "VERSION" in json.dumps(answer), answer
        assert d.view.indexes[0] == 121_000 and d.view.marks[0] == 120_000
        assert prices.believed["index", "BTC"] == 60_500.0 and prices.believed["forward", PERPETUAL] == 60_000.0
        prices.writer.look = look
        assert (await feed(d, 60_500.0))["published"] == ["BTC"]

    run(scenario, tmp_path)


def test_the_runbook_finds_and_mends_what_a_publication_is_refused_for(tmp_path, monkeypatch):
    """Orders alone, without a position: the words say so, the exposure names the account, and a cancel is enough."""
    runbook = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
    paragraph = runbook.partition("## `prices_refused`")[2].partition("\n## ")[0]
    named = set(re.findall(r"`seawall ([a-z-]+)", paragraph.replace("\n", " ")))
    assert named >= {"exposure", "cancel-all", "halt", "parameters"} and named <= dict(COMMANDS).keys()

    async def scenario(d):
        await believed(d)
        await order(d, ALICE, "buy", PERPETUAL, 100.0, 50_000.0)
        catalogue = d.service.node.fold.engine.catalogue
        monkeypatch.setattr(catalogue, "_position_bound", lambda *given: 5)  # as if risk had grown so much
        d.venue.clock.advance(10 * SECOND)
        denied = await feed(d, 60_500.0, status=409)
        assert (denied["reason"], denied["numbers"]) == ("PUBLICATION_BOUND", [0, 10])
        assert "10 lots, open orders included" in denied["message"]
        assert (await d.get("/instruments"))["instruments"][0]["name"] == PERPETUAL
        own = (await d.get("/exposure"))["underlyings"]["BTC"]["accounts"]
        assert list(own) == ["alice"] and not own["alice"]["gross"] and own["alice"]["bids"]
        await d.post("/cancel-all", scope="instrument", name=PERPETUAL, reason="the runbook")
        assert (await feed(d, 60_500.0, after_ms=1))["published"] == ["BTC"]

    run(scenario, tmp_path)


# -- currencies that nothing listed is of ------------------------------------------------------------------------------


async def dollar(d, price, status=200):
    return await d.post("/prices", "fay", status=status, **report(d) | {"indexes": {"USDC": price}, "instruments": {}})


def rates(d, name):
    number = next(n for n, (one, _) in d.view.currencies.items() if one == name)
    return d.view.rates[number]


def test_a_stablecoin_counts_as_a_dollar_at_most_and_as_less_where_it_is_less(tmp_path):
    async def scenario(d):
        await believed(d)
        par = rates(d, "USDC")
        for absurd in (1_000.0, 1.0201, 0.0099, -1.0):
            assert (await dollar(d, absurd, 400))["field"] == "indexes.USDC"
        for price, owned, owed in ((1.02, 1.0, 1.02), (0.9, 0.9, 0.9)):
            for _ in range(2):
                await dollar(d, price)
            d.venue.clock.advance(4 * SECOND)
            await feed(d)
            gained, paid = rates(d, "USDC")
            assert gained / par[0] == pytest.approx(owned, abs=1e-5) and gained <= par[0]
            assert paid / par[1] == pytest.approx(owed, abs=1e-5)

    run(scenario, tmp_path)


def test_a_currency_alone_is_journalled_kept_by_a_restart_and_gets_old(tmp_path):
    kept = {}

    async def scenario(d):
        await believed(d)
        for _ in range(2):
            await dollar(d, 0.98)
        kinds = [(kind, data[:15]) for kind, data in journalled(d)][-1]
        assert kinds == (Kind.TIME, b'{"note":"rates"')
        await feed(d)
        d.venue.clock.advance(60 * SECOND)
        seq = d.service.node.journal.next_seq
        answer = await feed(d, status=400)
        assert answer["field"] == "indexes.USDC" and answer["value"] == "0.98" and "ms old" in answer["rule"]
        assert d.service.node.journal.next_seq == seq
        await dollar(d, 0.98)
        assert (await feed(d))["published"] == ["BTC"]
        row = (await d.post("/currencies", "olivia", name="SOL", decimals=9, reason="x"))["proposal"]
        await d.sign(row["id"], row["payload"].encode(), "rita", "carl")
        for _ in range(2):
            await d.post("/prices", "fay", **sol(d, instruments={}))
        d.venue.clock.advance(61 * SECOND)  # two are late, and neither keeps the other from being reported
        await dollar(d, 0.98)
        assert (await feed(d, status=400))["field"] == "indexes.SOL"
        await d.post("/prices", "fay", **sol(d, instruments={}))
        assert (await feed(d))["published"] == ["BTC"]
        kept["configuration"] = d.venue.configuration

    run(scenario, tmp_path)
    _, record = folded(kept["configuration"])
    assert any(b'"USDC":0.98' in note for note, _ in record.prices.values())


# -- a restart ---------------------------------------------------------------------------------------------------------


def test_what_was_carried_out_is_pending_for_no_restart(tmp_path):
    async def scenario(d):
        view = d.view
        p = {
            "account": "alice",
            "reason": "x",
            "name": PERPETUAL,
            "person": "rob",
            "key": d.people.keys["rob"].public.vkey,
        }
        samples = {
            "state": {"scope": "venue", "name": "", "state": "open"},
            "limit": {"limit": "STALE", "row": ["5", "0", "0"], "account": "", "instrument": ""},
            "rearm": {"strategy": 1},
            "deposit": {"currency": "USDC", "amount": "1"},
            "tier": {"fee_class": "futures", "tier": 0, "maker": 0, "taker": 0},
            "instrument": {"name": SOL.name, "spec": numbers(SOL), "units": units(SOL_NOTE)},
            "currency": {"name": "SOL", "decimals": 8},
            "deliver": {"price": "1"},
            "rules": {"rules": 5, "was": 4},
            "key.create": {"id": "k", "rights": {}, "addresses": [], "not_before": 0, "expires": 0},
            "key.rotate": {"id": next(iter(d.operations.registry.keys)), "overlap_s": 0},
            "operator.add": {"role": "risk", "token_sha256": "x"},
            "approver.add": {"person": "new", "role": "risk", "key": ""},
            "approvers.needed": {"needed": 2},
        }
        world = World(view, [0, 1, 2], len(view.listings), 4, d.operations.registry, 1.0, "sealed")
        deeds = [deed(world, action, p | more).acts for action, more in samples.items() if action != "approver.add"]
        kinds = {act.kind for acts in deeds if not any(act.attachment for act in acts) for act in acts}
        assert {Kind.EXPIRE, Kind.DEPOSIT, Kind.TIER, Kind.REARM, Kind.LIMIT, Kind.STATE} <= kinds
        assert SIGNING.keys() - samples.keys() <= {
            "margin", "margin.rollback", "approver.replace", "approver.remove", "break_glass.register",
        }  # fmt: skip
        for kind in kinds | {Kind.TIME}:  # of what carries an approval
            document = {"proposal": "p1", "action": "a", "parameters": {}, "proposed_by": "rita"}
            proposed = msgspec.json.encode({"note": "proposal", "payload": json.dumps(document)})
            approved = msgspec.json.encode({"note": "approval", "payload": json.dumps(document), "signatures": []})
            commands = join(command(Kind.TIME, attachment=len(proposed)), command(kind, attachment=len(approved)))
            commands["seq"] = (1, 2)
            record = Record()
            record.take(Group(commands, proposed + approved, np.zeros(0, EVENT)))
            assert not record.proposed and record.executed == {"p1": 2}, kind

    run(scenario, tmp_path)


# -- beside the loop ---------------------------------------------------------------------------------------------------


def test_a_publication_is_computed_beside_the_loop_and_outlives_a_change_of_parameters(tmp_path):
    async def scenario(d):
        await believed(d)
        prices, threads = d.operations.prices, []
        first = prices.publisher
        publish = first.publish

        def slow(*given):
            threads.append(threading.current_thread())
            prices.adopt(d.venue.configuration)  # another version takes effect meanwhile
            return publish(*given)

        first.publish = slow
        assert (await feed(d, 60_500.0))["published"] == ["BTC"]
        assert threads and threading.main_thread() not in threads and prices.publisher is not first
        assert (await feed(d, 60_500.0, after_ms=10))["published"] == ["BTC"]  # under the new ones all is due

    run(scenario, tmp_path)


def test_what_has_no_price_is_called_what_it_is(tmp_path):
    async def scenario(d):
        await listed(d)
        prices = d.operations.prices
        for time_ns, words in ((START_NS, "no price yet"), (START_NS + 2 * DAY_NS, "expired before")):
            with pytest.raises(InputError) as refused:
                prices._told(Report(0, {"SOL": 100.0}), {}, time_ns // 10**6)
            assert refused.value.field == f"instruments.{SOL.name}" and words in refused.value.rule

    run(scenario, tmp_path)
