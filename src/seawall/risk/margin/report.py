"""What every margin model answers: requirement, scenarios, the one that decides, contributions, distance to the limit.

Blocks are margined by themselves and their requirements add: one for each underlying and settlement currency, or as
the venue says. Contributions add up to the requirement: a position's is its loss, as counted, in the scenario that
decides; the rest are add-ons by name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

_DOUBT: Final = 1e-12
"""Relative: what summing in doubles may have lost."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One row of a block's table: profit and loss of its positions, and what of it counts (weight, dampening)."""

    name: str
    pnl: float
    counted: float


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a position or an add-on brings to the requirement; `detail` says from what to what it was revalued."""

    block: str
    kind: str
    name: str
    initial: float
    maintenance: float
    detail: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """One block's requirement in its currency. `deciding` is None where no scenario decides (standard margin)."""

    name: str
    currency: str
    initial: float
    maintenance: float
    scenarios: Sequence[ScenarioResult] = ()
    deciding: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MarginReport:
    """The answer. Amounts in `currency`; `figures` are the venue's own numbers under its own names."""

    model: str
    effective: date
    source: str
    currency: str
    equity: float
    initial: float
    maintenance: float
    blocks: Sequence[Block]
    contributions: Sequence[Contribution]
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def above(self) -> bool:
        """Whether equity covers the initial requirement."""
        return self.equity >= self.initial

    def document(self) -> dict[str, Any]:
        """As JSON may hold it. `ratio` is equity over requirement, None where nothing is required."""
        requirement = {"initial": self.initial, "maintenance": self.maintenance}
        return {
            "ok": self.above,
            "model": self.model,
            "effective": self.effective.isoformat(),
            "source": self.source,
            "currency": self.currency,
            "equity": self.equity,
            "requirement": requirement,
            "excess": {row: self.equity - asked for row, asked in requirement.items()},
            "ratio": {row: self.equity / asked if asked > 0 else None for row, asked in requirement.items()},
            "deciding": {block.name: block.deciding for block in self.blocks},
            "contributions": [asdict(item) for item in self.contributions],
            "blocks": [asdict(block) for block in self.blocks],
            "figures": dict(self.figures),
            "notes": list(self.notes),
        }


def truncated(value: float) -> int:
    """Towards zero, as a chain cuts to units; what a double holds as 824.9999999999998 is 825 in its 18 decimals."""
    nearest = round(value)
    return nearest if abs(value - nearest) <= _DOUBT * max(1.0, abs(value)) else math.trunc(value)


def rounded(value: float, digits: int) -> float:
    """To the nearest decimal of `digits` places of what the double prints as, ties to even."""
    return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN))
