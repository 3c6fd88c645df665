"""Price histories from CSV files, read so that a bad row cannot become a market move.

A file has a header; its first column is the time (an ISO day or second, UTC), the others are named. Rows without a
price are skipped, and returns are taken only between rows that are exactly as far apart as asked, so a gap gives no
return at all. (The ETH history at hand lacks twelve days: pairing its rows with BTC's by count, not by day, halves the
correlation.)
"""

import csv
import gzip
import hashlib
import io
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from seawall.vocabulary.errors import InputError
from seawall.vocabulary.numbers import number, positive

Float64Array = npt.NDArray[np.float64]

JUMP_MAX = 20.0
"""A price this many times the one before it, or a part of it, is an error of the source."""
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class History:
    """One series: `times` in days since the epoch, `prices` in dollars, `volumes` in dollars a row, where known.

    `sha256` is that of the file as it was given.
    """

    name: str
    sha256: str
    times: Float64Array
    prices: Float64Array
    volumes: Float64Array | None = None

    @property
    def step(self) -> float:
        """Days from one row to the next, usually."""
        return float(np.median(np.diff(self.times)))

    def between(self, first: str, last: str) -> "History":
        """The rows from the start of day `first` to the end of day `last`. Raises InputError where fewer than 3 are
        left."""
        low, high = _day("from", first), _day("until", last) + 1
        kept = (self.times >= low) & (self.times < high)
        if int(kept.sum()) < 3:
            raise InputError(self.name, f"{first} .. {last}", "must leave at least 3 rows")
        volumes = self.volumes[kept] if self.volumes is not None else None
        return History(self.name, self.sha256, self.times[kept], self.prices[kept], volumes)

    def returns(self, days: float) -> tuple[Float64Array, Float64Array]:
        """(times of the later price, relative moves over exactly `days`), none overlapping another: the coverage tests
        count independent days."""
        rows = max(1, round(days / self.step))
        if abs(rows * self.step - days) > 1e-6:
            raise InputError("days", days, f"must be a multiple of {self.name}'s step of {self.step:g} days")
        # Rows on the grid of whole `days` from the first one: a gap does not shift what comes after it.
        place = (self.times - self.times[0]) / days
        on_grid = np.abs(place - np.rint(place)) * days < self.step / 4
        times, prices = self.times[on_grid], self.prices[on_grid]
        near = np.abs(np.diff(times) - days) < self.step / 4
        return times[1:][near], (prices[1:] / prices[:-1] - 1)[near]


def paired(one: History, other: History, days: float = 1.0) -> tuple[Float64Array, Float64Array]:
    """(times, (n, 2) relative moves) on the days that both have."""
    (mine, moves), (theirs, others) = one.returns(days), other.returns(days)
    times, left, right = np.intersect1d(mine, theirs, return_indices=True)
    return times, np.column_stack([moves[left], others[right]])


def day_of(time: float) -> str:
    """The day of a time, ISO."""
    return datetime.fromtimestamp(time * SECONDS_PER_DAY, UTC).date().isoformat()


def read(name: str, data: bytes, price: str = "close", volume: str | None = None) -> History:
    """A history from a CSV file's bytes, plain or gzip; `price` and `volume` are columns.

    Raises InputError, with field, value and rule, for a column that is not there, a time that does not rise, and a
    price or volume that is no positive number, or that jumps by a factor of more than 20.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(name, str(error), "must be a CSV file in UTF-8, plain or gzip") from error
    rows = list(csv.reader(io.StringIO(text)))
    header = rows[0] if rows else []
    for column in filter(None, (price, volume)):
        if column not in header[1:]:
            raise InputError(f"{name}.{column}", header[1:], "must be one of the columns after the first")
    at, volume_at = header.index(price), header.index(volume) if volume is not None else None
    times, prices, volumes = [], [], []
    for number_of_row, row in enumerate(rows[1:], 2):
        where = f"{name}.row {number_of_row}"
        if len(row) != len(header):
            raise InputError(where, len(row), f"must have {len(header)} cells")
        if not row[at]:
            continue
        times.append(_time(where, row[0]))
        prices.append(positive(f"{where}.{price}", _float(row[at]), at_most=1e9))
        if volume_at is not None:
            volumes.append(number(f"{where}.{volume}", _float(row[volume_at]), at_least=0.0))
        if len(times) > 1:
            if times[-1] <= times[-2]:
                raise InputError(f"{where}.{header[0]}", row[0], "must be later than the row before")
            if not 1 / JUMP_MAX <= prices[-1] / prices[-2] <= JUMP_MAX:
                raise InputError(f"{where}.{price}", prices[-1], f"must be within {JUMP_MAX:g} times {prices[-2]:g}")
    if len(times) < 3:
        raise InputError(name, len(times), "must have at least 3 rows with a price")
    return History(name, sha256, np.array(times), np.array(prices), np.array(volumes) if volume is not None else None)


def close_out_times(history: History, share: float, participation: float, usual_days: int = 30) -> Float64Array:
    """Days that closing `share` of a usual day's volume took from each row on, taking `participation` of what traded.

    Usual is the mean of the `usual_days` before the row. Rows from which the history ends too early are left out, as
    are rows across a gap. Raises InputError where the history has no volumes or is too short.
    """
    positive("share", share, at_most=10.0)
    positive("participation", participation, at_most=1.0)
    if history.volumes is None:
        raise InputError(history.name, None, "must have volumes: close-out times are measured on them")
    rows = round(usual_days / history.step)
    traded = np.concatenate([[0.0], np.cumsum(history.volumes)])
    if len(history.volumes) <= 2 * rows:
        raise InputError(history.name, len(history.volumes), f"must have more than {2 * rows} rows")
    starts = np.arange(rows, len(history.volumes))
    usual = (traded[starts] - traded[starts - rows]) / usual_days
    ends = np.searchsorted(traded, traded[starts] + share / participation * usual, side="left")
    whole = ends <= len(history.volumes)
    starts, ends = starts[whole], ends[whole]
    times = np.append(history.times, history.times[-1] + history.step)
    # Days since the epoch as doubles are off by 1e-11 of a day: a period of exactly a day must not miss a day.
    apart = np.round(times[ends] - times[starts], 6)
    return np.asarray(apart[np.abs(apart - (ends - starts) * history.step) < history.step / 4])


def depth_share(history: History, days: float, participation: float, tail: float = 0.01) -> float:
    """Part of a usual day's volume that can be closed within `days` on all but `tail` of starts."""
    times = [(share, float(np.mean(close_out_times(history, share, participation) > days))) for share in _shares()]
    below = [share for share, late in itertools.takewhile(lambda item: item[1] <= tail, times)]
    if not below:
        raise InputError("days", days, f"must be long enough to close {_shares()[0]:g} of a day's volume")
    return below[-1]


def _shares() -> list[float]:
    return [round(0.002 * number_of, 3) for number_of in range(1, 101)]


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # refused by whoever checks the number, with the field's name


def _time(where: str, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(where, text, "must start with an ISO day or time") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() / SECONDS_PER_DAY


def _day(field: str, text: str) -> float:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() / SECONDS_PER_DAY
    except ValueError as error:
        raise InputError(field, text, "must be a day such as 2019-12-31") from error
