"""Where each recorded trade stands among the updates of the book.

The exchange numbers its updates and its trades, each in its own order, but never one against the other; and lines
arrive late and mixed. What relates them:

  futures   both carry T, the time of the match, in whole milliseconds. A trade comes before every update of a later
            millisecond and after every update of an earlier one. Within one millisecond nothing is said.
  spot      a trade has T, a bookTicker no time at all; its arrival, less the recording's smallest delay, is the latest
            it can have happened. In a rush one stream lags the other by up to 200 ms.

Inside those limits a trade is placed by its effect: right before the first bookTicker that shows the fall it caused,
the lots traded gone from the best price, or the best price gone with the lots it had, and the trades that follow from
there on. Of all ways to place the trades so, the one that explains most trades is taken (a chain of greatest weight).
A trade that no update shows comes as early as the limits allow. So an update used for a trade is always one of the
exchange's earlier ones; an update's own quantities are never looked at to find liquidity for the trade before it.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from seawall.prices.recordings import NS_PER_MS, SPOT, Print, Recording, Touch
from seawall.vocabulary.records import BUY, SELL

_BURST_NS: Final = 1 * NS_PER_MS
"""Trades of one aggressor carry the same millisecond, or the next."""
_LAG_NS: Final = 3 * NS_PER_MS
"""A spot update arrives at most so much later than the trade that it shows."""
_BEYOND_WEIGHT: Final = 0.2
"""Hidden lots are rarer than shown ones: of two explanations that without them is preferred."""
_LAG_WEIGHT: Final = 0.004
_LAG_WEIGHT_MAX: Final = 0.4
"""Per millisecond of lag (spot), and in all: two updates that show the same are told apart by nearness."""


class _Match(NamedTuple):
    """Trades `first` .. `first + trades - 1` are shown by touch number `touch`."""

    first: int
    trades: int
    touch: int
    beyond: int = 0
    """Of the trades, those at the old best price beyond the lots it had."""


class Placement(NamedTuple):
    """`before[i]`: the update (by its place in `updates`) that trade i stands right before.

    `shown[i]` is the id of the bookTicker that shows trade i's effect, 0 where none does. `clock[j]` is the exchange's
    time of update j in ns, the latest it can be where the exchange gives none.
    """

    before: list[int]
    shown: list[int]
    clock: list[int]

    @property
    def by_effect(self) -> int:
        """How many trades are placed by their effect."""
        return len(self.shown) - self.shown.count(0)


def place(recording: Recording) -> Placement:
    """The order of trades and updates, by the rules above."""
    prints, clock = recording.prints, _clock(recording)
    places = [number for number, update in enumerate(recording.updates) if isinstance(update, Touch)]
    touches = [update for update in recording.updates if isinstance(update, Touch)]
    times = [clock[number] for number in places]
    spot = recording.market == SPOT
    matches = list(_matches(prints, touches, times, recording.offset_ns if spot else None))
    before = [-1] * len(prints)
    for match in _chain(matches, prints, times, recording.offset_ns if spot else None):
        before[match.first : match.first + match.trades] = [places[match.touch]] * match.trades
    shown = [recording.updates[placed].last if placed >= 0 else 0 for placed in before]
    latest, limits = len(recording.updates), []
    for placed in reversed(before):
        latest = placed if placed >= 0 else latest
        limits.append(latest)
    earliest = 0
    for number, limit in enumerate(reversed(limits)):
        if before[number] < 0:
            before[number] = min(max(bisect_left(clock, prints[number].time_ns), earliest), limit)
        earliest = before[number]
    return Placement(before, shown, clock)


def _clock(recording: Recording) -> list[int]:
    """The exchange's time of every update, never falling: an update is no later than the ones behind it."""
    if recording.market != SPOT:
        times = [update.time_ns for update in recording.updates]
    else:
        times = [update.arrival_ns - recording.offset_ns for update in recording.updates]
    for number in range(len(times) - 2, -1, -1):
        times[number] = min(times[number], times[number + 1])
    return times


