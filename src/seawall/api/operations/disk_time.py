"""How long things last: disks, by what is free and how fast it went in the last hour, and certificates."""

import shutil
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

DISK_LEAST: Final = 1 << 30
"""Bytes free below which a disk is as good as full."""

WINDOW_S: Final = 3_600.0
LEAST_S: Final = 600.0
"""Younger samples say nothing about growth: a start makes segments ahead, and the first minute would look like ruin."""


class Left(NamedTuple):
    """Of one folder: bytes free, bytes an hour that went, hours left (None: not growing, or not known yet)."""

    folder: str
    free: int
    per_hour: int | None
    hours: float | None


class DiskTime:
    """Samples of what is free where the journal is written."""

    def __init__(self, folders: list[Path]) -> None:
        self._samples: dict[Path, deque[tuple[float, int]]] = {folder: deque() for folder in folders}

    def sample(self, now: float) -> None:
        """Look at the disks; `now` in seconds of any steady clock.

        Raises OSError for a folder that is gone, of which nothing is known then, once the others were looked at.
        """
        gone: OSError | None = None
        for folder, rows in self._samples.items():
            try:
                self.add(folder, now, shutil.disk_usage(folder).free)
            except OSError as error:
                gone = error
                rows.clear()
            while rows and now - rows[0][0] > WINDOW_S:
                rows.popleft()
        if gone is not None:
            raise gone

    def add(self, folder: Path, now: float, free: int) -> None:
        """One sample."""
        self._samples[folder].append((now, free))

    def left(self) -> list[Left]:
        """What is left of each."""
        found = []
        for folder, rows in self._samples.items():
            if not rows:
                continue
            (began, before), (ended, free) = rows[0], rows[-1]
            if ended - began < LEAST_S:
                found.append(Left(str(folder), free, None, None))
                continue
            per_hour = round((before - free) * 3600 / (ended - began))
            found.append(Left(str(folder), free, per_hour, round(free / per_hour, 1) if per_hour > 0 else None))
        return found


def days_left(files: tuple[str, ...], now: float) -> list[tuple[str, int]]:
    """Whole days from `now`, in seconds, until each certificate runs out; -1 for one that cannot be read."""
    found = []
    for file in files:
        try:
            ends = x509.load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc
            found.append((file, int((ends.timestamp() - now) // 86_400)))
        except (OSError, ValueError):
            found.append((file, -1))
    return found
