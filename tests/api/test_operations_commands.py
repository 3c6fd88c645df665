"""`seawall status`, `halt`, `cancel-all`, `approve` and `bundle` against a door that listens, as people run them."""

import asyncio
import base64
import http.server
import json
import os
import sys
import tarfile
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from certificates import certificate
from granian.constants import Interfaces
from granian.server.embed import Server
from operations_venue import desk

from seawall.api.operations.app import operations_app
from seawall.api.operations.approvals import check_approval, verifies
from seawall.api.operations.people import development_people
from seawall.api.operations.record import Record
from seawall.api.operations.wording import words
from seawall.api.sockets import free_port, until_listening
from seawall.journal import frames
from seawall.node import node
from seawall.node.listening import Tls
from seawall.node.node import Group
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EVENT, RULES_FOLDED, EventKind, Kind, Scope, VenueState, command, join

LOOPBACK = "127.0.0.1"
RUN = "from seawall.cli.main import main; main()"


class Shell:
    """Runs commands with an operator's token in the environment."""

    def __init__(self, desk_, folder, url, people):
        self.desk, self.folder, self.url = desk_, folder, url
        self.tokens = {row["name"]: row["token"] for row in people}
        self.keys = {row["name"]: row["key"] for row in people if "key" in row}

    async def run(self, *arguments, by="olivia", status=0, answer="", url=None):
        """Standard output; standard error is in `err`."""
        environment = os.environ | {"SEAWALL_OPS_TOKEN": self.tokens.get(by, by), "SEAWALL_OPS_URL": url or self.url}
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, *map(str, arguments), env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await started.communicate(answer.encode())
        self.err = err.decode()
        assert started.returncode == status, (out.decode(), self.err)
        return out.decode()

    async def json(self, *arguments, **named):
        return json.loads(await self.run(*arguments, "--json", **named))


@asynccontextmanager
async def shell(folder, tls=None, backup=""):
    async with desk(folder, backup=backup) as d:
        d.operations.registry.approvers = []
        people = development_people(d.operations.store, folder / "approvers")
        port = free_port(LOOPBACK)
        server = Server(
            operations_app(d.operations), address=LOOPBACK, port=port, interface=Interfaces.ASGI, log_enabled=False,
            **(tls.server() if tls is not None else {}),
        )  # fmt: skip
        serving = asyncio.create_task(server.serve())
        await until_listening(LOOPBACK, port)
        try:
            yield Shell(d, folder, f"{'https' if tls else 'http'}://{LOOPBACK}:{port}", people)
        finally:
            server.stop()
            await serving


def run(scenario, folder, **settings):
    async def go():
        async with shell(folder, **settings) as s:
            await scenario(s)

    asyncio.run(go())


def test_from_a_halt_to_the_opening(tmp_path):
    async def scenario(s):
        assert "nothing is halted" in await s.run("status")
        out = await s.run("halt", "venue", "--reason", "drill", "--dry-run")
        assert "would be done" in out and s.desk.view.venue == VenueState.OPEN
        await s.run("halt", "venue", "--reason", "drill")
        assert s.desk.view.venue == VenueState.HALTED
        out = await s.run("status", status=1)
        assert "venue is HALTED since" in out and "by olivia: drill" in out and "reopened by 2 people's" in out
        made = await s.json("halt", "venue", "--lift", "--until", "2h", "--reason", "over")
        id_ = made["proposal"]["id"]
        assert id_ in await s.run("approve")
        key = ("--key", s.keys["rita"])
        assert "not signed" in await s.run("approve", id_, *key, answer="n\n", status=1)
        out = await s.run("approve", id_, *key, answer="y\n")
        assert "Set the WHOLE VENUE to OPEN. It is HALTED now." in out and "it is pending" in out
        await s.run("approve", id_, *key, "--yes", status=1)
        assert "counts once" in await s.run("approve", id_, *key, "--yes", status=1)
        await s.run("approve", id_, "--key", s.keys["carl"], "--yes")
        assert s.desk.view.venue == VenueState.OPEN

    run(scenario, tmp_path)


