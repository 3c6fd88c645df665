"""The operations door: who may do what, what it says at 3 a.m., and what strangers get from it."""

import ast
import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from api_venue import ALICE, PERPETUAL
from operations_venue import APPROVERS, ROLES, desk

from seawall.api.keystore import Keystore, token_hash
from seawall.api.operations.alerts import KINDS
from seawall.api.operations.app import ANYBODY, HANDLERS
from seawall.api.operations.backup import back_up
from seawall.api.operations.disk_time import DiskTime, days_left
from seawall.api.operations.people import development_people, first_operator
from seawall.api.operations.roles import RIGHTS, SIGNING
from seawall.cli.redaction import GONE, redacted, redacted_value
from seawall.journal import restore, verify
from seawall.journal.checkpoint import SigningKey
from seawall.node import replay
from seawall.node.listening import Tls, check_listening
from seawall.vocabulary.errors import ConfigurationError, OutcomeUnknown
from seawall.vocabulary.records import VenueState

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

CHANGES = {
    "/halt": {"scope": "venue"},
    "/kill": {"scope": "account", "name": "alice"},
    "/cancel-all": {"scope": "instrument", "name": PERPETUAL},
    "/limits": {"limit": "OPEN_ORDERS", "account": "alice", "amount": "5"},
    "/accounts": {"action": "create", "name": "zoe"},
    "/instruments": {
        "name": "SOL-PERPETUAL",
        "spec": {"product": 1, "form": 1, "currency": 2, "block": 9, "multiplier": 5, "price_min": 1,
                 "price_max": 1000, "quantity_max": 1000},
        "units": {"kind": "future", "type": "linear", "base": "SOL", "counter": "USDC", "quote": "USDC",
                  "settlement": "USDC", "index": "sol_usdc", "period": "perpetual", "tick": [1, 2], "lot": [1, 10],
                  "delivery_tick": [1, 2], "contract_size": "0.1"},
    },
    "/currencies": {"name": "SOL", "decimals": 8},
    "/deliveries": {"name": PERPETUAL, "price": "100"},
    "/margin": {"action": "propose", "changes": "coin_haircut = 0.4"},
    "/keys": {"action": "revoke", "id": "key-bob"},
    "/parameters": {"parameter": "tier", "tier": 0, "fee_class": "futures", "maker": 1, "taker": 2},
    "/people": {"action": "operator.revoke", "person": "dana"},
    "/backup": {},
}  # fmt: skip


DEPOSIT = {"action": "deposit", "name": "bob", "currency": "USDC", "reason": "x"}


def run(scenario, folder, **settings):
    async def go():
        async with desk(folder, **settings) as d:
            await scenario(d)

    asyncio.run(go())


def handlers():
    """Path, method and right of every handler."""
    for handler in HANDLERS:
        for path in handler.paths:
            for method in handler.http_methods:
                if method in ("GET", "POST"):
                    yield re.sub(r"\{.*?\}", "some", path), method, handler.opt.get("right")


# -- rights ------------------------------------------------------------------------------------------------------------


def test_every_path_names_a_right_that_somebody_has():
    named = set().union(*RIGHTS.values()) | {ANYBODY}
    assert {right for _, _, right in handlers()} <= named
    assert {path for path, _, right in handlers() if right == ANYBODY} == {"/health", "/ready"}
    assert all(right != "look" for _, method, right in handlers() if method == "POST")


def test_without_a_token_nothing_but_health(tmp_path):
    async def scenario(d):
        for path, method, right in handlers():
            wanted = {200} if right == ANYBODY else {401, 429}
            for headers in (
                {},
                {"authorization": "Bearer x"},
                {"authorization": "Basic b2xpdmlhOng="},
                {"authorization": "é"},
            ):
                raw = {name: value.encode() for name, value in headers.items()}
                answer = await d.client.request(method, path, headers=raw)
                assert answer.status_code in wanted, (path, headers)

    run(scenario, tmp_path)


@pytest.mark.parametrize("person", ROLES)
def test_every_role_may_do_what_its_row_says_and_no_more(tmp_path, person):
    async def scenario(d):
        seq = d.service.node.journal.next_seq
        for path, method, right in handlers():
            allowed = right == ANYBODY or right in RIGHTS[ROLES[person]]
            body = "{}" if method == "POST" else ""
            answer = await d.client.request(method, path, headers=d._headers(person), content=body)
            assert (answer.status_code != 403) == allowed, (path, answer.text)
            assert answer.status_code < 500
        assert d.service.node.journal.next_seq == seq

    run(scenario, tmp_path)


