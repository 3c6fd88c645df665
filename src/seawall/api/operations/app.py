"""The operations door on the network: JSON over HTTP, a token and a right for every path but two.

A path without a right is refused, not open: what anybody may see must say so. The rights are in `roles`.
"""

import asyncio
import base64
import secrets
import traceback
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Litestar, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from seawall.api.access import SCOPES, Failures
from seawall.api.keystore import Approver, Operator, Registry, token_hash
from seawall.api.operations.actions import check_rights, whole
from seawall.api.operations.alerts import SEVERITIES
from seawall.api.operations.backup import back_up
from seawall.api.operations.canonical import WHOLE_MAX
from seawall.api.operations.exposure import exposure
from seawall.api.operations.journalling import Denied
from seawall.api.operations.naming import instrument_number
from seawall.api.operations.operations import WORDS, Operations, check_reason, describe
from seawall.api.operations.prices import Report
from seawall.api.operations.roles import RIGHTS
from seawall.api.operations.status import Metrics, status
from seawall.node.sequencer import Overloaded
from seawall.vocabulary.errors import InputError, OutcomeUnknown, SeawallError

BODY_MAX: Final = 64 << 10
PRICES_MAX: Final = 4 << 20
"""Of a report of prices: every instrument is in it."""
ANYBODY: Final = "anybody"
Text = Annotated[str, msgspec.Meta(max_length=512)]
Ask = Request[Operator, Any, Any]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every change may say; with `dry_run` nothing is changed."""

    reason: Text = ""
    dry_run: bool = False


class Aim(Body, forbid_unknown_fields=True, kw_only=True):
    """Something of the venue: a scope, and a name unless it is the whole."""

    scope: Text
    name: Text = ""


class Halt(Aim, forbid_unknown_fields=True, kw_only=True):
    """A state to set; one that relaxes is proposed, and may end by itself (milliseconds)."""

    state: Text = "halted"
    until: int = 0


class SetLimit(Body, forbid_unknown_fields=True, kw_only=True):
    """A limit; numbers as text, for they go beyond what JSON holds exactly."""

    limit: Text
    account: Text = ""
    instrument: Text = ""
    amount: Text
    quantity: Text = "0"
    window_ns: Text = "0"
    until: int = 0


class AccountChange(Body, forbid_unknown_fields=True, kw_only=True):
    """A new account, or money for one (proposed)."""

    action: Text
    name: Text
    tier: int = 0
    currency: Text = ""
    amount: Text = "0"


class KeyChange(Body, forbid_unknown_fields=True, kw_only=True):
    """A trading key made or given a new secret (both proposed), or revoked (at once)."""

    action: Text
    id: Text = ""
    account: Text = ""
    name: Text = ""
    rights: dict[str, str] = {}
    addresses: list[str] = []
    not_before: int = 0
    expires: int = 0
    overlap_s: int = 0


class Listing(Body, forbid_unknown_fields=True, kw_only=True):
    """A new instrument: its specification in whole numbers, as text beyond 2^53 (an expiry in nanoseconds), its units
    as the journalled note has them, fractions as text."""

    name: Text
    spec: dict[str, int | Text]
    units: dict[str, Any]


class Parameter(Body, forbid_unknown_fields=True, kw_only=True):
    """A parameter of the venue: fee tiers, the number of signatures, a strategy to re-arm, the rules in force."""

    parameter: Text
    tier: int = 0
    fee_class: Text = "futures"
    maker: int = 0
    taker: int = 0
    needed: int = 0
    account: Text = ""
    strategy: int = 0
    rules: int = 0


class PersonChange(Body, forbid_unknown_fields=True, kw_only=True):
    """Somebody who operates or approves."""

    action: Text
    person: Text = ""
    role: Text = ""
    key: Text = ""
    approvers: list[Approver] = []
    break_glass: Text = ""


class Currency(Body, forbid_unknown_fields=True, kw_only=True):
    """A new currency that accounts may hold."""

    name: Text
    decimals: int


class Delivery(Body, forbid_unknown_fields=True, kw_only=True):
    """The delivery of an instrument that has expired, at a price in its ticks."""

    name: Text
    price: Text


class PricesReported(Report, forbid_unknown_fields=True, kw_only=True):
    """A report of prices; with `dry_run` it is checked, and not taken."""

    dry_run: bool = False


class MarginChange(Body, forbid_unknown_fields=True, kw_only=True):
    """A step of a version of the margin parameters, see `parameters`."""

    action: Text
    version: int = 0
    changes: str = ""
    evidence: Text = ""
    effective: int = 0


class SignatureGiven(msgspec.Struct, forbid_unknown_fields=True):
    """A signature (base64) under a proposal's bytes, by a verifier key."""

    key: Text
    signature: Text


