"""Recordings written by hand, one message a line, and their import through an engine by itself."""

import gzip
import json

import numpy as np

from seawall.engine.fast import Fast
from seawall.prices import Importer, read_recording

START_MS = 1_700_000_000_000


class Tape:
    """Writes USD-M messages (spot: without T and pu). Prices in tenths, lots in thousandths."""

    def __init__(self, market="usdm"):
        self.market = market
        self.rows = []
        self.behind = 0
        self.trades = 0

    def _add(self, payload, ms):
        self.rows.append(f"{(START_MS + ms) * 1_000_000 + len(self.rows)} {json.dumps(payload)}")

    def _stream(self, name, data, ms):
        if self.market != "spot":
            data["T"] = START_MS + ms
        self._add({"stream": f"btcusdt@{name}", "data": {"s": "BTCUSDT", **data}}, ms)
        return self

    def snapshot(self, u, bids, asks, ms=0):
        self.behind = self.behind or u
        self._add({"lastUpdateId": u, "T": START_MS + ms, "bids": levels(bids), "asks": levels(asks)}, ms)
        return self

    def depth(self, u, bids=(), asks=(), ms=0, behind=None):
        behind = self.behind if behind is None else behind
        self.behind = u
        ids = {"U": behind + 1, "u": u} | ({} if self.market == "spot" else {"pu": behind})
        return self._stream("depth", {"E": START_MS + ms + 3, **ids, "b": levels(bids), "a": levels(asks)}, ms)

    def touch(self, u, bid, bid_lots, ask, ask_lots, ms=0):
        (b, big), (a, small) = levels([(bid, bid_lots), (ask, ask_lots)])
        return self._stream("bookTicker", {"u": u, "b": b, "B": big, "a": a, "A": small}, ms)

    def trade(self, side, price, lots, ms=0, number=None):
        self.trades += 1
        ((p, q),) = levels([(price, lots)])
        data = {"E": START_MS + ms, "T": START_MS + ms, "t": number or self.trades, "p": p, "q": q, "m": side < 0}
        return self._stream("trade", data, ms)

    def mark(self, price, ms=0):
        return self._stream("markPrice@1s", {"E": START_MS + ms, "p": f"{price / 10:.4f}"}, ms)

    def write(self, folder, name="made.jsonl.gz"):
        file = folder / name
        file.write_bytes(gzip.compress("".join(f"{row}\n" for row in self.rows).encode()))
        return file

    def imported(self, folder, engine=None):
        return carry(Importer(read_recording(self.write(folder))), engine)


def levels(pairs):
    return [[f"{price / 10:.1f}", f"{lots / 1000:.3f}"] for price, lots in pairs]


def carry(importer, engine=None, size=64):
    """The whole import through an engine; the importer with `engine`, `commands` and `events` set on a Carried."""
    return Carried(importer, engine or Fast(), size)


class Carried:
    def __init__(self, importer, engine, size):
        self.importer, self.engine = importer, engine
        self.commands, self.events = [], []
        seq = 0
        for batch in importer.batches(size):
            commands = batch.commands.copy()
            commands["seq"] = np.arange(seq + 1, seq + 1 + len(commands))
            commands["time"] = batch.time_ns
            seq += len(commands)
            self.commands.append(commands)
            self.events.append(engine.step(commands, batch.attachments))
            importer.hear(self.events[-1])
        self.commands, self.events = np.concatenate(self.commands), np.concatenate(self.events)

    @property
    def fidelity(self):
        return self.importer.fidelity

    def causes(self):
        return dict(self.fidelity.causes)

    def book(self):
        """{side: {price: lots}} as the engine's own events tell it."""
        return {side: dict(ladder.lots) for side, ladder in self.importer._judge.book.items()}
