"""Chains: quotes to bands of total variance, forwards by parity, what is left out, what is refused, files."""

import csv
import gzip
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_chains import DAY, NOW, TICK, made_chain, made_rows

from seawall.risk import black76
from seawall.risk.surfaces import QuoteRow, make_chain, read_chain
from seawall.risk.surfaces.chain import parity_forward
from seawall.vocabulary.errors import InputError

OPTIONS = Path(__file__).parents[3] / "shared" / "data" / "options"
BTC = OPTIONS / "deribit_btc_chain_20251205T0109Z.csv.gz"
ETH = OPTIONS / "deribit_eth_option_book_summary_20240108.csv.gz"
ROWS = OPTIONS / "deribit_options_chain_rows_20220901.csv"
EXPIRY = NOW + 30 * DAY
FORWARD = 100.0


def fair(strike, call, volatility=0.5):
    years = 30 / 365
    return float(black76.price(FORWARD, strike, volatility, years, 1.0 if call else -1.0)) / FORWARD


def row(strike, call=True, *, off=0.0, **change):
    value = fair(strike, call) * (1 + off)
    quote = QuoteRow(f"X-{strike}-{'C' if call else 'P'}", EXPIRY, strike, call, FORWARD, 0.95 * value, 1.05 * value)
    return quote._replace(**change)


def book():
    return [row(strike, call) for strike in (80.0, 90.0, 100.0, 110.0, 120.0) for call in (True, False)]


def chain_of(rows, **how):
    return make_chain(rows, NOW, sha256="", **how)


def test_a_band_holds_the_variance_its_prices_came_from():
    chain = chain_of(book())
    [expiry] = chain.expiries
    assert expiry.years == pytest.approx(30 / 365, rel=1e-12) and expiry.forward == FORWARD
    quotes, true = expiry.quotes, 0.25 * 30 / 365
    assert len(quotes) == chain.two_sided == 10 and not chain.left_out
    assert np.all((quotes.low < true) & (true < quotes.high))
    assert quotes.k == pytest.approx(np.log(quotes.strike / FORWARD), abs=1e-15)
    sides = zip((quotes.low, quotes.high), (0.95, 1.05), strict=True)
    for bound, times in sides:
        known = (bound > 0) & np.isfinite(bound)
        values = black76.price(FORWARD, quotes.strike, np.sqrt(bound), 1.0, quotes.call) / FORWARD
        wanted = [times * fair(strike, call > 0) for strike, call in zip(quotes.strike, quotes.call, strict=True)]
        assert values[known] == pytest.approx(np.array(wanted)[known], rel=1e-10)


def test_premiums_in_cash_give_the_same_bands():
    coin = chain_of(book())
    cash = chain_of([of._replace(bid=of.bid * FORWARD, ask=of.ask * FORWARD) for of in book()], coin_settled=False)
    for name in ("low", "high"):
        ours, theirs = (getattr(chain.expiries[0].quotes, name) for chain in (coin, cash))
        assert ours == pytest.approx(theirs, rel=1e-12)
    assert cash.expiries[0].parity == pytest.approx(coin.expiries[0].parity, rel=1e-4)


def test_one_side_bounds_on_one_side():
    rows = [*book(), row(130.0, bid=None), row(70.0, False, ask=None), row(75.0, False, bid=None, ask=None)]
    chain = chain_of(rows)
    quotes = chain.expiries[0].quotes
    only_ask, only_bid = (int(np.flatnonzero(quotes.strike == strike)[0]) for strike in (130.0, 70.0))
    assert quotes.low[only_ask] == 0 and np.isfinite(quotes.high[only_ask])
    assert quotes.low[only_bid] > 0 and np.isinf(quotes.high[only_bid])
    assert not quotes.two_sided[only_ask] and not quotes.two_sided[only_bid]
    assert chain.two_sided == 10 and chain.left_out == {"no quote": 1}


