"""Margin parameters as versions: every step by whom it must be, what it changes, what a restart and the venue know."""

import asyncio
import gc

import msgspec
import numpy as np
import pytest
from api_venue import ALICE, BOB, PERPETUAL, PRICE
from operations_venue import desk
from test_operations_commands import shell
from test_publish_prices import believed, feed

from seawall.api import serving
from seawall.api.commands import packed
from seawall.api.methods.account import terms
from seawall.api.operations.journalling import Act
from seawall.api.operations.operations import operation
from seawall.api.operations.parameters import Parameters, changed
from seawall.api.operations.record import Record
from seawall.api.operations.wording import words
from seawall.api.rpc import Call, parse
from seawall.journal import frames
from seawall.node import Configuration
from seawall.node.configuration import Margin
from seawall.node.node import Group
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.records import EVENT, Kind, Limit

HOUR = 3_600 * 10**9
DEARER = "coin_haircut = 0.4\n"


def run(scenario, folder, **settings):
    async def go():
        async with desk(folder, **settings) as d:
            await believed(d)
            await feed(d, eth=3_000.0)
            await feed(d, eth=3_000.0)
            await d.operations.governance.start()
            await scenario(d)

    asyncio.run(go())


async def step(d, action, by="rita", status=200, **body):
    return await d.post("/margin", by, status=status, action=action, reason="why", **body)


async def ready(d, changes=DEARER):
    """A version that is validated and whose impact is known."""
    number = (await step(d, "propose", "carl", changes=changes))["version"]
    await step(d, "validate", "rita", version=number, evidence="sha256:ab12")
    await step(d, "impact", version=number)
    return number


async def signed(d, action, *people, **body):
    answer = await step(d, action, **body)
    row = answer["proposal"]
    return await d.sign(row["id"], row["payload"].encode(), *people)


def in_force(d):
    return d.operations.governance.parameters.in_force


def test_from_a_proposal_to_the_next_publication_and_back(tmp_path):
    async def scenario(d):
        assert in_force(d) == 1
        number = await ready(d)
        haircut = d.service.node.fold.engine.book.rate_gain[0]
        answer = await signed(d, "approve", "rita", "carl", version=number)
        assert answer["proposal"]["state"] == "executed" and in_force(d) == 1
        row = (await d.get("/status"))["margin"]["waiting"][0]
        assert (row["version"], row["state"]) == (2, "approved")
        assert 23.9 * HOUR < row["effective"] * 10**6 - d.venue.clock() <= 24 * HOUR
        d.venue.clock.advance(23 * HOUR)
        await d.operations.tick()
        assert in_force(d) == 1
        d.venue.clock.advance(HOUR)
        await d.operations.tick()
        assert in_force(d) == 2 and d.alerts.counts["parameters_changed"] == 1
        assert (await d.get("/parameters"))["margin"]["coin_haircut"] == 0.4
        await feed(d)
        assert d.service.node.fold.engine.book.rate_gain[0] == int(60_000 * 10**6 * 2**20 * 0.6 / 10**8) < haircut
        await signed(d, "rollback", "rita", "carl")
        assert in_force(d) == 1
        states = {row["version"]: row["state"] for row in d.operations.governance.rows()}
        assert states == {1: "in force", 2: "rolled back"}
        await feed(d)
        assert d.service.node.fold.engine.book.rate_gain[0] == haircut
        again = Parameters()
        record = Record()
        for frame in frames(d.service.node.configuration.folders):
            record.take(Group(frame.commands, frame.attachments, np.zeros(0, EVENT)))
        again.take(record)
        known = d.operations.governance.parameters
        assert (again.versions, again.in_force) == (known.versions, known.in_force)

    run(scenario, tmp_path)


def test_clients_are_told_the_model_in_force(tmp_path):
    async def scenario(d):
        assert terms(d.service)["margin_model"] == "cross_sm"
        number = await ready(d, 'model = "seawall"\n')
        await signed(d, "approve", "rita", "carl", version=number)
        d.venue.clock.advance(24 * HOUR)
        await d.operations.tick()
        assert in_force(d) == number and terms(d.service)["margin_model"] == "cross_pm"

    run(scenario, tmp_path, margin=Margin(model="standard"))


