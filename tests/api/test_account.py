"""Accounts: what is told of money and positions is the engine's, and adds up."""

import random

import msgspec
import numpy as np
import pytest
from api_venue import ALICE, BOB, CAROL, ETHER, PERPETUAL, PRICE, Venue

from seawall.api.ledger import Ledger
from seawall.api.portfolio import Portfolio
from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.node import Configuration
from seawall.node.publishing import Simulated
from seawall.sim import START_NS, Market, SimulatedClock
from seawall.vocabulary.records import SYSTEM_ACCOUNTS, Kind, Role, command

LINEAR = "BTC_USDC-PERPETUAL"
CURRENCIES = ("BTC", "ETH", "USDC")


def options_of(venue):
    return [item.name for item in venue.view.listings.values() if item.option and item.base == "BTC"]


def seen(venue, account):
    return venue.node.fold.engine.account_view(account)


def trade_at_random(venue, rng, rounds, *, money=True, caps=(None,)):
    """Orders of three clients around the marks, with publications, settlements and funding between them."""
    names = [PERPETUAL, ETHER, LINEAR, *options_of(venue)[:3]]
    for _ in range(rounds):
        listing = venue.view.by_name[rng.choice(names)]
        mark = listing.price(venue.view.marks[listing.number])
        ticks = max(1, round(mark * rng.uniform(0.995, 1.005) / listing.price(1)))
        asked = {"instrument_name": listing.name, "amount": listing.amount(rng.randint(1, 30))}
        word, account = rng.choice(("buy", "sell")), rng.choice((ALICE, BOB, CAROL))
        answer = venue.call(f"private/{word}", account, price=listing.price(ticks), **asked)
        assert "result" in answer or answer["error"]["code"] == 10003, answer
        if money and rng.random() < 0.15:
            venue.publish(gain_cap=rng.choice(caps), BTC=rng.uniform(58_000, 62_000), ETH=rng.uniform(2_900, 3_100))
        if money and rng.random() < 0.1:
            number = venue.view.by_name[rng.choice(names[:3])].number
            amount = rng.randint(-(2**20), 2**20)
            venue.submit(command(Kind.FUNDING, instrument=number, amount=amount))
            venue.submit(command(Kind.SETTLE, instrument=number))


# -- the engine's look -------------------------------------------------------------------------------------------------


def test_both_engines_show_an_account_alike(tmp_path):
    configuration = Configuration.of({"data": str(tmp_path)})
    clock = SimulatedClock(START_NS)
    market = Market(5, Simulated(configuration), clock)
    engines = [Reference(), Fast()]
    batch, seq = market.opening(), 0
    rules = command(Kind.RULES, version=2)
    held = 0
    for _ in range(25):
        for commands, attachments in ((rules, b""), batch) if not seq else (batch,):
            records = commands.copy()
            records["seq"] = np.arange(seq + 1, seq + 1 + len(records))
            records["time"] = clock()
            seq += len(records)
            events = [engine.step(records.copy(), attachments) for engine in engines]
        market.observe(events[0])
        for account in range(len(engines[0].accounts)):
            one, other = (engine.account_view(account) for engine in engines)
            assert one == other
            held += len(one["positions"])
            state = engines[0].state()["accounts"][account] if account % 5 == 0 else None
            if state is not None:
                assert {name: state[name] for name in ("balance", "blocks", "equity", "initial")} == {
                    name: one[name] for name in ("balance", "blocks", "equity", "initial")
                }
        batch = market.round()
    assert held > 100


# -- the ledger --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_quantities_and_money_are_the_engines(venue, seed):
    rng = random.Random(seed)
    for _ in range(4):
        trade_at_random(venue, rng, 25, caps=(None, 10**4))
        for account in (ALICE, BOB, CAROL):
            shown, book = seen(venue, account), venue.view.ledger.of(account)
            quantities = {number: held[0] for number, held in shown["positions"].items() if held[0]}
            assert {number: item.quantity for number, item in book.positions.items() if item.quantity} == quantities
            for currency in range(3):
                listings = venue.view.listings
                mine = [number for number in shown["positions"] if listings[number].spec.currency == currency]
                total = shown["balance"][currency] + sum(shown["positions"][number][1] for number in mine)
                futures = [
                    number for number in book.positions
                    if not listings[number].option and listings[number].spec.currency == currency
                ]  # fmt: skip
                assert book.balance[currency] + sum(book.positions[number].cash for number in futures) == total


