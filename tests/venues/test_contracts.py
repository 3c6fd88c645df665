"""Contracts of the dialect become ours without a rounding; what does not fit is refused by field, value and rule."""

from fractions import Fraction

import pytest
from dialect import FUTURE, LINEAR, LINEAR_OPTION, OPTION, PERPETUAL
from hypothesis import given
from hypothesis import strategies as st

from seawall.api.listing import Listing
from seawall.api.shapes import instrument_object
from seawall.engine import formulas
from seawall.sim.dev_catalogue import CURRENCIES, contract_of, listed_for, note_of, perpetuals
from seawall.venues import Offer, Quote, Terms, atoms_decimals
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Product

QUOTE = Quote(60_000.0, 60_000.0)
PREMIUM = Quote(0.0215, 60_000.0, 60_200.0, 0.55)
ALL = (PERPETUAL, FUTURE, LINEAR, OPTION, LINEAR_OPTION)
EXPIRY = 1_782_460_800 * 10**9


def contract(instrument, quote=QUOTE, decimals=8):
    spec, note = Offer.of(instrument).contract(7, 1, decimals, 2, quote)
    return spec, Listing.of(spec, note), Terms.of(spec, note)


def test_deribits_inverse_perpetual():
    spec, listing, terms = contract(PERPETUAL)
    assert (spec.product, spec.form, spec.multiplier) == (Product.PERPETUAL, Form.INVERSE, 2 * 10**9)
    assert (spec.price_min, spec.price_max, spec.expiry) == (30_000, 2_400_000, 0)
    assert (listing.tick, listing.lot, listing.delivery_tick) == ((1, 2), (10, 1), (1, 2))
    assert (terms.ticks(60_000.5), terms.lots(50), terms.price(120_001), terms.amount(5)) == (120_001, 5, 60_000.5, 50)
    assert (listing.number, spec.currency, spec.block, listing.period) == (7, 1, 2, "perpetual")


def test_deribits_inverse_option():
    spec, listing, terms = contract(OPTION, PREMIUM)
    assert (spec.product, spec.form, spec.delivery_form) == (Product.OPTION, Form.LINEAR, Form.INVERSE)
    assert (spec.multiplier, spec.delivery_multiplier) == (1000, 10**7)
    assert (spec.price_min, spec.price_max) == (1, 40_000)
    assert (spec.strike, spec.option_type, spec.expiry) == (10_000_000, 1, EXPIRY)
    assert listing.strike() == 100_000 and terms.lots(0.3) == 3 and terms.ticks(0.0215) == 215
    assert terms.coin(PREMIUM) == 1 and listing.contract_size == 1


def test_deribits_linear_perpetual():
    spec, listing, terms = contract(LINEAR, decimals=6)
    assert (spec.form, spec.multiplier, spec.price_min, spec.price_max) == (Form.LINEAR, 1000, 3000, 240_000)
    assert (listing.tick, listing.lot, listing.counter) == ((1, 1), (1, 1000), "USDC")
    assert spec.quantity_max * 60_000 // 1000 > 70e6  # dollars
    assert terms.index == "btc_usdc"


def test_a_linear_option_with_a_small_strike():
    spec, listing, terms = contract(LINEAR_OPTION, Quote(0.02, 0.6, 0.61, 0.9), 6)
    assert (spec.delivery_form, spec.option_type) == (Form.LINEAR, -1)
    assert (spec.strike, terms.delivery_tick, listing.strike()) == (62_500, Fraction(1, 100_000), 0.625)
    assert (spec.multiplier, spec.delivery_multiplier) == (100_000, 10_000)
    assert formulas.delivered_value(spec, 1, 52_500) == 1000 * 10**5  # a put of 1000, ten cents in the money
    assert terms.coin(Quote(0.02, 0.6, 0.61)) == 0.61


