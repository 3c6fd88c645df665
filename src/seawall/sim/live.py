"""The market inside `seawall serve --dev`: the simulated one in real time, told the wall clock, going on over restarts.

`step`, called about once a second, does in this order, each where it is due: funding at the whole hours, settlement at
08:00 UTC, delivery of what expired and listing of what follows; the walk of the index; a publication; the agents. All
that happens at the clock's hours happens at the index as last known, so a market that was stopped over an hour does at
its first step what it would have done then: a FUNDING for each hour missed, 24 at most, one settlement, the deliveries.

Everything follows from the seed and the times given: the randomness of a step is drawn from (seed, now), volatilities
and premiums are functions of the time, and the index is whole ticks, as journalled. So what `recall` learns from a
journal is all there is to know, and a market that recalled goes on as the one that was stopped would have.

One batch at a time: the events of a batch are to be observed before the next `step`.

What the wire needs and no command says is journalled as notes: JSON attachments of TIME commands, which both engines
take for nothing. Of each instrument "listing" (`dev_catalogue.note_of`) and, of options, "volatility"; of each currency
and client account its name; of each of the agents "agent"; and with every FUNDING "funding", its rates as fractions.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from seawall.sim import dev_catalogue as listing
from seawall.sim.agents import Agent, Sight, live_cast
from seawall.sim.catalogue import BTC, COINS, ETH, USDC, Contract
from seawall.sim.dev_catalogue import CURRENCIES
from seawall.sim.market import Batch, Prices, Speaker, marks_of, walk
from seawall.vocabulary.bounds import INSTRUMENTS_MAX
from seawall.vocabulary.hours import DAY_NS, HOUR_NS, venue_day
from seawall.vocabulary.instruments import Instrument, Product
from seawall.vocabulary.records import EVENT, SYSTEM_ACCOUNTS, Commands, EventKind, Events, Kind, Scope, VenueState

CLIENTS: Final = ("alice", "bob", "carol", "dave")
"""Accounts of clients, from SYSTEM_ACCOUNTS on."""

FUNDS: Final = {BTC: 10 * 10**8, ETH: 100 * 10**8, USDC: 1_000_000 * 10**5}
"""What each is given: 10 BTC, 100 ETH, 1,000,000 USDC, in atoms."""

ELAPSED_MAX_NS: Final = 60 * 10**9
"""The index walks for no longer than this in one step; after a longer pause the agents first withdraw their quotes."""

HOURS_MADE_UP: Final = 24
YEAR_NS: Final = 365 * DAY_NS
_INDEX_OF: Final = {"BTC": 0, "ETH": 1}  # the perpetual whose INDEX commands tell a coin's
_EVENT_FIELDS: Final = EVENT.names or ()
_TELLING: Final = np.zeros(256, bool)
_TELLING[[Kind.INSTRUMENT, Kind.TIME, Kind.INDEX, Kind.PUBLISH, Kind.FUNDING, Kind.SETTLE, Kind.EXPIRE]] = True


class Publisher(Protocol):
    """What decides when this market publishes, and makes its publications."""

    def __call__(self, prices: Prices) -> bytes:
        """The attachment of a PUBLISH command."""
        ...

    def due(self, prices: Prices) -> bool:
        """Whether one is due."""
        ...

    def recall(self, prices: Prices) -> None:
        """These were published last, by one's predecessor."""
        ...


