"""A venue's memory goes on from a snapshot as if it had folded all of the journal, and from no snapshot it may not."""

import asyncio
import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import deque
from functools import partial
from random import Random
from types import SimpleNamespace

import aiohttp
import msgspec
import pytest
import structlog
from api_venue import ALICE, BOB, CAROL, INDEX_USD, PERPETUAL, START_NS, Venue
from desk_venue import DeskVenue, write_keys
from dev_venue import ENVIRONMENT, START, orderly
from typer.testing import CliRunner

from seawall.api import memory as room
from seawall.api import remembering
from seawall.api.desk.memory import DeskMemory
from seawall.api.memory import Memory, place, resume
from seawall.api.operations.disk_time import DISK_LEAST
from seawall.api.remembering import EVERY, Keeper, remember
from seawall.api.shapes import order_id
from seawall.cli.bench_clients import Process, bid
from seawall.cli.main import app
from seawall.journal import frames
from seawall.journal.disk import OsDisk
from seawall.journal.files import lock_folder
from seawall.journal.horizon import HORIZON_NAME, Durable, encode_horizon
from seawall.journal.reading import Mirror
from seawall.journal.snapshots import snapshot_name, snapshots_in
from seawall.node import Configuration, Fold, Node, replay
from seawall.node.node import Group
from seawall.node.replay import ENGINES
from seawall.vocabulary.errors import JournalBusy, JournalError
from seawall.vocabulary.hours import DAY_NS
from seawall.vocabulary.records import Kind, Scope, VenueState, command


def plain(thing, seen=None):
    """What an object is made of, down to numbers and words; one that was met before by the number of that meeting."""
    seen = {} if seen is None else seen
    if thing is None or isinstance(thing, int | float | str | bytes):
        return type(thing).__name__, thing
    if isinstance(thing, tuple):
        return type(thing).__name__, [plain(one, seen) for one in thing]
    if id(thing) in seen:
        return "again", seen[id(thing)][0]
    seen[id(thing)] = len(seen), thing
    if isinstance(thing, dict):
        return "dict", [(plain(key, seen), plain(value, seen)) for key, value in thing.items()]
    if isinstance(thing, set | frozenset):
        return "set", sorted(thing)
    if isinstance(thing, list | deque):
        return type(thing).__name__, getattr(thing, "maxlen", None), [plain(one, seen) for one in thing]
    if isinstance(thing, msgspec.Struct):
        state = {name: getattr(thing, name) for name in thing.__struct_fields__}
    else:
        state = thing.__getstate__()
        state = state[1] if isinstance(state, tuple) else state
    if isinstance(state, list):  # of a dataclass with slots: in the order of its fields
        return type(thing).__name__, [plain(value, seen) for value in state]
    return type(thing).__name__, [(name, plain(state[name], seen)) for name in sorted(state)]


