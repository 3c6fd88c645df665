"""Parameters from history, backtests by class of account, `seawall policy`: by hand, by simulation, and bad input."""

import gzip
import json
import math
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from seawall.cli.main import app
from seawall.risk import Seawall, policy
from seawall.risk.margin import models
from seawall.risk.study import backtest, books, calibration, history, losses, stress
from seawall.vocabulary.errors import InputError

PRICES = Path(__file__).parents[3] / "shared" / "data" / "prices"
SPLIT = ("2020-01-01", "2022-12-31", "2023-01-01", "2024-12-31")


def days(count, first="2020-01-01"):
    return [(date.fromisoformat(first) + timedelta(at)).isoformat() for at in range(count)]


def table(prices, first="2020-01-01", header="day,close"):
    rows = [f"{day},{price!r}" for day, price in zip(days(len(prices), first), prices, strict=True)]
    return "\n".join([header, *rows]).encode()


def walk(count, seed=1, scale=0.03):
    return (100 * np.exp(np.cumsum(scale * np.random.default_rng(seed).standard_t(4, count)))).tolist()


def made(prices, **known):
    return history.read("BTC", table(prices, **known))


# Histories


def test_a_history_is_read_plain_or_packed_and_hashed_as_given():
    data = table([100.0, 101.0, 99.0])
    plain, packed = history.read("BTC", data), history.read("BTC", gzip.compress(data))
    assert plain.prices.tolist() == packed.prices.tolist() == [100.0, 101.0, 99.0]
    assert plain.sha256 != packed.sha256 and plain.step == 1.0
    assert history.day_of(plain.times[0]) == "2020-01-01"


def test_a_gap_gives_no_return():
    rows = table([100.0, 110.0, 121.0, 133.1, 146.41, 161.051]).decode().splitlines()
    del rows[3]
    times, moves = history.read("BTC", "\n".join(rows).encode()).returns(1.0)
    assert [history.day_of(time) for time in times] == ["2020-01-02", "2020-01-05", "2020-01-06"]
    assert moves == pytest.approx([0.1, 0.1, 0.1])


def test_moves_do_not_overlap():
    times, moves = made([100.0, 110.0, 121.0, 133.1, 146.41]).returns(2.0)
    assert moves == pytest.approx([0.21, 0.21]) and np.diff(times) == pytest.approx([2.0])


def test_a_period_has_its_first_and_its_last_day():
    kept = made(walk(30)).between("2020-01-03", "2020-01-10")
    assert [history.day_of(kept.times[at]) for at in (0, -1)] == ["2020-01-03", "2020-01-10"] and len(kept.times) == 8


def test_pairs_are_of_the_same_days():
    one = made([100.0, 110.0, 110.0, 110.0])
    other = history.read("ETH", table([50.0, 55.0, 55.0], first="2020-01-02"))
    times, pairs = history.paired(one, other)
    assert [history.day_of(time) for time in times] == ["2020-01-03", "2020-01-04"]
    assert pairs == pytest.approx(np.array([[0.0, 0.1], [0.0, 0.0]]))


@pytest.mark.parametrize(("text", "field"), [
    ("day,close\n2020-01-01,1\n2020-01-02,nan\n2020-01-03,1", "BTC.row 3.close"),
    ("day,close\n2020-01-01,1\n2020-01-02,-1\n2020-01-03,1", "BTC.row 3.close"),
    ("day,close\n2020-01-01,1\n2020-01-02,1e8\n2020-01-03,1", "BTC.row 3.close"),
    ("day,close\n2020-01-01,1\n2020-01-01,1\n2020-01-03,1", "BTC.row 3.day"),
    ("day,close\n2020-01-01,1\nyesterday,1\n2020-01-03,1", "BTC.row 3"),
    ("day,close\n2020-01-01,1\n2020-01-02\n2020-01-03,1", "BTC.row 3"),
    ("day,close\n2020-01-01,1\n2020-01-02,1", "BTC"),
    ("day,price\n2020-01-01,1", "BTC.close"),
    ("", "BTC.close"),
])  # fmt: skip
def test_a_bad_history_is_refused_by_row(text, field):
    with pytest.raises(InputError) as refused:
        history.read("BTC", text.encode())
    assert refused.value.field == field


