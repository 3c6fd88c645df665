"""Act 2: what the gate refuses and what it lets pass, with the numbers that decided."""

from typing import Any, Final

from seawall.cli.demonstration.story import Refusal, Story
from seawall.cli.demonstration.venue import CONTRACTS, NUMBER, VALUE_ATOMS, Venue, count_refusals
from seawall.cli.demonstration.wording import price, usd, words
from seawall.node import Configuration
from seawall.vocabulary.reasons import Reason, explain
from seawall.vocabulary.records import BUY, SELL, EventKind, Events, Kind, TimeInForce

USDC: Final = 2
DOLLAR: Final = 10**6
LINEAR, PERPETUAL, ETH = NUMBER["BTC_USDC-PERPETUAL"], NUMBER["BTC-PERPETUAL"], NUMBER["ETH-PERPETUAL"]
FUTURE: Final = max(number for number, contract in enumerate(CONTRACTS) if contract.spec.product == 2)
DELIVERED: Final = min(number for number, contract in enumerate(CONTRACTS) if contract.spec.product == 2)


def gate(story: Story, configuration: Configuration) -> None:
    """Play every case on the venue of act 1."""
    story.act("Bad orders are refused, with the numbers that decided")
    venue = Venue.start(configuration, life=1)
    scene = _Scene(story, venue)
    story.check(f"one command cancelled all {scene.cleared:,} open orders", scene.cleared > 0)
    _ann(scene)
    _bea(scene)
    story.check("money and positions still add up to the atom", venue.node.fold.engine.conserved())
    venue.close(story)


class _Scene:
    """The venue with three more accounts: Ann, Bea, and a dealer who takes the other side."""

    def __init__(self, story: Story, venue: Venue) -> None:
        self.story, self.venue = story, venue
        first = 1 + max(venue.market.agents)
        self.ann, self.bea, self.dealer = first, first + 1, first + 2
        self.cleared = int((venue.ask(Kind.CANCEL_ALL, account=-1, instrument=-1)["kind"] == EventKind.CANCELLED).sum())
        for account, dollars in ((self.ann, 1_000), (self.bea, 200_000), (self.dealer, 50_000_000)):
            venue.ask(Kind.ACCOUNT, account=account, tier=0)
            venue.ask(Kind.DEPOSIT, account=account, currency=USDC, amount=dollars * DOLLAR)

    def mark(self, instrument: int, factor: float = 1.0) -> int:
        """A price in ticks: the mark times `factor`."""
        return round(self.venue.market.marks[instrument] * factor)

    def order(self, account: int, instrument: int, side: int, quantity: int, price: int, **more: Any) -> Events:
        fields = {"instrument": instrument, "side": side, "quantity": quantity, "price": price}
        return self.venue.ask(Kind.ORDER, account=account, **fields, **more)

    def trade(self, instrument: int, side: int, quantity: int) -> None:
        """Bea trades with the dealer at the mark."""
        price = self.mark(instrument)
        self.order(self.dealer, instrument, -side, quantity, price)
        self.order(self.bea, instrument, side, quantity, price, tif=TimeInForce.IOC)

    def refuse(self, asked: str, events: Events, expected: Reason) -> None:
        """Show a refusal and check that it is the one expected."""
        event = events[0]
        count_refusals(self.story.series.refusals, events)
        refused = event["kind"] == EventKind.REFUSED
        reason = Reason(int(event["reason"]))
        sentence = explain(reason, int(event["a"]), int(event["b"])) if refused else ""
        self.story.tell(Refusal(asked, f"refused, {reason.name}" if refused else "not refused", words(event), sentence))
        self.story.check(f"refused as {expected.name}: {asked}", refused and reason == expected, quiet=True)

    def accept(self, asked: str, event: Any, kind: EventKind, words_of: str) -> None:
        """Show something that was not refused."""
        ok = event["kind"] == kind
        self.story.tell(Refusal(asked, kind.name.lower() if ok else "not as expected", words_of, ""))
        self.story.check(f"{kind.name.lower()}: {asked}", ok, quiet=True)