def week(folder, seed):
    """The data folder of a venue that saw everything an account can do, and a week's mornings; cleanly stopped."""
    random = Random(seed)
    venue = Venue(folder, engine="fast", segment_bytes=1 << 20)
    names = [item.name for item in venue.view.listings.values()][:8] + [PERPETUAL] * 4

    def told(order):
        return order_id(order, venue.view.listings[order.instrument])

    for step in range(240):
        account, name = random.choice((ALICE, BOB, CAROL)), random.choice(names)
        listing = venue.view.by_name[name]
        mark = listing.price(venue.view.marks[listing.number])
        ask = partial(venue.call, account=account, instrument_name=name, amount=random.choice((10, 20, 30)))
        side = random.choice(("buy", "sell"))
        step_of = listing.price(1)
        price = round(mark * random.uniform(0.98, 1.02) / step_of) * step_of
        if listing.option:
            ask = partial(ask, amount=random.choice((0.5, 1, 2)))
        match random.randrange(14):
            case 0 | 1 | 2 | 3 | 4 | 5:
                more = random.choice(({}, {"label": "x"}, {"post_only": True}, {"time_in_force": "fill_or_kill"}))
                ask(f"private/{side}", price=price, **more)
            case 6:
                ask(f"private/{side}", type="market")
            case 7:
                kind = random.choice(("stop_limit", "take_limit"))
                ask(f"private/{side}", type=kind, price=price, trigger="mark_price", trigger_price=price)
            case 8:
                for order in list(venue.view.client(account).open.values())[:2]:
                    more = {"amount": listing.amount(order.amount) + 10, "price": price}
                    venue.call("private/edit", account, order_id=told(order), **more)
            case 9:
                for order in list(venue.view.client(account).open.values())[:1]:
                    venue.call("private/cancel", account, order_id=told(order))
            case 10:
                venue.publish(BTC=INDEX_USD["BTC"] * random.uniform(0.97, 1.03))
            case 11:
                venue.pass_time(random.choice((30, 3_600)))
                venue.note(note="funding", instrument=0, rate_8h=0.0001, rate_1h=0.0000125)
                venue.submit(command(Kind.FUNDING, instrument=0, amount=2**16 * random.randrange(-50, 50)))
            case 12:
                guard = {"index_name": "btc_usd", "interval": 5, "frozen_time": 10, "quantity_limit": 40}
                venue.call("private/set_mmp_config", account, **guard)
                venue.call("private/enable_cancel_on_disconnect", account)
                venue.call(
                    "private/set_self_trading_config", account, mode="cancel_maker", extended_to_subaccounts=False
                )
            case _:
                venue.submit(command(Kind.SETTLE, instrument=0))
                if step < 170:
                    continue
                note = msgspec.json.encode({"note": "operation", "action": "halt", "by": "olivia", "reason": "a look"})
                halt = command(Kind.STATE, type=Scope.ACCOUNT, account=CAROL, state=VenueState.HALTED)
                halt["attachment"] = len(note)
                venue.submit(halt, attachments=note)
        if step == 169:
            venue.clock.advance(8 * DAY_NS)
            for dated in [item.name for item in venue.view.listings.values() if not item.perpetual]:
                venue.expire(dated, INDEX_USD["BTC" if dated.startswith("BTC") else "ETH"])
            names = [PERPETUAL]
    venue.stop()
    return venue.configuration


def folded(configuration, cut=None):
    """A memory of all of a journal; with `cut` written and read again after that frame, the reader's going on."""
    made, fold = Memory(), Fold(ENGINES["fast"]())
    for frame in frames(configuration.folders):
        if frame.number == cut:
            known = pickle.dumps(made.known())
            made = Memory()
            made.adopt(room._read(known, made.kept))
        made.take(Group(frame.commands, frame.attachments, fold.check(frame)))
    return made, frame.number


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A week's configuration, a memory of all of it, and its last frame."""
    configuration = week(tmp_path_factory.mktemp("week"), 1)
    return (configuration, *folded(configuration))


@pytest.fixture
def copied(kept, tmp_path):
    """The same in a folder of one's own."""
    configuration, memory, last = kept
    data = tmp_path / "journal"
    shutil.copytree(configuration.data, data)
    return Configuration.of({"data": str(data), "segment_bytes": 1 << 20}), memory, last


def test_it_goes_on_from_any_frame_as_if_it_had_heard_them_all(kept):
    configuration, whole, last = kept
    assert {trade.direction for client in whole.view.clients.values() for trade in client.trades} == {1, -1}
    assert whole.view.statistics.settlements and whole.record.states and whole.view.arrangements.protections
    for cut in Random(7).sample(range(2, last + 1), 25):
        assert plain(folded(configuration, cut)[0]) == plain(whole), cut


