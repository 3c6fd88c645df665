"""What people do at the operations door of a desk in another process, and what its journal says afterwards."""

import base64
import json
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np

from seawall.journal import folders_of
from seawall.journal.checkpoint import SigningKey
from seawall.node.replay import ENGINES, Fold, replay
from seawall.vocabulary.instruments import Instrument
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind, Kind

SECOND = 10**9


def limit(desk, name, amount, quantity=0, window_ns=0, **of):
    """Set a limit, which must tighten."""
    numbers = {"amount": str(amount), "quantity": str(quantity), "window_ns": str(window_ns)}
    done = desk.operate("limits", "rita", limit=name, reason="test", **numbers, **of)
    assert done["done"], done


def approved(desk, what, person, **parameters):
    """Propose something and have two people sign it; the answer to the proposal."""
    made = desk.operate(what, person, reason="test", **parameters)
    proposal = made["proposal"]
    for signer in ("rita", "carl"):
        key = SigningKey.read(Path(next(row["key"] for row in desk.ready["operators"] if row["name"] == signer)))
        signature = base64.b64encode(key.private.sign(proposal["payload"].encode())).decode()
        desk.operate(f"proposals/{proposal['id']}/signatures", "olivia", key=key.public.vkey, signature=signature)
    return made


def look(desk, path):
    """The answer to a GET at the operations door."""
    request = urllib.request.Request(f"{desk.ready['ops']}/{path}")
    request.add_header("Authorization", f"Bearer {desk.ready['operators'][0]['token']}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def alerts(desk):
    """How often each kind of alert was raised, with their facts."""
    return look(desk, "alerts")["alerts"]


def open_orders(desk):
    """How many orders each bot has open, as its desk has it."""
    return {row["name"]: row["open_orders"] for row in look(desk, "accounts")["accounts"]}


class Told:
    """A journal, of a desk or a venue, folded after its stop: names, refusals, positions, and the engine itself."""

    def __init__(self, data):
        self.names, self.numbers, self.instruments, self.currencies = {}, {}, {}, {}
        self.fills = 0
        self.funded = Counter()
        """(account, currency's number): atoms that funding moved."""
        self._settled = {}
        self.refusals = Counter()
        """(account, reason) of orders and edits."""
        self.positions, self.fees = Counter(), Counter()
        """(account, instrument) of every FILL: lots, and atoms paid."""
        fold = Fold(ENGINES["fast"]())
        replay(folders_of(Path(data)), fold=fold, witness=self._hear)
        self.engine = fold.engine

    def _hear(self, frame, events):
        ends = np.cumsum(frame.commands["attachment"])
        for at in np.flatnonzero(frame.commands["kind"] == Kind.INSTRUMENT):
            size = int(frame.commands["attachment"][at])
            spec = Instrument.decode(frame.attachments[int(ends[at]) - size : int(ends[at])])
            self._settled[int(frame.commands["instrument"][at])] = spec.currency
        for at in np.flatnonzero((frame.commands["kind"] == Kind.TIME) & (frame.commands["attachment"] > 0)):
            size = int(frame.commands["attachment"][at])
            self._note(frame.attachments[int(ends[at]) - size : int(ends[at])])
        for event in events[events["kind"] == EventKind.REFUSED]:
            command = frame.commands[int(event["seq"]) - frame.first_seq]
            if command["kind"] in (Kind.ORDER, Kind.EDIT):
                self.refusals[self.names[int(command["account"])], Reason(event["reason"]).name] += 1
        for event in events[(events["kind"] == EventKind.POSTED) & (events["reason"] == Reason.FUNDED)]:
            self.funded[self.names[int(event["account"])], int(event["currency"])] += int(event["a"])
        for event in events[events["kind"] == EventKind.FILL]:
            key = self.names[int(event["account"])], self.instruments[int(event["instrument"])]
            self.positions[key] += int(event["side"]) * int(event["quantity"])
            self.fees[key] += int(event["b"])
            self.fills += 1

    def _note(self, data):
        note = json.loads(data)
        if note.get("note") == "account":
            self.names[note["account"]], self.numbers[note["name"]] = note["name"], note["account"]
        elif note.get("note") == "listing":
            self.instruments[note["instrument"]] = note["name"]
            self.currencies[note["instrument"]] = self._settled[note["instrument"]]
