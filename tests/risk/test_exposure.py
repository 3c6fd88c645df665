"""Exposure by simulation against closed forms, what must be monotone, determinism and bad inputs."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.special import ndtr, ndtri

from seawall.risk import black76
from seawall.risk.credit.exposure import Coin, Collateral, Counterparty, Position, simulate
from seawall.vocabulary.errors import InputError

BTC = Coin("BTC", 60_000.0, 0.6)
ETH = Coin("ETH", 3_000.0, 0.8)
FORWARD = Position("BTC", 2.0, 61_000.0, 1.0, 60_500.0)
DATES = [0.1, 0.25, 0.5, 0.9]
ALONE = Counterparty([BTC], [FORWARD], DATES)
DAY = 1 / 365
SMALL = {"seed": 7, "points": 1024, "replicates": 4}


def within(found, error, expected, least):
    """Five standard errors of the simulation, or a floor for where its error estimate is luckily small."""
    return abs(found - expected) <= max(5 * error, least)


def test_a_forwards_profile_is_blacks_formula_and_a_lognormal_quantile():
    profile = simulate(ALONE, seed=1)
    for at, date in enumerate(DATES):
        expected = 2 * float(black76.price(60_500.0, 61_000.0, 0.6, date, 1.0))
        assert within(profile.expected[at], profile.standard_error[at], expected, 1.0)
        total = 0.6 * math.sqrt(date)
        quantile = 2 * (60_500.0 * math.exp(total * float(ndtri(0.975)) - total**2 / 2) - 61_000.0)
        assert profile.potential[at] == pytest.approx(quantile, rel=2e-3)
    assert profile.wrong_way_expected is None and profile.now == 0
    assert profile.peak == max(profile.potential)


def test_with_collateral_only_the_margin_period_is_at_risk():
    """Daily margin without a threshold leaves E max(F(t) - F(s), 0): an option at the money over the margin period."""
    period = 10 * DAY
    profile = simulate(replace(ALONE, collateral=Collateral(period, our_threshold=0.0)), seed=2)
    expected = 2 * 60_500.0 * (2 * float(ndtr(0.6 * math.sqrt(period) / 2)) - 1)
    for at in range(len(DATES)):
        assert within(profile.expected[at], profile.standard_error[at], expected, 1.0)
    kept = simulate(replace(ALONE, collateral=Collateral(0.0, our_threshold=0.0)), seed=2)
    assert kept.expected == [0.0] * len(DATES)


def test_wrong_way_risk_is_the_conditional_formula():
    """Given default at t the forward is lognormal about F exp(s rho x - s^2 rho^2 / 2), with s sqrt(1 - rho^2) left."""
    rho, hazard, jump = 0.5, 0.04, -0.2
    short = replace(FORWARD, amount=-2.0)
    wrong = replace(BTC, default_correlation=rho, jump_at_default=jump)
    profile = simulate(Counterparty([wrong], [short], DATES, hazard=hazard), seed=3)
    for at, date in enumerate(DATES):
        total = 0.6 * math.sqrt(date)
        low = float(ndtri(-math.expm1(-hazard * date)))
        forward = 60_500.0 * math.exp(total * rho * low - (total * rho) ** 2 / 2) * (1 + jump)
        left = 0.6 * math.sqrt(1 - rho**2)
        expected = 2 * float(black76.price(forward, 61_000.0, left, date, -1.0))
        assert within(profile.wrong_way_expected[at], profile.wrong_way_error[at], expected, 1.0)
        assert profile.wrong_way_expected[at] > 1.5 * profile.expected[at]
    known = [0.0, *profile.default_probability]
    steps = [later - sooner for sooner, later in pairwise(known)]
    loss = sum(exposure * step for exposure, step in zip(profile.wrong_way_expected, steps, strict=True))
    assert profile.expected_loss(0.6) == pytest.approx(0.6 * loss)
    assert profile.peak == max(profile.wrong_way_potential)


def test_wrong_way_margin_period_keeps_only_its_part_of_the_correlation():
    """With margin, what X moves before s is collateralised; after it W(t) - W(s) has mean rho x (t - s) / sqrt(t)."""
    rho, hazard, period, date = 0.6, 0.05, 10 * DAY, 0.5
    coin = replace(BTC, default_correlation=rho)
    given_ = Counterparty([coin], [replace(FORWARD, amount=-1.0)], [date], None, Collateral(period, our_threshold=0.0),
                          hazard)  # fmt: skip
    profile = simulate(given_, seed=4, points=16_384)
    low, last = float(ndtri(-math.expm1(-hazard * date))), date - period
    # W(s) and D = W(t) - W(s) given X = x: means rho x s/sqrt(t), rho x p/sqrt(t); cov = -rho^2 s p / t.
    mean_s, mean_d = rho * low * last / math.sqrt(date), rho * low * period / math.sqrt(date)
    var_s, var_d = last - rho**2 * last**2 / date, period - rho**2 * period**2 / date
    cov = -(rho**2) * last * period / date
    # E[(F(s) - F(t))+] by change of measure to F(s): D's mean shifts by sigma cov.
    level = 60_500.0 * math.exp(0.6 * mean_s + 0.36 * var_s / 2 - 0.18 * last)
    ratio = math.exp(0.6 * (mean_d + 0.6 * cov) + 0.36 * var_d / 2 - 0.18 * period)
    expected = level * float(black76.price(ratio, 1.0, 0.6 * math.sqrt(var_d / period), period, -1.0))
    assert within(profile.wrong_way_expected[0], profile.wrong_way_error[0], expected, 1.0)


def test_an_option_bought_is_exposed_for_its_whole_value():
    call = Position("BTC", 1.0, 60_000.0, 1.0, 60_000.0, "call", 0.6)
    profile = simulate(Counterparty([BTC], [call], DATES), seed=5)
    value = float(black76.price(60_000.0, 60_000.0, 0.6, 1.0, 1.0))
    for at in range(len(DATES)):  # a martingale that is never negative
        assert within(profile.expected[at], profile.standard_error[at], value, 1.0)
    assert profile.now == pytest.approx(value)
    sold = simulate(Counterparty([BTC], [replace(call, amount=-1.0)], DATES), seed=5)
    assert sold.expected == [0.0] * len(DATES) == sold.potential


def test_two_coins_have_the_correlation_asked_for():
    """Long one, short the other, equal in value: an option to exchange (Margrabe), with their ratio's volatility."""
    pair = [Position("BTC", 1.0, 1.0, 2.0, 60_000.0), Position("ETH", -20.0, 1.0, 2.0, 3_000.0)]
    for rho in (0.8, -0.3):
        given_ = Counterparty([BTC, ETH], pair, [0.5], [[1.0, rho], [rho, 1.0]])
        profile = simulate(given_, seed=6)
        spread = math.sqrt(0.6**2 + 0.8**2 - 2 * rho * 0.6 * 0.8)
        expected = float(black76.price(60_000.0, 60_000.0 - 19.0, spread, 0.5, 1.0))
        assert within(profile.expected[0], profile.standard_error[0], expected, 10.0)  # 19 dollars of strikes


