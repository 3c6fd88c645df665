"""Several bots on one account at the venue: whose is what, what they may do to each other, limits over them together.

`first` and `second` share alice's account and the desk `rates`, `third` has bob's and the desk `vol`; all are of the
firm `house`. Carol and Dave trade at the venue directly. Alice has a position before the desk is there.
"""

import asyncio
import contextlib
import time

import pytest
from desk_people import Told, alerts, limit, open_orders
from desk_venue import DeskVenue
from dev_venue import orderly
from test_desk_controls import control_of, order, position, stands, until
from wire import Wire

from seawall.api.sockets import free_port
from seawall.cli.reporting import Reporter
from seawall.journal import folders_of
from seawall.node import replay

PERPETUAL, ETHER = "BTC-PERPETUAL", "ETH-PERPETUAL"
CONFIG = """
[operations]
port = 0

[upstream.bots.first]
account = "alice"
share = 3.0
desk = "rates"
firm = "house"

[upstream.bots.second]
account = "alice"
share = 1.0
labels = ["two-", "2-"]
desk = "rates"
firm = "house"

[upstream.bots.third]
account = "bob"
desk = "vol"
firm = "house"
"""
both_modes = pytest.mark.parametrize("mode", ["observe", "enforce"])


@contextlib.contextmanager
def bots(folder, mode):
    """A desk with three bots before a venue with a history; `again` starts it anew."""
    with orderly(folder / "venue") as venue:
        assert "result" in order(venue, "dave", "sell", amount=40, price=60_000)
        assert "result" in order(venue, "alice", "buy", amount=40, price=60_000)
        config, keys = folder / "seawall.toml", folder / "keys.toml"
        config.write_text(CONFIG)
        keys.touch(0o600)
        rows = [(name, venue.accounts[name]) for name in ("alice", "bob")]
        keys.write_text("".join(f'[{name}]\nkey = "{row["key"]}"\nsecret = "{row["secret"]}"\n' for name, row in rows))
        running = []

        def start(given=None):
            desk = DeskVenue(folder / "desk", venue.ready["http"], mode, given, "--config", config)
            desk.behind = venue
            desk.again = start
            running.append(desk)
            return desk

        try:
            yield start(keys)
            for desk in running:
                assert desk.process.poll() is not None or desk.stop() == 0
                log = desk.log.read_text()
                assert "Traceback" not in log
                assert "alert=break" not in log, log
        finally:
            for desk in running:
                if desk.process.poll() is None:
                    desk.kill()


def at_market(desk, account, side, amount, instrument=PERPETUAL, maker="dave", **more):
    """An execution of so much for an account, against one who trades at the venue directly."""
    venue = getattr(desk, "behind", desk)
    other, price = ("sell" if side == "buy" else "buy"), {PERPETUAL: 60_000, ETHER: 3_000}[instrument]
    assert "result" in order(venue, maker, other, instrument, amount, price)
    answer = order(desk, account, side, instrument, amount, price, time_in_force="immediate_or_cancel", **more)
    if "result" in answer:
        assert answer["result"]["order"]["filled_amount"] == amount
    else:
        venue.get("private/cancel_all", maker)
    return answer


def labelled(desk, account):
    return sorted(row["label"] for row in stands(desk, account))


def settle():
    """Long enough that the drop copies have heard, and twice compared."""
    time.sleep(5)


