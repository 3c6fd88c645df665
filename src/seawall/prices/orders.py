"""The importer's side of the venue: what it has in the book, which accounts hold it, the commands it sends.

It is the only writer, so the next command's seq is known, and an order's id is its command's seq. What it expects of
the engine's matching is price, then time; the judge holds the engine's events against the recording independently.
"""

from collections import deque
from typing import Final, NamedTuple

import numpy as np

from seawall.prices.ladder import Ladder
from seawall.prices.listing import CURRENCY, INSTRUMENT
from seawall.vocabulary import bounds
from seawall.vocabulary.records import BUY, SELL, SYSTEM_ACCOUNTS, Commands, Kind, TimeInForce, commands

TIER: Final = 0
DEPOSIT_ATOMS: Final = bounds.BALANCE_MAX // 2
_FIELDS: Final = (
    *("kind", "side", "tif", "account", "price", "quantity", "order_id"),
    *("currency", "tier", "amount", "version", "attachment"),
)


class Batch(NamedTuple):
    """Commands without seq and time, their attachments, and the exchange's time in ns up to which they tell."""

    commands: Commands
    attachments: bytes
    time_ns: int


class Resting(NamedTuple):
    """One of the importer's orders in the book."""

    order_id: int
    account: int
    lots: int


class Outbox:
    """Commands not yet sent; `next_seq` is the seq of the next to be added."""

    def __init__(self, first_seq: int) -> None:
        self.next_seq = first_seq
        self._rows: list[tuple[int, ...]] = []
        self._attachments: list[bytes] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        kind: Kind,
        *,
        side: int = 0,
        tif: int = 0,
        account: int = 0,
        price: int = 0,
        quantity: int = 0,
        order_id: int = 0,
        currency: int = 0,
        tier: int = 0,
        amount: int = 0,
        version: int = 0,
        attachment: bytes = b"",
    ) -> int:
        """Add one command; returns the seq it will have."""
        rest = (currency, tier, amount, version, len(attachment))
        self._rows.append((kind, side, tif, account, price, quantity, order_id, *rest))
        if attachment:
            self._attachments.append(attachment)
        self.next_seq += 1
        return self.next_seq - 1

    def take(self, time_ns: int) -> Batch:
        """What was added since the last time."""
        table = np.array(self._rows, np.int64).reshape(-1, len(_FIELDS))
        made = commands(len(table))
        for column, name in enumerate(_FIELDS):
            made[name] = table[:, column]
        batch = Batch(made, b"".join(self._attachments), time_ns)
        self._rows, self._attachments = [], []
        return batch


class Accounts:
    """Funded accounts of one role, opened as they are needed; `room` lots each, open orders included."""

    def __init__(self, outbox: Outbox, opened: list[int], room: int) -> None:
        self.room = room
        self._outbox, self._opened = outbox, opened
        self._mine: list[int] = []
        self._positions: dict[int, int] = {}
        self._working: dict[int, int] = {}
        self._turn = 0

    def open(self) -> int:
        """One more account, with the largest deposit that leaves as much again for gains."""
        number = SYSTEM_ACCOUNTS + len(self._opened)
        self._opened.append(number)
        self._mine.append(number)
        self._positions[number] = self._working[number] = 0
        self._outbox.add(Kind.ACCOUNT, account=number, tier=TIER)
        self._outbox.add(Kind.DEPOSIT, account=number, currency=CURRENCY, amount=DEPOSIT_ATOMS)
        return number

    def with_room(self, lots: int) -> int:
        """The next account in turn with room for `lots` more; a new one if none has."""
        for _ in self._mine:
            self._turn = (self._turn + 1) % len(self._mine)
            number = self._mine[self._turn]
            if abs(self._positions[number]) + self._working[number] + lots <= self.room:
                return number
        return self.open()

    def work(self, account: int, lots: int) -> None:
        """An order's open lots come (+) or go (-)."""
        self._working[account] += lots

    def trade(self, account: int, lots: int) -> None:
        """A position changes by signed lots."""
        self._positions[account] += lots


class OwnBook:
    """The liquidity accounts' orders: lots by price, oldest order first at each."""

    def __init__(self, outbox: Outbox, accounts: Accounts, largest: int) -> None:
        self.sides = {BUY: Ladder(BUY), SELL: Ladder(SELL)}
        self._outbox, self._accounts, self._largest = outbox, accounts, largest
        self._queues: dict[tuple[int, int], deque[Resting]] = {}

    def rest(self, side: int, price: int, lots: int) -> None:
        """Place `lots` behind what is there, in as many orders as the largest size and the accounts' room ask."""
        queue = self._queues.setdefault((side, price), deque())
        self.sides[side].add(price, lots)
        while lots:
            size = min(lots, self._largest, self._accounts.room)
            account = self._accounts.with_room(size)
            seq = self._outbox.add(Kind.ORDER, side=side, account=account, price=price, quantity=size)
            self._accounts.work(account, size)
            queue.append(Resting(seq, account, size))
            lots -= size

    def shrink(self, side: int, price: int, lots: int) -> int:
        """Cancel newest first until at most `lots` stand; returns the lots then missing, to be placed again."""
        ladder, queue = self.sides[side], self._queues[side, price]
        standing = ladder.at(price)
        while standing > lots:
            newest = queue.pop()
            self._outbox.add(Kind.CANCEL, account=newest.account, order_id=newest.order_id)
            self._accounts.work(newest.account, -newest.lots)
            standing -= newest.lots
        ladder.put(price, standing)
        return lots - standing

    def hit(self, side: int, limit: int, lots: int) -> tuple[int, list[int]]:
        """An aggressor of `lots` takes the resting `side` down to `limit`: lots done, and the prices touched."""
        ladder, done, touched = self.sides[side], 0, []
        while done < lots and (best := ladder.best) is not None and side * (best - limit) >= 0:
            touched.append(best)
            queue = self._queues[side, best]
            while queue and done < lots:
                oldest = queue[0]
                size = min(oldest.lots, lots - done)
                done += size
                ladder.add(best, -size)
                self._accounts.work(oldest.account, -size)
                self._accounts.trade(oldest.account, side * size)
                if size == oldest.lots:
                    queue.popleft()
                else:
                    queue[0] = oldest._replace(lots=oldest.lots - size)
        return done, touched


def aggress(outbox: Outbox, account: int, side: int, price: int, lots: int) -> int:
    """One immediate-or-cancel order; returns its seq."""
    tif = TimeInForce.IOC
    return outbox.add(Kind.ORDER, side=side, tif=tif, account=account, price=price, quantity=lots)


def catalogue(outbox: Outbox, decimals: int, specification: bytes) -> None:
    """The currency, a fee tier of nothing, and the instrument."""
    outbox.add(Kind.CURRENCY, currency=CURRENCY, amount=decimals)
    for fee_class in range(bounds.FEE_CLASSES):
        outbox.add(Kind.TIER, tier=TIER, currency=fee_class)
    assert INSTRUMENT == 0
    outbox.add(Kind.INSTRUMENT, attachment=specification)
