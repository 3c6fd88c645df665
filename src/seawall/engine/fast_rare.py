"""The rare commands of the fast engine, folded in Python: catalogue, parameters, states, publications."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from seawall.engine.catalogue import Catalogue, Refused, Row, gains_capped, state_fields
from seawall.engine.fast_memory import LIMITED_INSTRUMENT, Memory
from seawall.engine.kernels import layout as at
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Instrument
from seawall.vocabulary.publication import EXPOSURES, NO_CHARGE, ROWS, InstrumentRisk, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    EVENT,
    FLAG_UNCLEAN,
    GROUPS,
    EventKind,
    Kind,
    Limit,
    Role,
    Scope,
    VenueState,
    Watched,
)

_SPECIFIED: Final = (
    *("multiplier", "price_min", "price_max", "quantity_max", "expiry", "largest_position", "strike"),
    *("delivery_multiplier", "product", "form", "currency", "block", "option_type", "delivery_form", "fee_class"),
)
_NONE: Final = Row(bounds.NO_LIMIT)
_FIELDS: Final[dict[Limit, tuple[str, ...]]] = {
    Limit.ORDER_QUANTITY: ("order_quantity",),
    Limit.POSITION: ("position",),
    Limit.FORBIDDEN: ("forbidden",),
    Limit.ORDER_NOTIONAL: ("order_notional",),
    Limit.MESSAGES: ("message_each", "message_burst"),
    Limit.CANCELS: ("cancel_each", "cancel_burst"),
    Limit.REPEATS: ("repeats", "", "repeats_window"),
    Limit.OPEN_ORDERS: ("open_orders",),
    Limit.OPEN_NOTIONAL: ("open_notional",),
    Limit.EXPOSURE: ("exposure",),
    Limit.DRAWDOWN: ("drawdown", "confirmations"),
    Limit.COLLAR: ("collar", "collar_ticks"),
    Limit.WINDOW_COLLAR: ("window_collar", "", "window_ns"),
    Limit.OPEN_INTEREST: ("interest_max",),
    Limit.VELOCITY: ("velocity", "velocity_takers", "velocity_ns"),
}
"""Where a limit's amount, quantity and until are kept."""


