"""Reaching the arrays from the header's addresses, and two bit counts that Python lacks.

`kernel` and `ENTRY` are how every kernel is compiled. Kernels trust their indices: nothing here checks a bound, so
whatever comes from outside is checked where it enters (`fold`).
"""

from typing import Any, Final

from llvmlite import ir
from numba import carray, njit, types
from numba.core import sigutils
from numba.extending import intrinsic

from seawall.engine.kernels import layout as at
from seawall.vocabulary import bounds
from seawall.vocabulary.records import COMMAND, EVENT

_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
ENTRY: Final[dict[str, Any]] = {**_OPTIONS, "cache": True}
"""Of the kernels that Python calls; what they call is compiled into them."""


def kernel(function: Any) -> Any:
    """A function that kernels call, compiled for int64 whatever integers it is called with.

    Numba would compile it anew for each mixture of widths and signs in its calls, which tripled the first compilation.
    """
    dispatcher = njit(**_OPTIONS)(function)
    compile_as = dispatcher.compile

    def compile_wide(signature: Any) -> Any:
        given, _ = sigutils.normalize_signature(signature)
        wide = tuple(types.int64 if isinstance(kind, types.Integer | types.Boolean) else kind for kind in given)
        return compile_as(wide)

    dispatcher.compile = compile_wide
    return dispatcher


_ANY: Final = 1 << 40  # a length no index reaches; the true one is the caller's business

Header = Any
"""Pointer to `layout.HEADER` int64 words.

Not the array itself: Numba counts the references to an array, with an atomic instruction for each kernel it is passed
to and another for each way out, which took half the time of the fold.
"""


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    """An int64 as a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


@intrinsic
def _words(context: Any, address: Any) -> Any:
    """An int64 as a pointer to words."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())

    return types.CPointer(types.int64)(types.int64), codegen


@kernel
def words_of(array: Any) -> Any:
    """The words of an array that Python passed, as a pointer."""
    return _words(array.ctypes.data)


@intrinsic
def trailing_zeros(context: Any, word: Any) -> Any:
    """Index of the lowest bit set; `word` != 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), codegen


@intrinsic
def leading_zeros(context: Any, word: Any) -> Any:
    """63 minus the index of the highest bit set; `word` != 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), codegen


