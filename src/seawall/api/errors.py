"""The dialect's errors: one table of codes and words, and the exception that carries one to the wire."""

from typing import TYPE_CHECKING, Any, Final

from seawall.vocabulary.reasons import REASONS, Reason, explain
from seawall.vocabulary.records import Scope

if TYPE_CHECKING:
    from seawall.api.view import View

WORDS: Final[dict[int, str]] = {
    -32700: "Parse error",
    -32600: "Invalid Request",
    -32601: "Method not found",
    -32602: "Invalid params",
    10000: "authorization_required",
    10001: "error",
    10002: "qty_too_low",
    10003: "order_overlap",
    10004: "order_not_found",
    10005: "price_too_low",
    10007: "price_too_high",
    10009: "not_enough_funds",
    10010: "already_closed",
    10012: "book_closed",
    10019: "locked_by_admin",
    10020: "invalid_or_unsupported_instrument",
    10021: "invalid_amount",
    10023: "invalid_price",
    10026: "price_precision_exceeded",
    10027: "non_integer_contract_amount",
    10028: "too_many_requests",
    10029: "not_owner_of_order",
    10030: "must_be_websocket_request",
    10031: "invalid_args_for_instrument",
    10033: "not_implemented",
    10034: "trigger_price_too_high",
    10035: "trigger_price_too_low",
    10036: "invalid_max_show_amount",
    10039: "not_enough_funds_in_currency",
    10040: "retry",
    10043: "price_wrong_tick",
    10044: "trigger_price_wrong_tick",
    10047: "matching_engine_queue_full",
    10066: "too_many_concurrent_requests",
    11008: "already_filled",
    11029: "invalid_arguments",
    11030: "other_reject",
    11036: "invalid_trigger_price",
    11038: "no_adv_for_futures",
    11044: "not_open_order",
    11050: "bad_request",
    11051: "system_maintenance",
    11054: "post_only_reject",
    11094: "internal_server_error",
    12001: "too_many_subaccounts",
    12003: "login_over_limit",
    13004: "invalid_credentials",
    13009: "unauthorized",
    13020: "not_found",
    13021: "forbidden",
    13028: "temporarily_unavailable",
    13030: "mmp_trigger",
    13032: "non_unique_order_label",
    13040: "mmp_required",
    13042: "cod_not_enabled",
    13666: "request_cancelled_by_user",
    13778: "raw_subscriptions_not_available_for_unauthorized",
    13888: "timed_out",
}

STATUS: Final = {10000: 401, 13004: 401, 13009: 401, 13021: 403, -32601: 404, 10028: 429, 11051: 503}
"""HTTP status by code; every other error is 400."""

_EDGES: Final = frozenset({Reason.PRICE_BAND, Reason.COLLAR, Reason.WINDOW_COLLAR})
"""A price beyond one: the numbers are the price and the last that would do."""


class RpcError(Exception):
    """One answer that is an error: its code, its word, and what helps the one who asked."""

    def __init__(self, code: int, message: str = "", **data: Any) -> None:
        self.code, self.message, self.data = code, message or WORDS[code], data
        super().__init__(f"{code} {self.message}")


def invalid(param: str, reason: str) -> RpcError:
    """A missing or mistyped parameter."""
    return RpcError(-32602, param=param, reason=reason)


def beyond(limit: float | None, *, above: bool, trigger: bool = False, **data: Any) -> RpcError:
    """A price, or a trigger, that is too high or too low; the last that would do is in the message."""
    code = (10034 if trigger else 10007) if above else (10035 if trigger else 10005)
    return RpcError(code, WORDS[code] if limit is None else f"{WORDS[code]} {limit}", **data)


def refusal(reason: int, a: int, b: int, /, **more: Any) -> RpcError:
    """A refused command: the dialect's code; in `data` the reason, its sentence, the two numbers that decided."""
    row = REASONS[Reason(reason)]
    more = {"reason": explain(reason, a, b), "control": Reason(reason).name, "numbers": [a, b], **more}
    if reason in _EDGES:
        return beyond(more.get("limit_price"), above=a > b, **more)
    return RpcError(row.dialect or 11030, row.word, **more)


def sentence(view: "View", reason: int, a: int, b: int, account: int) -> str:
    """What `explain` says, with the name of the account, desk or firm whose limit it is."""
    client = view.clients.get(account)
    return explain(reason, a, b).replace("the event's account", (client and client.name) or f"account {account}")


def refused(view: "View", reason: int, a: int, b: int, instrument: int, price: int, account: int) -> RpcError:
    """The same of a command about an instrument, with the price that would do where one would."""
    listing = view.listings.get(instrument)
    more: dict[str, Any] = {"reason": sentence(view, reason, a, b, account)}
    if listing is None:
        return refusal(reason, a, b, **more)
    more["instrument_name"] = listing.name
    if reason in _EDGES:
        more["limit_price"] = listing.price(b)
    elif reason == Reason.BELOW_PRICE and price:
        more["limit_price"] = listing.price(price)
    made = refusal(reason, a, b, **more)
    underlying = view.underlyings.get(listing.spec.block, listing.spec.block)
    if reason == Reason.INSTRUMENT_HALTED and view.states.get((Scope.UNDERLYING, underlying), 0) >= a:
        made = RpcError(10019, **made.data)
    return made
