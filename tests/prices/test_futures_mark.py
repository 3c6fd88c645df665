"""The mark price of futures: the published case's numbers, what clips, what is refused."""

import json
import math
from pathlib import Path

import pytest

from seawall.prices.futures_mark import market_price, mean_distance
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "deribit_standard_margin.json"


def marks(indices, bids, asks, lasts, seconds, window):
    found, mean = [], None
    for index, bid, ask, last in zip(indices, bids, asks, lasts, strict=True):
        mean = mean_distance(mean, index, market_price(index, bid, ask, last), seconds, window)
        found.append(index + mean)
    return found


def test_the_rules_vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["type"] == "mark_price"]
    assert cases
    for case in cases:
        given = case["input"]
        series = [given[name] for name in ("index", "best_bid", "best_ask", "last")]
        found = marks(*series, given["dt_seconds"], given["ema_seconds"])
        assert found == pytest.approx(case["expected"]["mark"], rel=1e-15)


def test_by_hand():
    # 12 above, then 2 above: a second of thirty moves the mean by 1 - exp(-1/30) of the difference.
    assert marks([100.0, 110.0], [112.0, 112.0], [115.0, 120.0], [112.0, 105.0], 1, 30) == pytest.approx(
        [112.0, 110.0 + 12 - 10 * (1 - math.exp(-1 / 30))]
    )


def test_the_last_trade_is_clipped_into_the_best_prices():
    assert [market_price(100.0, 99.0, 101.0, last) for last in (98.0, 100.5, 103.0)] == [99.0, 100.5, 101.0]


def test_no_time_no_weight():
    assert mean_distance(3.0, 100.0, 150.0, 0.0) == 3.0
    assert mean_distance(3.0, 100.0, 150.0, 1e9) == 50.0


@pytest.mark.parametrize(("numbers", "field"), [
    ((math.nan, 99.0, 101.0, 100.0), "index"),
    ((100.0, 101.0, 99.0, 100.0), "best_bid"),
    ((100.0, 99.0, 101.0, 100.0 * 1e8), "last"),
    ((100.0, 0.0, 101.0, 100.0), "best_bid"),
])  # fmt: skip
def test_bad_prices_are_refused(numbers, field):
    with pytest.raises(InputError) as error:
        market_price(*numbers)
    assert error.value.field == field


@pytest.mark.parametrize(("arguments", "field"), [
    ((None, 100.0, math.inf, 1.0), "market"),
    ((math.nan, 100.0, 101.0, 1.0), "before"),
    ((0.0, 100.0, 101.0, -1.0), "seconds"),
    ((0.0, 100.0, 101.0, 1.0, 0.0), "window"),
])  # fmt: skip
def test_bad_means_are_refused(arguments, field):
    with pytest.raises(InputError) as error:
        mean_distance(*arguments)
    assert error.value.field == field