def test_after_a_settlement_the_log_s_balance_is_the_summary_s(venue):
    trade_at_random(venue, random.Random(9), 60)
    for listing in list(venue.view.listings.values()):
        venue.submit(command(Kind.SETTLE, instrument=listing.number))
    for account in (ALICE, BOB):
        for name in CURRENCIES:
            summary = venue.result("private/get_account_summary", account, currency=name)
            (last, *_) = venue.result("private/get_transaction_log", account, currency=name, count=1)["logs"]
            assert last["balance"] == pytest.approx(summary["balance"], abs=1e-9)


def test_a_gain_above_its_cap_waits_in_the_session_and_comes_cap_by_cap(venue):
    """60,000 dollars that rise by a sixtieth gain 0.0164 BTC; 0.005 of it is cash a day, also when it is closed."""
    venue.sell(BOB, 60_000, PRICE)
    venue.buy(ALICE, 60_000, PRICE)
    venue.publish(BTC=61_000.0, gain_cap=500_000)
    gained, waits = 60_000 * (1 / PRICE - 1 / 61_000), []
    for day in range(5):
        venue.submit(command(Kind.SETTLE, instrument=0))
        summary = venue.result("private/get_account_summary", ALICE, currency="BTC")
        assert summary["equity"] == pytest.approx(summary["balance"] + summary["session_rpl"] + summary["session_upl"])
        waits.append(summary["session_rpl"])
        if day == 1:
            venue.buy(BOB, 60_000, 61_000.0)
            venue.sell(ALICE, 60_000, 61_000.0)
    rows = venue.result("private/get_settlement_history_by_currency", ALICE, currency="BTC")["settlements"]
    paid = [0.005, 0.005, 0.005, gained - 0.015]
    assert [row["profit_loss"] for row in rows[::-1]] == pytest.approx(paid, abs=3e-8)
    assert waits == pytest.approx([gained - sum(paid[:day]) for day in range(1, 5)] + [0], abs=3e-8)


def test_the_average_of_a_position_survives_settlements(venue):
    venue.sell(BOB, 1000, PRICE)
    venue.buy(ALICE, 400, PRICE)
    venue.sell(BOB, 1000, 62_000.0)
    venue.buy(ALICE, 600, PRICE)
    venue.buy(ALICE, 1000, 62_000.0)
    average = 2000 / (1000 / PRICE + 1000 / 62_000)
    position = venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)
    assert position["average_price"] == pytest.approx(average, rel=1e-9)
    venue.publish(BTC=61_000.0)
    venue.submit(command(Kind.SETTLE, instrument=0))
    venue.publish(BTC=63_000.0)
    position = venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)
    assert position["average_price"] == pytest.approx(average, rel=1e-9)
    assert position["settlement_price"] == 61_000.0
    assert position["floating_profit_loss"] == pytest.approx(2000 * (1 / 61_000 - 1 / 63_000), abs=2e-8)
    assert position["total_profit_loss"] == pytest.approx(2000 * (1 / average - 1 / 63_000), abs=2e-8)


def test_a_log_s_cash_flow_is_what_was_realised_since_the_last_settlement(venue):
    """So those of trades and settlements add up to what was gained, and none of it twice."""
    venue.sell(BOB, 60_000, PRICE)
    venue.buy(ALICE, 60_000, PRICE)
    venue.publish(BTC=61_000.0)
    venue.submit(command(Kind.SETTLE, instrument=0))
    venue.buy(BOB, 60_000, 61_500.0)
    venue.sell(ALICE, 60_000, 61_500.0)
    rows = venue.result("private/get_transaction_log", ALICE, currency="BTC", count=3)["logs"]
    assert [row["type"] for row in rows] == ["trade", "settlement", "trade"]
    assert rows[0]["cashflow"] == pytest.approx(60_000 * (1 / 61_000 - 1 / 61_500), abs=1e-8)
    gained = 60_000 * (1 / PRICE - 1 / 61_500)
    assert sum(row["cashflow"] for row in rows) == pytest.approx(gained, abs=3e-8)


