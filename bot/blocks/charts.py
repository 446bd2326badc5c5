"""Slack's charts and sortable tables, within their limits; who uses them gives a message a `fallback` as well.

https://docs.slack.dev/reference/block-kit/blocks
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.blocks.message import Block
from bot.blocks.text import one_line

MOST_CATEGORIES = 20
MOST_SERIES = 6
MOST_ROWS = 100
MOST_COLUMNS = 20
TABLE_CHARACTERS = 4000
"""The tables of one message may hold 10,000 characters together; two fit."""
LABEL = 20
TITLE = 50
CAPTION = 200
CELL = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number in a table: what it is sorted by, and how it reads."""

    value: float
    text: str


Cell: TypeAlias = str | Number


def chart(
    kind: Literal["bar", "line", "area"],
    title: str,
    categories: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
) -> Block:
    """Return a chart of up to 20 categories and six series, each with a value for every category.

    Categories have to differ once cut to 20 characters. Raises ValueError for a series of another length.
    """
    shown = [one_line(category, LABEL) or "—" for category in categories][:MOST_CATEGORIES]
    drawn = [
        {
            "name": one_line(name, LABEL) or "—",
            "data": [
                {"label": label, "value": round(value, 2)}
                for label, value in zip(shown, values[:MOST_CATEGORIES], strict=True)
            ],
        }
        for name, values in list(series.items())[:MOST_SERIES]
    ]
    axes = {"categories": shown, "x_label": one_line(x_label, TITLE), "y_label": one_line(y_label, TITLE)}
    return {
        "type": "data_visualization",
        "title": one_line(title, TITLE) or "—",
        "chart": {"type": kind, "series": drawn, "axis_config": axes},
    }


def data_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell]], *, page_size: int = 10) -> Block:
    """Return a sortable table with a head and at least one row; what exceeds Slack's limits is left out at the end."""
    kept: list[list[Block]] = []
    left = TABLE_CHARACTERS
    for row in ([*head], *rows[:MOST_ROWS]):
        cells = [_cell(cell) for cell in row[:MOST_COLUMNS]]
        left -= sum(len(cell["text"]) for cell in cells)
        if left < 0 and len(kept) > 1:
            break
        kept.append(cells)
    return {
        "type": "data_table",
        "caption": one_line(caption, CAPTION) or "—",
        "rows": kept,
        "page_size": max(1, min(page_size, 100)),
    }


def _cell(cell: Cell) -> Block:
    if isinstance(cell, Number):
        return {"type": "raw_number", "value": round(cell.value, 3), "text": one_line(cell.text, CELL) or "—"}
    return {"type": "raw_text", "text": one_line(cell, CELL) or "—"}
