"""What people may do at the operations door, without the network: restrict at once, propose, sign, look.

Restricting acts at once, by one person; what the engine calls relaxing becomes a proposal, and whether it relaxes is
the engine's to say (`judge`), so there is one rule. Each command carries who asked and why, or the approval.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog

from seawall.api.access import Access
from seawall.api.keystore import Approver, Keystore, Operator, Registry, token_hash
from seawall.api.operations import canonical
from seawall.api.operations.actions import (
    STATES,
    World,
    check_approver,
    check_enough,
    check_sealed,
    deed,
    limit_acts,
    state_acts,
)
from seawall.api.operations.alerts import Alerts
from seawall.api.operations.approvals import (
    BREAK_GLASS,
    EXECUTED,
    EXECUTING,
    FAILED,
    Proposal,
    Proposals,
)
from seawall.api.operations.disk_time import DISK_LEAST, DiskTime, days_left
from seawall.api.operations.hours import Hours
from seawall.api.operations.journalling import Act, Denied, Writer, judge
from seawall.api.operations.naming import aimed, numbers_of
from seawall.api.operations.parameters import Governance
from seawall.api.operations.people import change, hold
from seawall.api.operations.prices import Answered, Prices, Report
from seawall.api.operations.record import Override, Record, subject
from seawall.engine.catalogue import Refused
from seawall.journal.disk import OsDisk
from seawall.journal.reading import Mirror
from seawall.vocabulary.errors import InputError, JournalError, OutcomeUnknown, SeawallError
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import Kind, Scope, VenueState

WORDS: Final = {VenueState.OPEN: "open", VenueState.REDUCE_ONLY: "reduce_only", VenueState.HALTED: "halted"}
REASON_MAX: Final = 500
CLOCK_STEP_MS: Final = 1_000
CERTIFICATE_DAYS: Final = 21


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operations door is told at the start."""

    store: Keystore = field(default_factory=Keystore)
    backup: str = ""
    """Folder that POST /backup copies to; empty: none."""
    disk_hours: float = 24.0
    """Disk time left below which an alert is raised."""
    late_s: float = 60.0
    """Seconds without a publication of marks and risk after which an alert is raised."""
    certificates: tuple[str, ...] = ()
    """Files of the doors' certificates."""
    sessions: Callable[[], int] = lambda: 0
    """How many connections the trading door has."""
    cut: Callable[[str], object] = lambda key: None
    """Ends the connections of a key that was revoked: what they subscribed to is told to nobody any more."""
    feeds: bool = False
    """Whether prices come by POST /prices: not where a market is simulated, or mirrored."""