@intrinsic
def prefetch(context: Any, address: Any) -> Any:
    """Ask for the cache line at an address; a hint without effect on any result."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        where = builder.inttoptr(arguments[0], pointer)
        builder.call(hint, [where, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@kernel
def fetch(address: Any, lines: Any) -> None:
    """Prefetch `lines` cache lines of 64 bytes from an address on."""
    for line in range(lines):
        prefetch(address + 64 * line)


@kernel
def accounts_of(h: Header) -> Any:
    """ACCOUNT records."""
    return carray(_pointer(h[at.A_ACCOUNTS]), _ANY, at.ACCOUNT)


@kernel
def balances_of(h: Header) -> Any:
    """Cash atoms, index account * CURRENCIES_MAX + currency."""
    return _words(h[at.A_BALANCES])


@kernel
def atoms_of(h: Header) -> Any:
    """Cash and counted gains in atoms, index account * CURRENCIES_MAX + currency."""
    return _words(h[at.A_ATOMS])


@kernel
def instruments_of(h: Header) -> Any:
    """INSTRUMENT records."""
    return carray(_pointer(h[at.A_INSTRUMENTS]), _ANY, at.INSTRUMENT)


@kernel
def blocks_of(h: Header) -> Any:
    """BLOCK records."""
    return carray(_pointer(h[at.A_BLOCKS]), _ANY, at.BLOCK)


@kernel
def charges_of(h: Header) -> Any:
    """CHARGE records of single positions, index instrument * 2 + row; no lines: none."""
    return carray(_pointer(h[at.A_CHARGES]), _ANY, at.CHARGE)


@kernel
def block_charges_of(h: Header) -> Any:
    """CHARGE records of blocks, index (block * 4 + exposure) * 2 + row."""
    return carray(_pointer(h[at.A_BLOCK_CHARGES]), _ANY, at.CHARGE)


@kernel
def deposits_of(h: Header) -> Any:
    """Deposits less withdrawals in atoms, by currency."""
    return _words(h[at.A_DEPOSITS])


@kernel
def tiers_of(h: Header) -> Any:
    """Fee rates in millionths, index (tier * 2 + fee class) * 2 + (0 maker, 1 taker)."""
    return _words(h[at.A_TIERS])


@kernel
def rates_of(h: Header) -> Any:
    """Currency rates, index currency * 2 + (0 gain, 1 loss)."""
    return _words(h[at.A_RATES])


@kernel
def positions_of(h: Header) -> Any:
    """POSITION records."""
    return carray(_pointer(h[at.A_POSITIONS]), _ANY, at.POSITION)


@kernel
def margins_of(h: Header) -> Any:
    """MARGIN records."""
    return carray(_pointer(h[at.A_MARGINS]), _ANY, at.MARGIN)


@kernel
def scenarios_of(h: Header, m: Any) -> Any:
    """V + W of a margin record, index scenario."""
    return _words(h[at.A_SCENARIOS] + 8 * h[at.STRIDE] * m)


@kernel
def risk_of(h: Header, instrument: Any) -> Any:
    """Risk array of an instrument, index scenario."""
    return _words(h[at.A_RISK] + 8 * h[at.STRIDE] * instrument)


@kernel
def orders_of(h: Header) -> Any:
    """ORDER records."""
    return carray(_pointer(h[at.A_ORDERS]), _ANY, at.ORDER)


@kernel
def levels_of(h: Header) -> Any:
    """LEVEL records."""
    return carray(_pointer(h[at.A_LEVELS]), _ANY, at.LEVEL)


@kernel
def nodes_of(h: Header) -> Any:
    """NODE records."""
    return carray(_pointer(h[at.A_NODES]), _ANY, at.NODE)


@kernel
def order_table_of(h: Header) -> Any:
    """Order id -> order, index slot * 2 + (0 key, 1 value)."""
    return _words(h[at.A_ORDER_TABLE])


@kernel
def position_table_of(h: Header) -> Any:
    """(account, instrument) -> position."""
    return _words(h[at.A_POSITION_TABLE])


@kernel
def level_table_of(h: Header) -> Any:
    """(instrument, side, price) -> level."""
    return _words(h[at.A_LEVEL_TABLE])


@kernel
def client_ids_of(h: Header, account: Any) -> Any:
    """Client ids kept of an account, index k * 2 + (0 client id, 1 order id)."""
    return _words(h[at.A_CLIENT_IDS] + 16 * bounds.CLIENT_IDS_KEPT * account)


@kernel
def commands_of(h: Header) -> Any:
    """COMMAND records of the batch."""
    return carray(_pointer(h[at.A_COMMANDS]), _ANY, COMMAND)


@kernel
def events_of(h: Header) -> Any:
    """EVENT records."""
    return carray(_pointer(h[at.A_EVENTS]), _ANY, EVENT)


@kernel
def limits_of(h: Header) -> Any:
    """LIMITS records, by account."""
    return carray(_pointer(h[at.A_LIMITS]), _ANY, at.LIMITS)


@kernel
def strategies_of(h: Header) -> Any:
    """Index account * STRATEGIES + strategy: nanoseconds paid for, or NO_LIMIT."""
    return _words(h[at.A_STRATEGIES])


@kernel
def more_of(h: Header) -> Any:
    """MORE records, by order."""
    return carray(_pointer(h[at.A_MORE]), _ANY, at.MORE)


@kernel
def pair_table_of(h: Header) -> Any:
    """(account, instrument) -> pair."""
    return _words(h[at.A_PAIR_TABLE])


@kernel
def pairs_of(h: Header) -> Any:
    """PAIR records."""
    return carray(_pointer(h[at.A_PAIRS]), _ANY, at.PAIR)


@kernel
def protections_of(h: Header) -> Any:
    """PROTECTION records."""
    return carray(_pointer(h[at.A_PROTECTIONS]), _ANY, at.PROTECTION)


@kernel
def timers_of(h: Header) -> Any:
    """The heap of timers, index slot * 3 + (0 time, 1 key, 2 record)."""
    return _words(h[at.A_TIMERS])


@kernel
def legs_of(h: Header) -> Any:
    """Legs of a chain, index leg * 3 + (0 order, 1 kind, 2 position is new)."""
    return _words(h[at.A_LEGS])
