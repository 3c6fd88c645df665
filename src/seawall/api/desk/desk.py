"""What desk mode is made of: bots, accounts at the venue, the gate, the shadow, the drop copies.

A bot is a client account here, with its own key, limits and share of the collateral of its account at the venue;
several bots may share one. Desks and firms are groups of bots, and limits of groups hold for all of them together.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
import structlog

from seawall.api.access import Identity
from seawall.api.commands import packed
from seawall.api.desk.cancelling import OVER, cancel_strays, cancel_there
from seawall.api.desk.drop_copy import DropCopy
from seawall.api.desk.flight import Flight
from seawall.api.desk.gate import Gate
from seawall.api.desk.latency import Latencies
from seawall.api.desk.rows import OrderRow, TradeRow
from seawall.api.desk.sent import SKEW_MS, Sent
from seawall.api.desk.shadow import Live, Shadow
from seawall.api.desk.statement import Taken
from seawall.api.desk.tally import Differs, Tally, Unweighed
from seawall.api.desk.tokens import Tokens, scope_of
from seawall.api.errors import RpcError
from seawall.api.listing import Listing
from seawall.api.view import Order
from seawall.node.configuration import Bot
from seawall.node.node import Group
from seawall.venues.connection import Unreachable, VenueError
from seawall.venues.credentials import Credentials, Upstream
from seawall.vocabulary.errors import SeawallError
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind, Kind, Scope, VenueState

if TYPE_CHECKING:
    from seawall.api.service import Service

Done = Callable[[int, SeawallError | None], None]
TOGETHER_S: Final = {True: 0.005, False: 0.05}
"""How long what nobody waits for may wait to be journalled together, by whether the gate stands (enforce). In observe
these are the orders as well, so that neither their way nor the next one's is slowed by our disk."""

_STATUS: Final = int(EventKind.STATUS)
DELIVERY_S: Final = 120.0
"""How long after an expiry, or after a start, the venue and the shadow may deliver at different times."""

CANCEL_AGAIN_S: Final = 0.5
"""Before a cancel that the venue did not take, of too many requests say, is sent again."""


