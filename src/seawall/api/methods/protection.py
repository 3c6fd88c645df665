"""What guards an account: market-maker protection, cancel on disconnect, the rule against trading with oneself.

Protection. The engine knows one protection for an account and block, with limits in dollars; a client asks for an
index, in coins. So there is one group for an index; its limits are turned into dollars at the published weights, at the
moment they are set. `vega_limit` is dollars for a point of volatility: it becomes the engine's vega (for a relative
move of volatility) at the lowest ratio of the two among the options of the block, which errs on the strict side.
"""

from typing import Annotated, Any, Final

import msgspec

from seawall.api import options
from seawall.api.arrangements import MODES
from seawall.api.commands import packed
from seawall.api.errors import RpcError, invalid
from seawall.api.listing import Listing
from seawall.api.methods.orders import not_implemented
from seawall.api.rpc import Call, Nothing, Parameters, method
from seawall.api.service import Service
from seawall.vocabulary.bounds import NO_LIMIT
from seawall.vocabulary.records import Kind

_S: Final = 10**9
TIMEOUT_MS: Final = (1_000, 86_400_000)
"""The least and the most of a dead-man timer: the venue looks at its clock once a second."""
Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**6)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Group = Annotated[str, msgspec.Meta(max_length=64)]

# -- market-maker protection -------------------------------------------------------------------------------------------


class SetProtection(Parameters, frozen=True):
    """Of set_mmp_config."""

    index_name: str
    interval: Seconds
    frozen_time: Seconds = 0
    quantity_limit: Amount | None = None
    delta_limit: Amount | None = None
    vega_limit: Amount | None = None
    max_quote_quantity: Amount | None = None
    trade_count_limit: int | None = None
    mmp_group: Group | None = None
    block_rfq: bool = False


class GetProtection(Parameters, frozen=True):
    """Of get_mmp_config and get_mmp_status."""

    index_name: str = "all"
    mmp_group: str | None = None
    block_rfq: bool = False


class ResetProtection(Parameters, frozen=True):
    """Of reset_mmp."""

    index_name: str
    mmp_group: str | None = None
    block_rfq: bool = False


@method("private/set_mmp_config", SetProtection, scope="trade:read_write")
def set_mmp_config(service: Service, call: Call, asked: SetProtection) -> Any:
    """Set market-maker protection for an index; an interval of 0 removes it."""
    if asked.block_rfq or asked.trade_count_limit is not None:
        raise not_implemented(
            "protection counts quantity, delta and vega of fills; block_rfq and trade counts it has not"
        )
    known = service.view.arrangements.protections.get((call.account, asked.index_name))
    if known is not None and known.get("mmp_group") != asked.mmp_group and asked.interval:
        raise RpcError(11029, reason="there is one group for each index; remove the other first")
    blocks = _blocks(service, asked.index_name)
    limits = (asked.quantity_limit, asked.delta_limit, asked.vega_limit)
    if asked.interval and all(limit is None for limit in limits):
        raise invalid("quantity_limit", "must be given, or delta_limit, or vega_limit")
    records = b"".join(_protect(service, call.account, asked, block, found) for block, found in blocks.items())
    config: dict[str, Any] | None = None
    if asked.interval:
        names = (
            *("index_name", "interval", "frozen_time", "quantity_limit", "delta_limit", "vega_limit"),
            *("max_quote_quantity", "mmp_group"),
        )
        config = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    note = {"note": "protection", "account": call.account, "index": asked.index_name, "config": config}
    data = msgspec.json.encode(note | {"after": len(blocks)})

    def then(seq: int) -> list[dict[str, Any]]:
        for number in range(seq, seq + len(blocks)):
            service.checked(number)
        return _configs(service, call.account, asked.index_name)

    service.command(call, records + packed(Kind.TIME, attachment=len(data)), then, data)
    return None


def _blocks(service: Service, index: str) -> dict[int, list[Listing]]:
    """The live instruments of an index by the engine's block. Raises RpcError -32602 where there are none."""
    blocks: dict[int, list[Listing]] = {}
    for listing in service.view.listings.values():
        if listing.index == index and not listing.expired and service.view.requirements.known(listing.number):
            blocks.setdefault(listing.spec.block, []).append(listing)
    if not blocks:
        raise invalid("index_name", f"must be one of {', '.join(sorted(_indexes(service)))}")
    return blocks


