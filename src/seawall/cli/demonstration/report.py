"""The HTML report: self-contained, tables always, plots where plotly is installed."""

import importlib.util
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from seawall.cli.demonstration.story import Series, Story
from seawall.cli.page import page, plots, table
from seawall.node import Configuration


def report(story: Story, configuration: Configuration) -> None:
    """Write DIR/report.html."""
    story.act("The report")
    plotted = importlib.util.find_spec("plotly") is not None
    series = story.series
    parts = [
        "<h1>Seawall: the demo's report</h1>",
        f"<p>Seed {configuration.sim.seed}, engine {escape(configuration.engine)}, margin model"
        f" {escape(configuration.margin.model)}.</p>",
        "" if plotted else "<p>Plots need plotly: <code>pip install 'seawall[report]'</code>.</p>",
        *(_figures(series) if plotted else []),
        "<h2>Index prices</h2>",
        table(("coin", "first", "lowest", "highest", "last"), (_path(*item) for item in series.index.items())),
        "<h2>Requirement and equity, in dollars</h2>",
        table(
            ("account", "requirement", "equity", "least excess"), (_margin(*item) for item in series.margins.items())
        ),
        "<h2>Refusals by reason</h2>",
        table(("reason", "count"), sorted(series.refusals.items(), key=lambda item: -item[1])),
        "<h2>Group commits, both copies durable and applied</h2>",
        table(("percentile", "microseconds"), _percentiles(series.latencies_us)),
        "<h2>What was asked, and what became of it</h2>",
        table(
            ("asked", "outcome", "in words", "numbers"),
            ((one.asked, one.outcome, one.words, one.sentence) for one in story.refusals),
        ),
        "<h2>The journal</h2>",
        table(("fact", "value"), story.facts.items()),
        "<h2>Checks</h2>",
        table(("claim", "outcome"), ((one.claim, "holds" if one.ok else "FAILS") for one in story.checks)),
        "<h2>Where to look next</h2>",
        f"<p><code>seawall replay {escape(configuration.data)} --engine reference</code> folds this journal again;"
        f" <code>seawall verify {escape(configuration.data)}</code> checks both copies;"
        " docs/architecture.md says how it hangs together.</p>",
    ]
    file = story.out / "report.html"
    file.write_text(page("Seawall demo", "\n".join(parts)), encoding="utf-8")
    story.say(
        f"{file}, {file.stat().st_size / 1e6:.1f} MB"
        + ("." if plotted else "; plots need pip install 'seawall[report]'.")
    )
    story.check("the report stands by itself and has every table", file.read_text().count("<table>") == 7)


def _path(coin: str, prices: list[float]) -> tuple[str, float, float, float, float]:
    return coin, prices[0], min(prices), max(prices), prices[-1]


def _margin(name: str, rows: list[tuple[float, float]]) -> tuple[str, float, float, float]:
    return name, rows[-1][0], rows[-1][1], min(equity - requirement for requirement, equity in rows)


def _percentiles(latencies: list[float]) -> list[tuple[str, float]]:
    at = (50, 90, 99, 100)
    return list(zip((f"{p} %" for p in at), map(float, np.percentile(latencies, at)), strict=True))


def _figures(series: Series) -> list[str]:
    from plotly import graph_objects as go

    def line(name: str, values: Sequence[float], **more: Any) -> Any:
        return go.Scatter(x=series.minutes, y=list(values), name=name, **more)

    index = go.Figure(line("BTC index", series.index["BTC"]))
    minutes, prices = zip(*series.trades, strict=True) if series.trades else ((), ())
    trades = {"mode": "markers", "marker": {"size": 4, "opacity": 0.5}}
    index.add_trace(go.Scatter(x=list(minutes), y=list(prices), name="trades of BTC-PERPETUAL", **trades))
    index.update_layout(title="Index and trades", xaxis_title="minutes", yaxis_title="USD")
    figures = [index]
    for name, rows in series.margins.items():
        figure = go.Figure([line("requirement", [row[0] for row in rows]), line("equity", [row[1] for row in rows])])
        figure.update_layout(title=f"Requirement and equity: {name}", xaxis_title="minutes", yaxis_title="USD")
        figures.append(figure)
    reasons = sorted(series.refusals.items(), key=lambda item: -item[1])
    bars = go.Figure(go.Bar(x=[name for name, _ in reasons], y=[count for _, count in reasons]))
    bars.update_layout(title="Refusals by reason", yaxis_type="log")
    latency = go.Figure(go.Histogram(x=series.latencies_us, nbinsx=60))
    latency.update_layout(title="Group commit latency", xaxis_title="microseconds", yaxis_title="commits")
    figures += [bars, latency]
    return plots(figures)