@both_modes
def test_whose_is_what(tmp_path, mode):
    with bots(tmp_path, mode) as desk:
        venue = desk.behind
        for bot, side, amount in (("first", "buy", 20), ("second", "buy", 30), ("first", "sell", 10)):
            assert "result" in at_market(desk, bot, side, amount)
        assert "result" in at_market(desk, "third", "sell", 70, ETHER)
        assert alerts(desk) == []
        at_market(venue, "alice", "buy", 50, label="two-7")  # around the desk: by label, or the first bot's
        at_market(venue, "alice", "sell", 60)
        assert "result" in order(venue, "alice", price=58_000, label="2-8")
        assert "result" in order(venue, "alice", price=58_000, label="else")
        until(lambda: sum(row["count"] for row in alerts(desk)) >= 4)
        assert {row["kind"] for row in alerts(desk)} == {"order_from_outside"}
        if mode == "enforce":  # known by its label as the second's
            mine, others = sorted(stands(desk, "alice"), key=lambda row: row["label"])
            assert desk.get("private/cancel", "second", order_id=others["order_id"])["error"]["code"] == 10029
            assert "result" in desk.get("private/cancel", "second", order_id=mine["order_id"])
        settle()
        assert position(desk, "alice") == 40 + 20 + 30 - 10 + 50 - 60
    told = Told(tmp_path / "desk")
    assert told.positions["first", PERPETUAL] == 4 + 2 - 1 - 6
    assert told.positions["second", PERPETUAL] == 3 + 5
    assert told.positions["third", ETHER] == -70
    assert told.fees["third", ETHER] > 0 and told.fees["second", PERPETUAL] > 0
    equity = {name: told.engine.margin(told.numbers[name])["equity"] for name in ("first", "second", "third")}
    assert equity["first"] / equity["second"] == pytest.approx(3, abs=0.01)  # their shares
    assert equity["first"] + equity["second"] == pytest.approx(equity["third"], rel=0.001)


def test_a_desk_whose_bots_changed_their_groups_does_not_start(tmp_path):
    """Membership is in the journal: a limit of the new desk would hold for those who were in it before."""
    with bots(tmp_path, "enforce") as desk:
        assert desk.stop() == 0
        config = tmp_path / "seawall.toml"
        for changed in (CONFIG.replace('desk = "vol"', 'desk = "rates"'), CONFIG.replace('firm = "house"', "", 1)):
            config.write_text(changed)
            with pytest.raises(AssertionError, match="must be of the desk and firm that the journal began with"):
                desk.again()
        config.write_text(CONFIG)
        assert "result" in order(desk.again(), "third", price=59_000)


def test_what_does_not_fit_the_journal_is_refused_and_not_kept(tmp_path):
    """A slip in the file of a rotated key was sealed before it was looked at: the desk never started again."""
    with bots(tmp_path, "enforce") as desk:
        assert desk.stop() == 0
        config, keys, slip = (tmp_path / name for name in ("seawall.toml", "keys.toml", "slip.toml"))
        slip.touch(0o600)
        slip.write_text(keys.read_text().replace("[alice]", "[alicia]"))
        with pytest.raises(AssertionError, match="'alicia': must have a key of its own: it has that of alice"):
            desk.again(slip)  # both names' money would be counted
        slip.write_text('[alicia]\nkey = "new"\nsecret = "new"\n')
        with pytest.raises(AssertionError, match="must have one on account alicia"):
            desk.again(slip)
        begin, end = CONFIG.index("[upstream.bots.second]"), CONFIG.index("[upstream.bots.third]")
        for changed, why in (
            (CONFIG[:begin] + CONFIG[end:], r"\['second'\]: must not be left out"),  # its shares would be a break
            (
                CONFIG.replace("\n[upstream.bots.first]", '[upstream]\nunderlyings = ["btc"]\n[upstream.bots.first]'),
                r"upstream.underlyings = \['btc'\]: must name coins",
            ),
            (CONFIG + "[upstream.bots.fourth]\naccount = 'bob'\n", "another one begins in another data folder"),
        ):
            config.write_text(changed)
            with pytest.raises(AssertionError, match=why) as refused:
                desk.again(keys)
            assert "Unclosed" not in str(refused.value)
        config.write_text(CONFIG)
        right = desk.again()
        until(lambda: "result" in order(right, "third", price=59_000))  # the marks may be a minute old at first (C17)


def test_a_start_that_came_to_nothing_is_no_unclean_stop(tmp_path):
    """A desk that is started over and over while its venue is away trades when the venue is back, without people."""
    with bots(tmp_path, "enforce") as desk:
        assert desk.stop() == 0
        nowhere = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        for _ in range(2):
            with pytest.raises(AssertionError, match=r"Unreachable|Connect"):
                DeskVenue(tmp_path / "desk", nowhere, "enforce", None, "--config", tmp_path / "seawall.toml")
        again = desk.again()
        assert "result" in order(again, "third", price=59_000)
        again.kill()
        with pytest.raises(AssertionError, match=r"Unreachable|Connect"):
            DeskVenue(tmp_path / "desk", nowhere, "enforce", None, "--config", tmp_path / "seawall.toml")
        assert control_of(order(desk.again(), "third", price=59_000)) == "REDUCE_ONLY"  # that one was


