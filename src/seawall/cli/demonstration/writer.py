"""The writer that act 4 kills: trades in small frames for ever, and says on its standard output what is acknowledged.

Run as ``python -m seawall.cli.demonstration.writer SETTINGS``. A line is written once the frame's events were
released: its number, its last command, and the digest of all events up to its end.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np

from seawall.cli.demonstration.venue import Venue
from seawall.cli.output import send_logs_to_stderr
from seawall.node import Configuration
from seawall.sim import Batch

FRAME: Final = 16


def main(settings: Path) -> None:
    """Trade until killed."""
    send_logs_to_stderr("warning")
    venue = Venue.start(Configuration.read(settings), life=2)
    while True:
        commands, attachments = venue.market.round()
        ends = np.cumsum(commands["attachment"])
        start = 0
        for first in range(0, len(commands), FRAME):
            part = commands[first : first + FRAME]
            end = int(ends[first + len(part) - 1])
            venue.send(Batch(part, attachments[start:end]))
            start = end
            frame, digest = venue.node.fold.digest
            print(frame, venue.node.journal.next_seq - 1, digest.hex(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
