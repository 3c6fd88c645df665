"""Who may do what at the operations door: one table of roles and rights, which docs/operations.md repeats.

Restricting needs one person of the right role. Relaxing needs a proposal and people's signatures, see `approvals`; the
right `propose` is to ask for it, SIGNING says whose signatures count.
"""

from typing import Final

ROLES: Final = ("operator", "risk", "compliance", "developer", "auditor", "feeder")

RIGHTS: Final[dict[str, frozenset[str]]] = {
    "operator": frozenset(
        ("look", "halt", "kill", "cancel", "limit", "propose", "sign", "accounts", "keys", "revoke", "backup")
    ),
    "risk": frozenset(("look", "halt", "kill", "cancel", "limit", "propose", "sign", "revoke", "validate")),
    "compliance": frozenset(("look", "halt", "cancel", "limit", "propose", "sign", "revoke")),
    "developer": frozenset(("look",)),
    "auditor": frozenset(("look",)),
    "feeder": frozenset(("feed",)),
}

SIGNING: Final[dict[str, frozenset[str]]] = {
    "state": frozenset(("operator", "risk", "compliance")),
    "limit": frozenset(("risk", "compliance")),
    "rearm": frozenset(("risk", "compliance")),
    "key.create": frozenset(("operator", "risk", "compliance")),
    "key.rotate": frozenset(("operator", "risk", "compliance")),
    "deposit": frozenset(("risk", "compliance")),
    "tier": frozenset(("operator", "risk", "compliance")),
    "currency": frozenset(("operator", "risk", "compliance")),
    "instrument": frozenset(("operator", "risk", "compliance")),
    "deliver": frozenset(("risk", "compliance")),
    "rules": frozenset(("risk", "compliance")),
    "margin": frozenset(("risk", "compliance")),
    "margin.rollback": frozenset(("risk", "compliance")),
    "operator.add": frozenset(("operator", "risk", "compliance")),
    "approver.add": frozenset(("operator", "risk", "compliance")),
    "approver.replace": frozenset(("operator", "risk", "compliance")),
    "approver.remove": frozenset(("operator", "risk", "compliance")),
    "approvers.needed": frozenset(("operator", "risk", "compliance")),
    "break_glass.register": frozenset(("operator", "risk", "compliance")),
}
"""Actions that relax, and the roles whose signatures count for each."""
