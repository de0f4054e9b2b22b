"""Terminal sessions as animated SVG, which browsers and GitHub play without a script or a service."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

CELL, LINE, MARGIN = 8.4, 19, 16  # pixels of a character and of a line at 14 px, and around the text
KEYFRAMES = "@keyframes {name} {{ 0%, {before:.3f}% {{ opacity: 0 }} {at:.3f}%, 100% {{ opacity: 1 }} }}"
HOLD = 4.0  # seconds that the last frame stays


@dataclass
class Recording:
    """Frames of a terminal, each as long as it takes a person to read it.

    Args:
        width: columns.
        height: lines; what is above them has scrolled away.
    """

    width: int
    height: int
    lines: list[Text] = field(default_factory=list)
    frames: list[tuple[float, list[Text]]] = field(default_factory=list)
    _now: float = 0.0
    _block: int = 0  # lines of the last output, which `replace` writes over

    def type(self, command: str) -> None:
        """Type a command at the prompt."""
        self.lines.append(Text())
        for end in [*range(2, len(command), 3), len(command)]:
            self.lines[-1] = Text.assemble(("$ ", "green"), (command[:end], "bold"))
            self._keep(0.12)
        self._keep(0.4)
        self._block = 0

    def show(self, output: str, seconds: float) -> None:
        """Show what a command has printed, with its colours, for so many seconds."""
        new = Text.from_ansi(output.rstrip("\n")).split("\n")
        self.lines += new
        self._block = len(new)
        self._keep(seconds)

    def replace(self, output: str, seconds: float) -> None:
        """Show an output in the place of the last one, as `--watch` does."""
        del self.lines[len(self.lines) - self._block :]
        self.show(output, seconds)

    def _keep(self, seconds: float) -> None:
        self.frames.append((self._now, self.lines[-self.height :]))
        self._now += seconds

    def svg(self, title: str) -> str:
        """Return the picture; where motion is unwanted it stands still at the last frame."""
        total = self._now + HOLD
        width, height = self.width * CELL + 2 * MARGIN, self.height * LINE + 2 * MARGIN
        styles, groups, shown = [], [], [Text()] * self.height
        for number, (begins, lines) in enumerate(self.frames):
            at = 100 * begins / total
            styles.append(KEYFRAMES.format(name=f"f{number}", before=max(at - 0.001, 0), at=at))
            style = f"animation: f{number} {total:.1f}s step-end infinite" if number else ""
            lines = [*lines, *[Text()] * (self.height - len(lines))]
            changed = [row for row in range(self.height) if lines[row] != shown[row]]
            groups.append(
                f'<g style="{style}">{"".join(_line(lines[row], row, width) for row in changed)}</g>'
            )
            shown = lines
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"',
                'role="img" xml:space="preserve">',
                f"<title>{escape(title)}</title>",
                "<style>text { font: 14px ui-monospace, Menlo, Consolas, monospace; fill: #d9d9d9;",
                "white-space: pre } rect { fill: #1b1b1b }",
                "@media (prefers-reduced-motion) { g { animation: none !important } }",
                *styles,
                "</style>",
                f'<rect width="{width:.0f}" height="{height:.0f}" rx="8"/>',
                *groups,
                "</svg>\n",
            ]
        )


def _line(line: Text, row: int, width: float) -> str:
    """Return a line on a ground that covers what an earlier frame had there."""
    spans, column = [], 0
    for segment in line.render(Console(color_system="truecolor", force_terminal=True, width=500)):
        if segment.text.strip():
            spans.append(_span(segment, column))
        column += len(segment.text)
    top = MARGIN + row * LINE
    ground = f'<rect y="{top}" width="{width:.0f}" height="{LINE}"/>'
    return f'{ground}<text y="{top + 0.75 * LINE:.1f}">{"".join(spans)}</text>'


def _span(segment: Segment, column: int) -> str:
    style = segment.style or Style()
    look = ""
    if style.color:
        red, green, blue = style.color.get_truecolor(MONOKAI)
        look += f' fill="#{red:02x}{green:02x}{blue:02x}"'
    look += ' font-weight="bold"' if style.bold else ""
    look += ' opacity="0.6"' if style.dim else ""
    x, length = MARGIN + column * CELL, len(segment.text) * CELL
    return f'<tspan x="{x:.1f}" textLength="{length:.1f}"{look}>{escape(segment.text)}</tspan>'
