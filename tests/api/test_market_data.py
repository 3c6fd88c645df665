"""Public methods: what is listed, what it costs, what happened to it."""

import time

import msgspec
import numpy as np
import pytest
from api_venue import ALICE, BOB, CAROL, INDEX_USD, PERPETUAL, START_NS

from seawall.api import options
from seawall.api.channels.books import width
from seawall.api.rpc import METHODS
from seawall.api.shapes import instrument_object
from seawall.api.statistics import CANDLES_MAX, HOUR_MS, Index, Series
from seawall.api.tickers import levels
from seawall.api.view import Book, View
from seawall.engine.reference import Reference
from seawall.journal import frames
from seawall.node.node import Group
from seawall.node.replay import Fold
from seawall.risk import black76
from seawall.vocabulary.records import FLAG_APPROVED, Kind, Limit, Scope, VenueState, command

CALL, PUT, FUTURE = "BTC-9MAR26-60000-C", "ETH-9MAR26-2900-P", "BTC-9MAR26"
NOW_MS = START_NS // 10**6
DAY_MS = 24 * HOUR_MS


def trade(venue, amount, price, name=PERPETUAL):
    venue.sell(ALICE, amount, price, name)
    return venue.buy(BOB, amount, price, name)


def whole(document, fields):
    return all(isinstance(document[name], int) and not isinstance(document[name], bool) for name in fields)


# -- what is listed ----------------------------------------------------------------------------------------------------


def test_currencies_have_all_that_clients_read(venue):
    rows = venue.result("public/get_currencies")
    assert [row["currency"] for row in rows] == ["BTC", "ETH", "USDC"]
    for row in rows:
        assert whole(row, ("decimals", "min_confirmations"))
        assert {"currency_long", "coin_type", "network_currency"} <= {k for k, v in row.items() if isinstance(v, str)}
        assert {"withdrawal_fee", "network_fee", "apr"} <= {k for k, v in row.items() if isinstance(v, float)}
        assert row["in_cross_collateral_pool"] is True and row["withdrawal_priorities"] == []


def test_instruments_are_all_there_without_parameters_and_chosen_by_settlement(venue):
    everything = venue.result("public/get_instruments")
    assert len(everything) == 25
    assert everything == venue.result("public/get_instruments", currency="any", kind="any")
    linear = venue.result("public/get_instruments", currency="USDC")
    assert [row["instrument_name"] for row in linear] == ["BTC_USDC-PERPETUAL"]
    chosen = venue.result("public/get_instruments", currency="btc", kind="option", expired="false")
    assert len(chosen) == 10 and {row["settlement_currency"] for row in chosen} == {"BTC"}
    assert venue.result("public/get_instruments", kind="spot") == []
    assert venue.error("public/get_instruments", currency="SOL")["code"] == -32602
    assert venue.error("public/get_instruments", kind="futures")["data"]["param"] == "kind"


def test_an_instrument_has_the_fields_and_words_of_its_kind(venue):
    swap = venue.result("public/get_instrument", instrument_name=PERPETUAL)
    assert swap["settlement_period"] == "perpetual" and swap["expiration_timestamp"] == 32_503_708_800_000
    assert (swap["kind"], swap["instrument_type"], swap["future_type"]) == ("future", "reversed", "reversed")
    assert (swap["contract_size"], swap["tick_size"], swap["price_index"]) == (10, 0.5, "btc_usd")
    option = venue.result("public/get_instrument", instrument_name=CALL)
    assert (option["strike"], option["option_type"], option["quote_currency"]) == (60_000.0, "call", "BTC")
    assert "future_type" not in option and option["taker_commission"] == 0.00035
    ints = ("instrument_id", "creation_timestamp", "expiration_timestamp")
    assert whole(swap, ints) and whole(option, ints)
    assert venue.error("public/get_instrument", instrument_name="BTC-NONE")["code"] == 13020
    assert venue.result("public/get_contract_size", instrument_name=PERPETUAL) == {"contract_size": 10}


def test_expirations_by_currency_and_of_all(venue):
    assert venue.result("public/get_expirations", currency="BTC", kind="any") == {
        "btc": {"future": ["9MAR26", "PERPETUAL"], "option": ["9MAR26"]}
    }
    assert venue.result("public/get_expirations", currency="any", kind="option") == {"option": ["9MAR26"]}


