"""The comparison of margin models: figures by hand, properties of losses and resampling, and what must be refused."""

import dataclasses
import math
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from seawall.risk import black76, policy
from seawall.risk.margin import models
from seawall.risk.study import books, comparison, history, losses, stress
from seawall.risk.study.stressed_days import PERIOD, STRESSED_DAYS
from seawall.vocabulary.errors import InputError

MADE = books.plain_market()
NAMES = ("deribit-standard", "paradex", "derive-pmrm-2", "span")
CALM = losses.Liquidity(scale=0.0)


def held(collateral=books.CASH, **coins):
    sizes = np.zeros(len(MADE.contracts))
    for name, amount in coins.items():
        sizes[MADE.names.index(name.replace("_", "-"))] = amount
    return books.Book("made", sizes, collateral)


def day(btc, eth=0.0, response=0.0, basis=0.0):
    return stress.StressDays(("one",), np.array([[btc, eth]]), np.full((1, 2), response), np.full((1, 2), basis))


def test_a_perpetual_loses_its_move_and_the_cost_of_closing():
    found = losses.losses([held(BTC_PERP=100.0)], MADE, day(-0.2))
    left = 100 * 60_000 * 0.8
    assert found.change[0, 0] == pytest.approx(-100 * 60_000 * 0.2, rel=1e-14)
    assert found.cost[0, 0] == pytest.approx(left * 0.2 * math.sqrt(left / 3.0e9), rel=1e-14)
    calm = losses.losses([held(BTC_PERP=100.0)], MADE, day(0.001))
    assert calm.cost[0, 0] == pytest.approx(6_006_000 * 0.039 * math.sqrt(6_006_000 / 3.0e9), rel=1e-12)


def test_an_option_is_revalued_a_day_later_at_its_own_volatility():
    name = "ETH-30D-3300-C"
    at = MADE.names.index(name)
    row = int(np.count_nonzero(MADE.is_option[:at]))
    volatility = float(MADE.volatilities[row])
    found = losses.losses([held(**{name: -2.0})], MADE, day(0.0, 0.1, response=0.3, basis=0.02), CALM)
    forward = 3_000 * 1.1 * (1 + 0.02 * math.sqrt(30 / 90))
    after = float(black76.price(forward, 3_300.0, volatility * math.exp(0.3), 29 / 365, 1.0))
    assert found.change[0, 0] == pytest.approx(-2 * (after - MADE.marks[at]), rel=1e-12)
    assert found.options_value[0] == pytest.approx(-2 * MADE.marks[at], rel=1e-12)
    assert found.cost[0, 0] == 0


def test_what_closing_options_costs():
    name = "BTC-90D-60000-P"
    at = MADE.names.index(name)
    found = losses.losses([held(**{name: 500.0})], MADE, day(0.0))
    crowd = 1 + math.sqrt(500 * 60_000 / 3.0e8)
    delta = abs(float(losses.revalued(MADE, day(0.0))[1][at, 0])) * 500 * 60_000
    assert found.cost[0, 0] == pytest.approx(
        0.016 * 500 * MADE.vegas[at] * crowd + delta * 0.039 * math.sqrt(delta / 3.0e9), rel=1e-12
    )


def test_shortfall_by_hand_in_cash_and_in_coins():
    cash, coins = held(BTC_PERP=1.0), held("BTC", BTC_PERP=1.0)
    found = losses.losses([cash, coins], MADE, day(-0.2), CALM)
    assert found.shortfall(np.array([10_000.0, 10_000.0]))[:, 0] == pytest.approx([2_000.0, 4_000.0])
    assert found.shortfall(np.array([12_000.0, 15_000.0]))[:, 0] == pytest.approx([0.0, 0.0], abs=1e-9)
    dear = losses.losses([cash], MADE, day(-0.2))
    assert dear.shortfall(np.array([12_000.0]))[0, 0] == pytest.approx(dear.cost[0, 0]) and dear.cost[0, 0] > 0


