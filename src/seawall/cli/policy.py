"""`seawall policy`: parameters calibrated from price histories, margin models backtested on them, and compared."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.risk.policy import CoverageTest
    from seawall.risk.study.backtest import Backtest
    from seawall.risk.study.calibration import Calibration, CloseOut
    from seawall.risk.study.comparison import Comparison, Study
    from seawall.risk.study.history import History

policy = typer.Typer(
    help="Calibrate margin parameters, backtest margin models, compare them under stress.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Models = Annotated[list[str] | None, typer.Option("--model", help="A margin model, again for more; without, all ours.")]
Histories = Annotated[
    list[str],
    typer.Argument(metavar="NAME=FILE:PRICE[:VOLUME]...", help="Underlying, CSV file (or .gz), its columns to read."),
]
Level = Annotated[str, typer.Option(help="Which requirement is asked: initial or maintenance.")]
Tested = Annotated[str, typer.Option(help="Period of the test, FIRST:LAST day.")]


@policy.command("calibrate")
def calibrate(
    histories: Histories,
    calibrated: Annotated[str, typer.Option(help="Period to calibrate on, FIRST:LAST day.")] = "2015-01-01:2019-12-31",
    tested: Tested = "2020-01-01:2024-12-31",
    margin_period: Annotated[float, typer.Option(help="Margin period of risk, days.")] = 1.0,
    share: Annotated[float, typer.Option(help="Position to close, as a part of a usual day's volume.")] = 0.02,
    daily_volume: Annotated[
        list[str] | None, typer.Option(help="NAME=DOLLARS that trade in a usual day where positions are closed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ranges, depths, haircuts, and a test on later days. Exit 1 where a range fails it or the period is too short."""
    answer(as_json, lambda: _calibrate(histories, calibrated, tested, margin_period, share, daily_volume or []))


@policy.command("backtest")
def backtest(
    history: Annotated[str, typer.Argument(metavar="NAME=FILE:PRICE", help="Underlying, CSV file, its column.")],
    model: Models = None,
    tested: Tested = "2020-01-01:2024-12-31",
    level: Level = "initial",
    as_json: Json = False,
) -> None:
    """Margin models day by day, for seven classes of account. Exit 1 where a model fails for one of them."""
    answer(as_json, lambda: _backtest(history, model or [], tested, level))