def test_newer_rules_are_proposed_signed_and_in_force(tmp_path, monkeypatch):
    newest = max(RULES_FOLDED)
    monkeypatch.setattr(node, "first_commands", lambda: join(command(Kind.OPENED), command(Kind.RULES, version=4)))

    async def scenario(s):
        assert f"rules 4 (seawall rules {newest}?)" in await s.run("status")
        await s.run("rules", newest, status=2)
        assert "--reason" in s.err
        await s.run("rules", 4, "--reason", "again", status=2)
        assert "must be newer than 4" in s.err
        dry = await s.run("rules", newest, "--reason", "edits", "--dry-run")
        assert "would be proposed" in dry and "would need 2" in dry and "seawall approve" not in dry
        id_ = (await s.json("rules", newest, "--reason", "edits"))["proposal"]["id"]
        for person in ("rita", "carl"):
            await s.run("approve", id_, "--key", s.keys[person], "--yes")
        assert f"rules {newest};" in await s.run("status")

    run(scenario, tmp_path)


def test_what_approve_showed_is_what_was_signed(tmp_path):
    """The words shown are those of the bytes it signed, and those bytes with that signature are in the journal."""

    async def scenario(s):
        await s.run("halt", "venue", "--reason", "drill")
        id_ = (await s.json("halt", "venue", "--lift", "--reason", "a\u202eb"))["proposal"]["id"]
        shown = {}
        for person in ("rita", "carl"):
            shown[person] = await s.json("approve", id_, "--key", s.keys[person], "--yes")
        notes = []
        for frame in frames(s.desk.service.node.configuration.folders):
            notes += [frame.attachments] if b'"approval"' in frame.attachments else []
        document, signatures = check_approval(notes[0])
        assert document["proposal"] == id_
        for one in signatures:
            signed = base64.b64decode(shown[one.person]["bytes"])
            assert verifies(one.key, one.signature, signed)
            assert shown[one.person]["words"] == words(signed)

    run(scenario, tmp_path)


def test_a_dry_run_of_approve_signs_nothing(tmp_path):
    async def scenario(s):
        await s.run("halt", "venue", "--reason", "drill")
        id_ = (await s.json("halt", "venue", "--lift", "--reason", "over"))["proposal"]["id"]
        for person in ("rita", "carl"):
            found = await s.json("approve", id_, "--key", s.keys[person], "--dry-run")
            assert found["signed"] is False and found["words"]
        assert s.desk.operations.proposals.rows[id_].people == []
        await s.run("approve", id_, "--key", s.keys["rita"], "--venue", "0" * 32, "--yes", status=2)
        await s.run("approve", id_, "--key", s.keys["rita"], "--venue", s.desk.operations.venue, "--yes")
        await s.run("approve", id_, "--key", s.keys["carl"], "--json", status=2)  # nothing could be asked
        await s.run("approve", "../status", "--key", s.keys["carl"], "--yes", status=2)

    run(scenario, tmp_path)


def test_a_proposal_that_has_ended_is_shown_and_not_signed(tmp_path):
    async def scenario(s):
        await s.run("halt", "venue", "--reason", "drill")
        id_ = (await s.json("halt", "venue", "--lift", "--reason", "over"))["proposal"]["id"]
        for person in ("rita", "carl"):
            await s.run("approve", id_, "--key", s.keys[person], "--yes")
        for more in (["--dry-run"], ["--key", s.keys["rita"], "--yes"]):
            out = await s.run("approve", id_, *more, status=1)
            assert "WHOLE VENUE" in out and out.splitlines()[-1] == "nothing to sign: it is executed"

    run(scenario, tmp_path)


WRONG = (
    "halt venue",
    "halt moon --reason x",
    "halt venue --lift --kill --reason x",
    "halt venue --until 2h --reason x",
    "halt venue --lift --until soon --reason x",
    "halt venue --lift --until 2026-03-02T08:00 --reason x",
    "cancel-all venue",
    "cancel-all account zoe --reason x",
    "status --url ftp://x",
    "status --url http://venue.example:1",
    "status --token-file /nowhere/at/all",
)