def test_a_revoked_token_is_nobodys(tmp_path):
    async def scenario(d):
        await d.get("/status", "dana")
        await d.post("/people", "carl", action="operator.revoke", person="dana", reason="left")
        await d.get("/status", "dana", status=401)

    run(scenario, tmp_path)


def test_only_an_operator_asks_for_keys_but_others_revoke(tmp_path):
    async def scenario(d):
        await d.post("/keys", "rita", status=403, action="create", account="alice", name="x", reason="x")
        cut = []
        object.__setattr__(d.operations.settings, "cut", cut.append)
        await d.post("/keys", "rita", action="revoke", id="key-alice", reason="stolen")
        assert cut == ["key-alice"]
        assert not d.service.access.keys["key-alice"].enabled
        identity = d.venue.identity(ALICE)
        assert identity.until == 0.0

    run(scenario, tmp_path)


def test_a_key_stays_revoked_though_an_older_keystore_comes_back(tmp_path):
    async def scenario(d):
        await d.post("/keys", "rita", action="revoke", id="key-alice", reason="stolen")
        keys = d.service.access.keys
        keys["key-alice"].revoked = False  # as a file that could not be written, or one from a backup, has it
        type(d.operations)(d.service, d.operations.settings, d.operations.record)
        assert (keys["key-alice"].enabled, keys["key-bob"].enabled) == (False, True)

    run(scenario, tmp_path)


def test_bad_tokens_are_told_to_wait(tmp_path):
    async def scenario(d):
        codes = []
        for number in range(25):
            answer = await d.client.get("/status", headers={"authorization": f"Bearer {number}"})
            codes.append(answer.status_code)
        assert codes == [401] * 20 + [429] * 5
        assert d.alerts.counts["failed_logins"] == 5
        await d.get("/status")  # whoever has a token is not locked out

    run(scenario, tmp_path)


def test_the_document_has_the_table_of_rights():
    page = (DOCS / "operations.md").read_text()
    head = re.search(r"^\| right \| .*$", page, re.MULTILINE).group()
    roles = [cell.strip() for cell in head.split("|")[3:-1]]
    assert roles == list(ROLES.values()) == list(RIGHTS)
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 8 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = {role for role, cell in zip(roles, cells[2:], strict=True) if cell == "yes"}
    assert rows == {right: {role for role in roles if right in RIGHTS[role]} for right in set().union(*RIGHTS.values())}


def test_the_document_has_the_paths_and_whose_signatures_count():
    page = (DOCS / "operations.md").read_text()
    for path, method, _ in handlers():
        documented = path.replace("some", "ID")
        assert f"`{method} {documented}`" in page or f"{documented}`" in page or f"`{method} {documented}" in page, path
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 2:
            for action in re.findall(r"`([\w.]+)`", cells[0]):
                rows[action] = frozenset(cells[1].split(", "))
    assert {action: rows[action] for action in SIGNING} == SIGNING


# -- what it does ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHANGES)
def test_a_dry_run_changes_nothing(tmp_path, path):
    async def scenario(d):
        def standing():
            return repr([d.operations.store.registry.operators, d.service.access.keys["key-bob"].revoked])

        before = standing()
        seq = d.service.node.journal.next_seq
        answer = await d.post(path, **CHANGES[path], reason="x", dry_run=True)
        assert answer["dry_run"] is True
        assert d.service.node.journal.next_seq == seq and not d.operations.proposals.rows
        assert standing() == before
        assert not (tmp_path / "backup").exists()

    run(scenario, tmp_path, backup=str(tmp_path / "backup"))


def test_each_path_that_changes_something_has_a_dry_run_that_is_tested():
    """But a signature, which says no more than it signs; prices are below, and so is a withdrawal."""
    posts = {path for path, method, _ in handlers() if method == "POST"}
    elsewhere = {"/prices", "/proposals/some/signatures", "/proposals/some/withdraw"}
    assert posts == set(CHANGES) | elsewhere


