"""The door's clock and its looks: who is cut off, who is not, and what is answered when we fail."""

import asyncio
import time
from types import SimpleNamespace
from unittest.mock import Mock

from api_venue import ALICE

from seawall.api import door as doors
from seawall.api.door import Door
from seawall.vocabulary.errors import OutcomeUnknown


class Peer:
    """A WebSocket as the server hands it over; nothing comes, and what is sent is held until `take`."""

    def __init__(self):
        self.scope = SimpleNamespace(proto="ws", path="/ws/api/v2", client="127.0.0.1:1", headers={})
        self.take = asyncio.Event()
        self.closed = None

    async def accept(self):
        return self

    def close(self, status):
        self.closed = status

    async def receive(self):
        await asyncio.Event().wait()

    async def send_str(self, text):
        await self.take.wait()


async def connected(door, peer):
    """The session of a peer, and the task that serves it."""
    task = asyncio.create_task(door(peer.scope, peer))
    while not door.sessions:
        await asyncio.sleep(0)
    (session,) = door.sessions
    return session, task


def test_a_connection_of_the_first_second_was_not_silent(venue):
    async def scenario():
        door, peer = Door(venue.service), Peer()
        session, task = await connected(door, peer)
        session.cancel_on_disconnect = True
        assert door.cut_stalled() == 0
        assert session.closing is None
        session.heard_at = time.monotonic() - doors.SILENT_S - 1
        door.cut_stalled()
        await asyncio.wait_for(task, 10)
        assert session.closing == (1000, "silent")

    asyncio.run(scenario())


def test_a_send_that_is_stuck_from_the_first_second_on_is_cut(venue, monkeypatch):
    async def scenario():
        door, peer = Door(venue.service), Peer()
        session, task = await connected(door, peer)
        session.push("never taken")
        await asyncio.sleep(0.02)
        assert door.cut_stalled() == 0
        monkeypatch.setattr(doors, "STALL_S", 0.01)
        assert door.cut_stalled() == 1
        await asyncio.wait_for(task, 10)
        assert session.closing == (1008, "too slow") and peer.closed == 1008

    asyncio.run(scenario())


def test_an_address_is_counted_by_its_host(venue):
    async def scenario():
        settings = SimpleNamespace(connections=1)
        venue.service.rates = SimpleNamespace(settings=settings)
        door, peer = Door(venue.service), Peer()
        _, task = await connected(door, peer)
        crowd = [door._crowded(client) for client in ("127.0.0.1:2", "[::1]:1", "127.0.0.2:1")]
        assert crowd == [True, False, False]
        task.cancel()

    asyncio.run(scenario())


def test_a_look_that_fails_is_answered_and_the_venue_goes_on(venue, monkeypatch):
    for failure, code in ((KeyError("a defect"), 11094), (OutcomeUnknown("no disk"), 13888)):
        monkeypatch.setattr(venue.node.fold.engine, "account_view", Mock(side_effect=failure))
        assert venue.error("private/get_account_summary", ALICE, currency="BTC")["code"] == code
    monkeypatch.undo()
    assert venue.result("private/get_account_summary", ALICE, currency="BTC")["currency"] == "BTC"
    assert venue.service.sequencer.dead is None