def test_a_short_notice_takes_one_more_person(tmp_path):
    async def scenario(d):
        number = await ready(d)
        soon = d.venue.clock() // 10**6 + 1_000
        answer = await step(d, "approve", version=number, effective=soon)
        row = answer["proposal"]
        assert row["needed"] == 3
        half = await d.sign(row["id"], row["payload"].encode(), "rita", "carl")
        assert half["proposal"]["state"] == "pending"
        done = await d.sign(row["id"], row["payload"].encode(), "rob")
        assert done["proposal"]["state"] == "executed"
        d.venue.clock.advance(2 * 10**9)
        await d.operations.tick()
        assert in_force(d) == number

    run(scenario, tmp_path)


def test_a_steep_rise_takes_one_more_person_also_in_steps(tmp_path):
    """A range of 16 % to 19 %, and two days later to 22 %: neither is beyond 1.25 times, both together are."""

    async def step_to(d, percent):
        number = await ready(d, f"[published.underlyings.BTC]\nprice_range = 0.{percent}\n")
        proposal = (await step(d, "approve", version=number))["proposal"]
        return number, proposal, words(proposal["payload"].encode())

    async def scenario(d):
        await order(d, ALICE, "buy", PERPETUAL, 1_000, PRICE)
        await order(d, BOB, "sell", PERPETUAL, 1_000, PRICE)
        number, first, told = await step_to(d, 19)
        assert first["needed"] == 2 and not any("times" in line for line in told)
        await d.sign(first["id"], first["payload"].encode(), "rita", "carl")
        await hours(d, 48)
        assert in_force(d) == number
        number, second, told = await step_to(d, 22)
        assert second["needed"] == 3
        (line,) = (line for line in told if "times" in line)
        assert "would be 1.3" in line and "beyond 1.25" in line
        assert "Signatures beyond the usual, for a short notice or a steep rise: 1." in told
        half = await d.sign(second["id"], second["payload"].encode(), "rita", "carl")
        assert half["proposal"]["state"] == "pending"
        await hours(d, 121)
        number, late, _ = await step_to(d, 23)
        assert late["needed"] == 2  # five days after the first it is no part of the rise any more

    async def hours(d, count):
        d.venue.clock.advance(count * HOUR)
        await feed(d, eth=3_000.0)
        await d.operations.tick()

    run(scenario, tmp_path)


def test_a_rise_is_measured_over_a_rollback_too(tmp_path):
    """From 16 % to 12 %, back the next day, and then to 19 %: it is one and a half times what it was yesterday."""

    async def scenario(d):
        await order(d, ALICE, "buy", PERPETUAL, 1_000, PRICE)
        await order(d, BOB, "sell", PERPETUAL, 1_000, PRICE)
        needed = {}
        for percent in (12, 19):
            number = await ready(d, f"[published.underlyings.BTC]\nprice_range = 0.{percent}\n")
            row = (await step(d, "approve", version=number))["proposal"]
            needed[percent] = row["needed"], [line for line in words(row["payload"].encode()) if "times" in line]
            await d.sign(row["id"], row["payload"].encode(), "rita", "carl")
            d.venue.clock.advance(25 * HOUR)
            await feed(d, eth=3_000.0)
            await d.operations.tick()
            if percent == 12:
                assert in_force(d) == number
                await signed(d, "rollback", "rita", "carl")
        assert needed[12] == (2, []) and in_force(d) == 1
        people, (line,) = needed[19]
        assert people == 3 and "would be 1.5" in line

    run(scenario, tmp_path)


