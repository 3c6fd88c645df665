"""Keys, tokens and signatures of the trading door: what lets somebody in, and what ends it at once."""

import asyncio
import base64
import hashlib
import hmac
import os
import time

import pytest
from api_venue import ALICE, BOB, Venue

from seawall.api import access as access_module
from seawall.api.access import SESSIONS_MAX, TOKENS_MAX, WINDOW_MS, Access, Failures, Scope, host_of
from seawall.api.credentials import from_header
from seawall.api.errors import RpcError
from seawall.api.keystore import KEY_NAME, STORE_NAME, Key, Keystore, Operator
from seawall.api.rates import Rates
from seawall.api.rpc import Call, parse
from seawall.api.session import Session
from seawall.api.web import Asked
from seawall.node.configuration import Rate
from seawall.node.configuration import Rates as Limits
from seawall.vocabulary.errors import InputError, JournalError

NOW = 1_772_438_400_000
FULL = {"account": "read_write", "trade": "read_write", "wallet": "read_write"}


@pytest.fixture
def venue(tmp_path):
    made = Venue(tmp_path, options=False, days=0)
    yield made
    made.stop()


@pytest.fixture
def access():
    made = Access()
    made.keys["id"] = Key("id", "secret", ALICE, "alice", dict(FULL))
    return made


def sign(secret, text):
    data = text if isinstance(text, bytes) else text.encode()
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def code(call, *arguments, **named):
    """The code of the error that a call must raise."""
    with pytest.raises(RpcError) as caught:
        call(*arguments, **named)
    return caught.value.code


def auth(venue, socket=None, **params):
    params = {"grant_type": "client_credentials", "client_id": "key-alice", "client_secret": "secret-alice"} | params
    return socket.request("public/auth", **params) if socket else venue.call("public/auth", **params)


# -- secrets and signatures --------------------------------------------------------------------------------------------


def test_a_secret_lets_in_and_nothing_else_does(access):
    assert access.login("id", "secret").key.account == ALICE
    for id_, secret in (("id", "Secret"), ("id", ""), ("", ""), ("di", "secret"), ("id", "secret\0"), ("id", "é")):
        assert code(access.login, id_, secret) == 13004


def test_an_empty_secret_never_fits_a_key_that_has_none(access):
    access.keys["blank"] = Key("blank", "", BOB)
    assert code(access.login, "blank", "") == 13004
    assert code(access.signed, "blank", str(NOW), b"x", sign("", b"x"), NOW) == 13004


def test_a_signature_is_over_the_bytes_as_they_came(access):
    message = b"%d\nn\nPOST\n/api/v2\n\xff\xfe{\x00\n" % NOW
    good = sign("secret", message)
    assert access.signed("id", str(NOW), message, good.upper(), NOW).key.id == "id"
    assert code(access.signed, "id", str(NOW), message.replace(b"\xff", b"\xef\xbf\xbd"), good, NOW) == 13004


@pytest.mark.parametrize(("off", "taken"), [(WINDOW_MS, True), (-WINDOW_MS, True), (WINDOW_MS + 1, False),
                                           (-WINDOW_MS - 1, False)])  # fmt: skip
def test_the_clock_may_be_a_minute_off(access, off, taken):
    stamp = str(NOW + off)
    message = f"{stamp}\nn\n".encode()
    if taken:
        access.signed("id", stamp, message, sign("secret", message), NOW)
    else:
        assert code(access.signed, "id", stamp, message, sign("secret", message), NOW) == 13004


@pytest.mark.parametrize("stamp", ["", "x", "-1", "²", "1e3", "9" * 30, "١٢٣", " 1"])
def test_a_timestamp_that_is_no_number_is_refused(access, stamp):
    message = f"{stamp}\nn\n".encode()
    assert code(access.signed, "id", stamp, message, sign("secret", message), NOW) == 13004


def test_exact_repetition_is_refused_where_something_changes(access):
    message = f"{NOW}\nn\n".encode()
    good = sign("secret", message)
    for _ in range(3):
        access.signed("id", str(NOW), message, good, NOW, changes=False)
    access.signed("id", str(NOW), message, good, NOW)
    assert code(access.signed, "id", str(NOW), message, good, NOW) == 13004
    assert (
        code(access.signed, "id", str(NOW), message, good.upper(), NOW + WINDOW_MS) == 13004
    )  # other letters, same text
    other = f"{NOW}\nm\n".encode()
    access.signed("id", str(NOW), other, sign("secret", other), NOW)


