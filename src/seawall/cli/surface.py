"""`seawall surface`: fit a chain of option quotes, look at a fit, hold two against each other."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.risk.surfaces import Calibration, Surface
    from seawall.risk.surfaces.smile import Smile

surface = typer.Typer(
    help="Fit volatility surfaces without arbitrage, show and compare them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@surface.command("fit")
def fit(
    chain: Annotated[Path, typer.Argument(metavar="CHAIN", help="Chain of quotes (docs/surfaces.md has the layouts).")],
    method: Annotated[str, typer.Option(help="svi2 (two hyperbolas), svi (raw SVI), ssvi or sabr.")] = "svi2",
    out: Annotated[Path | None, typer.Option(help="Write the calibration to this file.")] = None,
    hold_out: Annotated[
        bool, typer.Option("--hold-out", help="Fit five times more, each without a fifth of the strikes.")
    ] = False,
    time: Annotated[
        str | None, typer.Option(help="Time of the chain, such as 2025-12-05T01:09:00Z; without, the file's own.")
    ] = None,
    premiums: Annotated[str, typer.Option(help="Unit of the premiums: coin, or cash (that of the strikes).")] = "coin",
    stale: Annotated[float, typer.Option(help="Seconds after which a quote with a time is left out.")] = 300.0,
    as_json: Json = False,
) -> None:
    """Fit a chain. Exit 0 where it is free of arbitrage and inside 98 % of all quotes of two sides, else 1."""
    answer(as_json, lambda: _fit(chain, method, out, hold_out, time, premiums, stale))


@surface.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Calibration, as fit --out wrote it.")],
    strike: Annotated[list[float] | None, typer.Option(help="A strike; may be given more than once.")] = None,
    days: Annotated[list[float] | None, typer.Option(help="Days from the chain's time; without, its expiries.")] = None,
    shock: Annotated[str | None, typer.Option(help="parallel, skew or term, of --size.")] = None,
    size: Annotated[float, typer.Option(help="Size of the shock; 0.1 is a tenth.")] = 0.0,
    limits: Annotated[bool, typer.Option("--limits", help="Find the largest shocks without arbitrage, too.")] = False,
    as_json: Json = False,
) -> None:
    """Volatilities at strikes and times. Exit 1 where the calibration does not hold."""
    answer(as_json, lambda: _show(file, strike or [], days or [], shock, size, limits))


@surface.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Calibration.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Calibration.")],
    within: Annotated[float, typer.Option(min=0, help="Volatility points by which they may differ.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Differences by expiry. Exit 0 where every expiry is in both and none differs by more than --within, else 1."""
    answer(as_json, lambda: _compare(first, second, within))


def _fit(
    chain: Path, method: str, out: Path | None, hold_out: bool, time: str | None, premiums: str, stale: float
) -> Answer:
    import msgspec

    from seawall.risk.surfaces import calibrate, encode, read_chain

    if premiums not in ("coin", "cash"):
        raise InputError("premiums", premiums, "must be coin or cash")
    read = read_chain(chain, time_ns=_time(time), coin_settled=premiums == "coin", stale_s=stale)
    made = calibrate(read, method, hold_out=hold_out)
    if out is not None:
        from seawall.journal.checkpoint import write_durably

        write_durably(out, encode(made))
    document = {"ok": made.holds, "out": str(out) if out else None, **msgspec.to_builtins(made)}
    return Answer(document, _fitted(made), made.holds)


def _fitted(made: "Calibration") -> str:
    lines = [
        f"{made.underlying}, {made.method} of {_stamp(made.time_ns)}, chain {made.chain_sha256[:16]}",
        "",
        f"{'expiry':>10} {'forward':>12} {'atm %':>7} {'two-sided':>9} {'inside':>6} {'median':>7} {'worst miss':>10}"
        f" {'least g':>8}",
    ]
    for row, shape in zip(made.expiries, made.arbitrage.butterflies, strict=True):
        middle = 100 * float(row.smile.variance(0.0).value / row.years) ** 0.5
        of = row.figures
        lines.append(
            f"{_day(row.expiry_ns):>10} {row.forward:>12,.2f} {middle:>7.2f} {of.two_sided:>9} {of.inside:>6}"
            f" {of.median_error:>7.3f} {of.worst_miss:>10.3f} {shape.least_g:>8.4f}"
        )
    of, held = made.figures, made.held_out
    lines += [
        "",
        f"inside bid and ask: {of.inside} of {of.two_sided} quotes of two sides ({of.share:.2%});"
        f" one side kept: {of.one_sided_kept} of {of.one_sided}",
        f"distance to the middle, volatility points: median {of.median_error:.3f},"
        f" root mean square {of.root_mean_square_error:.3f}",
    ]
    if held is not None:
        lines.append(
            f"held out of the fit: inside {held.inside} of {held.two_sided} ({held.share:.2%}),"
            f" median {held.median_error:.3f}, root mean square {held.root_mean_square_error:.3f}"
        )
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(made.left_out.items())) or "nothing"
    arbitrage = (
        "none" if made.arbitrage.free else f"{made.arbitrage.violations} points within six deviations, or far out"
    )
    lines += [f"left out: {left}", f"arbitrage: {arbitrage}", "holds" if made.holds else "DOES NOT HOLD"]
    return "\n".join(lines)


