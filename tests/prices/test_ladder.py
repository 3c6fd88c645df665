"""One side of a book against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.prices.ladder import Ladder

PRICES = st.integers(1, 12)


@given(st.sampled_from((1, -1)), st.lists(st.tuples(PRICES, st.integers(0, 5))), PRICES)
def test_it_is_a_sorted_dictionary(side, puts, asked):
    ladder, plain = Ladder(side), {}
    for price, lots in puts:
        ladder.put(price, lots)
        plain[price] = lots
        plain = {at: of for at, of in plain.items() if of}
    best_first = sorted(plain, reverse=side > 0)
    assert ladder.lots == plain
    assert ladder.all() == sorted(plain)
    assert ladder.best == (best_first[0] if best_first else None)
    assert ladder.top(3) == [(price, plain[price]) for price in best_first[:3]]
    assert list(ladder.better(asked)) == [price for price in best_first if side * (price - asked) > 0]
    assert ladder.at(asked) == plain.get(asked, 0)


def test_adding_to_nothing_takes_a_price_in_and_out():
    ladder = Ladder(1)
    ladder.add(5, 3)
    assert ladder.best == 5
    ladder.add(5, -3)
    assert ladder.best is None and ladder.top(10) == []
