"""Accounts: summaries, positions, what a portfolio would require, the transaction log, deposits, settlements."""

import time
from typing import Annotated, Any, Final

import msgspec

from seawall.api.errors import RpcError, invalid
from seawall.api.ledger import DELIVERY, DEPOSIT, FUNDING, SETTLEMENT, WITHDRAWAL, Entry
from seawall.api.listing import Listing
from seawall.api.methods.orders import choose_kind, choose_one, continued, not_implemented, open_orders
from seawall.api.methods.trading import lots as whole_lots
from seawall.api.methods.trading import ticks as whole_ticks
from seawall.api.portfolio import USD, Portfolio, fee_parts
from seawall.api.requirements import coins
from seawall.api.rpc import Call, Parameters, method
from seawall.api.service import Service
from seawall.api.shapes import index_price, order_id, order_object
from seawall.api.view import OPEN
from seawall.engine import formulas
from seawall.node.configuration import Rate

COUNT_MAX: Final = 1000
UNLIMITED: Final = 1_000_000.0
"""What a client is told of a rate without limit."""

SIMULATED_MAX: Final = 200
"""Instruments of an imagined portfolio."""

SIMULATION_MS: Final = 1000
"""Between two simulations of an account."""

Count = Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)]


class SummaryParameters(Parameters, frozen=True):
    """Of get_account_summary."""

    currency: str
    extended: bool = False
    subaccount_id: int | None = None


class SummariesParameters(Parameters, frozen=True):
    """Of get_account_summaries."""

    extended: bool = False
    subaccount_id: int | None = None


@method("private/get_account_summary", SummaryParameters, scope="account:read")
def get_account_summary(service: Service, call: Call, asked: SummaryParameters) -> Any:
    """Balance, equity and margins in one currency."""
    currency = currency_number(service, asked.currency)
    account = _whose(service, call, asked.subaccount_id)

    def then(seen: Any) -> dict[str, Any]:
        made = Portfolio(service.view, account, seen).summary(currency) | terms(service)
        return made | _owner(service, account, extended=True) if asked.extended else made

    _look(service, call, account, then)


@method("private/get_account_summaries", SummariesParameters, scope="account:read")
def get_account_summaries(service: Service, call: Call, asked: SummariesParameters) -> Any:
    """The same in all currencies."""
    account = _whose(service, call, asked.subaccount_id)

    def then(seen: Any) -> dict[str, Any]:
        shared = terms(service)
        made = _owner(service, account, extended=asked.extended)
        made["summaries"] = [part | shared for part in Portfolio(service.view, account, seen).summaries()]
        return made

    _look(service, call, account, then)


def currency_number(service: Service, name: str) -> int:
    """A currency by its name, in any case. Raises RpcError -32602."""
    for number, (known, _) in service.view.currencies.items():
        if known == name.upper():
            return number
    raise invalid("currency", f"must be one of {', '.join(known for known, _ in service.view.currencies.values())}")


def family(service: Service, account: int) -> list[int]:
    """The accounts that one may look at: of the main one those of its beneficial owner, of any other itself alone."""
    numbers = service.view.arrangements.family(account)
    return numbers if numbers[0] == account else [account]


def _whose(service: Service, call: Call, subaccount: int | None) -> int:
    if subaccount is None or subaccount == call.account:
        return call.account
    if subaccount not in family(service, call.account):
        raise RpcError(13021, reason=f"account {subaccount} is not a subaccount of this one")
    return subaccount


def _look(service: Service, call: Call, account: int, then: Any) -> None:
    engine = service.node.fold.engine
    service.look(call, lambda: engine.account_view(account), then)


def terms(service: Service) -> dict[str, Any]:
    """What holds for all accounts: the margin model, rates of requests."""
    portfolio = service.margin_model not in ("standard", "deribit-standard")
    other, trading = (_rate(rate) for rate in (service.rates.settings.other, service.rates.settings.trading))
    return {
        "margin_model": "cross_pm" if portfolio else "cross_sm",
        "portfolio_margining_enabled": portfolio,
        "limits": {
            "non_matching_engine": other,
            "matching_engine": {"trading": {"total": trading}},
            "limits_per_currency": False,
        },
    }