def test_another_week_too(tmp_path):
    configuration = week(tmp_path, 2)
    whole, last = folded(configuration)
    assert plain(folded(configuration, last // 2)[0]) == plain(whole)


def test_a_start_resumes_state_and_memory_after_the_frame_that_was_kept(copied):
    configuration, whole, last = copied
    frame, commands = remember(configuration)
    assert (frame, remember(configuration)) == (last, (last, 0)) and commands > 500
    memory = Memory()
    fold = resume(configuration, memory)
    assert (fold.frame, plain(memory)) == (last, plain(whole))
    full = Fold(ENGINES["fast"]())
    replay(configuration.folders, fold=full)
    assert (fold.digest, fold.engine.state()) == (full.digest, full.engine.state())


def test_what_is_not_known_to_be_durable_is_left_to_the_next(copied):
    configuration, whole, last = copied
    horizon = configuration.folders[0] / HORIZON_NAME
    known, journal = horizon.read_bytes(), Mirror(configuration.folders, OsDisk()).identity.journal
    horizon.unlink()
    with pytest.raises(JournalError, match="how far"):
        remember(configuration)
    assert not snapshots_in(OsDisk(), place(configuration))
    horizon.write_bytes(encode_horizon(journal, Durable(100, 0, bytes(32))))
    assert remember(configuration)[0] == 100
    horizon.write_bytes(known)
    assert remember(configuration)[0] == last
    memory = Memory()
    assert resume(configuration, memory).frame == last and plain(memory) == plain(whole)


def test_one_at_a_time(copied):
    configuration, _, _ = copied
    folder = place(configuration)
    folder.mkdir()
    held = lock_folder(OsDisk(), folder)
    with pytest.raises(JournalBusy):
        remember(configuration)
    OsDisk().close(held)
    remember(configuration)


def test_other_code_folds_the_journal(copied, monkeypatch):
    configuration, _, _ = copied
    remember(configuration)
    monkeypatch.setattr(room, "_code", lambda: "f" * 64)
    assert resume(configuration, Memory()) is None


def test_a_flipped_byte_anywhere_folds_the_journal(copied):
    configuration, _, last = copied
    remember(configuration)
    file = place(configuration) / snapshot_name(last)
    whole = file.read_bytes()
    for at in Random(3).sample(range(len(whole)), 40):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        memory = Memory()
        fold = resume(configuration, memory)
        assert fold is None and not memory.view.clients, at


class Reached:
    """Pickled as a call of what no memory may name."""

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_forged_memory_runs_nothing(copied, monkeypatch, tmp_path):
    configuration, _, _ = copied
    forged = Reached()
    Reached.folder = tmp_path / "reached"
    monkeypatch.setattr(Memory, "known", lambda self: forged)
    remember(configuration)
    monkeypatch.undo()
    with structlog.testing.capture_logs() as logs:
        assert resume(configuration, Memory()) is None
    assert "mkdir" in logs[0]["why"] and not Reached.folder.exists()
    pickle.loads(pickle.dumps(forged))
    assert Reached.folder.exists(), "a reader without the rule runs it"


def test_the_last_room_of_a_disk_is_left_to_the_journal(copied, monkeypatch):
    configuration, _, last = copied
    remember(configuration)
    (file,) = place(configuration).glob("*.snapshot")
    needed = DISK_LEAST + 2 * file.stat().st_size
    free = [needed - 1]
    monkeypatch.setattr(remembering.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free[0]))
    with pytest.raises(JournalError, match=f"wants {needed:,}"):
        remember(configuration)
    free[0] = needed
    assert remember(configuration) == (last, 0)


def test_snapshots_are_a_minute_apart(copied):
    configuration, _, _ = copied

    async def run():
        keeper = Keeper(configuration, on=True)
        keeper.heard = EVERY
        assert await keeper.look() == "" and keeper.heard == 0
        await keeper.stop()
        keeper.heard = EVERY
        assert await keeper.look() == "" and keeper.heard == EVERY

    asyncio.run(run())


def test_a_process_of_its_own_keeps_it_when_enough_was_heard(copied, monkeypatch):
    configuration, whole, last = copied
    monkeypatch.setattr(remembering, "APART_S", 0.0)
    folder = place(configuration)

    async def run():
        keeper = Keeper(configuration, on=True)
        keeper.heard = EVERY - 1
        assert await keeper.look() == "" and not folder.exists()
        keeper.heard += 1
        assert await keeper.look() == "" and keeper.heard == 0
        while not folder.exists() or not snapshots_in(OsDisk(), folder):
            assert await keeper.look() == ""
            await asyncio.sleep(0.1)
        await keeper.stop()
        shutil.rmtree(configuration.folders[0])
        shutil.rmtree(configuration.folders[1])
        keeper.heard = EVERY
        said = ""
        while not said:
            said = await keeper.look()
            await asyncio.sleep(0.1)
        await keeper.stop()
        return said

    data = shutil.copytree(configuration.data, folder.parents[1] / "aside")
    assert asyncio.run(asyncio.wait_for(run(), 120)) == "the process ended with 1"
    shutil.copytree(data, configuration.data, dirs_exist_ok=True)
    memory = Memory()
    assert resume(configuration, memory).frame == last and plain(memory) == plain(whole)


def test_the_command_makes_one_beside_a_running_venue(copied):
    configuration, _, last = copied
    node = Node.start(configuration, lambda: START_NS + 40 * DAY_NS)
    words = ["snapshot", configuration.data, "--memory", "--json"]
    told = [json.loads(CliRunner().invoke(app, [*words, *more]).stdout) for more in (["--dry-run"], [], [])]
    node.stop()
    assert [document["frame"] for document in told] == [last + 1] * 3
    assert told[0]["folded"] == told[1]["folded"] > 500 and told[2]["folded"] == 0


def test_a_desk_goes_on_from_its_memory(tmp_path):
    limit = {"instrument_name": PERPETUAL, "amount": 10}
    with orderly(tmp_path / "venue", market="none") as venue:
        url, data = venue.ready["http"], tmp_path / "desk"
        desk = DeskVenue(data, url, "enforce", write_keys(venue, tmp_path / "keys.toml"))
        open_ = [desk.get("private/buy", "alice", price=40_000 + at, **limit)["result"]["order"] for at in range(5)]
        desk.get("private/sell", "bob", price=50_000, **limit)
        desk.get("private/buy", "carol", price=50_000, **limit)
        desk.kill()
        configuration = Configuration.of({"data": str(data), "upstream": {"url": url}})
        frame, commands = remember(configuration)
        whole, resumed = DeskMemory(configuration), DeskMemory(configuration)
        fold = Fold(ENGINES["fast"]())
        for each in frames(configuration.folders):
            whole.take(Group(each.commands, each.attachments, fold.check(each)))
        assert resume(configuration, resumed).frame == frame and commands > 100
        assert plain(resumed.known()) == plain(whole.known()) and len(whole.shadow.live) >= 6
        again = DeskVenue(data, url, "enforce")
        assert f"snapshot={frame}" in again.log.read_text()
        edited = again.get("private/edit", "alice", order_id=open_[0]["order_id"], amount=20, price=40_000)["result"]
        assert edited["order"]["amount"] == 20
        assert again.get("private/cancel_all", "alice")["result"] == 5
        (position,) = again.get("private/get_positions", "carol")["result"]
        assert position["size"] == 10
        assert again.stop() == 0
        assert "alert=break" not in again.log.read_text() and "Traceback" not in again.log.read_text()


@contextlib.contextmanager
def served(folder, accounts):
    """A venue as people run it, over a journal that a dev venue began."""
    off = "[rates.trading]\nrate = 0.0\n[rates.other]\nrate = 0.0\n"
    doors = "[trading]\nport = 0\n[operations]\nport = 0\n[rates]\nconnections = 0\n"
    (folder / "seawall.toml").write_text(f'data = "{folder / "venue"}"\n{doors}{off}')
    words = [sys.executable, "-c", START, "serve", "--config", str(folder / "seawall.toml")]
    with (folder / "served.log").open("ab") as log:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT)
    try:
        yield Process(process, json.loads(process.stdout.readline()) | {"accounts": accounts})
    finally:
        process.kill()
        process.wait()


