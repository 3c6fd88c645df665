"""What every channel has.

A channel is one stream of messages, shared by all who read it: it gathers what it hears, and when it is due gives the
data of its next messages, each encoded once. What a new reader is told first continues in what all are told next: the
hub has the channel say what it gathered before a reader joins.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from seawall.api.access import Identity
from seawall.api.listing import Listing
from seawall.api.session import Session
from seawall.api.view import View

RAW, FAST, SLOW = "raw", "100ms", "agg2"
INTERVALS: Final = (RAW, FAST, SLOW)

Topic = tuple[Any, ...]
"""What a channel listens to: ("book", instrument), ("orders", account) and the like; see the hub."""

Push = Callable[[Any], None]
"""Sends one message's data."""


class Channel:
    """One stream. Subclasses say what they listen to and what they tell."""

    scope: ClassVar[str] = ""
    """The right that its readers need, empty for public ones."""

    def __init__(self, hub: Any, interval: str = RAW) -> None:
        self.hub, self.interval = hub, interval
        self.view: View = hub.view
        self.readers: dict[str, dict[Session, Identity | None]] = {}
        """Sessions by the spelling they subscribed with."""
        self.dirty = False
        self.sent_at = 0.0

    @property
    def count(self) -> int:
        """How many read it."""
        return sum(len(sessions) for sessions in self.readers.values())

    def topics(self) -> list[Topic]:
        """What it listens to."""
        return []

    def hear(self, what: Any) -> None:
        """Something happened on a topic."""
        self.hub.touch(self)

    def due(self) -> list[Any]:
        """Data of the messages that are to be sent now; what was gathered is forgotten."""
        return []

    def first(self, push: Push) -> None:
        """Tell a new reader what it is told at once, if anything."""


class OfListing(Channel):
    """A channel about one instrument."""

    def __init__(self, hub: Any, listing: Listing, interval: str = RAW) -> None:
        super().__init__(hub, interval)
        self.listing = listing


class Changing(OfListing):
    """Tells the whole of something at once and whenever it changed, `timestamp` apart."""

    def __init__(self, hub: Any, listing: Listing, interval: str = RAW) -> None:
        super().__init__(hub, listing, interval)
        self._told: dict[str, Any] = {}

    def now(self) -> dict[str, Any]:
        """What there is to tell."""
        raise NotImplementedError

    def due(self) -> list[Any]:
        """The whole, if it changed."""
        made = self.now()
        same = {name: value for name, value in made.items() if name != "timestamp"}
        if same == self._told:
            return []
        self._told = same
        return [made]

    def first(self, push: Push) -> None:
        """The whole."""
        made = self.now()
        self._told = {name: value for name, value in made.items() if name != "timestamp"}
        push(made)


class Selection:
    """What a channel chooses by: one instrument, or a kind and a settlement currency, "any" for all."""

    def __init__(self, listing: Listing | None, kind: str = "any", currency: str = "any") -> None:
        self.listing, self.kind, self.currency = listing, kind, currency

    def takes(self, listing: Listing) -> bool:
        """Whether it is about an instrument."""
        if self.listing is not None:
            return listing is self.listing
        return self.kind in ("any", listing.kind) and self.currency in ("any", listing.settlement)

    def topic(self, what: str) -> Topic:
        """The topic to listen to."""
        return (what, self.listing.number) if self.listing is not None else (what, "any")


class Gathering(Channel):
    """Tells all that it heard of what it chooses by."""

    def __init__(self, hub: Any, chosen: Selection, interval: str) -> None:
        super().__init__(hub, interval)
        self.chosen = chosen
        self._gathered: list[Any] = []

    def hear(self, what: Any) -> None:
        """A trade, or a state of an order."""
        if self.chosen.takes(self.view.listings[what.instrument]):
            self._gathered.append(what)
            self.hub.touch(self)

    def gathered(self) -> list[Any]:
        """What it heard since it was asked before."""
        found, self._gathered = self._gathered, []
        return found
