"""The table that people read."""

from __future__ import annotations

from collections.abc import Sequence

from bench.stats import Row, Spread

HEAD = ("what", "unit", "deployer (p95; min–max)", "floor (p95; min–max)", "ratio (min–max)", "to reach", "")


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Spread | None) -> str:
    """The median, and how far the repetitions lie apart."""
    if values is None:
        return "–"
    if len(values.values) == 1:
        return number(values.median)
    return f"{number(values.median)} ({number(values.p95)}; {number(values.least)}–{number(values.most)})"


def ratio(row: Row) -> str:
    """The ratio that is judged, and those of the repetitions."""
    if not row.floor:
        return "–"
    pairs = row.pairs
    apart = f" ({number(pairs.least)}–{number(pairs.most)})" if pairs and len(pairs.values) > 1 else ""
    return f"{number(row.value)} ×{apart}"


def goal(row: Row) -> str:
    """The target with its sense."""
    if row.target is None:
        return ""
    return f"{'≥' if row.at_least else '≤'} {number(row.target)}{' ×' if row.floor else ' ' + row.unit}"


def cells(row: Row) -> tuple[str, ...]:
    """A row as texts."""
    verdict = {None: "", True: "yes", False: "NO"}[row.met]
    return row.what, row.unit, spread(row.ours), spread(row.floor), ratio(row), goal(row), verdict


def table(rows: Sequence[Row]) -> str:
    """All rows as a table of Markdown, aligned for the terminal as well."""
    lines = [HEAD, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])
