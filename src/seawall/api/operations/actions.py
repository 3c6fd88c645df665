"""What an approved proposal does: for each action its commands, and its change of the keystore.

Parameters were made by this build when it was proposed; they are read again as strangers' here, for they come back from
the journal after a restart.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from seawall.api.access import LEVELS, SCOPES
from seawall.api.keystore import NEVER, Approver, Edit, Key, Registry
from seawall.api.listing import Listing
from seawall.api.operations.approvals import BREAK_GLASS
from seawall.api.operations.journalling import Act
from seawall.api.operations.naming import account_number, aimed, instrument_number, numbers_of
from seawall.api.operations.people import change
from seawall.api.operations.roles import ROLES, SIGNING
from seawall.api.view import View
from seawall.engine.catalogue import SHAPES
from seawall.journal.checkpoint import PublicKey
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.records import FLAG_APPROVED, RULES_FOLDED, Kind, Limit, VenueState

STATES: Final = {"open": VenueState.OPEN, "reduce_only": VenueState.REDUCE_ONLY, "halted": VenueState.HALTED}
OVERLAP_MAX_S: Final = 30 * 86_400
_NONE_IS_ZERO: Final = (Limit.MESSAGES, Limit.CANCELS, Limit.FORBIDDEN)


class World(NamedTuple):
    """What an action is carried out in: numbers of the engine, the registry, seconds now, a secret that waited."""

    view: View
    underlyings: list[int]
    """Of each block."""
    instruments: int
    rules: int
    registry: Registry
    now: float
    sealed: str = ""
    spent: tuple[str, ...] = ()
    """Break-glass keys that were used: whoever opened the envelope has them still."""


class Deed(NamedTuple):
    """What is done: commands in order, and a change of the keystore."""

    acts: list[Act]
    edit: Edit | None = None
    rules: int = 0
    """To go on under; with no other command."""


def state_acts(world: World, scope: str, name: str, state: str, *, approved: bool) -> list[Act]:
    """STATE commands for all that a scope and a name mean."""
    if state not in STATES:
        raise InputError("state", state[:64], f"must be one of {', '.join(STATES)}")
    flags = FLAG_APPROVED if approved else 0
    return [
        Act(Kind.STATE, {"state": STATES[state], "flags": flags, **aimed(*thing)})
        for thing in numbers_of(world.view, world.underlyings, scope, name)
    ]


def limit_number(name: str) -> Limit:
    """A limit by its name. Raises InputError."""
    if name not in Limit.__members__:
        raise InputError("limit", name[:64], f"must be one of {', '.join(Limit.__members__)}")
    return Limit[name]


def limit_acts(world: World, parameters: dict[str, Any], *, approved: bool) -> list[Act]:
    """The LIMIT command; `row` is [amount or none, quantity, window in ns] as text: they go beyond 2^53."""
    limit = limit_number(str(parameters["limit"]))
    account, instrument = parameters.get("account", ""), parameters.get("instrument", "")
    shape = SHAPES[limit]
    if bool(account) != shape.account or (bool(instrument) and not shape.instrument):
        wanted = " and ".join(
            word for word, used in (("an account", shape.account), ("an instrument", shape.instrument)) if used
        )
        raise InputError("limit", limit.name, f"is of {wanted or 'the venue'}")
    if shape.instrument and not instrument and limit != Limit.FORBIDDEN:
        raise InputError("limit", limit.name, "is of an instrument")
    amount, quantity, window = (str(word) for word in parameters["row"])
    none = 0 if limit in _NONE_IS_ZERO else bounds.NO_LIMIT
    fields = {
        "state": limit,
        "account": account_number(world.view, account) if account else -1,
        "instrument": instrument_number(world.view, instrument) if instrument else -1,
        "amount": none if amount == "none" else whole("amount", amount),
        "quantity": whole("quantity", quantity),
        "until": whole("window_ns", window),
        "flags": FLAG_APPROVED if approved else 0,
    }
    return [Act(Kind.LIMIT, fields)]


def whole(field: str, text: Any) -> int:
    """A whole number as text, at most 2^62. Raises InputError."""
    word = str(text)
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= 2**62):
        raise InputError(field, word[:40], "must be a whole number, at most 2^62")
    return int(word)


def deed(world: World, action: str, parameters: dict[str, Any]) -> Deed:
    """What an action does. Raises InputError for parameters that it does not take, or that no longer fit."""
    try:
        return _DEEDS[action](world, parameters)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, msgspec.MsgspecError) as error:
        raise InputError("parameters", action, f"do not fit the action: {error!r}") from error


def _state(world: World, p: dict[str, Any]) -> Deed:
    return Deed(state_acts(world, p["scope"], p["name"], p["state"], approved=True))


def _limit(world: World, p: dict[str, Any]) -> Deed:
    return Deed(limit_acts(world, p, approved=True))


def _rearm(world: World, p: dict[str, Any]) -> Deed:
    fields = {"account": account_number(world.view, p["account"]), "strategy": int(p["strategy"])}
    return Deed([Act(Kind.REARM, {**fields, "flags": FLAG_APPROVED})])


def _deposit(world: World, p: dict[str, Any]) -> Deed:
    currency = next((number for number, (name, _) in world.view.currencies.items() if name == p["currency"]), None)
    if currency is None:
        raise InputError("currency", p["currency"], "must be one of the venue's")
    amount = whole("amount", p["amount"])
    fields = {"account": account_number(world.view, p["account"]), "currency": currency, "amount": amount}
    return Deed([Act(Kind.DEPOSIT, fields)])


def _tier(world: World, p: dict[str, Any]) -> Deed:
    fee_class = {"futures": 0, "options": 1}[p["fee_class"]]
    fields = {"tier": int(p["tier"]), "currency": fee_class, "price": int(p["maker"]), "amount": int(p["taker"])}
    return Deed([Act(Kind.TIER, fields)])


def _instrument(world: World, p: dict[str, Any]) -> Deed:
    numbers = {name: whole(name, value) for name, value in p["spec"].items()}
    product, form = Product(numbers.pop("product")), Form(numbers.pop("form"))
    delivery = Form(numbers.pop("delivery_form", Form.LINEAR))
    spec = Instrument(p["name"], product, form, delivery_form=delivery, **numbers)
    spec.check()
    if p["name"] in world.view.by_name:
        raise InputError("name", p["name"], "must be new")
    number = world.instruments
    note = {**p["units"], "note": "listing", "instrument": number, "name": p["name"], "after": 1}
    note["created_ms"] = int(world.now * 1000)
    Listing.of(spec, note)  # once journalled, whoever folds it reads it
    listed = Act(Kind.INSTRUMENT, {"instrument": number}, spec.encode())
    return Deed([listed, Act(Kind.TIME, {}, msgspec.json.encode(note))])


def _currency(world: World, p: dict[str, Any]) -> Deed:
    name, decimals = str(p["name"]), int(p["decimals"])
    if not 1 <= len(name) <= 16 or not name.isalnum() or not name.isascii():
        raise InputError("name", name[:64], "must be 1 to 16 letters or digits")
    if any(name == known for known, _ in world.view.currencies.values()):
        raise InputError("name", name, "must be new")
    number = len(world.view.currencies)
    note = {"note": "currency", "currency": number, "name": name, "decimals": decimals}
    made = Act(Kind.CURRENCY, {"currency": number, "amount": decimals})
    return Deed([made, Act(Kind.TIME, {}, msgspec.json.encode(note))])


def _deliver(world: World, p: dict[str, Any]) -> Deed:
    number = instrument_number(world.view, p["name"])
    return Deed([Act(Kind.EXPIRE, {"instrument": number, "price": whole("price", p["price"])})])


def _rules(world: World, p: dict[str, Any]) -> Deed:
    rules = int(p["rules"])
    if rules not in RULES_FOLDED or rules <= world.rules:
        raise InputError("rules", rules, f"must be newer than {world.rules} and one of {RULES_FOLDED}")
    return Deed([], rules=rules)


def _margin(world: World, p: dict[str, Any]) -> Deed:
    """The journalled approval is all there is to do; what follows from it is `parameters`'."""
    return Deed([])


