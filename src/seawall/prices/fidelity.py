"""How faithfully a recording was folded: trades reproduced, causes of the others, the book held against the recording.

A trade is reproduced if its aggressor was filled wholly at the recorded price, by liquidity the recording had told of
before. All is judged from the engine's events, not from what the importer expected of them.

Depth is complete for a trade unless the recording itself proves that it was not: see `Gap`. Both shares are reported,
of all trades and of those with complete depth.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from seawall.prices.ladder import Ladder
from seawall.vocabulary.reasons import explain
from seawall.vocabulary.records import BUY, SELL, EventKind, Events

TOP: Final = 10
"""Prices a side compared after each delta, besides those it touched."""


class Cause(StrEnum):
    """Why a trade was not reproduced."""

    BEFORE_DEPTH = "before the first depth"
    AFTER_GAP = "after a gap in the depth"
    UNTOLD = "no depth known at that price"
    EMPTY = "no liquidity known at that price"
    SMALLER = "smaller than printed"
    HIDDEN = "beyond the quantity shown at the best price"
    PASSED = "price passed through"
    REFUSED = "refused by the gate"


MEANINGS: Final[dict[Cause, str]] = {
    Cause.BEFORE_DEPTH: "traded before the snapshot, or before any update where there is none",
    Cause.AFTER_GAP: "an update is missing since the last snapshot",
    Cause.UNTOLD: "neither a snapshot nor an update had said anything of that price",
    Cause.EMPTY: "the last word on that price was zero: placed since, and not yet told",
    Cause.SMALLER: "trades used up what was known there, deeper than the best: placed since, or hidden",
    Cause.HIDDEN: "trades took more from the best price than the exchange showed there: hidden quantity",
    Cause.PASSED: "a better price still stood in the book: cancelled since, and not yet told",
    Cause.REFUSED: "the engine refused the aggressor",
}


class Gap(StrEnum):
    """What in the recording itself proves that its depth was not complete for a trade."""

    BEFORE_DEPTH = Cause.BEFORE_DEPTH.value
    AFTER_GAP = Cause.AFTER_GAP.value
    UNTOLD = Cause.UNTOLD.value
    HIDDEN = Cause.HIDDEN.value
    UNSEEN = "deeper than the best, with updates the exchange counted but had not sent"


class AwaitedPrint(NamedTuple):
    """A trade's aggressor on its way: its command's seq, and what the recording knew of its price before it."""

    seq: int
    price: int
    lots: int
    known: Cause
    gap: Gap | None


class AwaitedCheck(NamedTuple):
    """The recording's book once command `seq` is folded.

    `levels`: (side, price, lots) of every price touched; `bids`, `asks`: the best prices with their lots, best first.
    """

    seq: int
    levels: list[tuple[int, int, int]]
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


@dataclass(slots=True)
class Fidelity:
    """Counts of one import. Quantities are numbers of trades, checks and levels."""

    trades_recorded: int = 0
    trades_reproduced: int = 0
    trades_with_complete_depth: int = 0
    reproduced_with_complete_depth: int = 0
    causes: Counter[Cause] = field(default_factory=Counter)
    causes_with_complete_depth: Counter[Cause] = field(default_factory=Counter)
    incomplete_depth: Counter[Gap] = field(default_factory=Counter)
    book_checks: int = 0
    levels_checked: int = 0
    book_differences: int = 0
    refused: int = 0
    first_refusal: str = ""

    @property
    def share_reproduced(self) -> float | None:
        """Of the trades with complete depth; None where there are none, which is no good mark."""
        return self.reproduced_with_complete_depth / self.trades_with_complete_depth if self.judged else None

    @property
    def share_of_all(self) -> float | None:
        """Of all recorded trades; None where there are none."""
        return self.trades_reproduced / self.trades_recorded if self.trades_recorded else None

    @property
    def judged(self) -> bool:
        """Whether any trade had complete depth."""
        return self.trades_with_complete_depth > 0

    def count(self, cause: Cause | None, gap: Gap | None) -> None:
        """Enter one trade: reproduced (`cause` None) or not, with complete depth (`gap` None) or not."""
        self.trades_recorded += 1
        self.trades_reproduced += cause is None
        if cause is not None:
            self.causes[cause] += 1
        if gap is not None:
            self.incomplete_depth[gap] += 1
            return
        self.trades_with_complete_depth += 1
        self.reproduced_with_complete_depth += cause is None
        if cause is not None:
            self.causes_with_complete_depth[cause] += 1

    def document(self) -> dict[str, Any]:
        """The counts for `--json`."""
        return {
            "trades_recorded": self.trades_recorded,
            "trades_reproduced": self.trades_reproduced,
            "share_of_all": self.share_of_all,
            "trades_with_complete_depth": self.trades_with_complete_depth,
            "reproduced_with_complete_depth": self.reproduced_with_complete_depth,
            "share_reproduced": self.share_reproduced,
            "causes": {cause.value: number for cause, number in self.causes.most_common()},
            "causes_with_complete_depth": {c.value: n for c, n in self.causes_with_complete_depth.most_common()},
            "incomplete_depth": {gap.value: number for gap, number in self.incomplete_depth.most_common()},
            "book_checks": self.book_checks,
            "levels_checked": self.levels_checked,
            "book_differences": self.book_differences,
            "refused": self.refused,
            "first_refusal": self.first_refusal,
        }


class Judge:
    """Rebuilds the engine's book from its events and holds trades and levels against the recording."""

    def __init__(self) -> None:
        self.fidelity = Fidelity()
        self.book = {BUY: Ladder(BUY), SELL: Ladder(SELL)}
        self._open: dict[int, list[int]] = {}
        self._awaited: deque[AwaitedPrint | AwaitedCheck] = deque()
        self._fills: list[tuple[int, int, int]] = []
        self._refused = 0

    def expect(self, awaited: AwaitedPrint | AwaitedCheck) -> None:
        """Judge this once its command's events have come; in the order of their seqs."""
        self._awaited.append(awaited)

    def hear(self, events: Events) -> None:
        """The events of all commands so far awaited."""
        names = ("seq", "kind", "side", "order_id", "price", "quantity", "reason", "a", "b")
        rows = zip(*(events[name].tolist() for name in names), strict=True)
        for row in rows:
            while self._awaited and self._awaited[0].seq < row[0]:
                self._settle(self._awaited.popleft())
            self._take(row)
        while self._awaited:
            self._settle(self._awaited.popleft())

    def _take(self, row: Sequence[int]) -> None:
        seq, kind, side, order_id, price, quantity, reason, a, b = row
        if kind == EventKind.ACCEPTED:
            self._open[order_id] = [side, price, quantity]
            self.book[side].add(price, quantity)
        elif kind == EventKind.FILL:
            order = self._open[order_id]
            order[2] -= quantity
            self.book[order[0]].add(order[1], -quantity)
            if order_id == seq:
                self._fills.append((seq, price, quantity))
            if not order[2]:
                del self._open[order_id]
        elif kind == EventKind.CANCELLED:
            side, price, rest = self._open.pop(order_id)
            self.book[side].add(price, -rest)
        elif kind == EventKind.REFUSED:
            self._refused = seq
            self.fidelity.refused += 1
            self.fidelity.first_refusal = self.fidelity.first_refusal or f"command {seq}: {explain(reason, a, b)}"

    def _settle(self, awaited: AwaitedPrint | AwaitedCheck) -> None:
        if isinstance(awaited, AwaitedCheck):
            self._check(awaited)
        else:
            self.fidelity.count(self._cause(awaited), awaited.gap)

    def _check(self, awaited: AwaitedCheck) -> None:
        found = self.fidelity
        found.book_checks += 1
        found.levels_checked += len(awaited.levels) + len(awaited.bids) + len(awaited.asks)
        found.book_differences += sum(self.book[side].at(price) != lots for side, price, lots in awaited.levels)
        for side, told in ((BUY, awaited.bids), (SELL, awaited.asks)):
            found.book_differences += sum(one != other for one, other in zip_longest(told, self.book[side].top(TOP)))

    def _cause(self, traded: AwaitedPrint) -> Cause | None:
        fills = [(price, lots) for seq, price, lots in self._fills if seq == traded.seq]
        self._fills = []
        if sum(lots for price, lots in fills if price == traded.price) == traded.lots:
            return None
        if self._refused == traded.seq:
            return Cause.REFUSED
        if any(price != traded.price for price, _ in fills):
            return Cause.PASSED
        return traded.known
