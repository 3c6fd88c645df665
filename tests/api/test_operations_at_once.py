"""What people do at the operations door at the same moment, and what is refused because another was quicker."""

import asyncio
import json

import pytest
from test_approvals import halted, run
from test_operations import CHANGES

from seawall.api.operations.actions import deed
from seawall.api.operations.journalling import Denied
from seawall.vocabulary.records import VenueState


async def sign_at_once(d, person, *proposals):
    """One person's signatures under several proposals, sent together; the status of each answer."""
    answers = await asyncio.gather(*(
        d.client.post(
            f"/proposals/{id_}/signatures",
            content=json.dumps(d.people.signature(person, payload)), headers=d._headers("olivia"),
        )
        for id_, payload in proposals
    ))  # fmt: skip
    return [answer.status_code for answer in answers]


def test_changes_of_the_approvers_at_once_leave_enough_of_them(tmp_path):
    """Each alone would: together they would leave two people where three are needed, and nobody could sign again."""

    async def scenario(d):
        asked = [{"action": "approver.remove", "person": person, "reason": "left"} for person in ("rita", "rob")]
        proposals = [await d.propose("/people", **one) for one in asked]
        proposals.append(await d.propose("/parameters", parameter="needed", needed=3, reason="more"))
        for id_, payload in proposals:
            await d.sign(id_, payload, "olivia")
        assert await sign_at_once(d, "carl", *proposals) == [200, 400, 400]
        registry = d.operations.registry
        assert ([one.person for one in registry.approvers], registry.needed) == (["olivia", "carl", "rob"], 2)
        id_, payload = await halted(d)
        await d.sign(id_, payload, "rob", "carl")
        assert d.view.venue == VenueState.OPEN

    run(scenario, tmp_path)


def test_a_signature_that_came_with_a_removal_is_counted_after_it(tmp_path):
    async def scenario(d):
        gone = await d.propose("/people", action="approver.remove", person="rita", reason="left")
        await d.sign(*gone, "olivia")
        opening = await halted(d)
        await d.sign(*opening, "rita")
        assert await sign_at_once(d, "carl", gone, opening) == [200, 200]
        row = d.operations.proposals.rows[opening[0]]
        assert (row.state, row.people, d.view.venue) == ("pending", ["carl"], VenueState.HALTED)

    run(scenario, tmp_path)


def test_what_is_numbered_at_once_has_numbers_of_its_own(tmp_path):
    async def scenario(d):
        asked = [{"name": name, "decimals": decimals, "reason": "x"} for name, decimals in (("A", 4), ("B", 8))]
        proposals = [await d.propose("/currencies", **one) for one in asked]
        for id_, payload in proposals:
            await d.sign(id_, payload, "rita")
        assert await sign_at_once(d, "carl", *proposals) == [200, 200]
        assert list(d.view.currencies.values())[-2:] == [("A", 4), ("B", 8)]

    run(scenario, tmp_path)


def test_two_accounts_made_at_once_have_two_numbers(tmp_path):
    async def scenario(d):
        made = await asyncio.gather(*(
            d.post("/accounts", action="create", name=name, reason="x") for name in ("north", "south")
        ))  # fmt: skip
        numbers = {row["name"]: row["account"] for row in made}
        assert numbers["north"] + 1 == numbers["south"]
        assert [d.view.client(number).name for number in numbers.values()] == ["north", "south"]

    run(scenario, tmp_path)


def test_what_the_engine_refused_to_define_names_nothing(tmp_path):
    """Two definitions under one number: the second is refused, and what the first is called stays."""

    async def scenario(d):
        spec = CHANGES["/instruments"]
        asked = [("currency", {"name": name, "decimals": decimals}) for name, decimals in (("AAA", 4), ("BBB", 8))]
        asked += [("instrument", {**spec, "name": name}) for name in ("SOL-PERPETUAL", "XRP-PERPETUAL")]
        world, writer = await d.operations.world(), d.operations.writer
        for first, second in (asked[:2], asked[2:]):
            deeds = [deed(world, action, parameters) for action, parameters in (first, second)]
            await writer.write(deeds[0].acts)
            with pytest.raises(Denied, match="already defined"):
                await writer.write(deeds[1].acts)
        assert list(d.view.currencies.values())[-1] == ("AAA", 4)
        assert d.view.listings[world.instruments].name == "SOL-PERPETUAL" and "XRP-PERPETUAL" not in d.view.by_name
        look, names = writer.look, {client.name for client in d.view.clients.values()}

        async def older(see):
            return await look(see) - 1

        writer.look = older
        await d.post("/accounts", action="create", name="south", reason="x", status=409)
        assert {client.name for client in d.view.clients.values()} == names

    run(scenario, tmp_path)
