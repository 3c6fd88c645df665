"""Memory layout of the fast engine: one header of int64 that holds scalars and the address of every array.

A kernel gets the header alone (each further array argument would cost 0.18 microseconds a call) and rebuilds the
views it needs from the addresses, which is free once compiled. Indices of -1 mean none. Widths: quantities, prices
and money are int64; ids and links int32 (bounds: 2^20 accounts, 2^14 instruments, 2^31 records in a pool).
"""

from typing import Any, Final

import numpy as np

from seawall.vocabulary import bounds

(
    A_ACCOUNTS,
    A_LIMITS,
    A_STRATEGIES,  # (account, strategy): time paid for, or NO_LIMIT: stopped
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
    A_MORE,  # beside A_ORDERS: what plain orders have not
    A_LEVELS,
    A_NODES,
    A_ORDER_TABLE,  # (slot, key | value)
    A_POSITION_TABLE,
    A_LEVEL_TABLE,
    A_PAIR_TABLE,  # (account, instrument) -> pair
    A_PAIRS,
    A_PROTECTIONS,
    A_TIMERS,  # heap of (time, key, record)
    A_LEGS,  # (leg, order | kind | position is new) of the chain under way
    A_CLIENT_IDS,  # (account, kept, client id | order id)
    A_EVENTS,
    A_COMMANDS,  # of the batch, while it is folded
    SEQ,
    CLOCK,
    COUNT,  # commands of the batch, while it is folded
    AT,  # index of the next command of the batch
    READY,  # 1: the command before AT is stamped and waits for the timers due before it
    EVENTS,  # events in the buffer
    EVENT_ROOM,
    STALL,  # why a task stopped: FULL or GROW
    RULES,
    VENUE,
    VERSION,
    CURRENCIES,
    ACCOUNTS,
    INSTRUMENTS,
    ORDER_MASK,  # slots - 1 of the order table
    POSITION_MASK,
    LEVEL_MASK,
    PAIR_MASK,
    ORDERS_LIVE,
    POSITIONS_LIVE,
    LEVELS_LIVE,
    UPSTREAM_LIVE,
    PENDING,  # the task that must finish before the next command
    CURSOR,
    CURSOR_2,
    STAGE,
    RESIDUE,
    CALL,  # account in margin call, or -1
    CLEARING,  # reason of the cancels in progress
    LABEL,  # of the cancels in progress, 0: any
    GROUP,  # account or group whose orders are being cancelled
    UNDERLYING,  # of the instruments whose orders are being cancelled, -1: any
    UPSTREAM_FROM,  # first and past-the-last instrument whose upstream orders are to be asked for next
    UPSTREAM_TO,
    TAKER,  # order being matched, and of its match:
    TIF,
    MODE,  # what it does when it meets its owner's
    OPENED,  # lots open when the match began
    DONE,  # lots filled since
    OVER,  # 1: its end was announced
    CHAIN_AT,  # legs of the chain carried out, and how many there are
    CHAIN_END,
    PACKAGE,
    CHAIN_BEFORE,
    CHAIN_NEEDED,
    CHAIN_HELD,
    BAD_LEG,
    QUEUE_HEAD,  # stops reached and not fired yet
    QUEUE_TAIL,
    PULL_HEAD,  # protections that froze and whose quotes are to be pulled
    PULL_TAIL,
    PULL_AT,  # order the pull goes on with; PULL_FRESH: it has not begun
    FELL,
    FELL_LIMIT,
    HALTS,  # states that changed by themselves since Python looked
    D_REASON,  # of the check that failed last: reason, its numbers, and what it names instead of the order's
    D_A,
    D_B,
    D_INSTRUMENT,
    D_PRICE,
    D_ACCOUNT,
    STALE,
    DIVERGENCE,
    GATE_OFF,  # 1: the margin check is skipped, for `bench` to measure its cost
    STRIDE,  # words from one row of scenarios to the next, here and in the risk arrays
    TIMERS_USED,
    ROOM_TIMERS,
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
    SCRATCH,  # CURRENCIES_MAX words
) = range(114)

HEADER: Final = SCRATCH + bounds.CURRENCIES_MAX

NOTHING, MATCH, SWEEP, CLEAR, CLEAR_ACCOUNT, FUND, SETTLE, DELIVER = range(8)
TIMERS, FIRE, CHAIN, CHAIN_REFUSED, PULL, CALL_ONE = range(8, 14)
"""Tasks."""

PULL_FRESH: Final = -2

GO_ON: Final = -1
"""Instead of a size of attachments: the fold goes on where it came back early."""

FULL: Final = -1
ADMIN: Final = -2
GROW: Final = -3
BAD_SEQ: Final = -4
BAD_SIZE: Final = -5
BAD_CHAIN: Final = -6
"""What the fold returns instead of a count of events."""

CURRENCIES_MAX: Final = bounds.CURRENCIES_MAX


LINE: Final = 64
"""Bytes of a cache line."""


def _fields(wide: str, narrow: str = "", small: str = "") -> list[tuple[Any, ...]]:
    """Fields of 8, 4 and 1 bytes."""
    return [(name, form) for names, form in ((wide, "<i8"), (narrow, "<i4"), (small, "u1")) for name in names.split()]


