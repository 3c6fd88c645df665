"""Every method that somebody might read out of a message: what is forbidden must not hide behind how it is written.

In observe a message passes as it came, and the venue may read it in another way than we do: of a member given twice the
other one, of a path what its escapes stand for. So what makes keys or moves money is looked for in all readings.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

_WORD: Final = re.compile(r"[a-z0-9_]+")
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


DECODED: Final = 3
"""How often a path is decoded; whoever stands in the way to a venue's own door may do so again."""


class Forbidden:
    """Methods that no message may name. Each look returns the one that was found, else nothing."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.rpartition("/")[2]: name for name in names}

    def in_document(self, text: str) -> str:
        """Of a message or a body: of each `method` in it, or of all of it where it is no JSON."""
        plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "\\" in text else text
        plain = plain.lower()
        for word in self._names:  # most messages have none, and all wait for this
            if word in plain:
                break
        else:
            return ""
        methods: list[str] = []

        def note(pairs: list[tuple[str, Any]]) -> None:
            methods.extend(str(value) for name, value in pairs if name.lower() == "method")

        try:
            json.loads(text, object_pairs_hook=note)
        except (ValueError, RecursionError):
            return self._among(plain)
        return self._among(" ".join(methods))

    def in_target(self, target: str) -> str:
        """Of a path and a query: of any part of the path, and of a `method` in the query."""
        path, _, query = target.partition("?")
        for _ in range(DECODED):
            path = unquote(path)
        named = [value for name, value in parse_qsl(query) if name.lower() == "method"]
        return self._among(" ".join((path, *named)))

    def _among(self, text: str) -> str:
        return next((self._names[word] for word in _WORD.findall(text.lower()) if word in self._names), "")
