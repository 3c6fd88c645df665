"""The view a model is given: exact rates, and every bad input refused before anything is published."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_markets import BTC, BTC_COIN, NOW, USDC, coin_option, inverse_future, listed, market

from seawall import risk
from seawall.risk import MODELS, BlockMarket, CurrencyMarket, currency_rates
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError

PERPETUAL, OPTION = 0, 1


@pytest.fixture
def view():
    return market([listed(inverse_future()), listed(coin_option(60_000, 1, 30))])


def test_the_public_names_are_decided():
    assert set(risk.__all__) == {
        "MODELS",
        "BlockMarket",
        "CurrencyMarket",
        "InstrumentMarket",
        "MarginModel",
        "MarketView",
        "Seawall",
        "StandardMargin",
        "StandardParameters",
        "currency_rates",
        "mark_price",
    }
    assert all(hasattr(risk, name) for name in risk.__all__)
    assert all(name == model.name for name, model in MODELS.items())
    venues = ["deribit-standard", "deribit-portfolio", "paradex", "derive-pmrm", "derive-pmrm-2", "span"]
    assert list(MODELS) == ["standard", "seawall", *venues]


def test_rates_of_a_dollar_coin_and_of_a_bitcoin():
    assert currency_rates(USDC, CurrencyMarket(1.0, 6, 0.0, 0.0)).rate_gain == 1 << 20
    rates = currency_rates(BTC, CurrencyMarket(60_000.0, 8, 0.25, 0.5))
    assert (rates.rate_gain, rates.rate_loss) == (450 << 20, 900 << 20)


@settings(deadline=None)
@given(st.floats(1e-3, 4e5), st.integers(6, 8), st.floats(0, 0.99), st.floats(0, 0.02))
def test_owned_rounds_down_and_owed_up(price, decimals, haircut, markup):
    rates = currency_rates(0, CurrencyMarket(price, decimals, haircut, markup))
    exact = Fraction(price) * 10**6 / 10**decimals * (1 << bounds.RATE_SHIFT)
    assert 0 <= exact * (1 - Fraction(str(haircut))) - rates.rate_gain < 1
    assert 0 <= rates.rate_loss - exact * (1 + Fraction(str(markup))) < 1


def with_instrument(view, number, **changes):
    return replace(view, instruments={**view.instruments, number: replace(view.instruments[number], **changes)})


def with_spec(view, number, **changes):
    return with_instrument(view, number, spec=replace(view.instruments[number].spec, **changes))


def with_currency(view, **changes):
    return replace(view, currencies={**view.currencies, BTC: replace(view.currencies[BTC], **changes)})


BAD = [
    ("instruments[1].volatility", lambda view: with_instrument(view, OPTION, volatility=-0.1)),
    ("instruments[1].volatility", lambda view: with_instrument(view, OPTION, volatility=math.nan)),
    ("instruments[1].volatility", lambda view: with_instrument(view, OPTION, volatility=math.inf)),
    ("instruments[1].forward", lambda view: with_instrument(view, OPTION, forward=math.nan)),
    ("instruments[1].forward", lambda view: with_instrument(view, OPTION, forward=0.0)),
    ("instruments[0].forward", lambda view: with_instrument(view, PERPETUAL, forward=-1.0)),
    ("instruments[1].forward", lambda view: with_instrument(view, OPTION, forward=1e300)),
    ("instruments[0].mark", lambda view: with_instrument(view, PERPETUAL, mark=math.nan)),
    ("instruments[0].mark", lambda view: with_instrument(view, PERPETUAL, mark=1.0)),
    ("instruments[1].mark", lambda view: with_instrument(view, OPTION, mark=0.4)),
    ("instruments[1].expiry", lambda view: with_spec(view, OPTION, expiry=NOW)),
    ("instruments[1].currency", lambda view: with_spec(view, OPTION, currency=5)),
    ("instruments[1].currency", lambda view: with_spec(view, OPTION, currency=USDC)),
    ("instruments[1].block", lambda view: with_spec(view, OPTION, block=9)),
    ("currencies[0].price_usd", lambda view: with_currency(view, price_usd=math.nan)),
    ("currencies[0].haircut", lambda view: with_currency(view, haircut=1.0)),
    ("currencies[0].haircut", lambda view: with_currency(view, haircut=math.nan)),
    ("currencies[0].markup", lambda view: with_currency(view, markup=-0.1)),
    ("currencies[0].decimals", lambda view: with_currency(view, decimals=-1)),
    ("rate_loss", lambda view: with_currency(view, price_usd=1e9)),
    ("blocks[0].index_usd", lambda view: replace(view, blocks={BTC_COIN: BlockMarket("BTC", 0.0)})),
    ("blocks[0].depth_usd", lambda view: replace(view, blocks={BTC_COIN: BlockMarket("BTC", 60_000.0, 0.0)})),
    ("blocks[0].depth_usd", lambda view: replace(view, blocks={BTC_COIN: BlockMarket("BTC", 60_000.0, math.nan)})),
    ("blocks[0].depth_usd", lambda view: replace(view, blocks={BTC_COIN: BlockMarket("BTC", 60_000.0, 1e16)})),
    ("instruments[0].open_interest", lambda view: with_instrument(view, PERPETUAL, open_interest=-1)),
]


@pytest.mark.parametrize("name", ["standard", "seawall", "deribit-standard", "deribit-portfolio"])
@pytest.mark.parametrize(("field", "spoil"), BAD)
def test_a_bad_view_is_refused_by_every_model(view, name, field, spoil):
    MODELS[name]().publish(view)
    with pytest.raises(InputError) as refused:
        MODELS[name]().publish(spoil(view))
    if (field, name) == ("rate_loss", "deribit-portfolio"):
        field = "market.currencies.BTC.price"  # it reads the market as a portfolio's, whose prices are bounded
    assert refused.value.field == field
    assert refused.value.rule