def test_what_expired_is_told_when_asked_for(venue):
    venue.clock.advance(7 * DAY_MS * 10**6)
    venue.expire(FUTURE, 61_000.0)
    assert FUTURE not in [row["instrument_name"] for row in venue.result("public/get_instruments")]
    (gone,) = venue.result("public/get_instruments", expired=True)
    assert gone["instrument_name"] == FUTURE and gone["state"] == "delivered" and gone["is_active"] is False
    ticker = venue.result("public/ticker", instrument_name=FUTURE)
    assert ticker["delivery_price"] == 61_000.0 and ticker["open_interest"] == 0
    assert ticker["estimated_delivery_price"] == 61_000.0
    prices = venue.result("public/get_delivery_prices", index_name="btc_usd")
    assert prices == {"records_total": 1, "data": [{"date": "2026-03-09", "delivery_price": 61_000.0}]}
    (row,) = venue.result("public/get_last_settlements_by_instrument", instrument_name=FUTURE)["settlements"]
    assert row["type"] == "delivery" and row["index_price"] == 61_000.0


def test_no_combos_are_listed(venue):
    assert venue.result("public/get_combos", currency="BTC") == venue.result("public/get_combo_ids") == []
    assert venue.error("public/get_combo_details", combo_id="X")["code"] == 13020


def test_locked_is_a_text(venue):
    assert venue.result("public/status") == {"locked": "false", "locked_indices": []}
    venue.submit(command(Kind.STATE, type=Scope.UNDERLYING, instrument=0, state=VenueState.HALTED))
    assert venue.result("public/status") == {"locked": "partial", "locked_indices": ["btc_usd"]}
    assert venue.result("public/ticker", instrument_name=PERPETUAL)["state"] == "halted"
    venue.submit(command(Kind.STATE, state=VenueState.HALTED))
    assert venue.result("public/status")["locked"] == "true"
    venue.submit(command(Kind.STATE, state=VenueState.OPEN, flags=FLAG_APPROVED))
    assert venue.result("public/status")["locked"] == "partial"


# -- tickers -----------------------------------------------------------------------------------------------------------


def test_a_ticker_of_an_empty_book_has_nulls_and_zeros(venue):
    ticker = venue.result("public/ticker", instrument_name=PERPETUAL)
    for name in ("best_bid_price", "best_ask_price", "last_price"):
        assert ticker[name] is None
    assert ticker["best_bid_amount"] == ticker["best_ask_amount"] == ticker["open_interest"] == 0
    assert ticker["stats"] == {
        "volume": 0, "volume_usd": 0, "volume_notional": 0, "low": None, "high": None, "price_change": None
    }  # fmt: skip
    assert ticker["mark_price"] == ticker["index_price"] == ticker["estimated_delivery_price"] == 60_000.0
    assert {"funding_8h", "current_funding", "interest_value"} <= set(ticker)
    assert ticker["state"] == "open" and whole(ticker, ("timestamp",))