def _authorized(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request through if its token's role has the path's right."""
    right = handler.opt.get("right")
    if right == ANYBODY:
        return
    operations: Operations = connection.app.state.operations
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    operator = operations.operator(token.strip()) if kind.lower() == "bearer" else None
    if operator is None:
        _failed(connection, operations)
        raise NotAuthorizedException("a token of an operator is needed")
    if right is None or right not in RIGHTS.get(operator.role, frozenset()):
        raise PermissionDeniedException(f"the role {operator.role} has no right to {right}")
    connection.scope["user"] = operator


def _failed(connection: ASGIConnection[Any, Any, Any, Any], operations: Operations) -> None:
    client = connection.client.host if connection.client is not None else ""
    failures: Failures = connection.app.state.failures
    wait = failures.note(client, operations.now_ms / 1000)
    if wait:
        operations.alerts.tell("failed_logins", address=client, door="operations")
        raise HTTPException(status_code=429, detail="too many failures", headers={"retry-after": str(int(wait) + 1)})


# -- looking -----------------------------------------------------------------------------------------------------------


@get("/health", opt={"right": ANYBODY}, sync_to_thread=False)
def health(request: Ask) -> Response[dict[str, Any]]:
    """Whether the process should live: 503 once the writer is dead."""
    dead = request.app.state.operations.service.sequencer.dead
    return Response({"healthy": dead is None}, status_code=200 if dead is None else 503)


@get("/ready", opt={"right": ANYBODY})
async def ready(request: Ask) -> Response[dict[str, Any]]:
    """Whether the writer answers now."""
    operations: Operations = request.app.state.operations
    try:
        await operations.writer.look(lambda: None)
    except OutcomeUnknown:
        return Response({"ready": False}, status_code=503)
    return Response({"ready": True})


@get("/metrics", opt={"right": "look"}, sync_to_thread=False)
def metrics(request: Ask) -> Response[bytes]:
    """Figures for Prometheus."""
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@get("/status", opt={"right": "look"})
async def get_status(request: Ask) -> dict[str, Any]:
    """What stands, why, by whom, what reopens it."""
    return await status(request.app.state.operations)


@get("/exposure", opt={"right": "look"})
async def get_exposure(request: Ask) -> dict[str, Any]:
    """What all accounts together hold, by underlying."""
    return await exposure(request.app.state.operations)


@get("/alerts", opt={"right": "look"}, sync_to_thread=False)
def get_alerts(request: Ask, since: FromQuery[int] = 0, severity: FromQuery[str] = "") -> dict[str, Any]:
    """The last alerts, newest first."""
    if severity and severity not in SEVERITIES:  # answered with none, it would read as if all were well
        raise InputError("severity", severity, f"must be one of {', '.join(SEVERITIES)}")
    return {"alerts": request.app.state.operations.alerts.since(since, severity)}


@get("/accounts", opt={"right": "look"}, sync_to_thread=False)
def get_accounts(request: Ask) -> dict[str, Any]:
    """All accounts."""
    view, record = request.app.state.operations.service.view, request.app.state.operations.record
    rows = []
    for number, tier in sorted(view.account_tiers.items()):
        standing, client = record.states.get((3, number)), view.client(number)
        state = WORDS[standing.state] if standing is not None else "open"
        rows.append(
            {"account": number, "name": client.name, "tier": tier, "open_orders": len(client.open), "state": state}
        )
    return {"accounts": rows}


@get("/instruments", opt={"right": "look"}, sync_to_thread=False)
def get_instruments(request: Ask) -> dict[str, Any]:
    """All instruments."""
    view, record = request.app.state.operations.service.view, request.app.state.operations.record
    rows = []
    for number, listing in sorted(view.listings.items()):
        standing = record.states.get((2, number))
        rows.append(
            {
                "instrument": number,
                "name": listing.name,
                "kind": listing.kind,
                "underlying": listing.base,
                "expired": listing.expired,
                "expiration": listing.expiration_ms,
                "state": WORDS[standing.state] if standing is not None else "open",
            }
        )
    return {"instruments": rows}


@get("/keys", opt={"right": "look"}, sync_to_thread=False)
def get_keys(request: Ask) -> dict[str, Any]:
    """All trading keys, without their secrets."""
    rows = []
    for key in request.app.state.operations.registry.keys.values():
        row = {name: getattr(key, name) for name in ("id", "account", "name", "rights", "addresses", "revoked")}
        row |= {"not_before": int(key.not_before * 1000), "expires": int(key.expires * 1000), "enabled": key.enabled}
        rows.append(row | {"superseded_until": [int(old.ends * 1000) for old in key.before]})
    return {"keys": rows}


@get("/people", opt={"right": "look"}, sync_to_thread=False)
def get_people(request: Ask) -> dict[str, Any]:
    """Who operates and who approves."""
    registry: Registry = request.app.state.operations.registry
    return {
        "operators": [{"person": one.person, "role": one.role, "revoked": one.revoked} for one in registry.operators],
        "approvers": registry.approvers,
        "needed": registry.needed,
        "break_glass": registry.break_glass,
    }


@get("/parameters", opt={"right": "look"})
async def get_parameters(request: Ask) -> dict[str, Any]:
    """Fee tiers, limits in force, the margin model and its parameters."""
    operations: Operations = request.app.state.operations
    view = operations.service.view
    limits = await operations.writer.look(lambda: dict(operations.service.node.fold.engine.catalogue.limits))
    return {
        "tiers": [
            {"tier": tier, "fee_class": ("futures", "options")[fee], "maker": maker, "taker": taker}
            for (tier, fee), (maker, taker) in sorted(view.tiers.items())
        ],
        "limits": [
            {"limit": limit.name, "account": account, "instrument": instrument, "row": [str(word) for word in row]}
            for (limit, account, instrument), row in sorted(limits.items())
        ],
        "margin": msgspec.to_builtins(operations.governance.margin),
        "in_force": operations.governance.parameters.in_force,
        "versions": operations.governance.rows(),
        "needed": operations.registry.needed,
    }


# -- changing ----------------------------------------------------------------------------------------------------------


@post("/halt", opt={"right": "halt"}, status_code=200)
async def halt(request: Ask, data: JSONBody[Halt]) -> dict[str, Any]:
    """Halt, hold to reducing, or ask to open."""
    operations: Operations = request.app.state.operations
    return await operations.set_state(
        request.user, data.scope, data.name, data.state, data.reason, until=data.until, dry_run=data.dry_run
    )


@post("/kill", opt={"right": "kill"}, status_code=200)
async def kill(request: Ask, data: JSONBody[Aim]) -> dict[str, Any]:
    """Throw the kill switch."""
    operations: Operations = request.app.state.operations
    return await operations.kill(request.user, data.scope, data.name, data.reason, dry_run=data.dry_run)


@post("/cancel-all", opt={"right": "cancel"}, status_code=200)
async def cancel_all(request: Ask, data: JSONBody[Aim]) -> dict[str, Any]:
    """Cancel the open orders of a scope."""
    operations: Operations = request.app.state.operations
    return await operations.cancel_all(request.user, data.scope, data.name, data.reason, dry_run=data.dry_run)


@post("/limits", opt={"right": "limit"}, status_code=200)
async def set_limit(request: Ask, data: JSONBody[SetLimit]) -> dict[str, Any]:
    """Set a limit."""
    operations: Operations = request.app.state.operations
    parameters: dict[str, Any] = {
        "limit": data.limit,
        "row": [data.amount, data.quantity, data.window_ns],
        "reason": data.reason,
    }
    parameters |= {name: getattr(data, name) for name in ("account", "instrument") if getattr(data, name)}
    return await operations.set_limit(request.user, parameters, until=data.until, dry_run=data.dry_run)


@post("/accounts", opt={"right": "accounts"}, status_code=200)
async def change_account(request: Ask, data: JSONBody[AccountChange]) -> dict[str, Any]:
    """Make an account, at once; credit one, by proposal."""
    operations: Operations = request.app.state.operations
    if data.action == "create":
        return await operations.create_account(request.user, data.name, data.tier, data.reason, dry_run=data.dry_run)
    if data.action != "deposit":
        raise InputError("action", data.action, "must be create or deposit")
    if whole("amount", data.amount) <= 0:
        raise InputError("amount", data.amount, "must be positive, in atoms")
    parameters = {"account": data.name, "currency": data.currency, "amount": data.amount, "reason": data.reason}
    for name, decimals in operations.service.view.currencies.values():
        if name == data.currency:
            parameters["coins"] = f"{whole('amount', data.amount) * Decimal(1).scaleb(-decimals):f}"
    return await operations.propose(request.user, "deposit", parameters, dry_run=data.dry_run)


@post("/instruments", opt={"right": "accounts"}, status_code=200)
async def list_instrument(request: Ask, data: JSONBody[Listing]) -> dict[str, Any]:
    """Ask for a new listing."""
    operations: Operations = request.app.state.operations
    spec = {name: value if abs(whole(name, value)) <= WHOLE_MAX else str(value) for name, value in data.spec.items()}
    parameters = {"name": data.name, "spec": spec, "units": data.units, "reason": data.reason}
    return await operations.propose(request.user, "instrument", parameters, dry_run=data.dry_run)


@post("/currencies", opt={"right": "accounts"}, status_code=200)
async def add_currency(request: Ask, data: JSONBody[Currency]) -> dict[str, Any]:
    """Ask for a new currency."""
    operations: Operations = request.app.state.operations
    parameters = {"name": data.name, "decimals": data.decimals, "reason": data.reason}
    return await operations.propose(request.user, "currency", parameters, dry_run=data.dry_run)


@post("/deliveries", opt={"right": "propose"}, status_code=200)
async def deliver(request: Ask, data: JSONBody[Delivery]) -> dict[str, Any]:
    """Ask for a delivery."""
    operations: Operations = request.app.state.operations
    view = operations.service.view
    listing = view.listings[instrument_number(view, data.name)]
    above, below = listing.delivery_tick
    parameters = {"name": data.name, "price": data.price, "reason": data.reason}
    parameters["quoted"] = str(whole("price", data.price) * above / below)
    parameters["index"] = str(view.index_prices.get(listing.index, "not known"))
    return await operations.propose(request.user, "deliver", parameters, dry_run=data.dry_run)


@post("/prices", opt={"right": "feed"}, status_code=200, request_max_body_size=PRICES_MAX)
async def feed_prices(request: Ask, data: JSONBody[PricesReported]) -> dict[str, Any]:
    """Take a report of prices: believed, or doubted until a second one says the same."""
    operations: Operations = request.app.state.operations
    report = Report(*(getattr(data, name) for name in Report.__struct_fields__))
    found = await operations.feed(request.user, report, dry_run=data.dry_run)
    return {"dry_run": data.dry_run, **found._asdict()}


@post("/keys", opt={"right": "revoke"}, status_code=200)
async def change_key(request: Ask, data: JSONBody[KeyChange]) -> dict[str, Any]:
    """Revoke a trading key at once; make or rotate one by proposal, whose answer has the secret, this once."""
    operations: Operations = request.app.state.operations
    if data.action == "revoke":
        return await operations.revoke(request.user, data.id, data.reason, dry_run=data.dry_run)
    if "keys" not in RIGHTS[request.user.role]:
        raise PermissionDeniedException(f"the role {request.user.role} may revoke keys and no more")
    secret = secrets.token_urlsafe(32)
    parameters: dict[str, Any] = {"reason": data.reason}
    if data.action == "create":
        rights = data.rights or dict.fromkeys(SCOPES, "read")
        check_rights(rights)
        parameters |= {"id": secrets.token_urlsafe(9), "account": data.account, "name": data.name, "rights": rights}
        parameters |= {"addresses": data.addresses, "not_before": data.not_before, "expires": data.expires}
    elif data.action == "rotate":
        parameters |= {"id": data.id, "overlap_s": data.overlap_s}
    else:
        raise InputError("action", data.action, "must be create, rotate or revoke")
    parameters["secret_sha256"] = token_hash(secret)
    answer = await operations.propose(
        request.user, f"key.{data.action}", parameters, sealed=secret, dry_run=data.dry_run
    )
    return answer if data.dry_run else {**answer, "id": parameters["id"], "secret": secret}


@post("/parameters", opt={"right": "propose"}, status_code=200)
async def set_parameter(request: Ask, data: JSONBody[Parameter]) -> dict[str, Any]:
    """Ask for another fee, another number of signatures, a strategy to trade again, or newer rules."""
    operations: Operations = request.app.state.operations
    asked: dict[str, Any]
    if data.parameter == "tier":
        action = "tier"
        asked = {"tier": data.tier, "fee_class": data.fee_class, "maker": data.maker, "taker": data.taker}
    elif data.parameter == "needed":
        action, asked = "approvers.needed", {"needed": data.needed, "was": operations.registry.needed}
    elif data.parameter == "rearm":
        action, asked = "rearm", {"account": data.account, "strategy": data.strategy}
    elif data.parameter == "rules":
        action, asked = "rules", {"rules": data.rules, "was": (await operations.world()).rules}
    else:
        raise InputError("parameter", data.parameter, "must be tier, needed, rearm or rules")
    return await operations.propose(request.user, action, {**asked, "reason": data.reason}, dry_run=data.dry_run)


@post("/margin", opt={"right": "propose"}, status_code=200)
async def change_margin(request: Ask, data: JSONBody[MarginChange]) -> dict[str, Any]:
    """Propose, validate, try, have signed, roll back or withdraw a version of the margin parameters."""
    operations: Operations = request.app.state.operations
    check_reason(data.reason)
    governance, by, reason, dry = operations.governance, request.user, data.reason, data.dry_run
    if data.action == "propose":
        return await governance.propose(by, data.changes, reason, dry_run=dry)
    if data.action == "validate":
        if "validate" not in RIGHTS[by.role]:
            raise PermissionDeniedException(f"the role {by.role} has no right to validate")
        return await governance.validate(by, data.version, data.evidence, reason, dry_run=dry)
    if data.action == "impact":
        return await governance.impact(by, data.version, reason, dry_run=dry)
    if data.action == "approve":
        return await governance.approve(by, data.version, data.effective, reason, dry_run=dry)
    if data.action == "rollback":
        return await governance.rollback(by, data.version, reason, dry_run=dry)
    if data.action == "withdraw":
        return await governance.withdraw(by, data.version, reason, dry_run=dry)
    raise InputError("action", data.action, "must be propose, validate, impact, approve, rollback or withdraw")


@post("/people", opt={"right": "propose"}, status_code=200)
async def change_people(request: Ask, data: JSONBody[PersonChange]) -> dict[str, Any]:
    """Register the first approvers, at once; any later change by proposal. Revoke an operator's tokens, at once."""
    operations: Operations = request.app.state.operations
    if data.action == "setup":
        return await operations.setup(request.user, data.approvers, data.break_glass, data.reason, dry_run=data.dry_run)
    if data.action == "operator.revoke":
        return await operations.revoke_operator(request.user, data.person, data.reason, dry_run=data.dry_run)
    if data.action == "post-mortem":
        return await operations.review(request.user, data.reason, dry_run=data.dry_run)
    parameters = {"person": data.person, "reason": data.reason}
    token = ""
    if data.action == "operator.add":
        token = secrets.token_urlsafe(32)
        parameters |= {"role": data.role, "token_sha256": token_hash(token)}
    elif data.action == "approver.add":
        parameters |= {"role": data.role, "key": data.key}
    elif data.action == "approver.replace":
        parameters |= {"key": data.key}
    elif data.action == "break_glass.register":
        parameters = {"key": data.key, "reason": data.reason}
    elif data.action != "approver.remove":
        raise InputError("action", data.action, "is not one; see docs/operations.md")
    answer = await operations.propose(request.user, data.action, parameters, dry_run=data.dry_run)
    return {**answer, "token": token} if token and not data.dry_run else answer


@post("/backup", opt={"right": "backup"}, status_code=200)
async def backup(request: Ask, data: JSONBody[Body]) -> dict[str, Any]:
    """Copy what will not change again to the backup folder, checked and read back, beside the writer."""
    operations: Operations = request.app.state.operations
    folder = operations.settings.backup
    check_reason(data.reason)
    if not folder:
        raise InputError("backup", folder, "no folder for backups is configured")
    folders = operations.service.node.configuration.folders
    try:
        done = await asyncio.to_thread(back_up, folders, Path(folder), operations.store.path, write=not data.dry_run)
    except SeawallError as error:
        operations.alerts.tell("backup_failed", why=str(error))
        raise
    if not data.dry_run:
        await operations.note(request.user, "backup", frame=done.frame, seq=done.seq, reason=data.reason)
    return {"dry_run": data.dry_run, "folder": folder, **done._asdict()}


# -- proposals ---------------------------------------------------------------------------------------------------------


@get("/proposals", opt={"right": "look"}, sync_to_thread=False)
def get_proposals(request: Ask) -> dict[str, Any]:
    """Those that wait and the last that ended."""
    operations: Operations = request.app.state.operations
    operations.proposals.expire(operations.now_ms)
    needed = operations.registry.needed
    return {"proposals": [describe(row, needed) for row in operations.proposals.rows.values()]}


@get("/proposals/{id_:str}", opt={"right": "look"}, sync_to_thread=False)
def get_proposal(request: Ask, id_: FromPath[str]) -> dict[str, Any]:
    """One; `bytes` is what is signed, in base64."""
    operations: Operations = request.app.state.operations
    row = operations.proposals.get(id_, operations.now_ms)
    described = describe(row, operations.registry.needed)
    return described | {
        "bytes": base64.b64encode(row.payload).decode(),
        "signatures": [{"person": one.person, "role": one.role, "key": one.key} for one in row.signatures],
    }


@post("/proposals/{id_:str}/signatures", opt={"right": "sign"}, status_code=200)
async def sign(request: Ask, id_: FromPath[str], data: JSONBody[SignatureGiven]) -> dict[str, Any]:
    """Give a signature; the last one needed carries the proposal out."""
    operations: Operations = request.app.state.operations
    return await operations.sign(id_, data.key, data.signature)


@post("/proposals/{id_:str}/withdraw", opt={"right": "propose"}, status_code=200)
async def withdraw(request: Ask, id_: FromPath[str], data: JSONBody[Body]) -> dict[str, Any]:
    """End a proposal that waits."""
    operations: Operations = request.app.state.operations
    return await operations.withdraw(request.user, id_, data.reason, dry_run=data.dry_run)


# -- the application ---------------------------------------------------------------------------------------------------


def _input_error(_: Ask, error: InputError) -> Response[dict[str, Any]]:
    value = error.value if isinstance(error.value, int) else str(error.value)[:200]
    words = {"error": "input", "field": error.field, "value": value, "rule": error.rule, "message": str(error)}
    return Response(words, status_code=400)


def _denied(_: Ask, error: Denied) -> Response[dict[str, Any]]:
    return Response(
        {"error": "denied", "reason": error.reason, "numbers": [error.a, error.b], "message": str(error)},
        status_code=409,
    )


def _unavailable(_: Ask, error: SeawallError) -> Response[dict[str, Any]]:
    return Response({"error": type(error).__name__, "message": str(error)}, status_code=503)


def _http(_: Ask, error: HTTPException) -> Response[dict[str, Any]]:
    words: dict[str, Any] = {"error": "request", "message": error.detail}
    if isinstance(error.extra, list):
        words["where"] = [str(one)[:200] for one in error.extra[:5]]
    return Response(words, status_code=error.status_code, headers=error.headers)


def _too_deep(_: Ask, error: RecursionError) -> Response[dict[str, Any]]:
    return Response({"error": "request", "message": "nested too deeply"}, status_code=400)


def _no_text(_: Ask, error: UnicodeDecodeError) -> Response[dict[str, Any]]:
    return Response({"error": "request", "message": "must be UTF-8"}, status_code=400)


def _defect(request: Ask, error: Exception) -> Response[dict[str, Any]]:
    # The place and no values: headers and bodies hold tokens, and a traceback with locals would print them.
    place = "".join(traceback.format_tb(error.__traceback__)[-3:])
    structlog.get_logger().error("defect", path=request.url.path[:100], error=type(error).__name__, place=place)
    return Response({"error": "internal", "message": "a defect of the venue; its log has the place"}, status_code=500)


HANDLERS: Final = (
    *(
        health,
        ready,
        metrics,
        get_status,
        get_exposure,
        get_alerts,
        get_accounts,
        get_instruments,
        get_keys,
        get_people,
    ),
    *(get_parameters, halt, kill, cancel_all, set_limit, change_account, list_instrument, change_key),
    *(add_currency, deliver, feed_prices, change_margin),
    *(set_parameter, change_people, backup, get_proposals, get_proposal, sign, withdraw),
)


def operations_app(operations: Operations) -> Litestar:
    """The ASGI application of the operations door."""
    app = Litestar(
        route_handlers=list(HANDLERS),
        guards=[_authorized],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_MAX,
        exception_handlers={
            InputError: _input_error,
            Denied: _denied,
            Overloaded: _unavailable,
            SeawallError: _unavailable,
            HTTPException: _http,
            RecursionError: _too_deep,
            UnicodeDecodeError: _no_text,
            Exception: _defect,
        },
    )
    app.state.operations = operations
    app.state.metrics = Metrics(operations)
    app.state.failures = Failures()
    return app
