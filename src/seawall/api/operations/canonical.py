"""Canonical JSON (RFC 8785) of the values that people sign: one value, one sequence of bytes.

Taken are objects, arrays, strings, whole numbers that every reader holds exactly (up to 2^53 - 1), booleans and null.
Fractions are refused: what is signed has none, and their shortest form is where implementations differ.
"""

import json
from typing import Any, Final

from seawall.vocabulary.errors import InputError

WHOLE_MAX: Final = 2**53 - 1
_DEPTH_MAX: Final = 32


def encode(value: Any) -> bytes:
    """The canonical bytes. Raises InputError for what has none here."""
    try:
        return _text(value, 0).encode()
    except UnicodeEncodeError as error:
        raise InputError("text", repr(value)[:100], "must be Unicode without lone surrogates") from error


def decode(data: bytes) -> Any:
    """The value of canonical bytes. Raises InputError unless they are canonical, to the byte."""
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError("bytes", repr(data[:100]), f"must be JSON: {error}") from error
    if encode(value) != data:
        raise InputError("bytes", repr(data[:100]), "must be canonical JSON (RFC 8785), to the byte")
    return value


def _text(value: Any, depth: int) -> str:
    if depth > _DEPTH_MAX:
        raise InputError("value", depth, f"must not be nested deeper than {_DEPTH_MAX}")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > WHOLE_MAX:
            raise InputError("number", value, f"must lie within ±{WHOLE_MAX}, or be written as text")
        return str(int(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{','.join([_text(item, depth + 1) for item in value])}]"
    if isinstance(value, dict):
        return _object(value, depth)
    raise InputError(
        "value", repr(value)[:100], f"must be text, whole number, boolean, null, list or object: {type(value)}"
    )


def _object(value: dict[Any, Any], depth: int) -> str:
    for name in value:
        if not isinstance(name, str):
            raise InputError("name", repr(name)[:100], "must be text")
    try:
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))  # RFC 8785, 3.2.3: by UTF-16 code units
    except UnicodeEncodeError as error:
        raise InputError("name", repr(error.object)[:100], "must be Unicode without lone surrogates") from error
    return (
        "{"
        + ",".join([f"{json.dumps(name, ensure_ascii=False)}:{_text(value[name], depth + 1)}" for name in names])
        + "}"
    )
