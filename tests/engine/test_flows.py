"""The random flow does what the differential campaign needs: every command, every reason, plenty of every event."""

import random
from collections import Counter

import pytest
from flows import RandomFlow

from seawall.engine.reference import Reference
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import FLAG_PACKAGE, RULES_FOLDED, SYSTEM_ROUNDING, EventKind, Kind

STREAM, SEEDS = 4000, 16
RARE = {Reason.NONE, Reason.VELOCITY, Reason.FEE_RATE, Reason.PUBLICATION_BOUND, Reason.BELOW_PRICE}
"""Left to test_reasons.py: not in every stretch of the flow."""

PLENTY = {
    EventKind.ACCEPTED: 8000, EventKind.FILL: 4000, EventKind.CANCELLED: 4000, EventKind.TRIGGERED: 800,
    EventKind.EDITED: 300, EventKind.REPLENISHED: 500, EventKind.STATUS: 1000, EventKind.DUPLICATE: 100,
    EventKind.FROZEN: 3, EventKind.STOPPED: 2, EventKind.RESTRICTED: 20, EventKind.LIFTED: 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def folded():
    """Counts of command kinds, event kinds, reasons and package legs that filled."""
    commands, kinds, reasons, legs = Counter(), Counter(), Counter(), 0
    for seed in range(SEEDS):
        flow, engine = RandomFlow(seed, random.Random(seed).choice((2, 6, 6, 25))), Reference()
        count = 0
        while count < STREAM:
            batch, attachments = flow.batch(400)
            events = engine.step(batch, attachments)
            count += len(batch)
            commands.update(batch["kind"].tolist())
            kinds.update(events["kind"].tolist())
            reasons.update(events["reason"].tolist())
            packaged = batch["seq"][(batch["kind"] == Kind.ORDER) & (batch["flags"] & FLAG_PACKAGE > 0)]
            taken = events["order_id"][events["kind"] == EventKind.ACCEPTED]
            legs += len(set(packaged.tolist()) & set(taken.tolist()))
            assert engine.conserved()
            assert min(engine.accounts[SYSTEM_ROUNDING].balance) >= 0
    return commands, kinds, reasons, legs


def test_every_command_is_sent(folded):
    assert set(Kind) - {Kind.CLOSED} <= set(folded[0])


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_happens_often_enough(folded, kind):
    assert folded[1][kind] >= PLENTY.get(kind, 30)


@pytest.mark.parametrize("reason", sorted(set(Reason) - RARE))
def test_every_reason_happens(folded, reason):
    assert folded[2][reason]


def test_packages_fill(folded):
    assert folded[3] >= 40


def test_one_seed_in_24_stays_under_each_of_the_rules_before():
    """And all others end under the newest, else a campaign would say nothing of what a venue begins with."""
    ended = Counter()
    for seed in range(48):
        flow, engine = RandomFlow(seed), Reference()
        for _ in range(3):
            engine.step(*flow.batch(700))
        assert engine.catalogue.rules == flow.rules
        ended[flow.rules] += 1
    assert ended == {**dict.fromkeys(RULES_FOLDED[:-1], 2), RULES_FOLDED[-1]: 48 - 2 * len(RULES_FOLDED[:-1])}
