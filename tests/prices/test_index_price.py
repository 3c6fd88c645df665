"""The capped-median index against its golden vectors, its properties and bad inputs."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.prices.index import MINUTE_NS, Constituent, Dropped, IndexRule, index_price, weighted_median
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "funding_index.json"
NOW = 1_790_000_000 * 10**9


def quotes(prices, weights=None, age=0):
    weights = weights or [1.0] * len(prices)
    rows = enumerate(zip(prices, weights, strict=True))
    return [Constituent(f"v{at}", price, NOW - age, weight) for at, (price, weight) in rows]


def test_capped_median_vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["rule"] == "index.capped_median"]
    assert cases
    for case in cases:
        given_, expected = case["input"], case["expected"]
        found = index_price(quotes(given_["prices"], given_["weights"]), NOW, IndexRule(cap=given_["cap"]))
        assert found.median == pytest.approx(expected["median"], rel=1e-14), case["id"]
        assert list(found.capped.values()) == pytest.approx(expected["capped"], rel=1e-14), case["id"]
        assert found.price == pytest.approx(expected["index"], rel=1e-14), case["id"]


def test_the_published_example():
    found = index_price(quotes([100, 101, 120], [0.25, 0.5, 0.25]), NOW)
    assert found.median == 101 and found.price == pytest.approx(101.0)
    assert list(found.capped.values()) == pytest.approx([100.495, 101, 101.505])


def test_what_is_excluded_invalid_stale_or_ahead_is_dropped_and_said():
    sound = quotes([100.0, 101.0, 102.0])
    others = [
        Constituent("out", 500.0, NOW, excluded=True),
        Constituent("nan", math.nan, NOW),
        Constituent("zero", 0.0, NOW),
        Constituent("huge", math.inf, NOW),
        Constituent("old", 500.0, NOW - 3 * MINUTE_NS - 1),
        Constituent("future", 500.0, NOW + 1),
    ]
    found = index_price(sound + others, NOW)
    assert found.price == index_price(sound, NOW).price
    assert found.dropped == {
        "out": Dropped.EXCLUDED, "nan": Dropped.INVALID, "zero": Dropped.INVALID, "huge": Dropped.INVALID,
        "old": Dropped.STALE, "future": Dropped.AHEAD,
    }  # fmt: skip
    assert index_price(quotes([100.0], age=3 * MINUTE_NS), NOW).price == 100.0


prices = st.lists(st.floats(90, 110), min_size=3, max_size=9)


@given(prices, st.floats(1e-9, 1e15))
def test_one_absurd_quote_moves_the_index_by_the_cap_at_most(honest, absurd):
    found = index_price(quotes([*honest, absurd]), NOW).price
    assert min(honest) * 0.995 - 1e-9 <= found <= max(honest) * 1.005 + 1e-9


@given(prices, st.randoms(use_true_random=False))
def test_order_and_equal_scaling_of_weights_do_not_matter(given_, random):
    rows = quotes(given_)
    shuffled = random.sample(rows, len(rows))
    heavier = [Constituent(row.source, row.price, row.time_ns, 4.0) for row in rows]
    price = index_price(rows, NOW).price
    assert index_price(shuffled, NOW).price == price == index_price(heavier, NOW).price
    assert index_price(quotes([given_[0]] * 7), NOW).price == given_[0]


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(1, 50)), min_size=1, max_size=9))
def test_weighted_median_has_half_of_the_weight_on_each_side(rows):
    values, weights = zip(*rows, strict=True)
    found = weighted_median(values, weights)
    below = sum(weight for value, weight in rows if value < found)
    assert 2 * below < sum(weights) <= 2 * sum(weight for value, weight in rows if value <= found)


def test_a_tie_of_decimal_weights_is_a_tie():
    assert weighted_median([1.0, 2.0], [0.3, 0.1 + 0.2]) == 2.0  # the sum is written 0.30000000000000004
    assert weighted_median([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]) == 2.0


@pytest.mark.parametrize(("field", "call"), [
    ("constituents", lambda: index_price([], NOW)),
    ("constituents", lambda: index_price(quotes([100.0], age=4 * MINUTE_NS), NOW)),
    ("constituents", lambda: index_price(quotes([100.0, 101.0]), NOW, IndexRule(sources_min=3))),
    ("constituents", lambda: index_price(quotes([100.0]) * 2, NOW)),
    ("weight[v0]", lambda: index_price(quotes([100.0], [-1.0]), NOW)),
    ("weight[v0]", lambda: index_price(quotes([100.0], [math.nan]), NOW)),
    ("cap", lambda: index_price(quotes([100.0]), NOW, IndexRule(cap=math.nan))),
    ("age_max_ns", lambda: index_price(quotes([100.0]), NOW, IndexRule(age_max_ns=0))),
    ("sources_min", lambda: index_price(quotes([100.0]), NOW, IndexRule(sources_min=0))),
])  # fmt: skip
def test_bad_inputs_are_refused(field, call):
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