@both_modes
def test_limits_of_bot_desk_and_firm(tmp_path, mode):
    """What would break a group's limit is refused to whichever of its bots asks, and to no bot of another group."""
    with bots(tmp_path, mode) as desk:
        limit(desk, "POSITION", 4, account="first", instrument=ETHER)
        limit(desk, "POSITION", 10, account="rates", instrument=PERPETUAL)
        limit(desk, "EXPOSURE", 1_000 * 10**6, account="house")
        row = {"amount": 5, "price": 2_990, "instrument": ETHER}
        cases = (
            ("first", "POSITION_LIMIT", row),  # its own
            ("second", "", row),
            ("second", "", {"amount": 30}),
            ("first", "POSITION_LIMIT", {"amount": 40}),  # 4 taken over, 3 open of the second, 4 asked: 11
            ("third", "", {"amount": 40}),
            ("third", "EXPOSURE", {"amount": 1_200}),
            ("second", "EXPOSURE", row | {"amount": 1_200}),
        )
        for bot, control, given in cases:
            before = len(stands(desk, desk_account(bot)))
            answer = order(desk, bot, **{"price": 59_000} | given)
            if control and mode == "enforce":
                assert control_of(answer) == control
                whose = "first" if given is row else "rates" if control == "POSITION_LIMIT" else "house"
                assert f"the limit of {whose} is" in answer["error"]["data"]["reason"]
            assert ("result" in answer) == (not control or mode == "observe")
            assert len(stands(desk, desk_account(bot))) == before + ("result" in answer)
        settle()
    told = Told(tmp_path / "desk")
    expected = {("first", "POSITION_LIMIT"): 2, ("third", "EXPOSURE"): 1, ("second", "EXPOSURE"): 1}
    assert told.refusals == expected
    reporter = Reporter(0, 2**63 - 1)
    replay(folders_of(tmp_path / "desk"), witness=reporter.take)
    bots_of = reporter.report.bots
    words = [one.words for name in expected for one in bots_of[name[0]].reasons[name[1]].examples]
    assert [word.partition("the limit of ")[2].split()[0] for word in words] == ["first", "rates", "house", "house"]


def desk_account(bot):
    return "bob" if bot == "third" else "alice"


def test_bots_of_one_account_leave_each_other_alone(tmp_path):
    """In enforce; the venue itself would take cancels and edits of any order of the account from either."""
    with bots(tmp_path, "enforce") as desk:
        venue = desk.behind
        ids = {}
        for bot in ("first", "second"):
            for n, instrument in enumerate((PERPETUAL, PERPETUAL, ETHER)):
                row = order(
                    desk, bot, "buy", instrument, 10, 2_900 if instrument == ETHER else 58_000, label=f"{bot}{n}"
                )
                ids[bot, n] = row["result"]["order"]["order_id"]
        same = [
            order(desk, bot, price=57_000, label="same")["result"]["order"]["order_id"] for bot in ("first", "second")
        ]
        everything = labelled(desk, "alice")
        for method, given in (
            ("edit", {"order_id": ids["second", 0], "amount": 20, "price": 58_001}),
            ("edit_by_label", {"label": "second0", "instrument_name": PERPETUAL, "amount": 20, "price": 58_001}),
            ("cancel", {"order_id": ids["second", 0]}),
            ("cancel_by_label", {"label": "second0"}),
            ("close_position", {"instrument_name": PERPETUAL, "type": "market"}),
            ("cancel_quotes", {"cancel_type": "all"}),
        ):
            answer = desk.get(f"private/{method}", "first", **given)
            code = answer.get("error", {}).get("code")
            wanted = {"edit": 10029, "edit_by_label": 10004, "cancel": 10029, "cancel_by_label": None}.get(
                method, 10033
            )
            assert code == wanted, (method, answer)
            assert code or answer["result"] == 0
        for other in (ids["second", 0].replace("BTC", "ETH"), ids["second", 0].rpartition("-")[2]):
            answer = desk.get("private/cancel", "first", order_id=other)  # the gate knows nobody's order of that name
            assert answer["error"]["code"] == 10004
        assert labelled(desk, "alice") == everything
        mine = {"label": "second0", "instrument_name": PERPETUAL, "amount": 20, "price": 57_999}
        assert desk.get("private/edit_by_label", "second", **mine)["result"]["order"]["amount"] == 20

        def left(method, bot, **given):
            answer = desk.get(f"private/{method}", bot, **given)
            return answer["result"], labelled(desk, "alice")

        count, rows = left("cancel_by_label", "second", label="same")
        assert count == 1 and same[0] in {row["order_id"] for row in stands(desk, "alice")}
        count, rows = left("cancel_all_by_instrument", "first", instrument_name=ETHER)
        assert count == 1 and "first2" not in rows and "second2" in rows
        found, rows = left("cancel_all_by_instrument", "first", instrument_name=PERPETUAL, detailed="true")
        assert sorted(row["label"] for part in found for row in part["result"]) == ["first0", "first1", "same"]
        assert rows == ["second0", "second1", "second2"]
        count, rows = left("cancel_all_by_kind_or_type", "second", currency="any", type="trigger_all")
        assert count == 0 and len(rows) == 3
        count, rows = left("cancel_all_by_currency", "second", currency="ETH")
        assert count == 1 and rows == ["second0", "second1"]
        assert left("cancel_all", "first") == (0, ["second0", "second1"])
        count, rows = left("cancel_all_by_currency_pair", "second", currency_pair="btc_usd", kind="future")
        assert (count, rows) == (2, [])
        alone = order(desk, "third", price=58_000)
        assert "result" in alone and left("cancel_all", "third")[0] == 1
        assert venue.get("private/get_open_orders", "bob")["result"] == []


