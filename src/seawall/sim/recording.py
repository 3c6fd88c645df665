"""A made-up recording in the format of Binance's raw streams, from a small exchange of its own.

The exchange here shares nothing with the engine: prices with queues of visible lots, a counter of updates, a clock of
milliseconds. So importing what it wrote is a check, and the truth about every trade is known.

Each step a random participant places, cancels, or takes. The streams written are depthUpdate (one every `every`
updates), bookTicker (whenever a best price or its lots change), trade, and one REST snapshot early on. Each stream has
its own delay, so lines arrive mixed; several updates share a millisecond.
"""

import gzip
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from seawall.vocabulary.errors import InputError

START_MS: Final = 1_772_431_200_000
"""2026-03-02 06:00 UTC, as every simulation."""
STEPS: Final = 3000
MIDDLE: Final = 600_000
LEVELS: Final = 40
SNAPSHOT_STEP: Final = 50
MARKETS: Final = ("usdm", "coinm", "spot")
_BID, _ASK = 1, -1
_DELAYS_US: Final = {"depth": 900, "bookTicker": 200, "trade": 500, "snapshot": 4_000}


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened: by trade id, the update its match was; how many lines, trades and snapshots' ids."""

    update_of_trade: dict[int, int]
    lines: int
    snapshot_id: int


@dataclass(slots=True)
class _Line:
    at_ns: int
    text: str


@dataclass(slots=True)
class _Exchange:
    """The book, its counters, and the lines written so far."""

    rng: np.random.Generator
    market: str
    every: int
    queues: dict[tuple[int, int], deque[int]] = field(default_factory=dict)
    time_ms: int = START_MS
    update: int = 1_000_000
    trade_id: int = 5_000
    lines: list[_Line] = field(default_factory=list)
    truth: dict[int, int] = field(default_factory=dict)
    changed: dict[tuple[int, int], None] = field(default_factory=dict)
    steps_in_delta: int = 0
    first_in_delta: int = 0
    last_delta: int = 0
    last_arrival: dict[str, int] = field(default_factory=dict)

    def lots(self, side: int, price: int) -> int:
        return sum(self.queues.get((side, price), ()))

    def best(self, side: int) -> int:
        return side * max(side * price for of, price in self.queues if of == side)

    def touch(self) -> tuple[int, int, int, int]:
        bid, ask = self.best(_BID), self.best(_ASK)
        return bid, self.lots(_BID, bid), ask, self.lots(_ASK, ask)

    def write(self, stream: str, payload: dict[str, Any]) -> None:
        """A line, at a clock 1.3 s behind the exchange's, delayed; each stream stays in its own order."""
        delay = _DELAYS_US[stream] + int(self.rng.exponential(300))
        at = max((self.time_ms - 1300) * 1_000_000 + delay * 1000, self.last_arrival.get(stream, 0) + 1)
        self.last_arrival[stream] = at
        self.lines.append(_Line(at, f"{at} {json.dumps(payload, separators=(',', ':'))}"))


def record_synthetic(
    path: Path, seed: int, *, market: str = "usdm", steps: int = STEPS, every: int = 1, symbol: str = ""
) -> Truth:
    """Write a recording of `steps` steps to `path` (jsonl.gz); returns the truth about it.

    `market` is usdm, coinm or spot. `every` is how many updates one depthUpdate gathers: with 1 the depth is complete
    at all times. The bytes follow from the arguments alone. Raises InputError for an unknown market or `every` < 1.
    """
    if market not in MARKETS:
        raise InputError("market", market, f"must be one of {', '.join(MARKETS)}")
    if every < 1:
        raise InputError("every", every, "must be at least 1")
    exchange = _Exchange(np.random.Generator(np.random.PCG64(seed)), market, every)
    symbol = symbol or {"coinm": "BTCUSD_PERP"}.get(market, "BTCUSDT")
    for level in range(1, LEVELS + 1):
        for side in (_BID, _ASK):
            price = MIDDLE - side * level
            exchange.queues[side, price] = deque(exchange.rng.integers(1, 40, 3).tolist())
    exchange.last_delta = exchange.update
    snapshot_id = 0
    for step in range(steps):
        if step == SNAPSHOT_STEP:
            snapshot_id = exchange.update
            _write_snapshot(exchange)
        _step(exchange, symbol)
    ordered = sorted(exchange.lines, key=lambda line: line.at_ns)
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        packed.write("".join(f"{line.text}\n" for line in ordered).encode())
    return Truth(exchange.truth, len(ordered), snapshot_id)


def _step(exchange: _Exchange, symbol: str) -> None:
    """One update: a participant acts; what the streams have to say of it is written."""
    rng = exchange.rng
    exchange.time_ms += int(rng.choice((0, 0, 0, 1, 2, 15)))
    exchange.update += 1 if exchange.market == "spot" else int(rng.integers(1, 50))
    before = exchange.touch()
    side = int(rng.choice((_BID, _ASK)))
    act = rng.random()
    if act < 0.25:
        _take(exchange, symbol, side, int(rng.integers(1, 120)))
    elif act < 0.5:
        _cancel(exchange, side)
    else:
        _place(exchange, side)
    for lean in (_BID, _ASK):  # a side never runs dry
        if sum(of == lean for of, _ in exchange.queues) < LEVELS // 2:
            _rest(exchange, lean, exchange.best(lean) - lean * LEVELS, 50)
    if exchange.touch() != before:
        _write_touch(exchange, symbol)
    exchange.first_in_delta = exchange.first_in_delta or exchange.update
    exchange.steps_in_delta += 1
    if exchange.steps_in_delta >= exchange.every:
        _write_delta(exchange, symbol)


