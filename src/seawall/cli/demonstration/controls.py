"""Act 3: controls, each with an order it stops and one it must let pass, on a small venue of their own.

Both engines fold that venue's journal: what one refuses, with which numbers, the other does too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from seawall.cli.demonstration.gate import DOLLAR, ETH, LINEAR, PERPETUAL, USDC
from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.venue import CONTRACTS, VALUE_ATOMS, Venue, count_refusals
from seawall.cli.demonstration.wording import lots, price, words
from seawall.node import Configuration, replay
from seawall.vocabulary.bounds import PARTS
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_PROTECTED,
    FORBID_TRADE,
    SELL,
    EventKind,
    Events,
    Kind,
    Limit,
    OrderType,
    Role,
    Scope,
    TimeInForce,
    VenueState,
)

FOLDER: Final = "controls"
SECOND: Final = 10**9
PERCENT: Final = PARTS // 100
CALL: Final = next(
    number
    for number, contract in enumerate(CONTRACTS)
    if contract.spec.option_type > 0 and contract.spec.currency == USDC
)
"""A call settled in dollars."""
MONEY: Final = 100_000_000
"""Dollars of a trader whom margin shall not stop."""


def configuration_of(configuration: Configuration) -> Configuration:
    """The settings of this act's venue: the demo's, in a folder beside its journal."""
    data = str(Path(configuration.data).parent / FOLDER)
    return Configuration.of({"data": data, "engine": configuration.engine, "sim": {"seed": configuration.sim.seed}})


def controls(story: Story, configuration: Configuration) -> None:
    """Meet every control at its limit."""
    story.act("Twenty controls stop what they must, and nothing else")
    own = configuration_of(configuration)
    floor = _Floor(story, Venue.start(own, life=0))
    for meet in (_sizes, _collars, _market_order, _throttle, _repeats, _owner, _restricted, _open_orders, _position):
        meet(floor)
    for meet in (_margin, _desk, _drawdown, _stale, _halt, _kill, _dead_man, _maker, _velocity):
        meet(floor)
    story.check("money and positions add up to the atom", floor.venue.node.fold.engine.conserved(), quiet=True)
    floor.venue.close(story)
    digests = {engine: replay(own.folders, engine).digest for engine in ("fast", "reference")}
    story.check(f"both engines give the same events: digest {digests['fast'][:16]}…", len(set(digests.values())) == 1)


class _Floor:
    """The venue, a dealer who takes the other side, and traders as they are needed."""

    def __init__(self, story: Story, venue: Venue) -> None:
        self.story, self.venue = story, venue
        self.next_account = 1 + max(venue.market.agents)
        self.dealer = self.trader()

    def trader(self, *groups: int, dollars: int = MONEY) -> int:
        """A new account with money, in the groups given."""
        account = self.account(Role.CLIENT)
        for group in groups:
            self.set(Kind.MEMBER, account=account, order_id=group)
        self.venue.ask(Kind.DEPOSIT, account=account, currency=USDC, amount=dollars * DOLLAR)
        return account

    def account(self, role: Role) -> int:
        """A new account or group."""
        self.set(Kind.ACCOUNT, account=self.next_account, type=role)
        self.next_account += 1
        return self.next_account - 1

    def set(self, kind: Kind, **fields: Any) -> None:
        """A parameter, which must be taken."""
        taken = self.venue.ask(kind, **fields)["kind"][0] == EventKind.DEFINED
        self.story.check(f"{kind.name} {fields} is taken", taken, quiet=True)

    def limit(self, limit: Limit, **fields: Any) -> None:
        """A limit of an account, group, instrument or the venue."""
        self.set(Kind.LIMIT, state=limit, **fields)

    def at(self, factor: float = 1.0, instrument: int = LINEAR) -> int:
        """A price in ticks: the mark times `factor`."""
        return round(self.venue.market.marks[instrument] * factor)

    def order(
        self, account: int, side: int, size: float, factor: float = 1.0, *, instrument: int = LINEAR, **more: Any
    ) -> Events:
        """An order of `size` coins or dollars at the mark times `factor`."""
        fields = {"instrument": instrument, "side": side, "price": self.at(factor, instrument)} | more
        return self.venue.ask(Kind.ORDER, account=account, quantity=CONTRACTS[instrument].lots(size), **fields)

    def trade(self, account: int, side: int, size: float, factor: float = 1.0, **more: Any) -> Events:
        """The account trades with the dealer."""
        self.order(self.dealer, -side, size, factor, instrument=more.get("instrument", LINEAR))
        return self.order(account, side, size, factor, tif=TimeInForce.IOC, **more)

    def cancel(self, order: Events) -> Events:
        """Cancel what was accepted."""
        return self.venue.ask(Kind.CANCEL, account=int(order["account"][0]), order_id=int(order["order_id"][0]))

    def clear(self) -> None:
        """Empty the books."""
        self.venue.ask(Kind.CANCEL_ALL, account=-1, instrument=-1)

    def stops(self, asked: str, events: Events, reason: Reason, numbers: tuple[int, int] | None = None) -> None:
        """Claim that it was stopped for that reason and by these numbers; without them, a exceeds b."""
        count_refusals(self.story.series.refusals, events)
        stopped = np.isin(events["kind"], (EventKind.REFUSED, EventKind.CANCELLED))
        found = events[stopped & (events["reason"] == reason)]
        a, b = (int(found["a"][0]), int(found["b"][0])) if len(found) else (0, 0)
        told = words(found[0]) if len(found) else "NOT STOPPED"
        right = (a, b) == numbers if numbers else a > b
        self.story.check(f"{asked}: {reason.name}, {told}", len(found) > 0 and right)

    def passes(self, asked: str, events: Events, kinds: Sequence[EventKind] = (EventKind.ACCEPTED,)) -> None:
        """Claim that it was not."""
        ok = len(events) > 0 and bool(np.isin(kinds, events["kind"]).all())
        self.story.check(f"     passes: {asked}", ok and EventKind.REFUSED not in events["kind"])


def _lots(size: float) -> int:
    return CONTRACTS[LINEAR].lots(size)


def _sizes(floor: _Floor) -> None:
    trader = floor.trader()
    floor.limit(Limit.ORDER_QUANTITY, account=trader, instrument=LINEAR, amount=_lots(5))
    sent = floor.order(trader, BUY, 6)
    floor.stops("C01 A trader may buy 5 BTC at a time and sends 6", sent, Reason.QUANTITY, (_lots(6), _lots(5)))
    floor.passes("5 BTC", floor.order(trader, BUY, 5, 0.99))
    floor.limit(Limit.ORDER_NOTIONAL, account=trader, amount=100_000 * VALUE_ATOMS)
    sent, numbers = floor.order(trader, BUY, 2, instrument=CALL), (120_000 * VALUE_ATOMS, 100_000 * VALUE_ATOMS)
    floor.stops("C02 An order may be on $100,000; he sends calls on 2 BTC", sent, Reason.ORDER_NOTIONAL, numbers)
    floor.passes("calls on 1.6 BTC, $96,000", floor.order(trader, BUY, 1.6, instrument=CALL))


def _collars(floor: _Floor) -> None:
    trader = floor.trader()
    floor.limit(Limit.COLLAR, instrument=LINEAR, amount=2 * PERCENT, quantity=1)
    sent = floor.order(trader, BUY, 1, 1.1)
    floor.stops("C03 A fat finger bids 10 % above the mark", sent, Reason.COLLAR, (floor.at(1.1), floor.at(1.02)))
    floor.passes("a bid 2 % above it", floor.order(trader, BUY, 1, 1.02))
    floor.clear()
    floor.limit(Limit.WINDOW_COLLAR, instrument=ETH, amount=PERCENT, until=60 * SECOND)
    floor.trade(trader, BUY, 1_000, 1.01, instrument=ETH)
    sent, numbers = floor.order(trader, BUY, 1_000, 1.015, instrument=ETH), (floor.at(1.015, ETH), floor.at(1.01, ETH))
    floor.stops("C04 He took ETH 1 % up and goes on, half a per cent more", sent, Reason.WINDOW_COLLAR, numbers)
    floor.passes("another trader at that price", floor.order(floor.trader(), BUY, 1_000, 1.015, instrument=ETH))
    floor.clear()


def _market_order(floor: _Floor) -> None:
    for factor in (1.01, 1.03):
        floor.order(floor.dealer, SELL, 3, factor)
    at_market = {"type": OrderType.MARKET, "tif": TimeInForce.IOC, "price": 0}
    events = floor.order(floor.trader(), BUY, 5, **at_market)
    fills = events[events["kind"] == EventKind.FILL]
    bought, edge = int(fills["quantity"][fills["side"] == BUY].sum()), floor.at(1.02)
    contract = CONTRACTS[LINEAR]
    floor.story.check(
        f"C05 5 BTC bought at market, 3 offered at {price(contract, floor.at(1.01))}, 3 at"
        f" {price(contract, floor.at(1.03))}: {lots(contract, bought)} filled, nothing beyond the collar,"
        f" {price(contract, edge)}",
        bought == _lots(3) and int(fills["price"].max(initial=0)) <= edge,
    )
    floor.clear()


def _throttle(floor: _Floor) -> None:
    bot = floor.trader()
    floor.limit(Limit.MESSAGES, account=bot, amount=SECOND // 10, quantity=3)
    first, *_ = (floor.order(bot, BUY, 0.1, 0.99) for _ in range(3))
    sent, numbers = floor.order(bot, BUY, 0.1, 0.99), (SECOND // 10, SECOND // 10)
    floor.stops("C06 A bot may send 10 orders a second, 3 at once, and sends a fourth", sent, Reason.THROTTLED, numbers)
    floor.passes("a cancel, which has a budget of its own", floor.cancel(first), [EventKind.CANCELLED])
    floor.clear()


def _repeats(floor: _Floor) -> None:
    bot, strategy = floor.trader(), {"strategy": 7}
    floor.limit(Limit.REPEATS, account=bot, amount=3, until=60 * SECOND)
    for _ in range(3):
        floor.trade(bot, BUY, 0.1, **strategy)
    sent = floor.order(bot, BUY, 0.1, **strategy)
    floor.stops("C07 Strategy 7 traded 3 times in a minute and sends again", sent, Reason.STRATEGY_STOPPED, (7, 3))
    floor.set(Kind.REARM, account=bot, **strategy, flags=FLAG_APPROVED)
    floor.passes("the same order, once people re-armed it", floor.order(bot, BUY, 0.1, 0.99, **strategy))
    floor.clear()


def _owner(floor: _Floor) -> None:
    owner = floor.account(Role.OWNER)
    first, second = floor.trader(owner), floor.trader(owner)
    offer = int(floor.order(first, SELL, 1)["order_id"][0])
    sent = floor.order(second, BUY, 1)
    floor.stops("C09 Two accounts of one owner would trade with each other", sent, Reason.SELF_MATCH, (offer, 0))
    bought = floor.order(floor.trader(), BUY, 1, tif=TimeInForce.IOC)
    floor.passes("a stranger takes the offer", bought, [EventKind.ACCEPTED, EventKind.FILL])


def _restricted(floor: _Floor) -> None:
    trader = floor.trader()
    floor.limit(Limit.FORBIDDEN, account=trader, instrument=ETH, amount=FORBID_TRADE)
    sent = floor.order(trader, BUY, 1_000, instrument=ETH)
    floor.stops("C10 ETH is on a trader's restricted list", sent, Reason.FORBIDDEN, (FORBID_TRADE, FORBID_TRADE))
    floor.passes("BTC", floor.order(trader, BUY, 1, 0.99))
    floor.clear()


def _open_orders(floor: _Floor) -> None:
    trader = floor.trader()
    floor.trade(trader, BUY, 5)
    floor.limit(Limit.OPEN_ORDERS, account=trader, amount=2)
    for _ in range(2):
        floor.order(trader, BUY, 1, 0.99)
    sent = floor.order(trader, BUY, 1, 0.99)
    floor.stops("C11 He may have 2 open orders and sends a third", sent, Reason.OPEN_ORDERS, (3, 2))
    floor.passes("an order that sells the 5 BTC he holds", floor.order(trader, SELL, 5, 1.01))
    floor.clear()


def _position(floor: _Floor) -> None:
    trader = floor.trader()
    floor.limit(Limit.POSITION, account=trader, instrument=LINEAR, amount=_lots(5))
    floor.trade(trader, BUY, 5)
    sent, numbers = floor.order(trader, BUY, 1), (_lots(6), _lots(5))
    floor.stops("C12 He holds the 5 BTC he may hold and bids for 1 more", sent, Reason.POSITION_LIMIT, numbers)
    floor.passes("selling the 5", floor.order(trader, SELL, 5, 1.01))
    floor.clear()


def _margin(floor: _Floor) -> None:
    trader, engine = floor.trader(), floor.venue.node.fold.engine
    floor.trade(trader, BUY, 5)
    spare = engine.margin(trader)["excess"] - VALUE_ATOMS
    floor.venue.ask(Kind.WITHDRAW, account=trader, currency=USDC, amount=spare * DOLLAR // VALUE_ATOMS)
    sent = floor.order(trader, BUY, 1)
    floor.stops("C13 He holds 5 BTC, has $1 to spare, and buys 1 more", sent, Reason.MARGIN)
    floor.passes("selling the 5", floor.order(trader, SELL, 5, 1.01))
    floor.clear()


def _desk(floor: _Floor) -> None:
    desk = floor.account(Role.DESK)
    first, second = floor.trader(desk), floor.trader(desk)
    floor.limit(Limit.EXPOSURE, account=desk, amount=500_000 * VALUE_ATOMS)
    floor.trade(first, BUY, 5)
    sent, numbers = floor.order(second, BUY, 4), (540_000 * VALUE_ATOMS, 500_000 * VALUE_ATOMS)
    asked = f"C15 A desk, account {desk}, may be long $500,000: one trader holds $300,000, the other buys $240,000"
    floor.stops(asked, sent, Reason.EXPOSURE, numbers)
    floor.story.check("     the refusal names the desk", int(sent["account"][0]) == desk)
    floor.passes("3 BTC, worth $180,000", floor.order(second, BUY, 3, 0.99))
    floor.clear()


def _drawdown(floor: _Floor) -> None:
    trader, market = floor.trader(), floor.venue.market
    floor.trade(trader, BUY, 5)
    floor.order(trader, BUY, 1, 0.9)
    floor.limit(Limit.DRAWDOWN, account=trader, amount=10_000 * VALUE_ATOMS, quantity=2)
    once = floor.venue.send(market.shock("BTC", -0.05))
    twice = floor.venue.send(market.shock("BTC", 0))
    asked = "C16 He may lose $10,000 from his highest; BTC falls by 5 %, twice published, and he holds 5"
    floor.stops(asked, twice, Reason.DRAWDOWN, (15_000 * VALUE_ATOMS, 10_000 * VALUE_ATOMS))
    floor.story.check("     the first publication alone did nothing", Reason.DRAWDOWN not in once["reason"])
    floor.stops("     he buys 1 BTC more", floor.order(trader, BUY, 1), Reason.REDUCE_ONLY, (_lots(1), 0))
    floor.passes("selling the 5", floor.order(trader, SELL, 5, 1.01))
    floor.clear()


def _stale(floor: _Floor) -> None:
    trader = floor.trader()
    floor.trade(trader, BUY, 5)
    floor.limit(Limit.STALE, amount=60 * SECOND)
    floor.venue.clock.advance(90 * SECOND)
    sent, numbers = floor.order(trader, BUY, 1), (90 * SECOND, 60 * SECOND)
    floor.stops("C17 No mark for 90 seconds, a minute is allowed, and he buys 1 BTC", sent, Reason.STALE, numbers)
    floor.passes("selling the 5 he holds", floor.order(trader, SELL, 5, 1.01))
    floor.venue.send(floor.venue.market.shock("BTC", 0))
    floor.clear()


def _halt(floor: _Floor) -> None:
    trader = floor.trader()
    waiting = floor.order(trader, BUY, 1, 0.99)
    floor.venue.ask(Kind.STATE, state=VenueState.HALTED)
    sent, numbers = floor.order(trader, BUY, 1), (VenueState.HALTED, VenueState.REDUCE_ONLY)
    floor.stops("C18 The venue is halted, and he bids", sent, Reason.VENUE_HALTED, numbers)
    floor.passes("his cancel", floor.cancel(waiting), [EventKind.CANCELLED])
    floor.venue.node.approve_open()


def _kill(floor: _Floor) -> None:
    desk = floor.account(Role.DESK)
    traders = [floor.trader(desk) for _ in range(2)]
    for trader in traders:
        for factor in (0.99, 0.98, 0.97):
            floor.order(trader, BUY, 1, factor)
    other = floor.order(floor.trader(), BUY, 1, 0.99)
    events = floor.venue.ask(Kind.KILL, type=Scope.ACCOUNT, account=desk)
    killed = int((events["reason"] == Reason.KILLED)[events["kind"] == EventKind.CANCELLED].sum())
    floor.story.check(f"C19 One command kills a desk: the {killed} open orders of its 2 traders are gone", killed == 6)
    sent, numbers = floor.order(traders[1], BUY, 1), (VenueState.HALTED, VenueState.REDUCE_ONLY)
    floor.stops("     one of them sends an order", sent, Reason.ACCOUNT_HALTED, numbers)
    lifted = floor.venue.ask(Kind.STATE, type=Scope.ACCOUNT, account=desk)
    floor.stops("     automation lifts it", lifted, Reason.PEOPLE_REQUIRED, (VenueState.OPEN, VenueState.HALTED))
    floor.passes("another trader's order stands and is cancelled", floor.cancel(other), [EventKind.CANCELLED])


def _dead_man(floor: _Floor) -> None:
    bot, other = floor.trader(), floor.trader()
    *_, stays = (floor.order(account, BUY, 1, 0.99) for account in (bot, bot, other))
    floor.set(Kind.DEAD_MAN, account=bot, until=floor.venue.clock() + 10 * SECOND)
    floor.venue.clock.advance(11 * SECOND)
    gone = floor.venue.ask(Kind.TIME)
    floor.story.check(
        "C20 A bot promised to be heard every 10 seconds and is silent for 11: its 2 orders are gone",
        gone["reason"].tolist() == [Reason.DEAD_MAN] * 2 and set(gone["account"].tolist()) == {bot},
    )
    floor.passes("another trader's order stands and is cancelled", floor.cancel(stays), [EventKind.CANCELLED])


def _maker(floor: _Floor) -> None:
    maker, block = floor.trader(), {"instrument": CONTRACTS[LINEAR].spec.block}
    bought, most = _lots(3) * floor.at() * CONTRACTS[LINEAR].spec.multiplier, 150_000 * VALUE_ATOMS
    floor.set(Kind.PROTECT, account=maker, **block, quantity=2 * most, amount=most, until=SECOND)
    for side in (BUY, SELL):
        floor.order(maker, side, 5, 1 - 0.001 * side, flags=FLAG_PROTECTED)
    events = floor.order(floor.trader(), BUY, 3, 1.001, tif=TimeInForce.IOC)
    asked = "C21 A maker may take $150,000 of delta a second by its quotes; 3 BTC of them are bought"
    floor.stops(asked, events, Reason.MAKER_PROTECTION, (bought, most))
    sent = floor.order(maker, BUY, 1, 0.999, flags=FLAG_PROTECTED)
    frozen = len(sent) == 1 and sent["reason"][0] == Reason.FROZEN
    both = int((events["kind"] == EventKind.CANCELLED).sum()) == 2
    floor.story.check("     both quotes are pulled and a new one refused until the maker resets it", frozen and both)
    floor.set(Kind.PROTECT_RESET, account=maker, **block)
    floor.passes("the maker's quote after that", floor.order(maker, BUY, 1, 0.999, flags=FLAG_PROTECTED))
    floor.clear()


def _velocity(floor: _Floor) -> None:
    trader, of = floor.trader(), {"instrument": PERPETUAL}
    floor.limit(Limit.VELOCITY, **of, amount=2 * PERCENT, quantity=2, until=60 * SECOND)
    waiting = floor.order(trader, BUY, 1_000, 0.9, **of)
    events = [floor.trade(trader, BUY, 1_000, factor, **of) for factor in (1.0, 1.03, 1.03)]
    halts = [int((each["reason"] == Reason.VELOCITY).sum()) for each in events]
    floor.story.check(
        "C22 BTC-PERPETUAL may move 2 % in a minute, twice confirmed; two takers trade 3 % above: it is halted by the"
        " second, not by the first",
        halts == [0, 0, 1],
    )
    sent = floor.order(trader, BUY, 1_000, **of)
    floor.stops("     an order there", sent, Reason.INSTRUMENT_HALTED, (VenueState.HALTED, VenueState.REDUCE_ONLY))
    floor.passes("a cancel there", floor.cancel(waiting), [EventKind.CANCELLED])
    floor.clear()
