"""Signed checkpoints of a journal: what shows a rollback of both copies, or a history rewritten hashes and all.

A checkpoint is the head of the RFC 6962 tree over all commands up to a durable frame, in the text of C2SP
tlog-checkpoint, signed with Ed25519 (RFC 8032) as a C2SP signed-note. `docs/checkpoints.md` has the formats byte by
byte. All of this runs beside the writer, from what it made durable; the writer does not know of it.

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-tiles.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from seawall.journal.disk import Disk, OsDisk
from seawall.journal.files import write_file
from seawall.journal.layout import FIRST_FRAME, FIRST_SEQ, ID_BYTES, Frame, Position
from seawall.journal.merkle import HASH_BYTES, Tiles, Tree, consistency_proof, proves_consistency
from seawall.journal.reading import Mirror, frames
from seawall.journal.tail import Tail
from seawall.vocabulary.errors import (
    CheckpointMismatch,
    InputError,
    JournalBusy,
    JournalCorrupt,
    JournalError,
    TilesDamaged,
)
from seawall.vocabulary.records import COMMAND

TILES_NAME: Final = "tiles"
CHECKPOINT_NAME: Final = "checkpoint"
_ED25519: Final = b"\1"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_DASH: Final = "\N{EM DASH} "
_NAME: Final = re.compile(r"[^\s+]+")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key under its name, as a C2SP verifier key."""

    name: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Of `<name>+<hex of the key id>+<base64 of 0x01 and the key>`. Raises InputError."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _unbase64(encoded) or b""
        if not _NAME.fullmatch(name) or raw[:1] != _ED25519 or len(raw) != 1 + _KEY_BYTES:
            raise InputError("public key", text.strip(), "must be a C2SP verifier key of Ed25519: name+id+base64")
        public = cls(name, raw[1:])
        if public.id.hex() != key_id:
            raise InputError("public key", text.strip(), f"its id must be {public.id.hex()}, as name and key give it")
        return public

    @classmethod
    def read(cls, source: str) -> "PublicKey":
        """The key itself, or of the file that holds it. Raises InputError."""
        return cls.parse(read_text(Path(source)) if Path(source).is_file() else source)

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, 0x01, key)."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:_ID_BYTES]

    @property
    def vkey(self) -> str:
        """The inverse of `parse`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"

    def open(self, note: str) -> str:
        """The text of a signed note. Raises CheckpointMismatch unless this key signed it."""
        text, blank, lines = note.rpartition("\n\n")
        if not blank or not lines.endswith("\n") or any(char < " " and char != "\n" for char in note):
            raise CheckpointMismatch("not a signed note: text, an empty line, signature lines")
        text += "\n"
        good = False
        for line in lines[:-1].split("\n"):
            name, _, encoded = line.removeprefix(_DASH).partition(" ")
            raw = _unbase64(encoded)
            if not line.startswith(_DASH) or raw is None:
                raise CheckpointMismatch(f"not a signature line: {line!r}")
            if (name, raw[:_ID_BYTES]) != (self.name, self.id):
                continue  # another's signature says nothing to us
            try:
                Ed25519PublicKey.from_public_bytes(self.key).verify(raw[_ID_BYTES:], text.encode())
            except InvalidSignature as error:
                raise CheckpointMismatch(f"the signature of {self.name} is not of this text") from error
            good = True
        if not good:
            raise CheckpointMismatch(f"not signed by {self.vkey}")
        return text


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key under its name. Files: the key in PEM (PKCS 8), and beside it `.pub` with the vkey."""

    public: PublicKey
    private: Ed25519PrivateKey

    @classmethod
    def create(cls, name: str, path: Path, passphrase: bytes | None = None) -> "SigningKey":
        """A new key in `path`, readable by its owner only, encrypted if there is a passphrase; `path`.pub has the vkey.

        Raises InputError for a bad name or where one of the files is there.
        """
        check_new_key(name, path)
        key = cls.of(name, Ed25519PrivateKey.generate())
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase)
        pem = key.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        for file, data, mode in ((path, pem, 0o600), (_pub(path), f"{key.public.vkey}\n".encode(), 0o644)):
            try:
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            except OSError as error:
                raise InputError("key", str(file), f"must be a new file in a folder that is there: {error}") from error
            with open(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(descriptor)
        return key

    @classmethod
    def of(cls, name: str, private: Ed25519PrivateKey) -> "SigningKey":
        """A private key with its public one."""
        return cls(PublicKey(name, private.public_key().public_bytes_raw()), private)

    @classmethod
    def read(cls, path: Path, passphrase: bytes | None = None) -> "SigningKey":
        """The key in `path`, its name from `path`.pub. Raises InputError, also if others may read the file."""
        pem = read_text(path).encode()
        if path.stat().st_mode & 0o077:
            raise InputError("key", str(path), "must be readable by its owner only: chmod 600")
        try:
            private = serialization.load_pem_private_key(pem, passphrase)
        except (ValueError, TypeError) as error:
            raise InputError("key", str(path), f"cannot be read with this passphrase: {error}") from error
        public = PublicKey.parse(read_text(_pub(path)))
        if not isinstance(private, Ed25519PrivateKey) or private.public_key().public_bytes_raw() != public.key:
            raise InputError("key", str(path), f"must be the Ed25519 key that {_pub(path)} is the public half of")
        return cls(public, private)

    def sign(self, text: str) -> str:
        """The text as a signed note."""
        raw = self.public.id + self.private.sign(text.encode())
        return f"{text}\n{_DASH}{self.public.name} {base64.b64encode(raw).decode()}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of a journal: `size` commands up to the end of frame `frame`, whose hash is `frame_hash`."""

    origin: str
    size: int
    root: bytes
    journal: bytes
    frame: int
    frame_hash: bytes

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Of a checkpoint's text, signatures or not. Raises InputError."""
        lines = text.partition("\n\n")[0].rstrip("\n").split("\n")
        words = [line.split(" ") for line in lines[3:]]
        try:
            origin, size, encoded = lines[:3]
            (_, journal), (_, frame, frame_hash) = words
            found = cls(
                origin, _number(size), _unbase64(encoded) or b"", bytes.fromhex(journal), _number(frame),
                bytes.fromhex(frame_hash),
            )  # fmt: skip
        except ValueError as error:
            raise InputError("checkpoint", text[:200], "must be the text of a Seawall checkpoint") from error
        if found.text != "\n".join(lines) + "\n" or found.size < 1 or found.frame < 1:
            raise InputError("checkpoint", text[:200], "must be the text of a Seawall checkpoint, to the byte")
        if (len(found.root), len(found.journal), len(found.frame_hash)) != (HASH_BYTES, ID_BYTES, HASH_BYTES):
            raise InputError("checkpoint", text[:200], "must have hashes of 32 bytes and a journal's id of 16")
        return found

    @property
    def text(self) -> str:
        """What is signed."""
        return (
            f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"
            f"journal {self.journal.hex()}\nframe {self.frame} {self.frame_hash.hex()}\n"
        )

    def __str__(self) -> str:
        return f"{self.size} commands up to frame {self.frame} with hash {self.frame_hash.hex()}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a journal has where a checkpoint says something; `ok` if it holds, else `what` says how not.

    `hash` is that of the journal's frame `checkpoint.frame`, empty where it has none; `root` is of the commands up to
    there; `commands` and `frames` are the whole journal's.
    """

    ok: bool
    what: str
    journal: bytes
    commands: int
    frames: int
    hash: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Made:
    """A checkpoint just made; `added` commands were hashed for it, all of them where the tiles were made anew."""

    checkpoint: Checkpoint
    note: str
    added: int
    replaced: Checkpoint | None
    """What was held elsewhere before."""


def check_new_key(name: str, path: Path) -> None:
    """Raise InputError unless a key of that name can be made in that file."""
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise InputError("NAME", name, "must be without spaces and plus signs, such as venue.example/journal")
    for file in (path, _pub(path)):
        if file.exists() or not file.parent.is_dir():
            raise InputError("key", str(file), "must be a new file in a folder that is there")


def leaf_data(record: bytes, attachment: bytes) -> bytes:
    """What is hashed for one command: its 128 bytes and, where it has an attachment, the attachment's SHA-256.

    So a receipt stays small, and what is attached can be shown or kept back.
    """
    return record + sha256(attachment).digest() if attachment else record


def leaf_hashes(frame: Frame) -> bytes:
    """The leaf hashes of a frame's commands, one after the other."""
    records, step = frame.commands.tobytes(), COMMAND.itemsize
    leaves = [b"\0" + records[at : at + step] for at in range(0, len(records), step)]
    end = 0
    for command in frame.commands["attachment"].nonzero()[0].tolist():
        start, end = end, end + int(frame.commands["attachment"][command])
        leaves[command] = b"\0" + leaf_data(leaves[command][1:], frame.attachments[start:end])
    return b"".join([sha256(leaf).digest() for leaf in leaves])


def compare(folders: Sequence[Path], checkpoint: Checkpoint, archive: Path | None = None) -> Comparison:
    """Hash the journal anew and hold it against the checkpoint; tiles are not read.

    Raises InputError without a journal, or where segments are retired and no `archive` has them; JournalCorrupt where
    it cannot be read or does not follow what the archive ends with.
    """
    mirror = Mirror(folders, OsDisk())
    journal, base = mirror.identity.journal, mirror.base
    tree, found, size, last = Tree(), b"", 0, (0, 0)
    for frame in chain(_retired(folders, FIRST_FRAME, base, archive), frames(folders, start=base.frame)):
        last = frame.number, _end(frame)
        if frame.number <= checkpoint.frame:
            tree.append(leaf_hashes(frame))
        if frame.number == checkpoint.frame:
            found, size = frame.hash, last[1]
    root = tree.root()
    has = f"the journal has {last[1]} commands in {last[0]} frames"
    if journal != checkpoint.journal:
        what = f"it is of journal {checkpoint.journal.hex()}, this is journal {journal.hex()}"
    elif not found or last[1] < checkpoint.size:
        what = f"rolled back: {has}"
    elif (found, size) != (checkpoint.frame_hash, checkpoint.size):
        what = f"rewritten: {has}, {size} up to frame {checkpoint.frame} with hash {found.hex()}"
    elif root != checkpoint.root:
        what = f"it has the root {checkpoint.root.hex()}, the journal's first {size} commands have {root.hex()}"
    else:
        return Comparison(True, "the journal holds what it says", journal, last[1], last[0], found, root)
    return Comparison(False, f"the checkpoint has {checkpoint}; {what}", journal, last[1], last[0], found, root)


class Signer:
    """Signs checkpoints of a journal, one after the other, beside its writer. A context manager: it holds locks.

    Rules: hashed is only what a `Tail` gives, so what is durable in both copies. Hashing goes on behind the checkpoint
    in the tiles' folder, if this key signed it. Neither that one nor the one in `hold` is
    replaced by one that is not proven to continue it. With `write` False nothing is written at all.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        tiles_folder: Path,
        key: SigningKey,
        *,
        hold: Path | None = None,
        archive: Path | None = None,
        write: bool = True,
    ) -> None:
        """`archive` has the segments that were retired: wanted where tiles are to be made anew.

        Raises CheckpointMismatch when a checkpoint there is not of this journal, or the one in `hold` not of this key;
        InputError without a journal, JournalBusy beside another of its kind, JournalCorrupt.
        """
        if hold is not None and hold.resolve() == tiles_folder.resolve():
            raise InputError("hold", str(hold), "must be another folder than the tiles': better another machine's")
        self._folders, self._archive, self._key, self._disk = tuple(folders), archive, key, OsDisk()
        self._tiles, self._write, self._added = Tiles(tiles_folder, write=write), write, 0
        self._places = [place / CHECKPOINT_NAME for place in (tiles_folder, hold) if place is not None]
        self._journal = Mirror(folders, self._disk).identity.journal
        with ExitStack() as locks:
            for place in self._places if write else []:
                locks.enter_context(_locked(place.parent, self._disk))
            own = _own(self._places[0], key.public)
            self._held = _held(self._places[1], key.public) if hold is not None else None
            before = zip(self._places, (own, self._held), strict=False)
            self._before = [(place, old) for place, old in before if old is not None]
            for place, old in self._before:
                if not _stands(folders, old, archive):
                    raise self._mismatch(place, old)
            self._begin(own)
            self._locks = locks.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    def take(self) -> int:
        """Hash the next frame that became durable; how many commands that was, 0 when there is nothing new."""
        before = self._tree.size
        for frame in list(islice(self._retired, 1)) or self._tail.poll(1):
            self._tree.append(leaf_hashes(frame))
            self._last = frame.number, frame.hash
        self._added += self._tree.size - before
        return self._tree.size - before

    def sign(self) -> Made:
        """The checkpoint of what was hashed, written to the tiles' folder and to `hold`.

        Raises CheckpointMismatch if it is not proven to continue what is there, InputError if there is nothing to sign.
        """
        if not self._tree.size:
            raise InputError("folders", [str(folder) for folder in self._folders], "hold nothing yet that is durable")
        while True:
            self._tiles.flush(self._tree)
            new = Checkpoint(self._key.public.name, self._tree.size, self._tree.root(), self._journal, *self._last)
            broken = [one for one in self._before if not _proven(self._tiles, one[1], new)]
            if not broken:
                break
            if not self._resumed:
                raise self._mismatch(*broken[0])
            self._begin(None)  # before anyone is accused: a tile may have rotted, so make them anew
            while self.take():
                pass
        note = self._key.sign(new.text)
        for place in reversed(self._places) if self._write else []:
            write_durably(place, note.encode(), self._disk)
        made = Made(new, note, self._added, self._held)
        self._before, self._added = [(place, new) for place in self._places], 0
        if len(self._places) > 1:
            self._held = new
        return made

    def _begin(self, own: Checkpoint | None) -> None:
        """Go on behind a checkpoint whose tiles are there, else make them anew.

        Whether the tiles are right shows when what is signed next is proven to continue that checkpoint.
        """
        try:
            self._tree = self._tiles.grow(own.size if own is not None else 0)
        except TilesDamaged:
            return self._begin(None)
        if own is None:
            self._tiles.clear()
        self._resumed = own is not None
        self._last = (own.frame, own.frame_hash) if own is not None else (0, b"")
        self._added = 0
        start, base = self._last[0] + 1, Mirror(self._folders, self._disk).base
        self._retired: Iterator[Frame] = _retired(self._folders, start, base, self._archive)
        self._tail: Tail = Tail(self._folders, start=max(start, base.frame))

    def _mismatch(self, place: Path, old: Checkpoint) -> CheckpointMismatch:
        found, where = compare(self._folders, old, self._archive), " and ".join(str(one) for one in self._folders)
        return CheckpointMismatch(f"{place} and the journal in {where} do not agree: {found.what}")


def make_checkpoint(
    folders: Sequence[Path],
    tiles_folder: Path,
    key: SigningKey,
    *,
    hold: Path | None = None,
    archive: Path | None = None,
    write: bool = True,
) -> Made:
    """One checkpoint of what is durable now: a `Signer` at work once, with its arguments and errors."""
    with Signer(folders, tiles_folder, key, hold=hold, archive=archive, write=write) as signer:
        while signer.take():
            pass
        return signer.sign()


def read_text(path: Path) -> str:
    """A small text file. Raises InputError."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("file", str(path), f"cannot be read: {error}") from error


def write_durably(path: Path, data: bytes, disk: Disk | None = None) -> None:
    """Put a whole file there, or leave the old one; durable on return. Raises JournalError."""
    disk = disk or OsDisk()
    try:
        disk.make_folder(path.parent)
        write_file(disk, path, data)
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error}") from error


