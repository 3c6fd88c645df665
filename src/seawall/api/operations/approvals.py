"""Proposals: what relaxes a restriction waits here until m distinct people with the right roles have signed it.

Rules, each with its test:
    signed are the canonical bytes of what will be done, for which venue, by when, proposed by whom, under a random id
    a signature counts if a registered approver's key made it over exactly these bytes, before they expire
    a person counts once, whatever keys they have or had; whom a change is about does not count
    the role must be one that may sign such an action
    every signature is checked again when the next one comes: an approver removed meanwhile does not count, and who
    signed with a key that was replaced may sign again
    what it is about must stand as it stood when it was proposed: a later halt is not lifted by an earlier consent
    an id is good once; bytes of another venue, or altered, are another text, and no signature is of it
    the break-glass key counts as all that are needed, for `state` alone, once
"""

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from seawall.api.keystore import Registry
from seawall.api.operations import canonical
from seawall.api.operations.roles import SIGNING
from seawall.journal.checkpoint import PublicKey
from seawall.vocabulary.errors import InputError

LIFETIME_MS: Final = 3_600_000
LIFETIME_MAX_MS: Final = 7 * 86_400_000
PENDING_MAX: Final = 100
ENDED_KEPT: Final = 200
BREAK_GLASS: Final = "break-glass"
PENDING, EXECUTING, EXECUTED, FAILED, WITHDRAWN, EXPIRED = (
    "pending",
    "executing",
    "executed",
    "failed",
    "withdrawn",
    "expired",
)
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's, under one proposal."""

    person: str
    role: str
    key: str
    signature: str


@dataclass(slots=True)
class Proposal:
    """Canonical bytes, what they say, who signed them, what became of it."""

    payload: bytes
    document: dict[str, Any]
    state: str = PENDING
    outcome: str = ""
    seq: int = 0
    signatures: list[Signature] = field(default_factory=list)
    noted: int = 0
    """Seq of the command that journalled it."""
    sealed: str = ""
    """A secret that begins to count with the approval; in memory only, never in the bytes."""

    @property
    def id(self) -> str:
        """Its random id."""
        return str(self.document["proposal"])

    @property
    def action(self) -> str:
        """What is asked."""
        return str(self.document["action"])

    @property
    def parameters(self) -> dict[str, Any]:
        """Of what."""
        found: dict[str, Any] = self.document["parameters"]
        return found

    @property
    def people(self) -> list[str]:
        """Who signed."""
        return [one.person for one in self.signatures]

    def needed(self, least: int) -> int:
        """How many people must sign where usually `least` do."""
        return least + int(self.parameters.get("more", 0))

    def __repr__(self) -> str:
        return f"Proposal({self.id}, {self.action}, {self.state})"