def test_a_ticker_follows_the_book_and_the_trades(venue):
    trade(venue, 100, 60_010.0)
    venue.pass_time(3600)
    trade(venue, 50, 60_310.05 // 0.5 * 0.5)
    venue.sell(ALICE, 20, 60_400.0)
    venue.buy(BOB, 30, 60_200.0)
    ticker = venue.result("public/ticker", instrument_name=PERPETUAL)
    assert (ticker["best_bid_price"], ticker["best_bid_amount"]) == (60_200.0, 30)
    assert (ticker["best_ask_price"], ticker["best_ask_amount"]) == (60_400.0, 20)
    assert ticker["last_price"] == 60_310.0 and ticker["open_interest"] == 150
    stats = ticker["stats"]
    assert (stats["low"], stats["high"], stats["volume_usd"]) == (60_010.0, 60_310.0, 150)
    assert stats["volume"] == pytest.approx(100 / 60_010 + 50 / 60_310, abs=1e-8)
    assert stats["price_change"] == pytest.approx(100 * 300 / 60_010, abs=1e-4)
    venue.pass_time(23.5 * 3600)
    assert venue.result("public/ticker", instrument_name=PERPETUAL)["stats"]["volume_usd"] == 50
    venue.pass_time(24 * 3600)
    assert venue.result("public/ticker", instrument_name=PERPETUAL)["stats"]["high"] is None


def test_prices_that_an_order_may_have_are_the_collars_or_else_the_bands(venue):
    ticker = venue.result("public/ticker", instrument_name=PERPETUAL)
    spec = venue.view.by_name[PERPETUAL].spec
    assert (ticker["min_price"], ticker["max_price"]) == (spec.price_min / 2, spec.price_max / 2)
    collar = {"kind": Kind.LIMIT, "state": Limit.COLLAR, "instrument": 0, "amount": 20_000, "quantity": 10}
    venue.submit(command(**collar))
    ticker = venue.result("public/ticker", instrument_name=PERPETUAL)
    assert (ticker["min_price"], ticker["max_price"]) == (58_800.0, 61_200.0)
    venue.buy(ALICE, 10, 61_200.0)
    params = {"instrument_name": PERPETUAL, "amount": 10, "price": 61_200.5}
    assert venue.error("private/buy", ALICE, **params)["data"]["control"] == "COLLAR"


def test_an_option_has_volatilities_and_greeks(venue):
    venue.buy(ALICE, 1, 0.025, CALL)
    ticker = venue.result("public/ticker", instrument_name=CALL)
    assert set(ticker["greeks"]) == {"delta", "gamma", "vega", "theta", "rho"}
    assert 0.4 < ticker["greeks"]["delta"] < 0.6 and ticker["greeks"]["theta"] < 0 < ticker["greeks"]["vega"]
    assert 50 < ticker["mark_iv"] < 60 and 0 < ticker["bid_iv"] < ticker["mark_iv"] and ticker["ask_iv"] == 0
    assert (ticker["underlying_index"], ticker["underlying_price"]) == ("index_price", 60_000.0)
    assert ticker["interest_rate"] == 0
    assert "funding_8h" not in ticker
    assert venue.result("public/ticker", instrument_name=PUT)["greeks"]["delta"] < 0


def test_every_option_is_marked_at_the_volatility_that_was_published(venue):
    for listing in venue.view.listings.values():
        if listing.option:
            noted = venue.view.volatilities[listing.number]
            assert options.mark_volatility(venue.view, listing) == pytest.approx(noted, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_scalar_formulas_are_those_of_the_margin_models(seed):
    rng = np.random.default_rng(seed)
    for _ in range(200):
        forward, strike = rng.uniform(100, 100_000, 2)
        strike = forward * np.exp(rng.normal(0, 0.3))
        volatility, years, kind = rng.uniform(0.05, 3), rng.uniform(1e-4, 2), int(rng.choice([-1, 1]))
        value = options.value(forward, strike, volatility, years, kind)
        assert value == pytest.approx(
            float(black76.price(forward, strike, volatility, years, kind)), abs=1e-9 * forward
        )
        made = options.greeks(forward, strike, volatility, years, kind)
        assert made["delta"] == pytest.approx(float(black76.delta(forward, strike, volatility, years, kind)), abs=1e-5)
        vega = float(black76.vega(forward, strike, volatility, years))
        assert made["vega"] == pytest.approx(vega / 100, abs=1e-5)
        step = 1e-3 * forward
        up, down = (options.value(forward + part, strike, volatility, years, kind) for part in (step, -step))
        curve = (up - 2 * value + down) / step**2
        assert made["gamma"] == pytest.approx(curve, rel=0.05, abs=1e-7)
        found = options.implied(value, forward, strike, years, kind)
        if vega > 1e-4 * forward and volatility * years**0.5 < 3:
            assert found == pytest.approx(volatility, rel=1e-4)
    later = options.value(1000.0, 1000.0, 0.5, 0.1 - 1 / 365, 1) - options.value(1000.0, 1000.0, 0.5, 0.1, 1)
    assert options.greeks(1000.0, 1000.0, 0.5, 0.1, 1)["theta"] == pytest.approx(later, rel=0.02)


def test_a_price_that_no_volatility_gives_has_none():
    assert options.implied(10.0, 100.0, 90.0, 0.1, 1) == 0.0  # intrinsic value
    assert options.implied(9.0, 100.0, 90.0, 0.1, 1) == 0.0
    assert options.implied(100.0, 100.0, 90.0, 0.1, 1) == 0.0
    assert options.implied(5.0, 100.0, 100.0, 0.0, 1) == 0.0
    assert options.greeks(100.0, 90.0, 0.5, 0.0, 1)["delta"] == 1.0


def test_summaries_are_lists(venue):
    (row,) = venue.result("public/get_book_summary_by_instrument", instrument_name=CALL)
    assert {"underlying_price", "underlying_index", "interest_rate", "mark_iv"} <= set(row)
    assert row["mid_price"] is row["bid_price"] is row["last"] is None
    venue.buy(ALICE, 10, 59_000.0)
    venue.sell(ALICE, 10, 61_000.0)
    rows = {row["instrument_name"]: row for row in venue.result("public/get_book_summary_by_currency", currency="BTC")}
    assert len(rows) == 12
    assert rows[PERPETUAL]["mid_price"] == 60_000.0 and "funding_8h" in rows[PERPETUAL]
    assert len(venue.result("public/get_book_summary_by_currency", currency="BTC", kind="option")) == 10


def test_indexes(venue):
    names = venue.result("public/get_index_price_names")
    assert names == ["btc_usd", "btc_usdc", "eth_usd"] == venue.result("public/get_supported_index_names")
    price = venue.result("public/get_index_price", index_name="eth_usd")
    assert price == {"index_price": 3000.0, "estimated_delivery_price": 3000.0}
    assert venue.error("public/get_index_price", index_name="sol_usd")["code"] == -32602


# -- books -------------------------------------------------------------------------------------------------------------


def test_a_book_is_a_ticker_with_levels_best_first(venue):
    for price in (59_000.0, 59_100.0, 59_050.0):
        venue.buy(ALICE, 10, price)
    for price in (61_000.0, 60_900.0):
        venue.sell(BOB, 20, price)
    book = venue.result("public/get_order_book", instrument_name=PERPETUAL)
    assert book["bids"] == [[59_100.0, 10.0], [59_050.0, 10.0], [59_000.0, 10.0]]
    assert book["asks"] == [[60_900.0, 20.0], [61_000.0, 20.0]]
    assert book["best_bid_price"] == 59_100.0 and whole(book, ("change_id", "timestamp"))
    assert len(venue.result("public/get_order_book", instrument_name=PERPETUAL, depth=1)["bids"]) == 1
    assert len(venue.result("public/get_order_book", instrument_name=PERPETUAL, depth="3")["bids"]) == 3
    assert len(venue.result("public/get_order_book", instrument_name=PERPETUAL, depth=10**6)["bids"]) == 3
    assert venue.error("public/get_order_book", instrument_name=PERPETUAL, depth=0)["data"]["param"] == "depth"
    number = venue.result("public/get_instrument", instrument_name=PERPETUAL)["instrument_id"]
    assert venue.result("public/get_order_book_by_instrument_id", instrument_id=number) == book


def test_a_deep_book_is_answered_at_once(venue):
    book = venue.view.books[0]
    for step in range(10_000):
        book.add(1, 100_000 - step, 5)
        book.add(-1, 140_000 + step, 5)
    took = []
    for _ in range(20):
        began = time.thread_time()  # what it works, not what it waits for on a busy machine
        venue.result("public/get_order_book", instrument_name=PERPETUAL, depth=20)
        took.append(time.thread_time() - began)
    assert min(took) < 0.02
    found = venue.result("public/get_order_book", instrument_name=PERPETUAL, depth=10_000)
    assert len(found["bids"]) == len(found["asks"]) == 10_000
    book.changed.clear()


@pytest.mark.parametrize("seed", range(3))
def test_best_levels_are_those_of_a_sort(seed):
    rng = np.random.default_rng(seed)
    book = Book()
    for price in rng.choice(5000, 600, replace=False).tolist():
        book.add(1, price + 1, 1)
    for depth in (1, 5, 20, 100, 1000):
        for largest in (True, False):
            assert levels(book.bids, depth, largest=largest) == sorted(book.bids, reverse=largest)[:depth]


def test_groups_are_dollars_for_ether_cents_and_for_premiums_ticks(venue):
    listings = venue.view.by_name
    assert [width(listings[PERPETUAL], group) for group in ("none", "1", "250")] == [1, 2, 500]
    assert [width(listings["ETH-PERPETUAL"], group) for group in ("1", "5", "100")] == [1, 1, 20]
    assert width(listings[CALL], "5") == 5


# -- trades ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def traded(venue):
    """Six trades, a second apart; the fourth in ether, the fifth of an option."""
    for number in range(6):
        name, price = {3: ("ETH-PERPETUAL", 3_000.0), 4: (CALL, 0.03)}.get(number, (PERPETUAL, 60_000.0 + number))
        trade(venue, 1 if name == CALL else 10, price, name)
        venue.pass_time(1)
    return venue


def test_trades_of_an_instrument_newest_first(traded):
    answer = traded.result("public/get_last_trades_by_instrument", instrument_name=PERPETUAL)
    assert answer["has_more"] is False
    rows = answer["trades"]
    assert [row["trade_seq"] for row in rows] == [4, 3, 2, 1]
    assert [row["tick_direction"] for row in rows] == [0, 0, 0, 1]
    first = rows[-1]
    assert isinstance(first["trade_id"], str) and first["direction"] == "buy" and first["contracts"] == 1
    assert whole(first, ("trade_seq", "timestamp", "tick_direction"))
    assert first["index_price"] == first["mark_price"] == 60_000.0
    assert "iv" not in first and "liquidation" not in first
    (option,) = traded.result("public/get_last_trades_by_instrument", instrument_name=CALL)["trades"]
    assert 40 < option["iv"] < 70 and option["index_price"] == 60_000.0


def test_the_leverage_of_a_future_is_what_its_margin_allows(venue):
    for name, amount in ((PERPETUAL, 100_000), ("BTC_USDC-PERPETUAL", 2.0)):
        row = venue.result("public/get_instrument", instrument_name=name)
        trade(venue, amount, 60_000.0, name)
        position = venue.result("private/get_position", BOB, instrument_name=name)
        assert row["max_leverage"] == position["leverage"] < 50
    rows = venue.result("public/get_instruments", kind="option")
    assert not any("max_leverage" in row for row in rows)


def test_a_trade_keeps_the_volatility_it_was_done_at(venue):
    trade(venue, 1, 0.03, CALL)
    (was,) = venue.result("public/get_last_trades_by_instrument", instrument_name=CALL)["trades"]
    venue.note(note="prices", instruments={CALL: {"volatility": 0.6, "basis": 0.01}}, indexes={"BTC": 60_000.0})
    assert venue.result("public/ticker", instrument_name=CALL)["underlying_price"] == pytest.approx(60_600.0)
    assert venue.result("public/get_last_trades_by_instrument", instrument_name=CALL)["trades"] == [was]


def test_pages_of_trades(traded):
    def asked(**params):
        answer = traded.result("public/get_last_trades_by_instrument", instrument_name=PERPETUAL, **params)
        return [row["trade_seq"] for row in answer["trades"]], answer["has_more"]

    assert asked(count=2) == ([4, 3], True)
    assert asked(count=2, sorting="asc") == ([1, 2], True)
    assert asked(start_seq=2, end_seq=3) == ([3, 2], False)
    assert asked(start_seq=2, count=1, sorting="asc") == ([2], True)
    assert asked(start_timestamp=NOW_MS + 1000) == ([4, 3, 2], False)
    assert asked(end_timestamp=NOW_MS + 1000, include_old="true") == ([2, 1], False)
    assert asked(start_seq=9) == ([], False)
    assert asked(count=5000)[0] == [4, 3, 2, 1]
    for params in ({"count": 0}, {"sorting": "up"}):
        error = traded.error("public/get_last_trades_by_instrument", instrument_name=PERPETUAL, **params)
        assert error["code"] == -32602
    name = "public/get_last_trades_by_instrument_and_time"
    rows = traded.result(name, instrument_name=PERPETUAL, start_timestamp=NOW_MS + 1500)["trades"]
    assert [row["trade_seq"] for row in rows] == [4, 3]


def test_trades_of_a_currency(traded):
    def asked(currency, name="public/get_last_trades_by_currency", **params):
        answer = traded.result(name, currency=currency, **params)
        return [row["trade_id"] for row in answer["trades"]], answer["has_more"]

    assert asked("BTC") == (["BTC-6", "BTC-5", "BTC-3", "BTC-2", "BTC-1"], False)
    assert asked("any", count=3) == (["BTC-6", "BTC-5", "ETH-4"], True)
    assert asked("any", count=3, sorting="asc") == (["BTC-1", "BTC-2", "BTC-3"], True)
    assert asked("BTC", kind="option") == (["BTC-5"], False)
    assert asked("BTC", start_id="BTC-2", end_id="BTC-5") == (["BTC-5", "BTC-3", "BTC-2"], False)
    timed = "public/get_last_trades_by_currency_and_time"
    assert asked("BTC", timed, start_timestamp=NOW_MS, end_timestamp=NOW_MS + 1000) == (["BTC-2", "BTC-1"], False)
    assert traded.error("public/get_last_trades_by_currency", currency="BTC", start_id="x")["code"] == -32602


def test_volumes_of_24_hours(traded):
    rows = {row["currency"]: row for row in traded.result("public/get_trade_volumes")}
    assert rows["BTC"]["calls_volume"] == 1 and rows["BTC"]["puts_volume"] == 0
    assert rows["ETH"]["futures_volume"] == pytest.approx(10 / 3000, abs=1e-8)


# -- candles -----------------------------------------------------------------------------------------------------------


def chart(venue, start, end, resolution="1", name=PERPETUAL):
    times = {"start_timestamp": start, "end_timestamp": end}
    return venue.result("public/get_tradingview_chart_data", instrument_name=name, resolution=resolution, **times)


def test_candles_have_no_gaps(venue):
    trade(venue, 100, 60_010.0)
    trade(venue, 10, 60_000.0)
    venue.pass_time(190)
    trade(venue, 20, 60_100.0)
    candles = chart(venue, NOW_MS - HOUR_MS, NOW_MS + HOUR_MS)
    assert candles["status"] == "ok"
    assert candles["ticks"] == [NOW_MS + 60_000 * number for number in range(4)]
    assert candles["open"] == [60_010.0, 60_000.0, 60_000.0, 60_100.0]
    assert candles["low"] == [60_000.0, 60_000.0, 60_000.0, 60_100.0]
    assert candles["cost"] == [110, 0, 0, 20]
    assert len({len(column) for name, column in candles.items() if name != "status"}) == 1
    assert candles["volume"][0] == pytest.approx(100 / 60_010 + 10 / 60_000, abs=1e-8)
    assert chart(venue, NOW_MS, NOW_MS + HOUR_MS, "1D")["cost"] == [130]
    assert chart(venue, NOW_MS, NOW_MS + HOUR_MS, 5)["close"] == [60_100.0]
    assert chart(venue, NOW_MS + 120_000, NOW_MS + 130_000)["close"] == [60_000.0]


def test_nothing_traded_gives_no_data_and_nonsense_an_error(venue):
    empty = chart(venue, 0, NOW_MS)
    assert empty["status"] == "no_data" and empty["ticks"] == []
    trade(venue, 10, 60_000.0)
    assert chart(venue, 0, NOW_MS - DAY_MS)["status"] == "no_data"
    params = {"instrument_name": PERPETUAL, "start_timestamp": 0, "end_timestamp": NOW_MS}
    assert venue.error("public/get_tradingview_chart_data", **params, resolution="4h")["data"]["param"] == "resolution"
    params["start_timestamp"] = NOW_MS + 1
    assert venue.error("public/get_tradingview_chart_data", **params, resolution="1")["code"] == -32602


def test_at_most_5000_candles_are_answered():
    series = Series()
    series.add(0, 10.0)
    series.add(9_000 * 60_000, 11.0)
    found = series.filled("1", 0, 20_000 * 60_000)
    assert len(found) == CANDLES_MAX and found[-1].start_ms == 20_000 * 60_000
    assert {candle.close for candle in found} == {11.0}
    assert [candle.close for candle in series.filled("1D", 0, 20_000 * 60_000)][:2] == [10.0, 10.0]


# -- funding, volatility, settlements ----------------------------------------------------------------------------------


def test_funding_by_the_hour(venue):
    for hour in range(10):
        venue.note(note="funding", instrument=0, rate_8h=0.0008, rate_1h=0.0001)
        venue.publish(BTC=60_000.0 + hour)
        venue.pass_time(3600)
    times = {"instrument_name": PERPETUAL, "start_timestamp": NOW_MS, "end_timestamp": NOW_MS + 4 * HOUR_MS}
    rows = venue.result("public/get_funding_rate_history", **times)
    assert [row["timestamp"] for row in rows] == [NOW_MS + hour * HOUR_MS for hour in range(5)]
    assert rows[2] == {
        "timestamp": NOW_MS + 2 * HOUR_MS, "index_price": 60_001.0, "prev_index_price": 60_000.0,
        "interest_8h": 0.0008, "interest_1h": 0.0001,
    }  # fmt: skip
    value = venue.result("public/get_funding_rate_value", **times)
    assert isinstance(value, float) and value == pytest.approx(0.0004)  # four hours; the row at the start is before it
    middle = NOW_MS + 2 * HOUR_MS
    halves = ({**times, "end_timestamp": middle}, {**times, "start_timestamp": middle})
    assert [venue.result("public/get_funding_rate_value", **half) for half in halves] == [0.0002, 0.0002]
    assert venue.result("public/get_funding_rate_value", **{**times, "end_timestamp": NOW_MS + 1}) == 0
    ticker = venue.result("public/ticker", instrument_name=PERPETUAL)
    assert ticker["funding_8h"] == pytest.approx(0.0008) and ticker["interest_value"] == pytest.approx(0.001)
    data = venue.result("public/get_funding_chart_data", instrument_name=PERPETUAL, length="24h")
    assert len(data["data"]) == 10
    assert venue.error("public/get_funding_rate_value", **{**times, "instrument_name": FUTURE})["code"] == 10031


def test_current_funding_is_the_premium_of_the_mark(venue):
    view = venue.view
    view.marks[0] = 120_012
    assert venue.result("public/ticker", instrument_name=PERPETUAL)["current_funding"] == 0.0001


def test_historical_volatility_is_that_of_the_walk():
    rng = np.random.default_rng(7)
    index, price, annual = Index(), 60_000.0, 0.6
    for minute in range(3 * 24 * 60):
        index.take(minute * 60_000, price)
        price *= float(np.exp(rng.normal(0, annual / (365 * 24 * 60) ** 0.5)))
    rows = index.realised()
    assert len(rows) == 72 and rows[-1][0] == 71 * HOUR_MS
    assert rows[-1][1] == pytest.approx(60, rel=0.05)


def test_volatilities_are_told_as_the_dialect_has_them(venue):
    for minute in range(90):
        venue.pass_time(60)
        venue.publish(BTC=60_000.0 * (1 + 0.001 * (minute % 3)))
    rows = venue.result("public/get_historical_volatility", currency="BTC")
    assert [row[0] for row in rows] == [NOW_MS, NOW_MS + HOUR_MS]
    assert all(20 < row[1] < 200 for row in rows)
    times = {"start_timestamp": NOW_MS, "end_timestamp": NOW_MS + DAY_MS}
    answer = venue.result("public/get_volatility_index_data", currency="BTC", resolution="3600", **times)
    assert answer["continuation"] is None and [len(row) for row in answer["data"]] == [5, 5]
    assert all(40 < price < 80 for row in answer["data"] for price in row[1:])
    assert len(venue.result("public/get_volatility_index_data", currency="BTC", resolution=60, **times)["data"]) == 91
    assert venue.error("public/get_volatility_index_data", currency="BTC", resolution=7, **times)["code"] == -32602
    assert venue.result("public/get_historical_volatility", currency="USDC") == []
    hours = venue.result("public/get_index_chart_data", index_name="btc_usd", range="1d")
    assert [row[0] for row in hours] == [NOW_MS, NOW_MS + HOUR_MS]


def test_settlements_come_in_pages_newest_first(venue):
    for _ in range(3):
        venue.pass_time(3600)
        venue.submit(command(Kind.SETTLE, instrument=0), command(Kind.SETTLE, instrument=1))
    name = "public/get_last_settlements_by_currency"
    first = venue.result(name, currency="BTC", count=2)
    assert [row["timestamp"] for row in first["settlements"]] == [NOW_MS + 3 * HOUR_MS, NOW_MS + 2 * HOUR_MS]
    rest = venue.result(name, currency="BTC", count=2, continuation=first["continuation"])
    assert len(rest["settlements"]) == 1 and rest["continuation"] is None
    assert len(venue.result(name, currency="any")["settlements"]) == 6
    assert venue.result(name, currency="any", type="delivery")["settlements"] == []
    assert len(venue.result(name, currency="BTC", search_start_timestamp=NOW_MS + HOUR_MS)["settlements"]) == 1
    assert venue.error(name, currency="BTC", continuation="x")["code"] == -32602
    assert venue.result("public/ticker", instrument_name=PERPETUAL)["settlement_price"] == 60_000.0


# -- all of them -------------------------------------------------------------------------------------------------------

ASKED = {
    "instrument_name": PERPETUAL, "currency": "BTC", "index_name": "btc_usd", "start_timestamp": 0,
    "end_timestamp": NOW_MS, "resolution": "60", "instrument_id": 1, "interval": 30, "client_name": "x",
}  # fmt: skip
ELSEWHERE = ("public/auth", "public/exchange_token", "public/fork_token", "public/get_combo_details")


def test_every_public_method_answers_with_numbers_that_are_numbers(traded):
    traded.pass_time(60)
    traded.publish()
    for name in sorted(METHODS):
        row = METHODS[name]
        if not name.startswith("public/") or row.websocket or name in ELSEWHERE:
            continue
        answer = traded.send(name, ASKED)
        assert "result" in answer or answer["error"]["code"] == 10033, answer
        assert answer.get("result", "") is not None
        query = {field: str(value) for field, value in ASKED.items()}
        again = traded.send(name, query)
        assert again.get("result") == answer.get("result"), name
        for path, value in walk(answer.get("result")):
            if isinstance(value, str):
                assert not value.replace(".", "").isdigit() or path in ("continuation", "version"), (name, path, value)
            if path in ("timestamp", "trade_seq", "change_id", "instrument_id", "tick_direction", "ticks"):
                assert isinstance(value, int), (name, path, value)


def walk(document, path=""):
    if isinstance(document, dict):
        for name, value in document.items():
            yield from walk(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from walk(value, path)
    else:
        yield path, document


def test_the_small_ones(venue):
    assert venue.result("public/test")["version"] == venue.result("public/hello", client_name="x")["version"]
    assert venue.error("public/test", expected_result="exception")["code"] == 10001
    assert venue.result("public/get_time") == NOW_MS
    assert venue.error("public/nothing")["code"] == -32601


def test_what_the_view_counts_is_what_the_engine_counts(venue):
    trade(venue, 100, 60_010.0)
    venue.sell(BOB, 30, 60_010.0)
    venue.buy(CAROL, 30, 60_010.0)
    known = venue.node.fold.engine.book.listings[0]
    assert venue.view.open_interest[0] == known.open_interest == 10
    assert {number: lots for (number, _), lots in venue.view.positions.items()} == {
        number: held.quantity for number, held in known.holders.items() if held.quantity
    }


def test_a_journal_folded_anew_says_the_same(traded, tmp_path):
    traded.note(note="funding", instrument=0, rate_8h=0.0008, rate_1h=0.0001)
    traded.settle()
    view, fold = View(), Fold(Reference())
    for frame in frames(traded.configuration.folders):
        view.take(Group(frame.commands, frame.attachments, fold.check(frame)))
    was = traded.view
    assert msgspec.json.encode(view.statistics.funding[0].pop()) == msgspec.json.encode(was.statistics.funding[0][-1])
    for number, listing in was.listings.items():
        one, two = (known.statistics.day(number, known.now_ms) for known in (was, view))
        assert (one.high, one.volume, one.usd) == (two.high, two.volume, two.usd), listing.name
        assert was.books[number].bids == view.books[number].bids
    assert (
        was.index_prices
        == view.index_prices
        == {"btc_usd": INDEX_USD["BTC"], "btc_usdc": INDEX_USD["BTC"], "eth_usd": INDEX_USD["ETH"]}
    )
    made = [instrument_object(listing, 0.0, 0.0, state="open") for listing in view.listings.values()]
    assert made == [instrument_object(listing, 0.0, 0.0, state="open") for listing in was.listings.values()]
