"""What stands, why, by whom, and what reopens it: the answer of GET /status, and the figures of GET /metrics."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

import seawall
from seawall.api.operations.naming import name_of
from seawall.api.operations.operations import WORDS, Operations
from seawall.api.operations.record import Override
from seawall.vocabulary.errors import OutcomeUnknown
from seawall.vocabulary.records import RULES_FOLDED, Scope, VenueState

LATENCIES: Final = 4_096
PACKAGES: Final = ("numpy", "numba", "msgspec", "granian", "litestar", "cryptography")


async def status(operations: Operations) -> dict[str, Any]:
    """Everything an operator asks first, also where the writer does not answer any more."""
    node, sequencer, record = operations.service.node, operations.service.sequencer, operations.record
    found: dict[str, Any] = {
        "venue": operations.venue,
        "time": operations.now_ms,
        "writer": "alive",
        "queue": sequencer.waiting,
        "commits": sequencer.commits,
        "sessions": operations.settings.sessions(),
        "disks": [left._asdict() for left in operations.disk_time.left()],
        "proposals": [row.id for row in operations.proposals.rows.values() if row.state == "pending"],
        "overrides": [
            {"until": one.until, "proposal": one.proposal, "of": _override_name(one)}
            for one in record.overrides.values()
        ],
        "latest": record.latest[-10:],
        "alerts": dict(operations.alerts.counts),
        "approvals": {
            "needed": operations.registry.needed,
            "approvers": [{"person": one.person, "role": one.role} for one in operations.registry.approvers],
            "break_glass": _glass(operations),
        },
        "versions": versions(),
    }
    if operations.settings.feeds:
        found["prices"] = operations.prices.rows()
        found["margin"] = operations.governance.standing()
    if operations.upstream is not None:
        found["upstream"] = operations.upstream()
    try:
        seen = await operations.writer.look(lambda: _seen(node))
    except OutcomeUnknown as error:
        found["writer"] = str(error)
        dead = sequencer.dead is not None
        found["restricted"] = [_dead_row(str(error))] if dead else []
        return found
    found |= {name: seen[name] for name in ("seq", "frame", "rules", "engine")}
    found["newest_rules"] = max(RULES_FOLDED)
    found["commit_ms"] = _percentiles(seen["latencies"])
    found["restricted"] = _restricted(operations, seen)
    found["state"] = WORDS[seen["venue"]]
    return found


def versions() -> dict[str, str]:
    """What runs."""
    found = {"seawall": seawall.__version__, "python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _seen(node: Any) -> dict[str, Any]:
    """In the writer's thread: short."""
    catalogue = node.fold.engine.catalogue
    return {
        "seq": node.journal.next_seq - 1,
        "frame": node.journal.next_frame - 1,
        "rules": catalogue.rules,
        "engine": node.configuration.engine,
        "venue": catalogue.venue,
        "states": dict(catalogue.states),
        "underlyings": list(catalogue.underlyings),
        "latencies": list(islice(reversed(node.latencies_ns), LATENCIES)),
    }


def _percentiles(latencies_ns: list[int]) -> dict[str, float] | None:
    if not latencies_ns:
        return None
    ordered = sorted(latencies_ns)
    return {
        name: round(ordered[min(len(ordered) - 1, len(ordered) * part // 100)] / 1e6, 3)
        for name, part in (("p50", 50), ("p99", 99))
    }


def _restricted(operations: Operations, seen: dict[str, Any]) -> list[dict[str, Any]]:
    """What is not open: why, by whom, since when, what reopens it."""
    states = {(int(scope), number): state for (scope, number), state in seen["states"].items()}
    if seen["venue"] != VenueState.OPEN:
        states[int(Scope.VENUE), 0] = seen["venue"]
    rows: list[dict[str, Any]] = []
    for (scope, number), state in sorted(states.items()):
        known = operations.record.states.get((scope, number))
        word, name = Scope(scope).name.lower(), name_of(operations.service.view, seen["underlyings"], scope, number)
        row = {
            "scope": word,
            "name": name,
            "state": WORDS[state],
            "since": known.since // 1_000_000 if known is not None else None,
            "by": known.by if known is not None else "",
            "reason": known.reason if known is not None else "",
            "reopens": (
                f"{operations.registry.needed} people's approval: seawall halt {word}"
                f"{' ' + name if name else ''} --lift, then seawall approve"
            ),
        }
        if row not in rows:  # an underlying may be several of the engine's
            rows.append(row)
    return rows


def _dead_row(error: str) -> dict[str, Any]:
    return {
        "scope": "venue",
        "name": "",
        "state": "dead",
        "since": None,
        "by": "seawall",
        "reason": error,
        "reopens": "end the process, look at the disks, start again; it comes up halted",
    }


def _override_name(override: Override) -> str:
    words = ("scope", "name", "limit", "account", "instrument")
    return " ".join(str(override.parameters[word]) for word in words if override.parameters.get(word))


def _glass(operations: Operations) -> str:
    glass = operations.registry.break_glass
    if glass is None:
        return "none is registered"
    if not glass.used:
        return "sealed"
    return "used; register another" if glass.reviewed else f"used for {glass.used}; a post-mortem is owed"


class Metrics:
    """Figures in Prometheus' text format; gauges are read when asked for."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"seawall_{name}", text, registry=self._registry)
            for name, text in (
                ("writer_alive", "1 while the writer can write"),
                ("journal_seq", "Commands in the journal, durable or in flight"),
                ("queue", "Requests that wait for the writer"),
                ("commits", "Frames made durable since the start"),
                ("sessions", "Connections of the trading door"),
                ("proposals_pending", "Proposals that wait for signatures"),
                ("overrides", "Approved overrides that will end by themselves"),
                ("venue_state", "0 open, 1 reduce-only, 2 halted"),
                ("up_seconds", "Since this door was opened"),
            )
        }
        self._disk = Gauge("seawall_disk_free_bytes", "Bytes free", ["folder"], registry=self._registry)
        self._hours = Gauge("seawall_disk_hours", "Hours left as it grows", ["folder"], registry=self._registry)
        self._alerts = Counter("seawall_alerts", "Alerts by kind", ["kind"], registry=self._registry)
        for kind in operations.alerts.counts:
            self._alerts.labels(kind)
        self._told = dict.fromkeys(operations.alerts.counts, 0)
        self._began = time.monotonic()

    def text(self) -> bytes:
        """All figures, now."""
        operations, service = self._operations, self._operations.service
        venue = operations.record.states.get((int(Scope.VENUE), 0))
        values = {
            "writer_alive": int(service.sequencer.dead is None),
            "journal_seq": service.node.journal.next_seq - 1,
            "queue": service.sequencer.waiting,
            "commits": service.sequencer.commits,
            "sessions": operations.settings.sessions(),
            "proposals_pending": sum(row.state == "pending" for row in operations.proposals.rows.values()),
            "overrides": len(operations.record.overrides),
            "venue_state": int(venue.state) if venue is not None else 0,
            "up_seconds": time.monotonic() - self._began,
        }
        for name, value in values.items():
            self._gauges[name].set(value)
        self._disk.clear()  # a disk that is gone has no figures
        self._hours.clear()
        for left in operations.disk_time.left():
            self._disk.labels(left.folder).set(left.free)
            self._hours.labels(left.folder).set(left.hours if left.hours is not None else float("inf"))
        for kind, count in operations.alerts.counts.items():
            self._alerts.labels(kind).inc(count - self._told.get(kind, 0))
            self._told[kind] = count
        return generate_latest(self._registry)