def test_a_mass_cancel_takes_along_what_is_on_its_way(tmp_path):
    """Over one connection, behind orders that were not answered yet; those asked for after it stay."""

    async def run(desk):
        first, second = await Wire().connect(desk, "first"), await Wire().connect(desk, "second")
        row = {"instrument_name": PERPETUAL, "amount": 10, "price": 58_000}
        theirs = await second.results("private/buy", [row | {"label": f"two-{n}"} for n in range(20)])
        before = [await first.send("private/buy", row | {"label": f"before-{n}"}) for n in range(30)]
        swept = await first.send("private/cancel_all", {})
        after = [await first.send("private/buy", row | {"label": f"after-{n}"}) for n in range(5)]
        answers = [await one for one in (*before, swept, *after)]
        assert all("result" in answer for answer in (*answers, *theirs))
        for wire in (first, second):
            await wire.close()
        return answers[30]["result"]

    with bots(tmp_path, "enforce") as desk:
        assert asyncio.run(run(desk)) == 30
        left = labelled(desk, "alice")
        assert left == sorted([f"after-{n}" for n in range(5)] + [f"two-{n}" for n in range(20)])


@pytest.mark.parametrize("orderly_end", [True, False])
def test_a_restart_finds_all_of_it_again(tmp_path, orderly_end):
    with bots(tmp_path, "enforce") as desk:
        for bot, side, amount in (("first", "sell", 60), ("second", "buy", 30), ("third", "buy", 20)):
            assert "result" in at_market(desk, bot, side, amount)
        ids = {bot: order(desk, bot, price=58_000)["result"]["order"]["order_id"] for bot in ("first", "second")}
        limit(desk, "POSITION", 5, account="second", instrument=PERPETUAL)
        open_before = open_orders(desk)
        if orderly_end:
            assert desk.stop() == 0
        else:
            desk.kill()
        at_market(desk.behind, "alice", "buy", 10, label="two-while-away")
        desk = desk.again()
        assert open_orders(desk) == open_before
        assert desk.get("private/cancel", "first", order_id=ids["second"])["error"]["code"] == 10029
        assert control_of(order(desk, "second", amount=20)) == "POSITION_LIMIT"  # 3 and 1 held, 1 open
        assert "result" in desk.get("private/cancel", "second", order_id=ids["second"])
        assert "result" in at_market(desk, "second", "buy", 10)
        assert desk.get("private/cancel_all", "first")["result"] == 1
        settle()
        assert position(desk, "alice") == 40 - 60 + 30 + 10 + 10
    told = Told(tmp_path / "desk")
    held = {bot: told.positions[bot, PERPETUAL] for bot in ("first", "second", "third")}
    assert held == {"first": 4 - 6, "second": 3 + 1 + 1, "third": 2}
