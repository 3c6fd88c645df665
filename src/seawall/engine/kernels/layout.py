"""Memory layout of the fast engine: one header of int64 that holds scalars and the address of every array.

A kernel gets the header alone (each further array argument would cost 0.18 microseconds a call) and rebuilds the
views it needs from the addresses, which is free once compiled. Indices of -1 mean none. Widths: quantities, prices
and money are int64; ids and links int32 (bounds: 2^20 accounts, 2^14 instruments, 2^31 records in a pool).
"""

from typing import Final

import numpy as np

from seawall.vocabulary import bounds

(
    A_ACCOUNTS,
    A_BALANCES,  # (account, currency): cash
    A_ATOMS,  # (account, currency): cash and counted session gains
    A_INSTRUMENTS,
    A_BLOCKS,
    A_CHARGES,  # (instrument, row)
    A_BLOCK_CHARGES,  # (block, exposure, row)
    A_DEPOSITS,  # net deposits by currency
    A_TIERS,  # (tier, fee class, maker | taker)
    A_RATES,  # (currency, gain | loss)
    A_POSITIONS,
    A_MARGINS,
    A_SCENARIOS,  # (margin, scenario): V + W
    A_RISK,  # (instrument, scenario): u
    A_ORDERS,
    A_LEVELS,
    A_NODES,
    A_ORDER_TABLE,  # (slot, key | value)
    A_POSITION_TABLE,
    A_LEVEL_TABLE,
    A_CLIENT_IDS,  # (account, kept, client id | order id)
    A_EVENTS,
    SEQ,
    CLOCK,
    AT,  # index of the next command of the batch
    EVENTS,  # events in the buffer
    EVENT_ROOM,
    VENUE,
    VERSION,
    CURRENCIES,
    ACCOUNTS,
    INSTRUMENTS,
    ORDER_MASK,  # slots - 1 of the order table
    POSITION_MASK,
    LEVEL_MASK,
    ORDERS_LIVE,
    POSITIONS_LIVE,
    LEVELS_LIVE,
    PENDING,  # the task that must finish before the next command
    CURSOR,
    CURSOR_2,
    RESIDUE,
    CALL,  # account in margin call, or -1
    TAKER,  # order being matched
    IMMEDIATE,
    CLEARING,  # reason of the cancels in progress
    GATE_OFF,  # 1: the margin check is skipped, for `bench` to measure its cost
    STRIDE,  # words from one row of scenarios to the next, here and in the risk arrays
    ROOM_ORDERS,  # capacity of each pool, then how much of it was ever used, then the head of its free list
    ROOM_POSITIONS,
    ROOM_MARGINS,
    ROOM_LEVELS,
    ROOM_NODES,
    USED_ORDERS,
    USED_POSITIONS,
    USED_MARGINS,
    USED_LEVELS,
    USED_NODES,
    FREE_ORDERS,
    FREE_POSITIONS,
    FREE_MARGINS,
    FREE_LEVELS,
    FREE_NODES,
    HEADER,
) = range(64)

NOTHING, MATCH, SWEEP, CLEAR, CLEAR_ACCOUNT, FUND, SETTLE, DELIVER = range(8)
"""Tasks."""

FULL: Final = -1
ADMIN: Final = -2
GROW: Final = -3
BAD_SEQ: Final = -4
BAD_SIZE: Final = -5
"""What the fold returns instead of a count of events."""

CURRENCIES_MAX: Final = bounds.CURRENCIES_MAX


def _record(wide: str, narrow: str = "") -> np.dtype:
    fields = [(name, "<i8") for name in wide.split()] + [(name, "<i4") for name in narrow.split()]
    if len(narrow.split()) % 2:
        fields.append(("pad", "<i4"))
    return np.dtype(fields)


ACCOUNT: Final = _record(
    "scenario_initial scenario_maintenance charge_initial charge_maintenance reserve",
    "tier open_orders oldest newest first_position last_position first_margin client_next",
)

INSTRUMENT: Final = _record(
    "multiplier price_min price_max quantity_max expiry largest_position strike delivery_multiplier"
    " mark weight delta vega gain_cap position_bound",
    "product form currency block option_type delivery_form fee_class inexact published expired"
    " scenarios maintenance charged"
    " trie_depth bid_root ask_root best_bid best_ask first_holder last_holder",
)

BLOCK: Final = _record("", "scenarios charged touched")

CHARGE: Final = np.dtype([("lines", "<i8", (bounds.CHARGE_LINES_MAX + 1, 2))])
"""(rate, intercept) of each line, ended by a rate of 0: flat lines never rise above the charge's floor of 0."""

POSITION: Final = _record(
    "quantity cash open_buy open_sell gain charge_initial charge_maintenance",
    "account instrument margin live next_position previous_position next_holder",
)

MARGIN: Final = _record(
    "initial maintenance charge_initial charge_maintenance"
    " net_delta up_delta down_delta gross_delta net_vega up_vega down_vega gross_vega",
    "account block next pad_",
)

ORDER: Final = _record(
    "id price remaining filled fee_accrued fee_posted client_id fixed",
    "account instrument side maker_rate taker_rate position level next previous older newer",
)

LEVEL: Final = _record("price", "head tail")

NODE: Final = np.dtype([("bits", "<i8"), ("child", "<i4", (64,))])

ACCOUNT_BYTES: Final = ACCOUNT.itemsize
INSTRUMENT_BYTES: Final = INSTRUMENT.itemsize
CHARGE_BYTES: Final = CHARGE.itemsize
POSITION_BYTES: Final = POSITION.itemsize
MARGIN_BYTES: Final = MARGIN.itemsize
ORDER_BYTES: Final = ORDER.itemsize
LEVEL_BYTES: Final = LEVEL.itemsize
