"""What people sign, and every way to have something done that enough of the right people did not sign."""

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from operations_venue import People, desk

from seawall.api.access import Access
from seawall.api.keystore import Approver, BreakGlass, Keystore, Registry
from seawall.api.operations import canonical
from seawall.api.operations.actions import check_enough
from seawall.api.operations.approvals import LIFETIME_MS, Proposals, check_approval
from seawall.api.operations.record import Record
from seawall.api.operations.roles import SIGNING
from seawall.api.operations.wording import LIMITS, words
from seawall.journal import frames
from seawall.journal.checkpoint import SigningKey
from seawall.node.node import Group
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.records import FLAG_APPROVED, Kind, Limit, Scope, VenueState

HALT = {"scope": "venue", "reason": "drill"}
LIFT = {"scope": "venue", "state": "open", "reason": "drill over"}


def run(scenario, folder, **settings):
    """A scenario with a venue of its own."""

    async def go():
        async with desk(folder, **settings) as d:
            await scenario(d)

    asyncio.run(go())


async def halted(d):
    """A halted venue, and a proposal to open it: its id and its bytes."""
    await d.post("/halt", **HALT)
    return await d.propose("/halt", **LIFT)


def journalled(d):
    """Every command of the journal with its attachment."""
    for frame in frames(d.service.node.configuration.folders):
        end = 0
        for record in frame.commands:
            start, end = end, end + int(record["attachment"])
            yield record, bytes(frame.attachments[start:end])


# -- canonical JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "text"), [
    ({"b": 1, "a": [True, False, None]}, '{"a":[true,false,null],"b":1}'),
    ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
     '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'),  # RFC 8785, 3.2.3
    ("\u20ac$\u000f\nA'B\"\\\\\"/", '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),  # RFC 8785, 3.2.2.2
    ("\b\t\n\f\r\x00\x1f\x7f\u2028", '"\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\u2028"'),
    (2**53 - 1, "9007199254740991"), (-(2**53 - 1), "-9007199254740991"), (0, "0"), ("", '""'), ({}, "{}"), ([], "[]"),
])  # fmt: skip
def test_canonical(value, text):
    assert canonical.encode(value) == text.encode()
    assert canonical.decode(text.encode()) == value


def nested(depth):
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize("value", [1.0, 0.5, float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\udfff": 1},
                                  {1: 2}, b"x", {"a": {1, 2}}, nested(34), object()])  # fmt: skip
def test_what_has_no_canonical_form_here(value):
    with pytest.raises(InputError):
        canonical.encode(value)


@pytest.mark.parametrize("text", [b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"a": 1}', b'{"b":1,"a":1}', b'"\\u0041"',
                                 b"1.0", b"-0", b"01", b"1e2", b"NaN", b"", b"{", b"\xff", b'"\\ud800"', b"null ",
                                 b"\xef\xbb\xbf1", b'"\\/"', b"9007199254740992", b"[" * 100_000])  # fmt: skip
def test_bytes_that_are_not_canonical_are_refused(text):
    with pytest.raises(InputError):
        canonical.decode(text)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_one_value_one_sequence_of_bytes(value):
    data = canonical.encode(value)
    assert canonical.decode(data) == value == json.loads(data)


# -- the rules of signatures -------------------------------------------------------------------------------------------


