"""A desk behind a wire that fails, before a venue that stops, itself killed: both sides agree to the atom afterwards.

In each round two bots trade through the desk over WebSocket and HTTP, with and without labels, while a third account
trades against them at the venue; and one thing goes wrong, again and again or once: a fault of `faulty_wire`, a stop or
kill of the venue, a kill of the desk, or of both. In every other round the bots give orders the ids of other calls, and
send edits to less that the venue refuses with orders that have use for the room. Then the wire is sound again, and once
it is quiet

- each bot's open orders, positions and balances in the desk's journal are those that the venue tells, asked directly;
- no request went over the wire twice, the venue has no order that did not, and every order that it said yes to;
- no order that adds risk went over the wire while the journal held an order of the same bot as unknown;
- the desk has told of no break.

`SEAWALL_SEED` is where the soak begins; a round's faults come from it, its timing from the machine.
"""

import asyncio
import base64
import contextlib
import os
import random
import signal
import time
from collections import Counter, defaultdict
from typing import NamedTuple

import aiohttp
import msgspec
import pytest
from desk_venue import DeskVenue, write_keys
from dev_venue import DevVenue
from faulty_wire import LATE_S, OFTEN, FaultyWire
from wire import Wire

from seawall.api.desk.rows import lots_of, ticks_of
from seawall.api.desk.shadow import Note
from seawall.api.desk.statement import Taken
from seawall.api.remembering import remember
from seawall.api.sockets import free_port
from seawall.api.view import View
from seawall.journal import Tail, folders_of
from seawall.node import ENGINES, Configuration
from seawall.node.node import Group
from seawall.venues.connection import once
from seawall.vocabulary.records import EventKind, Kind, Status

SEED = int(os.environ.get("SEAWALL_SEED", "1"))
BOTS = ("alice", "bob")
OTHER = "carol"
CONTRACTS = {"BTC-PERPETUAL": 10, "ETH-PERPETUAL": 1}
"""What is traded, and the smallest amount."""
STOPS = ("venue stopped", "venue killed", "desk killed", "both killed")
FAULTS = (*OFTEN, *STOPS)
ROUND_S = 1.2
QUIET_S = 60.0
RACE_NS = int((LATE_S + 0.3) * 1e9)
"""An order that was accepted before the one of unknown outcome became so may be that late on the wire."""


class Accepted(NamedTuple):
    at_ns: int
    account: int
    order: int
    price: int
    asked: int
    inside: bool
    smaller: bool


