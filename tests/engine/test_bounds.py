"""Every bound of `vocabulary.bounds` at its edge: taken there, refused one beyond.

And the kernels in 64 bits agree with Python's integers on the largest numbers that the bounds let in.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
from venue import ONE, Venue
from worlds import Script

from seawall.engine import formulas
from seawall.engine.fast import Fast
from seawall.engine.kernels import arithmetic
from seawall.engine.reference import Reference
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, Charge, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import BUY, SELL, EventKind, Kind

RATES = (CurrencyRate(0, ONE, ONE),)
LINEAR = Instrument("LINEAR", Product.PERPETUAL, Form.LINEAR, 0, 0, 1, 1, 100, 100)
INVERSE = Instrument("INVERSE", Product.PERPETUAL, Form.INVERSE, 0, 0, 2**30, 2**10, 2**20, 2**18)
RISK = InstrumentRisk(0, 50, (0, 1))
WHOLE = Publication(RATES, (BlockRisk(0, 2, 2),), (RISK,))


def opened(script, specs, *, deposit=bounds.BALANCE_MAX, accounts=2, rate=0):
    """Currency, tier, instruments and accounts with as much cash as there may be."""
    script.add(Kind.CURRENCY, currency=0, amount=6)
    for fee_class in range(bounds.FEE_CLASSES):
        script.add(Kind.TIER, tier=0, currency=fee_class, price=rate, amount=rate)
    for number, spec in enumerate(specs):
        script.add(Kind.INSTRUMENT, spec.encode(), instrument=number)
    for account in range(3, 3 + accounts):
        script.add(Kind.ACCOUNT, account=account, tier=0)
        script.add(Kind.DEPOSIT, account=account, currency=0, amount=deposit)


def trade(script, instrument, price, quantity):
    """Account 3 buys from account 4."""
    script.add(Kind.ORDER, account=3, instrument=instrument, side=BUY, price=price, quantity=quantity)
    script.add(Kind.ORDER, account=4, instrument=instrument, side=SELL, price=price, quantity=quantity)


def agree(script):
    """Fold on both engines; their common events, and the engines."""
    commands, attachments = script.take()
    engines = Reference(), Fast()
    expected, found = (engine.step(commands, attachments) for engine in engines)
    for left, right in zip(expected, found, strict=False):
        assert left == right
    assert len(expected) == len(found)
    assert engines[0].state() == engines[1].state()
    assert engines[0].conserved() and engines[1].conserved()
    return expected, engines


class TestSpecifications:
    @pytest.mark.parametrize(
        ("field", "edge", "spec"),
        [
            ("price_max", bounds.PRICE_MAX, replace(LINEAR, quantity_max=1)),
            ("quantity_max", bounds.QUANTITY_MAX, replace(LINEAR, price_max=1)),
            ("quantity_max", bounds.POSITION_VALUE_MAX // 2**20, replace(LINEAR, price_max=2**20)),
            ("multiplier", bounds.POSITION_VALUE_MAX // 100, replace(LINEAR, quantity_max=1)),
            (
                "quantity_max",
                bounds.INVERSE_NUMERATOR_MAX // 2**44,
                replace(INVERSE, multiplier=2**44, price_min=2**15),
            ),
            ("quantity_max", bounds.POSITION_VALUE_MAX * 2**10 // 2**30, INVERSE),
            ("currency", bounds.CURRENCIES_MAX - 1, LINEAR),
            ("block", bounds.BLOCKS_MAX - 1, LINEAR),
        ],
    )
    def test_instrument(self, field, edge, spec):
        replace(spec, **{field: edge}).check()
        with pytest.raises(InputError):
            replace(spec, **{field: edge + 1}).check()

    @pytest.mark.parametrize(
        ("part", "field", "edge"),
        [
            ("instruments", "mark", bounds.PRICE_MAX),
            ("instruments", "weight", bounds.EXPOSURE_MAX),
            ("instruments", "delta", bounds.EXPOSURE_MAX),
            ("instruments", "vega", bounds.EXPOSURE_MAX),
            ("instruments", "gain_cap", bounds.NO_CAP),
            ("instruments", "instrument", bounds.INSTRUMENTS_MAX - 1),
            ("currencies", "rate_loss", bounds.RATE_MAX),
            ("currencies", "rate_gain", ONE),
            ("currencies", "currency", bounds.CURRENCIES_MAX - 1),
            ("blocks", "block", bounds.BLOCKS_MAX - 1),
            ("blocks", "maintenance_scenarios", 2),
        ],
    )
    def test_publication(self, part, field, edge):
        item = getattr(WHOLE, part)[0]
        replace(WHOLE, **{part: (replace(item, **{field: edge}),)}).check()
        with pytest.raises(InputError):
            replace(WHOLE, **{part: (replace(item, **{field: edge + 1}),)}).check()

    def test_risk_arrays_and_charges(self):
        widest = replace(RISK, u=(0,) * bounds.SCENARIOS_MAX)
        line = (bounds.CHARGE_RATE_MAX, -bounds.CHARGE_INTERCEPT_MAX)
        for good, bad in (
            (replace(RISK, u=(0, 2**50 - 1)), replace(RISK, u=(0, 2**50))),
            (widest, replace(RISK, u=(0,) * (bounds.SCENARIOS_MAX + 1))),
        ):
            replace(WHOLE, instruments=(good,)).check()
            with pytest.raises(InputError):
                replace(WHOLE, instruments=(bad,)).check()
        replace(WHOLE, charges=(Charge((line,) * bounds.CHARGE_LINES_MAX),)).check()
        for lines in ((line,) * (bounds.CHARGE_LINES_MAX + 1), ((line[0] + 1, 0),), ((1, line[1] - 1),), ((1, 1),)):
            with pytest.raises(InputError):
                replace(WHOLE, charges=(Charge(lines),)).check()


class TestCommands:
    def venue(self, engine, spec=LINEAR):
        venue = Venue(engine)
        script = Script()
        opened(script, [spec], deposit=1)
        commands, attachments = script.take()
        engine.step(commands, attachments)
        venue.seq = len(commands)
        return venue

    def test_fee_rates(self, engine):
        venue = self.venue(engine)
        edge = bounds.FEE_RATE_MAX
        for rate in (edge, -edge):
            assert venue.do(Kind.TIER, tier=1, currency=0, amount=rate)[0].kind == EventKind.DEFINED
            beyond = rate + (1 if rate > 0 else -1)
            assert venue.refused(Reason.FEE_RATE, venue.do(Kind.TIER, tier=1, currency=0, price=beyond)) == (
                beyond,
                edge,
            )
        venue.do(Kind.TIER, tier=bounds.TIERS_MAX - 1, currency=0)
        venue.refused(Reason.UNKNOWN_TIER, venue.do(Kind.TIER, tier=bounds.TIERS_MAX, currency=0))

    def test_balances(self, engine):
        venue = self.venue(engine)
        edge = bounds.BALANCE_MAX
        beyond = venue.do(Kind.DEPOSIT, account=3, currency=0, amount=edge + 1)
        assert venue.refused(Reason.AMOUNT, beyond) == (edge + 1, edge)
        venue.deposit(3, edge - 1, 0)
        beyond = venue.do(Kind.DEPOSIT, account=3, currency=0, amount=1)
        assert venue.refused(Reason.BALANCE_BOUND, beyond) == (edge + 1, edge)

    @pytest.mark.parametrize("spec", [LINEAR, INVERSE])
    def test_funding(self, engine, spec):
        venue = self.venue(engine, spec)
        edge = min(bounds.FUNDING_RATE_MAX, 2**62 // spec.largest_position)
        for amount in (edge, -edge):
            assert venue.do(Kind.FUNDING, instrument=0, amount=amount) == []
        for amount in (edge + 1, -edge - 1):
            refused = venue.do(Kind.FUNDING, instrument=0, amount=amount)
            assert venue.refused(Reason.FUNDING_BOUND, refused) == (amount, edge)

    def test_counts(self, engine):
        venue = Venue(engine)
        for currency in range(bounds.CURRENCIES_MAX):
            venue.do(Kind.CURRENCY, currency=currency)
        beyond = venue.do(Kind.CURRENCY, currency=bounds.CURRENCIES_MAX)
        assert venue.refused(Reason.ALREADY_DEFINED, beyond) == (8, 8)
        for number in range(bounds.GROUP_INSTRUMENTS_MAX):
            venue.engine.step(*self.definition(venue, number))
        full = venue.do(Kind.INSTRUMENT, LINEAR.encode(), instrument=number + 1)
        assert venue.refused(Reason.PUBLICATION_INCOMPLETE, full) == (bounds.GROUP_INSTRUMENTS_MAX, 0)

    def definition(self, venue, number):
        script = Script()
        script.seq, venue.seq = venue.seq, venue.seq + 1
        script.add(Kind.INSTRUMENT, LINEAR.encode(), instrument=number)
        return script.take()

    def test_a_position_at_its_bound(self, engine):
        """Exposure binds at 2^50: one lot more is refused, and so is a publication that cannot hold what is open."""
        venue = self.venue(engine, replace(LINEAR, price_max=2**10, quantity_max=2**20))
        u = (2**50 >> 10) - 1
        made = replace(WHOLE, instruments=(InstrumentRisk(0, 50, (0, u)),))
        venue.publish(made)
        venue.deposit(3, bounds.BALANCE_MAX - 1, 0)
        assert venue.order(3, 0, BUY, 2**9, 1)[0].kind == EventKind.ACCEPTED
        assert venue.refused(Reason.POSITION_BOUND, venue.order(3, 0, SELL, 2**9 + 1, 100)) == (2**10 + 1, 2**10)
        held = venue.order(3, 0, SELL, 2**9, 100)[0]
        assert held.reason in (Reason.NONE, Reason.MARGIN)
        tight = replace(made, instruments=(InstrumentRisk(0, 50, (0, 2**42)),))
        refused = venue.do(Kind.PUBLISH, tight.encode(), version=2)
        assert refused[0].reason == Reason.PUBLICATION_BOUND
        assert refused[0].a == 0 and refused[0].b >= 2**9


class TestLargestNumbers:
    """Both engines on numbers as large as the bounds let in."""

    @pytest.mark.parametrize("mark", [1, 50, 100])
    def test_linear_value_at_the_edge(self, mark):
        script = Script()
        spec = replace(LINEAR, multiplier=2**20, quantity_max=2**21)
        opened(script, [spec], rate=bounds.FEE_RATE_MAX)
        largest = spec.largest_position
        for version, (gain, loss) in enumerate(((1, 1), (ONE, ONE), (0, 4 * ONE)), 1):
            made = Publication(
                (CurrencyRate(0, gain, loss),), (BlockRisk(0, 2, 1),), (InstrumentRisk(0, mark, (0, 2**28)),)
            )
            script.add(Kind.PUBLISH, made.encode(), version=version)
            for price, quantity in ((100, min(largest // 2, 2**21)), (1, 2**20), (100, largest // 4)):
                trade(script, 0, price, min(quantity, 2**21))
                trade(script, 0, price, 1)
            script.add(Kind.FUNDING, instrument=0, amount=2**30)
            script.add(Kind.SETTLE, instrument=0)
        events, _ = agree(script)
        assert (events["kind"] == EventKind.FILL).sum() > 10

    @pytest.mark.parametrize("mark", [2**10, 2**15 + 1, 2**20])
    def test_inverse_value_at_the_edge(self, mark):
        script = Script()
        spec = replace(INVERSE, quantity_max=2**28)
        opened(script, [spec], rate=bounds.FEE_RATE_MAX)
        made = Publication(RATES, (BlockRisk(0, 2, 1),), (InstrumentRisk(0, mark, (0, 2**20 - 1)),))
        script.add(Kind.PUBLISH, made.encode(), version=1)
        for price, quantity in ((2**10, 2**27), (2**20, 2**26), (2**10 + 1, 2**25)):
            trade(script, 0, price, quantity)
        script.add(Kind.FUNDING, instrument=0, amount=-(2**30))
        script.add(Kind.SETTLE, instrument=0)
        events, _ = agree(script)
        assert (events["kind"] == EventKind.FILL).sum() >= 4

    @pytest.mark.parametrize("mark", [0.5, 2**10])
    def test_a_mark_beyond_the_band_is_refused(self, engine, mark):
        """Position bounds are reckoned at the dearest price of the band: a mark beyond it would overflow."""
        venue = Venue(engine)
        script = Script()
        spec = replace(LINEAR, multiplier=2**20, price_min=10, price_max=2**8, quantity_max=2**18)
        opened(script, [spec])
        commands, attachments = script.take()
        engine.step(commands, attachments)
        venue.seq = len(commands)
        for good in (10, 2**8):
            venue.publish(replace(WHOLE, currencies=(CurrencyRate(0, 1, 1),), instruments=(replace(RISK, mark=good),)))
        bad = replace(WHOLE, instruments=(replace(RISK, mark=int(mark * 10)),))
        events = venue.do(Kind.PUBLISH, bad.encode(), version=3)
        assert [event.kind for event in events] == [EventKind.REFUSED]

    @pytest.mark.parametrize("kind", [1, -1])
    @pytest.mark.parametrize("form", [Form.LINEAR, Form.INVERSE])
    @pytest.mark.parametrize("strike", [2**10, 2**20, 2**26, 2**30 - 1])
    def test_delivery_of_the_largest_position(self, strike, form, kind):
        """At the extreme prices that `deliverable` takes."""
        per_lot = 2**46 // strike if form == Form.LINEAR else 2**28 - 1
        option = Instrument(
            "OPTION", Product.OPTION, Form.LINEAR, 0, 0, 1, 1, 2**8, 1, 10**13, strike, kind, form, per_lot
        )  # fmt: skip
        option = replace(option, quantity_max=min(option.largest_position, 2**20 - 1))
        for price in (strike // 1024, strike * 1024, 2**30 - 1, 2**29 + 12345):
            price = max(1, price)
            script = Script()
            opened(script, [option])
            made = Publication((CurrencyRate(0, 1, 1),), (BlockRisk(0, 1, 1),), (InstrumentRisk(0, 100, (0,)),))
            script.add(Kind.PUBLISH, made.encode(), version=1)
            trade(script, 0, 100, option.quantity_max)
            script.time = 10**13
            script.add(Kind.EXPIRE, instrument=0, price=price)
            agree(script)

    def test_a_full_group_at_the_largest_exposures(self):
        """2,048 instruments of one block, each at 2^50, every charge at 100 %: R must not leave 64 bits."""
        count = bounds.GROUP_INSTRUMENTS_MAX
        script = Script()
        opened(script, [LINEAR] * count, deposit=10**12)
        for version, size in enumerate((1, bounds.EXPOSURE_MAX), 1):
            index = 0 if size > 1 else -1
            risks = tuple(
                InstrumentRisk(n, 50, (0,), 0, size, size, size, charges=(index, index)) for n in range(count)
            )
            block = BlockRisk(0, 1, 1, ((index, index),) * 4)
            charge = Charge(((2**14, 0), (-(2**14), 0)))
            script.add(Kind.PUBLISH, Publication(RATES, (block,), risks, (charge,)).encode(), version=version)
            if version == 1:
                for number in range(count):
                    trade(script, number, 50, 1)
        script.add(Kind.ORDER, account=3, instrument=0, side=BUY, price=50, quantity=1)
        agree(script)

    def test_many_deliveries(self):
        """Forty calls of the largest payoff to one account: what no balance can hold is refused, by both engines."""
        option = Instrument(
            "OPTION", Product.OPTION, Form.LINEAR, 0, 0, 1, 1, 1, 1, 10**13, 2**10, 1, Form.LINEAR, 2**20
        )  # fmt: skip
        option = replace(option, quantity_max=option.largest_position)
        script, count = Script(), 40
        opened(script, [option] * count)
        risks = tuple(InstrumentRisk(n, 1, (0,)) for n in range(count))
        made = Publication((CurrencyRate(0, 1, 1),), (BlockRisk(0, 1, 1),), risks)
        script.add(Kind.PUBLISH, made.encode(), version=1)
        for number in range(count):
            trade(script, number, 1, option.quantity_max)
        script.time = 10**13
        for number in range(count):
            script.add(Kind.EXPIRE, instrument=number, price=2**20)
        events, _ = agree(script)
        assert events[-1]["kind"] == EventKind.REFUSED and events[-1]["reason"] == Reason.DELIVERY_BOUND

    def test_deposits_in_total(self):
        """8,192 accounts at their bound are 2^63 atoms: the sum over all accounts must not leave 64 bits."""
        script = Script()
        opened(script, [LINEAR], accounts=2**13 + 1)
        commands, attachments = script.take()
        reference, fast = Reference(), Fast()
        assert np.array_equal(reference.step(commands, attachments), fast.step(commands, attachments))
        assert fast.state()["net_deposits"][0] == reference.net_deposits[0]

    def test_equity_counts_a_gain_the_gate_counted(self, engine):
        """At 2^50 atoms equity saturates: a gain that an open order was given credit for must still arrive."""
        script = Script()
        spec = replace(LINEAR, multiplier=2**20, quantity_max=2**20)
        opened(script, [spec])
        made = Publication(RATES, (BlockRisk(0, 2, 2),), (InstrumentRisk(0, 100, (0, -(2**29))),))
        script.add(Kind.PUBLISH, made.encode(), version=1)
        script.add(Kind.ORDER, account=3, instrument=0, side=BUY, price=50, quantity=2**20)
        engine.step(*script.take())
        accepted = engine.margin(3)["excess"]
        script.add(Kind.ORDER, account=4, instrument=0, side=SELL, price=50, quantity=2**20)
        events = engine.step(*script.take())
        assert (events["kind"] == EventKind.FILL).sum() == 2
        assert engine.margin(3)["excess"] >= accepted


class TestBlocks:
    def test_the_first_instrument_of_a_block_expires(self):
        """The next publication may have another number of scenarios; both engines show the same state."""
        future = replace(LINEAR, name="FUTURE", product=Product.FUTURE, expiry=10**13)
        script = Script()
        opened(script, [future, LINEAR])
        both = (RISK, replace(RISK, instrument=1))
        script.add(Kind.PUBLISH, replace(WHOLE, instruments=both).encode(), version=1)
        script.time = 10**13
        script.add(Kind.EXPIRE, instrument=0, price=50)
        wider = Publication(RATES, (BlockRisk(0, 5, 3),), (InstrumentRisk(1, 50, (0, 1, 2, -3, 4)),))
        script.add(Kind.PUBLISH, wider.encode(), version=2)
        trade(script, 1, 50, 3)
        agree(script)


class TestWideArithmetic:
    """The kernels' split products against Python's integers, near and at the bounds."""

    def numbers(self, rng, top):
        return rng.choice(
            (
                0,
                1,
                top,
                top - 1,
                rng.randint(0, top),
                rng.randint(0, min(top, 2**20)),
                min(top, 2 ** rng.randint(0, 40)),
            )
        )

    def test_scaled_and_equity(self):
        rng = random.Random(1)
        for _ in range(3000):
            atoms, rate = self.numbers(rng, 2**50) * rng.choice((-1, 1)), self.numbers(rng, 2**32)
            low = rng.randint(0, rate)
            assert arithmetic.scaled(atoms, rate) == atoms * rate >> bounds.RATE_SHIFT
            assert arithmetic.value_of_loss(abs(atoms), rate) == formulas.value_of_loss(abs(atoms), rate)
            many = atoms * rng.choice((1, 4))
            assert arithmetic.currency_equity(many, low, rate) == formulas.currency_equity(many, low, rate)

    def test_rule_of_proportion(self):
        rng = random.Random(2)
        answers = []
        for _ in range(5000):
            needed = self.numbers(rng, 2**61)
            reduced = rng.choice((needed, max(0, needed - self.numbers(rng, needed)), rng.randint(0, needed)))
            equity = rng.choice((-self.numbers(rng, 2**60), min(needed, self.numbers(rng, 2**60)), needed >> 3))
            near = formulas.spendable(equity, needed, reduced) if needed else 0
            after = equity - rng.choice((near, near + 1, near - 1, rng.randint(0, 2**60), -5))
            expected = formulas.spends_in_proportion(equity, after, needed, reduced)
            assert arithmetic.spends_in_proportion(equity, after, needed, reduced) == expected
            if needed and equity < needed:
                assert arithmetic.spendable(equity, needed, reduced) == near
            answers.append(expected)
        assert {True, False} == set(answers)

    def test_wide_product(self):
        rng = random.Random(3)
        for _ in range(3000):
            left, right = self.numbers(rng, 2**62 - 1), self.numbers(rng, 2**62 - 1)
            high, low = (int(word) for word in arithmetic.wide_product(left, right))
            assert high * 2**62 + low == left * right
            assert 0 <= low < 2**62
        assert np.iinfo(np.int64).max > 2**62
