"""Margin state of the reference engine: scenario sums, exposures, charges, equity. See DESIGN "The gate" in docs.

For each block an account keeps V[s], the value change of its positions in scenario s, and W[s], the sum over its open
orders of min(0, effect if filled in s). Where session gains are capped equity would not show what a position gains, so
there (since rules 4) it counts min(0, change), and an order what it loses at its limit besides: min(0, a + b) is at
least min(0, a) + min(0, b), so no fill takes more than its order reserved. The requirement of a row is

    R = sum over blocks of max over s of -(V + W)[s]  +  charges at their worst side  +  order reserves

and the gate uses the larger of the rows. Equity e is the sum over currencies of a concave function of balance and
session gains. Excess E = e - R.
"""

from dataclasses import dataclass, field

from seawall.engine import formulas
from seawall.vocabulary import bounds
from seawall.vocabulary.instruments import Instrument
from seawall.vocabulary.publication import (
    EXPOSURES,
    GROSS_DELTA,
    GROSS_VEGA,
    MAINTENANCE,
    NET_DELTA,
    NET_VEGA,
    NO_CHARGE,
    ROWS,
    BlockRisk,
    InstrumentRisk,
)
from seawall.vocabulary.records import FLAG_REDUCE_ONLY, OrderType, Role, Status, Watched


@dataclass(slots=True, eq=False)
class Order:
    """An open order; `id` is the seq of its command. Fee rates are frozen at acceptance, in millionths."""

    id: int
    account: int
    instrument: int
    side: int
    price: int
    remaining: int
    client_id: int
    maker_rate: int
    taker_rate: int
    type: int = OrderType.LIMIT
    tif: int = 0
    flags: int = 0
    watch: int = 0
    self_match: int = 0
    trigger: int = 0
    distance: int = 0  # of a trailing stop
    strategy: int = 0
    display: int = 0
    until: int = 0
    label: int = 0
    status: int = Status.RESTING
    shown: int = 0  # lots of an iceberg that its queue sees; of others the whole rest
    done: int = 0  # lots filled at limits it had before an edit
    filled: int = 0  # lots filled at this limit: what rounding counts by
    fee_accrued: int = 0
    fee_posted: int = 0
    cancel_wanted: bool = False  # upstream
    effect: list[int] = field(default_factory=list)

    @property
    def dearer_rate(self) -> int:
        """The rate the gate reckons with."""
        return max(self.maker_rate, self.taker_rate, 0)

    @property
    def reduce_only(self) -> bool:
        """Whether its fills are trimmed to what reduces."""
        return bool(self.flags & FLAG_REDUCE_ONLY)

    @property
    def rising(self) -> bool:
        """Whether its trigger is reached from below."""
        takes = self.type in (OrderType.TAKE_LIMIT, OrderType.TAKE_MARKET)
        return (self.side > 0) != takes

    def show(self) -> None:
        """Show as much as it may, of what is left."""
        self.shown = min(self.display, self.remaining) if self.display else self.remaining


@dataclass(slots=True)
class Position:
    """One account's lots and session cash in one instrument, its open quantities there, its window of C04."""

    quantity: int = 0
    cash: int = 0
    open_buy: int = 0
    open_sell: int = 0
    window_start: int = -1
    window_price: int = 0

    def reducible(self, side: int) -> int:
        """Lots an order of that side would reduce, apart from open orders."""
        return max(0, -side * self.quantity)

    def opened(self, side: int) -> int:
        """Open lots of that side."""
        return self.open_buy if side > 0 else self.open_sell


class Listing:
    """One instrument as the engine knows it: specification, published risk, book, holders in order of arrival."""

    def __init__(self, spec: Instrument, number: int) -> None:
        self.spec, self.number = spec, number
        self.risk: InstrumentRisk | None = None
        self.published_at = 0
        self.position_bound = 0
        self.capped = False  # its session gains have a cap, and V counts none of its gains
        self.expired = False
        self.upstream = 0  # account of the venue it trades at, 0: here
        self.bids: dict[int, list[Order]] = {}
        self.asks: dict[int, list[Order]] = {}
        self.holders: dict[int, Position] = {}
        self.prices: list[int] = [0, 0, 0]  # mark, index, last; 0: none yet
        self.index_at = 0
        self.waiting: dict[tuple[int, bool], dict[int, list[Order]]] = {  # (watched, rising) -> trigger -> orders
            (watch, rising): {} for watch in Watched for rising in (True, False)
        }
        self.window_start = -1  # of the velocity halt
        self.window_price = 0
        self.moves = 0

    def book(self, side: int) -> dict[int, list[Order]]:
        """Levels of the orders of that side."""
        return self.bids if side > 0 else self.asks

    def best(self, side: int) -> int:
        """Best price of that side's orders, 0 if there are none."""
        book = self.book(side)
        return 0 if not book else max(book) if side > 0 else min(book)

    @property
    def open_interest(self) -> int:
        """Lots held long."""
        return sum(max(0, position.quantity) for position in self.holders.values())

    def gain(self, position: Position, split: int) -> int:
        """Atoms of session gain that count for equity, of one of an owner's `split` accounts."""
        if self.risk is None:
            return position.cash
        gain = position.cash + formulas.position_value(self.spec, position.quantity, self.risk.mark)
        return formulas.counted_gain(gain, self.risk.gain_cap, split)

    def changes(self, lots: int) -> list[int]:
        """Value atoms by which `lots` change in each scenario; gains are none where they are capped."""
        assert self.risk is not None
        inexact = self.risk.inexact if lots < 0 else 0
        changes = [lots * (u + (inexact if s else 0)) for s, u in enumerate(self.risk.u)]
        return [min(0, change) for change in changes] if self.capped else changes