def test_a_dry_run_of_a_withdrawal_leaves_the_proposal_pending(tmp_path):
    async def scenario(d):
        id_, _ = await d.propose("/accounts", **DEPOSIT, amount="1")
        seq = d.service.node.journal.next_seq
        answer = await d.post(f"/proposals/{id_}/withdraw", reason="x", dry_run=True)
        assert answer["dry_run"] is True and answer["proposal"]["state"] == "pending"
        assert d.service.node.journal.next_seq == seq
        assert (await d.get(f"/proposals/{id_}"))["state"] == "pending"
        await d.post(f"/proposals/{id_}/withdraw", reason="x")
        assert (await d.get(f"/proposals/{id_}"))["state"] == "withdrawn"
        await d.post(f"/proposals/{id_}/withdraw", reason="x", dry_run=True, status=400)

    run(scenario, tmp_path)


@pytest.mark.parametrize("path", CHANGES)
def test_every_change_is_journalled_under_a_name_with_a_reason(tmp_path, path):
    async def scenario(d):
        await d.post(path, **CHANGES[path], status=400)  # no reason given
        await d.post(path, **CHANGES[path], reason="because of that")
        last = d.operations.record.latest[-1]
        assert (last["by"], last["reason"]) == ("olivia", "because of that")

    run(scenario, tmp_path, backup=str(tmp_path / "backup"))


def test_a_halt_stops_orders_and_lets_cancels_through(tmp_path):
    async def scenario(d):
        orders = []
        for price in (50_000, 51_000):
            params = {"instrument_name": PERPETUAL, "amount": 10, "price": price}
            orders.append((await trade(d, "private/buy", **params))["result"]["order"]["order_id"])
        await d.post("/halt", scope="underlying", name="BTC", reason="x")
        refused = await trade(d, "private/buy", instrument_name=PERPETUAL, amount=10, price=50_000)
        assert refused["error"]["data"]["control"] == "INSTRUMENT_HALTED"
        assert "result" in await trade(d, "private/cancel", order_id=orders[0])
        answer = await d.post("/cancel-all", scope="underlying", name="BTC", reason="x")
        assert answer["orders"] == 1
        assert not d.view.client(ALICE).open

    run(scenario, tmp_path)


async def trade(d, method, **params):
    """A request of alice's over the trading door."""
    import msgspec

    from seawall.api.rpc import Call, parse

    answers = []
    call = Call(d.venue.session(ALICE), 1, lambda document, _: answers.append(msgspec.json.decode(document)))
    d.service.serve(call, parse(msgspec.json.encode({"method": method, "id": 1, "params": params})))
    for _ in range(2_000):
        if answers:
            return answers[0]
        await asyncio.sleep(0.002)
    raise AssertionError("not answered")


def test_the_kill_switch_halts_and_cancels_in_one_command(tmp_path):
    async def scenario(d):
        await trade(d, "private/buy", instrument_name=PERPETUAL, amount=10, price=50_000)
        before = d.service.node.journal.next_seq
        answer = await d.post("/kill", "rita", scope="account", name="alice", reason="runaway")
        assert (answer["orders"], d.service.node.journal.next_seq) == (1, before + 1)
        assert not d.view.client(ALICE).open
        assert d.alerts.ring[-1].kind == "killed" and d.alerts.ring[-1].facts["by"] == "rita"
        row = (await d.get("/status"))["restricted"][0]
        assert (row["scope"], row["name"], row["state"], row["by"], row["reason"]) == (
            "account", "alice", "halted", "rita", "runaway",
        )  # fmt: skip

    run(scenario, tmp_path)


def test_limits_tighten_at_once_and_relax_by_proposal(tmp_path):
    async def scenario(d):
        asked = {"limit": "OPEN_ORDERS", "account": "alice", "reason": "x"}
        assert (await d.post("/limits", "rita", amount="5", **asked))["done"]
        assert (await d.post("/limits", "rita", amount="1", **asked))["done"]
        assert (await d.post("/limits", "rita", amount="2", **asked))["proposed"]
        assert (await d.post("/limits", "rita", amount="none", **asked))["proposed"]
        await d.post("/limits", "rita", status=400, limit="NOTHING", amount="1", reason="x")
        await d.post("/limits", "rita", status=400, limit="OPEN_ORDERS", amount="1", reason="x")
        await d.post("/limits", "rita", status=409, limit="FORBIDDEN", account="alice", amount="99", reason="x")

    run(scenario, tmp_path)


