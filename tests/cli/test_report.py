"""`seawall report`: a desk's journal made by hand, its figures counted by hand; marks, windows, wrong usage."""

import importlib.util
import json

import msgspec
import pytest
from test_cli import run

from seawall.api.desk.latency import Held
from seawall.api.desk.shadow import Ghost, Note
from seawall.api.desk.tally import Differs, Unweighed
from seawall.cli.bench_ordinary import instrument
from seawall.node import Configuration, Node
from seawall.risk import Seawall
from seawall.venues import Mirror, Quote, Shadow
from seawall.vocabulary.records import BUY, SELL, EventKind, Kind, Limit, Scope, VenueState, command

SECOND, DAY = 10**9, 86_400 * 10**9
START = 1_780_300_800 * SECOND  # 1 June 2026, 08:00 UTC
NAMES = ("BTC-PERPETUAL", "BTC-22JUN26-60000-C")
CURRENCIES = [{"currency": "BTC", "decimals": 8}]


class Desk:
    """A node's journal as a desk in observe mode writes it, with the bots ann and ben."""

    def __init__(self, data):
        self.now = START
        self.node = Node.start(Configuration.of({"data": str(data), "engine": "reference"}), self._tick)
        mirror = Mirror(Seawall(), 0.1, 0.05, ("BTC",))
        quotes = {NAMES[0]: Quote(60_000.0, 60_000.0, time_ms=START // 10**6),
                  NAMES[1]: Quote(0.05, 60_000.0, 60_000.0, 0.6, START // 10**6)}  # fmt: skip
        opening = mirror.opening(
            START, CURRENCIES, [instrument(name) for name in NAMES], quotes, [Shadow("ann"), Shadow("ben")]
        )
        self.node.submit(*opening)
        self.ann, self.ben = mirror.accounts["ann"], mirror.accounts["ben"]
        for account in (self.ann, self.ben):
            self.tell(Kind.DEPOSIT, account=account, currency=0, amount=10 * 10**8)

    def _tick(self):
        self.now += SECOND
        return self.now

    def tell(self, kind, note=None, **fields):
        """The seq of a command, and whether it was taken."""
        data = msgspec.json.encode(note) if note is not None else b""
        events = self.node.submit(command(kind, attachment=len(data), **fields), data)
        refused = EventKind.REFUSED in events["kind"]
        return (int(events["seq"][0]) if len(events) else 0), not refused

    def order(self, account, side, lots, price, instrument=0):
        return self.tell(Kind.ORDER, account=account, side=side, quantity=lots, price=price, instrument=instrument)

    def executed(self, account, order, lots, price, fee):
        note = Note("BTC-1", f"trade-{order}")
        done = self.tell(
            Kind.EXECUTED, note, account=account, order_id=order, price=price, quantity=lots, amount=fee, instrument=0
        )
        assert done[1]


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """ann: 3 orders and 1 edit, 2 of them refused; ben: 3 orders, 1 refused, 1 of unknown outcome."""
    data = tmp_path_factory.mktemp("report") / "journal"
    desk = Desk(data)
    first, taken = desk.order(desk.ann, BUY, 1_000, 119_000)  # $10,000 at 59,500
    assert taken
    desk.tell(Kind.ACKNOWLEDGED, Note("BTC-1"), account=desk.ann, order_id=first)
    desk.executed(desk.ann, first, 400, 119_000, 300)
    desk.tell(Kind.LIMIT, state=Limit.ORDER_QUANTITY, account=desk.ann, instrument=0, amount=2_000)
    gone, taken = desk.order(desk.ann, SELL, 2_500, 121_000)  # $25,000; the limit is 2,000 lots
    assert not taken
    desk.tell(Kind.TIME, Ghost("BTC-2", desk.ann, gone))
    desk.tell(Kind.TIME, Held([(120, 96), (2_000, 1)]))
    quote = Unweighed(desk.ann, "private/mass_quote", 10033, "adds risk")
    for note in (quote, msgspec.structs.replace(quote, count=40), Unweighed(desk.ben, "private/buy", 10020, "SOL")):
        desk.tell(Kind.TIME, note)
    edited, taken = desk.tell(Kind.EDIT, account=desk.ann, instrument=0, order_id=first, price=119_000, quantity=3_000)
    assert not taken
    desk.order(desk.ann, SELL, 100, 121_000)
    lost, taken = desk.order(desk.ben, BUY, 50, 119_000)
    desk.tell(Kind.UNKNOWN, account=desk.ben, order_id=lost)
    desk.tell(Kind.ACKNOWLEDGED, Note("BTC-3"), account=desk.ben, order_id=lost)
    never, _ = desk.order(desk.ben, BUY, 60, 119_000)
    desk.tell(Kind.UNKNOWN, account=desk.ben, order_id=never)
    desk.tell(Kind.BOOKED, Note("BTC-9", "t-9"), account=desk.ben, instrument=0, side=SELL, price=120_000, quantity=7)
    desk.tell(Kind.BOOKED, account=desk.ben, instrument=0, side=SELL, price=120_000, quantity=9)  # taken over
    desk.tell(Kind.TIME, Differs("break", "main", "BTC", 998, 1_000, "atoms"))
    outside = Differs("order_from_outside", "main", NAMES[0])
    desk.tell(Kind.TIME, outside)
    desk.now += DAY
    desk.tell(Kind.TIME, msgspec.structs.replace(outside, count=6))
    desk.tell(Kind.TIME, Differs("drop_copy_lost", "main", why="the connection ended"))
    desk.tell(Kind.TIME, Held([(120, 2), (30_000, 1)]))
    held = {"state": VenueState.REDUCE_ONLY, "type": Scope.ACCOUNT, "account": desk.ben}
    desk.tell(Kind.STATE, operation("seawall", "break at main: BTC"), **held)
    desk.tell(Kind.STATE, operation("seawall", "break at main: ETH"), **held)  # as it is already
    option, taken = desk.order(desk.ben, BUY, 20, 500, instrument=1)  # 2 coins of 60,000 dollars
    assert not taken
    halted = {"state": VenueState.HALTED, "type": Scope.UNDERLYING, "instrument": 0}
    desk.tell(Kind.STATE, operation("rita", "index <b>looks</b> wrong"), **halted)
    desk.node.stop()
    return data, {"first": first, "gone": gone, "edited": edited, "lost": lost, "never": never, "option": option}


def operation(by, reason):
    """The note on what people, or automation, restricted."""
    return {"note": "operation", "action": "halt", "by": by, "reason": reason}


def told(*arguments, status=0):
    ended = run("report", *arguments, "--json")
    assert ended.returncode == status, ended.stderr
    return json.loads(ended.stdout)


def test_figures_are_those_counted_by_hand(journal):
    data, seq = journal
    found = told(data)
    assert found["ok"] and found["since"] == "2026-06-01T08:00:01+00:00" and found["until"][:10] == "2026-06-02"
    ann, ben = found["bots"]["ann"], found["bots"]["ben"]
    assert {name: ann[name] for name in ("orders", "edits", "accepted", "refused", "went_anyway", "fills")} == {
        "orders": 3, "edits": 1, "accepted": 2, "refused": 2, "went_anyway": 1, "fills": 1,
    }  # fmt: skip
    assert ann["volume_usd"] == 4_000 and ann["fees"] == {"BTC": 300e-8}
    assert {name: ben[name] for name in ("orders", "accepted", "refused", "fills", "volume_usd")} == {
        "orders": 3, "accepted": 2, "refused": 1, "fills": 1, "volume_usd": 70,
    }  # fmt: skip
    quantity = ann["reasons"]["QUANTITY"]
    assert (quantity["count"], quantity["notional_usd"], quantity["went_anyway"]) == (2, 55_000, 1)
    sold, edit = quantity["examples"]
    assert (sold["seq"], sold["instrument"], sold["side"], sold["price"], sold["amount"]) == (
        seq["gone"], "BTC-PERPETUAL", "sell", 60_500, 25_000,
    )  # fmt: skip
    assert sold["words"] == "quantity 2,500 lots is outside 1 to 2,000" and sold["went_anyway"]
    assert (edit["seq"], edit["kind"], edit["side"], edit["went_anyway"]) == (seq["edited"], "edit", "buy", False)
    (reduce,) = ben["reasons"].values()
    assert reduce["notional_usd"] == 120_000 and reduce["examples"][0]["seq"] == seq["option"]
    assert list(found["limits"]) == [reduce["examples"][0]["reason"], "QUANTITY"]  # the dearest first
    assert [tuple(one.values()) for one in found["unweighed"]] == [
        ("ann", "private/mass_quote", 10033, "adds risk", 41), ("ben", "private/buy", 10020, "SOL", 1),
    ]  # fmt: skip
    assert (ann["unweighed"], ben["unweighed"]) == (41, 1)
    assert "not weighed: ann private/mass_quote, 41: 10033 adds risk" in run("report", data).stdout
    broken, placed, lost = found["breaks"]
    assert (broken["kind"], broken["account"], broken["about"], broken["count"]) == ("break", "main", "BTC", 1)
    assert (broken["theirs"], broken["ours"], broken["unit"]) == (998, 1_000, "atoms")
    assert (placed["kind"], placed["about"], placed["count"]) == ("order_from_outside", "BTC-PERPETUAL", 7)
    assert placed["time"][:10] == "2026-06-01" and placed["last"][:10] == "2026-06-02"
    assert (lost["kind"], lost["why"]) == ("drop_copy_lost", "the connection ended")
    text = run("report", data).stdout
    assert "breaks found: 1" in text and "break main BTC: theirs 998, ours 1,000 atoms" in text
    first, second = found["unknown"]
    assert (first["seq"], first["ended"], first["seconds"]) == (seq["lost"], "it stands at the venue", 1.0)
    assert (second["seq"], second["ended"]) == (seq["never"], "it is still unknown")
    assert [tuple(state.values())[2:] for state in found["restrictions"]] == [
        ("ACCOUNT", "ben", "REDUCE_ONLY", "OPEN", "seawall", "break at main: BTC"),
        ("UNDERLYING", "BTC", "HALTED", "OPEN", "rita", "index <b>looks</b> wrong"),
    ]
    assert "UNDERLYING BTC: OPEN to HALTED by rita: index <b>looks</b> wrong" in text
    assert found["days"] == {"2026-06-01": [4, 2], "2026-06-02": [0, 1]}
    assert found["latency"] == {"orders": 100, "p50_ms": 0.12, "p99_ms": 2.0, "most_ms": 30.0}


def test_a_window_counts_its_own(journal):
    data, _ = journal
    second = told(data, "--from", "2026-06-02")
    assert set(second["bots"]) == {"ben"} and second["bots"]["ben"]["refused"] == 1
    assert second["limits"][next(iter(second["limits"]))]["notional_usd"] == 120_000  # valued by what was before
    assert second["latency"]["orders"] == 3
    assert second["commands"] == 8 and second["folded"] == told(data)["commands"]  # not all
    text = run("report", data, "--from", "2026-07-01").stdout
    assert text.startswith(f"the journal has nothing of that time, of {second['folded']} commands")
    first = told(data, "--from", "2026-06-01T10:00:00+02:00", "--to", "2026-06-02")
    assert first["bots"]["ben"]["refused"] == 0 and first["bots"]["ann"]["refused"] == 2 and not first["restrictions"]


def test_marks_are_kept_beside_the_journal_and_never_in_it(journal):
    data, seq = journal
    before = told(data)["digest"]
    file = data / "report-marks.json"
    dry = told(data, "--false", seq["gone"], "--note", "a hedge", "--dry-run")
    assert dry["false"]["marked"] == 1 and not file.exists()
    told(data, "--false", seq["gone"], "--note", "a hedge")
    found = told(data)
    assert found["digest"] == before
    assert (found["false"]["marked"], found["false"]["refused"], found["false"]["rate"]) == (1, 3, 1 / 3)
    (mark,) = found["false"]["marks"]
    assert (mark["seq"], mark["bot"], mark["note"]) == (seq["gone"], "ann", "a hedge")
    assert told(data, "--from", "2026-06-02")["false"]["marked"] == 0
    ended = run("report", data)
    assert "called false by people: 1 of 3 refusals, 33.33%" in ended.stdout
    file.write_text("{")
    assert run("report", data).returncode == 2
    file.unlink()


def test_wrong_usage_is_named(journal):
    data, seq = journal
    for given, word in (
        (("--false", seq["first"], "--note", "x"), "refused"),
        (("--false", seq["gone"]), "--note"),
        (("--note", "x"), "--note"),
        (("--dry-run",), "--dry-run"),
        (("--from", "monday"), "--from"),
        (("--from", "2026-06-02", "--to", "2026-06-01"), "--to"),
        *([(("--out", data), "--out")] if importlib.util.find_spec("plotly") else []),
    ):
        ended = run("report", data, *given)
        assert ended.returncode == 2 and word in ended.stderr, ended.stderr


@pytest.mark.skipif(importlib.util.find_spec("plotly") is None, reason="plots need plotly, an extra")
def test_the_page_stands_by_itself(journal, tmp_path):
    data, _ = journal
    assert run("report", data, "--out", tmp_path / "week.html").returncode == 0
    page = (tmp_path / "week.html").read_text()
    assert (
        page.count("<table>") == 8
        and "the connection ended" in page
        and "quantity 2,500 lots is outside 1 to 2,000" in page
    )
    assert "<script src=" not in page
    marked = ("--false", journal[1]["gone"], "--note", "a hedge", "--dry-run", "--out", tmp_path / "dry.html")
    assert run("report", data, *marked).returncode == 0 and not (tmp_path / "dry.html").exists()


def test_a_page_without_plotly_says_what_to_install(journal, tmp_path):
    data, _ = journal
    hidden = "import sys; sys.modules['plotly'] = None\n"
    hidden += "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n: None if n == 'plotly' else f(n)\n"
    ended = run("report", data, "--out", tmp_path / "week.html", before=hidden)
    assert ended.returncode == 2 and "seawall[report]" in ended.stderr and not (tmp_path / "week.html").exists()
