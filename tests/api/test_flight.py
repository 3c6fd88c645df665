"""What the venue says of an order that is not known waits for all that was on its way, and for nothing else."""

from itertools import chain
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from seawall.api.desk.flight import Flight, edits_of, key_of

KEYS = [("main", 1, "BTC-PERPETUAL"), ("main", -1, "BTC-PERPETUAL"), ("other", 1, "BTC-PERPETUAL")]
LIVE = SimpleNamespace(first="BTC-7")


class Sent:
    def __init__(self, which):
        self.edits = (LIVE, 0, 0) if which == len(KEYS) else None
        if self.edits is None:
            self.at, self.side, name = KEYS[which]
            self.listing = SimpleNamespace(name=name)
        self.key = edits_of("BTC-7") if self.edits else key_of(*KEYS[which])


STEPS = st.lists(
    st.tuples(st.sampled_from(["fly", "land", "say", "take"]), st.integers(0, 3), st.integers(0, 2)), max_size=80
)


@given(STEPS)
def test_a_word_is_heard_when_all_that_flew_before_it_has_landed(steps):
    flight, flying, heard = Flight(), [], []
    held = {}  # id: what it waits for, and the words; as a set that is searched, as it must not be done
    words = iter(range(1_000))
    for step, which, number in steps:
        if step == "fly":
            flying.append(Sent(which))
            flight.add(flying[-1])
        elif step == "land" and flying:
            sent = flying.pop(number % len(flying))
            flight.discard(sent)
            flight.release(sent)
            due = []
            for id_ in list(held):
                held[id_][0].discard(sent)
                if not held[id_][0]:
                    due.append(held.pop(id_)[1])
            assert sorted(heard) == sorted(chain(*due))
            assert all([word for word in heard if word in said] == said for said in due)
            heard.clear()
        elif step == "say":
            word, id_ = next(words), f"{which}-{number}"
            key = edits_of("BTC-7") if which == len(KEYS) else key_of(*KEYS[which])
            waits = {sent for sent in flying if sent.key == key}
            kept = flight.hold(id_, key, lambda word=word: heard.append(word))
            assert kept == (id_ in held or bool(waits))
            if kept:
                held.setdefault(id_, (waits, []))[1].append(word)
        elif step == "take":
            id_ = f"{which}-{number}"
            for hear in flight.take(id_):
                hear()
            assert heard == held.pop(id_, (set(), []))[1]
            heard.clear()
        assert list(flight) == flying and not heard
        assert flight.edits("BTC-7") == any(sent.edits for sent in flying)


def test_what_is_said_while_it_is_heard_waits_again():
    flight, heard = Flight(), []
    first, second = Sent(0), Sent(0)
    flight.add(first)
    key = key_of(*KEYS[0])
    assert flight.hold("a", key, lambda: flight.hold("b", key, lambda: heard.append("b")))
    flight.add(second)
    flight.discard(first)
    flight.release(first)
    assert heard == []
    flight.discard(second)
    flight.release(second)
    assert heard == ["b"]
