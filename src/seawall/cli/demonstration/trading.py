"""Act 1: a market trades through the real node and a durable mirror."""

from typing import Final

import numpy as np

from seawall.cli.demonstration.story import Story
from seawall.cli.demonstration.venue import CONTRACTS, Venue
from seawall.node import Configuration
from seawall.sim.market import ROUND_NS
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import EventKind

ROUNDS: Final = 200


def trading(story: Story, configuration: Configuration) -> None:
    """Trade, then check that money and positions add up, and that the contracts due were delivered."""
    story.act("A market trades")
    story.say(
        f"{len(CONTRACTS)} contracts on BTC and ETH; every command is durable in two copies before its events leave."
    )
    venue = Venue.start(configuration, life=0)
    watched = {agent.name: agent.account for agent in venue.market.agents.values()}
    watched = {name: watched[name] for name in ("punter", "hedger", "taker 1")}
    kinds = np.zeros(16, np.int64)
    calls = delivered = 0
    for _ in range(ROUNDS):
        events = venue.send(venue.market.round())
        venue.record(story, events, watched)
        kinds += np.bincount(events["kind"], minlength=16)
        calls += int(((events["kind"] == EventKind.CANCELLED) & (events["reason"] == Reason.MARGIN_CALL)).sum())
        delivered += int((events["reason"] == Reason.DELIVERED).sum())
    commands = venue.node.journal.next_seq - 1
    fills = int(kinds[EventKind.FILL]) // 2
    hours = ROUNDS * ROUND_NS / 3600e9
    story.say(
        f"{commands:,} commands in {hours:.1f} simulated hours: {kinds[EventKind.ACCEPTED]:,} orders accepted,"
        f" {fills:,} trades, {kinds[EventKind.REFUSED]:,} refusals, {kinds[EventKind.PUBLISHED]:,} risk publications,"
        f" {calls:,} orders cancelled by margin calls, {delivered:,} positions delivered at expiry."
    )
    latencies = np.array(venue.node.latencies_ns) / 1e6
    median, late = np.percentile(latencies, (50, 99))
    story.say(f"A group commit to both copies, applying included, took {median:.1f} ms (99 %: {late:.1f} ms).")
    story.check(f"the market traded: {fills:,} trades in {len(story.series.index)} coins' contracts", fills > 100)
    story.check("money and positions of all accounts add up to the atom", venue.node.fold.engine.conserved())
    frame, digest = venue.node.fold.digest
    story.facts |= {"trading commands": commands, "trading digest": digest.hex(), "trading frame": frame}
    story.say(f"digest of all events so far: {digest.hex()[:16]}… (the same for the same seed, on every machine)")
    venue.close(story)