def test_the_smile_by_hand():
    found = books.smile(np.array([0.6]), np.array([100.0]), np.array([110.0]), np.array([73.0]))[0]
    deviations = math.log(1.1) / (0.6 * math.sqrt(0.2))
    assert found == pytest.approx(0.6 * (1 + 0.05 * deviations**2 - 0.03 * deviations), rel=1e-14)
    far = books.smile(np.array([0.6]), np.array([100.0]), np.array([900.0]), np.array([1.0]))[0]
    assert far == pytest.approx(0.6 * (1 + 0.45 - 0.09), rel=1e-14)


@pytest.mark.parametrize("name", models.OURS)
def test_what_is_asked_is_where_equity_meets_the_requirement(name):
    model = models.model(name)
    for item in (
        held(BTC_PERP=-3.0),
        held(**{"BTC-30D-60000-C": -2.0, "BTC-30D-75000-C": 5.0}),
        held("ETH", ETH_PERP=9.0),
    ):
        asked = comparison.asked(model, [item], MADE)
        value = float(item.sizes[MADE.is_option] @ MADE.marks[MADE.is_option])
        price = 1.0 if item.collateral == books.CASH else 3_000.0
        for level in comparison.LEVELS:
            portfolio = item.portfolio(MADE, (asked[level][0] - value) / price)
            if name == "span":
                portfolio = msgspec.structs.replace(portfolio, parameters=dict(comparison.SCAN))
            report = model.evaluate(portfolio)
            assert report.equity == pytest.approx(getattr(report, level), rel=1e-6, abs=1.0)
        assert asked["maintenance"][0] <= asked["initial"][0] + 1e-6


def test_a_book_on_two_coins_is_two_accounts_where_a_model_holds_one_coin():
    model = models.model("derive-pmrm-2")
    both = held(BTC_PERP=1.0, ETH_PERP=-5.0)
    alone = [held(BTC_PERP=1.0), held(ETH_PERP=-5.0)]
    apart = comparison.asked(model, alone, MADE)["initial"].sum()
    assert comparison.asked(model, [both], MADE)["initial"][0] == pytest.approx(apart, rel=1e-12)


def test_drawn_books_are_what_they_are_called():
    drawn = books.draw(600, 3, MADE)
    gross = np.array([float(np.abs(item.sizes) @ MADE.index) for item in drawn])
    assert books.GROSS[0] <= gross.min() and gross.max() <= books.GROSS[1] * (1 + 1e-9)
    assert np.median(gross) == pytest.approx(math.sqrt(books.GROSS[0] * books.GROSS[1]), rel=0.5)
    assert {item.kind for item in drawn} == set(books.KINDS)
    for item in drawn:
        options = item.sizes[MADE.is_option]
        if item.kind == "option buyer":
            assert options.min() >= 0 and not item.sizes[~MADE.is_option].any()
        if item.kind == "option seller":
            assert options.max() <= 0 and not item.sizes[~MADE.is_option].any()
        if item.kind in ("basis", "market maker"):
            for coin in range(2):
                mine = MADE.coin == coin
                assert abs(item.sizes[mine] @ MADE.deltas[mine]) <= 1e-9 * np.abs(item.sizes[mine]).sum()
        assert (item.collateral != books.CASH) == (item.kind == "coin collateral")


def test_the_stressed_days_keep_their_rule_and_their_period():
    for name, btc, eth in STRESSED_DAYS:
        assert PERIOD[0] <= name <= PERIOD[1]
        assert abs(btc) >= 0.1 or abs(eth) >= 0.13
    names = [name for name, _, _ in STRESSED_DAYS]
    assert names == sorted(set(names)) and len(names) == 44
    assert ("2020-03-12", -0.3717, -0.4235) in STRESSED_DAYS


def test_the_stressed_days_of_btc_are_those_of_the_history_at_hand():
    file = Path(__file__).parents[3] / "shared" / "data" / "prices" / "btc_usd_1d_2015_2024.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not beside this checkout")
    times, moves = history.read("BTC", file.read_bytes(), "btc_usd_close").between(*PERIOD).returns(1.0)
    seen = {history.day_of(time): move for time, move in zip(times, moves, strict=True)}
    for name, btc, _ in STRESSED_DAYS:
        assert seen[name] == pytest.approx(btc, abs=5.1e-5), name
    assert {name for name, move in seen.items() if abs(move) >= 0.1} <= {name for name, _, _ in STRESSED_DAYS}