class Rare(Memory):
    """Handlers of what the kernels leave to Python."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.catalogue = Catalogue()
        self._halts = 0
        self._pairs = 0
        self._protections = 0
        self._handlers: dict[int, Callable[[Any, bytes], None]] = {
            Kind.OPENED: self._opened,
            Kind.CURRENCY: self._currency,
            Kind.INSTRUMENT: lambda c, a: self._add_instrument(self.catalogue.instrument(c, a)),
            Kind.ACCOUNT: self._account,
            Kind.TIER: self._tier,
            Kind.PUBLISH: lambda c, a: self._publish(*self.catalogue.publication(c, a, self._largest_open)),
            Kind.STATE: self._state,
            Kind.RULES: self._rules,
            Kind.LIMIT: self._limit,
            Kind.MEMBER: self._member,
            Kind.INDEX: self._index,
            Kind.KILL: self._kill,
            Kind.UNDERLYING: self._underlying,
            Kind.PROTECT: self._protect,
            Kind.PROTECT_RESET: self._protect_reset,
            Kind.REARM: self._rearm,
            Kind.UPSTREAM: self._upstream,
            Kind.EXPIRE: self._expire,
        }

    def _rare(self, command: Any, attachment: bytes) -> None:
        """Fold one command, stamped already."""
        kind = int(command["kind"])
        handler = self._handlers.get(kind)
        self._hear_of_halts()
        try:
            if handler is None or not self.catalogue.knows(kind):
                raise Refused(Reason.UNKNOWN_KIND, kind, max(Kind))
            handler(command, attachment)
        except Refused as refused:
            self._refuse(command, refused)
        h = self._header
        if h[at.PENDING] == at.NOTHING and h[at.QUEUE_HEAD] >= 0:
            h[at.PENDING] = at.FIRE

    def _refuse(self, command: Any, refused: Refused) -> None:
        self._emit(EventKind.REFUSED, **refused.fields(command, int(self._header[at.SEQ])))

    def _emit(self, kind: EventKind, **fields: int) -> None:
        event = self._arrays["events"][int(self._header[at.EVENTS]) :][:1]
        self._header[at.EVENTS] += 1
        event[:] = np.zeros(1, EVENT)
        event["seq"], event["kind"] = self._header[at.SEQ], kind
        for name, value in fields.items():
            event[name] = value

    # -- definitions -----------------------------------------------------------------------------------------------

    def _opened(self, command: Any, attachment: bytes) -> None:
        old, state = self.catalogue.venue, self.catalogue.opened(command)
        if int(command["flags"]) & FLAG_UNCLEAN:
            self.catalogue.set_state(Scope.VENUE, 0, state)
            self._tell_state(Scope.VENUE, 0, state, old)

    def _currency(self, command: Any, attachment: bytes) -> None:
        currency = self.catalogue.currency(command)
        self._header[at.CURRENCIES] = self.catalogue.currencies
        self._emit(EventKind.DEFINED, currency=currency, a=Kind.CURRENCY)

    def _account(self, command: Any, attachment: bytes) -> None:
        self._add_account(self.catalogue.account(command), self.catalogue.roles[-1])
        self._emit(EventKind.DEFINED, account=int(self._header[at.ACCOUNTS]) - 1, a=Kind.ACCOUNT)

    def _tier(self, command: Any, attachment: bytes) -> None:
        tier, fee_class = self.catalogue.tier(command)
        row = 2 * (2 * tier + fee_class)
        self._arrays["tiers"][row : row + 2] = self.catalogue.tiers[tier, fee_class]
        self._emit(EventKind.DEFINED, currency=fee_class, a=Kind.TIER, b=tier)

    def _rules(self, command: Any, attachment: bytes) -> None:
        self._header[at.RULES] = self.catalogue.rules_command(command)
        self._emit(EventKind.DEFINED, a=Kind.RULES, b=self.catalogue.rules)

    def _member(self, command: Any, attachment: bytes) -> None:
        number, accounts = int(command["account"]), self._arrays["accounts"]
        positions = 0 <= number < self._header[at.ACCOUNTS] and accounts[number]["first_position"] >= 0
        account, group = self.catalogue.member(command, bool(positions))
        for name, joined in zip(("desk", "firm", "owner"), self.catalogue.groups[account], strict=True):
            accounts[account][name] = joined
        accounts[account]["state"] = self.catalogue.account_state(account)
        accounts[account]["split"] = self.catalogue.splits[account]
        self._emit(EventKind.DEFINED, account=account, order_id=group, a=Kind.MEMBER)

    def _upstream(self, command: Any, attachment: bytes) -> None:
        instrument, number = self.catalogue.upstream(command)
        row = self._arrays["instruments"][instrument]
        if row["upstream"] or row["first_holder"] >= 0:
            raise Refused(Reason.ALREADY_DEFINED, instrument, int(row["upstream"]))
        row["upstream"] = number
        self._emit(EventKind.DEFINED, account=number, instrument=instrument, a=Kind.UPSTREAM)

    # -- limits and states -----------------------------------------------------------------------------------------

    def _limit(self, command: Any, attachment: bytes) -> None:
        limit, account, instrument, row, anew = self.catalogue.limit_command(command)
        if limit == Limit.STALE:
            self._header[at.STALE] = row.amount
        elif limit == Limit.DIVERGENCE:
            self._header[at.DIVERGENCE] = row.amount
        else:
            target = self._limited(account, instrument)
            for name, value in zip(_FIELDS[limit], row, strict=False):
                if name:
                    target[name] = value
            if limit == Limit.DRAWDOWN and anew:
                target["highest"] = self.kernels.equity(self._header, account)
                target["drops"] = target["rises"] = 0
        self._emit(
            EventKind.DEFINED, account=account, instrument=instrument, quantity=limit, a=Kind.LIMIT, b=row.amount
        )

    def _limited(self, account: int, instrument: int) -> Any:
        """The record that keeps a limit: of an instrument, of an account, or of the pair."""
        if account < 0:
            return self._arrays["instruments"][instrument]
        self._arrays["accounts"][account]["limited"] = 1
        if instrument < 0:
            return self._arrays["limits"][account]
        key = (account << 14 | instrument) + 1
        slots = int(self._header[at.PAIR_MASK]) + 1
        found = self.kernels.lookup(self._arrays["pair_table"], slots - 1, key)
        if found >= 0:
            return self._arrays["pairs"][found]
        self._ensure("pairs", self._pairs + 1)
        if 4 * (self._pairs + 1) > slots:
            old = self._arrays.pop("pair_table")
            self._resize("pair_table", 4 * slots)
            self._header[at.PAIR_MASK] = 4 * slots - 1
            self.kernels.rehash(old, self._arrays["pair_table"], int(self._header[at.PAIR_MASK]))
        entry = np.array([key, self._pairs], np.int64)
        self.kernels.rehash(entry, self._arrays["pair_table"], int(self._header[at.PAIR_MASK]))
        pair = self._arrays["pairs"][self._pairs]
        pair["order_quantity"] = pair["position"] = bounds.NO_LIMIT
        self._pairs += 1
        self._arrays["limits"][account]["pairs"] += 1
        return pair

    def _state(self, command: Any, attachment: bytes) -> None:
        scope, number, state, old = self.catalogue.state(command)
        self._tell_state(scope, number, state, old)
        self._look_again()

    def _tell_state(self, scope: Scope, number: int, state: VenueState, old: VenueState, cause: int = 0) -> None:
        """Write a state the catalogue took into the records it concerns, and say so."""
        self._header[at.VENUE] = self.catalogue.venue
        if scope == Scope.ACCOUNT:
            accounts = self._arrays["accounts"][: int(self._header[at.ACCOUNTS])]
            accounts[number]["own_state"] = state
            members = (accounts["desk"] == number) | (accounts["firm"] == number) | (accounts["owner"] == number)
            members[number] = True
            for member in np.flatnonzero(members):
                accounts[member]["state"] = self.catalogue.account_state(int(member))
        elif scope != Scope.VENUE:
            self._write_instrument_states()
        self._emit(EventKind.STATE, **state_fields(scope, number, state, old, cause))

    def _write_instrument_states(self) -> None:
        for number in range(len(self.catalogue.specs)):
            row = self._arrays["instruments"][number]
            row["own_state"] = self.catalogue.state_of(Scope.INSTRUMENT, number)
            row["state"] = self.catalogue.instrument_state(number)

    def _hear_of_halts(self) -> None:
        """Take the states that kernels changed by themselves into the catalogue."""
        if self._halts == self._header[at.HALTS]:
            return
        self._halts = int(self._header[at.HALTS])
        for scope, name, count in (
            (Scope.INSTRUMENT, "instruments", len(self.catalogue.specs)),
            (Scope.ACCOUNT, "accounts", self.catalogue.accounts),
        ):
            for number, state in enumerate(self._arrays[name]["own_state"][:count].tolist()):
                self.catalogue.set_state(scope, number, VenueState(state))

    def _look_again(self) -> None:
        """A state was relaxed, perhaps: prices that moved while an instrument was halted reach its stops now."""
        for number in range(len(self.catalogue.specs)):
            for watch in Watched:
                self._reprice(number, watch)

    def _reprice(self, number: int, watch: Watched) -> None:
        """Let the present price of an instrument reach its stops."""
        row = self._arrays["instruments"][number]
        price = int(row[("mark", "index", "last")[watch]])
        codes = 2 + 2 * watch
        if price and (row["best"][codes] >= 0 or row["best"][codes + 1] >= 0):
            self.kernels.reprice(self._header, number, int(watch), price)

    def _index(self, command: Any, attachment: bytes) -> None:
        number, price = self.catalogue.index(command)
        row = self._arrays["instruments"][number]
        row["index_at"], row["index"] = self._header[at.CLOCK], price
        self._emit(EventKind.DEFINED, instrument=number, price=price, a=Kind.INDEX)
        self._reprice(number, Watched.INDEX)

    def _underlying(self, command: Any, attachment: bytes) -> None:
        block, underlying = self.catalogue.underlying(command)
        blocks, of = self._arrays["blocks"], self.catalogue.underlyings
        blocks["underlying"], blocks["beside"] = of, [of.count(number) - 1 for number in of]
        self._write_instrument_states()
        self._emit(EventKind.DEFINED, instrument=block, a=Kind.UNDERLYING, b=underlying)
        self._look_again()

    def _kill(self, command: Any, attachment: bytes) -> None:
        scope, number = self.catalogue.scope(command)
        old = self.catalogue.state_of(scope, number)
        self.catalogue.set_state(scope, number, VenueState.HALTED)
        if scope == Scope.VENUE:
            self.catalogue.crashed = False
        self._tell_state(scope, number, VenueState.HALTED, old, Reason.KILLED)
        h = self._header
        h[at.CLEARING], h[at.LABEL], h[at.UNDERLYING] = Reason.KILLED, 0, -1
        if scope == Scope.ACCOUNT:
            accounts = self._arrays["accounts"][: int(h[at.ACCOUNTS])]
            members = [number]
            if self.catalogue.roles[number] in GROUPS:
                slot = ("desk", "firm", "owner")[self.catalogue.roles[number] - Role.DESK]
                members = np.flatnonzero(accounts[slot] == number).tolist()
            if members:
                h[at.PENDING], h[at.GROUP], h[at.CALL], h[at.CURSOR_2] = at.CLEAR_ACCOUNT, number, members[0], -1
                h[at.CURSOR], h[at.STAGE] = accounts[members[0]]["newest"][at.OPEN], 0
            return
        first, last = (number, number + 1) if scope == Scope.INSTRUMENT else (0, int(h[at.INSTRUMENTS]))
        if scope == Scope.UNDERLYING:
            h[at.UNDERLYING] = number
        h[at.PENDING], h[at.CURSOR], h[at.CURSOR_2] = at.CLEAR, first, last
        h[at.UPSTREAM_FROM], h[at.UPSTREAM_TO] = first, last

    # -- market makers and strategies ------------------------------------------------------------------------------

    def _protection(self, account: int, block: int) -> tuple[int, int]:
        """(record or -1, the record before it or -1) of a maker's protection."""
        before, index = -1, int(self._arrays["accounts"][account]["first_protection"])
        while index >= 0 and self._arrays["protections"][index]["block"] != block:
            before, index = index, int(self._arrays["protections"][index]["next"])
        return index, before

    def _protect(self, command: Any, attachment: bytes) -> None:
        account, block, limits = self.catalogue.protect(command)
        index, before = self._protection(account, block)
        entry = self._arrays["accounts"][account]
        if index >= 0:  # taken out of the list, and into it anew if it stays
            after = self._arrays["protections"][index]["next"]
            if before < 0:
                entry["first_protection"] = after
            else:
                self._arrays["protections"][before]["next"] = after
        if limits.window:
            if index < 0:
                index, self._protections = self._protections, self._protections + 1
                self._ensure("protections", self._protections)
            row = self._arrays["protections"][index]
            for name, value in limits._asdict().items():
                row[name] = value
            row["frozen"] = row["quarter"] = row["sums"] = 0
            row["account"], row["block"], row["next"] = account, block, entry["first_protection"]
            entry["first_protection"] = index
        self._emit(EventKind.DEFINED, account=account, instrument=block, a=Kind.PROTECT, b=limits.window)

    def _protect_reset(self, command: Any, attachment: bytes) -> None:
        account, block = self.catalogue.client(command), self.catalogue.block(command)
        index, _ = self._protection(account, block)
        if index < 0:
            raise Refused(Reason.NO_PROTECTION, account, block)
        row = self._arrays["protections"][index]
        row["frozen"], row["sums"] = 0, 0
        self._emit(EventKind.DEFINED, account=account, instrument=block, a=Kind.PROTECT_RESET)

    def _rearm(self, command: Any, attachment: bytes) -> None:
        account, strategy = self.catalogue.rearm(command)
        self._arrays["strategies"][bounds.STRATEGIES * account + strategy] = 0
        self._emit(EventKind.DEFINED, account=account, a=Kind.REARM, b=strategy)

    # -- instruments and publications ------------------------------------------------------------------------------

    def _add_instrument(self, spec: Instrument) -> None:
        number = int(self._header[at.INSTRUMENTS])
        self._ensure("instruments charges", number + 1)
        self._restride(int(self._header[at.STRIDE]))
        row = self._arrays["instruments"][number]
        for name in _SPECIFIED:
            row[name] = getattr(spec, name)
        row["trie_depth"] = max(1, -(-spec.price_max.bit_length() // 6))
        row["roots"] = row["best"] = -1
        for name in ("first_holder", "last_holder", "first_trailing", "last_trailing", "window_start"):
            row[name] = -1
        for name in LIMITED_INSTRUMENT:
            row[name] = bounds.NO_LIMIT
        row["state"] = row["own_state"] = 0
        self._header[at.INSTRUMENTS] = number + 1
        self._emit(EventKind.DEFINED, instrument=number, a=Kind.INSTRUMENT)

    def _largest_open(self) -> list[int]:
        largest = np.zeros(len(self.catalogue.specs), np.int64)
        self.kernels.largest_open(self._header, largest)
        found: list[int] = largest.tolist()
        return found

    def _publish(self, publication: Publication, limits: dict[int, int]) -> None:
        h, blocks, instruments = self._header, self._arrays["blocks"], self._arrays["instruments"]
        h[at.VERSION] = self.catalogue.version
        for rate in publication.currencies:
            self._arrays["rates"][2 * rate.currency : 2 * rate.currency + 2] = rate.rate_gain, rate.rate_loss
        blocks["touched"] = 0
        widest = max((block.scenarios for block in publication.blocks), default=1)
        if widest > h[at.STRIDE]:
            self._restride(-(-widest // 8) * 8)
        lines = _lines_of(publication)
        for block in publication.blocks:
            row = blocks[block.block]
            row["touched"], row["scenarios"], row["maintenance"] = 1, block.scenarios, block.maintenance_scenarios
            indices = [index for pair in block.charges for index in pair]
            row["charged"] = _charged(indices)
            start = block.block * EXPOSURES * ROWS
            self._arrays["block_charges"][start : start + EXPOSURES * ROWS] = lines[indices]
        for number, limit in limits.items():
            instruments[number]["position_bound"] = limit
        self._put_risks(publication.instruments, lines)
        named = instruments[: int(h[at.INSTRUMENTS])]
        moved = np.isin(named["currency"], [rate.currency for rate in publication.currencies])
        blocks["touched"][named["block"][moved]] = 1
        if self.catalogue.count_owners():
            self._arrays["accounts"]["split"][: self.catalogue.accounts] = self.catalogue.splits
            blocks["touched"] = 1
        self._emit(EventKind.PUBLISHED, a=self.catalogue.version)
        self.kernels.remark(h)
        for risk in publication.instruments:
            self._reprice(risk.instrument, Watched.MARK)
        for risk in publication.instruments:
            self._trail(risk.instrument)
        h[at.PENDING], h[at.CURSOR], h[at.STAGE] = at.SWEEP, 0, 0

    def _trail(self, instrument: int) -> None:
        """Let trailing stops follow the prices they watch."""
        order = -1
        while self._arrays["instruments"][instrument]["first_trailing"] >= 0:
            order = self.kernels.trail(self._header, instrument, order)
            if order < 0:
                break
            self._grow()

    def _put_risks(self, risks: tuple[InstrumentRisk, ...], lines: Any) -> None:
        """Write what was published of instruments, a column of all of them at a time."""
        instruments, h = self._arrays["instruments"], self._header
        numbers = np.array([risk.instrument for risk in risks], np.int64)
        for name in ("mark", "weight", "delta", "vega", "gain_cap", "inexact"):
            instruments[name][numbers] = [getattr(risk, name) for risk in risks]
        instruments["published"][numbers], instruments["published_at"][numbers] = 1, h[at.CLOCK]
        instruments["capped"][numbers] = [gains_capped(self.catalogue.rules, risk.gain_cap) for risk in risks]
        instruments["charged"][numbers] = [_charged(risk.charges) for risk in risks]
        for name in ("scenarios", "maintenance"):
            instruments[name][numbers] = self._arrays["blocks"][name][instruments["block"][numbers]]
        for row in range(ROWS):
            self._arrays["charges"][ROWS * numbers + row] = lines[[risk.charges[row] for risk in risks]]
        rows = self._arrays["risk"].reshape(-1, int(h[at.STRIDE]))
        for risk in risks:
            rows[risk.instrument, : len(risk.u)] = risk.u

    def _expire(self, command: Any, attachment: bytes) -> None:
        instrument, price = int(command["instrument"]), int(command["price"])
        self.catalogue.expire(instrument, price, int(self._header[at.CLOCK]), self._largest_held)
        h = self._header
        h[at.PENDING], h[at.TAKER], h[at.CURSOR_2], h[at.RESIDUE] = at.DELIVER, instrument, price, 0

    def _largest_held(self, instrument: int) -> tuple[int, int]:
        lots, cash = self.kernels.largest_held(self._header, instrument)
        return int(lots), int(cash)


def _charged(indices: Iterable[int]) -> int:
    """A bit for each of these charges that there is."""
    return sum(1 << bit for bit, index in enumerate(indices) if index != NO_CHARGE)


def _lines_of(publication: Publication) -> Any:
    """CHARGE records of a publication's charges, and behind them one without lines: what NO_CHARGE, -1, finds."""
    records = np.zeros(len(publication.charges) + 1, at.CHARGE)
    for record, charge in zip(records, publication.charges, strict=False):
        lines = [line for line in charge.lines if line[0] != 0]
        record["lines"][: len(lines)] = np.array(lines, np.int64).reshape(-1, 2)
    return records
