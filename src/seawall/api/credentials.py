"""Who sends an HTTP request: the Authorization header in its three forms, or a token among the parameters."""

import base64
import binascii
import time
from typing import Any, Final

from seawall.api.access import Access, Identity
from seawall.api.errors import RpcError
from seawall.api.rpc import METHODS
from seawall.api.web import Asked

_SIGNED: Final = "deri-hmac-sha256"


def from_header(service: Any, asked: Asked, body: bytes, name: str, query: dict[str, str]) -> Identity | None:
    """The identity of a request, None for an anonymous one. Raises RpcError 13004, 13009 or 10028."""
    access: Access = service.access
    kind, _, rest = (asked.headers.get("authorization") or "").partition(" ")
    kind = kind.lower()
    if kind == _SIGNED:
        return access.identity(_signed(access, asked, body, name, rest, service.clock_ms()))
    if kind == "bearer":
        return access.bearer(rest.strip(), time.time(), asked.client)
    if kind == "basic":
        try:
            client, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise RpcError(13004) from None
        return access.identity(access.login(client, secret, asked.client))
    token = query.get("access_token")
    return access.bearer(token, time.time(), asked.client) if token else None


def _signed(access: Access, asked: Asked, body: bytes, name: str, rest: str, now_ms: int) -> Any:
    """The login of a signed request: over the target and the body as they came, byte for byte."""
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    stamp, nonce = fields.get("ts", ""), fields.get("nonce", "")
    head = f"{stamp}\n{nonce}\n{asked.method}\n{asked.target}\n".encode(errors="surrogatepass")
    row = METHODS.get(name)
    # without a name it is the handshake of a WebSocket, which is logged in by it
    changes = not name or (row is not None and row.scope.endswith(":read_write"))
    return access.signed(
        fields.get("id", ""), stamp, head + body + b"\n", fields.get("sig", ""), now_ms, asked.client, changes=changes
    )
