"""Subscriptions to what an exchange tells by itself, or says when it is asked each second.

Orders and executions come as the exchange pushes them where ccxt can hear that; prices, books and trades are looked at
once a second. Channels that are not spoken here (books by their changes, candles) are left out of the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
import structlog

from seawall.api.channels.hub import Heartbeat, allowed
from seawall.api.rpc import Call
from seawall.api.session import Session
from seawall.venues.ccxt_dialect import book_sides, ticker_object, trade_object
from seawall.venues.ccxt_exchange import PAUSE_S, Exchange, said

BOOK_DEPTHS: Final = ("1", "10", "20")
TRADES: Final = 100
"""Asked for at each look; of more in a second the oldest are not told."""

_encode: Final = msgspec.json.Encoder().encode


class Channels:
    """What the rows of subscription methods know as the hub."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._heard: dict[str, set[Session]] = {}
        self._beating: dict[Session, Heartbeat] = {}
        self._seen: dict[str, Any] = {}
        """What a channel of prices told last."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._log = structlog.get_logger()

    # -- who hears what ------------------------------------------------------------------------------------------------

    def subscribe(self, call: Call, names: list[str]) -> None:
        """Answer with the channels that are heard from now on; they begin after the answer."""
        session: Session = call.session
        may_read = allowed(call.identity, "trade")
        known = [name for name in names if self._known(name) and (may_read or not name.startswith("user."))]
        call.answer(known)
        for name in known:
            session.channels[name] = name
            self._heard.setdefault(name, set()).add(session)
        self._start(known)

    def unsubscribe(self, session: Session, names: list[str]) -> list[str]:
        """Those of the channels that were heard."""
        found = [name for name in names if session.channels.pop(name, None) is not None]
        for name in found:
            self._heard[name].discard(session)
            if not self._heard[name]:
                del self._heard[name]
                self._seen.pop(name, None)
        return found

    def leave(self, session: Session) -> None:
        """A connection is gone."""
        self.unsubscribe(session, list(session.channels))
        self._beating.pop(session, None)

    def _known(self, name: str) -> bool:
        kind, _, rest = name.partition(".")
        parts = rest.split(".")
        if kind == "user":
            return parts[0] in ("orders", "trades") and len(parts) in (3, 4)
        if parts[0] not in self._exchange.contracts:
            return False
        if kind == "book":
            return len(parts) == 4 and parts[1] == "none" and parts[2] in BOOK_DEPTHS
        return (kind in ("ticker", "trades") and len(parts) == 2) or (kind == "quote" and len(parts) == 1)

    # -- heartbeats ----------------------------------------------------------------------------------------------------

    def set_heartbeat(self, session: Session, interval_s: float) -> None:
        """Ask a session for a sign of life each interval; 0 to leave it alone."""
        self._beating.pop(session, None)
        if interval_s:
            self._beating[session] = Heartbeat(interval_s, asyncio.get_running_loop().time())

    def tested(self, session: Session) -> None:
        """A session called public/test."""
        if session in self._beating:
            self._beating[session].asked = False

    def beat(self) -> None:
        """A second passed."""
        for session, heartbeat in list(self._beating.items()):
            heartbeat.pass_time(session, asyncio.get_running_loop().time())

    # -- what is told --------------------------------------------------------------------------------------------------

    def _start(self, names: list[str]) -> None:
        """Begin what the channels need, and was not begun; it goes on until the end."""
        streams: dict[str, Callable[[], AsyncIterator[Any]]] = {
            "user.orders": self._exchange.watch_orders,
            "user.trades": self._exchange.watch_trades,
            "": self._look,
        }
        for start, stream in streams.items():
            wanted = any(name.startswith(start) if start else not name.startswith("user.") for name in names)
            if wanted and start not in self._tasks:
                self._tasks[start] = asyncio.get_running_loop().create_task(self._pump(start, stream))

    async def _pump(self, start: str, stream: Callable[[], AsyncIterator[Any]]) -> None:
        """Tell what a stream tells; begin it again when it breaks. What was missed meanwhile can be asked for."""
        while True:
            try:
                async for rows in stream():
                    if start:
                        self._tell_own(start, rows)
            except Exception as error:
                self._log.warning("a stream of the exchange broke", stream=start or "prices", why=said(error))
                if isinstance(error, MemoryError):
                    raise
            await asyncio.sleep(PAUSE_S)

    def _tell_own(self, start: str, rows: list[dict[str, Any]]) -> None:
        for name in [name for name in self._heard if name.startswith(start)]:
            parts = name.split(".")[2:]
            chosen = [row for row in rows if self._chosen(parts, row["instrument_name"])]
            if start == "user.orders" and parts[-1] == "raw":
                for row in chosen:
                    self._tell(name, row)
            elif chosen:
                self._tell(name, chosen)

    def _chosen(self, parts: list[str], instrument: str) -> bool:
        if len(parts) == 2:
            return parts[0] == instrument
        contract = self._exchange.contracts[instrument]
        kind = "option" if contract.option else "future"
        return parts[0] in ("any", kind) and parts[1].upper() in ("ANY", contract.settlement)

    async def _look(self) -> AsyncIterator[None]:
        """Once a second at what somebody hears; told where it changed."""
        while True:
            for name in [name for name in self._heard if not name.startswith("user.")]:
                data = await self._now(name)
                if data and name in self._heard:
                    self._tell(name, data)
            yield
            await asyncio.sleep(PAUSE_S)

    async def _now(self, name: str) -> Any:
        """What a channel is to tell; nothing where that was told."""
        exchange, (kind, instrument, *more) = self._exchange, name.split(".")
        contract = exchange.contracts[instrument]
        if kind == "trades":
            rows = await exchange.public_trades(contract, TRADES)
            last = self._seen.get(name)
            self._seen[name] = {row["id"] for row in rows}
            return [trade_object(contract, row) for row in rows if last is not None and row["id"] not in last]
        level = (await exchange.levels())[instrument]
        if kind == "book":
            sides = book_sides(contract, await exchange.book(contract, int(more[1])), int(more[1]))
            change = self._seen.get(name, (None, 0))
            if change[0] == sides:
                return None
            self._seen[name] = (sides, change[1] + 1)
            return {"instrument_name": instrument, "timestamp": level.time_ms, "change_id": change[1] + 1, **sides}
        data = ticker_object(contract, level)
        if kind == "quote":
            kept = ("instrument_name", "timestamp", "best_bid_price", "best_bid_amount", "best_ask_price",
                    "best_ask_amount")  # fmt: skip
            data = {each: data[each] or 0 for each in kept}
        before, self._seen[name] = self._seen.get(name), {**data, "timestamp": 0}
        return data if before != self._seen[name] else None

    def _tell(self, name: str, data: Any) -> None:
        message = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": name, "data": data}}
        text = _encode(message).decode()
        for session in self._heard.get(name, ()):
            session.push(text)

    async def stop(self) -> None:
        """End all streams."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
