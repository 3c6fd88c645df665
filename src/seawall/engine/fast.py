"""The fast engine: the reference's fold in Numba kernels over structured arrays.

Python keeps the arrays, makes them larger when a kernel asks, and folds the rare catalogue commands; the kernels fold
the rest. Same interface and same events as `reference.Reference`.
"""

from typing import Any, Final

import numpy as np

from seawall.engine.catalogue import Catalogue, Refused
from seawall.engine.kernels import layout as at
from seawall.engine.kernels import load
from seawall.vocabulary import bounds
from seawall.vocabulary.errors import InputError
from seawall.vocabulary.instruments import Instrument
from seawall.vocabulary.publication import EXPOSURES, INITIAL, MAINTENANCE, NO_CHARGE, ROWS, Publication
from seawall.vocabulary.reasons import Reason
from seawall.vocabulary.records import (
    EVENT,
    FLAG_UNCLEAN,
    SYSTEM_ACCOUNTS,
    Commands,
    EventKind,
    Events,
    Kind,
    VenueState,
)

_C: Final = at.CURRENCIES_MAX
_EVENT_ROOM: Final = 1 << 15

# name -> (address slot, dtype, records per unit); unit is what `capacity` counts
_ARRAYS: Final[dict[str, tuple[int, Any, int]]] = {
    "accounts": (at.A_ACCOUNTS, at.ACCOUNT, 1),
    "balances": (at.A_BALANCES, np.int64, _C),
    "atoms": (at.A_ATOMS, np.int64, _C),
    "client_ids": (at.A_CLIENT_IDS, np.int64, 2 * bounds.CLIENT_IDS_KEPT),
    "instruments": (at.A_INSTRUMENTS, at.INSTRUMENT, 1),
    "risk": (at.A_RISK, np.int64, 1),
    "blocks": (at.A_BLOCKS, at.BLOCK, 1),
    "charges": (at.A_CHARGES, at.CHARGE, ROWS),
    "block_charges": (at.A_BLOCK_CHARGES, at.CHARGE, EXPOSURES * ROWS),
    "deposits": (at.A_DEPOSITS, np.int64, 1),
    "tiers": (at.A_TIERS, np.int64, 4),
    "rates": (at.A_RATES, np.int64, 2),
    "positions": (at.A_POSITIONS, at.POSITION, 1),
    "margins": (at.A_MARGINS, at.MARGIN, 1),
    "scenarios": (at.A_SCENARIOS, np.int64, 1),
    "orders": (at.A_ORDERS, at.ORDER, 1),
    "levels": (at.A_LEVELS, at.LEVEL, 1),
    "nodes": (at.A_NODES, at.NODE, 1),
    "order_table": (at.A_ORDER_TABLE, np.int64, 2),
    "position_table": (at.A_POSITION_TABLE, np.int64, 2),
    "level_table": (at.A_LEVEL_TABLE, np.int64, 2),
    "events": (at.A_EVENTS, EVENT, 1),
}
_SPECIFIED: Final = (
    *("multiplier", "price_min", "price_max", "quantity_max", "expiry", "largest_position", "strike"),
    *("delivery_multiplier", "product", "form", "currency", "block", "option_type", "delivery_form", "fee_class"),
)
_TABLES: Final = ("order_table", "position_table", "level_table")
_POOLS: Final = ("orders", "positions", "margins", "levels", "nodes")