def _indexes(service: Service) -> set[str]:
    return {listing.index for listing in service.view.listings.values() if not listing.expired}


def _protect(service: Service, account: int, asked: SetProtection, block: int, listings: list[Listing]) -> bytes:
    """The engine's command: quantity gross, amount delta, version vega; until = window, display = freeze."""
    coin, point = _value_of_coin(service, listings), _value_of_vega(service, listings)
    return packed(
        Kind.PROTECT,
        account=account,
        instrument=block,
        quantity=_limit(asked.quantity_limit, coin),
        amount=_limit(asked.delta_limit, coin),
        version=_limit(asked.vega_limit, point),
        until=asked.interval * _S,
        display=asked.frozen_time * _S,
    )


def _limit(asked: float | None, value: float) -> int:
    """Value atoms of a limit; without one, or where nothing has such an exposure, none."""
    if asked is None or not value:
        return NO_LIMIT
    return min(NO_LIMIT, int(asked * value))


def _value_of_coin(service: Service, listings: list[Listing]) -> float:
    """Value atoms at which the engine weighs one coin, the least of a block."""
    view, found = service.view, []
    for listing in listings:
        mark = listing.price(view.marks.get(listing.number, 0))
        coins = listing.amount(1) / mark if listing.inverse and mark else listing.amount(1)
        weight = abs(view.requirements.risk(listing.number).weight)
        if weight and coins:
            found.append(weight / coins)
    return min(found, default=0.0)


def _value_of_vega(service: Service, listings: list[Listing]) -> float:
    """The engine's vega for one dollar of it a point of volatility, the least of a block."""
    view, found = service.view, []
    for listing in listings:
        if not listing.option:
            continue
        forward, years = options.forward_of(view, listing), options.years_of(view, listing)
        vega = options.greeks(
            forward, listing.strike(), options.mark_volatility(view, listing), years, listing.spec.option_type
        )["vega"]
        weighed = abs(view.requirements.risk(listing.number).vega)
        if vega > 0 and weighed:
            found.append(weighed / (vega * listing.amount(1)))
    return min(found, default=0.0)


def _configs(service: Service, account: int, index: str, group: str | None = None) -> list[dict[str, Any]]:
    return [
        config
        for (number, name), config in service.view.arrangements.protections.items()
        if number == account and index in (name, "all") and group in (None, config.get("mmp_group"))
    ]


@method("private/get_mmp_config", GetProtection, scope="trade:read")
def get_mmp_config(service: Service, call: Call, asked: GetProtection) -> Any:
    """Market-maker protection as it was set."""
    return [] if asked.block_rfq else _configs(service, call.account, asked.index_name, asked.mmp_group)