def test_an_impact_on_the_book_of_long_ago_is_run_again(tmp_path):
    """On an empty book nothing rises, and a steep rise months later would take no signature more."""

    async def scenario(d):
        number = await ready(d)
        d.venue.clock.advance(24 * HOUR + 10**6)
        answer = await step(d, "approve", status=400, version=number)
        assert (answer["field"], answer["value"]) == ("version", number) and "last 24 hours" in answer["rule"]
        await feed(d, eth=3_000.0)
        await step(d, "impact", version=number)
        assert (await step(d, "approve", version=number))["proposal"]["state"] == "pending"

    run(scenario, tmp_path)


def test_nobody_alone_changes_anything(tmp_path):
    async def scenario(d):
        number = (await step(d, "propose", "rita", changes=DEARER))["version"]
        assert (await step(d, "approve", "rita", version=number, status=400))["rule"].startswith("must be validated")
        assert (await step(d, "validate", "rita", version=number, evidence="me", status=400))["field"] == "person"
        await step(d, "validate", "carl", version=number, evidence="x", status=403)
        await step(d, "propose", "ada", changes=DEARER, status=403)
        await step(d, "propose", "fay", changes=DEARER, status=403)
        await step(d, "withdraw", "carl", version=number)
        assert (await step(d, "validate", "rita", version=number, evidence="x", status=400))["field"] == "version"
        other = (await step(d, "propose", "carl", changes=DEARER))["version"]
        await step(d, "validate", "rita", version=other, evidence=" ", status=400)
        await step(d, "validate", "rita", version=other, evidence="report 7")
        assert (await step(d, "approve", version=other, status=400))["rule"] == "must have an impact run"
        await step(d, "impact", version=other)
        row = (await step(d, "approve", version=other))["proposal"]
        await d.sign(row["id"], row["payload"].encode(), "olivia", status=400)  # operators do not sign it
        await d.sign(row["id"], row["payload"].encode(), "rita")
        await step(d, "validate", "rita", version=other, evidence="another report")
        failed = await d.sign(row["id"], row["payload"].encode(), "carl", status=400)
        assert "propose it again" in failed["rule"]
        d.venue.clock.advance(48 * HOUR)
        await d.operations.tick()
        assert in_force(d) == 1

    run(scenario, tmp_path)


def test_what_was_made_against_another_version_is_void(tmp_path):
    async def scenario(d):
        first, second = await ready(d), await ready(d, "coin_haircut = 0.3\n")
        await signed(d, "approve", "rita", "carl", version=first)
        await signed(d, "approve", "rita", "carl", version=second)
        d.venue.clock.advance(25 * HOUR)
        await d.operations.tick()
        states = {row["version"]: row["state"] for row in d.operations.governance.rows()}
        assert states == {1: "superseded", 2: "in force", 3: "void"}

    run(scenario, tmp_path)


def test_after_a_stop_what_was_to_begin_first_begins_first(tmp_path):
    """A later version may begin sooner than an earlier one, and voids it, whether the venue stood then or not."""

    async def scenario(d):
        first, second = await ready(d), await ready(d, "coin_haircut = 0.3\n")
        now = d.venue.clock() // 10**6
        for number, hours in ((first, 60), (second, 40)):
            body = {"version": number, "effective": now + hours * 3_600_000}
            await signed(d, "approve", "rita", "carl", **body)
        d.venue.clock.advance(100 * HOUR)
        await d.operations.tick()
        assert in_force(d) == second
        states = {row["version"]: row["state"] for row in d.operations.governance.rows()}
        assert states == {1: "superseded", first: "void", second: "in force"}

    run(scenario, tmp_path)


def test_what_is_approved_is_stopped_by_as_many_people(tmp_path):
    async def scenario(d):
        number = await ready(d)
        await signed(d, "approve", "rita", "carl", version=number)
        await step(d, "withdraw", version=number, status=400)
        other = (await step(d, "propose", changes="coin_haircut = 0.3"))["version"]
        await signed(d, "rollback", "rita", "carl", version=number)
        d.venue.clock.advance(48 * HOUR)
        await d.operations.tick()
        states = {row["version"]: row["state"] for row in d.operations.governance.rows()}
        assert states == {1: "in force", 2: "rolled back", other: "proposed"} and in_force(d) == 1
        await step(d, "rollback", version=number, status=400)
        await step(d, "rollback", status=400)  # the first has none before it

    run(scenario, tmp_path)


