"""`seawall credit`: counterparty credit exposure, and what covers it, from one JSON file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.risk.credit.exposure import Profile

T = TypeVar("T")


def credit(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="sa-ccr, exposure, default-fund or simm.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file of the method's shape: docs/credit.md.")],
    parameters: Annotated[
        Path | None, typer.Option(help="simm: the model's numbers, of whoever has ISDA's licence.")
    ] = None,
    seed: Annotated[int, typer.Option(help="exposure: seed of the simulation.")] = 1,
    points: Annotated[int, typer.Option(help="exposure: paths, a power of two, in each of 8 scramblings.")] = 4096,
    as_json: Json = False,
) -> None:
    """Exposure to a counterparty (sa-ccr, exposure), initial margin (simm), or the default fund of a clearing house."""
    answer(as_json, lambda: _credit(method, file, parameters, seed, points))


def _credit(method: str, file: Path, parameters: Path | None, seed: int, points: int) -> Answer:
    if method not in METHODS:
        raise InputError("METHOD", method, f"must be one of {', '.join(METHODS)}")
    if (parameters is None) == (method == "simm"):
        raise InputError("parameters", str(parameters), "must be given for simm, and for nothing else")
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError("FILE", str(file), f"must be a file that can be read: {error.strerror}") from error
    if method == "simm":
        assert parameters is not None
        return _simm(text, parameters)
    if method == "exposure":
        return _exposure(text, seed, points)
    return METHODS[method](text)


def _read(text: bytes, kind: type[T]) -> T:
    """The file as `kind`. Raises InputError with the path of what does not fit."""
    from seawall.risk.margin.portfolio import decoded, structured

    return structured(decoded(text, "FILE"), kind, "FILE")


def _sa_ccr(text: bytes) -> Answer:
    from seawall.risk.credit.sa_ccr import NettingSet, exposure

    found = exposure(_read(text, NettingSet))
    document = {
        "ok": True,
        "exposure_at_default": found.exposure_at_default,
        "replacement_cost": found.replacement_cost,
        "potential_future_exposure": found.potential,
        "multiplier": found.multiplier,
        "add_on": found.add_on,
        "add_on_by_class": {str(name): value for name, value in found.add_on_by_class.items()},
        "capped_at_unmargined": found.capped,
    }
    rows = [
        ("replacement cost", found.replacement_cost),
        *((f"add-on, {name}", value) for name, value in found.add_on_by_class.items()),
        ("multiplier", found.multiplier),
        ("potential future exposure", found.potential),
        ("exposure at default", found.exposure_at_default),
    ]
    note = "\ncapped: that of the same set without margin" if found.capped else ""
    return Answer(document, "\n".join(f"{name:26}{value:>16,.2f}" for name, value in rows) + note)


def _exposure(text: bytes, seed: int, points: int) -> Answer:
    from seawall.risk.credit.exposure import Counterparty, simulate

    profile = simulate(_read(text, Counterparty), seed=seed, points=points)
    import msgspec

    document = {
        "ok": True,
        "seed": seed,
        **msgspec.to_builtins(profile),
        "expected_positive": profile.expected_positive,
        "effective_expected_positive": profile.effective_expected_positive,
        "peak": profile.peak,
        "loss_given_default": 1.0,
        "expected_loss": profile.expected_loss(1.0),
    }
    return Answer(document, _profile_text(profile))


def _profile_text(profile: "Profile") -> str:
    columns: list[tuple[str, list[float] | None]] = [
        ("expected", profile.expected),
        ("+-", profile.standard_error),
        ("potential", profile.potential),
        ("given default", profile.wrong_way_expected),
        ("+-", profile.wrong_way_error),
        ("potential g. d.", profile.wrong_way_potential),
    ]
    shown = [(name, values) for name, values in columns if values is not None]
    widths = [8 if name == "+-" else 17 for name, _ in shown]
    lines = [f"{'years':>7}" + "".join(f"{name:>{width}}" for (name, _), width in zip(shown, widths, strict=True))]
    for at, date in enumerate(profile.dates):
        cells = (f"{values[at]:>{width},.1f}" for (_, values), width in zip(shown, widths, strict=True))
        lines.append(f"{date:>7.4f}" + "".join(cells))
    lines += [
        "",
        f"today                        {profile.now:>14,.1f}",
        f"expected positive            {profile.expected_positive:>14,.1f}",
        f"effective expected positive  {profile.effective_expected_positive:>14,.1f}",
        f"peak                         {profile.peak:>14,.1f}",
        f"expected loss at no recovery {profile.expected_loss(1.0):>14,.1f}",
    ]
    return "\n".join(lines)


def _default_fund(text: bytes) -> Answer:
    import msgspec

    from seawall.risk.credit.default_fund import StressedMembers, size_fund

    fund = size_fund(_read(text, StressedMembers))
    groups = ", ".join(f"{name} {value:,.0f}" for name, value in fund.groups.items()) or "nobody"
    lines = [f"fund {fund.size:,.0f}: {fund.scenario}, where these fail: {groups}", "", "scenario"]
    lines += [f"  {name:24}{value:>16,.0f}" for name, value in fund.by_scenario.items()]
    lines += ["contribution", *(f"  {name:24}{value:>16,.0f}" for name, value in fund.contributions.items())]
    return Answer({"ok": True, **msgspec.to_builtins(fund)}, "\n".join(lines))


def _simm(text: bytes, parameters: Path) -> Answer:
    from seawall.risk.credit.simm import Crif, initial_margin
    from seawall.risk.credit.simm_parameters import read_parameters

    model = read_parameters(parameters)
    found = initial_margin(_read(text, Crif), model)
    by_class: dict[str, Any] = {}
    for (product, risk_class, measure), value in found.by_measure.items():
        by_class.setdefault(product, {}).setdefault(risk_class, {})[str(measure)] = value
    document = {
        "ok": True,
        "version": model.version,
        "initial_margin": found.total,
        "by_product": dict(found.by_product),
        "by_measure": by_class,
        "add_on": found.add_on,
    }
    rows = [(f"{product}, {name}", value) for (product, name), value in found.by_class.items()]
    rows += [(f"{product}, all", value) for product, value in found.by_product.items()]
    rows += [("add-ons", found.add_on), (f"initial margin, {model.version}", found.total)]
    return Answer(document, "\n".join(f"{name:40}{value:>20,.2f}" for name, value in rows))


METHODS: Final[dict[str, Callable[..., Answer]]] = {
    "sa-ccr": _sa_ccr,
    "exposure": _exposure,
    "default-fund": _default_fund,
    "simm": _simm,
}