class BlockMargin:
    """V, W and exposures of one account in one block."""

    def __init__(self) -> None:
        self.v = [0] * bounds.SCENARIOS_MAX
        self.w = [0] * bounds.SCENARIOS_MAX
        self.net = [0, 0]  # delta, vega of the positions
        self.up = [0, 0]  # what open orders could add
        self.down = [0, 0]  # and take away
        self.gross = [0, 0]  # worst side of each instrument, summed


@dataclass(slots=True)
class Protection:
    """A maker's protection in one block; limits in value atoms. Sums are kept in quarters of the window."""

    quantity: int
    delta: int
    vega: int
    window: int
    freeze: int
    frozen: int = 0  # until then; NO_LIMIT: until reset
    quarter: int = 0
    sums: list[list[int]] = field(default_factory=lambda: [[0, 0, 0] for _ in range(5)])


class Account:
    """One account: balances in atoms by currency, positions, open orders by age, margin by block."""

    def __init__(self, tier: int, role: int = Role.CLIENT) -> None:
        self.tier = tier
        self.role = role
        self.groups = [0, 0, 0]  # account numbers of its desk, firm and beneficial owner; 0: none
        self.split = 1  # accounts of its owner, see `Catalogue.splits`
        self.balance = [0] * bounds.CURRENCIES_MAX
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Order] = {}
        self.waiting: dict[int, Order] = {}  # stops that have not fired
        self.blocks: dict[int, BlockMargin] = {}
        self.open_orders = [0] * bounds.CURRENCIES_MAX  # how many, by settlement currency
        self.client_ids: list[tuple[int, int]] = []  # (client id, order id), oldest first
        self.due = [0, 0]  # earliest time that is paid for, of messages and of cancels
        self.strategies = [0] * bounds.STRATEGIES  # the same of executions; NO_LIMIT: stopped
        self.unknown = 0
        self.highest = 0  # equity, for the drawdown limit
        self.drops = 0
        self.rising, self.rises = 0, 0  # the lowest equity above the highest, at so many publications in a row
        self.restricted = False
        self.dead_man = 0
        self.protections: dict[int, Protection] = {}


