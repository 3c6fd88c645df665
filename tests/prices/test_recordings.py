"""Reading: units, the exchange's order, gaps, and every kind of damage named by file and line."""

import gzip

import pytest
from recorded import START_MS, Tape

from seawall.prices import read_recording
from seawall.prices.listing import Listing
from seawall.prices.recordings import Delta, Snapshot, Touch
from seawall.vocabulary.errors import RecordingError
from seawall.vocabulary.records import BUY, SELL


def whole():
    tape = Tape().snapshot(100, [(6000, 5), (5999, 7)], [(6001, 4), (6002, 1)])
    return tape.depth(110, bids=[(6000, 6)], ms=1).touch(111, 6000, 6, 6001, 3, ms=2).trade(BUY, 6001, 1, ms=2)


def test_prices_become_ticks_and_quantities_lots(tmp_path):
    recording = read_recording(whole().write(tmp_path))
    assert (recording.market, recording.symbol, recording.price_decimals) == ("usdm", "BTCUSDT", 1)
    assert recording.lot_decimals == 3 and recording.lines == 4
    snapshot, delta, touch = recording.updates
    assert isinstance(snapshot, Snapshot) and snapshot.bids == [(6000, 5), (5999, 7)]
    assert isinstance(delta, Delta) and delta.bids == [(6000, 6)] and (delta.previous, delta.last) == (100, 110)
    assert delta.time_ns == (START_MS + 1) * 1_000_000  # T, when it happened, not E, when it was sent
    assert isinstance(touch, Touch) and (touch.bid, touch.bid_lots, touch.ask, touch.ask_lots) == (6000, 6, 6001, 3)
    (traded,) = recording.prints
    assert (traded.side, traded.price, traded.lots) == (BUY, 6001, 1)
    assert traded.time_ns == (START_MS + 2) * 1_000_000


def test_a_buyer_who_rested_was_sold_to(tmp_path):
    recording = read_recording(whole().trade(SELL, 6000, 2, ms=3).write(tmp_path))
    assert [traded.side for traded in recording.prints] == [BUY, SELL]