def test_expired_positions_are_settled():
    profile = simulate(Counterparty([BTC], [replace(FORWARD, years=0.3)], DATES), **SMALL)
    assert profile.expected[1] > 0 and profile.expected[-2:] == [0.0, 0.0] == profile.potential[-2:]
    assert profile.dates[-2:] == DATES[-2:]
    settled = simulate(Counterparty([BTC], [replace(FORWARD, years=0.25)], DATES), **SMALL)
    assert settled.expected[settled.dates.index(0.25)] == 0


def test_what_ends_between_two_dates_counts_until_it_ends():
    """Seen at 0.02 and 0.25 alone, a forward to 0.24 had a thirty-third of its exposure; to 0.01, none."""
    fine = [0.02, 0.06, 0.1, 0.14, 0.18, 0.22, 0.25]
    for years in (0.24, 0.01):
        one = Counterparty([replace(BTC, drift=0.0)], [replace(FORWARD, years=years)], [0.02, 0.25], hazard=0.05)
        coarse, dense = (simulate(replace(one, dates=dates), **SMALL) for dates in (one.dates, fine))
        assert coarse.dates == sorted([0.02, years * (1 - 1e-9), 0.25])
        assert coarse.peak == dense.peak > 0
        assert coarse.expected_positive >= dense.expected_positive > 0
        assert coarse.expected_loss(1.0) >= dense.expected_loss(1.0) > 0


def test_collateral_against_what_is_settled_counts_until_it_is_called_back():
    """Sold below the market, the forward has margin posted against it that stays for a margin period after it ends."""
    held = Collateral(10 * DAY, our_threshold=0.0)
    posted = replace(FORWARD, years=0.24, amount=-1.0)
    found = simulate(Counterparty([BTC], [posted], [0.02, 0.5], collateral=held), **SMALL)
    after = (0.24 + 10 * DAY) * (1 - 1e-9)
    assert found.dates == [0.02, 0.24 * (1 - 1e-9), after, 0.5]
    assert found.expected[2] > 0 and found.expected[3] == 0