def test_the_other_commands(tmp_path):
    async def scenario(s):
        out = await s.run("cancel-all", "account", "alice", "--reason", "asked", "--dry-run")
        assert "would be cancelled" in out
        await s.run("cancel-all", "account", "alice", "--reason", "asked")
        await s.run("halt", "account", "bob", "--kill", "--reason", "runaway")
        assert "account bob is HALTED" in await s.run("status")
        found = await s.json("halt", "account", "bob", "--reduce-only", "--reason", "better")
        assert found["proposed"]  # that relaxes: it is not done, it is asked for
        for line in WRONG:
            await s.run(*line.split(), status=2)
        await s.run("status", by="nobody", status=1)
        await s.run("halt", "venue", "--reason", "x", by="ada", status=1)
        found = await s.json("status", url=f"http://{LOOPBACK}:{free_port(LOOPBACK)}", status=1)
        assert found["error"] == "DoorRefused"

    run(scenario, tmp_path)


def test_the_token_comes_from_a_file_and_is_in_no_answer(tmp_path):
    async def scenario(s):
        file = tmp_path / "token"
        file.write_text(s.tokens["ada"] + "\n")
        out = await s.run("status", "--token-file", file, "--json", by="")
        out += await s.run("halt", "venue", "--reason", "x", "--token-file", file, by="", status=1)
        for token in s.tokens.values():
            assert token not in out + s.err

    run(scenario, tmp_path)


# -- a door that lies --------------------------------------------------------------------------------------------------


