"""`seawall import`: a recorded market, folded through the engine into a journal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seawall.cli.output import Answer, Json, answer
from seawall.vocabulary.errors import InputError

if TYPE_CHECKING:
    from seawall.node import Configuration
    from seawall.prices import Batch, Importer, Recording
    from seawall.vocabulary.records import Events

Submit = Callable[["Batch"], "Events"]
Advance = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""

FRAME_COMMANDS: Final = 4096


def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording: Binance's raw streams as jsonl.gz.")],
    data: Annotated[Path, typer.Option(help="Folder for the journal, its copies in DIR/a and DIR/b; no journal yet.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Read only so many lines.")] = None,
    engine: Annotated[str, typer.Option(help="fast, or reference: the executable specification.")] = "fast",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fold and judge; write no journal.")] = False,
    as_json: Json = False,
) -> None:
    """Fold a recorded market into a journal, and say how much of it was reproduced and why not the rest.

    The recording is read and checked whole before anything is written.
    """
    answer(as_json, lambda: import_recording(file, data, limit=limit, engine=engine, dry_run=dry_run))


def import_recording(
    file: Path,
    data: Path,
    *,
    limit: int | None = None,
    engine: str = "fast",
    dry_run: bool = False,
    bar: bool = True,
) -> Answer:
    """What `seawall import` does and finds; `bar` shows progress where standard error is a terminal.

    Raises RecordingError for a bad recording and InputError for a folder that holds a journal, with nothing written;
    OutcomeUnknown if a write failed: then the journal stands unclosed, and the next start says so.
    """
    from seawall.journal import holds_journal
    from seawall.node import ENGINES, Configuration
    from seawall.prices import Importer, read_recording
    from seawall.prices.listing import Listing

    if engine not in ENGINES:
        raise InputError("engine", engine, f"must be one of {', '.join(ENGINES)}")
    configuration = Configuration.of({"data": str(data), "engine": engine, "group": FRAME_COMMANDS})
    if not dry_run and holds_journal(configuration.folders):
        raise InputError("data", str(data), "must not hold a journal yet: an import begins one")
    started = time.perf_counter()
    with _progress(bar) as advance:
        size = file.stat().st_size if file.exists() else 0
        recording = read_recording(file, limit, lambda read: advance("reading", read, size))
        Listing(recording)  # it, too, may refuse the recording: before there is a journal
        if dry_run:
            submit, next_seq = _fold_only(engine)
            importer = Importer(recording, next_seq)
            commands = _carry(importer, submit, advance)
        else:
            importer, commands = _journal(recording, configuration, advance)
    seconds = time.perf_counter() - started
    document = _document(file, importer, commands, seconds) | {"engine": engine, "dry_run": dry_run}
    sound = document["book_differences"] == 0 and document["refused"] == 0
    return Answer({"ok": sound, **document}, _text(document, importer), sound)


def _journal(recording: "Recording", configuration: "Configuration", advance: Advance) -> tuple["Importer", int]:
    """Through a node: every frame is in both copies before its events are judged."""
    from seawall.node import Node
    from seawall.prices import Importer

    first = recording.updates[0]
    now = [first.time_ns or first.arrival_ns - recording.offset_ns]
    node = Node.start(configuration, lambda: now[0])
    try:
        importer = Importer(recording, node.journal.next_seq)

        def submit(batch: "Batch") -> "Events":
            now[0] = batch.time_ns
            return node.submit(batch.commands, batch.attachments)

        commands = _carry(importer, submit, advance)
    except BaseException:
        node.journal.close()  # without CLOSED: what stands in the folder is not passed off as a whole import
        raise
    node.stop()
    return importer, commands


def _fold_only(engine: str) -> tuple[Submit, int]:
    """An engine by itself, stamping as a node would, behind what a new journal begins with; and the next seq."""
    import numpy as np

    from seawall.node import ENGINES, first_commands

    fold, opening = ENGINES[engine](), first_commands()
    folded = [len(opening)]
    opening["seq"] = np.arange(1, 1 + len(opening))
    fold.step(opening)

    def submit(batch: "Batch") -> "Events":
        commands = batch.commands.copy()
        commands["seq"] = np.arange(folded[0] + 1, folded[0] + 1 + len(commands))
        commands["time"] = batch.time_ns
        folded[0] += len(commands)
        return fold.step(commands, batch.attachments)

    return submit, folded[0] + 1


def _carry(importer: "Importer", submit: Submit, advance: Advance) -> int:
    """Every batch through `submit`, its events back to the importer; returns the number of commands."""
    commands = 0
    for batch in importer.batches():
        importer.hear(submit(batch))
        commands += len(batch.commands)
        advance("folding", *importer.progress)
    return commands


def _document(file: Path, importer: "Importer", commands: int, seconds: float) -> dict[str, Any]:
    recording, placement = importer.recording, importer.placement
    return {
        "file": file.name,
        "market": recording.market,
        "symbol": recording.symbol,
        "lines": recording.lines,
        "commands": commands,
        **importer.fidelity.document(),
        "trades_placed_by_effect": placement.by_effect,
        "gaps": [{"line": line, "behind": behind, "follows": follows} for line, behind, follows in recording.gaps],
        "trades_missing": recording.missing,
        "repeated_lines": recording.repeated,
        "updates_before_snapshot": importer.dropped,
        "levels_rounded": recording.rounded_levels,
        "levels_beyond_band": importer.book.beyond_band,
        "levels_crossed": importer.book.crossed,
        "publications": importer.publications,
        "seconds": round(seconds, 3),
    }


def _share(share: float | None, of: str = "") -> str:
    return "none to judge by" if share is None else f"{share:.2%}{of}"


def _text(document: dict[str, Any], importer: "Importer") -> str:
    """The fidelity table."""
    from seawall.prices.fidelity import MEANINGS

    found = importer.fidelity
    rows = [
        ("trades recorded", f"{found.trades_recorded:,}", ""),
        ("reproduced at price and size", f"{found.trades_reproduced:,}", _share(found.share_of_all, " of all")),
        ("trades with complete depth", f"{found.trades_with_complete_depth:,}", "by the recording itself"),
        ("of these reproduced", f"{found.reproduced_with_complete_depth:,}", _share(found.share_reproduced)),
    ]
    rows += [(f"  not: {cause}", f"{count:,}", MEANINGS[cause]) for cause, count in found.causes.most_common()]
    rows += [
        (f"  incomplete: {gap}", f"{count:,}", "reproduced or not")
        for gap, count in found.incomplete_depth.most_common()
    ]
    rows += [
        ("book checks", f"{found.book_checks:,}", f"{found.levels_checked:,} levels held against the recording"),
        ("book differences", f"{found.book_differences:,}", ""),
        ("commands refused", f"{found.refused:,}", found.first_refusal),
        ("gaps in the depth", f"{len(document['gaps']):,}", ""),
        ("trades not recorded", f"{document['trades_missing']:,}", "holes in the exchange's numbers of trades"),
    ]
    left, middle = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{row[0]:<{left}}  {row[1]:>{middle}}  {row[2]}".rstrip() for row in rows]
    head = f"{document['file']}: {document['symbol']} ({document['market']}), {document['lines']:,} lines"
    return "\n".join(
        [f"{head} -> {document['commands']:,} commands in {document['seconds']:.1f} s ({document['engine']})", *lines]
    )


@contextmanager
def _progress(wanted: bool) -> Iterator[Advance]:
    """A bar on standard error; silent where it is not wanted or that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (wanted and console.is_terminal)) as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=max(total, 1))

        yield advance