class Books:
    """The desk's journal, folded beside it: each bot's orders, money, and when an outcome was unknown."""

    def __init__(self, data):
        self._folders, self._tail = folders_of(data), None
        self._engine, self.view = ENGINES["fast"](), View()
        self.ids = {}
        """The venue's ids of orders, by number here."""
        self.taken = {}
        self.unknown = defaultdict(list)
        """By account: [began, ended] in nanoseconds, each while some order of its was of unknown outcome."""
        self._orders = {}
        self._terms = {}
        self.taken_in = []
        """Orders and edits accepted: when, what they were, whether in the middle of an unknown outcome, whether an edit
        that only makes smaller."""
        self.held = defaultdict(list)
        """By account and instrument: (nanoseconds, lots) from then on."""

    def read(self):
        self._tail = self._tail or Tail(self._folders)
        while found := self._tail.poll():
            for frame in found:
                self._take(frame)

    def _take(self, frame):
        events = self._engine.step(frame.commands, frame.attachments)
        self.view.take(Group(frame.commands, frame.attachments, events))
        offset = 0
        for record in frame.commands:
            data = frame.attachments[offset : offset + record["attachment"]]
            offset += int(record["attachment"])
            if record["kind"] == Kind.ACKNOWLEDGED and data:
                self.ids[int(record["order_id"])] = msgspec.json.decode(data, type=Note).upstream
            elif record["kind"] == Kind.TIME and b'"statement"' in data:
                taken = msgspec.json.decode(data, type=Taken)
                self.taken[taken.account] = taken
        times = {int(record["seq"]): int(record["time"]) for record in frame.commands}
        self._asked = {int(record["seq"]): int(record["quantity"]) for record in frame.commands}
        self._facts = {int(record["seq"]) for record in frame.commands if record["kind"] == Kind.AMENDED}
        refused = set(events["seq"][events["kind"] == EventKind.REFUSED].tolist())
        changed = set(events["seq"][events["kind"] == EventKind.EDITED].tolist())
        for record in frame.commands[frame.commands["kind"] == Kind.EDIT]:
            seq, account, order, price = (int(record[name]) for name in ("seq", "account", "order_id", "price"))
            if seq not in refused | changed:  # to no more than is filled: a wish to cancel
                asked = self._asked[seq]
                self.taken_in.append(Accepted(int(record["time"]), account, order, price, asked, False, True))
        for event in events:
            self._event(event, times.get(int(event["seq"]), int(frame.commands["time"][-1])))

    def _event(self, event, at):
        kind, order, account = event["kind"], int(event["order_id"]), int(event["account"])
        if kind in (EventKind.ACCEPTED, EventKind.EDITED):
            price, left = int(event["price"]), int(event["quantity"])
            before, rest = self._terms.get(order, (price, 0))
            inside = any(ended is None for _, ended in self.unknown[account])
            asked = self._asked[int(event["seq"])]
            if int(event["seq"]) not in self._facts:
                smaller = price == before and left <= rest
                self.taken_in.append(Accepted(at, account, order, price, asked, inside, smaller))
            self._terms[order] = price, left
        elif kind == EventKind.FILL and order in self._terms:
            price, left = self._terms[order]
            self._terms[order] = price, left - int(event["quantity"])
        if kind == EventKind.STATUS and event["a"] == Status.UNKNOWN:
            self._orders[order] = [at, None]
            self.unknown[account].append(self._orders[order])
        elif order in self._orders and (order not in self._open(account) or kind == EventKind.STATUS):
            self._orders.pop(order)[1] = at
        if kind == EventKind.FILL:
            self.held[account, int(event["instrument"])].append(
                (at, self.view.positions.get((account, int(event["instrument"])), 0))
            )

    def open_spans(self):
        return [span for spans in self.unknown.values() for span in spans if span[1] is None]

    def _open(self, account):
        return self.view.client(account).open if self.view.is_client(account) else {}

    def number(self, name):
        return next(client.number for client in self.view.clients.values() if client.name == name)

    def state(self, name):
        """What the desk believes of a bot: open orders, positions, balances."""
        account = self.number(name)
        orders = {
            self.ids.get(order.id, f"unbound {order.id}"): (
                self.view.listings[order.instrument].name, order.side, order.price, order.remaining
            )
            for order in self._open(account).values()
        }  # fmt: skip
        positions = {
            self.view.listings[instrument].name: lots
            for (holder, instrument), lots in self.view.positions.items()
            if holder == account and lots
        }
        taken, balances = self.taken[name], {}
        for number, (currency, _) in self.view.currencies.items():
            if currency in taken.base:
                own = self.view.ledger.of(account).balance.get(number, 0)
                balances[currency] = own + taken.base[currency] + taken.settled[currency]
        return {"orders": orders, "positions": positions, "balances": balances}

    def state_there(self, venue, name):
        """The same as the venue tells it."""
        orders = {}
        for row in venue.get("private/get_open_orders", name)["result"]:
            listing, side = self.view.by_name[row["instrument_name"]], 1 if row["direction"] == "buy" else -1
            left = lots_of(listing, row["amount"]) - lots_of(listing, row["filled_amount"])
            orders[row["order_id"]] = (row["instrument_name"], side, ticks_of(listing, row["price"], side), left)
        positions = {}
        for row in venue.get("private/get_positions", name)["result"]:
            if row["size"]:
                lots = lots_of(self.view.by_name[row["instrument_name"]], abs(row["size"]))
                positions[row["instrument_name"]] = lots if row["size"] > 0 else -lots
        decimals = dict(self.view.currencies.values())
        balances = {
            row["currency"]: round(row["balance"] * 10 ** decimals[row["currency"]])
            for row in venue.get("private/get_account_summaries", name)["result"]["summaries"]
            if row["currency"] in self.taken[name].base
        }
        return {"orders": orders, "positions": positions, "balances": balances}


