"""Orders and edits on their way, and what the venue says meanwhile of orders that may turn out to be theirs.

A word about an unknown order waits until each order that was on its way when it came, of the same account, instrument
and side, is known to be another or nothing. A word about an order under edit waits for those edits. Orders are
numbered as they leave, so what waits for the first n is let go when the oldest still on its way is beyond n.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall.api.desk.sent import Sent

Hear = Callable[[], None]
Key = tuple[str, int, str]


def key_of(account: str, side: int, instrument: str) -> Key:
    """What an order at the venue and one on its way have in common."""
    return account, side, instrument


def edits_of(id_: str) -> Key:
    """The same of an order and its edits."""
    return id_, 0, ""


class Flight:
    """Iterates over all that is on its way, oldest first."""

    def __init__(self) -> None:
        self._all: dict[Sent, Key] = {}
        self._by: dict[Key, dict[Sent, int]] = {}
        self._held: dict[str, tuple[list[Hear], Key, int]] = {}
        self._queues: dict[Key, deque[str]] = {}
        self._count = 0

    def __iter__(self) -> "Iterator[Sent]":
        return iter(self._all)

    def __contains__(self, sent: object) -> bool:
        return sent in self._all

    def add(self, sent: "Sent") -> None:
        """It leaves."""
        self._count += 1
        key = self._all[sent] = _key(sent)
        self._by.setdefault(key, {})[sent] = self._count

    def discard(self, sent: "Sent") -> None:
        """It is known what became of it; what waited for that is heard by `release`."""
        key = self._all.pop(sent, None)
        if key is not None:
            flying = self._by[key]
            del flying[sent]
            if not flying:
                del self._by[key]

    def release(self, sent: "Sent") -> None:
        """Hear what waits no longer, after what became of one is known."""
        key = _key(sent)
        queue = self._queues.get(key)
        while queue:
            held = self._held.get(queue[0])
            if held is None or held[1] != key:
                queue.popleft()  # it was taken
                continue
            if next(iter(self._by.get(key, {}).values()), held[2] + 1) <= held[2]:
                return
            del self._held[queue.popleft()]
            for hear in held[0]:
                hear()
        if queue is not None and self._queues.get(key) is queue:
            del self._queues[key]

    def hold(self, id_: str, key: Key, hear: Hear) -> bool:
        """Keep a word about an order while something on its way may concern it; whether it is kept."""
        held = self._held.get(id_)
        if held is not None:
            held[0].append(hear)
        elif key in self._by:
            self._held[id_] = ([hear], key, self._count)
            self._queues.setdefault(key, deque()).append(id_)
        return id_ in self._held

    def take(self, id_: str) -> list[Hear]:
        """What was said of an order, which is known now."""
        held = self._held.pop(id_, None)
        return held[0] if held is not None else []

    def only(self, sent: "Sent") -> bool:
        """Whether no other edit of the same order is on its way."""
        return not any(other is not sent for other in self._by.get(_key(sent), ()))

    def edits(self, id_: str) -> bool:
        """Whether an order is under edit, so that the engine may be ahead of the venue."""
        return edits_of(id_) in self._by


def _key(sent: "Sent") -> Key:
    live = sent.edits[0] if sent.edits is not None else None
    return edits_of(live.first) if live is not None else key_of(sent.at, sent.side, sent.listing.name)