def test_the_development_venue_gives_its_own_contracts():
    now, expiry = 1_772_438_400 * 10**9, 1_773_043_200 * 10**9
    for number, made in enumerate([*perpetuals(), *listed_for(expiry, {"BTC": 60_000.0, "ETH": 3_000.0})]):
        known, note = made.spec, note_of(number, made, now)
        listing = Listing.of(known, note)
        offer = Offer.of(instrument_object(listing, 0.0, 0.0005, state="open"))
        index = {"BTC": 60_000.0, "ETH": 3_000.0}[made.underlying]
        quote = Quote(0.02, index, index, 0.6) if made.volatility else Quote(index, index)
        name, decimals = CURRENCIES[known.currency]
        spec, said = offer.contract(
            number, known.currency, atoms_decimals(name, decimals), known.block, quote
        )  # fmt: skip
        for field in ("name", "product", "form", "currency", "block", "multiplier", "expiry", "option_type"):
            assert getattr(spec, field) == getattr(known, field), (spec.name, field)
        assert (spec.delivery_form, spec.fee_class) == (known.delivery_form, known.fee_class)
        assert spec.quantity_max >= known.quantity_max
        if known.product == Product.OPTION:  # it rounds delivery prices to half dollars, and no object says so
            assert (spec.price_min, spec.price_max) == (known.price_min, known.price_max)
            assert spec.delivery_multiplier == known.delivery_multiplier
            assert said["strike"] == note["strike"] == Listing.of(spec, said).strike()
            note.pop("delivery_tick"), said.pop("delivery_tick")
        assert said == note
        assert contract_of(known).tick == Terms.of(known, note_of(number, made, now)).price(1)


@pytest.mark.parametrize(
    ("instrument", "field", "value"),
    [
        (PERPETUAL, "instrument_name", "A" * 33),
        (PERPETUAL, "instrument_name", "BTC-€"),
        (PERPETUAL, "instrument_name", None),
        (PERPETUAL, "kind", "spot"),
        (PERPETUAL, "kind", "future_combo"),
        (PERPETUAL, "kind", ["future"]),
        (PERPETUAL, "instrument_type", "quanto"),
        (PERPETUAL, "settlement_period", "quarter"),
        (OPTION, "settlement_period", "perpetual"),
        (PERPETUAL, "is_active", False),
        (PERPETUAL, "base_currency", ""),
        (PERPETUAL, "settlement_currency", "USDC"),
        (LINEAR, "settlement_currency", "EURR"),
        (LINEAR, "counter_currency", "USD"),
        (OPTION, "quote_currency", "USD"),
        (PERPETUAL, "price_index", "eth_usd"),
        (PERPETUAL, "tick_size", 0),
        (PERPETUAL, "tick_size", float("nan")),
        (PERPETUAL, "tick_size", True),
        (PERPETUAL, "tick_size", "0.5"),
        (PERPETUAL, "tick_size", 0.3),  # 10 / 0.3 * 10^8 atoms are not whole
        (PERPETUAL, "tick_size", 1e-7),  # twice the mark is beyond 2^30 ticks
        (PERPETUAL, "tick_size", 70_000),  # above the mark
        (PERPETUAL, "contract_size", -10),
        (PERPETUAL, "min_trade_amount", 15),
        (PERPETUAL, "min_trade_amount", None),
        (PERPETUAL, "maker_commission", 0.02),
        (PERPETUAL, "taker_commission", None),
        (PERPETUAL, "creation_timestamp", 0),
        (FUTURE, "expiration_timestamp", 1e12),
        (OPTION, "strike", 0),
        (OPTION, "strike", 100000.001),
        (OPTION, "option_type", "straddle"),
    ],
)
def test_what_cannot_be_listed_is_named(instrument, field, value):
    with pytest.raises(InputError) as refused:
        contract(instrument | {field: value}, PREMIUM if instrument is OPTION else QUOTE)
    assert refused.value.field == field and refused.value.rule
    assert refused.value.value == value or str(value) == "nan"