def _take(exchange: _Exchange, symbol: str, side: int, wanted: int) -> None:
    """An aggressor takes the resting `side`, price by price, order by order: one trade for each order it meets."""
    while wanted and sum(of == side for of, _ in exchange.queues) > LEVELS // 4:
        price = exchange.best(side)
        queue = exchange.queues[side, price]
        lots = min(wanted, queue[0])
        wanted -= lots
        queue[0] -= lots
        if not queue[0]:
            queue.popleft()
        _changed(exchange, side, price)
        exchange.trade_id += 1
        exchange.truth[exchange.trade_id] = exchange.update
        _write_trade(exchange, symbol, side, price, lots)


def _place(exchange: _Exchange, side: int) -> None:
    """Lots at a price up to the best, or one better where the spread allows it."""
    depth = min(int(exchange.rng.geometric(0.2)) - 2, LEVELS)
    price = exchange.best(side) - side * depth
    if side * (exchange.best(-side) - price) > 0:
        _rest(exchange, side, price, int(exchange.rng.integers(1, 60)))


def _rest(exchange: _Exchange, side: int, price: int, lots: int) -> None:
    exchange.queues.setdefault((side, price), deque()).append(lots)
    _changed(exchange, side, price)


def _cancel(exchange: _Exchange, side: int) -> None:
    """One order of some price goes, anywhere in its queue."""
    prices = sorted((price for of, price in exchange.queues if of == side), reverse=side == _BID)
    if len(prices) <= LEVELS // 2:
        return
    price = prices[min(int(exchange.rng.geometric(0.15)) - 1, len(prices) - 1)]
    queue = exchange.queues[side, price]
    del queue[int(exchange.rng.integers(len(queue)))]
    _changed(exchange, side, price)


def _changed(exchange: _Exchange, side: int, price: int) -> None:
    exchange.changed[side, price] = None
    if not exchange.queues[side, price]:
        del exchange.queues[side, price]


def _price(price: int) -> str:
    return f"{price / 10:.2f}"


def _quantity(exchange: _Exchange, lots: int) -> str:
    return str(lots) if exchange.market == "coinm" else f"{lots / 1000:.3f}"


def _write_touch(exchange: _Exchange, symbol: str) -> None:
    bid, bid_lots, ask, ask_lots = exchange.touch()
    data: dict[str, Any] = {"u": exchange.update, "s": symbol, "b": _price(bid), "B": _quantity(exchange, bid_lots)}
    data |= {"a": _price(ask), "A": _quantity(exchange, ask_lots)}
    if exchange.market != "spot":
        data |= {"e": "bookTicker", "T": exchange.time_ms, "E": exchange.time_ms + 1}
    exchange.write("bookTicker", {"stream": f"{symbol.lower()}@bookTicker", "data": data})


def _write_trade(exchange: _Exchange, symbol: str, side: int, price: int, lots: int) -> None:
    data = {"e": "trade", "E": exchange.time_ms, "T": exchange.time_ms, "s": symbol, "t": exchange.trade_id}
    data |= {"p": _price(price), "q": _quantity(exchange, lots), "X": "MARKET", "m": side == _BID}
    exchange.write("trade", {"stream": f"{symbol.lower()}@trade", "data": data})


def _write_delta(exchange: _Exchange, symbol: str) -> None:
    data: dict[str, Any] = {"e": "depthUpdate", "E": exchange.time_ms + 1, "s": symbol}
    data |= {"U": exchange.first_in_delta, "u": exchange.update}
    if exchange.market != "spot":
        data |= {"T": exchange.time_ms, "pu": exchange.last_delta}
    if exchange.market == "coinm":
        data["ps"] = symbol.partition("_")[0]
    for name, side in (("b", _BID), ("a", _ASK)):
        prices = sorted(price for of, price in exchange.changed if of == side)
        data[name] = [[_price(price), _quantity(exchange, exchange.lots(side, price))] for price in prices]
    exchange.write("depth", {"stream": f"{symbol.lower()}@depth@0ms", "data": data})
    exchange.changed, exchange.steps_in_delta, exchange.first_in_delta = {}, 0, 0
    exchange.last_delta = exchange.update


def _write_snapshot(exchange: _Exchange) -> None:
    payload: dict[str, Any] = {"lastUpdateId": exchange.update}
    if exchange.market != "spot":
        payload |= {"E": exchange.time_ms, "T": exchange.time_ms}
    for name, side in (("bids", _BID), ("asks", _ASK)):
        prices = sorted((price for of, price in exchange.queues if of == side), reverse=side == _BID)
        payload[name] = [[_price(price), _quantity(exchange, exchange.lots(side, price))] for price in prices]
    exchange.write("snapshot", payload)
