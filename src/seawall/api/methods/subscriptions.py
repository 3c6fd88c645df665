"""Subscriptions, heartbeats, and the small methods that show the venue is there."""

import time
from typing import Any, Final

import seawall
from seawall.api.errors import RpcError, invalid
from seawall.api.rpc import Call, Nothing, Parameters, method
from seawall.api.service import Service

HEARTBEAT_LEAST_S: Final = 10
HEARTBEAT_MOST_S: Final = 86_400


class Channels(Parameters, frozen=True):
    """Names of channels."""

    channels: list[str]


class Heartbeat(Parameters, frozen=True):
    """Of set_heartbeat."""

    interval: float


class Greeting(Parameters, frozen=True):
    """Of hello."""

    client_name: str = ""
    client_version: str = ""


class Test(Parameters, frozen=True):
    """Of test."""

    expected_result: str | None = None


@method("public/subscribe", Channels, websocket=True)
def subscribe(service: Service, call: Call, asked: Channels) -> None:
    """Hear channels; the answer lists those that are heard from now on."""
    service.hub.subscribe(call, asked.channels)


@method("private/subscribe", Channels, websocket=True)
def subscribe_private(service: Service, call: Call, asked: Channels) -> None:
    """The same for one who is logged in, or carries a token."""
    _logged_in(service, call)
    service.hub.subscribe(call, asked.channels)


@method("public/unsubscribe", Channels, websocket=True)
def unsubscribe(service: Service, call: Call, asked: Channels) -> Any:
    """Stop hearing channels; the answer lists those that were heard."""
    return service.hub.unsubscribe(call.session, asked.channels)


@method("private/unsubscribe", Channels, websocket=True)
def unsubscribe_private(service: Service, call: Call, asked: Channels) -> Any:
    """The same."""
    _logged_in(service, call)
    return service.hub.unsubscribe(call.session, asked.channels)


@method("public/unsubscribe_all", Nothing, websocket=True)
def unsubscribe_all(service: Service, call: Call, asked: Nothing) -> Any:
    """Stop hearing anything."""
    service.hub.unsubscribe(call.session, list(call.session.channels))
    return "ok"


@method("private/unsubscribe_all", Nothing, websocket=True)
def unsubscribe_all_private(service: Service, call: Call, asked: Nothing) -> Any:
    """The same."""
    _logged_in(service, call)
    return unsubscribe_all(service, call, asked)


@method("public/set_heartbeat", Heartbeat, websocket=True)
def set_heartbeat(service: Service, call: Call, asked: Heartbeat) -> Any:
    """Be asked for a sign of life each interval, in seconds; without one the connection is closed."""
    if not HEARTBEAT_LEAST_S <= asked.interval <= HEARTBEAT_MOST_S:
        raise invalid("interval", f"must lie in [{HEARTBEAT_LEAST_S}, {HEARTBEAT_MOST_S}]")
    service.hub.set_heartbeat(call.session, asked.interval)
    return "ok"


@method("public/disable_heartbeat", Nothing, websocket=True)
def disable_heartbeat(service: Service, call: Call, asked: Nothing) -> Any:
    """Be left alone."""
    service.hub.set_heartbeat(call.session, 0)
    return "ok"


@method("public/test", Test)
def test(service: Service, call: Call, asked: Test) -> Any:
    """Version of the venue; answers a test request."""
    if asked.expected_result == "exception":
        raise RpcError(10001, reason="as asked for")
    service.hub.tested(call.session)
    return {"version": seawall.__version__}


@method("public/hello", Greeting)
def hello(service: Service, call: Call, asked: Greeting) -> Any:
    """The same, for a client that says who it is."""
    return {"version": seawall.__version__}


@method("public/get_time", Nothing)
def get_time(service: Service, call: Call, asked: Nothing) -> Any:
    """Milliseconds since the epoch."""
    return service.clock_ms()


def _logged_in(service: Service, call: Call) -> None:
    """Raise RpcError 13009 unless somebody is."""
    if call.identity is None:
        raise RpcError(13009, reason="no_credentials")
    service.access.check(call.identity, time.time(), call.session.address)
