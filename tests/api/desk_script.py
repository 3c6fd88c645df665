"""A desk in this process before a venue that says what a test has it say.

Gate, shadow, drop copy, engine and journal are the real ones; there is no network. `Script.order` is a bot's order that
the venue answers; `tell_order` and `tell_trade` are what the drop copy hears; `look` is what it asks for every two
seconds; `again` is a desk that finds all of it in the journal.
"""

import asyncio
import contextlib
import json
from collections import Counter
from types import SimpleNamespace

from api_venue import PERPETUAL, Venue

from seawall.api.desk.desk import Desk
from seawall.api.desk.shadow import Shadow
from seawall.api.desk.statement import Taken, taken_of
from seawall.api.desk.tunnel import Tunnel
from seawall.api.rpc import Call
from seawall.cli.bench_ordinary import instrument
from seawall.journal import folders_of, frames
from seawall.node.configuration import Bot
from seawall.node.node import Group
from seawall.node.replay import ENGINES, Fold
from seawall.risk import Seawall
from seawall.venues import Mirror, Quote
from seawall.venues import Shadow as Account
from seawall.venues.connection import VenueError
from seawall.venues.credentials import Credentials
from seawall.vocabulary.records import Kind, Role, command

AT = "main"
"""The account at the venue; alice and bob, who has the labels b-, are its bots."""

NAMES = ("alice", "bob", "rates")
ALICE, BOB, RATES = 4, 5, 6
BOTS = {"alice": Bot(AT, desk="rates"), "bob": Bot(AT, labels=("b-",))}
OPEN = ("open", "untriggered")


class ScriptedVenue:
    """Answers the drop copy from orders and executions that a test has put there."""

    def __init__(self):
        self.orders, self.trades = {}, []
        self.forgotten = set()
        """Orders that it answers 10004 for."""
        self.asked, self.cancelled = Counter(), []

    async def ask(self, method, timeout=10.0, /, **given):
        """The result."""
        self.asked[method] += 1
        return getattr(self, method.removeprefix("private/"))(**given)

    def get_order_state(self, order_id):
        if order_id in self.forgotten or order_id not in self.orders:
            raise VenueError("private/get_order_state", 10004, "order_not_found")
        return self.orders[order_id]

    def get_user_trades_by_order(self, order_id):
        return [trade for trade in self.trades if trade["order_id"] == order_id]

    def get_open_orders(self):
        return [row for row in self.orders.values() if row["order_state"] in OPEN]

    def get_order_history_by_instrument(self, instrument_name, **more):
        return [row for row in self.orders.values() if row["order_state"] not in OPEN]

    def get_user_trades_by_currency_and_time(self, currency, **more):
        rows = [trade for trade in self.trades if trade["instrument_name"].startswith(currency)]
        return {"trades": rows, "has_more": False}

    def get_transaction_log(self, **more):
        return {"logs": [], "continuation": None}

    def get_positions(self):
        held = Counter()
        for trade in self.trades:
            held[trade["instrument_name"]] += trade["amount"] * (1 if trade["direction"] == "buy" else -1)
        return [{"instrument_name": name, "size": size} for name, size in held.items()]

    def get_account_summaries(self):
        return {"summaries": []}

    def cancel(self, order_id):
        row = self.orders[order_id]
        if row["order_state"] not in OPEN:
            raise VenueError("private/cancel", 11044, "not_open_order")
        self.cancelled.append(order_id)
        return row | {"order_state": "cancelled"}


