"""What the venue says of our orders, as commands: bound, executed, amended, ended; and whose each thing is.

An order is known by the venue's id from its answer on, or from when it was found there after a cut. Its executions come
by the drop copy, by answers and by looking them up; each is taken once, by its trade id. A fact cannot be refused by a
control: an execution that does not fit its order here (a price beyond the limit, an order that the gate would not have
sent) is booked as a trade made elsewhere. The notes that ride on these commands carry the venue's ids, so a restart
finds all of this in the journal.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import structlog

from seawall.api.commands import packed
from seawall.api.desk.flight import edits_of, key_of
from seawall.api.desk.rows import FINAL, FIRED, WAITING, OrderRow, TradeRow, lots_of, ticks_of
from seawall.api.view import OPEN, UNTRIGGERED, View
from seawall.node.node import Group
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.records import COMMAND, EventKind, Kind, Status

if TYPE_CHECKING:
    from seawall.api.desk.desk import Desk
    from seawall.api.desk.sent import Sent

SEEN_MAX: Final = 200_000
"""Trade ids and finished orders remembered; a venue tells of an execution twice within minutes, not months."""

UNBOOKED_MAX: Final = 10_000
"""Executions in instruments that are not weighed that are kept until they are listed."""

_TELLING: Final = np.zeros(256, bool)
_TELLING[[Kind.TIME, Kind.ACKNOWLEDGED, Kind.EXECUTED, Kind.BOOKED]] = True
_KNOWN: Final = ("live", "by_seq", "done", "seen", "unlisted", "unbooked", "wanted", "unsure", "edited_ns")
_FIELDS: Final = {name: at for at, name in enumerate(COMMAND.names or ())}
_KIND, _ACCOUNT, _INSTRUMENT, _ORDER, _SIZE = (
    _FIELDS[name] for name in ("kind", "account", "instrument", "order_id", "attachment")
)


class Note(msgspec.Struct, omit_defaults=True):
    """What rides on a fact: the venue's ids."""

    upstream: str = ""
    trade: str = ""


class Ghost(msgspec.Struct, tag_field="note", tag="ghost"):
    """An order at the venue that the engine does not hold: command `seq`, refused here and sent anyway (observe)."""

    upstream: str
    account: int
    seq: int = 0
    instrument: int = -1
    side: int = 0
    lots: int = 0


class GhostOver(msgspec.Struct, tag_field="note", tag="ghost_over"):
    """A ghost that is no longer open at the venue."""

    upstream: str


class Fired(msgspec.Struct, tag_field="note", tag="fired"):
    """The order of `trigger` is known at the venue as `upstream` from now on: a stop fired, and placed that."""

    upstream: str
    trigger: str


class Unlisted(msgspec.Struct, tag_field="note", tag="unlisted"):
    """People were told of an execution in an instrument that is not weighed; `row` of an `account` at the venue."""

    upstream: str
    trade: str
    account: str = ""
    row: TradeRow | None = None


_notes: Final = msgspec.json.Decoder(Ghost | GhostOver | Fired | Unlisted)


class Live:
    """One order at the venue. `seq` is its order here, 0 for a ghost."""

    __slots__ = (
        "account", "aside", "cancelled", "edited", "filled", "final", "fired", "first", "held", "id", "instrument",
        "lots", "seq", "side", "since", "told", "updated_ms", "waits",
    )  # fmt: skip

    def __init__(self, id_: str, seq: int, account: int, instrument: int, side: int, lots: int) -> None:
        self.id, self.seq, self.account, self.instrument, self.side, self.lots = (
            id_,
            seq,
            account,
            instrument,
            side,
            lots,
        )
        self.first = id_
        """Its id when it was placed; a stop's changes when it fires."""
        self.since = 0.0
        """When its id was heard of (monotonic), 0 for one from before the start."""
        self.waits = False
        """Whether it is a stop whose order is not known yet."""
        self.fired = 0.0
        """When it was heard that it fired (monotonic)."""
        self.cancelled = False
        """Whether it was cancelled by us."""
        self.filled = self.aside = 0
        """Lots executed; and those of them that were booked, since they did not fit the order here."""
        self.final: int | None = None
        """Lots filled when the venue said it was over."""
        self.edited = False
        """Whether its whole here may be another than there."""
        self.told: tuple[int, int] | None = None
        """Ticks and lots as the venue said them last."""
        self.held: tuple[int, int] | None = None
        """While edits are on their way: the worst that may stand there, ticks and lots, which the engine holds."""
        self.updated_ms = 0
        """Of the latest word on it; what was said before and came later is no news."""