def _show(file: Path, strikes: list[float], days: list[float], kind: str | None, size: float, limits: bool) -> Answer:
    import numpy as np

    from seawall.risk.surfaces import SHOCKS, largest_shock, read_calibration
    from seawall.risk.surfaces import shock as shocked

    if (kind is None) != (size == 0):
        raise InputError("--shock, --size", [kind, size], "give both or neither: a shock of no size shows no shock")
    made = read_calibration(file)
    asked: Surface = made.surface
    if kind is not None:
        asked = shocked(asked, kind, size)
    times = [day / 365 for day in days] or list(asked.years)
    names = [f"{day:g} days" for day in days] or [_day(row.expiry_ns) for row in made.expiries]
    rows, lines = [], []
    for name, years in zip(names, times, strict=True):
        forward = asked.forward(years)
        row = {"at": name, "years": years, "forward": forward}
        where = strikes or [round(forward * ratio, 2) for ratio in (0.8, 0.9, 1.0, 1.1, 1.25)]
        if any(not strike > 0 for strike in where):
            raise InputError("strike", where, "must be positive")
        volatilities = asked.volatility(np.log(np.array(where) / forward), years).tolist()
        rows.append({**row, "strikes": where, "volatilities": volatilities, **_parameters(asked.smile(years), years)})
        cells = " ".join(f"{strike:>10,.0f}: {100 * of:6.2f}" for strike, of in zip(where, volatilities, strict=True))
        lines.append(f"{name:>10} {forward:>12,.2f} {cells}")
    document = {
        "ok": made.holds,
        "underlying": made.underlying,
        "method": made.method,
        "time_ns": made.time_ns,
        "shock": kind,
        "size": size,
    }
    found = {}
    if limits:
        found = {name: [largest_shock(asked, name, up=up) for up in (False, True)] for name in SHOCKS}
        lines += [
            "",
            *(f"{name:>10}: free of arbitrage from {low:.4f} to {high:.4f}" for name, (low, high) in found.items()),
        ]
    title = f"{made.underlying}, {made.method} of {_stamp(made.time_ns)}" + (
        f", {kind} shock of {size:g}" if kind else ""
    )
    held = "" if made.holds else "\nTHE CALIBRATION DOES NOT HOLD"
    return Answer({**document, "rows": rows, "limits": found}, "\n".join([title, "", *lines]) + held, made.holds)


def _parameters(smile: "Smile", years: float) -> dict[str, dict[str, float]]:
    """Raw and jump-wings parameters, where the smile is raw SVI."""
    from dataclasses import asdict

    from seawall.risk.surfaces.svi import Hyperbolas, JumpWings, RawSvi

    if not isinstance(smile, Hyperbolas) or len(smile.parts) != 1:
        return {}
    raw = RawSvi.of(smile)
    return {"raw": asdict(raw), "jump_wings": asdict(JumpWings.of(raw, years))}


def _compare(first: Path, second: Path, within: float) -> Answer:
    import msgspec

    from seawall.risk.surfaces import compare as compared
    from seawall.risk.surfaces import read_calibration
    from seawall.risk.surfaces.calibration import DEVIATIONS

    found = compared(read_calibration(first), read_calibration(second))
    alone = len(found.only_in_first) + len(found.only_in_second)
    ok = found.worst <= within and not alone
    lines = [
        f"{'the same' if found.same_chain else 'another'} chain, {'the same' if found.same_method else 'another'}"
        " method; B less A in volatility points, at standard deviations of A",
        "",
        " ".join([f"{'expiry':>10}", *(f"{at:>+7.1f}" for at in DEVIATIONS), f"{'forward %':>10}"]),
    ]
    for row in found.differences:
        cells = [f"{point:>+7.2f}" for point in row.points]
        lines.append(" ".join([f"{_day(row.expiry_ns):>10}", *cells, f"{100 * row.forward:>+10.3f}"]))
    for name, only in (("A", found.only_in_first), ("B", found.only_in_second)):
        if only:
            lines.append(f"only in {name}: {', '.join(_day(expiry) for expiry in only)}")
    worst = f"{found.worst:.3f}" if found.differences else "no expiry in both"
    lines += ["", f"worst: {worst}; {'within' if ok else 'NOT WITHIN'} {within:g}"]
    document = {"ok": ok, "within": within, "worst": found.worst if found.differences else None}
    return Answer({**document, **msgspec.to_builtins(found)}, "\n".join(lines), ok)


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError("time", text, "must be a time such as 2025-12-05T01:09:00Z") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000) * 10**6


def _stamp(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%d")
