"""HTML pages that stand by themselves: tables, and figures where plotly is installed."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } td, th { padding: .2rem .8rem; text-align: left }
tr:nth-child(even) { background: #f4f4f4 } td.n { text-align: right; font-variant-numeric: tabular-nums }
.bad { color: #b00; font-weight: bold } h2 { margin-top: 2.5rem } code { background: #f0f0f0; padding: 0 .2rem }
"""


def page(title: str, body: str) -> str:
    """A whole document; `body` is HTML."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of plain values; the word FAILS stands out."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def plots(figures: Sequence[Any]) -> list[str]:
    """Figures of plotly as HTML, the library within the first."""
    from plotly.io import to_html

    return [
        to_html(figure, full_html=False, include_plotlyjs=number == 0, default_height="380px")
        for number, figure in enumerate(figures)
    ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"<td class='n'>{value:,.2f}</td>"
    if isinstance(value, int):
        return f"<td class='n'>{value:,}</td>"
    return f"<td class='bad'>{value}</td>" if value == "FAILS" else f"<td>{escape(str(value))}</td>"
