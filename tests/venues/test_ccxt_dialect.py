"""ccxt's objects as the dialect's: units of linear, inverse and small contracts, names, labels, ledgers."""

import pytest

from seawall.venues import Quote
from seawall.venues.ccxt_dialect import (
    Wallet,
    client_id,
    contracts_of,
    instrument_object,
    label_of,
    level_of,
    log_entries,
    order_object,
    position_object,
    split_id,
    summary_object,
    user_trade,
)
from seawall.venues.contracts import Offer
from seawall.venues.quotes import quotes_of
from seawall.vocabulary.errors import InputError

NOW = 1_790_000_000_000


def market(symbol, size, step, tick, least=None, **more):
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    settle, _, _ = settle.partition("-")
    return {
        "symbol": symbol, "id": pair.replace("/", ""), "base": base, "quote": quote, "settle": settle, "contract": True,
        "swap": True, "option": False, "active": True, "contractSize": size, "maker": 0.0002, "taker": 0.0005,
        "precision": {"amount": step, "price": tick}, "limits": {"amount": {"min": least}}, **more,
    }  # fmt: skip


BINANCE = market("BTC/USDT:USDT", 1.0, 0.001, 0.1, 0.001)
BYBIT = market("BTC/USD:BTC", 1.0, 1.0, 0.5, 1.0)
OKX = market("BTC/USDT:USDT", 0.01, 0.1, 0.1, 0.1)
DAY = {"swap": False, "expiry": 1_798_272_000_000}  # 26 December 2026, 08:00 UTC


def one(row, **more):
    (contract,) = contracts_of([row], ("BTC", "ETH"), **more)[0].values()
    return contract


def order(**more):
    return {
        "id": "77", "symbol": "x", "side": "buy", "type": "limit", "price": 60_000.0, "amount": 3.0, "filled": 1.0,
        "status": "open", "timestamp": NOW, "average": 60_000.0, "clientOrderId": None, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("row", "count", "amount", "kind", "step"), [
    (BINANCE, 0.003, 0.003, "linear", 0.001),
    (BYBIT, 250.0, 250.0, "reversed", 1),
    (OKX, 30.1, 0.301, "linear", 0.001),
    (market("BTC/USD:BTC", 100.0, 0.1, 0.1), 2.5, 250.0, "reversed", 10),
])  # fmt: skip
def test_units_are_exact_both_ways(row, count, amount, kind, step):
    contract = one(row)
    assert contract.amount(count) == amount and contract.contracts(amount) == count
    shown = instrument_object(contract)
    assert (shown["instrument_type"], shown["contract_size"], shown["min_trade_amount"]) == (kind, step, step)
    assert order_object(contract, order(amount=count, filled=None))["amount"] == amount
    assert position_object(contract, [{"contracts": count, "side": "short"}])["size"] == -amount


def test_what_lies_between_two_steps_is_refused_not_rounded():
    contract = one(OKX)
    for amount in (0.0015, 0.0, -0.001, 0.0301001):
        with pytest.raises(InputError):
            contract.contracts(amount)
    for price in (60_000.05, 0.0, -0.1):
        with pytest.raises(InputError):
            contract.price(price)
    assert contract.price(60_000.3) == 60_000.3


def test_names_and_what_cannot_have_one():
    rows = [
        BINANCE, BYBIT, market("BTC/USDT:USDT-261226", 1, 0.001, 0.1, **DAY),
        market("BTC/USD:BTC-261226", 1, 1, 0.1, **DAY),
        market("ETH/USDT:USDT-261226-0.625-C", 1, 0.1, 0.1, option=True, strike=0.625, optionType="call", **DAY),
        market("BTC/USD:BTC-261226-60000-P", 0.01, 1, 0.0005, option=True, strike=60_000.0, optionType="put", **DAY),
        OKX, market("BTC/USD:USDC", 1, 1, 1), market("BTC/EUR:BTC", 1, 1, 1), market("BTC/USDC:USDC", None, 1, 1),
        market("ETH/USDC:USDC", 1, None, 1), market("SOL/USDT:USDT", 1, 1, 1),
    ]  # fmt: skip
    found, left_out = contracts_of(rows, ("BTC", "ETH"))
    assert list(found) == [
        "BTC_USDT-PERPETUAL", "BTC-PERPETUAL", "BTC_USDT-26DEC26", "BTC-26DEC26", "ETH_USDT-26DEC26-0d625-C",
        "BTC-26DEC26-60000-P",
    ]  # fmt: skip
    assert left_out.keys() == {"BTC/USDT:USDT", "BTC/USD:USDC", "BTC/EUR:BTC", "BTC/USDC:USDC", "ETH/USDC:USDC"}
    for name, contract in found.items():  # the desk reads what is shown
        assert Offer.of(instrument_object(contract)).name == name
    option = instrument_object(found["BTC-26DEC26-60000-P"])
    assert (option["quote_currency"], option["strike"], option["option_type"]) == ("BTC", 60_000.0, "put")


