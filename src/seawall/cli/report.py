"""`seawall report`: a desk's week from its journal alone, and the marks people put on false refusals."""

import importlib.util
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seawall.cli.checkpoint import Archive
from seawall.cli.output import Answer, ConfigFile, Data, Json, Mirror, answer, folders_from, load_kernels
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.cli.reporting import Report

MARKS: Final = "report-marks.json"
_NOTES: Final = (
    "Refused: by the gate. Not weighed: in observe, what enforce would have refused without weighing it; what enforce"
    " does turn away so is in no journal. Went anyway: the journal says that the venue took the order (observe); an"
    " edit that went anyway, and an order that the venue refused as well, are not among them."
)


def report(
    data: Data = None,
    mirror: Mirror = None,
    config: ConfigFile = None,
    since: Annotated[str | None, typer.Option("--from", help="ISO date or time, UTC unless it says otherwise.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The same, exclusive.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write an HTML page, which needs plotly.")] = None,
    false: Annotated[
        int | None,
        typer.Option(metavar="SEQ", help=f"Mark a refusal as false, in DIR/{MARKS}; never in the journal."),
    ] = None,
    note: Annotated[str, typer.Option(help="Why it was false; with --false.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --false: check it and write nothing.")] = False,
    archive: Archive = None,
    as_json: Json = False,
) -> None:
    """Tell a desk's week: orders, refusals and their numbers, fills, unknown outcomes, restrictions."""
    answer(as_json, lambda: _report(data, mirror, config, (since, until), out, false, note, dry_run, archive))


def _report(
    data: Path | None,
    mirror: Path | None,
    config: Path | None,
    window: tuple[str | None, str | None],
    out: Path | None,
    false: int | None,
    note: str,
    dry_run: bool,
    archive: Path | None,
) -> Answer:
    if out is not None and importlib.util.find_spec("plotly") is None:
        raise InputError("--out", str(out), "needs plotly: pip install 'seawall[report]'")
    if (false is None) == bool(note):
        raise InputError("--note", note, "must be given with --false, and only then")
    if dry_run and false is None:
        raise InputError("--dry-run", "", "must be given with --false")
    since, until = _nanoseconds("--from", window[0], 0), _nanoseconds("--to", window[1], 2**63 - 1)
    if since >= until:
        raise InputError("--to", window[1], "must be later than --from")
    settings = folders_from(data, mirror, config)
    load_kernels("fast")
    from seawall.cli.reporting import Reporter
    from seawall.journal.checkpoint import write_durably
    from seawall.node import replay

    reporter = Reporter(since, until)
    result = replay(settings.folders, witness=reporter.take, archive=archive)
    made, file = reporter.report, Path(settings.data) / MARKS
    marks = _marks(file)
    if false is not None:
        if false not in made.refused:
            rule = "must be the seq of an order or edit that was refused, within --from and --to"
            raise InputError("--false", false, rule)
        marks[false] = {"note": note, "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")}
        if not dry_run:
            write_durably(file, json.dumps(marks, indent=1).encode() + b"\n")
    document = _document(made, marks)
    document = {"ok": result.conserved, "folded": result.commands, "digest": result.digest, **document}
    if out is not None and not dry_run:
        page = _html(made, document)
        try:
            out.write_text(page, encoding="utf-8")
        except OSError as error:
            raise InputError("--out", str(out), f"cannot be written: {error.strerror}") from error
    return Answer(document, _text(document), result.conserved)


def _nanoseconds(field: str, text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(field, text, "must be an ISO date or time, such as 2026-06-01") from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9


def _marks(file: Path) -> dict[int, dict[str, str]]:
    """Refusals that people called false, by seq. Raises InputError for a file that is not as it was written."""
    import msgspec

    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[int, dict[str, str]])
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError("marks", str(file), f"must hold the notes by seq: {error}") from None


def _document(made: "Report", marks: dict[int, dict[str, str]]) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(made)
    refused = len(plain.pop("refused"))
    counted = [{"seq": seq, "bot": made.refused[seq], **mark} for seq, mark in marks.items() if seq in made.refused]
    limits = {
        name: {"count": cost.count, "notional_usd": cost.notional_usd, "went_anyway": cost.went_anyway}
        for name, cost in made.limits().items()
    }
    false = {"marked": len(counted), "refused": refused, "rate": len(counted) / refused if refused else 0.0}
    orders = sum(plain.pop("held").values())
    latency = {"orders": orders, "p50_ms": made.held_at(0.5), "p99_ms": made.held_at(0.99), "most_ms": made.held_at(1)}
    return {**plain, "limits": limits, "false": {**false, "marks": counted}, "latency": latency}


def _text(document: dict[str, Any]) -> str:
    lines = [_stretch(document)]
    for name, bot in document["bots"].items():
        fees = ", ".join(f"{amount:,.8g} {currency}" for currency, amount in bot["fees"].items()) or "none"
        lines.append(
            f"{name}: {bot['orders']:,} orders and {bot['edits']:,} edits, {bot['accepted']:,} accepted,"
            f" {bot['refused']:,} refused ({bot['went_anyway']:,} went anyway), {bot['fills']:,} fills for"
            f" ${bot['volume_usd']:,.0f}, fees {fees}"
        )
        for reason, cost in bot["reasons"].items():
            lines.append(f"  {reason}: {cost['count']:,}, ${cost['notional_usd']:,.0f}")
            lines += [
                f"    {one['seq']} {one['kind']} {one['side']} {one['amount']:,.12g} {one['instrument']}"
                f" at {_price(one['price'])}: {one['words']}"
                for one in cost["examples"]
            ]
    lines += [
        f"would have been refused, not weighed: {one['bot']} {one['method']}, {one['count']:,}: {one['code']}"
        f" {one['reason']}"
        for one in document["unweighed"]
    ]
    lines += [f"unknown outcome of {one['seq']} ({one['bot']}): {one['ended']}" for one in document["unknown"]]
    lines.append(f"breaks found: {sum(one['count'] for one in document['breaks'] if one['kind'] == 'break'):,}")
    lines += [
        f"{one['time']} {one['kind']} {one['account']} {_differed(one)}"
        + f", {one['count']:,} times" * (one["count"] > 1)
        for one in document["breaks"]
    ]
    lines += [
        f"{one['time']} {one['scope']} {one['name']}: {one['before']} to {one['state']} by {one['by']}: {one['reason']}"
        for one in document["restrictions"]
    ]
    false = document["false"]
    lines.append(f"called false by people: {false['marked']} of {false['refused']} refusals, {false['rate']:.2%}")
    lines.append(_held(document["latency"]))
    return "\n".join(lines)