def test_bytes_that_are_no_text_are_refused():
    for data in (b"\x1f\x8b broken", b"\xff\xfe\x00"):
        with pytest.raises(InputError):
            history.read("BTC", data)


def with_volumes(volumes):
    text = "\n".join(
        ["day,close,usd", *(f"{day},1,{value}" for day, value in zip(days(len(volumes)), volumes, strict=True))]
    )
    return history.read("BTC", text.encode(), "close", "usd")


def test_close_out_times_by_hand():
    # Of a usual 100 a day a tenth is taken, so 0.2 of a day's volume takes two days.
    steady = with_volumes([100.0] * 90)
    assert history.close_out_times(steady, 0.2, 0.1) == pytest.approx(np.full(59, 2.0))
    dry = with_volumes([100.0] * 40 + [25.0] * 50)
    assert history.close_out_times(dry, 0.1, 0.1).max() == 4.0
    assert history.depth_share(steady, 1.0, 0.1) == 0.1
    with pytest.raises(InputError):
        history.close_out_times(made(walk(90)), 0.2, 0.1)
    with pytest.raises(InputError):
        history.close_out_times(with_volumes([100.0] * 50), 0.2, 0.1)


# Calibration


def test_the_range_is_the_floor_rounded_up_and_covers_what_it_was_made_for():
    found = calibration.calibrate(made(walk(1827)), split=SPLIT)
    moves = np.abs(made(walk(1827)).between(*SPLIT[:2]).returns(1.0)[1])
    assert np.mean(moves <= found.quantile) >= 0.99
    assert found.stressed_quantile >= found.quantile and found.stressed.moves == 250
    assert found.floor == pytest.approx(max(found.quantile, 0.75 * found.quantile + 0.25 * found.stressed_quantile))
    assert found.floor <= found.price_range < found.floor + 0.02 + 1e-12
    assert round(found.price_range / 0.02, 9) == round(found.price_range / 0.02)
    assert found.calibrated.last < found.tested.first


def test_a_later_period_twice_as_wild_is_rejected():
    wilder = made(walk(1096, scale=0.015)[:-1] + (np.array(walk(732, seed=2, scale=0.06))).tolist())
    assert not calibration.calibrate(wilder, split=SPLIT).test.accepted
    assert calibration.calibrate(made(walk(1827)), split=SPLIT).test.accepted


def test_falls_count_like_rises():
    prices = walk(1096, scale=0.01)
    for _ in range(365):
        prices += [prices[-1] * 0.7, prices[-1]]
    found = calibration.calibrate(made(prices), split=SPLIT)
    rises = 365 - 1  # of every second day, 43 %
    assert found.test.exceedances >= 2 * rises


def test_what_follows_volatility_knows_no_later_move():
    moves = np.array([0.1, -0.3, 0.0, 0.02])
    found = calibration.scale_before(moves, 0.01)
    variances = [0.01]
    for move in moves[:-1]:
        variances.append(0.94 * variances[-1] + 0.06 * move**2)
    assert found == pytest.approx(np.sqrt(variances), rel=1e-14)


def test_what_follows_volatility_moves_more_and_the_cap_holds_it():
    bare, floored, capped, fixed = calibration.calibrate(made(walk(1827)), split=SPLIT).procyclicality
    assert bare.measure.peak_to_trough > floored.measure.peak_to_trough >= fixed.measure.peak_to_trough == 1.0
    assert capped.measure.rise <= calibration.RISE_CAP + 1e-9
    assert capped.test.exceedances >= floored.test.exceedances and capped.days_capped > 0 < capped.largest_gap


def test_haircuts_and_parameters_are_what_was_found():
    found = calibration.calibrate(made(walk(1827)), split=SPLIT)
    assert calibration.published_haircuts([found])["BTC"] == found.price_range
    assert calibration.published_haircuts([]) == {"USDC": 0.13, "USDT": 0.05, "UST": 1.0}
    made_of = calibration.parameters([found], {"BTC": 7e7, "ETH": 2e7})
    assert made_of == {"underlyings": {"BTC": {"price_range": found.price_range, "depth": 7e7}, "ETH": {"depth": 2e7}}}
    model = Seawall(parameters=made_of)
    model.check()
    assert (model.fitted().of("BTC").depth, model.fitted().of("ETH").depth) == (7e7, 2e7)
    assert model.fitted().of("BTC").price_range == found.price_range


