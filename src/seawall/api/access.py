"""Who may do what on the trading door: keys with scopes, tokens that live for a while, signatures over raw requests.

Every check asks the key again, so a revocation holds from the next command on, on open sockets too. Tokens are kept as
SHA-256 only, and in memory only. Nobody is locked out by another's failures: secrets are 256 random bits, so what is
bounded is how often a failure is answered as one, and how much memory failures, tokens and signatures take.
"""

import functools
import hashlib
import hmac
import ipaddress
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from seawall.api.errors import RpcError
from seawall.api.keystore import LEVELS, NEVER, SCOPES, Key, Keystore, Superseded

__all__ = ["LEVELS", "SCOPES", "Access", "Failures", "Identity", "Key", "Login", "Scope", "Superseded", "host_of"]

LIFETIME_S: Final = 900
"""Of an access token, unless its scope says `expires:`."""

LIFETIME_MAX_S: Final = 30 * 86_400
REFRESH_S: Final = 30 * 86_400
WINDOW_MS: Final = 60_000
"""How far the clock of a signer may be off."""

SESSIONS_MAX: Final = 16
"""Named sessions of a key."""

TOKENS_MAX: Final = 512
"""Of a key; the oldest dies for the next."""

NETWORKS_MAX: Final = 8
"""That one login is narrowed to, one after the other."""

SIGNATURES_MAX: Final = 65_536
"""Of a key, remembered against repetition."""

FAILURES_MAX: Final = 20
FAILURES_WINDOW_S: Final = 60.0
ADDRESSES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Scope:
    """What a client asks of a token. `rights` None: all that the key may."""

    session: str = ""
    rights: frozenset[str] | None = None
    lifetime_s: int = 0
    address: str = ""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Words separated by spaces; those that nobody knows are ignored. Naming any right asks for no other."""
        session, lifetime, address = "", 0, ""
        rights: set[str] | None = None
        for word in text.split():
            name, _, value = word.partition(":")
            if name == "session" and value:
                session = value[:64]
            elif name == "expires" and value.isascii() and value.isdigit() and len(value) < 10:
                lifetime = min(max(1, int(value)), LIFETIME_MAX_S)
            elif name == "ip" and value:
                address = value
            elif name in SCOPES and value in LEVELS:
                rights = rights or set()
                rights |= _levels(name, value)
        return cls(session, None if rights is None else frozenset(rights), lifetime, address)


@dataclass(slots=True)
class Login:
    """One authentication, and all tokens that come of it: they die together."""

    key: Key
    secret: str
    session: str = ""
    """Name of the session; empty: it lives as long as its connection."""
    sid: str = ""
    connection: Any = None
    """Weak reference to the socket's Session."""
    ended: bool = False

    @property
    def ends(self) -> float:
        """Until when it holds; 0 when it is over."""
        if self.ended or not self.key.enabled:
            return 0.0
        if self.connection is not None:
            session = self.connection()
            if session is None or session.closing is not None:
                return 0.0
        return self.key.ends(self.secret)

    def __repr__(self) -> str:
        return f"Login(key={self.key.id!r}, session={self.session!r})"


@dataclass(slots=True)
class Identity:
    """Who a call is from: a key, what of its rights was granted, until when at most, and where from it may come."""

    key: Key
    rights: frozenset[str]
    ends: float
    login: Login | None = None
    networks: tuple[Any, ...] = ()
    """It may come from what is in all of them; a token got from a narrowed one is no wider."""
    limited: bool = False
    """Whether `expires:` was asked for: then all that it began ends with it."""

    @property
    def account(self) -> int:
        """The account it acts for."""
        return self.key.account

    @property
    def session(self) -> str:
        """Name of its session, empty for a connection's."""
        return self.login.session if self.login is not None else ""

    @property
    def until(self) -> float:
        """When it ends, seconds since the epoch; 0 as soon as its login is over."""
        if self.login is not None:
            return min(self.ends, self.login.ends)
        return self.ends if self.key.enabled else 0.0

    def lasting(self) -> "Identity":
        """Whose login must hold for what it began to go on; its token need not, unless `expires:` was asked for."""
        return self if self.limited else replace(self, ends=NEVER)

    @property
    def scope(self) -> str:
        """What was granted, as the dialect writes it."""
        words = [f"session:{self.session}" if self.session else "connection", "mainaccount"]
        words += [f"{name}:{level}" for name in SCOPES if (level := self.level(name)) != "none"]
        return " ".join(words)

    def level(self, name: str) -> str:
        """What it may in one scope: one of LEVELS."""
        return next((level for level in ("read_write", "read") if f"{name}:{level}" in self.rights), "none")