def open_orders(venue):
    request = urllib.request.Request(f"{venue.ready['http']}/api/v2/private/get_open_orders", headers=venue.headers(0))
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]


@pytest.mark.soak
def test_a_served_venue_keeps_its_memory_by_itself_and_is_killed(tmp_path):
    with orderly(tmp_path / "venue") as dev:
        accounts = list(dev.accounts.values())

    async def trade(venue):
        each, connector = (EVERY + 20_000) // 16, aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as client:

            async def one(number):
                async with client.ws_connect(venue.ready["ws"], headers=venue.headers(number)) as socket:
                    for at in range(each):
                        await socket.send_str(bid(at))
                        if at >= 64:
                            await socket.receive()
                    for _ in range(64):
                        await socket.receive()

            await asyncio.gather(*map(one, range(16)))

    kept = tmp_path / "venue" / "memory"
    with served(tmp_path, accounts) as venue:
        asyncio.run(trade(venue))
        give_up = time.monotonic() + 60
        while not (kept.is_dir() and snapshots_in(OsDisk(), kept)):
            assert time.monotonic() < give_up, "no memory was kept"
            time.sleep(0.1)
        before = open_orders(venue)
    with served(tmp_path, accounts) as venue:
        assert open_orders(venue) == before and len(before) > 50_000
    log = (tmp_path / "served.log").read_text()
    assert f"snapshot={snapshots_in(OsDisk(), kept)[-1]}" in log and "Traceback" not in log
