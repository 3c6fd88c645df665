"""Integer units and the bound that stands beside each of them.

Kernels compute in signed 64-bit integers, which overflow silently. So every input is bounded where it enters, and
the bounds are chosen so that no product or sum formed inside the engine leaves +-2^63. `tests/vocabulary` and
`tests/engine/test_bounds.py` sit on the edges.

Units
    tick          price unit of one instrument (an integer >= 1)
    lot           quantity unit of one instrument
    atom          money unit of one currency: 1e-8 coin, 1e-6 stablecoin
    value atom    numeraire unit, 1e-6 USD: requirement R, equity e and excess E are counted in it
"""

from typing import Final

PRICE_MAX: Final = 2**30 - 1
"""Ticks. The price index of a book is a 64-ary trie of five levels, hence 30 bits."""

QUANTITY_MAX: Final = 2**40
"""Lots in one order; an instrument's own `quantity_max` is at most this."""

POSITION_VALUE_MAX: Final = 2**48
"""Atoms. |position, open quantity included| at the dearest allowed price; a fee rate <= 2^14 multiplies it."""

INVERSE_NUMERATOR_MAX: Final = 2**62
"""q*K of an inverse contract, before the division by a price."""

BALANCE_MAX: Final = 2**50
"""Atoms. A deposit that would take a balance beyond is refused, and a booked trade that would take session cash."""

DEPOSITS_MAX: Final = 2**62
"""Atoms. Deposits less withdrawals of all accounts in one currency."""

VALUE_MAX: Final = 2**59 - 1
"""Value atoms. Equity in one currency saturates here (576 billion USD), so that the sum of eight stays below 2^62."""

RATE_SHIFT: Final = 20
RATE_MAX: Final = 2**32
"""Value atoms per atom of a currency, times 2^RATE_SHIFT (haircut included): up to 4,096 USD-millionths an atom."""

FEE_DENOMINATOR: Final = 1_000_000
FEE_RATE_MAX: Final = 2**14
"""Fee rates are millionths of the traded value, at most 1.6384 % either way (negative: a rebate)."""

EXPOSURE_MAX: Final = 2**50
"""Value atoms. |position, open quantity included| * |u|, and the same with weight, delta and vega."""

TOTAL_EXPOSURE_MAX: Final = 2**59
"""Value atoms. Each of n live instruments is held to this divided by n, if that is less: an account's requirement is at
most seven such sums (scenarios, losses at the limits, five kinds of charge), below 2^62."""

CHARGE_SHIFT: Final = 14
CHARGE_RATE_MAX: Final = 2**14
CHARGE_INTERCEPT_MAX: Final = 2**50
CHARGE_LINES_MAX: Final = 16
"""A charge is max(0, max_j(intercept_j + ceil(rate_j*x / 2^14))): rates up to 100 %, at most 16 lines."""

SCENARIOS_MAX: Final = 64
"""Scenarios in one block, the null scenario (index 0) included."""

GROUP_INSTRUMENTS_MAX: Final = 2**11
"""Instruments in one block."""

U_SHIFT: Final = 0
"""Risk arrays `u` are in value atoms per lot times 2^U_SHIFT: whole millionths of a dollar."""

FUNDING_SHIFT: Final = 16
FUNDING_RATE_MAX: Final = 2**30
"""Funding is atoms per lot times 2^FUNDING_SHIFT, paid by longs when positive."""

DELIVERY_RATIO_MAX: Final = 2**10
"""A delivery price is at most this multiple of an option's strike, and the strike of it."""

CURRENCIES_MAX: Final = 8
BLOCKS_MAX: Final = 64

BLOCK_DELTA_MAX: Final = 2**56
"""Value atoms that one block's net delta counts for, either way, in a sum over an underlying's blocks, which is below
2^62 + 2^59 then; 72 billion dollars."""
ACCOUNTS_MAX: Final = 2**20
INSTRUMENTS_MAX: Final = 2**14
TIERS_MAX: Final = 64
FEE_CLASSES: Final = 2
"""0: futures and perpetuals, 1: options."""

NO_CAP: Final = 2**62
"""A gain cap that caps nothing."""

CLIENT_IDS_KEPT: Final = 32
"""Client ids remembered for each account; the same id again is answered with the first order."""

NO_LIMIT: Final = 2**62
"""A limit that limits nothing."""

STRATEGIES: Final = 16
"""Strategies of an account: 1 to 15; 0 is none."""

CHAIN_MAX: Final = 64
"""Legs of one atomic batch."""

FILL_OR_KILL_LOOKS: Final = 1024
"""Price levels, and orders where its owner has some on the other side, that a fill-or-kill looks at."""

TIME_MAX: Final = 2**61
"""Nanoseconds: the latest end of a timer, and the longest window."""

PROTECTION_SUM_MAX: Final = 2**59
"""Value atoms in a quarter of a window of market-maker protection saturate here, so that five of them fit 64 bits."""

PARTS: Final = 1_000_000
"""Collars, moves and divergence are in millionths of a price."""

ORDER_ATOMS: Final = 4
"""Atoms each open order reserves against the rounding of its own fills: one for what it is paid or pays, one for its
value at the mark, two for its fee. Proven enough, and three proven too few, in tests/engine/test_order_proofs.py."""

TAU_INVERSE: Final = 8
"""1/tau of the acceptance rule: an account below may spend at most max(e, R/8) in proportion to what it reduces."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient rounded towards plus infinity; `denominator` > 0."""
    return -(-numerator // denominator)
