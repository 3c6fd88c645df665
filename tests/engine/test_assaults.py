"""The theorems attacked with every kind of order: edits, chains, packages, self-match modes, icebergs, stops, floods.

Beyond `test_theorems.py`, from which the venue and the drains come, between publications:
    from the moment one of its orders was accepted an account's excess falls by less than its open orders' reserves
    a reduce-only order never increases a position, a fill-or-kill fills whole or not at all, and so does a package
"""

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_theorems import ATOM, CLIENTS, COARSE, COIN, LINEAR, OPTION, Attack, small_venue
from venue import ENGINES, ONE

from seawall.vocabulary.instruments import Form, Instrument, Product
from seawall.vocabulary.publication import BlockRisk, CurrencyRate, InstrumentRisk, Publication
from seawall.vocabulary.records import (
    BUY,
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    RULES_FOLDED,
    SELL,
    SYSTEM_FEES,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    TimeInForce,
)

GTC, IOC, FOK, GTD = TimeInForce
OWNER = 6
KINDS = ("order",) * 8 + ("edit", "edit", "chain", "package", "cancel", "withdraw", "stop", "stop", "index", "protect")
FORMS = (
    (OrderType.LIMIT, GTC, 0),
    (OrderType.LIMIT, GTC, 0),
    (OrderType.LIMIT, GTC, FLAG_REDUCE_ONLY),
    (OrderType.LIMIT, GTC, FLAG_POST_ONLY),
    (OrderType.LIMIT, GTC, FLAG_POST_ONLY | FLAG_SLIDE),
    (OrderType.LIMIT, GTC, FLAG_PROTECTED),
    (OrderType.LIMIT, GTD, 0),
    (OrderType.LIMIT, IOC, 0),
    (OrderType.LIMIT, IOC, FLAG_REDUCE_ONLY),
    (OrderType.LIMIT, FOK, 0),
    (OrderType.LIMIT, FOK, 0),
    (OrderType.LIMIT, FOK, FLAG_REDUCE_ONLY),
    (OrderType.MARKET, IOC, 0),
    (OrderType.MARKET, FOK, 0),
)
TICKS = (100, 1, 1)


class Sent:
    """What was asked of an order, and what became of it."""

    def __init__(self, fields):
        self.fields, self.asked, self.filled = fields, fields["quantity"], 0
        self.price = self.left = 0
        self.live = self.waits = False

    @property
    def whole_or_not(self):
        return self.fields.get("tif") == FOK


