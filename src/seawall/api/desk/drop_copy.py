"""The drop copy of one account at the venue: a connection of ours that hears all its orders and executions.

It is also where the truth is asked for. `catch_up` runs at each connect, and every RECONCILE_S: executions since the
last one heard, orders that we hold open and the venue does not, orders of unknown outcome; then positions and balances
of the bots together are compared with the venue's, to the lot and to the atom, where nothing is on its way and nothing
was heard while we asked. The same difference at two such looks in a row is a break: told, and the account may only
reduce until people have looked.
"""

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from seawall.api.desk.cancelling import AT_ONCE, TOO_MANY
from seawall.api.desk.rows import FIRED, OrderRow, TradeRow, lots_of, order_rows, trade_rows
from seawall.api.desk.sent import OWN
from seawall.api.desk.statement import Statement
from seawall.api.desk.tokens import EARLY
from seawall.venues.connection import Connection, Unreachable, VenueError
from seawall.venues.credentials import Credentials

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk
    from seawall.api.desk.sent import Sent

RECONCILE_S: Final = 2.0
GRACE_S: Final = 2.0
"""How long after its connection was lost an order may still reach the venue."""

EDITED_S: Final = 60.0
"""An edit asked for so long before a start had its answer, or its order is of unknown outcome in the journal."""

ANSWER_MAX_S: Final = 10.0
"""An order that has had no answer for so long is of unknown outcome."""

UNFOUND_S: Final = 10.0
"""For how long a venue that has given an order an id may not find it under that without its being over."""

BACK_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before connecting again."""

OVERLAP_MS: Final = 60_000
"""Executions are asked for from this long before the last one asked for: the venue's clock orders them, not ours."""

RECENT_MS: Final = 23 * 3_600_000
ENDED_MS: Final = 25 * 60_000
"""How old executions, and orders that are over, may be before a venue has them among its history alone."""

COMPARED_MAX_S: Final = 60.0
"""An account that was not compared for so long is told of: nothing is looked at while something is on its way."""

LATER: Final = TOO_MANY | {10040, 10041}
"""Errors of a venue that is to be asked again a little later: too many requests, or a settlement at work."""

OF_ALL: Final = LATER | {10000, 11051, 11094, 13004, 13009, 13021, 13028, 13888}
"""Errors that are not about the one order that was asked for."""

RIVALS_MAX: Final = 8
"""Orders of the same terms and of unknown outcome that are told apart by when they left."""

NOT_YET: Final = "not connected yet"
PAGE: Final = 1000
_SCOPE: Final = "connection account:read trade:read_write wallet:read"
_CHANNELS: Final = ["user.orders.any.any.raw", "user.trades.any.any.raw"]


class _Parameters(msgspec.Struct):
    channel: str
    data: msgspec.Raw


class _Told(msgspec.Struct):
    method: str = ""
    params: _Parameters | None = None


_decoder: Final = msgspec.json.Decoder(_Told)
_orders: Final = msgspec.json.Decoder(OrderRow | list[OrderRow], strict=False)
_trades: Final = msgspec.json.Decoder(list[TradeRow], strict=False)


