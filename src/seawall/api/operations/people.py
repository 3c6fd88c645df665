"""The first people: of a real venue one operator, of a development venue everybody, keys and all.

A real venue's others come by `POST /people`: nobody but a development venue has the keys of those who approve.
"""

import os
import secrets
from collections.abc import Set
from pathlib import Path
from typing import Any, Final

from seawall.api.keystore import Approver, BreakGlass, Keystore, Operator, Registry, token_hash
from seawall.api.operations.record import Record
from seawall.journal.checkpoint import PublicKey, SigningKey

OPERATORS: Final = {
    "olivia": "operator",
    "rita": "risk",
    "carl": "compliance",
    "dana": "developer",
    "ada": "auditor",
    "fay": "feeder",
}
APPROVERS: Final = {"olivia": "operator", "rita": "risk", "carl": "compliance", "rob": "risk"}
SEALED: Final = "sealed"
FIRST_TOKEN: Final = "first-operator.token"


def development_people(store: Keystore, folder: Path) -> list[dict[str, Any]]:
    """Register them; returns name, role and a new token of each operator, `key` the file an approver signs with.

    Keys of an earlier start are kept. Raises InputError, JournalError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {person: folder / f"{person}.key" for person in [*APPROVERS, SEALED]}
    keys = {person: _verifier_key(person, file) for person, file in files.items()}
    tokens = {person: secrets.token_urlsafe(32) for person in OPERATORS}

    def edit(registry: Registry) -> None:
        registry.operators = [Operator(name, role, token_hash(tokens[name])) for name, role in OPERATORS.items()]
        if not registry.approvers:
            registry.approvers = [Approver(name, role, keys[name]) for name, role in APPROVERS.items()]
            registry.break_glass = BreakGlass(keys[SEALED])

    store.change_now(edit)
    people = [{"name": name, "role": role, "token": tokens[name]} for name, role in OPERATORS.items()]
    return [row | ({"key": str(files[row["name"]])} if row["name"] in APPROVERS else {}) for row in people]


def first_operator(store: Keystore, folder: Path) -> Path | None:
    """Where nobody may operate, on the first day or after the last token was revoked, make one operator.

    Returns the file with the token (mode 0600), which whoever runs the machine hands over and removes; None where there
    is an operator. Raises InputError, JournalError.
    """
    if any(not one.revoked and one.role == "operator" for one in store.registry.operators):
        return None
    token, file = secrets.token_urlsafe(32), folder / FIRST_TOKEN
    write_secret(file, token + "\n")
    store.change_now(lambda registry: registry.operators.append(Operator("first", "operator", token_hash(token))))
    return file


def hold(registry: Registry, record: Record) -> None:
    """Make people and secrets what the journal says they became, whatever an older or unwritten keystore has.

    Trading keys that it does not have cannot be made: their secrets are in no journal.
    """
    for id_ in record.revoked & registry.keys.keys():
        registry.keys[id_].revoked = True
    latest = {str(facts["id"]): (facts, at) for facts, at in record.people.values() if facts["action"] == "key.rotate"}
    for id_, (facts, at) in latest.items():
        key = registry.keys.get(id_)
        if key is not None and token_hash(key.secret) != facts.get("secret_sha256", token_hash(key.secret)):
            # nobody has the new one: the key is to be rotated again
            key.rotate(secrets.token_urlsafe(32), at / 1000 + facts["overlap_s"])
    coming = {str(facts.get("token_sha256", "")) for facts, _ in record.people.values()}
    for facts, _ in record.people.values():
        coming.discard(str(facts.get("token_sha256", "")))
        change(registry, facts["action"], facts, coming)
    glass = registry.break_glass
    if glass is not None and not glass.used:
        glass.used = record.break_glass.get(glass.key, "")
    reviewed = {facts.get("proposal") for facts, _ in record.people.values() if facts["action"] == "post-mortem"}
    if glass is not None and glass.used in reviewed:
        glass.reviewed = True


def change(registry: Registry, action: str, facts: dict[str, Any], coming: Set[str] = frozenset()) -> None:
    """What an action does to the people registered: when it is carried out, and when a keystore is held to the journal.

    `coming`: tokens that the journal gave later, which an earlier revocation is not about.
    """
    person = facts.get("person")
    if action == "setup":
        registry.approvers[:] = [Approver(one["person"], one["role"], one["key"]) for one in facts["approvers"]]
        _hold_glass(registry, facts.get("break_glass", ""))
    elif action in ("operator.add", "operator.first"):
        if all(one.token != facts["token_sha256"] for one in registry.operators):
            role = "operator" if action == "operator.first" else str(facts["role"])  # the note's own is who did it
            registry.operators.append(Operator(str(person), role, facts["token_sha256"]))
    elif action == "operator.revoke":
        for one in registry.operators:
            one.revoked = one.revoked or (one.person == person and one.token not in coming)
    elif action == "approver.add":
        registry.approvers[:] = [one for one in registry.approvers if one.person != person]
        registry.approvers.append(Approver(str(person), facts["role"], PublicKey.parse(facts["key"]).vkey))
    elif action == "approver.replace":
        for approver in registry.approvers:
            if approver.person == person:
                approver.key = facts["key"]
    elif action == "approver.remove":
        registry.approvers[:] = [one for one in registry.approvers if one.person != person]
    elif action == "approvers.needed":
        registry.needed = int(facts["needed"])
    elif action == "break_glass.register":
        _hold_glass(registry, PublicKey.parse(facts["key"]).vkey)


def _hold_glass(registry: Registry, key: str) -> None:
    if registry.break_glass is None or registry.break_glass.key != key:
        registry.break_glass = BreakGlass(key) if key else None


def write_secret(file: Path, text: str) -> None:
    """A new file that its owner alone may read, for whoever runs the machine to hand over and remove."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as out:
        out.write(text)


def _verifier_key(person: str, file: Path) -> str:
    if file.is_file():
        return PublicKey.read(f"{file}.pub").vkey
    return SigningKey.create(f"{person}/approver", file).public.vkey
