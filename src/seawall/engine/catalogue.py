"""What is defined: currencies, instruments, accounts, fee tiers, the published risk, the state of the venue.

Rare commands, checked here once for both engines; each method either takes its command whole or raises Refused.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from seawall.engine import formulas
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import InstrumentRisk, Publication, largest_open_position
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    FLAG_APPROVED,
    FLAG_RECOVERED,
    FLAG_UNCLEAN,
    FORBID_OPEN,
    FORBID_TRADE,
    FORBID_WITHDRAW,
    KINDS_OF_RULES_1,
    KINDS_OF_RULES_3,
    RULES_FOLDED,
    SYSTEM_ACCOUNTS,
    Kind,
    Limit,
    Role,
    Scope,
    VenueState,
)


class Refused(Exception):
    """A check failed: reason, its two numbers, and where it helps the instrument, price or group to look at."""

    def __init__(
        self,
        reason: Reason,
        a: int = 0,
        b: int = 0,
        *,
        instrument: int = -1,
        price: int | None = None,
        account: int | None = None,
    ) -> None:
        super().__init__(reason.name)
        self.reason, self.a, self.b = reason, a, b
        self.instrument, self.price, self.account = instrument, price, account

    def fields(self, command: Any, seq: int) -> dict[str, int]:
        """Of the REFUSED event of command `seq`: the command's own, but for what the refusal names."""
        return {
            "reason": self.reason,
            "side": int(command["side"]),
            "currency": int(command["currency"]) & 0x7FFF,
            "account": int(command["account"]) if self.account is None else self.account,
            "instrument": int(command["instrument"]) if self.instrument < 0 else self.instrument,
            "order_id": int(command["order_id"]) or seq,
            "price": int(command["price"]) if self.price is None else self.price,
            "quantity": int(command["quantity"]),
            "a": self.a,
            "b": self.b,
        }


class Row(NamedTuple):
    """The parameters of a limit; see `Limit`."""

    amount: int
    quantity: int = 0
    until: int = 0


def state_fields(scope: Scope, number: int, state: VenueState, old: VenueState, cause: int) -> dict[str, int]:
    """Of the STATE event of one thing."""
    which = {"account": number, "instrument": 0} if scope == Scope.ACCOUNT else {"account": 0, "instrument": number}
    return {"reason": cause, "currency": scope, **which, "a": state, "b": old}


class MakerLimits(NamedTuple):
    """A maker's own limits in a block: value atoms, window and freeze in nanoseconds. Window 0: none."""

    quantity: int
    delta: int
    vega: int
    window: int
    freeze: int


class Shape(NamedTuple):
    """What a limit is of, and which way each of its parameters is stricter (-1 smaller, +1 larger, 0 not used)."""

    account: bool
    instrument: bool
    stricter: tuple[int, int, int]
    groups: bool = False


SHAPES: Final = {
    Limit.ORDER_QUANTITY: Shape(True, True, (-1, 0, 0)),
    Limit.ORDER_NOTIONAL: Shape(True, False, (-1, 0, 0)),
    Limit.MESSAGES: Shape(True, False, (1, -1, 0)),
    Limit.CANCELS: Shape(True, False, (1, -1, 0)),
    Limit.REPEATS: Shape(True, False, (-1, 0, 1)),
    Limit.FORBIDDEN: Shape(True, True, (1, 0, 0)),
    Limit.OPEN_ORDERS: Shape(True, False, (-1, 0, 0)),
    Limit.OPEN_NOTIONAL: Shape(True, False, (-1, 0, 0)),
    Limit.POSITION: Shape(True, True, (-1, 0, 0), groups=True),
    Limit.EXPOSURE: Shape(True, False, (-1, 0, 0), groups=True),
    Limit.DRAWDOWN: Shape(True, False, (-1, -1, 0)),
    Limit.COLLAR: Shape(False, True, (-1, -1, 0)),
    Limit.WINDOW_COLLAR: Shape(False, True, (-1, 0, 1)),
    Limit.OPEN_INTEREST: Shape(False, True, (-1, 0, 0)),
    Limit.VELOCITY: Shape(False, True, (-1, -1, 1)),
    Limit.STALE: Shape(False, False, (-1, 0, 0)),
    Limit.DIVERGENCE: Shape(False, False, (-1, 0, 0)),
}
_NONE_IS_ZERO: Final = (Limit.MESSAGES, Limit.CANCELS, Limit.FORBIDDEN)
_IN_PARTS: Final = (Limit.COLLAR, Limit.WINDOW_COLLAR, Limit.VELOCITY, Limit.DIVERGENCE)
CONFIRMATIONS_MAX: Final = 1000
BURST_MAX: Final = 1 << 20


