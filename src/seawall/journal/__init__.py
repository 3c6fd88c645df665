"""The journal: commands made durable in two copies, in hash-chained frames, before anything leaves.

`Journal` writes, `frames` reads, `verify` checks; `docs/journal.md` has the format and the rules of recovery.
"""

from seawall.journal.disk import Disk, OsDisk
from seawall.journal.layout import Frame, folders_of
from seawall.journal.reading import frames
from seawall.journal.recovery import Damage, RecoveryReport, Verification, verify
from seawall.journal.writing import Journal, PendingCommit, holds_journal

__all__ = [
    "Damage",
    "Disk",
    "Frame",
    "Journal",
    "OsDisk",
    "PendingCommit",
    "RecoveryReport",
    "Verification",
    "folders_of",
    "frames",
    "holds_journal",
    "verify",
]
