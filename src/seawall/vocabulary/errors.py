"""Every error Seawall raises, in one tree, so that a caller can catch what it means.

SeawallError
+-- InputError             a field, its value and the rule it breaks
|   +-- ConfigurationError
|   +-- RecordingError     a recorded market that cannot be read
+-- JournalError
|   +-- JournalBusy        another writer holds the folder
|   +-- JournalCorrupt     damage no copy can repair, with the frame and the page named
|   +-- OutcomeUnknown     a write or sync failed: what was in flight may or may not stand
|   +-- CheckpointMismatch journal and signed checkpoint do not agree
|   +-- TilesDamaged       hashes kept in tiles are missing or not those signed for
+-- ReplayMismatch         a fold gave other events than the journal's digest says
"""


class SeawallError(Exception):
    """Root of the tree."""


class InputError(SeawallError):
    """Bad input: names the field, the value and the rule. Nothing was changed."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} = {value!r}: {rule}")
        self.field, self.value, self.rule = field, value, rule


class ConfigurationError(InputError):
    """A setting that breaks its rule."""


class RecordingError(InputError):
    """A recorded market that cannot be read; the field names file and line."""


class JournalError(SeawallError):
    """The journal cannot do what was asked."""


class JournalBusy(JournalError):
    """Another process holds the folder for writing."""


class JournalCorrupt(JournalError):
    """Damage that no copy can repair."""

    def __init__(self, message: str, *, frame: int, page: int) -> None:
        super().__init__(f"{message} (frame {frame}, page {page})")
        self.frame, self.page = frame, page


class OutcomeUnknown(JournalError):
    """A write or a sync failed. The commands in flight may or may not stand; the process must end."""


class CheckpointMismatch(JournalError):
    """A checkpoint and a journal, or a signature and a key, do not belong together; the message has the numbers."""


class TilesDamaged(JournalError):
    """A tile is missing or has the wrong length. Tiles follow from the journal: remove them and make them anew."""


class ReplayMismatch(SeawallError):
    """The fold's events differ from what the journal recorded."""

    def __init__(self, frame: int, expected: str, found: str) -> None:
        super().__init__(f"events up to frame {frame} have digest {found}, the journal says {expected}")
        self.frame, self.expected, self.found = frame, expected, found
