"""What a row of `seawall bench` is, and what its parts share."""

from typing import Final, NamedTuple

START: Final = "from seawall.cli.main import main; main()"
"""The command line, for a Python of its own."""

BATCH: Final = 2000
ROUNDS: Final = 5
STREAM: Final = 200_000
SMALL: Final = (1_000, 100, 100_000)
LARGE: Final = (10_000, 1_000, 1_000_000)


class Row(NamedTuple):
    """One figure: `asked` is the bound, `holds` whether the value keeps it, `against` the yardstick and settings.

    Of a figure that was not run nothing is known: neither its value nor whether it holds.
    """

    name: str
    value: float | None
    unit: str
    asked: str
    holds: bool | None
    against: str


def at_least(name: str, value: float, unit: str, least: float, against: str) -> Row:
    """A figure that must not be below `least`."""
    return Row(name, value, unit, f">= {least:,.10g}", value >= least, against)


def at_most(name: str, value: float, unit: str, most: float, against: str) -> Row:
    """A figure that must not be above `most`."""
    return Row(name, value, unit, f"<= {most:,.10g}", value <= most, against)


def if_steady(row: Row, *, steady: bool) -> Row:
    """The row, which does not hold where its rounds are too far apart to tell."""
    return row if steady else row._replace(holds=False, against=f"TOO NOISY TO TELL, measure again; {row.against}")


def not_run(name: str, unit: str, why: str) -> Row:
    """A figure that this machine cannot measure: neither a failure nor a success."""
    return Row(name, None, unit, "", None, f"NOT RUN: {why}")
