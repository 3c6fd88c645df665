"""People change while consents wait, and while copies of the keystore lie about: what was decided last holds."""

import asyncio
import time

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from operations_venue import desk

from seawall.api.keystore import Registry
from seawall.journal.checkpoint import SigningKey


def run(scenario, folder):
    async def go():
        async with desk(folder) as d:
            await scenario(d)

    asyncio.run(go())


def test_people_stay_as_the_journal_has_them_though_an_older_keystore_comes_back(tmp_path):
    """Else whoever was revoked, or stole a key that was replaced since, is back with a file from a backup."""

    async def scenario(d):
        registry = d.operations.registry
        older = msgspec.to_builtins(registry)
        keys = {
            name: SigningKey.of(f"{name}/new", Ed25519PrivateKey.generate()) for name in ("rita", "zoe", "zed", "s")
        }
        changes = [
            ("/people", {"action": "approver.add", "person": "zoe", "role": "risk", "key": keys["zoe"].public.vkey}),
            ("/people", {"action": "approver.add", "person": "zed", "role": "risk", "key": keys["zed"].public.vkey}),
            ("/people", {"action": "approver.replace", "person": "rita", "key": keys["rita"].public.vkey}),
            ("/people", {"action": "approver.remove", "person": "rob"}),
            ("/people", {"action": "break_glass.register", "key": keys["s"].public.vkey}),
            ("/people", {"action": "operator.add", "person": "finn", "role": "auditor"}),
            ("/keys", {"action": "rotate", "id": "key-alice", "overlap_s": 0}),
            ("/parameters", {"parameter": "needed", "needed": 3}),
        ]
        for path, body in changes:
            await d.sign(*await d.propose(path, **body, reason="x"), "olivia", "carl")
        await d.post("/people", "carl", action="operator.revoke", person="dana", reason="left")
        await d.post("/people", "carl", action="operator.revoke", person="finn", reason="left")
        newer, secret = msgspec.to_builtins(registry), older["keys"]["key-alice"]["secret"]
        back = msgspec.convert(older, Registry)
        for field in Registry.__struct_fields__:
            setattr(registry, field, getattr(back, field))
        assert registry.keys["key-alice"].ends(secret) > time.time()
        type(d.operations)(d.service, d.operations.settings, d.operations.record)
        held = msgspec.to_builtins(registry)
        for field in ("operators", "approvers", "needed", "break_glass"):
            assert held[field] == newer[field], field
        assert registry.keys["key-alice"].ends(secret) <= time.time()
        await d.get("/status", "dana", status=401)

    run(scenario, tmp_path)


@pytest.mark.parametrize(("path", "earlier", "later"), [
    ("/parameters", {"parameter": "tier", "tier": 0, "fee_class": "futures", "maker": 0, "taker": 1}, {"taker": 500}),
    ("/people", {"action": "approver.replace", "person": "rob", "key": "lost"}, {"key": "new"}),
    ("/people", {"action": "break_glass.register", "key": "lost"}, {"key": "new"}),
])  # fmt: skip
def test_an_earlier_consent_does_not_undo_a_later_decision(tmp_path, path, earlier, later):
    async def scenario(d):
        keys = {
            name: SigningKey.of(f"{name}/key", Ed25519PrivateKey.generate()).public.vkey for name in ("lost", "new")
        }
        bodies = [{**earlier, "reason": "x"}, {**earlier, **later, "reason": "x"}]
        bodies = [{**body, "key": keys[body["key"]]} if "key" in body else body for body in bodies]
        first, second = [await d.propose(path, **body) for body in bodies]
        await d.sign(*second, "olivia", "carl")
        answer = await d.sign(*first, "olivia", "carl", status=400)
        assert "propose it again" in answer["rule"]

    run(scenario, tmp_path)


def test_who_was_revoked_is_not_let_in_by_an_earlier_consent(tmp_path):
    async def scenario(d):
        waits = await d.propose("/people", action="operator.add", person="dana", role="risk", reason="promoted")
        await d.post("/people", "carl", action="operator.revoke", person="dana", reason="stolen")
        answer = await d.sign(*waits, "olivia", "carl", status=400)
        assert "propose it again" in answer["rule"]

    run(scenario, tmp_path)


def test_the_number_that_is_needed_is_changed_from_what_was_signed(tmp_path):
    async def scenario(d):
        for name in ("zoe", "zed"):
            key = SigningKey.of(f"{name}/key", Ed25519PrivateKey.generate()).public.vkey
            asked = {"action": "approver.add", "person": name, "role": "risk", "key": key, "reason": "x"}
            await d.sign(*await d.propose("/people", **asked), "olivia", "carl")
        waits = await d.propose("/parameters", parameter="needed", needed=2, reason="as it is")
        await d.sign(*await d.propose("/parameters", parameter="needed", needed=3, reason="safer"), "olivia", "carl")
        answer = await d.sign(*waits, "olivia", "carl", "rita", status=400)
        assert "propose it again" in answer["rule"] and d.operations.registry.needed == 3

    run(scenario, tmp_path)


def test_a_sealed_key_is_nobodys_under_any_name_and_never_a_used_one(tmp_path):
    """It counts for all that are needed: one approver who has it registered under another name opens alone."""

    async def scenario(d):
        renamed = SigningKey.of("sealed/2027", d.people.keys["rob"].private).public.vkey
        asked = {"action": "break_glass.register", "reason": "x"}
        answer = await d.post("/people", status=400, key=renamed, **asked)
        assert answer["rule"] == "must be nobody's"
        await d.post("/halt", scope="venue", reason="drill")
        waits = await d.propose("/halt", scope="venue", state="open", reason="night")
        await d.sign(*waits, "sealed")
        await d.post("/people", action="post-mortem", reason="nobody was there")
        again = SigningKey.of("sealed/again", d.people.sealed.private).public.vkey
        for key in (again, d.people.sealed.public.vkey):
            answer = await d.post("/people", status=400, key=key, **asked)
            assert "used once" in answer["rule"]

    run(scenario, tmp_path)