def test_closing_part_realises_and_turning_starts_anew(venue):
    venue.sell(BOB, 0.5, 60_000.0, name=LINEAR)
    venue.buy(ALICE, 0.5, 60_000.0, name=LINEAR)
    venue.buy(BOB, 2.0, 61_000.0, name=LINEAR)
    venue.sell(ALICE, 0.2, 61_000.0, name=LINEAR)
    position = venue.result("private/get_position", ALICE, instrument_name=LINEAR)
    assert (position["size"], position["average_price"]) == (0.3, 60_000.0)
    assert position["realized_profit_loss"] == pytest.approx(200.0)
    assert position["floating_profit_loss"] == pytest.approx(0.3 * (position["mark_price"] - 60_000))
    venue.sell(ALICE, 0.7, 61_000.0, name=LINEAR)
    position = venue.result("private/get_position", ALICE, instrument_name=LINEAR)
    assert (position["size"], position["direction"], position["average_price"]) == (-0.4, "sell", 61_000.0)
    assert position["realized_profit_loss"] == pytest.approx(500.0)


def test_no_fee_is_in_the_profit_of_what_was_traded_at_the_market(venue):
    """The engine takes the fee of a better price than the limit from session cash, and a market order's limit is far
    away: what clients read as profit is that of the prices, and the fee is in the balance alone."""
    option = options_of(venue)[0]
    names = ((PERPETUAL, "buy", 60_030.0, 6_000), (LINEAR, "sell", 59_970.0, 0.3), (option, "sell", 0.05, 2))
    for name, word, price, amount in names:
        other = "sell" if word == "buy" else "buy"
        for maker, taker in ((other, word), (word, other)):
            getattr(venue, maker)(BOB, amount, price, name=name)
            venue.result(f"private/{taker}", ALICE, instrument_name=name, amount=amount, type="market")
            if taker == word:
                (position,) = (p for p in venue.result("private/get_positions", ALICE) if p["instrument_name"] == name)
                assert position["floating_profit_loss"] == pytest.approx(position["total_profit_loss"], abs=2e-8)
                assert position["floating_profit_loss"] and position["realized_profit_loss"] == 0
        flat = venue.result("private/get_position", ALICE, instrument_name=name)
        assert (flat["size"], flat["floating_profit_loss"]) == (0, 0)
        assert flat["realized_profit_loss"] == pytest.approx(0, abs=2e-8)
    for account in (ALICE, BOB):
        for currency in ("BTC", "USDC"):
            part = venue.result("private/get_account_summary", account, currency=currency)
            (last, *_) = venue.result("private/get_transaction_log", account, currency=currency, count=1)["logs"]
            assert (part["balance"], part["equity"]) == (last["balance"], pytest.approx(last["equity"], abs=2e-8))
            assert part["session_rpl"] == pytest.approx(0, abs=4e-8)
    venue.sell(BOB, 6_000, 60_030.0)
    venue.result("private/buy", ALICE, instrument_name=PERPETUAL, amount=6_000, type="market")
    part = venue.result("private/get_account_summary", ALICE, currency="BTC")
    same = venue.result("private/simulate_portfolio", ALICE, currency="BTC", simulated_positions={})
    assert {name: same[name] for name in part} == part


def test_a_delivered_position_is_in_the_settlements_and_gone(venue):
    name = options_of(venue)[0]
    listing = venue.view.by_name[name]
    venue.sell(BOB, 2, 0.05, name=name)
    venue.buy(ALICE, 2, 0.05, name=name)
    before = venue.result("private/get_account_summary", ALICE, currency="BTC")
    venue.clock.advance(8 * 24 * 3600 * 10**9)
    venue.expire(name, 64_000.0)
    (row,) = venue.result("public/get_last_settlements_by_instrument", instrument_name=name)["settlements"]
    assert (row["type"], row["position"], row["index_price"]) == ("delivery", 2.0, 64_000.0)
    (entry, *_) = venue.result("private/get_transaction_log", ALICE, currency="BTC")["logs"]
    assert (entry["price"], entry["price_currency"]) == (64_000.0, "USD")
    paid = 2 * (64_000 - listing.strike()) / 64_000
    (row,) = venue.result("private/get_settlement_history_by_currency", ALICE, currency="BTC")["settlements"]
    assert (row["type"], row["instrument_name"], row["position"]) == ("delivery", name, 2.0)
    assert row["mark_price"] == 64_000.0
    assert row["profit_loss"] == pytest.approx(paid, abs=1e-7)
    assert [item["instrument_name"] for item in venue.result("private/get_positions", ALICE)] == []
    after = venue.result("private/get_account_summary", ALICE, currency="BTC")
    assert after["balance"] - before["balance"] == pytest.approx(paid, abs=1e-7)
    assert after["options_value"] == 0