@pytest.mark.parametrize(("wrong", "reason"), [
    (row(105.0, bid=0.2, ask=0.1), "crossed"),
    (row(105.0, bid=3e6, ask=4e6), "absurd"),  # a premium 1e8 too large
    (row(105.0, False, bid=0.01, ask=0.02), "absurd"),  # asked below intrinsic value
    (row(105.0, bid=1e-6, ask=2e-6), "contradicted"),
    (row(105.0, bid=0.2, ask=0.21), "contradicted"),
    (row(1e6, bid=1e-4, ask=2e-4), "absurd"),
    (row(105.0, expiry_ns=NOW), "expired"),
    (row(105.0, quoted_ns=NOW - 301 * 10**9), "stale"),
    (row(70.0, bid=1e-4, ask=None), "bounds nothing"),
    (row(105.0, forward=None, expiry_ns=EXPIRY + DAY), "no forward"),
    (row(105.0, bid=None, expiry_ns=EXPIRY + DAY), "no quote of two sides in the expiry"),
])  # fmt: skip
def test_what_no_fit_should_follow_is_left_out_and_counted(wrong, reason):
    filler = [row(float(strike), call) for strike in (85, 88, 92, 95, 97) for call in (True, False)]
    chain = chain_of([*book(), *filler, wrong])
    assert chain.left_out == {reason: 1}
    assert len(chain.expiries) == 1 and wrong.strike not in chain.expiries[0].quotes.strike


def test_two_quotes_that_rule_out_only_each_other_both_go():
    """A call at 105 bid above what the one at 104 is offered at, while all farther ones would agree with either."""
    near = fair(104.0, True)
    pair = [row(104.0, bid=0.97 * near, ask=0.98 * near), row(105.0, bid=0.99 * near, ask=1.0 * near)]
    chain = chain_of([*book(), *pair])
    assert chain.left_out == {"contradicted": 2} and len(chain.expiries[0].quotes) == 10
    assert not chain_of([*book(), pair[0]]).left_out and not chain_of([*book(), pair[1]]).left_out


def test_a_quote_within_the_limit_of_age_stays():
    chain = chain_of([*book(), row(105.0, quoted_ns=NOW - 299 * 10**9)])
    assert len(chain.expiries[0].quotes) == 11
    assert chain_of([*book(), row(105.0, quoted_ns=NOW - 299 * 10**9)], stale_s=10.0).left_out == {"stale": 1}


def test_of_two_rows_of_an_instrument_the_later_counts():
    older, newer = (row(105.0, quoted_ns=NOW - age, bid=0.02, ask=ask) for age, ask in ((9, 0.05), (5, 0.04)))
    for pair in ((older, newer), (newer, older)):
        chain = chain_of([*book(), *pair])
        assert chain.left_out == {"superseded": 1}
        quotes = chain.expiries[0].quotes
        assert (
            quotes.high[quotes.strike == 105.0]
            == chain_of([*book(), newer]).expiries[0].quotes.high[quotes.strike == 105.0]
        )
    with pytest.raises(InputError, match="twice"):
        chain_of([*book(), row(105.0), row(105.0)])


@pytest.mark.parametrize(("change", "field"), [
    ({"strike": 0.0}, "strike"), ({"strike": math.nan}, "strike"), ({"strike": math.inf}, "strike"),
    ({"bid": math.nan}, "bid"), ({"bid": -0.1}, "bid"), ({"ask": math.inf}, "ask"), ({"ask": 0.0}, "ask"),
    ({"forward": math.nan}, "forward"), ({"forward": -1.0}, "forward"), ({"forward": 1e10}, "forward"),
    ({"forward": 103.0}, "forward"),
])  # fmt: skip
def test_a_row_that_cannot_be_is_refused_by_name(change, field):
    with pytest.raises(InputError) as refused:
        chain_of([*book(), row(105.0)._replace(**change)])
    assert refused.value.field == f"X-105.0-C: {field}"


def test_a_crossed_chain_is_refused():
    rows = [of._replace(bid=of.ask, ask=of.bid) if place % 2 else of for place, of in enumerate(book())]
    with pytest.raises(InputError, match="crossed"):
        chain_of(rows)


