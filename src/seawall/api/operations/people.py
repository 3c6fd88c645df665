"""The first people: of a real venue one operator, of a development venue everybody, keys and all.

A real venue's others come by `POST /people`: nobody but a development venue has the keys of those who approve.
"""

import os
import secrets
from pathlib import Path
from typing import Any, Final

from seawall.api.keystore import Approver, BreakGlass, Keystore, Operator, Registry, token_hash
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


def write_secret(file: Path, text: str) -> None:
    """A new file that its owner alone may read, for whoever runs the machine to hand over and remove."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as out:
        out.write(text)


def _verifier_key(person: str, file: Path) -> str:
    if file.is_file():
        return PublicKey.read(f"{file}.pub").vkey
    return SigningKey.create(f"{person}/approver", file).public.vkey
