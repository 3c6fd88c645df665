"""How commands reach a running venue: its operations door, over HTTP, with the standard library alone.

The token comes from a file or from the environment, never from the command line, where other users can read it; it is
never sent beyond this machine without TLS.
"""

import functools
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlsplit

import typer

from seawall.vocabulary.errors import InputError, SeawallError

TIMEOUT_S = 60.0
ANSWER_MAX = 64 << 20
TOKEN_VARIABLE = "SEAWALL_OPS_TOKEN"

Ca = Annotated[Path | None, typer.Option(help="PEM of who signed the door's certificate, where the system has not.")]
Cert = Annotated[Path | None, typer.Option(help="PEM of your certificate, where the door asks for one.")]
CertKey = Annotated[Path | None, typer.Option(help="PEM of its key.")]
Scope = Annotated[str, typer.Argument(metavar="SCOPE", help="venue, underlying, instrument or account.")]
Name = Annotated[str, typer.Argument(metavar="[NAME]", help="Of what; the venue has none.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is journalled under your name.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]


class Where(NamedTuple):
    """The options that say which door, and as whom."""

    url: Annotated[
        str, typer.Option("--url", envvar="SEAWALL_OPS_URL", help="The operations door, e.g. http://127.0.0.1:8081.")
    ] = ""
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with your token; without it the variable {TOKEN_VARIABLE} has it.")
    ] = None
    ca: Ca = None
    cert: Cert = None
    cert_key: CertKey = None


NOWHERE: Final = Where()


def at_door(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `Where` in the place of its parameter `where`, as Typer reads them."""

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        command(where=Where(*(given.pop(name) for name in Where._fields)), **given)

    options: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        options += inspect.signature(Where).parameters.values() if own.name == "where" else [own]
    with_options.__annotations__ = {option.name: option.annotation for option in options}
    with_options.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return with_options


class DoorRefused(SeawallError):
    """The door did not do it: `status` is HTTP's, 0 where it was not reached; `answer` what it said."""

    def __init__(self, status: int, message: str, answer: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.answer = status, answer or {}


class Door:
    """One venue's operations door."""

    def __init__(self, where: Where) -> None:
        """Raises InputError for a place a token must not be sent to, and without a token."""
        if "@" in where.url:  # told without it: errors end up in logs
            shown = where.url.rpartition("@")[2]
            raise InputError("--url", shown, "must be the place alone, no name and password before it")
        try:
            parts = urlsplit(where.url)
            _ = parts.port  # it is looked at when it is asked for
        except ValueError as error:
            raise InputError("--url", where.url, f"must be like https://HOST:PORT: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("--url", where.url, "must be like https://HOST:PORT")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise InputError("--url", where.url, "beyond this machine it must be https: a token goes with each request")
        self._where, self._parts = where, parts
        self.token = _token(where.token_file)

    def get(self, path: str) -> dict[str, Any]:
        """The document at a path. Raises DoorRefused, InputError for what the venue takes for bad input."""
        found: dict[str, Any] = json.loads(self.text(path))
        return found

    def text(self, path: str) -> str:
        """The same, as it is."""
        return self._send("GET", path, None)

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """The answer to a change. Raises as `get` does."""
        found: dict[str, Any] = json.loads(self._send("POST", path, json.dumps(body).encode()))
        return found

    def _send(self, method: str, path: str, body: bytes | None) -> str:
        import http.client

        connection = self._connection()
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            text: str = answer.read(ANSWER_MAX).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise DoorRefused(0, f"{self._where.url} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise _refusal(answer.status, text)
        return text

    def _connection(self) -> Any:
        import http.client

        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        import ssl

        try:
            context = ssl.create_default_context(cafile=str(self._where.ca) if self._where.ca else None)
            if self._where.cert is not None:
                context.load_cert_chain(self._where.cert, self._where.cert_key)
        except OSError as error:
            raise InputError(
                "--ca, --cert", str(self._where.ca or self._where.cert), f"cannot be used: {error}"
            ) from error
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def _refusal(status: int, text: str) -> SeawallError:
    try:
        answer = json.loads(text)
        message = str(answer["message"])
    except (ValueError, KeyError, TypeError):
        return DoorRefused(status, f"HTTP {status}: {text[:200]}")
    if answer.get("error") == "input":
        return InputError(str(answer.get("field")), answer.get("value"), str(answer.get("rule")))
    where = "; ".join(str(one) for one in answer.get("where", []))
    return DoorRefused(status, f"{message} {where}".strip(), answer)


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "")
        rule = f"must name the file with your token, or {TOKEN_VARIABLE} must be set"
    else:
        try:
            token, rule = file.read_text().strip(), "must hold a token"
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("--token-file", str(file), f"cannot be read: {error}") from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError("--token-file", str(file), rule)
    return token


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
