"""Levels become orders and trades aggressors: what is reproduced, why not the rest, and that nothing is planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import Tape, carry

from seawall.engine.reference import Reference
from seawall.prices import Cause, Gap, Importer, read_recording
from seawall.prices.fidelity import MEANINGS, AwaitedCheck, Judge
from seawall.prices.listing import Listing
from seawall.sim.recording import record_synthetic
from seawall.vocabulary.bounds import PRICE_MAX
from seawall.vocabulary.errors import RecordingError
from seawall.vocabulary.instruments import Form
from seawall.vocabulary.records import BUY, EVENT, SELL, EventKind, Kind, TimeInForce

BIDS = [(6000, 5), (5999, 7), (5990, 100)]
ASKS = [(6001, 4), (6002, 8), (6010, 100)]


def tape():
    """Known depth, and a best price told once more by bookTicker."""
    return Tape().snapshot(100, BIDS, ASKS).depth(110, ms=1).touch(111, 6000, 5, 6001, 4, ms=2)


@pytest.mark.parametrize("market", ["usdm", "coinm", "spot"])
def test_a_recording_with_complete_depth_is_reproduced_whole(tmp_path, market):
    file = tmp_path / "made.jsonl.gz"
    truth = record_synthetic(file, 3, market=market, steps=1500)
    carried = carry(Importer(read_recording(file)))
    found = carried.fidelity
    before = sum(update <= truth.snapshot_id for update in truth.update_of_trade.values())
    assert found.trades_recorded == len(truth.update_of_trade)
    assert set(carried.causes()) <= {Cause.BEFORE_DEPTH}
    assert found.causes[Cause.BEFORE_DEPTH] == before == found.incomplete_depth[Gap.BEFORE_DEPTH]
    assert found.trades_reproduced == found.trades_with_complete_depth == found.trades_recorded - before
    assert found.share_reproduced == 1.0
    assert found.book_checks > 1000 and found.book_differences == 0 and found.refused == 0
    assert carried.engine.conserved()


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from(("usdm", "spot")), st.sampled_from((5, 40)))
def test_sampled_depth_loses_trades_but_never_the_book(tmp_path_factory, seed, market, every):
    file = tmp_path_factory.mktemp("made") / "made.jsonl.gz"
    record_synthetic(file, seed, market=market, every=every, steps=1000)
    carried = carry(Importer(read_recording(file)))
    found = carried.fidelity
    assert found.book_differences == 0 and found.refused == 0 and carried.engine.conserved()
    assert found.trades_reproduced + sum(found.causes.values()) == found.trades_recorded
    assert found.trades_with_complete_depth + sum(found.incomplete_depth.values()) == found.trades_recorded
    assert 0.9 < found.share_reproduced <= 1.0


def test_a_recording_without_trades_is_no_perfect_one(tmp_path):
    found = tape().imported(tmp_path).fidelity
    assert found.trades_recorded == 0
    assert found.share_of_all is None is found.share_reproduced is found.document()["share_reproduced"]


def test_both_engines_fold_the_import_alike(tmp_path):
    record_synthetic(tmp_path / "made.jsonl.gz", 5, steps=400, every=3)
    recording = read_recording(tmp_path / "made.jsonl.gz")
    fast, reference = carry(Importer(recording)), carry(Importer(recording), Reference())
    assert np.array_equal(fast.commands, reference.commands)
    assert np.array_equal(fast.events, reference.events)


def test_batches_do_not_change_the_commands(tmp_path):
    record_synthetic(tmp_path / "made.jsonl.gz", 6, steps=300)
    recording = read_recording(tmp_path / "made.jsonl.gz")
    asked = [carry(Importer(recording), size=size).commands for size in (1, 5000)]
    for name in ("kind", "side", "account", "price", "quantity", "order_id"):
        assert np.array_equal(asked[0][name], asked[1][name])


def test_levels_are_absolute_and_trades_use_them_up(tmp_path):
    made = tape().trade(BUY, 6001, 3, ms=3)
    made.depth(120, bids=[(6000, 2), (5999, 0)], asks=[(6001, 6)], ms=4)
    carried = made.imported(tmp_path)
    assert carried.book() == {BUY: {6000: 2, 5990: 100}, SELL: {6001: 6, 6002: 8, 6010: 100}}
    assert carried.fidelity.trades_reproduced == 1 and carried.fidelity.book_checks == 2


def test_a_delta_that_says_nothing_of_a_traded_price_restores_it(tmp_path):
    """An iceberg shows the same lots again: the recording's word counts, not our reckoning."""
    carried = tape().trade(BUY, 6001, 3, ms=3).depth(120, ms=4).trade(BUY, 6001, 4, ms=5).imported(tmp_path)
    assert carried.book()[SELL] == {6002: 8, 6010: 100}
    assert carried.fidelity.book_differences == 0