def _own(path: Path, public: PublicKey) -> Checkpoint | None:
    """The checkpoint the tiles were last made for; None where there is none that this key signed."""
    try:
        return Checkpoint.parse(public.open(read_text(path)))
    except (InputError, CheckpointMismatch):
        return None  # the tiles are made anew


def _held(path: Path, public: PublicKey) -> Checkpoint | None:
    """The checkpoint held elsewhere; None where nothing is. Raises CheckpointMismatch unless this key signed it."""
    if not path.exists():
        return None
    try:
        return Checkpoint.parse(public.open(read_text(path)))
    except (InputError, CheckpointMismatch) as error:
        raise CheckpointMismatch(f"{path} is not a checkpoint signed by {public.name}: {error}") from error


def _retired(folders: Sequence[Path], start: int, base: Position, archive: Path | None) -> Iterator[Frame]:
    """The frames from `start` on that the folders say are retired; the journal must follow the last of them.

    The archive is asked for no other: it would stand in for what was rolled back or rewritten in the folders, and so
    hide just what a checkpoint is to find.
    """
    if start >= base.frame:
        return
    last = 0, b""
    for frame in frames(folders, start=start, archive=archive):
        if frame.number >= base.frame:
            break
        last = frame.number, frame.hash
        yield frame
    if last != (base.frame - 1, base.previous):
        raise JournalCorrupt(
            f"the journal begins behind hash {base.previous.hex()},"
            f" the archive ends with frame {last[0]} and hash {last[1].hex()}",
            frame=base.frame,
            page=0,
        )


