"""Fixed-size records: what is asked (COMMAND, 128 bytes) and what became of it (EVENT, 64 bytes).

Both are little-endian on disk and in memory. Unused bytes are zero. The kinds are never renumbered.
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

COMMAND: Final = np.dtype(
    [
        ("seq", "<i8"),  # position in the journal, from 1, stamped by the sequencer; an order's id is its seq
        ("time", "<i8"),  # nanoseconds since the epoch, stamped by the sequencer; the engine clamps it monotone
        ("kind", "u1"),
        ("side", "i1"),  # +1 buy, -1 sell
        ("tif", "u1"),
        ("state", "u1"),
        ("flags", "<u4"),
        ("account", "<i4"),
        ("instrument", "<i4"),
        ("currency", "<i4"),
        ("tier", "<i4"),
        ("client_id", "<i8"),  # 0: none
        ("order_id", "<i8"),  # the order a cancel means
        ("price", "<i8"),  # ticks
        ("quantity", "<i8"),  # lots
        ("amount", "<i8"),  # atoms, or what the kind says
        ("attachment", "<i8"),  # bytes of attachment that belong to this command
        ("version", "<i8"),
        ("reserved", "<i8", (4,)),
    ]
)
assert COMMAND.itemsize == 128

EVENT: Final = np.dtype(
    [
        ("seq", "<i8"),  # the command that caused it
        ("kind", "<i2"),
        ("reason", "<i2"),
        ("side", "i1"),
        ("liquidity", "i1"),  # fills: 1 maker, 2 taker
        ("currency", "<i2"),
        ("account", "<i4"),
        ("instrument", "<i4"),
        ("order_id", "<i8"),
        ("price", "<i8"),
        ("quantity", "<i8"),
        ("a", "<i8"),  # the first of the two numbers; meaning by kind and reason
        ("b", "<i8"),
    ]
)
assert EVENT.itemsize == 64

Commands = npt.NDArray[Any]
Events = npt.NDArray[Any]


class Kind(IntEnum):
    """What a command asks. Catalogue and parameters below 20, trading from 20, money and time from 40."""

    OPENED = 1  # a node opened the journal; flags 1: after an unclean stop
    CURRENCY = 2  # currency, amount = decimals
    INSTRUMENT = 3  # instrument; attachment: one INSTRUMENT record
    ACCOUNT = 4  # account, tier
    TIER = 5  # tier, currency = fee class, price = maker rate, amount = taker rate (millionths)
    PUBLISH = 6  # version; attachment: a publication
    STATE = 7  # state of the venue
    TIME = 8  # nothing but the passing of time
    CLOSED = 9  # a node stopped cleanly
    ORDER = 20
    CANCEL = 21  # account, order_id
    CANCEL_ALL = 22  # account (or -1: every account), instrument (or -1: every instrument)
    DEPOSIT = 40  # account, currency, amount
    WITHDRAW = 41
    FUNDING = 42  # instrument, amount per lot * 2^16
    SETTLE = 43  # instrument: session gains and losses become cash
    EXPIRE = 44  # instrument, price = delivery price


class TimeInForce(IntEnum):
    """GTC rests what does not match, IOC cancels it."""

    GTC = 0
    IOC = 1


class VenueState(IntEnum):
    """Strictest last. Cancels, deposits and parameters work in every state."""

    OPEN = 0
    REDUCE_ONLY = 1
    HALTED = 2


class EventKind(IntEnum):
    """What became of a command."""

    ACCEPTED = 1  # price, quantity; a = requirement after, b = equity
    REFUSED = 2  # reason; a and b are the two numbers of the reason's sentence
    FILL = 3  # price, quantity; a = atoms posted to the session cash, b = fee paid (negative: rebate)
    CANCELLED = 4  # reason; quantity = what was still open
    POSTED = 5  # reason = cause, currency; a = atoms, b = position concerned
    PUBLISHED = 6  # a = version
    STATE = 7  # a = new state of the venue, b = old
    DEFINED = 8  # a catalogue command was taken
    DUPLICATE = 9  # order_id = the first order under this client id, a = its seq, b = client id


FLAG_UNCLEAN: Final = 1
"""On OPENED: the journal was not closed cleanly, so the venue comes up halted."""

FLAG_APPROVED: Final = 1
"""On STATE: people approved it, so it may relax."""

FLAG_RECOVERED: Final = 2
"""On STATE: the journalled rule after an unclean stop, the sole automatic step up: HALTED to REDUCE_ONLY."""

SYSTEM_ROUNDING: Final = 0
SYSTEM_FEES: Final = 1
SYSTEM_INSURANCE: Final = 2
SYSTEM_ACCOUNTS: Final = 3
"""Named accounts, there from the first command; clients' ids start at SYSTEM_ACCOUNTS."""

MAKER: Final = 1
TAKER: Final = 2
BUY: Final = 1
SELL: Final = -1


def commands(count: int) -> Commands:
    """`count` zeroed command records."""
    return np.zeros(count, COMMAND)


def command(kind: Kind, **fields: Any) -> Commands:
    """One command record as an array of length 1, e.g. ``command(Kind.CANCEL, account=3, order_id=17)``."""
    record = np.zeros(1, COMMAND)
    record["kind"] = kind
    for name, value in fields.items():
        record[name] = value
    return record


def join(*parts: Commands) -> Commands:
    """One array of the records given, in order."""
    return np.concatenate(parts) if parts else commands(0)
