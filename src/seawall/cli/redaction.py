"""Taking secrets out of what leaves the house: by what they are called, by how they look, and by being known.

Rather a number too few than a secret too many: in free text anything that looks like a token goes, too.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

GONE: Final = "[redacted]"
_NAMED: Final = re.compile(
    r"(?i)((?:[\w.-]*(?:secret|passphrase|password|passwd|token|credential|authorization|cookie|api[_-]?key|private[_-]?key"
    r"|signature|\bsig)[\w.-]*)[\"']?\s*[:=]\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;}\]]+)"
)
_HEADERS: Final = re.compile(r"(?i)\b(bearer|basic|deri-hmac-sha256)\s+[^\r\n]+")
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_URL_USER: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@")
_LONG: Final = re.compile(r"(?<![A-Za-z0-9_+/=-])[A-Za-z0-9_+/=-]{24,}(?![A-Za-z0-9_+/=-])")
_SECRET_NAMES: Final = re.compile(
    r"(?i)secret|passphrase|password|token|credential|authorization|private|signature|api_?key|^key$"
)


def redacted(text: str, known: Iterable[str] = (), *, free: bool = True) -> str:
    """Text without secrets; `known` ones go wherever they stand. `free` text loses all that looks like one."""
    for secret in sorted((one for one in known if one), key=len, reverse=True):
        text = text.replace(secret, GONE)
    text = _PEM.sub(GONE, text)
    text = _URL_USER.sub(rf"\1{GONE}@", text)
    text = _HEADERS.sub(rf"\1 {GONE}", text)
    text = _NAMED.sub(rf"\1{GONE}", text)
    return _LONG.sub(_unless_plain, text) if free else text


def redacted_value(value: Any, known: Iterable[str] = (), name: str = "") -> Any:
    """The same of a document: members with a secret's name lose their value, texts what is known to be one."""
    known = list(known)
    if isinstance(value, dict):
        return {key: redacted_value(inner, known, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted_value(inner, known, name) for inner in value]
    if name and _SECRET_NAMES.search(name) and isinstance(value, str | int | float):
        return GONE
    return redacted(value, known, free=False) if isinstance(value, str) else value


def _unless_plain(found: re.Match[str]) -> str:
    """A long word without a digit, or a path of words, is no token."""
    word = found.group()
    parts = word.split("/")
    plain = not any(char.isdigit() for char in word) or (len(parts) > 1 and all(len(part) < 24 for part in parts))
    return word if plain and "=" not in word else GONE