def _stands(folders: Sequence[Path], old: Checkpoint, archive: Path | None) -> bool:
    """Whether the journal's frame `old.frame` has the hash, which is over all before it, and ends where it says."""
    mirror = Mirror(folders, OsDisk())
    retired = old.frame < mirror.base.frame
    frame = next(frames(folders, start=old.frame, archive=archive if retired else None), None)
    return frame is not None and (
        (frame.number, frame.hash, _end(frame)) == (old.frame, old.frame_hash, old.size)
        and mirror.identity.journal == old.journal
    )


def _proven(tiles: Tiles, old: Checkpoint, new: Checkpoint) -> bool:
    """Whether a proof read from the tiles shows that `new` continues `old`."""
    if not old.size <= new.size:
        return False
    try:
        proof = consistency_proof(tiles.subtree, old.size, new.size)
    except TilesDamaged:
        return False
    return proves_consistency(old.size, new.size, proof, old.root, new.root)


def _end(frame: Frame) -> int:
    """Commands of the journal up to the end of a frame."""
    return frame.first_seq + len(frame.commands) - FIRST_SEQ


@contextmanager
def _locked(folder: Path, disk: OsDisk) -> Iterator[None]:
    """One maker of checkpoints at a time in a folder. Raises JournalBusy, JournalError."""
    try:
        disk.make_folder(folder)
        lock = disk.lock(folder / "lock")
    except BlockingIOError as error:
        raise JournalBusy(f"another seawall checkpoint is at work in {folder}") from error
    except OSError as error:
        raise JournalError(f"cannot lock {folder}: {error}") from error
    try:
        yield
    finally:
        disk.close(lock)


def _pub(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def _number(text: str) -> int:
    """A decimal without leading zeroes. Raises ValueError."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _unbase64(text: str) -> bytes | None:
    """What standard base64 says; None for anything but the one way to write it."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
