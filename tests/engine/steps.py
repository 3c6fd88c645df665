"""The sentences that scenarios in `features/` are written in: one pattern, one action each.

A scenario runs in the venue of `venue.open_weighted`: prices in ticks, quantities in lots, money in dollars where it
says so and else in value atoms, millionths of a dollar. A lot of PERPETUAL, FUTURE or ETHER is worth 6 dollars.
"""

import re
from dataclasses import replace
from pathlib import Path

import venue as contracts
from venue import ANN, BEA, CAT, DEALER, EXPIRY, Venue, open_weighted, weighted

from seawall.vocabulary import bounds
from seawall.vocabulary.publication import Charge
from seawall.vocabulary.reasons import Reason, explain
from seawall.vocabulary.records import (
    BUY,
    FLAG_APPROVED,
    FLAG_DISCONNECTED,
    FLAG_POST_ONLY,
    FLAG_PROTECTED,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    FORBID_OPEN,
    FORBID_TRADE,
    FORBID_WITHDRAW,
    SELL,
    EventKind,
    Kind,
    Limit,
    OrderType,
    Role,
    Scope,
    SelfMatch,
    TimeInForce,
    VenueState,
    Watched,
)  # fmt: skip

FEATURES = Path(__file__).parent / "features"
STEPS = []
DOLLAR = 10**6
HOW = (
    (r"immediate or cancel", lambda m: {"tif": TimeInForce.IOC}),
    (r"fill or kill", lambda m: {"tif": TimeInForce.FOK}),
    (r"post only", lambda m: {"flags": FLAG_POST_ONLY}),
    (r"post only or one tick away", lambda m: {"flags": FLAG_POST_ONLY | FLAG_SLIDE}),
    (r"reduce only", lambda m: {"flags": FLAG_REDUCE_ONLY}),
    (r"as a quote", lambda m: {"flags": FLAG_PROTECTED}),
    (r"showing (\d+)", lambda m: {"display": int(m[1])}),
    (r"under id (\d+)", lambda m: {"client_id": int(m[1])}),
    (r"for strategy (\d+)", lambda m: {"strategy": int(m[1])}),
    (r"labelled (\d+)", lambda m: {"label": int(m[1])}),
    (r"cancelling (newest|oldest|both) of its own", lambda m: {"self_match": SelfMatch[f"CANCEL_{m[1].upper()}"]}),
    (r"decrementing against its own", lambda m: {"self_match": SelfMatch.DECREMENT}),
)
LIMITS = (
    (r"(\w+) may order at most (\d+) lots of (\w+)", Limit.ORDER_QUANTITY, "who lots what"),
    (r"(\w+) may order at most (\d+) dollars at once", Limit.ORDER_NOTIONAL, "who dollars"),
    (r"(\w+) may send one message each (\d+) ns, (\d+) at once", Limit.MESSAGES, "who amount quantity"),
    (r"(\w+) may cancel once each (\d+) ns, (\d+) at once", Limit.CANCELS, "who amount quantity"),
    (r"each strategy of (\w+) may execute (\d+) times in (\d+) ns", Limit.REPEATS, "who amount until"),
    (r"(\w+) may have at most (\d+) orders open", Limit.OPEN_ORDERS, "who amount"),
    (r"(\w+) may have at most (\d+) dollars of orders open", Limit.OPEN_NOTIONAL, "who dollars"),
    (r"(\w+) may hold at most (\d+) lots of (\w+)", Limit.POSITION, "who lots what"),
    (r"(\w+) may hold at most (\d+) dollars of delta in one block", Limit.EXPOSURE, "who dollars"),
    (
        r"(\w+) may fall (\d+) dollars from the highest, (\d+) publications? in a row",
        Limit.DRAWDOWN, "who dollars quantity",
    ),
    (
        r"prices of (\w+) keep within (\d+) millionths of the mark, at least (\d+) ticks?",
        Limit.COLLAR, "what amount quantity",
    ),
    (r"nobody moves (\w+) more than (\d+) millionths in (\d+) ns", Limit.WINDOW_COLLAR, "what amount until"),
    (r"open interest in (\w+) is at most (\d+) lots", Limit.OPEN_INTEREST, "what amount"),
    (
        r"(\w+) halts at a move beyond (\d+) millionths in (\d+) ns, (\d+) takers? in a row",
        Limit.VELOCITY, "what amount until quantity",
    ),
    (r"prices older than (\d+) ns are stale", Limit.STALE, "amount"),
    (r"mark and index may be (\d+) millionths apart", Limit.DIVERGENCE, "amount"),
)  # fmt: skip
FORBIDDEN = {"open positions": FORBID_OPEN, "trade": FORBID_TRADE, "withdraw": FORBID_WITHDRAW}


