"""One-touch and no-touch options against Haug's table, their identities, and one another."""

import numpy as np
import pytest
from exotic_terms import PRINTED, cases, diffusions, kind, market, nearness, signs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from seawall.risk.exotics import DOWN, UP, Diffusion, reflection, touch
from seawall.vocabulary.errors import InputError


def touched(case):
    """The price that we give a golden case of a touch; None where the case is of another kind."""
    terms = case["input"]
    at = market(terms), terms["strike"], kind(terms["option"])
    prices = {
        "one_touch_cash_at_hit": lambda: touch.one_touch(*at, terms["cash"]),
        "one_touch_asset_at_hit": lambda: touch.one_touch_asset(*at),
        "touch_cash_at_expiry": lambda: touch.one_touch(*at, terms["cash"], at_hit=False),
        "touch_asset_at_expiry": lambda: touch.one_touch_asset(*at, at_hit=False),
        "no_touch_cash_at_expiry": lambda: touch.no_touch(*at, terms["cash"]),
        "no_touch_asset_at_expiry": lambda: touch.no_touch_asset(*at),
    }
    return prices[case["type"]]() if case["type"] in prices else None


def test_golden_vectors():
    priced = [(case, touched(case)) for case in cases("digital_options.json")]
    priced = [(case, price) for case, price in priced if price is not None]
    assert len(priced) >= 15
    for case, price in priced:
        assert float(price) == pytest.approx(case["expected"]["price"], abs=PRINTED), case["id"]


def test_haugs_table():
    # E. G. Haug, Option Pricing Formulas, 1998, page 95: cash 15, barrier 100, half a year, rate and carry 10 %
    above, below = (Diffusion(spot, 0.2, 0.5, 0.1, 0.1) for spot in (105.0, 95.0))
    prices = [
        touch.one_touch(above, 100, DOWN, 15),
        touch.one_touch_asset(above, 100, DOWN),
        touch.one_touch(above, 100, DOWN, 15, at_hit=False),
        touch.one_touch(below, 100, UP, 15, at_hit=False),
        touch.no_touch(above, 100, DOWN, 15),
        touch.no_touch(below, 100, UP, 15),
        touch.one_touch_asset(above, 100, DOWN, at_hit=False),
        touch.one_touch_asset(below, 100, UP, at_hit=False),
        touch.no_touch_asset(above, 100, DOWN),
        touch.no_touch_asset(below, 100, UP),
    ]
    printed = [9.7264, 64.8426, 9.3604, 11.2223, 4.9081, 3.0461, 64.8426, 77.7017, 40.1574, 17.2983]
    assert [round(float(price), 4) for price in prices] == printed


def test_huis_table_of_two_barriers():
    # E. G. Haug, 2nd ed. 2007, page 181 (Hui 1996): cash 10, a quarter, rate 5 %, carry 3 %, by volatility
    diffusion = Diffusion(100.0, np.array([0.1, 0.2, 0.3, 0.5]), 0.25, 0.05, 0.03)
    printed = {
        (80, 120): [9.8716, 8.9307, 6.3272, 1.9094],
        (85, 115): [9.7961, 7.2300, 3.7100, 0.4271],
        (90, 110): [8.9054, 3.6752, 0.7960, 0.0059],
        (95, 105): [3.6323, 0.0911, 0.0002, 0.0000],
    }
    for (lower, upper), row in printed.items():
        assert touch.double_no_touch(diffusion, lower, upper, 10).round(4).tolist() == row
    # the one-touch side from Haug's own code, as the QuantLib test suite (doublebinaryoption.cpp) keeps it
    assert touch.double_one_touch(diffusion, 85, 115, 10, at_hit=False).round(4).tolist() == [
        0.0797, 2.6458, 6.1658, 9.4486,
    ]  # fmt: skip


@settings(deadline=None)
@given(diffusions, nearness, signs)
def test_touch_and_no_touch_together_pay_always(diffusion, near, direction):
    level = float(diffusion.spot) * (near if direction < 0 else 1 / near)
    cash = touch.one_touch(diffusion, level, direction, at_hit=False) + touch.no_touch(diffusion, level, direction)
    asset = touch.one_touch_asset(diffusion, level, direction, at_hit=False)
    asset = asset + touch.no_touch_asset(diffusion, level, direction)
    assert float(cash) == pytest.approx(float(diffusion.discount), rel=1e-13)
    assert float(asset) == pytest.approx(float(diffusion.discounted_forward), rel=1e-13)


@settings(deadline=None)
@given(diffusions, nearness, nearness, st.floats(0.1, 1.0))
def test_two_barriers_are_between_one_and_the_sum_of_both(diffusion, below, above, cash):
    lower, upper = float(diffusion.spot) * below, float(diffusion.spot) / above
    for at_hit in (True, False):
        down = float(touch.one_touch(diffusion, lower, DOWN, cash, at_hit=at_hit))
        up = float(touch.one_touch(diffusion, upper, UP, cash, at_hit=at_hit))
        either = float(touch.double_one_touch(diffusion, lower, upper, cash, at_hit=at_hit))
        assert max(down, up) - 1e-13 <= either <= down + up + 1e-13
        assert either <= cash * (1 + 1e-13)
    later = float(touch.double_one_touch(diffusion, lower, upper, cash, at_hit=False))
    never = float(touch.double_no_touch(diffusion, lower, upper, cash))
    assert later + never == pytest.approx(cash * float(diffusion.discount), rel=1e-13)


