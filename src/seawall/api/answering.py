"""From a request to its answer: which method, who may call it, how often; and no error that is not answered."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec
import structlog

from seawall.api.access import Access, Identity
from seawall.api.errors import RpcError
from seawall.api.rates import Rates
from seawall.api.rpc import METHODS, Call, Envelope, Method, Parameters, from_query, parameters
from seawall.api.session import Session
from seawall.node.sequencer import Withdrawn
from seawall.vocabulary.errors import SeawallError

_TOKEN: Final = b'"access_token"'


class _Token(Parameters, frozen=True):
    """The one parameter that any call may carry."""

    access_token: str | None = None


class Answering:
    """What a door talks to. All of it runs on the event loop."""

    methods: ClassVar[Mapping[str, Method]] = METHODS

    def __init__(self, access: Access, rates: Rates, hub: Any) -> None:
        self.access, self.rates, self.hub = access, rates, hub
        self.clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self._log = structlog.get_logger()

    def disconnected(self, session: Session) -> None:
        """A connection is gone."""

    def takes_orders_along(self, session: Session, account: int) -> bool:
        """Whether orders that were placed through a connection go when it does."""
        return False

    # -- calls -------------------------------------------------------------------------------------------------------

    def serve(self, call: Call, request: Envelope) -> None:
        """Answer one JSON-RPC request, now or later; never raises."""
        call.method = request.method
        self._settle(
            call, lambda: self._call(call, lambda row: parameters(row.parameters, request.params), request.params)
        )

    def serve_query(self, call: Call, name: str, query: dict[str, str]) -> None:
        """The same for a GET, where all parameters are text."""
        call.method = name
        self._settle(call, lambda: self._call(call, lambda row: from_query(row.parameters, query), b""))

    def _settle(self, call: Call, find: Callable[[], Any]) -> None:
        """Answer a call with what `find` returns or raises; None leaves it open."""
        try:
            result = find()
        except RpcError as error:
            call.fail(error)
        except Withdrawn as error:
            call.fail(RpcError(13666, reason=str(error)))
        except SeawallError as error:
            call.fail(RpcError(13888, reason=f"outcome unknown: {error}"))
        except Exception as error:
            # A defect of ours: the client gets an answer and the log the place; others are not to suffer from it.
            self._log.exception("defect", method=call.method, error=repr(error))
            call.fail(RpcError(11094))
            if isinstance(error, MemoryError):
                raise
        else:
            if result is not None:
                call.answer(result)

    def _call(self, call: Call, read: Callable[[Method], Any], raw: msgspec.Raw | bytes) -> Any:
        row = self.methods.get(call.method)
        if row is None:
            raise RpcError(-32601, name=call.method[:100])
        session: Session = call.session
        identity: Identity | None = session.identity
        if _TOKEN in bytes(raw):
            token = parameters(_Token, raw).access_token
            identity = self.access.bearer(token, time.time(), session.address) if token else identity
        if row.scope:
            self._authorize(identity, row, session)
        call.identity = identity
        call.account = identity.account if identity is not None else -1
        if not row.free:
            self.rates.take(session, call.account, trading=row.trading)
        if row.websocket and not session.websocket:
            raise RpcError(10030)
        return row.call(self, call, read(row))

    def _authorize(self, identity: Identity | None, row: Method, session: Session) -> None:
        if identity is None:
            raise RpcError(13009, reason="no_credentials")
        self.access.check(identity, time.time(), session.address)
        if row.scope not in identity.rights:
            raise RpcError(13021, needed=row.scope)