def scenarios():
    """(file, tags, title, lines) of every scenario there is."""
    found = []
    for path in sorted(FEATURES.glob("*.feature")):
        tags = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            words = line.strip()
            if words.startswith("@"):
                tags = [tag[1:] for tag in words.split()]
            elif words.startswith("Scenario: "):
                found.append((path.stem, tags, words.removeprefix("Scenario: "), []))
                tags = []
            elif words.startswith(("Given ", "When ", "Then ", "And ")):
                found[-1][3].append((number, words.split(" ", 1)[1]))
            elif words and found and found[-1][0] == path.stem:
                raise ValueError(f"{path.name}:{number}: not a line of a scenario: {words}")
    return found


def run(engine, file, lines):
    """Run one scenario; AssertionError names its line."""
    world = World(open_weighted(engine, coins=0))
    for number, sentence in lines:
        step, match = matching(sentence)
        try:
            step(world, *match.groups())
        except AssertionError as wrong:
            raise AssertionError(f"{file}.feature:{number}: {sentence}\n{wrong}\n{world.told()}") from None


def matching(sentence):
    """The one step a sentence means."""
    found = [(step, match) for pattern, step in STEPS if (match := re.fullmatch(pattern, sentence))]
    if len(found) != 1:
        raise ValueError(f"{len(found)} steps for: {sentence}")
    return found[0]


class World:
    """The venue of one scenario, who and what has a name in it, and the events of the last command."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.events, self.orders = venue, [], {}
        self.names = {"Ann": ANN, "Bea": BEA, "Cat": CAT, "Dealer": DEALER}
        self.marks: dict[int, int] = {}
        self.caps: dict[int, int] = {}
        self.charges: dict[int, Charge] = {}

    def told(self):
        """The last events, for a message."""
        return "\n".join(f"    {e.kind.name} {explain(e.reason, e.a, e.b)} {e}" for e in self.events)

    def do(self, kind, **fields):
        """One command."""
        self.events = self.venue.do(kind, **fields)

    def number(self, name):
        """An account's number."""
        return self.names[name]

    def value(self, word):
        """A number, an order's id by its name in quotes, or the time."""
        if word.startswith('"'):
            return self.orders[word.strip('"')]
        return self.venue.time if word == "now" else int(word)

    def define(self, name, role):
        """A new account of that role."""
        self.names[name] = len(self.venue.engine.state()["accounts"])
        self.do(Kind.ACCOUNT, account=self.names[name], type=role)

    def about(self, what):
        """The fields that a state or a kill is about something by."""
        if what == "the venue":
            return {"type": Scope.VENUE}
        if what.startswith("underlying "):
            return {"type": Scope.UNDERLYING, "instrument": int(what.split()[1])}
        if what in self.names:
            return {"type": Scope.ACCOUNT, "account": self.names[what]}
        return {"type": Scope.INSTRUMENT, "instrument": getattr(contracts, what)}

    def named(self, name):
        """The state of an order: (price, remaining, shown) or None once it is gone."""
        state = self.venue.engine.state()
        for listing in state["listings"]:
            for book in (listing["bids"], listing["asks"], *listing["waiting"].values(), [listing["upstream"][1]]):
                for order in (order for level in book for order in level):
                    if order[0] == self.orders[name]:
                        return order
        return None

    def endings(self, name):
        """(reason, a, b) of what ended an order."""
        number = self.orders[name]
        return [(e.reason, e.a, e.b) for e in self.events if e.kind == EventKind.CANCELLED and e.order_id == number]


def step(pattern):
    """Enter a step."""
    return lambda act: STEPS.append((pattern, act)) or act


def how(words):
    """Fields of an order from words after its price, such as ``, post only, showing 5 as "x"``."""
    fields, flags = {}, 0
    for part in filter(None, (words or "").split(", ")):
        matches = [(make, m) for pattern, make in HOW if (m := re.fullmatch(pattern, part))]
        if len(matches) != 1:
            raise ValueError(f"an order cannot be: {part}")
        given = matches[0][0](matches[0][1])
        flags |= given.pop("flags", 0)
        fields |= given
    return fields | {"flags": flags}


