"""`seawall exposure` over a venue and a desk before it: what is held is added up, whoever is not heard is named."""

import json
import subprocess
import sys

import pytest
from desk_venue import DeskVenue, write_keys
from dev_venue import ENVIRONMENT, START, orderly

PERPETUAL = "BTC-PERPETUAL"


def asked(*arguments, status):
    command = [sys.executable, "-c", START, "exposure", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=120)
    assert done.returncode == status, (done.stdout, done.stderr)
    return json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr


def door(running, folder, name):
    """Its url, and a file with the token of somebody who may look."""
    file = folder / name
    file.write_text(next(row["token"] for row in running.ready["operators"] if row["name"] == "olivia"))
    return running.ready["ops"], file


@pytest.fixture
def pair(tmp_path):
    """A venue, and a desk before it with the keys of alice and bob."""
    with orderly(tmp_path / "venue") as venue:
        everybody = dict(venue.accounts)
        venue.accounts = {name: everybody[name] for name in ("alice", "bob")}
        keys = write_keys(venue, tmp_path / "keys.toml")
        venue.accounts = everybody
        desk = DeskVenue(tmp_path / "desk", venue.ready["http"], "enforce", keys)
        try:
            yield venue, desk
            assert desk.stop() == 0
        finally:
            if desk.process.poll() is None:
                desk.kill()


def test_exposure_adds_up_what_every_door_tells(tmp_path, pair):
    venue, desk = pair
    mark = venue.get("public/ticker", instrument_name=PERPETUAL)["result"]["mark_price"]
    price = round(mark)
    venue.get("private/sell", "carol", instrument_name=PERPETUAL, amount=6_000, price=price)
    bought = desk.get("private/buy", "alice", instrument_name=PERPETUAL, amount=6_000, price=price)["result"]
    assert bought["order"]["order_state"] == "filled"
    desk.get("private/buy", "alice", instrument_name=PERPETUAL, amount=3_000, price=price - 1_000)
    desk.get("private/sell", "bob", instrument_name=PERPETUAL, amount=1_000, price=price + 1_000)
    names = [row["instrument_name"] for row in venue.get("public/get_instruments", currency="BTC")["result"]]
    call = next(name for name in names if name.endswith("-C"))
    quote = venue.get("public/ticker", instrument_name=call)["result"]
    venue.get("private/sell", "carol", instrument_name=call, amount=2, price=quote["mark_price"])
    held = desk.get("private/buy", "bob", instrument_name=call, amount=2, price=quote["mark_price"])["result"]
    assert held["order"]["order_state"] == "filled"

    url, file = door(desk, tmp_path, "desk.token")
    other, theirs = door(venue, tmp_path, "venue.token")
    one = ("--url", url, "--token-file", str(file), "--json")
    bitcoin = asked(*one, status=0)["underlyings"]["BTC"]
    coins, delta = 6_000 / mark, quote["greeks"]["delta"]
    assert bitcoin["delta"] == pytest.approx(coins + 2 * delta, rel=1e-2)
    assert bitcoin["gross"] == pytest.approx(coins + 2, rel=1e-2)
    assert bitcoin["bids"] == pytest.approx(coins / 2, rel=1e-2)
    assert bitcoin["asks"] == pytest.approx(-coins / 6, rel=1e-2)

    both = ("--url", url, "--url", other, "--token-file", str(file), "--token-file", str(theirs))
    found = asked(*both, "--json", status=0)
    whole = found["underlyings"]["BTC"]
    accounts = found["venues"][url]["underlyings"]["BTC"]["accounts"]
    assert set(accounts) == {"alice", "bob"} and accounts["alice"]["delta"] == pytest.approx(coins, rel=1e-2)
    assert found["venues"][url]["accounts"]["alice"]["initial"] > 0
    venues_own = found["venues"][other]["underlyings"]["BTC"]
    assert venues_own["delta"] == pytest.approx(0, abs=1e-9)  # each has the other side of somebody
    desks_own = found["venues"][url]["underlyings"]["BTC"]
    for part in ("delta", "gross", "bids", "asks"):
        assert whole[part] == pytest.approx(desks_own[part] + venues_own[part], abs=1e-12)
    assert whole["gross"] == pytest.approx(3 * bitcoin["gross"], rel=1e-2)
    text = asked(*both, status=0)
    assert "BTC: delta +" in text and "alice: delta +" in text and "NOT HEARD" not in text

    nobody = "http://127.0.0.1:9"
    found = asked("--url", url, "--url", nobody, "--token-file", str(file), "--json", status=1)
    assert list(found["missing"]) == [nobody] and not found["ok"]
    assert found["underlyings"]["BTC"]["delta"] == pytest.approx(bitcoin["delta"], rel=1e-2)
    assert "NOT HEARD, and not in the sums" in asked("--url", nobody, "--token-file", str(file), status=1)
    assert "once" in asked("--url", url, "--url", url, "--token-file", str(file), status=2)
    assert "--token-file" in asked("--url", url, "--url", other, *["--token-file", str(file)] * 3, status=2)
    again = url.replace("127.0.0.1", "localhost")
    assert "is the same" in asked("--url", url, "--url", again, "--token-file", str(file), status=2)