def test_aggressors_never_rest_and_liquidity_never_aggresses(tmp_path):
    record_synthetic(tmp_path / "made.jsonl.gz", 8, steps=600, every=5)
    carried = carry(Importer(read_recording(tmp_path / "made.jsonl.gz")))
    orders = carried.commands[carried.commands["kind"] == Kind.ORDER]
    takers = set(orders["account"][orders["tif"] == TimeInForce.IOC].tolist())
    makers = set(orders["account"][orders["tif"] == TimeInForce.GTC].tolist())
    assert takers and makers and not takers & makers
    fills = carried.events[carried.events["kind"] == EventKind.FILL]
    assert set(fills["account"][fills["liquidity"] == 2].tolist()) <= takers
    assert set(fills["account"][fills["liquidity"] == 1].tolist()) <= makers


def test_liquidity_is_never_planted_for_a_trade(tmp_path):
    """Trades beyond all that is known leave the orders of liquidity what the snapshot says: none is of their making."""
    with_trades = tape().trade(BUY, 6005, 9, ms=3).trade(SELL, 5995, 9, ms=3).trade(BUY, 6001, 400, ms=4)
    carried = with_trades.imported(tmp_path)
    orders = carried.commands[(carried.commands["kind"] == Kind.ORDER) & (carried.commands["tif"] == TimeInForce.GTC)]
    placed = {(int(one["side"]), int(one["price"])) for one in orders}
    assert placed == {(BUY, price) for price, _ in BIDS} | {(SELL, price) for price, _ in ASKS}
    assert int(orders["quantity"].sum()) <= sum(lots for _, lots in BIDS + ASKS)
    assert carried.fidelity.trades_reproduced == 0


CAUSES = {
    "before the snapshot": (Tape().trade(BUY, 6001, 1).snapshot(100, BIDS, ASKS, ms=1).depth(110, ms=2),
                            Cause.BEFORE_DEPTH, Gap.BEFORE_DEPTH),
    "reproduced": (tape().trade(BUY, 6001, 4, ms=3), None, None),
    "reproduced deeper": (tape().trade(BUY, 6001, 4, ms=3).trade(BUY, 6002, 8, ms=3), None, None),
    "beyond what was shown": (tape().trade(BUY, 6001, 5, ms=3), Cause.HIDDEN, Gap.HIDDEN),
    "shown again": (tape().touch(112, 6000, 5, 6001, 5, ms=3).trade(BUY, 6001, 5, ms=4), None, None),
    "told empty": (tape().depth(120, asks=[(6002, 0)], ms=3).trade(BUY, 6001, 4, ms=4).trade(BUY, 6002, 1, ms=4),
                   Cause.EMPTY, None),
    "silence inside the snapshot": (tape().trade(BUY, 6001, 4, ms=3).trade(BUY, 6002, 8, ms=3)
                                    .trade(BUY, 6005, 1, ms=3), Cause.EMPTY, None),
    "outside the snapshot": (tape().trade(SELL, 6000, 5, ms=3).trade(SELL, 5999, 7, ms=3).trade(SELL, 5990, 100, ms=3)
                             .trade(SELL, 5980, 1, ms=3), Cause.UNTOLD, Gap.UNTOLD),
    "smaller, deeper": (tape().trade(BUY, 6001, 4, ms=3).trade(BUY, 6002, 9, ms=3), Cause.SMALLER, None),
    "used up, deeper": (tape().trade(BUY, 6001, 4, ms=3).trade(BUY, 6002, 8, ms=3).trade(BUY, 6002, 1, ms=3),
                        Cause.SMALLER, None),
    "a better price stood": (tape().trade(SELL, 5999, 7, ms=3), Cause.PASSED, None),
    "after a gap": (tape().depth(130, behind=125, ms=3).trade(BUY, 6001, 5, ms=4), Cause.AFTER_GAP, Gap.AFTER_GAP),
    "mended by a snapshot": (tape().depth(130, behind=125, ms=3).snapshot(140, BIDS, ASKS, ms=4)
                             .trade(BUY, 6001, 4, ms=5), None, None),
    "beyond the band": (tape().trade(BUY, 6001 * 5, 1, ms=3), Cause.REFUSED, Gap.UNTOLD),
}  # fmt: skip