def _matches(prints: list[Print], touches: list[Touch], times: list[int], offset_ns: int | None) -> Iterator[_Match]:
    """Every way in which trades explain a fall of the best price or its lots, within the limits of time."""
    falls: dict[tuple[int, int], list[int]] = {}
    for number in range(1, len(touches)):
        old, new = touches[number - 1], touches[number]
        if (new.bid, new.bid_lots) < (old.bid, old.bid_lots):
            falls.setdefault((SELL, old.bid), []).append(number)
        if (-new.ask, new.ask_lots) < (-old.ask, old.ask_lots):
            falls.setdefault((BUY, old.ask), []).append(number)
    for first, traded in enumerate(prints):
        numbers = falls.get((traded.side, traded.price))
        if numbers is None:
            continue
        low = high = traded.time_ns
        if offset_ns is not None:
            low -= _BURST_NS
            high = max(high + 2 * _BURST_NS, traded.arrival_ns - offset_ns + _LAG_NS)
        start = bisect_left(numbers, low, key=times.__getitem__)
        end = bisect_right(numbers, high, key=times.__getitem__)
        for number in numbers[start:end]:
            yield from _explained(prints, first, touches[number - 1], touches[number], number)


def _explained(prints: list[Print], first: int, old: Touch, new: Touch, number: int) -> Iterator[_Match]:
    """The runs of trades from `first` on that explain the step from one touch to the next."""
    side, price = prints[first].side, prints[first].price
    had, price_after, left = (
        (old.ask_lots, new.ask, new.ask_lots) if side == BUY else (old.bid_lots, new.bid, new.bid_lots)
    )
    wanted = had - left if price_after == price else had
    traded, last = 0, first
    while traded < wanted and _same_burst(prints, first, last) and prints[last].price == price:
        traded += prints[last].lots
        last += 1
    if traded != wanted:
        return
    yield _Match(first, last - first, number)
    if price_after == price:
        return
    # The best price is gone: what walks on from there, not beyond the new best, may be of the same step.
    shown, beyond = last, 0
    while _same_burst(prints, first, last):
        walked = side * (prints[last].price - prints[last - 1].price)
        if walked < 0 or side * (prints[last].price - price_after) > 0:
            return
        last += 1
        beyond = last - shown if prints[last - 1].price == price else beyond
        yield _Match(first, last - first, number, beyond)


def _same_burst(prints: list[Print], first: int, last: int) -> bool:
    if last == len(prints) or prints[last].side != prints[first].side:
        return False
    return prints[last].time_ns - prints[first].time_ns <= _BURST_NS


def _chain(matches: list[_Match], prints: list[Print], times: list[int], offset_ns: int | None) -> list[_Match]:
    """The matches, each behind the one before in both orders, that explain most trades; near ones are preferred.

    Weighted longest increasing subsequence over a Fenwick tree of touches: O(n log n).
    """
    tree: list[tuple[float, int]] = [(0.0, -1)] * (len(times) + 2)

    def best_below(touch: int) -> tuple[float, int]:
        best, at = (0.0, -1), touch
        while at > 0:
            best = max(best, tree[at], key=lambda entry: entry[0])
            at -= at & -at
        return best

    def enter(touch: int, weight: float, match: int) -> None:
        at = touch + 1
        while at < len(tree):
            if weight > tree[at][0]:
                tree[at] = (weight, match)
            at += at & -at

    matches.sort(key=lambda match: (match.first, match.touch))
    before: list[int] = []
    open_until: list[tuple[int, int, float, int]] = []  # a match counts for those that begin where it ends
    for index, match in enumerate(matches):
        while open_until and open_until[0][0] <= match.first:
            _, done, weight, touch = heapq.heappop(open_until)
            enter(touch, weight, done)
        weight, previous = best_below(match.touch)
        lag = 0.0
        if offset_ns is not None:
            lag = abs(prints[match.first].arrival_ns - offset_ns - times[match.touch]) / NS_PER_MS
        weight += match.trades + 0.5 - min(_LAG_WEIGHT_MAX, lag * _LAG_WEIGHT) - _BEYOND_WEIGHT * match.beyond
        before.append(previous)
        heapq.heappush(open_until, (match.first + match.trades, index, weight, match.touch))
    for _, done, weight, touch in open_until:
        enter(touch, weight, done)
    chosen, at = [], best_below(len(times))[1]
    while at >= 0:
        chosen.append(matches[at])
        at = before[at]
    return chosen[::-1]