def test_settlements_are_paged_by_instrument_and_type(venue):
    venue.sell(BOB, 1000, PRICE)
    venue.buy(ALICE, 1000, PRICE)
    for step in range(5):
        venue.publish(BTC=61_000.0 + 100 * step)
        venue.submit(command(Kind.SETTLE, instrument=0))
    asked = {"instrument_name": PERPETUAL, "count": 2}
    first = venue.result("private/get_settlement_history_by_instrument", ALICE, **asked)
    second = venue.result(
        "private/get_settlement_history_by_instrument", ALICE, continuation=first["continuation"], **asked
    )
    prices = [row["mark_price"] for page in (first, second) for row in page["settlements"]]
    assert prices == [61_400.0, 61_300.0, 61_200.0, 61_100.0]
    assert [row["index_price"] for page in (first, second) for row in page["settlements"]] == prices  # not today's
    assert {row["position"] for row in first["settlements"]} == {1000.0}
    none = venue.result("private/get_settlement_history_by_instrument", ALICE, type="delivery", **asked)
    assert none == {"settlements": [], "continuation": "none"}
    end = venue.result("private/get_settlement_history_by_instrument", ALICE, continuation="none", **asked)
    assert end["settlements"] == []
    assert venue.error("private/get_settlement_history_by_instrument", ALICE, type="x", **asked)["code"] == -32602


def test_funding_is_in_the_log_and_in_the_position(venue):
    venue.sell(BOB, 1000, PRICE)
    venue.buy(ALICE, 1000, PRICE)
    venue.submit(command(Kind.FUNDING, instrument=0, amount=2**16 * 50))
    (row, *_) = venue.result("private/get_transaction_log", ALICE, currency="BTC")["logs"]
    assert (row["type"], row["change"]) == ("funding", -100 * 50 / 1e8)
    position = venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)
    assert position["realized_funding"] == -100 * 50 / 1e8


def test_the_log_is_paged_and_searched(venue):
    trade_at_random(venue, random.Random(3), 40)
    whole = venue.result("private/get_transaction_log", ALICE, currency="any", count=1000)["logs"]
    assert [row["user_seq"] for row in whole] == list(range(len(whole), 0, -1))
    pages, mark = [], None
    while True:
        more = {} if mark is None else {"continuation": mark}
        page = venue.result("private/get_transaction_log", ALICE, currency="any", count=7, **more)
        pages += page["logs"]
        mark = page["continuation"]
        if mark is None:
            break
    assert pages == whole
    for name in CURRENCIES:
        rows = venue.result("private/get_transaction_log", ALICE, currency=name, count=1000)["logs"][::-1]
        changes = [row["change"] for row in rows]
        assert rows[-1]["balance"] == pytest.approx(sum(changes), abs=1e-7)
    deposits = venue.result("private/get_transaction_log", ALICE, currency="any", query="deposit")["logs"]
    assert {row["type"] for row in deposits} == {"deposit"}
    assert venue.result("private/get_transaction_log", ALICE, currency="BTC", start_timestamp=2**52)["logs"] == []


def test_the_ledger_is_bounded(venue, monkeypatch):
    monkeypatch.setattr("seawall.api.ledger.ENTRIES_KEPT", 5)
    venue.view.ledger = Ledger(venue.view)
    for n in range(10):
        venue.submit(command(Kind.DEPOSIT, account=ALICE, currency=0, amount=10 + n))
    assert len(venue.view.ledger.of(ALICE).entries) == 5


# -- summaries ---------------------------------------------------------------------------------------------------------

REQUIRED = (
    "balance", "equity", "margin_balance", "available_funds", "available_withdrawal_funds", "initial_margin",
    "maintenance_margin", "projected_initial_margin", "projected_maintenance_margin", "total_pl", "session_rpl",
    "session_upl", "futures_pl", "futures_session_rpl", "futures_session_upl", "options_pl", "options_session_rpl",
    "options_session_upl", "options_value", "options_delta", "options_gamma", "options_vega", "options_theta",
    "delta_total", "projected_delta_total", "estimated_liquidation_ratio", "spot_reserve", "additional_reserve",
    "fee_balance", "locked_balance", "total_equity_usd", "total_initial_margin_usd", "total_maintenance_margin_usd",
    "total_margin_balance_usd", "total_delta_total_usd",
)  # fmt: skip
MAPS = (
    "options_gamma_map", "options_vega_map", "options_theta_map", "delta_total_map", "estimated_liquidation_ratio_map",
)  # fmt: skip


