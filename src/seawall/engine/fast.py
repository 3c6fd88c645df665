"""The fast engine: the reference's fold in Numba kernels over structured arrays.

Python keeps the arrays (`fast_memory`), makes them larger when a kernel asks, and folds the rare commands
(`fast_rare`); the kernels fold the rest. Same interface and same events as `reference.Reference`.
"""

from typing import Any, Final

import numpy as np

from seawall.engine.fast_rare import Rare
from seawall.engine.kernels import layout as at
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.publication import INITIAL, MAINTENANCE, ROWS
from seawall.vocabulary.records import EVENT, GROUPS, SYSTEM_ACCOUNTS, Commands, Events, OrderType, Status, Watched

_C: Final = at.CURRENCIES_MAX
_EVENT_BYTES: Final = EVENT.itemsize
_POSITION: Final = ("quantity", "cash", "open_buy", "open_sell", "window_start", "window_price")
_PROTECTION: Final = ("quantity", "delta", "vega", "window", "freeze", "frozen", "quarter")


class Fast(Rare):
    """The fold, fast. `step` takes the next commands and returns their events; the rest are looks at the state."""

    def step(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Fold `commands` (COMMAND, consecutive seq) with their attachments, concatenated; return EVENT records.

        Raises InputError, with nothing changed, if the seqs do not follow or the attachments do not fit.
        """
        try:
            count = self._fold(self._header, commands, len(attachments))
        except TypeError:  # the kernels are compiled for contiguous arrays only
            commands = np.array(commands)
            count = self._fold(self._header, commands, len(attachments))
        if count >= 0:
            return np.ndarray(count, EVENT, bytearray(self._event_bytes[: count * _EVENT_BYTES]))
        return self._step_on(count, commands, attachments)

    def _step_on(self, code: int, commands: Commands, attachments: bytes) -> Events:
        """The rest of a step whose kernel came back early."""
        h = self._header
        parts = bytearray()
        offsets = np.concatenate(([0], np.cumsum(commands["attachment"])))
        while code < 0:
            if code == at.BAD_SEQ:
                raise InputError("seq", commands["seq"][:1].tolist(), f"must follow {h[at.SEQ]} one by one")
            if code == at.BAD_SIZE:
                rule = f"must be the {int(offsets[-1])} bytes that the commands state"
                raise InputError("attachment", len(attachments), rule)
            if code == at.BAD_CHAIN:
                raise InputError("flags", int(commands["flags"][-1]), "must not link the last command of a batch")
            if code == at.FULL:
                parts += self._event_bytes[: int(h[at.EVENTS]) * _EVENT_BYTES]
                h[at.EVENTS] = 0
            elif code == at.GROW:
                self._grow()
            else:
                index = int(h[at.AT]) - 1
                self._rare(commands[index], attachments[offsets[index] : offsets[index + 1]])
            code = self._fold(h, commands, at.GO_ON)
        parts += self._event_bytes[: code * _EVENT_BYTES]
        return np.ndarray(len(parts) // _EVENT_BYTES, EVENT, parts)

    # -- looks at the state ----------------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        """The last command folded."""
        return int(self._header[at.SEQ])

    @property
    def clock(self) -> int:
        """Nanoseconds: the latest stamp seen."""
        return int(self._header[at.CLOCK])

    def margin(self, account: int) -> dict[str, int]:
        """Equity, initial and maintenance requirement, excess of an account, in value atoms."""
        entry = self._arrays["accounts"][account]
        equity = int(self.kernels.equity(self._header, account))
        rows = [0] * ROWS
        rows[INITIAL] = int(entry["scenario_initial"] + entry["charge_initial"] + entry["reserve"])
        rows[MAINTENANCE] = int(entry["scenario_maintenance"] + entry["charge_maintenance"] + entry["reserve"])
        return {
            "equity": equity,
            "initial": rows[INITIAL],
            "maintenance": rows[MAINTENANCE],
            "requirement": max(rows),
            "excess": equity - max(rows),
        }

    def account_view(self, account: int) -> dict[str, Any]:
        """What an account is told of its money, as `Reference.account_view`; cheap, whatever else the venue holds."""
        entry = self._arrays["accounts"][account]
        positions = self._arrays["positions"]
        held = [positions[p] for p in self._chain(int(entry["first_position"]), "positions", "next_position")]
        return {
            "balance": self._arrays["balances"][account * _C : (account + 1) * _C].tolist(),
            "positions": {
                int(p["instrument"]): tuple(int(p[name]) for name in _POSITION[:4])
                for p in sorted(held, key=lambda p: int(p["instrument"]))
            },
            "blocks": self._blocks_of(int(entry["first_margin"])),
            "reserve": int(entry["reserve"]),
            "split": int(entry["split"]),
            **self.margin(account),
        }

    def counts(self) -> dict[str, int]:
        """How many orders and positions are live."""
        return {"orders": int(self._header[at.ORDERS_LIVE]), "positions": int(self._header[at.POSITIONS_LIVE])}

    def holders(self, instrument: int) -> int:
        """How many accounts have a position record in an instrument, flat ones among them."""
        return int((self._live_positions()["instrument"] == instrument).sum())

    def conserved(self) -> bool:
        """Whether money sums to net deposits in each currency and positions to zero in each instrument."""
        held = self._live_positions()
        quantities = np.zeros(len(self.catalogue.specs), np.int64)
        np.add.at(quantities, held["instrument"], held["quantity"])
        totals = self._arrays["balances"].reshape(-1, _C)[: int(self._header[at.ACCOUNTS])].sum(axis=0)
        currencies = np.array([spec.currency for spec in self.catalogue.specs], np.int64)
        np.add.at(totals, currencies[held["instrument"]], held["cash"])
        return not quantities.any() and totals.tolist() == self._arrays["deposits"].tolist()

    def state(self) -> dict[str, Any]:
        """Everything that later events depend on, in the canonical form of `Reference.state`."""
        self._hear_of_halts()
        return {
            "seq": self.seq,
            "clock": self.clock,
            "version": self.catalogue.version,
            "net_deposits": self._arrays["deposits"].tolist(),
            "accounts": [self._account_state(number) for number in range(int(self._header[at.ACCOUNTS]))],
            "listings": [self._listing_state(number) for number in range(int(self._header[at.INSTRUMENTS]))],
            **self.catalogue.state_values(),
        }

    def _account_state(self, number: int) -> dict[str, Any]:
        entry, orders = self._arrays["accounts"][number], self._arrays["orders"]
        limits = self._arrays["limits"][number]
        held = self._live_positions()
        held = np.sort(held[held["account"] == number], order="instrument")
        kept = 2 * bounds.CLIENT_IDS_KEPT
        ids = self._arrays["client_ids"][number * kept : (number + 1) * kept].reshape(-1, 2)
        ids = np.roll(ids, -int(entry["client_next"]), axis=0)
        strategies = self._arrays["strategies"][number * bounds.STRATEGIES : (number + 1) * bounds.STRATEGIES]
        group = entry["role"] in GROUPS
        return {
            "tier": int(entry["tier"]) if number >= SYSTEM_ACCOUNTS else -1,
            "split": int(entry["split"]),
            "balance": self._arrays["balances"][number * _C : (number + 1) * _C].tolist(),
            "positions": {int(p["instrument"]): tuple(int(p[name]) for name in _POSITION) for p in held},
            "orders": [int(orders[o]["id"]) for o in self._chain(int(entry["oldest"][at.OPEN]), "orders", "newer")],
            "waiting": [int(orders[o]["id"]) for o in self._chain(int(entry["oldest"][at.WAITING]), "orders", "newer")],
            "client_ids": [(a, b) for a, b in ids.tolist() if a],
            "blocks": {} if group else self._blocks_of(int(entry["first_margin"])),
            "group": self._group_state(number) if group else {},
            "due": [int(limits["due_message"]), int(limits["due_cancel"])],
            "strategies": strategies.tolist(),
            "watched": (
                *(int(entry["unknown"]), int(limits["highest"]), int(limits["drops"])),
                *(bool(entry["restricted"]), int(limits["dead_man"])),
            ),
            "rising": (int(limits["rises"]), int(limits["rising"]) if limits["rises"] else 0),
            "open_notional": int(entry["open_notional"]),
            "protections": self._protections_of(int(entry["first_protection"])),
            **self.margin(number),
        }

    def _group_state(self, number: int) -> dict[str, Any]:
        sums = self._arrays["positions"][: int(self._header[at.USED_POSITIONS])]
        sums = sums[(sums["live"] == 2) & (sums["account"] == number)]
        held = {int(p["instrument"]): tuple(int(p[n]) for n in ("quantity", "open_buy", "open_sell")) for p in sums}
        margins = self._arrays["margins"]
        deltas = {
            int(margins[m]["block"]): tuple(int(margins[m][f"{name}_delta"]) for name in ("net", "up", "down"))
            for m in self._chain(int(self._arrays["accounts"][number]["first_margin"]), "margins", "next")
        }
        return {
            "held": {instrument: lots for instrument, lots in sorted(held.items()) if any(lots)},
            "deltas": {block: values for block, values in sorted(deltas.items()) if any(values)},
        }

    def _protections_of(self, first: int) -> dict[int, Any]:
        rows = [self._arrays["protections"][index] for index in self._chain(first, "protections", "next")]
        return {
            int(row["block"]): [*(int(row[name]) for name in _PROTECTION), row["sums"].tolist()]
            for row in sorted(rows, key=lambda row: int(row["block"]))
        }

    def _chain(self, first: int, pool: str, link: str) -> list[int]:
        """The records of a linked list from `first` on."""
        chain = []
        while first >= 0:
            chain.append(first)
            first = int(self._arrays[pool][first][link])
        return chain

    def _blocks_of(self, first: int) -> dict[int, Any]:
        blocks = {}
        for m in self._chain(first, "margins", "next"):
            margin = self._arrays["margins"][m]
            number = int(margin["block"])
            count = int(self._arrays["blocks"][number]["scenarios"])
            start = m * int(self._header[at.STRIDE])
            lists = [self._arrays["scenarios"][start : start + count].tolist()]
            for kind in ("net", "up", "down", "gross"):
                lists.append([int(margin[f"{kind}_delta"]), int(margin[f"{kind}_vega"])])
            if any(any(numbers) for numbers in lists):
                blocks[number] = lists
        return dict(sorted(blocks.items()))

    def _listing_state(self, number: int) -> dict[str, Any]:
        row = self._arrays["instruments"][number]
        orders = self._arrays["orders"]
        mine: list[int] = np.flatnonzero((orders["id"] != 0) & (orders["instrument"] == number)).tolist()
        holders = self._chain(int(row["first_holder"]), "positions", "next_holder")
        upstream = [o for o in mine if orders[o]["status"] >= Status.PENDING]
        booked = [o for o in mine if orders[o]["status"] == Status.RESTING]
        waiting = [o for o in mine if orders[o]["status"] == Status.WAITING]
        return {
            "expired": bool(row["expired"]),
            "capped": bool(row["capped"]),
            "holders": [int(self._arrays["positions"][p]["account"]) for p in holders],
            "bids": self._levels_of([o for o in booked if orders[o]["side"] > 0]),
            "asks": self._levels_of([o for o in booked if orders[o]["side"] < 0]),
            "waiting": {
                f"{watch} {rising}": self._levels_of([o for o in waiting if self._waits(o) == (watch, rising)])
                for watch in Watched
                for rising in (False, True)
            },
            "upstream": (
                int(row["upstream"]),
                [self._order_state(o) for o in sorted(upstream, key=lambda o: int(orders[o]["id"]))],
            ),
            "prices": [int(row[name]) for name in ("mark", "index", "last")],
            "times": (int(row["index_at"]), int(row["published_at"])),
            "velocity": (int(row["window_start"]), int(row["window_price"]), int(row["moves"])),
            "open_interest": int(row["open_interest"]),
        }

    def _waits(self, order: int) -> tuple[int, bool]:
        """(watched price, rising) of a stop."""
        more = self._arrays["more"][order]
        takes = more["type"] in (OrderType.TAKE_LIMIT, OrderType.TAKE_MARKET)
        return int(more["watch"]), bool((self._arrays["orders"][order]["side"] > 0) != takes)

    def _levels_of(self, mine: list[int]) -> list[Any]:
        levels = self._arrays["levels"]
        found = sorted(
            {(int(levels[level]["price"]), level) for level in self._arrays["orders"]["level"][mine].tolist()}
        )
        return [
            [self._order_state(o) for o in self._chain(int(levels[level]["head"]), "orders", "next")]
            for _, level in found
        ]

    def _order_state(self, o: int) -> tuple[int, ...]:
        order, more = self._arrays["orders"][o], np.zeros(1, at.MORE)[0]
        if order["flags"] & at.HAS_MORE:
            more = self._arrays["more"][o]
        rates = [int(order[name]) for name in ("fee_accrued", "fee_posted", "maker_rate", "taker_rate")]
        first = (int(order["id"]), int(order["price"]), int(order["remaining"]), int(order["filled"]), *rates)
        form = (int(more["type"]), int(more["tif"]), int(order["flags"]) & 0xFF, int(more["watch"]))
        marks = (int(more["self_match"]), int(order["strategy"]), int(more["label"]))
        sizes = (int(more["display"]), int(order["shown"]), int(more["done"]), int(more["trigger"]))
        return (*first, *form, *marks, *sizes, int(more["distance"]), int(more["until"]), int(order["status"]))
