"""What all accounts together hold, by underlying: GET /exposure. Several doors' answers add up, being in coins.

Delta of a future is its size in coins, of an option its size times Black's delta at the mark volatility; the coin
premium is not deducted. `gross` adds the sizes of what moves with the underlying without regard to sign. `bids` and
`asks` are what delta would move by if every open order that adds to it, or takes from it, were filled.
"""

from functools import partial
from typing import Any, Final

from seawall.api.listing import Listing
from seawall.api.operations.operations import Operations
from seawall.api.portfolio import USD, coins_of, greeks_of
from seawall.api.view import View
from seawall.vocabulary.records import SYSTEM_ACCOUNTS

AT_ONCE: Final = 100
"""Accounts whose money is looked at between two groups of the writer."""

_PARTS = ("delta", "gross", "bids", "asks")


async def exposure(operations: Operations) -> dict[str, Any]:
    """By underlying and account, in coins; money by account, in dollars. Raises OutcomeUnknown for a dead writer."""
    view, engine = operations.service.view, operations.service.node.fold.engine
    upstream = operations.upstream() if operations.upstream is not None else {}
    underlyings: dict[str, dict[str, Any]] = {}
    seen: set[int] = set()
    for (account, instrument), lots in view.positions.items():
        if lots and account >= SYSTEM_ACCOUNTS:
            _add(view, underlyings, account, view.listings[instrument], lots, 0)
            seen.add(account)
    for number, client in view.clients.items():
        for order in client.open.values():
            _add(view, underlyings, number, view.listings[order.instrument], order.remaining, order.side)
            seen.add(number)
    money: dict[int, Any] = {}
    numbers = sorted(seen)
    for at in range(0, len(numbers), AT_ONCE):
        money |= await operations.writer.look(partial(_money, engine, numbers[at : at + AT_ONCE]))
    accounts = {
        view.client(number).name: {part: row[part] / USD for part in ("equity", "initial", "maintenance")}
        for number, row in money.items()
    }
    return {
        "venue": operations.venue,
        "of": upstream.get("url", ""),
        "time": operations.now_ms,
        "underlyings": dict(sorted(underlyings.items())),
        "accounts": accounts,
    }


def _money(engine: Any, accounts: list[int]) -> dict[int, Any]:
    """In the writer's thread: short."""
    return {number: engine.account_view(number) for number in accounts}


def _add(
    view: View, underlyings: dict[str, dict[str, Any]], account: int, listing: Listing, lots: int, side: int
) -> None:
    """A position (side 0), or an open order of a side."""
    size = coins_of(listing, lots, view.marks.get(listing.number, 0))
    delta = greeks_of(view, listing, size)["delta"]
    index = view.index_prices.get(listing.index, 0.0)
    row = underlyings.setdefault(listing.base, {"index_usd": index, **dict.fromkeys(_PARTS, 0.0), "accounts": {}})
    name = view.client(account).name
    own = row["accounts"].setdefault(name, dict.fromkeys(_PARTS, 0.0))
    for sums in (row, own):
        if side:
            sums["bids" if delta * side > 0 else "asks"] += delta * side
        else:
            sums["delta"] += delta
            sums["gross"] += abs(size)