def test_a_summary_has_every_field_as_a_number(venue):
    trade_at_random(venue, random.Random(1), 30)
    found = venue.result("private/get_account_summaries", ALICE, extended=True)
    assert [part["currency"] for part in found["summaries"]] == list(CURRENCIES)
    assert (found["id"], found["username"], found["type"]) == (ALICE, "alice", "main")
    assert found["self_trading_reject_mode"] == "reject_taker"
    for part in found["summaries"]:
        for name in REQUIRED:
            assert type(part[name]) in (float, int), name
        for name in MAPS:
            assert all(type(value) in (float, int) for value in part[name].values()), name
        assert part["margin_model"] == "cross_pm"
        assert part["cross_collateral_enabled"] is True
        assert part["limits"]["limits_per_currency"] is False
        alone = venue.result("private/get_account_summary", ALICE, currency=part["currency"])
        assert alone == part
    extended = venue.result("private/get_account_summary", ALICE, currency="btc", extended=True)
    assert (extended["id"], extended["login_enabled"], extended["referrer_id"]) == (ALICE, True, None)
    assert venue.error("private/get_account_summary", ALICE, currency="SOL")["data"]["param"] == "currency"


@pytest.mark.parametrize("seed", range(3))
def test_a_summary_adds_up_to_what_the_engine_says(venue, seed):
    trade_at_random(venue, random.Random(20 + seed), 60)
    for account in (ALICE, BOB, CAROL):
        shown = seen(venue, account)
        portfolio = Portfolio(venue.view, account, shown)
        rows = [portfolio._rows(currency) for currency in range(3)]
        assert sum(row[0] for row in rows) == shown["initial"]
        assert sum(row[1] for row in rows) == shown["maintenance"]
        dollars = 0
        for currency in range(3):
            part = portfolio.summary(currency)
            unit = 10 ** venue.view.currencies[currency][1]
            dollars += round(part["equity"] * unit) * venue.view.rates[currency][0] >> 20
            gains = part["futures_session_rpl"] + part["futures_session_upl"] + part["options_value"]
            assert part["equity"] == pytest.approx(part["balance"] + gains, abs=3 / unit)
            assert part["available_funds"] <= max(0.0, part["equity"] - part["initial_margin"]) + 2 / unit
            positions = [portfolio.position(item.listing) for item in portfolio.holdings.values()]
            mine = [p for p in positions if venue.view.by_name[p["instrument_name"]].spec.currency == currency]
            upl = sum(p["floating_profit_loss"] for p in mine)
            assert part["session_upl"] == pytest.approx(upl, abs=(len(mine) + 1) / unit)
        assert abs(dollars - shown["equity"]) <= 3  # no currency owes here, and nothing is capped
        assert portfolio.summary(0)["total_equity_usd"] == shown["equity"] / 1e6


def test_with_one_currency_free_is_equity_less_margin(tmp_path):
    venue = Venue(tmp_path)
    for currency in (1, 2):
        amount = seen(venue, ALICE)["balance"][currency]
        venue.submit(command(Kind.WITHDRAW, account=ALICE, currency=currency, amount=amount))
    venue.sell(BOB, 10_000, PRICE)
    venue.buy(ALICE, 10_000, PRICE)
    venue.buy(ALICE, 5_000, 59_000.0)
    part = venue.result("private/get_account_summary", ALICE, currency="BTC")
    assert part["available_funds"] == pytest.approx(part["equity"] - part["initial_margin"], abs=2e-8)
    assert part["maintenance_margin"] < part["initial_margin"]
    venue.stop()


def test_available_funds_are_what_an_order_may_need(venue):
    """An order that needs a little less than what is free is taken, one that needs a little more is not."""
    for account in (ALICE,):
        for currency in (1, 2):
            amount = seen(venue, account)["balance"][currency]
            venue.submit(command(Kind.WITHDRAW, account=account, currency=currency, amount=amount))
    free = venue.result("private/get_account_summary", ALICE, currency="BTC")["available_funds"]
    each = venue.result("private/get_margins", ALICE, instrument_name=PERPETUAL, amount=1_000_000, price=59_000.0)
    fits = int(free / each["buy"] * 0.999 * 1_000_000) // 10 * 10
    too_much = int(free / each["buy"] * 1.001 * 1_000_000) // 10 * 10
    asked = {"instrument_name": PERPETUAL, "price": 59_000.0}
    assert venue.error("private/buy", ALICE, amount=too_much, **asked)["code"] == 10009
    assert venue.result("private/buy", ALICE, amount=fits, **asked)["order"]["order_state"] == "open"


