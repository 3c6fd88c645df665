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
        ("flags", "u1"),
        ("type", "u1"),  # orders: OrderType; states, limits, kills: Scope; accounts: Role
        ("watch", "u1"),  # the price a trigger watches: Watched
        ("self_match", "u1"),  # SelfMatch
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
        ("trigger", "<i4"),  # ticks; of a trailing stop its distance
        ("strategy", "<i4"),  # 1 to 15, 0: none
        ("display", "<i8"),  # lots an iceberg shows at a time; 0: all
        ("until", "<i8"),  # nanoseconds: end of a good-till-date order, of a dead-man timer; or a window
        ("label", "<i8"),  # the owner's mark on orders that belong together; 0: none
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
    """What a command asks. Catalogue and parameters below 20, trading from 20, upstream from 30, money from 40.

    Unless said, `account` and `instrument` are what they say. "People" means FLAG_APPROVED.
    """

    OPENED = 1  # a node opened the journal; flags 1: after an unclean stop
    CURRENCY = 2  # currency, amount = decimals
    INSTRUMENT = 3  # instrument; attachment: one INSTRUMENT record
    ACCOUNT = 4  # account, tier, type = Role
    TIER = 5  # tier, currency = fee class, price = maker rate, amount = taker rate (millionths)
    PUBLISH = 6  # version; attachment: a publication
    STATE = 7  # state = VenueState, type = Scope, of account or instrument (of an underlying: instrument = its number)
    TIME = 8  # nothing but the passing of time
    CLOSED = 9  # a node stopped cleanly
    RULES = 10  # version = the rules the commands after it are folded by
    LIMIT = 11  # state = Limit, account or instrument or both; amount, quantity, until as the limit says
    MEMBER = 12  # account joins the group whose account number is order_id
    INDEX = 13  # instrument, price = its index price in its own ticks
    KILL = 14  # type = Scope, account or instrument: halted, and its orders cancelled
    UNDERLYING = 15  # instrument = number of a block, amount = number of its underlying
    ORDER = 20
    CANCEL = 21  # account, order_id
    CANCEL_ALL = 22  # account (or -1: every account), instrument (or -1: every one), label (or 0: any; of one account)
    EDIT = 23  # account, order_id, price, quantity = whole amount, filled lots included; trigger where not yet fired
    DEAD_MAN = 24  # account, until: unless sent again before, its orders are cancelled; 0: off
    PROTECT = 25  # account, instrument = block: market-maker protection, see Protection; people never
    PROTECT_RESET = 26  # account, instrument = block: the maker quotes again
    REARM = 27  # account, strategy: people let a stopped strategy trade again
    UPSTREAM = 30  # instrument trades at a venue elsewhere; account: its counterparty here, of Role.UPSTREAM
    ACKNOWLEDGED = 31  # account, order_id: open at the venue
    EXECUTED = 32  # account, order_id, price, quantity, amount = fee in atoms
    ENDED = 33  # account, order_id: no longer open at the venue
    UNKNOWN = 34  # account, order_id: nobody knows
    BOOKED = (
        35  # account, instrument, side, price, quantity (0: money alone), amount = atoms paid to the venue's account:
    )
    # a trade made elsewhere, or money moved there: a fact, asked of no control and no state
    AMENDED = 36  # account, order_id, price, quantity = open now: the venue's terms of an upstream order, a fact
    DEPOSIT = 40  # account, currency, amount
    WITHDRAW = 41
    FUNDING = 42  # instrument, amount per lot * 2^16
    SETTLE = 43  # instrument: session losses become cash, and gains up to their cap
    EXPIRE = 44  # instrument, price = delivery price


