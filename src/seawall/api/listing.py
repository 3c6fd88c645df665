"""Units of the dialect: what a tick and a lot are to people, exactly, from the notes that the journal carries.

The engine counts ticks and lots. A listing's note, journalled beside its INSTRUMENT command as the attachment of a TIME
command, says what they are: `tick` and `lot` as fractions (numerator, denominator) in the units of the dialect.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.numbers import positive

NEVER_MS: Final = 32_503_708_800_000
"""What the dialect calls the expiration of a perpetual."""

_SLACK: Final = 1e-6
"""Of a step: how far a decimal written by a client may be from a whole number of steps."""


@dataclass(slots=True)
class Listing:
    """One instrument: the engine's specification and its units in the dialect's prices and amounts."""

    number: int
    spec: Instrument
    kind: str
    type: str
    base: str
    counter: str
    quote: str
    settlement: str
    index: str
    period: str
    tick: tuple[int, int]
    lot: tuple[int, int]
    contract_size: float
    delivery_tick: tuple[int, int]
    created_ms: int
    expired: bool = False
    delivery_price: float = 0.0

    @classmethod
    def of(cls, spec: Instrument, note: dict[str, Any]) -> "Listing":
        """From the specification and the note. Raises InputError for a note that lacks a member, or has a bad one."""
        try:
            units = {name: _fraction(name, note[name]) for name in ("tick", "lot", "delivery_tick")}
            words = {name: str(note[name]) for name in ("kind", "type", "base", "counter", "quote", "settlement")}
            words |= {name: str(note[name]) for name in ("index", "period")}
            return cls(
                number=int(note["instrument"]),
                spec=spec,
                contract_size=positive("contract_size", float(note["contract_size"])),
                created_ms=int(note["created_ms"]),
                **units,  # type: ignore[arg-type]
                **words,  # type: ignore[arg-type]
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError("note", note, f"must describe a listing: {error!r}") from error

    @property
    def name(self) -> str:
        """Its name in the dialect."""
        return self.spec.name

    @property
    def option(self) -> bool:
        """Whether it is an option."""
        return self.spec.product == Product.OPTION

    @property
    def perpetual(self) -> bool:
        """Whether it never expires."""
        return self.spec.product == Product.PERPETUAL

    @property
    def inverse(self) -> bool:
        """Whether its size is in dollars and its money in coin (an inverse future or perpetual)."""
        return self.spec.form == Form.INVERSE

    @property
    def expiration_ms(self) -> int:
        """When it expires, in milliseconds."""
        return self.spec.expiry // 1_000_000 if self.spec.expiry else NEVER_MS

    def price(self, ticks: int) -> float:
        """A price in ticks as the decimal people read, the double nearest to it."""
        return ticks * self.tick[0] / self.tick[1]

    def amount(self, lots: int) -> float:
        """A quantity in lots as an amount."""
        return lots * self.lot[0] / self.lot[1]

    def contracts(self, lots: int) -> float:
        """A quantity in lots as contracts: 0.0003 coins of 0.0001 each are 3 of them, not 2.9999999999999996."""
        return round(self.amount(lots) / self.contract_size, 8)

    def ticks(self, price: float) -> int | None:
        """The whole ticks that a price is; None if it lies between two, or is no finite number."""
        return _steps(price, self.tick)

    def lots(self, amount: float) -> int | None:
        """The whole lots that an amount is; None if it lies between two, or is no finite number."""
        return _steps(amount, self.lot)

    def strike(self) -> float:
        """Of an option, in dollars."""
        return self.spec.strike * self.delivery_tick[0] / self.delivery_tick[1]

    def expiry_code(self) -> str:
        """The date as in the names, e.g. 4DEC26."""
        return expiry_code(self.spec.expiry)


def expiry_code(nanoseconds: int) -> str:
    """A date as in the dialect's names: day without leading zero, month in capitals, two digits of the year."""
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{moment.day}{moment:%b%y}".upper()


def _fraction(name: str, parts: Any) -> tuple[int, int]:
    if not isinstance(parts, list | tuple) or any(type(part) not in (int, str) for part in parts):
        raise InputError(name, parts, "must be two whole numbers, a numerator and a denominator")
    above, below = (int(part) for part in parts)
    if above <= 0 or below <= 0:
        raise InputError(name, parts, "must be positive")
    return above, below


def _steps(value: float, step: tuple[int, int]) -> int | None:
    exact = value * step[1] / step[0]
    if not math.isfinite(exact) or abs(exact) > 2**62:
        return None
    whole = round(exact)
    return whole if abs(exact - whole) <= max(_SLACK, abs(exact) * 1e-15) else None