@pytest.mark.parametrize("case", CAUSES)
def test_the_last_trade_has_its_cause(tmp_path, case):
    made, cause, gap = CAUSES[case]
    carried = made.imported(tmp_path)
    assert carried.causes() == ({cause: 1} if cause else {})
    assert dict(carried.fidelity.incomplete_depth) == ({gap: 1} if gap else {})
    assert carried.fidelity.refused == (cause == Cause.REFUSED)


def test_every_cause_is_produced_and_has_its_meaning():
    assert {cause for _, cause, _ in CAUSES.values() if cause} == set(Cause) == set(MEANINGS)


@pytest.mark.parametrize(("unseen", "late", "gap"), [(0, 0, None), (3, 0, Gap.UNSEEN), (0, 2, Gap.UNSEEN)])
def test_spot_proves_by_its_ids_that_something_was_not_told(tmp_path, unseen, late, gap):
    """Ids missing before the best price was told, or between it and the update that shows the trade."""
    made = Tape("spot").snapshot(100, BIDS, ASKS).depth(110, ms=1).touch(111 + unseen, 6000, 5, 6001, 4, ms=2)
    made.trade(BUY, 6001, 4, ms=9).trade(BUY, 6002, 1, ms=9).touch(112 + unseen + late, 6000, 5, 6002, 7, ms=9)
    carried = made.imported(tmp_path)
    assert carried.fidelity.trades_reproduced == 2
    assert dict(carried.fidelity.incomplete_depth) == ({gap: 1} if gap else {})


def test_a_trade_passed_through_cancels_what_it_proves_gone_only_afterwards(tmp_path):
    """The first print at the deeper price fails on the stale level; the next ones find the book put right."""
    made = tape().trade(SELL, 5999, 3, ms=3).trade(SELL, 5999, 4, ms=3).trade(SELL, 5990, 100, ms=3)
    carried = made.imported(tmp_path)
    assert carried.causes() == {Cause.PASSED: 1} and carried.fidelity.trades_reproduced == 2
    assert carried.book()[BUY] == {}


def test_without_a_snapshot_depth_is_partial(tmp_path):
    made = Tape("spot").trade(BUY, 6001, 1).touch(100, 6000, 5, 6001, 4, ms=1)
    made.depth(101, bids=[(5999, 3)], ms=2, behind=100).trade(SELL, 6000, 5, ms=20).trade(SELL, 5999, 3, ms=20)
    carried = made.trade(SELL, 5998, 1, ms=20).imported(tmp_path)
    assert carried.causes() == {Cause.BEFORE_DEPTH: 1, Cause.UNTOLD: 1}
    assert carried.fidelity.trades_reproduced == 2


def test_updates_older_than_the_snapshot_are_dropped(tmp_path):
    made = Tape().depth(90, bids=[(5999, 1000)], behind=80).touch(95, 5998, 9, 6003, 9)
    made.snapshot(100, BIDS, ASKS, ms=1).depth(110, behind=90, ms=2)
    carried = made.imported(tmp_path)
    assert carried.importer.dropped == 2
    assert carried.book() == {BUY: dict(BIDS), SELL: dict(ASKS)}


def test_a_second_snapshot_replaces_the_book(tmp_path):
    made = tape().snapshot(200, [(5990, 1)], [(5995, 2)], ms=5).depth(210, behind=111, ms=6)
    carried = made.imported(tmp_path)
    assert carried.book() == {BUY: {5990: 1}, SELL: {5995: 2}}
    assert carried.fidelity.book_differences == 0 and carried.fidelity.refused == 0


def test_a_best_price_clears_what_it_says_is_gone(tmp_path):
    carried = tape().touch(120, 5999, 6, 6002, 8, ms=3).depth(130, ms=4).imported(tmp_path)
    assert carried.book() == {BUY: {5999: 6, 5990: 100}, SELL: {6002: 8, 6010: 100}}


def test_a_delta_that_crosses_a_stale_side_takes_it_along(tmp_path):
    """Partial depth: an ask of long ago stands below the new bid. It goes; nothing is matched silently."""
    made = Tape().depth(100, bids=[(6000, 5)], asks=[(6001, 4), (6005, 1)]).depth(110, bids=[(6002, 3)], ms=1)
    carried = made.imported(tmp_path)
    assert carried.importer.book.crossed == 1
    assert carried.book() == {BUY: {6000: 5, 6002: 3}, SELL: {6005: 1}}
    assert not (carried.events["kind"] == EventKind.FILL).any()
    assert carried.fidelity.book_differences == 0