class Script:
    """`async with Script(folder)`."""

    def __init__(self, folder, *, enforce=True, bots=None):
        self.venue, self.folder, self.bots = (
            Venue(folder, opened=False, clients=("", "alice", "rates", "bob")),
            folder,
            bots or BOTS,
        )
        self._open()
        self.there = ScriptedVenue()
        self.alerts = []
        """Kind and facts of each."""
        self._enforce = enforce
        self._begin(Shadow(self.venue.view), enforce)
        self._now = 1_000

    def _open(self):
        """What a desk's journal begins with, and ten bitcoins for each bot."""
        mirror, now = Mirror(Seawall(), 0.1, 0.05, ("BTC",)), self.venue.clock()
        quotes = {PERPETUAL: Quote(60_000.0, 60_000.0, time_ms=now // 10**6)}
        bots = [Account("alice", {Role.DESK: "rates"}), Account("bob")]
        currencies = [{"currency": "BTC", "decimals": 8}]
        commands, data = mirror.opening(now, currencies, [instrument(PERPETUAL)], quotes, bots)
        self.venue.submit(commands, attachments=data)
        numbers = mirror.accounts | mirror.groups
        assert numbers == {"alice": ALICE, "bob": BOB, "rates": RATES} and not mirror.left_out, numbers
        for account in (ALICE, BOB):
            self.venue.submit(command(Kind.DEPOSIT, account=account, currency=0, amount=10 * 10**8))

    def _begin(self, shadow, enforce):
        upstream = SimpleNamespace(url="http://there", http="http://there")
        self.desk = Desk(
            self.venue.service, None, upstream, {AT: Credentials("key", "secret")}, self.bots,
            {"alice": ALICE, "bob": BOB}, lambda kind, **facts: self.alerts.append((kind, facts)), shadow,
            enforce=enforce, withdrawals=False,
        )  # fmt: skip
        self.shadow = shadow
        self.copy = self.desk.copies[AT]
        self.copy.statement.taken = Taken(AT, {}, {}, {}, 0)
        self.copy.venue, self.copy.seeing, self.copy.why = self.there, True, ""
        self.venue.service.listeners[:] = [self.desk.heard]

    async def __aenter__(self):
        self._pump = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error):
        self.desk.flush()
        await asyncio.sleep(0.05)
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
        self.venue.stop()

    async def _run(self):
        while True:
            while not self.venue._told.empty():
                self.venue._told.get()()
            await asyncio.sleep(0.001)

    async def settle(self):
        """Journal what was asked for, and what follows from it."""
        for _ in range(5):
            self.desk.flush()
            await asyncio.sleep(0.02)

    async def again(self, *, enforce=None):
        """A desk that knows what the journal says."""
        await self.settle()
        shadow, fold, statements = Shadow(self.venue.view), Fold(ENGINES["reference"]()), {}
        for frame in frames(folders_of(self.folder / "journal")):
            group = Group(frame.commands, frame.attachments, fold.check(frame))
            shadow.recall(group)
            statements |= {taken.account: taken for taken in taken_of(group)}
        self._begin(shadow, self._enforce if enforce is None else enforce)
        self.desk.recalled(statements)

    def notes(self, name):
        """Notes of a name in the journal."""
        found = []
        for frame in frames(folders_of(self.folder / "journal")):
            offset = 0
            for record in frame.commands:
                data = frame.attachments[offset : offset + int(record["attachment"])]
                offset += int(record["attachment"])
                if record["kind"] == Kind.TIME and data and json.loads(data).get("note") == name:
                    found.append(json.loads(data))
        return found

    # -- what bots and the venue say ---------------------------------------------------------------------------------

    def row(self, id_, side="buy", amount=100, price=59_000.0, state="open", **more):
        """An order of the venue's, from now on."""
        self._now += 1
        before = self.there.orders.get(id_, {"creation_timestamp": self._now, "filled_amount": 0})
        self.there.orders[id_] = before | {
            "order_id": id_, "instrument_name": PERPETUAL, "direction": side, "amount": amount, "price": price,
            "order_state": state, "order_type": "limit", "label": "", "last_update_timestamp": self._now, **more,
        }  # fmt: skip
        return self.there.orders[id_]

    def trade(self, id_, order, amount, price, side="buy", **more):
        """An execution of the venue's."""
        self._now += 1
        self.there.trades.append({
            "trade_id": id_, "order_id": order, "instrument_name": PERPETUAL, "direction": side, "price": price,
            "amount": amount, "fee": 0.0, "fee_currency": "BTC", "label": "", "timestamp": self._now, **more,
        })  # fmt: skip
        return self.there.trades[-1]

    async def call(self, name, account=ALICE, **given):
        """A bot's request to the gate: what is to be told its answer, if it goes. Raises RpcError."""
        call = Call(self.venue.session(account), 1, lambda document, status: None)
        return await self.desk.gate.take_http(call, name, b"", {key: str(value) for key, value in given.items()})

    async def order(self, id_, account=ALICE, side="buy", amount=100, price=59_000.0, answer=None, **more):
        """An order that the venue takes under an id; its row there."""
        given = {"instrument_name": PERPETUAL, "amount": amount, "price": price}
        sent = await self.call(f"private/{side}", account, **given, **more)
        row = self.row(id_, side, amount, price, **{"label": more.get("label", ""), **(answer or {})})
        await self.settle()
        sent.heard(json.dumps({"result": {"order": row, "trades": []}}).encode())
        await self.settle()
        return row

    def tell_order(self, row):
        """The drop copy hears of an order."""
        self._tell("user.orders.any.any.raw", row)

    def tell_trade(self, trade):
        """The drop copy hears of an execution."""
        self._tell("user.trades.any.any.raw", [trade])

    def _tell(self, channel, data):
        self.copy._hear(json.dumps({"method": "subscription", "params": {"channel": channel, "data": data}}))

    async def look(self):
        """What is asked for every two seconds."""
        await self.settle()
        await self.copy.catch_up(self.there)
        await self.settle()

    # -- what is known ---------------------------------------------------------------------------------------------

    def open(self, account=ALICE):
        """Orders of a bot that the engine holds."""
        return list(self.venue.view.client(account).open.values())

    def position(self, account=ALICE):
        """Lots of BTC-PERPETUAL that a bot holds."""
        number = self.venue.view.by_name[PERPETUAL].number
        return self.venue.view.positions.get((account, number), 0)


def run(trip, folder, **more):
    async def whole():
        async with Script(folder, **more) as script:
            await trip(script)

    asyncio.run(whole())


BUY = {"id": 7, "method": "private/buy", "params": {"instrument_name": "BTC-PERPETUAL", "amount": 100, "price": 59_000}}


def tunnel_of(script, account=ALICE):
    """A bot's connection, what it was told, and what would leave for the venue."""
    session, told = script.venue.session(account), []
    session.push = lambda text: told.append(json.loads(text))
    tunnel = Tunnel(script.desk, session)

    async def close():
        pass

    tunnel.venue, tunnel._reading = SimpleNamespace(close=close), asyncio.get_running_loop().create_future()
    return tunnel, told