def test_two_people_open_what_one_person_halted(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        first = await d.sign(id_, payload, "rita")
        assert (first["proposal"]["state"], d.view.venue) == ("pending", VenueState.HALTED)
        last = await d.sign(id_, payload, "carl")
        assert (last["proposal"]["state"], d.view.venue) == ("executed", VenueState.OPEN)

    run(scenario, tmp_path)


def test_the_proposer_may_sign_and_counts_once(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)  # proposed by olivia
        answer = await d.sign(id_, payload, "olivia")
        assert answer["proposal"]["signed_by"] == ["olivia"] and d.view.venue == VenueState.HALTED
        await d.sign(id_, payload, "olivia", status=400)
        assert d.view.venue == VenueState.HALTED

    run(scenario, tmp_path)


def test_one_person_with_two_keys_counts_once(tmp_path):
    async def scenario(d):
        second = SigningKey.of("rita/second", Ed25519PrivateKey.generate())
        d.operations.registry.approvers.append(Approver("rita", "risk", second.public.vkey))
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita")
        d.people.keys["rita"] = second
        answer = await d.sign(id_, payload, "rita", status=400)
        assert answer["field"] == "person"
        assert d.view.venue == VenueState.HALTED

    run(scenario, tmp_path)


def test_a_person_cannot_be_registered_twice_nor_a_key(tmp_path):
    async def scenario(d):
        spare = SigningKey.of("spare/key", Ed25519PrivateKey.generate()).public.vkey
        used = d.people.keys["carl"].public
        renamed = SigningKey.of("other/name", d.people.keys["carl"].private).public.vkey
        sealed = d.people.sealed.public.vkey
        bad = (("rita", spare), ("break-glass", spare), *(("zoe", key) for key in (used.vkey, renamed, "junk", sealed)))
        for person, key in bad:
            body = {"action": "approver.add", "person": person, "role": "risk", "key": key, "reason": "x"}
            await d.post("/people", status=400, **body)
        await d.post("/people", status=400, action="approver.add", person="zoe", role="auditor", key=spare, reason="x")

    run(scenario, tmp_path)


def test_the_wrong_role_does_not_count(tmp_path):
    async def scenario(d):
        await d.post("/limits", "rita", limit="OPEN_ORDERS", account="alice", amount="5", reason="x")
        id_, payload = await d.propose("/limits", limit="OPEN_ORDERS", account="alice", amount="50", reason="x")
        answer = await d.sign(id_, payload, "olivia", status=400)  # an operator may propose it, and not sign it
        assert answer["field"] == "role"
        await d.sign(id_, payload, "rita", "carl")
        row = (await d.get("/parameters"))["limits"][0]
        assert row["row"][0] == "50"

    run(scenario, tmp_path)


def test_a_signature_of_altered_bytes_is_refused(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        for old, new in (
            (b'"venue"', b'"account"'),
            (b'"open"', b'"halted"'),
            (id_.encode(), b"0" * 32),
            (b"drill", b"Drill"),
        ):
            assert old in payload
            await d.sign(id_, payload.replace(old, new), "rita", status=400)
        await d.sign(id_, payload + b" ", "rita", status=400)
        assert d.alerts.counts["bad_signature"] == 5
        await d.sign(id_, payload, "rita")

    run(scenario, tmp_path)


@pytest.mark.parametrize("signature", ["", "AAAA", "!", "A" * 88, "é", base64.b64encode(bytes(64)).decode() + "\n"])
def test_a_signature_that_is_none_is_refused(tmp_path, signature):
    async def scenario(d):
        id_, _ = await halted(d)
        key = d.people.keys["rita"].public.vkey
        await d.post(f"/proposals/{id_}/signatures", status=400, key=key, signature=signature)

    run(scenario, tmp_path)


def test_a_strangers_key_is_refused(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        d.people.keys["rita"] = SigningKey.of("rita/key", Ed25519PrivateKey.generate())
        answer = await d.sign(id_, payload, "rita", status=400)
        assert answer["field"] == "key"

    run(scenario, tmp_path)


def test_signatures_of_one_proposal_are_of_no_other(tmp_path):
    async def scenario(d):
        first, payload = await halted(d)
        await d.sign(first, payload, "rita", "carl")
        second, _ = await halted(d)
        for person in ("rita", "carl"):
            given = d.people.signature(person, payload)
            await d.post(f"/proposals/{second}/signatures", status=400, **given)
            await d.post(f"/proposals/{first}/signatures", status=400, **given)  # executed: good once
        assert d.view.venue == VenueState.HALTED

    run(scenario, tmp_path)


def test_a_proposal_of_another_venue_is_not_known_here(tmp_path):
    async def elsewhere(d):
        d.elsewhere = await halted(d)
        tmp_path.joinpath("payload").write_bytes(d.elsewhere[1])

    people = People()
    run(elsewhere, tmp_path / "one", people=people)
    payload = tmp_path.joinpath("payload").read_bytes()

    async def scenario(d):
        await d.post("/halt", **HALT)
        id_ = json.loads(payload)["proposal"]
        await d.post(f"/proposals/{id_}/signatures", status=400, **d.people.signature("rita", payload))
        mine, own = await d.propose("/halt", **LIFT)
        assert json.loads(own)["venue"] != json.loads(payload)["venue"]
        await d.post(f"/proposals/{mine}/signatures", status=400, **d.people.signature("rita", payload))

    run(scenario, tmp_path / "two", people=people)


@pytest.mark.parametrize(("off_ms", "taken"), [(-1, True), (0, False), (1, False)])
def test_a_proposal_expires(tmp_path, off_ms, taken):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita")
        d.venue.clock.advance((LIFETIME_MS + off_ms) * 10**6)
        await d.sign(id_, payload, "carl", status=200 if taken else 400)
        assert d.view.venue == (VenueState.OPEN if taken else VenueState.HALTED)

    run(scenario, tmp_path)


def test_who_was_removed_meanwhile_does_not_count(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rob")
        gone, about = await d.propose("/people", action="approver.remove", person="rob", reason="left")
        await d.sign(gone, about, "rita", "carl")
        answer = await d.sign(id_, payload, "rita")
        assert (answer["proposal"]["signed_by"], d.view.venue) == (["rita"], VenueState.HALTED)
        await d.sign(id_, payload, "carl")
        assert d.view.venue == VenueState.OPEN

    run(scenario, tmp_path)


@pytest.mark.parametrize("state", ["halted", "reduce_only"])
def test_a_later_halt_is_not_lifted_by_an_earlier_consent(tmp_path, state):
    async def scenario(d):
        await d.post("/halt", scope="venue", state="reduce_only", reason="thin")
        id_, payload = await d.propose("/halt", **LIFT)
        await d.sign(id_, payload, "rita")
        await d.post("/halt", "carl", scope="venue", state=state, reason="worse")
        answer = await d.sign(id_, payload, "carl", status=400)
        assert "propose it again" in answer["rule"]
        assert d.view.venue == (VenueState.HALTED if state == "halted" else VenueState.REDUCE_ONLY)
        id_, payload = await d.propose("/halt", **LIFT)
        await d.sign(id_, payload, "rita", "carl")
        assert d.view.venue == VenueState.OPEN

    run(scenario, tmp_path)


def test_a_limit_changed_meanwhile_is_proposed_anew(tmp_path):
    async def scenario(d):
        asked = {"limit": "OPEN_ORDERS", "account": "alice", "reason": "x"}
        await d.post("/limits", "rita", amount="9", **asked)
        id_, payload = await d.propose("/limits", amount="50", **asked)
        await d.sign(id_, payload, "rita")
        await d.post("/limits", "rita", amount="1", **asked)
        await d.sign(id_, payload, "carl", status=400)
        assert (await d.get("/parameters"))["limits"][0]["row"][0] == "1"

    run(scenario, tmp_path)


def test_withdrawn_is_over(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita")
        await d.post(f"/proposals/{id_}/withdraw", "carl", reason="not yet")
        await d.sign(id_, payload, "carl", status=400)
        assert d.view.venue == VenueState.HALTED

    run(scenario, tmp_path)


@pytest.mark.parametrize("person", ["dana", "ada"])
def test_who_only_looks_neither_proposes_nor_signs(tmp_path, person):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.post("/halt", person, status=403, **LIFT)
        await d.post(f"/proposals/{id_}/signatures", person, status=403, **d.people.signature("rita", payload))
        await d.post(f"/proposals/{id_}/withdraw", person, status=403, reason="x")

    run(scenario, tmp_path)


def test_many_at_once_carry_it_out_once(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        given = [d.people.signature(person, payload) for person in ("rita", "carl", "rob", "olivia")]
        answers = await asyncio.gather(*(
            d.client.post(f"/proposals/{id_}/signatures", content=json.dumps(one), headers=d._headers("olivia"))
            for one in given
        ))  # fmt: skip
        assert sorted(one.status_code for one in answers) == [200, 200, 400, 400]
        opened = [c for c, _ in journalled(d) if c["kind"] == Kind.STATE and c["flags"] & FLAG_APPROVED]
        assert len(opened) == 1

    run(scenario, tmp_path)


def test_so_many_wait_and_no_more():
    registry = Registry()
    proposals = Proposals("v", registry)
    for _ in range(100):
        proposals.add(proposals.draft("state", {}, "olivia", 0), 0)
    with pytest.raises(InputError, match="so many wait"):
        proposals.add(proposals.draft("state", {}, "olivia", 0), 0)
    proposals.add(proposals.draft("state", {}, "olivia", LIFETIME_MS), LIFETIME_MS)
    assert len(proposals.rows) == 101


# -- what is done, and what the journal shows of it --------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_the_journal_alone_shows_who_approved_what(tmp_path, engine):
    """Both engines take the commands with their attachments; an auditor verifies the signatures from frames alone."""

    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita", "carl")
        await d.post("/limits", "rita", limit="OPEN_ORDERS", account="alice", amount="5", reason="x")
        limit, about = await d.propose("/limits", limit="OPEN_ORDERS", account="alice", amount="none", reason="x")
        await d.sign(limit, about, "rob", "carl")
        await d.post("/kill", scope="account", name="bob", reason="x")
        await d.post("/cancel-all", scope="venue", reason="x")
        assert (await d.get("/parameters"))["limits"] == []
        found = {}
        for record, data in journalled(d):
            if b'"approval"' in data:
                document, signatures = check_approval(data)
                assert record["flags"] & FLAG_APPROVED
                found[document["proposal"]] = (Kind(int(record["kind"])), [one.person for one in signatures])
        assert found == {id_: (Kind.STATE, ["rita", "carl"]), limit: (Kind.LIMIT, ["rob", "carl"])}

    run(scenario, tmp_path, engine=engine)


def test_a_forged_approval_in_a_journal_is_found(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita", "carl")
        data = next(data for _, data in journalled(d) if b'"approval"' in data)
        check_approval(data)
        note = canonical.decode(data)
        for altered in (
            note | {"payload": note["payload"].replace("drill", "Drill")},
            note | {"signatures": [note["signatures"][0] | {"key": note["signatures"][1]["key"]}]},
        ):
            with pytest.raises(InputError):
                check_approval(canonical.encode(altered))

    run(scenario, tmp_path)


def test_an_override_ends_by_itself(tmp_path):
    async def scenario(d):
        await d.post("/halt", **HALT)
        until = d.operations.now_ms + 600_000
        id_, payload = await d.propose("/halt", **LIFT, until=until)
        await d.sign(id_, payload, "rita", "carl")
        await d.operations.tick()
        assert d.view.venue == VenueState.OPEN
        assert (await d.get("/status"))["overrides"][0]["until"] == until
        d.venue.clock.advance(600_000 * 10**6)
        await d.operations.tick()
        assert d.view.venue == VenueState.HALTED
        assert d.alerts.counts["override_ended"] == 1
        row = (await d.get("/status"))["restricted"][0]
        assert row["by"] == "seawall" and id_ in row["reason"]
        await d.operations.tick()
        assert d.alerts.counts["override_ended"] == 1

    run(scenario, tmp_path)


def test_a_later_decision_takes_the_place_of_an_override(tmp_path):
    async def scenario(d):
        await d.post("/halt", **HALT)
        id_, payload = await d.propose("/halt", **LIFT, until=d.operations.now_ms + 60_000)
        await d.sign(id_, payload, "rita", "carl")
        await d.post("/halt", **HALT, state="reduce_only")
        id_, payload = await d.propose("/halt", **LIFT)
        await d.sign(id_, payload, "rita", "carl")
        d.venue.clock.advance(120 * 10**9)
        await d.operations.tick()
        assert d.view.venue == VenueState.OPEN

    run(scenario, tmp_path)


def test_a_limits_override_goes_back_to_the_row_before(tmp_path):
    async def scenario(d):
        asked = {"limit": "MESSAGES", "account": "alice", "reason": "x"}
        await d.post("/limits", "rita", amount="1000000", quantity="5", **asked)
        until = d.operations.now_ms + 60_000
        id_, payload = await d.propose("/limits", amount="1000", quantity="50", until=until, **asked)
        await d.sign(id_, payload, "rita", "carl")
        assert (await d.get("/parameters"))["limits"][0]["row"] == ["1000", "50", "0"]
        d.venue.clock.advance(60 * 10**9)
        await d.operations.tick()
        assert (await d.get("/parameters"))["limits"][0]["row"] == ["1000000", "5", "0"]

    run(scenario, tmp_path)


@pytest.mark.parametrize("until", [-5, 0, 400 * 86_400_000])
def test_an_override_ends_within_a_year_and_not_before_it_began(tmp_path, until):
    async def scenario(d):
        await d.post("/halt", **HALT)
        await d.post("/halt", status=400 if until else 200, **LIFT, until=d.operations.now_ms + until if until else 0)
        await d.post("/halt", status=400, **HALT, until=d.operations.now_ms + 1000)  # a restriction has no end

    run(scenario, tmp_path)


def test_a_restart_knows_what_waits_what_was_used_and_what_ends(tmp_path):
    people, kept = People(), {}

    async def before(d):
        await d.post("/halt", **HALT)
        until = d.operations.now_ms + 600_000
        kept["used"] = await d.propose("/halt", **LIFT, until=until)
        await d.sign(*kept["used"], "rita", "carl")
        await d.post("/halt", scope="account", name="bob", reason="x")
        kept["waits"] = await d.propose("/halt", scope="account", name="bob", state="open", reason="y")
        kept["withdrawn"] = await d.propose("/halt", scope="account", name="bob", state="open", reason="z")
        await d.post(f"/proposals/{kept['withdrawn'][0]}/withdraw", reason="no")
        kept["failed"] = await d.propose("/halt", scope="account", name="bob", state="open", reason="f")
        await d.post("/halt", scope="account", name="bob", reason="after it was proposed")
        await d.sign(*kept["failed"], "rita", "carl", status=400)
        assert (await d.get(f"/proposals/{kept['failed'][0]}"))["state"] == "failed"
        record = Record()
        folded = d.service.node.configuration
        for frame in frames(folded.folders):
            record.take(Group(frame.commands, frame.attachments, _events_of(d, frame)))
        live = d.operations.record
        assert record.executed == live.executed and kept["used"][0] in record.executed
        assert set(record.proposed) == {kept["waits"][0]} == set(live.proposed)
        assert record.overrides == live.overrides and record.states == live.states
        assert record.latest == live.latest
        again = type(d.operations)(d.service, d.operations.settings, record)
        assert set(again.proposals.rows) == {kept["waits"][0]}
        assert again.proposals.rows[kept["waits"][0]].payload == kept["waits"][1]

    run(before, tmp_path, people=people)


def _events_of(d, frame):
    """The events of a frame, folded anew."""
    from seawall.engine.reference import Reference

    if not hasattr(d, "again"):
        d.again = Reference()
    return d.again.step(frame.commands, frame.attachments)


# -- keys and people ---------------------------------------------------------------------------------------------------


def test_a_new_key_counts_from_its_approval_on(tmp_path):
    async def scenario(d):
        access = d.service.access
        made = await d.post("/keys", action="create", account="alice", name="bot", rights={"trade": "read"}, reason="x")
        with pytest.raises(Exception, match="13004"):
            access.login(made["id"], made["secret"])
        payload = made["proposal"]["payload"].encode()
        assert made["secret"].encode() not in payload
        await d.sign(made["proposal"]["id"], payload, "rita", "carl")
        assert access.login(made["id"], made["secret"]).key.rights == {"trade": "read"}
        assert d.operations.proposals.rows[made["proposal"]["id"]].sealed == ""
        assert made["secret"] not in json.dumps(await d.get("/keys"))
        for _, data in journalled(d):
            assert made["secret"].encode() not in data

    run(scenario, tmp_path)


def test_rotation_through_the_door_has_no_gap(tmp_path):
    async def scenario(d):
        access = d.service.access
        made = await d.post("/keys", action="rotate", id="key-alice", overlap_s=3600, reason="yearly")
        await d.sign(made["proposal"]["id"], made["proposal"]["payload"].encode(), "rita", "carl")
        access.login("key-alice", "secret-alice")
        access.login("key-alice", second := made["secret"])
        made = await d.post("/keys", action="rotate", id="key-alice", overlap_s=0, reason="leaked")
        await d.sign(made["proposal"]["id"], made["proposal"]["payload"].encode(), "rita", "carl")
        access.login("key-alice", made["secret"])
        for old in ("secret-alice", second):  # a leaked secret, and any before it, ends at once
            with pytest.raises(Exception, match="13004"):
                access.login("key-alice", old)

    run(scenario, tmp_path)


def test_a_secret_that_a_restart_forgot_is_proposed_anew(tmp_path):
    async def scenario(d):
        made = await d.post("/keys", action="create", account="alice", name="bot", reason="x")
        d.operations.proposals.rows[made["proposal"]["id"]].sealed = ""
        answer = await d.sign(made["proposal"]["id"], made["proposal"]["payload"].encode(), "rita", "carl", status=400)
        assert "propose it again" in answer["rule"]
        assert made["id"] not in d.operations.registry.keys

    run(scenario, tmp_path)


def test_a_lost_key_is_replaced_by_the_others(tmp_path):
    async def scenario(d):
        new = SigningKey.of("rita/new", Ed25519PrivateKey.generate())
        asked = {"action": "approver.replace", "person": "rita", "key": new.public.vkey, "reason": "lost"}
        id_, payload = await d.propose("/people", **asked)
        answer = await d.sign(id_, payload, "rita", status=400)
        assert "about themselves" in answer["rule"]
        await d.sign(id_, payload, "carl", "rob")
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita", status=400)  # the old key
        d.people.keys["rita"] = new
        await d.sign(id_, payload, "rita", "carl")
        assert d.view.venue == VenueState.OPEN

    run(scenario, tmp_path)


def test_who_signed_with_a_key_that_was_replaced_signs_anew(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita")
        new = SigningKey.of("rita/new", Ed25519PrivateKey.generate())
        asked = {"action": "approver.replace", "person": "rita", "key": new.public.vkey, "reason": "lost"}
        await d.sign(*await d.propose("/people", **asked), "carl", "rob")
        d.people.keys["rita"] = new
        answer = await d.sign(id_, payload, "rita")
        assert (answer["proposal"]["signed_by"], d.view.venue) == (["rita"], VenueState.HALTED)
        await d.sign(id_, payload, "rita", status=400)  # it counts once still
        await d.sign(id_, payload, "carl")
        assert d.view.venue == VenueState.OPEN
        _, signatures = check_approval([data for _, data in journalled(d) if b'"note":"approval"' in data][-1])
        assert {one.key for one in signatures} == {new.public.vkey, d.people.keys["carl"].public.vkey}

    run(scenario, tmp_path)


def test_enough_people_stay(tmp_path):
    async def scenario(d):
        for person in ("rob", "olivia"):
            await d.post("/people", status=200 if person == "rob" else 400, action="approver.remove", person=person,
                         reason="x")  # fmt: skip
            if person == "rob":
                row = next(iter(d.operations.proposals.rows.values()))
                await d.sign(row.id, row.payload, "rita", "carl")
        await d.post("/parameters", status=400, parameter="needed", needed=3, reason="x")
        await d.post("/parameters", status=400, parameter="needed", needed=1, reason="x")

    run(scenario, tmp_path)


def test_one_more_than_is_needed_may_change_approvers():
    two = [Approver("a", "risk", "1"), Approver("b", "compliance", "2")]
    with pytest.raises(InputError, match="3 people"):
        check_enough(two, 2)
    check_enough([*two, Approver("c", "operator", "3")], 2)


def test_the_first_approvers_are_registered_once(tmp_path):
    async def scenario(d):
        rows = [{"person": one.person, "role": one.role, "key": one.key} for one in d.operations.registry.approvers]
        await d.post("/people", status=400, action="setup", approvers=rows, reason="again")
        d.operations.registry.approvers.clear()
        d.operations.registry.break_glass = None
        await d.post("/people", status=400, action="setup", approvers=rows[:2], reason="too few")
        await d.post("/people", status=400, action="setup", approvers=[rows[0], *rows], reason="twice")
        glass = d.people.sealed.public.vkey
        asked = {"action": "setup", "break_glass": glass, "reason": "first day"}
        both = [json.dumps({**asked, "approvers": given}) for given in (rows, rows[::-1])]
        done = await asyncio.gather(*(
            d.client.post("/people", content=content, headers=d._headers("olivia")) for content in both
        ))  # fmt: skip
        codes = [answer.status_code for answer in done]  # which of them comes first is the server's business
        assert sorted(codes) == [200, 400]
        won = rows if codes[0] == 200 else rows[::-1]
        assert [one.person for one in d.operations.registry.approvers] == [row["person"] for row in won]
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rita", "carl")

    run(scenario, tmp_path)


# -- break-glass -------------------------------------------------------------------------------------------------------


def test_break_glass_opens_once_and_a_post_mortem_is_owed(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        answer = await d.sign(id_, payload, "sealed")
        assert (answer["proposal"]["signed_by"], d.view.venue) == (["break-glass"], VenueState.OPEN)
        assert d.alerts.counts["break_glass"] == 1
        assert d.alerts.ring[-1].severity == "critical"
        assert "post-mortem is owed" in (await d.get("/status"))["approvals"]["break_glass"]
        id_, payload = await halted(d)
        await d.sign(id_, payload, "sealed", status=400)
        spare = SigningKey.of("sealed/second", Ed25519PrivateKey.generate())
        renewed = {"action": "break_glass.register", "key": spare.public.vkey, "reason": "used"}
        await d.post("/people", status=400, **renewed)
        await d.post("/people", action="post-mortem", reason="the two who were there were not enough")
        id_, payload = await d.propose("/people", **renewed)
        await d.sign(id_, payload, "rita", "carl")
        assert d.operations.registry.break_glass == BreakGlass(spare.public.vkey)

    run(scenario, tmp_path)


def test_break_glass_is_for_states_alone(tmp_path):
    async def scenario(d):
        await d.post("/limits", "rita", limit="OPEN_ORDERS", account="alice", amount="5", reason="x")
        id_, payload = await d.propose("/limits", limit="OPEN_ORDERS", account="alice", amount="50", reason="x")
        await d.sign(id_, payload, "sealed", status=400)
        id_, payload = await d.propose("/people", action="approver.remove", person="rob", reason="x")
        await d.sign(id_, payload, "sealed", status=400)
        assert not d.operations.registry.break_glass.used

    run(scenario, tmp_path)


def test_the_journal_knows_a_used_break_glass_key_whatever_the_file_says(tmp_path):
    async def scenario(d):
        id_, payload = await halted(d)
        await d.sign(id_, payload, "sealed")
        d.operations.registry.break_glass.used = ""  # as from an older copy of the keystore
        again = type(d.operations)(d.service, d.operations.settings, d.operations.record)
        assert again.registry.break_glass.used == id_

    run(scenario, tmp_path)


# -- words -------------------------------------------------------------------------------------------------------------

PARAMETERS = {
    "state": {"scope": "account", "name": "alice", "state": "open", "was": "halted"},
    "limit": {"limit": "POSITION", "account": "alice", "instrument": "BTC-PERPETUAL", "row": ["7", "8"], "was": ["1"]},
    "rearm": {"account": "alice", "strategy": 7},
    "deposit": {"account": "alice", "currency": "USDC", "amount": "1234567", "coins": "12.34567"},
    "tier": {"tier": 1, "fee_class": "options", "maker": -12, "taker": 345},
    "currency": {"name": "SOL", "decimals": 8},
    "margin": {"version": 2, "base": 1, "owner": "carl", "changes": "coin_haircut = 0.4", "validated_by": "rita",
               "evidence": "sha256:ab", "impact": {"accounts": 3}, "effective": 86_400_000, "more": 1},
    "margin.rollback": {"version": 1, "was": 2},
    "deliver": {"name": "BTC-27DEC30", "price": "120000", "quoted": "60000.0", "index": "60012.5"},
    "rules": {"rules": 6, "was": 4},
    "instrument": {"name": "SOL-PERPETUAL", "spec": {"block": 3}, "units": {"base": "SOL"}},
    "key.create": {"id": "k1", "account": "alice", "name": "bot", "rights": {"trade": "read"},
                   "addresses": ["10.0.0.0/8"], "not_before": 5, "expires": 6, "secret_sha256": "ab12"},
    "key.rotate": {"id": "k1", "overlap_s": 3600, "secret_sha256": "ab12"},
    "operator.add": {"person": "zoe", "role": "auditor", "token_sha256": "ab12"},
    "approver.add": {"person": "zoe", "role": "risk", "key": "zoe+1+x"},
    "approver.replace": {"person": "zoe", "key": "zoe+1+x"},
    "approver.remove": {"person": "zoe"},
    "approvers.needed": {"needed": 3, "was": 2},
    "break_glass.register": {"key": "zoe+1+x"},
}  # fmt: skip


def payload_of(action, parameters):
    document = {"action": action, "created": 1, "expires": 2, "parameters": parameters, "proposal": "ID", "venue": "V"}
    return canonical.encode(document | {"proposed_by": "olivia"})


def test_every_action_has_words():
    assert set(PARAMETERS) == set(SIGNING)


@pytest.mark.parametrize("action", SIGNING)
@pytest.mark.parametrize("more", [{}, {"reason": "because", "until": 86_400_000, "unheard": "of"}])
def test_the_words_say_all_that_is_signed(action, more):
    """Each value, and each name that the sentence does not know, is in the words: nothing signed stays unsaid."""
    parameters = PARAMETERS[action] | more
    text = "\n".join(words(payload_of(action, parameters)))
    for name, value in parameters.items():
        if name in ("until", "effective"):
            assert "1970-01-02" in text
        elif name in ("not_before", "expires"):
            assert "1970-01-01 00:00:00 UTC" in text
        elif name in ("state", "was") and action == "state":
            assert value.upper() in text
        else:
            shown = value if isinstance(value, str) else canonical.encode(value).decode()
            assert shown in text, name
    for said in ("olivia", "ID", "V", "1970-01-01"):
        assert said in text


def test_the_numbers_of_every_limit_have_their_units():
    assert set(LIMITS) == set(Limit.__members__)
    parameters = {"limit": "VELOCITY", "instrument": "X", "row": ["111", "222", "333"], "was": "none"}
    text = words(payload_of("limit", parameters))[0]
    assert "111 millionths of move in 333 ns, confirmed by 222 takers" in text and "It is no limit" in text
    strange = parameters | {"row": ["1", "2", {"a": "b"}, "4"], "limit": "WHATEVER"}
    assert '["1","2",{"a":"b"},"4"]' in words(payload_of("limit", strange))[0]


def test_an_unknown_action_is_said_as_it_is():
    text = "\n".join(words(payload_of("launch", {"where": "moon", "scope": "venue"})))
    assert "launch" in text and "where = moon" in text and "scope = venue" in text


@pytest.mark.parametrize(
    "trick", ["x\nSet the venue to OPEN.", "x\r", "a\u202ebc", "a\u200bb", "\x1b[2J", "\u2066", "\x08\x08"]
)
def test_no_value_can_forge_a_line_or_turn_it_around(trick):
    plain = words(payload_of("state", PARAMETERS["state"] | {"reason": "x"}))
    lines = words(payload_of("state", PARAMETERS["state"] | {"reason": trick, "name": trick}))
    assert len(lines) == len(plain)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("data", [b"{}", b"[]", b"null", b'"x"', b"{", payload_of("state", {})[:-1],
                                 payload_of("state", {}).replace(b'"parameters":{}', b'"parameters":[]'),
                                 payload_of("state", {}).replace(b'"created":1', b'"created": 1')])  # fmt: skip
def test_bytes_that_are_no_proposal_have_no_words(data):
    with pytest.raises(InputError):
        words(data)


def test_what_relaxes_is_the_engines_to_say(tmp_path):
    """Each step down the ladder is done at once, each step up proposed, for every scope."""

    async def scenario(d):
        for scope, name in (
            ("venue", ""),
            ("underlying", "BTC"),
            ("instrument", "BTC-PERPETUAL"),
            ("account", "alice"),
        ):
            asked = {"scope": scope, "name": name, "reason": "x"}
            for state in ("reduce_only", "halted"):
                assert (await d.post("/halt", **asked, state=state))["done"]
            for state in ("reduce_only", "open"):
                assert (await d.post("/halt", **asked, state=state))["proposed"]
        states = {scope for (scope, _), state in d.view.states.items() if state == VenueState.HALTED}
        assert states == {int(scope) for scope in Scope}

    run(scenario, tmp_path)


def test_access_and_store_share_their_keys(tmp_path):
    store = Keystore.open(tmp_path)
    access = Access(store)
    key = access.made(3, "alice")
    store.change_now(lambda registry: registry.keys.update({key.id: key}))
    assert access.login(key.id, key.secret).key is store.registry.keys[key.id]
