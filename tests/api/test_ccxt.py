"""ccxt, the client most people have, against a dev venue with a simulated market: keys and one URL, nothing else."""

import time
from urllib.parse import parse_qsl, urlsplit

import ccxt
import pytest
from api_venue import START_NS, Venue
from desk_venue import MODES, desk_venue
from dev_venue import dev_venue

PERPETUAL = "BTC/USD:BTC"
LINEAR = "BTC/USDC:USDC"


def client_of(venue, name=None):
    """ccxt as its users construct it; only the URL is another."""
    keys = {"apiKey": venue.accounts[name]["key"], "secret": venue.accounts[name]["secret"]} if name else {}
    exchange = ccxt.deribit(keys)
    exchange.urls["api"] = {"rest": venue.ready["http"]}
    return exchange


@pytest.fixture(scope="module", params=MODES)
def venue(request, tmp_path_factory):
    """The venue itself, and a desk before it in both modes."""
    with desk_venue(tmp_path_factory.mktemp("ccxt"), request.param, market="sim") as started:
        yield started


@pytest.fixture(scope="module")
def alice(venue):
    exchange = client_of(venue, "alice")
    exchange.load_markets()
    return exchange


@pytest.fixture(scope="module")
def bid(alice):
    """The best bid as the module began; what must not trade is placed far below. There is a last price from here on."""
    alice.create_order(PERPETUAL, "market", "buy", 10)
    alice.create_order(PERPETUAL, "market", "sell", 10)
    return alice.fetch_ticker(PERPETUAL)["bid"]


def option_of(exchange):
    """The last option at the money, once it is quoted: makers take a while for them all.

    One far from the money hours before its end may be offered at a price that no volatility explains.
    """
    index = exchange.fetch_ticker(PERPETUAL)["indexPrice"]
    options = [row for row in exchange.markets.values() if row["option"] and row["base"] == "BTC"]
    near = min(options, key=lambda row: (-row["expiry"], abs(row["strike"] - index), row["optionType"]))
    symbol = near["symbol"]
    give_up = time.monotonic() + 30
    while not all(exchange.fetch_order_book(symbol)[side] for side in ("bids", "asks")):
        assert time.monotonic() < give_up, "nobody quotes"
    return symbol


# -- what everybody may see --------------------------------------------------------------------------------------------


def test_markets_currencies_time_and_status(alice):
    kinds = {
        kind: [market for market in alice.markets.values() if market["type"] == kind] for kind in ("swap", "future")
    }
    assert sorted(market["symbol"] for market in kinds["swap"]) == [PERPETUAL, LINEAR, "ETH/USD:ETH"]
    assert len(kinds["future"]) == 6  # three expiries of two coins
    perpetual, linear = alice.market(PERPETUAL), alice.market(LINEAR)
    assert perpetual["inverse"] and perpetual["contractSize"] == 10 and perpetual["precision"]["price"] == 0.5
    assert linear["linear"] and linear["settle"] == "USDC"
    options = [market for market in alice.markets.values() if market["option"]]
    assert {market["optionType"] for market in options} == {"call", "put"}
    assert len({market["expiry"] for market in options}) == 3 and all(market["strike"] > 0 for market in options)
    assert set(alice.fetch_currencies()) == {"BTC", "ETH", "USDC"}
    assert abs(alice.fetch_time() - alice.milliseconds()) < 5000
    assert alice.fetch_status()["status"] == "ok"


def test_tickers_books_and_index_of_every_kind(alice):
    for symbol in (PERPETUAL, LINEAR, "ETH/USD:ETH", option_of(alice)):
        ticker = alice.fetch_ticker(symbol)
        assert 0 < ticker["bid"] < ticker["ask"] and ticker["bidVolume"] > 0 and ticker["symbol"] == symbol
        assert ticker["markPrice"] > 0 and ticker["indexPrice"] > 0
        book = alice.fetch_order_book(symbol, 10)
        assert 1 < len(book["bids"]) <= 10 and book["bids"] == sorted(book["bids"], reverse=True)
        assert book["asks"] == sorted(book["asks"]) and book["bids"][0][0] < book["asks"][0][0]
        assert isinstance(book["nonce"], int)
    tickers = alice.fetch_tickers(params={"code": "BTC"})
    assert PERPETUAL in tickers and option_of(alice) in tickers and "ETH/USD:ETH" not in tickers
    assert LINEAR in alice.fetch_tickers(params={"code": "USDC"})