def test_precisions_in_decimals_and_amounts_that_are_units_already():
    assert one(market("BTC/USDT:USDT", 1, 3, 1), digits=True).step == one(BINANCE).step
    contract = one(market("BTC/USD:BTC", 10.0, 10.0, 0.5, 10.0), in_units=True)
    assert contract.amount(30.0) == 30.0 and contract.contracts(30.0) == 30.0


@pytest.mark.parametrize(("said", "state"), [
    ({"status": "open"}, "open"),
    ({"status": "closed", "filled": 3.0}, "filled"),
    ({"status": "closed", "filled": 1.0}, "cancelled"),
    ({"status": "canceled"}, "cancelled"),
    ({"status": "expired"}, "cancelled"),
    ({"status": "rejected", "filled": 0.0}, "rejected"),
    ({"status": None}, "open"),
])  # fmt: skip
def test_states_of_orders(said, state):
    shown = order_object(one(OKX), order(**said))
    assert shown["order_state"] == state
    assert split_id(shown["order_id"]) == ("BTC_USDT-PERPETUAL", "77")
    assert (shown["amount"], shown["price"]) == (0.03, 60_000.0)


def test_an_order_without_a_price_is_no_limit_order():
    shown = order_object(one(BINANCE), order(type="market", price=None))
    assert (shown["order_type"], shown["price"]) == ("market", "market_price")


def test_labels_travel_in_client_order_ids():
    first, second = client_id("grid.7"), client_id("grid.7")
    assert first != second and len(first) == 14
    assert label_of({"clientOrderId": first}) == label_of({"clientOrderId": second}) == "grid.7"
    assert label_of({"clientOrderId": client_id("")}) == ""
    assert label_of({"clientOrderId": "somebody else's"}) == "somebody else's"
    assert label_of({"clientOrderId": None, "info": {"label": "as it is"}}) == "as it is"
    with pytest.raises(InputError):
        client_id("x" * 25)


def test_executions_with_their_fees_in_whatever_coin():
    trade = {
        "id": "5", "order": "77", "symbol": "x", "side": "sell", "price": 60_000.0, "amount": 10.0, "timestamp": NOW,
        "takerOrMaker": "maker", "fee": {"cost": -0.02, "currency": "BNB"},
    }  # fmt: skip
    shown = user_trade(one(OKX), trade)
    assert (shown["amount"], shown["fee"], shown["fee_currency"], shown["liquidity"]) == (0.1, -0.02, "BNB", "M")
    assert shown["order_id"] == "BTC_USDT-PERPETUAL:77"
    shown = user_trade(one(BYBIT), trade | {"fee": None, "fees": [{"cost": 1e-7, "currency": "BTC"}]})
    assert (shown["amount"], shown["fee"], shown["fee_currency"]) == (10.0, 1e-7, "BTC")
    with pytest.raises(InputError):
        user_trade(one(OKX), trade | {"id": None})


def test_both_sides_of_hedge_mode_are_one_position():
    rows = [{"contracts": 5.0, "side": "long", "unrealizedPnl": 2.0}, {"contracts": 2.0, "side": "short"}]
    shown = position_object(one(OKX), rows)
    assert (shown["size"], shown["direction"], shown["floating_profit_loss"]) == (0.03, "buy", 2.0)
    dollars = position_object(one(BYBIT), [{"contracts": 600.0, "side": "short", "markPrice": 60_000.0}])
    assert (dollars["size"], dollars["size_currency"]) == (-600.0, -0.01)


