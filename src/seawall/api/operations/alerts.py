"""Alerts: what people must hear of. One table of kinds; a ring of the last ones; a line in the log for each.

docs/runbook.md has a paragraph for every kind, and a test holds the two equal. The same alert of the same subject again
within a minute is counted, not repeated, so that nobody can wash the others out of the ring.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import structlog

KEPT: Final = 1_000
REPEAT_S: Final = 60.0
SEVERITIES: Final = ("notice", "warning", "critical")
SUBJECT: Final = ("scope", "name", "coin", "account", "about", "instrument", "folder", "file", "key")
"""Facts that say whom or what an alert is about. Strangers choose none of them, as they do addresses and ids."""


class Row(NamedTuple):
    """How grave a kind is, and what it says."""

    severity: str
    sentence: str


KINDS: Final[dict[str, Row]] = {
    "dead_writer": Row("critical", "The writer died: a write or sync failed, and what was in flight is unknown."),
    "writer_silent": Row("critical", "The writer has not answered for some seconds: a disk may hang."),
    "disk_time": Row("critical", "A disk of the journal will be full soon at the present growth."),
    "disk_gone": Row("critical", "A folder of the journal cannot be looked at."),
    "clock_back": Row("warning", "The clock stepped back; the journal's time waits until it has caught up."),
    "unclean_start": Row("critical", "The venue was not stopped cleanly; it came up halted."),
    "copy_repaired": Row("warning", "Pages of one copy of the journal were damaged and rewritten from the other."),
    "copies_unsound": Row("critical", "After an unclean stop the copies did not verify clean; the venue stays halted."),
    "slow_consumer": Row("notice", "A reader was too slow for its messages and was cut off."),
    "shedding": Row("warning", "The writer's queue is full: new orders are refused, cancels still taken."),
    "publisher_late": Row("warning", "Marks and risk have not been published for too long."),
    "prices_refused": Row("warning", "A report of prices was refused; nothing of it was published."),
    "prices_doubted": Row("notice", "A price jumped, or is the first: it waits for a second report that agrees."),
    "hour_missed": Row("critical", "Funding or settlement that is due could not be journalled."),
    "parameters_changed": Row("notice", "Another version of the margin parameters is in force."),
    "parameters_differ": Row("warning", "The file's margin parameters are not those in force, which the journal has."),
    "failed_logins": Row("warning", "One address failed to log in too often."),
    "bad_signature": Row("warning", "A signature under a proposal was refused."),
    "break_glass": Row("critical", "The break-glass key was used: a post-mortem is owed."),
    "override_ended": Row("notice", "An approved override ran out; the venue went back to the stricter state."),
    "override_stuck": Row("critical", "An override ran out and the stricter state could not be set."),
    "killed": Row("critical", "The kill switch was thrown."),
    "keystore_unwritten": Row(
        "critical", "The keystore could not be written; what was revoked stays so by the journal, nobody was let in."
    ),
    "backup_failed": Row("warning", "A backup failed."),
    "memory_unwritten": Row("warning", "The snapshot that the next start goes on from was not written."),
    "drop_copy_lost": Row("critical", "Desk: the venue's word about our orders is not heard; none is sent (enforce)."),
    "break": Row("critical", "Desk: the venue and the shadow differ, and it stays so; the account's bots only reduce."),
    "not_compared": Row(
        "warning", "Desk: an account was not compared with the venue for a minute: it is never at rest."
    ),
    "order_from_outside": Row("warning", "Desk: an order stands at the venue that nobody placed through Seawall."),
    "facts_unwritten": Row("critical", "Desk: the journal does not take what the venue says; restart Seawall."),
    "certificate_ends": Row("warning", "A certificate of the venue runs out soon."),
}


UNLISTED: Final = Row("critical", "An alert of a kind that no table has: a defect of the venue.")


class Alert(msgspec.Struct):
    """One alert: when it came first and last (milliseconds), how often, and the facts of the last time."""

    kind: str
    severity: str
    sentence: str
    first: int
    last: int
    count: int
    facts: dict[str, Any]


class Alerts:
    """Tells, keeps and counts."""

    def __init__(self, clock_ms: Callable[[], int] | None = None) -> None:
        self.ring: deque[Alert] = deque(maxlen=KEPT)
        self.counts = dict.fromkeys(KINDS, 0)
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)
        self._latest: dict[tuple[str, ...], Alert] = {}
        self._log = structlog.get_logger()

    def tell(self, kind: str, **facts: Any) -> Alert:
        """Raise an alert of a kind in the table; any other is told as critical, for telling must never end a venue."""
        row, now = KINDS.get(kind, UNLISTED), self._clock_ms()
        self.counts[kind] = self.counts.get(kind, 0) + 1
        subject = (kind, *(str(facts.get(word)) for word in SUBJECT))
        latest = self._latest.get(subject)
        if latest is not None and 0 <= now - latest.last < REPEAT_S * 1000 and latest in self.ring:
            latest.last, latest.facts = now, facts
            latest.count += 1
            return latest
        made = Alert(kind, row.severity, row.sentence, now, now, 1, facts)
        if len(self._latest) >= KEPT:
            self._latest = {one: last for one, last in self._latest.items() if now - last.last < REPEAT_S * 1000}
        self._latest[subject] = made
        self.ring.append(made)
        say = {"notice": self._log.info, "warning": self._log.warning, "critical": self._log.critical}[row.severity]
        say("alert", alert=kind, **facts)
        return made

    def since(self, first_ms: int = 0, severity: str = "") -> list[Alert]:
        """Alerts that came again at or after a moment, newest first, of a severity or any."""
        return [
            one for one in reversed(self.ring) if one.last >= first_ms and (not severity or one.severity == severity)
        ]
