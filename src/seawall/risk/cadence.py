"""When prices are published, when they are doubted and when they are late: the numbers of it, in one place.

A block's marks and risk are published when its index or a forward moved by `move` since the last publication, or a
volatility by `volatility_move`, as fractions, but not within `least_s`; and in any case after `timer_s`. What a report
says is doubted where it lies further than `jump` (a volatility: `volatility_jump`) from the last one that was believed,
as a fraction of it, until a report at least `confirm_s` later says the same; what it is measured against moves at most
once in `confirm_s`, so that small steps in a hurry are a jump, too. Prices are late after `late_s`: from then on the
gate lets through what reduces, and nothing else (C17).
"""

from dataclasses import dataclass
from typing import Final

from seawall.vocabulary.errors import ConfigurationError

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Cadence:
    """Fractions and seconds. Raises ConfigurationError for one out of range."""

    move: float = 0.0005
    volatility_move: float = 0.05
    least_s: float = 1.0
    timer_s: float = 5.0
    jump: float = 0.05
    volatility_jump: float = 0.5
    confirm_s: float = 1.0
    late_s: float = 60.0

    def __post_init__(self) -> None:
        ranges = {
            "timer_s": (0.0, _DAY_S),
            "least_s": (0.0, self.timer_s),
            "move": (0.0, 1.0),
            "volatility_move": (0.0, 10.0),
            "jump": (0.0, 1.0),
            "volatility_jump": (0.0, 10.0),
            "late_s": (self.timer_s, _DAY_S),
            "confirm_s": (0.0, self.late_s),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigurationError(name, getattr(self, name), f"must lie in [{low}, {high}]")

    def due_ns(self, moved: bool) -> int:
        """Nanoseconds after a publication from which the next one is due."""
        return round((self.least_s if moved else self.timer_s) * 1e9)