def _rate(rate: Rate) -> dict[str, float]:
    if not rate.rate:
        return {"rate": UNLIMITED, "burst": UNLIMITED}
    return {"rate": rate.rate, "burst": rate.burst}


def _owner(service: Service, account: int, *, extended: bool) -> dict[str, Any]:
    client = service.view.client(account)
    made: dict[str, Any] = {
        "id": account,
        "username": client.name,
        "email": "",
        "system_name": client.name,
        "type": "main" if service.view.arrangements.family(account)[0] == account else "subaccount",
        "creation_timestamp": client.created_ms,
        "referrer_id": None,
        "login_enabled": True,
        "security_keys_enabled": False,
        "mmp_enabled": True,
        "interuser_transfers_enabled": False,
    }
    if extended:
        mode, extended_to = service.view.arrangements.self_trading(account)
        made |= {"self_trading_reject_mode": mode, "self_trading_extended_to_subaccounts": extended_to}
    return made


# -- positions ---------------------------------------------------------------------------------------------------------


class PositionsParameters(Parameters, frozen=True):
    """Of get_positions."""

    currency: str = "any"
    kind: str = "any"
    subaccount_id: int | None = None


class InstrumentParameters(Parameters, frozen=True):
    """One instrument."""

    instrument_name: str


@method("private/get_positions", PositionsParameters, scope="trade:read")
def get_positions(service: Service, call: Call, asked: PositionsParameters) -> Any:
    """All positions that are not flat."""
    chosen = choose_kind(service, asked.currency, asked.kind)
    account = _whose(service, call, asked.subaccount_id)

    def then(seen: Any) -> list[dict[str, Any]]:
        portfolio = Portfolio(service.view, account, seen)
        held = [item.listing for item in portfolio.holdings.values() if item.lots]
        return [portfolio.position(listing) for listing in held if chosen(listing)]

    _look(service, call, account, then)


@method("private/get_position", InstrumentParameters, scope="trade:read")
def get_position(service: Service, call: Call, asked: InstrumentParameters) -> Any:
    """One position; size 0 where there is none."""
    listing = service.listing(asked.instrument_name)
    _look(service, call, call.account, lambda seen: Portfolio(service.view, call.account, seen).position(listing))


class MarginParameters(Parameters, frozen=True):
    """Of get_margins."""

    instrument_name: str
    amount: float
    price: float


@method("private/get_margins", MarginParameters, scope="trade:read")
def get_margins(service: Service, call: Call, asked: MarginParameters) -> Any:
    """What an order would require by itself, and its fees at the limit."""
    view, listing = service.view, service.listing(asked.instrument_name)
    if not view.requirements.known(listing.number) or listing.expired:
        raise RpcError(10012, reason="nothing is published of this instrument")
    lots, ticks = whole_lots(listing, asked.amount, None), whole_ticks(listing, asked.price)
    currency = listing.spec.currency
    decimals = view.currencies[currency][1]
    rates = view.fee_rates(call.account, listing)
    parts = fee_parts(view, call.account, listing)
    made: dict[str, Any] = {}
    value = formulas.limit_value(listing.spec, lots, ticks)
    for word, side in (("buy", 1), ("sell", -1)):
        need = view.requirements.of_order(listing.number, side, lots, ticks, parts)[0]
        made[word] = round(coins(need, view.requirements.rate(currency)) / 10**decimals, decimals)
        for liquidity, fraction in zip(("maker", "taker"), rates, strict=True):
            made[f"{word}_{liquidity}_fee"] = round(value * fraction / 10**decimals, decimals)
    low, high = view.band(listing)
    return made | {"min_price": listing.price(low), "max_price": listing.price(high)}


class OrderIds(Parameters, frozen=True):
    """Several orders."""

    ids: Annotated[list[str], msgspec.Meta(max_length=COUNT_MAX)]


