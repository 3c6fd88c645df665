"""Names of things, as people say them, and the numbers the engine knows them by."""

from typing import Any, Final

from seawall.api.view import View
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.records import SYSTEM_ACCOUNTS, Scope

SCOPES: Final = {
    "venue": Scope.VENUE,
    "underlying": Scope.UNDERLYING,
    "instrument": Scope.INSTRUMENT,
    "account": Scope.ACCOUNT,
}


def account_number(view: View, name: str) -> int:
    """An account by its name, or by its number. Raises InputError, also where several have the name."""
    named = [number for number, client in view.clients.items() if client.name == name]
    if len(named) > 1:
        raise InputError("account", name, f"is the name of accounts {', '.join(map(str, named))}: give the number")
    if named:
        return named[0]
    if name.isascii() and name.isdigit() and len(name) < 10 and int(name) in view.account_tiers:
        return int(name)
    raise InputError("account", name[:64], "must be an account's name or number")


def account_name(view: View, number: int) -> str:
    """An account's name, its number where it has none."""
    client = view.clients.get(number)
    return client.name if client is not None else str(number)


def instrument_number(view: View, name: str) -> int:
    """An instrument by its name. Raises InputError."""
    listing = view.by_name.get(name)
    if listing is None:
        raise InputError("instrument", name[:64], "must be the name of a listed instrument")
    return listing.number


def underlying_numbers(view: View, underlyings: list[int], name: str) -> list[int]:
    """Numbers of an underlying's groups of risk, by the coin's name. Raises InputError."""
    found = {underlyings[row.spec.block] for row in view.listings.values() if row.base == name and not row.expired}
    if not found:
        raise InputError("underlying", name[:64], "must be the base coin of a listed instrument")
    return sorted(found)


def numbers_of(view: View, underlyings: list[int], scope: str, name: str) -> list[tuple[Scope, int]]:
    """What a scope and a name mean. Raises InputError."""
    kind = SCOPES.get(scope)
    if kind is None:
        raise InputError("scope", scope[:64], f"must be one of {', '.join(SCOPES)}")
    if kind == Scope.VENUE:
        if name:
            raise InputError("name", name[:64], "the venue has none")
        return [(kind, 0)]
    if kind == Scope.ACCOUNT:
        number = account_number(view, name)
        if number < SYSTEM_ACCOUNTS:
            raise InputError("account", name[:64], "is one of the venue's own")
        return [(kind, number)]
    if kind == Scope.INSTRUMENT:
        return [(kind, instrument_number(view, name))]
    return [(kind, number) for number in underlying_numbers(view, underlyings, name)]


def name_of(view: View, underlyings: list[int], scope: int, number: int) -> str:
    """The inverse, for one number."""
    if scope == Scope.VENUE:
        return ""
    if scope == Scope.ACCOUNT:
        return account_name(view, number)
    if scope == Scope.INSTRUMENT:
        listing = view.listings.get(number)
        return listing.name if listing is not None else str(number)
    bases = {row.base for row in view.listings.values() if underlyings[row.spec.block] == number}
    return "+".join(sorted(bases)) or str(number)


def aimed(kind: Scope, number: int) -> dict[str, Any]:
    """The fields of a command that say what it is about."""
    if kind == Scope.ACCOUNT:
        return {"type": kind, "account": number}
    return {"type": kind, "instrument": number}
