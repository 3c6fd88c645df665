"""Where a venue is, and the keys we have there."""

from pathlib import Path
from typing import Self, TypeVar

import msgspec

from seawall.vocabulary.errors import InputError


class Upstream(msgspec.Struct, frozen=True):
    """Where a venue of the dialect is: one URL, as clients are given it."""

    url: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises InputError for what is no http(s) or ws(s) address."""
        scheme, mark, rest = url.partition("://")
        if not mark or scheme not in ("http", "https", "ws", "wss") or not rest.partition("/")[0]:
            raise InputError("--upstream", url, "must be like https://host or https://host:port")
        secure = "s" if scheme in ("https", "wss") else ""
        return cls(f"http{secure}://{rest.partition('/')[0]}")

    @property
    def http(self) -> str:
        """The address that paths like /api/v2/public/test are put to."""
        return self.url

    @property
    def websocket(self) -> str:
        """The address of its WebSocket."""
        return f"ws{self.url.removeprefix('http')}/ws/api/v2"


class Credentials(msgspec.Struct, frozen=True):
    """A key of ours at a venue."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return f"Credentials(key={self.key!r})"


class Account(Credentials, frozen=True):
    """A key of ours at an exchange of another kind; some ask for a password or a user id besides."""

    password: str = ""
    uid: str = ""


_Kind = TypeVar("_Kind", bound=Credentials)


def read_credentials(file: Path) -> dict[str, Credentials]:
    """Keys from a TOML file: a table for each account at the venue, with `key` and `secret`.

    Raises InputError for a file that others may read, or that is none of that.
    """
    return _read(file, "--upstream-keys", Credentials)


def read_accounts(file: Path) -> dict[str, Account]:
    """The same of an exchange of another kind."""
    return _read(file, "--keys", Account)


def _read(file: Path, option: str, kind: type[_Kind]) -> dict[str, _Kind]:
    try:
        if file.stat().st_mode & 0o077:
            raise InputError(option, str(file), "must be readable by its owner only: chmod 600")
        found = msgspec.toml.decode(file.read_bytes(), type=dict[str, kind])  # type: ignore[valid-type]
    except (OSError, msgspec.DecodeError) as error:
        reason = str(error).partition(" - at")[0]  # never what stands in it
        raise InputError(option, str(file), f"must hold a table with key and secret: {reason}") from None
    if not found:
        raise InputError(option, str(file), "must name one account at least")
    return found
