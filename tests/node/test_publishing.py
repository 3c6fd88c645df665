"""When the publisher publishes, and which blocks; what it refuses is not remembered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.node import Configuration
from seawall.node.publishing import Publisher, Quoted, Told
from seawall.risk import BlockMarket, CurrencyMarket
from seawall.risk.cadence import Cadence
from seawall.vocabulary.errors import ConfigurationError, InputError
from seawall.vocabulary.instruments import Form, Instrument, Product

SECOND = 10**9
BTC, ETH = 0, 1
EXPIRY = 10_000 * SECOND
PERPETUALS = {
    0: Instrument("BTC-PERPETUAL", Product.PERPETUAL, Form.LINEAR, 0, BTC, 500, 1_000, 1_000_000, 10**5),
    1: Instrument("ETH-PERPETUAL", Product.PERPETUAL, Form.LINEAR, 0, ETH, 500, 100, 100_000, 10**5),
}
OPTION = Instrument(
    "BTC-C", Product.OPTION, Form.LINEAR, 0, BTC, 50_000, 1, 40_000, 10**5, EXPIRY, 120_000, 1, Form.LINEAR, 5_000
)


def told(time_s, btc=60_000.0, eth=3_000.0, volatility=0.5, forward=None, without=()):
    """Prices at so many seconds: two perpetuals in ticks of half a dollar, an option on the first."""
    indexes = {BTC: btc, ETH: eth}
    items = {n: Quoted(spec, 2 * indexes[spec.block], 2 * indexes[spec.block]) for n, spec in PERPETUALS.items()}
    items[2] = Quoted(OPTION, 2 * btc, 2 * (forward or btc), volatility)
    return Told(
        round(time_s * SECOND),
        {0: CurrencyMarket(1.0, 6, 0.0, 0.0)},
        {BTC: BlockMarket("BTC", btc), ETH: BlockMarket("ETH", eth)},
        {number: item for number, item in items.items() if number not in without},
    )


def made(**cadence):
    return Publisher(Configuration().model(), Cadence(**cadence))


def published(publisher, prices):
    """The blocks that were due, after their publication."""
    blocks = publisher.due(prices)
    if blocks:
        named = {block.block for block in publisher.publish(prices, blocks).blocks}
        assert named == set(blocks)
        publisher.remember(prices, blocks)
    return blocks


@pytest.mark.parametrize(("then", "blocks"), [
    ({"time_s": 1_002.0}, []),
    ({"time_s": 1_002.0, "btc": 60_000 * 1.0004}, []),
    ({"time_s": 1_002.0, "btc": 60_000 * 1.0006}, [BTC]),
    ({"time_s": 1_002.0, "btc": 60_000 * 0.9994}, [BTC]),
    ({"time_s": 1_000.5, "btc": 60_000 * 1.01}, []),  # too soon
    ({"time_s": 1_002.0, "btc": 60_000 * 1.0006, "eth": 3_000.1}, [BTC, ETH]),  # what moved at all goes with it
    ({"time_s": 1_002.0, "forward": 60_000 * 1.0006}, [BTC]),
    ({"time_s": 1_002.0, "volatility": 0.52}, []),
    ({"time_s": 1_002.0, "volatility": 0.53}, [BTC]),
    ({"time_s": 1_002.0, "volatility": 0.47}, [BTC]),
    ({"time_s": 1_005.0}, [BTC, ETH]),
    ({"time_s": 999.0}, [BTC, ETH]),  # the clock stepped back
    ({"time_s": 1_000.1, "without": (2,)}, [BTC]),  # expired, or listed the other way round
])  # fmt: skip
def test_which_blocks_are_due(then, blocks):
    publisher = made()
    assert published(publisher, told(1_000.0)) == [BTC, ETH]
    assert published(publisher, told(**then)) == blocks


def test_a_coins_rate_goes_with_its_own_blocks():
    """A model widens a coin's haircut by its own block's moves: without the block it would publish another one."""
    coins = {
        n: CurrencyMarket(3_000.0, 8, 0.1, 0.05, name=name) for n, name in enumerate(("USDC", "BTC", "ETH", "SOL"))
    }
    prices = replace(told(1_000.0), currencies=coins)
    rates = {one.currency for one in made().publish(prices, [BTC]).currencies}
    assert rates == {0, 1, 3}
    assert {one.currency for one in made().publish(prices, [BTC, ETH]).currencies} == {0, 1, 2, 3}


def test_a_block_that_nobody_tells_of_is_not_published():
    publisher = made()
    published(publisher, told(1_000.0))
    later = told(1_010.0)
    alone = replace(later, blocks={BTC: later.blocks[BTC]}, instruments={n: later.instruments[n] for n in (0, 2)})
    assert published(publisher, alone) == [BTC]
    assert published(publisher, told(1_010.1)) == [ETH]


@pytest.mark.parametrize(("bad", "field"), [
    ({"btc": float("nan")}, "blocks[0].index_usd"),
    ({"btc": -1.0}, "blocks[0].index_usd"),
    ({"btc": 60_000e8}, "forward"),
    ({"volatility": float("nan")}, "volatility"),
    ({"volatility": -0.1}, "volatility"),
    ({"forward": float("inf")}, "forward"),
])  # fmt: skip
def test_what_cannot_be_published_is_refused_by_name_and_stays_due(bad, field):
    publisher = made()
    published(publisher, told(1_000.0))
    prices = told(1_006.0, **bad)
    with pytest.raises(InputError) as refused:
        publisher.check(prices)
    assert refused.value.field.endswith(field) or field in ("blocks[0].index_usd",), refused.value
    with pytest.raises(InputError):
        publisher.publish(prices, publisher.due(prices))
    assert published(publisher, told(1_006.0)) == [BTC, ETH]


@pytest.mark.parametrize(("number", "field"), [(0, "weight"), (1, "delta"), (2, "weight")])
def test_a_model_whose_lots_expose_to_nothing_is_refused(number, field):
    """A plugged-in one, say: no limit on notional or exposure would ever refuse an order."""

    class Blind:
        def publish(self, view):
            found = Configuration().model().publish(view)
            rows = [replace(row, **{field: 0}) if row.instrument == number else row for row in found.instruments]
            return replace(found, instruments=tuple(rows))

    with pytest.raises(InputError) as refused:
        Publisher(Blind(), Cadence()).publish(told(1_000.0), [BTC, ETH])
    assert refused.value.field == f"instruments[{number}].{field}"


def test_an_expired_instrument_is_refused():
    with pytest.raises(InputError) as refused:
        made().check(told(10_000.0))
    assert refused.value.field == "expiry"


@given(st.lists(st.tuples(st.floats(0.01, 20.0), st.floats(0.9, 1.1)), min_size=1, max_size=30))
def test_nothing_that_is_told_stays_unpublished_for_long(steps):
    """What was published is never older than the timer at a telling, and never further off than the move, but within
    the least pause."""
    publisher, now, price = made(), 1_000.0, 60_000.0
    at, known = None, None
    for seconds, factor in steps:
        now, price = now + seconds, min(max(price * factor, 10_000.0), 200_000.0)
        if publisher.due(told(now, price)):
            publisher.remember(told(now, price), [BTC, ETH])
            at, known = now, price
        assert at is not None and round((now - at) * SECOND) < 5 * SECOND
        assert abs(price / known - 1) <= 0.0005 * (1 + 1e-9) or now - at < 1.0 + 1e-6


@pytest.mark.parametrize(("setting", "value"), [
    ("move", -1.0), ("move", float("nan")), ("timer_s", -1.0), ("least_s", 6.0), ("late_s", 1.0), ("jump", 2.0),
])  # fmt: skip
def test_a_bad_cadence_is_refused(setting, value):
    with pytest.raises(ConfigurationError) as refused:
        Cadence(**{setting: value})
    assert refused.value.field == setting
    with pytest.raises(ConfigurationError) as refused:
        Configuration.of({"publisher": {setting: value}})
    assert refused.value.field == f"publisher.{setting}"
