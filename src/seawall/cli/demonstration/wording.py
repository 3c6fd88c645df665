"""A refusal in a trader's words: the event's two numbers with their units turned into dollars and coins."""

from datetime import UTC, datetime
from typing import Any, Final

from seawall.cli.demonstration.venue import CONTRACTS, VALUE_ATOMS
from seawall.sim import CURRENCIES, Contract
from seawall.vocabulary.reasons import Reason, explain
from seawall.vocabulary.records import FORBID_OPEN, FORBID_TRADE, FORBID_WITHDRAW, EventKind, VenueState

_ACTIONS: Final = {FORBID_OPEN: "open positions", FORBID_TRADE: "trade", FORBID_WITHDRAW: "withdraw"}


def words(event: Any) -> str:
    """What a REFUSED or DUPLICATE event means to whoever sent the command."""
    reason, a, b = Reason(int(event["reason"])), int(event["a"]), int(event["b"])
    if event["kind"] == EventKind.DUPLICATE:
        return f"client id {b} was used before; the answer is the first order, {a}, and nothing new was placed"
    number = int(event["instrument"])
    contract = CONTRACTS[number] if 0 <= number < len(CONTRACTS) else None
    told = _money_words(event, reason, a, b, contract) or _control_words(event, reason, a, b, contract)
    if told:
        return told
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


def _control_words(event: Any, reason: Reason, a: int, b: int, contract: Contract | None) -> str:
    """A limit of an account, a group, an instrument or the venue."""
    whose = f"the limit of account {int(event['account'])}"
    told = {
        Reason.ORDER_NOTIONAL: lambda: f"{usd(a)} asked, one order may be worth {usd(b)}",
        Reason.THROTTLED: lambda: f"{a / 1e6:,.0f} ms too early, one message is granted each {b / 1e6:,.0f} ms",
        Reason.FORBIDDEN: lambda: f"to {_ACTIONS[a]} is forbidden to it here",
        Reason.OPEN_NOTIONAL: lambda: f"open orders would be worth {usd(a)}, at most {usd(b)} are allowed",
        Reason.EXPOSURE: lambda: f"net delta could become {usd(a)}, {whose} is {usd(b)}",
        Reason.STALE: lambda: f"the price is {a / 1e9:,.0f} s old, at most {b / 1e9:,.0f} s are allowed: reducing only",
        Reason.DIVERGENT: lambda: f"mark and index are {a / 1e4:,.2f} % apart, at most {b / 1e4:,.2f} %: reducing only",
        Reason.VENUE_HALTED: lambda: f"the venue is {VenueState(a).name}, {VenueState(b).name} is needed",
        Reason.INSTRUMENT_HALTED: lambda: f"the instrument is {VenueState(a).name}, {VenueState(b).name} is needed",
        Reason.ACCOUNT_HALTED: lambda: f"its group or itself is {VenueState(a).name}, {VenueState(b).name} is needed",
        Reason.MAKER_PROTECTION: lambda: f"{usd(a)} reached, the limit is {usd(b)}",
        Reason.DRAWDOWN: lambda: f"equity fell by {usd(a)}, the limit is {usd(b)}",
        Reason.SELF_MATCH: lambda: f"cancelled before it met order {a} of the same owner",
    }.get(reason)
    if told is not None:
        return told()
    if contract is None:
        return ""
    told = {
        Reason.COLLAR: lambda: f"{price(contract, a)} is beyond the collar, {price(contract, b)}",
        Reason.WINDOW_COLLAR: lambda: (
            f"{price(contract, a)}, it may move the price to {price(contract, b)} in a window"
        ),
        Reason.POSITION_LIMIT: lambda: f"the position could become {lots(contract, a)}, {whose} is {lots(contract, b)}",
        Reason.OPEN_INTEREST: lambda: f"open interest could be {lots(contract, a)}, at most {lots(contract, b)}",
    }.get(reason)
    return told() if told is not None else ""


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