@method("private/get_order_margin_by_ids", OrderIds, scope="trade:read")
def get_order_margin_by_ids(service: Service, call: Call, asked: OrderIds) -> Any:
    """What each of some open orders would require by itself; those that are done are left out."""
    view, found = service.view, []
    for text in asked.ids:
        order = service.own_order(call, text)
        listing = view.listings[order.instrument]
        if order.state != OPEN:
            continue
        parts = fee_parts(view, call.account, listing)
        need, _ = view.requirements.of_order(listing.number, order.side, order.remaining, order.price, parts)
        _, decimals = view.currencies[listing.spec.currency]
        margin = round(coins(need, view.requirements.rate(listing.spec.currency)) / 10**decimals, decimals)
        row = {"order_id": order_id(order, listing), "initial_margin": margin}
        found.append(row | {"initial_margin_currency": listing.settlement})
    return found


# -- portfolios that are only imagined ---------------------------------------------------------------------------------


class SimulateParameters(Parameters, frozen=True):
    """Of simulate_portfolio."""

    currency: str = "BTC"
    add_positions: bool = True
    simulated_positions: dict[str, float] | str = ""


@method("private/simulate_portfolio", SimulateParameters, scope="account:read")
def simulate_portfolio(service: Service, call: Call, asked: SimulateParameters) -> Any:
    """The summary that an account would have with other positions, entered at the marks."""
    currency = currency_number(service, asked.currency)
    wanted = _imagined(service, call, asked)

    def then(seen: Any) -> dict[str, Any]:
        imagined = service.view.requirements.imagine(seen, wanted, add=asked.add_positions)
        return Portfolio(service.view, call.account, imagined).summary(currency) | terms(service)

    _look(service, call, call.account, then)


@method("private/pme/simulate", SimulateParameters, scope="account:read")
def pme_simulate(service: Service, call: Call, asked: SimulateParameters) -> Any:
    """The risk matrix of a portfolio: by block, what each scenario would change, and what is required."""
    if asked.currency.upper() != "CROSS":
        currency_number(service, asked.currency)
    wanted, view = _imagined(service, call, asked), service.view

    def then(seen: Any) -> dict[str, Any]:
        imagined = view.requirements.imagine(seen, wanted, add=asked.add_positions)
        blocks = []
        for number, (scenarios, *_) in imagined["blocks"].items():
            count = view.requirements.scenarios(number)
            blocks.append(
                {
                    "index_name": view.blocks[number][1],
                    "scenarios_usd": [round(value / USD, 2) for value in scenarios[:count]],
                    "worst_usd": round(min(scenarios[:count]) / USD, 2),
                }
            )
        return {
            "currency": asked.currency,
            "equity_usd": imagined["equity"] / USD,
            "initial_margin_usd": imagined["initial"] / USD,
            "maintenance_margin_usd": imagined["maintenance"] / USD,
            "blocks": blocks,
        }

    _look(service, call, call.account, then)


@method("private/get_portfolio_margins", SimulateParameters, scope="account:read")
def get_portfolio_margins(service: Service, call: Call, asked: SimulateParameters) -> Any:
    """The old name of pme/simulate."""
    return pme_simulate(service, call, asked)


def _imagined(service: Service, call: Call, asked: SimulateParameters) -> dict[int, int]:
    """Lots by instrument. Raises RpcError for what is no instrument or amount, and 10028 if asked too often."""
    sizes = asked.simulated_positions
    if isinstance(sizes, str):  # some clients send the object as text
        try:
            sizes = msgspec.json.decode(sizes, type=dict[str, float], strict=False) if sizes else {}
        except msgspec.DecodeError:
            raise invalid("simulated_positions", "must be an object of sizes by instrument") from None
    if len(sizes) > SIMULATED_MAX:
        raise invalid("simulated_positions", f"must name at most {SIMULATED_MAX} instruments")
    wanted = {}
    for name, size in sizes.items():
        listing = service.listing(name)
        if listing.expired or not service.view.requirements.known(listing.number):
            raise RpcError(10012, instrument_name=name)
        lots = listing.lots(size)
        if lots is None or abs(lots) > listing.spec.largest_position:
            raise invalid("simulated_positions", f"{name} must be a multiple of {listing.amount(1)}, within its bounds")
        wanted[listing.number] = lots
    now = time.monotonic_ns() // 1_000_000  # a clock that steps back would keep the account out for as long
    wait = service.edge.simulated_ms.get(call.account, -SIMULATION_MS) + SIMULATION_MS - now
    if wait > 0:
        raise RpcError(10028, wait=wait / 1000)
    service.edge.simulated_ms[call.account] = now
    return wanted


