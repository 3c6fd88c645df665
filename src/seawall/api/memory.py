"""What a served venue folds of its journal beside the engine, and snapshots of both.

All that clients and operators are answered from is a fold of the journal; a venue that has been running for a year must
not fold a year at its start. So a process of its own (`remembering`) goes behind the writer, folds what is durable and
writes, now and then, the engine's state and the memory after one frame to `home`/memory. A start goes on from there.

A snapshot proves nothing and is missed by nobody: one that is damaged, of other code, of another journal or of frames
that the journal does not have is passed over, and the journal folded from its beginning. The memory is written as a
pickle, since it is a graph (a trade knows its two orders) of a million objects; a reader that finds any name in it but
those in `Memory.kept` reads no further, so it can make these objects, and nothing happen.
"""

import hashlib
import io
import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from seawall.api import client_ids, funding, ledger, listing, statistics, view
from seawall.api.arrangements import Arrangements
from seawall.api.operations.record import Override, Record, Standing
from seawall.api.requirements import Requirements
from seawall.journal.disk import Bytes
from seawall.journal.horizon import Durable
from seawall.journal.snapshots import keep_snapshot, usable_snapshots
from seawall.node.configuration import Configuration
from seawall.node.node import Group
from seawall.node.replay import Fold
from seawall.node.snapshots import FORMS
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import VenueState

_PACKAGE: Final = Path(__file__).parents[1]


class Memory:
    """The folds of one venue's journal. `take` hears a durable frame at a start."""

    kept: tuple[type, ...] = (
        *(view.View, view.Order, view.Trade, view.Book, view.Client, client_ids.ClientIds),
        *(listing.Listing, funding.Accrued),
        *(ledger.Ledger, ledger.Book, ledger.Position, ledger.Entry, Arrangements, Requirements),
        *(statistics.Statistics, statistics.Series, statistics.Candle, statistics.Index),
        *(Record, Standing, Override, VenueState, Reason, Instrument, Form, Product, deque),
    )
    """Every class that an object of a snapshot may be of."""

    def __init__(self) -> None:
        self.view = view.View()
        self.record = Record()

    def take(self, group: Group) -> None:
        """Fold one durable frame."""
        self.view.take(group)
        self.record.take(group)

    def known(self) -> Any:
        """All that was folded."""
        return self.view, self.record

    def adopt(self, known: Any) -> None:
        """Know what another one's `known` was."""
        self.view, self.record = known

    @property
    def tag(self) -> bytes:
        """Names what wrote a snapshot: this kind of memory, folded by exactly this code, the engine's included."""
        return f"{type(self).__name__} {_code()[:40]}".encode()


def place(configuration: Configuration) -> Path:
    """Where the snapshots of a venue with its memory are."""
    return configuration.home_folder / "memory"


def resume(configuration: Configuration, memory: Memory) -> Fold | None:
    """The fold as the newest snapshot has it, `memory` then being what it was; None: fold the journal."""
    if configuration.engine not in FORMS or not place(configuration).is_dir():
        return None
    form, tag = FORMS[configuration.engine](), memory.tag
    for snapshot in usable_snapshots(configuration.folders, places=[place(configuration)]):
        if snapshot.tag != tag:
            continue
        try:
            known = _read(bytes(snapshot.chunks.pop(0)), memory.kept)
        except InputError as error:
            structlog.get_logger().warning("a memory is not read", frame=snapshot.frame, why=str(error))
            continue
        memory.adopt(known)
        return Fold(form.load(snapshot.chunks), snapshot.frame, snapshot.digest)
    return None


def keep(configuration: Configuration, memory: Memory, fold: Fold, journal: bytes, covers: Durable) -> None:
    """Write a snapshot of both as they are after the frame `covers`, which is durable. Raises JournalError."""
    form = FORMS[configuration.engine]()

    def chunks() -> Iterator[Bytes]:
        yield pickle.dumps(memory.known(), protocol=pickle.HIGHEST_PROTOCOL)
        yield from form.dump(fold.engine)

    keep_snapshot([place(configuration)], journal, covers, fold.digest[1], memory.tag, chunks())


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, kept: Iterable[type]) -> None:
        super().__init__(io.BytesIO(data))
        self._kept = {(made.__module__, made.__qualname__): made for made in kept}

    def find_class(self, module_name: str, global_name: str, /) -> type:
        """The class of that name, if it is one of those kept. Raises InputError."""
        try:
            return self._kept[module_name, global_name]
        except KeyError:
            raise InputError("memory", f"{module_name}.{global_name}"[:100], "must hold kept classes alone") from None


def _read(data: bytes, kept: Iterable[type]) -> Any:
    """What `known` gave. Raises InputError for whatever else the bytes are."""
    try:
        return _Reader(data, kept).load()
    except InputError:
        raise
    except Exception as error:  # a pickle can fail in every way there is
        raise InputError("memory", f"{len(data)} bytes", f"must be a memory's: {error!r}") from error


def _code() -> str:
    """Hex digest of every source of this package: what a fold gives may hang on any of them."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()
