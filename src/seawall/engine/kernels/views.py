"""Reaching the arrays from the header's addresses, and two bit counts that Python lacks.

`kernel` and `ENTRY` are how every kernel is compiled. Kernels trust their indices: nothing here checks a bound, so
whatever comes from outside is checked where it enters (`fold`).
"""

import operator
from typing import Any, Final

import numpy as np
from llvmlite import ir
from llvmlite.binding import Linkage
from numba import from_dtype, njit, types
from numba.core import codegen, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from seawall.engine.kernels import layout as at
from seawall.vocabulary import bounds
from seawall.vocabulary.records import COMMAND, EVENT

_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
ENTRY: Final[dict[str, Any]] = {**_OPTIONS, "cache": True}
"""Of the kernels that Python calls; what they call is compiled into them."""


_parts: Final[list[Any]] = []
"""Kernels being compiled for what calls them, by whoever holds the compiler's lock."""
_optimize: Final = codegen.CPUCodeLibrary._optimize_final_module


def _optimize_whole(library: Any) -> None:
    """Optimise what is called from outside, with all that it calls linked into it, and that once.

    Numba does it for each part, too, with all that the part calls; the results are linked and optimised again, forty
    times what everybody calls. The copies linked in are made the caller's own. Else the process that compiled them
    would call the parts as they stood before; and what has one caller is worked into it, a third of the fold's time.
    """
    if _parts:
        return
    for function in library._final_module.functions:
        if function.linkage == Linkage.linkonce_odr:
            function.linkage = Linkage.internal
    _optimize(library)


codegen.CPUCodeLibrary._optimize_final_module = _optimize_whole


def kernel(function: Any) -> Any:
    """A function that kernels call, compiled for int64 whatever integers it is called with.

    Numba would compile it anew for each mixture of widths and signs in its calls, which tripled the first compilation.
    """
    dispatcher = njit(**_OPTIONS)(function)
    compile_as = dispatcher.compile

    def compile_wide(signature: Any) -> Any:
        given, _ = sigutils.normalize_signature(signature)
        wide = tuple(types.int64 if isinstance(kind, types.Integer | types.Boolean) else kind for kind in given)
        with global_compiler_lock:
            _parts.append(function)
            try:
                return compile_as(wide)
            finally:
                _parts.pop()

    dispatcher.compile = compile_wide
    return dispatcher


Header = Any
"""Pointer to `layout.HEADER` int64 words.

Not the array itself: Numba counts the references to an array, with an atomic instruction for each kernel it is passed
to and another for each way out, which took half the time of the fold.
"""


class _Rows(types.Type):  # type: ignore[misc]
    """Pointer to records. An array would have a length to reckon negative indices from, at every access."""

    def __init__(self, record: Any) -> None:
        self.record = record
        super().__init__(name=f"Rows({record})")


register_model(_Rows)(models.OpaqueModel)


@infer_global(operator.getitem)
class _RowOf(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, _: Any) -> Any:
        if isinstance(arguments[0], _Rows) and isinstance(arguments[1], types.Integer):
            return signature(arguments[0].record, arguments[0], types.int64)
        return None


@lower_builtin(operator.getitem, _Rows, types.int64)
def _row_of(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    rows, index = arguments
    record = signature.return_type
    where = builder.gep(rows, [builder.mul(index, context.get_constant(types.int64, record.size))])
    return builder.bitcast(where, context.get_value_type(record))


def _rows(dtype: np.dtype) -> Any:
    """What makes an address a pointer to records."""
    kind = _Rows(from_dtype(dtype))

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    @intrinsic
    def rows_at(context: Any, address: Any) -> Any:
        return kind(types.int64), codegen

    return rows_at


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


_COMMAND = _rows(COMMAND)
_EVENT = _rows(EVENT)
_ACCOUNT = _rows(at.ACCOUNT)
_BLOCK = _rows(at.BLOCK)
_CHARGE = _rows(at.CHARGE)
_INSTRUMENT = _rows(at.INSTRUMENT)
_LEVEL = _rows(at.LEVEL)
_LIMITS = _rows(at.LIMITS)
_MARGIN = _rows(at.MARGIN)
_MORE = _rows(at.MORE)
_NODE = _rows(at.NODE)
_ORDER = _rows(at.ORDER)
_PAIR = _rows(at.PAIR)
_POSITION = _rows(at.POSITION)
_PROTECTION = _rows(at.PROTECTION)


@kernel
def accounts_of(h: Header) -> Any:
    """ACCOUNT records."""
    return _ACCOUNT(h[at.A_ACCOUNTS])


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
    return _INSTRUMENT(h[at.A_INSTRUMENTS])


@kernel
def blocks_of(h: Header) -> Any:
    """BLOCK records."""
    return _BLOCK(h[at.A_BLOCKS])


@kernel
def charges_of(h: Header) -> Any:
    """CHARGE records of single positions, index instrument * 2 + row; no lines: none."""
    return _CHARGE(h[at.A_CHARGES])


@kernel
def block_charges_of(h: Header) -> Any:
    """CHARGE records of blocks, index (block * 4 + exposure) * 2 + row."""
    return _CHARGE(h[at.A_BLOCK_CHARGES])


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
    return _POSITION(h[at.A_POSITIONS])


@kernel
def margins_of(h: Header) -> Any:
    """MARGIN records."""
    return _MARGIN(h[at.A_MARGINS])


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
    return _ORDER(h[at.A_ORDERS])


@kernel
def levels_of(h: Header) -> Any:
    """LEVEL records."""
    return _LEVEL(h[at.A_LEVELS])


@kernel
def nodes_of(h: Header) -> Any:
    """NODE records."""
    return _NODE(h[at.A_NODES])


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
    return _COMMAND(h[at.A_COMMANDS])


@kernel
def events_of(h: Header) -> Any:
    """EVENT records."""
    return _EVENT(h[at.A_EVENTS])


@kernel
def limits_of(h: Header) -> Any:
    """LIMITS records, by account."""
    return _LIMITS(h[at.A_LIMITS])


@kernel
def strategies_of(h: Header) -> Any:
    """Index account * STRATEGIES + strategy: nanoseconds paid for, or NO_LIMIT."""
    return _words(h[at.A_STRATEGIES])


@kernel
def more_of(h: Header) -> Any:
    """MORE records, by order."""
    return _MORE(h[at.A_MORE])


@kernel
def pair_table_of(h: Header) -> Any:
    """(account, instrument) -> pair."""
    return _words(h[at.A_PAIR_TABLE])


@kernel
def pairs_of(h: Header) -> Any:
    """PAIR records."""
    return _PAIR(h[at.A_PAIRS])


@kernel
def protections_of(h: Header) -> Any:
    """PROTECTION records."""
    return _PROTECTION(h[at.A_PROTECTIONS])


@kernel
def timers_of(h: Header) -> Any:
    """The heap of timers, index slot * 3 + (0 time, 1 key, 2 record)."""
    return _words(h[at.A_TIMERS])


@kernel
def legs_of(h: Header) -> Any:
    """Legs of a chain, index leg * 3 + (0 order, 1 kind, 2 position is new)."""
    return _words(h[at.A_LEGS])