def test_remembered_signatures_are_bounded_and_the_oldest_are_forgotten(access, monkeypatch):
    monkeypatch.setattr(access_module, "SIGNATURES_MAX", 100)

    def send(number, now):
        message = f"{now}\n{number}\n".encode()
        access.signed("id", str(now), message, sign("secret", message), now)

    for number in range(100):
        send(number, NOW)
    assert code(send, 100, NOW) == 10028  # fails closed: what cannot be remembered could be repeated
    send(100, NOW + WINDOW_MS + 1)
    assert len(access._signatures["id"]) == 1


def test_what_was_signed_before_the_start_changes_nothing_after_it(access):
    access.started_ms = NOW
    message = f"{NOW - 1}\nn\n".encode()
    assert code(access.signed, "id", str(NOW - 1), message, sign("secret", message), NOW + 5) == 10040
    access.signed("id", str(NOW - 1), message, sign("secret", message), NOW + 5, changes=False)


class Scoped(Asked):
    """A request as it came, without the server that took it."""

    def __init__(self, authorization, path="/api/v2/private/buy", query="", method="GET", client="127.0.0.1:5"):
        self.headers = {"authorization": authorization}
        self.path, self.query_string, self.method, self.client = path, query, method, client


def header(secret, stamp, request, body=b"", nonce="n", order="id,ts,sig,nonce", sep=","):
    text = f"{stamp}\n{nonce}\n{request.method}\n{request.target}\n".encode() + body + b"\n"
    fields = {"id": "key-alice", "ts": str(stamp), "sig": sign(secret, text), "nonce": nonce}
    return "deri-hmac-sha256 " + sep.join(f"{name}={fields[name]}" for name in order.split(","))


@pytest.mark.parametrize("order", ["id,ts,sig,nonce", "id,ts,nonce,sig", "sig,nonce,ts,id"])
@pytest.mark.parametrize("sep", [",", ", "])
def test_the_header_in_any_order_over_raw_target_and_body(venue, order, sep):
    now = venue.clock() // 10**6
    request = Scoped("", query="label=a%20b%2Fc&amount=10", method="POST")
    body = b'{"\xff'
    request.headers["authorization"] = header("secret-alice", now, request, body, order=order, sep=sep)
    assert from_header(venue.service, request, body, "private/buy", {}).account == ALICE
    request.query_string = "label=a+b%2Fc&amount=10"  # the same to a parser, other bytes
    with pytest.raises(RpcError):
        from_header(venue.service, request, body, "private/buy", {})


def test_repetition_over_http_is_refused_for_what_trades_only(venue):
    now = venue.clock() // 10**6
    request = Scoped("")
    request.headers["authorization"] = header("secret-alice", now, request)
    for name in ("private/get_open_orders", "private/get_open_orders", "private/buy"):
        assert from_header(venue.service, request, b"", name, {}).account == ALICE
    assert code(from_header, venue.service, request, b"", "private/buy", {}) == 13004


def test_a_signed_request_that_was_overheard_logs_nobody_in(venue):
    """Its bytes are those of a login whose `data` is the rest of the request; a handshake's are a login as they are."""
    now, request = venue.clock() // 10**6, Scoped("")
    text = f"{now}\nn\n{request.method}\n{request.target}\n\n"
    given = {"client_id": "key-alice", "timestamp": now, "signature": sign("secret-alice", text)}
    for nonce, data in (("n", text.split("\n", 2)[2]), (text.split("\n", 1)[1][:-1], "")):
        answer = venue.call("public/auth", grant_type="client_signature", nonce=nonce, data=data, **given)
        assert (answer["error"]["code"], "line breaks" in answer["error"]["data"]["reason"]) == (-32602, True)
    request.headers["authorization"] = header("secret-alice", now, request)
    assert from_header(venue.service, request, b"", "", {}).account == ALICE
    assert code(from_header, venue.service, request, b"", "", {}) == 13004


@pytest.mark.parametrize("token", [5, [], {}, True])
def test_a_token_that_is_no_text_is_a_wrong_parameter_and_no_defect(venue, token):
    for name in ("public/get_time", "private/get_positions"):
        error = venue.call(name, access_token=token)["error"]
        assert (error["code"], error["data"]["param"]) == (-32602, "access_token")
    assert venue.call("public/get_time", access_token=None)["result"]
    assert venue.call("private/get_positions", access_token=None)["error"]["code"] == 13009


