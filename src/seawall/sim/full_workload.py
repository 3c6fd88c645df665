"""The steady stream with everything on: limits of every kind, groups, timers, protections, orders of every sort.

Limits are as wide as they come, so that all are looked at and none refuses. The world is that of `workload`, and:

    accounts     every one has every limit an account can have (C02, C06, C07, C10, C11, C15, C16); one in ten also its
                 own in three instruments (C01, C10, C12), and market-maker protection in every block (C21); every other
                 one is on a desk of ten, in a firm of a hundred, and has an owner shared with one other
    groups       exposure, and positions in three instruments
    instruments  collar, window collar, open interest, velocity; an index price
    venue        stale and divergent prices

Of a hundred commands 46 submit an order that rests or waits, 32 cancel one, 11 edit one, 11 are immediate. Of the 46
SHARES are icebergs, reduce-only, post-only, good till a date, labelled, of a strategy; some are stops, and those of the
one account in ten are quotes under protection.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.sim.workload import BLOCKS, Workload
from seawall.vocabulary import bounds
from seawall.vocabulary.records import (
    COMMAND,
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FORBID_WITHDRAW,
    SYSTEM_ACCOUNTS,
    Commands,
    EventKind,
    Events,
    Kind,
    Limit,
    OrderType,
    Role,
    TimeInForce,
    Watched,
    command,
    join,
)

EDITS: Final = 0.25
"""Of what a plain stream cancels."""

SHARES: Final = {"iceberg": 0.05, "reduce": 0.05, "post": 0.3, "dated": 0.05, "labelled": 0.3, "strategy": 0.3}
STOPS: Final = 0.1
"""Of the orders that rest and have no flags and no hidden part."""

STOPS_AT_LAST: Final = 0.2
"""Of the stops watch the last price; the others the mark, which never reaches them."""

ODD_ONES: Final = 10
"""One account in so many has limits by instrument and quotes under protection."""

DESK, FIRM, OWNER = 10, 100, 2
WIDE: Final = 2**61
LIFE: Final = 300_000
"""Commands until a good-till-date order ends."""

_ACCOUNT_LIMITS: Final = {
    Limit.ORDER_NOTIONAL: (WIDE, 0, 0),
    Limit.MESSAGES: (1, 1 << 20, 0),
    Limit.CANCELS: (1, 1 << 20, 0),
    Limit.REPEATS: (bounds.PARTS, 0, bounds.PARTS),
    Limit.FORBIDDEN: (FORBID_WITHDRAW, 0, 0),
    Limit.OPEN_ORDERS: (WIDE, 0, 0),
    Limit.OPEN_NOTIONAL: (WIDE, 0, 0),
    Limit.EXPOSURE: (WIDE, 0, 0),
    Limit.DRAWDOWN: (WIDE, 2, 0),
}
_PAIR_LIMITS: Final = {
    Limit.ORDER_QUANTITY: (WIDE, 0, 0),
    Limit.POSITION: (WIDE, 0, 0),
    Limit.FORBIDDEN: (FORBID_WITHDRAW, 0, 0),
}
_INSTRUMENT_LIMITS: Final = {
    Limit.COLLAR: (bounds.PARTS // 2, 1000, 0),
    Limit.WINDOW_COLLAR: (bounds.PARTS // 2, 0, 10_000),
    Limit.OPEN_INTEREST: (WIDE, 0, 0),
    Limit.VELOCITY: (bounds.PARTS, 2, 10_000),
}
_VENUE_LIMITS: Final = {Limit.STALE: (2**60, 0, 0), Limit.DIVERGENCE: (bounds.PARTS, 0, 0)}

Int64Array = npt.NDArray[np.int64]


class FullWorkload(Workload):
    """`Workload` with everything on; same sizes, same streams, same seed."""

    def __init__(self, accounts: int, instruments: int, resting: int, *, scenarios: int = 35, seed: int = 1) -> None:
        self._held: dict[tuple[int, int], int] = {}  # lots by account and instrument
        self._pairs: list[tuple[int, int]] = []  # the keys of these
        self._stops: set[int] = set()
        super().__init__(accounts, instruments, resting, scenarios=scenarios, seed=seed)

    def _parameters(self) -> Commands:
        """Groups, limits and protections, after the first publication."""
        clients = np.arange(SYSTEM_ACCOUNTS, SYSTEM_ACCOUNTS + self.accounts)
        grouped, odd = clients[::2], clients[::ODD_ONES]
        numbers = np.arange(len(self.specs))
        parts, groups, first = [], [], int(clients[-1]) + 1
        for role, size in ((Role.DESK, DESK), (Role.FIRM, FIRM), (Role.OWNER, OWNER)):
            group = first + np.arange(len(grouped)) // size
            first = int(group[-1]) + 1
            parts.append(self._many(Kind.ACCOUNT, account=np.unique(group), type=role))
            parts.append(self._many(Kind.MEMBER, account=grouped, order_id=group))
            if role != Role.OWNER:
                groups.append(np.unique(group))
        for limits, who in ((_ACCOUNT_LIMITS, clients), ({Limit.EXPOSURE: (WIDE, 0, 0)}, np.concatenate(groups))):
            parts += [self._limits(limit, row, account=who, instrument=-1) for limit, row in limits.items()]
        for limits, who in ((_PAIR_LIMITS, odd), ({Limit.POSITION: (WIDE, 0, 0)}, np.concatenate(groups))):
            for of in range(3):  # a perpetual and two options, other ones for each
                where = who % self.perpetuals if of == 0 else (7 * who + of) % len(self.specs)
                parts += [self._limits(limit, row, account=who, instrument=where) for limit, row in limits.items()]
        parts += [self._limits(limit, row, instrument=numbers) for limit, row in _INSTRUMENT_LIMITS.items()]
        parts += [self._limits(limit, row, account=np.array([-1])) for limit, row in _VENUE_LIMITS.items()]
        parts.append(self._many(Kind.INDEX, instrument=numbers, price=self._marks))
        wide = {"quantity": WIDE, "amount": WIDE, "version": WIDE, "until": 10_000}
        parts += [self._many(Kind.PROTECT, account=odd, instrument=block, **wide) for block in range(BLOCKS)]
        return join(*parts)

    def _limits(self, limit: Limit, row: tuple[int, int, int], **of: Int64Array | int) -> Commands:
        return self._many(Kind.LIMIT, state=limit, amount=row[0], quantity=row[1], until=row[2], **of)

    def _many(self, kind: Kind, **columns: Int64Array | int) -> Commands:
        """Commands by columns; those that are one number are the same in all."""
        records = np.zeros(max(np.size(column) for column in columns.values()), COMMAND)
        records["kind"] = kind
        for name, column in columns.items():
            records[name] = column
        return self._stamp(records)

    def _orders(self, count: int, immediate: npt.NDArray[np.bool_]) -> Commands:
        """Resting and immediate orders of every sort."""
        records = super()._orders(count, immediate)
        rng, rests = self._rng, ~immediate
        share = {name: rests & (rng.random(count) < part) for name, part in SHARES.items()}
        records["label"] = np.where(share["labelled"], rng.integers(1, 1000, count), 0)
        records["strategy"] = np.where(share["strategy"], rng.integers(1, bounds.STRATEGIES, count), 0)
        records["display"] = np.where(share["iceberg"], np.maximum(1, records["quantity"] // 4), 0)
        records["flags"] |= np.where(share["post"], FLAG_POST_ONLY, 0).astype(np.uint8)
        maker = rests & ((records["account"] - SYSTEM_ACCOUNTS) % ODD_ONES == 0)
        records["flags"] |= np.where(maker, FLAG_PROTECTED, 0).astype(np.uint8)
        records["tif"][share["dated"]] = TimeInForce.GTD
        records["until"] = np.where(share["dated"], self._seq + LIFE + np.arange(count), 0)
        self._reduce(records, share["reduce"])
        self._stop(records, rests & (records["flags"] == 0) & ~share["iceberg"] & (rng.random(count) < STOPS))
        return records

    def _reduce(self, records: Commands, chosen: npt.NDArray[np.bool_]) -> None:
        """Turn the chosen orders into ones that reduce a position their account has."""
        for at in np.flatnonzero(chosen) if self._pairs else ():
            account, instrument = self._pairs[int(self._rng.integers(len(self._pairs)))]
            lots = self._held[account, instrument]
            if not lots:
                continue
            side, mark = -1 if lots > 0 else 1, int(self._marks[instrument])
            away = int(self._rng.integers(2, 60)) * max(1, mark // 2000)
            record = records[at]
            record["account"], record["instrument"], record["side"] = account, instrument, side
            record["price"], record["flags"] = max(1, mark - side * away), FLAG_REDUCE_ONLY

    def _stop(self, records: Commands, chosen: npt.NDArray[np.bool_]) -> None:
        """Turn the chosen orders into stops: most watch the mark, some the last price, which reaches them in time."""
        rng, count = self._rng, len(records)
        last = chosen & (rng.random(count) < STOPS_AT_LAST)
        marks = self._marks[records["instrument"]]
        steps = np.where(last, rng.integers(3, 6, count), rng.integers(60, 200, count))
        trigger = np.maximum(1, marks + records["side"] * steps * np.maximum(1, marks // 2000))
        records["type"] = np.where(chosen, OrderType.STOP_LIMIT, records["type"])
        records["watch"] = np.where(last, Watched.LAST, 0)
        records["trigger"] = np.where(chosen, trigger, 0)

    def _against(self, order_id: int) -> Commands:
        """A cancel, or an edit of price and amount."""
        if order_id in self._stops or self._rng.random() >= EDITS:
            return super()._against(order_id)
        account, _, filled, instrument, side = self._live[order_id]
        self._ids.append(order_id)
        mark = int(self._marks[instrument])
        away = int(self._rng.integers(3, 60)) * max(1, mark // 2000)
        quantity = filled + int(self._rng.integers(1, 40))
        return command(
            Kind.EDIT, account=account, order_id=order_id, price=max(1, mark - side * away), quantity=quantity
        )

    def _run(self, records: Commands) -> Commands:
        made = super()._run(records)
        self._stops.update(made["seq"][made["type"] == OrderType.STOP_LIMIT].tolist())
        return made

    def _observe(self, events: Events) -> None:
        super()._observe(events)
        fills = events[events["kind"] == EventKind.FILL]
        columns = [fills[name].tolist() for name in ("account", "instrument", "side", "quantity")]
        for account, instrument, side, quantity in zip(*columns, strict=True):
            pair = account, instrument
            if pair not in self._held:
                self._pairs.append(pair)
            self._held[pair] = self._held.get(pair, 0) + side * quantity