class Proposals:
    """Those that wait, and the last that ended."""

    def __init__(self, venue: str, registry: Registry) -> None:
        """`venue` is the journal's id in hex."""
        self.venue, self.registry = venue, registry
        self.rows: dict[str, Proposal] = {}

    def draft(self, action: str, parameters: dict[str, Any], by: str, now_ms: int, lifetime_ms: int = 0) -> Proposal:
        """A proposal that does not wait yet. Raises InputError."""
        if action not in SIGNING:
            raise InputError("action", action, f"must be one of {', '.join(SIGNING)}")
        lifetime_ms = lifetime_ms or LIFETIME_MS
        if not 60_000 <= lifetime_ms <= LIFETIME_MAX_MS:
            raise InputError("lifetime_ms", lifetime_ms, f"must lie in [60000, {LIFETIME_MAX_MS}]")
        document = {
            "action": action,
            "created": now_ms,
            "expires": now_ms + lifetime_ms,
            "parameters": parameters,
            "proposal": secrets.token_hex(16),
            "proposed_by": by,
            "venue": self.venue,
        }
        return Proposal(canonical.encode(document), document)

    def add(self, proposal: Proposal, now_ms: int) -> None:
        """Let it wait for signatures. Raises InputError where too many wait, or its id was used."""
        self.expire(now_ms)
        if sum(row.state in (PENDING, EXECUTING) for row in self.rows.values()) >= PENDING_MAX:
            raise InputError("proposals", PENDING_MAX, "so many wait already; withdraw some")
        if proposal.id in self.rows:
            raise InputError("proposal", proposal.id, "must be new")
        self.rows[proposal.id] = proposal
        ended = [id_ for id_, row in self.rows.items() if row.state not in (PENDING, EXECUTING)]
        for id_ in ended[: max(0, len(ended) - ENDED_KEPT)]:
            del self.rows[id_]

    def get(self, id_: str, now_ms: int) -> Proposal:
        """A proposal by its id. Raises InputError."""
        self.expire(now_ms)
        row = self.rows.get(id_)
        if row is None:
            raise InputError("proposal", id_[:64], "is not known here")
        return row

    def sign(self, id_: str, key: str, signature: str, now_ms: int) -> tuple[Proposal, bool]:
        """Take a signature; returns the proposal and whether it has all it needs. Raises InputError, saying why not.

        When it has, its state is EXECUTING, and nothing else can happen to it.
        """
        row = self.get(id_, now_ms)
        if row.state != PENDING:
            raise InputError("proposal", id_[:64], f"is {row.state}, not pending")
        made = self._counts(row, key, signature)
        counting = [one for one in row.signatures if self._still_counts(row, one)]
        if any(one.person == made.person for one in counting):
            raise InputError("person", made.person, "has signed this already, and counts once")
        row.signatures = [*counting, made]
        complete = made.person == BREAK_GLASS or len(row.signatures) >= row.needed(self.registry.needed)
        if complete:
            row.state = EXECUTING
        return row, complete

    def withdraw(self, id_: str, now_ms: int, *, dry_run: bool = False) -> Proposal:
        """End one that waits. Raises InputError."""
        row = self.get(id_, now_ms)
        if row.state != PENDING:
            raise InputError("proposal", id_[:64], f"is {row.state}, not pending")
        if not dry_run:
            row.state, row.sealed = WITHDRAWN, ""
        return row

    def expire(self, now_ms: int) -> None:
        """End what nobody signed in time."""
        for row in self.rows.values():
            if row.state == PENDING and now_ms >= row.document["expires"]:
                row.state, row.sealed = EXPIRED, ""

    def attachment(self, row: Proposal) -> bytes:
        """What is journalled with the commands: the bytes that were signed, as text, and the signatures."""
        return canonical.encode(
            {
                "note": "approval",
                "payload": row.payload.decode(),
                "signatures": [
                    {"key": one.key, "person": one.person, "role": one.role, "signature": one.signature}
                    for one in row.signatures
                ],
            }
        )

    def _still_counts(self, row: Proposal, one: Signature) -> bool:
        try:
            return self._counts(row, one.key, one.signature) == one
        except InputError:
            return False

    def _counts(self, row: Proposal, key: str, signature: str) -> Signature:
        """The signature, if it counts. Raises InputError."""
        glass = self.registry.break_glass
        if glass is not None and key == glass.key:
            if row.action != "state":
                raise InputError("break-glass", row.action, "the break-glass key is for states alone")
            if glass.used:
                raise InputError("break-glass", glass.used, "the break-glass key was used; register another")
            person, role = BREAK_GLASS, BREAK_GLASS
        else:
            approver = next((one for one in self.registry.approvers if one.key == key), None)
            if approver is None:
                raise InputError("key", key[:100], "is no registered approver's")
            person, role = approver.person, approver.role
            if role not in SIGNING[row.action]:
                raise InputError(
                    "role", role, f"may not sign {row.action}; {', '.join(sorted(SIGNING[row.action]))} may"
                )
            if row.action.startswith("approver.") and row.parameters.get("person") == person:
                raise InputError("person", person, "may not approve what is about themselves")
        if not verifies(key, signature, row.payload):
            raise InputError("signature", signature[:16], "is not this key's over the proposal's bytes")
        return Signature(person, role, key, signature)


def verifies(key: str, signature: str, payload: bytes) -> bool:
    """Whether a signature (base64) under a verifier key is of exactly these bytes."""
    try:
        raw = base64.b64decode(signature, validate=True)
        if len(raw) != _SIGNATURE_BYTES:
            return False
        Ed25519PublicKey.from_public_bytes(PublicKey.parse(key).key).verify(raw, payload)
    except (binascii.Error, ValueError, InvalidSignature, InputError):
        return False
    return True


def check_approval(data: bytes) -> tuple[dict[str, Any], list[Signature]]:
    """What an approval found in a journal says, each signature verified. Raises InputError for one that does not hold.

    Whether the keys were the approvers' is in the journal too: each change of theirs was such an approval.
    """
    note = canonical.decode(data)
    if not isinstance(note, dict) or note.get("note") != "approval":
        raise InputError("note", data[:40], "must be an approval")
    payload = str(note["payload"]).encode()
    document = canonical.decode(payload)
    signatures = [Signature(one["person"], one["role"], one["key"], one["signature"]) for one in note["signatures"]]
    for one in signatures:
        if not verifies(one.key, one.signature, payload):
            raise InputError("signature", one.person, "is not of the payload")
    return document, signatures
