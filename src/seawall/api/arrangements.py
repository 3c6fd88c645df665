"""What clients have arranged with the venue and expect to find after a restart: market-maker protection, cancel on
disconnect, the rule against trading with oneself; and who belongs to whom.

All of it is in the journal: protection and membership as commands, the rest, and protection in the words it was asked
in, as notes.
"""

from typing import Any, Final

from seawall.vocabulary.bounds import NO_LIMIT
from seawall.vocabulary.records import Kind, Role, SelfMatch

OVERDUE_S: Final = 2.0
"""A timer that the journal's time has passed is the engine's; it is looked at once a second."""

REJECT_TAKER, CANCEL_MAKER = "reject_taker", "cancel_maker"
MODES: Final = {REJECT_TAKER: SelfMatch.CANCEL_NEWEST, CANCEL_MAKER: SelfMatch.CANCEL_OLDEST}


class Arrangements:
    """The fold of what was arranged."""

    def __init__(self) -> None:
        self.protections: dict[tuple[int, str], dict[str, Any]] = {}
        """(account, index): the protection as it was asked for."""
        self.frozen: dict[tuple[int, int], int] = {}
        """(account, block): nanoseconds until which its quotes are frozen, NO_LIMIT: until reset."""
        self.at_disconnect: set[int] = set()
        """Accounts whose orders are to go when a connection of theirs does."""
        self.timers: dict[int, int] = {}
        """Until when (nanoseconds) an account is to set its dead-man timer again; one that ran out may stand here."""
        self._self_trading: dict[int, tuple[str, bool]] = {}
        self._freezes: dict[tuple[int, int], int] = {}
        self._owners: set[int] = set()
        self._owned: dict[int, int] = {}

    # -- looks -------------------------------------------------------------------------------------------------------

    def family(self, account: int) -> list[int]:
        """An account and those of its beneficial owner, in order; the first is the main one."""
        owner = self._owned.get(account)
        if owner is None:
            return [account]
        return sorted(number for number, known in self._owned.items() if known == owner)

    def self_trading(self, account: int) -> tuple[str, bool]:
        """Mode, and whether it extends to the other accounts of the owner."""
        return self._self_trading.get(account, (REJECT_TAKER, account in self._owned))

    def self_match(self, account: int) -> SelfMatch:
        """What an order of the account does when it meets one of its owner's."""
        return MODES[self.self_trading(account)[0]]

    def frozen_until(self, account: int, block: int, now_ns: int) -> int | None:
        """Nanoseconds until which quotes are frozen, 0 until reset; None if they are not."""
        until = self.frozen.get((account, block), 0)
        if until <= now_ns:
            return None
        return until if until < NO_LIMIT else 0

    def timer_due(self, heard_ns: int, now_ns: int) -> bool:
        """Whether a dead-man timer ran out that the journal, whose time is `heard_ns`, does not know of."""
        self.timers = {account: until for account, until in self.timers.items() if until > heard_ns}
        return any(until <= now_ns for until in self.timers.values())

    # -- the fold ------------------------------------------------------------------------------------------------------

    def noted(self, note: dict[str, Any]) -> None:
        """A note of the trading door's."""
        account = int(note["account"])
        if note["note"] == "disconnect":
            (self.at_disconnect.add if note["enabled"] else self.at_disconnect.discard)(account)
        elif note["note"] == "self_trading" and note["mode"] in MODES:
            self._self_trading[account] = (note["mode"], bool(note["extended"]))
        elif note["note"] == "protection":
            key = (account, str(note["index"]))
            if note["config"] is None:
                self.protections.pop(key, None)
            else:
                self.protections[key] = note["config"]

    def defined(self, kind: int, account: int, number: int, freeze: int, window: int, role: int) -> None:
        """A command was taken. `number` is a block, or the group joined; `window` of a timer its end."""
        if kind == Kind.ACCOUNT:
            if role == Role.OWNER:
                self._owners.add(account)
        elif kind == Kind.MEMBER:
            if number in self._owners:
                self._owned[account] = number
        elif kind == Kind.PROTECT:
            self.frozen.pop((account, number), None)
            self._freezes[account, number] = freeze
            if not window:
                del self._freezes[account, number]
        elif kind == Kind.DEAD_MAN:
            self.timers[account] = window
            if not window:
                del self.timers[account]
        elif kind == Kind.PROTECT_RESET:
            self.frozen.pop((account, number), None)

    def froze(self, account: int, block: int, now_ns: int) -> int:
        """A protection froze; returns until when, in nanoseconds, NO_LIMIT: until reset."""
        freeze = self._freezes.get((account, block), 0)
        until = self.frozen[account, block] = now_ns + freeze if freeze else NO_LIMIT
        return until


class Overdue:
    """Dead-man timers by a clock that nobody sets: the journal's time stands where the machine's stepped back."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, float]] = {}

    def look(self, timers: dict[int, int], heard_ns: int, steady_s: float) -> list[int]:
        """Accounts whose timer ran out more than `OVERDUE_S` ago, and not in the journal, whose time is `heard_ns`."""
        known, self._known, late = self._known, {}, []
        for account, until in timers.items():
            last = known.get(account)
            if last is None or last[0] != until:
                last = until, steady_s + (until - heard_ns) / 1e9
            self._known[account] = last
            if until > heard_ns and steady_s > last[1] + OVERDUE_S:
                late.append(account)
        return late


NOTES: Final = frozenset(("disconnect", "self_trading", "protection"))
"""The notes that `noted` reads."""

BEHIND: Final = {**dict.fromkeys(NOTES, 0), "account": 1, "currency": 1, "listing": 0}
"""Notes that belong to commands just before them: how many, where a note has no `after` that says so."""