class Desk:
    """The context that door, gate, shadow and drop copies share. All of it runs on the event loop."""

    def __init__(
        self,
        service: "Service",
        http: aiohttp.ClientSession,
        upstream: Upstream,
        accounts: dict[str, Credentials],
        bots: dict[str, Bot],
        numbers: dict[str, int],
        alert: Callable[..., Any],
        shadow: Shadow,
        *,
        enforce: bool,
        withdrawals: bool,
    ) -> None:
        """`accounts` at the venue by name; `bots` by name, `numbers` their accounts here; `alert` tells people."""
        self.service, self.view, self.http, self.upstream = service, service.view, http, upstream
        self.alert, self.withdrawals = alert, withdrawals
        self.bots = {numbers[name]: bot for name, bot in bots.items()}
        self._at: dict[str, list[int]] = {name: [] for name in accounts}
        for number in sorted(self.bots):
            self._at[self.bots[number].account].append(number)
        self._accounts = accounts
        self._tokens = Tokens(http, upstream)
        self.gate, self.shadow = Gate(self, enforce=enforce), shadow
        shadow.desk = self
        self.copies = {name: DropCopy(self, name, credentials) for name, credentials in accounts.items()}
        self.unbound = Flight()
        """Orders and edits on their way, of which the venue has not said what became of them."""
        self.lost: list[Sent] = []
        """Those of unknown outcome."""
        self.given_up: deque[Sent] = deque(maxlen=1_000)
        """Those of which we were sure that they never arrived, the latest last."""
        self.failed = ""
        """Why the journal no longer takes what the venue says; nothing that adds risk is sent from then on."""
        self.why_left_out: dict[str, str] = {}
        self.contract_sizes: dict[str, float] = {}
        self.began = time.monotonic()
        self._pending = 0
        self._unwritten: list[tuple[bytes, bytes, Done | None, int]] = []
        self._flushing: asyncio.TimerHandle | None = None
        self.latencies = Latencies(self._note)
        self._unweighed, self._differs = Tally(self._note), Tally(self._note)
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    def recalled(self, statements: dict[str, Taken]) -> None:
        """The journal was heard: orders that stood without a word from the venue are of unknown outcome."""
        for name, taken in statements.items():
            if name in self.copies:
                self.copies[name].statement.taken = taken
        self.shadow.recalled()
        self.shadow.wanted &= {seq for number in self.bots for seq in self.view.client(number).open}
        for number in self.bots:
            for order in list(self.view.client(number).open.values()):
                if order.id not in self.shadow.by_seq:
                    self._recall_sent(order)

    def _recall_sent(self, order: Order) -> None:
        listing = self.view.listings[order.instrument]
        at = self.place_of(order.account)
        sent = Sent(self, order.account, at, listing, order.side, order.amount, order.label)
        sent.seq, sent.began_ms, sent.known = order.id, order.created_ms, True
        self.unbound.add(sent)
        sent.lost("Seawall was stopped before the answer came")

    async def seen(self, timeout: float) -> None:
        """Wait until every account is seen, or for so long."""
        end = time.monotonic() + timeout
        while not all(copy.seeing for copy in self.copies.values()) and time.monotonic() < end:
            await asyncio.sleep(0.01)

    # -- who is who ----------------------------------------------------------------------------------------------------

    def place_of(self, account: int) -> str:
        """Name of the account at the venue that a bot acts on."""
        bot = self.bots.get(account)
        return bot.account if bot is not None else ""

    def accounts_at(self, name: str) -> list[int]:
        """Bots on an account at the venue, in order of their numbers."""
        return self._at.get(name, [])

    def shares(self, name: str) -> list[tuple[int, float]]:
        """Bots on an account and their shares of its money."""
        return [(number, self.bots[number].share) for number in self.accounts_at(name)]

    def owner_of(self, label: str, at: str) -> int:
        """Whose an order is that did not pass through here: by the longest start of its label that is a bot's, else the
        first bot of the account."""
        accounts = self.accounts_at(at)
        known = [(start, number) for number in accounts for start in self.bots[number].labels]
        matching = [(len(start), number) for start, number in known if label.startswith(start)]
        return max(matching, key=lambda one: one[0], default=(0, accounts[0]))[1]

    def credentials(self, identity: Identity) -> Credentials:
        """The venue's key for a bot. Raises RpcError 13021 for a key of no bot."""
        found = self._accounts.get(self.place_of(identity.account))
        if found is None:
            raise RpcError(13021, reason="the key belongs to no bot of this desk")
        return found

    def scope(self, identity: Identity, method: str = "") -> str:
        """What a bot may do at the venue, in the dialect's words; for a call no more than it needs."""
        return scope_of(identity, method, withdrawals=self.withdrawals)

    async def token(self, identity: Identity, method: str = "") -> str:
        """A token of the venue's for calls of a bot. Raises RpcError, Unreachable, VenueError."""
        return await self._tokens.of(self.credentials(identity), self.scope(identity, method))

    def forget_tokens(self) -> None:
        """The venue may have been started anew, and not know its tokens any more."""
        self._tokens = Tokens(self.http, self.upstream)

    # -- units ---------------------------------------------------------------------------------------------------------

    @property
    def currencies(self) -> list[str]:
        """Names of the currencies that the shadow keeps."""
        return [name for name, _ in self.view.currencies.values()]

    def currency(self, name: str) -> int | None:
        """Number of a currency, None for one that the shadow does not keep."""
        return next((number for number, (known, _) in self.view.currencies.items() if known == name), None)

    def atoms(self, amount: float, name: str) -> int:
        """Atoms of an amount of a currency; of one that is not kept none."""
        number = self.currency(name)
        return round(amount * 10 ** self.view.currencies[number][1]) if number is not None else 0

    def any_listing(self, currency: str) -> Listing | None:
        """Some instrument that settles in a currency and stands for it where money moves."""
        return next(
            (one for one in self.view.listings.values() if one.settlement == currency and not one.expired), None
        )

    def left_out(self, name: str) -> str:
        """Why an instrument is not weighed."""
        return self.why_left_out.get(name, "the venue does not list it")

    # -- sight ---------------------------------------------------------------------------------------------------------

    def check_sight(self, at: str) -> None:
        """Raise RpcError 13028 while it is not known what stands at the venue."""
        copy = self.copies[at]
        why = self.failed or copy.why
        if why:
            raise RpcError(13028, reason=f"no order is sent while the venue's truth is not known: {why}")

    def busy(self, at: str) -> bool:
        """Whether something is on its way that would make a difference between two looks."""
        return bool(self._pending or any(one.at == at for one in (*self.unbound, *self.lost)))

    @property
    def held(self) -> set[int]:
        """Numbers of instruments that some bot has a position in."""
        return {number for (_, number), lots in self.view.positions.items() if lots}

    def delivering(self) -> set[str]:
        """Instruments that the venue may have delivered and we not, or we and its log not, and what they settle in."""
        now, lately = time.time_ns(), time.monotonic() < self.began + DELIVERY_S
        found: set[str] = set()
        for one in self.view.listings.values():
            since = now - one.spec.expiry
            if not one.spec.expiry or since < -SKEW_MS * 1e6:
                continue
            if since < DELIVERY_S * 1e9 or (lately and not one.expired):
                found |= {one.name, one.settlement}
        return found

    def status(self) -> dict[str, Any]:
        """How it stands with the venue: for `seawall status`."""
        return {
            "url": self.upstream.url,
            "mode": "enforce" if self.gate.enforce else "observe",
            "failed": self.failed,
            "accounts": [
                {
                    "name": name,
                    "seen": copy.seeing,
                    "why": copy.why,
                    "compared": copy.compared_ms,
                    "open": sum(self.place_of(live.account) == name for live in self.shadow.live.values()),
                    "unknown": sum(sent.at == name for sent in self.lost),
                    "breaks": copy.breaks,
                }
                for name, copy in self.copies.items()
            ],
        }

    # -- facts ---------------------------------------------------------------------------------------------------------

    def ask(self, records: bytes, data: bytes = b"", done: Done | None = None, account: int = -1) -> None:
        """Journal something that nobody waits for: with the next order, or soon; so an order has the disk to itself.

        What cannot be journalled stops all that adds risk until a restart has learnt it anew.
        """
        self._pending += 1
        self._unwritten.append((records, data, done, account))
        if self._flushing is None:
            soon = TOGETHER_S[self.gate.enforce]
            self._flushing = asyncio.get_running_loop().call_later(soon, self.flush)

    def _note(self, note: bytes) -> None:
        self.ask(packed(Kind.TIME, attachment=len(note)), note)

    def tell_counts(self, *, now: bool = False) -> None:
        """Tell the journal what is only counted, if it is time."""
        self.latencies.look(now=now)
        self._unweighed.look(now=now)
        self._differs.look(now=now)

    def flush(self) -> None:
        """Give the writer what was asked for so far, in order."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        unwritten, self._unwritten = self._unwritten, []
        for records, data, done, account in unwritten:
            told = partial(self._written, done)
            try:
                self.service.sequencer.submit(records, data, told, urgent=True, account=account)
            except SeawallError as error:
                told(0, error)

    def _written(self, done: Done | None, seq: int, error: SeawallError | None) -> None:
        self._pending -= 1
        if error is not None:
            self._fail(error)
        if done is not None:
            done(seq, error)

    async def write(self, records: bytes, data: bytes) -> None:
        """Journal facts and wait until they are durable. Raises SeawallError."""
        self.flush()
        await self.service.write(records, data)

    def _fail(self, error: SeawallError) -> None:
        if not self.failed:
            self.alert("facts_unwritten", why=str(error))
        self.failed = f"the journal does not take what the venue says: {error}"

    def acknowledge(self, live: Live) -> None:
        """An order of unknown state is at the venue."""
        self.ask(packed(Kind.ACKNOWLEDGED, account=live.account, order_id=live.seq))

    def heard(self, group: Group, changes: Any) -> None:
        """A durable frame: what the engine wants cancelled is cancelled at the venue (enforce)."""
        if not self.gate.enforce:
            return
        events = group.events
        if _STATUS in events["kind"].tolist():  # few frames have one, and orders wait for this
            asked = (events["kind"] == _STATUS) & (events["reason"] != 0)
            self.shadow.wanted.update(events["order_id"][asked].tolist())
        for seq in [seq for seq in self.shadow.wanted if seq in self.shadow.by_seq]:
            self.shadow.wanted.discard(seq)
            self._cancel(self.shadow.by_seq[seq])
        for kill in group.commands[group.commands["kind"] == Kind.KILL]:
            if kill["seq"] not in events["seq"][events["kind"] == EventKind.REFUSED]:
                self._killed(Scope(kill["type"]), int(kill["account"]), int(kill["instrument"]))

    def _killed(self, scope: Scope, account: int, number: int) -> None:
        """The kill switch: what the engine does not hold goes, too.

        Of an underlying only what is in its instruments; of an account or all also what is in no instrument of ours.
        """
        names: set[str] | None = None
        if scope == Scope.INSTRUMENT:
            names = {listing.name for listing in self.view.listings.values() if listing.number == number}
        elif scope == Scope.UNDERLYING:
            underlyings = self.service.node.fold.engine.catalogue.underlyings
            names = {row.name for row in self.view.listings.values() if underlyings[row.spec.block] == number}

        def chosen(row: OrderRow) -> bool:
            return names is None or row.instrument_name in names

        group = self.view.client(account).name if scope == Scope.ACCOUNT else ""
        for bot, terms in self.bots.items():
            if scope != Scope.ACCOUNT or bot == account or group in (terms.desk, terms.firm):
                self._task(self._cancel_strays(bot, chosen))

    async def _cancel_strays(self, account: int, chosen: Callable[[OrderRow], bool]) -> None:
        while True:
            try:
                await cancel_strays(self, account, chosen)
                return
            except RpcError as error:
                self._log.warning("a cancel waits for the venue", account=account, why=str(error))
                await asyncio.sleep(CANCEL_AGAIN_S)

    def _cancel(self, live: Live) -> None:
        copy = self.copies[self.place_of(live.account)]
        live.cancelled = True

        async def cancel() -> None:
            try:
                await cancel_there(copy, live.id)
            except (Unreachable, VenueError) as error:
                if isinstance(error, VenueError) and error.code in OVER:
                    self._log.info("the venue did not cancel", order_id=live.id, why=str(error))
                    return
                self._log.warning("a cancel waits for the venue", order_id=live.id, why=str(error))
                await asyncio.sleep(CANCEL_AGAIN_S)
                self.shadow.wanted.add(live.seq)

        self._task(cancel())

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what people hear of -------------------------------------------------------------------------------------------

    def outside(self, row: OrderRow | TradeRow, at: str) -> None:
        """An open order that nobody placed through us, or an execution of one.

        Nobody is restricted for it: a person at the venue's own screen may, and its executions are booked like any.
        """
        self._differs.add(Differs("order_from_outside", at, row.instrument_name))
        self.alert("order_from_outside", account=at, order_id=row.order_id, instrument=row.instrument_name)

    def unlisted(self, row: TradeRow, at: str) -> None:
        """An execution in an instrument that the shadow does not know: of unknown risk, so its bots only reduce.

        In observe it may be the desk's ordinary flow, which enforce would have refused; it is told of all the same.
        """
        why = "executed in an instrument that is not weighed"
        self.alert("break", account=at, about=row.instrument_name, why=why)
        self._differs.add(Differs("break", at, row.instrument_name, why=why))
        if self.gate.enforce:
            self._restrict(at, f"{row.instrument_name} {why}")

    def not_weighed(self, account: int, name: str, error: RpcError) -> None:
        """Observe: a call that the gate would have refused because it cannot weigh it."""
        why = str(error.data.get("reason") or error.message)[:200]
        if self._unweighed.add(Unweighed(account, name, error.code, why)):
            self._log.info("not weighed", account=account, method=name, code=error.code, why=why)

    def contradicted(self, kind: Kind, fields: dict[str, int], why: tuple[int, ...]) -> None:
        """The engine refused a fact: the shadow is not what the venue has until it was reconciled."""
        self._log.warning("a fact was refused", kind=kind.name, reason=Reason(why[0]).name, **fields)

    def broken(self, at: str, about: str, facts: dict[str, Any]) -> None:
        """A difference that stays: the account's bots may only reduce until people have looked."""
        self.alert("break", account=at, about=about, **facts)
        self._differs.add(Differs("break", at, about, facts["theirs"], facts["ours"], facts["unit"]))
        self._restrict(at, f"{about}: theirs {facts['theirs']:,}, ours {facts['ours']:,} {facts['unit']}")

    def blind(self, at: str, why: str) -> None:
        """The venue's word about an account is not heard any more."""
        self.alert("drop_copy_lost", account=at, why=why)
        self._differs.add(Differs("drop_copy_lost", at, why=why[:200]))

    def uncompared(self, at: str, seconds: int) -> None:
        """An account is seen and never at rest, so that a difference would not be found; said until it was compared."""
        self.alert("not_compared", account=at, seconds=seconds)
        self._differs.add(Differs("not_compared", at))

    def _restrict(self, at: str, why: str) -> None:
        said = {"note": "operation", "action": "break", "by": "seawall", "reason": f"break at {at}: {why}"}
        data, bots = msgspec.json.encode(said), self.accounts_at(at)
        state = {"state": VenueState.REDUCE_ONLY, "type": Scope.ACCOUNT, "attachment": len(data)}
        self.ask(b"".join(packed(Kind.STATE, account=number, **state) for number in bots), data * len(bots))
