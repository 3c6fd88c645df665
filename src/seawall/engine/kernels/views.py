"""Reaching the arrays from the header's addresses, and two bit counts that Python lacks.

`JIT` is how every kernel is compiled. Kernels trust their indices: nothing here checks a bound, so whatever comes
from outside is checked where it enters (`fold`).
"""

from typing import Any, Final

from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from seawall.engine.kernels import layout as at
from seawall.vocabulary.records import EVENT

JIT: Final[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
ENTRY: Final[dict[str, Any]] = {**JIT, "cache": True}
"""Of the kernels that Python calls; what they call is compiled into them."""

_ANY: Final = 1 << 40  # a length no index reaches; the true one is the caller's business

Header = Any
"""int64 array of `layout.HEADER` words."""


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    """An int64 as a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


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


@njit(**JIT)
def fetch(address: Any, lines: Any) -> None:
    """Prefetch `lines` cache lines of 64 bytes from an address on."""
    for line in range(lines):
        prefetch(address + 64 * line)


@njit(**JIT)
def accounts_of(h: Header) -> Any:
    """ACCOUNT records."""
    return carray(_pointer(h[at.A_ACCOUNTS]), _ANY, at.ACCOUNT)


@njit(**JIT)
def balances_of(h: Header) -> Any:
    """Cash atoms, index account * CURRENCIES_MAX + currency."""
    return carray(_pointer(h[at.A_BALANCES]), _ANY, types.int64)


@njit(**JIT)
def atoms_of(h: Header) -> Any:
    """Cash and counted gains in atoms, index account * CURRENCIES_MAX + currency."""
    return carray(_pointer(h[at.A_ATOMS]), _ANY, types.int64)


@njit(**JIT)
def instruments_of(h: Header) -> Any:
    """INSTRUMENT records."""
    return carray(_pointer(h[at.A_INSTRUMENTS]), _ANY, at.INSTRUMENT)


@njit(**JIT)
def blocks_of(h: Header) -> Any:
    """BLOCK records."""
    return carray(_pointer(h[at.A_BLOCKS]), _ANY, at.BLOCK)


@njit(**JIT)
def charges_of(h: Header) -> Any:
    """CHARGE records of single positions, index instrument * 2 + row; no lines: none."""
    return carray(_pointer(h[at.A_CHARGES]), _ANY, at.CHARGE)


@njit(**JIT)
def block_charges_of(h: Header) -> Any:
    """CHARGE records of blocks, index (block * 4 + exposure) * 2 + row."""
    return carray(_pointer(h[at.A_BLOCK_CHARGES]), _ANY, at.CHARGE)


@njit(**JIT)
def deposits_of(h: Header) -> Any:
    """Deposits less withdrawals in atoms, by currency."""
    return carray(_pointer(h[at.A_DEPOSITS]), _ANY, types.int64)


@njit(**JIT)
def tiers_of(h: Header) -> Any:
    """Fee rates in millionths, index (tier * 2 + fee class) * 2 + (0 maker, 1 taker)."""
    return carray(_pointer(h[at.A_TIERS]), _ANY, types.int64)


@njit(**JIT)
def rates_of(h: Header) -> Any:
    """Currency rates, index currency * 2 + (0 gain, 1 loss)."""
    return carray(_pointer(h[at.A_RATES]), _ANY, types.int64)


@njit(**JIT)
def positions_of(h: Header) -> Any:
    """POSITION records."""
    return carray(_pointer(h[at.A_POSITIONS]), _ANY, at.POSITION)


@njit(**JIT)
def margins_of(h: Header) -> Any:
    """MARGIN records."""
    return carray(_pointer(h[at.A_MARGINS]), _ANY, at.MARGIN)


@njit(**JIT)
def scenarios_of(h: Header) -> Any:
    """V + W, index margin * STRIDE + s."""
    return carray(_pointer(h[at.A_SCENARIOS]), _ANY, types.int64)


@njit(**JIT)
def risk_of(h: Header) -> Any:
    """Risk arrays, index instrument * STRIDE + s."""
    return carray(_pointer(h[at.A_RISK]), _ANY, types.int64)


@njit(**JIT)
def orders_of(h: Header) -> Any:
    """ORDER records."""
    return carray(_pointer(h[at.A_ORDERS]), _ANY, at.ORDER)


@njit(**JIT)
def levels_of(h: Header) -> Any:
    """LEVEL records."""
    return carray(_pointer(h[at.A_LEVELS]), _ANY, at.LEVEL)


@njit(**JIT)
def nodes_of(h: Header) -> Any:
    """NODE records."""
    return carray(_pointer(h[at.A_NODES]), _ANY, at.NODE)


@njit(**JIT)
def order_table_of(h: Header) -> Any:
    """Order id -> order, index slot * 2 + (0 key, 1 value)."""
    return carray(_pointer(h[at.A_ORDER_TABLE]), _ANY, types.int64)


@njit(**JIT)
def position_table_of(h: Header) -> Any:
    """(account, instrument) -> position."""
    return carray(_pointer(h[at.A_POSITION_TABLE]), _ANY, types.int64)


@njit(**JIT)
def level_table_of(h: Header) -> Any:
    """(instrument, side, price) -> level."""
    return carray(_pointer(h[at.A_LEVEL_TABLE]), _ANY, types.int64)


@njit(**JIT)
def client_ids_of(h: Header) -> Any:
    """Client ids kept, index (account * CLIENT_IDS_KEPT + k) * 2 + (0 client id, 1 order id)."""
    return carray(_pointer(h[at.A_CLIENT_IDS]), _ANY, types.int64)


@njit(**JIT)
def events_of(h: Header) -> Any:
    """EVENT records."""
    return carray(_pointer(h[at.A_EVENTS]), _ANY, EVENT)