def place(world, who, side, lots, what, price, words, name, **more):
    """Place an order and remember it by its name."""
    fields = how(words) | more
    if price == "market":
        fields = {"tif": TimeInForce.IOC} | fields | {"type": OrderType.MARKET}
        price = 0
    world.orders[name or "it"] = world.venue.seq + 1
    world.do(
        Kind.ORDER, account=world.number(who), instrument=getattr(contracts, what),
        side=BUY if side == "buys" else SELL, quantity=int(lots), price=int(price), **fields,
    )  # fmt: skip


ORDER = r'(\w+) (buys|sells) (\d+) (\w+) at (\d+|market)((?:, [^"]*?)?)(?: as "(\w+)")?'


@step(ORDER)
def _order(world, who, side, lots, what, price, words, name):
    place(world, who, side, lots, what, price, words.removeprefix(", "), name)


@step(ORDER.replace("at (", r"for (\d+) ns at (", 1))
def _good_till(world, who, side, lots, what, time, price, words, name):
    until = world.venue.time + 1 + int(time)
    place(world, who, side, lots, what, price, words.removeprefix(", "), name, tif=TimeInForce.GTD, until=until)


@step(
    r"(\w+) (buys|sells) (\d+) (\w+) at (\d+|market) once the (mark|index|last) (turns to|is as good as) (\d+)"
    r'((?:, [^"]*?)?) as "(\w+)"'
)
def _stop(world, who, side, lots, what, price, watched, way, trigger, words, name):
    kinds = {("turns to", True): OrderType.STOP_MARKET, ("turns to", False): OrderType.STOP_LIMIT}
    kinds |= {("is as good as", True): OrderType.TAKE_MARKET, ("is as good as", False): OrderType.TAKE_LIMIT}
    kind = kinds[way, price == "market"]
    price = 0 if price == "market" else price
    more = {"type": kind, "watch": Watched[watched.upper()], "trigger": int(trigger)}
    place(world, who, side, lots, what, price, words.removeprefix(", "), name, **more)


@step(r'(\w+) (buys|sells) (\d+) (\w+) trailing the (mark|index|last) by (\d+)((?:, [^"]*?)?) as "(\w+)"')
def _trailing(world, who, side, lots, what, watched, distance, words, name):
    watch = Watched[watched.upper()]
    place(
        world, who, side, lots, what, 0, words.removeprefix(", "), name,
        type=OrderType.TRAILING, watch=watch, trigger=int(distance),
    )  # fmt: skip


LEG = r'(?: (?:buy|sell) \d+ \w+ at \d+| cancel of "\w+")'


@step(rf"(\w+) sends (in one batch|a package):({LEG}(?:,{LEG})*)")
def _batch(world, who, form, text):
    legs, account = [], world.number(who)
    for leg, part in enumerate(text.strip().split(", ")):
        if part.startswith("cancel"):
            legs.append({"kind": Kind.CANCEL, "account": account, "order_id": world.orders[part.split('"')[1]]})
            continue
        verb, lots, what, _, price = part.split()
        world.orders[f"leg{leg + 1}"] = world.venue.seq + 1 + leg
        legs.append({
            "account": account, "instrument": getattr(contracts, what), "side": BUY if verb == "buy" else SELL,
            "quantity": int(lots), "price": int(price),
        })  # fmt: skip
    world.events = world.venue.package(*legs) if form == "a package" else world.venue.chain(*legs)


@step(r'(\w+) edits "(\w+)" to (\d+) at (\d+)(?:, trigger (\d+))?')
def _edit(world, who, name, lots, price, trigger):
    fields = {"quantity": int(lots), "price": int(price), "trigger": int(trigger or 0)}
    world.do(Kind.EDIT, account=world.number(who), order_id=world.orders[name], **fields)


@step(r'(\w+) cancels "(\w+)"')
def _cancel(world, who, name):
    world.do(Kind.CANCEL, account=world.number(who), order_id=world.orders[name])


@step(r"(\w+) cancels everything(?: labelled (\d+))?")
def _cancel_all(world, who, label):
    world.do(Kind.CANCEL_ALL, account=world.number(who), instrument=-1, label=int(label or 0))


@step(r"(\w+) loses the connection")
def _lost(world, who):
    world.do(Kind.CANCEL_ALL, account=world.number(who), instrument=-1, flags=FLAG_DISCONNECTED)


