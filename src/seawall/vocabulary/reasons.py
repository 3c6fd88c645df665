"""The one table of reasons: code, name, a sentence with the two numbers that decided, the dialect's error.

A refused command's event carries `reason`, `a` and `b`; the sentence says what they are. Codes are never renumbered.
Zero is no reason; 1-99 refusals, 100-149 why an order ended, 150-199 why money moved.
"""

from enum import IntEnum
from typing import Final, NamedTuple


class Reason(IntEnum):
    """Codes; see REASONS for their sentences."""

    NONE = 0
    UNKNOWN_KIND = 1
    MALFORMED = 2
    ALREADY_DEFINED = 4
    UNKNOWN_CURRENCY = 5
    UNKNOWN_TIER = 6
    UNKNOWN_ACCOUNT = 7
    UNKNOWN_INSTRUMENT = 8
    NOT_PUBLISHED = 9
    VENUE_HALTED = 10
    REDUCE_ONLY = 11
    EXPIRED = 12
    NOT_EXPIRED = 13
    BAD_SIDE = 14
    QUANTITY = 15
    PRICE_BAND = 16
    POSITION_BOUND = 17
    MARGIN = 18
    BELOW_OPEN_ORDER = 19
    BELOW_REQUIREMENT = 20
    BELOW_PRICE = 21
    UNKNOWN_ORDER = 22
    NOT_OWNER = 23
    AMOUNT = 24
    CASH = 25
    WITHDRAWAL_MARGIN = 26
    BALANCE_BOUND = 27
    VERSION = 28
    PUBLICATION_BOUND = 29
    PUBLICATION_INCOMPLETE = 30
    DELIVERY_BOUND = 31
    FUNDING_BOUND = 32
    NOT_PERPETUAL = 33
    FEE_RATE = 34
    STATE_VALUE = 35
    SYSTEM_ACCOUNT = 36
    PEOPLE_REQUIRED = 37
    ORDER_FORM = 38
    TRIGGER = 39
    POST_ONLY = 40
    NOT_REDUCING = 41
    FILL_OR_KILL = 42
    UNTIL = 43
    DISPLAY = 44
    ORDER_NOTIONAL = 45
    COLLAR = 46
    WINDOW_COLLAR = 47
    THROTTLED = 48
    STRATEGY_STOPPED = 49
    FORBIDDEN = 50
    OPEN_ORDERS = 51
    OPEN_NOTIONAL = 52
    POSITION_LIMIT = 53
    OPEN_INTEREST = 54
    EXPOSURE = 55
    STALE = 56
    DIVERGENT = 57
    INSTRUMENT_HALTED = 58
    ACCOUNT_HALTED = 59
    FROZEN = 60
    OUTCOME_UNKNOWN = 61
    ORDER_STATUS = 62
    UNKNOWN_RULES = 63
    LIMIT_VALUE = 64
    MEMBERSHIP = 65
    ROLE = 66
    BATCH = 67
    CHAIN = 68
    NO_PRICE = 69
    NO_PROTECTION = 70
    NOT_UPSTREAM = 71

    BY_OWNER = 100
    IMMEDIATE_OR_CANCEL = 101
    SELF_MATCH = 102
    MARGIN_CALL = 103
    INSTRUMENT_EXPIRED = 104
    DEAD_MAN = 105
    KILLED = 106
    GOOD_TILL_DATE = 107
    MAKER_PROTECTION = 108
    REDUCED = 109
    DRAWDOWN = 110
    DISCONNECTED = 111
    BY_VENUE = 112
    VELOCITY = 113

    DEPOSITED = 150
    WITHDRAWN = 151
    FUNDED = 152
    SETTLED = 153
    DELIVERED = 154
    ROUNDED = 155
    BOOKED = 156


class Row(NamedTuple):
    """A reason's sentence, with {a} and {b} the event's numbers, and the dialect's error code and word."""

    sentence: str
    dialect: int
    word: str


