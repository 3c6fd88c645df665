"""What a desk's journal says of a stretch of time: bots, refusals with their numbers, unknown outcomes, restrictions.

The journal is folded from its first command, so that what is counted is valued as it was then; counted is what was
stamped in [since, until), nanoseconds. Dollars of an order: lots of inverse futures are dollars; of linear ones lots at
the order's price, or the mark where it has none; of options coins at the index. A refusal `went_anyway` where the
journal says that its order is open at the venue all the same (observe).
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from seawall.api.desk.tally import Counted, Differs, Unweighed
from seawall.api.errors import sentence
from seawall.api.listing import Listing
from seawall.api.operations.naming import name_of
from seawall.api.operations.record import told
from seawall.api.view import View
from seawall.journal import Frame
from seawall.node.node import Group
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import COMMAND, EVENT, EventKind, Events, Kind, Role, Scope, VenueState

EXAMPLES: Final = 5
"""Kept of each reason of a bot, the first ones."""

_C: Final = {name: at for at, name in enumerate(COMMAND.names or ())}
_E: Final = {name: at for at, name in enumerate(EVENT.names or ())}
_ASKED: Final = {Kind.ORDER: "orders", Kind.EDIT: "edits"}
_ENDS: Final = {
    Kind.ACKNOWLEDGED: "it stands at the venue",
    Kind.EXECUTED: "it was executed",
    Kind.ENDED: "it is not open at the venue",
}

Record = tuple[Any, ...]


class _Note(msgspec.Struct):
    note: str = ""
    seq: int = 0
    us: list[tuple[int, int]] = []


_counted: Final[msgspec.json.Decoder[Counted]] = msgspec.json.Decoder(Unweighed | Differs)


class Cost(msgspec.Struct):
    """What one reason refused: how often, for how many dollars, the first of it."""

    count: int = 0
    notional_usd: float = 0.0
    went_anyway: int = 0
    examples: list["Refusal"] = []


class Refusal(msgspec.Struct):
    """One refused order or edit, `words` with the two numbers that decided."""

    seq: int
    time: str
    bot: str
    kind: str
    instrument: str
    side: str
    price: float
    amount: float
    notional_usd: float
    reason: str
    words: str
    went_anyway: bool = False


class Bot(msgspec.Struct):
    """One client account's part. `fees` in units of each currency, paid; a rebate is negative."""

    orders: int = 0
    edits: int = 0
    accepted: int = 0
    refused: int = 0
    went_anyway: int = 0
    taken_back: int = 0
    """Orders that Seawall itself wanted cancelled."""
    unweighed: int = 0
    """Calls that would have been refused because they cannot be weighed (observe)."""
    fills: int = 0
    volume_usd: float = 0.0
    fees: dict[str, float] = {}
    reasons: dict[str, Cost] = {}


class Unknown(msgspec.Struct):
    """An order, or an edit of it, whose outcome was unknown; `seconds` until it was known."""

    seq: int
    time: str
    bot: str
    instrument: str
    ended: str = "it is still unknown"
    seconds: float | None = None


class NotWeighed(msgspec.Struct):
    """Calls of a method that would have been refused for one reason without being weighed (observe)."""

    bot: str
    method: str
    code: int
    reason: str
    count: int = 0


class Break(msgspec.Struct):
    """What the venue and the desk did not agree on, `count` times from `time` to `last`: `kind` as the alert is named.
    `theirs` and `ours` in lots or atoms, where that is what differed."""

    time: str
    last: str
    kind: str
    account: str
    about: str
    theirs: int | None
    ours: int | None
    unit: str
    why: str
    count: int = 0


class Restriction(msgspec.Struct):
    """A change of state of the venue, an underlying, an instrument, an account: by whom, and why."""

    seq: int
    time: str
    scope: str
    name: str
    state: str
    before: str
    by: str
    reason: str


class Report(msgspec.Struct):
    """All of it. `since`, `until`: first and last of the `commands` counted. `days`: (accepted, refused) by date."""

    since: str = ""
    until: str = ""
    commands: int = 0
    bots: dict[str, Bot] = {}
    unweighed: list[NotWeighed] = []
    unknown: list[Unknown] = []
    breaks: list[Break] = []
    restrictions: list[Restriction] = []
    days: dict[str, tuple[int, int]] = {}
    held: dict[int, int] = {}
    """Orders by the microseconds that they were held on their way to the venue, at most."""
    refused: dict[int, str] = {}
    """Bots of all refused orders and edits, by seq."""

    def held_at(self, part: float) -> float:
        """Milliseconds that so large a part of the orders was held at most."""
        left = part * sum(self.held.values())
        for us, count in sorted(self.held.items()):
            left -= count
            if left <= 0:
                return us / 1e3
        return 0.0

    def limits(self) -> dict[str, Cost]:
        """Refusals of all bots by reason, the dearest first."""
        found: dict[str, Cost] = {}
        for bot in self.bots.values():
            for name, cost in bot.reasons.items():
                whole = found.setdefault(name, Cost())
                whole.count += cost.count
                whole.notional_usd += cost.notional_usd
                whole.went_anyway += cost.went_anyway
        return dict(sorted(found.items(), key=lambda item: -item[1].notional_usd))


