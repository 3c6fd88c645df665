"""`seawall serve --dev`: from nothing to the first order and the first refusal; what was told outlives kill -9."""

import asyncio
import contextlib
import gc
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import pytest
from dev_venue import ENVIRONMENT, START, DevVenue, dev_venue
from wire import Wire

from seawall.api import serving
from seawall.api.operations import journalling
from seawall.journal import folders_of, verify
from seawall.node import Configuration


def test_first_order_first_fill_first_refusal_with_its_two_numbers(tmp_path):
    with dev_venue(tmp_path / "venue") as venue:
        assert set(venue.ready) == {"ready", "http", "ws", "ops", "data", "accounts", "operators"}
        assert [account["name"] for account in venue.ready["accounts"]] == ["alice", "bob", "carol", "dave"]
        perpetual = {"instrument_name": "BTC-PERPETUAL", "type": "limit"}
        bought = venue.get("private/buy", "alice", amount=100, price=59000, label="first", **perpetual)["result"]
        assert bought["order"]["order_state"] == "open" and bought["order"]["label"] == "first"
        sold = venue.get("private/sell", "bob", amount="40", price="59000.0", **perpetual)["result"]
        assert sold["order"]["order_state"] == "filled" and sold["trades"][0]["liquidity"] == "T"
        error = venue.get("private/buy", "alice", amount=400_000_000, price=59000, **perpetual)["error"]
        assert (error["code"], error["data"]["control"]) == (10009, "MARGIN")
        asked, had = error["data"]["numbers"]
        assert asked > had > 0 and f"{asked:,}" in error["data"]["reason"]
        assert venue.stop() == 0
    log = venue.log.read_text()
    assert not any(account["secret"] in log for account in venue.ready["accounts"])


def test_what_was_acknowledged_outlives_a_kill_and_a_client_id_is_placed_once(tmp_path):
    order = {"instrument_name": "BTC-PERPETUAL", "amount": 20, "price": 58000, "client_order_id": "mine-1"}
    first = DevVenue(tmp_path / "venue")
    placed = first.get("private/buy", "alice", **order)["result"]["order"]
    assert first.get("private/buy", "alice", **order)["result"]["order"] == placed
    first.kill()
    with dev_venue(tmp_path / "venue") as venue:
        assert "reopened by itself" in venue.log.read_text()
        again = venue.get("private/buy", "alice", **order)["result"]["order"]
        assert again["order_id"] == placed["order_id"] and again["creation_timestamp"] == placed["creation_timestamp"]
        other = venue.get("private/buy", "alice", **{**order, "client_order_id": "mine-2"})["result"]["order"]
        assert other["order_id"] != placed["order_id"]


def test_a_lost_disk_is_made_anew_from_the_shell(tmp_path):
    """Not unasked, as it may only be unmounted; and `verify` promises no repair that the start refuses."""
    data = tmp_path / "venue"
    DevVenue(data).stop()
    for file in (data / "b").iterdir():
        file.unlink()

    def run(*words):
        command = [sys.executable, "-c", START, *map(str, words)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)

    refused = run("serve", "--dev", "--port", 0, "--data", data)
    assert refused.returncode == 2 and str(data / "b") in refused.stderr
    told = run("verify", data).stdout
    assert "--rebuild" in told and "puts this right" not in told
    with dev_venue(data, "--rebuild") as venue:
        assert venue.get("public/test")["result"]
        assert venue.stop() == 0
    assert verify(folders_of(data)).ok and any((data / "b").iterdir())


def test_what_cannot_be_is_answered_with_an_error_document(tmp_path):
    with dev_venue(tmp_path / "venue") as venue:
        assert venue.get("public/nothing")["error"]["code"] == -32601
        assert venue.get("private/buy", instrument_name="BTC-PERPETUAL")["error"]["code"] == 13009
        missing = venue.get("private/buy", "alice", amount=10)["error"]
        assert (missing["code"], missing["data"]["param"]) == (-32602, "instrument_name")
        for wrong in ({"amount": "NaN"}, {"amount": 11}, {"amount": "1e400"}, {"amount": "ten"}, {"amount": -10}):
            order = {"instrument_name": "BTC-PERPETUAL", "price": 50000, **wrong}
            assert venue.get("private/buy", "alice", **order)["error"]["code"] in (-32602, 10021)
        tick = venue.get("private/buy", "alice", instrument_name="BTC-PERPETUAL", amount=10, price=50000.3)["error"]
        assert tick["code"] == 10043


