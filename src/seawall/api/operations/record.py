"""What happened at the operations door, folded from the journal: who halted what and why, what was approved, what ends.

`take` hears every durable frame, at a start those of the whole journal, so that a restart knows what stood before it.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from seawall.node.node import Group
from seawall.vocabulary.reasons import Reason, explain
from seawall.vocabulary.records import FLAG_RECOVERED, FLAG_UNCLEAN, EventKind, Kind, Scope, VenueState

_HEARD = np.zeros(256, bool)
_HEARD[[Kind.OPENED, Kind.LIMIT, Kind.TIME, Kind.PUBLISH, Kind.RULES]] = True
"""Kinds that are looked at in any case; others where they have an attachment that may be a note, or changed a state."""
_PRICES = b'{"note":"prices",'
"""How a published report of prices begins; then come its coins, in brackets."""
_RATES = b'{"note":"rates",'
"""The same of a report of currencies that nothing listed is of: it counts without a publication."""
_STATE = int(EventKind.STATE)
_MAY_CARRY = np.zeros(256, bool)
_MAY_CARRY[[Kind.STATE, Kind.KILL, Kind.REARM, Kind.CANCEL_ALL, Kind.DEPOSIT, Kind.TIER, Kind.EXPIRE]] = True
_STIRRING = frozenset(np.flatnonzero(_HEARD | _MAY_CARRY).tolist())


_OF_A_DESK: Final = {
    (int(Scope.ACCOUNT), int(VenueState.REDUCE_ONLY)): "break: the venue had another position or balance",
    (int(Scope.INSTRUMENT), int(VenueState.REDUCE_ONLY)): "the venue made its tick or smallest amount finer",
    (int(Scope.INSTRUMENT), int(VenueState.HALTED)): "its mark left its band",
}

HELD: Final = frozenset(
    {
        *("setup", "operator.first", "operator.add", "operator.revoke"),
        *("approver.add", "approver.replace", "approver.remove", "approvers.needed"),
        *("break_glass.register", "post-mortem", "key.rotate"),
    }
)
"""Actions that a keystore is held to; see `people.hold`."""


@dataclass(slots=True)
class Standing:
    """Why something is in the state it is: since when (nanoseconds), by whom, for what reason."""

    state: VenueState
    since: int
    by: str
    reason: str
    seq: int


@dataclass(slots=True)
class Override:
    """A relaxation that ends by itself: when (milliseconds), and what is then set again."""

    key: tuple[Any, ...]
    until: int
    proposal: str
    parameters: dict[str, Any]


class Record:
    """The fold."""

    def __init__(self) -> None:
        self.states: dict[tuple[int, int], Standing] = {}
        self.overrides: dict[tuple[Any, ...], Override] = {}
        self.unclean: dict[str, int] = {}
        """Of the last start after an unclean stop: seq and time."""
        self.executed: dict[str, int] = {}
        """Approved proposals by id: the seq of their first command."""
        self.proposed: dict[str, tuple[dict[str, Any], str, int]] = {}
        """Proposals that were journalled and not yet executed or withdrawn: document, canonical text, seq."""
        self.break_glass: dict[str, str] = {}
        """Break-glass keys that were used, and for which proposal."""
        self.revoked: set[str] = set()
        """Trading keys that people revoked; a keystore that could not be written, or is older, may not know it."""
        self.people: dict[str, tuple[dict[str, Any], int]] = {}
        """What changed operators, approvers, the sealed key and secrets, in order, by proposal; and when (ms)."""
        self.changed: dict[str, int] = {}
        """The seq of the last of these about somebody or something, by `subject`."""
        self.published = 0
        """When marks and risk were last published (nanoseconds)."""
        self.prices: dict[bytes, tuple[bytes, int]] = {}
        """The last published report of each set of coins, unread, and when (milliseconds), in the journal's order."""
        self._reported = b""
        self.margin: list[tuple[dict[str, Any], list[str], int]] = []
        """What became of versions of the margin parameters, in order: note or document, who signed, milliseconds."""
        self.latest: list[dict[str, Any]] = []
        """The last operations, newest last."""

    def take(self, group: Group) -> None:
        """Fold one durable frame."""
        commands = group.commands
        kinds = commands["kind"]
        if _STATE not in group.events["kind"].tolist() and _STIRRING.isdisjoint(kinds.tolist()):
            return  # most frames: orders wait for this
        chosen = np.flatnonzero(_HEARD[kinds] | (_MAY_CARRY[kinds] & (commands["attachment"] > 0))).tolist()
        states = group.events[group.events["kind"] == EventKind.STATE]
        published = group.events["seq"][group.events["kind"] == EventKind.PUBLISHED].tolist()
        ends = np.cumsum(commands["attachment"])
        first = int(commands["seq"][0])
        notes: dict[int, dict[str, Any]] = {}
        for index in chosen:
            record = commands[index]
            if record["kind"] == Kind.PUBLISH:
                if first + index in published:
                    self._publication(int(record["time"]))
                self._reported = b""
                continue
            size = int(record["attachment"])
            data = group.attachments[int(ends[index]) - size : int(ends[index])]
            if data.startswith(_PRICES):
                self._reported = bytes(data)
                continue
            if data.startswith(_RATES):
                self._price(bytes(data), int(record["time"]))
                continue
            note = _note(data) if size else {}
            seq, now = first + index, int(record["time"])
            notes[seq] = note
            if record["kind"] == Kind.OPENED and int(record["flags"]) & FLAG_UNCLEAN:
                self.unclean = {"seq": seq, "time": now}
            if note:
                self._heard(note, seq, now)
            if record["kind"] == Kind.LIMIT:
                self._limit(record, note)
        for event in states:
            seq = int(event["seq"])
            self._state(event, commands[seq - first], notes.get(seq, {}), seq)

    def _publication(self, now: int) -> None:
        """Marks and risk were taken; a report that came right before is where they are from."""
        self.published = now
        if self._reported:
            self._price(self._reported, now)

    def _price(self, report: bytes, now: int) -> None:
        key = report[: report.index(b"]")]
        self.prices.pop(key, None)  # they stand in the journal's order
        self.prices[key] = report, now // 1_000_000

    def _heard(self, note: dict[str, Any], seq: int, now: int) -> None:
        kind = note.get("note")
        if kind == "proposal":
            document = _document(note)
            if document:
                self.proposed[document["proposal"]] = document, note["payload"], seq
                self._log(seq, now, "proposed " + document["action"], document["proposed_by"], document)
        elif kind == "approval":
            document = _document(note)
            if document and document["proposal"] not in self.executed:
                self.executed[document["proposal"]] = seq
                self.proposed.pop(document["proposal"], None)
                for one in note.get("signatures", []):
                    if one.get("role") == "break-glass":
                        self.break_glass[str(one.get("key"))] = document["proposal"]
                people = [str(one.get("person")) for one in note.get("signatures", [])]
                self._log(seq, now, "approved " + document["action"], ", ".join(people), document)
                self._of_margin(document, people, now)
                self._of_people(document["proposal"], document["action"], document["parameters"], seq, now)
        elif kind == "operation":
            self.proposed.pop(str(note.get("proposal", "")), None)
            if note.get("action") == "failed":
                self.people.pop(str(note.get("proposal", "")), None)
            self._of_people(str(seq), str(note.get("action")), note, seq, now)
            if note.get("action") == "key.revoke":
                self.revoked.add(str(note.get("key")))
            self._log(seq, now, str(note.get("action")), str(note.get("by")), note)
            self._of_margin(note, [], now)

    def _of_margin(self, note: dict[str, Any], people: list[str], now: int) -> None:
        if str(note.get("action")).partition(".")[0] == "margin":
            self.margin.append((note, people, now // 1_000_000))

    @property
    def set_up(self) -> bool:
        """Whether approvers were registered: from then on a keystore that is not there was lost."""
        return any(facts["action"] == "setup" for facts, _ in self.people.values())

    def _of_people(self, id_: str, action: str, facts: dict[str, Any], seq: int, now: int) -> None:
        about = subject(action, facts)
        if about:
            self.changed[about] = seq
        if action == "keystore.anew":
            self.people.clear()
        elif action in HELD:
            self.people[id_] = {**facts, "action": action}, now // 1_000_000

    def _log(self, seq: int, now: int, what: str, by: str, note: dict[str, Any]) -> None:
        reason = str(note.get("reason") or note.get("parameters", {}).get("reason", ""))
        row = {"seq": seq, "time": now // 1_000_000, "what": what, "by": by, "reason": reason}
        if self.latest and self.latest[-1]["seq"] == seq - 1 and self.latest[-1] | {"seq": seq} == row:
            return
        self.latest.append(row)
        del self.latest[:-100]

    def _state(self, event: Any, command: Any, note: dict[str, Any], seq: int) -> None:
        scope = int(event["currency"])
        number = int(event["account"]) if scope == Scope.ACCOUNT else int(event["instrument"])
        key = (scope, 0 if scope == Scope.VENUE else number)
        self.overrides.pop(("state", *key), None)
        state = VenueState(int(event["a"]))
        by, reason = _told(note, event, command)
        if state == VenueState.OPEN:
            self.states.pop(key, None)
        else:
            self.states[key] = Standing(state, int(command["time"]), by, reason, seq)
        self._override(("state", *key), note)

    def _limit(self, record: Any, note: dict[str, Any]) -> None:
        key = ("limit", int(record["state"]), int(record["account"]), int(record["instrument"]))
        self.overrides.pop(key, None)
        self._override(key, note)

    def _override(self, key: tuple[Any, ...], note: dict[str, Any]) -> None:
        document = _document(note) if note.get("note") == "approval" else {}
        until = document.get("parameters", {}).get("until")
        if until:
            self.overrides[key] = Override(key, int(until), document["proposal"], document["parameters"])


def subject(action: str, facts: dict[str, Any]) -> str:
    """Whom or what a change is about that a later one may contradict; empty for all others."""
    kind, _, _ = action.partition(".")
    if kind in ("operator", "approver"):
        return f"{kind} {facts.get('person', '')}"
    if action == "tier":
        return f"tier {facts.get('tier', '')} {facts.get('fee_class', '')}"
    if action == "key.rotate":
        return f"key {facts.get('id', '')}"
    return action if action in ("approvers.needed", "break_glass.register") else ""


def _note(data: bytes) -> dict[str, Any]:
    try:
        note = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return note if isinstance(note, dict) and note.get("note") in ("operation", "proposal", "approval") else {}


def _document(note: dict[str, Any]) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(note["payload"])
        return found if isinstance(found["parameters"], dict) and isinstance(found["proposal"], str) else {}
    except (msgspec.DecodeError, KeyError, TypeError):
        return {}


def _who(note: dict[str, Any]) -> str:
    if note.get("note") == "approval":
        return ", ".join(str(one.get("person")) for one in note.get("signatures", []))
    return str(note.get("by", ""))


def _why(note: dict[str, Any]) -> str:
    if note.get("note") == "approval":
        return str(_document(note).get("parameters", {}).get("reason", ""))
    return str(note.get("reason", ""))


def told(data: bytes, event: Any, command: Any) -> tuple[str, str]:
    """By whom a state was changed, and why; `data` rides on the command."""
    return _told(_note(data), event, command)


def _told(note: dict[str, Any], event: Any, command: Any) -> tuple[str, str]:
    return (_who(note), _why(note)) if note else ("seawall", _cause(event, command))


def _cause(event: Any, command: Any) -> str:
    if command["kind"] == Kind.OPENED:
        return "the venue was not stopped cleanly"
    if command["kind"] == Kind.STATE and int(command["flags"]) & FLAG_RECOVERED:
        return "the journalled rule after an unclean stop: the copies verified clean"
    if command["kind"] == Kind.STATE:  # a desk's: it says of an account what broke, in journals of earlier builds not
        return _OF_A_DESK.get((int(event["currency"]), int(event["a"])), "")
    reason = Reason(int(event["reason"]))
    if event["quantity"]:  # a control's, under rules that tell its numbers
        return f"{reason.name.lower()}: {explain(reason, int(event['price']), int(event['quantity']))}"
    return reason.name.lower() if reason else ""
