"""Four ordinary bots for a simulated week before the gate: what of it would have been refused.

A market maker that requotes, a trend follower, an options trader that hedges with the perpetual, a rebalancer. Prices
are a random walk (annual volatility 60 % BTC, 80 % ETH, a jump of 2 % about twice a week), marks are published as a
mirror of a venue does, and orders are the commands that the gate makes; the venue elsewhere fills what its mark
reaches. Time is given, so a week takes seconds. Amounts and prices are as the venue writes them.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from seawall.engine.fast import Fast
from seawall.risk import Seawall, black76
from seawall.sim import Batch
from seawall.sim.market import walk
from seawall.venues import Mirror, Quote, Shadow, Terms
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    BUY,
    RULES_FOLDED,
    SELL,
    EventKind,
    Events,
    Kind,
    Limit,
    OrderType,
    TimeInForce,
    command,
)

STEP_NS: Final = 120 * 10**9
STEPS: Final = 7 * 24 * 30
HOUR: Final = 30
"""Steps."""

START_NS: Final = 1_780_300_800 * 10**9
APART_NS: Final = 20_000_000
"""Between two commands of a step."""

DOLLAR: Final = 10**6
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
VOLATILITY: Final = 0.6
STRIKES: Final = (50_000, 55_000, 60_000, 65_000, 70_000)
EXPIRY_MS: Final = (START_NS + 21 * 86_400 * 10**9) // 10**6
LIMITS: Final = (
    "limits of each: orders of $250,000, positions of $1m a perpetual, 50 open orders, 10 messages/s with 20 at once,"
    " 5 % from the mark (options 50 % or 50 ticks), marks of 60 s"
)
_TAKER, _OPTION_FEE = 0.0005, 0.0003


@dataclass(slots=True)
class Resting:
    """An open order at the venue elsewhere."""

    seq: int
    bot: "Bot"
    name: str
    side: int
    ticks: int
    lots: int
    placed: int
    filled: int = 0


@dataclass(slots=True)
class Week:
    """The bots' orders through the engine. `asked` counts orders and edits, `refused` them by reason."""

    seed: int
    steps: int = STEPS
    asked: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wanted: int = 0
    """Orders that the engine wanted cancelled."""
    executions: int = 0
    step: int = 0
    index: dict[str, float] = field(default_factory=lambda: {"BTC": 60_000.0, "ETH": 3_000.0})
    quotes: dict[str, Quote] = field(default_factory=dict)
    open: dict[int, Resting] = field(default_factory=dict)
    _engine: Fast = field(default_factory=Fast)
    _mirror: Mirror = field(default_factory=lambda: Mirror(Seawall(), 0.10, 0.05, ("BTC", "ETH")))
    _now: int = START_NS
    _seq: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.Generator(np.random.PCG64(self.seed))

    def run(self) -> "Week":
        """The whole week."""
        bots = [Maker("maker"), Follower("follower"), Hedger("hedger"), Rebalancer("rebalancer")]
        self._open(bots)
        for step in range(1, self.steps + 1):
            self.step, self._now = step, START_NS + step * STEP_NS
            self.index = walk(self.index, self.rng, 365 * 24 * HOUR, 0.0004)
            self.quotes = self._quoted()
            self._take(self._mirror.step(self._now, self.quotes))
            for order in list(self.open.values()):
                self._meet(order)
            if self.step % (8 * HOUR) == 0:
                self._fund(bots)
            for bot in bots:
                bot.act(self)
        return self

    # -- what bots see and do ------------------------------------------------------------------------------------------

    @property
    def options(self) -> list[str]:
        """Names of what is no perpetual."""
        return [name for name in self.quotes if name not in (BTC, ETH)]

    def terms(self, name: str) -> Terms:
        """The contract."""
        return self._mirror.contracts[self._mirror.by_name[name]]

    def place(self, bot: "Bot", name: str, side: int, amount: float, price: float, *, now: bool = False) -> None:
        """Send an order of an amount; price 0 at market, `now` immediate or cancel."""
        terms, number = self.terms(name), self._mirror.by_name[name]
        lots = round(amount / float(terms.lot))
        if lots < 1:
            return
        ticks = max(round(price / float(terms.tick)), terms.spec.price_min) if price else 0
        kind = OrderType.LIMIT if ticks else OrderType.MARKET
        tif = TimeInForce.IOC if now or not ticks else TimeInForce.GTC
        if self._ask(bot, Kind.ORDER, instrument=number, side=side, type=kind, tif=tif, quantity=lots, price=ticks):
            order = self.open[self._seq] = Resting(self._seq, bot, name, side, ticks, lots, self.step)
            self._tell(Kind.ACKNOWLEDGED, account=bot.account, order_id=order.seq)
            if tif == TimeInForce.IOC:
                self._meet(order, taking=True)
                self.end(order)

    def edit(self, order: Resting, price: float, amount: float) -> None:
        """Send an edit: another price, and so much open."""
        terms = self.terms(order.name)
        ticks, lots = round(price / float(terms.tick)), order.filled + round(amount / float(terms.lot))
        number = self._mirror.by_name[order.name]
        if self._ask(order.bot, Kind.EDIT, instrument=number, order_id=order.seq, price=ticks, quantity=lots):
            order.ticks, order.lots = ticks, lots

    def end(self, order: Resting) -> None:
        """Cancel it at the venue; what is gone is gone."""
        if self.open.pop(order.seq, None) is not None:
            self._tell(Kind.ENDED, account=order.bot.account, order_id=order.seq)

    # -- the venue elsewhere -------------------------------------------------------------------------------------------

    def _meet(self, order: Resting, *, taking: bool = False) -> None:
        """Execute it if the mark is at its price or better; of every fourth half at first."""
        terms, mark = self.terms(order.name), self.quotes[order.name].mark
        tick = float(terms.tick)
        paid = max(round(mark / tick) + order.side, terms.spec.price_min) if taking else order.ticks
        if order.ticks and (order.side * (mark / tick - order.ticks) > 0 or order.side * (paid - order.ticks) > 0):
            return
        left = order.lots - order.filled
        lots = max(1, left // 2) if not taking and left > 1 and self.rng.random() < 0.25 else left
        amount, price = lots * float(terms.lot), paid * tick
        fee = min(_OPTION_FEE, 0.125 * price) * amount if terms.option else taking * _TAKER * amount / price
        order.filled += lots
        if order.filled == order.lots:
            del self.open[order.seq]
        held = order.bot.held
        held[order.name] = held.get(order.name, 0.0) + order.side * amount
        self.executions += 1
        self._tell(
            Kind.EXECUTED, account=order.bot.account, instrument=self._mirror.by_name[order.name], order_id=order.seq,
            price=paid, quantity=lots, amount=round(fee * 10**8),
        )  # fmt: skip

    def _fund(self, bots: list["Bot"]) -> None:
        """A hundredth of a per cent of every perpetual position."""
        for bot in bots:
            for name in (BTC, ETH):
                atoms = round(1e-4 * bot.held.get(name, 0.0) / self.quotes[name].mark * 10**8)
                if atoms:
                    self._tell(Kind.BOOKED, account=bot.account, instrument=self._mirror.by_name[name], amount=atoms)

    def _quoted(self) -> dict[str, Quote]:
        """What the venue says now."""
        at = self._now // 10**6
        found = {}
        for coin, tick, name in (("BTC", 0.5, BTC), ("ETH", 0.05, ETH)):
            mark = round(self.index[coin] * (1 + 2e-4 * np.sin(self.step / 100)) / tick) * tick
            found[name] = Quote(mark, self.index[coin], time_ms=at)
        index, years = self.index["BTC"], black76.years_to(EXPIRY_MS * 10**6, self._now)
        for strike in STRIKES:
            for letter, kind in (("C", 1), ("P", -1)):
                coins = float(black76.price(index, strike, VOLATILITY, years, kind)) / index
                mark = max(round(coins, 4), 0.0001)
                found[f"BTC-22JUN26-{strike}-{letter}"] = Quote(mark, index, index, VOLATILITY, at)
        return found

    # -- the engine ----------------------------------------------------------------------------------------------------

    def _open(self, bots: list["Bot"]) -> None:
        self.quotes = self._quoted()
        self._tell(Kind.RULES, version=RULES_FOLDED[-1])
        currencies = [{"currency": name, "decimals": 8} for name in ("BTC", "ETH")]
        shadows = [Shadow(bot.name) for bot in bots]
        instruments = [instrument(name) for name in self.quotes]
        self._take(self._mirror.opening(self._now, currencies, instruments, self.quotes, shadows))
        for bot in bots:
            bot.account = self._mirror.accounts[bot.name]
            for coin, amount in bot.funds.items():
                self._tell(
                    Kind.DEPOSIT, account=bot.account, currency=self._mirror.money[coin][0], amount=amount * 10**8
                )
            self._limit(Limit.ORDER_NOTIONAL, account=bot.account, instrument=-1, amount=250_000 * DOLLAR)
            self._limit(Limit.OPEN_ORDERS, account=bot.account, instrument=-1, amount=50)
            self._limit(Limit.MESSAGES, account=bot.account, instrument=-1, amount=10**8, quantity=20)
            for name, lots in ((BTC, 100_000), (ETH, 1_000_000)):
                self._limit(Limit.POSITION, account=bot.account, instrument=self._mirror.by_name[name], amount=lots)
        for number, terms in self._mirror.contracts.items():
            wide, ticks = (500_000, 50) if terms.option else (50_000, 1)
            self._limit(Limit.COLLAR, account=-1, instrument=number, amount=wide, quantity=ticks)
        self._limit(Limit.STALE, account=-1, instrument=-1, amount=60 * 10**9)

    def _limit(self, limit: Limit, **fields: int) -> None:
        self._tell(Kind.LIMIT, state=limit, **fields)

    def _ask(self, bot: "Bot", kind: Kind, **fields: Any) -> bool:
        """Whether an order or edit is accepted."""
        events = self._fold(command(kind, account=bot.account, **fields), b"")
        self.asked[kind.name] += 1
        refused = events[events["kind"] == EventKind.REFUSED]
        for event in refused:
            self.refused[f"{bot.name} {kind.name} {Reason(event['reason']).name}"] += 1
        return not len(refused)

    def _tell(self, kind: Kind, **fields: Any) -> None:
        self._take(Batch(command(kind, **fields), b""))

    def _take(self, batch: Batch) -> None:
        """Facts, which must be taken."""
        events = self._fold(*batch)
        refused = events[events["kind"] == EventKind.REFUSED]
        assert not len(refused), [(row["seq"], Reason(row["reason"]), row["a"], row["b"]) for row in refused]
        self._mirror.observe(events)

    def _fold(self, commands: Any, attachments: bytes) -> Events:
        self._now += APART_NS
        commands["seq"] = np.arange(self._seq + 1, self._seq + 1 + len(commands))
        commands["time"] = self._now
        self._seq += len(commands)
        events = self._engine.step(commands, attachments)
        self.wanted += int(((events["kind"] == EventKind.STATUS) & (events["reason"] != 0)).sum())
        return events


# -- bots --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Bot:
    """An account with whole coins; `held` amounts by instrument, as the venue told of executions."""

    name: str
    account: int = 0
    held: dict[str, float] = field(default_factory=dict)
    funds: dict[str, int] = field(default_factory=lambda: {"BTC": 10, "ETH": 100})

    def act(self, week: Week) -> None:
        """One step's orders."""
        raise NotImplementedError(self.name)

    def mine(self, week: Week) -> list[Resting]:
        """Its open orders."""
        return [order for order in week.open.values() if order.bot is self]


@dataclass(slots=True)
class Maker(Bot):
    """Two levels on both sides of both perpetuals, moved by edits, leaning against the position."""

    def act(self, week: Week) -> None:
        """Edit what is off, place what is missing, take away what would make the position too large."""
        mine = self.mine(week)
        for name in (BTC, ETH):
            mark, held = week.quotes[name].mark, self.held.get(name, 0.0)
            for side in (BUY, SELL):
                quotes = [order for order in mine if (order.name, order.side) == (name, side)]
                quotes.sort(key=lambda order: -side * order.ticks)
                if side * held > 200_000:
                    for order in quotes:
                        week.end(order)
                    continue
                for level, size in ((1, 10_000), (2, 20_000)):
                    price = mark * (1 - side * 4e-4 * level - 4e-4 * min(max(held / 200_000, -1), 1))
                    if level > len(quotes):
                        week.place(self, name, side, size, price)
                        continue
                    order, terms = quotes[level - 1], week.terms(name)
                    left = (order.lots - order.filled) * float(terms.lot)
                    if abs(order.ticks * float(terms.tick) / price - 1) > 2e-4 or left < size / 2:
                        week.edit(order, price, size)


@dataclass(slots=True)
class Follower(Bot):
    """Long or short $200,000 by two moving averages, in market orders of at most $50,000."""

    prices: deque[float] = field(default_factory=lambda: deque(maxlen=24 * HOUR))

    def act(self, week: Week) -> None:
        """One slice towards what the averages say."""
        self.prices.append(week.quotes[BTC].mark)
        if len(self.prices) < 6 * HOUR:
            return
        recent = list(self.prices)[-4 * HOUR :]
        up = sum(recent) / len(recent) > sum(self.prices) / len(self.prices)
        missing = (200_000 if up else -200_000) - self.held.get(BTC, 0.0)
        if abs(missing) >= 25_000:
            side = BUY if missing > 0 else SELL
            week.place(self, BTC, side, 10 * (min(abs(missing), 50_000) // 10), 0.0, now=True)


@dataclass(slots=True)
class Hedger(Bot):
    """Trades options up to 3 coins each at their marks, and hedges their delta with the perpetual."""

    def act(self, week: Week) -> None:
        """Every two hours an option; whenever the delta is off by 0.3 coins, the hedge."""
        for order in self.mine(week):
            if week.step - order.placed >= HOUR:
                week.end(order)
        if week.step % (2 * HOUR) == 0:
            name = str(week.rng.choice(week.options))
            held = self.held.get(name, 0.0)
            side = (SELL if held > 0 else BUY) if abs(held) > 2 else int(week.rng.choice((BUY, SELL)))
            week.place(self, name, side, float(week.rng.choice((0.5, 1.0))), week.quotes[name].mark)
        price = week.quotes[BTC].mark
        delta = sum(held * self._delta(week, name) for name, held in self.held.items())
        if abs(delta) > 0.3:
            side = SELL if delta > 0 else BUY
            week.place(self, BTC, side, 10 * (abs(delta) * price // 10), price * (1 + side * 0.002), now=True)

    def _delta(self, week: Week, name: str) -> float:
        if name == BTC:
            return 1 / week.quotes[BTC].mark
        *_, strike, letter = name.split("-")
        years = black76.years_to(EXPIRY_MS * 10**6, START_NS + week.step * STEP_NS)
        kind = 1 if letter == "C" else -1
        return float(black76.delta(week.index["BTC"], float(strike), VOLATILITY, years, kind))


@dataclass(slots=True)
class Rebalancer(Bot):
    """Keeps two fifths of what it has in each coin, by perpetuals, with orders at the mark that wait an hour."""

    def act(self, week: Week) -> None:
        """Once an hour: take away what still waits, place what is missing."""
        if week.step % HOUR:
            return
        for order in self.mine(week):
            week.end(order)
        worth = {coin: self.funds[coin] * price for coin, price in week.index.items()}
        for coin, name in (("BTC", BTC), ("ETH", ETH)):
            missing = 0.4 * sum(worth.values()) - worth[coin] - self.held.get(name, 0.0)
            if abs(missing) > 5_000:
                side = BUY if missing > 0 else SELL
                week.place(self, name, side, 10 * (min(abs(missing), 100_000) // 10), week.quotes[name].mark)


def instrument(name: str) -> dict[str, Any]:
    """The venue's object of an instrument, as far as it is read."""
    coin, *rest = name.split("-")
    made: dict[str, Any] = {
        "instrument_name": name, "kind": "future", "instrument_type": "reversed", "base_currency": coin,
        "quote_currency": "USD", "counter_currency": "USD", "settlement_currency": coin,
        "settlement_period": "perpetual", "price_index": f"{coin.lower()}_usd", "is_active": True,
        "creation_timestamp": START_NS // 10**6, "maker_commission": 0.0, "taker_commission": _TAKER,
        "tick_size": 0.5 if coin == "BTC" else 0.05, "contract_size": 10 if coin == "BTC" else 1,
        "min_trade_amount": 10 if coin == "BTC" else 1,
    }  # fmt: skip
    if len(rest) == 1:
        return made
    return made | {
        "kind": "option", "quote_currency": coin, "settlement_period": "month", "tick_size": 0.0001,
        "contract_size": 1, "min_trade_amount": 0.1, "expiration_timestamp": EXPIRY_MS, "strike": int(rest[1]),
        "option_type": "call" if rest[2] == "C" else "put", "maker_commission": _OPTION_FEE,
        "taker_commission": _OPTION_FEE,
    }  # fmt: skip