def test_basic_and_bearer(venue):
    good = base64.b64encode(b"key-alice:secret-alice").decode()
    assert from_header(venue.service, Scoped(f"Basic {good}"), b"", "x", {}).account == ALICE
    token = auth(venue)["result"]["access_token"]
    assert from_header(venue.service, Scoped(f"bEaReR {token}"), b"", "x", {}).account == ALICE
    assert from_header(venue.service, Scoped(""), b"", "x", {"access_token": token}).account == ALICE
    assert from_header(venue.service, Scoped(""), b"", "x", {}) is None
    for bad in ("Basic !!", "Basic /////w==", f"Basic {base64.b64encode(b'key-alice').decode()}"):
        assert code(from_header, venue.service, Scoped(bad), b"", "x", {}) == 13004
    assert code(from_header, venue.service, Scoped("Bearer x"), b"", "x", {}) == 13009


@pytest.mark.parametrize("junk", ["deri-hmac-sha256", "deri-hmac-sha256 ", "deri-hmac-sha256 =,=,=",
                                 "deri-hmac-sha256 id",
                                 "deri-hmac-sha256 id=key-alice,ts=\u00b2,sig=\ud800,nonce=\n"])  # fmt: skip
def test_a_broken_header_is_an_error_of_credentials(venue, junk):
    assert code(from_header, venue.service, Scoped(junk), b"", "private/buy", {}) == 13004


# -- public/auth -------------------------------------------------------------------------------------------------------


def test_auth_answers_with_all_that_clients_need(venue):
    result = auth(venue, state="mark")["result"]
    assert isinstance(result["access_token"], str) and isinstance(result["refresh_token"], str)
    assert (result["expires_in"], result["token_type"], result["enabled_features"]) == (900, "bearer", [])
    assert (result["state"], result["scope"].split()[:2]) == ("mark", ["connection", "mainaccount"])


def test_a_signature_logs_a_connection_in(venue):
    socket, stamp = venue.socket(), venue.clock() // 10**6
    given = {"client_id": "key-bob", "timestamp": stamp, "nonce": "n", "data": ""}
    given["signature"] = sign("secret-bob", f"{stamp}\nn\n")
    answer = socket.request("public/auth", grant_type="client_signature", **given)
    assert "access_token" in answer["result"]
    assert socket.session.identity.account == BOB
    again = venue.socket().request("public/auth", grant_type="client_signature", **given)
    assert again["error"]["code"] == 13004  # who overheard it gets nothing


@pytest.mark.parametrize(("params", "wanted"), [
    ({"client_secret": "wrong"}, 13004),
    ({"client_id": "nobody"}, 13004),
    ({"client_id": ""}, -32602),
    ({"grant_type": "password"}, -32602),
    ({"grant_type": "refresh_token"}, -32602),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, 13009),
    ({"grant_type": "client_signature", "timestamp": NOW}, -32602),
    ({"grant_type": "client_signature", "timestamp": "\ufeff1", "signature": "0"}, 13004),
])  # fmt: skip
def test_auth_refuses(venue, params, wanted):
    assert auth(venue, **params)["error"]["code"] == wanted