def test_a_chain_without_anything_to_fit_is_refused():
    for rows in ([], [of._replace(expiry_ns=NOW - 1) for of in book()], [of._replace(bid=None) for of in book()]):
        with pytest.raises(InputError):
            chain_of(rows)
    with pytest.raises(InputError, match="one underlying"):
        chain_of([*book(), row(105.0, name="Y-105-C")])


def test_a_forward_far_from_the_curve_is_refused():
    far = [
        of._replace(name=f"{of.name}-far", expiry_ns=EXPIRY + place * DAY, forward=10 * FORWARD, strike=10 * of.strike)
        for place in (7,) for of in book()
    ]  # fmt: skip
    third = [of._replace(name=f"{of.name}-third", expiry_ns=EXPIRY + DAY) for of in book()]
    with pytest.raises(InputError, match="curve"):
        chain_of([*book(), *third, *far])


@settings(deadline=None, max_examples=50)
@given(st.floats(0.7, 1.4), st.floats(0.0, 0.03), st.integers(0, 10**6))
def test_parity_finds_the_forward(ratio, spread, seed):
    chance, forward = np.random.default_rng(seed), FORWARD * ratio
    for coin in (True, False):
        unit = 1 / forward if coin else 1.0
        rows = []
        for strike in (80.0, 90.0, 100.0, 110.0, 120.0):
            for call in (True, False):
                value = unit * float(black76.price(forward, strike, 0.6, 0.2, 1.0 if call else -1.0))
                width = value * chance.uniform(0, spread) + 1e-9
                rows.append(QuoteRow(f"X-{strike}-{call}", EXPIRY, strike, call, None, value - width, value + width))
        low, high = parity_forward(rows, coin_settled=coin)
        assert low - 1e-9 <= forward <= high + 1e-9
        # One strike gone mad does not change what the others say.
        far = 0.3 * forward * unit
        mad = [of._replace(bid=of.bid + far, ask=of.ask + far) if of.strike == 90.0 and of.call else of for of in rows]
        others = [of for of in rows if of.strike != 90.0]
        assert parity_forward(mad, coin_settled=coin) == parity_forward(others, coin_settled=coin)
    assert parity_forward(rows[:1]) is None


def test_without_stated_forwards_parity_gives_them():
    chain = chain_of([of._replace(forward=None) for of in book()])
    assert chain.expiries[0].forward == pytest.approx(FORWARD, rel=5e-3)
    assert chain.expiries[0].parity[0] <= FORWARD <= chain.expiries[0].parity[1]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_made_chains_contradict_nothing(seed):
    chain = made_chain(seed)
    assert not set(chain.left_out) & {"crossed", "absurd", "contradicted"}
    for expiry in chain.expiries:
        assert expiry.parity[0] - TICK * expiry.forward <= expiry.forward <= expiry.parity[1] + TICK * expiry.forward
        assert np.all(expiry.quotes.low <= expiry.quotes.high)


def written(path, records, zipped=False):
    text = io.StringIO()
    writer = csv.DictWriter(text, records[0])
    writer.writeheader()
    writer.writerows(records)
    path.write_bytes(gzip.compress(text.getvalue().encode()) if zipped else text.getvalue().encode())
    return path


def records(**change):
    return [
        {
            "instrument_name": of.name, "option_type": "C" if of.call else "P", "expire_date": "4JAN26",
            "strike_price": of.strike, "underlying_price": FORWARD,
            "bid_price": of.bid or "", "ask_price": of.ask or "",
            "creation_timestamp": NOW // 10**6, **change,
        } for of in book()
    ]  # fmt: skip


def test_a_file_is_read_plain_and_zipped(tmp_path):
    plain, zipped = (written(tmp_path / name, records(), name == "b") for name in ("a", "b"))
    chains = [read_chain(path) for path in (plain, zipped)]
    assert chains[0].time_ns == chains[1].time_ns == NOW and chains[0].sha256 != chains[1].sha256
    assert len(chains[0].expiries[0].quotes) == 10 and chains[0].expiries[0].quotes.k.tolist() == (
        chains[1].expiries[0].quotes.k.tolist()
    )