def beyond_on(coin, size):
    """The coverage test of a record that is True where the coin moved by more than `size`, 13 % at least."""
    first, last = (date.fromisoformat(day).toordinal() for day in PERIOD)
    record = np.zeros(last - first + 1, bool)
    for row in STRESSED_DAYS:
        record[date.fromisoformat(row[0]).toordinal() - first] = abs(row[1 + coin]) > size
    return policy.coverage(record)


def test_the_ranges_on_the_days_that_were():
    btc, eth, asked = beyond_on(0, 0.16), beyond_on(1, 0.18), beyond_on(1, 0.215)
    assert (btc.days, btc.exceedances, btc.accepted) == (1669, 3, True)
    # The page says so: ETH's range holds by number and fails by two days in a row.
    assert (eth.exceedances, eth.accepted) == (9, False) and eth.excess_p_value > 0.5
    assert eth.independence.p_value == pytest.approx(0.037, abs=0.0005)
    assert (asked.exceedances, asked.accepted) == (4, True)
    model = models.model("seawall")
    assert comparison.asked(model, [held(ETH_PERP=-1.0)], MADE)["initial"][0] == pytest.approx(0.215 * 3_000, rel=1e-9)


def test_simulated_days_are_in_the_tail_correlated_and_seeded():
    days = stress.simulated(2_000, 5)
    logs = np.log1p(days.moves)
    beyond = np.array(stress.FITTED.scales) * float(stdtrit(stress.FITTED.degrees, 0.995))
    assert (np.abs(logs) >= beyond).any(axis=1).all() and np.abs(logs).max() <= stress.LARGEST
    assert (np.abs(logs) < beyond).any(axis=1).any()  # one coin alone is enough
    assert 0.7 < np.corrcoef(logs.T)[0, 1] < 0.95
    assert abs(float((logs < 0).mean()) - 0.5) < 0.05
    again, other = stress.simulated(2_000, 5), stress.simulated(2_000, 6)
    assert np.array_equal(days.moves, again.moves) and np.array_equal(days.responses, again.responses)
    assert not np.array_equal(days.moves, other.moves)


def test_volatility_rises_more_on_falls_and_the_noise_is_small():
    days = stress.simulated(4_000, 1)
    logs = np.log1p(days.moves)
    expected = np.where(logs < 0, -stress.FALL * logs, stress.RISE * logs)
    noise = days.responses - expected
    assert noise.std() == pytest.approx(stress.NOISE, rel=0.05) and abs(noise.mean()) < 0.003
    flat = stress.simulated(4_000, 1, response=0.0)
    assert flat.responses == pytest.approx(noise, abs=1e-12)


def test_the_fit_finds_a_known_heavy_tail():
    rng = np.random.default_rng(1)
    normals = rng.standard_normal((40_000, 2)) @ np.array([[1.0, 0.0], [0.8, 0.6]]).T
    returns = 0.02 * normals * np.sqrt(3.0 / rng.chisquare(3.0, (40_000, 1)))
    found = stress.fit(returns[:, 0], returns)
    assert found.degrees == pytest.approx(3.0, rel=0.15)
    assert found.correlation == pytest.approx(0.8, abs=0.02)
    beyond = float(stdtrit(found.degrees, 0.995))
    for scale, seen in zip(found.scales, returns.T, strict=True):
        assert (np.abs(seen) > scale * beyond).mean() == pytest.approx(0.01, abs=1e-4)


def two_models(scale=2.0, days=40, count=12, seed=4):
    drawn = books.draw(count, seed, MADE)
    lost = losses.losses(drawn, MADE, stress.simulated(days, seed))
    base = comparison.asked(models.model("paradex"), drawn, MADE)["initial"]
    return drawn, lost, {"one": base, "more": scale * base}


