"""States: of instruments and of the platform."""

from typing import Any

from seawall.api.channels.channel import Channel, Selection, Topic
from seawall.api.tickers import described, state_word
from seawall.vocabulary.records import Scope, VenueState

_WORDS = {"open": ("started",), "halted": ("closed",), "delivered": ("settled", "terminated")}
"""The words that clients know, by ours; see section 12 of the dialect."""


class InstrumentStates(Channel):
    """`instrument.state.{kind}.{currency}`."""

    def __init__(self, hub: Any, chosen: Selection) -> None:
        super().__init__(hub)
        self._chosen = chosen
        self._known = self._states()

    def topics(self) -> list[Topic]:
        """States, listings, deliveries."""
        return [("state",)]

    def _states(self) -> dict[int, str]:
        return {
            number: state_word(self.view, listing)
            for number, listing in self.view.listings.items()
            if self._chosen.takes(listing)
        }

    def due(self) -> list[Any]:
        """One message for each change."""
        before, self._known = self._known, self._states()
        found = []
        for number, state in self._known.items():
            if before.get(number) == state:
                continue
            words = _WORDS[state] if number in before else ("created", *_WORDS[state])
            name = self.view.listings[number].name
            found += [{"instrument_name": name, "state": word, "timestamp": self.view.now_ms} for word in words]
        return found


class Creations(Channel):
    """`instrument.creation.{kind}.{currency}`: what is listed anew."""

    def __init__(self, hub: Any, chosen: Selection) -> None:
        super().__init__(hub)
        self._chosen = chosen
        self._known = set(self.view.listings)

    def topics(self) -> list[Topic]:
        """Listings, among other things."""
        return [("state",)]

    def due(self) -> list[Any]:
        """The new ones."""
        fresh = [listing for number, listing in self.view.listings.items() if number not in self._known]
        self._known |= {listing.number for listing in fresh}
        return [described(self.view, listing) for listing in fresh if self._chosen.takes(listing)]


class Platform(Channel):
    """`platform_state`: which indexes are locked."""

    def __init__(self, hub: Any) -> None:
        super().__init__(hub)
        self._known = self._locks()

    def topics(self) -> list[Topic]:
        """States."""
        return [("state",)]

    def _locks(self) -> dict[str, bool]:
        view = self.view
        locks = dict.fromkeys(view.index_prices, view.venue == VenueState.HALTED)
        halted = {number for (scope, number), state in view.states.items() if scope == Scope.UNDERLYING and state == 2}
        for listing in view.listings.values() if halted else ():
            if view.underlyings.get(listing.spec.block, listing.spec.block) in halted:
                locks[listing.index] = True
        return locks

    def due(self) -> list[Any]:
        """One message for each change."""
        before, self._known = self._known, self._locks()
        return [
            {"price_index": index, "locked": locked}
            for index, locked in self._known.items()
            if before.get(index, False) != locked
        ]


class Silent(Channel):
    """A channel on which nothing is ever told: the venue does not change what it is about."""
