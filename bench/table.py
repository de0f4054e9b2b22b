"""The tables that people read, from the rows and curves of `bench.json`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("what", "unit", "deployer (p95; min–max)", "floor (p95; min–max)", "ratio (min–max)", "to reach", "")
BEGIN, END = "<!-- bench -->\n", "\n<!-- /bench -->"


def number(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Mapping[str, float] | None) -> str:
    """Return the median, and how far the repetitions lie apart."""
    if values is None:
        return "–"
    if values["n"] == 1:
        return number(values["median"])
    least, most = number(values["min"]), number(values["max"])
    return f"{number(values['median'])} ({number(values['p95'])}; {least}–{most})"


def ratio(row: Mapping[str, Any]) -> str:
    """Return the ratio that is judged, and those of the repetitions."""
    if not row["floor"]:
        return "–"
    pairs = row["ratios"]
    apart = f" ({number(pairs['min'])}–{number(pairs['max'])})" if pairs and pairs["n"] > 1 else ""
    return f"{number(row['value'])} ×{apart}"


def goal(row: Mapping[str, Any]) -> str:
    """Return the target with its sense."""
    if row["target"] is None:
        return ""
    unit = " ×" if row["floor"] else f" {row['unit']}"
    return f"{'≥' if row['sense'] == 'at least' else '≤'} {number(row['target'])}{unit}"


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row as texts."""
    verdict = {None: "", True: "yes", False: "**no**"}[row["met"]]
    return row["what"], row["unit"], spread(row["ours"]), spread(row["floor"]), ratio(row), goal(row), verdict


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return all rows as a Markdown table, aligned for the terminal as well."""
    return aligned([HEAD, *(cells(row) for row in rows)])


def curve(told: Mapping[str, Any]) -> str:
    """Return a curve as a Markdown table, with the cost of one more between two sizes."""
    head = ("size", f"deployer ({told['unit']})", f"floor ({told['unit']})", "one more costs", "at the floor")
    lines, before = [], None
    for point in told["points"]:
        more = [
            number((point[kind] - before[kind]) / (point["size"] - before["size"])) if before else ""
            for kind in ("ours", "floor")
        ]
        lines.append((str(point["size"]), number(point["ours"]), number(point["floor"]), *more))
        before = point
    return aligned([head, *lines])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def report(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return what stands between the marks of docs/performance.md."""
    parts = [table(told["rows"])]
    newest = max([*told["rows"], *told["curves"]], key=lambda one: str(one["date"]))
    on = newest["machine"]
    where = f"{on['cores']} cores of {on['processor']}, Linux {on['kernel']}, Python {on['python']}"
    parts.append(f"Measured on {newest['date']}: {where}, load {on['load']:.1f} when it began.")
    parts += [f"{one['what'].capitalize()}:\n\n{curve(one)}" for one in told["curves"]]
    return "\n\n".join(parts)


def placed(page: str, text: str) -> str:
    """Return a page with the text between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("the page has no marks for the table")
    return before + BEGIN + text + END + after