def test_depth_is_each_products_own_and_the_least_for_the_others():
    one = calibration.close_out(with_volumes([100.0] * 400), split=("2020-01-01", "2021-12-31"), share=0.02)
    closings = [replace(one, product=name, depth_share=part) for name, part in (("BTC", 0.02), ("ETH", 0.03))]
    found = calibration.depths(closings, {"BTC": 1e9, "ETH": 1e9, "SOL": 1e9})
    assert found == {"BTC": 2e7, "ETH": 3e7, "SOL": 2e7}
    assert calibration.depths([], {}) == {}
    with pytest.raises(InputError) as refused:
        calibration.depths([], {"BTC": 1e9})
    assert refused.value.field == "daily_volume"


@pytest.mark.parametrize(("split", "field"), [
    (("2020-01-01", "2023-06-30", "2023-01-01", "2024-12-31"), "periods"),
    (("2020-01-01", "2020-12-31", "2021-01-01", "2024-12-31"), "BTC.rows"),
    (("2020-01-01", "2022-12-31", "2030-01-01", "2031-12-31"), "BTC"),
    (("2020-01-01", "2022-13-31", "2023-01-01", "2024-12-31"), "until"),
])  # fmt: skip
def test_bad_periods_are_refused(split, field):
    with pytest.raises(InputError) as refused:
        calibration.calibrate(made(walk(1827)), split=split)
    assert refused.value.field == field


# Backtest


def test_a_long_exceeds_where_the_move_is_larger_than_what_is_asked():
    prices = walk(400, scale=0.06)
    found = backtest.backtest(made(prices), ["paradex"], "2020-06-01", "2020-12-31")
    moves = made(prices).between("2020-06-01", "2020-12-31").returns(1.0)[1]
    by_account = {row.account: row for row in found.results}
    assert set(by_account) == set(backtest.LEGS)
    assert by_account["long"].margin == pytest.approx(0.16)  # paradex: min delta, of the notional
    assert by_account["long"].test.exceedances == int((moves < -0.16).sum())
    assert by_account["short"].test.exceedances == int((moves > 0.16).sum())
    # Coins as collateral fall, too: 0.16 of them is all lost at a move m where 0.16 (1 + m) + m = 0.
    assert by_account["coin collateral"].test.exceedances == int((moves < -0.16 / 1.16).sum())
    assert by_account["coin collateral"].test.exceedances > by_account["long"].test.exceedances > 0


def test_the_maintenance_requirement_is_tested_by_itself():
    prices = walk(400, scale=0.06)
    found = backtest.backtest(made(prices), ["paradex"], "2020-06-01", "2020-12-31", level="maintenance")
    moves = made(prices).between("2020-06-01", "2020-12-31").returns(1.0)[1]
    by_account = {row.account: row for row in found.results}
    assert by_account["long"].margin == pytest.approx(0.08)  # half the initial
    assert by_account["long"].test.exceedances == int((moves < -0.08).sum()) > int((moves < -0.16).sum())


def test_an_option_buyer_loses_no_more_than_the_premium_where_it_is_asked_for():
    found = backtest.backtest(made(walk(400)), ["deribit-standard"], "2020-06-01", "2020-12-31")
    buyer = next(row for row in found.results if row.account == "option buyer")
    assert buyer.test.exceedances == 0 and buyer.worst == 0.0


def test_the_days_losses_are_those_of_the_study():
    level, after, moves = np.array([0.6, 0.6]), np.array([0.8, 0.5]), np.array([-0.1, 0.07])
    market = books.MadeMarket({"BTC": 0.6, "ETH": 0.6})
    response = np.repeat(np.log(after / level)[:, None], 2, axis=1)
    days = stress.StressDays(("a", "b"), np.repeat(moves[:, None], 2, axis=1), response, np.zeros((2, 2)))
    values, _ = losses.revalued(market, days)
    for account in backtest.LEGS:
        item = backtest.made_book(account, "BTC", market)
        change, value = backtest._losses(account, "BTC", level, after, moves)
        assert change == pytest.approx(item.sizes @ (values - market.marks[:, None]), rel=1e-9, abs=1e-4)
        assert value == pytest.approx(float(item.sizes[market.is_option] @ market.marks[market.is_option]), abs=1e-4)


