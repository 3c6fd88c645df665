"""Open interest in what a venue publishes: it goes with a publication, and is no reason for one."""

from dataclasses import replace

from test_publishing import BTC, made, published, told

from seawall.vocabulary.publication import NO_CHARGE


def with_interest(prices, lots):
    items = {number: replace(item, open_interest=lots) for number, item in prices.instruments.items()}
    return replace(prices, instruments=items)


def test_it_is_charged_and_makes_no_block_due():
    publisher = made()
    first = with_interest(told(1_000.0), 100)
    assert published(publisher, first) == [BTC, 1]
    assert publisher.due(with_interest(told(1_002.0), 10**6)) == []
    moved = with_interest(told(1_003.0, btc=60_100.0), 10**6)
    assert publisher.due(moved) == [BTC]
    risks = publisher.publish(moved, [BTC]).instruments
    assert all(NO_CHARGE not in risk.charges for risk in risks)
    bare = publisher.publish(told(1_003.0, btc=60_100.0), [BTC]).instruments
    assert bare[0].charges == (NO_CHARGE, NO_CHARGE)