RULES_FOLDED: Final = (1, 2, 3, 4, 5, 6, 7)
"""Rules this build folds. 1: kinds OPENED to CLOSED, ORDER to CANCEL_ALL and money, plain limit orders. 2: all but what
3 added: BOOKED, AMENDED, and EDIT of an order open upstream. 4: charges and gain caps by beneficial owner, and no gains
in V where they are capped. 5: an order upstream that is let in because it reduces is not edited beyond that.
6: a height of equity is confirmed as a fall is, and both at least twice; a limit on divergence asks for an index; an
immediate order that reduces passes the bound on positions; a control that changes a state tells its two numbers, and
a refused limit the one of its parameters that is at fault. 7: a settlement makes no more of a gain cash than its cap,
and a loss out of the gain above it is a loss; a limit on exposure counts all blocks of an underlying, and is asked of
what reduces, too; money stays while what it stands for is halted or without a price; a limit sent again begins no
drawdown anew; a velocity halt counts takers in a row or not, and ends a batch; no rebate is above the least fee of a
taker."""

KINDS_OF_RULES_1: Final = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 22, 40, 41, 42, 43, 44))

KINDS_OF_RULES_3: Final = frozenset((Kind.BOOKED, Kind.AMENDED))
"""Unknown before."""


class TimeInForce(IntEnum):
    """GTC rests what does not match, IOC cancels it, FOK is whole at once or not at all, GTD rests until `until`."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3


class OrderType(IntEnum):
    """MARKET is a limit at the collar. A stop fires when the price turned against a position, a take when it went well.

    A buy stop and a sell take fire when the watched price is at or above the trigger, the others at or below. TRAILING
    is a market stop whose trigger follows the watched price at `trigger` ticks' distance, moved at each publication.
    """

    LIMIT = 0
    MARKET = 1
    STOP_LIMIT = 2
    STOP_MARKET = 3
    TAKE_LIMIT = 4
    TAKE_MARKET = 5
    TRAILING = 6


class Watched(IntEnum):
    """The price a trigger watches, in ticks of the instrument."""

    MARK = 0
    INDEX = 1
    LAST = 2


class SelfMatch(IntEnum):
    """What happens when an order meets one of the same beneficial owner."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


class VenueState(IntEnum):
    """Strictest last; the strictest of venue, underlying, instrument, account and its groups holds.

    Cancels, deposits and parameters work in every state.
    """

    OPEN = 0
    REDUCE_ONLY = 1
    HALTED = 2


class Scope(IntEnum):
    """What a state, limit or kill is about."""

    VENUE = 0
    UNDERLYING = 1
    INSTRUMENT = 2
    ACCOUNT = 3


class Role(IntEnum):
    """Only a CLIENT trades. DESK, FIRM and OWNER are groups: their positions are the sums of their members'."""

    CLIENT = 0
    DESK = 1
    FIRM = 2
    OWNER = 3
    UPSTREAM = 4


GROUPS: Final = (Role.DESK, Role.FIRM, Role.OWNER)


class Limit(IntEnum):
    """Parameters of controls. Tightening is anybody's, relaxing is people's.

    Of an account or group (`account`), some for one instrument:
        ORDER_QUANTITY  amount lots, of an instrument                                             C01
        ORDER_NOTIONAL  amount value atoms, at the published weight                               C02
        MESSAGES        amount nanoseconds for each order or edit, quantity = burst               C06
        CANCELS         the same for cancels
        REPEATS         amount-th execution of one strategy in `until` nanoseconds stops it      C07
        FORBIDDEN       amount FORBID_ bits; of an instrument, or -1: of all                      C10
        OPEN_ORDERS     amount open orders, waiting stops included                                C11
        OPEN_NOTIONAL   amount value atoms of open orders                                         C11
        POSITION        amount lots, open orders included, of an instrument; also groups          C12
        EXPOSURE        amount value atoms of net delta in one underlying (before rules 7 in
                        one block), open orders included; also groups                             C15
        DRAWDOWN        amount value atoms below the highest equity, at quantity publications
                        in a row                                                                  C16
    Of an instrument:
        COLLAR          amount millionths of the mark, at least quantity ticks                    C03, C05
        WINDOW_COLLAR   amount millionths one account may move the price in `until` nanoseconds   C04
        OPEN_INTEREST   amount lots                                                               C12
        VELOCITY        amount millionths of move in `until` nanoseconds, confirmed by quantity
                        takers (before rules 7 in a row)                                          C22
    Of the venue:
        STALE           amount nanoseconds since publication or index price                       C17
        DIVERGENCE      amount millionths between mark and index                                  C17
    """

    ORDER_QUANTITY = 1
    ORDER_NOTIONAL = 2
    MESSAGES = 3
    CANCELS = 4
    REPEATS = 5
    FORBIDDEN = 6
    OPEN_ORDERS = 7
    OPEN_NOTIONAL = 8
    POSITION = 9
    EXPOSURE = 10
    DRAWDOWN = 11
    COLLAR = 12
    WINDOW_COLLAR = 13
    OPEN_INTEREST = 14
    VELOCITY = 15
    STALE = 16
    DIVERGENCE = 17