class Catalogue:
    """Definitions and parameters. Ids are dense; nothing is ever redefined but fee tiers and publications."""

    def __init__(self) -> None:
        self.currencies = 0
        self.accounts = SYSTEM_ACCOUNTS
        self.tiers: dict[tuple[int, int], tuple[int, int]] = {}
        self.specs: list[Instrument] = []
        self.expired: list[bool] = []
        self.risks: list[InstrumentRisk | None] = []
        self.rate_loss = [0] * bounds.CURRENCIES_MAX
        self.version = 0
        self.venue = VenueState.OPEN
        self.rules = RULES_FOLDED[0]
        self.roles = [int(Role.CLIENT)] * SYSTEM_ACCOUNTS
        self.groups: list[list[int]] = [[0, 0, 0] for _ in range(SYSTEM_ACCOUNTS)]  # desk, firm, owner of each account
        self.splits = [1] * SYSTEM_ACCOUNTS  # of each account: those of its owner as last counted; 0: it joined since
        self.recount = False  # somebody joined an owner since the last publication
        self.underlyings = list(range(bounds.BLOCKS_MAX))  # of each block
        self.states: dict[tuple[int, int], VenueState] = {}  # (scope, number); what is not there is open
        self.limits: dict[tuple[int, int, int], Row] = {}  # (limit, account, instrument), -1: none
        self.crashed = False  # halted by an unclean stop and by nothing else, so that a rule may lift it

    def currency(self, command: Any) -> int:
        """Define the next currency; returns its id."""
        if int(command["currency"]) != self.currencies or self.currencies == bounds.CURRENCIES_MAX:
            raise Refused(Reason.ALREADY_DEFINED, int(command["currency"]), self.currencies)
        self.currencies += 1
        return self.currencies - 1

    def instrument(self, command: Any, attachment: bytes) -> Instrument:
        """Define the next instrument. Live instruments of a block share its settlement currency."""
        number = len(self.specs)
        if int(command["instrument"]) != number or number == bounds.INSTRUMENTS_MAX:
            raise Refused(Reason.ALREADY_DEFINED, int(command["instrument"]), number)
        try:
            spec = Instrument.decode(attachment)
        except InputError:
            raise Refused(Reason.MALFORMED, len(attachment), int(command["version"])) from None
        if spec.currency >= self.currencies:
            raise Refused(Reason.UNKNOWN_CURRENCY, spec.currency, self.currencies)
        mates = [
            mate for mate, gone in zip(self.specs, self.expired, strict=True) if mate.block == spec.block and not gone
        ]
        if any(mate.currency != spec.currency for mate in mates) or len(mates) >= bounds.GROUP_INSTRUMENTS_MAX:
            raise Refused(Reason.PUBLICATION_INCOMPLETE, number, spec.block)
        self.specs.append(spec)
        self.expired.append(False)
        self.risks.append(None)
        return spec

    def account(self, command: Any) -> int:
        """Define the next account; returns its tier, both fee classes of which must be defined."""
        if int(command["account"]) != self.accounts or self.accounts == bounds.ACCOUNTS_MAX:
            raise Refused(Reason.ALREADY_DEFINED, int(command["account"]), self.accounts)
        tier = int(command["tier"])
        if (tier, 0) not in self.tiers or (tier, 1) not in self.tiers:
            raise Refused(Reason.UNKNOWN_TIER, tier, len(self.tiers))
        role = int(command["type"])
        if role > max(Role) or (role and self.rules < 2):
            raise Refused(Reason.ROLE, int(command["account"]), role)
        self.accounts += 1
        self.roles.append(role)
        self.groups.append([0, 0, 0])
        self.splits.append(1)
        return tier

    def tier(self, command: Any) -> tuple[int, int]:
        """Set the (maker, taker) rates of one tier and fee class; returns (tier, fee class)."""
        tier, fee_class = int(command["tier"]), int(command["currency"])
        maker, taker = int(command["price"]), int(command["amount"])
        if not 0 <= tier < bounds.TIERS_MAX or not 0 <= fee_class < bounds.FEE_CLASSES:
            raise Refused(Reason.UNKNOWN_TIER, tier, bounds.TIERS_MAX)
        for rate in (maker, taker):
            if abs(rate) > bounds.FEE_RATE_MAX:
                raise Refused(Reason.FEE_RATE, rate, bounds.FEE_RATE_MAX)
        others = [rates for (other, kind), rates in self.tiers.items() if kind == fee_class and other != tier]
        lowest = min([maker, *(rates[0] for rates in others)])
        least = min([taker, *(rates[1] for rates in others)])
        if self.rules > 6 and lowest + least < 0:
            raise Refused(Reason.FEE_RATE, lowest, -least)  # two accounts would earn by trading with each other
        self.tiers[tier, fee_class] = (maker, taker)
        return tier, fee_class

    def opened(self, command: Any) -> VenueState:
        """The state after a node opened the journal: halted if it had not been closed cleanly."""
        if not int(command["flags"]) & FLAG_UNCLEAN:
            return self.venue
        self.crashed = self.crashed or self.venue != VenueState.HALTED
        return VenueState.HALTED

    def state(self, command: Any) -> tuple[Scope, int, VenueState, VenueState]:
        """Take a state: scope, number, new and old. Anything may restrict; only people relax, but for one step after
        a crash."""
        wanted, flags = int(command["state"]), int(command["flags"])
        if wanted > max(VenueState):
            raise Refused(Reason.STATE_VALUE, wanted, max(VenueState))
        scope, number = self.scope(command)
        old = self.state_of(scope, number)
        recovery = scope == Scope.VENUE and self.crashed and wanted == VenueState.REDUCE_ONLY
        if wanted < old and not (flags & FLAG_APPROVED or (recovery and flags & FLAG_RECOVERED)):
            raise Refused(Reason.PEOPLE_REQUIRED, wanted, old)
        if scope == Scope.VENUE:
            self.crashed = False
        self.set_state(scope, number, VenueState(wanted))
        return scope, number, VenueState(wanted), old

    def scope(self, command: Any) -> tuple[Scope, int]:
        """Scope of a state or kill and the number of what it is about. Under rules 1 always the venue."""
        scope = int(command["type"]) if self.rules > 1 else Scope.VENUE
        if scope == Scope.VENUE:
            return Scope.VENUE, 0
        number, count = int(command["instrument"]), len(self.specs)
        if scope == Scope.ACCOUNT:
            number, count = int(command["account"]), self.accounts
            if not SYSTEM_ACCOUNTS <= number < count:
                raise Refused(Reason.UNKNOWN_ACCOUNT, number, count)
        elif scope == Scope.UNDERLYING:
            count = bounds.BLOCKS_MAX
        elif scope != Scope.INSTRUMENT:
            raise Refused(Reason.STATE_VALUE, scope, max(Scope))
        if not 0 <= number < count:
            raise Refused(Reason.UNKNOWN_INSTRUMENT, number, count)
        return Scope(scope), number

    def state_of(self, scope: Scope, number: int) -> VenueState:
        """The state set for one thing, whatever holds for what it belongs to."""
        return self.venue if scope == Scope.VENUE else self.states.get((scope, number), VenueState.OPEN)

    def set_state(self, scope: Scope, number: int, state: VenueState) -> None:
        """Set it, unasked: for commands that were taken and for what halts by itself."""
        if scope == Scope.VENUE:
            self.venue = state
        elif state == VenueState.OPEN:
            self.states.pop((scope, number), None)
        else:
            self.states[scope, number] = state

    def instrument_state(self, instrument: int) -> VenueState:
        """The stricter of an instrument's and its underlying's."""
        underlying = self.underlyings[self.specs[instrument].block]
        return max(self.state_of(Scope.INSTRUMENT, instrument), self.state_of(Scope.UNDERLYING, underlying))

    def account_state(self, account: int) -> VenueState:
        """The strictest of an account's and its groups'."""
        return max(self.state_of(Scope.ACCOUNT, number) for number in (account, *self.groups[account]))

    def state_values(self) -> dict[str, Any]:
        """What of it later events depend on, in canonical form."""
        return {
            "venue": (int(self.venue), self.crashed),
            "rules": self.rules,
            "states": {key: int(state) for key, state in sorted(self.states.items())},
            "limits": {key: tuple(row) for key, row in sorted(self.limits.items())},
            "groups": self.groups,
            "splits": (self.splits, self.recount),
            "roles": self.roles,
            "underlyings": self.underlyings,
        }

    def knows(self, kind: int) -> bool:
        """Whether the rules in force have a kind of command."""
        if kind in KINDS_OF_RULES_3:
            return self.rules > 2
        return self.rules > 1 or kind in KINDS_OF_RULES_1

    def rules_command(self, command: Any) -> int:
        """Take the next rules; on the way, from rules 4 on, only in people's name.

        Before they were there the same command was refused, and a journal may hold one that nobody meant.
        """
        wanted = int(command["version"])
        unmeant = 1 < self.rules < wanted > 3 and not int(command["flags"]) & FLAG_APPROVED
        if wanted not in RULES_FOLDED or wanted < self.rules or unmeant:
            raise Refused(Reason.UNKNOWN_RULES, wanted, self.rules)
        self.rules = wanted
        self.recount = wanted > 3
        return wanted

    def blocks_beside(self, block: int) -> list[int]:
        """The blocks of a block's underlying, itself among them; before rules 7 itself alone (C15)."""
        if self.rules < 7:
            return [block]
        return [number for number, underlying in enumerate(self.underlyings) if underlying == self.underlyings[block]]

    def underlying(self, command: Any) -> tuple[int, int]:
        """Give a block its underlying; returns both. Halting what it had before has no hold on it any more."""
        block, underlying = int(command["instrument"]), int(command["amount"])
        for number in (block, underlying):
            if not 0 <= number < bounds.BLOCKS_MAX:
                raise Refused(Reason.UNKNOWN_INSTRUMENT, number, bounds.BLOCKS_MAX)
        held = self.state_of(Scope.UNDERLYING, self.underlyings[block])
        if self.state_of(Scope.UNDERLYING, underlying) < held and not int(command["flags"]) & FLAG_APPROVED:
            raise Refused(Reason.PEOPLE_REQUIRED, self.state_of(Scope.UNDERLYING, underlying), held)
        self.underlyings[block] = underlying
        return block, underlying

    def member(self, command: Any, has_positions: bool) -> tuple[int, int]:
        """Let a client join a desk, firm or owner, once and before it trades; returns both account numbers."""
        account, group = int(command["account"]), int(command["order_id"])
        for number in (account, group):
            if not SYSTEM_ACCOUNTS <= number < self.accounts:
                raise Refused(Reason.UNKNOWN_ACCOUNT, number, self.accounts)
        slot = self.roles[group] - Role.DESK
        grouping = self.roles[account] == Role.CLIENT and 0 <= slot < len(self.groups[account])
        if not grouping or self.groups[account][slot] or has_positions:
            raise Refused(Reason.MEMBERSHIP, account, group)
        if self.rules > 3 and self.roles[group] == Role.OWNER:
            others = any(joined[slot] == group for joined in self.groups)
            self.splits[account], self.recount = int(not others), True
        self.groups[account][slot] = group
        return account, group

    def count_owners(self) -> bool:
        """At a publication that was taken: count each owner's accounts anew; whether somebody may count otherwise now.

        Between two publications nobody's count changes, so nothing moves a margin but its own account's commands. Who
        joins others counts for nothing until then: the steepest slopes of the charges, no capped gain.
        """
        if not self.recount:
            return False
        owners = [joined[Role.OWNER - Role.DESK] for joined in self.groups]
        counts = Counter(owners)
        self.splits = [counts[owner] if owner else 1 for owner in owners]
        self.recount = False
        return True

    def client(self, command: Any) -> int:
        """The account of a trader's command."""
        number = int(command["account"])
        if not 0 <= number < self.accounts:
            raise Refused(Reason.UNKNOWN_ACCOUNT, number, self.accounts)
        if number < SYSTEM_ACCOUNTS:
            raise Refused(Reason.SYSTEM_ACCOUNT, number, SYSTEM_ACCOUNTS)
        if self.roles[number] != Role.CLIENT:
            raise Refused(Reason.ROLE, number, self.roles[number])
        return number

    def listed(self, command: Any) -> int:
        """The instrument a command names."""
        number = int(command["instrument"])
        if not 0 <= number < len(self.specs):
            raise Refused(Reason.UNKNOWN_INSTRUMENT, number, len(self.specs))
        return number

    def block(self, command: Any) -> int:
        """The block a command names in the place of an instrument."""
        block = int(command["instrument"])
        if not 0 <= block < bounds.BLOCKS_MAX:
            raise Refused(Reason.UNKNOWN_INSTRUMENT, block, bounds.BLOCKS_MAX)
        return block

    def index(self, command: Any) -> tuple[int, int]:
        """(instrument, index price in its own ticks)."""
        number, price = self.listed(command), int(command["price"])
        if not 1 <= price <= bounds.PRICE_MAX:
            raise Refused(Reason.PRICE_BAND, price, bounds.PRICE_MAX)
        return number, price

    def upstream(self, command: Any) -> tuple[int, int]:
        """(instrument, account of the venue it trades at)."""
        instrument, number = self.listed(command), int(command["account"])
        if not SYSTEM_ACCOUNTS <= number < self.accounts or self.roles[number] != Role.UPSTREAM:
            raise Refused(Reason.ROLE, number, Role.UPSTREAM)
        return instrument, number

    def protect(self, command: Any) -> tuple[int, int, MakerLimits]:
        """(account, block, limits) of market-maker protection.

        Fields: quantity gross, amount delta, version vega; until = window, display = freeze (0: until reset).
        """
        account, block = self.client(command), self.block(command)
        limits = MakerLimits(*(int(command[name]) for name in ("quantity", "amount", "version", "until", "display")))
        timed = 0 <= limits.window <= bounds.TIME_MAX and 0 <= limits.freeze <= bounds.TIME_MAX
        if not timed or min(limits) < 0:
            raise Refused(Reason.LIMIT_VALUE, Kind.PROTECT, limits.window)
        return account, block, limits

    def rearm(self, command: Any) -> tuple[int, int]:
        """(account, strategy) that people let trade again."""
        account, strategy = self.client(command), int(command["strategy"])
        if not 1 <= strategy < bounds.STRATEGIES:
            raise Refused(Reason.LIMIT_VALUE, Kind.REARM, strategy)
        if not int(command["flags"]) & FLAG_APPROVED:
            raise Refused(Reason.PEOPLE_REQUIRED, 0, strategy)
        return account, strategy

    def limit(self, limit: Limit, account: int = -1, instrument: int = -1) -> Row | None:
        """The limit in force, None where there is none."""
        return self.limits.get((limit, account, instrument))

    def limit_command(self, command: Any) -> tuple[Limit, int, int, Row, bool]:
        """Take a limit: which, of which account and instrument (-1: not of any), its parameters, and whether what it is
        measured from begins anew: there was none before, or people approved it (before rules 7 always)."""
        number = int(command["state"])
        if number not in SHAPES:
            raise Refused(Reason.LIMIT_VALUE, number, max(Limit))
        limit, shape = Limit(number), SHAPES[Limit(number)]
        account, instrument = self._limited(command, limit, shape)
        row = Row(int(command["amount"]), int(command["quantity"]), int(command["until"]))
        key, none = (limit, account, instrument), 0 if limit in _NONE_IS_ZERO else bounds.NO_LIMIT
        self._check_row(limit, shape, row, none)
        old, approved = self.limits.get(key), bool(int(command["flags"]) & FLAG_APPROVED)
        relaxed = _relaxed(limit, shape, old, row, none) if old is not None else None
        if old is not None and relaxed is not None and not approved:
            raise Refused(Reason.PEOPLE_REQUIRED, *(relaxed if self.rules > 5 else (row.amount, old.amount)))
        if row.amount == none:
            self.limits.pop(key, None)
        else:
            self.limits[key] = row
        return limit, account, instrument, row, old is None or approved or self.rules < 7

    def _limited(self, command: Any, limit: Limit, shape: Shape) -> tuple[int, int]:
        account = int(command["account"]) if shape.account else -1
        instrument = int(command["instrument"]) if shape.instrument else -1
        if shape.account:
            if not SYSTEM_ACCOUNTS <= account < self.accounts:
                raise Refused(Reason.UNKNOWN_ACCOUNT, account, self.accounts)
            role = self.roles[account]
            if role == Role.UPSTREAM or (role != Role.CLIENT and not shape.groups):
                raise Refused(Reason.ROLE, account, role)
        anywhere = limit == Limit.FORBIDDEN and instrument == -1
        if shape.instrument and not anywhere and not 0 <= instrument < len(self.specs):
            raise Refused(Reason.UNKNOWN_INSTRUMENT, instrument, len(self.specs))
        return account, instrument

    def _check_row(self, limit: Limit, shape: Shape, row: Row, none: int) -> None:
        if row.amount == none:
            return
        least, most = 0, bounds.NO_LIMIT - 1
        if limit in _IN_PARTS:
            least, most = 1, 10 * bounds.PARTS
        elif limit in (Limit.MESSAGES, Limit.CANCELS):
            least, most = 1, bounds.TIME_MAX >> 20
        elif limit == Limit.FORBIDDEN:
            least, most = 1, FORBID_OPEN | FORBID_TRADE | FORBID_WITHDRAW
        elif limit == Limit.REPEATS:
            least, most = 1, min(bounds.PARTS, row.until)
        quantities = {
            Limit.COLLAR: (1, bounds.PRICE_MAX),
            Limit.MESSAGES: (1, BURST_MAX),
            Limit.CANCELS: (1, BURST_MAX),
            Limit.DRAWDOWN: (2 if self.rules > 5 else 1, CONFIRMATIONS_MAX),  # one bad tick never trips it
        }.get(limit, (1, CONFIRMATIONS_MAX))
        fits = (
            least <= row.amount <= most,
            shape.stricter[1] == 0 or quantities[0] <= row.quantity <= quantities[1],
            shape.stricter[2] == 0 or 1 <= row.until <= bounds.TIME_MAX,
        )
        if not all(fits):
            raise Refused(Reason.LIMIT_VALUE, limit, row[fits.index(False)] if self.rules > 5 else row.amount)

    def expire(
        self, instrument: int, price: int, clock: int, largest_held: Callable[[int], tuple[int, int]]
    ) -> Instrument:
        """Take an expiry at a delivery price of `price` ticks; returns the specification.

        `largest_held` tells an instrument's largest position in lots and its holders' largest cash in atoms: what is
        delivered must fit a balance.
        """
        if not 0 <= instrument < len(self.specs):
            raise Refused(Reason.UNKNOWN_INSTRUMENT, instrument, len(self.specs))
        spec = self.specs[instrument]
        if spec.product == Product.PERPETUAL:
            raise Refused(Reason.NOT_PERPETUAL, instrument, spec.product)
        if self.expired[instrument]:
            raise Refused(Reason.EXPIRED, spec.expiry, clock)
        if clock < spec.expiry:
            raise Refused(Reason.NOT_EXPIRED, spec.expiry, clock)
        if not spec.deliverable(price):
            raise Refused(Reason.DELIVERY_BOUND, price, spec.strike or spec.price_max)
        lots, cash = largest_held(instrument)
        if (
            max(abs(formulas.delivered_value(spec, side * lots, price)) for side in (1, -1)) + cash
            > bounds.DEPOSITS_MAX
        ):
            raise Refused(Reason.DELIVERY_BOUND, price, bounds.DEPOSITS_MAX)
        self.expired[instrument] = True
        return spec

    def publication(
        self, command: Any, attachment: bytes, largest_open: Callable[[], list[int]]
    ) -> tuple[Publication, dict[int, int]]:
        """Take the next version. Returns it and the position bound, in lots, of each live published instrument.

        `largest_open` tells each instrument's largest position, open quantity included. Blocks must be whole and every
        open position in bounds.
        """
        version = int(command["version"])
        if version != self.version + 1:
            raise Refused(Reason.VERSION, version, self.version)
        try:
            publication = Publication.decode(attachment)
        except InputError:
            raise Refused(Reason.MALFORMED, len(attachment), version) from None
        rates = list(self.rate_loss)
        for rate in publication.currencies:
            if rate.currency >= self.currencies:
                raise Refused(Reason.UNKNOWN_CURRENCY, rate.currency, self.currencies)
            rates[rate.currency] = rate.rate_loss
        risks = self._risks_with(publication, rates)
        limits, open_now = {}, largest_open()
        live = self.expired.count(False)
        for number, risk in enumerate(risks):
            if self.expired[number] or risk is None:
                continue
            limits[number] = self._position_bound(number, risk, rates, live)
            if limits[number] < max(1, open_now[number]):
                raise Refused(Reason.PUBLICATION_BOUND, number, open_now[number])
        self.version, self.rate_loss, self.risks = version, rates, risks
        return publication, limits

    def _risks_with(self, publication: Publication, rates: list[int]) -> list[InstrumentRisk | None]:
        """The risk of every instrument once `publication` holds; Refused unless its blocks are whole."""
        blocks = {block.block: block for block in publication.blocks}
        risks = list(self.risks)
        published = set()
        for risk in publication.instruments:
            number = risk.instrument
            if number >= len(self.specs) or self.expired[number]:
                raise Refused(Reason.UNKNOWN_INSTRUMENT, number, len(self.specs))
            spec = self.specs[number]
            block = blocks.get(spec.block)
            if block is None or block.scenarios != len(risk.u) or rates[spec.currency] == 0:
                raise Refused(Reason.PUBLICATION_INCOMPLETE, number, spec.block)
            if not spec.price_min <= risk.mark <= spec.price_max:
                bound = spec.price_min if risk.mark < spec.price_min else spec.price_max
                raise Refused(Reason.PRICE_BAND, risk.mark, bound, instrument=number)
            risks[number] = risk
            published.add(number)
        for number, spec in enumerate(self.specs):
            if not self.expired[number] and spec.block in blocks and number not in published:
                raise Refused(Reason.PUBLICATION_INCOMPLETE, number, spec.block)
        return risks

    def _position_bound(self, number: int, risk: InstrumentRisk, rates: list[int], live: int) -> int:
        spec = self.specs[number]
        dearest = formulas.limit_value(spec, 1, spec.price_min if spec.form == Form.INVERSE else spec.price_max)
        return largest_open_position(risk, rates[spec.currency], dearest, spec.largest_position, live)


def gains_capped(rules: int, cap: int) -> bool:
    """Whether V counts no gain of an instrument that was published under `rules` with a `cap` on session gains."""
    return rules > 3 and cap != bounds.NO_CAP


def _relaxed(limit: Limit, shape: Shape, old: Row, new: Row, none: int) -> tuple[int, int] | None:
    """The first parameter that a limit is relaxed in, now and before; None where it is not."""
    if new.amount == none or limit == Limit.FORBIDDEN:
        relaxed = limit != Limit.FORBIDDEN or old.amount & ~new.amount
        return (new.amount, old.amount) if relaxed else None
    ways = zip(shape.stricter, old, new, strict=True)
    return next(((now, was) for way, was, now in ways if way * (now - was) < 0), None)