def test_available_withdrawal_funds_may_be_withdrawn(venue):
    trade_at_random(venue, random.Random(7), 60)
    for account in (ALICE, BOB, CAROL):
        for currency, name in enumerate(CURRENCIES):
            free = venue.result("private/get_account_summary", account, currency=name)["available_withdrawal_funds"]
            atoms = int(free * 10 ** venue.view.currencies[currency][1]) - 2
            seq = venue.submit(command(Kind.WITHDRAW, account=account, currency=currency, amount=atoms))
            assert seq not in venue.view.refused
            seq = venue.submit(command(Kind.WITHDRAW, account=account, currency=currency, amount=4))
            assert seq in venue.view.refused


# -- positions ---------------------------------------------------------------------------------------------------------


def test_positions_without_parameters_are_all_that_are_not_flat(venue):
    venue.sell(BOB, 100, PRICE)
    venue.buy(ALICE, 100, PRICE)
    venue.sell(BOB, 10, 3_000.0, name=ETHER)
    venue.buy(ALICE, 10, 3_000.0, name=ETHER)
    name = options_of(venue)[0]
    venue.sell(BOB, 1, 0.05, name=name)
    venue.buy(ALICE, 1, 0.05, name=name)
    every = venue.result("private/get_positions", ALICE)
    assert {item["instrument_name"] for item in every} == {PERPETUAL, ETHER, name}
    assert [i["instrument_name"] for i in venue.result("private/get_positions", ALICE, currency="ETH")] == [ETHER]
    assert [i["instrument_name"] for i in venue.result("private/get_positions", ALICE, kind="option")] == [name]
    future = next(item for item in every if item["instrument_name"] == PERPETUAL)
    assert future["size_currency"] == pytest.approx(100 / PRICE, abs=1e-8)
    assert type(future["leverage"]) is int
    bought = next(item for item in every if item["kind"] == "option")
    assert {"gamma", "vega", "theta", "average_price_usd", "floating_profit_loss_usd"} <= set(bought)
    sold = venue.result("private/get_position", BOB, instrument_name=name)
    assert (sold["direction"], sold["size"], sold["delta"]) == ("sell", -1.0, -bought["delta"])
    assert 0.0 < bought["delta"] < 1.0


def test_a_flat_position_is_no_error(venue):
    flat = venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)
    assert (flat["size"], flat["direction"], flat["average_price"]) == (0.0, "zero", 0.0)
    assert (flat["settlement_price"], flat["initial_margin"]) == (0.0, 0.0)
    assert venue.error("private/get_position", ALICE, instrument_name="X")["code"] == 13020


def test_a_position_by_itself_needs_what_the_account_needs(venue):
    venue.sell(BOB, 5_000, PRICE)
    venue.buy(ALICE, 5_000, PRICE)
    position = venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)
    summary = venue.result("private/get_account_summary", ALICE, currency="BTC")
    assert position["initial_margin"] == summary["initial_margin"]
    assert position["maintenance_margin"] == summary["maintenance_margin"]
    venue.buy(ALICE, 1_000, 59_000.0)
    position = venue.result("private/get_position", ALICE, instrument_name=PERPETUAL)
    assert position["open_orders_margin"] > 0


# -- what would be -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [PERPETUAL, LINEAR, "option"])
def test_margins_are_those_of_the_order_placed(venue, name):
    name = options_of(venue)[1] if name == "option" else name
    listing = venue.view.by_name[name]
    mark = listing.price(venue.view.marks[listing.number])
    amount = listing.amount(20)
    for word, ratio in (("buy", 0.9), ("sell", 1.1)):
        price = listing.price(round(mark * ratio / listing.price(1)))
        margins = venue.result("private/get_margins", CAROL, instrument_name=name, amount=amount, price=price)
        getattr(venue, word)(CAROL, amount, price, name=name)
        rate = venue.view.rates[listing.spec.currency][0]
        unit = 10 ** venue.view.currencies[listing.spec.currency][1]
        needed = seen(venue, CAROL)["initial"] * (1 << 20) / rate / unit
        assert margins[word] == pytest.approx(needed, abs=1 / unit)
        assert margins[f"{word}_taker_fee"] > 0
        assert margins["min_price"] < margins["max_price"]
        venue.result("private/cancel_all", CAROL)