def _key_create(world: World, p: dict[str, Any]) -> Deed:
    _sealed(world)
    if p["id"] in world.registry.keys:
        raise InputError("id", p["id"], "must be new")
    check_rights(p["rights"])
    key = Key(
        p["id"], world.sealed, account_number(world.view, p["account"]), p["name"], dict(p["rights"]),
        list(p["addresses"]), p["not_before"] / 1000, p["expires"] / 1000 if p["expires"] else NEVER,
    )  # fmt: skip

    def edit(registry: Registry) -> None:
        registry.keys[key.id] = msgspec.convert(msgspec.to_builtins(key), Key)

    return Deed([], edit)


def _key_rotate(world: World, p: dict[str, Any]) -> Deed:
    _sealed(world)
    key = world.registry.keys.get(p["id"])
    if key is None or key.revoked:
        raise InputError("id", p["id"], "must be a key that is not revoked")
    if not 0 <= p["overlap_s"] <= OVERLAP_MAX_S:
        raise InputError("overlap_s", p["overlap_s"], f"must lie in [0, {OVERLAP_MAX_S}]")
    now, overlap = world.now, p["overlap_s"]

    def edit(registry: Registry) -> None:
        changed = registry.keys[p["id"]]
        changed.before = [old for old in changed.before if old.ends > now]
        changed.rotate(world.sealed, now + overlap)

    return Deed([], edit)


def _operator_add(world: World, p: dict[str, Any]) -> Deed:
    if p["role"] not in ROLES:
        raise InputError("role", p["role"], f"must be one of {', '.join(ROLES)}")
    facts = {name: p[name] for name in ("person", "role", "token_sha256")}
    return Deed([], partial(change, action="operator.add", facts=facts))


