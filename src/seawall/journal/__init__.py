"""The journal: commands made durable in two copies, in hash-chained frames, before anything leaves.

`Journal` writes, `frames` reads, `Tail` reads behind the writer, `verify` checks; `archive`, `retire` and `restore` are
for old segments, `write_snapshot` and `read_snapshot` for an engine's state. `docs/journal.md` has the format and the
rules.
"""

from seawall.journal.archiving import Archived, archive, restore, retire
from seawall.journal.disk import Disk, OsDisk
from seawall.journal.horizon import Durable
from seawall.journal.layout import Frame, folders_of
from seawall.journal.reading import first_frame, frames
from seawall.journal.recovery import Damage, RecoveryReport, Verification, verify
from seawall.journal.snapshots import Snapshot, read_snapshot, write_snapshot
from seawall.journal.tail import Tail
from seawall.journal.writing import Journal, PendingCommit, holds_journal

__all__ = [
    "Archived",
    "Damage",
    "Disk",
    "Durable",
    "Frame",
    "Journal",
    "OsDisk",
    "PendingCommit",
    "RecoveryReport",
    "Snapshot",
    "Tail",
    "Verification",
    "archive",
    "first_frame",
    "folders_of",
    "frames",
    "holds_journal",
    "read_snapshot",
    "restore",
    "retire",
    "verify",
    "write_snapshot",
]