class LiveMarket(Speaker):
    """One market in real time.

    index_usd   index by coin, dollars
    live        contracts by instrument number
    volatility  annual mark volatility by option, as last published
    premium     by perpetual: fraction of the mark over the index, and the funding rate for 8 hours, as last published
    funding     by perpetual: the rate for 8 hours of the last FUNDING
    venue       state of the venue: nobody trades unless it is open; set it where STATE events were not heard
    """

    def __init__(self, seed: int, publish: Publisher, *, trades: bool) -> None:
        """`publish` is this market's alone; without `trades` the prices move, and nobody quotes."""
        super().__init__()
        self.index_usd = dict(COINS)
        self.live: dict[int, Contract] = {}
        self.volatility: dict[int, float] = {}
        self.premium: dict[int, float] = {}
        self.funding: dict[int, float] = {}
        self.venue = VenueState.OPEN
        self.version = 0
        self.agents: dict[int, Agent] = {}
        self._seed, self._publish, self._trades = seed, publish, trades
        self._phases = np.random.Generator(np.random.PCG64([seed])).uniform(0, 2 * np.pi, 16).tolist()
        self._marks: dict[int, int] = {}
        self._unread = b""  # a publication whose marks nobody asked for yet
        self._instruments = 0
        self._unnoted: set[int] = set()
        self._now = self._moved = 0
        self._published: tuple[int, dict[str, float]] = (0, dict(COINS))
        self._funded = self._settled = 0  # whole hours and venue days since the epoch

    @property
    def marks(self) -> Mapping[int, int]:
        """Published marks by instrument, in ticks."""
        if self._unread:
            self._marks, self._unread = marks_of(self._unread), b""
        return self._marks

    @property
    def opened(self) -> bool:
        """Whether an opening was observed or recalled, up to its publication."""
        return self.version > 0

    def opening(self, now_ns: int) -> Batch:
        """All commands of a new venue: money, instruments, accounts with deposits, index prices, a publication."""
        self._now = self._moved = now_ns
        self._funded, self._settled = now_ns // HOUR_NS, venue_day(now_ns)
        self._define_money(CURRENCIES)
        for number, (name, decimals) in enumerate(CURRENCIES):
            self._note({"note": "currency", "currency": number, "name": name, "decimals": decimals})
        for contract in listing.perpetuals():
            self._list(contract, now_ns)
        self._roll(now_ns)
        for account, name in enumerate(CLIENTS, SYSTEM_ACCOUNTS):
            self._define_account(account, 0, FUNDS)
            self._note({"note": "account", "account": account, "name": name})
        if self._trades:
            for agent in live_cast(SYSTEM_ACCOUNTS + len(CLIENTS)):
                self.agents[agent.account] = agent
                self._define_account(agent.account, agent.tier, agent.deposits)
                self._note({"note": "agent", "account": agent.account, "name": agent.name})
        self._tell_index(COINS)
        self._publish_now(now_ns)
        return self._take()

    def step(self, now_ns: int) -> Batch:
        """What happens between the step before and `now_ns` (nanoseconds since the epoch; going back counts as now)."""
        now = max(now_ns, self._now)
        pause = now - self._moved
        self._now = now
        rng = np.random.Generator(np.random.PCG64([self._seed, now]))
        for number in sorted(self._unnoted):
            self._note_listing(number, now)
        if not self.premium:
            at, index = self._published  # recalled: what was last published
            self._publish.recall(self._price(Prices(at, index, self._priced(at), CURRENCIES)))
        self._fund(now)
        rolled = self._roll(now)
        self._walk(now, rng)
        if rolled or self._publish.due(Prices(now, self.index_usd, self._priced(now), CURRENCIES)):
            self._publish_now(now)
        if pause > ELAPSED_MAX_NS or not self._trades or self.venue != VenueState.OPEN:
            self._withdraw()
        else:
            sight = Sight(self.live, self.marks, rng)
            for agent in self.agents.values():
                agent.act(sight, lambda kind, agent=agent, **fields: self._add(kind, account=agent.account, **fields))
        return self._take()

    def observe(self, events: Events) -> None:
        """Learn what became of commands, one's own and others'."""
        kinds = events["kind"]
        own = events["account"] >= SYSTEM_ACCOUNTS + len(CLIENTS) if self.agents else False
        for row in events[own | (kinds == EventKind.PUBLISHED) | (kinds == EventKind.STATE)].tolist():
            event = dict(zip(_EVENT_FIELDS, row, strict=True))  # many a journal is recalled: numpy's are slow to read
            if event["kind"] == EventKind.PUBLISHED:
                self.version = event["a"]
            elif event["kind"] == EventKind.STATE:
                if event["currency"] == Scope.VENUE:
                    self.venue = VenueState(event["a"])
            elif event["account"] in self.agents:
                self.agents[event["account"]].hear(event)

    def recall(self, commands: Commands, attachments: bytes, events: Events) -> None:
        """Learn from a journalled frame and its events, in order from the first, what one's predecessor knew."""
        ends = np.cumsum(commands["attachment"])
        kinds = commands["kind"]
        telling = _TELLING[kinds] & ((kinds != Kind.INDEX) | (commands["instrument"] < len(_INDEX_OF)))
        for position in np.flatnonzero(telling):
            record = commands[position]
            end = int(ends[position])
            self._remember(record, attachments[end - int(record["attachment"]) : end])
        if len(commands):
            self._now = max(self._now, int(commands["time"].max()))
        self.observe(events)

    def _remember(self, record: Any, attachment: bytes) -> None:
        kind, instrument, time = int(record["kind"]), int(record["instrument"]), int(record["time"])
        if kind == Kind.INSTRUMENT:
            self._instruments = instrument + 1
            self.live[instrument] = listing.contract_of(Instrument.decode(attachment))
            self._unnoted.add(instrument)
            if not instrument:
                self._funded, self._settled = time // HOUR_NS, venue_day(time)
        elif kind == Kind.TIME:
            self._recall_note(attachment)
        elif kind == Kind.INDEX:
            contract = self.live[instrument]
            self.index_usd[contract.underlying] = int(record["price"]) * contract.tick
            self._moved = time
        elif kind == Kind.PUBLISH:
            self._unread = attachment
            self._published = (time, dict(self.index_usd))
        elif kind == Kind.FUNDING:
            self._funded = time // HOUR_NS
        elif kind == Kind.SETTLE:
            self._settled = venue_day(time)
        elif kind == Kind.EXPIRE:
            self._delivered(instrument)

    def _recall_note(self, attachment: bytes) -> None:
        try:
            note = msgspec.json.decode(attachment)
        except ValueError:  # not one of ours
            return
        if not isinstance(note, dict):
            return
        kind, number = note.get("note"), note.get("instrument", 0)
        if kind == "listing":
            self._unnoted.discard(number)
        elif kind == "volatility" and number in self.live:
            self.live[number] = replace(self.live[number], volatility=note["value"])
        elif kind == "funding":
            self.funding[number] = note["rate_8h"]
        elif kind == "agent":
            cast = {agent.account: agent for agent in live_cast(SYSTEM_ACCOUNTS + len(CLIENTS))}
            self.agents[note["account"]] = cast[note["account"]]

    # -- the clock's hours -------------------------------------------------------------------------------------------

    def _fund(self, now: int) -> None:
        """Funding of the hours that passed, at the rate and marks as last known, and the day's settlement."""
        hour = now // HOUR_NS
        perpetuals = [number for number, item in self.live.items() if item.spec.product == Product.PERPETUAL]
        for due in range(max(self._funded, hour - HOURS_MADE_UP) + 1, hour + 1):
            for number in perpetuals:
                rate = self.premium_at(number, self._published[0])
                rates = {"rate_8h": rate, "rate_1h": rate / 8}
                self._note({"note": "funding", "instrument": number, "hour_ms": due * 3_600_000, **rates})
                amount = self.live[number].spec.funding_amount(self.marks[number], rate / 8)
                self._add(Kind.FUNDING, instrument=number, amount=amount)
                self.funding[number] = rate
        self._funded = max(hour, self._funded)
        if venue_day(now) > self._settled:
            self._settled = venue_day(now)
            for number in self.live:
                self._add(Kind.SETTLE, instrument=number)

    def _roll(self, now: int) -> bool:
        """Deliver what expired at the index and list what follows; False if nothing changed."""
        expired = [number for number, item in self.live.items() if item.spec.expiry and item.spec.expiry <= now]
        for number in expired:
            contract = self.live[number]
            price = round(self.index_usd[contract.underlying] / contract.delivery_tick)
            self._add(Kind.EXPIRE, instrument=number, price=price)
            self._delivered(number)
        standing = {item.spec.expiry for item in self.live.values() if item.spec.expiry}
        if expired or not standing:
            for expiry in listing.next_expiries(now, standing):
                contracts = listing.listed_for(expiry, self.index_usd)
                if self._instruments + len(contracts) <= INSTRUMENTS_MAX:
                    for contract in contracts:
                        self._list(contract, now)
        return bool(expired)

    def _list(self, contract: Contract, now: int) -> None:
        number = self._instruments
        self._instruments += 1
        self.live[number] = contract
        self._add(Kind.INSTRUMENT, contract.spec.encode(), instrument=number)
        self._note_listing(number, now)
        if contract.spec.product == Product.FUTURE:
            self._tell_index_of(number)

    def _note_listing(self, number: int, now: int) -> None:
        contract = self.live[number]
        self._unnoted.discard(number)
        self._note(listing.note_of(number, contract, now))
        if contract.spec.product == Product.OPTION:
            self._note({"note": "volatility", "instrument": number, "value": contract.volatility})

    def _delivered(self, instrument: int) -> None:
        self.live.pop(instrument, None)
        self.volatility.pop(instrument, None)
        self._marks.pop(instrument, None)
        for agent in self.agents.values():
            agent.forget(instrument)

    # -- prices --------------------------------------------------------------------------------------------------------

    def _walk(self, now: int, rng: np.random.Generator) -> None:
        """Let the index walk, to whole ticks; tell it where it moved."""
        elapsed = min(now - self._moved, ELAPSED_MAX_NS)
        if elapsed <= 0:
            return
        before = self.index_usd
        walked = walk(before, rng, YEAR_NS / elapsed, 0.0)
        ticks = {coin: self.live[number].tick for coin, number in _INDEX_OF.items()}
        self.index_usd = {coin: round(price / ticks[coin]) * ticks[coin] for coin, price in walked.items()}
        self._tell_index({coin for coin, price in self.index_usd.items() if price != before[coin]})

    def _tell_index(self, coins: Any) -> None:
        """INDEX commands for the perpetuals and futures of the coins; options have no index in their ticks."""
        for number, contract in self.live.items():
            if contract.underlying in coins and contract.spec.product != Product.OPTION:
                self._tell_index_of(number)
        if coins:
            self._moved = self._now

    def _tell_index_of(self, number: int) -> None:
        contract = self.live[number]
        price = round(self.index_usd[contract.underlying] / contract.tick)
        self._add(Kind.INDEX, instrument=number, price=price)

    def _publish_now(self, now: int) -> None:
        data = self._publish(self._price(Prices(now, dict(self.index_usd), self._priced(now), CURRENCIES)))
        self._unread = data
        self._published = (now, dict(self.index_usd))
        self._add(Kind.PUBLISH, data, version=self.version + 1)

    def _price(self, prices: Prices) -> Prices:
        """Take volatilities and premiums of what is, or was, published; returns the prices."""
        for number, contract in prices.contracts.items():
            if contract.spec.product == Product.OPTION:
                self.volatility[number] = contract.volatility
            elif contract.spec.product == Product.PERPETUAL:
                self.premium[number] = contract.basis
        return prices

    def _priced(self, now: int) -> dict[int, Contract]:
        """The live contracts with basis and volatility as they are at a time."""
        levels = {coin: self._swing(position, now) for position, coin in enumerate(COINS)}
        priced = {}
        for number, contract in self.live.items():
            if contract.spec.product == Product.OPTION:
                volatility = contract.volatility * (1 + 0.12 * levels[contract.underlying])
                priced[number] = replace(contract, volatility=volatility)
            elif contract.spec.product == Product.FUTURE:
                priced[number] = replace(contract, basis=listing.carry(contract.spec, now))
            else:
                priced[number] = replace(contract, basis=self.premium_at(number, now))
        return priced

    def premium_at(self, instrument: int, now_ns: int) -> float:
        """Premium of a perpetual over the index at a time, and its funding rate for 8 hours: a few basis points."""
        return 0.0001 + 0.0002 * self._swing(4 + instrument, now_ns)

    def _swing(self, which: int, now: int) -> float:
        """A slow movement within -1 and 1: a sine of eleven hours and one of 97 minutes."""
        first, second = self._phases[which], self._phases[which + 8]
        slow, quick = now / (11 * HOUR_NS), now / (97 * 60 * 10**9)
        return float(0.75 * np.sin(2 * np.pi * (slow % 1) + first) + 0.25 * np.sin(2 * np.pi * (quick % 1) + second))

    # -- commands ------------------------------------------------------------------------------------------------------

    def _withdraw(self) -> None:
        for agent in self.agents.values():
            if agent.open:
                self._add(Kind.CANCEL_ALL, account=agent.account, instrument=-1)

    def _note(self, note: dict[str, Any]) -> None:
        self._add(Kind.TIME, msgspec.json.encode(note))
