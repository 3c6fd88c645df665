"""The path of a call to an exchange. Orders take turns: they leave in the order they came, one after the other.

An order that waited too long, or whose connection ended meanwhile, is not sent any more: whoever asks afterwards what
became of it must find the truth. For the same reason questions about orders wait for those that came before them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, ClassVar, Final

import msgspec

from seawall.api.access import Access
from seawall.api.adapter.channels import Channels
from seawall.api.answering import Answering
from seawall.api.errors import RpcError
from seawall.api.keystore import Key
from seawall.api.rates import Rates
from seawall.api.rpc import METHODS, Call, Method, Nothing
from seawall.venues.ccxt_dialect import Contract, split_id
from seawall.venues.ccxt_exchange import Exchange, kind_of
from seawall.vocabulary.errors import InputError

WAIT_MAX_S: Final = 1.0
"""How long an order may wait for its turn: shorter than a desk's patience with an order that may still arrive."""

_FIELDS: Final = {"amount": 10021, "price": 10043, "label": 11029}


class Adapter(Answering):
    """One account's."""

    methods: ClassVar[dict[str, Method]] = {}

    def __init__(self, exchange: Exchange, key: Key) -> None:
        access = Access()
        access.keys[key.id] = key
        self.exchange = exchange
        super().__init__(access, Rates(), Channels(exchange))
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, call: Call, work: Coroutine[Any, Any, Any], *, order: bool) -> None:
        """Answer a call when its work is done. `order`: the work changes orders."""
        task = asyncio.get_running_loop().create_task(self._answer(call, work, order=order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: Call, work: Coroutine[Any, Any, Any], *, order: bool) -> None:
        try:
            call.answer(await work)
        except RpcError as error:
            call.fail(error)
        except InputError as error:
            call.fail(RpcError(_FIELDS.get(error.field, 10001), reason=str(error)))
        except Exception as error:
            code, why = kind_of(error, order=order)
            self._log.warning("the exchange did not do it", method=call.method, code=code, why=why)
            call.fail(RpcError(code, reason=why))
            if isinstance(error, MemoryError):
                raise

    @contextlib.asynccontextmanager
    async def turn(self, call: Call) -> AsyncIterator[None]:
        """The turn of an order. Raises RpcError 10047 where it came too late, and then nothing was sent."""
        came = time.monotonic()
        async with self._turn:
            if call.session.closing is not None or time.monotonic() > came + WAIT_MAX_S:
                raise RpcError(10047, reason="not sent: it waited too long, or its connection ended")
            yield

    @property
    def busy(self) -> bool:
        """Whether an order is on its way."""
        return self._turn.locked()

    async def settled(self) -> None:
        """Wait until what became of all orders that came before is known, or known to be unknown."""
        async with self._turn:
            return

    def contract(self, name: str) -> Contract:
        """A contract by its name. Raises RpcError 13020."""
        found = self.exchange.contracts.get(name)
        if found is None:
            why = next((why for symbol, why in self.exchange.left_out.items() if symbol == name), "not listed")
            raise RpcError(13020, param="instrument_name", value=name[:64], reason=why)
        return found

    def owned(self, order_id: str) -> tuple[Contract, str]:
        """The contract of an order, and its id at the exchange. Raises RpcError 10004."""
        name, own = split_id(order_id)
        found = self.exchange.contracts.get(name)
        if found is None or not own:
            raise RpcError(10004, order_id=order_id[:64])
        return found, own


def absent(adapter: Adapter, call: Call, asked: Any) -> Any:
    """Part of the dialect, and not spoken here."""
    raise RpcError(10033, method=call.method)


def table(own: Mapping[str, Method], taken_over: tuple[str, ...]) -> dict[str, Method]:
    """All methods of the dialect: those of our own, those that are the same everywhere, and those absent here."""
    rest = {
        name: msgspec.structs.replace(row, call=absent, parameters=Nothing, websocket=False)
        for name, row in METHODS.items()
    }
    return rest | {name: METHODS[name] for name in taken_over} | dict(own)