def test_the_level_of_volatility_is_that_before_the_day():
    moves = np.full(100, 0.01)
    moves[80] = 0.3
    before, after = backtest._levels(moves, np.array([80, 81]))
    assert before[0] == backtest.LEVELS[0] and before[1] == after[0]
    assert after[0] == pytest.approx(math.sqrt(365 * (0.94 * 0.0001 + 0.06 * 0.09)), rel=1e-6)


def test_an_account_exceeds_when_value_and_margin_are_gone():
    margin, value = np.full(20, 1_000.0), np.full(20, -300.0)
    change = np.linspace(-1_100.0, -900.0, 20)
    found = backtest._result("any", "option seller", margin, change, value, np.zeros(20))
    assert found.test.exceedances == 10 and found.worst == pytest.approx(100 / backtest.DOLLARS)
    nothing = backtest._result("any", "basis", np.zeros(20), np.full(20, -1e-9), np.zeros(20), np.zeros(20))
    assert nothing.test.exceedances == 0 and nothing.procyclicality is None


def test_every_class_is_what_its_name_says():
    market = books.plain_market()
    for account in backtest.LEGS:
        item = backtest.made_book(account, "ETH", market)
        assert item.coins(market) == ["ETH"]
        assert (item.collateral == "ETH") == (account == "coin collateral")
    basis = backtest.made_book("basis", "BTC", market)
    assert basis.sizes @ market.deltas == pytest.approx(0.0, abs=1e-9)
    assert set(models.OURS)


@pytest.mark.parametrize(("name", "first", "field"), [
    ("BTC", "2020-01-15", "from"), ("XRP", "2020-06-01", "underlying"), ("BTC", "2025-06-01", "BTC"),
])  # fmt: skip
def test_a_backtest_needs_a_warm_up_and_a_known_coin(name, first, field):
    with pytest.raises(InputError) as refused:
        backtest.backtest(history.read(name, table(walk(400))), ["paradex"], first, "2025-12-31")
    assert refused.value.field == field


# The command