class DropCopy:
    """One account's. `seeing`: connected, caught up, and nothing stands in the way of trusting what is known."""

    def __init__(self, desk: "Desk", name: str, credentials: Credentials) -> None:
        self.desk, self.name, self._credentials = desk, name, credentials
        self.seeing = False
        self.why = NOT_YET
        self.venue: Connection | None = None
        self.cancels = asyncio.Semaphore(AT_ONCE)
        self._renew_at = 0.0
        """When the connection is to be logged in again (monotonic)."""
        self.statement = Statement(desk, name)
        self.breaks: dict[str, Any] = {}
        """Differences that stood at the last look, by what they are about."""
        self.compared_ms = 0
        """When positions and balances were compared last, milliseconds since the epoch."""
        self._compared_at = time.monotonic()
        """The same, or when they could have been for the first time over this connection."""
        self._looked_at = 0.0
        """When all that was asked for at a look was answered last (monotonic)."""
        self._risen: set[str] = set()
        """Orders open at the venue at the last look that are over here."""
        self._told = 0
        """Messages heard about orders and executions."""
        self._log = structlog.get_logger().bind(account=name)

    async def run(self) -> None:
        """Keep the connection, for good."""
        attempt = 0
        while True:
            try:
                self.venue = venue = await Connection.open(self.desk.http, self.desk.upstream, self._hear)
                reading = asyncio.create_task(venue.read())
                try:
                    await self._begin(venue)
                    attempt = 0
                    await self._keep(venue, reading)
                finally:
                    reading.cancel()
                    await venue.close()
            except (Unreachable, VenueError) as error:
                self._blind(str(error))
            except Exception as error:  # a defect of ours, or an answer of theirs that nobody foresaw
                self._log.exception("the drop copy failed")
                self._blind(f"failed: {error!r}")
                if isinstance(error, MemoryError):
                    raise
            await asyncio.sleep(BACK_S[min(attempt, len(BACK_S) - 1)])
            attempt += 1

    async def _log_in(self, venue: Connection) -> None:
        found = await venue.log_in(self._credentials, _SCOPE)
        self._renew_at = time.monotonic() + EARLY * float(found["expires_in"])

    async def _begin(self, venue: Connection) -> None:
        await self._log_in(venue)
        self.desk.forget_tokens()
        self._compared_at = time.monotonic()
        await venue.ask("private/subscribe", channels=_CHANNELS)
        await self.catch_up(venue)
        while self.statement.taken is None:  # something was on its way while we took over
            await asyncio.sleep(BACK_S[0])
            await self.catch_up(venue)
        await self._past_edits(venue)
        self.seeing, self.why, self._looked_at = True, "", time.monotonic()
        self._log.info("the drop copy is seen")

    async def _past_edits(self, venue: Connection) -> None:
        """An edit on its way when Seawall was killed may reach the venue after we looked: look again when none can."""
        desk, shadow = self.desk, self.desk.shadow
        left = desk.began + GRACE_S - time.monotonic()
        recent = time.time_ns() - shadow.edited_ns < EDITED_S * 1e9
        ours = any(desk.place_of(live.account) == self.name for live in shadow.by_seq.values())
        if desk.gate.enforce and left > 0 and recent and ours:
            self.why = "an edit from before the start may be on its way"
            await asyncio.sleep(left)
            await self.catch_up(venue)

    async def _keep(self, venue: Connection, reading: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.wait([reading], timeout=RECONCILE_S)
            if reading.done():
                self._blind("the connection ended")
                return
            try:
                if time.monotonic() > self._renew_at:
                    await self._log_in(venue)
                await self.catch_up(venue)
            except VenueError as error:  # orders and executions are heard all the same: connecting anew asks for more
                if error.code not in LATER or time.monotonic() > self._looked_at + COMPARED_MAX_S:
                    raise
                self._log.warning("the venue is asked again later", why=str(error))
            else:
                self._looked_at = time.monotonic()

    def _blind(self, why: str) -> None:
        if self.seeing or self.why == NOT_YET:  # once; who could not see from the start is told of, too
            self.desk.blind(self.name, why)
        self.seeing, self.why = False, why

    def takes_over(self, trade: TradeRow) -> bool:
        """Whether an execution is part of what is taken over with the account, or was. What is just being asked of the
        account may be from before it, so that is asked again."""
        taken = self.statement.taken
        if taken is None:
            self._told += 1
        return taken is None or trade.timestamp < taken.began

    def _hear(self, text: str) -> None:
        told = _decoder.decode(text)
        if told.params is None:
            return
        self._told += 1
        if told.params.channel.startswith("user.orders"):
            found = _orders.decode(told.params.data)
            for order in found if isinstance(found, list) else [found]:
                self.desk.shadow.order(order, self.name)
        elif told.params.channel.startswith("user.trades"):
            for trade in _trades.decode(told.params.data):
                self.desk.shadow.trade(trade, self.name)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def catch_up(self, venue: Connection) -> None:
        """Ask for what may have been missed, settle what is unknown, compare. Raises Unreachable, VenueError."""
        desk, began, told = self.desk, time.monotonic(), self._told
        for sent in [one for one in desk.unbound if one.at == self.name and one.state == "sent"]:
            if began - sent.began > ANSWER_MAX_S:
                sent.lost(f"no answer within {ANSWER_MAX_S} s")
                sent.cut()
        trades = await self._trades(venue)
        if self.statement.taken is None:
            self.statement.since = trades[-1].timestamp + 1 if trades else 0  # what they made is about to be taken over
            trades = []
        elif trades and not any(one.at == self.name for one in (*desk.unbound, *desk.lost)):
            # Not what came by an answer, which may be later than much that was missed.
            self.statement.since = max(self.statement.since, trades[-1].timestamp - OVERLAP_MS)
        open_rows = {row.order_id: row for row in order_rows(await venue.ask("private/get_open_orders"))}
        for row in open_rows.values():  # first, so that executions find the terms that they were made at
            desk.shadow.order(row, self.name)
        risen = {id_ for id_ in open_rows if id_ in desk.shadow.done}
        for id_ in risen & self._risen:  # at two looks: at one its end may have been heard meanwhile
            desk.shadow.risen(open_rows[id_], self.name)
        self._risen = risen
        await self._placed(venue, trades, open_rows)
        desk.shadow.listed(self.name)
        for trade in trades:
            desk.shadow.trade(trade, self.name)
        for id_ in [id_ for id_, held in desk.shadow.orphans.items() if held[0][1] == self.name]:
            whose, _ = await self._ask_order(venue, id_)
            if whose is not None:
                desk.shadow.order(whose, self.name)
            else:
                desk.shadow.release(id_)
        for live in [one for one in desk.shadow.live.values() if desk.place_of(one.account) == self.name]:
            if live.id not in open_rows and live.since < began:  # a later one need not be among them
                await self._gone(venue, live.id)
        if began > desk.began + GRACE_S:  # an edit from before our stop reaches nothing any more
            for live in [desk.shadow.by_seq[seq] for seq in desk.shadow.unsure if seq in desk.shadow.by_seq]:
                if live.id in open_rows and desk.place_of(live.account) == self.name:
                    desk.shadow.unsure.discard(live.seq)
                    desk.acknowledge(live)
        for sent in [one for one in desk.lost if one.at == self.name]:
            await self._settle(venue, sent, open_rows, began)
        await self._compare(venue, told)

    async def _trades(self, venue: Connection) -> list[TradeRow]:
        """What was executed since it was asked for last; of an account that is yet to be taken over the latest."""
        taken = self.statement.taken
        since = max(taken.since, self.statement.since) if taken is not None else 0
        wanted: dict[str, Any] = {"end_timestamp": 2**53, "count": PAGE, "include_old": True}
        wanted["sorting"] = "asc" if taken is not None else "desc"
        kinds = [wanted]
        if taken is None or (not self.seeing and 0 < since < time.time_ns() // 1_000_000 - RECENT_MS):
            kinds.append(wanted | {"historical": True})
        found: list[TradeRow] = []
        for currency, kind in itertools.product(self.desk.currencies, kinds):
            start = since
            while True:
                page = await venue.ask(
                    "private/get_user_trades_by_currency_and_time", currency=currency, start_timestamp=start, **kind
                )
                rows = trade_rows(page["trades"])
                found += rows
                if taken is None or not page["has_more"] or not rows:
                    break
                start = max(rows[-1].timestamp, start + 1)
        return sorted(found, key=lambda row: row.timestamp)

    async def _placed(self, venue: Connection, trades: list[TradeRow], open_rows: dict[str, OrderRow]) -> None:
        """What stops placed that fired unheard is told of before its executions, which are then the stop's."""
        shadow, listings = self.desk.shadow, self.desk.view.listings
        gone = {
            (listings[live.instrument].name, live.side)
            for live in shadow.live.values()
            if live.id not in open_rows
            and live.instrument in listings
            and self.desk.place_of(live.account) == self.name
        }
        strange = {
            trade.order_id: None
            for trade in trades
            if (trade.instrument_name, trade.side) in gone
            and trade.order_id not in shadow.live
            and trade.order_id not in shadow.done
            and (trade.trade_id, trade.order_id) not in shadow.seen
        }
        for id_ in strange:
            row, _ = await self._ask_order(venue, id_)
            if row is not None and row.trigger_order_id in shadow.live:
                shadow.order(row, self.name)

    async def _gone(self, venue: Connection, id_: str) -> None:
        """An order that is open here and not there: how it ended, with its executions first."""
        row, trades = await self._ask_order(venue, id_)
        if row is not None and row.order_state == FIRED:
            row, trades = await self._placed_by(venue, row)
        self._hear_order(row, trades)

    async def _placed_by(self, venue: Connection, stop: OrderRow) -> tuple[OrderRow | None, Any]:
        """What a stop that fired has placed, and is over: where that is not found for long, it placed nothing."""
        past = await self._past(venue, stop.instrument_name)
        shadow = self.desk.shadow
        for row in past:
            if row.trigger_order_id == stop.order_id:
                shadow.order(row, self.name)
                return await self._ask_order(venue, row.order_id)
        shadow.order(stop, self.name)
        live = shadow.live.get(stop.order_id)
        if live is None or time.monotonic() < live.fired + ANSWER_MAX_S:
            return None, []
        stop.order_state = "cancelled"
        return stop, []

    async def _past(self, venue: Connection, instrument: str, since_ms: int = 2**53) -> list[OrderRow]:
        """Orders of an instrument, placed `since_ms`, that are no longer open, those without a fill among them."""
        asked = {"instrument_name": instrument, "count": PAGE, "include_unfilled": True, "include_old": True}
        found = order_rows(await venue.ask("private/get_order_history_by_instrument", **asked))
        if since_ms < time.time_ns() // 1_000_000 - ENDED_MS:
            more = await venue.ask("private/get_order_history_by_instrument", **asked, historical=True)
            known = {row.order_id for row in found}
            found += [row for row in order_rows(more) if row.order_id not in known]
        return found

    async def _ask_order(self, venue: Connection, id_: str) -> tuple[OrderRow | None, Any]:
        """An order and its executions; None for one that neither side knows."""
        try:
            (row,) = order_rows(await venue.ask("private/get_order_state", order_id=id_))
            trades = await venue.ask("private/get_user_trades_by_order", order_id=id_)
        except VenueError as error:
            if _of_all(error):
                raise
            if error.code != 10004:
                self._log.warning("the venue does not tell of an order", order_id=id_, why=str(error))
            live = self.desk.shadow.live.get(id_)
            if live is None or time.monotonic() < live.since + UNFOUND_S:
                return None, []
            if not live.seq:
                self.desk.shadow.over(live)
                return None, []
            listing = self.desk.view.listings[live.instrument]
            state = FIRED if live.waits else "cancelled"
            row, trades = OrderRow(id_, listing.name, "buy", state, listing.amount(live.lots), 0.0), []
        return row, trades

    def _hear_order(self, row: OrderRow | None, trades: Any) -> None:
        if row is None:
            return
        for trade in trade_rows(trades["trades"] if isinstance(trades, dict) else trades):
            self.desk.shadow.trade(trade, self.name)
        self.desk.shadow.order(row, self.name)

    # -- unknown outcomes ----------------------------------------------------------------------------------------------

    async def _settle(self, venue: Connection, sent: "Sent", rows: dict[str, OrderRow], began: float) -> None:
        """Find an order of unknown outcome at the venue, or be sure that it is not there."""
        if sent.state != "lost" or not sent.seq:
            return
        if sent.edits is not None:
            await self._settle_edit(venue, sent, rows, began)
            return
        try:
            past = await self._past(venue, sent.listing.name, sent.began_ms)
        except VenueError as error:
            if _of_all(error):
                raise
            self._log.warning("the venue does not tell what became of an order", seq=sent.seq, why=str(error))
            return
        if sent.state != "lost" or any(_alike(sent, one) for one in self.desk.unbound if one.state != "lost"):
            return  # answered meanwhile; or one that is yet to be answered might be taken for it
        shadow = self.desk.shadow
        fitting = [
            row
            for row in (*rows.values(), *past)
            if row.order_id not in shadow.live and row.order_id not in shadow.done and sent.fits(row)
        ]
        rivals = [one for one in self.desk.lost if one is not sent and one.seq and _alike(sent, one)]
        row = _its_own(sent, rivals, fitting) if fitting else None
        if row is not None:
            sent.found(row)
            await self._gone(venue, row.order_id)
            self._log.info("an order of unknown outcome was found", seq=sent.seq, order_id=row.order_id)
        elif began > sent.lost_at + GRACE_S:
            sent.never_arrived()
            self._log.info("an order of unknown outcome never arrived", seq=sent.seq)

    async def _settle_edit(self, venue: Connection, sent: "Sent", rows: dict[str, OrderRow], began: float) -> None:
        """The order itself says which terms it has, once the edit can reach it no more."""
        assert sent.edits is not None
        live = sent.edits[0]
        found: tuple[OrderRow | None, Any] = None, []
        if live.id in self.desk.shadow.live:
            if began <= sent.lost_at + GRACE_S:
                return
            found = (rows[live.id], []) if live.id in rows else await self._ask_order(venue, live.id)
            if found[0] is None and live.id in self.desk.shadow.live:
                return
        if sent.state == "lost":
            self.desk.unbound.discard(sent)
            if found[0] is not None:
                self.desk.shadow.order(found[0], self.name)  # its terms, before the executions that waited for them
            sent.finish()
            self._hear_order(*found)
            sent.edit_settled(live)

    # -- comparing -----------------------------------------------------------------------------------------------------

    async def _compare(self, venue: Connection, told: int) -> None:
        """Positions and balances, the bots' together against the venue's; `told` messages had been heard before.

        The log is read first where it was not for a while, and where the last look found a difference that is no break
        yet; one found without it is looked at once more with it, and only that counts.
        """
        statement = self.statement
        fresh = statement.due or self._untold(self.breaks)
        if statement.taken is not None:
            if fresh:
                await statement.read(venue)
            told = self._told
        theirs = await venue.ask("private/get_positions")
        summaries = (await venue.ask("private/get_account_summaries"))["summaries"]
        if self._told != told or self.desk.busy(self.name):
            if (since := time.monotonic() - self._compared_at) > COMPARED_MAX_S:
                self.desk.uncompared(self.name, round(since))
            return  # what came meanwhile makes a difference that is none: at the next look, then
        held: dict[str, int] = {}
        for row in theirs:
            listing = self.desk.view.by_name.get(row["instrument_name"])
            if listing is not None and row["size"]:
                size = lots_of(listing, abs(row["size"]))
                held[listing.name] = size if row["size"] > 0 else -size
        if statement.taken is None:
            await statement.adopt(venue, held, summaries, {row["instrument_name"]: _gained(row) for row in theirs})
            return
        if await statement.take_in(venue, summaries):
            return
        found = statement.differences(held, summaries)
        broken = dict(self._broken)
        delivering = self.desk.delivering() if found or broken else set()
        found = {about: facts for about, facts in found.items() if about not in delivering}
        if self._untold(found) and not fresh:
            statement.stale()
            await self._compare(venue, told)
            return
        for about, facts in found.items():
            before = self.breaks.get(about)
            if before is not None and _off(before) == _off(facts) != broken.get(about):
                broken[about] = _off(facts)
                self.desk.broken(self.name, about, facts)
        self.compared_ms, self._compared_at = time.time_ns() // 1_000_000, time.monotonic()
        self.breaks = found
        await statement.keep_broken({name: off for name, off in broken.items() if name in found or name in delivering})

    @property
    def _broken(self) -> dict[str, int]:
        """By how much the breaks that were told of were off, as long as they stand; also before the start."""
        return self.statement.taken.broken if self.statement.taken is not None else {}

    def _untold(self, found: dict[str, Any]) -> bool:
        """Whether there is a difference that was not told of, or is another one now: what stands hides nothing."""
        return any(self._broken.get(about) != _off(facts) for about, facts in found.items())


def _gained(row: dict[str, Any]) -> float:
    """What a position gained since the last settlement."""
    parts = (row.get("floating_profit_loss"), row.get("realized_profit_loss"))
    return sum(float(part or 0.0) for part in parts)


def _off(facts: dict[str, Any]) -> int:
    off: int = facts["theirs"] - facts["ours"]
    return off


def _of_all(error: VenueError) -> bool:
    """Whether an error says nothing of the one order asked for, as one of what stands before a venue never does."""
    return error.code in OF_ALL or error.code < OWN


def _its_own(sent: "Sent", rivals: "list[Sent]", rows: list[OrderRow]) -> OrderRow | None:
    """Which of the orders found at the venue is one of unknown outcome; `rivals` have the same terms, and may be other
    bots'. They came in the order in which they left, and of such ways to share them the nearest in time counts."""
    orders = sorted((sent, *rivals), key=lambda one: one.began_ms)
    rows = sorted(rows, key=lambda row: row.creation_timestamp)
    few = min(len(orders), len(rows)) if max(len(orders), len(rows)) <= RIVALS_MAX else 0
    if not few:
        return min(rows, key=lambda row: abs(row.creation_timestamp - sent.began_ms))

    def apart(pairs: "list[tuple[Sent, OrderRow]]") -> int:
        return sum(abs(row.creation_timestamp - one.began_ms) if one.fits(row) else 2**60 for one, row in pairs)

    ways = itertools.product(itertools.combinations(orders, few), itertools.combinations(rows, few))
    best = min((list(zip(*way, strict=True)) for way in ways), key=apart)
    return next((row for one, row in best if one is sent), None)


def _alike(sent: "Sent", other: "Sent") -> bool:
    """Whether an order at the venue may be either."""
    same = all(getattr(sent, name) == getattr(other, name) for name in ("at", "listing", "side", "label"))
    return same and other.edits is None and (sent.lots == other.lots or (sent.reduces and other.reduces))
