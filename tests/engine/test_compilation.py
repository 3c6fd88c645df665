"""How the kernels are compiled."""

from collections.abc import Iterator

import pytest
from numba import njit

from seawall.engine.kernels import views


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the libraries that LLVM's optimiser was asked for."""
    names: list[str] = []
    whole = views._optimize
    monkeypatch.setattr(views, "_optimize", lambda library: (names.append(library.name), whole(library)))
    yield names


def test_parts_are_optimised_with_what_calls_them(optimised: list[str]) -> None:
    @views.kernel
    def inner_part(number: int) -> int:
        return 3 * number

    @views.kernel
    def outer_part(number: int) -> int:
        return inner_part(number) + 1

    def entry(number: int) -> int:
        return outer_part(number) + outer_part(1)

    assert njit(entry)(5) == 20
    assert any("entry" in name for name in optimised)
    assert not any("inner_part" in name or "outer_part" in name for name in optimised)


def test_a_part_that_fails_to_compile_leaves_the_next_entry_optimised(optimised: list[str]) -> None:
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
    assert any("entry" in name for name in optimised)
