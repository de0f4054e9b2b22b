"""Tables that fit: columns are shortened, then dropped, before a cell is cut; no cell is ever folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from deployer.errors import printable

GAP = "  "
LEAST = 8  # characters that a column keeps when it is cut


@dataclass(frozen=True)
class Column:
    """A column with its cells, of which `short` says the same in fewer characters."""

    name: str
    cells: Sequence[str | Text]
    short: Sequence[str | Text] | None = None
    drop: int = 0  # the columns of the highest number are dropped first, those of 0 never
    cut: bool = False  # its cells may end in an ellipsis
    content: int = 0  # the width with which it is content, so that no other is dropped for more; 0 for all

    @property
    def width(self) -> int:
        """Return the width of its widest cell."""
        return max([len(self.name), *(len(cell) for cell in self.cells)])


@dataclass(frozen=True)
class Fitted:
    """The lines of a table, its header first, and the columns that did not fit."""

    lines: tuple[Text, ...]
    dropped: tuple[str, ...]


def fit(columns: Sequence[Column], width: int) -> Fitted:
    """Return the lines of a table that is no wider than the terminal.

    Args:
        columns: from left to right, each with as many cells as the others.
        width: of the terminal, in characters.
    """
    kept = list(columns)
    if _width(kept) > width:
        kept = [replace(c, cells=c.short or c.cells, short=None) for c in kept]
    dropped = []
    for column in sorted((c for c in kept if c.drop), key=lambda c: -c.drop):
        if _width(kept) - sum(max(0, c.width - c.content) for c in kept if c.content) <= width:
            break
        kept.remove(column)
        dropped.append(column.name)
    widths = _cut(kept, width)
    header = _line([Text(c.name, style="bold") for c in kept], widths)
    rows = zip(*(c.cells for c in kept), strict=True) if kept else ()
    return Fitted((header, *(_line(row, widths) for row in rows)), tuple(dropped))


def plain(cell: str | Text, style: str = "") -> Text:
    """Return a cell without what rich or a terminal would take for more than text."""
    text = Text(cell, style) if isinstance(cell, str) else cell.copy()
    text.plain = printable(text.plain).replace("\n", " ")
    return text


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _cut(columns: Sequence[Column], width: int) -> list[int]:
    widths = [column.width for column in columns]
    while (over := sum(widths) + len(GAP) * (len(widths) - 1) - width) > 0:
        able = [i for i, c in enumerate(columns) if c.cut and widths[i] > LEAST]
        if not able:
            break
        widest = max(able, key=lambda i: widths[i])
        next_widest = max((widths[i] for i in able if i != widest), default=LEAST)
        widths[widest] -= max(1, min(over, widths[widest] - max(next_widest, LEAST)))
    return widths


def _line(cells: Sequence[str | Text], widths: Sequence[int]) -> Text:
    line = Text(no_wrap=True)
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = plain(cell)
        text.truncate(width, overflow="ellipsis", pad=number < len(widths) - 1)
        line.append_text(text)
        line.append("" if number == len(widths) - 1 else GAP)
    line.rstrip()
    return line