def test_the_desk_reads_quotes_of_marks_and_indices():
    contract = one(BINANCE)
    level = level_of(contract, [{"markPrice": 60_010.0}, {"indexPrice": 60_000.0, "bid": 1.0, "markPrice": 1.0}], NOW)
    quotes, refused = quotes_of([summary_object(contract, level)], {"btc_usdt": level.index})
    assert quotes == {contract.name: Quote(60_010.0, 60_000.0, time_ms=NOW)} and not refused
    _, refused = quotes_of([summary_object(contract, level_of(contract, [{"last": 5.0}], NOW))], {"btc_usdt": 1.0})
    assert contract.name in refused


def test_a_ledger_is_a_log_whose_ids_grow():
    rows = [
        {"id": "c", "timestamp": NOW + 1, "type": "transfer", "direction": "in", "amount": 5.0, "currency": "USDT"},
        {"id": "b", "timestamp": NOW, "type": "fee", "direction": "out", "amount": 0.25, "currency": "USDT",
         "info": {"incomeType": "FUNDING_FEE", "symbol": "BTCUSDT"}},
        {"id": "a", "timestamp": NOW, "type": "trade", "direction": "in", "amount": 2.0, "currency": "USDT"},
    ]  # fmt: skip
    log = log_entries(rows, {"BTCUSDT": "BTC_USDT-PERPETUAL"}, {"FUNDING_FEE"})
    assert [row["id"] for row in log] == [(NOW + 1) * 1000, NOW * 1000 + 1, NOW * 1000]
    assert [row["type"] for row in log] == ["transfer", "settlement", "trade"]
    assert (log[1]["change"], log[1]["interest_pl"], log[1]["instrument_name"]) == (-0.25, -0.25, "BTC_USDT-PERPETUAL")


@pytest.mark.parametrize("rows", [
    [("trade", 0.001, {"symbol": "BTCUSD_PERP", "incomeType": "REALIZED_PNL"}),
     ("commission", -0.000005, {"symbol": "BTCUSD_PERP", "incomeType": "COMMISSION"})],
    [("trade", 0.000995, {"symbol": "BTCUSD_PERP", "type": "TRADE", "cashFlow": "0.001", "fee": "0.000005"})],
    [("trade", 0.000995, {"instId": "BTCUSD_PERP", "type": "2", "pnl": "0.001", "fee": "-0.000005"})],
])  # fmt: skip
@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "BTC-26DEC26-60000-C"])
def test_what_a_trade_gained_is_as_settled_at_once(rows, name):
    """So is it in the balance there, and beside the position here; an option's premium is in both balances."""
    told = [
        {"id": str(at), "timestamp": NOW, "type": kind, "direction": "in" if amount > 0 else "out",
         "amount": abs(amount), "currency": "BTC", "info": info}
        for at, (kind, amount, info) in enumerate(rows)
    ]  # fmt: skip
    log = log_entries(told, {"BTCUSD_PERP": name}, {"FUNDING_FEE"})
    gained = [row for row in log if row["type"] == "settlement"]
    assert sum(row["change"] for row in log) == pytest.approx(0.000995)
    assert len({row["id"] for row in log}) == len(log) and {row["instrument_name"] for row in log} == {name}
    if name.endswith("-C"):
        assert not gained
    else:
        assert [(row["change"], row["interest_pl"]) for row in gained] == [(0.001, 0.0)]


def test_balances_are_read_where_the_exchange_has_them():
    binance = Wallet(("assets",), "asset", "walletBalance", "marginBalance")
    row = {"asset": "USDT", "walletBalance": "10.5", "marginBalance": "12"}
    assert binance.of({"assets": [row]}) == {"USDT": (10.5, 12.0)}
    bybit = Wallet(("result", "list", 0, "coin"), "coin", "walletBalance", "equity")
    row = {"coin": "BTC", "walletBalance": "", "equity": ""}
    assert bybit.of({"result": {"list": [{"coin": [row]}]}}) == {"BTC": (0.0, 0.0)}
