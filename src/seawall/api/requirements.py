"""The engine's margin formulas on the side: what an account, an order or a portfolio that is only imagined would need.

The risk arrays are those last published, decoded when they are first asked for; the formulas are the reference
engine's own, so a number here is the number the gate would use.
"""

from collections.abc import Iterable
from typing import Any, Final

from seawall.api.listing import Listing
from seawall.engine import formulas
from seawall.engine.catalogue import gains_capped
from seawall.engine.rules.margin import Account, BlockMargin, Book, Order, Position
from seawall.engine.rules.margin import Listing as Risk
from seawall.vocabulary import bounds
from seawall.vocabulary.publication import EXPOSURES, INITIAL, MAINTENANCE, ROWS, BlockRisk, InstrumentRisk
from seawall.vocabulary.records import RULES_FOLDED

Rows = tuple[int, int]
"""Initial and maintenance requirement, in value atoms."""

_NONE: Final[Rows] = (0, 0)


class Requirements:
    """What was published last of each block and instrument, and the formulas over it."""

    def __init__(self, listings: dict[int, Listing], rules: int = max(RULES_FOLDED)) -> None:
        self._listings = listings
        self.rules = rules  # in force
        self._by_rules: dict[int, int] = {}  # of each instrument, those it was published under
        self._book = Book()
        self._risks: dict[int, Risk] = {}
        self._book.listings = self._risks  # type: ignore[assignment]  # by number: the formulas only look them up
        self._words: dict[int, tuple[list[int], int, list[int]]] = {}
        self._blocks: dict[int, tuple[list[int], int, list[int]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What was published; what was decoded of it is decoded again."""
        return {
            "_listings": self._listings,
            "rules": self.rules,
            "_by_rules": self._by_rules,
            "_words": self._words,
            "_blocks": self._blocks,
            "rates": (self._book.rate_gain, self._book.rate_loss),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_listings"])  # type: ignore[misc]
        self._book.rate_gain, self._book.rate_loss = state.pop("rates")
        self.__dict__.update(state)

    def publish(self, words: list[int]) -> None:
        """Take a publication that the engine took, as the int64 words of its attachment."""
        currencies, blocks, charges, instruments = words[1:5]
        at = 5
        for _ in range(currencies):
            self._book.rate_gain[words[at]], self._book.rate_loss[words[at]] = words[at + 1], words[at + 2]
            at += 3
        first_block = at
        at += (3 + EXPOSURES * ROWS) * blocks
        charged = []
        for _ in range(charges):
            charged.append(at)
            at += 1 + 2 * words[at]
        for index in range(blocks):
            place = first_block + index * (3 + EXPOSURES * ROWS)
            self._blocks[words[place]] = (words, place, charged)
            self._book.blocks.pop(words[place], None)
        for _ in range(instruments):
            self._words[words[at]], self._by_rules[words[at]] = (words, at, charged), self.rules
            self._risks.pop(words[at], None)
            at += 10 + words[at + 9]

    def known(self, instrument: int) -> bool:
        """Whether risk of an instrument was published."""
        return instrument in self._words

    def risk(self, instrument: int) -> InstrumentRisk:
        """What was last published of an instrument."""
        self._ready(instrument)
        risk = self._risks[instrument].risk
        assert risk is not None
        return risk

    def scenarios(self, block: int) -> int:
        """How many scenarios a block has."""
        self._ready_block(block)
        return self._book.blocks[block].scenarios

    def rate(self, currency: int) -> int:
        """Value atoms of an owned atom, times 2^20; at least 1, so that it may divide."""
        return max(1, self._book.rate_gain[currency])

    # -- accounts ----------------------------------------------------------------------------------------------------

    def account(self, seen: dict[str, Any], chosen: Iterable[int] | None = None) -> Account:
        """A copy of an account as the engine showed it (`account_view`), or of some of its blocks."""
        made = Account(0)
        made.split = seen["split"]
        blocks = None if chosen is None else set(chosen)
        made.balance = list(seen["balance"])
        for instrument, held in seen["positions"].items():
            if self.known(instrument) and (blocks is None or self._listings[instrument].spec.block in blocks):
                self._ready(instrument)
                made.positions[instrument] = Position(*held)
        for number, (summed, *exposures) in seen["blocks"].items():
            if blocks is None or number in blocks:
                self._ready_block(number)
                margin = made.blocks[number] = BlockMargin()
                margin.v[: len(summed)] = summed
                margin.net, margin.up, margin.down, margin.gross = (list(pair) for pair in exposures)
        return made

    def change(self, account: Account, instrument: int, lots: int) -> None:
        """Let an imagined account hold `lots` of an instrument."""
        self._ready(instrument)
        if instrument in account.positions:
            self._book.add_position(account, instrument, -1)
        else:
            account.positions[instrument] = Position()
        account.positions[instrument].quantity = lots
        self._book.add_position(account, instrument, +1)

    def rows(self, account: Account) -> Rows:
        """Its requirement without the reserves of orders."""
        return self._book.row(account, INITIAL), self._book.row(account, MAINTENANCE)

    def equity(self, account: Account) -> int:
        """Its equity, in value atoms."""
        return self._book.equity(account)

    def of_position(self, instrument: int, lots: int) -> Rows:
        """What a position needs by itself, of an owner of one account."""
        if not lots or not self.known(instrument):
            return _NONE
        account = Account(0)
        self.change(account, instrument, lots)
        return self.rows(account)

    def of_order(self, instrument: int, side: int, lots: int, price: int, rates: tuple[int, int]) -> Rows:
        """What an open order needs by itself, of an owner of one account, its reserve included.

        `rates` are the maker and taker fee in millionths.
        """
        account = Account(0)
        self.open(account, instrument, side, lots, price, rates)
        return self.rows(account)

    def open(self, account: Account, instrument: int, side: int, lots: int, price: int, rates: tuple[int, int]) -> None:
        """Let an imagined account have another open order; from then on its rows have the reserves of orders, too."""
        self._ready(instrument)
        account.positions.setdefault(instrument, Position())
        number = len(account.orders) + 1
        self._book.open(account, Order(number, 0, instrument, side, price, lots, 0, *rates))

    def imagine(self, seen: dict[str, Any], wanted: dict[int, int], *, add: bool) -> dict[str, Any]:
        """An account as it would be seen with other positions, entered at the marks, its equity the same.

        With `add` they come to what it holds and has open, which is in `before`; else they are all there is, and what
        it held is cash.
        """
        held = {number: position for number, position in seen["positions"].items() if self.known(number)}
        account = self.account(seen)
        gains = {number: list(row) for number, row in held.items()}
        if not add:
            account = Account(0)
            account.balance, account.split = list(seen["balance"]), seen["split"]
            for number, (quantity, cash, *_) in held.items():
                account.balance[self._listings[number].spec.currency] += cash + self._value(number, quantity)
            gains = {}
        for number, lots in wanted.items():
            before = gains.setdefault(number, [0, 0, 0, 0])
            before[1] -= self._value(number, before[0] + lots) - self._value(number, before[0])
            before[0] += lots
            self.change(account, number, before[0])
        for number, row in gains.items():
            account.positions[number].cash = row[1]
        initial, maintenance = self.rows(account)
        reserve = seen["reserve"] if add else 0
        equity, requirement = self.equity(account), max(initial, maintenance) + reserve
        return {
            "balance": account.balance,
            "positions": {number: tuple(row) for number, row in gains.items()},
            "before": held if add else {},
            "blocks": {
                number: [[v + w for v, w in zip(block.v, block.w, strict=True)], *_exposures(block)]
                for number, block in account.blocks.items()
            },
            "reserve": reserve,
            "split": account.split,
            "equity": equity,
            "initial": initial + reserve,
            "maintenance": maintenance + reserve,
            "requirement": requirement,
            "excess": equity - requirement,
        }

    def _value(self, instrument: int, lots: int) -> int:
        risk = self.risk(instrument)
        return formulas.position_value(self._listings[instrument].spec, lots, risk.mark)

    # -- what was published --------------------------------------------------------------------------------------------

    def _ready(self, instrument: int) -> None:
        book = self._book
        spec = self._listings[instrument].spec
        self._ready_block(spec.block)
        if instrument in self._risks:
            return
        words, at, charged = self._words[instrument]
        number, mark, inexact, weight, delta, vega, cap, initial, maintenance, count = words[at : at + 10]
        u = tuple(words[at + 10 : at + 10 + count])
        listing = Risk(spec, instrument)
        listing.risk = InstrumentRisk(number, mark, u, inexact, weight, delta, vega, cap, (initial, maintenance))
        listing.capped = gains_capped(self._by_rules[instrument], cap)
        self._risks[instrument] = listing
        book.position_charges[instrument] = [_lines(words, charged, index) for index in (initial, maintenance)]

    def _ready_block(self, number: int) -> None:
        if number in self._book.blocks or number not in self._blocks:
            return
        words, at, charged = self._blocks[number]
        _, scenarios, maintenance, *indices = words[at : at + 3 + EXPOSURES * ROWS]
        pairs = tuple((indices[i], indices[i + 1]) for i in range(0, EXPOSURES * ROWS, ROWS))
        self._book.blocks[number] = BlockRisk(number, scenarios, maintenance, pairs)
        self._book.block_charges[number] = [[_lines(words, charged, index) for index in pair] for pair in pairs]


def _exposures(block: BlockMargin) -> list[list[int]]:
    return [list(block.net), list(block.up), list(block.down), list(block.gross)]


def _lines(words: list[int], charged: list[int], index: int) -> tuple[tuple[int, int], ...] | None:
    """The lines of a publication's charge."""
    if index < 0:
        return None
    at = charged[index]
    return tuple((words[at + 1 + 2 * line], words[at + 2 + 2 * line]) for line in range(words[at]))


def coins(value: float, rate: int) -> float:
    """Atoms of a currency that are worth `value` value atoms at a rate times 2^20."""
    return value * (1 << bounds.RATE_SHIFT) / rate
