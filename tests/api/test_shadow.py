"""What becomes of orders that the venue tells of in its own way: ghosts, stops that fire, what came from outside."""

import asyncio

import pytest
from api_venue import ALICE
from desk_script import Script

from seawall.api.desk.shadow import Ghost
from seawall.vocabulary.records import Kind, Limit, command


async def ghost(script, id_="BTC-1"):
    """An order of alice's that the gate would have refused, and that stands at the venue (observe)."""
    limit = command(Kind.LIMIT, state=Limit.ORDER_QUANTITY, account=ALICE, instrument=-1, amount=5)
    script.desk.ask(limit.tobytes())
    row = await script.order(id_)
    assert script.shadow.live[id_].seq == 0 and script.open() == []
    return row


def run(trip, folder, **more):
    async def whole():
        async with Script(folder, **more) as script:
            await trip(script)

    asyncio.run(whole())


# -- ghosts ------------------------------------------------------------------------------------------------------------


def test_a_ghost_that_is_over_is_over_after_a_restart(tmp_path):
    async def trip(script):
        await ghost(script)
        assert script.notes("ghost") == [
            {"note": "ghost", "upstream": "BTC-1", "account": ALICE, "seq": script.notes("ghost")[0]["seq"],
             "instrument": 0, "side": 1, "lots": 10}
        ]  # fmt: skip
        await script.again()
        live = script.shadow.live["BTC-1"]
        assert (live.instrument, live.side, live.lots) == (0, 1, 10)
        script.tell_order(script.row("BTC-1", state="cancelled"))
        assert not script.shadow.live
        await script.again()
        assert not script.shadow.live
        await script.look()
        assert script.there.asked["private/get_order_state"] == 0  # nobody asks for it any more

    run(trip, tmp_path, enforce=False)


@pytest.mark.parametrize("old", [False, True])
def test_a_ghost_that_the_venue_has_forgotten_does_not_blind_the_drop_copy(tmp_path, old):
    async def trip(script):
        if old:  # as it was journalled once
            script.venue.note(note="ghost", upstream="BTC-1", account=ALICE, seq=7)
        else:
            await ghost(script)
        await script.again()
        assert list(script.shadow.live) == ["BTC-1"]
        script.there.forgotten.add("BTC-1")
        script.there.orders.clear()
        await script.look()
        assert not script.shadow.live and script.there.asked["private/get_order_state"] == 1
        await script.again(enforce=True)
        await script.look()
        assert not script.shadow.live and script.there.asked["private/get_order_state"] == 1
        assert Ghost("a", 1).instrument == -1

    run(trip, tmp_path, enforce=False)