REASONS: Final[dict[Reason, Row]] = {
    Reason.NONE: Row("no reason", 0, ""),
    Reason.UNKNOWN_KIND: Row("command kind {a} is not one this build folds; the highest is {b}", 11050, "bad_request"),
    Reason.MALFORMED: Row(
        "the attachment of {a} bytes breaks a rule of its form (command version {b})", 11050, "bad_request"
    ),
    Reason.ALREADY_DEFINED: Row(
        "id {a} is already defined, or is not the next free id {b}", 11029, "invalid_arguments"
    ),
    Reason.UNKNOWN_CURRENCY: Row("currency {a} is not defined; {b} are", 11029, "invalid_arguments"),
    Reason.UNKNOWN_TIER: Row("fee tier {a} is not defined; {b} are", 11029, "invalid_arguments"),
    Reason.UNKNOWN_ACCOUNT: Row("account {a} does not exist; {b} do", 13009, "unauthorized"),
    Reason.UNKNOWN_INSTRUMENT: Row("instrument {a} does not exist; {b} do", 13020, "not_found"),
    Reason.NOT_PUBLISHED: Row(
        "instrument {a} has no published mark and risk yet (publication {b})", 10012, "book_closed"
    ),
    Reason.VENUE_HALTED: Row("the venue is in state {a}; orders need state {b} or better", 11051, "system_maintenance"),
    Reason.REDUCE_ONLY: Row(
        "only reducing orders are taken now: {a} lots asked, {b} left to reduce", 11030, "other_reject reduce_only"
    ),
    Reason.EXPIRED: Row("the instrument expired at {a}, it is {b}", 10012, "book_closed"),
    Reason.NOT_EXPIRED: Row("the instrument expires at {a}, it is only {b}", 11029, "invalid_arguments"),
    Reason.BAD_SIDE: Row(
        "side {a} and time in force {b}: side must be +1 or -1, time in force 0 to 3", 11029, "invalid_arguments"
    ),
    Reason.QUANTITY: Row("quantity {a} lots is outside 1 to {b}", 10021, "invalid_amount"),
    Reason.PRICE_BAND: Row("price {a} ticks is beyond the band's limit {b}", 10007, "price_too_high"),
    Reason.POSITION_BOUND: Row(
        "position with open orders would be {a} lots, at most {b} are allowed", 10021, "invalid_amount"
    ),
    Reason.MARGIN: Row("requirement after {a} exceeds equity {b} (millionths of a dollar)", 10009, "not_enough_funds"),
    Reason.BELOW_OPEN_ORDER: Row(
        "the account is below its requirement and has {a} open orders; it may have {b} before placing one",
        10009,
        "not_enough_funds",
    ),
    Reason.BELOW_REQUIREMENT: Row(
        "the account is below its requirement and this order alone would raise it from {b} to {a};"
        " the event's instrument is the leg to close first",
        10009,
        "not_enough_funds",
    ),
    Reason.BELOW_PRICE: Row(
        "the account is below its requirement and this price spends {a} of equity, at most {b} for what it reduces;"
        " the event's price is the limiting price",
        10009,
        "not_enough_funds",
    ),
    Reason.UNKNOWN_ORDER: Row("order {a} is not open (account {b})", 10004, "order_not_found"),
    Reason.NOT_OWNER: Row("order {a} belongs to account {b}", 10029, "not_owner_of_order"),
    Reason.AMOUNT: Row("amount {a} atoms is outside 1 to {b}", 11029, "invalid_arguments"),
    Reason.CASH: Row("withdrawal of {a} atoms exceeds the cash of {b}", 10039, "not_enough_funds_in_currency"),
    Reason.WITHDRAWAL_MARGIN: Row(
        "after the withdrawal the requirement {a} would exceed the equity {b} (millionths of a dollar)",
        10009,
        "not_enough_funds",
    ),
    Reason.BALANCE_BOUND: Row(
        "the balance, or the sum of all deposits, would be {a} atoms; at most {b} are allowed",
        11029,
        "invalid_arguments",
    ),
    Reason.VERSION: Row("publication version {a} does not follow {b}", 11029, "invalid_arguments"),
    Reason.PUBLICATION_BOUND: Row(
        "instrument {a}: {b} lots, open orders included, would leave the bounds", 11029, "invalid_arguments"
    ),
    Reason.PUBLICATION_INCOMPLETE: Row(
        "instrument {a} of block {b} is missing or does not fit", 11029, "invalid_arguments"
    ),
    Reason.DELIVERY_BOUND: Row(
        "delivery price {a} is out of bounds: the strike, the band or the largest balance is {b}",
        11029,
        "invalid_arguments",
    ),
    Reason.FUNDING_BOUND: Row("funding of {a} per lot exceeds the bound {b}", 11029, "invalid_arguments"),
    Reason.NOT_PERPETUAL: Row("instrument {a} of product {b} does not take this command", 11029, "invalid_arguments"),
    Reason.FEE_RATE: Row("fee rate {a} is beyond the bound {b} (millionths)", 11029, "invalid_arguments"),
    Reason.STATE_VALUE: Row("state {a} is not one of 0 to {b}", 11029, "invalid_arguments"),
    Reason.SYSTEM_ACCOUNT: Row("account {a} is one of the venue's own; clients' start at {b}", 13021, "forbidden"),
    Reason.PEOPLE_REQUIRED: Row("going from {b} to {a} needs people's approval", 13021, "forbidden"),
    Reason.ORDER_FORM: Row(
        "order type {a} does not go with flags, time in force or self-match mode (flags {b})",
        11029,
        "invalid_arguments",
    ),
    Reason.TRIGGER: Row("trigger {a} ticks is outside 1 to {b}", 11036, "invalid_trigger_price"),
    Reason.POST_ONLY: Row("post only: at {a} it would match an order at {b}", 11054, "post_only_reject"),
    Reason.NOT_REDUCING: Row("reduce only: {a} lots asked, the position leaves {b}", 11030, "other_reject reduce_only"),
    Reason.FILL_OR_KILL: Row("fill or kill: of {a} lots {b} could be had", 11030, "other_reject fill_or_kill"),
    Reason.UNTIL: Row("the time {a} must be after now, {b}", 11029, "invalid_arguments"),
    Reason.DISPLAY: Row("display quantity {a} lots is outside 0 to {b}", 10036, "invalid_max_show_amount"),
    Reason.ORDER_NOTIONAL: Row(
        "order notional {a} exceeds the limit {b} (millionths of a dollar)", 10021, "invalid_amount"
    ),
    Reason.COLLAR: Row("price {a} ticks is beyond the collar {b} around the mark", 10007, "price_too_high"),
    Reason.WINDOW_COLLAR: Row(
        "price {a} ticks is beyond {b}, as far as this account may move the price in one window",
        10007,
        "price_too_high",
    ),
    Reason.THROTTLED: Row(
        "too many messages: {a} ns too early, one is granted each {b} ns", 10028, "too_many_requests"
    ),
    Reason.STRATEGY_STOPPED: Row(
        "strategy {a} was stopped by its throttle of {b} executions; people must re-arm it", 13021, "forbidden"
    ),
    Reason.FORBIDDEN: Row("action {a} is among those forbidden here, {b}", 13021, "forbidden"),
    Reason.OPEN_ORDERS: Row("{a} orders would be open, at most {b} may be", 11030, "other_reject too_many_open_orders"),
    Reason.OPEN_NOTIONAL: Row(
        "open orders' notional would be {a}, the limit is {b} (millionths of a dollar)",
        11030,
        "other_reject too_many_open_orders",
    ),
    Reason.POSITION_LIMIT: Row(
        "position with open orders would be {a} lots, the limit of the event's account is {b}",
        11030,
        "other_reject position_limit",
    ),
    Reason.OPEN_INTEREST: Row(
        "open interest could become {a} lots, the limit is {b}", 11030, "other_reject position_limit"
    ),
    Reason.EXPOSURE: Row(
        "net delta in an underlying could become {a}, the limit of the event's account is {b} (millionths of dollars)",
        11030,
        "other_reject position_limit",
    ),
    Reason.STALE: Row(
        "mark or index is {a} ns old, older than {b}: reducing orders only", 11030, "other_reject reduce_only"
    ),
    Reason.DIVERGENT: Row(
        "mark and index are {a} millionths apart, more than {b}: reducing orders only",
        11030,
        "other_reject reduce_only",
    ),
    Reason.INSTRUMENT_HALTED: Row(
        "the instrument or its underlying is in state {a}; orders need state {b} or better", 10012, "book_closed"
    ),
    Reason.ACCOUNT_HALTED: Row(
        "the account or its group is in state {a}; orders need state {b} or better", 10019, "locked_by_admin"
    ),
    Reason.FROZEN: Row("market-maker protection holds until {a} (0: until reset), it is {b}", 13030, "mmp_trigger"),
    Reason.OUTCOME_UNKNOWN: Row(
        "{a} orders of this account have an unknown outcome: reducing orders only, {b} lots are left to reduce",
        11030,
        "other_reject outcome_unknown",
    ),
    Reason.ORDER_STATUS: Row("order {a} has status {b}, which does not take this command", 11044, "not_open_order"),
    Reason.UNKNOWN_RULES: Row(
        "rules {a} do not follow the present ones, {b}, or are unknown", 11029, "invalid_arguments"
    ),
    Reason.LIMIT_VALUE: Row("limit {a}: its parameters or scope break its rule ({b})", 11029, "invalid_arguments"),
    Reason.MEMBERSHIP: Row("account {a} cannot join {b}", 11029, "invalid_arguments"),
    Reason.ROLE: Row("account {a} has role {b}, which does not take this command", 13021, "forbidden"),
    Reason.BATCH: Row("leg {a} of this batch was refused (reason {b}), so none is taken", 11030, "other_reject batch"),
    Reason.CHAIN: Row("leg {a} does not fit a batch of {b} legs", 11029, "invalid_arguments"),
    Reason.NO_PRICE: Row("instrument {a} has no price of the kind {b} yet", 10012, "book_closed"),
    Reason.NO_PROTECTION: Row("account {a} has no market-maker protection in block {b}", 11029, "invalid_arguments"),
    Reason.NOT_UPSTREAM: Row("instrument {a} trades here and at no venue elsewhere", 11029, "invalid_arguments"),
    Reason.BY_OWNER: Row("cancelled by its owner", 0, "user_request"),
    Reason.IMMEDIATE_OR_CANCEL: Row("the rest of an immediate-or-cancel order", 0, "immediate_or_cancel"),
    Reason.SELF_MATCH: Row("would have matched the account's own order {a}", 10003, "order_overlap"),
    Reason.MARGIN_CALL: Row("equity {b} fell below the requirement {a}; newest orders go first", 0, "margin_call"),
    Reason.INSTRUMENT_EXPIRED: Row("the instrument expired", 0, "expired"),
    Reason.DEAD_MAN: Row("the dead-man timer ran out", 0, "dead_man"),
    Reason.KILLED: Row("the kill switch was thrown", 0, "killed"),
    Reason.GOOD_TILL_DATE: Row("good until {a}, it is {b}", 0, "good_til_date"),
    Reason.MAKER_PROTECTION: Row("market-maker protection: {a} reached, the limit is {b}", 0, "mmp_trigger"),
    Reason.REDUCED: Row("reduce only, and the position leaves nothing to reduce", 0, "reduce_only"),
    Reason.DRAWDOWN: Row("equity fell {a} from its highest, the limit is {b} (millionths of a dollar)", 0, "drawdown"),
    Reason.DISCONNECTED: Row("the connection was lost", 0, "cancel_on_disconnect"),
    Reason.BY_VENUE: Row("ended at the venue it was sent to", 0, "upstream"),
    Reason.VELOCITY: Row("the price moved {a} millionths in the window, the limit is {b}", 0, "velocity"),
    Reason.DEPOSITED: Row("deposit of {a} atoms", 0, "deposit"),
    Reason.WITHDRAWN: Row("withdrawal of {a} atoms", 0, "withdrawal"),
    Reason.FUNDED: Row("funding of {a} atoms on {b} lots", 0, "funding"),
    Reason.SETTLED: Row("session gain of {a} atoms on {b} lots became cash", 0, "settlement"),
    Reason.DELIVERED: Row("delivery of {a} atoms on {b} lots", 0, "delivery"),
    Reason.ROUNDED: Row("rounding residue of {a} atoms", 0, "rounding"),
    Reason.BOOKED: Row("{a} atoms moved at the venue elsewhere, {b} lots held there", 0, "booked"),
}


def explain(reason: int, a: int, b: int) -> str:
    """The sentence of `reason` with its two numbers, e.g. for a trader whose order was refused."""
    return REASONS[Reason(reason)].sentence.format(a=f"{a:,}", b=f"{b:,}")