def test_what_is_proposed_is_done_as_proposed(tmp_path):
    async def scenario(d):
        id_, payload = await d.propose("/accounts", **DEPOSIT, amount="700")
        before = await trade_balance(d, "bob")
        await d.sign(id_, payload, "rita", "carl")
        assert await trade_balance(d, "bob") == before + 700
        id_, payload = await d.propose("/parameters", **CHANGES["/parameters"], reason="x")
        await d.sign(id_, payload, "rita", "carl")
        assert (await d.get("/parameters"))["tiers"][0] == {"tier": 0, "fee_class": "futures", "maker": 1, "taker": 2}
        id_, payload = await d.propose("/instruments", **CHANGES["/instruments"], reason="x")
        await d.sign(id_, payload, "rita", "carl")
        assert d.view.by_name["SOL-PERPETUAL"].amount(10) == 1.0
        made = await d.post("/people", action="operator.add", person="zoe", role="auditor", reason="x")
        d.people.tokens["zoe"] = made["token"]
        await d.get("/status", "zoe", status=401)
        await d.sign(made["proposal"]["id"], made["proposal"]["payload"].encode(), "rita", "carl")
        await d.get("/status", "zoe")
        answer = await d.post("/accounts", action="create", name="zoe", reason="x")
        assert d.view.client(answer["account"]).name == "zoe"
        await d.post("/accounts", action="create", name="zoe", reason="x", status=400)

    run(scenario, tmp_path)


async def trade_balance(d, name):
    engine = d.service.node.fold.engine
    number = next(number for number, client in d.view.clients.items() if client.name == name)
    return await d.operations.writer.look(lambda: engine.accounts[number].balance[2])


def test_what_the_engine_refuses_is_said_with_its_numbers(tmp_path):
    async def scenario(d):
        answer = await d.post("/parameters", status=409, parameter="rearm", account="alice", strategy=99, reason="x")
        assert answer["reason"] == "LIMIT_VALUE" and len(answer["numbers"]) == 2
        id_, payload = await d.propose("/accounts", **DEPOSIT, amount=str(2**62))
        answer = await d.sign(id_, payload, "rita", "carl", status=409)
        assert answer["error"] == "denied"
        row = (await d.get("/proposals"))["proposals"][0]
        assert row["state"] == "failed" and row["outcome"]

    run(scenario, tmp_path)


# -- what it says ------------------------------------------------------------------------------------------------------


def test_status_when_the_writer_is_dead(tmp_path):
    async def scenario(d):
        d.service.sequencer.dead = OutcomeUnknown("the disk is gone")
        found = await d.get("/status")
        assert found["writer"] == "the disk is gone"
        assert found["restricted"][0]["state"] == "dead" and "start again" in found["restricted"][0]["reopens"]
        assert (await d.client.get("/health")).status_code == 503
        assert (await d.client.get("/ready")).status_code == 503
        await d.post("/halt", status=503, scope="venue", reason="x")
        await d.operations.tick()
        assert d.alerts.counts["dead_writer"] == 1
        d.service.sequencer.dead = None

    run(scenario, tmp_path)


def test_a_look_that_fails_fails_for_who_asked_alone(tmp_path):
    async def scenario(d):
        with pytest.raises(KeyError, match="nobody"):
            await d.operations.writer.look(lambda: {}["nobody"])
        assert await d.operations.writer.look(lambda: "seen") == "seen"

    run(scenario, tmp_path)


def test_status_when_the_writer_does_not_answer(tmp_path, monkeypatch):
    async def scenario(d):
        monkeypatch.setattr(d.service.sequencer, "look", lambda *_: None)
        monkeypatch.setattr("seawall.api.operations.journalling.LOOK_S", 0.05)
        d.operations.writer.look.__func__.__defaults__ = (0.05,)
        try:
            found = await d.get("/status")
            await d.operations.tick()
        finally:
            d.operations.writer.look.__func__.__defaults__ = (2.0,)
        assert "not answered" in found["writer"] and found["venue"] == d.operations.venue
        assert d.alerts.counts["writer_silent"] == 1
        monkeypatch.undo()

    run(scenario, tmp_path)


