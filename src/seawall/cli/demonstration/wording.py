"""A refusal in a trader's words: the event's two numbers with their units turned into dollars and coins."""

from datetime import UTC, datetime
from typing import Any

from seawall.cli.demonstration.venue import CONTRACTS, VALUE_ATOMS
from seawall.sim import CURRENCIES, Contract
from seawall.vocabulary.reasons import Reason, explain
from seawall.vocabulary.records import EventKind, VenueState


def words(event: Any) -> str:
    """What a REFUSED or DUPLICATE event means to whoever sent the command."""
    reason, a, b = Reason(int(event["reason"])), int(event["a"]), int(event["b"])
    if event["kind"] == EventKind.DUPLICATE:
        return f"client id {b} was used before; the answer is the first order, {a}, and nothing new was placed"
    number = int(event["instrument"])
    contract = CONTRACTS[number] if 0 <= number < len(CONTRACTS) else None
    by_money = _money_words(event, reason, a, b, contract)
    if by_money:
        return by_money
    if contract is not None and reason in (Reason.QUANTITY, Reason.REDUCE_ONLY, Reason.POSITION_BOUND):
        asked, most = lots(contract, a), lots(contract, b)
        return {
            Reason.QUANTITY: f"{asked} asked, one order may have at most {most}",
            Reason.REDUCE_ONLY: f"only reducing orders are taken now: {asked} asked, {most} left to reduce",
            Reason.POSITION_BOUND: f"with what is open the position would be {asked}, at most {most} are allowed",
        }[reason]
    if contract is not None and reason == Reason.PRICE_BAND:
        return f"a price of {price(contract, a)} is outside the band, whose limit on that side is {price(contract, b)}"
    if reason == Reason.EXPIRED:
        return f"it expired at {moment(a)}, and it is {moment(b)}"
    if reason == Reason.PEOPLE_REQUIRED:
        return f"from {VenueState(b).name} to {VenueState(a).name} only people may go"
    return explain(reason, a, b)


def _money_words(event: Any, reason: Reason, a: int, b: int, contract: Contract | None) -> str:
    currency = int(event["currency"])
    if reason == Reason.MARGIN:
        return f"it would take the requirement to {usd(a)}; the account is worth {usd(b)}"
    if reason == Reason.WITHDRAWAL_MARGIN:
        return f"afterwards the account would be worth {usd(b)}, and its positions require {usd(a)}"
    if reason == Reason.CASH:
        return f"{coins(currency, a)} asked, {coins(currency, b)} in cash"
    if contract is not None and reason == Reason.BELOW_REQUIREMENT:
        return (
            f"the account is below its requirement, and this would raise it from {usd(b)} to {usd(a)};"
            f" close {contract.spec.name} first"
        )
    if contract is not None and reason == Reason.BELOW_PRICE:
        limit = int(event["price"])
        nearest = f"the price that would do is {price(contract, limit)}" if limit else "no price would do"
        return f"it would give away {usd(a)} of equity, at most {usd(b)} may go for what it reduces; {nearest}"
    return ""


def moment(time_ns: int) -> str:
    """A time to the minute."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%H:%M on %d %B %Y (UTC)")


def usd(value_atoms: int) -> str:
    """Dollars and cents."""
    return f"${value_atoms / VALUE_ATOMS:,.2f}"


def coins(currency: int, atoms: int) -> str:
    """An amount of a currency with its name."""
    name, decimals = CURRENCIES[currency]
    return f"{atoms / 10**decimals:,.{2 if name == 'USDC' else 8}f} {name}"


def price(contract: Contract, ticks: int) -> str:
    """A price with its unit."""
    value = ticks * contract.tick
    return f"${value:,.2f}" if contract.price_unit == "USD" else f"{value:,.4f} {contract.price_unit}"


def lots(contract: Contract, count: int) -> str:
    """A quantity with its unit."""
    value = count * contract.lot
    return f"${value:,.0f}" if contract.lot_unit == "USD" else f"{value:,.3f} {contract.lot_unit}"
