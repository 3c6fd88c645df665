"""Narration and checks: what is claimed is checked, and a claim that fails makes the whole demo fail."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from seawall.cli.output import Answer


@dataclass(frozen=True, slots=True)
class Check:
    """A claim and whether it held."""

    claim: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """An order or request of act 2 and what became of it."""

    asked: str
    outcome: str
    words: str
    sentence: str


@dataclass(slots=True)
class Series:
    """What the report plots: one row for each round of trading."""

    minutes: list[float] = field(default_factory=list)
    index: dict[str, list[float]] = field(default_factory=dict)
    margins: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # requirement, equity in USD
    trades: list[tuple[float, float]] = field(default_factory=list)  # minute, price of BTC-PERPETUAL in USD
    refusals: dict[str, int] = field(default_factory=dict)
    latencies_us: list[float] = field(default_factory=list)


class Story:
    """Speaks on standard output, or on standard error when that belongs to the document."""

    def __init__(self, out: Path, as_json: bool) -> None:
        self.out = out
        self.began = time.monotonic()
        self.console = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self.checks: list[Check] = []
        self.refusals: list[Refusal] = []
        self.facts: dict[str, Any] = {}
        self.series = Series()
        self.acts = 0

    def act(self, title: str) -> None:
        """Begin an act."""
        self.acts += 1
        self.console.print(f"\n[bold]{self.acts}. {escape(title)}[/bold]")

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(f"   {escape(text)}")

    def note(self, text: str) -> None:
        """One line, dimmed."""
        self.console.print(f"   [dim]{escape(text)}[/dim]")

    def check(self, claim: str, ok: bool, *, quiet: bool = False) -> None:
        """Show a claim with its outcome; the demo fails with it. `quiet` shows it only if it failed."""
        self.checks.append(Check(claim, bool(ok)))
        if ok and quiet:
            return
        mark = "[green]holds[/green]" if ok else "[bold red]FAILS[/bold red]"
        self.console.print(f"   {mark}  {escape(claim)}")

    def tell(self, refusal: Refusal) -> None:
        """Show what became of a request in act 2."""
        self.refusals.append(refusal)
        self.console.print(f"   {escape(refusal.asked)}\n      [bold]{escape(refusal.outcome)}[/bold]: ", end="")
        self.console.print(escape(refusal.words))
        if refusal.sentence not in ("", refusal.words):
            self.console.print(f"      [dim]{escape(refusal.sentence)}[/dim]")

    def end(self) -> Answer:
        """The closing words, and the document."""
        failed = [check.claim for check in self.checks if not check.ok]
        seconds = time.monotonic() - self.began
        document = {
            "ok": not failed,
            "seconds": round(seconds, 1),
            "checks": [{"claim": check.claim, "ok": check.ok} for check in self.checks],
            "refusals": [
                {"asked": one.asked, "outcome": one.outcome, "words": one.words, "sentence": one.sentence}
                for one in self.refusals
            ],
            "facts": self.facts,
            "journal": str(self.out / "journal"),
            "report": str(self.out / "report.html"),
        }
        journal = self.out / "journal"
        lines = [
            "",
            f"{len(self.checks) - len(failed)} of {len(self.checks)} checks hold, {seconds:.0f} seconds.",
            *(f"FAILED: {claim}" for claim in failed),
            "",
            "Where to look next",
            f"   {self.out / 'report.html'}: the report, in a browser",
            f"   seawall replay {journal} --engine reference: fold the journal yourself",
            f"   seawall verify {journal}: both copies, page by page",
            f"   {self.out / 'seawall.toml'}: the settings this venue ran with",
            "   docs/architecture.md and docs/operator.md of the source: how it hangs together, how it is run",
        ]
        return Answer(document, "\n".join(lines), not failed)