class Status(IntEnum):
    """Where an open order is."""

    RESTING = 0
    WAITING = 1  # a stop that has not fired
    PENDING = 2  # sent upstream
    ACKNOWLEDGED = 3  # open upstream
    UNKNOWN = 4  # upstream, and nobody knows


UPSTREAM: Final = (Status.PENDING, Status.ACKNOWLEDGED, Status.UNKNOWN)


class EventKind(IntEnum):
    """What became of a command."""

    ACCEPTED = 1  # price, quantity; a = requirement after, b = equity
    REFUSED = 2  # reason; a and b are the two numbers of the reason's sentence
    FILL = 3  # price, quantity; a = atoms gained by the price, b = fee paid (negative: rebate); BOOKED: order_id = seq
    CANCELLED = 4  # reason; quantity = what was still open
    POSTED = 5  # reason = cause, currency; a = atoms, b = position concerned; SETTLED: quantity = atoms that wait
    PUBLISHED = 6  # a = version
    STATE = 7  # reason = cause, currency = Scope, account or instrument; a = new state, b = old; of a control
    # (DRAWDOWN, VELOCITY): price = what was reached, quantity = the limit
    DEFINED = 8  # a catalogue command was taken: a = its kind
    DUPLICATE = 9  # order_id = the first order under this client id, a = its seq, b = client id
    TRIGGERED = 10  # a stop fired: price = the watched price, a = its trigger
    EDITED = 11  # price, quantity = what is open now; a = requirement after, b = equity; or reason SELF_MATCH
    REPLENISHED = 12  # an iceberg shows quantity lots anew, last in its queue
    FROZEN = 13  # market-maker protection: reason, instrument = block, a = what was reached, b = the limit
    STATUS = 14  # an upstream order: a = new Status, b = old
    STOPPED = 15  # a strategy ran into its throttle: a = strategy, b = the limit
    RESTRICTED = 16  # a = maintenance requirement, b = equity below it: reducing orders only
    LIFTED = 17  # a = requirement, b = equity no longer below it


FLAG_UNCLEAN: Final = 1
"""On OPENED: the journal was not closed cleanly, so the venue comes up halted."""

FLAG_APPROVED: Final = 1
"""On STATE, LIMIT, REARM: people approved it, so it may relax."""

FLAG_RECOVERED: Final = 2
"""On STATE: the journalled rule after an unclean stop, the sole automatic step up: HALTED to REDUCE_ONLY."""

FLAG_POST_ONLY: Final = 1
"""On ORDER and EDIT: refused if it would match on arrival."""

FLAG_SLIDE: Final = 2
"""With FLAG_POST_ONLY: not refused, but priced one tick short of the other side."""

FLAG_REDUCE_ONLY: Final = 4
"""On ORDER: each fill is trimmed to what reduces the position."""

FLAG_PROTECTED: Final = 8
"""On ORDER: a market maker's quote, under its market-maker protection."""

FLAG_LINKED: Final = 16
"""On ORDER and CANCEL: one atomic batch with the command after it; all are taken or none."""

FLAG_PACKAGE: Final = 32
"""On each ORDER of a linked chain: legs in different instruments, gated as one, filled whole all together or not."""

FLAG_DISCONNECTED: Final = 1
"""On CANCEL_ALL: because the connection was lost."""

FORBID_OPEN: Final = 1
FORBID_TRADE: Final = 2
FORBID_WITHDRAW: Final = 4

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
