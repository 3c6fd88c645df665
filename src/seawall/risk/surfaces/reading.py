"""Option chains from files: comma-separated rows under a header, plain or compressed with gzip, in three layouts.

The layouts are those of a venue's book summary, of a vendor's chain rows, and of a snapshot with years to expiry; they
differ in the names of their columns and in how they say the time. Names not listed here are not read.
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from seawall.risk.black76 import DAYS_PER_YEAR, NANOSECONDS_PER_DAY
from seawall.risk.surfaces.chain import STALE_S, Chain, QuoteRow, make_chain
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.hours import EXPIRY_HOUR

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("instrument_name", "symbol"),
    "expiry": ("expiry_date", "expire_date", "expiration"),
    "strike": ("strike", "strike_price"),
    "type": ("type", "option_type"),
    "bid": ("bid_btc", "bid_price"),
    "ask": ("ask_btc", "ask_price"),
    "forward": ("S0", "underlying_price"),
}
STAMPS: Final[Mapping[str, int]] = {"creation_timestamp": 10**6, "timestamp": 10**3}
"""Columns with the time of a row, and nanoseconds in one of their units."""
YEARS: Final = "T_years"
YEARS_SPREAD_S: Final = 600.0
"""Times that the expiries' years say must agree this well; they are rounded to five decimals, which is 5 minutes."""
BIGGEST: Final = 1 << 26
"""Bytes of a file, unpacked: far above any chain, far below what would hurt."""


def read_chain(path: Path, *, time_ns: int | None = None, coin_settled: bool = True, stale_s: float = STALE_S) -> Chain:
    """The chain of a file. Raises InputError, with the row's name, for what cannot be read or cannot be a chain.

    `time_ns` is the time of the chain; without it, that of the latest row or what the years to expiry say.
    """
    rows, time_ns, sha256 = read_rows(path, time_ns)
    return make_chain(rows, time_ns, sha256=sha256, coin_settled=coin_settled, stale_s=stale_s)


def read_rows(path: Path, time_ns: int | None = None) -> tuple[list[QuoteRow], int, str]:
    """The rows of a file, the time of the chain and the file's SHA-256. Raises InputError as `read_chain`."""
    try:
        kept = path.read_bytes()
        with gzip.open(io.BytesIO(kept)) if kept[:2] == b"\x1f\x8b" else io.BytesIO(kept) as stream:
            content = stream.read(BIGGEST + 1)
        text = content.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError("chain", str(path), f"cannot be read: {error}") from error
    if len(content) > BIGGEST:
        raise InputError("chain", str(path), f"must be at most {BIGGEST} bytes")
    try:
        records = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError("chain", str(path), f"is not comma-separated: {error}") from error
    if not records:
        raise InputError("chain", str(path), "has no row")
    columns = _columns(list(records[0]))
    stamp = next((name for name in STAMPS if name in records[0]), None)
    rows = [_row(record, columns, stamp) for record in records]
    return rows, _time(rows, records) if time_ns is None else time_ns, hashlib.sha256(kept).hexdigest()


def _columns(header: Sequence[str]) -> dict[str, str | None]:
    """Which column of this file is which. Only the forward may be missing: parity gives it."""
    found = {field: next((name for name in names if name in header), None) for field, names in COLUMNS.items()}
    for field, name in found.items():
        if name is None and field != "forward":
            raise InputError("chain", ", ".join(map(str, header)), f"has none of {', '.join(COLUMNS[field])}")
    return found


def _row(record: Mapping[str, str | None], columns: Mapping[str, str | None], stamp: str | None) -> QuoteRow:
    def cell(field: str) -> str:
        column = columns[field]
        return (record.get(column) or "").strip() if column else ""

    name = cell("name")

    def number(field: str) -> float | None:
        text = cell(field)
        try:
            value = float(text) if text else 0.0
        except ValueError as error:
            raise InputError(f"{name}: {field}", text, "must be a number") from error
        return value if value != 0.0 else None  # a price of 0 is the venues' other word for none

    kind = cell("type").lower()
    if kind not in ("call", "c", "put", "p"):
        raise InputError(f"{name}: type", kind, "must be call or put")
    strike, quoted = number("strike"), (record.get(stamp) or "").strip() if stamp else ""
    if quoted and not quoted.isdigit():
        raise InputError(f"{name}: {stamp}", quoted, "must be a whole number")
    return QuoteRow(
        name=name,
        expiry_ns=_expiry(name, cell("expiry")),
        strike=0.0 if strike is None else strike,
        call=kind[0] == "c",
        forward=number("forward"),
        bid=number("bid"),
        ask=number("ask"),
        quoted_ns=int(quoted) * STAMPS[stamp] if quoted and stamp else None,
    )


def _expiry(name: str, text: str) -> int:
    """Nanoseconds since the epoch of an expiry given in microseconds or as a date such as 26DEC25."""
    if text.isdigit():
        return int(text) * 1000
    try:
        day = datetime.strptime(text, "%d%b%y").replace(hour=EXPIRY_HOUR, tzinfo=UTC)
    except ValueError as error:
        raise InputError(f"{name}: expiry", text, "must be microseconds or a date such as 26DEC25") from error
    return int(day.timestamp()) * 10**9


def _time(rows: Sequence[QuoteRow], records: Sequence[Mapping[str, str | None]]) -> int:
    """The time of a chain that states it by its rows' stamps or by years to expiry."""
    stamps = [row.quoted_ns for row in rows if row.quoted_ns is not None]
    if stamps:
        return max(stamps)
    if YEARS not in records[0]:
        raise InputError("time", None, f"is not in the file ({', '.join(STAMPS)} or {YEARS}): give it")
    times = []
    for row, record in zip(rows, records, strict=True):
        try:
            years = float(record[YEARS] or "nan")
            times.append(row.expiry_ns - round(years * DAYS_PER_YEAR * NANOSECONDS_PER_DAY))
        except (ValueError, OverflowError) as error:
            raise InputError(f"{row.name}: {YEARS}", record[YEARS], "must be a finite number") from error
    if max(times) - min(times) > YEARS_SPREAD_S * 1e9:
        raise InputError(YEARS, f"{(max(times) - min(times)) / 1e9:.0f} s apart", f"at most {YEARS_SPREAD_S:.0f} s")
    return int(np.median(times))
