"""A request that may be read two ways is refused, by whichever way it is looked at."""

import contextlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.api.desk import plain
from seawall.api.errors import RpcError

WORDS = st.sampled_from(("a", "b", ":", '":', "\\", '"', "\u00e9", "", "id"))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS)


class Twice(list):
    """Members of an object, of which one may be named twice."""


def objects(inner):
    return st.lists(st.tuples(WORDS, inner), max_size=4).map(Twice)


DOCUMENTS = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner)), max_leaves=12)


def written(thing):
    if isinstance(thing, Twice):
        return "{" + ",".join(f"{json.dumps(name)} : {written(value)}" for name, value in thing) + "}"
    if isinstance(thing, list):
        return "[" + ",".join(map(written, thing)) + "]"
    return json.dumps(thing)


def names_twice(thing):
    if isinstance(thing, Twice):
        names = [name for name, _ in thing]
        return len(set(names)) < len(names) or any(names_twice(value) for _, value in thing)
    return isinstance(thing, list) and any(map(names_twice, thing))


def not_json(thing):
    if isinstance(thing, Twice):
        return any(not_json(value) for _, value in thing)
    if isinstance(thing, list):
        return any(map(not_json, thing))
    return isinstance(thing, float) and not math.isfinite(thing)


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_it_is_refused_exactly_if_a_member_is_named_twice_or_it_is_no_json(thing, as_bytes):
    text = written(thing)
    given_text = text.encode() if as_bytes else text
    if names_twice(thing) or not_json(thing):
        with pytest.raises(RpcError):
            plain.check_document(given_text)
    else:
        plain.check_document(given_text)


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', '{"a":{"b":1,"b":2}}', '[{"x":":","x":1}]', '{"a":NaN}', "{", '{"a" 1}']
)
def test_these_are_refused(text):
    for given_text in (text, text.encode()):
        with pytest.raises(RpcError):
            plain.check_document(given_text)


def test_what_is_deeper_than_a_stack_is_refused_and_not_looked_at_for_ever():
    with pytest.raises(RpcError):
        plain.check_document("[" * 200_000 + "]" * 200_000)


def test_most_requests_are_understood_at_the_first_look(monkeypatch):
    monkeypatch.setattr(plain.json, "loads", lambda *args, **more: pytest.fail("looked closer"))
    plain.check_document(
        '{"jsonrpc": "2.0", "id": 1, "method": "private/buy", "params": {"amount": 10, "quotes": [{"a": 1}]}}'
    )


@pytest.mark.parametrize("depth", [300, 490, 500, 700, 900, 990, 2_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_document_however_deep_is_taken_or_refused(depth, opening, closing):
    text = f'{{"id":1,"params":{{"x":{opening * depth}1{closing * depth}}}}}'
    with contextlib.suppress(RpcError):
        plain.check_document(text)
    with pytest.raises(RpcError):
        plain.check_document(text.replace('"id":1', '"id":1,"id":2'))