class Reporter:
    """The fold; `take` is a witness of `seawall.node.replay`."""

    def __init__(self, since: int, until: int) -> None:
        self.view = View()
        self.report = Report()
        self._since, self._until = since, until
        self._unknown: dict[int, tuple[Unknown, int]] = {}
        self._refusals: dict[int, Cost] = {}
        self._shown: dict[int, Refusal] = {}
        self._clients: set[int] = set()
        self._not_weighed: dict[Unweighed, NotWeighed] = {}
        self._breaks: dict[Differs, Break] = {}

    def take(self, frame: Frame, events: Events) -> None:
        """The next frame and its events."""
        self.view.take(Group(frame.commands, frame.attachments, events))
        rows = events.tolist()
        at, offset = 0, 0
        for record in frame.commands.tolist():
            size = record[_C["attachment"]]
            data = frame.attachments[offset : offset + size]
            offset += size
            begin = at
            while at < len(rows) and rows[at][0] <= record[0]:
                at += 1
            if record[_C["kind"]] == Kind.ACCOUNT and record[_C["type"]] == Role.CLIENT:
                self._clients.add(record[_C["account"]])
            if self._since <= record[_C["time"]] < self._until:
                self._command(record, data, rows[begin:at])
                self.report.commands += 1
                self.report.until = said(record[_C["time"]])
                self.report.since = self.report.since or self.report.until
            elif record[_C["kind"]] in _ENDS and not any(
                row[_E["kind"]] == EventKind.REFUSED for row in rows[begin:at]
            ):
                self._known(record)  # of what was unknown by then

    def _command(self, record: Record, data: bytes, events: list[Record]) -> None:
        kind = record[_C["kind"]]
        refusal = next((event for event in events if event[_E["kind"]] == EventKind.REFUSED), None)
        if kind in _ASKED and record[_C["account"]] in self._clients:
            self._asked(record, refusal)
        elif kind == Kind.TIME and data:
            self._note(data, said(record[_C["time"]]))
        elif refusal is None and kind == Kind.UNKNOWN:
            self._lost(record)
        elif refusal is None and kind in _ENDS:
            self._known(record)
        for event in events:
            if event[_E["kind"]] == EventKind.FILL:
                self._fill(record, data, event)
            elif event[_E["kind"]] == EventKind.STATE:
                self._state(record, data, event)
            elif event[_E["kind"]] == EventKind.STATUS and event[_E["reason"]]:
                self._bot(event[_E["account"]]).taken_back += 1

    # -- orders --------------------------------------------------------------------------------------------------------

    def _asked(self, record: Record, refusal: Record | None) -> None:
        bot = self._bot(record[_C["account"]])
        word = _ASKED[Kind(record[_C["kind"]])]
        setattr(bot, word, getattr(bot, word) + 1)
        day = said(record[_C["time"]])[:10]
        accepted, refused = self.report.days.get(day, (0, 0))
        self.report.days[day] = (accepted + (refusal is None), refused + (refusal is not None))
        if refusal is None:
            bot.accepted += 1
            return
        bot.refused += 1
        made = self._refusal(record, refusal)
        cost = bot.reasons.setdefault(made.reason, Cost())
        cost.count += 1
        cost.notional_usd += made.notional_usd
        self._refusals[made.seq] = cost
        self.report.refused[made.seq] = made.bot
        if len(cost.examples) < EXAMPLES:
            cost.examples.append(made)
            self._shown[made.seq] = made

    def _refusal(self, record: Record, event: Record) -> Refusal:
        listing = self.view.listings.get(record[_C["instrument"]])
        order = self.view.orders.get(record[_C["order_id"]]) if record[_C["kind"]] == Kind.EDIT else None
        price, lots = record[_C["price"]], record[_C["quantity"]]
        side = order.side if order is not None else record[_C["side"]]
        reason = event[_E["reason"]]
        return Refusal(
            seq=record[_C["seq"]],
            time=said(record[_C["time"]]),
            bot=self.view.client(record[_C["account"]]).name,
            kind=Kind(record[_C["kind"]]).name.lower(),
            instrument=listing.name if listing is not None else f"instrument {record[_C['instrument']]}",
            side="buy" if side > 0 else "sell" if side < 0 else "",
            price=listing.price(price) if listing is not None else float(price),
            amount=listing.amount(lots) if listing is not None else float(lots),
            notional_usd=self._dollars(listing, lots, price),
            reason=Reason(reason).name,
            words=sentence(self.view, reason, event[_E["a"]], event[_E["b"]], event[_E["account"]]),
        )

    def _dollars(self, listing: Listing | None, lots: int, ticks: int) -> float:
        if listing is None:
            return 0.0
        amount = listing.amount(lots)
        if listing.option:
            return amount * self.view.index_prices.get(listing.index, 0.0)
        if listing.inverse:
            return amount
        return amount * listing.price(ticks or self.view.marks.get(listing.number, 0))

    def _note(self, data: bytes, time: str) -> None:
        """A note may say that a refused order is at the venue all the same, how long orders were held, what was not
        weighed, what differed at the venue."""
        try:
            note = msgspec.json.decode(data, type=_Note)
            if note.note in ("unweighed", "differs"):
                self._counted(_counted.decode(data), time)
        except msgspec.MsgspecError:
            return  # not one of ours
        if note.note == "held":
            for us, count in note.us:
                self.report.held[us] = self.report.held.get(us, 0) + count
        if note.note != "ghost" or note.seq not in self._refusals:
            return
        self._refusals[note.seq].went_anyway += 1
        self.report.bots[self.report.refused[note.seq]].went_anyway += 1
        if note.seq in self._shown:
            self._shown[note.seq].went_anyway = True

    def _counted(self, told: Counted, time: str) -> None:
        """What there is no command of: calls that enforce would have refused, and what differed at the venue."""
        if isinstance(told, Differs):
            self._differs(told, time)
            return
        made = self._not_weighed.get(same := msgspec.structs.replace(told, count=0))
        if made is None:
            made = NotWeighed(self.view.client(told.account).name, told.method, told.code, told.reason)
            self._not_weighed[same] = made
            self.report.unweighed.append(made)
        made.count += told.count
        self._bot(told.account).unweighed += told.count

    def _differs(self, told: Differs, time: str) -> None:
        found = self._breaks.get(same := msgspec.structs.replace(told, count=0))
        if found is None:
            found = self._breaks[same] = Break(
                time, time, told.kind, told.account, told.about, told.theirs, told.ours, told.unit, told.why
            )
            self.report.breaks.append(found)
        found.count += told.count
        found.last = time

    def _fill(self, record: Record, data: bytes, event: Record) -> None:
        """An execution; positions that were taken over when the desk began are none, and name no trade."""
        account = event[_E["account"]]
        if account not in self._clients or (record[_C["kind"]] == Kind.BOOKED and b'"trade"' not in data):
            return
        bot, listing = self._bot(account), self.view.listings.get(event[_E["instrument"]])
        bot.fills += 1
        bot.volume_usd += self._dollars(listing, event[_E["quantity"]], event[_E["price"]])
        if listing is not None:
            name, decimals = self.view.currencies[listing.spec.currency]
            bot.fees[name] = round(bot.fees.get(name, 0.0) + event[_E["b"]] / 10**decimals, decimals)

    def _bot(self, account: int) -> Bot:
        return self.report.bots.setdefault(self.view.client(account).name, Bot())

    # -- unknown outcomes and states -----------------------------------------------------------------------------------

    def _lost(self, record: Record) -> None:
        order = self.view.orders.get(record[_C["order_id"]])
        listing = self.view.listings.get(order.instrument) if order is not None else None
        name = listing.name if listing is not None else ""
        made = Unknown(
            record[_C["order_id"]], said(record[_C["time"]]), self.view.client(record[_C["account"]]).name, name
        )
        self.report.unknown.append(made)
        self._unknown[made.seq] = (made, record[_C["time"]])

    def _known(self, record: Record) -> None:
        found, began = self._unknown.pop(record[_C["order_id"]], (None, 0))
        if found is not None:
            found.ended = _ENDS[Kind(record[_C["kind"]])]
            found.seconds = (record[_C["time"]] - began) / 1e9

    def _state(self, record: Record, data: bytes, event: Record) -> None:
        after, before = VenueState(event[_E["a"]]).name, VenueState(event[_E["b"]]).name
        if after == before:
            return  # said again
        scope = Scope(event[_E["currency"]])
        number = event[_E["account" if scope == Scope.ACCOUNT else "instrument"]]
        blocks = {listing.spec.block for listing in self.view.listings.values()}
        underlyings = [self.view.underlyings.get(block, block) for block in range(max(blocks, default=-1) + 1)]
        name = name_of(self.view, underlyings, scope, number)
        by, reason = told(data, dict(zip(_E, event, strict=True)), dict(zip(_C, record, strict=True)))
        if record[_C["kind"]] == Kind.KILL:
            reason = f"killed: {reason}"
        self.report.restrictions.append(
            Restriction(record[_C["seq"]], said(record[_C["time"]]), scope.name, name, after, before, by, reason)
        )


def said(nanoseconds: int) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="seconds")