def test_a_dev_venue_opens_itself_after_a_crash_but_not_what_people_halted(tmp_path):
    first = DevVenue(tmp_path / "venue")
    said = first.operate("halt", "olivia", scope="venue", reason="a drill")
    assert said["done"], said
    first.kill()
    with dev_venue(tmp_path / "venue") as venue:
        refused = venue.get("private/buy", "alice", instrument_name="BTC-PERPETUAL", amount=10, price=50000)["error"]
        assert refused["data"]["control"] == "VENUE_HALTED"
        assert "reopened by itself" not in venue.log.read_text()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_stop_and_a_kill_take_along_what_was_to_go_with_a_connection(tmp_path, end):
    order = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 41_000}

    async def place(venue):
        wire = await Wire().connect(venue, "carol")
        early = (await wire.result("private/buy", **order))["order"]["order_id"]
        assert await wire.result("private/enable_cancel_on_disconnect") == "ok"
        late = (await wire.result("private/buy", **order))["order"]["order_id"]
        venue.process.send_signal(end)
        await asyncio.wait_for(wire.ended.wait(), 30)
        await wire.close()
        return early, late

    first = DevVenue(tmp_path / "venue")
    kept = first.get("private/buy", "carol", **order)["result"]["order"]["order_id"]
    gone = asyncio.run(place(first))
    first.process.wait(30)
    stopped = time.time() * 1000
    with dev_venue(tmp_path / "venue") as venue:
        for number in gone:
            found = venue.get("private/get_order_state", "carol", order_id=number)["result"]
            assert (found["order_state"], found["cancel_reason"]) == ("cancelled", "cancel_on_disconnect")
            assert (found["last_update_timestamp"] < stopped) == (end == signal.SIGTERM)
        assert [row["order_id"] for row in venue.get("private/get_open_orders", "carol")["result"]] == [kept]


def test_an_address_has_so_many_connections_and_no_more(tmp_path):
    async def crowd(url):
        async with aiohttp.ClientSession() as client:
            held = [await client.ws_connect(url) for _ in range(32)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url)
            assert refused.value.status == 429
            for _ in range(50):  # whoever was told goodbye has left: the place is free that very moment
                await held.pop(0).close()
                held.append(await client.ws_connect(url))
            await held[-1].send_str('{"jsonrpc":"2.0","id":1,"method":"public/test"}')
            assert (await held[-1].receive_json())["result"]["version"]
            for socket in held:
                await socket.close()

    with dev_venue(tmp_path / "venue", "--rate-limits") as venue:
        asyncio.run(crowd(venue.ready["ws"]))


def test_a_port_that_is_taken_is_refused_by_name(tmp_path):
    with dev_venue(tmp_path / "venue") as venue:
        port = venue.ready["http"].rpartition(":")[2]
        command = [sys.executable, "-c", START, "serve", "--dev", "--data", str(tmp_path / "other"), "--port", port]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and f"port = {port}" in done.stderr, done.stderr


def test_a_real_venue_has_no_market_of_its_own(tmp_path, monkeypatch):
    async def scenario():
        venue = serving.Venue(Configuration.of({"data": str(tmp_path / "venue"), "engine": "reference"}))
        await venue.start()
        assert venue.market is None and not venue.ready()["accounts"]
        await venue._move()
        await venue.stop()

    monkeypatch.setattr(serving, "_collect_rarely", gc.enable)
    asyncio.run(scenario())


def test_shedding_names_the_account_that_sent_most(tmp_path, monkeypatch):
    async def scenario():
        venue = serving.Venue(Configuration.of({"data": str(tmp_path / "venue"), "engine": "reference"}))
        await venue.start()
        venue.service.edge.shed.update({(9, 10047): 3, (8, 10047): 5, (9, 10028): 70, (7, 0): 90})
        await venue._count_shed()
        (told,) = [one for one in venue.operations.alerts.ring if one.kind == "shedding"]
        assert told.facts == {"account": "account-8", "count": 5, "all": 8}
        await venue.stop()

    monkeypatch.setattr(serving, "_collect_rarely", gc.enable)
    asyncio.run(scenario())


def test_a_second_writer_on_a_data_folder_is_impossible(tmp_path):
    with dev_venue(tmp_path / "venue") as venue:
        command = [sys.executable, "-c", START, "serve", "--dev", "--data", str(tmp_path / "venue"), "--port", "0"]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "JournalBusy" in done.stderr, done.stderr
        assert venue.get("public/get_time")["result"] > 0


def test_a_peer_that_answers_nothing_does_not_keep_the_venue_from_stopping(tmp_path):
    with dev_venue(tmp_path / "venue") as venue:
        port = int(venue.ready["http"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            deaf.sendall(
                b"GET /ws/api/v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert deaf.recv(4096).startswith(b"HTTP/1.1 101")
            began = time.monotonic()
            assert venue.stop() == 0
            assert time.monotonic() - began < 20
    assert verify(folders_of(tmp_path / "venue")).ok


def test_a_watch_that_lost_its_cancel_is_told_again(tmp_path, monkeypatch):
    """As one does whose own answer came in the same moment, by way of `wait_for` or `gather`."""

    async def deaf():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def scenario():
        venue = serving.Venue(Configuration.of({"data": str(tmp_path / "venue"), "engine": "reference"}))
        await venue.start()
        venue._watches.append(asyncio.create_task(deaf()))
        await asyncio.sleep(0)
        await venue.stop()

    monkeypatch.setattr(serving, "CLOSE_S", 0.05)
    monkeypatch.setattr(serving, "_collect_rarely", gc.enable)
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_an_answer_of_the_writer_does_not_hide_a_cancel():
    async def scenario():
        told = []
        asking = asyncio.create_task(journalling._answer(told.append, 60.0))
        await asyncio.sleep(0)
        told[0]("found", None)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(scenario())