@step(r"(\w+) wants everything cancelled unless heard of within (\d+) ns")
def _dead_man(world, who, time):
    world.do(Kind.DEAD_MAN, account=world.number(who), until=world.venue.time + 1 + int(time))


@step(r"(\d+) ns pass")
def _pass(world, time):
    world.venue.time += int(time) - 1
    world.do(Kind.TIME)


@step(r"the mark of (\w+) becomes (\d+)")
def _mark(world, what, price):
    world.marks[getattr(contracts, what)] = int(price)
    _publish(world)


@step(r"the marks are published again")
def _publish(world):
    made, charged = weighted(world.marks, caps=world.caps), list(world.charges)
    risks = tuple(
        replace(risk, charges=(charged.index(risk.instrument),) * 2) if risk.instrument in charged else risk
        for risk in made.instruments
    )
    made = replace(made, instruments=risks, charges=tuple(world.charges.values()))
    world.events = world.venue.publish(made)


@step(r"(\w+) beyond (\d+) dollars is charged (\d+) per cent")
def _charge(world, what, dollars, percent):
    rate = int(percent) * 2**14 // 100
    line = (rate, -(rate * int(dollars) * DOLLAR >> bounds.CHARGE_SHIFT))
    world.charges[getattr(contracts, what)] = Charge((line, (-rate, line[1])))


@step(r"gains in (\w+) count up to (\d+) dollars")
def _cap(world, what, dollars):
    world.caps[getattr(contracts, what)] = int(dollars) * DOLLAR


@step(r"(\w+) is settled")
def _settle(world, what):
    world.do(Kind.SETTLE, instrument=getattr(contracts, what))


@step(r"(\d+) dollars of (\w+) became cash and (\d+) dollars wait")
def _settled(world, cash, who, wait):
    (row,) = (e for e in world.events if e.reason == Reason.SETTLED and e.account == world.number(who))
    assert (row.a, row.quantity) == (int(cash) * DOLLAR, int(wait) * DOLLAR)


@step(r"the index of (\w+) becomes (\d+)")
def _index(world, what, price):
    world.do(Kind.INDEX, instrument=getattr(contracts, what), price=int(price))


@step(r"(\w+) (deposits|withdraws) (\d+) dollars?")
def _money(world, who, way, dollars):
    kind = Kind.DEPOSIT if way == "deposits" else Kind.WITHDRAW
    world.do(kind, account=world.number(who), currency=0, amount=int(dollars) * DOLLAR)


@step(r"(\w+) withdraws all but (\d+) dollars of what is free")
def _withdraw_free(world, who, dollars):
    excess = world.venue.excess(world.number(who))
    world.do(Kind.WITHDRAW, account=world.number(who), currency=0, amount=excess - int(dollars) * DOLLAR)


# -- who may what ------------------------------------------------------------------------------------------------------


def set_limit(world, limit, meaning, *words):
    """Set one limit of LIMITS by its words."""
    fields = {}
    for what, word in zip(meaning.split(), words, strict=True):
        if what == "who":
            fields["account"] = world.number(word)
        elif what == "what":
            fields["instrument"] = getattr(contracts, word)
        else:
            name = "amount" if what in ("lots", "dollars") else what
            fields[name] = int(word) * (DOLLAR if what == "dollars" else 1)
    world.do(Kind.LIMIT, state=limit, **fields)


for _pattern, _limit, _meaning in LIMITS:
    STEPS.append((_pattern, lambda world, *words, of=(_limit, _meaning): set_limit(world, *of, *words)))


@step(r"(\w+) may not (open positions|trade|withdraw)(?: in (\w+))?")
def _forbid(world, who, what, where):
    instrument = getattr(contracts, where) if where else -1
    about = {"account": world.number(who), "instrument": instrument}
    world.do(Kind.LIMIT, state=Limit.FORBIDDEN, **about, amount=FORBIDDEN[what])


@step(r"people let (\w+) have any number of orders open")
def _lift(world, who):
    fields = {"account": world.number(who), "amount": bounds.NO_LIMIT, "flags": FLAG_APPROVED}
    world.do(Kind.LIMIT, state=Limit.OPEN_ORDERS, **fields)


@step(r"(desk|firm|owner) (\w+) of (\w+) and (\w+)")
def _group(world, role, name, *members):
    world.define(name, Role[role.upper()])
    for member in members:
        world.do(Kind.MEMBER, account=world.number(member), order_id=world.names[name])