class Assault(Attack):
    """An attack under rules 2 or the newest, following what each order promises."""

    def __init__(self, engine, seed):
        super().__init__(engine, seed)
        venue, rng = self.venue, self.rng
        venue.do(Kind.RULES, version=max(RULES_FOLDED) if seed % 3 else 2)
        venue.do(Kind.ACCOUNT, account=OWNER, type=Role.OWNER)
        if rng.random() < 0.5:
            for account in CLIENTS[1:]:
                venue.do(Kind.MEMBER, account=account, order_id=OWNER)
        if rng.random() < 0.7:
            for instrument in (COARSE, LINEAR, OPTION):
                wide = rng.choice((10**3, 10**5))
                venue.do(Kind.LIMIT, state=Limit.COLLAR, instrument=instrument, amount=wide, quantity=1)
        if seed % 5:  # else who joined is not counted yet, and caps are as they were
            venue.publish(self.made)
        self.sent, self.positions, self.ceiling = {}, {}, {}
        self.seen = Counter()

    # -- actions ---------------------------------------------------------------------------------------------------

    def act(self, action):
        kind, account, instrument, side, lots, offset, form, mode, shown = action
        if kind in ("order", "stop"):
            fields = self.fields(account, instrument, side, lots, offset, form, mode, shown)
            if kind == "stop":
                self.make_stop(fields, offset, shown)
            events = self.venue.do(Kind.ORDER, **self.known(fields))
        elif kind == "edit":
            events = self.edit(lots, offset, shown)
        elif kind == "chain":
            events = self.chain(account, instrument, side, lots, offset, mode)
        elif kind == "package":
            events = self.package(account, instrument, side, lots, offset, mode)
        elif kind == "index":
            price = max(1, self.marks[instrument] + offset * TICKS[instrument])
            events = self.venue.do(Kind.INDEX, instrument=instrument, price=price)
        elif kind == "protect":
            events = self.venue.do(
                Kind.PROTECT, account=account, instrument=int(side > 0), until=1000, display=shown,
                quantity=lots * 1000, amount=10**9, version=10**9,
            )  # fmt: skip
        elif kind == "withdraw":
            rate = self.made.currencies[side > 0].rate_loss
            excess = max(1, (self.venue.excess(account) << 20) // rate) + offset % 3
            events = self.venue.do(Kind.WITHDRAW, account=account, currency=int(side > 0), amount=excess)
            self.ceiling.pop(account, None)
        else:
            events = self.cancel(lots)
        self.follow(events)

    def cancel(self, lots):
        live = sorted(self.live())
        if not live:
            return []
        number = live[lots % len(live)]
        return self.venue.cancel(self.sent[number].fields["account"], number)

    def fields(self, account, instrument, side, lots, offset, form, mode, shown):
        type_, tif, flags = FORMS[form % len(FORMS)]
        price = max(1, self.marks[instrument] + offset * TICKS[instrument])
        fields = {"account": account, "instrument": instrument, "side": side, "quantity": lots, "price": price}
        rests = tif in (GTC, GTD)
        return fields | {
            "type": type_, "tif": tif, "flags": flags, "self_match": mode, "label": mode,
            "display": max(1, lots // (shown + 2)) if rests and shown < 4 else 0,
            "until": self.venue.time + 5 + lots if tif == GTD else 0,
        }  # fmt: skip

    def make_stop(self, fields, offset, shown):
        """The same order, waiting for a price near by."""
        at_market, away = fields["type"] == OrderType.MARKET, abs(offset) % 5 + 1
        kinds = (OrderType.STOP_LIMIT, OrderType.TAKE_LIMIT)
        if at_market:
            kinds = (OrderType.STOP_MARKET, OrderType.TAKE_MARKET, OrderType.TRAILING)
        fields |= {"type": kinds[shown % len(kinds)], "watch": shown % 3, "flags": fields["flags"] & ~FLAG_PROTECTED}
        step = fields["side"] * away * TICKS[fields["instrument"]] // 2
        trailing = fields["type"] == OrderType.TRAILING
        fields["trigger"] = away if trailing else max(1, self.marks[fields["instrument"]] + step)

    def known(self, fields):
        self.sent[self.venue.seq + 1] = Sent(fields)
        return fields

    def edit(self, lots, offset, shown):
        live = sorted(self.live())
        if not live:
            return []
        number = live[lots % len(live)]
        order = self.sent[number]
        step = TICKS[order.fields["instrument"]]
        price = order.price if shown % 2 else max(1, order.price + offset % 7 * step - 3 * step)
        amount = order.filled + (lots if shown % 3 else max(1, order.left - lots % 5))
        events = self.venue.do(
            Kind.EDIT, account=order.fields["account"], order_id=number, price=price, quantity=amount,
            trigger=max(1, self.marks[order.fields["instrument"]] + offset * step),
        )  # fmt: skip
        if any(event.kind == EventKind.EDITED and event.order_id == number for event in events):
            order.asked = amount
        return events

    def chain(self, account, instrument, side, lots, offset, mode):
        """Orders and cancels that get in each other's way."""
        first, legs = self.venue.seq + 1, []
        mine = [number for number in self.live() if self.sent[number].fields["account"] == account]
        for leg in range(2 + mode):
            if mine and (lots + leg) % 2:
                legs.append({"kind": Kind.CANCEL, "account": account, "order_id": mine[(lots + leg) % len(mine)]})
            else:
                turned = side if leg % 2 else -side
                form = (0, 2, 3, 5, 7, 8)[(lots + leg) % 6]
                fields = self.fields(account, instrument, turned, lots, offset, form, mode, leg)
                self.sent[first + leg] = Sent(fields)
                legs.append(fields)
        return self.venue.chain(*legs)

    def package(self, account, instrument, side, lots, offset, mode):
        """Two or three contracts, from the side where somebody is, a lot more or less than is there."""
        first, legs = self.venue.seq + 1, []
        books = self.venue.engine.state()["listings"]
        for leg, number in enumerate((instrument, (instrument + 1) % 3, (instrument + 2) % 3)[: 2 + mode % 2]):
            there = {SELL: books[number]["bids"], BUY: books[number]["asks"]}
            turned = side if there[side] or not there[-side] else -side
            lots = sum(order[2] for level in there[turned] for order in level) if offset % 2 else max(1, lots >> leg)
            form = FORMS.index((OrderType.LIMIT if lots % 2 else OrderType.MARKET, FOK, 0))
            fields = self.fields(account, number, turned, max(1, lots), turned * (abs(offset) + 1), form, mode, 9)
            self.sent[first + leg] = Sent(fields)
            legs.append(fields)
        events = self.venue.package(*legs)
        filled = [self.quantity_of(events, first + leg) for leg in range(len(legs))]
        whole = [fields["quantity"] for fields in legs]
        assert filled in (whole, [0] * len(legs)), "a package was filled in part"
        self.seen["package"] += filled == whole
        return events

    @staticmethod
    def quantity_of(events, number):
        return sum(event.quantity for event in events if event.kind == EventKind.FILL and event.order_id == number)

    # -- what is checked -------------------------------------------------------------------------------------------

    def live(self):
        return [number for number, order in self.sent.items() if order.live]

    def shock(self):
        """As before; what account commands do is measured from here."""
        self.ceiling = {}
        super().shock()
        self.ceiling = {}

    def note(self, events):
        """Follow the orders of these events, and their owners' excess when one was gated."""
        for event in events:
            self.seen[event.kind] += 1
            order = self.sent.get(event.order_id)
            if event.kind == EventKind.ACCEPTED:
                order.live, order.price, order.left = True, event.price, event.quantity
                order.waits = order.fields["type"] >= OrderType.STOP_LIMIT and not order.waits
                if not order.waits:
                    self.gated(event)
            elif event.kind == EventKind.EDITED:
                if not order.waits and (event.price != order.price or event.quantity > order.left):
                    self.gated(event)
                order.price, order.left = event.price, event.quantity
            elif event.kind == EventKind.FILL:
                self.check_fill(event, order)
            elif event.kind == EventKind.CANCELLED:
                order.live = False
                if order.whole_or_not:
                    assert order.filled == 0, "a fill-or-kill was filled in part"

    def gated(self, event):
        self.open[event.order_id] = [event.account, event.instrument, event.quantity]
        self.spoiled[event.account] += self.reserve(event.instrument)
        self.ceiling[event.account] = event.b - event.a

    def check_fill(self, event, order):
        key = (event.account, event.instrument)
        before = self.positions.get(key, 0)
        after = self.positions[key] = before + event.side * event.quantity
        order.filled += event.quantity
        order.left -= event.quantity
        order.live = order.left > 0
        if order.fields["flags"] & FLAG_REDUCE_ONLY:
            assert abs(after) < abs(before) and after * before >= 0, "a reduce-only order opened"
            self.seen["reduced"] += 1
        self.seen["whole"] += order.whole_or_not and not order.live

    def follow(self, events):
        self.note(events)
        state = self.venue.engine.state()
        for order in self.sent.values():
            if order.whole_or_not and order.filled:
                assert order.filled == order.asked, "a fill-or-kill was filled in part"
        for account in CLIENTS:
            held = state["accounts"][account]["orders"]
            reserves = sum(self.reserve(self.sent[number].fields["instrument"]) for number in held)
            excess = self.venue.excess(account)
            if account in self.ceiling:
                assert excess >= self.ceiling[account] - reserves, account
            if account not in self.below:
                assert excess >= -reserves, account
            elif not held:
                assert self.owed(account) >= self.debt[account] - 8 * self.spoiled[account], account
            for number, position in state["accounts"][account]["positions"].items():
                assert position[0] == self.positions.get((account, number), 0)
        assert min(state["accounts"][0]["balance"]) >= 0
        assert min(state["accounts"][1]["balance"]) >= 0


def random_actions(rng, count):
    """Half of the time all over the place, half in a crowd: one contract, three prices, few lots."""
    crowd = rng.random() < 0.5
    for _ in range(count):
        lots = rng.choice((1, 1, 2, 3, 7, rng.randint(1, 30), rng.randint(1, 30 if crowd else 3000)))
        offset = rng.randint(-1, 1) if crowd else rng.choice((-1, 0, 0, 1, rng.randint(-5, 5), rng.randint(-200, 200)))
        instrument = rng.choice((COARSE, COARSE, COARSE, LINEAR, OPTION))
        yield (
            rng.choice(KINDS), rng.choice(CLIENTS), instrument, rng.choice((BUY, SELL)), lots, offset,
            rng.randrange(len(FORMS)), rng.randrange(4), rng.randrange(9),
        )  # fmt: skip


def capped_venue(engine, maker, taker):
    """One contract whose gains do not count, marked at 5,000."""
    spec = Instrument("CAPPED", Product.PERPETUAL, Form.LINEAR, COIN, 0, 1, 1000, 2**20, 10**6)
    risk = InstrumentRisk(0, 5000, (0,), gain_cap=0)
    made = Publication((CurrencyRate(COIN, ATOM * ONE, ATOM * ONE),), (BlockRisk(0, 1, 1),), (risk,))
    venue = small_venue(engine, (spec,), made, maker=maker, taker=taker, cash=10**8)
    venue.do(Kind.RULES, version=2)
    return venue


def test_a_better_price_costs_no_fee_that_was_not_reserved(engine):
    """Where gains are capped a better price adds nothing to equity, so its fee must not take from it.

    Ann's whole cash is what selling 1,000 lots at the mark reserves: the dearer fee and four atoms. Bea pays double.
    """
    venue, (ann, bea, _) = capped_venue(engine, 500, 500), CLIENTS
    venue.do(Kind.WITHDRAW, account=ann, currency=COIN, amount=10**8 - 2505)
    venue.order(bea, 0, BUY, 1000, 10_000)
    accepted, *fills = venue.order(ann, 0, SELL, 1000, 5000)
    assert (accepted.kind, len(fills)) == (EventKind.ACCEPTED, 2)
    assert venue.excess(ann) >= 0


def test_a_rebate_is_paid_by_the_fee_of_the_same_trade(engine):
    """However low the limit of the one who takes: else two accounts could take turns at the venue's fees."""
    venue, (ann, bea, _) = capped_venue(engine, -500, 500), CLIENTS
    venue.order(bea, 0, BUY, 1000, 5000)
    assert len(venue.order(ann, 0, SELL, 1000, 4000)) == 3
    assert venue.balance(SYSTEM_FEES, COIN) >= 0


LOTS = st.one_of(st.integers(1, 7), st.integers(1, 3000))
OFFSET = st.one_of(st.integers(-1, 1), st.integers(-200, 200))
ACTION = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(CLIENTS), st.sampled_from((COARSE, COARSE, COARSE, LINEAR, OPTION)),
    st.sampled_from((BUY, SELL)), LOTS, OFFSET, st.integers(0, len(FORMS) - 1), st.integers(0, 3), st.integers(0, 8),
)  # fmt: skip
PLENTY = {
    EventKind.FILL: 200, EventKind.EDITED: 100, EventKind.TRIGGERED: 80, EventKind.REPLENISHED: 40,
    "package": 5, "reduced": 10, "whole": 10,
}  # fmt: skip


def assault(engine, seed, before, after):
    """Attack, move the marks, attack again; what happened."""
    attack = Assault(engine, seed)
    for action in before:
        attack.act(action)
    attack.shock()
    for action in after:
        attack.act(action)
    return attack.seen


@pytest.mark.parametrize(("name", "seeds"), [("fast", range(60)), ("reference", range(60, 110))])
def test_long_assaults(name, seeds):
    seen = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        seen += assault(ENGINES[name](), seed, random_actions(rng, 100), random_actions(rng, 100))
    assert {what: seen[what] for what, least in PLENTY.items() if seen[what] < least} == {}


@pytest.mark.parametrize("name", sorted(ENGINES))
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.lists(ACTION, max_size=40), st.lists(ACTION, max_size=30))
def test_no_sequence_of_account_commands_gets_through(name, seed, calm, stressed):
    assault(ENGINES[name](), seed, calm, stressed)


@pytest.mark.soak
def test_assaults_for_long():
    for seed in range(10**6, 10**6 + 3000):
        rng = random.Random(seed)
        assault(ENGINES["fast"](), seed, random_actions(rng, 150), random_actions(rng, 150))