def test_a_default_as_good_as_sure_is_no_less_likely_than_a_double_tells():
    """The latent normal is at the far tail; from 1 - exp(-37) on its quantile was infinite, and exposures NaN."""
    wrong = replace(
        ALONE, coins=[replace(BTC, default_correlation=0.2)], positions=[replace(FORWARD, years=5.0)], dates=[4.0]
    )
    sure = [simulate(replace(wrong, hazard=hazard), **SMALL) for hazard in (9.0, 10.0)]
    assert all(math.isfinite(one.wrong_way_expected[0]) for one in sure)
    assert sure[0].wrong_way_expected[0] < sure[1].wrong_way_expected[0]


def test_averages_over_time():
    profile = simulate(ALONE, **SMALL)
    steps = [0.1, 0.15, 0.25, 0.4]
    assert profile.expected_positive == pytest.approx(
        sum(exposure * step for exposure, step in zip(profile.expected, steps, strict=True)) / 0.9
    )
    falling = simulate(Counterparty([BTC], [FORWARD, replace(FORWARD, amount=-2.0, years=0.95)], [0.1, 0.96]), **SMALL)
    assert falling.effective_expected_positive >= falling.expected_positive
    rich = replace(ALONE, positions=[replace(FORWARD, strike=30_000.0)], dates=[0.1])
    assert simulate(rich, **SMALL).now == pytest.approx(2 * 30_500.0)
    assert simulate(rich, **SMALL).effective_expected_positive >= 2 * 30_500.0


def test_the_same_seed_gives_the_same_bits_and_another_gives_others():
    wrong = replace(ALONE, coins=[replace(BTC, default_correlation=-0.3)], hazard=0.02)
    assert simulate(wrong, **SMALL) == simulate(wrong, **SMALL)
    assert simulate(wrong, **SMALL).expected != simulate(wrong, **{**SMALL, "seed": 8}).expected


BOOK = Counterparty(
    [replace(BTC, default_correlation=0.4), ETH],
    [
        FORWARD,
        Position("ETH", -30.0, 3_100.0, 0.4, 3_010.0),
        Position("BTC", 1.0, 70_000.0, 0.7, 60_300.0, "put", 0.65),
    ],
    DATES,
    [[1.0, 0.7], [0.7, 1.0]],
    Collateral(10 * DAY, 5_000.0, 500.0, 20_000.0, 1_000.0, {"BTC": 0.05}),
    0.03,
)  # fmt: skip


def never_more(less, more, slack=1e-9):
    for field in ("expected", "potential", "wrong_way_expected", "wrong_way_potential"):
        pairs = zip(getattr(less, field), getattr(more, field), strict=True)
        assert all(low <= high * (1 + slack) + slack for low, high in pairs), field


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["threshold", "minimum_transfer", "independent", "coins", "our_threshold"]), st.floats(1, 1e5))
def test_terms_move_the_exposure_the_right_way_on_every_path(field, more):
    terms = BOOK.collateral
    if field == "coins":
        other = replace(terms, independent_coins={"BTC": 0.05 + more / 1e5})
    else:
        other = replace(terms, **{field: getattr(terms, field) + more})
    base, changed = (simulate(replace(BOOK, collateral=one), **SMALL) for one in (terms, other))
    if field in ("threshold", "minimum_transfer"):
        never_more(base, changed)
    else:
        never_more(changed, base)


def test_netting_never_raises_the_exposure():
    whole = simulate(replace(BOOK, collateral=None), **SMALL)
    parts = [simulate(replace(BOOK, collateral=None, positions=[one]), **SMALL) for one in BOOK.positions]
    by_date = [dict(zip(part.dates, part.expected, strict=True)) for part in parts]
    for date in BOOK.dates:
        expected = whole.expected[whole.dates.index(date)]
        assert expected <= sum(part[date] for part in by_date) * (1 + 1e-9)


def test_more_wrong_way_correlation_and_a_longer_margin_period_cost_more():
    short = replace(ALONE, positions=[replace(FORWARD, amount=-1.0)], hazard=0.05)
    by_rho = [
        simulate(replace(short, coins=[replace(BTC, default_correlation=rho)]), **SMALL).wrong_way_expected
        for rho in (-0.5, 0.0, 0.5)
    ]
    assert all(right < plain < wrong for right, plain, wrong in zip(*by_rho, strict=True))
    by_days = [simulate(replace(ALONE, collateral=Collateral(days * DAY)), **SMALL).expected for days in (1, 5, 20)]
    assert all(one < five < twenty for one, five, twenty in zip(*by_days, strict=True))