class Failures:
    """How often an address failed in a window; memory for so many addresses, the oldest forgotten first."""

    def __init__(self, most: int = FAILURES_MAX, window_s: float = FAILURES_WINDOW_S) -> None:
        self.most, self.window_s = most, window_s
        self._rows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def note(self, client: str, now: float) -> float:
        """Count one; returns the seconds to wait where it was too many, else 0."""
        address = counted(client)
        count, since = self._rows.pop(address, (0, now))
        if not 0 <= now - since < self.window_s:
            count, since = 0, now
        self._rows[address] = (count + 1, since)
        if len(self._rows) > ADDRESSES_MAX:
            self._rows.popitem(last=False)
        return max(0.001, since + self.window_s - now) if count >= self.most else 0.0


class Access:
    """Keys and tokens of the trading door."""

    def __init__(self, store: Keystore | None = None, tell: Callable[..., object] | None = None) -> None:
        """`tell` raises an alert: a kind and its facts."""
        self.store = store or Keystore()
        self.keys = self.store.registry.keys
        self.failures = Failures()
        self.tell: Callable[..., object] = tell or (lambda kind, **facts: None)
        self.started_ms = 0
        """Signatures from before are refused where they change something: they may have been used already."""
        self._tokens: dict[bytes, Identity] = {}
        self._refresh: dict[bytes, Identity] = {}
        self._issued: dict[str, deque[tuple[bytes, bytes]]] = {}
        self._sessions: dict[str, dict[str, float]] = {}
        self._signatures: dict[str, dict[bytes, int]] = {}

    # -- who it is ---------------------------------------------------------------------------------------------------

    def login(self, client_id: str, secret: str, client: str = "") -> Login:
        """A client id and its secret. Raises RpcError 13004, after too many failures 10028."""
        key = self.keys.get(client_id)
        good = ""
        for candidate in _secrets(key):
            if hmac.compare_digest(_bytes(candidate), _bytes(secret)):
                good = candidate
        return self._checked(key, good, client)

    def signed(
        self,
        client_id: str,
        timestamp: str,
        message: bytes,
        signature: str,
        now_ms: int,
        client: str = "",
        *,
        changes: bool = True,
    ) -> Login:
        """Who signed `message`, which begins with the timestamp. With `changes` an exact repetition is refused.

        Raises RpcError 13004 for a wrong or repeated signature or a clock too far off, 10028 after too many failures.
        """
        key = self.keys.get(client_id)
        given = _bytes(signature.lower())
        good = ""
        for candidate in _secrets(key):
            made = hmac.new(_bytes(candidate), message, hashlib.sha256).hexdigest()
            if hmac.compare_digest(made.encode(), given):
                good = candidate
        login = self._checked(key, good, client)
        stamp = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 18 else -WINDOW_MS
        if abs(now_ms - stamp) > WINDOW_MS:
            raise self._failed(client, reason=f"timestamp is more than {WINDOW_MS} ms from {now_ms}")
        if changes:
            self._refuse_repetition(login.key.id, hashlib.sha256(given).digest()[:16], stamp, now_ms, client)
        return login

    def identity(self, login: Login, scope: str = "", now: float = 0.0, client: str = "") -> Identity:
        """All that the key may, cut down by the scope asked for. Raises RpcError 12003 for too many sessions."""
        now = now or time.time()
        asked = Scope.parse(scope)
        held = held_by(login.key)
        rights = held if asked.rights is None else held & asked.rights
        networks = (_network(asked.address),) if asked.address else ()
        if asked.session:
            self._count_session(login.key.id, asked.session, now)
            login.session, login.connection = asked.session, None
            login.sid = login.sid or secrets.token_hex(8)
        ends = now + (asked.lifetime_s or LIFETIME_S)
        return Identity(login.key, rights, ends, login, networks, bool(asked.lifetime_s))

    def check(self, identity: Identity, now: float, client: str = "") -> None:
        """Raise RpcError 13009 unless an identity holds now and may come from there."""
        if identity.until < now or not _may_come(identity, client):
            raise RpcError(13009, reason="invalid_token")

    # -- tokens ------------------------------------------------------------------------------------------------------

    def issue(self, identity: Identity, state: str | None = None) -> dict[str, Any]:
        """Tokens for an identity, as `public/auth` answers."""
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        hashes = _hash(access), _hash(refresh)
        self._tokens[hashes[0]] = self._refresh[hashes[1]] = identity
        issued = self._issued.setdefault(identity.key.id, deque())
        issued.append(hashes)
        if len(issued) > TOKENS_MAX:
            oldest = issued.popleft()
            self._tokens.pop(oldest[0], None)
            self._refresh.pop(oldest[1], None)
        answer: dict[str, Any] = {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": max(0, math.ceil(identity.until - time.time())),
            "scope": identity.scope,
            "token_type": "bearer",
            "enabled_features": [],
        }
        if identity.login is not None and identity.login.sid:
            answer["sid"] = identity.login.sid
        if state is not None:
            answer["state"] = state
        return answer

    def bearer(self, token: str, now: float, client: str = "") -> Identity:
        """Whose token it is. Raises RpcError 13009 for one that is unknown, expired, or of a revoked key."""
        identity = self._tokens.get(_hash(token))
        if identity is None:
            raise self._failed(client, 13009, reason="invalid_token")
        self.check(identity, now, client)
        return identity

    def refresh(self, token: str, now: float, scope: str = "", client: str = "") -> Identity:
        """A new identity for a refresh token, which dies; with no more rights than the old. Raises RpcError 13009."""
        old = self.of_refresh(token, now, client)
        self._refresh.pop(_hash(token), None)
        return self.derived(old, scope, now)

    def of_refresh(self, token: str, now: float, client: str = "") -> Identity:
        """The identity behind a refresh token, which stays. Raises RpcError 13009."""
        old = self._refresh.get(_hash(token))
        if old is None or old.login is None or old.login.ends < now or old.ends + REFRESH_S < now:
            raise RpcError(13009, reason="invalid_token")
        if not _may_come(old, client):
            raise RpcError(13009, reason="invalid_token")
        return old

    def derived(self, old: Identity, scope: str, now: float) -> Identity:
        """Another identity of the same login, with at most the rights of the old one."""
        asked = Scope.parse(scope)
        rights = old.rights if asked.rights is None else old.rights & asked.rights
        networks = old.networks
        if asked.address and (network := _network(asked.address)) not in networks:
            networks = (*networks, network)
            if len(networks) > NETWORKS_MAX:
                raise RpcError(13021, reason=f"a login is narrowed to at most {NETWORKS_MAX} networks")
        ends = now + (asked.lifetime_s or LIFETIME_S)
        return Identity(old.key, rights, ends, old.login, networks, bool(asked.lifetime_s))

    def fork(self, old: Identity, session: str, now: float) -> Identity:
        """A named session beside the one of a refresh token. Raises RpcError 12003 for too many."""
        self._count_session(old.key.id, session, now)
        secret = old.login.secret if old.login is not None else old.key.secret
        login = Login(old.key, secret, session, secrets.token_hex(8))
        return Identity(old.key, old.rights, now + LIFETIME_S, login, old.networks)

    def end(self, login: Login) -> None:
        """Every token of a login dies."""
        login.ended = True
        self._sessions.get(login.key.id, {}).pop(login.session, None)

    # -- keys ----------------------------------------------------------------------------------------------------------

    @staticmethod
    def made(account: int, name: str, rights: dict[str, str] | None = None, **more: Any) -> Key:
        """A new key with a new secret, not yet known to anybody: `keys[key.id] = key`, or a change of the store."""
        rights = dict.fromkeys(SCOPES, "read_write") if rights is None else rights
        return Key(secrets.token_urlsafe(9), secrets.token_urlsafe(32), account, name, rights, **more)

    # -- inner -------------------------------------------------------------------------------------------------------

    def _checked(self, key: Key | None, secret: str, client: str) -> Login:
        now = time.time()
        if key is None or not secret or not key.enabled or key.ends(secret) < now:
            raise self._failed(client)
        if not _good_from(key, client):
            raise self._failed(client)
        return Login(key, secret)

    def _failed(self, client: str, code: int = 13004, **data: Any) -> RpcError:
        wait = self.failures.note(client, time.time())
        if not wait:
            return RpcError(code, **data)
        self.tell("failed_logins", address=host_of(client), door="trading")
        return RpcError(10028, wait=round(wait, 3))

    def _refuse_repetition(self, key: str, digest: bytes, stamp: int, now_ms: int, client: str) -> None:
        if stamp < self.started_ms:
            raise RpcError(10040, reason="signed before the venue started: sign anew")
        seen = self._signatures.setdefault(key, {})
        if digest in seen:
            raise self._failed(client, reason="this signature was used before")
        if len(seen) >= SIGNATURES_MAX:
            for old in [one for one, at in seen.items() if at + WINDOW_MS < now_ms]:
                del seen[old]
            if len(seen) >= SIGNATURES_MAX:
                raise RpcError(10028, wait=1.0)
        seen[digest] = stamp

    def _count_session(self, key: str, name: str, now: float) -> None:
        sessions = self._sessions.setdefault(key, {})
        for old in [one for one, until in sessions.items() if until < now]:
            del sessions[old]
        if name not in sessions and len(sessions) >= SESSIONS_MAX:
            raise RpcError(12003, "login_over_limit", sessions=len(sessions), most=SESSIONS_MAX)
        sessions[name] = now + REFRESH_S