def test_a_lot_worth_too_much_is_refused():
    with pytest.raises(InputError) as refused:
        contract(PERPETUAL | {"contract_size": 1e12, "min_trade_amount": 1e12})
    assert refused.value.field in ("quantity_max", "multiplier")


def test_fills_may_come_in_contracts_smaller_than_the_least_order():
    assert contract(PERPETUAL | {"min_trade_amount": 100})[2].lot == 10
    assert contract(OPTION, PREMIUM)[2].lot == Fraction(1, 10)


def test_prices_and_amounts_between_two_steps_are_refused():
    terms = contract(PERPETUAL)[2]
    for convert, value, field in ((terms.ticks, 60_000.25, "price"), (terms.lots, 15, "amount")):
        with pytest.raises(InputError) as refused:
            convert(value)
        assert (refused.value.field, refused.value.value) == (field, value)


@pytest.mark.parametrize(
    ("currency", "said", "decimals"), [("BTC", 8, 8), ("ETH", 6, 8), ("SOL", 9, 8), ("USDC", 6, 6), ("USDC", 5, 5)]
)
def test_decimals_are_clamped(currency, said, decimals):
    assert atoms_decimals(currency, said) == decimals
    with pytest.raises(InputError, match="decimals = 19"):
        atoms_decimals(currency, 19)


@st.composite
def instruments(draw):
    """An instrument of random units, a quote, decimals of an atom."""
    made = dict(draw(st.sampled_from(ALL)))
    made["tick_size"] = draw(st.sampled_from((1, 2, 5, 25))) / 10 ** draw(st.integers(0, 5))
    lot = draw(st.sampled_from((1, 2, 5, 10))) * 10 ** draw(st.integers(0, 3)) / 10 ** draw(st.integers(0, 4))
    made["min_trade_amount"], made["contract_size"] = lot, lot * draw(st.integers(1, 10))
    index = draw(st.floats(0.5, 200_000))
    if made["kind"] == "option":
        made["strike"] = draw(st.integers(1, 10**6)) / 10 ** draw(st.integers(0, 3))
        return made, Quote(draw(st.floats(0, 2)), index, index, 0.5), draw(st.integers(2, 8))
    return made, Quote(index, index), draw(st.integers(2, 8))


@given(instruments(), st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**9))
def test_ticks_lots_and_money_are_exact(drawn, lots, ticks, delivered):
    instrument, quote, decimals = drawn
    try:
        spec, listing, terms = contract(instrument, quote, decimals)
    except InputError:
        return  # refused: nothing is rounded
    assert terms.ticks(terms.price(ticks)) == ticks == listing.ticks(listing.price(ticks))
    assert terms.lots(terms.amount(lots)) == lots == listing.lots(listing.amount(lots))
    unit = 10**decimals
    amount, price = lots * terms.lot, ticks * terms.tick
    assert terms.lot == Fraction(str(instrument["min_trade_amount"]))
    assert terms.tick == Fraction(str(instrument["tick_size"]))
    assert 1 <= spec.quantity_max <= bounds.QUANTITY_MAX and spec.price_max <= bounds.PRICE_MAX
    if spec.form == Form.INVERSE:
        assert Fraction(lots * spec.multiplier, ticks) == amount / price * unit
    else:
        assert formulas.position_value(spec, lots, ticks) == amount * price * unit
    if spec.product != Product.OPTION:
        assert spec.price_min * 2 <= max(2, quote.mark / terms.tick) and spec.price_max >= 2 * quote.mark / terms.tick
        return
    strike, at = Fraction(str(instrument["strike"])), delivered * terms.delivery_tick
    assert spec.strike * terms.delivery_tick == strike
    dollars = amount * max(0, spec.option_type * (at - strike)) * unit
    expected = dollars / at if spec.delivery_form == Form.INVERSE else dollars
    assert formulas.delivered_value(spec, lots, delivered) == expected // 1
