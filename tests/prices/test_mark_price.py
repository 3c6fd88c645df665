"""The mark price of perpetuals against its golden vectors, its properties and bad inputs."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.prices.mark import binance_mark
from seawall.vocabulary.errors import InputError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "funding_index.json"
FLAT = [0.0] * 30


def test_binance_mark_vectors():
    if not VECTORS.exists():
        pytest.skip(f"golden vectors absent: {VECTORS.name}")
    cases = [case for case in json.loads(VECTORS.read_text())["cases"] if case["rule"] == "binance.mark_price"]
    assert cases
    for case in cases:
        given_, expected = case["input"], case["expected"]
        found = binance_mark(**given_, samples=len(given_["basis_samples"]))
        for field in ("price1", "price2", "mark"):
            assert getattr(found, field) == pytest.approx(expected[field], rel=1e-14), case["id"]


def test_a_mark_by_hand():
    found = binance_mark(100.0, 0.0008, 4, [1.0] * 30, 103.0)
    assert (found.price1, found.price2, found.mark) == pytest.approx((100.04, 101.0, 101.0))


def test_a_basis_up_to_half_the_index_is_believed():
    assert binance_mark(100.0, 0.0, 4, [60.0] * 30, 103.0).price2 == pytest.approx(160.0)


@given(st.floats(51, 199), st.floats(-0.01, 0.01))
def test_the_contract_price_alone_cannot_move_the_mark_out_of_the_other_two(contract, rate):
    found = binance_mark(100.0, rate, 8, FLAT, contract)
    assert min(found.price1, found.price2) <= found.mark <= max(found.price1, found.price2)


@pytest.mark.parametrize(("field", "change"), [
    ("index", {"index": math.nan}),
    ("index", {"index": 0.0}),
    ("last_funding_rate", {"last_funding_rate": math.inf}),
    ("hours_to_funding", {"hours_to_funding": 9}),
    ("hours_to_funding", {"hours_to_funding": -1}),
    ("basis_samples", {"basis_samples": FLAT[1:]}),
    ("basis_samples[3]", {"basis_samples": [*FLAT[:3], math.nan, *FLAT[4:]]}),
    ("index + basis_samples[3]", {"basis_samples": [*FLAT[:3], 1e10, *FLAT[4:]]}),
    ("index + basis_samples[3]", {"basis_samples": [*FLAT[:3], -60.0, *FLAT[4:]]}),
    ("contract_price", {"contract_price": 100e8}),
    ("contract_price", {"contract_price": None}),
    ("rate_hours", {"rate_hours": 0}),
])  # fmt: skip
def test_bad_inputs_are_refused(field, change):
    sound = {"index": 100.0, "last_funding_rate": 0.0, "hours_to_funding": 1, "basis_samples": FLAT}
    with pytest.raises(InputError) as refused:
        binance_mark(**{**sound, "contract_price": 100.0, **change})
    assert refused.value.field == field
