"""The order of trades among updates, against the truth of a made-up exchange."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import Tape

from seawall.prices import read_recording
from seawall.prices.ordering import place
from seawall.sim.recording import record_synthetic
from seawall.vocabulary.records import BUY, SELL


def last_before(tape, folder):
    """For each trade, the id of the update right before it."""
    recording = read_recording(tape.write(folder))
    return [recording.updates[at - 1].last if at else 0 for at in place(recording).before]


@pytest.mark.parametrize("market", ["usdm", "coinm", "spot"])
def test_no_later_update_comes_before_a_trade(tmp_path_factory, market):
    folder, trades, late, early = tmp_path_factory.mktemp("made"), 0, 0, 0

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(st.integers(0, 2**32), st.sampled_from((1, 7, 30)))
    def check(seed, every):
        nonlocal trades, late, early
        truth = record_synthetic(folder / "made.jsonl.gz", seed, market=market, every=every, steps=800)
        recording = read_recording(folder / "made.jsonl.gz")
        before = place(recording).before
        assert before == sorted(before)
        for traded, at in zip(recording.prints, before, strict=True):
            match = truth.update_of_trade[traded.id]
            trades += 1
            late += any(update.last >= match for update in recording.updates[:at])
            early += any(update.last < match for update in recording.updates[at:])

    check()
    # Where two explanations are equally good one may be the wrong one: a share, and a small one.
    assert trades > 3000
    assert late <= trades // 500
    assert early <= trades // 20


def test_within_a_millisecond_a_trade_stands_before_the_update_that_shows_it(tmp_path):
    tape = Tape().depth(100, [(6000, 5)], [(6001, 4)], ms=1).touch(101, 6000, 5, 6001, 4, ms=5)
    tape.touch(102, 6000, 5, 6001, 9, ms=5).touch(103, 6000, 5, 6001, 7, ms=5).touch(104, 6000, 8, 6001, 7, ms=5)
    assert last_before(tape.trade(BUY, 6001, 2, ms=5), tmp_path) == [102]


def test_a_trade_no_update_shows_comes_first_in_its_millisecond(tmp_path):
    tape = Tape().depth(100, [(6000, 5)], [(6001, 4)], ms=1).touch(101, 6000, 5, 6001, 4, ms=4)
    tape.touch(102, 6000, 5, 6001, 9, ms=5).touch(103, 6000, 5, 6001, 7, ms=5)
    assert last_before(tape.trade(BUY, 6001, 3, ms=5), tmp_path) == [101]


def test_an_effect_in_another_millisecond_is_none_in_futures(tmp_path):
    tape = Tape().depth(100, [(6000, 5)], [(6001, 4)], ms=1).touch(101, 6000, 5, 6001, 4, ms=4)
    tape.touch(102, 6000, 5, 6001, 9, ms=6).touch(103, 6000, 5, 6001, 7, ms=6)
    assert last_before(tape.trade(BUY, 6001, 2, ms=5), tmp_path) == [101]
    assert last_before(Tape().depth(1).touch(2, 6000, 5, 6001, 2, ms=6).trade(SELL, 6000, 1, ms=3), tmp_path) == [1]


def test_a_sweep_stands_before_the_step_that_takes_its_prices(tmp_path):
    tape = Tape().depth(100, [(6000, 5), (5999, 5), (5998, 5)], [(6001, 4)], ms=1).touch(101, 6000, 5, 6001, 4, ms=5)
    tape.touch(102, 5998, 2, 6001, 4, ms=5).touch(103, 5998, 2, 6001, 9, ms=5)
    for price, lots in ((6000, 3), (6000, 2), (5999, 5), (5998, 3)):
        tape.trade(SELL, price, lots, ms=5)
    assert last_before(tape, tmp_path) == [101] * 4


def test_a_spot_trade_that_arrives_late_is_placed_by_its_effect(tmp_path):
    tape = Tape("spot").depth(100, [(6000, 5)], [(6001, 4)]).touch(101, 6000, 5, 6001, 4, ms=10)
    tape.touch(102, 6000, 5, 6001, 3, ms=11).touch(103, 6000, 5, 6001, 9, ms=12)
    tape.trade(BUY, 6001, 1, ms=11)
    tape.rows[-1] = tape.rows[-1].replace(tape.rows[-1][:19], str(int(tape.rows[-1][:19]) + 80_000_000))
    assert last_before(tape, tmp_path) == [101]
