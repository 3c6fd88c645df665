"""What another version of the margin parameters would mean for the present book: a computation, nothing is changed.

Both sides are computed by the engine's formulas from the same positions, orders and prices, so the difference is the
parameters' alone. Money is in value atoms (millionths of a dollar) as text: it goes beyond what JSON holds exactly.
"""

from typing import Any, Final, NamedTuple

from seawall.api.listing import Listing
from seawall.api.requirements import Requirements
from seawall.vocabulary.publication import INITIAL, MAINTENANCE

WORST: Final = 10


class Holding(NamedTuple):
    """An account: its name, what the engine shows of it, its resting orders (instrument, side, lots, price, fees)."""

    name: str
    seen: dict[str, Any]
    orders: list[tuple[int, int, int, int, tuple[int, int]]]


class Standing(NamedTuple):
    """Equity and requirement by row, in value atoms."""

    equity: int
    initial: int
    maintenance: int

    @property
    def excess(self) -> int:
        """Equity beyond the initial requirement."""
        return self.equity - self.initial


def impact_of(
    listings: dict[int, Listing], rules: int, before: list[int], after: list[int], holdings: list[Holding]
) -> dict[str, Any]:
    """How many accounts fall below a row, margin asked in total, and the accounts that are worst off afterwards.

    `before` and `after` are publications as words, `rules` those in force.
    """
    sides = []
    for words in (before, after):
        requirements = Requirements(listings, rules)
        requirements.publish(words)
        sides.append([standing_of(requirements, one) for one in holdings])
    pairs = list(zip(holdings, *sides, strict=True))
    worst = sorted(pairs, key=lambda pair: (pair[2].excess, pair[0].name))[:WORST]
    return {
        "accounts": len(holdings),
        "below_initial": [sum(row.equity < row.initial for row in side) for side in sides],
        "below_maintenance": [sum(row.equity < row.maintenance for row in side) for side in sides],
        "initial": [str(sum(row[1 + INITIAL] for row in side)) for side in sides],
        "maintenance": [str(sum(row[1 + MAINTENANCE] for row in side)) for side in sides],
        "worst": [
            {"account": one.name, "excess": [str(old.excess), str(new.excess)], "equity": str(new.equity)}
            for one, old, new in worst
        ],
    }


def standing_of(requirements: Requirements, holding: Holding) -> Standing:
    """An account under a publication: its positions as they are, its orders opened anew."""
    seen = holding.seen
    kept = {name: seen[name] for name in ("balance", "split")}
    account = requirements.account(kept | {"positions": {}, "blocks": {}})
    for instrument, (quantity, cash, *_) in seen["positions"].items():
        if requirements.known(instrument):
            requirements.change(account, instrument, quantity)
            account.positions[instrument].cash = cash
    for instrument, side, lots, price, fees in holding.orders:
        if requirements.known(instrument):
            requirements.open(account, instrument, side, lots, price, fees)
    initial, maintenance = requirements.rows(account)
    return Standing(requirements.equity(account), initial, maintenance)