class Operations:
    """The venue as its operators have it. Everything here runs on the event loop."""

    def __init__(self, service: Any, settings: Settings, record: Record, alerts: Alerts | None = None) -> None:
        """`record` has heard all that the journal holds."""
        self.service, self.settings, self.record = service, settings, record
        self.store = settings.store
        self.registry: Registry = settings.store.registry
        self.writer = Writer(service)
        self.alerts = alerts or Alerts(lambda: self.now_ms)
        self.upstream: Callable[[], dict[str, Any]] | None = None
        """Of desk mode: how it stands with the venue behind."""
        configuration = service.node.configuration
        folders = [*configuration.folders, configuration.home_folder]
        self.disk_time = DiskTime(list(dict.fromkeys(folders)))
        self.venue = Mirror(configuration.folders, OsDisk()).identity.journal.hex()
        self.proposals = Proposals(self.venue, self.registry)
        self._ending: set[tuple[Any, ...]] = set()
        self._changing = asyncio.Lock()
        """Held from the look that allows or numbers a change until it is done: the next is checked against it."""
        self._certificates_at = 0.0
        self._log = structlog.get_logger()
        for document, payload, seq in record.proposed.values():
            if document.get("venue") == self.venue and document["proposal"] not in record.executed:
                self.proposals.rows[document["proposal"]] = Proposal(payload.encode(), document, noted=seq)
        self.proposals.expire(self.now_ms)
        hold(self.registry, record)  # the journal knows it, whatever became of the file
        service.listeners.append(lambda group, _: record.take(group))
        self.prices = Prices(service, record)
        self.governance = Governance(self, record)
        if settings.feeds:
            self.hours = Hours(self.prices, configuration.clearing.funding_cap)
        self.access.tell, self.access.started_ms = self.alerts.tell, self.now_ms
        self._last_ms = self.now_ms
        self.steady: Callable[[], float] = time.monotonic
        """A clock that nobody sets, in seconds."""
        self._published = record.published, self.steady()
        self._at_start()

    @property
    def now_ms(self) -> int:
        """The venue's clock, milliseconds since the epoch."""
        return int(self.service.clock_ms())

    @property
    def access(self) -> Access:
        """The trading door's keys."""
        access: Access = self.service.access
        return access

    # -- restricting ---------------------------------------------------------------------------------------------------

    async def set_state(
        self, by: Operator, scope: str, name: str, state: str, reason: str, *, until: int = 0, dry_run: bool = False
    ) -> dict[str, Any]:
        """Halt, hold to reducing, or ask to open: at once if it restricts, else a proposal."""
        check_reason(reason)
        world = await self.world()
        acts = state_acts(world, scope, name, state, approved=False)
        refused, was = await self.writer.look(lambda: (judge(self._catalogue, acts), self._was(acts)))
        parameters = {"scope": scope, "name": name, "state": state, "was": was, "reason": reason}
        if until:
            self._check_until(until, state != "halted")
            parameters["until"] = until
        if relaxes(refused):
            return await self.propose(by, "state", parameters, dry_run=dry_run)
        if until:
            raise InputError("until", until, "goes with what relaxes; a restriction holds until it is lifted")
        return await self._restrict(by, "halt" if state == "halted" else state, acts, parameters, refused, dry_run)

    async def kill(self, by: Operator, scope: str, name: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Halt a scope and cancel all of its orders, in one command for each number it means."""
        check_reason(reason)
        world = await self.world()
        acts = [Act(Kind.KILL, aimed(*thing)) for thing in numbers_of(world.view, world.underlyings, scope, name)]
        parameters = {"scope": scope, "name": name, "reason": reason, "orders": self._open_orders(scope, name)}
        done = await self._restrict(by, "kill", acts, parameters, None, dry_run)
        if not dry_run:
            self.alerts.tell("killed", scope=scope, name=name, by=by.person, reason=reason)
        return done

    async def cancel_all(
        self, by: Operator, scope: str, name: str, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Cancel the open orders of a scope; who may trade may go on."""
        check_reason(reason)
        view = self.service.view
        if scope == "underlying":
            numbers = [n for n, row in view.listings.items() if row.base == name and not row.expired]
            if not numbers:
                raise InputError("underlying", name[:64], "must be the base coin of a listed instrument")
            acts = [Act(Kind.CANCEL_ALL, {"account": -1, "instrument": number}) for number in numbers]
        else:
            ((kind, number),) = numbers_of(view, [], scope, name)
            account = number if kind == Scope.ACCOUNT else -1
            instrument = number if kind == Scope.INSTRUMENT else -1
            acts = [Act(Kind.CANCEL_ALL, {"account": account, "instrument": instrument})]
        parameters = {"scope": scope, "name": name, "reason": reason, "orders": self._open_orders(scope, name)}
        return await self._restrict(by, "cancel-all", acts, parameters, None, dry_run)

    async def set_limit(
        self, by: Operator, parameters: dict[str, Any], *, until: int = 0, dry_run: bool = False
    ) -> dict[str, Any]:
        """Set a limit: at once if it tightens, else a proposal."""
        check_reason(parameters["reason"])
        world = await self.world()
        acts = limit_acts(world, parameters, approved=False)
        refused, was = await self.writer.look(lambda: (judge(self._catalogue, acts), self._row(acts[0].fields)))
        parameters = {**parameters, "was": was}
        if until:
            self._check_until(until, was != "none")
            parameters["until"] = until
        if relaxes(refused):
            return await self.propose(by, "limit", parameters, dry_run=dry_run)
        if until:
            raise InputError("until", until, "goes with what relaxes; a restriction holds until it is lifted")
        return await self._restrict(by, "limit", acts, parameters, refused, dry_run)

    async def revoke(self, by: Operator, id_: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Revoke a trading key: its tokens and logins die with the next command, whatever the disk does."""
        check_reason(reason)
        if id_ not in self.registry.keys:
            raise InputError("id", id_[:64], "must be a key")

        def edit(registry: Registry) -> None:
            registry.keys[id_].revoked = True

        if dry_run:
            return {"dry_run": True, "would": f"revoke key {id_}"}
        await self._change(edit, restricts=True)
        self.settings.cut(id_)
        note = operation(by, "key.revoke", {"key": id_, "reason": reason})
        return {"done": True, "seq": await self.writer.write([Act(Kind.TIME, {})], note)}

    async def revoke_operator(self, by: Operator, person: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Take a person's tokens to this door."""
        check_reason(reason)
        if not any(one.person == person and not one.revoked for one in self.registry.operators):
            raise InputError("person", person[:64], "has no token here")

        if dry_run:
            return {"dry_run": True, "would": f"revoke the tokens of {person}"}
        facts = {"person": person, "reason": reason}
        await self._change(partial(change, action="operator.revoke", facts=facts), restricts=True)
        note = operation(by, "operator.revoke", facts)
        return {"done": True, "seq": await self.writer.write([Act(Kind.TIME, {})], note)}

    async def create_account(
        self, by: Operator, name: str, tier: int, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """A new, empty account under a name that nobody has."""
        check_reason(reason)
        if not name or not name.isprintable() or len(name) > 64 or name.isdigit():
            raise InputError("name", name[:64], "must be 1 to 64 printable characters, not digits alone")
        async with self._changing:
            if any(client.name == name for client in self.service.view.clients.values()):
                raise InputError("name", name, "must be new")
            number = await self.writer.look(lambda: self._catalogue.accounts)
            if dry_run:
                return {"dry_run": True, "would": "account", "account": number, "name": name, "tier": tier}
            note = canonical.encode({"note": "account", "account": number, "name": name})
            acts = [Act(Kind.TIME, {}), Act(Kind.ACCOUNT, {"account": number, "tier": tier}), Act(Kind.TIME, {}, note)]
            facts = {"account": number, "name": name, "tier": tier, "reason": reason}
            seq = await self.writer.write(acts, operation(by, "account", facts))
            return {"done": True, "seq": seq, **facts}

    async def feed(self, by: Operator, report: Report, *, dry_run: bool = False) -> Answered:
        """Take a report of prices. What is refused or doubted is told to people, too."""
        if not self.settings.feeds:
            raise InputError("prices", "", "do not come by report here: the market is simulated, or another venue's")
        try:
            found = await self.prices.report(by.person, report, dry_run=dry_run)
        except SeawallError as error:
            self.alerts.tell("prices_refused", by=by.person, why=str(error))
            raise
        if found.doubted:
            self.alerts.tell("prices_doubted", by=by.person, what=found.doubted[:20])
        return found

    # -- people --------------------------------------------------------------------------------------------------------

    async def setup(
        self, by: Operator, approvers: list[Approver], break_glass: str, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Register the first approvers and the sealed key. Once: later changes are proposals."""
        check_reason(reason)
        scratch = Registry()
        for one in approvers:
            scratch.approvers.append(check_approver(scratch, one.person, one.role, one.key))
        check_enough(scratch.approvers, self.registry.needed)
        if len({one.person for one in scratch.approvers}) != len(scratch.approvers):
            raise InputError("approvers", len(approvers), "must be different people")
        if break_glass:
            check_approver(scratch, "sealed", "operator", break_glass)
            check_sealed(break_glass, [], self.record.break_glass)
        facts: dict[str, Any] = {
            "approvers": [{"person": one.person, "role": one.role, "key": one.key} for one in scratch.approvers],
            "break_glass": break_glass,
            "reason": reason,
        }

        async with self._changing:
            if self.registry.approvers:
                raise InputError("approvers", len(self.registry.approvers), "are registered; changes are proposals")
            if dry_run:
                return {"dry_run": True, "would": "setup", **facts}
            seq = await self.note(by, "setup", **facts)
            await self._change(partial(change, action="setup", facts=facts))
        return {"done": True, "seq": seq, **facts}

    async def review(self, by: Operator, text: str, *, dry_run: bool = False) -> dict[str, Any]:
        """File the post-mortem that a use of the break-glass key owes."""
        check_reason(text)
        glass = self.registry.break_glass
        if glass is None or not glass.used or glass.reviewed:
            raise InputError("post-mortem", "", "none is owed")
        if dry_run:
            return {"dry_run": True, "would": "post-mortem", "proposal": glass.used}
        seq = await self.note(by, "post-mortem", proposal=glass.used, reason=text)

        def edit(registry: Registry) -> None:
            assert registry.break_glass is not None
            registry.break_glass.reviewed = True

        await self._change(edit)
        return {"done": True, "seq": seq, "proposal": glass.used}

    async def note(self, by: Operator | None, action: str, **facts: Any) -> int:
        """Journal that something was done."""
        return await self.writer.write([Act(Kind.TIME, {})], operation(by, action, facts))

    # -- proposals -----------------------------------------------------------------------------------------------------

    async def propose(
        self, by: Operator, action: str, parameters: dict[str, Any], *, sealed: str = "", dry_run: bool = False
    ) -> dict[str, Any]:
        """Ask for what relaxes: nothing happens until people have signed it. Asking is journalled, too."""
        check_reason(parameters["reason"])
        proposal = self.proposals.draft(action, parameters, by.person, self.now_ms)
        proposal.sealed = sealed
        world = await self.world(sealed)
        prepared = deed(world, action, parameters)
        refused = await self.writer.look(lambda: judge(self._catalogue, prepared.acts))
        if refused is not None:
            raise Denied(refused.reason, refused.a, refused.b)
        if dry_run:
            return {"dry_run": True, "would": "propose", "proposal": describe(proposal, self.registry.needed)}
        note = canonical.encode({"note": "proposal", "payload": proposal.payload.decode()})
        self.proposals.add(proposal, self.now_ms)
        try:
            proposal.noted = await self.writer.write([Act(Kind.TIME, {})], note)
        except SeawallError:
            proposal.state = FAILED
            raise
        return {"proposed": True, "proposal": describe(proposal, self.registry.needed)}

    async def sign(self, id_: str, key: str, signature: str) -> dict[str, Any]:
        """Take a signature; the last one that is needed carries the proposal out."""
        async with self._changing:  # what is being carried out may change who counts, and how many are needed
            try:
                proposal, complete = self.proposals.sign(id_, key, signature, self.now_ms)
            except InputError as error:
                self.alerts.tell("bad_signature", proposal=id_[:64], why=f"{error.field}: {error.rule}")
                raise
            if complete:
                await self._execute(proposal)
            return {"signed": True, "proposal": describe(proposal, self.registry.needed)}

    async def withdraw(self, by: Operator, id_: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """End a proposal that waits: that only restricts, so anybody who may propose may."""
        check_reason(reason)
        proposal = self.proposals.withdraw(id_, self.now_ms, dry_run=dry_run)
        if dry_run:
            return {"dry_run": True, "would": "withdraw", "proposal": describe(proposal, self.registry.needed)}
        await self.note(by, "withdraw", proposal=id_, reason=reason)
        return {"withdrawn": True, "proposal": describe(proposal, self.registry.needed)}

    async def _execute(self, proposal: Proposal) -> None:
        """Carry an approved proposal out, `_changing` held. It is used up, whatever becomes of it."""
        glass = BREAK_GLASS in proposal.people
        try:
            if glass:
                await self._change(lambda registry: _use_glass(registry, proposal.id), restricts=True)
                self.alerts.tell("break_glass", proposal=proposal.id, parameters=proposal.parameters)
            world = await self.world(proposal.sealed)
            prepared = deed(world, proposal.action, proposal.parameters)
            self._check_until(proposal.parameters.get("until", 0), True)
            await self._check_standing(proposal, prepared.acts)
            attachment = self.proposals.attachment(proposal)
            own = [act for act in prepared.acts if act.attachment]
            acts = prepared.acts if prepared.acts and not own else [Act(Kind.TIME, {}), *prepared.acts]
            if prepared.rules:
                proposal.seq = await self.writer.adopt(prepared.rules, attachment)
            else:
                proposal.seq = await self.writer.write(acts, attachment)
            if prepared.edit is not None:
                await self._change(prepared.edit)
            if proposal.action.startswith("margin"):
                self.governance.check_done(proposal.id)
            proposal.state = EXECUTED
        except SeawallError as error:
            proposal.state, proposal.outcome = FAILED, str(error)
            await self._note_failed(proposal)
            raise
        finally:
            proposal.sealed = ""
            if proposal.state == EXECUTING:
                proposal.state, proposal.outcome = FAILED, "interrupted"

    async def _note_failed(self, proposal: Proposal) -> None:
        """Journal that a proposal came to nothing, so that it does not wait again after a restart."""
        try:
            await self.note(None, "failed", proposal=proposal.id, reason=proposal.outcome)
        except SeawallError as error:
            self._log.error("a failed proposal could not be journalled", proposal=proposal.id, why=str(error))

    # -- time ----------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Once a second: disks, clock, writer and publisher are looked at; what ran out goes back to what stood before.

        Never raises for what it finds: it tells.
        """
        now = self.now_ms
        if now < self._last_ms - CLOCK_STEP_MS:
            self.alerts.tell("clock_back", milliseconds=self._last_ms - now)
        self._last_ms = now
        self.proposals.expire(now)
        self._look_at_disks()
        self._look_at_certificates()
        self._look_at_prices(now)
        if self.service.sequencer.dead is not None:
            self.alerts.tell("dead_writer", why=str(self.service.sequencer.dead))
            return
        try:
            await self.writer.look(lambda: None)
        except OutcomeUnknown as error:
            self.alerts.tell("writer_silent", why=str(error))
            return
        await self._publish_waiting()
        await self._close_when_blind()
        due = [one for one in self.record.overrides.values() if one.until <= self.now_ms]
        for override in due:
            if override.key not in self._ending:
                await self._end(override)

    def _at_start(self) -> None:
        """Tell what the start found."""
        node = self.service.node
        if node.recovery.repaired:
            first = node.recovery.repaired[0]
            pages = len(node.recovery.repaired)
            self.alerts.tell("copy_repaired", folder=str(first.folder), pages=pages, first_frame=first.frame)
        if node.verification is not None:
            self.alerts.tell("unclean_start", sound=node.verification.ok)
            if not node.verification.ok:
                self.alerts.tell("copies_unsound", first_bad_frame=node.verification.first_bad_frame)
        self._look_at_disks()

    def _look_at_prices(self, now: int) -> None:
        late = self.prices.late(now) if self.settings.feeds else {}
        for coin, age in late.items():
            self.alerts.tell("publisher_late", coin=coin, seconds=age // 1000)
        published = self.record.published // 1_000_000
        if not late and published and now - published > self.settings.late_s * 1000:
            self.alerts.tell("publisher_late", seconds=(now - published) // 1000)

    async def _close_when_blind(self) -> None:
        """Where the clock stepped back and prices stopped, hold the venue to reducing, as STALE would.

        The journal's time stands until the clock has caught up, so no price grows old in it, and no limit on age acts.
        """
        if self.record.published != self._published[0]:
            self._published = self.record.published, self.steady()
        age, behind_ms = self.steady() - self._published[1], self.service.view.now_ms - self.now_ms
        most = self.settings.late_s
        if not self.settings.feeds or not self.record.published or age <= most or behind_ms <= CLOCK_STEP_MS:
            return
        self.alerts.tell("publisher_late", seconds=round(age), clock_behind_ms=behind_ms)
        if self._catalogue.venue != VenueState.OPEN:
            return
        note = {"scope": "venue", "reason": "prices stopped while the clock, which stepped back, catches up"}
        act = Act(Kind.STATE, {"state": VenueState.REDUCE_ONLY, **aimed(Scope.VENUE, 0)})
        try:
            await self.writer.write([act], operation(None, "reduce_only", note))
        except SeawallError as error:
            self._log.error("the venue could not be held to reducing", why=str(error))

    async def _publish_waiting(self) -> None:
        if not self.settings.feeds:
            return
        for step, kind in (
            (self.governance.tick, "prices_refused"),
            (self.prices.tick, "prices_refused"),
            (self.hours.tick, "hour_missed"),
        ):
            try:
                await step()
            except SeawallError as error:
                self.alerts.tell(kind, why=str(error))

    def _look_at_disks(self) -> None:
        try:
            self.disk_time.sample(time.monotonic())
        except OSError as error:
            self.alerts.tell("disk_gone", why=str(error))
        for left in self.disk_time.left():
            if left.free < DISK_LEAST or (left.hours is not None and left.hours < self.settings.disk_hours):
                self.alerts.tell("disk_time", folder=left.folder, hours=left.hours, free=left.free)

    def _look_at_certificates(self) -> None:
        now = time.time()
        if now >= self._certificates_at:
            self._certificates_at = now + 3_600
            for file, days in days_left(self.settings.certificates, now):
                if days < CERTIFICATE_DAYS:
                    self.alerts.tell("certificate_ends", file=file, days=days)

    async def _end(self, override: Override) -> None:
        """Set what stood before an override that ran out: a restriction, so nobody is asked."""
        parameters = override.parameters
        self._ending.add(override.key)
        try:
            if override.key[0] == "state":
                scope, number = Scope(override.key[1]), override.key[2]
                acts = [Act(Kind.STATE, {"state": STATES[parameters["was"]], **aimed(scope, number)})]
            else:
                acts = limit_acts(await self.world(), {**parameters, "row": parameters["was"]}, approved=False)
            note = {"reason": f"the override of proposal {override.proposal} ran out"}
            await self.writer.write(acts, operation(None, "override ended", note))
            self.alerts.tell("override_ended", proposal=override.proposal, key=list(override.key))
            self.record.overrides.pop(override.key, None)
        except SeawallError as error:
            self.alerts.tell("override_stuck", proposal=override.proposal, why=str(error))
        finally:
            self._ending.discard(override.key)

    # -- inner ---------------------------------------------------------------------------------------------------------

    @property
    def _catalogue(self) -> Any:
        return self.service.node.fold.engine.catalogue

    async def world(self, sealed: str = "") -> World:
        """What actions are carried out in, as the engine has it now."""
        underlyings, instruments, rules = await self.writer.look(
            lambda: (list(self._catalogue.underlyings), len(self._catalogue.specs), self._catalogue.rules)
        )
        now, spent = time.time(), tuple(self.record.break_glass)
        return World(self.service.view, underlyings, instruments, rules, self.registry, now, sealed, spent)

    async def _restrict(
        self,
        by: Operator,
        action: str,
        acts: list[Act],
        parameters: dict[str, Any],
        refused: Refused | None,
        dry_run: bool,
    ) -> dict[str, Any]:
        if refused is not None:
            raise Denied(refused.reason, refused.a, refused.b)
        if dry_run:
            return {"dry_run": True, "would": action, **parameters}
        seq = await self.writer.write(acts, operation(by, action, parameters))
        return {"done": True, "seq": seq, "action": action, **parameters}

    async def _change(self, edit: Callable[[Registry], None], *, restricts: bool = False) -> None:
        try:
            await self.store.change(edit, restricts=restricts)
        except JournalError as error:
            self.alerts.tell("keystore_unwritten", why=str(error))
            if not restricts:
                raise

    def _was(self, acts: list[Act]) -> str:
        """The strictest state of what is about to change."""
        states = [self._catalogue.state_of(*self._catalogue.scope(_Fields(act.fields))) for act in acts]
        return WORDS[max(states)]

    async def _check_standing(self, proposal: Proposal, acts: list[Act]) -> None:
        """Raise InputError if what a proposal is about was changed after it was proposed."""
        wanted = proposal.parameters.get("was")
        if proposal.action == "state":
            was = await self.writer.look(lambda: self._was(acts))
            keys = [(int(act.fields["type"]), _number(act)) for act in acts]
            standing = [self.record.states[key] for key in keys if key in self.record.states]
            later = next((one for one in standing if one.seq > proposal.noted), None)
            if later is not None:
                rule = f"{later.by or 'somebody'} set {WORDS[later.state]} after it was proposed: propose it again"
                raise InputError("proposal", proposal.id, rule)
        elif proposal.action == "limit":
            was = await self.writer.look(lambda: self._row(acts[0].fields))
        elif proposal.action.startswith("margin"):
            self.governance.check_standing(proposal.action, proposal.parameters)
            return
        else:
            about = subject(proposal.action, proposal.parameters)
            if about and self.record.changed.get(about, 0) > proposal.noted:
                raise InputError(
                    "proposal", proposal.id, f"{about} was changed after it was proposed: propose it again"
                )
            if proposal.action == "approvers.needed":
                was = self.registry.needed
            elif proposal.action == "rules":
                was = (await self.world()).rules
            else:
                return
        if was != wanted:
            raise InputError("proposal", proposal.id, f"it is {was} now, not {wanted}: propose it again")

    def _row(self, fields: dict[str, Any]) -> list[str] | str:
        """The limit in force, as text."""
        row = self._catalogue.limits.get((fields["state"], fields["account"], fields["instrument"]))
        return [str(word) for word in row] if row is not None else "none"

    def _check_until(self, until: int, anything: bool) -> None:
        if until and (not anything or not self.now_ms < until < self.now_ms + 366 * 86_400_000):
            raise InputError("until", until, "must be within a year from now, of what stood otherwise before")

    def _open_orders(self, scope: str, name: str) -> int:
        """How many open orders a scope has."""
        view, count = self.service.view, 0
        for client in view.clients.values():
            for order in client.open.values():
                listing = view.listings[order.instrument]
                count += {
                    "venue": True,
                    "account": name in (client.name, str(client.number)),
                    "instrument": listing.name == name,
                    "underlying": listing.base == name,
                }.get(scope, False)
        return count

    def operator(self, token: str) -> Operator | None:
        """Whose token it is; None for nobody's."""
        found, hashed = None, token_hash(token)
        for one in self.registry.operators:
            if secrets.compare_digest(one.token, hashed) and not one.revoked:
                found = one
        return found


class _Fields(dict[str, Any]):
    """A command's fields, zero where nothing is said."""

    def __missing__(self, name: str) -> int:
        return 0


def _number(act: Act) -> int:
    """What a STATE command is about, 0 for the venue."""
    kind = act.fields["type"]
    return 0 if kind == Scope.VENUE else int(act.fields["account" if kind == Scope.ACCOUNT else "instrument"])


def relaxes(refused: Refused | None) -> bool:
    """Whether the engine wants people's approval for it."""
    return refused is not None and refused.reason == Reason.PEOPLE_REQUIRED


def operation(by: Operator | None, action: str, facts: dict[str, Any]) -> bytes:
    """The note that goes with what one person, or the venue itself, did."""
    who = {"by": by.person, "role": by.role} if by is not None else {"by": "seawall", "role": "automation"}
    return canonical.encode({"note": "operation", "action": action, **who, **facts})


def describe(proposal: Proposal, needed: int) -> dict[str, Any]:
    """A proposal as the door shows it; `payload` is what is signed."""
    return {
        "id": proposal.id,
        "action": proposal.action,
        "state": proposal.state,
        "outcome": proposal.outcome,
        "payload": proposal.payload.decode(),
        "expires": proposal.document["expires"],
        "proposed_by": proposal.document["proposed_by"],
        "signed_by": proposal.people,
        "needed": proposal.needed(needed),
        "seq": proposal.seq,
    }


def check_reason(reason: str) -> None:
    """Raise InputError unless somebody can read it later."""
    if not reason.strip() or len(reason) > REASON_MAX:
        raise InputError("reason", reason[:40], f"must say why, in at most {REASON_MAX} characters")


def _use_glass(registry: Registry, proposal: str) -> None:
    assert registry.break_glass is not None
    registry.break_glass.used, registry.break_glass.reviewed = proposal, False