@settings(deadline=None)
@given(diffusions, nearness, signs)
def test_paid_at_once_is_worth_no_less_than_paid_later(diffusion, near, direction):
    level = float(diffusion.spot) * (near if direction < 0 else 1 / near)
    now, later = (float(touch.one_touch(diffusion, level, direction, at_hit=at_hit)) for at_hit in (True, False))
    # a chance of e^-700 keeps its exponent to 1e-13 only
    assert later * (1 - 1e-11) <= now <= 1 + 1e-15
    assert now <= later / float(diffusion.discount) * (1 + 1e-11)


@pytest.mark.parametrize("volatility", [0.1, 0.3, 0.8, 2.0])
@pytest.mark.parametrize("barriers", [(85.0,), (85.0, 120.0)])
def test_payment_at_the_hit_is_the_integral_over_times_of_payment_later(volatility, barriers):
    rate, years = 0.2, 0.7

    def chance(time):
        diffusion = Diffusion(100.0, volatility, time, 0.0, 0.03)
        if len(barriers) == 1:
            return float(touch.one_touch(diffusion, *barriers, DOWN, at_hit=False))
        return float(touch.double_one_touch(diffusion, *barriers, at_hit=False))

    running = quad(lambda time: np.exp(-rate * time) * chance(time), 1e-9, years, epsabs=1e-12, epsrel=1e-12)[0]
    wanted = np.exp(-rate * years) * chance(years) + rate * running
    diffusion = Diffusion(100.0, volatility, years, rate, 0.03)
    prices = touch.one_touch(diffusion, 85, DOWN), touch.double_one_touch(diffusion, 85, 120)
    assert float(prices[len(barriers) - 1]) == pytest.approx(wanted, abs=1e-11)


def test_images_and_sines_are_the_same_number(monkeypatch):
    rng = np.random.default_rng(2)
    width = np.exp(rng.uniform(-6, 2, 4000))
    down, deviation = width * rng.uniform(0, 1, 4000), width * rng.uniform(0.7, 0.9, 4000)
    up = width - down
    drift, discounting = deviation * rng.uniform(-3, 3, 4000), rng.uniform(0, 0.5, 4000)
    low = width * rng.uniform(-1.5, 1.2, 4000)
    high = np.maximum(low, width * rng.uniform(-1.2, 1.5, 4000))
    found = []
    for few in (0.0, 9.0):  # sines for all, images for all
        monkeypatch.setattr(reflection, "FEW_IMAGES", few)
        found.append([
            reflection.kept_between(down, up, low, high, drift, deviation**2),
            reflection.knocked_between(down, up, low, high, drift, deviation**2),
            reflection.discounted_hit_first(down, up, drift, deviation**2, discounting),
        ])  # fmt: skip
    for by_sines, by_images in zip(*found, strict=True):
        assert np.abs(by_sines - by_images).max() < 2e-15


@pytest.mark.parametrize("spot", [100.0, 99.0])
def test_a_level_reached_has_been_touched(spot):
    diffusion = Diffusion(spot, 0.5, 0.5, 0.1, 0.05)
    assert float(touch.one_touch(diffusion, 100, DOWN, 7)) == 7
    assert float(touch.one_touch_asset(diffusion, 100, DOWN)) == spot
    assert float(touch.no_touch(diffusion, 100, DOWN, 7)) == 0
    assert float(touch.double_one_touch(diffusion, 100, 120, 7)) == 7
    assert float(touch.double_no_touch(diffusion, 100, 120, 7)) == 0
    later = touch.one_touch(diffusion, 100, DOWN, 7, at_hit=False)
    assert float(later) == pytest.approx(7 * float(diffusion.discount), rel=1e-15)
    asset_later = touch.one_touch_asset(diffusion, 100, DOWN, at_hit=False)
    assert float(asset_later) == pytest.approx(float(diffusion.discounted_forward), rel=1e-15)


def test_bad_inputs_are_refused_by_name():
    diffusion = Diffusion(100.0, 0.5, 0.5)
    refusals = [
        ("barrier", lambda: touch.one_touch(diffusion, -1.0, DOWN)),
        ("barrier", lambda: touch.one_touch(diffusion, np.nan, DOWN)),
        ("direction", lambda: touch.one_touch(diffusion, 90.0, 0)),
        ("cash", lambda: touch.no_touch(diffusion, 90.0, DOWN, np.nan)),
        ("lower", lambda: touch.double_no_touch(diffusion, 120.0, 90.0)),
        ("lower", lambda: touch.double_no_touch(diffusion, np.array([80.0, 90.0]), 90.0)),
        ("upper", lambda: touch.double_no_touch(diffusion, 90.0, 1e11)),
        ("rate", lambda: touch.one_touch(Diffusion(100.0, 0.5, 0.5, -0.5, 0.1), 90.0, DOWN)),
    ]
    for field, price in refusals:
        with pytest.raises(InputError) as refused:
            price()
        assert refused.value.field == field
