"""How the kernels are compiled."""

from typing import Any

import pytest
from llvmlite.binding import Linkage
from numba import njit

from seawall.engine.kernels import views

Module = dict[str, Linkage]
"""A module's functions."""


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> list[Module]:
    """The modules that LLVM's optimiser was asked for, as they came to it."""
    modules: list[Module] = []
    whole = views._optimize

    def recording(library: Any) -> None:
        functions = library._final_module.functions
        modules.append({function.name: function.linkage for function in functions if not function.is_declaration})
        whole(library)

    monkeypatch.setattr(views, "_optimize", recording)
    return modules


def test_parts_are_optimised_in_what_calls_them(optimised: list[Module]) -> None:
    @views.kernel
    def inner_part(number: int) -> int:
        return 3 * number

    @views.kernel
    def outer_part(number: int) -> int:
        return inner_part(number) + 1

    def entry(number: int) -> int:
        return outer_part(number) + outer_part(1)

    assert njit(entry)(5) == 20
    module = optimised[-1]
    inner, outer = ({kind for name, kind in module.items() if part in name} for part in ("inner_part", "outer_part"))
    # In the process that compiles, code of the same name elsewhere would stand before a copy that others may see.
    assert inner == outer == {Linkage.internal}
    assert Linkage.external in module.values()


def test_a_part_that_fails_to_compile_leaves_the_next_entry_optimised(optimised: list[Module]) -> None:
    @views.kernel
    def broken_part(number: int) -> int:
        return number.nothing_of_the_kind

    def failing(number: int) -> int:
        return broken_part(number)

    def entry(number: int) -> int:
        return number + 1

    with pytest.raises(Exception, match="nothing_of_the_kind"):
        njit(failing)(5)
    optimised.clear()
    assert njit(entry)(5) == 6
    assert any("entry" in name for name in optimised[-1])