class Shadow:
    """Orders at the venue by its ids, and the facts about them."""

    def __init__(self, view: View) -> None:
        """`view` hears the journal first; `desk` is set once there is one."""
        self._view = view
        self.desk: Desk
        self.live: dict[str, Live] = {}
        self.by_seq: dict[int, Live] = {}
        self.done: dict[str, Live] = {}
        self.seen: dict[tuple[str, str], None] = {}
        """Executions by trade id and order: the two sides of a trade have one id, and both may be ours."""
        self.unlisted: dict[tuple[str, str], None] = {}
        """The same of executions in instruments that are not weighed, of which people were told."""
        self.unbooked: dict[tuple[str, str], tuple[TradeRow, str]] = {}
        """The latest of those, and of which account: the instrument may be listed by and by."""
        self.wanted: set[int] = set()
        """Orders that the engine wants cancelled."""
        self.unsure: set[int] = set()
        """Orders that the journal left unknown though their id is: an edit of theirs had no answer before the stop."""
        self.edited_ns = 0
        """When the latest edit in the journal was asked for, before the start."""
        self.outside: dict[str, OrderRow] = {}
        """Open orders at the venue that nobody placed through us."""
        self.orphans: dict[str, list[tuple[TradeRow, str]]] = {}
        """Executions of orders that a stop of ours may have placed, by order; its own word says whose they are."""
        self._log = structlog.get_logger()

    # -- from the journal ----------------------------------------------------------------------------------------------

    def recall(self, group: Group) -> None:
        """Hear a frame of the journal at a start."""
        events = group.events
        asked = (events["kind"] == EventKind.STATUS) & (events["reason"] != 0)
        self.wanted.update(events["order_id"][asked].tolist())
        for event in events[(events["kind"] == EventKind.STATUS) & (events["reason"] == 0)]:
            if event["a"] == Status.UNKNOWN:
                self.unsure.add(int(event["order_id"]))
            else:
                self.unsure.discard(int(event["order_id"]))
        edits = group.commands["time"][group.commands["kind"] == Kind.EDIT]
        if len(edits):
            self.edited_ns = int(edits[-1])
        sizes = group.commands["attachment"]
        telling = np.flatnonzero(_TELLING[group.commands["kind"]] & (sizes > 0))
        if not len(telling):
            return
        refused = set(group.events["seq"][group.events["kind"] == EventKind.REFUSED].tolist())
        ends = np.cumsum(sizes)
        for at in telling.tolist():
            record = group.commands[at].item()
            data = group.attachments[ends[at] - sizes[at] : ends[at]]
            if record[_KIND] == Kind.TIME:
                self._recall_note(data)
            else:
                self._recall_fact(record, msgspec.json.decode(data, type=Note), refused=record[0] in refused)

    def _recall_note(self, data: bytes) -> None:
        try:
            note = _notes.decode(data)
        except msgspec.DecodeError:
            return  # another's note
        if isinstance(note, Ghost):
            before = self.live.get(note.upstream)
            self._enter(Live(note.upstream, 0, note.account, note.instrument, note.side, note.lots))
            if before is not None:  # it was over, and stood there all the same
                self.live[note.upstream].filled = before.filled
        elif isinstance(note, Fired):
            if note.trigger in self.live:
                self._become(self.live[note.trigger], note.upstream)
        elif isinstance(note, Unlisted):
            self._see(note.trade, note.upstream, self.unlisted)
            if note.row is not None:
                self._keep(note.row, note.account)
        elif note.upstream in self.live:
            self._finish(self.live[note.upstream])

    def _recall_fact(self, record: tuple[Any, ...], note: Note, *, refused: bool) -> None:
        if note.trade and not refused:
            self._see(note.trade, note.upstream)
        if record[_KIND] == Kind.ACKNOWLEDGED and not refused:
            order = self._view.orders[record[_ORDER]]
            self._enter(Live(note.upstream, order.id, order.account, order.instrument, order.side, order.amount))
            self.live[note.upstream].edited = True  # before the stop, perhaps
        live = self.live.get(note.upstream)
        if live is not None and note.trade and not refused:
            live.filled += record[_FIELDS["quantity"]]
            live.aside += record[_FIELDS["quantity"]] * (record[_KIND] == Kind.BOOKED)

    @property
    def known(self) -> dict[str, Any]:
        """All that `recall` learned, and no more."""
        return {name: getattr(self, name) for name in _KNOWN}

    def adopt(self, known: dict[str, Any]) -> None:
        """Know what another one's `known` was."""
        self.__dict__.update(known)

    def recalled(self) -> None:
        """The journal was heard to its end: what is no longer open here is done."""
        for live in list(self.live.values()):
            order = self._view.orders.get(live.seq)
            if live.seq and (order is None or order.state not in (OPEN, UNTRIGGERED)):
                self._finish(live)
        self.unsure &= set(self.by_seq)

    # -- binding -------------------------------------------------------------------------------------------------------

    def bind(self, id_: str, sent: "Sent") -> Live:
        """The venue's id of an order that was sent is known."""
        known = self.live.get(id_) or self.done.get(id_)
        if known is not None:
            return known
        live = Live(id_, 0 if sent.ghost else sent.seq, sent.account, sent.listing.number, sent.side, sent.lots)
        live.since = time.monotonic()
        self._enter(live)
        if sent.ghost:
            self._note(Ghost(id_, live.account, sent.seq, live.instrument, live.side, live.lots))
        else:
            self._fact(Kind.ACKNOWLEDGED, Note(upstream=id_), account=live.account, order_id=live.seq)
        for hear in self.desk.unbound.take(id_):
            hear()
        return live

    def refused(self, id_: str, sent: "Sent") -> None:
        """The venue answered with an error and the id of an order that came and went, as one that met its owner's."""
        if id_ not in self.live and id_ not in self.done:
            self.desk.unbound.take(id_)
            self._finish(Live(id_, 0, sent.account, sent.listing.number, sent.side, sent.lots))

    def _enter(self, live: Live) -> None:
        self.live[live.id] = live
        if live.seq:
            self.by_seq[live.seq] = live

    def _become(self, live: Live, id_: str) -> None:
        """It is known by another id from now on."""
        del self.live[live.id]
        self._put_away(live)
        live.id, live.updated_ms, live.waits = id_, 0, False
        self.live[id_] = live

    def _note(self, note: Ghost | GhostOver | Fired | Unlisted) -> None:
        data = msgspec.json.encode(note)
        self.desk.ask(packed(Kind.TIME, attachment=len(data)), data)

    # -- what the venue says -------------------------------------------------------------------------------------------

    def order(self, row: OrderRow, account: str) -> None:
        """The state of an order of an account at the venue."""
        live = self.live.get(row.order_id)
        if live is None:
            if row.order_id in self.done:
                return
            parent = self.live.get(row.trigger_order_id or "")
            if parent is not None:
                self._placed(parent, row, account)
                return
            key = key_of(account, row.side, row.instrument_name)
            if self.desk.unbound.hold(row.order_id, key, lambda: self.order(row, account)):
                return
            late = next((one for one in self.desk.given_up if one.at == account and one.fits(row)), None)
            if late is not None and late.may_be_late:
                self._came_late(late, row, account)
                return
            if row.order_state in FINAL or row.order_state == FIRED:
                self.outside.pop(row.order_id, None)
            elif row.order_id not in self.outside:
                self.outside[row.order_id] = row
                self.desk.outside(row, account)
            self.release(row.order_id)
            return
        listing = self._view.by_name.get(row.instrument_name)
        if listing is None:
            return
        if row.order_state not in FINAL and row.last_update_timestamp < live.updated_ms:
            return
        live.updated_ms = max(live.updated_ms, row.last_update_timestamp)
        live.waits = row.order_state in WAITING
        if row.order_state == FIRED:
            live.fired = live.fired or time.monotonic()
            return
        lots = lots_of(listing, row.amount)
        live.edited |= lots != live.lots  # as of a close or a reduce-only order that the venue made smaller
        live.lots = lots
        if row.order_state in FINAL:
            live.final = lots_of(listing, row.filled_amount) if row.filled_amount else 0
            self._maybe_end(live)
            return
        if row.order_type != "limit":
            return
        ticks = ticks_of(listing, float(row.price), live.side)
        live.told = ticks, live.lots
        order = self._view.orders.get(live.seq)
        if order is None or order.state != OPEN or self.desk.unbound.edits(live.first):
            return
        if (order.price, order.filled + order.remaining + live.aside) != (ticks, live.lots):
            self._amend(live, ticks)

    def _came_late(self, sent: "Sent", row: OrderRow, account: str) -> None:
        """We were sure that it would not; the engine has it no more, so it is a ghost of its bot's."""
        self.desk.given_up.remove(sent)
        sent.ghost = True
        self.bind(row.order_id, sent)
        self.desk.outside(row, account)
        self.order(row, account)
        self.release(row.order_id)

    def _placed(self, live: Live, row: OrderRow, account: str) -> None:
        """What a stop placed when it fired is the stop's order here, under another id."""
        self._note(Fired(row.order_id, live.id))
        self._become(live, row.order_id)
        live.since = time.monotonic()
        if live.cancelled:  # it fired just then
            self.wanted.add(live.seq)
        self.order(row, account)
        self.release(row.order_id)

    def _amend(self, live: Live, ticks: int) -> None:
        """The venue has other terms than the engine: they are the fact."""
        left = live.lots - live.filled
        if left > 0:
            self._fact(
                Kind.AMENDED, Note(), account=live.account, instrument=live.instrument, order_id=live.seq,
                price=ticks, quantity=left,
            )  # fmt: skip

    def restore(self, live: Live, ticks: int, lots: int) -> None:
        """An edit that the gate took was not made: the old terms again."""
        live.lots = lots
        self._amend(live, ticks)

    def risen(self, row: OrderRow, account: str) -> None:
        """An order that was over stands at the venue: the engine has it no more, so it is a ghost of its bot's."""
        over = self.done.pop(row.order_id)
        live = Live(row.order_id, 0, over.account, over.instrument, over.side, over.lots)
        live.filled = over.filled
        self._enter(live)
        self._note(Ghost(live.id, live.account, over.seq, live.instrument, live.side, live.lots))
        self.desk.outside(row, account)

    def release(self, id_: str) -> None:
        """It is known whose an order is: hear its executions that waited for that."""
        for row, account in self.orphans.pop(id_, ()):
            self.trade(row, account, known=True)

    def _may_be_placed(self, row: TradeRow, account: str) -> bool:
        """Whether a stop of ours may have placed what was executed, or it is of an order that was given up."""
        if any(one.like(row, account) and one.may_be_late for one in self.desk.given_up):
            return True
        listing = self._view.by_name.get(row.instrument_name)
        return listing is not None and any(
            live.waits and (live.instrument, live.side) == (listing.number, row.side)
            for live in self.live.values()
            if self.desk.place_of(live.account) == account
        )

    def trade(self, row: TradeRow, account: str, *, known: bool = False) -> None:
        """An execution of an account at the venue; one that was heard already is nothing. `known`: whose it is."""
        if (row.trade_id, row.order_id) in self.seen:
            return
        live = self.live.get(row.order_id) or self.done.get(row.order_id)
        # Under edit the engine may hold less than the venue: it would take the order for filled.
        key = edits_of(live.first) if live is not None else key_of(account, row.side, row.instrument_name)
        if self.desk.unbound.hold(row.order_id, key, lambda: self.trade(row, account)):
            return
        if self.desk.copies[account].takes_over(row):
            self._take_over(row, live)
            return
        if live is None and not known and row.order_id not in self.outside and self._may_be_placed(row, account):
            self.orphans.setdefault(row.order_id, []).append((row, account))
            return
        listing = self._view.by_name.get(row.instrument_name)
        if listing is None:
            self._unlisted(row, account)
            return
        self._see(row.trade_id, row.order_id)
        owner = live.account if live is not None else self.desk.owner_of(row.label, account)
        if live is None and row.order_id not in self.outside:
            self.desk.outside(row, account)
        # A fee in another coin moves another balance: comparing it tells what is missing here.
        fee = row.fee if row.fee_currency in ("", listing.settlement) else 0.0
        fields = {
            "instrument": listing.number,
            "price": ticks_of(listing, row.price, row.side),
            "quantity": lots_of(listing, row.amount),
            "amount": self.desk.atoms(fee, listing.settlement),
            "account": owner,
        }
        note = Note(row.order_id, row.trade_id)
        turned = live is not None and live.side != row.side  # a close of a position that had turned by then
        if live is None or not live.seq or row.order_id in self.done or turned:
            self._fact(Kind.BOOKED, note, None, side=row.side, **fields)
            if live is not None and turned:
                live.aside += fields["quantity"]
        else:
            self._executed(live, note, fields)
        if live is not None:
            live.filled += fields["quantity"]
            self._maybe_end(live)

    def _take_over(self, row: TradeRow, live: Live | None) -> None:
        """It is in the position that the account is taken over with: booked, too, it would count twice."""
        self._see(row.trade_id, row.order_id)
        if live is not None:
            lots = lots_of(self._view.listings[live.instrument], row.amount)
            live.filled, live.aside, live.edited = live.filled + lots, live.aside + lots, True
            self._maybe_end(live)

    def _unlisted(self, row: TradeRow, account: str) -> None:
        """Told once, and booked when the instrument is listed."""
        if (row.trade_id, row.order_id) not in self.unlisted:
            self._see(row.trade_id, row.order_id, self.unlisted)
            self._keep(row, account)
            self._note(Unlisted(row.order_id, row.trade_id, account, row))
            self.desk.unlisted(row, account)

    def _keep(self, row: TradeRow, account: str) -> None:
        self.unbooked[row.trade_id, row.order_id] = row, account
        if len(self.unbooked) > UNBOOKED_MAX:
            del self.unbooked[next(iter(self.unbooked))]

    def listed(self, account: str) -> None:
        """Hear an account's executions in what was not weighed then and is now."""
        names = self._view.by_name
        for key, (row, at) in list(self.unbooked.items()):
            if at == account and row.instrument_name in names:
                del self.unbooked[key]
                self.trade(row, account)

    def _executed(self, live: Live, note: Note, fields: dict[str, int]) -> None:
        def refused() -> None:
            live.aside += fields["quantity"]
            self._fact(Kind.BOOKED, note, None, side=live.side, **fields)
            if live.filled >= live.lots:  # else it was ended, or is amended to what is left
                self._fact(Kind.ENDED, Note(), account=live.account, order_id=live.seq)
            elif live.final is None:
                self._amend(live, fields["price"])

        self._fact(Kind.EXECUTED, note, refused, order_id=live.seq, **fields)

    def _maybe_end(self, live: Live) -> None:
        """Over, once each of its executions was heard."""
        if live.final is None or live.filled < live.final:
            return
        if live.seq and (live.filled < live.lots or live.edited or self.desk.unbound.edits(live.first)):
            # Of an edit that came too late the engine has a rest that never was; where it has none, it refuses.
            self._fact(Kind.ENDED, Note(), lambda: None, account=live.account, order_id=live.seq)
        self.over(live)

    def over(self, live: Live) -> None:
        """An order is open at the venue no more; of a ghost nothing else in the journal says so."""
        if not live.seq:
            self._note(GhostOver(live.id))
        self._finish(live)

    def _finish(self, live: Live) -> None:
        self.live.pop(live.id, None)
        self.by_seq.pop(live.seq, None)
        self._put_away(live)

    def _put_away(self, live: Live) -> None:
        self.done[live.id] = live
        if len(self.done) > SEEN_MAX:
            del self.done[next(iter(self.done))]

    def _see(self, trade: str, order: str, seen: dict[tuple[str, str], None] | None = None) -> None:
        seen = self.seen if seen is None else seen
        seen[trade, order] = None
        if len(seen) > SEEN_MAX:
            del seen[next(iter(seen))]

    # -- facts ---------------------------------------------------------------------------------------------------------

    def _fact(self, kind: Kind, note: Note, refused: Callable[[], None] | None = None, /, **fields: int) -> None:
        data = msgspec.json.encode(note) if note != _NOTHING else b""

        def done(seq: int, error: SeawallError | None) -> None:
            why = self._view.refused.pop(seq, None) if error is None else None
            if why is None:
                return
            if refused is not None:
                refused()
            else:
                self.desk.contradicted(kind, fields, why)

        self.desk.ask(packed(kind, attachment=len(data), **fields), data, done)


_NOTHING: Final = Note()
