"""Keys, operators and approvers at rest: one file, sealed with AES-256-GCM, replaced atomically and synced.

HMAC signatures need the secret itself, so secrets are kept, but the whole file is sealed: who reads the disk learns
nothing, who writes it is found out, as is a file that was made for another header. The data key is a file of its own
(mode 0600, made on first use) or comes from a passphrase through scrypt. Tokens of operators are kept as SHA-256 only.

    seawall-keystore 1 file\\n                          12 bytes nonce, then the sealed JSON; the first line is
    seawall-keystore 1 scrypt <salt> <n> <r> <p>\\n     authenticated with it
"""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from seawall.journal.checkpoint import read_text, write_durably
from seawall.venues.credentials import Credentials
from seawall.vocabulary.errors import InputError

NEVER: Final = float(2**53)
"""Seconds since the epoch that never come."""

STORE_NAME: Final = "keystore"
KEY_NAME: Final = "keystore.key"
SCOPES: Final = ("account", "trade", "wallet", "block_trade")
LEVELS: Final = ("none", "read", "read_write")
_MAGIC: Final = "seawall-keystore 1"
_NONCE_BYTES: Final = 12
_SCRYPT: Final = (1 << 15, 8, 1)


class Superseded(msgspec.Struct):
    """A secret that another took the place of: it is good until `ends` (seconds since the epoch)."""

    secret: str
    ends: float

    def __repr__(self) -> str:
        return f"Superseded(ends={self.ends})"


class Key(msgspec.Struct):
    """A client's key for one account. `rights` maps a scope to none, read or read_write; addresses are CIDR networks.

    What it may never changes: another key is made instead. `before` are secrets that rotation left good for a while.
    """

    id: str
    secret: str
    account: int
    name: str = ""
    rights: dict[str, str] = msgspec.field(default_factory=dict)
    addresses: list[str] = msgspec.field(default_factory=list)
    not_before: float = 0.0
    expires: float = NEVER
    revoked: bool = False
    before: list[Superseded] = msgspec.field(default_factory=list)

    @property
    def enabled(self) -> bool:
        """Whether it is good now; every call asks."""
        return not self.revoked and self.not_before <= time.time() < self.expires

    def ends(self, secret: str) -> float:
        """Until when one of its secrets is good; 0 for one it no longer has."""
        if secret is self.secret or secret == self.secret:
            return NEVER
        return next((old.ends for old in self.before if old.secret == secret), 0.0)

    def rotate(self, secret: str, ends: float) -> None:
        """Another secret; those before it are good until `ends` at most (seconds since the epoch)."""
        self.before.append(Superseded(self.secret, NEVER))
        for old in self.before:
            old.ends = min(old.ends, ends)
        self.secret = secret

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, account={self.account}, name={self.name!r}, rights={self.rights})"


class Operator(msgspec.Struct):
    """Somebody at the operations door: a person in a role, known by the SHA-256 of a token."""

    person: str
    role: str
    token: str
    revoked: bool = False


class Approver(msgspec.Struct):
    """Somebody whose signature counts: a person in a role and the C2SP verifier key of an Ed25519 key."""

    person: str
    role: str
    key: str


class BreakGlass(msgspec.Struct):
    """The sealed key: `used` names the proposal it was used for, `reviewed` says that people wrote what happened."""

    key: str
    used: str = ""
    reviewed: bool = False


class Registry(msgspec.Struct):
    """All that the file holds. `needed` approvals make a proposal law."""

    keys: dict[str, Key] = msgspec.field(default_factory=dict)
    operators: list[Operator] = msgspec.field(default_factory=list)
    approvers: list[Approver] = msgspec.field(default_factory=list)
    needed: int = 2
    break_glass: BreakGlass | None = None
    upstream: dict[str, Credentials] = msgspec.field(default_factory=dict)
    """Our keys at the venue that a desk's orders go to, by account there."""


Edit = Callable[[Registry], None]
"""A change, the same whenever it is applied: whatever is random in it was drawn before."""