def test_a_smaller_level_cancels_newest_first(tmp_path):
    made = Tape().snapshot(100, [(6000, 5)], ASKS).depth(110, bids=[(6000, 9)], ms=1).depth(120, bids=[(6000, 7)], ms=2)
    carried = made.imported(tmp_path)
    mine = carried.commands[(carried.commands["kind"] == Kind.ORDER) & (carried.commands["side"] == BUY)]
    assert mine["quantity"].tolist() == [5, 4, 2]
    cancels = carried.commands[carried.commands["kind"] == Kind.CANCEL]
    assert cancels["order_id"].tolist() == [int(mine["seq"][1])]


def test_marks_are_published_at_the_start_on_moves_and_by_the_minute(tmp_path):
    made = tape().touch(112, 6001, 5, 6002, 8, ms=10).touch(113, 6010, 5, 6011, 4, ms=20)
    made.touch(114, 6010, 6, 6011, 4, ms=60_021)
    carried = made.imported(tmp_path)
    published = carried.commands[carried.commands["kind"] == Kind.PUBLISH]
    assert carried.importer.publications == len(published) == 3
    assert published["version"].tolist() == [1, 2, 3]


def test_the_exchange_s_own_mark_is_taken_where_there_is_one(tmp_path):
    carried = Tape().mark(6050).snapshot(100, BIDS, ASKS, ms=1).depth(110, ms=2).imported(tmp_path)
    assert carried.engine._arrays["instruments"][0]["mark"] == 6050


def test_a_book_differing_from_the_recording_is_counted(tmp_path):
    """The judge sees what the engine did, not what was meant: an order lost on the way is found."""
    importer = Importer(read_recording(tape().depth(120, bids=[(6000, 6)], ms=3).write(tmp_path)))

    class Deaf:
        """Loses the first order at 6000."""

        def __init__(self):
            self.engine, self.lost = Reference(), False

        def step(self, commands, attachments):
            commands = commands.copy()
            mine = np.flatnonzero((commands["kind"] == Kind.ORDER) & (commands["price"] == 6000))
            if len(mine) and not self.lost:
                self.lost = True
                commands["kind"][mine[0]] = Kind.TIME
            return self.engine.step(commands, attachments)

    found = carry(importer, Deaf(), size=5000).fidelity
    assert found.book_checks == 2 and found.book_differences >= 2


@pytest.mark.parametrize(("lots", "differences"), [(3, 0), (2, 1), (4, 1)])
def test_the_judge_compares_a_touched_price_however_deep(lots, differences):
    events = np.zeros(12, EVENT)
    events["seq"] = events["order_id"] = np.arange(1, 13)
    events["kind"], events["side"], events["quantity"] = EventKind.ACCEPTED, BUY, 3
    events["price"] = np.arange(100, 112)
    judge = Judge()
    top = [(price, 3) for price in range(111, 101, -1)]
    judge.expect(AwaitedCheck(12, [(BUY, 100, lots)], top, []))
    judge.hear(events)
    assert judge.fidelity.book_checks == 1 and judge.fidelity.levels_checked == 11
    assert judge.fidelity.book_differences == differences


@pytest.mark.parametrize(("symbol", "dollars"), [("BTCUSD_PERP", 100), ("ETHUSD_PERP", 10)])
def test_a_coin_margined_lot_is_one_contract(tmp_path, symbol, dollars):
    record_synthetic(tmp_path / "made.jsonl.gz", 1, market="coinm", steps=60, symbol=symbol)
    spec = Listing(read_recording(tmp_path / "made.jsonl.gz")).specification
    coins = spec.multiplier / 600_000 / 1e8  # one lot at 60,000.0
    assert spec.form == Form.INVERSE and coins == pytest.approx(dollars / 60_000)


def test_spot_and_dollar_margined_lots_are_linear(tmp_path):
    spec = Listing(read_recording(tape().write(tmp_path))).specification
    assert spec.form == Form.LINEAR and spec.multiplier == 100  # a tenth of a dollar times a thousandth, in millionths


def test_units_too_fine_for_the_bounds_are_refused(tmp_path):
    made = tape()
    made.rows = [row.replace("600.0", f"{PRICE_MAX // 4 // 10 + 100}.0") for row in made.rows]
    made.rows = [row.replace("600.1", f"{PRICE_MAX // 4 // 10 + 101}.0") for row in made.rows]
    made.rows = [row.replace("600.2", f"{PRICE_MAX // 4 // 10 + 102}.0") for row in made.rows]
    made.rows = [row.replace("601.0", f"{PRICE_MAX // 4 // 10 + 103}.5") for row in made.rows]
    with pytest.raises(RecordingError, match="ticks"):
        Importer(read_recording(made.write(tmp_path)))
