"""Inclusion receipts: that one command is in the journal under a signed checkpoint, to be shown without the journal.

`examples/verify_receipt.py` checks one with nothing of Seawall.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from seawall.journal.checkpoint import Checkpoint, PublicKey, leaf_data
from seawall.journal.disk import OsDisk
from seawall.journal.layout import FIRST_FRAME, FIRST_SEQ
from seawall.journal.merkle import Tiles, inclusion_proof, leaf_hash, proves_inclusion
from seawall.journal.reading import Mirror, frames, read_header
from seawall.vocabulary.errors import CheckpointMismatch, InputError

FORMAT: Final = "seawall receipt 1"


def make_receipt(
    folders: Sequence[Path],
    tiles_folder: Path,
    note: str,
    seq: int,
    public: PublicKey | None = None,
    archive: Path | None = None,
) -> dict[str, Any]:
    """The receipt of command `seq` under the checkpoint in `note`, as a JSON document.

    With a `public` key the signature is checked. Raises InputError for a command the checkpoint does not cover,
    CheckpointMismatch for another's signature or another journal's checkpoint, TilesDamaged, JournalCorrupt.
    """
    checkpoint = Checkpoint.parse(note if public is None else public.open(note))
    index = seq - FIRST_SEQ
    if not 0 <= index < checkpoint.size:
        raise InputError("SEQ", seq, f"must be a command the checkpoint covers, 1 to {checkpoint.size}")
    record, attachment = _command(folders, seq, archive)
    proof = inclusion_proof(Tiles(tiles_folder).subtree, index, checkpoint.size)
    leaf = leaf_hash(leaf_data(record, attachment))
    if not proves_inclusion(leaf, index, checkpoint.size, proof, checkpoint.root):
        raise CheckpointMismatch(
            f"command {seq} is not under the checkpoint of {checkpoint}: if seawall verify --checkpoint says that the"
            f" journal holds it, tiles are damaged: remove {tiles_folder} and run seawall checkpoint"
        )
    return {
        "format": FORMAT,
        "record": record.hex(),
        "attachment_sha256": sha256(attachment).hexdigest() if attachment else None,
        "index": index,
        "proof": [one.hex() for one in proof],
        "checkpoint": note,
    }


def encode_receipt(receipt: dict[str, Any]) -> bytes:
    """The receipt's file."""
    return json.dumps(receipt, indent=1).encode() + b"\n"


def _command(folders: Sequence[Path], seq: int, archive: Path | None) -> tuple[bytes, bytes]:
    """The record of a command and its attachment, read from the last segment that begins no later."""
    disk, start = OsDisk(), FIRST_FRAME
    mirror = Mirror([*folders, *([archive] if archive else [])], disk, whole=archive is not None)
    for segment in mirror.present:
        for folder in mirror.folders:
            header = read_header(folder, segment, disk)
            if header is not None and header[0] == mirror.identity and header[1].seq <= seq:
                start = max(start, header[1].frame)
    for frame in frames(folders, start=start, archive=archive):
        at = seq - frame.first_seq
        if 0 <= at < len(frame.commands):
            shares = frame.commands["attachment"]
            first = int(shares[:at].sum())
            return frame.commands[at].tobytes(), frame.attachments[first : first + int(shares[at])]
    raise InputError("SEQ", seq, "is not in the journal")
