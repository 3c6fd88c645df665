"""A venue mirrored: both engines take all of it, orders go upstream, prices are doubted, it goes on after a stop."""

import msgspec
import numpy as np
import pytest
from dialect import CURRENCIES, FUTURE, LINEAR, OPTION, PERPETUAL, DevVenue

from seawall.api.view import View
from seawall.engine.fast import Fast
from seawall.engine.reference import Reference
from seawall.node.node import Group
from seawall.risk import Seawall, StandardMargin
from seawall.sim import Batch
from seawall.sim.live import DAY_NS
from seawall.venues import Mirror, Quote, Shadow, quotes_of
from seawall.venues.mirror import PUBLISH_NS, STALE_MS
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    SYSTEM_ACCOUNTS,
    EventKind,
    Kind,
    Limit,
    Role,
    Scope,
    Status,
    VenueState,
    command,
    join,
)

SECOND = 10**9
START = 1_780_300_800 * SECOND  # 1 June 2026, 08:00 UTC
EXPIRY = FUTURE["expiration_timestamp"] * 10**6
DEV_START = 1_796_371_080 * SECOND  # 4 December 2026, 07:58 UTC: two minutes before a day's expiry
SHADOWS = (Shadow("ann", {Role.DESK: "basis", Role.FIRM: "house"}), Shadow("ben", {Role.FIRM: "house"}), Shadow("cy"))
DERIBIT = (PERPETUAL, FUTURE, OPTION, LINEAR)
PRICES = {
    "BTC-PERPETUAL": Quote(60_010.2, 60_000.0),
    "BTC-26JUN26": Quote(60_200.0, 60_000.0),
    "BTC-26JUN26-100000-C": Quote(0.0021, 60_000.0, 60_200.0, 0.61),
    "BTC_USDC-PERPETUAL": Quote(60_005.0, 59_990.0),
}