def test_status_names_what_is_halted_and_what_reopens_it(tmp_path):
    async def scenario(d):
        assert (await d.get("/status"))["restricted"] == []
        await d.post("/halt", "carl", scope="underlying", name="BTC", reason="index looks wrong")
        await d.post("/halt", "rita", scope="instrument", name="ETH-PERPETUAL", state="reduce_only", reason="thin")
        rows = {row["name"]: row for row in (await d.get("/status"))["restricted"]}
        assert set(rows) == {"BTC", "ETH-PERPETUAL"}
        assert rows["BTC"] | {"since": 0} == {
            "scope": "underlying", "name": "BTC", "state": "halted", "since": 0, "by": "carl",
            "reason": "index looks wrong",
            "reopens": "2 people's approval: seawall halt underlying BTC --lift, then seawall approve",
        }  # fmt: skip
        assert rows["BTC"]["since"] == d.operations.now_ms
        assert rows["ETH-PERPETUAL"]["state"] == "reduce_only"

    run(scenario, tmp_path)


def test_metrics_are_prometheus_text(tmp_path):
    async def scenario(d):
        await d.post("/halt", scope="venue", reason="x")
        d.alerts.tell("shedding", waiting=5)
        answer = await d.client.get("/metrics", headers=d._headers("ada"))
        figures = dict(re.findall(r"^(seawall_[\w{}=\",/.-]+) (\S+)$", answer.text, re.MULTILINE))
        assert float(figures["seawall_venue_state"]) == VenueState.HALTED
        assert float(figures['seawall_alerts_total{kind="shedding"}']) == 1
        assert float(figures['seawall_alerts_total{kind="killed"}']) == 0
        again = await d.client.get("/metrics", headers=d._headers("ada"))
        assert 'seawall_alerts_total{kind="shedding"} 1.0' in again.text

    run(scenario, tmp_path)


def test_no_answer_has_a_secret(tmp_path):
    async def scenario(d):
        for path, method, right in handlers():
            if method == "GET" and right != ANYBODY:
                text = (await d.client.get(path, headers=d._headers("ada"))).text
                for secret in [*d.people.tokens.values(), *(f"secret-{name}" for name in ("alice", "bob", "carol"))]:
                    assert secret not in text, path

    run(scenario, tmp_path)


def test_no_log_has_a_secret(tmp_path, capsys):
    async def scenario(d):
        made = await d.post("/keys", action="create", account="alice", name="bot", reason="x")
        d.made = made["secret"]
        for headers in (d._headers("olivia"), {"authorization": "Bearer my-wrong-token"}):
            await d.client.post("/halt", headers=headers, content='{"scope": "token-of-olivia"')
            await d.client.get("/nowhere/token-of-olivia", headers=headers)
        for _ in range(30):
            await d.client.get("/status", headers={"authorization": "Bearer my-wrong-token"})
        out = capsys.readouterr()
        for secret in ("my-wrong-token", "token-of-olivia", made["secret"], "secret-alice"):
            assert secret not in out.out + out.err

    run(scenario, tmp_path)


# -- strangers ---------------------------------------------------------------------------------------------------------

HOSTILE = [
    *("", "null", "[]", '"x"', "{", "{}", "1", "[" * 5_000, "\xff\xfe", '{"scope":1}', '{"scope":null}'),
    '{"scope":"venue","state":[]}',
    '{"scope":"venue","until":1e999}',
    '{"scope":"venue","until":9223372036854775808}',
    '{"scope":"venue","until":-1}',
    '{"scope":"venue","reason":"\\ud800"}',
    '{"scope":"\\u0000","reason":"x"}',
    '{"scope":"account","name":"٣","reason":"x"}',
    '{"scope":"account","name":"' + "9" * 400 + '","reason":"x"}',
    '{"scope":"account","name":"2","reason":"x"}',
    '{"scope":"account","name":"-1","reason":"x"}',
    '{"scope":"venue","name":"x","reason":"x"}',
    '{"scope":"venue","reason":"' + "x" * 2_000 + '"}',
    '{"scope":"venue","dry_run":"yes","reason":"x"}',
    '{"limit":"POSITION","account":"alice","amount":"1","reason":"x"}',
    '{"limit":"ORDER_QUANTITY","amount":"' + "9" * 99 + '"}',
    '{"action":"create","name":"","reason":"x"}',
    '{"action":"create","account":"alice","rights":{"x":"y"},"reason":"x"}',
    '{"action":"create","account":"alice","name":"x","not_before":-9223372036854775808,"addresses":["x"],"reason":"x"}',
    '{"action":"create","account":"alice","name":"x","expires":9223372036854775807,"reason":"x"}',
    '{"action":"rotate","id":"key-alice","overlap_s":-1,"reason":"x"}',
    '{"action":"approver.add","person":"x","reason":"x"}',
    '{"action":"setup","approvers":[{}],"reason":"x"}',
    '{"parameter":"tier","tier":9223372036854775807,"reason":"x"}',
    '{"parameter":"needed","needed":-9223372036854775808,"reason":"x"}',
    '{"name":"X","spec":{"product":99},"units":{},"reason":"x"}',
    '{"name":"X","spec":{},"units":{"a":1.5},"reason":"x"}',
    '{"key":"x","signature":"y"}',
    '{"action":"deposit","name":"alice","currency":"USDC","amount":"-5","reason":"x"}',
    '{"action":"deposit","name":"alice","currency":"DOGE","amount":"5","reason":"x"}',
]


