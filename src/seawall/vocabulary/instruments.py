"""The specification of an instrument, as data.

Value of a position of p lots at a price of P ticks, in atoms of the settlement currency:

    LINEAR    p * P * multiplier
    INVERSE   floor(-p * multiplier / P)       (a contract of fixed dollar size, settled in coin)

Options trade at a premium with the LINEAR form and deliver by `delivery_form`, t = max(0, type*(D - strike)):

    LINEAR    p * t * delivery_multiplier
    INVERSE   floor(p * t * delivery_multiplier / D)
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError


class Product(IntEnum):
    """Kinds of contract."""

    PERPETUAL = 1
    FUTURE = 2
    OPTION = 3


class Form(IntEnum):
    """How a price becomes money."""

    LINEAR = 1
    INVERSE = 2


INSTRUMENT: Final = np.dtype(
    [("name", "S32")]
    + [
        (name, "<i8")
        for name in (
            "product",
            "form",
            "currency",
            "block",
            "multiplier",
            "price_min",
            "price_max",
            "quantity_max",
            "expiry",
            "strike",
            "option_type",
            "delivery_form",
            "delivery_multiplier",
            "fee_class",
        )
    ]
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract's specification; `check` states every rule.

    `multiplier` is atoms per lot and tick (LINEAR) or the numerator K, atoms times ticks per lot (INVERSE).
    `price_min`, `price_max` are the hard band in ticks, `quantity_max` the largest order in lots, `expiry` nanoseconds
    since the epoch (0: never), `strike` ticks of the delivery price, `option_type` +1 call, -1 put, 0 neither.
    """

    name: str
    product: Product
    form: Form
    currency: int
    block: int
    multiplier: int
    price_min: int
    price_max: int
    quantity_max: int
    expiry: int = 0
    strike: int = 0
    option_type: int = 0
    delivery_form: Form = Form.LINEAR
    delivery_multiplier: int = 0

    @property
    def fee_class(self) -> int:
        """Row of the fee tier that applies: options have their own."""
        return 1 if self.product == Product.OPTION else 0

    def encode(self) -> bytes:
        """The record that travels as attachment of an INSTRUMENT command."""
        record = np.zeros(1, INSTRUMENT)
        for name in INSTRUMENT.names or ():
            value = getattr(self, name)
            record[name] = value.encode() if name == "name" else value
        return record.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Instrument":
        """Inverse of `encode`. Raises InputError for a wrong length or a broken rule."""
        if len(data) != INSTRUMENT.itemsize:
            raise InputError("attachment", len(data), f"must be one instrument record of {INSTRUMENT.itemsize} bytes")
        record: Any = np.frombuffer(data, INSTRUMENT)[0]
        numbers = {name: int(record[name]) for name in INSTRUMENT.names or () if name not in ("name", "fee_class")}
        for name, kinds in (("product", Product), ("form", Form), ("delivery_form", Form)):
            if numbers[name] not in set(kinds):
                raise InputError(name, numbers[name], f"must be one of {[int(kind) for kind in kinds]}")
            numbers[name] = kinds(numbers[name])
        try:
            text = bytes(record["name"]).decode("ascii")
        except UnicodeDecodeError:
            raise InputError("name", bytes(record["name"]), "must be ASCII") from None
        spec = cls(name=text, **numbers)  # type: ignore[arg-type]
        spec.check()
        return spec

    def check(self) -> None:
        """Raise InputError, with field, value and rule, for the first rule broken."""
        for field, value, low, high in (
            ("currency", self.currency, 0, bounds.CURRENCIES_MAX - 1),
            ("block", self.block, 0, bounds.BLOCKS_MAX - 1),
            ("multiplier", self.multiplier, 1, bounds.POSITION_VALUE_MAX),
            ("price_min", self.price_min, 1, bounds.PRICE_MAX),
            ("price_max", self.price_max, self.price_min, bounds.PRICE_MAX),
            ("quantity_max", self.quantity_max, 1, bounds.QUANTITY_MAX),
            ("expiry", self.expiry, 0, 2**62),
            ("strike", self.strike, 0, bounds.PRICE_MAX),
            ("delivery_multiplier", self.delivery_multiplier, 0, bounds.POSITION_VALUE_MAX),
        ):
            if not low <= value <= high:
                raise InputError(field, value, f"must lie in [{low}, {high}]")
        option = self.product == Product.OPTION
        if not self.name or len(self.name) > 32 or not self.name.isascii():
            raise InputError("name", self.name, "must be 1 to 32 ASCII characters")
        if option != (self.option_type in (-1, 1)):
            raise InputError("option_type", self.option_type, "must be +1 or -1 for options and 0 otherwise")
        if option and (self.form != Form.LINEAR or self.delivery_multiplier < 1 or self.strike < 1):
            raise InputError("form", int(self.form), "options need LINEAR premiums, a strike and a delivery multiplier")
        if (self.product == Product.PERPETUAL) != (self.expiry == 0):
            raise InputError("expiry", self.expiry, "must be 0 for perpetuals and positive otherwise")
        if self.largest_position < self.quantity_max:
            raise InputError(
                "quantity_max", self.quantity_max, f"must be at most {self.largest_position}, the bound of value"
            )

    @property
    def largest_position(self) -> int:
        """Lots whose value stays in bounds at every allowed price."""
        if self.form == Form.INVERSE:
            by_value = bounds.POSITION_VALUE_MAX * self.price_min // self.multiplier
            return min(by_value, bounds.INVERSE_NUMERATOR_MAX // self.multiplier)
        by_premium = bounds.POSITION_VALUE_MAX // (self.multiplier * self.price_max)
        if self.product != Product.OPTION:
            return by_premium
        per_lot = self.delivery_multiplier * (self.strike if self.delivery_form == Form.LINEAR else 1)
        return min(by_premium, bounds.POSITION_VALUE_MAX // per_lot)

    def funding_amount(self, mark: int, rate: float) -> int:
        """Of a FUNDING command: atoms times 2^FUNDING_SHIFT that are `rate` of the value of a lot at `mark` ticks."""
        atoms = self.multiplier / mark if self.form == Form.INVERSE else self.multiplier * mark
        return round(atoms * rate * 2**bounds.FUNDING_SHIFT)

    @property
    def largest_funding(self) -> int:
        """What one FUNDING command may say either way: within its own bound, and that of what a position is paid."""
        return min(bounds.FUNDING_RATE_MAX, 2**62 // self.largest_position)

    def deliverable(self, price: int) -> bool:
        """Whether a delivery price keeps every payoff in bounds: in the band, or within 2^10 of the strike."""
        if self.product == Product.OPTION:
            highest = min(bounds.PRICE_MAX, self.strike * bounds.DELIVERY_RATIO_MAX)
            return 1 <= price <= highest and self.strike <= price * bounds.DELIVERY_RATIO_MAX
        return self.price_min <= price <= self.price_max
