"""Newer rules of a running venue: proposed, signed by the right people, alone in their frame, once."""

from api_venue import ALICE, PRICE
from test_approvals import journalled, run

from seawall.api.operations.approvals import check_approval
from seawall.api.operations.wording import words
from seawall.journal import frames
from seawall.node import node
from seawall.vocabulary.records import FLAG_APPROVED, RULES_FOLDED, Kind, command, join


def under_rules(number):
    return lambda: join(command(Kind.OPENED), command(Kind.RULES, version=number))


def test_people_adopt_newer_rules_of_a_running_venue(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "first_commands", under_rules(4))
    newest = max(RULES_FOLDED)

    async def scenario(d):
        ask = {"parameter": "rules", "reason": "an edit is held to reducing"}
        assert (await d.get("/status"))["rules"] == 4 and (await d.get("/status"))["newest_rules"] == newest
        for wrong in (0, 4, 99):
            answer = await d.post("/parameters", status=400, rules=wrong, **ask)
            assert "must be newer than 4" in answer["rule"], answer
        id_, payload = await d.propose("/parameters", rules=newest, **ask)
        assert f"under rules {newest} instead of 4" in words(payload)[0]
        await d.sign(id_, payload, "olivia", status=400)  # an operator's consent does not count for this
        await d.sign(id_, payload, "rita", "carl")
        engine = d.service.node.fold.engine
        assert (engine.catalogue.rules, d.view.requirements.rules) == (newest, newest)
        assert (await d.get("/status"))["rules"] == newest
        (adopted,) = [frame for frame in frames(d.service.node.configuration.folders)
                      if frame.number > 1 and (frame.commands["kind"] == Kind.RULES).any()]  # fmt: skip
        assert adopted.commands["kind"].tolist() == [Kind.RULES] and adopted.commands["flags"][0] & FLAG_APPROVED
        assert check_approval(adopted.attachments)[0]["proposal"] == id_
        assert id_ in d.operations.record.executed and d.service.node.snapshot_frame == 0
        assert d.venue.buy(ALICE, 10, PRICE - 100)["order_state"] == "open"
        await d.post("/parameters", status=400, rules=newest, **ask)

    run(scenario, tmp_path, engine="fast")


def test_rules_that_were_adopted_meanwhile_are_not_adopted_again(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "first_commands", under_rules(4))

    async def scenario(d):
        ask = {"parameter": "rules", "reason": "x", "rules": max(RULES_FOLDED)}
        first, second = [await d.propose("/parameters", **ask) for _ in range(2)]
        await d.sign(*first, "rita", "carl")
        answer = await d.sign(*second, "rita", "carl", status=400)
        assert answer["field"] == "rules"
        assert sum(record["kind"] == Kind.RULES for record, _ in journalled(d)) == 2

    run(scenario, tmp_path)