@pytest.fixture
def lying_door():
    """A door that answers every GET with `answer`, and remembers what it was sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = json.dumps(made.answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            made.sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.do_GET()

        def log_message(self, *_):
            """Say nothing."""

    made = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
    made.sent, made.answer = [], {}
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_door_that_shows_one_thing_and_has_another_signed_gets_no_signature(tmp_path, lying_door):
    async def scenario(s):
        url = f"http://{LOOPBACK}:{lying_door.server_port}"
        await s.run("halt", "venue", "--reason", "drill")
        one, other = [
            (await s.json("halt", "venue", "--lift", "--reason", r))["proposal"] for r in ("harmless", "evil")
        ]
        good = one["payload"].encode()
        for payload in (other["payload"].encode(), good + b" ", good.replace(b"{", b"{ ", 1), b"{}", b"\xff"):
            lying_door.answer = one | {"bytes": base64.b64encode(payload).decode()}
            await s.run("approve", one["id"], "--key", s.keys["rita"], "--yes", url=url, status=2)
        assert lying_door.sent == []
        lying_door.answer = one | {"payload": other["payload"], "bytes": base64.b64encode(good).decode()}
        found = await s.run("approve", one["id"], "--key", s.keys["rita"], answer="n\n", url=url, status=1)
        assert "harmless" in found and "evil" not in found  # the words are of the bytes, whatever else it says

    run(scenario, tmp_path)


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_mutual_tls(tmp_path):
    ours, theirs = (certificate(tmp_path, name, authority=True) for name in ("ours", "theirs"))
    for name, signer in (("server", ours), ("client", ours), ("stranger", theirs)):
        certificate(tmp_path, name, signer)
    tls = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key"), str(tmp_path / "ours.pem"))
    tls.check("tls")

    async def scenario(s):
        ca = ("--ca", tmp_path / "ours.pem")
        mine = ("--cert", tmp_path / "client.pem", "--cert-key", tmp_path / "client.key")
        other = ("--cert", tmp_path / "stranger.pem", "--cert-key", tmp_path / "stranger.key")
        assert "nothing is halted" in await s.run("status", *ca, *mine)
        for wrong in (ca, (*ca, *other), mine, ("--ca", tmp_path / "theirs.pem", *mine)):
            await s.run("status", *wrong, status=1)
        await s.run("status", "--ca", tmp_path / "none.pem", status=2)
        settings = s.desk.operations.settings
        object.__setattr__(settings, "certificates", (tls.certificate,))
        s.desk.operations._certificates_at = 0
        await s.desk.operations.tick()
        assert s.desk.alerts.counts["certificate_ends"] == 1

    run(scenario, tmp_path, tls=tls)


# -- bundle ------------------------------------------------------------------------------------------------------------


def test_a_bundle_has_what_helps_and_no_secret(tmp_path):
    async def scenario(s):
        store = s.desk.operations.store.registry
        made = await s.desk.operations.propose(
            store.operators[0], "key.rotate", {"id": "key-alice", "overlap_s": 5, "reason": "x"}, sealed="sealed-secret"
        )
        assert made["proposed"]
        secrets = [*s.tokens.values(), *(key.secret for key in store.keys.values()), "sealed-secret"]
        private = Path(s.keys["rita"]).read_text()
        log = tmp_path / "venue.log"
        log.write_text(
            "2026-11-21 10:00:00 [info     ] started commands=41\n"
            + "".join(f"request Authorization: Bearer {token} done\n" for token in s.tokens.values())
            + "".join(f"key={key.id} secret={key.secret}\n" for key in store.keys.values())
            + 'body {"client_secret":"secret-bob","refresh_token":"abc123"}\n'
            + private
        )
        data = s.desk.service.node.configuration
        out = tmp_path / "case.tar.gz"
        arguments = ("bundle", data.data, "--log", log, "--out", out)
        await s.run(*arguments, "--dry-run")
        assert not out.exists()
        found = await s.json(*arguments)
        with tarfile.open(out) as archive:
            parts = {Path(one.name).name: archive.extractfile(one).read().decode() for one in archive}
        assert set(parts) == set(found["parts"]) == {
            "versions.json", "status.json", "alerts.json", "parameters.json", "people.json", "proposals.json",
            "metrics.txt", "configuration.toml", "verify.json", "log.txt",
        }  # fmt: skip
        whole = "\n".join(parts.values())
        for secret in (*secrets, "secret-bob", "abc123", *private.splitlines()[1:-1]):
            assert secret not in whole
        assert json.loads(parts["status.json"])["venue"] == s.desk.operations.venue
        assert json.loads(parts["verify.json"])["ok"] is True
        assert "started commands=41" in parts["log.txt"] and 'model = "seawall"' in parts["configuration.toml"]
        assert out.stat().st_mode & 0o077 == 0
        await s.run(*arguments, status=2)  # never over another

    run(scenario, tmp_path)


def test_a_bundle_without_a_venue_that_answers(tmp_path):
    async def scenario(s):
        out = tmp_path / "case.tar.gz"
        gone = f"http://{LOOPBACK}:{free_port(LOOPBACK)}"
        await s.run("bundle", s.desk.service.node.configuration.data, "--out", out, url=gone)
        with tarfile.open(out) as archive:
            parts = {Path(one.name).name: archive.extractfile(one).read().decode() for one in archive}
        assert "not answered" in parts["status.txt"] and json.loads(parts["verify.json"])["ok"]

    run(scenario, tmp_path)


def test_a_halt_by_a_control_tells_its_numbers():
    """Since rules 6 the event has them; before, its cause is all that is known."""
    told = []
    for price, quantity in ((10_017, 10_000), (0, 0)):
        record, events = Record(), np.zeros(1, EVENT)
        events[0] = (5, EventKind.STATE, Reason.VELOCITY, 0, 0, Scope.INSTRUMENT, 0, 3, 0, price, quantity, 2, 0)
        record.take(Group(command(Kind.ORDER, seq=5, time=10**9), b"", events))
        told.append(record.states[Scope.INSTRUMENT, 3])
    assert [(standing.state, standing.by) for standing in told] == [(VenueState.HALTED, "seawall")] * 2
    assert [standing.reason for standing in told] == [
        "velocity: the price moved 10,017 millionths in the window, the limit is 10,000", "velocity",
    ]  # fmt: skip
