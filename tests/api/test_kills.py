"""kill -9 under load through the WebSocket API: what was acknowledged is there, what is sent again is placed once.

Two accounts name their orders by client id, two by label. In each round all four trade with each other until the venue
is killed in the middle of it. After the restart every acknowledged order and cancel must be there as it was told, then
each order that got no answer is sent again as it was, and after that each is there exactly once, the positions moved by
exactly what the orders filled, and both sides of the market hold the same.
"""

import asyncio
import contextlib
import random
from collections import Counter

import pytest
from dev_venue import DevVenue
from wire import Wire

NAMES = {"alice": "client_order_id", "bob": "client_order_id", "carol": "label", "dave": "label"}
"""What each account names its orders by."""

PERPETUAL = "BTC-PERPETUAL"
IN_FLIGHT = 16
ENDED = ("filled", "cancelled")


class Trader:
    """One account in one round: orders by their name as sent, answers as heard."""

    def __init__(self, account, round_number):
        self.account, self.mark = account, NAMES[account]
        self.rng = random.Random(f"{account}-{round_number}")
        self.prefix = f"{account}-{round_number}-"
        self.sent = {}
        self.answers = {}
        self.resting = []
        self.cancelled = set()
        """Ids of orders whose cancel was acknowledged."""

    def order(self):
        """The next order: near the price, so that about half of them trade."""
        name = f"{self.prefix}{len(self.sent)}"
        method = self.rng.choice(("private/buy", "private/sell"))
        params = {
            "instrument_name": PERPETUAL,
            "amount": self.rng.randrange(1, 6) * 10,
            "price": 60_000 + self.rng.randrange(-20, 21) * 0.5,
            self.mark: name,
        }
        kind = self.rng.random()
        if kind < 0.15:
            params["time_in_force"] = self.rng.choice(("immediate_or_cancel", "fill_or_kill"))
        elif kind < 0.25:
            params["post_only"] = True
        self.sent[name] = (method, params)
        return name, method, params

    @property
    def unanswered(self):
        return [name for name in self.sent if name not in self.answers]

    async def trade(self, wire):
        """Send orders, and now and then a cancel, with IN_FLIGHT unanswered, until the connection breaks."""
        room = asyncio.Semaphore(IN_FLIGHT)

        async def one():
            if self.resting and self.rng.random() < 0.2:
                number = self.resting.pop(self.rng.randrange(len(self.resting)))
                answer = await (await wire.send("private/cancel", {"order_id": number}))
                if "result" in answer:
                    self.cancelled.add(number)
            else:
                name, method, params = self.order()
                answer = self.answers[name] = await (await wire.send(method, params))
                if "result" in answer and answer["result"]["order"]["order_state"] == "open":
                    self.resting.append(answer["result"]["order"]["order_id"])

        async def step():
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await one()
            room.release()

        steps = set()
        while not wire.ended.is_set():
            await room.acquire()
            steps.add(asyncio.create_task(step()))
            steps = {task for task in steps if not task.done()}
        await asyncio.gather(*steps, return_exceptions=True)


async def flooded(venue, traders, rng):
    """Let all trade until the venue is killed, which happens after a number of answers and somewhere in the middle."""
    wires = [await Wire().connect(venue, trader.account) for trader in traders]
    enough, answers = rng.randrange(100, 500), 0
    reached = asyncio.Event()

    def heard(message):
        nonlocal answers
        answers += 1
        if answers >= enough:
            reached.set()

    for wire in wires:
        wire.on_message = heard
    work = [asyncio.create_task(trader.trade(wire)) for trader, wire in zip(traders, wires, strict=True)]
    await asyncio.wait_for(reached.wait(), 60)
    await asyncio.sleep(rng.random() * 0.01)  # at any point of the writer's round, not always after an answer
    venue.process.kill()
    await asyncio.gather(*work)
    venue.process.wait()
    for wire in wires:
        await wire.close()


async def orders_of(wire):
    """All orders that an account has or had, by id."""
    found = await wire.result("private/get_open_orders")
    offset = 0
    while True:
        page = await wire.result(
            "private/get_order_history_by_currency", currency="any", count=1000, offset=offset, include_unfilled=True
        )
        found += page
        offset += len(page)
        if len(page) < 1000:
            return {order["order_id"]: order for order in found}