def test_collateral_in_the_coin_that_falls_protects_less_than_cash():
    sunk = replace(BTC, jump_at_default=-0.5)
    owed = replace(ALONE, coins=[sunk], positions=[replace(FORWARD, amount=-1.0)], hazard=0.05)
    cash, coin = (Collateral(DAY, independent=60_000.0), Collateral(DAY, independent_coins={"BTC": 1.0}))
    safe, unsafe = (simulate(replace(owed, collateral=terms), **SMALL).wrong_way_expected for terms in (cash, coin))
    assert all(low < high for low, high in zip(safe, unsafe, strict=True))


NAN = float("nan")


@pytest.mark.parametrize(("field", "given_"), [
    ("coins", replace(BOOK, coins=[])),
    ("positions", replace(BOOK, positions=[])),
    ("dates", replace(BOOK, dates=[])),
    ("dates[1]", replace(BOOK, dates=[0.5, 0.5])),
    ("dates[0]", replace(BOOK, dates=[0.0])),
    ("dates[0]", replace(BOOK, dates=[5e-324])),
    ("coins", replace(BOOK, coins=[BTC, BTC])),
    ("coins[0].price", replace(BOOK, coins=[replace(BTC, price=NAN), ETH])),
    ("coins[1].volatility", replace(BOOK, coins=[BTC, replace(ETH, volatility=-0.1)])),
    ("coins[1].volatility", replace(BOOK, coins=[BTC, replace(ETH, volatility=60.0)])),
    ("coins[0].jump_at_default", replace(BOOK, coins=[replace(BTC, jump_at_default=-1.0), ETH])),
    ("default_correlation", replace(BOOK, coins=[replace(BTC, default_correlation=1.0), ETH])),
    ("hazard", replace(BOOK, hazard=0.0)),
    ("hazard", replace(BOOK, hazard=NAN)),
    ("hazard", replace(BOOK, hazard=5e-324)),
    ("quantile", replace(BOOK, quantile=1.0)),
    ("positions[0].coin", replace(BOOK, positions=[replace(FORWARD, coin="SOL")])),
    ("positions[0].amount", replace(BOOK, positions=[replace(FORWARD, amount=NAN)])),
    ("positions[0].years", replace(BOOK, positions=[replace(FORWARD, years=0.0)])),
    ("positions[0].years", replace(BOOK, positions=[replace(FORWARD, years=5e-324)])),
    ("positions[0].forward", replace(BOOK, positions=[replace(FORWARD, forward=1e19)])),
    ("positions[0].kind", replace(BOOK, positions=[replace(FORWARD, kind="swap")])),
    ("positions[0].volatility", replace(BOOK, positions=[replace(FORWARD, kind="call")])),
    ("collateral.margin_period", replace(BOOK, collateral=Collateral(-DAY))),
    ("collateral.threshold", replace(BOOK, collateral=Collateral(DAY, threshold=-1.0))),
    ("collateral.our_threshold", replace(BOOK, collateral=Collateral(DAY, our_threshold=NAN))),
    ("collateral.independent_coins", replace(BOOK, collateral=Collateral(DAY, independent_coins={"SOL": 1.0}))),
    ("correlation", replace(BOOK, correlation=[[1.0]])),
    ("correlation", replace(BOOK, correlation=[[1.0, 1.0], [1.0, 1.0]])),
    ("correlation[0][1]", replace(BOOK, correlation=[[1.0, 0.5], [0.4, 1.0]])),
])  # fmt: skip
def test_bad_numbers_are_refused(field, given_):
    with pytest.raises(InputError) as refused:
        simulate(given_, **SMALL)
    assert refused.value.field == field


@pytest.mark.parametrize(("field", "given_"), [("points", {"points": 1000}), ("replicates", {"replicates": 1}),
                                               ("seed", {"seed": -1})])  # fmt: skip
def test_bad_sampling_is_refused(field, given_):
    with pytest.raises(InputError) as refused:
        simulate(ALONE, **{**SMALL, **given_})
    assert refused.value.field == field
    with pytest.raises(InputError):
        simulate(ALONE, **SMALL).expected_loss(1.5)
