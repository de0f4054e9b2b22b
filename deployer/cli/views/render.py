"""The output of explain, doctor and reconcile for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from deployer.cli.views.table import Column, fit, plain
from deployer.cli.views.words import COLOURS, count, shortened, tag_and_digest

if TYPE_CHECKING:
    from rich.console import Console

    from deployer.reports.explain import Explanation
    from deployer.reports.finding import Finding
    from deployer.rollouts.fleet.survey import Survey


def behind_table(survey: Survey, width: int) -> tuple[Text, ...]:
    """Return the table of `deployer reconcile --dry-run`."""
    behind = survey.behind
    verdicts = [
        Text("updated", style="green") if one.now else Text(shortened(one.reason), style="yellow")
        for one in behind
    ]
    return fit(
        [
            Column("SERVICE", [one.service for one in behind], cut=True),
            Column("RUNS", [tag_and_digest(one.running) for one in behind], drop=1),
            Column("REGISTRY HAS", [tag_and_digest(one.wanted) for one in behind]),
            Column("WOULD BE", verdicts, cut=True),
        ],
        width,
    ).lines


def behind_summary(survey: Survey) -> str:
    """Return what `deployer reconcile --dry-run` looked at, in one line."""
    asked = f"{count(survey.services, 'service')} and {count(survey.images, 'image')}"
    late = f"{len(survey.behind)} behind" if survey.behind else "none is behind"
    return f"{asked} compared with the registry; {late}, {count(survey.missed, 'push')} missed"


def explanation(explained: Explanation) -> Iterator[Text]:
    """Yield the lines of an explanation: the verdict first, then the rules in their order."""
    yield plain(f"{explained.service}: {shortened(explained.verdict)}", "bold")
    if explained.rule and explained.outcome != "unchanged":
        yield plain(f"  decided by  the rule “{explained.rule}”")
    yield plain(f"  runs        {explained.image or 'no image'}")
    yield plain(f"  follows     {explained.follows}")
    for step in explained.steps:
        if step.stop and explained.outcome == "unchanged":
            yield plain(f"  = {shortened(step.stop)}")  # nothing is wrong: the rule's name would deny it
            continue
        if step.stop:  # the rule says what should be, and would deny it
            yield Text.assemble(("  ✗ ", "red"), plain(shortened(step.stop)))
            continue
        rest = plain(f": {shortened(step.note)}" if step.note else "", "dim")
        yield Text.assemble(("  ✓ ", "green"), plain(step.rule), rest)


def finding(console: Console, found: Finding) -> None:
    """Print what a check found."""
    marks = {"ok": "✓", "warn": "!", "fail": "✗"}
    line = Text.assemble(
        (f"{marks[found.level]} ", COLOURS[found.level]), (found.check, "bold"), plain(f": {found.found}")
    )
    console.print(line)
    if found.fix and found.level != "ok":
        console.print(plain(f"    → {found.fix}", COLOURS[found.level]))