def test_greeks_option_chain_and_volatility(alice):
    symbol = option_of(alice)
    greeks = alice.fetch_greeks(symbol)
    sign = 1 if alice.market(symbol)["optionType"] == "call" else -1
    assert 0 < sign * greeks["delta"] < 1 and greeks["gamma"] > 0 and greeks["vega"] > 0 and greeks["theta"] < 0
    assert 1 < greeks["markImpliedVolatility"] < 300 and greeks["underlyingPrice"] > 1000
    assert greeks["bidImpliedVolatility"] < greeks["markImpliedVolatility"] < greeks["askImpliedVolatility"]
    chain = alice.fetch_option_chain("BTC")
    listed = [market["symbol"] for market in alice.markets.values() if market["option"] and market["base"] == "BTC"]
    assert sorted(chain) == sorted(listed)
    assert all(row["markPrice"] > 0 and row["info"]["mark_iv"] > 1 for row in chain.values())
    assert alice.fetch_option(symbol)["markPrice"] == pytest.approx(greeks["markPrice"], rel=0.5)
    assert isinstance(alice.fetch_volatility_history("BTC"), list)


def test_trades_candles_and_open_interest_show_an_execution(alice):
    done = alice.create_order(PERPETUAL, "market", "buy", 120)
    assert done["status"] == "closed" and done["filled"] == 120
    trades = alice.fetch_trades(PERPETUAL, limit=100)
    mine = next(trade for trade in trades if trade["id"] == done["trades"][0]["id"])
    assert (mine["price"], mine["side"], mine["symbol"]) == (done["average"], "buy", PERPETUAL)
    assert [trade["timestamp"] for trade in trades] == sorted(trade["timestamp"] for trade in trades)
    assert alice.fetch_trades(PERPETUAL, since=mine["timestamp"], limit=100)[0]["timestamp"] >= mine["timestamp"]
    minutes = alice.fetch_ohlcv(PERPETUAL, "1m", limit=5)
    hours = alice.fetch_ohlcv(PERPETUAL, "1h", since=alice.milliseconds() - 7_200_000)
    minute, hour = (  # not the last ones: another may have begun just now
        next(one for one in rows if one[0] <= mine["timestamp"] < one[0] + length)
        for rows, length in ((minutes, 60_000), (hours, 3_600_000))
    )
    assert minute[3] <= done["average"] <= minute[2] and minute[5] > 0 and minute[0] % 60_000 == 0
    assert hour[5] >= minute[5]
    assert alice.fetch_open_interest(PERPETUAL)["openInterestValue"] >= 120
    alice.create_order(PERPETUAL, "market", "sell", 120, params={"reduceOnly": True})


def test_funding_rate_and_its_history(alice):
    rate = alice.fetch_funding_rate(PERPETUAL)
    assert rate["symbol"] == PERPETUAL and abs(rate["fundingRate"]) < 0.01
    since = alice.milliseconds() - 3 * 3_600_000
    history = alice.fetch_funding_rate_history(PERPETUAL, since)  # empty, unless an hour ended just now
    assert all(row["timestamp"] >= since and abs(row["fundingRate"]) < 0.01 for row in history)


def test_a_history_of_funding_is_read_as_it_was_paid(tmp_path):
    """ccxt's own requests and its own reading, of a venue that stood for ten hours; only the wire is left out."""
    aged = Venue(tmp_path)
    try:
        for hour in range(10):
            aged.note(note="funding", instrument=0, rate_8h=0.0008, rate_1h=0.0001 * (hour + 1))
            aged.pass_time(3600)
        exchange = ccxt.deribit()

        def fetch(url, *rest):
            asked = urlsplit(url)
            given = {name: int(value) if value.isdigit() else value for name, value in parse_qsl(asked.query)}
            return aged.call(asked.path.removeprefix("/api/v2/"), **given)

        exchange.fetch = fetch
        start, hour = START_NS // 10**6, 3_600_000
        history = exchange.fetch_funding_rate_history(PERPETUAL, start + 3 * hour, params={"until": start + 7 * hour})
        assert [(row["timestamp"], row["symbol"]) for row in history] == [
            (start + n * hour, PERPETUAL) for n in range(3, 8)
        ]
        paid = [float(row["info"]["interest_1h"]) for row in history]
        assert paid == pytest.approx([0.0001 * (n + 1) for n in range(3, 8)])
        assert all(row["fundingRate"] == pytest.approx(0.0008) for row in history), history[0]
    finally:
        aged.stop()


