"""A clock that moves only when it is told to."""

from seawall.vocabulary.errors import InputError


class SimulatedClock:
    """Nanoseconds since the epoch; called like the real clock, advanced by whoever runs the simulation."""

    def __init__(self, start_ns: int) -> None:
        self._now = start_ns

    def __call__(self) -> int:
        """The time now, in nanoseconds since the epoch."""
        return self._now

    def advance(self, nanoseconds: int) -> int:
        """Let time pass; returns the new time. Raises InputError for a step backwards."""
        if nanoseconds < 0:
            raise InputError("nanoseconds", nanoseconds, "must not be negative: time does not go back")
        self._now += nanoseconds
        return self._now
