"""A small venue for the tests of this room: node, writer's thread and service in this process, no network, no loop.

What the writer's thread tells is queued here and run by whoever waits for an answer, so a test is one line after the
other: `call` sends a request and runs what comes in until it is answered. A `Socket` is a WebSocket's session that
keeps what was sent to it. Time stands still unless `pass_time` moves it.
"""

import dataclasses
import queue
import time

import msgspec
import numpy as np

import seawall.api.methods
from seawall.api.access import Identity, Key, held_by
from seawall.api.commands import packed
from seawall.api.rpc import Call, parse
from seawall.api.service import Service
from seawall.api.session import Session
from seawall.api.view import View
from seawall.node import Configuration, Node
from seawall.node.publishing import Simulated
from seawall.sim import Prices, SimulatedClock
from seawall.sim.dev_catalogue import CURRENCIES, carry, contract_of, listed_for, note_of, perpetuals
from seawall.vocabulary.hours import DAY_NS
from seawall.vocabulary.instruments import Product
from seawall.vocabulary.publication import Publication
from seawall.vocabulary.records import COMMAND, SYSTEM_ACCOUNTS, Kind, command

assert seawall.api.methods  # fills the table of methods

START_NS = 1_772_438_400 * 10**9
"""2 March 2026, 08:00 UTC, a Monday."""

INDEX_USD = {"BTC": 60_000.0, "ETH": 3_000.0}
ACCOUNTS = ("alice", "bob", "carol")
ALICE, BOB, CAROL = range(SYSTEM_ACCOUNTS, SYSTEM_ACCOUNTS + len(ACCOUNTS))
TIERS = ((-100, 500), (0, 350))
"""Maker and taker fee in millionths: futures, options."""

RIGHTS = {"account": "read_write", "trade": "read_write", "wallet": "read_write"}
PATIENCE_S = 30.0
PERPETUAL, ETHER = "BTC-PERPETUAL", "ETH-PERPETUAL"
PRICE = INDEX_USD["BTC"]


