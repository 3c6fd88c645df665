"""The cumulative digest of events that frames carry; `docs/journal.md` says how it is made."""

import hashlib

from seawall.vocabulary.records import EventKind, Events, Kind


class EventDigest:
    """Digest of the events of a journal, frame by frame.

    Under rules 1 it is the SHA-256 of all events. From the frame after the one in which rules 2 or later were taken it
    is SHA-256(digest before | events of the frame), which can be gone on from where a snapshot ended.
    """

    def __init__(self, digest: bytes | None = None) -> None:
        """From the first frame on; with `digest` from behind the frame that has it, under rules 2 or later."""
        self._all = hashlib.sha256() if digest is None else None
        self.digest = digest if digest is not None else hashlib.sha256().digest()

    def take(self, events: Events) -> bytes:
        """The digest up to the end of the next frame, whose events these are."""
        data = events.tobytes()
        if self._all is None:
            chained = hashlib.sha256(self.digest)
            chained.update(data)
            self.digest = chained.digest()
            return self.digest
        self._all.update(data)
        self.digest = self._all.digest()
        taken = events[(events["kind"] == EventKind.DEFINED) & (events["a"] == Kind.RULES)]
        if (taken["b"] > 1).any():
            self._all = None
        return self.digest