# -- the ledger --------------------------------------------------------------------------------------------------------


class LogParameters(Parameters, frozen=True):
    """Of get_transaction_log."""

    currency: str
    start_timestamp: int = 0
    end_timestamp: int | None = None
    query: str | None = None
    count: Count = 100
    continuation: int | str | None = None
    subaccount_id: int | None = None


class PaymentParameters(Parameters, frozen=True):
    """Of get_deposits, get_withdrawals and get_transfers."""

    currency: str
    count: Count = 10
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class SettlementsByInstrument(Parameters, frozen=True):
    """Of get_settlement_history_by_instrument."""

    instrument_name: str
    type: str | None = None
    count: Count = 20
    continuation: str | None = None
    search_start_timestamp: int | None = None


class SettlementsByCurrency(Parameters, frozen=True):
    """Of get_settlement_history_by_currency."""

    currency: str
    type: str | None = None
    count: Count = 20
    continuation: str | None = None
    search_start_timestamp: int | None = None


@method("private/get_transaction_log", LogParameters, scope="account:read")
def get_transaction_log(service: Service, call: Call, asked: LogParameters) -> Any:
    """What changed the balance of a currency, newest first."""
    currency = None if asked.currency.lower() == "any" else currency_number(service, asked.currency)
    account = _whose(service, call, asked.subaccount_id)
    before = continued(None if asked.continuation is None else str(asked.continuation))
    end = asked.end_timestamp
    found = [
        entry
        for entry in reversed(service.view.ledger.of(account).entries)
        if entry.number < before
        and (currency is None or entry.currency == currency)
        and entry.at_ms >= asked.start_timestamp
        and (end is None or entry.at_ms <= end)
        and (not asked.query or _answers(service, entry, asked.query))
    ]
    page = found[: asked.count]
    return {
        "logs": [_log(service, account, entry) for entry in page],
        "continuation": page[-1].number if len(found) > len(page) else None,
    }


def _answers(service: Service, entry: Entry, query: str) -> bool:
    """Whether a row is about what was searched for: its type, its side, or the name of its instrument."""
    listing = service.view.listings.get(entry.instrument)
    words = (entry.type, "buy" if entry.side > 0 else "sell" if entry.side else "", listing.name if listing else "")
    return query.lower() in (word.lower() for word in words)


def _log(service: Service, account: int, entry: Entry) -> dict[str, Any]:
    name, decimals = service.view.currencies[entry.currency]
    unit = 10**decimals
    made: dict[str, Any] = {
        "id": entry.number,
        "user_seq": entry.number,
        "user_id": account,
        "username": service.view.client(account).name,
        "currency": name,
        "timestamp": entry.at_ms,
        "type": entry.type,
        "change": entry.change / unit,
        "cashflow": entry.cashflow / unit,
        "balance": entry.balance / unit,
        "equity": entry.equity / unit,
        "commission": entry.commission / unit,
        "info": None,
    }
    listing = service.view.listings.get(entry.instrument)
    if listing is None:
        return made
    delivered = entry.type == DELIVERY
    made |= {
        "instrument_name": listing.name,
        "position": listing.amount(entry.position),
        "price": listing.delivery_price if delivered else listing.price(entry.price),
        "price_currency": listing.counter if delivered else listing.quote,
        "amount": listing.amount(entry.amount),
        "contracts": listing.contracts(entry.amount),
    }
    if entry.side:
        order = service.view.orders.get(entry.order_id)
        opening = "open" if entry.side * entry.position > 0 else "close"
        made |= {
            "side": f"{opening} {'buy' if entry.side > 0 else 'sell'}",
            "trade_id": f"{listing.base}-{entry.trade_id}",
            "order_id": order_id(order, listing) if order else f"{listing.base}-{entry.order_id}",
            "user_role": "taker" if entry.liquidity == 2 else "maker",
        }
    if entry.type in (SETTLEMENT, FUNDING):
        made["interest_pl"] = entry.funding / unit
    return made


