"""The output of `deployer history` for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import wrap

from rich.text import Text

from deployer.cli.views.table import Column, fit, plain
from deployer.cli.views.words import coloured, shortened, tag_and_digest, when
from deployer.reports.history import Entry

FEW = 7  # digits of a digest where there is little room
UNDER = " " * 4  # before a reason that stands under its deployment
LEAST = 30  # characters of a reason for which no column is dropped
ROOM = 130  # columns below which a reason has a line of its own


def history_lines(entries: Sequence[Entry], width: int) -> list[Text]:
    """Return a line for each deployment; in a narrow terminal the reason stands under it.

    Args:
        entries: newest first.
        width: of the terminal, in characters.
    """
    reasons = [_reason(entry) for entry in entries]
    roomy = width >= ROOM
    numbers = [Column("#", [str(e.number or "-") for e in entries])] if any(e.number for e in entries) else []
    columns = [
        *numbers,
        Column("WHEN", [when(e.at) for e in entries], [when(e.at)[5:] if e.at else "-" for e in entries]),
        Column("SERVICE", [e.service for e in entries], cut=True),
        Column("OUTCOME", [coloured(e.outcome) for e in entries]),
        Column(
            "IMAGE",
            [tag_and_digest(e.image) for e in entries],
            [tag_and_digest(e.image, FEW) for e in entries],
            cut=True,
        ),
        Column("BEFORE", [tag_and_digest(e.previous).rpartition(" ")[2] for e in entries], drop=3),
        Column("TOOK", [f"{e.duration:.0f} s" if e.duration else "-" for e in entries], drop=1),
        Column("BY", [_by(e) for e in entries], drop=2),
    ]
    if roomy:
        columns.append(Column("REASON", reasons, cut=True, content=LEAST))
    header, *rows = fit(columns, width).lines
    lines = [header]
    for row, entry, reason in zip(rows, entries, reasons, strict=True):
        lines.append(row)
        if not roomy and reason and (entry.why or entry.outcome not in {"updated", "unchanged"}):
            told = wrap(
                plain(reason).plain, width - len(UNDER), break_long_words=False, break_on_hyphens=False
            )
            lines += [plain(UNDER + part, "dim") for part in told]
        lines += [plain(f"{UNDER}| {line}", "dim") for line in entry.last_words]
    return lines


def _reason(entry: Entry) -> str:
    said = shortened(entry.reason).removeprefix("held: ")
    return f"{said} (asked for: {entry.why})" if entry.why else said


def _by(entry: Entry) -> str:
    if entry.event:
        return f"event {entry.event[:8]}"
    return f"{entry.by} ({entry.who})" if entry.who else entry.by or "-"


def hidden_line(hidden: Sequence[Entry]) -> Text | None:
    """Return what was left out because nothing was deployed by it; None if nothing was."""
    if not hidden:
        return None
    kinds = Counter(entry.outcome for entry in hidden)
    told = ", ".join(f"{number} {outcome}" for outcome, number in kinds.most_common())
    return Text(f"not shown, because nothing was deployed: {told} (--all)", style="dim")
