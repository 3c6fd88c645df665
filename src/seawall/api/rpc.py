"""JSON-RPC 2.0 as the dialect speaks it: one table of methods, one call from its parsing to its answer.

A method is a function of the service and a call. It returns its result, or None when the answer comes later (an order
is answered once it is durable; no result of the dialect is null), or raises RpcError. Parameters are a msgspec Struct,
decoded leniently: over GET every number, boolean and object arrives as text.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from seawall.api.errors import STATUS, RpcError, invalid

Send = Callable[[bytes, int], None]
"""Takes an answer's bytes and its HTTP status."""


class Parameters(msgspec.Struct, frozen=True):
    """Base of all parameters: unknown members are ignored, as clients leave their own in."""


class Nothing(Parameters, frozen=True):
    """No parameters."""


class Method(msgspec.Struct, frozen=True):
    """A row of the table: `scope` the right it needs, empty for public ones; `trading`: order entry; `free`: costs no
    credit."""

    name: str
    call: Callable[[Any, "Call", Any], Any]
    parameters: type[Parameters]
    scope: str
    trading: bool
    free: bool
    websocket: bool
    summary: str


METHODS: Final[dict[str, Method]] = {}


def method(
    name: str,
    parameters: type[Parameters] = Nothing,
    *,
    scope: str = "",
    trading: bool = False,
    free: bool = False,
    websocket: bool = False,
) -> Callable[[Callable[[Any, "Call", Any], Any]], Callable[[Any, "Call", Any], Any]]:
    """Put a function into the table under its name; its docstring's first line describes it in the OpenRPC document."""

    def enter(function: Callable[[Any, "Call", Any], Any]) -> Callable[[Any, "Call", Any], Any]:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        METHODS[name] = Method(name, function, parameters, scope, trading, free, websocket, summary)
        return function

    return enter


class Envelope(msgspec.Struct):
    """A request as it comes: anything beside these members is ignored."""

    method: str
    id: int | str | float | msgspec.UnsetType | None = msgspec.UNSET
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _Numbered(msgspec.Struct):
    id: int | str | float | None = None


_envelope: Final = msgspec.json.Decoder(Envelope)
_numbered: Final = msgspec.json.Decoder(_Numbered)
_decoders: dict[type[Parameters], msgspec.json.Decoder[Any]] = {}
_texts: dict[type[Parameters], frozenset[str]] = {}
_encode: Final = msgspec.json.Encoder().encode


class Call:
    """One request on its way: who asks, over what, and how to answer. Answered exactly once."""

    __slots__ = ("account", "answered", "began", "followers", "id", "identity", "method", "send", "session")

    def __init__(self, session: Any, id_: Any, send: Send) -> None:
        self.session, self.id, self.send = session, id_, send
        self.began = time.time_ns() // 1000
        self.answered = False
        self.method = ""
        self.account = -1
        self.identity: Any = None
        self.followers: list[Call] = []
        """Calls that asked the same again and get the same answer."""

    def answer(self, result: Any) -> None:
        """Send the result."""
        self._finish({"result": result}, 200)

    def fail(self, error: RpcError) -> None:
        """Send an error instead."""
        body: dict[str, Any] = {"code": error.code, "message": error.message}
        if error.data:
            body["data"] = error.data
        self._finish({"error": body}, STATUS.get(error.code, 400))

    def _finish(self, part: dict[str, Any], status: int) -> None:
        if self.answered:
            return
        self.answered = True
        for follower in self.followers:
            follower._finish(part, status)
        now = time.time_ns() // 1000
        document: dict[str, Any] = {"jsonrpc": "2.0"}
        if self.id is not msgspec.UNSET:
            document["id"] = self.id
        document.update(part)
        document["usIn"], document["usOut"], document["usDiff"] = self.began, now, now - self.began
        document["testnet"] = False
        self.send(_encode(document), status)


def parse(body: bytes) -> Envelope:
    """A request's envelope. Raises RpcError -32700 for what is no JSON, -32600 for JSON that is no request."""
    try:
        found = _envelope.decode(body)
    except msgspec.ValidationError as error:
        raise RpcError(-32600, reason=_rule(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RpcError(-32700, reason=str(error)) from None
    found.method = found.method.lstrip("/")
    return found


def id_in(body: bytes) -> int | str | float | None:
    """The id of what is no request, by which its sender tells the answer; None where none can be read."""
    try:
        return _numbered.decode(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parameters(kind: type[Parameters], raw: msgspec.Raw | bytes) -> Any:
    """A method's parameters from their JSON. Raises RpcError -32602 naming the parameter and the rule."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=False)
    data: Any = raw
    if bytes(data) == b"null":
        data = b"{}"
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(_where(error), _rule(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RpcError(-32700, reason=str(error)) from None


def from_query(kind: type[Parameters], query: dict[str, str]) -> Any:
    """A method's parameters from a query string, all text: objects and arrays are JSON, the rest is coerced.

    What can only be text, such as a label, stays as it is, whatever it begins with.
    """
    values: dict[str, Any] = {}
    plain = _texts.get(kind)
    if plain is None:
        plain = _texts[kind] = _only_text(kind)
    for name, text in query.items():
        values[name] = text
        if text[:1] in ("{", "[") and name not in plain:
            try:
                values[name] = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError):
                raise invalid(name, "must be JSON") from None
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(_where(error), _rule(error)) from None


def _only_text(kind: type[Parameters]) -> frozenset[str]:
    """Names of the parameters that are text, or left out."""
    found = msgspec.inspect.type_info(kind)
    assert isinstance(found, msgspec.inspect.StructType)
    text = (msgspec.inspect.StrType, msgspec.inspect.NoneType)
    return frozenset(
        field.encode_name for field in found.fields
        if all(isinstance(one, text) for one in getattr(field.type, "types", (field.type,)))
    )  # fmt: skip


def _where(error: msgspec.ValidationError) -> str:
    text = str(error)
    if "missing required field" in text:
        return text.partition("`")[2].partition("`")[0]
    return text.partition(" - at `$.")[2].rstrip("`") or "params"


def _rule(error: msgspec.ValidationError) -> str:
    return str(error).partition(" - at `")[0]