class Keystore:
    """The registry and its file. In memory only where there is no file.

    A restriction holds in memory before it is written; what gives access is written before it holds.
    """

    def __init__(
        self, registry: Registry | None = None, path: Path | None = None, header: str = "", key: bytes = b""
    ) -> None:
        """Use `open`; without arguments it is empty and kept nowhere."""
        self.registry = registry or Registry()
        self.path, self._header, self._key = path, header, key
        self._writing = asyncio.Lock()

    @classmethod
    def open(cls, folder: Path, passphrase: bytes | None = None) -> "Keystore":
        """The store in a folder, made where there is none. Raises InputError for one that this key does not open."""
        path = folder / STORE_NAME
        if not path.exists():
            header = _new_header(passphrase)
            folder.mkdir(parents=True, exist_ok=True)
            store = cls(None, path, header, _data_key(folder, header, passphrase, make=True))
            store.change_now(lambda registry: None)
            return store
        try:
            line, _, sealed = path.read_bytes().partition(b"\n")
            header = line.decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("keystore", str(path), f"cannot be read: {error}") from error
        if not header.startswith(_MAGIC + " "):
            raise InputError("keystore", str(path), "must be a keystore of this build")
        key = _data_key(folder, header, passphrase, make=False)
        try:
            text = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], line)
            registry = msgspec.json.decode(text, type=Registry)
        except (InvalidTag, ValueError) as error:
            raise InputError("keystore", str(path), "does not open: another key's, or altered") from error
        return cls(registry, path, header, key)

    async def change(self, edit: Edit, *, restricts: bool = False) -> None:
        """Apply a change and write it, beside the loop. Raises JournalError where it cannot be written."""
        if restricts:
            edit(self.registry)
        async with self._writing:
            draft = msgspec.json.encode(self.registry) if restricts else self._draft(edit)
            await asyncio.to_thread(self._write, draft)
            if not restricts:
                edit(self.registry)

    def change_now(self, edit: Edit) -> None:
        """The same where no loop runs yet."""
        self._write(self._draft(edit))
        edit(self.registry)

    def _draft(self, edit: Edit) -> bytes:
        draft = msgspec.json.decode(msgspec.json.encode(self.registry), type=Registry)
        edit(draft)
        return msgspec.json.encode(draft)

    def _write(self, text: bytes) -> None:
        if self.path is None:
            return
        nonce = secrets.token_bytes(_NONCE_BYTES)
        line = self._header.encode()
        write_durably(self.path, line + b"\n" + nonce + AESGCM(self._key).encrypt(nonce, text, line))


def token_hash(token: str) -> str:
    """What is kept of an operator's token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _new_header(passphrase: bytes | None) -> str:
    if passphrase is None:
        return f"{_MAGIC} file"
    return f"{_MAGIC} scrypt {secrets.token_hex(16)} {_SCRYPT[0]} {_SCRYPT[1]} {_SCRYPT[2]}"


def _data_key(folder: Path, header: str, passphrase: bytes | None, *, make: bool) -> bytes:
    kind, *rest = header.removeprefix(_MAGIC).split()
    if kind == "scrypt":
        if passphrase is None:
            raise InputError("keystore", str(folder / STORE_NAME), "was sealed with a passphrase, and none is given")
        try:
            salt, n, r, p = bytes.fromhex(rest[0]), *(int(word) for word in rest[1:])
            return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase)
        except (ValueError, TypeError, IndexError, MemoryError) as error:
            raise InputError("keystore", header[:100], "must have a first line of this build") from error
    if passphrase is not None:
        raise InputError("keystore", str(folder / STORE_NAME), "was not sealed with a passphrase, and one is given")
    return _key_file(folder / KEY_NAME, make=make)


def _key_file(path: Path, *, make: bool) -> bytes:
    if make and not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as out:
            out.write(secrets.token_hex(32).encode() + b"\n")
            out.flush()
            os.fsync(descriptor)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    text = read_text(path)
    if path.stat().st_mode & 0o077:
        raise InputError("data key", str(path), "must be readable by its owner only: chmod 600")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InputError("data key", str(path), "must hold 32 bytes in hex")
    return key
