"""The venue's numbers against the desk's own after thousands of random fills: both journals are folded and compared.

Two bots on two accounts trade with each other through the desk, with crossing orders at random prices around the mark,
in inverse and linear perpetuals, a future and options. Then, for each account and instrument or currency:

- positions are equal to the lot, fees to the atom, and so is money: balance and what positions gained together. Between
  those two the engine shifts some atoms, which side pays a fee out of a gain depending on the path; nothing is lost.
- funding of a full hour in between is money at the venue at once, and the desk's with the day's settlement only.
- margin differs, by marks only. The models are the same, but the desk's marks are what the venue's API said up to a
  second ago and the venue publishes anew when prices moved, so they lie apart by what prices move in seconds; and they
  are rounded: marks to ticks, volatilities to a hundredth of a percent. To first order margins are linear in marks, and
  the differences are asserted to be below APART of the gross value of what is held, plus ROUNDED of the margin.
- fee reserves differ (the desk reserves the dearest rate for options) and count for open orders only: none are left.
"""

import asyncio
import random
import time

import pytest
from desk_people import Told, alerts
from desk_venue import desk_venue
from wire import Wire

INSTRUMENTS = ("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC_USDC-PERPETUAL")
BOTS = ("alice", "bob")
IN_FLIGHT = 32
APART = 0.0005
"""Of the gross value held: what marks may lie apart by, twice."""

ROUNDED = 0.002
BTC, ETH = 60_000, 3_000
"""Dollars, to put positions alike."""


class Dealer:
    """One bot: orders at random prices around the mark, all of which may trade; tells of its fills."""

    def __init__(self, name, terms, seed):
        self.name, self.terms, self.rng = name, terms, random.Random(seed)
        self.fills, self.overlaps = 0, 0

    def order(self):
        """One order; towards a position of nothing more often than away from it."""
        rng = self.rng
        name, (tick, lot, mark) = rng.choice(list(self.terms.items()))
        ticks = round(mark / tick) + rng.randint(-4, 4)
        given = {"instrument_name": name, "amount": round(lot * rng.randint(1, 9), 8), "price": round(ticks * tick, 8)}
        if rng.random() < 0.5:
            given["time_in_force"] = "immediate_or_cancel"
        return rng.choice(("private/buy", "private/sell")), given

    async def deal(self, wire, enough):
        """Trade until `enough()`."""
        room = asyncio.Semaphore(IN_FLIGHT)

        async def one():
            async with room:
                if not enough():
                    method, given = self.order()
                    answer = await wire.ask(method, **given)
                    if "error" in answer:
                        assert answer["error"]["code"] == 10003, answer  # it met an order of its own
                        self.overlaps += 1
                    else:
                        self.fills += len(answer["result"]["trades"])

        while not enough():
            await asyncio.gather(*(one() for _ in range(4 * IN_FLIGHT)))
            await wire.ask("private/cancel_all")


async def deal(desk, terms, count):
    """Both deal until so many executions came about; returns the dealers."""
    dealers = [Dealer(name, terms, seed) for seed, name in enumerate(BOTS)]
    wires = [await Wire().connect(desk, name) for name in BOTS]
    # Executions as answers tell them: those at once, and some that came before the answer was written.
    await asyncio.gather(
        *(
            one.deal(wire, lambda: sum(d.fills for d in dealers) >= 1.2 * count)
            for one, wire in zip(dealers, wires, strict=True)
        )
    )
    for wire in wires:
        await wire.ask("private/cancel_all")
        await wire.close()
    return dealers


def terms_of(desk):
    """Tick, least amount and mark of the instruments to be traded."""
    listed = {row["instrument_name"]: row for row in desk.get("public/get_instruments")["result"]}
    week = [name for name in listed if name.startswith("BTC-") and listed[name]["kind"] == "future"][1]
    options = [name for name in listed if name.startswith(week) and name.endswith(("60000-C", "60000-P"))]
    found = {}
    for name in (*INSTRUMENTS, week, *options):
        mark = desk.get("public/ticker", instrument_name=name)["result"]["mark_price"]
        found[name] = (listed[name]["tick_size"], listed[name]["min_trade_amount"], mark)
    assert len(found) == 6
    return found


def gross(told, name):
    """Dollars of all positions of an account, unsigned, in millionths."""
    total = 0.0
    for (account, instrument), lots in told.positions.items():
        if account == name:
            dollars = {"BTC-PERPETUAL": 10, "ETH-PERPETUAL": 1, "BTC_USDC-PERPETUAL": BTC / 10_000}.get(instrument)
            option = instrument.endswith(("-C", "-P"))
            total += abs(lots) * (dollars or (BTC / 10 if option else 10))
    return total * 10**6


def compare(told, theirs, name):
    """The desk's account against the venue's."""
    mine, other = (each.engine.account_view(each.numbers[name]) for each in (told, theirs))
    ours, all_theirs = money(told, mine), money(theirs, other)
    unfunded = [atoms - theirs.funded[name, currency] for currency, atoms in enumerate(all_theirs)]
    assert ours in (all_theirs, unfunded)
    for word in ("initial", "maintenance", "equity"):
        apart = abs(mine[word] - other[word])
        slack = APART * gross(told, name) + (ROUNDED * other[word] if word != "equity" else 0)
        if word == "equity":  # what coins are worth moves, too
            slack += APART * other[word]
        assert apart <= slack, (word, mine[word], other[word])


def money(told, view):
    """Atoms by currency: the balance and what positions gained since the last settlement."""
    total = list(view["balance"])
    for number, (_, cash, open_buy, open_sell) in view["positions"].items():
        assert open_buy == open_sell == 0
        total[told.currencies[number]] += cash
    return total


def run(folder, count):
    began = time.monotonic()
    with desk_venue(folder, "enforce") as desk:
        dealers = asyncio.run(deal(desk, terms_of(desk), count))
        spent = time.monotonic() - began
        time.sleep(7)  # both publish once more, and the drop copies compare twice
        assert alerts(desk) == []
    told, theirs = Told(folder / "desk"), Told(folder / "venue")
    overlaps = sum(one.overlaps for one in dealers)
    print(f"{told.fills // 2} executions in {spent:.1f} s, {overlaps} orders met one of their own")
    assert told.fills == theirs.fills >= 2 * count
    assert not told.refusals
    assert nonzero(told.positions) == nonzero(theirs.positions)
    assert nonzero(told.fees) == nonzero(theirs.fees)
    assert len(nonzero(told.fees)) == 12
    for name in BOTS:
        compare(told, theirs, name)


def nonzero(counter):
    return {key: value for key, value in counter.items() if value}


def test_numbers_are_equal(tmp_path):
    run(tmp_path, 1_500)


@pytest.mark.soak
def test_numbers_are_equal_over_ten_thousand_fills(tmp_path):
    run(tmp_path, 10_000)
