"""`seawall margin`: the requirement of a portfolio by our model or a venue's published rules."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from datetime import date

    from seawall.risk.margin import MarginReport, Portfolio
    from seawall.risk.margin.enforced_portfolio import Enforced


NAMES: Final = "seawall, deribit-standard, deribit-portfolio, paradex, derive-pmrm, derive-pmrm-2, span"
"""Ours, spelled out so that help needs no model to be loaded."""


def margin(
    portfolio: Annotated[str, typer.Argument(metavar="PORTFOLIO", help="Portfolio file (docs/margin.md), or -.")],
    model: Annotated[str, typer.Option(help=f"{NAMES}, or a plug-in's.")] = "seawall",
    as_of: Annotated[
        str | None, typer.Option(help="Day whose parameters count, YYYY-MM-DD; without, the portfolio's own day.")
    ] = None,
    depeg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COIN=PRICE[,...]", help="Also with coins off their peg, USDC=0.87; again for another case."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Margin a portfolio: requirement, scenarios, contributions, distance. Exit 0 at or above the initial, else 1.

    With coins off their peg exit 0 means above in each of these cases, too.
    """
    answer(as_json, lambda: _margin(portfolio, model, as_of, [_prices(case) for case in depeg or ()]))


def _margin(portfolio: str, model: str, as_of: str | None, depegs: list[dict[str, float]]) -> Answer:
    from datetime import date

    from seawall.risk import margin as models

    try:
        day = date.fromisoformat(as_of) if as_of is not None else None
    except ValueError as error:
        raise InputError("as_of", as_of, "must be a day such as 2026-07-20") from error
    chosen = models.model(model)
    try:
        text = sys.stdin.buffer.read() if portfolio == "-" else Path(portfolio).read_bytes()
    except OSError as error:
        raise InputError("PORTFOLIO", portfolio, f"must be a file that can be read: {error.strerror}") from error
    book = models.read(text)
    report = chosen.evaluate(book, day)
    enforced, why = _enforced(chosen, book, day)
    document = {**report.document(), "enforced": None if enforced is None else enforced.document, "not_enforced": why}
    cases = [(prices, chosen.evaluate(book.with_prices(prices), day)) for prices in depegs]
    document["depegs"] = [
        {"prices": prices, **{name: getattr(case, name) for name in ("equity", "initial", "maintenance", "above")}}
        for prices, case in cases
    ]
    document["ok"] = report.above and all(case.above for _, case in cases)
    text = [*_text(report), *_beside(enforced, why), *_depegged(cases), "", _verdict(report, document["ok"])]
    return Answer(document, "\n".join(text), document["ok"])


def _prices(case: str) -> dict[str, float]:
    """Prices of one case, COIN=PRICE apart by commas. Raises InputError."""
    found = {}
    for one in case.split(","):
        name, _, price = one.partition("=")
        try:
            found[name] = float(price)
        except ValueError as error:
            raise InputError("depeg", one, "must be COIN=PRICE, such as USDC=0.87") from error
    return found


def _depegged(cases: list[tuple[dict[str, float], "MarginReport"]]) -> list[str]:
    """Equity and margin of each case, in the currency that the model answers in."""
    if not cases:
        return []
    lines = [f"\n{'off its peg':24}{'equity':>18}{'initial':>18}{'excess':>18}"]
    for prices, case in cases:
        name = ", ".join(f"{coin} {price:g}" for coin, price in prices.items())
        numbers = f"{case.equity:>18,.6f}{case.initial:>18,.6f}{case.equity - case.initial:>18,.6f}"
        lines.append(f"{name:24}{numbers}{'' if case.above else '  BELOW'}")
    return lines


def _enforced(chosen: Any, book: "Portfolio", day: "date | None") -> tuple["Enforced | None", str | None]:
    """What the engine would ask of the positions, or why that cannot be said."""
    from seawall.risk.margin.enforced_portfolio import enforce
    from seawall.risk.margin.rules import PublishedRules

    if not hasattr(chosen, "publish"):
        return None, f"{chosen.name} publishes nothing to the engine"
    if day is not None:
        return None, "the engine takes the parameters of the portfolio's own day"
    try:
        # What a venue adds for things outside its matrix is given, not computed: nothing is published of it.
        given = {name: value for name, value in book.parameters.items() if name != "add_ons"}
        house: Any = type(chosen)(parameters=given) if isinstance(chosen, PublishedRules) else chosen
        return enforce(house, book), None
    except InputError as error:
        return None, str(error)


def _beside(enforced: "Enforced | None", why: str | None) -> list[str]:
    if enforced is None:
        return [f"\nenforced: not comparable: {why}"]
    shown = enforced.document
    lines = [f"\n{'positions alone, in USD':24}{'published':>18}{'enforced':>18}{'ratio':>10}"]
    for row in ("initial", "maintenance"):
        ratio = shown["ratio"][row]
        numbers = f"{shown['published'][row]:>18,.6f}{shown['requirement'][row]:>18,.6f}"
        lines.append(f"{row:24}{numbers}{'-' if ratio is None else format(ratio, '.6f'):>10}")
    return lines


def _verdict(report: "MarginReport", held: bool) -> str:
    """The last line, of one mind with the exit status: `held` in every case."""
    off = ", BELOW it off the peg" if report.above and not held else ""
    return f"{'above' if report.above else 'BELOW'} the initial requirement{off}"


def _text(report: "MarginReport") -> list[str]:
    unit = report.currency
    lines = [
        f"{report.model}, parameters of {report.effective}, amounts in {unit}",
        f"  source: {report.source}",
        "",
        f"{'':14}{'required':>18}{'excess':>18}{'ratio':>10}",
    ]
    for row, asked in (("initial", report.initial), ("maintenance", report.maintenance)):
        ratio = f"{report.equity / asked:.3f}" if asked > 0 else "-"
        lines.append(f"{row:14}{asked:>18,.6f}{report.equity - asked:>18,.6f}{ratio:>10}")
    lines.append(f"{'equity':14}{report.equity:>18,.6f}")
    for block in report.blocks:
        if block.deciding is not None:
            lines.append(f"\n{block.name}: decided by {block.deciding}, of {len(block.scenarios)} scenarios")
    lines.append(f"\n{'contribution':40}{'initial':>18}{'maintenance':>18}")
    lines += [
        f"{item.block + ' ' + item.name:40}{item.initial:>18,.6f}{item.maintenance:>18,.6f}"
        for item in report.contributions
        if max(abs(item.initial), abs(item.maintenance)) >= 5e-7
    ]
    return lines + [f"\nnote: {note}" for note in report.notes]
