"""The executable specification: the whole fold in plain Python, written to be read.

Rules
    time      is the command's stamp, clamped to be monotone
    ids       an order's id is the seq of its command; accounts, instruments and currencies are numbered densely
    book      price, then time; a trade happens at the resting order's price
    gate      the checks of `rules.controls` in order, cheapest first; the first that fails refuses, with two numbers
    margin    see `margin`; accepted iff E after >= 0, or, for an account already below, by the rule of proportion
    self      an order that would meet one of its own beneficial owner does as its self-match mode says
    call      when anything but its own command takes E below zero, an account's orders go, newest first, until E >= 0
    money     every posting has its opposite: fees to SYSTEM_FEES, rounding residues to SYSTEM_ROUNDING
    stops     wait without reserving anything; fired, they pass the gate like an order sent that moment
    state     whatever halts by itself only restricts; people relax
    facts     what a venue upstream reports is booked as it is, and refused only where arithmetic ends
    refusals  change nothing but time and the budget of messages

The rules are in `rules/`, a file each.

`Fast` in `fast.py` is the same fold; every test of the engine runs on both.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from seawall.engine import formulas
from seawall.engine.catalogue import Refused, gains_capped
from seawall.engine.rules.margin import Account, Listing, Order
from seawall.engine.rules.money import Money
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import INITIAL, MAINTENANCE, NO_CHARGE, ROWS
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    EVENT,
    FLAG_LINKED,
    FLAG_PACKAGE,
    FLAG_UNCLEAN,
    GROUPS,
    UPSTREAM,
    Commands,
    EventKind,
    Events,
    Kind,
    Limit,
    Scope,
    Watched,
)


class Reference(Money):
    """The fold. `step` takes the next commands and returns their events; the rest are looks at the state."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: dict[int, Callable[[Any, bytes], None]] = {
            Kind.OPENED: self._opened,
            Kind.CURRENCY: self._currency,
            Kind.INSTRUMENT: self._instrument,
            Kind.ACCOUNT: self._account,
            Kind.TIER: self._tier,
            Kind.PUBLISH: self._publish,
            Kind.STATE: self._state,
            Kind.TIME: lambda command, attachment: None,
            Kind.CLOSED: lambda command, attachment: None,
            Kind.RULES: self._rules,
            Kind.LIMIT: self._limit,
            Kind.MEMBER: self._member,
            Kind.INDEX: self._index,
            Kind.KILL: self._kill,
            Kind.UNDERLYING: self._underlying,
            Kind.ORDER: self._order,
            Kind.CANCEL: self._cancel,
            Kind.CANCEL_ALL: self._cancel_all,
            Kind.EDIT: self._edit,
            Kind.DEAD_MAN: self._dead_man_timer,
            Kind.PROTECT: self._protect,
            Kind.PROTECT_RESET: self._protect_reset,
            Kind.REARM: self._rearm,
            Kind.UPSTREAM: self._upstream,
            Kind.ACKNOWLEDGED: self._acknowledged,
            Kind.EXECUTED: self._executed,
            Kind.ENDED: self._ended,
            Kind.UNKNOWN: self._unknown,
            Kind.BOOKED: self._booked,
            Kind.AMENDED: self._amended,
            Kind.DEPOSIT: self._deposit,
            Kind.WITHDRAW: self._withdraw,
            Kind.FUNDING: self._funding,
            Kind.SETTLE: self._settle,
            Kind.EXPIRE: self._expire,
        }

    def step(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Fold `commands` (COMMAND, consecutive seq) with their attachments, concatenated; return EVENT records.

        Raises InputError, with nothing changed, if the seqs do not follow, the attachments do not fit or a chain is
        cut off.
        """
        check_batch(commands, attachments, self.seq)
        self._events = []
        at = index = 0
        while index < len(commands):
            chain = self._chain_at(commands, index)
            size = int(commands["attachment"][index : index + chain].sum())
            self.seq = int(commands["seq"][index])
            self.clock = max(self.clock, int(commands["time"][index : index + chain].max()))
            self._run_timers()
            if self.catalogue.rules > 1 and _chained(commands[index]):
                self._chain(list(commands[index : index + chain]))
            else:
                self._fold(commands[index], attachments[at : at + size])
            self._fire_all()
            at, index = at + size, index + chain
        return np.array(self._events, EVENT)

    def make_ready(self) -> bool:
        """Nothing is to be done before commands come."""
        return False

    def _fold(self, command: Any, attachment: bytes) -> None:
        kind = int(command["kind"])
        handler = self._handlers.get(kind)
        try:
            if handler is None or not self.catalogue.knows(kind):
                raise Refused(Reason.UNKNOWN_KIND, kind, max(Kind))
            handler(command, attachment)
        except Refused as refused:
            self._refuse(command, refused)

    def _chain_at(self, commands: Commands, index: int) -> int:
        """How many commands belong together from `index` on: linked ones and the one after them."""
        end = index
        if self.catalogue.rules > 1:
            while _chained(commands[end]) and int(commands["flags"][end]) & FLAG_LINKED:
                if commands["kind"][end + 1] not in (Kind.ORDER, Kind.CANCEL):
                    break
                end += 1
        return end - index + 1

    # -- catalogue and parameters ----------------------------------------------------------------------------------

    def _opened(self, command: Any, attachment: bytes) -> None:
        old, state = self.catalogue.venue, self.catalogue.opened(command)
        if int(command["flags"]) & FLAG_UNCLEAN:
            self.catalogue.set_state(Scope.VENUE, 0, state)
            self._tell_state(Scope.VENUE, 0, state, old)

    def _currency(self, command: Any, attachment: bytes) -> None:
        self._emit(EventKind.DEFINED, currency=self.catalogue.currency(command), a=Kind.CURRENCY)

    def _instrument(self, command: Any, attachment: bytes) -> None:
        listings = self.book.listings
        listings.append(Listing(self.catalogue.instrument(command, attachment), len(listings)))
        self.book.position_charges[len(listings) - 1] = [None] * ROWS
        self._emit(EventKind.DEFINED, instrument=len(listings) - 1, a=Kind.INSTRUMENT)

    def _account(self, command: Any, attachment: bytes) -> None:
        self.accounts.append(Account(self.catalogue.account(command), self.catalogue.roles[-1]))
        self._emit(EventKind.DEFINED, account=len(self.accounts) - 1, a=Kind.ACCOUNT)

    def _tier(self, command: Any, attachment: bytes) -> None:
        tier, fee_class = self.catalogue.tier(command)
        self._emit(EventKind.DEFINED, currency=fee_class, a=Kind.TIER, b=tier)

    def _rules(self, command: Any, attachment: bytes) -> None:
        self._emit(EventKind.DEFINED, a=Kind.RULES, b=self.catalogue.rules_command(command))

    def _limit(self, command: Any, attachment: bytes) -> None:
        limit, number, instrument, row, anew = self.catalogue.limit_command(command)
        if limit == Limit.DRAWDOWN and anew:
            account = self.accounts[number]
            account.highest, account.drops, account.rises = self.book.equity(account), 0, 0
        self._emit(EventKind.DEFINED, account=number, instrument=instrument, quantity=limit, a=Kind.LIMIT, b=row.amount)

    def _member(self, command: Any, attachment: bytes) -> None:
        number = int(command["account"])
        positions = 0 <= number < len(self.accounts) and bool(self.accounts[number].positions)
        account, group = self.catalogue.member(command, positions)
        self.accounts[account].groups = self.catalogue.groups[account]
        self.accounts[account].split = self.catalogue.splits[account]
        self._emit(EventKind.DEFINED, account=account, order_id=group, a=Kind.MEMBER)

    def _underlying(self, command: Any, attachment: bytes) -> None:
        block, underlying = self.catalogue.underlying(command)
        self._emit(EventKind.DEFINED, instrument=block, a=Kind.UNDERLYING, b=underlying)
        self._look_again()

    def _state(self, command: Any, attachment: bytes) -> None:
        self._tell_state(*self.catalogue.state(command))
        self._look_again()

    def _look_again(self) -> None:
        """A state was relaxed, perhaps: prices that moved while an instrument was halted reach its stops now."""
        for listing in self.book.listings:
            for watch in Watched:
                if listing.prices[watch]:
                    self._reach(listing, watch, listing.prices[watch])

    def _index(self, command: Any, attachment: bytes) -> None:
        """An index price, in the instrument's own ticks."""
        number, price = self.catalogue.index(command)
        listing = self.book.listings[number]
        listing.index_at = self.clock
        self._emit(EventKind.DEFINED, instrument=listing.number, price=price, a=Kind.INDEX)
        self._reach(listing, Watched.INDEX, price)

    def _publish(self, command: Any, attachment: bytes) -> None:
        publication, limits = self.catalogue.publication(command, attachment, self._largest_open)
        book = self.book
        if self.catalogue.count_owners():
            for number, account in enumerate(self.accounts):
                account.split = self.catalogue.splits[number]
        touched = {block.block for block in publication.blocks}
        moved = {rate.currency for rate in publication.currencies}
        for rate in publication.currencies:
            book.rate_gain[rate.currency] = rate.rate_gain
            book.rate_loss[rate.currency] = rate.rate_loss
        charges = [charge.lines for charge in publication.charges]
        for block in publication.blocks:
            book.install(block, charges)
        for number, limit in limits.items():
            book.listings[number].position_bound = limit
        for risk in publication.instruments:
            listing = book.listings[risk.instrument]
            listing.risk, listing.published_at = risk, self.clock
            listing.capped = gains_capped(self.catalogue.rules, risk.gain_cap)
            book.position_charges[risk.instrument] = [
                charges[index] if index != NO_CHARGE else None for index in risk.charges
            ]
        touched |= {listing.spec.block for listing in book.listings if listing.spec.currency in moved}
        self._emit(EventKind.PUBLISHED, a=self.catalogue.version)
        for number, account in enumerate(self.accounts):
            book.rebuild(account, touched)
            self._margin_call(number)
            self._watch_drawdown(number)
        for risk in publication.instruments:
            self._reach(book.listings[risk.instrument], Watched.MARK, risk.mark)
        for risk in publication.instruments:
            self._trail(book.listings[risk.instrument])

    def _largest_open(self) -> list[int]:
        held = [listing.holders.values() for listing in self.book.listings]
        return [max((abs(p.quantity) + p.open_buy + p.open_sell for p in holders), default=0) for holders in held]

    # -- looks at the state ----------------------------------------------------------------------------------------

    def margin(self, account: int) -> dict[str, int]:
        """Equity, initial and maintenance requirement, excess of an account, in value atoms."""
        entry = self.accounts[account]
        equity, requirement = self.book.equity(entry), self.book.requirement(entry)
        return {
            "equity": equity,
            "initial": self.book.row(entry, INITIAL),
            "maintenance": self.book.row(entry, MAINTENANCE),
            "requirement": requirement,
            "excess": equity - requirement,
        }

    def account_view(self, account: int) -> dict[str, Any]:
        """What an account is told of its money.

        Cash by currency; quantity, session cash, open buys and open sells by instrument; by block what it holds of
        scenario sums and exposures; what its open orders reserve; how many accounts its owner's charges are split
        over; and its `margin`.
        """
        entry = self.accounts[account]
        reserves = zip(entry.open_orders, self.book.rate_loss, strict=True)
        return {
            "balance": list(entry.balance),
            "positions": {
                instrument: (p.quantity, p.cash, p.open_buy, p.open_sell)
                for instrument, p in sorted(entry.positions.items())
            },
            "blocks": self._blocks_of(entry),
            "reserve": sum(count * formulas.order_reserve(rate) for count, rate in reserves),
            "split": entry.split,
            **self.margin(account),
        }

    def conserved(self) -> bool:
        """Whether money sums to net deposits in each currency and positions to zero in each instrument."""
        totals = [0] * bounds.CURRENCIES_MAX
        for account in self.accounts:
            for currency, balance in enumerate(account.balance):
                totals[currency] += balance
        for listing in self.book.listings:
            totals[listing.spec.currency] += sum(position.cash for position in listing.holders.values())
            if sum(position.quantity for position in listing.holders.values()):
                return False
        return totals == self.net_deposits

    def state(self) -> dict[str, Any]:
        """Everything that later events depend on, in one canonical form, the order of queues included."""
        return {
            "seq": self.seq,
            "clock": self.clock,
            "version": self.catalogue.version,
            "net_deposits": list(self.net_deposits),
            "accounts": [self._account_state(number) for number in range(len(self.accounts))],
            "listings": [self._listing_state(listing) for listing in self.book.listings],
            **self.catalogue.state_values(),
        }

    def _account_state(self, number: int) -> dict[str, Any]:
        account = self.accounts[number]
        return {
            "tier": account.tier,
            "split": account.split,
            "balance": list(account.balance),
            "positions": {
                instrument: (p.quantity, p.cash, p.open_buy, p.open_sell, p.window_start, p.window_price)
                for instrument, p in sorted(account.positions.items())
            },
            "orders": list(account.orders),
            "waiting": list(account.waiting),
            "client_ids": list(account.client_ids),
            "blocks": self._blocks_of(account),
            "group": self._group_state(number),
            "due": list(account.due),
            "strategies": list(account.strategies),
            "watched": (account.unknown, account.highest, account.drops, account.restricted, account.dead_man),
            "rising": (account.rises, account.rising if account.rises else 0),
            "open_notional": self._open_notional(account),
            "protections": {
                block: [p.quantity, p.delta, p.vega, p.window, p.freeze, p.frozen, p.quarter, p.sums]
                for block, p in sorted(account.protections.items())
            },
            **self.margin(number),
        }

    def _blocks_of(self, account: Account) -> dict[int, Any]:
        """Scenario sums V + W, then net, up, down and gross (delta, vega) by block, where any is not zero."""
        blocks = {}
        for block, margin in sorted(account.blocks.items()):
            count = self.book.blocks[block].scenarios
            summed = [v + w for v, w in zip(margin.v[:count], margin.w[:count], strict=True)]
            lists = [summed, margin.net, margin.up, margin.down, margin.gross]
            if any(any(numbers) for numbers in lists):
                blocks[block] = [list(numbers) for numbers in lists]
        return blocks

    def _group_state(self, number: int) -> dict[str, Any]:
        """The sums over a group's members that are not nothing: (position, open buys, open sells) and deltas."""
        if self.accounts[number].role not in GROUPS:
            return {}
        held = {listing.number: self._held_by(number, listing.number) for listing in self.book.listings}
        deltas = {block: self._delta_of(number, block) for block in range(bounds.BLOCKS_MAX)}
        return {
            "held": {instrument: lots for instrument, lots in held.items() if any(lots)},
            "deltas": {block: values for block, values in deltas.items() if any(values)},
        }

    def _listing_state(self, listing: Listing) -> dict[str, Any]:
        def levels(book: dict[int, list[Order]]) -> list[Any]:
            return [[_order_state(order) for order in book[price]] for price in sorted(book)]

        upstream = [
            order for order in self.orders.values() if order.instrument == listing.number and order.status in UPSTREAM
        ]
        return {
            "expired": listing.expired,
            "capped": listing.capped,
            "holders": list(listing.holders),
            "bids": levels(listing.bids),
            "asks": levels(listing.asks),
            "waiting": {
                f"{watch} {rising}": levels(waiting) for (watch, rising), waiting in sorted(listing.waiting.items())
            },
            "upstream": (listing.upstream, [_order_state(order) for order in sorted(upstream, key=lambda o: o.id)]),
            "prices": list(listing.prices),
            "times": (listing.index_at, listing.published_at),
            "velocity": (listing.window_start, listing.window_price, listing.moves),
            "open_interest": listing.open_interest,
        }


def check_batch(commands: Commands, attachments: bytes, seq: int) -> None:
    """Raise InputError unless seqs follow `seq` one by one and the attachments' sizes add up."""
    expected = np.arange(seq + 1, seq + 1 + len(commands))
    if not np.array_equal(commands["seq"], expected):
        raise InputError("seq", commands["seq"][:1].tolist(), f"must follow {seq} one by one")
    if len(commands) and _chained(commands[-1]) and int(commands["flags"][-1]) & FLAG_LINKED:
        raise InputError("flags", int(commands["flags"][-1]), "must not link the last command of a batch")
    sizes = commands["attachment"]
    if np.any(sizes < 0) or int(sizes.sum()) != len(attachments):
        raise InputError(
            "attachment", len(attachments), f"must be the {int(sizes.sum())} bytes that the commands state"
        )


def _chained(command: Any) -> bool:
    return command["kind"] in (Kind.ORDER, Kind.CANCEL) and bool(int(command["flags"]) & (FLAG_LINKED | FLAG_PACKAGE))


def _order_state(order: Order) -> tuple[int, ...]:
    rates = (order.fee_accrued, order.fee_posted, order.maker_rate, order.taker_rate)
    form = (order.type, order.tif, order.flags, order.watch, order.self_match, order.strategy, order.label)
    sizes = (order.display, order.shown, order.done, order.trigger, order.distance, order.until)
    return (order.id, order.price, order.remaining, order.filled, *rates, *form, *sizes, order.status)