class Trader:
    """Sends orders, edits and cancels until its time is over, over whichever connection there is."""

    def __init__(self, venue, account, seed, marks, known, sent):
        """For all traders: `known` has the instrument and direction of each order, `sent` when each request left."""
        self.venue, self.account, self.marks, self.known, self.sent = venue, account, marks, known, sent
        self.rng = random.Random(f"{seed}-{account}")
        self.prefix, self._count = f"{account}-{seed}-", 0
        self.open = []
        self._wire, self._tasks = None, set()
        self.connected, self.enough = asyncio.Event(), False
        self.together = False
        """Whether it sends what must not be mistaken for each other, too."""

    def _order(self):
        name = self.rng.choice(list(CONTRACTS))
        mark, step = self.marks[name]
        params = {
            "instrument_name": name,
            "amount": CONTRACTS[name] * self.rng.randrange(1, 6),
            "price": mark + self.rng.randrange(-8, 9) * step,
        }
        if self.rng.random() < 0.6:
            params["label"] = self.rng.choice((f"{self.prefix}{self._count}", "same"))
        kind = self.rng.random()
        if kind < 0.1:
            params["time_in_force"] = self.rng.choice(("immediate_or_cancel", "fill_or_kill"))
        elif kind < 0.2:
            params["post_only"] = True
        return self.rng.choice(("private/buy", "private/sell")), params

    def _request(self):
        self._count += 1
        draw = self.rng.random()
        if (self.open and draw < 0.15) or len(self.open) > 15:
            return "private/cancel", {"order_id": self.open.pop(self.rng.randrange(len(self.open)))}
        if self.open and draw < 0.4:
            order = self.rng.choice(self.open)
            name, _ = self.known[order]
            mark, step = self.marks[name]
            amount = CONTRACTS[name] * self.rng.randrange(1, 8)
            return "private/edit", {
                "order_id": order,
                "amount": amount,
                "price": mark + self.rng.randrange(-8, 9) * step,
            }
        return self._order()

    def _heard(self, answer):
        order = answer.get("result", {}).get("order") if isinstance(answer.get("result"), dict) else None
        if order is not None and order["order_state"] == "open" and order["order_id"] not in self.open:
            self.open.append(order["order_id"])
            self.known[order["order_id"]] = (order["instrument_name"], order["direction"])

    async def trade(self):
        async with aiohttp.ClientSession() as self._http:
            while not self.enough:
                with contextlib.suppress(
                    ConnectionError, aiohttp.ClientError, OSError, TimeoutError, asyncio.CancelledError
                ):
                    await asyncio.wait_for(self._step(), 2)
                await asyncio.sleep(0.02)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._wire is not None:
                await self._wire.close()

    async def _step(self):
        if self._wire is None or self._wire.ended.is_set():
            if self._wire is not None:
                await self._wire.close()
                self._wire = None
            who = self.venue().accounts[self.account]
            wire = await Wire().connect(self.venue())
            self._wire, wire.on_message = wire, self._heard
            login = {"grant_type": "client_credentials", "client_id": who["key"], "client_secret": who["secret"]}
            await wire.ask("public/auth", **login)
            self.connected.set()
        if self.together and self.open and self.rng.random() < 0.3:
            await self._all_at_once()
            return
        method, params = self._request()
        number = f"{self.prefix}{self._count}"
        self.sent[number] = time.time_ns()
        if self.rng.random() < 0.7:
            await self._wire.send(method, params, number)
        else:
            task = asyncio.create_task(self._by_http(method, params, number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _all_at_once(self):
        """An edit to the least there is, which the venue refuses; an order, and another call with the order's id."""
        name, _ = self.known[order := self.rng.choice(self.open)]
        self._count += 2
        refused = {"order_id": order, "amount": CONTRACTS[name], "price": self.marks[name][0], "trigger_price": 0.33}
        calls = [self._order(), ("private/cancel", {"order_id": "BTC-999999999"})]
        self.rng.shuffle(calls)
        numbers = f"{self.prefix}{self._count - 1}", f"{self.prefix}{self._count}"
        self.sent.update(dict.fromkeys(numbers, time.time_ns()))
        await self._wire.send("private/edit", refused, numbers[0])
        for method, params in calls:
            await self._wire.send(method, params, numbers[1])

    async def _by_http(self, method, params, number):
        who, url = self.venue().accounts[self.account], self.venue().ready["http"]
        headers = {"Authorization": "Basic " + base64.b64encode(f"{who['key']}:{who['secret']}".encode()).decode()}
        asked = {"headers": headers, "middlewares": (once,)}
        with contextlib.suppress(Exception):
            if self.rng.random() < 0.5:
                headers["X-Request"] = number
                query = {key: str(value).lower() for key, value in params.items()}
                request = self._http.get(f"{url}/api/v2/{method}", params=query, **asked)
            else:
                body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                request = self._http.post(f"{url}/api/v2", json=body, **asked)
            async with request as response:
                self._heard(await response.json())


class Campaign:
    """A venue, a wire and a desk, round after round."""

    def __init__(self, folder, seed):
        self.folder, self.seed, self.rng = folder, seed, random.Random(seed)
        self.port = free_port("127.0.0.1")
        self.venue = self._venue()
        self.wire = FaultyWire(self.venue.ready["http"], seed)
        self.wire.__enter__()
        self.where = "at the start"
        self.keys = write_keys(self.venue, folder / "keys.toml")
        text = self.keys.read_text().split("[")
        self.keys.write_text("[".join(part for part in text if part.partition("]")[0] in ("", *BOTS)))
        self.desk = self._desk()
        self.books = Books(folder / "desk")
        self.counted = Counter()
        self.slowest = 0.0
        self.known, self.sent = {}, {}

    def _venue(self):
        return DevVenue(self.folder / "venue", "--port", self.port)

    def _desk(self):
        return DeskVenue(self.folder / "desk", self.wire.url, "enforce", self.keys)

    def close(self):
        for process in (self.desk, self.venue):
            if process.process.poll() is None:
                process.kill()
        self.wire.__exit__()

    def get_once(self):
        """An order by GET whose connection breaks is sent once, though HTTP would have it sent again."""
        self.desk.get("private/get_open_orders", "alice")  # whose token is at hand from now on
        self.wire.fault, self.wire.often["request"] = "request", 1.0
        answer = self.desk.get("private/buy", "alice", instrument_name="BTC-PERPETUAL", amount=10, price=59_000.0)
        self.wire.fault, self.wire.often = None, dict(OFTEN)
        assert answer["error"]["code"] == 13888, answer
        assert len(self.wire.passed) == 1
        self.wire.passed.clear()
        self._quiet()

    # -- a round -------------------------------------------------------------------------------------------------------

    def round(self, number, fault):
        began_ms, first = time.time_ns() // 1_000_000, len(self.wire.passed)
        self.where = f"SEAWALL_SEED={self.seed}, round {number}, {fault}"
        asyncio.run(self._trade(number, fault))
        self.wire.fault = None
        state, waited = self._quiet()
        self.slowest = max(self.slowest, waited)
        passed = self.wire.passed[first:]
        self._check_requests(passed, began_ms, exact=fault not in ("cut there", *STOPS))
        self._check_unknown(passed)
        log = self.desk.log.read_text()
        assert "Traceback" not in log, f"{self.where}: {log[log.index('Traceback') :][:4000]}"
        assert "alert=break" not in log, f"{self.where}: {[x for x in log.splitlines() if 'alert=break' in x]}"
        self.counted["rounds"] += 1
        self.counted["orders and edits sent"] += len(passed)
        self.counted["open at the end"] += sum(len(one["orders"]) for one in state.values())
        print(
            f"{self.where}: {len(passed)} sent, quiet after {waited:.1f} s, {self.wire.done} faults so far", flush=True
        )

    async def _trade(self, number, fault):
        marks = {}
        for name in CONTRACTS:
            row = self.venue.get("public/ticker", instrument_name=name)["result"]
            step = self.books.view.by_name[name].tick if name in self.books.view.by_name else None
            tick = step[0] / step[1] if step else {"BTC-PERPETUAL": 0.5, "ETH-PERPETUAL": 0.05}[name]
            marks[name] = (round(row["mark_price"] / tick) * tick, tick)
        seed = f"{self.seed}-{number}"
        traders = [Trader(lambda: self.desk, bot, seed, marks, self.known, self.sent) for bot in BOTS]
        traders.append(Trader(lambda: self.venue, OTHER, seed, marks, self.known, self.sent))
        for trader in traders[:2]:
            trader.together = number % 2 == 0
            rows = self.venue.get("private/get_open_orders", trader.account)["result"]
            trader.open = [row["order_id"] for row in rows]
            self.known.update({row["order_id"]: (row["instrument_name"], row["direction"]) for row in rows})
        work = [asyncio.create_task(trader.trade()) for trader in traders]
        for trader in traders:
            await asyncio.wait_for(trader.connected.wait(), 30)
        self.wire.fault = fault if fault in OFTEN else None
        await asyncio.sleep(ROUND_S * (self.rng.uniform(0.2, 0.8) if fault in STOPS else 1))
        if fault in STOPS:
            await asyncio.to_thread(self._stop, fault)
            await asyncio.sleep(ROUND_S / 2)
        for trader in traders:
            trader.enough = True
        await asyncio.gather(*work)

    def _stop(self, fault):
        if fault == "venue stopped":
            self.venue.process.send_signal(signal.SIGTERM)
            self.venue.process.wait(30)
        elif fault != "desk killed":
            self.venue.kill()
        if fault in ("desk killed", "both killed"):
            self.desk.kill()
            if self.counted["desks killed"] % 2 == 0:  # the next one goes on from there, the others fold the journal
                settings = {"data": str(self.folder / "desk"), "upstream": {"url": self.wire.url}}
                self.counted["frames remembered"] += remember(Configuration.of(settings))[0]
            self.counted["desks killed"] += 1
        if self.venue.process.poll() is not None:
            self.venue = self._venue()
        if self.desk.process.poll() is not None:
            self.desk = self._desk()

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _quiet(self):
        """Wait until both sides say the same; what they say, and how long it took."""
        began = time.monotonic()
        while True:
            there = {bot: self.books.state_there(self.venue, bot) for bot in BOTS} if self.books.taken else {}
            self.books.read()
            here = {bot: self.books.state(bot) for bot in BOTS} if len(self.books.taken) == len(BOTS) else None
            waited = time.monotonic() - began
            if here == there and not self.books.open_spans():
                return here, waited
            if waited > QUIET_S:
                different = {"unknown": self.books.open_spans()}
                for bot in BOTS:
                    for what in ("orders", "positions", "balances"):
                        ours, theirs = here[bot][what], there[bot][what]
                        if ours != theirs:
                            different[bot, what] = {"here": _unlike(ours, theirs), "there": _unlike(theirs, ours)}
                raise AssertionError(f"{self.where}: not the same after {QUIET_S} s: {different}")
            assert "Traceback" not in self.desk.log.read_text(), f"{self.where}: {self.desk.log}"
            assert self.desk.process.poll() is None, f"{self.where}: the desk ended"
            time.sleep(0.2)

    def _check_requests(self, passed, began_ms, *, exact):
        twice = [number for number, times in Counter(one.number for one in passed).items() if times > 1]
        assert not twice, f"{self.where}: sent twice: {twice}"
        for bot in BOTS:
            sent = [one for one in passed if one.number.startswith(f"{bot}-") and one.method != "private/edit"]
            there = {row["order_id"]: row for row in self._orders_there(bot, began_ms)}
            answers = [one.answer["result"]["order"] for one in sent if one.answer and "result" in one.answer]
            # Restarted, our venue takes an order with a known label for the same one, sent again.
            agreed = {order["order_id"] for order in answers if order["creation_timestamp"] >= began_ms}
            again = len(answers) - len(agreed)
            assert agreed <= set(there), f"{self.where}: {bot}'s {agreed - set(there)} is not there"
            # Without an answer it is not known here whether the venue refused it; the two states being equal is.
            refused = sum(1 for one in sent if one.forwarded and (one.answer is None or "error" in one.answer))
            arrived = Counter(_mark(one.method, one.params) for one in sent if one.forwarded)
            more = Counter(_mark(row["direction"], row) for row in there.values()) - arrived
            assert not more, f"{self.where}: {bot} has more orders there than were sent: {more}"
            least = arrived.total() - refused - again  # the venue may remember what it refused, too
            assert not exact or len(there) >= least, f"{self.where}: {bot}: {len(there)} there, {least} sent"
            self.counted["orders there"] += len(there)
            self.counted["refused there"] += refused

    def _orders_there(self, bot, began_ms):
        rows = self.venue.get("private/get_open_orders", bot)["result"]
        offset = 0
        while True:
            page = self.venue.get(
                "private/get_order_history_by_currency", bot, currency="any", count=1000, offset=offset,
                include_unfilled="true",
            )["result"]  # fmt: skip
            rows += page
            offset += len(page)
            if len(page) < 1000:
                return [row for row in rows if row["creation_timestamp"] >= began_ms]

    def _check_unknown(self, passed):
        """What adds risk and went over the wire in the middle of an unknown outcome of the same bot."""
        books, found = self.books, []
        numbers = {id_: number for number, id_ in books.ids.items()}
        for bot in BOTS:
            account = books.number(bot)
            spans = [(began, ended or time.time_ns()) for began, ended in books.unknown[account]]
            self.counted["outcomes unknown"] += len(spans)
            for one in passed:
                if not one.number.startswith(f"{bot}-") or not any(began < one.at_ns < ended for began, ended in spans):
                    continue
                self.counted["sent while unknown"] += 1
                accepted = self._accepted(account, one, numbers)
                if accepted is None:  # an edit of an order that is over is not weighed: the venue says that it is
                    assert not (one.answer and "result" in one.answer), f"{self.where}: taken unweighed: {one}"
                    self.counted[f"sent while unknown, not weighed, {'refused' if one.answer else 'unanswered'}"] += 1
                    continue
                late = any(accepted.at_ns < began < one.at_ns - RACE_NS and one.at_ns < ended for began, ended in spans)
                if (
                    (accepted.inside or late)
                    and not accepted.smaller
                    and not self._reduces(account, one, accepted.at_ns)
                ):
                    found.append((one, accepted, spans))
            books.unknown[account].clear()
        books.taken_in.clear()
        assert not found, f"{self.where}: sent while an outcome was unknown: {found}"

    def _accepted(self, account, one, numbers):
        """The latest that the journal took in before an order or edit was on the wire, and that may be it.

        Not what its bot had asked for in the same words before, and which never left. An edit is weighed with the worse
        of each term.
        """
        name, direction = self._what(one)
        side = 1 if direction == "buy" else -1
        ticks = ticks_of(self.books.view.by_name[name], float(one.params["price"]), side)
        order = numbers.get(one.params.get("order_id"))
        asked = lots_of(self.books.view.by_name[name], float(one.params["amount"]))
        edit = one.method == "private/edit"

        def may_be(row):
            worse = edit and row.asked >= asked and side * (row.price - ticks) >= 0
            return worse or (row.price, row.asked) == (ticks, asked)

        rows = [
            row
            for row in self.books.taken_in
            if row.account == account
            and may_be(row)
            and order in (None, row.order)
            and self.sent[one.number] <= row.at_ns < one.at_ns
        ]
        return max(rows, key=lambda row: row.at_ns, default=None)

    def _what(self, one):
        if one.method == "private/edit":
            return self.known[one.params["order_id"]]
        return one.params["instrument_name"], one.method.removeprefix("private/")

    def _reduces(self, account, one, accepted_ns):
        """Whether an order is no more than what its bot held the other way: then, within a second, or when the frame
        that took it in began, since what is known of positions is how they stood after each frame.
        """
        name, direction = self._what(one)
        listing, side = self.books.view.by_name[name], 1 if direction == "buy" else -1
        asked = lots_of(listing, float(one.params["amount"]))
        held = [(at, -side * lots) for at, lots in self.books.held[account, listing.number]]
        then = {max((at for at, _ in held if at < moment), default=0) for moment in (one.at_ns, accepted_ns)}
        return any(lots >= asked for at, lots in held if at in then or abs(at - one.at_ns) < 1_000_000_000)


def _mark(side, row):
    """What tells orders apart: the side and the label."""
    return side.removeprefix("private/"), row.get("label", "")


def _unlike(rows, others):
    return {key: value for key, value in rows.items() if others.get(key) != value}


def campaign(folder, seed, faults):
    """Rounds, one for each fault; returns what they counted."""
    made = Campaign(folder, seed)
    try:
        made.get_once()
        for number, fault in enumerate(faults):
            made.round(number, fault)
        assert made.desk.stop() == 0
        assert made.venue.stop() == 0
        for process in (made.desk, made.venue):
            assert "Traceback" not in process.log.read_text()
    finally:
        made.close()
    made.counted["faults"] = made.wire.done
    print(f"SEAWALL_SEED={seed}:", ", ".join(f"{value:,} {name}" for name, value in made.counted.items()))
    return made.counted


def test_a_failing_wire_and_kills_leave_both_sides_the_same(tmp_path):
    faults = ("cut here", "desk killed", "reorder", "venue killed", "cut there", "duplicate")
    counted = campaign(tmp_path, SEED, faults)
    assert counted["outcomes unknown"] and counted["orders there"] > 50, counted
    frame = counted["frames remembered"]
    assert frame and f"snapshot={frame}" in (tmp_path / "desk.log").read_text()


@pytest.mark.soak
def test_five_hundred_rounds_of_faults_leave_both_sides_the_same(tmp_path):
    rng = random.Random(SEED)
    rounds = int(os.environ.get("SEAWALL_ROUNDS", "500"))
    faults = [FAULTS[number % len(FAULTS)] for number in range(rounds)]
    rng.shuffle(faults)
    campaign(tmp_path, SEED, faults)