def _approver_add(world: World, p: dict[str, Any]) -> Deed:
    made = check_approver(world.registry, p["person"], p["role"], p["key"])
    if any(one.person == made.person for one in world.registry.approvers):
        raise InputError("person", made.person, "approves already; replace the key instead")
    return Deed([], partial(change, action="approver.add", facts=p))


def _approver_replace(world: World, p: dict[str, Any]) -> Deed:
    old = next((one for one in world.registry.approvers if one.person == p["person"]), None)
    if old is None:
        raise InputError("person", p["person"], "is no approver")
    check_approver(world.registry, p["person"], old.role, p["key"])
    return Deed([], partial(change, action="approver.replace", facts=p))


def _approver_remove(world: World, p: dict[str, Any]) -> Deed:
    left = [one for one in world.registry.approvers if one.person != p["person"]]
    if len(left) == len(world.registry.approvers):
        raise InputError("person", p["person"], "is no approver")
    check_enough(left, world.registry.needed)
    return Deed([], partial(change, action="approver.remove", facts=p))


def _needed(world: World, p: dict[str, Any]) -> Deed:
    needed = int(p["needed"])
    if needed < 2:
        raise InputError("needed", needed, "must be at least 2")
    check_enough(world.registry.approvers, needed)
    return Deed([], partial(change, action="approvers.needed", facts=p))


def _break_glass(world: World, p: dict[str, Any]) -> Deed:
    glass = world.registry.break_glass
    if glass is not None and glass.used and not glass.reviewed:
        raise InputError("break_glass", glass.used, "a post-mortem of its last use is owed first")
    key = PublicKey.parse(p["key"]).vkey
    check_sealed(key, [one.key for one in world.registry.approvers], world.spent)
    return Deed([], partial(change, action="break_glass.register", facts=p))


def check_rights(rights: dict[str, str]) -> None:
    """Raise InputError unless each right is a scope's level."""
    for scope, level in rights.items():
        if scope not in SCOPES or level not in LEVELS:
            raise InputError(
                "rights", f"{scope}:{level}", f"scopes are {', '.join(SCOPES)}; levels {', '.join(LEVELS)}"
            )


def check_approver(registry: Registry, person: str, role: str, key: str) -> Approver:
    """An approver as one may be registered. Raises InputError."""
    public = PublicKey.parse(key).vkey
    if not person or person == BREAK_GLASS or not person.isprintable() or len(person) > 64:
        raise InputError("person", person[:64], "must be 1 to 64 printable characters")
    if role not in ROLES or not any(role in roles for roles in SIGNING.values()):
        raise InputError("role", role, "must be a role that may sign")
    glass = registry.break_glass
    taken = [*(one.key for one in registry.approvers), *([glass.key] if glass is not None else [])]
    if _is_among(key, taken):
        raise InputError("key", public, "must be nobody's")
    return Approver(person, role, public)


def check_sealed(key: str, approvers: Iterable[str], spent: Iterable[str]) -> None:
    """Raise InputError for a sealed key that somebody has, under whatever name: it counts for all that are needed."""
    if _is_among(key, approvers):
        raise InputError("key", key, "must be nobody's")
    if _is_among(key, spent):
        raise InputError("key", key, "was used once: make another")


def _is_among(key: str, others: Iterable[str]) -> bool:
    """Whether one of the others is the same key, under whatever name."""
    raw = PublicKey.parse(key).key
    return any(PublicKey.parse(other).key == raw for other in others)


def check_enough(approvers: list[Approver], needed: int) -> None:
    """Raise InputError unless enough people may sign each action; one more for approvers, of whom a key may be lost."""
    for action, roles in SIGNING.items():
        people = {one.person for one in approvers if one.role in roles}
        least = needed + 1 if action.startswith("approver") else needed
        if len(people) < least:
            raise InputError("approvers", len(people), f"there must be {least} people who may sign {action}")


def _sealed(world: World) -> None:
    if not world.sealed:
        raise InputError("secret", "", "was lost when the venue started anew: propose it again")


_DEEDS: Final[dict[str, Callable[[World, dict[str, Any]], Deed]]] = {
    "state": _state,
    "limit": _limit,
    "rearm": _rearm,
    "deposit": _deposit,
    "tier": _tier,
    "currency": _currency,
    "instrument": _instrument,
    "deliver": _deliver,
    "rules": _rules,
    "margin": _margin,
    "margin.rollback": _margin,
    "key.create": _key_create,
    "key.rotate": _key_rotate,
    "operator.add": _operator_add,
    "approver.add": _approver_add,
    "approver.replace": _approver_replace,
    "approver.remove": _approver_remove,
    "approvers.needed": _needed,
    "break_glass.register": _break_glass,
}
assert set(_DEEDS) == set(SIGNING)