@step(r"(people set|something sets) (the venue|underlying \d+|\w+) to (OPEN|REDUCE_ONLY|HALTED)")
def _state(world, who, what, state):
    flags = FLAG_APPROVED if who == "people set" else 0
    world.do(Kind.STATE, **world.about(what), state=VenueState[state], flags=flags)


@step(r"the kill switch is thrown for (the venue|underlying \d+|\w+)")
def _kill(world, what):
    world.do(Kind.KILL, **world.about(what))


@step(
    r"(\w+) protects its quotes in block (\d+): (\d+) dollars gross, (\d+) of delta, (\d+) of vega in (\d+) ns,"
    r" frozen (\d+) ns"
)
def _protect(world, who, block, gross, delta, vega, window, freeze):
    world.do(
        Kind.PROTECT, account=world.number(who), instrument=int(block), quantity=int(gross) * DOLLAR,
        amount=int(delta) * DOLLAR, version=int(vega) * DOLLAR, until=int(window), display=int(freeze),
    )  # fmt: skip


@step(r"(\w+) resets its protection in block (\d+)")
def _reset(world, who, block):
    world.do(Kind.PROTECT_RESET, account=world.number(who), instrument=int(block))


@step(r"(people|somebody) re-arms? strategy (\d+) of (\w+)")
def _rearm(world, who, strategy, account):
    flags = FLAG_APPROVED if who == "people" else 0
    world.do(Kind.REARM, account=world.number(account), strategy=int(strategy), flags=flags)


@step(r"(\w+) trades at the venue of (\w+)")
def _upstream(world, what, name):
    world.define(name, Role.UPSTREAM)
    world.do(Kind.UPSTREAM, instrument=getattr(contracts, what), account=world.names[name])


@step(r'the venue says that "(\w+)" of (\w+) is (open|over|unknown)')
def _venue_says(world, name, who, what):
    kind = {"open": Kind.ACKNOWLEDGED, "over": Kind.ENDED, "unknown": Kind.UNKNOWN}[what]
    world.do(kind, account=world.number(who), order_id=world.orders[name])


@step(r'the venue says that (\d+) of "(\w+)" of (\w+) traded at (\d+) for (\d+) dollars?')
def _executed(world, lots, name, who, price, fee):
    fields = {"quantity": int(lots), "price": int(price), "amount": int(fee) * DOLLAR}
    world.do(Kind.EXECUTED, account=world.number(who), order_id=world.orders[name], **fields)


@step(r'the venue says that "(\w+)" of (\w+) has (\d+) left at (\d+)')
def _amended(world, name, who, lots, price):
    fields = {"quantity": int(lots), "price": int(price)}
    world.do(Kind.AMENDED, account=world.number(who), order_id=world.orders[name], **fields)


@step(r"the venue says that (\w+) (bought|sold) (\d+) (\w+) at (\d+) for (\d+) dollars?")
def _booked(world, who, way, lots, what, price, fee):
    world.do(
        Kind.BOOKED, account=world.number(who), instrument=getattr(contracts, what),
        side=BUY if way == "bought" else SELL, quantity=int(lots), price=int(price), amount=int(fee) * DOLLAR,
    )  # fmt: skip


@step(r"the venue says that (\w+) (paid|received) (\d+) dollars? over (\w+)")
def _paid_there(world, who, way, dollars, what):
    amount = int(dollars) * DOLLAR * (1 if way == "paid" else -1)
    world.do(Kind.BOOKED, account=world.number(who), instrument=getattr(contracts, what), amount=amount)


@step(r"the year of expiry comes")
def _expiry(world):
    world.venue.time = EXPIRY
    world.do(Kind.TIME)


# -- what then ---------------------------------------------------------------------------------------------------------


@step(r"it is taken")
def _taken(world):
    assert world.events and EventKind.REFUSED not in {event.kind for event in world.events}, "it was not taken"


@step(r'it is refused: ([A-Z_]+) (\d+|"\w+"|now) (\d+|now)')
def _refused(world, reason, a, b):
    found = [(e.kind.name, e.reason.name, e.a, e.b) for e in world.events]
    assert found == [("REFUSED", reason, world.value(a), world.value(b))], found


