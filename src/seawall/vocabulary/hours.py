"""The hours of a venue's clock: funding at whole ones, settlement and expiry at 08:00 UTC. Times are nanoseconds."""

from typing import Final

HOUR_NS: Final = 3600 * 10**9
DAY_NS: Final = 24 * HOUR_NS
EXPIRY_HOUR: Final = 8
"""UTC; a venue's day lasts from this hour to the next one of the kind."""


def venue_day(now_ns: int) -> int:
    """Days since the epoch, from one 08:00 UTC to the next."""
    return (now_ns - EXPIRY_HOUR * HOUR_NS) // DAY_NS


def day_end(now_ns: int) -> int:
    """The next 08:00 UTC."""
    return (venue_day(now_ns) + 1) * DAY_NS + EXPIRY_HOUR * HOUR_NS
