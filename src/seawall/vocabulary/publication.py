"""A publication: marks, risk arrays, haircuts and charges, taken by the engine as one atomic version.

A margin model (room `risk`) computes it with floats and rounds against the account; the engine knows integers only.

Instruments, for each lot, in value atoms (1e-6 USD):
    u[s]    change of value in scenario s against the mark; u[0] = 0 is the null scenario. A long of p lots counts
            p*u[s]; a short counts p*(u[s] + inexact) for s > 0. So `u` is a floor, and `inexact` = 1 says that its
            ceiling is one more; 0 that it is exact.
    weight  exposure of one lot: for the charge on the single position, and the notional of the limits C02, C11, C21
    delta, vega  exposure of one lot for the charges on the block's net and gross exposures

Currencies: value atoms per atom times 2^20, `rate_gain` for what is owned and `rate_loss` >= `rate_gain` for what is
owed; the haircut is the difference.

Gain caps: of an instrument's session gain (realised or not, since the last SETTLE) only `gain_cap` atoms count, shared
by the n accounts of a beneficial owner (rules 4: cap // n each), and of what it gains in a scenario none.

Charges: T(x) = max(0, max_j(intercept_j + ceil(rate_j * x / 2^14))), intercept_j <= 0: convex, zero at zero, never
negative, by its form. One of an owner's n accounts is asked T(n x) / n (rules 4), so each is published for the whole of
what an owner holds. A model that works with knots converts them with `charge_from_knots`, which refuses knots that
are not convex.

Rows: the initial row uses every scenario of a block and the initial charges; the maintenance row the first
`maintenance_scenarios` and the maintenance charges. A block's publication must name every live instrument of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError

Int64Array = npt.NDArray[np.int64]

MAGIC: Final = 0x5EA_0001
NO_CHARGE: Final = -1
ROWS: Final = 2
INITIAL: Final = 0
MAINTENANCE: Final = 1
EXPOSURES: Final = 4
NET_DELTA, GROSS_DELTA, NET_VEGA, GROSS_VEGA = range(EXPOSURES)


@dataclass(frozen=True, slots=True)
class CurrencyRate:
    """Value of one atom, times 2^20: owned (`rate_gain`) and owed (`rate_loss`)."""

    currency: int
    rate_gain: int
    rate_loss: int


@dataclass(frozen=True, slots=True)
class Charge:
    """Lines (rate_j, intercept_j) of one convex charge."""

    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BlockRisk:
    """One block: scenarios (null included), how many of the first are maintenance's, charges by exposure and row.

    `charges[exposure][row]` is an index into the publication's charges, or NO_CHARGE.
    """

    block: int
    scenarios: int
    maintenance_scenarios: int
    charges: tuple[tuple[int, int], ...] = ((NO_CHARGE, NO_CHARGE),) * EXPOSURES


@dataclass(frozen=True, slots=True)
class InstrumentRisk:
    """One instrument's mark and risk; `u` has the block's number of scenarios, `charges` is (initial, maintenance)."""

    instrument: int
    mark: int
    u: tuple[int, ...]
    inexact: int = 0
    weight: int = 0
    delta: int = 0
    vega: int = 0
    gain_cap: int = bounds.NO_CAP
    charges: tuple[int, int] = (NO_CHARGE, NO_CHARGE)


@dataclass(frozen=True, slots=True)
class Publication:
    """One atomic version of all that a margin model says."""

    currencies: tuple[CurrencyRate, ...]
    blocks: tuple[BlockRisk, ...]
    instruments: tuple[InstrumentRisk, ...]
    charges: tuple[Charge, ...] = ()

    def encode(self) -> bytes:
        """The attachment of a PUBLISH command: little-endian int64."""
        words: list[int] = [MAGIC, len(self.currencies), len(self.blocks), len(self.charges), len(self.instruments)]
        for currency in self.currencies:
            words += [currency.currency, currency.rate_gain, currency.rate_loss]
        for block in self.blocks:
            words += [block.block, block.scenarios, block.maintenance_scenarios]
            words += [index for pair in block.charges for index in pair]
        for charge in self.charges:
            words += [len(charge.lines), *(number for line in charge.lines for number in line)]
        for risk in self.instruments:
            words += [risk.instrument, risk.mark, risk.inexact, risk.weight, risk.delta, risk.vega, risk.gain_cap]
            words += [*risk.charges, len(risk.u), *risk.u]
        return np.array(words, "<i8").tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Publication":
        """Inverse of `encode`; checks form and bounds. Raises InputError naming what is wrong."""
        reader = _Words(data)
        if reader.take() != MAGIC:
            raise InputError("attachment", data[:8], "must start with the magic of a publication")
        counts = [reader.take() for _ in range(4)]
        currencies = tuple(CurrencyRate(*reader.many(3)) for _ in range(reader.count(counts[0])))
        blocks = tuple(_block(reader) for _ in range(reader.count(counts[1])))
        charges = tuple(_charge(reader) for _ in range(reader.count(counts[2])))
        instruments = tuple(_instrument(reader) for _ in range(reader.count(counts[3])))
        reader.end()
        publication = cls(currencies, blocks, instruments, charges)
        publication.check()
        return publication

    def check(self) -> None:
        """Raise InputError for the first rule broken that needs no engine state to see."""
        for currency in self.currencies:
            _between("currency", currency.currency, 0, bounds.CURRENCIES_MAX - 1)
            _between("rate_loss", currency.rate_loss, 1, bounds.RATE_MAX)
            _between("rate_gain", currency.rate_gain, 0, currency.rate_loss)
        scenarios = {}
        for block in self.blocks:
            _between("block", block.block, 0, bounds.BLOCKS_MAX - 1)
            _between("scenarios", block.scenarios, 1, bounds.SCENARIOS_MAX)
            _between("maintenance_scenarios", block.maintenance_scenarios, 1, block.scenarios)
            scenarios[block.block] = block.scenarios
            for pair in block.charges:
                for index in pair:
                    _between("charge", index, NO_CHARGE, len(self.charges) - 1)
        for charge in self.charges:
            _between("charge lines", len(charge.lines), 1, bounds.CHARGE_LINES_MAX)
            for rate, intercept in charge.lines:
                _between("charge rate", rate, -bounds.CHARGE_RATE_MAX, bounds.CHARGE_RATE_MAX)
                _between("charge intercept", intercept, -bounds.CHARGE_INTERCEPT_MAX, 0)
        for risk in self.instruments:
            self._check_instrument(risk)
        for name, ids in (
            ("currency", [item.currency for item in self.currencies]),
            ("block", [item.block for item in self.blocks]),
            ("instrument", [item.instrument for item in self.instruments]),
        ):
            if len(set(ids)) != len(ids):
                raise InputError(name, ids, "must not appear twice in one publication")

    def _check_instrument(self, risk: InstrumentRisk) -> None:
        _between("instrument", risk.instrument, 0, bounds.INSTRUMENTS_MAX - 1)
        _between("mark", risk.mark, 1, bounds.PRICE_MAX)
        _between("inexact", risk.inexact, 0, 1)
        _between("gain_cap", risk.gain_cap, 0, bounds.NO_CAP)
        _between("weight", risk.weight, 0, bounds.EXPOSURE_MAX)
        for field in ("delta", "vega"):
            _between(field, getattr(risk, field), -bounds.EXPOSURE_MAX, bounds.EXPOSURE_MAX)
        for index in risk.charges:
            _between("charge", index, NO_CHARGE, len(self.charges) - 1)
        _between("scenarios of the risk array", len(risk.u), 1, bounds.SCENARIOS_MAX)
        _between("u[0]", risk.u[0], 0, 0)
        for number in (min(risk.u), max(risk.u)):
            _between("u", number, -bounds.EXPOSURE_MAX + 1, bounds.EXPOSURE_MAX - 1)


def largest_open_position(risk: InstrumentRisk, rate_loss: int, value_per_lot: int, limit: int, live: int = 1) -> int:
    """Lots, open quantity included, within every product bound: `limit` from the specification, exposures, conversion.

    `value_per_lot` is the dearest value of one lot in atoms, converted at `rate_loss`; `live` instruments share the
    bound of the sum.
    """
    most = min(bounds.EXPOSURE_MAX, bounds.TOTAL_EXPOSURE_MAX // live)
    largest = max(1, risk.weight, abs(risk.delta), abs(risk.vega), max(risk.u) + 1, 1 - min(risk.u))
    by_conversion = (most << bounds.RATE_SHIFT) // max(1, value_per_lot * rate_loss)
    return min(limit, most // largest, by_conversion)


def charge_from_knots(knots: Sequence[tuple[int, int]], slopes: Sequence[int]) -> Charge:
    """Lines of the piecewise-linear function through `knots` (x, y) with `slopes` left of, between and right of them.

    Slopes are millionths-like rates over 2^14, one more than knots. Raises InputError where they decrease (not convex).
    Each line's intercept is rounded up, so the charge is never below the published one.
    """
    if len(slopes) != len(knots) + 1:
        raise InputError("slopes", len(slopes), "must be one more than the knots")
    if any(right < left for left, right in pairwise(slopes)):
        raise InputError("slopes", list(slopes), "must not decrease: the charge would not be convex")
    lines = []
    for position, slope in enumerate(slopes):
        x, y = knots[max(0, position - 1)]
        intercept = y - (slope * x >> bounds.CHARGE_SHIFT)
        if intercept > 0:
            raise InputError("knots", list(knots), "must give a charge of zero at zero exposure")
        lines.append((slope, intercept))
    return Charge(tuple(lines))


class _Words:
    """Reads int64 words one after another, refusing to run past the end."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 8:
            raise InputError("attachment", len(data), "must be a whole number of 8-byte words")
        self._words: list[int] = np.frombuffer(data, "<i8").tolist()
        self._at = 0

    def take(self) -> int:
        return self.many(1)[0]

    def many(self, count: int) -> list[int]:
        if not 0 <= count <= len(self._words) - self._at:
            raise InputError("attachment", len(self._words), f"ends before {count} more words at word {self._at}")
        self._at += count
        return self._words[self._at - count : self._at]

    def count(self, count: int) -> int:
        """A number of items still to come, which cannot exceed the words left."""
        _between("count", count, 0, len(self._words) - self._at)
        return count

    def end(self) -> None:
        if self._at != len(self._words):
            raise InputError("attachment", len(self._words), f"must end after word {self._at}")


def _block(reader: _Words) -> BlockRisk:
    block, scenarios, maintenance = reader.many(3)
    words = reader.many(EXPOSURES * ROWS)
    return BlockRisk(
        block, scenarios, maintenance, tuple((words[i], words[i + 1]) for i in range(0, EXPOSURES * ROWS, ROWS))
    )


def _charge(reader: _Words) -> Charge:
    lines = reader.take()
    words = reader.many(2 * reader.count(lines))
    return Charge(tuple((words[i], words[i + 1]) for i in range(0, 2 * lines, 2)))


def _instrument(reader: _Words) -> InstrumentRisk:
    instrument, mark, inexact, weight, delta, vega, cap, initial, maintenance, length = reader.many(10)
    u = tuple(reader.many(length))
    return InstrumentRisk(instrument, mark, u, inexact, weight, delta, vega, cap, (initial, maintenance))


def _between(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(field, value, f"must lie in [{low}, {high}]")