# -- account -----------------------------------------------------------------------------------------------------------


def test_balance_fees_accounts_and_movements_of_money(venue):
    dave = client_of(venue, "dave")  # who never trades
    balance = dave.fetch_balance()
    assert balance["total"] == {"BTC": 10.0, "ETH": 100.0, "USDC": 1_000_000.0} and balance["free"] == balance["total"]
    assert dave.fetch_balance({"code": "ETH"})["ETH"]["total"] == 100.0
    fees = dave.fetch_trading_fees()
    assert fees[PERPETUAL]["taker"] > fees[PERPETUAL]["maker"] >= -0.001
    assert [account["id"] for account in dave.fetch_accounts()] == [
        str(venue.get("private/get_account_summary", "dave", currency="BTC", extended="true")["result"]["id"])
    ]
    deposits = dave.fetch_deposits("BTC")
    assert [(row["amount"], row["status"]) for row in deposits] == [(10.0, "ok")]
    assert dave.fetch_withdrawals("BTC") == [] and dave.fetch_transfers("BTC") == []
    assert dave.fetch_positions() == []


# -- orders ------------------------------------------------------------------------------------------------------------


def test_an_order_from_placing_over_editing_to_its_cancel(alice, bid):
    price = round(bid * 0.9)
    order = alice.create_order(PERPETUAL, "limit", "buy", 100, price, {"label": "mine"})
    assert (order["status"], order["price"], order["amount"], order["info"]["label"]) == ("open", price, 100, "mine")
    edited = alice.edit_order(order["id"], PERPETUAL, "limit", "buy", 200, price - 10)
    assert (edited["id"], edited["price"], edited["amount"]) == (order["id"], price - 10, 200)
    assert alice.fetch_order(order["id"], PERPETUAL)["remaining"] == 200
    assert [row["id"] for row in alice.fetch_open_orders(PERPETUAL)] == [order["id"]]
    assert [row["id"] for row in alice.fetch_open_orders()] == [order["id"]]
    assert alice.cancel_order(order["id"], PERPETUAL)["status"] == "canceled"
    assert alice.fetch_order(order["id"])["status"] == "canceled" and alice.fetch_open_orders() == []
    with pytest.raises(ccxt.InvalidOrder, match="11044"):  # what is no order any more is not edited either
        alice.edit_order(order["id"], PERPETUAL, "limit", "buy", 200, price)


def test_cancelling_all_orders_of_a_market_or_all(alice, bid):
    price = round(bid * 0.9)
    for symbol, far, amount in ((PERPETUAL, price, 10), (PERPETUAL, price - 1, 10), (LINEAR, price, 0.01)):
        alice.create_order(symbol, "limit", "buy", amount, far)
    assert alice.cancel_all_orders(PERPETUAL)[0]["info"]["result"] == 2
    assert [row["symbol"] for row in alice.fetch_open_orders(LINEAR)] == [LINEAR]
    assert alice.cancel_all_orders()[0]["info"]["result"] == 1 and alice.fetch_open_orders(LINEAR) == []


TRIGGERED = [  # ccxt's type, its parameters as multiples of the price, the type and trigger of the order that waits
    ("stop_limit", {"stopLossPrice": 0.8}, "stop_limit", 0.8),
    ("stop_market", {"stopLossPrice": 0.8}, "stop_market", 0.8),
    ("limit", {"stopLossPrice": 0.8}, "stop_limit", 0.8),
    ("market", {"stopLossPrice": 0.8, "trigger": "mark_price"}, "stop_market", 0.8),
    ("limit", {"takeProfitPrice": 1.2}, "take_limit", 1.2),
    ("market", {"takeProfitPrice": 1.2, "trigger": "index_price"}, "take_market", 1.2),
    ("market", {"trailingAmount": 0.1}, "trailing_stop", None),
]


