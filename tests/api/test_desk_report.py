"""`seawall report` on the journal of a real desk in observe, beside the running desk: held against what clients saw."""

import asyncio
import json
import subprocess
import sys
import time

import pytest
from desk_script import Script
from desk_venue import desk_venue
from dev_venue import ENVIRONMENT, START

from seawall.api.desk.rows import order_rows
from seawall.cli.reporting import Reporter
from seawall.journal import folders_of, frames
from seawall.node.replay import ENGINES, Fold

PERPETUAL = "BTC-PERPETUAL"


def report(data):
    command = [sys.executable, "-c", START, "report", data, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_report_beside_the_running_desk(tmp_path):
    with desk_venue(tmp_path, "observe") as desk:
        limits = {"limit": "ORDER_QUANTITY", "amount": "100", "quantity": "0", "window_ns": "0", "reason": "test"}
        assert desk.operate("limits", "rita", account="alice", instrument=PERPETUAL, **limits)["done"]
        fees, bought = 0.0, 0.0

        def order(account, side, amount, price):
            """The answer's order; the fees of both are added up."""
            nonlocal fees, bought
            given = {"instrument_name": PERPETUAL, "amount": amount, "price": price}
            found = desk.get(f"private/{side}", account, **given)["result"]
            if account == "alice":
                fees += sum(trade["fee"] for trade in found["trades"])
                bought += sum(trade["amount"] for trade in found["trades"])
            return found["order"]

        order("bob", "sell", 600, 60_100)
        order("alice", "buy", 200, 60_100)
        large = order("alice", "buy", 5_000, 55_000)  # 500 lots of 100: observed, and open there all the same
        refused = desk.get("private/buy", "alice", instrument_name=PERPETUAL, amount=4 * 10**8, price=60_000)
        assert "error" in refused  # by both
        assert large["order_state"] == "open" and bought == 200
        end = time.monotonic() + 20
        while (found := report(desk.ready["data"]))["bots"]["alice"]["fills"] < 1 and time.monotonic() < end:
            time.sleep(0.5)
        alice, bob = found["bots"]["alice"], found["bots"]["bob"]
        assert (alice["orders"], alice["accepted"], alice["refused"], alice["went_anyway"]) == (3, 1, 2, 1)
        assert (bob["orders"], bob["accepted"], bob["refused"], bob["volume_usd"]) == (1, 1, 0, 200)
        assert alice["volume_usd"] == bought and alice["fees"]["BTC"] == pytest.approx(fees, abs=1e-12)
        first, second = alice["reasons"]["QUANTITY"]["examples"]
        assert (first["amount"], first["notional_usd"], first["went_anyway"]) == (5_000, 5_000, True)
        assert first["words"] == "quantity 500 lots is outside 1 to 100"
        assert (second["notional_usd"], second["went_anyway"]) == (4 * 10**8, False)
        assert found["restrictions"] == [] and found["unknown"] == []
        assert found["latency"]["orders"] == 0  # the journal hears of it once a minute, and at the end
        data = desk.ready["data"]
        assert desk.stop() == 0
    latency = report(data)["latency"]
    assert latency["orders"] == 4 and 0 < latency["p50_ms"] <= latency["most_ms"] < 5_000


def test_an_outcome_that_was_known_after_the_week_is_told(tmp_path):
    async def week():
        async with Script(tmp_path) as script:
            sent = await script.call("private/buy", instrument_name=PERPETUAL, amount=100, price=59_000.0)
            sent.lost("a cut")
            await script.settle()
            script.venue.clock.advance(10**9)
            until = script.venue.clock()
            script.venue.clock.advance(10**9)
            sent.found(order_rows(script.row("BTC-1"))[0])
            await script.settle()
            return until

    made, fold = Reporter(0, asyncio.run(week())), Fold(ENGINES["reference"]())
    for frame in frames(folders_of(tmp_path / "journal")):
        made.take(frame, fold.check(frame))
    (unknown,) = made.report.unknown
    assert (unknown.ended, unknown.seconds) == ("it stands at the venue", 2.0)
    assert made.report.bots["alice"].orders == 1


def test_an_edit_right_behind_its_orders_answer_is_no_refusal_of_enforce(tmp_path):
    """Observe journals up to 50 ms later: it told the week's report "would have been refused: not known"."""

    async def week():
        async with Script(tmp_path, enforce=False) as script:
            sent = await script.call("private/buy", instrument_name=PERPETUAL, amount=100, price=59_000.0)
            sent.heard(json.dumps({"result": {"order": script.row("BTC-1"), "trades": []}}).encode())
            assert await script.call("private/edit", order_id="BTC-1", amount=100, price=58_000.0) is None
            await script.settle()
            assert await script.call("private/edit", order_id="BTC-9", amount=100, price=58_000.0) is None
            await script.settle()
            return [one["reason"] for one in script.notes("unweighed")]

    early, none = asyncio.run(week())
    assert early.startswith("enforce would have weighed it") and none == "not known"
