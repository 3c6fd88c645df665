"""Old segments: copied to an archive, removed from the journal when a snapshot covers them, and put back from both.

Only closed segments are archived, those behind which a durable frame is seen: they never change again. An archive is
laid out as a copy of a journal is, so that it is read and verified as one; its manifest says what it holds, and can be
made again from the segments. Before a segment is removed both folders say durably, in the file `base`, with which
segment, frame, sequence number and hash the journal begins from then on: what is missing behind that was not retired,
and is refused.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from seawall.journal.disk import Disk, OsDisk
from seawall.journal.files import (
    lock_folder,
    making_file,
    new_name,
    read_file,
    write_base,
    write_file,
    write_segment,
)
from seawall.journal.horizon import read_horizon
from seawall.journal.layout import Identity, Position, decode_header, raw, segment_name
from seawall.journal.reading import Mirror, next_frame, segments_in
from seawall.journal.recovery import Image, Verification, images, verify
from seawall.journal.snapshots import copy_snapshots, load_snapshot, usable_snapshots
from seawall.journal.writing import Folders, Journal
from seawall.vocabulary.errors import InputError, JournalError

MANIFEST_NAME: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Archived:
    """One archived segment: its frames and commands, the hashes before and after, and SHA-256 of the file, in hex."""

    segment: int
    first_frame: int
    first_seq: int
    previous: str
    next_frame: int
    next_seq: int
    last_hash: str
    sha256: str

    @property
    def behind(self) -> Position:
        """Where the next segment begins."""
        return Position(self.segment + 1, 1, self.next_frame, bytes.fromhex(self.last_hash), self.next_seq)


def archive(
    folders: Sequence[Path],
    target: Path,
    *,
    upto: int | None = None,
    write: bool = True,
    disk: Disk | None = None,
) -> tuple[Archived, ...]:
    """Copy closed segments, up to segment `upto`, that the folder `target` does not hold yet; returns those copied.

    Without `write` it only says which these are. May run beside the writer, and again after it was interrupted. Raises
    InputError without a journal or when `target` is another's archive, a folder of the journal, or ends before the
    journal begins; JournalBusy if another archives there, JournalCorrupt for damage that no copy can mend, JournalError
    when a segment could not be written, what was copied before stands, or where the journal ends before its archive.
    """
    disk = disk or OsDisk()
    with _failures(f"archiving to {target}"):
        _check_apart(disk, folders, target)
        if write:
            disk.make_folder(target)
        with _locked(disk, [target] if write else []):
            mirror = Mirror(folders, disk)
            held = _held(disk, target, mirror.identity)
            at = held[-1].behind if held else mirror.base
            if at.segment < mirror.base.segment:
                rule = f"ends before segment {at.segment}, the journal begins with {mirror.base.segment}"
                raise InputError("target", str(target), rule)
            if held and next_frame(mirror, at) is None:  # it was durable when what lies before was archived
                has = f"{target} has the journal up to frame {at.frame - 1}, which {folders[0]} and {folders[-1]}"
                raise JournalError(f"{has} have not or do not go on from: they were rolled back")
            if write and not held and at.segment:
                write_base(disk, target, mirror.identity, at)
            copied: list[Archived] = []
            for image in _closed(mirror, at):
                if upto is not None and image.segment > upto:
                    break
                copied.append(_copy(disk, image, target) if write else _entry(image))
                if write:
                    _write_manifest(disk, target, mirror.identity, [*held, *copied])
            return tuple(copied)


def retire(
    source: Journal | Folders,
    target: Path,
    *,
    before: int | None = None,
    write: bool = True,
    disk: Disk | None = None,
) -> tuple[int, ...]:
    """Remove the segments before that of frame `before`, which stays; returns their numbers.

    Only what the archive `target` holds, byte for byte, at this moment; without `write` it says which these are, and no
    more. `before` is a frame that a snapshot covers that is whole in both folders, or an earlier one; by default that
    of the oldest such snapshot. Of a running writer give the Journal; of folders nobody writes to, the folders. Raises
    InputError where there is no such snapshot, JournalBusy, JournalCorrupt, JournalError for an archive that differs or
    a disk that fails.
    """
    disk = disk or OsDisk()
    folders = source.folders if isinstance(source, Journal) else source
    with _failures(f"retiring segments of {folders[0]} and {folders[1]}"), ExitStack() as held:
        _check_apart(disk, folders, target)
        if not isinstance(source, Journal):
            held.enter_context(_locked(disk, folders))
        mirror = Mirror(folders, disk)
        limit = _limit(disk, mirror, before)
        base = mirror.base
        for image in _closed(mirror, base):
            begin, wanted = _behind(image), hashlib.sha256(image.rows.data).hexdigest()
            if begin.frame > limit or not _is_archived(disk, target, image.segment, wanted):
                break
            base = begin
        if write and base.segment:
            # Both say so before either loses anything: one of them alone may come back without it.
            for folder, marker in zip(folders, mirror.markers, strict=True):
                if marker != (mirror.identity, base):
                    write_base(disk, folder, mirror.identity, base)
        archived = {one.segment: one.sha256 for one in _held(disk, target, mirror.identity)}
        old = {one: sha256 for one, sha256 in archived.items() if one < base.segment}
        return _remove(disk, folders, target, old, write=write)


def restore(sources: Sequence[Path], folders: Folders, *, disk: Disk | None = None) -> Verification:
    """Put a journal back as both copies into two empty folders, from copies of its folders and archives of it.

    Together the sources must hold it, page by page, from its first segment or from a marker of retired ones on; with
    them come their snapshots. Everything is verified before and after. Interrupted, it leaves folders that are refused:
    empty them and begin again. Raises InputError without a journal or for a folder that is not empty, JournalCorrupt
    for damage no source can mend, JournalError when a disk fails.
    """
    disk = disk or OsDisk()
    with _failures(f"restoring {folders[0]} and {folders[1]}"):
        for folder in folders:
            disk.make_folder(folder)
        with _locked(disk, folders):
            for folder in folders:
                if any(name != "lock" and not name.endswith(".new") for name in disk.names(folder)):
                    raise InputError("folders", str(folder), "must be empty")
            mirror = Mirror(sources, disk, whole=True)
            segments: list[int] = []
            for image in images(mirror, mirror.base):
                if image.corrupt is not None:
                    raise image.corrupt
                if image.last is not None or not segments:
                    segments.append(image.segment)
                    for folder in folders:
                        for _ in making_file(disk, folder / segment_name(image.segment), raw(image.rows)):
                            pass
            _name_all(disk, mirror, folders, segments)
            copy_snapshots(disk, sources, folders, mirror.identity.journal)
            checked = verify(folders, disk=disk)
            if not checked.ok:
                raise JournalError(f"what was restored is not sound: {checked.damage[:1] or checked.corrupt}")
            return checked


def _name_all(disk: Disk, mirror: Mirror, folders: Folders, segments: list[int]) -> None:
    """The last segment first, durably in both: without the others, it shows that they are missing."""
    for folder in folders:
        if mirror.base.segment:
            write_base(disk, folder, mirror.identity, mirror.base)
        _rename(disk, folder, segments[-1])
        disk.sync_folder(folder)
    for folder in folders:
        for segment in segments[:-1]:
            _rename(disk, folder, segment)
        disk.sync_folder(folder)


def _rename(disk: Disk, folder: Path, segment: int) -> None:
    path = folder / segment_name(segment)
    disk.rename(new_name(path), path)


def _check_apart(disk: Disk, folders: Sequence[Path], target: Path) -> None:
    """Raise InputError for an archive that is a folder of the journal, or whose files are links into one.

    It would be found byte for byte what is to be removed, and go with it.
    """
    own = {folder.resolve() for folder in folders}
    places = {target.resolve(), *((target / name).resolve().parent for name in disk.names(target))}
    mounted_again = any(target.is_dir() and folder.is_dir() and target.samefile(folder) for folder in folders)
    if places & own or mounted_again:
        raise InputError("target", str(target), f"must have files of its own, none of {folders[0]} or {folders[-1]}")


def _closed(mirror: Mirror, at: Position) -> Iterator[Image]:
    """The segments from `at` on behind which the journal goes on with a frame that is durable.

    One in flight is not enough: cut by a crash, it may be followed by a shorter one that fits the segment before.
    """
    told = read_horizon(mirror.disk, mirror.folders[0], mirror.identity.journal)
    durable = told.frame if told is not None else 0
    waiting: list[Image] = []
    for image in images(mirror, at):
        if image.corrupt is not None:
            raise image.corrupt
        if waiting and image.last is not None:
            first = image.frames[1]
            if first <= durable or first < image.last.frame.number:  # a later frame is begun only when it is durable
                yield from waiting
                waiting = []
        waiting.append(image)


def _behind(image: Image) -> Position:
    assert image.last is not None, "a closed segment has frames"
    return replace(image.last.behind, segment=image.segment + 1, page=1)


def _copy(disk: Disk, image: Image, target: Path) -> Archived:
    """Write one segment, read it back, and say what it is."""
    write_segment(disk, target, image.segment, image.rows)
    if read_file(disk, target / segment_name(image.segment)) != image.rows.tobytes():
        raise JournalError(f"{target / segment_name(image.segment)} does not read as it was written")
    return _entry(image)


def _entry(image: Image) -> Archived:
    header = decode_header(image.rows[:1], segment=image.segment)
    assert header is not None, "an image has its header"
    first, behind = header[1], _behind(image)
    return Archived(
        image.segment,
        first.frame,
        first.seq,
        first.previous.hex(),
        behind.frame,
        behind.seq,
        behind.previous.hex(),
        hashlib.sha256(image.rows.data).hexdigest(),
    )


def _held(disk: Disk, target: Path, identity: Identity) -> list[Archived]:
    """What an archive holds, by its manifest; where that does not hold, by its segments."""
    present = segments_in(target, disk)
    if not present:
        return []
    listed = _read_manifest(disk, target, identity)
    if listed is not None and {one.segment for one in listed} == present:
        return listed
    mirror = Mirror([target], disk)
    if mirror.identity != identity:
        raise InputError("target", str(target), f"is the archive of journal {mirror.identity.journal.hex()}")
    whole = []
    for image in images(mirror, mirror.base):
        if image.corrupt is not None:
            raise JournalError(f"the archive {target} is damaged: {image.corrupt}")
        if image.last is not None:
            whole.append(_entry(image))
    return whole


def _read_manifest(disk: Disk, target: Path, identity: Identity) -> list[Archived] | None:
    try:
        document: Any = json.loads(read_file(disk, target / MANIFEST_NAME) or b"")
        listed = [Archived(**entry) for entry in document["segments"]]
        sound = bool(listed) and document["check"] == _check(document["journal"], document["segments"])
        sound = sound and all(one.behind.segment == two.segment for one, two in pairwise(listed))
    except (ValueError, TypeError, KeyError):
        return None  # the segments say it again
    if sound and document["journal"] != identity.journal.hex():
        raise InputError("target", str(target), f"is the archive of journal {document['journal']}")
    return listed if sound else None


def _write_manifest(disk: Disk, target: Path, identity: Identity, held: list[Archived]) -> None:
    journal, segments = identity.journal.hex(), [asdict(one) for one in held]
    document = {"journal": journal, "segments": segments, "check": _check(journal, segments)}
    write_file(disk, target / MANIFEST_NAME, json.dumps(document, indent=1).encode())


def _check(journal: str, segments: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps([journal, segments], sort_keys=True).encode()).hexdigest()


def _is_archived(disk: Disk, target: Path, segment: int, sha256: str) -> bool:
    """Whether the archive has the segment. Raises JournalError if it has another in its place."""
    if segment not in segments_in(target, disk):
        return False
    data = read_file(disk, target / segment_name(segment))
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        raise JournalError(f"segment {segment} in the archive {target} is not that of the journal")
    return True


def _limit(disk: Disk, mirror: Mirror, before: int | None) -> int:
    """The frame that must stay: a journal begins with one that is durable, and what a snapshot covers is."""
    in_both = [
        snapshot.frame
        for snapshot in usable_snapshots(mirror.folders, disk=disk)
        if all(load_snapshot(disk, folder, snapshot.frame, mirror.identity.journal) for folder in mirror.folders)
    ]
    if not in_both or (before is not None and before > in_both[0]):
        last = f"the newest covers frame {in_both[0]}" if in_both else "there is none"
        raise InputError("before", before, f"must be covered by a snapshot that is whole in both folders; {last}")
    return in_both[-1] if before is None else before


def _remove(
    disk: Disk, folders: Folders, target: Path, archived: dict[int, str], *, write: bool = True
) -> tuple[int, ...]:
    """Remove retired segments, and what an interrupted removal left of earlier ones; each is in the archive now."""
    old = [sorted(segments_in(folder, disk) & archived.keys()) for folder in folders]
    gone = sorted(set().union(*old))
    for segment in gone:
        _is_archived(disk, target, segment, archived[segment])
    if not write:
        return tuple(gone)
    for folder, segments in zip(folders, old, strict=True):
        for segment in segments:
            disk.remove(folder / segment_name(segment))
        if segments:
            disk.sync_folder(folder)
    return tuple(gone)


@contextmanager
def _locked(disk: Disk, folders: Sequence[Path]) -> Iterator[None]:
    with ExitStack() as held:
        for folder in folders:
            held.callback(disk.close, lock_folder(disk, folder))
        yield


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """A disk's failure as the journal's own error."""
    try:
        yield
    except OSError as error:
        raise JournalError(f"{what}: {error}") from error
