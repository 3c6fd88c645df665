"""COMMAND records packed without numpy: one order is packed in a microsecond."""

import struct
from typing import Any, Final

from seawall.vocabulary.records import COMMAND, Kind

_FIELDS: Final = tuple(COMMAND.names or ())
_FORMAT: Final = struct.Struct(
    "<" + "".join({"<i8": "q", "|u1": "B", "|i1": "b", "<i4": "i"}[COMMAND[name].str] for name in _FIELDS)
)
assert _FORMAT.size == COMMAND.itemsize
_ZERO: Final = dict.fromkeys(_FIELDS, 0)


def packed(kind: Kind, **fields: Any) -> bytes:
    """One COMMAND record; what is not named is zero. Raises struct.error for a number its field cannot hold."""
    return _FORMAT.pack(*{**_ZERO, "kind": kind, **fields}.values())
