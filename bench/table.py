"""What a benchmark reports: a ratio against a floor, and its goal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured thing: the floor's figure and the bot's with their unit, and the ratio where there is one."""

    what: str
    goal: str
    floor: str
    bot: str
    ratio: float | None = None
    is_met: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A benchmark that runs singly: `python -m bench NAME`. `run` gets an empty folder.

    `short` is the same with little of everything: it shows that the row works, its figures say nothing.
    """

    name: str
    run: Callable[[Path], Sequence[Line]]
    short: Callable[[Path], Sequence[Line]] | None = None


def ratio(
    what: str, floor: float, bot: float, *, unit: str, most: float | None = None, least: float | None = None
) -> Line:
    """Return the line of a figure and its floor."""
    value = bot / floor
    if least is not None:
        goal, is_met = f">= {least:g}", value >= least
    elif most is not None:
        goal, is_met = f"<= {most:g}", value <= most
    else:
        goal, is_met = "", None
    return Line(
        what=what, goal=goal, floor=f"{floor:,.4g} {unit}", bot=f"{bot:,.4g} {unit}", ratio=value, is_met=is_met
    )


def show(lines: Sequence[Line]) -> None:
    """Print the lines as a table."""
    table = Table("what", "floor", "bot", "ratio", "goal", "met", title="Buildbell, against floors of the same run")
    for line in lines:
        met = "" if line.is_met is None else "yes" if line.is_met else "NO"
        table.add_row(
            line.what, line.floor, line.bot, "" if line.ratio is None else f"{line.ratio:.2f}", line.goal, met
        )
    Console(width=150).print(table)