def test_the_same_rule_at_twice_the_level_is_the_same_at_equal_margin():
    drawn, lost, margins = two_models()
    found = comparison.compare(margins, drawn, lost, seed=1)
    assert found.own[1].shortfall.value < found.own[0].shortfall.value
    assert found.equal[0].shortfall.value == pytest.approx(found.equal[1].shortfall.value, rel=1e-12)
    assert found.equal[0].margin == pytest.approx(found.equal[1].margin, rel=1e-12)
    assert found.dominates == {"one": [], "more": []} and found.frontier == ["one", "more"]
    (against,) = found.against
    assert against.shortfall.value == pytest.approx(0.0, abs=1e-12) and against.verdict == "as safe"


def test_margin_where_it_is_lost_dominates_margin_where_it_is_not():
    """Accounts of like size: with a few large ones among them so small a sample would say nothing."""
    drawn, lost, _ = two_models(count=90)
    size = np.random.default_rng(1).uniform(0.5, 1.5, (90, 1)) / -(lost.change - lost.cost).min(axis=1, keepdims=True)
    lost = losses.Losses(lost.change * size, lost.cost * size, lost.collateral_return, lost.options_value * size[:, 0])
    right = -(lost.change - lost.cost).min(axis=1)
    wrong = right[np.argsort(-np.argsort(right))[np.argsort(np.argsort(right))]]
    found = comparison.compare({"right": right, "wrong": wrong}, drawn, lost, seed=1)
    assert found.dominates["right"] == ["wrong"] and found.frontier == ["right"]
    (against,) = found.against
    assert against.model == "wrong" and against.verdict == "safer" and against.shortfall.high < 0
    turned = comparison.compare({"wrong": wrong, "right": right}, drawn, lost, seed=1).against[0]
    assert turned.verdict == "less safe" and turned.shortfall.low > 0


def test_a_difference_within_chance_dominates_nobody():
    rng = np.random.default_rng(2)
    one, other = rng.exponential(size=(2, 60))
    other += one.mean() - other.mean() + 0.01
    weights = np.concatenate([np.full((1, 60), 1 / 60), rng.multinomial(60, np.full(60, 1 / 60), 2_000) / 60])
    flat = np.full(2_001, 0.1)

    def beats(mine, theirs, more_often=0.0):
        made = comparison._Outcome(flat + more_often, weights @ mine), comparison._Outcome(flat, weights @ theirs)
        return comparison._dominates(*made)

    assert one.mean() < other.mean() and not beats(one, other)
    assert beats(one, one + 0.01) and not beats(one, one + 0.01, more_often=0.01)


@pytest.mark.parametrize(("low", "high", "verdict"), [
    (-2.0, -0.1, "safer"), (-2.0, 0.1, "as safe"), (-0.1, 2.0, "as safe"), (0.1, 2.0, "less safe"),
])  # fmt: skip
def test_a_verdict_needs_the_whole_interval(low, high, verdict):
    difference = comparison.Estimate((low + high) / 2, low, high)
    assert comparison.Against("other", difference, difference).verdict == verdict


def test_figures_are_means_and_kinds_add_up():
    drawn, lost, margins = two_models(count=18)
    found = comparison.compare(margins, drawn, lost, seed=1)
    missing = lost.shortfall(margins["one"])
    assert found.own[0].frequency.value == pytest.approx((missing > 0).mean())
    assert found.own[0].shortfall.value == pytest.approx(missing.mean(axis=1).sum() / margins["one"].sum())
    for row in found.equal:
        assert sum(found.by_kind[row.model].values()) == pytest.approx(row.shortfall.value, rel=1e-9)
        assert row.shortfall.low <= row.shortfall.value <= row.shortfall.high


def outcome_of(change, margin, factors=None, resamples=3_000):
    nothing = np.zeros_like(change)
    lost = losses.Losses(change, nothing, nothing, np.zeros(len(change)))
    return comparison._Resampled(lost, 1, resamples).outcome(margin, factors)