def at(now, quotes=PRICES, **changed):
    """Quotes as of a time; `changed` by name with _ for -."""
    stamped = {name: msgspec.structs.replace(quote, time_ms=now // 10**6) for name, quote in quotes.items()}
    names = {name.replace("-", "_"): name for name in quotes}
    for word, fields in changed.items():
        stamped[names[word]] = msgspec.structs.replace(stamped[names[word]], **fields)
    return stamped


def mirror(model=None):
    return Mirror(model or Seawall(), 0.1, 0.05, ("BTC", "ETH"))


class Play:
    """A mirror on engines that must agree, everything kept."""

    def __init__(self, engines=(Reference,), model=None, now=START):
        self.engines, self.mirror, self.view = [engine() for engine in engines], mirror(model), View()
        self.now, self.seq, self.frames = now, 0, []
        self.send(command(Kind.RULES, version=2))

    def open(self, instruments=DERIBIT, quotes=None, currencies=CURRENCIES):
        quotes = at(self.now) if quotes is None else quotes
        self.take(self.mirror.opening(self.now, currencies, instruments, quotes, SHADOWS))
        return self

    def send(self, *commands):
        return self.take(Batch(join(*commands), b""))

    def take(self, batch):
        batch.commands["seq"] = np.arange(self.seq + 1, self.seq + 1 + len(batch.commands))
        batch.commands["time"] = self.now
        self.seq += len(batch.commands)
        events = [engine.step(*batch) for engine in self.engines]
        assert all(np.array_equal(events[0], other) for other in events)
        self.frames.append((*batch, events[0]))
        self.view.take(Group(*self.frames[-1]))
        self.mirror.observe(events[0])
        return events[0]

    def step(self, quotes=None, seconds=1.0, delivered=None, **changed):
        """Kinds of the commands of a step, each once."""
        self.now += round(seconds * SECOND)
        batch = self.mirror.step(self.now, at(self.now, **changed) if quotes is None else quotes, delivered)
        self.take(batch)
        return {Kind(kind) for kind in batch.commands["kind"]}

    def refused(self):
        return [
            (Kind(commands["kind"][event["seq"] - commands["seq"][0]]), Reason(event["reason"]))
            for commands, _, events in self.frames
            for event in events[events["kind"] == EventKind.REFUSED]
        ]

    def again(self):
        made = mirror(self.mirror._model)
        for frame in self.frames:
            made.recall(*frame)
        return made

    def published(self):
        """Marks of the last publication, by name."""
        for commands, attachments, _ in reversed(self.frames):
            ends = np.cumsum(commands["attachment"])
            for place in np.flatnonzero(commands["kind"] == Kind.PUBLISH):
                data = attachments[ends[place] - commands["attachment"][place] : ends[place]]
                marks = {risk.instrument: risk.mark for risk in Publication.decode(data).instruments}
                return {self.mirror.contracts[number].spec.name: mark for number, mark in marks.items()}
        return {}


KNOWN = (
    "by_name", "contracts", "live", "money", "accounts", "groups", "upstream", "version", "quotes", "_blocks", "_roles",
    "_rates", "_told", "_published", "_published_at", "_unpublished", "_halted", "_specs",
)  # fmt: skip


def same(one, other):
    return [name for name in KNOWN if getattr(one, name) != getattr(other, name)]


@pytest.mark.parametrize("model", [StandardMargin(), Seawall()])
def test_an_opening_is_taken_whole_by_both_engines(model):
    play = Play((Reference, Fast), model).open()
    made = play.mirror
    assert not play.refused() and not made.left_out and made.opened
    assert made.by_name == {"BTC-PERPETUAL": 0, "BTC-26JUN26": 1, "BTC-26JUN26-100000-C": 2, "BTC_USDC-PERPETUAL": 3}
    assert made.money == {"BTC": (0, 8), "USDC": (1, 6)}
    assert made.upstream == SYSTEM_ACCOUNTS
    assert made.accounts == {"ann": 4, "ben": 5, "cy": 6} and made.groups == {"basis": 7, "house": 8}
    assert play.published() == {
        "BTC-PERPETUAL": 120_020, "BTC-26JUN26": 120_400, "BTC-26JUN26-100000-C": 21, "BTC_USDC-PERPETUAL": 60_005,
    }  # fmt: skip
    state = play.engines[0].state()
    assert all(listing["upstream"][0] == made.upstream for listing in state["listings"])
    assert play.engines[0].catalogue.groups[4] == [7, 8, 0]
    assert play.engines[0].catalogue.underlyings[:3] == [0, 0, 2]


def test_the_view_hears_names_units_and_prices():
    view = Play().open().view
    assert {name: listing.number for name, listing in view.by_name.items()} == Play().open().mirror.by_name
    assert view.currencies == {0: ("BTC", 8), 1: ("USDC", 6)}
    assert view.clients[4].name == "ann"
    assert view.index_prices == {"btc_usd": 60_000.0, "btc_usdc": 59_990.0}
    assert view.volatilities == {2: 0.61}
    assert view.tiers == {(0, 0): (0, 500), (0, 1): (16_384, 16_384)}


def test_what_cannot_be_listed_is_left_out_and_says_why():
    odd = [
        PERPETUAL | {"instrument_name": "BTC_USDC", "kind": "spot"},
        PERPETUAL | {"instrument_name": "SOL-PERPETUAL", "base_currency": "SOL", "settlement_currency": "SOL",
                     "price_index": "sol_usd"},
        FUTURE | {"instrument_name": "BTC-1MAY26", "expiration_timestamp": START // 10**6},
        PERPETUAL | {"instrument_name": "BTC-UNQUOTED"},
        PERPETUAL | {"instrument_name": "BTC-OLD"},
        PERPETUAL | {"instrument_name": "BTC-ABSURD"},
        OPTION | {"instrument_name": "BTC-ABSURD-C"},
        PERPETUAL | {"instrument_name": "BTC-WHALE", "contract_size": 2e8, "min_trade_amount": 2e8, "tick_size": 1000},
    ]  # fmt: skip
    quotes = at(START) | {
        "BTC-1MAY26": Quote(60_000.0, 60_000.0, time_ms=START // 10**6),
        "SOL-PERPETUAL": Quote(150.0, 150.0, time_ms=START // 10**6),
        "BTC-OLD": Quote(60_000.0, 60_000.0, time_ms=START // 10**6 - STALE_MS - 1),
        "BTC-ABSURD": Quote(6_000.0, 60_000.0, time_ms=START // 10**6),
        "BTC-ABSURD-C": Quote(0.02, 60_000.0, 600_000.0, 0.6, START // 10**6),
        "BTC-WHALE": Quote(60_000.0, 60_000.0, time_ms=START // 10**6),
    }
    play = Play((Reference, Fast)).open((*odd, *DERIBIT), quotes)
    fields = {name: why.partition(" = ")[0] for name, why in play.mirror.left_out.items()}
    assert fields == {
        "BTC_USDC": "kind", "SOL-PERPETUAL": "base_currency", "BTC-1MAY26": "expiration_timestamp",
        "BTC-UNQUOTED": "quote", "BTC-OLD": "quote", "BTC-ABSURD": "mark_price", "BTC-ABSURD-C": "underlying_price",
        "BTC-WHALE": "min_trade_amount",
    }  # fmt: skip
    assert not play.refused() and len(play.mirror.live) == 4
    assert Play().open(currencies=CURRENCIES[:1]).mirror.left_out.keys() == {"BTC_USDC-PERPETUAL"}


@pytest.mark.parametrize(
    "accounts",
    [
        (Shadow("ann"), Shadow("ann")),
        (Shadow(""),),
        (Shadow("ann", {Role.DESK: "x"}), Shadow("ben", {Role.FIRM: "x"})),
        (Shadow("ann", {Role.UPSTREAM: "x"}),),
        (Shadow("ann", {Role.DESK: "ben"}), Shadow("ben")),
    ],
)
def test_accounts_and_groups_have_names_of_their_own(accounts):
    with pytest.raises(InputError):
        mirror().opening(START, CURRENCIES, DERIBIT, at(START), accounts)


def test_an_order_is_accepted_and_waits_for_the_venue():
    play = Play((Reference, Fast)).open()
    ann = play.mirror.accounts["ann"]
    for number, price in ((0, 119_000), (2, 20), (3, 59_000)):
        currency = play.mirror.contracts[number].spec.currency
        play.send(command(Kind.DEPOSIT, account=ann, currency=currency, amount=10**9 * (10 if currency else 1)))
        events = play.send(
            command(
                Kind.ORDER, account=ann, instrument=number, side=BUY, price=price, quantity=10, client_id=number + 1
            )
        )
        assert events["kind"].tolist() == [EventKind.ACCEPTED, EventKind.STATUS]
        assert events["a"][1] == Status.PENDING
    assert not play.refused()


def test_it_follows_the_market_no_oftener_than_asked():
    play = Play((Reference, Fast)).open()
    assert play.step(seconds=0.5, BTC_PERPETUAL={"mark": 60_400.0, "index": 60_300.0}) == {Kind.INDEX}
    assert play.step(seconds=0.5, BTC_PERPETUAL={"mark": 60_400.0, "index": 60_300.0}) >= {Kind.PUBLISH, Kind.INDEX}
    assert play.published()["BTC-PERPETUAL"] == 120_800 and play.view.index_prices["btc_usd"] == 60_000.0
    still = {"mark": 60_400.0, "index": 60_300.0}
    assert not any(play.step(BTC_PERPETUAL=still) for _ in range(4))  # nothing moved
    assert Kind.PUBLISH not in play.step(seconds=0.9, BTC_PERPETUAL=still)
    assert Kind.PUBLISH in play.step(seconds=0.1, BTC_PERPETUAL=still)
    for moved in ({"mark": 0.0027}, {"underlying": 60_300.0}, {"volatility": 0.65}):
        assert Kind.PUBLISH in play.step(BTC_PERPETUAL=still, BTC_26JUN26_100000_C=moved)
        assert Kind.PUBLISH in play.step(BTC_PERPETUAL=still)
    assert not play.refused()


def test_one_absurd_quote_moves_nothing_and_a_repeated_one_does():
    play = Play((Reference, Fast)).open()
    for changed in ({"mark": 6_000.0}, {"index": 600_000.0}):
        play.step(seconds=6, BTC_PERPETUAL=changed)
        assert play.published()["BTC-PERPETUAL"] == 120_020 and play.view.index_prices["btc_usd"] == 60_000.0
        assert play.mirror.stale == {"BTC-PERPETUAL": "a quote far from the last"}
        play.step(at(play.now, BTC_PERPETUAL=changed), seconds=1)  # the same again is no second quote
        assert play.mirror.stale and play.published()["BTC-PERPETUAL"] == 120_020
        play.step()
        assert not play.mirror.stale
    play.step(BTC_PERPETUAL={"mark": 30_500.0})
    play.step(BTC_PERPETUAL={"mark": 130_500.0})  # another leap, another doubt
    assert play.mirror.stale and play.published()["BTC-PERPETUAL"] == 120_020
    play.step(BTC_PERPETUAL={"mark": 131_000.0})
    assert not play.mirror.stale and play.published()["BTC-PERPETUAL"] == 262_000
    far = {"mark": 0.0001, "volatility": 0.55}
    play.step(seconds=6, BTC_PERPETUAL={"mark": 131_000.0}, BTC_26JUN26_100000_C=far)  # small change, for an option
    assert not play.mirror.stale and play.published()["BTC-26JUN26-100000-C"] == 1


def test_stale_quotes_keep_their_mark_and_a_silent_block_grows_old():
    play = Play((Reference, Fast)).open()
    old = at(play.now - STALE_MS * 10**6)
    some = {"BTC-PERPETUAL": Quote(60_500.0, 60_400.0, time_ms=play.now // 10**6 + 6000)}
    play.step(some | {"BTC-26JUN26": old["BTC-26JUN26"]}, seconds=6)
    assert play.published() == {"BTC-PERPETUAL": 121_000, "BTC-26JUN26": 120_400, "BTC-26JUN26-100000-C": 21}
    assert play.mirror.stale == {
        "BTC-26JUN26": "an old quote", "BTC-26JUN26-100000-C": "no quote", "BTC_USDC-PERPETUAL": "no quote",
    }  # fmt: skip
    assert play.step({}, seconds=60) == set() and len(play.mirror.stale) == 4
    play.send(command(Kind.LIMIT, state=Limit.STALE, amount=30 * SECOND, account=-1, instrument=-1))
    ann = play.mirror.accounts["ann"]
    play.send(command(Kind.DEPOSIT, account=ann, currency=1, amount=10**10))
    play.step(at(play.now + SECOND, {"BTC-PERPETUAL": PRICES["BTC-PERPETUAL"]}))
    play.send(command(Kind.ORDER, account=ann, instrument=3, side=BUY, price=59_000, quantity=1))
    assert play.refused() == [(Kind.ORDER, Reason.STALE)]
    play.step()
    play.send(command(Kind.ORDER, account=ann, instrument=3, side=BUY, price=59_000, quantity=1))
    assert len(play.refused()) == 1 and not play.mirror.stale


def test_expiry_waits_for_its_delivery_price():
    play = Play((Reference, Fast), now=EXPIRY - 2 * SECOND).open()
    names = {"BTC-26JUN26", "BTC-26JUN26-100000-C"}
    left = {name: quote for name, quote in PRICES.items() if name not in names}
    assert play.step(at(play.now + 3 * SECOND, left), seconds=3) == set()
    assert play.mirror.undelivered.keys() == names and not play.mirror.stale
    for _ in range(2):
        kinds = play.step(at(play.now + 6 * SECOND, left), seconds=6)
        assert Kind.PUBLISH in kinds and play.published().keys() == PRICES.keys()
    ann = play.mirror.accounts["ann"]
    play.send(command(Kind.ORDER, account=ann, instrument=1, side=BUY, price=120_000, quantity=1))
    assert play.refused() == [(Kind.ORDER, Reason.EXPIRED)]
    play.step(at(play.now + SECOND, left), delivered={"BTC-26JUN26": 1e9, "BTC-26JUN26-100000-C": 60_123.45})
    assert play.mirror.undelivered == {"BTC-26JUN26": "1000000000.0 is out of the bounds of delivery prices"}
    assert Kind.EXPIRE in play.step(at(play.now + SECOND, left), delivered={"BTC-26JUN26": 60_123.45})
    assert play.mirror.live.keys() == {0, 3} and len(play.mirror.contracts) == 4 and not play.mirror.undelivered
    assert [play.view.listings[n].delivery_price for n in (1, 2)] == [60_123.5, 60_123.45]
    play.step(at(play.now + 6 * SECOND, left), seconds=6)
    assert play.published().keys() == left.keys() and len(play.refused()) == 1


def test_a_mark_beyond_its_band_halts_the_instrument():
    play = Play((Reference, Fast)).open()
    fallen = {"mark": 14_000.0, "index": 14_000.0}
    play.step(BTC_PERPETUAL=fallen)
    assert Kind.STATE in play.step(BTC_PERPETUAL=fallen)
    assert play.published()["BTC-PERPETUAL"] == play.mirror.contracts[0].spec.price_min == 30_005
    assert play.view.states[Scope.INSTRUMENT, 0] == VenueState.HALTED
    assert Kind.STATE not in play.step(seconds=6, BTC_PERPETUAL=fallen)
    assert not play.refused() and not same(play.mirror, play.again())


@pytest.mark.parametrize("changed", [{"tick_size": 0.1}, {"contract_size": 1, "min_trade_amount": 1}])
def test_an_instrument_whose_steps_became_finer_only_reduces(changed):
    play = Play((Reference, Fast)).open()

    def listed(**fields):
        rows = [PERPETUAL | fields, *DERIBIT[1:]]
        return play.take(play.mirror.listed(play.now, rows, at(play.now), CURRENCIES))

    listed()
    listed(tick_size=1.0, min_trade_amount=50, contract_size=10)  # coarser: what the venue takes the engine knows
    assert not play.mirror.left_out and (Scope.INSTRUMENT, 0) not in play.view.states
    assert play.mirror.contract_sizes["BTC-PERPETUAL"] == 10
    listed(contract_size=100, min_trade_amount=100)
    assert play.mirror.contract_sizes["BTC-PERPETUAL"] == 100 and not play.mirror.left_out
    listed(**changed)
    assert play.view.states[Scope.INSTRUMENT, 0] == VenueState.REDUCE_ONLY
    assert str(next(iter(changed.values()))) in play.mirror.left_out["BTC-PERPETUAL"]
    before = play.seq
    listed(**changed)
    assert play.seq == before  # said once
    assert not play.refused()


def test_what_is_new_is_listed_and_published_with_the_next_step():
    play = Play((Reference, Fast)).open((PERPETUAL,), currencies=CURRENCIES[:1])
    play.now += SECOND // 2
    batch = play.mirror.listed(play.now, DERIBIT, at(play.now))
    play.take(batch)
    assert Kind.PUBLISH not in batch.commands["kind"] and play.mirror.left_out.keys() == {"BTC_USDC-PERPETUAL"}
    play.take(play.mirror.listed(play.now, DERIBIT, at(play.now), CURRENCIES))
    assert not play.mirror.left_out and len(play.mirror.live) == 4
    assert Kind.PUBLISH not in play.step({}, seconds=0.25)
    assert not same(play.mirror, play.again())
    assert Kind.PUBLISH in play.step({}, seconds=0.25) and play.published().keys() == PRICES.keys()
    assert not len(play.mirror.listed(play.now, DERIBIT, at(play.now)).commands)
    assert not play.refused()


def test_a_day_of_our_own_development_venue():
    venue, play = DevVenue(DEV_START - DAY_NS), Play((Reference, Fast), now=DEV_START)
    venue.step(DEV_START)
    play.open(venue.instruments(), venue.quotes(), venue.currencies())
    assert not play.mirror.left_out and len(play.mirror.live) == len(venue.instruments())
    for second in range(160):
        venue.step(DEV_START + (second + 1) * SECOND)
        play.step(venue.quotes(), delivered=venue.delivered())
        if second % 20 == 0:
            play.take(play.mirror.listed(play.now, venue.instruments(), venue.quotes()))
        assert not play.mirror.stale and not play.mirror.undelivered
    assert not play.refused() and not play.mirror.left_out
    names = {listing.name for listing in venue.view.listings.values()}
    assert play.mirror.by_name.keys() == names and len(play.mirror.contracts) > len(play.mirror.live)
    for name, number in play.mirror.by_name.items():
        theirs, ours = venue.view.by_name[name], play.view.by_name[name]
        assert ours.expired == theirs.expired and ours.delivery_price == theirs.delivery_price
        if not ours.expired and not ours.option:
            assert play.view.indexes[number] == venue.view.indexes[theirs.number]
    assert all(engine.conserved() for engine in play.engines)


def test_a_recalled_mirror_goes_on_as_the_one_that_stopped():
    venue, play = DevVenue(DEV_START - DAY_NS), Play(now=DEV_START)
    venue.step(DEV_START)
    play.open(venue.instruments(), venue.quotes(), venue.currencies())
    for second in range(130):
        venue.step(DEV_START + (second + 1) * SECOND)
        play.step(venue.quotes(), delivered=venue.delivered())
        if second % 25 == 0:
            other = play.again()
            play.now += PUBLISH_NS  # both publish whatever happened, so that nothing is known to one alone
            now, quotes = play.now, venue.quotes()
            quotes = {name: msgspec.structs.replace(quote, time_ms=now // 10**6) for name, quote in quotes.items()}
            going_on, resumed = play.mirror.step(now, quotes), other.step(now, quotes)
            assert np.array_equal(going_on.commands, resumed.commands)
            assert going_on.attachments == resumed.attachments
            play.take(going_on)
            other.observe(play.frames[-1][2])
            assert not same(play.mirror, other) and not same(play.mirror, play.again())
            play.now = now - PUBLISH_NS


def test_quotes_are_read_from_summaries_and_numbers_that_are_none_are_refused():
    row = {"base_currency": "BTC", "quote_currency": "USD", "mark_price": 60_010.2, "creation_timestamp": 1}
    option = row | {"quote_currency": "BTC", "mark_price": 0, "mark_iv": 61.2, "underlying_price": 60_200.0}
    linear = row | {"quote_currency": "USDC"}
    indices = {"btc_usd": 60_000.0, "btc_usdc": 59_990.0}
    rows = {"A": row, "B": option, "C": linear}
    bad = [
        row | {"mark_price": float("nan")}, row | {"mark_price": None}, row | {"mark_price": -1},
        row | {"mark_price": 0}, row | {"mark_price": float("inf")}, row | {"mark_price": 1e10},
        row | {"mark_price": True}, row | {"base_currency": "SOL"}, row | {"creation_timestamp": None},
        option | {"mark_iv": 20_000}, option | {"mark_iv": None}, option | {"underlying_price": 0},
        option | {"mark_price": -0.1},
    ]  # fmt: skip
    rows |= {f"bad {number}": row for number, row in enumerate(bad)}
    quotes, refused = quotes_of(({**row, "instrument_name": name} for name, row in rows.items()), indices)
    assert quotes == {
        "A": Quote(60_010.2, 60_000.0, time_ms=1),
        "B": Quote(0.0, 60_000.0, 60_200.0, 0.612, 1),
        "C": Quote(60_010.2, 59_990.0, time_ms=1),
    }
    assert len(refused) == len(bad) and all(" = " in why for why in refused.values())


def test_recall_hears_what_was_taken_and_nothing_of_others():
    play = Play().open()
    play.send(command(Kind.EXPIRE, instrument=1, price=120_000), command(Kind.TIER, tier=0, currency=0, amount=20_000))
    for said in (b"\xff", b"[]", b"7", b'{"note":"volatility","instrument":2,"value":0.7}'):
        play.take(Batch(command(Kind.TIME, attachment=len(said)), said))
    assert [reason for _, reason in play.refused()] == [Reason.NOT_EXPIRED, Reason.FEE_RATE]
    assert not same(play.mirror, play.again())