def _stretch(document: dict[str, Any]) -> str:
    if not document["commands"]:
        return f"the journal has nothing of that time, of {document['folded']:,} commands"
    return f"{document['since']} to {document['until']}, {document['commands']:,} of {document['folded']:,} commands"


def _price(price: float) -> str:
    return f"{price:,.12g}" if price else "market"


def _differed(one: dict[str, Any]) -> str:
    """What a break is about, in words."""
    if one["theirs"] is None:
        return ": ".join(part for part in (one["about"], one["why"]) if part)
    return f"{one['about']}: theirs {one['theirs']:,}, ours {one['ours']:,} {one['unit']}"


def _held(latency: dict[str, Any]) -> str:
    if not latency["orders"]:
        return "latency added: not told yet (the journal hears of it once a minute)"
    return (
        f"latency added on the way to the venue: {latency['p50_ms']:.2f} ms (p50), {latency['p99_ms']:.2f} ms (p99),"
        f" {latency['most_ms']:.2f} ms (most), of {latency['orders']:,} orders"
    )


def _html(made: "Report", document: dict[str, Any]) -> str:
    from seawall.cli.page import page, plots, table

    bots, false = made.bots, document["false"]
    parts = [
        f"<h1>The desk, {made.since} to {made.until}</h1><p>From the journal alone, {_stretch(document)};"
        f" digest of all events {document['digest']}. {_NOTES}</p><p>{_held(document['latency'])}.</p>",
        *plots(_figures(made)),
        "<h2>Bots</h2>",
        table(
            ("bot", "orders", "edits", "accepted", "refused", "went anyway", "taken back", "fills", "USD", "fees"),
            (
                (name, bot.orders, bot.edits, bot.accepted, bot.refused, bot.went_anyway, bot.taken_back, bot.fills,
                 bot.volume_usd, ", ".join(f"{amount:.8g} {currency}" for currency, amount in bot.fees.items()))
                for name, bot in bots.items()
            ),
        ),
        "<h2>What each limit cost</h2>",
        table(
            ("reason", "refused", "went anyway", "notional, USD"),
            ((name, cost.count, cost.went_anyway, cost.notional_usd) for name, cost in made.limits().items()),
        ),
        "<h2>Would have been refused, not weighed</h2>",
        table(
            ("bot", "method", "calls", "error", "why"),
            ((one.bot, one.method, one.count, str(one.code), one.reason) for one in made.unweighed),
        ),
        "<h2>Refusals, the first of each kind</h2>",
        table(
            ("seq", "time", "bot", "asked", "price", "amount", "USD", "reason", "in words", "went anyway"),
            (
                (str(one.seq), one.time, one.bot, f"{one.kind} {one.side} {one.instrument}", one.price, one.amount,
                 one.notional_usd, one.reason, one.words, "yes" if one.went_anyway else "")
                for bot in bots.values() for cost in bot.reasons.values() for one in cost.examples
            ),
        ),
        "<h2>Called false by people</h2>",
        f"<p>{false['marked']} of {false['refused']} refusals, {false['rate']:.2%}.</p>",
        table(("seq", "bot", "note", "at"), ((str(m["seq"]), m["bot"], m["note"], m["at"]) for m in false["marks"])),
        "<h2>Unknown outcomes</h2>",
        table(
            ("order", "time", "bot", "instrument", "how it ended", "seconds"),
            ((str(u.seq), u.time, u.bot, u.instrument, u.ended, "" if u.seconds is None else u.seconds)
             for u in made.unknown),
        ),
        "<h2>Breaks found, and what else differed at the venue</h2>",
        table(
            ("time", "last", "what", "account", "about", "theirs", "ours", "unit", "why", "times"),
            ((b.time, b.last, b.kind, b.account, b.about, "" if b.theirs is None else b.theirs,
              "" if b.ours is None else b.ours, b.unit, b.why, b.count) for b in made.breaks),
        ),
        "<h2>Restrictions</h2>",
        table(
            ("seq", "time", "of", "name", "from", "to", "by", "because"),
            ((str(r.seq), r.time, r.scope, r.name, r.before, r.state, r.by, r.reason) for r in made.restrictions),
        ),
    ]  # fmt: skip
    return page("Seawall: the desk's report", "\n".join(parts))


def _figures(made: "Report") -> list[Any]:
    from plotly import graph_objects as go

    days, limits = list(made.days), made.limits()
    by_day = go.Figure([
        go.Bar(x=days, y=[made.days[day][place] for day in days], name=name)
        for place, name in enumerate(("accepted", "refused"))
    ])  # fmt: skip
    by_day.update_layout(title="Orders and edits by day", barmode="stack")
    cost = go.Figure(go.Bar(x=list(limits), y=[one.notional_usd for one in limits.values()]))
    cost.update_layout(title="Notional refused by reason", yaxis_title="USD")
    return [by_day, cost]