def heard(*notes):
    """What parameters make of notes, a millisecond each."""
    record, found = Record(), Parameters()
    record.margin = [(note, ["rita", "carl"], at) for at, note in enumerate(notes)]
    found.take(record)
    return found


def proposed(version, base=1, first=False):
    words = {"owner": "carl", "reason": "x", "changes": "", "margin": "{}", "by": "carl"}
    return {"action": "margin.first" if first else "margin.propose", "version": version, "base": base, **words}


def asked(action, proposal, **parameters):
    return {"action": action, "proposal": proposal, "parameters": parameters}


FIRST = proposed(1, 0, first=True)
APPROVE = asked("margin", "p1", version=2, effective=50)
BEGIN = {"action": "margin.in_force", "version": 2}
WITHDRAW = {"action": "margin.withdraw", "version": 2}
BACK = asked("margin.rollback", "p2", version=1, was=2, standing="approved")


@pytest.mark.parametrize(("notes", "states", "done"), [
    ([{**proposed(2), "owner": "ann"}, proposed(2)], {1: "in force", 2: "proposed"}, set()),
    ([proposed(2, base=0)], {1: "in force", 2: "void"}, set()),
    ([proposed(2), APPROVE, WITHDRAW], {1: "in force", 2: "approved"}, {"p1"}),
    ([proposed(2), WITHDRAW, APPROVE], {1: "in force", 2: "withdrawn"}, set()),
    ([proposed(2), WITHDRAW, APPROVE, BEGIN], {1: "in force", 2: "withdrawn"}, set()),
    ([proposed(2), BEGIN], {1: "in force", 2: "proposed"}, set()),
    ([proposed(2), proposed(3), APPROVE, BEGIN, asked("margin", "p3", version=3, effective=9)],
     {1: "superseded", 2: "in force", 3: "void"}, {"p1"}),
    ([proposed(2), APPROVE, asked("margin", "p3", version=2, effective=9)], {1: "in force", 2: "approved"}, {"p1"}),
    ([proposed(2), APPROVE, BEGIN, BEGIN], {1: "superseded", 2: "in force"}, {"p1"}),
    ([proposed(2), APPROVE, BACK], {1: "in force", 2: "rolled back"}, {"p1", "p2"}),
    ([proposed(2), APPROVE, BEGIN, BACK], {1: "superseded", 2: "in force"}, {"p1"}),
    ([proposed(2), BACK], {1: "in force", 2: "proposed"}, set()),
    ([proposed(2), WITHDRAW, {"action": "margin.validate", "version": 2, "by": "rita", "evidence": "x"}],
     {1: "in force", 2: "withdrawn"}, set()),
])  # fmt: skip
def test_what_does_not_stand_any_more_is_not_folded(notes, states, done):
    found = heard(FIRST, *notes)
    assert {row.version: row.state for row in found.versions.values()} == states
    assert found.done == done and states[found.in_force] == "in force"
    assert not found.versions[2].validated_by and found.versions[2].owner == notes[0]["owner"]


def test_what_was_to_be_stopped_before_it_began_is_not_rolled_back_once_it_did(tmp_path):
    async def scenario(d):
        number = await ready(d)
        await signed(d, "approve", "rita", "carl", version=number)
        row = (await step(d, "rollback", version=number))["proposal"]
        assert '"standing":"approved"' in row["payload"]
        assert any("which is approved" in line for line in words(row["payload"].encode()))
        d.venue.clock.advance(24 * HOUR - 60 * 10**9)
        row = (await step(d, "rollback", version=number))["proposal"]
        d.venue.clock.advance(60 * 10**9)
        await d.operations.tick()
        assert in_force(d) == number
        refused = await d.sign(row["id"], row["payload"].encode(), "rita", "carl", status=400)
        assert refused["rule"] == "must be approved; it is in force" and in_force(d) == number

    run(scenario, tmp_path)