def test_strangers_and_fools_get_errors_not_effects(tmp_path):
    async def scenario(d):
        seq, venue = d.service.node.journal.next_seq, d.view.venue
        for path, method, _ in handlers():
            if method != "POST":
                continue
            for body in HOSTILE:
                content = body.encode("latin-1") if body == "\xff\xfe" else body.encode()
                answer = await d.client.post(path, headers=d._headers("olivia"), content=content)
                if answer.status_code == 200:
                    assert answer.json().get("dry_run") is True or path == "/backup", (path, body, answer.text)
                assert answer.status_code < 500, (path, body, answer.text)
                assert answer.json(), path
        assert (d.view.venue, d.operations.proposals.rows) == (venue, {})
        assert d.service.node.journal.next_seq == seq

    run(scenario, tmp_path)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404), ("GET", "/status/", 200), ("GET", "/status/x", 404), ("DELETE", "/keys", 405),
    ("PUT", "/halt", 405),
    ("GET", "/proposals/" + "x" * 500, 400), ("GET", "/proposals/%00", 400), ("GET", "/alerts?since=x", 400),
    ("GET", "/alerts?severity=Critical", 400), ("GET", "/alerts?severity=critical", 200),
    ("GET", "/alerts?since=-99999999999999999999", 200), ("GET", "/halt", 405), ("GET", "/schema", 404),
])  # fmt: skip
def test_other_paths(tmp_path, method, path, status):
    async def scenario(d):
        answer = await d.client.request(method, path, headers=d._headers("olivia"))
        assert answer.status_code == status, answer.text
        assert answer.json()

    run(scenario, tmp_path)


def test_a_body_beyond_the_bound_is_refused(tmp_path):
    async def scenario(d):
        body = b'{"scope":"' + b"x" * 200_000 + b'"}'
        answer = await d.client.post("/halt", headers=d._headers("olivia"), content=body)
        assert answer.status_code == 413

    run(scenario, tmp_path)


# -- alerts ------------------------------------------------------------------------------------------------------------


