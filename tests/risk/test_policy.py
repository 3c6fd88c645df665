"""Backtests, margin period, floor and procyclicality against printed facts, exact sums, properties and bad inputs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from seawall.risk import policy
from seawall.vocabulary.errors import InputError

NAN = float("nan")

KUPIEC = {
    255: {0.01: (0, 6), 0.025: (3, 11), 0.05: (7, 20), 0.075: (12, 27), 0.1: (17, 35)},
    510: {0.01: (2, 10), 0.025: (7, 20), 0.05: (17, 35), 0.075: (28, 50), 0.1: (39, 64)},
    1000: {0.01: (5, 16), 0.025: (16, 35), 0.05: (38, 64), 0.075: (60, 91), 0.1: (82, 119)},
}
"""Kupiec (1995), non-rejection regions at 95 %, first and last number not rejected."""


@pytest.mark.parametrize("days", KUPIEC)
def test_kupiecs_printed_regions(days):
    for rate, printed in KUPIEC[days].items():
        found = policy.non_rejection_region(days, rate)
        if (days, rate) == (255, 0.01):
            # Printed as N < 7; his statistic at N = 0 is 510 ln(1 / 0.99) = 5.13, beyond 3.84.
            assert policy.kupiec(255, 0, 0.01).statistic == pytest.approx(-510 * math.log(0.99))
            printed = (1, 6)
        assert found == printed


def test_kupiec_by_hand():
    found = policy.kupiec(250, 7, 0.01)
    expected = -2 * (243 * math.log(0.99 / (243 / 250)) + 7 * math.log(0.01 / (7 / 250)))
    assert found.statistic == pytest.approx(expected) and found.degrees == 1
    assert policy.kupiec(300, 3, 0.01).statistic == pytest.approx(0, abs=1e-12)
    assert policy.kupiec(20, 20, 0.5).statistic == pytest.approx(40 * math.log(2))


def test_christoffersen_by_hand():
    record = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0], dtype=bool)
    # After 8 quiet days 2 hits, after 3 hits 1.
    free = 2 * math.log(2 / 8) + 6 * math.log(6 / 8) + math.log(1 / 3) + 2 * math.log(2 / 3)
    common = 3 * math.log(3 / 11) + 8 * math.log(8 / 11)
    assert policy.christoffersen(record).statistic == pytest.approx(2 * (free - common))
    assert policy.christoffersen(np.zeros(12, bool)).statistic == 0
    found = policy.coverage(record, rate=0.1, paths=100)
    assert found.conditional.statistic == pytest.approx(found.unconditional.statistic + found.independence.statistic)
    assert found.conditional.degrees == 2


@pytest.mark.parametrize("days", [100, 250, 1000])
def test_power_is_the_binomials(days):
    fewest, most = policy.non_rejection_region(days, 0.01)
    for truth in (0.002, 0.01, 0.02, 0.05):
        inside = binom.pmf(np.arange(fewest, most + 1), days, truth).sum()
        assert policy.kupiec_power(days, 0.01, truth) == pytest.approx(1 - inside, abs=1e-12)


def test_the_rate_that_would_have_been_found():
    days, rate = 250, 0.01
    critical = next(k for k in range(days) if binom.sf(k - 1, days, rate) < 0.05)
    found = policy.detectable_rate(days, rate)
    assert binom.sf(critical - 1, days, found) == pytest.approx(0.8)
    assert 0.025 < found < 0.04  # a year of days finds only a rate three times what was promised
    assert policy.detectable_rate(10, 0.5, 1e-6) == 1.0  # no record of ten days could reject


def test_power_of_independence_grows_with_the_record_and_with_clustering():
    short, long = (policy.independence_power(days, 0.01, 0.2, seed=1) for days in (250, 1000))
    weak, none = (policy.independence_power(1000, 0.01, after, seed=1) for after in (0.05, 0.01))
    assert short < long and none < weak < long
    assert policy.independence_power(1000, 0.01, 0.2, seed=1) == long


def test_independence_power_counts_what_the_test_would_reject():
    """The vectorised chains against the test itself, chain by chain."""
    days, rate, after, paths, seed = 60, 0.1, 0.5, 200, 3
    chance = np.random.default_rng(seed).random((days, paths))
    rejected = 0
    for path in range(paths):
        state = [chance[0, path] < rate]
        for day in range(1, days):
            state.append(chance[day, path] < (after if state[-1] else rate * (1 - after) / (1 - rate)))
        rejected += policy.christoffersen(np.array(state)).p_value < 0.05
    assert policy.independence_power(days, rate, after, seed=seed, paths=paths) == rejected / paths


def spread(days, count):
    record = np.zeros(days, bool)
    record[np.linspace(5, days - 5, count).astype(int)] = True
    return record


def test_verdicts():
    assert policy.coverage(spread(1000, 10)).accepted
    assert not policy.coverage(spread(1000, 25)).accepted
    for count in (0, 1, 10, 16):
        assert policy.coverage(spread(1000, count)).excess_p_value == pytest.approx(binom.sf(count - 1, 1000, 0.01))
    bunched = np.zeros(1000, bool)
    bunched[500:508] = True
    found = policy.coverage(bunched)
    assert found.exceedances == 8 and found.excess_p_value > 0.5 and not found.accepted
    none = policy.coverage(np.zeros(1000, bool))
    assert none.accepted and none.unconditional.p_value < 0.001  # dear, not unsafe


@given(st.lists(st.booleans(), min_size=10, max_size=200))
@settings(deadline=None)
def test_statistics_are_finite_and_never_negative(record):
    found = policy.coverage(record, paths=100)
    for one in (found.unconditional, found.independence, found.conditional):
        assert math.isfinite(one.statistic) and one.statistic >= 0 and 0 <= one.p_value <= 1
    assert 0 <= found.independence_power <= 1 and found.rate < found.detectable_rate <= 1


def test_margin_period_is_a_bound_that_holds():
    """In 400 samples of 400 exponential times the 95 % bound is above the true 99 % quantile in 95 % or more."""
    rng, truth = np.random.default_rng(5), -math.log(0.01)
    above = [policy.margin_period(rng.exponential(size=400)).bound >= truth for _ in range(400)]
    assert np.mean(above) >= 0.93
    found = policy.margin_period(np.arange(1.0, 1001.0))
    assert found.value == 990 and found.bound == 996
    assert policy.margin_period([0.1] * 300, floor=1.0) == policy.CloseOutQuantile(1.0, 1.0)


def test_margin_period_says_how_many_it_needs():
    with pytest.raises(InputError, match="at least 299"):
        policy.margin_period([1.0] * 298)
    assert policy.margin_period([*[1.0] * 298, 2.0]).bound == 2.0


def test_floor_by_hand():
    longest, stressed = np.arange(1.0, 101.0), np.arange(101.0, 201.0)
    assert policy.historical_floor(longest, stressed) == pytest.approx(0.75 * 99 + 0.25 * 199)
    assert policy.historical_floor(stressed, longest) == 199  # calm "stress" does not lower it
    assert policy.historical_floor([-5.0, -4.0], [-3.0, -2.0]) == 0


losses = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60)


@given(losses, losses, st.floats(0, 1))
def test_floor_lies_between_the_two_quantiles(longest, stressed, weight):
    found = policy.historical_floor(longest, stressed, stressed_weight=weight)
    least = policy.historical_floor(longest, stressed, stressed_weight=0.0)
    assert least <= found <= max(least, policy.historical_floor(stressed, stressed)) * (1 + 1e-12)


def test_procyclicality_by_hand():
    found = policy.procyclicality([10.0, 11.0, 9.0, 18.0, 12.0], days=2)
    assert found.peak_to_trough == 2 and found.rise == pytest.approx(18 / 11 - 1)


series = st.lists(st.floats(1, 1e4), min_size=6, max_size=60)


@given(series, st.floats(0.01, 3), st.integers(1, 5))
def test_capped_margins_rise_no_faster_and_the_gap_is_told(margins, rise, days):
    found = policy.cap_rises(margins, rise=rise, days=days)
    assert policy.procyclicality(found.margins, days).rise <= rise * (1 + 1e-9) + 1e-9
    gaps = [asked - kept for asked, kept in zip(margins, found.margins, strict=True)]
    assert min(gaps) >= 0 and found.largest_gap == max(gaps) and found.days_capped == sum(gap > 0 for gap in gaps)
    assert policy.cap_rises(margins, rise=100.0, days=days).margins == margins or max(margins) > 101 * min(margins)


@pytest.mark.parametrize(("field", "call"), [
    ("exceeded", lambda: policy.coverage([0, 1] * 10)),
    ("days", lambda: policy.coverage([True] * 9)),
    ("rate", lambda: policy.coverage([True] * 20, rate=NAN)),
    ("rate", lambda: policy.kupiec(100, 1, 0.0)),
    ("significance", lambda: policy.coverage([True] * 20, significance=0.0)),
    ("clustering", lambda: policy.coverage([True] * 20, clustering=0.5)),
    ("seed", lambda: policy.coverage([True] * 20, seed=-1)),
    ("paths", lambda: policy.coverage([True] * 20, paths=1)),
    ("exceedances", lambda: policy.kupiec(100, 101, 0.01)),
    ("true_rate", lambda: policy.kupiec_power(100, 0.01, 1.5)),
    ("power", lambda: policy.detectable_rate(100, 0.01, power=1.0)),
    ("close_out_times[1]", lambda: policy.margin_period([1.0, 0.0] * 200)),
    ("close_out_times[0]", lambda: policy.margin_period([NAN] * 400)),
    ("quantile", lambda: policy.margin_period([1.0] * 400, quantile=1.0)),
    ("floor", lambda: policy.margin_period([1.0] * 400, floor=-1.0)),
    ("losses[1]", lambda: policy.historical_floor([1.0, NAN], [1.0, 2.0])),
    ("losses", lambda: policy.historical_floor([1.0], [1.0, 2.0])),
    ("losses", lambda: policy.historical_floor(["a", "b"], [1.0, 2.0])),
    ("stressed", lambda: policy.historical_floor([1.0, 2.0], [[1.0], [2.0]])),
    ("stressed_weight", lambda: policy.historical_floor([1.0, 2.0], [1.0, 2.0], stressed_weight=1.1)),
    ("margins[1]", lambda: policy.procyclicality([1.0, -1.0, 1.0], 1)),
    ("days", lambda: policy.procyclicality([1.0, 2.0], 5)),
    ("rise", lambda: policy.cap_rises([1.0, 2.0], rise=0.0)),
])  # fmt: skip
def test_bad_numbers_are_refused(field, call):
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