def held_by(key: Key) -> frozenset[str]:
    """All rights of a key; who may write may read."""
    held: set[str] = set()
    for name, level in key.rights.items():
        held |= _levels(name, level)
    return frozenset(held)


def _good_from(key: Key, client: str) -> bool:
    return not key.addresses or _within(host_of(client), [_network(one) for one in key.addresses])


def _may_come(identity: Identity, client: str) -> bool:
    """Both count: the networks of the key, whose tokens are good nowhere else, and those asked for with a token."""
    host = host_of(client)
    return _good_from(identity.key, client) and all(_within(host, [network]) for network in identity.networks)


def host_of(client: str) -> str:
    """The address in `1.2.3.4:567`, `[::1]:567` or alone."""
    if client.startswith("["):
        return client[1:].partition("]")[0]
    return client.partition(":")[0] if client.count(":") == 1 else client


def _levels(name: str, level: str) -> set[str]:
    return {"none": set(), "read": {f"{name}:read"}, "read_write": {f"{name}:read", f"{name}:read_write"}}[level]


def _secrets(key: Key | None) -> list[str]:
    """Secrets to compare with; one that fits nothing where there is no key, so that it takes as long."""
    return [key.secret, *(old.secret for old in key.before)] if key is not None else [secrets.token_urlsafe(32)]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _hash(token: str) -> bytes:
    return hashlib.sha256(_bytes(token)).digest()


@functools.lru_cache(maxsize=4_096)
def _network(text: str) -> Any:
    """A network of a CIDR text; of one that is none nothing is part."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ipaddress.ip_network("255.255.255.255/32")


def _address(host: str) -> Any:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(host: str, networks: list[Any]) -> bool:
    address = _address(host)
    return address is not None and any(address in network for network in networks)


def counted(client: str) -> str:
    """What connections and failures are counted by: an address, of the sixth version the /64 it is in."""
    return _counted(host_of(client))


@functools.lru_cache(maxsize=4_096)
def _counted(host: str) -> str:
    address = _address(host)
    if address is None or address.version == 4:
        return str(address or host[:64])
    return str(ipaddress.ip_network((address, 64), strict=False))
