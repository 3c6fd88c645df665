"""Margin parameters of a venue that people run: each change a numbered version, from proposal to rollback.

proposed    an owner says what changes of the settings in [margin], as TOML, and why
validated   somebody else, with the right to, says by what evidence: a calibration's inputs' hash, a report
impact run  the venue computes requirements of the present book under both versions; nothing is changed
approved    people's signatures (`approvals`) under the changes, their impact and the time they take effect, a notice
            ahead; a shorter notice takes one more person, and so does margin that rises too far within days
in force    at that time, by the venue's own journalled command; the next publication uses it
rollback    to the version before, by the same signatures and without notice; or of what is approved, before it begins

Validation and impact must be of what is approved and of the version in force; once another takes effect, what was made
against the one before is void. All of it is journalled as operations and approvals, and what `take` folds is all there
is: the configuration's [margin] is the first version of a new venue, and says nothing afterwards.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import structlog

from seawall.api.keystore import Operator
from seawall.api.operations.impact import Holding, impact_of
from seawall.api.operations.record import Record
from seawall.api.portfolio import fee_parts
from seawall.node import Configuration
from seawall.node.configuration import Margin
from seawall.vocabulary.errors import ConfigurationError, InputError
from seawall.vocabulary.records import SYSTEM_ACCOUNTS

PROPOSED, APPROVED, IN_FORCE, SUPERSEDED, ROLLED_BACK, WITHDRAWN, VOID = (
    "proposed", "approved", "in force", "superseded", "rolled back", "withdrawn", "void",
)  # fmt: skip
STANDING: Final = {
    "margin.validate": (PROPOSED,),
    "margin.impact": (PROPOSED, APPROVED),
    "margin.withdraw": (PROPOSED,),
    "margin": (PROPOSED,),
    "margin.in_force": (APPROVED,),
}
"""States of a version in which something may become of it."""

CHANGES_MAX: Final = 20_000
ACCOUNTS_AT_ONCE: Final = 200
"""Looked at between two groups of the writer."""

HOUR_MS: Final = 3_600_000
IMPACT_HOURS: Final = 24
"""How old the impact run may be that signatures are asked for: who signs, and how many, goes by it."""

RISE_DAYS: Final = 5
"""Over so many days a rise of margin is measured, as `seawall policy` does."""


class Version(msgspec.Struct, kw_only=True):
    """One version: `base` is the one it changes, `margin` the settings as JSON, times in milliseconds."""

    version: int
    base: int
    owner: str
    reason: str
    changes: str
    margin: str
    proposed: int
    state: str = PROPOSED
    validated_by: str = ""
    evidence: str = ""
    impact: dict[str, Any] = {}
    impact_run: int = 0
    effective: int = 0
    approved_by: list[str] = []
    since: int = 0
    """When its state began."""


class Parameters:
    """The fold: which versions there are, and which is in force."""

    def __init__(self) -> None:
        self.versions: dict[int, Version] = {}
        self.in_force = 0
        self.done: set[str] = set()
        """Proposals, by id, that did what they asked for."""
        self._entered: list[tuple[int, dict[str, Any], bool]] = []
        """When (milliseconds) a version took effect, or was left for the one before (True), and its impact."""
        self._read = 0

    def take(self, record: Record) -> None:
        """Fold what the record heard since the last time."""
        heard, self._read = record.margin[self._read :], len(record.margin)
        for note, people, now in heard:
            self._fold(note, people, now)

    def _fold(self, note: dict[str, Any], people: list[str], now: int) -> None:
        """One note. Between a look and its durable note another may come: what does not stand any more is left out."""
        action, given = note["action"], note.get("parameters", note)
        if action in ("margin.first", "margin.propose"):
            if given["version"] in self.versions:
                return
            made = {name: given[name] for name in ("version", "base", "owner", "reason", "changes", "margin")}
            row = self.versions[given["version"]] = Version(**made, proposed=now, since=now)
            if action == "margin.first":
                self._enter(row, now)
            elif row.base != self.in_force:
                row.state = VOID
            return
        row = self.versions[given["version"]]
        if action == "margin.rollback":
            last = self.versions[given["was"]]
            if last.state in (APPROVED, IN_FORCE) and last.state == given.get("standing", last.state):
                if last.state == IN_FORCE:
                    self._enter(row, now)
                    self._entered.append((now, last.impact, True))
                last.state, last.since = ROLLED_BACK, now
                self.done.add(note["proposal"])
        elif row.state not in STANDING[action]:
            return
        elif action == "margin.validate":
            row.validated_by, row.evidence = note["by"], given["evidence"]
        elif action == "margin.impact":
            row.impact, row.impact_run = given["impact"], now
        elif action == "margin.withdraw":
            row.state, row.since = WITHDRAWN, now
        elif action == "margin.in_force":
            self._enter(row, now)
            self._entered.append((now, row.impact, False))
        elif action == "margin" and row.base == self.in_force:
            row.state, row.since, row.effective, row.approved_by = APPROVED, now, given["effective"], people
            self.done.add(note["proposal"])

    def _enter(self, row: Version, now: int) -> None:
        if self.in_force:
            last = self.versions[self.in_force]
            last.state, last.since = SUPERSEDED, now
        self.in_force = row.version
        row.state, row.since, row.effective = IN_FORCE, now, now
        for other in self.versions.values():
            if other.state in (PROPOSED, APPROVED):
                other.state, other.since = VOID, now

    def due(self, now: int) -> list[Version]:
        """What is to take effect now, in the order it should have: after a stop the first voids the others, too."""
        found = (row for row in self.versions.values() if row.state == APPROVED and row.effective <= now)
        return sorted(found, key=lambda row: row.effective)

    def rise(self, number: int, now: int) -> float:
        """How many times the book's margin would be what it was at its lowest in the last days, this version in force.

        Each version by its own impact run, on the book of then, its rollback by the same the other way round; by the
        row that rose more. An empty book rises by nothing.
        """
        since, most = now - RISE_DAYS * 24 * HOUR_MS, 1.0
        steps = [(impact, back) for at, impact, back in reversed(self._entered) if at >= since]
        for row in ("initial", "maintenance"):
            times = 1.0
            for impact, back in ((self.versions[number].impact, False), *steps):
                times *= _times(impact, row, back=back)
                most = max(most, times)
        return most

    def get(self, number: int, *states: str) -> Version:
        """A version in one of some states. Raises InputError."""
        row = self.versions.get(number)
        if row is None or row.state not in states:
            stands = row.state if row is not None else "not known"
            raise InputError("version", number, f"must be {' or '.join(states)}; it is {stands}")
        return row


class Governance:
    """What people do with versions, at one venue. Everything here runs on the event loop."""

    def __init__(self, operations: Any, record: Record) -> None:
        """`record` has heard all that the journal holds."""
        self.operations, self.record = operations, record
        self.configuration: Configuration = operations.service.node.configuration
        self.parameters = Parameters()
        self.parameters.take(record)
        self._log = structlog.get_logger()
        self._numbering = asyncio.Lock()
        if self.parameters.in_force:
            self._adopt()

    @property
    def margin(self) -> Margin:
        """The settings in force."""
        return self._margin_of(self.parameters.in_force) if self.parameters.in_force else self.configuration.margin

    async def start(self) -> None:
        """Journal the first version, or say that the file and the journal differ."""
        if not self.parameters.in_force:
            first = {"version": 1, "base": 0, "owner": "configuration", "changes": "", "reason": "the first start"}
            await self._note(None, "margin.first", **first, margin=_json(self.configuration.margin))
        elif self.margin != self.configuration.margin:
            self.operations.alerts.tell("parameters_differ", in_force=self.parameters.in_force)

    def rows(self) -> list[dict[str, Any]]:
        """All versions, the last first."""
        made: list[dict[str, Any]] = [msgspec.to_builtins(row) for row in self.parameters.versions.values()]
        return [{name: value for name, value in row.items() if name != "margin"} for row in reversed(made)]

    def standing(self) -> dict[str, Any]:
        """What is in force and what is on its way, for people."""
        number = self.parameters.in_force
        waiting = [row for row in self.parameters.versions.values() if row.state in (PROPOSED, APPROVED)]
        return {
            "in_force": number,
            "since": self.parameters.versions[number].since if number else None,
            "waiting": [{"version": row.version, "state": row.state, "effective": row.effective} for row in waiting],
        }

    # -- from proposal to rollback -------------------------------------------------------------------------------------

    async def propose(self, by: Operator, changes: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """A new version: the one in force with some settings of [margin] replaced. Raises InputError."""
        async with self._numbering:
            self._open()
            margin = changed(self.margin, changes)
            if margin == self.margin:
                raise InputError("changes", changes[:100], "must change something")
            number = max(self.parameters.versions, default=0) + 1
            facts = {"version": number, "base": self.parameters.in_force, "owner": by.person, "changes": changes}
            if dry_run:
                return {"dry_run": True, "would": "propose", **facts}
            await self._note(by, "margin.propose", **facts, reason=reason, margin=_json(margin))
            return {"done": True, **facts}

    async def validate(
        self, by: Operator, number: int, evidence: str, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Say by what evidence a version is right; its owner cannot."""
        self._open()
        row = self.parameters.get(number, PROPOSED)
        if by.person == row.owner:
            raise InputError("person", by.person, "owns this version: another person validates it")
        if not evidence.strip():
            raise InputError("evidence", evidence, "must say by what: a calibration's inputs' hash, or a report")
        if dry_run:
            return {"dry_run": True, "would": "validate", "version": number}
        await self._note(by, "margin.validate", version=number, evidence=evidence, reason=reason)
        return {"done": True, "version": number, "validated_by": by.person}

    async def impact(self, by: Operator, number: int, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Requirements of the present book under the version in force and under this one."""
        self._open()
        row = self.parameters.get(number, *STANDING["margin.impact"])
        before, after = self._publications(self.margin, self._margin_of(number))
        view, holdings = self.operations.service.view, await self._holdings()
        rules = view.requirements.rules
        found = await asyncio.to_thread(impact_of, view.listings, rules, before, after, holdings)
        if not dry_run:
            await self._note(by, "margin.impact", version=row.version, impact=found, reason=reason)
        return {"dry_run": dry_run, "done": not dry_run, "version": row.version, "impact": found}

    async def approve(
        self, by: Operator, number: int, effective: int, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Propose for signatures a version that is validated and whose impact is known."""
        self._open()
        row = self.parameters.get(number, PROPOSED)
        if not row.validated_by:
            raise InputError("version", number, "must be validated, by another person than its owner")
        if not row.impact:
            raise InputError("version", number, "must have an impact run")
        now = self.operations.now_ms
        if now - row.impact_run > IMPACT_HOURS * HOUR_MS:
            rule = f"must have an impact run of the last {IMPACT_HOURS} hours: the book may be another one"
            raise InputError("version", number, rule)
        notice = round(self.configuration.operators.notice_h * HOUR_MS)
        at = effective or now + notice
        if not now <= at < now + 366 * 24 * HOUR_MS:
            raise InputError("effective", at, "must be within a year from now")
        names = ("version", "base", "owner", "changes", "validated_by", "evidence", "impact")
        asked = {name: getattr(row, name) for name in names}
        asked |= {"effective": at, "reason": reason}
        more, rise = int(at < now + notice), self.parameters.rise(number, now)
        if rise > self.configuration.operators.rise_cap:
            asked |= {"rise": f"{rise:.3f}", "rise_cap": f"{self.configuration.operators.rise_cap:g}"}
            more += 1
        if more:
            asked["more"] = more
        found: dict[str, Any] = await self.operations.propose(by, "margin", asked, dry_run=dry_run)
        return found

    async def rollback(self, by: Operator, number: int, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Propose for signatures to go back from the version in force (0) to the one before, or not to begin an
        approved one."""
        self._open()
        last = self.parameters.get(number or self.parameters.in_force, APPROVED, IN_FORCE)
        if not last.base:
            raise InputError("version", last.version, "is the first: there is none before it")
        asked = {"version": last.base, "was": last.version, "standing": last.state, "reason": reason}
        found: dict[str, Any] = await self.operations.propose(by, "margin.rollback", asked, dry_run=dry_run)
        return found

    async def withdraw(self, by: Operator, number: int, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """End a version that nobody has signed."""
        self._open()
        self.parameters.get(number, PROPOSED)
        if dry_run:
            return {"dry_run": True, "would": "withdraw", "version": number}
        await self._note(by, "margin.withdraw", version=number, reason=reason)
        return {"done": True, "version": number}

    def check_standing(self, action: str, asked: dict[str, Any]) -> None:
        """Raise InputError if what a proposal is about does not stand any more as it was proposed."""
        if action == "margin.rollback":
            self.parameters.get(asked["was"], asked.get("standing", IN_FORCE))
            return
        row = self.parameters.get(asked["version"], PROPOSED)
        for name in ("base", "changes", "validated_by", "evidence", "impact"):
            if getattr(row, name) != asked[name]:
                raise InputError("version", row.version, f"its {name} changed after it was proposed: propose it again")

    def check_done(self, proposal: str) -> None:
        """Raise InputError if a proposal, journalled as approved, came after what made it void."""
        self.heard()
        if proposal not in self.parameters.done:
            raise InputError("proposal", proposal, "the version changed while it was carried out: propose it again")

    async def tick(self) -> None:
        """Let what is due take effect. Raises OutcomeUnknown."""
        self.heard()
        for row in self.parameters.due(self.operations.now_ms):
            if row.state == APPROVED:  # the one before it may have made it void
                await self._note(None, "margin.in_force", version=row.version, reason="its notice is over")

    def heard(self) -> None:
        """Fold what was journalled; where another version is in force, the next publication is under it."""
        before = self.parameters.in_force
        self.parameters.take(self.record)
        if before and self.parameters.in_force != before:
            self._adopt()
            self.operations.alerts.tell("parameters_changed", version=self.parameters.in_force, before=before)

    # -- inner -------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if not self.operations.settings.feeds:
            raise InputError("parameters", "", "are the file's here: the market is simulated, or another venue's")
        self.heard()

    def _margin_of(self, number: int) -> Margin:
        try:
            return msgspec.json.decode(self.parameters.versions[number].margin, type=Margin)
        except (msgspec.ValidationError, InputError) as error:
            raise ConfigurationError("margin", number, f"this build does not read the version: {error}") from error

    def _adopt(self) -> None:
        self.operations.prices.adopt(msgspec.structs.replace(self.configuration, margin=self.margin))
        self._log.info("margin parameters in force", version=self.parameters.in_force)

    async def _note(self, by: Operator | None, action: str, **facts: Any) -> None:
        await self.operations.note(by, action, **facts)
        self.heard()

    def _publications(self, *margins: Margin) -> list[list[int]]:
        """What each would publish now, as words. Raises InputError where a coin has no price."""
        made = [msgspec.structs.replace(self.configuration, margin=margin) for margin in margins]
        return [self.operations.prices.imagine(one) for one in made]

    async def _holdings(self) -> list[Holding]:
        """Every client account as the engine has it, a share of them at a time, and its open orders."""
        service = self.operations.service
        view, engine = service.view, service.node.fold.engine
        numbers = sorted(number for number in view.account_tiers if number >= SYSTEM_ACCOUNTS)
        found: list[Holding] = []
        for first in range(0, len(numbers), ACCOUNTS_AT_ONCE):
            some = numbers[first : first + ACCOUNTS_AT_ONCE]
            seen = await self.operations.writer.look(lambda some=some: [engine.account_view(n) for n in some])
            found += [self._holding(view, number, row) for number, row in zip(some, seen, strict=True)]
        return found

    def _holding(self, view: Any, number: int, seen: dict[str, Any]) -> Holding:
        client = view.client(number)
        orders = [
            (one.instrument, one.side, one.remaining, one.price, fee_parts(view, number, view.listings[one.instrument]))
            for one in _resting(client.open.values())
        ]
        return Holding(client.name or str(number), seen, orders)


def changed(margin: Margin, changes: str) -> Margin:
    """The settings with those of a TOML text in the place of theirs. Raises InputError, naming the setting."""
    if len(changes) > CHANGES_MAX:
        raise InputError("changes", len(changes), f"must have at most {CHANGES_MAX} characters")
    try:
        given = msgspec.toml.decode(changes.encode())
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError("changes", changes[:100], f"must be TOML: {error}") from error
    merged = _merged(msgspec.to_builtins(margin), given)
    return Configuration.of({"margin": merged}).margin


def _times(impact: dict[str, Any], row: str, *, back: bool) -> float:
    """How many times what is asked of the book becomes of what it was, in a row, or would again on the way back."""
    before, after = (int(atoms) for atoms in (reversed(impact[row]) if back else impact[row]))
    return after / before if before else 1.0


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    made = dict(old)
    for name, value in new.items():
        both = isinstance(value, dict) and isinstance(made.get(name), dict)
        made[name] = _merged(made[name], value) if both else value
    return made


def _resting(orders: Iterable[Any]) -> Iterable[Any]:
    """Open orders that count in a requirement: those in the book."""
    return (order for order in orders if order.state == "open")


def _json(margin: Margin) -> str:
    return msgspec.json.encode(margin).decode()
