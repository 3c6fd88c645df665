"""What a proposal says, in plain words, computed from the canonical bytes that are signed and from nothing else.

`seawall approve` shows these words of the very bytes it then signs. What the words do not name is listed after them, so
that nothing signed stays unsaid. No import beside the standard library and `canonical`: it runs at the signer's.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from seawall.api.operations import canonical
from seawall.vocabulary.errors import InputError

LIMITS = {
    "ORDER_QUANTITY": "{a} lots an order",
    "ORDER_NOTIONAL": "{a} millionths of a dollar an order",
    "MESSAGES": "one order or edit each {a} ns, {q} at once",
    "CANCELS": "one cancel each {a} ns, {q} at once",
    "REPEATS": "{a} executions of a strategy in {w} ns",
    "FORBIDDEN": "forbidden: {a} (1 opening, 2 trading, 4 withdrawing, added up)",
    "OPEN_ORDERS": "{a} open orders",
    "OPEN_NOTIONAL": "{a} millionths of a dollar of open orders",
    "POSITION": "{a} lots, open orders included",
    "EXPOSURE": "{a} millionths of a dollar of net delta in one underlying",
    "DRAWDOWN": "{a} millionths of a dollar below the highest equity, {q} publications in a row",
    "COLLAR": "{a} millionths of the mark, at least {q} ticks",
    "WINDOW_COLLAR": "{a} millionths of move by one account in {w} ns",
    "OPEN_INTEREST": "{a} lots",
    "VELOCITY": "{a} millionths of move in {w} ns, confirmed by {q} takers",
    "STALE": "{a} ns since publication or index price",
    "DIVERGENCE": "{a} millionths between mark and index",
}
"""What the numbers of a limit are; see `vocabulary.records.Limit`."""

_STATES = {"open": "OPEN", "reduce_only": "REDUCE-ONLY", "halted": "HALTED"}
_MEMBERS = ("action", "created", "expires", "parameters", "proposal", "proposed_by", "venue")


def words(payload: bytes) -> list[str]:
    """The lines. Raises InputError for bytes that are no proposal's."""
    document = canonical.decode(payload)
    if not isinstance(document, dict) or sorted(document) != sorted(_MEMBERS):
        raise InputError("bytes", repr(payload[:80]), f"must be a proposal: an object of {', '.join(_MEMBERS)}")
    parameters = document["parameters"]
    if not isinstance(parameters, dict):
        raise InputError("parameters", repr(parameters)[:80], "must be an object")
    said: set[str] = set()
    lines = [_sentence(document["action"], _Reader(parameters, said))]
    if "until" in parameters:
        said.add("until")
        lines.append(f"It ends by itself at {moment(parameters['until'])}; then what stood before is set again.")
    if "rise" in parameters:
        said |= {"rise", "rise_cap"}
        times, cap = _quoted(parameters["rise"]), _quoted(parameters.get("rise_cap", ""))
        lines.append(f"The book's margin would be {times} times what it was within days; beyond {cap} takes one more.")
    if "more" in parameters:
        said.add("more")
        lines.append(f"Signatures beyond the usual, for a short notice or a steep rise: {_quoted(parameters['more'])}.")
    if "reason" in parameters:
        said.add("reason")
        lines.append(f"Reason given: {_quoted(parameters['reason'])}")
    lines += [f"Further: {name} = {_quoted(parameters[name])}" for name in parameters if name not in said]
    lines.append(f"Proposed by {_quoted(document['proposed_by'])} at {moment(document['created'])}.")
    lines.append(f"Void after {moment(document['expires'])}.")
    lines.append(f"Proposal {_quoted(document['proposal'])}, venue {_quoted(document['venue'])}.")
    return lines


def moment(milliseconds: Any) -> str:
    """A time in words, UTC."""
    if not isinstance(milliseconds, int):
        return _quoted(milliseconds)
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms since 1970"