def test_the_time_follows_from_years_to_expiry_or_is_given(tmp_path):
    made = [{**of, "T_years": 0.08262} for of in records()]
    for of in made:
        del of["creation_timestamp"]
    chain = read_chain(written(tmp_path / "years", made))
    assert chain.expiries[0].years == pytest.approx(0.08262, abs=1e-12)
    assert read_chain(tmp_path / "years", time_ns=NOW).time_ns == NOW
    made[0]["T_years"] = 0.09
    with pytest.raises(InputError, match="apart"):
        read_chain(written(tmp_path / "years", made))
    for of in made:
        del of["T_years"]
    with pytest.raises(InputError, match="time"):
        read_chain(written(tmp_path / "years", made))


@pytest.mark.parametrize("change", [
    {"strike_price": "abc"}, {"strike_price": ""}, {"bid_price": "nan"}, {"bid_price": "inf"}, {"bid_price": "-1"},
    {"option_type": "X"}, {"expire_date": "31FEB26"}, {"expire_date": ""}, {"underlying_price": "nan"},
    {"creation_timestamp": "1.5"}, {"ask_price": "1e400"},
])  # fmt: skip
def test_a_file_with_a_wrong_cell_is_refused(tmp_path, change):
    made = records()
    made[3] = {**made[3], **change}
    with pytest.raises(InputError, match=made[3]["instrument_name"]):
        read_chain(written(tmp_path / "wrong", made))


@pytest.mark.parametrize(
    "column", ["instrument_name", "option_type", "expire_date", "strike_price", "bid_price", "ask_price"]
)
def test_a_file_without_a_column_is_refused(tmp_path, column):
    made = [{name: cell for name, cell in of.items() if name != column} for of in records()]
    with pytest.raises(InputError, match=f"has none of .*{column}"):
        read_chain(written(tmp_path / "narrow", made))


def test_files_that_are_no_chain_are_refused(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes(gzip.compress(b"instrument_name,strike\n" * 99)[:-9])
    (tmp_path / "rot").write_bytes(b"\x1f\x8b" + bytes(range(200)))
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "other").write_bytes(b"a,b\n1,2\n")
    for name in ("empty", "cut", "rot", "binary", "other", "absent"):
        with pytest.raises(InputError):
            read_chain(tmp_path / name)


def test_the_real_chain():
    if not BTC.exists():
        pytest.skip(f"recorded chain absent: {BTC.name}")
    chain = read_chain(BTC)
    assert chain.sha256 == "6afaa6c302ff1f80fbaebe2cdb89ea8234aa3ce2bd56117b6179da2f86e12c59"
    assert len(chain.expiries) == 11 and chain.two_sided == 520
    assert chain.left_out == {"no quote": 120, "bounds nothing": 9}
    assert sum(len(expiry.quotes) for expiry in chain.expiries) == 676 - 129
    for expiry in chain.expiries:  # the venue's forwards agree with what puts and calls say
        assert expiry.parity[0] * (1 - 5e-4) < expiry.forward < expiry.parity[1] * (1 + 5e-4)


def test_the_book_summary():
    if not ETH.exists():
        pytest.skip(f"recorded chain absent: {ETH.name}")
    chain = read_chain(ETH)
    assert len(chain.expiries) == 11 and chain.two_sided == 408
    assert chain.time_ns == 1704712781429 * 10**6


def test_rows_of_two_underlyings(tmp_path):
    if not ROWS.exists():
        pytest.skip(f"recorded rows absent: {ROWS.name}")
    with pytest.raises(InputError, match="one underlying"):
        read_chain(ROWS)
    header, *rows = ROWS.read_text().splitlines()
    one = tmp_path / "eth"
    one.write_text("\n".join([header, *(of for of in rows if ",ETH-" in of)]))
    chain = read_chain(one)
    assert chain.left_out.get("absurd", 0) == 0 and chain.time_ns > 1_661_990_000 * 10**9


def test_a_made_chain_is_the_same_each_time():
    ours, again = (json.dumps([of._asdict() for of in made_rows(7)]) for _ in range(2))
    assert ours == again != json.dumps([of._asdict() for of in made_rows(8)])