def _record(fields: list[tuple[Any, ...]]) -> np.dtype:
    """Records as long as whole cache lines, or an even part of one: none lies across one line more than it must."""
    size = np.dtype(fields).itemsize
    whole = -(-size // LINE) * LINE if size > LINE // 2 else 1 << (size - 1).bit_length()
    return np.dtype([*fields, ("pad", "u1", (whole - size,))] if whole > size else fields)


ACCOUNT: Final = _record(
    [
        ("oldest", "<i4", (2,)),
        ("newest", "<i4", (2,)),
        *_fields(
            "scenario_initial scenario_maintenance charge_initial charge_maintenance reserve open_notional",
            "tier open_orders first_position last_position first_margin client_next"
            " desk firm owner split unknown waiting timer first_protection",
            "role state own_state restricted limited",
        ),
    ]
)
"""`oldest`, `newest`: of the orders that are OPEN, and of those WAITING. `state` is the strictest of its own and its
groups'; `limited` says whether its LIMITS record matters; `split` is `Catalogue.splits`."""

OPEN, WAITING = 0, 1
"""An account's lists of orders."""

LIMITS: Final = _record(
    _fields(
        "message_each message_burst due_message forbidden pairs order_notional exposure open_orders"
        " open_notional cancel_each cancel_burst due_cancel repeats repeats_window dead_man"
        " confirmations drawdown highest drops rising rises"
    )
)
"""The first line is what every order looks at."""

PAIR: Final = _record(_fields("order_quantity position forbidden"))
"""Limits of an account or group in one instrument."""

INSTRUMENT: Final = _record(
    [
        *_fields(
            "multiplier price_min price_max quantity_max expiry largest_position strike delivery_multiplier"
            " mark weight delta vega gain_cap position_bound index last index_at published_at open_interest"
            " collar collar_ticks window_collar window_ns interest_max velocity velocity_ns velocity_takers"
            " window_start window_price moves",
            "product form currency block option_type delivery_form fee_class inexact capped published expired"
            " scenarios maintenance charged"
            " trie_depth first_holder last_holder state own_state upstream limited first_trailing last_trailing",
        ),
        ("roots", "<i4", (8,)),
        ("best", "<i4", (8,)),
    ]
)
"""`roots` and `best` by code: 0 asks, 1 bids, 2 + 2 * watched price + (0 rising, 1 falling) the waiting stops. In odd
codes the highest price is the best."""

BLOCK: Final = _record(_fields("", "scenarios maintenance charged touched underlying beside"))
"""`charged`: bit 2 * exposure + row is set where there is such a charge; an instrument's: bit of the row. `beside`: how
many other blocks have its underlying."""

CHARGE: Final = _record([("lines", "<i8", (bounds.CHARGE_LINES_MAX + 1, 2))])
"""(rate, intercept) of each line, ended by a rate of 0: flat lines never rise above the charge's floor of 0."""

POSITION: Final = _record(
    _fields("quantity cash open_buy open_sell gain", "account instrument margin desk firm owner")
    + _fields("charge_initial charge_maintenance window_start window_price")
    + _fields("", "live next_position previous_position next_holder")
)
"""`live` 1: an account's; 2: the sum of a group's, without cash. `desk`, `firm`, `owner`: the sums it belongs to."""

MARGIN: Final = _record(
    _fields("net_delta up_delta down_delta gross_delta initial maintenance", "account block next pad_")
    + _fields("charge_initial charge_maintenance net_vega up_vega down_vega gross_vega open_notional")
)

ORDER: Final = _record(
    _fields(
        "id price remaining filled fee_accrued fee_posted client_id fixed shown",
        "account instrument side maker_rate taker_rate position level next previous older newer flags status strategy",
    )
)
"""128 bytes. `flags`: the command's in the low byte, then HAS_MORE and LISTED."""

MORE: Final = _record(
    _fields(
        "display done until label",
        "trigger distance timer next_trailing previous_trailing",
        "type tif watch self_match cancel_wanted",
    )
)

HAS_MORE: Final = 1 << 8
"""The order has a MORE record that matters."""

LISTED: Final = 1 << 9
"""The order being matched is in its account's list already."""

PROTECTION: Final = _record(
    [
        *_fields(
            "quantity delta vega window freeze frozen quarter reached limit",
            "account block next next_pulled",
        ),
        ("sums", "<i8", (5, 3)),
    ]
)

LEVEL: Final = _record(_fields("price firm", "head tail"))
"""`firm`: lots of its orders that are not reduce-only."""

NODE: Final = np.dtype([("bits", "<i8"), ("child", "<i4", (64,))])

LIMITS_BYTES: Final = LIMITS.itemsize
MORE_BYTES: Final = MORE.itemsize
ACCOUNT_BYTES: Final = ACCOUNT.itemsize
INSTRUMENT_BYTES: Final = INSTRUMENT.itemsize
CHARGE_BYTES: Final = CHARGE.itemsize
POSITION_BYTES: Final = POSITION.itemsize
MARGIN_BYTES: Final = MARGIN.itemsize
ORDER_BYTES: Final = ORDER.itemsize
LEVEL_BYTES: Final = LEVEL.itemsize
PROTECTION_BYTES: Final = PROTECTION.itemsize
NODE_BYTES: Final = NODE.itemsize