class Book:
    """Everything the margin formulas need beside the account: listings, published rates, blocks, charges."""

    def __init__(self) -> None:
        self.listings: list[Listing] = []
        self.rate_gain = [0] * bounds.CURRENCIES_MAX
        self.rate_loss = [0] * bounds.CURRENCIES_MAX
        self.blocks: dict[int, BlockRisk] = {}
        self.block_charges: dict[int, list[list[tuple[tuple[int, int], ...] | None]]] = {}
        self.position_charges: dict[int, list[tuple[tuple[int, int], ...] | None]] = {}

    def order_effect(self, order: Order) -> list[int]:
        """min(0, effect if the rest fills at the limit) for each scenario of the order's block, in value atoms."""
        listing = self.listings[order.instrument]
        spec, risk = listing.spec, listing.risk
        assert risk is not None
        gain = formulas.gain_at_limit(spec, order.side, order.remaining, order.price, risk.mark)
        fee = formulas.fee_at_limit(spec, order.remaining, order.price, order.dearer_rate)
        counted = self.rate_gain[spec.currency] if risk.gain_cap == bounds.NO_CAP else 0
        fixed = formulas.value_of_gain(max(gain, 0), counted)
        fixed -= formulas.value_of_loss(max(-gain, 0) + fee, self.rate_loss[spec.currency])
        return [min(0, fixed + change) for change in listing.changes(order.side * order.remaining)]

    def open(self, account: Account, order: Order) -> None:
        """Enter an order into its account and count it."""
        account.orders[order.id] = order
        account.open_orders[self.listings[order.instrument].spec.currency] += 1
        self.add_order(account, order, +1)

    def close(self, account: Account, order: Order) -> None:
        """Take an order out of its account, as if it had never been there."""
        self.add_order(account, order, -1)
        account.open_orders[self.listings[order.instrument].spec.currency] -= 1
        del account.orders[order.id]

    def add_order(self, account: Account, order: Order, sign: int) -> None:
        """Count an order's effect and exposures in (`sign` +1) or out again (-1, before anything of it changes)."""
        listing = self.listings[order.instrument]
        assert listing.risk is not None
        block = account.blocks.setdefault(listing.spec.block, BlockMargin())
        position = account.positions[order.instrument]
        self._add_gross(listing, position, block, -1)
        if order.side > 0:
            position.open_buy += sign * order.remaining
        else:
            position.open_sell += sign * order.remaining
        self._add_gross(listing, position, block, +1)
        if sign > 0:
            order.effect = self.order_effect(order)
        for s, effect in enumerate(order.effect):
            block.w[s] += sign * effect
        for index, weight in enumerate((listing.risk.delta, listing.risk.vega)):
            exposure = order.side * order.remaining * weight
            block.up[index] += sign * max(exposure, 0)
            block.down[index] += sign * max(-exposure, 0)

    def add_position(self, account: Account, instrument: int, sign: int) -> None:
        """Count a position's scenario values and exposures in or out of its block."""
        listing = self.listings[instrument]
        risk = listing.risk
        if risk is None:
            return
        block = account.blocks.setdefault(listing.spec.block, BlockMargin())
        position = account.positions[instrument]
        self._add_gross(listing, position, block, sign)
        quantity = sign * position.quantity
        for s, change in enumerate(listing.changes(position.quantity)):
            block.v[s] += sign * change
        block.net[0] += quantity * risk.delta
        block.net[1] += quantity * risk.vega

    def _add_gross(self, listing: Listing, position: Position, block: BlockMargin, sign: int) -> None:
        assert listing.risk is not None
        worst = max(abs(position.quantity + position.open_buy), abs(position.quantity - position.open_sell))
        block.gross[0] += sign * worst * abs(listing.risk.delta)
        block.gross[1] += sign * worst * abs(listing.risk.vega)

    def equity(self, account: Account) -> int:
        """Value atoms of e."""
        atoms = list(account.balance)
        for instrument, position in account.positions.items():
            listing = self.listings[instrument]
            atoms[listing.spec.currency] += listing.gain(position, account.split)
        return sum(
            formulas.currency_equity(atoms[c], self.rate_gain[c], self.rate_loss[c])
            for c in range(bounds.CURRENCIES_MAX)
        )

    def row(self, account: Account, row: int) -> int:
        """Value atoms that one row asks of the account, open orders included."""
        total = 0
        for number, block in account.blocks.items():
            risk = self.blocks.get(number)
            if risk is None:
                continue
            count = risk.maintenance_scenarios if row == MAINTENANCE else risk.scenarios
            total += max(-(block.v[s] + block.w[s]) for s in range(count))
            total += self._block_charges(block, number, row, account.split)
        for instrument, position in account.positions.items():
            lines = self.position_charges[instrument][row]
            if lines is not None:
                risk_of = self.listings[instrument].risk
                assert risk_of is not None
                opened, weight = (position.open_buy, position.open_sell), risk_of.weight
                total += _worst(lines, position.quantity, *opened, weight, account.split)
        for currency, count in enumerate(account.open_orders):
            total += count * formulas.order_reserve(self.rate_loss[currency])
        return total

    def _block_charges(self, block: BlockMargin, number: int, row: int, split: int) -> int:
        total = 0
        for exposure in range(EXPOSURES):
            lines = self.block_charges[number][exposure][row]
            if lines is None:
                continue
            index = 0 if exposure in (NET_DELTA, GROSS_DELTA) else 1
            if exposure in (NET_DELTA, NET_VEGA):
                total += _worst(lines, block.net[index], block.up[index], block.down[index], 1, split)
            else:
                assert exposure in (GROSS_DELTA, GROSS_VEGA)
                total += formulas.charge_value(lines, block.gross[index], split)
        return total

    def requirement(self, account: Account) -> int:
        """Value atoms of R: the larger of the rows."""
        return max(self.row(account, row) for row in range(ROWS))

    def rebuild(self, account: Account, blocks: set[int]) -> None:
        """Recompute V, W and exposures of the given blocks from positions and open orders."""
        for number in blocks:
            account.blocks.pop(number, None)
        opened = {instrument: (p.open_buy, p.open_sell) for instrument, p in account.positions.items()}
        for instrument, position in account.positions.items():
            if self.listings[instrument].spec.block in blocks:
                position.open_buy = position.open_sell = 0
                self.add_position(account, instrument, +1)
        for order in account.orders.values():
            if self.listings[order.instrument].spec.block in blocks:
                self.add_order(account, order, +1)
        assert opened == {instrument: (p.open_buy, p.open_sell) for instrument, p in account.positions.items()}

    def install(self, risk: BlockRisk, charges: list[tuple[tuple[int, int], ...]]) -> None:
        """Take one block of a publication."""
        self.blocks[risk.block] = risk
        self.block_charges[risk.block] = [
            [charges[index] if index != NO_CHARGE else None for index in pair] for pair in risk.charges
        ]


def _worst(lines: tuple[tuple[int, int], ...], net: int, up: int, down: int, weight: int, split: int) -> int:
    """The charge at its worst side: a convex function is largest at an end of its interval."""
    return max(formulas.charge_value(lines, weight * end, split) for end in (net + up, net - down))
