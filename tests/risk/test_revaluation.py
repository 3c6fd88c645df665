"""Full revaluation: the sums are those of pricing every position by itself, bit for bit, and those of plain loops."""

import math

import numpy as np
import pytest

from seawall.risk import black76
from seawall.risk.revaluation import revalued, scenario_prices
from seawall.vocabulary.errors import InputError


@pytest.fixture
def world():
    rng = np.random.default_rng(3)
    strike, volatility, years = rng.uniform(2e4, 1e5, 40), rng.uniform(0.2, 2, 40), rng.uniform(0, 2, 40)
    kind, moves, shocks = rng.choice((-1.0, 1.0), 40), np.linspace(-0.6, 0.6, 7), np.linspace(-0.5, 0.5, 7)
    index, quantity = rng.integers(0, 40, (30, 12)), rng.normal(0, 5, (30, 12))
    return (np.full(40, 6e4), strike, volatility, years, kind), moves, shocks, index, quantity


def test_the_same_bits_as_pricing_every_position(world):
    options, moves, shocks, index, quantity = world
    gathered = revalued(scenario_prices(*options, moves, shocks), index, quantity)
    each = tuple(argument[index.reshape(-1)] for argument in options)
    alone = revalued(scenario_prices(*each, moves, shocks), np.arange(index.size).reshape(index.shape), quantity)
    assert gathered.tobytes() == alone.tobytes()


def test_sums_of_plain_loops(world):
    (forward, strike, volatility, years, kind), moves, shocks, index, quantity = world
    found = revalued(scenario_prices(forward, strike, volatility, years, kind, moves, shocks), index, quantity)
    for account in (0, 17, 29):
        for s, (move, shock) in enumerate(zip(moves, shocks, strict=True)):
            held, of = quantity[account], index[account]
            prices = black76.price(
                forward[of] * (1 + move), strike[of], volatility[of] * (1 + shock), years[of], kind[of]
            )
            total = math.fsum(lots * price for lots, price in zip(held.tolist(), prices.tolist(), strict=True))
            assert found[account, s] == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize(
    ("field", "index", "quantity"),
    [
        ("index", [[0, 3]], [[1.0, 1.0]]),
        ("index", [[-1, 0]], [[1.0, 1.0]]),
        ("quantity", [[0, 1]], [[1.0]]),
        ("quantity", [0, 1], [1.0, 1.0]),
        ("quantity", [[0, 1]], [[1.0, math.nan]]),
    ],
)
def test_bad_inputs_are_refused_by_name(field, index, quantity):
    with pytest.raises(InputError) as refused:
        revalued(np.ones((3, 2)), np.array(index), np.array(quantity))
    assert refused.value.field == field