@pytest.mark.parametrize(("kind", "params", "made", "trigger"), TRIGGERED)
def test_an_order_that_waits_for_its_trigger(alice, bid, kind, params, made, trigger):
    asked = {name: round(value * bid) if isinstance(value, float) else value for name, value in params.items()}
    limit = round(bid * 1.1) if "limit" in kind else None
    order = alice.create_order(PERPETUAL, kind, "sell", 10, limit, asked)
    try:
        assert (order["status"], order["info"]["order_state"], order["info"]["order_type"]) == (
            "open",
            "untriggered",
            made,
        )
        if made == "trailing_stop":
            assert order["info"]["trigger_offset"] == asked["trailingAmount"] and "trigger_price" not in order["info"]
        else:
            assert order["triggerPrice"] == pytest.approx(trigger * bid, abs=1)
        assert order["info"]["trigger"] == params.get("trigger", "last_price")
        if limit:
            assert order["price"] == limit
        assert order["id"] in [row["id"] for row in alice.fetch_open_orders(PERPETUAL)]
    finally:
        assert alice.cancel_order(order["id"])["status"] == "canceled"


def test_a_stop_that_is_reached_trades(alice, bid):
    """A stop to buy below the mark is reached at once."""
    order = alice.create_order(
        PERPETUAL, "market", "buy", 10, params={"stopLossPrice": round(bid * 0.95), "trigger": "mark_price"}
    )
    deadline = alice.milliseconds() + 10_000
    while (found := alice.fetch_order(order["id"]))["filled"] < 10 and alice.milliseconds() < deadline:
        pass  # ccxt waits between requests
    assert found["info"]["order_state"] in ("filled", "triggered") and found["filled"] == 10
    alice.create_order(PERPETUAL, "market", "sell", 10, params={"reduceOnly": True})


def test_immediate_or_cancel_and_fill_or_kill(alice, bid):
    far = round(bid * 0.9)
    near = round(bid * 1.02)
    for force in ("IOC", "FOK"):
        missed = alice.create_order(PERPETUAL, "limit", "buy", 10, far, {"timeInForce": force})
        assert (missed["status"], missed["filled"], missed["timeInForce"]) == ("canceled", 0, force)
        assert alice.fetch_order(missed["id"])["status"] == "canceled"
        filled = alice.create_order(PERPETUAL, "limit", "buy", 10, near, {"timeInForce": force})
        assert (filled["status"], filled["filled"]) == ("closed", 10)
    alice.create_order(PERPETUAL, "market", "sell", 20, params={"reduceOnly": True})


def test_post_only_rests_or_is_refused(alice, bid):
    order = alice.create_order(PERPETUAL, "limit", "buy", 10, round(bid * 0.9), {"postOnly": True})
    assert order["postOnly"] and order["status"] == "open"
    alice.cancel_order(order["id"])
    with pytest.raises(ccxt.InvalidOrder, match="post_only_reject"):
        alice.create_order(PERPETUAL, "limit", "buy", 10, round(bid * 1.02), {"postOnly": True})


def test_reduce_only_is_cut_to_the_position_and_refused_without_one(venue, alice):
    carol = client_of(venue, "carol")
    with pytest.raises(ccxt.ExchangeError, match="NOT_REDUCING"):
        carol.create_order(PERPETUAL, "market", "sell", 10, params={"reduceOnly": True})
    carol.create_order(PERPETUAL, "market", "buy", 30)
    closed = carol.create_order(PERPETUAL, "market", "sell", 100, params={"reduceOnly": True})
    assert closed["filled"] == 30
    assert carol.fetch_position(PERPETUAL)["contracts"] == 0