class Fast:
    """The fold, fast. `step` takes the next commands and returns their events; the rest are looks at the state.

    `room` is how many open orders there is memory for at once; more make it grow, which takes a moment. `gate_off`
    skips C13, the margin check: only for measuring what it costs.
    """

    def __init__(self, *, event_room: int = _EVENT_ROOM, room: int = 256, gate_off: bool = False) -> None:
        self.kernels = load()
        self.catalogue = Catalogue()
        self._arrays: dict[str, Any] = {}
        self._header = np.zeros(at.HEADER, np.int64)
        slots = 2 << room.bit_length()
        for name, count in (
            ("accounts balances atoms client_ids", 64),
            ("instruments charges", 64),
            ("blocks block_charges", bounds.BLOCKS_MAX),
            ("tiers", bounds.TIERS_MAX),
            ("rates deposits", bounds.CURRENCIES_MAX),
            ("positions margins orders levels nodes", room),
            (" ".join(_TABLES), slots),
            ("events", event_room),
        ):
            for part in name.split():
                self._resize(part, count)
        self._restride(1)
        h = self._header
        h[at.EVENT_ROOM] = event_room
        h[at.ORDER_MASK : at.ORDER_MASK + len(_TABLES)] = slots - 1
        h[at.ROOM_ORDERS : at.ROOM_NODES + 1] = room
        h[at.FREE_ORDERS : at.FREE_NODES + 1] = -1
        h[at.CALL] = -1
        h[at.GATE_OFF] = gate_off
        for _ in range(SYSTEM_ACCOUNTS):
            self._add_account(0)

    def step(self, commands: Commands, attachments: bytes = b"") -> Events:
        """Fold `commands` (COMMAND, consecutive seq) with their attachments, concatenated; return EVENT records.

        Raises InputError, with nothing changed, if the seqs do not follow or the attachments do not fit.
        """
        flags = commands.flags
        if not (flags.writeable and flags.c_contiguous):  # the kernels are compiled for one kind of array only
            commands = np.array(commands)
        h = self._header
        h[at.AT] = h[at.EVENTS] = 0
        count = self.kernels.fold(h, commands, len(attachments))
        if count >= 0:
            events: Events = self._arrays["events"][:count].copy()
            return events
        return self._step_on(count, commands, attachments)

    def _step_on(self, code: int, commands: Commands, attachments: bytes) -> Events:
        """The rest of a step whose kernel came back early."""
        h = self._header
        parts: list[Events] = []
        offsets = np.concatenate(([0], np.cumsum(commands["attachment"])))
        while code < 0:
            if code == at.BAD_SEQ:
                raise InputError("seq", commands["seq"][:1].tolist(), f"must follow {h[at.SEQ]} one by one")
            if code == at.BAD_SIZE:
                rule = f"must be the {int(offsets[-1])} bytes that the commands state"
                raise InputError("attachment", len(attachments), rule)
            if code == at.FULL:
                parts.append(self._drain())
            elif code == at.GROW:
                self._grow()
            else:
                index = int(h[at.AT])
                self._rare(commands[index], attachments[offsets[index] : offsets[index + 1]])
            code = self.kernels.fold(h, commands, len(attachments))
        parts.append(self._drain())
        return np.concatenate(parts)

    def _drain(self) -> Events:
        count = int(self._header[at.EVENTS])
        self._header[at.EVENTS] = 0
        events: Events = self._arrays["events"][:count].copy()
        return events

    # -- memory ----------------------------------------------------------------------------------------------------

    def _resize(self, name: str, count: int) -> None:
        """Room for `count` units; what was there is kept, what is new is zero."""
        slot, dtype, unit = _ARRAYS[name]
        array = np.zeros(count * unit, dtype)
        old = self._arrays.get(name)
        if old is not None:
            array[: len(old)] = old
        self._arrays[name] = array
        self._header[slot] = array.ctypes.data

    def _ensure(self, names: str, count: int) -> None:
        """Room for at least `count` units, doubling."""
        for name in names.split():
            room = len(self._arrays[name]) // _ARRAYS[name][2]
            if room < count:
                self._resize(name, max(count, 2 * room))

    def _restride(self, stride: int) -> None:
        """Rows of `stride` words for every margin record and instrument there is room for."""
        old = int(self._header[at.STRIDE])
        for name, of in (("scenarios", "margins"), ("risk", "instruments")):
            rows = np.zeros((len(self._arrays[of]), stride), np.int64)
            if name in self._arrays:
                kept = self._arrays[name].reshape(-1, old)
                rows[: len(kept), : min(old, stride)] = kept[:, : min(old, stride)]
            self._arrays[name] = rows.reshape(-1)
            self._header[_ARRAYS[name][0]] = self._arrays[name].ctypes.data
        self._header[at.STRIDE] = stride

    def _grow(self) -> None:
        """Double every pool and table that is nearly full."""
        h = self._header
        for pool, name in enumerate(_POOLS):
            room = int(h[at.ROOM_ORDERS + pool])
            if room - h[at.USED_ORDERS + pool] < 16:
                self._resize(name, 2 * room)
                h[at.ROOM_ORDERS + pool] = 2 * room
        self._restride(int(h[at.STRIDE]))
        for table, name in enumerate(_TABLES):
            slots = int(h[at.ORDER_MASK + table]) + 1
            if 2 * (h[at.ORDERS_LIVE + table] + 16) > slots - 1:
                old = self._arrays.pop(name)
                self._resize(name, 4 * slots)
                self.kernels.rehash(old, self._arrays[name], 4 * slots - 1)
                h[at.ORDER_MASK + table] = 4 * slots - 1

    # -- rare commands ---------------------------------------------------------------------------------------------

    def _rare(self, command: Any, attachment: bytes) -> None:
        """Fold one command that the kernels leave to Python."""
        h = self._header
        h[at.AT] += 1
        h[at.SEQ] = command["seq"]
        h[at.CLOCK] = max(int(h[at.CLOCK]), int(command["time"]))
        kind = int(command["kind"])
        try:
            if kind == Kind.OPENED:
                state = self.catalogue.opened(command)
                if int(command["flags"]) & FLAG_UNCLEAN:
                    self._set_state(state)
            elif kind == Kind.CURRENCY:
                currency = self.catalogue.currency(command)
                h[at.CURRENCIES] = self.catalogue.currencies
                self._emit(EventKind.DEFINED, currency=currency, a=Kind.CURRENCY)
            elif kind == Kind.INSTRUMENT:
                self._add_instrument(self.catalogue.instrument(command, attachment))
            elif kind == Kind.ACCOUNT:
                self._add_account(self.catalogue.account(command))
                self._emit(EventKind.DEFINED, account=int(h[at.ACCOUNTS]) - 1, a=Kind.ACCOUNT)
            elif kind == Kind.TIER:
                tier, fee_class = self.catalogue.tier(command)
                row = 2 * (2 * tier + fee_class)
                self._arrays["tiers"][row : row + 2] = self.catalogue.tiers[tier, fee_class]
                self._emit(EventKind.DEFINED, currency=fee_class, a=Kind.TIER, b=tier)
            elif kind == Kind.STATE:
                self._set_state(self.catalogue.state(command))
            elif kind == Kind.PUBLISH:
                self._publish(*self.catalogue.publication(command, attachment, self._largest_open))
            elif kind == Kind.EXPIRE:
                self._expire(command)
            else:
                raise Refused(Reason.UNKNOWN_KIND, kind, max(Kind))
        except Refused as refused:
            echo = {name: int(command[name]) for name in ("side", "account", "instrument", "price", "quantity")}
            if refused.instrument >= 0:
                echo["instrument"] = refused.instrument
            order_id = int(command["order_id"]) or int(h[at.SEQ])
            currency = int(command["currency"]) & 0x7FFF
            self._emit(
                EventKind.REFUSED,
                reason=refused.reason,
                order_id=order_id,
                currency=currency,
                a=refused.a,
                b=refused.b,
                **echo,
            )

    def _emit(self, kind: EventKind, **fields: int) -> None:
        event = self._arrays["events"][int(self._header[at.EVENTS]) :][:1]
        self._header[at.EVENTS] += 1
        event[:] = np.zeros(1, EVENT)
        event["seq"], event["kind"] = self._header[at.SEQ], kind
        for name, value in fields.items():
            event[name] = value

    def _set_state(self, state: VenueState) -> None:
        self._emit(EventKind.STATE, a=state, b=self.catalogue.venue)
        self.catalogue.venue = state
        self._header[at.VENUE] = state

    def _add_account(self, tier: int) -> None:
        number = int(self._header[at.ACCOUNTS])
        self._ensure("accounts balances atoms client_ids", number + 1)
        entry = self._arrays["accounts"][number]
        entry["tier"] = tier
        for link in ("oldest", "newest", "first_position", "last_position", "first_margin"):
            entry[link] = -1
        self._header[at.ACCOUNTS] = number + 1

    def _add_instrument(self, spec: Instrument) -> None:
        number = int(self._header[at.INSTRUMENTS])
        self._ensure("instruments charges", number + 1)
        self._restride(int(self._header[at.STRIDE]))
        row = self._arrays["instruments"][number]
        for name in _SPECIFIED:
            row[name] = getattr(spec, name)
        row["trie_depth"] = max(1, -(-spec.price_max.bit_length() // 6))
        for name in ["bid_root", "ask_root", "best_bid", "best_ask", "first_holder", "last_holder"]:
            row[name] = -1
        self._header[at.INSTRUMENTS] = number + 1
        self._emit(EventKind.DEFINED, instrument=number, a=Kind.INSTRUMENT)

    def _largest_open(self) -> list[int]:
        held = self._live_positions()
        largest = np.zeros(len(self.catalogue.specs), np.int64)
        np.maximum.at(largest, held["instrument"], np.abs(held["quantity"]) + held["open_buy"] + held["open_sell"])
        found: list[int] = largest.tolist()
        return found

    def _publish(self, publication: Publication, limits: dict[int, int]) -> None:
        h, blocks, instruments = self._header, self._arrays["blocks"], self._arrays["instruments"]
        h[at.VERSION] = self.catalogue.version
        for rate in publication.currencies:
            self._arrays["rates"][2 * rate.currency : 2 * rate.currency + 2] = rate.rate_gain, rate.rate_loss
        blocks["touched"] = 0
        widest = max((block.scenarios for block in publication.blocks), default=1)
        if widest > h[at.STRIDE]:
            self._restride(-(-widest // 8) * 8)
        scenarios = {}
        for block in publication.blocks:
            row = blocks[block.block]
            row["touched"], row["scenarios"] = 1, block.scenarios
            row["charged"] = any(index != NO_CHARGE for pair in block.charges for index in pair)
            scenarios[block.block] = block
            start = block.block * EXPOSURES * ROWS
            for offset, index in enumerate(index for pair in block.charges for index in pair):
                self._put_charge("block_charges", start + offset, publication, index)
        for number, limit in limits.items():
            instruments[number]["position_bound"] = limit
        for risk in publication.instruments:
            row = instruments[risk.instrument]
            mine = scenarios[int(row["block"])]
            row["mark"], row["weight"], row["delta"], row["vega"] = risk.mark, risk.weight, risk.delta, risk.vega
            row["gain_cap"], row["inexact"], row["published"] = risk.gain_cap, risk.inexact, 1
            row["scenarios"], row["maintenance"] = mine.scenarios, mine.maintenance_scenarios
            row["charged"] = any(index != NO_CHARGE for index in risk.charges)
            for offset, index in enumerate(risk.charges):
                self._put_charge("charges", ROWS * risk.instrument + offset, publication, index)
            start = risk.instrument * int(h[at.STRIDE])
            self._arrays["risk"][start : start + len(risk.u)] = risk.u
        named = instruments[: int(h[at.INSTRUMENTS])]
        moved = np.isin(named["currency"], [rate.currency for rate in publication.currencies])
        blocks["touched"][named["block"][moved]] = 1
        self._emit(EventKind.PUBLISHED, a=self.catalogue.version)
        self.kernels.remark(h)
        h[at.PENDING], h[at.CURSOR] = at.SWEEP, 0

    def _put_charge(self, table: str, slot: int, publication: Publication, index: int) -> None:
        published = publication.charges[index].lines if index != NO_CHARGE else ()
        lines = [line for line in published if line[0] != 0]
        row = self._arrays[table][slot]
        row["lines"] = 0
        row["lines"][: len(lines)] = np.array(lines, np.int64).reshape(-1, 2)

    def _expire(self, command: Any) -> None:
        instrument, price = int(command["instrument"]), int(command["price"])
        self.catalogue.expire(instrument, price, self.clock, self._largest_held)
        h = self._header
        h[at.PENDING], h[at.TAKER], h[at.CURSOR_2], h[at.RESIDUE] = at.DELIVER, instrument, price, 0

    def _largest_held(self, instrument: int) -> tuple[int, int]:
        lots, cash = self.kernels.largest_held(self._header, instrument)
        return int(lots), int(cash)

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

    def _live_positions(self) -> Any:
        held = self._arrays["positions"][: int(self._header[at.USED_POSITIONS])]
        return held[held["live"] != 0]

    def state(self) -> dict[str, Any]:
        """Everything that later events depend on, in the canonical form of `Reference.state`."""
        return {
            "seq": self.seq,
            "clock": self.clock,
            "venue": (int(self.catalogue.venue), self.catalogue.crashed),
            "version": self.catalogue.version,
            "net_deposits": self._arrays["deposits"].tolist(),
            "accounts": [self._account_state(number) for number in range(int(self._header[at.ACCOUNTS]))],
            "listings": [self._listing_state(number) for number in range(int(self._header[at.INSTRUMENTS]))],
        }

    def _account_state(self, number: int) -> dict[str, Any]:
        entry, orders = self._arrays["accounts"][number], self._arrays["orders"]
        held = self._live_positions()
        held = np.sort(held[held["account"] == number], order="instrument")
        kept = 2 * bounds.CLIENT_IDS_KEPT
        ids = self._arrays["client_ids"][number * kept : (number + 1) * kept].reshape(-1, 2)
        ids = np.roll(ids, -int(entry["client_next"]), axis=0)
        return {
            "tier": int(entry["tier"]) if number >= SYSTEM_ACCOUNTS else -1,
            "balance": self._arrays["balances"][number * _C : (number + 1) * _C].tolist(),
            "positions": {
                int(p["instrument"]): tuple(int(p[name]) for name in ("quantity", "cash", "open_buy", "open_sell"))
                for p in held
            },
            "orders": [int(orders[o]["id"]) for o in self._chain(int(entry["oldest"]), "orders", "newer")],
            "client_ids": [(a, b) for a, b in ids.tolist() if a],
            "blocks": self._blocks_of(int(entry["first_margin"])),
            **self.margin(number),
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
        names = ("id", "price", "remaining", "filled", "fee_accrued", "fee_posted", "maker_rate", "taker_rate")
        mine = np.flatnonzero((orders["id"] != 0) & (orders["instrument"] == number))
        sides: dict[int, list[Any]] = {}
        for side in (1, -1):
            levels = sorted(
                {(int(orders[o]["price"]), int(orders[o]["level"])) for o in mine if orders[o]["side"] == side}
            )
            sides[side] = [
                [
                    tuple(int(orders[o][name]) for name in names)
                    for o in self._chain(int(self._arrays["levels"][level]["head"]), "orders", "next")
                ]
                for _, level in levels
            ]
        holders = self._chain(int(row["first_holder"]), "positions", "next_holder")
        return {
            "expired": bool(row["expired"]),
            "holders": [int(self._arrays["positions"][p]["account"]) for p in holders],
            "bids": sides[1],
            "asks": sides[-1],
        }