def test_clocks_in_microseconds_are_read_too(tmp_path):
    tape = whole()
    fine = read_recording(tape.write(tmp_path))
    tape.rows = [row[:16] + row[19:] for row in tape.rows]
    coarse = read_recording(tape.write(tmp_path, "coarse.jsonl.gz"))
    assert [update.arrival_ns // 1000 for update in fine.updates] == [u.arrival_ns // 1000 for u in coarse.updates]


def test_lines_out_of_order_and_twice_come_out_right(tmp_path):
    tape = whole()
    expected = read_recording(tape.write(tmp_path))
    tape.rows = [*tape.rows[::-1], tape.rows[1], tape.rows[3]]
    found = read_recording(tape.write(tmp_path, "mixed.jsonl.gz"))
    assert [update.last for update in found.updates] == [update.last for update in expected.updates]
    assert [type(update) for update in found.updates] == [type(update) for update in expected.updates]
    assert len(found.prints) == 1 and found.repeated == 2 and not found.gaps


def test_quantities_finer_than_a_lot_are_rounded_down_and_counted(tmp_path):
    tape = whole()
    tape.depth(120, bids=[(price, 3) for price in range(3000, 5000)], ms=3)
    tape.rows[1] = tape.rows[1].replace('"0.006"', '"0.0069"')
    recording = read_recording(tape.write(tmp_path))
    assert recording.lot_decimals == 3 and recording.rounded_levels == 1
    assert recording.updates[1].bids == [(6000, 6)]


@pytest.mark.parametrize("market", ["usdm", "spot"])
def test_a_missing_delta_is_a_gap(tmp_path, market):
    tape = Tape(market).snapshot(100, [(6000, 5)], [(6001, 4)])
    tape.depth(110).depth(120).depth(140, behind=130).depth(150)
    recording = read_recording(tape.write(tmp_path))
    assert recording.gaps == [(4, 120, 130)]


def test_a_first_delta_that_begins_behind_the_snapshot_is_a_gap(tmp_path):
    tape = Tape().snapshot(100, [(6000, 5)], [(6001, 4)])
    assert read_recording(tape.depth(110, behind=99).write(tmp_path)).gaps == []
    late = Tape().snapshot(100, [(6000, 5)], [(6001, 4)]).depth(110, behind=105)
    assert read_recording(late.write(tmp_path, "late.jsonl.gz")).gaps == [(2, 100, 105)]


def test_a_limit_reads_so_many_lines_and_no_further(tmp_path):
    tape = whole()
    tape.rows.append("broken")
    file = tape.write(tmp_path)
    assert read_recording(file, limit=4).lines == 4
    with pytest.raises(RecordingError, match=r"made\.jsonl\.gz:5"):
        read_recording(file)


def test_progress_is_told_in_bytes_of_the_file(tmp_path):
    tape = whole()
    for step in range(9000):
        tape.touch(200 + step, 6000, 6, 6001, 3, ms=3)
    told = []
    file = tape.write(tmp_path)
    read_recording(file, seen=told.append)
    assert len(told) == 2 and told == sorted(told) and told[-1] <= file.stat().st_size


DAMAGE = {
    "no clock": lambda row: row.partition(" ")[2],
    "a short clock": lambda row: row[4:],
    "cut JSON": lambda row: row[:-5],
    "an unknown stream": lambda row: row.replace("@depth", "@kline"),
    "no stream": lambda row: row.replace('"stream"', '"steam"'),
    "another symbol": lambda row: row.replace("BTCUSDT", "ETHUSDT"),
    "no price": lambda row: row.replace('"600.0"', '"six"'),
    "a negative price": lambda row: row.replace('"600.0"', '"-600.0"'),
    "a price of zero": lambda row: row.replace('"600.0"', '"0.0"'),
    "a negative quantity": lambda row: row.replace('"0.006"', '"-0.006"'),
    "an exponent": lambda row: row.replace('"0.006"', '"6e-3"'),
    "a missing field": lambda row: row.replace('"u":', '"w":'),
    "a number for text": lambda row: row.replace('"600.0"', "600.0"),
    "ids that run back": lambda row: row.replace('"u": 110', '"u": 1'),
    "more digits than any number has": lambda row: row.replace('"600.0"', f'"{"9" * 5000}"'),
    "a price beyond every field": lambda row: row.replace('"600.0"', f'"{"9" * 30}"'),
    "a quantity beyond every field": lambda row: row.replace('"0.006"', f'"{"9" * 30}"'),
    "a time in microseconds": lambda row: row.replace(f'"T": {START_MS + 1}', f'"T": {START_MS + 1}000'),
    "a time of another year": lambda row: row.replace(f'"T": {START_MS + 1}', f'"T": {START_MS - 40_000_000_000}'),
    "a time before all": lambda row: row.replace(f'"E": {START_MS + 4}', '"E": -4'),
    "no text": lambda row: row[:60] + "\udcff" + row[60:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_named(tmp_path, damage):
    tape = whole().depth(120, bids=[(6000, 6)], ms=3)
    tape.rows[1] = DAMAGE[damage](tape.rows[1])
    file = tmp_path / "made.jsonl.gz"
    file.write_bytes(gzip.compress("".join(f"{row}\n" for row in tape.rows).encode(errors="surrogateescape")))
    with pytest.raises(RecordingError) as caught:
        read_recording(file)
    line = 3 if damage == "another symbol" else 2  # the first depth says which symbol is the recording's
    assert caught.value.field == f"{file}:{line}"
    assert caught.value.rule.startswith("must")


def test_a_crossed_snapshot_and_a_crossed_best_are_refused(tmp_path):
    with pytest.raises(RecordingError, match=r":1 = 6001: must be below the best ask 6001"):
        read_recording(Tape().snapshot(100, [(6001, 5)], [(6001, 4)]).depth(110).write(tmp_path))
    with pytest.raises(RecordingError, match=r":2 = '600\.1'"):
        read_recording(Tape().depth(100).touch(110, 6001, 1, 6000, 1).write(tmp_path))


def test_a_trade_of_nothing_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="must be a positive quantity"):
        read_recording(whole().trade(BUY, 6001, 0).write(tmp_path))


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_torn_file_is_damage_not_an_end(tmp_path, keep):
    tape = whole()
    for step in range(500):
        tape.touch(200 + step, 6000, 6 + step % 7, 6001, 3, ms=3)
    file = tape.write(tmp_path)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
    with pytest.raises(RecordingError, match="gzip"):
        read_recording(file)


def test_flipped_bytes_are_found(tmp_path):
    file = whole().write(tmp_path)
    data = bytearray(file.read_bytes())
    data[-6] ^= 0x55  # the checksum at the end
    file.write_bytes(bytes(data))
    with pytest.raises(RecordingError, match="gzip"):
        read_recording(file)


def test_what_is_no_recording_at_all_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="readable"):
        read_recording(tmp_path / "nowhere.jsonl.gz")
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text("\n".join(whole().rows))
    with pytest.raises(RecordingError, match="gzip"):
        read_recording(plain)
    with pytest.raises(RecordingError, match="at least one depthUpdate"):
        read_recording(Tape().trade(BUY, 6000, 1).write(tmp_path))
    with pytest.raises(RecordingError, match="at least one depthUpdate"):
        read_recording(Tape().write(tmp_path, "empty.jsonl.gz"))


def test_without_trades_the_lot_is_that_of_the_depth(tmp_path):
    assert read_recording(Tape().depth(100, [(6000, 5)], [(6001, 4)]).write(tmp_path)).lot_decimals == 3


def test_two_trades_of_one_id_and_two_words_on_the_same_updates_are_refused(tmp_path):
    """Either may be the true one: taking the first would be a guess."""
    for changed in ((SELL, 6001, 1, 2), (BUY, 6000, 1, 2), (BUY, 6001, 2, 2), (BUY, 6001, 1, 3)):
        side, price, lots, ms = changed
        with pytest.raises(RecordingError, match=r":5 = 1: must be the trade that line 4 says"):
            read_recording(whole().trade(side, price, lots, ms=ms, number=1).write(tmp_path))
    with pytest.raises(RecordingError, match=r":5 = 110: must be the changes that line 2 says"):
        read_recording(whole().depth(110, bids=[(6000, 60)], ms=1, behind=100).write(tmp_path))
    slower = whole().depth(110, bids=[(6000, 6), (5999, 7)], ms=1, behind=99)
    assert read_recording(slower.write(tmp_path)).repeated == 1


def test_trades_that_never_came_are_counted(tmp_path):
    recording = read_recording(whole().trade(BUY, 6001, 1, ms=3, number=9).write(tmp_path))
    assert len(recording.prints) == 2 and recording.missing == 7
    assert read_recording(whole().write(tmp_path)).missing == 0


@pytest.mark.parametrize("line", [1, 3, 4])
def test_a_futures_message_without_its_time_is_refused(tmp_path, line):
    """Updates are never later than those behind them: one at zero would be before all trades, with all before it."""
    tape = whole()
    tape.rows[line - 1] = tape.rows[line - 1].replace('"T":', '"X":')
    with pytest.raises(RecordingError, match=f":{line} = "):
        read_recording(tape.write(tmp_path))


def test_a_level_and_a_mark_beyond_all_are_refused_by_line(tmp_path):
    """The level would come to orders without end."""
    with pytest.raises(RecordingError, match=r"made\.jsonl\.gz:5 = .* largest orders"):
        Listing(read_recording(whole().depth(120, bids=[(6000, 10**18)], ms=3).write(tmp_path)))
    with pytest.raises(RecordingError, match=r"made\.jsonl\.gz:5 = 60000\.0: must lie in \[1500, 24000\] ticks"):
        Listing(read_recording(whole().mark(60000, ms=3).write(tmp_path)))
    Listing(read_recording(whole().depth(120, bids=[(6000, 10**9)], ms=3).mark(24000, ms=3).write(tmp_path)))