def _ann(scene: _Scene) -> None:
    """A small account with big wishes."""
    ann, contract = scene.ann, CONTRACTS[LINEAR]
    mark = scene.mark(LINEAR)
    immediate = {"tif": TimeInForce.IOC}
    scene.refuse(
        "Ann has 1,000 USDC and buys 900 BTC of BTC_USDC-PERPETUAL, immediate or cancel",
        scene.order(ann, LINEAR, BUY, contract.lots(900), mark, **immediate),
        Reason.MARGIN,
    )
    scene.refuse("She asks for 5,000 BTC", scene.order(ann, LINEAR, BUY, contract.lots(5_000), mark), Reason.QUANTITY)
    scene.refuse("She bids 1 dollar for a coin", scene.order(ann, LINEAR, BUY, 1, 2), Reason.PRICE_BAND)
    scene.refuse("She trades a contract nobody lists", scene.order(ann, 99, BUY, 1, mark), Reason.UNKNOWN_INSTRUMENT)
    scene.refuse(
        f"She trades {CONTRACTS[DELIVERED].spec.name}, delivered this morning",
        scene.order(ann, DELIVERED, BUY, 1, scene.mark(PERPETUAL)),
        Reason.EXPIRED,
    )
    first = scene.order(ann, LINEAR, BUY, contract.lots(0.05), scene.mark(LINEAR, 0.98), client_id=2**40)[0]
    requirement, equity = usd(int(first["a"])), usd(int(first["b"]))
    scene.accept(
        "She bids for 0.05 BTC, 2 % below the mark",
        first,
        EventKind.ACCEPTED,
        f"order {int(first['order_id'])}; requirement {requirement}, equity {equity}",
    )
    again = scene.order(ann, LINEAR, BUY, contract.lots(0.05), scene.mark(LINEAR, 0.98), client_id=2**40)[0]
    scene.accept("Her line drops and she sends it again", again, EventKind.DUPLICATE, words(again))
    scene.story.check("the answer names the first order", int(again["order_id"]) == int(first["order_id"]))
    scene.refuse(
        "The dealer tries to cancel her order",
        scene.venue.ask(Kind.CANCEL, account=scene.dealer, order_id=int(first["order_id"])),
        Reason.NOT_OWNER,
    )
    withdraw = {"account": ann, "currency": USDC}
    scene.refuse(
        "She withdraws 5,000 USDC", scene.venue.ask(Kind.WITHDRAW, **withdraw, amount=5_000 * DOLLAR), Reason.CASH
    )
    scene.refuse(
        "She withdraws 900 USDC, more than her excess",
        scene.venue.ask(Kind.WITHDRAW, **withdraw, amount=900 * DOLLAR),
        Reason.WITHDRAWAL_MARGIN,
    )


def _bea(scene: _Scene) -> None:
    """A hedged account that a fall of ETH takes below its requirement: which closes may it make?"""
    story, venue, bea = scene.story, scene.venue, scene.bea
    for instrument, side, dollars in ((PERPETUAL, BUY, 500_000), (FUTURE, SELL, 500_000), (ETH, BUY, 100_000)):
        scene.trade(instrument, side, CONTRACTS[instrument].lots(dollars))
    excess = venue.node.fold.engine.margin(bea)["excess"]
    amount = (excess - 3_000 * VALUE_ATOMS) * DOLLAR // VALUE_ATOMS
    venue.ask(Kind.WITHDRAW, account=bea, currency=USDC, amount=amount)
    requirement, equity = venue.margin(bea)
    story.say(
        f"Bea is long $500,000 of {CONTRACTS[PERPETUAL].spec.name} against {CONTRACTS[FUTURE].spec.name} and long"
        f" $100,000 of {CONTRACTS[ETH].spec.name}: requirement ${requirement:,.0f}, equity ${equity:,.0f}."
    )
    venue.send(venue.market.shock("ETH", -0.12))
    requirement, equity = venue.margin(bea)
    story.say(f"ETH falls by 12 %: requirement ${requirement:,.0f}, equity ${equity:,.0f}.")
    story.check("Bea is below her requirement", equity < requirement)
    immediate = {"tif": TimeInForce.IOC}
    lots = CONTRACTS[ETH].lots(100_000)
    removed = scene.order(
        bea, PERPETUAL, SELL, CONTRACTS[PERPETUAL].lots(500_000), scene.mark(PERPETUAL, 0.999), **immediate
    )
    scene.refuse("She sells the perpetual, which takes the hedge away", removed, Reason.BELOW_REQUIREMENT)
    story.check("the refusal names the leg to close first, ETH-PERPETUAL", int(removed["instrument"][0]) == ETH)
    low = scene.mark(ETH, 0.6)
    drained = scene.order(bea, ETH, SELL, lots, low, **immediate)
    scene.refuse(
        f"She sells her ETH to a friend at {price(CONTRACTS[ETH], low)}, 40 % below", drained, Reason.BELOW_PRICE
    )
    limiting = int(drained["price"][0])
    story.check("the refusal names a limiting price between her price and the mark", low < limiting < scene.mark(ETH))
    scene.refuse(
        "She tries one tick below it", scene.order(bea, ETH, SELL, lots, limiting - 1, **immediate), Reason.BELOW_PRICE
    )
    fair = scene.mark(ETH, 0.998)
    scene.order(scene.dealer, ETH, BUY, lots, fair)
    closed = scene.order(bea, ETH, SELL, lots, limiting, **immediate)
    fill = closed[closed["kind"] == EventKind.FILL]
    got = price(CONTRACTS[ETH], int(fill["price"][0])) if len(fill) else "nothing"
    scene.accept(
        "She offers it at exactly the limiting price, and the best bid is the dealer's",
        closed[0],
        EventKind.ACCEPTED,
        f"she gets {got}",
    )
    requirement, equity = venue.margin(bea)
    story.say(f"Now: requirement ${requirement:,.0f}, equity ${equity:,.0f}.")
    story.check("the closing order that kept to the rule brought her back above", equity >= requirement)