@policy.command("study")
def study(
    model: Models = None,
    portfolios: Annotated[int, typer.Option(help="How many portfolios.")] = 1000,
    days: Annotated[int, typer.Option(help="How many simulated days of stress.")] = 250,
    seed: Annotated[int, typer.Option(help="Of portfolios, simulated days, volatilities and resampling.")] = 1,
    level: Level = "initial",
    response: Annotated[float, typer.Option(help="Multiplies the response of volatility to price moves.")] = 1.0,
    liquidation: Annotated[float, typer.Option(help="Multiplies what closing out costs.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Models over the same portfolios on stressed days: margin asked, shortfalls, who dominates whom."""
    answer(as_json, lambda: _study(model or [], portfolios, days, seed, level, response, liquidation))


def _calibrate(
    specs: list[str], calibrated: str, tested: str, margin_period: float, share: float, volumes: list[str]
) -> Answer:
    from seawall.risk import Seawall
    from seawall.risk.study import calibration

    split = (*_span("calibrated", calibrated), *_span("tested", tested))
    daily = dict(_volume(item) for item in volumes)
    found, closings = [], []
    histories = [_history(spec) for spec in specs]
    known = sorted({item.name for item in histories} | set(Seawall().fitted().underlyings))
    for name in daily.keys() - set(known):
        raise InputError("daily_volume", name, f"must name one of {', '.join(known)}")
    for history in histories:
        found.append(calibration.calibrate(history, split=split, days=margin_period))
        if history.volumes is not None:
            closings.append(calibration.close_out(history, split=split[:2], share=share, days=margin_period))
    depth = calibration.depths(closings, daily)
    ok = all(item.test.accepted for item in found) and all(item.days.bound <= margin_period for item in closings)
    document: dict[str, Any] = {
        "ok": ok,
        "parameters": calibration.parameters(found, depth),
        "published_haircuts": calibration.published_haircuts(found),
        "calibrations": [asdict(item) | {"accepted": item.test.accepted} for item in found],
        "close_out": [asdict(item) for item in closings],
        "depegs": [asdict(item) for item in calibration.DEPEGS],
        "tails": _tails(histories, split[:2]),
    }
    text = [_calibration_text(item) for item in found] + [_close_out_text(item) for item in closings]
    haircuts = ", ".join(f"{name} {value:.0%}" for name, value in document["published_haircuts"].items())
    text += [f"published haircuts, range included  {haircuts}"]
    text += [f"depth     {name} {dollars:,.0f} dollars within the margin period" for name, dollars in depth.items()]
    if document["tails"] is not None:
        text.append("tails     " + ", ".join(f"{name} {value}" for name, value in document["tails"].items()))
    return Answer(document, "\n".join(text), ok)


def _tails(histories: list["History"], calibrated: tuple[str, str]) -> dict[str, Any] | None:
    """The heavy-tailed model that simulated days come from, where BTC and ETH are both there."""
    import numpy as np

    from seawall.risk.study.history import paired
    from seawall.risk.study.stress import fit

    by_name = {item.name: item.between(*calibrated) for item in histories}
    if not {"BTC", "ETH"} <= set(by_name):
        return None
    tails = fit(np.log1p(by_name["BTC"].returns(1.0)[1]), np.log1p(paired(by_name["BTC"], by_name["ETH"])[1]))
    return {
        "degrees": round(tails.degrees, 2),
        "scales": [round(item, 4) for item in tails.scales],
        "correlation": round(tails.correlation, 2),
    }


def _calibration_text(found: "Calibration") -> str:
    period, later, stressed = found.calibrated, found.tested, found.stressed
    lines = [
        f"{found.underlying}: range {found.price_range:.0%} for {found.margin_period_days:g} day(s)",
        f"  calibrated {period.first} .. {period.last}, {period.moves} moves: 99 % within {found.quantile:.2%}",
        f"  stressed   {stressed.first} .. {stressed.last}: 99 % within {found.stressed_quantile:.2%};"
        f" floor with a quarter of it {found.floor:.2%}",
        f"  tested     {later.first} .. {later.last}: {_test_text(found.test)}; worst move {found.worst_tested:.2%}",
        f"  {'':32}{'peak/trough':>12}{'5 days':>8}{'beyond':>8}{'capped':>8}{'gap':>7}",
    ]
    for row in found.procyclicality:
        lines.append(
            f"  {row.name:32}{row.measure.peak_to_trough:>12.2f}{row.measure.rise:>+8.0%}{row.test.exceedances:>8}"
            f"{row.days_capped:>8}{row.largest_gap:>7.1%}"
        )
    return "\n".join([*lines, f"  sha256 {found.sha256}", ""])


def _close_out_text(found: "CloseOut") -> str:
    return "\n".join(
        [
            f"{found.product}: closing {found.share:.1%} of a usual day's volume, {found.participation:.0%} of trading",
            f"  {found.starts} starts, {found.period.first} .. {found.period.last}: 99 % within {found.days.value:.2f}"
            f" days, at most {found.days.bound:.2f}",
            f"  within the margin period on 99 %: {found.depth_share:.1%} of a usual day's volume",
            f"  sha256 {found.sha256}",
            "",
        ]
    )


def _test_text(test: "CoverageTest") -> str:
    verdict = "accepted" if test.accepted else "REJECTED"
    return (
        f"{test.exceedances} of {test.days} beyond, {verdict}; a true {test.detectable_rate:.1%} is found with a"
        f" chance of 80 %, clusters with {test.independence_power:.0%}"
    )


def _backtest(spec: str, names: list[str], tested: str, level: str) -> Answer:
    from seawall.risk.study import backtest

    found = backtest.backtest(_history(spec), _models(names), *_span("tested", tested), level=level)
    ok = all(row.test.accepted for row in found.results)
    rows = [
        {
            "model": row.model,
            "account": row.account,
            "accepted": row.test.accepted,
            "margin": row.margin,
            "worst": row.worst,
            "kupiec_p": row.test.unconditional.p_value,
            "christoffersen_p": row.test.independence.p_value,
            "conditional_p": row.test.conditional.p_value,
            "excess_p": row.test.excess_p_value,
            "test": asdict(row.test),
            "procyclicality": asdict(row.procyclicality) if row.procyclicality is not None else None,
        }
        for row in found.results
    ]
    document = {
        "ok": ok,
        "underlying": found.underlying,
        "level": found.level,
        "sha256": found.sha256,
        "period": asdict(found.period),
        "results": rows,
    }
    return Answer(document, _backtest_text(found), ok)


def _backtest_text(found: "Backtest") -> str:
    first = found.results[0].test
    lines = [
        f"{found.underlying}, {found.period.first} .. {found.period.last}, {found.period.moves} days; 99 % asked of the"
        f" {found.level} requirement",
        f"power: a true rate of {first.detectable_rate:.1%} is found with a chance of 80 %, exceedances ten times as"
        f" likely after one with {first.independence_power:.0%}",
        "",
        f"{'account':17}{'model':19}{'margin':>8}{'beyond':>8}{'worst':>8}{'Kupiec':>8}{'Christ.':>9}{'peak/tr.':>10}"
        f"{'5 days':>8}  verdict",
    ]
    account = ""
    for row in found.results:
        moved = row.procyclicality
        steady = f"{moved.peak_to_trough:>10.2f}{moved.rise:>+8.0%}" if moved is not None else f"{'-':>10}{'-':>8}"
        lines.append(
            f"{row.account if row.account != account else '':17}{row.model:19}{row.margin:>8.1%}"
            f"{row.test.exceedances:>8}{row.worst:>8.1%}{row.test.unconditional.p_value:>8.3f}{row.test.independence.p_value:>9.3f}{steady}"
            f"  {'holds' if row.test.accepted else 'FAILS'}"
        )
        account = row.account
    return "\n".join(lines)


def _study(
    names: list[str], portfolios: int, days: int, seed: int, level: str, response: float, liquidation: float
) -> Answer:
    from seawall.risk.study import comparison

    found = comparison.study(
        _models(names),
        portfolios=portfolios,
        days=days,
        seed=seed,
        level=level,
        response=response,
        liquidation=liquidation,
    )
    document = asdict(found)
    for where, compared in found.comparisons.items():
        document["comparisons"][where]["frontier"] = compared.frontier
    return Answer({"ok": True, **document}, _study_text(found))


def _study_text(found: "Study") -> str:
    parts = [
        f"{found.portfolios} portfolios, {found.level} requirement, seed {found.seed}; volatility responds x"
        f" {found.response:g}, closing out costs x {found.liquidation:g}"
    ]
    for where, comparison in found.comparisons.items():
        parts.append(f"\n{found.days[where]} {where} days of stress\n\n" + _comparison_text(comparison))
    return "\n".join(parts)


def _comparison_text(found: "Comparison") -> str:
    head = f"{'':19}{'margin':>9}{'frequency':>11}{'95 %':>15}{'shortfall':>11}{'95 %':>15}"
    lines = []
    for title, rows in (("at its own level", found.own), ("at equal margin", found.equal)):
        lines.append(f"{title:19}{head[19:]}")
        for row in rows:
            often, missing = row.frequency, row.shortfall
            lines.append(
                f"{row.model:19}{row.margin / 1e6:>7.2f} M{often.value:>11.2%}{_interval(often.low, often.high)}"
                f"{missing.value:>11.2%}{_interval(missing.low, missing.high)}"
            )
        lines.append("")
    first = found.own[0].model
    lines.append(f"{first}, asking as much as each{'frequency':>15}{'95 %':>16}{'shortfall':>11}{'95 %':>16}")
    for item in found.against:
        often, missing = item.frequency, item.shortfall
        lines.append(
            f"{item.model:30}{often.value:>+11.2%}{_interval(often.low, often.high, '+'):>16}"
            f"{missing.value:>+11.2%}{_interval(missing.low, missing.high, '+'):>16}  {item.verdict}"
        )
    lines.append("")
    for name, others in found.dominates.items():
        lines.append(f"{name:19}dominates {', '.join(others) or 'nobody'}")
    lines.append(f"{'':19}on the frontier: {', '.join(found.frontier)}")
    return "\n".join(lines)


def _interval(low: float, high: float, sign: str = "") -> str:
    return f"{f'{low:{sign}.2%} {high:{sign}.2%}':>15}"


def _models(names: list[str]) -> list[str]:
    from seawall.risk.margin import models

    for name in names:
        models.model(name)
    return names or list(models.OURS)


def _history(spec: str) -> "History":
    from seawall.risk.study.history import read

    name, _, rest = spec.partition("=")
    file, *columns = rest.split(":")
    if not name or not file or len(columns) not in (1, 2):
        raise InputError("NAME=FILE:PRICE", spec, "must name an underlying, a file, a price column, and may a volume")
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError("FILE", file, f"must be a file that can be read: {error.strerror}") from error
    return read(name, data, *columns)


def _span(field: str, text: str) -> tuple[str, str]:
    first, _, last = text.partition(":")
    if not first or not last:
        raise InputError(field, text, "must be two days, FIRST:LAST")
    return first, last


def _volume(text: str) -> tuple[str, float]:
    from seawall.vocabulary.numbers import positive

    name, _, dollars = text.partition("=")
    try:
        return name, positive("daily_volume", float(dollars), at_most=1e15)
    except ValueError as error:
        raise InputError("daily_volume", text, "must be NAME=DOLLARS") from error
