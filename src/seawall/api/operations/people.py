"""The people of a development venue: five operators with tokens, four approvers and a sealed key in files.

A real venue's people come by `POST /people`: nobody but a development venue has the keys of those who approve.
"""

import secrets
from pathlib import Path
from typing import Any, Final

from seawall.api.keystore import Approver, BreakGlass, Keystore, Operator, Registry, token_hash
from seawall.journal.checkpoint import PublicKey, SigningKey

OPERATORS: Final = {"olivia": "operator", "rita": "risk", "carl": "compliance", "dana": "developer", "ada": "auditor"}
APPROVERS: Final = {"olivia": "operator", "rita": "risk", "carl": "compliance", "rob": "risk"}
SEALED: Final = "sealed"


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


def _verifier_key(person: str, file: Path) -> str:
    if file.is_file():
        return PublicKey.read(f"{file}.pub").vkey
    return SigningKey.create(f"{person}/approver", file).public.vkey