def test_the_runbook_has_a_paragraph_for_each_alert():
    parts = re.split(r"^## ", (DOCS / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    found = {part.partition("\n")[0].strip("`"): part.partition("\n")[2].strip() for part in parts}
    assert set(found) == set(KINDS)
    for kind, text in found.items():
        assert text.lower().startswith(KINDS[kind].severity + "."), kind
        assert len(text) > 150 and "\n\n" not in text, kind


def test_every_alert_that_code_raises_is_in_the_table():
    raised = set()
    for path in (ROOT / "src" / "seawall").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "tell":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    raised.add(first.value)
    assert raised <= set(KINDS)
    assert {"dead_writer", "disk_time", "break_glass", "failed_logins", "killed"} <= raised


def test_how_long_a_disk_lasts(tmp_path):
    disks = DiskTime([tmp_path])
    assert disks.left() == []
    disks.add(tmp_path, 0, 10 * 2**30)
    assert disks.left()[0].hours is None  # nothing is known after no time
    disks.add(tmp_path, 1_800, 9 * 2**30)
    assert disks.left()[0] == (str(tmp_path), 9 * 2**30, 2 * 2**30, 4.5)
    disks.add(tmp_path, 3_600, 11 * 2**30)
    assert disks.left()[0].hours is None
    disks.sample(8_000)
    assert len(disks._samples[tmp_path]) == 1


def test_a_disk_that_is_gone_hides_no_other(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    disks = DiskTime([here, there])
    disks.add(here, 0, 10 * 2**30)
    with pytest.raises(OSError, match="here"):
        disks.sample(1)
    assert [left.folder for left in disks.left()] == [str(there)]


def test_time_brings_its_alerts(tmp_path, monkeypatch):
    async def scenario(d):
        d.venue.publish()
        await d.operations.tick()
        assert not any(d.alerts.counts.values())
        d.venue.clock.advance(61 * 10**9)
        await d.operations.tick()
        assert d.alerts.counts["publisher_late"] == 1
        d.venue.publish()
        monkeypatch.setattr(d.service, "clock_ms", lambda: d.venue.clock() // 10**6 - 5_000)
        await d.operations.tick()
        assert d.alerts.counts["clock_back"] == 1
        monkeypatch.undo()
        full = shutil._ntuple_diskusage(9, 8, 1)
        monkeypatch.setattr("seawall.api.operations.disk_time.shutil.disk_usage", lambda _: full)
        await d.operations.tick()
        assert d.alerts.counts["disk_time"] > 0

    run(scenario, tmp_path)


def test_a_start_tells_what_it_found(tmp_path):
    async def crashed(d):
        d.service.sequencer.stop()
        d.service.node.journal.close()
        d.service.node.stop = lambda: None

    run(crashed, tmp_path)
    page = tmp_path / "journal" / "b"
    segment = next(one for one in sorted(page.iterdir()) if one.stat().st_size > 2**16)
    with segment.open("r+b") as file:
        file.seek(4096 + 100)
        file.write(b"rot")

    from seawall.api.operations.operations import Operations, Settings
    from seawall.api.operations.record import Record
    from seawall.api.service import Service
    from seawall.api.view import View
    from seawall.node import Configuration, Node

    settings = {"data": str(tmp_path / "journal"), "engine": "reference", "segment_bytes": 1 << 20}
    node = Node.start(Configuration.of(settings), lambda: 1_772_438_500 * 10**9)
    operations = Operations(Service(node, View(), print), Settings(), Record())
    assert [one.kind for one in operations.alerts.ring] == ["copy_repaired", "unclean_start"]
    node.stop()


# -- listening, backup, people -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("door", ["trading", "operations"])
def test_loopback_needs_nothing(host, door):
    check_listening(door, host, False, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "venue.example", "localhost.example",
                                 "::ffff:10.0.0.1", "2130706433", "0"])  # fmt: skip
def test_beyond_loopback_there_must_be_tls_and_operations_must_be_mutual(host):
    for door in ("trading", "operations"):
        with pytest.raises(ConfigurationError, match=f"{door}.host"):
            check_listening(door, host, False, False)
    check_listening("trading", host, True, False)
    with pytest.raises(ConfigurationError, match="client_ca"):
        check_listening("operations", host, True, False)
    check_listening("operations", host, True, True)


def test_tls_settings_go_together(tmp_path):
    key = tmp_path / "key.pem"
    key.touch(0o600)
    for bad in (Tls("a", ""), Tls("", "b"), Tls("", "", "c"), Tls(str(key), str(tmp_path / "none"))):
        with pytest.raises(ConfigurationError):
            bad.check("tls")
    good = Tls(str(key), str(key), str(key))
    good.check("tls")
    assert good.mutual and good.server()["ssl_client_verify"] and not Tls().server()
    key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod"):
        good.check("tls")


def test_a_certificate_that_cannot_be_read_has_ended(tmp_path):
    (tmp_path / "junk.pem").write_text("x")
    files = (str(tmp_path / "junk.pem"), str(tmp_path / "none.pem"))
    assert [days for _, days in days_left(files, 0)] == [-1, -1]


def test_a_backup_of_a_running_venue_restores_to_the_frame_it_names(tmp_path):
    target = tmp_path / "backup"

    async def scenario(d):
        for round_ in range(3):
            await d.post("/halt", scope="venue", reason="x" * 400, state="halted" if round_ else "reduce_only")
            done = await d.post("/backup", reason="hourly")
        folders = d.service.node.configuration.folders
        for _ in range(12):  # enough for several segments
            await d.operations.writer.write(_ballast(), b"{}")
        done = await d.post("/backup", reason="hourly")
        assert done["closed"] and done["seq"] >= done["frame"] > 4
        await d.post("/halt", scope="account", name="bob", reason="behind the backup")
        copies = tmp_path / "restored" / "a", tmp_path / "restored" / "b"
        checked = restore([target, target / "open"], copies)
        assert checked.ok and (checked.frames, checked.commands) == (done["frame"], done["seq"])
        assert verify(copies).ok
        original = replay(folders, "reference")
        assert original.conserved and original.last_frame > done["frame"]
        result = replay(copies, "reference")
        assert (result.last_frame, result.conserved) == (done["frame"], True)
        again = back_up(folders, target)
        assert not again.closed and again.frame > done["frame"]

    run(scenario, tmp_path, backup=str(target), segment_bytes=64 * 4096)


def _ballast():
    from seawall.api.operations.journalling import Act
    from seawall.vocabulary.records import Kind

    return [Act(Kind.TIME, {}, b"x" * 50_000)]


def test_there_is_a_first_operator_where_there_is_none(tmp_path):
    store = Keystore.open(tmp_path)
    file = first_operator(store, tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert token_hash(file.read_text().strip()) == store.registry.operators[0].token
    assert first_operator(Keystore.open(tmp_path), tmp_path) is None
    store.registry.operators[0].revoked = True
    again = first_operator(store, tmp_path).read_text()  # the last token was revoked: whoever has the machine goes on
    assert [token_hash(again.strip())] == [one.token for one in store.registry.operators if not one.revoked]


def test_development_people_keep_their_keys(tmp_path):
    store = Keystore.open(tmp_path)
    first = development_people(store, tmp_path / "approvers")
    assert {row["name"]: row["role"] for row in first} == ROLES
    approvers = [(one.person, one.role) for one in store.registry.approvers]
    assert dict(approvers) == APPROVERS
    again = Keystore.open(tmp_path)
    second = development_people(again, tmp_path / "approvers")
    assert again.registry.approvers == store.registry.approvers
    assert not {row["token"] for row in first} & {row["token"] for row in second}
    files = {row["key"] for row in first if "key" in row}
    for file in files:
        key = SigningKey.read(Path(file))
        assert key.public.vkey in [one.key for one in store.registry.approvers]


# -- redaction ---------------------------------------------------------------------------------------------------------

SECRETS = {
    'secret = "hunter2"': "hunter2",
    "client_secret=hunter2 next=1": "hunter2",
    '{"access_token":"abc","x":1}': "abc",
    "passphrase: 'open sesame'": "open sesame",
    "Authorization: Bearer abc.def": "abc.def",
    "authorization: deri-hmac-sha256 id=a,ts=1,sig=0011,nonce=x": "0011",
    "https://user:pa55@host/x": "pa55",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----": "MC4CAQ",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQ": "MC4CAQ",
    "found 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b in it": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "x Zk3_Yw-Hq81mN0pRsTuVwXyZ1234 y": "Zk3_Yw-Hq81mN0pRsTuVwXyZ1234",
    'API_KEY="k1"': "k1",
}


@pytest.mark.parametrize("text", SECRETS)
def test_redaction_takes_secrets_out(text):
    assert SECRETS[text] not in redacted(text)
    assert GONE in redacted(text)


@pytest.mark.parametrize("text", ["2026-11-21 10:31:57 [info] started commands=1234 data=/var/lib/seawall/a",
                                 "seawall_journal_seq 46.0", "orders 1,234,567 in BTC_USDC-PERPETUAL", ""])  # fmt: skip
def test_redaction_leaves_the_rest(text):
    assert redacted(text) == text


def test_redaction_of_documents():
    found = redacted_value({"token": "a", "deep": [{"secret": "b", "name": "known"}], "keys": [{"id": "k"}]}, ["known"])
    assert found == {"token": GONE, "deep": [{"secret": GONE, "name": GONE}], "keys": [{"id": "k"}]}


def test_help_stays_quick():
    """No command brings litestar, cryptography or an engine along before it is run."""
    code = "import sys; from seawall.cli.main import app; print([m for m in sys.modules if m.split('.')[0] in " \
           "('litestar', 'cryptography', 'numpy', 'http', 'ssl', 'granian', 'prometheus_client')])"  # fmt: skip
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert found.stdout.strip() == "[]"