@step(r"leg (\d) is refused: ([A-Z_]+) (\d+) (\d+)")
def _leg_refused(world, leg, reason, a, b):
    event = world.events[int(leg) - 1]
    assert {e.kind for e in world.events} == {EventKind.REFUSED}, "a leg was taken"
    assert (event.reason.name, event.a, event.b) == (reason, int(a), int(b)), event


@step(r"it is answered with the first order, \"(\w+)\"")
def _duplicate(world, name):
    assert [(e.kind, e.order_id) for e in world.events] == [(EventKind.DUPLICATE, world.orders[name])]


@step(r"(\w+) holds (-?\d+) (\w+)")
def _holds(world, who, lots, what):
    held = world.venue.held(world.number(who), getattr(contracts, what))
    assert held == int(lots), f"holds {held}"


@step(r"(\w+) has (-?\d+) dollars? of cash")
def _cash(world, who, dollars):
    cash = world.venue.balance(world.number(who))
    assert cash == int(dollars) * DOLLAR, f"has {cash}"


@step(r'"(\w+)" has (\d+) left(?:, (\d+) of them shown)?(?:, at (\d+))?')
def _left(world, name, lots, shown, price):
    order = world.named(name)
    assert order, "it is gone"
    assert order[2] == int(lots), f"{order[2]} left"
    assert shown is None or order[16] == int(shown), f"{order[16]} shown"
    assert price is None or order[1] == int(price), f"at {order[1]}"


@step(r'"(\w+)" (waits|is gone)')
def _open(world, name, how_it_is):
    order = world.named(name)
    waits = 1
    assert order is None if how_it_is == "is gone" else order and order[-1] == waits, f"{order}"


@step(r'"(\w+)" ended: ([A-Z_]+) (\d+|"\w+"|now) (\d+|now)')
def _ended(world, name, reason, a, b):
    assert world.endings(name) == [(Reason[reason], world.value(a), world.value(b))], world.endings(name)


@step(r'"(\w+)" fired')
def _fired(world, name):
    fired = [e for e in world.events if e.kind == EventKind.TRIGGERED and e.order_id == world.orders[name]]
    assert len(fired) == 1, "it did not"


@step(r"the (bids|asks) of (\w+) are((?: \"\w+\")+|: none)")
def _queue(world, side, what, names):
    wanted = [] if names == ": none" else [world.orders[name] for name in re.findall(r"\w+", names)]
    levels = world.venue.book(getattr(contracts, what), side)
    levels = levels[::-1] if side == "bids" else levels
    assert [order for level in levels for order, _ in level] == wanted, levels


@step(r"(the venue|underlying \d+|\w+) is (OPEN|REDUCE_ONLY|HALTED)")
def _is(world, what, state):
    about = world.about(what)
    number = about.get("account", about.get("instrument", 0))
    everything = world.venue.engine.state()
    of_venue = about["type"] == Scope.VENUE
    found = everything["venue"][0] if of_venue else everything["states"].get((about["type"], number), 0)
    assert VenueState(found).name == state, VenueState(found).name


@step(r"(\w+) is asked (\d+) dollars")
def _asked(world, who, dollars):
    needed = world.venue.margin(world.number(who))["requirement"]
    assert needed == int(dollars) * DOLLAR, f"asked {needed}"


@step(r"(\w+) and (\w+) are asked as much together as (\w+)")
def _together(world, one, other, whole):
    parts = [world.venue.margin(world.number(who))["requirement"] for who in (one, other)]
    needed = world.venue.margin(world.number(whole))["requirement"]
    assert sum(parts) == needed > 0, f"asked {parts}, and {needed}"


@step(r"(\w+) has (\d+) dollars of equity")
def _equity(world, who, dollars):
    held = world.venue.margin(world.number(who))["equity"]
    assert held == int(dollars) * DOLLAR, f"has {held}"


@step(r"(\w+) is (restricted|restricted no longer)")
def _restricted(world, who, how_it_is):
    kind = EventKind.RESTRICTED if how_it_is == "restricted" else EventKind.LIFTED
    assert [e.account for e in world.events if e.kind == kind] == [world.number(who)]


@step(r"strategy (\d+) of (\w+) is stopped")
def _stopped(world, strategy, who):
    stopped = [(e.account, e.a) for e in world.events if e.kind == EventKind.STOPPED]
    assert stopped == [(world.number(who), int(strategy))], stopped


@step(r"nothing happens")
def _nothing(world):
    assert not world.events