async def position_of(wire):
    return (await wire.result("private/get_position", instrument_name=PERPETUAL))["size"]


def check_acknowledged(trader, orders):
    """What was told is there, no less than it was."""
    for name, answer in trader.answers.items():
        if "result" not in answer:
            continue
        told = answer["result"]["order"]
        order = orders[told["order_id"]]
        assert order[trader.mark] == name
        assert {field: order[field] for field in ("amount", "price", "direction", "creation_timestamp")} == {
            field: told[field] for field in ("amount", "price", "direction", "creation_timestamp")
        }
        assert order["filled_amount"] >= told["filled_amount"]
        if told["order_state"] in ENDED:
            assert order["order_state"] == told["order_state"]
    for number in trader.cancelled:
        assert orders[number]["order_state"] == "cancelled", number


async def send_again(trader, wire):
    """Each order that got no answer, as it was; the orders it is answered with."""
    again = trader.unanswered
    for name in again:
        method, params = trader.sent[name]
        answer = trader.answers[name] = await wire.ask(method, **params)
        if "result" in answer:
            assert answer["result"]["order"][trader.mark] == name
    return len(again)


async def settled(venue, traders, held):
    """Check a round after its restart; returns how many orders were sent again, and each account's position."""
    again, moved = 0, {}
    wires = {trader: await Wire().connect(venue, trader.account) for trader in traders}
    for trader, wire in wires.items():
        check_acknowledged(trader, await orders_of(wire))
    for trader, wire in wires.items():
        again += await send_again(trader, wire)
    for trader, wire in wires.items():
        orders = await orders_of(wire)
        check_acknowledged(trader, orders)
        mine = [order for order in orders.values() if order.get(trader.mark, "").startswith(trader.prefix)]
        twice = [name for name, times in Counter(order[trader.mark] for order in mine).items() if times > 1]
        assert not twice
        accepted = {answer["result"]["order"]["order_id"] for answer in trader.answers.values() if "result" in answer}
        assert accepted <= {order["order_id"] for order in mine}
        filled = sum(order["filled_amount"] * (1 if order["direction"] == "buy" else -1) for order in mine)
        moved[trader.account] = await position_of(wire)
        assert moved[trader.account] == held[trader.account] + filled
        open_now = {number for number, order in orders.items() if order["order_state"] == "open"}
        assert await wire.result("private/cancel_all") == len(open_now)
    assert sum(moved.values()) == 0
    for wire in wires.values():
        await wire.close()
    return again, moved


def campaign(folder, rounds):
    """Rounds of trading, a kill and the checks; returns what they counted."""
    rng = random.Random(20)
    counted = Counter()
    held = dict.fromkeys(NAMES, 0)
    venue = DevVenue(folder / "venue")
    try:
        for number in range(rounds):
            traders = [Trader(account, number) for account in NAMES]
            asyncio.run(flooded(venue, traders, rng))
            venue.process.wait()
            for trader in traders:
                counted["orders sent"] += len(trader.sent)
                counted["acknowledged"] += sum("result" in answer for answer in trader.answers.values())
                counted["refused"] += sum("error" in answer for answer in trader.answers.values())
                counted["cancels acknowledged"] += len(trader.cancelled)
                counted[f"unanswered {trader.mark}s"] += len(trader.unanswered)
            venue = DevVenue(folder / "venue")
            again, held = asyncio.run(settled(venue, traders, held))
            counted["sent again"] += again
        assert venue.stop() == 0
        assert "Traceback" not in venue.log.read_text()
    finally:
        if venue.process.poll() is None:
            venue.kill()
    assert counted["acknowledged"] > 50 * rounds
    return counted


def test_kills_under_load_lose_nothing_acknowledged_and_duplicate_nothing(tmp_path):
    counted = campaign(tmp_path, 3)
    assert counted["unanswered client_order_ids"] and counted["unanswered labels"], counted


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing_acknowledged_and_duplicate_nothing(tmp_path):
    counted = campaign(tmp_path, 100)
    print("100 kills:", ", ".join(f"{value:,} {name}" for name, value in counted.items()))