@method("private/get_mmp_status", GetProtection, scope="trade:read")
def get_mmp_status(service: Service, call: Call, asked: GetProtection) -> Any:
    """The protections that are frozen, and until when (0: until reset)."""
    if asked.block_rfq:
        return []
    view, found = service.view, []
    for config in _configs(service, call.account, asked.index_name, asked.mmp_group):
        name = config["index_name"]
        blocks = [block for block, (_, index) in view.blocks.items() if index == name]
        untils = [view.arrangements.frozen_until(call.account, block, view.now_ns) for block in blocks]
        frozen = [until for until in untils if until is not None]
        if frozen:
            status = {"index_name": name, "frozen_until": 0 if 0 in frozen else max(frozen) // 10**6}
            found.append(status | {key: config[key] for key in ("mmp_group",) if key in config})
    return found


@method("private/reset_mmp", ResetProtection, scope="trade:read_write")
def reset_mmp(service: Service, call: Call, asked: ResetProtection) -> Any:
    """Let a frozen protection go: quotes are taken again."""
    if asked.block_rfq:
        raise not_implemented("there is no block_rfq protection")
    if asked.mmp_group is not None and not _configs(service, call.account, asked.index_name, asked.mmp_group):
        raise RpcError(11029, reason=f"no protection of the group {asked.mmp_group}")
    blocks = list(_blocks(service, asked.index_name))
    records = b"".join(packed(Kind.PROTECT_RESET, account=call.account, instrument=block) for block in blocks)

    def then(seq: int) -> str:
        for number in range(seq, seq + len(blocks)):
            service.checked(number)
        return "ok"

    service.command(call, records, then, urgent=True)
    return None


# -- cancel on disconnect ----------------------------------------------------------------------------------------------


class Scope(Parameters, frozen=True):
    """Connection or account."""

    scope: str = "connection"


@method("private/enable_cancel_on_disconnect", Scope, scope="account:read_write")
def enable_cancel_on_disconnect(service: Service, call: Call, asked: Scope) -> Any:
    """Orders placed through this connection, or each later one of the account, are cancelled when it breaks."""
    return _arrange(service, call, asked, enabled=True)


@method("private/disable_cancel_on_disconnect", Scope, scope="account:read_write")
def disable_cancel_on_disconnect(service: Service, call: Call, asked: Scope) -> Any:
    """Orders stay when this connection, or each later one of the account, breaks."""
    return _arrange(service, call, asked, enabled=False)


@method("private/get_cancel_on_disconnect", Scope, scope="account:read")
def get_cancel_on_disconnect(service: Service, call: Call, asked: Scope) -> Any:
    """Whether orders are cancelled when a connection breaks."""
    if asked.scope not in ("connection", "account"):
        raise invalid("scope", "must be connection or account")
    enabled = call.account in service.view.arrangements.at_disconnect
    if asked.scope == "connection":
        enabled = service.takes_orders_along(call.session, call.account)
    return {"scope": asked.scope, "enabled": enabled}


class After(Parameters, frozen=True):
    """Of cancel_all_after."""

    timeout_ms: Annotated[int, msgspec.Meta(ge=0, le=TIMEOUT_MS[1])]


@method("private/cancel_all_after", After, scope="trade:read_write")
def cancel_all_after(service: Service, call: Call, asked: After) -> Any:
    """Cancel all orders of the account unless asked again within timeout_ms; 0: off. An extension of the dialect."""
    if 0 < asked.timeout_ms < TIMEOUT_MS[0]:
        raise invalid("timeout_ms", f"must be 0, or {TIMEOUT_MS[0]:,} at least")
    now = max(service.clock_ms(), service.view.now_ms)
    until_ms = now + asked.timeout_ms if asked.timeout_ms else 0

    def then(seq: int) -> dict[str, int]:
        service.checked(seq)
        return {"timeout_ms": asked.timeout_ms, "cancels_at": until_ms}

    service.command(call, packed(Kind.DEAD_MAN, account=call.account, until=until_ms * 10**6), then, urgent=True)
    return None


def _arrange(service: Service, call: Call, asked: Scope, *, enabled: bool) -> Any:
    if asked.scope not in ("connection", "account"):
        raise invalid("scope", "must be connection or account")
    if call.session.websocket:
        call.session.cancel_on_disconnect = enabled
    elif asked.scope == "connection":
        raise RpcError(10030)
    records, data = service.going_along(call.session)
    if asked.scope == "account":
        note = msgspec.json.encode({"note": "disconnect", "account": call.account, "enabled": enabled})
        records, data = records + packed(Kind.TIME, attachment=len(note)), data + note
    if not records:
        return "ok"
    service.command(call, records, lambda seq: "ok", data, urgent=True)
    return None


def _note(service: Service, call: Call, note: dict[str, Any]) -> None:
    data = msgspec.json.encode(note)
    service.command(call, packed(Kind.TIME, attachment=len(data)), lambda seq: "ok", data)


# -- trading with oneself ----------------------------------------------------------------------------------------------


class SelfTrading(Parameters, frozen=True):
    """Of set_self_trading_config."""

    mode: str
    extended_to_subaccounts: bool = False
    block_rfq_self_match_prevention: bool = False


@method("private/set_self_trading_config", SelfTrading, scope="account:read_write")
def set_self_trading_config(service: Service, call: Call, asked: SelfTrading) -> Any:
    """What becomes of an order that meets one's own: the new one goes (reject_taker), or the old (cancel_maker).

    Accounts of one beneficial owner never trade with each other, whatever `extended_to_subaccounts` says.
    """
    if asked.mode not in MODES:
        raise invalid("mode", f"must be one of {', '.join(MODES)}")
    note = {"note": "self_trading", "account": call.account, "mode": asked.mode}
    _note(service, call, note | {"extended": asked.extended_to_subaccounts})


@method("private/get_self_trading_config", Nothing, scope="account:read")
def get_self_trading_config(service: Service, call: Call, asked: Nothing) -> Any:
    """The rule against trading with oneself."""
    mode, extended = service.view.arrangements.self_trading(call.account)
    return {"mode": mode, "extended_to_subaccounts": extended}
