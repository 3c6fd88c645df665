"""Requests that read one way only. The gate and the venue must not understand two different things by the same bytes.

JSON allows a member twice and parsers differ in which they keep; so do readers of query strings. Where the gate stands
(enforce) such a request is refused, and so is a method whose name is not written plainly.
"""

import json
import re
from typing import Any, Final

import msgspec

from seawall.api.errors import RpcError

_decode: Final = msgspec.json.Decoder().decode
_NAME: Final = re.compile(r"/?(public|private)/(pme/)?[a-z0-9_]{1,64}")
"""As `private/pme/simulate`, too."""


def check_name(name: str) -> None:
    """Raise RpcError -32601 for a method that is not named as methods are."""
    if not _NAME.fullmatch(name):
        raise RpcError(-32601, name=name[:100])


def check_document(text: str | bytes) -> None:
    """Raise RpcError -32600 for a document that names a member twice, -32700 for what is no JSON."""
    if _plain(text):
        return
    try:
        json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RpcError(-32700, reason=str(error)[:200]) from None


def check_query(pairs: list[tuple[str, str]]) -> None:
    """The same of a query string."""
    _once(pairs)


def swapped(text: str, own: str, token: str) -> str:
    """A request with the venue's token in place of ours. Raises RpcError -32600 where ours stands elsewhere, too:
    in a label, say, from where the venue would tell its own token back.
    """
    if text.count(own) != 1 or not re.search(f'"access_token"\\s*:\\s*"{re.escape(own)}', text):
        raise _elsewhere()
    return text.replace(own, token)


def without_token(target: str, own: str) -> str:
    """A path and query without our token; the venue's goes with the headers, as addresses end up in logs and errors.
    Raises RpcError -32600 where ours stands elsewhere, too.
    """
    path, _, query = target.partition("?")
    kept = [pair for pair in query.split("&") if pair != f"access_token={own}"]
    rest = "&".join(kept)
    if len(kept) != query.count("&") or own in path or own in rest:
        raise _elsewhere()
    return path + (f"?{rest}" if rest else "")


def _elsewhere() -> RpcError:
    return RpcError(-32600, reason="a token may stand in access_token and nowhere else")


def _plain(text: str | bytes) -> bool:
    """Whether a document surely names each member once: it has no colon more than members that were understood.

    Strings may have colons, too; then, and for whatever else is doubtful, who asks looks closer.
    """
    try:
        members = _members(_decode(text))
    except (msgspec.DecodeError, RecursionError):
        return False
    return members == text.count(":" if isinstance(text, str) else b":")  # type: ignore[arg-type]


def _members(found: Any) -> int:
    """How many members the objects of a document have, together."""
    if isinstance(found, dict):
        return len(found) + sum(_members(value) for value in found.values() if isinstance(value, dict | list))
    return sum(_members(value) for value in found) if isinstance(found, list) else 0


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RpcError(-32600, reason=f"{twice[:64]} is given twice, and the venue might read the other one")


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