def test_an_approval_that_came_after_a_withdrawal_says_that_it_failed(tmp_path):
    async def scenario(d):
        number = await ready(d)
        row = (await step(d, "approve", version=number))["proposal"]
        operations, world = d.operations, d.operations.writer.write

        async def overtaken(acts, note):
            if b'"note":"approval"' in note:
                await world([Act(Kind.TIME, {})], operation(None, "margin.withdraw", {"version": number}))
            return await world(acts, note)

        operations.writer.write = overtaken
        failed = await d.sign(row["id"], row["payload"].encode(), "rita", "carl", status=400)
        assert "propose it again" in failed["rule"] and operations.proposals.rows[row["id"]].state == "failed"
        assert operations.governance.rows()[0]["state"] == "withdrawn"

    run(scenario, tmp_path)


def test_two_proposals_at_once_have_two_numbers(tmp_path):
    async def scenario(d):
        both = await asyncio.gather(*(step(d, "propose", changes=f"coin_haircut = 0.{n}") for n in (3, 4)))
        assert sorted(row["version"] for row in both) == [2, 3]
        states = {row["version"]: row["changes"] for row in d.operations.governance.rows()}
        assert {states[2], states[3]} == {"coin_haircut = 0.3", "coin_haircut = 0.4"}

    run(scenario, tmp_path)


@pytest.mark.parametrize(("changes", "field"), [
    ("coin_haircut = 2.0", "margin.coin_haircut"),
    ("coin_haircut = nan", "margin.coin_haircut"),
    ('model = "guess"', "margin.model"),
    ("hairct = 0.1", "margin.hairct"),
    ("coin_haircut = ", "changes"),
    ("", "changes"),
    ("coin_haircut = 0.1", "changes"),
    ("# " + "x" * 20_001, "changes"),
])  # fmt: skip
def test_bad_changes_are_refused_by_name(tmp_path, changes, field):
    async def scenario(d):
        seq = d.service.node.journal.next_seq
        assert (await step(d, "propose", changes=changes, status=400))["field"] == field
        assert d.service.node.journal.next_seq == seq

    run(scenario, tmp_path)


def test_changes_replace_settings_and_keep_the_others():
    margin = changed(Margin(), "coin_markup = 0.2\n[standard]\noption_initial_ppm = 200000\n")
    assert (margin.coin_markup, margin.coin_haircut) == (0.2, 0.1)
    assert margin.standard.option_initial_ppm == 200_000 and margin.standard.schedules == Margin().standard.schedules
    with pytest.raises(InputError):
        changed(Margin(), "[standard]\noption_initial_ppm = -1\n")


async def order(d, account, side, name, amount, price):
    answers = []
    call = Call(d.venue.session(account), 1, lambda document, _: answers.append(document))
    params = {"instrument_name": name, "amount": amount, "price": price}
    d.service.serve(call, parse(msgspec.json.encode({"method": f"private/{side}", "id": 1, "params": params})))
    while not answers:
        await asyncio.sleep(0.002)
    assert b'"result"' in answers[0], answers


def test_the_impact_is_what_the_engine_asks_and_changes_nothing(tmp_path):
    """Under the same parameters both sides are the engine's own numbers, of positions and open orders."""

    async def scenario(d):
        engine = d.service.node.fold.engine
        number = (await step(d, "propose", changes=DEARER))["version"]
        seen = await d.operations.writer.look(lambda: {a: engine.account_view(a) for a in (ALICE, BOB)})
        seq = d.service.node.journal.next_seq
        found = (await step(d, "impact", version=number, dry_run=True))["impact"]
        assert d.service.node.journal.next_seq == seq
        assert found["accounts"] == 3
        assert found["initial"][0] == str(sum(row["initial"] for row in seen.values())) != "0"
        assert found["maintenance"][0] == str(sum(row["maintenance"] for row in seen.values()))
        for row in found["worst"]:
            if row["account"] == "alice":
                assert row["excess"][0] == str(seen[ALICE]["equity"] - seen[ALICE]["initial"])
                assert int(row["excess"][1]) < int(row["excess"][0])
        assert found["below_initial"] == [0, 0]
        excesses = [int(row["excess"][1]) for row in found["worst"]]
        assert excesses == sorted(excesses) and len(excesses) == 3

    async def traded(d):
        orders = ((PERPETUAL, PRICE, 1_000), (PERPETUAL, PRICE - 500, 5_000), ("ETH-PERPETUAL", 2_900, 700))
        for name, price, amount in orders:
            await order(d, ALICE, "buy", name, amount, price)
        await order(d, BOB, "sell", PERPETUAL, 600, PRICE)
        await feed(d, eth=3_000.0)
        await scenario(d)

    run(traded, tmp_path)


