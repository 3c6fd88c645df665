"""One order or edit of a bot on its way to the venue, from the gate's word to the venue's."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from seawall.api.commands import packed
from seawall.api.desk.rows import FINAL, WAITING, OrderRow, Placed, TradeRow, lots_of
from seawall.api.desk.shadow import Live
from seawall.api.listing import Listing
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.records import Kind, TimeInForce

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk

UNSURE: Final = frozenset((11094, 13028, 13888))
"""Errors that do not say that an order was not placed: a defect at the venue, no answer in time within it."""

SKEW_MS: Final = 5_000
"""How far the venue's clock may be behind ours: what was placed there longer before an order left is not that order."""

LATE_S: Final = 600.0
"""How long an order that was given up is looked for among what comes from outside."""

UNREAD: Final = frozenset((-32700, -32600, -32601, -32602))
"""JSON-RPC's errors for what was not understood, so that nothing was done."""

OWN: Final = 10_000
"""The venue's own codes begin here. Any other code, 502 say, or none, is of what stands before it."""

_placed: Final = msgspec.json.Decoder(Placed, strict=False)
_log: Final = structlog.get_logger()


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Document(msgspec.Struct):
    """An answer over HTTP."""

    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Sent:
    """`seq` is its command in the journal, 0 until that is durable; a ghost was refused here and sent anyway."""

    __slots__ = (
        "account", "alone", "at", "began", "began_ms", "cut", "desk", "edits", "force", "ghost", "known", "label",
        "listing", "lost_at", "lots", "price", "reduces", "reply", "seq", "side", "state", "ticks", "unknown_seq",
    )  # fmt: skip

    def __init__(self, desk: "Desk", account: int, at: str, listing: Listing, side: int, lots: int, label: str) -> None:
        """`account` the bot's number here, `at` the account's name at the venue."""
        self.desk, self.account, self.at, self.listing = desk, account, at, listing
        self.side, self.lots, self.label = side, lots, label
        self.price: float | None = None
        """As the bot gave it, of a limit order."""
        self.reduces = False
        """Whether the venue cuts it to the position there, so that it may stand with another amount."""
        self.ticks = 0
        self.force = TimeInForce.GTC
        self.seq = 0
        self.ghost = False
        self.edits: tuple[Live, int, int] | None = None
        """Of an edit: the order, and its ticks and lots before."""
        self.alone = True
        """Of an edit: whether no other one of its order was on its way when it was weighed."""
        self.reply: tuple[Any, Any] | None = None
        """The venue's answer, if it came before our journal was durable."""
        self.state = "waiting"
        self.lost_at = 0.0
        self.cut: Callable[[], None] = lambda: None
        """Ends the connection that it goes by: given up, it must not leave later."""
        self.unknown_seq = 0
        """Of the command that says that its outcome is unknown, once that is durable."""
        self.began = time.monotonic()
        self.began_ms = time.time_ns() // 1_000_000
        """The same by our clock, which may step: it is for finding the order at the venue, not for counting seconds."""
        self.known = False
        """Whether it is durable what the engine says of it."""

    # -- the gate's word -----------------------------------------------------------------------------------------------

    def durable(self, seq: int, *, refused: bool) -> None:
        """The command is in the journal, accepted or refused."""
        self.seq, self.ghost, self.known = seq, refused, True
        if self.state == "done":  # withdrawn meanwhile
            self.withdrawn()
            return
        if self.edits is not None and not refused:
            live, _, _ = self.edits
            live.edited, live.lots = True, self.lots
        if self.state == "waiting":
            self.state = "sent"
        if self.reply is not None:
            reply, self.reply = self.reply, None
            self._take(*reply)
        elif self.state == "lost":
            self._say_unknown()
        elif self.state == "unsent":
            self.withdrawn()

    # -- the venue's word ----------------------------------------------------------------------------------------------

    def answered(self, result: Any, error: Any) -> None:
        """The venue answered; raw JSON each, one of them unset."""
        if not self.known:
            self.reply = (result, error)
            return
        self._take(result, error)

    def heard(self, document: bytes) -> None:
        """The same over HTTP. What is no answer leaves the outcome unknown."""
        try:
            found = msgspec.json.decode(document, type=_Document)
        except msgspec.DecodeError:
            self.lost("the answer was no JSON")
            return
        self.answered(found.result, found.error)

    def _take(self, result: Any, error: Any) -> None:
        if self.state == "done":
            return
        try:
            if error is not msgspec.UNSET:
                told: _Error | Placed = msgspec.json.decode(error, type=_Error)
            else:
                told = _placed.decode(b"" if result is msgspec.UNSET else result)
        except msgspec.DecodeError as failure:  # what stands before a venue may answer in words of its own
            _log.warning("an order's answer was not understood", error=str(failure))
            self.lost("the answer was not understood")
            return
        if isinstance(told, _Error):
            self._refused_there(told)
            return
        self._confirmed(told.order)
        for row in told.trades:
            self.desk.shadow.trade(row, self.at)
        self.desk.shadow.order(told.order, self.at)

    def _confirmed(self, row: OrderRow) -> None:
        if self.edits is not None:
            live = self.edits[0]
            plain = row.order_type == "limit"  # whose terms are those of the row
            if not plain:
                live.told = self.ticks, self.lots
            if self.ghost:  # the engine would not have it so, but so it is
                self.desk.shadow.restore(live, self.ticks, self.lots)
            elif not plain and row.order_state not in FINAL:
                self._as_told()
            self._known_again(live)
        else:
            self.found(row)
            return
        self.finish()

    def found(self, row: OrderRow) -> None:
        """It is at the venue under this id."""
        live = self.desk.shadow.bind(row.order_id, self)
        if live.seq != self.seq and not self.ghost:  # the venue took it for one that it had already
            self._end()
        live.waits = row.order_state in WAITING and live.id == row.order_id
        self.finish()

    def _refused_there(self, error: _Error) -> None:
        if error.code in UNSURE or (error.code < OWN and error.code not in UNREAD):
            self.lost(f"the venue answered {error.code}")
            return
        if self.edits is not None:
            self._as_told()
            self._known_again(self.edits[0])
        else:
            if isinstance(error.data, dict) and isinstance(id_ := error.data.get("order_id"), str):
                self.desk.shadow.refused(id_, self)
            if not self.ghost:
                self._end()
        self.finish()

    # -- no word -------------------------------------------------------------------------------------------------------

    def lost(self, why: str) -> None:
        """No answer will come: the outcome is unknown until the venue was asked."""
        if self.state in ("done", "lost"):
            return
        if self not in self.desk.unbound:  # it was never on its way
            self.finish()
            return
        _log.warning("outcome unknown", seq=self.seq, instrument=self.listing.name, why=why)
        self.state, self.lost_at = "lost", time.monotonic()
        self.desk.lost.append(self)
        if self.known:
            self._say_unknown()

    def _say_unknown(self) -> None:
        if not self.ghost:
            order = self.edits[0].seq if self.edits is not None else self.seq
            if order:
                self.desk.ask(packed(Kind.UNKNOWN, account=self.account, order_id=order), done=self._said_unknown)

    def _said_unknown(self, seq: int, error: SeawallError | None) -> None:
        self.unknown_seq = seq

    def overtaken(self, seq: int) -> bool:
        """Whether an outcome of its bot became unknown while it waited to be durable as `seq`: the engine took it
        without knowing that, and it is not to leave."""
        return any(
            one is not self and one.account == self.account and one.seq and not 0 < one.unknown_seq < seq
            for one in self.desk.lost
        )

    def unwanted(self) -> bool:
        """Whether the engine wants it cancelled by now, or the order that it edits: a kill came while it waited."""
        live = self.edits[0] if self.edits is not None else None
        seq = live.seq if live is not None else self.seq
        return seq in self.desk.shadow.wanted or (live is not None and live.cancelled)

    def _known_again(self, live: Live) -> None:
        """The answer to an edit came after all: the order's terms are known, unless another edit's are not."""
        if self.state == "lost":
            self.edit_settled(live)

    def edit_settled(self, live: Live) -> None:
        """The outcome of an edit is known."""
        edits = [one.edits for one in self.desk.lost if one is not self and one.seq]
        others = any(edit is not None and edit[0] is live for edit in edits)
        if not others and not self.ghost and live.id in self.desk.shadow.live:
            self.desk.acknowledge(live)

    def never_arrived(self) -> None:
        """The venue was asked, late enough, and has no such order."""
        self.desk.given_up.append(self)
        if not self.ghost:
            self._end()
        self.finish()

    def like(self, row: OrderRow | TradeRow, at: str) -> bool:
        """Whether an order or an execution of an account at the venue is of the same instrument, side and label."""
        own = self.at, self.listing.name, self.side, self.label
        return own == (at, row.instrument_name, row.side, row.label)

    def fits(self, row: OrderRow) -> bool:
        """Whether an order of its account at the venue may be it."""
        early = row.creation_timestamp < self.began_ms - SKEW_MS
        whole = lots_of(self.listing, row.amount) == self.lots or (self.reduces and row.reduce_only)
        if early or not whole or not self.like(row, self.at):
            return False
        if self.price is None or not isinstance(row.price, float | int):
            return True
        better = self.side * (self.price - row.price)
        return abs(better) < 1e-9 or (row.post_only and better > 0)  # moved out of the way of what it would have met

    @property
    def may_be_late(self) -> bool:
        """Whether it may still come, though it was given up."""
        return time.monotonic() < self.began + LATE_S

    def unsent(self) -> None:
        """Let go, it could not leave after all; what the engine took of it is undone once that is durable."""
        self.state = "unsent"
        if self.known:
            self.withdrawn()

    def withdrawn(self) -> None:
        """It was not sent."""
        if self.edits is not None and (self.seq or not self.alone):
            self._as_told()
        elif self.edits is None and self.seq and not self.ghost:
            self._end()
        self.finish()

    def _as_told(self) -> None:
        """An edit is over: the engine holds the terms that stand there again, unless another one is on its way."""
        assert self.edits is not None
        live, *before = self.edits
        if not self.ghost and live.id in self.desk.shadow.live and self.desk.unbound.only(self):
            self.desk.shadow.restore(live, *(live.told or before))

    def _end(self) -> None:
        self.desk.ask(packed(Kind.ENDED, account=self.account, order_id=self.seq))

    def finish(self) -> None:
        """It is known what became of it."""
        self.state = "done"
        self.desk.unbound.discard(self)
        if self in self.desk.lost:
            self.desk.lost.remove(self)
        self.desk.unbound.release(self)
