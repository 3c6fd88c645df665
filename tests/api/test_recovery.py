"""A rehearsed loss: backup through the operations door, both copies of the journal gone, restore, trade on."""

import json
import shutil
import subprocess
import sys

from dev_venue import ENVIRONMENT, START, DevVenue, dev_venue

from seawall.journal import folders_of, frames

ORDER = {"instrument_name": "BTC-PERPETUAL", "amount": 20}


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", START, *map(str, arguments), "--json"],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_what_was_backed_up_is_restored_by_digest_and_trades_on(tmp_path, capsys):
    data, backup = tmp_path / "venue", tmp_path / "venue-backup"
    lost = DevVenue(data, market="sim")
    placed = [lost.get("private/buy", "alice", price=40_000 + at, **ORDER)["result"]["order"] for at in range(50)]
    filled = lost.get("private/buy", "bob", type="market", **ORDER)["result"]
    copied = lost.operate("backup", "olivia", reason="a rehearsal")
    lost.get("private/buy", "carol", price=39_000, label="after the backup", **ORDER)
    lost.kill()
    kept = {frame.number: frame for frame in frames(folders_of(data))}
    for folder in folders_of(data):
        shutil.rmtree(folder)
    restored = run("restore", data, "--archive", backup, "--from", backup / "open")
    with capsys.disabled():
        print(f"\nrestored {restored['commands']} commands in {restored['seconds']} s: {restored['digest'][:16]}")
    assert restored["last_frame"] == copied["frame"] and restored["seconds"] < 60
    assert restored["head"] == kept[copied["frame"]].hash.hex() and copied["frame"] < max(kept)
    # Each frame says the digest of the events up to one before it: the lost journal and the restored one agree.
    told = next(frame for frame in kept.values() if frame.digest_frame == copied["frame"])
    assert restored["digest"] == told.digest.hex()
    with dev_venue(data) as venue:
        still = {row["order_id"]: row for row in venue.get("private/get_open_orders", "alice")["result"]}
        assert [still[order["order_id"]]["price"] for order in placed] == [order["price"] for order in placed]
        (position,) = venue.get("private/get_positions", "bob")["result"]
        assert position["size"] == filled["order"]["filled_amount"] == 20
        assert venue.get("private/get_open_orders", "carol")["result"] == []  # the recovery point is the backup's
        assert venue.get("private/cancel_all", "alice")["result"] == 50