def test_the_file_does_not_change_what_the_journal_has(tmp_path):
    async def scenario(d):
        assert in_force(d) == 1
        await d.operations.governance.start()
        assert not d.alerts.counts["parameters_differ"]
        governance = d.operations.governance
        governance.configuration = msgspec.structs.replace(governance.configuration, margin=Margin(coin_haircut=0.2))
        await governance.start()
        assert d.alerts.counts["parameters_differ"] == 1 and governance.margin.coin_haircut == 0.1

    run(scenario, tmp_path)


def test_the_shell_shows_and_asks_for_every_step(tmp_path):
    async def scenario():
        async with shell(tmp_path) as s:
            s.desk.people.tokens = s.tokens
            await believed(s.desk)
            await feed(s.desk, eth=3_000.0)
            await feed(s.desk, eth=3_000.0)
            await s.desk.operations.governance.start()
            file = tmp_path / "dearer.toml"
            file.write_text(DEARER)
            asked = ("--reason", "coverage")
            made = await s.json("parameters", "propose", "--changes", file, *asked, by="carl")
            assert made["version"] == 2
            validate = ("parameters", "validate", 2, "--evidence", "report 7", *asked)
            assert "no right to validate" in await s.run(*validate, by="carl", status=1)
            await s.run(*validate, by="rita")
            out = await s.run("parameters", "impact", 2, *asked, by="rita")
            assert "initial margin of 3 accounts: 0.00 USD before, 0.00 USD after" in out and "alice: excess" in out
            out = await s.run("parameters", "approve", 2, *asked, by="rita")
            assert "Let version 2 of the margin parameters take effect" in out and "It needs 2 signatures" in out
            out = await s.run("parameters")
            assert "version 1 is in force" in out and "validated by rita: report 7" in out
            assert "version 2 is proposed" in await s.run("status")

    asyncio.run(scenario())


def test_a_start_journals_the_first_version_and_the_limit_of_age_once(tmp_path, monkeypatch):
    async def started(stricter=0, **margin):
        settings = {"data": str(tmp_path / "venue"), "engine": "reference", "margin": margin}
        venue = serving.Venue(Configuration.of(settings | {"trading": {"port": 0}, "operations": {"port": 0}}))
        await venue.start()
        if stricter:
            fields = {"state": Limit.STALE, "account": -1, "instrument": -1, "amount": stricter}
            await venue.service.write(packed(Kind.LIMIT, **fields))
        limits = dict(venue.node.fold.engine.catalogue.limits)
        seq = venue.node.journal.next_seq
        await venue.stop()
        return venue.operations, limits[Limit.STALE, -1, -1].amount, seq

    async def scenario():
        first, age, seq = await started()
        assert first.governance.parameters.in_force == 1 and age == 60 * 10**9
        again, age, later = await started()
        assert again.governance.margin == first.governance.margin and age == 60 * 10**9
        assert later - seq == 2  # CLOSED, OPENED, and nothing of ours
        _, age, _ = await started(stricter=10**9)
        assert age == 10**9
        edited, age, _ = await started(coin_haircut=0.01)
        assert age == 10**9
        assert edited.alerts.counts["parameters_differ"] == 1 and edited.governance.margin.coin_haircut == 0.1
        assert edited.prices.margin.coin_haircut == 0.1

    monkeypatch.setattr(serving, "_collect_rarely", gc.enable)
    asyncio.run(scenario())