def _payments(service: Service, call: Call, asked: PaymentParameters, kind: str) -> tuple[list[Entry], int, int]:
    """A page of deposits or withdrawals, newest first; how many there are; the unit."""
    currency = currency_number(service, asked.currency)
    payments = reversed(service.view.ledger.of(call.account).payments)
    found = [entry for entry in payments if entry.type == kind and entry.currency == currency]
    unit = 10 ** service.view.currencies[currency][1]
    return found[asked.offset : asked.offset + asked.count], len(found), unit


@method("private/get_deposits", PaymentParameters, scope="wallet:read")
def get_deposits(service: Service, call: Call, asked: PaymentParameters) -> Any:
    """Deposits, newest first."""
    page, count, unit = _payments(service, call, asked, DEPOSIT)
    data = [
        {
            "address": "",
            "amount": entry.change / unit,
            "currency": asked.currency.upper(),
            "received_timestamp": entry.at_ms,
            "updated_timestamp": entry.at_ms,
            "state": "completed",
            "transaction_id": str(entry.number),
            "note": "",
        }
        for entry in page
    ]
    return {"count": count, "data": data}


@method("private/get_withdrawals", PaymentParameters, scope="wallet:read")
def get_withdrawals(service: Service, call: Call, asked: PaymentParameters) -> Any:
    """Withdrawals, newest first."""
    page, count, unit = _payments(service, call, asked, WITHDRAWAL)
    data = [
        {
            "id": entry.number,
            "address": "",
            "amount": -entry.change / unit,
            "currency": asked.currency.upper(),
            "fee": 0.0,
            "priority": 0.0,
            "created_timestamp": entry.at_ms,
            "confirmed_timestamp": entry.at_ms,
            "updated_timestamp": entry.at_ms,
            "state": "completed",
            "transaction_id": str(entry.number),
        }
        for entry in page
    ]
    return {"count": count, "data": data}


@method("private/get_transfers", PaymentParameters, scope="wallet:read")
def get_transfers(service: Service, call: Call, asked: PaymentParameters) -> Any:
    """Transfers between accounts: this venue has none, so the list is empty."""
    currency_number(service, asked.currency)
    return {"count": 0, "data": []}


def no_transfer(service: Service, call: Call, asked: Any) -> Any:
    """Refused: money moves between accounts at the operations door."""
    raise not_implemented("money moves between accounts at the operations door only")


for _name in ("to_subaccount", "to_user", "between_subaccounts"):
    method(f"private/submit_transfer_{_name}", scope="wallet:read_write")(no_transfer)


@method("private/get_settlement_history_by_instrument", SettlementsByInstrument, scope="trade:read")
def get_settlement_history_by_instrument(service: Service, call: Call, asked: SettlementsByInstrument) -> Any:
    """The account's settlements and deliveries in an instrument, newest first."""
    return _settlements(service, call, asked, choose_one(service, asked.instrument_name))


@method("private/get_settlement_history_by_currency", SettlementsByCurrency, scope="trade:read")
def get_settlement_history_by_currency(service: Service, call: Call, asked: SettlementsByCurrency) -> Any:
    """The account's settlements and deliveries in a currency, newest first."""
    return _settlements(service, call, asked, choose_kind(service, asked.currency, None))


