"""Tokens of the venue for calls that carry one: bots have tokens of ours, the venue is shown its own."""

import asyncio
import time
from typing import Any, Final

import aiohttp

from seawall.api.access import Identity
from seawall.api.keystore import SCOPES
from seawall.venues.connection import ask_by_http
from seawall.venues.credentials import Credentials, Upstream

EARLY: Final = 0.8
"""Of a token's life, after which another is asked for."""


SETTINGS: Final = frozenset(
    (
        "private/enable_cancel_on_disconnect", "private/disable_cancel_on_disconnect",
        "private/set_self_trading_config",
    )
)  # fmt: skip
"""Calls for which the venue wants the right to write an account, by which keys are made, too."""


def scope_of(identity: Identity, method: str = "", *, withdrawals: bool) -> str:
    """What is asked of the venue for a bot: its own rights; of the wallet no more than to look, unless allowed, and of
    the account unless a call needs more."""
    words = []
    for name in SCOPES:
        level = identity.level(name)
        more = withdrawals if name == "wallet" else name != "account" or method in SETTINGS
        if level == "read_write" and not more:
            level = "read"
        words.append(f"{name}:{level}")
    return " ".join(words)


class Tokens:
    """One token for each account at the venue and set of rights, asked for when first needed."""

    def __init__(self, http: aiohttp.ClientSession, upstream: Upstream) -> None:
        self._http, self._upstream = http, upstream
        self._held: dict[tuple[str, str], tuple[str, float]] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def of(self, credentials: Credentials, scope: str) -> str:
        """A token that is good for a while yet. Raises VenueError, Unreachable."""
        key = (credentials.key, scope)
        async with self._locks.setdefault(key, asyncio.Lock()):
            token, until = self._held.get(key, ("", 0.0))
            if time.monotonic() > until:
                found: dict[str, Any] = await ask_by_http(
                    self._http,
                    self._upstream,
                    "public/auth",
                    grant_type="client_credentials",
                    client_id=credentials.key,
                    client_secret=credentials.secret,
                    scope=scope,
                )
                token = str(found["access_token"])
                self._held[key] = (token, time.monotonic() + EARLY * float(found["expires_in"]))
            return token