def test_a_refresh_token_is_good_once_and_never_widens(venue):
    first = auth(venue, scope="trade:read")["result"]
    second = auth(venue, grant_type="refresh_token", refresh_token=first["refresh_token"], scope="trade:read_write")
    assert second["result"]["scope"] == "connection mainaccount trade:read"
    again = auth(venue, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (again["error"]["code"], again["error"]["data"]["reason"]) == (13009, "invalid_token")


@pytest.mark.parametrize(("text", "rights"), [
    ("", None),
    ("connection mainaccount nonsense trade:everything trade", None),
    ("trade:read", {"trade:read"}),
    ("trade:read_write account:none", {"trade:read", "trade:read_write"}),
    ("trade:none", set()),
])  # fmt: skip
def test_scopes(text, rights):
    assert Scope.parse(text).rights == (None if rights is None else frozenset(rights))


def test_scope_words():
    scope = Scope.parse("session:my-bot expires:60 ip:10.0.0.1 expires:x expires:-1 session: trade:read")
    assert (scope.session, scope.lifetime_s, scope.address) == ("my-bot", 60, "10.0.0.1")


def test_a_key_gives_no_more_than_it_has(access):
    access.keys["id"].rights = {"trade": "read", "account": "read_write", "wallet": "none"}
    identity = access.identity(access.login("id", "secret"), "trade:read_write wallet:read account:read")
    assert identity.rights == {"trade:read", "account:read"}


def test_a_narrowed_token_reads_and_does_not_trade(venue):
    token = auth(venue, scope="trade:read")["result"]["access_token"]
    asked = {"access_token": token, "instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 50_000}
    assert venue.call("private/buy", **asked)["error"]["code"] == 13021


def test_a_token_ends_when_it_was_asked_to(access):
    identity = access.identity(access.login("id", "secret"), "expires:5", now=1_000)
    token = access.issue(identity)["access_token"]
    identity.ends = 1_005
    assert access.bearer(token, 1_004).account == ALICE
    assert code(access.bearer, token, 1_006) == 13009


def test_a_login_for_another_address_logs_nobody_in(venue):
    socket = venue.socket()
    assert auth(venue, socket, scope="ip:10.0.0.1")["error"]["code"] == 13009
    assert socket.session.identity is None
    assert "result" in auth(venue, socket, scope="ip:127.0.0.1")


def test_a_token_for_an_address_is_good_from_there(access):
    token = access.issue(access.identity(access.login("id", "secret"), "ip:10.1.2.0/24"))["access_token"]
    assert access.bearer(token, time.time(), "10.1.2.3:1234").account == ALICE
    assert code(access.bearer, token, time.time(), "10.1.3.3:1234") == 13009
    assert code(access.bearer, token, time.time()) == 13009
    refresh = access.issue(access.identity(access.login("id", "secret"), "ip:10.1.2.0/24"))["refresh_token"]
    assert code(access.refresh, refresh, time.time(), "", "10.1.3.3:1234") == 13009
    wide = access.refresh(refresh, time.time(), "ip:0.0.0.0/0", "10.1.2.3:1")  # who is let in opens no other door
    token = access.issue(wide)["access_token"]
    assert access.bearer(token, time.time(), "10.1.2.3:1").account == ALICE
    assert code(access.bearer, token, time.time(), "10.1.3.3:1") == 13009
    nowhere = access.issue(access.identity(access.login("id", "secret"), "ip:somewhere"))["access_token"]
    assert code(access.bearer, nowhere, time.time(), "10.1.2.3:1") == 13009


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_connections_token_dies_with_its_socket_a_sessions_does_not(venue):
    access = venue.service.access
    for scope, survives in (("", False), ("session:bot", True)):
        socket = venue.socket()
        token = auth(venue, socket, scope=scope)["result"]["access_token"]
        assert access.bearer(token, time.time()).account == ALICE
        socket.session.close(1000, "gone")
        if survives:
            assert access.bearer(token, time.time()).session == "bot"
        else:
            assert code(access.bearer, token, time.time()) == 13009


def test_a_connection_stays_logged_in_when_its_token_ends(venue):
    socket = venue.socket()
    auth(venue, socket)
    assert socket.session.identity.until > time.time() + 86_400
    auth(venue, socket, scope="expires:30")
    assert socket.session.identity.until < time.time() + 31


def test_sessions_of_a_key_are_counted(venue):
    for number in range(SESSIONS_MAX):
        assert "result" in auth(venue, scope=f"session:s{number}")
    assert "result" in auth(venue, scope="session:s3")
    error = auth(venue, scope="session:one-more")["error"]
    assert (error["code"], error["message"]) == (12003, "login_over_limit")


def test_fork_and_exchange(venue):
    alone = auth(venue)["result"]["refresh_token"]
    assert venue.call("public/fork_token", refresh_token=alone, session_name="b")["error"]["code"] == 13021
    named = auth(venue, scope="session:a trade:read")["result"]["refresh_token"]
    forked = venue.call("public/fork_token", refresh_token=named, session_name="b")["result"]
    assert forked["scope"] == "session:b mainaccount trade:read"
    assert "result" in venue.call("public/fork_token", refresh_token=named, session_name="c")  # it stays
    assert venue.call("public/fork_token", refresh_token=named, session_name="b c")["error"]["code"] == -32602
    assert venue.call("public/exchange_token", refresh_token=named, subject_id=BOB)["error"]["code"] == 13021
    assert "result" in venue.call("public/exchange_token", refresh_token=named, subject_id=ALICE)
    assert venue.call("public/exchange_token", refresh_token=named, subject_id=ALICE)["error"]["code"] == 13009


def test_logout_closes_without_an_answer_and_ends_the_tokens(venue):
    socket = venue.socket()
    token = auth(venue, socket)["result"]["access_token"]
    sent = []
    venue.service.serve(
        Call(socket.session, 1, lambda *answer: sent.append(answer)), parse(b'{"method":"private/logout"}')
    )
    assert not sent
    assert socket.session.logged_out and socket.session.closing == (1000, "logged out")
    assert code(venue.service.access.bearer, token, time.time()) == 13009
    assert venue.call("private/logout", ALICE)["error"]["code"] == 10030


def test_logout_ends_the_tokens_of_a_named_session_too(venue):
    socket = venue.socket()
    result = auth(venue, socket, scope="session:bot")["result"]
    venue.service.serve(Call(socket.session, 1, lambda *_: None), parse(b'{"method":"private/logout"}'))
    assert code(venue.service.access.bearer, result["access_token"], time.time()) == 13009
    assert code(venue.service.access.refresh, result["refresh_token"], time.time()) == 13009


def test_logout_may_leave_the_tokens(venue):
    socket = venue.socket()
    token = auth(venue, socket, scope="session:stays")["result"]["access_token"]
    request = parse(b'{"method":"private/logout","params":{"invalidate_token":false}}')
    venue.service.serve(Call(socket.session, 1, lambda *_: None), request)
    assert venue.service.access.bearer(token, time.time()).account == ALICE


# -- keys --------------------------------------------------------------------------------------------------------------


def test_revocation_holds_from_the_next_command_on_also_on_open_sockets(venue):
    socket = venue.socket()
    result = auth(venue, socket)["result"]
    order = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 50_000}
    assert "result" in socket.request("private/buy", **order)
    venue.keys[ALICE].revoked = True
    for answer in (
        socket.request("private/buy", **order),
        venue.call("private/buy", access_token=result["access_token"], **order),
        auth(venue, grant_type="refresh_token", refresh_token=result["refresh_token"]),
    ):
        assert (answer["error"]["code"], answer["error"]["data"]["reason"]) == (13009, "invalid_token")
    assert auth(venue)["error"]["code"] == 13004


def test_rotation_leaves_no_gap_and_ends(access):
    """Both secrets are good for the overlap; then the old one is not, nor what was got with it."""
    key = access.keys["id"]
    old = access.issue(access.identity(access.login("id", "secret")))["access_token"]
    key.before.append(access_module.Superseded("secret", time.time() + 60))
    key.secret = "newer"
    new = access.issue(access.identity(access.login("id", "newer")))["access_token"]
    access.login("id", "secret")
    message = f"{NOW}\nn\n".encode()
    access.signed("id", str(NOW), message, sign("secret", message), NOW)
    assert access.bearer(old, time.time()).account == ALICE
    key.before[0].ends = time.time() - 1
    assert code(access.login, "id", "secret") == 13004
    assert code(access.bearer, old, time.time()) == 13009
    assert access.bearer(new, time.time()).account == ALICE


@pytest.mark.parametrize(("first", "last", "good"), [(-10, 10, True), (10, 20, False), (-20, -10, False)])
def test_a_key_is_good_in_its_time(access, first, last, good):
    key = access.keys["id"]
    key.not_before, key.expires = time.time() + first, time.time() + last
    if good:
        access.login("id", "secret")
    else:
        assert code(access.login, "id", "secret") == 13004


@pytest.mark.parametrize(("client", "good"), [
    ("10.0.0.7:1234", True), ("10.0.1.7:1234", False), ("[2001:db8::1]:5", True), ("[2001:db9::1]:5", False),
    ("[::ffff:10.0.0.7]:5", True), ("", False), ("nonsense", False),
])  # fmt: skip
def test_a_key_is_good_from_its_addresses(access, client, good):
    access.keys["id"].addresses = ["10.0.0.0/24", "2001:db8::/32"]
    if good:
        access.login("id", "secret", client)
    else:
        assert code(access.login, "id", "secret", client) == 13004


def test_a_token_of_a_key_with_addresses_is_good_from_them_alone(access):
    access.keys["id"].addresses = ["10.0.0.0/24"]
    tokens = access.issue(access.identity(access.login("id", "secret", "10.0.0.7:1"), "session:bot"))
    assert access.bearer(tokens["access_token"], time.time(), "10.0.0.8:1").account == ALICE
    assert code(access.bearer, tokens["access_token"], time.time(), "10.0.1.7:1") == 13009
    assert code(access.refresh, tokens["refresh_token"], time.time(), "", "10.0.1.7:1") == 13009


def test_every_call_asks_where_it_comes_from(venue):
    session = venue.session(ALICE, websocket=True)
    venue.keys[ALICE].addresses = ["10.0.0.0/24"]
    asked = {"method": "private/get_positions", "session": session}
    assert venue.call(**asked)["error"]["code"] == 13009
    session.address = "10.0.0.7:1"
    assert "result" in venue.call(**asked)


def test_a_broken_network_lets_nobody_in(access):
    access.keys["id"].addresses = ["everywhere"]
    assert code(access.login, "id", "secret", "10.0.0.1:1") == 13004


def test_addresses_with_and_without_port():
    assert [host_of(one) for one in ("1.2.3.4:5", "1.2.3.4", "[::1]:5", "::1", "")] == [
        "1.2.3.4", "1.2.3.4", "::1", "::1", "",
    ]  # fmt: skip


# -- failures and memory -----------------------------------------------------------------------------------------------


def test_too_many_failures_of_an_address_are_told_to_wait(access):
    told = []
    access.tell = lambda kind, **facts: told.append((kind, facts))
    codes = [code(access.login, "id", "wrong", "10.0.0.1:5") for _ in range(30)]
    assert set(codes[:20]) == {13004} and set(codes[-10:]) == {10028}
    assert told[0][0] == "failed_logins" and "secret" not in str(told)
    assert code(access.login, "id", "wrong", "10.0.0.2:5") == 13004
    assert access.login("id", "secret", "10.0.0.1:5")  # nobody is locked out by another's failures


def test_failures_are_forgotten_after_a_minute_and_counted_by_network():
    failures = Failures(most=3, window_s=60)
    assert [bool(failures.note("10.0.0.1:9", now)) for now in (0, 1, 2, 3)] == [False, False, False, True]
    assert not failures.note("10.0.0.1:9", 61)
    assert [bool(failures.note(f"[2001:db8::{host}]:1", 0)) for host in (1, 2, 3, 4)] == [False] * 3 + [True]


def test_rates_of_those_not_logged_in_are_by_network(venue):
    rates = Rates(Limits(Rate(), Rate(1e-9, 2)))
    for address in ("[2001:db8::1]:5", "[2001:db8::2]:5"):
        rates.take(Session(address, websocket=False), -1, trading=False)
    assert code(rates.take, Session("[2001:db8::3]:5", websocket=False), -1, trading=False) == 10028
    rates.take(Session("[2001:db8:1::3]:5", websocket=False), -1, trading=False)


def test_memory_of_failures_tokens_and_refreshes_is_bounded(access, monkeypatch):
    monkeypatch.setattr(access_module, "ADDRESSES_MAX", 50)
    for number in range(200):
        access.failures.note(f"10.0.{number}.1:1", 0)
    assert len(access.failures._rows) == 50
    first = access.issue(access.identity(access.login("id", "secret")))["access_token"]
    for _ in range(TOKENS_MAX + 10):
        last = access.issue(access.identity(access.login("id", "secret")))["access_token"]
    assert (len(access._tokens), len(access._refresh)) == (TOKENS_MAX, TOKENS_MAX)
    assert code(access.bearer, first, time.time()) == 13009
    assert access.bearer(last, time.time()).account == ALICE


def test_refreshing_over_and_over_does_not_grow(access):
    token = access.issue(access.identity(access.login("id", "secret")))["refresh_token"]
    for _ in range(2 * TOKENS_MAX):
        token = access.issue(access.refresh(token, time.time()))["refresh_token"]
    assert len(access._tokens) <= TOKENS_MAX and len(access._refresh) <= TOKENS_MAX


def test_tokens_are_kept_as_hashes_only(access):
    answer = access.issue(access.identity(access.login("id", "secret")))
    kept = repr([*access._tokens, *access._refresh, access._issued])
    for name in ("access_token", "refresh_token"):
        assert answer[name] not in kept
        assert hashlib.sha256(answer[name].encode()).digest() in {**access._tokens, **access._refresh}


def test_nothing_prints_a_secret(access):
    key = access.keys["id"]
    key.before.append(access_module.Superseded("older-one", 5.0))
    login = access.login("id", "secret")
    for thing in (key, key.before, login, access.identity(login), access.store.registry):
        assert "secret'" not in repr(thing) and "older-one" not in repr(thing)


# -- at rest -----------------------------------------------------------------------------------------------------------


def kept(folder, passphrase=None):
    store = Keystore.open(folder, passphrase)
    key = Access.made(ALICE, "alice")
    store.change_now(lambda registry: registry.keys.update({key.id: key}))
    return key


@pytest.mark.parametrize("passphrase", [None, b"open sesame"])
def test_keys_come_back_and_no_secret_is_on_the_disk(tmp_path, passphrase):
    key = kept(tmp_path, passphrase)
    again = Keystore.open(tmp_path, passphrase).registry.keys[key.id]
    assert (again.secret, again.account, again.rights) == (key.secret, key.account, key.rights)
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        assert key.secret.encode() not in data and key.id.encode() not in data
    assert (tmp_path / KEY_NAME).exists() == (passphrase is None)


def test_the_data_key_is_its_owners_alone(tmp_path):
    kept(tmp_path)
    file = tmp_path / KEY_NAME
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        Keystore.open(tmp_path)


def test_without_its_data_key_a_store_is_refused_not_begun_anew(tmp_path):
    kept(tmp_path)
    (tmp_path / KEY_NAME).unlink()
    with pytest.raises(InputError):
        Keystore.open(tmp_path)
    assert not (tmp_path / KEY_NAME).exists()


@pytest.mark.parametrize(("made", "opened"), [(b"right", b"wrong"), (b"right", None), (None, b"any")])
def test_another_passphrase_does_not_open_it(tmp_path, made, opened):
    kept(tmp_path, made)
    with pytest.raises(InputError):
        Keystore.open(tmp_path, opened)


def test_every_altered_byte_is_found(tmp_path):
    kept(tmp_path)
    file = tmp_path / STORE_NAME
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InputError):
            Keystore.open(tmp_path)
    for size in (0, 10, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(InputError):
            Keystore.open(tmp_path)


def test_a_restriction_holds_though_it_cannot_be_written_what_gives_access_does_not(tmp_path, monkeypatch):
    key = kept(tmp_path)
    store = Keystore.open(tmp_path)

    def full(*_):
        raise JournalError("no space left")

    monkeypatch.setattr("seawall.api.keystore.write_durably", full)
    other = Access.made(BOB, "bob")

    async def attempt():
        with pytest.raises(JournalError):
            await store.change(lambda registry: setattr(registry.keys[key.id], "revoked", True), restricts=True)
        with pytest.raises(JournalError):
            await store.change(lambda registry: registry.keys.update({other.id: other}))

    asyncio.run(attempt())
    assert store.registry.keys[key.id].revoked
    assert other.id not in store.registry.keys
    assert not Keystore.open(tmp_path).registry.keys[key.id].revoked


@pytest.mark.parametrize("restricts", [False, True])
def test_a_change_is_made_once(tmp_path, restricts):
    store = Keystore.open(tmp_path)
    operator = Operator("zoe", "auditor", "hash")
    asyncio.run(store.change(lambda registry: registry.operators.append(operator), restricts=restricts))
    assert len(store.registry.operators) == 1
    assert len(Keystore.open(tmp_path).registry.operators) == 1


def test_a_store_is_whole_whenever_its_writing_is_interrupted(tmp_path, monkeypatch):
    key = kept(tmp_path)
    store = Keystore.open(tmp_path)
    monkeypatch.setattr("seawall.journal.disk.OsDisk.rename", lambda *_: (_ for _ in ()).throw(OSError("crash")))
    with pytest.raises(JournalError):
        store.change_now(lambda registry: registry.keys.clear())
    assert key.id in Keystore.open(tmp_path).registry.keys
    assert os.listdir(tmp_path)


def test_a_session_address_has_its_port(venue):
    assert host_of(Session("127.0.0.1:7", websocket=False).address) == "127.0.0.1"