def run(*words):
    return CliRunner().invoke(app, ["policy", *map(str, words)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "btc.csv"
    path.write_bytes(table(walk(1827)))
    return path


PERIODS = ("--calibrated", "2020-01-01:2022-12-31", "--tested", "2023-01-01:2024-12-31")


def test_calibrate_answers_with_evidence(file):
    done = run("calibrate", f"BTC={file}:close", *PERIODS, "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 0 and document["ok"] and document["tails"] is None
    only = document["calibrations"][0]
    assert only["accepted"] and len(only["sha256"]) == 64 and only["calibrated"]["last"] <= "2022-12-31"
    assert document["parameters"]["underlyings"]["BTC"]["price_range"] == only["price_range"]
    assert run("calibrate", f"BTC={file}:close", *PERIODS).stdout.startswith("BTC: range ")


def test_calibrate_says_no_where_the_close_out_takes_longer_than_the_period(tmp_path):
    prices, rng = walk(1827), np.random.default_rng(2)
    rows = [f"{day},{p},{rng.lognormal(0, 0.1):.6f}" for day, p in zip(days(1827), prices, strict=True)]
    path = tmp_path / "btc.csv"
    path.write_text("\n".join(["day,close,usd", *rows]))
    spec = f"BTC={path}:close:usd"
    long = run("calibrate", spec, *PERIODS, "--share", "0.5", "--daily-volume", "BTC=1e9", "--json")
    assert long.exit_code == 1 and not json.loads(long.stdout)["ok"]
    short = run("calibrate", spec, *PERIODS, "--share", "0.05", "--daily-volume", "BTC=1e9", "--json")
    document = json.loads(short.stdout)
    assert short.exit_code == 0
    for volume in ("SLO=1e9", "=1e9"):
        assert run("calibrate", spec, *PERIODS, "--daily-volume", volume).exit_code == 2
    assert run("calibrate", f"BTC={path}:close", *PERIODS, "--daily-volume", "BTC=1e9").exit_code == 2
    share = document["close_out"][0]["depth_share"]
    assert document["parameters"]["underlyings"]["BTC"]["depth"] == pytest.approx(share * 1e9)


def test_backtest_says_no_where_a_model_fails(file):
    words = ("backtest", f"BTC={file}:close", "--tested", "2023-01-01:2024-12-31", "--json")
    document = json.loads(run(*words, "--model", "deribit-standard").stdout)
    by_account = {row["account"]: row for row in document["results"]}
    assert not document["ok"] and not by_account["long"]["accepted"] and by_account["basis"]["accepted"]
    assert 0 < by_account["long"]["test"]["detectable_rate"] < 0.1
    assert run(*words[:-1], "--model", "paradex").stdout.count("holds") >= 5
    assert "of the maintenance requirement" in run(*words[:-1], "--model", "paradex", "--level", "maintenance").stdout
    assert "level = 'no'" in run(*words, "--level", "no").stderr


def test_study_prints_one_document_and_a_table():
    words = ("study", "--portfolios", 12, "--days", 10, "--model", "paradex", "--model", "derive-pmrm-2")
    document = json.loads(run(*words, "--json").stdout)
    for where in ("historical", "simulated"):
        rows = document["comparisons"][where]["own"]
        assert [row["model"] for row in rows] == ["paradex", "derive-pmrm-2"]
        assert set(document["comparisons"][where]["frontier"]) <= {"paradex", "derive-pmrm-2"}
    assert run(*words, "--seed", 2).stdout != run(*words).stdout == run(*words).stdout
    assert "on the frontier" in run(*words).stdout


@pytest.mark.parametrize("words", [
    ("calibrate", "BTC"), ("calibrate", "BTC=nowhere.csv:close"), ("backtest", "BTC=nowhere.csv"),
    ("study", "--model", "no-such"), ("study", "--portfolios", "0"), ("study", "--level", "no"),
])  # fmt: skip
def test_bad_usage_is_status_2_and_nothing_on_standard_output(words):
    done = run(*words)
    assert done.exit_code == 2 and done.stdout == "" and "must" in done.stderr


# The figures of the pages, where the data is at hand


def held(name):
    if not (PRICES / name).is_file():
        pytest.skip(f"{name} is not beside this checkout")
    return (PRICES / name).read_bytes()


def test_the_calibrated_numbers_stand():
    split = ("2015-01-01", "2019-12-31", "2020-01-01", "2024-12-31")
    btc = history.read("BTC", held("btc_usd_1d_2015_2024.csv.gz"), "btc_usd_close")
    eth = history.read("ETH", held("btc_eth_ltc_usd_1d_bitstamp.csv.gz"), "eth_close")
    found = calibration.calibrate(btc, split=split)
    assert (found.price_range, found.test.exceedances, found.test.days) == (0.16, 3, 1826) and found.test.accepted
    assert calibration.calibrate(eth, split=split).price_range == 0.18
    first = btc.between(*split[:2])
    tails = stress.fit(np.log1p(first.returns(1.0)[1]), np.log1p(history.paired(first, eth.between(*split[:2]))[1]))
    assert tails.degrees == pytest.approx(stress.FITTED.degrees, abs=0.005)
    assert tails.scales == pytest.approx(stress.FITTED.scales, abs=5e-5)
    assert tails.correlation == pytest.approx(stress.FITTED.correlation, abs=0.005)


def test_the_depth_is_a_fiftieth_of_a_days_volume():
    data = held("btcusd_1h_bitstamp_201805_202109.csv.gz")
    hourly = history.read("BTC", data, "close", "volume_usd")
    found = calibration.close_out(hourly, split=("2018-05-15", "2019-12-31"), share=0.02)
    assert found.depth_share == 0.02 and found.days == policy.CloseOutQuantile(
        pytest.approx(23 / 24), pytest.approx(1.0)
    )
    assert math.isclose(found.participation, 0.1)