def test_the_margins_of_open_orders(venue):
    order = venue.buy(CAROL, 100, 59_000.0)
    stop = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 50_000.0}
    waiting = venue.sell(CAROL, 100, 49_000.0, **stop)
    ids = [order["order_id"], waiting["order_id"]]
    margins = venue.result("private/get_margins", CAROL, instrument_name=PERPETUAL, amount=100, price=59_000.0)
    assert venue.result("private/get_order_margin_by_ids", CAROL, ids=ids) == [
        {"order_id": ids[0], "initial_margin": margins["buy"], "initial_margin_currency": "BTC"}
    ]
    assert venue.error("private/get_order_margin_by_ids", ALICE, ids=ids)["code"] == 10029


def test_margins_are_refused_for_what_is_no_order(venue):
    asked = {"instrument_name": PERPETUAL, "amount": 100, "price": PRICE}
    assert venue.error("private/get_margins", ALICE, **asked | {"amount": 5})["code"] == -32602
    assert venue.error("private/get_margins", ALICE, **asked | {"price": 0.3})["code"] == 10043
    assert venue.error("private/get_margins", ALICE, **asked | {"instrument_name": "X"})["code"] == 13020


@pytest.mark.parametrize("seed", range(3))
def test_an_imagined_portfolio_needs_what_a_real_one_needs(venue, seed):
    rng = random.Random(seed)
    trade_at_random(venue, rng, 50, money=False)
    for account in (ALICE, BOB):
        venue.result("private/cancel_all", account)
    shown, other = seen(venue, ALICE), seen(venue, BOB)
    wanted = {number: held[0] for number, held in shown["positions"].items()}
    imagined = venue.view.requirements.imagine(other, wanted, add=False)
    assert (imagined["initial"], imagined["maintenance"]) == (shown["initial"], shown["maintenance"])
    assert abs(imagined["equity"] - other["equity"]) < 100 + 100 * len(wanted)
    more = {
        number: wanted.get(number, 0) - other["positions"].get(number, (0,))[0]
        for number in {*wanted, *other["positions"]}
    }
    moved = venue.view.requirements.imagine(other, more, add=True)
    assert (moved["initial"], moved["maintenance"]) == (shown["initial"], shown["maintenance"])
    same = venue.view.requirements.imagine(other, {}, add=True)
    assert {name: same[name] for name in ("equity", "initial", "maintenance", "excess")} == {
        name: other[name] for name in ("equity", "initial", "maintenance", "excess")
    }


def test_simulating_answers_a_summary_once_a_second(venue, monkeypatch):
    steady = [10**15]
    monkeypatch.setattr("time.monotonic_ns", lambda: steady[0])
    venue.sell(BOB, 1000, PRICE)
    venue.buy(ALICE, 1000, PRICE)
    asked = {"currency": "BTC", "simulated_positions": {PERPETUAL: 1000, options_of(venue)[0]: -2.5}}
    now = venue.result("private/get_account_summary", ALICE, currency="BTC")
    then = venue.result("private/simulate_portfolio", ALICE, **asked)
    assert then["initial_margin"] > now["initial_margin"]
    assert then["equity"] == pytest.approx(now["equity"], abs=3e-8)
    assert set(then) == set(now)
    steady[0] += 10**9  # while the clock of the machine, which may be set, stands still
    text = msgspec.json.encode(asked["simulated_positions"]).decode()
    assert venue.result("private/simulate_portfolio", ALICE, currency="BTC", simulated_positions=text) == then
    bad = venue.error("private/simulate_portfolio", ALICE, currency="BTC", simulated_positions="{x}")
    assert bad["data"]["param"] == "simulated_positions"
    error = venue.error("private/simulate_portfolio", ALICE, **asked)
    assert (error["code"], error["data"]["wait"]) == (10028, 1.0)
    assert "result" in venue.call("private/simulate_portfolio", BOB, **asked)
    steady[0] += 10**9
    alone = venue.result("private/simulate_portfolio", ALICE, add_positions=False, **asked)
    assert alone["delta_total"] != then["delta_total"]
    steady[0] += 10**9
    assert venue.error("private/simulate_portfolio", ALICE, currency="CROSS")["data"]["param"] == "currency"
    for wrong, code in (({"X": 1}, 13020), ({PERPETUAL: 5}, -32602), ({PERPETUAL: 1e18}, -32602)):
        found = venue.error("private/simulate_portfolio", ALICE, currency="BTC", simulated_positions=wrong)
        assert found["code"] == code


