"""Parameters of the margin models: data files by effective date, which a portfolio may override field by field.

parameters/<model>-<date>.json holds `model`, `effective`, `source` and `parameters`. Of several the newest that is in
force on the date asked counts. An override replaces numbers, lists and words and descends into objects; names that the
model does not know are refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

from seawall.risk.margin.portfolio import Portfolio, structured
from seawall.vocabulary.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class ParameterSet(Generic[T]):
    """Parameters in force from `effective` on, and where they were published."""

    effective: date
    source: str
    parameters: T


def in_force(
    model: str, portfolio: Portfolio, as_of: date | None, kind: type[T], house: Mapping[str, Any] | None = None
) -> ParameterSet[T]:
    """The parameters of `model` on `as_of` (the day of the portfolio, where None), with overrides.

    Those of the `house` come first, the portfolio's over them. Raises InputError where none were in force yet, or for
    an override that does not fit.
    """
    day = as_of if as_of is not None else day_of(portfolio)
    known = versions(model)
    past = [item for item in known if item[0] <= day]
    if not past:
        raise InputError("as_of", day.isoformat(), f"must not be before {known[0][0]}: no earlier parameters are known")
    effective, name = past[-1]
    held = _read(name)
    merged = _merged(_merged(held["parameters"], house or {}), portfolio.parameters)
    return ParameterSet(effective, held["source"], structured(merged, kind, "parameters", "parameters."))


def day_of(portfolio: Portfolio) -> date:
    """The day of a portfolio, by UTC."""
    return datetime.fromtimestamp(portfolio.time / 1000, UTC).date()


def fit(model: str, kind: type[T], house: Mapping[str, Any]) -> T:
    """The newest parameters with overrides. Raises InputError where one does not fit, or names what is not known."""
    merged = _merged(_read(versions(model)[-1][1])["parameters"], house)
    return structured(merged, kind, "parameters", "parameters.")


@cache
def versions(model: str) -> tuple[tuple[date, str], ...]:
    """(effective date, file) of every parameter set of a model, oldest first."""
    found = []
    for item in files(__package__).joinpath("parameters").iterdir():
        stem = item.name.removesuffix(".json")
        if item.name.endswith(".json") and stem[:-11] == model:
            found.append((date.fromisoformat(stem[-10:]), item.name))
    return tuple(sorted(found))


@cache
def _read(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath("parameters", name).read_text(encoding="utf-8")
    held: dict[str, Any] = json.loads(text)
    return held


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for key, value in override.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        made[key] = _merged(base[key], value) if both else value
    return made
