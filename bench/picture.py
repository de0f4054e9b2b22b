"""A picture of the results: bars of ratios against their targets, and curves of growth. Pure, SVG by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LINE, LEFT, BAR = 900, 26, 400, 330  # pixels
PLOT_WIDTH, PLOT_HEIGHT, GAP = 235, 170, 55
GOOD, BAD, PLAIN, INK, FAINT = "#2e7d32", "#c62828", "#546e7a", "#222", "#bbb"
FONT = 'font-family="DejaVu Sans, Verdana, sans-serif"'


def draw(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draw the picture of `bench.json` as SVG."""
    rows = [row for row in told["rows"] if row["target"] is not None]
    top = 66
    below = top + LINE * len(rows) + 40
    height = below + (PLOT_HEIGHT + 75 if told["curves"] else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" {FONT} font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        text(20, 24, "Cost against the target (the line)", size=15),
        text(
            20,
            44,
            "bars to the left of the line, or beyond it for “at least”, reach it; logarithmic",
            FAINT_INK,
        ),
        *(part for number, row in enumerate(rows) for part in bar(row, top + LINE * number)),
        f'<path d="M{LEFT + BAR / 2} {top - 8}V{below - 36}" stroke="{INK}"/>',
    ]
    for number, curve in enumerate(told["curves"]):
        parts += plot(curve, 55 + number * (PLOT_WIDTH + GAP), below + 20)
    return "\n".join([*parts, "</svg>", ""])


FAINT_INK = "#666"


def text(x: float, y: float, words: str, fill: str = INK, size: int = 12, anchor: str = "start") -> str:
    """Draw a line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def bar(row: Mapping[str, Any], y: float) -> Iterable[str]:
    """Draw a bar on a logarithmic scale whose middle is the target; the edges are 100 times away."""
    share = math.log(max(row["value"], 1e-9) / row["target"], 100)
    length = BAR * min(max(0.5 + share / 2, 0.01), 1)
    colour = GOOD if row["met"] else BAD
    sign = "≥" if row["sense"] == "at least" else "≤"
    unit = "×" if row["floor"] else row["unit"]
    yield text(LEFT - 8, y + 13, row["what"], anchor="end")
    yield f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="17" fill="{colour}" opacity="0.8"/>'
    yield text(LEFT + BAR + 10, y + 13, f"{row['value']:.3g} {unit} ({sign} {row['target']:g})", colour)


def plot(curve: Mapping[str, Any], x: float, y: float) -> Iterable[str]:
    """Draw one curve and its floor, both axes logarithmic."""
    points = curve["points"]
    values = [point[kind] for point in points for kind in ("ours", "floor")]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(points[0]["size"]), math.log10(points[-1]["size"])

    def place(size: float, value: float) -> tuple[float, float]:
        across = (math.log10(size) - first) / ((last - first) or 1)
        up = (math.log10(value) - low) / ((high - low) or 1)
        return x + across * PLOT_WIDTH, y + PLOT_HEIGHT - up * PLOT_HEIGHT

    yield text(x - 35, y - 12, f"{curve['what']} ({curve['unit']})", size=9)
    for power in range(low, high + 1):
        _, level = place(points[0]["size"], 10**power)
        yield f'<line x1="{x}" y1="{level:.1f}" x2="{x + PLOT_WIDTH}" y2="{level:.1f}" stroke="{FAINT}"/>'
        yield text(x - 5, level + 4, f"{10**power:g}", size=10, anchor="end")
    for point in points:
        yield text(
            place(point["size"], 10**low)[0],
            y + PLOT_HEIGHT + 15,
            f"{point['size']}",
            size=10,
            anchor="middle",
        )
    for kind, colour, name in (("ours", BAD, "deployer"), ("floor", PLAIN, "floor")):
        places = [place(point["size"], point[kind]) for point in points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield text(places[-1][0] - 4, places[-1][1] - 6, name, colour, 10, "end")