def test_positions_fills_and_finished_orders_agree(venue):
    bob = client_of(venue, "bob")
    since = bob.fetch_time()
    first = bob.create_order(PERPETUAL, "market", "buy", 100)
    second = bob.create_order(PERPETUAL, "limit", "buy", 50, round(first["average"] * 1.02))
    assert second["status"] == "closed"
    position = bob.fetch_position(PERPETUAL)
    assert (position["side"], position["contracts"]) == ("long", 150)
    assert position["notional"] == pytest.approx(150 / position["markPrice"], rel=1e-3)
    assert position["entryPrice"] == pytest.approx(first["average"], rel=0.01)
    assert [row["symbol"] for row in bob.fetch_positions()] == [PERPETUAL]
    trades = bob.fetch_my_trades(PERPETUAL, since)
    assert sum(trade["amount"] for trade in trades) == 150
    assert {trade["order"] for trade in trades} == {first["id"], second["id"]}
    assert all(trade["takerOrMaker"] == "taker" and trade["fee"]["currency"] == "BTC" for trade in trades)
    assert sum(trade["amount"] for trade in bob.fetch_order_trades(first["id"])) == 100
    assert [row["id"] for row in bob.fetch_closed_orders(PERPETUAL)] == [first["id"], second["id"]]
    held = bob.fetch_balance()["BTC"]
    assert held["used"] > 0 and held["free"] < held["total"] < 10.0
    bob.create_order(option_of(bob), "limit", "buy", 1, bob.fetch_ticker(option_of(bob))["ask"])
    assert {row["symbol"] for row in bob.fetch_positions()} == {PERPETUAL, option_of(bob)}


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_refusals_come_as_the_exceptions_that_programs_catch(venue, alice, bid):
    beyond = 200_000_000 if "mode" in venue.ready else 400_000_000  # a desk's bands are wider, so its bound is nearer
    with pytest.raises(ccxt.InsufficientFunds, match="MARGIN"):
        alice.create_order(PERPETUAL, "limit", "buy", beyond, round(bid))
    with pytest.raises(ccxt.InvalidOrder, match="price_wrong_tick"):
        alice.create_order(PERPETUAL, "limit", "buy", 10, bid, {"price": "50000.3"})
    with pytest.raises(ccxt.InvalidOrder, match="price_too_high"):
        alice.create_order(PERPETUAL, "limit", "buy", 10, 1e12)
    with pytest.raises(ccxt.OrderNotFound):
        alice.fetch_order("BTC-99999999")
    with pytest.raises(ccxt.OrderNotFound):
        alice.cancel_order("nonsense")
    theirs = alice.create_order(PERPETUAL, "limit", "buy", 10, round(bid * 0.9))
    with pytest.raises(ccxt.OrderNotFound, match="not_owner_of_order"):
        client_of(venue, "bob").cancel_order(theirs["id"])
    assert alice.cancel_order(theirs["id"])["status"] == "canceled"
    with pytest.raises(ccxt.BadRequest):
        alice.private_get_get_positions({"currency": "DOGE"})


def test_wrong_keys_are_authentication_errors(venue, alice):
    for key, secret in ((alice.apiKey, "wrong"), ("nobody", "wrong"), (alice.apiKey, alice.secret[::-1])):
        stranger = ccxt.deribit({"apiKey": key, "secret": secret})
        stranger.urls["api"] = {"rest": venue.ready["http"]}
        with pytest.raises(ccxt.AuthenticationError):
            stranger.fetch_balance()
    assert alice.fetch_balance()["BTC"]["total"] > 0  # whose key it was is not locked out


def test_too_many_requests_are_refused_and_cancels_still_taken(tmp_path):
    """With the dialect's limits ccxt's own pace is never too fast; without its pace it is told how long to wait."""
    with dev_venue(tmp_path / "venue", "--rate-limits") as venue:
        paced = client_of(venue, "bob")
        for _ in range(10):
            paced.create_order(PERPETUAL, "limit", "buy", 10, 50_000)
        hasty = client_of(venue, "alice")
        hasty.load_markets()
        hasty.enableRateLimit = False
        placed = []
        with pytest.raises((ccxt.RateLimitExceeded, ccxt.DDoSProtection), match="10028") as refusal:
            for _ in range(200):
                placed.append(hasty.create_order(PERPETUAL, "limit", "buy", 10, 50_000)["id"])
        assert 20 <= len(placed) < 60 and '"wait":' in str(refusal.value)
        for number in placed:  # risk may always be taken down
            assert hasty.cancel_order(number)["status"] == "canceled"
        with pytest.raises((ccxt.RateLimitExceeded, ccxt.DDoSProtection), match="10028"):
            for _ in range(2000):
                hasty.fetch_time()