class _Reader:
    """Parameters, with a note of which were spoken of."""

    def __init__(self, parameters: dict[str, Any], said: set[str]) -> None:
        self._parameters, self._said = parameters, said

    def __call__(self, name: str) -> str:
        self._said.add(name)
        return _quoted(self._parameters.get(name, ""))

    def state(self, name: str) -> str:
        self._said.add(name)
        value = self._parameters.get(name, "")
        return _STATES.get(value, _quoted(value)) if isinstance(value, str) else _quoted(value)

    def has(self, name: str) -> bool:
        return name in self._parameters

    def time(self, name: str, nothing: str) -> str:
        """A moment; 0 is `nothing` in particular."""
        self._said.add(name)
        return moment(self._parameters.get(name)) if self._parameters.get(name) else nothing

    def row(self, name: str) -> str:
        """The parameters of a limit, with their units."""
        self._said |= {name, "limit"}
        row, limit = self._parameters.get(name), self._parameters.get("limit")
        if row == "none" or (isinstance(row, list) and row[:1] == ["none"]):
            return f"no limit ({_quoted(row)})"
        if not (isinstance(row, list) and len(row) == 3 and isinstance(limit, str) and limit in LIMITS):
            return _quoted(row)
        amount, quantity, window = (_quoted(word) for word in row)
        return f"{LIMITS[limit].format(a=amount, q=quantity, w=window)} ({_quoted(row)})"

    def thing(self) -> str:
        """What a state is of."""
        scope = self._parameters.get("scope")
        self._said |= {"scope", "name"}
        if scope == "venue" and not self._parameters.get("name"):
            return "the WHOLE VENUE"
        return f"the {_quoted(scope)} {_quoted(self._parameters.get('name', ''))}"


def _quoted(value: Any) -> str:
    """A value on one line: control characters and what turns the line around cannot hide anything."""
    text = value if isinstance(value, str) else canonical.encode(value).decode()
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _sentence(action: Any, p: _Reader) -> str:
    maker = _SENTENCES.get(action) if isinstance(action, str) else None
    return maker(p) if maker is not None else f"Do {_quoted(action)}."


def _limit(p: _Reader) -> str:
    where = "".join(f" of {name} {p(name)}" for name in ("account", "instrument") if p.has(name))
    was = f" It is {p.row('was')} now." if p.has("was") else ""
    return f"Set the limit {p('limit')}{where} to {p.row('row')}.{was}"


def _deposit(p: _Reader) -> str:
    coins = f": {p('coins')} {p('currency')}" if p.has("coins") else ""
    return f"Credit account {p('account')} with {p('amount')} atoms of {p('currency')}{coins}."


def _deliver(p: _Reader) -> str:
    quoted = f": a price of {p('quoted')}, the index being {p('index')} when it was asked" if p.has("quoted") else ""
    return f"Deliver {p('name')}, which has expired, at {p('price')} ticks{quoted}."


_SENTENCES: dict[str, Callable[[_Reader], str]] = {
    "state": lambda p: f"Set {p.thing()} to {p.state('state')}. It is {p.state('was')} now.",
    "limit": _limit,
    "rearm": lambda p: f"Let strategy {p('strategy')} of account {p('account')} trade again.",
    "key.create": lambda p: (
        f"Give account {p('account')} a new trading key {p('id')} named {p('name')} with rights {p('rights')},"
        f" usable from {p.time('not_before', 'now on')} until {p.time('expires', 'it is revoked')},"
        f" from {p('addresses') if p.has('addresses') and p('addresses') != '[]' else 'any address'}."
    ),
    "key.rotate": lambda p: (
        f"Give the trading key {p('id')} a new secret; the old one stays good for {p('overlap_s')} s."
    ),
    "deposit": _deposit,
    "tier": lambda p: f"Set fee tier {p('tier')}, {p('fee_class')}: maker {p('maker')}, taker {p('taker')} millionths.",
    "currency": lambda p: f"Let accounts hold {p('name')}, of which an atom is 10^-{p('decimals')}.",
    "deliver": _deliver,
    "rules": lambda p: (
        f"Go on under rules {p('rules')} instead of {p('was')}: what commands do from then on. There is no way back."
    ),
    "margin": lambda p: (
        f"Let version {p('version')} of the margin parameters take effect at {p.time('effective', 'now')}, owned by"
        f" {p('owner')}, in the place of version {p('base')}. It sets {p('changes')}. Validated by"
        f" {p('validated_by')}: {p('evidence')}. Impact, before and after: {p('impact')}."
    ),
    "margin.rollback": lambda p: (
        f"Go back to version {p('version')} of the margin parameters from version {p('was')},"
        f" which is {p('standing')}, at once."
    ),
    "instrument": lambda p: f"List {p('name')} under the specification {p('spec')} and the units {p('units')}.",
    "operator.add": lambda p: f"Let {p('person')} into the operations door as {p('role')}.",
    "approver.add": lambda p: f"Let {p('person')} approve as {p('role')}, with the key {p('key')}.",
    "approver.replace": lambda p: f"Replace the key of the approver {p('person')} by {p('key')}.",
    "approver.remove": lambda p: f"Take the right to approve from {p('person')}.",
    "approvers.needed": lambda p: (
        f"Let {p('needed')} people's signatures be needed from now on, instead of {p('was')}."
    ),
    "break_glass.register": lambda p: f"Register the sealed break-glass key {p('key')}, good once for any state.",
}