class Venue:
    """A venue with three clients, perpetuals, and futures and options of one expiry `days` ahead."""

    def __init__(self, folder, *, engine="reference", days=7, options=True, clients=ACCOUNTS, opened=True, **settings):
        self.clock = SimulatedClock(START_NS)
        self.configuration = Configuration.of(
            {"data": str(folder / "journal"), "engine": engine, "segment_bytes": 1 << 20, **settings}
        )
        self.node = Node.start(self.configuration, self.clock)
        self._told = queue.SimpleQueue()
        self.view = View()
        self.service = Service(self.node, self.view, self._told.put)
        self.service.clock_ms = lambda: self.clock() // 10**6
        self.service.sequencer.start()
        self.index_usd = dict(INDEX_USD)
        self.contracts = dict(enumerate(perpetuals()))
        if days:
            listed = listed_for(START_NS + days * DAY_NS, self.index_usd)
            self.contracts |= {
                number: contract
                for number, contract in enumerate(listed, len(self.contracts))
                if options or contract.spec.product != Product.OPTION
            }
        self.keys = {
            account: Key(f"key-{name}", f"secret-{name}", account, name, dict(RIGHTS))
            for account, name in enumerate(clients, SYSTEM_ACCOUNTS)
        }
        self.service.access.keys |= {key.id: key for key in self.keys.values()}
        self._version = 0
        if opened:
            self._open(clients)

    # -- what clients do ---------------------------------------------------------------------------------------------

    def call(self, method, account=None, session=None, **params):
        """The answer to a request, as a document with `result` or `error`."""
        return self.send(method, params, account, session)

    def send(self, method, params=None, account=None, session=None):
        """The same with the parameters as a dictionary."""
        session = session or self.session(account)
        answers = []
        call = Call(session, None, lambda document, status: answers.append(document))
        request = parse(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}))
        call.id = request.id
        self.service.serve(call, request)
        self.run_until(lambda: answers)
        return msgspec.json.decode(answers[0])

    def result(self, method, account=None, **params):
        """The result of a request that must succeed."""
        answer = self.call(method, account, **params)
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method, account=None, **params):
        """The error of a request that must fail."""
        answer = self.call(method, account, **params)
        assert "error" in answer, answer
        return answer["error"]

    def buy(self, account, amount, price=None, name=PERPETUAL, **params):
        """An order to buy; returns its object."""
        return self._order("private/buy", account, name, amount, price, params)

    def sell(self, account, amount, price=None, name=PERPETUAL, **params):
        """An order to sell; returns its object."""
        return self._order("private/sell", account, name, amount, price, params)

    def _order(self, method, account, name, amount, price, params):
        params = {"instrument_name": name, "amount": amount, **params}
        params |= {"type": "market"} if price is None and "type" not in params else {"price": price}
        return self.result(method, account, **params)["order"]

    def session(self, account=None, *, websocket=False):
        """A session, logged in as an account."""
        made = Session("127.0.0.1:1", websocket=websocket)
        if account is not None:
            made.identity = self.identity(account)
        return made

    def identity(self, account, /, **rights):
        """All that an account's key may, or only `rights`."""
        key = self.keys[account]
        granted = Key(key.id, key.secret, account, rights=rights or key.rights)
        return Identity(key, held_by(granted), time.time() + 1e6)

    def socket(self, account=None):
        """A WebSocket."""
        return Socket(self, self.session(account, websocket=True))

    # -- what the venue does -----------------------------------------------------------------------------------------

    def submit(self, *records, attachments=b""):
        """Journal commands (arrays, or packed bytes) and hear of them."""
        done = []
        data = b"".join(part if isinstance(part, bytes) else part.tobytes() for part in records)
        self.service.sequencer.submit(data, attachments, lambda seq, error: done.append((seq, error)), urgent=True)
        self.run_until(lambda: done)
        assert done[0][1] is None, done
        return done[0][0]

    def note(self, **note):
        """Journal a note."""
        data = msgspec.json.encode(note)
        return self.submit(packed(Kind.TIME, attachment=len(data)), attachments=data)

    def publish(self, *, gain_cap=None, **index_usd):
        """Publish marks and risk, and the index of each listing, at new index prices; `gain_cap` in atoms, of all."""
        self.index_usd |= index_usd
        now = self.clock()
        self._version += 1
        moving = {number: self._moved(contract, now) for number, contract in self.contracts.items()}
        data = Simulated(self.configuration)(Prices(now, self.index_usd, moving, CURRENCIES))
        if gain_cap is not None:
            made = Publication.decode(data)
            capped = tuple(dataclasses.replace(risk, gain_cap=gain_cap) for risk in made.instruments)
            data = dataclasses.replace(made, instruments=capped).encode()
        parts = []
        for number, contract in self.contracts.items():
            if contract.spec.product != Product.OPTION:
                price = round(self.index_usd[contract.underlying] / contract.delivery_tick)
                parts.append(command(Kind.INDEX, instrument=number, price=price))
        parts.append(command(Kind.PUBLISH, version=self._version, attachment=len(data)))
        return self.submit(*parts, attachments=data)

    def expire(self, name, price_usd):
        """Deliver an instrument."""
        number = self.view.by_name[name].number
        contract = self.contracts.pop(number)
        return self.submit(command(Kind.EXPIRE, instrument=number, price=round(price_usd / contract.delivery_tick)))

    def pass_time(self, seconds):
        """Move the clock and journal that time passed."""
        self.clock.advance(round(seconds * 1e9))
        return self.submit(command(Kind.TIME))

    def run_until(self, answered):
        """Run what the writer's thread tells until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not answered():
            assert time.monotonic() < end, "not answered"
            self._told.get(timeout=PATIENCE_S)()

    def settle(self):
        """Hear of everything that was sent so far."""
        seen = []
        self.service.sequencer.look(lambda: True, lambda *told: seen.append(told))
        self.run_until(lambda: seen)

    def stop(self):
        """End the thread and close the journal."""
        self.service.sequencer.stop()
        self.node.stop()

    def _open(self, clients):
        parts, data = [], []

        def add(kind, attachment=b"", **fields):
            parts.append(command(kind, attachment=len(attachment), **fields))
            data.append(attachment)

        for number, (name, decimals) in enumerate(CURRENCIES):
            add(Kind.CURRENCY, currency=number, amount=decimals)
            note = {"note": "currency", "currency": number, "name": name, "decimals": decimals}
            add(Kind.TIME, msgspec.json.encode(note))
        for fee_class, (maker, taker) in enumerate(TIERS):
            add(Kind.TIER, tier=0, currency=fee_class, price=maker, amount=taker)
        for number, contract in self.contracts.items():
            add(Kind.INSTRUMENT, contract.spec.encode(), instrument=number)
            add(Kind.TIME, msgspec.json.encode(note_of(number, contract, START_NS)))
            if contract.volatility:
                note = {"note": "volatility", "instrument": number, "value": contract.volatility}
                add(Kind.TIME, msgspec.json.encode(note))
        for account, name in enumerate(clients, SYSTEM_ACCOUNTS):
            add(Kind.ACCOUNT, account=account, tier=0)
            add(Kind.TIME, msgspec.json.encode({"note": "account", "account": account, "name": name}))
            for currency, (name, decimals) in enumerate(CURRENCIES):
                coins = 1_000_000 if name == "USDC" else 100
                add(Kind.DEPOSIT, account=account, currency=currency, amount=coins * 10**decimals)
        self.submit(*parts, attachments=b"".join(data))
        self.publish()

    def _moved(self, contract, now):
        made = contract_of(contract.spec, contract.volatility)
        if contract.spec.product != Product.OPTION:
            object.__setattr__(made, "basis", carry(contract.spec, now))
        return made


class Socket:
    """A client's end of a WebSocket, in this process."""

    def __init__(self, venue, session):
        self.venue, self.session = venue, session
        self.frames = []
        """Every message received, in order."""

    def send(self, method, **params):
        """Ask; the call is returned, its answer not waited for."""
        number = len(self.frames) + 1_000
        call = Call(self.session, number, lambda document, _: self.session.push(document.decode()))
        request = parse(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        self.venue.service.serve(call, request)
        return call

    def request(self, method, **params):
        """Ask, and return the answer; notifications that came with it are in `frames`."""
        call = self.send(method, **params)
        self.venue.run_until(lambda: call.answered)
        self.receive()
        return next(frame for frame in self.frames if frame.get("id") == call.id)

    def subscribe(self, *channels, scope="public"):
        """Subscribe; returns the list answered."""
        return self.request(f"{scope}/subscribe", channels=list(channels))["result"]

    def receive(self):
        """Take what waits to be sent; returns it."""
        new = [msgspec.json.decode(text) for text in self.session.outbox]
        self.session.outbox.clear()
        self.session.waiting_bytes = 0
        self.frames += new
        return new

    def told(self, channel):
        """The data of every notification of a channel so far, in order."""
        self.receive()
        return [
            frame["params"]["data"]
            for frame in self.frames
            if frame.get("method") == "subscription" and frame["params"]["channel"] == channel
        ]

    def leave(self):
        """The connection is gone."""
        self.venue.service.hub.leave(self.session)


def fields(records):
    """COMMAND records from packed bytes."""
    return np.frombuffer(records, COMMAND)
