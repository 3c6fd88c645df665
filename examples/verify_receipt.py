"""Checks a Seawall receipt offline, with nothing of Seawall: python verify_receipt.py RECEIPT PUBLIC_KEY_FILE
Exit 0: whoever has that key attests that this very command is in the journal. Exit 1: nobody does.
"""

import json
import struct
import sys
from base64 import b64decode, b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KINDS = """OPENED CURRENCY INSTRUMENT ACCOUNT TIER PUBLISH STATE TIME CLOSED RULES LIMIT MEMBER INDEX KILL UNDERLYING
    ORDER CANCEL CANCEL_ALL EDIT DEAD_MAN PROTECT PROTECT_RESET REARM UPSTREAM ACKNOWLEDGED EXECUTED ENDED UNKNOWN
    BOOKED AMENDED DEPOSIT WITHDRAW FUNDING SETTLE EXPIRE"""
KIND = dict(zip([*range(1, 16), *range(20, 28), *range(30, 37), *range(40, 45)], KINDS.split(), strict=True))
FIELDS = """seq time kind side tif state flags type watch self_match account instrument currency tier client_id order_id
    price quantity amount attachment version trigger strategy display until label"""
RECORD = struct.Struct("<qqBbBBBBBBiiiiqqqqqqqiiqqq")


def signed_head(note, vkey):
    """Tree size and root hash of a checkpoint that the key signed (C2SP signed-note and tlog-checkpoint)."""
    name, key_id, key = vkey.strip().split("+", 2)
    text, _, lines = note.rpartition("\n\n")
    mine = [line.rpartition(" ")[2] for line in lines.split("\n") if line.startswith(f"\u2014 {name} ")]
    signatures = [raw for raw in map(b64decode, mine) if raw[:4].hex() == key_id and b64encode(raw).decode() in mine]
    origin, size, root = text.split("\n")[:3]
    if len(signatures) != 1 or origin != name:
        raise ValueError(f"not a checkpoint that {name} signed")
    Ed25519PublicKey.from_public_bytes(b64decode(key)[1:]).verify(signatures[0][4:], f"{text}\n".encode())
    return int(size), b64decode(root)


def check(receipt, vkey):
    """What the command was; raises if anything does not hold (inclusion: RFC 9162, section 2.1.3.2)."""
    size, root = signed_head(receipt["checkpoint"], vkey)
    record, attached = bytes.fromhex(receipt["record"]), bytes.fromhex(receipt["attachment_sha256"] or "")
    says = dict(zip(FIELDS.split(), RECORD.unpack(record), strict=True))
    at, last, found = receipt["index"], size - 1, sha256(b"\0" + record + attached).digest()
    if not 0 <= at <= last or at != says["seq"] - 1 or len(attached) != (32 if says["attachment"] else 0):
        raise ValueError("the index or the attachment's hash is not that of the command")
    for sibling in map(bytes.fromhex, receipt["proof"]):
        right = at & 1 or at == last
        found = sha256(b"\1" + (sibling + found if right else found + sibling)).digest()
        while right and at and not at & 1:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    if last != 0 or found != root:
        raise ValueError("the command is not under the signed root")
    return ", ".join(f"{name} {KIND.get(value, value) if name == 'kind' else value}" for name, value in says.items())


try:
    with open(sys.argv[1]) as receipt, open(sys.argv[2]) as vkey:
        print(check(json.load(receipt), vkey.read()), "OK", sep="\n")
except (InvalidSignature, OSError, ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
    sys.exit(f"REFUSED: {error or type(error).__name__}")
