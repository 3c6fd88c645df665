"""Logging in and out: `public/auth` in its three grants, sessions beside each other, `private/logout`."""

import time
import weakref
from typing import Any, Literal

from seawall.api.access import Access, Identity, Login
from seawall.api.errors import RpcError, invalid
from seawall.api.rpc import Call, Parameters, method


class Auth(Parameters, frozen=True):
    """Parameters of `public/auth`; which of them it takes depends on the grant."""

    grant_type: Literal["client_credentials", "client_signature", "refresh_token"]
    client_id: str = ""
    client_secret: str = ""
    timestamp: int | str = ""
    nonce: str = ""
    data: str = ""
    signature: str = ""
    refresh_token: str = ""
    scope: str = ""
    state: str | None = None


class Exchange(Parameters, frozen=True):
    """Parameters of `public/exchange_token`."""

    refresh_token: str
    subject_id: int


class Fork(Parameters, frozen=True):
    """Parameters of `public/fork_token`."""

    refresh_token: str
    session_name: str


class Logout(Parameters, frozen=True):
    """Parameters of `private/logout`."""

    invalidate_token: bool = True


@method("public/auth", Auth)
def auth(service: Any, call: Call, params: Auth) -> dict[str, Any]:
    """Log in: by secret, by signature, or on with a refresh token; over a socket, the connection is logged in."""
    access: Access = service.access
    now, client = time.time(), call.session.address
    if params.grant_type == "refresh_token":
        identity = access.refresh(_given(params, "refresh_token"), now, params.scope, client)
    elif params.grant_type == "client_credentials":
        login = access.login(_given(params, "client_id"), _given(params, "client_secret"), client)
        identity = _new(access, call, login, params.scope, now)
    else:
        stamp = str(_given(params, "timestamp"))
        for name in ("nonce", "data"):  # with line breaks the same bytes would be a signed HTTP request's: see access
            if "\n" in getattr(params, name):
                raise invalid(name, "must have no line breaks")
        message = f"{stamp}\n{params.nonce}\n{params.data}".encode(errors="surrogatepass")
        login = access.signed(
            _given(params, "client_id"), stamp, message, _given(params, "signature"), service.clock_ms(), client
        )
        identity = _new(access, call, login, params.scope, now)
    access.check(identity, now, client)
    if call.session.websocket:  # it stays logged in after the token's end, unless `expires:` was asked for
        call.session.identity = identity.lasting()
    return access.issue(identity, params.state)


@method("public/exchange_token", Exchange)
def exchange_token(service: Any, call: Call, params: Exchange) -> dict[str, Any]:
    """Tokens for another account of the same owner: a key acts for one account, so only its own is granted."""
    access: Access = service.access
    now = time.time()
    old = access.of_refresh(params.refresh_token, now, call.session.address)
    if params.subject_id != old.account:
        raise RpcError(13021, reason=f"the key acts for account {old.account} alone")
    return access.issue(access.refresh(params.refresh_token, now, "", call.session.address))


@method("public/fork_token", Fork)
def fork_token(service: Any, call: Call, params: Fork) -> dict[str, Any]:
    """Tokens for a new session beside the one of a refresh token, which stays; of named sessions only."""
    access: Access = service.access
    now = time.time()
    if not params.session_name or len(params.session_name) > 64 or params.session_name.split() != [params.session_name]:
        raise invalid("session_name", "must be 1 to 64 characters without spaces")
    old = access.of_refresh(params.refresh_token, now, call.session.address)
    if not old.session:
        raise RpcError(13021, reason="only a token of a named session can be forked")
    return access.issue(access.fork(old, params.session_name, now))


@method("private/logout", Logout, websocket=True)
def logout(service: Any, call: Call, params: Logout) -> None:
    """Close the connection without cancelling its orders; there is no answer."""
    session = call.session
    identity = session.identity
    if identity is None:
        raise RpcError(13009, reason="no_credentials")
    if params.invalidate_token and identity.login is not None:
        service.access.end(identity.login)
    session.logged_out = True
    session.identity = None
    session.close(1000, "logged out")


def _given(params: Auth, name: str) -> Any:
    value = getattr(params, name)
    if value == "":
        raise invalid(name, f"is needed with {params.grant_type}")
    return value


def _new(access: Access, call: Call, login: Login, scope: str, now: float) -> Identity:
    """The identity of a new login: of the connection, unless the scope names a session."""
    if call.session.websocket:
        login.connection = weakref.ref(call.session)
    return access.identity(login, scope, now, call.session.address)