def test_the_interval_has_the_width_of_a_mean_of_days_and_of_one_of_portfolios():
    """Where all lose alike days alone tell; where one loses alike on all days portfolios alone; else both."""
    rng = np.random.default_rng(3)
    by_day, by_book = rng.exponential(size=(1, 300)), rng.exponential(size=(200, 1))
    ones = np.ones((200, 300))
    widths = []
    for lost in (by_day * ones, by_book * ones, by_day + by_book):
        found = outcome_of(-lost - 1.0, np.ones(200)).shortfall
        assert found.value == pytest.approx(lost.mean())
        widths.append((found.high - found.low) / 2)
    exact = [1.96 * item.std() / math.sqrt(item.size) for item in (by_day, by_book)]
    assert widths == pytest.approx([*exact, math.hypot(*exact)], rel=0.06)


def test_each_resample_is_brought_to_its_own_margin():
    """One factor for all resamples is what it says; a resample's own is applied to that resample alone."""
    rng = np.random.default_rng(5)
    change, margin = -rng.exponential(size=(20, 30)), rng.uniform(0.1, 2.0, 20)
    twice = outcome_of(change, 2 * margin, resamples=100)
    factors = np.full(101, 2.0)
    same = outcome_of(change, margin, factors, resamples=100)
    assert same.shortfalls == pytest.approx(twice.shortfalls) and same.frequencies == pytest.approx(twice.frequencies)
    factors[7] = 1.0
    apart = outcome_of(change, margin, factors, resamples=100)
    assert np.flatnonzero(apart.shortfalls != same.shortfalls).tolist() == [7]
    assert apart.shortfalls[7] > same.shortfalls[7]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 3.0))
def test_more_margin_never_leaves_a_larger_shortfall(seed, more):
    drawn = books.draw(6, seed, MADE)
    lost = losses.losses(drawn, MADE, stress.simulated(10, seed))
    base = np.abs(lost.options_value) + 1_000.0
    assert (lost.shortfall(base * (1 + more)) <= lost.shortfall(base) + 1e-6).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.0, 8.0))
def test_closing_out_costs_more_than_in_proportion(seed, times):
    drawn = books.draw(6, seed, MADE)
    larger = [dataclasses.replace(item, sizes=item.sizes * times) for item in drawn]
    days = stress.simulated(10, seed)
    small, large = (losses.losses(items, MADE, days) for items in (drawn, larger))
    assert (large.cost >= times * small.cost * (1 - 1e-12)).all()
    assert large.change == pytest.approx(times * small.change, rel=1e-9, abs=1e-6)


def test_the_study_is_the_same_to_the_bit_each_time():
    arguments = {"portfolios": 12, "days": 10, "seed": 2}
    assert comparison.study(NAMES, **arguments) == comparison.study(NAMES, **arguments)


@pytest.mark.parametrize(("changes", "field"), [
    ({"portfolios": 3}, "portfolios"), ({"days": 5}, "days"), ({"seed": -1}, "seed"), ({"level": "both"}, "level"),
    ({"response": math.nan}, "response"), ({"response": -1.0}, "response"), ({"liquidation": math.inf}, "liquidation"),
])  # fmt: skip
def test_bad_arguments_are_refused_by_name(changes, field):
    with pytest.raises(InputError) as refused:
        comparison.study(NAMES[:2], **({"portfolios": 6, "days": 10} | changes))
    assert refused.value.field == field


def test_one_model_is_no_comparison():
    drawn, lost, margins = two_models()
    with pytest.raises(InputError):
        comparison.compare({"one": margins["one"]}, drawn, lost, seed=1)
    with pytest.raises(InputError):
        comparison.compare({"one": margins["one"], "none": 0 * margins["one"]}, drawn, lost, seed=1)
    with pytest.raises(InputError):
        comparison.study(("paradex", "no-such-model"), portfolios=6, days=10)


@pytest.mark.parametrize(("btc", "pairs"), [
    (np.zeros(100), np.zeros((300, 2))), (np.full(300, math.nan), np.zeros((300, 2))),
    (np.ones(300), np.full((300, 2), math.inf)),
])  # fmt: skip
def test_the_fit_refuses_what_is_short_or_not_finite(btc, pairs):
    with pytest.raises(InputError):
        stress.fit(btc, pairs)