@pytest.mark.parametrize("name", ["pme/simulate", "get_portfolio_margins"])
def test_the_risk_matrix_is_the_account_s_scenarios(venue, name):
    venue.sell(BOB, 1000, PRICE)
    venue.buy(ALICE, 1000, PRICE)
    shown = seen(venue, ALICE)
    found = venue.result(f"private/{name}", ALICE, currency="CROSS", simulated_positions={})
    assert found["initial_margin_usd"] == shown["initial"] / 1e6
    (part,) = found["blocks"]
    assert part["index_name"] == "btc_usd"
    assert part["scenarios_usd"] == [round(value / 1e6, 2) for value in shown["blocks"][0][0]]
    assert venue.error(f"private/{name}", ALICE, currency="BTC")["code"] == 10028


# -- payments, other accounts ------------------------------------------------------------------------------------------


def test_deposits_withdrawals_and_transfers(venue):
    venue.submit(command(Kind.DEPOSIT, account=ALICE, currency=0, amount=5 * 10**8))
    venue.submit(command(Kind.WITHDRAW, account=ALICE, currency=0, amount=10**8))
    found = venue.result("private/get_deposits", ALICE, currency="BTC")
    assert (found["count"], [row["amount"] for row in found["data"]]) == (2, [5.0, 100.0])
    assert {row["state"] for row in found["data"]} == {"completed"}
    page = venue.result("private/get_deposits", ALICE, currency="BTC", count=1, offset=1)
    assert (page["count"], [row["amount"] for row in page["data"]]) == (2, [100.0])
    found = venue.result("private/get_withdrawals", ALICE, currency="BTC")
    assert (found["count"], [row["amount"] for row in found["data"]]) == (1, [1.0])
    assert venue.result("private/get_transfers", ALICE, currency="BTC") == {"count": 0, "data": []}
    for name in ("to_subaccount", "to_user", "between_subaccounts"):
        asked = {"currency": "BTC", "amount": 1, "destination": BOB}
        assert venue.error(f"private/submit_transfer_{name}", ALICE, **asked)["code"] == 10033


def test_subaccounts_are_those_of_the_same_owner(venue):
    (alone,) = venue.result("private/get_subaccounts", ALICE)
    assert (alone["id"], alone["type"], alone["security_keys_assignments"]) == (ALICE, "main", [])
    owner = SYSTEM_ACCOUNTS + 3
    venue.submit(
        command(Kind.ACCOUNT, account=owner, tier=0, type=Role.OWNER),
        command(Kind.MEMBER, account=ALICE, order_id=owner),
        command(Kind.MEMBER, account=BOB, order_id=owner),
    )
    found = venue.result("private/get_subaccounts", ALICE, with_portfolio=True)
    assert [(item["id"], item["type"]) for item in found] == [(ALICE, "main"), (BOB, "subaccount")]
    assert found[0]["portfolio"]["btc"]["balance"] == 100.0
    venue.buy(BOB, 100, 59_000.0)
    details = venue.result("private/get_subaccounts_details", ALICE, currency="BTC", with_open_orders=True)
    assert [(item["uid"], len(item["open_orders"])) for item in details] == [(ALICE, 0), (BOB, 1)]
    assert venue.result("private/get_account_summaries", ALICE, subaccount_id=BOB)["id"] == BOB
    assert venue.error("private/get_account_summaries", ALICE, subaccount_id=CAROL)["code"] == 13021
    assert venue.error("private/get_positions", CAROL, subaccount_id=ALICE)["code"] == 13021
    # a key acts for one account: who trades on a subaccount does not see the main one, nor those beside it
    (own,) = venue.result("private/get_subaccounts", BOB, with_portfolio=True)
    assert (own["id"], own["type"]) == (BOB, "subaccount")
    details = venue.result("private/get_subaccounts_details", BOB, currency="BTC", with_open_orders=True)
    assert [item["uid"] for item in details] == [BOB]
    for method in ("private/get_account_summaries", "private/get_positions", "private/get_transaction_log"):
        asked = {"currency": "BTC"} if method.endswith("log") else {}
        assert venue.error(method, BOB, subaccount_id=ALICE, **asked)["code"] == 13021


def test_what_the_venue_has_not_says_so(venue):
    absent = ("execute_block_trade", "withdraw", "get_current_deposit_address", "list_api_keys", "get_access_log")
    assert {name: venue.error(f"private/{name}", ALICE)["code"] for name in absent} == dict.fromkeys(absent, 10033)