def _settlements(service: Service, call: Call, asked: Any, choice: Any) -> dict[str, Any]:
    if asked.type not in (None, SETTLEMENT, DELIVERY, "bankruptcy"):
        raise invalid("type", "must be settlement, delivery or bankruptcy")
    before, listings = continued(asked.continuation), service.view.listings
    latest = asked.search_start_timestamp
    found = [
        entry
        for entry in reversed(service.view.ledger.of(call.account).settlements)
        if entry.number < before
        and asked.type in (None, entry.type)
        and (latest is None or entry.at_ms <= latest)
        and choice(listings[entry.instrument])
    ]
    page = found[: asked.count]
    return {
        "settlements": [_settlement(service, listings[entry.instrument], entry) for entry in page],
        "continuation": str(page[-1].number) if len(found) > len(page) else "none",
    }


def _settlement(service: Service, listing: Listing, entry: Entry) -> dict[str, Any]:
    unit = 10 ** service.view.currencies[entry.currency][1]
    delivered = entry.type == DELIVERY
    return {
        "type": entry.type,
        "timestamp": entry.at_ms,
        "instrument_name": listing.name,
        "position": listing.amount(entry.position),
        "mark_price": listing.delivery_price if delivered else listing.price(entry.price),
        "index_price": listing.delivery_price if delivered else index_price(listing, entry.index_then),
        "profit_loss": entry.change / unit,
        "session_profit_loss": entry.change / unit,
        "funding": entry.funding / unit,
    }


# -- subaccounts -------------------------------------------------------------------------------------------------------


class SubaccountsParameters(Parameters, frozen=True):
    """Of get_subaccounts."""

    with_portfolio: bool = False


class DetailsParameters(Parameters, frozen=True):
    """Of get_subaccounts_details."""

    currency: str
    with_open_orders: bool = False


@method("private/get_subaccounts", SubaccountsParameters, scope="account:read")
def get_subaccounts(service: Service, call: Call, asked: SubaccountsParameters) -> Any:
    """The accounts of the same beneficial owner, this one first; of an account that is not the main one, itself."""
    numbers = family(service, call.account)
    engine, view = service.node.fold.engine, service.view

    def then(seen: Any) -> list[dict[str, Any]]:
        made = [_subaccount(service, number) for number in numbers]
        for part, shown in zip(made, seen, strict=True):
            if asked.with_portfolio:
                summaries = Portfolio(view, part["id"], shown).summaries()
                part["portfolio"] = {summary["currency"].lower(): summary for summary in summaries}
        return made

    service.look(call, lambda: [engine.account_view(number) for number in numbers], then)


def _subaccount(service: Service, account: int) -> dict[str, Any]:
    owner = _owner(service, account, extended=False)
    made = {name: owner[name] for name in ("id", "username", "system_name", "type", "email", "login_enabled")}
    return made | {
        "receive_notifications": False,
        "is_password": True,
        "security_keys_enabled": False,
        "security_keys_assignments": [],
    }


@method("private/get_subaccounts_details", DetailsParameters, scope="account:read")
def get_subaccounts_details(service: Service, call: Call, asked: DetailsParameters) -> Any:
    """Positions, and open orders if asked for, of the accounts that get_subaccounts shows."""
    choice = choose_kind(service, asked.currency, None)
    numbers = family(service, call.account)
    engine, view = service.node.fold.engine, service.view

    def then(seen: Any) -> list[dict[str, Any]]:
        made = []
        for number, shown in zip(numbers, seen, strict=True):
            portfolio = Portfolio(view, number, shown)
            held = [item.listing for item in portfolio.holdings.values() if item.lots and choice(item.listing)]
            part: dict[str, Any] = {"uid": number, "positions": [portfolio.position(listing) for listing in held]}
            if asked.with_open_orders:
                orders = open_orders(service, number, choice)
                service.rates.owe(call.session, call.account, len(orders))
                part["open_orders"] = [order_object(view, order) for order in orders]
            made.append(part)
        return made

    service.look(call, lambda: [engine.account_view(number) for number in numbers], then)
